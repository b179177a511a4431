// Label selectors. The grammar, as Kubernetes' labels.Parse reads it:
//
//     selector    = [ requirement { "," requirement } ]
//     requirement = [ "!" ] key | key ( "=" | "==" | "!=" | "<" | ">" ) [ value ]
//                 | key ( "in" | "notin" ) "(" [ value ] { "," [ value ] } ")"
#include "runtime/api/selector.h"
#include "runtime/api/names.h"

typedef enum { OP_EXISTS, OP_NOT_EXISTS, OP_IN, OP_NOT_IN, OP_GREATER, OP_LESS } op_t;
typedef struct {
    const char *key;
    op_t op;
    const char *const *values;
    size_t n_values;
} requirement_t;

struct selector {
    bool nothing; // made from no message: selects no object at all
    requirement_t *at;
    size_t len;
};
enum { REQUIREMENTS_MAX = 1000, VALUES_MAX = 10000 }; // of one selector, of one requirement

// ---- words --------------------------------------------------------------------------------------
typedef enum {
    TOKEN_END,
    TOKEN_WORD,
    TOKEN_COMMA,
    TOKEN_OPEN,
    TOKEN_CLOSE,
    TOKEN_NOT,
    TOKEN_EQUALS,
    TOKEN_NOT_EQUALS,
    TOKEN_GREATER,
    TOKEN_LESS,
    TOKEN_BAD
} token_t;

typedef struct {
    arena_t *arena;
    const char *at; // what comes behind the token we look at
    token_t token;
    const char *text; // of the token
    why_t *why;
    selector_t *sel;
    size_t cap;
} parser_t;

static void advance(parser_t *p) {
    static const struct {
        const char *text;
        token_t token;
    } SYMBOLS[] = {{"!=", TOKEN_NOT_EQUALS}, {"==", TOKEN_EQUALS}, {"=", TOKEN_EQUALS},
                   {"!", TOKEN_NOT},         {",", TOKEN_COMMA},   {"(", TOKEN_OPEN},
                   {")", TOKEN_CLOSE},       {">", TOKEN_GREATER}, {"<", TOKEN_LESS}};
    p->at += strspn(p->at, " \t\r\n");
    p->text = "";
    p->token = TOKEN_END;
    if (!*p->at) return;
    for (size_t i = 0; i < LENGTH_OF(SYMBOLS); i++)
        if (has_prefix(p->at, SYMBOLS[i].text)) {
            p->token = SYMBOLS[i].token;
            p->text = SYMBOLS[i].text;
            p->at += strlen(p->text);
            return;
        }
    size_t len = strcspn(p->at, " \t\r\n!=,()<>");
    p->token = TOKEN_WORD;
    p->text = arena_strndup(p->arena, p->at, len);
    p->at += len;
    if (!p->text) p->token = TOKEN_BAD, p->text = "";
}

static err_t expected(parser_t *p, const char *what) {
    return why_set(p->why, ERR_BAD_REQUEST, "found '%s', expected: %s", p->text, what);
}

static err_t expected_in_requirement(parser_t *p, const char *what) {
    return why_wrap(p->why, expected(p, what), "unable to parse requirement");
}

// ---- requirements -------------------------------------------------------------------------------
static err_t bad_value(why_t *why, const char *value, const char *rule) {
    return why_set(why, ERR_BAD_REQUEST, "<nil>: Invalid value: \"%s\": %s", value, rule);
}

static bool is_integer(const char *s, int64_t *ret_v) {
    char *end;
    if (!*s || strspn(s, "+-0123456789") != strlen(s)) return false;
    *ret_v = strtoll(s, &end, 10);
    return !*end;
}

