#include "tests/bench/load_mix.h"

enum {
    REGISTER_KEYS = 5,
    APPEND_KEYS = 2,
    TXN_KEYS = 5,
    LOCKS = 2,
    APPEND_BYTES_MAX = 400,
    KEEPS_MAX = 6,
};
static const char *const kind_names[] = {"register", "append", "txn", "lease"};

bool mix_kind_from(const char *name, mix_kind_t *ret_kind) {
    for (size_t i = 0; i < MIX_KINDS; i++) {
        if (!streq(name, kind_names[i])) continue;
        *ret_kind = (mix_kind_t)i;
        return true;
    }
    return false;
}

void mix_init(mix_client_t *c, int64_t id, mix_kind_t kind, const char *prefix, uint64_t seed) {
    *c = (mix_client_t){.prefix = prefix, .id = id, .kind = kind};
    rng_init(&c->rng, seed + (uint64_t)id);
}

static bytes_t bytes_print(arena_t *arena, const char *fmt, ...) PRINTF_LIKE(2, 3);
static bytes_t bytes_print(arena_t *arena, const char *fmt, ...) {
    text_t text = {.arena = arena};
    va_list args;
    va_start(args, fmt);
    text_addv(&text, fmt, args);
    va_end(args);
    return (bytes_t){(const uint8_t *)text.at, text.len};
}

static bytes_t key_of(const mix_client_t *c, arena_t *arena, char sort, uint64_t number) {
    return bytes_print(arena, "%s%c%llu", c->prefix, sort, (unsigned long long)number);
}
static bytes_t new_value(mix_client_t *c, arena_t *arena) {
    return bytes_print(arena, "%lld-%llu", (long long)c->id, (unsigned long long)++c->sequence);
}

// ---- entries ------------------------------------------------------------------------------------
static history_op_t op_put(bytes_t key, bytes_t value, int64_t lease) {
    return (history_op_t){.kind = HISTORY_OP_PUT, .key = key, .value = value, .lease = lease};
}
static history_op_t op_delete(bytes_t key, bytes_t end) {
    return (history_op_t){.kind = HISTORY_OP_DELETE, .key = key, .end = end};
}
static history_op_t op_get(bytes_t key, bytes_t end, int64_t limit) {
    return (history_op_t){.kind = HISTORY_OP_GET, .key = key, .end = end, .limit = limit};
}
static void add_if(history_entry_t *e, arena_t *arena, history_compare_t compare) {
    history_compare_t *more = ARENA_ARRAY(arena, history_compare_t, e->compares_len + 1);
    if (e->compares_len) memcpy(more, e->compares, e->compares_len * sizeof *more);
    more[e->compares_len++] = compare;
    e->compares = more;
}
static void add_op(history_op_t **ops, size_t *len, arena_t *arena, history_op_t op) {
    history_op_t *more = ARENA_ARRAY(arena, history_op_t, *len + 1);
    if (*len) memcpy(more, *ops, *len * sizeof *more);
    more[(*len)++] = op;
    *ops = more;
}
#define ADD_THEN(e, arena, op) add_op(&(e)->then, &(e)->then_len, (arena), (op))
#define ADD_ELSE(e, arena, op) add_op(&(e)->otherwise, &(e)->otherwise_len, (arena), (op))

static history_entry_t get_entry(arena_t *arena, history_op_t get) {
    history_entry_t e = {.kind = HISTORY_GET};
    ADD_THEN(&e, arena, get);
    return e;
}
static history_entry_t txn_entry(arena_t *arena, history_op_t op) {
    history_entry_t e = {.kind = HISTORY_TXN};
    ADD_THEN(&e, arena, op);
    return e;
}

// ---- register -----------------------------------------------------------------------------------
static history_entry_t next_register(mix_client_t *c, arena_t *arena) {
    bytes_t key = key_of(c, arena, 'r', rng_below(&c->rng, REGISTER_KEYS));
    uint64_t dice = rng_below(&c->rng, 10);
    if (dice < 5) return get_entry(arena, op_get(key, (bytes_t){0}, 0));
    if (dice < 9) return txn_entry(arena, op_put(key, new_value(c, arena), 0));
    return txn_entry(arena, op_delete(key, (bytes_t){0}));
}

