// When faults strike, and what is found broken. Each invariant has a history that breaks it.
#include "actors/chaos/experiment_plan.h"
#include "runtime/api/msg.h"
#include "support/leaks.h"
#include "support/valid.h"
#include <signal.h>

static const char experiment[] = "apiVersion: chaos.troupe.io/v1\n"
                                 "kind: Experiment\n"
                                 "metadata: {name: x}\n"
                                 "spec:\n"
                                 "  seed: 7\n"
                                 "  duration: 10s\n"
                                 "  faults:\n"
                                 "  - {action: kill, targets: [scheduler], at: 1s, every: 4s}\n"
                                 "  - {action: delay, targets: [store], delay: 5ms, for: 2s}\n"
                                 "  - {action: kill, targets: [proxy], at: 11s}\n";

Test(schedule, repeats_until_the_duration_is_over_and_is_the_same_each_time)
{
    arena_t arena = {0};
    Experiments__Experiment *x = (void *)valid_object(&arena, experiment);
    schedule_t once, again;
    schedule_plan(&arena, x->spec, &once);
    schedule_plan(&arena, x->spec, &again);
    cr_assert_eq(once.len, 4, "%zu: the delay, three kills; what comes too late is not there",
                 once.len);
    cr_assert_eq(memcmp(once.at, again.at, once.len * sizeof *once.at), 0);
    cr_assert_eq(once.at[0].at_ms, 0);
    cr_assert_eq(once.at[1].at_ms, 1000);
    for (size_t i = 2; i < 4; i++) {
        int64_t due = 1000 + 4000 * ((int64_t)i - 1);
        cr_assert(once.at[i].at_ms >= due && once.at[i].at_ms <= due + 1000);
    }
    x->spec->seed = 8;
    schedule_plan(&arena, x->spec, &again);
    cr_assert_neq(memcmp(once.at, again.at, once.len * sizeof *once.at), 0);
    Actor__FaultRule rule;
    cr_assert(strike_rule(&arena, "x", x->spec->faults[1], 3, &rule));
    cr_assert_str_eq(rule.name, "x-x-3");
    cr_assert_eq(rule.delay_ms, 5);
    cr_assert_eq(rule.for_ms, 2000);
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

static void bound(ledger_t *l, const char *uid, const char *node) {
    Meta__ObjectMeta meta = {.base.descriptor = &meta__object_meta__descriptor};
    Core__PodSpec spec = {.base.descriptor = &core__pod_spec__descriptor};
    Core__Pod pod = {.base.descriptor = &core__pod__descriptor};
    meta.namespace_ = "d", meta.name = "p", meta.uid = uid, spec.nodename = node;
    pod.metadata = &meta, pod.spec = &spec;
    ledger_pod(l, &pod);
}

static void lead(ledger_t *l, const char *a, uint64_t epoch_a, const char *b, uint64_t epoch_b) {
    Actor__ActorInfo one = {PROTOBUF_C_MESSAGE_INIT(&actor__actor_info__descriptor)}, two = one;
    one.address = (char *)a, two.address = (char *)b;
    one.role = two.role = "r";
    one.epoch = epoch_a, two.epoch = epoch_b;
    Actor__ActorInfo *both[] = {&one, &two};
    Actor__ActorInfos infos = {PROTOBUF_C_MESSAGE_INIT(&actor__actor_infos__descriptor)};
    infos.actors = both, infos.n_actors = 2;
    ledger_leaders(l, &infos);
}

static void promise(ledger_t *l, arena_t *arena, const char *requests) {
    ProtobufCMessage *node = valid_object(
        arena,
        "apiVersion: v1\nkind: Node\nmetadata: {name: n1}\nstatus: {allocatable: {cpu: 1}}\n");
    ProtobufCMessage *pod = valid_object(
        arena, arena_printf(arena,
                            "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: d}\n"
                            "spec: {nodeName: n1, containers: [{name: a, image: i, resources: "
                            "{requests: {cpu: %s}}}, {name: b, image: i, resources: {requests: "
                            "{cpu: 500m}}}]}\n",
                            requests));
    record_t *n = record_new(node), *p = record_new(pod);
    ledger_capacity(l, (records_t){(const record_t *const[]){n}, 1},
                    (records_t){(const record_t *const[]){p}, 1});
    record_unref(&n);
    record_unref(&p);
}

static void good_history(ledger_t *l, arena_t *arena) {
    ledger_acked(l, 1), ledger_watched(l, 10, 1);
    ledger_watched(l, 11, 2), ledger_acked(l, 2); // the watch may be faster than the answer
    ledger_watched(l, 14, 4);                     // 3 failed; 4's outcome is unknown
    ledger_read(l, 2, 4);
    bound(l, "u1", ""), bound(l, "u1", "n1"), bound(l, "u1", "n1"), bound(l, "u2", "n2");
    lead(l, "r/1", 3, "r/2", 4); // a deposed one that has not heard of it
    lead(l, "r/1", 0, "r/2", 4);
    promise(l, arena, "500m");
    ledger_wanted(l, true, "");
}

Test(ledger, a_good_history_passes_and_each_bad_one_is_named)
{
    static const struct {
        invariant_t which;
        const char *broken;
    } rows[] = {
        {INVARIANTS_LEN, NULL},
        {INVARIANT_WRITES, "write 2 was acknowledged, a later read finds 1"},
        {INVARIANT_WATCH, "revision 11 came after 14"},
        {INVARIANT_WATCH, "write 5 was acknowledged, and no watch has shown it"},
        {INVARIANT_WATCH, "write 4 came after 4"},
        {INVARIANT_LEADERS, "r/1 and r/2 both lead with epoch 5"},
        {INVARIANT_BINDS, "pod d/p was bound to n1 and then to n2"},
        {INVARIANT_CAPACITY, "node n1 has promised 1100 milli of cpu, and has 1000"},
        {INVARIANT_WANTED, "x"},
    };
    arena_t arena = {0};
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        ledger_t l = {0};
        good_history(&l, &arena);
        switch (i) {
        case 1: ledger_read(&l, 2, 1); break;
        case 2: ledger_watched(&l, 11, 5); break;
        case 3: ledger_acked(&l, 5); break;
        case 4: ledger_watched(&l, 15, 4); break;
        case 5: lead(&l, "r/1", 5, "r/2", 5); break;
        case 6: bound(&l, "u1", "n2"); break;
        case 7: promise(&l, &arena, "600m"); break;
        case 8: ledger_wanted(&l, false, "x"); break;
        default: break;
        }
        cr_expect_eq(ledger_watch_is_there(&l), i != 3);
        ledger_close(&l);
        cr_expect_eq(ledger_passes(&l), i == 0, "row %zu", i);
        for (size_t k = 0; k < INVARIANTS_LEN; k++)
            cr_expect_str_eq(l.findings[k].broken, k == rows[i].which ? rows[i].broken : "",
                             "row %zu, %s: %s", i, invariant_name(k), l.findings[k].broken);
        ledger_done(&l);
    }
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

Test(steady, says_what_is_missing)
{
    static const struct {
        const char *status, *what;
    } rows[] = {
        {"{observedGeneration: 2, replicas: 3, readyReplicas: 3, updatedReplicas: 3}", NULL},
        {"{observedGeneration: 2, replicas: 3, readyReplicas: 1, updatedReplicas: 3}",
         "deployment d/w: 1 of 3 replicas are ready"},
        {"{observedGeneration: 1, replicas: 3, readyReplicas: 3, updatedReplicas: 3}",
         "deployment d/w: 3 of 3 replicas are ready, its newest spec is not seen"},
        {"{observedGeneration: 2, replicas: 4, readyReplicas: 3, updatedReplicas: 3}",
         "deployment d/w: 3 of 3 replicas are ready, its rollout is not complete"},
    };
    arena_t arena = {0};
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        const char *yaml = arena_printf(
            &arena,
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: w, namespace: d, generation: "
            "2}\nspec: {replicas: 3, selector: {matchLabels: {a: b}}, template: {metadata: "
            "{labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}}\nstatus: %s\n",
            rows[i].status);
        const char *what = NULL;
        bool steady = deployment_is_steady(&arena, valid_object(&arena, yaml), &what);
        cr_expect_eq(steady, i == 0);
        if (i) cr_expect_str_eq(what, rows[i].what);
    }
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

Test(canary, asserts_are_alive, .signal = SIGABRT)
{ assert(!"this must die"); }
