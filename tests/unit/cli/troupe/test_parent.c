// The parent and its children, as real processes: this very binary is `troupe`, with roles of its
// own.
#include "cli/troupe/cmd.h"
#include "cli/troupe/role.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "runtime/base/text.h"
#include "support/leaks.h"
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

// ---- a role that does what its component file says ---------------------------------------------
typedef struct {
    bool fail_start, abort_soon, hang_soon;
} sitter_args_t;
static const config_field_t sitter_config[] = {
    {"failStart", CONFIG_BOOL, offsetof(sitter_args_t, fail_start), 0, 0, "its start fails"},
    {"abortSoon", CONFIG_BOOL, offsetof(sitter_args_t, abort_soon), 0, 0, "an assert fails in it"},
    {"hangSoon", CONFIG_BOOL, offsetof(sitter_args_t, hang_soon), 0, 0, "a call never returns"},
    {NULL},
};
static err_t sitter_start(actor_t *me, const void *args, why_t *why) {
    const sitter_args_t *a = args;
    if (a->fail_start) return why_set(why, ERR_DISK_FULL, "the sitter finds no seat");
    if (a->abort_soon) actor_timer(me, 1, 50);
    if (a->hang_soon) actor_timer(me, 2, 50);
    log_info(actor_address(me), "sits in %d", (int)getpid());
    return ERR_OK;
}
static void sitter_on_timer(actor_t *me, uint64_t tag) {
    if (tag == 1) abort();
    for (;;) pause();
}
static const actor_def_t sitter_actor = {
    .role = "sitter", .state_size = 1, .start = sitter_start, .on_timer = sitter_on_timer};

// ---- a role that moves others: as the file says, once for each ---------------------------------
typedef struct {
    const char *orders; // "ADDRESS PROCESS": taken away when it is read
} mover_args_t;
static const config_field_t mover_config[] = {
    {"orders", CONFIG_STRING, offsetof(mover_args_t, orders), 0, 0, "the file"},
    {NULL},
};
static char *read_file(const char *path);
enum { MOVER_LOOK_MS = 20 };
static err_t mover_start(actor_t *me, const void *args, why_t *why) {
    *(const mover_args_t **)actor_state(me) = args;
    actor_timer(me, 0, MOVER_LOOK_MS);
    return ERR_OK;
}
static void mover_on_timer(actor_t *me, uint64_t tag) {
    const mover_args_t *args = *(const mover_args_t **)actor_state(me);
    actor_timer(me, 0, MOVER_LOOK_MS);
    CLEANUP(free_charp) char *order = read_file(args->orders);
    char *space = strchr(order, ' ');
    if (!space) return;
    unlink(args->orders);
    *space = 0;
    Actor__MoveActor move = {PROTOBUF_C_MESSAGE_INIT(&actor__move_actor__descriptor)};
    move.address = order;
    move.from = "one";
    move.to = space + 1;
    actor_ask(me, "system/one", &move.base, 5000, 0);
}
static void mover_done(actor_t *me, const message_t *msg, const void *body) {}
static const handler_t mover_rows[] = {{&actor__done__descriptor, mover_done},
                                       {&actor__failure__descriptor, mover_done},
                                       {NULL}};
static const actor_def_t mover_actor = {.role = "chaos",
                                        .state_size = sizeof(void *),
                                        .start = mover_start,
                                        .handlers = mover_rows,
                                        .on_timer = mover_on_timer};

const role_t roles[] = {
    {"sitter", &sitter_actor, sizeof(sitter_args_t), NULL, "Sitter", sitter_config, false, ""},
    {"chaos", &mover_actor, sizeof(mover_args_t), NULL, "Mover", mover_config, false, ""},
    {NULL},
};

__attribute__((constructor)) static void be_troupe(int argc, char **argv) {
    if (argc > 1 && argv[1][0] != '-') exit(troupe_main(argc, argv));
}

// ---- a cluster in a folder ---------------------------------------------------------------------
typedef struct {
    char *folder, *data, *run, *etc, *file;
} stand_t;

static void write_file(const char *path, const char *text) {
    CLEANUP(close_fdp) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}
static char *read_file(const char *path) {
    CLEANUP(free_charp) char *text = NULL;
    size_t len;
    return config_load_file(path, &text, &len, NULL) == ERR_OK ? x_steal(&text) : str_dup("");
}

