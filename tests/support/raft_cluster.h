// raft_cluster - Raft cores on a table: a net of lists, disks of arrays, a clock that is a number.
//
// Driven by lines of text (docs in raft_cluster.c), for golden traces; or by dice, for properties.
// After every step it holds the run to Raft's promises (dissertation, figure 3.2): election safety,
// log matching, leader completeness, state machine safety, and that a linearizable read sees every
// entry that was committed before it began. A broken one is told by raft_cluster_fault.
#pragma once
#include "runtime/base/rng.h"
#include "store/raft/raft.h"

typedef struct raft_cluster raft_cluster_t;

raft_cluster_t *raft_cluster_new(void) MUST_USE;
void raft_cluster_destroy(raft_cluster_t **cluster);
// Runs a script: lines that begin with "> " are commands, all others are what they printed the
// last time. Returns the script with what they print now (*returned*).
char *raft_cluster_run(const char *script) MUST_USE;
const char *raft_cluster_fault(const raft_cluster_t *c); // NULL: all promises were kept

typedef struct {
    size_t members;
    size_t learners;
    double loss, duplication, reorder; // probabilities per message
    double crash, partition;           // per step
    size_t steps;
    // Canaries: each breaks one promise of the shell or the core's rules; the checks must see it.
    enum { SHELL_IS_SOUND, SHELL_VOTE_NOT_SYNCED, SHELL_APPEND_NOT_SYNCED } canary;
} raft_dice_t;
// Plays a random run. False: a promise was broken; fault says which.
bool raft_cluster_play(raft_cluster_t *c, uint64_t seed, const raft_dice_t *dice);
// After the faults end: everything heals, and the cluster must elect, commit and agree.
bool raft_cluster_calm(raft_cluster_t *c);
size_t raft_cluster_commits(const raft_cluster_t *c); // entries that were ever committed
