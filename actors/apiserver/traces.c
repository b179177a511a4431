#include "actors/apiserver/traces.h"
#include "actors/apiserver/server.h"

struct trace_work {
    caller_t *caller;
    Actor__TraceQuery query;
    size_t pending;        // processes that have not answered yet
    VEC(blob_t *) answers; // packed TraceHops
};

static void work_free(trace_work_t *work) {
    caller_drop(&work->caller);
    for (size_t i = 0; i < work->answers.len; i++) blob_unref(&work->answers.at[i]);
    vec_done(&work->answers);
    free(work);
}

void traces_done(traces_t *t) {
    size_t at = 0;
    uint64_t id;
    void *work;
    while (imap_next(&t->works, &at, &id, &work)) work_free(work);
    imap_done(&t->works);
}

// By the start of the handler, which is read on the clock of the process that handled; when a
// message was sent, another process may have said.
static int by_time(const void *a, const void *b) {
    const Actor__TraceHop *x = *(Actor__TraceHop *const *)a, *y = *(Actor__TraceHop *const *)b;
    int64_t at_x = x->sent_us + x->queued_us, at_y = y->sent_us + y->queued_us;
    return (at_x > at_y) - (at_x < at_y);
}

typedef VEC(char *) names_t;
static void collect(void *arg, const char *address, const char *process) {
    vec_push((names_t *)arg, str_dup(address));
}

static void ask_all(actor_t *me, uint64_t id, trace_work_t *work) {
    names_t systems = {0};
    actor_each_known(me, "system", collect, &systems);
    work->pending = systems.len;
    for (size_t i = 0; i < systems.len; i++) {
        actor_ask(me, systems.at[i], &work->query.base, TRACES_TIMEOUT_MS, TAG_TRACE | id);
        free(systems.at[i]);
    }
    vec_done(&systems);
}

// The question about a trace is no part of what is asked about.
static bool is_own(const char *type) {
    return streq(type, actor__trace_query__descriptor.name) ||
           streq(type, actor__trace_hops__descriptor.name);
}

// "The last" is asked of each process, and each answers with its own: the newest of them is meant.
static void finish(actor_t *me, uint64_t id, trace_work_t *work) {
    server_t *s = actor_state(me);
    arena_t *arena = actor_arena(me);
    Actor__TraceHops all = {PROTOBUF_C_MESSAGE_INIT(&actor__trace_hops__descriptor)};
    all.hops = ARENA_ARRAY(arena, Actor__TraceHop *, TRACE_HOPS_MAX);
    for (size_t i = 0; i < work->answers.len; i++) {
        const Actor__TraceHops *part =
            msg_unpack_own(arena, &actor__trace_hops__descriptor, blob_bytes(work->answers.at[i]));
        for (size_t h = 0; part && h < part->n_hops && all.n_hops < TRACE_HOPS_MAX; h++)
            if (!is_own(part->hops[h]->type)) all.hops[all.n_hops++] = part->hops[h];
    }
    qsort(all.hops, all.n_hops, sizeof *all.hops, by_time);
    if (work->query.last && all.n_hops) { // only whom the command line spoke to knew it: all, now
        work->query.last = false;
        work->query.trace_id = all.hops[all.n_hops - 1]->trace_id;
        for (size_t i = 0; i < work->answers.len; i++) blob_unref(&work->answers.at[i]);
        vec_reset(&work->answers);
        ask_all(me, id, work);
        if (work->pending) return;
    }
    caller_reply(me, &work->caller, &all.base);
    imap_remove(&s->traces.works, id);
    work_free(work);
}

void traces_on_query(actor_t *me, const message_t *msg, const Actor__TraceQuery *query) {
    server_t *s = actor_state(me);
    if (imap_len(&s->traces.works) >= TRACES_MAX) {
        actor_fail(me, msg, ERR_OVERLOADED, "too many traces are being put together");
        return;
    }
    trace_work_t *work = NEW(trace_work_t);
    uint64_t id = ++s->traces.last_id;
    imap_put(&s->traces.works, id, work);
    work->caller = actor_keep_caller(me, msg);
    work->query =
        (Actor__TraceQuery){.base = PROTOBUF_C_MESSAGE_INIT(&actor__trace_query__descriptor),
                            .trace_id = query->trace_id,
                            .last = query->last};
    ask_all(me, id, work);
    if (!work->pending) finish(me, id, work);
}

void traces_on_hops(actor_t *me, uint64_t id, blob_t *hops) {
    server_t *s = actor_state(me);
    trace_work_t *work = imap_get(&s->traces.works, id);
    if (!work) return;
    if (hops) vec_push(&work->answers, blob_ref(hops));
    if (--work->pending == 0) finish(me, id, work);
}
