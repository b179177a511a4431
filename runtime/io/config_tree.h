// config_tree - a small YAML text as a tree of maps, lists and scalars that know their lines.
//
// For files that an administrator writes: component files and topologies. Strict on purpose: one
// document, no anchors, aliases or tags, no key twice in one map, bounded size and depth. API
// objects have a reader of their own (runtime/api/codec.h), which follows Kubernetes' rules.
#pragma once
#include "runtime/base/arena.h"
#include "runtime/base/why.h"

enum {
    CONFIG_TEXT_MAX_BYTES = 1 << 20, // a topology of a thousand actors has 100 KiB
    CONFIG_DEPTH_MAX = 16,
};

typedef enum { CONFIG_NODE_SCALAR, CONFIG_NODE_LIST, CONFIG_NODE_MAP } config_node_kind_t;

// A node and, for a member of a map, its key; children form a chain. All in the arena.
typedef struct config_node {
    config_node_kind_t kind;
    size_t line;     // where the value starts, from 1
    const char *key; // member of a map; NULL: element of a list, or the root
    size_t key_line;
    const char *text; // scalar
    bool quoted;      // scalar in quotes, or a block: always a string
    struct config_node *first, *next;
    size_t len; // children
} config_node_t;

// An empty text is an empty map. Errors: ERR_MALFORMED (not this YAML), ERR_TOO_LARGE.
err_t config_tree_parse(arena_t *arena, const char *file, const char *text, size_t len,
                        config_node_t **ret_root, why_t *why) MUST_USE;

// Replaces every ${name} in the scalars below `root` by what `value_of` says; NULL from it is an
// error. A text that was replaced counts as quoted: it is a string, whatever it looks like.
err_t config_tree_expand(arena_t *arena, const char *file, config_node_t *root,
                         const char *(*value_of)(void *arg, const char *name), void *arg,
                         why_t *why) MUST_USE;

const config_node_t *config_node_get(const config_node_t *map, const char *key); // NULL: not there
// Is this scalar's plain text empty, `~` or `null`?
bool config_node_is_null(const config_node_t *n);
const char *
config_node_kind_text(const config_node_t *n); // "a list", "the number 5", …; static or the node's

// "FILE:LINE: <fmt>" of the node's value, returned as `e`.
err_t config_error(why_t *why, err_t e, const char *file, size_t line, const char *fmt, ...)
    PRINTF_LIKE(5, 6);
// The scalar as what it should be; on failure `why` says "FILE:LINE: KEY: …".
err_t config_as_string(const config_node_t *n, const char *file, const char **ret,
                       why_t *why) MUST_USE;
err_t config_as_int(const config_node_t *n, const char *file, int64_t *ret, why_t *why) MUST_USE;
err_t config_as_bool(const config_node_t *n, const char *file, bool *ret, why_t *why) MUST_USE;
err_t config_as_duration_ms(const config_node_t *n, const char *file, int64_t *ret,
                            why_t *why) MUST_USE;
err_t config_as_bytes(const config_node_t *n, const char *file, int64_t *ret, why_t *why) MUST_USE;

// The known key nearest to a mistyped one, for "did you mean"; NULL: none is near.
const char *config_nearest(const char *wrong, const char *const *known, size_t known_len);
// A whole file, *returned* and NUL-terminated; ERR_NOT_FOUND, ERR_PERMISSION, ERR_TOO_LARGE,
// ERR_IO.
err_t config_load_file(const char *path, char **ret_text, size_t *ret_len, why_t *why) MUST_USE;
