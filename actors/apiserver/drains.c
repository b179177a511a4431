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
    actor_timer(me, TAG_DRAIN, wait.give_up_ms - now_ms);
}

void drains_on_synced(actor_t *me, const message_t *msg, const Api__EndpointsSynced *synced) {
    drains_t *d = drains_of(me);
    int64_t *revision = map_get(&d->synced, msg->from);
    if (!revision) {
        revision = NEW(int64_t);
        map_put(&d->synced, msg->from, revision);
        actor_monitor(me, msg->from);
    }
    *revision = synced->revision; // also backwards: a restarted proxy starts from what it says
    d->is_dirty = true;
}

void drains_on_down(actor_t *me, const char *address) {
    drains_t *d = drains_of(me);
    int64_t *revision = map_remove(&d->synced, address);
    if (!revision) return;
    free(revision);
    d->is_dirty = true;
}

// ---- the look -----------------------------------------------------------------------------------

typedef struct {
    bool is_served;
    int64_t revision;
} standing_t; // revision 0: no slice names the pod

// How the slices of its namespace speak of the pod.
static standing_t standing_of(actor_t *me, const drain_t *wait) {
    server_t *s = actor_state(me);
    const kind_cache_t *slices =
        cache_of(&s->cache, kind_find("discovery.k8s.io", "v1", "EndpointSlice"));
    standing_t standing = {0};
    const char *prefix = arena_printf(actor_arena(me), "%s/", wait->ns);
    for (size_t i = slices ? cache_find(slices, prefix) : 0; slices && i < slices->by_path.len;
         i++) {
        cached_t *record = slices->by_path.at[i];
        if (!has_prefix(record->path, prefix)) break;
        const Discovery__EndpointSlice *slice = cached_object(actor_arena(me), record);
        for (size_t e = 0; e < slice->n_endpoints; e++) {
            const Discovery__Endpoint *endpoint = slice->endpoints[e];
            if (!endpoint->targetref || !streq(or_empty(endpoint->targetref->uid), wait->uid))
                continue;
            const Discovery__EndpointConditions *c = endpoint->conditions;
            standing.is_served |= !c || !c->has_ready || c->ready;
            if (record->revision > standing.revision) standing.revision = record->revision;
        }
    }
    return standing;
}

static bool proxies_have_reached(const drains_t *d, int64_t revision) {
    size_t at = 0;
    void *value;
    while (map_next(&d->synced, &at, NULL, &value))
        if (*(int64_t *)value < revision) return false;
    return true;
}

static void answer(actor_t *me, drain_t *wait, bool drained) {
    Api__AwaitDrainReply reply = {PROTOBUF_C_MESSAGE_INIT(&api__await_drain_reply__descriptor)};
    reply.drained = drained;
    caller_reply(me, &wait->caller, &reply.base);
    free(wait->ns);
    free(wait->uid);
}

void drains_look(actor_t *me) {
    server_t *s = actor_state(me);
    drains_t *d = &s->drains;
    int64_t now_ms = actor_now_ms(me), next_ms = INT64_MAX;
    if (!d->waiting.len) return;
    bool news = d->is_dirty || d->looked_at != s->cache.revision;
    d->is_dirty = false;
    d->looked_at = s->cache.revision;
    for (size_t i = 0; i < d->waiting.len;) {
        drain_t *wait = &d->waiting.at[i];
        standing_t standing = {.is_served = true};
        if (news && s->feed.is_ready) standing = standing_of(me, wait);
        bool drained = !standing.is_served && proxies_have_reached(d, standing.revision);
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
    while (map_next(&d->synced, &at, NULL, &value)) free(value);
    map_done(&d->synced);
}
