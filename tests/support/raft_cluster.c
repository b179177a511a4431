// Commands (N, M: members):
//
//     members 1 2 3 4l        who there is; `l`: a learner. First line of a script.
//     log N t t t             terms of N's entries before the start
//     hard N term [vote]      N's hard state before the start
//     start                   all begin
//     timeout N               the clock moves to N's deadline, N gets its tick
//     pass MS                 the clock moves; whoever is due gets its tick
//     deliver [N>M]           messages, until there are none (of that pair: those that are waiting)
//     drop [N>M]              forget waiting messages
//     cut N / heal            N's messages are lost, both ways / nobody's
//     hold N / sync N         N's disk stops syncing / syncs everything and goes on
//     propose N [count]       entries
//     config N 1 2 3l         a configuration as an entry
//     read N                  a linearizable read
//     transfer N M            leader N hands over to M
//     crash N / restart N     what is not synced is gone
//     cut-log N INDEX         entries up to INDEX are cut away (applied)
//     state                   one line per member
#include "tests/support/raft_cluster.h"

#define LLU(x) ((unsigned long long)(x))
enum { MEMBERS = RAFT_MEMBERS_MAX + 1, INDEX_MAX = 4096 };

typedef struct {
    raft_term_t term;
    raft_entry_kind_t kind;
    uint64_t value;
    raft_config_t config;
} slot_t;
typedef VEC(slot_t) slots_t; // entry i at [i - 1]

typedef struct {
    uint64_t number;
    bool has_hard;
    raft_hard_t hard;
    raft_index_t truncate_from;
    slots_t entries;
} pending_write_t;

typedef struct {
    raft_message_t m;
    slots_t entries;
} letter_t;

typedef struct {
    bool exists, alive, cut, disk_held;
    raft_t *raft;
    raft_out_t out;
    raft_hard_t hard;  // durable
    slots_t disk, log; // durable; as the core sees it
    raft_index_t base; // cut away up to here
    raft_term_t base_term;
    VEC(pending_write_t) writes;
    VEC(letter_t) waiting; // for a write
    raft_index_t applied;
} member_t;

typedef struct {
    uint64_t read;
    raft_index_t at_least;
    raft_id_t member;
} open_read_t;

struct raft_cluster {
    int64_t now_ms;
    uint64_t dice, values, read_last;
    member_t members[MEMBERS];
    raft_config_t config;
    VEC(letter_t) net;
    VEC(open_read_t) reads;
    slots_t committed;              // what the cluster has promised, by index
    raft_id_t leader_of[INDEX_MAX]; // by term
    text_t trace;
    text_t fault;
    bool quiet;
    int canary;
    rng_t *rng; // NULL: the dice is a counter
};

static slots_t slots_copy(const slot_t *at, size_t len) {
    slots_t copy = {0};
    for (size_t i = 0; i < len; i++) vec_push(&copy, at[i]);
    return copy;
}

