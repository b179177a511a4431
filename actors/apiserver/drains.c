#include "actors/apiserver/drains.h"
#include "actors/apiserver/server.h"
#include "k8s/discovery_v1.pb-c.h"

static drains_t *drains_of(actor_t *me) { return &((server_t *)actor_state(me))->drains; }

// ---- handlers -----------------------------------------------------------------------------------

void drains_on_await(actor_t *me, const message_t *msg, const Api__AwaitDrain *await) {
    drains_t *d = drains_of(me);
    if (d->waiting.len >= DRAINS_MAX) {
        actor_fail(me, msg, ERR_OVERLOADED, "too many pods are waiting to be drained");
        return;
    }
    int64_t now_ms = actor_now_ms(me), limit_ms = now_ms + DRAIN_TIMEOUT_MS;
    // Answered a little before the asker gives up by itself.
    int64_t asker_ms =
        msg->deadline_ms ? msg->deadline_ms - (msg->deadline_ms - now_ms) / 10 : limit_ms;
    drain_t wait = {actor_keep_caller(me, msg), str_dup(or_empty(await->namespace_)),
                    str_dup(or_empty(await->uid)), asker_ms < limit_ms ? asker_ms : limit_ms};
    vec_push(&d->waiting, wait);
    d->is_dirty = true;
}

void drains_on_synced(actor_t *me, const message_t *msg, const Api__EndpointsSynced *synced) {
    drains_t *d = drains_of(me);
    proxy_word_t *word = map_get(&d->proxies, msg->from);
    if (!word) {
        word = NEW(proxy_word_t);
        map_put(&d->proxies, msg->from, word);
        actor_monitor(me, msg->from);
    }
    *word = (proxy_word_t){synced->revision, 0}; // also backwards: a restarted one begins anew
    d->is_dirty = true;
}

void drains_on_down(actor_t *me, const char *address) {
    drains_t *d = drains_of(me);
    proxy_word_t *word = map_get(&d->proxies, address);
    if (!word) return;
    *word = (proxy_word_t){0, actor_now_ms(me)};
    d->is_dirty = true;
}

// ---- the look -----------------------------------------------------------------------------------

static void look_at_slice(actor_t *me, const cached_t *record, drain_t *wait) {
    // Most slices do not name it.
    if (!memmem(record->blob->at, record->blob->len, wait->uid, strlen(wait->uid))) return;
    const Discovery__EndpointSlice *slice = cached_object(actor_arena(me), record);
    for (size_t e = 0; e < slice->n_endpoints; e++) {
        const Discovery__Endpoint *endpoint = slice->endpoints[e];
        if (!endpoint->targetref || !streq(or_empty(endpoint->targetref->uid), wait->uid)) continue;
        const Discovery__EndpointConditions *c = endpoint->conditions;
        wait->standing.is_served |= !c || !c->has_ready || c->ready;
        if (record->revision > wait->standing.revision) wait->standing.revision = record->revision;
    }
}

static int64_t newest(const kind_cache_t *kc) {
    return kc->window_len ? cache_change(kc, kc->window_len - 1)->revision : kc->window_after;
}

// Every pod that leaves looks at all slices: only when there is news of one.
static void look_at_slices(actor_t *me, drain_t *wait) {
    server_t *s = actor_state(me);
    const kind_cache_t *slices =
        cache_of(&s->cache, kind_find("discovery.k8s.io", "v1", "EndpointSlice"));
    if (!slices || wait->standing.looked_at == newest(slices)) return;
    wait->standing = (standing_t){.looked_at = newest(slices)};
    const char *prefix = arena_printf(actor_arena(me), "%s/", wait->ns);
    for (size_t i = cache_find(slices, prefix); i < slices->by_path.len; i++) {
        if (!has_prefix(slices->by_path.at[i]->path, prefix)) break;
        look_at_slice(me, slices->by_path.at[i], wait);
    }
}

