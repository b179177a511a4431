// Decisions on requests, as text: what is compared, what is written.
#include "actors/apiserver/request.h"
#include "runtime/api/codec.h"
#include "tests/support/leaks.h"

typedef struct {
    arena_t arena;
    allocs_t allocs;
    world_t world;
    present_t present;
} table_t;

static void table_init(table_t *t) {
    *t = (table_t){.world = {.now_wall_ms = 1767225600000,
                             .ns = {true, false, 3},
                             .not_ready_toleration_s = 300,
                             .unreachable_toleration_s = 300,
                             .event_lease = 9}};
    why_t why;
    cr_assert_eq(alloc_ranges_parse("10.96.0.0/16", "30000-32767", &t->world.ranges, &why), ERR_OK);
    t->world.allocs = &t->allocs;
}

static void table_done(table_t *t) {
    allocs_done(&t->allocs);
    arena_done(&t->arena);
}

static ProtobufCMessage *object(table_t *t, const char *text, const kind_t **ret_kind) {
    why_t why;
    manifests_t all;
    cr_assert_eq(manifests_read(&t->arena, "test", text, strlen(text), false, &all, &why), ERR_OK,
                 "%s", why.text);
    *ret_kind = all.at[0].kind;
    return all.at[0].obj;
}

// The stored state, as of revision 7.
static void present(table_t *t, const char *text) {
    const kind_t *k;
    t->present = (present_t){.exists = true, .revision = 7, .obj = object(t, text, &k)};
    object_meta(&t->arena, t->present.obj)->resourceversion = "7";
}

static Api__Resource resource_of(const kind_t *k, const ProtobufCMessage *obj, const char *sub) {
    Api__Resource r = API__RESOURCE__INIT;
    r.group = (char *)k->group;
    r.version = (char *)k->version;
    r.plural = (char *)k->plural;
    r.namespace_ = k->namespaced ? "default" : "";
    r.name = (char *)object_meta_read(obj)->name;
    r.subresource = (char *)sub;
    return r;
}

static const char *decide(table_t *t, const ProtobufCMessage *body) {
    identity_t who = rights_identify(&t->arena, "cli/x", NULL);
    request_t r;
    text_t out = {.arena = &t->arena};
    Meta__Status *status = request_read(&t->arena, body, &who, &r);
    r.seed = 1;
    if (!status) status = request_name(&t->arena, &r);
    if (status) return status->message;
    decision_t d = {0};
    request_decide(&t->arena, &r, &t->present, &t->world, &d);
    decision_print(&d, &out);
    blob_unref(&d.value);
    return text_str(&out);
}

static const char *create(table_t *t, const char *text) {
    const kind_t *k;
    const ProtobufCMessage *obj = object(t, text, &k);
    Api__Resource resource = resource_of(k, obj, "");
    bytes_t packed = msg_pack(&t->arena, obj);
    Api__Create create_it = API__CREATE__INIT;
    create_it.resource = &resource;
    create_it.object = (ProtobufCBinaryData){packed.len, (uint8_t *)packed.at};
    return decide(t, &create_it.base);
}

static const char *update(table_t *t, const char *text, const char *sub) {
    const kind_t *k;
    const ProtobufCMessage *obj = object(t, text, &k);
    Api__Resource resource = resource_of(k, obj, sub);
    bytes_t packed = msg_pack(&t->arena, obj);
    Api__Update update_it = API__UPDATE__INIT;
    update_it.resource = &resource;
    update_it.object = (ProtobufCBinaryData){packed.len, (uint8_t *)packed.at};
    return decide(t, &update_it.base);
}

static const char *delete_it(table_t *t, const char *text) {
    const kind_t *k;
    const ProtobufCMessage *obj = object(t, text, &k);
    Api__Resource resource = resource_of(k, obj, "");
    Api__Delete delete = API__DELETE__INIT;
    delete.resource = &resource;
    return decide(t, &delete.base);
}

