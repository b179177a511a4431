// Patches of all sorts, as Kubernetes' own tables of cases have them.
#include "runtime/api/codec.h"
#include "runtime/api/patch.h"
#include "support/leaks.h"

typedef enum { STRATEGIC, MERGE, JSON, APPLY } sort_t;
typedef struct {
    const char *name, *object, *patch, *wanted, *last;
} row_t;

// Objects are written short: 'x' for "x", and without what a server adds to each.
static const char *quoted(arena_t *a, const char *text) {
    char *out = arena_strdup(a, text);
    for (char *c = out; *c; c++)
        if (*c == '\'') *c = '"';
    return out;
}

static ProtobufCMessage *object_of(arena_t *a, const char *text, const kind_t **ret_k) {
    ProtobufCMessage *obj = NULL;
    why_t why = {0};
    const char *json = quoted(a, text);
    if (json_read_object(a, json, strlen(json), true, ret_k, &obj, &why))
        cr_expect(false, "%s: %s", json, why.text);
    return obj;
}

static err_t run(arena_t *a, sort_t sort, const kind_t *k, ProtobufCMessage *obj, const row_t *row,
                 ProtobufCMessage **ret, why_t *why) {
    bytes_t patch = bytes_of_str(quoted(a, row->patch));
    switch (sort) {
    case STRATEGIC: return patch_strategic(a, k, obj, patch, ret, why);
    case MERGE: return patch_merge(a, k, obj, patch, ret, why);
    case JSON: return patch_json(a, k, obj, patch, ret, why);
    case APPLY:
        return patch_apply(a, k, obj, bytes_of_str(quoted(a, or_empty(row->last))), patch, ret,
                           why);
    }
    return ERR_INTERNAL;
}

static void check(sort_t sort, const row_t *rows, size_t len) {
    for (size_t i = 0; i < len; i++) {
        arena_t a = {0};
        const kind_t *k = NULL;
        ProtobufCMessage *obj = object_of(&a, rows[i].object, &k), *got = NULL,
                         *untouched = obj ? msg_dup(&a, obj) : NULL;
        why_t why = {0};
        if (!obj) continue;
        err_t err = run(&a, sort, k, obj, &rows[i], &got, &why);
        cr_expect(msg_equal(obj, untouched), "%s: the input changed", rows[i].name);
        if (rows[i].wanted[0] != '{') {
            cr_expect_neq(err, ERR_OK, "%s", rows[i].name);
            cr_expect_str_eq(why.text, rows[i].wanted, "%s: %s", rows[i].name, why.text);
        } else if (err) {
            cr_expect(false, "%s: %s", rows[i].name, why.text);
        } else {
            const kind_t *wanted_kind;
            ProtobufCMessage *wanted = object_of(&a, rows[i].wanted, &wanted_kind);
            if (sort == APPLY) object_set_annotation(&a, got, LAST_APPLIED_ANNOTATION, NULL);
            text_t x = {.arena = &a}, y = {.arena = &a};
            json_write_object(k, got, &x);
            if (wanted) json_write_object(wanted_kind, wanted, &y);
            cr_expect_str_eq(text_str(&x), text_str(&y), "%s:\n%s\nwanted\n%s", rows[i].name,
                             text_str(&x), text_str(&y));
        }
        arena_done(&a);
    }
    ASSERT_NO_LEAKS();
}

#define POD(spec)  "{'kind':'Pod','apiVersion':'v1','metadata':{'name':'p'},'spec':{" spec "}}"
#define META(meta) "{'kind':'Pod','apiVersion':'v1','metadata':{" meta "}}"
#define DEPLOY(spec) \
    "{'kind':'Deployment','apiVersion':'apps/v1','metadata':{'name':'d'},'spec':{" spec "}}"
#define SVC(spec) "{'kind':'Service','apiVersion':'v1','metadata':{'name':'s'},'spec':{" spec "}}"

