#include "cli/options/options.h"
#include "runtime/io/config_tree.h"
#include <errno.h>

enum { HELP_COLUMN = 32 };

// ---- rows --------------------------------------------------------------------------------------

static bool is_named(const char *names, const char *name) {
    size_t len = strlen(name);
    if (!names) return true;
    for (const char *at = names; (at = strstr(at, name)); at += len)
        if ((at == names || at[-1] == ' ') && (at[len] == 0 || at[len] == ' ')) return true;
    return false;
}

const option_t *options_next(option_set_t set, size_t *at) {
    while (set.table[*at].name) {
        const option_t *o = &set.table[(*at)++];
        if (is_named(set.names, o->name)) return o;
    }
    return NULL;
}

typedef struct {
    const option_set_t *sets;
    size_t sets_len;
    void *into;
    why_t *why;
} reading_t;

static const option_t *find(const reading_t *r, const char *name, size_t len, char letter) {
    for (size_t i = 0; i < r->sets_len; i++) {
        const option_t *o;
        for (size_t at = 0; (o = options_next(r->sets[i], &at));)
            if (letter ? o->letter == letter
                       : strlen(o->name) == len && memcmp(o->name, name, len) == 0)
                return o;
    }
    return NULL;
}

static err_t unknown(const reading_t *r, const char *name, size_t len) {
    words_t known = {0};
    for (size_t i = 0; i < r->sets_len; i++) {
        const option_t *o;
        for (size_t at = 0; (o = options_next(r->sets[i], &at));)
            if (o->help) vec_push(&known, o->name);
    }
    char *typed CLEANUP(free_charp) = str_dup_n(name, len);
    const char *near = config_nearest(typed, known.at, known.len);
    vec_done(&known);
    return near ? why_set(r->why, ERR_USAGE, "unknown flag: --%s; did you mean --%s?", typed, near)
                : why_set(r->why, ERR_USAGE, "unknown flag: --%s", typed);
}

// ---- values ------------------------------------------------------------------------------------

static err_t invalid(const reading_t *r, const option_t *o, const char *value, const char *want) {
    return why_set(r->why, ERR_USAGE, "invalid argument \"%s\" for \"--%s\" flag: want %s", value,
                   o->name, want);
}

// value NULL: a flag given without one.
static err_t set_value(const reading_t *r, const option_t *o, const char *value) {
    void *at = (char *)r->into + o->offset;
    char *end;
    switch (o->type) {
    case OPTION_FLAG:
        if (value && !streq(value, "true") && !streq(value, "false"))
            return invalid(r, o, value, "true or false");
        *(bool *)at = !value || streq(value, "true");
        return ERR_OK;
    case OPTION_STRING: *(const char **)at = value; return ERR_OK;
    case OPTION_STRINGS: vec_push((words_t *)at, value); return ERR_OK;
    case OPTION_COUNT:
        errno = 0;
        *(int64_t *)at = strtoll(value, &end, 10);
        if (end == value || *end || errno || *(int64_t *)at < 0)
            return invalid(r, o, value, "a whole number");
        return ERR_OK;
    }
    abort();
}

static err_t read_letters(const reading_t *r, int argc, const char *const *argv, int *at) {
    const char *word = argv[*at];
    for (const char *p = word + 1; *p; p++) {
        const option_t *o = find(r, NULL, 0, *p);
        if (!o) return why_set(r->why, ERR_USAGE, "unknown shorthand flag: '%c' in %s", *p, word);
        if (o->type == OPTION_FLAG && p[1] != '=') {
            (void)set_value(r, o, NULL);
            continue;
        }
        const char *value = p[1] == '=' ? p + 2 : p + 1;
        if (!*value && p[1] != '=') {
            if (*at + 1 >= argc)
                return why_set(r->why, ERR_USAGE, "flag needs an argument: '%c' in %s", *p, word);
            value = argv[++*at];
        }
        return set_value(r, o, value);
    }
    return ERR_OK;
}

static err_t read_name(const reading_t *r, int argc, const char *const *argv, int *at) {
    const char *name = argv[*at] + 2, *equals = strchr(name, '=');
    size_t len = equals ? (size_t)(equals - name) : strlen(name);
    const option_t *o = find(r, name, len, 0);
    if (!o) return unknown(r, name, len);
    if (equals || o->type == OPTION_FLAG || o->default_)
        return set_value(r, o, equals ? equals + 1 : o->default_);
    if (*at + 1 >= argc) return why_set(r->why, ERR_USAGE, "flag needs an argument: --%s", o->name);
    return set_value(r, o, argv[++*at]);
}

// ---- all of them -------------------------------------------------------------------------------

err_t options_read(const option_set_t *sets, size_t sets_len, int argc, const char *const *argv,
                   void *ret_struct, words_t *ret_words, words_t *ret_rest, why_t *why) {
    reading_t r = {sets, sets_len, ret_struct, why};
    for (int i = 0; i < argc; i++) {
        err_t err = ERR_OK;
        if (streq(argv[i], "--"))
            while (++i < argc) vec_push(ret_rest, argv[i]);
        else if (has_prefix(argv[i], "--"))
            err = read_name(&r, argc, argv, &i);
        else if (argv[i][0] == '-' && argv[i][1])
            err = read_letters(&r, argc, argv, &i);
        else
            vec_push(ret_words, argv[i]);
        if (err) return err;
    }
    return ERR_OK;
}

err_t options_parse(const option_t *table, int argc, char **argv, void *ret_struct,
                    const char **positional, size_t positional_max, size_t *ret_positional_len,
                    why_t *why) {
    words_t words = {0};
    option_set_t all = {table, NULL};
    err_t err =
        options_read(&all, 1, argc, (const char *const *)argv, ret_struct, &words, &words, why);
    if (!err && words.len > positional_max)
        err = why_set(why, ERR_USAGE, "%s: unexpected argument", words.at[positional_max]);
    if (!err) {
        if (words.len) memcpy(positional, words.at, words.len * sizeof *words.at);
        *ret_positional_len = words.len;
    }
    vec_done(&words);
    return err;
}

// ---- help --------------------------------------------------------------------------------------

void options_help_set(text_t *out, option_set_t set) {
    const option_t *o;
    for (size_t at = 0; (o = options_next(set, &at));) {
        if (!o->help) continue;
        size_t line = out->len;
        if (o->letter)
            text_addf(out, "  -%c, --%s", o->letter, o->name);
        else
            text_addf(out, "      --%s", o->name);
        if (o->value) text_addf(out, o->default_ ? "[=%s]" : "=%s", o->value);
        text_addc(out, ' ');
        text_pad(out, HELP_COLUMN, line);
        text_addf(out, "%s\n", o->help);
    }
}

void options_help(text_t *out, const option_t *table) {
    options_help_set(out, (option_set_t){table, NULL});
}
