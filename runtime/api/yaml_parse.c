// YAML text -> trees, over libyaml's events, with the meaning that Go's yaml.v2 gives to scalars
// (YAML 1.1: yes and on are booleans, 0644 is octal), because that is what manifests are written
// for.
//
// An alias shares the subtree that its anchor names: memory stays linear in the text, and the
// weight of the subtree counts against the budget each time, which stops an alias bomb. An anchor
// is known only once it is complete, so no tree can contain itself.
#include "runtime/api/node.h"
#include "runtime/api/special.h"
#include "runtime/base/map.h"
#include <errno.h>
#include <math.h>
#include <yaml.h>

typedef struct {
    arena_t *arena;
    yaml_parser_t yaml;
    yaml_event_t event; // the one we look at; always valid once started
    map_t anchors;      // name -> node_t of this document
    size_t weight, nodes_max;
    int depth;
    why_t *why;
} parser_t;

static err_t refuse(const parser_t *p, err_t err, const char *what) {
    return why_set(p->why, err, "line %zu: %s", p->event.start_mark.line + 1, what);
}

static err_t next_event(parser_t *p) {
    yaml_event_delete(&p->event);
    if (yaml_parser_parse(&p->yaml, &p->event)) return ERR_OK;
    memset(&p->event, 0, sizeof p->event);
    const char *problem = p->yaml.problem ? p->yaml.problem : "cannot be read";
    size_t line = p->yaml.problem_mark.line;
    if (p->yaml.error == YAML_READER_ERROR) line = p->yaml.mark.line;
    return why_set(p->why, ERR_MALFORMED, "line %zu: %s%s%s", line + 1, problem,
                   p->yaml.context ? " " : "", p->yaml.context ? p->yaml.context : "");
}

// ---- what a plain scalar is ---------------------------------------------------------------------
typedef enum {
    WORD_STRING,
    WORD_NULL,
    WORD_TRUE,
    WORD_FALSE,
    WORD_INT,
    WORD_FLOAT,
    WORD_TIME,
    WORD_MERGE,
    WORD_NOT_FINITE
} word_t;

static bool is_one_of(const char *s, size_t len, const char *words) {
    for (const char *at = words; *at;) {
        size_t word = strcspn(at, " ");
        if (word == len && memcmp(at, s, len) == 0) return true;
        at += word + (at[word] == ' ');
    }
    return false;
}

// Go's ParseInt(s, 0, 64) or ParseUint, underscores taken out before.
static bool parse_int(const char *s, bool *ret_negative, uint64_t *ret_v) {
    bool negative = *s == '-';
    if (*s == '-' || *s == '+') s++;
    int base = 10;
    if (s[0] == '0' && s[1]) {
        char kind = (char)(s[1] | 32);
        base = kind == 'x' ? 16 : kind == 'b' ? 2 : 8;
        s += kind == 'x' || kind == 'b' || kind == 'o' ? 2 : 1;
    }
    if (!*s) return false;
    uint64_t v = 0;
    for (; *s; s++) {
        char c = *s >= 'A' && *s <= 'F' ? (char)(*s | 32) : *s;
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
        if (digit >= base || __builtin_mul_overflow(v, (uint64_t)base, &v) ||
            __builtin_add_overflow(v, (uint64_t)digit, &v))
            return false;
    }
    if (negative && v > (uint64_t)INT64_MAX + 1) return false;
    *ret_negative = negative && v;
    *ret_v = v;
    return true;
}

// [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?
static bool looks_like_float(const char *s) {
    if (*s == '-' || *s == '+') s++;
    size_t whole = strspn(s, "0123456789"), fraction = 0;
    s += whole;
    if (*s == '.') s++, s += fraction = strspn(s, "0123456789");
    if (!whole && !fraction) return false;
    if (*s == 'e' || *s == 'E') {
        s++;
        if (*s == '-' || *s == '+') s++;
        size_t exponent = strspn(s, "0123456789");
        if (!exponent) return false;
        s += exponent;
    }
    return !*s;
}

