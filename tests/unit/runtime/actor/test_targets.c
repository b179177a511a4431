// Whom a fault hits: names, patterns, processes, nodes and links, as rules for processes.
#include "runtime/actor/targets.h"
#include "runtime/api/msg.h"
#include "runtime/base/text.h"
#include "support/leaks.h"
#include <signal.h>

#define KIND(name) ACTOR__FAULT_RULE__KIND__##name

// Two hosts: m1 with two processes, n1 with one; and a command line, which is nobody's target.
static const char *const cluster[][4] = {
    {"apiserver/m1", "apiserver", "main", "m1"}, {"store/m1", "store", "main", "m1"},
    {"system/main", "system", "main", "m1"},     {"scheduler/m1", "scheduler", "sched", "m1"},
    {"kubelet/n1", "kubelet", "n1", "n1"},       {"link/listen:10.0.0.1:1", "link", "sched", "m1"},
    {"proxy/n1", "proxy", "n1", "n1"},           {"cli/7", "cli", "cli-7", "m1"},
};

static Actor__ActorInfos actors_of_cluster(arena_t *arena) {
    Actor__ActorInfos infos = {PROTOBUF_C_MESSAGE_INIT(&actor__actor_infos__descriptor)};
    infos.actors = ARENA_ARRAY(arena, Actor__ActorInfo *, LENGTH_OF(cluster));
    for (size_t i = 0; i < LENGTH_OF(cluster); i++) {
        Actor__ActorInfo *a = MSG_NEW(arena, Actor__ActorInfo, actor__actor_info__descriptor);
        a->address = (char *)cluster[i][0], a->role = (char *)cluster[i][1];
        a->process = (char *)cluster[i][2], a->host = (char *)cluster[i][3];
        infos.actors[infos.n_actors++] = a;
    }
    return infos;
}

static void print(text_t *out, const Chaos__Inject *inject) {
    for (size_t i = 0; i < inject->n_orders; i++)
        for (size_t k = 0; k < inject->orders[i]->n_rules; k++) {
            const Actor__FaultRule *r = inject->orders[i]->rules[k];
            text_addf(out, "%s: %s %s", inject->orders[i]->process, r->name,
                      fault_kind_name(r->kind));
            if (!is_empty(r->target)) text_addf(out, " %s", r->target);
            if (!is_empty(r->from)) text_addf(out, " from %s to %s", r->from, or_empty(r->to));
            text_add(out, r->border ? " at the border\n" : "\n");
        }
}

Test(targets, become_rules_for_processes)
{
    static const struct {
        Actor__FaultRule__Kind kind;
        const char *targets[3], *rules;
    } rows[] = {
        {KIND(KILL), {"scheduler"}, "sched: f/1 kill scheduler/m1\n"},
        {KIND(KILL),
         {"*/n1", "store/m1"},
         "n1: f/1 kill kubelet/n1\nn1: f/2 kill proxy/n1\nmain: f/3 kill store/m1\n"},
        {KIND(KILL), {"link/listen:10.0.0.1:1"}, "sched: f/1 kill link/listen:10.0.0.1:1\n"},
        {KIND(KILL), {"process/s*"}, "sched: f/1 kill\n"},
        {KIND(CRASH), {"node/m1"}, "main: f/1 crash\nsched: f/2 crash\n"},
        {KIND(PAUSE), {"kubelet"}, "n1: f/1 pause kubelet/n1\n"},
        {KIND(DISK_SLOW), {"store", "apiserver"}, "main: f/1 disk-slow\n"},
        {KIND(DELAY),
         {"scheduler"},
         "main: f/1 delay from scheduler/* to \n"
         "sched: f/2 delay from scheduler/* to \n"
         "n1: f/3 delay from scheduler/* to \n"},
        {KIND(PARTITION),
         {"kubelet/n1:apiserver"},
         "main: f/1 partition from kubelet/n1 to apiserver/*\n"
         "sched: f/2 partition from kubelet/n1 to apiserver/*\n"
         "n1: f/3 partition from kubelet/n1 to apiserver/*\n"},
        {KIND(DROP),
         {"node/n1"},
         "main: f/1 drop from process/n1 to  at the border\n"
         "sched: f/2 drop from process/n1 to  at the border\n"
         "n1: f/3 drop from process/n1 to  at the border\n"},
    };
    arena_t arena = {0};
    Actor__ActorInfos infos = actors_of_cluster(&arena);
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        Actor__FaultRule rule = {PROTOBUF_C_MESSAGE_INIT(&actor__fault_rule__descriptor)};
        rule.name = "f", rule.kind = rows[i].kind, rule.target = "", rule.from = rule.to = "";
        fault_wish_t wish = {&rule, rows[i].targets, 0};
        while (wish.targets_len < 3 && rows[i].targets[wish.targets_len]) wish.targets_len++;
        Chaos__Inject inject;
        why_t why = {0};
        cr_expect_eq(targets_resolve(&arena, &infos, &wish, &inject, &why), ERR_OK, "%s", why.text);
        text_t out = {.arena = &arena};
        print(&out, &inject);
        cr_expect_str_eq(text_str(&out), rows[i].rules, "row %zu: %s", i, text_str(&out));
    }
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

Test(targets, that_are_nobody_or_cannot_suffer_it_are_refused_by_name)
{
    static const struct {
        Actor__FaultRule__Kind kind;
        const char *target, *why;
        err_t err;
    } rows[] = {
        {KIND(KILL), NULL, "no target is named", ERR_BAD_REQUEST},
        {KIND(KILL), "nobody", "no actor matches \"nobody\"", ERR_NOT_FOUND},
        {KIND(KILL), "process/x", "no process matches \"process/x\"", ERR_NOT_FOUND},
        {KIND(CPU), "node/x", "no node matches \"node/x\"", ERR_NOT_FOUND},
        {KIND(KILL), "system/main", "no actor matches \"system/main\"", ERR_NOT_FOUND},
        {KIND(KILL), "process/cli-7", "no process matches \"process/cli-7\"", ERR_NOT_FOUND},
        {KIND(DROP), "store:nobody", "no actor matches \"nobody\"", ERR_NOT_FOUND},
        {KIND(KILL), "a:b", "\"a:b\" is a link: kill needs an actor, process or node",
         ERR_BAD_REQUEST},
        {KIND(HANG), "process/main", "\"process/main\": only an actor can hang", ERR_BAD_REQUEST},
    };
    arena_t arena = {0};
    Actor__ActorInfos infos = actors_of_cluster(&arena);
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        Actor__FaultRule rule = {PROTOBUF_C_MESSAGE_INIT(&actor__fault_rule__descriptor)};
        rule.name = "f", rule.kind = rows[i].kind;
        fault_wish_t wish = {&rule, &rows[i].target, rows[i].target ? 1 : 0};
        Chaos__Inject inject;
        why_t why = {0};
        cr_expect_eq(targets_resolve(&arena, &infos, &wish, &inject, &why), rows[i].err, "row %zu",
                     i);
        cr_expect_str_eq(why.text, rows[i].why);
    }
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

Test(targets, every_kind_of_fault_has_a_name_that_is_read_back)
{
    Actor__FaultRule__Kind kind;
    for (int i = 0; i <= KIND(HANG); i++) {
        cr_assert(fault_kind_parse(fault_kind_name(i), &kind));
        cr_assert_eq(kind, i);
    }
    cr_assert_not(fault_kind_parse("rain", &kind));
    cr_assert_null(fault_kind_name(KIND(HANG) + 1));
    ASSERT_NO_LEAKS();
}

Test(canary, asserts_are_alive, .signal = SIGABRT)
{ assert(!"this must die"); }