typedef struct {
    drains_t *d;
    int64_t now_ms, revision;
    bool reached;
    int64_t again_ms; // when the answer may be another by time alone
} reaching_t;

static void until(reaching_t *r, int64_t ms) {
    if (r->now_ms >= ms) return;
    r->reached = false;
    if (ms < r->again_ms) r->again_ms = ms;
}

// One that lives has spoken, or will once it has its rules.
static void living_proxy(void *arg, const char *address, const char *process) {
    reaching_t *r = arg;
    const proxy_word_t *word = map_get(&r->d->proxies, address);
    if (!word || word->down_ms) r->reached = false;
}

static bool proxies_have_reached(actor_t *me, int64_t revision, int64_t *again_ms) {
    drains_t *d = drains_of(me);
    reaching_t r = {d, actor_now_ms(me), revision, true, *again_ms};
    if (!revision) return true; // no service knows the pod
    until(&r, d->began_ms + PROXY_BACK_MS);
    size_t at = 0;
    void *value;
    while (map_next(&d->proxies, &at, NULL, &value)) {
        const proxy_word_t *word = value;
        if (word->down_ms)
            until(&r, word->down_ms + PROXY_BACK_MS);
        else if (word->revision < revision)
            r.reached = false;
    }
    actor_each_known(me, "proxy", living_proxy, &r);
    *again_ms = r.again_ms;
    return r.reached;
}

static void answer(actor_t *me, drain_t *wait, bool drained) {
    Api__AwaitDrainReply reply = {PROTOBUF_C_MESSAGE_INIT(&api__await_drain_reply__descriptor)};
    reply.drained = drained;
    caller_reply(me, &wait->caller, &reply.base);
    free(wait->ns);
    free(wait->uid);
}

// May it be told to stop? Else *again_ms is lowered to when time alone may change that.
static bool is_drained(actor_t *me, drain_t *wait, int64_t *again_ms) {
    int64_t now_ms = actor_now_ms(me);
    if (!wait->drained_ms) {
        look_at_slices(me, wait);
        const standing_t *standing = &wait->standing;
        if (standing->is_served || !proxies_have_reached(me, standing->revision, again_ms))
            return false;
        if (!standing->revision) return true;
        wait->drained_ms = now_ms;
    }
    int64_t due_ms = wait->drained_ms + DRAIN_LINGER_MS;
    if (due_ms > now_ms && due_ms < *again_ms) *again_ms = due_ms;
    return due_ms <= now_ms;
}

void drains_look(actor_t *me) {
    server_t *s = actor_state(me);
    drains_t *d = &s->drains;
    int64_t now_ms = actor_now_ms(me), next_ms = INT64_MAX;
    if (!d->began_ms) d->began_ms = now_ms;
    bool news = d->is_dirty || d->looked_at != s->cache.revision;
    if (!d->waiting.len || !news) return; // the timer is still set
    d->is_dirty = false;
    d->looked_at = s->cache.revision;
    for (size_t i = 0; i < d->waiting.len;) {
        drain_t *wait = &d->waiting.at[i];
        bool drained = s->feed.is_ready && is_drained(me, wait, &next_ms);
        if (!drained && now_ms < wait->give_up_ms) {
            if (wait->give_up_ms < next_ms) next_ms = wait->give_up_ms;
            i++;
            continue;
        }
        answer(me, wait, drained);
        vec_swap_remove(&d->waiting, i);
    }
    if (next_ms != INT64_MAX) actor_timer(me, TAG_DRAIN, next_ms - now_ms);
}

void drains_done(drains_t *d) {
    for (size_t i = 0; i < d->waiting.len; i++) {
        caller_drop(&d->waiting.at[i].caller);
        free(d->waiting.at[i].ns);
        free(d->waiting.at[i].uid);
    }
    vec_done(&d->waiting);
    size_t at = 0;
    void *value;
    while (map_next(&d->proxies, &at, NULL, &value)) free(value);
    map_done(&d->proxies);
}