static void fault(raft_cluster_t *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void fault(raft_cluster_t *c, const char *fmt, ...) {
    if (c->fault.len) return;
    va_list args;
    va_start(args, fmt);
    text_addv(&c->fault, fmt, args);
    va_end(args);
}

static void say(raft_cluster_t *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void say(raft_cluster_t *c, const char *fmt, ...) {
    if (c->quiet) return;
    va_list args;
    va_start(args, fmt);
    text_addv(&c->trace, fmt, args);
    va_end(args);
}

static uint64_t throw_dice(raft_cluster_t *c) { return c->rng ? rng_next(c->rng) : c->dice++ * 37; }

// ---- promises -----------------------------------------------------------------------------------
static void check_leader(raft_cluster_t *c, raft_id_t id) {
    raft_t *raft = c->members[id].raft;
    if (raft_role(raft) != RAFT_LEADER) return;
    raft_term_t term = raft_term(raft);
    if (term >= INDEX_MAX) return;
    if (c->leader_of[term] && c->leader_of[term] != id)
        fault(c, "term %llu has two leaders, %llu and %llu", LLU(term), LLU(c->leader_of[term]),
              LLU(id));
    if (c->leader_of[term] == id) return;
    c->leader_of[term] = id;
    // Leader completeness: it has everything that was ever committed.
    member_t *m = &c->members[id];
    for (size_t i = 0; i < c->committed.len; i++) {
        if (i < m->base) continue;
        if (i >= m->log.len || m->log.at[i].term != c->committed.at[i].term ||
            m->log.at[i].value != c->committed.at[i].value)
            fault(c, "leader %llu of term %llu lacks the committed entry %zu", LLU(id), LLU(term),
                  i + 1);
    }
}

static void check_applied(raft_cluster_t *c, raft_id_t id, raft_index_t to) {
    member_t *m = &c->members[id];
    for (raft_index_t i = m->applied + 1; i <= to; i++) {
        const slot_t *slot = &m->log.at[i - 1];
        if (i > m->disk.len || m->disk.at[i - 1].term != slot->term) {
            if (!c->canary)
                fault(c, "%llu applies entry %llu before it is durable", LLU(id), LLU(i));
        }
        if (i <= c->committed.len) {
            const slot_t *known = &c->committed.at[i - 1];
            if (known->term != slot->term || known->value != slot->value)
                fault(c, "%llu applies another entry %llu than was committed", LLU(id), LLU(i));
        } else {
            assert(i == c->committed.len + 1);
            vec_push(&c->committed, *slot);
        }
    }
    m->applied = to;
}

// ---- performing ---------------------------------------------------------------------------------
// `slots`: what the event's entries stand for, one by one; NULL where it has none.
static void step(raft_cluster_t *c, raft_id_t id, raft_event_t event, const slot_t *slots);

static void post(raft_cluster_t *c, letter_t letter) { vec_push(&c->net, letter); }

static void free_letter(letter_t *letter) { vec_done(&letter->entries); }

static void make_durable(member_t *m, pending_write_t *w) {
    if (w->has_hard) m->hard = w->hard;
    if (w->truncate_from && w->truncate_from <= m->disk.len) m->disk.len = w->truncate_from - 1;
    for (size_t i = 0; i < w->entries.len; i++) vec_push(&m->disk, w->entries.at[i]);
    vec_done(&w->entries);
}

static void release(raft_cluster_t *c, member_t *m, uint64_t written) {
    size_t kept = 0;
    for (size_t i = 0; i < m->waiting.len; i++) {
        letter_t letter = m->waiting.at[i];
        if (letter.m.after_write <= written)
            post(c, letter);
        else
            m->waiting.at[kept++] = letter;
    }
    m->waiting.len = kept;
}

static void sync_disk(raft_cluster_t *c, raft_id_t id) {
    member_t *m = &c->members[id];
    while (m->alive && m->writes.len) {
        pending_write_t w = m->writes.at[0];
        vec_remove(&m->writes, 0);
        make_durable(m, &w);
        release(c, m, w.number);
        step(c, id, (raft_event_t){.type = RAFT_EVENT_SYNCED, .write = w.number}, NULL);
    }
}

static void take_write(member_t *m, const slot_t *slots) {
    const raft_out_t *out = &m->out;
    pending_write_t w = {.number = out->write,
                         .has_hard = out->has_hard,
                         .hard = out->hard,
                         .truncate_from = out->truncate_from};
    // The core's view of the log runs ahead of the disk.
    if (out->truncate_from) m->log.len = out->truncate_from - 1;
    for (uint64_t i = 0; i < out->append_len; i++) {
        slot_t slot = {.kind = RAFT_ENTRY_NOOP};
        if (!out->append_noop) slot = slots[out->append_from + i];
        if (out->append_term) slot.term = out->append_term;
        vec_push(&w.entries, slot);
        vec_push(&m->log, slot);
    }
    vec_push(&m->writes, w);
}

static void take_messages(raft_cluster_t *c, member_t *m) {
    for (size_t i = 0; i < m->out.messages.len; i++) {
        letter_t letter = {.m = m->out.messages.at[i]};
        if (letter.m.type == RAFT_APPEND && letter.m.entries_len)
            letter.entries = slots_copy(m->log.at + letter.m.prev_index, letter.m.entries_len);
        bool canary = c->canary && (c->canary == SHELL_VOTE_NOT_SYNCED
                                        ? letter.m.type == RAFT_VOTE_REPLY
                                        : letter.m.type == RAFT_APPEND_REPLY);
        if (letter.m.after_write && !canary)
            vec_push(&m->waiting, letter);
        else
            post(c, letter);
    }
}

static void take_reads(raft_cluster_t *c, member_t *m, raft_id_t id) {
    for (size_t i = 0; i < m->out.reads.len; i++) {
        const raft_read_done_t *done = &m->out.reads.at[i];
        say(c, "  %llu read %llu: %s", LLU(id), LLU(done->read), done->ok ? "ok" : "refused");
        if (done->ok) say(c, " at %llu", LLU(done->index));
        say(c, "\n");
        for (size_t j = 0; j < c->reads.len; j++) {
            if (c->reads.at[j].read != done->read) continue;
            if (done->ok && done->index < c->reads.at[j].at_least)
                fault(c, "read %llu at %llu misses entry %llu, committed before it began",
                      LLU(done->read), LLU(done->index), LLU(c->reads.at[j].at_least));
            vec_swap_remove(&c->reads, j);
            break;
        }
    }
}

static void step(raft_cluster_t *c, raft_id_t id, raft_event_t event, const slot_t *slots) {
    member_t *m = &c->members[id];
    static const char *const roles[] = {"follows", "asks around", "stands", "leads"};
    event.now_ms = c->now_ms;
    event.dice = throw_dice(c);
    raft_step(m->raft, &event, &m->out);
    if (m->out.write) take_write(m, slots);
    if (m->out.refused) say(c, "  %llu refuses: %s\n", LLU(id), err_text(m->out.refused));
    for (size_t i = 0; i < m->out.snapshots.len; i++)
        say(c, "  %llu: %llu needs a snapshot\n", LLU(id), LLU(m->out.snapshots.at[i]));
    if (m->out.role_changed)
        say(c, "  %llu %s in term %llu\n", LLU(id), roles[raft_role(m->raft)],
            LLU(raft_term(m->raft)));
    take_messages(c, m);
    check_leader(c, id);
    if (m->out.apply_to > m->applied) {
        say(c, "  %llu applies %llu..%llu\n", LLU(id), LLU(m->applied + 1), LLU(m->out.apply_to));
        check_applied(c, id, m->out.apply_to);
    }
    take_reads(c, m, id);
}

static void tick(raft_cluster_t *c, raft_id_t id) {
    step(c, id, (raft_event_t){.type = RAFT_EVENT_TICK}, NULL);
}

static void sync_free_disks(raft_cluster_t *c) {
    bool again = true;
    while (again) {
        again = false;
        for (raft_id_t id = 1; id < MEMBERS; id++) {
            member_t *m = &c->members[id];
            if (!m->alive || m->disk_held || m->writes.len == 0) continue;
            sync_disk(c, id);
            again = true;
        }
    }
}

static void hand_over(raft_cluster_t *c, const letter_t *letter) {
    member_t *to = &c->members[letter->m.to], *from = &c->members[letter->m.from];
    bool lost = to->cut || from->cut || !to->alive;
    text_t line = TEXT_HEAP;
    raft_message_t m = letter->m;
    m.after_write = 0;
    if (!c->quiet) raft_message_print(&m, &line);
    say(c, "  %s%s\n", text_str(&line), lost ? " (lost)" : "");
    text_done(&line);
    if (lost) return;
    VEC(raft_entry_t) entries = {0};
    for (size_t i = 0; i < letter->entries.len; i++) {
        const slot_t *slot = &letter->entries.at[i];
        const raft_config_t *config = slot->kind == RAFT_ENTRY_CONFIG ? &slot->config : NULL;
        vec_push(&entries, ((raft_entry_t){slot->term, slot->kind, config}));
    }
    m.entries = entries.at;
    step(c, m.to, (raft_event_t){.type = RAFT_EVENT_MESSAGE, .message = &m}, letter->entries.at);
    vec_done(&entries);
}

static void start_member(raft_cluster_t *c, raft_id_t id) {
    member_t *m = &c->members[id];
    trail_t trail;
    trail_init(&trail, m->base, m->base_term);
    for (size_t i = m->base; i < m->disk.len; i++) trail_append(&trail, m->disk.at[i].term, 1);
    vec_done(&m->log);
    m->log = slots_copy(m->disk.at, m->disk.len);
    raft_options_t options = {.id = id, .election_timeout_ms = 100, .heartbeat_ms = 20};
    options.hard = m->hard;
    options.trail = &trail;
    options.config = c->config;
    for (size_t i = 0; i < m->disk.len; i++) {
        if (m->disk.at[i].kind != RAFT_ENTRY_CONFIG) continue;
        options.config_before = options.config;
        options.config = m->disk.at[i].config;
        options.config_index = i + 1;
    }
    options.applied = m->applied;
    m->raft = raft_new(&options, c->now_ms, throw_dice(c));
    m->alive = true;
    trail_done(&trail);
}

static void crash_member(raft_cluster_t *c, raft_id_t id) {
    member_t *m = &c->members[id];
    if (!m->alive) return;
    m->alive = m->disk_held = false;
    raft_destroy(&m->raft);
    for (size_t i = 0; i < m->writes.len; i++) vec_done(&m->writes.at[i].entries);
    vec_reset(&m->writes);
    for (size_t i = 0; i < m->waiting.len; i++) free_letter(&m->waiting.at[i]);
    vec_reset(&m->waiting);
    // What was applied is flushed up to the cut at least, and comes back from the log.
    m->applied = m->base;
}

static void propose(raft_cluster_t *c, raft_id_t id, size_t count, const raft_config_t *config) {
    VEC(raft_entry_t) entries = {0};
    slots_t slots = {0};
    for (size_t i = 0; i < count; i++) {
        slot_t slot = {.kind = config ? RAFT_ENTRY_CONFIG : RAFT_ENTRY_NORMAL,
                       .value = ++c->values};
        if (config) slot.config = *config;
        vec_push(&slots, slot);
        vec_push(&entries, ((raft_entry_t){0, slot.kind, config}));
    }
    raft_event_t event = {.type = RAFT_EVENT_PROPOSE};
    event.entries = entries.at;
    event.entries_len = count;
    step(c, id, event, slots.at);
    vec_done(&entries);
    vec_done(&slots);
}

static void begin_read(raft_cluster_t *c, raft_id_t id) {
    uint64_t read = ++c->read_last;
    vec_push(&c->reads, ((open_read_t){read, c->committed.len, id}));
    step(c, id, (raft_event_t){.type = RAFT_EVENT_READ, .read = read}, NULL);
}

static void cut_log(raft_cluster_t *c, raft_id_t id, raft_index_t index) {
    member_t *m = &c->members[id];
    m->base_term = m->log.at[index - 1].term;
    m->base = index;
    step(c, id, (raft_event_t){.type = RAFT_EVENT_CUT, .cut_to = index}, NULL);
}

// ---- the script ---------------------------------------------------------------------------------
typedef struct {
    const char *at;
} words_t;

static bool next_word(words_t *w, char *to, size_t size) {
    w->at += strspn(w->at, " ");
    size_t len = strcspn(w->at, " ");
    if (len == 0 || len >= size) return false;
    memcpy(to, w->at, len);
    to[len] = 0;
    w->at += len;
    return true;
}

static uint64_t next_number(words_t *w, uint64_t otherwise) {
    char word[24];
    return next_word(w, word, sizeof word) ? strtoull(word, NULL, 10) : otherwise;
}

static raft_config_t next_config(words_t *w) {
    raft_config_t config = {0};
    char word[24];
    while (next_word(w, word, sizeof word)) {
        char *end;
        raft_id_t id = strtoull(word, &end, 10);
        config.members[config.len++] =
            (raft_member_t){id, *end == 'l' ? RAFT_MEMBER_LEARNER : RAFT_MEMBER_VOTER};
    }
    return config;
}

static void cmd_members(raft_cluster_t *c, words_t *w) {
    c->config = next_config(w);
    for (size_t i = 0; i < c->config.len; i++) c->members[c->config.members[i].id].exists = true;
}
static void cmd_log(raft_cluster_t *c, words_t *w) {
    member_t *m = &c->members[next_number(w, 1)];
    for (raft_term_t term; (term = next_number(w, 0));) {
        // The same term at the same index is the same entry (log matching).
        uint64_t value = 1000000 + term * 1000 + m->disk.len;
        vec_push(&m->disk, ((slot_t){.term = term, .value = value}));
        if (m->hard.term < term) m->hard.term = term;
    }
}
static void cmd_hard(raft_cluster_t *c, words_t *w) {
    member_t *m = &c->members[next_number(w, 1)];
    m->hard.term = next_number(w, 0);
    m->hard.vote = next_number(w, 0);
}
static void cmd_start(raft_cluster_t *c, words_t *w) {
    for (raft_id_t id = 1; id < MEMBERS; id++)
        if (c->members[id].exists) start_member(c, id);
}
static void cmd_timeout(raft_cluster_t *c, words_t *w) {
    raft_id_t id = next_number(w, 1);
    int64_t due = raft_deadline_ms(c->members[id].raft);
    if (due > c->now_ms && due != INT64_MAX) c->now_ms = due;
    tick(c, id);
    sync_free_disks(c);
}
static void cmd_pass(raft_cluster_t *c, words_t *w) {
    c->now_ms += (int64_t)next_number(w, 1);
    for (raft_id_t id = 1; id < MEMBERS; id++)
        if (c->members[id].alive && raft_deadline_ms(c->members[id].raft) <= c->now_ms) tick(c, id);
    sync_free_disks(c);
}
static bool next_pair(words_t *w, raft_id_t *from, raft_id_t *to) {
    char word[24], *end;
    if (!next_word(w, word, sizeof word)) return false;
    *from = strtoull(word, &end, 10);
    *to = strtoull(end + 1, NULL, 10);
    return true;
}
static void deliver(raft_cluster_t *c, words_t *w, bool drop) {
    raft_id_t from = 0, to = 0;
    bool pair = next_pair(w, &from, &to);
    size_t waiting = pair || drop ? c->net.len : SIZE_MAX;
    sync_free_disks(c);
    for (size_t i = 0, seen = 0; i < c->net.len && seen < waiting && !c->fault.len; seen++) {
        letter_t letter = c->net.at[i];
        if (pair && (letter.m.from != from || letter.m.to != to)) {
            i++;
            continue;
        }
        vec_remove(&c->net, i);
        if (!drop) hand_over(c, &letter);
        free_letter(&letter);
        sync_free_disks(c);
    }
}
static void cmd_deliver(raft_cluster_t *c, words_t *w) { deliver(c, w, false); }
static void cmd_drop(raft_cluster_t *c, words_t *w) { deliver(c, w, true); }
static void cmd_cut(raft_cluster_t *c, words_t *w) { c->members[next_number(w, 1)].cut = true; }
static void cmd_heal(raft_cluster_t *c, words_t *w) {
    for (raft_id_t id = 1; id < MEMBERS; id++) c->members[id].cut = false;
}
static void cmd_hold(raft_cluster_t *c, words_t *w) {
    c->members[next_number(w, 1)].disk_held = true;
}
static void cmd_sync(raft_cluster_t *c, words_t *w) {
    c->members[next_number(w, 1)].disk_held = false;
    sync_free_disks(c);
}
static void cmd_propose(raft_cluster_t *c, words_t *w) {
    raft_id_t id = next_number(w, 1);
    propose(c, id, next_number(w, 1), NULL);
    sync_free_disks(c);
}
static void cmd_config(raft_cluster_t *c, words_t *w) {
    raft_id_t id = next_number(w, 1);
    raft_config_t config = next_config(w);
    for (size_t i = 0; i < config.len; i++) {
        member_t *m = &c->members[config.members[i].id];
        if (m->exists) continue;
        m->exists = true;
        start_member(c, config.members[i].id);
    }
    propose(c, id, 1, &config);
    sync_free_disks(c);
}
static void cmd_read(raft_cluster_t *c, words_t *w) { begin_read(c, next_number(w, 1)); }
static void cmd_transfer(raft_cluster_t *c, words_t *w) {
    raft_id_t id = next_number(w, 1);
    step(c, id, (raft_event_t){.type = RAFT_EVENT_TRANSFER, .transfer_to = next_number(w, 1)},
         NULL);
}
static void cmd_crash(raft_cluster_t *c, words_t *w) { crash_member(c, next_number(w, 1)); }
static void cmd_restart(raft_cluster_t *c, words_t *w) { start_member(c, next_number(w, 1)); }
static void cmd_cut_log(raft_cluster_t *c, words_t *w) {
    raft_id_t id = next_number(w, 1);
    cut_log(c, id, next_number(w, 1));
}
static void cmd_state(raft_cluster_t *c, words_t *w) {
    for (raft_id_t id = 1; id < MEMBERS; id++) {
        member_t *m = &c->members[id];
        text_t line = TEXT_HEAP;
        if (m->alive)
            raft_print(m->raft, &line);
        else if (m->exists)
            text_addf(&line, "%llu: down", LLU(id));
        if (line.len) {
            say(c, "  %s terms", line.at);
            for (size_t i = 0; i < m->log.len; i++) say(c, " %llu", LLU(m->log.at[i].term));
            say(c, "\n");
        }
        text_done(&line);
    }
}

static const struct {
    const char *name;
    void (*run)(raft_cluster_t *, words_t *);
} commands[] = {
    {"members", cmd_members},   {"log", cmd_log},         {"hard", cmd_hard},
    {"start", cmd_start},       {"timeout", cmd_timeout}, {"pass", cmd_pass},
    {"deliver", cmd_deliver},   {"drop", cmd_drop},       {"cut", cmd_cut},
    {"heal", cmd_heal},         {"hold", cmd_hold},       {"sync", cmd_sync},
    {"propose", cmd_propose},   {"config", cmd_config},   {"read", cmd_read},
    {"transfer", cmd_transfer}, {"crash", cmd_crash},     {"restart", cmd_restart},
    {"cut-log", cmd_cut_log},   {"state", cmd_state},
};

static void run_command(raft_cluster_t *c, const char *line) {
    words_t words = {line};
    char name[24];
    if (!next_word(&words, name, sizeof name)) return;
    for (size_t i = 0; i < LENGTH_OF(commands); i++) {
        if (!streq(commands[i].name, name)) continue;
        commands[i].run(c, &words);
        if (c->fault.len) say(c, "  BROKEN: %s\n", c->fault.at);
        return;
    }
    say(c, "  no such command\n");
}

char *raft_cluster_run(const char *script) {
    raft_cluster_t *c = raft_cluster_new();
    for (const char *at = script; *at;) {
        size_t len = strcspn(at, "\n");
        char *line = str_dup_n(at, len);
        at += len + (at[len] == '\n');
        bool is_output = has_prefix(line, "  ");
        if (!is_output) say(c, "%s\n", line);
        if (has_prefix(line, "> ")) run_command(c, line + 2);
        free(line);
    }
    char *out = text_steal(&c->trace);
    raft_cluster_destroy(&c);
    return out;
}

// ---- dice ---------------------------------------------------------------------------------------
static raft_id_t some_member(raft_cluster_t *c) { return 1 + rng_below(c->rng, c->config.len); }

static void deliver_one(raft_cluster_t *c, const raft_dice_t *dice) {
    if (c->net.len == 0) return;
    size_t at = rng_chance(c->rng, dice->reorder) ? (size_t)rng_below(c->rng, c->net.len) : 0;
    letter_t letter = c->net.at[at];
    bool again = rng_chance(c->rng, dice->duplication) && c->net.len < 2000;
    if (again) {
        letter_t copy = letter;
        copy.entries = slots_copy(letter.entries.at, letter.entries.len);
        vec_push(&c->net, copy);
    }
    vec_remove(&c->net, at);
    if (!rng_chance(c->rng, dice->loss)) hand_over(c, &letter);
    free_letter(&letter);
}

static void trouble(raft_cluster_t *c, const raft_dice_t *dice) {
    raft_id_t id = some_member(c);
    member_t *m = &c->members[id];
    if (rng_chance(c->rng, dice->crash)) {
        if (m->alive)
            crash_member(c, id);
        else
            start_member(c, id);
    }
    if (rng_chance(c->rng, dice->partition)) m->cut = !m->cut;
    if (m->alive && rng_chance(c->rng, 0.002)) m->disk_held = !m->disk_held;
}

static void act(raft_cluster_t *c, const raft_dice_t *dice) {
    raft_id_t id = some_member(c);
    member_t *m = &c->members[id];
    switch (rng_below(c->rng, 16)) {
    case 0: c->now_ms += rng_between(c->rng, 1, 15); break;
    case 1:
        if (m->alive && raft_deadline_ms(m->raft) <= c->now_ms) tick(c, id);
        break;
    case 2:
        if (m->alive && !m->disk_held) sync_disk(c, id);
        break;
    case 3:
        if (m->alive && raft_role(m->raft) == RAFT_LEADER && m->log.len < INDEX_MAX)
            propose(c, id, 1 + rng_below(c->rng, 3), NULL);
        break;
    case 4:
        if (m->alive && raft_role(m->raft) == RAFT_LEADER) begin_read(c, id);
        break;
    case 5:
        if (m->alive && rng_chance(c->rng, 0.05))
            step(c, id, (raft_event_t){.type = RAFT_EVENT_TRANSFER, .transfer_to = some_member(c)},
                 NULL);
        break;
    case 6: trouble(c, dice); break;
    default: deliver_one(c, dice);
    }
}

bool raft_cluster_play(raft_cluster_t *c, uint64_t seed, const raft_dice_t *dice) {
    rng_t rng;
    rng_init(&rng, seed);
    c->rng = &rng;
    c->quiet = true;
    c->canary = dice->canary;
    for (raft_id_t id = 1; id <= dice->members + dice->learners; id++) {
        c->config.members[c->config.len++] =
            (raft_member_t){id, id <= dice->members ? RAFT_MEMBER_VOTER : RAFT_MEMBER_LEARNER};
        c->members[id].exists = true;
    }
    for (raft_id_t id = 1; id <= c->config.len; id++) start_member(c, id);
    for (size_t i = 0; i < dice->steps && !c->fault.len; i++) act(c, dice);
    c->rng = NULL;
    return c->fault.len == 0;
}

bool raft_cluster_calm(raft_cluster_t *c) {
    for (raft_id_t id = 1; id <= c->config.len; id++) {
        c->members[id].cut = c->members[id].disk_held = false;
        if (!c->members[id].alive) start_member(c, id);
    }
    words_t none = {""};
    size_t before = c->committed.len;
    for (int round = 0; round < 200 && !c->fault.len; round++) {
        c->now_ms += 10;
        for (raft_id_t id = 1; id <= c->config.len; id++)
            if (raft_deadline_ms(c->members[id].raft) <= c->now_ms) tick(c, id);
        deliver(c, &none, false);
        for (raft_id_t id = 1; round == 150 && id <= c->config.len; id++)
            if (raft_role(c->members[id].raft) == RAFT_LEADER) propose(c, id, 1, NULL);
    }
    for (raft_id_t id = 1; id <= c->config.len && !c->fault.len; id++)
        if (c->members[id].applied != c->committed.len || c->committed.len <= before)
            fault(c, "in calm, %llu has applied %llu of %zu", LLU(id), LLU(c->members[id].applied),
                  c->committed.len);
    return c->fault.len == 0;
}

size_t raft_cluster_commits(const raft_cluster_t *c) { return c->committed.len; }
const char *raft_cluster_fault(const raft_cluster_t *c) { return c->fault.at; }

// ---- life ---------------------------------------------------------------------------------------
raft_cluster_t *raft_cluster_new(void) { return NEW(raft_cluster_t); }

void raft_cluster_destroy(raft_cluster_t **cluster) {
    raft_cluster_t *c = x_steal(cluster);
    if (!c) return;
    for (raft_id_t id = 1; id < MEMBERS; id++) {
        member_t *m = &c->members[id];
        crash_member(c, id);
        raft_out_done(&m->out);
        vec_done(&m->disk);
        vec_done(&m->log);
        vec_done(&m->writes);
        vec_done(&m->waiting);
    }
    for (size_t i = 0; i < c->net.len; i++) free_letter(&c->net.at[i]);
    vec_done(&c->net);
    vec_done(&c->reads);
    vec_done(&c->committed);
    text_done(&c->trace);
    text_done(&c->fault);
    free(c);
}
