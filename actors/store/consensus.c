// The shell round the Raft core, and what it says to the disk actor.
#include "actors/store/disk_actor.h"
#include "actors/store/store_inner.h"
#include "runtime/api/msg.h"
#include "runtime/base/log.h"

enum {
    RECOVER_RETRY_MS = 10,
    DISK_ASK_TIMEOUT_MS = 60 * 1000, // a long log on a slow disk
    LOAD_BYTES = 1 << 20,
    WRITE_PART_BYTES = 4 << 20, // of one DiskWrite; MESSAGE_MAX_BYTES is the limit
};

// ---- starting -----------------------------------------------------------------------------------
void store_ask_disk(actor_t *me) {
    store_t *s = actor_state(me);
    assert(s->phase == STORE_WAITING_FOR_DISK);
    if (s->disk_ask) return;
    Raftpb__DiskRecover body = PROTOBUF_C_MESSAGE_INIT(&raftpb__disk_recover__descriptor);
    body.session = actor_incarnation(me);
    s->disk_ask = actor_ask(me, s->disk, &body.base, DISK_ASK_TIMEOUT_MS, TAG_RECOVER);
}

static void begin(actor_t *me) {
    store_t *s = actor_state(me);
    s->raft_options.trail = &s->trail;
    s->raft = raft_new(&s->raft_options, actor_now_ms(me), rng_next(actor_rng(me)));
    s->phase = STORE_RUNNING;
    trail_done(&s->trail);
}

static void load_more(actor_t *me) {
    store_t *s = actor_state(me);
    raft_index_t have = mvcc_meta(s->mvcc)->applied_index + s->entries.len;
    if (have == s->trail.last) {
        begin(me);
        return;
    }
    Raftpb__DiskRead body = PROTOBUF_C_MESSAGE_INIT(&raftpb__disk_read__descriptor);
    body.first = have + 1;
    body.bytes_max = LOAD_BYTES;
    s->disk_ask = actor_ask(me, s->disk, &body.base, DISK_ASK_TIMEOUT_MS, TAG_READ);
}

// Do log and state machine belong together?
static err_t check_state(const store_t *s, const Raftpb__DiskState *state, why_t *why) {
    const meta_t *meta = mvcc_meta(s->mvcc);
    if (meta->cluster_id && meta->cluster_id != state->cluster_id)
        return why_set(why, ERR_CONFLICT, "the database is of cluster %016llx, the log of %016llx",
                       (unsigned long long)meta->cluster_id, (unsigned long long)state->cluster_id);
    if (meta->applied_index > state->last)
        return why_set(why, ERR_CORRUPT,
                       "the log ends at entry %llu, but %llu was applied: synced "
                       "entries are gone",
                       (unsigned long long)state->last, (unsigned long long)meta->applied_index);
    if (meta->applied_index < state->begin)
        return why_set(why, ERR_CORRUPT,
                       "the log begins after entry %llu, but only %llu was applied",
                       (unsigned long long)state->begin, (unsigned long long)meta->applied_index);
    return ERR_OK;
}

void store_on_disk_state(actor_t *me, const message_t *msg, const void *body) {
    store_t *s = actor_state(me);
    const Raftpb__DiskState *state = body;
    if (s->phase != STORE_WAITING_FOR_DISK || msg->in_reply_to != s->disk_ask) return;
    s->disk_ask = 0;
    why_t why;
    err_t err = check_state(s, state, &why);
    if (err != ERR_OK) {
        store_die(me, err, why.text);
        return;
    }
    trail_init(&s->trail, state->begin, state->begin_term);
    for (size_t i = 0; i < state->n_run_first; i++) {
        raft_index_t end = i + 1 < state->n_run_first ? state->run_first[i + 1] - 1 : state->last;
        trail_append(&s->trail, state->run_term[i], end - s->trail.last);
    }
    mvcc_set_cluster_id(s->mvcc, state->cluster_id);
    raft_id_t id = store_member_id(s->args->member);
    s->raft_options = (raft_options_t){
        .id = id,
        .election_timeout_ms = s->args->election_timeout_ms,
        .heartbeat_ms = s->args->heartbeat_ms,
        .hard = {state->term, state->vote},
        .config = {.members = {{id, RAFT_MEMBER_VOTER}}, .len = 1},
        .applied = mvcc_meta(s->mvcc)->applied_index,
    };
    s->log_bytes = state->log_bytes;
    s->phase = STORE_LOADING;
    load_more(me);
}

