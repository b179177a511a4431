#include "cli/troupe/simulate.h"
#include "actors/apiserver/apiserver_actor.h"
#include "actors/controllers/controllers_actor.h"
#include "actors/kubelet/kubelet.h"
#include "actors/proxy/proxy_actor.h"
#include "actors/scheduler/scheduler_actor.h"
#include "actors/store/disk_actor.h"
#include "actors/store/store_actor.h"
#include "runtime/actor/informers_actor.h"
#include "runtime/actor/targets.h"
#include "runtime/sim/sim.h"

enum {
    LATENCY_LOW_US = 50,
    LATENCY_HIGH_US = 600,
    NODE_PROCESSES_MAX = 50,   // every process hears of every actor of every other
    TOLERATION_S = 3,          // pods leave a node that is gone within the run
    CALM_MS = 1500,            // it stays as it was wanted
    FRESH_MS = 2000,           // before the first fault
    CUT_WRITES = 200,          // a power cut strikes within so many writes
    LOSS_SHOWS_MS = 10 * 1000, // on a stream, by its pings (runtime/actor/stream.c)
    BACKOFF_MAX_MS = 5000,     // of an actor that was killed often
    RESTART_MS = 1000,         // what a parent waits for before it starts a process that gave up
    SLOW_DISK_US = 30 * 1000,
    SLOW_DISK_DRAINS_MS = 10000, // what was handed to it meanwhile is slow, one after the other
    DISK_LOW_US = 50,
    DISK_HIGH_US = 2000,
    SKEW_MS = 3000,
    SEGMENT_BYTES = 64 << 10,
    FLUSH_EVERY = 11, // writes of the state machine; the rest comes back from the log
    STEP_MS = 20,     // between two looks at whether it is steady
};

static const char *const fault_names[] = {"kill",  "crash",     "pause", "skew",      "disk-slow",
                                          "delay", "partition", "drop",  "duplicate", "reorder"};
const scenario_t scenario_standard = {
    .masters = 1,
    .nodes = 5,
    .pods = 40,
    .proxies = 50,
    .length_ms = 30 * 1000,
    .settle_ms = 60 * 1000,
    .fault_every_ms = 1000,
    .fault_for_ms = 2000,
    .client_every_ms = 150,
    .room_percent = 200,
    .faults = {fault_names, LENGTH_OF(fault_names)},
};

#define FIELD(key, type, member, low, high, help) \
    { key, type, offsetof(scenario_t, member), low, high, help }
const config_field_t scenario_config[] = {
    FIELD("masters", CONFIG_INT, masters, 1, SIMULATE_MASTERS_MAX, "1 or 3"),
    FIELD("nodes", CONFIG_INT, nodes, 1, SIMULATE_NODES_MAX, "simulated nodes"),
    FIELD("pods", CONFIG_INT, pods, 1, SIMULATE_PODS_MAX, "wanted at once, at most"),
    FIELD("proxies", CONFIG_INT, proxies, 0, NODE_PROCESSES_MAX, "of the nodes, at most so many"),
    FIELD("length", CONFIG_DURATION_MS, length_ms, 0, 30ll * 24 * 3600 * 1000, "under faults"),
    FIELD("settle", CONFIG_DURATION_MS, settle_ms, 1000, 3600 * 1000, "to reach what is wanted"),
    FIELD("faultEvery", CONFIG_DURATION_MS, fault_every_ms, 1, 3600 * 1000, "on average"),
    FIELD("faultFor", CONFIG_DURATION_MS, fault_for_ms, 1, 60 * 1000, "at most"),
    FIELD("clientEvery", CONFIG_DURATION_MS, client_every_ms, 1, 60 * 1000, "an operation"),
    FIELD("room", CONFIG_INT, room_percent, 100, 10000, "of all nodes, in % of what is wanted"),
    FIELD("faults", CONFIG_STRINGS, faults, 0, 0, "which faults may strike"),
    {0},
};

