// relays - logs, exec, attach and port-forward: a stream to the client on one side, one to the
// kubelet of the pod's node on the other.
//
//     client ◄── chunks ── relay ◄── chunks ── kubelet/NODE
//            ── pushes ──►       ── pushes ──►
//
// Chunks pass as the bytes they came as. What one side has no room for waits here, and the other
// side gets no credit until it has passed: a slow reader slows the container, nothing piles up.
#include "actors/apiserver/server.h"

enum { RELAY_PUSH_WINDOW = 64 };

typedef struct {
    const ProtobufCMessageDescriptor *type;
    blob_t *body;
} chunk_t;
typedef VEC(chunk_t) chunk_list_t;

struct relay {
    uint64_t id;
    uint64_t client;  // our stream to the client
    uint64_t kubelet; // our opening ask; 0: not open yet
    uint32_t window;
    chunk_list_t down, up; // to the client; to the kubelet
    bool is_ended;         // the kubelet is done: end when `down` is empty
    err_t err;
    char *why;
    blob_t *status;
};

// ---- life ---------------------------------------------------------------------------------------
static void chunks_done(chunk_list_t *chunks) {
    for (size_t i = 0; i < chunks->len; i++) blob_unref(&chunks->at[i].body);
    vec_done(chunks);
}

static void relay_destroy(relay_t **relay) {
    relay_t *one = x_steal(relay);
    chunks_done(&one->down);
    chunks_done(&one->up);
    free(one->why);
    blob_unref(&one->status);
    free(one);
}

static void relay_remove(server_t *s, relay_t *relay) {
    imap_remove(&s->relays, relay->id);
    relay_destroy(&relay);
}

void relays_stop(server_t *s) {
    size_t at = 0;
    uint64_t id;
    void *value;
    while (imap_next(&s->relays, &at, &id, &value)) {
        relay_t *one = value;
        relay_destroy(&one);
    }
    imap_done(&s->relays);
}

static relay_t *relay_of_stream(server_t *s, uint64_t stream) {
    size_t at = 0;
    uint64_t id;
    void *value;
    while (imap_next(&s->relays, &at, &id, &value)) {
        relay_t *one = value;
        if (one->client == stream) return one;
    }
    return NULL;
}

// ---- passing on ---------------------------------------------------------------------------------
static void end_client(actor_t *me, relay_t *relay) {
    actor_stream_end_status(me, relay->client, relay->err, or_empty(relay->why),
                            blob_bytes(relay->status));
    relay_remove(actor_state(me), relay);
}

static void pass_down(actor_t *me, relay_t *relay) {
    size_t sent = 0;
    while (sent < relay->down.len &&
           actor_stream_send_blob(me, relay->client, relay->down.at[sent].type,
                                  relay->down.at[sent].body))
        blob_unref(&relay->down.at[sent++].body);
    if (sent > 0)
        memmove(relay->down.at, relay->down.at + sent,
                (relay->down.len - sent) * sizeof *relay->down.at);
    relay->down.len -= sent;
    if (relay->kubelet) actor_stream_hold(me, relay->kubelet, relay->down.len > 0);
    if (relay->is_ended && relay->down.len == 0) end_client(me, relay);
}

static void pass_up(actor_t *me, relay_t *relay) {
    size_t sent = 0;
    while (relay->kubelet && sent < relay->up.len) {
        const chunk_t *chunk = &relay->up.at[sent];
        const ProtobufCMessage *body =
            msg_unpack_own(actor_arena(me), chunk->type, blob_bytes(chunk->body));
        assert(body);
        if (!actor_push(me, relay->kubelet, body)) break;
        blob_unref(&relay->up.at[sent++].body);
    }
    if (sent > 0)
        memmove(relay->up.at, relay->up.at + sent, (relay->up.len - sent) * sizeof *relay->up.at);
    relay->up.len -= sent;
    actor_push_hold(me, relay->client, relay->up.len > 0);
}

