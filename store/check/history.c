#include "store/check/history.h"
#include <ctype.h>

static const char *const outcomes[] = {"ok", "failed", "missing", "unknown"};
static const char *const kinds[] = {"txn", "get", "grant", "keep", "revoke"};
static const char *const targets[] = {"value", "version", "create", "mod", "lease"};
static const char *const relations[] = {"=", "!=", "<", ">"};
static const char *const op_kinds[] = {"put", "del", "get"};

// ---- reading ------------------------------------------------------------------------------------
typedef struct {
    history_t *history;
    const char *at; // in the line
    const char *end;
    const char *bad; // what was wrong first; NULL: nothing
} reader_t;

static void spoil(reader_t *r, const char *what) {
    if (!r->bad) r->bad = what;
}

// The next word as it stands; empty at the line's end.
static bytes_t raw_word(reader_t *r) {
    const char *from = r->at;
    while (r->at < r->end && *r->at != ' ') r->at++;
    bytes_t word = {(const uint8_t *)from, (size_t)(r->at - from)};
    if (r->at < r->end) r->at++;
    return word;
}

static bool word_is(bytes_t word, const char *text) { return bytes_eq(word, bytes_of_str(text)); }

// Takes the next word only if it is this one.
static bool take(reader_t *r, const char *text) {
    const char *before = r->at;
    if (word_is(raw_word(r), text)) return true;
    r->at = before;
    return false;
}

static int one_of(reader_t *r, const char *const *names, size_t len, const char *what) {
    bytes_t word = raw_word(r);
    for (size_t i = 0; i < len; i++)
        if (word_is(word, names[i])) return (int)i;
    spoil(r, what);
    return 0;
}
#define ONE_OF(r, names, what) one_of((r), (names), LENGTH_OF(names), (what))

static int64_t read_number(reader_t *r) {
    bytes_t word = raw_word(r);
    if (word_is(word, "-")) return INT64_MAX;
    char digits[24] = "", *end = digits;
    if (word.len == 0 || word.len >= sizeof digits) {
        spoil(r, "a number is missing");
        return 0;
    }
    memcpy(digits, word.at, word.len);
    int64_t number = strtoll(digits, &end, 10);
    if (*end) spoil(r, "this is no number");
    return number;
}

static int hex_digit(uint8_t c) {
    if (!isxdigit(c)) return -1;
    return isdigit(c) ? c - '0' : tolower(c) - 'a' + 10;
}

static bytes_t read_bytes(reader_t *r) {
    bytes_t word = raw_word(r);
    if (word.len == 0) spoil(r, "a word is missing");
    if (word_is(word, "%")) return (bytes_t){0};
    uint8_t *to = arena_alloc(&r->history->arena, word.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < word.len; i++) {
        to[len++] = word.at[i];
        if (word.at[i] != '%') continue;
        int high = i + 2 < word.len ? hex_digit(word.at[i + 1]) : -1;
        int low = i + 2 < word.len ? hex_digit(word.at[i + 2]) : -1;
        if (high < 0 || low < 0) {
            spoil(r, "% is followed by two hexadecimal digits");
            break;
        }
        to[len - 1] = (uint8_t)(high << 4 | low);
        i += 2;
    }
    return (bytes_t){to, len};
}

static history_compare_t read_compare(reader_t *r, bool of_range) {
    history_compare_t c = {.key = read_bytes(r)};
    if (of_range) c.end = read_bytes(r);
    c.target = (history_target_t)ONE_OF(r, targets, "no such target");
    c.relation = (history_relation_t)ONE_OF(r, relations, "no such relation");
    if (c.target == HISTORY_VALUE)
        c.value = read_bytes(r);
    else
        c.number = read_number(r);
    return c;
}

static history_op_t read_op(reader_t *r) {
    history_op_t op = {.kind = (history_op_kind_t)ONE_OF(r, op_kinds, "no such operation")};
    op.key = read_bytes(r);
    if (op.kind == HISTORY_OP_PUT) {
        op.value = read_bytes(r);
        op.lease = read_number(r);
        return op;
    }
    op.end = read_bytes(r);
    if (op.kind == HISTORY_OP_DELETE) return op;
    op.limit = read_number(r);
    op.at = read_number(r);
    return op;
}

static history_kv_t read_kv(reader_t *r) {
    history_kv_t kv = {.key = read_bytes(r)};
    kv.create = read_number(r);
    kv.mod = read_number(r);
    kv.version = read_number(r);
    kv.lease = read_number(r);
    kv.value = read_bytes(r);
    return kv;
}

typedef VEC(history_op_t) ops_t;
typedef VEC(history_compare_t) compares_t;
typedef VEC(history_reply_t) replies_t;
typedef VEC(history_kv_t) kvs_t;
// A vector's elements, moved into the arena.
#define KEEP(r, v) \
    ((v).len ? arena_dup(&(r)->history->arena, (v).at, (v).len * sizeof *(v).at) : NULL)

