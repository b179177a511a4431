// The state machine: scripts in, text out, the same from both backends.
//
// Commands of a script (lines "> …"; what they print is indented, GOLDEN=write rewrites it):
//     put K V [lease L|kept] [prev]
//     del K [END] [prev]                     END "*": open; K "" with END "*": all keys
//     get K [END] [at R] [limit N] [keys] [count] [all] [desc] [sort version|create|mod|value]
//     if CMP [and CMP]… then OP [; OP]… [else OP [; OP]…]
//                                            CMP: ver|create|mod|val|lease K [END] =|!|<|> X
//     epoch K N OP
//     grant L TTL      revoke L      compact R      prune N      changes R [SUB] [BYTES]
//     leases           dump
#include "runtime/api/msg.h"
#include "runtime/base/rng.h"
#include "runtime/base/text.h"
#include "store/mvcc/mvcc.h"
#include "store/rocks.h"
#include "tests/support/leaks.h"
#include <signal.h>
#include <unistd.h>

typedef struct {
    kv_t *kv;
    mvcc_t *m;
    arena_t arena;
    text_t out;
    uint64_t index;
    char **words;
    size_t at, len;
} script_t;

#define LL(x) ((long long)(x))

// ---- words --------------------------------------------------------------------------------------
static const char *word(script_t *s) { return s->at < s->len ? s->words[s->at] : ""; }
static const char *take(script_t *s) { return s->at < s->len ? s->words[s->at++] : ""; }
static bool take_if(script_t *s, const char *what) {
    if (!streq(word(s), what)) return false;
    s->at++;
    return true;
}
static ProtobufCBinaryData data_of(const char *text) {
    if (streq(text, "*")) return (ProtobufCBinaryData){1, (uint8_t *)""};
    if (streq(text, "\"\"")) text = "";
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
}
static bool is_option(const char *w) {
    static const char *const options[] = {"at",   "limit", "keys", "count", "all", "desc", "sort",
                                          "prev", "lease", ";",    "else",  ")",   "",     "then",
                                          "and",  "=",     "!",    "<",     ">"};
    for (size_t i = 0; i < LENGTH_OF(options); i++)
        if (streq(w, options[i])) return true;
    return false;
}

// ---- parsing ------------------------------------------------------------------------------------
static Store__RangeRequest *parse_range(script_t *s) {
    Store__RangeRequest *r =
        MSG_NEW(&s->arena, Store__RangeRequest, store__range_request__descriptor);
    r->key = data_of(take(s));
    if (!is_option(word(s))) r->range_end = data_of(take(s));
    for (;;) {
        if (take_if(s, "at"))
            r->revision = strtoll(take(s), NULL, 10);
        else if (take_if(s, "limit"))
            r->limit = strtoll(take(s), NULL, 10);
        else if (take_if(s, "keys"))
            r->keys_only = true;
        else if (take_if(s, "count"))
            r->count_only = true;
        else if (take_if(s, "all"))
            r->want_count = true;
        else if (take_if(s, "desc"))
            r->descending = true;
        else if (take_if(s, "sort")) {
            const char *by = take(s);
            r->sort = streq(by, "version")  ? STORE__RANGE_REQUEST__SORT__VERSION
                      : streq(by, "create") ? STORE__RANGE_REQUEST__SORT__CREATE
                      : streq(by, "mod")    ? STORE__RANGE_REQUEST__SORT__MOD
                                            : STORE__RANGE_REQUEST__SORT__VALUE;
        } else
            return r;
    }
}

static Store__TxnRequest *parse_if(script_t *s);

