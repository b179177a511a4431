// Services as iptables chains: the text that goes to iptables-restore.
#include "actors/proxy/rules.h"
#include "support/leaks.h"
#include <signal.h>

static const proxy_endpoint_t three[] = {{"10.244.1.2", 80, true},
                                         {"10.244.1.3", 80, true},
                                         {"10.244.2.2", 80, false}};
static proxy_port_t web(size_t endpoints_len) {
    return (proxy_port_t){.ns = "default",
                          .service = "myweb",
                          .port_name = "",
                          .protocol = "tcp",
                          .cluster_ip = "10.96.0.50",
                          .port = 80,
                          .node_port = 30080,
                          .endpoints = three,
                          .endpoints_len = endpoints_len};
}
static chains_t render(arena_t *arena, const proxy_port_t *ports, size_t len) {
    chains_t chains;
    proxy_rules(&(proxy_view_t){"10.244.0.0/16", "10.96.0.0/16", ports, len}, arena, &chains, NULL);
    return chains;
}
static const chain_t *find(const chains_t *chains, table_t table, const char *name) {
    for (size_t i = 0; i < chains->len; i++)
        if (chains->at[i].table == table && streq(chains->at[i].name, name)) return &chains->at[i];
    return NULL;
}

Test(proxy_rules, names_chains_as_kube_proxy_does)
{
    arena_t arena = {0};
    // The well-known names of every Kubernetes cluster.
    cr_assert_str_eq(chain_name(&arena, "KUBE-SVC-", "default/kubernetes:httpstcp"),
                     "KUBE-SVC-NPX46M4PTMTKRN6Y");
    cr_assert_str_eq(chain_name(&arena, "KUBE-SVC-", "kube-system/kube-dns:dnsudp"),
                     "KUBE-SVC-TCOU7JCQXEZGVUNU");
    cr_assert_str_eq(chain_name(&arena, "KUBE-SVC-", "kube-system/kube-dns:dns-tcptcp"),
                     "KUBE-SVC-ERIFXISQEP7F7OF4");
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

Test(proxy_rules, gives_each_of_three_endpoints_a_third)
{
    arena_t arena = {0};
    proxy_port_t port = web(3);
    chains_t chains = render(&arena, &port, 1);
    const char *svc = chain_name(&arena, "KUBE-SVC-", "default/mywebtcp");
    const char *rules = find(&chains, TABLE_NAT, svc)->rules;
    cr_assert_not_null(strstr(rules, "--probability 0.3333333333 -j KUBE-SEP-"));
    cr_assert_not_null(strstr(rules, "--probability 0.5000000000 -j KUBE-SEP-"));
    cr_assert_not_null(strstr(rules, "-> 10.244.2.2:80\" -j KUBE-SEP-"));
    cr_assert_not_null(strstr(rules, "! -s 10.244.0.0/16 -d 10.96.0.50/32 -p tcp"));
    const char *sep = chain_name(&arena, "KUBE-SEP-", "default/mywebtcp10.244.1.2:80");
    cr_assert_not_null(
        strstr(find(&chains, TABLE_NAT, sep)->rules, "-j DNAT --to-destination 10.244.1.2:80"));
    cr_assert_not_null(
        strstr(find(&chains, TABLE_NAT, sep)->rules,
               "-s 10.244.1.2/32 -m comment --comment \"default/myweb\" -j KUBE-MARK-MASQ"));
    cr_assert_not_null(
        strstr(find(&chains, TABLE_NAT, "KUBE-NODEPORTS")->rules, "--dport 30080 -j KUBE-EXT-"));
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

Test(proxy_rules, rejects_a_service_without_endpoints)
{
    arena_t arena = {0};
    proxy_port_t port = web(0);
    chains_t chains = render(&arena, &port, 1);
    cr_assert_null(strstr(find(&chains, TABLE_NAT, "KUBE-SERVICES")->rules, "10.96.0.50"));
    cr_assert_str_eq(find(&chains, TABLE_NAT, "KUBE-NODEPORTS")->rules, "");
    cr_assert_not_null(strstr(find(&chains, TABLE_FILTER, "KUBE-SERVICES")->rules,
                              "-d 10.96.0.50/32 -p tcp -m comment --comment \"default/myweb has no "
                              "endpoints\" -m tcp --dport 80 -j REJECT"));
    cr_assert_not_null(strstr(find(&chains, TABLE_FILTER, "KUBE-EXTERNAL-SERVICES")->rules,
                              "--dport 30080 -j REJECT"));
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

Test(proxy_rules, keeps_the_clients_address_with_the_local_policy)
{
    arena_t arena = {0};
    proxy_port_t port = web(3);
    port.local_external = true;
    chains_t chains = render(&arena, &port, 1);
    const char *ext =
        find(&chains, TABLE_NAT, chain_name(&arena, "KUBE-EXT-", "default/mywebtcp"))->rules;
    const char *svl = chain_name(&arena, "KUBE-SVL-", "default/mywebtcp");
    cr_assert_not_null(strstr(ext, svl));
    cr_assert_null(strstr(ext, "masquerade traffic for"));
    cr_assert_null(strstr(find(&chains, TABLE_NAT, svl)->rules, "10.244.2.2"));
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

Test(proxy_rules, a_change_touches_only_what_changed)
{
    arena_t arena = {0};
    proxy_port_t before[] = {web(3), web(3)}, after[] = {web(3), web(2)};
    before[1].service = after[1].service = "other";
    before[1].cluster_ip = after[1].cluster_ip = "10.96.0.51";
    before[1].node_port = after[1].node_port = 0;
    chains_t was = render(&arena, before, 2), is = render(&arena, after, 2);
    text_t change = TEXT_HEAP;
    cr_assert(chains_print_change(&was, &is, &change));
    const char *svc = chain_name(&arena, "KUBE-SVC-", "default/othertcp");
    const char *sep = chain_name(&arena, "KUBE-SEP-", "default/othertcp10.244.2.2:80");
    const char *expect = arena_printf(&arena, "*nat\n:%s - [0:0]\n:%s - [0:0]\n%s-X %s\nCOMMIT\n",
                                      svc, sep, find(&is, TABLE_NAT, svc)->rules, sep);
    cr_assert_str_eq(change.at, expect);
    text_reset(&change);
    cr_assert_not(chains_print_change(&is, &is, &change));
    cr_assert_eq(change.len, 0);
    text_done(&change);
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

Test(proxy_rules, the_same_view_gives_the_same_bytes)
{
    arena_t arena = {0};
    proxy_port_t port = web(3);
    port.affinity = AFFINITY_CLIENT_IP;
    port.affinity_seconds = 10800;
    chains_t a = render(&arena, &port, 1), b = render(&arena, &port, 1);
    text_t x = TEXT_HEAP, y = TEXT_HEAP;
    chains_print(&a, NULL, 0, &x);
    chains_print(&b, NULL, 0, &y);
    cr_assert_str_eq(x.at, y.at);
    cr_assert_not_null(strstr(x.at, "--rcheck --seconds 10800 --reap"));
    text_done(&x);
    text_done(&y);
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

Test(canary, asserts_are_alive, .signal = SIGABRT)
{ proxy_rules(&(proxy_view_t){"", "", NULL, 1}, NULL, NULL, NULL); }
