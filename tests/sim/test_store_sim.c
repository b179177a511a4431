// The store under power cuts, kills, slow disks and a bad net, in virtual time.
//
//     c1: clients (unique values) and watchers ── net ── p1: store/m1 + disk/m1 on a disk in memory
//
// Promises that are checked, whatever happened:
//   - an acknowledged write is in the history, once, at the revision that was acknowledged;
//   - a write of unknown outcome is in the history at most once, a refused one never;
//   - each watcher saw every revision, in order, without gap or repetition, over all restarts;
//   - a read shows at least what was acknowledged before it was asked;
//   - after all that, the keys are what the history says.
#include "actors/store/disk_actor.h"
#include "actors/store/store_actor.h"
#include "runtime/base/log.h"
#include "runtime/base/map.h"
#include "runtime/base/text.h"
#include "runtime/base/vec.h"
#include "runtime/sim/sim.h"
#include "tests/support/leaks.h"
#include "tests/support/seeds.h"
#include "troupe/store.pb-c.h"

enum { CLIENTS = 4, WATCHERS = 3, KEYS = 6, WATCH_WINDOW = 8 };

typedef struct {
    int64_t revision;
    uint32_t sub;
    bool deleted;
    char key[16];
    char value[32];
} event_t;
typedef VEC(event_t) events_t;
typedef enum { PUT_OPEN, PUT_ACKED, PUT_REFUSED, PUT_UNKNOWN } fate_t;
typedef struct {
    char key[16];
    char value[32];
    fate_t fate;
    int64_t revision;
} put_t;

typedef struct {
    sim_t *sim;
    files_t *files;
    kv_t *kv;
    disk_args_t disk;
    store_args_t store;
    VEC(put_t) puts;
    events_t seen[WATCHERS];
    int64_t acked; // newest acknowledged revision
    size_t reads;
    bool quiet; // clients ask nothing new
    char fault[300];
} world_t;

