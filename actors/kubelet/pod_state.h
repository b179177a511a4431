// pod_state - what a pod actor keeps: the wish, the view, and the questions that are under way.
// Inside of pod_actor only.
#pragma once
#include "actors/kubelet/pod_config.h"
#include "actors/kubelet/pod_status.h"
#include "runtime/actor/kit.h"
#include "runtime/base/map.h"
#include "runtime/base/vec.h"

enum {
    POD_TAG_WAKE = 1,       // timer: the plan may have changed by time
    POD_TAG_LOOK_SOON,      // the same, within POD_SANDBOX_LOOK_MS
    POD_TAG_LOOK,           // timer: look at the runtime again
    POD_TAG_DRAIN,          // timer: ask for drains again
    POD_TAG_PROBE = 1 << 8, // timer: + member * 4 + probe
    POD_TAG_OP = 1 << 20,   // asks: + number
    POD_CALL_TIMEOUT_MS = 30 * 1000,
    POD_START_TIMEOUT_MS = 120 * 1000, // queues included
    POD_PULL_TIMEOUT_MS = 30 * 60 * 1000,
    POD_STOP_SLACK_MS = 15 * 1000,
    POD_DRAIN_TIMEOUT_MS = 2500, // the API server gives up after two seconds
    POD_DRAIN_AGAIN_MS = 100,    // nobody answered: an API server that is being restarted
    POD_HOLD_MS = 1000,          // after something failed that must be tried again
    POD_SETTLE_MS = 100,
    POD_SANDBOX_LOOK_MS = 30,
    POD_EXIT_LOOK_MS = 250, // an exit that no further event confirmed
    POD_END_LOOK_MS = 30,   // an end that was told and does not show yet; doubling to POD_HOLD_MS
    POD_RETRY_FIRST_MS = 1000,
    POD_RETRY_MAX_MS = 60 * 1000,
    POD_RESERVED_TRIES = 8, // POD_EXIT_LOOK_MS apart
    POD_PULL_DELAY_FIRST_MS = 10 * 1000,
    POD_PULL_DELAY_MAX_MS = 300 * 1000,
    POD_MESSAGE_MAX_BYTES = 4096,
    POD_LOG_TAIL_BYTES = 2048,
};

// What was asked. One answer comes for each (kit: an ask has exactly one outcome).
typedef enum {
    OP_LIST_SANDBOXES,
    OP_LIST_CONTAINERS,
    OP_SANDBOX_STATUS,
    OP_CONTAINER_STATUS,
    OP_OBJECT,
    OP_PREPARE,
    OP_RUN_SANDBOX,
    OP_STOP_SANDBOX,
    OP_REMOVE_SANDBOX,
    OP_IMAGE_STATUS,
    OP_PULL,
    OP_PULLED_SIZE,
    OP_FALLBACK,
    OP_STEPS,
    OP_CREATE,
    OP_START,
    OP_DRAIN,
    OP_PRE_STOP,
    OP_POST_START,
    OP_STOP,
    OP_REMOVE,
    OP_TRACES,
    OP_MESSAGE,
    OP_PROBE,
} op_kind_t;

typedef struct {
    uint64_t number;
    op_kind_t kind;
    char *id;     // container, sandbox, or an object's name; owned
    char *member; // a member's name; owned
    uint32_t attempt;
    int64_t grace_s;
    int64_t began_ms;     // monotonic
    int probe;            // OP_PROBE: probe_kind_t
    object_kind_t object; // OP_OBJECT
    bool of_look;         // part of a look: counted there
    bool of_run;          // OP_SANDBOX_STATUS: the last step of running one
} op_t;

typedef enum { PROBE_STARTUP, PROBE_LIVENESS, PROBE_READINESS, PROBE_KINDS } probe_kind_t;
typedef struct {
    int successes, failures; // in a row
    bool armed, asked;
    char *container; // which these are about; owned
} probe_state_t;

// What is remembered of a member beside the plan's part; same index.
typedef struct {
    char *name;
    char *image_ref, *waiting_reason, *waiting_message,
        *unhealthy_id; // owned; the view borrows them
    const char *unhealthy_probe;
    int64_t pull_delay_ms, retry_delay_ms;
    int reserved_tries;     // creates refused because of a name that nobody shows
    int64_t pull_failed_ms; // wall; 0: it is not failing
    char *pull_error;
    bool backoff_told;
    bool has_end; // `last_end` is filled
    Core__ContainerStateTerminated last_end;
    char *end_reason, *end_message, *end_id;
    Meta__Time end_started, end_finished;
    probe_state_t probes[PROBE_KINDS];
    bool post_start_done;
} member_more_t;

