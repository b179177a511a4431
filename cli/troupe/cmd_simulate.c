// simulate: seeds of a simulated cluster, until one fails.
#include "cli/troupe/cmd.h"
#include "cli/troupe/simulate_jobs.h"
#include "cli/troupe/simulate_shrink.h"
#include "runtime/api/node.h"
#include "runtime/base/canary.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "runtime/io/config_tree.h"
#include <errno.h>
#include <unistd.h>

enum { SHRINK_MS = 3 * 60 * 1000 };

typedef struct {
    int64_t seed, seeds;
    int64_t masters, nodes, pods, minutes; // 0: the scenario's
    int64_t jobs, within, at_least;        // within: seconds
    const char *scenario, *only, *json, *canary;
    bool trace, whole, help;
} simulate_options_t;

#define OPTION(name, type, member, value, help) \
    { name, 0, type, offsetof(simulate_options_t, member), value, help, NULL }
static const option_t options[] = {
    OPTION("seed", OPTION_COUNT, seed, "S", "the first seed; default 1"),
    OPTION("seeds", OPTION_COUNT, seeds, "N", "how many; default 1"),
    OPTION("masters", OPTION_COUNT, masters, "1|3", "default 1"),
    OPTION("nodes", OPTION_COUNT, nodes, "N", "simulated nodes; default 5"),
    OPTION("pods", OPTION_COUNT, pods, "N", "wanted at once, at most; default 40"),
    OPTION("minutes", OPTION_COUNT, minutes, "M", "virtual time under faults; default half a one"),
    OPTION("scenario", OPTION_STRING, scenario, "FILE",
           "as configs/scenarios/standard.yaml, which shows the defaults"),
    OPTION("jobs", OPTION_COUNT, jobs, "N", "processes that run seeds; default 1"),
    OPTION("within", OPTION_COUNT, within, "S", "seconds, past which no further seed begins …"),
    OPTION("at-least", OPTION_COUNT, at_least, "N", "… unless fewer than so many have"),
    OPTION("only", OPTION_STRING, only, "LIST", "of the seed's faults, as a failure prints them"),
    OPTION("whole", OPTION_FLAG, whole, NULL, "leave a failing run's faults as they are"),
    OPTION("json", OPTION_STRING, json, "FILE", "write what was seen there"),
    OPTION("canary", OPTION_STRING, canary, "NAME",
           "a planted bug (docs/simulator.md); builds with a sanitizer have them"),
    OPTION("trace", OPTION_FLAG, trace, NULL, "print the story, a line for each delivery"),
    {"help", 'h', OPTION_FLAG, offsetof(simulate_options_t, help), NULL, "this text", NULL},
    {0},
};

static err_t read_scenario(const simulate_options_t *o, arena_t *arena, scenario_t *ret,
                           why_t *why) {
    *ret = scenario_standard;
    if (o->scenario) {
        CLEANUP(free_charp) char *text = NULL;
        size_t len;
        err_t err = config_load_file(o->scenario, &text, &len, why);
        if (!err)
            err = config_read(arena, o->scenario, text, len, "Scenario", scenario_config, ret, why);
        if (err) return err;
    }
    if (o->masters) ret->masters = o->masters;
    if (o->nodes) ret->nodes = o->nodes;
    if (o->pods) ret->pods = o->pods;
    if (o->minutes) ret->length_ms = o->minutes * 60 * 1000;
    return scenario_check(ret, why);
}

static err_t plant(const char *name, why_t *why) {
    for (canary_t c = CANARY_NONE; name && c < CANARIES_LEN; c++)
        if (streq(canary_name(c), name) && canary_plant(c)) return ERR_OK;
    return name ? why_set(why, ERR_INVALID, "--canary: this build has no %s", name) : ERR_OK;
}

// The line that runs this seed again, and says how.
static const char *replay(arena_t *arena, const simulate_options_t *o, uint64_t seed,
                          const char *only) {
    text_t line = {.arena = arena};
    text_addf(&line, "troupe simulate --seed %llu", (unsigned long long)seed);
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {
        {"masters", o->masters}, {"nodes", o->nodes}, {"pods", o->pods}, {"minutes", o->minutes}};
    for (size_t i = 0; i < LENGTH_OF(numbers); i++)
        if (numbers[i].value)
            text_addf(&line, " --%s %lld", numbers[i].name, (long long)numbers[i].value);
    if (o->scenario) text_addf(&line, " --scenario %s", o->scenario);
    if (only[0]) text_addf(&line, " --only %s", only);
    if (o->canary) text_addf(&line, " --canary %s", o->canary);
    return text_str(&line);
}

// ---- what was seen ------------------------------------------------------------------------------
typedef struct {
    const simulate_options_t *options;
    const scenario_t *scenario;
    arena_t *arena;
    int64_t begun_us, told_us;
    size_t seeds;
    verdict_t all;        // sums
    uint64_t failed_seed; // the first
    verdict_t failed;     // broken "": none
} tally_t;

static double per_second(const tally_t *t, size_t count) {
    return (double)count / ((double)(clock_monotonic_us() - t->begun_us) / 1e6);
}