static int value_cmp(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static err_t check(const requirement_t *r, why_t *why) {
    const char *rule = name_check_qualified(r->key);
    if (rule) return bad_value(why, r->key, rule);
    if ((r->op == OP_IN || r->op == OP_NOT_IN) && !r->n_values)
        return why_set(
            why, ERR_BAD_REQUEST,
            "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty");
    for (size_t i = 0; i < r->n_values; i++) {
        int64_t number;
        if ((r->op == OP_GREATER || r->op == OP_LESS) && !is_integer(r->values[i], &number))
            return why_set(why, ERR_BAD_REQUEST,
                           "values[%zu]: Invalid value: \"%s\": for 'Gt', 'Lt' operators, the "
                           "value must be an integer",
                           i, r->values[i]);
        if ((rule = name_check_label_value(r->values[i])))
            return bad_value(why, r->values[i], rule);
    }
    return ERR_OK;
}

static err_t add(parser_t *p, const requirement_t *r) {
    err_t err = check(r, p->why);
    if (err) return err;
    selector_t *sel = p->sel;
    if (sel->len == REQUIREMENTS_MAX)
        return why_set(p->why, ERR_TOO_LARGE, "a selector of more than %d requirements",
                       REQUIREMENTS_MAX);
    if (sel->len == p->cap) {
        requirement_t *grown =
            ARENA_ARRAY(p->arena, requirement_t, p->cap = p->cap ? p->cap * 2 : 4);
        if (!grown) return why_set(p->why, ERR_TOO_LARGE, "needs too much memory");
        if (sel->len) memcpy(grown, sel->at, sel->len * sizeof *grown);
        sel->at = grown;
    }
    if (r->n_values) qsort((void *)r->values, r->n_values, sizeof *r->values, value_cmp);
    sel->at[sel->len++] = *r;
    return ERR_OK;
}

// ( a, b, ) – the opening parenthesis is the token we look at.
static err_t read_values(parser_t *p, requirement_t *r) {
    if (p->token != TOKEN_OPEN) return expected_in_requirement(p, "'('");
    size_t cap = 4;
    const char **values = ARENA_ARRAY(p->arena, const char *, cap);
    advance(p);
    for (bool more = true; more;) {
        if (p->token != TOKEN_WORD && p->token != TOKEN_COMMA && p->token != TOKEN_CLOSE)
            return expected_in_requirement(p, "',', ')' or identifier");
        if (r->n_values == VALUES_MAX)
            return why_set(p->why, ERR_TOO_LARGE, "more than %d values", VALUES_MAX);
        if (r->n_values == cap) {
            const char **grown = ARENA_ARRAY(p->arena, const char *, cap * 2);
            if (grown) memcpy(grown, values, cap * sizeof *grown);
            values = grown;
            cap *= 2;
        }
        if (!values) return why_set(p->why, ERR_TOO_LARGE, "needs too much memory");
        values[r->n_values++] = p->token == TOKEN_WORD ? p->text : "";
        if (p->token == TOKEN_WORD) advance(p);
        more = p->token == TOKEN_COMMA;
        if (more) advance(p);
    }
    if (p->token != TOKEN_CLOSE) return expected_in_requirement(p, "',' or ')'");
    advance(p);
    r->values = values;
    return ERR_OK;
}

static err_t read_operator(parser_t *p, requirement_t *r) {
    token_t token = p->token;
    bool is_word = token == TOKEN_WORD;
    if (is_word && (streq(p->text, "in") || streq(p->text, "notin"))) {
        r->op = streq(p->text, "in") ? OP_IN : OP_NOT_IN;
        advance(p);
        return read_values(p, r);
    }
    if (token != TOKEN_EQUALS && token != TOKEN_NOT_EQUALS && token != TOKEN_GREATER &&
        token != TOKEN_LESS)
        return expected_in_requirement(p, "in, notin, =, ==, !=, gt, lt");
    r->op = token == TOKEN_EQUALS       ? OP_IN
            : token == TOKEN_NOT_EQUALS ? OP_NOT_IN
            : token == TOKEN_GREATER    ? OP_GREATER
                                        : OP_LESS;
    const char **value = ARENA_NEW(p->arena, const char *);
    if (!value) return why_set(p->why, ERR_TOO_LARGE, "needs too much memory");
    *value = "";
    advance(p);
    if (p->token == TOKEN_WORD) {
        *value = p->text;
        advance(p);
    } else if (p->token != TOKEN_END && p->token != TOKEN_COMMA) {
        return expected_in_requirement(p, "identifier");
    }
    r->values = value;
    r->n_values = 1;
    return ERR_OK;
}

static err_t read_requirement(parser_t *p) {
    requirement_t r = {.op = OP_EXISTS};
    if (p->token == TOKEN_NOT) {
        r.op = OP_NOT_EXISTS;
        advance(p);
    }
    if (p->token != TOKEN_WORD) return expected_in_requirement(p, "identifier");
    r.key = p->text;
    advance(p);
    if (r.op == OP_EXISTS && p->token != TOKEN_END && p->token != TOKEN_COMMA) {
        err_t err = read_operator(p, &r);
        if (err) return err;
    }
    err_t err = add(p, &r);
    return err == ERR_BAD_REQUEST ? why_wrap(p->why, err, "unable to parse requirement") : err;
}

err_t selector_parse(arena_t *arena, const char *text, const selector_t **ret_sel, why_t *why) {
    parser_t p = {.arena = arena, .at = text, .why = why, .sel = ARENA_NEW(arena, selector_t)};
    if (!p.sel) return why_set(why, ERR_TOO_LARGE, "needs too much memory");
    advance(&p);
    while (p.token != TOKEN_END) {
        if (p.token != TOKEN_WORD && p.token != TOKEN_NOT)
            return expected(&p, "!, identifier, or 'end of string'");
        err_t err = read_requirement(&p);
        if (err) return err;
        if (p.token == TOKEN_END) break;
        if (p.token != TOKEN_COMMA) return expected(&p, "',' or 'end of string'");
        advance(&p);
        if (p.token != TOKEN_WORD && p.token != TOKEN_NOT)
            return expected(&p, "identifier after ','");
    }
    *ret_sel = p.sel;
    return ERR_OK;
}

// ---- from messages ------------------------------------------------------------------------------
static err_t add_expression(parser_t *p, const Meta__LabelSelectorRequirement *e) {
    static const struct {
        const char *name;
        op_t op;
    } OPERATORS[] = {{"In", OP_IN},
                     {"NotIn", OP_NOT_IN},
                     {"Exists", OP_EXISTS},
                     {"DoesNotExist", OP_NOT_EXISTS}};
    for (size_t i = 0; i < LENGTH_OF(OPERATORS); i++) {
        if (!streq(or_empty(e->operator_), OPERATORS[i].name)) continue;
        requirement_t r = {.key = arena_strdup(p->arena, or_empty(e->key)),
                           .op = OPERATORS[i].op,
                           .n_values = e->n_values};
        const char **values = ARENA_ARRAY(p->arena, const char *, e->n_values);
        if (!values) return why_set(p->why, ERR_TOO_LARGE, "needs too much memory");
        for (size_t v = 0; v < e->n_values; v++)
            values[v] = arena_strdup(p->arena, or_empty(e->values[v]));
        r.values = values;
        return add(p, &r);
    }
    return why_set(p->why, ERR_BAD_REQUEST, "\"%s\" is not a valid label selector operator",
                   or_empty(e->operator_));
}

err_t selector_from_message(arena_t *arena, const Meta__LabelSelector *msg,
                            const selector_t **ret_sel, why_t *why) {
    parser_t p = {.arena = arena, .why = why, .sel = ARENA_NEW(arena, selector_t)};
    if (!p.sel) return why_set(why, ERR_TOO_LARGE, "needs too much memory");
    p.sel->nothing = !msg;
    for (size_t i = 0; msg && i < msg->n_matchlabels; i++) {
        const char **value = ARENA_NEW(arena, const char *);
        if (!value) return why_set(why, ERR_TOO_LARGE, "needs too much memory");
        *value = arena_strdup(arena, or_empty(msg->matchlabels[i]->value));
        requirement_t r = {arena_strdup(arena, or_empty(msg->matchlabels[i]->key)), OP_IN, value,
                           1};
        err_t err = add(&p, &r);
        if (err) return err;
    }
    for (size_t i = 0; msg && i < msg->n_matchexpressions; i++) {
        err_t err = add_expression(&p, msg->matchexpressions[i]);
        if (err) return err;
    }
    *ret_sel = p.sel;
    return ERR_OK;
}

// ---- matching -----------------------------------------------------------------------------------
static bool has_value(const requirement_t *r, const char *value) {
    return bsearch(&value, r->values, r->n_values, sizeof *r->values, value_cmp) != NULL;
}

static bool holds(const requirement_t *r, const char *value) {
    int64_t have, bound;
    switch (r->op) {
    case OP_EXISTS: return value != NULL;
    case OP_NOT_EXISTS: return value == NULL;
    case OP_IN: return value && has_value(r, value);
    case OP_NOT_IN: return !value || !has_value(r, value);
    case OP_GREATER:
    case OP_LESS:
        if (!value || !is_integer(value, &have) || !is_integer(r->values[0], &bound)) return false;
        return r->op == OP_GREATER ? have > bound : have < bound;
    }
    return false;
}

bool selector_matches_labels(const selector_t *sel, Meta__ObjectMeta__LabelsEntry *const *labels,
                             size_t len) {
    if (sel->nothing) return false;
    for (size_t i = 0; i < sel->len; i++) {
        const char *value = NULL;
        for (size_t k = 0; k < len && !value; k++)
            if (streq(or_empty(labels[k]->key), sel->at[i].key)) value = or_empty(labels[k]->value);
        if (!holds(&sel->at[i], value)) return false;
    }
    return true;
}

bool selector_matches(const selector_t *sel, const ProtobufCMessage *obj) {
    const Meta__ObjectMeta *meta = object_meta_read(obj);
    return selector_matches_labels(sel, meta->labels, meta->n_labels);
}
