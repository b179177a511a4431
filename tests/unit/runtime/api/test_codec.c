// JSON and YAML of objects: what a server writes, what kubectl prints, what is refused and how.
#include "k8s/core_v1.pb-c.h"
#include "runtime/api/codec.h"
#include "runtime/api/node.h"
#include "support/leaks.h"

// Reads strictly and writes again.
static void expect_json(const char *given, const char *wanted) {
    arena_t a = {0};
    why_t why = {0};
    const kind_t *k;
    ProtobufCMessage *obj;
    err_t err = json_read_object(&a, given, strlen(given), true, &k, &obj, &why);
    cr_expect_eq(err, ERR_OK, "%s: %s", given, why.text);
    if (err) goto done;
    text_t out = {.arena = &a};
    json_write_object(k, obj, &out);
    cr_expect_str_eq(text_str(&out), wanted, "\n%s\nwanted\n%s", text_str(&out), wanted);
    // And once more by way of the packed form: nothing is lost there.
    ProtobufCMessage *packed = msg_unpack_own(&a, k->type, msg_pack(&a, obj));
    cr_expect(packed && msg_equal(obj, packed));
    text_t again = {.arena = &a};
    json_write_object(k, packed, &again);
    cr_expect_str_eq(text_str(&again), wanted);
done:
    arena_done(&a);
}

static void expect_error(const char *given, bool strict, const char *wanted) {
    arena_t a = {0};
    why_t why = {0};
    const kind_t *k;
    ProtobufCMessage *obj;
    err_t err = json_read_object(&a, given, strlen(given), strict, &k, &obj, &why);
    if (wanted)
        cr_expect_neq(err, ERR_OK, "%s", given);
    else
        cr_expect_eq(err, ERR_OK, "%s: %s", given, why.text);
    if (wanted) cr_expect_str_eq(why.text, wanted, "\n%s\nwanted\n%s", why.text, wanted);
    arena_done(&a);
}

#define POD(inner) "{\"kind\":\"Pod\",\"apiVersion\":\"v1\"," inner "}"
#define META       "\"metadata\":{\"name\":\"p\",\"creationTimestamp\":null}"

Test(codec, writes_what_a_server_writes)
{
    expect_json(POD("\"metadata\":{\"name\":\"p\"}"),
                POD("\"metadata\":{\"name\":\"p\",\"creationTimestamp\":null},\"spec\":{"
                    "\"containers\":null},\"status\":{}"));
    expect_json(
        POD("\"status\":{},\"spec\":{\"containers\":[{\"image\":\"nginx\",\"name\":\"c\"}],"
            "\"hostNetwork\":false,"
            "\"terminationGracePeriodSeconds\":0},\"metadata\":{\"labels\":{\"b\":\"2\",\"a\":"
            "\"1\"},\"name\":\"p\"}"),
        POD("\"metadata\":{\"name\":\"p\",\"creationTimestamp\":null,\"labels\":{\"a\":\"1\",\"b\":"
            "\"2\"}},"
            "\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"nginx\",\"resources\":{}}],"
            "\"terminationGracePeriodSeconds\":0},\"status\":{}"));
    ASSERT_NO_LEAKS();
}

