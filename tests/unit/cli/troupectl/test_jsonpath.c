// JSONPath templates, as kubectl's documentation shows them.
#include "cli/troupectl/jsonpath.h"
#include "support/leaks.h"
#include <criterion/parameterized.h>

static const char tree[] =
    "{\"kind\":\"List\",\"items\":[{\"kind\":\"None\",\"metadata\":{\"name\":\"127.0.0.1\","
    "\"labels\":{\"kubernetes.io/hostname\":\"127.0.0.1\"}},"
    "\"status\":{\"capacity\":{\"cpu\":\"4\"},\"addresses\":[{\"type\":\"LegacyHostIP\","
    "\"address\":\"127.0.0.1\"}]}},"
    "{\"kind\":\"None\",\"metadata\":{\"name\":\"127.0.0.2\"},\"status\":{\"capacity\":{\"cpu\":"
    "\"8\"},"
    "\"addresses\":[{\"type\":\"LegacyHostIP\",\"address\":\"127.0.0.2\"},{\"type\":\"another\","
    "\"address\":\"127.0.0.3\"}]}}],"
    "\"users\":[{\"name\":\"myself\",\"user\":{}},{\"name\":\"e2e\",\"n\":7,\"user\":{\"username\":"
    "\"admin\",\"password\":\"secret\"}}]}";

struct row {
    char path[96];
    char expect[160];
};
ParameterizedTestParameters(jsonpath, table) {
    static struct row rows[] = {
        {"kind is {.kind}", "kind is List"},
        {"{['kind']}", "List"},
        {"{$.kind}", "List"},
        {"{.items[*].metadata.name}", "127.0.0.1 127.0.0.2"},
        {"{.users[0].name}", "myself"},
        {"{.users[-1].name}", "e2e"},
        {"{.items[0:1].metadata.name}", "127.0.0.1"},
        {"{.items[*]['metadata.name']}", ""},
        {"{..name}", "127.0.0.1 127.0.0.2 myself e2e"},
        {"{.users[?(@.name==\"e2e\")].user.password}", "secret"},
        {"{.users[?(@.n>6)].name}", "e2e"},
        {"{.users[?(@.n)].name}", "e2e"},
        {"{.users[?(@.name!='e2e')].name}", "myself"},
        {"{.items[0].metadata.labels.kubernetes\\.io/hostname}", "127.0.0.1"},
        {"{range .items[*]}[{.metadata.name}, {.status.capacity.cpu}]{'\\n'}{end}",
         "[127.0.0.1, 4]\n[127.0.0.2, 8]\n"},
        {"{range .items[*]}{range .status.addresses[*]}{.address} {end};{end}",
         "127.0.0.1 ;127.0.0.2 127.0.0.3 ;"},
        {"{.users[1].user}", "{\"username\":\"admin\",\"password\":\"secret\"}"},
        {"{.nothing.here}", ""},
        {"plain text", "plain text"},
    };
    return cr_make_param_array(struct row, rows, LENGTH_OF(rows));
}
ParameterizedTest(struct row *r, jsonpath, table) {
    json_t *root = json_loads(tree, 0, NULL);
    text_t out = TEXT_HEAP;
    why_t why = {0};
    cr_assert_eq(jsonpath_print(r->path, root, false, &out, &why), ERR_OK, "%s: %s", r->path,
                 why.text);
    cr_assert_str_eq(text_str(&out), r->expect, "%s gave %s", r->path, text_str(&out));
    text_done(&out);
    json_decref(root);
    ASSERT_NO_LEAKS();
}

Test(jsonpath, refuses_what_it_cannot_read)
{
    static const char *const bad[] = {"{.a",
                                      "{.users[}",
                                      "{.users[1}",
                                      "{range .items[*]}x",
                                      "{.users[?(@.name==)]}",
                                      "{.users[?(@.name=='x']}",
                                      "{'x}"};
    json_t *root = json_loads(tree, 0, NULL);
    for (size_t i = 0; i < LENGTH_OF(bad); i++) {
        text_t out = TEXT_HEAP;
        why_t why = {0};
        cr_assert_eq(jsonpath_print(bad[i], root, false, &out, &why), ERR_USAGE, "%s was taken",
                     bad[i]);
        cr_assert(has_prefix(why.text, "jsonpath: "));
        text_done(&out);
    }
    json_decref(root);
    ASSERT_NO_LEAKS();
}

Test(jsonpath, can_insist_on_a_field)
{
    json_t *root = json_loads(tree, 0, NULL);
    text_t out = TEXT_HEAP;
    why_t why;
    cr_assert_eq(jsonpath_print("{.nothing}", root, true, &out, &why), ERR_NOT_FOUND);
    size_t found;
    cr_assert_eq(jsonpath_value(".items[*].metadata.name", root, ",", &out, &found, &why), ERR_OK);
    cr_assert_eq(found, 2);
    cr_assert_str_eq(out.at, "127.0.0.1,127.0.0.2");
    text_done(&out);
    json_decref(root);
    ASSERT_NO_LEAKS();
}
