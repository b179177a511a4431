// meta_validate - metadata of every kind, and label selectors (facts: k8s-validation, ObjectMeta).
#include "runtime/api/kinds/check.h"
#include "runtime/api/kinds/rows.h"
#include "runtime/base/clock.h"
#include "runtime/base/text.h"

enum {
    ANNOTATIONS_MAX_BYTES = 256 * 1024,
    SUBRESOURCE_MAX_BYTES = 256,
};

// ---- labels and annotations ---------------------------------------------------------------------
void check_labels(field_errors_t *e, const path_t *path, const void *entries, size_t len) {
    str_entry_t *const *at = entries;
    for (size_t i = 0; i < len; i++) {
        check_rule(e, path, at[i]->key, rule_qualified_name);
        check_rule(e, path, at[i]->value, rule_label_value);
    }
}

const char *lower_text(arena_t *arena, const char *text) {
    char *copy = arena_strdup(arena, text);
    for (char *p = copy; *p; p++)
        if (*p >= 'A' && *p <= 'Z') *p += 'a' - 'A';
    return copy;
}

void check_annotations(field_errors_t *e, const path_t *path, const Meta__ObjectMeta *meta) {
    size_t bytes = 0;
    for (size_t i = 0; i < meta->n_annotations; i++) {
        const char *key = or_empty(meta->annotations[i]->key);
        faults_t faults = rule_qualified_name(e->arena, lower_text(e->arena, key));
        for (size_t f = 0; f < faults.len; f++) tell_invalid(e, path, key, faults.at[f]);
        bytes += strlen(key) + strlen(or_empty(meta->annotations[i]->value));
    }
    if (bytes > ANNOTATIONS_MAX_BYTES) tell_too_long(e, path, ANNOTATIONS_MAX_BYTES);
}

// ---- owners, finalizers, managed fields ---------------------------------------------------------
static void check_owner(field_errors_t *e, const path_t *path, const Meta__OwnerReference *owner) {
    if (is_empty(owner->apiversion))
        tell_invalid(e, PATH(path, "apiVersion"), "", "version must not be empty");
    if (is_empty(owner->kind)) tell_invalid(e, PATH(path, "kind"), "", "kind must not be empty");
    if (is_empty(owner->name)) tell_invalid(e, PATH(path, "name"), "", "name must not be empty");
    if (is_empty(owner->uid)) tell_invalid(e, PATH(path, "uid"), "", "uid must not be empty");
    if (streq(or_empty(owner->apiversion), "v1") && streq(or_empty(owner->kind), "Event"))
        tell_invalid(e, path, "Event", "/v1, Kind=Event is disallowed from being an owner");
}

static void check_owners(field_errors_t *e, const path_t *path, const Meta__ObjectMeta *meta) {
    const char *controller = NULL;
    for (size_t i = 0; i < meta->n_ownerreferences; i++) {
        const Meta__OwnerReference *owner = meta->ownerreferences[i];
        check_owner(e, PATH_AT(path, i), owner);
        if (!owner->controller) continue;
        if (!controller) {
            controller = or_empty(owner->name);
            continue;
        }
        tell_invalid(e, path, or_empty(owner->name),
                     arena_printf(e->arena,
                                  "Only one reference can have Controller set to true. Found "
                                  "\"true\" in references for %s and %s",
                                  controller, or_empty(owner->name)));
    }
}

static bool has_finalizer(const Meta__ObjectMeta *meta, const char *name) {
    for (size_t i = 0; i < meta->n_finalizers; i++)
        if (streq(meta->finalizers[i], name)) return true;
    return false;
}

static void check_finalizers(field_errors_t *e, const path_t *path, const Meta__ObjectMeta *meta) {
    static const char *const standard[] = {"kubernetes", "orphan", "foregroundDeletion", NULL};
    for (size_t i = 0; i < meta->n_finalizers; i++) {
        const path_t *at = PATH_AT(path, i);
        check_rule(e, at, meta->finalizers[i], rule_qualified_name);
        if (!strchr(meta->finalizers[i], '/') && !is_one_of(meta->finalizers[i], standard))
            tell_invalid(e, at, meta->finalizers[i],
                         "name is neither a standard finalizer name nor is it fully qualified");
    }
    if (has_finalizer(meta, "orphan") && has_finalizer(meta, "foregroundDeletion"))
        tell_invalid(e, path, "orphan",
                     "finalizer orphan and foregroundDeletion cannot be both set");
}

