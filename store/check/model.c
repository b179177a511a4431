#include "store/check/model.h"

typedef struct {
    bool of_lease;
    size_t number;
    model_value_t value;
    model_lease_t lease;
} undo_t;

struct model {
    VEC(bytes_t) keys; // sorted; a key's number is its place
    model_value_t *values;
    VEC(int64_t) lease_ids; // sorted
    model_lease_t *leases;
    VEC(undo_t) undo;
    VEC(model_change_t) changes; // of the last change
};

// ---- names --------------------------------------------------------------------------------------
static int by_bytes(const void *a, const void *b) {
    return bytes_cmp(*(const bytes_t *)a, *(const bytes_t *)b);
}
static int by_number(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void name_key(model_t *m, bytes_t key) { vec_push(&m->keys, key); }
static void name_lease(model_t *m, int64_t id) {
    if (id) vec_push(&m->lease_ids, id);
}

static void name_ops(model_t *m, const history_op_t *ops, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if (ops[i].end.len == 0) name_key(m, ops[i].key);
        if (ops[i].kind == HISTORY_OP_PUT) name_lease(m, ops[i].lease);
    }
}

static void name_entry(model_t *m, const history_entry_t *e) {
    for (size_t i = 0; i < e->compares_len; i++)
        if (e->compares[i].end.len == 0) name_key(m, e->compares[i].key);
    name_ops(m, e->then, e->then_len);
    name_ops(m, e->otherwise, e->otherwise_len);
    name_lease(m, e->lease);
    for (size_t i = 0; i < e->replies_len; i++)
        for (size_t j = 0; j < e->replies[i].kvs_len; j++) name_key(m, e->replies[i].kvs[j].key);
}

#define UNIQUE(v, same)                                                 \
    do {                                                                \
        size_t kept_ = 0;                                               \
        for (size_t i_ = 0; i_ < (v)->len; i_++)                        \
            if (kept_ == 0 || !(same((v)->at[kept_ - 1], (v)->at[i_]))) \
                (v)->at[kept_++] = (v)->at[i_];                         \
        (v)->len = kept_;                                               \
    } while (0)
#define SAME_NUMBER(a, b) ((a) == (b))

model_t *model_new(const history_t *h) {
    model_t *m = NEW(model_t);
    for (size_t i = 0; i < h->entries.len; i++) name_entry(m, &h->entries.at[i]);
    for (size_t i = 0; i < h->watches.len; i++) {
        const history_watch_t *w = &h->watches.at[i];
        for (size_t j = 0; j < w->events.len; j++) name_key(m, w->events.at[j].kv.key);
    }
    if (m->keys.len) qsort(m->keys.at, m->keys.len, sizeof *m->keys.at, by_bytes);
    if (m->lease_ids.len)
        qsort(m->lease_ids.at, m->lease_ids.len, sizeof *m->lease_ids.at, by_number);
    UNIQUE(&m->keys, bytes_eq);
    UNIQUE(&m->lease_ids, SAME_NUMBER);
    m->values = mem_new((m->keys.len + 1) * sizeof *m->values);
    m->leases = mem_new((m->lease_ids.len + 1) * sizeof *m->leases);
    // Granted without an answer: whoever knows the number may use it.
    for (size_t i = 0; i < h->entries.len; i++) {
        const history_entry_t *e = &h->entries.at[i];
        if (e->kind == HISTORY_GRANT && e->outcome == HISTORY_UNKNOWN && e->lease)
            m->leases[model_lease(m, e->lease)] = MODEL_LEASE_LIVE;
    }
    return m;
}

void model_destroy(model_t **model) {
    model_t *m = x_steal(model);
    if (!m) return;
    vec_done(&m->keys);
    vec_done(&m->lease_ids);
    vec_done(&m->undo);
    vec_done(&m->changes);
    free(m->values);
    free(m->leases);
    free(m);
}

// ---- questions ----------------------------------------------------------------------------------
bytes_t model_key(const model_t *m, size_t key) { return m->keys.at[key]; }
const model_value_t *model_value(const model_t *m, size_t key) { return &m->values[key]; }
size_t model_leases(const model_t *m) { return m->lease_ids.len; }
int64_t model_lease_id(const model_t *m, size_t lease) { return m->lease_ids.at[lease]; }
model_lease_t model_lease_state(const model_t *m, size_t lease) { return m->leases[lease]; }
const model_change_t *model_changes(const model_t *m, size_t *ret_len) {
    *ret_len = m->changes.len;
    return m->changes.at;
}

