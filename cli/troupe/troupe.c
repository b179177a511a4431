#include "cli/troupe/cmd.h"
#include "runtime/io/config_tree.h"

static const cmd_t commands[] = {
    {"up", "a whole cluster on this machine", cmd_up},
    {"run", "the processes of a topology file", cmd_run},
    {"down", "stop what up or run started", cmd_down},
    {"reset", "take away what a node left on this machine", cmd_reset},
    {"node", "this node's containers, as the runtime sees them", cmd_node},
    {"member", "who keeps the store: list, add, promote, remove, hand over", cmd_member},
    {"snapshot", "all keys of the store in a file: save, restore, look", cmd_snapshot},
    {"store", "the store: status, check, rebuild a member, recover from a lost quorum", cmd_store},
    {"config", "print a role's component file, with all its keys", cmd_config},
    {"simulate", "a whole cluster on virtual time under faults, from a seed", cmd_simulate},
    {"metrics", "counters of all actors, as Prometheus reads them", cmd_metrics},
    {"keys", "make CURVE keys for links over tcp", cmd_keys},
    {"version", "print the version", cmd_version},
    {"actor-process", NULL, cmd_actor_process},
};

static const cmd_t *find(const char *verb) {
    for (size_t i = 0; i < LENGTH_OF(commands); i++)
        if (streq(commands[i].verb, verb)) return &commands[i];
    return NULL;
}

static void print_overview(FILE *to) {
    fputs("Troupe: Kubernetes' API, actors in C.\n\nusage: troupe VERB [OPTIONS]\n\n", to);
    for (size_t i = 0; i < LENGTH_OF(commands); i++)
        if (commands[i].summary) fprintf(to, "  %-10s %s\n", commands[i].verb, commands[i].summary);
    fputs("\n`troupe VERB --help` says more. The cluster itself is spoken to with troupectl.\n",
          to);
}

err_t cmd_help(const char *usage, const char *text, const option_t *options) {
    text_t out = TEXT_HEAP;
    text_addf(&out, "usage: %s\n\n%s\n\n", usage, text);
    options_help(&out, options);
    fputs(text_str(&out), stdout);
    text_done(&out);
    return ERR_OK;
}

static int unknown_verb(const char *verb) {
    const char *known[LENGTH_OF(commands)];
    for (size_t i = 0; i < LENGTH_OF(commands); i++) known[i] = commands[i].verb;
    const char *near = config_nearest(verb, known, LENGTH_OF(commands));
    fprintf(stderr, "troupe: no verb is called \"%s\"; ", verb);
    if (near)
        fprintf(stderr, "did you mean %s?\n", near);
    else
        fputs("see troupe --help\n", stderr);
    return err_exit_code(ERR_USAGE);
}

int troupe_main(int argc, char **argv) {
    if (argc < 2) {
        print_overview(stderr);
        return err_exit_code(ERR_USAGE);
    }
    const char *verb = argv[1];
    if (streq(verb, "--help") || streq(verb, "-h") || streq(verb, "help")) {
        print_overview(stdout);
        return 0;
    }
    const cmd_t *cmd = find(streq(verb, "--version") ? "version" : verb);
    if (!cmd) return unknown_verb(verb);
    why_t why = {0};
    err_t e = cmd->run(argc - 1, argv + 1, &why);
    if (e) fprintf(stderr, "troupe %s: %s\n", verb, *why.text ? why.text : err_text(e));
    if (e == ERR_USAGE) fprintf(stderr, "see troupe %s --help\n", verb);
    fflush(stdout);
    return err_exit_code(e);
}