static Store__Op *parse_op(script_t *s) {
    Store__Op *op = MSG_NEW(&s->arena, Store__Op, store__op__descriptor);
    if (take_if(s, "put")) {
        op->op_case = STORE__OP__OP_PUT;
        op->put = MSG_NEW(&s->arena, Store__PutOp, store__put_op__descriptor);
        op->put->key = data_of(take(s));
        op->put->value = data_of(take(s));
        if (take_if(s, "lease")) {
            op->put->keep_lease = take_if(s, "kept");
            if (!op->put->keep_lease) op->put->lease = strtoll(take(s), NULL, 10);
        }
        op->put->want_previous = take_if(s, "prev");
    } else if (take_if(s, "del")) {
        op->op_case = STORE__OP__OP_DELETE;
        op->delete_ = MSG_NEW(&s->arena, Store__DeleteOp, store__delete_op__descriptor);
        op->delete_->key = data_of(take(s));
        if (!is_option(word(s))) op->delete_->range_end = data_of(take(s));
        op->delete_->want_previous = take_if(s, "prev");
    } else if (take_if(s, "get")) {
        op->op_case = STORE__OP__OP_RANGE;
        op->range = parse_range(s);
    } else if (take_if(s, "(")) {
        op->op_case = STORE__OP__OP_TXN;
        take_if(s, "if");
        op->txn = parse_if(s);
        take_if(s, ")");
    }
    return op;
}

static Store__Compare *parse_compare(script_t *s) {
    Store__Compare *c = MSG_NEW(&s->arena, Store__Compare, store__compare__descriptor);
    const char *target = take(s);
    c->target = streq(target, "ver")      ? STORE__COMPARE__TARGET__VERSION
                : streq(target, "create") ? STORE__COMPARE__TARGET__CREATE
                : streq(target, "mod")    ? STORE__COMPARE__TARGET__MOD
                : streq(target, "lease")  ? STORE__COMPARE__TARGET__LEASE
                                          : STORE__COMPARE__TARGET__VALUE;
    c->key = data_of(take(s));
    if (!is_option(word(s))) c->range_end = data_of(take(s));
    const char *result = take(s), *x = take(s);
    c->result = *result == '='   ? STORE__COMPARE__RESULT__EQUAL
                : *result == '!' ? STORE__COMPARE__RESULT__NOT_EQUAL
                : *result == '<' ? STORE__COMPARE__RESULT__LESS
                                 : STORE__COMPARE__RESULT__GREATER;
    c->number = strtoll(x, NULL, 10);
    c->value = data_of(x);
    return c;
}

enum { LIST_MAX = 16 };
static Store__TxnRequest *parse_if(script_t *s) {
    Store__TxnRequest *txn = MSG_NEW(&s->arena, Store__TxnRequest, store__txn_request__descriptor);
    txn->compares = ARENA_ARRAY(&s->arena, Store__Compare *, LIST_MAX);
    txn->then = ARENA_ARRAY(&s->arena, Store__Op *, LIST_MAX);
    txn->else_ = ARENA_ARRAY(&s->arena, Store__Op *, LIST_MAX);
    if (!streq(word(s), "then")) do
            txn->compares[txn->n_compares++] = parse_compare(s);
        while (take_if(s, "and"));
    if (take_if(s, "then")) do
            txn->then[txn->n_then++] = parse_op(s);
        while (take_if(s, ";"));
    if (take_if(s, "else")) do
            txn->else_[txn->n_else_++] = parse_op(s);
        while (take_if(s, ";"));
    return txn;
}

// ---- printing -----------------------------------------------------------------------------------
static void print_kv(script_t *s, const Store__KeyValue *kv) {
    text_addf(&s->out, " %.*s=%.*s(c%lld m%lld v%lld%s", (int)kv->key.len,
              kv->key.data ? (char *)kv->key.data : "", (int)kv->value.len,
              kv->value.data ? (char *)kv->value.data : "", LL(kv->create_revision),
              LL(kv->mod_revision), LL(kv->version), kv->lease ? "" : ")");
    if (kv->lease) text_addf(&s->out, " l%lld)", LL(kv->lease));
}
static void print_range(script_t *s, const Store__RangeReply *r) {
    text_addf(&s->out, " at %lld:", LL(r->revision));
    for (size_t i = 0; i < r->n_kvs; i++) print_kv(s, r->kvs[i]);
    text_addf(&s->out, " count %lld%s", LL(r->count), r->more ? " more" : "");
}
static void print_txn(script_t *s, const Store__TxnReply *r) {
    text_addf(&s->out, " %s @%lld", r->succeeded ? "yes" : "no", LL(r->revision));
    for (size_t i = 0; i < r->n_replies; i++) {
        const Store__OpReply *op = r->replies[i];
        text_add(&s->out, i ? "; " : " - ");
        switch (op->reply_case) {
        case STORE__OP_REPLY__REPLY_PUT:
            text_add(&s->out, "put");
            if (op->put->previous) print_kv(s, op->put->previous);
            break;
        case STORE__OP_REPLY__REPLY_DELETE:
            text_addf(&s->out, "deleted %lld", LL(op->delete_->deleted));
            for (size_t j = 0; j < op->delete_->n_previous; j++)
                print_kv(s, op->delete_->previous[j]);
            break;
        case STORE__OP_REPLY__REPLY_RANGE: print_range(s, op->range); break;
        case STORE__OP_REPLY__REPLY_TXN: print_txn(s, op->txn); break;
        default: break;
        }
    }
}

