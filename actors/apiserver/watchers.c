#include "actors/apiserver/watchers.h"
#include "actors/apiserver/keys.h"
#include "runtime/base/canary.h"

typedef VEC(watcher_t *) watcher_list_t;

// ---- life ---------------------------------------------------------------------------------------
static void watcher_destroy(watcher_t **one) {
    watcher_t *gone = x_steal(one);
    for (size_t i = gone->initial_at; i < gone->initial.len; i++)
        cached_unref(&gone->initial.at[i]);
    vec_done(&gone->initial);
    for (size_t i = gone->queue_at; i < gone->queue.len; i++) change_unref(&gone->queue.at[i]);
    vec_done(&gone->queue);
    arena_done(&gone->arena);
    free(gone);
}

static void forget_shared(watchers_t *w) {
    free(w->shared.prefix);
    change_unref(&w->shared.first);
    change_unref(&w->shared.last);
    blob_unref(&w->shared.blob);
    memset(&w->shared, 0, sizeof w->shared);
}

void watchers_done(watchers_t *w) {
    while (w->all.len > 0) watchers_remove(w, w->all.at[w->all.len - 1]->stream);
    forget_shared(w);
    imap_done(&w->by_stream);
    map_done(&w->by_node);
    map_done(&w->by_name);
    vec_done(&w->all);
    vec_done(&w->rest);
    vec_done(&w->dirty);
}

// Where it is found by what it watches; NULL: among the rest.
static map_t *index_of(watchers_t *w, const watcher_t *one, const char **ret_key) {
    *ret_key = one->selection.node ? one->selection.node : one->selection.name;
    return one->selection.node ? &w->by_node : one->selection.name ? &w->by_name : NULL;
}

watcher_t *watchers_add(watchers_t *w, uint64_t stream, arena_t *arena,
                        const selection_t *selection, bool bookmarks) {
    assert(!imap_get(&w->by_stream, stream));
    watcher_t *one = NEW(watcher_t);
    *one = (watcher_t){
        .stream = stream, .arena = *arena, .selection = *selection, .bookmarks = bookmarks};
    *arena = (arena_t){0};
    imap_put(&w->by_stream, stream, one);
    vec_push(&w->all, one);
    const char *key;
    map_t *index = index_of(w, one, &key);
    if (!index) {
        vec_push(&w->rest, one);
        return one;
    }
    watcher_list_t *same = map_get(index, key);
    if (!same) {
        same = mem_new(sizeof *same);
        map_put(index, key, same);
    }
    vec_push(same, one);
    return one;
}

watcher_t *watchers_get(const watchers_t *w, uint64_t stream) {
    return imap_get(&w->by_stream, stream);
}

static void list_remove(watcher_t **at, size_t *len, const watcher_t *one) {
    for (size_t i = 0; i < *len; i++) {
        if (at[i] != one) continue;
        at[i] = at[--*len];
        return;
    }
    assert(!"a watcher stands in its lists");
}

void watchers_remove(watchers_t *w, uint64_t stream) {
    watcher_t *one = imap_remove(&w->by_stream, stream);
    if (!one) return;
    list_remove(w->all.at, &w->all.len, one);
    if (one->dirty) list_remove(w->dirty.at, &w->dirty.len, one);
    const char *key;
    map_t *index = index_of(w, one, &key);
    if (index) {
        watcher_list_t *same = map_get(index, key);
        list_remove(same->at, &same->len, one);
        if (same->len == 0) {
            map_remove(index, key);
            vec_done(same);
            free(same);
        }
    } else {
        list_remove(w->rest.at, &w->rest.len, one);
    }
    watcher_destroy(&one);
}

// ---- what is to be sent -------------------------------------------------------------------------
bool watcher_has_work(const watcher_t *one) {
    return one->given_up || one->initial_at < one->initial.len || one->mark_due ||
           one->queue_at < one->queue.len;
}

void watcher_make_dirty(watchers_t *w, watcher_t *one) {
    if (one->dirty || !watcher_has_work(one)) return;
    one->dirty = true;
    vec_push(&w->dirty, one);
}

static bool may_concern(const watcher_t *one, const change_t *ch) {
    return (ch->now && selection_may_match(&one->selection, ch->now)) ||
           (ch->was && selection_may_match(&one->selection, ch->was));
}

static void enqueue(watchers_t *w, watcher_t *one, change_t *ch) {
    if (one->given_up || ch->revision <= one->seen || !may_concern(one, ch)) return;
    if (one->queue.len - one->queue_at >= WATCHER_QUEUE_MAX)
        one->given_up = true;
    else
        vec_push(&one->queue, change_ref(ch));
    watcher_make_dirty(w, one);
}

void watcher_start_now(watchers_t *w, watcher_t *one, const cache_t *c) {
    err_t err = selection_snapshot(&one->selection, c, NULL, 0, 0, &one->initial);
    assert(err == ERR_OK); // the present is always there
    one->seen = one->mark_at = c->revision;
    one->mark_due = true;
    watcher_make_dirty(w, one);
}