static bool take_digits(const char **s, int least, int most) {
    int n = 0;
    while (n < most && **s >= '0' && **s <= '9') (*s)++, n++;
    return n >= least;
}

// "2006-1-2", with a time behind it in the three forms that yaml.v2 knows. It stays a string, but
// is quoted when written.
static bool looks_like_time(const char *s) {
    if (!take_digits(&s, 4, 4) || *s++ != '-' || !take_digits(&s, 1, 2) || *s++ != '-' ||
        !take_digits(&s, 1, 2))
        return false;
    if (!*s) return true;
    char separator = *s++;
    if (separator != 'T' && separator != 't' && separator != ' ') return false;
    if (!take_digits(&s, 1, 2) || *s++ != ':' || !take_digits(&s, 1, 2) || *s++ != ':' ||
        !take_digits(&s, 1, 2))
        return false;
    if (*s == '.') {
        s++;
        if (!take_digits(&s, 1, 64)) return false;
    }
    if (separator == ' ') return !*s;
    if (*s == 'Z') return !s[1];
    return (*s == '+' || *s == '-') && s++ && take_digits(&s, 2, 2) && *s++ == ':' &&
           take_digits(&s, 2, 2) && !*s;
}

enum { NUMBER_TEXT_MAX = 128 }; // longer words are no numbers that anybody means

static word_t word_of(const char *s, size_t len, bool *ret_negative, uint64_t *ret_int) {
    if (len == 0) return WORD_NULL;
    if (!strchr("+-.0123456789yYnNtTfFoO~<", s[0])) return WORD_STRING; // most words end here
    if (is_one_of(s, len, "~ null Null NULL")) return WORD_NULL;
    if (is_one_of(s, len, "y Y yes Yes YES true True TRUE on On ON")) return WORD_TRUE;
    if (is_one_of(s, len, "n N no No NO false False FALSE off Off OFF")) return WORD_FALSE;
    if (is_one_of(s, len, "<<")) return WORD_MERGE;
    if (!strchr("+-.0123456789", s[0])) return WORD_STRING;
    if (is_one_of(s, len, ".nan .NaN .NAN .inf .Inf .INF +.inf +.Inf +.INF -.inf -.Inf -.INF"))
        return WORD_NOT_FINITE;
    char plain[NUMBER_TEXT_MAX];
    if (len >= sizeof plain) return WORD_STRING;
    memcpy(plain, s, len);
    plain[len] = 0;
    if (s[0] != '.' && looks_like_time(plain)) return WORD_TIME;
    size_t kept = 0;
    for (size_t i = 0; i < len; i++)
        if (s[i] != '_' || s[0] == '.') plain[kept++] = s[i];
    plain[kept] = 0;
    if (s[0] != '.' && parse_int(plain, ret_negative, ret_int)) return WORD_INT;
    return looks_like_float(plain) ? WORD_FLOAT : WORD_STRING;
}

bool node_yaml_is_plain_string(const char *text, size_t len) {
    bool negative;
    uint64_t v;
    return word_of(text, len, &negative, &v) == WORD_STRING;
}

// ---- scalars ------------------------------------------------------------------------------------
static void set_text(parser_t *p, node_t *n, node_type_t type, const char *text, size_t len) {
    n->type = (uint8_t)type;
    n->text = arena_strndup(p->arena, text, len);
    n->text_len = len;
}

// The shortest text that reads back as the same number, in Go's JSON form (1e+21).
static void set_float(parser_t *p, node_t *n, const char *text) {
    char out[64];
    double v = strtod(text, NULL);
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(out, sizeof out, "%.*g", digits, v);
        if (strtod(out, NULL) == v) break;
    }
    if (strchr(out, 'e') && fabs(v) < 1e21 && fabs(v) >= 1e-6) snprintf(out, sizeof out, "%.0f", v);
    set_text(p, n, NODE_NUMBER, out, strlen(out));
}

