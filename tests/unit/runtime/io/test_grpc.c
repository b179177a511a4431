// The gRPC client against a small server of our own, both in one thread and one poll loop.
#include "cri/cri.pb-c.h"
#include "runtime/base/clock.h"
#include "runtime/base/text.h"
#include "runtime/base/vec.h"
#include "runtime/io/grpc.h"
#include "support/leaks.h"
#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

// ---- the server -------------------------------------------------------------------------------
typedef struct {
    text_t body; // what the client sent, then what goes back
    size_t sent;
    char path[64];
    bool holds; // the stream stays open after its messages
    const char *status, *message;
} exchange_t;

typedef struct {
    char dir[64], path[96];
    int listener, fd;
    nghttp2_session *session;
    VEC(exchange_t *) exchanges;
    int resets; // streams that the client gave up
} server_t;

static ssize_t server_send(nghttp2_session *s, const uint8_t *data, size_t len, int flags,
                           void *arg) {
    ssize_t sent = send(((server_t *)arg)->fd, data, len, MSG_NOSIGNAL);
    return sent >= 0         ? sent
           : errno == EAGAIN ? NGHTTP2_ERR_WOULDBLOCK
                             : NGHTTP2_ERR_CALLBACK_FAILURE;
}
static int server_headers(nghttp2_session *s, const nghttp2_frame *frame, void *arg) {
    server_t *server = arg;
    exchange_t *x = NEW(exchange_t);
    vec_push(&server->exchanges, x);
    return nghttp2_session_set_stream_user_data(s, frame->hd.stream_id, x);
}
static int server_header(nghttp2_session *s, const nghttp2_frame *frame, const uint8_t *name,
                         size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                         void *arg) {
    exchange_t *x = nghttp2_session_get_stream_user_data(s, frame->hd.stream_id);
    if (x && name_len == 5 && memcmp(name, ":path", 5) == 0)
        snprintf(x->path, sizeof x->path, "%.*s", (int)value_len, (const char *)value);
    return 0;
}
static int server_data(nghttp2_session *s, uint8_t flags, int32_t stream, const uint8_t *data,
                       size_t len, void *arg) {
    exchange_t *x = nghttp2_session_get_stream_user_data(s, stream);
    if (x) text_addn(&x->body, data, len);
    return 0;
}
#define NV(name, value) \
    { (uint8_t *)(name), (uint8_t *)(value), strlen(name), strlen(value), 0 }
static ssize_t server_read(nghttp2_session *s, int32_t stream, uint8_t *buf, size_t len,
                           uint32_t *flags, nghttp2_data_source *source, void *arg) {
    exchange_t *x = source->ptr;
    size_t part = x->body.len - x->sent < len ? x->body.len - x->sent : len;
    if (!part && x->holds) return NGHTTP2_ERR_DEFERRED;
    memcpy(buf, x->body.at + x->sent, part);
    x->sent += part;
    if (x->sent == x->body.len && !x->holds) {
        *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
        nghttp2_nv trailers[] = {NV("grpc-status", x->status), NV("grpc-message", x->message)};
        nghttp2_submit_trailer(s, stream, trailers, 2);
    }
    return (ssize_t)part;
}
static void server_answer(nghttp2_session *s, int32_t stream, exchange_t *x) {
    x->status = "0";
    x->message = "";
    if (streq(x->path, "/t/Silent")) return;
    if (streq(x->path, "/t/Fail")) {
        x->status = "5";
        x->message = "no such %22thing%22%0Ahere, 100%";
        text_reset(&x->body);
    }
    if (streq(x->path, "/t/Big")) {
        size_t len = 3 << 20;
        uint8_t head[5] = {0, (uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8),
                           (uint8_t)len};
        text_reset(&x->body);
        text_addn(&x->body, head, 5);
        char *zeros = mem_new(len);
        text_addn(&x->body, zeros, len);
        free(zeros);
    }
    if (streq(x->path, "/t/Three") || streq(x->path, "/t/Held")) {
        char *one = str_dup_n(x->body.at, x->body.len);
        memcpy(one, x->body.at, x->body.len);
        size_t len = x->body.len;
        text_addn(&x->body, one, len);
        text_addn(&x->body, one, len);
        free(one);
        x->holds = streq(x->path, "/t/Held");
    }
    nghttp2_nv headers[] = {NV(":status", "200"), NV("content-type", "application/grpc")};
    nghttp2_data_provider body = {{.ptr = x}, server_read};
    nghttp2_submit_response(s, stream, headers, 2, &body);
}
static int server_frame(nghttp2_session *s, const nghttp2_frame *frame, void *arg) {
    exchange_t *x =
        frame->hd.stream_id ? nghttp2_session_get_stream_user_data(s, frame->hd.stream_id) : NULL;
    if (frame->hd.type == NGHTTP2_RST_STREAM) ((server_t *)arg)->resets++;
    if (x && frame->hd.flags & NGHTTP2_FLAG_END_STREAM && frame->hd.type == NGHTTP2_DATA)
        server_answer(s, frame->hd.stream_id, x);
    return 0;
}

