#include "actors/chaos/experiment_plan.h"
#include "k8s/apps_v1.pb-c.h"
#include "runtime/actor/targets.h"
#include "runtime/api/quantity.h"
#include "runtime/api/special.h"
#include "runtime/base/hash.h"

enum { WRITE_ACKED = 1, WRITE_SEEN = 2 };

int64_t duration_ms(const char *text) {
    int64_t nanos;
    if (is_empty(text) || special_duration_parse(text, strlen(text), &nanos)) return 0;
    return nanos / 1000000;
}

// ---- when ---------------------------------------------------------------------------------------

// A repetition comes up to a quarter of its period late.
static int64_t late_ms(int64_t seed, size_t fault, int64_t turn, int64_t every_ms) {
    int64_t facts[] = {seed, (int64_t)fault, turn};
    return turn ? (int64_t)(hash_fnv64a(facts, sizeof facts) % (uint64_t)(every_ms / 4 + 1)) : 0;
}

static int by_time(const void *a, const void *b) {
    const strike_t *x = a, *y = b;
    if (x->at_ms != y->at_ms) return x->at_ms < y->at_ms ? -1 : 1;
    return x->fault < y->fault ? -1 : x->fault > y->fault;
}

void schedule_plan(arena_t *arena, const Experiments__ExperimentSpec *spec, schedule_t *ret) {
    *ret = (schedule_t){.at = ARENA_ARRAY(arena, strike_t, STRIKES_MAX),
                        .duration_ms = duration_ms(spec->duration),
                        .recovery_ms = duration_ms(spec->recoverytimeout)};
    for (size_t i = 0; i < spec->n_faults; i++) {
        int64_t at_ms = duration_ms(spec->faults[i]->at);
        int64_t every_ms = duration_ms(spec->faults[i]->every);
        for (int64_t turn = 0; ret->len < STRIKES_MAX; turn++) {
            int64_t when_ms = at_ms + turn * every_ms + late_ms(spec->seed, i, turn, every_ms);
            if (when_ms >= ret->duration_ms) break;
            ret->at[ret->len++] = (strike_t){when_ms, i};
            if (!every_ms) break;
        }
    }
    if (ret->len) qsort(ret->at, ret->len, sizeof *ret->at, by_time);
}

bool strike_rule(arena_t *arena, const char *experiment, const Experiments__ExperimentFault *fault,
                 size_t serial, Actor__FaultRule *ret_rule) {
    enum { FOR_DEFAULT_MS = 5000, DELAY_DEFAULT_MS = 100, OFFSET_DEFAULT_MS = 60 * 1000 };
    *ret_rule = (Actor__FaultRule){PROTOBUF_C_MESSAGE_INIT(&actor__fault_rule__descriptor)};
    if (!fault_kind_parse(or_empty(fault->action), &ret_rule->kind)) return false;
    int64_t for_ms = duration_ms(fault->for_), delay_ms = duration_ms(fault->delay);
    int64_t offset_ms = duration_ms(fault->offset);
    bool at_once = ret_rule->kind >= ACTOR__FAULT_RULE__KIND__KILL;
    ret_rule->name = arena_printf(arena, "x-%s-%zu", experiment, serial);
    ret_rule->for_ms = at_once ? 0 : (uint32_t)(for_ms ? for_ms : FOR_DEFAULT_MS);
    ret_rule->delay_ms = (uint32_t)(delay_ms ? delay_ms : DELAY_DEFAULT_MS);
    ret_rule->jitter_ms = (uint32_t)duration_ms(fault->jitter);
    ret_rule->skew_ms = offset_ms ? offset_ms : OFFSET_DEFAULT_MS;
    ret_rule->probability = fault->probability;
    ret_rule->both_ways = true;
    ret_rule->from = ret_rule->to = ret_rule->type = ret_rule->target = "";
    return true;
}

// ---- judged -------------------------------------------------------------------------------------

