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
    s->raft = raft_new(&s->raft_options, store_raft_ms(me), rng_next(actor_rng(me)));
    s->phase = STORE_RUNNING;
    trail_done(&s->trail);
}

static void load_more(actor_t *me) {
    store_t *s = actor_state(me);
    if (s->loaded == s->trail.last) {
        begin(me);
        return;
    }
    Raftpb__DiskRead body = PROTOBUF_C_MESSAGE_INIT(&raftpb__disk_read__descriptor);
    body.first = s->loaded + 1;
    body.bytes_max = LOAD_BYTES;
    s->disk_ask = actor_ask(me, s->disk, &body.base, DISK_ASK_TIMEOUT_MS, TAG_READ);
}

// Do log and state machine belong together?
static err_t check_state(const store_t *s, const Raftpb__DiskState *state, why_t *why) {
    const meta_t *meta = mvcc_meta(s->mvcc);
    bool applies = !store_is_witness(s);
    if (meta->cluster_id && meta->cluster_id != state->cluster_id)
        return why_set(why, ERR_CONFLICT, "the database is of cluster %016llx, the log of %016llx",
                       (unsigned long long)meta->cluster_id, (unsigned long long)state->cluster_id);
    if (applies && meta->applied_index > state->last)
        return why_set(why, ERR_CORRUPT,
                       "the log ends at entry %llu, but %llu was applied: synced "
                       "entries are gone",
                       (unsigned long long)state->last, (unsigned long long)meta->applied_index);
    if (applies && meta->applied_index < state->begin)
        return why_set(why, ERR_CORRUPT,
                       "the log begins after entry %llu, but only %llu was applied",
                       (unsigned long long)state->begin, (unsigned long long)meta->applied_index);
    return ERR_OK;
}

static raft_term_t term_in(const Raftpb__DiskState *state, raft_index_t index) {
    raft_term_t term = index == state->begin ? state->begin_term : 0;
    for (size_t i = 0; i < state->n_run_first; i++)
        if (state->run_first[i] <= index) term = state->run_term[i];
    return index > state->last ? 0 : term;
}

// A snapshot was installed, and then we died before the log had been begun anew behind it.
static bool must_restart_log(actor_t *me, const Raftpb__DiskState *state) {
    const meta_t *meta = mvcc_meta(((store_t *)actor_state(me))->mvcc);
    return meta->applied_index >= state->begin && meta->applied_index &&
           store_installed_index(me) == meta->applied_index &&
           term_in(state, meta->applied_index) != meta->applied_term;
}

static void restart_log(actor_t *me) {
    store_t *s = actor_state(me);
    Raftpb__DiskRestart body = PROTOBUF_C_MESSAGE_INIT(&raftpb__disk_restart__descriptor);
    body.session = actor_incarnation(me);
    body.index = mvcc_meta(s->mvcc)->applied_index;
    body.term = mvcc_meta(s->mvcc)->applied_term;
    s->disk_ask = actor_ask(me, s->disk, &body.base, DISK_ASK_TIMEOUT_MS, TAG_RECOVER);
}

void store_on_disk_state(actor_t *me, const message_t *msg, const void *body) {
    store_t *s = actor_state(me);
    const Raftpb__DiskState *state = body;
    if (s->phase != STORE_WAITING_FOR_DISK || msg->in_reply_to != s->disk_ask) return;
    s->disk_ask = 0;
    why_t why;
    if (must_restart_log(me, state)) {
        restart_log(me);
        return;
    }
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
    if (state->rejoin) store_begin_rejoin(me, !state->last && !mvcc_meta(s->mvcc)->applied_index);
    // A witness applies nothing, and reads its log only for the configurations in it.
    s->loaded = store_is_witness(s) ? state->begin : mvcc_meta(s->mvcc)->applied_index;
    s->raft_options = (raft_options_t){
        .id = s->id,
        .election_timeout_ms = s->args->election_timeout_ms,
        .heartbeat_ms = s->args->heartbeat_ms,
        .hard = {state->term, state->vote},
        .applied = s->loaded,
        .witness = store_is_witness(s),
        .lease_reads = s->args->lease_reads,
        .config_index = mvcc_meta(s->mvcc)->config_index,
    };
    err = store_first_config(me, &s->raft_options.config, &why);
    if (err != ERR_OK) {
        store_die(me, err, why.text);
        return;
    }
    s->log_bytes = state->log_bytes;
    s->phase = STORE_LOADING;
    load_more(me);
}

