#include "store/raft_wire.h"
#include "runtime/api/msg.h"
#include "store/machine.h"

// Far from where adding to a term or index would wrap round.
static const uint64_t NUMBER_MAX = UINT64_MAX / 4;

static_assert((int)RAFTPB__MESSAGE__TYPE__PRE_VOTE == RAFT_PRE_VOTE, "same numbers");
static_assert((int)RAFTPB__MESSAGE__TYPE__TIMEOUT_NOW == RAFT_TIMEOUT_NOW, "same numbers");

err_t raft_wire_get_config(arena_t *arena, bytes_t packed, raft_config_t *ret_config, why_t *why) {
    void *unpacked = NULL;
    err_t err = msg_unpack(arena, &raftpb__config__descriptor, packed, &unpacked, why);
    if (err != ERR_OK) return ERR_MALFORMED;
    const Raftpb__Config *from = unpacked;
    if (from->n_members == 0 || from->n_members > RAFT_MEMBERS_MAX)
        return why_set(why, ERR_MALFORMED, "a configuration of %zu members", from->n_members);
    raft_config_t config = {.len = from->n_members};
    for (size_t i = 0; i < config.len; i++) {
        const Raftpb__Member *m = from->members[i];
        raft_member_role_t role = m->learner   ? RAFT_MEMBER_LEARNER
                                  : m->witness ? RAFT_MEMBER_WITNESS
                                               : RAFT_MEMBER_VOTER;
        config.members[i] = (raft_member_t){m->id, role};
        if (m->learner && m->witness)
            return why_set(why, ERR_MALFORMED, "member %llu is both learner and witness",
                           (unsigned long long)m->id);
        if (m->id == 0 || raft_config_find(&config, m->id) != &config.members[i])
            return why_set(why, ERR_MALFORMED, "a configuration with member %llu twice, or 0",
                           (unsigned long long)m->id);
    }
    if (!raft_config_is_valid(&config))
        return why_set(why, ERR_MALFORMED, "a configuration without a voter, or of two witnesses");
    *ret_config = config;
    return ERR_OK;
}

static err_t get_entry(arena_t *arena, const Raftpb__Entry *from, raft_index_t index,
                       raft_entry_t *ret_entry, why_t *why) {
    if (from->index != index)
        return why_set(why, ERR_MALFORMED, "entry %llu where %llu was due",
                       (unsigned long long)from->index, (unsigned long long)index);
    if (from->kind > MACHINE_CONFIG)
        return why_set(why, ERR_MALFORMED, "an entry of unknown kind %u", from->kind);
    *ret_entry = (raft_entry_t){.term = from->term};
    if (from->kind == MACHINE_NOOP) ret_entry->kind = RAFT_ENTRY_NOOP;
    if (from->kind != MACHINE_CONFIG) return ERR_OK;
    raft_config_t *config = ARENA_NEW(arena, raft_config_t);
    ret_entry->kind = RAFT_ENTRY_CONFIG;
    ret_entry->config = config;
    return raft_wire_get_config(arena, (bytes_t){from->data.data, from->data.len}, config, why);
}

err_t raft_wire_get(arena_t *arena, const Raftpb__Message *from, raft_message_t *ret_message,
                    why_t *why) {
    if ((unsigned)from->type > RAFT_TIMEOUT_NOW || from->from == 0 || from->to == 0)
        return why_set(why, ERR_MALFORMED, "not a message between members");
    if (from->term > NUMBER_MAX || from->prev_index > NUMBER_MAX || from->last_index > NUMBER_MAX)
        return why_set(why, ERR_MALFORMED, "a term or index that nobody can have reached");
    if (from->n_entries > RAFT_APPEND_ENTRIES_MAX ||
        (from->n_entries && from->type != RAFTPB__MESSAGE__TYPE__APPEND))
        return why_set(why, ERR_MALFORMED, "%zu entries in a message", from->n_entries);
    raft_entry_t *entries = ARENA_ARRAY(arena, raft_entry_t, from->n_entries + 1);
    for (size_t i = 0; i < from->n_entries; i++) {
        err_t err = get_entry(arena, from->entries[i], from->prev_index + 1 + i, &entries[i], why);
        if (err != ERR_OK) return err;
    }
    *ret_message = (raft_message_t){
        .type = (raft_message_type_t)from->type,
        .from = from->from,
        .to = from->to,
        .term = from->term,
        .ok = from->ok,
        .transfer = from->transfer,
        .last_index = from->last_index,
        .last_term = from->last_term,
        .prev_index = from->prev_index,
        .prev_term = from->prev_term,
        .entries_len = from->n_entries,
        .entries = entries,
        .commit = from->commit,
        .match_index = from->match_index,
        .hint_index = from->hint_index,
        .hint_term = from->hint_term,
        .round = from->round,
        .everywhere = from->everywhere,
        .full = from->full,
        .promise_ms = from->promise_ms,
    };
    return ERR_OK;
}

Raftpb__Message *raft_wire_put(arena_t *arena, const raft_message_t *message, uint64_t cluster_id) {
    Raftpb__Message *to = MSG_NEW(arena, Raftpb__Message, raftpb__message__descriptor);
    to->type = (Raftpb__Message__Type)message->type;
    to->from = message->from;
    to->to = message->to;
    to->term = message->term;
    to->ok = message->ok;
    to->transfer = message->transfer;
    to->last_index = message->last_index;
    to->last_term = message->last_term;
    to->prev_index = message->prev_index;
    to->prev_term = message->prev_term;
    to->commit = message->commit;
    to->match_index = message->match_index;
    to->hint_index = message->hint_index;
    to->hint_term = message->hint_term;
    to->round = message->round;
    to->everywhere = message->everywhere;
    to->full = message->full;
    to->promise_ms = message->promise_ms;
    to->cluster_id = cluster_id;
    return to;
}
