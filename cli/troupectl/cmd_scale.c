#include "cli/troupectl/ctl.h"

int cmd_scale(ctl_t *ctl) {
    target_t target;
    int64_t replicas, current = -1;
    if (!ctl->o.replicas || !parse_int(ctl->o.replicas, 0, INT32_MAX, &replicas))
        return refuse(
            "the --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0");
    if (ctl->o.current_replicas && !parse_int(ctl->o.current_replicas, 0, INT32_MAX, &current))
        return refuse("invalid --current-replicas \"%s\"", ctl->o.current_replicas);
    if (!target_parse_one(ctl, 0, &target)) return EXIT_FAILED;
    failure_t failure;
    ProtobufCMessage *obj;
    const char *ns = ctl_namespace_of(ctl, target.kind);
    const char *condition = "";
    if (current >= 0) {
        if (ctl_get(ctl, target.kind, ns, target.name, &obj, &failure))
            return refuse_failure(&failure);
        const char *now = msg_text_at(&ctl->arena, obj, "spec.replicas");
        int64_t have = 0;
        if (now && parse_int(now, 0, INT32_MAX, &have) && have != current)
            return refuse("Expected replicas to be %lld, was %lld", (long long)current,
                          (long long)have);
        condition = arena_printf(&ctl->arena, "\"metadata\":{\"resourceVersion\":\"%s\"},",
                                 object_meta_read(obj)->resourceversion);
    }
    const char *patch = arena_printf(&ctl->arena, "{%s\"spec\":{\"replicas\":%lld}}", condition,
                                     (long long)replicas);
    if (ctl_patch(ctl, target.kind, ns, target.name, API__PATCH__TYPE__MERGE, bytes_of_str(patch),
                  NULL, &obj, &failure))
        return refuse_failure(&failure);
    return print_done(ctl, target.kind, obj, "scaled");
}
