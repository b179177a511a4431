#include "actors/controllers/deployment_plan.h"
#include "actors/controllers/controller.h"
#include "runtime/api/msg.h"
#include "runtime/api/selector.h"
#include "runtime/base/canary.h"
#include "runtime/base/hash.h"

#define HASH_LABEL       "pod-template-hash"
#define REVISION         "deployment.kubernetes.io/revision"
#define REVISION_HISTORY "deployment.kubernetes.io/revision-history"
#define DESIRED          "deployment.kubernetes.io/desired-replicas"
#define MAXIMUM          "deployment.kubernetes.io/max-replicas"

// A ReplicaSet while the plan is made: what it has, and what it shall have.
typedef struct {
    const Apps__ReplicaSet *set;
    Apps__ReplicaSet *made;            // the one that is made by this plan; then set is NULL
    int32_t was, replicas;             // wanted pods before and now
    int32_t present, ready, available; // of its status
    int64_t revision, created_ms;
    bool is_leaving;
} rs_t;

typedef struct {
    const deployment_view_t *view;
    const Apps__Deployment *d;
    arena_t *arena;
    deployment_plan_t *plan;
    rs_t *all; // claimed sets, oldest first; the new one may be among them
    size_t all_len;
    rs_t *fresh; // the one with the present template; NULL: none
    int32_t wanted, surge, unavailable;
    int64_t revision; // of the new one
    int32_t collisions;
} planning_t;

// ---- small questions ---------------------------------------------------------------------------

static int32_t min32(int32_t a, int32_t b) { return a < b ? a : b; }
static int32_t max32(int32_t a, int32_t b) { return a > b ? a : b; }

static int64_t number_of(const char *text) { return text ? strtoll(text, NULL, 10) : 0; }

static int64_t annotation_number(const Apps__ReplicaSet *set, const char *key) {
    return number_of(object_annotation(&set->base, key));
}

static int32_t share_of(const Intstr__IntOrString *v, int32_t whole, bool round_up) {
    if (!v) return 0;
    if (!v->type) return v->intval;
    int64_t percent = number_of(v->strval);
    return (int32_t)((percent * whole + (round_up ? 99 : 0)) / 100);
}

static bool is_recreate(const Apps__Deployment *d) {
    return d->spec->strategy && streq(or_empty(d->spec->strategy->type), "Recreate");
}

// Both zero would never move: then one may be away.
static void resolve_fences(planning_t *p) {
    const Apps__RollingUpdateDeployment *rolling =
        p->d->spec->strategy ? p->d->spec->strategy->rollingupdate : NULL;
    if (is_recreate(p->d) || !rolling) return;
    p->surge = share_of(rolling->maxsurge, p->wanted, true);
    p->unavailable = share_of(rolling->maxunavailable, p->wanted, false);
    if (!p->surge && !p->unavailable) p->unavailable = 1;
    p->unavailable = min32(p->unavailable, p->wanted);
}

// ---- templates ---------------------------------------------------------------------------------

static Core__PodTemplateSpec *without_hash(arena_t *arena, const Core__PodTemplateSpec *template) {
    Core__PodTemplateSpec *out =
        MSG_NEW(arena, Core__PodTemplateSpec, core__pod_template_spec__descriptor);
    if (!template) return out;
    out->spec = template->spec;
    const Meta__ObjectMeta *meta = template->metadata;
    if (!meta) return out;
    out->metadata = MSG_NEW(arena, Meta__ObjectMeta, meta__object_meta__descriptor);
    *out->metadata = *meta;
    out->metadata->labels = ARENA_ARRAY(arena, Meta__ObjectMeta__LabelsEntry *, meta->n_labels + 1);
    out->metadata->n_labels = 0;
    for (size_t i = 0; i < meta->n_labels; i++)
        if (!streq(or_empty(meta->labels[i]->key), HASH_LABEL))
            out->metadata->labels[out->metadata->n_labels++] = meta->labels[i];
    return out;
}

bool deployment_templates_equal(const Core__PodTemplateSpec *a, const Core__PodTemplateSpec *b) {
    arena_t arena = {0};
    bool equal = msg_equal(&without_hash(&arena, a)->base, &without_hash(&arena, b)->base);
    arena_done(&arena);
    return equal;
}

// FNV-32a over the packed template and the count of collisions, written with letters and digits
// that make no words (apimachinery's SafeEncodeString).
const char *deployment_template_hash(arena_t *arena, const Core__PodTemplateSpec *template,
                                     int32_t collisions) {
    static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
    bytes_t packed = msg_pack(arena, &without_hash(arena, template)->base);
    uint8_t *bytes = arena_alloc(arena, packed.len + 4);
    if (packed.len) memcpy(bytes, packed.at, packed.len);
    for (int i = 0; i < 4; i++)
        bytes[packed.len + (size_t)i] = (uint8_t)((uint32_t)collisions >> (8 * i));
    uint32_t hash = hash_fnv32a(bytes, packed.len + (collisions ? 4 : 0));
    char *text = arena_printf(arena, "%u", hash);
    for (char *at = text; *at; at++) *at = letters[(unsigned char)*at % (sizeof letters - 1)];
    return text;
}

