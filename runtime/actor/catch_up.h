// catch_up - a new leader's caches must have seen everything its predecessor wrote.
//
// After taking over, an actor asks for the current revision (nobody but itself can write with the
// new epoch from then on) and acts only when its informers have reached it. Caches of idle kinds
// hear of a revision only by a mark: they are listed anew instead of waited for.
#pragma once
#include "runtime/actor/informer.h"

enum { CATCH_UP_RETRY_MS = 100, CATCH_UP_REFRESH_MS = 50 };

typedef struct {
    informers_t *informers; // borrowed
    uint64_t tag;           // of its ask and timer: its own within the actor
    int64_t revision;       // to be reached; 0: not known yet
    bool is_started, is_done;
    bool bears_refusals; // caches that are refused are not waited for: who uses them looks
} catch_up_t;

void catch_up_start(catch_up_t *c, actor_t *me, informers_t *informers, uint64_t tag);
// True: it was its own (rows CurrentRevisionReply, Failure).
bool catch_up_handle(catch_up_t *c, actor_t *me, const message_t *msg, const void *body);
bool catch_up_timer(catch_up_t *c, actor_t *me, uint64_t tag);
bool catch_up_is_done(catch_up_t *c); // once true, true for ever
