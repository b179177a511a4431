#include "runtime/api/describe.h"
#include "runtime/api/codec.h"
#include "runtime/api/describe/page.h"
#include "runtime/api/node.h"
#include <strings.h>

// ---- kinds without a text of their own: their fields, as words ----------------------------------
static bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }

// "creationTimestamp" reads "Creation Timestamp"; well-known short forms keep their capitals.
static const char *label_of(arena_t *arena, const char *field) {
    static const char *const acronyms[] = {"api", "API", "url", "URL", "uid",  "UID",
                                           "ip",  "IP",  "osb", "OSB", "guid", "GUID"};
    text_t out = {.arena = arena};
    for (const char *at = field; *at;) {
        size_t len = 1;
        while (at[len] && !is_upper(at[len])) len++;
        // A run of capitals is one word.
        while (is_upper(at[len - 1]) && is_upper(at[len])) len++;
        if (out.len) text_addc(&out, ' ');
        const char *word = NULL;
        for (size_t i = 0; i < LENGTH_OF(acronyms); i += 2)
            if (strlen(acronyms[i]) == len && strncasecmp(acronyms[i], at, len) == 0)
                word = acronyms[i + 1];
        if (word) {
            text_add(&out, word);
        } else {
            text_addc(&out, at[0] >= 'a' && at[0] <= 'z' ? (char)(at[0] - 'a' + 'A') : at[0]);
            text_addn(&out, at + 1, len - 1);
        }
        at += len;
    }
    return text_str(&out);
}

// Told above already, or of interest to machines only.
static bool is_skipped(const char *path) {
    static const char *const skipped[] = {"metadata.name",
                                          "metadata.namespace",
                                          "metadata.labels",
                                          "metadata.annotations",
                                          "metadata.managedFields",
                                          "apiVersion",
                                          "kind"};
    for (size_t i = 0; i < LENGTH_OF(skipped); i++)
        if (streq(path, skipped[i])) return true;
    return false;
}

static int by_node_key(const void *a, const void *b) {
    return strcmp((*(const node_t *const *)a)->key, (*(const node_t *const *)b)->key);
}

static void add_map(page_t *page, int level, const char *path, const node_t *map);

static void add_items(page_t *page, int level, const char *path, const node_t *list) {
    for (const node_t *item = list->first; item; item = item->next) {
        if (item->type == NODE_MAP)
            add_map(page, level, path, item);
        else
            page_add(page, level, "%s\n", or_empty(node_scalar_text(page->arena, item)));
    }
}

static void add_map(page_t *page, int level, const char *path, const node_t *map) {
    size_t len = node_len(map), at = 0;
    if (level > NODE_DEPTH_MAX || !len) return;
    const node_t **sorted = ARENA_ARRAY(page->arena, const node_t *, len);
    for (const node_t *n = map->first; n; n = n->next) sorted[at++] = n;
    qsort(sorted, len, sizeof *sorted, by_node_key);
    for (size_t i = 0; i < len; i++) {
        const node_t *n = sorted[i];
        const char *below = *path ? arena_printf(page->arena, "%s.%s", path, n->key) : n->key;
        if (is_skipped(below)) continue;
        const char *label = label_of(page->arena, n->key);
        if (n->type == NODE_MAP) {
            page_add(page, level, "%s:\n", label);
            add_map(page, level + 1, below, n);
        } else if (n->type == NODE_LIST) {
            page_add(page, level, "%s:\n", label);
            add_items(page, level + 1, below, n);
        } else if (n->type != NODE_NULL) {
            page_add(page, level, "%s:\t%s\n", label, or_empty(node_scalar_text(page->arena, n)));
        }
    }
}

void page_generic(page_t *page, const kind_t *k, const ProtobufCMessage *obj) {
    const Meta__ObjectMeta *meta = object_meta_read(obj);
    page_add(page, 0, "Name:\t%s\n", or_empty(meta->name));
    page_add(page, 0, "Namespace:\t%s\n", or_empty(meta->namespace_));
    page_labels(page, "Labels", meta->labels, meta->n_labels);
    page_annotations(page, "Annotations", meta);
    page_add(page, 0, "API Version:\t%s\n", kind_api_version(page->arena, k));
    page_add(page, 0, "Kind:\t%s\n", k->name);
    text_t json = {.arena = page->arena};
    json_write_object(k, obj, &json);
    node_t *tree;
    if (node_parse_json(page->arena, text_str(&json), json.len, CODEC_NODES_MAX, &tree, NULL))
        return;
    add_map(page, 0, "", tree);
    page_events(page);
}

// ---- the table ----------------------------------------------------------------------------------
static const struct {
    const char *kind; // of any group and version
    describe_fn *describe;
} kinds[] = {
    {"Pod", describe_pod},
    {"Deployment", describe_deployment},
    {"ReplicaSet", describe_replicaset},
    {"Service", describe_service},
    {"Endpoints", describe_endpoints},
    {"Node", describe_node},
    {"Namespace", describe_namespace},
    {"ConfigMap", describe_configmap},
    {"Secret", describe_secret},
    {"ServiceAccount", describe_serviceaccount},
};

void describe_print(arena_t *arena, const kind_t *k, const ProtobufCMessage *obj,
                    const Core__Event *const *events, size_t events_len,
                    const describe_extra_t *extra, int64_t now_wall_ms, text_t *out) {
    static const describe_extra_t none = {0};
    page_t page = {.arena = arena,
                   .raw = {.arena = arena},
                   .now_wall_ms = now_wall_ms,
                   .events = events,
                   .events_len = events_len,
                   .extra = extra ? extra : &none};
    size_t i = 0;
    while (i < LENGTH_OF(kinds) && !streq(kinds[i].kind, k->name)) i++;
    if (i < LENGTH_OF(kinds))
        kinds[i].describe(&page, obj);
    else
        page_generic(&page, k, obj);
    page_print(&page, out);
}

void describe_template(arena_t *arena, const Core__PodTemplateSpec *template, text_t *out) {
    static const describe_extra_t none;
    page_t page = {.arena = arena, .raw = {.arena = arena}, .extra = &none};
    page_template(&page, template);
    page_print(&page, out);
}
