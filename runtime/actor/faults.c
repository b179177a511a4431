#include "runtime/actor/faults.h"
#include "runtime/api/msg.h"
#include "runtime/base/vec.h"
#include <pthread.h>

typedef struct {
    Actor__FaultRule rule; // its strings are owned
    int64_t until_us;      // INT64_MAX: until it is cleared
} kept_t;

struct faults {
    pthread_mutex_t lock;
    VEC(kept_t) rules;
    _Atomic size_t active; // rules of the bus, readable without the lock
    _Atomic int64_t skew_ms;
};

bool pattern_matches(const char *pattern, const char *text) {
    if (is_empty(pattern)) return true;
    const char *star = NULL, *retry = NULL; // the last '*' and how far it has eaten
    while (*text) {
        if (*pattern == '*') {
            star = ++pattern;
            retry = text;
        } else if (*pattern == *text) {
            pattern++;
            text++;
        } else if (star) {
            pattern = star;
            text = ++retry;
        } else {
            return false;
        }
    }
    while (*pattern == '*') pattern++;
    return !*pattern;
}

bool fault_is_of_the_bus(Actor__FaultRule__Kind kind) {
    return kind <= ACTOR__FAULT_RULE__KIND__PARTITION;
}

// ---- the list ----------------------------------------------------------------------------------

faults_t *faults_new(void) {
    faults_t *f = NEW(faults_t);
    pthread_mutex_init(&f->lock, NULL);
    return f;
}

static kept_t keep(const Actor__FaultRule *r, int64_t now_us) {
    kept_t k = {.rule = *r, .until_us = r->for_ms ? now_us + r->for_ms * 1000LL : INT64_MAX};
    k.rule.name = str_dup(or_empty(r->name));
    k.rule.from = str_dup(or_empty(r->from));
    k.rule.to = str_dup(or_empty(r->to));
    k.rule.type = str_dup(or_empty(r->type));
    k.rule.target = str_dup(or_empty(r->target));
    return k;
}

static void kept_done(kept_t *k) {
    free((char *)k->rule.name);
    free((char *)k->rule.from);
    free((char *)k->rule.to);
    free((char *)k->rule.type);
    free((char *)k->rule.target);
}