// ---- which sets are ours -----------------------------------------------------------------------

static deployment_action_t *add_action(planning_t *p, deployment_action_kind_t kind,
                                       const rs_t *rs) {
    deployment_action_t *a = &p->plan->actions[p->plan->actions_len++];
    *a = (deployment_action_t){.kind = kind, .set = rs ? rs->set : NULL};
    return a;
}

static rs_t rs_of(const Apps__ReplicaSet *set) {
    rs_t rs = {
        .set = set,
        .was = set->spec ? set->spec->replicas : 0,
        .revision = annotation_number(set, REVISION),
        .created_ms = time_wall_ms(set->metadata->creationtimestamp),
        .is_leaving = set->metadata->deletiontimestamp,
    };
    rs.replicas = rs.was;
    if (set->status) {
        rs.present = set->status->replicas;
        rs.ready = set->status->readyreplicas;
        rs.available = set->status->availablereplicas;
    }
    return rs;
}

static int by_age(const void *va, const void *vb) {
    const rs_t *a = va, *b = vb;
    if (a->created_ms != b->created_ms) return a->created_ms < b->created_ms ? -1 : 1;
    return strcmp(a->set->metadata->name, b->set->metadata->name);
}

static void claim_sets(planning_t *p, const selector_t *selector) {
    const char *uid = or_empty(p->d->metadata->uid);
    bool leaving = p->d->metadata->deletiontimestamp;
    for (size_t i = 0; i < p->view->sets_len; i++) {
        const Apps__ReplicaSet *set = p->view->sets[i];
        const Meta__OwnerReference *owner = owner_that_controls(set->metadata);
        bool matches = selector_matches(selector, &set->base);
        rs_t rs = rs_of(set);
        if (owner ? !streq(or_empty(owner->uid), uid) : (!matches || leaving || rs.is_leaving))
            continue;
        if (owner && !matches) {
            if (!leaving && !rs.is_leaving) add_action(p, DEPLOYMENT_RELEASE, &rs);
            continue;
        }
        if (!owner) add_action(p, DEPLOYMENT_ADOPT, &rs);
        p->all[p->all_len++] = rs;
    }
    qsort(p->all, p->all_len, sizeof *p->all, by_age);
}

// The oldest set with the present template: two may exist after a collision, and all must agree.
static void find_fresh(planning_t *p) {
    int64_t highest = 0;
    for (size_t i = 0; i < p->all_len; i++) {
        rs_t *rs = &p->all[i];
        bool is_fresh =
            !p->fresh && deployment_templates_equal(rs->set->spec ? rs->set->spec->template_ : NULL,
                                                    p->d->spec->template_);
        if (is_fresh)
            p->fresh = rs;
        else if (rs->revision > highest)
            highest = rs->revision;
    }
    p->revision = highest + 1;
    if (p->fresh && p->fresh->revision > highest) p->revision = p->fresh->revision;
}

static bool is_old(const planning_t *p, const rs_t *rs) { return rs != p->fresh; }

static int32_t total_of(const planning_t *p, bool old_only) {
    int32_t sum = 0;
    for (size_t i = 0; i < p->all_len; i++)
        if (!old_only || is_old(p, &p->all[i])) sum += p->all[i].replicas;
    return sum;
}

static int32_t available_of(const planning_t *p) {
    int32_t sum = 0;
    for (size_t i = 0; i < p->all_len; i++) sum += p->all[i].available;
    return sum;
}

// ---- the new set -------------------------------------------------------------------------------

static Meta__ObjectMeta__LabelsEntry **with_label(arena_t *arena,
                                                  Meta__ObjectMeta__LabelsEntry **labels,
                                                  size_t *len, const char *key, const char *value) {
    Meta__ObjectMeta holder = {.base.descriptor = &meta__object_meta__descriptor,
                               .n_labels = *len,
                               .labels = labels};
    Apps__ReplicaSet carrier = {.base.descriptor = &apps__replica_set__descriptor,
                                .metadata = &holder};
    object_set_label(arena, &carrier.base, key, value);
    *len = carrier.metadata->n_labels;
    return carrier.metadata->labels;
}