// What is known of a container beside the plan's part; same index.
typedef struct {
    uint64_t since;
    bool message_read, noticed_end;
    int64_t end_look_ms;    // its end was told: looked for this much later, until it shows; 0: none
    int64_t drain_until_ms; // monotonic; its drain is asked for again until then; 0: it is not
    int64_t drain_grace_s;
} container_more_t;

typedef struct {
    object_kind_t kind;
    char *name;
    blob_t *packed;
    bool known;
} object_t;

typedef struct {
    const pod_args_t *args;
    char *kubelet, *runtime; // addresses
    arena_t spec_arena;      // holds `pod`
    Core__Pod *pod;          // NULL until the first wish
    blob_t *pod_packed;
    VEC(pod_member_t) members;
    VEC(member_more_t) more;
    VEC(pod_container_t) containers;
    VEC(container_more_t) containers_more;
    VEC(pod_sandbox_t) sandboxes;
    VEC(op_t) ops;
    uint64_t op_next;
    VEC(object_t) objects;
    bool objects_listed;
    size_t looking; // questions of a look that are open
    bool look_failed;
    bool looked, leaving, gone, prepared, preparing, sandbox_busy, removing, removed, final_,
        network_ready, done_told;
    int64_t kill_at_ms, sandbox_retry_ms, sandbox_delay_ms;
    int sandbox_reserved_tries;
    int64_t hold_until_ms;   // wall
    const char *fail_reason; // DeadlineExceeded …
    char *fail_message;
    arena_t status_arena;    // holds `status`
    Core__PodStatus *status; // as last told
} pod_t;

// ---- state ------------------------------------------------------------------------------------
pod_view_t pod_view_of(pod_t *self, actor_t *me);
pod_scene_t pod_scene_of(pod_t *self, actor_t *me);
void pod_take_spec(pod_t *self, blob_t *packed, Core__Pod *pod, arena_t *arena); // arena is taken
size_t pod_member_at(const pod_t *self, const char *name);                       // SIZE_MAX: none
size_t pod_container_at(const pod_t *self, const char *id);
size_t pod_sandbox_at(const pod_t *self, const char *id);
// Adds, or gives the one that is there.
pod_container_t *pod_add_container(pod_t *self, const char *id, const char *sandbox_id,
                                   const char *name, uint32_t attempt);
pod_sandbox_t *pod_add_sandbox(pod_t *self, const char *id, uint32_t attempt);
// A running container that was there before this actor: what the API last said of its probes holds
// on until they speak, or every restart of a node's agent would take its pods out of service.
void pod_adopt_health(pod_t *self, const char *name, const char *id);
void pod_drop_container(pod_t *self, size_t at, bool vanished, int64_t now_ms);
void pod_drop_sandbox(pod_t *self, size_t at);
void pod_set_waiting(pod_t *self, size_t member, const char *reason,
                     const char *message); // NULL: nothing
void pod_set_text(const char **field,
                  const char *value); // an owned string of a container or sandbox
void pod_clear(pod_t *self);

// ---- asking -----------------------------------------------------------------------------------
op_t *pod_op(pod_t *self, op_kind_t kind, const char *id, const char *member);
void pod_ask_runtime(actor_t *me, const op_t *op, const ProtobufCMessage *body, int64_t timeout_ms);
bool pod_take_op(pod_t *self, uint64_t tag, op_t *ret_op); // *returned*: op_done it
void pod_op_done(op_t *op);
void pod_look(actor_t *me);
op_t *pod_ask_container(actor_t *me, const char *id); // the op: valid until the next one
op_t *pod_ask_sandbox(actor_t *me, const char *id);
void pod_perform(actor_t *me, const pod_action_t *action);
void pod_stop_drained(actor_t *me, const char *id, int64_t grace_s); // pre-stop hook, then TERM
void pod_drain_again(actor_t *me);                                   // those whose asking failed
void pod_stop_now(actor_t *me, const char *id, int64_t grace_s);
void pod_create_now(actor_t *me, size_t member, uint32_t attempt, const char *sandbox_id);
void pod_ask_pull(actor_t *me, size_t member);
void pod_fetch_objects(actor_t *me);
void pod_prepare(actor_t *me);
void pod_event(actor_t *me, const char *member, const char *type, const char *reason,
               const char *fmt, ...) PRINTF_LIKE(5, 6);

// ---- hearing ----------------------------------------------------------------------------------
void pod_heard(actor_t *me, const op_t *op, const void *body);
void pod_heard_failure(actor_t *me, const op_t *op, err_t err, const char *why);

// ---- probes -----------------------------------------------------------------------------------
void pod_probes_arm(actor_t *me); // in settle: those whose container runs
void pod_probe_due(actor_t *me, uint64_t tag);
void pod_probe_heard(actor_t *me, const op_t *op, bool ok, const char *output);
