// A snapshot file of foreign bytes: first as it comes, then as chunks with true checksums. It must
// be refused, or read to its end.
#include "runtime/base/hash.h"
#include "runtime/base/le.h"
#include "store/snapshot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void read_all(const uint8_t *bytes, size_t len) {
    files_t *files = files_fake_new(1);
    file_t *file = NULL;
    snapshot_reader_t *reader = NULL;
    why_t why;
    err_t err = files_open(files, "/s", FILE_OPEN_CREATE, &file, &why);
    if (err == ERR_OK) err = file_write_at(file, 0, (bytes_t){bytes, len}, &why);
    assert(err == ERR_OK);
    file_close(&file);
    if (snapshot_open(files, "/s", &reader, &why) == ERR_OK) {
        err = ERR_OK;
        for (Store__SnapshotChunk *chunk = NULL; err == ERR_OK;) {
            arena_t arena = {0};
            err = snapshot_next(reader, &arena, &chunk, &why);
            bool end = err == ERR_OK && !chunk;
            arena_done(&arena);
            if (end) break;
        }
        assert(snapshot_read(reader)->bytes <= len);
    }
    snapshot_reader_destroy(&reader);
    files_fake_destroy(&files);
}

// The header's checksum covers all but itself; a chunk's is seeded with its number.
static size_t forge(uint8_t *file, const uint8_t *data, size_t len) {
    memcpy(file, "TROUPSNP", 8);
    le_put32(file + 8, SNAPSHOT_VERSION);
    le_put32(file + 12,
             hash_crc32c(hash_crc32c(0, file, 12), file + 16, SNAPSHOT_HEADER_BYTES - 16));
    size_t at = SNAPSHOT_HEADER_BYTES;
    for (uint32_t number = 0; len >= 2; number++) {
        uint8_t *chunk = file + at, seed[4];
        size_t body = data[1];
        uint32_t kind = data[0] % 3;
        data += 2, len -= 2;
        if (body > len) body = len;
        le_put32(chunk + 4, (uint32_t)body);
        le_put32(chunk + 8, kind);
        le_put32(chunk + 12, 0);
        memcpy(chunk + SNAPSHOT_CHUNK_HEADER_BYTES, data, body);
        le_put32(seed, number);
        le_put32(chunk, hash_crc32c(hash_crc32c(0, seed, sizeof seed), chunk + 4,
                                    SNAPSHOT_CHUNK_HEADER_BYTES - 4 + body));
        data += body, len -= body;
        at += SNAPSHOT_CHUNK_HEADER_BYTES + body;
    }
    return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    if (len > 1 << 14) return 0;
    read_all(data, len);
    uint8_t *file = mem_new(SNAPSHOT_HEADER_BYTES + (len + 2) * SNAPSHOT_CHUNK_HEADER_BYTES);
    size_t used = forge(file, data, len);
    read_all(file, used);
    free(file);
    return 0;
}
