// Label and field selectors: what they take, what they say, what they match.
#include "k8s/core_v1.pb-c.h"
#include "runtime/api/names.h"
#include "runtime/api/selector.h"
#include "support/leaks.h"

static ProtobufCMessage *web_pod(arena_t *a) {
    Core__Pod *pod = MSG_NEW(a, Core__Pod, core__pod__descriptor);
    object_meta(a, &pod->base)->name = "web-0";
    object_set_label(a, &pod->base, "app", "web");
    object_set_label(a, &pod->base, "tier", "front");
    object_set_label(a, &pod->base, "size", "7");
    object_set_label(a, &pod->base, "example.com/empty", "");
    pod->spec = MSG_NEW(a, Core__PodSpec, core__pod_spec__descriptor);
    pod->spec->nodename = "n,1";
    return &pod->base;
}

Test(selector, matches_by_its_operators)
{
    static const struct {
        const char *text;
        bool matches;
    } ROWS[] = {
        {"", true},
        {"  ", true},
        {"app=web", true},
        {"app==web", true},
        {"app = web , tier != back", true},
        {"app!=web", false},
        {"none!=x", true},
        {"app", true},
        {"!app", false},
        {"!none", true},
        {"none", false},
        {"app in (db, web)", true},
        {"app notin (db,web)", false},
        {"none notin (x)", true},
        {"none in (x)", false},
        {"size>6", true},
        {"size<7", false},
        {"tier>1", false},
        {"example.com/empty=", true},
        {"example.com/empty in ()", true},
        {"app in (,web)", true},
        {"in=x", false},
        {"app=in", false},
        {"app,tier,!x", true},
    };
    arena_t a = {0};
    ProtobufCMessage *pod = web_pod(&a);
    for (size_t i = 0; i < LENGTH_OF(ROWS); i++) {
        const selector_t *sel;
        why_t why;
        if (selector_parse(&a, ROWS[i].text, &sel, &why))
            cr_expect(false, "%s: %s", ROWS[i].text, why.text);
        else
            cr_expect_eq(selector_matches(sel, pod), ROWS[i].matches, "%s", ROWS[i].text);
    }
    arena_done(&a);
    ASSERT_NO_LEAKS();
}

Test(selector, says_what_it_did_not_understand)
{
    static const struct {
        const char *text, *why;
    } ROWS[] = {
        {"=x", "found '=', expected: !, identifier, or 'end of string'"},
        {"a,", "found '', expected: identifier after ','"},
        {"a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"},
        {"a=b c", "found 'c', expected: ',' or 'end of string'"},
        {"a in x", "unable to parse requirement: found 'x', expected: '('"},
        {"a in (x", "unable to parse requirement: found '', expected: ',' or ')'"},
        {"a=(", "unable to parse requirement: found '(', expected: identifier"},
        {"!", "unable to parse requirement: found '', expected: identifier"},
        {"!a=b", "found '=', expected: ',' or 'end of string'"},
        {"a/b/c", "unable to parse requirement: <nil>: Invalid value: \"a/b/c\": a qualified name "
                  "must consist of alphanumeric characters, '-', "
                  "'_' or '.', and must start and end with an alphanumeric character (e.g. "
                  "'MyName',  or 'my.name',  or '123-abc', regex used for "
                  "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS "
                  "subdomain prefix and '/' (e.g. 'example.com/MyName')"},
        {"a>x", "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' "
                "operators, the value must be an integer"},
    };
    arena_t a = {0};
    for (size_t i = 0; i < LENGTH_OF(ROWS); i++) {
        const selector_t *sel;
        why_t why = {0};
        cr_expect_eq(selector_parse(&a, ROWS[i].text, &sel, &why), ERR_BAD_REQUEST, "%s",
                     ROWS[i].text);
        cr_expect_str_eq(why.text, ROWS[i].why, "%s: %s", ROWS[i].text, why.text);
    }
    arena_done(&a);
    ASSERT_NO_LEAKS();
}

