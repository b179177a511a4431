// fake_store - the store's face in memory, as an actor of role "store": for tests of whatever
// stands on it. One member, no raft, no disk; what it holds outlives the actor.
//
//     fake_store_t *store = fake_store_new();
//     sim_spawn(sim, "m1", "m1", &fake_store_actor, "m1", store, &why);
#pragma once
#include "runtime/actor/kit.h"

typedef struct fake_store fake_store_t;
extern const actor_def_t fake_store_actor; // args: the fake_store_t itself

fake_store_t *fake_store_new(void) MUST_USE;
void fake_store_destroy(fake_store_t **store);
int64_t fake_store_revision(const fake_store_t *store);
// The value at a key; NULL: none. *borrowed* until the next change. NUL-terminated.
const char *fake_store_value(const fake_store_t *store, const char *key);
// The same as bytes (with their length).
const blob_t *fake_store_blob(const fake_store_t *store, const char *key);
size_t fake_store_count(const fake_store_t *store, const char *prefix);
// Everything up to `revision` is history no more.
void fake_store_compact(fake_store_t *store, int64_t revision);
// Behind everybody's back, as another client of the store would.
void fake_store_put(fake_store_t *store, const char *key, const char *value);
// The next n transactions are carried out and their answers lost.
void fake_store_lose_answers(fake_store_t *store, int n);
// And what those n put is deleted at once, as by another client.
void fake_store_lose_and_delete(fake_store_t *store, int n);
