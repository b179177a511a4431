#include "runtime/actor/faults.h"
#include "runtime/base/vec.h"
#include <pthread.h>

typedef struct {
    char *name, *from, *to, *type;
    Actor__FaultRule__Kind kind;
    double probability;
    int64_t delay_us, jitter_us;
    bool both_ways;
} rule_t;

struct faults {
    pthread_mutex_t lock;
    VEC(rule_t) rules;
    _Atomic size_t active; // == rules.len, readable without the lock
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

faults_t *faults_new(void) {
    faults_t *f = NEW(faults_t);
    pthread_mutex_init(&f->lock, NULL);
    return f;
}

static void rule_done(rule_t *r) {
    free(r->name);
    free(r->from);
    free(r->to);
    free(r->type);
}

void faults_destroy(faults_t **faults) {
    faults_t *f = x_steal(faults);
    if (!f) return;
    for (size_t i = 0; i < f->rules.len; i++) rule_done(&f->rules.at[i]);
    vec_done(&f->rules);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

static void remove_rules(faults_t *f, const char *name) {
    for (size_t i = f->rules.len; i-- > 0;) {
        if (name && !streq(f->rules.at[i].name, name)) continue;
        rule_done(&f->rules.at[i]);
        vec_remove(&f->rules, i);
    }
    atomic_store_explicit(&f->active, f->rules.len, memory_order_release);
}

bool faults_set(faults_t *f, const Actor__FaultRule *r) {
    pthread_mutex_lock(&f->lock);
    if (!is_empty(r->name)) remove_rules(f, r->name);
    bool fits = f->rules.len < FAULT_RULES_MAX;
    if (fits) {
        rule_t rule = {str_dup(or_empty(r->name)),
                       str_dup(or_empty(r->from)),
                       str_dup(or_empty(r->to)),
                       str_dup(or_empty(r->type)),
                       r->kind,
                       r->probability > 0 ? r->probability : 1,
                       (int64_t)r->delay_ms * 1000,
                       (int64_t)r->jitter_ms * 1000,
                       r->both_ways};
        vec_push(&f->rules, rule);
        atomic_store_explicit(&f->active, f->rules.len, memory_order_release);
    }
    pthread_mutex_unlock(&f->lock);
    return fits;
}

void faults_clear(faults_t *f, const char *name) {
    pthread_mutex_lock(&f->lock);
    remove_rules(f, name);
    pthread_mutex_unlock(&f->lock);
}

bool faults_any(const faults_t *f) {
    return atomic_load_explicit(&f->active, memory_order_relaxed) > 0;
}

static bool rule_hits(const rule_t *r, const envelope_t *env, rng_t *dice) {
    const char *from = env->from->text, *to = env->to->text;
    bool there = pattern_matches(r->from, from) && pattern_matches(r->to, to);
    bool back = r->both_ways && pattern_matches(r->from, to) && pattern_matches(r->to, from);
    if (!there && !back) return false;
    if (!pattern_matches(r->type, envelope_type(env))) return false;
    return r->kind == ACTOR__FAULT_RULE__KIND__PARTITION || r->probability >= 1 ||
           rng_chance(dice, r->probability);
}

static bool acts_on_arrival(const rule_t *r) {
    return r->kind == ACTOR__FAULT_RULE__KIND__DUPLICATE ||
           r->kind == ACTOR__FAULT_RULE__KIND__REORDER;
}

static fault_verdict_t judge(faults_t *f, const envelope_t *env, rng_t *dice, bool arrival) {
    fault_verdict_t v = {0};
    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < f->rules.len && !v.drop; i++) {
        const rule_t *r = &f->rules.at[i];
        if (acts_on_arrival(r) != arrival || !rule_hits(r, env, dice)) continue;
        switch (r->kind) {
        case ACTOR__FAULT_RULE__KIND__DROP:
        case ACTOR__FAULT_RULE__KIND__PARTITION: v.drop = true; break;
        case ACTOR__FAULT_RULE__KIND__DELAY:
            v.delay_us += r->delay_us + (r->jitter_us ? rng_between(dice, 0, r->jitter_us) : 0);
            break;
        case ACTOR__FAULT_RULE__KIND__DUPLICATE: v.duplicate = true; break;
        case ACTOR__FAULT_RULE__KIND__REORDER: v.reorder = true; break;
        default: break; // a kind of a newer release
        }
    }
    pthread_mutex_unlock(&f->lock);
    return v;
}

fault_verdict_t faults_on_send(faults_t *f, const envelope_t *env, rng_t *dice) {
    return judge(f, env, dice, false);
}
fault_verdict_t faults_on_arrival(faults_t *f, const envelope_t *env, rng_t *dice) {
    return judge(f, env, dice, true);
}
