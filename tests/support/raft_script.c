// Commands (N, M: members):
//
//     members 1 2 3 4l 5w     who there is; `l`: a learner, `w`: the witness. First line of a
//     script. option NAME VALUE       of all: lease, disk-stuck MS, witness-entries N log N t t t
//     terms of N's entries before the start hard N term [vote]      N's hard state before the start
//     start                   all begin
//     timeout N               the clock moves to N's deadline, N gets its tick
//     tick N                  N gets a tick now
//     pass MS                 the clock moves; whoever is due gets its tick
//     wait MS                 the clock moves, and nobody gets a tick
//     deliver [N>M]           messages, until there are none (of that pair: those that are waiting)
//     drop [N>M]              forget waiting messages
//     cut N / heal            N's messages are lost, both ways / nobody's
//     hold N / sync N         N's disk stops syncing / syncs everything and goes on
//     propose N [count]       entries
//     config N 1 2 3l         a configuration as an entry
//     read N                  a linearizable read
//     transfer N M            leader N hands over to M
//     crash N / restart N     what is not synced is gone
//     cut-log N INDEX         entries up to INDEX are cut away (applied and flushed)
//     snapshot N>M            the stream arrives, and is installed
//     abort N>M               the stream fails
//     state                   one line per member
#include "tests/support/raft_script.h"
#include "tests/support/raft_rig.h"

#define LLU(x) ((unsigned long long)(x))

static void sync_free_disks(rig_t *rig) {
    bool again = true;
    while (again) {
        again = false;
        for (raft_id_t id = 1; id < RIG_IDS; id++) {
            rig_member_t *m = &rig->members[id];
            while (m->alive && !m->disk_held && m->writes.len) {
                rig_sync(rig, id);
                again = true;
            }
        }
    }
}

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
        raft_member_role_t role = *end == 'l'   ? RAFT_MEMBER_LEARNER
                                  : *end == 'w' ? RAFT_MEMBER_WITNESS
                                                : RAFT_MEMBER_VOTER;
        config.members[config.len++] = (raft_member_t){id, role};
    }
    return config;
}