// ---- commands -----------------------------------------------------------------------------------
static void done(script_t *s, err_t err, const why_t *why) {
    why_t wrong;
    if (err != ERR_OK) text_addf(&s->out, " %s: %s", err_name(err), why->text);
    mvcc_entry_done(s->m, ++s->index, 1);
    cr_assert_eq(mvcc_commit(s->m, &wrong), ERR_OK);
}

static void run_txn(script_t *s, Store__TxnRequest *txn) {
    why_t why;
    Store__TxnReply *reply = NULL;
    err_t err = mvcc_check_txn(txn, &why);
    if (err == ERR_OK) err = mvcc_txn(s->m, &s->arena, txn, &reply, &why);
    done(s, err, &why);
    if (err == ERR_OK) print_txn(s, reply);
}

static void run_changes(script_t *s) {
    revision_t from = strtoll(take(s), NULL, 10);
    uint32_t sub = (uint32_t)strtoul(take(s), NULL, 10);
    size_t bytes = strtoul(take(s), NULL, 10);
    changes_t changes;
    why_t why;
    err_t err = mvcc_changes(s->m, &s->arena, from, sub, bytes ? bytes : 1 << 20, &changes, &why);
    if (err != ERR_OK) {
        text_addf(&s->out, " %s: %s", err_name(err), why.text);
        return;
    }
    for (size_t i = 0; i < changes.len; i++) {
        const change_t *c = &changes.changes[i];
        text_addf(&s->out, " %lld.%u %s %.*s=%.*s", LL(c->head.mod), c->head.sub,
                  c->head.deleted ? "del" : "put", (int)c->key.len, (const char *)c->key.at,
                  (int)c->value.len, (const char *)c->value.at);
    }
    text_addf(&s->out, " next %lld.%u", LL(changes.next), changes.next_sub);
}

static void run_dump(script_t *s) {
    bytes_t key, value;
    why_t why;
    cr_assert_eq(kv_seek(s->kv, (bytes_t){0}, &why), ERR_OK);
    while (kv_here(s->kv, &key, &value)) {
        head_t head;
        change_t change;
        bytes_t user;
        text_addf(&s->out, "\n   ");
        if (keys_get_index(&s->arena, key, value, &user, &head))
            text_addf(&s->out, " index %.*s @%lld.%u v%lld%s", (int)user.len, (const char *)user.at,
                      LL(head.mod), head.sub, LL(head.version), head.deleted ? " deleted" : "");
        else if (keys_get_change(key, value, &change))
            text_addf(&s->out, " change %lld.%u %.*s", LL(change.head.mod), change.head.sub,
                      (int)change.key.len, (const char *)change.key.at);
        else
            text_addf(&s->out, " %c", key.at[0]);
        cr_assert_eq(kv_next(s->kv, &why), ERR_OK);
    }
    const meta_t *meta = mvcc_meta(s->m);
    text_addf(&s->out, "\n    revision %lld compacted %lld pruned %lld", LL(meta->revision),
              LL(meta->compacted), LL(meta->pruned));
}

static void run_leases(script_t *s) {
    lease_info_t *leases = NULL;
    size_t len = 0, keys_len = 0;
    bytes_t *keys = NULL;
    why_t why;
    cr_assert_eq(mvcc_leases(s->m, &s->arena, &leases, &len, &why), ERR_OK);
    for (size_t i = 0; i < len; i++) {
        text_addf(&s->out, " %lld(%lld ms)", LL(leases[i].id), LL(leases[i].ttl_ms));
        cr_assert_eq(mvcc_lease_keys(s->m, &s->arena, leases[i].id, &keys, &keys_len, &why),
                     ERR_OK);
        for (size_t j = 0; j < keys_len; j++)
            text_addf(&s->out, " %.*s", (int)keys[j].len, (const char *)keys[j].at);
    }
}