Test(codec, special_types_have_their_own_form)
{
    expect_json(
        "{\"kind\":\"Service\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"s\","
        "\"creationTimestamp\":"
        "\"2026-11-22T12:00:00+02:00\"},\"spec\":{\"ports\":[{\"port\":80,\"targetPort\":\"http\"},"
        "{\"port\":81,"
        "\"targetPort\":8080},{\"port\":82}]}}",
        "{\"kind\":\"Service\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"s\","
        "\"creationTimestamp\":"
        "\"2026-11-22T10:00:00Z\"},\"spec\":{\"ports\":[{\"port\":80,\"targetPort\":\"http\"},{"
        "\"port\":81,"
        "\"targetPort\":8080},{\"port\":82,\"targetPort\":0}]},\"status\":{\"loadBalancer\":{}}}");
    expect_json(
        "{\"kind\":\"Secret\",\"apiVersion\":\"v1\",\"data\":{\"b\":\"AAECAw==\",\"a\":\"\",\"c\":"
        "\"aGFsbG8=\"}}",
        "{\"kind\":\"Secret\",\"apiVersion\":\"v1\",\"metadata\":{\"creationTimestamp\":null},"
        "\"data\":{\"a\":\"\",\"b\":\"AAECAw==\",\"c\":\"aGFsbG8=\"}}");
    expect_json(POD(META ",\"spec\":{\"containers\":[{\"name\":\"c\",\"resources\":{\"limits\":{"
                         "\"cpu\":0.5,\"memory\":\"1024Mi\"}}}],"
                         "\"volumes\":[{\"name\":\"e\",\"emptyDir\":{}}]}"),
                POD(META ",\"spec\":{\"volumes\":[{\"name\":\"e\",\"emptyDir\":{}}],\"containers\":"
                         "[{\"name\":\"c\",\"resources\":"
                         "{\"limits\":{\"cpu\":\"500m\",\"memory\":\"1Gi\"}}}]},\"status\":{}"));
    // Nulls inside a map, and zero values that Go writes although they are not set.
    expect_json(
        POD("\"spec\":{\"containers\":[{\"name\":\"c\",\"livenessProbe\":{\"httpGet\":{}},"
            "\"resources\":{\"limits\":{\"cpu\":null}}}]}"),
        POD("\"metadata\":{\"creationTimestamp\":null},\"spec\":{\"containers\":[{\"name\":\"c\","
            "\"resources\":{\"limits\":{\"cpu\":\"0\"}},\"livenessProbe\":{\"httpGet\":{\"port\":0}"
            "}}]},"
            "\"status\":{}"));
    expect_json("{\"kind\":\"Lease\",\"apiVersion\":\"coordination.k8s.io/"
                "v1\",\"spec\":{\"renewTime\":\"2026-11-22T12:00:00.123456789Z\"}}",
                "{\"kind\":\"Lease\",\"apiVersion\":\"coordination.k8s.io/"
                "v1\",\"metadata\":{\"creationTimestamp\":null},"
                "\"spec\":{\"renewTime\":\"2026-11-22T12:00:00.123456Z\"}}");
    expect_json(POD("\"metadata\":{\"managedFields\":[{\"manager\":\"m\",\"fieldsV1\":{ \"f:a\" : "
                    "{\"b\":[1, 2.50]}}}]}"),
                POD("\"metadata\":{\"creationTimestamp\":null,\"managedFields\":[{\"manager\":"
                    "\"m\",\"fieldsV1\":{\"f:a\":{\"b\":[1,2.50]}}}]},"
                    "\"spec\":{\"containers\":null},\"status\":{}"));
    ASSERT_NO_LEAKS();
}

Test(codec, strings_are_escaped_as_in_go)
{
    expect_json(
        "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"data\":{\"a\":\"<&>\\\"\\\\\\/"
        "\\b\\f\\n\\r\\t\\u0001\\u007f\\u00e4\\u2028\\u2029\\ud83d\\ude00\\ud83d!\"}}",
        "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"creationTimestamp\":null},"
        "\"data\":{\"a\":\"\\u003c\\u0026\\u003e\\\"\\\\/"
        "\\b\\f\\n\\r\\t\\u0001\x7f\xc3\xa4\\u2028\\u2029\xf0\x9f\x98\x80\xef\xbf\xbd!\"}}");
    ASSERT_NO_LEAKS();
}

