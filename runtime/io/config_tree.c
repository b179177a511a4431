#include "runtime/io/config_tree.h"
#include "runtime/base/text.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>

typedef struct {
    arena_t *arena;
    const char *file;
    yaml_parser_t yaml;
    why_t *why;
} reader_t;

err_t config_error(why_t *why, err_t e, const char *file, size_t line, const char *fmt, ...) {
    why_t inner;
    va_list args;
    va_start(args, fmt);
    vsnprintf(inner.text, sizeof inner.text, fmt, args);
    va_end(args);
    return why_set(why, e, "%s:%zu: %s", file, line, inner.text);
}

static size_t line_of(const yaml_mark_t *mark) { return mark->line + 1; }

static err_t syntax_error(reader_t *r) {
    const char *problem = r->yaml.problem ? r->yaml.problem : "not YAML";
    const char *context = r->yaml.context;
    return config_error(r->why, ERR_MALFORMED, r->file, line_of(&r->yaml.problem_mark), "%s%s%s",
                        problem, context ? " " : "", or_empty(context));
}

static err_t next_event(reader_t *r, yaml_event_t *event) {
    if (!yaml_parser_parse(&r->yaml, event)) return syntax_error(r);
    return ERR_OK;
}

static err_t read_node(reader_t *r, const yaml_event_t *event, int depth, config_node_t **ret);

static void chain(config_node_t *parent, config_node_t **last, config_node_t *child) {
    if (*last)
        (*last)->next = child;
    else
        parent->first = child;
    *last = child;
    parent->len++;
}

static err_t read_list(reader_t *r, config_node_t *list, int depth) {
    config_node_t *last = NULL;
    for (;;) {
        CLEANUP(yaml_event_delete) yaml_event_t event = {0};
        err_t e = next_event(r, &event);
        if (e) return e;
        if (event.type == YAML_SEQUENCE_END_EVENT) return ERR_OK;
        config_node_t *element;
        e = read_node(r, &event, depth + 1, &element);
        if (e) return e;
        chain(list, &last, element);
    }
}

static err_t read_map(reader_t *r, config_node_t *map, int depth) {
    config_node_t *last = NULL;
    for (;;) {
        CLEANUP(yaml_event_delete) yaml_event_t key = {0};
        err_t e = next_event(r, &key);
        if (e) return e;
        if (key.type == YAML_MAPPING_END_EVENT) return ERR_OK;
        size_t key_line = line_of(&key.start_mark);
        if (key.type != YAML_SCALAR_EVENT)
            return config_error(r->why, ERR_MALFORMED, r->file, key_line,
                                "a key must be a plain word");
        const char *name = (const char *)key.data.scalar.value;
        if (strlen(name) != key.data.scalar.length)
            return config_error(r->why, ERR_MALFORMED, r->file, key_line, "a key holds a NUL byte");
        const config_node_t *twin = config_node_get(map, name);
        if (twin)
            return config_error(r->why, ERR_MALFORMED, r->file, key_line,
                                "%s: given twice (first in line %zu)", name, twin->key_line);
        CLEANUP(yaml_event_delete) yaml_event_t value = {0};
        e = next_event(r, &value);
        if (e) return e;
        config_node_t *member;
        e = read_node(r, &value, depth + 1, &member);
        if (e) return e;
        member->key = arena_strdup(r->arena, name);
        member->key_line = key_line;
        chain(map, &last, member);
    }
}

static err_t read_scalar(reader_t *r, const yaml_event_t *event, config_node_t *n) {
    const char *text = (const char *)event->data.scalar.value;
    if (strlen(text) != event->data.scalar.length)
        return config_error(r->why, ERR_MALFORMED, r->file, n->line, "a value holds a NUL byte");
    n->text = arena_strdup(r->arena, text);
    n->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    return ERR_OK;
}

