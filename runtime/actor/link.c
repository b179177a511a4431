#include "runtime/actor/link_inner.h"
#include "runtime/api/msg.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include <errno.h>

enum {
    HELLO_ACTORS_MAX = 64 * 1024,
    ZERO_COPY_BYTES = 4096, // below it, copying is cheaper than a second allocation
    NEWS_MAX = 64 * 1024,
};

bool link_default_may_speak_as(void *arg, const char *principal, const char *address) {
    if (streq(principal, "part")) return true;
    return streq(principal, "admin") &&
           (has_prefix(address, "cli/") || has_prefix(address, "admin/"));
}

int64_t link_retry_delay_ms(unsigned attempts) {
    int64_t delay_ms = LINK_RETRY_FIRST_MS;
    for (unsigned i = 1; i < attempts && delay_ms < LINK_RETRY_MAX_MS; i++) delay_ms *= 2;
    return attempts == 0 ? 0 : delay_ms < LINK_RETRY_MAX_MS ? delay_ms : LINK_RETRY_MAX_MS;
}

static const char *who(const link_t *l) { return actor_address(l->me); }

// What happens all day (a command line that comes and goes) is no news.
static log_level_t level_of(const peer_t *p) {
    return p->principal && streq(p->principal->text, "admin") ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO;
}

// ---- out ----------------------------------------------------------------------------------------
static void free_body(void *data, void *hint) {
    blob_t *body = hint;
    blob_unref(&body);
}

static void body_to_msg(zmq_msg_t *msg, blob_t *body) {
    size_t len = body ? body->len : 0;
    int failed;
    if (len >= ZERO_COPY_BYTES) {
        failed = zmq_msg_init_data(msg, body->at, len, free_body, blob_ref(body));
    } else {
        failed = zmq_msg_init_size(msg, len);
        if (!failed && len) memcpy(zmq_msg_data(msg), body->at, len);
    }
    if (failed) abort(); // out of memory
}

static uint32_t timeout_left_ms(const envelope_t *env, int64_t now_us) {
    if (!env->is_ask || env->deadline_us == 0) return 0;
    int64_t left_ms = (env->deadline_us - now_us + 999) / 1000;
    return left_ms < 1 ? 1 : left_ms > INT32_MAX ? INT32_MAX : (uint32_t)left_ms;
}

static bytes_t name_bytes(const name_t *name) {
    return name ? (bytes_t){(const uint8_t *)name->text, name->len} : (bytes_t){0};
}

static size_t write_head(conn_t *c, const envelope_t *env, uint8_t out[static WIRE_MAX_BYTES]) {
    wire_t w = {
        .to = name_bytes(env->to),
        .from = name_bytes(env->from),
        .type = bytes_of_str(envelope_type(env)),
        .to_incarnation = env->to_incarnation,
        .from_incarnation = env->from_incarnation,
        .id = env->id,
        .in_reply_to = env->in_reply_to,
        .trace_id = env->trace_id,
        .sequence = lane_next(&c->lane),
        .epoch = env->epoch,
        .stream_seq = env->stream_seq,
        .timeout_ms = timeout_left_ms(env, actor_now_us(c->link->me)),
        .stream_window = env->stream_window,
        .push = env->push,
        .kits = env->is_kits,
    };
    return wire_write(&w, out);
}

// ERR_OK: sent. ERR_OVERLOADED: the socket takes nothing now. ERR_UNAVAILABLE: nobody is there.
static err_t put(conn_t *c, const envelope_t *env) {
    uint8_t head[WIRE_MAX_BYTES];
    size_t head_len = write_head(c, env, head);
    zmq_msg_t body;
    body_to_msg(&body, env->body);
    // Only the first frame of a message can be refused; the others follow it.
    int sent = c->id_len ? zmq_send(c->socket, c->id, c->id_len, ZMQ_SNDMORE | ZMQ_DONTWAIT) : 0;
    if (sent >= 0) sent = zmq_send(c->socket, head, head_len, ZMQ_SNDMORE | ZMQ_DONTWAIT);
    if (sent >= 0) sent = zmq_msg_send(&body, c->socket, ZMQ_DONTWAIT);
    if (sent >= 0) return ERR_OK;
    int code = errno;
    zmq_msg_close(&body);
    lane_take_back(&c->lane);
    return code == EAGAIN ? ERR_OVERLOADED : ERR_UNAVAILABLE;
}

