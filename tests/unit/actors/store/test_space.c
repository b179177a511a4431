// The store on a disk that is full, or does not answer.
#include "actors/store/disk_actor.h"
#include "actors/store/store_actor.h"
#include "runtime/sim/sim.h"
#include "tests/support/leaks.h"
#include "troupe/store.pb-c.h"

enum { SEGMENT = 64 << 10, VALUE_BYTES = 10 << 10, ASK_MS = 1000 };
typedef struct {
    sim_t *sim;
    files_t *files;
    kv_t *kv;
    disk_args_t disk;
    store_args_t store;
    arena_t arena;
    why_t why;
} world_t;

// ---- a database that may have no room -----------------------------------------------------------
static bool kv_is_full;
static const kv_ops_t *map_ops;
static kv_ops_t full_ops;
static err_t write_or_not(kv_t *kv, const kv_op_t *ops, size_t len, why_t *why) {
    if (kv_is_full) return why_set(why, ERR_DISK_FULL, "No space left on device");
    return map_ops->write(kv, ops, len, why);
}

static void world_open(world_t *w) {
    *w = (world_t){.sim = sim_new(1), .files = files_fake_new(1), .kv = kv_map_new()};
    map_ops = w->kv->ops;
    full_ops = *map_ops;
    full_ops.write = write_or_not;
    w->kv->ops = &full_ops;
    kv_is_full = false;
    w->disk = (disk_args_t){
        .data_dir = "/data", .member = "m1", .files = w->files, .segment_bytes = SEGMENT};
    w->store = (store_args_t){.data_dir = "/data", .member = "m1", .kv = w->kv};
    cr_assert_eq(sim_spawn(w->sim, "h", "p", &disk_actor, "m1", &w->disk, &w->why), ERR_OK);
    cr_assert_eq(sim_spawn(w->sim, "h", "p", &store_actor, "m1", &w->store, &w->why), ERR_OK);
    sim_run_for(w->sim, DISK_LOOK_MS + 100);
}
static void world_close(world_t *w) {
    sim_destroy(&w->sim);
    kv_destroy(&w->kv);
    files_fake_destroy(&w->files);
    arena_done(&w->arena);
}

// ---- asking -------------------------------------------------------------------------------------
static ProtobufCBinaryData key_of(int number) {
    static char key[16];
    int len = snprintf(key, sizeof key, "k%05d", number);
    return (ProtobufCBinaryData){(size_t)len, (uint8_t *)key};
}

static err_t ask_op(world_t *w, Store__Op *op) {
    Store__Op *ops[] = {op};
    Store__TxnRequest txn = {.base = PROTOBUF_C_MESSAGE_INIT(&store__txn_request__descriptor)};
    txn.then = ops;
    txn.n_then = 1;
    void *reply;
    return sim_ask(w->sim, "test/a", "store", &txn.base, ASK_MS, &w->arena,
                   &store__txn_reply__descriptor, &reply, &w->why);
}

static err_t put(world_t *w, int number) {
    static uint8_t value[VALUE_BYTES];
    Store__PutOp put = {.base = PROTOBUF_C_MESSAGE_INIT(&store__put_op__descriptor)};
    put.key = key_of(number);
    put.value = (ProtobufCBinaryData){sizeof value, value};
    Store__Op op = {.base = PROTOBUF_C_MESSAGE_INIT(&store__op__descriptor)};
    op.op_case = STORE__OP__OP_PUT;
    op.put = &put;
    return ask_op(w, &op);
}

static err_t delete (world_t *w, int number) {
    Store__DeleteOp delete = {.base = PROTOBUF_C_MESSAGE_INIT(&store__delete_op__descriptor)};
    delete.key = key_of(number);
    Store__Op op = {.base = PROTOBUF_C_MESSAGE_INIT(&store__op__descriptor)};
    op.op_case = STORE__OP__OP_DELETE;
    op.delete_ = &delete;
    return ask_op(w, &op);
}

static err_t get(world_t *w, int number, bool *ret_there) {
    Store__RangeRequest range = {.base =
                                     PROTOBUF_C_MESSAGE_INIT(&store__range_request__descriptor)};
    range.key = key_of(number);
    Store__RangeReply *reply = NULL;
    err_t err = sim_ask(w->sim, "test/a", "store", &range.base, ASK_MS, &w->arena,
                        &store__range_reply__descriptor, (void **)&reply, &w->why);
    *ret_there = err == ERR_OK && reply->n_kvs == 1;
    return err;
}

