// Who the members are, and an administrator's wishes about it.
//
// One change at a time, each an entry of the log; the core refuses what would let two majorities
// miss each other. A name's hash is the member's id.
#include "actors/store/disk_actor.h"
#include "actors/store/store_inner.h"
#include "runtime/api/msg.h"
#include "store/raft_wire.h"

// ---- names --------------------------------------------------------------------------------------
member_t *store_member(store_t *s, raft_id_t id) {
    for (size_t i = 0; i < s->members.len; i++)
        if (s->members.at[i].id == id) return &s->members.at[i];
    return NULL;
}

const char *store_member_name(store_t *s, raft_id_t id) {
    if (id == s->id) return s->args->member;
    const member_t *member = store_member(s, id);
    return member ? member->name : "";
}

void store_know_member(actor_t *me, const char *name) {
    store_t *s = actor_state(me);
    raft_id_t id = store_member_id(name);
    if (id == s->id || store_member(s, id)) return;
    member_t member = {.id = id, .name = str_dup(name), .address = str_printf("store/%s", name)};
    vec_push(&s->members, member);
    actor_monitor(me, member.address);
}

void store_forget_members(store_t *s) {
    for (size_t i = 0; i < s->members.len; i++) {
        member_t *member = &s->members.at[i];
        free(member->name);
        free(member->address);
        store_drop_snapshot(member);
        vec_done(&member->queue);
        vec_done(&member->sent);
    }
    vec_done(&s->members);
    for (size_t i = 0; i < s->forwards.len; i++) caller_drop(&s->forwards.at[i].caller);
    vec_done(&s->forwards);
}

err_t store_learn_config(actor_t *me, bytes_t packed, raft_config_t *ret_config, why_t *why) {
    arena_t *arena = actor_arena(me);
    err_t err = raft_wire_get_config(arena, packed, ret_config, why);
    if (err != ERR_OK) return err;
    const Raftpb__Config *config = msg_unpack_own(arena, &raftpb__config__descriptor, packed);
    for (size_t i = 0; config && i < config->n_members; i++)
        if (!is_empty(config->members[i]->name)) store_know_member(me, config->members[i]->name);
    return ERR_OK;
}

err_t store_first_config(actor_t *me, raft_config_t *ret_config, why_t *why) {
    store_t *s = actor_state(me);
    bytes_t packed;
    err_t err = mvcc_config(s->mvcc, actor_arena(me), &packed, why);
    if (err != ERR_OK) return err;
    if (packed.at) return store_learn_config(me, packed, ret_config, why);
    raft_config_t config = {0};
    if (s->args->members.len > RAFT_MEMBERS_MAX)
        return why_set(why, ERR_INVALID, "%zu members; at most %d", s->args->members.len,
                       RAFT_MEMBERS_MAX);
    for (size_t i = 0; i < s->args->members.len; i++) {
        const char *name = s->args->members.at[i];
        raft_id_t id = store_member_id(name);
        if (raft_config_find(&config, id))
            return why_set(why, ERR_INVALID, "member %s is named twice", name);
        store_know_member(me, name);
        bool is_witness = s->args->witness && streq(s->args->witness, name);
        if (id != s->id || !s->joins)
            config.members[config.len++] =
                (raft_member_t){id, is_witness ? RAFT_MEMBER_WITNESS : RAFT_MEMBER_VOTER};
    }
    if (!s->joins && config.len && !raft_config_find(&config, s->id))
        return why_set(why, ERR_INVALID, "%s is not among the members that the cluster begins with",
                       s->args->member);
    if (!s->joins && config.len == 0 && store_is_witness(s))
        return why_set(why, ERR_INVALID, "a witness is no cluster: name the members");
    if (!s->joins && config.len == 0)
        config.members[config.len++] = (raft_member_t){s->id, RAFT_MEMBER_VOTER};
    *ret_config = config;
    return ERR_OK;
}

