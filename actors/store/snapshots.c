// Snapshots between members, beside the core: the leader streams a frozen view of its state
// machine, the receiver builds it beside its own and lets it take that one's place.
//
//     leader   view ─ chunk 0, 1, 2 … at most WINDOW unacknowledged ──► ──────────► last ─►
//     member                ◄── ack: next ── (built beside) … wanted? ─ put in place ─ log begun
//     anew
//                                                                         ◄── ack: ended ──
//
// Bulk lane, so heartbeats overtake it. A chunk that does not come again is asked for by its
// number: a broken connection goes on where it was. After a restart the receiver asks for chunk 0.
#include "actors/store/store_inner.h"
#include "runtime/base/hash.h"
#include "runtime/base/log.h"
#include <endian.h>

enum {
    SNAPSHOT_CHUNK_BYTES = 256 << 10,
    SNAPSHOT_WINDOW = 8,             // chunks
    SNAPSHOT_STALL_MS = 500,         // without an answer: what is unacknowledged is sent again
    SNAPSHOT_GIVE_UP_MS = 60 * 1000, // a receiver that is silent for so long
};

// ---- sending ------------------------------------------------------------------------------------
struct snapshot_out {
    kv_view_t *view; // owned
    // To a witness goes only who the members are, and as of when: these two pairs. Owned.
    blob_t *meta, *config;
    uint64_t id;
    raft_index_t index;
    raft_term_t term;
    uint64_t acked, next;       // chunks: the receiver has all before, is to get next
    VEC(blob_t *) begins;       // of chunks acked … next: the key after which each begins
    bool is_whole;              // the last chunk was built: next - 1
    uint64_t bytes, total;      // sent; of all, about
    int64_t asked_ms, heard_ms; // sent again; answered
};
typedef struct snapshot_out snapshot_out_t;

raft_index_t store_snapshot_index(const member_t *to) { return to->snapshot->index; }

void store_snapshot_progress(const member_t *to, uint64_t *ret_sent, uint64_t *ret_total) {
    if (!to->snapshot) return;
    *ret_sent = to->snapshot->bytes;
    *ret_total =
        to->snapshot->total > to->snapshot->bytes ? to->snapshot->total : to->snapshot->bytes;
}

static void drop_begins(snapshot_out_t *out, size_t count) {
    for (size_t i = 0; i < count; i++) blob_unref(&out->begins.at[i]);
    out->begins.len -= count;
    memmove(out->begins.at, out->begins.at + count, out->begins.len * sizeof *out->begins.at);
}

void store_drop_snapshot(member_t *to) {
    snapshot_out_t *out = x_steal(&to->snapshot);
    if (!out) return;
    drop_begins(out, out->begins.len);
    vec_done(&out->begins);
    kv_view_close(&out->view);
    blob_unref(&out->meta);
    blob_unref(&out->config);
    free(out);
}

void store_drop_snapshots(store_t *s) {
    for (size_t i = 0; i < s->members.len; i++) store_drop_snapshot(&s->members.at[i]);
}

static uint32_t crc_of(const Raftpb__SnapshotChunk *chunk) {
    uint64_t number = htole64(chunk->number);
    uint32_t crc = hash_crc32c(0, &number, sizeof number);
    for (size_t i = 0; i < chunk->n_pairs; i++) {
        crc = hash_crc32c(crc, chunk->pairs[i]->key.data, chunk->pairs[i]->key.len);
        crc = hash_crc32c(crc, chunk->pairs[i]->value.data, chunk->pairs[i]->value.len);
    }
    return crc;
}