static void server_listen(server_t *server) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    memcpy(at.sun_path, server->path, strlen(server->path) + 1);
    server->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(server->listener, (const struct sockaddr *)&at, sizeof at), 0);
    cr_assert_eq(listen(server->listener, 4), 0);
}
static void server_open(server_t *server) {
    *server = (server_t){.listener = -1, .fd = -1, .dir = "/tmp/kubelet-grpc-XXXXXX"};
    cr_assert_not_null(mkdtemp(server->dir));
    snprintf(server->path, sizeof server->path, "%s/s", server->dir);
}
static void server_hang_up(server_t *server) {
    nghttp2_session_del(server->session);
    server->session = NULL;
    if (server->fd >= 0) close(server->fd);
    server->fd = -1;
    for (size_t i = 0; i < server->exchanges.len; i++) {
        text_done(&server->exchanges.at[i]->body);
        free(server->exchanges.at[i]);
    }
    vec_reset(&server->exchanges);
}
static void server_close(server_t *server) {
    server_hang_up(server);
    vec_done(&server->exchanges);
    if (server->listener >= 0) close(server->listener);
    unlink(server->path);
    rmdir(server->dir);
}
static void server_accept(server_t *server) {
    server_hang_up(server);
    server->fd = accept4(server->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    nghttp2_session_callbacks *cb;
    nghttp2_session_callbacks_new(&cb);
    nghttp2_session_callbacks_set_send_callback(cb, server_send);
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, server_headers);
    nghttp2_session_callbacks_set_on_header_callback(cb, server_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, server_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, server_frame);
    nghttp2_session_server_new(&server->session, cb, server);
    nghttp2_session_callbacks_del(cb);
    nghttp2_submit_settings(server->session, NGHTTP2_FLAG_NONE, NULL, 0);
    nghttp2_session_send(server->session);
}
static void server_serve(server_t *server) {
    uint8_t buf[65536];
    ssize_t got = recv(server->fd, buf, sizeof buf, 0);
    if (got == 0) {
        server_hang_up(server);
        return;
    }
    if (got > 0) cr_assert(nghttp2_session_mem_recv(server->session, buf, (size_t)got) >= 0);
    nghttp2_session_send(server->session);
}

// ---- the loop ---------------------------------------------------------------------------------
typedef struct {
    server_t *server;
    grpc_t *grpc;
    int fd;
    uint32_t events;
    int64_t due_ms, skew_ms; // skew: what the test adds to the clock
    int connections;
    // What calls brought back.
    int done;
    err_t err;
    int code;
    text_t message, body;
    int items;
} loop_t;

static void loop_watch(void *arg, int fd, uint32_t events) {
    loop_t *l = arg;
    l->fd = fd;
    l->events = events;
}
static void loop_unwatch(void *arg, int fd) {
    loop_t *l = arg;
    l->fd = -1;
}
static int64_t loop_now(void *arg) { return clock_monotonic_ms() + ((loop_t *)arg)->skew_ms; }
static void loop_timer(void *arg, int64_t delay_ms) {
    loop_t *l = arg;
    l->due_ms = delay_ms < 0 ? INT64_MAX : loop_now(l) + delay_ms;
}
static void loop_connection(void *arg, bool connected) {
    ((loop_t *)arg)->connections += connected;
}

static void on_done(void *arg, const grpc_result_t *result) {
    loop_t *l = arg;
    l->done++;
    l->err = result->err;
    l->code = result->code;
    text_reset(&l->message);
    text_add(&l->message, result->message);
    text_reset(&l->body);
    text_addn(&l->body, result->body.at, result->body.len);
}
static void on_item(void *arg, bytes_t item) { ((loop_t *)arg)->items++; }

