// Routes between nodes: what is wanted against what the kernel has.
#include "actors/proxy/routes.h"
#include "support/leaks.h"

static Meta__ObjectMeta metas[3];
static Core__NodeSpec specs[3];
static Core__NodeStatus statuses[3];
static Core__NodeAddress addresses[3];
static Core__NodeAddress *address_of[3];
static Core__Node nodes[3];
static const Core__Node *all[3];

static void make_nodes(void) {
    static const char *const names[] = {"n0", "n1", "n2"},
                             *const ranges[] = {"10.244.0.0/24", "10.244.1.0/24", ""},
                             *const ips[] = {"172.31.0.10", "172.31.0.11", "172.31.0.12"};
    for (int i = 0; i < 3; i++) {
        metas[i].name = names[i];
        specs[i].podcidr = ranges[i];
        addresses[i].type = "InternalIP";
        addresses[i].address = ips[i];
        address_of[i] = &addresses[i];
        statuses[i].n_addresses = 1;
        statuses[i].addresses = &address_of[i];
        nodes[i] = (Core__Node){.metadata = &metas[i], .spec = &specs[i], .status = &statuses[i]};
        all[i] = &nodes[i];
    }
}
static char *plan_of(arena_t *arena, const route_t *present, size_t len) {
    make_nodes();
    routes_plan_t plan;
    routes_plan(&(routes_view_t){"n0", "172.31.0.10", "eth0", "10.96.0.0/16", all, 3, present, len},
                arena, &plan);
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    routes_plan_print(&plan, out);
    fclose(out);
    return text;
}

Test(routes, lead_to_other_nodes_and_to_services)
{
    arena_t arena = {0};
    char *text = plan_of(&arena, NULL, 0);
    // n0 is this node, n2 has no range yet.
    cr_assert_str_eq(
        text, "add 10.244.1.0/24 via 172.31.0.11\nadd 10.96.0.0/16 dev eth0 src 172.31.0.10\n");
    free(text);
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

Test(routes, obeying_the_plan_leaves_nothing_to_do)
{
    arena_t arena = {0};
    static const route_t present[] = {{"10.244.1.0/24", "172.31.0.11", "", ""},
                                      {"10.96.0.0/16", "", "eth0", "172.31.0.10"}};
    char *text = plan_of(&arena, present, 2);
    cr_assert_str_eq(text, "");
    free(text);
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

Test(routes, of_a_node_that_left_or_moved_are_removed)
{
    arena_t arena = {0};
    static const route_t present[] = {{"10.244.1.0/24", "172.31.0.99", "", ""},
                                      {"10.244.9.0/24", "172.31.0.19", "", ""},
                                      {"10.96.0.0/16", "", "eth0", "172.31.0.10"}};
    char *text = plan_of(&arena, present, 3);
    cr_assert_str_eq(text, "remove 10.244.1.0/24 via 172.31.0.99\nremove 10.244.9.0/24 via "
                           "172.31.0.19\nadd 10.244.1.0/24 via 172.31.0.11\n");
    free(text);
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}