// ---- what is shown ------------------------------------------------------------------------------
const char *store_role_text(raft_member_role_t role) {
    return role == RAFT_MEMBER_LEARNER   ? "learner"
           : role == RAFT_MEMBER_WITNESS ? "witness"
                                         : "voter";
}

static Store__PeerStatus *member_status(actor_t *me, const raft_member_t *member) {
    store_t *s = actor_state(me);
    Store__PeerStatus *out =
        MSG_NEW(actor_arena(me), Store__PeerStatus, store__peer_status__descriptor);
    out->member = arena_strdup(actor_arena(me), store_member_name(s, member->id));
    out->role = store_role_text(member->role);
    raft_index_t last = raft_trail(s->raft)->last;
    raft_peer_view_t view;
    if (member->id == s->id) {
        out->match_index = last;
    } else if (raft_peer(s->raft, member->id, &view)) {
        out->match_index = view.match;
        out->lag = last > view.match ? last - view.match : 0;
        out->last_heard_ms = store_raft_ms(me) - view.heard_ms;
        const member_t *known = store_member(s, member->id);
        if (known) store_snapshot_progress(known, &out->snapshot_sent_bytes, &out->snapshot_bytes);
    }
    return out;
}

void store_fill_members(actor_t *me, Store__PeerStatus ***ret_members, size_t *ret_len) {
    store_t *s = actor_state(me);
    const raft_config_t *config = raft_config(s->raft);
    Store__PeerStatus **members =
        ARENA_ARRAY(actor_arena(me), Store__PeerStatus *, config->len + 1);
    for (size_t i = 0; i < config->len; i++) members[i] = member_status(me, &config->members[i]);
    *ret_members = members;
    *ret_len = config->len;
}

Store__MemberReply *store_member_reply(actor_t *me) {
    store_t *s = actor_state(me);
    Store__MemberReply *reply =
        MSG_NEW(actor_arena(me), Store__MemberReply, store__member_reply__descriptor);
    reply->cluster_id = mvcc_meta(s->mvcc)->cluster_id;
    reply->term = raft_term(s->raft);
    reply->leader = arena_strdup(actor_arena(me), store_member_name(s, raft_leader(s->raft)));
    store_fill_members(me, &reply->members, &reply->n_members);
    return reply;
}

// ---- wishes -------------------------------------------------------------------------------------
// Once: what another member passed on is not passed on again.
static bool is_passed_on(const message_t *msg) { return has_prefix(msg->from, "store/"); }

static void pass_on(actor_t *me, const message_t *msg, const ProtobufCMessage *body,
                    const member_t *to, int64_t timeout_ms) {
    enum { FORWARDS_MAX = 64 };
    store_t *s = actor_state(me);
    if (s->forwards.len >= FORWARDS_MAX) {
        actor_fail(me, msg, ERR_OVERLOADED, "too many requests wait for other members");
        return;
    }
    uint64_t ask =
        actor_ask_blob(me, to->address, body->descriptor, msg->body, timeout_ms, TAG_FORWARD);
    vec_push(&s->forwards, ((forward_t){ask, actor_keep_caller(me, msg)}));
}

// Whoever an administrator speaks to: the leader hears of it.
void store_pass_to_leader(actor_t *me, const message_t *msg, const ProtobufCMessage *body) {
    enum { LEADER_TIMEOUT_MS = 10 * 1000 };
    store_t *s = actor_state(me);
    const member_t *leader = store_member(s, raft_leader(s->raft));
    if (!leader || s->is_removed || is_passed_on(msg))
        store_refuse_follower(me, msg);
    else
        pass_on(me, msg, body, leader, LEADER_TIMEOUT_MS);
}

// A member that hangs must not keep who asks for all of them waiting for long.
void store_pass_to_member(actor_t *me, const message_t *msg, const ProtobufCMessage *body,
                          const char *name) {
    enum { MEMBER_TIMEOUT_MS = 2 * 1000 };
    const member_t *member = store_member(actor_state(me), store_member_id(name));
    if (!member || is_passed_on(msg))
        actor_fail(me, msg, ERR_NOT_FOUND, "there is no such member");
    else
        pass_on(me, msg, body, member, MEMBER_TIMEOUT_MS);
}

