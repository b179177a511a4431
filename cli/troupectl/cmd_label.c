// label and annotate: one merge patch per object.
#include "cli/troupectl/ctl.h"
#include <jansson.h>

typedef struct {
    const char *key, *value;
} change_t; // value NULL: remove
typedef VEC(change_t) changes_t;
typedef struct {
    const char *what, *done; // "labels", "labeled"
    const char *(*current)(const ProtobufCMessage *obj, const char *key);
} field_t;

// Words from the first "k=v" or "k-" on are changes; those before it name the objects.
static bool split_words(ctl_t *ctl, changes_t *changes) {
    size_t objects_len = 0;
    while (objects_len < ctl->words.len && !strchr(ctl->words.at[objects_len], '=') &&
           !(objects_len > 0 && has_suffix(ctl->words.at[objects_len], "-")))
        objects_len++;
    for (size_t i = objects_len; i < ctl->words.len; i++) {
        const char *word = ctl->words.at[i], *equals = strchr(word, '=');
        if (equals)
            vec_push(changes, ((change_t){arena_strndup(&ctl->arena, word, (size_t)(equals - word)),
                                          equals + 1}));
        else if (has_suffix(word, "-"))
            vec_push(changes,
                     ((change_t){arena_strndup(&ctl->arena, word, strlen(word) - 1), NULL}));
        else
            return refuse("all resources must be specified before the changes: \"%s\"", word),
                   false;
    }
    ctl->words.len = objects_len;
    if (!changes->len && !ctl->o.list)
        return refuse("at least one change is required: KEY=VALUE, or KEY- to remove"), false;
    return true;
}

static int change_one(ctl_t *ctl, const kind_t *k, const char *ns, ProtobufCMessage *obj,
                      const changes_t *changes, const field_t *field) {
    const char *name = object_meta_read(obj)->name;
    json_t *values = json_object();
    int code = 0;
    for (size_t i = 0; i < changes->len && !code; i++) {
        const change_t *c = &changes->at[i];
        const char *now = field->current(obj, c->key);
        if (c->value && now && !streq(now, c->value) && !ctl->o.overwrite)
            code = refuse("'%s' already has a value (%s), and --overwrite is false", c->key, now);
        if (!c->value && !now)
            printf("%s \"%s\" not found.\n", streq(field->what, "labels") ? "label" : "annotation",
                   c->key);
        json_object_set_new(values, c->key, c->value ? json_string(c->value) : json_null());
    }
    json_t *patch = json_pack("{s:{s:o}}", "metadata", field->what, values);
    char *text = json_dumps(patch, JSON_COMPACT);
    json_decref(patch);
    failure_t failure;
    Api__Reply *reply;
    ProtobufCMessage *made;
    if (!code && ctl_patch(ctl, k, ns, name, API__PATCH__TYPE__MERGE, bytes_of_str(text), &reply,
                           &made, &failure))
        code = refuse_failure(&failure);
    else if (!code)
        code = print_done(ctl, k, made,
                          reply->outcome == API__OUTCOME__UNCHANGED
                              ? arena_printf(&ctl->arena, "not %s", field->done)
                              : field->done);
    free(text);
    return code;
}

static void list_values(ctl_t *ctl, const field_t *field, ProtobufCMessage *obj) {
    const Meta__ObjectMeta *meta = object_meta_read(obj);
    bool labels = streq(field->what, "labels");
    size_t len = labels ? meta->n_labels : meta->n_annotations;
    for (size_t i = 0; i < len; i++)
        printf("%s=%s\n", labels ? meta->labels[i]->key : meta->annotations[i]->key,
               labels ? meta->labels[i]->value : meta->annotations[i]->value);
}

static int change_all(ctl_t *ctl, const field_t *field) {
    changes_t changes = {0};
    targets_t targets;
    int worst = 0;
    if (!split_words(ctl, &changes) || !targets_parse(ctl, 0, &targets))
        return vec_done(&changes), EXIT_FAILED;
    for (size_t i = 0; i < targets.len; i++) {
        const target_t *t = &targets.at[i];
        const char *ns = ctl_namespace_of(ctl, t->kind);
        failure_t failure;
        ProtobufCMessage *one;
        objects_t found = {&one, 1, 0};
        if (!t->name && !ctl->o.all && !ctl->o.selector) {
            worst =
                refuse("one or more resources must be specified as TYPE NAME, or with --all or -l");
            continue;
        }
        err_t err = t->name ? ctl_get(ctl, t->kind, ns, t->name, &one, &failure)
                            : ctl_list(ctl, t->kind, ns, ctl->o.selector, NULL, &found, &failure);
        if (err) worst = refuse_failure(&failure);
        for (size_t n = 0; !err && n < found.len; n++) {
            if (ctl->o.list) {
                list_values(ctl, field, found.at[n]);
                continue;
            }
            int code = change_one(ctl, t->kind, ns, found.at[n], &changes, field);
            if (code) worst = code;
        }
    }
    vec_done(&changes);
    return worst;
}

int cmd_label(ctl_t *ctl) { return change_all(ctl, &(field_t){"labels", "labeled", object_label}); }
int cmd_annotate(ctl_t *ctl) {
    return change_all(ctl, &(field_t){"annotations", "annotated", object_annotation});
}

// ---- nodes: spec.unschedulable -----------------------------------------------------------------

static int set_unschedulable(ctl_t *ctl, bool on) {
    const kind_t *k = kind_find("", "v1", "Node");
    objects_t found = {0};
    failure_t failure;
    if (ctl->words.len == 0 && !ctl->o.selector) return refuse("want the NODE to %s", ctl->verb);
    if (ctl->o.selector && ctl_list(ctl, k, "", ctl->o.selector, NULL, &found, &failure))
        return refuse_failure(&failure);
    for (size_t i = 0; i < found.len; i++)
        vec_push(&ctl->words, object_meta_read(found.at[i])->name);
    int worst = 0;
    for (size_t i = 0; i < ctl->words.len; i++) {
        ProtobufCMessage *made;
        Api__Reply *reply;
        const char *patch =
            on ? "{\"spec\":{\"unschedulable\":true}}" : "{\"spec\":{\"unschedulable\":null}}";
        if (ctl_patch(ctl, k, "", ctl->words.at[i], API__PATCH__TYPE__MERGE, bytes_of_str(patch),
                      &reply, &made, &failure))
            worst = refuse_failure(&failure);
        else
            printf("%s %s%sed\n", object_ref(ctl, k, ctl->words.at[i]),
                   reply->outcome == API__OUTCOME__UNCHANGED ? "already " : "", ctl->verb);
    }
    return worst;
}

int cmd_cordon(ctl_t *ctl) { return set_unschedulable(ctl, true); }
int cmd_uncordon(ctl_t *ctl) { return set_unschedulable(ctl, false); }
