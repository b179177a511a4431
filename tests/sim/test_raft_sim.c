// Raft cores on virtual time, seeded: loss, duplication, reordering, delay, one-way partitions,
// crashes at write boundaries and torn writes, stuck disks, pauses, clocks that drift, changes of
// members, transfers, cut logs and snapshots, with reads by round or by lease. raft_rig holds every
// step to Raft's promises; at the end the faults stop, and the cluster must go on.
//
//     TROUPE_SIM_FIRST=7 TROUPE_SIM_SEEDS=1000 build/release/tests/test_raft_sim --filter
//     'raft_sim/c*'
//
// A seed that fails prints the line that plays it again; with TROUPE_SIM_TRACE=1 it tells all.
#include "runtime/base/rng.h"
#include "tests/support/leaks.h"
#include "tests/support/raft_rig.h"

#define LLU(x) ((unsigned long long)(x))

enum {
    FIRE_MS = 5000,
    CALM_MS = 3000,
    NET_MAX = 4000, // letters under way; more are lost
    TERM_OF_BUG_SEEDS_MAX = 400,
};

typedef struct {
    shell_canary_t shell;
    raft_canary_t core;
    bool clocks_lie; // more drift than was promised
    bool leases, no_leases;
} bug_t;

// Chances are per millisecond and member, those of the net per message.
typedef struct {
    rig_t rig; // first: the rig's hooks get back to us from it
    rng_t rng;
    bool fire;
    double loss, duplication, late;
    double crash, block, pause, stall;
    bool changes_members, has_witness;
    raft_id_t id_next;
    bool blocked[RIG_IDS][RIG_IDS];
    int64_t stalled_until_ms[RIG_IDS];
    size_t snapshots, changes, refused;
} sim_t;

// ---- the rig's hooks ----------------------------------------------------------------------------
static uint64_t dice(rig_t *rig) { return rng_next(&((sim_t *)rig)->rng); }

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
    m->writes.at[m->writes.len - 1].due_ms = rig->now_ms + rng_between(&sim->rng, 0, 5);
}

// ---- the world, a millisecond at a time ---------------------------------------------------------
static bool is_awake(const sim_t *sim, raft_id_t id) {
    const rig_member_t *m = &sim->rig.members[id];
    return m->alive && m->paused_until_ms <= sim->rig.now_ms;
}

static void crash(sim_t *sim, raft_id_t id) {
    rig_member_t *m = &sim->rig.members[id];
    if (!m->alive) return;
    rig_say(&sim->rig, "%lld: %llu crashes\n", (long long)sim->rig.now_ms, LLU(id));
    rig_crash(&sim->rig, id, rng_below(&sim->rng, m->writes.len + 1), rng_below(&sim->rng, 6));
    m->restart_ms =
        sim->rig.now_ms + rng_between(&sim->rng, 1, rng_chance(&sim->rng, 0.2) ? 900 : 150);
}

static void trouble(sim_t *sim, raft_id_t id) {
    rig_t *rig = &sim->rig;
    rng_t *rng = &sim->rng;
    rig_member_t *m = &rig->members[id];
    if (!m->exists) return;
    if (!m->alive && rig->now_ms >= m->restart_ms) {
        rig_start(rig, id);
        rig_say(rig, "%lld: %llu starts\n", (long long)rig->now_ms, LLU(id));
    }
    if (!sim->fire) return;
    if (rng_chance(rng, sim->crash)) crash(sim, id);
    if (rng_chance(rng, sim->pause)) m->paused_until_ms = rig->now_ms + rng_between(rng, 5, 300);
    if (rng_chance(rng, sim->stall))
        sim->stalled_until_ms[id] = rig->now_ms + rng_between(rng, 10, 600);
    if (!rng_chance(rng, sim->block)) return;
    raft_id_t other = 1 + rng_below(rng, sim->id_next - 1);
    bool now = rng_chance(rng, 0.5), all = rng_chance(rng, 0.3);
    rig_say(rig, "%lld: %llu %s %llu%s\n", (long long)rig->now_ms, LLU(id),
            now ? "is cut from" : "reaches", LLU(other), all ? " and all" : "");
    sim->blocked[id][other] = now;
    for (raft_id_t i = 1; all && i < RIG_IDS; i++) sim->blocked[id][i] = sim->blocked[i][id] = now;
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
        if (!sim->blocked[letter.m.from][to]) rig_hand_over(rig, &letter);
        rig_free_letter(&letter);
        if (sim->fire && rng_chance(&sim->rng, sim->crash / 4)) crash(sim, to);
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
        bool arrives = !sim->blocked[ended.from][ended.to];
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
    if (drop && full >= 5 && wish == 5) remove_member(&config, 0);
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
        if (leads) rig_propose(rig, id, 1 + rng_below(&sim->rng, 3), NULL);
        break;
    case 10 ... 19:
        if (leads) rig_read(rig, id);
        break;
    case 20:
        if (leads && sim->fire && rng_chance(&sim->rng, 0.2))
            rig_transfer(rig, id, 1 + rng_below(&sim->rng, sim->id_next - 1));
        break;
    case 21:
        if (leads && sim->fire && sim->changes_members && rng_chance(&sim->rng, 0.5))
            change_members(sim, id);
        break;
    case 22: rig_flush(rig, id); break;
    case 23:
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
        for (raft_id_t id = 1; id < sim->id_next; id++) trouble(sim, id);
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
    rig->options.lease_reads = bug->leases || (!bug->no_leases && rng_chance(rng, 0.5));
    static const double losses[] = {0, 0.01, 0.1}, crashes[] = {0, 0.0005, 0.003};
    sim->loss = losses[rng_below(rng, 3)];
    sim->duplication = losses[rng_below(rng, 3)];
    sim->late = losses[rng_below(rng, 3)];
    sim->crash = crashes[rng_below(rng, 3)];
    sim->block = crashes[rng_below(rng, 3)] * 2;
    sim->pause = crashes[rng_below(rng, 3)] / 2;
    sim->stall = crashes[rng_below(rng, 3)];
    sim->changes_members = rng_chance(rng, 0.5);
    sim->has_witness = rng_chance(rng, 0.25);
    if (rng_chance(rng, 0.1)) rig->options.witness_entries_max = 20;
    size_t voters = rng_chance(rng, 0.6) ? 3 : 5;
    raft_config_t config = {.len = voters};
    for (size_t i = 0; i < voters; i++) {
        bool witness = sim->has_witness && i + 1 == voters;
        config.members[i] =
            (raft_member_t){i + 1, witness ? RAFT_MEMBER_WITNESS : RAFT_MEMBER_VOTER};
        rig_add(rig, sim->id_next++, &config, witness);
    }
    for (size_t i = 0; i < voters; i++) rig->members[i + 1].flushed.config = config;
    uint64_t spread = bug->clocks_lie ? 600000 : 100000; // of a drift of 10 %
    for (raft_id_t id = 1; id < RIG_IDS; id++) {
        rig->members[id].clock_ppm = 1000000 + (int64_t)rng_below(rng, spread + 1);
        rig->members[id].clock_offset_ms = rng_between(rng, 1, 100000);
    }
}