static caller_t *take_forward(store_t *s, uint64_t ask) {
    for (size_t i = 0; i < s->forwards.len; i++) {
        if (s->forwards.at[i].ask != ask) continue;
        caller_t *caller = s->forwards.at[i].caller;
        vec_swap_remove(&s->forwards, i);
        return caller;
    }
    return NULL;
}

void store_on_forward_reply(actor_t *me, const message_t *msg, const void *body) {
    caller_t *caller = take_forward(actor_state(me), msg->in_reply_to);
    if (msg->tag == TAG_REJOIN) store_on_rejoin_answer(me, ERR_OK);
    if (caller)
        caller_reply_blob(me, &caller, ((const ProtobufCMessage *)body)->descriptor, msg->body);
}

void store_on_forward_failed(actor_t *me, const message_t *msg, const Actor__Failure *failure) {
    caller_t *caller = take_forward(actor_state(me), msg->in_reply_to);
    if (caller) caller_fail(me, &caller, (err_t)failure->err, or_empty(failure->why));
}

// Only a settled leader may; answers it itself, or has it answered, if not.
static bool may_change(actor_t *me, const message_t *msg, const void *body) {
    store_t *s = actor_state(me);
    if (s->phase != STORE_RUNNING || s->stopping)
        actor_fail(me, msg, ERR_UNAVAILABLE, "the store is starting");
    else if (!s->led)
        store_pass_to_leader(me, msg, body);
    else
        return true;
    return false;
}

static Raftpb__Config *config_now(actor_t *me) {
    store_t *s = actor_state(me);
    arena_t *arena = actor_arena(me);
    const raft_config_t *now = raft_config(s->raft);
    Raftpb__Config *config = MSG_NEW(arena, Raftpb__Config, raftpb__config__descriptor);
    config->members = ARENA_ARRAY(arena, Raftpb__Member *, now->len + 1);
    for (size_t i = 0; i < now->len; i++) {
        Raftpb__Member *m = MSG_NEW(arena, Raftpb__Member, raftpb__member__descriptor);
        m->id = now->members[i].id;
        m->name = arena_strdup(arena, store_member_name(s, m->id));
        m->learner = now->members[i].role == RAFT_MEMBER_LEARNER;
        m->witness = now->members[i].role == RAFT_MEMBER_WITNESS;
        config->members[config->n_members++] = m;
    }
    return config;
}

static Raftpb__Member *find(const Raftpb__Config *config, const char *name) {
    raft_id_t id = store_member_id(name);
    for (size_t i = 0; i < config->n_members; i++)
        if (config->members[i]->id == id) return config->members[i];
    return NULL;
}

static void propose_config(actor_t *me, const message_t *msg, const Raftpb__Config *config) {
    store_t *s = actor_state(me);
    blob_t *packed = msg_blob(&config->base);
    raft_config_t next;
    why_t why;
    err_t err = store_learn_config(me, blob_bytes(packed), &next, &why);
    if (err == ERR_OK && !raft_config_can_follow(raft_config(s->raft), &next))
        err = why_set(&why, ERR_INVALID, "more than one voter would change");
    if (err != ERR_OK) {
        actor_fail(me, msg, ERR_INVALID, why.text);
        blob_unref(&packed);
        return;
    }
    store_propose_config(me, packed, &next, actor_keep_caller(me, msg));
}

void store_on_member_list(actor_t *me, const message_t *msg, const void *body) {
    if (may_change(me, msg, body)) actor_reply(me, msg, &store_member_reply(me)->base);
}

