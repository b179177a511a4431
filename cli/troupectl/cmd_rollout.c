#include "cli/troupectl/ctl.h"
#include "k8s/apps_v1.pb-c.h"
#include "runtime/api/describe.h"
#include "runtime/base/clock.h"

#define REVISION_ANNOTATION     "deployment.kubernetes.io/revision"
#define CHANGE_CAUSE_ANNOTATION "kubernetes.io/change-cause"
#define RESTARTED_ANNOTATION    "kubectl.kubernetes.io/restartedAt"

// ---- status ------------------------------------------------------------------------------------

typedef struct {
    const char *name;
    char last[512];
    bool done, failed;
    bool once;
} rollout_t;

static const Apps__DeploymentCondition *find_condition(const Apps__DeploymentStatus *status,
                                                       const char *type) {
    for (size_t i = 0; status && i < status->n_conditions; i++)
        if (streq(or_empty(status->conditions[i]->type), type)) return status->conditions[i];
    return NULL;
}

// kubectl's sentences. Sets done or failed when there is nothing more to wait for.
static void describe_rollout(const Apps__Deployment *d, rollout_t *r, char *text, size_t size) {
    const Apps__DeploymentStatus *s = d->status;
    int32_t wanted = d->spec && d->spec->has_replicas ? d->spec->replicas : 1;
    int32_t updated = s ? s->updatedreplicas : 0, replicas = s ? s->replicas : 0,
            available = s ? s->availablereplicas : 0;
    int64_t generation = d->metadata ? d->metadata->generation : 0,
            observed = s ? s->observedgeneration : 0;
    const Apps__DeploymentCondition *progressing = find_condition(s, "Progressing");
    if (generation > observed) {
        snprintf(text, size, "Waiting for deployment spec update to be observed...");
    } else if (progressing && streq(or_empty(progressing->reason), "ProgressDeadlineExceeded")) {
        r->failed = true;
        snprintf(text, size, "error: deployment \"%s\" exceeded its progress deadline", r->name);
    } else if (updated < wanted) {
        snprintf(text, size,
                 "Waiting for deployment \"%s\" rollout to finish: %d out of %d new replicas have "
                 "been updated...",
                 r->name, updated, wanted);
    } else if (replicas > updated) {
        snprintf(text, size,
                 "Waiting for deployment \"%s\" rollout to finish: %d old replicas are pending "
                 "termination...",
                 r->name, replicas - updated);
    } else if (available < updated) {
        snprintf(text, size,
                 "Waiting for deployment \"%s\" rollout to finish: %d of %d updated replicas are "
                 "available...",
                 r->name, available, updated);
    } else {
        r->done = true;
        snprintf(text, size, "deployment \"%s\" successfully rolled out", r->name);
    }
}

static bool follow(void *arg, Api__WatchEvent__Type type, ProtobufCMessage *obj, int64_t revision) {
    rollout_t *r = arg;
    char text[sizeof r->last];
    if (type == API__WATCH_EVENT__TYPE__DELETED) {
        r->failed = true;
        fprintf(stderr, "error: object has been deleted\n");
        return false;
    }
    describe_rollout((Apps__Deployment *)obj, r, text, sizeof text);
    if (!streq(text, r->last)) fprintf(r->failed ? stderr : stdout, "%s\n", text);
    fflush(stdout);
    memcpy(r->last, text, sizeof text);
    return !r->done && !r->failed && !r->once;
}

static int rollout_status(ctl_t *ctl, const kind_t *k, const char *name, ProtobufCMessage *obj) {
    int64_t timeout_ms = 0, revision = 0;
    if (ctl->o.timeout && !parse_duration_ms(ctl->o.timeout, &timeout_ms))
        return refuse("invalid --timeout \"%s\"", ctl->o.timeout);
    rollout_t rollout = {.name = name};
    failure_t failure;
    if (!follow(&rollout, API__WATCH_EVENT__TYPE__MODIFIED, obj, 0))
        return rollout.done ? 0 : EXIT_FAILED;
    parse_int(or_empty(object_meta_read(obj)->resourceversion), 0, INT64_MAX, &revision);
    const char *selector = arena_printf(&ctl->arena, "metadata.name=%s", name);
    err_t err = ctl_watch(ctl, k, ctl_namespace(ctl), NULL, selector, revision, timeout_ms, follow,
                          &rollout, &failure);
    if (err == ERR_TIMEOUT) return refuse("timed out waiting for the condition");
    if (err) return refuse_failure(&failure);
    return rollout.done ? 0 : EXIT_FAILED;
}