void store_on_disk_entries(actor_t *me, const message_t *msg, const void *body) {
    store_t *s = actor_state(me);
    const Raftpb__DiskEntries *read = body;
    if (s->phase != STORE_LOADING || msg->in_reply_to != s->disk_ask) return;
    s->disk_ask = 0;
    for (size_t i = 0; i < read->n_entries; i++) {
        const Raftpb__Entry *e = read->entries[i];
        assert(e->index == mvcc_meta(s->mvcc)->applied_index + s->entries.len + 1);
        entry_t entry = {.index = e->index, .term = e->term, .kind = (uint8_t)e->kind};
        entry.data = blob_from(e->data.data, e->data.len);
        s->proposal_bytes += e->data.len;
        vec_push(&s->entries, entry);
    }
    load_more(me);
}

// ---- performing what the core says --------------------------------------------------------------
static entry_t *entry_at(store_t *s, raft_index_t index) {
    assert(s->entries_head < s->entries.len);
    raft_index_t first = s->entries.at[s->entries_head].index;
    assert(index >= first && index - first < s->entries.len - s->entries_head);
    return &s->entries.at[s->entries_head + (index - first)];
}

static void tell_write(actor_t *me, Raftpb__DiskWrite *body, bool more) {
    store_t *s = actor_state(me);
    body->more = more;
    actor_tell(me, s->disk, &body->base);
    body->part++;
    body->has_hard = false;
    body->n_entries = 0;
}

static void write_to_disk(actor_t *me) {
    store_t *s = actor_state(me);
    const raft_out_t *out = &s->out;
    arena_t *arena = actor_arena(me);
    Raftpb__DiskWrite body = PROTOBUF_C_MESSAGE_INIT(&raftpb__disk_write__descriptor);
    body.session = actor_incarnation(me);
    body.write = out->write;
    body.has_hard = out->has_hard;
    body.term = out->hard.term;
    body.vote = out->hard.vote;
    body.entries = ARENA_ARRAY(arena, Raftpb__Entry *, out->append_len + 1);
    size_t bytes = 0;
    for (uint64_t i = 0; i < out->append_len; i++) {
        const entry_t *entry = entry_at(s, out->append_first + i);
        size_t len = entry->data ? entry->data->len : 0;
        if (body.n_entries && bytes + len > WRITE_PART_BYTES) {
            tell_write(me, &body, true);
            bytes = 0;
        }
        Raftpb__Entry *e = ARENA_NEW(arena, Raftpb__Entry);
        *e = (Raftpb__Entry){.base = PROTOBUF_C_MESSAGE_INIT(&raftpb__entry__descriptor)};
        e->index = entry->index;
        e->term = entry->term;
        e->kind = entry->kind;
        if (entry->data) e->data = (ProtobufCBinaryData){len, entry->data->at};
        body.entries[body.n_entries++] = e;
        bytes += len + 32;
    }
    tell_write(me, &body, false);
}

static void take_reads(store_t *s) {
    for (size_t i = 0; i < s->out.reads.len; i++) {
        const raft_read_done_t *done = &s->out.reads.at[i];
        for (size_t j = 0; j < s->reads.len; j++)
            if (s->reads.at[j].number <= done->read && s->reads.at[j].index == 0)
                s->reads.at[j].index = done->ok ? done->index : UINT64_MAX;
    }
}

static void lose_leadership(actor_t *me) {
    store_t *s = actor_state(me);
    s->led = false;
    actor_set_leader(me, false, 0);
    actor_set_ready(me, false);
    for (size_t i = 0; i < s->lessor.leases.len; i++) s->lessor.leases.at[i].revoking = false;
    store_end_watches(me, ERR_NOT_LEADER, "this member leads no more");
}

static void perform(actor_t *me) {
    store_t *s = actor_state(me);
    if (s->out.append_noop)
        vec_push(&s->entries, ((entry_t){.index = s->out.append_first,
                                         .term = s->out.append_term,
                                         .kind = MACHINE_NOOP}));
    if (s->out.write) write_to_disk(me);
    if (s->out.apply_to > s->apply_to) s->apply_to = s->out.apply_to;
    take_reads(s);
    if (s->led && raft_role(s->raft) != RAFT_LEADER) lose_leadership(me);
    if (s->out.role_changed && raft_role(s->raft) == RAFT_LEADER)
        log_info(actor_address(me), "leads in term %llu", (unsigned long long)raft_term(s->raft));
}

static raft_event_t event_of(actor_t *me, raft_event_type_t type) {
    return (
        raft_event_t){.type = type, .now_ms = actor_now_ms(me), .dice = rng_next(actor_rng(me))};
}

static void step(actor_t *me, const raft_event_t *event) {
    store_t *s = actor_state(me);
    raft_step(s->raft, event, &s->out);
    perform(me);
}