void store_on_member_add(actor_t *me, const message_t *msg, const void *body) {
    const Store__MemberAdd *request = body;
    if (!may_change(me, msg, body)) return;
    Raftpb__Config *config = config_now(me);
    if (is_empty(request->member) || strchr(request->member, '/'))
        actor_fail(me, msg, ERR_INVALID, "a member needs a name");
    else if (find(config, request->member))
        actor_fail(me, msg, ERR_EXISTS, "there is a member of this name");
    else if (config->n_members >= RAFT_MEMBERS_MAX)
        actor_fail(me, msg, ERR_INVALID, "a cluster has at most 9 members");
    else {
        Raftpb__Member *m = MSG_NEW(actor_arena(me), Raftpb__Member, raftpb__member__descriptor);
        m->id = store_member_id(request->member);
        m->name = request->member;
        m->learner = !request->witness; // a witness has nothing to catch up with
        m->witness = request->witness;
        Raftpb__Member **members =
            ARENA_ARRAY(actor_arena(me), Raftpb__Member *, config->n_members + 1);
        memcpy(members, config->members, config->n_members * sizeof *members);
        members[config->n_members++] = m;
        config->members = members;
        propose_config(me, msg, config);
    }
}

void store_on_member_promote(actor_t *me, const message_t *msg, const void *body) {
    enum { CAUGHT_UP_ENTRIES = 1024 };
    store_t *s = actor_state(me);
    const Store__MemberPromote *request = body;
    if (!may_change(me, msg, body)) return;
    Raftpb__Config *config = config_now(me);
    Raftpb__Member *m = find(config, request->member);
    raft_peer_view_t view = {0};
    if (!m)
        actor_fail(me, msg, ERR_NOT_FOUND, "there is no such member");
    else if (!m->learner)
        actor_fail(me, msg, ERR_EXISTS, "it votes already");
    else if (!raft_peer(s->raft, m->id, &view) || view.match == 0 ||
             view.match + CAUGHT_UP_ENTRIES < raft_trail(s->raft)->last)
        actor_fail(me, msg, ERR_CONFLICT, "it is not caught up yet");
    else {
        m->learner = false;
        propose_config(me, msg, config);
    }
}

void store_on_member_remove(actor_t *me, const message_t *msg, const void *body) {
    const Store__MemberRemove *request = body;
    if (!may_change(me, msg, body)) return;
    Raftpb__Config *config = config_now(me);
    Raftpb__Member *m = find(config, request->member);
    if (!m) {
        actor_fail(me, msg, ERR_NOT_FOUND, "there is no such member");
        return;
    }
    size_t kept = 0;
    for (size_t i = 0; i < config->n_members; i++)
        if (config->members[i] != m) config->members[kept++] = config->members[i];
    config->n_members = kept;
    propose_config(me, msg, config);
}

// The voter that is furthest, of those who were heard lately; 0: none.
raft_id_t store_best_successor(actor_t *me) {
    store_t *s = actor_state(me);
    const raft_config_t *config = raft_config(s->raft);
    raft_id_t best = 0;
    raft_index_t best_match = 0;
    for (size_t i = 0; i < config->len; i++) {
        raft_peer_view_t view;
        const raft_member_t *m = &config->members[i];
        if (m->role != RAFT_MEMBER_VOTER || !raft_peer(s->raft, m->id, &view)) continue;
        if (store_raft_ms(me) - view.heard_ms > 1000 || view.match < best_match) continue;
        best = m->id;
        best_match = view.match;
    }
    return best;
}

void store_on_transfer(actor_t *me, const message_t *msg, const void *body) {
    store_t *s = actor_state(me);
    const Store__LeaderTransfer *request = body;
    if (!may_change(me, msg, body)) return;
    raft_event_t event = store_event(me, RAFT_EVENT_TRANSFER);
    event.transfer_to =
        is_empty(request->member) ? store_best_successor(me) : store_member_id(request->member);
    if (event.transfer_to == s->id) {
        actor_reply(me, msg, &store_member_reply(me)->base);
        return;
    }
    store_step(me, &event, NULL);
    if (s->out.refused != ERR_OK)
        actor_fail(me, msg, s->out.refused, "no such voter to hand over to");
    else
        actor_reply(me, msg, &store_member_reply(me)->base);
}
