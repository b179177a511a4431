#include "actors/chaos/run.h"
#include "runtime/api/msg.h"

run_t *run_new(const Experiments__Experiment *experiment) {
    run_t *r = NEW(run_t);
    r->spec = (Experiments__Experiment *)msg_dup(&r->arena, &experiment->base);
    schedule_plan(&r->arena, r->spec->spec, &r->schedule);
    size_t checks = r->spec->spec->n_steadystate;
    r->looks = ARENA_ARRAY(&r->arena, http_look_t, checks + 1);
    r->looks_ok_ms = ARENA_ARRAY(&r->arena, int64_t, checks + 1);
    for (size_t i = 0; i < checks; i++) r->looks[i].fd = -1;
    return r;
}

void run_destroy(run_t **run) {
    run_t *r = x_steal(run);
    if (!r) return;
    for (size_t i = 0; i < r->hits.len; i++) {
        free(r->hits.at[i].name);
        free(r->hits.at[i].action);
        free(r->hits.at[i].target);
        free(r->hits.at[i].watched);
        free(r->hits.at[i].message);
    }
    for (size_t i = 0; i < r->errors.len; i++) {
        free(r->errors.at[i].source);
        free(r->errors.at[i].message);
    }
    for (size_t i = 0; i < r->spec->spec->n_steadystate; i++) http_look_close(&r->looks[i]);
    vec_done(&r->hits);
    vec_done(&r->errors);
    ledger_done(&r->ledger);
    arena_done(&r->arena);
    free(r);
}

hit_t *run_add_hit(run_t *r, const strike_t *strike, const char *target, int64_t now_ms) {
    const Experiments__ExperimentFault *f = r->spec->spec->faults[strike->fault];
    hit_t hit = {.name = str_dup(f->name),
                 .action = str_dup(f->action),
                 .target = str_dup(target),
                 .at_ms = now_ms - r->began_ms,
                 .set_ms = now_ms,
                 .end_ms = now_ms,
                 .detected_ms = -1,
                 .recovered_ms = -1};
    vec_push(&r->hits, hit);
    return &r->hits.at[r->hits.len - 1];
}

void run_error(run_t *r, const char *source, const char *message) {
    r->errors_total++;
    for (size_t i = 0; i < r->errors.len; i++)
        if (streq(r->errors.at[i].source, source) && streq(r->errors.at[i].message, message)) {
            r->errors.at[i].count++;
            return;
        }
    if (r->errors.len == RUN_ERRORS_MAX) return; // still in the total
    vec_push(&r->errors, ((run_error_t){str_dup(source), str_dup(message), 1}));
}

void run_fail(run_t *r, const char *message) {
    if (!r->failed) r->message = arena_strdup(&r->arena, message);
    r->failed = true;
}

bool run_has_healed(const run_t *r, const char **ret_who) {
    for (size_t i = 0; i < r->hits.len; i++)
        if (r->hits.at[i].recovered_ms < 0 && !r->hits.at[i].message) {
            *ret_who = r->hits.at[i].target;
            return false;
        }
    return true;
}

// ---- status -------------------------------------------------------------------------------------

static void add_invariants(const run_t *r, arena_t *arena, Experiments__ExperimentStatus *s) {
    s->invariants = ARENA_ARRAY(arena, Experiments__ExperimentInvariant *, INVARIANTS_LEN);
    for (size_t i = 0; i < INVARIANTS_LEN; i++) {
        const finding_t *f = &r->ledger.findings[i];
        Experiments__ExperimentInvariant *one =
            MSG_NEW(arena, Experiments__ExperimentInvariant,
                    experiments__experiment_invariant__descriptor);
        one->name = invariant_name((invariant_t)i);
        one->has_holds = one->has_checked = true;
        one->holds = !f->broken[0];
        one->checked = f->checked;
        if (f->broken[0]) one->message = arena_strdup(arena, f->broken);
        s->invariants[s->n_invariants++] = one;
    }
}

static void add_hits(const run_t *r, arena_t *arena, Experiments__ExperimentStatus *s) {
    s->faults = ARENA_ARRAY(arena, Experiments__ExperimentStrike *, r->hits.len + 1);
    for (size_t i = 0; i < r->hits.len; i++) {
        const hit_t *hit = &r->hits.at[i];
        Experiments__ExperimentStrike *one = MSG_NEW(arena, Experiments__ExperimentStrike,
                                                     experiments__experiment_strike__descriptor);
        one->name = hit->name;
        one->action = hit->action;
        one->target = hit->target;
        one->has_atmillis = true;
        one->atmillis = hit->at_ms;
        one->has_detectedmillis = hit->detected_ms >= 0;
        one->detectedmillis = hit->detected_ms;
        one->has_recoveredmillis = hit->recovered_ms >= 0;
        one->recoveredmillis = hit->recovered_ms;
        one->message = hit->message;
        s->faults[s->n_faults++] = one;
    }
}

Experiments__ExperimentStatus *run_status(const run_t *r, arena_t *arena) {
    static const char *const phases[] = {"Preparing", "Running", "Recovering", "Completed"};
    Experiments__ExperimentStatus *s =
        MSG_NEW(arena, Experiments__ExperimentStatus, experiments__experiment_status__descriptor);
    s->phase = phases[r->phase];
    s->message = r->message;
    if (r->started_wall_ms) s->starttime = time_new(arena, r->started_wall_ms);
    if (r->phase == RUN_OVER) {
        bool passed = !r->failed && ledger_passes(&r->ledger);
        s->verdict = passed ? "Passed" : "Failed";
        for (size_t i = 0; !s->message && i < INVARIANTS_LEN; i++)
            if (r->ledger.findings[i].broken[0])
                s->message = arena_printf(arena, "%s: %s", invariant_name((invariant_t)i),
                                          r->ledger.findings[i].broken);
        s->completiontime = time_new(arena, r->ended_wall_ms);
    }
    add_invariants(r, arena, s);
    add_hits(r, arena, s);
    s->errors = ARENA_ARRAY(arena, Experiments__ExperimentError *, r->errors.len + 1);
    for (size_t i = 0; i < r->errors.len; i++) {
        Experiments__ExperimentError *one =
            MSG_NEW(arena, Experiments__ExperimentError, experiments__experiment_error__descriptor);
        one->source = r->errors.at[i].source;
        one->message = r->errors.at[i].message;
        one->has_count = true;
        one->count = r->errors.at[i].count;
        s->errors[s->n_errors++] = one;
    }
    return s;
}
