// spdy - as much of a SPDY/3.1 client as Kubernetes' remote command protocol uses: bytes in, bytes
// out; no socket, no clock. For the streams of a container runtime on loopback, whose WebSocket
// side takes "no input wanted" for the end of the container's input (containerd 1.6) and so cannot
// be used. Headers are sent uncompressed, as deflate's stored blocks; those that come are not read.
#pragma once
#include "runtime/base/text.h"
#include "runtime/base/why.h"

typedef enum { SPDY_DATA, SPDY_RESET, SPDY_PING, SPDY_GOAWAY, SPDY_OTHER } spdy_kind_t;
typedef struct {
    spdy_kind_t kind;
    uint32_t stream;
    bool fin;         // data: the stream's last
    const void *data; // borrowed from the bytes read
    size_t len;
} spdy_frame_t;

enum { SPDY_HEAD_MAX_BYTES = 8 << 10 };

// The HTTP request that opens a connection. `protocol`: Kubernetes' "v4.channel.k8s.io".
void spdy_open(text_t *out, const char *host, const char *path, const char *protocol);
// Its answer: *ret_used 0 while it is not whole. ERR_IO with the status line when it is refused,
// ERR_MALFORMED when it is no answer at all.
err_t spdy_opened(const char *at, size_t len, size_t *ret_used, why_t *why) MUST_USE;

// A new stream with one header: "streamtype: TYPE". Streams of a client are 1, 3, 5, … in order;
// the first of a connection starts the compressed headers.
void spdy_add_stream(text_t *out, uint32_t stream, const char *type);
void spdy_add_data(text_t *out, uint32_t stream, const void *data, size_t len, bool fin);
void spdy_add_pong(text_t *out, const spdy_frame_t *ping);
// The first frame of what was read: *ret_used 0 while it is not whole.
void spdy_next(const void *at, size_t len, spdy_frame_t *ret_frame, size_t *ret_used);
