// recorder - tells people what happened to an object, as Kubernetes' Event objects.
//
// Repeats of one event within ten minutes raise its count instead of making a new object; ten that
// differ only in their message are combined; an object that causes more than 25 in a row gets one
// in five minutes (facts: events; client-go's correlator). Events are hints: the outcome of their
// writes is looked at only to make an event anew that has expired on the server.
#pragma once
#include "runtime/actor/kit.h"
#include "runtime/api/kinds.h"
#include "runtime/base/map.h"

enum {
    RECORDER_WINDOW_MS = 10 * 60 * 1000,
    RECORDER_SIMILAR_MAX = 10,          // then combined
    RECORDER_BURST = 25,                // per object
    RECORDER_REFILL_MS = 5 * 60 * 1000, // one more per object
    RECORDER_KEYS_MAX = 4096,           // remembered; past it the oldest half is forgotten
};
#define EVENT_NORMAL  "Normal"
#define EVENT_WARNING "Warning"

typedef struct {
    const char *component;          // source.component and reportingComponent; borrowed
    const char *host;               // source.host; NULL: none; borrowed
    uint64_t tag;                   // of its asks: its own within the actor
    map_t events, similar, budgets; // what was told: see recorder.c
    imap_t asks;                    // ask id -> key of `events`, owned
    uint64_t sequence;              // makes names unique within a millisecond
} recorder_t;
void recorder_init(recorder_t *r, const char *component, const char *host, uint64_t tag);
void recorder_done(recorder_t *r);

// What it is about: an object of a kind. `field` (or NULL): involvedObject.fieldPath, as
// "spec.containers{nginx}".
void recorder_event(recorder_t *r, actor_t *me, const kind_t *k, const ProtobufCMessage *obj,
                    const char *field, const char *type, const char *reason, const char *fmt, ...)
    PRINTF_LIKE(8, 9);
// The same under another component's name (one actor that runs several controllers).
void recorder_event_as(recorder_t *r, actor_t *me, const char *component, const kind_t *k,
                       const ProtobufCMessage *obj, const char *field, const char *type,
                       const char *reason, const char *fmt, ...) PRINTF_LIKE(9, 10);
// Outcomes of its asks (Reply and Failure rows). True: it was the recorder's.
bool recorder_handle(recorder_t *r, actor_t *me, const message_t *msg, const void *body);
