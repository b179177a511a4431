// What an entry of the log does.
#include "runtime/api/msg.h"
#include "store/machine.h"
#include "tests/support/leaks.h"

typedef struct {
    kv_t *kv;
    mvcc_t *m;
    arena_t arena;
    uint64_t index;
    machine_result_t result;
    why_t why;
} table_t;

static void open_table(table_t *t) {
    *t = (table_t){.kv = kv_map_new()};
    cr_assert_eq(mvcc_open(t->kv, &t->m, &t->why), ERR_OK);
}
static void close_table(table_t *t) {
    mvcc_destroy(&t->m);
    kv_destroy(&t->kv);
    arena_done(&t->arena);
}
static err_t apply(table_t *t, uint8_t kind, const ProtobufCMessage *body) {
    bytes_t data = body ? msg_pack(&t->arena, body) : (bytes_t){0};
    return machine_apply(t->m, &t->arena, ++t->index, 1, kind, data, &t->result, &t->why);
}

Test(machine, each_kind_of_entry_has_its_effect_and_its_reply)
{
    table_t t;
    open_table(&t);
    Store__LeaseGrant grant = {PROTOBUF_C_MESSAGE_INIT(&store__lease_grant__descriptor), .id = 5,
                               .ttl_ms = 100};
    Store__LeaseRevoke revoke = {PROTOBUF_C_MESSAGE_INIT(&store__lease_revoke__descriptor),
                                 .id = 5};
    Store__CompactRequest compact = {PROTOBUF_C_MESSAGE_INIT(&store__compact_request__descriptor),
                                     .revision = 9};
    cr_assert_eq(apply(&t, MACHINE_NOOP, NULL), ERR_OK);
    cr_assert_null(t.result.reply);
    cr_assert_eq(apply(&t, MACHINE_LEASE_GRANT, &grant.base), ERR_OK);
    cr_assert_eq(((Store__LeaseReply *)t.result.reply)->granted_ttl_ms, 100);
    cr_assert_eq(apply(&t, MACHINE_LEASE_GRANT, &grant.base), ERR_OK);
    cr_assert_eq(t.result.err, ERR_EXISTS);
    cr_assert_eq(apply(&t, MACHINE_LEASE_REVOKE, &revoke.base), ERR_OK);
    cr_assert_eq(t.result.err, ERR_OK);
    cr_assert_eq(apply(&t, MACHINE_LEASE_REVOKE, &revoke.base), ERR_OK);
    cr_assert_eq(t.result.err, ERR_NOT_FOUND);
    cr_assert_eq(apply(&t, MACHINE_COMPACT, &compact.base), ERR_OK);
    cr_assert_eq(t.result.err, ERR_FUTURE_REVISION);
    cr_assert_eq(apply(&t, MACHINE_CONFIG, NULL), ERR_OK);
    cr_assert_eq(mvcc_meta(t.m)->config_index, t.index);
    cr_assert_eq(mvcc_meta(t.m)->applied_index, t.index); // a refused entry is applied, too
    close_table(&t);
    ASSERT_NO_LEAKS();
}

Test(machine, bytes_that_nobody_could_propose_stop_the_member)
{
    table_t t;
    open_table(&t);
    uint8_t rubbish[] = {0xff, 0xff, 0xff};
    cr_assert_eq(machine_apply(t.m, &t.arena, 1, 1, MACHINE_TXN, (bytes_t){rubbish, 3}, &t.result,
                               &t.why),
                 ERR_CORRUPT);
    cr_assert_eq(machine_apply(t.m, &t.arena, 1, 1, 99, (bytes_t){0}, &t.result, &t.why),
                 ERR_CORRUPT);
    cr_assert_not_null(strstr(t.why.text, "apply entry 1"));
    cr_assert_eq(mvcc_meta(t.m)->applied_index, 0);
    close_table(&t);
    ASSERT_NO_LEAKS();
}
