// rounds - one question to the `system` actors of the processes, one answer to who asked: what runs
// everywhere, what is counted, which letters are dead, which faults are on; and faults to be set
// or cleared. A process that does not answer in time is left out, or named where that matters.
// Private to the API server.
#pragma once
#include "runtime/actor/kit.h"
#include "runtime/base/map.h"

enum { ROUNDS_MAX = 64, ROUND_TIMEOUT_MS = 1500 };

typedef struct {
    imap_t all; // id -> round_t
    uint64_t last_id;
} rounds_t;

// Row: the message goes on to every process; the packed answers, one behind the other, are the
// answer.
void rounds_on_question(actor_t *me, const message_t *msg, const void *body);
void rounds_on_inject(actor_t *me, const message_t *msg, const void *body); // row: Chaos__Inject
void rounds_on_move(actor_t *me, const message_t *msg, const void *body);   // row: Actor__MoveActor
// An answer or failure of a process. `body` NULL: it failed.
void rounds_on_answer(actor_t *me, uint64_t id, const message_t *msg, err_t err, const char *why);
void rounds_done(rounds_t *r);
