// Objects and manifests: which kind a text is of, and kubectl's way of printing them.
#include "runtime/api/codec.h"
#include "runtime/api/json_read.h"

// ---- printing -----------------------------------------------------------------------------------
// kubectl
// prints what it got as a tree of Go maps: the same fields, keys sorted.
static node_t *tree_of(arena_t *arena, const kind_t *k, const ProtobufCMessage *obj) {
    text_t json = TEXT_HEAP;
    node_t *tree = NULL;
    json_write_object(k, obj, &json);
    err_t err = node_parse_json(arena, text_str(&json), json.len, SIZE_MAX, &tree, NULL);
    assert(err == ERR_OK);
    text_done(&json);
    return tree;
}

typedef struct {
    const kind_t *kind;
    const ProtobufCMessage *const *objs;
} objects_t;

static const node_t *tree_at(void *data, size_t i, arena_t *arena) {
    const objects_t *o = data;
    return tree_of(arena, o->kind, o->objs[i]);
}

void json_write_object_pretty(const kind_t *k, const ProtobufCMessage *obj, text_t *out) {
    arena_t arena = {0};
    node_write_json_pretty(tree_of(&arena, k, obj), out);
    text_addc(out, '\n');
    arena_done(&arena);
}

void yaml_write_object(const kind_t *k, const ProtobufCMessage *obj, text_t *out) {
    arena_t arena = {0};
    node_write_yaml(tree_of(&arena, k, obj), out);
    arena_done(&arena);
}

void json_write_list(const kind_t *k, const ProtobufCMessage *const *objs, size_t len,
                     text_t *out) {
    node_write_list_json(tree_at, &(objects_t){k, objs}, len, out);
}

void yaml_write_list(const kind_t *k, const ProtobufCMessage *const *objs, size_t len,
                     text_t *out) {
    node_write_list_yaml(tree_at, &(objects_t){k, objs}, len, out);
}

// ---- one object ---------------------------------------------------------------------------------
static err_t too_large(size_t len, why_t *why) {
    return why_set(why, ERR_TOO_LARGE, "a text of %zu bytes, at most %d are taken", len,
                   CODEC_TEXT_MAX_BYTES);
}

static err_t kind_named(const node_t *tree, const kind_t **ret_kind, why_t *why) {
    if (tree->type != NODE_MAP)
        return why_set(why, ERR_MALFORMED, "an object is wanted, with apiVersion and kind");
    const char *kind = node_get_str(tree, "kind"), *version = node_get_str(tree, "apiVersion");
    if (is_empty(kind)) return why_set(why, ERR_MALFORMED, "Object 'Kind' is missing");
    if (is_empty(version)) return why_set(why, ERR_MALFORMED, "Object 'apiVersion' is missing");
    const kind_t *k = kind_by_api_version(version, kind);
    if (!k)
        return why_set(why, ERR_NOT_FOUND, "no matches for kind \"%s\" in version \"%s\"", kind,
                       version);
    *ret_kind = k;
    return ERR_OK;
}

err_t json_read_object(arena_t *arena, const char *json, size_t len, bool strict,
                       const kind_t **ret_kind, ProtobufCMessage **ret_obj, why_t *why) {
    if (len > CODEC_TEXT_MAX_BYTES) return too_large(len, why);
    node_t *tree;
    const kind_t *k;
    err_t err = node_parse_json(arena, json, len, CODEC_NODES_MAX, &tree, why);
    if (err || (err = kind_named(tree, &k, why))) return err;
    read_errors_t errors = {0};
    ProtobufCMessage *obj = json_read_node(arena, k->type, tree, strict, &errors);
    if (!obj) return why_set(why, ERR_TOO_LARGE, "needs too much memory");
    if (errors.len) {
        err = read_errors_why(&errors, why);
        return why_wrap(why, err, "%s in version \"%s\" cannot be handled as a %s", k->name,
                        k->version, k->name);
    }
    *ret_kind = k;
    *ret_obj = obj;
    return ERR_OK;
}

// ---- manifests ----------------------------------------------------------------------------------
typedef struct {
    arena_t *arena;
    const char *file;
    bool strict;
    manifests_t found;
    size_t cap;
    text_t problems; // one line each, of all documents
    size_t n_problems, n_unsaid;
} reader_t;

// As many whole lines as a why holds; the others are counted.
static void problem(reader_t *r, uint32_t line, const char *text) {
    enum { ROOM_FOR_COUNT = 64 };
    text_t one = {.arena = r->arena};
    text_addf(&one, "%s%s:%u: %s", r->problems.len ? "\n" : "", r->file, line, text);
    bool first = r->n_problems++ == 0;
    bool fits = r->problems.len + one.len < WHY_TEXT_MAX - ROOM_FOR_COUNT - strlen(r->file);
    if (!first && (!fits || r->n_unsaid || r->n_problems > CODEC_ERRORS_MAX))
        r->n_unsaid++;
    else
        text_add(&r->problems, text_str(&one));
}

