// experiment_plan - an experiment's pure half: when which fault strikes, and what was seen
// meanwhile, judged.
//
// The witness is an object of our own, a ConfigMap whose data holds a number. It is written with
// its revision as the precondition, one number after the other, so that a write of unknown outcome
// can never come late and undo a later one: whatever is read afterwards must be at least what was
// acknowledged before, and the watch must show each acknowledged number once, in order.
#pragma once
#include "k8s/core_v1.pb-c.h"
#include "runtime/actor/informer.h"
#include "runtime/base/map.h"
#include "runtime/base/text.h"
#include "runtime/base/vec.h"
#include "troupe/actor.pb-c.h"
#include "troupe/experiments.pb-c.h"

enum { STRIKES_MAX = 256, BROKEN_MAX_BYTES = 200 };

// ---- when ---------------------------------------------------------------------------------------
typedef struct {
    int64_t at_ms; // after the start
    size_t fault;  // index in spec.faults
} strike_t;
typedef struct {
    strike_t *at; // by time; the arena's
    size_t len;
    int64_t duration_ms, recovery_ms;
} schedule_t;
// `every` repeats a fault until the duration is over, up to a quarter of it later each time, as the
// seed says. The same spec gives the same schedule.
void schedule_plan(arena_t *arena, const Experiments__ExperimentSpec *spec, schedule_t *ret);
// The rule of a fault, named after the experiment. False: its action is no fault.
bool strike_rule(arena_t *arena, const char *experiment, const Experiments__ExperimentFault *fault,
                 size_t serial, Actor__FaultRule *ret_rule);
int64_t duration_ms(const char *text); // "5s"; 0: none

// ---- judged -------------------------------------------------------------------------------------
typedef enum {
    INVARIANT_WRITES,   // what was acknowledged is there
    INVARIANT_WATCH,    // each change once, in order
    INVARIANT_LEADERS,  // of a role there is one leader per epoch
    INVARIANT_BINDS,    // a pod goes to one node, once
    INVARIANT_CAPACITY, // no node has promised more than it has
    INVARIANT_WANTED,   // what is wanted was there again in time
    INVARIANTS_LEN,
} invariant_t;
const char *invariant_name(invariant_t invariant);

typedef struct {
    int64_t checked;
    char broken[BROKEN_MAX_BYTES]; // the first time; "": it holds
} finding_t;
// The first break stays: it is the story.
void finding_break(finding_t *f, const char *fmt, ...) PRINTF_LIKE(2, 3);

typedef struct {
    finding_t findings[INVARIANTS_LEN];
    VEC(uint8_t) writes; // by number: acknowledged, seen
    int64_t acked, seen, seen_revision;
    map_t nodes_of; // pod uid -> char *, its node
} ledger_t;
void ledger_done(ledger_t *l);
void ledger_acked(ledger_t *l, int64_t number);
// A read that began when `acked` was the last acknowledged number.
void ledger_read(ledger_t *l, int64_t acked, int64_t number);
void ledger_watched(ledger_t *l, int64_t revision, int64_t number);
void ledger_leaders(ledger_t *l, const Actor__ActorInfos *actors);
void ledger_pod(ledger_t *l, const Core__Pod *pod);
void ledger_capacity(ledger_t *l, records_t nodes, records_t pods);
void ledger_wanted(ledger_t *l, bool reached, const char *what);
bool ledger_watch_is_there(const ledger_t *l); // it has shown the last acknowledged number
void ledger_close(ledger_t *l);                // the experiment is over: what never came is missing
// Every invariant was checked and holds.
bool ledger_passes(const ledger_t *l);

// Does the Deployment run as it is wanted? `ret_what` says what is missing, in the arena.
bool deployment_is_steady(arena_t *arena, const ProtobufCMessage *deployment,
                          const char **ret_what);
