#include "tests/support/raft_rig.h"

#define LLU(x) ((unsigned long long)(x))

slots_t rig_copy_slots(const slot_t *at, size_t len) {
    slots_t copy = {0};
    for (size_t i = 0; i < len; i++) vec_push(&copy, at[i]);
    return copy;
}

static uint64_t mix(uint64_t hash, uint64_t value) {
    hash = (hash ^ value) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 29;
}

void rig_fault(rig_t *rig, const char *fmt, ...) {
    if (rig->fault.len) return;
    va_list args;
    va_start(args, fmt);
    text_addv(&rig->fault, fmt, args);
    va_end(args);
}

void rig_say(rig_t *rig, const char *fmt, ...) {
    if (rig->quiet) return;
    va_list args;
    va_start(args, fmt);
    text_addv(&rig->trace, fmt, args);
    va_end(args);
}

static uint64_t throw_dice(rig_t *rig) {
    return rig->dice ? rig->dice(rig) : rig->dice_count++ * 37;
}

int64_t rig_clock_ms(const rig_t *rig, raft_id_t id) {
    const rig_member_t *m = &rig->members[id];
    return m->clock_offset_ms + rig->now_ms * m->clock_ppm / 1000000;
}

// ---- promises -----------------------------------------------------------------------------------
static bool same(const slot_t *a, const slot_t *b) {
    return a->term == b->term && a->value == b->value && a->kind == b->kind;
}

// Log matching: index and term name an entry, and all before it.
static void check_entry(rig_t *rig, const rig_member_t *m, raft_index_t index) {
    const slot_t *slot = &m->log.at[index - 1];
    seen_entry_t entry = {slot->term, trail_term(raft_trail(m->raft), index - 1), slot->value};
    while (rig->seen.len < index) vec_push(&rig->seen, (seen_entries_t){0});
    seen_entries_t *all = &rig->seen.at[index - 1];
    for (size_t i = 0; i < all->len; i++) {
        if (all->at[i].term != entry.term) continue;
        if (all->at[i].prev_term != entry.prev_term || all->at[i].value != entry.value)
            rig_fault(rig, "log matching: two entries %llu of term %llu", LLU(index),
                      LLU(entry.term));
        return;
    }
    vec_push(all, entry);
}

static void check_leader(rig_t *rig, raft_id_t id) {
    const rig_member_t *m = &rig->members[id];
    if (raft_role(m->raft) != RAFT_LEADER) return;
    raft_term_t term = raft_term(m->raft);
    assert(term < RIG_TERMS_MAX);
    if (rig->leader_of[term] == id) return;
    if (rig->leader_of[term])
        rig_fault(rig, "election safety: term %llu has two leaders, %llu and %llu", LLU(term),
                  LLU(rig->leader_of[term]), LLU(id));
    rig->leader_of[term] = id;
    // One that is elected late, when a later term has committed already, need not know of that.
    for (raft_index_t i = raft_trail(m->raft)->base + 1; i <= rig->committed.len; i++)
        if (rig->committed_in.at[i - 1] < term &&
            (i > m->log.len || !same(&m->log.at[i - 1], &rig->committed.at[i - 1])))
            rig_fault(rig, "leader completeness: %llu of term %llu lacks the committed entry %llu",
                      LLU(id), LLU(term), LLU(i));
}

static bool has_on_disk(const rig_member_t *m, raft_index_t index, raft_term_t term) {
    if (index <= m->base || index <= m->flushed.index) return true;
    return index <= m->disk.len && m->disk.at[index - 1].term == term;
}

static void check_majority(rig_t *rig, raft_id_t leader, raft_index_t index) {
    const raft_config_t *config = raft_config(rig->members[leader].raft);
    size_t have = 0;
    raft_term_t term = rig->committed.at[index - 1].term;
    for (size_t i = 0; i < config->len; i++)
        if (config->members[i].role != RAFT_MEMBER_LEARNER)
            have += has_on_disk(&rig->members[config->members[i].id], index, term);
    if (have <= raft_config_voters(config) / 2)
        rig_fault(rig, "durability: %llu commits %llu, which %zu of %zu voters have on disk",
                  LLU(leader), LLU(index), have, raft_config_voters(config));
}

