// watches - streams of changes to clients.
#include "actors/apiserver/server.h"

// ---- opening ------------------------------------------------------------------------------------
static const Meta__Status *read_watch(actor_t *me, const message_t *msg, const Api__Watch *watch,
                                      arena_t *arena, selection_t *ret) {
    server_t *s = actor_state(me);
    arena_t *round = actor_arena(me);
    identity_t who = rights_identify(round, msg->from, msg->principal);
    const kind_t *k;
    const Meta__Status *status = request_resource(round, watch->resource, "watch", &who, &k);
    if (status) return status;
    if ((int64_t)s->watchers.all.len >= s->args.watchers_max)
        return status_from_err(round, ERR_OVERLOADED, "too many watchers");
    if (watch->from_revision < 0)
        return status_bad_request(round, "invalid resource version: negative");
    why_t why;
    err_t err = selection_parse(arena, k, watch->resource->namespace_, watch->resource->name,
                                watch->label_selector, watch->field_selector, ret, &why);
    return err ? status_bad_request(round, why.text) : NULL;
}

void watch_open(actor_t *me, const message_t *msg, const Api__Watch *watch) {
    server_t *s = actor_state(me);
    if (!msg->stream_window) {
        actor_fail(me, msg, ERR_BAD_REQUEST, "a watch is opened as a stream");
        return;
    }
    arena_t arena = {0};
    selection_t selection;
    const Meta__Status *status = read_watch(me, msg, watch, &arena, &selection);
    if (status) {
        err_t err = status_err(status);
        actor_fail_status(me, msg, err, or_empty(status->message),
                          msg_pack(actor_arena(me), &status->base));
        arena_done(&arena);
        return;
    }
    job_t *job = job_from_message(me, msg, JOB_WATCH);
    if (!job) {
        arena_done(&arena);
        return;
    }
    job->type = watch->base.descriptor;
    job->stream = actor_stream_accept(me, msg, 0);
    job->wants_revision = watch->from_revision == 0 || watch->fresh;
    job->need_revision = watch->from_revision;
    watcher_t *one = watchers_add(&s->watchers, job->stream, &arena, &selection, watch->bookmarks);
    one->seen = INT64_MAX; // nothing is queued before it has started
    actor_gauge(me, "apiserver_watchers", (int64_t)s->watchers.all.len);
    job_start(me, job);
}

void watch_run(actor_t *me, job_t *job) {
    server_t *s = actor_state(me);
    watcher_t *one = watchers_get(&s->watchers, job->stream);
    if (!one) { // its client is gone
        job_end(me, job);
        return;
    }
    const Api__Watch *watch = job_body(me, job);
    one->seen = 0;
    if (watch->from_revision == 0) {
        watcher_start_now(&s->watchers, one, &s->cache);
    } else if (watcher_start_after(&s->watchers, one, &s->cache, watch->from_revision,
                                   watch->fresh)) {
        arena_t *arena = actor_arena(me);
        const kind_cache_t *kc = cache_of(&s->cache, one->selection.stored);
        const char *text =
            arena_printf(arena, "too old resource version: %lld (%lld)",
                         (long long)watch->from_revision, (long long)kc->window_after);
        watchers_remove(&s->watchers, job->stream);
        job_fail_status(me, job, status_new(arena, 410, "Expired", text));
        return;
    }
    job_end(me, job);
}

// ---- sending ------------------------------------------------------------------------------------
static void give_up(actor_t *me, watcher_t *one) {
    server_t *s = actor_state(me);
    uint64_t stream = one->stream;
    actor_count(me, "apiserver_slow_watchers_total", 1);
    watchers_remove(&s->watchers, stream);
    actor_stream_end(me, stream, ERR_GAP, "the watcher is too slow; it may resume");
}

// How much of the budget it took.
static size_t send_some(actor_t *me, watcher_t *one, size_t budget) {
    server_t *s = actor_state(me);
    size_t spent = 0;
    while (watcher_has_work(one) && spent < budget && actor_stream_credit(me, one->stream) > 0) {
        size_t looked_at;
        blob_t *chunk = watcher_fill(&s->watchers, one, budget - spent, &looked_at);
        spent += looked_at;
        if (chunk) {
            bool sent =
                actor_stream_send_blob(me, one->stream, &api__watch_events__descriptor, chunk);
            assert(sent); // there was credit
            actor_count(me, "apiserver_watch_chunks_total", 1);
        }
        blob_unref(&chunk);
    }
    return spent;
}

void watches_flush(actor_t *me) {
    server_t *s = actor_state(me);
    size_t budget = SLICE_OBJECTS;
    while (s->watchers.dirty.len > 0 && budget > 0) {
        watcher_t *one = s->watchers.dirty.at[0];
        if (one->given_up) {
            give_up(me, one);
            continue;
        }
        size_t spent = send_some(me, one, budget);
        budget -= spent < budget ? spent : budget;
        // Out of the list: nothing left, no credit (its return brings it back), or to the end of
        // the row, since others wait too.
        one->dirty = false;
        vec_remove(&s->watchers.dirty, 0);
        if (actor_stream_credit(me, one->stream) > 0) watcher_make_dirty(&s->watchers, one);
    }
    if (s->watchers.dirty.len > 0) actor_settle_again(me);
    if (s->watchers.all.len > 0 && !s->marks_are_set && s->args.bookmark_interval_ms > 0) {
        actor_timer(me, TAG_MARKS, s->args.bookmark_interval_ms);
        s->marks_are_set = true;
    }
}

// Idle watchers are told how far they have come, so that they need not list again when this server
// is replaced. Nothing happened: nothing is told.
void watches_mark(actor_t *me) {
    server_t *s = actor_state(me);
    s->marks_are_set = false;
    for (size_t i = 0; i < s->watchers.all.len; i++) {
        watcher_t *one = s->watchers.all.at[i];
        bool has_started = one->seen != INT64_MAX && one->sent > 0;
        if (!has_started || watcher_has_work(one) || one->sent >= s->cache.revision) continue;
        if (actor_stream_credit(me, one->stream) == 0) continue;
        blob_t *mark = watcher_mark(one, s->cache.revision);
        actor_stream_send_blob(me, one->stream, &api__watch_events__descriptor, mark);
        blob_unref(&mark);
    }
}

void watches_end_all(actor_t *me, err_t err, const char *why) {
    server_t *s = actor_state(me);
    const Meta__Status *status = status_from_err(actor_arena(me), err, why);
    bytes_t packed = msg_pack(actor_arena(me), &status->base);
    while (s->watchers.all.len > 0) {
        uint64_t stream = s->watchers.all.at[0]->stream;
        watchers_remove(&s->watchers, stream);
        actor_stream_end_status(me, stream, err, why, packed);
    }
}
