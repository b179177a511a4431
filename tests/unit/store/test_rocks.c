// The kv port on RocksDB, and that forgetting history gives its space back.
#include "runtime/base/rng.h"
#include "store/mvcc/mvcc.h"
#include "store/rocks.h"
#include "tests/support/leaks.h"
#include <errno.h>
#include <poll.h>
#include <rocksdb/c.h>
#include <unistd.h>

enum { KEYS = 64, VALUE_BYTES = 1024, ROUND_PUTS = 1000, ROUNDS = 40 };

static void remove_tree(const char *dir) {
    CLEANUP(free_charp) char *command = str_printf("rm -r '%s'", dir);
    FILE *p = popen(command, "r");
    if (p) pclose(p);
}

static void apply(mvcc_t *m, uint64_t index, Store__Op *op) {
    Store__Op *ops[] = {op};
    Store__TxnRequest txn = {.base = PROTOBUF_C_MESSAGE_INIT(&store__txn_request__descriptor)};
    txn.then = ops;
    txn.n_then = 1;
    Store__TxnReply *reply = NULL;
    arena_t arena = {0};
    why_t why;
    cr_assert_eq(mvcc_txn(m, &arena, &txn, &reply, &why), ERR_OK, "%s", why.text);
    mvcc_entry_done(m, index, 1);
    arena_done(&arena);
}

static void put(mvcc_t *m, rng_t *rng, uint64_t index, uint64_t number) {
    char key[16];
    uint8_t value[VALUE_BYTES]; // nothing that could be compressed
    int len = snprintf(key, sizeof key, "k%05d", (int)number);
    for (size_t i = 0; i < sizeof value; i++) value[i] = (uint8_t)rng_next(rng);
    Store__PutOp put = {.base = PROTOBUF_C_MESSAGE_INIT(&store__put_op__descriptor)};
    put.key = (ProtobufCBinaryData){(size_t)len, (uint8_t *)key};
    put.value = (ProtobufCBinaryData){sizeof value, value};
    Store__Op op = {.base = PROTOBUF_C_MESSAGE_INIT(&store__op__descriptor)};
    op.op_case = STORE__OP__OP_PUT;
    op.put = &put;
    apply(m, index, &op);
}

static void delete_all(mvcc_t *m, uint64_t index) {
    Store__DeleteOp delete = {.base = PROTOBUF_C_MESSAGE_INIT(&store__delete_op__descriptor)};
    delete.key = (ProtobufCBinaryData){1, (uint8_t *)"k"};
    delete.range_end = (ProtobufCBinaryData){1, (uint8_t *)"l"};
    Store__Op op = {.base = PROTOBUF_C_MESSAGE_INIT(&store__op__descriptor)};
    op.op_case = STORE__OP__OP_DELETE;
    op.delete_ = &delete;
    apply(m, index, &op);
}

static void forget_all_but(mvcc_t *m, revision_t keep) {
    why_t why;
    bool more = true;
    cr_assert_eq(mvcc_compact(m, mvcc_meta(m)->revision - keep, &why), ERR_OK, "%s", why.text);
    cr_assert_eq(mvcc_commit(m, &why), ERR_OK);
    while (more) cr_assert_eq(mvcc_prune(m, 128, &more, &why), ERR_OK, "%s", why.text);
}

// 40 MiB go through 64 keys of 1 KiB; 500 revisions of history are kept.
Test(rocks, forgotten_history_gives_its_space_back, .timeout = 60)
{
    char dir[] = "/tmp/store-rocks-XXXXXX";
    cr_assert_not_null(mkdtemp(dir));
    kv_t *kv = NULL;
    mvcc_t *m = NULL;
    why_t why;
    rng_t rng;
    rng_init(&rng, 1);
    cr_assert_eq(rocks_open(dir, &kv, &why), ERR_OK, "%s", why.text);
    cr_assert_eq(mvcc_open(kv, &m, &why), ERR_OK);
    uint64_t index = 0, most = 0;
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < ROUND_PUTS; i++) put(m, &rng, ++index, rng_below(&rng, KEYS));
        cr_assert_eq(mvcc_commit(m, &why), ERR_OK);
        forget_all_but(m, 500);
        if (kv_disk_bytes(kv) > most) most = kv_disk_bytes(kv);
    }
    cr_assert_eq(kv_flush(kv, &why), ERR_OK);
    cr_assert_lt(most, 24u << 20, "%llu", (unsigned long long)most);
    cr_assert_eq(mvcc_verify(m, NULL, &why), ERR_OK, "%s", why.text);
    mvcc_destroy(&m);
    kv_destroy(&kv);
    remove_tree(dir);
    ASSERT_NO_LEAKS();
}

