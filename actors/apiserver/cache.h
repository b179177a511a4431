// cache - the watch cache: every stored object at the newest revision seen, and the changes of
// late. What lists and watches are answered from.
//
//     store watch ──► cache_put / cache_remove ──► objects, sorted by path, of each stored kind
//                                             └──► window: the last changes, oldest first
//
// An object is an immutable, counted `cached_t`: its packed bytes bear the resourceVersion and are
// shared by everybody who is sent it. The window holds the last CACHE_WINDOW_MAX changes of a kind
// with the state before and after, so that a watch can be resumed from an older revision and a list
// can be told as of one. The whole cache has one revision, because one store watch feeds it.
//
// Pure: no clock, no messages. Belongs to one actor.
#pragma once
#include "runtime/api/kinds.h"
#include "runtime/base/map.h"
#include "runtime/base/vec.h"

enum {
    CACHE_WINDOW_MAX = 16 * 1024,      // changes per kind that a watch can be resumed over
    CACHE_WINDOW_MAX_BYTES = 32 << 20, // of objects that only the window still holds, per kind
};

// The object in another version than the stored one, made when first asked for.
typedef struct {
    const kind_t *kind;
    blob_t *blob;
} cached_form_t;

typedef struct cached {
    uint32_t refs;
    int64_t revision;
    const kind_t *kind; // the stored kind
    const char *path;   // "namespace/name" or "name"
    const char *ns;     // "" for cluster-scoped kinds
    const char *name;
    const char *node; // pods: spec.nodeName; else ""
    blob_t *blob;     // packed, with its resourceVersion
    VEC(cached_form_t) forms;
} cached_t;

// One change. `now` NULL: deleted; `was` NULL: created. `gone` is `was` with the revision of the
// change, as those see it from whose view the object went; made when first asked for.
typedef struct {
    uint32_t refs;
    int64_t revision;
    cached_t *now, *was, *gone;
} change_t;

typedef VEC(cached_t *) cached_list_t; // counted references

typedef struct {
    const kind_t *kind;
    cached_list_t by_path;
    map_t by_node;     // pods: node -> cached_list_t * (not counted, unsorted)
    change_t **window; // a ring
    size_t window_at, window_len, window_cap, window_bytes;
    int64_t window_after; // every change after this revision is in the window
} kind_cache_t;

typedef struct {
    kind_cache_t *kinds; // in the order of the kinds table
    size_t kinds_len;
    int64_t revision; // everything up to here is in
} cache_t;

void cache_init(cache_t *c);
void cache_done(cache_t *c);
// Forgets all objects and changes: what comes next is a whole new state, as of `revision`.
void cache_reset(cache_t *c, int64_t revision);

kind_cache_t *cache_of(const cache_t *c, const kind_t *stored); // NULL: no such kind
cached_t *cache_get(const cache_t *c, const kind_t *stored,
                    const char *path); // *borrowed*; NULL: none
// Where `path` is or would be in by_path.
size_t cache_find(const kind_cache_t *kc, const char *path);

// The object of `kind` at `path` is now `value` (stored form). Returns the change (*borrowed*; the
// window's), or NULL when the value is not readable, which leaves the old state. cache_load is the
// same while the first state is read: no change, nothing enters the window; false: not readable.
change_t *cache_put(cache_t *c, const kind_t *stored, bytes_t path, bytes_t value,
                    int64_t revision);
bool cache_load(cache_t *c, const kind_t *stored, bytes_t path, bytes_t value, int64_t revision);
change_t *cache_remove(cache_t *c, const kind_t *stored, bytes_t path,
                       int64_t revision); // NULL: was not there
void cache_advance(cache_t *c, int64_t revision);

// The i-th change of the window, oldest first; and the first one after `revision`.
change_t *cache_change(const kind_cache_t *kc, size_t i);
size_t cache_first_after(const kind_cache_t *kc, int64_t revision);

// Counted references to the objects whose paths start with `prefix` ("" or "default/") and come
// behind `after` (NULL: from the first), as of `revision` (0: now), at most `max` of them
// (0: all). ERR_EXPIRED when the window does not reach back that far.
err_t cache_snapshot(const cache_t *c, const kind_t *stored, const char *prefix, const char *after,
                     int64_t revision, size_t max, cached_list_t *ret_list) MUST_USE;
// The same for the pods of one node, as of now, sorted.
void cache_snapshot_node(const cache_t *c, const kind_t *stored, const char *node,
                         cached_list_t *ret_list);
void cached_list_done(cached_list_t *records);

cached_t *cached_ref(cached_t *r);
void cached_unref(cached_t **r);
// Unpacked into the arena, in the stored version.
void *cached_object(arena_t *arena, const cached_t *r);
// Packed in the version `asked`; *borrowed* from the record, made on first use.
blob_t *cached_blob(cached_t *r, const kind_t *asked);
change_t *change_ref(change_t *ch);
void change_unref(change_t **ch);
cached_t *change_gone(change_t *ch); // *borrowed*
