// kubelet_stream - one stream of kubelet/NODE: a log, a command, a container's own input and
// output, a connection into a pod. Inside of kubelet_streams and its kinds (kubelet_exec, …) only.
#pragma once
#include "actors/kubelet/kubelet_state.h"
#include "actors/kubelet/logs.h"
#include "actors/kubelet/outputs.h"
#include "cri/cri.pb-c.h"
#include "troupe/api.pb-c.h"

typedef enum {
    STEP_LIST,
    STEP_POLL,
    STEP_SPEC,
    STEP_EXEC,
    STEP_START,
    STEP_WAIT,
    STEP_KILL,
    STEP_RESIZE,
    STEP_CLOSE,
    STEP_DELETE,
    STEP_LINGER,
    STEP_ATTACH,
    STEP_TASK,
    STEP_MAX,
} stream_step_t;
static_assert(STEP_MAX <= 16, "a stream's tags leave four bits for the step");

// What a kind of stream does at each occasion; NULL: nothing.
typedef struct {
    const char *name;
    void (*found)(actor_t *me, stream_t *s, const Cri__Container *newest); // NULL: there is none
    void (*heard)(actor_t *me, stream_t *s, stream_step_t step, const void *body);
    void (*failed)(actor_t *me, stream_t *s, stream_step_t step, err_t err, const char *why);
    void (*timer)(actor_t *me, stream_t *s, stream_step_t step);
    void (*fd)(actor_t *me, stream_t *s, int fd, uint32_t events);
    void (*input)(actor_t *me, stream_t *s); // more in `rest`, or in_ended, or resized
    void (*credit)(actor_t *me, stream_t *s);
    void (*deleted)(actor_t *me, stream_t *s, const Node__ContainerChange *change); // its container
    void (*gone)(actor_t *me, stream_t *s); // nobody listens; NULL: it is freed
    void (*done)(actor_t *me, stream_t *s); // closes and removes what it had
} stream_kind_t;
char *exec_argv(const Api__PodExec *wanted); // the command as a JSON array, *returned*
extern const stream_kind_t stream_exec, stream_attach, stream_forward;

// A connection of a stream that never waits: what cannot be written yet stays in `out`.
typedef struct {
    int fd; // -1: none
    text_t in, out;
    bool is_open;   // connected; attach: the upgrade has been answered
    bool is_ending; // no more input comes
    bool is_held;   // nothing is read: nobody has room for it
} connection_t;

struct stream {
    uint64_t number, handle;
    const stream_kind_t *kind; // NULL: a log
    char *container, *id;      // name; the runtime's id
    bool is_gone;              // the other side is not there any more
    // log
    char *path;
    int file, inotify; // -1: none
    bool follow, previous, ended;
    bool moved; // the file has moved aside: when it is read, the new one is opened
    int64_t tail, limit, offset;
    log_filter_t filter;
    text_t rest; // log: an unfinished line. exec: input that waits
    // exec
    char *exec_id, *dir;
    char *argv_json; // the command, as a JSON array
    bool tty, wants_in, in_ended, started, exited, failed, resized;
    uint32_t columns, rows;
    int in, out, err; // our ends of the fifos; -1: closed
    int exit_code;
    connection_t link; // attach, forward
    // attach
    bool is_over; // the session with the runtime; what may still come is `unread`
    text_t unread[OUTPUTS];
    uint16_t port;
};

uint64_t stream_tag(const stream_t *s, stream_step_t step);
stream_t *stream_open(actor_t *me, const message_t *msg, const char *ns, const char *pod,
                      const char *container, uint32_t push_window);
void stream_end(actor_t *me, stream_t *s, err_t err, const char *why); // frees it

// A chunk of output to the other side; ends the wait for credit of nobody who is gone.
void stream_say(actor_t *me, stream_t *s, Api__ExecOutput__Channel channel, const void *data,
                size_t len, int exit_code, const char *message);
void stream_ask(actor_t *me, stream_t *s, stream_step_t step, const ProtobufCMessage *request,
                int64_t timeout_ms);

// ---- connections (kubelet_link.c) --------------------------------------------------------------
// To a port of 127.0.0.1, as the calling thread's network has it. Begins; the socket tells the
// rest.
err_t connection_begin(actor_t *me, connection_t *c, uint16_t port, why_t *why) MUST_USE;
// Writes what waits, as far as it goes, and listens for what can go on; false: the other side is
// gone.
bool connection_pump(actor_t *me, connection_t *c) MUST_USE;
// Reads at most one buffer into `in`. 1: something came, 0: nothing now, -1: its end.
int connection_read(connection_t *c);
void connection_close(actor_t *me, connection_t *c);