static Raftpb__Pair **wire_pairs(arena_t *arena, const kv_op_t *pairs, size_t len,
                                 uint64_t *bytes) {
    Raftpb__Pair **out = ARENA_ARRAY(arena, Raftpb__Pair *, len + 1);
    for (size_t i = 0; i < len; i++) {
        out[i] = ARENA_NEW(arena, Raftpb__Pair);
        *out[i] = (Raftpb__Pair){.base = PROTOBUF_C_MESSAGE_INIT(&raftpb__pair__descriptor)};
        out[i]->key = (ProtobufCBinaryData){pairs[i].key.len, (uint8_t *)pairs[i].key.at};
        out[i]->value = (ProtobufCBinaryData){pairs[i].value.len, (uint8_t *)pairs[i].value.at};
        *bytes += pairs[i].key.len + pairs[i].value.len;
    }
    return out;
}

static err_t read_chunk(const snapshot_out_t *out, arena_t *arena, bytes_t after,
                        kv_op_t **ret_pairs, size_t *ret_len, why_t *why) {
    if (!out->meta)
        return kv_view_read(out->view, after, SNAPSHOT_CHUNK_BYTES, arena, ret_pairs, ret_len, why);
    kv_op_t *pairs = ARENA_ARRAY(arena, kv_op_t, 2);
    pairs[0] = (kv_op_t){keys_config(), blob_bytes(out->config), false};
    pairs[1] = (kv_op_t){keys_meta(), blob_bytes(out->meta), false};
    *ret_pairs = out->config ? pairs : pairs + 1;
    *ret_len = after.len ? 0 : out->config ? 2 : 1;
    return ERR_OK;
}

static err_t send_chunk(actor_t *me, member_t *to, why_t *why) {
    store_t *s = actor_state(me);
    arena_t *arena = actor_arena(me);
    snapshot_out_t *out = to->snapshot;
    kv_op_t *pairs = NULL;
    size_t len = 0;
    bytes_t after = blob_bytes(out->begins.at[out->next - out->acked]);
    err_t err = read_chunk(out, arena, after, &pairs, &len, why);
    if (err != ERR_OK) return err;
    Raftpb__SnapshotChunk chunk = PROTOBUF_C_MESSAGE_INIT(&raftpb__snapshot_chunk__descriptor);
    chunk.cluster_id = mvcc_meta(s->mvcc)->cluster_id;
    chunk.id = out->id;
    chunk.index = out->index;
    chunk.term = out->term;
    chunk.number = out->next++;
    chunk.pairs = wire_pairs(arena, pairs, len, &out->bytes);
    chunk.n_pairs = len;
    chunk.last = out->is_whole = len == 0;
    chunk.crc = crc_of(&chunk);
    chunk.bytes_total = out->total;
    actor_tell(me, to->address, &chunk.base);
    out->asked_ms = actor_now_ms(me);
    bytes_t last = len ? pairs[len - 1].key : after;
    if (out->begins.len == out->next - out->acked)
        vec_push(&out->begins, blob_from(last.at, last.len));
    return ERR_OK;
}

static void send_chunks(actor_t *me, member_t *to) {
    snapshot_out_t *out = to->snapshot;
    why_t why;
    while (!out->is_whole && out->next - out->acked < SNAPSHOT_WINDOW) {
        err_t err = send_chunk(me, to, &why);
        if (err != ERR_OK) {
            store_die(me, err, why.text);
            return;
        }
    }
}

// The core asks for a new one if it still needs one.
static void end_snapshot(actor_t *me, member_t *to) {
    raft_event_t event = store_event(me, RAFT_EVENT_SNAPSHOT_ENDED);
    event.snapshot_to = to->id;
    store_drop_snapshot(to);
    store_step(me, &event, NULL);
}

