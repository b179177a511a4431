// A container's environment: what a pod and the services of its namespace make of it.
#include "actors/kubelet/pod_env.h"
#include "runtime/api/msg.h"
#include "support/leaks.h"
#include "tests/support/valid.h"
#include "troupe/api.pb-c.h"

typedef struct {
    arena_t arena;
    Core__Pod *pod;
    const Core__Service *master; // default/kubernetes
    Api__ListReply services;
} world_t;

static Core__Service *service(world_t *w, const char *name, const char *spec) {
    return (Core__Service *)valid_object(
        &w->arena, arena_printf(&w->arena,
                                "{apiVersion: v1, kind: Service, metadata: {name: %s, namespace: "
                                "default}, spec: %s}",
                                name, spec));
}

static void world_open(world_t *w, const char *ns, const char *spec) {
    *w = (world_t){.services = {PROTOBUF_C_MESSAGE_INIT(&api__list_reply__descriptor)}};
    w->pod = (Core__Pod *)valid_object(
        &w->arena,
        arena_printf(&w->arena,
                     "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: %s}, spec: %s}",
                     ns, spec));
    w->master =
        service(w, "kubernetes", "{clusterIP: 10.96.0.1, ports: [{name: https, port: 443}]}");
}

static void world_serve(world_t *w, const Core__Service *service) {
    ProtobufCBinaryData *items =
        ARENA_ARRAY(&w->arena, ProtobufCBinaryData, w->services.n_items + 1);
    for (size_t i = 0; i < w->services.n_items; i++) items[i] = w->services.items[i];
    blob_t *packed = msg_blob(&service->base);
    bytes_t bytes = blob_bytes(packed);
    items[w->services.n_items++] =
        (ProtobufCBinaryData){bytes.len, arena_dup(&w->arena, bytes.at, bytes.len)};
    blob_unref(&packed);
    w->services.items = items;
}

static const void *find(void *arg, object_kind_t kind, const char *name) {
    const world_t *w = arg;
    if (kind == OBJECT_MASTER) return w->master;
    return kind == OBJECT_SERVICES ? &w->services : NULL;
}

// The first container's environment, a line each.
static const char *env_text(world_t *w) {
    env_t env = {.arena = &w->arena};
    why_t why = {0};
    const pod_scene_t scene = {.pod = w->pod, .find = find, .find_arg = w};
    if (pod_env(&scene, w->pod->spec->containers[0], &env, &why))
        return arena_strdup(&w->arena, why.text);
    text_t out = {.arena = &w->arena};
    for (size_t i = 0; i < env.len; i++)
        text_addf(&out, "%s=%s\n", env.at[i]->key, env.at[i]->value);
    return text_str(&out);
}

#define MASTER                                      \
    "KUBERNETES_SERVICE_HOST=10.96.0.1\n"           \
    "KUBERNETES_SERVICE_PORT=443\n"                 \
    "KUBERNETES_SERVICE_PORT_HTTPS=443\n"           \
    "KUBERNETES_PORT=tcp://10.96.0.1:443\n"         \
    "KUBERNETES_PORT_443_TCP=tcp://10.96.0.1:443\n" \
    "KUBERNETES_PORT_443_TCP_PROTO=tcp\n"           \
    "KUBERNETES_PORT_443_TCP_PORT=443\n"            \
    "KUBERNETES_PORT_443_TCP_ADDR=10.96.0.1\n"

Test(pod_env, a_service_is_told_of_in_variables)
{
    world_t w;
    world_open(&w, "test", "{containers: [{name: c, image: i}]}");
    w.master = NULL;
    world_serve(&w, service(&w, "my-web",
                            "{clusterIP: 10.96.0.7, ports: [{name: http-alt, port: 80}, "
                            "{name: dns, port: 53, protocol: UDP}]}"));
    cr_expect_str_eq(env_text(&w), "MY_WEB_SERVICE_HOST=10.96.0.7\n"
                                   "MY_WEB_SERVICE_PORT=80\n"
                                   "MY_WEB_SERVICE_PORT_HTTP_ALT=80\n"
                                   "MY_WEB_SERVICE_PORT_DNS=53\n"
                                   "MY_WEB_PORT=tcp://10.96.0.7:80\n"
                                   "MY_WEB_PORT_80_TCP=tcp://10.96.0.7:80\n"
                                   "MY_WEB_PORT_80_TCP_PROTO=tcp\n"
                                   "MY_WEB_PORT_80_TCP_PORT=80\n"
                                   "MY_WEB_PORT_80_TCP_ADDR=10.96.0.7\n"
                                   "MY_WEB_PORT_53_UDP=udp://10.96.0.7:53\n"
                                   "MY_WEB_PORT_53_UDP_PROTO=udp\n"
                                   "MY_WEB_PORT_53_UDP_PORT=53\n"
                                   "MY_WEB_PORT_53_UDP_ADDR=10.96.0.7\n");
    arena_done(&w.arena);
    ASSERT_NO_LEAKS();
}

