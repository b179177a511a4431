// The API server on the real store, both killed and crashed at random: what was answered stays,
// what was not may be asked again, a watch sees each change once and in order.
#include "tests/support/api_rig.h"
#include "tests/support/leaks.h"
#include "tests/support/seeds.h"

enum { SEEDS = 12, WRITES = 60 };

static void hurt_somebody(api_rig_t *rig) {
    switch (rng_below(sim_rng(rig->sim), 5)) {
    case 0: sim_kill(rig->sim, "apiserver/m1", "chaos"); break;
    case 1: sim_kill(rig->sim, "store/m1", "chaos"); break;
    case 2:
        sim_crash_process(rig->sim, "store");
        sim_run_for(rig->sim, 30);
        sim_restart_process(rig->sim, "store");
        break;
    case 3:
        sim_crash_process(rig->sim, "api");
        sim_run_for(rig->sim, 30);
        sim_restart_process(rig->sim, "api");
        break;
    default: break;
    }
}

// Asks until it is answered. What was not answered may have happened: then it exists.
static void create_surely(api_rig_t *rig, int i) {
    const char *text =
        arena_printf(&rig->arena, "{kind: ConfigMap, apiVersion: v1, metadata: {name: c%02d}}", i);
    const char *says = "";
    for (int tries = 0; tries < 20; tries++) {
        says = rig_create(rig, text);
        if (!rig->err || rig->err == ERR_EXISTS) return;
        sim_run_for(rig->sim, 100);
    }
    cr_assert_fail("write %d is never answered: %s", i, says);
}

Test(apiserver_store, nothing_answered_is_lost_and_watches_see_everything_once)
{
    for (uint64_t seed = seed_first(1), left = seeds_count(SEEDS); left--; seed++) {
        api_rig_t *rig = rig_new_on_real_store(seed);
        sim_set_latency(rig->sim, 50, 1500);
        rig_watch_t watch = {"v1", "ConfigMap", .resumes = true};
        rig_watcher_t *w = rig_watch(rig, "w", &watch);
        rig_run(rig, 100);
        rig_seen(w);
        text_t want = TEXT_HEAP, names = TEXT_HEAP;
        for (int i = 0; i < WRITES; i++) {
            if (rng_chance(sim_rng(rig->sim), 0.3)) hurt_somebody(rig);
            create_surely(rig, i);
            text_addf(&want, "ADDED default/c%02d\n", i);
            text_addf(&names, "%sc%02d", i ? " " : "", i);
        }
        rig_wait_ready(rig);
        rig_run(rig, 3000);
        const char *listed = rig_list(rig, "v1", "ConfigMap", &(Api__List)API__LIST__INIT);
        cr_expect_str_eq(listed, text_str(&names), "seed %d: %s", (int)seed, listed);
        const char *seen = rig_seen(w);
        cr_expect_str_eq(seen, text_str(&want), "seed %d: %s", (int)seed, seen);
        text_done(&want);
        text_done(&names);
        rig_destroy(&rig);
        rig_watcher_free(&w);
    }
    ASSERT_NO_LEAKS();
}

// ---- a client with a notebook -------------------------------------------------------------------
// One client changes five objects at random and writes down what was answered. What was not
// answered for certain may be either way: the next certain answer tells.
enum { OBJECTS = 5, STEPS = 150, UNKNOWN = -2, GONE = -1 };

typedef struct {
    api_rig_t *rig;
    int value[OBJECTS];  // GONE, UNKNOWN, or the number in the object
    int may_be[OBJECTS]; // UNKNOWN: this, or what it was before
    int was[OBJECTS];
    uint64_t seed;
} notebook_t;

static bool is_uncertain(err_t err) {
    return err == ERR_TIMEOUT || err == ERR_UNAVAILABLE || err == ERR_NOT_LEADER ||
           err == ERR_OVERLOADED;
}

static void note(notebook_t *n, int i, int value, bool certain) {
    if (certain) {
        n->value[i] = value;
        return;
    }
    if (n->value[i] != UNKNOWN) n->was[i] = n->value[i];
    n->value[i] = UNKNOWN;
    n->may_be[i] = value;
}

