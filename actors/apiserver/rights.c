#include "actors/apiserver/rights.h"
#include "runtime/base/text.h"

#define READ  "get list watch"
#define WRITE "create update patch"

// A row allows `role` the verbs on group/plural[/subresource]; "*" is everything.
typedef struct {
    const char *role, *verbs, *group, *plural, *subresource;
    bool own_node; // only what bears the name of the asker's node
} right_t;

static const right_t rights[] = {
    // The person at the keyboard; and, inside a process of tests only, the test's hand.
    {"cli", "*", "*", "*", "*"},
    {"test", "*", "*", "*", "*"},
    {"gateway", "*", "*", "*", "*"},
    // The API server itself: first objects, the Lease objects of elections.
    {"apiserver", "*", "*", "*", "*"},
    // Controllers reconcile every kind; like Kubernetes' controller manager they may touch them
    // all.
    {"controllers", "*", "*", "*", "*"},
    // The informers of a process follow for those that run in it: the topology says where.
    {"informers", READ, "*", "*", ""},

    {"chaos", READ, "*", "*", ""},
    {"chaos", WRITE, "chaos.troupe.io", "experiments", "status"},
    {"chaos", "delete " WRITE, "", "configmaps", ""}, // its witness

    {"scheduler", READ, "*", "*", ""},
    {"scheduler", "create", "", "pods", "binding"},
    {"scheduler", "update patch", "", "pods", "status"},
    {"scheduler", "delete", "", "pods", ""}, // preemption
    {"scheduler", WRITE, "", "events", ""},
    {"scheduler", "get " WRITE, "coordination.k8s.io", "leases", ""},

    {"kubelet", READ, "", "pods", ""},
    {"kubelet", "create delete", "", "pods", ""}, // mirror pods; the end of a deletion
    {"kubelet", "update patch", "", "pods", "status"},
    {"kubelet", READ, "", "nodes", ""},
    {"kubelet", WRITE, "", "nodes", "", .own_node = true},
    {"kubelet", "update patch", "", "nodes", "status", .own_node = true},
    {"kubelet", READ, "", "services", ""},
    {"kubelet", READ, "", "configmaps", ""},
    {"kubelet", READ, "", "secrets", ""},
    {"kubelet", READ, "", "serviceaccounts", ""},
    {"kubelet", WRITE, "", "events", ""},
    {"kubelet", "get " WRITE, "coordination.k8s.io", "leases", "", .own_node = true},

    {"proxy", READ, "", "services", ""},
    {"proxy", READ, "", "endpoints", ""},
    {"proxy", READ, "", "nodes", ""},
    {"proxy", READ, "", "namespaces", ""},
    {"proxy", READ, "discovery.k8s.io", "endpointslices", ""},
    {"proxy", WRITE, "", "events", ""},

    {"dns", READ, "", "services", ""},
    {"dns", READ, "", "namespaces", ""},
    {"dns", READ, "", "pods", ""},
    {"dns", READ, "discovery.k8s.io", "endpointslices", ""},
};

static const struct {
    const char *role, *user;
    bool is_elected;
} users[] = {
    {"cli", "kubernetes-admin", false},
    {"test", "kubernetes-admin", false},
    {"gateway", "kubernetes-admin", false},
    {"apiserver", "system:apiserver", false},
    {"controllers", "system:kube-controller-manager", true},
    {"scheduler", "system:kube-scheduler", true},
    {"chaos", "system:chaos", true},
    {"informers", "system:informers", false},
    {"proxy", "system:kube-proxy", false},
    {"dns", "system:dns", false},
};

identity_t rights_identify(arena_t *arena, const char *from, const char *principal) {
    const char *slash = strchr(from, '/');
    size_t role_len = slash ? (size_t)(slash - from) : strlen(from);
    identity_t who = {.role = arena_strndup(arena, from, role_len), .user = "system:anonymous"};
    const char *name = slash ? slash + 1 : "";
    // Children of an actor ("kubelet/n1/pods") act for it.
    const char *own = arena_strndup(arena, name, strcspn(name, "/"));
    if (streq(who.role, "kubelet")) {
        who.node = own;
        who.user = arena_printf(arena, "system:node:%s", own);
        return who;
    }
    if (streq(who.role, "proxy")) who.node = own;
    // A command line reached the administrators' socket: its principal says so; a named key is
    // shown as the user it belongs to.
    for (size_t i = 0; i < LENGTH_OF(users); i++) {
        if (!streq(users[i].role, who.role)) continue;
        who.user = users[i].user;
        who.is_elected = users[i].is_elected;
    }
    bool named = principal && !streq(principal, "admin") && !streq(principal, "part");
    if (named && streq(who.role, "cli")) who.user = arena_strdup(arena, principal);
    return who;
}

// Is `word` one of the words of `list`?
static bool has_word(const char *list, const char *word) {
    if (streq(list, "*")) return true;
    size_t len = strlen(word);
    for (const char *at = list; *at; at += strcspn(at, " "), at += *at == ' ')
        if (strncmp(at, word, len) == 0 && (at[len] == ' ' || !at[len])) return true;
    return false;
}

static bool is_like(const char *pattern, const char *text) {
    return streq(pattern, "*") || streq(pattern, or_empty(text));
}

bool rights_allow(const identity_t *who, const access_t *what) {
    for (size_t i = 0; i < LENGTH_OF(rights); i++) {
        const right_t *r = &rights[i];
        if (!streq(r->role, who->role) || !has_word(r->verbs, what->verb)) continue;
        if (!is_like(r->group, what->group) || !is_like(r->plural, what->plural) ||
            !is_like(r->subresource, what->subresource))
            continue;
        // What is created bears its name in the object: admission looks at that.
        bool is_own = is_empty(what->name) || (who->node && streq(what->name, who->node));
        if (!r->own_node || is_own) return true;
    }
    return false;
}

const char *rights_refusal(arena_t *arena, const identity_t *who, const access_t *what) {
    const char *sub = or_empty(what->subresource);
    text_t out = {.arena = arena};
    text_addf(&out, "User \"%s\" cannot %s resource \"%s%s%s\" in API group \"%s\"", who->user,
              what->verb, what->plural, *sub ? "/" : "", sub, or_empty(what->group));
    if (is_empty(what->ns))
        text_add(&out, " at the cluster scope");
    else
        text_addf(&out, " in the namespace \"%s\"", what->ns);
    return text_str(&out);
}
