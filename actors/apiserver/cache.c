// Objects of a kind are one sorted array of pointers: finding is a binary search, a list is a
// slice, and inserting moves at most 8 bytes per object (1.2 MB among 150,000 pods, 30 µs).
//
//     by_path   [a/x] [a/y] [b/x] …          now
//     window    … 17:a/x put  18:b/q del  19:a/y put
//
// The state as of revision 17 is by_path with each path that changed after 17 replaced by what its
// first later change says `was` there.
#include "actors/apiserver/cache.h"
#include "actors/apiserver/keys.h"
#include "k8s/core_v1.pb-c.h"
#include "runtime/api/packed.h"

// ---- records ------------------------------------------------------------------------------------
enum { POD_SPEC = 2, SPEC_NODE_NAME = 10 }; // field numbers

static bytes_t node_of(const kind_t *stored, bytes_t packed) {
    bool is_pod = stored->type == &core__pod__descriptor;
    return is_pod ? packed_at(packed_at(packed, POD_SPEC), SPEC_NODE_NAME) : (bytes_t){0};
}

// One allocation: the record, then path, namespace and node as strings.
static cached_t *cached_new(const kind_t *stored, const char *path, size_t path_len, bytes_t node,
                            blob_t *blob, int64_t revision) {
    const char *slash = memchr(path, '/', path_len);
    size_t ns_len = slash ? (size_t)(slash - path) : 0;
    cached_t *r = mem_new(sizeof *r + path_len + 1 + ns_len + 1 + node.len + 1);
    char *text = (char *)(r + 1);
    *r = (cached_t){.refs = 1, .revision = revision, .kind = stored, .blob = blob};
    r->path = memcpy(text, path, path_len);
    r->name = r->path + (slash ? ns_len + 1 : 0);
    r->ns = memcpy(text + path_len + 1, path, ns_len);
    r->node = text + path_len + 1 + ns_len + 1;
    if (node.len) memcpy((char *)r->node, node.at, node.len);
    return r;
}

cached_t *cached_ref(cached_t *r) {
    if (r) r->refs++;
    return r;
}

void cached_unref(cached_t **r) {
    cached_t *one = x_steal(r);
    if (!one || --one->refs > 0) return;
    blob_unref(&one->blob);
    for (size_t i = 0; i < one->forms.len; i++) blob_unref(&one->forms.at[i].blob);
    vec_done(&one->forms);
    free(one);
}

void *cached_object(arena_t *arena, const cached_t *r) {
    void *obj = msg_unpack_own(arena, r->kind->type, blob_bytes(r->blob));
    assert(obj); // we packed it
    return obj;
}

static blob_t *pack_blob(const ProtobufCMessage *obj) {
    arena_t scratch = {0};
    bytes_t packed = msg_pack(&scratch, obj);
    blob_t *blob = blob_from(packed.at, packed.len);
    arena_done(&scratch);
    return blob;
}

blob_t *cached_blob(cached_t *r, const kind_t *asked) {
    assert(kind_stored(asked) == r->kind);
    if (asked == r->kind) return r->blob;
    for (size_t i = 0; i < r->forms.len; i++)
        if (r->forms.at[i].kind == asked) return r->forms.at[i].blob;
    arena_t scratch = {0};
    blob_t *blob = pack_blob(asked->from_stored(&scratch, cached_object(&scratch, r)));
    arena_done(&scratch);
    vec_push(&r->forms, ((cached_form_t){asked, blob}));
    return blob;
}

// Not unpacked: an API server packed it, and what comes of it is the same but for its revision.
static cached_t *cached_read(const kind_t *stored, bytes_t path, bytes_t value, int64_t revision) {
    bytes_t packed = object_stored_of(stored, value);
    blob_t *blob = packed.at ? packed_with_revision(packed, revision) : NULL;
    if (!blob) return NULL;
    return cached_new(stored, (const char *)path.at, path.len, node_of(stored, packed), blob,
                      revision);
}