static void turn(loop_t *l) {
    int64_t wait_ms = l->due_ms == INT64_MAX ? 100 : l->due_ms - loop_now(l);
    short wanted =
        (short)(((l->events & EPOLLIN) ? POLLIN : 0) | ((l->events & EPOLLOUT) ? POLLOUT : 0));
    nghttp2_session *session = l->server->session;
    short server_wanted =
        (short)(POLLIN | (session && nghttp2_session_want_write(session) ? POLLOUT : 0));
    struct pollfd fds[] = {
        {.fd = l->fd, .events = wanted},
        {.fd = l->server->fd, .events = server_wanted},
        {.fd = l->server->listener, .events = POLLIN},
    };
    poll(fds, 3, wait_ms < 0 ? 0 : wait_ms > 100 ? 100 : (int)wait_ms);
    if (fds[2].revents)
        server_accept(l->server);
    else if (fds[1].revents)
        server_serve(l->server);
    if (fds[0].revents && l->fd == fds[0].fd) grpc_on_fd(l->grpc, l->fd, (uint32_t)fds[0].revents);
    if (loop_now(l) >= l->due_ms) grpc_on_timer(l->grpc);
}
static void turn_until_done(loop_t *l, int done) {
    for (int i = 0; i < 10000 && l->done < done; i++) turn(l);
    cr_assert_eq(l->done, done);
}
static void loop_open(loop_t *l, server_t *server, size_t message_max) {
    *l = (loop_t){.server = server, .fd = -1, .due_ms = INT64_MAX};
    grpc_loop_t port = {l, loop_watch, loop_unwatch, loop_timer, loop_now, loop_connection};
    l->grpc = grpc_new(server->path, &port, message_max);
}
static void loop_close(loop_t *l) {
    grpc_destroy(&l->grpc);
    text_done(&l->message);
    text_done(&l->body);
}
static Cri__VersionRequest hello(void) {
    return (Cri__VersionRequest){.base.descriptor = &cri__version_request__descriptor,
                                 .version = "hello"};
}

#define WITH_SERVER(message_max)         \
    server_t server;                     \
    server_open(&server);                \
    server_listen(&server);              \
    loop_t l;                            \
    loop_open(&l, &server, message_max); \
    Cri__VersionRequest request = hello()
#define DONE_WITH_SERVER() \
    loop_close(&l);        \
    server_close(&server); \
    ASSERT_NO_LEAKS()

// ---- the tests --------------------------------------------------------------------------------
Test(grpc, a_unary_call_brings_the_answer_back)
{
    WITH_SERVER(0);
    grpc_call(l.grpc, "/t/Echo", &request.base, 5000, on_done, &l);
    turn_until_done(&l, 1);
    cr_assert_eq(l.err, ERR_OK);
    cr_assert_eq(l.body.len, protobuf_c_message_get_packed_size(&request.base));
    DONE_WITH_SERVER();
}

Test(grpc, many_calls_at_once_all_end)
{
    WITH_SERVER(0);
    for (int i = 0; i < 500; i++) grpc_call(l.grpc, "/t/Echo", &request.base, 20000, on_done, &l);
    turn_until_done(&l, 500);
    cr_assert_eq(l.err, ERR_OK);
    DONE_WITH_SERVER();
}

Test(grpc, a_refusal_has_its_code_and_its_decoded_text)
{
    WITH_SERVER(0);
    grpc_call(l.grpc, "/t/Fail", &request.base, 5000, on_done, &l);
    turn_until_done(&l, 1);
    cr_assert_eq(l.err, ERR_NOT_FOUND);
    cr_assert_eq(l.code, 5);
    cr_assert_str_eq(l.message.at, "no such \"thing\"\nhere, 100%");
    DONE_WITH_SERVER();
}

Test(grpc, a_silent_server_costs_the_deadline_and_is_told)
{
    WITH_SERVER(0);
    grpc_call(l.grpc, "/t/Silent", &request.base, 5000, on_done, &l);
    for (int i = 0; i < 1000 && !server.exchanges.len; i++) turn(&l);
    l.skew_ms = 6000;
    turn_until_done(&l, 1);
    cr_assert_eq(l.err, ERR_TIMEOUT);
    cr_assert_eq(l.code, 4);
    for (int i = 0; i < 1000 && !server.resets; i++) turn(&l);
    cr_assert_eq(server.resets, 1);
    DONE_WITH_SERVER();
}

