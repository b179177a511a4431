#include "runtime/io/grpc.h"
#include "runtime/base/map.h"
#include "runtime/base/text.h"
#include "runtime/base/vec.h"
#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

// A message on the wire: 1 byte "compressed" (always 0 here) · 4 bytes length, big-endian · message
enum {
    FRAME_HEAD_BYTES = 5,
    READ_BYTES = 64 << 10,
    READS_PER_EVENT_MAX = 16,      // the loop has others to serve
    STREAM_WINDOW_BYTES = 1 << 20, // lists of some hundred containers without a round trip
    CONNECTION_WINDOW_BYTES = 8 << 20,
    GRPC_MESSAGE_TEXT_MAX = 4096, // of grpc-message; longer text is cut
    CODE_NONE = -1,
};

typedef struct {
    uint64_t id;
    int32_t stream; // 0: not sent yet
    char *path;
    uint8_t *out; // head + packed request
    size_t out_len, out_sent;
    text_t in;           // bytes received and not yet handed on
    int64_t deadline_ms; // INT64_MAX: none
    int code;            // CODE_NONE until the trailers came
    int http_status;
    text_t message;     // grpc-message as sent
    bool closed;        // nothing more will come; `failed` or the code says how it went
    err_t failed;       // our own finding, beside the peer's code
    bool listed;        // stands in `touched`
    grpc_item_fn *item; // NULL: unary
    grpc_done_fn *done;
    void *arg;
} call_t;

struct grpc {
    grpc_loop_t loop;
    char *socket_path;
    size_t message_max_bytes;
    char *header_name, *header_value; // NULL: none
    int fd;                           // -1: not connected
    nghttp2_session *session;         // with fd
    uint32_t watched;                 // epoll events asked for
    int64_t connect_at_ms;            // when fd is -1
    int64_t backoff_ms;
    bool broken; // the connection failed inside a send; cleared up from the timer
    uint64_t call_next;
    imap_t calls;          // id -> call_t
    VEC(uint64_t) touched; // calls with something to hand on
};

static int64_t now_ms(const grpc_t *g) { return g->loop.now_ms(g->loop.arg); }

static void call_destroy(call_t **call_p) {
    call_t *call = *call_p;
    if (!call) return;
    text_done(&call->in);
    text_done(&call->message);
    free(call->path);
    free(call->out);
    free(call);
    *call_p = NULL;
}

static void touch(grpc_t *g, call_t *call) {
    if (call->listed) return;
    call->listed = true;
    vec_push(&g->touched, call->id);
}

static void call_close(grpc_t *g, call_t *call, err_t failed) {
    if (call->closed) return;
    call->closed = true;
    call->failed = failed;
    touch(g, call);
}

// Tell the peer that nobody listens any more, and cut the way from the stream to the call.
static void let_go(grpc_t *g, call_t *call) {
    if (!call->stream || g->fd < 0) return;
    nghttp2_session_set_stream_user_data(g->session, call->stream, NULL);
    nghttp2_submit_rst_stream(g->session, NGHTTP2_FLAG_NONE, call->stream, NGHTTP2_CANCEL);
}

// The one timer: the next deadline, the next connect, or at once when something waits to be told.
static void arm(grpc_t *g) {
    int64_t next = INT64_MAX;
    if (g->touched.len || g->broken) next = 0;
    if (g->fd < 0 && g->connect_at_ms < next) next = g->connect_at_ms;
    size_t at = 0;
    uint64_t key;
    void *value;
    while (imap_next(&g->calls, &at, &key, &value)) {
        const call_t *call = value;
        if (call->deadline_ms < next) next = call->deadline_ms;
    }
    int64_t now = now_ms(g);
    g->loop.timer(g->loop.arg, next == INT64_MAX ? -1 : next <= now ? 0 : next - now);
}