static Meta__LabelSelector *selector_with_hash(arena_t *arena, const Meta__LabelSelector *selector,
                                               const char *hash) {
    Meta__LabelSelector *out =
        MSG_NEW(arena, Meta__LabelSelector, meta__label_selector__descriptor);
    *out = *selector;
    out->matchlabels =
        ARENA_ARRAY(arena, Meta__LabelSelector__MatchLabelsEntry *, selector->n_matchlabels + 1);
    Meta__LabelSelector__MatchLabelsEntry *entry =
        MSG_NEW(arena, Meta__LabelSelector__MatchLabelsEntry,
                meta__label_selector__match_labels_entry__descriptor);
    entry->key = HASH_LABEL;
    entry->value = hash;
    size_t len = 0;
    bool placed = false;
    for (size_t i = 0; i < selector->n_matchlabels; i++) { // entries stay sorted
        if (!placed && strcmp(or_empty(selector->matchlabels[i]->key), HASH_LABEL) > 0) {
            out->matchlabels[len++] = entry;
            placed = true;
        }
        out->matchlabels[len++] = selector->matchlabels[i];
    }
    if (!placed) out->matchlabels[len++] = entry;
    out->n_matchlabels = len;
    return out;
}

static bool is_copied(const char *key) {
    static const char *const kept_back[] = {
        "kubectl.kubernetes.io/last-applied-configuration",
        REVISION,
        REVISION_HISTORY,
        DESIRED,
        MAXIMUM,
        "deprecated.deployment.rollback.to",
    };
    for (size_t i = 0; i < LENGTH_OF(kept_back); i++)
        if (streq(key, kept_back[i])) return false;
    return true;
}

static const char *text_of(planning_t *p, int64_t number) {
    return arena_printf(p->arena, "%lld", (long long)number);
}

// What stands in a set's annotations about the whole: for scaling in proportion later.
static const char *size_text(planning_t *p, bool maximum) {
    return text_of(p, maximum ? (p->wanted + p->surge) : p->wanted);
}

static Meta__OwnerReference **owner_list(planning_t *p) {
    Meta__OwnerReference *ref =
        MSG_NEW(p->arena, Meta__OwnerReference, meta__owner_reference__descriptor);
    ref->apiversion = "apps/v1";
    ref->kind = "Deployment";
    ref->name = p->d->metadata->name;
    ref->uid = p->d->metadata->uid;
    ref->has_controller = ref->controller = true;
    ref->has_blockownerdeletion = ref->blockownerdeletion = true;
    Meta__OwnerReference **list = ARENA_NEW(p->arena, Meta__OwnerReference *);
    list[0] = ref;
    return list;
}

static void annotate_made(planning_t *p, Apps__ReplicaSet *set) {
    const Meta__ObjectMeta *meta = p->d->metadata;
    for (size_t i = 0; i < meta->n_annotations; i++)
        if (is_copied(or_empty(meta->annotations[i]->key)))
            object_set_annotation(p->arena, &set->base, meta->annotations[i]->key,
                                  meta->annotations[i]->value);
    object_set_annotation(p->arena, &set->base, REVISION, text_of(p, p->revision));
    object_set_annotation(p->arena, &set->base, DESIRED, size_text(p, false));
    object_set_annotation(p->arena, &set->base, MAXIMUM, size_text(p, true));
}

static Apps__ReplicaSet *make_set(planning_t *p) {
    const Apps__DeploymentSpec *spec = p->d->spec;
    const char *hash = deployment_template_hash(p->arena, spec->template_, p->collisions);
    Apps__ReplicaSet *set = MSG_NEW(p->arena, Apps__ReplicaSet, apps__replica_set__descriptor);
    Core__PodTemplateSpec *template = without_hash(p->arena, spec->template_);
    if (!template->metadata)
        template->metadata = MSG_NEW(p->arena, Meta__ObjectMeta, meta__object_meta__descriptor);
    template->metadata->labels = with_label(p->arena, template->metadata->labels,
                                            &template->metadata->n_labels, HASH_LABEL, hash);
    set->metadata = MSG_NEW(p->arena, Meta__ObjectMeta, meta__object_meta__descriptor);
    set->metadata->name = arena_printf(p->arena, "%s-%s", p->d->metadata->name, hash);
    set->metadata->namespace_ = p->d->metadata->namespace_;
    set->metadata->n_labels = template->metadata->n_labels;
    set->metadata->labels = template->metadata->labels;
    set->metadata->n_ownerreferences = 1;
    set->metadata->ownerreferences = owner_list(p);
    set->spec = MSG_NEW(p->arena, Apps__ReplicaSetSpec, apps__replica_set_spec__descriptor);
    set->spec->has_replicas = true;
    set->spec->has_minreadyseconds = spec->minreadyseconds != 0;
    set->spec->minreadyseconds = spec->minreadyseconds;
    set->spec->selector = selector_with_hash(p->arena, spec->selector, hash);
    set->spec->template_ = template;
    annotate_made(p, set);
    return set;
}

static void make_fresh(planning_t *p) {
    rs_t *rs = &p->all[p->all_len++];
    *rs = (rs_t){.made = make_set(p), .revision = p->revision, .created_ms = p->view->now_wall_ms};
    p->fresh = rs;
}