static stand_t stand_new(const char *topology) {
    stand_t s = {.folder = str_dup("/tmp/process-parent-XXXXXX")};
    cr_assert_not_null(mkdtemp(s.folder));
    s.data = str_printf("%s/data", s.folder);
    s.run = str_printf("%s/run", s.folder);
    s.etc = str_printf("%s", s.folder);
    s.file = str_printf("%s/topology.yaml", s.folder);
    write_file(s.file, topology);
    return s;
}
static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
    return remove(path);
}
static void stand_done(stand_t *s) {
    nftw(s->folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(s->folder), free(s->data), free(s->run), free(s->etc), free(s->file);
}

#define ONE                                                                                     \
    "kind: Topology\nprocesses:\n- name: one\n  dispatchers:\n  - name: d\n    actors:\n    - " \
    "{role: sitter, name: s}\n"
#define TWO \
    ONE "- name: two\n  dispatchers:\n  - name: d\n    actors:\n    - {role: sitter, name: t}\n"

// Runs `troupe VERB …`; its stderr into *ret_said (*returned*).
static int troupe(const stand_t *s, const char *verb, bool background, char **ret_said) {
    CLEANUP(free_charp) char *log = str_printf("%s/said", s->folder);
    const char *argv[] = {"troupe", verb, "--run-dir", s->run, NULL, NULL, NULL, NULL, NULL,
                          NULL,     NULL, NULL,        NULL,   NULL, NULL, NULL, NULL};
    size_t at = 4;
    if (streq(verb, "run")) {
        const char *more[] = {"--data", s->data,  "-f", s->file,     "--config-dir",
                              s->etc,   "--node", "n1", "--node-ip", "127.0.0.1"};
        for (size_t i = 0; i < LENGTH_OF(more); i++) argv[at++] = more[i];
        if (background) argv[at++] = "-d";
    }
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&files, 2, log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    pid_t pid;
    int status;
    cr_assert_eq(posix_spawn(&pid, "/proc/self/exe", &files, NULL, (char *const *)argv, environ),
                 0);
    posix_spawn_file_actions_destroy(&files);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    if (ret_said) *ret_said = read_file(log);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static pid_t parent_of(const stand_t *s) {
    CLEANUP(free_charp) char *path = str_printf("%s/troupe.pid", s->run);
    CLEANUP(free_charp) char *text = read_file(path);
    return (pid_t)strtol(text, NULL, 10);
}
static char *log_of(const stand_t *s) {
    CLEANUP(free_charp) char *path = str_printf("%s/troupe.log", s->data);
    return read_file(path);
}
static size_t children_of(pid_t parent, pid_t out[static 8]) {
    CLEANUP(free_charp)
    char *path = str_printf("/proc/%d/task/%d/children", (int)parent, (int)parent);
    char text[256] = "", *at = text;
    CLEANUP(close_fdp) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, text, sizeof text - 1) <= 0) return 0;
    size_t len = 0;
    for (char *end; len < 8; at = end) {
        out[len] = (pid_t)strtol(at, &end, 10);
        if (end == at) break;
        len++;
    }
    return len;
}
// For what comes about elsewhere: looks every 10 ms, a minute at most (the machine may be busy).
#define WAIT_UNTIL(condition)                                                          \
    do {                                                                               \
        int64_t deadline_ms_ = clock_monotonic_ms() + 60000;                           \
        while (!(condition) && clock_monotonic_ms() < deadline_ms_) poll(NULL, 0, 10); \
        cr_assert(condition);                                                          \
    } while (0)
static bool log_says(const stand_t *s, const char *text) {
    CLEANUP(free_charp) char *log = log_of(s);
    return strstr(log, text);
}
static bool is_gone(pid_t pid) {
    CLEANUP(close_fdp) int fd = pidfd_open(pid, 0);
    struct pollfd p = {fd, POLLIN, 0};
    return fd < 0 || poll(&p, 1, 0) > 0;
}

