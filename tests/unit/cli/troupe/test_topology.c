// Topology files: what is read, and what each mistake is called.
#include "cli/troupe/parent.h"
#include "cli/troupe/role.h"
#include "cli/troupe/topology.h"
#include "cli/troupe/vars.h"
#include "support/leaks.h"

static const topology_vars_t vars = {"/d", "/r", "/c", "n1", "10.0.0.1"};

static err_t parse(arena_t *a, const char *text, topology_t *t, why_t *why) {
    return topology_parse(a, "t.yaml", text, strlen(text), &vars, t, why);
}

Test(topology, reads_processes_links_and_principals)
{
    arena_t a = {0};
    why_t why;
    topology_t t;
    cr_assert_eq(
        parse(&a,
              "kind: Topology\n"
              "processes:\n"
              "- name: main\n"
              "  hangAfter: 3s\n"
              "  dispatchers:\n"
              "  - name: control\n"
              "    strategy: rest_for_one\n"
              "    actors:\n"
              "    - {role: apiserver, name: \"${node}\", config: api.yaml, set: {dataDir: "
              "\"${data}/x\"}}\n"
              "  listen:\n"
              "  - {endpoint: \"ipc://${run}/t.sock\", mode: \"0660\", group: troupe, principal: "
              "admin}\n"
              "  - {endpoint: \"tcp://0.0.0.0:6440\", key: \"${config}/k\", allowed: /keys}\n"
              "- name: n1/node\n"
              "  dispatchers: []\n"
              "  connect:\n"
              "  - {peer: main, endpoint: \"tcp://10.0.0.9:6440\", key: /k, serverKey: /s}\n"
              "principals:\n"
              "- {name: node-1, roles: [kubelet/n1, proxy]}\n",
              &t, &why),
        ERR_OK, "%s", why.text);
    cr_assert_eq(t.processes_len, 2);
    const topology_process_t *main_process = topology_process(&t, "main");
    const topology_actor_t *actor = &main_process->dispatchers[0].actors[0];
    cr_assert_str_eq(actor->name, "n1");
    cr_assert_eq(main_process->hang_ms, 3000);
    cr_assert_eq(topology_process(&t, "n1/node")->hang_ms, HANG_DEFAULT_MS);
    cr_assert_eq(main_process->dispatchers[0].strategy, SUPERVISE_REST_FOR_ONE);
    cr_assert_str_eq(actor->config, "/c/api.yaml");
    cr_assert_str_eq(config_node_get(actor->set, "dataDir")->text, "/d/x");
    cr_assert_str_eq(main_process->listens[0].endpoint, "ipc:///r/t.sock");
    cr_assert_eq(main_process->listens[0].socket_mode, 0660);
    cr_assert_str_eq(main_process->listens[1].key_file, "/c/k");
    cr_assert_str_eq(topology_process(&t, "n1/node")->connects[0].server_key_file, "/s");
    cr_assert(topology_may_speak_as(&t, "node-1", "kubelet/n1"));
    cr_assert_not(topology_may_speak_as(&t, "node-1", "kubelet/n2"));
    cr_assert(topology_may_speak_as(&t, "node-1", "proxy/any"));
    cr_assert_not(topology_may_speak_as(&t, "node-1", "proxyx/any"));
    cr_assert_not(topology_may_speak_as(&t, "node-2", "proxy/any"));
    cr_assert(topology_may_speak_as(&t, "part", "store/m1"));
    cr_assert(topology_may_speak_as(&t, "admin", "cli/1"));
    cr_assert_not(topology_may_speak_as(&t, "admin", "apiserver/m1"));
    arena_done(&a);
    ASSERT_NO_LEAKS();
}

