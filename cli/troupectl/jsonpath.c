#include "cli/troupectl/jsonpath.h"
#include "runtime/base/vec.h"
#include <ctype.h>

// An expression is walked left to right; each step maps a set of nodes to the next set. Nodes are
// borrowed from the tree, which outlives the call.
typedef struct {
    const char *at, *end;   // what is left of the expression
    json_t *root, *current; // "$" and "@"
    why_t *why;
} path_t;
typedef VEC(json_t *) nodes_t;

static err_t bad(path_t *p, const char *what) {
    return why_set(p->why, ERR_USAGE, "jsonpath: %s at \"%.*s\"", what, (int)(p->end - p->at),
                   p->at);
}

static void skip_blanks(path_t *p) {
    while (p->at < p->end && isspace((unsigned char)*p->at)) p->at++;
}

static bool take_char(path_t *p, char c) {
    skip_blanks(p);
    if (p->at >= p->end || *p->at != c) return false;
    p->at++;
    return true;
}

static void push_children(nodes_t *out, json_t *node) {
    const char *key;
    json_t *value;
    size_t i;
    if (json_is_object(node)) json_object_foreach(node, key, value) vec_push(out, value);
    if (json_is_array(node)) json_array_foreach(node, i, value) vec_push(out, value);
}

static void push_descendants(nodes_t *out, json_t *node) {
    if (out->len > JSONPATH_RESULTS_MAX) return;
    vec_push(out, node);
    nodes_t children = {0};
    push_children(&children, node);
    for (size_t i = 0; i < children.len; i++) push_descendants(out, children.at[i]);
    vec_done(&children);
}

static void step_field(nodes_t *nodes, const char *name, size_t len) {
    nodes_t next = {0};
    for (size_t i = 0; i < nodes->len; i++) {
        if (len == 1 && *name == '*')
            push_children(&next, nodes->at[i]);
        else {
            json_t *value = json_object_getn(nodes->at[i], name, len);
            if (value) vec_push(&next, value);
        }
    }
    vec_done(nodes);
    *nodes = next;
}

// ---- filters: [?(@.a == "b")] ------------------------------------------------------------------

static err_t walk(path_t *p, nodes_t *nodes);

static err_t read_operand(path_t *p, json_t *node, json_t **ret_value) { // *returned*, may be NULL
    skip_blanks(p);
    *ret_value = NULL;
    if (p->at >= p->end) return bad(p, "value missing");
    if (*p->at == '"' || *p->at == '\'') {
        char quote = *p->at++;
        const char *from = p->at;
        while (p->at < p->end && *p->at != quote) p->at++;
        if (p->at >= p->end) return bad(p, "unterminated string");
        *ret_value = json_stringn(from, (size_t)(p->at++ - from));
        return ERR_OK;
    }
    if (*p->at == '@' || *p->at == '$') {
        nodes_t found = {0};
        vec_push(&found, *p->at == '@' ? node : p->root);
        p->at++;
        err_t err = walk(p, &found);
        if (!err && found.len) *ret_value = json_incref(found.at[0]);
        vec_done(&found);
        return err;
    }
    const char *from = p->at;
    while (p->at < p->end && !strchr(" )=!<>", *p->at)) p->at++;
    size_t len = (size_t)(p->at - from);
    if (len == 0) return bad(p, "value missing");
    json_error_t ignored;
    *ret_value = json_loadb(from, len, JSON_DECODE_ANY, &ignored);
    return *ret_value ? ERR_OK : bad(p, "not a value");
}

static int compare(json_t *a, json_t *b, bool *ret_comparable) {
    *ret_comparable = true;
    if (json_is_number(a) && json_is_number(b)) {
        double x = json_number_value(a), y = json_number_value(b);
        return (x > y) - (x < y);
    }
    if (json_is_string(a) && json_is_string(b))
        return strcmp(json_string_value(a), json_string_value(b));
    if (json_equal(a, b)) return 0;
    *ret_comparable = json_is_boolean(a) && json_is_boolean(b);
    return 1;
}

static err_t filter_holds(path_t p, json_t *node, const char **ret_end, bool *ret_holds) {
    json_t *left = NULL, *right = NULL;
    err_t err = read_operand(&p, node, &left);
    skip_blanks(&p);
    static const char *const operators[] = {"==", "!=", "<=", ">=", "<", ">"};
    size_t op = LENGTH_OF(operators);
    for (size_t i = 0; i < LENGTH_OF(operators) && op == LENGTH_OF(operators); i++)
        if ((size_t)(p.end - p.at) >= strlen(operators[i]) && has_prefix(p.at, operators[i]))
            op = i;
    if (!err && op == LENGTH_OF(operators)) {
        *ret_holds = left != NULL; // [?(@.x)]: is it there?
    } else if (!err) {
        p.at += strlen(operators[op]);
        err = read_operand(&p, node, &right);
        bool comparable = false;
        int order = left && right ? compare(left, right, &comparable) : 1;
        bool ok[] = {comparable && order == 0, left && right && order != 0,
                     comparable && order <= 0, comparable && order >= 0,
                     comparable && order < 0,  comparable && order > 0};
        *ret_holds = ok[op];
    }
    json_decref(left);
    json_decref(right);
    if (!err && (!take_char(&p, ')') || !take_char(&p, ']'))) err = bad(&p, "filter wants \")]\"");
    *ret_end = p.at;
    return err;
}

