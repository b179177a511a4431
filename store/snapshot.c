#include "store/snapshot.h"
#include "runtime/api/msg.h"
#include "runtime/base/hash.h"
#include "runtime/base/le.h"

enum { CHUNK_DATA = 1, CHUNK_END = 2, END_BYTES = 16 };
static const char magic[8] = {'T', 'R', 'O', 'U', 'P', 'S', 'N', 'P'};

struct snapshot_writer {
    files_t *files;
    file_t *file;      // owned; NULL: finished
    char *path, *part; // owned
    uint64_t offset;
    uint32_t chunks;
    snapshot_tally_t tally;
};
struct snapshot_reader {
    file_t *file; // owned
    snapshot_header_t header;
    uint64_t offset, size;
    uint32_t chunks;
    snapshot_tally_t tally;
};

static uint32_t header_crc(const uint8_t *header) {
    return hash_crc32c(hash_crc32c(0, header, 12), header + 16, SNAPSHOT_HEADER_BYTES - 16);
}
static uint32_t chunk_crc(const uint8_t *chunk, uint32_t number, size_t body_len) {
    uint8_t seed[4];
    le_put32(seed, number);
    return hash_crc32c(hash_crc32c(0, seed, sizeof seed), chunk + 4,
                       SNAPSHOT_CHUNK_HEADER_BYTES - 4 + body_len);
}

// ---- writing ------------------------------------------------------------------------------------
static err_t append(snapshot_writer_t *w, const uint8_t *at, size_t len, why_t *why) {
    err_t err = file_write_at(w->file, w->offset, (bytes_t){at, len}, why);
    if (err == ERR_OK) w->offset += len;
    return err;
}

// `chunk` has room for the header in front of its body.
static err_t append_chunk(snapshot_writer_t *w, uint8_t *chunk, uint32_t kind, size_t body_len,
                          why_t *why) {
    le_put32(chunk + 4, (uint32_t)body_len);
    le_put32(chunk + 8, kind);
    le_put32(chunk + 12, 0);
    le_put32(chunk, chunk_crc(chunk, w->chunks++, body_len));
    return append(w, chunk, SNAPSHOT_CHUNK_HEADER_BYTES + body_len, why);
}

err_t snapshot_create(files_t *files, const char *path, const snapshot_header_t *header,
                      snapshot_writer_t **ret_writer, why_t *why) {
    file_t *there = NULL;
    if (files_open(files, path, FILE_OPEN_READ, &there, NULL) == ERR_OK) {
        file_close(&there);
        return why_set(why, ERR_EXISTS, "%s is there already", path);
    }
    snapshot_writer_t *w = NEW(snapshot_writer_t);
    *w = (snapshot_writer_t){.files = files, .path = str_dup(path)};
    w->part = str_printf("%s.part", path);
    uint8_t bytes[SNAPSHOT_HEADER_BYTES] = {0};
    memcpy(bytes, magic, sizeof magic);
    le_put32(bytes + 8, SNAPSHOT_VERSION);
    le_put64(bytes + 16, header->cluster_id);
    le_put64(bytes + 24, (uint64_t)header->revision);
    le_put64(bytes + 32, (uint64_t)header->made_ms);
    le_put32(bytes + 12, header_crc(bytes));
    (void)!files_remove(files, w->part, NULL); // of an earlier try
    err_t err = files_open(files, w->part, FILE_OPEN_CREATE, &w->file, why);
    if (err == ERR_OK) err = append(w, bytes, sizeof bytes, why);
    if (err != ERR_OK)
        snapshot_writer_destroy(&w);
    else
        *ret_writer = w;
    return err;
}

err_t snapshot_add(snapshot_writer_t *w, const Store__SnapshotChunk *chunk, why_t *why) {
    size_t len = protobuf_c_message_get_packed_size(&chunk->base);
    if (len > SNAPSHOT_CHUNK_BYTES_MAX)
        return why_set(why, ERR_TOO_LARGE, "a chunk of %zu bytes", len);
    uint8_t *bytes = mem_new(SNAPSHOT_CHUNK_HEADER_BYTES + len);
    protobuf_c_message_pack(&chunk->base, bytes + SNAPSHOT_CHUNK_HEADER_BYTES);
    err_t err = append_chunk(w, bytes, CHUNK_DATA, len, why);
    free(bytes);
    if (err != ERR_OK) return err;
    w->tally.keys += chunk->n_kvs;
    w->tally.leases += chunk->n_leases;
    w->tally.bytes = w->offset;
    return ERR_OK;
}

err_t snapshot_finish(snapshot_writer_t *w, why_t *why) {
    uint8_t end[SNAPSHOT_CHUNK_HEADER_BYTES + END_BYTES];
    le_put64(end + SNAPSHOT_CHUNK_HEADER_BYTES, w->tally.keys);
    le_put64(end + SNAPSHOT_CHUNK_HEADER_BYTES + 8, w->tally.leases);
    err_t err = append_chunk(w, end, CHUNK_END, END_BYTES, why);
    if (err == ERR_OK) err = file_sync(w->file, why);
    if (err == ERR_OK) err = files_rename(w->files, w->part, w->path, why);
    if (err != ERR_OK) return err;
    file_close(&w->file);
    w->tally.bytes = w->offset;
    const char *slash = strrchr(w->path, '/');
    CLEANUP(free_charp)
    char *dir =
        slash ? str_dup_n(w->path, slash == w->path ? 1 : (size_t)(slash - w->path)) : str_dup(".");
    return files_sync_dir(w->files, dir, why);
}

const snapshot_tally_t *snapshot_written(const snapshot_writer_t *w) { return &w->tally; }