static void block(conn_t *c) {
    if (c->is_blocked) return;
    c->is_blocked = true;
    vec_push(&c->link->blocked, c);
}

static void unblock(conn_t *c) {
    for (size_t i = 0; c->is_blocked && i < c->link->blocked.len; i++)
        if (c->link->blocked.at[i] == c) {
            vec_swap_remove(&c->link->blocked, i);
            break;
        }
    c->is_blocked = false;
}

// *Taken* on ERR_OK.
static err_t send_or_queue(conn_t *c, envelope_t **env) {
    if (c->lost || !c->peer) return ERR_UNAVAILABLE;
    if (!c->lane.first && c->peer->talks && lane_may_send(&c->lane)) {
        err_t e = put(c, *env);
        if (e == ERR_OK) envelope_destroy(env);
        if (e != ERR_OVERLOADED) return e;
    }
    err_t e = lane_queue(&c->lane, env);
    if (e == ERR_OK) block(c);
    return e;
}

static bool may_flush(const conn_t *c) {
    return !c->lost && c->peer && c->peer->talks && c->lane.first && lane_may_send(&c->lane);
}

// True: the socket took not all that may be sent.
static bool flush(conn_t *c) {
    int64_t now_us = actor_now_us(c->link->me);
    if (c->hello && !c->lost && put(c, c->hello) == ERR_OK) envelope_destroy(&c->hello);
    while (may_flush(c)) {
        envelope_t *env = c->lane.first;
        bool too_late = env->is_ask && env->deadline_us && env->deadline_us <= now_us;
        err_t e = too_late ? ERR_OK : put(c, env); // the asker's timer has spoken already
        if (e == ERR_UNAVAILABLE) conn_lose(c, "the connection is gone");
        if (e) return e == ERR_OVERLOADED;
        env = lane_pop(&c->lane);
        envelope_destroy(&env);
    }
    return c->hello && !c->lost;
}

// The links' own messages are not held back by credits, only by the socket.
static err_t put_own(conn_t *c, const ProtobufCMessage *body) {
    envelope_t env = {.type = body->descriptor, .body = msg_blob(body)};
    err_t e = put(c, &env);
    blob_unref(&env.body);
    return e;
}

// ---- Hello: what we tell ------------------------------------------------------------------------
// Links and stewards are every process' own; they have the same names everywhere.
static bool is_told(const place_t *place) {
    const char *address = place->address->text;
    return !place->link && !has_prefix(address, "link/") && !has_prefix(address, "steward/");
}

static Actor__ActorEntry entry_of(const place_t *place) {
    return (Actor__ActorEntry){
        PROTOBUF_C_MESSAGE_INIT(&actor__actor_entry__descriptor),
        .address = place->address->text,
        .incarnation = place->incarnation,
        .ready = place->ready,
        .leader = place->leader,
        .epoch = place->epoch,
    };
}

typedef struct {
    arena_t *arena;
    VEC(Actor__ActorEntry *) entries;
} listing_t;
static void list_place(void *arg, const place_t *place) {
    listing_t *listing = arg;
    if (!is_told(place)) return;
    Actor__ActorEntry entry = entry_of(place);
    entry.address = arena_strdup(listing->arena, entry.address);
    vec_push(&listing->entries, arena_dup(listing->arena, &entry, sizeof entry));
}

