// Messages by descriptor: canonical bytes, copies, equality, and what strangers send.
#include "k8s/apps_v1.pb-c.h"
#include "k8s/core_v1.pb-c.h"
#include "runtime/api/fields.h"
#include "runtime/api/msg.h"
#include "support/leaks.h"
#include "troupe/api.pb-c.h"

static Core__Pod *pod_new(arena_t *a) {
    Core__Pod *pod = MSG_NEW(a, Core__Pod, core__pod__descriptor);
    pod->metadata = MSG_NEW(a, Meta__ObjectMeta, meta__object_meta__descriptor);
    pod->metadata->name = "web-0";
    static const char *const KEYS[] = {"tier", "app", "zone"};
    pod->metadata->labels = ARENA_ARRAY(a, Meta__ObjectMeta__LabelsEntry *, 3);
    pod->metadata->n_labels = 3;
    for (size_t i = 0; i < 3; i++) {
        pod->metadata->labels[i] =
            MSG_NEW(a, Meta__ObjectMeta__LabelsEntry, meta__object_meta__labels_entry__descriptor);
        pod->metadata->labels[i]->key = KEYS[i];
        pod->metadata->labels[i]->value = "v";
    }
    pod->spec = MSG_NEW(a, Core__PodSpec, core__pod_spec__descriptor);
    pod->spec->containers = ARENA_ARRAY(a, Core__Container *, 1);
    pod->spec->n_containers = 1;
    Core__Container *c = pod->spec->containers[0] =
        MSG_NEW(a, Core__Container, core__container__descriptor);
    c->name = "c";
    c->image = "nginx";
    pod->spec->has_terminationgraceperiodseconds = true; // a pointer in Go: zero is a value
    return pod;
}

Test(msg, every_row_of_the_side_table_fits_its_descriptor)
{
    for (int i = 0; i < api_types_len(); i++) {
        const api_type_t *t = api_type_at(i);
        cr_assert_eq(api_type_of(t->descriptor), t, "%s", t->descriptor->name);
        for (size_t k = 0; k < t->len; k++) {
            const api_field_t *row = &api_fields(t)[k];
            const ProtobufCMessageDescriptor *d = t->descriptor;
            for (int v = 0; v < 2 && row->via[v]; v++) {
                cr_assert_lt(row->via[v] - 1, (int)d->n_fields);
                d = d->fields[row->via[v] - 1].descriptor;
            }
            cr_assert_lt(row->at, d->n_fields);
            const ProtobufCFieldDescriptor *f = &d->fields[row->at];
            if (f->type == PROTOBUF_C_TYPE_MESSAGE && !(row->flags & API_MAP))
                cr_assert_eq(api_type_at(row->type)->descriptor, f->descriptor, "%s.%s", d->name,
                             f->name);
            if (!strcasecmp(f->name, row->json)) continue;
            cr_assert(has_prefix(d->name, "k8s.io.api.") || !*row->json, "%s %s", f->name,
                      row->json);
        }
        for (size_t k = 1; k < t->len; k++)
            cr_assert_lt(strcmp(api_field_sorted(t, k - 1)->json, api_field_sorted(t, k)->json), 0);
        for (size_t k = 0; k < t->len; k++) {
            const api_field_t *row = &api_fields(t)[k];
            cr_assert_eq(api_field_find(t, row->json, row->json_len, k + 1), row);
        }
    }
    ASSERT_NO_LEAKS();
}

Test(msg, packs_the_same_object_to_the_same_bytes)
{
    arena_t a = {0};
    Core__Pod *one = pod_new(&a), *two = pod_new(&a);
    Meta__ObjectMeta__LabelsEntry *first = two->metadata->labels[0];
    two->metadata->labels[0] = two->metadata->labels[2];
    two->metadata->labels[2] = first;
    two->metadata->generatename = "";  // empty is unset
    two->spec->has_hostnetwork = true; // false of a plain bool is unset
    two->status = MSG_NEW(&a, Core__PodStatus, core__pod_status__descriptor); // an empty struct too
    bytes_t x = msg_pack(&a, &one->base), y = msg_pack(&a, &two->base);
    cr_assert(bytes_eq(x, y));
    cr_assert_eq(x.len, msg_packed_size(&one->base));
    cr_assert(msg_equal(&one->base, &two->base));
    two->spec->has_terminationgraceperiodseconds = false;
    cr_assert_not(msg_equal(&one->base, &two->base));
    cr_assert_not(bytes_eq(x, msg_pack(&a, &two->base)));

    Core__Pod *back = msg_unpack_own(&a, &core__pod__descriptor, x);
    cr_assert_str_eq(back->metadata->labels[0]->key, "app");
    cr_assert(msg_equal(&one->base, &back->base));
    arena_done(&a);
    ASSERT_NO_LEAKS();
}