static void end(sim_t *sim) {
    sim->fire = false;
    rng_t *rng = &sim->rng;
    memset(sim->blocked, 0, sizeof sim->blocked);
    memset(sim->stalled_until_ms, 0, sizeof sim->stalled_until_ms);
    for (raft_id_t id = 1; id < sim->id_next; id++) {
        sim->rig.members[id].paused_until_ms = 0;
        sim->rig.members[id].restart_ms = 0;
    }
    // The loss of any one of the first members is survived. (With changes who counts is not known.)
    if (sim->changes_members || sim->rig.options.witness_entries_max || rng_chance(rng, 0.5))
        return;
    raft_id_t dead = 1 + rng_below(rng, sim->id_next - 1);
    crash(sim, dead);
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
        // What the last moments brought may be under way still.
        if (m->alive && behind > 20)
            rig_fault(rig, "calm: %llu stays %llu entries behind", LLU(config->members[i].id),
                      LLU(behind));
    }
}

typedef struct {
    size_t steps, commits, reads, snapshots, changes, terms;
} tally_t;

// False: a promise was broken.
static bool play(uint64_t seed, const bug_t *bug, bool calm, tally_t *tally, uint64_t *ret_hash) {
    sim_t *sim = NEW(sim_t);
    begin(sim, seed, bug);
    pass(sim, FIRE_MS);
    if (calm && !sim->rig.fault.len) {
        end(sim);
        pass(sim, CALM_MS / 2);
        size_t committed = sim->rig.committed.len;
        pass(sim, CALM_MS / 2);
        if (!sim->rig.fault.len) check_end(sim, committed);
    }
    bool ok = sim->rig.fault.len == 0;
    if (calm && !ok)
        fprintf(stderr,
                "%s\nseed %llu: %s\n  TROUPE_SIM_TRACE=1 TROUPE_SIM_FIRST=%llu TROUPE_SIM_SEEDS=1 "
                "build/release/tests/test_raft_sim --filter 'raft_sim/clusters*'\n",
                text_str(&sim->rig.trace), LLU(seed), sim->rig.fault.at, LLU(seed));
    tally->steps += sim->rig.steps;
    tally->commits += sim->rig.committed.len;
    tally->reads += sim->rig.reads_done;
    tally->snapshots += sim->snapshots;
    tally->changes += sim->changes;
    for (size_t i = 0; i < RIG_TERMS_MAX; i++) tally->terms += sim->rig.leader_of[i] != 0;
    *ret_hash = sim->rig.hash;
    rig_done(&sim->rig);
    free(sim);
    return ok;
}

static uint64_t from_env(const char *name, uint64_t otherwise) {
    const char *value = getenv(name);
    return value ? strtoull(value, NULL, 10) : otherwise;
}

Test(raft_sim, clusters_keep_their_promises_under_fire_and_go_on_after_it)
{
    uint64_t first = from_env("TROUPE_SIM_FIRST", 1), seeds = from_env("TROUPE_SIM_SEEDS", 200);
    uint64_t failed = 0, hash;
    tally_t tally = {0};
    for (uint64_t seed = first; seed < first + seeds; seed++)
        failed += !play(seed, &(bug_t){0}, true, &tally, &hash);
    fprintf(stderr,
            "%llu seeds: %zu steps, %zu terms with a leader, %zu commits, %zu reads, %zu "
            "snapshots, %zu changes\n",
            LLU(seeds), tally.steps, tally.terms, tally.commits, tally.reads, tally.snapshots,
            tally.changes);
    cr_assert_eq(failed, 0);
    ASSERT_NO_LEAKS();
}
