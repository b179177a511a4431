// store_actor in the simulator: one member with a disk in memory and a sorted map.
#include "actors/store/disk_actor.h"
#include "actors/store/store_actor.h"
#include "runtime/api/msg.h"
#include "runtime/base/text.h"
#include "runtime/sim/sim.h"
#include "support/leaks.h"
#include "troupe/store.pb-c.h"

typedef struct {
    sim_t *sim;
    files_t *files;
    kv_t *kv;
    disk_args_t disk;
    store_args_t store;
    arena_t arena;
} world_t;

static void crashed(void *arg) {
    world_t *w = arg;
    files_fake_crash(w->files);
    kv_map_crash(w->kv);
}

static void world_open(world_t *w, uint64_t seed) {
    *w = (world_t){.sim = sim_new(seed), .files = files_fake_new(seed), .kv = kv_map_new()};
    kv_map_flush_every(w->kv, 7);
    w->disk = (disk_args_t){
        .data_dir = "/data", .member = "m1", .files = w->files, .segment_bytes = 64 << 10};
    w->store = (store_args_t){.data_dir = "/data", .member = "m1", .kv = w->kv};
    why_t why;
    cr_assert_eq(sim_spawn(w->sim, "h1", "p1", &disk_actor, "m1", &w->disk, &why), ERR_OK, "%s",
                 why.text);
    cr_assert_eq(sim_spawn(w->sim, "h1", "p1", &store_actor, "m1", &w->store, &why), ERR_OK, "%s",
                 why.text);
    sim_on_crash(w->sim, "p1", crashed, w);
    sim_run_for(w->sim, 100);
}
static void world_close(world_t *w) {
    sim_destroy(&w->sim);
    kv_destroy(&w->kv);
    files_fake_destroy(&w->files);
    arena_done(&w->arena);
}

static ProtobufCBinaryData data(const char *s) {
    return (ProtobufCBinaryData){strlen(s), (uint8_t *)s};
}

static int64_t put(world_t *w, const char *key, const char *value) {
    Store__PutOp op = {.base = PROTOBUF_C_MESSAGE_INIT(&store__put_op__descriptor)};
    op.key = data(key);
    op.value = data(value);
    Store__Op then = {.base = PROTOBUF_C_MESSAGE_INIT(&store__op__descriptor)};
    then.op_case = STORE__OP__OP_PUT;
    then.put = &op;
    Store__Op *ops[] = {&then};
    Store__TxnRequest txn = {.base = PROTOBUF_C_MESSAGE_INIT(&store__txn_request__descriptor)};
    txn.then = ops;
    txn.n_then = 1;
    Store__TxnReply *reply = NULL;
    why_t why;
    err_t err = sim_ask(w->sim, "test/a", "store", &txn.base, 1000, &w->arena,
                        &store__txn_reply__descriptor, (void **)&reply, &why);
    cr_assert_eq(err, ERR_OK, "%s", why.text);
    return reply->revision;
}

static const char *get(world_t *w, const char *key) {
    Store__RangeRequest range = {.base =
                                     PROTOBUF_C_MESSAGE_INIT(&store__range_request__descriptor)};
    range.key = data(key);
    Store__RangeReply *reply = NULL;
    why_t why;
    err_t err = sim_ask(w->sim, "test/a", "store", &range.base, 1000, &w->arena,
                        &store__range_reply__descriptor, (void **)&reply, &why);
    cr_assert_eq(err, ERR_OK, "%s", why.text);
    if (reply->n_kvs == 0) return NULL;
    return arena_strndup(&w->arena, (char *)reply->kvs[0]->value.data, reply->kvs[0]->value.len);
}

Test(store_actor, alone_it_leads_at_once_and_keeps_what_it_is_given)
{
    world_t w;
    world_open(&w, 1);
    cr_assert_eq(put(&w, "a", "1"), 1);
    cr_assert_eq(put(&w, "a", "2"), 2);
    cr_assert_str_eq(get(&w, "a"), "2");
    cr_assert_null(get(&w, "b"));
    world_close(&w);
    ASSERT_NO_LEAKS();
}

Test(store_actor, what_was_acknowledged_survives_a_power_cut)
{
    world_t w;
    world_open(&w, 2);
    char key[16];
    for (int i = 0; i < 50; i++) {
        snprintf(key, sizeof key, "k%d", i);
        put(&w, key, key);
        if (i % 10 != 9) continue;
        sim_crash_process(w.sim, "p1");
        sim_restart_process(w.sim, "p1");
        sim_run_for(w.sim, 100);
    }
    for (int i = 0; i < 50; i++) {
        snprintf(key, sizeof key, "k%d", i);
        const char *value = get(&w, key);
        cr_assert(value && streq(value, key), "%s is lost", key);
    }
    world_close(&w);
    ASSERT_NO_LEAKS();
}

