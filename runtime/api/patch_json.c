// JSON merge patch (RFC 7386) and JSON patch (RFC 6902) on trees.
#include "runtime/api/codec.h"
#include "runtime/api/patch.h"
#include "runtime/api/patch_tree.h"

// ---- merge patch --------------------------------------------------------------------------------
// A value for a
// place where nothing stood: the nulls in its maps mean absence there as well.
static node_t *without_nulls(arena_t *arena, const node_t *value) {
    node_t *copy = arena_dup(arena, value, sizeof *value);
    copy->next = NULL;
    if (value->type == NODE_LIST) return node_dup(arena, value);
    if (value->type != NODE_MAP) return copy;
    copy->first = copy->last = NULL;
    for (const node_t *c = value->first; c; c = c->next)
        if (c->type != NODE_NULL) node_add(copy, without_nulls(arena, c));
    return copy;
}

static bool merge(arena_t *arena, node_t *live, const node_t *patch, size_t *work) {
    assert(live->type == NODE_MAP && patch->type == NODE_MAP);
    *work += (node_len(live) + node_len(patch)) * node_len(patch);
    if (*work > PATCH_WORK_MAX) return false;
    for (const node_t *c = patch->first; c; c = c->next) {
        node_t *old = node_get(live, c->key);
        bool inside = c->type == NODE_MAP && old && old->type == NODE_MAP;
        if (inside && !merge(arena, old, c, work)) return false;
        if (c->type == NODE_NULL)
            node_remove(live, c->key);
        else if (!inside)
            node_put(arena, live, c->key, without_nulls(arena, c));
    }
    return true;
}

err_t patch_tree_merge(arena_t *arena, node_t *live, const node_t *patch, why_t *why) {
    size_t work = 0;
    return merge(arena, live, patch, &work)
               ? ERR_OK
               : why_set(why, ERR_TOO_LARGE, "the patch is too much work");
}

// ---- JSON patch ---------------------------------------------------------------------------------
typedef struct {
    arena_t *arena;
    node_t *root;
    size_t copied; // nodes that "copy" and "add" made, in all
    size_t work;   // containers' children passed by on the way, in all
    why_t *why;
} run_t;

// Where a pointer leads: the container and the last step in it.
typedef struct {
    node_t *parent; // NULL: the whole document
    const char *step;
    size_t depth;
} place_t;

static err_t refuse(run_t *r, const char *op, const char *path, const char *what) {
    return why_set(r->why, ERR_INVALID, "%s operation does not apply: %s: %s", op, path, what);
}

// "~1" is "/", "~0" is "~".
static char *unescape(arena_t *arena, const char *text, size_t len) {
    char *out = arena_strndup(arena, text, len), *to = out;
    for (const char *from = out; *from; from++) {
        bool escaped = *from == '~' && (from[1] == '0' || from[1] == '1');
        *to++ = escaped ? (*++from == '0' ? '~' : '/') : *from;
    }
    *to = 0;
    return out;
}

// Index of a list's element: digits without a leading zero. "-" is `len`, behind the last one.
static bool list_index(const char *step, size_t len, size_t *ret_i) {
    if (streq(step, "-")) return *ret_i = len, true;
    size_t digits = strspn(step, "0123456789");
    if (digits == 0 || step[digits] || digits > 9 || (step[0] == '0' && digits > 1)) return false;
    *ret_i = strtoul(step, NULL, 10);
    return true;
}

static node_t *child_at(node_t *parent, const char *step) {
    if (parent->type == NODE_MAP) return node_get(parent, step);
    size_t i;
    if (parent->type != NODE_LIST || !list_index(step, SIZE_MAX, &i)) return NULL;
    node_t *c = parent->first;
    while (c && i--) c = c->next;
    return c;
}

static bool find_place(run_t *r, const char *path, place_t *ret_place) {
    place_t place = {NULL, "", 0};
    node_t *here = r->root;
    if (*path && *path != '/') return false;
    while (*path) {
        size_t len = strcspn(path + 1, "/");
        if (place.parent && !(here = child_at(place.parent, place.step))) return false;
        if (here->type != NODE_MAP && here->type != NODE_LIST) return false;
        r->work += node_len(here);
        place.parent = here;
        place.step = unescape(r->arena, path + 1, len);
        place.depth++;
        path += 1 + len;
    }
    *ret_place = place;
    return true;
}

static node_t *find(run_t *r, const char *path) {
    place_t place;
    if (!find_place(r, path, &place)) return NULL;
    return place.parent ? child_at(place.parent, place.step) : r->root;
}

static size_t count(const node_t *n) {
    size_t sum = 1;
    if (n->type == NODE_LIST || n->type == NODE_MAP)
        for (const node_t *c = n->first; c; c = c->next) sum += count(c);
    return sum;
}

static size_t depth(const node_t *n) {
    size_t deepest = 0;
    if (n->type == NODE_LIST || n->type == NODE_MAP)
        for (const node_t *c = n->first; c; c = c->next) {
            size_t below = depth(c);
            if (below > deepest) deepest = below;
        }
    return deepest + 1;
}

