// A log of foreign bytes: first as a record, then as a segment file that a journal opens. It must
// be refused or read; what was read can be read back, and written behind.
#include "store/log/journal.h"
#include "store/log/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void as_record(bytes_t bytes) {
    record_t record;
    uint8_t copy[RECORD_SEGMENT_HEADER_BYTES];
    segment_header_t header;
    why_t why;
    if (record_get_blindly(bytes, &record)) assert(record.body.len <= RECORD_BODY_BYTES_MAX);
    (void)!record_get(bytes, record_seed(1), &record);
    if (bytes.len < sizeof copy) return;
    memcpy(copy, bytes.at, sizeof copy);
    (void)!record_get_segment(copy, &header, &why);
}

// Records as the fuzzer wants them, but with true checksums: what lies behind the checksum is
// reached at once.
static size_t forge(uint8_t *file, size_t size, bytes_t wishes) {
    segment_header_t header = {.sequence = 1, .cluster_id = 1, .member_id = 1};
    record_put_segment(&header, file);
    size_t at = RECORD_SEGMENT_HEADER_BYTES;
    for (; wishes.len >= 8; wishes.at += 8, wishes.len -= 8) {
        const uint8_t *w = wishes.at;
        record_t r = {
            .kind = w[0] % 4 ? RECORD_ENTRY : RECORD_HARD,
            .entry_kind = w[1],
            .synced = (uint32_t)w[2] * 16,
            .index = w[3] % 32,
            .term = w[4] % 16,
            .body = {w, w[5] % 9},
        };
        size_t bytes = record_bytes(r.body.len);
        if (at + bytes > size) break;
        record_put(&r, record_seed(w[6] < 250 ? 1 : 2), file + at);
        if (w[7] > 250) file[at + 9] ^= 1;
        at += bytes;
    }
    return at;
}

static void as_log(const uint8_t *bytes, size_t len) {
    files_t *files = files_fake_new(1);
    file_t *file = NULL;
    journal_t *j = NULL;
    journal_entry_t *entries = NULL;
    size_t entries_len = 0;
    arena_t arena = {0};
    why_t why;
    journal_options_t options = {.dir = "/l", .member_id = 1, .segment_bytes = 4096};
    err_t err = files_open(files, "/l/0000000000000001.seg", FILE_OPEN_CREATE, &file, &why);
    if (err == ERR_OK) err = file_write_at(file, 0, (bytes_t){bytes, len}, &why);
    assert(err == ERR_OK);
    file_close(&file);
    if (journal_open(files, &options, 1, &j, &why) == ERR_OK) {
        const trail_t *trail = journal_trail(j);
        if (trail->last > trail->base) {
            err = journal_read(j, trail->base + 1, 1 << 20, &arena, &entries, &entries_len, &why);
            assert(err == ERR_OK && entries_len == trail->last - trail->base);
        }
        journal_entry_t more = {trail->last + 1, trail_last_term(trail) + 1, 1, {bytes, 8}};
        if (trail->last < UINT64_MAX - 1 && more.term) {
            err = journal_append(j, NULL, &more, 1, &why);
            if (err == ERR_OK) err = journal_sync(j, &why);
            assert(err == ERR_OK);
        }
    }
    journal_close(&j);
    arena_done(&arena);
    files_fake_destroy(&files);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    if (len > 1 << 16) return 0;
    as_record((bytes_t){data, len});
    if (len >= 8) as_log(data, len);
    uint8_t *file = mem_new(4096);
    size_t used = forge(file, 4096, (bytes_t){data, len});
    as_log(file, used < 4096 ? 4096 : used);
    free(file);
    return 0;
}
