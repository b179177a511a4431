// Lists as long as a stranger can send them: no kind's work grows with the square of their length.
#include "k8s/core_v1.pb-c.h"
#include "k8s/discovery_v1.pb-c.h"
#include "runtime/api/kinds.h"
#include "runtime/api/kinds/fill.h"
#include "runtime/base/clock.h"
#include "support/leaks.h"

// A tenth of what one message may hold: n × n of it would take longer than we wait, even here.
enum { MANY = MSG_ELEMENTS_MAX / 10, PATIENCE_MS = 5 * 1000 };

static void fill_list(arena_t *arena, void *msg, const char *field, const char *key_field,
                      const char *prefix) {
    const ProtobufCMessage *m = msg;
    const ProtobufCFieldDescriptor *f =
        protobuf_c_message_descriptor_get_field_by_name(m->descriptor, field);
    const ProtobufCMessageDescriptor *type = f->descriptor;
    const ProtobufCFieldDescriptor *key =
        protobuf_c_message_descriptor_get_field_by_name(type, key_field);
    void **at = ARENA_ARRAY(arena, void *, MANY);
    for (int i = 0; i < MANY; i++) {
        at[i] = msg_new(arena, type);
        *(const char **)((char *)at[i] + key->offset) = arena_printf(arena, "%s%06d", prefix, i);
    }
    *(void ***)((char *)msg + f->offset) = at;
    *(size_t *)((char *)msg + f->quantifier_offset) = MANY;
}

// Created, then updated to itself: within our patience.
static void live_through(arena_t *arena, ProtobufCMessage *obj, const char *what) {
    const kind_t *k = kind_of(obj);
    int64_t start_ms = clock_monotonic_ms();
    object_meta(arena, obj)->name = "x";
    object_meta(arena, obj)->namespace_ = "default";
    k->defaults(arena, obj);
    k->prepare_create(arena, obj);
    field_errors_t errors = {.arena = arena};
    k->validate(obj, NULL, &errors);
    ProtobufCMessage *next = msg_dup(arena, obj);
    k->prepare_update(arena, next, obj);
    k->validate(next, obj, &errors);
    cr_assert_lt(clock_monotonic_ms() - start_ms, PATIENCE_MS, "%s", what);
}

static Core__Pod *pod_with_container(arena_t *arena) {
    Core__Pod *pod = MSG_NEW(arena, Core__Pod, core__pod__descriptor);
    pod->spec = MSG_NEW(arena, Core__PodSpec, core__pod_spec__descriptor);
    pod->spec->containers = ARENA_ARRAY(arena, Core__Container *, 1);
    Core__Container *c = MSG_NEW(arena, Core__Container, core__container__descriptor);
    c->name = "c";
    c->image = "i";
    c->resources =
        MSG_NEW(arena, Core__ResourceRequirements, core__resource_requirements__descriptor);
    pod->spec->containers[pod->spec->n_containers++] = c;
    return pod;
}

Test(kinds_large, long_lists_of_a_pod)
{
    static const struct {
        const char *field, *key, *prefix;
    } of_spec[] = {
        {"containers", "name", "c"},
        {"initContainers", "name", "i"},
        {"volumes", "name", "v"},
        {"tolerations", "key", "t"},
        {"schedulingGates", "name", "g"},
        {"nodeSelector", "key", "n"},
        {"topologySpreadConstraints", "topologyKey", "k"},
        {"hostAliases", "ip", "h"},
    };
    for (size_t i = 0; i < LENGTH_OF(of_spec); i++) {
        arena_t arena = {0};
        Core__Pod *pod = pod_with_container(&arena);
        fill_list(&arena, pod->spec, of_spec[i].field, of_spec[i].key, of_spec[i].prefix);
        live_through(&arena, &pod->base, of_spec[i].field);
        arena_done(&arena);
    }
    ASSERT_NO_LEAKS();
}

