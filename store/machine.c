#include "store/machine.h"
#include "runtime/api/msg.h"

static err_t apply_txn(mvcc_t *m, arena_t *arena, bytes_t data, machine_result_t *result,
                       why_t *why) {
    Store__TxnRequest *txn = msg_unpack_own(arena, &store__txn_request__descriptor, data);
    if (!txn) return why_set(why, ERR_CORRUPT, "a transaction cannot be read");
    Store__TxnReply *reply = NULL;
    err_t err = mvcc_txn(m, arena, txn, &reply, why);
    result->reply = (ProtobufCMessage *)reply;
    return err;
}

static err_t apply_compact(mvcc_t *m, arena_t *arena, bytes_t data, machine_result_t *result,
                           why_t *why) {
    Store__CompactRequest *request =
        msg_unpack_own(arena, &store__compact_request__descriptor, data);
    if (!request) return why_set(why, ERR_CORRUPT, "a compaction cannot be read");
    err_t err = mvcc_compact(m, request->revision, why);
    Store__CompactReply *reply =
        MSG_NEW(arena, Store__CompactReply, store__compact_reply__descriptor);
    reply->compact_revision = mvcc_meta(m)->compacted;
    result->reply = &reply->base;
    return err;
}

static Store__LeaseReply *lease_reply(mvcc_t *m, arena_t *arena, int64_t id, int64_t ttl_ms) {
    Store__LeaseReply *reply = MSG_NEW(arena, Store__LeaseReply, store__lease_reply__descriptor);
    reply->id = id;
    reply->ttl_ms = reply->granted_ttl_ms = ttl_ms;
    reply->revision = mvcc_meta(m)->revision;
    return reply;
}

static err_t apply_grant(mvcc_t *m, arena_t *arena, bytes_t data, machine_result_t *result,
                         why_t *why) {
    Store__LeaseGrant *grant = msg_unpack_own(arena, &store__lease_grant__descriptor, data);
    if (!grant) return why_set(why, ERR_CORRUPT, "a lease grant cannot be read");
    err_t err = mvcc_lease_grant(m, grant->id, grant->ttl_ms, why);
    result->reply = &lease_reply(m, arena, grant->id, grant->ttl_ms)->base;
    return err;
}

static err_t apply_revoke(mvcc_t *m, arena_t *arena, bytes_t data, machine_result_t *result,
                          why_t *why) {
    Store__LeaseRevoke *revoke = msg_unpack_own(arena, &store__lease_revoke__descriptor, data);
    if (!revoke) return why_set(why, ERR_CORRUPT, "a lease revocation cannot be read");
    err_t err = mvcc_lease_revoke(m, revoke->id, why);
    result->reply = &lease_reply(m, arena, revoke->id, 0)->base;
    return err;
}

err_t machine_apply(mvcc_t *mvcc, arena_t *arena, uint64_t index, uint64_t term, uint8_t kind,
                    bytes_t data, machine_result_t *ret_result, why_t *why) {
    machine_result_t *result = ret_result;
    result->err = ERR_OK;
    result->reply = NULL;
    err_t err = ERR_OK;
    switch ((machine_kind_t)kind) {
    case MACHINE_NOOP: break;
    case MACHINE_TXN: err = apply_txn(mvcc, arena, data, result, why); break;
    case MACHINE_COMPACT: err = apply_compact(mvcc, arena, data, result, why); break;
    case MACHINE_LEASE_GRANT: err = apply_grant(mvcc, arena, data, result, why); break;
    case MACHINE_LEASE_REVOKE: err = apply_revoke(mvcc, arena, data, result, why); break;
    case MACHINE_CONFIG: mvcc_note_config(mvcc, index, data); break;
    default:
        err = why_set(why, ERR_CORRUPT, "entry %llu is of unknown kind %u",
                      (unsigned long long)index, kind);
    }
    if (mvcc_is_refusal(err)) {
        result->err = err;
        result->why = arena_strdup(arena, why->text);
        err = ERR_OK;
    }
    if (err != ERR_OK) return why_wrap(why, err, "apply entry %llu", (unsigned long long)index);
    mvcc_entry_done(mvcc, index, term);
    return ERR_OK;
}
