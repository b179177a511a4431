// moves - actors that leave a process for another: a part of system_actor.
//
//     asked ─► [far: may it come? asked of system/THERE] ─► Done to the asker ─► retired by its
//     steward, mailbox drained ─► the parent is told: place ADDRESS THERE ─► [far: system/THERE is
//     told to take it; refused: it is placed here again]
//
// Between processes of one parent the parent sees to the rest. One of another parent (another
// machine) is asked with MoveActor without `from`, twice: `check`, then for good. Which process is
// far, and who may come or go, the hooks of process_options_t say.
#pragma once
#include "runtime/actor/kit.h"
#include "runtime/actor/process.h"
#include "runtime/base/map.h"

enum { MOVES_MAX = 64 }; // under way at once
typedef struct {
    imap_t all; // tag -> departure_t
    uint64_t last_tag;
} moves_t;
// Tags of its asks.
#define MOVES_TAG(tag) ((tag) >> 63)

void moves_done(moves_t *m);
// Row MoveActor: an actor of ours is to go, or one without `from` to come.
void moves_on_order(moves_t *m, actor_t *me, const process_options_t *options, const message_t *msg,
                    const Actor__MoveActor *move);
// What was asked with a tag of ours is done, or failed.
void moves_on_answer(moves_t *m, actor_t *me, const process_options_t *options, uint64_t tag,
                     err_t err, const char *why);
