// Messages between members: which lane, when, with which contents.
//
// The core says what to tell whom. Votes, heartbeats and answers go at once, or when the write they
// promise is durable, on the control lane. Appends go on the bulk lane, cut by bytes; their
// contents come from memory, or from the log when a follower is far behind:
//
//     core ─► queue of appends ─► contents? ─ in memory ─► room? ─ at most PEER_WINDOW_BYTES
//     unheard of ─► sent
//                                     └ no ─► DiskRead ───────►┘
#include "actors/store/disk_actor.h"
#include "actors/store/store_inner.h"
#include "runtime/base/log.h"
#include "store/raft_wire.h"

enum {
    APPEND_BYTES = 1 << 20,       // of one message, about; one entry may be larger
    PEER_WINDOW_BYTES = 16 << 20, // under way to one follower
    // Links lose nothing unless they break, and then they say so: what was sent is not sent again
    // on a mere suspicion of the core's within this time.
    RESEND_MS = 500,
    PEER_READ_TIMEOUT_MS = 10 * 1000,
};

// ---- sending ------------------------------------------------------------------------------------
static void tell(actor_t *me, const raft_message_t *m) {
    store_t *s = actor_state(me);
    const member_t *to = store_member(s, m->to);
    if (!to) return; // it was never named to us: a lost message
    Raftpb__Message *body = raft_wire_put(actor_arena(me), m, mvcc_meta(s->mvcc)->cluster_id);
    actor_tell(me, to->address, &body->base);
}

static void tell_append(actor_t *me, member_t *to, const raft_message_t *head,
                        Raftpb__Entry **entries, size_t len, uint64_t bytes) {
    store_t *s = actor_state(me);
    Raftpb__Append append = PROTOBUF_C_MESSAGE_INIT(&raftpb__append__descriptor);
    append.message = raft_wire_put(actor_arena(me), head, mvcc_meta(s->mvcc)->cluster_id);
    append.message->entries = entries;
    append.message->n_entries = len;
    actor_tell(me, to->address, &append.base);
    to->progress_ms = actor_now_ms(me);
    to->sent_bytes += bytes;
    vec_push(&to->sent, ((typeof(*to->sent.at)){head->prev_index + len, bytes}));
}

// `count` entries of the first queued append are sent.
static void advance(store_t *s, member_t *to, uint64_t count) {
    raft_message_t *head = &to->queue.at[0];
    head->prev_index += count;
    head->prev_term = trail_term(raft_trail(s->raft), head->prev_index);
    head->entries_len -= count;
    if (head->entries_len == 0) vec_remove(&to->queue, 0);
}

static Raftpb__Entry *wire_entry(arena_t *arena, const entry_t *entry) {
    Raftpb__Entry *e = ARENA_NEW(arena, Raftpb__Entry);
    *e = (Raftpb__Entry){.base = PROTOBUF_C_MESSAGE_INIT(&raftpb__entry__descriptor)};
    e->index = entry->index;
    e->term = entry->term;
    e->kind = entry->kind;
    if (entry->data) e->data = (ProtobufCBinaryData){entry->data->len, entry->data->at};
    return e;
}

static void send_from_memory(actor_t *me, member_t *to) {
    store_t *s = actor_state(me);
    arena_t *arena = actor_arena(me);
    const raft_message_t head = to->queue.at[0];
    Raftpb__Entry **entries = ARENA_ARRAY(arena, Raftpb__Entry *, head.entries_len + 1);
    size_t len = 0, bytes = 0;
    while (len < head.entries_len && bytes < APPEND_BYTES) {
        const entry_t *entry = entries_at(&s->entries, head.prev_index + 1 + len);
        if (!entry) break;
        entries[len++] = wire_entry(arena, entry);
        bytes += ENTRY_OVERHEAD_BYTES + (entry->data ? entry->data->len : 0);
    }
    tell_append(me, to, &head, entries, len, bytes);
    advance(s, to, len);
}

static void read_back(actor_t *me, member_t *to) {
    store_t *s = actor_state(me);
    Raftpb__DiskRead body = PROTOBUF_C_MESSAGE_INIT(&raftpb__disk_read__descriptor);
    body.first = to->queue.at[0].prev_index + 1;
    body.bytes_max = APPEND_BYTES;
    to->read_ask = actor_ask(me, s->disk, &body.base, PEER_READ_TIMEOUT_MS, TAG_PEER);
}

static void pump(actor_t *me, member_t *to) {
    store_t *s = actor_state(me);
    while (to->queue.len && !to->read_ask && to->sent_bytes < PEER_WINDOW_BYTES) {
        raft_index_t first = to->queue.at[0].prev_index + 1;
        if (entries_at(&s->entries, first))
            send_from_memory(me, to);
        else if (first > raft_trail(s->raft)->base)
            read_back(me, to);
        else
            vec_reset(&to->queue); // cut meanwhile: the core will ask for a snapshot
    }
}

