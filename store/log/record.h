// record - the bytes of the log: segment headers and records. Pure; docs/store.md has the picture.
//
// All numbers are little-endian. Segment header, 512 bytes (a sector of its own):
//
//     off len                              off len
//       0   8 magic "TROUPLOG"              48   8 prev_term
//       8   4 version, 1                    56   8 hard term
//      12   4 crc of all other bytes        64   8 hard vote
//      16   8 sequence                      72   1 begins: 1, older segments do not count
//      24   8 cluster id                    73 439 zeros
//      32   8 member id
//      40   8 prev_index
//
// Record, 32 bytes and the body, padded with zeros to a multiple of 8:
//
//     off len
//       0   4 crc of bytes 4 .. 32 + body, seeded with the segment's seed
//       4   4 body length
//       8   1 kind (1 entry, 2 hard state)
//       9   1 entry kind, the store's own; 0 for a hard state
//      10   2 zeros
//      12   4 synced: where in this segment everything before was durable when this was written
//      16   8 index       (hard state: vote)
//      24   8 term
//
// The seed comes from the segment's sequence: what a recycled file still holds from an earlier
// life does not pass for a record of this one. `synced` tells a torn tail from damage: a bad
// record at offset p is the world's fault before a sync, unless a later good record says that p
// was durable already. Then it is damage, and nothing may be guessed.
#pragma once
#include "runtime/base/bytes.h"
#include "runtime/base/why.h"
#include "store/raft/raft.h"

enum {
    RECORD_SEGMENT_HEADER_BYTES = 512,
    RECORD_HEADER_BYTES = 32,
    RECORD_ALIGN_BYTES = 8,
    RECORD_BODY_BYTES_MAX = 6 << 20, // one entry; above what a transaction may have
    RECORD_VERSION = 1,
};

typedef struct {
    uint64_t sequence; // ascending by 1; names the file too
    uint64_t cluster_id;
    raft_id_t member_id;
    raft_index_t prev_index; // last entry before this segment
    raft_term_t prev_term;
    raft_hard_t hard; // in force when the segment was begun
    bool begins;      // the log begins here, after prev_index: a snapshot has all before
} segment_header_t;

typedef enum { RECORD_ENTRY = 1, RECORD_HARD = 2 } record_kind_t;
typedef struct {
    record_kind_t kind;
    uint8_t entry_kind;
    uint32_t synced;
    raft_index_t index; // RECORD_HARD: the vote
    raft_term_t term;
    bytes_t body;
} record_t;

uint32_t record_seed(uint64_t sequence);
size_t record_bytes(size_t body_len); // header, body and padding

void record_put_segment(const segment_header_t *header,
                        uint8_t to[static RECORD_SEGMENT_HEADER_BYTES]);
// ERR_CORRUPT: not a header; ERR_UNSUPPORTED: a newer version's.
err_t record_get_segment(const uint8_t from[static RECORD_SEGMENT_HEADER_BYTES],
                         segment_header_t *ret_header, why_t *why) MUST_USE;
// Writes record_bytes(body.len) bytes.
void record_put(const record_t *record, uint32_t seed, uint8_t *to);
// False: there is no whole, true record at the beginning of `from`. The body points into it.
bool record_get(bytes_t from, uint32_t seed, record_t *ret_record) MUST_USE;
// The same without looking at the checksum: what a careless log would take. For a canary only.
bool record_get_blindly(bytes_t from, record_t *ret_record) MUST_USE;
