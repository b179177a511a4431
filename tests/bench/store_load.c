// Many clients of a running store, in one thread, as administrator:
//
//     store_load run --connect ipc:///run/troupe.sock[,ipc://…] [--clients 16] [--seconds 10]
//                    [--think-ms 5] [--mix register,append,txn,lease] [--watches 2]
//                    [--history FILE] [--seed N] [--name NAME] [--key FILE --server-key FILE[,…]]
//     store_load check FILE
//     store_load rate --connect … [--clients 64] [--seconds 5] [--what put|get] [--bytes 1024]
//
// run: clients that work on a few keys of their own (load_mix.h) and watches over them, while
// somebody kills, stops and parts the members. All that the clients saw goes into FILE as text and
// is judged (store/check/history.h); the last line is the verdict. Nobody else may write to the
// store meanwhile: revisions that no client explains count as a fault. Half of the requests go to
// the leader, half to any member, so that one who wrongly believes to lead is asked as well. rate:
// puts or gets of one size as fast as the answers come; prints rate and latencies. Exit code: 0
// good, 1 bad, 2 undecided or not run.
#include "runtime/actor/process.h"
#include "runtime/api/msg.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "tests/bench/load_mix.h"
#include "troupe/store.pb-c.h"
#include <semaphore.h>
#include <unistd.h>

enum {
    CLIENTS_MAX = 1024,
    WATCHES_MAX = 8,
    ASK_TIMEOUT_MS = 3000,
    RETRY_MS = 50,
    END_WAIT_MS = 20 * 1000, // for the last read, and for the watches to have seen it
    RATE_KEYS = 100 * 1000,
};
enum { TAG_BASE = 1 << 20, TAG_LAST, TIMER_END, TAG_WATCH = 1 << 21 }; // clients' are below

typedef struct {
    const char *connect, *mix, *history, *what;
    const char *name, *key, *server_keys; // over tcp: who it is, its certificate, each endpoint's
    int clients, watches;
    double seconds;
    int64_t think_ms, seed, bytes;
    bool rate;
} wish_t;

// Each client has one operation under way.
typedef struct {
    mix_client_t mix;
    size_t entry; // of the history
    bool is_open;
    int64_t begun_us;
} client_t;

typedef struct {
    uint64_t stream; // the kit's; 0: none
    size_t open;     // events behind the last mark
} watch_t;

typedef struct {
    const wish_t *wish;
    char prefix[64];
    history_t history;
    client_t clients[CLIENTS_MAX];
    watch_t watches[WATCHES_MAX];
    int64_t until_us, end_us; // end: 0 before the clients are told to stop
    revision_t last;          // of the last read; 0: not yet
    uint64_t counts[4];       // of each outcome
    VEC(uint32_t) latencies_us;
    uint8_t *value;
    sem_t done;
} load_t;

static load_t *load_of(actor_t *me) { return *(load_t **)actor_state(me); }

// ---- requests -----------------------------------------------------------------------------------
static ProtobufCBinaryData data_of(bytes_t b) {
    return (ProtobufCBinaryData){b.len, (uint8_t *)b.at};
}
static bytes_t keep(arena_t *arena, ProtobufCBinaryData data) {
    return (bytes_t){arena_dup(arena, data.data, data.len), data.len};
}

static Store__RangeRequest *range_of(arena_t *arena, const history_op_t *op) {
    Store__RangeRequest *range =
        MSG_NEW(arena, Store__RangeRequest, store__range_request__descriptor);
    range->key = data_of(op->key);
    range->range_end = data_of(op->end);
    range->limit = op->limit;
    range->revision = op->at;
    return range;
}

static Store__Op **ops_of(arena_t *arena, const history_op_t *from, size_t len) {
    Store__Op **ops = ARENA_ARRAY(arena, Store__Op *, len + 1);
    for (size_t i = 0; i < len; i++) {
        Store__Op *op = ops[i] = MSG_NEW(arena, Store__Op, store__op__descriptor);
        if (from[i].kind == HISTORY_OP_PUT) {
            op->op_case = STORE__OP__OP_PUT;
            op->put = MSG_NEW(arena, Store__PutOp, store__put_op__descriptor);
            op->put->key = data_of(from[i].key);
            op->put->value = data_of(from[i].value);
            op->put->lease = from[i].lease;
        } else if (from[i].kind == HISTORY_OP_DELETE) {
            op->op_case = STORE__OP__OP_DELETE;
            op->delete_ = MSG_NEW(arena, Store__DeleteOp, store__delete_op__descriptor);
            op->delete_->key = data_of(from[i].key);
            op->delete_->range_end = data_of(from[i].end);
        } else {
            op->op_case = STORE__OP__OP_RANGE;
            op->range = range_of(arena, &from[i]);
        }
    }
    return ops;
}

