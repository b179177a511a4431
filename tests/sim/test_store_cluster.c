// Three and five members of the store in virtual time, under everything that goes wrong at once.
//
//     c1: clients, watchers ─ net ─ p1: store/m1 + disk/m1    p2: store/m2 + disk/m2    p3: …
//
// Trouble: power cuts at any write, kills, slow disks, partitions one way and both, loss,
// duplication, reordering, hand-overs. Promises that are checked:
//   - an acknowledged write is in the history once, at the revision that was acknowledged;
//   - a write of unknown outcome at most once, a refused one never;
//   - each watcher saw every revision in order, once, whichever member served it;
//   - a read shows at least what was acknowledged before it was asked;
//   - a key's last change is what a read shows, and a counter lost no increment;
//   - at the end all members hold the same bytes.
//
// TROUPE_SIM_SEEDS: how many seeds; TROUPE_SIM_FIRST: the first one.
#include "actors/store/disk_actor.h"
#include "actors/store/store_actor.h"
#include "runtime/base/hash.h"
#include "runtime/base/log.h"
#include "runtime/base/map.h"
#include "runtime/base/text.h"
#include "runtime/base/vec.h"
#include "runtime/sim/sim.h"
#include "store/mvcc/keys.h"
#include "tests/support/leaks.h"
#include "tests/support/seeds.h"
#include "troupe/store.pb-c.h"

enum { MEMBERS_MAX = 5, CLIENTS = 4, WATCHERS = 3, KEYS = 6, WATCH_WINDOW = 8 };
enum { ASK_TIMEOUT_MS = 400, TROUBLE_MS = 2500 };

static const char *const names[MEMBERS_MAX] = {"m1", "m2", "m3", "m4", "m5"};
static const char *const processes[MEMBERS_MAX] = {"p1", "p2", "p3", "p4", "p5"};
static const char *const stores[MEMBERS_MAX] = {"store/m1", "store/m2", "store/m3", "store/m4",
                                                "store/m5"};
static const char *const disks[MEMBERS_MAX] = {"disk/m1", "disk/m2", "disk/m3", "disk/m4",
                                               "disk/m5"};

typedef struct {
    int64_t revision;
    bool deleted;
    char key[16], value[32];
} event_t;
typedef VEC(event_t) events_t;
typedef enum { PUT_OPEN, PUT_ACKED, PUT_REFUSED, PUT_UNKNOWN } fate_t;
typedef struct {
    char key[16], value[32];
    fate_t fate;
    int64_t revision;
} put_t;

typedef struct world world_t;
typedef struct {
    world_t *w;
    size_t number;
    files_t *files;
    kv_t *kv;
    disk_args_t disk;
    store_args_t store;
} host_t;

struct world {
    sim_t *sim;
    size_t members;
    bool has_witness; // the last one is it
    host_t hosts[MEMBERS_MAX];
    VEC(put_t) puts;
    events_t seen[WATCHERS];
    int64_t acked;      // newest acknowledged revision
    size_t reads, open; // asked, not answered
    bool quiet;         // clients ask nothing new
    char fault[300];
};

