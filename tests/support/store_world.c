#include "tests/support/store_world.h"
#include "runtime/base/hash.h"
#include "runtime/base/map.h"
#include "runtime/base/text.h"
#include "store/mvcc/keys.h"
#include <criterion/criterion.h>

enum { CLIENTS = 4, WATCH_WINDOW = 8, ASK_TIMEOUT_MS = 400 };

const char *const world_names[WORLD_MEMBERS_MAX] = {"m1", "m2", "m3", "m4", "m5"};
const char *const world_processes[WORLD_MEMBERS_MAX] = {"p1", "p2", "p3", "p4", "p5"};
const char *const world_stores[WORLD_MEMBERS_MAX] = {"store/m1", "store/m2", "store/m3", "store/m4",
                                                     "store/m5"};
const char *const world_disks[WORLD_MEMBERS_MAX] = {"disk/m1", "disk/m2", "disk/m3", "disk/m4",
                                                    "disk/m5"};

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

ProtobufCBinaryData world_data(const char *s) {
    return (ProtobufCBinaryData){strlen(s), (uint8_t *)s};
}

static size_t new_put(client_t *c, const char *key) {
    world_put_t put = {.fate = PUT_OPEN};
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
    const world_put_t *put = &c->w->puts.at[at];
    Store__PutOp op = {.base = PROTOBUF_C_MESSAGE_INIT(&store__put_op__descriptor)};
    op.key = world_data(put->key);
    op.value = world_data(put->value);
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
    range.key = world_data("k");
    range.range_end = world_data("l");
    // Sometimes whoever: one that leads no more, or wrongly believes to, must not answer as if it
    // did.
    rng_t *rng = actor_rng(me);
    bool any = rng_chance(rng, 0.3);
    const char *to = any ? world_stores[rng_below(rng, c->w->members)] : "store";
    actor_ask(me, to, &range.base, ASK_TIMEOUT_MS, TAG_READ | (uint64_t)c->w->acked);
    c->open++;
    c->w->open++;
}

static void client_timer(actor_t *me, uint64_t tag) {
    client_t *c = actor_state(me);
    actor_timer(me, 1, rng_between(actor_rng(me), 0, 8));
    if (c->w->quiet || c->open >= 8) return;
    for (uint64_t n = 1 + rng_below(actor_rng(me), 3); n > 0; n--) {
        char key[16];
        snprintf(key, sizeof key, "k%d", (int)rng_below(actor_rng(me), WORLD_KEYS));
        if (rng_chance(actor_rng(me), 0.25))
            ask_read(me);
        else
            ask_put(me, key, -1);
    }
}

static void client_acked(actor_t *me, const message_t *msg, const void *body) {
    client_t *c = actor_state(me);
    const Store__TxnReply *reply = body;
    world_put_t *put = &c->w->puts.at[msg->tag];
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
    watch.key = world_data("k");
    watch.range_end = world_data("l");
    watch.from_revision = c->next;
    c->stream = actor_open(me, "store", &watch.base, WATCH_WINDOW, 0);
}

