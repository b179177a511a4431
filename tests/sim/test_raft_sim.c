// Raft cores on virtual time, seeded: loss, duplication, reordering, delay, one-way partitions,
// crashes at write boundaries and torn writes, stuck disks, pauses, clocks that drift, changes of
// members, transfers, cut logs and snapshots, with reads by round or by lease. raft_rig holds every
// step to Raft's promises; at the end the faults stop, and the cluster must go on.
//
//     TROUPE_SIM_FIRST=7 TROUPE_SIM_SEEDS=1000 build/release/tests/test_raft_sim --filter '*/clus*'
//
// A seed that fails prints the line that plays it again; with TROUPE_SIM_TRACE=1 it tells all.
#include "runtime/base/rng.h"
#include "tests/support/leaks.h"
#include "tests/support/raft_rig.h"
#include "tests/support/seeds.h"

#define LLU(x) ((unsigned long long)(x))

enum {
    FIRE_MS = 5000,
    CALM_MS = 3000,
    STRIKES = 6,
    NET_MAX = 4000, // letters under way; more are lost
};

// What is broken on purpose.
typedef struct {
    shell_canary_t shell;
    raft_canary_t core;
    bool clocks_lie; // more drift than was promised
    bool leases;     // always, not by the dice
} bug_t;

// Chances are per millisecond and member, those of the net per message.
typedef struct {
    rig_t rig; // first: the rig's hooks get back to us from it
    rng_t rng;
    bool fire;
    double loss, duplication, late;
    double crash;   // after a message, ten times that after a request for a vote
    unsigned kinds; // of strikes: each run has some of them, so that each meets each
    int64_t strike_ms, strikes_apart_ms;
    int64_t sync_ms_max;
    double transfer, busy;
    double regicide; // strikes at leaders that have not committed anything yet
    bool twins;      // all wait nearly the same time before they stand
    bool chops;      // the shell cuts appends into small ones
    bool changes_members;
    bool keeps_logs;
    raft_id_t id_next;
    int64_t blocked_until_ms[RIG_IDS][RIG_IDS];
    int64_t stalled_until_ms[RIG_IDS];
    size_t snapshots, changes, refused;
} sim_t;

static double one_of(rng_t *rng, const double of[static 4]) { return of[rng_below(rng, 4)]; }

// ---- the rig's hooks ----------------------------------------------------------------------------
static uint64_t dice(rig_t *rig) {
    sim_t *sim = (sim_t *)rig;
    return sim->twins && sim->fire ? rng_below(&sim->rng, 6) : rng_next(&sim->rng);
}

static void send_letter(sim_t *sim, letter_t letter) {
    int64_t delay_ms = rng_between(&sim->rng, 1, 4);
    if (sim->fire && rng_chance(&sim->rng, sim->late)) delay_ms = rng_between(&sim->rng, 5, 150);
    letter.due_ms = sim->rig.now_ms + delay_ms;
    vec_push(&sim->rig.net, letter);
}

static void post(rig_t *rig, letter_t letter) {
    sim_t *sim = (sim_t *)rig;
    if (rig->net.len >= NET_MAX || (sim->fire && rng_chance(&sim->rng, sim->loss))) {
        rig_free_letter(&letter);
        return;
    }
    if (sim->chops && letter.entries.len)
        letter.m.entries_len = letter.entries.len = 1 + rng_below(&sim->rng, letter.entries.len);
    if (sim->fire && rng_chance(&sim->rng, sim->duplication)) {
        letter_t again = letter;
        again.entries = rig_copy_slots(letter.entries.at, letter.entries.len);
        send_letter(sim, again);
    }
    send_letter(sim, letter);
}

static void wrote(rig_t *rig, raft_id_t id) {
    sim_t *sim = (sim_t *)rig;
    rig_member_t *m = &rig->members[id];
    m->writes.at[m->writes.len - 1].due_ms =
        rig->now_ms + rng_between(&sim->rng, 0, sim->sync_ms_max);
}