// ---- the tests ---------------------------------------------------------------------------------
Test(parent, a_killed_child_is_started_again_and_down_ends_all)
{
    stand_t s = stand_new(TWO);
    pid_t before[8], after[8];
    cr_assert_eq(troupe(&s, "run", true, NULL), 0);
    pid_t parent = parent_of(&s);
    cr_assert_eq(children_of(parent, before), 2);
    kill(before[0], SIGKILL);
    WAIT_UNTIL(log_says(&s, "process one: killed by signal 9 (Killed); starts again in 0 ms"));
    WAIT_UNTIL(children_of(parent, after) == 2 && after[0] != before[0] && after[1] != before[0]);
    cr_assert_eq(troupe(&s, "down", false, NULL), 0);
    cr_assert(is_gone(parent) && is_gone(before[1]) && is_gone(after[0]) && is_gone(after[1]));
    cr_assert(log_says(&s, "stopped"));
    cr_assert_eq(parent_of(&s), 0);
    cr_assert_eq(troupe(&s, "down", false, NULL), 0); // nothing to do is no error
    stand_done(&s);
    ASSERT_NO_LEAKS();
}

Test(parent, two_clusters_do_not_share_a_data_folder)
{
    stand_t s = stand_new(ONE);
    cr_assert_eq(troupe(&s, "run", true, NULL), 0);
    CLEANUP(free_charp) char *said = NULL;
    cr_assert_eq(troupe(&s, "run", false, &said), 1);
    CLEANUP(free_charp)
    char *want = str_printf("data folder %s is in use by another cluster", s.data);
    cr_assert_not_null(strstr(said, want), "%s", said);
    cr_assert_eq(troupe(&s, "down", false, NULL), 0);
    stand_done(&s);
    free_charp(&said), free_charp(&want);
    ASSERT_NO_LEAKS();
}

Test(parent, children_die_with_a_killed_parent_and_the_next_start_copes)
{
    stand_t s = stand_new(TWO);
    pid_t children[8];
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(troupe(&s, "run", true, NULL), 0);
        pid_t parent = parent_of(&s);
        cr_assert_eq(children_of(parent, children), 2);
        kill(parent, SIGKILL);
    }
    WAIT_UNTIL(is_gone(children[0]) && is_gone(children[1]));
    cr_assert_eq(troupe(&s, "run", true, NULL), 0);
    cr_assert_eq(troupe(&s, "down", false, NULL), 0);
    stand_done(&s);
    ASSERT_NO_LEAKS();
}

Test(parent, a_start_that_fails_is_told_in_words)
{
    stand_t s = stand_new(ONE);
    CLEANUP(free_charp) char *component = str_printf("%s/sitter.yaml", s.etc);
    write_file(component, "kind: Sitter\nfailStart: true\n");
    CLEANUP(free_charp) char *said = NULL;
    cr_assert_eq(troupe(&s, "run", false, &said), 1);
    cr_assert_not_null(strstr(said, "process one: sitter/s: "), "%s", said);
    cr_assert_not_null(strstr(said, "the sitter finds no seat"), "%s", said);
    free_charp(&said);
    cr_assert_eq(troupe(&s, "run", true, &said), 1); // from the background as well
    cr_assert_not_null(strstr(said, "the sitter finds no seat"), "%s", said);
    stand_done(&s);
    free_charp(&said), free_charp(&component);
    ASSERT_NO_LEAKS();
}

Test(parent, wrong_files_are_refused_before_anything_starts)
{
    static const struct {
        const char *topology, *component, *said;
    } rows[] = {
        {"kind: Topology\nprocesses:\n- name: one\n  dispatchers:\n  - name: d\n    actors:\n"
         "    - {role: siter, name: s}\n",
         NULL, "topology.yaml:7: role: no role is called siter; did you mean sitter?"},
        {ONE, "kind: Sitter\nabortsoon: true\n",
         "sitter.yaml:2: abortsoon: unknown key of Sitter; did you mean abortSoon?"},
        {ONE, "kind: Stander\n", "sitter.yaml:1: kind: must be Sitter, but is Stander"},
        {"kind: Topology\nprocesses: [\n", NULL, "topology.yaml:3: "},
    };
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        stand_t s = stand_new(rows[i].topology);
        CLEANUP(free_charp) char *component = str_printf("%s/sitter.yaml", s.etc);
        if (rows[i].component) write_file(component, rows[i].component);
        CLEANUP(free_charp) char *said = NULL;
        cr_assert_eq(troupe(&s, "run", false, &said), 1);
        cr_assert_not_null(strstr(said, rows[i].said), "%s", said);
        cr_assert_neq(access(s.data, F_OK), 0);
        stand_done(&s);
    }
    ASSERT_NO_LEAKS();
}