static err_t set_word(parser_t *p, node_t *n, const char *text, size_t len) {
    bool negative = false;
    uint64_t v = 0;
    char out[NUMBER_TEXT_MAX];
    switch (word_of(text, len, &negative, &v)) {
    case WORD_NULL: n->type = NODE_NULL; break;
    case WORD_TRUE:
    case WORD_FALSE:
        n->type = NODE_BOOL;
        n->is_true = word_of(text, len, &negative, &v) == WORD_TRUE;
        break;
    case WORD_INT: {
        uint64_t shown = negative ? -v : v;
        int digits = negative ? snprintf(out, sizeof out, "%lld", (long long)shown)
                              : snprintf(out, sizeof out, "%llu", (unsigned long long)shown);
        set_text(p, n, NODE_NUMBER, out, (size_t)digits);
        break;
    }
    case WORD_FLOAT: {
        size_t kept = 0;
        for (size_t i = 0; i < len; i++)
            if (text[i] != '_') out[kept++] = text[i];
        out[kept] = 0;
        if (!isfinite(strtod(out, NULL))) return refuse(p, ERR_MALFORMED, "a number out of range");
        set_float(p, n, out);
        break;
    }
    case WORD_NOT_FINITE: return refuse(p, ERR_MALFORMED, "infinity and NaN have no form in JSON");
    case WORD_STRING:
    case WORD_TIME:
    case WORD_MERGE: set_text(p, n, NODE_STRING, text, len); break;
    }
    return ERR_OK;
}

static err_t set_binary(parser_t *p, node_t *n, const char *text, size_t len) {
    uint8_t *out = arena_alloc(p->arena, len + 1);
    size_t done;
    if (!out || special_base64_parse(text, len, out, &done) || memchr(out, 0, done))
        return refuse(p, ERR_MALFORMED, "!!binary value contains invalid base64 data");
    set_text(p, n, NODE_STRING, (char *)out, done);
    return ERR_OK;
}

static err_t read_scalar(parser_t *p, node_t *n) {
    const char *text = (const char *)p->event.data.scalar.value,
               *tag = (const char *)p->event.data.scalar.tag;
    size_t len = p->event.data.scalar.length;
    if (memchr(text, 0, len)) return refuse(p, ERR_MALFORMED, "a NUL character in a string");
    bool plain = p->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (!tag || streq(tag, "!")) {
        if (plain && !tag) return set_word(p, n, text, len);
        set_text(p, n, NODE_STRING, text, len);
        return ERR_OK;
    }
    const char *prefix = "tag:yaml.org,2002:";
    const char *kind = has_prefix(tag, prefix) ? tag + strlen(prefix) : "";
    if (streq(kind, "str") || streq(kind, "timestamp"))
        return set_text(p, n, NODE_STRING, text, len), ERR_OK;
    if (streq(kind, "binary")) return set_binary(p, n, text, len);
    err_t err = set_word(p, n, text, len);
    bool fits = (streq(kind, "int") || streq(kind, "float")) ? n->type == NODE_NUMBER
                : streq(kind, "bool")                        ? n->type == NODE_BOOL
                : streq(kind, "null")                        ? n->type == NODE_NULL
                                                             : false;
    if (!err && !fits) return refuse(p, ERR_MALFORMED, "a value that does not fit its tag");
    return err;
}

// ---- trees --------------------------------------------------------------------------------------
static err_t read_node(parser_t *p, node_t *n);

static err_t grow(parser_t *p, size_t weight) {
    p->weight += weight;
    return p->weight > p->nodes_max
               ? refuse(p, ERR_TOO_LARGE,
                        "too many values (aliases count as often as they are used)")
               : ERR_OK;
}

