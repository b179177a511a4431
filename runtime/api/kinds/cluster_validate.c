// cluster_validate - Namespace, Node, Lease, Event (facts: k8s-validation).
#include "k8s/coordination_v1.pb-c.h"
#include "k8s/core_v1.pb-c.h"
#include "runtime/api/kinds/check.h"
#include "runtime/api/kinds/rows.h"

// ---- Namespace ----------------------------------------------------------------------------------
void namespace_validate(const ProtobufCMessage *obj, const ProtobufCMessage *old,
                        field_errors_t *e) {
    static const char *const standard[] = {"kubernetes", "orphan", "foregroundDeletion", NULL};
    const Core__NamespaceSpec *spec = ((const Core__Namespace *)obj)->spec;
    check_meta(e, obj, old, false, rule_dns_label);
    for (size_t i = 0; spec && i < spec->n_finalizers; i++) {
        const path_t *at = PATH_AT(PATH(PATH(ROOT, "spec"), "finalizers"), i);
        check_rule(e, at, spec->finalizers[i], rule_qualified_name);
        if (!strchr(spec->finalizers[i], '/') && !is_one_of(spec->finalizers[i], standard))
            tell_invalid(e, at, spec->finalizers[i],
                         "name is neither a standard finalizer name nor is it fully qualified");
    }
}

void namespace_validate_status(const ProtobufCMessage *obj, const ProtobufCMessage *old,
                               field_errors_t *e) {
    const Core__NamespaceStatus *status = ((const Core__Namespace *)obj)->status;
    const path_t *path = PATH(PATH(ROOT, "status"), "Phase");
    const char *phase = status ? or_empty(status->phase) : "";
    bool leaving = object_meta_read(obj)->deletiontimestamp != NULL;
    check_meta(e, obj, old, false, rule_dns_label);
    if (!leaving && !streq(phase, "Active"))
        tell_invalid(e, path, phase, "may only be 'Active' if `deletionTimestamp` is empty");
    if (leaving && !streq(phase, "Terminating"))
        tell_invalid(e, path, phase,
                     "may only be 'Terminating' if `deletionTimestamp` is not empty");
}

// ---- Node ---------------------------------------------------------------------------------------
static const Core__NodeSpec *node_spec(const ProtobufCMessage *obj) {
    static const Core__NodeSpec empty = {.base.descriptor = &core__node_spec__descriptor};
    const Core__NodeSpec *spec = ((const Core__Node *)obj)->spec;
    return spec ? spec : &empty;
}

// Kubernetes tells taints under metadata.
static void check_taints(field_errors_t *e, const Core__NodeSpec *spec) {
    static const char *const effects[] = {"NoSchedule", "PreferNoSchedule", "NoExecute", NULL};
    const char **keys = ARENA_ARRAY(e->arena, const char *, spec->n_taints + 1);
    for (size_t i = 0; i < spec->n_taints; i++)
        keys[i] = arena_printf(e->arena, "%s:%s", or_empty(spec->taints[i]->key),
                               or_empty(spec->taints[i]->effect));
    names_t names = names_of(e->arena, keys, spec->n_taints, NAMES_ARE_ITEMS);
    for (size_t i = 0; i < spec->n_taints; i++) {
        const Core__Taint *taint = spec->taints[i];
        const path_t *at = PATH_AT(PATH(PATH(ROOT, "metadata"), "taints"), i);
        check_rule(e, PATH(at, "key"), taint->key, rule_qualified_name);
        check_rule(e, PATH(at, "value"), taint->value, rule_label_value);
        check_enum(e, PATH(at, "effect"), taint->effect, effects);
        if (names_repeat(&names, i)) tell_duplicate(e, at, taint->key);
    }
}

static void check_pod_ranges(field_errors_t *e, const Core__NodeSpec *spec) {
    const path_t *path = PATH(PATH(ROOT, "spec"), "podCIDRs");
    size_t counts[IP_V6 + 1] = {0};
    for (size_t i = 0; i < spec->n_podcidrs; i++) {
        ip_family_t family = cidr_family(spec->podcidrs[i]);
        if (family == IP_NONE) tell_invalid(e, PATH_AT(path, i), spec->podcidrs[i], TEXT_CIDR);
        counts[family]++;
    }
    if (counts[IP_V4] > 1 || counts[IP_V6] > 1)
        tell_invalid_raw(e, path, "[]", "may specify no more than one CIDR for each IP family");
}

static bool same_ranges(const Core__NodeSpec *a, const Core__NodeSpec *b) {
    if (a->n_podcidrs != b->n_podcidrs) return false;
    for (size_t i = 0; i < a->n_podcidrs; i++)
        if (!streq(a->podcidrs[i], b->podcidrs[i])) return false;
    return true;
}