err_t watcher_start_after(watchers_t *w, watcher_t *one, const cache_t *c, int64_t revision,
                          bool mark) {
    const kind_cache_t *kc = cache_of(c, one->selection.stored);
    if (revision < kc->window_after) return ERR_EXPIRED;
    one->seen = one->sent = revision;
    size_t first = cache_first_after(kc, revision);
    if (CANARY(WATCH_SKIPS_EVENT)) first++;
    if (CANARY(WATCH_REPEATS_EVENT) && first) first--;
    for (size_t i = first; i < kc->window_len; i++) {
        change_t *ch = cache_change(kc, i);
        if (may_concern(one, ch)) vec_push(&one->queue, change_ref(ch));
    }
    one->seen = one->mark_at = c->revision > revision ? c->revision : revision;
    one->mark_due = mark;
    watcher_make_dirty(w, one);
    return ERR_OK;
}

static void offer_to(watchers_t *w, watcher_t *const *at, size_t len, const kind_t *stored,
                     change_t *ch) {
    for (size_t i = 0; i < len; i++)
        if (at[i]->selection.stored == stored) enqueue(w, at[i], ch);
}

static void offer_index(watchers_t *w, const map_t *index, const char *key, const kind_t *stored,
                        change_t *ch) {
    const watcher_list_t *same = map_get(index, key);
    if (same) offer_to(w, same->at, same->len, stored, ch);
}

void watchers_offer(watchers_t *w, const kind_t *stored, change_t *ch) {
    offer_to(w, w->rest.at, w->rest.len, stored, ch);
    offer_index(w, &w->by_name, (ch->now ? ch->now : ch->was)->name, stored, ch);
    const char *now = ch->now ? ch->now->node : NULL, *was = ch->was ? ch->was->node : NULL;
    if (now) offer_index(w, &w->by_node, now, stored, ch);
    if (was && !(now && streq(now, was))) offer_index(w, &w->by_node, was, stored, ch);
}

// ---- chunks -------------------------------------------------------------------------------------
typedef struct {
    watcher_t *one;
    arena_t arena;
    VEC(Api__WatchEvent *) events;
    size_t bytes, looked_at;
} chunk_t;

static void chunk_add(chunk_t *chunk, Api__WatchEvent__Type type, bytes_t object,
                      int64_t revision) {
    Api__WatchEvent *event = msg_new(&chunk->arena, &api__watch_event__descriptor);
    event->type = type;
    event->object = (ProtobufCBinaryData){object.len, (uint8_t *)object.at};
    event->revision = revision;
    vec_push(&chunk->events, event);
    chunk->bytes += object.len + 16;
}

static void chunk_add_record(chunk_t *chunk, Api__WatchEvent__Type type, cached_t *r,
                             int64_t revision) {
    chunk_add(chunk, type, blob_bytes(cached_blob(r, chunk->one->selection.asked)), revision);
}

static bool chunk_is_full(const chunk_t *chunk) {
    return chunk->events.len >= WATCH_CHUNK_EVENTS_MAX || chunk->bytes >= WATCH_CHUNK_MAX_BYTES;
}

// The object of a mark: only kind and resourceVersion mean something.
static void chunk_add_mark(chunk_t *chunk, int64_t revision) {
    ProtobufCMessage *obj = msg_new(&chunk->arena, chunk->one->selection.asked->type);
    object_meta(&chunk->arena, obj)->resourceversion = revision_print(&chunk->arena, revision);
    chunk_add(chunk, API__WATCH_EVENT__TYPE__BOOKMARK, msg_pack(&chunk->arena, obj), revision);
}

// What a change looks like from here.
static void chunk_add_change(chunk_t *chunk, change_t *ch) {
    const selection_t *s = &chunk->one->selection;
    bool now = ch->now && selection_matches(s, &chunk->arena, ch->now);
    bool was = ch->was && selection_matches(s, &chunk->arena, ch->was);
    if (now && was)
        chunk_add_record(chunk, API__WATCH_EVENT__TYPE__MODIFIED, ch->now, ch->revision);
    else if (now)
        chunk_add_record(chunk, API__WATCH_EVENT__TYPE__ADDED, ch->now, ch->revision);
    else if (was)
        chunk_add_record(chunk, API__WATCH_EVENT__TYPE__DELETED, change_gone(ch), ch->revision);
}

static blob_t *chunk_pack(chunk_t *chunk, int64_t revision) {
    Api__WatchEvents events = API__WATCH_EVENTS__INIT;
    events.n_events = chunk->events.len;
    events.events = chunk->events.at;
    events.revision = revision;
    events.api_version = kind_api_version(&chunk->arena, chunk->one->selection.asked);
    events.kind = chunk->one->selection.asked->name;
    size_t len = protobuf_c_message_get_packed_size(&events.base);
    blob_t *blob = blob_new(len);
    protobuf_c_message_pack(&events.base, blob->at);
    return blob;
}