// ---- nghttp2's callbacks: they only note ------------------------------------------------------
static ssize_t on_send(nghttp2_session *session, const uint8_t *data, size_t len, int flags,
                       void *arg) {
    grpc_t *g = arg;
    ssize_t sent = send(g->fd, data, len, MSG_NOSIGNAL);
    if (sent >= 0) return sent;
    return errno == EAGAIN || errno == EINTR ? NGHTTP2_ERR_WOULDBLOCK
                                             : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *data,
                   size_t len, void *arg) {
    grpc_t *g = arg;
    call_t *call = nghttp2_session_get_stream_user_data(session, stream);
    if (!call || call->closed) return 0;
    if (call->in.len + len > g->message_max_bytes + FRAME_HEAD_BYTES) {
        call_close(g, call, ERR_TOO_LARGE);
        let_go(g, call);
        return 0;
    }
    text_addn(&call->in, data, len);
    touch(g, call);
    return 0;
}

static bool is_name(const uint8_t *name, size_t len, const char *wanted) {
    return len == strlen(wanted) && memcmp(name, wanted, len) == 0;
}

static int number_of(const uint8_t *digits, size_t len) {
    int number = 0;
    if (len == 0 || len > 3) return CODE_NONE;
    for (size_t i = 0; i < len; i++) {
        if (digits[i] < '0' || digits[i] > '9') return CODE_NONE;
        number = number * 10 + (digits[i] - '0');
    }
    return number;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *arg) {
    call_t *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (!call) return 0;
    if (is_name(name, name_len, ":status")) call->http_status = number_of(value, value_len);
    if (is_name(name, name_len, "grpc-status")) call->code = number_of(value, value_len);
    if (is_name(name, name_len, "grpc-message") && !call->message.len)
        text_addn(&call->message, value,
                  value_len < GRPC_MESSAGE_TEXT_MAX ? value_len : GRPC_MESSAGE_TEXT_MAX);
    return 0;
}

static int on_close(nghttp2_session *session, int32_t stream, uint32_t error_code, void *arg) {
    call_t *call = nghttp2_session_get_stream_user_data(session, stream);
    if (call)
        call_close(arg, call, error_code && call->code == CODE_NONE ? ERR_UNAVAILABLE : ERR_OK);
    return 0;
}

static ssize_t read_request(nghttp2_session *session, int32_t stream, uint8_t *buf, size_t len,
                            uint32_t *flags, nghttp2_data_source *source, void *arg) {
    call_t *call = source->ptr;
    size_t part = call->out_len - call->out_sent;
    if (part > len) part = len;
    memcpy(buf, call->out + call->out_sent, part);
    call->out_sent += part;
    if (call->out_sent == call->out_len) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)part;
}

// ---- connection -------------------------------------------------------------------------------
static void watch(grpc_t *g) {
    uint32_t wanted = EPOLLIN | (nghttp2_session_want_write(g->session) ? (uint32_t)EPOLLOUT : 0u);
    if (wanted == g->watched) return;
    g->watched = wanted;
    g->loop.watch(g->loop.arg, g->fd, wanted);
}

static void hang_up(grpc_t *g) {
    if (g->fd < 0) return;
    bool was_told = g->session;
    g->loop.unwatch(g->loop.arg, g->fd);
    nghttp2_session_del(g->session);
    g->session = NULL;
    close(g->fd);
    g->fd = -1;
    g->watched = 0;
    g->broken = false;
    g->connect_at_ms = now_ms(g) + g->backoff_ms;
    size_t at = 0;
    uint64_t key;
    void *value;
    while (imap_next(&g->calls, &at, &key, &value)) {
        call_t *call = value;
        if (call->stream) call_close(g, call, ERR_UNAVAILABLE);
    }
    if (was_told && g->loop.on_connection) g->loop.on_connection(g->loop.arg, false);
}

// What waits leaves. A failure is dealt with from the timer: callers must not be called back here.
static void flush(grpc_t *g) {
    if (g->fd < 0 || g->broken) return;
    if (nghttp2_session_send(g->session) != 0) {
        g->broken = true;
        return;
    }
    watch(g);
}

