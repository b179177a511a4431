// exec, attach, and the session of run -it: our standard streams joined with a container's.
#include "cli/troupectl/ctl.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

enum { READ_BYTES = 16 * 1024, PUSH_WAIT_MS = 60 * 1000, LOOK_UP_MS = 200 };

// ---- the terminal ------------------------------------------------------------------------------

static struct termios saved_terminal;
static volatile sig_atomic_t terminal_is_raw;

static void terminal_restore(void) {
    if (terminal_is_raw) tcsetattr(STDIN_FILENO, TCSANOW, &saved_terminal);
    terminal_is_raw = 0;
}

// Noticed between two chunks: the terminal is put right and the session's end is said.
static volatile sig_atomic_t interrupted_by;
static void on_interrupt(int signal_number) { interrupted_by = signal_number; }

static void terminal_make_raw(void) {
    if (tcgetattr(STDIN_FILENO, &saved_terminal) != 0) return;
    struct termios raw = saved_terminal;
    cfmakeraw(&raw);
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    terminal_is_raw = 1;
    atexit(terminal_restore);
}

bool ctl_wants_terminal(const ctl_t *ctl) {
    if (!ctl->o.tty || isatty(STDIN_FILENO)) return ctl->o.tty;
    fprintf(stderr, "Unable to use a TTY - input is not a terminal or the right kind of file\n");
    return false;
}

static bool terminal_size(uint32_t *columns, uint32_t *rows) {
    struct winsize size;
    if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) != 0 || !size.ws_col) return false;
    *columns = size.ws_col;
    *rows = size.ws_row;
    return true;
}

// ---- input, on a thread of its own -------------------------------------------------------------

typedef struct {
    client_stream_t *stream;
    int stop_fd;
    bool tty;
} input_t;
static int resize_fd = -1;

static void on_resize(int signal_number) {
    uint64_t one = 1;
    if (resize_fd >= 0 && write(resize_fd, &one, sizeof one) < 0) return;
}

static err_t push_input(const input_t *in, const char *data, size_t len, bool end) {
    Api__ExecInput chunk = {PROTOBUF_C_MESSAGE_INIT(&api__exec_input__descriptor)};
    chunk.data = (ProtobufCBinaryData){len, (uint8_t *)data};
    chunk.end = end;
    return client_push(in->stream, &chunk.base, PUSH_WAIT_MS);
}

static err_t push_size(const input_t *in) {
    Api__ExecInput chunk = {PROTOBUF_C_MESSAGE_INIT(&api__exec_input__descriptor)};
    if (!terminal_size(&chunk.columns, &chunk.rows)) return ERR_OK;
    return client_push(in->stream, &chunk.base, PUSH_WAIT_MS);
}

static void *pump_input(void *arg) {
    const input_t *in = arg;
    char buf[READ_BYTES];
    err_t err = ERR_OK;
    while (!err) {
        struct pollfd fds[] = {{STDIN_FILENO, POLLIN, 0},
                               {in->stop_fd, POLLIN, 0},
                               {resize_fd, POLLIN, 0}};
        if (poll(fds, 3, -1) < 0 && errno != EINTR) break;
        if (fds[1].revents) break;
        if (fds[2].revents) {
            uint64_t count;
            if (read(resize_fd, &count, sizeof count) > 0) err = push_size(in);
        }
        if (!err && fds[0].revents) {
            ssize_t got = read(STDIN_FILENO, buf, sizeof buf);
            if (got < 0 && errno == EINTR) continue;
            err = push_input(in, buf, got > 0 ? (size_t)got : 0, got <= 0);
            if (got <= 0) break;
        }
    }
    return NULL;
}

// ---- output ------------------------------------------------------------------------------------

static int print_output(client_stream_t *stream, bool is_quiet, bool *ret_printed) {
    arena_t arena = {0};
    failure_t failure = {0};
    int code = -1;
    while (code < 0) {
        void *chunk;
        arena_clear(&arena);
        err_t err = client_next(stream, &arena, &api__exec_output__descriptor, LOOK_UP_MS, &chunk,
                                &failure);
        if (interrupted_by) code = 128 + interrupted_by;
        if (err == ERR_TIMEOUT) continue;
        if (err) {
            terminal_restore();
            code = err == ERR_CANCELLED ? 0 : is_quiet ? EXIT_FAILED : refuse_failure(&failure);
            break;
        }
        const Api__ExecOutput *out = chunk;
        FILE *to = out->channel == API__EXEC_OUTPUT__CHANNEL__STDERR ? stderr : stdout;
        if (out->channel == API__EXEC_OUTPUT__CHANNEL__EXIT) {
            terminal_restore();
            if (!is_empty(out->message))
                refuse("%s", out->message);
            else if (out->exit_code)
                fprintf(stderr, "command terminated with exit code %d\n", out->exit_code);
            code = out->exit_code;
        } else {
            if (ret_printed) *ret_printed = true;
            fwrite(out->data.data, 1, out->data.len, to);
            fflush(to);
            if (ferror(to)) code = EXIT_FAILED;
        }
    }
    arena_done(&arena);
    return code;
}

int ctl_join(ctl_t *ctl, const Api__PodExec *request, bool is_quiet, bool *ret_printed) {
    client_stream_t *stream = client_open(ctl->client, "apiserver", &request->base);
    input_t input = {stream, eventfd(0, EFD_CLOEXEC), request->tty};
    pthread_t pump;
    bool pumps = request->stdin;
    resize_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct sigaction interrupt = {.sa_handler = on_interrupt};
    sigaction(SIGINT, &interrupt, NULL);
    sigaction(SIGTERM, &interrupt, NULL);
    sigaction(SIGHUP, &interrupt, NULL);
    if (request->tty) {
        terminal_make_raw();
        signal(SIGWINCH, on_resize);
    }
    if (pumps && pthread_create(&pump, NULL, pump_input, &input) != 0) pumps = false;
    int code = print_output(stream, is_quiet, ret_printed);
    terminal_restore();
    if (pumps) {
        uint64_t one = 1;
        if (write(input.stop_fd, &one, sizeof one) == sizeof one) pthread_join(pump, NULL);
    }
    client_close(&stream);
    close_fdp(&input.stop_fd);
    close_fdp(&resize_fd);
    return code;
}

static int run(ctl_t *ctl, bool attach) {
    const char *pod = ctl_pod_argument(ctl);
    if (!pod) return EXIT_FAILED;
    // "exec POD COMMAND" without "--" is taken, too: what follows the pod is the command.
    words_t *command = ctl->rest.len ? &ctl->rest : &ctl->words;
    size_t skip = ctl->rest.len ? 0 : 1;
    if (!attach && command->len <= skip)
        return refuse(
            "you must specify at least one command for the container: troupectl exec %s -- COMMAND",
            pod);
    if (!ctl_client(ctl)) return EXIT_FAILED;
    Api__PodExec request = {PROTOBUF_C_MESSAGE_INIT(&api__pod_exec__descriptor)};
    request.namespace_ = ctl_namespace(ctl);
    request.pod = pod;
    request.container = or_empty(ctl->o.container);
    request.attach = attach;
    if (!attach) {
        request.command = (void *)(command->at + skip);
        request.n_command = command->len - skip;
    }
    request.stdin = ctl->o.stdin_;
    request.tty = ctl_wants_terminal(ctl);
    if (request.tty) terminal_size(&request.columns, &request.rows);
    return ctl_join(ctl, &request, false, NULL);
}

int cmd_exec(ctl_t *ctl) { return run(ctl, false); }
int cmd_attach(ctl_t *ctl) { return run(ctl, true); }