void snapshot_writer_destroy(snapshot_writer_t **writer) {
    snapshot_writer_t *w = x_steal(writer);
    if (!w) return;
    if (w->file) (void)!files_remove(w->files, w->part, NULL);
    file_close(&w->file);
    free(w->path);
    free(w->part);
    free(w);
}

// ---- reading ------------------------------------------------------------------------------------
static err_t corrupt(const snapshot_reader_t *r, const char *what, why_t *why) {
    return why_set(why, ERR_CORRUPT, "%s at %llu: %s", file_path(r->file),
                   (unsigned long long)r->offset, what);
}

static err_t read_exactly(snapshot_reader_t *r, void *to, size_t len, why_t *why) {
    size_t have = 0;
    err_t err = file_read_at(r->file, r->offset, to, len, &have, why);
    if (err == ERR_OK && have != len) err = corrupt(r, "the file ends too early", why);
    return err;
}

static err_t read_header(snapshot_reader_t *r, why_t *why) {
    uint8_t bytes[SNAPSHOT_HEADER_BYTES];
    err_t err = read_exactly(r, bytes, sizeof bytes, why);
    if (err != ERR_OK) return err;
    if (memcmp(bytes, magic, sizeof magic) != 0)
        return why_set(why, ERR_CORRUPT, "%s is not a snapshot of a store", file_path(r->file));
    if (le_get32(bytes + 12) != header_crc(bytes))
        return corrupt(r, "the header's checksum is wrong", why);
    if (le_get32(bytes + 8) != SNAPSHOT_VERSION)
        return why_set(why, ERR_UNSUPPORTED, "%s: snapshot format %u, this program knows %d",
                       file_path(r->file), le_get32(bytes + 8), SNAPSHOT_VERSION);
    r->header = (snapshot_header_t){.cluster_id = le_get64(bytes + 16),
                                    .revision = (int64_t)le_get64(bytes + 24),
                                    .made_ms = (int64_t)le_get64(bytes + 32)};
    if (r->header.revision < 0) return corrupt(r, "a negative revision", why);
    r->offset = sizeof bytes;
    return ERR_OK;
}

err_t snapshot_open(files_t *files, const char *path, snapshot_reader_t **ret_reader, why_t *why) {
    snapshot_reader_t *r = NEW(snapshot_reader_t);
    err_t err = files_open(files, path, FILE_OPEN_READ, &r->file, why);
    if (err == ERR_OK) err = file_size(r->file, &r->size, why);
    if (err == ERR_OK) err = read_header(r, why);
    if (err != ERR_OK)
        snapshot_reader_destroy(&r);
    else
        *ret_reader = r;
    return err;
}

// Is what the end mark says what was read, and is there nothing behind it?
static err_t check_end(const snapshot_reader_t *r, const uint8_t *body, size_t len, why_t *why) {
    if (len != END_BYTES || le_get64(body) != r->tally.keys ||
        le_get64(body + 8) != r->tally.leases)
        return corrupt(r, "the end mark tells of other keys than there were", why);
    if (r->offset + SNAPSHOT_CHUNK_HEADER_BYTES + len != r->size)
        return corrupt(r, "there is something behind the end", why);
    return ERR_OK;
}

static err_t take_chunk(snapshot_reader_t *r, arena_t *arena, uint32_t kind, const uint8_t *body,
                        size_t len, Store__SnapshotChunk **ret_chunk, why_t *why) {
    *ret_chunk = NULL;
    if (kind == CHUNK_END) return check_end(r, body, len, why);
    if (kind != CHUNK_DATA) return corrupt(r, "a chunk of unknown kind", why);
    void *chunk = NULL;
    if (msg_unpack(arena, &store__snapshot_chunk__descriptor, (bytes_t){body, len}, &chunk, NULL))
        return corrupt(r, "a chunk cannot be read", why);
    *ret_chunk = chunk;
    r->offset += SNAPSHOT_CHUNK_HEADER_BYTES + len;
    r->tally.keys += (*ret_chunk)->n_kvs;
    r->tally.leases += (*ret_chunk)->n_leases;
    r->tally.bytes = r->offset;
    return ERR_OK;
}

err_t snapshot_next(snapshot_reader_t *r, arena_t *arena, Store__SnapshotChunk **ret_chunk,
                    why_t *why) {
    uint8_t head[SNAPSHOT_CHUNK_HEADER_BYTES];
    err_t err = read_exactly(r, head, sizeof head, why);
    if (err != ERR_OK) return err;
    size_t len = le_get32(head + 4);
    if (len > SNAPSHOT_CHUNK_BYTES_MAX || len > r->size - r->offset)
        return corrupt(r, "a chunk longer than the rest of the file", why);
    uint8_t *chunk = mem_new(sizeof head + len);
    err = read_exactly(r, chunk, sizeof head + len, why);
    if (err == ERR_OK && le_get32(chunk) != chunk_crc(chunk, r->chunks, len))
        err = corrupt(r, "the chunk's checksum is wrong", why);
    if (err == ERR_OK)
        err = take_chunk(r, arena, le_get32(chunk + 8), chunk + sizeof head, len, ret_chunk, why);
    free(chunk);
    r->chunks++;
    return err;
}

const snapshot_header_t *snapshot_header(const snapshot_reader_t *r) { return &r->header; }
const snapshot_tally_t *snapshot_read(const snapshot_reader_t *r) { return &r->tally; }
uint64_t snapshot_bytes(const snapshot_reader_t *r) { return r->size; }

void snapshot_reader_destroy(snapshot_reader_t **reader) {
    snapshot_reader_t *r = x_steal(reader);
    if (!r) return;
    file_close(&r->file);
    free(r);
}