// ---- the world, a millisecond at a time ---------------------------------------------------------
static bool is_awake(const sim_t *sim, raft_id_t id) {
    const rig_member_t *m = &sim->rig.members[id];
    return m->alive && m->paused_until_ms <= sim->rig.now_ms;
}

static void crash(sim_t *sim, raft_id_t id, int64_t down_ms_max) {
    rig_member_t *m = &sim->rig.members[id];
    if (!m->alive) return;
    rig_say(&sim->rig, "%lld: %llu crashes\n", (long long)sim->rig.now_ms, LLU(id));
    size_t whole = rng_chance(&sim->rng, 0.5) ? 0 : rng_below(&sim->rng, m->writes.len + 1);
    rig_crash(&sim->rig, id, whole, rng_chance(&sim->rng, 0.5) ? 0 : rng_below(&sim->rng, 6));
    m->restart_ms = sim->rig.now_ms + rng_between(&sim->rng, 1, down_ms_max);
}

// One way or both, of a link or of all of a member's.
static void block(sim_t *sim, raft_id_t id, bool link) {
    rng_t *rng = &sim->rng;
    int64_t until_ms = sim->rig.now_ms + rng_between(rng, 20, link ? 1500 : 500);
    uint64_t way = rng_below(rng, 3);
    raft_id_t other = 1 + rng_below(rng, sim->id_next - 1);
    rig_say(&sim->rig, "%lld: %llu is cut off\n", (long long)sim->rig.now_ms, LLU(id));
    for (raft_id_t i = 1; i < RIG_IDS; i++) {
        if (link && i != other) continue;
        if (way != 1) sim->blocked_until_ms[id][i] = until_ms;
        if (way != 2) sim->blocked_until_ms[i][id] = until_ms;
    }
}

static bool is_blocked(const sim_t *sim, raft_id_t from, raft_id_t to) {
    return sim->blocked_until_ms[from][to] > sim->rig.now_ms;
}

// Somebody, half the time a leader: leaders are where the promises are made.
static raft_id_t victim(sim_t *sim) {
    raft_id_t id = 1 + rng_below(&sim->rng, sim->id_next - 1);
    if (rng_chance(&sim->rng, 0.5)) return id;
    for (raft_id_t i = 1; i < sim->id_next; i++)
        if (sim->rig.members[i].alive && raft_role(sim->rig.members[i].raft) == RAFT_LEADER) id = i;
    return id;
}

static void strike(sim_t *sim, raft_id_t id) {
    rig_member_t *m = &sim->rig.members[id];
    int64_t now_ms = sim->rig.now_ms;
    int kind;
    do kind = (int)rng_below(&sim->rng, STRIKES);
    while (!(sim->kinds >> kind & 1));
    switch (kind) {
    case 0: crash(sim, id, 10); break;
    case 1: crash(sim, id, 600); break;
    case 2: block(sim, id, false); break;
    case 3: block(sim, id, true); break;
    case 4: m->paused_until_ms = now_ms + rng_between(&sim->rng, 5, 400); break;
    case 5: sim->stalled_until_ms[id] = now_ms + rng_between(&sim->rng, 10, 600); break;
    default: assert(false);
    }
}

// Now and then; and in some runs whoever has just been elected.
static void trouble(sim_t *sim) {
    rig_t *rig = &sim->rig;
    if (rig->now_ms >= sim->strike_ms) {
        sim->strike_ms = rig->now_ms + rng_between(&sim->rng, 1, sim->strikes_apart_ms);
        strike(sim, victim(sim));
    }
    for (raft_id_t id = 1; sim->regicide > 0 && id < sim->id_next; id++) {
        const rig_member_t *m = &rig->members[id];
        if (!m->alive || raft_role(m->raft) != RAFT_LEADER || raft_is_settled(m->raft)) continue;
        if (rng_chance(&sim->rng, sim->regicide)) strike(sim, id);
    }
}

static void start_again(sim_t *sim) {
    rig_t *rig = &sim->rig;
    for (raft_id_t id = 1; id < sim->id_next && !rig->fault.len; id++) {
        const rig_member_t *m = &rig->members[id];
        if (m->alive || rig->now_ms < m->restart_ms) continue;
        rig_start(rig, id);
        rig_say(rig, "%lld: %llu starts\n", (long long)rig->now_ms, LLU(id));
    }
}