static void add_manifest(reader_t *r, const manifest_t *m) {
    if (r->found.len == r->cap) {
        r->cap = r->cap ? r->cap * 2 : 8;
        manifest_t *grown = ARENA_ARRAY(r->arena, manifest_t, r->cap);
        if (r->found.len) memcpy(grown, r->found.at, r->found.len * sizeof *grown);
        r->found.at = grown;
    }
    r->found.at[r->found.len++] = *m;
}

static void read_document(reader_t *r, node_t *doc);

// kind: List, and typed lists (PodList): each item is a document of its own. Items of a typed
// list may leave their kind out.
static void open_list(reader_t *r, const node_t *doc, const char *kind) {
    const node_t *items = node_get(doc, "items");
    if (items && items->type != NODE_LIST && items->type != NODE_NULL) {
        problem(r, items->line, "items: a list is wanted");
        return;
    }
    if (!items || items->type == NODE_NULL) return;
    char *item_kind = arena_strndup(r->arena, kind, strlen(kind) - strlen("List"));
    const char *version = or_empty(node_get_str(doc, "apiVersion"));
    for (const node_t *c = items->first; c; c = c->next) {
        node_t *item = arena_dup(r->arena, c, sizeof *c);
        if (item->type == NODE_MAP && *item_kind && !node_get(item, "kind")) {
            item = node_dup(r->arena, c);
            node_put(r->arena, item, "kind", node_str(r->arena, item_kind));
            node_put(r->arena, item, "apiVersion", node_str(r->arena, version));
        }
        read_document(r, item);
    }
}

static void read_document(reader_t *r, node_t *doc) {
    if (doc->type == NODE_NULL) return;
    const char *kind = node_get_str(doc, "kind");
    if (kind && has_suffix(kind, "List") && node_get(doc, "items")) {
        open_list(r, doc, kind);
        return;
    }
    why_t why;
    manifest_t m = {.line = (int)doc->line};
    if (kind_named(doc, &m.kind, &why)) {
        problem(r, doc->line, why.text);
        return;
    }
    read_errors_t errors = {0};
    m.obj = json_read_node(r->arena, m.kind->type, doc, r->strict, &errors);
    for (size_t i = 0; i < errors.len; i++) problem(r, errors.at[i].line, errors.at[i].text);
    r->n_unsaid += errors.skipped;
    if (!m.obj || errors.len) return;
    text_t json = {.arena = r->arena};
    node_write_json(doc, &json);
    m.json = (bytes_t){(uint8_t *)json.at, json.len};
    add_manifest(r, &m);
}

// Text that begins with a brace is JSON, maybe several values in a row; a flow mapping of YAML
// looks alike, so what is no JSON gets its second chance there.
static err_t parse_documents(arena_t *arena, const char *text, size_t len, nodes_t *ret_documents,
                             why_t *why) {
    size_t start = 0;
    while (start < len && strchr(" \t\r\n", text[start])) start++;
    bool maybe_json = start < len && text[start] == '{';
    err_t err = maybe_json ? node_parse_jsons(arena, text, len, CODEC_NODES_MAX,
                                              CODEC_DOCUMENTS_MAX, ret_documents, why)
                           : ERR_MALFORMED;
    if (err == ERR_OK) return ERR_OK;
    err_t yaml_err = node_parse_yaml(arena, text, len, CODEC_NODES_MAX, CODEC_DOCUMENTS_MAX,
                                     ret_documents, maybe_json ? NULL : why);
    return yaml_err && maybe_json ? err : yaml_err; // of JSON that is neither, JSON's own message
}

// "line 12: text" -> "file:12: text"
static err_t place(const char *file, err_t err, why_t *why) {
    unsigned line;
    int skip = 0;
    if (!why || sscanf(why->text, "line %u: %n", &line, &skip) != 1 || !skip)
        return why_wrap(why, err, "%s", file);
    why_t old = *why;
    return why_set(why, err, "%s:%u: %s", file, line, old.text + skip);
}

err_t manifests_read(arena_t *arena, const char *file, const char *text, size_t len, bool strict,
                     manifests_t *ret_manifests, why_t *why) {
    if (len > CODEC_TEXT_MAX_BYTES) return why_wrap(why, too_large(len, why), "%s", file);
    reader_t r = {.arena = arena, .file = file, .strict = strict, .problems = TEXT_HEAP};
    nodes_t documents = {0};
    err_t err = parse_documents(arena, text, len, &documents, why);
    if (err) return place(file, err, why);
    for (size_t i = 0; i < documents.len; i++) read_document(&r, documents.at[i]);
    if (r.n_unsaid) text_addf(&r.problems, "\n%s: %zu more problems", file, r.n_unsaid);
    if (r.n_problems) err = why_set(why, ERR_BAD_REQUEST, "%s", text_str(&r.problems));
    text_done(&r.problems);
    if (err == ERR_OK) *ret_manifests = r.found;
    return err;
}