Test(codec, says_what_is_wrong_and_where)
{
#define AS "cannot be handled as a "
    expect_error(POD(META ",\"spec\":{\"containers\":[{\"name\":\"c\",\"imag\":\"x\"}],\"bar\":1}"),
                 true,
                 "Pod in version \"v1\" " AS
                 "Pod: strict decoding error: unknown field \"spec.containers[0].imag\", unknown "
                 "field \"spec.bar\"");
    expect_error(POD(META ",\"spec\":{\"containers\":[{\"name\":\"c\",\"imag\":\"x\"}]}"), false,
                 NULL);
    expect_error(POD(META ",\"spec\":{\"nodeName\":\"a\",\"nodeName\":\"b\"}"), true,
                 "Pod in version \"v1\" " AS
                 "Pod: strict decoding error: duplicate field \"spec.nodeName\"");
    expect_error(POD("\"metadata\":{\"labels\":{\"a\":\"1\",\"a\":\"2\"}}"), true,
                 "Pod in version \"v1\" " AS
                 "Pod: strict decoding error: duplicate field \"metadata.labels.a\"");
    expect_error(POD("\"spec\":{\"containers\":[{\"ports\":\"x\"}]}"), false,
                 "Pod in version \"v1\" " AS
                 "Pod: json: cannot unmarshal string into Go struct field "
                 "Container.spec.containers.ports of type []v1.ContainerPort");
    expect_error(
        "{\"kind\":\"Deployment\",\"apiVersion\":\"apps/v1\",\"spec\":{\"replicas\":\"3\"}}", false,
        "Deployment in version \"v1\" " AS
        "Deployment: json: cannot unmarshal string into Go struct field "
        "DeploymentSpec.spec.replicas of type int32");
    expect_error(
        "{\"kind\":\"Deployment\",\"apiVersion\":\"apps/v1\",\"spec\":{\"replicas\":3000000000}}",
        false,
        "Deployment in version \"v1\" " AS
        "Deployment: json: cannot unmarshal number 3000000000 into Go struct field "
        "DeploymentSpec.spec.replicas of type int32");
    expect_error("{\"kind\":\"Deployment\",\"apiVersion\":\"apps/v1\",\"spec\":{\"replicas\":1.0}}",
                 false,
                 "Deployment in version \"v1\" " AS
                 "Deployment: json: cannot unmarshal number 1.0 into Go struct field "
                 "DeploymentSpec.spec.replicas of type int32");
    expect_error(POD("\"metadata\":{\"labels\":{\"a\":1}}"), false,
                 "Pod in version \"v1\" " AS "Pod: json: cannot unmarshal number into Go struct "
                 "field ObjectMeta.metadata.labels of type string");
    expect_error(
        POD("\"spec\":[]"), false,
        "Pod in version \"v1\" " AS
        "Pod: json: cannot unmarshal array into Go struct field Pod.spec of type v1.PodSpec");
    expect_error(POD("\"spec\":{\"containers\":[{\"resources\":{\"limits\":{\"cpu\":\"abc\"}}}]}"),
                 false,
                 "Pod in version \"v1\" " AS
                 "Pod: spec.containers[0].resources.limits.cpu: quantities must match the regular "
                 "expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
    expect_error("{\"kind\":\"Secret\",\"apiVersion\":\"v1\",\"data\":{\"a\":\"%%\"}}", false,
                 "Secret in version \"v1\" " AS "Secret: data.a: illegal base64 data");
    expect_error("{\"kind\":\"Nope\",\"apiVersion\":\"v9\"}", true,
                 "no matches for kind \"Nope\" in version \"v9\"");
    expect_error("{\"apiVersion\":\"v1\"}", true, "Object 'Kind' is missing");
    expect_error("[]", true, "an object is wanted, with apiVersion and kind");
    expect_error("{\n\"kind\":\n'x'}", true,
                 "line 3: invalid character ''' looking for beginning of value");
    expect_error("{\"kind\":\"Pod\"", true, "line 1: unexpected end of JSON input");
    expect_error("{\"a\":\"\\u0000\"}", true, "line 1: a NUL character in a string");
    expect_error("{\"a\":\"\xff\"}", true, "line 1: the text is not UTF-8");
    expect_error("{} x", true,
                 "line 1: invalid character 'x' looking for the end, after the top-level value");
    expect_error("", true, "line 1: unexpected end of JSON input");
    ASSERT_NO_LEAKS();
}

Test(codec, depth_and_number_of_values_are_bounded)
{
    arena_t a = {0};
    why_t why;
    const kind_t *k;
    ProtobufCMessage *obj;
    enum { DEEP = 100000 };
    char *text = mem_new(DEEP + 1);
    memset(text, '[', DEEP);
    cr_assert_eq(json_read_object(&a, text, DEEP, true, &k, &obj, &why), ERR_TOO_LARGE);
    manifests_t found;
    cr_assert_eq(manifests_read(&a, "deep.yaml", text, DEEP, true, &found, &why), ERR_TOO_LARGE);
    cr_assert_str_eq(why.text, "deep.yaml:1: nested too deeply");
    free(text);
    arena_done(&a);
    ASSERT_NO_LEAKS();
}

// ---- manifests ----------------------------------------------------------------------------------
// Reads a file
// and prints what came of it: one line of JSON per object, or the error.
static const char *read_manifests(arena_t *a, const char *text) {
    manifests_t found;
    why_t why = {0};
    text_t out = {.arena = a};
    if (manifests_read(a, "f.yaml", text, strlen(text), true, &found, &why)) {
        text_add(&out, why.text);
        return text_str(&out);
    }
    for (size_t i = 0; i < found.len; i++) {
        text_addf(&out, "%s%d ", i ? "\n" : "", found.at[i].line);
        json_write_object(found.at[i].kind, found.at[i].obj, &out);
    }
    return text_str(&out);
}

#define CONFIG_MAP                                                                \
    "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"c\"," \
    "\"creationTimestamp\":null}"

Test(codec, manifests_are_read_as_kubectl_reads_them)
{
    static const struct {
        const char *yaml, *wanted;
    } ROWS[] = {
        {"", ""},
        {"---\n# nothing\n---\n", ""},
        {"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\ndata:\n  a: \"1\"\n",
         "1 " CONFIG_MAP ",\"data\":{\"a\":\"1\"}}"},
        {"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n---\n\napiVersion: v1\nkind: "
         "ConfigMap\nmetadata: {name: c}\n",
         "2 " CONFIG_MAP "}\n7 " CONFIG_MAP "}"},
        {"{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"c\"}}\n{"
         "\"apiVersion\":\"v1\",\n\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"c\"}}",
         "1 " CONFIG_MAP "}\n2 " CONFIG_MAP "}"},
        {"{apiVersion: v1, kind: ConfigMap, metadata: {name: c}}", "1 " CONFIG_MAP "}"},
        {"apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: "
         "{name: c}\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: c}\n",
         "4 " CONFIG_MAP "}\n7 " CONFIG_MAP "}"},
        {"apiVersion: v1\nkind: ConfigMapList\nitems:\n- metadata: {name: c}\n",
         "4 " CONFIG_MAP "}"},
        {"apiVersion: v1\nkind: ConfigMap\nmetadata: &m\n  name: c\ndata: &d\n  x: |\n    one\n    "
         "two\n  z: >-\n    folded\n    text\n  'on': \"yes\"\n",
         "1 " CONFIG_MAP
         ",\"data\":{\"on\":\"yes\",\"x\":\"one\\ntwo\\n\",\"z\":\"folded text\"}}"},
        {"x: &x {a: p, b: q}\napiVersion: v1\nkind: ConfigMap\n", "f.yaml:1: unknown field \"x\""},
        {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n  <<: {a: p, b: q}\n  a: "
         "own\n",
         "1 " CONFIG_MAP ",\"data\":{\"a\":\"own\",\"b\":\"q\"}}"},
        {"apiVersion: v1\nkind: ConfigMap\ndata:\n  a: 1\n  b: true\n",
         "f.yaml:4: json: cannot unmarshal number into Go struct field ConfigMap.data of type "
         "string\n"
         "f.yaml:5: json: cannot unmarshal bool into Go struct field ConfigMap.data of type "
         "string"},
        {"apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - name: a\n    imag: x\n  nodeNam: "
         "y\n",
         "f.yaml:6: unknown field \"spec.containers[0].imag\"\nf.yaml:7: unknown field "
         "\"spec.nodeNam\""},
        {"apiVersion: v1\nkind: Pod\nspec:\n  nodeName: a\n  nodeName: b\n",
         "f.yaml:5: duplicate field \"spec.nodeName\""},
        {"apiVersion: v1\nkind: Pod\n  spec: x\n",
         "f.yaml:3: mapping values are not allowed in this context"},
        {"apiVersion: v1\nkind: Pod\nspec: {\n",
         "f.yaml:4: did not find expected node content while parsing a flow node"},
        {"just a sentence", "f.yaml:1: an object is wanted, with apiVersion and kind"},
        {"a: &a [*a]", "f.yaml:1: unknown anchor 'a', or one that contains itself"},
        {"a: *b", "f.yaml:1: unknown anchor 'b', or one that contains itself"},
        {"\t\x01", "f.yaml:1: control characters are not allowed"},
        {"apiVersion: apps/v1\nkind: Deploymen\n",
         "f.yaml:1: no matches for kind \"Deploymen\" in version \"apps/v1\""},
    };
    arena_t a = {0};
    for (size_t i = 0; i < LENGTH_OF(ROWS); i++) {
        const char *got = read_manifests(&a, ROWS[i].yaml);
        cr_expect_str_eq(got, ROWS[i].wanted, "row %zu\n%s\nwanted\n%s", i, got, ROWS[i].wanted);
    }
    arena_done(&a);
    ASSERT_NO_LEAKS();
}

Test(codec, more_problems_than_fit_are_counted)
{
    arena_t a = {0};
    text_t text = {.arena = &a};
    text_add(&text, "apiVersion: v1\nkind: Pod\nspec:\n");
    for (int i = 0; i < 100; i++) text_addf(&text, "  unknown%02d: x\n", i);
    const char *got = read_manifests(&a, text.at);
    cr_expect(has_prefix(got, "f.yaml:4: unknown field \"spec.unknown00\"\nf.yaml:5:"), "%s", got);
    cr_expect(has_suffix(got, "\"\nf.yaml: 78 more problems"), "%s", got);
    arena_done(&a);
    ASSERT_NO_LEAKS();
}

Test(codec, yaml_scalars_mean_what_they_mean_to_go)
{
    static const struct {
        const char *yaml;
        const char *json;
    } ROWS[] = {
        {"yes", "true"},
        {"Off", "false"},
        {"y", "true"},
        {"~", "null"},
        {"", "null"},
        {"null", "null"},
        {"nUll", "\"nUll\""},
        {"12", "12"},
        {"-12", "-12"},
        {"+12", "12"},
        {"0644", "420"},
        {"0o644", "420"},
        {"0x1F", "31"},
        {"0b101", "5"},
        {"1_000", "1000"},
        {"1.5", "1.5"},
        {"1e3", "1000"},
        {"1.0", "1"},
        {".5", "0.5"},
        {"1e21", "1e+21"},
        {"18446744073709551615", "18446744073709551615"},
        {"08", "8"},
        {"1:30", "\"1:30\""},
        {"1.2.3", "\"1.2.3\""},
        {"2026-11-22", "\"2026-11-22\""},
        {"'12'", "\"12\""},
        {"!!str 12", "\"12\""},
        {"!!int 12", "12"},
        {"!!binary aGFsbG8=", "\"hallo\""},
        {"-", "[null]"},
        {"0", "0"},
        {"-0", "0"},
        {"1e", "\"1e\""},
        {"100m", "\"100m\""},
        {"0x", "\"0x\""},
    };
    arena_t a = {0};
    for (size_t i = 0; i < LENGTH_OF(ROWS); i++) {
        nodes_t documents = {0};
        why_t why = {0};
        const char *yaml =
            arena_printf(&a, "a: %s\n", streq(ROWS[i].yaml, "-") ? "\n- " : ROWS[i].yaml);
        cr_expect_eq(node_parse_yaml(&a, yaml, strlen(yaml), 1000, 1, &documents, &why), ERR_OK,
                     "%s: %s", yaml, why.text);
        if (!documents.len) continue;
        text_t out = {.arena = &a};
        node_write_json(node_get(documents.at[0], "a"), &out);
        cr_expect_str_eq(text_str(&out), ROWS[i].json, "%s: %s, not %s", ROWS[i].yaml,
                         text_str(&out), ROWS[i].json);
    }
    arena_done(&a);
    ASSERT_NO_LEAKS();
}

Test(codec, an_alias_bomb_is_refused)
{
    arena_t a = {0};
    text_t bomb = {.arena = &a};
    text_add(&bomb, "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for (int i = 1; i < 9; i++) {
        text_addf(&bomb, "a%d: &a%d [", i, i);
        for (int k = 0; k < 10; k++) text_addf(&bomb, "%s*a%d", k ? "," : "", i - 1);
        text_add(&bomb, "]\n");
    }
    manifests_t found;
    why_t why;
    cr_assert_eq(manifests_read(&a, "bomb.yaml", bomb.at, bomb.len, true, &found, &why),
                 ERR_TOO_LARGE);
    cr_assert_str_eq(why.text,
                     "bomb.yaml:6: too many values (aliases count as often as they are used)");
    cr_assert_lt(a.used, 1 << 20);
    arena_done(&a);
    ASSERT_NO_LEAKS();
}

// ---- kubectl's output ---------------------------------------------------------------------------
static const char POD_TEXT[] =
    POD("\"metadata\":{\"name\":\"p\",\"creationTimestamp\":\"2026-11-22T10:00:00Z\",\"labels\":{"
        "\"a10\":\"yes\",\"a9\":\"1\",\"z\":\"x: y\"},"
        "\"annotations\":{\"long\":\"a text that is long enough to be folded by the emitter "
        "because it goes beyond the eighty columns\","
        "\"multi\":\"one\\ntwo\\n\"}},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"nginx:"
        "1.25\",\"args\":[\"-c\",\"\",\"true\",\"<a>\"]}],"
        "\"volumes\":[]}");

Test(codec, prints_as_kubectl_does)
{
    arena_t a = {0};
    const kind_t *k;
    ProtobufCMessage *obj;
    why_t why;
    cr_assert_eq(json_read_object(&a, POD_TEXT, strlen(POD_TEXT), true, &k, &obj, &why), ERR_OK);
    text_t yaml = {.arena = &a}, json = {.arena = &a};
    yaml_write_object(k, obj, &yaml);
    cr_expect_str_eq(
        yaml.at,
        "apiVersion: v1\n"
        "kind: Pod\n"
        "metadata:\n"
        "  annotations:\n"
        "    long: a text that is long enough to be folded by the emitter because it goes beyond\n"
        "      the eighty columns\n"
        "    multi: |\n"
        "      one\n"
        "      two\n"
        "  creationTimestamp: \"2026-11-22T10:00:00Z\"\n"
        "  labels:\n"
        "    a9: \"1\"\n"
        "    a10: \"yes\"\n"
        "    z: 'x: y'\n"
        "  name: p\n"
        "spec:\n"
        "  containers:\n"
        "  - args:\n"
        "    - -c\n"
        "    - \"\"\n"
        "    - \"true\"\n"
        "    - <a>\n"
        "    image: nginx:1.25\n"
        "    name: c\n"
        "    resources: {}\n"
        "status: {}\n",
        "%s", yaml.at);
    json_write_object_pretty(k, obj, &json);
    cr_expect_str_eq(json.at,
                     "{\n"
                     "    \"apiVersion\": \"v1\",\n"
                     "    \"kind\": \"Pod\",\n"
                     "    \"metadata\": {\n"
                     "        \"annotations\": {\n"
                     "            \"long\": \"a text that is long enough to be folded by the "
                     "emitter because it goes beyond the eighty columns\",\n"
                     "            \"multi\": \"one\\ntwo\\n\"\n"
                     "        },\n"
                     "        \"creationTimestamp\": \"2026-11-22T10:00:00Z\",\n"
                     "        \"labels\": {\n"
                     "            \"a10\": \"yes\",\n"
                     "            \"a9\": \"1\",\n"
                     "            \"z\": \"x: y\"\n"
                     "        },\n"
                     "        \"name\": \"p\"\n"
                     "    },\n"
                     "    \"spec\": {\n"
                     "        \"containers\": [\n"
                     "            {\n"
                     "                \"args\": [\n"
                     "                    \"-c\",\n"
                     "                    \"\",\n"
                     "                    \"true\",\n"
                     "                    \"\\u003ca\\u003e\"\n"
                     "                ],\n"
                     "                \"image\": \"nginx:1.25\",\n"
                     "                \"name\": \"c\",\n"
                     "                \"resources\": {}\n"
                     "            }\n"
                     "        ]\n"
                     "    },\n"
                     "    \"status\": {}\n"
                     "}\n",
                     "%s", json.at);
    text_t list = {.arena = &a};
    yaml_write_list(k, NULL, 0, &list);
    cr_expect_str_eq(list.at,
                     "apiVersion: v1\nitems: []\nkind: List\nmetadata:\n  resourceVersion: \"\"\n");
    text_t lists[2] = {{.arena = &a}, {.arena = &a}};
    const ProtobufCMessage *two[] = {obj, obj};
    yaml_write_list(k, two, 2, &lists[0]);
    json_write_list(k, two, 2, &lists[1]);
    for (int i = 0; i < 2; i++) {
        manifests_t found;
        cr_assert_eq(manifests_read(&a, "f", lists[i].at, lists[i].len, true, &found, &why), ERR_OK,
                     "%s", why.text);
        cr_assert_eq(found.len, 2);
        cr_assert(msg_equal(found.at[1].obj, obj));
    }
    cr_expect(has_prefix(lists[0].at, "apiVersion: v1\nitems:\n- apiVersion: v1\n  kind: Pod\n"),
              "%s", lists[0].at);
    cr_expect(
        has_suffix(lists[0].at, "  status: {}\nkind: List\nmetadata:\n  resourceVersion: \"\"\n"));
    cr_expect(has_prefix(lists[1].at, "{\n    \"apiVersion\": \"v1\",\n    \"items\": [\n        "
                                      "{\n            \"apiVersion\": \"v1\",\n"));
    cr_expect(has_suffix(lists[1].at,
                         "            \"status\": {}\n        }\n    ],\n    \"kind\": \"List\",\n "
                         "   \"metadata\": {\n        \"resourceVersion\": \"\"\n    }\n}\n"),
              "%s", lists[1].at);
    // What was printed reads back as the same object.
    manifests_t found;
    cr_assert_eq(manifests_read(&a, "f", yaml.at, yaml.len, true, &found, &why), ERR_OK, "%s",
                 why.text);
    cr_assert(found.len == 1 && msg_equal(found.at[0].obj, obj));
    arena_done(&a);
    ASSERT_NO_LEAKS();
}

Test(codec, yaml_strings_are_quoted_where_yaml_v2_quotes_them)
{
    static const struct {
        const char *text, *yaml;
    } ROWS[] = {
        {"", "\"\""},
        {"plain words", "plain words"},
        {"true", "\"true\""},
        {"No", "\"No\""},
        {"y", "\"y\""},
        {"null", "\"null\""},
        {"~", "\"~\""},
        {"12", "\"12\""},
        {"-1.5", "\"-1.5\""},
        {"1e3", "\"1e3\""},
        {"0x1F", "\"0x1F\""},
        {"1_000", "\"1_000\""},
        {"2026-11-22", "\"2026-11-22\""},
        {"2026-11-22T10:00:00Z", "\"2026-11-22T10:00:00Z\""},
        {"1:30", "\"1:30\""},
        {"1.2.3", "1.2.3"},
        {"a: b", "'a: b'"},
        {"a:b", "a:b"},
        {"a #b", "'a #b'"},
        {"a#b", "a#b"},
        {"- a", "'- a'"},
        {"-a", "-a"},
        {"*", "'*'"},
        {"&x", "'&x'"},
        {"!x", "'!x'"},
        {"%x", "'%x'"},
        {"@x", "'@x'"},
        {"`x", "'`x'"},
        {"{x}", "'{x}'"},
        {"[x]", "'[x]'"},
        {"x,y", "x,y"},
        {"it's", "it's"},
        {"'", "''''"},
        {"\"q\"", "'\"q\"'"},
        {" x", "' x'"},
        {"x ", "'x '"},
        {"a\tb", "\"a\\tb\""},
        {"ä€", "ä€"},
        {"😀", "\"\\U0001F600\""},
        {"<<", "\"<<\""},
        {"=", "="},
        {"?", "'?'"},
        {"a\n", "|\n  a"},
        {"a\nb", "|-\n  a\n  b"},
        {"a\n\n", "|+\n  a\n"},
        {" a\nb", "|2-\n   a\n  b"},
        {"a \nb", "\"a \\nb\""},
        {"100m", "100m"},
        {"0o17", "\"0o17\""},
    };
    arena_t a = {0};
    for (size_t i = 0; i < LENGTH_OF(ROWS); i++) {
        node_t *map = node_new(&a, NODE_MAP);
        node_put(&a, map, "k", node_str(&a, ROWS[i].text));
        text_t out = {.arena = &a};
        node_write_yaml(map, &out);
        const char *wanted = arena_printf(&a, "k: %s\n", ROWS[i].yaml);
        cr_expect_str_eq(text_str(&out), wanted, "%s: %s", ROWS[i].text, text_str(&out));
        nodes_t back = {0};
        why_t why = {0};
        cr_expect_eq(node_parse_yaml(&a, out.at, out.len, 10, 1, &back, &why), ERR_OK, "%s",
                     why.text);
        if (back.len) cr_expect(node_equal(back.at[0], map), "%s", out.at);
    }
    arena_done(&a);
    ASSERT_NO_LEAKS();
}