static err_t read_alias(parser_t *p, node_t *n) {
    const node_t *target = map_get(&p->anchors, (const char *)p->event.data.alias.anchor);
    if (!target)
        return why_set(p->why, ERR_MALFORMED,
                       "line %zu: unknown anchor '%s', or one that contains itself",
                       p->event.start_mark.line + 1, p->event.data.alias.anchor);
    err_t err = grow(p, target->weight);
    if (err) return err;
    node_t own = *n;
    *n = *target; // children are shared
    n->key = own.key;
    n->key_len = own.key_len;
    n->next = NULL;
    n->line = own.line;
    return ERR_OK;
}

// A key as JSON has it: numbers and booleans become their text.
static err_t read_key(parser_t *p, node_t *child, bool *ret_merge) {
    if (p->event.type != YAML_SCALAR_EVENT)
        return refuse(p, ERR_MALFORMED, "a key that is neither a string nor a number");
    node_t key = {0};
    bool plain = p->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE && !p->event.data.scalar.tag;
    err_t err = read_scalar(p, &key);
    if (err) return err;
    if (key.type == NODE_NULL) return refuse(p, ERR_MALFORMED, "an empty key");
    *ret_merge = plain && key.type == NODE_STRING && streq(key.text, "<<");
    child->key = key.type == NODE_BOOL ? (key.is_true ? "true" : "false") : key.text;
    child->key_len = (uint32_t)strlen(child->key);
    child->line = (uint32_t)p->event.start_mark.line + 1;
    return grow(p, 1);
}

enum {
    MERGES_MAX = 16,        // "<<" keys of one map
    MERGED_KEYS_MAX = 1000, // keys of a map that takes part in a merge: each is looked for in turn
};

// "<<: *defaults": what the merged map has and this one has not.
static err_t merge_into(parser_t *p, node_t *map, const node_t *merged) {
    if (merged->type == NODE_LIST) {
        for (const node_t *c = merged->first; c; c = c->next) {
            err_t err = c->type == NODE_MAP
                            ? merge_into(p, map, c)
                            : refuse(p, ERR_MALFORMED,
                                     "map merge requires map or sequence of maps as the value");
            if (err) return err;
        }
        return ERR_OK;
    }
    if (merged->type != NODE_MAP)
        return refuse(p, ERR_MALFORMED, "map merge requires map or sequence of maps as the value");
    if (node_len(map) > MERGED_KEYS_MAX || node_len(merged) > MERGED_KEYS_MAX)
        return refuse(p, ERR_TOO_LARGE, "too many keys to merge");
    for (const node_t *c = merged->first; c; c = c->next) {
        if (node_get(map, c->key)) continue;
        node_t *own = arena_dup(p->arena, c, sizeof *c);
        if (!own) return refuse(p, ERR_TOO_LARGE, "needs too much memory");
        own->next = NULL;
        node_add(map, own);
        map->weight += own->weight;
    }
    return ERR_OK;
}

static err_t read_map(parser_t *p, node_t *n) {
    node_t *merges[MERGES_MAX];
    size_t n_merges = 0;
    n->type = NODE_MAP;
    err_t err = next_event(p);
    while (!err && p->event.type != YAML_MAPPING_END_EVENT) {
        node_t *child = node_new(p->arena, NODE_NULL);
        bool merge = false;
        if (!child) return refuse(p, ERR_TOO_LARGE, "needs too much memory");
        if ((err = read_key(p, child, &merge)) || (err = next_event(p)) ||
            (err = read_node(p, child)))
            return err;
        if (!merge)
            node_add(n, child), n->weight += child->weight;
        else if (n_merges == MERGES_MAX)
            return refuse(p, ERR_TOO_LARGE, "too many merge keys in one map");
        else
            merges[n_merges++] = child;
    }
    for (size_t i = 0; !err && i < n_merges; i++) err = merge_into(p, n, merges[i]);
    return err;
}