// ---- more of what it promises -------------------------------------------------------------------
static err_t ask(world_t *w, const ProtobufCMessage *body, const ProtobufCMessageDescriptor *type,
                 void **ret_reply, why_t *why) {
    return sim_ask(w->sim, "test/a", "store", body, 1000, &w->arena, type, ret_reply, why);
}

static Store__TxnRequest *put_txn(arena_t *arena, const char *key, ProtobufCBinaryData value,
                                  int64_t lease) {
    Store__PutOp *op = MSG_NEW(arena, Store__PutOp, store__put_op__descriptor);
    op->key = data(key);
    op->value = value;
    op->lease = lease;
    Store__Op *then = MSG_NEW(arena, Store__Op, store__op__descriptor);
    then->op_case = STORE__OP__OP_PUT;
    then->put = op;
    Store__TxnRequest *txn = MSG_NEW(arena, Store__TxnRequest, store__txn_request__descriptor);
    txn->then = ARENA_ARRAY(arena, Store__Op *, 1);
    txn->then[txn->n_then++] = then;
    return txn;
}

Test(store_actor, a_round_larger_than_one_message_to_the_disk_goes_in_parts)
{
    world_t w;
    world_open(&w, 3);
    enum { BIG = 1200 * 1024, COUNT = 12 };
    uint8_t *big = mem_new(BIG);
    memset(big, 'b', BIG);
    for (int i = 0; i < COUNT; i++) {
        char key[16];
        snprintf(key, sizeof key, "big%02d", i);
        sim_tell(w.sim, "test/b", "store/m1",
                 &put_txn(&w.arena, key, (ProtobufCBinaryData){BIG, big}, 0)->base);
    }
    put(&w, "last", "1");
    for (int round = 0; round < 2; round++) {
        cr_assert_not_null(get(&w, "big00"));
        cr_assert_eq(strlen(get(&w, "big11")), BIG);
        sim_crash_process(w.sim, "p1");
        sim_restart_process(w.sim, "p1");
        sim_run_for(w.sim, 100);
    }
    free(big);
    world_close(&w);
    ASSERT_NO_LEAKS();
}

Test(store_actor, a_lease_that_is_not_kept_alive_takes_its_keys_with_it)
{
    world_t w;
    world_open(&w, 4);
    why_t why;
    Store__LeaseGrant grant = {.base = PROTOBUF_C_MESSAGE_INIT(&store__lease_grant__descriptor),
                               .ttl_ms = 300};
    Store__LeaseReply *lease = NULL;
    Store__TxnReply *put_reply = NULL;
    cr_assert_eq(ask(&w, &grant.base, &store__lease_reply__descriptor, (void **)&lease, &why),
                 ERR_OK, "%s", why.text);
    cr_assert_gt(lease->id, 0);
    cr_assert_eq(ask(&w, &put_txn(&w.arena, "held", data("1"), lease->id)->base,
                     &store__txn_reply__descriptor, (void **)&put_reply, &why),
                 ERR_OK);
    Store__LeaseKeepAlive keep = {.base =
                                      PROTOBUF_C_MESSAGE_INIT(&store__lease_keep_alive__descriptor),
                                  .id = lease->id};
    for (int i = 0; i < 5; i++) {
        sim_run_for(w.sim, 200);
        Store__LeaseReply *kept = NULL;
        cr_assert_eq(ask(&w, &keep.base, &store__lease_reply__descriptor, (void **)&kept, &why),
                     ERR_OK, "%s", why.text);
    }
    cr_assert_str_eq(get(&w, "held"), "1");
    // A new life of the store gives every lease its whole time again, and not more.
    sim_crash_process(w.sim, "p1");
    sim_restart_process(w.sim, "p1");
    sim_run_for(w.sim, 200);
    cr_assert_str_eq(get(&w, "held"), "1");
    sim_run_for(w.sim, 300);
    cr_assert_null(get(&w, "held"));
    Store__LeaseReply *kept = NULL;
    cr_assert_eq(ask(&w, &keep.base, &store__lease_reply__descriptor, (void **)&kept, &why),
                 ERR_NOT_FOUND);
    world_close(&w);
    ASSERT_NO_LEAKS();
}