static void check_leases(rig_t *rig, raft_id_t committer) {
    for (raft_id_t id = 1; id < RIG_IDS; id++) {
        const rig_member_t *m = &rig->members[id];
        if (id == committer || !m->alive || raft_role(m->raft) != RAFT_LEADER) continue;
        if (raft_has_lease(m->raft, rig_clock_ms(rig, id)))
            rig_fault(rig, "lease: %llu commits while %llu may read by its lease", LLU(committer),
                      LLU(id));
    }
}

static void check_commit(rig_t *rig, raft_id_t id, bool led) {
    rig_member_t *m = &rig->members[id];
    raft_index_t commit = raft_commit(m->raft);
    for (raft_index_t i = m->commit_seen + 1; i <= commit; i++) {
        if (i <= raft_trail(m->raft)->base) continue;
        const slot_t *slot = &m->log.at[i - 1];
        if (i <= rig->committed.len) {
            if (!same(slot, &rig->committed.at[i - 1]))
                rig_fault(rig, "state machine safety: %llu commits another entry %llu", LLU(id),
                          LLU(i));
            continue;
        }
        if (!led && raft_role(m->raft) != RAFT_LEADER)
            rig_fault(rig, "%llu knows entry %llu as committed, and no leader did", LLU(id),
                      LLU(i));
        vec_push(&rig->committed, *slot);
        vec_push(&rig->committed_in, raft_term(m->raft));
        uint64_t before = rig->hashes.len ? rig->hashes.at[rig->hashes.len - 1] : 0;
        vec_push(&rig->hashes, mix(before, slot->value));
        check_majority(rig, id, i);
        check_leases(rig, id);
    }
    if (commit > m->commit_seen) m->commit_seen = commit;
}

static void check_machine(rig_t *rig, raft_id_t id) {
    const machine_state_t *live = &rig->members[id].live;
    if (live->index && live->index <= rig->hashes.len &&
        live->hash != rig->hashes.at[live->index - 1])
        rig_fault(rig, "state machine safety: that of %llu differs at %llu", LLU(id),
                  LLU(live->index));
}

static void apply(rig_t *rig, raft_id_t id, raft_index_t to) {
    rig_member_t *m = &rig->members[id];
    if (to <= m->live.index) return;
    rig_say(rig, "  %llu applies %llu..%llu\n", LLU(id), LLU(m->live.index + 1), LLU(to));
    for (raft_index_t i = m->live.index + 1; i <= to; i++) {
        const slot_t *slot = &m->log.at[i - 1];
        if (!has_on_disk(m, i, slot->term))
            rig_fault(rig, "durability: %llu applies %llu before it is on its disk", LLU(id),
                      LLU(i));
        m->live.index = i;
        m->live.term = slot->term;
        m->live.hash = mix(m->live.hash, slot->value);
        if (slot->kind != RAFT_ENTRY_CONFIG) continue;
        m->live.config = slot->config;
        m->live.config_index = i;
    }
    check_machine(rig, id);
}

// ---- performing ---------------------------------------------------------------------------------
static void begin_log(slots_t *log, raft_index_t after) {
    vec_reset(log);
    while (log->len < after) vec_push(log, (slot_t){0});
}

// The first `records` of a write reach the disk: hard state, begin, then entry by entry. What is to
// be truncated goes with the first entry that replaces it.
static void make_durable(rig_member_t *m, const pending_write_t *w, size_t records) {
    if (w->has_hard && records && records--) m->promised = m->hard = w->hard;
    if (w->begin_after && records && records--) {
        begin_log(&m->disk, w->begin_after);
        m->base = w->begin_after;
        m->base_term = w->begin_term;
    }
    if (w->truncate_from && records && w->truncate_from <= m->disk.len)
        m->disk.len = w->truncate_from - 1;
    for (size_t i = 0; i < w->entries.len && i < records; i++) vec_push(&m->disk, w->entries.at[i]);
}