static bool has_reserve(world_t *w) {
    CLEANUP(file_close) file_t *file = NULL;
    return files_open(w->files, "/data/reserve", FILE_OPEN_READ, &file, NULL) == ERR_OK;
}

// Does `status` show an alarm with these words?
static bool has_alarm(world_t *w, const char *words) {
    Store__StatusRequest request = {PROTOBUF_C_MESSAGE_INIT(&store__status_request__descriptor)};
    Store__StatusReply *reply = NULL;
    cr_assert_eq(sim_ask(w->sim, "test/a", "store/m1", &request.base, ASK_MS, &w->arena,
                         &store__status_reply__descriptor, (void **)&reply, &w->why),
                 ERR_OK);
    for (size_t i = 0; i < reply->n_alarms; i++)
        if (strstr(reply->alarms[i], words)) return true;
    return false;
}

// ---- tests --------------------------------------------------------------------------------------
Test(store_space, a_full_disk_refuses_writes_serves_the_rest_and_goes_on_without_a_restart)
{
    world_t w;
    bool there;
    world_open(&w);
    cr_assert_eq(put(&w, 0), ERR_OK);
    files_fake_set_capacity(w.files, 1);
    int written = 1;
    err_t err = ERR_OK;
    while (err == ERR_OK && written < 100)
        if ((err = put(&w, written)) == ERR_OK) written++;
    cr_assert_eq(err, ERR_DISK_FULL, "%s after %d", w.why.text, written);
    cr_assert_not_null(strstr(w.why.text, "/data"), "%s", w.why.text);
    cr_assert(has_alarm(&w, "disk full"));
    cr_assert_eq(get(&w, written - 1, &there), ERR_OK);
    cr_assert(there);
    for (int i = 0; i < written - 1; i++) cr_assert_eq(delete (&w, i), ERR_OK, "%s", w.why.text);
    cr_assert_eq(get(&w, 0, &there), ERR_OK);
    cr_assert_not(there);
    cr_assert_eq(put(&w, written), ERR_DISK_FULL);
    files_fake_set_capacity(w.files, 0);
    sim_run_for(w.sim, 2 * DISK_LOOK_MS);
    cr_assert_not(has_alarm(&w, "disk full"));
    for (int i = 0; i < 40; i++) cr_assert_eq(put(&w, written + i), ERR_OK, "%s", w.why.text);
    cr_assert_eq(get(&w, written - 1, &there), ERR_OK);
    cr_assert(there);
    world_close(&w);
    ASSERT_NO_LEAKS();
}

Test(store_space, a_full_database_keeps_what_it_cannot_write_until_there_is_room)
{
    world_t w;
    bool there;
    world_open(&w);
    kv_is_full = true;
    cr_assert(has_reserve(&w));
    cr_assert_eq(put(&w, 1), ERR_OK); // the log has it
    cr_assert(has_alarm(&w, "the database waits"));
    cr_assert_not(has_reserve(&w));                // it is what the database may go on with
    cr_assert_eq(get(&w, 1, &there), ERR_TIMEOUT); // and nobody reads around it
    cr_assert_eq(put(&w, 2), ERR_DISK_FULL);
    kv_is_full = false;
    sim_run_for(w.sim, DISK_LOOK_MS + 500);
    cr_assert(has_reserve(&w));
    cr_assert_eq(put(&w, 2), ERR_OK, "%s", w.why.text);
    cr_assert_eq(get(&w, 1, &there), ERR_OK);
    cr_assert(there);
    cr_assert_not(has_alarm(&w, "the database waits"));
    world_close(&w);
    ASSERT_NO_LEAKS();
}

Test(store_space, a_disk_that_does_not_answer_is_told_and_reads_go_on)
{
    world_t w;
    bool there;
    world_open(&w);
    cr_assert_eq(put(&w, 1), ERR_OK);
    files_fake_set_delay(w.files, 5000000, 5000000);
    cr_assert_eq(put(&w, 2), ERR_TIMEOUT);
    sim_run_for(w.sim, 500);
    cr_assert(has_alarm(&w, "disk stuck"));
    cr_assert_eq(get(&w, 1, &there), ERR_OK);
    cr_assert(there);
    sim_run_for(w.sim, 5000);
    cr_assert_not(has_alarm(&w, "disk stuck"));
    cr_assert_eq(get(&w, 2, &there), ERR_OK);
    cr_assert(there);
    world_close(&w);
    ASSERT_NO_LEAKS();
}