static void push_entry(store_t *s, const Raftpb__Entry *e) {
    entry_t entry = {.index = e->index, .term = e->term, .kind = (uint8_t)e->kind};
    if (e->data.len) entry.data = blob_from(e->data.data, e->data.len);
    entries_push(&s->entries, &entry);
}

// The configuration in force is the newest in the log, be it committed or not.
static bool load_config(actor_t *me, const Raftpb__Entry *e) {
    raft_options_t *options = &((store_t *)actor_state(me))->raft_options;
    if (e->index <= options->config_index) return true; // the state machine knows it
    why_t why;
    options->config_before = options->config;
    options->config_index = e->index;
    err_t err =
        store_learn_config(me, (bytes_t){e->data.data, e->data.len}, &options->config, &why);
    if (err != ERR_OK) store_die(me, err, why.text);
    return err == ERR_OK;
}

void store_on_disk_entries(actor_t *me, const message_t *msg, const void *body) {
    store_t *s = actor_state(me);
    const Raftpb__DiskEntries *read = body;
    if (msg->tag == TAG_PEER) {
        store_on_peer_entries(me, msg, read);
        return;
    }
    if (s->phase != STORE_LOADING || msg->in_reply_to != s->disk_ask) return;
    s->disk_ask = 0;
    for (size_t i = 0; i < read->n_entries; i++) {
        const Raftpb__Entry *e = read->entries[i];
        assert(e->index == s->loaded + 1);
        push_entry(s, e);
        s->loaded = e->index;
        if (e->kind == MACHINE_CONFIG && !load_config(me, e)) return;
    }
    // Some of it may be needed by peers; a witness has no other use for it.
    if (store_is_witness(s)) entries_apply(&s->entries, entries_waiting(&s->entries), true);
    load_more(me);
}