void conn_greet(conn_t *c, lane_kind_t kind, uint64_t session) {
    const link_process_t *of = &c->link->args->of;
    Actor__Hello hello = {PROTOBUF_C_MESSAGE_INIT(&actor__hello__descriptor)};
    listing_t listing = {.arena = actor_arena(c->link->me)};
    c->kind = kind;
    hello.process = (char *)of->process;
    hello.boot_id = of->boot_id;
    hello.version = (char *)TROUPE_VERSION;
    hello.lane = (char *)(kind == LANE_CONTROL ? "control" : "bulk");
    hello.session = session;
    hello.whole = kind == LANE_CONTROL;
    if (hello.whole) directory_each(actor_directory(c->link->me), list_place, &listing);
    hello.actors = listing.entries.at;
    hello.n_actors = listing.entries.len;
    envelope_t *env = envelope_new();
    env->type = hello.base.descriptor;
    env->body = msg_blob(&hello.base);
    vec_done(&listing.entries);
    assert(!c->hello);
    c->hello = env;
    block(c); // a DEALER refuses it until it is connected
}

void link_changed(link_t *l, const notice_t *notice) {
    if (!is_told(&notice->place) || map_len(&l->peers) == 0) return;
    if (l->news.len >= NEWS_MAX) return; // settle runs each round: this many cannot change in one
    Actor__ActorEntry entry = entry_of(&notice->place);
    entry.address = str_dup(entry.address);
    entry.gone = notice->gone;
    entry.reason = notice->gone ? str_dup(or_empty(notice->reason)) : "";
    vec_push(&l->news, entry);
}

static void forget_news(link_t *l) {
    for (size_t i = 0; i < l->news.len; i++) {
        free((char *)l->news.at[i].address);
        if (l->news.at[i].gone) free((char *)l->news.at[i].reason);
    }
    vec_reset(&l->news);
}

static void tell_news(link_t *l) {
    if (l->news.len == 0) return;
    Actor__Hello hello = {PROTOBUF_C_MESSAGE_INIT(&actor__hello__descriptor)};
    VEC(Actor__ActorEntry *) entries = {0};
    for (size_t i = 0; i < l->news.len; i++) vec_push(&entries, &l->news.at[i]);
    hello.process = (char *)l->args->of.process;
    hello.boot_id = l->args->of.boot_id;
    hello.version = (char *)TROUPE_VERSION;
    hello.lane = (char *)"control";
    hello.actors = entries.at;
    hello.n_actors = entries.len;
    blob_t *body = msg_blob(&hello.base);
    VEC(conn_t *) told = {0};
    size_t at = 0;
    const char *process;
    void *value;
    while (map_next(&l->peers, &at, &process, &value))
        vec_push(&told, ((peer_t *)value)->lanes[LANE_CONTROL]);
    for (size_t i = 0; i < told.len; i++) {
        if (!told.at[i] || told.at[i]->lost) continue;
        envelope_t *env = envelope_new();
        env->type = hello.base.descriptor;
        env->body = blob_ref(body);
        err_t e = send_or_queue(told.at[i], &env);
        envelope_destroy(&env);
        if (e) conn_lose(told.at[i], "it does not read");
    }
    vec_done(&told);
    blob_unref(&body);
    vec_done(&entries);
    forget_news(l);
}

// ---- peers: what they tell ----------------------------------------------------------------------
static bool may_speak_as(const conn_t *c, const char *address) {
    const link_process_t *of = &c->link->args->of;
    const char *process = c->peer->process;
    if (has_prefix(address, "system/")) return streq(address + strlen("system/"), process);
    if (has_prefix(address, "link/") || has_prefix(address, "steward/")) return false;
    return of->may_speak_as(of->may_speak_as_arg, c->principal->text, address);
}

