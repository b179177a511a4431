// api_client - asking the API server, for use inside any actor: build the request, open the answer.
//
// Requests go to the bare role "apiserver" (any ready one) as asks with API_TIMEOUT_MS. An ask has
// exactly one outcome, at the actor's own rows: Api__Reply (or the reply of its kind), or
// Actor__Failure. Both bear the tag that the actor chose:
//
//     api_create(me, pod_kind, pod, TAG_CREATE);
//     …
//     static void on_reply(actor_t *me, const message_t *msg, const void *body) {
//         void *pod;
//         if (api_reply_object(actor_arena(me), body, pod_kind, &pod) == ERR_OK) …
//     }
//     static void on_failure(actor_t *me, const message_t *msg, const void *body) {
//         api_failure_t failure = api_failure(actor_arena(me), body);
//         if (failure.is_unknown) …           // it may have happened all the same
//     }
//
// Names of what is created are chosen before sending and kept until the outcome is known, so that
// a retry collides with itself (ERR_EXISTS) instead of doubling.
#pragma once
#include "runtime/actor/kit.h"
#include "runtime/api/kinds.h"
#include "runtime/base/text.h"
#include "troupe/api.pb-c.h"

enum { API_TIMEOUT_MS = ASK_TIMEOUT_DEFAULT_MS };
#define API_SERVER "apiserver"

// All return the ask's id. `ns` is "" or NULL for kinds without namespace. Borrowed arguments.
uint64_t api_get(actor_t *me, const kind_t *k, const char *ns, const char *name, uint64_t tag);
// One page as ListReply; use an informer to follow a kind.
uint64_t api_list(actor_t *me, const kind_t *k, const char *ns, const char *label_selector,
                  const char *field_selector, int64_t limit, const char *continue_token,
                  uint64_t tag);
// Namespace from the object's metadata.
uint64_t api_create(actor_t *me, const kind_t *k, const ProtobufCMessage *obj, uint64_t tag);
// A subresource's own message ("binding": Core__Binding on a pod).
uint64_t api_create_sub(actor_t *me, const kind_t *k, const char *ns, const char *name,
                        const char *subresource, const ProtobufCMessage *body, uint64_t tag);
// Namespace, name and precondition (resourceVersion) from the object's metadata; subresource NULL
// or "status".
uint64_t api_update(actor_t *me, const kind_t *k, const char *subresource,
                    const ProtobufCMessage *obj, uint64_t tag);
// JSON text as patch. expected_revision 0: no precondition.
uint64_t api_patch(actor_t *me, const kind_t *k, const char *ns, const char *name,
                   const char *subresource, Api__Patch__Type type, const char *json,
                   int64_t expected_revision, uint64_t tag);
typedef struct {
    const char *uid;  // precondition; NULL: none
    int64_t revision; // precondition; 0: none
    bool has_grace;
    int64_t grace_seconds;   // meant only with has_grace
    const char *propagation; // NULL, "Background", "Foreground", "Orphan"
} api_delete_options_t;
// options NULL: the kind's own grace, no precondition.
uint64_t api_delete(actor_t *me, const kind_t *k, const char *ns, const char *name,
                    const api_delete_options_t *options, uint64_t tag);
uint64_t api_current_revision(actor_t *me, uint64_t tag); // -> Api__CurrentRevisionReply
// A kubelet's sign of life, to one of the API servers that this process knows, each in turn: they
// tell each other, and a node that one of them cannot hear is not missed. `turn` is the caller's.
void api_tell_alive(actor_t *me, uint64_t *turn);
// To every API server that this process knows.
void api_tell_all(actor_t *me, const ProtobufCMessage *body);

// The object of a reply, unpacked as `k` into the arena. ERR_NOT_FOUND: the reply bears none.
// ERR_MALFORMED: another kind, or not to be unpacked.
err_t api_reply_object(arena_t *arena, const Api__Reply *reply, const kind_t *k,
                       void **ret_obj) MUST_USE;
// The revision at which the reply's write can be seen: the object's own where it bears one (a write
// that changed nothing has the revision of the last that did), else the reply's.
int64_t api_reply_revision(const Api__Reply *reply, const kind_t *k);
int64_t
object_revision(const ProtobufCMessage *obj); // metadata.resourceVersion as a number; 0: none

typedef struct {
    err_t err;
    const char *why;            // for people: the Status' message where there is one; never NULL
    const Meta__Status *status; // NULL: the failure is not the API server's own
    bool is_unknown;            // the request may have been carried out: timed out, peer gone
} api_failure_t;
// Texts live in the arena.
api_failure_t api_failure(arena_t *arena, const Actor__Failure *failure);

// A string as JSON text, quotes included, for patches written by hand.
void api_json_string(text_t *out, const char *s);

// The resource of a kind, for requests built by hand; all strings borrowed.
Api__Resource api_resource(const kind_t *k, const char *ns, const char *name,
                           const char *subresource);