Test(patch, strategic_merge_knows_lists_by_their_keys)
{
    static const row_t ROWS[] = {
        {"a scalar", POD("'nodeName':'a','hostname':'h'"), "{'spec':{'nodeName':'b'}}",
         POD("'nodeName':'b','hostname':'h'"), NULL},
        {"null deletes", POD("'nodeName':'a','hostname':'h'"), "{'spec':{'nodeName':null}}",
         POD("'hostname':'h'"), NULL},
        {"an item by key",
         POD("'containers':[{'name':'a','image':'x','command':['c']},{'name':'b','image':'y'}]"),
         "{'spec':{'containers':[{'name':'a','image':'z'}]}}",
         POD("'containers':[{'name':'a','image':'z','command':['c']},{'name':'b','image':'y'}]"),
         NULL},
        {"a new item goes first", POD("'containers':[{'name':'a'},{'name':'b'}]"),
         "{'spec':{'containers':[{'name':'c'}]}}",
         POD("'containers':[{'name':'c'},{'name':'a'},{'name':'b'}]"), NULL},
        {"the order that is given", POD("'containers':[{'name':'a'},{'name':'b'}]"),
         "{'spec':{'$setElementOrder/"
         "containers':[{'name':'b'},{'name':'c'},{'name':'a'}],'containers':[{'name':'c'}]}}",
         POD("'containers':[{'name':'b'},{'name':'c'},{'name':'a'}]"), NULL},
        {"an order alone", POD("'containers':[{'name':'a'},{'name':'b'}]"),
         "{'spec':{'$setElementOrder/containers':[{'name':'b'},{'name':'a'}]}}",
         POD("'containers':[{'name':'b'},{'name':'a'}]"), NULL},
        {"an item goes", POD("'containers':[{'name':'a'},{'name':'b'}]"),
         "{'spec':{'containers':[{'name':'a','$patch':'delete'}]}}",
         POD("'containers':[{'name':'b'}]"), NULL},
        {"a list is replaced", POD("'containers':[{'name':'a'},{'name':'b'}]"),
         "{'spec':{'containers':[{'name':'c'},{'$patch':'replace'}]}}",
         POD("'containers':[{'name':'c'}]"), NULL},
        {"a map is replaced", META("'name':'p','labels':{'a':'1','b':'2'}"),
         "{'metadata':{'labels':{'$patch':'replace','c':'3'}}}",
         META("'name':'p','labels':{'c':'3'}"), NULL},
        {"a map is emptied", META("'name':'p','labels':{'a':'1','b':'2'}"),
         "{'metadata':{'labels':{'$patch':'delete'}}}", META("'name':'p'"), NULL},
        {"labels merge", META("'name':'p','labels':{'a':'1','b':'2'}"),
         "{'metadata':{'labels':{'a':null,'c':'3'}}}",
         META("'name':'p','labels':{'b':'2','c':'3'}"), NULL},
        {"a set of scalars", META("'finalizers':['a','b']"),
         "{'metadata':{'finalizers':['c','a']}}", META("'finalizers':['c','a','b']"), NULL},
        {"scalars leave a set", META("'finalizers':['a','b','c']"),
         "{'metadata':{'$deleteFromPrimitiveList/finalizers':['b','x']}}",
         META("'finalizers':['a','c']"), NULL},
        {"an atomic list is replaced", POD("'tolerations':[{'key':'a'},{'key':'b'}]"),
         "{'spec':{'tolerations':[{'key':'c'}]}}", POD("'tolerations':[{'key':'c'}]"), NULL},
        {"kept keys",
         DEPLOY("'strategy':{'type':'RollingUpdate','rollingUpdate':{'maxSurge':1}},'selector':{},'"
                "template':{}"),
         "{'spec':{'strategy':{'$retainKeys':['type'],'type':'Recreate'}}}",
         DEPLOY("'strategy':{'type':'Recreate'},'selector':{},'template':{}"), NULL},
        {"ports by number", SVC("'ports':[{'name':'a','port':80},{'name':'b','port':81}]"),
         "{'spec':{'ports':[{'port':81,'nodePort':30000}]}}",
         SVC("'ports':[{'name':'a','port':80},{'name':'b','port':81,'nodePort':30000}]"), NULL},
        {"deep inside a new branch", POD(""),
         "{'spec':{'volumes':[{'name':'v','emptyDir':{'medium':null}},{'name':'w','$patch':'delete'"
         "}]}}",
         POD("'volumes':[{'name':'v','emptyDir':{}}]"), NULL},
        {"kind cannot change", POD("'nodeName':'a'"), "{'kind':'Service','apiVersion':'v9'}",
         POD("'nodeName':'a'"), NULL},
        {"the key is missing", POD("'containers':[{'name':'a'}]"),
         "{'spec':{'containers':[{'image':'x'}]}}",
         "map: {\"image\":\"x\"} does not contain declared merge key: name", NULL},
        {"an unknown directive", POD(""), "{'spec':{'$patch':'spindle'}}",
         "Unrecognized map patch type: \"spindle\"", NULL},
        {"an unknown field", POD(""), "{'spec':{'nodNam':'x'}}",
         "the patched Pod: strict decoding error: unknown field \"spec.nodNam\"", NULL},
        {"a wrong type", POD(""), "{'spec':{'nodeName':1}}",
         "the patched Pod: json: cannot unmarshal number into Go struct field "
         "PodSpec.spec.nodeName of type string",
         NULL},
        {"no object", POD(""), "[]", "error decoding patch: a JSON object is wanted", NULL},
        {"no JSON", POD(""), "{", "error decoding patch: line 1: unexpected end of JSON input",
         NULL},
    };
    check(STRATEGIC, ROWS, LENGTH_OF(ROWS));
}

