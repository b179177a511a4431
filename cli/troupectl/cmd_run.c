// run: a pod or a deployment from a few words; with -i or --attach the session in it.
//
//     make the pod ─► wait until its container runs, or has ended ─► attach, or print its log
//     ─► without restarts: wait for its end, whose exit code is ours ─► --rm: delete it
#include "cli/troupectl/ctl.h"
#include "cli/troupectl/make.h"

enum { RUNNING_TIMEOUT_MS = 60 * 1000 };

static const kind_t *pods(void) { return kind_find("", "v1", "Pod"); }

// ---- waiting -----------------------------------------------------------------------------------

typedef struct {
    const char *name;
    bool for_end;
    bool runs, ended, deleted;
    int exit_code;
    const char *waits; // the last reason for not running yet
    arena_t *arena;
} progress_t;

static const Core__ContainerState *state_of(const Core__Pod *pod) {
    const Core__PodStatus *s = pod->status;
    return s && s->n_containerstatuses ? s->containerstatuses[0]->state : NULL;
}

static bool goes_on(void *arg, Api__WatchEvent__Type type, ProtobufCMessage *obj,
                    int64_t revision) {
    progress_t *p = arg;
    const Core__Pod *pod = (const Core__Pod *)obj;
    if (!streq(or_empty(object_meta_read(obj)->name), p->name)) return true;
    const Core__ContainerState *state = state_of(pod);
    const char *phase = pod->status ? or_empty(pod->status->phase) : "";
    p->deleted = type == API__WATCH_EVENT__TYPE__DELETED;
    p->ended = streq(phase, "Succeeded") || streq(phase, "Failed");
    p->runs = state && state->running;
    if (state && state->terminated) p->exit_code = state->terminated->exitcode;
    if (state && state->waiting)
        p->waits = arena_printf(p->arena, "%s %s", or_empty(state->waiting->reason),
                                or_empty(state->waiting->message));
    return !p->deleted && !p->ended && (p->for_end || !p->runs);
}

// Returns 0 when the pod got there; else it has said why.
static int wait_for(ctl_t *ctl, progress_t *p, int64_t timeout_ms) {
    ProtobufCMessage *obj;
    failure_t failure;
    if (ctl_get(ctl, pods(), ctl_namespace(ctl), p->name, &obj, &failure))
        return refuse_failure(&failure);
    int64_t revision = 0;
    parse_int(or_empty(object_meta_read(obj)->resourceversion), 0, INT64_MAX, &revision);
    err_t err = ERR_OK;
    if (goes_on(p, API__WATCH_EVENT__TYPE__MODIFIED, obj, 0))
        err = ctl_watch(ctl, pods(), ctl_namespace(ctl), NULL,
                        arena_printf(&ctl->arena, "metadata.name=%s", p->name), revision,
                        timeout_ms, goes_on, p, &failure);
    if (err == ERR_TIMEOUT)
        return refuse("timed out waiting for pod/%s to run%s%s", p->name, p->waits ? ": " : "",
                      or_empty(p->waits));
    if (err) return refuse_failure(&failure);
    return p->deleted ? refuse("pod/%s was deleted", p->name) : 0;
}

// ---- the session -------------------------------------------------------------------------------

static int print_log(ctl_t *ctl, const char *name) {
    ctl->words.len = 0;
    vec_push(&ctl->words, name);
    return cmd_logs(ctl);
}

static int join(ctl_t *ctl, const char *name, bool *ret_printed) {
    Api__PodExec request = {PROTOBUF_C_MESSAGE_INIT(&api__pod_exec__descriptor)};
    request.namespace_ = ctl_namespace(ctl);
    request.pod = name;
    request.container = "";
    request.attach = true;
    request.stdin = ctl->o.stdin_;
    request.tty = ctl->o.tty;
    if (request.tty && !ctl->o.quiet)
        fprintf(stderr, "If you don't see a command prompt, try pressing enter.\n");
    return ctl_join(ctl, &request, true, ret_printed);
}

static int session(ctl_t *ctl, const char *name) {
    int64_t timeout_ms = RUNNING_TIMEOUT_MS;
    if (ctl->o.timeout && !parse_duration_ms(ctl->o.timeout, &timeout_ms))
        return refuse("invalid --timeout \"%s\": want a duration such as 30s", ctl->o.timeout);
    progress_t progress = {.name = name, .arena = &ctl->arena};
    int code = wait_for(ctl, &progress, timeout_ms);
    if (code) return code;
    // A command may be done before anybody can join it: then its log is all there is.
    bool printed = false;
    if (!progress.ended) code = join(ctl, name, &printed);
    if (code > 128) return code; // interrupted
    if (!printed) code = print_log(ctl, name);
    if (!ctl->o.restart || streq(ctl->o.restart, "Always")) return code;
    progress.for_end = true;
    if (!progress.ended) code = wait_for(ctl, &progress, 0);
    return code ? code : progress.exit_code;
}

static int run_pod(ctl_t *ctl, const char *name) {
    bool attaches = ctl->o.stdin_ || ctl->o.attach;
    why_t why;
    if (ctl->o.rm && !attaches) return refuse("--rm should only be used for attached containers");
    if (ctl->o.tty && !ctl->o.stdin_)
        return refuse("-i/--stdin is required for containers with -t/--tty=true");
    // A container's terminal knows no end of input: from a pipe its command would wait for ever.
    ctl->o.tty = ctl_wants_terminal(ctl);
    Core__Pod *pod = make_pod(&ctl->arena, name, &ctl->o, &ctl->rest, &why);
    if (!pod) return refuse("%s", why.text);
    ProtobufCMessage *made;
    failure_t failure;
    if (ctl_create(ctl, pods(), ctl_namespace(ctl), &pod->base, &made, &failure))
        return refuse_failure(&failure);
    if (!attaches || ctl_is_dry(ctl)) return print_done(ctl, pods(), made, "created");
    int code = session(ctl, name), deleted = 0;
    if (ctl->o.rm) {
        ctl->o.grace_period = "1"; // its command has ended, or is wanted no more
        deleted = ctl_delete(ctl, pods(), ctl_namespace(ctl), name);
    }
    return code ? code : deleted;
}

int cmd_run(ctl_t *ctl) {
    if (ctl->words.len != 1)
        return refuse("NAME is required for run; arguments of the container go behind --");
    const char *name = ctl->words.at[0];
    if (!ctl->o.replicas) return run_pod(ctl, name);
    if (ctl->o.stdin_ || ctl->o.tty || ctl->o.attach || ctl->o.rm)
        return refuse("-i, -t, --attach and --rm want one pod: leave --replicas out");
    why_t why;
    const kind_t *k = kind_find("apps", "v1", "Deployment");
    Apps__Deployment *d = make_deployment(&ctl->arena, name, "run", &ctl->o, &ctl->rest, &why);
    if (!d) return refuse("%s", why.text);
    ProtobufCMessage *made;
    failure_t failure;
    if (ctl_create(ctl, k, ctl_namespace(ctl), &d->base, &made, &failure))
        return refuse_failure(&failure);
    return print_done(ctl, k, made, "created");
}
