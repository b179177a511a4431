#include "runtime/actor/targets.h"
#include "runtime/actor/faults.h"
#include "runtime/api/msg.h"
#include "runtime/base/vec.h"

static const char *const kind_names[] = {
    [ACTOR__FAULT_RULE__KIND__DROP] = "drop",
    [ACTOR__FAULT_RULE__KIND__DELAY] = "delay",
    [ACTOR__FAULT_RULE__KIND__DUPLICATE] = "duplicate",
    [ACTOR__FAULT_RULE__KIND__REORDER] = "reorder",
    [ACTOR__FAULT_RULE__KIND__PARTITION] = "partition",
    [ACTOR__FAULT_RULE__KIND__PAUSE] = "pause",
    [ACTOR__FAULT_RULE__KIND__SKEW] = "skew",
    [ACTOR__FAULT_RULE__KIND__DISK_SLOW] = "disk-slow",
    [ACTOR__FAULT_RULE__KIND__DISK_FULL] = "disk-full",
    [ACTOR__FAULT_RULE__KIND__CPU] = "cpu",
    [ACTOR__FAULT_RULE__KIND__KILL] = "kill",
    [ACTOR__FAULT_RULE__KIND__CRASH] = "crash",
    [ACTOR__FAULT_RULE__KIND__HANG] = "hang",
};

const char *fault_kind_name(Actor__FaultRule__Kind kind) {
    return (size_t)kind < LENGTH_OF(kind_names) ? kind_names[kind] : NULL;
}

bool fault_kind_parse(const char *name, Actor__FaultRule__Kind *ret_kind) {
    for (size_t i = 0; i < LENGTH_OF(kind_names); i++)
        if (streq(kind_names[i], name)) {
            *ret_kind = (Actor__FaultRule__Kind)i;
            return true;
        }
    return false;
}

// ---- who is meant ------------------------------------------------------------------------------

typedef VEC(const char *) words_t;

typedef struct {
    arena_t *arena;
    const Actor__ActorInfos *actors;
    const fault_wish_t *wish;
    VEC(Chaos__Order *) orders;
    size_t rules; // made so far: parts of the id
    why_t *why;
} resolver_t;

static bool has_word(const words_t *words, const char *word) {
    for (size_t i = 0; i < words->len; i++)
        if (streq(words->at[i], word)) return true;
    return false;
}

static bool is_process_or_node(const char *target) {
    return has_prefix(target, "process/") || has_prefix(target, "node/");
}

// What every process needs to be asked at all is nobody's target.
static bool is_plumbing(const char *role) {
    return streq(role, "system") || streq(role, "steward") || streq(role, "cli");
}

static bool target_matches(const char *target, const Actor__ActorInfo *a) {
    if (has_prefix(target, "process/")) return pattern_matches(target + 8, a->process);
    if (has_prefix(target, "node/")) return pattern_matches(target + 5, a->host);
    if (is_plumbing(a->role)) return false;
    return pattern_matches(target, strchr(target, '/') ? a->address : a->role);
}

static err_t nobody(const resolver_t *r, const char *target) {
    const char *what = has_prefix(target, "process/") ? "process"
                       : has_prefix(target, "node/")  ? "node"
                                                      : "actor";
    return why_set(r->why, ERR_NOT_FOUND, "no %s matches \"%s\"", what, target);
}

// The processes that this target names, or that run what it names.
static err_t processes_of(const resolver_t *r, const char *target, words_t *processes) {
    for (size_t i = 0; i < r->actors->n_actors; i++) {
        const Actor__ActorInfo *a = r->actors->actors[i];
        if (has_prefix(a->process, "cli-")) continue; // a command line is no part of the cluster
        if (target_matches(target, a) && !has_word(processes, a->process))
            vec_push(processes, a->process);
    }
    return processes->len ? ERR_OK : nobody(r, target);
}

// ---- what is to be done ------------------------------------------------------------------------

static Actor__FaultRule *order_rule(resolver_t *r, const char *process) {
    Chaos__Order *order = NULL;
    for (size_t i = 0; i < r->orders.len && !order; i++)
        if (streq(r->orders.at[i]->process, process)) order = r->orders.at[i];
    if (!order) {
        order = MSG_NEW(r->arena, Chaos__Order, chaos__order__descriptor);
        order->process = process;
        vec_push(&r->orders, order);
    }
    Actor__FaultRule **rules = ARENA_ARRAY(r->arena, Actor__FaultRule *, order->n_rules + 1);
    if (order->n_rules) memcpy(rules, order->rules, order->n_rules * sizeof *rules);
    Actor__FaultRule *rule = arena_dup(r->arena, r->wish->rule, sizeof *rule);
    rule->name = arena_printf(r->arena, "%s/%zu", r->wish->rule->name, ++r->rules);
    rules[order->n_rules++] = rule;
    order->rules = rules;
    return rule;
}