static void forget_actor(link_t *l, peer_t *p, const char *address, const char *reason) {
    peer_actor_t *a = map_remove(&p->actors, address);
    place_t place;
    if (!a) return;
    if (map_get(&l->carriers, address) == p) {
        map_remove(&l->carriers, address);
        bool found = directory_find(actor_directory(l->me), address, &place);
        if (found && name_eq(place.link, actor_full_name(l->me))) // not reached another way by now
            directory_gone(actor_directory(l->me), address, a->incarnation, reason);
        if (found) place_done(&place);
    }
    peer_actor_t *grave = &p->buried[p->buried_at++ % PEER_BURIED];
    name_unref(&grave->address);
    *grave = *a;
    free(a);
}

static bool is_ours(const link_t *l, const char *address) {
    place_t place;
    if (!directory_find(actor_directory(l->me), address, &place)) return false;
    bool ours = !place.link;
    place_done(&place);
    return ours;
}

static void learn_actor(conn_t *c, const Actor__ActorEntry *entry) {
    link_t *l = c->link;
    peer_t *p = c->peer;
    // Not listed: nobody here reaches it. (A worker's pod actors, which speak to their kubelet
    // only.)
    if (!wire_is_address(bytes_of_str(entry->address)) || !may_speak_as(c, entry->address)) {
        log_debug(who(l), "%s (principal %s) may not run %.80s: not listed", p->process,
                  c->principal->text, entry->address);
        return;
    }
    if (entry->gone) {
        peer_actor_t *known = map_get(&p->actors, entry->address);
        if (known && known->incarnation <= entry->incarnation)
            forget_actor(l, p, entry->address,
                         is_empty(entry->reason) ? "its process says so" : entry->reason);
        return;
    }
    if (is_ours(l, entry->address)) {
        log_warn(who(l), "%s runs %s, and so do we: not listed", p->process, entry->address);
        return;
    }
    peer_actor_t *a = map_get(&p->actors, entry->address);
    if (!a) {
        a = NEW(peer_actor_t);
        a->address = name_new(entry->address);
        map_put(&p->actors, entry->address, a);
    }
    a->incarnation = entry->incarnation;
    map_put(&l->carriers, entry->address, p);
    directory_set(actor_directory(l->me), &(place_t){
                                              .address = a->address,
                                              .incarnation = entry->incarnation,
                                              .ready = entry->ready,
                                              .leader = entry->leader,
                                              .epoch = entry->epoch,
                                              .port = actor_port(l->me),
                                              .link = actor_full_name(l->me),
                                              .process = p->name,
                                          });
}

static void peer_destroy(link_t *l, peer_t **peer, const char *reason) {
    peer_t *p = x_steal(peer);
    if (p->up) log_line(level_of(p), who(l), "%s: not linked any more: %s", p->process, reason);
    map_remove(&l->peers, p->process);
    for (int i = 0; i < LANES; i++)
        if (p->lanes[i]) p->lanes[i]->peer = NULL;
    const char **addresses = map_sorted_keys(&p->actors); // notices in a fixed order
    size_t len = map_len(&p->actors);
    VEC(char *) copies = {0};
    for (size_t i = 0; i < len; i++) vec_push(&copies, str_dup(addresses[i]));
    free(addresses);
    for (size_t i = 0; i < len; i++) {
        forget_actor(l, p, copies.at[i], reason);
        free(copies.at[i]);
    }
    vec_done(&copies);
    map_done(&p->actors);
    for (size_t i = 0; i < PEER_BURIED; i++) name_unref(&p->buried[i].address);
    arena_done(&p->hello_arena);
    name_unref(&p->name);
    name_unref(&p->principal);
    free(p->process);
    free(p);
}