static void read_branches(reader_t *r, history_entry_t *e) {
    compares_t compares = {0};
    ops_t then = {0}, otherwise = {0};
    while (r->at < r->end && !r->bad) {
        if (take(r, "if"))
            vec_push(&compares, read_compare(r, false));
        else if (take(r, "every"))
            vec_push(&compares, read_compare(r, true));
        else if (take(r, "then"))
            vec_push(&then, read_op(r));
        else if (take(r, "else"))
            vec_push(&otherwise, read_op(r));
        else
            break;
    }
    e->compares = KEEP(r, compares), e->compares_len = compares.len;
    e->then = KEEP(r, then), e->then_len = then.len;
    e->otherwise = KEEP(r, otherwise), e->otherwise_len = otherwise.len;
    vec_done(&compares);
    vec_done(&then);
    vec_done(&otherwise);
}

static void read_replies(reader_t *r, history_entry_t *e) {
    replies_t replies = {0};
    while (r->at < r->end && !r->bad) {
        history_reply_t reply = {0};
        if (take(r, "del")) {
            reply.deleted = read_number(r);
        } else if (take(r, "got")) {
            kvs_t kvs = {0};
            reply.more = take(r, "more");
            if (!reply.more && !take(r, "all")) spoil(r, "more or all is missing");
            while (take(r, "kv")) vec_push(&kvs, read_kv(r));
            reply.kvs = KEEP(r, kvs), reply.kvs_len = kvs.len;
            vec_done(&kvs);
        } else if (!take(r, "put"))
            spoil(r, "no such answer");
        vec_push(&replies, reply);
    }
    e->replies = KEEP(r, replies), e->replies_len = replies.len;
    vec_done(&replies);
}

static void read_entry(reader_t *r) {
    history_entry_t e = {.client = read_number(r)};
    e.invoked_us = read_number(r);
    e.returned_us = read_number(r);
    e.outcome = (history_outcome_t)ONE_OF(r, outcomes, "no such outcome");
    e.revision = read_number(r);
    e.kind = (history_kind_t)ONE_OF(r, kinds, "no such kind of operation");
    if (e.kind == HISTORY_TXN) {
        read_branches(r, &e);
    } else if (e.kind == HISTORY_GET) {
        r->at -= strlen("get ");
        history_op_t get = read_op(r);
        e.then = arena_dup(&r->history->arena, &get, sizeof get);
        e.then_len = 1;
        e.succeeded = true;
    } else {
        e.lease = read_number(r);
        e.ttl_ms = read_number(r);
    }
    if (take(r, "=>")) {
        if (e.kind == HISTORY_TXN) {
            e.succeeded = take(r, "yes");
            if (!e.succeeded && !take(r, "no")) spoil(r, "yes or no is missing");
        }
        read_replies(r, &e);
    }
    if (!r->bad) vec_push(&r->history->entries, e);
}

static history_watch_t *watch_of(reader_t *r) {
    int64_t id = read_number(r);
    for (size_t i = 0; i < r->history->watches.len; i++)
        if (r->history->watches.at[i].id == id) return &r->history->watches.at[i];
    spoil(r, "no such watch");
    return NULL;
}

static void read_event(reader_t *r) {
    history_watch_t *watch = watch_of(r);
    history_event_t event = {.revision = read_number(r)};
    event.deleted = take(r, "del");
    if (!event.deleted && !take(r, "put")) spoil(r, "put or del is missing");
    event.kv.key = read_bytes(r);
    event.kv.mod = event.revision;
    if (!event.deleted) {
        event.kv.create = read_number(r);
        event.kv.version = read_number(r);
        event.kv.lease = read_number(r);
        event.kv.value = read_bytes(r);
    }
    if (!r->bad) vec_push(&watch->events, event);
}

static void read_line(reader_t *r) {
    if (take(r, "base")) {
        r->history->base = read_number(r);
    } else if (take(r, "watch")) {
        history_watch_t watch = {.id = read_number(r)};
        watch.from = read_number(r);
        watch.key = read_bytes(r);
        watch.end = read_bytes(r);
        if (!r->bad) vec_push(&r->history->watches, watch);
    } else if (take(r, "event")) {
        read_event(r);
    } else if (take(r, "seen")) {
        history_watch_t *watch = watch_of(r);
        revision_t seen = read_number(r);
        if (watch) watch->seen = seen;
    } else
        read_entry(r);
    if (r->at < r->end) spoil(r, "there are words too many");
}

err_t history_parse(history_t *history, const char *text, why_t *why) {
    size_t line = 0;
    while (*text) {
        const char *end = strchrnul(text, '\n');
        reader_t r = {.history = history, .at = text, .end = end};
        line++;
        if (*text != '#' && end > text) read_line(&r);
        if (r.bad) return why_set(why, ERR_INVALID, "history: line %zu: %s", line, r.bad);
        text = *end ? end + 1 : end;
    }
    return ERR_OK;
}

// ---- printing -----------------------------------------------------------------------------------
static void print_bytes(text_t *t, bytes_t bytes) {
    text_addc(t, ' ');
    if (bytes.len == 0) text_addc(t, '%');
    for (size_t i = 0; i < bytes.len; i++) {
        uint8_t c = bytes.at[i];
        if (c > ' ' && c <= '~' && c != '%')
            text_addc(t, (char)c);
        else
            text_addf(t, "%%%02x", c);
    }
}