// The first key at or behind `key`.
static size_t place_of(const model_t *m, bytes_t key) {
    return vec_place(&m->keys, it, bytes_cmp(*it, key) < 0);
}

void model_range(const model_t *m, bytes_t key, bytes_t end, size_t *ret_from, size_t *ret_to) {
    *ret_from = place_of(m, key);
    if (end.len == 0)
        *ret_to = *ret_from + (*ret_from < m->keys.len && bytes_eq(m->keys.at[*ret_from], key));
    else
        *ret_to = end.len == 1 && end.at[0] == 0 ? m->keys.len : place_of(m, end);
    if (*ret_to < *ret_from) *ret_to = *ret_from;
}

static size_t number_of(const model_t *m, bytes_t key) {
    size_t from, to;
    model_range(m, key, (bytes_t){0}, &from, &to);
    assert(to == from + 1); // every key of the history has a number
    return from;
}

size_t model_lease(const model_t *m, int64_t id) {
    const int64_t *found =
        m->lease_ids.len ? bsearch(&id, m->lease_ids.at, m->lease_ids.len, sizeof id, by_number)
                         : NULL;
    return found ? (size_t)(found - m->lease_ids.at) : SIZE_MAX;
}

void model_print_value(bytes_t key, const model_value_t *v, text_t *t) {
    if (!v->is_there) {
        text_addf(t, "no %.*s", (int)key.len, (const char *)key.at);
        return;
    }
    text_addf(t, "%.*s = %.*s (create %lld, mod %lld, version %lld, lease %lld)", (int)key.len,
              (const char *)key.at, (int)v->value.len,
              v->value.len ? (const char *)v->value.at : "", (long long)v->create,
              (long long)v->mod, (long long)v->version, (long long)v->lease);
}

// ---- answers ------------------------------------------------------------------------------------
static model_value_t value_of(const history_kv_t *kv) {
    return (model_value_t){true, kv->create, kv->mod, kv->version, kv->lease, kv->value};
}

static bool is_same(const model_value_t *a, const model_value_t *b) {
    if (a->is_there != b->is_there) return false;
    return !a->is_there ||
           (a->create == b->create && a->mod == b->mod && a->version == b->version &&
            a->lease == b->lease && bytes_eq(a->value, b->value));
}

static bool differs(bytes_t key, const model_value_t *seen, const model_value_t *true_one,
                    text_t *why) {
    text_add(why, "it saw ");
    model_print_value(key, seen, why);
    text_add(why, " where there is ");
    model_print_value(key, true_one, why);
    return false;
}

bool model_get(const model_t *m, const history_op_t *get, const history_reply_t *reply,
               text_t *why) {
    static const model_value_t nothing = {0};
    size_t at, to, seen = 0;
    model_range(m, get->key, get->end, &at, &to);
    for (; at < to; at++) {
        const model_value_t *value = &m->values[at];
        if (seen < reply->kvs_len && bytes_eq(reply->kvs[seen].key, m->keys.at[at])) {
            model_value_t shown = value_of(&reply->kvs[seen++]);
            if (!is_same(&shown, value)) return differs(m->keys.at[at], &shown, value, why);
        } else if (value->is_there) {
            if (get->limit && (int64_t)seen >= get->limit) break;
            return differs(m->keys.at[at], &nothing, value, why);
        }
    }
    if (seen < reply->kvs_len) {
        text_addf(why, "its answer is not in order, or has %.*s from outside its range",
                  (int)reply->kvs[seen].key.len, (const char *)reply->kvs[seen].key.at);
        return false;
    }
    if (reply->more != (at < to)) {
        text_addf(why, "it was told that there is %s", reply->more ? "more" : "no more");
        return false;
    }
    return true;
}

static bool order_holds(history_relation_t relation, int order) {
    switch (relation) {
    case HISTORY_EQUAL: return order == 0;
    case HISTORY_NOT_EQUAL: return order != 0;
    case HISTORY_LESS: return order < 0;
    default: return order > 0;
    }
}

static bool holds_for(const model_value_t *v, const history_compare_t *c) {
    int64_t number = 0;
    switch (c->target) {
    case HISTORY_VALUE: // of a key that is not there no compare holds
        return v->is_there && order_holds(c->relation, bytes_cmp(v->value, c->value));
    case HISTORY_VERSION: number = v->version; break;
    case HISTORY_CREATE: number = v->create; break;
    case HISTORY_MOD: number = v->mod; break;
    case HISTORY_LEASE: number = v->lease; break;
    }
    return order_holds(c->relation, (number > c->number) - (number < c->number));
}