Test(patch, merge_patch_follows_rfc_7386)
{
    static const row_t ROWS[] = {
        {"a list is one value", POD("'containers':[{'name':'a'},{'name':'b'}]"),
         "{'spec':{'containers':[{'name':'c'}]}}", POD("'containers':[{'name':'c'}]"), NULL},
        {"null deletes", META("'name':'p','labels':{'a':'1','b':'2'}"),
         "{'metadata':{'labels':{'a':null}}}", META("'name':'p','labels':{'b':'2'}"), NULL},
        {"null of nothing", META("'name':'p'"), "{'metadata':{'labels':{'a':null,'b':'2'}}}",
         META("'name':'p','labels':{'b':'2'}"), NULL},
        {"nothing", META("'name':'p'"), "{}", META("'name':'p'"), NULL},
        {"dollar is no directive", META("'name':'p'"), "{'metadata':{'$patch':'x'}}",
         "the patched Pod: strict decoding error: unknown field \"metadata.$patch\"", NULL},
    };
    check(MERGE, ROWS, LENGTH_OF(ROWS));
}

Test(patch, json_patch_follows_rfc_6902)
{
    static const row_t ROWS[] = {
        {"add a member", META("'name':'p'"),
         "[{'op':'add','path':'/metadata/labels','value':{'a':'1'}}]",
         META("'name':'p','labels':{'a':'1'}"), NULL},
        {"escaped steps", META("'name':'p','labels':{'x/y':'1','a~b':'2'}"),
         "[{'op':'replace','path':'/metadata/labels/x~1y','value':'3'},{'op':'remove','path':'/"
         "metadata/labels/a~0b'}]",
         META("'name':'p','labels':{'x/y':'3'}"), NULL},
        {"into a list", META("'finalizers':['a','b']"),
         "[{'op':'add','path':'/metadata/finalizers/1','value':'x'},{'op':'add','path':'/metadata/"
         "finalizers/-','value':'z'}]",
         META("'finalizers':['a','x','b','z']"), NULL},
        {"out of a list", META("'finalizers':['a','b','c']"),
         "[{'op':'remove','path':'/metadata/finalizers/2'},{'op':'replace','path':'/metadata/"
         "finalizers/0','value':'n'}]",
         META("'finalizers':['n','b']"), NULL},
        {"move and copy", META("'name':'p','labels':{'a':'1'}"),
         "[{'op':'move','from':'/metadata/labels/a','path':'/metadata/labels/b'},"
         "{'op':'copy','from':'/metadata/labels','path':'/metadata/annotations'}]",
         META("'name':'p','labels':{'b':'1'},'annotations':{'b':'1'}"), NULL},
        {"a test that holds", META("'name':'p'"),
         "[{'op':'test','path':'/metadata/name','value':'p'},{'op':'test','path':'/metadata/"
         "uid','value':null}]",
         META("'name':'p'"), NULL},
        {"a test that fails", META("'name':'p'"),
         "[{'op':'test','path':'/metadata/name','value':'q'}]",
         "testing path /metadata/name failed: test failed", NULL},
        {"remove what is not there", META("'name':'p'"),
         "[{'op':'remove','path':'/metadata/labels/x'}]",
         "remove operation does not apply: /metadata/labels/x: missing path", NULL},
        {"replace what is not there", META("'name':'p'"),
         "[{'op':'replace','path':'/metadata/uid','value':'x'}]",
         "replace operation does not apply: /metadata/uid: missing path", NULL},
        {"beyond the end", META("'finalizers':['a']"),
         "[{'op':'add','path':'/metadata/finalizers/2','value':'x'}]",
         "add operation does not apply: /metadata/finalizers/2: invalid array index", NULL},
        {"a leading zero", META("'finalizers':['a']"),
         "[{'op':'add','path':'/metadata/finalizers/00','value':'x'}]",
         "add operation does not apply: /metadata/finalizers/00: invalid array index", NULL},
        {"into itself", META("'name':'p'"),
         "[{'op':'move','from':'/metadata','path':'/metadata/x'}]",
         "move operation does not apply: /metadata/x: an object cannot move into itself", NULL},
        {"no slash", META("'name':'p'"), "[{'op':'add','path':'x','value':1}]",
         "add operation does not apply: x: missing path", NULL},
        {"an unknown operation", META("'name':'p'"), "[{'op':'spin','path':'/x'}]",
         "error decoding patch: unknown operation \"spin\"", NULL},
        {"no value", META("'name':'p'"), "[{'op':'add','path':'/x'}]",
         "error decoding patch: add /x needs a \"value\"", NULL},
        {"not a list", META("'name':'p'"), "{}", "error decoding patch: a JSON array is wanted",
         NULL},
    };
    check(JSON, ROWS, LENGTH_OF(ROWS));
}