static ProtobufCMessage *txn_of(arena_t *arena, const history_entry_t *e) {
    static const Store__Compare__Target targets[] = {
        STORE__COMPARE__TARGET__VALUE, STORE__COMPARE__TARGET__VERSION,
        STORE__COMPARE__TARGET__CREATE, STORE__COMPARE__TARGET__MOD, STORE__COMPARE__TARGET__LEASE};
    static const Store__Compare__Result results[] = {STORE__COMPARE__RESULT__EQUAL,
                                                     STORE__COMPARE__RESULT__NOT_EQUAL,
                                                     STORE__COMPARE__RESULT__LESS,
                                                     STORE__COMPARE__RESULT__GREATER};
    Store__TxnRequest *txn = MSG_NEW(arena, Store__TxnRequest, store__txn_request__descriptor);
    txn->compares = ARENA_ARRAY(arena, Store__Compare *, e->compares_len + 1);
    for (size_t i = 0; i < e->compares_len; i++) {
        Store__Compare *c = MSG_NEW(arena, Store__Compare, store__compare__descriptor);
        c->key = data_of(e->compares[i].key);
        c->range_end = data_of(e->compares[i].end);
        c->target = targets[e->compares[i].target];
        c->result = results[e->compares[i].relation];
        c->number = e->compares[i].number;
        c->value = data_of(e->compares[i].value);
        txn->compares[txn->n_compares++] = c;
    }
    txn->then = ops_of(arena, e->then, e->then_len);
    txn->n_then = e->then_len;
    txn->else_ = ops_of(arena, e->otherwise, e->otherwise_len);
    txn->n_else_ = e->otherwise_len;
    return &txn->base;
}

static ProtobufCMessage *request_of(arena_t *arena, const history_entry_t *e) {
    switch (e->kind) {
    case HISTORY_TXN: return txn_of(arena, e);
    case HISTORY_GET: return &range_of(arena, e->then)->base;
    case HISTORY_GRANT: {
        Store__LeaseGrant *m = MSG_NEW(arena, Store__LeaseGrant, store__lease_grant__descriptor);
        m->id = e->lease;
        m->ttl_ms = e->ttl_ms;
        return &m->base;
    }
    case HISTORY_KEEP: {
        Store__LeaseKeepAlive *m =
            MSG_NEW(arena, Store__LeaseKeepAlive, store__lease_keep_alive__descriptor);
        m->id = e->lease;
        return &m->base;
    }
    default: {
        Store__LeaseRevoke *m = MSG_NEW(arena, Store__LeaseRevoke, store__lease_revoke__descriptor);
        m->id = e->lease;
        return &m->base;
    }
    }
}

// ---- answers ------------------------------------------------------------------------------------
static history_kv_t kv_of(arena_t *arena, const Store__KeyValue *kv) {
    return (history_kv_t){keep(arena, kv->key), keep(arena, kv->value),
                          kv->create_revision,  kv->mod_revision,
                          kv->version,          kv->lease};
}

static void take_range(arena_t *arena, const Store__RangeReply *range, history_reply_t *to) {
    to->more = range->more;
    to->kvs = ARENA_ARRAY(arena, history_kv_t, range->n_kvs + 1);
    for (size_t i = 0; i < range->n_kvs; i++) to->kvs[to->kvs_len++] = kv_of(arena, range->kvs[i]);
}

static void take_txn(arena_t *arena, const Store__TxnReply *txn, history_entry_t *e) {
    e->revision = txn->revision;
    e->succeeded = txn->succeeded;
    e->replies = ARENA_ARRAY(arena, history_reply_t, txn->n_replies + 1);
    for (size_t i = 0; i < txn->n_replies; i++) {
        const Store__OpReply *from = txn->replies[i];
        history_reply_t *to = &e->replies[e->replies_len++];
        if (from->reply_case == STORE__OP_REPLY__REPLY_DELETE) to->deleted = from->delete_->deleted;
        if (from->reply_case == STORE__OP_REPLY__REPLY_RANGE) take_range(arena, from->range, to);
    }
}