// ---- history -----------------------------------------------------------------------------------

typedef struct {
    int64_t revision;
    Apps__ReplicaSet *set;
} revision_t;
typedef VEC(revision_t) revisions_t;

static int revision_order(const void *a, const void *b) {
    int64_t x = ((const revision_t *)a)->revision, y = ((const revision_t *)b)->revision;
    return (x > y) - (x < y);
}

static int find_revisions(ctl_t *ctl, const Apps__Deployment *d, revisions_t *ret) {
    objects_t sets;
    failure_t failure;
    if (ctl_list(ctl, kind_find("apps", "v1", "ReplicaSet"), ctl_namespace(ctl), NULL, NULL, &sets,
                 &failure))
        return refuse_failure(&failure);
    for (size_t i = 0; i < sets.len; i++) {
        const Meta__ObjectMeta *meta = object_meta_read(sets.at[i]);
        bool owned = false;
        for (size_t o = 0; o < meta->n_ownerreferences; o++)
            owned |= streq(or_empty(meta->ownerreferences[o]->uid), or_empty(d->metadata->uid));
        const char *text = object_annotation(sets.at[i], REVISION_ANNOTATION);
        int64_t revision;
        if (owned && text && parse_int(text, 1, INT64_MAX, &revision))
            vec_push(ret, ((revision_t){revision, (Apps__ReplicaSet *)sets.at[i]}));
    }
    if (ret->len) qsort(ret->at, ret->len, sizeof *ret->at, revision_order);
    return 0;
}

// One revision: its pod template, as describe prints it.
static int show_revision(ctl_t *ctl, const kind_t *k, const char *name,
                         const revisions_t *revisions) {
    int64_t wanted;
    if (!parse_int(ctl->o.revision, 1, INT64_MAX, &wanted))
        return refuse("revision must be a positive integer: %s", ctl->o.revision);
    for (size_t i = 0; i < revisions->len; i++) {
        if (revisions->at[i].revision != wanted) continue;
        const Apps__ReplicaSet *set = revisions->at[i].set;
        if (ctl->o.output)
            return print_objects(ctl, kind_find("apps", "v1", "ReplicaSet"),
                                 (ProtobufCMessage *const[]){(ProtobufCMessage *)&set->base}, 1,
                                 false);
        text_t out = {.arena = &ctl->arena};
        describe_template(&ctl->arena, set->spec->template_, &out);
        printf("%s with revision #%lld\n%s", object_ref(ctl, k, name), (long long)wanted,
               text_str(&out));
        return 0;
    }
    return refuse("unable to find the specified revision");
}

static int rollout_history(ctl_t *ctl, const kind_t *k, const char *name, ProtobufCMessage *obj) {
    revisions_t revisions = {0};
    int code = find_revisions(ctl, (Apps__Deployment *)obj, &revisions);
    if (!code && ctl->o.revision) {
        code = show_revision(ctl, k, name, &revisions);
    } else if (!code) {
        printf("%s \nREVISION  CHANGE-CAUSE\n", object_ref(ctl, k, name));
        for (size_t i = 0; i < revisions.len; i++) {
            const char *cause =
                object_annotation(&revisions.at[i].set->base, CHANGE_CAUSE_ANNOTATION);
            printf("%-9lld %s\n", (long long)revisions.at[i].revision, cause ? cause : "<none>");
        }
        printf("\n");
    }
    vec_done(&revisions);
    return code;
}

