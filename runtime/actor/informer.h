// informer - follows one kind of objects by one watch, and keeps what it saw as immutable records.
//
// Embedded in an actor: its own view of the kind, with a cursor of its own. A `shared` one is fed
// by the informers of its process where there are such (informers_actor.h): then the watch and the
// records are the process's, and only the view is the actor's. Otherwise it watches by itself.
//
// Any number of subscribers see each change once, in order. The stream starts with the present
// objects, ends its start with a mark (synced), goes on with changes. A lost stream resumes at the
// informer's revision with back-off and jitter, at whichever API server answers; a revision that no
// server has any more (ERR_EXPIRED) starts anew, and what is gone by then is told as deleted.
//
//     actor's rows                         actor's code
//     WatchEvents, StreamEnd, Failure ──►  if (informers_handle(&self->informers, me, msg, body))
//     return; on_timer(tag)                   ──►  if (informers_timer(&self->informers, me, tag))
//     return;
//
// Callbacks run inside the handler: they change the actor's state (mark a key as dirty) and nothing
// else; settle acts. So a view is frozen for the round.
//
// Read your writes: the answer to a write goes to informer_learn. The cache then holds what the
// actor itself wrote, and older events of the watch do not undo it. informer_revision says up to
// where the watch has come.
#pragma once
#include "runtime/actor/kit.h"
#include "runtime/api/kinds.h"
#include "runtime/base/map.h"
#include "runtime/base/vec.h"
#include "troupe/api.pb-c.h"

// One object as of one revision. Immutable; keep it with record_ref, on any thread.
typedef struct record {
    _Atomic uint32_t refs;
    int64_t revision;                    // metadata.resourceVersion
    const char *key;                     // "ns/name", or "name" for kinds without namespace
    const char *namespace_, *name, *uid; // "" when unset
    const ProtobufCMessage *object;      // of the kind's message
    arena_t arena;                       // holds all of it, the record too
} record_t;
record_t *record_ref(const record_t *r); // NULL stays NULL
void record_unref(record_t **r);
#define RECORD_AS(c_type, record) ((const c_type *)(record)->object)
// A record by hand (tests, replies). *returned*, one reference. The object is copied.
record_t *record_new(const ProtobufCMessage *object) MUST_USE;

typedef struct {
    const record_t *const *at;
    size_t len;
} records_t;

// Changes as they travel inside a process, attached to a chunk of a watch (blob_with).
typedef struct {
    int64_t gone_at; // revision of its deletion: the record is its last state; 0: it is there
    record_t *record;
} record_change_t;
typedef struct {
    size_t len;
    record_change_t at[];
} record_changes_t;
record_changes_t *record_changes_new(size_t len) MUST_USE; // to be filled: one reference each
void record_changes_drop(void *changes);

// An index gives each object 0 … INDEX_KEYS_MAX keys; objects are then found by key.
enum { INDEX_KEYS_MAX = 16, INFORMER_INDEXES_MAX = 6, INFORMER_SUBSCRIBERS_MAX = 16 };
typedef size_t (*index_fn)(const ProtobufCMessage *object, const char *ret_keys[INDEX_KEYS_MAX]);
size_t index_by_namespace(const ProtobufCMessage *object, const char *ret_keys[INDEX_KEYS_MAX]);
size_t index_by_owner_uid(const ProtobufCMessage *object,
                          const char *ret_keys[INDEX_KEYS_MAX]); // every owner
size_t index_by_controller_uid(const ProtobufCMessage *object,
                               const char *ret_keys[INDEX_KEYS_MAX]); // "" if none
size_t index_by_pod_node(const ProtobufCMessage *object,
                         const char *ret_keys[INDEX_KEYS_MAX]); // pods: spec.nodeName, "" if none
size_t index_by_service_name(
    const ProtobufCMessage *object,
    const char *ret_keys[INDEX_KEYS_MAX]); // "ns/svc" of label kubernetes.io/service-name

typedef struct {
    const kind_t *kind;
    const char *namespace_;                 // NULL or "": all
    const char *label_selector;             // NULL or "": all
    const char *field_selector;             // "spec.nodeName=node-1"
    uint64_t tag;                           // of its stream and its timer: its own within the actor
    index_fn indexes[INFORMER_INDEXES_MAX]; // informer_by names them by position; ends with NULL
    // What of an object is worth keeping (memory); NULL: all. The result may share parts with obj.
    // Records that the process shares are whole.
    ProtobufCMessage *(*slim)(arena_t *arena, const ProtobufCMessage *obj);
    bool shared;   // others of this process may follow the same
} informer_spec_t; // strings borrowed for the informer's life

typedef struct informer informer_t;
informer_t *informer_new(const informer_spec_t *spec) MUST_USE;
void informer_destroy(informer_t **inf); // the stream ends with the actor, or informer_stop
// `was` NULL: added; `is` NULL: deleted (or no longer selected). Both borrowed; ref to keep.
typedef void (*informer_changed_fn)(void *arg, const record_t *was, const record_t *is);
void informer_subscribe(informer_t *inf, informer_changed_fn changed, void *arg);
void informer_start(informer_t *inf, actor_t *me); // opens the watch
// Watches anew where it is, and hears how far the store is now: for a cache that must reach a
// revision of which its kind, being idle, hears only by the next mark.
void informer_refresh(informer_t *inf, actor_t *me);
void informer_stop(informer_t *inf, actor_t *me); // closes it; the records stay
// True: it was this informer's message (or timer).
bool informer_handle(informer_t *inf, actor_t *me, const message_t *msg, const void *body);
bool informer_timer(informer_t *inf, actor_t *me, uint64_t tag);

// ---- questions ---------------------------------------------------------------------------------
const kind_t *informer_kind(const informer_t *inf);
bool informer_is_synced(const informer_t *inf);    // has once seen everything
bool informer_is_refused(const informer_t *inf);   // has not, since no server lets it
int64_t informer_revision(const informer_t *inf);  // has seen everything up to here
int64_t informer_gone_at(const informer_t *inf);   // inside a callback with `is` NULL: since when
uint64_t informer_listings(const informer_t *inf); // begun so far
bool informer_is_fresh(const informer_t *inf);     // has been told all since it was last refreshed
const record_t *informer_get(const informer_t *inf, const char *ns, const char *name);
const record_t *informer_get_key(const informer_t *inf, const char *key);
size_t informer_len(const informer_t *inf);
records_t informer_all(informer_t *inf); // sorted by key; valid until the next handler
records_t informer_by(informer_t *inf, size_t index, const char *key); // the same, of one index key

// ---- own writes
// ----------------------------------------------------------------------------------- The answer to
// a write of this kind: newer than what the watch has told, it is taken in as if it had come by it.
// A deleted object: informer_learn_deleted with the reply's revision.
void informer_learn(informer_t *inf, const ProtobufCMessage *object);
void informer_learn_deleted(informer_t *inf, const char *ns, const char *name, int64_t revision);

// ---- several, as one actor has them ------------------------------------------------------------
typedef struct {
    VEC(informer_t *) all;
} informers_t;
informer_t *informers_add(informers_t *set, const informer_spec_t *spec); // owned by the set
void informers_start(informers_t *set, actor_t *me);
bool informers_handle(informers_t *set, actor_t *me, const message_t *msg, const void *body);
bool informers_timer(informers_t *set, actor_t *me, uint64_t tag);
void informers_done(informers_t *set);