static void drop_appends_to(member_t *to) {
    vec_reset(&to->queue);
    vec_reset(&to->sent);
    to->sent_bytes = to->end = 0;
    to->read_ask = 0; // its answer finds nobody
}

static void queue_append(actor_t *me, member_t *to, const raft_message_t *m) {
    raft_message_t append = *m;
    bool is_under_way =
        m->prev_index < to->end && m->term == raft_term(((store_t *)actor_state(me))->raft);
    if (is_under_way && actor_now_ms(me) - to->progress_ms < RESEND_MS) {
        uint64_t known = to->end - m->prev_index;
        if (known >= m->entries_len) return;
        append.prev_index += known;
        append.entries_len -= known;
        append.prev_term =
            trail_term(raft_trail(((store_t *)actor_state(me))->raft), append.prev_index);
    } else if (m->prev_index != to->end) {
        drop_appends_to(to);
    }
    to->end = append.prev_index + append.entries_len;
    vec_push(&to->queue, append);
    pump(me, to);
}

void store_send_messages(actor_t *me) {
    store_t *s = actor_state(me);
    for (size_t i = 0; i < s->out.messages.len; i++) {
        const raft_message_t *m = &s->out.messages.at[i];
        member_t *to = store_member(s, m->to);
        if (m->after_write)
            vec_push(&s->held, ((held_message_t){m->after_write, *m}));
        else if (m->type == RAFT_APPEND && to)
            queue_append(me, to, m);
        else
            tell(me, m);
    }
}

// A later answer says all that an earlier one does.
static bool is_superseded(const held_message_t *held, size_t i, size_t len) {
    const raft_message_t *m = &held[i].message;
    if (m->type != RAFT_APPEND_REPLY || !m->ok) return false;
    for (size_t j = i + 1; j < len; j++) {
        const raft_message_t *later = &held[j].message;
        if (later->type == m->type && later->ok && later->to == m->to && later->term == m->term &&
            later->match_index >= m->match_index)
            return true;
    }
    return false;
}

void store_release_messages(actor_t *me, uint64_t upto) {
    store_t *s = actor_state(me);
    size_t len = 0;
    while (len < s->held.len && s->held.at[len].after_write <= upto) len++;
    for (size_t i = 0; i < len; i++)
        if (!is_superseded(s->held.at, i, len)) tell(me, &s->held.at[i].message);
    if (len == 0) return;
    s->held.len -= len;
    memmove(s->held.at, s->held.at + len, s->held.len * sizeof *s->held.at);
}

void store_drop_appends(store_t *s) {
    for (size_t i = 0; i < s->members.len; i++) drop_appends_to(&s->members.at[i]);
}

// What was sent to it may be lost, and a leader that went must be replaced.
void store_on_peer_down(actor_t *me, const char *address) {
    store_t *s = actor_state(me);
    for (size_t i = 0; i < s->members.len; i++) {
        if (!streq(s->members.at[i].address, address)) continue;
        drop_appends_to(&s->members.at[i]);
        if (s->phase != STORE_RUNNING || s->stopping) continue;
        raft_event_t event = store_event(me, RAFT_EVENT_SUSPECT);
        event.suspect = s->members.at[i].id;
        store_step(me, &event, NULL);
    }
}

// ---- contents from the log ----------------------------------------------------------------------
static member_t *reader(store_t *s, uint64_t ask) {
    for (size_t i = 0; ask && i < s->members.len; i++)
        if (s->members.at[i].read_ask == ask) return &s->members.at[i];
    return NULL;
}

void store_on_peer_entries(actor_t *me, const message_t *msg, const Raftpb__DiskEntries *read) {
    store_t *s = actor_state(me);
    member_t *to = reader(s, msg->in_reply_to);
    if (!to) return;
    to->read_ask = 0;
    const raft_message_t *head = to->queue.len ? &to->queue.at[0] : NULL;
    size_t len = 0, bytes = 0;
    while (head && len < read->n_entries && len < head->entries_len) {
        const Raftpb__Entry *e = read->entries[len];
        if (e->index != head->prev_index + 1 + len ||
            e->term != trail_term(raft_trail(s->raft), e->index))
            break; // the log was changed meanwhile
        bytes += ENTRY_OVERHEAD_BYTES + e->data.len;
        len++;
    }
    if (len) {
        tell_append(me, to, head, read->entries, len, bytes);
        advance(s, to, len);
        pump(me, to);
    } else {
        drop_appends_to(to);
    }
}