static void release(rig_t *rig, rig_member_t *m, uint64_t written) {
    size_t kept = 0;
    for (size_t i = 0; i < m->waiting.len; i++) {
        letter_t letter = m->waiting.at[i];
        if (letter.m.after_write > written)
            m->waiting.at[kept++] = letter;
        else if (rig->post)
            rig->post(rig, letter);
        else
            vec_push(&rig->net, letter);
    }
    m->waiting.len = kept;
}

static void take_write(rig_t *rig, raft_id_t id, const slot_t *slots) {
    rig_member_t *m = &rig->members[id];
    const raft_out_t *out = &m->out;
    pending_write_t w = {.number = out->write,
                         .has_hard = out->has_hard,
                         .hard = out->hard,
                         .truncate_from = out->truncate_from,
                         .begin_after = out->begin_after,
                         .begin_term = out->begin_term};
    // The core's view of the log runs ahead of the disk.
    if (out->begin_after) begin_log(&m->log, out->begin_after);
    if (out->truncate_from) m->log.len = out->truncate_from - 1;
    for (uint64_t i = 0; i < out->append_len; i++) {
        slot_t slot = {.kind = RAFT_ENTRY_NOOP};
        if (!out->append_noop) slot = slots[out->append_from + i];
        if (out->append_term) slot.term = out->append_term;
        vec_push(&w.entries, slot);
        vec_push(&m->log, slot);
        check_entry(rig, m, m->log.len);
    }
    vec_push(&m->writes, w);
    if (rig->wrote) rig->wrote(rig, id);
}

static bool is_too_early(const rig_t *rig, const raft_message_t *m) {
    if (rig->canary == SHELL_VOTE_NOT_SYNCED) return m->type == RAFT_VOTE_REPLY;
    return rig->canary == SHELL_APPEND_NOT_SYNCED && m->type == RAFT_APPEND_REPLY;
}

static void take_messages(rig_t *rig, rig_member_t *m) {
    for (size_t i = 0; i < m->out.messages.len; i++) {
        letter_t letter = {.m = m->out.messages.at[i]};
        if (is_too_early(rig, &letter.m)) letter.m.after_write = 0;
        if (letter.m.type == RAFT_APPEND && letter.m.entries_len)
            letter.entries = rig_copy_slots(m->log.at + letter.m.prev_index, letter.m.entries_len);
        vec_push(&m->waiting, letter);
    }
    release(rig, m, 0);
}

static void take_reads(rig_t *rig, rig_member_t *m, raft_id_t id) {
    for (size_t i = 0; i < m->out.reads.len; i++) {
        const raft_read_done_t *done = &m->out.reads.at[i];
        rig_say(rig, "  %llu read %llu: %s", LLU(id), LLU(done->read), done->ok ? "ok" : "refused");
        if (done->ok) rig_say(rig, " at %llu", LLU(done->index));
        rig_say(rig, "\n");
        rig->reads_done += done->ok;
        for (size_t j = 0; j < rig->reads.len; j++) {
            if (rig->reads.at[j].read != done->read) continue;
            if (done->ok && done->index < rig->reads.at[j].at_least)
                rig_fault(rig, "stale read: %llu reads at %llu, but %llu was committed before",
                          LLU(id), LLU(done->index), LLU(rig->reads.at[j].at_least));
            vec_swap_remove(&rig->reads, j);
            break;
        }
    }
}

static void take_snapshots(rig_t *rig, const rig_member_t *m, raft_id_t id) {
    for (size_t i = 0; i < m->out.snapshots.len; i++) {
        stream_t stream = {.from = id,
                           .to = m->out.snapshots.at[i],
                           .state = m->live,
                           .hard = m->hard,
                           .life_of_from = m->life,
                           .due_ms = -1};
        rig_say(rig, "  %llu: %llu needs a snapshot\n", LLU(id), LLU(stream.to));
        vec_push(&rig->streams, stream);
    }
}