static void fault(world_t *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void fault(world_t *w, const char *fmt, ...) {
    if (w->fault[0]) return;
    va_list args;
    va_start(args, fmt);
    vsnprintf(w->fault, sizeof w->fault, fmt, args);
    va_end(args);
}

// ---- a client -----------------------------------------------------------------------------------
// Puts of unique values; counters that are read and swapped (an append by compare); reads.
typedef struct {
    world_t *world;
    size_t number;
} role_args_t;
typedef struct {
    world_t *w;
    size_t number, open, sequence;
} client_t;
enum { TAG_READ = 1ull << 62 };

static ProtobufCBinaryData data(const char *s) {
    return (ProtobufCBinaryData){strlen(s), (uint8_t *)s};
}

static size_t new_put(client_t *c, const char *key) {
    put_t put = {.fate = PUT_OPEN};
    snprintf(put.key, sizeof put.key, "%s", key);
    snprintf(put.value, sizeof put.value, "c%zu-%zu", c->number, c->sequence++);
    vec_push(&c->w->puts, put);
    c->open++;
    c->w->open++;
    return c->w->puts.len - 1;
}

// A swap compares the version that the last one left; version < 0: no compare.
static void ask_put(actor_t *me, const char *key, int64_t version) {
    client_t *c = actor_state(me);
    size_t at = new_put(c, key);
    const put_t *put = &c->w->puts.at[at];
    Store__PutOp op = {.base = PROTOBUF_C_MESSAGE_INIT(&store__put_op__descriptor)};
    op.key = data(put->key);
    op.value = data(put->value);
    Store__Op then = {.base = PROTOBUF_C_MESSAGE_INIT(&store__op__descriptor)};
    then.op_case = STORE__OP__OP_PUT;
    then.put = &op;
    Store__Op *ops[] = {&then};
    Store__Compare compare = {.base = PROTOBUF_C_MESSAGE_INIT(&store__compare__descriptor)};
    compare.key = op.key;
    compare.target = STORE__COMPARE__TARGET__VERSION;
    compare.number = version;
    Store__Compare *compares[] = {&compare};
    Store__TxnRequest txn = {.base = PROTOBUF_C_MESSAGE_INIT(&store__txn_request__descriptor)};
    txn.then = ops;
    txn.n_then = 1;
    txn.compares = compares;
    txn.n_compares = version >= 0;
    actor_ask(me, "store", &txn.base, ASK_TIMEOUT_MS, at);
}

static void ask_read(actor_t *me) {
    client_t *c = actor_state(me);
    Store__RangeRequest range = {.base =
                                     PROTOBUF_C_MESSAGE_INIT(&store__range_request__descriptor)};
    range.key = data("k");
    range.range_end = data("l");
    actor_ask(me, "store", &range.base, ASK_TIMEOUT_MS, TAG_READ | (uint64_t)c->w->acked);
    c->open++;
    c->w->open++;
}

static void client_timer(actor_t *me, uint64_t tag) {
    client_t *c = actor_state(me);
    actor_timer(me, 1, rng_between(actor_rng(me), 0, 8));
    if (c->w->quiet || c->open >= 8) return;
    for (uint64_t n = 1 + rng_below(actor_rng(me), 3); n > 0; n--) {
        char key[16];
        snprintf(key, sizeof key, "k%d", (int)rng_below(actor_rng(me), KEYS));
        if (rng_chance(actor_rng(me), 0.25))
            ask_read(me);
        else
            ask_put(me, key, -1);
    }
}

static void client_acked(actor_t *me, const message_t *msg, const void *body) {
    client_t *c = actor_state(me);
    const Store__TxnReply *reply = body;
    put_t *put = &c->w->puts.at[msg->tag];
    c->open--;
    c->w->open--;
    put->fate = reply->succeeded ? PUT_ACKED : PUT_REFUSED;
    put->revision = reply->revision;
    if (reply->succeeded && reply->revision > c->w->acked) c->w->acked = reply->revision;
}

// What was read serves a swap: it succeeds only if nobody wrote the key meanwhile.
static void client_read(actor_t *me, const message_t *msg, const void *body) {
    client_t *c = actor_state(me);
    const Store__RangeReply *reply = body;
    int64_t least = (int64_t)(msg->tag & ~(uint64_t)TAG_READ);
    c->w->reads++;
    c->open--;
    c->w->open--;
    if (reply->revision < least)
        fault(c->w, "a read shows revision %lld; %lld was acknowledged before it",
              (long long)reply->revision, (long long)least);
    if (c->w->quiet || reply->n_kvs == 0) return;
    const Store__KeyValue *kv = reply->kvs[rng_below(actor_rng(me), reply->n_kvs)];
    char key[16];
    snprintf(key, sizeof key, "%.*s", (int)kv->key.len, (const char *)kv->key.data);
    ask_put(me, key, kv->version);
}

static void client_failed(actor_t *me, const message_t *msg, const void *body) {
    client_t *c = actor_state(me);
    const Actor__Failure *failure = body;
    c->open--;
    c->w->open--;
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
    if (!chunk->fragment && chunk->revision >= c->next) c->next = chunk->revision + 1;
}

static void watcher_end(actor_t *me, const message_t *msg, const void *body) {
    watcher_t *c = actor_state(me);
    c->stream = 0;
    actor_timer(me, 1, rng_between(actor_rng(me), 1, 20));
}

// A stream that nobody ends: its server is behind a partition. Sooner or later it is given up.
static void watcher_timer(actor_t *me, uint64_t tag) {
    watcher_t *c = actor_state(me);
    if (tag == 1 && !c->stream) watch_again(me);
    if (tag != 2) return;
    actor_timer(me, 2, 2000);
    if (!c->stream) return;
    actor_cancel(me, c->stream);
    watch_again(me);
}

static err_t watcher_start(actor_t *me, const void *args, why_t *why) {
    const role_args_t *role = args;
    *(watcher_t *)actor_state(me) =
        (watcher_t){.w = role->world, .number = role->number, .next = 1};
    actor_timer(me, 1, 1);
    actor_timer(me, 2, 2000);
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
    *ret_kv = ((host_t *)arg)->kv;
    return ERR_OK;
}
static void take_kv_back(void *arg, kv_t **kv) { *kv = NULL; }
static void crashed(void *arg) {
    host_t *host = arg;
    files_fake_crash(host->files);
    kv_map_crash(host->kv);
}

static role_args_t roles[CLIENTS + WATCHERS];

static void spawn(world_t *w, const char *host, const char *process, const actor_def_t *def,
                  const char *name, const void *args) {
    why_t why;
    cr_assert_eq(sim_spawn(w->sim, host, process, def, name, args, &why), ERR_OK, "%s", why.text);
}

static void host_open(world_t *w, size_t i, uint64_t seed) {
    host_t *host = &w->hosts[i];
    *host = (host_t){w, i, files_fake_new(seed + i), kv_map_new(), {0}, {0}};
    host->disk = (disk_args_t){.data_dir = "/d",
                               .member = names[i],
                               .files = host->files,
                               .segment_bytes = 16 << 10,
                               .cluster_id = 7};
    host->store = (store_args_t){.data_dir = "/d",
                                 .member = names[i],
                                 .open_kv = lend_kv,
                                 .close_kv = take_kv_back,
                                 .kv_arg = host,
                                 .members = {names, w->members},
                                 .log_cut_bytes = 16 << 10,
                                 .log_for_peers_bytes = 32 << 10, // beyond: a snapshot
                                 .history_keep_ms = -1};
    if (w->has_witness) host->store.witness = names[w->members - 1];
    kv_map_flush_every(host->kv, 11);
    files_fake_set_delay(host->files, 50, 3000);
}

static void host_start(host_t *host) {
    size_t i = host->number;
    spawn(host->w, processes[i], processes[i], &disk_actor, names[i], &host->disk);
    spawn(host->w, processes[i], processes[i], &store_actor, names[i], &host->store);
    sim_on_crash(host->w->sim, processes[i], crashed, host);
}

static void world_open(world_t *w, uint64_t seed, size_t members, bool has_witness) {
    *w = (world_t){.sim = sim_new(seed), .members = members, .has_witness = has_witness};
    sim_set_latency(w->sim, 100, 900);
    for (size_t i = 0; i < members; i++) host_open(w, i, seed);
}

static void world_fill(world_t *w) {
    for (size_t i = 0; i < w->members; i++) host_start(&w->hosts[i]);
    for (size_t i = 0; i < CLIENTS + WATCHERS; i++) {
        char name[16];
        snprintf(name, sizeof name, "%s%zu", i < CLIENTS ? "client" : "watcher", i);
        roles[i] = (role_args_t){w, i < CLIENTS ? i : i - CLIENTS};
        spawn(w, "c1", "c1", i < CLIENTS ? &client_actor : &watcher_actor, name, &roles[i]);
    }
}

static void world_close(world_t *w) {
    sim_destroy(&w->sim);
    for (size_t i = 0; i < w->members; i++) {
        kv_destroy(&w->hosts[i].kv);
        files_fake_destroy(&w->hosts[i].files);
    }
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

static uint64_t applied_by(const host_t *host) {
    arena_t arena = {0};
    why_t why;
    bytes_t value;
    meta_t meta = {0};
    cr_assert_eq(kv_get(host->kv, keys_meta(), &arena, &value, &why), ERR_OK);
    cr_assert(!value.at || keys_get_meta(value, &meta));
    arena_done(&arena);
    return meta.applied_index;
}

// Everything but the meta record, which also says what each has forgotten by itself, and the mark
// of a snapshot.
static uint64_t hash_of(kv_t *kv) {
    why_t why;
    bytes_t key, value;
    uint64_t hash = 0;
    err_t err = kv_seek(kv, (bytes_t){(const uint8_t *)"", 0}, &why);
    while (err == ERR_OK && kv_here(kv, &key, &value)) {
        if (key.at[0] != 'm' && key.at[0] != 's')
            hash = hash * 31 + hash_fnv64a(key.at, key.len) + 7 * hash_fnv64a(value.at, value.len);
        err = kv_next(kv, &why);
    }
    cr_assert_eq(err, ERR_OK);
    return hash;
}

static bool members_are_level(void *arg) {
    world_t *w = arg;
    for (size_t i = 1; i < w->members - w->has_witness; i++)
        if (applied_by(&w->hosts[i]) != applied_by(&w->hosts[0])) return false;
    return true;
}

static void check_members(world_t *w) {
    if (!sim_run_until(w->sim, members_are_level, w, 20000))
        fault(w, "the members do not come to the same entry");
    for (size_t i = 1; i < w->members - w->has_witness; i++)
        if (hash_of(w->hosts[i].kv) != hash_of(w->hosts[0].kv))
            fault(w, "%s and %s differ at entry %llu", names[i], names[0],
                  (unsigned long long)applied_by(&w->hosts[0]));
}

static bool is_quiet(void *arg) {
    world_t *w = arg;
    if (w->open) return false;
    for (size_t i = 0; i < WATCHERS; i++)
        if ((int64_t)w->seen[i].len < w->acked || w->seen[i].len != w->seen[0].len) return false;
    return true;
}

static err_t read_all(world_t *w, arena_t *arena, Store__RangeReply **ret_reply, why_t *why) {
    Store__RangeRequest range = {.base =
                                     PROTOBUF_C_MESSAGE_INIT(&store__range_request__descriptor)};
    range.key = data("k");
    range.range_end = data("l");
    err_t err = ERR_UNAVAILABLE;
    for (int tries = 0; err != ERR_OK && tries < 300; tries++) { // it may be in back-off
        sim_run_for(w->sim, 50);
        err = sim_ask(w->sim, "test/end", "store", &range.base, 2000, arena,
                      &store__range_reply__descriptor, (void **)ret_reply, why);
    }
    return err;
}

static void check_keys(world_t *w) {
    Store__RangeReply *reply = NULL;
    arena_t arena = {0};
    why_t why;
    err_t err = read_all(w, &arena, &reply, &why);
    if (err != ERR_OK) fault(w, "the store does not serve at the end: %s", why.text);
    // What was left of unknown outcome may have been committed just now.
    else if (w->acked = reply->revision, !sim_run_until(w->sim, is_quiet, w, 20000))
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
    check_members(w);
}

// ---- trouble ------------------------------------------------------------------------------------
static void power_cut(world_t *w, size_t i) {
    sim_crash_process(w->sim, processes[i]);
    rng_t *rng = sim_rng(w->sim);
    if (!w->quiet) sim_run_for(w->sim, rng_between(rng, 0, 30));
    // Sometimes the power goes again while the member recovers.
    files_fake_cut_after(w->hosts[i].files,
                         !w->quiet && rng_chance(rng, 0.3) ? rng_below(rng, 12) : UINT64_MAX);
    sim_restart_process(w->sim, processes[i]);
}

static void cut_what_is_cut(world_t *w);

// So long that the others cut their logs: it comes back to a snapshot.
static void long_outage(world_t *w, size_t i) {
    sim_crash_process(w->sim, processes[i]);
    int64_t until = sim_now_ms(w->sim) + 600;
    while (sim_now_ms(w->sim) < until && sim_step(w->sim)) cut_what_is_cut(w);
    files_fake_cut_after(w->hosts[i].files, UINT64_MAX);
    sim_restart_process(w->sim, processes[i]);
}

static void set_rule(world_t *w, Actor__FaultRule__Kind kind, const char *name, const char *from,
                     const char *to, double probability, bool both_ways) {
    Actor__FaultRule rule = {.base = PROTOBUF_C_MESSAGE_INIT(&actor__fault_rule__descriptor)};
    rule.kind = kind;
    rule.name = name;
    rule.from = from;
    rule.to = to;
    rule.type = "";
    rule.probability = probability;
    rule.both_ways = both_ways;
    if (kind == ACTOR__FAULT_RULE__KIND__DELAY) rule.delay_ms = 20, rule.jitter_ms = 60;
    sim_set_fault(w->sim, &rule);
}

static void bad_net(world_t *w) {
    rng_t *rng = sim_rng(w->sim);
    size_t one = rng_below(rng, w->members), other = rng_below(rng, w->members);
    switch (rng_below(rng, 7)) {
    case 0:
        set_rule(w, ACTOR__FAULT_RULE__KIND__DROP, "loss", "store/*", "store/*", 0.1, true);
        break;
    case 1:
        set_rule(w, ACTOR__FAULT_RULE__KIND__DUPLICATE, "twice", "store/*", "store/*", 0.2, true);
        break;
    case 2:
        set_rule(w, ACTOR__FAULT_RULE__KIND__REORDER, "order", "store/*", "store/*", 0.2, true);
        break;
    case 3:
        set_rule(w, ACTOR__FAULT_RULE__KIND__PARTITION, "alone", stores[one], "store/*", 0,
                 rng_chance(rng, 0.5));
        break;
    case 4:
        set_rule(w, ACTOR__FAULT_RULE__KIND__PARTITION, "pair", stores[one], stores[other], 0,
                 rng_chance(rng, 0.5));
        break;
    case 5:
        set_rule(w, ACTOR__FAULT_RULE__KIND__DELAY, "late", stores[one], "store/*", 0.5, true);
        break;
    case 6:
        set_rule(w, ACTOR__FAULT_RULE__KIND__DROP, "clients", "test/*", "store/*", 0.05, true);
        break;
    }
}

static void hand_over(world_t *w, size_t to) {
    Store__LeaderTransfer body = {.base =
                                      PROTOBUF_C_MESSAGE_INIT(&store__leader_transfer__descriptor)};
    body.member = (char *)names[to];
    sim_tell(w->sim, "test/admin", "store", &body.base);
}

static void trouble(world_t *w) {
    rng_t *rng = sim_rng(w->sim);
    size_t i = rng_below(rng, w->members);
    switch (rng_below(rng, 11)) {
    case 0:
    case 1: files_fake_cut_after(w->hosts[i].files, rng_below(rng, 40)); break;
    case 2: power_cut(w, i); break;
    case 3: sim_kill(w->sim, stores[i], "test"); break;
    case 4: sim_kill(w->sim, disks[i], "test"); break;
    case 5: hand_over(w, i); break;
    case 6: sim_clear_faults(w->sim); break;
    case 7: long_outage(w, i); break;
    default: bad_net(w); break;
    }
}

static void cut_what_is_cut(world_t *w) {
    for (size_t i = 0; i < w->members; i++)
        if (files_fake_is_cut(w->hosts[i].files)) power_cut(w, i);
}

static void play(world_t *w, int64_t length_ms) {
    int64_t end = sim_now_ms(w->sim) + length_ms;
    world_fill(w);
    while (sim_now_ms(w->sim) < end && !w->fault[0]) {
        int64_t until = sim_now_ms(w->sim) + rng_between(sim_rng(w->sim), 10, 200);
        while (sim_now_ms(w->sim) < until && sim_step(w->sim)) cut_what_is_cut(w);
        trouble(w);
    }
    sim_clear_faults(w->sim);
    w->quiet = true;
    for (size_t i = 0; i < w->members; i++) files_fake_cut_after(w->hosts[i].files, UINT64_MAX);
    cut_what_is_cut(w);
    if (!sim_run_until(w->sim, is_quiet, w, 20000)) fault(w, "the store does not come to rest");
    check_keys(w);
    check_watches(w);
    check_puts(w);
}

static size_t acknowledged(const world_t *w) {
    size_t acked = 0;
    for (size_t i = 0; i < w->puts.len; i++) acked += w->puts.at[i].fate == PUT_ACKED;
    return acked;
}

// Of this member's life: the state machine bears the mark of the last one it got.
static bool got_a_snapshot(const host_t *host) {
    arena_t arena = {0};
    why_t why;
    bytes_t mark = {0};
    cr_assert_eq(kv_get(host->kv, keys_installed(), &arena, &mark, &why), ERR_OK);
    arena_done(&arena);
    return mark.len > 0;
}

static void run_seeds(size_t members, bool has_witness, uint64_t seeds, size_t least_acked) {
    log_set_level(LOG_LEVEL_ERROR);
    size_t all = 0, snapshots = 0;
    uint64_t first = seed_first(1);
    seeds = seeds_count(seeds);
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        world_t w;
        world_open(&w, seed, members, has_witness);
        play(&w, TROUBLE_MS);
        all += acknowledged(&w);
        for (size_t i = 0; i < members; i++) snapshots += got_a_snapshot(&w.hosts[i]);
        cr_assert_eq(w.fault[0], 0, "%zu members, seed %llu: %s", members, (unsigned long long)seed,
                     w.fault);
        world_close(&w);
    }
    cr_assert_gt(all, least_acked * seeds, "only %zu writes were acknowledged", all);
    cr_assert(seeds < 5 || snapshots > 0, "nobody ever lagged behind the cut log");
}

Test(store_cluster, three_members_lose_nothing_and_agree)
{
    run_seeds(3, false, 12, 50);
    ASSERT_NO_LEAKS();
}

Test(store_cluster, five_members_lose_nothing_and_agree)
{
    run_seeds(5, false, 5, 50);
    ASSERT_NO_LEAKS();
}

Test(store_cluster, two_members_and_a_witness_lose_nothing_and_agree)
{
    run_seeds(3, true, 6, 20);
    ASSERT_NO_LEAKS();
}

Test(store_cluster, the_same_seed_gives_the_same_run)
{
    log_set_level(LOG_LEVEL_ERROR);
    uint64_t hash[2];
    for (int i = 0; i < 2; i++) {
        world_t w;
        world_open(&w, 77, 3, false);
        play(&w, 1000);
        hash[i] = sim_trace_hash(w.sim);
        world_close(&w);
    }
    cr_assert_eq(hash[0], hash[1]);
    ASSERT_NO_LEAKS();
}

// ---- members come and go ------------------------------------------------------------------------
static err_t change(world_t *w, const ProtobufCMessageDescriptor *type, const char *member,
                    why_t *why) {
    Store__MemberAdd body = {.base = PROTOBUF_C_MESSAGE_INIT(type)}; // all have the name alone
    body.member = (char *)member;
    arena_t arena = {0};
    void *reply;
    err_t err = ERR_UNAVAILABLE;
    for (int tries = 0; tries < 100 && (err_is_retryable(err) || err == ERR_CONFLICT); tries++) {
        if (tries) sim_run_for(w->sim, 50);
        err = sim_ask(w->sim, "test/admin", "store", &body.base, 3000, &arena,
                      &store__member_reply__descriptor, &reply, why);
    }
    arena_done(&arena);
    return err;
}

static bool role_is(world_t *w, const char *store, const char *role) {
    Store__StatusRequest body = {.base =
                                     PROTOBUF_C_MESSAGE_INIT(&store__status_request__descriptor)};
    arena_t arena = {0};
    Store__StatusReply *reply;
    why_t why;
    err_t err = sim_ask(w->sim, "test/admin", store, &body.base, 1000, &arena,
                        &store__status_reply__descriptor, (void **)&reply, &why);
    bool is = err == ERR_OK && streq(reply->role, role);
    arena_done(&arena);
    return is;
}

static bool wait_for_role(world_t *w, const char *store, const char *role) {
    for (int tries = 0; tries < 100; tries++) {
        if (role_is(w, store, role)) return true;
        sim_run_for(w->sim, 50);
    }
    return false;
}

// m4 was in no first configuration; it comes with an empty log, gets a snapshot, then a vote.
Test(store_cluster, a_member_is_added_promoted_and_another_removed)
{
    log_set_level(LOG_LEVEL_ERROR);
    world_t w;
    why_t why;
    world_open(&w, 4, 3, false);
    world_fill(&w);
    sim_run_for(w.sim, 1500);
    w.members = 4;
    host_open(&w, 3, 4);
    w.hosts[3].store.members.len = 3;
    w.hosts[3].store.join = true;
    host_start(&w.hosts[3]);
    sim_run_for(w.sim, 1000); // it waits, and disturbs nobody
    cr_assert_eq(change(&w, &store__member_promote__descriptor, "m4", &why), ERR_NOT_FOUND);
    cr_assert_eq(change(&w, &store__member_add__descriptor, "m4", &why), ERR_OK, "%s", why.text);
    cr_assert_eq(change(&w, &store__member_add__descriptor, "m4", &why), ERR_EXISTS);
    cr_assert_eq(change(&w, &store__member_promote__descriptor, "m4", &why), ERR_OK, "%s",
                 why.text);
    cr_assert(wait_for_role(&w, "store/m4", "voter"));
    cr_assert(got_a_snapshot(&w.hosts[3]));
    cr_assert_eq(change(&w, &store__member_remove__descriptor, "m1", &why), ERR_OK, "%s", why.text);
    cr_assert(wait_for_role(&w, "store/m1", "removed"));
    hand_over(&w, 3);
    sim_run_for(w.sim, 1000);
    sim_kill(w.sim, "store/m2", "test");
    sim_run_for(w.sim, 500);
    w.quiet = true;
    cr_assert(sim_run_until(w.sim, is_quiet, &w, 20000));
    check_watches(&w);
    check_puts(&w);
    cr_assert_eq(w.fault[0], 0, "%s", w.fault);
    world_close(&w);
    ASSERT_NO_LEAKS();
}

static size_t leader_of(world_t *w) {
    Store__MemberList body = {.base = PROTOBUF_C_MESSAGE_INIT(&store__member_list__descriptor)};
    arena_t arena = {0};
    Store__MemberReply *reply = NULL;
    why_t why;
    size_t found = 0;
    cr_assert_eq(sim_ask(w->sim, "test/admin", "store", &body.base, 3000, &arena,
                         &store__member_reply__descriptor, (void **)&reply, &why),
                 ERR_OK, "%s", why.text);
    while (found < w->members && !streq(names[found], reply->leader)) found++;
    arena_done(&arena);
    return found;
}

// People ask whom they reach; an API server is told to look for the leader itself.
Test(store_cluster, an_administrator_may_ask_any_member)
{
    log_set_level(LOG_LEVEL_ERROR);
    world_t w;
    world_open(&w, 11, 3, false);
    world_fill(&w);
    sim_run_for(w.sim, 1000);
    Store__RangeRequest range = {.base =
                                     PROTOBUF_C_MESSAGE_INIT(&store__range_request__descriptor)};
    Store__LeaseQuery leases = {.base = PROTOBUF_C_MESSAGE_INIT(&store__lease_query__descriptor)};
    Store__StatusRequest status = {.base =
                                       PROTOBUF_C_MESSAGE_INIT(&store__status_request__descriptor)};
    range.key = data("k");
    range.range_end = data("l");
    size_t leader = leader_of(&w);
    arena_t arena = {0};
    why_t why;
    for (size_t i = 0; i < w.members; i++) {
        Store__RangeReply *keys = NULL;
        int64_t least = w.acked;
        cr_assert_eq(sim_ask(w.sim, "admin/a", stores[i], &range.base, 1000, &arena,
                             &store__range_reply__descriptor, (void **)&keys, &why),
                     ERR_OK, "%s: %s", names[i], why.text);
        cr_assert(keys->revision >= least && keys->n_kvs == KEYS);
        void *reply;
        cr_assert_eq(sim_ask(w.sim, "admin/a", stores[i], &leases.base, 1000, &arena,
                             &store__lease_reply__descriptor, &reply, &why),
                     ERR_OK, "%s: %s", names[i], why.text);
        cr_assert_eq(sim_ask(w.sim, "apiserver/a", stores[i], &range.base, 1000, &arena,
                             &store__range_reply__descriptor, &reply, &why),
                     i == leader ? ERR_OK : ERR_NOT_LEADER);
        for (size_t j = 0; j < w.members; j++) {
            Store__StatusReply *of = NULL;
            status.member = names[j];
            cr_assert_eq(sim_ask(w.sim, "admin/a", stores[i], &status.base, 1000, &arena,
                                 &store__status_reply__descriptor, (void **)&of, &why),
                         ERR_OK, "%s of %s: %s", names[i], names[j], why.text);
            cr_assert_str_eq(of->member, names[j]);
        }
        status.member = "m9";
        cr_assert_eq(sim_ask(w.sim, "admin/a", stores[i], &status.base, 1000, &arena,
                             &store__status_reply__descriptor, &reply, &why),
                     ERR_NOT_FOUND);
    }
    arena_done(&arena);
    world_close(&w);
    ASSERT_NO_LEAKS();
}

static bool is_acked(void *arg) { return ((world_t *)arg)->acked > 0; }

// How long until something is acknowledged again.
static int64_t ms_until_acked(world_t *w) {
    int64_t begin = sim_now_ms(w->sim);
    w->acked = 0;
    cr_assert(sim_run_until(w->sim, is_acked, w, 10000));
    return sim_now_ms(w->sim) - begin;
}

// Heartbeats go on while its disk hangs: nobody would miss it, if it did not go by itself.
Test(store_cluster, a_leader_whose_disk_hangs_hands_over)
{
    log_set_level(LOG_LEVEL_ERROR);
    world_t w;
    world_open(&w, 9, 3, false);
    world_fill(&w);
    sim_run_for(w.sim, 1000);
    size_t stuck = leader_of(&w);
    cr_assert_lt(stuck, w.members);
    files_fake_set_delay(w.hosts[stuck].files, 20 * 1000 * 1000, 20 * 1000 * 1000);
    sim_run_for(w.sim, 2500);
    cr_assert_lt(ms_until_acked(&w), 500);
    cr_assert_neq(leader_of(&w), stuck);
    cr_assert_eq(w.fault[0], 0, "%s", w.fault);
    world_close(&w);
    ASSERT_NO_LEAKS();
}

// Connections that break tell it before any timeout does.
Test(store_cluster, a_leader_that_dies_is_replaced_at_once)
{
    log_set_level(LOG_LEVEL_ERROR);
    world_t w;
    world_open(&w, 10, 3, false);
    world_fill(&w);
    sim_run_for(w.sim, 1000);
    sim_crash_process(w.sim, processes[leader_of(&w)]);
    cr_assert_lt(ms_until_acked(&w), 150);
    world_close(&w);
    ASSERT_NO_LEAKS();
}

// A planted bug must be found: else the checks above check nothing.
Test(store_cluster, canary_answers_before_the_sync_are_caught)
{
    log_set_level(LOG_LEVEL_ERROR);
    bool caught = false;
    for (uint64_t seed = 1; seed <= 60 && !caught; seed++) {
        world_t w;
        world_open(&w, seed, 3, false);
        for (size_t i = 0; i < w.members; i++) w.hosts[i].disk.canary_ack_before_sync = true;
        play(&w, TROUBLE_MS);
        caught = w.fault[0];
        world_close(&w);
    }
    cr_assert(caught);
}
