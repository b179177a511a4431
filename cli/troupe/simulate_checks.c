#include "cli/troupe/simulate_checks.h"
#include "actors/controllers/controller.h"

enum {
    ENDPOINTS_EVERY_MS = 1000,
    ENDPOINTS_BOUND_MS = 3000, // a dead node is seen and its pods are marked well before
    CALM_AFTER_MS = 2000,      // whoever was hit has come back by then
    UNAVAILABLE_SHARE = 4,     // maxUnavailable, as the client's deployments have it: 25 %
};

const char *promise_name(promise_t promise) {
    static const char *const names[] = {
        [PROMISE_REPLICAS] = "NoMorePodsThanAsked",  [PROMISE_RESTARTS] = "NoRestartWithoutCause",
        [PROMISE_ENDPOINTS] = "EndpointsAreTrue",    [PROMISE_AVAILABLE] = "RolloutsKeepServing",
        [PROMISE_OWNERS] = "LivingOwnersKeepTheirs", [PROMISE_RANGES] = "PodRangesAreApart",
        [PROMISE_REVISIONS] = "RevisionsGrow",
    };
    return names[promise];
}

// ---- numbers by name ----------------------------------------------------------------------------
static int64_t number_in(const map_t *m, const char *key) {
    return (int64_t)(uintptr_t)map_get(m, key);
}

static void set_number(map_t *m, const char *key, int64_t number) {
    if (number > 0)
        map_put(m, key, (void *)(uintptr_t)number);
    else
        map_remove(m, key);
}

// ---- suspicions ---------------------------------------------------------------------------------
static void suspicion_done(suspicion_t *s) {
    free(s->uid);
    free(s->name);
}

static void suspicions_done(suspicions_t *list) {
    for (size_t i = 0; i < list->len; i++) suspicion_done(&list->at[i]);
    vec_done(list);
}

static void suspect(suspicions_t *list, const char *uid, const char *name, int64_t revision,
                    int64_t count) {
    vec_push(list, ((suspicion_t){str_dup(uid), str_dup(name), revision, count}));
}

static void judge(checks_t *c, suspicions_t *list, const informer_t *other,
                  void (*judged)(checks_t *c, const suspicion_t *s)) {
    for (size_t i = 0; i < list->len;) {
        suspicion_t s = list->at[i];
        if (informer_revision(other) < s.revision) {
            i++;
            continue;
        }
        vec_remove(list, i);
        judged(c, &s);
        suspicion_done(&s);
    }
}

// ---- pods of a set ------------------------------------------------------------------------------
static bool is_leaving(const record_t *r) {
    return object_meta_read(r->object)->deletiontimestamp != NULL;
}

// While a watch lists anew, what it shows is a mixture.
static bool is_listing(const informer_t *inf) { return informer_revision(inf) == 0; }

static void judge_crowd(checks_t *c, const suspicion_t *s) {
    int64_t asked = number_in(&c->asked, s->uid);
    if (asked && s->count > asked) // 0: made and deleted while its watch was away
        finding_break(&c->findings[PROMISE_REPLICAS], "replica set of %s: %lld pods, asked: %lld",
                      s->name, (long long)s->count, (long long)asked);
}

static void count_pods(checks_t *c, const char *uid) {
    records_t pods = informer_by(c->pods, 0, uid);
    int64_t count = 0, revision = 0;
    for (size_t i = 0; i < pods.len; i++) {
        if (is_leaving(pods.at[i]) || pod_has_ended(RECORD_AS(Core__Pod, pods.at[i]))) continue;
        count++;
        if (pods.at[i]->revision > revision) revision = pods.at[i]->revision;
    }
    c->findings[PROMISE_REPLICAS].checked++;
    if (count > number_in(&c->asked, uid))
        suspect(&c->crowded, uid, pods.at[0]->name, revision, count);
}

static void on_set(void *arg, const record_t *was, const record_t *is) {
    checks_t *c = arg;
    const Apps__ReplicaSet *set = RECORD_AS(Apps__ReplicaSet, is ? is : was);
    if (is && set->spec->replicas > number_in(&c->asked, is->uid))
        set_number(&c->asked, is->uid, set->spec->replicas);
    const Meta__OwnerReference *owner = owner_that_controls(set->metadata);
    if (is || is_listing(c->sets) || set->spec->replicas == 0 || !owner) return;
    c->findings[PROMISE_OWNERS].checked++;
    suspect(&c->orphaned, owner->uid, owner->name, informer_gone_at(c->sets), 0);
}

static void judge_orphan(checks_t *c, const suspicion_t *s) {
    const record_t *owner = informer_get(c->deployments, "default", s->name);
    if (owner && streq(owner->uid, s->uid) && !is_leaving(owner))
        finding_break(&c->findings[PROMISE_OWNERS],
                      "deployment %s lives, and its replica set was deleted", s->name);
}