static bool compare_holds(const model_t *m, const history_compare_t *c) {
    if (c->end.len == 0) return holds_for(&m->values[number_of(m, c->key)], c);
    size_t at, to;
    for (model_range(m, c->key, c->end, &at, &to); at < to; at++)
        if (m->values[at].is_there && !holds_for(&m->values[at], c)) return false;
    return true;
}

// ---- changes ------------------------------------------------------------------------------------
size_t model_mark(const model_t *m) { return m->undo.len; }

void model_undo(model_t *m, size_t mark) {
    while (m->undo.len > mark) {
        const undo_t *u = &m->undo.at[--m->undo.len];
        if (u->of_lease)
            m->leases[u->number] = u->lease;
        else
            m->values[u->number] = u->value;
    }
}

static void set_value(model_t *m, size_t key, model_value_t value) {
    vec_push(&m->undo, ((undo_t){.number = key, .value = m->values[key]}));
    vec_push(&m->changes, ((model_change_t){key, !value.is_there}));
    m->values[key] = value;
}

static void set_lease(model_t *m, size_t lease, model_lease_t state) {
    vec_push(&m->undo, ((undo_t){.of_lease = true, .number = lease, .lease = m->leases[lease]}));
    m->leases[lease] = state;
}

void model_grant(model_t *m, size_t lease) { set_lease(m, lease, MODEL_LEASE_LIVE); }

void model_end_lease(model_t *m, size_t lease, revision_t revision) {
    vec_reset(&m->changes);
    int64_t id = m->lease_ids.at[lease];
    for (size_t key = 0; key < m->keys.len; key++)
        if (m->values[key].is_there && m->values[key].lease == id)
            set_value(m, key, (model_value_t){0});
    set_lease(m, lease, MODEL_LEASE_ENDED);
}

static bool put(model_t *m, const history_op_t *op, revision_t revision, text_t *why) {
    size_t key = number_of(m, op->key);
    if (op->lease && m->leases[model_lease(m, op->lease)] != MODEL_LEASE_LIVE) {
        text_addf(why, "it puts with lease %lld, which was not there", (long long)op->lease);
        return false;
    }
    const model_value_t *before = &m->values[key];
    set_value(m, key,
              (model_value_t){.is_there = true,
                              .create = before->is_there ? before->create : revision,
                              .mod = revision,
                              .version = before->version + 1,
                              .lease = op->lease,
                              .value = op->value});
    return true;
}

static int64_t erase(model_t *m, const history_op_t *op) {
    int64_t deleted = 0;
    size_t at, to;
    for (model_range(m, op->key, op->end, &at, &to); at < to; at++) {
        if (!m->values[at].is_there) continue;
        set_value(m, at, (model_value_t){0});
        deleted++;
    }
    return deleted;
}

static bool run_op(model_t *m, const history_op_t *op, const history_reply_t *reply,
                   revision_t revision, text_t *why) {
    if (op->kind == HISTORY_OP_PUT) return put(m, op, revision, why);
    if (op->kind == HISTORY_OP_GET) return !reply || model_get(m, op, reply, why);
    int64_t deleted = erase(m, op);
    if (!reply || reply->deleted == deleted) return true;
    text_addf(why, "it was told that it deleted %lld keys; there were %lld",
              (long long)reply->deleted, (long long)deleted);
    return false;
}

bool model_txn(model_t *m, const history_entry_t *e, revision_t revision, text_t *why) {
    bool answered = e->outcome == HISTORY_OK, holds = true;
    vec_reset(&m->changes);
    for (size_t i = 0; i < e->compares_len && holds; i++) holds = compare_holds(m, &e->compares[i]);
    if (answered && holds != e->succeeded) {
        text_addf(why, "it was told that its compares %s", e->succeeded ? "held" : "did not hold");
        return false;
    }
    const history_op_t *ops = holds ? e->then : e->otherwise;
    size_t len = holds ? e->then_len : e->otherwise_len;
    if (answered && e->replies_len != len) {
        text_addf(why, "its answer has %zu parts for %zu operations", e->replies_len, len);
        return false;
    }
    for (size_t i = 0; i < len; i++)
        if (!run_op(m, &ops[i], answered ? &e->replies[i] : NULL, revision, why)) return false;
    return true;
}
