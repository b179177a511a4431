// faults - what goes wrong on purpose in one process: rules that make its bus lie (drop, delay,
// duplicate, reorder, partition, by patterns of sender, receiver and message type), and the list of
// the other faults that are on (paused actors, a wrong clock, a slow disk …), which system_actor
// performs. The live bus and the simulator use the same rules.
//
// Drop, delay and partition act where a message is sent; duplicate and reorder where it arrives,
// and only for actors that declare that they bear them: for all others they act below the check
// that keeps messages in order and unrepeated, so that a duplicate is nothing and a reordered
// message is a lost one.
//
// A rule carries its own end, so that it ends also when whoever set it is gone. The roads of
// administration (cli, admin, chaos, system, steward) are spared unless a rule is `forced`: a rule
// never cuts off the way to clear it.
#pragma once
#include "runtime/actor/envelope.h"
#include "runtime/base/arena.h"
#include "runtime/base/rng.h"
#include "troupe/actor.pb-c.h"

enum { FAULT_RULES_MAX = 256 };

typedef struct faults faults_t;
faults_t *faults_new(void) MUST_USE;
void faults_destroy(faults_t **faults);
bool fault_is_of_the_bus(Actor__FaultRule__Kind kind);

// A rule of the same name is replaced. Any thread. False: there are FAULT_RULES_MAX already.
bool faults_set(faults_t *f, const Actor__FaultRule *rule, int64_t now_us);
// All of this id ("ID", "ID/PART"); NULL: all. `undone` (may be NULL) is told of each.
typedef void (*fault_undone_fn)(void *arg, const Actor__FaultRule *rule);
void faults_clear(faults_t *f, const char *id, fault_undone_fn undone, void *arg);
// Those whose time is over go. Returns when the next one ends; INT64_MAX: none does.
int64_t faults_expire(faults_t *f, int64_t now_us, fault_undone_fn undone, void *arg);
void faults_list(faults_t *f, int64_t now_us, arena_t *arena, Actor__Faults *ret_faults);
bool faults_any(const faults_t *f); // of the bus; cheap: one relaxed load

typedef struct {
    bool drop;
    int64_t delay_us; // 0: at once
    bool duplicate;
    bool reorder; // let what comes behind it overtake
} fault_verdict_t;
// In which process, and when. `to`: the receiver's; NULL: the same.
typedef struct {
    const char *here, *to;
    int64_t now_us;
} fault_place_t;
fault_verdict_t faults_on_send(faults_t *f, const envelope_t *env, const fault_place_t *at,
                               rng_t *dice);
fault_verdict_t faults_on_arrival(faults_t *f, const envelope_t *env, const fault_place_t *at,
                                  rng_t *dice);

// What is added to the wall clock that actors see.
int64_t faults_skew_ms(const faults_t *f);
void faults_set_skew(faults_t *f, int64_t skew_ms);

bool pattern_matches(const char *pattern, const char *text); // '*' only; NULL or "" matches all
