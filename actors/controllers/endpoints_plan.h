// endpoints_plan - which addresses serve a Service: its Endpoints and its EndpointSlices.
//
// Pure. A pod counts while it has an address and has not ended. In a slice it is ready (and not
// leaving), serving (ready, leaving or not) and terminating; in Endpoints a leaving pod is not
// listed. A named target port may mean another number in each pod: pods are grouped by what their
// ports come to. Changes are as small as can be: an endpoint stays in its slice.
#pragma once
#include "k8s/core_v1.pb-c.h"
#include "k8s/discovery_v1.pb-c.h"
#include "runtime/base/arena.h"
#include "runtime/base/text.h"

enum {
    SLICE_ENDPOINTS_MAX = 100,      // as Kubernetes' default
    ENDPOINTS_ADDRESSES_MAX = 1000, // of an Endpoints object; the rest is cut and said
};

typedef struct {
    const char *namespace_, *name; // of the service
    const Core__Service *service;  // NULL: gone
    const Core__Pod *const *pods;  // of its namespace, sorted by name; those it does not select too
    size_t pods_len;
    const Core__Endpoints *endpoints;              // NULL: none
    const Discovery__EndpointSlice *const *slices; // those this controller manages, sorted by name
    size_t slices_len;
} endpoints_view_t;

typedef enum { ENDPOINTS_CREATE, ENDPOINTS_UPDATE, ENDPOINTS_DELETE } endpoints_verb_t;
typedef struct {
    endpoints_verb_t verb;
    const ProtobufCMessage
        *object; // Endpoints or EndpointSlice; whole, with the revision it is based on
} endpoints_action_t;
typedef struct {
    endpoints_action_t *actions;
    size_t actions_len;
} endpoints_plan_t;

void endpoints_plan(const endpoints_view_t *view, arena_t *arena, endpoints_plan_t *ret_plan);
void endpoints_plan_print(const endpoints_plan_t *plan, text_t *out);

bool service_selects(const Core__Service *service, const ProtobufCMessage *pod);
// Would these two states of a pod give the same endpoints?
bool endpoints_pods_alike(const Core__Pod *a, const Core__Pod *b);