static bool is_one_of(const char *name, const char *const *list, size_t len) {
    for (size_t i = 0; i < len; i++)
        if (streq(list[i], name)) return true;
    return false;
}

err_t scenario_check(const scenario_t *s, why_t *why) {
    if (s->masters != 1 && s->masters != SIMULATE_MASTERS_MAX)
        return why_set(why, ERR_INVALID, "masters: 1 or %d", SIMULATE_MASTERS_MAX);
    if (s->nodes < 1 || s->nodes > SIMULATE_NODES_MAX)
        return why_set(why, ERR_INVALID, "nodes: 1 to %d", SIMULATE_NODES_MAX);
    if (s->pods < 1 || s->pods > SIMULATE_PODS_MAX)
        return why_set(why, ERR_INVALID, "pods: 1 to %d", SIMULATE_PODS_MAX);
    for (size_t i = 0; i < s->faults.len; i++)
        if (!is_one_of(s->faults.at[i], fault_names, LENGTH_OF(fault_names)))
            return why_set(why, ERR_INVALID, "faults: %s is no fault of a scenario",
                           s->faults.at[i]);
    return ERR_OK;
}

// ---- the world ----------------------------------------------------------------------------------
static const char *const masters[SIMULATE_MASTERS_MAX] = {"m1", "m2", "m3"};

typedef struct {
    files_t *files;
    kv_t *kv;
    disk_args_t disk;
    store_args_t store;
} member_t;

// A fault that somebody has to end: those of the bus end by themselves.
typedef struct {
    Actor__FaultRule__Kind kind;
    const char *process; // the world's
    int64_t until_ms;
} trouble_t;

typedef struct {
    const scenario_t *scenario;
    sim_t *sim;
    arena_t arena;
    rng_t dice; // of the fault at hand
    member_t members[SIMULATE_MASTERS_MAX];
    apiserver_args_t api;
    kubelet_args_t kubelet, runtime;
    simulate_book_t book;
    simulate_client_args_t client;
    rules_node_t tables[NODE_PROCESSES_MAX]; // of the proxies
    proxy_args_t proxies[NODE_PROCESSES_MAX];
    size_t proxies_len;
    VEC(const char *) processes, actors, ends; // whom faults may hit; ends: patterns of links
    VEC(trouble_t) troubles;
    size_t masters_actors; // they come first among the actors
    size_t faults;
    uint32_t struck[FAULT_KINDS_LEN][CLUSTER_STATES_LEN];
} world_t;

static void power_gone(void *arg) {
    member_t *member = arg;
    files_fake_crash(member->files);
    kv_map_crash(member->kv);
}

static void spawn(world_t *w, const char *process, const actor_def_t *def, const char *name,
                  const void *args) {
    why_t why;
    err_t err = sim_spawn(w->sim, process, process, def, name, args, &why);
    assert(!err);
}

static void add_target(world_t *w, const char *role, const char *name) {
    vec_push(&w->actors, arena_printf(&w->arena, "%s/%s", role, name));
}

static void start_member(world_t *w, size_t i, uint64_t seed) {
    member_t *m = &w->members[i];
    size_t len = (size_t)w->scenario->masters;
    m->files = files_fake_new(seed + i);
    m->kv = kv_map_new();
    kv_map_flush_every(m->kv, FLUSH_EVERY);
    files_fake_set_delay(m->files, DISK_LOW_US, DISK_HIGH_US);
    m->disk = (disk_args_t){.data_dir = "/data",
                            .member = masters[i],
                            .files = m->files,
                            .segment_bytes = SEGMENT_BYTES,
                            .cluster = "simulated"};
    m->store = (store_args_t){.data_dir = "/data", .member = masters[i], .kv = m->kv};
    if (len > 1) m->store.members = (config_strings_t){masters, len};
    spawn(w, masters[i], &disk_actor, masters[i], &m->disk);
    spawn(w, masters[i], &store_actor, masters[i], &m->store);
    sim_on_crash(w->sim, masters[i], power_gone, m);
}