static void watcher_events(actor_t *me, const message_t *msg, const void *body) {
    watcher_t *c = actor_state(me);
    const Store__WatchEvents *chunk = body;
    for (size_t i = 0; i < chunk->n_events; i++) {
        const Store__KeyValue *kv = chunk->events[i]->kv;
        world_event_t e = {.revision = kv->mod_revision, .deleted = chunk->events[i]->deleted};
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
static void crashed(void *arg) {
    world_host_t *host = arg;
    files_fake_crash(host->files);
    kv_map_crash(host->kv);
}

static role_args_t roles[CLIENTS + WORLD_WATCHERS];

static void spawn(world_t *w, const char *host, const char *process, const actor_def_t *def,
                  const char *name, const void *args) {
    why_t why;
    cr_assert_eq(sim_spawn(w->sim, host, process, def, name, args, &why), ERR_OK, "%s", why.text);
}

void world_host_open(world_t *w, size_t i, uint64_t seed) {
    world_host_t *host = &w->hosts[i];
    *host = (world_host_t){w, i, files_fake_new(seed + i), kv_map_new(), {0}, {0}};
    host->disk = (disk_args_t){.data_dir = "/d",
                               .member = world_names[i],
                               .files = host->files,
                               .segment_bytes = 16 << 10,
                               .cluster_id = 7};
    host->store = (store_args_t){.data_dir = "/d",
                                 .member = world_names[i],
                                 .kv = host->kv,
                                 .members = {world_names, w->members},
                                 .log_cut_bytes = 16 << 10,
                                 .log_for_peers_bytes = 32 << 10, // beyond: a snapshot
                                 .history_keep_ms = -1};
    if (w->has_witness) host->store.witness = world_names[w->members - 1];
    kv_map_flush_every(host->kv, 11);
    files_fake_set_delay(host->files, 50, 3000);
}

void world_host_start(world_host_t *host) {
    size_t i = host->number;
    spawn(host->w, world_processes[i], world_processes[i], &disk_actor, world_names[i],
          &host->disk);
    spawn(host->w, world_processes[i], world_processes[i], &store_actor, world_names[i],
          &host->store);
    sim_on_crash(host->w->sim, world_processes[i], crashed, host);
}

void world_open(world_t *w, uint64_t seed, size_t members, bool has_witness) {
    *w = (world_t){.sim = sim_new(seed), .members = members, .has_witness = has_witness};
    sim_set_latency(w->sim, 100, 900);
    for (size_t i = 0; i < members; i++) world_host_open(w, i, seed);
}

void world_fill(world_t *w) {
    for (size_t i = 0; i < w->members; i++) {
        world_host_start(&w->hosts[i]);
        if (w->drift)
            sim_skew(w->sim, world_processes[i], 0, (2 * rng_unit(sim_rng(w->sim)) - 1) * w->drift);
    }
    for (size_t i = 0; i < CLIENTS + WORLD_WATCHERS; i++) {
        char name[16];
        snprintf(name, sizeof name, "%s%zu", i < CLIENTS ? "client" : "watcher", i);
        roles[i] = (role_args_t){w, i < CLIENTS ? i : i - CLIENTS};
        spawn(w, "c1", "c1", i < CLIENTS ? &client_actor : &watcher_actor, name, &roles[i]);
    }
}

void world_close(world_t *w) {
    sim_destroy(&w->sim);
    for (size_t i = 0; i < w->members; i++) {
        kv_destroy(&w->hosts[i].kv);
        files_fake_destroy(&w->hosts[i].files);
    }
    vec_done(&w->puts);
    for (size_t i = 0; i < WORLD_WATCHERS; i++) vec_done(&w->seen[i]);
}

// ---- checks -------------------------------------------------------------------------------------
static void check_watches(world_t *w) {
    for (size_t i = 0; i < WORLD_WATCHERS; i++) {
        const world_events_t *seen = &w->seen[i];
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
    const world_events_t *history = &w->seen[0];
    map_t by_value = {0};
    for (size_t i = 0; i < history->len; i++)
        if (map_put(&by_value, history->at[i].value, &history->at[i]))
            fault(w, "the value %s was written twice", history->at[i].value);
    for (size_t i = 0; i < w->puts.len; i++) {
        const world_put_t *put = &w->puts.at[i];
        const world_event_t *e = map_get(&by_value, put->value);
        if (put->fate == PUT_ACKED &&
            (!e || e->revision != put->revision || !streq(e->key, put->key)))
            fault(w, "the acknowledged write of %s at revision %lld is lost", put->value,
                  (long long)put->revision);
        if (put->fate == PUT_REFUSED && e) fault(w, "%s was refused, and yet written", put->value);
    }
    map_done(&by_value);
}

void world_check_history(world_t *w) {
    check_watches(w);
    check_puts(w);
}

static uint64_t applied_by(const world_host_t *host) {
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
    if (!sim_run_until(w->sim, members_are_level, w, WORLD_QUIET_MS))
        fault(w, "the members do not come to the same entry");
    for (size_t i = 1; i < w->members - w->has_witness; i++)
        if (hash_of(w->hosts[i].kv) != hash_of(w->hosts[0].kv))
            fault(w, "%s and %s differ at entry %llu", world_names[i], world_names[0],
                  (unsigned long long)applied_by(&w->hosts[0]));
}

bool world_is_quiet(void *arg) {
    world_t *w = arg;
    if (w->open) return false;
    for (size_t i = 0; i < WORLD_WATCHERS; i++)
        if ((int64_t)w->seen[i].len < w->acked || w->seen[i].len != w->seen[0].len) return false;
    return true;
}

static err_t read_all(world_t *w, arena_t *arena, Store__RangeReply **ret_reply, why_t *why) {
    Store__RangeRequest range = {.base =
                                     PROTOBUF_C_MESSAGE_INIT(&store__range_request__descriptor)};
    range.key = world_data("k");
    range.range_end = world_data("l");
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
    else if (w->acked = reply->revision, !sim_run_until(w->sim, world_is_quiet, w, WORLD_QUIET_MS))
        fault(w, "the watchers do not see the end");
    for (size_t i = 0; err == ERR_OK && i < reply->n_kvs; i++) {
        const Store__KeyValue *kv = reply->kvs[i];
        const world_event_t *last = NULL;
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
void world_power_cut(world_t *w, size_t i) {
    sim_crash_process(w->sim, world_processes[i]);
    rng_t *rng = sim_rng(w->sim);
    if (!w->quiet) sim_run_for(w->sim, rng_between(rng, 0, 30));
    // Sometimes the power goes again while the member recovers.
    files_fake_cut_after(w->hosts[i].files,
                         !w->quiet && rng_chance(rng, 0.3) ? rng_below(rng, 12) : UINT64_MAX);
    sim_restart_process(w->sim, world_processes[i]);
}

static void cut_what_is_cut(world_t *w) {
    for (size_t i = 0; i < w->members; i++)
        if (files_fake_is_cut(w->hosts[i].files)) world_power_cut(w, i);
}

void world_run(world_t *w, int64_t length_ms) {
    int64_t until = sim_now_ms(w->sim) + length_ms;
    while (sim_now_ms(w->sim) < until && sim_step(w->sim)) cut_what_is_cut(w);
}

void world_outage(world_t *w, size_t i, int64_t length_ms) {
    sim_crash_process(w->sim, world_processes[i]);
    world_run(w, length_ms);
    files_fake_cut_after(w->hosts[i].files, UINT64_MAX);
    sim_restart_process(w->sim, world_processes[i]);
}

void world_calm(world_t *w) {
    sim_clear_faults(w->sim);
    w->quiet = true;
    for (size_t i = 0; i < w->members; i++) files_fake_cut_after(w->hosts[i].files, UINT64_MAX);
    cut_what_is_cut(w);
}

void world_check(world_t *w) {
    if (!sim_run_until(w->sim, world_is_quiet, w, WORLD_QUIET_MS))
        fault(w, "the store does not come to rest");
    check_keys(w);
    world_check_history(w);
}

void world_play(world_t *w, int64_t length_ms, int64_t pause_ms, void (*strike)(world_t *w)) {
    int64_t end = sim_now_ms(w->sim) + length_ms;
    world_fill(w);
    while (sim_now_ms(w->sim) < end && !w->fault[0]) {
        world_run(w, rng_between(sim_rng(w->sim), pause_ms / 20, pause_ms));
        strike(w);
    }
    world_calm(w);
    world_check(w);
}

size_t world_acknowledged(const world_t *w) {
    size_t acked = 0;
    for (size_t i = 0; i < w->puts.len; i++) acked += w->puts.at[i].fate == PUT_ACKED;
    return acked;
}

// Of this member's life: the state machine bears the mark of the last one it got.
bool world_got_a_snapshot(const world_host_t *host) {
    arena_t arena = {0};
    why_t why;
    bytes_t mark = {0};
    cr_assert_eq(kv_get(host->kv, keys_installed(), &arena, &mark, &why), ERR_OK);
    arena_done(&arena);
    return mark.len > 0;
}
