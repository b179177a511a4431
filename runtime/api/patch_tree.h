// patch_tree - patches on trees; patch.h is the face for objects.
#pragma once
#include "runtime/api/fields.h"
#include "runtime/api/node.h"

enum {
    PATCH_ITEMS_MAX = 1000,            // of a list that merges by key
    PATCH_WORK_MAX = 20 * 1000 * 1000, // comparisons of one patch: some 100 ms
};

// Change `live` (a map of the type) in place.
err_t patch_tree_strategic(arena_t *arena, const api_type_t *type, node_t *live,
                           const node_t *patch, why_t *why) MUST_USE;
err_t patch_tree_apply(arena_t *arena, const api_type_t *type, node_t *live, const node_t *last,
                       const node_t *wanted, why_t *why) MUST_USE;
// RFC 7386.
err_t patch_tree_merge(arena_t *arena, node_t *live, const node_t *patch, why_t *why) MUST_USE;
// RFC 6902; may put another root into *doc.
err_t patch_tree_json(arena_t *arena, node_t **doc, const node_t *operations, why_t *why) MUST_USE;