static void deliver(sim_t *sim) {
    rig_t *rig = &sim->rig;
    for (size_t i = 0; i < rig->net.len && !rig->fault.len;) {
        letter_t letter = rig->net.at[i];
        raft_id_t to = letter.m.to;
        if (letter.due_ms > rig->now_ms || (rig->members[to].alive && !is_awake(sim, to))) {
            i++;
            continue;
        }
        vec_swap_remove(&rig->net, i);
        if (!is_blocked(sim, letter.m.from, to)) rig_hand_over(rig, &letter);
        rig_free_letter(&letter);
        if (sim->fire &&
            rng_chance(&sim->rng, letter.m.type == RAFT_VOTE ? sim->crash * 10 : sim->crash))
            crash(sim, to, 10);
    }
}

static void sync_disk(sim_t *sim, raft_id_t id) {
    rig_member_t *m = &sim->rig.members[id];
    while (is_awake(sim, id) && m->writes.len && m->writes.at[0].due_ms <= sim->rig.now_ms &&
           sim->stalled_until_ms[id] <= sim->rig.now_ms && !sim->rig.fault.len)
        rig_sync(&sim->rig, id);
}

static void stream(sim_t *sim) {
    rig_t *rig = &sim->rig;
    for (size_t i = 0; i < rig->streams.len && !rig->fault.len;) {
        stream_t *s = &rig->streams.at[i];
        if (s->due_ms < 0) s->due_ms = rig->now_ms + rng_between(&sim->rng, 5, 250);
        if (s->due_ms > rig->now_ms || (rig->members[s->to].alive && !is_awake(sim, s->to))) {
            i++;
            continue;
        }
        stream_t ended = *s;
        vec_swap_remove(&rig->streams, i);
        bool arrives = !is_blocked(sim, ended.from, ended.to);
        if (sim->fire && rng_chance(&sim->rng, 0.2)) arrives = false;
        sim->snapshots += arrives;
        rig_end_stream(rig, &ended, arrives);
    }
}

// ---- what people do -----------------------------------------------------------------------------
static void remove_member(raft_config_t *config, size_t at) {
    for (size_t i = at; i + 1 < config->len; i++) config->members[i] = config->members[i + 1];
    config->len--;
}

// A random wish; the core refuses what must not be.
static void change_members(sim_t *sim, raft_id_t leader) {
    rig_t *rig = &sim->rig;
    raft_config_t config = *raft_config(rig->members[leader].raft);
    size_t full = 0, learner = config.len;
    for (size_t i = 0; i < config.len; i++) {
        full += config.members[i].role == RAFT_MEMBER_VOTER;
        if (config.members[i].role == RAFT_MEMBER_LEARNER) learner = i;
    }
    uint64_t wish = rng_below(&sim->rng, 8);
    bool drop = full >= 4 || (full == 3 && wish == 7);
    if (learner < config.len && wish < 5)
        config.members[learner].role = RAFT_MEMBER_VOTER;
    else if (learner == config.len && sim->id_next < RIG_IDS && config.len < 7) {
        config.members[config.len++] = (raft_member_t){sim->id_next, RAFT_MEMBER_LEARNER};
        rig_add(rig, sim->id_next, NULL, false);
        rig_start(rig, sim->id_next++);
    }
    if (drop && wish >= 4) {
        size_t at = rng_below(&sim->rng, config.len);
        if (config.members[at].role == RAFT_MEMBER_VOTER) remove_member(&config, at);
    }
    if (drop && config.len > 2 && wish >= 5) remove_member(&config, rng_below(&sim->rng, 2));
    rig_propose(rig, leader, 1, &config);
    sim->refused += rig->members[leader].out.refused != ERR_OK;
    sim->changes += rig->members[leader].out.refused == ERR_OK;
}

