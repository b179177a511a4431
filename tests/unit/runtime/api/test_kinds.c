// kinds - the table, what every object has, and the stored form.
#include "k8s/apps_v1.pb-c.h"
#include "k8s/apps_v1beta1.pb-c.h"
#include "k8s/core_v1.pb-c.h"
#include "k8s/extensions_v1beta1.pb-c.h"
#include "runtime/api/kinds.h"
#include "support/leaks.h"

Test(kinds, a_typed_name_finds_its_row)
{
    static const struct {
        const char *typed, *group, *version, *name;
    } rows[] = {
        {"pods", "", "v1", "Pod"},
        {"pod", "", "v1", "Pod"},
        {"po", "", "v1", "Pod"},
        {"Pod", "", "v1", "Pod"},
        {"deployments.", "apps", "v1", "Deployment"},
        {"deploy", "apps", "v1", "Deployment"},
        {"deployments.apps", "apps", "v1", "Deployment"},
        {"deployments.v1.apps", "apps", "v1", "Deployment"},
        {"deployments.v1beta2.apps", "apps", "v1beta2", "Deployment"},
        {"deployment.extensions", "extensions", "v1beta1", "Deployment"},
        {"svc", "", "v1", "Service"},
        {"services.v1.", "", "v1", "Service"},
        {"rs", "apps", "v1", "ReplicaSet"},
        {"leases", "coordination.k8s.io", "v1", "Lease"},
        {"endpointslices.discovery.k8s.io", "discovery.k8s.io", "v1", "EndpointSlice"},
        {"ep", "", "v1", "Endpoints"},
        {"actors", "actors.troupe.io", "v1", "Actor"},
        {"configmap", "", "v1", "ConfigMap"},
    };
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        const kind_t *k = kind_by_typed_name(rows[i].typed);
        cr_assert_not_null(k, "%s", rows[i].typed);
        cr_assert_eq(k, kind_find(rows[i].group, rows[i].version, rows[i].name), "%s",
                     rows[i].typed);
    }
    static const char *const strangers[] = {"",        ".",         "podz",   "deployments.batch",
                                            "o",       "pods.apps", "scales", "status",
                                            "bindings"};
    for (size_t i = 0; i < LENGTH_OF(strangers); i++)
        cr_assert_null(kind_by_typed_name(strangers[i]), "%s", strangers[i]);
    cr_assert_null(kind_by_typed_name(NULL));
    ASSERT_NO_LEAKS();
}

Test(kinds, every_row_is_whole)
{
    for (size_t i = 0; kind_at(i); i++) {
        const kind_t *k = kind_at(i);
        arena_t arena = {0};
        cr_assert(k->type && k->list_type && k->plural && k->singular && k->verbs, "%s", k->name);
        cr_assert_eq(kind_find(k->group, k->version, k->name), k);
        cr_assert_eq(kind_by_plural(k->group, k->version, k->plural), k);
        cr_assert_eq(kind_by_api_version(kind_api_version(&arena, k), k->name), k);
        cr_assert_eq(!k->stored_as, !k->to_stored && !k->from_stored, "%s", k->name);
        // A list is metadata and items of this very type.
        cr_assert_eq(k->list_type->n_fields, 2);
        cr_assert_eq(k->list_type->fields[1].descriptor, k->type, "%s", k->name);
        cr_assert_eq(k->type->fields[0].descriptor, &meta__object_meta__descriptor);
        arena_done(&arena);
    }
    cr_assert_null(kind_by_api_version("apps/v1/v2", "Deployment"));
    cr_assert_null(kind_by_api_version("app/v1", "Deployment"));
    cr_assert_not_null(kind_by_api_version("v1", "Status"));
    cr_assert_not_null(kind_by_api_version("autoscaling/v1", "Scale"));
    ASSERT_NO_LEAKS();
}