Test(store_actor, bad_requests_are_refused_and_change_nothing)
{
    world_t w;
    world_open(&w, 5);
    why_t why;
    void *reply = NULL;
    cr_assert_eq(ask(&w, &put_txn(&w.arena, "", data("x"), 0)->base, &store__txn_reply__descriptor,
                     &reply, &why),
                 ERR_INVALID);
    cr_assert_not_null(strstr(why.text, "the key is empty"), "%s", why.text);
    cr_assert_eq(ask(&w, &put_txn(&w.arena, "a", data("x"), 77)->base,
                     &store__txn_reply__descriptor, &reply, &why),
                 ERR_NOT_FOUND);
    uint8_t *big = mem_new(2 << 20);
    cr_assert_eq(ask(&w, &put_txn(&w.arena, "a", (ProtobufCBinaryData){2 << 20, big}, 0)->base,
                     &store__txn_reply__descriptor, &reply, &why),
                 ERR_TOO_LARGE);
    free(big);
    Store__RangeRequest range = {.base =
                                     PROTOBUF_C_MESSAGE_INIT(&store__range_request__descriptor)};
    range.key = data("a");
    range.revision = 99;
    cr_assert_eq(ask(&w, &range.base, &store__range_reply__descriptor, &reply, &why),
                 ERR_FUTURE_REVISION);
    Store__LeaseGrant grant = {.base = PROTOBUF_C_MESSAGE_INIT(&store__lease_grant__descriptor),
                               .ttl_ms = 0};
    cr_assert_eq(ask(&w, &grant.base, &store__lease_reply__descriptor, &reply, &why), ERR_INVALID);
    Store__CompactRequest compact = {
        .base = PROTOBUF_C_MESSAGE_INIT(&store__compact_request__descriptor), .revision = 5};
    cr_assert_eq(ask(&w, &compact.base, &store__compact_reply__descriptor, &reply, &why),
                 ERR_FUTURE_REVISION);
    cr_assert_eq(put(&w, "a", "1"), 1);
    world_close(&w);
    ASSERT_NO_LEAKS();
}

// With members named wrongly, or the log of another cluster: it does not serve, and serves again,
// with all it had, when that is put right.
Test(store_actor, a_member_that_is_set_up_wrongly_does_not_serve_and_changes_nothing)
{
    static const char *const twice[] = {"m1", "m2", "m1"}, *const others[] = {"m2", "m3"};
    for (int sort = 0; sort < 3; sort++) {
        world_t w;
        world_open(&w, 9);
        put(&w, "a", "1");
        uint64_t cluster_id = w.disk.cluster_id;
        if (sort == 0) w.disk.cluster_id = 77;
        if (sort == 1) w.store.members = (config_strings_t){twice, 3};
        if (sort == 2) w.store.members = (config_strings_t){others, 2};
        sim_crash_process(w.sim, "p1");
        sim_restart_process(w.sim, "p1");
        sim_run_for(w.sim, 100);
        uint64_t writes = files_fake_writes(w.files);
        Store__RangeRequest range = {
            .base = PROTOBUF_C_MESSAGE_INIT(&store__range_request__descriptor)};
        range.key = data("a");
        void *reply = NULL;
        why_t why;
        cr_assert_neq(ask(&w, &range.base, &store__range_reply__descriptor, &reply, &why), ERR_OK,
                      "%d", sort);
        cr_assert_eq(files_fake_writes(w.files), writes);
        w.disk.cluster_id = cluster_id;
        w.store.members = (config_strings_t){0};
        sim_crash_process(w.sim, "p1");
        sim_restart_process(w.sim, "p1");
        sim_run_for(w.sim, 6000); // it may be in back-off
        cr_assert_str_eq(get(&w, "a"), "1");
        world_close(&w);
    }
    ASSERT_NO_LEAKS();
}

Test(store_actor, its_status_says_where_it_stands)
{
    world_t w;
    world_open(&w, 6);
    put(&w, "a", "1");
    Store__StatusRequest request = {
        .base = PROTOBUF_C_MESSAGE_INIT(&store__status_request__descriptor)};
    Store__StatusReply *status = NULL;
    why_t why;
    cr_assert_eq(ask(&w, &request.base, &store__status_reply__descriptor, (void **)&status, &why),
                 ERR_OK);
    cr_assert_str_eq(status->leader, "m1");
    cr_assert_eq(status->revision, 1);
    cr_assert_eq(status->commit_index, status->applied_index);
    cr_assert_neq(status->cluster_id, 0);
    world_close(&w);
    ASSERT_NO_LEAKS();
}

// Also when the state machine never flushes by itself: what it refuses fills only the log.
Test(store_actor, the_log_stays_short)
{
    world_t w;
    world_open(&w, 8);
    kv_map_flush_every(w.kv, 0);
    w.store.log_cut_bytes = 128 << 10;
    uint8_t value[1000] = {1};
    Store__StatusRequest request = {
        .base = PROTOBUF_C_MESSAGE_INIT(&store__status_request__descriptor)};
    Store__StatusReply *status = NULL;
    why_t why;
    for (int i = 0; i < 4000; i++) {
        // Refused by the state machine: there is no such lease.
        sim_tell(w.sim, "test/b", "store/m1",
                 &put_txn(&w.arena, "a", (ProtobufCBinaryData){sizeof value, value}, 99)->base);
        if (i % 50 == 49) put(&w, "last", "1");
    }
    cr_assert_eq(ask(&w, &request.base, &store__status_reply__descriptor, (void **)&status, &why),
                 ERR_OK);
    cr_assert_gt(status->last_index, 4000);
    cr_assert_lt(status->log_bytes, 1200 << 10, "%llu", (unsigned long long)status->log_bytes);
    sim_crash_process(w.sim, "p1");
    sim_restart_process(w.sim, "p1");
    sim_run_for(w.sim, 100);
    cr_assert_str_eq(get(&w, "last"), "1");
    world_close(&w);
    ASSERT_NO_LEAKS();
}

