// envelope - a message on its way inside one process: the facts of actor.Envelope as a struct,
// the body as a shared blob.
//
// An envelope has one owner at a time: the sender's stage, a bus port's queue, the receiver's
// mailbox. Addresses are names: strings that many envelopes share, counted like blobs.
#pragma once
#include "runtime/base/bytes.h"
#include <protobuf-c/protobuf-c.h>

typedef struct {
    _Atomic uint32_t refs;
    uint32_t hash;
    uint16_t len, role_len; // "kubelet/n1": 10 and 7; a bare role has role_len == len
    char text[];
} name_t;
name_t *name_new(const char *text) MUST_USE; // *returned*, one reference; at most ADDRESS_MAX bytes
name_t *name_cut(const char *text) MUST_USE; // the same of any text: what is too long is cut
name_t *name_ref(name_t *name);              // any thread; NULL stays NULL
void name_unref(name_t **name);              // nulls the pointer; NULL is fine
bool name_eq(const name_t *a, const name_t *b);

typedef struct envelope {
    struct envelope *next; // in whatever queue it stands
    name_t *to, *from;     // owned; full addresses
    name_t *via;           // owned; the link actor that carries it to another process; NULL: none
    name_t *principal;     // owned; who the sending process proved to be; NULL: this process
    const ProtobufCMessageDescriptor *type; // NULL when it came from another process …
    name_t *type_name;                      // … then owned, the full protobuf name; else NULL
    blob_t *body;                           // owned; NULL: empty
    uint64_t to_incarnation;                // 0: whichever lives
    uint64_t from_incarnation;
    uint64_t id, in_reply_to;
    uint64_t trace_id, epoch;
    uint64_t stream_seq;
    int64_t deadline_us; // absolute, monotonic clock of this process; 0: none
    int64_t sent_us;     // when the sender (or the link, on receipt) gave it away
    uint32_t stream_window;
    bool push;    // a chunk from a stream's opener
    bool is_ask;  // somebody waits for an answer
    bool control; // goes over a link's control lane
    bool is_kits; // between kits (credits, Down, …): no actor sent it
    bool is_late; // duplicated or reordered by a fault: only rows that bear it see it
} envelope_t;

envelope_t *envelope_new(void) MUST_USE;                  // *returned*, zeroed
void envelope_destroy(envelope_t **env);                  // with everything it owns; NULL is fine
envelope_t *envelope_dup(const envelope_t *env) MUST_USE; // shares names and body
static inline const char *envelope_type(const envelope_t *env) {
    return env->type ? env->type->name : env->type_name ? env->type_name->text : "";
}
static inline size_t envelope_bytes(const envelope_t *env) {
    return env->body ? env->body->len : 0;
}