void relay_on_chunk(actor_t *me, const message_t *msg) {
    server_t *s = actor_state(me);
    relay_t *relay = imap_get(&s->relays, TAG_REST(msg->tag));
    if (!relay) return;
    const ProtobufCMessageDescriptor *type = streq(msg->type, api__log_chunk__descriptor.name)
                                                 ? &api__log_chunk__descriptor
                                                 : &api__exec_output__descriptor;
    vec_push(&relay->down, ((chunk_t){type, blob_ref(msg->body)}));
    pass_down(me, relay);
}

void relay_on_push(actor_t *me, const message_t *msg, const ProtobufCMessage *body) {
    relay_t *relay = relay_of_stream(actor_state(me), msg->stream);
    if (!relay || relay->is_ended) return;
    vec_push(&relay->up, ((chunk_t){body->descriptor, blob_ref(msg->body)}));
    pass_up(me, relay);
}

void relay_on_credit(actor_t *me, uint64_t stream) {
    relay_t *relay = relay_of_stream(actor_state(me), stream);
    if (relay) pass_down(me, relay);
}

void relay_on_push_credit(actor_t *me, uint64_t id) {
    relay_t *relay = imap_get(&((server_t *)actor_state(me))->relays, id);
    if (relay) pass_up(me, relay);
}

void relay_on_end(actor_t *me, uint64_t id, err_t err, const char *why, bytes_t status) {
    relay_t *relay = imap_get(&((server_t *)actor_state(me))->relays, id);
    if (!relay) return;
    relay->is_ended = true;
    relay->err = err;
    relay->why = str_dup(why);
    relay->status = blob_from(status.at, status.len);
    pass_down(me, relay);
}

bool relay_close(actor_t *me, uint64_t stream) {
    server_t *s = actor_state(me);
    relay_t *relay = relay_of_stream(s, stream);
    if (!relay) return false;
    if (relay->kubelet && !relay->is_ended) actor_cancel(me, relay->kubelet);
    relay_remove(s, relay);
    return true;
}

// ---- opening ------------------------------------------------------------------------------------
typedef struct {
    const char *ns, *pod, *container, *sub, *verb;
} target_t;

static target_t target_of(const ProtobufCMessage *body) {
    if (body->descriptor == &api__pod_logs__descriptor) {
        const Api__PodLogs *logs = (const Api__PodLogs *)body;
        return (target_t){or_empty(logs->namespace_), or_empty(logs->pod),
                          or_empty(logs->container), "log", "get"};
    }
    const Api__PodExec *exec = (const Api__PodExec *)body;
    return (target_t){or_empty(exec->namespace_), or_empty(exec->pod), or_empty(exec->container),
                      exec->port     ? "portforward"
                      : exec->attach ? "attach"
                                     : "exec",
                      "create"};
}

static void refuse(actor_t *me, job_t *job, const Meta__Status *status) {
    server_t *s = actor_state(me);
    relay_t *relay = relay_of_stream(s, job->stream);
    if (relay) relay_remove(s, relay);
    job_fail_status(me, job, status);
}

// Who are the containers of the pod? In the order Kubernetes names them.
static void container_names(arena_t *arena, const Core__PodSpec *spec, const char ***ret_names,
                            size_t *ret_len) {
    size_t len = 0;
    const char **names =
        ARENA_ARRAY(arena, const char *,
                    spec->n_initcontainers + spec->n_containers + spec->n_ephemeralcontainers);
    for (size_t i = 0; i < spec->n_initcontainers; i++)
        names[len++] = or_empty(spec->initcontainers[i]->name);
    for (size_t i = 0; i < spec->n_containers; i++)
        names[len++] = or_empty(spec->containers[i]->name);
    for (size_t i = 0; i < spec->n_ephemeralcontainers; i++)
        names[len++] = or_empty(spec->ephemeralcontainers[i]->ephemeralcontainercommon
                                    ? spec->ephemeralcontainers[i]->ephemeralcontainercommon->name
                                    : "");
    *ret_names = names;
    *ret_len = len;
}