static Store__TxnRequest *txn_of(script_t *s) {
    Store__TxnRequest *txn = MSG_NEW(&s->arena, Store__TxnRequest, store__txn_request__descriptor);
    txn->then = ARENA_ARRAY(&s->arena, Store__Op *, 1);
    txn->then[txn->n_then++] = parse_op(s);
    return txn;
}

static void run_command(script_t *s) {
    why_t why;
    err_t err = ERR_OK;
    bool more = false;
    if (take_if(s, "if"))
        run_txn(s, parse_if(s));
    else if (take_if(s, "epoch")) {
        const char *key = take(s);
        uint64_t epoch = strtoull(take(s), NULL, 10);
        Store__TxnRequest *txn = txn_of(s);
        txn->epoch_key = data_of(key);
        txn->epoch = epoch;
        run_txn(s, txn);
    } else if (take_if(s, "get")) {
        Store__RangeReply *reply = NULL;
        Store__RangeRequest *range = parse_range(s);
        err = mvcc_check_range(range, &why);
        if (err == ERR_OK) err = mvcc_range(s->m, &s->arena, range, &reply, &why);
        if (err == ERR_OK)
            print_range(s, reply);
        else
            text_addf(&s->out, " %s: %s", err_name(err), why.text);
    } else if (take_if(s, "grant")) {
        int64_t id = strtoll(take(s), NULL, 10);
        err = mvcc_lease_grant(s->m, id, strtoll(take(s), NULL, 10), &why);
        done(s, err, &why);
    } else if (take_if(s, "revoke")) {
        err = mvcc_lease_revoke(s->m, strtoll(take(s), NULL, 10), &why);
        done(s, err, &why);
    } else if (take_if(s, "compact")) {
        err = mvcc_compact(s->m, strtoll(take(s), NULL, 10), &why);
        done(s, err, &why);
    } else if (take_if(s, "prune")) {
        cr_assert_eq(mvcc_prune(s->m, strtoul(take(s), NULL, 10), &more, &why), ERR_OK);
        text_add(&s->out, more ? " more" : " all");
    } else if (take_if(s, "changes"))
        run_changes(s);
    else if (take_if(s, "dump"))
        run_dump(s);
    else if (take_if(s, "leases"))
        run_leases(s);
    else
        run_txn(s, txn_of(s));
    cr_assert_eq(mvcc_verify(s->m, NULL, &why), ERR_OK, "%s", why.text);
}

static char *run_script(kv_t *kv, const char *text) {
    script_t s = {.kv = kv};
    why_t why;
    cr_assert_eq(mvcc_open(kv, &s.m, &why), ERR_OK);
    for (const char *at = text; *at;) {
        size_t len = strcspn(at, "\n");
        CLEANUP(free_charp) char *line = str_dup_n(at, len);
        at += len + (at[len] == '\n');
        if (has_prefix(line, "  ")) continue;
        text_addf(&s.out, "%s\n", line);
        if (!has_prefix(line, "> ")) continue;
        char *words[64], *save = NULL;
        s.words = words;
        s.at = s.len = 0;
        for (char *w = strtok_r(line + 2, " ", &save); w && s.len < 64;
             w = strtok_r(NULL, " ", &save))
            words[s.len++] = w;
        text_add(&s.out, "  ");
        run_command(&s);
        text_add(&s.out, "\n");
        arena_clear(&s.arena);
    }
    mvcc_destroy(&s.m);
    arena_done(&s.arena);
    return text_steal(&s.out);
}

// ---- golden -------------------------------------------------------------------------------------
static char *read_file(const char *path) {
    FILE *in = fopen(path, "r");
    cr_assert_not_null(in, "%s is missing", path);
    text_t t = TEXT_HEAP;
    char part[4096];
    for (size_t len; (len = fread(part, 1, sizeof part, in)) > 0;) text_addn(&t, part, len);
    fclose(in);
    return text_steal(&t);
}

