// config - prints a role's component file with every field, its meaning and default: the answer to
// "what can I set?".
#include "cli/troupe/cmd.h"
#include "cli/troupe/role.h"

typedef struct {
    bool help;
} config_options_t;
static const option_t options[] = {
    {"help", 'h', OPTION_FLAG, offsetof(config_options_t, help), NULL, "this text"},
    {NULL},
};

static void print_duration(text_t *out, int64_t ms) {
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
    if (ms == 0) text_add(out, "0s");
    for (size_t i = 0; i < LENGTH_OF(units); i++) {
        if (ms / units[i].ms)
            text_addf(out, "%lld%s", (long long)(ms / units[i].ms), units[i].unit);
        ms %= units[i].ms;
    }
}

static void print_bytes(text_t *out, int64_t bytes) {
    static const struct {
        const char *unit;
        int64_t bytes;
    } units[] = {{"Gi", 1 << 30}, {"Mi", 1 << 20}, {"Ki", 1 << 10}};
    for (size_t i = 0; i < LENGTH_OF(units); i++)
        if (bytes && bytes % units[i].bytes == 0) {
            text_addf(out, "%lld%s", (long long)(bytes / units[i].bytes), units[i].unit);
            return;
        }
    text_addf(out, "%lld", (long long)bytes);
}

static void print_number(text_t *out, config_type_t type, int64_t value) {
    if (type == CONFIG_DURATION_MS)
        print_duration(out, value);
    else if (type == CONFIG_BYTES)
        print_bytes(out, value);
    else
        text_addf(out, "%lld", (long long)value);
}

static void print_value(text_t *out, const config_field_t *f, const void *at) {
    const config_strings_t *strings = at;
    switch (f->type) {
    case CONFIG_STRING: text_addf(out, "\"%s\"", or_empty(*(const char *const *)at)); return;
    case CONFIG_BOOL: text_add(out, *(const bool *)at ? "true" : "false"); return;
    case CONFIG_STRINGS:
        text_addc(out, '[');
        for (size_t i = 0; i < strings->len; i++)
            text_addf(out, "%s\"%s\"", i ? ", " : "", strings->at[i]);
        text_addc(out, ']');
        return;
    case CONFIG_INT:
    case CONFIG_DURATION_MS:
    case CONFIG_BYTES: print_number(out, f->type, *(const int64_t *)at); return;
    }
    abort();
}

static const char *type_text(config_type_t type) {
    static const char *const texts[] = {
        [CONFIG_STRING] = "STRING",   [CONFIG_INT] = "NUMBER",
        [CONFIG_BOOL] = "true|false", [CONFIG_DURATION_MS] = "DURATION",
        [CONFIG_BYTES] = "SIZE",      [CONFIG_STRINGS] = "[STRING, ...]"};
    return texts[type];
}

static void print_field(text_t *out, const role_t *role, const config_field_t *f) {
    text_addf(out, "\n# %s", or_empty(f->help));
    if (f->max && f->max < INT32_MAX) {
        text_add(out, " (");
        print_number(out, f->type, f->min);
        text_add(out, " to ");
        print_number(out, f->type, f->max);
        text_add(out, ")");
    }
    text_addf(out, "\n#%s: ", f->key);
    if (role->defaults)
        print_value(out, f, (const char *)role->defaults + f->offset);
    else
        text_add(out, type_text(f->type)); // the actor itself knows its default
    text_addc(out, '\n');
}

void role_print_config(text_t *out, const role_t *role) {
    text_addf(out,
              "# Component file of the role %s. It is read from %s.yaml in the config folder "
              "(/etc/troupe);\n",
              role->role, role->role);
    text_addf(out, "# what is not set keeps its default. A wrong key, type or range is refused at "
                   "the start.\n");
    text_addf(out, "kind: %s\n", role->config_kind);
    for (const config_field_t *f = role->config; f->key; f++) print_field(out, role, f);
}

static err_t list_roles(void) {
    for (const role_t *r = roles; r->role; r++)
        if (r->config) printf("%-12s kind: %s\n", r->role, r->config_kind);
    return ERR_OK;
}

err_t cmd_config(int argc, char **argv, why_t *why) {
    config_options_t o = {0};
    const char *name = NULL;
    size_t positional_len;
    err_t e = options_parse(options, argc - 1, argv + 1, &o, &name, 1, &positional_len, why);
    if (e) return e;
    if (o.help)
        return cmd_help("troupe config [ROLE]",
                        "Prints the component file of a role: every key, what it means, its "
                        "default. Without a role:\n"
                        "which roles have one.\n\n"
                        "    troupe config kubelet > /etc/troupe/kubelet.yaml",
                        options);
    if (!name) return list_roles();
    const role_t *role = role_find(name);
    if (!role || !role->config)
        return why_set(why, ERR_NOT_FOUND, "no role %s with a component file", name);
    text_t out = TEXT_HEAP;
    role_print_config(&out, role);
    fputs(text_str(&out), stdout);
    text_done(&out);
    return ERR_OK;
}