static const Meta__Status *check_container(arena_t *arena, const Core__Pod *pod,
                                           const target_t *to) {
    const char **names;
    size_t len;
    container_names(arena, pod->spec, &names, &len);
    if (!*to->container &&
        (pod->spec->n_containers == 1 || streq(to->sub, "portforward") || // any of the pod will do

         object_annotation(&pod->base, "kubectl.kubernetes.io/default-container")))
        return NULL;
    if (!*to->container) {
        text_t all = {.arena = arena};
        for (size_t i = 0; i < len; i++) text_addf(&all, "%s%s", i ? " " : "", names[i]);
        return status_bad_request(
            arena, arena_printf(arena,
                                "a container name must be specified for pod %s, choose one "
                                "of: [%s]",
                                to->pod, text_str(&all)));
    }
    for (size_t i = 0; i < len; i++)
        if (streq(names[i], to->container)) return NULL;
    return status_bad_request(arena, arena_printf(arena, "container %s is not valid for pod %s",
                                                  to->container, to->pod));
}

// The body for the kubelet names the container that the client left out.
static const ProtobufCMessage *with_container(arena_t *arena, const Core__Pod *pod,
                                              ProtobufCMessage *body) {
    const char *chosen = object_annotation(&pod->base, "kubectl.kubernetes.io/default-container");
    if (!chosen) chosen = pod->spec->containers[0]->name;
    ProtobufCMessage *copy = arena_dup(arena, body, body->descriptor->sizeof_message);
    if (body->descriptor == &api__pod_logs__descriptor)
        ((Api__PodLogs *)copy)->container = chosen;
    else
        ((Api__PodExec *)copy)->container = chosen;
    return copy;
}

void relay_run(actor_t *me, job_t *job) {
    server_t *s = actor_state(me);
    arena_t *arena = actor_arena(me);
    relay_t *relay = relay_of_stream(s, job->stream);
    if (!relay) { // its client is gone
        job_end(me, job);
        return;
    }
    ProtobufCMessage *body = job_body(me, job);
    target_t to = target_of(body);
    const cached_t *cached = cache_get(&s->cache, kind_find("", "v1", "Pod"),
                                       arena_printf(arena, "%s/%s", to.ns, to.pod));
    if (!cached) {
        refuse(me, job, status_not_found(arena, "", "pods", to.pod));
        return;
    }
    const Core__Pod *pod = cached_object(arena, cached);
    const Meta__Status *status = pod->spec ? check_container(arena, pod, &to) : NULL;
    if (!status && is_empty(cached->node))
        status =
            status_bad_request(arena,
                               arena_printf(arena, "pod %s does not have a host assigned", to.pod));
    if (status) {
        refuse(me, job, status);
        return;
    }
    if (!*to.container) body = (ProtobufCMessage *)with_container(arena, pod, body);
    relay->kubelet = actor_open(me, arena_printf(arena, "kubelet/%s", cached->node), body,
                                relay->window, TAG_RELAY | relay->id);
    pass_up(me, relay);
    job_end(me, job);
}

void relay_open(actor_t *me, const message_t *msg, const ProtobufCMessage *body) {
    server_t *s = actor_state(me);
    arena_t *arena = actor_arena(me);
    if (!msg->stream_window) {
        actor_fail(me, msg, ERR_BAD_REQUEST, "logs and exec are opened as streams");
        return;
    }
    target_t to = target_of(body);
    identity_t who = rights_identify(arena, msg->from, msg->principal);
    access_t access = {to.verb, "", "pods", to.sub, to.ns, to.pod};
    if (!rights_allow(&who, &access)) {
        const Meta__Status *status =
            status_forbidden(arena, "", "pods", to.pod, rights_refusal(arena, &who, &access));
        actor_fail_status(me, msg, ERR_FORBIDDEN, status->message, msg_pack(arena, &status->base));
        return;
    }
    if (imap_len(&s->relays) >= RELAYS_MAX) {
        actor_fail(me, msg, ERR_OVERLOADED, "too many log and exec streams");
        return;
    }
    job_t *job = job_from_message(me, msg, JOB_RELAY);
    if (!job) return;
    job->type = body->descriptor;
    job->wants_revision = true;
    job->stream =
        actor_stream_accept(me, msg,
                            body->descriptor == &api__pod_exec__descriptor ? RELAY_PUSH_WINDOW : 0);
    relay_t *relay = NEW(relay_t);
    *relay = (relay_t){.id = ++s->last_relay, .client = job->stream, .window = msg->stream_window};
    imap_put(&s->relays, relay->id, relay);
    job_start(me, job);
}
