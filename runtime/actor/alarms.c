#include "runtime/actor/alarms.h"

void alarm_init(alarm_t *alarm, alarm_kind_t kind, void *owner, uint64_t key) {
    *alarm = (alarm_t){.slot = ALARM_OFF, .kind = kind, .owner = owner, .key = key};
}

static bool earlier(const alarm_t *a, const alarm_t *b) {
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

static void put(alarms_t *a, size_t slot, alarm_t *alarm) {
    a->heap.at[slot] = alarm;
    alarm->slot = slot;
}

static void rise(alarms_t *a, size_t slot) {
    alarm_t *alarm = a->heap.at[slot];
    while (slot > 0) {
        size_t parent = (slot - 1) / 2;
        if (!earlier(alarm, a->heap.at[parent])) break;
        put(a, slot, a->heap.at[parent]);
        slot = parent;
    }
    put(a, slot, alarm);
}

static void sink(alarms_t *a, size_t slot) {
    alarm_t *alarm = a->heap.at[slot];
    for (;;) {
        size_t child = slot * 2 + 1;
        if (child >= a->heap.len) break;
        if (child + 1 < a->heap.len && earlier(a->heap.at[child + 1], a->heap.at[child])) child++;
        if (!earlier(a->heap.at[child], alarm)) break;
        put(a, slot, a->heap.at[child]);
        slot = child;
    }
    put(a, slot, alarm);
}

void alarms_set(alarms_t *a, alarm_t *alarm, int64_t at_us) {
    alarms_cancel(a, alarm);
    alarm->at_us = at_us;
    alarm->order = ++a->last_order;
    vec_push(&a->heap, alarm);
    alarm->slot = a->heap.len - 1;
    rise(a, alarm->slot);
}

void alarms_cancel(alarms_t *a, alarm_t *alarm) {
    if (alarm->slot == ALARM_OFF) return;
    size_t slot = alarm->slot;
    assert(slot < a->heap.len && a->heap.at[slot] == alarm);
    alarm->slot = ALARM_OFF;
    alarm_t *last = a->heap.at[--a->heap.len];
    if (last == alarm) return;
    put(a, slot, last);
    rise(a, slot);
    sink(a, last->slot);
}

alarm_t *alarms_first(const alarms_t *a) { return a->heap.len ? a->heap.at[0] : NULL; }

void alarms_done(alarms_t *a) { vec_done(&a->heap); }