static void remove_tree(const char *dir) {
    CLEANUP(free_charp) char *command = str_printf("rm -r '%s'", dir);
    FILE *p = popen(command, "r");
    cr_assert_not_null(p);
    pclose(p);
}

static void golden(const char *name) {
    CLEANUP(free_charp) char *path = str_printf("%s/tests/golden/mvcc/%s.txt", SOURCE_DIR, name);
    CLEANUP(free_charp) char *script = read_file(path);
    kv_t *map = kv_map_new();
    CLEANUP(free_charp) char *now = run_script(map, script);
    kv_destroy(&map);

    char dir[] = "/tmp/store-mvcc-XXXXXX";
    cr_assert_not_null(mkdtemp(dir));
    kv_t *rocks = NULL;
    why_t why;
    cr_assert_eq(rocks_open(dir, &rocks, &why), ERR_OK, "%s", why.text);
    CLEANUP(free_charp) char *on_rocks = run_script(rocks, script);
    kv_destroy(&rocks);
    remove_tree(dir);
    cr_assert_str_eq(now, on_rocks);

    const char *mode = getenv("GOLDEN");
    if (mode && streq(mode, "write")) {
        FILE *out = fopen(path, "w");
        fputs(now, out);
        fclose(out);
        return;
    }
    cr_assert_str_eq(now, script, "%s\n--- now:\n%s", path, now);
}

#define SCRIPT(name, file) \
    Test(mvcc, name)       \
    {                      \
        golden(file);      \
        ASSERT_NO_LEAKS(); \
    }
SCRIPT(keys_have_revisions_and_a_history, "history")
SCRIPT(ranges_are_ordered_limited_counted_and_sorted, "ranges")
SCRIPT(a_transaction_is_one_revision_and_all_or_nothing, "txn")
SCRIPT(an_old_epoch_writes_nothing, "epoch")
SCRIPT(compaction_forgets_what_is_superseded, "compaction")
SCRIPT(leases_take_their_keys_with_them, "leases")
SCRIPT(changes_come_in_order_and_in_parts, "changes")
SCRIPT(bad_requests_change_nothing, "bad")

// ---- properties ---------------------------------------------------------------------------------
// A crash that takes back unflushed writes, and the entries again from there: the same state.
static void apply_some(mvcc_t *m, uint64_t index) {
    rng_t rng;
    rng_init(&rng, index);
    arena_t arena = {0};
    Store__TxnRequest *txn = MSG_NEW(&arena, Store__TxnRequest, store__txn_request__descriptor);
    Store__Op *ops[4];
    txn->then = ops;
    char keys[4][8];
    for (int i = 0; i < 3; i++) {
        snprintf(keys[i], sizeof keys[i], "k%d%d", i, (int)rng_below(&rng, 9));
        Store__Op *op = ops[txn->n_then++] = MSG_NEW(&arena, Store__Op, store__op__descriptor);
        if (rng_chance(&rng, 0.3)) {
            op->op_case = STORE__OP__OP_DELETE;
            op->delete_ = MSG_NEW(&arena, Store__DeleteOp, store__delete_op__descriptor);
            op->delete_->key = data_of(keys[i]);
            if (rng_chance(&rng, 0.2))
                op->delete_->range_end = data_of(i == 0 ? "k1" : i == 1 ? "k2" : "k3");
        } else {
            op->op_case = STORE__OP__OP_PUT;
            op->put = MSG_NEW(&arena, Store__PutOp, store__put_op__descriptor);
            op->put->key = data_of(keys[i]);
            op->put->value = data_of(keys[i]);
        }
    }
    Store__TxnReply *reply = NULL;
    why_t why;
    cr_assert_eq(mvcc_txn(m, &arena, txn, &reply, &why), ERR_OK, "%s", why.text);
    mvcc_entry_done(m, index, 1);
    arena_done(&arena);
}

static char *picture(kv_t *kv, mvcc_t *m) {
    script_t s = {.kv = kv, .m = m};
    run_dump(&s);
    arena_done(&s.arena);
    return text_steal(&s.out);
}