static void start_master(world_t *w, size_t i, uint64_t seed) {
    static const char *const mortals[] = {"disk",      "store",     "apiserver",
                                          "informers", "scheduler", "controllers"};
    const char *name = masters[i];
    start_member(w, i, seed);
    spawn(w, name, &apiserver_actor, name, &w->api);
    spawn(w, name, &informers_actor, name, NULL);
    spawn(w, name, &controllers_actor, name, NULL);
    spawn(w, name, &scheduler_actor, name, NULL);
    vec_push(&w->processes, name);
    vec_push(&w->ends, arena_printf(&w->arena, "*/%s", name));
    for (size_t k = 0; k < LENGTH_OF(mortals); k++) add_target(w, mortals[k], name);
    w->masters_actors = w->actors.len;
}

static const char *name_of_node(const world_t *w, int64_t i) {
    return w->ends.at[w->scenario->masters + i] + strlen("*/");
}

static const char *process_of_node(const world_t *w, int64_t i) {
    return name_of_node(w, i % NODE_PROCESSES_MAX);
}

static void tables_gone(void *arg) { tables_fake_clear(arg); }

static void start_proxy(world_t *w, const char *node) {
    size_t i = w->proxies_len++;
    w->tables[i] = (rules_node_t){node, tables_fake_new()};
    w->proxies[i] = (proxy_args_t)PROXY_ARGS_DEFAULT;
    w->proxies[i].backend = "legacy";
    w->proxies[i].fake = w->tables[i].tables;
    spawn(w, node, &proxy_actor, node, &w->proxies[i]);
    sim_on_crash(w->sim, node, tables_gone, w->tables[i].tables);
    add_target(w, "proxy", node);
}

static void start_node(world_t *w, int64_t i) {
    const char *name = arena_printf(&w->arena, "node-%lld", (long long)i + 1);
    vec_push(&w->ends, arena_printf(&w->arena, "*/%s", name));
    const char *process = process_of_node(w, i);
    spawn(w, process, &runtime_sim_actor, name, &w->runtime); // as containerd, it outlives kubelets
    spawn(w, process, &kubelet_actor, name, &w->kubelet);
    if (i < NODE_PROCESSES_MAX) vec_push(&w->processes, process);
    add_target(w, "kubelet", name);
    if (process == name && i < w->scenario->proxies) start_proxy(w, name);
}

static void plan_nodes(world_t *w) {
    const scenario_t *s = w->scenario;
    w->kubelet = (kubelet_args_t){.simulated = true,
                                  .has_runtime = true,
                                  .pods_max = 1000,
                                  .cpu_milli = s->room_percent * s->pods * SIMULATE_POD_CPU_MILLI /
                                               s->nodes / 100,
                                  .memory_bytes = INT64_C(64) << 30};
    w->runtime = kubelet_args_filled(&w->arena, &w->kubelet, "");
}

static void start_client(world_t *w) {
    const scenario_t *s = w->scenario;
    int64_t deployments = s->pods / 8 + 1;
    if (deployments > SIMULATE_DEPLOYMENTS_MAX) deployments = SIMULATE_DEPLOYMENTS_MAX;
    int64_t replicas = s->pods / deployments;
    w->client = (simulate_client_args_t){.book = &w->book,
                                         .masters = masters,
                                         .masters_len = (size_t)s->masters,
                                         .deployments = deployments,
                                         .replicas_max = replicas ? replicas : 1,
                                         .every_ms = s->client_every_ms,
                                         .proxies = w->tables,
                                         .proxies_len = w->proxies_len};
    spawn(w, "client", &simulate_client_actor, strchr(SIMULATE_CLIENT, '/') + 1, &w->client);
    vec_push(&w->ends, SIMULATE_CLIENT);
}

static void world_open(world_t *w, const scenario_t *scenario, uint64_t seed, FILE *trace) {
    *w = (world_t){.scenario = scenario, .sim = sim_new(seed), .api = apiserver_args_default};
    sim_trace_to(w->sim, trace);
    sim_set_latency(w->sim, LATENCY_LOW_US, LATENCY_HIGH_US);
    w->api.default_toleration_seconds = TOLERATION_S;
    plan_nodes(w);
    for (int64_t i = 0; i < scenario->masters; i++) start_master(w, (size_t)i, seed);
    for (int64_t i = 0; i < scenario->nodes; i++) start_node(w, i);
    start_client(w);
}

