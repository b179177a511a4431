#include "actors/proxy/tables_fake.h"
#include "actors/proxy/view.h"
#include "support/leaks.h"

static void give(tables_fake_t *t, const char *input, err_t want) {
    why_t why = {0};
    err_t err = tables_fake_restore(t, input, &why);
    cr_assert_eq(err, want, "%s: %s", input, why.text);
}

static void expect_saved(const tables_fake_t *t, const char *want) {
    text_t saved = TEXT_HEAP;
    tables_fake_save(t, &saved);
    cr_assert_str_eq(text_str(&saved), want);
    text_done(&saved);
}

Test(tables_fake, keeps_what_a_restore_brings_and_empties_what_it_declares)
{
    tables_fake_t *t = tables_fake_new();
    give(t,
         "*nat\n:KUBE-A - [0:0]\n:KUBE-B - [0:0]\n-I OUTPUT -j KUBE-A\n-A KUBE-A -j KUBE-B\n"
         "COMMIT\n*filter\n:KUBE-A - [0:0]\nCOMMIT\n",
         ERR_OK);
    give(t, "*nat\n:KUBE-B - [0:0]\n-A KUBE-B -j ACCEPT\n-A KUBE-B -j DROP\nCOMMIT\n", ERR_OK);
    expect_saved(t, "*filter\n:KUBE-A - [0:0]\nCOMMIT\n"
                    "*nat\n:KUBE-A - [0:0]\n-A KUBE-A -j KUBE-B\n"
                    ":KUBE-B - [0:0]\n-A KUBE-B -j ACCEPT\n-A KUBE-B -j DROP\n"
                    ":OUTPUT - [0:0]\n-A OUTPUT -j KUBE-A\nCOMMIT\n");
    tables_fake_clear(t);
    expect_saved(t, "");
    tables_fake_destroy(&t);
    ASSERT_NO_LEAKS();
}

Test(tables_fake, refuses_what_the_kernel_refuses_and_then_changes_nothing)
{
    static const char *const bad[] = {
        "*nat\n:KUBE-C - [0:0]\n-A KUBE-D -j ACCEPT\nCOMMIT\n", // no such chain
        "*nat\n:KUBE-C - [0:0]\n-A KUBE-C -j KUBE-D\nCOMMIT\n", // no such target
        "*nat\n:KUBE-B - [0:0]\n-X KUBE-B\nCOMMIT\n",           // still jumped to
    };
    tables_fake_t *t = tables_fake_new();
    give(t, "*nat\n:KUBE-A - [0:0]\n:KUBE-B - [0:0]\n-A KUBE-A -j KUBE-B\nCOMMIT\n", ERR_OK);
    const char *before = "*nat\n:KUBE-A - [0:0]\n-A KUBE-A -j KUBE-B\n:KUBE-B - [0:0]\nCOMMIT\n";
    for (size_t i = 0; i < LENGTH_OF(bad); i++) {
        give(t, bad[i], ERR_INVALID);
        expect_saved(t, before);
    }
    give(t, "*nat\n:KUBE-A - [0:0]\n:KUBE-B - [0:0]\n-X KUBE-B\nCOMMIT\n", ERR_OK);
    expect_saved(t, "*nat\n:KUBE-A - [0:0]\nCOMMIT\n");
    tables_fake_destroy(&t);
    ASSERT_NO_LEAKS();
}

Test(tables_fake, tells_where_packets_come_out_of_the_rules_that_the_proxy_writes)
{
    arena_t arena = {0};
    proxy_endpoint_t ends[] = {{"10.244.0.2", 8080, true}, {"10.244.1.2", 8080, false}};
    proxy_port_t ports[] = {
        {.ns = "default",
         .service = "a",
         .port_name = "",
         .protocol = "tcp",
         .cluster_ip = "10.96.0.1",
         .port = 80,
         .endpoints = ends,
         .endpoints_len = 2},
        {.ns = "default",
         .service = "b",
         .port_name = "",
         .protocol = "tcp",
         .cluster_ip = "10.96.0.2",
         .port = 81},
    };
    proxy_view_t view = {"10.244.0.0/16", "10.96.0.0/16", ports, LENGTH_OF(ports)};
    chains_t chains;
    text_t input = {.arena = &arena};
    proxy_rules(&view, &arena, &chains, NULL);
    chains_print(&chains, NULL, ~0u >> (32 - proxy_jumps_len), &input);
    tables_fake_t *t = tables_fake_new();
    give(t, text_str(&input), ERR_OK);
    table_roads_t roads;
    tables_fake_roads(t, &arena, &roads);
    cr_assert_eq(roads.len, 2);
    cr_assert_str_eq(roads.at[0], "10.96.0.1:80 10.244.0.2:8080");
    cr_assert_str_eq(roads.at[1], "10.96.0.1:80 10.244.1.2:8080");
    tables_fake_destroy(&t);
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}