static void fill_initial(chunk_t *chunk, size_t budget) {
    watcher_t *one = chunk->one;
    while (one->initial_at < one->initial.len && !chunk_is_full(chunk) &&
           chunk->looked_at < budget) {
        cached_t *r = one->initial.at[one->initial_at++];
        chunk->looked_at++;
        if (selection_matches(&one->selection, &chunk->arena, r))
            chunk_add_record(chunk, API__WATCH_EVENT__TYPE__ADDED, r, r->revision);
        cached_unref(&r);
    }
    if (one->initial_at < one->initial.len) return;
    vec_done(&one->initial);
    one->initial_at = 0;
}

static bool has_change(const watcher_t *one, int64_t up_to) {
    return one->queue_at < one->queue.len && one->queue.at[one->queue_at]->revision <= up_to;
}

static void fill_changes(chunk_t *chunk, size_t budget, int64_t up_to) {
    watcher_t *one = chunk->one;
    while (has_change(one, up_to) && !chunk_is_full(chunk) && chunk->looked_at < budget) {
        change_t *ch = one->queue.at[one->queue_at++];
        chunk->looked_at++;
        chunk_add_change(chunk, ch);
        one->sent = ch->revision;
        change_unref(&ch);
    }
    if (one->queue_at < one->queue.len) {
        // More of the same revision follows in the next chunk: it is not wholly sent yet.
        if (one->queue.at[one->queue_at]->revision == one->sent) one->sent--;
        return;
    }
    one->queue.len = one->queue_at = 0;
    if (one->queue.cap > 256) vec_done(&one->queue);
}

// Only a wish without selectors can share: its chunk is told by the changes in it.
static bool can_share(const watcher_t *one) {
    const selection_t *s = &one->selection;
    return !selection_has_selectors(s) && !s->name && !s->node && one->initial.len == 0 &&
           !one->mark_due;
}

static blob_t *take_shared(watchers_t *w, watcher_t *one) {
    if (!w->shared.blob || !can_share(one) || w->shared.asked != one->selection.asked ||
        !streq(w->shared.prefix, one->selection.prefix) || one->queue_at == one->queue.len ||
        one->queue.at[one->queue_at] != w->shared.first ||
        one->queue.at[one->queue.len - 1] != w->shared.last)
        return NULL;
    while (one->queue_at < one->queue.len) change_unref(&one->queue.at[one->queue_at++]);
    one->queue.len = one->queue_at = 0;
    one->sent = w->shared.last->revision;
    return blob_ref(w->shared.blob);
}

static void share(watchers_t *w, const watcher_t *one, change_t *first, change_t *last,
                  blob_t *blob) {
    forget_shared(w);
    w->shared.asked = one->selection.asked;
    w->shared.prefix = str_dup(one->selection.prefix);
    w->shared.first = first;
    w->shared.last = last;
    w->shared.blob = blob_ref(blob);
}

blob_t *watcher_fill(watchers_t *w, watcher_t *one, size_t budget, size_t *ret_looked_at) {
    *ret_looked_at = 1;
    blob_t *blob = take_shared(w, one);
    if (blob) return blob;
    chunk_t chunk = {.one = one};
    bool may_share = can_share(one) && one->queue_at < one->queue.len;
    change_t *first = may_share ? change_ref(one->queue.at[one->queue_at]) : NULL;
    change_t *last = may_share ? change_ref(one->queue.at[one->queue.len - 1]) : NULL;
    fill_initial(&chunk, budget);
    bool is_begun = one->initial.len == 0;
    if (is_begun && one->mark_due) fill_changes(&chunk, budget, one->mark_at);
    if (is_begun && one->mark_due && !has_change(one, one->mark_at) && !chunk_is_full(&chunk)) {
        one->sent = one->mark_at;
        chunk_add_mark(&chunk, one->sent);
        one->mark_due = false;
    }
    if (is_begun && !one->mark_due) fill_changes(&chunk, budget, INT64_MAX);
    // While initial events go on, no revision is wholly sent: 0.
    if (chunk.events.len > 0) blob = chunk_pack(&chunk, one->sent);
    if (blob && may_share && one->queue.len == 0) {
        share(w, one, first, last, blob);
    } else {
        change_unref(&first);
        change_unref(&last);
    }
    *ret_looked_at = chunk.looked_at + 1;
    vec_done(&chunk.events);
    arena_done(&chunk.arena);
    return blob;
}

blob_t *watcher_mark(watcher_t *one, int64_t revision) {
    assert(!watcher_has_work(one) && revision >= one->sent);
    chunk_t chunk = {.one = one};
    one->sent = revision;
    if (one->bookmarks) chunk_add_mark(&chunk, revision);
    blob_t *blob = chunk_pack(&chunk, revision);
    vec_done(&chunk.events);
    arena_done(&chunk.arena);
    return blob;
}
