// system_actor - the process as an actor, `system/PROCESS`: who runs here, kill, pause, faults,
// traces, metrics. It asks one steward per dispatcher, `steward/PROCESS/DISPATCHER`, which knows
// the actors of its own thread.
#pragma once
#include "runtime/actor/process_inner.h"

enum { STEWARD_TIMEOUT_MS = 2000 };

typedef struct {
    const process_options_t *options;
    const char *process; // its name
    trace_t *trace;
    faults_t *faults;
    dead_letters_t *dead_letters;
} system_args_t;
extern const actor_def_t system_actor;
extern const actor_def_t steward_actor; // no args
// From system_actor only: the same question to every steward of the process; how many there are.
size_t system_ask_stewards(actor_t *me, const ProtobufCMessage *body, uint64_t tag);
