// Moved actors: the file that remembers them, and who may go where.
#include "cli/troupe/placement.h"
#include "runtime/base/text.h"
#include "support/leaks.h"
#include <unistd.h>

static const topology_vars_t vars = {"/d", "/r", "/c", "m1", "10.0.0.1"};

// A master in two processes with a third beside them that hears the store only; linked to another
// master by tcp.
static const char text[] =
    "kind: Topology\n"
    "processes:\n"
    "- name: main\n"
    "  dispatchers:\n"
    "  - {name: disk, actors: [{role: disk, name: m1}]}\n"
    "  - {name: store, actors: [{role: store, name: m1}]}\n"
    "  - name: control\n"
    "    actors:\n"
    "    - {role: apiserver, name: m1}\n"
    "    - {role: scheduler, name: m1}\n"
    "    - {role: informers, name: m1}\n"
    "  listen:\n"
    "  - {endpoint: \"ipc:///r/troupe.sock\", principal: admin}\n"
    "  - {endpoint: \"ipc:///r/parts/main.sock\", principal: part}\n"
    "  mesh:\n"
    "  - {peer: main, endpoint: \"tcp://10.0.0.1:1\", key: /k, serverKey: /s}\n"
    "  - {peer: a-other, endpoint: \"tcp://10.0.0.2:1\", key: /k, serverKey: /s}\n"
    "- name: work\n"
    "  dispatchers:\n"
    "  - {name: work, actors: [{role: controllers, name: m1}]}\n"
    "  connect:\n"
    "  - {peer: main, endpoint: \"ipc:///r/parts/main.sock\"}\n"
    "  - {peer: a-other, endpoint: \"tcp://10.0.0.2:1\", key: /k, serverKey: /s}\n"
    "- name: aside\n"
    "  dispatchers:\n"
    "  - {name: aside, actors: [{role: chaos, name: m1}, {role: proxy, name: m1}]}\n"
    "  connect:\n"
    "  - {peer: work, endpoint: \"ipc:///r/parts/work.sock\"}\n";

static topology_t topology(arena_t *a) {
    topology_t t;
    why_t why;
    cr_assert_eq(topology_parse(a, "t.yaml", text, strlen(text), &vars, &t, &why), ERR_OK, "%s",
                 why.text);
    return t;
}

Test(placement, who_may_go_where_and_why_not)
{
    static const struct {
        const char *address, *from, *to;
        err_t err;
        const char *said; // the process, or why not
        bool is_far;
    } rows[] = {
        {"scheduler/m1", "main", "own", ERR_OK, "scheduler/m1"},
        {"scheduler/m1", "main", "scheduler/m1", ERR_OK, "scheduler/m1"},
        {"scheduler/m1", "main", "work", ERR_OK, "work"},
        {"scheduler/m1", "scheduler/m1", "main", ERR_OK, "main"},
        {"store/m1", "main", "own", ERR_OK, "store/m1"},
        {"scheduler/m1", "main", "main", ERR_EXISTS, "it is in process main already"},
        {"scheduler/m1", "scheduler/m1", "own", ERR_EXISTS,
         "it is in process scheduler/m1 already"},
        {"controllers/m1", "work", "own", ERR_EXISTS, "it is in process work already, and alone"},
        {"scheduler/m1", "main", "a-other", ERR_OK, "a-other", true},
        {"scheduler/m2", "main", "a-other", ERR_OK, "a-other", true}, // a guest
        {"scheduler/m2", "main", "work", ERR_FORBIDDEN,
         "it is a guest here and goes to other machines only"},
        {"store/m1", "main", "a-other", ERR_FORBIDDEN,
         "process a-other is none of this machine's: store actors stay on theirs"},
        {"disk/m1", "main", "a-other", ERR_FORBIDDEN,
         "it stays where it is: it holds the files of its store member"},
        {"scheduler/m1", "main", "aside", ERR_FORBIDDEN,
         "process aside is not linked to process main, where apiserver/m1 is"},
        {"store/m1", "main", "aside", ERR_FORBIDDEN,
         "process aside is not linked to process main, where disk/m1 is"},
        {"chaos/m1", "aside", "main", ERR_FORBIDDEN,
         "process main is not linked to process aside, where chaos/m1 is"},
        {"apiserver/m1", "main", "own", ERR_FORBIDDEN,
         "process apiserver/m1 has no socket for command lines: nobody would reach it there"},
        {"disk/m1", "main", "own", ERR_FORBIDDEN,
         "it stays where it is: it holds the files of its store member"},
        {"informers/m1", "main", "work", ERR_FORBIDDEN,
         "it stays where it is: it serves the actors of its own process"},
        {"pod/x", "main", "own", ERR_FORBIDDEN,
         "the topology does not name it: it goes with its parent"},
    };
    arena_t a = {0};
    topology_t t = topology(&a);
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        const char *process = NULL;
        bool is_far = false;
        why_t why = {0};
        err_t err = placement_check(&a, &t, rows[i].address, rows[i].from, rows[i].to, &process,
                                    &is_far, &why);
        cr_expect_eq(err, rows[i].err, "%s to %s: %s", rows[i].address, rows[i].to, why.text);
        cr_expect_str_eq(err ? why.text : process, rows[i].said);
        cr_expect_eq(!err && is_far, rows[i].is_far);
    }
    arena_done(&a);
    ASSERT_NO_LEAKS();
}