void store_tick(actor_t *me) {
    store_t *s = actor_state(me);
    // An election of one needs no waiting between its steps.
    while (raft_deadline_ms(s->raft) <= actor_now_ms(me)) {
        raft_event_t event = event_of(me, RAFT_EVENT_TICK);
        step(me, &event);
    }
    int64_t due = raft_deadline_ms(s->raft);
    if (due == INT64_MAX)
        actor_timer_cancel(me, TIMER_RAFT);
    else
        actor_timer(me, TIMER_RAFT, due - actor_now_ms(me));
}

void store_on_disk_synced(actor_t *me, const message_t *msg, const void *body) {
    store_t *s = actor_state(me);
    const Raftpb__DiskSynced *synced = body;
    if (synced->session != actor_incarnation(me) || s->phase != STORE_RUNNING) return;
    s->sync_us[s->syncs++ % SYNC_SAMPLES] = (uint32_t)synced->sync_us;
    s->log_bytes = synced->log_bytes;
    raft_event_t event = event_of(me, RAFT_EVENT_SYNCED);
    event.write = synced->write;
    step(me, &event);
}

void store_on_disk_failed(actor_t *me, const message_t *msg, const void *body) {
    const Raftpb__DiskFailed *failed = body;
    if (failed->session == actor_incarnation(me)) store_die(me, (err_t)failed->err, failed->why);
}

// ---- a round's proposals and reads --------------------------------------------------------------
static void refuse_proposals(actor_t *me, err_t err, const char *why) {
    store_t *s = actor_state(me);
    for (size_t i = 0; i < s->proposals.len; i++) {
        entry_t *entry = &s->proposals.at[i];
        if (entry->caller) caller_fail(me, &entry->caller, err, why);
        if (entry->data) s->proposal_bytes -= entry->data->len;
        blob_unref(&entry->data);
    }
    vec_reset(&s->proposals);
}

void store_propose_all(actor_t *me) {
    store_t *s = actor_state(me);
    if (s->proposals.len == 0) return;
    raft_entry_t *entries = ARENA_ARRAY(actor_arena(me), raft_entry_t, s->proposals.len);
    raft_event_t event = event_of(me, RAFT_EVENT_PROPOSE);
    event.entries = entries;
    event.entries_len = s->proposals.len;
    raft_step(s->raft, &event, &s->out);
    if (s->out.refused != ERR_OK) {
        refuse_proposals(me, s->out.refused, "this member does not lead");
        return;
    }
    for (size_t i = 0; i < s->proposals.len; i++) {
        entry_t entry = s->proposals.at[i];
        entry.index = s->out.append_first + i;
        entry.term = s->out.append_term;
        vec_push(&s->entries, entry);
    }
    vec_reset(&s->proposals);
    perform(me);
}

// All reads of the round share one question to the core.
void store_begin_reads(actor_t *me) {
    store_t *s = actor_state(me);
    if (s->reads.len == 0 || s->reads.at[s->reads.len - 1].index) return;
    if (s->reads.at[s->reads.len - 1].number < s->read_last) return;
    raft_event_t event = event_of(me, RAFT_EVENT_READ);
    event.read = s->read_last++;
    step(me, &event);
}

// ---- the log's length ---------------------------------------------------------------------------
// The log is needed from the applied index on that a crash would leave in the state machine. Looked
// at each time the log has grown by some; when nothing has been flushed for long (entries that
// change nothing fill the log, but no memtable) the flush is asked for.
void store_keep_log_short(actor_t *me) {
    store_t *s = actor_state(me);
    uint64_t step_bytes =
        s->args->log_cut_bytes ? (uint64_t)s->args->log_cut_bytes : STORE_LOG_CUT_BYTES;
    if (s->log_bytes < s->flush_asked) s->flush_asked = s->log_bytes; // it was cut
    if (s->log_bytes < s->flush_asked + step_bytes) return;
    s->flush_asked = s->log_bytes;
    meta_t flushed;
    why_t why;
    err_t err = ERR_OK;
    if (s->log_bytes >= STORE_LOG_STEPS_MAX * step_bytes) err = kv_flush(s->kv, &why);
    if (err == ERR_OK) err = mvcc_flushed(s->mvcc, &flushed, &why);
    if (err != ERR_OK) {
        store_die(me, err, why.text);
        return;
    }
    if (flushed.applied_index <= s->cut_to) return;
    s->cut_to = flushed.applied_index;
    raft_event_t event = event_of(me, RAFT_EVENT_CUT);
    event.cut_to = s->cut_to;
    step(me, &event);
    Raftpb__DiskCut body = PROTOBUF_C_MESSAGE_INIT(&raftpb__disk_cut__descriptor);
    body.session = actor_incarnation(me);
    body.up_to = s->cut_to;
    actor_tell(me, s->disk, &body.base);
}