const char *invariant_name(invariant_t invariant) {
    static const char *const names[] = {
        [INVARIANT_WRITES] = "AcknowledgedWritesKept",  [INVARIANT_WATCH] = "WatchInOrderOnce",
        [INVARIANT_LEADERS] = "OneLeaderPerEpoch",      [INVARIANT_BINDS] = "PodsBoundOnce",
        [INVARIANT_CAPACITY] = "NodesNotOvercommitted", [INVARIANT_WANTED] = "WantedStateReached",
    };
    return names[invariant];
}

void ledger_done(ledger_t *l) {
    size_t at = 0;
    void *node;
    while (map_next(&l->nodes_of, &at, NULL, &node)) free(node);
    map_done(&l->nodes_of);
    vec_done(&l->writes);
}

void finding_break(finding_t *f, const char *fmt, ...) {
    if (f->broken[0]) return;
    va_list args;
    va_start(args, fmt);
    vsnprintf(f->broken, sizeof f->broken, fmt, args);
    va_end(args);
}

static void mark(ledger_t *l, int64_t number, uint8_t flag) {
    while ((int64_t)l->writes.len <= number) vec_push(&l->writes, 0);
    l->writes.at[number] |= flag;
}

void ledger_acked(ledger_t *l, int64_t number) {
    l->findings[INVARIANT_WRITES].checked++;
    if (number <= l->acked)
        finding_break(&l->findings[INVARIANT_WRITES],
                      "write %lld was acknowledged after write %lld", (long long)number,
                      (long long)l->acked);
    mark(l, number, WRITE_ACKED);
    l->acked = number;
}

void ledger_read(ledger_t *l, int64_t acked, int64_t number) {
    l->findings[INVARIANT_WRITES].checked++;
    if (number < acked)
        finding_break(&l->findings[INVARIANT_WRITES],
                      "write %lld was acknowledged, a later read finds %lld", (long long)acked,
                      (long long)number);
}

void ledger_watched(ledger_t *l, int64_t revision, int64_t number) {
    l->findings[INVARIANT_WATCH].checked++;
    if (revision <= l->seen_revision)
        finding_break(&l->findings[INVARIANT_WATCH], "revision %lld came after %lld",
                      (long long)revision, (long long)l->seen_revision);
    if (number <= l->seen)
        finding_break(&l->findings[INVARIANT_WATCH], "write %lld came after %lld",
                      (long long)number, (long long)l->seen);
    l->seen_revision = revision;
    l->seen = number;
    mark(l, number, WRITE_SEEN);
}

void ledger_leaders(ledger_t *l, const Actor__ActorInfos *actors) {
    for (size_t i = 0; i < actors->n_actors; i++) {
        const Actor__ActorInfo *a = actors->actors[i];
        if (!a->epoch) continue;
        l->findings[INVARIANT_LEADERS].checked++;
        for (size_t k = 0; k < i; k++) {
            const Actor__ActorInfo *b = actors->actors[k];
            if (b->epoch == a->epoch && streq(b->role, a->role) && !streq(a->address, b->address))
                finding_break(&l->findings[INVARIANT_LEADERS],
                              "%s and %s both lead with epoch %llu", b->address, a->address,
                              (unsigned long long)a->epoch);
        }
    }
}

void ledger_pod(ledger_t *l, const Core__Pod *pod) {
    if (!pod->metadata || !pod->spec || is_empty(pod->spec->nodename)) return;
    const char *uid = or_empty(pod->metadata->uid), *was = map_get(&l->nodes_of, uid);
    l->findings[INVARIANT_BINDS].checked++;
    if (was && !streq(was, pod->spec->nodename))
        finding_break(&l->findings[INVARIANT_BINDS], "pod %s/%s was bound to %s and then to %s",
                      or_empty(pod->metadata->namespace_), or_empty(pod->metadata->name), was,
                      pod->spec->nodename);
    if (!was) map_put(&l->nodes_of, uid, str_dup(pod->spec->nodename));
}

