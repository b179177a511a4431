// simulate: seeds of a simulated cluster, one after the other, until one fails.
#include "cli/troupe/cmd.h"
#include "cli/troupe/simulate.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "runtime/io/config_tree.h"
#include <unistd.h>

typedef struct {
    int64_t seed, seeds;
    int64_t masters, nodes, pods, minutes; // 0: the scenario's
    const char *scenario;
    bool trace, help;
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

// The line that runs this seed again, and says how.
static const char *replay(arena_t *arena, const simulate_options_t *o, uint64_t seed) {
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
    return text_str(&line);
}

static void print_progress(size_t seeds, const verdict_t *all, int64_t begun_us) {
    double seconds = (double)(clock_monotonic_us() - begun_us) / 1e6;
    fprintf(
        stderr,
        "%s%zu seeds, %zu client operations, %zu faults, %lld virtual seconds, %.0f per second%s",
        isatty(STDERR_FILENO) ? "\r" : "", seeds, all->operations, all->faults,
        (long long)all->virtual_ms / 1000, (double)all->virtual_ms / 1000 / seconds,
        isatty(STDERR_FILENO) ? "   " : "\n");
}

static err_t run(const simulate_options_t *o, arena_t *arena, why_t *why) {
    scenario_t scenario;
    err_t err = read_scenario(o, arena, &scenario, why);
    if (err) return err;
    verdict_t all = {0}, one = {0};
    int64_t begun_us = clock_monotonic_us(), told_us = 0;
    log_set_level(LOG_LEVEL_ERROR);
    for (int64_t i = 0; i < o->seeds; i++) {
        uint64_t seed = (uint64_t)(o->seed + i);
        simulate(&scenario, seed, o->trace ? stdout : NULL, &one);
        all.operations += one.operations;
        all.faults += one.faults;
        all.virtual_ms += one.virtual_ms;
        bool last = i == o->seeds - 1 || one.broken[0];
        if (last || clock_monotonic_us() - told_us > 1000 * 1000) {
            told_us = clock_monotonic_us();
            print_progress((size_t)i + 1, &all, begun_us);
        }
        if (last && isatty(STDERR_FILENO)) fputc('\n', stderr);
        fflush(stdout); // a soak that is broken off has said what it saw
        if (one.broken[0])
            return why_set(why, ERR_INTERNAL, "seed %llu: %s\nagain: %s", (unsigned long long)seed,
                           one.broken, replay(arena, o, seed));
        printf("seed %llu: passed, trace hash %016llx\n", (unsigned long long)seed,
               (unsigned long long)one.hash);
    }
    return ERR_OK;
}

err_t cmd_simulate(int argc, char **argv, why_t *why) {
    simulate_options_t o = {.seed = 1, .seeds = 1};
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
            "first failure ends it, with the line that replays it. See docs/simulator.md.",
            options);
    arena_t arena = {0};
    err = run(&o, &arena, why);
    arena_done(&arena);
    return err;
}
