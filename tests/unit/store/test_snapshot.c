// Snapshot files, over the fake files port.
#include "store/snapshot.h"
#include "tests/support/leaks.h"

static const snapshot_header_t header = {.cluster_id = 7, .revision = 42, .made_ms = 1000};

static ProtobufCBinaryData data(const char *s) {
    return (ProtobufCBinaryData){strlen(s), (uint8_t *)s};
}

// Two chunks: a key in each, a lease in the second.
static err_t write_it(files_t *files, why_t *why) {
    Store__KeyValue kv = {PROTOBUF_C_MESSAGE_INIT(&store__key_value__descriptor)}, *kvs[] = {&kv};
    Store__SnapshotLease lease = {PROTOBUF_C_MESSAGE_INIT(&store__snapshot_lease__descriptor)},
                         *leases[] = {&lease};
    Store__SnapshotChunk chunk = PROTOBUF_C_MESSAGE_INIT(&store__snapshot_chunk__descriptor);
    chunk.kvs = kvs;
    chunk.n_kvs = 1;
    chunk.leases = leases;
    kv.value = data("value");
    lease.id = 3;
    snapshot_writer_t *w = NULL;
    err_t err = snapshot_create(files, "/s", &header, &w, why);
    kv.key = data("a");
    if (err == ERR_OK) err = snapshot_add(w, &chunk, why);
    kv.key = data("b");
    chunk.n_leases = 1;
    if (err == ERR_OK) err = snapshot_add(w, &chunk, why);
    if (err == ERR_OK) err = snapshot_finish(w, why);
    snapshot_writer_destroy(&w);
    return err;
}

// All of it; ERR_OK: whole.
static err_t read_it(files_t *files, snapshot_tally_t *ret_tally, why_t *why) {
    snapshot_reader_t *r = NULL;
    err_t err = snapshot_open(files, "/s", &r, why);
    arena_t arena = {0};
    for (Store__SnapshotChunk *chunk = NULL; err == ERR_OK;) {
        err = snapshot_next(r, &arena, &chunk, why);
        if (!chunk) break;
    }
    if (err == ERR_OK) *ret_tally = *snapshot_read(r);
    if (err == ERR_OK) cr_assert_eq(snapshot_header(r)->revision, 42);
    arena_done(&arena);
    snapshot_reader_destroy(&r);
    return err;
}

Test(snapshot, what_was_written_is_read_back_and_an_existing_file_is_left_alone)
{
    files_t *files = files_fake_new(1);
    snapshot_tally_t tally;
    why_t why;
    cr_assert_eq(write_it(files, &why), ERR_OK, "%s", why.text);
    files_fake_crash(files);
    cr_assert_eq(read_it(files, &tally, &why), ERR_OK, "%s", why.text);
    cr_assert_eq(tally.keys, 2);
    cr_assert_eq(tally.leases, 1);
    cr_assert_eq(write_it(files, &why), ERR_EXISTS);
    files_fake_destroy(&files);
    ASSERT_NO_LEAKS();
}

Test(snapshot, every_flipped_bit_and_every_cut_is_told_with_its_position)
{
    files_t *files = files_fake_new(1);
    snapshot_tally_t tally;
    why_t why;
    cr_assert_eq(write_it(files, &why), ERR_OK);
    cr_assert_eq(read_it(files, &tally, &why), ERR_OK);
    for (uint64_t at = 0; at < tally.bytes; at++) {
        cr_assert_eq(files_fake_flip_bit(files, "/s", at, &why), ERR_OK);
        cr_assert_eq(read_it(files, &tally, &why), ERR_CORRUPT, "a bit at %llu",
                     (unsigned long long)at);
        cr_assert_not_null(strstr(why.text, "/s"), "%s", why.text);
        cr_assert_eq(files_fake_flip_bit(files, "/s", at, &why), ERR_OK);
    }
    uint64_t whole = tally.bytes;
    uint8_t *bytes = mem_new(whole);
    file_t *file = NULL;
    size_t have;
    cr_assert_eq(files_open(files, "/s", FILE_OPEN_READ, &file, &why), ERR_OK);
    cr_assert_eq(file_read_at(file, 0, bytes, whole, &have, &why), ERR_OK);
    file_close(&file);
    for (uint64_t len = 0; len < whole; len++) {
        cr_assert_eq(files_remove(files, "/s", &why), ERR_OK);
        cr_assert_eq(files_open(files, "/s", FILE_OPEN_CREATE, &file, &why), ERR_OK);
        cr_assert_eq(file_write_at(file, 0, (bytes_t){bytes, len}, &why), ERR_OK);
        file_close(&file);
        cr_assert_eq(read_it(files, &tally, &why), ERR_CORRUPT, "%llu bytes of it",
                     (unsigned long long)len);
    }
    free(bytes);
    files_fake_destroy(&files);
    ASSERT_NO_LEAKS();
}

Test(snapshot, one_that_was_not_finished_leaves_nothing_by_its_name)
{
    for (uint64_t writes = 0;; writes++) {
        files_t *files = files_fake_new(writes + 1);
        snapshot_tally_t tally;
        why_t why;
        files_fake_cut_after(files, writes);
        bool whole = write_it(files, &why) == ERR_OK;
        files_fake_crash(files);
        err_t err = read_it(files, &tally, &why);
        cr_assert(whole ? err == ERR_OK : err == ERR_OK || err == ERR_NOT_FOUND,
                  "after %llu writes: %s", (unsigned long long)writes, why.text);
        files_fake_destroy(&files);
        if (whole) break;
    }
    ASSERT_NO_LEAKS();
}