#define HEADER(name, value)                                                     \
    {                                                                           \
        (uint8_t *)(name), (uint8_t *)(value), sizeof(name) - 1, strlen(value), \
            NGHTTP2_NV_FLAG_NO_COPY_NAME                                        \
    }

static void submit(grpc_t *g, call_t *call) {
    assert(!call->stream && !call->closed);
    char timeout[32] = "";
    if (call->deadline_ms != INT64_MAX) {
        int64_t left_ms = call->deadline_ms - now_ms(g);
        // At most eight digits are allowed: 27 hours in milliseconds.
        snprintf(timeout, sizeof timeout, "%lldm",
                 (long long)(left_ms < 1          ? 1
                             : left_ms > 99999999 ? 99999999
                                                  : left_ms));
    }
    nghttp2_nv headers[] = {
        HEADER(":method", "POST"),
        HEADER(":scheme", "http"),
        HEADER(":path", call->path),
        HEADER(":authority", "localhost"),
        HEADER("content-type", "application/grpc"),
        HEADER("te", "trailers"),
        HEADER("user-agent", "troupe/" TROUPE_VERSION),
        HEADER("grpc-timeout", timeout),
        HEADER("", ""),
    };
    size_t count = LENGTH_OF(headers) - (*timeout ? 1 : 2);
    if (g->header_name)
        headers[count++] =
            (nghttp2_nv){(uint8_t *)g->header_name, (uint8_t *)g->header_value,
                         strlen(g->header_name), strlen(g->header_value), NGHTTP2_NV_FLAG_NONE};
    nghttp2_data_provider body = {{.ptr = call}, read_request};
    int32_t stream = nghttp2_submit_request(g->session, NULL, headers, count, &body, call);
    if (stream > 0)
        call->stream = stream;
    else
        call_close(g, call,
                   ERR_UNAVAILABLE); // stream numbers are used up: the next connection has new ones
}

static err_t open_session(grpc_t *g) {
    nghttp2_session_callbacks *callbacks;
    if (nghttp2_session_callbacks_new(&callbacks)) return ERR_INTERNAL;
    nghttp2_session_callbacks_set_send_callback(callbacks, on_send);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    int failed = nghttp2_session_client_new(&g->session, callbacks, g);
    nghttp2_session_callbacks_del(callbacks);
    if (failed) return ERR_INTERNAL;
    nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,
                                          STREAM_WINDOW_BYTES},
                                         {NGHTTP2_SETTINGS_ENABLE_PUSH, 0}};
    failed =
        nghttp2_submit_settings(g->session, NGHTTP2_FLAG_NONE, settings, LENGTH_OF(settings)) ||
        nghttp2_session_set_local_window_size(g->session, NGHTTP2_FLAG_NONE, 0,
                                              CONNECTION_WINDOW_BYTES);
    return failed ? ERR_INTERNAL : ERR_OK;
}

static bool by_id(const call_t *a, const call_t *b) { return a->id < b->id; }

// Calls that waited leave in the order in which they were made.
static void submit_waiting(grpc_t *g) {
    VEC(call_t *) waiting = {0};
    size_t at = 0;
    uint64_t key;
    void *value;
    while (imap_next(&g->calls, &at, &key, &value)) {
        call_t *call = value;
        if (call->stream || call->closed) continue;
        size_t place = waiting.len;
        while (place > 0 && by_id(call, waiting.at[place - 1])) place--;
        vec_insert(&waiting, place, call);
    }
    for (size_t i = 0; i < waiting.len; i++) submit(g, waiting.at[i]);
    vec_done(&waiting);
}

static int dial(const char *path) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof to.sun_path) return -1;
    memcpy(to.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    // A unix socket connects at once or not at all (EAGAIN: its backlog is full).
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof to) == 0) return fd;
    if (fd >= 0) close(fd);
    return -1;
}

