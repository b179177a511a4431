#include "cli/troupe/options.h"
#include "runtime/base/vec.h"
#include "runtime/io/config_tree.h"
#include <errno.h>

enum { HELP_COLUMN = 26 };

static const option_t *find_long(const option_t *table, const char *name, size_t len) {
    for (const option_t *o = table; o->name; o++)
        if (strlen(o->name) == len && strncmp(o->name, name, len) == 0) return o;
    return NULL;
}

static const option_t *find_letter(const option_t *table, char letter) {
    for (const option_t *o = table; o->name; o++)
        if (letter && o->letter == letter) return o;
    return NULL;
}

static err_t unknown(const option_t *table, const char *arg, why_t *why) {
    VEC(const char *) known = {0};
    for (const option_t *o = table; o->name; o++)
        if (o->help) vec_push(&known, o->name);
    const char *near = config_nearest(arg + strspn(arg, "-"), known.at, known.len);
    vec_done(&known);
    if (near) return why_set(why, ERR_USAGE, "%s: unknown option; did you mean --%s?", arg, near);
    return why_set(why, ERR_USAGE, "%s: unknown option", arg);
}

static err_t set_value(const option_t *o, const char *value, void *ret_struct, why_t *why) {
    void *at = (char *)ret_struct + o->offset;
    char *end;
    switch (o->type) {
    case OPTION_FLAG: *(bool *)at = true; return ERR_OK;
    case OPTION_STRING: *(const char **)at = value; return ERR_OK;
    case OPTION_COUNT:
        errno = 0;
        *(int64_t *)at = strtoll(value, &end, 10);
        if (end == value || *end || errno || *(int64_t *)at < 0)
            return why_set(why, ERR_USAGE, "--%s: \"%s\" is not a whole number", o->name, value);
        return ERR_OK;
    }
    abort();
}

err_t options_parse(const option_t *table, int argc, char **argv, void *ret_struct,
                    const char **positional, size_t positional_max, size_t *ret_positional_len,
                    why_t *why) {
    size_t positional_len = 0;
    bool only_positional = false;
    for (int i = 0; i < argc; i++) {
        const char *arg = argv[i], *value = NULL;
        if (only_positional || arg[0] != '-' || !arg[1]) {
            if (positional_len == positional_max)
                return why_set(why, ERR_USAGE, "%s: unexpected argument", arg);
            positional[positional_len++] = arg;
            continue;
        }
        if (streq(arg, "--")) {
            only_positional = true;
            continue;
        }
        const option_t *o;
        if (arg[1] == '-') {
            size_t len = strcspn(arg + 2, "=");
            o = find_long(table, arg + 2, len);
            if (arg[2 + len] == '=') value = arg + 2 + len + 1;
        } else {
            o = find_letter(table, arg[1]);
            if (arg[2]) value = arg + 2;
        }
        if (!o) return unknown(table, arg, why);
        if (o->type == OPTION_FLAG && value)
            return why_set(why, ERR_USAGE, "--%s takes no value", o->name);
        if (o->type != OPTION_FLAG && !value) {
            if (i + 1 == argc)
                return why_set(why, ERR_USAGE, "--%s needs a value: %s", o->name, o->value);
            value = argv[++i];
        }
        err_t e = set_value(o, value, ret_struct, why);
        if (e) return e;
    }
    *ret_positional_len = positional_len;
    return ERR_OK;
}

void options_help(text_t *out, const option_t *table) {
    for (const option_t *o = table; o->name; o++) {
        if (!o->help) continue;
        size_t line = out->len;
        if (o->letter)
            text_addf(out, "  -%c, --%s", o->letter, o->name);
        else
            text_addf(out, "      --%s", o->name);
        if (o->value) text_addf(out, " %s", o->value);
        text_add(out, "  ");
        text_pad(out, HELP_COLUMN, line);
        text_addf(out, "%s\n", o->help);
    }
}
