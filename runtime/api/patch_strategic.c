// Strategic merge and three-way apply on trees. Both need to know what a list is: one value
// (atomic), a set of scalars, or a map in disguise whose items are known by a merge key. The side
// table says so (facts: merge keys).
#include "runtime/api/msg_walk.h"
#include "runtime/api/patch_tree.h"
#include "runtime/base/vec.h"

#define SET_ORDER   "$setElementOrder/"
#define DELETE_FROM "$deleteFromPrimitiveList/"
#define RETAIN_KEYS "$retainKeys"
#define DIRECTIVE   "$patch"

// What stands at a place of the tree.
typedef struct {
    enum { SHAPE_VALUE, SHAPE_MAP, SHAPE_LIST } form;
    const api_type_t *type; // of the value, of each value in a map or list; NULL: no message
    const api_field_t *row; // NULL: an element, or a field that nobody knows
} shape_t;

typedef struct {
    arena_t *arena;
    why_t *why;
    size_t work; // comparisons so far
} merge_t;

// Maps and lists are searched from their beginning: right for what people write, and bounded for
// what somebody makes up.
static err_t charge(merge_t *m, size_t one, size_t other) {
    m->work += one * other;
    return m->work > PATCH_WORK_MAX ? why_set(m->why, ERR_TOO_LARGE, "the patch is too much work")
                                    : ERR_OK;
}

static shape_t shape_of(const shape_t *parent, const char *key) {
    if (parent->form == SHAPE_MAP) return (shape_t){SHAPE_VALUE, parent->type, NULL};
    bool is_message =
        parent->form == SHAPE_VALUE && parent->type && parent->type->special == SPECIAL_NONE;
    const api_field_t *row =
        is_message ? api_field_find(parent->type, key, strlen(key), SIZE_MAX) : NULL;
    if (!row) return (shape_t){SHAPE_VALUE, NULL, NULL};
    const ProtobufCFieldDescriptor *f;
    msg_holder(NULL, parent->type->descriptor, row, &f);
    shape_t shape = {SHAPE_VALUE, api_type_at(row->type), row};
    if (row->flags & API_MAP)
        shape.form = SHAPE_MAP;
    else if (f->label == PROTOBUF_C_LABEL_REPEATED)
        shape.form = SHAPE_LIST;
    return shape;
}

static bool merges(const shape_t *s) {
    return s->form == SHAPE_LIST && s->row && (s->row->flags & API_MERGE);
}
static bool retains(const shape_t *s) { return s->row && (s->row->flags & API_RETAIN_KEYS); }

// ---- lists as arrays ----------------------------------------------------------------------------
typedef VEC(node_t *) items_t;

static void items_of(const node_t *list, items_t *items) {
    for (node_t *c = list ? list->first : NULL; c; c = c->next) vec_push(items, c);
}

static void relink(node_t *list, const items_t *items) {
    list->first = list->last = NULL;
    for (size_t i = 0; i < items->len; i++) {
        items->at[i]->next = NULL;
        node_add(list, items->at[i]);
    }
}

// Two items are the same one: by merge key, or as scalars.
static bool same_item(const node_t *a, const node_t *b, const char *merge_key) {
    if (!merge_key || a->type != NODE_MAP || b->type != NODE_MAP) return node_equal(a, b);
    const node_t *x = node_get(a, merge_key), *y = node_get(b, merge_key);
    return x && y && node_equal(x, y);
}

static long index_of(const items_t *items, const node_t *item, const char *merge_key) {
    for (size_t i = 0; i < items->len; i++)
        if (same_item(items->at[i], item, merge_key)) return (long)i;
    return -1;
}

// Kubernetes' order of a merged list: what the patch names in the patch's order, what only the
// server knows in between, each where it stood relative to its neighbours; new items go first.
static void put_in_order(items_t *merged, const items_t *wanted, const items_t *live,
                         const char *merge_key) {
    items_t named = {0}, others = {0};
    bool *taken = mem_new(merged->len + 1);
    for (size_t w = 0; w < wanted->len; w++)
        for (size_t i = 0; i < merged->len; i++)
            if (!taken[i] && same_item(merged->at[i], wanted->at[w], merge_key)) {
                vec_push(&named, merged->at[i]);
                taken[i] = true;
                break;
            }
    for (size_t i = 0; i < merged->len; i++)
        if (!taken[i]) vec_push(&others, merged->at[i]);
    size_t n = 0, o = 0;
    for (size_t i = 0; i < merged->len; i++) {
        bool other_first = n == named.len;
        if (n < named.len && o < others.len) {
            long here = index_of(live, others.at[o], merge_key),
                 there = index_of(live, named.at[n], merge_key);
            other_first = here >= 0 && there >= 0 && here < there;
        }
        merged->at[i] = other_first ? others.at[o++] : named.at[n++];
    }
    vec_done(&named);
    vec_done(&others);
    free(taken);
}

