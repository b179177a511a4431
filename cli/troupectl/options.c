#include "cli/troupectl/options.h"

#define AT(member) offsetof(options_t, member)
#define FLAG(name, letter, member, help) \
    { name, letter, OPTION_FLAG, AT(member), NULL, help, NULL }
#define VALUE(name, letter, member, arg, help) \
    { name, letter, OPTION_VALUE, AT(member), arg, help, NULL }

// Rows with `common` names come first: every verb takes them.
static const option_t table[] = {
    VALUE("socket", 0, socket, "PATH",
          "the cluster's command socket (default: $TROUPE_SOCKET, else /run/troupe/troupe.sock)"),
    VALUE("server", 's', server, "ENDPOINT",
          "a master elsewhere: tcp://ADDRESS:PORT (needs --key and --server-key)"),
    VALUE("key", 0, key, "FILE", "our CURVE certificate, for --server"),
    VALUE("server-key", 0, server_key, "FILE", "the server's public certificate, for --server"),
    VALUE("namespace", 'n', namespace_, "NAME", "the namespace to work in (default: default)"),
    VALUE("request-timeout", 0, request_timeout, "DURATION",
          "give up after this long (default 30s)"),
    FLAG("trace", 0, trace,
         "print the command's path through the actors, with queue and handling times"),
    FLAG("help", 'h', help, "show this help"),
#define COMMON_LEN 8
    VALUE("output", 'o', output, "FORMAT", "wide|yaml|json|name|jsonpath=…|custom-columns=…"),
    VALUE("selector", 'l', selector, "SELECTOR",
          "only objects with these labels (a=b,c!=d,e in (f,g))"),
    VALUE("field-selector", 0, field_selector, "SELECTOR",
          "only objects with these fields (spec.nodeName=n1)"),
    {"filename", 'f', OPTION_VALUES, AT(filenames), "FILE",
     "a manifest, a folder of manifests, or - for standard input", NULL},
    FLAG("recursive", 'R', recursive, "go into folders below -f, too"),
    FLAG("all-namespaces", 'A', all_namespaces, "in every namespace"),
    FLAG("all", 0, all, "every object of the type"),
    FLAG("watch", 'w', watch, "after listing, go on printing changes"),
    FLAG("watch-only", 0, watch_only, "print changes only"),
    FLAG("no-headers", 0, no_headers, "leave the header line out"),
    FLAG("show-labels", 0, show_labels, "a LABELS column at the end"),
    FLAG("show-kind", 0, show_kind, "names as type/name"),
    VALUE("sort-by", 0, sort_by, "PATH", "order by this field, as a JSONPath ({.metadata.name})"),
    FLAG("ignore-not-found", 0, ignore_not_found, "a missing object is no error"),
    VALUE("container", 'c', container, "NAME", "the pod's container (default: its first)"),
    FLAG("follow", 'f', follow, "go on as the log grows"),
    FLAG("previous", 'p', previous, "the container's run before this one"),
    FLAG("timestamps", 0, timestamps, "each line with its time"),
    VALUE("tail", 0, tail, "LINES", "only the last lines (-1: all)"),
    VALUE("since", 0, since, "DURATION", "only what is newer (5s, 2m, 3h)"),
    FLAG("stdin", 'i', stdin_, "pass standard input on"),
    FLAG("tty", 't', tty, "standard input is a terminal"),
    VALUE("image", 0, image, "IMAGE", "the container's image"),
    VALUE("port", 0, port, "PORT", "the port that the container, or the service, serves"),
    VALUE("replicas", 0, replicas, "N", "how many pods; with run: make a Deployment"),
    VALUE("current-replicas", 0, current_replicas, "N", "only if this is the number now"),
    VALUE("labels", 'l', labels, "LABELS", "labels of what is made (a=b,c=d)"),
    VALUE("restart", 0, restart, "POLICY", "Always|OnFailure|Never"),
    {"env", 0, OPTION_VALUES, AT(envs), "NAME=VALUE", "an environment variable (may be repeated)",
     NULL},
    FLAG("command", 0, command, "what follows -- is the command, not its arguments"),
    FLAG("rm", 0, rm, "delete the pod when its command has ended"),
    VALUE("image-pull-policy", 0, image_pull_policy, "POLICY", "Always|IfNotPresent|Never"),
    VALUE("name", 0, name, "NAME", "the name of what is made"),
    VALUE("type", 0, type, "TYPE",
          "ClusterIP|NodePort|LoadBalancer (expose); json|merge|strategic (patch)"),
    VALUE("target-port", 0, target_port, "PORT",
          "the pods' port, by number or name (default: --port)"),
    VALUE("node-port", 0, node_port, "PORT",
          "the port on every node (default: drawn from the range)"),
    VALUE("protocol", 0, protocol, "PROTOCOL", "TCP|UDP (default TCP)"),
    VALUE("grace-period", 0, grace_period, "SECONDS",
          "time to stop before it is killed (-1: the object's own)"),
    FLAG("force", 0, force, "delete at once, without waiting for the node"),
    FLAG("now", 0, now, "the same as --grace-period=1"),
    {"cascade", 0, OPTION_VALUE, AT(cascade), "HOW",
     "background|foreground|orphan (default background)", NULL},
    {"wait", 0, OPTION_VALUE, AT(for_), "BOOL", "wait until it is really gone (default true)",
     "true"},
    VALUE("timeout", 0, timeout, "DURATION", "how long to wait (0: no limit)"),
    FLAG("overwrite", 0, overwrite, "replace a value that is there"),
    FLAG("list", 0, list, "show them instead of changing them"),
    {"dry-run", 0, OPTION_FLAG, AT(dry_run), NULL, "ask the server, change nothing", NULL},
    VALUE("revision", 0, revision, "N", "show this revision"),
    VALUE("to-revision", 0, to_revision, "N", "go back to this one (default: the one before)"),
    VALUE("patch", 'p', patch, "PATCH", "the patch, as JSON or YAML"),
    VALUE("subresource", 0, subresource, "NAME", "work on this subresource (status, scale)"),
    VALUE("api-group", 0, group, "GROUP", "only kinds of this group"),
    FLAG("last", 0, last, "the newest trace"),
    FLAG("client", 0, client_only, "the command's own version only"),
    VALUE("for", 0, for_, "CONDITION", "delete | condition=NAME[=VALUE] | jsonpath={…}=VALUE"),
};

