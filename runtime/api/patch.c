// An object becomes a tree (its JSON as a server writes it), the tree is patched, and read back
// strictly through the descriptors: no patch can make what a manifest could not.
#include "runtime/api/patch.h"
#include "runtime/api/json_read.h"
#include "runtime/api/patch_tree.h"

static err_t no_memory(why_t *why) { return why_set(why, ERR_TOO_LARGE, "needs too much memory"); }

static err_t tree_of(arena_t *arena, const kind_t *k, const ProtobufCMessage *obj,
                     node_t **ret_tree, why_t *why) {
    text_t json = {.arena = arena};
    json_write_object(k, obj, &json);
    return node_parse_json(arena, text_str(&json), json.len, SIZE_MAX, ret_tree, why);
}

static err_t parse_patch(arena_t *arena, bytes_t json, node_type_t type, node_t **ret_patch,
                         why_t *why) {
    if (json.len > CODEC_TEXT_MAX_BYTES)
        return why_set(why, ERR_TOO_LARGE, "a patch of %zu bytes, at most %d are taken", json.len,
                       CODEC_TEXT_MAX_BYTES);
    node_t *patch;
    err_t err =
        node_parse_json(arena, (const char *)json.at, json.len, CODEC_NODES_MAX, &patch, why);
    if (err)
        return why_wrap(why, err == ERR_MALFORMED ? ERR_BAD_REQUEST : err, "error decoding patch");
    if (patch->type != type)
        return why_set(why, ERR_BAD_REQUEST, "error decoding patch: a JSON %s is wanted",
                       type == NODE_MAP ? "object" : "array");
    *ret_patch = patch;
    return ERR_OK;
}

static err_t object_of(arena_t *arena, const kind_t *k, const node_t *tree,
                       ProtobufCMessage **ret_obj, why_t *why) {
    read_errors_t errors = {0};
    ProtobufCMessage *obj = json_read_node(arena, k->type, tree, true, &errors);
    if (!obj) return no_memory(why);
    if (errors.len) {
        err_t err = read_errors_why(&errors, why);
        return why_wrap(why, err ? ERR_INVALID : ERR_INTERNAL, "the patched %s", k->name);
    }
    *ret_obj = obj;
    return ERR_OK;
}

// What an object is does not change by a patch.
static void drop_identity(node_t *patch) {
    node_remove(patch, "kind");
    node_remove(patch, "apiVersion");
}

err_t patch_strategic(arena_t *arena, const kind_t *k, const ProtobufCMessage *obj,
                      bytes_t patch_json, ProtobufCMessage **ret_obj, why_t *why) {
    node_t *patch, *tree;
    err_t err = parse_patch(arena, patch_json, NODE_MAP, &patch, why);
    if (err || (err = tree_of(arena, k, obj, &tree, why))) return err;
    drop_identity(patch);
    if ((err = patch_tree_strategic(arena, api_type_of(k->type), tree, patch, why))) return err;
    return object_of(arena, k, tree, ret_obj, why);
}

err_t patch_merge(arena_t *arena, const kind_t *k, const ProtobufCMessage *obj, bytes_t patch_json,
                  ProtobufCMessage **ret_obj, why_t *why) {
    node_t *patch, *tree;
    err_t err = parse_patch(arena, patch_json, NODE_MAP, &patch, why);
    if (err || (err = tree_of(arena, k, obj, &tree, why))) return err;
    drop_identity(patch);
    if ((err = patch_tree_merge(arena, tree, patch, why))) return err;
    return object_of(arena, k, tree, ret_obj, why);
}

err_t patch_json(arena_t *arena, const kind_t *k, const ProtobufCMessage *obj, bytes_t patch_json,
                 ProtobufCMessage **ret_obj, why_t *why) {
    node_t *patch, *tree;
    err_t err = parse_patch(arena, patch_json, NODE_LIST, &patch, why);
    if (err || (err = tree_of(arena, k, obj, &tree, why))) return err;
    if ((err = patch_tree_json(arena, &tree, patch, why))) return err;
    return object_of(arena, k, tree, ret_obj, why);
}

// ---- apply --------------------------------------------------------------------------------------
static node_t *map_inside(arena_t *arena, node_t *parent, const char *key) {
    node_t *inside = node_get(parent, key);
    if (inside && inside->type == NODE_MAP) return inside;
    node_put(arena, parent, key, node_new(arena, NODE_MAP));
    return node_get(parent, key);
}

// kubectl writes the manifest with sorted keys, without the annotation itself, and a line's end.
static const char *last_applied_text(arena_t *arena, node_t *wanted) {
    node_remove(map_inside(arena, map_inside(arena, wanted, "metadata"), "annotations"),
                LAST_APPLIED_ANNOTATION);
    text_t out = {.arena = arena};
    node_write_json_sorted(wanted, &out);
    text_addc(&out, '\n');
    return text_str(&out);
}

err_t patch_apply(arena_t *arena, const kind_t *k, const ProtobufCMessage *obj, bytes_t last_json,
                  bytes_t wanted_json, ProtobufCMessage **ret_obj, why_t *why) {
    node_t *wanted, *last = NULL, *tree = node_new(arena, NODE_MAP);
    err_t err = parse_patch(arena, wanted_json, NODE_MAP, &wanted, why);
    // An annotation that somebody broke counts as none: what it would have removed stays.
    if (!err && last_json.len && parse_patch(arena, last_json, NODE_MAP, &last, NULL)) last = NULL;
    if (!err && obj) err = tree_of(arena, k, obj, &tree, why);
    if (err) return err;
    const char *annotation = last_applied_text(arena, wanted);
    drop_identity(wanted);
    if (last) drop_identity(last);
    if ((err = patch_tree_apply(arena, api_type_of(k->type), tree, last, wanted, why))) return err;
    node_t *annotations = map_inside(arena, map_inside(arena, tree, "metadata"), "annotations");
    node_put(arena, annotations, LAST_APPLIED_ANNOTATION, node_str(arena, annotation));
    return object_of(arena, k, tree, ret_obj, why);
}