// `slots`: what the event's entries stand for, one by one; NULL where it has none.
static void step(rig_t *rig, raft_id_t id, raft_event_t event, const slot_t *slots) {
    static const char *const roles[] = {"follows", "asks around", "stands", "leads"};
    rig_member_t *m = &rig->members[id];
    event.now_ms = rig_clock_ms(rig, id);
    event.dice = throw_dice(rig);
    bool led = raft_role(m->raft) == RAFT_LEADER;
    raft_step(m->raft, &event, &m->out);
    rig->steps++;
    if (m->out.write) take_write(rig, id, slots);
    if (m->out.refused)
        rig_say(rig, "  %llu refuses: %s (%s)\n", LLU(id), err_text(m->out.refused), m->out.why);
    if (m->out.role_changed)
        rig_say(rig, "  %llu %s in term %llu\n", LLU(id), roles[raft_role(m->raft)],
                LLU(raft_term(m->raft)));
    take_snapshots(rig, m, id);
    check_leader(rig, id);
    check_commit(rig, id, led);
    take_messages(rig, m);
    apply(rig, id,
          rig->canary == SHELL_APPLIES_BEYOND_DURABLE && !m->witness ? raft_commit(m->raft)
                                                                     : m->out.apply_to);
    take_reads(rig, m, id);
    rig->hash = mix(mix(mix(rig->hash, id), raft_commit(m->raft)), raft_term(m->raft));
}

void rig_tick(rig_t *rig, raft_id_t id) {
    step(rig, id, (raft_event_t){.type = RAFT_EVENT_TICK}, NULL);
}

bool rig_is_due(const rig_t *rig, raft_id_t id) {
    const rig_member_t *m = &rig->members[id];
    return m->alive && raft_deadline_ms(m->raft) <= rig_clock_ms(rig, id);
}

void rig_sync(rig_t *rig, raft_id_t id) {
    rig_member_t *m = &rig->members[id];
    assert(m->alive && m->writes.len);
    pending_write_t w = m->writes.at[0];
    vec_remove(&m->writes, 0);
    make_durable(m, &w, SIZE_MAX);
    vec_done(&w.entries);
    release(rig, m, w.number);
    step(rig, id, (raft_event_t){.type = RAFT_EVENT_SYNCED, .write = w.number}, NULL);
}

void rig_free_letter(letter_t *letter) { vec_done(&letter->entries); }

void rig_hand_over(rig_t *rig, const letter_t *letter) {
    const rig_member_t *to = &rig->members[letter->m.to], *from = &rig->members[letter->m.from];
    bool lost = to->cut || from->cut || !to->alive;
    raft_message_t m = letter->m;
    m.after_write = 0;
    if (!rig->quiet) {
        text_t line = TEXT_HEAP;
        raft_message_print(&m, &line);
        rig_say(rig, "  %s%s\n", text_str(&line), lost ? " (lost)" : "");
        text_done(&line);
    }
    if (lost) return;
    VEC(raft_entry_t) entries = {0};
    for (size_t i = 0; i < letter->entries.len; i++) {
        const slot_t *slot = &letter->entries.at[i];
        const raft_config_t *config = slot->kind == RAFT_ENTRY_CONFIG ? &slot->config : NULL;
        vec_push(&entries, ((raft_entry_t){slot->term, slot->kind, config}));
    }
    m.entries = entries.at;
    step(rig, m.to, (raft_event_t){.type = RAFT_EVENT_MESSAGE, .message = &m}, letter->entries.at);
    vec_done(&entries);
}

void rig_propose(rig_t *rig, raft_id_t id, size_t count, const raft_config_t *config) {
    VEC(raft_entry_t) entries = {0};
    slots_t slots = {0};
    for (size_t i = 0; i < count; i++) {
        slot_t slot = {.kind = config ? RAFT_ENTRY_CONFIG : RAFT_ENTRY_NORMAL,
                       .value = ++rig->values};
        if (config) slot.config = *config;
        vec_push(&slots, slot);
        vec_push(&entries, ((raft_entry_t){0, slot.kind, config}));
    }
    raft_event_t event = {.type = RAFT_EVENT_PROPOSE};
    event.entries = entries.at;
    event.entries_len = count;
    step(rig, id, event, slots.at);
    vec_done(&entries);
    vec_done(&slots);
}