static void try_connect(grpc_t *g) {
    assert(g->fd < 0);
    g->fd = dial(g->socket_path);
    if (g->fd >= 0 && open_session(g) != ERR_OK) {
        nghttp2_session_del(x_steal(&g->session));
        close(g->fd);
        g->fd = -1;
    }
    if (g->fd < 0) {
        g->connect_at_ms = now_ms(g) + g->backoff_ms;
        g->backoff_ms =
            g->backoff_ms * 2 > GRPC_BACKOFF_MAX_MS ? GRPC_BACKOFF_MAX_MS : g->backoff_ms * 2;
        return;
    }
    submit_waiting(g);
    flush(g);
    if (g->loop.on_connection) g->loop.on_connection(g->loop.arg, true);
}

// ---- handing on -------------------------------------------------------------------------------
static size_t frame_len(const text_t *in) {
    const uint8_t *head = (const uint8_t *)in->at;
    return (size_t)head[1] << 24 | (size_t)head[2] << 16 | (size_t)head[3] << 8 | head[4];
}

static err_t outcome(const call_t *call) {
    if (call->failed) return call->failed;
    if (call->code == CODE_NONE) return call->http_status == 200 ? ERR_INTERNAL : ERR_UNAVAILABLE;
    if (call->code) return grpc_code_err(call->code);
    bool whole = call->in.len >= FRAME_HEAD_BYTES && call->in.at[0] == 0 &&
                 frame_len(&call->in) == call->in.len - FRAME_HEAD_BYTES;
    return call->item || whole ? ERR_OK : ERR_MALFORMED;
}

static void finish(grpc_t *g, call_t *call) {
    imap_remove(&g->calls, call->id);
    grpc_result_t result = {.err = outcome(call), .code = call->code, .message = ""};
    if (result.err && call->failed) {
        result.code = call->failed == ERR_TIMEOUT ? 4 : call->failed == ERR_UNAVAILABLE ? 14 : 8;
        result.message = err_text(call->failed);
    } else if (result.err && call->message.len) {
        grpc_percent_decode(call->message.at);
        result.message = call->message.at;
    } else if (result.err) {
        result.message = err_text(result.err);
        if (call->code == CODE_NONE) result.code = 2;
    }
    if (!result.err && !call->item)
        result.body = (bytes_t){(const uint8_t *)call->in.at + FRAME_HEAD_BYTES,
                                call->in.len - FRAME_HEAD_BYTES};
    call->done(call->arg, &result);
    call_destroy(&call);
}

// Whole messages of a stream go to its owner one by one. The owner may cancel this very call.
static void hand_items(grpc_t *g, call_t *call) {
    uint64_t id = call->id;
    size_t at = 0;
    while (call->in.len - at >= FRAME_HEAD_BYTES) {
        text_t rest = {.at = call->in.at + at, .len = call->in.len - at};
        size_t len = frame_len(&rest);
        if (rest.at[0] != 0 || len > g->message_max_bytes) {
            call_close(g, call, rest.at[0] ? ERR_MALFORMED : ERR_TOO_LARGE);
            let_go(g, call);
            break;
        }
        if (rest.len < FRAME_HEAD_BYTES + len) break;
        call->item(call->arg, (bytes_t){(const uint8_t *)rest.at + FRAME_HEAD_BYTES, len});
        if (imap_get(&g->calls, id) != call) return;
        at += FRAME_HEAD_BYTES + len;
    }
    memmove(call->in.at, call->in.at + at, call->in.len - at + 1);
    call->in.len -= at;
}

static void hand_on(grpc_t *g) {
    // Callbacks may touch further calls: the list grows while it is walked.
    for (size_t i = 0; i < g->touched.len; i++) {
        call_t *call = imap_get(&g->calls, g->touched.at[i]);
        if (!call) continue;
        call->listed = false;
        if (call->item && call->in.len) hand_items(g, call);
        call = imap_get(&g->calls, g->touched.at[i]);
        if (call && call->closed) finish(g, call);
    }
    vec_reset(&g->touched);
}

