// options - the flags of troupectl, as one table: what is parsed, what --help and the completions
// show, and which verb takes which all come from it.
#pragma once
#include "runtime/base/vec.h"
#include "runtime/base/why.h"

typedef VEC(const char *) words_t; // borrowed from argv

typedef struct {
    // common to every verb
    const char *socket, *server, *key, *server_key;
    const char *namespace_, *request_timeout;
    bool trace, help;
    // chosen by verb
    const char *output, *selector, *field_selector, *container, *image, *name, *type;
    const char *restart, *tail, *since, *grace_period, *timeout, *port, *target_port, *node_port;
    const char *replicas, *current_replicas, *revision, *to_revision, *sort_by, *labels, *for_;
    const char *protocol, *image_pull_policy, *cascade, *patch, *subresource, *group;
    words_t filenames, envs;
    bool all_namespaces, all, watch, watch_only, no_headers, show_labels, follow, previous,
        timestamps;
    bool stdin_, tty, force, now, ignore_not_found, overwrite, list, recursive, dry_run;
    bool command, rm, client_only, last, show_kind;
} options_t;

typedef enum { OPTION_FLAG, OPTION_VALUE, OPTION_VALUES } option_kind_t;
typedef struct {
    const char *name; // long form, without dashes
    char letter;      // 0: none
    option_kind_t kind;
    size_t offset;   // in options_t: bool, const char *, or words_t
    const char *arg; // how help names the value
    const char *help;
    const char *optional; // value when given without one ("--dry-run"); NULL: the value is required
} option_t;

// Parse argv[1..]. `allowed`: names of the verb's options separated by spaces; the common ones are
// always allowed. What is no option lands in ret_words; all behind "--" in ret_rest.
// ERR_USAGE with a why like "unknown flag: --foo".
err_t options_parse(int argc, const char *const *argv, const char *allowed, options_t *ret_options,
                    words_t *ret_words, words_t *ret_rest, why_t *why) MUST_USE;
void options_done(options_t *o);
// The lines of --help for these options.
void options_print_help(const char *allowed, bool common, FILE *out);
// Is this option known to the verb (or common)? For completion.
const option_t *option_at(size_t i); // NULL past the end
bool option_is_allowed(const option_t *option, const char *allowed);
