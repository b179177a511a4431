// node: the node's own view of its containers, straight from the runtime: it works when nothing
// else does, and knows nothing of the API.
#include "actors/kubelet/pod_config.h"
#include "cli/troupe/cmd.h"
#include "cli/troupe/vars.h"
#include "runtime/api/msg.h"
#include "runtime/api/table.h"
#include "runtime/base/clock.h"
#include "runtime/base/vec.h"
#include "runtime/io/grpc.h"
#include <poll.h>
#include <unistd.h>

enum { CALL_TIMEOUT_MS = 10 * 1000, REMOVE_TIMEOUT_MS = 30 * 1000, ID_SHOWN = 13, ARGS_MAX = 64 };

typedef struct {
    topology_vars_t vars;
    const char *socket;
    bool all, help;
} node_t;

static const option_t options[] = {
    VARS_OPTIONS(node_t, vars),
    {"socket", 0, OPTION_STRING, offsetof(node_t, socket), "PATH",
     "containerd's [RUN/containerd.sock]"},
    {"all", 'a', OPTION_FLAG, offsetof(node_t, all), NULL, "ps: also those that have ended"},
    {"help", 'h', OPTION_FLAG, offsetof(node_t, help), NULL, "this text"},
    {NULL},
};

// ---- one call at a time -----------------------------------------------------------------------
typedef struct {
    int fd;
    short events;
    int64_t due_ms; // of the client's timer; INT64_MAX: none
    bool done;
    arena_t *arena;
    const ProtobufCMessageDescriptor *type;
    void *reply;
    err_t err;
    why_t why;
} talk_t;

static void talk_watch(void *arg, int fd, uint32_t epoll_events) {
    talk_t *t = arg;
    t->fd = fd;
    t->events = (short)epoll_events; // EPOLLIN and EPOLLOUT are POLLIN and POLLOUT
}
static void talk_unwatch(void *arg, int fd) { ((talk_t *)arg)->fd = -1; }
static int64_t talk_now(void *arg) { return clock_monotonic_ms(); }
static void talk_timer(void *arg, int64_t delay_ms) {
    ((talk_t *)arg)->due_ms = delay_ms < 0 ? INT64_MAX : clock_monotonic_ms() + delay_ms;
}
static void talk_done(void *arg, const grpc_result_t *result) {
    talk_t *t = arg;
    t->done = true;
    t->err = result->err;
    if (result->err)
        (void)why_set(&t->why, result->err, "%s", result->message);
    else
        t->err = msg_unpack(t->arena, t->type, result->body, &t->reply, &t->why);
}

static err_t call(talk_t *t, grpc_t *grpc, const char *method, const ProtobufCMessage *request,
                  const ProtobufCMessageDescriptor *type, int64_t timeout_ms, void **ret_reply,
                  why_t *why) {
    t->done = false;
    t->type = type;
    (void)grpc_call(grpc, method, request, timeout_ms, talk_done, t);
    while (!t->done) {
        struct pollfd fd = {.fd = t->fd, .events = t->events};
        int64_t wait_ms = t->due_ms == INT64_MAX ? timeout_ms : t->due_ms - clock_monotonic_ms();
        (void)poll(&fd, 1, wait_ms < 0 ? 0 : (int)wait_ms);
        if (fd.revents) grpc_on_fd(grpc, fd.fd, (uint32_t)fd.revents);
        if (clock_monotonic_ms() >= t->due_ms) grpc_on_timer(grpc);
    }
    if (t->err) return why_set(why, t->err, "%s", t->why.text);
    *ret_reply = t->reply;
    return ERR_OK;
}

#define RUNTIME "/runtime.v1.RuntimeService/"
static err_t list(talk_t *t, grpc_t *grpc, const Cri__ListContainersResponse **ret_list,
                  why_t *why) {
    Cri__ListContainersRequest request = {.base.descriptor =
                                              &cri__list_containers_request__descriptor};
    void *reply;
    err_t e = call(t, grpc, RUNTIME "ListContainers", &request.base,
                   &cri__list_containers_response__descriptor, CALL_TIMEOUT_MS, &reply, why);
    if (!e) *ret_list = reply;
    return e;
}

// ---- ps ---------------------------------------------------------------------------------------
static const char *label(const Cri__Container *c, const char *key) {
    for (size_t i = 0; i < c->n_labels; i++)
        if (streq(c->labels[i]->key, key)) return c->labels[i]->value;
    return "";
}

static int by_age(const void *a, const void *b) {
    const Cri__Container *x = *(Cri__Container *const *)a, *y = *(Cri__Container *const *)b;
    return x->created_at < y->created_at   ? 1
           : x->created_at > y->created_at ? -1
                                           : strcmp(x->id, y->id);
}

static const char *state_name(Cri__ContainerState s) {
    static const char *const names[] = {"Created", "Running", "Exited", "Unknown"};
    return (size_t)s < LENGTH_OF(names) ? names[s] : "Unknown";
}