static void print_number(text_t *t, int64_t number) {
    if (number == INT64_MAX)
        text_add(t, " -");
    else
        text_addf(t, " %lld", (long long)number);
}

static void print_op(text_t *t, const history_op_t *op) {
    text_addf(t, " %s", op_kinds[op->kind]);
    print_bytes(t, op->key);
    print_bytes(t, op->kind == HISTORY_OP_PUT ? op->value : op->end);
    if (op->kind == HISTORY_OP_PUT) print_number(t, op->lease);
    if (op->kind != HISTORY_OP_GET) return;
    print_number(t, op->limit);
    print_number(t, op->at);
}

static void print_reply(text_t *t, const history_op_t *op, const history_reply_t *reply) {
    if (op->kind == HISTORY_OP_PUT) text_add(t, " put");
    if (op->kind == HISTORY_OP_DELETE) text_addf(t, " del %lld", (long long)reply->deleted);
    if (op->kind != HISTORY_OP_GET) return;
    text_add(t, reply->more ? " got more" : " got all");
    for (size_t i = 0; i < reply->kvs_len; i++) {
        const history_kv_t *kv = &reply->kvs[i];
        text_add(t, " kv");
        print_bytes(t, kv->key);
        text_addf(t, " %lld %lld %lld %lld", (long long)kv->create, (long long)kv->mod,
                  (long long)kv->version, (long long)kv->lease);
        print_bytes(t, kv->value);
    }
}

static void print_txn(text_t *t, const history_entry_t *e) {
    for (size_t i = 0; i < e->compares_len; i++) {
        const history_compare_t *c = &e->compares[i];
        text_add(t, c->end.len ? " every" : " if");
        print_bytes(t, c->key);
        if (c->end.len) print_bytes(t, c->end);
        text_addf(t, " %s %s", targets[c->target], relations[c->relation]);
        if (c->target == HISTORY_VALUE)
            print_bytes(t, c->value);
        else
            print_number(t, c->number);
    }
    for (size_t i = 0; i < e->then_len; i++) {
        text_add(t, " then");
        print_op(t, &e->then[i]);
    }
    for (size_t i = 0; i < e->otherwise_len; i++) {
        text_add(t, " else");
        print_op(t, &e->otherwise[i]);
    }
}

void history_print_entry(const history_entry_t *e, text_t *t) {
    text_addf(t, "%lld %lld", (long long)e->client, (long long)e->invoked_us);
    print_number(t, e->returned_us);
    text_addf(t, " %s %lld", outcomes[e->outcome], (long long)e->revision);
    if (e->kind != HISTORY_GET) text_addf(t, " %s", kinds[e->kind]);
    if (e->kind == HISTORY_TXN)
        print_txn(t, e);
    else if (e->kind == HISTORY_GET)
        print_op(t, e->then);
    else
        text_addf(t, " %lld %lld", (long long)e->lease, (long long)e->ttl_ms);
    if (e->outcome != HISTORY_OK || e->kind > HISTORY_GET) return;
    text_add(t, " =>");
    if (e->kind == HISTORY_TXN) text_add(t, e->succeeded ? " yes" : " no");
    const history_op_t *ops = e->succeeded ? e->then : e->otherwise;
    size_t len = e->succeeded ? e->then_len : e->otherwise_len;
    for (size_t i = 0; i < len && i < e->replies_len; i++) print_reply(t, &ops[i], &e->replies[i]);
}

static void print_watch(const history_watch_t *w, text_t *t) {
    text_addf(t, "watch %lld %lld", (long long)w->id, (long long)w->from);
    print_bytes(t, w->key);
    print_bytes(t, w->end);
    text_addc(t, '\n');
    for (size_t i = 0; i < w->events.len; i++) {
        const history_event_t *e = &w->events.at[i];
        text_addf(t, "event %lld %lld %s", (long long)w->id, (long long)e->revision,
                  e->deleted ? "del" : "put");
        print_bytes(t, e->kv.key);
        if (!e->deleted) {
            text_addf(t, " %lld %lld %lld", (long long)e->kv.create, (long long)e->kv.version,
                      (long long)e->kv.lease);
            print_bytes(t, e->kv.value);
        }
        text_addc(t, '\n');
    }
    text_addf(t, "seen %lld %lld\n", (long long)w->id, (long long)w->seen);
}

void history_print(const history_t *history, text_t *t) {
    text_addf(t, "base %lld\n", (long long)history->base);
    for (size_t i = 0; i < history->entries.len; i++) {
        history_print_entry(&history->entries.at[i], t);
        text_addc(t, '\n');
    }
    for (size_t i = 0; i < history->watches.len; i++) print_watch(&history->watches.at[i], t);
}

void history_done(history_t *history) {
    for (size_t i = 0; i < history->watches.len; i++) vec_done(&history->watches.at[i].events);
    vec_done(&history->entries);
    vec_done(&history->watches);
    arena_done(&history->arena);
}
