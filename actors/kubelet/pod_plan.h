// pod_plan - from what a pod should be and what of it is seen, to what is to be done next.
//
// Pure. The shell (pod_actor) keeps the view, asks for a plan in each settle and performs it; what
// it asked for is marked busy in the view until the answer is there. Obeying plans until none
// comes leads to the wanted pod (or to none of it).
//
//      RUN_SANDBOX ──► (PULL beside it) ──► CREATE ──► START      one container after the other
//      STOP ──► STOP_SANDBOX ──► REMOVE_SANDBOX ──► DONE          on the way out
//
// Source: the behaviour of Kubernetes' kubelet (sandbox changed: everything is restarted; back-off
// 10 s doubling to 300 s, reset after 10 minutes of running; first restart at once).
#pragma once
#include "k8s/core_v1.pb-c.h"
#include "runtime/base/arena.h"
#include "runtime/base/text.h"

enum {
    CRASH_DELAY_FIRST_MS = 10 * 1000,
    CRASH_DELAY_MAX_MS = 300 * 1000,
    CRASH_FORGIVEN_MS =
        600 * 1000, // having run so long, a container starts anew with a clean slate
    DEAD_KEPT = 1,  // dead containers kept per name beside the current one: logs --previous
};

typedef enum {
    CONTAINER_CREATED,
    CONTAINER_RUNNING,
    CONTAINER_EXITED,
    CONTAINER_UNKNOWN
} container_state_t;

// A container as the runtime has it.
typedef struct {
    const char *id, *sandbox_id, *name;
    uint32_t attempt, hash;
    container_state_t state;
    int64_t created_ms, started_ms, finished_ms; // wall clock
    int exit_code;
    const char *reason, *message; // of the end
    const char *image, *image_ref;
    bool busy;     // being started, stopped or removed
    bool adopted;  // found, not made by us
    bool orphaned; // the one who made or started it had no answer: it may be half made
    bool cut_off;  // pod_is_cut_off: it does not count
    bool stopping;
} pod_container_t;

typedef struct {
    const char *id, *ip;
    uint32_t attempt;
    bool ready;
    bool stopped; // we stopped it: its network is gone
    bool busy;
    int64_t created_ms;
} pod_sandbox_t;

// The image for a container's next start.
typedef enum { IMAGE_NEEDED, IMAGE_BUSY, IMAGE_READY, IMAGE_FAILED } image_step_t;

// A container as the spec wants it, and what is remembered of it.
typedef struct {
    const Core__Container *spec;
    bool is_init;
    bool is_sidecar; // an init container that goes on running
    uint32_t hash;   // of the spec's container
    image_step_t image;
    int64_t image_retry_ms;                       // IMAGE_FAILED: not before
    const char *image_ref;                        // IMAGE_READY: what the runtime calls it
    const char *waiting_reason, *waiting_message; // why it is not there; NULL: nothing wrong yet
    int64_t retry_ms;       // after a failed create or start: not before; 0: none
    bool busy;              // being created
    uint32_t attempt_next;  // at least; attempts of names must never be used twice
    int64_t crash_delay_ms; // after the next end; 0: restart at once
    uint32_t restarts;
    bool ready, started;         // what the probes say; without probes: as soon as it runs
    const char *unhealthy_id;    // this container failed its liveness or startup probe
    const char *unhealthy_probe; // "liveness", "startup"
    const Core__ContainerStateTerminated *last_end; // kept when the container is gone
} pod_member_t;

typedef struct {
    const Core__Pod *pod;
    int64_t now_ms;           // wall clock
    bool looked;              // the runtime's view is known; without it nothing is done
    bool leaving;             // deleted, or gone from the API
    int64_t kill_at_ms;       // leaving: when grace is over
    bool prepared;            // directories, volumes and cgroup stand
    bool may_start;           // the network is ready, or the pod is on the host's
    bool sandbox_busy;        // a sandbox is being made
    int64_t sandbox_retry_ms; // after a failed one: not before
    bool removed;             // the host's traces are removed
    bool final_;              // phase Succeeded or Failed was reported: nothing is started any more
    // How long a container without a readiness probe has to run before it counts as ready: one that
    // dies at once is never sent a request, and a server gets the time to listen.
    int64_t settle_ms;
    pod_member_t *members; // init containers in order, then containers in order
    size_t members_len;
    pod_container_t *containers;
    size_t containers_len;
    pod_sandbox_t *sandboxes;
    size_t sandboxes_len;
} pod_view_t;

typedef enum {
    POD_RUN_SANDBOX,    // attempt
    POD_STOP_SANDBOX,   // id
    POD_REMOVE_SANDBOX, // id; its containers are gone with it
    POD_PULL,           // member
    POD_CREATE,         // member, attempt; id: the sandbox
    POD_START,          // member, id
    POD_STOP,           // id, grace_s, text: the event's message
    POD_REMOVE,         // id
    POD_REMOVE_TRACES,  // directories, volumes, cgroup
    POD_DONE,           // nothing is left: tell the kubelet
} pod_action_kind_t;

typedef struct {
    pod_action_kind_t kind;
    const char *id;
    size_t member;
    uint32_t attempt;
    int64_t grace_s;
    const char *text;
} pod_action_t;

typedef struct {
    pod_action_t *actions; // in the arena
    size_t actions_len;
    int64_t wake_ms; // when the plan may change by time alone; INT64_MAX: never
} pod_plan_t;

void pod_plan(const pod_view_t *view, arena_t *arena, pod_plan_t *ret_plan);
void pod_plan_print(const pod_plan_t *plan, text_t *out); // an action a line

// ---- questions that status and shell ask too
// ----------------------------------------------------- The sandbox that counts: the newest ready
// one; NULL: none.
const pod_sandbox_t *pod_sandbox(const pod_view_t *view);
// The call that made or started it ended with its caller (ours, or containerd's own death), and it
// never ran. What a creation leaves whose context is gone may be half a container: containerd 1.6
// goes on without the sandbox's process, and the start fails for "/proc/0/ns/ipc".
bool pod_is_cut_off(const pod_container_t *c);
// The member's newest container in any sandbox that counts; NULL: none.
const pod_container_t *pod_newest(const pod_view_t *view, const pod_member_t *member);
// Will this container, that ended, be started again?
bool pod_restarts(const pod_view_t *view, const pod_member_t *member, int exit_code);
// When its next start is due.
int64_t pod_restart_at_ms(const pod_member_t *member, const pod_container_t *ended);
// From when on a running container may be ready: 0, whatever the clock says, with a readiness
// probe, which then decides, and where nothing has to settle.
int64_t pod_settled_at_ms(const pod_view_t *view, const pod_member_t *member,
                          const pod_container_t *running);
// Every container has ended for good (or never may start): the phase is final.
bool pod_is_over(const pod_view_t *view, bool *ret_failed);
// All init containers are through.
bool pod_is_initialized(const pod_view_t *view);