// ---- pods on nodes ------------------------------------------------------------------------------
static void check_restarts(checks_t *c, const Core__Pod *pod) {
    const char *node = or_empty(pod->spec->nodename);
    for (size_t i = 0; pod->status && i < pod->status->n_containerstatuses; i++) {
        int64_t restarts = pod->status->containerstatuses[i]->restartcount;
        c->findings[PROMISE_RESTARTS].checked++;
        if (restarts > number_in(&c->power_cuts, node))
            finding_break(&c->findings[PROMISE_RESTARTS],
                          "pod %s was restarted %lld times, its node %s lost power %lld times",
                          pod->metadata->name, (long long)restarts, node,
                          (long long)number_in(&c->power_cuts, node));
    }
}

static void on_node(void *arg, const record_t *was, const record_t *is) {
    checks_t *c = arg;
    const Core__Node *node = is ? RECORD_AS(Core__Node, is) : NULL;
    if (!node || !node->spec || is_empty(node->spec->podcidr)) return;
    records_t all = informer_all(c->nodes);
    c->findings[PROMISE_RANGES].checked++;
    for (size_t i = 0; i < all.len; i++) {
        const Core__Node *other = RECORD_AS(Core__Node, all.at[i]);
        if (!streq(all.at[i]->name, is->name) && other->spec &&
            streq(or_empty(other->spec->podcidr), node->spec->podcidr))
            finding_break(&c->findings[PROMISE_RANGES], "nodes %s and %s both have %s",
                          all.at[i]->name, is->name, node->spec->podcidr);
    }
}

// ---- pods that serve ----------------------------------------------------------------------------
static bool serves(const record_t *pod) {
    return pod_is_ready(RECORD_AS(Core__Pod, pod)) && !is_leaving(pod) &&
           !pod_has_ended(RECORD_AS(Core__Pod, pod));
}

static const char *app_of(const record_t *pod) {
    return or_empty(object_label(pod->object, "app"));
}

static bool is_calm(const checks_t *c) {
    return c->now_ms > c->masters_until_ms + CALM_AFTER_MS &&
           c->now_ms > c->nodes_until_ms + CALM_AFTER_MS;
}

static void judge_starved(checks_t *c, const suspicion_t *s) {
    int64_t floor = number_in(&c->floors, s->name);
    if (is_calm(c) && s->count < floor)
        finding_break(&c->findings[PROMISE_AVAILABLE],
                      "deployment %s: %lld pods serve, promised: %lld", s->name,
                      (long long)s->count, (long long)floor);
}

static void on_pod(void *arg, const record_t *was, const record_t *is) {
    checks_t *c = arg;
    if (is) check_restarts(c, RECORD_AS(Core__Pod, is));
    const Meta__OwnerReference *owner =
        is ? owner_that_controls(object_meta_read(is->object)) : NULL;
    if (!was && owner) vec_push(&c->touched, str_dup(owner->uid));
    const char *app = app_of(is ? is : was);
    int64_t more = (is && serves(is)) - (was && serves(was));
    set_number(&c->serves, app, number_in(&c->serves, app) + more);
    if (more >= 0 || is_listing(c->pods) || !number_in(&c->floors, app)) return;
    c->findings[PROMISE_AVAILABLE].checked++;
    suspect(&c->starved, "", app, is ? is->revision : informer_gone_at(c->pods),
            number_in(&c->serves, app));
}

// A deployment that has become as it was wanted promises to stay so but for maxUnavailable, until
// it is made smaller: that goes by proportion, whoever serves.
static void on_deployment(void *arg, const record_t *was, const record_t *is) {
    checks_t *c = arg;
    const Apps__Deployment *d = is ? RECORD_AS(Apps__Deployment, is) : NULL;
    arena_t arena = {0};
    const char *what;
    bool same = was && is && streq(was->uid, is->uid);
    if (!same || d->spec->replicas < RECORD_AS(Apps__Deployment, was)->spec->replicas)
        set_number(&c->floors, (is ? is : was)->name, 0);
    if (d && is_calm(c) && deployment_is_steady(&arena, is->object, &what))
        set_number(&c->floors, is->name, d->spec->replicas - d->spec->replicas / UNAVAILABLE_SHARE);
    arena_done(&arena);
}

// ---- endpoints ----------------------------------------------------------------------------------
typedef struct {
    arena_t arena;
    map_t listed; // "service pod's uid"
    map_t wrong;  // the next checks_t.wrong
} endpoints_look_t;

