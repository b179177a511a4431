#include "cli/client/client.h"
#include "runtime/actor/process.h"
#include "runtime/api/errors.h"
#include "runtime/api/msg.h"
#include "runtime/base/clock.h"
#include "runtime/base/vec.h"
#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

// The main thread and the actor's thread share this one structure under one lock:
//
//     main thread                      actor (dispatcher "cli")
//     put a wish into `wishes`  ──►    on_fd: take the wishes, ask / open / push / cancel
//     wait on `changed`         ◄──    answer, chunk, end: put it into the call's inbox
enum {
    RESTART_MS = 5000,                // a cluster that was killed is back by then
    LOOK_AGAIN_MS = 2,                // while the link comes up
    CHUNKS_HELD_MAX_BYTES = 64 << 20, // a terminal that does not read must not eat the memory
};

typedef struct call call_t;
typedef enum { WISH_ASK, WISH_OPEN, WISH_PUSH, WISH_CANCEL } wish_kind_t;
typedef struct {
    wish_kind_t kind;
    call_t *call;
    const ProtobufCMessageDescriptor *type;
    blob_t *body; // owned
} wish_t;

typedef struct {
    const ProtobufCMessageDescriptor *type;
    blob_t *body;
} chunk_t; // body owned
struct call {
    uint64_t tag; // names it in the actor
    char *to;     // owned
    int64_t timeout_ms;
    uint64_t ask_id; // actor's side only
    bool is_stream, ended, push_refused;
    VEC(chunk_t) inbox;
    size_t inbox_bytes;
    failure_t failure; // of an ended call; err OK: it ended well
};

struct client {
    process_t *process;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int wake_fd;
    VEC(wish_t) wishes;
    VEC(call_t *) calls; // owned; those under way
    uint64_t tag_next, trace_id;
    int64_t timeout_ms;
    bool is_connected;
    const char *peer; // that must be known; borrowed
    VEC(handler_t) handlers;
    actor_def_t actor;
};
struct client_stream {
    client_t *client;
    call_t *call;
};

// ---- the actor's side ---------------------------------------------------------------------------

typedef struct {
    client_t *client;
} cli_state_t;

static client_t *client_of(actor_t *me) { return ((cli_state_t *)actor_state(me))->client; }

static call_t *find_call(client_t *c, uint64_t tag) {
    for (size_t i = 0; i < c->calls.len; i++)
        if (c->calls.at[i]->tag == tag) return c->calls.at[i];
    return NULL;
}

static void fail_call(call_t *call, err_t err, const char *why, bytes_t status) {
    arena_t arena = {0};
    call->failure.err = err;
    snprintf(call->failure.message, sizeof call->failure.message, "%s",
             is_empty(why) ? err_text(err) : why);
    Meta__Status *parsed =
        status.len ? msg_unpack_own(&arena, &meta__status__descriptor, status) : NULL;
    if (parsed) {
        snprintf(call->failure.reason, sizeof call->failure.reason, "%s", or_empty(parsed->reason));
        const char *text = status_text(&arena, parsed);
        if (*text) snprintf(call->failure.message, sizeof call->failure.message, "%s", text);
    }
    call->ended = true;
    arena_done(&arena);
}

