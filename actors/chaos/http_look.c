#include "actors/chaos/http_look.h"
#include <arpa/inet.h>
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ANSWER_MIN_BYTES = sizeof "HTTP/1.1 200" - 1 };
static const char request[] = "GET / HTTP/1.0\r\nHost: troupe\r\n\r\n";

static bool address_parse(const char *text, struct sockaddr_in *ret) {
    const char *colon = strrchr(text, ':');
    char ip[INET_ADDRSTRLEN];
    if (!colon || (size_t)(colon - text) >= sizeof ip) return false;
    memcpy(ip, text, (size_t)(colon - text));
    ip[colon - text] = '\0';
    char *end;
    unsigned long port = strtoul(colon + 1, &end, 10);
    *ret = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    return !*end && port > 0 && port < 65536 && inet_pton(AF_INET, ip, &ret->sin_addr) == 1;
}

bool http_look_start(http_look_t *look, const char *address, int64_t now_ms) {
    struct sockaddr_in to;
    look->fd = -1;
    look->ok = false;
    look->begun_ms = now_ms;
    text_reset(&look->in);
    if (!address_parse(address, &to)) return false;
    look->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (look->fd < 0) return false;
    if (connect(look->fd, (struct sockaddr *)&to, sizeof to) == 0 || errno == EINPROGRESS)
        return true;
    http_look_close(look);
    return false;
}

uint32_t http_look_events(const http_look_t *look) {
    return look->in.cap ? EPOLLIN : EPOLLOUT; // cap: the question has been put
}

bool http_look_on_fd(http_look_t *look) {
    if (!look->in.cap) {
        ssize_t n = send(look->fd, request, sizeof request - 1, MSG_NOSIGNAL);
        if (n != (ssize_t)sizeof request - 1) return true; // a fresh socket takes it whole
        text_add(&look->in, "");
        text_addc(&look->in, ' ');
        look->in.len = 0;
        return false;
    }
    char chunk[256];
    ssize_t n = recv(look->fd, chunk, sizeof chunk, 0);
    if (n < 0) return errno != EAGAIN && errno != EINTR;
    text_addn(&look->in, chunk, (size_t)n);
    if (n > 0 && look->in.len < ANSWER_MIN_BYTES) return false;
    look->ok = look->in.len >= ANSWER_MIN_BYTES && has_prefix(look->in.at, "HTTP/1.") &&
               look->in.at[9] >= '1' && look->in.at[9] < '5';
    return true;
}

void http_look_close(http_look_t *look) {
    if (look->fd >= 0) close(look->fd);
    look->fd = -1;
    text_done(&look->in);
}