static void take_answer(arena_t *arena, const ProtobufCMessage *body, history_entry_t *e) {
    if (body->descriptor == &store__txn_reply__descriptor) {
        take_txn(arena, (const Store__TxnReply *)body, e);
    } else if (body->descriptor == &store__range_reply__descriptor) {
        const Store__RangeReply *range = (const Store__RangeReply *)body;
        e->revision = range->revision;
        e->succeeded = true;
        e->replies = ARENA_NEW(arena, history_reply_t);
        e->replies_len = 1;
        take_range(arena, range, e->replies);
    } else {
        const Store__LeaseReply *lease = (const Store__LeaseReply *)body;
        e->revision = lease->revision;
        if (e->kind == HISTORY_KEEP) e->ttl_ms = lease->granted_ttl_ms;
    }
}

// What surely left nothing behind. Everything else may have happened, or may yet.
static history_outcome_t outcome_of(err_t err) {
    switch (err) {
    case ERR_NOT_FOUND: return HISTORY_MISSING;
    case ERR_NOT_LEADER:
    case ERR_OVERLOADED:
    case ERR_INVALID:
    case ERR_EXISTS:
    case ERR_COMPACTED:
    case ERR_FUTURE_REVISION:
    case ERR_TOO_LARGE:
    case ERR_DISK_FULL:
    case ERR_DEPOSED: return HISTORY_FAILED;
    default: return HISTORY_UNKNOWN;
    }
}

// ---- clients ------------------------------------------------------------------------------------
typedef struct {
    actor_t *me;
    const char *chosen;
    uint64_t seen;
} pick_t;
static void pick(void *arg, const char *address, const char *process) {
    pick_t *p = arg;
    if (rng_below(actor_rng(p->me), ++p->seen) == 0)
        p->chosen = arena_strdup(actor_arena(p->me), address);
}

// The leader, or any member: one that leads no more must not answer as if it did.
static const char *whom(actor_t *me) {
    pick_t p = {.me = me};
    if (!load_of(me)->wish->rate && rng_chance(actor_rng(me), 0.5))
        actor_each_known(me, "store", pick, &p);
    return p.chosen ? p.chosen : "store";
}

static void ask_next(actor_t *me, size_t number) {
    load_t *load = load_of(me);
    client_t *c = &load->clients[number];
    history_entry_t e = mix_next(&c->mix, &load->history.arena);
    e.invoked_us = clock_monotonic_us();
    e.returned_us = INT64_MAX;
    e.outcome = HISTORY_UNKNOWN;
    c->entry = load->history.entries.len;
    c->is_open = true;
    vec_push(&load->history.entries, e);
    actor_ask(me, whom(me), request_of(actor_arena(me), &e), ASK_TIMEOUT_MS, number);
}

static void ask_rate(actor_t *me, size_t number) {
    load_t *load = load_of(me);
    arena_t *arena = actor_arena(me);
    history_op_t op = {.kind = HISTORY_OP_PUT, .value = {load->value, (size_t)load->wish->bytes}};
    char *key = arena_printf(arena, "%s%07llu", load->prefix,
                             (unsigned long long)rng_below(actor_rng(me), RATE_KEYS));
    op.key = bytes_of_str(key);
    history_entry_t e = {.kind = HISTORY_TXN, .then = &op, .then_len = 1};
    if (streq(load->wish->what, "get")) e.kind = HISTORY_GET;
    load->clients[number].is_open = true;
    load->clients[number].begun_us = clock_monotonic_us();
    actor_ask(me, whom(me), request_of(arena, &e), ASK_TIMEOUT_MS, number);
}

static bool any_open(const load_t *load) {
    for (int i = 0; i < load->wish->clients; i++)
        if (load->clients[i].is_open) return true;
    return false;
}

static void go_on(actor_t *me, size_t number, bool answered) {
    load_t *load = load_of(me);
    client_t *c = &load->clients[number];
    c->is_open = false;
    if (clock_monotonic_us() < load->until_us) {
        int64_t pause_ms = load->wish->rate ? 0 : mix_pause_ms(&c->mix, load->wish->think_ms);
        if (!answered) pause_ms += RETRY_MS;
        if (pause_ms)
            actor_timer(me, number, pause_ms);
        else
            ask_rate(me, number);
    } else if (!any_open(load))
        actor_timer(me, TIMER_END, 1);
}