static err_t read_node(reader_t *r, const yaml_event_t *event, int depth, config_node_t **ret) {
    size_t line = line_of(&event->start_mark);
    if (depth > CONFIG_DEPTH_MAX)
        return config_error(r->why, ERR_TOO_LARGE, r->file, line, "nested deeper than %d levels",
                            CONFIG_DEPTH_MAX);
    config_node_t *n = ARENA_NEW(r->arena, config_node_t);
    n->line = line;
    *ret = n;
    const yaml_char_t *anchor = NULL, *tag = NULL;
    switch (event->type) {
    case YAML_SCALAR_EVENT: anchor = event->data.scalar.anchor, tag = event->data.scalar.tag; break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = event->data.sequence_start.anchor, tag = event->data.sequence_start.tag;
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = event->data.mapping_start.anchor, tag = event->data.mapping_start.tag;
        break;
    case YAML_ALIAS_EVENT:
        return config_error(r->why, ERR_MALFORMED, r->file, line,
                            "*%s: aliases are not allowed here",
                            (const char *)event->data.alias.anchor);
    default: return config_error(r->why, ERR_MALFORMED, r->file, line, "a value is missing");
    }
    if (anchor)
        return config_error(r->why, ERR_MALFORMED, r->file, line,
                            "&%s: anchors are not allowed here", (const char *)anchor);
    if (tag)
        return config_error(r->why, ERR_MALFORMED, r->file, line, "%s: tags are not allowed here",
                            (const char *)tag);
    if (event->type == YAML_SCALAR_EVENT) return read_scalar(r, event, n);
    n->kind = event->type == YAML_MAPPING_START_EVENT ? CONFIG_NODE_MAP : CONFIG_NODE_LIST;
    return n->kind == CONFIG_NODE_MAP ? read_map(r, n, depth) : read_list(r, n, depth);
}

// stream start · (document start · node · document end)? · stream end
static err_t read_stream(reader_t *r, config_node_t **ret_root) {
    config_node_t *root = NULL;
    for (;;) {
        CLEANUP(yaml_event_delete) yaml_event_t event = {0};
        err_t e = next_event(r, &event);
        if (e) return e;
        switch (event.type) {
        case YAML_STREAM_START_EVENT:
        case YAML_DOCUMENT_END_EVENT: break;
        case YAML_DOCUMENT_START_EVENT:
            if (root)
                return config_error(r->why, ERR_MALFORMED, r->file, line_of(&event.start_mark),
                                    "a second document; only one is allowed");
            break;
        case YAML_STREAM_END_EVENT:
            if (!root) {
                root = ARENA_NEW(r->arena, config_node_t);
                root->kind = CONFIG_NODE_MAP;
                root->line = 1;
            }
            *ret_root = root;
            return ERR_OK;
        default:
            e = read_node(r, &event, 1, &root);
            if (e) return e;
        }
    }
}

err_t config_tree_parse(arena_t *arena, const char *file, const char *text, size_t len,
                        config_node_t **ret_root, why_t *why) {
    assert(arena && file && ret_root);
    if (len > CONFIG_TEXT_MAX_BYTES)
        return why_set(why, ERR_TOO_LARGE, "%s: %zu bytes; at most %d are read", file, len,
                       CONFIG_TEXT_MAX_BYTES);
    reader_t r = {.arena = arena, .file = file, .why = why};
    if (!yaml_parser_initialize(&r.yaml)) abort(); // out of memory
    yaml_parser_set_input_string(&r.yaml, (const unsigned char *)text, len);
    err_t e = read_stream(&r, ret_root);
    yaml_parser_delete(&r.yaml);
    return e;
}

const config_node_t *config_node_get(const config_node_t *map, const char *key) {
    for (const config_node_t *n = map->first; n; n = n->next)
        if (n->key && streq(n->key, key)) return n;
    return NULL;
}

bool config_node_is_null(const config_node_t *n) {
    return n->kind == CONFIG_NODE_SCALAR && !n->quoted &&
           (!*n->text || streq(n->text, "~") || streq(n->text, "null"));
}

// ---- variables ---
static err_t expand_scalar(arena_t *arena, const char *file, config_node_t *n,
                           const char *(*value_of)(void *arg, const char *name), void *arg,
                           why_t *why) {
    text_t out = {.arena = arena};
    const char *at = n->text, *start;
    while ((start = strstr(at, "${"))) {
        const char *end = strchr(start, '}');
        if (!end)
            return config_error(why, ERR_INVALID, file, n->line, "%.80s: ${ without }", n->text);
        const char *name = arena_strndup(arena, start + 2, (size_t)(end - start) - 2);
        const char *value = value_of(arg, name);
        if (!value)
            return config_error(why, ERR_INVALID, file, n->line, "${%.80s}: no such variable",
                                name);
        text_addn(&out, at, (size_t)(start - at));
        text_add(&out, value);
        at = end + 1;
    }
    if (at == n->text) return ERR_OK;
    text_add(&out, at);
    n->text = text_str(&out);
    n->quoted = true;
    return ERR_OK;
}

