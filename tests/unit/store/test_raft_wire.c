// Raft messages on the wire: there and back, and what is refused.
#include "runtime/api/msg.h"
#include "store/machine.h"
#include "store/raft_wire.h"
#include "tests/support/leaks.h"

static void *packed_and_back(arena_t *arena, const ProtobufCMessage *msg) {
    void *back = NULL;
    why_t why;
    cr_assert_eq(msg_unpack(arena, msg->descriptor, msg_pack(arena, msg), &back, &why), ERR_OK,
                 "%s", why.text);
    return back;
}

Test(raft_wire, every_field_comes_back)
{
    arena_t arena = {0};
    raft_message_t in = {.type = RAFT_APPEND_REPLY,
                         .from = 1,
                         .to = 2,
                         .term = 3,
                         .ok = true,
                         .transfer = true,
                         .last_index = 4,
                         .last_term = 5,
                         .prev_index = 6,
                         .prev_term = 7,
                         .commit = 8,
                         .match_index = 9,
                         .hint_index = 10,
                         .hint_term = 11,
                         .round = 12,
                         .everywhere = 13,
                         .full = true},
                   out;
    why_t why;
    Raftpb__Message *sent = packed_and_back(&arena, &raft_wire_put(&arena, &in, 99)->base);
    cr_assert_eq(sent->cluster_id, 99);
    cr_assert_eq(raft_wire_get(&arena, sent, &out, &why), ERR_OK, "%s", why.text);
    text_t a = {.arena = &arena}, b = {.arena = &arena};
    raft_message_print(&in, &a);
    raft_message_print(&out, &b);
    cr_assert_str_eq(a.at, b.at);
    cr_assert_eq(out.last_index + out.last_term + out.round + out.commit, 29);
    cr_assert(out.transfer && out.full);
    cr_assert_eq(out.everywhere, 13);
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

static Raftpb__Message *append(arena_t *arena, uint64_t index, uint32_t kind, bytes_t data_bytes) {
    Raftpb__Message *m = MSG_NEW(arena, Raftpb__Message, raftpb__message__descriptor);
    Raftpb__Entry *e = MSG_NEW(arena, Raftpb__Entry, raftpb__entry__descriptor);
    m->type = RAFTPB__MESSAGE__TYPE__APPEND;
    m->from = 1;
    m->to = 2;
    m->prev_index = 5;
    m->entries = ARENA_ARRAY(arena, Raftpb__Entry *, 1);
    m->entries[m->n_entries++] = e;
    e->index = index;
    e->kind = kind;
    e->data = (ProtobufCBinaryData){data_bytes.len, (uint8_t *)data_bytes.at};
    return m;
}

typedef enum { VOTERS, LEARNERS, WITNESSES, BOTH } as_t;
static bytes_t config(arena_t *arena, size_t len, const uint64_t *ids, as_t as) {
    Raftpb__Config *c = MSG_NEW(arena, Raftpb__Config, raftpb__config__descriptor);
    c->members = ARENA_ARRAY(arena, Raftpb__Member *, len + 1);
    for (size_t i = 0; i < len; i++) {
        Raftpb__Member *m = MSG_NEW(arena, Raftpb__Member, raftpb__member__descriptor);
        m->id = ids[i];
        m->learner = as == LEARNERS || as == BOTH;
        m->witness = as >= WITNESSES && i > 0;
        c->members[c->n_members++] = m;
    }
    return msg_pack(arena, &c->base);
}

Test(raft_wire, what_makes_no_sense_is_refused)
{
    arena_t arena = {0};
    raft_message_t out;
    why_t why;
    const uint64_t ids[] = {1, 2, 3}, twice[] = {1, 1}, nobody[] = {0};
    cr_assert_eq(raft_wire_get(&arena, append(&arena, 6, MACHINE_TXN, (bytes_t){0}), &out, &why),
                 ERR_OK);
    cr_assert_eq(raft_wire_get(&arena,
                               append(&arena, 6, MACHINE_CONFIG, config(&arena, 3, ids, VOTERS)),
                               &out, &why),
                 ERR_OK);
    cr_assert_eq(out.entries[0].config->len, 3);
    cr_assert_eq(raft_wire_get(&arena,
                               append(&arena, 6, MACHINE_CONFIG, config(&arena, 2, ids, WITNESSES)),
                               &out, &why),
                 ERR_OK);
    cr_assert_eq(out.entries[0].config->members[1].role, RAFT_MEMBER_WITNESS);
    Raftpb__Message *bad[] = {
        append(&arena, 7, MACHINE_TXN, (bytes_t){0}),
        append(&arena, 6, 99, (bytes_t){0}),
        append(&arena, 6, MACHINE_CONFIG, (bytes_t){0}),
        append(&arena, 6, MACHINE_CONFIG, config(&arena, 2, twice, VOTERS)),
        append(&arena, 6, MACHINE_CONFIG, config(&arena, 1, nobody, VOTERS)),
        append(&arena, 6, MACHINE_CONFIG, config(&arena, 3, ids, LEARNERS)),
        append(&arena, 6, MACHINE_CONFIG, config(&arena, 3, ids, WITNESSES)),
        append(&arena, 6, MACHINE_CONFIG, config(&arena, 2, ids, BOTH)),
        append(&arena, 6, MACHINE_TXN, (bytes_t){0}),
        append(&arena, 6, MACHINE_TXN, (bytes_t){0}),
        append(&arena, 6, MACHINE_TXN, (bytes_t){0}),
    };
    bad[8]->type = RAFTPB__MESSAGE__TYPE__VOTE;
    bad[9]->from = 0;
    bad[10]->term = UINT64_MAX;
    for (size_t i = 0; i < LENGTH_OF(bad); i++)
        cr_assert_eq(raft_wire_get(&arena, bad[i], &out, &why), ERR_MALFORMED, "row %zu", i);
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}