static void act(sim_t *sim, raft_id_t id) {
    rig_t *rig = &sim->rig;
    rig_member_t *m = &rig->members[id];
    if (!is_awake(sim, id)) return;
    bool leads = raft_role(m->raft) == RAFT_LEADER;
    switch (rng_below(&sim->rng, 100)) {
    case 0 ... 9:
        if (leads && rng_chance(&sim->rng, sim->busy))
            rig_propose(rig, id, 1 + rng_below(&sim->rng, 3), NULL);
        break;
    case 10 ... 19:
        if (leads) rig_read(rig, id);
        break;
    case 20:
        if (leads && sim->fire && rng_chance(&sim->rng, sim->transfer))
            rig_transfer(rig, id, 1 + rng_below(&sim->rng, sim->id_next - 1));
        break;
    case 21:
        if (leads && sim->fire && sim->changes_members && rng_chance(&sim->rng, 0.5))
            change_members(sim, id);
        break;
    case 22: rig_flush(rig, id); break;
    case 23:
        if (sim->keeps_logs) break;
        if (rng_chance(&sim->rng, 0.3)) rig_cut(rig, id, m->live.index);
        if (m->witness) rig_cut(rig, id, raft_cut_limit(m->raft));
        break;
    default: break;
    }
}

static void pass(sim_t *sim, int64_t ms) {
    rig_t *rig = &sim->rig;
    for (int64_t until = rig->now_ms + ms; rig->now_ms < until && !rig->fault.len;) {
        rig->now_ms++;
        start_again(sim);
        if (sim->fire) trouble(sim);
        deliver(sim);
        stream(sim);
        for (raft_id_t id = 1; id < sim->id_next && !rig->fault.len; id++) {
            if (is_awake(sim, id) && rig_is_due(rig, id)) rig_tick(rig, id);
            sync_disk(sim, id);
            if (!rig->fault.len) act(sim, id);
        }
    }
}

// ---- a run --------------------------------------------------------------------------------------
static void draw_faults(sim_t *sim) {
    static const double rates[] = {0, 0, 0.01, 0.1};
    rng_t *rng = &sim->rng;
    sim->loss = one_of(rng, rates);
    sim->duplication = one_of(rng, rates);
    sim->late = one_of(rng, rates);
    sim->crash = one_of(rng, (const double[]){0, 0, 0.001, 0.01});
    sim->kinds = 1 + (unsigned)rng_below(rng, (1 << STRIKES) - 1);
    sim->strikes_apart_ms = (int64_t)one_of(rng, (const double[]){100, 250, 500, 1000});
    sim->transfer = one_of(rng, (const double[]){0, 0.05, 0.2, 1});
    // Where little is written those who lag are soon candidates again.
    sim->busy = one_of(rng, (const double[]){0.01, 0.05, 0.3, 1});
    sim->sync_ms_max = rng_chance(rng, 0.3) ? 40 : 5;
    sim->regicide = one_of(rng, (const double[]){0, 0, 0.1, 0.3});
    sim->twins = rng_chance(rng, 0.3);
    sim->chops = rng_chance(rng, 0.3);
    sim->changes_members = rng_chance(rng, 0.5);
}

static void begin(sim_t *sim, uint64_t seed, const bug_t *bug) {
    *sim = (sim_t){.fire = true, .id_next = 1};
    rig_t *rig = &sim->rig;
    rng_t *rng = &sim->rng;
    rng_init(rng, seed);
    rig_init(rig);
    rig->quiet = !getenv("TROUPE_SIM_TRACE");
    rig->dice = dice;
    rig->post = post;
    rig->wrote = wrote;
    rig->canary = bug->shell;
    rig->options.canary = bug->core;
    rig->options.disk_stuck_ms = 150;
    rig->options.lease_reads = bug->leases || rng_chance(rng, 0.5);
    draw_faults(sim);
    if (rng_chance(rng, 0.1)) rig->options.witness_entries_max = 20;
    size_t voters = rng_chance(rng, 0.6) ? 3 : 5;
    bool has_witness = rng_chance(rng, 0.25);
    raft_config_t config = {.len = voters};
    for (size_t i = 0; i < voters; i++) {
        bool witness = has_witness && i + 1 == voters;
        config.members[i] =
            (raft_member_t){i + 1, witness ? RAFT_MEMBER_WITNESS : RAFT_MEMBER_VOTER};
        rig_add(rig, sim->id_next++, &config, witness);
    }
    for (size_t i = 0; i < voters; i++) rig->members[i + 1].flushed.config = config;
    uint64_t spread = bug->clocks_lie ? 4000000 : 100000; // of a drift of 10 %
    for (raft_id_t id = 1; id < RIG_IDS; id++) {
        rig->members[id].clock_ppm = 1000000 + (int64_t)rng_below(rng, spread + 1);
        rig->members[id].clock_offset_ms = rng_between(rng, 1, 100000);
        rig->members[id].promises_nothing =
            !bug->leases && rig->members[id].clock_offset_ms % 5 == 0;
    }
}

