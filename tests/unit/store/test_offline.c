// A member's folder, offline, on a real disk and RocksDB.
#include "runtime/base/vec.h"
#include "store/machine.h"
#include "store/offline.h"
#include "store/rocks.h"
#include "tests/support/leaks.h"
#include "troupe/raft.pb-c.h"
#include <sys/stat.h>
#include <unistd.h>

enum { MEMBER = 7, CLUSTER = 99, KEYS = 50, GAP = 1000 };
typedef struct {
    char top[32], *dir, *snapshot;
    why_t why;
} world_t;

static blob_t *put_of(int number) {
    char key[16];
    int len = snprintf(key, sizeof key, "k%03d", number);
    Store__PutOp put = {.base = PROTOBUF_C_MESSAGE_INIT(&store__put_op__descriptor)};
    put.key = put.value = (ProtobufCBinaryData){(size_t)len, (uint8_t *)key};
    Store__Op op = {.base = PROTOBUF_C_MESSAGE_INIT(&store__op__descriptor)};
    op.op_case = STORE__OP__OP_PUT;
    op.put = &put;
    Store__Op *ops[] = {&op};
    Store__TxnRequest txn = {.base = PROTOBUF_C_MESSAGE_INIT(&store__txn_request__descriptor)};
    txn.then = ops;
    txn.n_then = 1;
    blob_t *blob = blob_new(protobuf_c_message_get_packed_size(&txn.base));
    protobuf_c_message_pack(&txn.base, blob->at);
    return blob;
}

// A folder with KEYS puts in its log, of which the database has the first half.
static void world_open(world_t *w) {
    *w = (world_t){.top = "/tmp/store-offline-XXXXXX"};
    cr_assert_not_null(mkdtemp(w->top));
    w->dir = str_printf("%s/store", w->top);
    w->snapshot = str_printf("%s/snap", w->top);
    CLEANUP(free_charp) char *log = str_printf("%s/log", w->dir), *db = str_printf("%s/db", w->dir);
    journal_options_t options = {
        .dir = log, .member_id = MEMBER, .cluster_id = CLUSTER, .segment_bytes = 1 << 16};
    journal_t *j = NULL;
    kv_t *kv = NULL;
    mvcc_t *m = NULL;
    arena_t arena = {0};
    cr_assert_eq(journal_open(files_real(), &options, 0, &j, &w->why), ERR_OK, "%s", w->why.text);
    cr_assert_eq(rocks_open(db, &kv, &w->why), ERR_OK, "%s", w->why.text);
    cr_assert_eq(mvcc_open(kv, &m, &w->why), ERR_OK);
    mvcc_set_cluster_id(m, CLUSTER);
    for (int i = 1; i <= KEYS; i++) {
        blob_t *put = put_of(i);
        journal_entry_t e = {(raft_index_t)i, 1, MACHINE_TXN, blob_bytes(put)};
        machine_result_t result;
        cr_assert_eq(journal_append(j, NULL, &e, 1, &w->why), ERR_OK);
        if (i <= KEYS / 2)
            cr_assert_eq(machine_apply(m, &arena, e.index, 1, e.kind, e.data, &result, &w->why),
                         ERR_OK);
        blob_unref(&put);
    }
    cr_assert_eq(mvcc_commit(m, &w->why), ERR_OK);
    cr_assert_eq(kv_flush(kv, &w->why), ERR_OK);
    cr_assert_eq(journal_sync(j, &w->why), ERR_OK);
    arena_done(&arena);
    mvcc_destroy(&m);
    kv_destroy(&kv);
    journal_close(&j);
}
static void world_close(world_t *w) {
    CLEANUP(free_charp) char *command = str_printf("rm -r '%s'", w->top);
    FILE *p = popen(command, "r");
    if (p) pclose(p);
    free(w->dir);
    free(w->snapshot);
}

static offline_anew_t anew_of(const char *dir, raft_id_t member) {
    return (offline_anew_t){
        .dir = dir, .member = "m1", .member_id = member, .gap = GAP, .cluster_id = 1234};
}

