// port-forward: ports of this machine that lead into a pod. Each connection is a stream of its own
// to the pod's node, which connects inside of the pod's network.
#include "cli/troupectl/ctl.h"
#include "k8s/core_v1.pb-c.h"
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PORTS_MAX = 16,
    BACKLOG = 64,
    READ_BYTES = 16 * 1024,
    PUSH_WAIT_MS = 60 * 1000,
    CHUNK_WAIT_MS = 24 * 3600 * 1000,
};

typedef struct {
    int fd; // listening
    uint16_t local, remote;
} port_t;

// ---- one connection ----------------------------------------------------------------------------

typedef struct {
    int fd;
    client_stream_t *stream;
    pthread_t input;
} visitor_t;

static void *pump_in(void *arg) {
    visitor_t *v = arg;
    char buf[READ_BYTES];
    ssize_t got;
    do {
        got = recv(v->fd, buf, sizeof buf, 0);
        if (got < 0 && errno == EINTR) continue;
        Api__ExecInput chunk = {PROTOBUF_C_MESSAGE_INIT(&api__exec_input__descriptor)};
        chunk.data = (ProtobufCBinaryData){got > 0 ? (size_t)got : 0, (uint8_t *)buf};
        chunk.end = got <= 0;
        if (client_push(v->stream, &chunk.base, PUSH_WAIT_MS)) break;
    } while (got > 0);
    return NULL;
}

static void pump_out(const visitor_t *v) {
    arena_t arena = {0};
    failure_t failure = {0};
    void *chunk;
    err_t err;
    bool takes = true;
    while (takes && !(err = client_next(v->stream, &arena, &api__exec_output__descriptor,
                                        CHUNK_WAIT_MS, &chunk, &failure))) {
        const Api__ExecOutput *out = chunk;
        for (size_t sent = 0; takes && sent < out->data.len;) {
            ssize_t put = send(v->fd, out->data.data + sent, out->data.len - sent, MSG_NOSIGNAL);
            takes = put > 0 || errno == EINTR;
            if (put > 0) sent += (size_t)put;
        }
        arena_clear(&arena);
    }
    if (takes && err != ERR_CANCELLED) refuse_failure(&failure);
    arena_done(&arena);
}

static void *serve(void *arg) {
    visitor_t *v = arg;
    bool reads = pthread_create(&v->input, NULL, pump_in, v) == 0;
    pump_out(v);
    shutdown(v->fd, SHUT_RDWR); // wakes the reading thread
    if (reads) pthread_join(v->input, NULL);
    client_close(&v->stream);
    close_fdp(&v->fd);
    free(v);
    return NULL;
}

static void welcome(ctl_t *ctl, const char *pod, const port_t *port) {
    int fd = accept4(port->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) return; // it has gone again
    printf("Handling connection for %u\n", port->local);
    Api__PodExec request = {PROTOBUF_C_MESSAGE_INIT(&api__pod_exec__descriptor)};
    request.namespace_ = ctl_namespace(ctl);
    request.pod = pod;
    request.container = "";
    request.port = port->remote;
    visitor_t *v = NEW(visitor_t);
    *v = (visitor_t){.fd = fd, .stream = client_open(ctl->client, "apiserver", &request.base)};
    pthread_t thread;
    if (pthread_create(&thread, NULL, serve, v) == 0) {
        pthread_detach(thread);
        return;
    }
    client_close(&v->stream);
    close_fdp(&v->fd);
    free(v);
}

// ---- which ports -------------------------------------------------------------------------------

static const Core__ServicePort *service_port(const Core__ServiceSpec *spec, const char *word) {
    int64_t number = 0;
    (void)parse_int(word, 1, UINT16_MAX, &number);
    for (size_t i = 0; spec && i < spec->n_ports; i++)
        if (number ? spec->ports[i]->port == number : streq(or_empty(spec->ports[i]->name), word))
            return spec->ports[i];
    return NULL;
}

static bool is_number(const char *word, uint16_t *ret) {
    int64_t number;
    if (!parse_int(word, 1, UINT16_MAX, &number)) return false;
    *ret = (uint16_t)number;
    return true;
}

static bool named_port(const Core__Pod *pod, const char *name, uint16_t *ret) {
    if (strspn(name, "0123456789") == strlen(name))
        return refuse("invalid port \"%s\": want 1 to 65535, or a port's name", name), false;
    for (size_t i = 0; i < pod->spec->n_containers; i++) {
        const Core__Container *c = pod->spec->containers[i];
        for (size_t p = 0; p < c->n_ports; p++)
            if (streq(or_empty(c->ports[p]->name), name))
                return *ret = (uint16_t)c->ports[p]->containerport, true;
    }
    return refuse("Pod '%s' does not have a named port '%s'", pod->metadata->name, name), false;
}