static void world_close(world_t *w) {
    sim_destroy(&w->sim);
    for (int64_t i = 0; i < w->scenario->masters; i++) {
        kv_destroy(&w->members[i].kv);
        files_fake_destroy(&w->members[i].files);
    }
    for (size_t i = 0; i < w->proxies_len; i++) tables_fake_destroy(&w->tables[i].tables);
    simulate_book_done(&w->book);
    vec_done(&w->processes);
    vec_done(&w->actors);
    vec_done(&w->ends);
    vec_done(&w->troubles);
    arena_done(&w->arena);
}

// ---- faults -------------------------------------------------------------------------------------
static member_t *member_of(world_t *w, const char *process) {
    for (int64_t i = 0; i < w->scenario->masters; i++)
        if (streq(masters[i], process)) return &w->members[i];
    return NULL;
}

static void end_trouble(world_t *w, const trouble_t *t) {
    member_t *member = member_of(w, t->process);
    switch (t->kind) {
    case ACTOR__FAULT_RULE__KIND__CRASH:
        if (member) files_fake_cut_after(member->files, UINT64_MAX);
        sim_restart_process(w->sim, t->process);
        break;
    case ACTOR__FAULT_RULE__KIND__PAUSE: sim_pause(w->sim, t->process, false); break;
    case ACTOR__FAULT_RULE__KIND__SKEW: sim_skew(w->sim, t->process, 0, 0); break;
    case ACTOR__FAULT_RULE__KIND__DISK_SLOW:
        files_fake_set_delay(member->files, DISK_LOW_US, DISK_HIGH_US);
        break;
    default: assert(!"a fault that ends by itself");
    }
}

// All whose time is over, or (`all`) all there are.
static void end_troubles(world_t *w, bool all) {
    for (size_t i = 0; i < w->troubles.len;) {
        trouble_t t = w->troubles.at[i];
        if (!all && t.until_ms > sim_now_ms(w->sim)) {
            i++;
            continue;
        }
        vec_remove(&w->troubles, i);
        end_trouble(w, &t);
    }
}

static void add_trouble(world_t *w, Actor__FaultRule__Kind kind, const char *process,
                        int64_t for_ms) {
    trouble_t t = {kind, process, sim_now_ms(w->sim) + for_ms};
    vec_push(&w->troubles, t);
}

static bool is_in_trouble(const world_t *w, Actor__FaultRule__Kind kind, const char *process) {
    for (size_t i = 0; i < w->troubles.len; i++)
        if (w->troubles.at[i].kind == kind && streq(w->troubles.at[i].process, process))
            return true;
    return false;
}

static void disturb(world_t *w, const char *process, int64_t for_ms) {
    bool is_node = process && !member_of(w, process);
    checks_disturb(&w->book.checks, is_node, sim_now_ms(w->sim) + for_ms);
}

static void cut_power(world_t *w, const char *process) {
    for (int64_t i = 0; i < w->scenario->nodes; i++)
        if (streq(process_of_node(w, i), process))
            checks_power_cut(&w->book.checks, name_of_node(w, i));
}

static void crash(world_t *w, const char *process, int64_t for_ms) {
    sim_crash_process(w->sim, process);
    cut_power(w, process);
    disturb(w, process, for_ms);
    add_trouble(w, ACTOR__FAULT_RULE__KIND__CRASH, process, for_ms);
}

// What the last step has brought about: power cuts at a write, processes that gave up.
static void crash_what_fell(world_t *w) {
    for (int64_t i = 0; i < w->scenario->masters; i++)
        if (files_fake_is_cut(w->members[i].files) &&
            !is_in_trouble(w, ACTOR__FAULT_RULE__KIND__CRASH, masters[i]))
            crash(w, masters[i], RESTART_MS);
    const char *process;
    while ((process = sim_gave_up(w->sim))) crash(w, process, RESTART_MS);
}