err_t config_tree_expand(arena_t *arena, const char *file, config_node_t *root,
                         const char *(*value_of)(void *arg, const char *name), void *arg,
                         why_t *why) {
    if (root->kind == CONFIG_NODE_SCALAR)
        return expand_scalar(arena, file, root, value_of, arg, why);
    err_t e = ERR_OK;
    for (config_node_t *n = root->first; n && !e; n = n->next)
        e = config_tree_expand(arena, file, n, value_of, arg, why);
    return e;
}

// ---- scalars ------------------------------------------------------------------------------------
static bool is_bool_word(const char *text) { return streq(text, "true") || streq(text, "false"); }

static bool parse_number(const char *text, int64_t *ret) {
    if (!*text) return false;
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (*end || errno || text[0] == '+' || text[0] == ' ') return false;
    *ret = value;
    return true;
}

// A plain word that YAML takes for a number: 5, -1.5, 1e3.
static bool is_number_word(const char *text) {
    char *end;
    return (*text == '-' || *text == '.' || (*text >= '0' && *text <= '9')) &&
           (strtod(text, &end), end != text && !*end);
}

const char *config_node_kind_text(const config_node_t *n) {
    switch (n->kind) {
    case CONFIG_NODE_LIST: return "a list";
    case CONFIG_NODE_MAP: return "a map";
    case CONFIG_NODE_SCALAR: break;
    }
    if (config_node_is_null(n)) return "empty";
    if (n->quoted) return "a string";
    if (is_bool_word(n->text)) return "a boolean";
    return is_number_word(n->text) ? "a number" : "a string";
}

static const char *label(const config_node_t *n) { return n->key ? n->key : "element"; }

static err_t wants(const config_node_t *n, const char *file, const char *what, why_t *why) {
    const char *shown = n->kind == CONFIG_NODE_SCALAR && !config_node_is_null(n) ? n->text : NULL;
    if (!shown)
        return config_error(why, ERR_INVALID, file, n->line, "%s: must be %s, but is %s", label(n),
                            what, config_node_kind_text(n));
    return config_error(why, ERR_INVALID, file, n->line, "%s: must be %s, but \"%.80s\" is %s",
                        label(n), what, shown, config_node_kind_text(n));
}

err_t config_as_string(const config_node_t *n, const char *file, const char **ret, why_t *why) {
    bool plain_other = n->kind == CONFIG_NODE_SCALAR && !n->quoted &&
                       (config_node_is_null(n) || is_bool_word(n->text) || is_number_word(n->text));
    if (n->kind != CONFIG_NODE_SCALAR || plain_other)
        return wants(n, file, plain_other ? "a string (in quotes)" : "a string", why);
    *ret = n->text;
    return ERR_OK;
}

err_t config_as_int(const config_node_t *n, const char *file, int64_t *ret, why_t *why) {
    if (n->kind != CONFIG_NODE_SCALAR || n->quoted || !parse_number(n->text, ret))
        return wants(n, file, "a whole number", why);
    return ERR_OK;
}

err_t config_as_bool(const config_node_t *n, const char *file, bool *ret, why_t *why) {
    if (n->kind != CONFIG_NODE_SCALAR || n->quoted || !is_bool_word(n->text))
        return wants(n, file, "true or false", why);
    *ret = streq(n->text, "true");
    return ERR_OK;
}

