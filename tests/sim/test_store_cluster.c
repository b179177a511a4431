// Three and five members of the store in virtual time, under everything that goes wrong at once:
// power cuts at any write, kills, slow disks, partitions one way and both, loss, duplication,
// reordering, hand-overs. What must hold: tests/support/store_world.h.
//
// TROUPE_SIM_SEEDS: how many seeds; TROUPE_SIM_FIRST: the first one.
#include "runtime/base/canary.h"
#include "runtime/base/log.h"
#include "tests/support/leaks.h"
#include "tests/support/seeds.h"
#include "tests/support/store_world.h"

enum { TROUBLE_MS = 2500, PAUSE_MS = 200, LONG_OUTAGE_MS = 600 };

// ---- trouble ------------------------------------------------------------------------------------
static void set_rule(world_t *w, Actor__FaultRule__Kind kind, const char *name, const char *from,
                     const char *to, double probability, bool both_ways) {
    Actor__FaultRule rule = {.base = PROTOBUF_C_MESSAGE_INIT(&actor__fault_rule__descriptor)};
    rule.kind = kind;
    rule.name = name;
    rule.from = from;
    rule.to = to;
    rule.type = "";
    rule.probability = probability;
    rule.both_ways = both_ways;
    if (kind == ACTOR__FAULT_RULE__KIND__DELAY) rule.delay_ms = 20, rule.jitter_ms = 60;
    sim_set_fault(w->sim, &rule);
}

static void bad_net(world_t *w) {
    rng_t *rng = sim_rng(w->sim);
    size_t one = rng_below(rng, w->members), other = rng_below(rng, w->members);
    switch (rng_below(rng, 7)) {
    case 0:
        set_rule(w, ACTOR__FAULT_RULE__KIND__DROP, "loss", "store/*", "store/*", 0.1, true);
        break;
    case 1:
        set_rule(w, ACTOR__FAULT_RULE__KIND__DUPLICATE, "twice", "store/*", "store/*", 0.2, true);
        break;
    case 2:
        set_rule(w, ACTOR__FAULT_RULE__KIND__REORDER, "order", "store/*", "store/*", 0.2, true);
        break;
    case 3:
        set_rule(w, ACTOR__FAULT_RULE__KIND__PARTITION, "alone", world_stores[one], "store/*", 0,
                 rng_chance(rng, 0.5));
        break;
    case 4:
        set_rule(w, ACTOR__FAULT_RULE__KIND__PARTITION, "pair", world_stores[one],
                 world_stores[other], 0, rng_chance(rng, 0.5));
        break;
    case 5:
        set_rule(w, ACTOR__FAULT_RULE__KIND__DELAY, "late", world_stores[one], "store/*", 0.5,
                 true);
        break;
    case 6:
        set_rule(w, ACTOR__FAULT_RULE__KIND__DROP, "clients", "test/*", "store/*", 0.05, true);
        break;
    }
}

static void hand_over(world_t *w, size_t to) {
    Store__LeaderTransfer body = {.base =
                                      PROTOBUF_C_MESSAGE_INIT(&store__leader_transfer__descriptor)};
    body.member = (char *)world_names[to];
    sim_tell(w->sim, "test/admin", "store", &body.base);
}

static void trouble(world_t *w) {
    rng_t *rng = sim_rng(w->sim);
    size_t i = rng_below(rng, w->members);
    switch (rng_below(rng, 11)) {
    case 0:
    case 1: files_fake_cut_after(w->hosts[i].files, rng_below(rng, 40)); break;
    case 2: world_power_cut(w, i); break;
    case 3: sim_kill(w->sim, world_stores[i], "test"); break;
    case 4: sim_kill(w->sim, world_disks[i], "test"); break;
    case 5: hand_over(w, i); break;
    case 6: sim_clear_faults(w->sim); break;
    // So long that the others cut their logs: it comes back to a snapshot.
    case 7: world_outage(w, i, LONG_OUTAGE_MS); break;
    default: bad_net(w); break;
    }
}

static void play(world_t *w, int64_t length_ms) { world_play(w, length_ms, PAUSE_MS, trouble); }

typedef struct {
    size_t members;
    bool has_witness, lease_reads;
    double drift;
    uint64_t seeds;
    size_t least_acked; // of one seed
} series_t;

static void open_one(world_t *w, const series_t *s, uint64_t seed) {
    world_open(w, seed, s->members, s->has_witness);
    w->drift = s->drift;
    for (size_t i = 0; i < s->members; i++) w->hosts[i].store.lease_reads = s->lease_reads;
}

