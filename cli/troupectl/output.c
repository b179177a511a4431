// Printing objects: tables, YAML, JSON, names, JSONPath, custom columns.
#include "cli/troupectl/ctl.h"
#include "cli/troupectl/jsonpath.h"
#include "runtime/api/codec.h"
#include "runtime/api/table.h"
#include "runtime/base/clock.h"

bool output_is_table(const ctl_t *ctl) { return !ctl->o.output || streq(ctl->o.output, "wide"); }

const char *object_ref(ctl_t *ctl, const kind_t *k, const char *name) {
    return arena_printf(&ctl->arena, "%s%s%s/%s", k->singular, k->group[0] ? "." : "", k->group,
                        name);
}

static json_t *tree_of(const kind_t *k, ProtobufCMessage *const *objs, size_t len, bool list) {
    text_t text = TEXT_HEAP;
    if (list)
        json_write_list(k, (const ProtobufCMessage *const *)objs, len, &text);
    else
        json_write_object(k, objs[0], &text);
    json_error_t error;
    json_t *root = json_loadb(text_str(&text), text.len, 0, &error);
    assert(root); // we wrote it
    text_done(&text);
    return root;
}

static int print_jsonpath(const char *template_, const kind_t *k, ProtobufCMessage *const *objs,
                          size_t len, bool list) {
    json_t *root = tree_of(k, objs, len, list);
    text_t out = TEXT_HEAP;
    why_t why;
    err_t err = jsonpath_print(template_, root, false, &out, &why);
    json_decref(root);
    if (!err) fputs(text_str(&out), stdout);
    text_done(&out);
    return err ? refuse("%s", why.text) : 0;
}

// ---- custom columns: NAME:.metadata.name,IMAGE:.spec.containers[*].image -----------------------

typedef struct {
    const char *header, *path;
} custom_column_t;
enum { CUSTOM_COLUMNS_MAX = 64, COLUMN_GAP = 3 };

static int read_columns(ctl_t *ctl, const char *spec, custom_column_t *columns, size_t *ret_len) {
    char *list = arena_strdup(&ctl->arena, spec), *one;
    *ret_len = 0;
    while ((one = strsep(&list, ","))) {
        char *colon = strchr(one, ':');
        if (!colon || colon == one || !colon[1])
            return refuse("unexpected custom-columns spec: %s, expected <header>:<json-path-expr>",
                          one);
        if (*ret_len == CUSTOM_COLUMNS_MAX)
            return refuse("more than %d custom columns", CUSTOM_COLUMNS_MAX);
        *colon = 0;
        columns[(*ret_len)++] = (custom_column_t){one, colon + 1};
    }
    return 0;
}

static int print_custom(ctl_t *ctl, const char *spec, const kind_t *k,
                        ProtobufCMessage *const *objs, size_t len) {
    custom_column_t columns[CUSTOM_COLUMNS_MAX];
    size_t columns_len;
    if (read_columns(ctl, spec, columns, &columns_len)) return EXIT_FAILED;
    const char **cells = ARENA_ARRAY(&ctl->arena, const char *, (len + 1) * columns_len);
    size_t *widths = ARENA_ARRAY(&ctl->arena, size_t, columns_len);
    for (size_t row = 0; row <= len; row++) {
        json_t *root = row ? tree_of(k, &objs[row - 1], 1, false) : NULL;
        for (size_t c = 0; c < columns_len; c++) {
            const char *cell = columns[c].header;
            if (row) {
                text_t text = {.arena = &ctl->arena};
                size_t found = 0;
                why_t why;
                if (jsonpath_value(columns[c].path, root, ",", &text, &found, &why)) {
                    json_decref(root);
                    return refuse("%s", why.text);
                }
                cell = found ? text_str(&text) : "<none>";
            }
            cells[row * columns_len + c] = cell;
            if (strlen(cell) > widths[c]) widths[c] = strlen(cell);
        }
        json_decref(root);
    }
    for (size_t row = ctl->o.no_headers ? 1 : 0; row <= len; row++)
        for (size_t c = 0; c < columns_len; c++) {
            bool is_last = c + 1 == columns_len;
            printf("%-*s%s", is_last ? 0 : (int)widths[c] + COLUMN_GAP,
                   cells[row * columns_len + c], is_last ? "\n" : "");
        }
    return 0;
}

// ---- order -------------------------------------------------------------------------------------