// ---- append -------------------------------------------------------------------------------------
static history_entry_t next_append(mix_client_t *c, arena_t *arena) {
    bytes_t key = key_of(c, arena, 'a', (uint64_t)c->id % APPEND_KEYS);
    if (c->seen_mod == 0 && c->seen.len == 0 && rng_chance(&c->rng, 0.5))
        return get_entry(arena, op_get(key, (bytes_t){0}, 0));
    bytes_t more = new_value(c, arena), value = more;
    if (c->seen.len && c->seen.len < APPEND_BYTES_MAX)
        value = bytes_print(arena, "%.*s,%.*s", (int)c->seen.len, (const char *)c->seen.at,
                            (int)more.len, (const char *)more.at);
    history_entry_t e = txn_entry(arena, op_put(key, value, 0));
    add_if(&e, arena,
           (history_compare_t){.key = key, .target = HISTORY_MOD, .number = c->seen_mod});
    ADD_ELSE(&e, arena, op_get(key, (bytes_t){0}, 0));
    return e;
}

static void done_append(mix_client_t *c, const history_entry_t *e) {
    c->seen = (bytes_t){0};
    c->seen_mod = 0;
    if (e->outcome != HISTORY_OK) return;
    if (e->kind == HISTORY_TXN && e->succeeded) {
        c->seen = e->then->value;
        c->seen_mod = e->revision;
    } else if (e->replies_len && e->replies->kvs_len) {
        c->seen = e->replies->kvs->value;
        c->seen_mod = e->replies->kvs->mod;
    }
}

// ---- txn ----------------------------------------------------------------------------------------
static history_entry_t next_txn(mix_client_t *c, arena_t *arena) {
    bytes_t all = key_of(c, arena, 't', 0), end = bytes_print(arena, "%su", c->prefix);
    uint64_t dice = rng_below(&c->rng, 10), at = rng_below(&c->rng, TXN_KEYS);
    if (dice < 4) return get_entry(arena, op_get(all, end, dice == 0 ? 2 : 0));
    bytes_t value = new_value(c, arena);
    history_entry_t e = {.kind = HISTORY_TXN};
    if (dice < 6) { // three keys, one value
        for (uint64_t i = 0; i < 3; i++)
            ADD_THEN(&e, arena, op_put(key_of(c, arena, 't', (at + i) % TXN_KEYS), value, 0));
    } else if (dice == 6) { // one more, if nobody changed anything since it was seen
        add_if(&e, arena,
               (history_compare_t){.key = all,
                                   .end = end,
                                   .target = HISTORY_MOD,
                                   .relation = HISTORY_LESS,
                                   .number = c->seen_revision + 1});
        ADD_THEN(&e, arena, op_put(key_of(c, arena, 't', at), value, 0));
        ADD_ELSE(&e, arena, op_get(all, end, 0));
    } else if (dice < 9) { // the first two, if nobody changed them
        for (uint64_t i = 0; i < 2; i++) {
            bytes_t key = key_of(c, arena, 't', i);
            add_if(
                &e, arena,
                (history_compare_t){.key = key, .target = HISTORY_MOD, .number = c->seen_mods[i]});
            ADD_THEN(&e, arena, op_put(key, value, 0));
        }
        ADD_THEN(&e, arena, op_get(all, end, 0));
        ADD_ELSE(&e, arena, op_get(all, end, 0));
    } else
        ADD_THEN(&e, arena, op_delete(key_of(c, arena, 't', 2), key_of(c, arena, 't', 4)));
    return e;
}