Test(pod_env, a_service_without_an_address_is_not_told_of)
{
    world_t w;
    world_open(&w, "test", "{containers: [{name: c, image: i}]}");
    world_serve(&w, service(&w, "headless", "{clusterIP: None, ports: [{port: 80}]}"));
    world_serve(&w, service(&w, "away", "{type: ExternalName, externalName: example.org}"));
    cr_expect_str_eq(env_text(&w), MASTER);
    arena_done(&w.arena);
    ASSERT_NO_LEAKS();
}

Test(pod_env, the_namespaces_own_kubernetes_takes_the_masters_place)
{
    world_t w;
    world_open(&w, "test", "{containers: [{name: c, image: i}]}");
    world_serve(&w, service(&w, "kubernetes", "{clusterIP: None, ports: [{port: 80}]}"));
    cr_expect_str_eq(env_text(&w), "");
    arena_done(&w.arena);
    ASSERT_NO_LEAKS();
}

Test(pod_env, what_the_pod_says_wins_and_may_refer_to_services)
{
    world_t w;
    world_open(&w, "test",
               "{containers: [{name: c, image: i, env: [{name: KUBERNETES_SERVICE_PORT, value: "
               "own}, {name: URL, value: 'https://$(KUBERNETES_SERVICE_HOST)'}]}]}");
    const char *text = env_text(&w);
    cr_expect(strstr(text, "KUBERNETES_SERVICE_PORT=own\n"), "%s", text);
    cr_expect_null(strstr(text, "KUBERNETES_SERVICE_PORT=443\n"));
    cr_expect(strstr(text, "URL=https://10.96.0.1\n"), "%s", text);
    arena_done(&w.arena);
    ASSERT_NO_LEAKS();
}

Test(pod_env, too_many_services_are_refused_with_the_way_out)
{
    world_t w;
    world_open(&w, "test", "{containers: [{name: c, image: i}]}");
    for (int i = 0; i < 600; i++)
        world_serve(&w, service(&w, arena_printf(&w.arena, "s%d", i),
                                "{clusterIP: 10.96.0.7, ports: [{port: 80}]}"));
    cr_expect_str_eq(env_text(&w), "more than 4096 environment variables; enableServiceLinks: "
                                   "false leaves those of services out");
    arena_done(&w.arena);
    ASSERT_NO_LEAKS();
}

// What a pod wants to know of services: "services NS", "master", in order.
static const char *wanted(arena_t *arena, const Core__Pod *pod) {
    object_ref_t *refs;
    size_t len = pod_object_refs(pod, arena, &refs);
    text_t out = {.arena = arena};
    for (size_t i = 0; i < len; i++)
        text_addf(&out, "%s %s\n",
                  refs[i].kind == OBJECT_SERVICES ? "services"
                  : refs[i].kind == OBJECT_MASTER ? "master"
                                                  : "other",
                  refs[i].name);
    return text_str(&out);
}

Test(pod_env, service_links_decide_which_services_are_asked_for)
{
    const struct {
        const char *ns, *links, *want;
    } table[] = {
        {"default", "", "services default\n"},
        {"default", "enableServiceLinks: false, ", "master kubernetes\n"},
        {"test", "enableServiceLinks: true, ", "services test\nmaster kubernetes\n"},
        {"test", "enableServiceLinks: false, ", "master kubernetes\n"},
    };
    for (size_t i = 0; i < LENGTH_OF(table); i++) {
        world_t w;
        arena_t text = {0};
        world_open(&w, table[i].ns,
                   arena_printf(&text, "{%scontainers: [{name: c, image: i}]}", table[i].links));
        cr_expect_str_eq(wanted(&w.arena, w.pod), table[i].want, "row %zu", i);
        arena_done(&text);
        arena_done(&w.arena);
    }
    ASSERT_NO_LEAKS();
}