Test(topology, names_file_line_and_mistake)
{
#define HEAD "kind: Topology\nprocesses:\n- name: p\n  dispatchers:\n"
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"kind: Topologie\n", "t.yaml:1: kind: must be Topology"},
        {"processes: []\n", "t.yaml:1: processes: must name at least one process"},
        {"kind: Topology\n", "t.yaml:1: Topology: processes is missing"},
        {"kind: Topology\nprocess: []\n",
         "t.yaml:2: process: unknown key of Topology; did you mean processes?"},
        {HEAD "  - {name: d, actor: []}\n",
         "t.yaml:5: actor: unknown key of dispatcher; did you mean actors?"},
        {HEAD "  - name: d\n    actors:\n    - {role: r}\n", "t.yaml:7: actor: name is missing"},
        {HEAD "  - name: d\n    actors:\n    - {role: r, name: \"a b\"}\n",
         "t.yaml:7: name: must be a name of letters, digits, '-', '.' (at most 253)"},
        {HEAD "  - name: d\n    actors:\n    - {role: r, name: a}\n    - {role: r, name: a}\n",
         "t.yaml:8: actor r/a is given twice"},
        {HEAD "  - {name: d, actors: []}\n  - {name: d, actors: []}\n",
         "t.yaml:3: dispatcher d is given twice"},
        {HEAD "  - {name: d, actors: [], strategy: all_for_one}\n",
         "t.yaml:5: strategy: must be one_for_one, one_for_all or rest_for_one"},
        {HEAD "    []\n  hangAfter: 10ms\n",
         "t.yaml:6: hangAfter: must be 0s (never), or 100ms to 1h"},
        {HEAD "    []\n- {name: p, dispatchers: []}\n", "t.yaml:6: process p is given twice"},
        {HEAD "    []\n  listen:\n  - {endpoint: \"udp://x\"}\n",
         "t.yaml:7: endpoint: must be ipc:///PATH or tcp://ADDRESS:PORT"},
        {HEAD "    []\n  listen:\n  - {endpoint: \"tcp://*:1\"}\n",
         "t.yaml:7: a tcp:// endpoint needs key and allowed"},
        {HEAD "    []\n  listen:\n  - {endpoint: \"ipc:///x\"}\n",
         "t.yaml:7: an ipc:// socket needs a principal (part or admin)"},
        {HEAD "    []\n  listen:\n  - {endpoint: \"ipc:///x\", principal: part, mode: \"0777\"}\n",
         "t.yaml:7: mode: must be \"0600\" or \"0660\""},
        {HEAD "    []\n  connect:\n  - {peer: a, endpoint: \"tcp://h:1\", key: k}\n",
         "t.yaml:7: a tcp:// endpoint needs key and serverKey"},
        {HEAD "    []\n  connect:\n  - {peer: a, endpoint: \"ipc://${runn}/x\"}\n",
         "t.yaml:7: ${runn}: no such variable"},
    };
    arena_t a = {0};
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        why_t why = {0};
        topology_t t;
        cr_expect_eq(parse(&a, rows[i].text, &t, &why), ERR_INVALID, "row %zu", i);
        cr_expect_str_eq(why.text, rows[i].why);
        arena_clear(&a);
    }
    arena_done(&a);
    ASSERT_NO_LEAKS();
}

Test(topology, the_files_in_configs_are_right)
{
    arena_t a = {0};
    static const char *const files[] = {"@all-in-one",
                                        "@all-in-one-processes",
                                        SOURCE_DIR "/configs/all-in-one.yaml",
                                        SOURCE_DIR "/configs/master.yaml",
                                        SOURCE_DIR "/configs/three-masters.yaml",
                                        SOURCE_DIR "/configs/three-masters-ipc.yaml",
                                        SOURCE_DIR "/configs/worker-of-three.yaml",
                                        SOURCE_DIR "/configs/two-masters-and-witness.yaml",
                                        SOURCE_DIR "/configs/witness.yaml",
                                        SOURCE_DIR "/configs/worker.yaml"};
    for (size_t i = 0; i < LENGTH_OF(files); i++) {
        why_t why = {0};
        topology_t t;
        cr_expect_eq(topology_load(&a, files[i], &vars, &t, &why), ERR_OK, "%s", why.text);
    }
    arena_done(&a);
    ASSERT_NO_LEAKS();
}

// "#key: value" → "key: value"; the other comments stay.
static char *uncommented(const char *text) {
    text_t out = TEXT_HEAP;
    for (const char *at = text; *at;) {
        size_t len = strcspn(at, "\n");
        if (at[0] == '#' && len > 1 && at[1] != ' ')
            text_addn(&out, at + 1, len - 1);
        else
            text_addn(&out, at, len);
        text_addc(&out, '\n');
        at += len + (at[len] == '\n');
    }
    return text_steal(&out);
}

Test(role, what_config_prints_is_read_back_as_the_defaults)
{
    size_t with_defaults = 0;
    for (const role_t *role = roles; role->role; role++) {
        if (!role->config) continue;
        arena_t a = {0};
        why_t why = {0};
        text_t printed = TEXT_HEAP;
        role_print_config(&printed, role);
        void *args = arena_alloc(&a, role->args_size);
        cr_expect_eq(config_read(&a, role->role, printed.at, printed.len, role->config_kind,
                                 role->config, args, &why),
                     ERR_OK, "%s", why.text);
        if (role->defaults) {
            CLEANUP(free_charp) char *open = uncommented(printed.at);
            text_t again = TEXT_HEAP;
            role_t filled = *role;
            cr_expect_eq(config_read(&a, role->role, open, strlen(open), role->config_kind,
                                     role->config, args, &why),
                         ERR_OK, "%s", why.text);
            filled.defaults = args;
            role_print_config(&again, &filled);
            cr_expect_str_eq(again.at, printed.at);
            text_done(&again);
            with_defaults++;
        }
        text_done(&printed);
        arena_done(&a);
    }
    cr_assert_gt(with_defaults, 0);
    ASSERT_NO_LEAKS();
}

