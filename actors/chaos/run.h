// run - one experiment under way: what the shell keeps of it. Private to the chaos actor.
#pragma once
#include "actors/chaos/experiment_plan.h"
#include "actors/chaos/http_look.h"
#include "runtime/actor/api_client.h"

enum { RUN_ERRORS_MAX = 16 };

typedef enum { RUN_PREPARE, RUN_FAULTS, RUN_RECOVER, RUN_OVER } run_phase_t;

// One fault on one component.
typedef struct {
    char *name, *action, *target;      // owned
    char *watched;                     // owned; the address whose death and return tell; NULL: none
    char *message;                     // owned; what went wrong setting it; NULL: nothing
    int64_t at_ms;                     // after the start
    int64_t set_ms, end_ms;            // on the actor's clock
    int64_t detected_ms, recovered_ms; // after it was set (lasting: ended); -1: not yet
    bool is_down;
} hit_t;

typedef struct {
    char *source, *message; // owned
    int64_t count;
} run_error_t;

typedef struct {
    Experiments__Experiment *spec; // as it was when it began; the arena's
    arena_t arena;
    schedule_t schedule;
    ledger_t ledger;
    run_phase_t phase;
    int64_t began_ms, phase_ms, started_wall_ms;
    size_t next; // strike
    size_t serial;
    VEC(hit_t) hits;
    VEC(run_error_t) errors;
    int64_t errors_total;
    http_look_t *looks; // one for each check; the arena's
    int64_t *looks_ok_ms;
    int64_t ended_wall_ms;
    const char *message; // the verdict's reason; the arena's; NULL: none
    bool failed;         // besides the ledger
} run_t;

run_t *run_new(const Experiments__Experiment *experiment) MUST_USE;
void run_destroy(run_t **run);
hit_t *run_add_hit(run_t *r, const strike_t *strike, const char *target, int64_t now_ms);
void run_error(run_t *r, const char *source, const char *message);
void run_fail(run_t *r, const char *message); // the first reason stays
bool run_has_healed(const run_t *r, const char **ret_who);
// Its status as it stands, in `arena`.
Experiments__ExperimentStatus *run_status(const run_t *r, arena_t *arena);