static void expect_seen(notebook_t *n, int i, int seen) {
    int want = n->value[i];
    bool fits = want == seen || (want == UNKNOWN && (seen == n->may_be[i] || seen == n->was[i]));
    cr_assert(fits, "seed %d: object %d holds %d, the notebook says %d (or %d, %d)", (int)n->seed,
              i, seen, want, n->may_be[i], n->was[i]);
    n->value[i] = seen;
}

static void look(notebook_t *n, int i) {
    const char *name = arena_printf(&n->rig->arena, "o%d", i);
    rig_get(n->rig, "v1", "ConfigMap", "default", name);
    if (n->rig->err && n->rig->err != ERR_NOT_FOUND) return;
    expect_seen(n, i, n->rig->err ? GONE : (int)strtol(rig_field(n->rig, "data[k]"), NULL, 10));
}

static void change(notebook_t *n, int i, int value) {
    api_rig_t *rig = n->rig;
    const char *text =
        arena_printf(&rig->arena,
                     "{kind: ConfigMap, apiVersion: v1, metadata: {name: o%d}, data: {k: \"%d\"}}",
                     i, value);
    if (n->value[i] == UNKNOWN) {
        look(n, i);
        if (n->value[i] == UNKNOWN) return;
    }
    bool exists = n->value[i] != GONE;
    const char *says = exists ? rig_update(rig, text, "") : rig_create(rig, text);
    cr_assert(!rig->err || is_uncertain(rig->err), "seed %d: %s of o%d: %s", (int)n->seed,
              exists ? "update" : "create", i, says);
    note(n, i, value, !rig->err);
}

static void drop(notebook_t *n, int i) {
    if (n->value[i] == UNKNOWN) look(n, i);
    if (n->value[i] == UNKNOWN || n->value[i] == GONE) return;
    const char *name = arena_printf(&n->rig->arena, "o%d", i);
    const char *says = rig_delete(n->rig, "v1", "ConfigMap", "default", name);
    cr_assert(!n->rig->err || is_uncertain(n->rig->err), "seed %d: delete of o%d: %s", (int)n->seed,
              i, says);
    note(n, i, GONE, !n->rig->err);
}

static void lose_messages(api_rig_t *rig, const char *from, const char *to, double probability) {
    Actor__FaultRule rule = {PROTOBUF_C_MESSAGE_INIT(&actor__fault_rule__descriptor)};
    rule.name = arena_printf(&rig->arena, "lose %s", from);
    rule.from = (char *)from;
    rule.to = (char *)to;
    rule.type = "troupe.*";
    rule.kind = ACTOR__FAULT_RULE__KIND__DROP;
    rule.probability = probability;
    sim_set_fault(rig->sim, &rule);
}

Test(apiserver_store, what_is_answered_is_what_is_there_whatever_is_lost)
{
    for (uint64_t seed = seed_first(1), left = seeds_count(SEEDS); left--; seed++) {
        api_rig_t *rig = rig_new_on_real_store(seed);
        notebook_t n = {.rig = rig, .seed = seed};
        for (int i = 0; i < OBJECTS; i++) n.value[i] = GONE;
        sim_set_latency(rig->sim, 50, 1500);
        lose_messages(rig, "store/*", "apiserver/*", 0.03);
        lose_messages(rig, "apiserver/*", "store/*", 0.03);
        for (int step = 0; step < STEPS; step++) {
            rng_t *dice = sim_rng(rig->sim);
            int i = (int)rng_below(dice, OBJECTS);
            if (rng_chance(dice, 0.08)) hurt_somebody(rig);
            switch (rng_below(dice, 4)) {
            case 0: look(&n, i); break;
            case 1: drop(&n, i); break;
            default: change(&n, i, step); break;
            }
        }
        sim_clear_faults(rig->sim);
        rig_wait_ready(rig);
        for (int i = 0; i < OBJECTS; i++) {
            look(&n, i);
            cr_expect_neq(n.value[i], UNKNOWN, "seed %d: object %d cannot be read", (int)seed, i);
        }
        rig_destroy(&rig);
    }
    ASSERT_NO_LEAKS();
}
