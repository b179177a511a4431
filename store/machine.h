// machine - what an entry of the log does to the state machine.
#pragma once
#include "store/mvcc/mvcc.h"

// Kinds of entries; they stand on disk and on the wire: numbers are never reused.
typedef enum {
    MACHINE_NOOP = 0,         // a leader's first entry; no data
    MACHINE_TXN = 1,          // packed store.TxnRequest
    MACHINE_COMPACT = 2,      // packed store.CompactRequest
    MACHINE_LEASE_GRANT = 3,  // packed store.LeaseGrant, its id chosen
    MACHINE_LEASE_REVOKE = 4, // packed store.LeaseRevoke; expiry too
    MACHINE_CONFIG = 5,       // packed raft.Config
} machine_kind_t;

typedef struct {
    err_t err;               // the state machine's answer: ERR_OK, or a refusal
    const char *why;         // with a refusal; the arena's
    ProtobufCMessage *reply; // ERR_OK: to whoever asked; NULL: nobody could ask for this
} machine_result_t;

// Apply one entry, whole or not at all. An error returned (not in the result) is the disk's, or
// ERR_CORRUPT: bytes that nobody could have proposed; the member must stop.
err_t machine_apply(mvcc_t *mvcc, arena_t *arena, uint64_t index, uint64_t term, uint8_t kind,
                    bytes_t data, machine_result_t *ret_result, why_t *why) MUST_USE;
