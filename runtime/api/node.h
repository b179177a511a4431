// node - a value of JSON or YAML as a tree: what texts are read into before a descriptor gives them
// a meaning, and what patches work on.
//
// Everything lives in an arena. Trees from texts may share subtrees (YAML aliases): read them,
// copy before changing (node_dup). A tree knows lines for messages to people.
#pragma once
#include "runtime/base/text.h"
#include "runtime/base/why.h"

enum { NODE_DEPTH_MAX = 128 }; // messages nest to 64; raw JSON inside them needs some room

typedef enum { NODE_NULL, NODE_BOOL, NODE_NUMBER, NODE_STRING, NODE_LIST, NODE_MAP } node_type_t;
typedef struct node node_t;
struct node {
    uint8_t type;  // node_type_t
    bool is_true;  // of NODE_BOOL
    uint32_t line; // from 1; 0: unknown
    uint32_t key_len;
    uint32_t weight; // nodes from here down, itself included (as read; patches ignore it)
    const char *key; // inside a map; NUL-terminated
    node_t *next;    // brother in a list or map
    union {
        struct {
            const char *text; // a string, NUL-terminated; or a number as written, not terminated
            size_t text_len;
        };
        struct {
            node_t *first, *last;
        }; // of lists and maps
    };
};

// ---- reading ------------------------------------------------------------------------------------
// `nodes_max`
// bounds the tree. ERR_MALFORMED, ERR_TOO_LARGE; the why begins with "line N: ". Keys may repeat:
// whoever gives them a meaning decides. Invalid UTF-8 and NUL are refused.
err_t node_parse_json(arena_t *arena, const char *text, size_t len, size_t nodes_max,
                      node_t **ret_node, why_t *why) MUST_USE;
typedef struct {
    node_t **at;
    size_t len;
} nodes_t;
// Values one behind the other, nothing but whitespace between them.
err_t node_parse_jsons(arena_t *arena, const char *text, size_t len, size_t nodes_max,
                       size_t documents_max, nodes_t *ret_documents, why_t *why) MUST_USE;
// All documents of a YAML stream, read as Go's yaml.v2 does (YAML 1.1 scalars, merge keys).
// `nodes_max` holds per document, with aliases counted as often as they are used.
err_t node_parse_yaml(arena_t *arena, const char *text, size_t len, size_t nodes_max,
                      size_t documents_max, nodes_t *ret_documents, why_t *why) MUST_USE;
bool nodes_add(arena_t *arena, nodes_t *nodes, node_t *n); // false: no memory
// Is this text a string in YAML when nothing quotes it?
bool node_yaml_is_plain_string(const char *text, size_t len);

// ---- building and changing ----------------------------------------------------------------------
node_t *node_new(arena_t *arena, node_type_t type);
node_t *node_str(arena_t *arena, const char *text);
node_t *node_dup(arena_t *arena, const node_t *n);            // deep; NULL stays NULL
node_t *node_get(const node_t *map, const char *key);         // NULL: none, or no map
const char *node_get_str(const node_t *map, const char *key); // NULL: none, or no string
void node_add(node_t *list_or_map, node_t *child);            // at the end
void node_put(arena_t *arena, node_t *map, const char *key, node_t *value); // replaces in place
bool node_remove(node_t *map, const char *key);
bool node_unlink(node_t *list_or_map, const node_t *child);
size_t node_len(const node_t *n);                  // children
bool node_equal(const node_t *a, const node_t *b); // maps in any order; 1 and 1.0 differ
// Children whose key stood before already, at most `max` of them.
size_t node_repeated(const node_t *map, const node_t **ret_nodes, size_t max);
bool node_is_int(const node_t *n, int64_t *ret_v); // a number that is a whole one
const char *node_scalar_text(arena_t *arena,
                             const node_t *n); // "true", "5", "text"; NULL otherwise

// ---- writing ------------------------------------------------------------------------------------
void node_write_json(const node_t *n, text_t *out);        // compact, in the tree's order
void node_write_json_sorted(const node_t *n, text_t *out); // compact, keys sorted
void node_write_json_pretty(const node_t *n, text_t *out); // sorted, 4 spaces
void node_write_yaml(const node_t *n, text_t *out);        // as sigs.k8s.io/yaml prints it
// kubectl's kind: List around items that are made one at a time, each in an arena that is cleared
// behind it: ten thousand objects cost the memory of one tree.
typedef const node_t *node_item_fn(void *data, size_t i, arena_t *arena);
void node_write_list_json(node_item_fn *item, void *data, size_t len, text_t *out);
void node_write_list_yaml(node_item_fn *item, void *data, size_t len, text_t *out);
// A JSON string with its quotes, as Go's encoding/json escapes it.
void json_write_string(text_t *out, const char *s, size_t len);
