// simulate_faults - the faults of one run, as data: when which strikes, for how long. Drawn from
// the seed; a run may be given some of them only, which is how a failure is shrunk. Pure.
//
// Each fault has dice of its own, which say whom it strikes: leaving one out changes no other.
#pragma once
#include "runtime/actor/targets.h"
#include "runtime/base/text.h"
#include "runtime/base/vec.h"
#include "runtime/base/why.h"
#include "troupe/actor.pb-c.h"

typedef struct {
    size_t number; // in the seed's schedule, from 1
    Actor__FaultRule__Kind kind;
    int64_t at_ms, for_ms; // after the run's start
    uint64_t dice;
} fault_t;

typedef struct {
    VEC(fault_t) faults; // by time
    int64_t length_ms;   // of the time under faults
} fault_plan_t;

typedef struct {
    const char *const *kinds; // names of fault_kind_name
    size_t kinds_len;
    int64_t length_ms, every_ms, for_ms; // every: on average; for: at most
} fault_odds_t;
void fault_plan_draw(const fault_odds_t *odds, uint64_t seed, fault_plan_t *ret_plan);
void fault_plan_done(fault_plan_t *plan);
void fault_plan_dup(const fault_plan_t *plan, fault_plan_t *ret_plan);

// "2,7:500,12/9000": of the drawn ones the second, the seventh for 500 ms only, and the twelfth; of
// 9,000 ms in all. "" : none. ERR_INVALID: no such text, or no such fault.
err_t fault_plan_choose(fault_plan_t *plan, const char *text, why_t *why) MUST_USE;
void fault_plan_print(const fault_plan_t *plan, text_t *out);
