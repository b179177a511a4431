// Who may do what.
#include "actors/apiserver/rights.h"
#include "tests/support/leaks.h"

Test(rights, each_part_has_those_of_its_role)
{
    static const struct {
        const char *from, *verb, *group, *plural, *sub, *name;
        bool may;
    } rows[] = {
        {"cli/x", "delete", "", "nodes", "", "n1", true},
        {"controllers/m1", "create", "apps", "replicasets", "", "", true},
        {"scheduler/m1", "create", "", "pods", "binding", "a", true},
        {"scheduler/m1", "list", "apps", "deployments", "", "", true},
        {"scheduler/m1", "update", "", "pods", "", "a", false},
        {"scheduler/m1", "update", "", "pods", "status", "a", true},
        {"kubelet/n1", "update", "", "pods", "status", "a", true},
        {"kubelet/n1", "update", "", "pods", "", "a", false},
        {"kubelet/n1", "create", "", "pods", "binding", "a", false},
        {"kubelet/n1", "update", "", "nodes", "status", "n1", true},
        {"kubelet/n1", "update", "", "nodes", "status", "n2", false},
        {"kubelet/n1/pods", "update", "", "nodes", "status", "n1", true},
        {"kubelet/n1", "update", "coordination.k8s.io", "leases", "", "n1", true},
        {"kubelet/n1", "update", "coordination.k8s.io", "leases", "", "scheduler", false},
        {"proxy/n1", "watch", "discovery.k8s.io", "endpointslices", "", "", true},
        {"proxy/n1", "get", "", "secrets", "", "s", false},
        {"stranger/x", "get", "", "pods", "", "a", false},
    };
    arena_t arena = {0};
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        identity_t who = rights_identify(&arena, rows[i].from, NULL);
        access_t what = {rows[i].verb, rows[i].group, rows[i].plural,
                         rows[i].sub,  "ns",          rows[i].name};
        cr_expect_eq(rights_allow(&who, &what), rows[i].may, "row %zu: %s %s %s", i, rows[i].from,
                     rows[i].verb, rows[i].plural);
    }
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

Test(rights, a_part_is_shown_as_kubernetes_names_its_user)
{
    static const struct {
        const char *from, *principal, *user;
        bool is_elected;
    } rows[] = {
        {"kubelet/n1", "part", "system:node:n1", false},
        {"scheduler/m1", NULL, "system:kube-scheduler", true},
        {"controllers/m1", "part", "system:kube-controller-manager", true},
        {"cli/17-ab", "admin", "kubernetes-admin", false},
        {"cli/17-ab", "alice", "alice", false},
        {"what/x", NULL, "system:anonymous", false},
    };
    arena_t arena = {0};
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        identity_t who = rights_identify(&arena, rows[i].from, rows[i].principal);
        cr_expect_str_eq(who.user, rows[i].user);
        cr_expect_eq(who.is_elected, rows[i].is_elected);
    }
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}