static void done_txn(mix_client_t *c, const history_entry_t *e) {
    for (size_t i = 0; i < e->replies_len; i++) {
        const history_reply_t *r = &e->replies[i];
        const history_op_t *ops = e->succeeded || e->kind == HISTORY_GET ? e->then : e->otherwise;
        if (ops[i].kind != HISTORY_OP_GET) continue;
        c->seen_revision = e->revision;
        memset(c->seen_mods, 0, sizeof c->seen_mods);
        for (size_t k = 0; k < r->kvs_len && k < 2; k++) {
            char last = (char)r->kvs[k].key.at[r->kvs[k].key.len - 1];
            if (last == '0' || last == '1') c->seen_mods[last - '0'] = r->kvs[k].mod;
        }
    }
}

// ---- lease --------------------------------------------------------------------------------------
static history_entry_t next_lease(mix_client_t *c, arena_t *arena) {
    bytes_t lock = key_of(c, arena, 'l', (uint64_t)c->id % LOCKS);
    if (!c->lease) {
        c->lease = (int64_t)(rng_next(&c->rng) >> 2);
        return (
            history_entry_t){.kind = HISTORY_GRANT, .lease = c->lease, .ttl_ms = MIX_LEASE_TTL_MS};
    }
    if (c->holds && c->keeps_left-- > 0)
        return (history_entry_t){.kind = HISTORY_KEEP, .lease = c->lease};
    if (c->holds) {
        uint64_t dice = rng_below(&c->rng, 3);
        if (dice == 0) return (history_entry_t){.kind = HISTORY_REVOKE, .lease = c->lease};
        if (dice == 1) { // leaves it to its end, and stands in line again
            c->lease = 0;
            c->holds = false;
            return get_entry(arena, op_get(lock, (bytes_t){0}, 0));
        }
        history_entry_t e = txn_entry(arena, op_delete(lock, (bytes_t){0}));
        add_if(&e, arena, (history_compare_t){.key = lock, .value = c->lock_value});
        return e;
    }
    if (rng_chance(&c->rng, 0.3)) return (history_entry_t){.kind = HISTORY_KEEP, .lease = c->lease};
    c->lock_value = new_value(c, arena);
    history_entry_t e = txn_entry(arena, op_put(lock, c->lock_value, c->lease));
    add_if(&e, arena, (history_compare_t){.key = lock, .target = HISTORY_CREATE});
    ADD_ELSE(&e, arena, op_get(lock, (bytes_t){0}, 0));
    return e;
}

static void done_lease(mix_client_t *c, const history_entry_t *e) {
    bool gone = e->kind == HISTORY_REVOKE || e->outcome == HISTORY_MISSING ||
                e->outcome == HISTORY_UNKNOWN ||
                (e->kind == HISTORY_GRANT && e->outcome != HISTORY_OK);
    if (e->kind == HISTORY_KEEP && e->outcome == HISTORY_UNKNOWN) gone = false;
    if (gone) {
        c->lease = 0;
        c->holds = false;
    } else if (e->kind == HISTORY_TXN && e->outcome == HISTORY_OK && e->succeeded) {
        c->holds = e->then->kind == HISTORY_OP_PUT;
        c->keeps_left = c->holds ? (int)rng_below(&c->rng, KEEPS_MAX) : 0;
    }
}

// ---- all ----------------------------------------------------------------------------------------
history_entry_t mix_next(mix_client_t *c, arena_t *arena) {
    static history_entry_t (*const nexts[])(mix_client_t *, arena_t *) = {next_register,
                                                                          next_append, next_txn,
                                                                          next_lease};
    history_entry_t e = nexts[c->kind](c, arena);
    e.client = c->id;
    return e;
}

void mix_done(mix_client_t *c, const history_entry_t *e) {
    if (c->kind == MIX_APPEND) done_append(c, e);
    if (c->kind == MIX_TXN && e->outcome == HISTORY_OK) done_txn(c, e);
    if (c->kind == MIX_LEASE) done_lease(c, e);
}

int64_t mix_pause_ms(const mix_client_t *c, int64_t think_ms) {
    return c->kind == MIX_LEASE ? think_ms + MIX_LEASE_TTL_MS / 8 : think_ms;
}
