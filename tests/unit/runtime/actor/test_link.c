// Links between processes: two in one test over ipc and tcp, and real ones that are killed.
#include "runtime/actor/lane.h"
#include "runtime/actor/link.h"
#include "runtime/actor/wire.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "support/hand.h"
#include "support/leaks.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

// ---- a folder of its own -----------------------------------------------------------------------
static char *make_folder(void) {
    char *folder = str_dup("/tmp/process-link-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    return folder;
}
static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
    return remove(path);
}
static void remove_folder(char **folder) {
    if (!*folder) return;
    nftw(*folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free_charp(folder);
}

static process_t *make_process(const char *name, const process_options_t *more) {
    process_options_t o = more ? *more : (process_options_t){0};
    process_t *p;
    why_t why;
    o.name = name, o.host = "test";
    cr_assert_eq(process_new(&o, &p, &why), ERR_OK, "%s", why.text);
    cr_assert_eq(process_add_dispatcher(p, "d", &why), ERR_OK, "%s", why.text);
    return p;
}
static void spawn_echo(process_t *p, const char *name) {
    why_t why;
    cr_assert_eq(process_spawn(p, "d", &echo_actor, name, NULL, NULL, &why), ERR_OK, "%s",
                 why.text);
}
static void listen_ipc(process_t *p, const char *endpoint, const char *principal) {
    why_t why;
    listen_options_t o = {.endpoint = endpoint, .socket_mode = 0600, .principal = principal};
    cr_assert_eq(process_listen(p, &o, &why), ERR_OK, "%s", why.text);
}
static void connect_ipc(process_t *p, const char *peer, const char *endpoint) {
    why_t why;
    connect_options_t o = {.peer = peer, .endpoint = endpoint};
    cr_assert_eq(process_connect(p, &o, &why), ERR_OK, "%s", why.text);
}
static void end(process_t **p) {
    process_stop(*p);
    process_destroy(p);
}
#define ASSERT_HEARD(hand, n, want_type, want_text)                      \
    do {                                                                 \
        const heard_t *heard_ = hand_heard((hand), (n));                 \
        cr_assert_not_null(heard_, "nothing was heard");                 \
        cr_assert_str_eq(heard_->type, (want_type), "%s", heard_->text); \
        cr_assert_str_eq(heard_->text, (want_text));                     \
    } while (0)

// ---- two processes in one test -----------------------------------------------------------------
Test(link, over_ipc_each_side_asks_the_other)
{
    CLEANUP(remove_folder) char *folder = make_folder();
    CLEANUP(free_charp) char *endpoint = str_printf("ipc://%s/parts/a.sock", folder);
    hand_t ha, hb;
    hand_init(&ha), hand_init(&hb);
    process_t *a = make_process("a", NULL), *b = make_process("b", NULL);
    spawn_echo(a, "of-a");
    hand_spawn(&ha, a, "d", NULL, "a");
    listen_ipc(a, endpoint, "part");
    hand_spawn(&hb, b, "d", NULL, "b");
    connect_ipc(b, "a", endpoint);
    cr_assert(hand_reaches(&hb, "echo"));
    hand_ask(&hb, "echo", "hello", 7, 1);
    ASSERT_HEARD(&hb, 0, "LogChunk", "hello by of-a for part");
    cr_assert_eq(hb.heard[0].number, 7);
    cr_assert_eq(hb.heard[0].tag, 1);
    cr_assert_str_eq(hb.heard[0].principal, "part");
    // What is spawned later is told, and the listening side may ask as well.
    spawn_echo(b, "of-b");
    cr_assert(hand_reaches(&ha, "echo/of-b"));
    hand_ask(&ha, "echo/of-b", "there", 0, 2);
    ASSERT_HEARD(&ha, 0, "LogChunk", "there by of-b for part");
    struct stat st;
    CLEANUP(free_charp) char *parts = str_printf("%s/parts", folder);
    cr_assert_eq(stat(parts, &st), 0);
    cr_assert_eq(st.st_mode & 0777, 0700);
    cr_assert_eq(stat(endpoint + strlen("ipc://"), &st), 0);
    cr_assert_eq(st.st_mode & 0777, 0600);
    end(&b), end(&a);
    hand_done(&ha), hand_done(&hb);
    remove_folder(&folder);
    free_charp(&parts), free_charp(&endpoint);
    ASSERT_NO_LEAKS();
}

Test(link, an_actor_may_ask_before_the_news_of_it_has_come)
{
    enum { NEWCOMERS = 8 };
    CLEANUP(remove_folder) char *folder = make_folder();
    CLEANUP(free_charp) char *endpoint = str_printf("ipc://%s/a.sock", folder);
    hand_t first, hands[NEWCOMERS];
    hand_init(&first);
    process_t *a = make_process("a", NULL), *b = make_process("b", NULL);
    spawn_echo(a, "of-a");
    listen_ipc(a, endpoint, "part");
    hand_spawn(&first, b, "d", NULL, "first");
    connect_ipc(b, "a", endpoint);
    cr_assert(hand_reaches(&first, "echo"));
    for (int i = 0; i < NEWCOMERS; i++) {
        char name[16];
        snprintf(name, sizeof name, "new-%d", i);
        hand_init(&hands[i]);
        hand_spawn(&hands[i], b, "d", NULL, name);
        hand_ask(&hands[i], "echo", "x", 0, 1);
    }
    for (int i = 0; i < NEWCOMERS; i++)
        ASSERT_HEARD(&hands[i], 0, "LogChunk", "x by of-a for part");
    end(&b), end(&a);
    for (int i = 0; i < NEWCOMERS; i++) hand_done(&hands[i]);
    hand_done(&first);
    remove_folder(&folder);
    free_charp(&endpoint);
    ASSERT_NO_LEAKS();
}

Test(link, messages_of_a_pair_stay_in_order_and_all_arrive)
{
    enum { MESSAGES = 20000 };
    CLEANUP(remove_folder) char *folder = make_folder();
    CLEANUP(free_charp) char *endpoint = str_printf("ipc://%s/a.sock", folder);
    hand_t ha, hb;
    hand_init(&ha), hand_init(&hb);
    process_t *a = make_process("a", NULL), *b = make_process("b", NULL);
    hand_spawn(&ha, a, "d", NULL, "a");
    listen_ipc(a, endpoint, "part");
    hand_spawn(&hb, b, "d", NULL, "b");
    connect_ipc(b, "a", endpoint);
    cr_assert(hand_reaches(&hb, "hand/a"));
    for (int i = 0; i < MESSAGES; i++) hand_tell(&hb, "hand/a", "x", i);
    cr_assert_not_null(hand_heard(&ha, MESSAGES - 1));
    for (int i = 0; i < MESSAGES; i++) cr_assert_eq(ha.heard[i].number, i);
    end(&b), end(&a);
    hand_done(&ha), hand_done(&hb);
    remove_folder(&folder);
    free_charp(&endpoint);
    ASSERT_NO_LEAKS();
}

Test(link, a_stream_flows_longer_than_its_window)
{
    CLEANUP(remove_folder) char *folder = make_folder();
    CLEANUP(free_charp) char *endpoint = str_printf("ipc://%s/a.sock", folder);
    hand_t hb;
    hand_init(&hb);
    process_t *a = make_process("a", NULL), *b = make_process("b", NULL);
    spawn_echo(a, "of-a");
    listen_ipc(a, endpoint, "part");
    hand_spawn(&hb, b, "d", NULL, "b");
    connect_ipc(b, "a", endpoint);
    cr_assert(hand_reaches(&hb, "echo"));
    hand_open(&hb, "echo", 1000, 5);
    const heard_t *last = hand_heard(&hb, 1000);
    cr_assert_not_null(last);
    cr_assert_str_eq(last->type, "StreamEnd");
    cr_assert_eq(last->err, ERR_OK);
    for (int i = 0; i < 1000; i++) cr_assert_eq(hb.heard[i].number, i + 1);
    // Its server's process ends: the stream does, too, at once.
    hand_forget(&hb);
    hand_open(&hb, "echo", -1, 6);
    hand_ask(&hb, "echo", "still there", 0, 7);
    ASSERT_HEARD(&hb, 0, "LogChunk", "still there by of-a for part");
    end(&a);
    last = hand_heard(&hb, 1);
    cr_assert_not_null(last);
    cr_assert_str_eq(last->type, "StreamEnd");
    cr_assert_eq(last->err, ERR_UNAVAILABLE);
    end(&b);
    hand_done(&hb);
    remove_folder(&folder);
    free_charp(&endpoint);
    ASSERT_NO_LEAKS();
}

Test(link, the_command_lines_socket_lets_in_the_command_line_only)
{
    CLEANUP(remove_folder) char *folder = make_folder();
    CLEANUP(free_charp) char *endpoint = str_printf("ipc://%s/troupe.sock", folder);
    hand_t cli, evil;
    hand_init(&cli), hand_init(&evil);
    process_t *a = make_process("a", NULL), *b = make_process("cli-1", NULL),
              *c = make_process("cli-2", NULL);
    why_t why;
    spawn_echo(a, "of-a");
    cr_assert_eq(process_listen(a,
                                &(listen_options_t){.endpoint = endpoint,
                                                    .socket_mode = 0660,
                                                    .socket_group = "no-such-group",
                                                    .principal = "admin"},
                                &why),
                 ERR_OK, "%s", why.text);
    hand_spawn(&cli, b, "d", "cli", "cli-1");
    connect_ipc(b, "", endpoint);
    hand_spawn(&evil, c, "d", "store", "m1");
    connect_ipc(c, "", endpoint);
    cr_assert(hand_reaches(&cli, "echo"));
    hand_ask(&cli, "echo", "x", 0, 1);
    ASSERT_HEARD(&cli, 0, "LogChunk", "x by of-a for admin");
    // One that speaks as a store is cut off, its ask fails at once.
    cr_assert(hand_reaches(&evil, "echo"));
    int64_t begun_ms = clock_monotonic_ms();
    hand_ask(&evil, "echo", "x", 0, 1);
    const heard_t *heard = hand_heard(&evil, 0);
    cr_assert_not_null(heard);
    cr_assert_eq(heard->err, ERR_UNAVAILABLE, "%s", heard->text);
    cr_assert_lt(clock_monotonic_ms() - begun_ms, 4000);
    hand_ask(&cli, "echo", "y", 0, 2);
    ASSERT_HEARD(&cli, 1, "LogChunk", "y by of-a for admin");
    struct stat st;
    cr_assert_eq(stat(endpoint + strlen("ipc://"), &st), 0);
    cr_assert_eq(st.st_mode & 0777, 0660);
    end(&c), end(&b), end(&a);
    hand_done(&cli), hand_done(&evil);
    remove_folder(&folder);
    free_charp(&endpoint);
    ASSERT_NO_LEAKS();
}

// ---- tcp with keys -----------------------------------------------------------------------------
static char *free_tcp_endpoint(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof at;
    cr_assert_eq(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    close(fd);
    return str_printf("tcp://127.0.0.1:%d", ntohs(at.sin_port));
}

static void write_file(const char *path, const char *text) {
    CLEANUP(close_fdp) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

// FOLDER/NAME.cert_secret and FOLDER/NAME.cert; allowed: also FOLDER/allowed/NAME.cert
static void make_keys(const char *folder, const char *name, bool allowed) {
    char public_key[41], secret_key[41];
    cr_assert_eq(zmq_curve_keypair(public_key, secret_key), 0);
    CLEANUP(free_charp)
    char *secret = str_printf("curve\n    public-key = \"%s\"\n    secret-key = \"%s\"\n",
                              public_key, secret_key);
    CLEANUP(free_charp) char *public = str_printf("curve\n    public-key = \"%s\"\n", public_key);
    CLEANUP(free_charp) char *secret_path = str_printf("%s/%s.cert_secret", folder, name);
    CLEANUP(free_charp) char *public_path = str_printf("%s/%s.cert", folder, name);
    CLEANUP(free_charp) char *allowed_dir = str_printf("%s/allowed", folder);
    CLEANUP(free_charp) char *allowed_path = str_printf("%s/%s.cert", allowed_dir, name);
    write_file(secret_path, secret);
    write_file(public_path, public);
    mkdir(allowed_dir, 0700);
    if (allowed) write_file(allowed_path, public);
}

static bool nodes_are_themselves(void *arg, const char *principal, const char *address) {
    if (streq(principal, "master")) return true;
    return streq(principal, "node-1") && streq(address, "hand/node-1");
}

static err_t connect_tcp(process_t *p, const char *folder, const char *endpoint, const char *key,
                         const char *server) {
    why_t why;
    CLEANUP(free_charp) char *key_file = str_printf("%s/%s.cert_secret", folder, key);
    CLEANUP(free_charp) char *server_file = str_printf("%s/%s.cert", folder, server);
    return process_connect(p,
                           &(connect_options_t){.endpoint = endpoint,
                                                .key_file = key_file,
                                                .server_key_file = server_file},
                           &why);
}

Test(link, over_tcp_a_key_that_is_not_listed_is_refused)
{
    CLEANUP(remove_folder) char *folder = make_folder();
    CLEANUP(free_charp) char *endpoint = free_tcp_endpoint();
    CLEANUP(free_charp) char *allowed = str_printf("%s/allowed", folder);
    CLEANUP(free_charp) char *key = str_printf("%s/master.cert_secret", folder);
    make_keys(folder, "master", false);
    make_keys(folder, "node-1", true);
    make_keys(folder, "stranger", false);
    process_options_t rules = {.may_speak_as = nodes_are_themselves};
    process_t *a = make_process("a", &rules), *b = make_process("b", &rules),
              *c = make_process("c", &rules);
    hand_t node, stranger;
    hand_init(&node), hand_init(&stranger);
    why_t why;
    spawn_echo(a, "of-a");
    cr_assert_eq(process_listen(a,
                                &(listen_options_t){.endpoint = endpoint,
                                                    .key_file = key,
                                                    .allowed_keys_dir = allowed},
                                &why),
                 ERR_OK, "%s", why.text);
    hand_spawn(&node, b, "d", NULL, "node-1");
    hand_spawn(&stranger, c, "d", NULL, "node-1");
    cr_assert_eq(connect_tcp(c, folder, endpoint, "stranger", "master"), ERR_OK);
    cr_assert_eq(connect_tcp(b, folder, endpoint, "node-1", "master"), ERR_OK);
    cr_assert(hand_reaches(&node, "echo"));
    hand_ask(&node, "echo", "x", 0, 1);
    ASSERT_HEARD(&node, 0, "LogChunk", "x by of-a for node-1");
    hand_ask(&stranger, "echo", "x", 0, 1);
    const heard_t *heard = hand_heard(&stranger, 0);
    cr_assert_not_null(heard);
    cr_assert_eq(heard->err, ERR_UNAVAILABLE);
    // Its certificate appears in the folder: from then on it may.
    CLEANUP(free_charp) char *from = str_printf("%s/stranger.cert", folder);
    CLEANUP(free_charp) char *to = str_printf("%s/allowed/stranger.cert", folder);
    cr_assert_eq(rename(from, to), 0);
    cr_assert(hand_reaches(&stranger, "echo"));
    end(&c), end(&b), end(&a);
    hand_done(&node), hand_done(&stranger);
    remove_folder(&folder);
    free_charp(&endpoint), free_charp(&allowed), free_charp(&key), free_charp(&from),
        free_charp(&to);
    ASSERT_NO_LEAKS();
}

Test(link, tcp_without_keys_and_a_missing_certificate_are_errors)
{
    process_t *a = make_process("a", NULL);
    why_t why;
    cr_assert_eq(process_listen(a, &(listen_options_t){.endpoint = "tcp://127.0.0.1:1"}, &why),
                 ERR_INVALID);
    cr_assert_str_eq(why.text, "tcp://127.0.0.1:1: tcp needs keys");
    cr_assert_eq(process_connect(a,
                                 &(connect_options_t){.endpoint = "tcp://127.0.0.1:1",
                                                      .key_file = "/nowhere",
                                                      .server_key_file = "/nowhere"},
                                 &why),
                 ERR_NOT_FOUND, "%s", why.text);
    cr_assert_eq(process_listen(a, &(listen_options_t){.endpoint = "udp://x"}, &why), ERR_INVALID);
    end(&a);
    ASSERT_NO_LEAKS();
}

// ---- garbage -----------------------------------------------------------------------------------
static void send_frames(void *socket, rng_t *r, const uint8_t *valid, size_t valid_len) {
    size_t frames = rng_below(r, 4);
    for (size_t i = 0; i <= frames; i++) {
        uint8_t frame[2048];
        size_t len = rng_below(r, rng_chance(r, 0.1) ? sizeof frame : 64);
        for (size_t k = 0; k < len; k++) frame[k] = (uint8_t)rng_next(r);
        if (rng_chance(r, 0.4)) len = rng_below(r, valid_len + 1), memcpy(frame, valid, len);
        zmq_send(socket, frame, len, (i < frames ? ZMQ_SNDMORE : 0) | ZMQ_DONTWAIT);
    }
}

Test(link, garbage_costs_its_sender_the_connection_and_nobody_else_anything)
{
    CLEANUP(remove_folder) char *folder = make_folder();
    CLEANUP(free_charp) char *endpoint = str_printf("ipc://%s/a.sock", folder);
    hand_t hb;
    hand_init(&hb);
    process_t *a = make_process("a", NULL), *b = make_process("b", NULL);
    spawn_echo(a, "of-a");
    listen_ipc(a, endpoint, "part");
    hand_spawn(&hb, b, "d", NULL, "b");
    connect_ipc(b, "a", endpoint);
    cr_assert(hand_reaches(&hb, "echo"));
    log_set_level(LOG_LEVEL_ERROR);
    uint8_t valid[WIRE_MAX_BYTES];
    size_t valid_len = wire_write(&(wire_t){.to = bytes_of_str("echo/of-a"),
                                            .from = bytes_of_str("hand/b"),
                                            .type = bytes_of_str("troupe.api.LogChunk"),
                                            .sequence = 1},
                                  valid);
    rng_t r;
    rng_init(&r, 3);
    void *context = zmq_ctx_new();
    for (int i = 0; i < 200; i++) {
        void *socket = zmq_socket(context, rng_chance(&r, 0.2) ? ZMQ_REQ : ZMQ_DEALER);
        int linger = 100;
        zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
        if (rng_chance(&r, 0.2)) zmq_setsockopt(socket, ZMQ_ROUTING_ID, "chosen", 6);
        cr_assert_eq(zmq_connect(socket, endpoint), 0);
        for (int k = 0; k < 5; k++) send_frames(socket, &r, valid, valid_len);
        zmq_close(socket);
    }
    zmq_ctx_term(context);
    hand_ask(&hb, "echo", "alive", 0, 1);
    ASSERT_HEARD(&hb, 0, "LogChunk", "alive by of-a for part");
    end(&b), end(&a);
    hand_done(&hb);
    remove_folder(&folder);
    free_charp(&endpoint);
    ASSERT_NO_LEAKS();
}

// ---- real processes
// --------------------------------------------------------------------------------- A stand of
// processes to kill: forked before the test has threads, it forks on demand.
typedef struct {
    pid_t pid;
    int fd;
} stand_t;

static const char *stand_keys; // folder of the keys, for tcp

static void serve(const char *endpoint, int ready_fd) {
    process_options_t rules = {.may_speak_as = nodes_are_themselves};
    bool tcp = has_prefix(endpoint, "tcp:");
    process_t *p = make_process("server", tcp ? &rules : NULL);
    spawn_echo(p, "of-server");
    if (tcp) {
        char *key = str_printf("%s/master.cert_secret", stand_keys);
        char *allowed = str_printf("%s/allowed", stand_keys);
        listen_options_t listen = {.endpoint = endpoint,
                                   .key_file = key,
                                   .allowed_keys_dir = allowed};
        if (process_listen(p, &listen, NULL)) _exit(1);
    } else {
        listen_ipc(p, endpoint, "part");
    }
    if (write(ready_fd, "r", 1) != 1) _exit(1);
    for (;;) pause();
}

static void stand_run(int fd, const char *endpoint) {
    char order;
    pid_t server = 0;
    while (read(fd, &order, 1) == 1) {
        if (order == 's' && (server = fork()) == 0) serve(endpoint, fd);
        if (order == 'k') {
            kill(server, SIGKILL);
            waitpid(server, NULL, 0);
        }
        if (order == 'z') {
            kill(server, SIGSTOP);
            waitpid(server, NULL, WUNTRACED); // it has stopped
        }
        if (order == 'c') kill(server, SIGCONT);
        if (order != 's' && write(fd, "d", 1) != 1) break;
    }
    if (server > 0) kill(server, SIGKILL);
    _exit(0);
}

static stand_t stand_new(const char *endpoint) {
    int fds[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(fds[0]);
        stand_run(fds[1], endpoint);
    }
    close(fds[1]);
    return (stand_t){pid, fds[0]};
}
static void stand_order(stand_t *s, char order) {
    char done = 0;
    struct pollfd answer = {s->fd, POLLIN, 0};
    cr_assert_eq(write(s->fd, &order, 1), 1);
    cr_assert_eq(poll(&answer, 1, 20000), 1);
    cr_assert_eq(read(s->fd, &done, 1), 1);
}
static void stand_done(stand_t *s) {
    close(s->fd);
    waitpid(s->pid, NULL, 0);
}

Test(link, a_killed_process_fails_its_asks_at_once_and_is_found_again)
{
    CLEANUP(remove_folder) char *folder = make_folder();
    CLEANUP(free_charp) char *endpoint = str_printf("ipc://%s/a.sock", folder);
    stand_t stand = stand_new(endpoint);
    hand_t hb;
    hand_init(&hb);
    process_t *b = make_process("b", NULL);
    hand_spawn(&hb, b, "d", NULL, "b");
    hand_monitor(&hb, "echo/of-server");
    stand_order(&stand, 's');
    connect_ipc(b, "server", endpoint);
    size_t n = 0;
    for (int round = 0; round < 3; round++) {
        cr_assert(hand_reaches(&hb, "echo"));
        const heard_t *heard = hand_heard(&hb, n++);
        if (round == 0 && heard && streq(heard->type, "Down")) heard = hand_heard(&hb, n++);
        cr_assert_not_null(heard);
        cr_assert_str_eq(heard->type, "Up");
        cr_assert_str_eq(heard->text, "echo/of-server");
        hand_ask(&hb, "echo", "x", 0, 1);
        ASSERT_HEARD(&hb, n, "LogChunk", "x by of-server for part");
        n++;
        stand_order(&stand, 'z'); // it hangs: this ask waits …
        hand_ask(&hb, "echo", "y", 0, 2);
        int64_t begun_ms = clock_monotonic_ms();
        stand_order(&stand, 'k'); // … until it is dead
        bool down = false, failed = false;
        for (int i = 0; i < 2; i++) {
            heard = hand_heard(&hb, n++);
            cr_assert_not_null(heard);
            down |= streq(heard->type, "Down");
            failed |=
                streq(heard->type, "Failure") && heard->err == ERR_UNAVAILABLE && heard->tag == 2;
        }
        cr_assert(down && failed, "round %d: %s %s; %s %s", round, hb.heard[n - 2].type,
                  hb.heard[n - 2].text, hb.heard[n - 1].type, hb.heard[n - 1].text);
        cr_assert_lt(clock_monotonic_ms() - begun_ms, 4000);
        stand_order(&stand, 's');
    }
    end(&b);
    stand_done(&stand);
    hand_done(&hb);
    remove_folder(&folder);
    free_charp(&endpoint);
    ASSERT_NO_LEAKS();
}

// As behind a pulled cable: the peer says nothing, not even that it is gone.
Test(link, a_monitor_over_tcp_hears_of_a_cut_and_of_its_end)
{
    CLEANUP(remove_folder) char *folder = make_folder();
    CLEANUP(free_charp) char *endpoint = free_tcp_endpoint();
    make_keys(folder, "master", false);
    make_keys(folder, "node-1", true);
    stand_keys = folder;
    stand_t stand = stand_new(endpoint);
    stand_order(&stand, 's');
    process_options_t rules = {.may_speak_as = nodes_are_themselves};
    process_t *b = make_process("b", &rules);
    hand_t hb;
    hand_init(&hb);
    hand_spawn(&hb, b, "d", NULL, "node-1");
    cr_assert_eq(connect_tcp(b, folder, endpoint, "node-1", "master"), ERR_OK);
    cr_assert(hand_reaches(&hb, "echo"));
    hand_monitor(&hb, "echo/of-server");
    ASSERT_HEARD(&hb, 0, "Up", "echo/of-server");
    for (size_t n = 1; n < 5; n += 2) {
        int64_t begun_ms = clock_monotonic_ms();
        stand_order(&stand, 'z');
        ASSERT_HEARD(&hb, n, "Down", "echo/of-server");
        cr_assert_lt(clock_monotonic_ms() - begun_ms, 4000);
        stand_order(&stand, 'c');
        ASSERT_HEARD(&hb, n + 1, "Up", "echo/of-server");
    }
    end(&b);
    stand_done(&stand);
    hand_done(&hb);
    remove_folder(&folder);
    free_charp(&endpoint);
    ASSERT_NO_LEAKS();
}

static void do_kill(actor_t *me, void *arg) {
    Actor__KillActor order = {PROTOBUF_C_MESSAGE_INIT(&actor__kill_actor__descriptor)};
    order.address = arg;
    order.reason = (char *)"a test";
    actor_ask(me, "system/b", &order.base, 5000, 9);
}

Test(link, a_killed_link_comes_back_and_its_peers_are_up_again)
{
    CLEANUP(remove_folder) char *folder = make_folder();
    CLEANUP(free_charp) char *endpoint = str_printf("ipc://%s/a.sock", folder);
    CLEANUP(free_charp) char *link = str_printf("link/connect:%s/a.sock", folder);
    hand_t hb;
    hand_init(&hb);
    process_t *a = make_process("a", NULL), *b = make_process("b", NULL);
    spawn_echo(a, "of-a");
    listen_ipc(a, endpoint, "part");
    hand_spawn(&hb, b, "d", "admin", "b");
    connect_ipc(b, "a", endpoint);
    cr_assert(hand_reaches(&hb, "echo"));
    hand_monitor(&hb, "echo/of-a");
    ASSERT_HEARD(&hb, 0, "Up", "echo/of-a");
    hand_do(&hb, do_kill, link);
    ASSERT_HEARD(&hb, 1, "Down", "echo/of-a");
    ASSERT_HEARD(&hb, 2, "Up", "echo/of-a"); // the same incarnation: it was never gone
    hand_ask(&hb, "echo", "x", 0, 1);
    ASSERT_HEARD(&hb, 3, "LogChunk", "x by of-a for part");
    end(&b), end(&a);
    hand_done(&hb);
    remove_folder(&folder);
    free_charp(&endpoint), free_charp(&link);
    ASSERT_NO_LEAKS();
}

Test(link, a_death_elsewhere_is_heard_of_once_and_with_its_reason)
{
    CLEANUP(remove_folder) char *folder = make_folder();
    CLEANUP(free_charp) char *endpoint = str_printf("ipc://%s/a.sock", folder);
    hand_t hb;
    hand_init(&hb);
    process_t *a = make_process("a", NULL), *b = make_process("b", NULL);
    spawn_echo(a, "first"), spawn_echo(a, "second");
    listen_ipc(a, endpoint, "part");
    hand_spawn(&hb, b, "d", NULL, "b");
    connect_ipc(b, "a", endpoint);
    cr_assert(hand_reaches(&hb, "echo/second"));
    hand_monitor(&hb, "echo/first"), hand_monitor(&hb, "echo/second");
    ASSERT_HEARD(&hb, 0, "Up", "echo/first");
    ASSERT_HEARD(&hb, 1, "Up", "echo/second");
    process_retire(a, "echo/first", "it had its day");
    ASSERT_HEARD(&hb, 2, "Down", "echo/first");
    cr_assert_str_eq(hand_heard(&hb, 2)->reason, "it had its day");
    spawn_echo(a, "first");
    ASSERT_HEARD(&hb, 3, "Up", "echo/first");
    process_retire(a, "echo/first", "and again");
    ASSERT_HEARD(&hb, 4, "Down", "echo/first");
    end(&a); // and with it the link, on which the first is dead already
    ASSERT_HEARD(&hb, 5, "Down", "echo/second");
    hand_monitor(&hb, "echo/nobody"); // behind all that the end has set off
    ASSERT_HEARD(&hb, 6, "Down", "echo/nobody");
    cr_assert_eq(hb.heard_len, 7);
    end(&b);
    hand_done(&hb);
    remove_folder(&folder);
    free_charp(&endpoint);
    ASSERT_NO_LEAKS();
}

Test(link, a_peer_that_does_not_read_is_overload_not_memory)
{
    enum { FLOOD = LANE_WINDOW + LANE_QUEUE_MAX + 500 };
    CLEANUP(remove_folder) char *folder = make_folder();
    CLEANUP(free_charp) char *endpoint = str_printf("ipc://%s/a.sock", folder);
    stand_t stand = stand_new(endpoint);
    hand_t hb;
    hand_init(&hb);
    process_t *b = make_process("b", NULL);
    hand_spawn(&hb, b, "d", NULL, "b");
    stand_order(&stand, 's');
    connect_ipc(b, "server", endpoint);
    cr_assert(hand_reaches(&hb, "echo"));
    stand_order(&stand, 'z');
    for (int i = 0; i < FLOOD; i++) hand_ask(&hb, "echo", "x", i, 1);
    const heard_t *heard = hand_heard(&hb, 0);
    cr_assert_not_null(heard);
    cr_assert_eq(heard->err, ERR_OVERLOADED, "%s", heard->text);
    stand_order(&stand, 'c');
    cr_assert_not_null(hand_heard(&hb, FLOOD - 1)); // each has exactly one outcome
    size_t answers = 0, refused = 0;
    for (int i = 0; i < FLOOD; i++) {
        answers += streq(hb.heard[i].type, "LogChunk");
        refused += hb.heard[i].err == ERR_OVERLOADED;
        if (!streq(hb.heard[i].type, "LogChunk") && hb.heard[i].err != ERR_OVERLOADED)
            cr_log_warn("outcome %d: %s %s %s", i, hb.heard[i].type, err_name(hb.heard[i].err),
                        hb.heard[i].text);
    }
    cr_assert_eq(answers + refused, FLOOD);
    cr_assert_gt(refused, 0);
    end(&b);
    stand_done(&stand);
    hand_done(&hb);
    remove_folder(&folder);
    free_charp(&endpoint);
    ASSERT_NO_LEAKS();
}

Test(link, retries_slow_down_to_a_limit)
{
    static const int64_t delays[] = {0, 10, 20, 40, 80, 160, 320, 640, 1000, 1000};
    for (unsigned i = 0; i < LENGTH_OF(delays); i++)
        cr_expect_eq(link_retry_delay_ms(i), delays[i]);
    cr_expect_eq(link_retry_delay_ms(4000000000u), LINK_RETRY_MAX_MS);
}