Test(placement, a_process_of_its_own_is_linked_to_whom_its_home_is_linked)
{
    arena_t a = {0};
    topology_t t = topology(&a);
    home_t home;
    topology_process_t own;
    cr_assert(placement_home(&t, "scheduler/m1", &home));
    cr_assert_str_eq(home.dispatcher->name, "control");
    placement_own_process(&a, &t, &home, "scheduler/m1", &own);
    cr_assert_eq(own.connects_len, 2);
    cr_assert_str_eq(own.connects[0].peer, "main");
    cr_assert_str_eq(own.connects[0].endpoint, "ipc:///r/parts/main.sock");
    cr_assert_str_eq(own.connects[1].peer, "a-other");
    cr_assert_str_eq(own.connects[1].key_file, "/k");
    arena_done(&a);
    ASSERT_NO_LEAKS();
}

Test(placement, what_was_moved_is_read_back_and_all_else_is_at_home)
{
    char folder[] = "/tmp/placement-XXXXXX";
    cr_assert_not_null(mkdtemp(folder));
    arena_t a = {0};
    topology_t t = topology(&a);
    const char *file = arena_printf(&a, "%s/placement.yaml", folder);
    placement_t p;
    why_t why;
    cr_assert_eq(placement_load(&a, file, &p, &why), ERR_OK); // no file: nobody was moved
    cr_assert_eq(p.len, 0);
    p = placement_with(&a, &p, "store/m1", "store/m1");
    p = placement_with(&a, &p, "proxy/m1", "elsewhere");
    p = placement_with(&a, &p, "scheduler/m1", "main");
    p = placement_with(&a, &p, "scheduler/m1", "work");
    p = placement_with(&a, &p, "chaos/m1", "work");
    p = placement_with(&a, &p, "chaos/m1", NULL);
    cr_assert_eq(placement_save(file, &p, &why), ERR_OK, "%s", why.text);
    cr_assert_eq(placement_load(&a, file, &p, &why), ERR_OK, "%s", why.text);
    cr_assert_eq(p.len, 3);
    static const struct {
        const char *address, *process;
    } rows[] = {{"store/m1", "store/m1"},
                {"scheduler/m1", "work"},
                {"proxy/m1", "elsewhere"},
                {"chaos/m1", "aside"},
                {"apiserver/m1", "main"}};
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        home_t home;
        cr_assert(placement_home(&t, rows[i].address, &home));
        cr_expect_str_eq(placement_process_of(&p, &home, rows[i].address), rows[i].process);
    }
    cr_assert_eq(placement_save(file, &(placement_t){0}, &why), ERR_OK);
    cr_assert_eq(placement_load(&a, file, &p, &why), ERR_OK, "%s", why.text);
    cr_assert_eq(p.len, 0);
    unlink(file);
    rmdir(folder);
    arena_done(&a);
    ASSERT_NO_LEAKS();
}

Test(placement, who_may_come_from_another_machine)
{
    static const struct {
        const char *process, *address, *principal;
        err_t err;
    } rows[] = {
        {"main", "scheduler/m2", NULL, ERR_OK},
        {"main", "scheduler/m2", "part", ERR_OK},
        {"main", "scheduler/m1", "a-other", ERR_OK},         // its own one, back
        {"main", "scheduler/m2", "stranger", ERR_FORBIDDEN}, // who may not speak as it
        {"work", "scheduler/m2", NULL, ERR_FORBIDDEN},       // it has none of that kind
        {"main", "store/m2", NULL, ERR_FORBIDDEN},
        {"main", "apiserver/m3", NULL, ERR_FORBIDDEN}, // nobody would believe it
    };
    arena_t a = {0};
    why_t why;
    topology_t t;
    const char *whole = arena_printf(&a, "%s%s", text,
                                     "principals:\n"
                                     "- {name: k, roles: [scheduler, apiserver/m1]}\n"
                                     "- {name: a-other, roles: [scheduler]}\n");
    cr_assert_eq(topology_parse(&a, "t.yaml", whole, strlen(whole), &vars, &t, &why), ERR_OK, "%s",
                 why.text);
    for (size_t i = 0; i < LENGTH_OF(rows); i++)
        cr_expect_eq(placement_check_guest(&t, topology_process(&t, rows[i].process),
                                           rows[i].address, rows[i].principal, &why),
                     rows[i].err, "%s to %s", rows[i].address, rows[i].process);
    arena_done(&a);
    ASSERT_NO_LEAKS();
}