void store_begin_snapshot(actor_t *me, raft_id_t id) {
    store_t *s = actor_state(me);
    member_t *to = store_member(s, id);
    if (!to || to->snapshot) return;
    bytes_t packed, config = {0};
    meta_t meta;
    why_t why;
    kv_view_t *view = NULL;
    const raft_member_t *member = raft_config_find(raft_config(s->raft), id);
    bool to_witness = member && member->role == RAFT_MEMBER_WITNESS;
    // As the kv has it: what waits for room on the disk is not in it.
    err_t err = kv_get(s->kv, keys_meta(), actor_arena(me), &packed, &why);
    if (err == ERR_OK && (!packed.at || !keys_get_meta(packed, &meta)))
        err = why_set(&why, ERR_CORRUPT, "the state's meta record is damaged");
    if (err == ERR_OK && to_witness) err = mvcc_config(s->mvcc, actor_arena(me), &config, &why);
    if (err == ERR_OK && !to_witness) err = kv_view_open(s->kv, &view, &why);
    if (err != ERR_OK) {
        store_die(me, err, why.text);
        return;
    }
    to->snapshot = NEW(snapshot_out_t);
    *to->snapshot = (snapshot_out_t){.view = view,
                                     .id = actor_incarnation(me) + ++s->snapshots,
                                     .index = meta.applied_index,
                                     .term = meta.applied_term,
                                     .total = kv_disk_bytes(s->kv),
                                     .heard_ms = actor_now_ms(me)};
    if (to_witness) to->snapshot->meta = blob_from(packed.at, packed.len);
    if (config.at) to->snapshot->config = blob_from(config.at, config.len);
    vec_push(&to->snapshot->begins, blob_new(0));
    log_info(actor_address(me), "sends %s a snapshot of entry %llu", to->name,
             (unsigned long long)meta.applied_index);
    send_chunks(me, to);
    actor_timer(me, TIMER_SNAPSHOT, SNAPSHOT_STALL_MS);
}

void store_on_snapshot_ack(actor_t *me, const message_t *msg, const void *body) {
    store_t *s = actor_state(me);
    const Raftpb__SnapshotAck *ack = body;
    if (s->phase != STORE_RUNNING || ack->cluster_id != mvcc_meta(s->mvcc)->cluster_id) return;
    for (size_t i = 0; i < s->members.len; i++) {
        member_t *to = &s->members.at[i];
        snapshot_out_t *out = to->snapshot;
        if (!out || out->id != ack->id || !streq(to->address, msg->from)) continue;
        out->heard_ms = actor_now_ms(me);
        bool begins_anew = ack->next < out->acked;
        if (ack->ended || begins_anew) {
            end_snapshot(me, to);
            return;
        }
        if (ack->next > out->next) return; // of what we never sent
        drop_begins(out, ack->next - out->acked);
        out->acked = ack->next;
        send_chunks(me, to);
        return;
    }
}

void store_look_after_snapshots(actor_t *me) {
    store_t *s = actor_state(me);
    bool any = false;
    for (size_t i = 0; i < s->members.len; i++) {
        member_t *to = &s->members.at[i];
        snapshot_out_t *out = to->snapshot;
        if (!out) continue;
        int64_t now_ms = actor_now_ms(me);
        if (now_ms - out->heard_ms > SNAPSHOT_GIVE_UP_MS ||
            !raft_config_find(raft_config(s->raft), to->id)) {
            end_snapshot(me, to);
            continue;
        }
        any = true;
        if (now_ms - out->heard_ms < SNAPSHOT_STALL_MS ||
            now_ms - out->asked_ms < SNAPSHOT_STALL_MS)
            continue;
        out->next = out->acked;
        out->is_whole = false;
        send_chunks(me, to);
    }
    if (any) actor_timer(me, TIMER_SNAPSHOT, SNAPSHOT_STALL_MS);
}

// ---- receiving ----------------------------------------------------------------------------------
static void acknowledge(actor_t *me, const message_t *msg, const Raftpb__SnapshotChunk *chunk,
                        uint64_t next, bool ended) {
    Raftpb__SnapshotAck ack = PROTOBUF_C_MESSAGE_INIT(&raftpb__snapshot_ack__descriptor);
    ack.cluster_id = chunk->cluster_id;
    ack.id = chunk->id;
    ack.next = next;
    ack.ended = ended;
    actor_tell(me, msg->from, &ack.base);
}

uint64_t store_installed_index(actor_t *me) {
    store_t *s = actor_state(me);
    bytes_t value;
    why_t why;
    uint64_t index;
    if (kv_get(s->kv, keys_installed(), actor_arena(me), &value, &why) != ERR_OK || value.len != 8)
        return 0;
    memcpy(&index, value.at, sizeof index);
    return be64toh(index);
}