void store_on_peer_read_failed(actor_t *me, const message_t *msg) {
    member_t *to = reader(actor_state(me), msg->in_reply_to);
    if (to) drop_appends_to(to); // the core asks again, when a heartbeat shows no progress
}

// ---- receiving ----------------------------------------------------------------------------------
static void follow_acknowledged(actor_t *me, const raft_message_t *m) {
    store_t *s = actor_state(me);
    member_t *from = store_member(s, m->from);
    if (m->type != RAFT_APPEND_REPLY || !from || m->term != raft_term(s->raft)) return;
    if (!m->ok) {
        drop_appends_to(from);
        return;
    }
    size_t known = 0;
    while (known < from->sent.len && from->sent.at[known].last <= m->match_index)
        from->sent_bytes -= from->sent.at[known++].bytes;
    if (known == 0) return;
    from->progress_ms = actor_now_ms(me);
    from->sent.len -= known;
    memmove(from->sent.at, from->sent.at + known, from->sent.len * sizeof *from->sent.at);
}

// A member whose log is empty may have voted in an earlier life: until a configuration names it, it
// elects nobody.
static bool is_waiting_to_join(const store_t *s) {
    return s->joins && !raft_config_find(raft_config(s->raft), s->id);
}

static bool is_for_us(actor_t *me, const message_t *msg, const Raftpb__Message *body) {
    store_t *s = actor_state(me);
    if (s->phase != STORE_RUNNING || s->stopping || store_is_deaf(s)) return false;
    if (body->cluster_id != mvcc_meta(s->mvcc)->cluster_id) {
        actor_count(me, "store_foreign_messages_total", 1);
        return false;
    }
    const char *name = strchr(msg->from, '/');
    if (!name || body->from != store_member_id(name + 1)) {
        actor_count(me, "store_bad_messages_total", 1);
        return false;
    }
    store_know_member(me, name + 1);
    return true;
}

// It asks for votes and does not know that it was removed: nobody else will tell it.
static bool tell_if_removed(actor_t *me, const message_t *msg, const Raftpb__Message *body) {
    store_t *s = actor_state(me);
    const meta_t *meta = mvcc_meta(s->mvcc);
    if (body->type != RAFTPB__MESSAGE__TYPE__PRE_VOTE || meta->config_index == 0 ||
        raft_config_find(raft_config(s->raft), body->from))
        return false;
    Raftpb__NotMember news = PROTOBUF_C_MESSAGE_INIT(&raftpb__not_member__descriptor);
    news.cluster_id = meta->cluster_id;
    news.config_index = meta->config_index;
    actor_tell(me, msg->from, &news.base);
    return true;
}

// From a leader that was replaced and has not heard of it: the core refuses it, and says its term.
static void count_deposed(actor_t *me, const raft_message_t *m) {
    store_t *s = actor_state(me);
    bool from_leader = m->type == RAFT_APPEND || m->type == RAFT_HEARTBEAT;
    if (from_leader && m->term < raft_term(s->raft))
        actor_count(me, "store_deposed_refused_total", 1);
}

static void receive(actor_t *me, const message_t *msg, const Raftpb__Message *body) {
    store_t *s = actor_state(me);
    if (!body || !is_for_us(me, msg, body) || tell_if_removed(me, msg, body)) return;
    raft_message_t m;
    why_t why;
    if (raft_wire_get(actor_arena(me), body, &m, &why) != ERR_OK) {
        actor_count(me, "store_bad_messages_total", 1);
        return;
    }
    if (is_waiting_to_join(s) && (m.type == RAFT_VOTE || m.type == RAFT_PRE_VOTE)) return;
    s->is_removed = false; // a leader that speaks to us has us in its configuration
    follow_acknowledged(me, &m);
    count_deposed(me, &m);
    raft_event_t event = store_event(me, RAFT_EVENT_MESSAGE);
    event.message = &m;
    store_step(me, &event, body);
    member_t *from = store_member(s, m.from);
    if (from) pump(me, from);
}

void store_on_message(actor_t *me, const message_t *msg, const void *body) {
    receive(me, msg, body);
}

void store_on_append(actor_t *me, const message_t *msg, const void *body) {
    const Raftpb__Append *append = body;
    receive(me, msg, append->message);
}

void store_on_not_member(actor_t *me, const message_t *msg, const void *body) {
    store_t *s = actor_state(me);
    const Raftpb__NotMember *news = body;
    if (s->phase != STORE_RUNNING || store_is_deaf(s) ||
        news->cluster_id != mvcc_meta(s->mvcc)->cluster_id)
        return;
    if (news->config_index <= mvcc_meta(s->mvcc)->config_index || s->is_removed) return;
    if (raft_role(s->raft) == RAFT_LEADER) return;
    s->is_removed = true;
    log_error(actor_address(me), "%s says that this member was removed: it serves no more",
              msg->from);
}
