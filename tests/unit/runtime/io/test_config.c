// Component files: what is read, and what each mistake is called.
#include "runtime/base/text.h"
#include "runtime/io/config.h"
#include "runtime/io/config_tree.h"
#include "support/leaks.h"

typedef struct {
    const char *range;
    int64_t pods_max, sync_ms, cache_bytes;
    bool verbose;
    config_strings_t hosts;
} demo_t;

static const config_field_t demo_fields[] = {
    {"podRange", CONFIG_STRING, offsetof(demo_t, range), 0, 0, "range"},
    {"podsMax", CONFIG_INT, offsetof(demo_t, pods_max), 1, 500, "pods"},
    {"syncPeriod", CONFIG_DURATION_MS, offsetof(demo_t, sync_ms), 10, 3600000, "period"},
    {"cacheSize", CONFIG_BYTES, offsetof(demo_t, cache_bytes), 0, 0, "bytes"},
    {"verbose", CONFIG_BOOL, offsetof(demo_t, verbose), 0, 0, "words"},
    {"hosts", CONFIG_STRINGS, offsetof(demo_t, hosts), 0, 0, "hosts"},
    {NULL},
};

static err_t read_demo(arena_t *a, const char *text, demo_t *d, why_t *why) {
    return config_read(a, "demo.yaml", text, strlen(text), "Demo", demo_fields, d, why);
}

Test(config, reads_every_type_and_keeps_what_is_not_named)
{
    arena_t a = {0};
    why_t why;
    demo_t d = {.range = "10.0.0.0/8", .pods_max = 110};
    cr_assert_eq(read_demo(&a,
                           "# a comment\nkind: Demo\nsyncPeriod: 1m30s500ms\ncacheSize: 64Mi\n"
                           "verbose: true\nhosts:\n- a\n- \"5\"\n",
                           &d, &why),
                 ERR_OK, "%s", why.text);
    cr_assert_str_eq(d.range, "10.0.0.0/8");
    cr_assert_eq(d.pods_max, 110);
    cr_assert_eq(d.sync_ms, 90500);
    cr_assert_eq(d.cache_bytes, 64 << 20);
    cr_assert(d.verbose);
    cr_assert_eq(d.hosts.len, 2);
    cr_assert_str_eq(d.hosts.at[1], "5");
    arena_done(&a);
    ASSERT_NO_LEAKS();
}

Test(config, names_file_line_and_mistake)
{
    static const struct {
        const char *text, *why;
        err_t err;
    } rows[] = {
        {"kind: Demo\npodRang: x\n",
         "demo.yaml:2: podRang: unknown key of Demo; did you mean podRange?", ERR_INVALID},
        {"kind: Demo\nzzz: x\n", "demo.yaml:2: zzz: unknown key of Demo", ERR_INVALID},
        {"podsMax: 3\n", "demo.yaml:1: kind: missing; this file needs \"kind: Demo\"", ERR_INVALID},
        {"", "demo.yaml:1: kind: missing; this file needs \"kind: Demo\"", ERR_INVALID},
        {"kind: Other\n", "demo.yaml:1: kind: must be Demo, but is Other", ERR_INVALID},
        {"kind: Demo\n\npodsMax: many\n",
         "demo.yaml:3: podsMax: must be a whole number, but \"many\" is a string", ERR_INVALID},
        {"kind: Demo\npodsMax: 501\n",
         "demo.yaml:2: podsMax: 501 is out of range; allowed are 1 to 500", ERR_INVALID},
        {"kind: Demo\npodsMax: 99999999999999999999\n",
         "demo.yaml:2: podsMax: must be a whole number, but \"99999999999999999999\" is a number",
         ERR_INVALID},
        {"kind: Demo\nsyncPeriod: 10\n",
         "demo.yaml:2: syncPeriod: must be a duration such as 500ms or 1m30s, but \"10\" is a "
         "number",
         ERR_INVALID},
        {"kind: Demo\nsyncPeriod: 2h\n",
         "demo.yaml:2: syncPeriod: 2h is out of range; allowed are 10ms to 3600000ms", ERR_INVALID},
        {"kind: Demo\ncacheSize: 3Qi\n",
         "demo.yaml:2: cacheSize: must be a size such as 64Mi or 1500000, but \"3Qi\" is a string",
         ERR_INVALID},
        {"kind: Demo\npodRange: 5\n",
         "demo.yaml:2: podRange: must be a string (in quotes), but \"5\" is a number", ERR_INVALID},
        {"kind: Demo\npodRange:\n",
         "demo.yaml:2: podRange: must be a string (in quotes), but is empty", ERR_INVALID},
        {"kind: Demo\npodRange: [a]\n", "demo.yaml:2: podRange: must be a string, but is a list",
         ERR_INVALID},
        {"kind: Demo\nverbose: yes\n",
         "demo.yaml:2: verbose: must be true or false, but \"yes\" is a string", ERR_INVALID},
        {"kind: Demo\nhosts: a\n", "demo.yaml:2: hosts: must be a list of strings, but is a string",
         ERR_INVALID},
        {"kind: Demo\nhosts:\n- a\n- {b: c}\n",
         "demo.yaml:4: element: must be a string, but is a map", ERR_INVALID},
        {"kind: Demo\nverbose: true\nverbose: false\n",
         "demo.yaml:3: verbose: given twice (first in line 2)", ERR_MALFORMED},
        {"kind: Demo\nhosts: &x [a]\n", "demo.yaml:2: &x: anchors are not allowed here",
         ERR_MALFORMED},
        {"kind: Demo\nhosts: *x\n", "demo.yaml:2: *x: aliases are not allowed here", ERR_MALFORMED},
        {"kind: Demo\npodRange: !!str 5\n",
         "demo.yaml:2: tag:yaml.org,2002:str: tags are not allowed here", ERR_MALFORMED},
        {"kind: Demo\n---\nkind: Demo\n", "demo.yaml:2: a second document; only one is allowed",
         ERR_MALFORMED},
        {"- kind\n", "demo.yaml:1: must be keys and values, but is a list", ERR_INVALID},
        {"kind: \"a\n",
         "demo.yaml:2: found unexpected end of stream while scanning a quoted scalar",
         ERR_MALFORMED},
    };
    arena_t a = {0};
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        why_t why = {0};
        demo_t d = {0};
        cr_expect_eq(read_demo(&a, rows[i].text, &d, &why), rows[i].err, "row %zu: %s", i,
                     why.text);
        cr_expect_str_eq(why.text, rows[i].why);
        arena_clear(&a);
    }
    arena_done(&a);
    ASSERT_NO_LEAKS();
}

Test(config, refuses_depth_and_size_bombs)
{
    arena_t a = {0};
    why_t why;
    config_node_t *root;
    text_t deep = TEXT_HEAP;
    for (int i = 0; i < 100000; i++) text_addc(&deep, '[');
    cr_assert_eq(config_tree_parse(&a, "deep", deep.at, deep.len, &root, &why), ERR_TOO_LARGE);
    text_reset(&deep);
    while (deep.len <= CONFIG_TEXT_MAX_BYTES) text_add(&deep, "- a\n");
    cr_assert_eq(config_tree_parse(&a, "big", deep.at, deep.len, &root, &why), ERR_TOO_LARGE);
    text_done(&deep);
    arena_done(&a);
    ASSERT_NO_LEAKS();
}
