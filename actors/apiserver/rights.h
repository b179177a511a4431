// rights - who asks, and what may he do. Fixed rights of roles, until RBAC's kinds exist.
//
// The bus has already proved which role a sender may speak as (ARCHITECTURE §3, identity); here a
// role becomes a Kubernetes user, and a table says what that user may do to which resources. A
// kubelet is held to its own node: what a row cannot say because it takes the object to judge
// (NodeRestriction), admission says.
#pragma once
#include "runtime/api/kinds.h"

typedef struct {
    const char *user; // "system:node:n1", "kubernetes-admin", …
    const char *role; // "kubelet", "cli", …
    const char *node; // kubelets and proxies: their node; else NULL
    bool is_elected;  // a role of which one leads: its writes must carry an epoch
} identity_t;

// `from` is a full address, `principal` what the bus says (NULL: this process).
identity_t rights_identify(arena_t *arena, const char *from, const char *principal);

typedef struct {
    const char *verb; // get list watch create update patch delete deletecollection
    const char *group, *plural, *subresource;
    const char *ns, *name;
} access_t;
bool rights_allow(const identity_t *who, const access_t *what);
// "User \"u\" cannot get resource \"pods\" in API group \"\" in the namespace \"default\"".
const char *rights_refusal(arena_t *arena, const identity_t *who, const access_t *what);
