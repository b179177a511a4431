// cmd - one row per verb of `troupe`; each verb in a file of its own (cmd_VERB.c).
#pragma once
#include "cli/options/options.h"

typedef struct {
    const char *verb;
    const char *summary;                             // NULL: internal, not listed
    err_t (*run)(int argc, char **argv, why_t *why); // argv[0] is the verb; argv[-1] the program
} cmd_t;

err_t cmd_up(int argc, char **argv, why_t *why);
err_t cmd_run(int argc, char **argv, why_t *why);
err_t cmd_down(int argc, char **argv, why_t *why);
err_t cmd_reset(int argc, char **argv, why_t *why);
err_t cmd_node(int argc, char **argv, why_t *why);
err_t cmd_config(int argc, char **argv, why_t *why);
err_t cmd_member(int argc, char **argv, why_t *why);
err_t cmd_snapshot(int argc, char **argv, why_t *why);
err_t cmd_store(int argc, char **argv, why_t *why);
err_t cmd_simulate(int argc, char **argv, why_t *why);
err_t cmd_metrics(int argc, char **argv, why_t *why);
err_t cmd_keys(int argc, char **argv, why_t *why);
err_t cmd_version(int argc, char **argv, why_t *why);
err_t cmd_actor_process(int argc, char **argv, why_t *why);

// Prints "usage: …", the text and the options; ERR_OK.
err_t cmd_help(const char *usage, const char *text, const option_t *options);
int troupe_main(int argc, char **argv);