// ---- performing what the core says --------------------------------------------------------------
static void tell_write(actor_t *me, Raftpb__DiskWrite *body, bool more) {
    store_t *s = actor_state(me);
    body->more = more;
    actor_tell(me, s->disk, &body->base);
    body->part++;
    body->has_hard = false;
    body->begin_after = 0;
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
    body.begin_after = out->begin_after;
    body.begin_term = out->begin_term;
    body.entries = ARENA_ARRAY(arena, Raftpb__Entry *, out->append_len + 1);
    size_t bytes = 0;
    for (uint64_t i = 0; i < out->append_len; i++) {
        const entry_t *entry = entries_at(&s->entries, out->append_first + i);
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

// What was proposed may still be committed by the next leader: nobody knows here.
static void fail_callers(actor_t *me) {
    store_t *s = actor_state(me);
    for (size_t i = s->entries.head; i < s->entries.ring.len; i++)
        if (s->entries.ring.at[i].caller)
            caller_fail(me, &s->entries.ring.at[i].caller, ERR_UNAVAILABLE,
                        "leadership was lost before the outcome was known");
}

static void lose_leadership(actor_t *me) {
    store_t *s = actor_state(me);
    s->led = false;
    actor_set_leader(me, false, 0);
    actor_set_ready(me, raft_leader(s->raft) != 0);
    fail_callers(me);
    for (size_t i = 0; i < s->lessor.leases.len; i++) s->lessor.leases.at[i].revoking = false;
    store_end_watches(me, ERR_NOT_LEADER, "this member leads no more");
}

static void follow_role(actor_t *me) {
    store_t *s = actor_state(me);
    if (!s->out.role_changed) return;
    // A follower that hears its leader takes an administrator's wishes; data requests go to whoever
    // leads.
    if (!s->led) actor_set_ready(me, raft_role(s->raft) == RAFT_FOLLOWER && raft_leader(s->raft));
    if (s->led && raft_role(s->raft) != RAFT_LEADER) lose_leadership(me);
    store_drop_appends(s);
    if (raft_role(s->raft) != RAFT_LEADER) store_drop_snapshots(s);
    if (raft_role(s->raft) == RAFT_LEADER)
        log_info(actor_address(me), "leads in term %llu", (unsigned long long)raft_term(s->raft));
}

// The log in memory follows the core's: what a leader overwrites goes, what it sent is appended.
// A round's own proposals are appended by whoever proposed them.
static void follow_log(store_t *s, const Raftpb__Message *source) {
    const raft_out_t *out = &s->out;
    if (out->truncate_from) entries_truncate(&s->entries, out->truncate_from);
    if (out->begin_after) entries_reset(&s->entries);
    if (out->append_noop)
        entries_push(&s->entries, &(entry_t){.index = out->append_first,
                                             .term = out->append_term,
                                             .kind = MACHINE_NOOP});
    for (uint64_t i = 0; source && !out->append_noop && i < out->append_len; i++)
        push_entry(s, source->entries[out->append_from + i]);
}

static void perform(actor_t *me, const Raftpb__Message *source) {
    store_t *s = actor_state(me);
    follow_role(me);
    follow_log(s, source);
    store_send_messages(me);
    if (s->out.write) {
        write_to_disk(me);
        store_note_write(me, s->out.write);
    }
    if (s->out.apply_to > s->apply_to) s->apply_to = s->out.apply_to;
    take_reads(s);
    for (size_t i = 0; i < s->out.snapshots.len; i++)
        store_begin_snapshot(me, s->out.snapshots.at[i]);
}

raft_event_t store_event(actor_t *me, raft_event_type_t type) {
    return (
        raft_event_t){.type = type, .now_ms = store_raft_ms(me), .dice = rng_next(actor_rng(me))};
}

void store_step(actor_t *me, const raft_event_t *event, const Raftpb__Message *source) {
    store_t *s = actor_state(me);
    raft_step(s->raft, event, &s->out);
    perform(me, source);
}

void store_tick(actor_t *me) {
    store_t *s = actor_state(me);
    // An election of one needs no waiting between its steps.
    while (raft_deadline_ms(s->raft) <= store_raft_ms(me)) {
        raft_event_t event = store_event(me, RAFT_EVENT_TICK);
        store_step(me, &event, NULL);
    }
    int64_t due = raft_deadline_ms(s->raft);
    if (due == INT64_MAX)
        actor_timer_cancel(me, TIMER_RAFT);
    else
        actor_timer(me, TIMER_RAFT, due - store_raft_ms(me));
}

void store_on_disk_synced(actor_t *me, const message_t *msg, const void *body) {
    store_t *s = actor_state(me);
    const Raftpb__DiskSynced *synced = body;
    if (synced->session != actor_incarnation(me) || s->phase != STORE_RUNNING) return;
    store_note_synced(me, synced->write, synced->log_room);
    s->sync_us[s->syncs++ % SYNC_SAMPLES] = (uint32_t)synced->sync_us;
    s->log_bytes = synced->log_bytes;
    raft_event_t event = store_event(me, RAFT_EVENT_SYNCED);
    event.write = synced->write;
    store_step(me, &event, NULL);
    store_release_messages(me, synced->write);
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
        entry_done(entry);
    }
    vec_reset(&s->proposals);
    s->proposal_bytes = 0;
}

void store_propose_all(actor_t *me) {
    store_t *s = actor_state(me);
    if (s->proposals.len == 0) return;
    raft_entry_t *entries = ARENA_ARRAY(actor_arena(me), raft_entry_t, s->proposals.len);
    raft_event_t event = store_event(me, RAFT_EVENT_PROPOSE);
    event.entries = entries;
    event.entries_len = s->proposals.len;
    raft_step(s->raft, &event, &s->out);
    if (s->out.refused != ERR_OK) {
        refuse_proposals(me, s->out.refused, "this member does not lead");
        return;
    }
    for (size_t i = 0; i < s->proposals.len; i++) {
        entry_t *entry = &s->proposals.at[i];
        entry->index = s->out.append_first + i;
        entry->term = s->out.append_term;
        entries_push(&s->entries, entry);
    }
    vec_reset(&s->proposals);
    s->proposal_bytes = 0;
    perform(me, NULL);
}

void store_propose_config(actor_t *me, blob_t *packed, const raft_config_t *config,
                          caller_t *caller) {
    store_t *s = actor_state(me);
    entry_t entry = {.kind = MACHINE_CONFIG, .data = packed, .caller = caller};
    raft_event_t event = store_event(me, RAFT_EVENT_PROPOSE);
    event.entries = &(raft_entry_t){.kind = RAFT_ENTRY_CONFIG, .config = config};
    event.entries_len = 1;
    raft_step(s->raft, &event, &s->out);
    if (s->out.refused != ERR_OK) {
        caller_fail(me, &entry.caller, s->out.refused, "an earlier change is not committed yet");
        entry_done(&entry);
        return;
    }
    entry.index = s->out.append_first;
    entry.term = s->out.append_term;
    entries_push(&s->entries, &entry);
    perform(me, NULL);
}

// All reads of the round share one question to the core.
void store_begin_reads(actor_t *me) {
    store_t *s = actor_state(me);
    if (s->reads.len == 0 || s->reads.at[s->reads.len - 1].index) return;
    if (s->reads.at[s->reads.len - 1].number < s->read_last) return;
    raft_event_t event = store_event(me, RAFT_EVENT_READ);
    event.read = s->read_last++;
    store_step(me, &event, NULL);
}

// ---- the log's length ---------------------------------------------------------------------------
// The log is needed from the applied index on that a crash would leave in the state machine. Looked
// at each time the log has grown by some; when nothing has been flushed for long (entries that
// change nothing fill the log, but no memtable) the flush is asked for.
// A member that is a little behind, or gets a snapshot, needs what comes after: for a while.
static raft_index_t cut_for_peers(actor_t *me, raft_index_t flushed) {
    store_t *s = actor_state(me);
    raft_index_t limit = raft_cut_limit(s->raft);
    if (flushed < limit) limit = flushed;
    uint64_t kept = s->args->log_for_peers_bytes ? (uint64_t)s->args->log_for_peers_bytes
                                                 : STORE_LOG_FOR_PEERS_BYTES;
    if (s->log_bytes >= kept) return limit;
    for (size_t i = 0; i < s->members.len; i++) {
        const member_t *member = &s->members.at[i];
        raft_peer_view_t view;
        if (!raft_peer(s->raft, member->id, &view)) continue;
        raft_index_t has = member->snapshot ? store_snapshot_index(member) : view.match;
        bool is_gone = store_raft_ms(me) - view.heard_ms > STORE_LOG_FOR_PEERS_MS;
        if (has < limit && !is_gone) limit = has;
    }
    return limit;
}

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
    if (store_is_witness(s)) flushed.applied_index = raft_cut_limit(s->raft);
    if (err == ERR_DISK_FULL) return; // the log stays as long as it is
    if (err != ERR_OK) {
        store_die(me, err, why.text);
        return;
    }
    raft_index_t cut_to = cut_for_peers(me, flushed.applied_index);
    if (cut_to <= s->cut_to) return;
    s->cut_to = cut_to;
    raft_event_t event = store_event(me, RAFT_EVENT_CUT);
    event.cut_to = s->cut_to;
    store_step(me, &event, NULL);
    Raftpb__DiskCut body = PROTOBUF_C_MESSAGE_INIT(&raftpb__disk_cut__descriptor);
    body.session = actor_incarnation(me);
    body.up_to = s->cut_to;
    actor_tell(me, s->disk, &body.base);
}