Test(grpc, a_call_waits_for_a_server_that_comes_later)
{
    server_t server;
    server_open(&server);
    loop_t l;
    loop_open(&l, &server, 0);
    Cri__VersionRequest request = hello();
    grpc_call(l.grpc, "/t/Echo", &request.base, 20000, on_done, &l);
    for (int i = 0; i < 3; i++) turn(&l);
    cr_assert_not(grpc_is_connected(l.grpc));
    server_listen(&server);
    turn_until_done(&l, 1);
    cr_assert_eq(l.err, ERR_OK);
    DONE_WITH_SERVER();
}

Test(grpc, a_broken_connection_ends_calls_and_is_made_again)
{
    WITH_SERVER(0);
    grpc_call(l.grpc, "/t/Silent", &request.base, 20000, on_done, &l);
    for (int i = 0; i < 1000 && !server.exchanges.len; i++) turn(&l);
    server_hang_up(&server);
    turn_until_done(&l, 1);
    cr_assert_eq(l.err, ERR_UNAVAILABLE);
    grpc_call(l.grpc, "/t/Echo", &request.base, 20000, on_done, &l);
    turn_until_done(&l, 2);
    cr_assert_eq(l.err, ERR_OK);
    cr_assert_eq(l.connections, 2);
    DONE_WITH_SERVER();
}

Test(grpc, an_answer_over_the_limit_is_refused)
{
    WITH_SERVER(1 << 20);
    grpc_call(l.grpc, "/t/Big", &request.base, 20000, on_done, &l);
    turn_until_done(&l, 1);
    cr_assert_eq(l.err, ERR_TOO_LARGE);
    grpc_call(l.grpc, "/t/Echo", &request.base, 20000, on_done, &l);
    turn_until_done(&l, 2);
    cr_assert_eq(l.err, ERR_OK);
    DONE_WITH_SERVER();
}

Test(grpc, a_large_answer_passes_the_flow_control_windows)
{
    WITH_SERVER(0);
    grpc_call(l.grpc, "/t/Big", &request.base, 20000, on_done, &l);
    turn_until_done(&l, 1);
    cr_assert_eq(l.err, ERR_OK);
    cr_assert_eq(l.body.len, 3u << 20);
    DONE_WITH_SERVER();
}

Test(grpc, a_stream_hands_on_each_message_and_its_end)
{
    WITH_SERVER(0);
    grpc_open(l.grpc, "/t/Three", &request.base, 0, on_item, on_done, &l);
    turn_until_done(&l, 1);
    cr_assert_eq(l.err, ERR_OK);
    cr_assert_eq(l.items, 3);
    DONE_WITH_SERVER();
}

Test(grpc, a_cancelled_stream_is_silent)
{
    WITH_SERVER(0);
    uint64_t call = grpc_open(l.grpc, "/t/Held", &request.base, 0, on_item, on_done, &l);
    for (int i = 0; i < 1000 && l.items < 3; i++) turn(&l);
    cr_assert_eq(l.items, 3);
    grpc_cancel(l.grpc, call);
    grpc_cancel(l.grpc, call);
    for (int i = 0; i < 1000 && !server.resets; i++) turn(&l);
    cr_assert_eq(server.resets, 1);
    cr_assert_eq(l.done, 0);
    DONE_WITH_SERVER();
}

Test(grpc, the_call_past_the_limit_is_answered_overloaded)
{
    server_t server;
    server_open(&server);
    loop_t l;
    loop_open(&l, &server, 0);
    Cri__VersionRequest request = hello();
    for (int i = 0; i < GRPC_CALLS_MAX + 1; i++)
        grpc_call(l.grpc, "/t/Echo", &request.base, 60000, on_done, &l);
    cr_assert_eq(l.done, 0, "no outcome from inside the call");
    turn_until_done(&l, 1);
    cr_assert_eq(l.err, ERR_OVERLOADED);
    DONE_WITH_SERVER();
}

Test(grpc, percent_decoding_leaves_broken_escapes)
{
    struct {
        const char *in, *out;
    } rows[] = {
        {"", ""},     {"plain", "plain"}, {"%41%62", "Ab"},   {"100%", "100%"},
        {"%4", "%4"}, {"%zz%20", "%zz "}, {"a%00b", "a%00b"},
    };
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        char *text = str_dup(rows[i].in);
        grpc_percent_decode(text);
        cr_assert_str_eq(text, rows[i].out);
        free(text);
    }
    ASSERT_NO_LEAKS();
}