void cached_list_done(cached_list_t *records) {
    for (size_t i = 0; i < records->len; i++) cached_unref(&records->at[i]);
    vec_done(records);
}

// ---- changes ------------------------------------------------------------------------------------
change_t *change_ref(change_t *ch) {
    if (ch) ch->refs++;
    return ch;
}

void change_unref(change_t **ch) {
    change_t *one = x_steal(ch);
    if (!one || --one->refs > 0) return;
    cached_unref(&one->now);
    cached_unref(&one->was);
    cached_unref(&one->gone);
    free(one);
}

cached_t *change_gone(change_t *ch) {
    assert(ch->was);
    if (ch->gone) return ch->gone;
    const cached_t *was = ch->was;
    blob_t *blob = packed_with_revision(blob_bytes(was->blob), ch->revision);
    assert(blob); // as it was when it came in
    ch->gone = cached_new(was->kind, was->path, strlen(was->path), bytes_of_str(was->node), blob,
                          ch->revision);
    return ch->gone;
}

change_t *cache_change(const kind_cache_t *kc, size_t i) {
    assert(i < kc->window_len);
    return kc->window[(kc->window_at + i) % kc->window_cap];
}

size_t cache_first_after(const kind_cache_t *kc, int64_t revision) {
    size_t low = 0, high = kc->window_len;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (cache_change(kc, mid)->revision <= revision)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static void window_drop_oldest(kind_cache_t *kc) {
    change_t *oldest = kc->window[kc->window_at];
    kc->window_after = oldest->revision;
    if (oldest->was) kc->window_bytes -= oldest->was->blob->len;
    kc->window_at = (kc->window_at + 1) % kc->window_cap;
    kc->window_len--;
    change_unref(&oldest);
}

static void window_grow(kind_cache_t *kc) {
    size_t cap = kc->window_cap ? kc->window_cap * 2 : 64;
    change_t **grown = mem_new(cap * sizeof *grown);
    for (size_t i = 0; i < kc->window_len; i++) grown[i] = cache_change(kc, i);
    free(kc->window);
    kc->window = grown;
    kc->window_at = 0;
    kc->window_cap = cap;
}

// Changes of one revision leave the window together, or a watch resumed there would miss some.
static change_t *window_add(kind_cache_t *kc, cached_t *now, cached_t *was, int64_t revision) {
    change_t *ch = NEW(change_t);
    *ch = (change_t){.refs = 1, .revision = revision, .now = cached_ref(now), .was = was};
    if (kc->window_len == kc->window_cap) window_grow(kc);
    kc->window[(kc->window_at + kc->window_len++) % kc->window_cap] = ch;
    if (was) kc->window_bytes += was->blob->len;
    while (kc->window_len > CACHE_WINDOW_MAX || kc->window_bytes > CACHE_WINDOW_MAX_BYTES) {
        int64_t leaving = cache_change(kc, 0)->revision;
        if (leaving == revision) break;
        while (cache_change(kc, 0)->revision == leaving) window_drop_oldest(kc);
    }
    return ch;
}

// ---- objects ------------------------------------------------------------------------------------
static int path_cmp(const char *a, bytes_t b) { return bytes_cmp(bytes_of_str(a), b); }

static size_t find_bytes(const kind_cache_t *kc, bytes_t path) {
    size_t low = 0, high = kc->by_path.len;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (path_cmp(kc->by_path.at[mid]->path, path) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

size_t cache_find(const kind_cache_t *kc, const char *path) {
    return find_bytes(kc, bytes_of_str(path));
}

kind_cache_t *cache_of(const cache_t *c, const kind_t *stored) {
    for (size_t i = 0; i < c->kinds_len; i++)
        if (c->kinds[i].kind == stored) return &c->kinds[i];
    return NULL;
}

cached_t *cache_get(const cache_t *c, const kind_t *stored, const char *path) {
    const kind_cache_t *kc = cache_of(c, stored);
    if (!kc) return NULL;
    size_t i = cache_find(kc, path);
    return i < kc->by_path.len && streq(kc->by_path.at[i]->path, path) ? kc->by_path.at[i] : NULL;
}

static void node_index_add(kind_cache_t *kc, cached_t *r) {
    if (is_empty(r->node)) return;
    cached_list_t *there = map_get(&kc->by_node, r->node);
    if (!there) {
        there = mem_new(sizeof *there);
        map_put(&kc->by_node, r->node, there);
    }
    vec_push(there, r);
}

static void node_index_remove(kind_cache_t *kc, const cached_t *r) {
    if (is_empty(r->node)) return;
    cached_list_t *there = map_get(&kc->by_node, r->node);
    assert(there);
    for (size_t i = 0; i < there->len; i++) {
        if (there->at[i] != r) continue;
        vec_swap_remove(there, i);
        break;
    }
    if (there->len > 0) return;
    map_remove(&kc->by_node, r->node);
    vec_done(there);
    free(there);
}

// Puts `r` (taken) in its place; what stood there is *returned*, or NULL.
static cached_t *set_cached(kind_cache_t *kc, cached_t *r) {
    size_t i = cache_find(kc, r->path);
    cached_t *was = NULL;
    if (i < kc->by_path.len && streq(kc->by_path.at[i]->path, r->path)) {
        was = kc->by_path.at[i];
        node_index_remove(kc, was);
        kc->by_path.at[i] = r;
    } else {
        vec_insert(&kc->by_path, i, r);
    }
    node_index_add(kc, r);
    return was;
}

// What lay on a disk is looked at as a whole, once.
static bool is_readable(const kind_t *stored, bytes_t value) {
    arena_t scratch = {0};
    bool is_it = object_decode_stored(&scratch, stored, value);
    arena_done(&scratch);
    return is_it;
}

bool cache_load(cache_t *c, const kind_t *stored, bytes_t path, bytes_t value, int64_t revision) {
    kind_cache_t *kc = cache_of(c, stored);
    cached_t *r = is_readable(stored, value) ? cached_read(stored, path, value, revision) : NULL;
    if (!r) return false;
    cached_t *was = set_cached(kc, r);
    cached_unref(&was);
    return true;
}

change_t *cache_put(cache_t *c, const kind_t *stored, bytes_t path, bytes_t value,
                    int64_t revision) {
    kind_cache_t *kc = cache_of(c, stored);
    cached_t *r = cached_read(stored, path, value, revision);
    if (!r) return NULL;
    return window_add(kc, r, set_cached(kc, r), revision);
}

change_t *cache_remove(cache_t *c, const kind_t *stored, bytes_t path, int64_t revision) {
    kind_cache_t *kc = cache_of(c, stored);
    size_t i = find_bytes(kc, path);
    if (i == kc->by_path.len || path_cmp(kc->by_path.at[i]->path, path) != 0) return NULL;
    cached_t *was = kc->by_path.at[i];
    vec_remove(&kc->by_path, i);
    node_index_remove(kc, was);
    return window_add(kc, NULL, was, revision);
}

void cache_advance(cache_t *c, int64_t revision) {
    assert(revision >= c->revision);
    c->revision = revision;
}

// ---- as of a revision ---------------------------------------------------------------------------
static int by_cached_path(const void *a, const void *b) {
    return strcmp((*(cached_t *const *)a)->path, (*(cached_t *const *)b)->path);
}

// What the first change of a path after the asked revision says was there; NULL: nothing.
typedef struct {
    const char *path;
    cached_t *was;
} past_t;

static int by_past_path(const void *a, const void *b) {
    return strcmp(((const past_t *)a)->path, ((const past_t *)b)->path);
}

typedef VEC(past_t) pasts_t;

static void pasts_of(const kind_cache_t *kc, int64_t revision, const char *prefix,
                     pasts_t *ret_pasts) {
    map_t seen = {0};
    for (size_t i = cache_first_after(kc, revision); i < kc->window_len; i++) {
        const change_t *ch = cache_change(kc, i);
        const char *path = ch->now ? ch->now->path : ch->was->path;
        if (!has_prefix(path, prefix) || map_get(&seen, path)) continue;
        map_put(&seen, path, kc->window[0]);
        vec_push(ret_pasts, ((past_t){path, ch->was}));
    }
    map_done(&seen);
    if (ret_pasts->len > 1)
        qsort(ret_pasts->at, ret_pasts->len, sizeof *ret_pasts->at, by_past_path);
}

err_t cache_snapshot(const cache_t *c, const kind_t *stored, const char *prefix, const char *after,
                     int64_t revision, size_t max, cached_list_t *ret_list) {
    const kind_cache_t *kc = cache_of(c, stored);
    assert(kc && prefix);
    if (revision && revision < kc->window_after) return ERR_EXPIRED;
    pasts_t pasts = {0};
    if (revision && revision < c->revision) pasts_of(kc, revision, prefix, &pasts);
    const char *start = after && strcmp(after, prefix) > 0 ? after : prefix;
    size_t i = cache_find(kc, start), p = 0;
    while (p < pasts.len && strcmp(pasts.at[p].path, start) < 0) p++;
    while (max == 0 || ret_list->len < max) {
        cached_t *now = i < kc->by_path.len ? kc->by_path.at[i] : NULL;
        if (now && !has_prefix(now->path, prefix)) now = NULL;
        past_t *past = p < pasts.len ? &pasts.at[p] : NULL;
        if (!now && !past) break;
        int order = !past ? -1 : !now ? 1 : strcmp(now->path, past->path);
        cached_t *one = order < 0 ? now : past->was;
        if (order <= 0) i++;
        if (order >= 0) p++;
        if (one && !(after && strcmp(one->path, after) <= 0)) vec_push(ret_list, cached_ref(one));
    }
    vec_done(&pasts);
    return ERR_OK;
}

void cache_snapshot_node(const cache_t *c, const kind_t *stored, const char *node,
                         cached_list_t *ret_list) {
    const kind_cache_t *kc = cache_of(c, stored);
    const cached_list_t *there = map_get(&kc->by_node, node);
    for (size_t i = 0; there && i < there->len; i++) vec_push(ret_list, cached_ref(there->at[i]));
    if (ret_list->len > 1) qsort(ret_list->at, ret_list->len, sizeof *ret_list->at, by_cached_path);
}

// ---- life ---------------------------------------------------------------------------------------
void cache_init(cache_t *c) {
    *c = (cache_t){0};
    const kind_t *k;
    size_t len = 0;
    for (size_t i = 0; (k = kind_at(i)); i++) len += !k->stored_as;
    c->kinds = mem_new(len * sizeof *c->kinds);
    for (size_t i = 0; (k = kind_at(i)); i++)
        if (!k->stored_as) c->kinds[c->kinds_len++].kind = k;
}

static void kind_cache_clear(kind_cache_t *kc) {
    for (size_t i = 0; i < kc->by_path.len; i++) {
        node_index_remove(kc, kc->by_path.at[i]);
        cached_unref(&kc->by_path.at[i]);
    }
    vec_reset(&kc->by_path);
    while (kc->window_len > 0) window_drop_oldest(kc);
    assert(kc->window_bytes == 0 && map_len(&kc->by_node) == 0);
}

void cache_reset(cache_t *c, int64_t revision) {
    for (size_t i = 0; i < c->kinds_len; i++) {
        kind_cache_clear(&c->kinds[i]);
        c->kinds[i].window_after = revision;
    }
    c->revision = revision;
}

void cache_done(cache_t *c) {
    if (!c->kinds) return;
    cache_reset(c, 0);
    for (size_t i = 0; i < c->kinds_len; i++) {
        vec_done(&c->kinds[i].by_path);
        map_done(&c->kinds[i].by_node);
        free(c->kinds[i].window);
    }
    free(c->kinds);
    *c = (cache_t){0};
}