static void cmd_members(rig_t *rig, words_t *w) {
    raft_config_t config = next_config(w);
    for (size_t i = 0; i < config.len; i++)
        rig_add(rig, config.members[i].id, &config, config.members[i].role == RAFT_MEMBER_WITNESS);
}
static void cmd_option(rig_t *rig, words_t *w) {
    char name[24];
    if (!next_word(w, name, sizeof name)) return;
    uint64_t value = next_number(w, 1);
    if (streq(name, "lease")) rig->options.lease_reads = value;
    if (streq(name, "disk-stuck")) rig->options.disk_stuck_ms = (int64_t)value;
    if (streq(name, "witness-entries")) rig->options.witness_entries_max = value;
}
static void cmd_log(rig_t *rig, words_t *w) {
    rig_member_t *m = &rig->members[next_number(w, 1)];
    for (raft_term_t term; (term = next_number(w, 0));) {
        // The same term at the same index is the same entry (log matching).
        uint64_t value = 1000000 + term * 1000 + m->disk.len;
        vec_push(&m->disk, ((slot_t){.term = term, .value = value}));
        if (m->hard.term < term) m->hard.term = term;
    }
}
static void cmd_hard(rig_t *rig, words_t *w) {
    rig_member_t *m = &rig->members[next_number(w, 1)];
    m->hard.term = next_number(w, 0);
    m->hard.vote = next_number(w, 0);
}
static void cmd_start(rig_t *rig, words_t *w) {
    for (raft_id_t id = 1; id < RIG_IDS; id++)
        if (rig->members[id].exists) rig_start(rig, id);
}
static void cmd_timeout(rig_t *rig, words_t *w) {
    raft_id_t id = next_number(w, 1);
    int64_t due = raft_deadline_ms(rig->members[id].raft);
    if (due > rig->now_ms && due != INT64_MAX) rig->now_ms = due;
    rig_tick(rig, id);
}
static void cmd_tick(rig_t *rig, words_t *w) { rig_tick(rig, next_number(w, 1)); }
static void cmd_pass(rig_t *rig, words_t *w) {
    rig->now_ms += (int64_t)next_number(w, 1);
    for (raft_id_t id = 1; id < RIG_IDS; id++)
        if (rig_is_due(rig, id)) rig_tick(rig, id);
}
static void cmd_wait(rig_t *rig, words_t *w) { rig->now_ms += (int64_t)next_number(w, 1); }
static bool next_pair(words_t *w, raft_id_t *from, raft_id_t *to) {
    char word[24], *end;
    if (!next_word(w, word, sizeof word)) return false;
    *from = strtoull(word, &end, 10);
    *to = strtoull(end + 1, NULL, 10);
    return true;
}
static void deliver(rig_t *rig, words_t *w, bool drop) {
    raft_id_t from = 0, to = 0;
    bool pair = next_pair(w, &from, &to);
    size_t waiting = pair || drop ? rig->net.len : SIZE_MAX;
    for (size_t i = 0, seen = 0; i < rig->net.len && seen < waiting && !rig->fault.len; seen++) {
        letter_t letter = rig->net.at[i];
        if (pair && (letter.m.from != from || letter.m.to != to)) {
            i++;
            continue;
        }
        vec_remove(&rig->net, i);
        if (!drop) rig_hand_over(rig, &letter);
        rig_free_letter(&letter);
        sync_free_disks(rig);
    }
}
static void cmd_deliver(rig_t *rig, words_t *w) { deliver(rig, w, false); }
static void cmd_drop(rig_t *rig, words_t *w) { deliver(rig, w, true); }
static void cmd_cut(rig_t *rig, words_t *w) { rig->members[next_number(w, 1)].cut = true; }
static void cmd_heal(rig_t *rig, words_t *w) {
    for (raft_id_t id = 1; id < RIG_IDS; id++) rig->members[id].cut = false;
}
static void cmd_hold(rig_t *rig, words_t *w) { rig->members[next_number(w, 1)].disk_held = true; }
static void cmd_sync(rig_t *rig, words_t *w) { rig->members[next_number(w, 1)].disk_held = false; }
static void cmd_propose(rig_t *rig, words_t *w) {
    raft_id_t id = next_number(w, 1);
    rig_propose(rig, id, next_number(w, 1), NULL);
}
static void cmd_config(rig_t *rig, words_t *w) {
    raft_id_t id = next_number(w, 1);
    raft_config_t config = next_config(w);
    for (size_t i = 0; i < config.len; i++) {
        const raft_member_t *m = &config.members[i];
        if (rig->members[m->id].exists) continue;
        rig_add(rig, m->id, NULL, m->role == RAFT_MEMBER_WITNESS);
        rig_start(rig, m->id);
    }
    rig_propose(rig, id, 1, &config);
}
static void cmd_read(rig_t *rig, words_t *w) { rig_read(rig, next_number(w, 1)); }
static void cmd_transfer(rig_t *rig, words_t *w) {
    raft_id_t id = next_number(w, 1);
    rig_transfer(rig, id, next_number(w, 1));
}
static void cmd_crash(rig_t *rig, words_t *w) { rig_crash(rig, next_number(w, 1), 0, 0); }
static void cmd_restart(rig_t *rig, words_t *w) { rig_start(rig, next_number(w, 1)); }
static void cmd_cut_log(rig_t *rig, words_t *w) {
    raft_id_t id = next_number(w, 1);
    rig_flush(rig, id);
    rig_cut(rig, id, next_number(w, 1));
}
static void end_stream(rig_t *rig, words_t *w, bool arrived) {
    raft_id_t from, to;
    if (!next_pair(w, &from, &to)) return;
    for (size_t i = 0; i < rig->streams.len; i++) {
        stream_t stream = rig->streams.at[i];
        if (stream.from != from || stream.to != to) continue;
        vec_remove(&rig->streams, i);
        rig_end_stream(rig, &stream, arrived);
        return;
    }
    rig_say(rig, "  no such stream\n");
}
static void cmd_snapshot(rig_t *rig, words_t *w) { end_stream(rig, w, true); }
static void cmd_abort(rig_t *rig, words_t *w) { end_stream(rig, w, false); }
static void cmd_state(rig_t *rig, words_t *w) {
    for (raft_id_t id = 1; id < RIG_IDS; id++) {
        const rig_member_t *m = &rig->members[id];
        text_t line = TEXT_HEAP;
        if (m->alive)
            raft_print(m->raft, &line);
        else if (m->exists)
            text_addf(&line, "%llu: down", LLU(id));
        if (line.len) {
            rig_say(rig, "  %s terms", line.at);
            for (size_t i = m->base; i < m->log.len; i++)
                rig_say(rig, " %llu", LLU(m->log.at[i].term));
            rig_say(rig, "\n");
        }
        text_done(&line);
    }
}

static const struct {
    const char *name;
    void (*run)(rig_t *, words_t *);
} commands[] = {
    {"members", cmd_members},   {"option", cmd_option},     {"log", cmd_log},
    {"hard", cmd_hard},         {"start", cmd_start},       {"timeout", cmd_timeout},
    {"tick", cmd_tick},         {"pass", cmd_pass},         {"wait", cmd_wait},
    {"deliver", cmd_deliver},   {"drop", cmd_drop},         {"cut", cmd_cut},
    {"heal", cmd_heal},         {"hold", cmd_hold},         {"sync", cmd_sync},
    {"propose", cmd_propose},   {"config", cmd_config},     {"read", cmd_read},
    {"transfer", cmd_transfer}, {"crash", cmd_crash},       {"restart", cmd_restart},
    {"cut-log", cmd_cut_log},   {"snapshot", cmd_snapshot}, {"abort", cmd_abort},
    {"state", cmd_state},
};

static void run_command(rig_t *rig, const char *line) {
    words_t words = {line};
    char name[24];
    if (!next_word(&words, name, sizeof name)) return;
    for (size_t i = 0; i < LENGTH_OF(commands); i++) {
        if (!streq(commands[i].name, name)) continue;
        commands[i].run(rig, &words);
        sync_free_disks(rig);
        if (rig->fault.len) rig_say(rig, "  BROKEN: %s\n", rig->fault.at);
        return;
    }
    rig_say(rig, "  no such command\n");
}

char *raft_script_run(const char *script) {
    rig_t *rig = NEW(rig_t);
    rig_init(rig);
    for (const char *at = script; *at;) {
        size_t len = strcspn(at, "\n");
        char *line = str_dup_n(at, len);
        at += len + (at[len] == '\n');
        bool is_output = has_prefix(line, "  ");
        if (!is_output) rig_say(rig, "%s\n", line);
        if (has_prefix(line, "> ")) run_command(rig, line + 2);
        free(line);
    }
    char *out = text_steal(&rig->trace);
    rig_done(rig);
    free(rig);
    return out;
}