// A cluster of a sitter that is told to behave so.
static stand_t stand_with(const char *topology, const char *sitter) {
    stand_t s = stand_new(topology);
    CLEANUP(free_charp) char *component = str_printf("%s/sitter.yaml", s.etc);
    write_file(component, sitter);
    cr_assert_eq(troupe(&s, "run", true, NULL), 0);
    return s;
}

Test(parent, a_failed_assert_is_survived_with_growing_delays)
{
    stand_t s = stand_with(ONE, "kind: Sitter\nabortSoon: true\n");
    WAIT_UNTIL(log_says(&s, "process one: killed by signal 6 (Aborted)"));
    WAIT_UNTIL(log_says(&s, "starts again in 50 ms"));
    WAIT_UNTIL(log_says(&s, "starts again in 100 ms"));
    cr_assert_eq(troupe(&s, "down", false, NULL), 0);
    stand_done(&s);
    ASSERT_NO_LEAKS();
}

Test(parent, a_call_that_never_returns_costs_its_process_a_restart)
{
    stand_t s = stand_with(ONE "  hangAfter: 200ms\n", "kind: Sitter\nhangSoon: true\n");
    WAIT_UNTIL(log_says(&s, "killed by signal 9 (Killed): hung: a call of sitter has not returned "
                            "for 200 ms; starts again"));
    cr_assert_eq(troupe(&s, "down", false, NULL), 0);
    stand_done(&s);
    ASSERT_NO_LEAKS();
}

Test(parent, a_silent_process_is_killed_and_a_quiet_one_is_not)
{
    stand_t s = stand_new(TWO "  hangAfter: 400ms\n");
    cr_assert_eq(troupe(&s, "run", true, NULL), 0);
    pid_t before[8], after[8];
    cr_assert_eq(children_of(parent_of(&s), before), 2);
    kill(before[1], SIGSTOP);
    WAIT_UNTIL(log_says(&s, "process two: killed by signal 9 (Killed): hung: no sign of life"));
    WAIT_UNTIL(children_of(parent_of(&s), after) == 2);
    cr_assert_eq(after[0], before[0]);
    cr_assert_eq(troupe(&s, "down", false, NULL), 0);
    stand_done(&s);
    ASSERT_NO_LEAKS();
}

Test(parent, the_service_managers_watchdog_is_fed)
{
    stand_t s = stand_new(ONE);
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof at.sun_path, "%s/notify", s.folder);
    CLEANUP(close_fdp) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    setenv("NOTIFY_SOCKET", at.sun_path, 1);
    setenv("WATCHDOG_USEC", "100000", 1);
    cr_assert_eq(troupe(&s, "run", true, NULL), 0);
    struct pollfd mail = {fd, POLLIN, 0};
    for (int fed = 0; fed < 3;) {
        char text[128] = "";
        cr_assert_eq(poll(&mail, 1, 15000), 1);
        cr_assert_gt(recv(fd, text, sizeof text - 1, 0), 0);
        fed += streq(text, "WATCHDOG=1");
    }
    cr_assert_eq(troupe(&s, "down", false, NULL), 0);
    stand_done(&s);
    ASSERT_NO_LEAKS();
}

Test(parent, the_service_manager_is_told)
{
    stand_t s = stand_new(ONE);
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof at.sun_path, "%s/notify", s.folder);
    CLEANUP(close_fdp) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    setenv("NOTIFY_SOCKET", at.sun_path, 1);
    cr_assert_eq(troupe(&s, "run", true, NULL), 0);
    cr_assert_eq(troupe(&s, "down", false, NULL), 0);
    static const char *const wanted[] = {"STATUS=starting", "READY=1\nSTATUS=running",
                                         "STOPPING=1"};
    for (size_t i = 0; i < LENGTH_OF(wanted); i++) {
        char text[128] = "";
        cr_assert_gt(recv(fd, text, sizeof text - 1, MSG_DONTWAIT), 0);
        cr_expect_str_eq(text, wanted[i]);
    }
    stand_done(&s);
    ASSERT_NO_LEAKS();
}

