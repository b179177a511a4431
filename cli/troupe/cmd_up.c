#include "cli/troupe/cluster.h"
#include "cli/troupe/cmd.h"

typedef struct {
    cluster_options_t cluster;
    bool processes;
} up_t;

static const option_t options[] = {
    {"file", 'f', OPTION_STRING, offsetof(up_t, cluster.topology), "FILE",
     "another topology than the built-in one"},
    {"processes", 0, OPTION_FLAG, offsetof(up_t, processes), NULL,
     "every actor as a process of its own, linked over ipc"},
    CLUSTER_OPTIONS(up_t, cluster),
    {NULL},
};

err_t cmd_up(int argc, char **argv, why_t *why) {
    up_t up = {0};
    size_t positional_len;
    err_t e = options_parse(options, argc - 1, argv + 1, &up, NULL, 0, &positional_len, why);
    if (e) return e;
    if (up.cluster.help)
        return cmd_help(
            "troupe up [OPTIONS]",
            "A whole cluster on this machine: store, API server, scheduler, controllers, and a "
            "node\n"
            "that runs pods. Runs until SIGTERM or Ctrl-C; containers go on running after that and "
            "are\n"
            "adopted by the next start. `troupe down` stops it from elsewhere.\n"
            "Component files (kubelet.yaml, …) are read from the config folder where they exist.",
            options);
    if (!up.cluster.topology)
        up.cluster.topology = up.processes ? "@all-in-one-processes" : "@all-in-one";
    return cluster_start(&up.cluster, argv - 1, why);
}