Test(patch, copies_of_copies_are_bounded)
{
    arena_t a = {0};
    text_t patch = {.arena = &a};
    text_add(&patch, "[{\"op\":\"add\",\"path\":\"/metadata/x\",\"value\":[1]}");
    for (int i = 0; i < 100; i++)
        text_add(&patch, ",{\"op\":\"copy\",\"from\":\"/metadata\",\"path\":\"/metadata/x/0\"}");
    text_addc(&patch, ']');
    const kind_t *k;
    ProtobufCMessage *obj = object_of(&a, META("'name':'p'"), &k), *got;
    why_t why;
    cr_assert_eq(patch_json(&a, k, obj, (bytes_t){(uint8_t *)patch.at, patch.len}, &got, &why),
                 ERR_TOO_LARGE);
    arena_done(&a);
    ASSERT_NO_LEAKS();
}

Test(patch, apply_takes_back_only_what_it_gave)
{
    static const row_t ROWS[] = {
        {"others' fields stay", DEPLOY("'replicas':5,'paused':true,'selector':{},'template':{}"),
         "{'spec':{'paused':false}}",
         DEPLOY("'replicas':5,'paused':false,'selector':{},'template':{}"),
         "{'spec':{'paused':true}}"},
        {"ours go", DEPLOY("'replicas':5,'paused':true,'selector':{},'template':{}"), "{'spec':{}}",
         DEPLOY("'replicas':5,'selector':{},'template':{}"), "{'spec':{'paused':true}}"},
        {"labels", META("'name':'p','labels':{'mine':'1','old':'1','theirs':'1'}"),
         "{'metadata':{'name':'p','labels':{'mine':'2','new':'1'}}}",
         META("'name':'p','labels':{'mine':'2','new':'1','theirs':'1'}"),
         "{'metadata':{'name':'p','labels':{'mine':'1','old':'1'}}}"},
        {"items of a list",
         POD("'containers':[{'name':'a','image':'x','terminationMessagePath':'/"
             "t'},{'name':'injected'},{'name':'b'}]"),
         "{'spec':{'containers':[{'name':'c'},{'name':'a','image':'y'}]}}",
         POD("'containers':[{'name':'c'},{'name':'a','image':'y','terminationMessagePath':'/"
             "t'},{'name':'injected'}]"),
         "{'spec':{'containers':[{'name':'a','image':'x'},{'name':'b'}]}}"},
        {"a field of an item", POD("'containers':[{'name':'a','image':'x','tty':true}]"),
         "{'spec':{'containers':[{'name':'a','image':'x'}]}}",
         POD("'containers':[{'name':'a','image':'x'}]"),
         "{'spec':{'containers':[{'name':'a','image':'x','tty':true}]}}"},
        {"finalizers", META("'finalizers':['theirs','mine','old']"),
         "{'metadata':{'finalizers':['mine','new']}}", META("'finalizers':['theirs','mine','new']"),
         "{'metadata':{'finalizers':['mine','old']}}"},
        {"an atomic list", POD("'containers':[{'name':'a','command':['x','y']}]"),
         "{'spec':{'containers':[{'name':'a','command':['z']}]}}",
         POD("'containers':[{'name':'a','command':['z']}]"), NULL},
        {"one port, two protocols",
         SVC("'ports':[{'name':'t','port':53,'protocol':'TCP'},{'name':'u','port':53,'protocol':'"
             "UDP'}]"),
         "{'spec':{'ports':[{'name':'t','port':53,'protocol':'TCP'},{'name':'u','port':53,'"
         "protocol':'UDP'}]}}",
         SVC("'ports':[{'name':'t','port':53,'protocol':'TCP'},{'name':'u','port':53,'protocol':'"
             "UDP'}]"),
         NULL},
        {"another sort of volume", POD("'volumes':[{'name':'v','emptyDir':{}}]"),
         "{'spec':{'volumes':[{'name':'v','hostPath':{'path':'/x'}}]}}",
         POD("'volumes':[{'name':'v','hostPath':{'path':'/x'}}]"), NULL},
        {"another strategy",
         DEPLOY("'strategy':{'type':'RollingUpdate','rollingUpdate':{'maxSurge':1}},'selector':{},'"
                "template':{}"),
         "{'spec':{'strategy':{'type':'Recreate'}}}",
         DEPLOY("'strategy':{'type':'Recreate'},'selector':{},'template':{}"), "{}"},
        {"the same strategy keeps its defaults",
         DEPLOY("'strategy':{'type':'RollingUpdate','rollingUpdate':{'maxSurge':1}},'selector':{},'"
                "template':{}"),
         "{'spec':{'strategy':{'type':'RollingUpdate'}}}",
         DEPLOY("'strategy':{'type':'RollingUpdate','rollingUpdate':{'maxSurge':1}},'selector':{},'"
                "template':{}"),
         "{}"},
        {"an explicit null", POD("'nodeName':'n'"),
         "{'metadata':{'creationTimestamp':null},'spec':{'nodeName':null}}", POD(""), NULL},
        {"a broken annotation", POD("'nodeName':'n'"), "{'spec':{'hostname':'h'}}",
         POD("'nodeName':'n','hostname':'h'"), "{broken"},
    };
    check(APPLY, ROWS, LENGTH_OF(ROWS));
}