// The template of the chosen revision goes back into the deployment, without the hash label that
// its replica set added.
static int rollout_undo(ctl_t *ctl, const kind_t *k, const char *name, ProtobufCMessage *obj) {
    Apps__Deployment *d = (Apps__Deployment *)obj;
    revisions_t revisions = {0};
    int code = find_revisions(ctl, d, &revisions);
    if (code) return vec_done(&revisions), code;
    int64_t wanted = 0;
    const revision_t *chosen = NULL;
    if (ctl->o.to_revision && !parse_int(ctl->o.to_revision, 0, INT64_MAX, &wanted))
        code = refuse("invalid --to-revision \"%s\"", ctl->o.to_revision);
    if (!code && wanted == 0 && revisions.len >= 2) chosen = &revisions.at[revisions.len - 2];
    for (size_t i = 0; wanted && i < revisions.len; i++)
        if (revisions.at[i].revision == wanted) chosen = &revisions.at[i];
    if (!code && !chosen)
        code = wanted
                   ? refuse("unable to find specified revision %lld in history", (long long)wanted)
                   : refuse("no rollout history found for deployment \"%s\"", name);
    if (!code) {
        Core__PodTemplateSpec *template = msg_dup(&ctl->arena, &chosen->set->spec->template_->base);
        object_set_label(&ctl->arena, &template->base, "pod-template-hash", NULL);
        d->spec->template_ = template;
        failure_t failure;
        ProtobufCMessage *made;
        code = ctl_update(ctl, k, ctl_namespace(ctl), obj, "", &made, &failure)
                   ? refuse_failure(&failure)
                   : print_done(ctl, k, made, "rolled back");
    }
    vec_done(&revisions);
    return code;
}

static int rollout_patch(ctl_t *ctl, const kind_t *k, const char *name, const char *patch,
                         const char *done) {
    ProtobufCMessage *made;
    failure_t failure;
    if (ctl_patch(ctl, k, ctl_namespace(ctl), name, API__PATCH__TYPE__MERGE, bytes_of_str(patch),
                  NULL, &made, &failure))
        return refuse_failure(&failure);
    return print_done(ctl, k, made, done);
}

int cmd_rollout(ctl_t *ctl) {
    if (ctl->words.len == 0)
        return refuse("want one of: status, history, undo, restart, pause, resume");
    const char *what = ctl->words.at[0];
    static const char *const known[] = {"status", "history", "undo", "restart", "pause", "resume"};
    bool is_known = false;
    for (size_t i = 0; i < LENGTH_OF(known); i++) is_known |= streq(what, known[i]);
    if (!is_known)
        return refuse("unknown rollout command \"%s\": want status, history, undo, restart, pause "
                      "or resume",
                      what);
    target_t target;
    if (!target_parse_one(ctl, 1, &target)) return EXIT_FAILED;
    const kind_t *k = kind_stored(target.kind);
    if (k->type != &apps__deployment__descriptor)
        return refuse("no rollout %s for a %s: want a deployment", what, k->name);
    ProtobufCMessage *obj;
    failure_t failure;
    if (ctl_get(ctl, k, ctl_namespace(ctl), target.name, &obj, &failure))
        return refuse_failure(&failure);
    bool paused = ((Apps__Deployment *)obj)->spec && ((Apps__Deployment *)obj)->spec->paused;
    if (streq(what, "status")) return rollout_status(ctl, k, target.name, obj);
    if (streq(what, "history")) return rollout_history(ctl, k, target.name, obj);
    if (streq(what, "undo")) {
        if (paused)
            return refuse("cannot rollback a paused deployment; resume it first with 'troupectl "
                          "rollout resume' and try again");
        return rollout_undo(ctl, k, target.name, obj);
    }
    if (streq(what, "restart")) {
        if (paused) return refuse("can't restart paused deployment (run rollout resume first)");
        char now[TIME_TEXT_MAX];
        return rollout_patch(
            ctl, k, target.name,
            arena_printf(
                &ctl->arena,
                "{\"spec\":{\"template\":{\"metadata\":{\"annotations\":{\"%s\":\"%s\"}}}}}",
                RESTARTED_ANNOTATION, clock_rfc3339(clock_wall_ms(), now)),
            "restarted");
    }
    bool pause = streq(what, "pause");
    if (paused == pause)
        return refuse("%s \"%s\" is %s paused", k->plural, target.name, pause ? "already" : "not");
    return rollout_patch(ctl, k, target.name,
                         pause ? "{\"spec\":{\"paused\":true}}" : "{\"spec\":{\"paused\":null}}",
                         pause ? "paused" : "resumed");
}
