// lane - one direction pair of a link's connection: sequence numbers, credits, a bounded queue.
// Pure: no socket, no clock.
//
// Every message of a connection is numbered from 1. A receiver tells up to which number it takes
// messages (LaneCredit, cumulative); a sender stops there, below the socket's high-water mark, so
// that nothing waits in a socket whose peer does not read. What a sender may not send yet waits in
// the queue; when that is full, the message is refused: an answer, at once.
#pragma once
#include "runtime/actor/envelope.h"
#include "runtime/base/err.h"

enum {
    LANE_WINDOW = 1024, // messages under way
    LANE_GRANT_EVERY = LANE_WINDOW / 4,
    LANE_SLACK = 64,       // the links' own messages are not held back
    LANE_QUEUE_MAX = 8192, // a burst of one round
    LANE_QUEUE_MAX_BYTES = 64 << 20,
    // Of the socket, never reached: libzmq learns in steps of half the mark what the peer has read.
    LANE_HIGH_WATER = 2 * (LANE_WINDOW + LANE_SLACK),
};

typedef struct {
    uint64_t sent;            // number of the last message we sent
    uint64_t may_send;        // the peer takes messages up to here
    uint64_t received;        // number of the last message we took
    uint64_t granted;         // what the peer was told
    envelope_t *first, *last; // waiting; owned
    size_t queued, queued_bytes;
} lane_t;

void lane_init(lane_t *l);
void lane_done(lane_t *l); // drops what waits

static inline bool lane_may_send(const lane_t *l) { return l->sent < l->may_send; }
uint64_t lane_next(lane_t *l);  // the number of the message that is being sent
void lane_take_back(lane_t *l); // the socket refused it: its number is free again

// Append; *taken* on ERR_OK. ERR_OVERLOADED: the queue is full.
err_t lane_queue(lane_t *l, envelope_t **env) MUST_USE;
envelope_t *lane_pop(lane_t *l); // *returned*; NULL: none

typedef enum {
    LANE_IN_ORDER,
    LANE_AFTER_GAP, // take it; some before it were lost
    LANE_REPEATED,  // drop it
    LANE_OVERRUN,   // the peer does not keep to its credit
} lane_order_t;
lane_order_t lane_receive(lane_t *l, uint64_t sequence);
// Is it time to tell the peer a new credit? Then *ret_up_to is it, and counts as told.
bool lane_grant(lane_t *l, uint64_t *ret_up_to);
// The peer's credit. False: absurd (more than a window beyond what we sent).
bool lane_credit(lane_t *l, uint64_t up_to);