static void on_answer(actor_t *me, const message_t *msg, const void *body) {
    client_t *c = client_of(me);
    pthread_mutex_lock(&c->lock);
    call_t *call = find_call(c, msg->tag);
    if (call && !call->ended) {
        chunk_t chunk = {((const ProtobufCMessage *)body)->descriptor, blob_ref(msg->body)};
        vec_push(&call->inbox, chunk);
        call->inbox_bytes += blob_bytes(msg->body).len;
        if (!call->is_stream) call->ended = true;
        if (call->inbox_bytes > CHUNKS_HELD_MAX_BYTES)
            fail_call(call, ERR_OVERLOADED, "output is not being read fast enough", (bytes_t){0});
    }
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

static void end_call(actor_t *me, uint64_t tag, err_t err, const char *why, bytes_t status) {
    client_t *c = client_of(me);
    pthread_mutex_lock(&c->lock);
    call_t *call = find_call(c, tag);
    if (call && !call->ended) fail_call(call, err, why, status);
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

static void on_failure(actor_t *me, const message_t *msg, const void *body) {
    const Actor__Failure *f = body;
    end_call(me, msg->tag, (err_t)f->err, f->why, (bytes_t){f->status.data, f->status.len});
}

static void on_end(actor_t *me, const message_t *msg, const void *body) {
    const Actor__StreamEnd *end = body;
    end_call(me, msg->tag, (err_t)end->err, end->why, (bytes_t){end->status.data, end->status.len});
}

static void on_credit(actor_t *me, const message_t *msg, const void *body) {
    client_t *c = client_of(me);
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < c->calls.len; i++) c->calls.at[i]->push_refused = false;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

static void look_for_server(actor_t *me, uint64_t tag) {
    client_t *c = client_of(me);
    bool known = actor_is_known(me, c->peer);
    pthread_mutex_lock(&c->lock);
    c->is_connected = known;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
    if (!known) actor_timer(me, tag, LOOK_AGAIN_MS);
}

static void perform(actor_t *me, client_t *c, const wish_t *wish) {
    call_t *call = wish->call;
    actor_set_trace(me, c->trace_id);
    switch (wish->kind) {
    case WISH_ASK:
        call->ask_id =
            actor_ask_blob(me, call->to, wish->type, wish->body, call->timeout_ms, call->tag);
        break;
    case WISH_OPEN: {
        void *body = msg_unpack_own(actor_arena(me), wish->type, blob_bytes(wish->body));
        call->ask_id = actor_open(me, call->to, body, STREAM_WINDOW_DEFAULT, call->tag);
        break;
    }
    case WISH_PUSH: {
        void *body = msg_unpack_own(actor_arena(me), wish->type, blob_bytes(wish->body));
        if (!actor_push(me, call->ask_id, body)) call->push_refused = true;
        break;
    }
    case WISH_CANCEL:
        if (call->ask_id) actor_cancel(me, call->ask_id);
        break;
    }
}

static void drop_call(client_t *c, call_t *call) {
    for (size_t i = 0; i < c->calls.len; i++)
        if (c->calls.at[i] == call) {
            vec_swap_remove(&c->calls, i);
            break;
        }
    for (size_t i = 0; i < call->inbox.len; i++) blob_unref(&call->inbox.at[i].body);
    vec_done(&call->inbox);
    free(call->to);
    free(call);
}

static void on_fd(actor_t *me, int fd, uint32_t events) {
    client_t *c = client_of(me);
    uint64_t count;
    if (read(fd, &count, sizeof count) < 0) return; // nothing was signalled
    pthread_mutex_lock(&c->lock);
    // A push that found no room stays first in line until credit returns.
    size_t kept = 0;
    for (size_t i = 0; i < c->wishes.len; i++) {
        wish_t wish = c->wishes.at[i];
        perform(me, c, &wish);
        if (wish.kind == WISH_PUSH && wish.call->push_refused && !wish.call->ended) {
            c->wishes.at[kept++] = wish;
            continue;
        }
        blob_unref(&wish.body);
        if (wish.kind == WISH_CANCEL) drop_call(c, wish.call);
    }
    c->wishes.len = kept;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

static void on_credit_again(actor_t *me, const message_t *msg, const void *body) {
    client_t *c = client_of(me);
    on_credit(me, msg, body);
    uint64_t one = 1;
    if (write(c->wake_fd, &one, sizeof one) < 0) return; // already signalled to the brim
}

static err_t start(actor_t *me, const void *args, why_t *why) {
    client_t *c = *(client_t *const *)args;
    ((cli_state_t *)actor_state(me))->client = c;
    actor_watch_fd(me, c->wake_fd, 1 /* EPOLLIN */);
    look_for_server(me, 1);
    return ERR_OK;
}

static void on_timer(actor_t *me, uint64_t tag) { look_for_server(me, tag); }

static const ProtobufCMessageDescriptor *const api_replies[] = {
    &api__reply__descriptor,          &api__list_reply__descriptor,
    &api__watch_events__descriptor,   &api__delete_collection_reply__descriptor,
    &api__log_chunk__descriptor,      &api__exec_output__descriptor,
    &api__version_reply__descriptor,  &api__current_revision_reply__descriptor,
    &actor__trace_hops__descriptor,   &actor__actor_infos__descriptor,
    &actor__dead_letters__descriptor, &actor__faults__descriptor,
    &actor__metrics__descriptor,      &actor__done__descriptor,
    &chaos__injected__descriptor,     NULL,
};

// The actor's definition and its rows are the client's own: what it may be answered is an option.
static void define_actor(client_t *c, const client_options_t *o) {
    const ProtobufCMessageDescriptor *const *reply = o->replies ? o->replies : api_replies;
    for (; *reply; reply++) vec_push(&c->handlers, ((handler_t){*reply, on_answer, NULL, false}));
    static const handler_t rest[] = {
        {&actor__failure__descriptor, on_failure, NULL, false},
        {&actor__stream_end__descriptor, on_end, NULL, false},
        {&actor__stream_credit__descriptor, on_credit_again, NULL, false},
        {NULL, NULL, NULL, false},
    };
    for (size_t i = 0; i < LENGTH_OF(rest); i++) vec_push(&c->handlers, rest[i]);
    c->actor = (actor_def_t){
        .role = o->role ? o->role : "cli",
        .state_size = sizeof(cli_state_t),
        .start = start,
        .handlers = c->handlers.at,
        .on_timer = on_timer,
        .on_fd = on_fd,
    };
}

// ---- the main thread's side --------------------------------------------------------------------

static struct timespec until(int64_t timeout_ms) {
    int64_t at_us = clock_monotonic_us() + timeout_ms * 1000;
    return (struct timespec){.tv_sec = at_us / 1000000, .tv_nsec = at_us % 1000000 * 1000};
}

static void wish(client_t *c, wish_kind_t kind, call_t *call, const ProtobufCMessage *body) {
    wish_t w = {kind, call, body ? body->descriptor : NULL, body ? msg_blob(body) : NULL};
    vec_push(&c->wishes, w);
    uint64_t one = 1;
    if (write(c->wake_fd, &one, sizeof one) < 0) return; // already signalled to the brim
}

static call_t *call_new(client_t *c, const char *to, bool is_stream) {
    call_t *call = NEW(call_t);
    call->tag = ++c->tag_next;
    call->to = str_dup(to);
    call->is_stream = is_stream;
    call->timeout_ms = c->timeout_ms;
    vec_push(&c->calls, call);
    return call;
}

// The first of a list with commas, cut off it (*list: the rest, or NULL).
static char *cut_first(const char **list) {
    size_t len = strcspn(*list, ",");
    char *first = str_printf("%.*s", (int)len, *list);
    *list = (*list)[len] ? *list + len + 1 : NULL;
    return first;
}

// A bare role reaches any of them that is heard. A list of one key is that of all servers.
static err_t connect_to_servers(client_t *c, const client_options_t *o, why_t *why) {
    const char *servers = o->server, *keys = o->server_key;
    bool is_one_key = !keys || !strchr(keys, ',');
    err_t err = ERR_OK;
    while (servers && !err) {
        char *endpoint = cut_first(&servers);
        char *key = is_one_key || !keys ? NULL : cut_first(&keys);
        connect_options_t options = {.peer = "",
                                     .endpoint = endpoint,
                                     .key_file = o->key,
                                     .server_key_file = is_one_key ? o->server_key : key};
        err = process_connect(c->process, &options, why);
        free(endpoint);
        free(key);
    }
    return err;
}

static err_t connect_to(client_t *c, const client_options_t *o, why_t *why) {
    if (o->server) return connect_to_servers(c, o, why);
    if (access(o->socket, R_OK | W_OK) != 0)
        return why_set(why, errno == ENOENT ? ERR_UNAVAILABLE : err_from_errno(errno),
                       errno == ENOENT
                           ? "no cluster on this machine: %s is not there; start one with `sudo "
                             "troupe up`, or name "
                             "another with --socket or --server"
                           : "may not use %s: ask to be in the group that owns it, or use sudo",
                       o->socket);
    char *endpoint = str_printf("ipc://%s", o->socket);
    connect_options_t options = {.peer = "", .endpoint = endpoint};
    err_t err = process_connect(c->process, &options, why);
    free(endpoint);
    return err;
}

static bool is_connected_within(client_t *c, int64_t timeout_ms) {
    struct timespec deadline = until(timeout_ms);
    pthread_mutex_lock(&c->lock);
    int code = 0;
    while (!c->is_connected && code == 0)
        code = pthread_cond_timedwait(&c->changed, &c->lock, &deadline);
    bool connected = c->is_connected;
    pthread_mutex_unlock(&c->lock);
    return connected;
}

// Nobody listens there: the socket was left behind by somebody who was killed.
static bool is_abandoned(const char *path) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd CLEANUP(close_fdp) = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || strlen(path) >= sizeof to.sun_path) return false;
    memcpy(to.sun_path, path, strlen(path) + 1);
    return connect(fd, (struct sockaddr *)&to, sizeof to) < 0 && errno == ECONNREFUSED;
}

static err_t wait_connected(client_t *c, const client_options_t *o, why_t *why) {
    // What was killed starts again within a second or two: that is waited for in any case.
    int64_t first_ms = o->timeout_ms < RESTART_MS ? o->timeout_ms : RESTART_MS;
    if (is_connected_within(c, first_ms)) return ERR_OK;
    if (!o->server && is_abandoned(o->socket))
        return why_set(why, ERR_UNAVAILABLE,
                       "nobody listens at %s: the cluster has stopped, or cannot start (its log: "
                       "/var/lib/troupe/troupe.log); start it with `sudo troupe up -d`",
                       o->socket);
    if (is_connected_within(c, o->timeout_ms - first_ms)) return ERR_OK;
    return why_set(why, ERR_UNAVAILABLE,
                   "no %s answered at %s within %lld ms: is the cluster running%s?",
                   o->peer ? o->peer : "API server", o->server ? o->server : o->socket,
                   (long long)o->timeout_ms,
                   o->server ? ", does it allow the key of --key, is --server-key its own" : "");
}

// Our peers are those that were named: the socket's owner, or holders of the keys that --server-key
// shows. What its certificate's file is called here says nothing.
static bool is_the_server(void *arg, const char *principal, const char *address) { return true; }

err_t client_new(const client_options_t *options, client_t **ret_client, why_t *why) {
    client_t *c = NEW(client_t);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&c->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&c->lock, NULL);
    c->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    c->trace_id = rng_seed_from_kernel();
    c->timeout_ms = options->timeout_ms;
    c->peer = options->peer ? options->peer : "apiserver";
    define_actor(c, options);
    char name[64];
    snprintf(name, sizeof name, "cli-%d-%08x", (int)getpid(), (unsigned)c->trace_id);
    process_options_t process_options = {.name = name,
                                         .host = "cli",
                                         .may_speak_as = is_the_server};
    err_t err = process_new(&process_options, &c->process, why);
    if (!err) err = process_add_dispatcher(c->process, "cli", why);
    if (!err) err = process_spawn(c->process, "cli", &c->actor, name, &c, NULL, why);
    if (!err) err = connect_to(c, options, why);
    if (!err) err = wait_connected(c, options, why);
    if (err)
        client_destroy(&c);
    else
        *ret_client = c;
    return err;
}