static void end(sim_t *sim) {
    sim->fire = false;
    sim->busy = 1;
    sim->sync_ms_max = 5;
    rng_t *rng = &sim->rng;
    memset(sim->blocked_until_ms, 0, sizeof sim->blocked_until_ms);
    memset(sim->stalled_until_ms, 0, sizeof sim->stalled_until_ms);
    for (raft_id_t id = 1; id < sim->id_next; id++) {
        sim->rig.members[id].paused_until_ms = 0;
        sim->rig.members[id].restart_ms = 0;
    }
    // The loss of any one of the first members is survived. (With changes who counts is not known.)
    if (sim->changes_members || sim->rig.options.witness_entries_max || rng_chance(rng, 0.5))
        return;
    raft_id_t dead = 1 + rng_below(rng, sim->id_next - 1);
    crash(sim, dead, 1);
    sim->rig.members[dead].restart_ms = INT64_MAX;
}

static void check_end(sim_t *sim, size_t committed_before) {
    rig_t *rig = &sim->rig;
    raft_id_t leader = 0;
    for (raft_id_t id = 1; id < sim->id_next; id++)
        if (rig->members[id].alive && raft_is_settled(rig->members[id].raft)) leader = id;
    if (leader == 0) {
        rig_fault(rig, "calm: nobody leads");
        return;
    }
    if (rig->committed.len <= committed_before)
        rig_fault(rig, "calm: nothing is committed any more");
    const raft_config_t *config = raft_config(rig->members[leader].raft);
    for (size_t i = 0; i < config->len; i++) {
        const rig_member_t *m = &rig->members[config->members[i].id];
        raft_index_t behind = rig->committed.len - (m->alive ? raft_commit(m->raft) : 0);
        // What the last moments brought may be under way still. A witness at its limit lags.
        if (m->alive && behind > 20 && !(m->witness && rig->options.witness_entries_max))
            rig_fault(rig, "calm: %llu stays %llu entries behind", LLU(config->members[i].id),
                      LLU(behind));
    }
}

typedef struct {
    size_t steps, commits, reads, snapshots, changes, terms;
    uint64_t hash; // of the last run
} tally_t;

static void count(tally_t *tally, const sim_t *sim) {
    tally->steps += sim->rig.steps;
    tally->commits += sim->rig.committed.len;
    tally->reads += sim->rig.reads_done;
    tally->snapshots += sim->snapshots;
    tally->changes += sim->changes;
    for (size_t i = 0; i < RIG_TERMS_MAX; i++) tally->terms += sim->rig.leader_of[i] != 0;
    tally->hash = sim->rig.hash;
}

// The promise that was broken (*returned*); NULL: all were kept.
static char *play(uint64_t seed, const bug_t *bug, tally_t *tally) {
    static const bug_t none;
    sim_t *sim = NEW(sim_t);
    begin(sim, seed, bug ? bug : &none);
    pass(sim, FIRE_MS);
    if (!bug && !sim->rig.fault.len) {
        end(sim);
        pass(sim, CALM_MS / 2);
        size_t committed = sim->rig.committed.len;
        sim->keeps_logs = true; // so that nobody is in the middle of a snapshot at the end
        pass(sim, CALM_MS / 2);
        if (!sim->rig.fault.len) check_end(sim, committed);
    }
    if (sim->rig.trace.len) fprintf(stderr, "%s\n", sim->rig.trace.at);
    count(tally, sim);
    char *fault = sim->rig.fault.len ? text_steal(&sim->rig.fault) : NULL;
    rig_done(&sim->rig);
    free(sim);
    return fault;
}

