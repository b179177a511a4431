// store_actor in the simulator: one member with a disk in memory and a sorted map.
#include "actors/store/disk_actor.h"
#include "actors/store/store_actor.h"
#include "runtime/sim/sim.h"
#include "support/leaks.h"
#include "troupe/store.pb-c.h"

typedef struct {
    sim_t *sim;
    files_t *files;
    kv_t *kv;
    disk_args_t disk;
    store_args_t store;
    arena_t arena;
} world_t;

static err_t lend_kv(void *arg, kv_t **ret_kv, why_t *why) {
    *ret_kv = ((world_t *)arg)->kv;
    return ERR_OK;
}
static void take_kv_back(void *arg, kv_t **kv) { *kv = NULL; }

static void crashed(void *arg) {
    world_t *w = arg;
    files_fake_crash(w->files);
    kv_map_crash(w->kv);
}

static void world_open(world_t *w, uint64_t seed) {
    *w = (world_t){.sim = sim_new(seed), .files = files_fake_new(seed), .kv = kv_map_new()};
    kv_map_flush_every(w->kv, 7);
    w->disk = (disk_args_t){
        .data_dir = "/data", .member = "m1", .files = w->files, .segment_bytes = 64 << 10};
    w->store = (store_args_t){.data_dir = "/data",
                              .member = "m1",
                              .open_kv = lend_kv,
                              .close_kv = take_kv_back,
                              .kv_arg = w};
    why_t why;
    cr_assert_eq(sim_spawn(w->sim, "h1", "p1", &disk_actor, "m1", &w->disk, &why), ERR_OK, "%s",
                 why.text);
    cr_assert_eq(sim_spawn(w->sim, "h1", "p1", &store_actor, "m1", &w->store, &why), ERR_OK, "%s",
                 why.text);
    sim_on_crash(w->sim, "p1", crashed, w);
    sim_run_for(w->sim, 100);
}
static void world_close(world_t *w) {
    sim_destroy(&w->sim);
    kv_destroy(&w->kv);
    files_fake_destroy(&w->files);
    arena_done(&w->arena);
}

static ProtobufCBinaryData data(const char *s) {
    return (ProtobufCBinaryData){strlen(s), (uint8_t *)s};
}

static int64_t put(world_t *w, const char *key, const char *value) {
    Store__PutOp op = {.base = PROTOBUF_C_MESSAGE_INIT(&store__put_op__descriptor)};
    op.key = data(key);
    op.value = data(value);
    Store__Op then = {.base = PROTOBUF_C_MESSAGE_INIT(&store__op__descriptor)};
    then.op_case = STORE__OP__OP_PUT;
    then.put = &op;
    Store__Op *ops[] = {&then};
    Store__TxnRequest txn = {.base = PROTOBUF_C_MESSAGE_INIT(&store__txn_request__descriptor)};
    txn.then = ops;
    txn.n_then = 1;
    Store__TxnReply *reply = NULL;
    why_t why;
    err_t err = sim_ask(w->sim, "test/a", "store", &txn.base, 1000, &w->arena,
                        &store__txn_reply__descriptor, (void **)&reply, &why);
    cr_assert_eq(err, ERR_OK, "%s", why.text);
    return reply->revision;
}

static const char *get(world_t *w, const char *key) {
    Store__RangeRequest range = {.base =
                                     PROTOBUF_C_MESSAGE_INIT(&store__range_request__descriptor)};
    range.key = data(key);
    Store__RangeReply *reply = NULL;
    why_t why;
    err_t err = sim_ask(w->sim, "test/a", "store", &range.base, 1000, &w->arena,
                        &store__range_reply__descriptor, (void **)&reply, &why);
    cr_assert_eq(err, ERR_OK, "%s", why.text);
    if (reply->n_kvs == 0) return NULL;
    return arena_strndup(&w->arena, (char *)reply->kvs[0]->value.data, reply->kvs[0]->value.len);
}

Test(store_actor, alone_it_leads_at_once_and_keeps_what_it_is_given)
{
    world_t w;
    world_open(&w, 1);
    cr_assert_eq(put(&w, "a", "1"), 1);
    cr_assert_eq(put(&w, "a", "2"), 2);
    cr_assert_str_eq(get(&w, "a"), "2");
    cr_assert_null(get(&w, "b"));
    world_close(&w);
    ASSERT_NO_LEAKS();
}

Test(store_actor, what_was_acknowledged_survives_a_power_cut)
{
    world_t w;
    world_open(&w, 2);
    char key[16];
    for (int i = 0; i < 50; i++) {
        snprintf(key, sizeof key, "k%d", i);
        put(&w, key, key);
        if (i % 10 != 9) continue;
        sim_crash_process(w.sim, "p1");
        sim_restart_process(w.sim, "p1");
        sim_run_for(w.sim, 100);
    }
    for (int i = 0; i < 50; i++) {
        snprintf(key, sizeof key, "k%d", i);
        const char *value = get(&w, key);
        cr_assert(value && streq(value, key), "%s is lost", key);
    }
    world_close(&w);
    ASSERT_NO_LEAKS();
}