Test(selector, no_message_selects_nothing_and_an_empty_one_all)
{
    arena_t a = {0};
    ProtobufCMessage *pod = web_pod(&a);
    const selector_t *sel;
    cr_assert_eq(selector_from_message(&a, NULL, &sel, NULL), ERR_OK);
    cr_assert_not(selector_matches(sel, pod));
    Meta__LabelSelector *msg = MSG_NEW(&a, Meta__LabelSelector, meta__label_selector__descriptor);
    cr_assert_eq(selector_from_message(&a, msg, &sel, NULL), ERR_OK);
    cr_assert(selector_matches(sel, pod));
    Meta__LabelSelectorRequirement *e =
        MSG_NEW(&a, Meta__LabelSelectorRequirement, meta__label_selector_requirement__descriptor);
    msg->matchexpressions = &e;
    msg->n_matchexpressions = 1;
    e->key = "tier";
    static const struct {
        const char *op;
        err_t err;
        bool matches;
    } ROWS[] = {{"In", ERR_OK, true},
                {"NotIn", ERR_OK, false},
                {"Exists", ERR_OK, true},
                {"DoesNotExist", ERR_OK, false},
                {"Like", ERR_BAD_REQUEST, false}};
    const char *values[] = {"x", "front", "a"};
    for (size_t i = 0; i < LENGTH_OF(ROWS); i++) {
        e->operator_ = ROWS[i].op;
        e->values = values;
        e->n_values = i < 2 ? 3 : 0;
        cr_assert_eq(selector_from_message(&a, msg, &sel, NULL), ROWS[i].err, "%s", ROWS[i].op);
        if (!ROWS[i].err)
            cr_assert_eq(selector_matches(sel, pod), ROWS[i].matches, "%s", ROWS[i].op);
    }
    cr_assert_str_eq(values[0], "x"); // the message is as it was
    arena_done(&a);
    ASSERT_NO_LEAKS();
}

Test(field_selector, takes_only_what_the_kind_offers)
{
    static const struct {
        const char *kind, *text, *why;
        bool matches;
    } ROWS[] = {
        {"pods", "", NULL, true},
        {"pods", "metadata.name=web-0", NULL, true},
        {"pods", "metadata.name!=web-0", NULL, false},
        {"pods", "spec.nodeName=n\\,1,metadata.name==web-0", NULL, true},
        {"pods", "spec.nodeName=", NULL, false},
        {"pods", "status.phase!=Running", NULL, true},
        {"pods", "status.phase=", NULL, true},
        {"pods", "spec.containers=x", "field label not supported: spec.containers", false},
        {"pods", "metadata.name",
         "invalid selector: 'metadata.name'; can't understand 'metadata.name'", false},
        {"pods", "metadata.name=a=b", "invalid field selector: unescaped rune in value: =", false},
        {"configmaps", "data=x",
         "\"data\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
         false},
    };
    arena_t a = {0};
    ProtobufCMessage *pod = web_pod(&a);
    for (size_t i = 0; i < LENGTH_OF(ROWS); i++) {
        const field_selector_t *sel;
        why_t why = {0};
        err_t err = field_selector_parse(&a, kind_by_plural("", "v1", ROWS[i].kind), ROWS[i].text,
                                         &sel, &why);
        cr_expect_str_eq(why.text, or_empty(ROWS[i].why), "%s: %s", ROWS[i].text, why.text);
        cr_expect_eq(err, ROWS[i].why ? ERR_BAD_REQUEST : ERR_OK);
        if (!err)
            cr_expect_eq(field_selector_matches(sel, pod), ROWS[i].matches, "%s", ROWS[i].text);
    }
    const field_selector_t *sel;
    Core__Node *node = MSG_NEW(&a, Core__Node, core__node__descriptor);
    cr_assert_eq(field_selector_parse(&a, kind_by_plural("", "v1", "nodes"),
                                      "spec.unschedulable=false", &sel, NULL),
                 ERR_OK);
    cr_assert(field_selector_matches(sel, &node->base));
    arena_done(&a);
    ASSERT_NO_LEAKS();
}

Test(names, follow_the_rules_of_dns_and_labels)
{
    cr_expect_null(name_check_subdomain("a.b-c.d1"));
    cr_expect_not_null(name_check_subdomain("a..b"));
    cr_expect_not_null(name_check_subdomain("A"));
    cr_expect_not_null(name_check_subdomain("a.-b"));
    cr_expect_null(name_check_label("a-b"));
    cr_expect_not_null(name_check_label("a.b"));
    cr_expect_not_null(name_check_label(""));
    cr_expect_null(name_check_qualified("example.com/My_Name.x"));
    cr_expect_str_eq(name_check_qualified("/x"), "prefix part must be non-empty");
    cr_expect_str_eq(name_check_qualified("x/"), "name part must be non-empty");
    cr_expect_null(name_check_label_value(""));
    cr_expect_not_null(name_check_label_value("-"));
    ASSERT_NO_LEAKS();
}