void faults_destroy(faults_t **faults) {
    faults_t *f = x_steal(faults);
    if (!f) return;
    for (size_t i = 0; i < f->rules.len; i++) kept_done(&f->rules.at[i]);
    vec_done(&f->rules);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

static void recount(faults_t *f) {
    size_t active = 0;
    for (size_t i = 0; i < f->rules.len; i++)
        active += fault_is_of_the_bus(f->rules.at[i].rule.kind);
    atomic_store_explicit(&f->active, active, memory_order_release);
}

typedef VEC(kept_t) kept_list_t;

static void take_out(faults_t *f, size_t i, kept_list_t *out) {
    vec_push(out, f->rules.at[i]);
    vec_remove(&f->rules, i);
}

// Without the lock: whoever is told sends messages, and those are judged.
static void tell_undone(kept_list_t *gone, fault_undone_fn undone, void *arg) {
    for (size_t i = 0; i < gone->len; i++) {
        if (undone) undone(arg, &gone->at[i].rule);
        kept_done(&gone->at[i]);
    }
    vec_done(gone);
}

bool faults_set(faults_t *f, const Actor__FaultRule *r, int64_t now_us) {
    kept_list_t gone = {0};
    pthread_mutex_lock(&f->lock);
    for (size_t i = f->rules.len; i-- > 0 && !is_empty(r->name);)
        if (streq(f->rules.at[i].rule.name, r->name)) take_out(f, i, &gone);
    bool fits = f->rules.len < FAULT_RULES_MAX;
    if (fits) vec_push(&f->rules, keep(r, now_us));
    recount(f);
    pthread_mutex_unlock(&f->lock);
    tell_undone(&gone, NULL, NULL);
    return fits;
}

static bool is_part_of(const char *name, const char *id) {
    size_t len = strlen(id);
    return strncmp(name, id, len) == 0 && (!name[len] || name[len] == '/');
}

void faults_clear(faults_t *f, const char *id, fault_undone_fn undone, void *arg) {
    kept_list_t gone = {0};
    pthread_mutex_lock(&f->lock);
    for (size_t i = f->rules.len; i-- > 0;)
        if (!id || is_part_of(f->rules.at[i].rule.name, id)) take_out(f, i, &gone);
    recount(f);
    pthread_mutex_unlock(&f->lock);
    tell_undone(&gone, undone, arg);
}

int64_t faults_expire(faults_t *f, int64_t now_us, fault_undone_fn undone, void *arg) {
    int64_t next_us = INT64_MAX;
    kept_list_t gone = {0};
    pthread_mutex_lock(&f->lock);
    for (size_t i = f->rules.len; i-- > 0;) {
        int64_t until_us = f->rules.at[i].until_us;
        if (until_us <= now_us)
            take_out(f, i, &gone);
        else if (until_us < next_us)
            next_us = until_us;
    }
    recount(f);
    pthread_mutex_unlock(&f->lock);
    tell_undone(&gone, undone, arg);
    return next_us;
}

void faults_list(faults_t *f, int64_t now_us, arena_t *arena, Actor__Faults *ret_faults) {
    pthread_mutex_lock(&f->lock);
    ret_faults->rules = ARENA_ARRAY(arena, Actor__FaultRule *, f->rules.len + 1);
    ret_faults->n_rules = 0;
    for (size_t i = 0; i < f->rules.len; i++) {
        const kept_t *k = &f->rules.at[i];
        if (k->until_us <= now_us) continue;
        Actor__FaultRule *r = arena_dup(arena, &k->rule, sizeof k->rule);
        r->name = arena_strdup(arena, r->name);
        r->from = arena_strdup(arena, r->from);
        r->to = arena_strdup(arena, r->to);
        r->type = arena_strdup(arena, r->type);
        r->target = arena_strdup(arena, r->target);
        r->for_ms = k->until_us < INT64_MAX ? (uint32_t)((k->until_us - now_us + 999) / 1000) : 0;
        ret_faults->rules[ret_faults->n_rules++] = r;
    }
    pthread_mutex_unlock(&f->lock);
}

bool faults_any(const faults_t *f) {
    return atomic_load_explicit(&f->active, memory_order_relaxed) > 0;
}

int64_t faults_skew_ms(const faults_t *f) {
    return atomic_load_explicit(&f->skew_ms, memory_order_relaxed);
}
void faults_set_skew(faults_t *f, int64_t skew_ms) {
    atomic_store_explicit(&f->skew_ms, skew_ms, memory_order_relaxed);
}

// ---- judging a message -------------------------------------------------------------------------

// One end of a message, and the process it lives in.
typedef struct {
    const name_t *name;
    const char *process;
} end_t;

static bool is_administration(const name_t *name) {
    static const char *const roles[] = {"cli", "admin", "chaos", "system", "steward"};
    for (size_t i = 0; i < LENGTH_OF(roles); i++)
        if (name->role_len == strlen(roles[i]) && !memcmp(name->text, roles[i], name->role_len))
            return true;
    return false;
}

static bool end_matches(const char *pattern, const end_t *end) {
    if (has_prefix(or_empty(pattern), "process/"))
        return pattern_matches(pattern + strlen("process/"), end->process);
    return pattern_matches(pattern, end->name->text);
}

static bool rule_hits(const Actor__FaultRule *r, const end_t *from, const end_t *to,
                      const char *type, rng_t *dice) {
    if (!r->forced && (is_administration(from->name) || is_administration(to->name))) return false;
    if (r->border && streq(from->process, to->process)) return false;
    bool there = end_matches(r->from, from) && end_matches(r->to, to);
    bool back = r->both_ways && end_matches(r->from, to) && end_matches(r->to, from);
    if ((!there && !back) || !pattern_matches(r->type, type)) return false;
    return r->kind == ACTOR__FAULT_RULE__KIND__PARTITION || r->probability <= 0 ||
           r->probability >= 1 || rng_chance(dice, r->probability);
}

static void add_to_verdict(fault_verdict_t *v, const Actor__FaultRule *r, rng_t *dice) {
    switch (r->kind) {
    case ACTOR__FAULT_RULE__KIND__DROP:
    case ACTOR__FAULT_RULE__KIND__PARTITION: v->drop = true; break;
    case ACTOR__FAULT_RULE__KIND__DELAY:
        v->delay_us +=
            r->delay_ms * 1000LL + (r->jitter_ms ? rng_between(dice, 0, r->jitter_ms * 1000LL) : 0);
        break;
    case ACTOR__FAULT_RULE__KIND__DUPLICATE: v->duplicate = true; break;
    case ACTOR__FAULT_RULE__KIND__REORDER: v->reorder = true; break;
    default: break; // not the bus', or of a newer release
    }
}

static bool acts_on_arrival(const Actor__FaultRule *r) {
    return r->kind == ACTOR__FAULT_RULE__KIND__DUPLICATE ||
           r->kind == ACTOR__FAULT_RULE__KIND__REORDER;
}

static fault_verdict_t judge(faults_t *f, const envelope_t *env, const end_t *from, const end_t *to,
                             bool arrival, int64_t now_us, rng_t *dice) {
    fault_verdict_t v = {0};
    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < f->rules.len && !v.drop; i++) {
        const kept_t *k = &f->rules.at[i];
        if (acts_on_arrival(&k->rule) != arrival || k->until_us <= now_us) continue;
        if (rule_hits(&k->rule, from, to, envelope_type(env), dice))
            add_to_verdict(&v, &k->rule, dice);
    }
    pthread_mutex_unlock(&f->lock);
    return v;
}

fault_verdict_t faults_on_send(faults_t *f, const envelope_t *env, const fault_place_t *at,
                               rng_t *dice) {
    end_t from = {env->from, at->here}, to = {env->to, at->to ? at->to : at->here};
    return judge(f, env, &from, &to, false, at->now_us, dice);
}

// Of a sender elsewhere only the address is known here: a rule about its process does not hit.
fault_verdict_t faults_on_arrival(faults_t *f, const envelope_t *env, const fault_place_t *at,
                                  rng_t *dice) {
    end_t from = {env->from, env->principal ? "" : at->here}, to = {env->to, at->here};
    return judge(f, env, &from, &to, true, at->now_us, dice);
}
