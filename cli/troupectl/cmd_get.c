#include "cli/troupectl/ctl.h"
#include "runtime/api/codec.h"

static void say_nothing_found(const ctl_t *ctl, const targets_t *targets) {
    bool any_namespaced = false;
    for (size_t i = 0; i < targets->len; i++) any_namespaced |= targets->at[i].kind->namespaced;
    if (any_namespaced && !ctl->o.all_namespaces)
        fprintf(stderr, "No resources found in %s namespace.\n", ctl_namespace(ctl));
    else
        fprintf(stderr, "No resources found\n");
}

static const char *list_namespace(const ctl_t *ctl, const kind_t *k) {
    return ctl->o.all_namespaces ? "" : ctl_namespace_of(ctl, k);
}

// ---- watching ----------------------------------------------------------------------------------

typedef struct {
    ctl_t *ctl;
    const kind_t *kind;
    const char *name;
} watching_t;

static bool print_change(void *arg, Api__WatchEvent__Type type, ProtobufCMessage *obj,
                         int64_t revision) {
    watching_t *w = arg;
    if (w->name && !streq(w->name, or_empty(object_meta_read(obj)->name))) return true;
    w->ctl->o.no_headers = true;
    print_objects(w->ctl, w->kind, &obj, 1, false);
    fflush(stdout);
    return true;
}

static int watch_from(ctl_t *ctl, const target_t *target, int64_t revision) {
    watching_t watching = {ctl, target->kind, target->name};
    failure_t failure;
    err_t err = ctl_watch(ctl, target->kind, list_namespace(ctl, target->kind), ctl->o.selector,
                          ctl->o.field_selector, revision, 0, print_change, &watching, &failure);
    return err ? refuse_failure(&failure) : 0;
}

// ---- listing -----------------------------------------------------------------------------------

// Objects of consecutive targets of one kind are shown together.
typedef struct {
    const kind_t *kind;
    VEC(ProtobufCMessage *) objs;
    int64_t revision;
} batch_t;
typedef VEC(batch_t) batches_t;

static int fetch(ctl_t *ctl, const target_t *target, batch_t *batch) {
    failure_t failure;
    if (target->name) {
        ProtobufCMessage *obj;
        if (ctl_get(ctl, target->kind, ctl_namespace_of(ctl, target->kind), target->name, &obj,
                    &failure))
            return ctl->o.ignore_not_found && failure.err == ERR_NOT_FOUND
                       ? 0
                       : refuse_failure(&failure);
        vec_push(&batch->objs, obj);
        int64_t revision = 0;
        if (parse_int(or_empty(object_meta_read(obj)->resourceversion), 0, INT64_MAX, &revision))
            batch->revision = revision;
        return 0;
    }
    objects_t found;
    if (ctl_list(ctl, target->kind, list_namespace(ctl, target->kind), ctl->o.selector,
                 ctl->o.field_selector, &found, &failure))
        return refuse_failure(&failure);
    for (size_t i = 0; i < found.len; i++) vec_push(&batch->objs, found.at[i]);
    batch->revision = found.revision;
    return 0;
}

static int print_batches(ctl_t *ctl, const targets_t *targets, batches_t *batches) {
    size_t shown = 0;
    bool single = targets->len == 1 && targets->at[0].name;
    if (batches->len > 1 && output_is_table(ctl)) ctl->o.show_kind = true;
    for (size_t i = 0; i < batches->len; i++) {
        batch_t *b = &batches->at[i];
        if (b->objs.len == 0 && (output_is_table(ctl) || batches->len > 1)) continue;
        if (shown++ && output_is_table(ctl)) putchar('\n');
        int code = print_objects(ctl, b->kind, b->objs.at, b->objs.len, !single);
        if (code) return code;
    }
    if (!shown && !ctl->o.watch && !ctl->o.ignore_not_found) say_nothing_found(ctl, targets);
    return 0;
}

static bool targets_from_files(ctl_t *ctl, targets_t *ret_targets) {
    wanteds_t wanteds = {0};
    bool ok = manifests_load(ctl, &wanteds);
    target_t *at = ARENA_ARRAY(&ctl->arena, target_t, wanteds.len + 1);
    for (size_t i = 0; ok && i < wanteds.len; i++)
        at[i] = (target_t){wanteds.at[i].kind, object_meta_read(wanteds.at[i].obj)->name};
    *ret_targets = (targets_t){at, wanteds.len, wanteds.len};
    vec_done(&wanteds);
    return ok;
}

int cmd_get(ctl_t *ctl) {
    targets_t targets;
    if (ctl->words.len == 1 && streq(ctl->words.at[0], "deadletters")) return cmd_dead_letters(ctl);
    if (!(ctl->o.filenames.len ? targets_from_files(ctl, &targets)
                               : targets_parse(ctl, 0, &targets)))
        return EXIT_FAILED;
    bool watches = ctl->o.watch || ctl->o.watch_only;
    if (watches && targets.len != 1)
        return refuse("you may only specify a single resource type, or one object, with --watch");
    batches_t batches = {0};
    int code = 0, worst = 0;
    for (size_t i = 0; i < targets.len; i++) {
        if (i == 0 || targets.at[i].kind != targets.at[i - 1].kind)
            vec_push(&batches, ((batch_t){.kind = targets.at[i].kind}));
        code = fetch(ctl, &targets.at[i], &batches.at[batches.len - 1]);
        if (code) worst = code; // the others are still shown
    }
    size_t found = 0;
    for (size_t i = 0; i < batches.len; i++) found += batches.at[i].objs.len;
    if (!ctl->o.watch_only && (!worst || found)) code = print_batches(ctl, &targets, &batches);
    int64_t revision = batches.len ? batches.at[0].revision : 0;
    for (size_t i = 0; i < batches.len; i++) vec_done(&batches.at[i].objs);
    vec_done(&batches);
    if (worst || code) return worst ? worst : code;
    return watches ? watch_from(ctl, &targets.at[0], revision) : 0;
}