Test(role, the_component_files_in_configs_are_right)
{
    static const struct {
        const char *file, *role;
    } rows[] = {{"apiserver.yaml", "apiserver"}, {"apiserver-fast-failover.yaml", "apiserver"}};
    arena_t a = {0};
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        const role_t *role = role_find(rows[i].role);
        topology_actor_t actor = {.role = rows[i].role, .name = "x"};
        actor.config = arena_printf(&a, "%s/configs/components/%s", SOURCE_DIR, rows[i].file);
        topology_t t = {.file = "t", .vars = vars};
        const void *args;
        why_t why = {0};
        cr_expect_eq(role_args(role, &t, &actor, &a, &args, &why), ERR_OK, "%s", why.text);
    }
    arena_done(&a);
    ASSERT_NO_LEAKS();
}

Test(parent, restarts_at_once_then_backs_off_to_a_limit)
{
    static const int64_t delays[] = {0, 0, 50, 100, 200, 400, 800, 1600, 2000, 2000};
    for (unsigned i = 0; i < LENGTH_OF(delays); i++)
        cr_expect_eq(parent_restart_delay_ms(i), delays[i]);
    cr_expect_eq(parent_restart_delay_ms(4000000000u), 2000);
}

Test(parent, a_process_that_had_work_is_not_made_to_wait)
{
    cr_expect_eq(parent_deaths_in_row(0, false, 10), 1);
    cr_expect_eq(parent_deaths_in_row(3, false, 60 * 1000), 4); // never ready
    cr_expect_eq(parent_deaths_in_row(3, true, 900), 4);        // soon after
    cr_expect_eq(parent_deaths_in_row(3, true, 1000), 1);
}

Test(vars, refuses_a_name_that_is_no_dns_subdomain)
{
    arena_t a = {0};
    static const char *const bad[] = {"", "A", "-a", "a-", "a..b", "a_b", ".a"};
    for (size_t i = 0; i < LENGTH_OF(bad); i++) {
        why_t why;
        topology_vars_t v = {.node = bad[i]};
        cr_expect_eq(vars_complete(&a, &v, &why), ERR_INVALID, "%s", bad[i]);
    }
    topology_vars_t good = {.node = "n-1.example", .data = "rel"};
    why_t why;
    cr_assert_eq(vars_complete(&a, &good, &why), ERR_OK, "%s", why.text);
    cr_assert_eq(good.data[0], '/');
    cr_assert_str_eq(good.run, "/run/troupe");
    arena_done(&a);
    ASSERT_NO_LEAKS();
}

Test(topology, of_two_in_a_mesh_the_one_whose_name_sorts_later_connects)
{
    static const char text[] = "kind: Topology\n"
                               "processes:\n"
                               "- name: ${node}\n"
                               "  dispatchers: []\n"
                               "  connect:\n"
                               "  - {peer: z, endpoint: \"ipc:///z\"}\n"
                               "  mesh:\n"
                               "  - {peer: n1, endpoint: \"ipc:///1\"}\n"
                               "  - {peer: n2, endpoint: \"ipc:///2\"}\n"
                               "  - {peer: n3, endpoint: \"ipc:///3\"}\n";
    static const struct {
        const char *node;
        size_t connects;
    } rows[] = {{"n1", 1}, {"n2", 2}, {"n3", 3}};
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        arena_t a = {0};
        why_t why;
        topology_t t;
        topology_vars_t mine = vars;
        mine.node = rows[i].node;
        cr_assert_eq(topology_parse(&a, "t.yaml", text, strlen(text), &mine, &t, &why), ERR_OK,
                     "%s", why.text);
        cr_assert_eq(t.processes[0].connects_len, rows[i].connects);
        cr_assert_str_eq(t.processes[0].connects[0].peer, "z");
        for (size_t c = 1; c < t.processes[0].connects_len; c++)
            cr_assert_lt(strcmp(t.processes[0].connects[c].peer, mine.node), 0);
        arena_done(&a);
    }
    ASSERT_NO_LEAKS();
}