// Digits, then one of the suffixes; moves *text behind both. False: not so, or past INT64_MAX.
typedef struct {
    const char *suffix;
    int64_t factor;
} unit_t;
static bool take_amount(const char **text, const unit_t *units, int64_t *ret) {
    const char *at = *text;
    if (*at < '0' || *at > '9') return false;
    char *end;
    errno = 0;
    long long count = strtoll(at, &end, 10);
    if (errno) return false;
    size_t suffix_len = strspn(end, "abcdefghijklmnopqrstuvwxyzKMGTPE");
    for (const unit_t *u = units; u->suffix; u++) {
        if (strlen(u->suffix) != suffix_len || strncmp(end, u->suffix, suffix_len) != 0) continue;
        *text = end + suffix_len;
        return !__builtin_mul_overflow(count, u->factor, ret);
    }
    return false;
}

err_t config_as_duration_ms(const config_node_t *n, const char *file, int64_t *ret, why_t *why) {
    static const unit_t units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {NULL, 0}};
    if (n->kind != CONFIG_NODE_SCALAR)
        return wants(n, file, "a duration such as 500ms or 1m30s", why);
    const char *at = n->text;
    int64_t total = 0, part;
    if (streq(at, "0")) {
        *ret = 0;
        return ERR_OK;
    }
    do {
        if (!take_amount(&at, units, &part) || __builtin_add_overflow(total, part, &total))
            return wants(n, file, "a duration such as 500ms or 1m30s", why);
    } while (*at);
    *ret = total;
    return ERR_OK;
}

err_t config_as_bytes(const config_node_t *n, const char *file, int64_t *ret, why_t *why) {
    static const unit_t units[] = {{"", 1},           {"k", 1000},       {"M", 1000000},
                                   {"G", 1000000000}, {"Ki", 1 << 10},   {"Mi", 1 << 20},
                                   {"Gi", 1 << 30},   {"Ti", 1ll << 40}, {NULL, 0}};
    if (n->kind != CONFIG_NODE_SCALAR) return wants(n, file, "a size such as 64Mi or 1500000", why);
    const char *at = n->text;
    if (!take_amount(&at, units, ret) || *at)
        return wants(n, file, "a size such as 64Mi or 1500000", why);
    return ERR_OK;
}

// ---- help for the one who mistyped --------------------------------------------------------------
enum { NEAREST_WORD_MAX = 64, NEAREST_DISTANCE_MAX = 3 };

// Levenshtein's distance, one row at a time; letter case does not count.
static size_t distance(const char *a, const char *b) {
    size_t row[NEAREST_WORD_MAX + 1], b_len = strlen(b);
    if (strlen(a) > NEAREST_WORD_MAX || b_len > NEAREST_WORD_MAX) return SIZE_MAX;
    for (size_t j = 0; j <= b_len; j++) row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < b_len; j++) {
            size_t best = diagonal + ((a[i] | 32) != (b[j] | 32));
            diagonal = row[j + 1];
            if (diagonal + 1 < best) best = diagonal + 1;
            if (row[j] + 1 < best) best = row[j] + 1;
            row[j + 1] = best;
        }
    }
    return row[b_len];
}

const char *config_nearest(const char *wrong, const char *const *known, size_t known_len) {
    const char *best = NULL;
    size_t best_distance = NEAREST_DISTANCE_MAX + 1;
    for (size_t i = 0; i < known_len; i++) {
        size_t d = distance(wrong, known[i]);
        if (d < best_distance && d * 2 <= strlen(known[i])) best = known[i], best_distance = d;
    }
    return best;
}

err_t config_load_file(const char *path, char **ret_text, size_t *ret_len, why_t *why) {
    CLEANUP(close_fdp) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return why_errno(why, errno, "%s", path);
    struct stat st;
    if (fstat(fd, &st) < 0) return why_errno(why, errno, "%s", path);
    if (!S_ISREG(st.st_mode)) return why_set(why, ERR_INVALID, "%s: not a file", path);
    if (st.st_size > CONFIG_TEXT_MAX_BYTES)
        return why_set(why, ERR_TOO_LARGE, "%s: larger than %d bytes", path, CONFIG_TEXT_MAX_BYTES);
    CLEANUP(free_charp) char *text = mem_new((size_t)st.st_size + 1);
    size_t len = 0;
    while (len < (size_t)st.st_size) {
        ssize_t n = read(fd, text + len, (size_t)st.st_size - len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return why_errno(why, errno, "%s", path);
        if (n == 0) break;
        len += (size_t)n;
    }
    *ret_len = len;
    *ret_text = x_steal(&text);
    return ERR_OK;
}
