// request - one request of a client, from its message to the transaction that carries it out.
//
//     message ──► request_read ──► present state (cache, else store) ──► request_decide ──┐
//                                        ▲                                                │
//                                        │ lost the race: the store's state, ┌─────────┼─────────┐
//                                        └───────── again, at most 5 times ── WRITE     REPLY FAIL
//
// Deciding is pure: the whole present in, one decision out; the same request on the same present
// with the same dice gives the same bytes. The cached state is good enough to write on, because
// the transaction compares its revision; it is not good enough to refuse on, so whoever refuses or
// finds nothing to do on a state that did not come from the store just now is asked again with one
// that did.
#pragma once
#include "actors/apiserver/allocs.h"
#include "actors/apiserver/rights.h"
#include "runtime/base/text.h"
#include "troupe/api.pb-c.h"
#include "troupe/store.pb-c.h"

enum { REQUEST_ATTEMPTS_MAX = 5 + 8 }; // lost races, and generated names that were taken

typedef enum { VERB_GET, VERB_CREATE, VERB_UPDATE, VERB_PATCH, VERB_DELETE } verb_t;

// What is asked. Everything borrowed from the unpacked message, or in the arena.
typedef struct {
    verb_t verb;
    const kind_t *asked, *stored;
    const char *ns, *name, *sub; // "" where not given, never NULL
    union {
        const Api__Create *create;
        const Api__Update *update;
        const Api__Patch *patch;
        const Api__Delete *delete_;
    };
    ProtobufCMessage *made; // what a create bears, once request_name has read it
    identity_t who;
    bool dry_run;
    uint64_t seed;    // dice: uid, generated name, drawn addresses
    unsigned attempt; // from 0
} request_t;

// What stands in the store under the request's name.
typedef struct {
    bool exists;
    bool is_fresh;         // read from the store after the request came
    ProtobufCMessage *obj; // stored version, with its resourceVersion
    int64_t revision;
} present_t;

typedef struct {
    bool exists, is_terminating;
    int64_t revision;
} namespace_state_t;

typedef struct {
    int64_t now_wall_ms;
    namespace_state_t ns; // the request's namespace
    const allocs_t *allocs;
    alloc_ranges_t ranges;
    int64_t not_ready_toleration_s, unreachable_toleration_s;
    int64_t event_lease; // what events are stored under; 0: none yet
} world_t;

typedef enum {
    DECISION_FAIL,  // status
    DECISION_REPLY, // obj as it stands (dry run: as it would stand)
    DECISION_WRITE, // txn; when it succeeds: obj is what `value` holds
} decision_kind_t;

typedef struct {
    decision_kind_t kind;
    Meta__Status *status;
    ProtobufCMessage *obj; // stored version
    int64_t revision;      // REPLY: of obj
    Api__Outcome outcome;
    Store__TxnRequest *txn; // fence not yet filled in
    blob_t *value;          // *owned*: obj in stored form; the txn borrows its bytes
} decision_t;

// Which object is the request about? Refusals that need no state: unknown resource, verb or
// subresource; rights. NULL: `ret` is filled, else the Status to fail with.
Meta__Status *request_read(arena_t *arena, const ProtobufCMessage *body, const identity_t *who,
                           request_t *ret);
// What list and watch are about: the same for them.
Meta__Status *request_resource(arena_t *arena, const Api__Resource *resource, const char *verb,
                               const identity_t *who, const kind_t **ret_kind);
// The name under which to look: the asked one, or the one that a create generates in this attempt.
// Resolves r->name. NULL, or the Status (a body that cannot be read).
Meta__Status *request_name(arena_t *arena, request_t *r);
bool request_needs_namespace(const request_t *r); // it may create something in one

void request_decide(arena_t *arena, const request_t *r, const present_t *present,
                    const world_t *world, decision_t *ret);
// One line, for the log and for tests: "write CONFIGURED if /registry/pods/default/x at 7: put …".
void decision_print(const decision_t *d, text_t *out);

// The object as the client gets it: `obj` (stored version) in the asked version, or its Scale.
const ProtobufCMessage *request_answer(arena_t *arena, const request_t *r, ProtobufCMessage *obj,
                                       const kind_t **ret_kind);