static void expire(grpc_t *g) {
    int64_t now = now_ms(g);
    size_t at = 0;
    uint64_t key;
    void *value;
    while (imap_next(&g->calls, &at, &key, &value)) {
        call_t *call = value;
        if (call->closed || call->deadline_ms > now) continue;
        let_go(g, call);
        call_close(g, call, ERR_TIMEOUT);
    }
}

// ---- public -----------------------------------------------------------------------------------
grpc_t *grpc_new(const char *socket_path, const grpc_loop_t *loop, size_t message_max_bytes) {
    assert(socket_path && loop->watch && loop->unwatch && loop->timer && loop->now_ms);
    grpc_t *g = NEW(grpc_t);
    g->loop = *loop;
    g->socket_path = str_dup(socket_path);
    g->message_max_bytes = message_max_bytes ? message_max_bytes : GRPC_MESSAGE_MAX_BYTES;
    g->fd = -1;
    g->backoff_ms = GRPC_BACKOFF_FIRST_MS;
    g->call_next = 1;
    g->connect_at_ms = now_ms(g);
    arm(g);
    return g;
}

void grpc_destroy(grpc_t **grpc) {
    grpc_t *g = *grpc;
    if (!g) return;
    if (g->fd >= 0) {
        // Deleting the session must not report the end of streams to calls that are going too.
        g->loop.on_connection = NULL;
        hang_up(g);
    }
    g->loop.timer(g->loop.arg, -1);
    size_t at = 0;
    uint64_t key;
    void *value;
    while (imap_next(&g->calls, &at, &key, &value)) {
        call_t *call = value;
        call_destroy(&call);
    }
    imap_done(&g->calls);
    vec_done(&g->touched);
    free(g->socket_path);
    free(g->header_name);
    free(g->header_value);
    free(g);
    *grpc = NULL;
}

void grpc_set_header(grpc_t *g, const char *name, const char *value) {
    free(g->header_name);
    free(g->header_value);
    g->header_name = str_dup(name);
    g->header_value = str_dup(value);
}

bool grpc_is_connected(const grpc_t *g) { return g->fd >= 0 && !g->broken; }

void grpc_on_fd(grpc_t *g, int fd, uint32_t epoll_events) {
    if (g->fd < 0 || fd != g->fd) return;
    uint8_t buf[READ_BYTES];
    for (int reads = 0;
         epoll_events & (EPOLLIN | EPOLLHUP | EPOLLERR) && reads < READS_PER_EVENT_MAX; reads++) {
        ssize_t got = recv(g->fd, buf, sizeof buf, 0);
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) break;
        if (got <= 0 || nghttp2_session_mem_recv(g->session, buf, (size_t)got) < 0) {
            g->broken = true;
            break;
        }
        g->backoff_ms = GRPC_BACKOFF_FIRST_MS; // it speaks: this is the peer we know
        if ((size_t)got < sizeof buf) break;
    }
    flush(g);
    if (g->fd >= 0 && !nghttp2_session_want_read(g->session) &&
        !nghttp2_session_want_write(g->session))
        g->broken = true; // the peer said GOAWAY and everything under way is done
    if (g->broken) hang_up(g);
    hand_on(g);
    flush(g);
    arm(g);
}

void grpc_on_timer(grpc_t *g) {
    if (g->broken) hang_up(g);
    if (g->fd < 0 && g->connect_at_ms <= now_ms(g)) try_connect(g);
    expire(g);
    hand_on(g);
    flush(g);
    arm(g);
}

static void put_head(uint8_t head[FRAME_HEAD_BYTES], size_t len) {
    assert(len <= UINT32_MAX);
    head[0] = 0;
    for (int i = 0; i < 4; i++) head[1 + i] = (uint8_t)(len >> (24 - 8 * i));
}

