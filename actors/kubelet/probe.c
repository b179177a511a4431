#include "actors/kubelet/probe.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static bool over(probe_t *p, bool ok, char *output) {
    p->ok = ok;
    free(p->output);
    p->output = output;
    if (p->fd >= 0) close(p->fd);
    p->fd = -1;
    return true;
}

bool probe_start(probe_t *p, const Node__Probe *what) {
    *p = (probe_t){.fd = -1, .is_http = what->kind == NODE__PROBE__KIND__HTTP};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)what->port)};
    if (inet_pton(AF_INET, what->host, &to.sin_addr) != 1) {
        over(p, false, str_printf("dial tcp: lookup %s: not an address", what->host));
        return false;
    }
    if (p->is_http) {
        text_addf(&p->out, "GET %s%s HTTP/1.1\r\n", what->path[0] == '/' ? "" : "/", what->path);
        if (is_empty(what->host_header))
            text_addf(&p->out, "Host: %s:%u\r\n", what->host, what->port);
        else
            text_addf(&p->out, "Host: %s\r\n", what->host_header);
        text_add(&p->out, "User-Agent: kube-probe/1.33\r\nAccept: */*\r\nConnection: close\r\n");
        for (size_t i = 0; i < what->n_headers; i++) text_addf(&p->out, "%s\r\n", what->headers[i]);
        text_add(&p->out, "\r\n");
    }
    p->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (p->fd < 0 ||
        (connect(p->fd, (const struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS)) {
        over(p, false,
             str_printf("dial tcp %s:%u: connect: %s", what->host, what->port, strerror(errno)));
        return false;
    }
    return true;
}

uint32_t probe_events(const probe_t *p) {
    return p->sent < p->out.len || !p->is_http ? EPOLLOUT : EPOLLIN;
}

// "HTTP/1.1 200 …"
static bool read_status(probe_t *p) {
    int code = 0;
    if (sscanf(text_str(&p->in), "HTTP/%*d.%*d %d", &code) != 1)
        return over(p, false, str_dup("malformed HTTP response"));
    bool ok = code >= 200 && code < 400;
    return over(p, ok,
                ok ? str_dup("") : str_printf("HTTP probe failed with statuscode: %d", code));
}

bool probe_on_fd(probe_t *p, uint32_t epoll_events) {
    int code = 0;
    socklen_t len = sizeof code;
    if (getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &code, &len) == 0 && code)
        return over(p, false, str_printf("connect: %s", strerror(code)));
    if (!p->is_http) return over(p, true, str_dup(""));
    if (p->sent < p->out.len) {
        ssize_t sent = send(p->fd, p->out.at + p->sent, p->out.len - p->sent, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return over(p, false, str_printf("write: %s", strerror(errno)));
        if (sent > 0) p->sent += (size_t)sent;
        return false;
    }
    char buf[4096];
    ssize_t got = recv(p->fd, buf, sizeof buf, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    if (got > 0) text_addn(&p->in, buf, (size_t)got);
    bool has_line = p->in.len && memchr(p->in.at, '\n', p->in.len);
    if (has_line) return read_status(p);
    if (got <= 0) return over(p, false, str_dup("EOF"));
    return p->in.len > PROBE_ANSWER_MAX_BYTES ? over(p, false, str_dup("malformed HTTP response"))
                                              : false;
}

void probe_done(probe_t *p) {
    if (p->fd >= 0) close(p->fd);
    p->fd = -1;
    text_done(&p->out);
    text_done(&p->in);
    free(p->output);
    p->output = NULL;
}