static void insert_at(node_t *list, size_t i, node_t *value) {
    if (!list->first || i == 0) {
        value->next = list->first;
        list->first = value;
        if (!list->last) list->last = value;
        return;
    }
    node_t *before = list->first;
    while (--i) before = before->next;
    value->next = before->next;
    before->next = value;
    if (list->last == before) list->last = value;
}

// `value` is copied.
static err_t add(run_t *r, const char *op, const char *path, const node_t *given) {
    place_t place;
    if (!find_place(r, path, &place)) return refuse(r, op, path, "missing path");
    r->copied += count(given);
    if (r->copied > CODEC_NODES_MAX || place.depth + depth(given) > NODE_DEPTH_MAX)
        return why_set(r->why, ERR_TOO_LARGE, "%s %s: the patched object grows too large", op,
                       path);
    node_t *value = node_dup(r->arena, given);
    if (!place.parent) {
        r->root = value;
    } else if (place.parent->type == NODE_MAP) {
        node_put(r->arena, place.parent, place.step, value);
    } else {
        size_t i, len = node_len(place.parent);
        if (!list_index(place.step, len, &i) || i > len)
            return refuse(r, op, path, "invalid array index");
        insert_at(place.parent, i, value);
    }
    return ERR_OK;
}

static err_t take_away(run_t *r, const char *op, const char *path) {
    place_t place;
    node_t *old =
        find_place(r, path, &place) && place.parent ? child_at(place.parent, place.step) : NULL;
    if (!old) return refuse(r, op, path, "missing path");
    node_unlink(place.parent, old);
    return ERR_OK;
}

static err_t replace(run_t *r, const char *path, const node_t *value) {
    place_t place;
    node_t *old =
        find_place(r, path, &place) && place.parent ? child_at(place.parent, place.step) : NULL;
    if (*path && !old) return refuse(r, "replace", path, "missing path");
    bool in_list = old && place.parent->type == NODE_LIST;
    err_t err = add(r, "replace", path, value); // in a list, in front of the old one, which goes
    if (err == ERR_OK && in_list) node_unlink(place.parent, old);
    return err;
}

static err_t move_or_copy(run_t *r, const char *op, const char *from, const char *path) {
    node_t *value = from ? find(r, from) : NULL;
    if (!value) return refuse(r, op, or_empty(from), "missing path");
    if (streq(op, "copy")) return add(r, op, path, value);
    size_t len = strlen(from);
    if (strncmp(path, from, len) == 0 && (path[len] == '/' || !*from))
        return refuse(r, op, path, "an object cannot move into itself");
    if (streq(path, from)) return ERR_OK;
    err_t err = take_away(r, op, from);
    return err ? err : add(r, op, path, value);
}

static err_t run_one(run_t *r, const node_t *o) {
    const char *op = node_get_str(o, "op"), *path = node_get_str(o, "path"),
               *from = node_get_str(o, "from");
    const node_t *value = node_get(o, "value");
    if (!op || !path)
        return why_set(r->why, ERR_BAD_REQUEST,
                       "error decoding patch: an operation needs \"op\" and \"path\"");
    bool needs_value = streq(op, "add") || streq(op, "replace") || streq(op, "test");
    if (needs_value && !value)
        return why_set(r->why, ERR_BAD_REQUEST, "error decoding patch: %s %s needs a \"value\"", op,
                       path);
    if (streq(op, "add")) return add(r, op, path, value);
    if (streq(op, "remove")) return take_away(r, op, path);
    if (streq(op, "replace")) return replace(r, path, value);
    if (streq(op, "move") || streq(op, "copy")) return move_or_copy(r, op, from, path);
    if (!streq(op, "test"))
        return why_set(r->why, ERR_BAD_REQUEST, "error decoding patch: unknown operation \"%s\"",
                       op);
    const node_t *have = find(r, path);
    bool same = have ? node_equal(have, value) : value->type == NODE_NULL;
    return same ? ERR_OK
                : why_set(r->why, ERR_INVALID, "testing path %s failed: test failed", path);
}

err_t patch_tree_json(arena_t *arena, node_t **doc, const node_t *operations, why_t *why) {
    size_t len = node_len(operations);
    if (len > PATCH_OPERATIONS_MAX)
        return why_set(why, ERR_TOO_LARGE,
                       "The allowed maximum operations in a JSON patch is %d, got %zu",
                       PATCH_OPERATIONS_MAX, len);
    run_t r = {.arena = arena, .root = *doc, .why = why};
    for (const node_t *o = operations->first; o; o = o->next) {
        err_t err = r.work > PATCH_WORK_MAX
                        ? why_set(why, ERR_TOO_LARGE, "the patch is too much work")
                        : run_one(&r, o);
        if (err) return err;
    }
    *doc = r.root;
    return ERR_OK;
}