static const char *one_of(world_t *w, const char *const *list, size_t len) {
    return list[rng_below(&w->dice, len)];
}

// There are few masters and many nodes: every third strike is theirs alone.
static const char *one_with_masters_first(world_t *w, const char *const *list, size_t len,
                                          size_t masters_len) {
    return one_of(w, list, rng_chance(&w->dice, 0.3) ? masters_len : len);
}

static void hit_link(world_t *w, Actor__FaultRule__Kind kind, int64_t for_ms) {
    Actor__FaultRule rule = ACTOR__FAULT_RULE__INIT;
    rule.name = arena_printf(&w->arena, "%s-%zu", fault_kind_name(kind), w->faults);
    rule.kind = kind;
    size_t masters_len = (size_t)w->scenario->masters;
    rule.from = one_with_masters_first(w, w->ends.at, w->ends.len, masters_len);
    rule.to = rng_chance(&w->dice, 0.5) ? "*" : one_of(w, w->ends.at, w->ends.len);
    if (kind != ACTOR__FAULT_RULE__KIND__PARTITION)
        rule.probability = rng_chance(&w->dice, 0.5) ? 0.05 : 0.5;
    rule.delay_ms = 20;
    rule.jitter_ms = 200;
    rule.both_ways = rng_chance(&w->dice, 0.5);
    rule.border = true; // inside a process nothing is lost
    rule.forced = true; // our client is no administrator
    rule.for_ms = (uint32_t)for_ms;
    sim_set_fault(w->sim, &rule);
    disturb(w, NULL, for_ms + LOSS_SHOWS_MS);
}

static void hit_process(world_t *w, Actor__FaultRule__Kind kind, int64_t for_ms) {
    const char *process =
        one_with_masters_first(w, w->processes.at, w->processes.len, (size_t)w->scenario->masters);
    if (kind == ACTOR__FAULT_RULE__KIND__DISK_SLOW)
        process = one_of(w, masters, (size_t)w->scenario->masters);
    if (is_in_trouble(w, kind, process)) return;
    member_t *member = member_of(w, process);
    switch (kind) {
    case ACTOR__FAULT_RULE__KIND__CRASH:
        if (!member || rng_chance(&w->dice, 0.5)) return crash(w, process, for_ms);
        files_fake_cut_after(member->files, rng_below(&w->dice, CUT_WRITES));
        return;
    case ACTOR__FAULT_RULE__KIND__PAUSE: sim_pause(w->sim, process, true); break;
    case ACTOR__FAULT_RULE__KIND__SKEW:
        sim_skew(w->sim, process, rng_between(&w->dice, -SKEW_MS, SKEW_MS),
                 (rng_unit(&w->dice) - 0.5) / 5);
        break;
    default: files_fake_set_delay(member->files, SLOW_DISK_US, 10 * SLOW_DISK_US);
    }
    bool is_disk = kind == ACTOR__FAULT_RULE__KIND__DISK_SLOW;
    disturb(w, process, for_ms + (is_disk ? SLOW_DISK_DRAINS_MS : 0));
    add_trouble(w, kind, process, for_ms);
}

static void count_strike(world_t *w, Actor__FaultRule__Kind kind) {
    w->faults++;
    for (cluster_state_t state = 0; state < CLUSTER_STATES_LEN; state++)
        w->struck[kind][state] += (w->book.states & 1u << state) != 0;
}

static void strike(world_t *w, const fault_t *fault) {
    rng_init(&w->dice, fault->dice);
    count_strike(w, fault->kind);
    if (fault->kind <= ACTOR__FAULT_RULE__KIND__PARTITION)
        hit_link(w, fault->kind, fault->for_ms);
    else if (fault->kind == ACTOR__FAULT_RULE__KIND__KILL) {
        sim_kill(w->sim, one_with_masters_first(w, w->actors.at, w->actors.len, w->masters_actors),
                 "simulated");
        disturb(w, NULL, BACKOFF_MAX_MS);
    } else
        hit_process(w, fault->kind, fault->for_ms);
}

