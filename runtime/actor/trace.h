// trace - the last hops of messages through one process, with the time they waited and the time
// they took. A ring; the oldest give way. Any thread.
#pragma once
#include "runtime/actor/envelope.h"
#include "runtime/base/arena.h"
#include "troupe/actor.pb-c.h"

enum { TRACE_HOPS_DEFAULT = 16 * 1024 };

typedef struct {
    uint64_t trace_id, id, in_reply_to;
    name_t *from, *to; // owned
    const ProtobufCMessageDescriptor *type;
    name_t *type_name; // owned, when type is NULL
    int64_t sent_us, queued_us, handled_us;
    uint32_t body_bytes;
} hop_t;

typedef struct trace trace_t;
trace_t *trace_new(size_t hops_max) MUST_USE;
void trace_destroy(trace_t **trace);
void trace_add(trace_t *t, hop_t *hops, size_t len); // their names are *taken*
// All hops of one trace, oldest first. Trace 0: of the last one that a command line ("cli/…") spoke
// to this process in.
void trace_query(trace_t *t, uint64_t trace_id, const char *process, arena_t *arena,
                 Actor__TraceHops *ret_hops);