// Every item of a list that merges by key has that key.
static err_t check_items(merge_t *m, const node_t *list, const char *merge_key) {
    if (node_len(list) > PATCH_ITEMS_MAX)
        return why_set(m->why, ERR_TOO_LARGE, "a list of more than %d items does not merge",
                       PATCH_ITEMS_MAX);
    for (const node_t *c = list->first; merge_key && c; c = c->next) {
        const char *directive = node_get_str(c, DIRECTIVE);
        if (directive && streq(directive, "replace")) continue;
        if (c->type == NODE_MAP && !node_get(c, merge_key)) {
            text_t shown = {.arena = m->arena};
            node_write_json(c, &shown);
            return why_set(m->why, ERR_BAD_REQUEST,
                           "map: %.200s does not contain declared merge key: %s", text_str(&shown),
                           merge_key);
        }
    }
    return ERR_OK;
}

// ---- copies of what a patch adds ----------------------------------------------------------------
// Without directives and nulls;
// NULL when nothing is left to add.
static node_t *clean(arena_t *arena, const node_t *value) {
    if (value->type == NODE_NULL) return NULL;
    const char *directive = node_get_str(value, DIRECTIVE);
    if (directive && streq(directive, "delete")) return NULL;
    node_t *copy = arena_dup(arena, value, sizeof *value);
    copy->next = NULL;
    if (value->type != NODE_MAP && value->type != NODE_LIST) return copy;
    copy->first = copy->last = NULL;
    for (const node_t *c = value->first; c; c = c->next) {
        if (value->type == NODE_MAP && c->key[0] == '$') continue;
        node_t *inside = c->type == NODE_NULL && value->type == NODE_LIST
                             ? node_new(arena, NODE_NULL)
                             : clean(arena, c);
        if (!inside) continue;
        inside->key = c->key;
        inside->key_len = c->key_len;
        node_add(copy, inside);
    }
    return copy;
}

static void put_clean(merge_t *m, node_t *live, const node_t *value) {
    node_t *copy = clean(m->arena, value);
    if (copy) node_put(m->arena, live, value->key, copy);
}

// ---- strategic merge ----------------------------------------------------------------------------
static err_t merge_map(merge_t *m, const shape_t *shape, node_t *live, const node_t *patch);

static err_t merge_items(merge_t *m, const shape_t *shape, items_t *merged, const node_t *patch) {
    const char *key = shape->row->merge_key;
    shape_t element = {SHAPE_VALUE, shape->type, NULL};
    for (const node_t *c = patch->first; c; c = c->next) {
        const char *directive = node_get_str(c, DIRECTIVE);
        long at = index_of(merged, c, key);
        if (directive && streq(directive, "replace")) continue;
        if (directive && streq(directive, "delete")) {
            for (; at >= 0; at = index_of(merged, c, key)) vec_remove(merged, (size_t)at);
        } else if (directive && !streq(directive, "merge")) {
            return why_set(m->why, ERR_BAD_REQUEST, "Unrecognized map patch type: \"%s\"",
                           directive);
        } else if (at >= 0 && c->type == NODE_MAP) {
            err_t err = merge_map(m, &element, merged->at[at], c);
            if (err) return err;
        } else if (at < 0) {
            node_t *copy = clean(m->arena, c);
            if (copy) vec_push(merged, copy);
        }
    }
    return ERR_OK;
}

static bool replaces(const node_t *patch) {
    for (const node_t *c = patch->first; c; c = c->next) {
        const char *directive = node_get_str(c, DIRECTIVE);
        if (directive && streq(directive, "replace")) return true;
    }
    return false;
}

// `order`: $setElementOrder of the list; NULL: the patch itself gives the order.
static err_t merge_list(merge_t *m, const shape_t *shape, node_t *live, const node_t *patch,
                        const node_t *order) {
    const char *key = shape->row->merge_key;
    err_t err = check_items(m, patch, key);
    if (err || (err = check_items(m, live, key)) || (order && (err = check_items(m, order, key))) ||
        (err = charge(m, node_len(live) + node_len(patch), node_len(patch) + node_len(order) + 1)))
        return err;
    items_t merged = {0}, before = {0}, wanted = {0};
    if (!replaces(patch)) items_of(live, &merged);
    items_of(live, &before);
    if (replaces(patch)) {
        for (const node_t *c = patch->first; c; c = c->next)
            if (c->type != NODE_NULL && !node_get(c, DIRECTIVE))
                vec_push(&merged, clean(m->arena, c));
    } else if (!(err = merge_items(m, shape, &merged, patch))) {
        for (node_t *c = (order ? order : patch)->first; c; c = c->next)
            if (order || !node_get(c, DIRECTIVE)) vec_push(&wanted, c);
        put_in_order(&merged, &wanted, &before, key);
    }
    if (err == ERR_OK) relink(live, &merged);
    vec_done(&merged);
    vec_done(&before);
    vec_done(&wanted);
    return err;
}