// ---- actors that move --------------------------------------------------------------------------
#define MOVES                                                                             \
    "kind: Topology\nprocesses:\n- name: one\n  dispatchers:\n  - name: d\n    actors:\n" \
    "    - {role: sitter, name: s}\n"                                                     \
    "    - {role: chaos, name: c, set: {orders: \"${config}/orders\"}}\n"

static void order(const stand_t *s, const char *text) {
    CLEANUP(free_charp) char *path = str_printf("%s/orders", s->folder);
    CLEANUP(free_charp) char *part = str_printf("%s/part", s->folder);
    write_file(part, text);
    cr_assert_eq(rename(part, path), 0);
}

static bool sits_in(const stand_t *s, pid_t process) {
    CLEANUP(free_charp) char *text = str_printf("sitter/s: sits in %d\n", (int)process);
    return log_says(s, text);
}

Test(parent, a_moved_actor_has_a_process_of_its_own_after_a_restart_of_the_parent_too)
{
    stand_t s = stand_new(MOVES "- name: two\n  dispatchers: []\n");
    pid_t before[8], after[8];
    cr_assert_eq(troupe(&s, "run", true, NULL), 0);
    cr_assert_eq(children_of(parent_of(&s), before), 2);
    order(&s, "sitter/s own");
    WAIT_UNTIL(log_says(&s, "sitter/s: runs in process sitter/s from now on"));
    WAIT_UNTIL(log_says(&s, "process sitter/s: ready"));
    cr_assert_eq(children_of(parent_of(&s), after), 3);
    cr_assert_eq(after[0], before[0]); // nobody else was touched
    cr_assert_eq(after[1], before[1]);
    WAIT_UNTIL(sits_in(&s, after[2]));
    kill(after[2], SIGKILL); // it is supervised as any other
    WAIT_UNTIL(log_says(&s, "process sitter/s: killed by signal 9 (Killed); starts again in 0 ms"));
    kill(parent_of(&s), SIGKILL);
    WAIT_UNTIL(is_gone(before[0]));
    cr_assert_eq(troupe(&s, "run", true, NULL), 0);
    WAIT_UNTIL(log_says(&s, "ready: 3 processes"));
    cr_assert_eq(children_of(parent_of(&s), before), 3);
    cr_assert(sits_in(&s, before[2]));
    cr_assert_eq(troupe(&s, "down", false, NULL), 0);
    stand_done(&s);
    ASSERT_NO_LEAKS();
}

Test(parent, an_actor_that_cannot_start_where_it_was_moved_to_goes_home)
{
    stand_t s = stand_new(MOVES);
    CLEANUP(free_charp) char *component = str_printf("%s/sitter.yaml", s.etc);
    cr_assert_eq(troupe(&s, "run", true, NULL), 0);
    write_file(component, "kind: Sitter\nfailStart: true\n");
    order(&s, "sitter/s own");
    WAIT_UNTIL(log_says(&s, "sitter/s: could not start where it was moved to, and goes home: "));
    WAIT_UNTIL(log_says(&s, "process one: ended with status 1: sitter/s: ")); // at home, too
    write_file(component, "kind: Sitter\n");
    WAIT_UNTIL(children_of(parent_of(&s), (pid_t[8]){0}) == 1);
    CLEANUP(free_charp) char *path = str_printf("%s/placement.yaml", s.data);
    CLEANUP(free_charp) char *placement = read_file(path);
    cr_assert_not_null(strstr(placement, "actors: {}"), "%s", placement);
    cr_assert_eq(troupe(&s, "down", false, NULL), 0);
    stand_done(&s);
    free_charp(&component), free_charp(&path), free_charp(&placement);
    ASSERT_NO_LEAKS();
}

Test(parent, an_actor_moves_to_another_process_of_the_topology)
{
    stand_t s = stand_new(MOVES "- name: two\n  dispatchers: []\n");
    pid_t before[8], after[8];
    cr_assert_eq(troupe(&s, "run", true, NULL), 0);
    order(&s, "sitter/s two");
    WAIT_UNTIL(children_of(parent_of(&s), before) == 2 && sits_in(&s, before[1]));
    kill(before[1], SIGKILL); // remembered by whoever starts it again
    WAIT_UNTIL(children_of(parent_of(&s), after) == 2 && after[1] != before[1] &&
               sits_in(&s, after[1]));
    cr_assert_eq(troupe(&s, "down", false, NULL), 0);
    stand_done(&s);
    ASSERT_NO_LEAKS();
}
