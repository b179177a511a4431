#include "tests/bench/control_plane.h"
#include "actors/apiserver/apiserver_actor.h"
#include "actors/controllers/controllers_actor.h"
#include "actors/scheduler/scheduler_actor.h"
#include "actors/store/disk_actor.h"
#include "actors/store/store_actor.h"
#include "runtime/actor/informers_actor.h"
#include "runtime/api/codec.h"
#include <unistd.h>

void bench_die(const char *what, const char *why) {
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static void must(err_t err, const char *what, const why_t *why) {
    if (err) bench_die(what, why->text);
}

void control_plane_start(control_plane_t *c, bool alone) {
    static disk_args_t disk;
    static store_args_t store;
    static controllers_args_t controllers;
    *c = (control_plane_t){.folder = "/tmp/bench-cluster-XXXXXX"};
    if (!mkdtemp(c->folder)) bench_die("folder", c->folder);
    controllers = controllers_args_default;
    controllers.node_unheard_after_ms = INT32_MAX; // nobody speaks for nodes that are objects alone
    controllers.pod_range = "10.0.0.0/8";          // enough for all of them
    disk = (disk_args_t){.data_dir = c->folder, .member = "bench"};
    store = (store_args_t){.data_dir = c->folder, .member = "bench"};
    const struct {
        const char *dispatcher;
        const actor_def_t *def;
        const void *args;
    } actors[] = {
        {"disk", &disk_actor, &disk},
        {"store", &store_actor, &store},
        {"api", &apiserver_actor, &apiserver_args_default},
        {"control", &informers_actor, NULL},
        {"control", &controllers_actor, &controllers},
        {"control", &scheduler_actor, &scheduler_args_default},
    };
    why_t why;
    process_options_t options = {.name = "bench", .host = "bench"};
    must(process_new(&options, &c->process, &why), "process", &why);
    for (size_t i = 0; i < LENGTH_OF(actors); i++) {
        const char *on = actors[i].dispatcher;
        if (i == 0 || !streq(on, actors[i - 1].dispatcher))
            must(process_add_dispatcher(c->process, on, &why), on, &why);
        if (alone && actors[i].def == &informers_actor) continue;
        must(process_spawn(c->process, on, actors[i].def, "bench", actors[i].args, NULL, &why),
             actors[i].def->role, &why);
    }
    const char *socket = arena_printf(&c->arena, "%s/bench.sock", c->folder);
    listen_options_t listen = {.endpoint = arena_printf(&c->arena, "ipc://%s", socket),
                               .socket_mode = 0600,
                               .principal = "admin"};
    must(process_listen(c->process, &listen, &why), "listen", &why);
    client_options_t asks = {.socket = socket, .timeout_ms = CONTROL_PLANE_WAIT_MS};
    must(client_new(&asks, &c->client, &why), "connect", &why);
}

void control_plane_end(control_plane_t *c) {
    client_destroy(&c->client);
    process_stop(c->process);
    process_destroy(&c->process);
    fflush(stdout);
    execl("/bin/rm", "rm", "-rf", c->folder, NULL);
    bench_die("rm", "could not be run");
}

void control_plane_create(control_plane_t *c, const char *json, const char *subresource) {
    const kind_t *k;
    ProtobufCMessage *obj;
    why_t why;
    must(json_read_object(&c->arena, json, strlen(json), true, &k, &obj, &why), json, &why);
    bytes_t packed = msg_pack(&c->arena, obj);
    Api__Resource resource = {PROTOBUF_C_MESSAGE_INIT(&api__resource__descriptor)};
    resource.group = k->group, resource.version = k->version, resource.plural = k->plural;
    resource.namespace_ = k->namespaced ? "default" : "",
    resource.name = object_meta_read(obj)->name, resource.subresource = subresource;
    Api__Create request = {PROTOBUF_C_MESSAGE_INIT(&api__create__descriptor)};
    Api__Update update = {PROTOBUF_C_MESSAGE_INIT(&api__update__descriptor)};
    request.resource = update.resource = &resource;
    request.field_manager = update.field_manager = "";
    request.object = update.object = (ProtobufCBinaryData){packed.len, (uint8_t *)packed.at};
    if (!subresource[0]) resource.name = "";
    void *reply;
    failure_t failure;
    const ProtobufCMessage *message = subresource[0] ? &update.base : &request.base;
    if (client_call(c->client, &c->arena, "apiserver", message, &api__reply__descriptor, &reply,
                    &failure))
        bench_die(k->name, failure.message);
}

client_stream_t *control_plane_watch(control_plane_t *c, const char *plural, const char *ns) {
    Api__Resource resource = {PROTOBUF_C_MESSAGE_INIT(&api__resource__descriptor)};
    resource.group = "", resource.version = "v1", resource.plural = plural;
    resource.namespace_ = ns, resource.name = resource.subresource = "";
    Api__Watch watch = {PROTOBUF_C_MESSAGE_INIT(&api__watch__descriptor)};
    watch.resource = &resource, watch.label_selector = watch.field_selector = "";
    return client_open(c->client, "apiserver", &watch.base);
}

double control_plane_pss_mib(void) {
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    char line[256];
    long kib = 0;
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, "Pss:", 4) == 0) kib = strtol(line + 4, NULL, 10);
    if (file) fclose(file);
    return (double)kib / 1024;
}
