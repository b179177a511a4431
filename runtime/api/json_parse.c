// JSON text -> tree (RFC 8259). The text is copied into the arena once; strings are unescaped in
// that copy and end in a NUL where their closing quote stood, so a string costs no allocation.
#include "runtime/api/node.h"
#include "runtime/base/utf8.h"

typedef struct {
    arena_t *arena;
    char *at, *end; // end[0] is a NUL
    uint32_t line;
    size_t nodes, nodes_max;
    int depth;
    why_t *why;
} parser_t;

static err_t refuse(const parser_t *p, err_t err, const char *what) {
    return why_set(p->why, err, "line %u: %s", p->line, what);
}

static err_t unexpected(const parser_t *p, const char *wanted) {
    if (p->at >= p->end)
        return why_set(p->why, ERR_MALFORMED, "line %u: unexpected end of JSON input", p->line);
    char shown[8];
    size_t len;
    utf8_at(p->at, (size_t)(p->end - p->at), &len);
    snprintf(shown, sizeof shown, "%.*s", (int)len, p->at);
    return why_set(p->why, ERR_MALFORMED, "line %u: invalid character '%s' looking for %s", p->line,
                   shown, wanted);
}

static void skip_space(parser_t *p) {
    for (; p->at < p->end; p->at++) {
        if (*p->at == '\n')
            p->line++;
        else if (*p->at != ' ' && *p->at != '\t' && *p->at != '\r')
            return;
    }
}

// ---- strings ------------------------------------------------------------------------------------
// What stops
// the fast walk through a string: quote, backslash, control characters.
static const bool STOPS[256] = {['"'] = true, ['\\'] = true, [0 ... 0x1f] = true};

static bool read_hex4(const char *s, uint32_t *ret_v) {
    uint32_t v = 0;
    for (int i = 0; i < 4; i++) {
        char c = s[i];
        int digit = c >= '0' && c <= '9'                 ? c - '0'
                    : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                         : -1;
        if (digit < 0) return false;
        v = v << 4 | (uint32_t)digit;
    }
    *ret_v = v;
    return true;
}

// \uXXXX, or a pair of them; a lone half becomes U+FFFD, as in Go.
static err_t read_unicode(parser_t *p, char **out) {
    uint32_t c, low;
    if (p->end - p->at < 4 || !read_hex4(p->at, &c))
        return refuse(p, ERR_MALFORMED, "invalid \\u escape in a string");
    p->at += 4;
    if (c == 0) return refuse(p, ERR_MALFORMED, "a NUL character in a string");
    if (c >= 0xd800 && c < 0xe000) {
        bool pair = c < 0xdc00 && p->end - p->at >= 6 && p->at[0] == '\\' && p->at[1] == 'u' &&
                    read_hex4(p->at + 2, &low) && low >= 0xdc00 && low < 0xe000;
        c = pair ? 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00) : 0xfffd;
        if (pair) p->at += 6;
    }
    *out += utf8_put(c, *out); // never longer than its escape
    return ERR_OK;
}

static err_t read_escape(parser_t *p, char **out) {
    static const char FROM[] = "\"\\/bfnrt", TO[] = "\"\\/\b\f\n\r\t";
    char c = p->at < p->end ? *p->at++ : 0;
    if (c == 'u') return read_unicode(p, out);
    const char *found = c ? strchr(FROM, c) : NULL;
    if (!found) return refuse(p, ERR_MALFORMED, "invalid escape in a string");
    *(*out)++ = TO[found - FROM];
    return ERR_OK;
}

// p->at is behind the opening quote.
static err_t read_string(parser_t *p, const char **ret_text, size_t *ret_len) {
    char *start = p->at, *out;
    char *at = p->at;
    while (!STOPS[(uint8_t)*at]) at++; // the NUL at the end stops it as well
    for (out = p->at = at; p->at < p->end && *p->at != '"';) {
        if ((uint8_t)*p->at < 0x20)
            return refuse(p, ERR_MALFORMED, "a control character in a string");
        if (*p->at != '\\') {
            *out++ = *p->at++;
            continue;
        }
        p->at++;
        err_t err = read_escape(p, &out);
        if (err) return err;
    }
    if (p->at >= p->end) return refuse(p, ERR_MALFORMED, "unexpected end of JSON input");
    p->at++; // the quote; `out` is at or before it
    *out = 0;
    *ret_text = start;
    *ret_len = (size_t)(out - start);
    return ERR_OK;
}

// ---- values -------------------------------------------------------------------------------------
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static err_t read_number(parser_t *p, node_t *n) {
    const char *start = p->at;
    if (*p->at == '-') p->at++;
    if (!is_digit(*p->at)) return unexpected(p, "a number");
    if (*p->at == '0')
        p->at++;
    else
        while (is_digit(*p->at)) p->at++;
    if (*p->at == '.') {
        p->at++;
        if (!is_digit(*p->at)) return unexpected(p, "digits behind the decimal point");
        while (is_digit(*p->at)) p->at++;
    }
    if (*p->at == 'e' || *p->at == 'E') {
        p->at++;
        if (*p->at == '+' || *p->at == '-') p->at++;
        if (!is_digit(*p->at)) return unexpected(p, "an exponent");
        while (is_digit(*p->at)) p->at++;
    }
    n->type = NODE_NUMBER;
    n->text = start;
    n->text_len = (size_t)(p->at - start);
    return ERR_OK;
}