Test(patch, apply_notes_what_was_applied)
{
    arena_t a = {0};
    const kind_t *k = kind_by_api_version("v1", "ConfigMap");
    ProtobufCMessage *got, *again;
    why_t why = {0};
    bytes_t manifest = bytes_of_str("{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{"
                                    "\"name\":\"c\"},\"data\":{\"b\":\"<\",\"a\":\"1\"}}");
    cr_assert_eq(patch_apply(&a, k, NULL, (bytes_t){0}, manifest, &got, &why), ERR_OK, "%s",
                 why.text);
    const char *note = object_annotation(got, LAST_APPLIED_ANNOTATION);
    cr_assert_str_eq(note,
                     "{\"apiVersion\":\"v1\",\"data\":{\"a\":\"1\",\"b\":\"\\u003c\"},\"kind\":"
                     "\"ConfigMap\",\"metadata\":{\"annotations\":{},\"name\":\"c\"}}\n");
    cr_assert_eq(patch_apply(&a, k, got, bytes_of_str(note), manifest, &again, &why), ERR_OK);
    cr_assert(msg_equal(got, again)); // applying twice changes nothing
    arena_done(&a);
    ASSERT_NO_LEAKS();
}

// ---- what somebody makes up -----------------------------------------------------------------------
static bytes_t map_of(arena_t *a, const char *before, size_t keys, const char *behind) {
    text_t out = {.arena = a};
    text_add(&out, before);
    for (size_t i = keys; i > 0; i--) text_addf(&out, "%s\"k%zu\":\"\"", i == keys ? "" : ",", i);
    text_add(&out, behind);
    return (bytes_t){(uint8_t *)out.at, out.len};
}