// How many pods the new set may have now.
static int32_t fresh_size(const planning_t *p) {
    if (is_recreate(p->d)) return p->wanted;
    int32_t room = p->wanted + p->surge - total_of(p, false);
    if (room <= 0) return p->fresh->replicas;
    return p->fresh->replicas + min32(room, max32(p->wanted - p->fresh->replicas, 0));
}

static void size_fresh(planning_t *p) {
    if (p->fresh->replicas > p->wanted)
        p->fresh->replicas = p->wanted;
    else if (p->fresh->replicas < p->wanted)
        p->fresh->replicas = fresh_size(p);
}

// ---- old sets ----------------------------------------------------------------------------------

// Pods that serve nobody go first; the rest only while enough are available (rolling.go,
// reconcileOldReplicaSets).
static void shrink_old(planning_t *p) {
    if (!total_of(p, true)) return;
    int32_t min_available = CANARY(DEPLOYMENT_IGNORES_MINIMUM) ? 0 : p->wanted - p->unavailable;
    int32_t fresh_unavailable = p->fresh->replicas - p->fresh->available;
    int32_t may_go = total_of(p, false) - min_available - fresh_unavailable;
    for (size_t i = 0; i < p->all_len && may_go > 0; i++) {
        rs_t *rs = &p->all[i];
        if (!is_old(p, rs) || rs->replicas <= rs->available) continue;
        int32_t go = min32(may_go, rs->replicas - rs->available);
        rs->replicas -= go;
        may_go -= go;
    }
    int32_t spare = min32(available_of(p) - min_available, may_go);
    for (size_t i = 0; i < p->all_len && spare > 0; i++) {
        rs_t *rs = &p->all[i];
        if (!is_old(p, rs)) continue;
        int32_t go = min32(spare, rs->replicas);
        rs->replicas -= go;
        spare -= go;
    }
}

// ---- a change of size while a rollout is under way, or while paused (sync.go, scale) -----------

static bool is_scaled(const planning_t *p) {
    for (size_t i = 0; i < p->all_len; i++) {
        const rs_t *rs = &p->all[i];
        const char *desired = rs->set ? object_annotation(&rs->set->base, DESIRED) : NULL;
        if (rs->was > 0 && desired && number_of(desired) != p->wanted) return true;
    }
    return false;
}

static int bigger_first_newer(const void *va, const void *vb) {
    const rs_t *a = *(rs_t *const *)va, *b = *(rs_t *const *)vb;
    if (a->replicas != b->replicas) return b->replicas - a->replicas;
    if (a->created_ms != b->created_ms) return a->created_ms > b->created_ms ? -1 : 1;
    return a < b ? 1 : -1;
}

static int bigger_first_older(const void *va, const void *vb) {
    const rs_t *a = *(rs_t *const *)va, *b = *(rs_t *const *)vb;
    if (a->replicas != b->replicas) return b->replicas - a->replicas;
    if (a->created_ms != b->created_ms) return a->created_ms < b->created_ms ? -1 : 1;
    return a < b ? -1 : 1;
}

// This set's part of `to_add`, by its part of what the whole was allowed to be.
static int32_t proportion(const planning_t *p, const rs_t *rs, int32_t to_add, int32_t added) {
    if (!rs->replicas || !to_add || added == to_add) return 0;
    int64_t annotated = rs->set ? annotation_number(rs->set, MAXIMUM) : 0;
    if (!annotated) annotated = p->d->status ? p->d->status->replicas : 0;
    if (!annotated) return 0;
    int64_t allowed_whole = p->wanted + p->surge;
    int64_t twice = 2 * (int64_t)rs->replicas * allowed_whole;
    int32_t part =
        (int32_t)((twice + annotated) / (2 * annotated)) - rs->replicas; // rounded half up
    int32_t left = to_add - added;
    return to_add > 0 ? min32(part, left) : max32(part, left);
}

static void scale_in_proportion(planning_t *p, rs_t **active, size_t len) {
    int32_t allowed = p->wanted > 0 ? p->wanted + p->surge : 0, present = 0, added = 0;
    for (size_t i = 0; i < len; i++) present += active[i]->replicas;
    int32_t to_add = allowed - present;
    qsort(active, len, sizeof *active, to_add > 0 ? bigger_first_newer : bigger_first_older);
    int32_t *sizes = ARENA_ARRAY(p->arena, int32_t, len + 1);
    for (size_t i = 0; i < len; i++) {
        int32_t more = proportion(p, active[i], to_add, added);
        sizes[i] = active[i]->replicas + more;
        added += more;
    }
    if (len) sizes[0] = max32(sizes[0] + to_add - added, 0); // what rounding left over
    for (size_t i = 0; i < len; i++) active[i]->replicas = max32(sizes[i], 0);
}