static err_t read_word(parser_t *p, node_t *n) {
    static const struct {
        const char *word;
        uint8_t type;
        bool is_true;
    } WORDS[] = {{"true", NODE_BOOL, true},
                 {"false", NODE_BOOL, false},
                 {"null", NODE_NULL, false}};
    for (size_t i = 0; i < LENGTH_OF(WORDS); i++) {
        size_t len = strlen(WORDS[i].word);
        if ((size_t)(p->end - p->at) < len || memcmp(p->at, WORDS[i].word, len) != 0) continue;
        p->at += len;
        n->type = WORDS[i].type;
        n->is_true = WORDS[i].is_true;
        return ERR_OK;
    }
    return unexpected(p, "beginning of value");
}

static err_t read_value(parser_t *p, node_t *n);

static err_t read_key(parser_t *p, node_t *n) {
    if (*p->at != '"') return unexpected(p, "beginning of object key string");
    p->at++;
    size_t len;
    err_t err = read_string(p, &n->key, &len);
    if (err) return err;
    n->key_len = (uint32_t)len;
    skip_space(p);
    if (*p->at != ':') return unexpected(p, "':' behind an object key");
    p->at++;
    skip_space(p);
    return ERR_OK;
}

static err_t read_children(parser_t *p, node_t *n) {
    bool is_map = *p->at++ == '{';
    char close = is_map ? '}' : ']';
    n->type = is_map ? NODE_MAP : NODE_LIST;
    if (++p->depth > NODE_DEPTH_MAX) return refuse(p, ERR_TOO_LARGE, "nested too deeply");
    skip_space(p);
    bool first = true;
    while (*p->at != close || p->at >= p->end) {
        if (!first) {
            if (*p->at != ',') return unexpected(p, is_map ? "',' or '}'" : "',' or ']'");
            p->at++;
            skip_space(p);
        }
        first = false;
        node_t *child = node_new(p->arena, NODE_NULL);
        if (!child) return refuse(p, ERR_TOO_LARGE, "needs too much memory");
        err_t err = is_map ? read_key(p, child) : ERR_OK;
        if (err || (err = read_value(p, child))) return err;
        node_add(n, child);
        n->weight += child->weight;
        skip_space(p);
    }
    p->at++;
    p->depth--;
    return ERR_OK;
}

static err_t read_value(parser_t *p, node_t *n) {
    if (++p->nodes > p->nodes_max) return refuse(p, ERR_TOO_LARGE, "too many values");
    n->line = p->line;
    switch (*p->at) {
    case '{':
    case '[': return read_children(p, n);
    case '"':
        p->at++;
        n->type = NODE_STRING;
        return read_string(p, &n->text, &n->text_len);
    case '-':
    case '0' ... '9': return read_number(p, n);
    default: return read_word(p, n);
    }
}

static err_t start(parser_t *p, arena_t *arena, const char *text, size_t len, size_t nodes_max,
                   why_t *why) {
    *p = (parser_t){.arena = arena, .line = 1, .nodes_max = nodes_max, .why = why};
    if (!utf8_is_valid(text, len)) return refuse(p, ERR_MALFORMED, "the text is not UTF-8");
    p->at = arena_strndup(arena, text, len);
    if (!p->at) return refuse(p, ERR_TOO_LARGE, "needs too much memory");
    p->end = p->at + len;
    skip_space(p);
    return ERR_OK;
}

static err_t read_root(parser_t *p, node_t **ret_node) {
    node_t *root = node_new(p->arena, NODE_NULL);
    if (!root) return refuse(p, ERR_TOO_LARGE, "needs too much memory");
    p->nodes = 0;
    err_t err = read_value(p, root);
    if (err) return err;
    skip_space(p);
    *ret_node = root;
    return ERR_OK;
}

err_t node_parse_json(arena_t *arena, const char *text, size_t len, size_t nodes_max,
                      node_t **ret_node, why_t *why) {
    parser_t p;
    node_t *root;
    err_t err = start(&p, arena, text, len, nodes_max, why);
    if (err || (err = read_root(&p, &root))) return err;
    if (p.at < p.end) return unexpected(&p, "the end, after the top-level value");
    *ret_node = root;
    return ERR_OK;
}

err_t node_parse_jsons(arena_t *arena, const char *text, size_t len, size_t nodes_max,
                       size_t documents_max, nodes_t *ret_documents, why_t *why) {
    parser_t p;
    nodes_t documents = {0};
    err_t err = start(&p, arena, text, len, nodes_max, why);
    while (!err && p.at < p.end) {
        node_t *root;
        if (documents.len == documents_max) return refuse(&p, ERR_TOO_LARGE, "too many documents");
        if ((err = read_root(&p, &root))) return err;
        if (!nodes_add(arena, &documents, root))
            return refuse(&p, ERR_TOO_LARGE, "needs too much memory");
    }
    if (err == ERR_OK) *ret_documents = documents;
    return err;
}
