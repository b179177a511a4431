// child_status - what a child tells its parent, line by line, over a pipe.
//
//     ready                every actor has started, sockets are open
//     failed SENTENCE      it could not start, and will exit
//     ending SENTENCE      it gives up by itself (an actor used up its restarts, …)
//     alive                every actor's last call has returned; said four times per `hang_ms`
//     hung SENTENCE        one has not: it will be silent from now on, and killed for it
//     place ADDRESS PROCESS    this actor has ended here and goes there (placement.h)
//     refused ADDRESS SENTENCE it was moved here and could not start
//     pause MILLISECONDS   stop me for so long (a fault of chaos)
//
// A parent tells its children one thing, by SIGHUP: the placement has changed, look what is yours.
//
// A child finds the pipe and the data folder's lock at fixed descriptors.
#pragma once
#include "runtime/base/text.h"

enum {
    CHILD_LOCK_FD = 3,
    CHILD_STATUS_FD = 4,
    CHILD_EXIT_FAILED = 78, // could not start (sysexits.h: EX_CONFIG)
    CHILD_EXIT_ENDED = 1,
};
void child_status_send(int fd, const char *word, const char *sentence); // sentence may be NULL
// Reads what is there into `buffer`; false: the other end is closed (and everything was read).
bool child_status_read(int fd, text_t *buffer);
// Takes the next whole line out of the buffer: *ret_word and *ret_sentence point into `line`,
// which holds it until the next call. False: no whole line.
bool child_status_next(text_t *buffer, text_t *line, const char **ret_word,
                       const char **ret_sentence);