static err_t merge_field(merge_t *m, const shape_t *shape, node_t *live, const node_t *patch,
                         const node_t *c) {
    shape_t inner = shape_of(shape, c->key);
    node_t *old = node_get(live, c->key);
    if (c->type == NODE_NULL) {
        node_remove(live, c->key);
        return ERR_OK;
    }
    if (old && old->type == NODE_MAP && c->type == NODE_MAP) return merge_map(m, &inner, old, c);
    if (old && old->type == NODE_LIST && c->type == NODE_LIST && merges(&inner)) {
        const node_t *order = node_get(patch, arena_printf(m->arena, SET_ORDER "%s", c->key));
        return merge_list(m, &inner, old, c, order && order->type == NODE_LIST ? order : NULL);
    }
    put_clean(m, live, c);
    return ERR_OK;
}

// $deleteFromPrimitiveList/x, and $setElementOrder/x where the patch has no x of its own.
static err_t merge_directive(merge_t *m, const shape_t *shape, node_t *live, const node_t *patch,
                             const node_t *c) {
    bool deletes = has_prefix(c->key, DELETE_FROM), orders = has_prefix(c->key, SET_ORDER);
    if ((!deletes && !orders) || c->type != NODE_LIST) return ERR_OK;
    const char *name = c->key + strlen(deletes ? DELETE_FROM : SET_ORDER);
    shape_t inner = shape_of(shape, name);
    node_t *list = node_get(live, name);
    if (!list || list->type != NODE_LIST) return ERR_OK;
    if (deletes) {
        err_t err = charge(m, node_len(c), node_len(list));
        if (err) return err;
        for (const node_t *gone = c->first; gone; gone = gone->next)
            for (node_t *item = list->first, *next; item; item = next) {
                next = item->next;
                if (node_equal(item, gone)) node_unlink(list, item);
            }
        return ERR_OK;
    }
    if (node_get(patch, name) || !merges(&inner)) return ERR_OK;
    node_t nothing = {.type = NODE_LIST};
    return merge_list(m, &inner, list, &nothing, c);
}

static err_t retain_keys(merge_t *m, node_t *live, const node_t *patch, const node_t *keys) {
    if (keys->type != NODE_LIST)
        return why_set(m->why, ERR_BAD_REQUEST, "%s: a list is wanted", RETAIN_KEYS);
    err_t err = charge(m, node_len(patch) + node_len(live), node_len(keys));
    if (err) return err;
    for (const node_t *c = patch->first; c; c = c->next) {
        bool named = c->key[0] == '$';
        for (const node_t *k = keys->first; k && !named; k = k->next)
            named = k->type == NODE_STRING && streq(k->text, c->key);
        if (!named && c->type != NODE_NULL)
            return why_set(m->why, ERR_BAD_REQUEST,
                           "%s doesn't contain the key \"%s\" of the patch", RETAIN_KEYS, c->key);
    }
    for (node_t *c = live->first, *next; c; c = next) {
        next = c->next;
        bool kept = false;
        for (const node_t *k = keys->first; k && !kept; k = k->next)
            kept = k->type == NODE_STRING && streq(k->text, c->key);
        if (!kept) node_unlink(live, c);
    }
    return ERR_OK;
}

static err_t merge_map(merge_t *m, const shape_t *shape, node_t *live, const node_t *patch) {
    const char *directive = node_get_str(patch, DIRECTIVE);
    if (directive && (streq(directive, "replace") || streq(directive, "delete"))) {
        live->first = live->last = NULL;
        if (streq(directive, "delete")) return ERR_OK;
        for (const node_t *c = patch->first; c; c = c->next)
            if (c->key[0] != '$') put_clean(m, live, c);
        return ERR_OK;
    }
    if (directive && !streq(directive, "merge"))
        return why_set(m->why, ERR_BAD_REQUEST, "Unrecognized map patch type: \"%s\"", directive);
    const node_t *keys = node_get(patch, RETAIN_KEYS);
    err_t err = charge(m, node_len(live) + node_len(patch), node_len(patch));
    if (!err && keys) err = retain_keys(m, live, patch, keys);
    for (const node_t *c = patch->first; c && !err; c = c->next)
        err = c->key[0] == '$' ? merge_directive(m, shape, live, patch, c)
                               : merge_field(m, shape, live, patch, c);
    return err;
}