Test(kinds, qualified_names_carry_the_group)
{
    arena_t arena = {0};
    const kind_t *old = kind_find("extensions", "v1beta1", "Deployment");
    cr_assert_str_eq(kind_qualified_plural(&arena, old), "deployments.extensions");
    cr_assert_str_eq(kind_qualified_singular(&arena, old), "deployment.extensions");
    cr_assert_eq(kind_stored(old), kind_find("apps", "v1", "Deployment"));
    cr_assert_str_eq(kind_qualified_plural(&arena, kind_find("", "v1", "Pod")), "pods");
    cr_assert(kind_has_word("all api-extensions", "all"));
    cr_assert_not(kind_has_word("all api-extensions", "api"));
    cr_assert_not(kind_has_word(NULL, "x"));
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

Test(kinds, labels_stay_sorted_and_unique)
{
    arena_t arena = {0};
    Core__Pod *pod = MSG_NEW(&arena, Core__Pod, core__pod__descriptor);
    cr_assert_null(object_label(&pod->base, "a"));
    object_set_label(&arena, &pod->base, "b", "2");
    object_set_label(&arena, &pod->base, "c", "3");
    object_set_label(&arena, &pod->base, "a", "1");
    object_set_label(&arena, &pod->base, "b", "two");
    object_set_label(&arena, &pod->base, "c", NULL);
    object_set_label(&arena, &pod->base, "never", NULL);
    object_set_annotation(&arena, &pod->base, "note", "");
    cr_assert_eq(pod->metadata->n_labels, 2);
    cr_assert_str_eq(pod->metadata->labels[0]->key, "a");
    cr_assert_str_eq(object_label(&pod->base, "b"), "two");
    cr_assert_null(object_label(&pod->base, "c"));
    cr_assert_str_eq(object_annotation(&pod->base, "note"), "");
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

Test(kinds, times_keep_whole_seconds)
{
    arena_t arena = {0};
    cr_assert_eq(time_wall_ms(time_new(&arena, 1700000000999)), 1700000000000);
    cr_assert_eq(time_wall_ms(NULL), 0);
    cr_assert_eq(microtime_wall_ms(microtime_new(&arena, 1700000000999)), 1700000000999);
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

Test(kinds, the_stored_form_is_kubernetes_own)
{
    arena_t arena = {0};
    Core__Namespace *ns = MSG_NEW(&arena, Core__Namespace, core__namespace__descriptor);
    object_meta(&arena, &ns->base)->name = "x";
    blob_t *blob = object_encode_stored(&ns->base);
    static const uint8_t want[] =
        "k8s\0\x0a\x0f\x0a\x02v1\x12\x09Namespace\x12\x05\x0a\x03\x0a\x01x"
        "\x1a\0\x22";
    cr_assert_eq(blob->len, sizeof want); // the literal's own NUL is the last byte
    cr_assert_arr_eq(blob->at, want, sizeof want);

    const kind_t *k = kind_find("", "v1", "Namespace");
    Core__Namespace *back = object_decode_stored(&arena, k, blob_bytes(blob));
    cr_assert_str_eq(back->metadata->name, "x");
    cr_assert_null(object_decode_stored(&arena, kind_find("", "v1", "Node"), blob_bytes(blob)));
    cr_assert_eq(object_stored_packed(blob_bytes(blob)).len, 5);
    for (size_t len = 0; len < blob->len - 4; len++)
        cr_assert_null(object_decode_stored(&arena, k, (bytes_t){blob->at, len}), "%zu", len);
    blob_unref(&blob);
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

// Does `old` name each field that `now` also has by the same number and type? This is what makes
// conversion by repacking right.
static void same_numbers(const ProtobufCMessageDescriptor *old,
                         const ProtobufCMessageDescriptor *now, int depth) {
    if (old == now || depth > 8) return;
    for (unsigned i = 0; i < now->n_fields; i++) {
        const ProtobufCFieldDescriptor *a = &now->fields[i];
        const ProtobufCFieldDescriptor *b =
            protobuf_c_message_descriptor_get_field_by_name(old, a->name);
        if (!b) continue;
        cr_assert_eq(a->id, b->id, "%s.%s", old->name, a->name);
        cr_assert_eq(a->type, b->type, "%s.%s", old->name, a->name);
        if (a->type == PROTOBUF_C_TYPE_MESSAGE)
            same_numbers(b->descriptor, a->descriptor, depth + 1);
    }
    for (unsigned i = 0; i < old->n_fields; i++) {
        const char *name = old->fields[i].name;
        if (!protobuf_c_message_descriptor_get_field_by_name(now, name))
            cr_assert_str_eq(name, "rollbackTo", "%s.%s", old->name, name);
    }
}

Test(kinds, old_versions_have_the_numbers_of_the_stored_one)
{
    for (size_t i = 0; kind_at(i); i++)
        if (kind_at(i)->stored_as) same_numbers(kind_at(i)->type, kind_at(i)->stored_as->type, 0);
    ASSERT_NO_LEAKS();
}

Test(kinds, an_old_deployment_goes_to_apps_v1_and_back)
{
    arena_t arena = {0};
    const kind_t *k = kind_find("extensions", "v1beta1", "Deployment");
    ExtensionsV1beta1__Deployment *old =
        MSG_NEW(&arena, ExtensionsV1beta1__Deployment, extensions_v1beta1__deployment__descriptor);
    object_meta(&arena, &old->base)->name = "web";
    old->spec = MSG_NEW(&arena, ExtensionsV1beta1__DeploymentSpec,
                        extensions_v1beta1__deployment_spec__descriptor);
    old->spec->has_replicas = true;
    old->spec->replicas = 3;
    old->spec->rollbackto = MSG_NEW(&arena, ExtensionsV1beta1__RollbackConfig,
                                    extensions_v1beta1__rollback_config__descriptor);
    old->spec->rollbackto->has_revision = true;
    old->spec->rollbackto->revision = 7;

    Apps__Deployment *now = (Apps__Deployment *)k->to_stored(&arena, &old->base);
    cr_assert_eq(now->base.descriptor, &apps__deployment__descriptor);
    cr_assert_eq(now->spec->replicas, 3);
    cr_assert_eq(now->spec->base.n_unknown_fields, 0);
    cr_assert_str_eq(object_annotation(&now->base, "deprecated.deployment.rollback.to"), "7");

    ProtobufCMessage *back = k->from_stored(&arena, &now->base);
    cr_assert(msg_equal(back, &old->base));
    // The version between them is the same on the wire.
    const kind_t *between = kind_find("apps", "v1beta1", "Deployment");
    ProtobufCMessage *other = between->from_stored(&arena, &now->base);
    cr_assert_eq(other->descriptor, &apps_v1beta1__deployment__descriptor);
    cr_assert_eq(((AppsV1beta1__Deployment *)other)->spec->rollbackto->revision, 7);
    cr_assert(msg_equal(between->to_stored(&arena, other), &now->base));
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}
