// kinds - the table of API kinds: everything the machinery must know about one is a row here.
//
// To add a kind: its message in proto/k8s, a row, its defaults and its validation.
#pragma once
#include "k8s/meta_v1.pb-c.h"
#include "runtime/api/errors.h"
#include "runtime/api/msg.h"

typedef struct kind kind_t;
typedef enum {
    STRATEGY_CREATE_ON_UPDATE = 1 << 0,     // PUT of a missing object creates it
    STRATEGY_UNCONDITIONAL_UPDATE = 1 << 1, // PUT without resourceVersion is taken
    STRATEGY_HAS_STATUS = 1 << 2,           // has a status subresource; main PUT ignores status
    STRATEGY_HAS_GENERATION = 1 << 3,       // metadata.generation moves with spec
    STRATEGY_GRACEFUL_DELETE = 1 << 4,      // pods: deletion in two steps
} strategy_flag_t;

typedef struct {
    const char *name, *description;
    int priority; // 0: always; 1: only with -o wide
    // The cell's text; `now_wall_ms` for ages. Text lives in the arena.
    const char *(*cell)(arena_t *arena, const ProtobufCMessage *obj, int64_t now_wall_ms);
} column_t;

// Pointers to functions may be NULL: nothing to do for this kind. `defaults` works on this very
// version; prepare and validate work on the stored one: convert first, then ask kind_stored(k).
// An object that was prepared with `old` may share parts with it and must not outlive it.
struct kind {
    const char *group, *version, *name; // "apps", "v1", "Deployment"
    const char *plural, *singular;
    const char *short_names; // separated by spaces; NULL: none
    const char *categories;  // "all"
    const char *verbs;       // separated by spaces
    bool namespaced;
    unsigned strategy; // strategy_flag_t bits
    const ProtobufCMessageDescriptor *type;
    const ProtobufCMessageDescriptor *list_type;
    // Several versions of a kind are stored as one: NULL here means that this row is the stored
    // one. Which stored kind, and the conversions between this version and it.
    const kind_t *stored_as;
    ProtobufCMessage *(*to_stored)(arena_t *arena, const ProtobufCMessage *obj);
    ProtobufCMessage *(*from_stored)(arena_t *arena, const ProtobufCMessage *obj);
    const char *storage_prefix; // "pods", "deployments": /registry/<prefix>/[ns/]name
    void (*defaults)(arena_t *arena, ProtobufCMessage *obj);
    // All causes at once. `old` is NULL on create.
    void (*validate)(const ProtobufCMessage *obj, const ProtobufCMessage *old,
                     field_errors_t *errors);
    void (*validate_status)(const ProtobufCMessage *obj, const ProtobufCMessage *old,
                            field_errors_t *errors);
    // What a client may not set is reset here, before validation (facts/k8s-strategy).
    void (*prepare_create)(arena_t *arena, ProtobufCMessage *obj);
    void (*prepare_update)(arena_t *arena, ProtobufCMessage *obj, const ProtobufCMessage *old);
    // The same for an update of the status alone: everything else comes from `old`.
    void (*prepare_status)(arena_t *arena, ProtobufCMessage *obj, const ProtobufCMessage *old);
    // Field selectors beyond metadata.name and metadata.namespace; JSON paths separated by spaces.
    const char *selectable_fields;
    const column_t *columns; // ends with a row whose name is NULL; NULL: Name and Age
};

// Beside the resources, kind_find and kind_by_api_version know the kinds that exist only as bodies
// of requests and answers: Binding, Scale, Status. Their plural is NULL.
const kind_t *kind_find(const char *group, const char *version, const char *name);
const kind_t *kind_by_plural(const char *group, const char *version, const char *plural);
const kind_t *kind_by_api_version(const char *api_version,
                                  const char *name); // "apps/v1", "Deployment"
// As a person types it: plural, singular, short name or kind, with optional ".group" or
// ".version.group" and a trailing dot ("deployments.", "deploy", "po", "deployments.v1.apps").
const kind_t *kind_by_typed_name(const char *typed);
const kind_t *kind_at(size_t i); // in discovery order; NULL past the end
static inline const kind_t *kind_stored(const kind_t *k) { return k->stored_as ? k->stored_as : k; }
const char *kind_api_version(arena_t *arena, const kind_t *k); // "v1", "apps/v1"
// "deployments.apps", "pods": as error texts and -o name (singular: "deployment.apps") name it.
const char *kind_qualified_plural(arena_t *arena, const kind_t *k);
const char *kind_qualified_singular(arena_t *arena, const kind_t *k);
// The row whose message this is; several rows share no message. NULL: no kind's message.
const kind_t *kind_of(const ProtobufCMessage *obj);
// The kind's columns, or those that every kind has. Never NULL.
const column_t *kind_columns(const kind_t *k);
// Is `word` one of the blank-separated words of `list` (short names, verbs, categories)?
bool kind_has_word(const char *list, const char *word);

// Every object's metadata is its field 1; made when missing.
Meta__ObjectMeta *object_meta(arena_t *arena, ProtobufCMessage *obj);
const Meta__ObjectMeta *object_meta_read(const ProtobufCMessage *obj); // never NULL: an empty one
// Labels and annotations are sorted, unique entry lists.
const char *object_label(const ProtobufCMessage *obj, const char *key); // NULL: none
const char *object_annotation(const ProtobufCMessage *obj, const char *key);
void object_set_label(arena_t *arena, ProtobufCMessage *obj, const char *key,
                      const char *value); // NULL removes
void object_set_annotation(arena_t *arena, ProtobufCMessage *obj, const char *key,
                           const char *value);
// The owner that controls this object; NULL: none.
const Meta__OwnerReference *object_controller(const ProtobufCMessage *obj);

// Time is kept in whole seconds, as Kubernetes keeps it; MicroTime in microseconds.
Meta__Time *time_new(arena_t *arena, int64_t wall_ms);
int64_t time_wall_ms(const Meta__Time *t); // 0: unset
Meta__MicroTime *microtime_new(arena_t *arena, int64_t wall_ms);
int64_t microtime_wall_ms(const Meta__MicroTime *t);

// The stored form is Kubernetes' own: "k8s\0", then a runtime.Unknown that holds apiVersion, kind
// and the packed object. The kind is found by the object's descriptor.
blob_t *object_encode_stored(const ProtobufCMessage *obj) MUST_USE; // *returned*
void *object_decode_stored(arena_t *arena, const kind_t *k,
                           bytes_t value) MUST_USE; // NULL: corrupt, or another kind
bytes_t object_stored_packed(bytes_t value); // the packed object inside, borrowed; at NULL: corrupt
bytes_t object_stored_of(const kind_t *k, bytes_t value); // … if it is of this kind
