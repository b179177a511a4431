// Any text as a component file: refused with a place, or read.
#include "runtime/io/config.h"
#include "runtime/io/config_tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct {
    const char *text;
    int64_t count, wait_ms, bytes;
    bool flag;
    config_strings_t words;
} all_t;
static const config_field_t fields[] = {
    {"text", CONFIG_STRING, offsetof(all_t, text), 0, 0, ""},
    {"count", CONFIG_INT, offsetof(all_t, count), -5, 500, ""},
    {"wait", CONFIG_DURATION_MS, offsetof(all_t, wait_ms), 0, 0, ""},
    {"bytes", CONFIG_BYTES, offsetof(all_t, bytes), 0, 0, ""},
    {"flag", CONFIG_BOOL, offsetof(all_t, flag), 0, 0, ""},
    {"words", CONFIG_STRINGS, offsetof(all_t, words), 0, 0, ""},
    {NULL},
};
static const char *value_of(void *arg, const char *name) { return *name == 'd' ? "/data" : NULL; }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    arena_t a = {0};
    why_t why = {0};
    all_t all = {0};
    config_node_t *root;
    if (config_read(&a, "f", (const char *)data, size, "All", fields, &all, &why) != ERR_OK) {
        if (strncmp(why.text, "f:", 2) != 0) abort();
    } else if (all.count < -5 || all.count > 500) {
        abort();
    }
    if (config_tree_parse(&a, "f", (const char *)data, size, &root, &why) == ERR_OK)
        (void)!config_tree_expand(&a, "f", root, value_of, NULL, &why);
    arena_done(&a);
    return 0;
}