static err_t read_list(parser_t *p, node_t *n) {
    n->type = NODE_LIST;
    err_t err = next_event(p);
    while (!err && p->event.type != YAML_SEQUENCE_END_EVENT) {
        node_t *child = node_new(p->arena, NODE_NULL);
        if (!child) return refuse(p, ERR_TOO_LARGE, "needs too much memory");
        child->line = (uint32_t)p->event.start_mark.line + 1;
        if ((err = read_node(p, child))) return err;
        node_add(n, child);
        n->weight += child->weight;
    }
    return err;
}

// Reads the node whose first event is p->event; leaves the event behind it in p->event.
static err_t read_node(parser_t *p, node_t *n) {
    const yaml_char_t *name = NULL;
    err_t err = grow(p, 1);
    if (err) return err;
    if (!n->line) n->line = (uint32_t)p->event.start_mark.line + 1;
    n->weight = 1;
    if (p->event.type == YAML_ALIAS_EVENT) {
        if ((err = read_alias(p, n))) return err;
        return next_event(p);
    }
    if (++p->depth > NODE_DEPTH_MAX) return refuse(p, ERR_TOO_LARGE, "nested too deeply");
    if (p->event.type == YAML_SCALAR_EVENT) name = p->event.data.scalar.anchor;
    if (p->event.type == YAML_SEQUENCE_START_EVENT) name = p->event.data.sequence_start.anchor;
    if (p->event.type == YAML_MAPPING_START_EVENT) name = p->event.data.mapping_start.anchor;
    char *anchor = name ? arena_strdup(p->arena, (const char *)name) : NULL;
    if (anchor) map_remove(&p->anchors, anchor);
    switch (p->event.type) {
    case YAML_SCALAR_EVENT: err = read_scalar(p, n); break;
    case YAML_MAPPING_START_EVENT: err = read_map(p, n); break;
    case YAML_SEQUENCE_START_EVENT: err = read_list(p, n); break;
    default: err = refuse(p, ERR_MALFORMED, "a value is missing");
    }
    p->depth--;
    if (err) return err;
    if (anchor) map_put(&p->anchors, anchor, n);
    return next_event(p);
}

static err_t read_documents(parser_t *p, size_t documents_max, nodes_t *documents) {
    err_t err = next_event(p);
    while (!err && p->event.type != YAML_STREAM_END_EVENT) {
        if (p->event.type != YAML_DOCUMENT_START_EVENT) {
            err = next_event(p);
            continue;
        }
        if (documents->len == documents_max) return refuse(p, ERR_TOO_LARGE, "too many documents");
        node_t *root = node_new(p->arena, NODE_NULL);
        if (!root) return refuse(p, ERR_TOO_LARGE, "needs too much memory");
        p->weight = 0;
        if ((err = next_event(p)) || (err = read_node(p, root))) return err;
        if (!nodes_add(p->arena, documents, root))
            return refuse(p, ERR_TOO_LARGE, "needs too much memory");
        map_done(&p->anchors);
        p->anchors = (map_t){0};
    }
    return err;
}

err_t node_parse_yaml(arena_t *arena, const char *text, size_t len, size_t nodes_max,
                      size_t documents_max, nodes_t *ret_documents, why_t *why) {
    parser_t p = {.arena = arena, .nodes_max = nodes_max, .why = why};
    if (!yaml_parser_initialize(&p.yaml))
        return why_set(why, ERR_INTERNAL, "libyaml has no memory");
    yaml_parser_set_input_string(&p.yaml, (const unsigned char *)text, len);
    yaml_parser_set_encoding(&p.yaml, YAML_UTF8_ENCODING);
    nodes_t documents = {0};
    err_t err = read_documents(&p, documents_max, &documents);
    yaml_event_delete(&p.event);
    yaml_parser_delete(&p.yaml);
    map_done(&p.anchors);
    if (err == ERR_OK) *ret_documents = documents;
    return err;
}