// `out` is *taken*: head and packed request.
static uint64_t begin(grpc_t *g, const char *path, uint8_t **out, size_t len, int64_t timeout_ms,
                      grpc_item_fn *item, grpc_done_fn *done, void *arg) {
    assert(path[0] == '/' && done && timeout_ms >= 0);
    call_t *call = NEW(call_t);
    call->id = g->call_next++;
    call->code = CODE_NONE;
    call->item = item;
    call->done = done;
    call->arg = arg;
    call->deadline_ms = timeout_ms ? now_ms(g) + timeout_ms : INT64_MAX;
    call->path = str_dup(path);
    call->out = x_steal(out);
    call->out_len = len + FRAME_HEAD_BYTES;
    put_head(call->out, len);
    bool is_full = imap_len(&g->calls) >= GRPC_CALLS_MAX;
    imap_put(&g->calls, call->id, call);
    if (is_full) {
        call_close(g, call, ERR_OVERLOADED);
    } else if (grpc_is_connected(g)) {
        submit(g, call);
        flush(g);
    }
    arm(g);
    return call->id;
}

uint64_t grpc_send(grpc_t *g, const char *path, bytes_t request, int64_t timeout_ms,
                   grpc_item_fn *item, grpc_done_fn *done, void *arg) {
    uint8_t *out = mem_new(request.len + FRAME_HEAD_BYTES);
    if (request.len) memcpy(out + FRAME_HEAD_BYTES, request.at, request.len);
    return begin(g, path, &out, request.len, timeout_ms, item, done, arg);
}

uint64_t grpc_open(grpc_t *g, const char *path, const ProtobufCMessage *request, int64_t timeout_ms,
                   grpc_item_fn *item, grpc_done_fn *done, void *arg) {
    size_t len = protobuf_c_message_get_packed_size(request);
    uint8_t *out = mem_new(len + FRAME_HEAD_BYTES);
    protobuf_c_message_pack(request, out + FRAME_HEAD_BYTES);
    return begin(g, path, &out, len, timeout_ms, item, done, arg);
}

uint64_t grpc_call(grpc_t *g, const char *path, const ProtobufCMessage *request, int64_t timeout_ms,
                   grpc_done_fn *done, void *arg) {
    assert(timeout_ms > 0);
    return grpc_open(g, path, request, timeout_ms, NULL, done, arg);
}

void grpc_cancel(grpc_t *g, uint64_t id) {
    call_t *call = imap_remove(&g->calls, id);
    if (!call) return;
    if (!call->closed) {
        let_go(g, call);
        flush(g);
    }
    call_destroy(&call);
    arm(g);
}

err_t grpc_code_err(int code) {
    static const err_t errs[] = {
        [0] = ERR_OK,         [1] = ERR_CANCELLED,        [2] = ERR_INTERNAL,
        [3] = ERR_INVALID,    [4] = ERR_TIMEOUT,          [5] = ERR_NOT_FOUND,
        [6] = ERR_EXISTS,     [7] = ERR_PERMISSION,       [8] = ERR_OVERLOADED,
        [9] = ERR_CONFLICT,   [10] = ERR_CONFLICT,        [11] = ERR_INVALID,
        [12] = ERR_UNHANDLED, [13] = ERR_INTERNAL,        [14] = ERR_UNAVAILABLE,
        [15] = ERR_CORRUPT,   [16] = ERR_UNAUTHENTICATED,
    };
    return code >= 0 && (size_t)code < LENGTH_OF(errs) ? errs[code] : ERR_INTERNAL;
}

static int hex_of(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

void grpc_percent_decode(char *text) {
    char *to = text;
    for (const char *from = text; *from; from++) {
        int high = from[0] == '%' ? hex_of(from[1]) : -1;
        int low = high >= 0 ? hex_of(from[2]) : -1;
        bool is_escape = low >= 0 && (high || low); // %00 stays: the text ends at a NUL
        *to++ = is_escape ? (char)(high << 4 | low) : *from;
        if (is_escape) from += 2;
    }
    *to = 0;
}
