#include "cli/troupectl/ctl.h"
#include "k8s/core_v1.pb-c.h"
#include "runtime/api/describe.h"
#include "runtime/base/clock.h"

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
    text_t out = TEXT_HEAP;
    describe_print(&ctl->arena, k, obj, (const Core__Event *const *)(void *)events.at, events.len,
                   NULL, clock_wall_ms(), &out);
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