static void client_done(actor_t *me, size_t number, const ProtobufCMessage *body, err_t err) {
    load_t *load = load_of(me);
    client_t *c = &load->clients[number];
    history_outcome_t outcome = body ? HISTORY_OK : outcome_of(err);
    load->counts[outcome]++;
    if (load->wish->rate) {
        vec_push(&load->latencies_us, (uint32_t)(clock_monotonic_us() - c->begun_us));
        go_on(me, number, body != NULL);
        return;
    }
    history_entry_t *e = &load->history.entries.at[c->entry];
    e->outcome = outcome;
    if (outcome != HISTORY_UNKNOWN) e->returned_us = clock_monotonic_us();
    if (body) take_answer(&load->history.arena, body, e);
    mix_done(&c->mix, e);
    go_on(me, number, body != NULL);
}

// ---- the first and the last read ----------------------------------------------------------------
static void ask_all(actor_t *me, uint64_t tag) {
    load_t *load = load_of(me);
    history_op_t all = {.key = bytes_of_str(load->prefix)};
    char *end = arena_strdup(actor_arena(me), load->prefix);
    end[strlen(end) - 1]++;
    all.end = bytes_of_str(end);
    if (tag == TAG_LAST) load->clients[0].begun_us = clock_monotonic_us();
    actor_ask(me, "store", &range_of(actor_arena(me), &all)->base, ASK_TIMEOUT_MS, tag);
}

static void open_watch(actor_t *me, size_t number) {
    load_t *load = load_of(me);
    history_watch_t *w = &load->history.watches.at[number];
    Store__WatchRequest *request =
        MSG_NEW(actor_arena(me), Store__WatchRequest, store__watch_request__descriptor);
    request->key = data_of(w->key);
    request->range_end = data_of(w->end);
    request->from_revision = (w->seen ? w->seen : load->history.base) + 1;
    request->progress_interval_ms = 200;
    w->events.len = load->watches[number].open; // what came behind the last mark comes again
    load->watches[number].stream =
        actor_open(me, whom(me), &request->base, STREAM_WINDOW_DEFAULT, TAG_WATCH + number);
}

static void begin(actor_t *me, revision_t base) {
    load_t *load = load_of(me);
    arena_t *arena = &load->history.arena;
    load->history.base = base;
    load->until_us = clock_monotonic_us() + (int64_t)(load->wish->seconds * 1e6);
    for (int i = 0; i < load->wish->watches; i++) {
        // The first one over everything, the others over one sort of key each.
        char sort = "tlra"[i % 4], *end;
        history_watch_t w = {.id = i, .from = base + 1};
        char *key =
            i ? arena_printf(arena, "%s%c", load->prefix, sort) : arena_strdup(arena, load->prefix);
        end = arena_strdup(arena, key);
        end[strlen(end) - 1]++;
        w.key = bytes_of_str(key);
        w.end = bytes_of_str(end);
        vec_push(&load->history.watches, w);
        open_watch(me, (size_t)i);
    }
    for (int i = 0; i < load->wish->clients; i++) actor_timer(me, (uint64_t)i, 1 + i % 10);
}

static bool watches_have_seen(const load_t *load, revision_t revision) {
    for (size_t i = 0; i < load->history.watches.len; i++)
        if (load->history.watches.at[i].seen < revision) return false;
    return true;
}

static void on_end_timer(actor_t *me) {
    load_t *load = load_of(me);
    if (load->wish->rate) {
        sem_post(&load->done);
        return;
    }
    if (!load->end_us) {
        load->end_us = clock_monotonic_us() + END_WAIT_MS * 1000;
        ask_all(me, TAG_LAST);
    }
    bool seen = load->last && watches_have_seen(load, load->last);
    if (seen || clock_monotonic_us() > load->end_us)
        sem_post(&load->done);
    else
        actor_timer(me, TIMER_END, 10);
}