static offline_report_t checked(world_t *w, const char *dir) {
    offline_report_t report;
    cr_assert_eq(offline_check(dir, NULL, &report, &w->why), ERR_OK, "%s", w->why.text);
    return report;
}

Test(offline, a_sound_folder_is_described_and_not_changed)
{
    world_t w;
    world_open(&w);
    for (int round = 0; round < 2; round++) {
        offline_report_t r = checked(&w, w.dir);
        cr_assert_eq(r.cluster_id, CLUSTER);
        cr_assert_eq(r.member_id, MEMBER);
        cr_assert_eq(r.last, KEYS);
        cr_assert_eq(r.meta.applied_index, KEYS / 2);
        cr_assert_eq(r.tally.keys, KEYS / 2);
    }
    world_close(&w);
    ASSERT_NO_LEAKS();
}

Test(offline, a_folder_in_use_and_none_at_all_are_refused)
{
    world_t w;
    offline_report_t r;
    world_open(&w);
    CLEANUP(free_charp) char *lock_path = str_printf("%s/log/lock", w.dir);
    file_t *lock = NULL;
    cr_assert_eq(files_lock(files_real(), lock_path, &lock, &w.why), ERR_OK);
    cr_assert_eq(offline_check(w.dir, NULL, &r, &w.why), ERR_EXISTS);
    cr_assert_not_null(strstr(w.why.text, "stop it first"), "%s", w.why.text);
    file_close(&lock);
    cr_assert_eq(offline_check("/tmp/no-such-folder", NULL, &r, &w.why), ERR_NOT_FOUND);
    world_close(&w);
    ASSERT_NO_LEAKS();
}

static bool is_there(const char *dir, const char *name) {
    CLEANUP(free_charp) char *path = str_printf("%s/%s", dir, name);
    return access(path, F_OK) == 0;
}

// Whatever it is like: nothing of it is read.
Test(offline, a_rebuilt_folder_bears_the_mark_alone_and_the_old_one_is_kept)
{
    world_t w;
    char *kept = NULL;
    world_open(&w);
    CLEANUP(free_charp) char *lock_path = str_printf("%s/log/lock", w.dir);
    file_t *lock = NULL;
    cr_assert_eq(files_lock(files_real(), lock_path, &lock, &w.why), ERR_OK);
    cr_assert_eq(offline_rebuild(w.dir, "mark", &kept, &w.why), ERR_EXISTS);
    cr_assert(is_there(w.dir, "log/0000000000000001.seg") && !is_there(w.dir, "mark"));
    file_close(&lock);
    cr_assert_eq(offline_rebuild(w.dir, "mark", &kept, &w.why), ERR_OK, "%s", w.why.text);
    cr_assert(is_there(w.dir, "mark") && !is_there(w.dir, "log") && !is_there(w.dir, "db"));
    cr_assert(is_there(kept, "log/0000000000000001.seg") && !is_there(kept, "mark"));
    free(kept);
    CLEANUP(free_charp) char *lost = str_printf("%s/lost", w.top);
    cr_assert_eq(offline_rebuild(lost, "mark", &kept, &w.why), ERR_OK, "%s", w.why.text);
    cr_assert(is_there(lost, "mark") && !kept);
    world_close(&w);
    ASSERT_NO_LEAKS();
}

Test(offline, recovery_takes_all_of_the_log_and_keeps_the_old_folder)
{
    world_t w;
    offline_made_t made = {0};
    world_open(&w);
    offline_anew_t other = anew_of(w.dir, 8);
    cr_assert_eq(offline_recover(&other, &made, &w.why), ERR_CONFLICT);
    offline_anew_t anew = anew_of(w.dir, MEMBER);
    cr_assert_eq(offline_recover(&anew, &made, &w.why), ERR_OK, "%s", w.why.text);
    cr_assert_eq(made.revision, KEYS + GAP);
    offline_report_t r = checked(&w, w.dir);
    cr_assert_eq(r.cluster_id, 1234);
    cr_assert_eq(r.tally.keys, KEYS);
    cr_assert_eq(r.begin, KEYS);
    cr_assert_eq(r.meta.applied_index, KEYS);
    cr_assert_eq(r.meta.compacted, KEYS + GAP);
    cr_assert_eq(r.meta.config_index, KEYS);
    cr_assert_eq(checked(&w, made.kept).cluster_id, CLUSTER);
    free(made.kept);
    world_close(&w);
    ASSERT_NO_LEAKS();
}