static err_t step_filter(path_t *p, nodes_t *nodes) {
    nodes_t next = {0}, candidates = {0};
    for (size_t i = 0; i < nodes->len; i++) push_children(&candidates, nodes->at[i]);
    const char *end = NULL;
    bool holds;
    // One look even with no candidate, so that the expression is always read and checked.
    json_t *nobody = json_null();
    err_t err = filter_holds(*p, candidates.len ? candidates.at[0] : nobody, &end, &holds);
    for (size_t i = 0; i < candidates.len && !err; i++) {
        err = filter_holds(*p, candidates.at[i], &end, &holds);
        if (!err && holds) vec_push(&next, candidates.at[i]);
    }
    vec_done(&candidates);
    vec_done(nodes);
    *nodes = next;
    if (!err) p->at = end;
    return err;
}

// ---- steps -------------------------------------------------------------------------------------

static bool read_index(path_t *p, long *ret_value) {
    skip_blanks(p);
    char *end;
    *ret_value = strtol(p->at, &end, 10);
    if (end == p->at) return false;
    p->at = end;
    return true;
}

static err_t step_index(path_t *p, nodes_t *nodes) {
    long from = 0, to = 0, stride = 1;
    bool has_from = read_index(p, &from), is_slice = take_char(p, ':'),
         has_to = is_slice && read_index(p, &to);
    if (is_slice && take_char(p, ':') && (!read_index(p, &stride) || stride < 1))
        return bad(p, "step must be positive");
    if (!has_from && !is_slice) return bad(p, "index missing");
    if (!take_char(p, ']')) return bad(p, "want \"]\"");
    nodes_t next = {0};
    for (size_t n = 0; n < nodes->len; n++) {
        long len = (long)json_array_size(nodes->at[n]);
        long low = from < 0 ? from + len : from;
        long high = !is_slice ? low + 1 : !has_to ? len : to < 0 ? to + len : to;
        for (long i = low < 0 ? (is_slice ? 0 : len) : low; i < high && i < len; i += stride)
            vec_push(&next, json_array_get(nodes->at[n], (size_t)i));
    }
    vec_done(nodes);
    *nodes = next;
    return ERR_OK;
}

static err_t step_bracket(path_t *p, nodes_t *nodes) {
    skip_blanks(p);
    if (p->at < p->end && *p->at == '*') {
        p->at++;
        step_field(nodes, "*", 1);
        return take_char(p, ']') ? ERR_OK : bad(p, "want \"]\"");
    }
    if (p->at + 1 < p->end && p->at[0] == '?' && p->at[1] == '(') {
        p->at += 2;
        return step_filter(p, nodes);
    }
    if (p->at < p->end && (*p->at == '\'' || *p->at == '"')) {
        char quote = *p->at++;
        const char *from = p->at;
        while (p->at < p->end && *p->at != quote) p->at++;
        if (p->at >= p->end) return bad(p, "unterminated name");
        step_field(nodes, from, (size_t)(p->at++ - from));
        return take_char(p, ']') ? ERR_OK : bad(p, "want \"]\"");
    }
    return step_index(p, nodes);
}

static err_t step_dot(path_t *p, nodes_t *nodes) {
    if (p->at < p->end && *p->at == '.') { // "..name": at any depth
        p->at++;
        nodes_t deep = {0};
        for (size_t i = 0; i < nodes->len; i++) push_descendants(&deep, nodes->at[i]);
        vec_done(nodes);
        *nodes = deep;
        if (p->at < p->end && *p->at == '[') return ERR_OK;
    }
    // A backslash takes the next character as it is: ".metadata.labels.app\.kubernetes\.io/name".
    char name[512];
    size_t len = 0;
    while (p->at < p->end && !strchr(".[ )=!<>}", *p->at)) {
        if (*p->at == '\\' && p->at + 1 < p->end) p->at++;
        if (len == sizeof name - 1) return bad(p, "name too long");
        name[len++] = *p->at++;
    }
    if (len) step_field(nodes, name, len);
    return ERR_OK;
}

static err_t walk(path_t *p, nodes_t *nodes) {
    err_t err = ERR_OK;
    while (!err && p->at < p->end) {
        if (*p->at == '.') {
            p->at++;
            err = step_dot(p, nodes);
        } else if (*p->at == '[') {
            p->at++;
            err = step_bracket(p, nodes);
        } else
            break;
        if (nodes->len > JSONPATH_RESULTS_MAX)
            err = why_set(p->why, ERR_TOO_LARGE, "jsonpath: too many results");
    }
    return err;
}

static void add_value(text_t *out, json_t *value) {
    if (json_is_string(value)) {
        text_add(out, json_string_value(value));
        return;
    }
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    text_add(out, text ? text : "");
    free(text);
}