void client_destroy(client_t **client) {
    client_t *c = x_steal(client);
    if (!c) return;
    if (c->process) {
        process_stop(c->process);
        process_destroy(&c->process);
    }
    for (size_t i = 0; i < c->wishes.len; i++) blob_unref(&c->wishes.at[i].body);
    vec_done(&c->wishes);
    while (c->calls.len) drop_call(c, c->calls.at[0]);
    vec_done(&c->calls);
    vec_done(&c->handlers);
    close_fdp(&c->wake_fd);
    pthread_cond_destroy(&c->changed);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

// Takes the oldest chunk of the inbox and unpacks it. The lock is held.
static err_t unpack_first(call_t *call, arena_t *arena, const ProtobufCMessageDescriptor *type,
                          void **ret_msg, failure_t *ret_failure) {
    chunk_t chunk = call->inbox.at[0];
    vec_remove(&call->inbox, 0);
    call->inbox_bytes -= blob_bytes(chunk.body).len;
    why_t why = {0};
    err_t err = ERR_OK;
    if (chunk.type != type)
        err = why_set(&why, ERR_MALFORMED, "the server answered with %s, not %s", chunk.type->name,
                      type->name);
    else
        err = msg_unpack(arena, type, blob_bytes(chunk.body), ret_msg, &why);
    blob_unref(&chunk.body);
    if (err) {
        *ret_failure = (failure_t){.err = err};
        snprintf(ret_failure->message, sizeof ret_failure->message, "%s", why.text);
    }
    return err;
}

err_t client_call(client_t *c, arena_t *arena, const char *to, const ProtobufCMessage *request,
                  const ProtobufCMessageDescriptor *reply_type, void **ret_reply,
                  failure_t *ret_failure) {
    pthread_mutex_lock(&c->lock);
    call_t *call = call_new(c, to, false);
    wish(c, WISH_ASK, call, request);
    // The actor's own timer answers every ask; the second of grace is for the hand-over.
    struct timespec deadline = until(c->timeout_ms + 1000);
    int code = 0;
    while (!call->ended && code == 0)
        code = pthread_cond_timedwait(&c->changed, &c->lock, &deadline);
    err_t err = ERR_OK;
    if (call->inbox.len) {
        err = unpack_first(call, arena, reply_type, ret_reply, ret_failure);
    } else {
        if (!call->ended) fail_call(call, ERR_TIMEOUT, "no answer in time", (bytes_t){0});
        *ret_failure = call->failure;
        err = call->failure.err ? call->failure.err : ERR_INTERNAL;
    }
    wish(c, WISH_CANCEL, call, NULL);
    call->ask_id = 0; // nothing to cancel on the other side: the actor only drops the call
    pthread_mutex_unlock(&c->lock);
    return err;
}

client_stream_t *client_open(client_t *c, const char *to, const ProtobufCMessage *request) {
    client_stream_t *s = NEW(client_stream_t);
    s->client = c;
    pthread_mutex_lock(&c->lock);
    s->call = call_new(c, to, true);
    wish(c, WISH_OPEN, s->call, request);
    pthread_mutex_unlock(&c->lock);
    return s;
}

err_t client_next(client_stream_t *s, arena_t *arena, const ProtobufCMessageDescriptor *chunk_type,
                  int64_t timeout_ms, void **ret_chunk, failure_t *ret_failure) {
    client_t *c = s->client;
    struct timespec deadline = until(timeout_ms);
    pthread_mutex_lock(&c->lock);
    int code = 0;
    while (!s->call->inbox.len && !s->call->ended && code == 0)
        code = pthread_cond_timedwait(&c->changed, &c->lock, &deadline);
    err_t err = ERR_TIMEOUT;
    if (s->call->inbox.len) {
        err = unpack_first(s->call, arena, chunk_type, ret_chunk, ret_failure);
    } else if (s->call->ended) {
        *ret_failure = s->call->failure;
        err = s->call->failure.err ? s->call->failure.err : ERR_CANCELLED;
    }
    pthread_mutex_unlock(&c->lock);
    return err;
}

static bool has_push_waiting(const client_t *c, const call_t *call) {
    for (size_t i = 0; i < c->wishes.len; i++)
        if (c->wishes.at[i].kind == WISH_PUSH && c->wishes.at[i].call == call) return true;
    return false;
}

err_t client_push(client_stream_t *s, const ProtobufCMessage *chunk, int64_t timeout_ms) {
    client_t *c = s->client;
    struct timespec deadline = until(timeout_ms);
    pthread_mutex_lock(&c->lock);
    int code = 0;
    while (has_push_waiting(c, s->call) && !s->call->ended && code == 0)
        code = pthread_cond_timedwait(&c->changed, &c->lock, &deadline);
    err_t err = s->call->ended ? ERR_CANCELLED : code ? ERR_TIMEOUT : ERR_OK;
    if (!err) wish(c, WISH_PUSH, s->call, chunk);
    pthread_mutex_unlock(&c->lock);
    return err;
}

void client_close(client_stream_t **stream) {
    client_stream_t *s = x_steal(stream);
    if (!s) return;
    client_t *c = s->client;
    pthread_mutex_lock(&c->lock);
    // Pushes that still wait for room go with their stream.
    size_t kept = 0;
    for (size_t i = 0; i < c->wishes.len; i++) {
        if (c->wishes.at[i].call == s->call && c->wishes.at[i].kind == WISH_PUSH)
            blob_unref(&c->wishes.at[i].body);
        else
            c->wishes.at[kept++] = c->wishes.at[i];
    }
    c->wishes.len = kept;
    wish(c, WISH_CANCEL, s->call, NULL);
    pthread_mutex_unlock(&c->lock);
    free(s);
}

void client_set_timeout(client_t *c, int64_t timeout_ms) { c->timeout_ms = timeout_ms; }
int64_t client_timeout_ms(const client_t *c) { return c->timeout_ms; }
uint64_t client_trace_id(const client_t *c) { return c->trace_id; }