Test(msg, of_a_key_given_twice_the_last_one_stays)
{
    enum { COUNT = 200 };
    arena_t a = {0};
    Core__ConfigMap *map = MSG_NEW(&a, Core__ConfigMap, core__config_map__descriptor);
    map->data = ARENA_ARRAY(&a, Core__ConfigMap__DataEntry *, COUNT);
    map->n_data = COUNT;
    for (int i = 0; i < COUNT; i++) {
        map->data[i] =
            MSG_NEW(&a, Core__ConfigMap__DataEntry, core__config_map__data_entry__descriptor);
        map->data[i]->key = arena_printf(&a, "k%03d", (COUNT - i) % 50);
        map->data[i]->value = arena_printf(&a, "%d", i);
    }
    Core__ConfigMap *back =
        msg_unpack_own(&a, &core__config_map__descriptor, msg_pack(&a, &map->base));
    cr_assert_eq(back->n_data, 50);
    for (int k = 0; k < 50; k++) {
        cr_assert_str_eq(back->data[k]->key, arena_printf(&a, "k%03d", k));
        cr_assert_str_eq(back->data[k]->value, arena_printf(&a, "%d", k ? COUNT - k : 150));
    }
    arena_done(&a);
    ASSERT_NO_LEAKS();
}

Test(msg, a_pointer_to_an_empty_struct_differs_from_none)
{
    arena_t a = {0};
    Core__VolumeSource *v = MSG_NEW(&a, Core__VolumeSource, core__volume_source__descriptor),
                       *none = msg_dup(&a, &v->base);
    v->emptydir =
        MSG_NEW(&a, Core__EmptyDirVolumeSource, core__empty_dir_volume_source__descriptor);
    cr_assert_not(msg_equal(&v->base, &none->base));
    bytes_t packed = msg_pack(&a, &v->base);
    cr_assert_eq(packed.len, 2);
    Core__VolumeSource *back = msg_unpack_own(&a, &core__volume_source__descriptor, packed);
    cr_assert_not_null(back->emptydir);
    arena_done(&a);
    ASSERT_NO_LEAKS();
}

Test(msg, a_copy_shares_nothing_with_its_original)
{
    arena_t a = {0}, b = {0};
    Core__Pod *pod = pod_new(&a), *copy = msg_dup(&b, &pod->base);
    cr_assert(msg_equal(&pod->base, &copy->base));
    arena_done(&a);
    cr_assert_str_eq(copy->metadata->labels[1]->key, "app");
    cr_assert_str_eq(copy->spec->containers[0]->image, "nginx");
    arena_done(&b);
    ASSERT_NO_LEAKS();
}

Test(msg, proto3_strings_are_never_null)
{
    arena_t a = {0};
    Api__Resource *r = MSG_NEW(&a, Api__Resource, api__resource__descriptor);
    cr_assert_str_eq(r->namespace_, "");
    r->name = "x";
    Api__Resource *copy = msg_dup(&a, &r->base);
    cr_assert_str_eq(copy->plural, "");
    cr_assert_eq(msg_packed_size(&r->base), 3);
    cr_assert(msg_equal(&r->base, &copy->base));
    arena_done(&a);
    ASSERT_NO_LEAKS();
}

