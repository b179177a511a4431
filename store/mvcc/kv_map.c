// The sorted map: a skip list (Pugh, 1990) whose dice are a constant, and an undo list back to the
// last flush.
#include "runtime/base/rng.h"
#include "runtime/base/vec.h"
#include "store/mvcc/kv.h"

enum { LEVELS_MAX = 20 };

typedef struct node node_t;
struct node {
    blob_t *key, *value; // owned references
    node_t *next[];      // as many as its level
};

// What stood under a key before a write.
typedef struct {
    blob_t *key, *before;
} undo_t; // before NULL: nothing

typedef struct {
    kv_t face;
    rng_t rng;
    node_t *head; // no key; all levels
    size_t len;
    node_t *cursor;
    VEC(undo_t) undo;
    uint64_t bytes, flush_every, writes;
    kv_t *side; // being built to take our place; owned; NULL: none
} map_kv_t;

static map_kv_t *map_of(kv_t *kv) { return (map_kv_t *)kv; }

static node_t *node_new(int levels) {
    return mem_new(sizeof(node_t) + (size_t)levels * sizeof(node_t *));
}

// The last node before `key` on each level.
static void find_before(const map_kv_t *map, bytes_t key, node_t *before[static LEVELS_MAX]) {
    node_t *at = map->head;
    for (int level = LEVELS_MAX - 1; level >= 0; level--) {
        while (at->next[level] && bytes_cmp(blob_bytes(at->next[level]->key), key) < 0)
            at = at->next[level];
        before[level] = at;
    }
}

static node_t *find(const map_kv_t *map, bytes_t key) {
    node_t *before[LEVELS_MAX];
    find_before(map, key, before);
    node_t *node = before[0]->next[0];
    return node && bytes_eq(blob_bytes(node->key), key) ? node : NULL;
}

// Let `key` have `value` (taken); NULL: remove it. Returns what stood there (*returned*).
static blob_t *set(map_kv_t *map, bytes_t key, blob_t *value) {
    node_t *before[LEVELS_MAX];
    find_before(map, key, before);
    node_t *node = before[0]->next[0];
    if (node && bytes_eq(blob_bytes(node->key), key)) {
        blob_t *old = node->value;
        map->bytes -= old->len;
        if (value) {
            map->bytes += value->len;
            node->value = value;
            return old;
        }
        map->bytes -= key.len;
        for (int level = 0; level < LEVELS_MAX && before[level]->next[level] == node; level++)
            before[level]->next[level] = node->next[level];
        blob_unref(&node->key);
        free(node);
        map->len--;
        return old;
    }
    if (!value) return NULL;
    int levels = 1;
    while (levels < LEVELS_MAX && rng_below(&map->rng, 4) == 0) levels++;
    node = node_new(levels);
    node->key = blob_from(key.at, key.len);
    node->value = value;
    for (int level = 0; level < levels; level++) {
        node->next[level] = before[level]->next[level];
        before[level]->next[level] = node;
    }
    map->bytes += key.len + value->len;
    map->len++;
    return NULL;
}

static void forget_undo(map_kv_t *map) {
    for (size_t i = 0; i < map->undo.len; i++) {
        blob_unref(&map->undo.at[i].key);
        blob_unref(&map->undo.at[i].before);
    }
    vec_reset(&map->undo);
}

// The value under `key` at the last flush: what the oldest undo record of it says.
static blob_t *flushed_value(map_kv_t *map, bytes_t key) {
    for (size_t i = 0; i < map->undo.len; i++)
        if (bytes_eq(blob_bytes(map->undo.at[i].key), key)) return map->undo.at[i].before;
    node_t *node = find(map, key);
    return node ? node->value : NULL;
}

// ---- the port -----------------------------------------------------------------------------------
static err_t map_get(kv_t *kv, bytes_t key, arena_t *arena, bool flushed, bytes_t *ret_value,
                     why_t *why) {
    map_kv_t *map = map_of(kv);
    node_t *node = flushed ? NULL : find(map, key);
    blob_t *value = flushed ? flushed_value(map, key) : node ? node->value : NULL;
    *ret_value = (bytes_t){0};
    if (value) *ret_value = (bytes_t){arena_dup(arena, value->at, value->len + 1), value->len};
    return ERR_OK;
}

static err_t map_seek(kv_t *kv, bytes_t key, why_t *why) {
    node_t *before[LEVELS_MAX];
    find_before(map_of(kv), key, before);
    map_of(kv)->cursor = before[0]->next[0];
    return ERR_OK;
}

static err_t map_next(kv_t *kv, why_t *why) {
    assert(map_of(kv)->cursor);
    map_of(kv)->cursor = map_of(kv)->cursor->next[0];
    return ERR_OK;
}

static bool map_here(kv_t *kv, bytes_t *ret_key, bytes_t *ret_value) {
    node_t *node = map_of(kv)->cursor;
    if (!node) return false;
    *ret_key = blob_bytes(node->key);
    *ret_value = blob_bytes(node->value);
    return true;
}

static err_t map_flush(kv_t *kv, why_t *why) {
    forget_undo(map_of(kv));
    return ERR_OK;
}

