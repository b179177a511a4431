#include "cli/troupe/cluster.h"
#include "cli/troupe/cmd.h"

typedef struct {
    cluster_options_t cluster;
} run_t;

static const option_t options[] = {
    {"file", 'f', OPTION_STRING, offsetof(run_t, cluster.topology), "FILE",
     "the topology: a file, or @all-in-one, @all-in-one-processes"},
    CLUSTER_OPTIONS(run_t, cluster),
    {NULL},
};

err_t cmd_run(int argc, char **argv, why_t *why) {
    run_t run = {0};
    size_t positional_len;
    err_t e = options_parse(options, argc - 1, argv + 1, &run, NULL, 0, &positional_len, why);
    if (e) return e;
    if (run.cluster.help)
        return cmd_help(
            "troupe run -f FILE [OPTIONS]",
            "Starts the processes and actors that a topology file names, and restarts those that "
            "die.\n"
            "The format is described in docs/processes.md; ready files lie in configs/.",
            options);
    if (!run.cluster.topology) return why_set(why, ERR_USAGE, "give a topology with -f FILE");
    return cluster_start(&run.cluster, argv - 1, why);
}