static void check_managed_fields(field_errors_t *e, const path_t *path,
                                 const Meta__ObjectMeta *meta) {
    static const char *const operations[] = {"Apply", "Update", NULL};
    for (size_t i = 0; i < meta->n_managedfields; i++) {
        const Meta__ManagedFieldsEntry *entry = meta->managedfields[i];
        const path_t *at = PATH_AT(path, i);
        if (!is_one_of(entry->operation, operations))
            tell_invalid(e, PATH(at, "operation"), entry->operation, "must be `Apply` or `Update`");
        if (!is_empty(entry->fieldstype) && !streq(entry->fieldstype, "FieldsV1"))
            tell_invalid(e, PATH(at, "fieldsType"), entry->fieldstype, "must be `FieldsV1`");
        if (strlen(or_empty(entry->subresource)) > SUBRESOURCE_MAX_BYTES)
            tell_too_long(e, PATH(at, "subresource"), SUBRESOURCE_MAX_BYTES);
    }
}

// ---- create -------------------------------------------------------------------------------------
// A prefix must make a right name: a dash at its end is not the name's end.
static const char *mask_trailing_dash(arena_t *arena, const char *prefix) {
    size_t len = strlen(prefix);
    if (len < 2 || prefix[len - 1] != '-') return prefix;
    return arena_printf(arena, "%.*sa", (int)(len - 2), prefix);
}

static void check_names(field_errors_t *e, const path_t *path, const Meta__ObjectMeta *meta,
                        bool namespaced, rule_fn *name) {
    if (!is_empty(meta->generatename)) {
        faults_t faults = name(e->arena, mask_trailing_dash(e->arena, meta->generatename));
        for (size_t i = 0; i < faults.len; i++)
            tell_invalid(e, PATH(path, "generateName"), meta->generatename, faults.at[i]);
    }
    if (is_empty(meta->name))
        tell_required(e, PATH(path, "name"), "name or generateName is required");
    else
        check_rule(e, PATH(path, "name"), meta->name, name);
    if (namespaced)
        check_required_rule(e, PATH(path, "namespace"), meta->namespace_, rule_dns_label);
    else if (!is_empty(meta->namespace_))
        tell_forbidden(e, PATH(path, "namespace"), "not allowed on this type");
}

static void check_create(field_errors_t *e, const path_t *path, const Meta__ObjectMeta *meta,
                         bool namespaced, rule_fn *name) {
    check_names(e, path, meta, namespaced, name);
    check_not_negative(e, PATH(path, "generation"), meta->generation);
    check_labels(e, PATH(path, "labels"), meta->labels, meta->n_labels);
    check_annotations(e, PATH(path, "annotations"), meta);
    check_owners(e, PATH(path, "ownerReferences"), meta);
    check_finalizers(e, PATH(path, "finalizers"), meta);
    check_managed_fields(e, PATH(path, "managedFields"), meta);
}

// ---- update -------------------------------------------------------------------------------------
static void check_no_new_finalizers(field_errors_t *e, const path_t *path,
                                    const Meta__ObjectMeta *meta, const Meta__ObjectMeta *old) {
    text_t added = {.arena = e->arena};
    names_t before = names_of(e->arena, old->finalizers, old->n_finalizers, NAMES_ARE_ITEMS);
    for (size_t i = 0; i < meta->n_finalizers; i++)
        if (!names_has(&before, meta->finalizers[i]))
            text_addf(&added, "%s%s", added.len ? ", " : "", field_quoted(e, meta->finalizers[i]));
    if (!added.len) return;
    tell_forbidden(e, path,
                   arena_printf(e->arena,
                                "no new finalizers can be added if the object is being deleted, "
                                "found new finalizers []string{%s}",
                                text_str(&added)));
}

static void check_same_text(field_errors_t *e, const path_t *path, const char *value,
                            const char *old) {
    if (!streq(or_empty(value), or_empty(old))) tell_invalid(e, path, value, TEXT_IMMUTABLE);
}

static void check_same_time(field_errors_t *e, const path_t *path, const Meta__Time *value,
                            const Meta__Time *old) {
    if (time_wall_ms(value) == time_wall_ms(old)) return;
    char text[TIME_TEXT_MAX];
    tell_invalid(e, path, value ? clock_rfc3339(time_wall_ms(value), text) : "null",
                 TEXT_IMMUTABLE);
}

