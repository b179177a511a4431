// informers_actor - the informers of a process: one watch for each wish, one record for each
// object, whoever follows it here.
//
//     API server ──watch──► informers/P ──records──► controllers/P   (each its own view, its own
//                                │      └──────────► scheduler/P      cursor, frozen for a round)
//                                └─────────────────► proxy/P, on another thread
//
// A line in the topology gives a process its informers; in a process without them each actor
// watches by itself. They take the same Watch as the API server, from actors of their own process
// only. What they send are WatchEvents whose records are attached (record_changes_t), so that
// nothing is packed or unpacked on the way; a fault rule between informers/P and one follower
// delays that one alone.
//
// Every opened stream, and one that fell INFORMERS_BEHIND_MAX changes behind, begins with the whole
// of what is there: `whole` on its first chunk, a mark at its end. For who has it already these are
// pointers to compare. So a killed informers/P costs its followers nothing but the wait.
#pragma once
#include "runtime/actor/informer.h"

#define INFORMERS "informers"
enum {
    INFORMERS_BEHIND_MAX = 4 * 1024, // changes kept for the slowest follower
    INFORMERS_WISHES_MAX = 256,      // kinds × selectors followed at once
    INFORMERS_IDLE_MS = 10 * 1000,   // what nobody follows any more is kept so long
};

extern const actor_def_t informers_actor; // no args