// Milli of the resource in this list; 0: it is not in it.
static int64_t milli_of(const Core__ResourceRequirements *r, const char *name) {
    for (size_t i = 0; r && i < r->n_requests; i++) {
        quantity_t q;
        const Resource__Quantity *value = r->requests[i]->value;
        if (streq(or_empty(r->requests[i]->key), name) && value &&
            !quantity_parse(or_empty(value->string), &q))
            return quantity_milli(q);
    }
    return 0;
}

static bool is_running_on(const Core__Pod *pod, const char *node) {
    const char *phase = pod->status ? or_empty(pod->status->phase) : "";
    return pod->spec && streq(or_empty(pod->spec->nodename), node) && !streq(phase, "Succeeded") &&
           !streq(phase, "Failed");
}

static int64_t promised_milli(records_t pods, const char *node, const char *resource) {
    int64_t sum = 0;
    for (size_t i = 0; i < pods.len; i++) {
        const Core__Pod *pod = RECORD_AS(Core__Pod, pods.at[i]);
        if (!is_running_on(pod, node)) continue;
        if (streq(resource, "pods")) sum += 1000;
        for (size_t c = 0; c < pod->spec->n_containers; c++)
            sum += milli_of(pod->spec->containers[c]->resources, resource);
    }
    return sum;
}

void ledger_capacity(ledger_t *l, records_t nodes, records_t pods) {
    for (size_t i = 0; i < nodes.len; i++) {
        const Core__Node *node = RECORD_AS(Core__Node, nodes.at[i]);
        for (size_t k = 0; node->status && k < node->status->n_allocatable; k++) {
            const char *resource = or_empty(node->status->allocatable[k]->key);
            const Resource__Quantity *value = node->status->allocatable[k]->value;
            quantity_t has;
            if (!value || quantity_parse(or_empty(value->string), &has)) continue;
            l->findings[INVARIANT_CAPACITY].checked++;
            int64_t promised = promised_milli(pods, nodes.at[i]->name, resource);
            if (promised > quantity_milli(has))
                finding_break(&l->findings[INVARIANT_CAPACITY],
                              "node %s has promised %lld milli of %s, and has %lld",
                              nodes.at[i]->name, (long long)promised, resource,
                              (long long)quantity_milli(has));
        }
    }
}

void ledger_wanted(ledger_t *l, bool reached, const char *what) {
    l->findings[INVARIANT_WANTED].checked++;
    if (!reached) finding_break(&l->findings[INVARIANT_WANTED], "%s", what);
}

bool ledger_watch_is_there(const ledger_t *l) { return l->seen >= l->acked; }

void ledger_close(ledger_t *l) {
    for (size_t n = 0; n < l->writes.len; n++)
        if (l->writes.at[n] == WRITE_ACKED)
            finding_break(&l->findings[INVARIANT_WATCH],
                          "write %zu was acknowledged, and no watch has shown it", n);
}

bool ledger_passes(const ledger_t *l) {
    for (size_t i = 0; i < INVARIANTS_LEN; i++)
        if (l->findings[i].broken[0]) return false;
    return true;
}

bool deployment_is_steady(arena_t *arena, const ProtobufCMessage *deployment,
                          const char **ret_what) {
    const Apps__Deployment *d = (const Apps__Deployment *)deployment;
    const Meta__ObjectMeta *meta = d->metadata;
    int32_t wanted = d->spec && d->spec->has_replicas ? d->spec->replicas : 1;
    const Apps__DeploymentStatus *s = d->status;
    int32_t ready = s ? s->readyreplicas : 0, updated = s ? s->updatedreplicas : 0;
    int32_t all = s ? s->replicas : 0;
    bool seen = s && s->observedgeneration >= meta->generation;
    if (seen && ready == wanted && updated == wanted && all == wanted) return true;
    *ret_what = arena_printf(arena, "deployment %s/%s: %d of %d replicas are ready%s",
                             or_empty(meta->namespace_), or_empty(meta->name), ready, wanted,
                             !seen                                ? ", its newest spec is not seen"
                             : updated != wanted || all != wanted ? ", its rollout is not complete"
                                                                  : "");
    return false;
}