static err_t map_write(kv_t *kv, const kv_op_t *ops, size_t len, why_t *why) {
    map_kv_t *map = map_of(kv);
    map->cursor = NULL;
    for (size_t i = 0; i < len; i++) {
        blob_t *value = ops[i].is_delete ? NULL : blob_from(ops[i].value.at, ops[i].value.len);
        blob_t *key = blob_from(ops[i].key.at, ops[i].key.len);
        vec_push(&map->undo, ((undo_t){key, set(map, ops[i].key, value)}));
    }
    if (map->flush_every && ++map->writes % map->flush_every == 0) forget_undo(map);
    return ERR_OK;
}

static uint64_t map_disk_bytes(kv_t *kv) { return map_of(kv)->bytes; }

static void map_destroy(kv_t *kv) {
    map_kv_t *map = map_of(kv);
    if (map->side) map_destroy(map->side);
    forget_undo(map);
    vec_done(&map->undo);
    for (node_t *node = map->head->next[0]; node;) {
        node_t *next = node->next[0];
        blob_unref(&node->key);
        blob_unref(&node->value);
        free(node);
        node = next;
    }
    free(map->head);
    free(map);
}

// ---- whole copies -------------------------------------------------------------------------------
typedef struct {
    blob_t *key, *value; // owned references
} pair_t;
typedef struct {
    kv_view_t face;
    VEC(pair_t) pairs; // sorted
} map_view_t;

static err_t map_view_open(kv_t *kv, kv_view_t **ret_view, why_t *why) {
    map_view_t *view = NEW(map_view_t);
    view->face.ops = kv->ops;
    for (node_t *node = map_of(kv)->head->next[0]; node; node = node->next[0])
        vec_push(&view->pairs, ((pair_t){blob_ref(node->key), blob_ref(node->value)}));
    *ret_view = &view->face;
    return ERR_OK;
}

static err_t map_view_read(kv_view_t *face, bytes_t after, size_t bytes_max, arena_t *arena,
                           kv_op_t **ret_pairs, size_t *ret_len, why_t *why) {
    const map_view_t *view = (const map_view_t *)face;
    size_t from = 0, len = 0, bytes = 0;
    while (after.len && from < view->pairs.len &&
           bytes_cmp(blob_bytes(view->pairs.at[from].key), after) <= 0)
        from++;
    *ret_pairs = ARENA_ARRAY(arena, kv_op_t, view->pairs.len - from + 1);
    for (; from < view->pairs.len && (len == 0 || bytes < bytes_max); from++) {
        bytes_t key = blob_bytes(view->pairs.at[from].key);
        bytes_t value = blob_bytes(view->pairs.at[from].value);
        (*ret_pairs)[len++] = (kv_op_t){key, value, false};
        bytes += key.len + value.len;
    }
    *ret_len = len;
    return ERR_OK;
}

static void map_view_close(kv_view_t *face) {
    map_view_t *view = (map_view_t *)face;
    for (size_t i = 0; i < view->pairs.len; i++) {
        blob_unref(&view->pairs.at[i].key);
        blob_unref(&view->pairs.at[i].value);
    }
    vec_done(&view->pairs);
    free(view);
}

static err_t map_replace_begin(kv_t *kv, why_t *why) {
    if (map_of(kv)->side) map_destroy(map_of(kv)->side);
    map_of(kv)->side = kv_map_new();
    return ERR_OK;
}

static err_t map_replace_add(kv_t *kv, const kv_op_t *pairs, size_t len, why_t *why) {
    return map_write(map_of(kv)->side, pairs, len, why);
}

static err_t map_replace_end(kv_t *kv, why_t *why) {
    map_kv_t *map = map_of(kv), *side = map_of(map->side);
    map->side = NULL;
    map->cursor = NULL;
    node_t *old = map->head;
    map->head = side->head;
    side->head = old;
    map->len = side->len;
    map->bytes = side->bytes;
    forget_undo(map);
    map_destroy(&side->face);
    return ERR_OK;
}

static const kv_ops_t map_ops = {
    map_get,        map_seek,          map_next,        map_here,        map_write,
    map_flush,      map_disk_bytes,    map_destroy,     map_view_open,   map_view_read,
    map_view_close, map_replace_begin, map_replace_add, map_replace_end,
};

kv_t *kv_map_new(void) {
    map_kv_t *map = NEW(map_kv_t);
    map->face.ops = &map_ops;
    map->head = node_new(LEVELS_MAX);
    rng_init(&map->rng, 1);
    return &map->face;
}

void kv_map_crash(kv_t *kv) {
    map_kv_t *map = map_of(kv);
    map->cursor = NULL;
    if (map->side) map_destroy(map->side);
    map->side = NULL;
    while (map->undo.len) {
        undo_t undo = map->undo.at[--map->undo.len];
        blob_t *now = set(map, blob_bytes(undo.key), undo.before);
        blob_unref(&now);
        blob_unref(&undo.key);
    }
}

void kv_map_flush_every(kv_t *kv, uint64_t writes) { map_of(kv)->flush_every = writes; }
size_t kv_map_len(const kv_t *kv) { return ((const map_kv_t *)kv)->len; }
