#include "runtime/api/node.h"

node_t *node_new(arena_t *arena, node_type_t type) {
    node_t *n = ARENA_NEW(arena, node_t);
    if (n) n->type = (uint8_t)type, n->weight = 1;
    return n;
}

node_t *node_str(arena_t *arena, const char *text) {
    node_t *n = node_new(arena, NODE_STRING);
    if (!n) return NULL;
    n->text = arena_strdup(arena, text);
    n->text_len = strlen(text);
    return n;
}

static bool has_children(const node_t *n) {
    return n && (n->type == NODE_LIST || n->type == NODE_MAP);
}

node_t *node_dup(arena_t *arena, const node_t *n) {
    if (!n) return NULL;
    node_t *copy = arena_dup(arena, n, sizeof *n);
    copy->next = NULL;
    if (!has_children(n)) return copy;
    copy->first = copy->last = NULL;
    for (const node_t *c = n->first; c; c = c->next) node_add(copy, node_dup(arena, c));
    return copy;
}

node_t *node_get(const node_t *map, const char *key) {
    if (!map || map->type != NODE_MAP) return NULL;
    size_t len = strlen(key);
    node_t *found = NULL; // the last one wins, as in Go
    for (node_t *c = map->first; c; c = c->next)
        if (c->key_len == len && memcmp(c->key, key, len) == 0) found = c;
    return found;
}

const char *node_get_str(const node_t *map, const char *key) {
    const node_t *n = node_get(map, key);
    return n && n->type == NODE_STRING ? n->text : NULL;
}

void node_add(node_t *parent, node_t *child) {
    assert(has_children(parent) && child && !child->next);
    if (parent->last)
        parent->last->next = child;
    else
        parent->first = child;
    parent->last = child;
}

bool node_unlink(node_t *parent, const node_t *child) {
    assert(has_children(parent));
    node_t *before = NULL;
    for (node_t *c = parent->first; c; before = c, c = c->next) {
        if (c != child) continue;
        if (before)
            before->next = c->next;
        else
            parent->first = c->next;
        if (parent->last == c) parent->last = before;
        c->next = NULL;
        return true;
    }
    return false;
}

bool node_remove(node_t *map, const char *key) {
    bool any = false;
    for (node_t *c; (c = node_get(map, key)); any = true) node_unlink(map, c);
    return any;
}

void node_put(arena_t *arena, node_t *map, const char *key, node_t *value) {
    assert(map->type == NODE_MAP && value);
    node_t *old = node_get(map, key);
    if (old) {
        node_t *next = old->next;
        const char *kept = old->key;
        uint32_t kept_len = old->key_len;
        *old = *value;
        old->next = next;
        old->key = kept;
        old->key_len = kept_len;
        return;
    }
    value->key = arena_strdup(arena, key);
    value->key_len = (uint32_t)strlen(key);
    value->next = NULL;
    node_add(map, value);
}

size_t node_len(const node_t *n) {
    size_t len = 0;
    if (has_children(n))
        for (const node_t *c = n->first; c; c = c->next) len++;
    return len;
}

static bool same_text(const node_t *a, const node_t *b) {
    return a->text_len == b->text_len &&
           (a->text_len == 0 || memcmp(a->text, b->text, a->text_len) == 0);
}

static int key_cmp(const void *a, const void *b) {
    const node_t *x = *(const node_t *const *)a, *y = *(const node_t *const *)b;
    int order = strcmp(x->key, y->key);
    return order ? order : (x->line > y->line) - (x->line < y->line);
}

static const node_t **sorted_by_key(const node_t *map, size_t len) {
    const node_t **at = mem_new((len + 1) * sizeof *at);
    size_t i = 0;
    for (const node_t *c = map->first; c; c = c->next) at[i++] = c;
    qsort(at, len, sizeof *at, key_cmp);
    return at;
}

static bool maps_equal(const node_t *a, const node_t *b) {
    size_t len = node_len(a);
    if (len != node_len(b)) return false;
    const node_t **x = sorted_by_key(a, len), **y = sorted_by_key(b, len);
    bool equal = true;
    for (size_t i = 0; equal && i < len; i++)
        equal = streq(x[i]->key, y[i]->key) && node_equal(x[i], y[i]);
    free(x);
    free(y);
    return equal;
}

bool node_equal(const node_t *a, const node_t *b) {
    if (!a || !b) return a == b;
    if (a->type != b->type) return false;
    switch ((node_type_t)a->type) {
    case NODE_NULL: return true;
    case NODE_BOOL: return a->is_true == b->is_true;
    case NODE_NUMBER:
    case NODE_STRING: return same_text(a, b);
    case NODE_LIST: {
        const node_t *x = a->first, *y = b->first;
        for (; x && y; x = x->next, y = y->next)
            if (!node_equal(x, y)) return false;
        return !x && !y;
    }
    case NODE_MAP: return maps_equal(a, b);
    }
    return false;
}

size_t node_repeated(const node_t *map, const node_t **ret_nodes, size_t max) {
    size_t len = node_len(map), found = 0;
    const node_t **sorted = sorted_by_key(map, len);
    for (size_t i = 1; i < len && found < max; i++)
        if (streq(sorted[i - 1]->key, sorted[i]->key)) ret_nodes[found++] = sorted[i];
    free(sorted);
    return found;
}

bool node_is_int(const node_t *n, int64_t *ret_v) {
    if (!n || n->type != NODE_NUMBER || n->text_len == 0) return false;
    size_t i = n->text[0] == '-';
    bool negative = i == 1;
    if (i == n->text_len) return false;
    int64_t v = 0;
    for (; i < n->text_len; i++) {
        if (n->text[i] < '0' || n->text[i] > '9') return false;
        int64_t digit = n->text[i] - '0';
        if (__builtin_mul_overflow(v, 10, &v)) return false;
        if (negative ? __builtin_sub_overflow(v, digit, &v) : __builtin_add_overflow(v, digit, &v))
            return false;
    }
    *ret_v = v;
    return true;
}

const char *node_scalar_text(arena_t *arena, const node_t *n) {
    if (!n) return NULL;
    if (n->type == NODE_BOOL) return n->is_true ? "true" : "false";
    if (n->type == NODE_STRING) return n->text;
    return n->type == NODE_NUMBER ? arena_strndup(arena, n->text, n->text_len) : NULL;
}

bool nodes_add(arena_t *arena, nodes_t *nodes, node_t *n) {
    bool is_full = (nodes->len & (nodes->len - 1)) == 0; // at 0 and at each power of two
    if (is_full) {
        node_t **grown = ARENA_ARRAY(arena, node_t *, nodes->len ? nodes->len * 2 : 1);
        if (!grown) return false;
        if (nodes->len) memcpy(grown, nodes->at, nodes->len * sizeof *grown);
        nodes->at = grown;
    }
    nodes->at[nodes->len++] = n;
    return true;
}