// The control lane's Hello is there, and a bulk lane to send on: the directory may know.
//
// 1. The connecting side sends a Hello on each lane.
// 2. The listening side, with both of them: knows the connecting side's actors, and talks.
// 3. The connecting side, with the answer on the control lane: knows the listening side's actors;
//    it reads the bulk lane only from then on, so that nobody unknown is heard. With both answers:
//    talks. The listening side is at 2 for sure by then.
static void raise_if_ready(peer_t *p) {
    conn_t *control = p->lanes[LANE_CONTROL], *bulk = p->lanes[LANE_BULK];
    p->talks = control && bulk && control->greeted && bulk->greeted;
    for (int i = 0; i < LANES; i++)
        if (p->talks && p->lanes[i]->lane.first) block(p->lanes[i]);
    if (p->up || !p->hello || !bulk) return;
    p->up = true;
    log_line(level_of(p), who(control->link), "%s: linked, %zu actors, principal %s", p->process,
             p->hello->n_actors, p->principal->text);
    for (size_t i = 0; i < p->hello->n_actors; i++) learn_actor(control, p->hello->actors[i]);
    p->hello = NULL;
    arena_done(&p->hello_arena);
}

static peer_t *peer_new(conn_t *c, const Actor__Hello *hello) {
    peer_t *p = NEW(peer_t);
    p->process = str_dup(hello->process);
    p->name = name_new(hello->process);
    p->boot_id = hello->boot_id;
    p->session = hello->session;
    p->principal = name_ref(c->principal);
    map_put(&c->link->peers, p->process, p);
    for (int i = 0; i < LANES; i++) {
        p->lanes[i] = c->link->own[i];
        if (p->lanes[i]) p->lanes[i]->peer = p;
    }
    return p;
}

// Which peer does this Hello make the connection a lane of? NULL: refused.
static peer_t *peer_for(conn_t *c, const Actor__Hello *hello, const char **ret_why) {
    link_t *l = c->link;
    bool connecting = l->own[LANE_BULK];
    peer_t *p = map_get(&l->peers, hello->process);
    if (!p) {
        *ret_why = "too many peers";
        return map_len(&l->peers) < (connecting ? 1 : LINK_PEERS_MAX) ? peer_new(c, hello) : NULL;
    }
    if (connecting) {
        *ret_why = "its lanes do not fit together";
        return p->boot_id == hello->boot_id && p->session == hello->session ? p : NULL;
    }
    if (!name_eq(p->principal, c->principal)) {
        *ret_why = "another principal has a process of this name";
        return NULL;
    }
    if (p->boot_id == hello->boot_id && p->session == hello->session) {
        *ret_why = "this lane is there already";
        return p->lanes[c->kind] ? NULL : p;
    }
    if (p->boot_id == hello->boot_id && hello->session < p->session) {
        *ret_why = "a newer connection is there";
        return NULL;
    }
    const char *reason = p->boot_id == hello->boot_id ? "it connected anew" : "it was restarted";
    for (int i = 0; i < LANES; i++)
        if (p->lanes[i]) {
            p->lanes[i]->lost = true;
            l->lose(l, p->lanes[i]);
        }
    peer_destroy(l, &p, reason);
    return peer_new(c, hello);
}

static bool is_process_name(const char *name) {
    size_t len = strlen(name);
    if (len == 0 || len > 253) return false;
    CLEANUP(free_charp) char *address = str_printf("system/%s", name);
    return wire_is_address(bytes_of_str(address));
}

static const char *hello_mistake(const conn_t *c, const Actor__Hello *hello) {
    const link_args_t *args = c->link->args;
    if (!is_process_name(hello->process)) return "its process has no valid name";
    if (streq(hello->process, args->of.process)) return "it has the name of this process";
    if (!is_empty(args->connect.peer) && !streq(hello->process, args->connect.peer))
        return "another process answers here than the one that was meant";
    if (!streq(hello->lane, "control") && !streq(hello->lane, "bulk")) return "no such lane";
    if (hello->n_actors > HELLO_ACTORS_MAX) return "too many actors";
    return NULL;
}

