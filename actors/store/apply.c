// What is committed becomes state, answers and leases' ends.
#include "actors/store/store_inner.h"
#include "runtime/api/msg.h"
#include "runtime/base/log.h"

enum {
    APPLY_ENTRIES_MAX = 512, // of one round: about 5 ms
    APPLY_BYTES_MAX = 4 << 20,
    PRUNE_CHANGES = 128, // of one round
};

// ---- entries ------------------------------------------------------------------------------------
typedef struct {
    entry_t *entry;
    machine_result_t result;
} applied_t;

static void follow_leases(actor_t *me, const applied_t *applied) {
    store_t *s = actor_state(me);
    if (!s->led || applied->result.err != ERR_OK) return;
    if (applied->entry->kind != MACHINE_LEASE_GRANT && applied->entry->kind != MACHINE_LEASE_REVOKE)
        return;
    const Store__LeaseReply *reply = (const Store__LeaseReply *)applied->result.reply;
    if (applied->entry->kind == MACHINE_LEASE_REVOKE)
        lessor_remove(&s->lessor, reply->id);
    else
        lessor_put(&s->lessor, reply->id, reply->granted_ttl_ms, actor_now_ms(me));
}

static void answer(actor_t *me, applied_t *applied) {
    entry_t *entry = applied->entry;
    if (!entry->caller) return;
    actor_set_trace(me, caller_trace_id(entry->caller));
    if (applied->result.err != ERR_OK)
        caller_fail(me, &entry->caller, applied->result.err, applied->result.why);
    else if (entry->kind == MACHINE_CONFIG)
        caller_reply(me, &entry->caller, &store_member_reply(me)->base);
    else
        caller_reply(me, &entry->caller, applied->result.reply);
}

// The leader of a term has all that was committed before it, once it has applied its own first
// entry.
static void announce(actor_t *me) {
    store_t *s = actor_state(me);
    if (s->led || store_is_witness(s) || !store_leads(s) ||
        mvcc_meta(s->mvcc)->applied_index < raft_commit(s->raft))
        return;
    lease_info_t *leases = NULL;
    size_t len = 0;
    why_t why;
    err_t err = mvcc_leases(s->mvcc, actor_arena(me), &leases, &len, &why);
    if (err != ERR_OK) {
        store_die(me, err, why.text);
        return;
    }
    lessor_done(&s->lessor);
    for (size_t i = 0; i < len; i++)
        lessor_put(&s->lessor, leases[i].id, leases[i].ttl_ms, actor_now_ms(me));
    s->led = true;
    actor_set_leader(me, true, raft_term(s->raft));
    actor_set_ready(me, true);
}

// A witness keeps of what is committed only who the members are: its log will be cut.
static void witness(actor_t *me) {
    store_t *s = actor_state(me);
    raft_index_t limit = raft_apply_limit(s->raft);
    size_t len = 0;
    why_t why;
    err_t err = ERR_OK;
    for (const entry_t *e = entries_next(&s->entries);
         err == ERR_OK && len < entries_waiting(&s->entries) && e[len].index <= limit; len++) {
        if (e[len].kind != MACHINE_CONFIG) continue;
        mvcc_note_config(s->mvcc, e[len].index, blob_bytes(e[len].data));
        err = mvcc_commit(s->mvcc, &why);
        if (err == ERR_OK) err = kv_flush(s->kv, &why);
    }
    if (err != ERR_OK)
        store_die(me, err, why.text);
    else
        entries_apply(&s->entries, len, true);
}