static void check_addresses(field_errors_t *e, const path_t *path, const Core__NodeStatus *status) {
    size_t len = status ? status->n_addresses : 0;
    const char **keys = ARENA_ARRAY(e->arena, const char *, len + 1);
    for (size_t i = 0; i < len; i++)
        keys[i] = arena_printf(e->arena, "%s %s", or_empty(status->addresses[i]->type),
                               or_empty(status->addresses[i]->address));
    names_t names = names_of(e->arena, keys, len, NAMES_ARE_ITEMS);
    for (size_t i = 0; i < len; i++)
        if (names_repeat(&names, i))
            tell_duplicate(e, PATH_AT(path, i), status->addresses[i]->address);
}

static void check_node_update(field_errors_t *e, const ProtobufCMessage *obj,
                              const ProtobufCMessage *old) {
    const Core__NodeSpec *spec = node_spec(obj), *before = node_spec(old);
    const Core__NodeStatus *status = ((const Core__Node *)obj)->status;
    const path_t *path = PATH(ROOT, "spec");
    check_addresses(e, PATH(PATH(ROOT, "status"), "addresses"), status);
    if (before->n_podcidrs && !same_ranges(spec, before))
        tell_forbidden(e, PATH(path, "podCIDRs"),
                       "node updates may not change podCIDR except from \"\" to valid");
    if (!is_empty(before->providerid) && !streq(or_empty(spec->providerid), before->providerid))
        tell_forbidden(e, PATH(path, "providerID"),
                       "node updates may not change providerID except from \"\" to valid");
    if (!is_empty(before->externalid) && !streq(or_empty(spec->externalid), before->externalid))
        tell_forbidden(e, PATH(path, "externalID"), "may not be updated");
}

void node_validate(const ProtobufCMessage *obj, const ProtobufCMessage *old, field_errors_t *e) {
    check_meta(e, obj, old, false, rule_dns_subdomain);
    check_taints(e, node_spec(obj));
    check_pod_ranges(e, node_spec(obj));
    if (old) check_node_update(e, obj, old);
}

// ---- Lease --------------------------------------------------------------------------------------
void lease_validate(const ProtobufCMessage *obj, const ProtobufCMessage *old, field_errors_t *e) {
    const Coordination__LeaseSpec *spec = ((const Coordination__Lease *)obj)->spec;
    const path_t *path = PATH(ROOT, "spec");
    check_meta(e, obj, old, true, rule_dns_subdomain);
    if (!spec) return;
    if (spec->has_leasedurationseconds && spec->leasedurationseconds <= 0)
        tell_invalid_int(e, PATH(path, "leaseDurationSeconds"), spec->leasedurationseconds,
                         "must be greater than 0");
    if (spec->has_leasetransitions)
        check_not_negative(e, PATH(path, "leaseTransitions"), spec->leasetransitions);
}

// ---- Event --------------------------------------------------------------------------------------
enum { EVENT_WORD_MAX = 128, EVENT_MESSAGE_MAX = 1024 };

static void check_word(field_errors_t *e, const path_t *path, const char *value) {
    if (is_empty(value)) tell_required(e, path, NULL);
    if (strlen(or_empty(value)) > EVENT_WORD_MAX)
        tell_invalid(e, path, "", "can have at most 128 characters");
}

// An event lies in the namespace of what it is about; one about a thing without a namespace in
// "default", of the old form also in none, of the new form also in "kube-system".
static void check_event_namespace(field_errors_t *e, const Core__Event *event, bool is_new) {
    const char *ns = or_empty(object_meta_read(&event->base)->namespace_);
    const char *about = event->involvedobject ? or_empty(event->involvedobject->namespace_) : "";
    bool right = *about   ? streq(ns, about)
                 : is_new ? streq(ns, "default") || streq(ns, "kube-system")
                          : !*ns || streq(ns, "default");
    if (!right)
        tell_invalid(e, PATH(PATH(ROOT, "involvedObject"), "namespace"), about,
                     "does not match event.namespace");
}

void event_validate(const ProtobufCMessage *obj, const ProtobufCMessage *old, field_errors_t *e) {
    const Core__Event *event = (const Core__Event *)obj;
    bool is_new = microtime_wall_ms(event->eventtime) != 0;
    check_meta(e, obj, old, true, rule_any_name);
    check_event_namespace(e, event, is_new);
    if (is_new) {
        const path_t *controller = PATH(ROOT, "reportingController");
        if (is_empty(event->reportingcomponent)) tell_required(e, controller, NULL);
        check_rule(e, controller, event->reportingcomponent, rule_qualified_name);
        check_word(e, PATH(ROOT, "reportingInstance"), event->reportinginstance);
        check_word(e, PATH(ROOT, "action"), event->action);
        check_word(e, PATH(ROOT, "reason"), event->reason);
        if (strlen(or_empty(event->message)) > EVENT_MESSAGE_MAX)
            tell_invalid(e, PATH(ROOT, "message"), "", "can have at most 1024 characters");
    }
    check_rule(e, PATH(ROOT, "namespace"), object_meta_read(obj)->namespace_, rule_dns_subdomain);
}