static void run_seeds(const series_t *s) {
    log_set_level(LOG_LEVEL_ERROR);
    size_t all = 0, snapshots = 0;
    uint64_t first = seed_first(1), seeds = seeds_count(s->seeds);
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        world_t w;
        open_one(&w, s, seed);
        play(&w, TROUBLE_MS);
        all += world_acknowledged(&w);
        for (size_t i = 0; i < s->members; i++) snapshots += world_got_a_snapshot(&w.hosts[i]);
        cr_assert_eq(w.fault[0], 0, "%zu members, seed %llu: %s", s->members,
                     (unsigned long long)seed, w.fault);
        world_close(&w);
    }
    cr_assert_gt(all, s->least_acked * seeds, "only %zu writes were acknowledged", all);
    cr_assert(seeds < 5 || snapshots > 0, "nobody ever lagged behind the cut log");
}

Test(store_cluster, three_members_lose_nothing_and_agree)
{
    run_seeds(&(series_t){.members = 3, .seeds = 9, .least_acked = 50});
    ASSERT_NO_LEAKS();
}

Test(store_cluster, five_members_lose_nothing_and_agree)
{
    run_seeds(&(series_t){.members = 5, .seeds = 4, .least_acked = 50});
    ASSERT_NO_LEAKS();
}

Test(store_cluster, two_members_and_a_witness_lose_nothing_and_agree)
{
    run_seeds(&(series_t){.members = 3, .has_witness = true, .seeds = 6, .least_acked = 20});
    ASSERT_NO_LEAKS();
}

// The faster of two clocks gains at most the 10 % that a lease allows for.
static const double DRIFT_ALLOWED = 0.047;

Test(store_cluster, reads_by_lease_show_all_that_was_acknowledged)
{
    run_seeds(&(series_t){
        .members = 3, .lease_reads = true, .drift = DRIFT_ALLOWED, .seeds = 4, .least_acked = 50});
    ASSERT_NO_LEAKS();
}

Test(store_cluster, the_same_seed_gives_the_same_run)
{
    log_set_level(LOG_LEVEL_ERROR);
    uint64_t hash[2];
    for (int i = 0; i < 2; i++) {
        world_t w;
        world_open(&w, 77, 3, false);
        play(&w, 1000);
        hash[i] = sim_trace_hash(w.sim);
        world_close(&w);
    }
    cr_assert_eq(hash[0], hash[1]);
    ASSERT_NO_LEAKS();
}

// ---- members come and go ------------------------------------------------------------------------
static err_t change(world_t *w, const ProtobufCMessageDescriptor *type, const char *member,
                    why_t *why) {
    Store__MemberAdd body = {.base = PROTOBUF_C_MESSAGE_INIT(type)}; // all have the name alone
    body.member = (char *)member;
    arena_t arena = {0};
    void *reply;
    err_t err = ERR_UNAVAILABLE;
    for (int tries = 0; tries < 100 && (err_is_retryable(err) || err == ERR_CONFLICT); tries++) {
        if (tries) sim_run_for(w->sim, 50);
        err = sim_ask(w->sim, "test/admin", "store", &body.base, 3000, &arena,
                      &store__member_reply__descriptor, &reply, why);
    }
    arena_done(&arena);
    return err;
}

static bool role_is(world_t *w, const char *store, const char *role) {
    Store__StatusRequest body = {.base =
                                     PROTOBUF_C_MESSAGE_INIT(&store__status_request__descriptor)};
    arena_t arena = {0};
    Store__StatusReply *reply;
    why_t why;
    err_t err = sim_ask(w->sim, "test/admin", store, &body.base, 1000, &arena,
                        &store__status_reply__descriptor, (void **)&reply, &why);
    bool is = err == ERR_OK && streq(reply->role, role);
    arena_done(&arena);
    return is;
}

static bool wait_for_role(world_t *w, const char *store, const char *role) {
    for (int tries = 0; tries < 100; tries++) {
        if (role_is(w, store, role)) return true;
        sim_run_for(w->sim, 50);
    }
    return false;
}