// A crash at any time leaves what one of RocksDB's own flushes left: changes, index and applied
// index of one and the same moment. A second look at the folder, read only, sees just that.
Test(rocks, changes_and_index_are_flushed_together_or_not_at_all, .timeout = 60)
{
    char dir[] = "/tmp/store-rocks-XXXXXX";
    cr_assert_not_null(mkdtemp(dir));
    kv_t *kv = NULL;
    mvcc_t *m = NULL;
    why_t why;
    rng_t rng;
    rng_init(&rng, 1);
    cr_assert_eq(rocks_open(dir, &kv, &why), ERR_OK, "%s", why.text);
    cr_assert_eq(mvcc_open(kv, &m, &why), ERR_OK);
    uint64_t index = 0;
    for (int look = 0; look < 3; look++) {
        meta_t flushed = {0}, before = {0};
        cr_assert_eq(mvcc_flushed(m, &before, &why), ERR_OK);
        do {
            for (int i = 0; i < 100; i++) put(m, &rng, ++index, rng_below(&rng, KEYS));
            cr_assert_eq(mvcc_commit(m, &why), ERR_OK);
            if (look == 2) cr_assert_eq(kv_flush(kv, &why), ERR_OK); // asked for, too
            cr_assert_eq(mvcc_flushed(m, &flushed, &why), ERR_OK);
        } while (flushed.applied_index == before.applied_index);
        kv_t *as_crashed = NULL;
        mvcc_t *found = NULL;
        cr_assert_eq(rocks_open_read_only(dir, &as_crashed, &why), ERR_OK, "%s", why.text);
        cr_assert_eq(mvcc_open(as_crashed, &found, &why), ERR_OK, "%s", why.text);
        cr_assert_geq(mvcc_meta(found)->applied_index, flushed.applied_index);
        mvcc_tally_t tally = {0};
        cr_assert_eq(mvcc_verify(found, &tally, &why), ERR_OK, "%s", why.text);
        cr_assert_eq(tally.changes, mvcc_meta(found)->applied_index);
        mvcc_destroy(&found);
        kv_destroy(&as_crashed);
    }
    mvcc_destroy(&m);
    kv_destroy(&kv);
    remove_tree(dir);
    ASSERT_NO_LEAKS();
}

// A database of one column family, as older programs made it, is refused and stays as it is.
Test(rocks, a_database_of_the_older_format_is_refused_unchanged)
{
    char dir[] = "/tmp/store-rocks-XXXXXX";
    cr_assert_not_null(mkdtemp(dir));
    char *error = NULL;
    kv_t *kv = NULL;
    why_t why;
    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(options, 1);
    rocksdb_writeoptions_t *write = rocksdb_writeoptions_create();
    rocksdb_t *db = rocksdb_open(options, dir, &error);
    cr_assert_null(error, "%s", error);
    rocksdb_put(db, write, "m", 1, "\2", 1, &error);
    cr_assert_null(error, "%s", error);
    rocksdb_close(db);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(rocks_open(dir, &kv, &why), ERR_UNSUPPORTED, "%s", why.text);
        cr_assert_not_null(strstr(why.text, "format"), "%s", why.text);
    }
    db = rocksdb_open(options, dir, &error); // which would fail with another family in it
    cr_assert_null(error, "%s", error);
    rocksdb_close(db);
    rocksdb_writeoptions_destroy(write);
    rocksdb_options_destroy(options);
    remove_tree(dir);
    ASSERT_NO_LEAKS();
}

// And without a write after it: nobody waits for the next flood to get the space of the last one.
Test(rocks, what_was_deleted_gives_its_space_back_by_itself, .timeout = 60)
{
    char dir[] = "/tmp/store-rocks-XXXXXX";
    cr_assert_not_null(mkdtemp(dir));
    kv_t *kv = NULL;
    mvcc_t *m = NULL;
    why_t why;
    rng_t rng;
    rng_init(&rng, 1);
    cr_assert_eq(rocks_open(dir, &kv, &why), ERR_OK, "%s", why.text);
    cr_assert_eq(mvcc_open(kv, &m, &why), ERR_OK);
    uint64_t index = 0;
    for (index = 1; index <= 20000; index++) put(m, &rng, index, index);
    cr_assert_eq(mvcc_commit(m, &why), ERR_OK);
    cr_assert_eq(kv_flush(kv, &why), ERR_OK);
    uint64_t full = kv_disk_bytes(kv);
    cr_assert_gt(full, 20u << 20);
    delete_all(m, index++);
    put(m, &rng, index, 0);
    cr_assert_eq(mvcc_commit(m, &why), ERR_OK);
    forget_all_but(m, 1);
    cr_assert_eq(kv_flush(kv, &why), ERR_OK);
    for (int i = 0; i < 200 && kv_disk_bytes(kv) > full / 4; i++) poll(NULL, 0, 50);
    cr_assert_lt(kv_disk_bytes(kv), full / 4, "%llu of %llu bytes are left",
                 (unsigned long long)kv_disk_bytes(kv), (unsigned long long)full);
    mvcc_destroy(&m);
    kv_destroy(&kv);
    remove_tree(dir);
    ASSERT_NO_LEAKS();
}