void rig_read(rig_t *rig, raft_id_t id) {
    uint64_t read = ++rig->read_last;
    vec_push(&rig->reads, ((open_read_t){read, rig->committed.len}));
    step(rig, id, (raft_event_t){.type = RAFT_EVENT_READ, .read = read}, NULL);
}

void rig_transfer(rig_t *rig, raft_id_t id, raft_id_t to) {
    step(rig, id, (raft_event_t){.type = RAFT_EVENT_TRANSFER, .transfer_to = to}, NULL);
}

// ---- state machine and snapshots ----------------------------------------------------------------
void rig_flush(rig_t *rig, raft_id_t id) {
    rig_member_t *m = &rig->members[id];
    if (!m->witness) m->flushed = m->live;
}

// A witness has no state machine: its log tells what it begins after.
static void advance_witness(rig_member_t *m, raft_index_t index) {
    for (raft_index_t i = m->flushed.index + 1; i <= index; i++) {
        if (m->log.at[i - 1].kind != RAFT_ENTRY_CONFIG) continue;
        m->flushed.config = m->log.at[i - 1].config;
        m->flushed.config_index = i;
    }
    m->flushed.index = index;
    m->flushed.term = trail_term(raft_trail(m->raft), index);
    m->live = m->flushed;
}

void rig_cut(rig_t *rig, raft_id_t id, raft_index_t index) {
    rig_member_t *m = &rig->members[id];
    if (!m->witness && index > m->flushed.index) index = m->flushed.index;
    if (index > raft_cut_limit(m->raft)) index = raft_cut_limit(m->raft);
    if (index <= m->base || index > m->disk.len) return;
    raft_term_t term = trail_term(raft_trail(m->raft), index);
    if (term == 0) return; // a snapshot has begun the log behind it
    if (m->witness) advance_witness(m, index);
    m->base_term = term;
    m->base = index;
    step(rig, id, (raft_event_t){.type = RAFT_EVENT_CUT, .cut_to = index}, NULL);
}

static void install(rig_t *rig, const stream_t *stream) {
    rig_member_t *m = &rig->members[stream->to];
    const machine_state_t *state = &stream->state;
    bool wanted = m->alive && raft_wants_snapshot(m->raft, state->index, state->term);
    rig_say(rig, "  %llu %s the snapshot at %llu/t%llu\n", LLU(stream->to),
            wanted ? "installs" : "has no use for", LLU(state->index), LLU(state->term));
    if (!wanted) return;
    m->live = *state;
    // Before the log knows of it; a crash in between is seen by rig_start.
    if (!m->witness) m->flushed = m->live;
    if (rig->canary == SHELL_SNAPSHOT_HAS_TERM) m->hard = stream->hard;
    raft_event_t event = {.type = RAFT_EVENT_INSTALLED};
    event.installed =
        (raft_installed_t){state->index, state->term, &state->config, state->config_index};
    step(rig, stream->to, event, NULL);
    if (m->witness && m->out.begin_after) m->flushed = m->live;
    check_machine(rig, stream->to);
}

void rig_end_stream(rig_t *rig, const stream_t *stream, bool arrived) {
    if (arrived) install(rig, stream);
    const rig_member_t *from = &rig->members[stream->from];
    if (!from->alive || from->life != stream->life_of_from) return;
    raft_event_t event = {.type = RAFT_EVENT_SNAPSHOT_ENDED};
    event.snapshot_to = stream->to;
    step(rig, stream->from, event, NULL);
}

// ---- life ---------------------------------------------------------------------------------------
void rig_add(rig_t *rig, raft_id_t id, const raft_config_t *config, bool witness) {
    rig_member_t *m = &rig->members[id];
    assert(id && id < RIG_IDS && !m->exists);
    m->exists = true;
    m->witness = witness;
    if (config) m->flushed.config = *config;
}