// ---- driving ------------------------------------------------------------------------------------
static void advance(world_t *w, int64_t ms) {
    int64_t until_ms = sim_now_ms(w->sim) + ms;
    while (sim_now_ms(w->sim) < until_ms && !simulate_book_broken(&w->book, NULL) &&
           sim_step(w->sim)) {
        crash_what_fell(w);
        end_troubles(w, false);
    }
}

static void stop_faults(world_t *w) {
    sim_clear_faults(w->sim);
    for (int64_t i = 0; i < w->scenario->masters; i++)
        files_fake_cut_after(w->members[i].files, UINT64_MAX);
    crash_what_fell(w);
    end_troubles(w, true);
}

// It becomes as it was wanted, and stays so.
static void settle(world_t *w) {
    int64_t until_ms = sim_now_ms(w->sim) + w->scenario->settle_ms, steady_ms = 0;
    w->book.quiet = true;
    while (steady_ms < CALM_MS && sim_now_ms(w->sim) < until_ms &&
           !simulate_book_broken(&w->book, NULL)) {
        advance(w, STEP_MS);
        steady_ms = w->book.steady ? steady_ms + STEP_MS : 0;
    }
    if (simulate_book_broken(&w->book, NULL)) return; // that is the story
    ledger_wanted(&w->book.ledger, steady_ms >= CALM_MS, w->book.missing);
    ledger_close(&w->book.ledger);
}

void simulate_plan(const scenario_t *s, uint64_t seed, fault_plan_t *ret_plan) {
    fault_odds_t odds = {.kinds = s->faults.at,
                         .kinds_len = s->faults.len,
                         .length_ms = s->length_ms,
                         .every_ms = s->fault_every_ms,
                         .for_ms = s->fault_for_ms};
    fault_plan_draw(&odds, seed, ret_plan);
}

static void run(world_t *w, const fault_plan_t *plan) {
    advance(w, FRESH_MS);
    int64_t begun_ms = sim_now_ms(w->sim);
    for (size_t i = 0; i < plan->faults.len && !simulate_book_broken(&w->book, NULL); i++) {
        const fault_t *fault = &plan->faults.at[i];
        if (fault->at_ms >= plan->length_ms) break;
        advance(w, begun_ms + fault->at_ms - sim_now_ms(w->sim));
        strike(w, fault);
    }
    advance(w, begun_ms + plan->length_ms - sim_now_ms(w->sim));
    stop_faults(w);
    settle(w);
}

void simulate(const scenario_t *scenario, uint64_t seed, const fault_plan_t *plan, FILE *trace,
              verdict_t *ret_verdict) {
    world_t w;
    fault_plan_t all = {0};
    if (!plan) simulate_plan(scenario, seed, &all);
    world_open(&w, scenario, seed, trace);
    int64_t begun_ms = sim_now_ms(w.sim);
    run(&w, plan ? plan : &all);
    *ret_verdict = (verdict_t){.promise = -1,
                               .hash = sim_trace_hash(w.sim),
                               .operations = w.book.operations,
                               .faults = w.faults,
                               .virtual_ms = sim_now_ms(w.sim) - begun_ms,
                               .pods = map_len(&w.book.ledger.nodes_of)};
    const char *broken = simulate_book_broken(&w.book, &ret_verdict->promise);
    snprintf(ret_verdict->broken, sizeof ret_verdict->broken, "%s", or_empty(broken));
    memcpy(ret_verdict->struck, w.struck, sizeof w.struck);
    for (size_t i = 0; i < INVARIANTS_LEN; i++)
        ret_verdict->checked[i] = w.book.ledger.findings[i].checked;
    for (size_t i = 0; i < PROMISES_LEN; i++)
        ret_verdict->promised[i] = w.book.checks.findings[i].checked;
    world_close(&w);
    fault_plan_done(&all);
}
