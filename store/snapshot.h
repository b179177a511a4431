// snapshot - a file with all keys of a store at one revision: what `troupe snapshot` saves and
// restores. Keys and leases, no history: whoever restores it compacts everything below.
//
// Numbers are little-endian, checksums CRC-32C. File header, 64 bytes:
//
//     off len                              off len
//       0   8 magic "TROUPSNP"              16   8 cluster id it was taken from
//       8   4 version, 1                    24   8 revision
//      12   4 crc of all other bytes        32   8 when, wall clock in ms
//                                           40  24 zeros
//
// Then chunks, one behind the other, the last one an end mark with nothing behind it:
//
//     off len
//       0   4 crc of bytes 4 .. 16 + length, seeded with the chunk's number (from 0)
//       4   4 length of the body, at most SNAPSHOT_CHUNK_BYTES_MAX
//       8   4 kind: 1 data, 2 end
//      12   4 zeros
//      16   n data: packed store.SnapshotChunk; end: keys (8), leases (8)
//
// A file that was cut short lacks the end mark; chunks that were lost, moved or repeated have
// another's number in their checksum.
#pragma once
#include "runtime/io/files.h"
#include "troupe/store.pb-c.h"

enum {
    SNAPSHOT_VERSION = 1,
    SNAPSHOT_HEADER_BYTES = 64,
    SNAPSHOT_CHUNK_HEADER_BYTES = 16,
    SNAPSHOT_CHUNK_BYTES_MAX = 16 << 20, // several times what one reply of the store may have
};

typedef struct {
    uint64_t cluster_id;
    int64_t revision;
    int64_t made_ms;
} snapshot_header_t;
typedef struct {
    uint64_t keys, leases, bytes;
} snapshot_tally_t;

// ---- writing ------------------------------------------------------------------------------------
typedef struct snapshot_writer snapshot_writer_t;
// Writes to PATH.part; the name comes last. ERR_EXISTS: there is such a file.
err_t snapshot_create(files_t *files, const char *path, const snapshot_header_t *header,
                      snapshot_writer_t **ret_writer, why_t *why) MUST_USE;
// ERR_TOO_LARGE: the chunk; nothing was written.
err_t snapshot_add(snapshot_writer_t *writer, const Store__SnapshotChunk *chunk,
                   why_t *why) MUST_USE;
// The end mark, a sync, the name.
err_t snapshot_finish(snapshot_writer_t *writer, why_t *why) MUST_USE;
const snapshot_tally_t *snapshot_written(const snapshot_writer_t *writer);
void snapshot_writer_destroy(snapshot_writer_t **writer); // unfinished: PATH.part is removed

// ---- reading ------------------------------------------------------------------------------------
typedef struct snapshot_reader snapshot_reader_t;
// ERR_NOT_FOUND, ERR_CORRUPT (with the position), ERR_UNSUPPORTED: a newer version.
err_t snapshot_open(files_t *files, const char *path, snapshot_reader_t **ret_reader,
                    why_t *why) MUST_USE;
const snapshot_header_t *snapshot_header(const snapshot_reader_t *reader);
uint64_t snapshot_bytes(const snapshot_reader_t *reader);
// The next chunk, the arena's; NULL: that was all, and it is whole. ERR_CORRUPT with the position.
err_t snapshot_next(snapshot_reader_t *reader, arena_t *arena, Store__SnapshotChunk **ret_chunk,
                    why_t *why) MUST_USE;
const snapshot_tally_t *snapshot_read(const snapshot_reader_t *reader); // so far
void snapshot_reader_destroy(snapshot_reader_t **reader);