#define MAP(data)                                                                                \
    "{kind: ConfigMap, apiVersion: v1, metadata: {name: m, namespace: default}, data: {k: " data \
    "}}"
#define SERVICE(rest) \
    "{kind: Service, apiVersion: v1, metadata: {name: s, namespace: default}, spec: {" rest "}}"

Test(request, a_create_compares_that_nothing_stands_there_and_the_namespace_lives)
{
    table_t t;
    table_init(&t);
    cr_expect_str_eq(create(&t, MAP("v")), "write CREATED\n"
                                           "  if version of /registry/configmaps/default/m is 0\n"
                                           "  if revision of /registry/namespaces/default is 3\n"
                                           "  put /registry/configmaps/default/m\n");
    cr_expect_str_eq(create(&t, "{kind: Node, apiVersion: v1, metadata: {name: n1}}"),
                     "write CREATED\n"
                     "  if version of /registry/nodes/n1 is 0\n"
                     "  put /registry/nodes/n1\n");
    table_done(&t);
    ASSERT_NO_LEAKS();
}

Test(request, an_event_is_put_under_the_lease_that_ends_it)
{
    table_t t;
    table_init(&t);
    cr_expect_str_eq(
        create(&t, "{kind: Event, apiVersion: v1, metadata: {name: e, namespace: default}, "
                   "involvedObject: {namespace: default}}"),
        "write CREATED\n"
        "  if version of /registry/events/default/e is 0\n"
        "  if revision of /registry/namespaces/default is 3\n"
        "  put /registry/events/default/e lease 9\n");
    table_done(&t);
    ASSERT_NO_LEAKS();
}

Test(request, a_service_takes_its_addresses_in_the_same_transaction)
{
    table_t t;
    table_init(&t);
    const char *text =
        SERVICE("type: NodePort, clusterIP: 10.96.0.9, ports: [{port: 80, nodePort: 30001}]");
    cr_expect_str_eq(create(&t, text), "write CREATED\n"
                                       "  if version of /registry/services/default/s is 0\n"
                                       "  if revision of /registry/namespaces/default is 3\n"
                                       "  if version of /troupe/alloc/ip/10.96.0.9 is 0\n"
                                       "  if version of /troupe/alloc/port/30001 is 0\n"
                                       "  put /troupe/alloc/ip/10.96.0.9\n"
                                       "  put /troupe/alloc/port/30001\n"
                                       "  put /registry/services/default/s\n");
    present(&t, text);
    cr_expect_str_eq(delete_it(&t, text), "write DELETED\n"
                                          "  if revision of /registry/services/default/s is 7\n"
                                          "  delete /troupe/alloc/ip/10.96.0.9\n"
                                          "  delete /troupe/alloc/port/30001\n"
                                          "  delete /registry/services/default/s\n");
    table_done(&t);
    ASSERT_NO_LEAKS();
}

Test(request, an_update_compares_the_revision_it_was_made_from)
{
    table_t t;
    table_init(&t);
    present(&t, MAP("v"));
    cr_expect_str_eq(update(&t, MAP("w"), ""),
                     "write CONFIGURED\n"
                     "  if revision of /registry/configmaps/default/m is 7\n"
                     "  put /registry/configmaps/default/m\n");
    cr_expect_str_eq(update(&t, MAP("v"), ""), "reply UNCHANGED\n");
    cr_expect_str_eq(update(&t, MAP("v"), "status"),
                     "the server could not find the requested resource");
    table_done(&t);
    ASSERT_NO_LEAKS();
}

Test(request, the_same_request_on_the_same_present_gives_the_same_bytes)
{
    table_t t;
    table_init(&t);
    const char *text = SERVICE("type: NodePort, ports: [{port: 80}]");
    const char *first = create(&t, text);
    for (int i = 0; i < 5; i++) cr_expect_str_eq(create(&t, text), first);
    table_done(&t);
    ASSERT_NO_LEAKS();
}