const option_t *option_at(size_t i) { return i < LENGTH_OF(table) ? &table[i] : NULL; }

bool option_is_allowed(const option_t *option, const char *allowed) {
    if (option < table + COMMON_LEN) return true;
    size_t len = strlen(option->name);
    for (const char *at = allowed; at && (at = strstr(at, option->name)); at += len)
        if ((at == allowed || at[-1] == ' ') && (at[len] == 0 || at[len] == ' ')) return true;
    return false;
}

static const option_t *find_long(const char *name, size_t len, const char *allowed) {
    for (size_t i = 0; i < LENGTH_OF(table); i++)
        if (strlen(table[i].name) == len && memcmp(table[i].name, name, len) == 0 &&
            option_is_allowed(&table[i], allowed))
            return &table[i];
    return NULL;
}

static const option_t *find_letter(char letter, const char *allowed) {
    for (size_t i = 0; i < LENGTH_OF(table); i++)
        if (table[i].letter == letter && option_is_allowed(&table[i], allowed)) return &table[i];
    return NULL;
}

static void set(options_t *o, const option_t *option, const char *value) {
    void *slot = (char *)o + option->offset;
    switch (option->kind) {
    case OPTION_FLAG: *(bool *)slot = !value || !streq(value, "false"); break;
    case OPTION_VALUE: *(const char **)slot = value; break;
    case OPTION_VALUES: vec_push((words_t *)slot, value); break;
    }
}

// "-n", "ns" | "-nns" | "-n=ns" | "-it": letters of flags may be bundled.
static err_t parse_letters(int argc, const char *const *argv, int *at, const char *allowed,
                           options_t *o, why_t *why) {
    for (const char *p = argv[*at] + 1; *p; p++) {
        const option_t *option = find_letter(*p, allowed);
        if (!option)
            return why_set(why, ERR_USAGE, "unknown shorthand flag: '%c' in %s", *p, argv[*at]);
        if (option->kind == OPTION_FLAG) {
            set(o, option, NULL);
            continue;
        }
        const char *value = p[1] == '=' ? p + 2 : p + 1;
        if (!*value && p[1] != '=') {
            if (*at + 1 >= argc)
                return why_set(why, ERR_USAGE, "flag needs an argument: '%c' in %s", *p, argv[*at]);
            value = argv[++*at];
        }
        set(o, option, value);
        return ERR_OK;
    }
    return ERR_OK;
}

static err_t parse_long(int argc, const char *const *argv, int *at, const char *allowed,
                        options_t *o, why_t *why) {
    const char *name = argv[*at] + 2, *equals = strchr(name, '=');
    size_t len = equals ? (size_t)(equals - name) : strlen(name);
    const option_t *option = find_long(name, len, allowed);
    if (!option) return why_set(why, ERR_USAGE, "unknown flag: --%.*s", (int)len, name);
    if (equals || option->kind == OPTION_FLAG || option->optional) {
        set(o, option, equals ? equals + 1 : option->optional);
        return ERR_OK;
    }
    if (*at + 1 >= argc)
        return why_set(why, ERR_USAGE, "flag needs an argument: --%s", option->name);
    set(o, option, argv[++*at]);
    return ERR_OK;
}

err_t options_parse(int argc, const char *const *argv, const char *allowed, options_t *ret_options,
                    words_t *ret_words, words_t *ret_rest, why_t *why) {
    for (int i = 1; i < argc; i++) {
        err_t err = ERR_OK;
        if (streq(argv[i], "--")) {
            while (++i < argc) vec_push(ret_rest, argv[i]);
        } else if (has_prefix(argv[i], "--")) {
            err = parse_long(argc, argv, &i, allowed, ret_options, why);
        } else if (argv[i][0] == '-' && argv[i][1]) {
            err = parse_letters(argc, argv, &i, allowed, ret_options, why);
        } else {
            vec_push(ret_words, argv[i]);
        }
        if (err) return err;
    }
    return ERR_OK;
}

void options_done(options_t *o) {
    vec_done(&o->filenames);
    vec_done(&o->envs);
}

void options_print_help(const char *allowed, bool common, FILE *out) {
    enum { HELP_COLUMN = 32 };
    for (size_t i = 0; i < LENGTH_OF(table); i++) {
        const option_t *o = &table[i];
        bool is_common = i < COMMON_LEN;
        if (is_common != common || !option_is_allowed(o, allowed)) continue;
        int used = o->letter ? fprintf(out, "  -%c, --%s", o->letter, o->name)
                             : fprintf(out, "      --%s", o->name);
        if (o->kind != OPTION_FLAG) used += fprintf(out, o->optional ? "[=%s]" : "=%s", o->arg);
        fprintf(out, "%*s%s\n", used < HELP_COLUMN ? HELP_COLUMN - used : 1, "", o->help);
    }
}
