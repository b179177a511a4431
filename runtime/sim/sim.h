// sim - actors in one thread on virtual time: hosts → processes → actors, seeded delivery, crash
// and restart, fault rules. Only drives; the checkers live with what they check.
//
// The same seed gives the same run: sim_trace_hash() covers every delivery (time, from, to, type,
// body), every crash and every timer.
#pragma once
#include "runtime/actor/kit.h"

typedef struct sim sim_t;
sim_t *sim_new(uint64_t seed) MUST_USE;
void sim_destroy(sim_t **sim);

// Latency of a message between two processes (within one: none, next round).
void sim_set_latency(sim_t *sim, int64_t low_us, int64_t high_us);
// Faults of ARCHITECTURE §3 by address pattern; same shape as on the live bus.
void sim_set_fault(sim_t *sim, const Actor__FaultRule *rule);
void sim_clear_faults(sim_t *sim);

// Start an actor in a process of a host (both made on first use). args are borrowed for the
// simulation's life. Started again by sim_restart with the same args.
err_t sim_spawn(sim_t *sim, const char *host, const char *process, const actor_def_t *def,
                const char *name, const void *args, why_t *why) MUST_USE;
void sim_kill(sim_t *sim, const char *address,
              const char *reason); // supervised: comes back by back-off
void sim_crash_process(
    sim_t *sim,
    const char *process); // all its actors at once, no stop()-side effects beyond freeing
void sim_restart_process(sim_t *sim, const char *process);
// A process whose actors died too often: live it would end, and its parent start it again. Here
// whoever drives does both. NULL: there is none.
const char *sim_gave_up(const sim_t *sim);
void sim_pause(sim_t *sim, const char *process, bool paused);
void sim_skew(sim_t *sim, const char *process, int64_t wall_offset_ms, double drift);
// Called when a process crashes: fake ports (files) drop what was not synced.
void sim_on_crash(sim_t *sim, const char *process, void (*crashed)(void *arg), void *arg);

int64_t sim_now_ms(const sim_t *sim);
rng_t *sim_rng(sim_t *sim); // for the scenario's own dice
bool sim_step(sim_t *sim);  // next event; false: nothing is left to happen
void sim_run_for(sim_t *sim, int64_t ms);
// Runs until done(arg) or the deadline; true: done.
bool sim_run_until(sim_t *sim, bool (*done)(void *arg), void *arg, int64_t timeout_ms);
uint64_t sim_trace_hash(const sim_t *sim);
void sim_trace_to(sim_t *sim, FILE *out); // the story, a line per delivery; NULL: off

// A hand in the simulation: send as "test/NAME" and collect what comes back.
void sim_tell(sim_t *sim, const char *from, const char *to, const ProtobufCMessage *body);
// Ask and run until the outcome; the answer is unpacked into `arena`.
err_t sim_ask(sim_t *sim, const char *from, const char *to, const ProtobufCMessage *body,
              int64_t timeout_ms, arena_t *arena, const ProtobufCMessageDescriptor *reply_type,
              void **ret_reply, why_t *why);
