// What the rules' checker finds, and that it waits before it does.
#include "cli/troupe/simulate_rules.h"
#include "support/leaks.h"

enum { T0 = 1000 };

static record_t *service(void) {
    Meta__ObjectMeta meta = META__OBJECT_META__INIT;
    Core__ServiceSpec spec = CORE__SERVICE_SPEC__INIT;
    Core__Service s = CORE__SERVICE__INIT;
    meta.name = "app-1";
    spec.clusterip = "10.96.0.7";
    s.metadata = &meta;
    s.spec = &spec;
    return record_new(&s.base);
}

static record_t *pod(const char *ip, bool ready) {
    Meta__ObjectMeta meta = META__OBJECT_META__INIT;
    Meta__ObjectMeta__LabelsEntry label = META__OBJECT_META__LABELS_ENTRY__INIT,
                                  *labels[] = {&label};
    Core__PodCondition condition = CORE__POD_CONDITION__INIT, *conditions[] = {&condition};
    Core__PodStatus status = CORE__POD_STATUS__INIT;
    Core__Pod p = CORE__POD__INIT;
    meta.name = "app-1-x";
    label.key = "app";
    label.value = "app-1";
    meta.labels = labels;
    meta.n_labels = 1;
    condition.type = "Ready";
    condition.status = ready ? "True" : "False";
    status.conditions = conditions;
    status.n_conditions = 1;
    status.podip = (char *)ip;
    p.metadata = &meta;
    p.status = &status;
    return record_new(&p.base);
}

static void lead_to(tables_fake_t *t, const char *ip) {
    char *input =
        str_printf("*nat\n:KUBE-SERVICES - [0:0]\n:KUBE-SVC-A - [0:0]\n:KUBE-SEP-A - [0:0]\n"
                   "-A KUBE-SERVICES -d 10.96.0.7/32 -m tcp --dport 80 -j KUBE-SVC-A\n"
                   "-A KUBE-SVC-A -j KUBE-SEP-A\n"
                   "-A KUBE-SEP-A -m tcp -j DNAT --to-destination %s:80\nCOMMIT\n",
                   ip);
    why_t why;
    cr_assert_eq(tables_fake_restore(t, input, &why), ERR_OK, "%s", why.text);
    free(input);
}

// What is wrong at once, and what is found past the bound.
static void expect(const char *leads_to, const char *serves, bool ready, const char *missing,
                   const char *broken) {
    arena_t arena = {0};
    rules_check_t c = {0};
    tables_fake_t *t = tables_fake_new();
    if (leads_to) lead_to(t, leads_to);
    rules_node_t node = {"node-1", t};
    record_t *s = service(), *p = pod(serves, ready);
    records_t services = {(const record_t *const[]){s}, 1},
              pods = {(const record_t *const[]){p}, 1};
    rules_look(&c, &arena, &node, 1, services, pods, T0);
    const char *is_missing = rules_missing(&c, &arena);
    cr_expect_str_eq(or_empty(is_missing), missing);
    cr_expect_eq(c.finding.broken[0], 0, "not yet");
    rules_look(&c, &arena, &node, 1, services, pods, T0 + RULES_BOUND_MS);
    cr_expect_eq(c.finding.broken[0], 0, "not yet");
    rules_look(&c, &arena, &node, 1, services, pods, T0 + RULES_BOUND_MS + 1);
    cr_expect_str_eq(c.finding.broken, broken);
    record_unref(&s);
    record_unref(&p);
    tables_fake_destroy(&t);
    rules_check_done(&c);
    arena_done(&arena);
}

Test(simulate_rules, lead_to_who_serves_and_to_nobody_else_or_it_is_said_after_the_bound)
{
    expect("10.244.1.2", "10.244.1.2", true, "", "");
    expect(NULL, "10.244.1.2", false, "", "");
    expect(NULL, "10.244.1.2", true, "rules of node-1 lack 10.96.0.7:80 10.244.1.2:80",
           "rules of node-1 lack 10.96.0.7:80 10.244.1.2:80, for 20001 ms");
    expect("10.244.1.2", "10.244.1.2", false, "rules of node-1 keep 10.96.0.7:80 10.244.1.2:80",
           "rules of node-1 keep 10.96.0.7:80 10.244.1.2:80, for 20001 ms");
    ASSERT_NO_LEAKS();
}

Test(simulate_rules, what_is_put_right_in_time_is_forgotten)
{
    arena_t arena = {0};
    rules_check_t c = {0};
    tables_fake_t *t = tables_fake_new();
    rules_node_t node = {"node-1", t};
    record_t *s = service(), *p = pod("10.244.1.2", true);
    records_t services = {(const record_t *const[]){s}, 1},
              pods = {(const record_t *const[]){p}, 1};
    rules_look(&c, &arena, &node, 1, services, pods, T0);
    lead_to(t, "10.244.1.2");
    rules_look(&c, &arena, &node, 1, services, pods, T0 + 10);
    cr_assert_null(rules_missing(&c, &arena));
    tables_fake_clear(t);
    rules_look(&c, &arena, &node, 1, services, pods, T0 + RULES_BOUND_MS + 1);
    cr_assert_eq(c.finding.broken[0], 0, "wrong anew, not still");
    record_unref(&s);
    record_unref(&p);
    tables_fake_destroy(&t);
    rules_check_done(&c);
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}