Test(mvcc, a_crash_and_the_log_again_give_the_same_state)
{
    enum { ENTRIES = 300 };
    why_t why;
    kv_t *calm = kv_map_new(), *rough = kv_map_new();
    mvcc_t *m = NULL, *n = NULL;
    cr_assert_eq(mvcc_open(calm, &m, &why), ERR_OK);
    for (uint64_t i = 1; i <= ENTRIES; i++) {
        apply_some(m, i);
        cr_assert_eq(mvcc_commit(m, &why), ERR_OK);
    }
    kv_map_flush_every(rough, 5);
    rng_t rng;
    rng_init(&rng, 1);
    uint64_t i = 1;
    for (int crashes = 0; i <= ENTRIES;) {
        if (!n) {
            cr_assert_eq(mvcc_open(rough, &n, &why), ERR_OK);
            i = mvcc_meta(n)->applied_index + 1;
        }
        apply_some(n, i++); // several entries in a commit
        if (rng_chance(&rng, 0.4)) cr_assert_eq(mvcc_commit(n, &why), ERR_OK);
        if (crashes < 40 && rng_chance(&rng, 0.1)) {
            mvcc_destroy(&n);
            kv_map_crash(rough);
            crashes++;
        }
    }
    cr_assert_eq(mvcc_commit(n, &why), ERR_OK);
    CLEANUP(free_charp) char *a = picture(calm, m);
    CLEANUP(free_charp) char *b = picture(rough, n);
    cr_assert_str_eq(a, b);
    cr_assert_eq(mvcc_verify(n, NULL, &why), ERR_OK, "%s", why.text);
    mvcc_destroy(&m);
    mvcc_destroy(&n);
    kv_destroy(&calm);
    kv_destroy(&rough);
    ASSERT_NO_LEAKS();
}

// Past some thousands of keys the count comes from the heads in memory, not from the walk.
static void apply_one(mvcc_t *m, arena_t *arena, uint64_t index, uint64_t number, bool deletes) {
    Store__Op op = {.base = PROTOBUF_C_MESSAGE_INIT(&store__op__descriptor)}, *ops[] = {&op};
    Store__PutOp put = {.base = PROTOBUF_C_MESSAGE_INIT(&store__put_op__descriptor)};
    Store__DeleteOp del = {.base = PROTOBUF_C_MESSAGE_INIT(&store__delete_op__descriptor)};
    put.key = del.key = data_of(arena_printf(arena, "key-%llu", (unsigned long long)number));
    op.op_case = deletes ? STORE__OP__OP_DELETE : STORE__OP__OP_PUT;
    if (deletes)
        op.delete_ = &del;
    else
        op.put = &put;
    Store__TxnRequest txn = {.base = PROTOBUF_C_MESSAGE_INIT(&store__txn_request__descriptor)};
    txn.then = ops;
    txn.n_then = 1;
    Store__TxnReply *reply = NULL;
    why_t why;
    cr_assert_eq(mvcc_txn(m, arena, &txn, &reply, &why), ERR_OK, "%s", why.text);
    mvcc_entry_done(m, index, 1);
}

Test(mvcc, a_long_count_is_as_exact_as_a_short_one)
{
    enum { KEYS = 10 * 1000, GONE = 137 };
    why_t why;
    kv_t *kv = kv_map_new();
    mvcc_t *m = NULL;
    arena_t arena = {0};
    cr_assert_eq(mvcc_open(kv, &m, &why), ERR_OK);
    for (uint64_t i = 0; i < KEYS + GONE; i++) apply_one(m, &arena, i + 1, i % KEYS, i >= KEYS);
    cr_assert_eq(mvcc_commit(m, &why), ERR_OK);
    for (int old = 0; old < 2; old++) { // one revision back the count is walked
        Store__RangeRequest range = {
            .base = PROTOBUF_C_MESSAGE_INIT(&store__range_request__descriptor)};
        Store__RangeReply *reply = NULL;
        range.key = data_of("key-");
        range.range_end = data_of("key.");
        range.limit = 5;
        range.want_count = true;
        range.revision = old ? mvcc_meta(m)->revision - 1 : 0;
        cr_assert_eq(mvcc_range(m, &arena, &range, &reply, &why), ERR_OK, "%s", why.text);
        cr_assert_eq(reply->count, KEYS - GONE + old);
        cr_assert_eq(reply->n_kvs, 5);
        cr_assert(reply->more);
    }
    arena_done(&arena);
    mvcc_destroy(&m);
    kv_destroy(&kv);
    ASSERT_NO_LEAKS();
}

