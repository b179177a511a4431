// client - a command's end of the bus: a process with one actor, asked from the main thread.
//
// A command reads top to bottom, so its calls wait; each wait has a deadline. The actor does the
// messaging on its own thread and hands results over. Ctrl-C ends the program, which ends the
// connection, which the other side sees.
#pragma once
#include "runtime/base/arena.h"
#include "runtime/base/why.h"
#include "troupe/actor.pb-c.h"
#include "troupe/api.pb-c.h"
#include "troupe/chaos.pb-c.h"

typedef struct client client_t;
typedef struct {
    const char *socket; // path of the cluster's command socket
    const char *server; // or tcp://…, with the two keys; several with commas: whichever is heard
    const char *key, *server_key; // server_key: one for all servers, or one for each
    int64_t timeout_ms;           // of connecting and of each call
    const char *peer;             // role or address that must be there; NULL: "apiserver"
    const char *role;             // whom it speaks as; NULL: "cli"
    // Types of the answers that it may get; NULL ends the list. NULL: those of an API server.
    const ProtobufCMessageDescriptor *const *replies;
} client_options_t;

// Connects; ERR_UNAVAILABLE with what to do when no cluster answers in time.
err_t client_new(const client_options_t *options, client_t **ret_client, why_t *why) MUST_USE;
void client_destroy(client_t **client);
void client_set_timeout(client_t *c, int64_t timeout_ms); // of the calls from here on
int64_t client_timeout_ms(const client_t *c);

// What a failed call leaves behind. `message` is the server's own text; `reason` Kubernetes'
// Status reason ("NotFound"), empty when the failure is not the server's.
typedef struct {
    err_t err;
    char reason[64];
    char message[4096];
} failure_t;

// One request, one answer: unpacked into `arena` as `reply_type`.
err_t client_call(client_t *c, arena_t *arena, const char *to, const ProtobufCMessage *request,
                  const ProtobufCMessageDescriptor *reply_type, void **ret_reply,
                  failure_t *ret_failure) MUST_USE;

typedef struct client_stream client_stream_t;
client_stream_t *client_open(client_t *c, const char *to, const ProtobufCMessage *request) MUST_USE;
// The next chunk, unpacked as `chunk_type`. ERR_CANCELLED: the stream ended well. ERR_TIMEOUT: no
// chunk in time, the stream goes on. Anything else: it failed, ret_failure says how.
err_t client_next(client_stream_t *s, arena_t *arena, const ProtobufCMessageDescriptor *chunk_type,
                  int64_t timeout_ms, void **ret_chunk, failure_t *ret_failure) MUST_USE;
// Push a chunk to the other side; waits for room, at most timeout_ms. May be called from another
// thread than client_next.
err_t client_push(client_stream_t *s, const ProtobufCMessage *chunk, int64_t timeout_ms) MUST_USE;
void client_close(client_stream_t **s);

uint64_t client_trace_id(const client_t *c); // all calls of one client belong to one trace
