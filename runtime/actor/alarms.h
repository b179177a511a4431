// alarms - what is due when: a binary heap whose elements know their place in it. Ties ring in
// the order in which they were set, so that a run does not depend on the heap's shape.
#pragma once
#include "runtime/base/vec.h"

#define ALARM_OFF SIZE_MAX

typedef enum { ALARM_TIMER, ALARM_ASK, ALARM_RESTART, ALARM_DELAYED, ALARM_PING } alarm_kind_t;

typedef struct {
    int64_t at_us;
    uint64_t order; // grows with each setting
    size_t slot;    // in the heap; ALARM_OFF: not set
    void *owner;    // an actor; ALARM_DELAYED: the envelope; ALARM_PING: NULL
    uint64_t key;   // timer: its tag; ask: its id
    alarm_kind_t kind;
} alarm_t;

typedef struct {
    VEC(alarm_t *) heap;
    uint64_t last_order;
} alarms_t;

void alarm_init(alarm_t *alarm, alarm_kind_t kind, void *owner, uint64_t key);
void alarms_set(alarms_t *a, alarm_t *alarm, int64_t at_us); // moves it when it is set already
void alarms_cancel(alarms_t *a, alarm_t *alarm);             // nothing when it is not set
alarm_t *alarms_first(const alarms_t *a);                    // NULL: none is set
void alarms_done(alarms_t *a);