Test(patch, work_is_bounded_for_maps_of_any_size)
{
    arena_t a = {0};
    const kind_t *k;
    ProtobufCMessage *obj, *got;
    why_t why;
    bytes_t text =
        map_of(&a, "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"data\":{", 50000, "}}");
    cr_assert_eq(json_read_object(&a, (char *)text.at, text.len, true, &k, &obj, &why), ERR_OK);
    bytes_t patch = map_of(&a, "{\"data\":{", 50000, "}}");
    cr_assert_eq(patch_strategic(&a, k, obj, patch, &got, &why), ERR_TOO_LARGE);
    cr_assert_str_eq(why.text, "the patch is too much work");
    cr_assert_eq(patch_merge(&a, k, obj, patch, &got, &why), ERR_TOO_LARGE);
    cr_assert_eq(patch_apply(&a, k, obj, patch, patch, &got, &why), ERR_TOO_LARGE);
    patch = map_of(&a, "[{\"op\":\"test\",\"path\":\"/data\",\"value\":{", 50000, "}}]");
    cr_assert_eq(patch_json(&a, k, obj, patch, &got, &why), ERR_OK, "%s", why.text);
    // Where nothing stands yet, any size will do.
    patch = map_of(&a, "{\"metadata\":{\"annotations\":{", 50000, "}}}");
    cr_assert_eq(patch_strategic(&a, k, obj, patch, &got, &why), ERR_OK, "%s", why.text);
    cr_assert_eq(patch_merge(&a, k, obj, patch, &got, &why), ERR_OK, "%s", why.text);
    arena_done(&a);
    ASSERT_NO_LEAKS();
}

Test(patch, a_null_in_a_list_that_is_replaced_is_left_out)
{
    static const row_t ROWS[] = {
        {"a null item", POD("'containers':[{'name':'a'}]"),
         "{'spec':{'containers':[null,{'$patch':'replace'},{'name':'b'}]}}",
         POD("'containers':[{'name':'b'}]"), NULL},
    };
    check(STRATEGIC, ROWS, LENGTH_OF(ROWS));
}