// The patterns for one end of a link: of addresses, or of processes.
static err_t end_patterns(const resolver_t *r, const char *target, words_t *patterns) {
    words_t processes = {0};
    err_t err = processes_of(r, target, &processes);
    if (!err && has_prefix(target, "node/")) {
        for (size_t i = 0; i < processes.len; i++) {
            const char *pattern = arena_printf(r->arena, "process/%s", processes.at[i]);
            vec_push(patterns, pattern);
        }
    } else if (!err) {
        const char *pattern = strchr(target, '/') ? target : arena_printf(r->arena, "%s/*", target);
        vec_push(patterns, pattern);
    }
    vec_done(&processes);
    return err;
}

// Every process that sends must know the rule: all of them get it.
static void order_everywhere(resolver_t *r, const char *from, const char *to, bool border) {
    words_t all = {0};
    for (size_t i = 0; i < r->actors->n_actors; i++) {
        const Actor__ActorInfo *a = r->actors->actors[i];
        if (has_prefix(a->process, "cli-") || has_word(&all, a->process)) continue;
        vec_push(&all, a->process);
        Actor__FaultRule *rule = order_rule(r, a->process);
        rule->from = from;
        rule->to = to;
        rule->border = border;
    }
    vec_done(&all);
}

// Where a link's two ends part; NULL: it is none. Some actors bear colons in their names.
static const char *colon_of(const resolver_t *r, const char *target) {
    for (size_t i = 0; i < r->actors->n_actors; i++)
        if (streq(r->actors->actors[i]->address, target)) return NULL;
    return strchr(target, ':');
}

static err_t on_the_bus(resolver_t *r, const char *target) {
    const char *colon = colon_of(r, target);
    const char *one = colon ? arena_strndup(r->arena, target, (size_t)(colon - target)) : target;
    words_t from = {0}, to = {0};
    err_t err = end_patterns(r, one, &from);
    if (!err && colon)
        err = end_patterns(r, colon + 1, &to);
    else if (!err)
        vec_push(&to, "");
    bool border = is_process_or_node(one) || (colon && is_process_or_node(colon + 1));
    for (size_t i = 0; i < from.len && !err; i++)
        for (size_t k = 0; k < to.len; k++) order_everywhere(r, from.at[i], to.at[k], border);
    vec_done(&from);
    vec_done(&to);
    return err;
}

static err_t on_processes(resolver_t *r, const char *target) {
    words_t processes = {0};
    err_t err = processes_of(r, target, &processes);
    for (size_t i = 0; i < processes.len && !err; i++) {
        bool had = false; // two actors of one process slow its disk once
        for (size_t k = 0; k < r->orders.len; k++)
            had |= streq(r->orders.at[k]->process, processes.at[i]);
        if (!had) order_rule(r, processes.at[i])->target = "";
    }
    vec_done(&processes);
    return err;
}

static err_t on_actors(resolver_t *r, const char *target) {
    size_t before = r->rules;
    for (size_t i = 0; i < r->actors->n_actors; i++) {
        const Actor__ActorInfo *a = r->actors->actors[i];
        if (target_matches(target, a)) order_rule(r, a->process)->target = a->address;
    }
    return r->rules > before ? ERR_OK : nobody(r, target);
}

static err_t resolve(resolver_t *r, const char *target) {
    Actor__FaultRule__Kind kind = r->wish->rule->kind;
    if (fault_is_of_the_bus(kind)) return on_the_bus(r, target);
    if (colon_of(r, target))
        return why_set(r->why, ERR_BAD_REQUEST,
                       "\"%s\" is a link: %s needs an actor, process or node", target,
                       fault_kind_name(kind));
    bool of_process =
        kind == ACTOR__FAULT_RULE__KIND__SKEW || kind == ACTOR__FAULT_RULE__KIND__DISK_SLOW ||
        kind == ACTOR__FAULT_RULE__KIND__DISK_FULL || kind == ACTOR__FAULT_RULE__KIND__CPU;
    if (kind == ACTOR__FAULT_RULE__KIND__HANG && is_process_or_node(target))
        return why_set(r->why, ERR_BAD_REQUEST, "\"%s\": only an actor can hang", target);
    return of_process || is_process_or_node(target) ? on_processes(r, target)
                                                    : on_actors(r, target);
}

err_t targets_resolve(arena_t *arena, const Actor__ActorInfos *actors, const fault_wish_t *wish,
                      Chaos__Inject *ret_inject, why_t *why) {
    resolver_t r = {.arena = arena, .actors = actors, .wish = wish, .why = why};
    if (!wish->targets_len) return why_set(why, ERR_BAD_REQUEST, "no target is named");
    if (wish->targets_len > TARGETS_MAX)
        return why_set(why, ERR_TOO_LARGE, "more than %d targets", TARGETS_MAX);
    err_t err = ERR_OK;
    for (size_t i = 0; i < wish->targets_len && !err; i++) err = resolve(&r, wish->targets[i]);
    if (!err) {
        *ret_inject = (Chaos__Inject){PROTOBUF_C_MESSAGE_INIT(&chaos__inject__descriptor)};
        ret_inject->n_orders = r.orders.len;
        ret_inject->orders = arena_dup(arena, r.orders.at, r.orders.len * sizeof *r.orders.at);
    }
    vec_done(&r.orders);
    return err;
}