// What a shell does with a log and a state machine that do not fit: the snapshot came first.
static void mend_log(rig_member_t *m) {
    const machine_state_t *state = &m->flushed;
    bool fits = state->index == m->base ||
                (state->index <= m->disk.len && m->disk.at[state->index - 1].term == state->term);
    if (fits) return;
    begin_log(&m->disk, state->index);
    m->base = state->index;
    m->base_term = state->term;
}

void rig_start(rig_t *rig, raft_id_t id) {
    rig_member_t *m = &rig->members[id];
    assert(m->exists && !m->alive);
    if (m->hard.term < m->promised.term || (m->hard.term == m->promised.term && m->promised.vote &&
                                            m->hard.vote != m->promised.vote)) {
        rig_fault(rig, "election safety: %llu forgets its term or vote", LLU(id));
        return;
    }
    mend_log(m);
    m->live = m->flushed;
    m->commit_seen = m->live.index;
    m->life++;
    trail_t trail;
    trail_init(&trail, m->base, m->base_term);
    for (size_t i = m->base; i < m->disk.len; i++) trail_append(&trail, m->disk.at[i].term, 1);
    vec_done(&m->log);
    m->log = rig_copy_slots(m->disk.at, m->disk.len);
    raft_options_t options = rig->options;
    options.id = id;
    options.witness = m->witness;
    options.lease_reads &= !m->promises_nothing;
    options.hard = m->hard;
    options.trail = &trail;
    options.config = m->flushed.config;
    options.config_index = m->flushed.config_index;
    for (size_t i = m->flushed.index; i < m->disk.len; i++) {
        if (m->disk.at[i].kind != RAFT_ENTRY_CONFIG) continue;
        options.config_before = options.config;
        options.config = m->disk.at[i].config;
        options.config_index = i + 1;
    }
    options.applied = m->live.index;
    m->raft = raft_new(&options, rig_clock_ms(rig, id), throw_dice(rig));
    m->alive = true;
    trail_done(&trail);
}

void rig_crash(rig_t *rig, raft_id_t id, size_t whole, size_t records) {
    rig_member_t *m = &rig->members[id];
    if (!m->alive) return;
    m->alive = m->disk_held = false;
    raft_destroy(&m->raft);
    for (size_t i = 0; i < m->writes.len; i++) {
        if (i <= whole) make_durable(m, &m->writes.at[i], i < whole ? SIZE_MAX : records);
        vec_done(&m->writes.at[i].entries);
    }
    vec_reset(&m->writes);
    for (size_t i = 0; i < m->waiting.len; i++) rig_free_letter(&m->waiting.at[i]);
    vec_reset(&m->waiting);
}

void rig_init(rig_t *rig) {
    *rig = (rig_t){.options = {.election_timeout_ms = 100, .heartbeat_ms = 20}};
    for (raft_id_t id = 0; id < RIG_IDS; id++) rig->members[id].clock_ppm = 1000000;
}

void rig_done(rig_t *rig) {
    for (raft_id_t id = 1; id < RIG_IDS; id++) {
        rig_member_t *m = &rig->members[id];
        rig_crash(rig, id, 0, 0);
        raft_out_done(&m->out);
        vec_done(&m->disk);
        vec_done(&m->log);
        vec_done(&m->writes);
        vec_done(&m->waiting);
    }
    for (size_t i = 0; i < rig->net.len; i++) rig_free_letter(&rig->net.at[i]);
    for (size_t i = 0; i < rig->seen.len; i++) vec_done(&rig->seen.at[i]);
    vec_done(&rig->seen);
    vec_done(&rig->net);
    vec_done(&rig->streams);
    vec_done(&rig->reads);
    vec_done(&rig->committed);
    vec_done(&rig->committed_in);
    vec_done(&rig->hashes);
    text_done(&rig->trace);
    text_done(&rig->fault);
}
