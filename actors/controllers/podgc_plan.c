#include "actors/controllers/podgc_plan.h"
#include "runtime/api/pod.h"

void podgc_plan_node(records_t pods, bool is_here, bool is_gone, arena_t *arena,
                     podgc_plan_t *ret_plan) {
    *ret_plan = (podgc_plan_t){.gone = ARENA_ARRAY(arena, const record_t *, pods.len + 1)};
    if (is_here || !pods.len) return;
    ret_plan->look = !is_gone;
    for (size_t i = 0; is_gone && i < pods.len; i++)
        ret_plan->gone[ret_plan->gone_len++] = pods.at[i];
}

bool podgc_is_stuck(const record_t *r) {
    const Core__Pod *pod = RECORD_AS(Core__Pod, r);
    return object_meta_read(r->object)->deletiontimestamp &&
           (!pod->spec || is_empty(pod->spec->nodename));
}

static int by_age(const void *va, const void *vb) {
    const record_t *a = *(const record_t *const *)va, *b = *(const record_t *const *)vb;
    int64_t at_a = time_wall_ms(object_meta_read(a->object)->creationtimestamp);
    int64_t at_b = time_wall_ms(object_meta_read(b->object)->creationtimestamp);
    if (at_a != at_b) return at_a < at_b ? -1 : 1;
    return strcmp(a->key, b->key);
}

void podgc_plan_finished(records_t pods, size_t finished_max, arena_t *arena,
                         podgc_plan_t *ret_plan) {
    *ret_plan = (podgc_plan_t){.gone = ARENA_ARRAY(arena, const record_t *, pods.len + 1)};
    if (!finished_max) return;
    size_t len = 0;
    for (size_t i = 0; i < pods.len; i++)
        if (pod_has_ended(RECORD_AS(Core__Pod, pods.at[i]))) ret_plan->gone[len++] = pods.at[i];
    qsort(ret_plan->gone, len, sizeof *ret_plan->gone, by_age);
    if (len > finished_max) ret_plan->gone_len = len - finished_max;
}
