#include "cli/troupectl/ctl.h"
#include "k8s/core_v1.pb-c.h"
#include "runtime/api/describe.h"
#include "runtime/base/clock.h"

// ---- what a text needs beside its object -------------------------------------------------------
// A part that cannot be had is left out: the description is worth more than the failure.
static objects_t related(ctl_t *ctl, const kind_t *k, const char *ns, const char *labels,
                         const char *fields) {
    objects_t found = {0};
    failure_t failure;
    return ctl_list(ctl, k, ns, labels, fields, &found, &failure) ? (objects_t){0} : found;
}

// Those of the found that `owner` controls.
static size_t keep_owned(objects_t *found, const ProtobufCMessage *owner) {
    const char *uid = or_empty(object_meta_read(owner)->uid);
    size_t kept = 0;
    for (size_t i = 0; i < found->len; i++) {
        const Meta__OwnerReference *by = object_controller(found->at[i]);
        if (by && streq(or_empty(by->uid), uid)) found->at[kept++] = found->at[i];
    }
    return kept;
}

static void find_extra(ctl_t *ctl, const kind_t *k, const ProtobufCMessage *obj,
                       describe_extra_t *ret_extra) {
    const Meta__ObjectMeta *meta = object_meta_read(obj);
    const kind_t *pods = kind_find("", "v1", "Pod");
    if (streq(k->name, "Node")) {
        const char *here = arena_printf(&ctl->arena, "spec.nodeName=%s", meta->name);
        objects_t found = related(ctl, pods, "", NULL, here);
        ret_extra->pods = (const Core__Pod *const *)(void *)found.at;
        ret_extra->pods_len = found.len;
    } else if (streq(k->name, "ReplicaSet")) {
        objects_t found = related(ctl, pods, meta->namespace_, NULL, NULL);
        ret_extra->pods_len = keep_owned(&found, obj);
        ret_extra->pods = (const Core__Pod *const *)(void *)found.at;
    } else if (streq(k->name, "Deployment")) {
        objects_t found =
            related(ctl, kind_find("apps", "v1", "ReplicaSet"), meta->namespace_, NULL, NULL);
        ret_extra->replica_sets_len = keep_owned(&found, obj);
        ret_extra->replica_sets = (const ProtobufCMessage *const *)found.at;
    } else if (streq(k->name, "Service")) {
        ProtobufCMessage *endpoints;
        failure_t failure;
        if (!ctl_get(ctl, kind_find("", "v1", "Endpoints"), meta->namespace_, meta->name,
                     &endpoints, &failure))
            ret_extra->endpoints = (const Core__Endpoints *)endpoints;
    }
}

// ---- one object --------------------------------------------------------------------------------
static int describe_one(ctl_t *ctl, const kind_t *k, ProtobufCMessage *obj) {
    const Meta__ObjectMeta *meta = object_meta_read(obj);
    const kind_t *event_kind = kind_find("", "v1", "Event");
    objects_t events = {0};
    failure_t failure;
    const char *selector =
        arena_printf(&ctl->arena, "involvedObject.name=%s,involvedObject.kind=%s", meta->name,
                     k->name);
    // Events of things without a namespace stand in "default".
    const char *ns = k->namespaced ? meta->namespace_ : "default";
    if (event_kind && ctl_list(ctl, event_kind, ns, NULL, selector, &events, &failure))
        return refuse_failure(&failure);
    describe_extra_t extra = {0};
    find_extra(ctl, k, obj, &extra);
    text_t out = TEXT_HEAP;
    describe_print(&ctl->arena, k, obj, (const Core__Event *const *)(void *)events.at, events.len,
                   &extra, clock_wall_ms(), &out);
    fputs(text_str(&out), stdout);
    text_done(&out);
    return 0;
}

int cmd_describe(ctl_t *ctl) {
    targets_t targets;
    if (!targets_parse(ctl, 0, &targets)) return EXIT_FAILED;
    size_t shown = 0;
    int worst = 0;
    for (size_t i = 0; i < targets.len; i++) {
        const target_t *t = &targets.at[i];
        objects_t found = {0};
        failure_t failure;
        ProtobufCMessage *one;
        const char *ns = ctl->o.all_namespaces ? "" : ctl_namespace_of(ctl, t->kind);
        err_t err = t->name ? ctl_get(ctl, t->kind, ns, t->name, &one, &failure)
                            : ctl_list(ctl, t->kind, ns, ctl->o.selector, NULL, &found, &failure);
        if (err) {
            worst = refuse_failure(&failure);
            continue;
        }
        if (t->name) found = (objects_t){&one, 1, 0};
        for (size_t n = 0; n < found.len; n++) {
            if (shown++) fputs("\n\n", stdout);
            int code = describe_one(ctl, t->kind, found.at[n]);
            if (code) return code;
        }
    }
    if (!shown && !worst)
        fprintf(stderr, "No resources found in %s namespace.\n", ctl_namespace(ctl));
    return worst;
}
