// hand - a test's hand in a live process: an actor ("hand/NAME", or another role) that does what
// the test's thread says and keeps what comes back.
#pragma once
#include "runtime/actor/process.h"
#include <pthread.h>

enum { HAND_HEARD_MAX = 64 * 1024, HAND_TEXT_MAX = 120 };

typedef struct {
    uint64_t tag;
    err_t err;                // of a Failure or StreamEnd
    const char *type;         // short name: "LogChunk", "Failure", "Down"
    char text[HAND_TEXT_MAX]; // data of a chunk, why of a failure, address of a Down or Up
    int64_t number;           // offset of a chunk
    char principal[64];
    char reason[64]; // of a Down
} heard_t;

typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t news;
    int wake_fd;
    void (*wish)(actor_t *me, void *arg); // under way; NULL: done
    void *wish_arg;
    heard_t *heard; // HAND_HEARD_MAX
    size_t heard_len;
} hand_t;

void hand_init(hand_t *h);
void hand_done(hand_t *h);
// The actor; role NULL: "hand".
void hand_spawn(hand_t *h, process_t *p, const char *dispatcher, const char *role,
                const char *name);
// Runs fn on the actor's thread and waits until it has returned.
void hand_do(hand_t *h, void (*fn)(actor_t *me, void *arg), void *arg);
void hand_ask(hand_t *h, const char *to, const char *data, int64_t number, uint64_t tag);
void hand_tell(hand_t *h, const char *to, const char *data, int64_t number);
void hand_monitor(hand_t *h, const char *address);
void hand_open(hand_t *h, const char *to, int64_t chunks, uint64_t tag);
// Asks until somebody answers; false: not within 10 s.
bool hand_reaches(hand_t *h, const char *to);
// Waits for the n-th thing heard (from 0), 10 s at most; NULL: it did not come.
const heard_t *hand_heard(hand_t *h, size_t n);
void hand_forget(hand_t *h); // what was heard

// "echo/NAME": answers a LogChunk with itself (its text followed by " by NAME for PRINCIPAL"), and
// a PodLogs (opened as a stream) with tail_lines chunks, then the end; below 0: it stays open.
extern const actor_def_t echo_actor;