static void last_read(actor_t *me, const ProtobufCMessage *body) {
    load_t *load = load_of(me);
    history_op_t all = {.kind = HISTORY_OP_GET, .key = bytes_of_str(load->prefix)};
    arena_t *arena = &load->history.arena;
    char *end = arena_strdup(arena, load->prefix);
    end[strlen(end) - 1]++;
    all.end = bytes_of_str(end);
    history_entry_t e = {.kind = HISTORY_GET,
                         .client = load->wish->clients,
                         .invoked_us = load->clients[0].begun_us,
                         .returned_us = clock_monotonic_us(),
                         .then = arena_dup(arena, &all, sizeof all),
                         .then_len = 1};
    take_answer(arena, body, &e);
    load->last = e.revision;
    vec_push(&load->history.entries, e);
}

// ---- handlers -----------------------------------------------------------------------------------
static void on_answer(actor_t *me, const message_t *msg, const void *body) {
    load_t *load = load_of(me);
    if (msg->tag == TAG_BASE)
        begin(me, ((const Store__RangeReply *)body)->revision);
    else if (msg->tag == TAG_LAST)
        last_read(me, body);
    else if (msg->tag < (uint64_t)load->wish->clients)
        client_done(me, msg->tag, body, ERR_OK);
}

static void reopen(actor_t *me, uint64_t tag) { actor_timer(me, tag, RETRY_MS); }

static void on_failure(actor_t *me, const message_t *msg, const void *body) {
    load_t *load = load_of(me);
    if (msg->tag == TAG_BASE && clock_monotonic_us() > load->until_us)
        sem_post(&load->done); // nobody serves
    else if (msg->tag == TAG_BASE || msg->tag == TAG_LAST)
        actor_timer(me, msg->tag, RETRY_MS);
    else if (msg->tag >= TAG_WATCH)
        reopen(me, msg->tag);
    else
        client_done(me, msg->tag, NULL, (err_t)((const Actor__Failure *)body)->err);
}

static void on_stream_end(actor_t *me, const message_t *msg, const void *body) {
    reopen(me, msg->tag);
}

static void on_events(actor_t *me, const message_t *msg, const void *body) {
    load_t *load = load_of(me);
    const Store__WatchEvents *events = body;
    size_t number = msg->tag - TAG_WATCH;
    history_watch_t *w = &load->history.watches.at[number];
    if (events->created) return;
    for (size_t i = 0; i < events->n_events; i++) {
        const Store__Event *from = events->events[i];
        history_event_t event = {.revision = from->kv->mod_revision, .deleted = from->deleted};
        event.kv = kv_of(&load->history.arena, from->kv);
        vec_push(&w->events, event);
    }
    if (events->fragment || events->revision < w->seen) return;
    w->seen = events->revision;
    load->watches[number].open = w->events.len;
}

static void on_timer(actor_t *me, uint64_t tag) {
    if (tag == TIMER_END)
        on_end_timer(me);
    else if (tag == TAG_BASE || tag == TAG_LAST)
        ask_all(me, tag);
    else if (tag >= TAG_WATCH)
        open_watch(me, tag - TAG_WATCH);
    else if (clock_monotonic_us() >= load_of(me)->until_us)
        go_on(me, tag, true);
    else if (load_of(me)->wish->rate)
        ask_rate(me, tag);
    else
        ask_next(me, tag);
}

static err_t start(actor_t *me, const void *args, why_t *why) {
    *(const void **)actor_state(me) = args;
    load_of(me)->until_us = clock_monotonic_us() + END_WAIT_MS * 1000;
    actor_timer(me, TAG_BASE, 1);
    return ERR_OK;
}

static const handler_t handlers[] = {{&store__txn_reply__descriptor, on_answer, NULL},
                                     {&store__range_reply__descriptor, on_answer, NULL},
                                     {&store__lease_reply__descriptor, on_answer, NULL},
                                     {&store__watch_events__descriptor, on_events, NULL},
                                     {&actor__failure__descriptor, on_failure, NULL},
                                     {&actor__stream_end__descriptor, on_stream_end, NULL},
                                     {0}};
static const actor_def_t load_actor = {.role = "admin",
                                       .state_size = sizeof(void *),
                                       .start = start,
                                       .handlers = handlers,
                                       .on_timer = on_timer};