// A watcher that writes down what it gets.
typedef struct {
    text_t said;
    Store__WatchRequest wish;
} diary_t;
static void diary_events(actor_t *me, const message_t *msg, const void *body) {
    text_t *said = &(*(diary_t **)actor_state(me))->said;
    const Store__WatchEvents *chunk = body;
    if (chunk->created) text_addf(said, "created; ");
    for (size_t i = 0; i < chunk->n_events; i++) {
        const Store__Event *e = chunk->events[i];
        text_addf(said, "%s %.*s@%lld", e->deleted ? "del" : "put", (int)e->kv->key.len,
                  (char *)e->kv->key.data, (long long)e->kv->mod_revision);
        if (e->previous)
            text_addf(said, " was %.*s", (int)e->previous->value.len,
                      (char *)e->previous->value.data);
        text_add(said, "; ");
    }
    text_addf(said, "upto %lld\n", (long long)chunk->revision);
}
static void diary_end(actor_t *me, const message_t *msg, const void *body) {
    text_addf(&(*(diary_t **)actor_state(me))->said, "end %s\n",
              err_name((err_t)((const Actor__StreamEnd *)body)->err));
}
static err_t diary_start(actor_t *me, const void *args, why_t *why) {
    *(const void **)actor_state(me) = args;
    actor_open(me, "store", &((const diary_t *)args)->wish.base, 8, 0);
    return ERR_OK;
}
static const handler_t diary_rows[] = {{&store__watch_events__descriptor, diary_events, NULL},
                                       {&actor__stream_end__descriptor, diary_end, NULL},
                                       {&actor__failure__descriptor, diary_end, NULL},
                                       {0}};
static const actor_def_t diary_actor = {
    .role = "test", .state_size = sizeof(void *), .start = diary_start, .handlers = diary_rows};

static void keep_diary(world_t *w, diary_t *diary, const char *name) {
    why_t why;
    diary->wish.base = (ProtobufCMessage)PROTOBUF_C_MESSAGE_INIT(&store__watch_request__descriptor);
    cr_assert_eq(sim_spawn(w->sim, "h1", "p2", &diary_actor, name, diary, &why), ERR_OK, "%s",
                 why.text);
    sim_run_for(w->sim, 50);
}

Test(store_actor, a_watch_tells_what_was_and_what_comes)
{
    world_t w;
    world_open(&w, 7);
    put(&w, "a", "1");
    put(&w, "b", "1");
    diary_t all = {.wish = {.from_revision = 1}}, later = {0}, one = {0}, old = {0};
    all.wish.key = data("a");
    all.wish.range_end = data("z");
    all.wish.want_previous = true;
    later.wish.key = data("a");
    later.wish.range_end = data("z");
    later.wish.progress_interval_ms = 200;
    one.wish.key = data("b");
    one.wish.from_revision = 1;
    keep_diary(&w, &all, "all");
    keep_diary(&w, &later, "later");
    keep_diary(&w, &one, "one");
    put(&w, "a", "2");
    sim_run_for(w.sim, 350);
    cr_assert_str_eq(all.said.at,
                     "created; upto 0\nput a@1; put b@2; upto 2\nput a@3 was 1; upto 3\n");
    cr_assert_str_eq(later.said.at, "created; upto 2\nput a@3; upto 3\nupto 3\n");
    cr_assert_str_eq(one.said.at, "created; upto 0\nput b@2; upto 2\n");
    Store__CompactRequest compact = {
        .base = PROTOBUF_C_MESSAGE_INIT(&store__compact_request__descriptor), .revision = 2};
    void *reply = NULL;
    why_t why;
    cr_assert_eq(ask(&w, &compact.base, &store__compact_reply__descriptor, &reply, &why), ERR_OK,
                 "%s", why.text);
    old.wish.key = data("a");
    old.wish.from_revision = 2;
    keep_diary(&w, &old, "old");
    cr_assert_str_eq(old.said.at, "created; upto 1\nend COMPACTED\n");
    text_done(&all.said);
    text_done(&later.said);
    text_done(&one.said);
    text_done(&old.said);
    world_close(&w);
    ASSERT_NO_LEAKS();
}