static void print_progress(tally_t *t, bool last) {
    const verdict_t *v = &t->all;
    bool tty = isatty(STDERR_FILENO);
    if (!last && clock_monotonic_us() - t->told_us < 1000 * 1000) return;
    t->told_us = clock_monotonic_us();
    fprintf(stderr,
            "%s%zu seeds, %zu pods, %zu client operations (%.0f/s), %zu faults (%.1f/s), %lld "
            "virtual seconds (%.0f/s)%s",
            tty ? "\r" : "", t->seeds, v->pods, v->operations, per_second(t, v->operations),
            v->faults, per_second(t, v->faults), (long long)v->virtual_ms / 1000,
            per_second(t, (size_t)v->virtual_ms / 1000), tty && !last ? "   " : "\n");
}

static bool tell(void *arg, uint64_t seed, const verdict_t *v) {
    tally_t *t = arg;
    t->seeds++;
    t->all.operations += v->operations;
    t->all.faults += v->faults;
    t->all.pods += v->pods;
    t->all.virtual_ms += v->virtual_ms;
    for (size_t k = 0; k < FAULT_KINDS_LEN; k++)
        for (size_t s = 0; s < CLUSTER_STATES_LEN; s++) t->all.struck[k][s] += v->struck[k][s];
    for (size_t i = 0; i < INVARIANTS_LEN; i++) t->all.checked[i] += v->checked[i];
    if (!v->broken[0])
        printf("seed %llu: passed, trace hash %016llx\n", (unsigned long long)seed,
               (unsigned long long)v->hash);
    fflush(stdout); // a soak that is broken off has said what it saw
    print_progress(t, false);
    if (!v->broken[0]) return true;
    t->failed_seed = seed;
    t->failed = *v;
    return false;
}

static void print_coverage(const tally_t *t) {
    text_t out = {.arena = t->arena};
    text_add(&out, "faults by state");
    for (cluster_state_t s = 0; s < CLUSTER_STATES_LEN; s++)
        text_addf(&out, " %12s", cluster_state_name(s));
    text_addc(&out, '\n');
    for (size_t i = 0; i < t->scenario->faults.len; i++) {
        Actor__FaultRule__Kind kind;
        if (!fault_kind_parse(t->scenario->faults.at[i], &kind)) continue;
        text_addf(&out, "%-15s", t->scenario->faults.at[i]);
        for (cluster_state_t s = 0; s < CLUSTER_STATES_LEN; s++)
            text_addf(&out, " %12u", t->all.struck[kind][s]);
        text_addc(&out, '\n');
    }
    fputs(text_str(&out), stdout);
}

static void add_coverage(const tally_t *t, text_t *out) {
    for (size_t i = 0; i < t->scenario->faults.len; i++) {
        Actor__FaultRule__Kind kind;
        if (!fault_kind_parse(t->scenario->faults.at[i], &kind)) continue;
        text_addf(out, "%s\n    \"%s\": {", i ? "," : "", t->scenario->faults.at[i]);
        for (cluster_state_t s = 0; s < CLUSTER_STATES_LEN; s++)
            text_addf(out, "%s\"%s\": %u", s ? ", " : "", cluster_state_name(s),
                      t->all.struck[kind][s]);
        text_addc(out, '}');
    }
}

static err_t write_json(const tally_t *t, const char *again, why_t *why) {
    text_t out = {.arena = t->arena};
    text_addf(&out,
              "{\n  \"seeds\": %zu, \"pods\": %zu, \"operations\": %zu, \"faults\": %zu,\n  "
              "\"virtualSeconds\": %lld, \"seconds\": %.1f,\n  \"checked\": {",
              t->seeds, t->all.pods, t->all.operations, t->all.faults,
              (long long)t->all.virtual_ms / 1000,
              (double)(clock_monotonic_us() - t->begun_us) / 1e6);
    for (invariant_t i = 0; i < INVARIANTS_LEN; i++)
        text_addf(&out, "%s\"%s\": %lld", i ? ", " : "", invariant_name(i),
                  (long long)t->all.checked[i]);
    text_add(&out, "},\n  \"coverage\": {");
    add_coverage(t, &out);
    text_add(&out, "\n  }");
    if (again) {
        text_addf(&out, ",\n  \"failure\": {\"seed\": %llu, \"broken\": ",
                  (unsigned long long)t->failed_seed);
        json_write_string(&out, t->failed.broken, strlen(t->failed.broken));
        text_add(&out, ", \"again\": ");
        json_write_string(&out, again, strlen(again));
        text_addc(&out, '}');
    }
    text_add(&out, "\n}\n");
    FILE *file = fopen(t->options->json, "we");
    bool written = file && fputs(text_str(&out), file) >= 0;
    if (file && fclose(file)) written = false;
    return written ? ERR_OK : why_set(why, ERR_IO, "%s: %s", t->options->json, strerror(errno));
}