// ---- verdict ------------------------------------------------------------------------------------
static int judge(history_t *history) {
    static const char *const words[] = {"good", "BAD", "undecided"};
    history_report_t r;
    int64_t begun = clock_monotonic_us();
    history_check(history, NULL, &r);
    printf("%zu operations (%zu reads, %zu writes, %zu of unknown outcome, %zu of those happened), "
           "%zu lease ends, %zu watch events, revisions %lld to %lld; checked in %lld ms, %llu "
           "steps\n",
           r.entries, r.reads, r.writes, r.unknown, r.unknown_applied, r.expiries, r.events,
           (long long)r.from, (long long)r.to, (long long)(clock_monotonic_us() - begun) / 1000,
           (unsigned long long)r.steps);
    printf("verdict: %s%s%s\n", words[r.verdict], r.why ? ": " : "", or_empty(r.why));
    int code = (int)r.verdict;
    history_report_done(&r);
    return code;
}

static void write_history(const history_t *history, const char *path) {
    text_t text = TEXT_HEAP;
    history_print(history, &text);
    FILE *out = fopen(path, "w");
    if (!out || fwrite(text_str(&text), 1, text.len, out) != text.len)
        fprintf(stderr, "store_load: cannot write %s\n", path);
    if (out) fclose(out);
    text_done(&text);
}

static int check_file(const char *path) {
    FILE *in = fopen(path, "r");
    if (!in) {
        fprintf(stderr, "store_load: cannot read %s\n", path);
        return 2;
    }
    text_t text = TEXT_HEAP;
    char part[1 << 16];
    for (size_t len; (len = fread(part, 1, sizeof part, in)) > 0;) text_addn(&text, part, len);
    fclose(in);
    history_t history = {0};
    why_t why;
    int code = 2;
    if (history_parse(&history, text_str(&text), &why) == ERR_OK)
        code = judge(&history);
    else
        fprintf(stderr, "store_load: %s\n", why.text);
    text_done(&text);
    history_done(&history);
    return code;
}

