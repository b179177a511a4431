#include "runtime/actor/trace.h"
#include <pthread.h>

struct trace {
    pthread_mutex_t lock;
    hop_t *ring;
    size_t cap, next, len;
};

trace_t *trace_new(size_t hops_max) {
    trace_t *t = NEW(trace_t);
    pthread_mutex_init(&t->lock, NULL);
    t->cap = hops_max ? hops_max : TRACE_HOPS_DEFAULT;
    t->ring = mem_new(t->cap * sizeof *t->ring);
    return t;
}

static void hop_done(hop_t *hop) {
    name_unref(&hop->from);
    name_unref(&hop->to);
    name_unref(&hop->type_name);
}

void trace_destroy(trace_t **trace) {
    trace_t *t = x_steal(trace);
    if (!t) return;
    for (size_t i = 0; i < t->len; i++) hop_done(&t->ring[i]);
    free(t->ring);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

void trace_add(trace_t *t, hop_t *hops, size_t len) {
    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < len; i++) {
        if (t->len == t->cap)
            hop_done(&t->ring[t->next]);
        else
            t->len++;
        t->ring[t->next] = hops[i];
        t->next = (t->next + 1) % t->cap;
    }
    pthread_mutex_unlock(&t->lock);
}

static const hop_t *hop_at(const trace_t *t, size_t age) { // 0: the oldest
    return &t->ring[(t->next + t->cap - t->len + age) % t->cap];
}

static bool from_command_line(const hop_t *hop) {
    return hop->from->role_len == 3 && memcmp(hop->from->text, "cli", 3) == 0;
}

// Looking at a trace leaves one, too; nobody means that.
static bool asks_for_traces(const hop_t *hop) {
    const char *type = hop->type ? hop->type->name : hop->type_name->text;
    return streq(type, actor__trace_query__descriptor.name);
}

static uint64_t last_trace(const trace_t *t) {
    for (size_t i = t->len; i-- > 0;)
        if (from_command_line(hop_at(t, i)) && !asks_for_traces(hop_at(t, i)))
            return hop_at(t, i)->trace_id;
    return 0;
}

static Actor__TraceHop *hop_message(arena_t *arena, const hop_t *hop, const char *process) {
    Actor__TraceHop *m = ARENA_NEW(arena, Actor__TraceHop);
    m->base = (ProtobufCMessage)PROTOBUF_C_MESSAGE_INIT(&actor__trace_hop__descriptor);
    m->trace_id = hop->trace_id;
    m->id = hop->id;
    m->in_reply_to = hop->in_reply_to;
    m->from = arena_strdup(arena, hop->from->text);
    m->to = arena_strdup(arena, hop->to->text);
    m->type = arena_strdup(arena, hop->type ? hop->type->name : hop->type_name->text);
    m->sent_us = hop->sent_us;
    m->queued_us = hop->queued_us;
    m->handled_us = hop->handled_us;
    m->body_bytes = hop->body_bytes;
    m->process = arena_strdup(arena, process);
    return m;
}

void trace_query(trace_t *t, uint64_t trace_id, const char *process, arena_t *arena,
                 Actor__TraceHops *ret_hops) {
    pthread_mutex_lock(&t->lock);
    if (!trace_id) trace_id = last_trace(t);
    size_t len = 0;
    for (size_t i = 0; i < t->len; i++) len += hop_at(t, i)->trace_id == trace_id;
    ret_hops->hops = ARENA_ARRAY(arena, Actor__TraceHop *, len + 1);
    ret_hops->n_hops = 0;
    for (size_t i = 0; i < t->len && trace_id; i++)
        if (hop_at(t, i)->trace_id == trace_id)
            ret_hops->hops[ret_hops->n_hops++] = hop_message(arena, hop_at(t, i), process);
    pthread_mutex_unlock(&t->lock);
}
