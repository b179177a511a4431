// view - from Service and EndpointSlice objects to what the rules are made of. Pure.
#pragma once
#include "actors/proxy/rules.h"
#include "k8s/core_v1.pb-c.h"
#include "k8s/discovery_v1.pb-c.h"

typedef struct {
    const char *node; // endpoints here are "local"
    const char *cluster_cidr, *service_cidr;
    const Core__Service *const *services; // any order
    size_t services_len;
    const Discovery__EndpointSlice *const *slices; // any order
    size_t slices_len;
} proxy_objects_t;

// An endpoint gets traffic when it is ready; when none of a port is, those that still serve while
// they terminate do (KEP-1669). Services without a cluster IP ("None") and of type ExternalName
// have no rules. Memory is the arena's; strings may be the objects' own.
void proxy_view(const proxy_objects_t *objects, arena_t *arena, proxy_view_t *ret_view);
