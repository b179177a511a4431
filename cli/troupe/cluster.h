// cluster - what `up` and `run` share: folders, locks, checks, then the parent; in the foreground
// or in the background.
#pragma once
#include "cli/troupe/vars.h"

typedef struct {
    topology_vars_t vars;
    const char *topology; // a file, or "@name"
    bool background;
    const char *log;   // background: where stderr goes; NULL: DATA/troupe.log
    int64_t wait_s;    // background: how long to wait until it is ready; 0: 60
    int64_t status_fd; // internal: the waiting foreground process listens there; 0: none
    bool help;
} cluster_options_t;

// Rows of an option table whose struct holds a cluster_options_t called `member`.
#define CLUSTER_OPTIONS(type, member)                                                              \
    VARS_OPTIONS(type, member.vars), {"background", 'd',                                           \
                                      OPTION_FLAG,  offsetof(type, member.background),             \
                                      NULL,         "return when it is ready, and let it run on"}, \
        {"log",         0,                                                                         \
         OPTION_STRING, offsetof(type, member.log),                                                \
         "FILE",        "with -d: the log [DATA/troupe.log]; put aside at 16 MiB"},                \
        {"wait",       0,                                                                          \
         OPTION_COUNT, offsetof(type, member.wait_s),                                              \
         "SECONDS",    "with -d: how long to wait [60]"},                                          \
        {"status-fd", 0, OPTION_COUNT, offsetof(type, member.status_fd), "FD", NULL}, {            \
        "help", 'h', OPTION_FLAG, offsetof(type, member.help), NULL, "this text"                   \
    }

// argv: the program's own, which the background process is started with again.
err_t cluster_start(cluster_options_t *options, char **argv, why_t *why) MUST_USE;