// m4 was in no first configuration; it comes with an empty log, gets a snapshot, then a vote.
Test(store_cluster, a_member_is_added_promoted_and_another_removed)
{
    log_set_level(LOG_LEVEL_ERROR);
    world_t w;
    why_t why;
    world_open(&w, 4, 3, false);
    world_fill(&w);
    sim_run_for(w.sim, 1500);
    w.members = 4;
    world_host_open(&w, 3, 4);
    w.hosts[3].store.members.len = 3;
    w.hosts[3].store.join = true;
    world_host_start(&w.hosts[3]);
    sim_run_for(w.sim, 1000); // it waits, and disturbs nobody
    cr_assert_eq(change(&w, &store__member_promote__descriptor, "m4", &why), ERR_NOT_FOUND);
    cr_assert_eq(change(&w, &store__member_add__descriptor, "m4", &why), ERR_OK, "%s", why.text);
    cr_assert_eq(change(&w, &store__member_add__descriptor, "m4", &why), ERR_EXISTS);
    cr_assert_eq(change(&w, &store__member_promote__descriptor, "m4", &why), ERR_OK, "%s",
                 why.text);
    cr_assert(wait_for_role(&w, "store/m4", "voter"));
    cr_assert(world_got_a_snapshot(&w.hosts[3]));
    cr_assert_eq(change(&w, &store__member_remove__descriptor, "m1", &why), ERR_OK, "%s", why.text);
    cr_assert(wait_for_role(&w, "store/m1", "removed"));
    hand_over(&w, 3);
    sim_run_for(w.sim, 1000);
    sim_kill(w.sim, "store/m2", "test");
    sim_run_for(w.sim, 500);
    w.quiet = true;
    cr_assert(sim_run_until(w.sim, world_is_quiet, &w, WORLD_QUIET_MS));
    world_check_history(&w);
    cr_assert_eq(w.fault[0], 0, "%s", w.fault);
    world_close(&w);
    ASSERT_NO_LEAKS();
}

static size_t leader_of(world_t *w) {
    Store__MemberList body = {.base = PROTOBUF_C_MESSAGE_INIT(&store__member_list__descriptor)};
    arena_t arena = {0};
    Store__MemberReply *reply = NULL;
    why_t why;
    size_t found = 0;
    cr_assert_eq(sim_ask(w->sim, "test/admin", "store", &body.base, 3000, &arena,
                         &store__member_reply__descriptor, (void **)&reply, &why),
                 ERR_OK, "%s", why.text);
    while (found < w->members && !streq(world_names[found], reply->leader)) found++;
    arena_done(&arena);
    return found;
}

// People ask whom they reach; an API server is told to look for the leader itself.
Test(store_cluster, an_administrator_may_ask_any_member)
{
    log_set_level(LOG_LEVEL_ERROR);
    world_t w;
    world_open(&w, 11, 3, false);
    world_fill(&w);
    sim_run_for(w.sim, 1000);
    Store__RangeRequest range = {.base =
                                     PROTOBUF_C_MESSAGE_INIT(&store__range_request__descriptor)};
    Store__LeaseQuery leases = {.base = PROTOBUF_C_MESSAGE_INIT(&store__lease_query__descriptor)};
    Store__StatusRequest status = {.base =
                                       PROTOBUF_C_MESSAGE_INIT(&store__status_request__descriptor)};
    range.key = world_data("k");
    range.range_end = world_data("l");
    size_t leader = leader_of(&w);
    arena_t arena = {0};
    why_t why;
    for (size_t i = 0; i < w.members; i++) {
        Store__RangeReply *keys = NULL;
        int64_t least = w.acked;
        cr_assert_eq(sim_ask(w.sim, "admin/a", world_stores[i], &range.base, 1000, &arena,
                             &store__range_reply__descriptor, (void **)&keys, &why),
                     ERR_OK, "%s: %s", world_names[i], why.text);
        cr_assert(keys->revision >= least && keys->n_kvs == WORLD_KEYS);
        void *reply;
        cr_assert_eq(sim_ask(w.sim, "admin/a", world_stores[i], &leases.base, 1000, &arena,
                             &store__lease_reply__descriptor, &reply, &why),
                     ERR_OK, "%s: %s", world_names[i], why.text);
        cr_assert_eq(sim_ask(w.sim, "apiserver/a", world_stores[i], &range.base, 1000, &arena,
                             &store__range_reply__descriptor, &reply, &why),
                     i == leader ? ERR_OK : ERR_NOT_LEADER);
        for (size_t j = 0; j < w.members; j++) {
            Store__StatusReply *of = NULL;
            status.member = world_names[j];
            cr_assert_eq(sim_ask(w.sim, "admin/a", world_stores[i], &status.base, 1000, &arena,
                                 &store__status_reply__descriptor, (void **)&of, &why),
                         ERR_OK, "%s of %s: %s", world_names[i], world_names[j], why.text);
            cr_assert_str_eq(of->member, world_names[j]);
        }
        status.member = "m9";
        cr_assert_eq(sim_ask(w.sim, "admin/a", world_stores[i], &status.base, 1000, &arena,
                             &store__status_reply__descriptor, &reply, &why),
                     ERR_NOT_FOUND);
    }
    arena_done(&arena);
    world_close(&w);
    ASSERT_NO_LEAKS();
}

