// simulate_client - the user of a simulated cluster: creates, scales, updates and deletes
// deployments, each with a service, writes a witness object number by number, and follows what the
// cluster shows of it all. What it learns goes into a book, which outlives it: the ledger of chaos'
// experiments (actors/chaos/experiment_plan.h), the checks of every moment (simulate_checks.h), and
// what is in neither.
//
// One operation on a deployment at a time; one of unknown outcome is repeated until it is known.
#pragma once
#include "cli/troupe/simulate_checks.h"
#include "cli/troupe/simulate_rules.h"
#include "runtime/actor/kit.h"

enum { PROMISE_RULES = INVARIANTS_LEN + 1 }; // simulate_book_broken: the checks' come after it
enum {
    SIMULATE_MASTERS_MAX = 3,
    SIMULATE_DEPLOYMENTS_MAX = 64,
    SIMULATE_BROKEN_MAX = 300,
    SIMULATE_POD_CPU_MILLI = 100, // what each pod requests
};

// What the cluster is doing, as far as the client sees; several at once.
typedef enum {
    CLUSTER_IDLE,     // none of these
    CLUSTER_ROLLING,  // a deployment is on its way to what was asked for
    CLUSTER_ELECTING, // the store's leader changed lately, or is not known
    CLUSTER_NODE_LOST,
    CLUSTER_CATCHING_UP, // a member of the store is behind, or does not answer
    CLUSTER_STATES_LEN,
} cluster_state_t;
const char *cluster_state_name(cluster_state_t state);

typedef struct {
    ledger_t ledger;
    checks_t checks;
    char broken[SIMULATE_BROKEN_MAX]; // a promise that the ledger does not know; "": none
    rules_check_t rules;
    size_t operations;                 // acknowledged: of deployments, witness writes and reads
    uint32_t states;                   // bits, as of the last look
    bool quiet;                        // to be set: nothing new, bring to an end what was begun
    bool steady;                       // while quiet: all that was wanted is there …
    char missing[SIMULATE_BROKEN_MAX]; // … or what is not
} simulate_book_t;
void simulate_book_done(simulate_book_t *book);
// The first promise that is broken; NULL: none is. `ret_promise` (may be NULL): a number for which.
const char *simulate_book_broken(const simulate_book_t *book, int *ret_promise);

typedef struct {
    simulate_book_t *book;
    const char *const *masters; // names of the store's members, to ask each who leads
    size_t masters_len;
    int64_t deployments, replicas_max; // each 1 … replicas_max pods, or none
    int64_t every_ms;                  // between two operations
    const rules_node_t *proxies;       // whose rules are looked at
    size_t proxies_len;
} simulate_client_args_t;

#define SIMULATE_CLIENT "cli/simulate"          // its address
extern const actor_def_t simulate_client_actor; // args: simulate_client_args_t