typedef struct {
    const char *key;
    double number;
    bool is_number;
    ProtobufCMessage *obj;
} sortable_t;

static int sort_order(const void *va, const void *vb) {
    const sortable_t *a = va, *b = vb;
    if (a->is_number && b->is_number) return (a->number > b->number) - (a->number < b->number);
    return strcmp(a->key, b->key);
}

static ProtobufCMessage *const *sorted_by(ctl_t *ctl, const char *path, const kind_t *k,
                                          ProtobufCMessage *const *objs, size_t len) {
    sortable_t *rows = ARENA_ARRAY(&ctl->arena, sortable_t, len);
    for (size_t i = 0; i < len; i++) {
        json_t *root = tree_of(k, &objs[i], 1, false);
        text_t key = {.arena = &ctl->arena};
        why_t why;
        if (jsonpath_value(path, root, ",", &key, NULL, &why)) {
            json_decref(root);
            refuse("%s", why.text);
            return NULL;
        }
        char *end;
        rows[i] = (sortable_t){text_str(&key), strtod(text_str(&key), &end), false, objs[i]};
        rows[i].is_number = key.len && !*end;
        json_decref(root);
    }
    qsort(rows, len, sizeof *rows, sort_order);
    ProtobufCMessage **sorted = ARENA_ARRAY(&ctl->arena, ProtobufCMessage *, len);
    for (size_t i = 0; i < len; i++) sorted[i] = rows[i].obj;
    return sorted;
}

// ---- the choice --------------------------------------------------------------------------------

static void print_as_table(ctl_t *ctl, const kind_t *k, ProtobufCMessage *const *objs, size_t len) {
    table_options_t options = {.wide = ctl->o.output && streq(ctl->o.output, "wide"),
                               .no_headers = ctl->o.no_headers,
                               .with_namespace = ctl->o.all_namespaces && k->namespaced,
                               .show_labels = ctl->o.show_labels,
                               .show_kind = ctl->o.show_kind};
    text_t out = TEXT_HEAP;
    table_print(&ctl->arena, k, (const ProtobufCMessage *const *)objs, len, clock_wall_ms(),
                &options, &out);
    fputs(text_str(&out), stdout);
    text_done(&out);
}

static int print_text(const kind_t *k, ProtobufCMessage *const *objs, size_t len, bool list,
                      bool yaml) {
    text_t out = TEXT_HEAP;
    const ProtobufCMessage *const *all = (const ProtobufCMessage *const *)objs;
    if (list && yaml)
        yaml_write_list(k, all, len, &out);
    else if (list)
        json_write_list(k, all, len, &out);
    else if (yaml)
        yaml_write_object(k, objs[0], &out);
    else
        json_write_object_pretty(k, objs[0], &out);
    if (out.len == 0 || out.at[out.len - 1] != '\n') text_addc(&out, '\n');
    fputs(text_str(&out), stdout);
    text_done(&out);
    return 0;
}

int print_objects(ctl_t *ctl, const kind_t *k, ProtobufCMessage *const *objs, size_t len,
                  bool list) {
    const char *o = ctl->o.output;
    if (ctl->o.sort_by && !(objs = sorted_by(ctl, ctl->o.sort_by, k, objs, len)))
        return EXIT_FAILED;
    if (output_is_table(ctl)) return print_as_table(ctl, k, objs, len), 0;
    if (streq(o, "yaml") || streq(o, "json"))
        return print_text(k, objs, len, list, streq(o, "yaml"));
    if (streq(o, "name")) {
        for (size_t i = 0; i < len; i++)
            printf("%s\n", object_ref(ctl, k, object_meta_read(objs[i])->name));
        return 0;
    }
    if (has_prefix(o, "jsonpath="))
        return print_jsonpath(o + strlen("jsonpath="), k, objs, len, list);
    if (has_prefix(o, "custom-columns="))
        return print_custom(ctl, o + strlen("custom-columns="), k, objs, len);
    return refuse(
        "unable to match a printer suitable for the output format \"%s\", allowed formats are: "
        "custom-columns,json,jsonpath,name,wide,yaml",
        o);
}

int print_done(ctl_t *ctl, const kind_t *k, ProtobufCMessage *obj, const char *done) {
    if (ctl->o.output) return print_objects(ctl, k, &obj, 1, false);
    printf("%s %s%s\n", object_ref(ctl, k, object_meta_read(obj)->name), done,
           ctl_is_dry(ctl) ? " (server dry run)" : "");
    return 0;
}