static err_t find_nodes(path_t *p, nodes_t *found) {
    skip_blanks(p);
    json_t *from = p->current;
    if (p->at < p->end && (*p->at == '$' || *p->at == '@'))
        from = *p->at++ == '$' ? p->root : p->current;
    else if (p->at < p->end && *p->at != '.' && *p->at != '[') {
        vec_push(found, from);
        return step_dot(p, found);
    }
    vec_push(found, from);
    return walk(p, found);
}

err_t jsonpath_value(const char *expression, json_t *root, const char *join, text_t *out,
                     size_t *ret_found, why_t *why) {
    size_t len = strlen(expression);
    if (len >= 2 && expression[0] == '{' && expression[len - 1] == '}') expression++, len -= 2;
    path_t p = {expression, expression + len, root, root, why};
    nodes_t found = {0};
    err_t err = find_nodes(&p, &found);
    skip_blanks(&p);
    if (!err && p.at < p.end) err = bad(&p, "cannot read on");
    for (size_t i = 0; i < found.len && !err; i++) {
        if (i) text_add(out, join);
        add_value(out, found.at[i]);
    }
    if (!err && ret_found) *ret_found = found.len;
    vec_done(&found);
    return err;
}

// ---- templates ---------------------------------------------------------------------------------

static err_t print_literal(path_t *p, text_t *out) {
    char quote = *p->at++;
    while (p->at < p->end && *p->at != quote) {
        char c = *p->at++;
        if (c == '\\' && p->at < p->end) {
            c = *p->at++;
            c = c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
        }
        text_addc(out, c);
    }
    return take_char(p, quote) ? ERR_OK : bad(p, "unterminated string");
}

static const char *find_close(const char *at) { // the '}' of the '{' just before `at`
    char quote = 0;
    for (; *at; at++) {
        if (quote) {
            if (*at == '\\' && at[1])
                at++;
            else if (*at == quote)
                quote = 0;
        } else if (*at == '"' || *at == '\'')
            quote = *at;
        else if (*at == '}')
            return at;
    }
    return NULL;
}

// The text between {range …} and its {end}; nested ranges are counted.
static const char *find_end(const char *at, const char **ret_after) {
    for (int depth = 1; (at = strchr(at, '{'));) {
        const char *close = find_close(at + 1), *word = at + 1;
        if (!close) return NULL;
        while (isspace((unsigned char)*word)) word++;
        if (has_prefix(word, "range ")) depth++;
        if (has_prefix(word, "end") && --depth == 0) {
            *ret_after = close + 1;
            return at;
        }
        at = close + 1;
    }
    return NULL;
}

static err_t print_template(const char *at, const char *end, json_t *root, json_t *current,
                            bool strict, text_t *out, why_t *why);

static err_t print_range(path_t *p, const char *body, const char *body_end, bool strict,
                         text_t *out) {
    nodes_t found = {0};
    err_t err = find_nodes(p, &found);
    for (size_t i = 0; i < found.len && !err; i++)
        err = print_template(body, body_end, p->root, found.at[i], strict, out, p->why);
    vec_done(&found);
    return err;
}

static err_t print_part(path_t *p, bool strict, text_t *out) {
    skip_blanks(p);
    if (p->at < p->end && (*p->at == '"' || *p->at == '\'')) return print_literal(p, out);
    nodes_t found = {0};
    const char *expression = p->at;
    err_t err = find_nodes(p, &found);
    skip_blanks(p);
    if (!err && p->at < p->end) err = bad(p, "cannot read on");
    if (!err && strict && found.len == 0)
        err = why_set(p->why, ERR_NOT_FOUND, "jsonpath: %.*s is not found",
                      (int)(p->end - expression), expression);
    for (size_t i = 0; i < found.len && !err; i++) {
        if (i) text_addc(out, ' ');
        add_value(out, found.at[i]);
    }
    vec_done(&found);
    return err;
}

static err_t print_template(const char *at, const char *end, json_t *root, json_t *current,
                            bool strict, text_t *out, why_t *why) {
    err_t err = ERR_OK;
    while (at < end && !err) {
        if (*at != '{') {
            text_addc(out, *at++);
            continue;
        }
        const char *close = find_close(at + 1);
        if (!close || close > end)
            return why_set(why, ERR_USAGE, "jsonpath: unclosed \"{\" at \"%s\"", at);
        path_t p = {at + 1, close, root, current, why};
        skip_blanks(&p);
        at = close + 1;
        if (p.end - p.at > 6 && has_prefix(p.at, "range ")) {
            const char *after, *body_end = find_end(at, &after);
            if (!body_end) return why_set(why, ERR_USAGE, "jsonpath: {range} without {end}");
            p.at += 6;
            err = print_range(&p, at, body_end, strict, out);
            at = after;
        } else {
            err = print_part(&p, strict, out);
        }
    }
    return err;
}

err_t jsonpath_print(const char *template_, json_t *root, bool strict, text_t *out, why_t *why) {
    return print_template(template_, template_ + strlen(template_), root, root, strict, out, why);
}
