// Connections of streams: sockets on loopback that never make the actor wait.
#include "actors/kubelet/kubelet_stream.h"
#include <arpa/inet.h>
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_BYTES = 32 << 10 };

err_t connection_begin(actor_t *me, connection_t *c, uint16_t port, why_t *why) {
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(port),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) return why_errno(why, errno, "socket");
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) {
        err_t err = why_errno(why, errno, "connect to port %u", port);
        close_fdp(&c->fd);
        return err;
    }
    actor_watch_fd(me, c->fd, EPOLLIN | EPOLLOUT);
    return ERR_OK;
}

bool connection_pump(actor_t *me, connection_t *c) {
    size_t sent = 0;
    while (c->fd >= 0 && sent < c->out.len) {
        ssize_t put = send(c->fd, c->out.at + sent, c->out.len - sent, MSG_NOSIGNAL);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0 && errno != EAGAIN && errno != ENOTCONN) return false;
        if (put < 0) break;
        sent += (size_t)put;
    }
    if (sent) memmove(c->out.at, c->out.at + sent, c->out.len - sent + 1);
    c->out.len -= sent;
    if (c->fd < 0) return true;
    uint32_t events = (c->is_held ? 0 : EPOLLIN) | (c->out.len ? EPOLLOUT : 0);
    if (events)
        actor_watch_fd(me, c->fd, events);
    else
        actor_unwatch_fd(me, c->fd);
    return true;
}

int connection_read(connection_t *c) {
    char buf[READ_BYTES];
    ssize_t got = c->fd < 0 ? 0 : recv(c->fd, buf, sizeof buf, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOTCONN)) return 0;
    if (got <= 0) return -1;
    text_addn(&c->in, buf, (size_t)got);
    return 1;
}

void connection_close(actor_t *me, connection_t *c) {
    if (c->fd >= 0) actor_unwatch_fd(me, c->fd);
    close_fdp(&c->fd);
    text_done(&c->in);
    text_done(&c->out);
}