static void first_hello(conn_t *c, const Actor__Hello *hello, bytes_t packed) {
    const char *mistake = hello_mistake(c, hello);
    lane_kind_t kind = streq(hello->lane, "control") ? LANE_CONTROL : LANE_BULK;
    bool is_server = c->id_len > 0;
    if (!mistake && !is_server && kind != c->kind) mistake = "it answers on another lane";
    if (!mistake) {
        c->kind = kind;
        c->peer = peer_for(c, hello, &mistake);
        if (c->peer) mistake = NULL;
    }
    if (mistake) {
        conn_refuse(c, mistake);
        return;
    }
    c->peer->lanes[kind] = c;
    c->greeted = true;
    if (is_server) conn_greet(c, kind, hello->session);
    if (kind == LANE_CONTROL)
        c->peer->hello = msg_unpack_own(&c->peer->hello_arena, &actor__hello__descriptor, packed);
    raise_if_ready(c->peer);
}

static void on_hello(conn_t *c, bytes_t packed) {
    void *body;
    why_t why = {0};
    if (msg_unpack(actor_arena(c->link->me), &actor__hello__descriptor, packed, &body, &why)) {
        conn_refuse(c, why.text);
        return;
    }
    const Actor__Hello *hello = body;
    if (!c->greeted) {
        first_hello(c, hello, packed);
    } else if (c->kind != LANE_CONTROL || hello->whole || hello->n_actors > HELLO_ACTORS_MAX ||
               !c->peer->up) {
        conn_refuse(c, "a Hello where none belongs");
    } else {
        for (size_t i = 0; i < hello->n_actors; i++) learn_actor(c, hello->actors[i]);
    }
}

// ---- in -----------------------------------------------------------------------------------------
static name_t *name_cached(name_t **cache, bytes_t text) {
    if (!*cache || (*cache)->len != text.len || memcmp((*cache)->text, text.at, text.len) != 0) {
        char buf[ADDRESS_MAX + 1];
        static_assert((int)WIRE_TYPE_MAX <= (int)ADDRESS_MAX, "types fit the buffer as well");
        memcpy(buf, text.at, text.len);
        buf[text.len] = 0;
        name_unref(cache);
        *cache = name_new(buf);
    }
    return name_ref(*cache);
}

// A message may overtake, on the bulk lane, the news of its sender on the control lane. An answer
// has to find the way back: whoever speaks is there, though not yet said to be ready. One that was
// told gone before does not come to life again.
static void learn_speaker(conn_t *c, const name_t *from, uint64_t incarnation) {
    peer_t *p = c->peer;
    const peer_actor_t *known = map_get(&p->actors, from->text);
    if (!incarnation || (known && known->incarnation >= incarnation)) return;
    for (size_t i = 0; i < PEER_BURIED; i++)
        if (name_eq(p->buried[i].address, from) && p->buried[i].incarnation >= incarnation) return;
    Actor__ActorEntry entry = {PROTOBUF_C_MESSAGE_INIT(&actor__actor_entry__descriptor)};
    entry.address = from->text;
    entry.incarnation = incarnation;
    learn_actor(c, &entry);
}

// What kits send each other's kits; nobody else may pass for one.
static bool is_kits_type(const char *type) {
    static const ProtobufCMessageDescriptor *const types[] = {
        &actor__failure__descriptor,       &actor__stream_credit__descriptor,
        &actor__stream_end__descriptor,    &actor__stream_gone__descriptor,
        &actor__stream_cancel__descriptor, &actor__stream_ping__descriptor,
    };
    for (size_t i = 0; i < LENGTH_OF(types); i++)
        if (streq(types[i]->name, type)) return true;
    return false;
}

