// endpoints - keeps the Endpoints and EndpointSlices of each Service. A key is the service's
// "ns/name".
#include "actors/controllers/endpoints_plan.h"
#include "actors/controllers/rows.h"

static bool is_managed(const record_t *slice) {
    const char *by = object_label(slice->object, "endpointslice.kubernetes.io/managed-by");
    return by && streq(by, "endpointslice-controller.k8s.io");
}

static void on_service(void *arg, const record_t *was, const record_t *is) {
    controller_touch_record(arg, is ? is : was);
}

static void touch_services(controller_t *c, const record_t *pod) {
    records_t services =
        informer_by(controller_follow(c, FOLLOWED_SERVICES), INDEX_NAMESPACE, pod->namespace_);
    for (size_t i = 0; i < services.len; i++)
        if (service_selects(RECORD_AS(Core__Service, services.at[i]), pod->object))
            controller_touch_record(c, services.at[i]);
}

static void on_pod(void *arg, const record_t *was, const record_t *is) {
    if (was && is && endpoints_pods_alike(RECORD_AS(Core__Pod, was), RECORD_AS(Core__Pod, is)))
        return;
    if (was) touch_services(arg, was);
    if (is) touch_services(arg, is);
}

static void on_endpoints(void *arg, const record_t *was, const record_t *is) {
    controller_touch_record(arg, is ? is : was);
}

static void on_slice(void *arg, const record_t *was, const record_t *is) {
    const char *keys[INDEX_KEYS_MAX];
    const record_t *r = is ? is : was;
    if (is_managed(r) && index_by_service_name(r->object, keys)) controller_touch(arg, keys[0]);
}

static void start(controller_t *c) {
    informer_subscribe(controller_follow(c, FOLLOWED_SERVICES), on_service, c);
    informer_subscribe(controller_follow(c, FOLLOWED_PODS), on_pod, c);
    informer_subscribe(controller_follow(c, FOLLOWED_ENDPOINTS), on_endpoints, c);
    informer_subscribe(controller_follow(c, FOLLOWED_ENDPOINT_SLICES), on_slice, c);
}

static void perform(controller_t *c, const endpoints_action_t *a) {
    bool is_slice = a->object->descriptor == &discovery__endpoint_slice__descriptor;
    const kind_t *kind = followed_kind(is_slice ? FOLLOWED_ENDPOINT_SLICES : FOLLOWED_ENDPOINTS);
    const Meta__ObjectMeta *meta = object_meta_read(a->object);
    switch (a->verb) {
    case ENDPOINTS_CREATE: controller_create(c, kind, a->object); break;
    case ENDPOINTS_UPDATE: controller_update(c, kind, NULL, a->object); break;
    case ENDPOINTS_DELETE:
        controller_delete(c, kind, meta->namespace_, meta->name,
                          &(api_delete_options_t){.uid = meta->uid});
        break;
    }
}

// Endpoints whose service is gone are removed only if they were this controller's: people may write
// their own.
static bool is_ours(const record_t *endpoints) {
    const char *by = object_label(endpoints->object, "endpoints.kubernetes.io/managed-by");
    return by && streq(by, "endpoint-controller");
}

static void sync(controller_t *c, const char *key) {
    arena_t *arena = controller_arena(c);
    const char *slash = strchr(key, '/');
    assert(slash);
    endpoints_view_t view = {.namespace_ = arena_strndup(arena, key, (size_t)(slash - key)),
                             .name = arena_strdup(arena, slash + 1)};
    const record_t *service = informer_get_key(controller_follow(c, FOLLOWED_SERVICES), key);
    const record_t *endpoints = informer_get_key(controller_follow(c, FOLLOWED_ENDPOINTS), key);
    if (service) view.service = RECORD_AS(Core__Service, service);
    if (endpoints && (service || is_ours(endpoints)))
        view.endpoints = RECORD_AS(Core__Endpoints, endpoints);
    records_t pods =
        informer_by(controller_follow(c, FOLLOWED_PODS), INDEX_NAMESPACE, view.namespace_);
    const Core__Pod **list = ARENA_ARRAY(arena, const Core__Pod *, pods.len + 1);
    for (size_t i = 0; service && i < pods.len; i++)
        list[view.pods_len++] = RECORD_AS(Core__Pod, pods.at[i]);
    view.pods = list;
    records_t slices =
        informer_by(controller_follow(c, FOLLOWED_ENDPOINT_SLICES), INDEX_SERVICE, key);
    const Discovery__EndpointSlice **managed =
        ARENA_ARRAY(arena, const Discovery__EndpointSlice *, slices.len + 1);
    for (size_t i = 0; i < slices.len; i++)
        if (is_managed(slices.at[i]))
            managed[view.slices_len++] = RECORD_AS(Discovery__EndpointSlice, slices.at[i]);
    view.slices = managed;
    endpoints_plan_t plan;
    endpoints_plan(&view, arena, &plan);
    for (size_t i = 0; i < plan.actions_len; i++) perform(c, &plan.actions[i]);
}

static void outcome(controller_t *c, const write_t *w, const ProtobufCMessage *obj,
                    const api_failure_t *failure) {
    const record_t *service = informer_get_key(controller_follow(c, FOLLOWED_SERVICES), w->key);
    bool is_slice = w->kind == followed_kind(FOLLOWED_ENDPOINT_SLICES);
    // Collisions and conflicts are part of the work: the next sync sees what stands there.
    if (!service || !failure || failure->is_unknown || failure->err == ERR_CONFLICT ||
        failure->err == ERR_EXISTS || failure->err == ERR_NOT_FOUND)
        return;
    const kind_t *kind = followed_kind(FOLLOWED_SERVICES);
    const char *reason = is_slice                  ? "FailedToUpdateEndpointSlices"
                         : w->verb == WRITE_CREATE ? "FailedToCreateEndpoint"
                                                   : "FailedToUpdateEndpoint";
    const char *what = is_slice                  ? "Error updating Endpoint Slices for Service"
                       : w->verb == WRITE_CREATE ? "Failed to create endpoint for service"
                                                 : "Failed to update endpoint";
    controller_event(c, kind, service->object, EVENT_WARNING, reason, "%s %s: %s", what, w->key,
                     failure->why);
}

const controller_def_t endpoints_controller = {
    .name = "endpoint-slice-controller",
    .needs = NEEDS(SERVICES) | NEEDS(PODS) | NEEDS(ENDPOINTS) | NEEDS(ENDPOINT_SLICES),
    .start = start,
    .sync = sync,
    .outcome = outcome,
};