static bool is_saturated(const planning_t *p) {
    const rs_t *rs = p->fresh;
    return rs && rs->set && rs->replicas == p->wanted &&
           annotation_number(rs->set, DESIRED) == p->wanted && rs->available == p->wanted;
}

static void scale(planning_t *p) {
    rs_t **active = ARENA_ARRAY(p->arena, rs_t *, p->all_len + 1);
    size_t len = 0;
    for (size_t i = 0; i < p->all_len; i++)
        if (p->all[i].replicas > 0) active[len++] = &p->all[i];
    if (len <= 1) {
        rs_t *only = len          ? active[0]
                     : p->fresh   ? p->fresh
                     : p->all_len ? &p->all[p->all_len - 1]
                                  : NULL;
        if (only) only->replicas = p->wanted;
    } else if (is_saturated(p)) {
        for (size_t i = 0; i < len; i++)
            if (is_old(p, active[i])) active[i]->replicas = 0;
    } else if (!is_recreate(p->d)) {
        scale_in_proportion(p, active, len);
    }
}

// ---- the rollout -------------------------------------------------------------------------------

static void roll_over(planning_t *p) {
    if (!p->fresh) make_fresh(p);
    int32_t before = p->fresh->replicas;
    size_fresh(p);
    // As Kubernetes does it: what the new set asks for is seen first, then the old ones give way.
    if (p->fresh->replicas == before && !p->fresh->made) shrink_old(p);
}

static void recreate(planning_t *p) {
    for (size_t i = 0; i < p->all_len; i++)
        if (is_old(p, &p->all[i])) p->all[i].replicas = 0;
    bool old_left = p->view->old_pods_len > 0;
    for (size_t i = 0; i < p->all_len; i++)
        old_left |= is_old(p, &p->all[i]) && (p->all[i].was > 0 || p->all[i].present > 0);
    if (old_left) return;
    if (!p->fresh) make_fresh(p);
    p->fresh->replicas = p->wanted;
}

static bool is_complete(const planning_t *p, const Apps__DeploymentStatus *s) {
    return s->updatedreplicas == p->wanted && s->replicas == p->wanted &&
           s->availablereplicas == p->wanted && s->observedgeneration >= p->d->metadata->generation;
}

static int by_revision(const void *va, const void *vb) {
    const rs_t *a = *(rs_t *const *)va, *b = *(rs_t *const *)vb;
    if (a->revision != b->revision) return a->revision < b->revision ? -1 : 1;
    return by_age(a, b);
}

static void forget_history(planning_t *p) {
    if (!p->d->spec->has_revisionhistorylimit) return;
    rs_t **spent = ARENA_ARRAY(p->arena, rs_t *, p->all_len + 1);
    size_t len = 0, old = 0;
    for (size_t i = 0; i < p->all_len; i++) {
        rs_t *rs = &p->all[i];
        if (!is_old(p, rs) || !rs->set) continue;
        old++;
        int64_t observed = rs->set->status ? rs->set->status->observedgeneration : 0;
        bool idle =
            !rs->replicas && !rs->was && !rs->present && observed >= rs->set->metadata->generation;
        if (idle && !rs->is_leaving) spent[len++] = rs;
    }
    int32_t limit = max32(p->d->spec->revisionhistorylimit, 0);
    qsort(spent, len, sizeof *spent, by_revision);
    for (size_t i = 0; i < len && (int64_t)old > limit; i++, old--)
        add_action(p, DEPLOYMENT_DELETE, spent[i]);
}

// ---- what is to be written ---------------------------------------------------------------------

static void add_annotation(text_t *json, const Apps__ReplicaSet *set, const char *key,
                           const char *value, size_t *len) {
    const char *has = object_annotation(&set->base, key);
    if (has && streq(has, value)) return;
    if ((*len)++) text_addc(json, ',');
    api_json_string(json, key);
    text_addc(json, ':');
    api_json_string(json, value);
}

static const char *history_with(planning_t *p, const Apps__ReplicaSet *set) {
    const char *history = object_annotation(&set->base, REVISION_HISTORY);
    const char *revision = object_annotation(&set->base, REVISION);
    return is_empty(history) ? revision : arena_printf(p->arena, "%s,%s", history, revision);
}

static void annotations_of_fresh(planning_t *p, const rs_t *rs, text_t *json, size_t *len) {
    const Meta__ObjectMeta *meta = p->d->metadata;
    for (size_t i = 0; i < meta->n_annotations; i++)
        if (is_copied(or_empty(meta->annotations[i]->key)))
            add_annotation(json, rs->set, meta->annotations[i]->key,
                           or_empty(meta->annotations[i]->value), len);
    if (rs->revision != p->revision) {
        if (rs->revision)
            add_annotation(json, rs->set, REVISION_HISTORY, history_with(p, rs->set), len);
        add_annotation(json, rs->set, REVISION, text_of(p, p->revision), len);
    }
}