static bool is_acked(void *arg) { return ((world_t *)arg)->acked > 0; }

// How long until something is acknowledged again.
static int64_t ms_until_acked(world_t *w) {
    int64_t begin = sim_now_ms(w->sim);
    w->acked = 0;
    cr_assert(sim_run_until(w->sim, is_acked, w, 10000));
    return sim_now_ms(w->sim) - begin;
}

// Heartbeats go on while its disk hangs: nobody would miss it, if it did not go by itself.
Test(store_cluster, a_leader_whose_disk_hangs_hands_over)
{
    log_set_level(LOG_LEVEL_ERROR);
    world_t w;
    world_open(&w, 9, 3, false);
    world_fill(&w);
    sim_run_for(w.sim, 1000);
    size_t stuck = leader_of(&w);
    cr_assert_lt(stuck, w.members);
    files_fake_set_delay(w.hosts[stuck].files, 20 * 1000 * 1000, 20 * 1000 * 1000);
    sim_run_for(w.sim, 2500);
    cr_assert_lt(ms_until_acked(&w), 500);
    cr_assert_neq(leader_of(&w), stuck);
    cr_assert_eq(w.fault[0], 0, "%s", w.fault);
    world_close(&w);
    ASSERT_NO_LEAKS();
}

static bool has_mark(const world_host_t *host) {
    file_t *mark = NULL;
    err_t err = files_open(host->files, "/d/" DISK_REJOIN_MARK, FILE_OPEN_READ, &mark, NULL);
    file_close(&mark);
    return err == ERR_OK;
}

// Its folder is lost, and a new one with the mark is in its place. *The member is down.*
static void rebuild(world_t *w, size_t i, uint64_t seed) {
    world_host_t *host = &w->hosts[i];
    file_t *mark = NULL;
    why_t why;
    kv_destroy(&host->kv);
    files_fake_destroy(&host->files);
    world_host_open(w, i, seed);
    cr_assert_eq(files_make_dir(host->files, "/d", &why), ERR_OK);
    cr_assert_eq(files_open(host->files, "/d/" DISK_REJOIN_MARK, FILE_OPEN_CREATE, &mark, &why),
                 ERR_OK);
    file_close(&mark);
    cr_assert_eq(files_sync_dir(host->files, "/d", &why), ERR_OK);
    cr_assert_eq(files_sync_dir(host->files, "/", &why), ERR_OK);
}

// Whatever strikes it and the others meanwhile, it comes back as a voter with everything.
Test(store_cluster, a_member_that_lost_its_folder_is_rebuilt_by_itself)
{
    log_set_level(LOG_LEVEL_ERROR);
    for (uint64_t seed = 1; seed <= 3; seed++) {
        world_t w;
        world_open(&w, seed, 3, false);
        world_fill(&w);
        sim_run_for(w.sim, 1200);
        size_t lost = rng_below(sim_rng(w.sim), w.members);
        sim_crash_process(w.sim, world_processes[lost]);
        rebuild(&w, lost, 100 + seed);
        sim_restart_process(w.sim, world_processes[lost]);
        for (int strikes = 0; strikes < 6; strikes++) {
            world_run(&w, rng_between(sim_rng(w.sim), 50, 500));
            world_power_cut(&w, rng_chance(sim_rng(w.sim), 0.6) ? lost : (lost + 1) % w.members);
        }
        world_calm(&w);
        cr_assert(wait_for_role(&w, world_stores[lost], "voter"), "seed %llu",
                  (unsigned long long)seed);
        for (int tries = 0; tries < 100 && has_mark(&w.hosts[lost]); tries++)
            sim_run_for(w.sim, 50);
        cr_assert(!has_mark(&w.hosts[lost]), "seed %llu", (unsigned long long)seed);
        world_check(&w);
        cr_assert_eq(w.fault[0], 0, "seed %llu: %s", (unsigned long long)seed, w.fault);
        world_close(&w);
    }
    ASSERT_NO_LEAKS();
}