static void deliver(conn_t *c, const wire_t *w, bytes_t body) {
    if (!w->to.len || !w->from.len) {
        conn_refuse(c, "a message without an address");
        return;
    }
    envelope_t *env = envelope_new();
    env->to = name_cached(&c->to, w->to);
    env->from = name_cached(&c->from, w->from);
    env->type_name = name_cached(&c->type, w->type);
    env->principal = name_ref(c->principal);
    env->body = body.len ? blob_from(body.at, body.len) : NULL;
    env->to_incarnation = w->to_incarnation;
    env->from_incarnation = w->from_incarnation;
    env->id = w->id;
    env->in_reply_to = w->in_reply_to;
    env->trace_id = w->trace_id;
    env->epoch = w->epoch;
    env->stream_seq = w->stream_seq;
    env->sent_us = actor_now_us(c->link->me);
    env->deadline_us = w->timeout_ms ? env->sent_us + (int64_t)w->timeout_ms * 1000 : 0;
    env->stream_window = w->stream_window;
    env->push = w->push;
    env->is_ask = w->timeout_ms || w->stream_window;
    env->control = c->kind == LANE_CONTROL;
    env->is_kits = w->kits;
    const char *wrong = NULL;
    if (w->kits && !is_kits_type(env->type_name->text))
        wrong = "a message that no kit sends";
    else if (!may_speak_as(c, env->from->text))
        wrong = "it speaks as somebody whom it may not speak as";
    if (wrong) {
        log_warn(who(c->link), "%s (principal %s): %s -> %s, %s: %s", c->peer->process,
                 c->principal->text, env->from->text, env->to->text, env->type_name->text, wrong);
        envelope_destroy(&env);
        conn_refuse(c, wrong);
        return;
    }
    learn_speaker(c, env->from, env->from_incarnation);
    actor_inject(c->link->me, &env);
}

static void on_credit(conn_t *c, bytes_t packed) {
    void *body;
    if (msg_unpack(actor_arena(c->link->me), &actor__lane_credit__descriptor, packed, &body,
                   NULL) ||
        !lane_credit(&c->lane, ((Actor__LaneCredit *)body)->up_to))
        conn_refuse(c, "a credit that cannot be");
}

// The other side does not want us and says why: the last thing it says.
static void on_refusal(conn_t *c, bytes_t packed) {
    void *body;
    const char *reason = "it refuses us";
    if (msg_unpack(actor_arena(c->link->me), &actor__failure__descriptor, packed, &body, NULL) ==
        ERR_OK)
        reason = ((Actor__Failure *)body)->why;
    log_warn(who(c->link), "refused by the other side: %.200s", reason);
    conn_lose(c, reason);
}

void conn_receive(conn_t *c, bytes_t head, bytes_t body) {
    wire_t w;
    why_t why = {0};
    if (c->lost) return;
    if (wire_read(head, &w, &why) || body.len > MESSAGE_MAX_BYTES) {
        conn_refuse(c, *why.text ? why.text : "a message that is too large");
        return;
    }
    switch (lane_receive(&c->lane, w.sequence)) {
    case LANE_IN_ORDER: break;
    case LANE_AFTER_GAP: actor_count(c->link->me, "link_gaps_total", 1); break;
    case LANE_REPEATED: actor_count(c->link->me, "link_repeats_total", 1); return;
    case LANE_OVERRUN: conn_refuse(c, "it sends more than its credit"); return;
    }
    bool is_links = !w.to.len && !w.from.len;
#define IS_TYPE(d) bytes_eq(w.type, bytes_of_str((d).name))
    if (is_links && IS_TYPE(actor__hello__descriptor))
        on_hello(c, body);
    else if (is_links && IS_TYPE(actor__lane_credit__descriptor))
        on_credit(c, body);
    else if (is_links && IS_TYPE(actor__failure__descriptor))
        on_refusal(c, body);
    else if (!c->greeted)
        conn_refuse(c, "a message before the Hello");
    else
        deliver(c, &w, body);
    Actor__LaneCredit credit = {PROTOBUF_C_MESSAGE_INIT(&actor__lane_credit__descriptor)};
    if (!c->lost && lane_grant(&c->lane, &credit.up_to) && put_own(c, &credit.base) != ERR_OK)
        conn_lose(c, "it does not read");
}