static void save(world_t *w, int keys, int64_t newest) {
    snapshot_header_t header = {.cluster_id = CLUSTER, .revision = KEYS};
    snapshot_writer_t *writer = NULL;
    cr_assert_eq(snapshot_create(files_real(), w->snapshot, &header, &writer, &w->why), ERR_OK);
    Store__SnapshotLease lease = {PROTOBUF_C_MESSAGE_INIT(&store__snapshot_lease__descriptor), 5,
                                  1000},
                         *leases[] = {&lease};
    Store__SnapshotChunk chunk = PROTOBUF_C_MESSAGE_INIT(&store__snapshot_chunk__descriptor);
    for (int i = 0; i < keys; i++) {
        char key[16];
        int len = snprintf(key, sizeof key, "k%03d", i);
        Store__KeyValue kv = {PROTOBUF_C_MESSAGE_INIT(&store__key_value__descriptor)},
                        *kvs[] = {&kv};
        kv.key = kv.value = (ProtobufCBinaryData){(size_t)len, (uint8_t *)key};
        kv.create_revision = 1;
        kv.mod_revision = newest; // of one transaction
        kv.version = 1 + i;
        kv.lease = i == 0 ? 5 : 0;
        chunk.kvs = kvs;
        chunk.n_kvs = 1;
        chunk.leases = leases;
        chunk.n_leases = i == 0;
        cr_assert_eq(snapshot_add(writer, &chunk, &w->why), ERR_OK);
    }
    cr_assert_eq(snapshot_finish(writer, &w->why), ERR_OK);
    snapshot_writer_destroy(&writer);
}

Test(offline, a_restored_folder_has_the_keys_of_the_snapshot_and_nothing_is_overwritten)
{
    world_t w;
    offline_made_t made = {0};
    world_open(&w);
    save(&w, 10, KEYS);
    CLEANUP(free_charp) char *fresh = str_printf("%s/fresh", w.top);
    offline_anew_t anew = anew_of(fresh, 8), there = anew_of(w.dir, MEMBER);
    cr_assert_eq(offline_restore(&there, w.snapshot, &made, &w.why), ERR_EXISTS);
    cr_assert_eq(offline_restore(&anew, w.snapshot, &made, &w.why), ERR_OK, "%s", w.why.text);
    cr_assert_null(made.kept);
    offline_report_t r = checked(&w, fresh);
    cr_assert_eq(r.tally.keys, 10);
    cr_assert_eq(r.tally.leases, 1);
    cr_assert_eq(r.meta.revision, KEYS + GAP);
    cr_assert_eq(r.meta.pruned, KEYS + GAP);
    cr_assert_eq(r.begin, 1);
    cr_assert_eq(r.cluster_id, 1234);
    world_close(&w);
    ASSERT_NO_LEAKS();
}

Test(offline, a_snapshot_that_contradicts_itself_makes_no_folder)
{
    world_t w;
    offline_made_t made = {0};
    struct stat at;
    world_open(&w);
    save(&w, 3, KEYS + 1);
    CLEANUP(free_charp) char *fresh = str_printf("%s/fresh", w.top);
    offline_anew_t anew = anew_of(fresh, 8);
    cr_assert_eq(offline_restore(&anew, w.snapshot, &made, &w.why), ERR_INVALID);
    cr_assert_neq(stat(fresh, &at), 0);
    CLEANUP(free_charp) char *begun = str_printf("%s.new", fresh);
    cr_assert_neq(stat(begun, &at), 0);
    world_close(&w);
    ASSERT_NO_LEAKS();
}