static void patch_set(planning_t *p, const rs_t *rs, bool resized) {
    text_t annotations = {.arena = p->arena}, spec = {.arena = p->arena},
           json = {.arena = p->arena};
    size_t len = 0;
    if (rs == p->fresh) annotations_of_fresh(p, rs, &annotations, &len);
    if (rs == p->fresh || rs->was != rs->replicas || (resized && rs->was > 0)) {
        add_annotation(&annotations, rs->set, DESIRED, size_text(p, false), &len);
        add_annotation(&annotations, rs->set, MAXIMUM, size_text(p, true), &len);
    }
    const char *comma = "";
    if (rs->was != rs->replicas) {
        text_addf(&spec, "\"replicas\":%d", rs->replicas);
        comma = ",";
    }
    if (rs == p->fresh && rs->set->spec->minreadyseconds != p->d->spec->minreadyseconds)
        text_addf(&spec, "%s\"minReadySeconds\":%d", comma, p->d->spec->minreadyseconds);
    if (!len && !spec.len) return;
    text_addc(&json, '{');
    if (len) text_addf(&json, "\"metadata\":{\"annotations\":{%s}}", text_str(&annotations));
    if (spec.len) text_addf(&json, "%s\"spec\":{%s}", len ? "," : "", text_str(&spec));
    text_addc(&json, '}');
    deployment_action_t *a = add_action(p, DEPLOYMENT_PATCH, rs);
    a->json = text_str(&json);
    a->from = rs->was;
    a->to = rs->replicas;
}

static void write_sets(planning_t *p, bool resized) {
    for (size_t i = 0; i < p->all_len; i++) {
        rs_t *rs = &p->all[i];
        if (rs->made) {
            rs->made->spec->replicas = rs->replicas;
            deployment_action_t *a = add_action(p, DEPLOYMENT_CREATE, rs);
            a->made = rs->made;
            a->to = rs->replicas;
        } else if (!rs->is_leaving) {
            patch_set(p, rs, resized);
        }
    }
    const char *has = object_annotation(&p->d->base, REVISION);
    const char *revision = text_of(p, p->revision);
    if (!p->fresh || (has && streq(has, revision))) return;
    add_action(p, DEPLOYMENT_ANNOTATE, NULL)->json =
        arena_printf(p->arena, "{\"metadata\":{\"annotations\":{\"" REVISION "\":\"%s\"}}}",
                     revision);
}

// ---- conditions and status ---------------------------------------------------------------------

static const Apps__DeploymentCondition *condition_of(const Apps__DeploymentStatus *s,
                                                     const char *type) {
    for (size_t i = 0; s && i < s->n_conditions; i++)
        if (streq(or_empty(s->conditions[i]->type), type)) return s->conditions[i];
    return NULL;
}

static void drop_condition(Apps__DeploymentStatus *s, const char *type) {
    size_t len = 0;
    for (size_t i = 0; i < s->n_conditions; i++)
        if (!streq(or_empty(s->conditions[i]->type), type)) s->conditions[len++] = s->conditions[i];
    s->n_conditions = len;
}

// As Kubernetes keeps them: one that says the same is left alone; its transition time moves with
// its status only; what is set stands last.
static void set_condition(planning_t *p, Apps__DeploymentStatus *s, const char *type,
                          const char *status, const char *reason, const char *message, bool touch) {
    const Apps__DeploymentCondition *was = condition_of(s, type);
    bool same_status = was && streq(or_empty(was->status), status);
    if (same_status && streq(or_empty(was->reason), reason) && !touch) return;
    Apps__DeploymentCondition *c =
        MSG_NEW(p->arena, Apps__DeploymentCondition, apps__deployment_condition__descriptor);
    c->type = type;
    c->status = status;
    c->reason = reason;
    c->message = message;
    c->lastupdatetime = time_new(p->arena, p->view->now_wall_ms);
    c->lasttransitiontime = same_status ? was->lasttransitiontime : c->lastupdatetime;
    drop_condition(s, type);
    s->conditions[s->n_conditions++] = c;
}

static Apps__DeploymentStatus *counted_status(planning_t *p) {
    const Apps__DeploymentStatus *was = p->d->status;
    Apps__DeploymentStatus *s =
        MSG_NEW(p->arena, Apps__DeploymentStatus, apps__deployment_status__descriptor);
    int32_t asked = 0;
    for (size_t i = 0; i < p->all_len; i++) {
        asked += p->all[i].was;
        s->replicas += p->all[i].present;
        s->readyreplicas += p->all[i].ready;
        s->availablereplicas += p->all[i].available;
    }
    s->updatedreplicas = p->fresh ? p->fresh->present : 0;
    s->unavailablereplicas = max32(asked - s->availablereplicas, 0);
    s->observedgeneration = p->d->metadata->generation;
    s->has_observedgeneration = s->has_replicas = s->has_updatedreplicas = s->has_readyreplicas =
        s->has_availablereplicas = s->has_unavailablereplicas = true;
    s->has_collisioncount = p->collisions || (was && was->has_collisioncount);
    s->collisioncount = p->collisions;
    s->conditions =
        ARENA_ARRAY(p->arena, Apps__DeploymentCondition *, (was ? was->n_conditions : 0) + 4);
    for (size_t i = 0; was && i < was->n_conditions; i++)
        s->conditions[s->n_conditions++] = was->conditions[i];
    if (s->availablereplicas >= p->wanted - p->unavailable)
        set_condition(p, s, "Available", "True", "MinimumReplicasAvailable",
                      "Deployment has minimum availability.", false);
    else
        set_condition(p, s, "Available", "False", "MinimumReplicasUnavailable",
                      "Deployment does not have minimum availability.", false);
    return s;
}

