// What a stage tells of its actors: for `get actors` and for metrics.
#include "runtime/actor/stage_inner.h"

static const char *state_of(const actor_t *a) {
    switch (a->life) {
    case LIFE_STARTING: return "starting";
    case LIFE_ALIVE: return a->paused ? "paused" : a->ready ? "ready" : "running";
    case LIFE_STOPPING: return "stopping";
    case LIFE_BACKOFF: return "backoff";
    case LIFE_DONE: return "done";
    }
    return "";
}

static Actor__ActorInfo *info_of(const stage_t *s, const actor_t *a, arena_t *arena) {
    const stage_options_t *o = &s->options;
    Actor__ActorInfo *info = ARENA_NEW(arena, Actor__ActorInfo);
    *info = (Actor__ActorInfo){
        .base = PROTOBUF_C_MESSAGE_INIT(&actor__actor_info__descriptor),
        .address = arena_strdup(arena, a->name->text),
        .role = arena_strdup(arena, a->def->role),
        .process = arena_strdup(arena, or_empty(o->process)),
        .host = arena_strdup(arena, or_empty(o->host_name)),
        .dispatcher = arena_strdup(arena, or_empty(o->dispatcher)),
        .state = (char *)state_of(a),
        .last_reason = arena_strdup(arena, or_empty(a->exit_reason)),
        .incarnation = a->incarnation,
        .restarts = a->restarts,
        .messages = a->messages,
        .mailbox_depth = a->depth,
        .mailbox_max = a->def->mailbox_max ? a->def->mailbox_max : MAILBOX_MAX_DEFAULT,
        .mailbox_wait_us = a->wait_us,
        .handling_us = a->handling_us,
        .started_wall_ms = a->started_wall_ms,
        .epoch = a->epoch,
        .overruns = a->overruns,
        .dead_letters = a->dead_letters,
    };
    return info;
}

void stage_list(const stage_t *s, arena_t *arena, Actor__ActorInfos *ret_infos) {
    ret_infos->actors = ARENA_ARRAY(arena, Actor__ActorInfo *, s->order.len + 1);
    ret_infos->n_actors = 0;
    for (size_t i = 0; i < s->order.len; i++)
        if (s->order.at[i])
            ret_infos->actors[ret_infos->n_actors++] = info_of(s, s->order.at[i], arena);
}

void stage_each_metric(const stage_t *s, metric_fn each, void *arg) {
    for (size_t i = 0; i < s->order.len; i++) {
        const actor_t *a = s->order.at[i];
        for (size_t k = 0; a && a->desk && k < a->desk->counters.len; k++) {
            const counter_t *c = &a->desk->counters.at[k];
            each(arg, a->name->text, c->metric, c->is_gauge, c->value);
        }
    }
}
