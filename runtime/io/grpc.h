// grpc - a gRPC client (unary and server streaming) on one unix socket, inside somebody's poll
// loop.
//
// No thread and no lock: the owner lends its loop (watch a descriptor, one timer, the time) and
// passes events on. Calls made while the socket is away wait for it until their deadline; calls
// under way when it breaks end with ERR_UNAVAILABLE. The client connects again by itself, with
// back-off. Callbacks run only from grpc_on_fd and grpc_on_timer, never from inside grpc_call; they
// may call and cancel, not destroy.
//
// Not here: TLS, client streaming, compression (containerd needs none of them).
// Source: gRPC over HTTP/2 (grpc/doc/PROTOCOL-HTTP2.md), RFC 9113.
#pragma once
#include "runtime/base/bytes.h"
#include "runtime/base/why.h"
#include <protobuf-c/protobuf-c.h>

enum {
    GRPC_MESSAGE_MAX_BYTES = 16 << 20, // one answer: what containerd itself allows
    GRPC_CALLS_MAX = 1024,             // under way or waiting; HTTP/2 peers allow 100..250 at once
    GRPC_BACKOFF_FIRST_MS = 20,
    GRPC_BACKOFF_MAX_MS = 1000,
};

typedef struct grpc grpc_t;

// What the client needs of its owner's loop. All are called from inside grpc_* functions.
typedef struct {
    void *arg;
    void (*watch)(void *arg, int fd, uint32_t epoll_events); // sets or changes; level-triggered
    void (*unwatch)(void *arg, int fd);
    void (*timer)(void *arg, int64_t delay_ms);       // moves the one timer; -1: none
    int64_t (*now_ms)(void *arg);                     // monotonic
    void (*on_connection)(void *arg, bool connected); // may be NULL
} grpc_loop_t;

// How a call ended. Borrowed for the callback.
typedef struct {
    err_t err;           // ERR_OK: `body` is the packed answer (unary)
    int code;            // gRPC's own number, 0..16 (grpc_code_err); 14 when the peer went away
    const char *message; // for people; "" when there is none
    bytes_t body;
} grpc_result_t;
typedef void grpc_done_fn(void *arg, const grpc_result_t *result);
typedef void grpc_item_fn(void *arg, bytes_t item); // one message of a stream, packed

// `message_max_bytes` 0: GRPC_MESSAGE_MAX_BYTES. Starts connecting at once.
grpc_t *grpc_new(const char *socket_path, const grpc_loop_t *loop,
                 size_t message_max_bytes) MUST_USE;
// Calls that are open are dropped without a callback.
void grpc_destroy(grpc_t **grpc);
void grpc_on_fd(grpc_t *grpc, int fd,
                uint32_t epoll_events); // passes over fds that are not its own
void grpc_on_timer(grpc_t *grpc);
// A header that goes with every call ("containerd-namespace"). Both are copied.
void grpc_set_header(grpc_t *grpc, const char *name, const char *value);
bool grpc_is_connected(const grpc_t *grpc);

// `path` as in "/runtime.v1.RuntimeService/Version". `done` is called exactly once, unless the call
// is cancelled. Returns the call's number, never 0; at GRPC_CALLS_MAX the call ends with
// ERR_OVERLOADED (from the timer, like every outcome).
uint64_t grpc_call(grpc_t *grpc, const char *path, const ProtobufCMessage *request,
                   int64_t timeout_ms, grpc_done_fn *done, void *arg);
// A server stream; `timeout_ms` 0: no deadline. `item` per message, then `done` once.
uint64_t grpc_open(grpc_t *grpc, const char *path, const ProtobufCMessage *request,
                   int64_t timeout_ms, grpc_item_fn *item, grpc_done_fn *done, void *arg);
// The same with a request that is packed already (item NULL: unary). Borrowed.
uint64_t grpc_send(grpc_t *grpc, const char *path, bytes_t request, int64_t timeout_ms,
                   grpc_item_fn *item, grpc_done_fn *done, void *arg);
// No callback of this call comes any more; the peer is told. An unknown number is passed over.
void grpc_cancel(grpc_t *grpc, uint64_t call);

err_t grpc_code_err(int code);
// %XX of a grpc-message, in place; broken sequences stay as they are.
void grpc_percent_decode(char *text);
