// dead_letters - the last messages of a process that reached nobody: their receiver was gone, full,
// or cut off by a fault. A ring; the oldest give way. Any thread.
#pragma once
#include "runtime/actor/envelope.h"
#include "runtime/base/arena.h"
#include "troupe/actor.pb-c.h"

enum { DEAD_LETTERS_MAX = 512 };

typedef struct dead_letters dead_letters_t;
dead_letters_t *dead_letters_new(void) MUST_USE;
void dead_letters_destroy(dead_letters_t **letters);
// `why` is a constant text.
void dead_letters_add(dead_letters_t *d, const envelope_t *env, const char *why, int64_t wall_ms);
// Oldest first.
void dead_letters_list(dead_letters_t *d, const char *process, arena_t *arena,
                       Actor__DeadLetters *ret_letters);