Test(raft_sim, clusters_keep_their_promises_under_fire_and_go_on_after_it)
{
    uint64_t first = seed_first(1), seeds = seeds_count(300);
    size_t failed = 0;
    tally_t tally = {0};
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        CLEANUP(free_charp) char *fault = play(seed, NULL, &tally);
        if (!fault) continue;
        failed++;
        fprintf(
            stderr,
            "seed %llu: %s\n  again: TROUPE_SIM_TRACE=1 TROUPE_SIM_FIRST=%llu TROUPE_SIM_SEEDS=1 "
            "build/release/tests/test_raft_sim --filter 'raft_sim/clusters*'\n",
            LLU(seed), fault, LLU(seed));
    }
    fprintf(
        stderr,
        "%llu seeds: %zu steps, %zu terms with a leader, %zu commits, %zu reads, %zu snapshots, "
        "%zu changes of members\n",
        LLU(seeds), tally.steps, tally.terms, tally.commits, tally.reads, tally.snapshots,
        tally.changes);
    cr_assert_eq(failed, 0);
    ASSERT_NO_LEAKS();
}

Test(raft_sim, a_seed_is_a_run)
{
    static const bug_t none;
    tally_t once = {0}, again = {0}, other = {0};
    free(play(3, &none, &once));
    free(play(3, &none, &again));
    free(play(4, &none, &other));
    cr_assert_eq(once.hash, again.hash);
    cr_assert_neq(once.hash, other.hash);
    ASSERT_NO_LEAKS();
}

// ---- planted bugs -------------------------------------------------------------------------------
// Each must be seen within so many seeds: else the run above proves nothing.
static void must_be_caught(bug_t bug, uint64_t seeds_max) {
    tally_t tally = {0};
    for (uint64_t seed = 1; seed <= seeds_max; seed++) {
        CLEANUP(free_charp) char *fault = play(seed, &bug, &tally);
        if (!fault) continue;
        fprintf(stderr, "caught by seed %llu: %s\n", LLU(seed), fault);
        return;
    }
    cr_assert(false, "not caught within %llu seeds", LLU(seeds_max));
}

#define CANARY(name, seeds_max, ...)                     \
    Test(raft_sim, canary_##name)                        \
    {                                                    \
        must_be_caught((bug_t){__VA_ARGS__}, seeds_max); \
        ASSERT_NO_LEAKS();                               \
    }
CANARY(a_vote_told_before_it_is_durable, 300, .shell = SHELL_VOTE_NOT_SYNCED)
CANARY(an_entry_acknowledged_before_its_sync, 20, .shell = SHELL_APPEND_NOT_SYNCED)
CANARY(term_and_vote_taken_from_a_snapshot, 200, .shell = SHELL_SNAPSHOT_HAS_TERM)
CANARY(applied_beyond_durable, 20, .shell = SHELL_APPLIES_BEYOND_DURABLE)
CANARY(an_old_terms_entry_committed_by_counting, 500, .core = RAFT_CANARY_OLD_TERM_COMMIT)
CANARY(a_learner_counted_in_the_quorum, 50, .core = RAFT_CANARY_LEARNER_COUNTS)
CANARY(two_voters_changed_at_once, 50, .core = RAFT_CANARY_TWO_VOTERS)
CANARY(a_read_without_a_round, 50, .core = RAFT_CANARY_READ_WITHOUT_ROUND)
CANARY(a_vote_during_a_lease, 100, .core = RAFT_CANARY_VOTE_DURING_LEASE, .leases = true)
CANARY(a_lease_kept_while_handing_over, 150, .core = RAFT_CANARY_LEASE_AFTER_TRANSFER,
       .leases = true)
CANARY(clocks_that_drift_more_than_was_promised, 300, .clocks_lie = true, .leases = true)
