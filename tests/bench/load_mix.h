// load_mix - what a client of the store asks next: five kinds of clients, each working on its own
// few keys, with values that nobody else writes. No sockets, no clock: entries of a history go out
// (store/check/history.h), and the same entries come back with their answers.
//
//     register   gets, puts and deletes of single keys
//     append     reads a key, and puts it with something added if nobody was faster
//     txn        several keys at once: puts, compares on keys and ranges, deletions and gets of
//     ranges lease      locks: a key with a lease, kept alive for a while, then given up or left to
//     its end mixed      now this, now that: clients take the four in turn
#pragma once
#include "runtime/base/rng.h"
#include "store/check/history.h"

typedef enum { MIX_REGISTER, MIX_APPEND, MIX_TXN, MIX_LEASE, MIX_KINDS } mix_kind_t;
bool mix_kind_from(const char *name, mix_kind_t *ret_kind);

enum { MIX_LEASE_TTL_MS = 1500 };

typedef struct {
    const char *prefix; // of all keys; borrowed
    int64_t id;
    mix_kind_t kind;
    rng_t rng;
    uint64_t sequence; // of its values
    // append: what it saw last; mod 0: it must look first
    revision_t seen_mod;
    bytes_t seen;
    // txn: keys and their mod revisions of the last range
    revision_t seen_mods[2], seen_revision;
    // lease
    int64_t lease;  // 0: none
    bool holds;     // the lock is its own
    int keeps_left; // before it gives up
    bytes_t lock_value;
} mix_client_t;

void mix_init(mix_client_t *client, int64_t id, mix_kind_t kind, const char *prefix, uint64_t seed);
// All of it in the arena: kind, operations, compares; times and outcome are the caller's.
history_entry_t mix_next(mix_client_t *client, arena_t *arena);
void mix_done(mix_client_t *client, const history_entry_t *entry);
// How long it thinks before mix_next; ms.
int64_t mix_pause_ms(const mix_client_t *client, int64_t think_ms);
