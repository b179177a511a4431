// simulate - a whole cluster in one thread on virtual time, with faults from a seed, and a verdict.
//
//     client ─ net ─ m1: store disk apiserver informers scheduler controllers    m2: …    m3: …
//                    node-1: kubelet, on a made-up container runtime    node-2: …
//
// The actors are those that `troupe run` starts; only the network (runtime/sim), the files
// (files_fake), the state machine's backend (a sorted map) and the nodes' runtime are stood in for.
// The same seed and scenario give the same run, whose hash covers every delivery.
//
// Checked while it runs and at its end: one store leader per term, what was acknowledged is there,
// a watch shows each change once and in order, no pod is bound twice, no node over-committed; what
// was wanted is there some time after the faults have stopped.
#pragma once
#include "cli/troupe/simulate_client.h"
#include "cli/troupe/simulate_faults.h"
#include "runtime/io/config.h"

enum { SIMULATE_NODES_MAX = 5000, SIMULATE_PODS_MAX = 20 * 1000 };

typedef struct {
    int64_t masters; // 1 or 3
    int64_t nodes, pods;
    int64_t proxies; // nodes that have one, of those with a process of their own
    int64_t length_ms, settle_ms;
    int64_t fault_every_ms, fault_for_ms, client_every_ms;
    int64_t room_percent;    // of all nodes; a rollout holds more than is wanted, and nodes go
    config_strings_t faults; // names of fault_kind_name (runtime/actor/targets.h)
} scenario_t;
extern const scenario_t scenario_standard;
extern const config_field_t scenario_config[]; // kind: Scenario
// ERR_INVALID: a number of masters that is neither 1 nor 3, or a fault that is none of its faults.
err_t scenario_check(const scenario_t *scenario, why_t *why) MUST_USE;

enum { FAULT_KINDS_LEN = ACTOR__FAULT_RULE__KIND__HANG + 1 };
typedef struct {
    char broken[SIMULATE_BROKEN_MAX]; // the first violated invariant; "": passed
    int promise;                      // which one: simulate_book_broken
    uint64_t hash;
    size_t operations, faults; // acknowledged; set
    int64_t virtual_ms;
    size_t pods;
    int64_t checked[INVARIANTS_LEN], promised[PROMISES_LEN]; // how often
    uint32_t struck[FAULT_KINDS_LEN][CLUSTER_STATES_LEN]; // faults, by what the cluster was doing
} verdict_t;

void simulate_plan(const scenario_t *scenario, uint64_t seed, fault_plan_t *ret_plan);
// `plan`: some of the seed's faults; NULL: all. `trace`: the story, a line for each delivery and
// fault; NULL: none.
void simulate(const scenario_t *scenario, uint64_t seed, const fault_plan_t *plan, FILE *trace,
              verdict_t *ret_verdict);