static err_t add_pairs(actor_t *me, const Raftpb__SnapshotChunk *chunk, why_t *why) {
    store_t *s = actor_state(me);
    kv_op_t *ops = ARENA_ARRAY(actor_arena(me), kv_op_t, chunk->n_pairs + 1);
    size_t len = 0;
    for (size_t i = 0; i < chunk->n_pairs; i++) {
        const Raftpb__Pair *pair = chunk->pairs[i];
        ops[len++] =
            (kv_op_t){{pair->key.data, pair->key.len}, {pair->value.data, pair->value.len}, false};
    }
    uint64_t index = htobe64(chunk->index);
    if (chunk->last) ops[len++] = (kv_op_t){keys_installed(), {(uint8_t *)&index, 8}, false};
    return kv_replace_add(s->kv, ops, len, why);
}

// The state machine is the snapshot's from here on, also after a crash; then the log follows. When
// we die between the two, the start sees it by keys_installed.
static err_t install(actor_t *me, why_t *why) {
    store_t *s = actor_state(me);
    const snapshot_in_t in = s->incoming;
    mvcc_destroy(&s->mvcc);
    err_t err = kv_replace_end(s->kv, why);
    if (err == ERR_OK) err = mvcc_open(s->kv, &s->mvcc, why);
    if (err != ERR_OK) return err;
    const meta_t *meta = mvcc_meta(s->mvcc);
    if (meta->applied_index != in.index || meta->applied_term != in.term)
        return why_set(why, ERR_CORRUPT, "the snapshot is of entry %llu, not %llu",
                       (unsigned long long)meta->applied_index, (unsigned long long)in.index);
    raft_config_t config;
    err = store_first_config(me, &config, why);
    if (err != ERR_OK) return err;
    size_t known = 0;
    for (const entry_t *e = entries_next(&s->entries);
         e && known < entries_waiting(&s->entries) && e[known].index <= in.index;)
        known++;
    entries_apply(&s->entries, known, true);
    raft_event_t event = store_event(me, RAFT_EVENT_INSTALLED);
    event.installed = (raft_installed_t){in.index, in.term, &config, meta->config_index};
    store_step(me, &event, NULL);
    s->cut_to = 0;
    log_info(actor_address(me), "has the snapshot of entry %llu", (unsigned long long)in.index);
    return ERR_OK;
}

void store_on_snapshot_chunk(actor_t *me, const message_t *msg, const void *body) {
    store_t *s = actor_state(me);
    const Raftpb__SnapshotChunk *chunk = body;
    snapshot_in_t *in = &s->incoming;
    if (s->phase != STORE_RUNNING || s->stopping || store_is_deaf(s)) return;
    if (chunk->cluster_id != mvcc_meta(s->mvcc)->cluster_id || chunk->crc != crc_of(chunk)) {
        actor_count(me, "store_bad_messages_total", 1);
        return;
    }
    why_t why;
    err_t err = ERR_OK;
    if (!raft_wants_snapshot(s->raft, chunk->index, chunk->term)) {
        acknowledge(me, msg, chunk, chunk->number, true);
        return;
    }
    if (chunk->id != in->id && chunk->number == 0) {
        *in = (snapshot_in_t){chunk->id, 0, chunk->index, chunk->term};
        err = kv_replace_begin(s->kv, &why);
    }
    bool is_due = chunk->id == in->id && chunk->number == in->next;
    if (err == ERR_OK && is_due) err = add_pairs(me, chunk, &why);
    if (err == ERR_OK && is_due) in->next++;
    if (err == ERR_OK && is_due && chunk->last) {
        err = install(me, &why);
        *in = (snapshot_in_t){0};
    }
    if (err != ERR_OK)
        store_die(me, err, why.text);
    else
        acknowledge(me, msg, chunk, chunk->id == in->id ? in->next : 0, is_due && chunk->last);
}
