// traces - a request's walk through all processes: asks the `system` actor of each, joins the hops.
// What does not answer in time is left out. Private to the API server.
#pragma once
#include "runtime/actor/kit.h"
#include "runtime/base/map.h"
#include "runtime/base/vec.h"

enum { TRACES_TIMEOUT_MS = 1000, TRACES_MAX = 64, TRACE_HOPS_MAX = 16 * 1024 };

typedef struct trace_work trace_work_t;
typedef struct {
    imap_t works; // id -> trace_work_t *
    uint64_t last_id;
} traces_t;

void traces_on_query(actor_t *me, const message_t *msg, const Actor__TraceQuery *query);
// An answer of a process, for the work that its tag names; NULL: none came.
void traces_on_hops(actor_t *me, uint64_t work, blob_t *hops);
void traces_done(traces_t *t);