static const char *subject(planning_t *p) {
    const Apps__ReplicaSet *set =
        p->fresh ? (p->fresh->set ? p->fresh->set : p->fresh->made) : NULL;
    if (set) return arena_printf(p->arena, "ReplicaSet \"%s\"", set->metadata->name);
    return arena_printf(p->arena, "Deployment \"%s\"", p->d->metadata->name);
}

static bool has_deadline(const Apps__Deployment *d) {
    return d->spec->has_progressdeadlineseconds && d->spec->progressdeadlineseconds != INT32_MAX;
}

static bool has_progressed(const Apps__DeploymentStatus *was, const Apps__DeploymentStatus *is) {
    if (!was) return is->updatedreplicas || is->readyreplicas || is->availablereplicas;
    return is->updatedreplicas > was->updatedreplicas ||
           is->replicas - is->updatedreplicas < was->replicas - was->updatedreplicas ||
           is->readyreplicas > was->readyreplicas || is->availablereplicas > was->availablereplicas;
}

// Time left until the rollout counts as stuck; INT64_MAX: it cannot be.
static int64_t deadline_in_ms(const planning_t *p, const Apps__DeploymentStatus *s) {
    const Apps__DeploymentCondition *c = condition_of(s, "Progressing");
    if (!c || !has_deadline(p->d)) return INT64_MAX;
    const char *reason = or_empty(c->reason);
    if (streq(reason, "NewReplicaSetAvailable") || streq(reason, "DeploymentPaused"))
        return INT64_MAX;
    if (streq(reason, "ProgressDeadlineExceeded")) return 0;
    return time_wall_ms(c->lastupdatetime) + (int64_t)p->d->spec->progressdeadlineseconds * 1000 -
           p->view->now_wall_ms;
}

static void set_progress(planning_t *p, Apps__DeploymentStatus *s) {
    const Apps__DeploymentCondition *was = condition_of(s, "Progressing");
    const char *reason = was ? or_empty(was->reason) : "";
    if (p->d->spec->paused) {
        if (has_deadline(p->d))
            set_condition(p, s, "Progressing", "Unknown", "DeploymentPaused",
                          "Deployment is paused", false);
        return;
    }
    if (streq(reason, "DeploymentPaused"))
        set_condition(p, s, "Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed",
                      false);
    if (!has_deadline(p->d)) {
        drop_condition(s, "Progressing");
        return;
    }
    if (p->fresh && p->fresh->made) {
        set_condition(p, s, "Progressing", "True", "NewReplicaSetCreated",
                      arena_printf(p->arena, "Created new replica set \"%s\"",
                                   p->fresh->made->metadata->name),
                      false);
        return;
    }
    if (p->fresh && !condition_of(s, "Progressing"))
        set_condition(p, s, "Progressing", "True", "FoundNewReplicaSet",
                      arena_printf(p->arena, "Found new replica set \"%s\"",
                                   p->fresh->set->metadata->name),
                      false);
    bool settled = s->replicas == s->updatedreplicas && streq(reason, "NewReplicaSetAvailable");
    if (settled) return;
    if (is_complete(p, s))
        set_condition(p, s, "Progressing", "True", "NewReplicaSetAvailable",
                      arena_printf(p->arena, "%s has successfully progressed.", subject(p)), false);
    else if (has_progressed(p->d->status, s))
        set_condition(p, s, "Progressing", "True", "ReplicaSetUpdated",
                      arena_printf(p->arena, "%s is progressing.", subject(p)), true);
    else if (deadline_in_ms(p, s) <= 0)
        set_condition(p, s, "Progressing", "False", "ProgressDeadlineExceeded",
                      arena_printf(p->arena, "%s has timed out progressing.", subject(p)), false);
}