err_t patch_tree_strategic(arena_t *arena, const api_type_t *type, node_t *live,
                           const node_t *patch, why_t *why) {
    merge_t m = {arena, why, 0};
    shape_t root = {SHAPE_VALUE, type, NULL};
    return merge_map(&m, &root, live, patch);
}

// ---- three-way apply ----------------------------------------------------------------------------
static err_t apply_map(merge_t *m, const shape_t *shape, node_t *live, const node_t *last,
                       const node_t *wanted);

static err_t apply_list(merge_t *m, const shape_t *shape, node_t *live, const node_t *last,
                        const node_t *wanted) {
    const char *key = shape->row->merge_key;
    shape_t element = {SHAPE_VALUE, shape->type, retains(shape) ? shape->row : NULL};
    err_t err = check_items(m, wanted, key);
    if (err || (err = check_items(m, live, key)) ||
        (err = charge(m, node_len(live) + node_len(last), node_len(live) + node_len(wanted))))
        return err;
    items_t before = {0}, rest = {0}, old = {0}, merged = {0}, order = {0};
    items_of(live, &before);
    items_of(live, &rest);
    items_of(wanted, &order);
    if (last && last->type == NODE_LIST) items_of(last, &old);
    // Each wanted item takes the first live one of its key that no other took: ports may share a
    // number and differ in their protocol.
    for (size_t i = 0; i < order.len && !err; i++) {
        long at = index_of(&rest, order.at[i], key), was = index_of(&old, order.at[i], key);
        if (at < 0) {
            node_t *copy = clean(m->arena, order.at[i]);
            if (copy) vec_push(&merged, copy);
            continue;
        }
        node_t *item = rest.at[at];
        vec_remove(&rest, (size_t)at);
        vec_push(&merged, item);
        if (item->type == NODE_MAP)
            err = apply_map(m, &element, item, was < 0 ? NULL : old.at[was], order.at[i]);
    }
    for (size_t i = 0; i < rest.len; i++) // ours before and no longer wanted: goes
        if (index_of(&old, rest.at[i], key) < 0) vec_push(&merged, rest.at[i]);
    if (err == ERR_OK) {
        put_in_order(&merged, &order, &before, key);
        relink(live, &merged);
    }
    vec_done(&before);
    vec_done(&rest);
    vec_done(&old);
    vec_done(&merged);
    vec_done(&order);
    return err;
}

static err_t apply_field(merge_t *m, const shape_t *shape, node_t *live, const node_t *last,
                         const node_t *c) {
    shape_t inner = shape_of(shape, c->key);
    node_t *have = node_get(live, c->key);
    if (c->type == NODE_NULL) {
        // Generated manifests carry this one; the server's time is not theirs to remove.
        if (!streq(c->key, "creationTimestamp")) node_remove(live, c->key);
        return ERR_OK;
    }
    if (have && have->type == NODE_MAP && c->type == NODE_MAP)
        return apply_map(m, &inner, have, node_get(last, c->key), c);
    if (have && have->type == NODE_LIST && c->type == NODE_LIST && merges(&inner))
        return apply_list(m, &inner, have, node_get(last, c->key), c);
    if (!node_equal(have, c)) put_clean(m, live, c);
    return ERR_OK;
}

static err_t apply_map(merge_t *m, const shape_t *shape, node_t *live, const node_t *last,
                       const node_t *wanted) {
    // A struct of which one member is set (a volume, a strategy): when it changes, members that
    // are not wanted go, whoever set them.
    node_t *before = retains(shape) ? node_dup(m->arena, live) : NULL;
    err_t err = charge(m, node_len(live) + node_len(last), node_len(wanted) + node_len(last));
    if (err) return err;
    if (last && last->type == NODE_MAP)
        for (const node_t *c = last->first; c; c = c->next)
            if (!node_get(wanted, c->key)) node_remove(live, c->key);
    for (const node_t *c = wanted->first; c && !err; c = c->next)
        err = apply_field(m, shape, live, last, c);
    if (err || !before || node_equal(before, live)) return err;
    for (node_t *c = live->first, *next; c; c = next) {
        next = c->next;
        if (!node_get(wanted, c->key)) node_unlink(live, c);
    }
    return ERR_OK;
}

err_t patch_tree_apply(arena_t *arena, const api_type_t *type, node_t *live, const node_t *last,
                       const node_t *wanted, why_t *why) {
    merge_t m = {arena, why, 0};
    shape_t root = {SHAPE_VALUE, type, NULL};
    return apply_map(&m, &root, live, last, wanted);
}