void store_apply(actor_t *me) {
    store_t *s = actor_state(me);
    if (store_is_witness(s)) {
        witness(me);
        return;
    }
    size_t ready = entries_waiting(&s->entries), len = 0, bytes = 0;
    entry_t *next = entries_next(&s->entries);
    applied_t *applied = NULL;
    why_t why;
    err_t err = ERR_OK;
    while (len < ready && len < APPLY_ENTRIES_MAX && bytes < APPLY_BYTES_MAX) {
        entry_t *entry = next + len;
        if (entry->index > s->apply_to) break;
        if (!applied) applied = ARENA_ARRAY(actor_arena(me), applied_t, APPLY_ENTRIES_MAX);
        applied[len].entry = entry;
        err = machine_apply(s->mvcc, actor_arena(me), entry->index, entry->term, entry->kind,
                            blob_bytes(entry->data), &applied[len].result, &why);
        if (err != ERR_OK) break;
        bytes += entry->data ? entry->data->len : 0;
        len++;
    }
    if (err == ERR_OK && len) err = mvcc_commit(s->mvcc, &why);
    if (err != ERR_OK && !store_stalls(me, err, why.text)) {
        store_die(me, err, why.text);
        return;
    }
    for (size_t i = 0; i < len; i++) {
        follow_leases(me, &applied[i]);
        answer(me, &applied[i]);
    }
    entries_apply(&s->entries, len, s->members.len > 0);
    if (s->disk_space.stalled) return;
    announce(me);
    next = entries_next(&s->entries);
    if (next && next->index <= s->apply_to) actor_settle_again(me);
}

// ---- reads --------------------------------------------------------------------------------------
static err_t serve_lease_query(store_t *s, arena_t *arena, int64_t now_ms,
                               const Store__LeaseQuery *query, ProtobufCMessage **ret_reply,
                               why_t *why) {
    Store__LeaseReply *reply = MSG_NEW(arena, Store__LeaseReply, store__lease_reply__descriptor);
    reply->id = query->id;
    reply->revision = mvcc_meta(s->mvcc)->revision;
    *ret_reply = &reply->base;
    if (query->id == 0) {
        reply->ids = ARENA_ARRAY(arena, int64_t, s->lessor.leases.len + 1);
        for (size_t i = 0; i < s->lessor.leases.len; i++)
            reply->ids[reply->n_ids++] = s->lessor.leases.at[i].id;
        return ERR_OK;
    }
    const store_lease_t *lease = lessor_find(&s->lessor, query->id);
    if (!lease) return why_set(why, ERR_NOT_FOUND, "there is no lease %lld", (long long)query->id);
    reply->granted_ttl_ms = lease->ttl_ms;
    reply->ttl_ms = lease->deadline_ms > now_ms ? lease->deadline_ms - now_ms : 0;
    if (!query->want_keys) return ERR_OK;
    bytes_t *keys = NULL;
    size_t len = 0;
    err_t err = mvcc_lease_keys(s->mvcc, arena, query->id, &keys, &len, why);
    reply->keys = ARENA_ARRAY(arena, ProtobufCBinaryData, len + 1);
    for (size_t i = 0; err == ERR_OK && i < len; i++)
        reply->keys[reply->n_keys++] = (ProtobufCBinaryData){keys[i].len, (uint8_t *)keys[i].at};
    return err;
}

static err_t keep_alive(store_t *s, arena_t *arena, int64_t now_ms,
                        const Store__LeaseKeepAlive *request, ProtobufCMessage **ret_reply,
                        why_t *why) {
    store_lease_t *lease = lessor_find(&s->lessor, request->id);
    if (!lease || lease->revoking) return why_set(why, ERR_NOT_FOUND, "there is no such lease");
    Store__LeaseReply *reply = MSG_NEW(arena, Store__LeaseReply, store__lease_reply__descriptor);
    reply->id = request->id;
    reply->ttl_ms = reply->granted_ttl_ms = lease->ttl_ms;
    reply->revision = mvcc_meta(s->mvcc)->revision;
    *ret_reply = &reply->base;
    lessor_put(&s->lessor, lease->id, lease->ttl_ms, now_ms);
    return ERR_OK;
}

// A transaction that changes nothing needs no entry in the log.
static err_t serve_txn(store_t *s, arena_t *arena, const Store__TxnRequest *txn,
                       ProtobufCMessage **ret_reply, why_t *why) {
    Store__TxnReply *reply = NULL;
    err_t err = mvcc_txn(s->mvcc, arena, txn, &reply, why);
    *ret_reply = (ProtobufCMessage *)reply;
    return err;
}