static void check_update(field_errors_t *e, const path_t *path, const Meta__ObjectMeta *meta,
                         const Meta__ObjectMeta *old) {
    if (old->deletiontimestamp) check_no_new_finalizers(e, PATH(path, "finalizers"), meta, old);
    if (meta->generation < old->generation)
        tell_invalid_int(e, PATH(path, "generation"), meta->generation, "must not be decremented");
    check_same_text(e, PATH(path, "name"), meta->name, old->name);
    check_same_text(e, PATH(path, "namespace"), meta->namespace_, old->namespace_);
    check_same_text(e, PATH(path, "uid"), meta->uid, old->uid);
    check_same_time(e, PATH(path, "creationTimestamp"), meta->creationtimestamp,
                    old->creationtimestamp);
    check_same_time(e, PATH(path, "deletionTimestamp"), meta->deletiontimestamp,
                    old->deletiontimestamp);
    if (meta->has_deletiongraceperiodseconds != old->has_deletiongraceperiodseconds ||
        meta->deletiongraceperiodseconds != old->deletiongraceperiodseconds)
        tell_invalid_int(e, PATH(path, "deletionGracePeriodSeconds"),
                         meta->deletiongraceperiodseconds, TEXT_IMMUTABLE);
    check_labels(e, PATH(path, "labels"), meta->labels, meta->n_labels);
    check_annotations(e, PATH(path, "annotations"), meta);
    check_owners(e, PATH(path, "ownerReferences"), meta);
    check_managed_fields(e, PATH(path, "managedFields"), meta);
}

void check_meta(field_errors_t *e, const ProtobufCMessage *obj, const ProtobufCMessage *old,
                bool namespaced, rule_fn *name) {
    const path_t *path = PATH(ROOT, "metadata");
    if (old)
        check_update(e, path, object_meta_read(obj), object_meta_read(old));
    else
        check_create(e, path, object_meta_read(obj), namespaced, name);
}

// ---- selectors ----------------------------------------------------------------------------------
static void check_requirement(field_errors_t *e, const path_t *path,
                              const Meta__LabelSelectorRequirement *r) {
    static const char *const with_values[] = {"In", "NotIn", NULL};
    static const char *const without[] = {"Exists", "DoesNotExist", NULL};
    if (is_one_of(r->operator_, with_values)) {
        if (!r->n_values)
            tell_required(e, PATH(path, "values"),
                          "must be specified when `operator` is 'In' or 'NotIn'");
    } else if (is_one_of(r->operator_, without)) {
        if (r->n_values)
            tell_forbidden(e, PATH(path, "values"),
                           "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
    } else {
        tell_invalid(e, PATH(path, "operator"), r->operator_, "not a valid selector operator");
    }
    check_rule(e, PATH(path, "key"), r->key, rule_qualified_name);
    for (size_t i = 0; i < r->n_values; i++)
        check_rule(e, PATH_AT(PATH(path, "values"), i), r->values[i], rule_label_value);
}

void check_label_selector(field_errors_t *e, const path_t *path,
                          const Meta__LabelSelector *selector) {
    if (!selector) return;
    check_labels(e, PATH(path, "matchLabels"), selector->matchlabels, selector->n_matchlabels);
    for (size_t i = 0; i < selector->n_matchexpressions; i++)
        check_requirement(e, PATH_AT(PATH(path, "matchExpressions"), i),
                          selector->matchexpressions[i]);
}

// ---- as Go prints them --------------------------------------------------------------------------
const char *go_map(arena_t *arena, const void *entries, size_t len) {
    str_entry_t *const *at = entries;
    if (!len) return "map[string]string(nil)";
    field_errors_t quoting = {.arena = arena};
    text_t out = {.arena = arena};
    text_add(&out, "map[string]string{");
    for (size_t i = 0; i < len; i++)
        text_addf(&out, "%s%s:%s", i ? ", " : "", field_quoted(&quoting, at[i]->key),
                  field_quoted(&quoting, at[i]->value));
    text_addc(&out, '}');
    return text_str(&out);
}

static void go_requirement(arena_t *arena, text_t *out, const Meta__LabelSelectorRequirement *r) {
    field_errors_t quoting = {.arena = arena};
    text_addf(out, "v1.LabelSelectorRequirement{Key:%s, Operator:%s, Values:[]string",
              field_quoted(&quoting, r->key), field_quoted(&quoting, r->operator_));
    text_add(out, r->n_values ? "{" : "(nil)");
    for (size_t i = 0; i < r->n_values; i++)
        text_addf(out, "%s%s", i ? ", " : "", field_quoted(&quoting, r->values[i]));
    text_add(out, r->n_values ? "}}" : "}");
}

const char *go_selector(arena_t *arena, const Meta__LabelSelector *selector) {
    if (!selector) return "null";
    text_t out = {.arena = arena};
    text_addf(&out,
              "v1.LabelSelector{MatchLabels:%s, MatchExpressions:[]v1.LabelSelectorRequirement",
              go_map(arena, selector->matchlabels, selector->n_matchlabels));
    text_add(&out, selector->n_matchexpressions ? "{" : "(nil)");
    for (size_t i = 0; i < selector->n_matchexpressions; i++) {
        if (i) text_add(&out, ", ");
        go_requirement(arena, &out, selector->matchexpressions[i]);
    }
    text_add(&out, selector->n_matchexpressions ? "}}" : "}");
    return text_str(&out);
}
