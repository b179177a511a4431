// experiment - defaults and validation of chaos.troupe.io/v1 Experiment.
#include "runtime/api/kinds/check.h"
#include "runtime/api/kinds/rows.h"
#include "runtime/api/msg.h"
#include "runtime/api/special.h"
#include "troupe/experiments.pb-c.h"

enum { EXPERIMENT_FAULTS_MAX = 32, EXPERIMENT_CHECKS_MAX = 32, EXPERIMENT_TARGETS_MAX = 16 };

#define DURATION_MAX_S (24 * 3600LL)

static void fill_text(const char **field, const char *value) {
    if (is_empty(*field)) *field = value;
}

void experiment_defaults(arena_t *arena, ProtobufCMessage *obj) {
    Experiments__Experiment *x = (Experiments__Experiment *)obj;
    meta_defaults(arena, obj);
    if (!x->spec)
        x->spec =
            MSG_NEW(arena, Experiments__ExperimentSpec, experiments__experiment_spec__descriptor);
    fill_text(&x->spec->duration, "30s");
    fill_text(&x->spec->recoverytimeout, "30s");
    if (!x->spec->has_seed) x->spec->has_seed = true, x->spec->seed = 1;
    for (size_t i = 0; i < x->spec->n_faults; i++) {
        Experiments__ExperimentFault *f = x->spec->faults[i];
        fill_text(&f->at, "0s");
        if (is_empty(f->name)) f->name = or_empty(f->action);
    }
}

static void check_duration(field_errors_t *e, const path_t *path, const char *text, bool positive) {
    int64_t nanos;
    if (is_empty(text)) return;
    if (special_duration_parse(text, strlen(text), &nanos))
        tell_invalid(e, path, text, "must be a duration such as 500ms, 5s or 1m");
    else if (nanos < 0 || (positive && nanos == 0) || nanos / 1000000000 > DURATION_MAX_S)
        tell_invalid(e, path, text,
                     positive ? "must be above 0 and at most 24h"
                              : "must not be negative, and at most 24h");
}

static void check_fault(field_errors_t *e, const path_t *path,
                        const Experiments__ExperimentFault *f) {
    static const char *const actions[] = {"cpu",   "crash",     "delay", "disk-full", "disk-slow",
                                          "drop",  "duplicate", "hang",  "kill",      "partition",
                                          "pause", "reorder",   "skew",  NULL};
    check_enum(e, PATH(path, "action"), f->action, actions);
    if (!f->n_targets) tell_required(e, PATH(path, "targets"), "");
    if (f->n_targets > EXPERIMENT_TARGETS_MAX)
        tell_too_many(e, PATH(path, "targets"), f->n_targets, EXPERIMENT_TARGETS_MAX);
    check_duration(e, PATH(path, "at"), f->at, false);
    check_duration(e, PATH(path, "every"), f->every, true);
    check_duration(e, PATH(path, "for"), f->for_, true);
    check_duration(e, PATH(path, "delay"), f->delay, true);
    check_duration(e, PATH(path, "jitter"), f->jitter, false);
    if (f->has_probability && !(f->probability > 0 && f->probability <= 1))
        tell_invalid_raw(e, PATH(path, "probability"), arena_printf(e->arena, "%g", f->probability),
                         "must be above 0 and at most 1");
}

static void check_check(field_errors_t *e, const path_t *path,
                        const Experiments__ExperimentCheck *c) {
    static const char *const types[] = {"API", "HTTP", "Replicas", NULL};
    check_enum(e, PATH(path, "type"), c->type, types);
    if (streq(or_empty(c->type), "HTTP") && is_empty(c->address))
        tell_required(e, PATH(path, "address"), "the ADDRESS:PORT that must answer");
    if (streq(or_empty(c->type), "Replicas") && is_empty(c->name))
        tell_required(e, PATH(path, "name"), "the Deployment");
}

void experiment_validate(const ProtobufCMessage *obj, const ProtobufCMessage *old,
                         field_errors_t *e) {
    const Experiments__ExperimentSpec *spec = ((const Experiments__Experiment *)obj)->spec;
    check_meta(e, obj, old, false, rule_dns_subdomain);
    const path_t *path = PATH(ROOT, "spec");
    check_duration(e, PATH(path, "duration"), spec->duration, true);
    check_duration(e, PATH(path, "recoveryTimeout"), spec->recoverytimeout, true);
    if (spec->has_abortaftererrors)
        check_not_negative(e, PATH(path, "abortAfterErrors"), spec->abortaftererrors);
    if (spec->n_faults > EXPERIMENT_FAULTS_MAX)
        tell_too_many(e, PATH(path, "faults"), spec->n_faults, EXPERIMENT_FAULTS_MAX);
    for (size_t i = 0; i < spec->n_faults; i++)
        check_fault(e, PATH_AT(PATH(path, "faults"), i), spec->faults[i]);
    if (spec->n_steadystate > EXPERIMENT_CHECKS_MAX)
        tell_too_many(e, PATH(path, "steadyState"), spec->n_steadystate, EXPERIMENT_CHECKS_MAX);
    for (size_t i = 0; i < spec->n_steadystate; i++)
        check_check(e, PATH_AT(PATH(path, "steadyState"), i), spec->steadystate[i]);
}
