// Any bytes from a gRPC server: the client ends its calls in order, or waits; it never falls.
#include "cri/cri.pb-c.h"
#include "runtime/io/grpc.h"
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

typedef struct {
    int fd;
    int64_t now_ms;
    int done;
} loop_t;
static void loop_watch(void *arg, int fd, uint32_t events) { ((loop_t *)arg)->fd = fd; }
static void loop_unwatch(void *arg, int fd) { ((loop_t *)arg)->fd = -1; }
static void loop_timer(void *arg, int64_t delay_ms) {}
static int64_t loop_now(void *arg) { return ((loop_t *)arg)->now_ms; }
static void on_done(void *arg, const grpc_result_t *result) { ((loop_t *)arg)->done++; }
static void on_item(void *arg, bytes_t item) {}

static int listen_at(const char *path) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    memcpy(at.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    unlink(path);
    if (bind(fd, (const struct sockaddr *)&at, sizeof at) || listen(fd, 8)) abort();
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[64];
    snprintf(path, sizeof path, "/tmp/fuzz-grpc-%d", (int)getpid());
    int listener = listen_at(path);
    loop_t loop = {.fd = -1, .now_ms = 1000};
    grpc_loop_t port = {&loop, loop_watch, loop_unwatch, loop_timer, loop_now, NULL};
    grpc_t *grpc = grpc_new(path, &port, 1 << 16);
    Cri__VersionRequest request = {.base.descriptor = &cri__version_request__descriptor,
                                   .version = "v1"};
    (void)grpc_call(grpc, "/t/Unary", &request.base, 5000, on_done, &loop);
    (void)grpc_open(grpc, "/t/Stream", &request.base, 0, on_item, on_done, &loop);
    grpc_on_timer(grpc);
    int server = accept(listener, NULL, NULL);
    close(listener); // the client shall not come back
    unlink(path);
    // Settings first, so that most inputs get past the greeting.
    static const uint8_t settings[] = {0, 0, 0, 4, 0, 0, 0, 0, 0};
    if (server < 0 || write(server, settings, sizeof settings) < 0) abort();
    if (size && size < 65536 && write(server, data, size) < 0) abort();
    for (int i = 0; i < 4 && loop.fd >= 0; i++) grpc_on_fd(grpc, loop.fd, EPOLLIN);
    close(server);
    if (loop.fd >= 0) grpc_on_fd(grpc, loop.fd, EPOLLIN | EPOLLHUP);
    loop.now_ms += 6000;
    grpc_on_timer(grpc);
    if (loop.done > 2) abort();
    grpc_destroy(&grpc);
    return 0;
}
