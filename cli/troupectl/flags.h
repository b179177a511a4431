// flags - the flags of troupectl: what they are called, what they mean. Which verb takes which, the
// table of main.c says.
#pragma once
#include "cli/options/options.h"

typedef struct {
    // common to every verb
    const char *socket, *server, *key, *server_key;
    const char *namespace_, *request_timeout;
    bool trace, help;
    // chosen by verb
    const char *output, *selector, *field_selector, *container, *image, *name, *type;
    const char *restart, *tail, *since, *grace_period, *timeout, *port, *target_port, *node_port;
    const char *replicas, *current_replicas, *revision, *to_revision, *sort_by, *labels, *for_;
    const char *protocol, *image_pull_policy, *cascade, *patch, *subresource, *group, *dry_run,
        *address, *probability, *delay, *jitter, *offset, *message, *perfetto, *to;
    words_t filenames, envs;
    bool all_namespaces, all, watch, watch_only, no_headers, show_labels, follow, previous,
        timestamps;
    bool stdin_, tty, force, now, ignore_not_found, overwrite, list, recursive;
    bool one_way, command, rm, attach, quiet, client_only, last, show_kind;
} flags_t;

extern const option_t flags_common[]; // every verb takes these
extern const option_t flags_table[];
void flags_done(flags_t *flags);