static int by_size(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static int print_rate(load_t *load) {
    size_t len = load->latencies_us.len;
    if (len == 0) return 2;
    qsort(load->latencies_us.at, len, sizeof *load->latencies_us.at, by_size);
    printf("%s, %d clients: %.0f/s, p50 %.2f ms, p99 %.2f ms, worst %.2f ms, %llu refused\n",
           load->wish->what, load->wish->clients,
           (double)load->counts[HISTORY_OK] / load->wish->seconds,
           load->latencies_us.at[len / 2] / 1e3, load->latencies_us.at[len * 99 / 100] / 1e3,
           load->latencies_us.at[len - 1] / 1e3,
           (unsigned long long)(len - load->counts[HISTORY_OK]));
    vec_done(&load->latencies_us);
    return 0;
}

static int finish(load_t *load) {
    if (load->wish->rate) return print_rate(load);
    printf("answered %llu, refused %llu, no such lease %llu, unknown %llu\n",
           (unsigned long long)load->counts[HISTORY_OK],
           (unsigned long long)load->counts[HISTORY_FAILED],
           (unsigned long long)load->counts[HISTORY_MISSING],
           (unsigned long long)load->counts[HISTORY_UNKNOWN]);
    if (load->wish->history) write_history(&load->history, load->wish->history);
    int code = judge(&load->history);
    if (!load->last)
        printf("no last read within %d ms\n", END_WAIT_MS), code = code ? code : 2;
    else if (!watches_have_seen(load, load->last))
        printf("a watch did not come up with revision %lld\n", (long long)load->last), code = 1;
    return code;
}

// ---- life ---------------------------------------------------------------------------------------
// The next of a list with commas; NULL at its end. The caller frees it.
static char *next_of(const char **list) {
    if (!*list || !**list) return NULL;
    const char *end = strchrnul(*list, ',');
    char *item = str_dup_n(*list, (size_t)(end - *list));
    *list = *end ? end + 1 : end;
    return item;
}

// Whoever holds the keys that were named is who we want to hear.
static bool may_speak(void *arg, const char *principal, const char *address) { return true; }

static err_t connect_all(process_t *p, const wish_t *wish, why_t *why) {
    const char *endpoints = wish->connect, *server_keys = wish->server_keys;
    err_t err = ERR_OK;
    for (char *endpoint; err == ERR_OK && (endpoint = next_of(&endpoints));) {
        CLEANUP(free_charp) char *server_key = next_of(&server_keys);
        connect_options_t options = {
            .peer = "", .endpoint = endpoint, .key_file = wish->key, .server_key_file = server_key};
        err = process_connect(p, &options, why);
        free(endpoint);
    }
    return err;
}

static void set_mixes(load_t *load) {
    VEC(mix_kind_t) kinds = {0};
    const char *mix = load->wish->mix;
    for (char *name; (name = next_of(&mix)); free(name)) {
        mix_kind_t kind;
        if (mix_kind_from(name, &kind)) vec_push(&kinds, kind);
    }
    if (kinds.len == 0) vec_push(&kinds, MIX_REGISTER);
    for (int i = 0; i < load->wish->clients; i++)
        mix_init(&load->clients[i].mix, i, kinds.at[(size_t)i % kinds.len], load->prefix,
                 (uint64_t)load->wish->seed);
    vec_done(&kinds);
}

static int run(const wish_t *wish) {
    load_t *load = NEW(load_t);
    load->wish = wish;
    load->value = mem_new((size_t)wish->bytes + 1);
    memset(load->value, 'v', (size_t)wish->bytes);
    sem_init(&load->done, 0, 0);
    snprintf(load->prefix, sizeof load->prefix, "/load/%d/", (int)getpid());
    set_mixes(load);
    char name[64];
    if (wish->name)
        snprintf(name, sizeof name, "%s", wish->name);
    else
        snprintf(name, sizeof name, "load-%d", (int)getpid());
    process_options_t options = {.name = name, .host = "load", .may_speak_as = may_speak};
    process_t *process = NULL;
    why_t why;
    err_t err = process_new(&options, &process, &why);
    if (err == ERR_OK) err = process_add_dispatcher(process, "load", &why);
    if (err == ERR_OK) err = connect_all(process, wish, &why);
    if (err == ERR_OK) err = process_spawn(process, "load", &load_actor, name, load, NULL, &why);
    int code = 2;
    if (err == ERR_OK) {
        while (sem_wait(&load->done) != 0) {}
        process_stop(process);
        code = finish(load);
    } else
        fprintf(stderr, "store_load: %s\n", why.text);
    if (process) process_destroy(&process);
    history_done(&load->history);
    free(load->value);
    free(load);
    return code;
}

static bool read_wish(int argc, char **argv, wish_t *w) {
    for (int i = 0; i + 1 < argc; i += 2) {
        const char *name = argv[i], *text = argv[i + 1];
        if (streq(name, "--connect"))
            w->connect = text;
        else if (streq(name, "--mix"))
            w->mix = text;
        else if (streq(name, "--history"))
            w->history = text;
        else if (streq(name, "--name"))
            w->name = text;
        else if (streq(name, "--key"))
            w->key = text;
        else if (streq(name, "--server-key"))
            w->server_keys = text;
        else if (streq(name, "--what"))
            w->what = text;
        else if (streq(name, "--clients"))
            w->clients = (int)strtol(text, NULL, 10);
        else if (streq(name, "--watches"))
            w->watches = (int)strtol(text, NULL, 10);
        else if (streq(name, "--seconds"))
            w->seconds = strtod(text, NULL);
        else if (streq(name, "--think-ms"))
            w->think_ms = strtoll(text, NULL, 10);
        else if (streq(name, "--seed"))
            w->seed = strtoll(text, NULL, 10);
        else if (streq(name, "--bytes"))
            w->bytes = strtoll(text, NULL, 10);
        else
            return false;
    }
    return argc % 2 == 0 && w->connect && w->clients > 0 && w->clients <= CLIENTS_MAX &&
           w->watches >= 0 && w->watches <= WATCHES_MAX && w->think_ms > 0 && w->bytes > 0 &&
           w->bytes <= 1 << 20;
}

int main(int argc, char **argv) {
    log_set_level(LOG_LEVEL_ERROR);
    wish_t wish = {.mix = "register,append,txn,lease",
                   .what = "put",
                   .clients = 16,
                   .watches = 2,
                   .seconds = 10,
                   .think_ms = 5,
                   .seed = 1,
                   .bytes = 1024};
    if (argc == 3 && streq(argv[1], "check")) return check_file(argv[2]);
    bool runs = argc > 1 && (streq(argv[1], "run") || streq(argv[1], "rate"));
    wish.rate = runs && streq(argv[1], "rate");
    if (wish.rate) wish.watches = 0;
    if (runs && read_wish(argc - 2, argv + 2, &wish)) return run(&wish);
    fprintf(stderr, "usage: store_load run|rate --connect ENDPOINT[,ENDPOINT…] [--clients N] "
                    "[--seconds S] …\n       store_load check FILE\n");
    return 2;
}