static void wrong_pair(checks_t *c, endpoints_look_t *look, const char *pair, const char *what) {
    int64_t since_ms = number_in(&c->wrong, pair);
    if (!since_ms) since_ms = c->now_ms;
    if (since_ms < c->masters_until_ms) since_ms = c->masters_until_ms;
    set_number(&look->wrong, pair, since_ms);
    if (c->now_ms - since_ms > ENDPOINTS_BOUND_MS)
        finding_break(&c->findings[PROMISE_ENDPOINTS], "%s %s, for %lld ms", pair, what,
                      (long long)(c->now_ms - since_ms));
}

static void look_at_addresses(checks_t *c, endpoints_look_t *look, const record_t *endpoints) {
    const Core__Endpoints *e = RECORD_AS(Core__Endpoints, endpoints);
    for (size_t i = 0; i < e->n_subsets; i++)
        for (size_t k = 0; k < e->subsets[i]->n_addresses; k++) {
            const Core__ObjectReference *ref = e->subsets[i]->addresses[k]->targetref;
            if (!ref) continue;
            const char *pair =
                arena_printf(&look->arena, "%s %s", endpoints->name, or_empty(ref->uid));
            const record_t *pod = informer_get(c->pods, endpoints->namespace_, or_empty(ref->name));
            map_put(&look->listed, pair, look);
            c->findings[PROMISE_ENDPOINTS].checked++;
            if (!pod || !streq(pod->uid, or_empty(ref->uid)) || !serves(pod))
                wrong_pair(c, look, pair, "is an endpoint and does not serve");
        }
}

static void look_at_endpoints(checks_t *c) {
    endpoints_look_t look = {0};
    records_t all = informer_all(c->endpoints), pods = informer_all(c->pods);
    for (size_t i = 0; i < all.len; i++) look_at_addresses(c, &look, all.at[i]);
    for (size_t i = 0; i < pods.len; i++) {
        const char *app = app_of(pods.at[i]);
        const char *pair = arena_printf(&look.arena, "%s %s", app, pods.at[i]->uid);
        if (serves(pods.at[i]) && informer_get(c->endpoints, pods.at[i]->namespace_, app) &&
            !map_get(&look.listed, pair))
            wrong_pair(c, &look, pair, "serves and is no endpoint");
    }
    map_done(&c->wrong);
    c->wrong = look.wrong;
    map_done(&look.listed);
    arena_done(&look.arena);
}

// ---- life ---------------------------------------------------------------------------------------
void checks_start(checks_t *c) {
    informer_subscribe(c->pods, on_pod, c);
    informer_subscribe(c->nodes, on_node, c);
    informer_subscribe(c->sets, on_set, c);
    informer_subscribe(c->deployments, on_deployment, c);
}

void checks_done(checks_t *c) {
    for (size_t i = 0; i < c->touched.len; i++) free(c->touched.at[i]);
    vec_done(&c->touched);
    suspicions_done(&c->crowded);
    suspicions_done(&c->orphaned);
    suspicions_done(&c->starved);
    map_done(&c->power_cuts);
    map_done(&c->asked);
    map_done(&c->serves);
    map_done(&c->floors);
    map_done(&c->wrong);
}

void checks_power_cut(checks_t *c, const char *node) {
    set_number(&c->power_cuts, node, number_in(&c->power_cuts, node) + 1);
}

void checks_disturb(checks_t *c, bool is_node, int64_t until_ms) {
    int64_t *until = is_node ? &c->nodes_until_ms : &c->masters_until_ms;
    if (*until < until_ms) *until = until_ms;
    map_done(&c->floors); // promised again once all is as it should be
    c->floors = (map_t){0};
}

void checks_settle(checks_t *c, int64_t now_ms) {
    c->now_ms = now_ms;
    for (size_t i = 0; i < c->touched.len; i++) {
        if (!is_listing(c->pods)) count_pods(c, c->touched.at[i]);
        free(c->touched.at[i]);
    }
    vec_reset(&c->touched);
    judge(c, &c->crowded, c->sets, judge_crowd);
    judge(c, &c->orphaned, c->deployments, judge_orphan);
    judge(c, &c->starved, c->deployments, judge_starved);
}

void checks_look(checks_t *c) {
    if (c->now_ms - c->endpoints_ms < ENDPOINTS_EVERY_MS || is_listing(c->pods) ||
        is_listing(c->endpoints))
        return;
    c->endpoints_ms = c->now_ms;
    look_at_endpoints(c);
}

bool checks_endpoints_are_true(const checks_t *c) { return map_len(&c->wrong) == 0; }

void checks_written(checks_t *c, int64_t before, int64_t revision) {
    c->findings[PROMISE_REVISIONS].checked++;
    if (revision <= before)
        finding_break(&c->findings[PROMISE_REVISIONS],
                      "a write got revision %lld, and %lld was answered before it was asked for",
                      (long long)revision, (long long)before);
}