Test(mvcc, keys_of_any_bytes_sort_as_bytes_do)
{
    static const bytes_t keys[] = {
        {(const uint8_t *)"a", 1},       {(const uint8_t *)"a\0", 2},
        {(const uint8_t *)"a\0\0", 3},   {(const uint8_t *)"a\0\1", 3},
        {(const uint8_t *)"a\0\xff", 3}, {(const uint8_t *)"a\1", 2},
        {(const uint8_t *)"ab", 2},      {(const uint8_t *)"\xff\xff", 2}};
    arena_t arena = {0};
    for (size_t i = 0; i + 1 < LENGTH_OF(keys); i++) {
        bytes_t old = keys_index(&arena, keys[i], 1), new = keys_index(&arena, keys[i], 9);
        cr_assert_lt(bytes_cmp(new, old), 0);
        cr_assert_lt(bytes_cmp(old, keys_index(&arena, keys[i + 1], 5)), 0, "key %zu", i);
        bytes_t back;
        head_t head = {.mod = 9, .sub = 3, .create = 2, .version = 4, .lease = 5}, got;
        cr_assert(keys_get_index(&arena, new, keys_put_head(&arena, &head), &back, &got));
        cr_assert(bytes_eq(back, keys[i]));
        cr_assert_eq(got.mod, 9);
        cr_assert_eq(got.lease, 5);
    }
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

Test(mvcc, a_damaged_meta_record_and_one_of_another_format_are_refused)
{
    kv_t *kv = kv_map_new();
    uint8_t bytes[] = {KEYS_META_VERSION, 'r', 'u', 'b'};
    kv_op_t op = {keys_meta(), {bytes, sizeof bytes}, false};
    why_t why;
    mvcc_t *m = NULL;
    cr_assert_eq(kv_write(kv, &op, 1, &why), ERR_OK);
    cr_assert_eq(mvcc_open(kv, &m, &why), ERR_CORRUPT);
    bytes[0]++;
    cr_assert_eq(kv_write(kv, &op, 1, &why), ERR_OK);
    cr_assert_eq(mvcc_open(kv, &m, &why), ERR_UNSUPPORTED);
    kv_destroy(&kv);
    ASSERT_NO_LEAKS();
}

Test(mvcc, what_rocksdb_has_not_flushed_is_known_as_such)
{
    char dir[] = "/tmp/store-rocks-XXXXXX";
    cr_assert_not_null(mkdtemp(dir));
    kv_t *kv = NULL;
    mvcc_t *m = NULL;
    why_t why;
    meta_t meta;
    cr_assert_eq(rocks_open(dir, &kv, &why), ERR_OK, "%s", why.text);
    cr_assert_eq(mvcc_open(kv, &m, &why), ERR_OK);
    apply_some(m, 1);
    cr_assert_eq(mvcc_commit(m, &why), ERR_OK);
    cr_assert_eq(mvcc_flushed(m, &meta, &why), ERR_OK);
    cr_assert_eq(meta.applied_index, 0);
    cr_assert_eq(kv_flush(kv, &why), ERR_OK);
    apply_some(m, 2);
    cr_assert_eq(mvcc_commit(m, &why), ERR_OK);
    cr_assert_eq(mvcc_flushed(m, &meta, &why), ERR_OK);
    cr_assert_eq(meta.applied_index, 1);
    kv_t *second = NULL;
    cr_assert_eq(rocks_open(dir, &second, &why), ERR_EXISTS, "%s", why.text);
    mvcc_destroy(&m);
    kv_destroy(&kv);
    remove_tree(dir);
    ASSERT_NO_LEAKS();
}

Test(mvcc, canary_asserts_are_alive, .signal = SIGABRT)
{
    kv_t *kv = kv_map_new();
    mvcc_t *m = NULL;
    why_t why;
    cr_assert_eq(mvcc_open(kv, &m, &why), ERR_OK);
    mvcc_entry_done(m, 0, 0);
}