// A service's port leads to its target port, a name to the containers' port of that name.
static bool remote_port(const Core__Service *service, const Core__Pod *pod, const char *word,
                        uint16_t *ret) {
    if (!service) return is_number(word, ret) || named_port(pod, word, ret);
    const Core__ServicePort *port = service_port(service->spec, word);
    if (!port)
        return refuse("Service %s does not have a service port %s", service->metadata->name, word),
               false;
    const Intstr__IntOrString *target = port->targetport;
    if (target && !is_empty(target->strval)) return named_port(pod, target->strval, ret);
    *ret = (uint16_t)(target && target->intval ? target->intval : port->port);
    return true;
}

// "LOCAL:REMOTE", ":REMOTE" (any free port here), "PORT" (the same on both sides)
static bool read_port(ctl_t *ctl, const Core__Service *service, const Core__Pod *pod,
                      const char *word, port_t *ret) {
    const char *colon = strchr(word, ':'), *remote = colon ? colon + 1 : word;
    if (!remote_port(service, pod, remote, &ret->remote)) return false;
    ret->local = 0;
    if (colon == word) return true;
    const char *local = colon ? arena_strndup(&ctl->arena, word, (size_t)(colon - word)) : remote;
    if (is_number(local, &ret->local)) return true;
    if (!colon) return ret->local = ret->remote, true;
    return refuse("invalid port \"%s\": want LOCAL:PORT, :PORT or PORT", word), false;
}

static bool listen_on(const char *address, port_t *port) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port->local)};
    socklen_t len = sizeof at;
    int on = 1;
    if (inet_pton(AF_INET, address, &at.sin_addr) != 1)
        return refuse("invalid --address \"%s\": want an IPv4 address", address), false;
    port->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (port->fd < 0 || setsockopt(port->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(port->fd, (struct sockaddr *)&at, len) < 0 || listen(port->fd, BACKLOG) < 0 ||
        getsockname(port->fd, (struct sockaddr *)&at, &len) < 0)
        return refuse("unable to listen on %s:%u: %s", address, port->local, strerror(errno)),
               false;
    port->local = ntohs(at.sin_port);
    printf("Forwarding from %s:%u -> %u\n", address, port->local, port->remote);
    return true;
}

// ---- the verb ----------------------------------------------------------------------------------

// The service that was asked for, NULL for other kinds; false: it has said why.
static bool find_service(ctl_t *ctl, const Core__Service **ret_service) {
    targets_t targets;
    words_t all = ctl->words;
    *ret_service = NULL;
    if (!strchr(ctl->words.at[0], '/')) return true;
    ctl->words.len = 1;
    bool ok = targets_parse(ctl, 0, &targets);
    ctl->words = all;
    ProtobufCMessage *obj;
    failure_t failure;
    if (!ok || targets.at[0].kind->type != &core__service__descriptor) return ok;
    if (ctl_get(ctl, targets.at[0].kind, ctl_namespace(ctl), targets.at[0].name, &obj, &failure))
        return refuse_failure(&failure), false;
    *ret_service = (const Core__Service *)obj;
    return true;
}

static int forward(ctl_t *ctl, const char *pod, const port_t *ports, size_t len) {
    struct pollfd fds[PORTS_MAX];
    for (size_t i = 0; i < len; i++) fds[i] = (struct pollfd){ports[i].fd, POLLIN, 0};
    for (;;) {
        if (poll(fds, len, -1) < 0 && errno != EINTR) return refuse("poll: %s", strerror(errno));
        for (size_t i = 0; i < len; i++)
            if (fds[i].revents) welcome(ctl, pod, &ports[i]);
    }
}

int cmd_port_forward(ctl_t *ctl) {
    if (ctl->words.len < 2)
        return refuse("TYPE/NAME and list of ports are required for port-forward");
    if (ctl->words.len - 1 > PORTS_MAX) return refuse("at most %d ports", PORTS_MAX);
    const Core__Service *service;
    if (!find_service(ctl, &service)) return EXIT_FAILED;
    const char *name = ctl_pod_argument(ctl);
    ProtobufCMessage *pod;
    failure_t failure;
    if (!name) return EXIT_FAILED;
    if (ctl_get(ctl, kind_find("", "v1", "Pod"), ctl_namespace(ctl), name, &pod, &failure))
        return refuse_failure(&failure);
    const Core__PodStatus *status = ((const Core__Pod *)pod)->status;
    const char *phase = status ? or_empty(status->phase) : "";
    if (!streq(phase, "Running"))
        return refuse("unable to forward port because pod is not running. Current status=%s",
                      phase);
    port_t ports[PORTS_MAX];
    size_t len = 0;
    const char *address = ctl->o.address ? ctl->o.address : "127.0.0.1";
    for (; len + 1 < ctl->words.len; len++)
        if (!read_port(ctl, service, (const Core__Pod *)pod, ctl->words.at[len + 1], &ports[len]) ||
            !listen_on(address, &ports[len]))
            return EXIT_FAILED;
    return forward(ctl, name, ports, len);
}
