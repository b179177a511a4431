#include "store/log/record.h"
#include "runtime/base/hash.h"
#include "runtime/base/le.h"

static const char magic[8] = {'T', 'R', 'O', 'U', 'P', 'L', 'O', 'G'};

uint32_t record_seed(uint64_t sequence) {
    uint8_t bytes[8];
    le_put64(bytes, sequence);
    return hash_crc32c(0, bytes, sizeof bytes) ^ 0x5eedu;
}

size_t record_bytes(size_t body_len) {
    size_t bytes = RECORD_HEADER_BYTES + body_len;
    return (bytes + RECORD_ALIGN_BYTES - 1) / RECORD_ALIGN_BYTES * RECORD_ALIGN_BYTES;
}

static uint32_t segment_crc(const uint8_t *header) {
    uint32_t crc = hash_crc32c(0, header, 12);
    return hash_crc32c(crc, header + 16, RECORD_SEGMENT_HEADER_BYTES - 16);
}

void record_put_segment(const segment_header_t *header,
                        uint8_t to[static RECORD_SEGMENT_HEADER_BYTES]) {
    memset(to, 0, RECORD_SEGMENT_HEADER_BYTES);
    memcpy(to, magic, sizeof magic);
    le_put32(to + 8, RECORD_VERSION);
    le_put64(to + 16, header->sequence);
    le_put64(to + 24, header->cluster_id);
    le_put64(to + 32, header->member_id);
    le_put64(to + 40, header->prev_index);
    le_put64(to + 48, header->prev_term);
    le_put64(to + 56, header->hard.term);
    le_put64(to + 64, header->hard.vote);
    to[72] = header->begins;
    le_put32(to + 12, segment_crc(to));
}

err_t record_get_segment(const uint8_t from[static RECORD_SEGMENT_HEADER_BYTES],
                         segment_header_t *ret_header, why_t *why) {
    if (memcmp(from, magic, sizeof magic) != 0)
        return why_set(why, ERR_CORRUPT, "not a log segment");
    uint32_t version = le_get32(from + 8);
    if (le_get32(from + 12) != segment_crc(from))
        return why_set(why, ERR_CORRUPT, "checksum of the segment header is wrong");
    if (version != RECORD_VERSION)
        return why_set(why, ERR_UNSUPPORTED, "log format %u, this program knows %d", version,
                       RECORD_VERSION);
    *ret_header = (segment_header_t){
        .sequence = le_get64(from + 16),
        .cluster_id = le_get64(from + 24),
        .member_id = le_get64(from + 32),
        .prev_index = le_get64(from + 40),
        .prev_term = le_get64(from + 48),
        .hard = {.term = le_get64(from + 56), .vote = le_get64(from + 64)},
        .begins = from[72],
    };
    return ERR_OK;
}

void record_put(const record_t *record, uint32_t seed, uint8_t *to) {
    assert(record->body.len <= RECORD_BODY_BYTES_MAX);
    assert(record->kind == RECORD_ENTRY || record->kind == RECORD_HARD);
    size_t whole = record_bytes(record->body.len), used = RECORD_HEADER_BYTES + record->body.len;
    le_put32(to + 4, (uint32_t)record->body.len);
    to[8] = (uint8_t)record->kind;
    to[9] = record->entry_kind;
    to[10] = to[11] = 0;
    le_put32(to + 12, record->synced);
    le_put64(to + 16, record->index);
    le_put64(to + 24, record->term);
    if (record->body.len) memcpy(to + RECORD_HEADER_BYTES, record->body.at, record->body.len);
    memset(to + used, 0, whole - used);
    le_put32(to, hash_crc32c(seed, to + 4, used - 4));
}

bool record_get_blindly(bytes_t from, record_t *ret_record) {
    if (from.len < RECORD_HEADER_BYTES) return false;
    uint32_t len = le_get32(from.at + 4);
    uint8_t kind = from.at[8];
    if (kind != RECORD_ENTRY && kind != RECORD_HARD) return false;
    if (from.at[10] || from.at[11] || len > RECORD_BODY_BYTES_MAX) return false;
    if (record_bytes(len) > from.len) return false;
    *ret_record = (record_t){
        .kind = (record_kind_t)kind,
        .entry_kind = from.at[9],
        .synced = le_get32(from.at + 12),
        .index = le_get64(from.at + 16),
        .term = le_get64(from.at + 24),
        .body = {from.at + RECORD_HEADER_BYTES, len},
    };
    return true;
}

bool record_get(bytes_t from, uint32_t seed, record_t *ret_record) {
    record_t record;
    if (!record_get_blindly(from, &record)) return false;
    uint32_t crc = hash_crc32c(seed, from.at + 4, RECORD_HEADER_BYTES - 4 + record.body.len);
    if (crc != le_get32(from.at)) return false;
    *ret_record = record;
    return true;
}