static void fault(world_t *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void fault(world_t *w, const char *fmt, ...) {
    if (w->fault[0]) return;
    va_list args;
    va_start(args, fmt);
    vsnprintf(w->fault, sizeof w->fault, fmt, args);
    va_end(args);
}

// ---- a client -----------------------------------------------------------------------------------
typedef struct {
    world_t *world;
    size_t number;
} role_args_t;
typedef struct {
    world_t *w;
    size_t number, open, sequence;
} client_t;
enum { TAG_READ = 1ull << 62, TAG_FLOOR = (1ull << 40) - 1 };

static ProtobufCBinaryData data(const char *s) {
    return (ProtobufCBinaryData){strlen(s), (uint8_t *)s};
}

static void ask_put(actor_t *me) {
    client_t *c = actor_state(me);
    put_t put = {.fate = PUT_OPEN};
    snprintf(put.key, sizeof put.key, "k%d", (int)rng_below(actor_rng(me), KEYS));
    snprintf(put.value, sizeof put.value, "c%zu-%zu", c->number, c->sequence++);
    Store__PutOp op = {.base = PROTOBUF_C_MESSAGE_INIT(&store__put_op__descriptor)};
    op.key = data(put.key);
    op.value = data(put.value);
    Store__Op then = {.base = PROTOBUF_C_MESSAGE_INIT(&store__op__descriptor)};
    then.op_case = STORE__OP__OP_PUT;
    then.put = &op;
    Store__Op *ops[] = {&then};
    Store__TxnRequest txn = {.base = PROTOBUF_C_MESSAGE_INIT(&store__txn_request__descriptor)};
    txn.then = ops;
    txn.n_then = 1;
    actor_ask(me, "store", &txn.base, 300, c->w->puts.len);
    vec_push(&c->w->puts, put);
    c->open++;
}

static void ask_read(actor_t *me) {
    client_t *c = actor_state(me);
    Store__RangeRequest range = {.base =
                                     PROTOBUF_C_MESSAGE_INIT(&store__range_request__descriptor)};
    range.key = data("k");
    range.range_end = data("l");
    actor_ask(me, "store", &range.base, 300, TAG_READ | (uint64_t)c->w->acked);
    c->open++;
}

static void client_timer(actor_t *me, uint64_t tag) {
    client_t *c = actor_state(me);
    actor_timer(me, 1, rng_between(actor_rng(me), 0, 6));
    if (c->w->quiet || c->open >= 8) return;
    for (uint64_t n = 1 + rng_below(actor_rng(me), 3); n > 0; n--) {
        if (rng_chance(actor_rng(me), 0.25))
            ask_read(me);
        else
            ask_put(me);
    }
}

static void client_acked(actor_t *me, const message_t *msg, const void *body) {
    client_t *c = actor_state(me);
    const Store__TxnReply *reply = body;
    put_t *put = &c->w->puts.at[msg->tag];
    put->fate = PUT_ACKED;
    put->revision = reply->revision;
    if (reply->revision > c->w->acked) c->w->acked = reply->revision;
    c->open--;
}

static void client_read(actor_t *me, const message_t *msg, const void *body) {
    client_t *c = actor_state(me);
    const Store__RangeReply *reply = body;
    int64_t least = (int64_t)(msg->tag & ~(uint64_t)TAG_READ);
    if (reply->revision < least)
        fault(c->w, "a read shows revision %lld; %lld was acknowledged before it",
              (long long)reply->revision, (long long)least);
    c->w->reads++;
    c->open--;
}

static void client_failed(actor_t *me, const message_t *msg, const void *body) {
    client_t *c = actor_state(me);
    const Actor__Failure *failure = body;
    c->open--;
    if (msg->tag & TAG_READ) return;
    bool refused = failure->err == ERR_NOT_LEADER || failure->err == ERR_OVERLOADED;
    c->w->puts.at[msg->tag].fate = refused ? PUT_REFUSED : PUT_UNKNOWN;
}

static err_t client_start(actor_t *me, const void *args, why_t *why) {
    const role_args_t *role = args;
    *(client_t *)actor_state(me) = (client_t){.w = role->world, .number = role->number};
    actor_timer(me, 1, 1);
    return ERR_OK;
}

static const handler_t client_handlers[] = {
    {&store__txn_reply__descriptor, client_acked, NULL},
    {&store__range_reply__descriptor, client_read, NULL},
    {&actor__failure__descriptor, client_failed, NULL},
    {0},
};
static const actor_def_t client_actor = {.role = "test",
                                         .state_size = sizeof(client_t),
                                         .start = client_start,
                                         .handlers = client_handlers,
                                         .on_timer = client_timer};

// ---- a watcher ----------------------------------------------------------------------------------
typedef struct {
    world_t *w;
    size_t number;
    uint64_t stream;
    int64_t next;
    int64_t part;
} watcher_t;

static void watch_again(actor_t *me) {
    watcher_t *c = actor_state(me);
    Store__WatchRequest watch = {.base =
                                     PROTOBUF_C_MESSAGE_INIT(&store__watch_request__descriptor)};
    watch.key = data("k");
    watch.range_end = data("l");
    watch.from_revision = c->next;
    c->stream = actor_open(me, "store", &watch.base, WATCH_WINDOW, 0);
}

static void watcher_events(actor_t *me, const message_t *msg, const void *body) {
    watcher_t *c = actor_state(me);
    const Store__WatchEvents *chunk = body;
    for (size_t i = 0; i < chunk->n_events; i++) {
        const Store__KeyValue *kv = chunk->events[i]->kv;
        event_t e = {.revision = kv->mod_revision, .deleted = chunk->events[i]->deleted};
        snprintf(e.key, sizeof e.key, "%.*s", (int)kv->key.len, (const char *)kv->key.data);
        snprintf(e.value, sizeof e.value, "%.*s", (int)kv->value.len, (const char *)kv->value.data);
        vec_push(&c->w->seen[c->number], e);
    }
    if (!chunk->fragment) c->next = chunk->revision + 1;
}

static void watcher_end(actor_t *me, const message_t *msg, const void *body) {
    watcher_t *c = actor_state(me);
    c->stream = 0;
    actor_timer(me, 1, rng_between(actor_rng(me), 1, 20));
}

static void watcher_timer(actor_t *me, uint64_t tag) {
    watcher_t *c = actor_state(me);
    if (!c->stream) watch_again(me);
}

static err_t watcher_start(actor_t *me, const void *args, why_t *why) {
    const role_args_t *role = args;
    *(watcher_t *)actor_state(me) =
        (watcher_t){.w = role->world, .number = role->number, .next = 1};
    actor_timer(me, 1, 1);
    return ERR_OK;
}

static const handler_t watcher_handlers[] = {
    {&store__watch_events__descriptor, watcher_events, NULL},
    {&actor__stream_end__descriptor, watcher_end, NULL},
    {&actor__failure__descriptor, watcher_end, NULL},
    {0},
};
static const actor_def_t watcher_actor = {.role = "test",
                                          .state_size = sizeof(watcher_t),
                                          .start = watcher_start,
                                          .handlers = watcher_handlers,
                                          .on_timer = watcher_timer};

// ---- the world ----------------------------------------------------------------------------------
static err_t lend_kv(void *arg, kv_t **ret_kv, why_t *why) {
    *ret_kv = ((world_t *)arg)->kv;
    return ERR_OK;
}
static void take_kv_back(void *arg, kv_t **kv) { *kv = NULL; }
static void crashed(void *arg) {
    world_t *w = arg;
    files_fake_crash(w->files);
    kv_map_crash(w->kv);
}

static role_args_t roles[CLIENTS + WATCHERS];

static void spawn(world_t *w, const char *process, const actor_def_t *def, const char *name,
                  const void *args) {
    why_t why;
    cr_assert_eq(sim_spawn(w->sim, "h", process, def, name, args, &why), ERR_OK, "%s", why.text);
}

static void world_open(world_t *w, uint64_t seed) {
    *w = (world_t){.sim = sim_new(seed), .files = files_fake_new(seed), .kv = kv_map_new()};
    w->disk = (disk_args_t){.data_dir = "/d",
                            .member = "m1",
                            .files = w->files,
                            .segment_bytes = 16 << 10,
                            .cluster_id = 1};
    w->store = (store_args_t){.data_dir = "/d",
                              .member = "m1",
                              .open_kv = lend_kv,
                              .close_kv = take_kv_back,
                              .kv_arg = w,
                              .history_keep_ms = -1};
    kv_map_flush_every(w->kv, 11);
    files_fake_set_delay(w->files, 50, 3000);
}

static void world_fill(world_t *w) {
    spawn(w, "p1", &disk_actor, "m1", &w->disk);
    spawn(w, "p1", &store_actor, "m1", &w->store);
    sim_on_crash(w->sim, "p1", crashed, w);
    for (size_t i = 0; i < CLIENTS + WATCHERS; i++) {
        char name[16];
        snprintf(name, sizeof name, "%s%zu", i < CLIENTS ? "client" : "watcher", i);
        roles[i] = (role_args_t){w, i < CLIENTS ? i : i - CLIENTS};
        spawn(w, "c1", i < CLIENTS ? &client_actor : &watcher_actor, name, &roles[i]);
    }
}

static void world_close(world_t *w) {
    sim_destroy(&w->sim);
    kv_destroy(&w->kv);
    files_fake_destroy(&w->files);
    vec_done(&w->puts);
    for (size_t i = 0; i < WATCHERS; i++) vec_done(&w->seen[i]);
}

// ---- checks -------------------------------------------------------------------------------------
static void check_watches(world_t *w) {
    for (size_t i = 0; i < WATCHERS; i++) {
        const events_t *seen = &w->seen[i];
        for (size_t j = 0; j < seen->len; j++)
            if (seen->at[j].revision != (int64_t)j + 1)
                return fault(w, "watcher %zu saw revision %lld where %zu was due", i,
                             (long long)seen->at[j].revision, j + 1);
        if (seen->len != w->seen[0].len)
            return fault(w, "watcher %zu saw %zu changes, watcher 0 %zu", i, seen->len,
                         w->seen[0].len);
        for (size_t j = 0; j < seen->len; j++)
            if (!streq(seen->at[j].value, w->seen[0].at[j].value))
                return fault(w, "watchers disagree at %zu", j + 1);
    }
}

static void check_puts(world_t *w) {
    const events_t *history = &w->seen[0];
    map_t by_value = {0};
    for (size_t i = 0; i < history->len; i++)
        if (map_put(&by_value, history->at[i].value, &history->at[i]))
            fault(w, "the value %s was written twice", history->at[i].value);
    for (size_t i = 0; i < w->puts.len; i++) {
        const put_t *put = &w->puts.at[i];
        const event_t *e = map_get(&by_value, put->value);
        if (put->fate == PUT_ACKED &&
            (!e || e->revision != put->revision || !streq(e->key, put->key)))
            fault(w, "the acknowledged write of %s at revision %lld is lost", put->value,
                  (long long)put->revision);
        if (put->fate == PUT_REFUSED && e) fault(w, "%s was refused, and yet written", put->value);
    }
    map_done(&by_value);
}

static bool is_quiet(void *arg) {
    world_t *w = arg;
    for (size_t i = 0; i < w->puts.len; i++)
        if (w->puts.at[i].fate == PUT_OPEN) return false;
    for (size_t i = 0; i < WATCHERS; i++)
        if ((int64_t)w->seen[i].len < w->acked || w->seen[i].len != w->seen[0].len) return false;
    return true;
}

static void check_keys(world_t *w) {
    Store__RangeRequest range = {.base =
                                     PROTOBUF_C_MESSAGE_INIT(&store__range_request__descriptor)};
    range.key = data("k");
    range.range_end = data("l");
    Store__RangeReply *reply = NULL;
    arena_t arena = {0};
    why_t why;
    err_t err = ERR_UNAVAILABLE;
    for (int tries = 0; err != ERR_OK && tries < 200; tries++) { // it may be in back-off
        sim_run_for(w->sim, 50);
        err = sim_ask(w->sim, "test/end", "store", &range.base, 2000, &arena,
                      &store__range_reply__descriptor, (void **)&reply, &why);
    }
    if (err != ERR_OK) fault(w, "the store does not serve at the end: %s", why.text);
    // What a crash left unacknowledged may have been committed just now.
    else if (w->acked = reply->revision, !sim_run_until(w->sim, is_quiet, w, 15000))
        fault(w, "the watchers do not see the end");
    for (size_t i = 0; err == ERR_OK && i < reply->n_kvs; i++) {
        const Store__KeyValue *kv = reply->kvs[i];
        const event_t *last = NULL;
        for (size_t j = 0; j < w->seen[0].len; j++)
            if (strncmp(w->seen[0].at[j].key, (char *)kv->key.data, kv->key.len) == 0)
                last = &w->seen[0].at[j];
        if (!last || last->revision != kv->mod_revision ||
            strncmp(last->value, (char *)kv->value.data, kv->value.len) != 0)
            fault(w, "the key %.*s is not what the history says", (int)kv->key.len,
                  (char *)kv->key.data);
    }
    arena_done(&arena);
}

// ---- trouble ------------------------------------------------------------------------------------
static void power_cut(world_t *w) {
    sim_crash_process(w->sim, "p1");
    rng_t *rng = sim_rng(w->sim);
    sim_run_for(w->sim, rng_between(rng, 0, 30));
    // Sometimes the power goes again while the member recovers.
    files_fake_cut_after(w->files,
                         !w->quiet && rng_chance(rng, 0.3) ? rng_below(rng, 12) : UINT64_MAX);
    sim_restart_process(w->sim, "p1");
}

static void bad_net(world_t *w, bool bad) {
    Actor__FaultRule rule = {.base = PROTOBUF_C_MESSAGE_INIT(&actor__fault_rule__descriptor)};
    sim_clear_faults(w->sim);
    if (!bad) return;
    rule.name = "loss";
    rule.from = "test/*";
    rule.to = "store/*";
    rule.type = "";
    rule.kind = ACTOR__FAULT_RULE__KIND__DROP;
    rule.probability = 0.05;
    rule.both_ways = true;
    sim_set_fault(w->sim, &rule);
}

static void trouble(world_t *w) {
    rng_t *rng = sim_rng(w->sim);
    switch (rng_below(rng, 6)) {
    case 0:
    case 1: files_fake_cut_after(w->files, rng_below(rng, 40)); break;
    case 2: power_cut(w); break;
    case 3: sim_kill(w->sim, "store/m1", "test"); break;
    case 4: sim_kill(w->sim, "disk/m1", "test"); break;
    case 5: bad_net(w, rng_chance(rng, 0.5)); break;
    }
}

static void play(world_t *w, int64_t length_ms) {
    int64_t end = sim_now_ms(w->sim) + length_ms;
    world_fill(w);
    while (sim_now_ms(w->sim) < end && !w->fault[0]) {
        int64_t until = sim_now_ms(w->sim) + rng_between(sim_rng(w->sim), 5, 80);
        while (sim_now_ms(w->sim) < until && sim_step(w->sim))
            if (files_fake_is_cut(w->files)) power_cut(w);
        trouble(w);
    }
    bad_net(w, false);
    w->quiet = true;
    files_fake_cut_after(w->files, UINT64_MAX);
    if (files_fake_is_cut(w->files)) power_cut(w);
    files_fake_cut_after(w->files, UINT64_MAX);
    if (!sim_run_until(w->sim, is_quiet, w, 15000)) fault(w, "the store does not come to rest");
    check_keys(w);
    check_watches(w);
    check_puts(w);
}

static uint64_t run(uint64_t seed, world_t *w, size_t *acked) {
    play(w, 1500);
    uint64_t hash = sim_trace_hash(w->sim);
    *acked = 0;
    for (size_t i = 0; i < w->puts.len; i++) *acked += w->puts.at[i].fate == PUT_ACKED;
    return hash;
}

Test(store_sim, no_acknowledged_write_is_lost_and_watches_see_all_once)
{
    log_set_level(LOG_LEVEL_ERROR);
    size_t all = 0;
    uint64_t seeds = seeds_count(40);
    for (uint64_t seed = seed_first(1), n = seeds; n--; seed++) {
        world_t w;
        size_t acked;
        world_open(&w, seed);
        run(seed, &w, &acked);
        all += acked;
        cr_assert_eq(w.fault[0], 0, "seed %llu: %s", (unsigned long long)seed, w.fault);
        world_close(&w);
    }
    cr_assert_gt(all, 100 * seeds, "only %zu writes were acknowledged", all);
    ASSERT_NO_LEAKS();
}

Test(store_sim, the_same_seed_gives_the_same_run)
{
    log_set_level(LOG_LEVEL_ERROR);
    uint64_t hash[2];
    for (int i = 0; i < 2; i++) {
        world_t w;
        size_t acked;
        world_open(&w, 77);
        hash[i] = run(77, &w, &acked);
        world_close(&w);
    }
    cr_assert_eq(hash[0], hash[1]);
    ASSERT_NO_LEAKS();
}

// Planted bugs must be found: else the checks above check nothing.
static bool is_caught(bool ack_before_sync, bool blind) {
    log_set_level(LOG_LEVEL_ERROR);
    for (uint64_t seed = 1; seed <= 60; seed++) {
        world_t w;
        size_t acked;
        world_open(&w, seed);
        w.disk.canary_ack_before_sync = ack_before_sync;
        w.disk.canary_blind_to_torn_tails = blind;
        run(seed, &w, &acked);
        bool caught = w.fault[0];
        world_close(&w);
        if (caught) return true;
    }
    return false;
}
Test(store_sim, canary_an_answer_before_the_sync_is_caught)
{ cr_assert(is_caught(true, false)); }
Test(store_sim, canary_a_torn_record_taken_on_trust_is_caught)
{ cr_assert(is_caught(false, true)); }