// One has all that was acknowledged, another little, and the third forgot that it had it, too: the
// second and the third are two of three, but must elect nobody.
Test(store_cluster, a_rebuilt_member_elects_nobody_before_it_is_taken_in)
{
    log_set_level(LOG_LEVEL_ERROR);
    world_t w;
    world_open(&w, 12, 3, false);
    world_fill(&w);
    sim_run_for(w.sim, 1000);
    size_t leader = leader_of(&w), behind = (leader + 1) % 3, lost = (leader + 2) % 3;
    set_rule(&w, ACTOR__FAULT_RULE__KIND__PARTITION, "alone", world_stores[behind], "store/*", 0,
             true);
    sim_run_for(w.sim, 500);
    sim_crash_process(w.sim, world_processes[leader]);
    sim_crash_process(w.sim, world_processes[lost]);
    rebuild(&w, lost, 100);
    sim_run_for(w.sim, 100); // the last answers arrive
    sim_clear_faults(w.sim);
    sim_restart_process(w.sim, world_processes[lost]);
    int64_t acked = w.acked;
    sim_run_for(w.sim, 3000);
    cr_assert_eq(w.acked, acked);
    sim_restart_process(w.sim, world_processes[leader]);
    world_calm(&w);
    cr_assert(wait_for_role(&w, world_stores[lost], "voter"));
    world_check(&w);
    cr_assert_eq(w.fault[0], 0, "%s", w.fault);
    world_close(&w);
    ASSERT_NO_LEAKS();
}

static bool has_read_lease(world_t *w, size_t i) {
    Store__StatusRequest body = {.base =
                                     PROTOBUF_C_MESSAGE_INIT(&store__status_request__descriptor)};
    arena_t arena = {0};
    Store__StatusReply *reply = NULL;
    why_t why;
    cr_assert_eq(sim_ask(w->sim, "test/admin", world_stores[i], &body.base, 1000, &arena,
                         &store__status_reply__descriptor, (void **)&reply, &why),
                 ERR_OK, "%s", why.text);
    bool has = reply->read_lease;
    arena_done(&arena);
    return has;
}

// The others elect somebody while clients still ask a leader that nobody hears; its clock is slow,
// theirs are fast.
static bool cut_off_leader_reads_stale(uint64_t seed, double drift) {
    world_t w;
    open_one(&w, &(series_t){.members = 3, .lease_reads = true}, seed);
    world_fill(&w);
    sim_run_for(w.sim, 1000);
    size_t leader = leader_of(&w);
    for (size_t i = 0; i < w.members; i++)
        sim_skew(w.sim, world_processes[i], 0, i == leader ? -drift : drift);
    sim_run_for(w.sim, 500);
    cr_assert(has_read_lease(&w, leader));
    set_rule(&w, ACTOR__FAULT_RULE__KIND__PARTITION, "alone", world_stores[leader], "store/*", 0,
             true);
    sim_run_for(w.sim, 2000);
    cr_assert_neq(leader_of(&w), leader);
    cr_assert(!has_read_lease(&w, leader));
    cr_assert(!w.fault[0] || has_prefix(w.fault, "a read shows revision"), "%s", w.fault);
    bool is_stale = w.fault[0];
    world_close(&w);
    return is_stale;
}

Test(store_cluster, a_leader_that_is_cut_off_reads_no_longer_than_its_lease)
{
    log_set_level(LOG_LEVEL_ERROR);
    for (uint64_t seed = 1; seed <= 3; seed++)
        cr_assert(!cut_off_leader_reads_stale(seed, DRIFT_ALLOWED), "seed %llu",
                  (unsigned long long)seed);
    ASSERT_NO_LEAKS();
}

// Clocks that drift more than was promised are found out: else the test above checks nothing.
Test(store_cluster, canary_a_lease_on_clocks_that_lie_is_caught)
{
    log_set_level(LOG_LEVEL_ERROR);
    bool caught = false;
    for (uint64_t seed = 1; seed <= 8 && !caught; seed++)
        caught = cut_off_leader_reads_stale(seed, 0.7);
    cr_assert(caught);
    ASSERT_NO_LEAKS();
}

// Connections that break tell it before any timeout does.
Test(store_cluster, a_leader_that_dies_is_replaced_at_once)
{
    log_set_level(LOG_LEVEL_ERROR);
    world_t w;
    world_open(&w, 10, 3, false);
    world_fill(&w);
    sim_run_for(w.sim, 1000);
    sim_crash_process(w.sim, world_processes[leader_of(&w)]);
    cr_assert_lt(ms_until_acked(&w), 150);
    world_close(&w);
    ASSERT_NO_LEAKS();
}

// A planted bug must be found: else the checks above check nothing.
Test(store_cluster, canary_answers_before_the_sync_are_caught)
{
    log_set_level(LOG_LEVEL_ERROR);
    bool caught = false;
    if (!canary_plant(CANARY_DISK_ACKS_UNSYNCED)) cr_skip_test("this build has no canaries");
    for (uint64_t seed = 1; seed <= 60 && !caught; seed++) {
        world_t w;
        world_open(&w, seed, 3, false);
        play(&w, TROUBLE_MS);
        caught = w.fault[0];
        world_close(&w);
    }
    cr_assert(caught);
}