static void serve(actor_t *me, pending_read_t *read) {
    store_t *s = actor_state(me);
    arena_t *arena = actor_arena(me);
    why_t why;
    err_t err = ERR_OK;
    ProtobufCMessage *reply = NULL;
    void *body = msg_unpack_own(arena, read->type, blob_bytes(read->body));
    assert(body); // it was unpacked when it came
    if (read->type == &store__range_request__descriptor) {
        Store__RangeReply *range = NULL;
        err = mvcc_range(s->mvcc, arena, body, &range, &why);
        reply = (ProtobufCMessage *)range;
    } else if (read->type == &store__txn_request__descriptor) {
        err = serve_txn(s, arena, body, &reply, &why);
    } else if (read->type == &store__lease_keep_alive__descriptor) {
        err = keep_alive(s, arena, actor_now_ms(me), body, &reply, &why);
    } else {
        assert(read->type == &store__lease_query__descriptor);
        err = serve_lease_query(s, arena, actor_now_ms(me), body, &reply, &why);
    }
    actor_set_trace(me, caller_trace_id(read->caller));
    if (err == ERR_OK)
        caller_reply(me, &read->caller, reply);
    else
        caller_fail(me, &read->caller, err, why.text);
    if (err != ERR_OK && !mvcc_is_refusal(err)) store_die(me, err, why.text);
}

void store_serve_reads(actor_t *me) {
    store_t *s = actor_state(me);
    size_t kept = 0;
    raft_index_t applied = mvcc_meta(s->mvcc)->applied_index;
    for (size_t i = 0; i < s->reads.len; i++) {
        pending_read_t *read = &s->reads.at[i];
        if (read->index == UINT64_MAX)
            caller_fail(me, &read->caller, ERR_NOT_LEADER, "this member does not lead");
        else if (read->index && read->index <= applied && !s->stopping)
            serve(me, read);
        if (!read->caller)
            blob_unref(&read->body);
        else
            s->reads.at[kept++] = *read;
    }
    s->reads.len = kept;
}

// ---- leases -------------------------------------------------------------------------------------
void store_expire_leases(actor_t *me) {
    store_t *s = actor_state(me);
    if (!s->led) return;
    for (int64_t id; (id = lessor_due(&s->lessor, actor_now_ms(me)));) {
        Store__LeaseRevoke body = PROTOBUF_C_MESSAGE_INIT(&store__lease_revoke__descriptor);
        body.id = id;
        lessor_find(&s->lessor, id)->revoking = true;
        store_propose(me, MACHINE_LEASE_REVOKE, msg_blob(&body.base), NULL);
    }
    int64_t due = lessor_deadline_ms(&s->lessor);
    if (due == INT64_MAX)
        actor_timer_cancel(me, TIMER_LEASES);
    else
        actor_timer(me, TIMER_LEASES, due - actor_now_ms(me));
}

// ---- history ------------------------------------------------------------------------------------
// Compaction by age and count. The timer runs only while there are revisions younger than the mark:
// an idle store sleeps.
void store_keep_history(actor_t *me, bool by_timer) {
    store_t *s = actor_state(me);
    int64_t keep_ms = s->args->history_keep_ms ? s->args->history_keep_ms : STORE_HISTORY_KEEP_MS;
    int64_t keep = s->args->history_keep_revisions ? s->args->history_keep_revisions
                                                   : STORE_HISTORY_KEEP_REVISIONS;
    const meta_t *meta = mvcc_meta(s->mvcc);
    if (s->led && keep_ms > 0 && !by_timer && meta->revision > s->history_mark.revision &&
        s->history_mark.at_ms == 0) {
        s->history_mark.at_ms = actor_now_ms(me);
        s->history_mark.revision = meta->revision;
        actor_timer(me, TIMER_HISTORY, keep_ms);
    }
    if (by_timer && s->led) {
        revision_t upto = s->history_mark.revision;
        if (upto > meta->revision - keep) upto = meta->revision - keep;
        s->history_mark.at_ms = 0;
        if (upto > meta->compacted) {
            Store__CompactRequest body =
                PROTOBUF_C_MESSAGE_INIT(&store__compact_request__descriptor);
            body.revision = upto;
            store_propose(me, MACHINE_COMPACT, msg_blob(&body.base), NULL);
        }
    }
    if (s->disk_space.stalled || meta->pruned >= meta->compacted) return;
    why_t why;
    bool more = false;
    err_t err = mvcc_prune(s->mvcc, PRUNE_CHANGES, &more, &why);
    if (err != ERR_OK && !store_stalls(me, err, why.text))
        store_die(me, err, why.text);
    else if (more)
        actor_settle_again(me);
}