// ---- connections --------------------------------------------------------------------------------
void conn_init(conn_t *c, link_t *l, void *socket, const char *principal) {
    *c = (conn_t){.link = l, .socket = socket, .fd = -1, .principal = name_new(principal)};
    lane_init(&c->lane);
}

void conn_done(conn_t *c) {
    assert(!c->peer);
    unblock(c);
    lane_done(&c->lane);
    envelope_destroy(&c->hello);
    name_unref(&c->principal);
    name_unref(&c->to);
    name_unref(&c->from);
    name_unref(&c->type);
}

void conn_lose(conn_t *c, const char *reason) {
    if (c->lost) return;
    link_t *l = c->link;
    peer_t *p = c->peer;
    c->lost = true;
    conn_t *lanes[LANES] = {c, NULL};
    if (p)
        for (int i = 0; i < LANES; i++)
            if (p->lanes[i] && p->lanes[i] != c) lanes[1] = p->lanes[i];
    if (p) peer_destroy(l, &p, reason);
    if (lanes[1]) lanes[1]->lost = true;
    for (int i = 0; i < LANES; i++)
        if (lanes[i]) l->lose(l, lanes[i]);
}

void conn_refuse(conn_t *c, const char *reason) {
    if (c->lost) return;
    log_warn(who(c->link), "%s (principal %s) is refused: %.200s",
             c->peer ? c->peer->process : "a peer", c->principal->text, reason);
    actor_count(c->link->me, "link_refused_total", 1);
    Actor__Failure failure = {PROTOBUF_C_MESSAGE_INIT(&actor__failure__descriptor)};
    failure.err = ERR_FORBIDDEN;
    failure.why = (char *)reason;
    err_t e = put_own(c, &failure.base); // if it can be told
    (void)e;
    conn_lose(c, reason);
}

bool link_peer_is_up(const link_t *l, const conn_t *c) { return c->peer && c->peer->up; }

// ---- the link -----------------------------------------------------------------------------------
void link_init(link_t *l, actor_t *me, const link_args_t *args,
               void (*lose)(link_t *l, conn_t *c)) {
    *l = (link_t){.me = me, .args = args, .lose = lose};
}

void link_done(link_t *l) {
    size_t at = 0;
    const char *process;
    void *value;
    while (map_next(&l->peers, &at, &process, &value)) {
        peer_t *p = value;
        peer_destroy(l, &p, "the link has ended");
    }
    map_done(&l->peers);
    map_done(&l->carriers);
    forget_news(l);
    vec_done(&l->news);
    vec_done(&l->blocked);
}

bool link_settle(link_t *l) {
    bool stuck = false;
    tell_news(l);
    for (size_t i = 0; i < l->blocked.len;) {
        conn_t *c = l->blocked.at[i];
        stuck |= flush(c);
        if (i < l->blocked.len && l->blocked.at[i] == c &&
            ((!c->lane.first && !c->hello) || c->lost)) {
            vec_swap_remove(&l->blocked, i);
            c->is_blocked = false;
        } else {
            i++;
        }
    }
    return stuck;
}

err_t link_carry(link_t *l, envelope_t **env) {
    if (envelope_bytes(*env) > MESSAGE_MAX_BYTES) return ERR_TOO_LARGE;
    peer_t *p = map_get(&l->carriers, (*env)->to->text);
    if (!p) return ERR_UNAVAILABLE;
    conn_t *c = p->lanes[(*env)->control ? LANE_CONTROL : LANE_BULK];
    err_t e = c ? send_or_queue(c, env) : ERR_UNAVAILABLE;
    if (e == ERR_UNAVAILABLE && c && !c->lost) conn_lose(c, "the connection is gone");
    if (e == ERR_OVERLOADED) actor_count(l->me, "link_overloaded_total", 1);
    return e;
}