// ---- a failure ----------------------------------------------------------------------------------
// The faults that it takes, found within SHRINK_MS; those of a run that died stay as they are.
static void shrink(tally_t *t, fault_plan_t *plan, text_t *story) {
    size_t drawn = plan->faults.len;
    if (t->options->whole || t->failed.promise == SIMULATE_DIED) return;
    fprintf(stderr, "seed %llu: %s; looking for the faults that it takes\n",
            (unsigned long long)t->failed_seed, t->failed.broken);
    size_t runs = simulate_shrink(t->scenario, t->failed_seed, SHRINK_MS, plan, &t->failed);
    text_addf(story, "\n%zu of %zu faults, found in %zu runs:", plan->faults.len, drawn, runs);
    for (size_t i = 0; i < plan->faults.len; i++) {
        const fault_t *f = &plan->faults.at[i];
        text_addf(story, "\n    %zu: %s at %lld ms for %lld ms", f->number,
                  fault_kind_name(f->kind), (long long)f->at_ms, (long long)f->for_ms);
    }
}

static err_t fail(tally_t *t, const fault_plan_t *given, why_t *why) {
    fault_plan_t plan;
    text_t story = {.arena = t->arena}, only = {.arena = t->arena};
    if (given)
        fault_plan_dup(given, &plan);
    else
        simulate_plan(t->scenario, t->failed_seed, &plan);
    shrink(t, &plan, &story);
    if (story.len || given) fault_plan_print(&plan, &only);
    fault_plan_done(&plan);
    const char *again = replay(t->arena, t->options, t->failed_seed, text_str(&only));
    err_t err = t->options->json ? write_json(t, again, why) : ERR_OK;
    return err ? err
               : why_set(why, ERR_INTERNAL, "seed %llu: %s%s\nagain: %s",
                         (unsigned long long)t->failed_seed, t->failed.broken, text_str(&story),
                         again);
}

static err_t run_seeds(tally_t *t, const fault_plan_t *plan, why_t *why) {
    const simulate_options_t *o = t->options;
    if (o->trace) {
        verdict_t one;
        simulate(t->scenario, (uint64_t)o->seed, plan, stdout, &one);
        tell(t, (uint64_t)o->seed, &one);
        return ERR_OK;
    }
    simulate_jobs_t jobs = {.scenario = t->scenario,
                            .plan = plan,
                            .first_seed = (uint64_t)o->seed,
                            .seeds = o->seeds,
                            .jobs = o->jobs,
                            .within_ms = o->within * 1000,
                            .at_least = o->at_least};
    return simulate_jobs(&jobs, tell, t, why);
}

static err_t run(const simulate_options_t *o, arena_t *arena, why_t *why) {
    scenario_t scenario;
    fault_plan_t plan = {0};
    err_t err = read_scenario(o, arena, &scenario, why);
    if (!err) err = plant(o->canary, why);
    if (err) return err;
    if (o->jobs < 1 || o->jobs > SIMULATE_JOBS_MAX)
        return why_set(why, ERR_USAGE, "--jobs: 1 to %d", SIMULATE_JOBS_MAX);
    if ((o->only || o->trace) && o->seeds != 1)
        return why_set(why, ERR_USAGE, "--only and --trace are for one seed");
    if (o->only) {
        simulate_plan(&scenario, (uint64_t)o->seed, &plan);
        err = fault_plan_choose(&plan, o->only, why);
    }
    tally_t t = {
        .options = o, .scenario = &scenario, .arena = arena, .begun_us = clock_monotonic_us()};
    log_set_level(LOG_LEVEL_ERROR);
    if (!err) err = run_seeds(&t, o->only ? &plan : NULL, why);
    if (!err) {
        print_progress(&t, true);
        if (!o->trace) print_coverage(&t);
        fflush(stdout);
        if (t.failed.broken[0])
            err = fail(&t, o->only ? &plan : NULL, why);
        else if (o->json)
            err = write_json(&t, NULL, why);
    }
    fault_plan_done(&plan);
    return err;
}

err_t cmd_simulate(int argc, char **argv, why_t *why) {
    simulate_options_t o = {.seed = 1, .seeds = 1, .jobs = 1};
    size_t words_len;
    err_t err = options_parse(options, argc - 1, argv + 1, &o, NULL, 0, &words_len, why);
    if (err) return err;
    if (o.help)
        return cmd_help(
            "troupe simulate [OPTIONS]",
            "A whole cluster in one thread on virtual time: stores, API servers, schedulers,\n"
            "controllers, kubelets on a made-up runtime, and a client that creates, scales, "
            "updates\n"
            "and deletes. Faults come from the seed. Checked all the time: one store leader per\n"
            "term, what was acknowledged is there, a watch shows each change once and in order, "
            "no\n"
            "pod is bound twice, no node over-committed; and what was wanted is there once the\n"
            "faults have stopped. The same seed gives the same run, told by its trace hash; the\n"
            "first failure ends it; its faults are shrunk to those that it takes, and the line is\n"
            "printed that replays it. See docs/simulator.md.",
            options);
    arena_t arena = {0};
    err = run(&o, &arena, why);
    arena_done(&arena);
    return err;
}