Test(msg, texts_are_found_by_path)
{
    arena_t a = {0};
    Core__Pod *pod = pod_new(&a);
    pod->metadata->labels[1]->key = "app.kubernetes.io/name";
    static const struct {
        const char *path, *text;
    } ROWS[] = {
        {"metadata.name", "web-0"},
        {"metadata.namespace", NULL},
        {"spec.containers[0].image", "nginx"},
        {"spec.containers[1].image", NULL},
        {"spec.containers", NULL},
        {"spec.terminationGracePeriodSeconds", "0"},
        {"metadata.labels.tier", "v"},
        {"metadata.labels['tier']", "v"},
        {"metadata.labels.app.kubernetes.io/name", "v"},
        {"spec.nothing", NULL},
        {"spec.containers[x", NULL},
        {"", NULL},
        {"spec.nodeName", NULL},
    };
    for (size_t i = 0; i < LENGTH_OF(ROWS); i++) {
        const char *text = msg_text_at(&a, &pod->base, ROWS[i].path);
        if (ROWS[i].text)
            cr_expect_str_eq(or_empty(text), ROWS[i].text, "%s", ROWS[i].path);
        else
            cr_expect_null(text, "%s", ROWS[i].path);
    }
    arena_done(&a);
    ASSERT_NO_LEAKS();
}

#define BYTES(text) ((bytes_t){(const uint8_t *)(text), sizeof(text) - 1})

Test(msg, a_stranger_s_bytes_are_scanned_before_they_are_unpacked)
{
    static const struct {
        bytes_t packed;
        err_t err;
        const char *why;
    } ROWS[] = {
        {BYTES("\x0a\x03\x0a\x01x"), ERR_OK, ""},
        {BYTES("\x0a\x05\x0a\x03"
               "a\0b"),
         ERR_MALFORMED, "metadata.name: NUL inside a string"},
        {BYTES("\x0a\x04\x0a\x02\xc3\x28"), ERR_MALFORMED,
         "metadata.name: a string that is not UTF-8"},
        {BYTES("\x0a\x04\x0a\x02\xc0\x80"), ERR_MALFORMED,
         "metadata.name: a string that is not UTF-8"},
        {BYTES("\x0a\x7f\x0a\x01x"), ERR_MALFORMED, "metadata: a length beyond the end"},
        {BYTES("\x08\x01"), ERR_MALFORMED, "metadata: wrong wire type"},
        {BYTES("\x0b"), ERR_MALFORMED, "metadata: wrong wire type"},
        {BYTES("\x00\x01"), ERR_MALFORMED, "a tag that is none"},
        {BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), ERR_MALFORMED,
         "a tag that is none"},
        {BYTES("\xf8\x07\x01"), ERR_OK, ""}, // an unknown number is passed over
        {BYTES("\xfa\x07\x05x"), ERR_MALFORMED, "(unknown field): cut off"},
    };
    arena_t a = {0};
    for (size_t i = 0; i < LENGTH_OF(ROWS); i++) {
        why_t why = {0};
        void *pod = NULL;
        cr_expect_eq(msg_unpack(&a, &core__pod__descriptor, ROWS[i].packed, &pod, &why),
                     ROWS[i].err, "row %zu", i);
        cr_expect_str_eq(why.text, ROWS[i].why, "row %zu", i);
        cr_expect_eq(pod != NULL, ROWS[i].err == ERR_OK);
    }
    arena_done(&a);
    ASSERT_NO_LEAKS();
}

Test(msg, many_tiny_elements_do_not_blow_up_memory)
{
    // Empty containers: 2 bytes each on the wire, some 250 in memory.
    enum { COUNT = 60000 };
    arena_t a = {0};
    uint8_t *spec = mem_new(2 * COUNT + 8);
    for (size_t i = 0; i < COUNT; i++) spec[2 * i] = 0x12, spec[2 * i + 1] = 0;
    void *ret;
    why_t why;
    cr_assert_eq(msg_unpack(&a, &core__pod_spec__descriptor, (bytes_t){spec, 2 * COUNT}, &ret,
                            &why),
                 ERR_TOO_LARGE);
    cr_assert_lt(a.used, (size_t)2 * COUNT * (MSG_ARENA_FACTOR_MAX + 1));
    free(spec);
    arena_done(&a);
    ASSERT_NO_LEAKS();
}