Test(kinds_large, long_lists_of_a_container)
{
    static const struct {
        const char *field, *key, *prefix;
    } of_container[] = {
        {"ports", "name", "p"},
        {"env", "name", "E"},
        {"volumeMounts", "mountPath", "/m"},
        {"volumeDevices", "devicePath", "/d"},
        {"resizePolicy", "resourceName", "r"},
    };
    for (size_t i = 0; i < LENGTH_OF(of_container); i++) {
        arena_t arena = {0};
        Core__Pod *pod = pod_with_container(&arena);
        fill_list(&arena, pod->spec->containers[0], of_container[i].field, of_container[i].key,
                  of_container[i].prefix);
        live_through(&arena, &pod->base, of_container[i].field);
        arena_done(&arena);
    }
    arena_t arena = {0};
    Core__Pod *pod = pod_with_container(&arena);
    fill_list(&arena, pod->spec->containers[0]->resources, "limits", "key", "l");
    fill_list(&arena, pod->spec->containers[0]->resources, "requests", "key", "r");
    live_through(&arena, &pod->base, "resources");
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

Test(kinds_large, long_lists_of_other_kinds)
{
    static const struct {
        const char *kind, *part, *field, *key, *prefix;
    } rows[] = {
        {"services", "spec", "ports", "name", "p"},
        {"services", "spec", "selector", "key", "s"},
        {"nodes", "spec", "taints", "key", "t"},
        {"nodes", "status", "addresses", "address", "a"},
        {"endpointslices", NULL, "ports", "name", "p"},
        {"endpointslices", NULL, "endpoints", "nodeName", "n"},
        {"configmaps", NULL, "data", "key", "d"},
        {"secrets", NULL, "data", "key", "d"},
        {"pods", "metadata", "labels", "key", "l"},
        {"pods", "metadata", "ownerReferences", "name", "o"},
    };
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        arena_t arena = {0};
        ProtobufCMessage *obj = msg_new(&arena, kind_by_typed_name(rows[i].kind)->type);
        void *part = rows[i].part ? fill_message(&arena, obj, rows[i].part) : obj;
        fill_list(&arena, part, rows[i].field, rows[i].key, rows[i].prefix);
        live_through(&arena, obj, rows[i].field);
        arena_done(&arena);
    }
    ASSERT_NO_LEAKS();
}

// Distinct node ports by the thousand, all to be kept over a PUT that names none.
Test(kinds_large, a_service_keeps_all_its_node_ports)
{
    arena_t arena = {0};
    const kind_t *k = kind_by_typed_name("svc");
    Core__Service *old = MSG_NEW(&arena, Core__Service, core__service__descriptor);
    old->spec = MSG_NEW(&arena, Core__ServiceSpec, core__service_spec__descriptor);
    old->spec->type = "NodePort";
    fill_list(&arena, old->spec, "ports", "name", "p");
    for (int i = 0; i < MANY; i++) {
        SET_NUM(old->spec->ports[i], port, i + 1);
        SET_NUM(old->spec->ports[i], nodeport, i + 1);
    }
    k->defaults(&arena, &old->base);
    Core__Service *next = msg_dup(&arena, &old->base);
    for (int i = 0; i < MANY; i++) next->spec->ports[i]->nodeport = 0;
    int64_t start_ms = clock_monotonic_ms();
    k->prepare_update(&arena, &next->base, &old->base);
    cr_assert_lt(clock_monotonic_ms() - start_ms, PATIENCE_MS);
    for (int i = 0; i < MANY; i++) cr_assert_eq(next->spec->ports[i]->nodeport, i + 1);
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

// An old Deployment takes a template's labels, however many.
Test(kinds_large, labels_of_a_template_are_taken_at_once)
{
    arena_t arena = {0};
    const kind_t *k = kind_by_typed_name("deployments.extensions");
    ProtobufCMessage *obj = msg_new(&arena, k->type);
    void *template = fill_message(&arena, fill_message(&arena, obj, "spec"), "template");
    fill_list(&arena, fill_message(&arena, template, "metadata"), "labels", "key", "l");
    int64_t start_ms = clock_monotonic_ms();
    k->defaults(&arena, obj);
    cr_assert_lt(clock_monotonic_ms() - start_ms, PATIENCE_MS);
    cr_assert_eq(object_meta(&arena, obj)->n_labels, MANY);
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}