static err_t ps(talk_t *t, grpc_t *grpc, bool all, why_t *why) {
    const Cri__ListContainersResponse *found;
    err_t e = list(t, grpc, &found, why);
    if (e) return e;
    if (found->n_containers)
        qsort(found->containers, found->n_containers, sizeof *found->containers, by_age);
    printf("%-*s   %-8s   %-7s   %-8s   %-16s   %s\n", ID_SHOWN, "CONTAINER", "STATE", "ATTEMPT",
           "AGE", "NAME", "POD");
    for (size_t i = 0; i < found->n_containers; i++) {
        const Cri__Container *c = found->containers[i];
        if (!all && c->state != CRI__CONTAINER_STATE__CONTAINER_RUNNING) continue;
        const char *age = human_duration(t->arena, clock_wall_ms() - c->created_at / 1000000);
        printf("%-.*s   %-8s   %-7u   %-8s   %-16s   %s/%s\n", ID_SHOWN, c->id,
               state_name(c->state), c->metadata ? c->metadata->attempt : 0, age,
               c->metadata ? c->metadata->name : "", label(c, LABEL_POD_NAMESPACE),
               label(c, LABEL_POD_NAME));
    }
    return ERR_OK;
}

// ---- rm ---------------------------------------------------------------------------------------
static err_t find(const Cri__ListContainersResponse *all, const char *prefix, const char **ret_id,
                  why_t *why) {
    const char *found = NULL;
    for (size_t i = 0; i < all->n_containers; i++) {
        if (!has_prefix(all->containers[i]->id, prefix)) continue;
        if (found) return why_set(why, ERR_USAGE, "%s stands for more than one container", prefix);
        found = all->containers[i]->id;
    }
    if (!found) return why_set(why, ERR_NOT_FOUND, "no container %s on this node", prefix);
    *ret_id = found;
    return ERR_OK;
}

static err_t rm(talk_t *t, grpc_t *grpc, const char *const *ids, size_t len, why_t *why) {
    const Cri__ListContainersResponse *all;
    err_t e = list(t, grpc, &all, why);
    for (size_t i = 0; !e && i < len; i++) {
        const char *id = NULL;
        void *reply;
        e = find(all, ids[i], &id, why);
        if (e) break;
        Cri__StopContainerRequest stop = {.base.descriptor =
                                              &cri__stop_container_request__descriptor,
                                          .container_id = id};
        Cri__RemoveContainerRequest remove = {.base.descriptor =
                                                  &cri__remove_container_request__descriptor,
                                              .container_id = id};
        e = call(t, grpc, RUNTIME "StopContainer", &stop.base,
                 &cri__stop_container_response__descriptor, REMOVE_TIMEOUT_MS, &reply, why);
        if (!e)
            e = call(t, grpc, RUNTIME "RemoveContainer", &remove.base,
                     &cri__remove_container_response__descriptor, REMOVE_TIMEOUT_MS, &reply, why);
        if (!e) printf("%s\n", ids[i]);
    }
    return e;
}

err_t cmd_node(int argc, char **argv, why_t *why) {
    node_t node = {0};
    const char *words[ARGS_MAX];
    size_t len;
    err_t e = options_parse(options, argc - 1, argv + 1, &node, words, ARGS_MAX, &len, why);
    if (e) return e;
    bool is_ps = len == 1 && streq(words[0], "ps"), is_rm = len > 1 && streq(words[0], "rm");
    if (node.help)
        return cmd_help(
            "troupe node ps [-a] | rm CONTAINER… [OPTIONS]",
            "The node's own view of its containers, from the container runtime itself. `rm` kills "
            "and removes\n"
            "behind the orchestrator's back; a pod that still wants the container gets a new one.",
            options);
    if (!is_ps && !is_rm) return why_set(why, ERR_USAGE, "say `ps`, or `rm` and containers");
    arena_t arena = {0};
    e = vars_complete(&arena, &node.vars, why);
    if (e) {
        arena_done(&arena);
        return e;
    }
    talk_t talk = {.fd = -1, .due_ms = INT64_MAX, .arena = &arena};
    char *socket CLEANUP(free_charp) =
        node.socket ? str_dup(node.socket) : str_printf("%s/containerd.sock", node.vars.run);
    if (access(socket, R_OK | W_OK) < 0) {
        e = why_set(why, ERR_UNAVAILABLE, "no container runtime at %s", socket);
    } else {
        grpc_loop_t loop = {&talk, talk_watch, talk_unwatch, talk_timer, talk_now, NULL};
        grpc_t *grpc = grpc_new(socket, &loop, 0);
        e = is_ps ? ps(&talk, grpc, node.all, why) : rm(&talk, grpc, words + 1, len - 1, why);
        grpc_destroy(&grpc);
    }
    arena_done(&arena);
    return e;
}