// A set that cannot make its pods speaks for the deployment, the new one first.
static void set_failure(planning_t *p, Apps__DeploymentStatus *s) {
    const Apps__ReplicaSetCondition *failure = NULL;
    for (size_t i = 0; i < p->all_len; i++) {
        const Apps__ReplicaSetStatus *status = p->all[i].set ? p->all[i].set->status : NULL;
        for (size_t j = 0; status && j < status->n_conditions; j++)
            if (streq(or_empty(status->conditions[j]->type), "ReplicaFailure") &&
                (!failure || !is_old(p, &p->all[i])))
                failure = status->conditions[j];
    }
    if (!failure)
        drop_condition(s, "ReplicaFailure");
    else
        set_condition(p, s, "ReplicaFailure", or_empty(failure->status), or_empty(failure->reason),
                      or_empty(failure->message), false);
}

static void plan_status(planning_t *p) {
    Apps__DeploymentStatus *s = counted_status(p);
    set_progress(p, s);
    set_failure(p, s);
    Apps__DeploymentStatus none = {.base.descriptor = &apps__deployment_status__descriptor};
    const Apps__DeploymentStatus *was = p->d->status ? p->d->status : &none;
    if (!msg_equal(&was->base, &s->base)) p->plan->status = s;
    int64_t left_ms = deadline_in_ms(p, s);
    if (left_ms > 0 && !is_complete(p, s)) p->plan->again_in_ms = left_ms;
}

// ---- the whole ---------------------------------------------------------------------------------

static bool selects_everything(const Meta__LabelSelector *selector) {
    return selector && !selector->n_matchlabels && !selector->n_matchexpressions;
}

void deployment_plan(const deployment_view_t *view, arena_t *arena, deployment_plan_t *ret_plan) {
    assert(view->deployment && view->deployment->metadata && view->deployment->spec);
    *ret_plan = (deployment_plan_t){.again_in_ms = INT64_MAX};
    ret_plan->actions = ARENA_ARRAY(arena, deployment_action_t, 3 * view->sets_len + 4);
    planning_t p = {.view = view, .d = view->deployment, .arena = arena, .plan = ret_plan};
    p.wanted = max32(p.d->spec->replicas, 0);
    p.collisions = (p.d->status ? p.d->status->collisioncount : 0) + view->collisions;
    p.all = ARENA_ARRAY(arena, rs_t, view->sets_len + 1);
    resolve_fences(&p);
    const selector_t *selector;
    ret_plan->selects_all = selects_everything(p.d->spec->selector);
    if (ret_plan->selects_all || selector_from_message(arena, p.d->spec->selector, &selector, NULL))
        return;
    claim_sets(&p, selector);
    find_fresh(&p);
    if (p.d->metadata->deletiontimestamp) {
        plan_status(&p);
        return;
    }
    bool resized = is_scaled(&p);
    if (p.d->spec->paused || resized)
        scale(&p);
    else if (is_recreate(p.d))
        recreate(&p);
    else
        roll_over(&p);
    write_sets(&p, resized);
    plan_status(&p);
    const Apps__DeploymentStatus *now = ret_plan->status ? ret_plan->status : p.d->status;
    if (p.d->spec->paused || (now && is_complete(&p, now))) forget_history(&p);
}

void deployment_plan_print(const deployment_plan_t *plan, text_t *out) {
    static const char *const verbs[] = {[DEPLOYMENT_ADOPT] = "adopt",
                                        [DEPLOYMENT_RELEASE] = "release",
                                        [DEPLOYMENT_DELETE] = "delete"};
    if (plan->selects_all) text_add(out, "selects everything\n");
    for (size_t i = 0; i < plan->actions_len; i++) {
        const deployment_action_t *a = &plan->actions[i];
        switch (a->kind) {
        case DEPLOYMENT_CREATE:
            text_addf(out, "create %s with %d\n", a->made->metadata->name, a->to);
            break;
        case DEPLOYMENT_PATCH:
            if (a->from != a->to)
                text_addf(out, "scale %s %d -> %d\n", a->set->metadata->name, a->from, a->to);
            else
                text_addf(out, "patch %s %s\n", a->set->metadata->name, a->json);
            break;
        case DEPLOYMENT_ANNOTATE: text_addf(out, "annotate %s\n", a->json); break;
        default: text_addf(out, "%s %s\n", verbs[a->kind], a->set->metadata->name);
        }
    }
    const Apps__DeploymentStatus *s = plan->status;
    if (s) {
        text_addf(out, "status %d/%d updated, %d ready, %d available, %d not", s->updatedreplicas,
                  s->replicas, s->readyreplicas, s->availablereplicas, s->unavailablereplicas);
        for (size_t i = 0; i < s->n_conditions; i++)
            text_addf(out, "; %s=%s %s", s->conditions[i]->type, s->conditions[i]->status,
                      s->conditions[i]->reason);
        text_add(out, "\n");
    }
    if (plan->again_in_ms < INT64_MAX)
        text_addf(out, "again in %lld ms\n", (long long)plan->again_in_ms);
    if (!plan->actions_len && !s && !plan->selects_all && plan->again_in_ms == INT64_MAX)
        text_add(out, "nothing to do\n");
}
