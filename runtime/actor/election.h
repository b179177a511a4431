// election - standing for the leadership of a role, for use inside an actor.
//
// One epoch per role, kept by the store and changed only when somebody takes over (proto/troupe/
// api.proto: Elect, Renew). A candidate asks, and its ask is held while another leads; a leader
// renews. The epoch rides on everything the leader sends (actor_set_leader) and the store compares
// it with each write: two leaders may believe, but only one can write. So an election may be lost
// or won late without harm; whoever finds itself deposed ends at once and comes back as standby
// with empty caches.
#pragma once
#include "runtime/actor/kit.h"

enum {
    ELECTION_RENEW_MS = 100,
    ELECTION_RENEWS_PER_ASK = 10, // every tenth renewal is an ask, so that a deposed leader learns
    ELECTION_RETRY_MS = 50,       // no API server answered; with as much jitter again
    ELECTION_ASK_TIMEOUT_MS = 5000,
};

typedef struct {
    const char *role; // borrowed
    uint64_t tag;     // of its asks and timer: its own within the actor
    bool leads;
    uint64_t epoch; // ours when leading, else the last seen
    uint64_t renewals;
} election_t;

void election_start(election_t *e, actor_t *me, const char *role, uint64_t tag);
// True: it was the election's (rows ElectReply, Failure). Compare `leads` before and after.
bool election_handle(election_t *e, actor_t *me, const message_t *msg, const void *body);
bool election_timer(election_t *e, actor_t *me, uint64_t tag);
