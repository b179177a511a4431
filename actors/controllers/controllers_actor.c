#include "actors/controllers/controllers_actor.h"
#include "actors/controllers/controller.h"
#include "actors/controllers/nodeipam_plan.h"
#include "runtime/actor/catch_up.h"
#include "runtime/actor/election.h"
#include "runtime/base/canary.h"
#include "runtime/base/log.h"

enum {
    TAG_ELECTION = 1,
    TAG_WRITE,
    TAG_EVENT,
    TAG_CATCH_UP,
    TAG_QUEUES, // timer: a waiting key is due
    TAG_AGES,
    TAG_INFORMERS = 100, // + position
    CONTROLLERS_MAX = 16,
    SYNCS_PER_SETTLE = 64, // a round stays below its 5 ms
    AGES_RETRY_MS = 200,
};

const controllers_args_t controllers_args_default = {
    .pod_range = "10.244.0.0/16",
    .node_range_bits = 24,
    .node_silent_after_ms = 800,
    .node_unheard_after_ms = 1500,
    .eviction_rate_milli = 100,
    .eviction_rate_disrupted_milli = 10,
    .eviction_burst = 2,
    .large_zone = 50,
    .unhealthy_zone_percent = 55,
    .pod_gc_finished_max = 12500,
    .concurrent_writes_max = 256,
    .allocate_node_ranges = true,
};

#define FIELD(member) offsetof(controllers_args_t, member)
const config_field_t controllers_config[] = {
    {"podRange", CONFIG_STRING, FIELD(pod_range), 0, 0, "range that node ranges are cut from"},
    {"nodeRangeBits", CONFIG_INT, FIELD(node_range_bits), 8, 30, "mask of a node's range"},
    {"allocateNodeRanges", CONFIG_BOOL, FIELD(allocate_node_ranges), 0, 0,
     "give each node a pod range"},
    {"nodeSilentAfter", CONFIG_DURATION_MS, FIELD(node_silent_after_ms), 100, 600000,
     "a node not heard for so long is NotReady"},
    {"nodeUnheardAfter", CONFIG_DURATION_MS, FIELD(node_unheard_after_ms), 1000, INT32_MAX,
     "a node that no API server has mentioned counts as silent"},
    {"evictionsPerThousandSeconds", CONFIG_INT, FIELD(eviction_rate_milli), 1, 1000000,
     "nodes of a zone given up per 1000 s"},
    {"evictionsPerThousandSecondsDisrupted", CONFIG_INT, FIELD(eviction_rate_disrupted_milli), 1,
     1000000, "the same while most of the zone is away"},
    {"evictionBurst", CONFIG_INT, FIELD(eviction_burst), 1, 20000,
     "nodes of a zone given up without pause"},
    {"largeZone", CONFIG_INT, FIELD(large_zone), 0, 100000,
     "nodes of a zone that give none up while most of them are away"},
    {"unhealthyZonePercent", CONFIG_INT, FIELD(unhealthy_zone_percent), 1, 100,
     "share of a zone's nodes that counts as most of them"},
    {"finishedPodsMax", CONFIG_INT, FIELD(pod_gc_finished_max), 0, 10000000, "finished pods kept"},
    {"concurrentWrites", CONFIG_INT, FIELD(concurrent_writes_max), 1, 4096,
     "API writes under way at once"},
    {0},
};

// ---- state -------------------------------------------------------------------------------------

struct controller {
    const controller_def_t *def;
    struct controllers *shell;
    workqueue_t queue;
    map_t under_way; // key -> under_way_t: writes whose outcome is not known
    const char *key; // being synced, else NULL
    bool retry;      // asked for during the present sync
    void *state;
};

// A key with writes under way.
typedef struct {
    size_t writes;
    bool failed;
} under_way_t;

// Every kind that somebody follows; those past FOLLOWED_LEN as metadata alone.
typedef struct {
    const kind_t *kind;
    informer_t *informer;
    struct controllers *shell;
} following_t;

typedef struct {
    any_changed_fn changed;
    void *arg;
} any_subscriber_t;

typedef struct controllers {
    actor_t *me;
    const controllers_args_t *args;
    election_t election;
    informers_t informers;
    VEC(following_t *) followed;
    VEC(any_subscriber_t) any;
    controller_t all[CONTROLLERS_MAX];
    size_t all_len;
    imap_t writes; // ask id -> write_t
    recorder_t recorder;
    catch_up_t catch_up; // before the first sync
    uint64_t ages_stream;
} controllers_t;

// ---- what the rows may do ----------------------------------------------------------------------

void *controller_state(controller_t *c) { return c->state; }
bool controller_leads(const controller_t *c) { return c->shell->catch_up.is_done; }
bool controller_hears_nodes(const controller_t *c) { return c->shell->ages_stream != 0; }
const controllers_args_t *controller_args(const controller_t *c) { return c->shell->args; }
actor_t *controller_actor(controller_t *c) { return c->shell->me; }
arena_t *controller_arena(controller_t *c) { return actor_arena(c->shell->me); }

informer_t *controller_follow(controller_t *c, followed_t what) {
    assert(what < FOLLOWED_LEN);
    return c->shell->followed.at[what]->informer;
}

informer_t *controller_informer_of(controller_t *c, const kind_t *kind) {
    const kind_t *stored = kind_stored(kind);
    for (size_t i = 0; i < c->shell->followed.len; i++)
        if (c->shell->followed.at[i]->kind == stored) return c->shell->followed.at[i]->informer;
    return NULL;
}

void controller_touch(controller_t *c, const char *key) { workqueue_add(&c->queue, key); }

void controller_touch_after(controller_t *c, const char *key, int64_t delay_ms) {
    workqueue_add_after(&c->queue, key, actor_now_ms(c->shell->me), delay_ms);
}

void controller_touch_record(controller_t *c, const record_t *r) { controller_touch(c, r->key); }

void controller_retry(controller_t *c) {
    assert(c->key);
    c->retry = true;
}

unsigned controller_failures(const controller_t *c, const char *key) {
    return workqueue_failures(&c->queue, key);
}

// Remembers a write that was just asked for.
static void remember(controller_t *c, uint64_t ask_id, const kind_t *k, const char *ns,
                     const char *name, write_verb_t verb) {
    assert(c->key);
    write_t *w = NEW(write_t);
    *w = (write_t){
        .ask_id = ask_id,
        .controller = c,
        .key = str_dup(c->key),
        .kind = k,
        .namespace_ = str_dup(or_empty(ns)),
        .name = str_dup(or_empty(name)),
        .verb = verb,
    };
    imap_put(&c->shell->writes, ask_id, w);
    under_way_t *key = map_get(&c->under_way, c->key);
    if (!key) {
        key = NEW(under_way_t);
        map_put(&c->under_way, c->key, key);
    }
    key->writes++;
}

void controller_get(controller_t *c, const kind_t *k, const char *ns, const char *name) {
    remember(c, api_get(c->shell->me, k, ns, name, TAG_WRITE), k, ns, name, WRITE_GET);
}

void controller_create(controller_t *c, const kind_t *k, const ProtobufCMessage *obj) {
    const Meta__ObjectMeta *meta = object_meta_read(obj);
    uint64_t id = api_create(c->shell->me, k, obj, TAG_WRITE);
    remember(c, id, k, meta->namespace_, meta->name, WRITE_CREATE);
}

void controller_update(controller_t *c, const kind_t *k, const char *subresource,
                       const ProtobufCMessage *obj) {
    const Meta__ObjectMeta *meta = object_meta_read(obj);
    uint64_t id = api_update(c->shell->me, k, subresource, obj, TAG_WRITE);
    remember(c, id, k, meta->namespace_, meta->name, WRITE_UPDATE);
}

void controller_patch(controller_t *c, const kind_t *k, const char *ns, const char *name,
                      const char *subresource, const char *json, int64_t expected_revision) {
    uint64_t id = api_patch(c->shell->me, k, ns, name, subresource, API__PATCH__TYPE__MERGE, json,
                            expected_revision, TAG_WRITE);
    remember(c, id, k, ns, name, WRITE_PATCH);
}

void controller_delete(controller_t *c, const kind_t *k, const char *ns, const char *name,
                       const api_delete_options_t *options) {
    uint64_t id = api_delete(c->shell->me, k, ns, name, options, TAG_WRITE);
    remember(c, id, k, ns, name, WRITE_DELETE);
}

void controller_delete_all(controller_t *c, const kind_t *k, const char *ns) {
    Api__Resource resource = api_resource(k, ns, NULL, NULL);
    Api__Delete options = {.base.descriptor = &api__delete__descriptor};
    Api__DeleteCollection all = {
        .base.descriptor = &api__delete_collection__descriptor,
        .resource = &resource,
        .options = &options,
    };
    uint64_t id = actor_ask(c->shell->me, API_SERVER, &all.base, API_TIMEOUT_MS, TAG_WRITE);
    remember(c, id, k, ns, "", WRITE_DELETE_ALL);
}

void controller_look(controller_t *c, const write_t *w) {
    assert(!c->key);
    c->key = w->key;
    controller_get(c, w->kind, w->namespace_, w->name);
    c->key = NULL;
}

void controller_event(controller_t *c, const kind_t *k, const ProtobufCMessage *obj,
                      const char *type, const char *reason, const char *fmt, ...) {
    text_t text = {.arena = controller_arena(c)};
    va_list args;
    va_start(args, fmt);
    text_addv(&text, fmt, args);
    va_end(args);
    recorder_event_as(&c->shell->recorder, c->shell->me, c->def->name, k, obj, NULL, type, reason,
                      "%s", text_str(&text));
}

// ---- outcomes ----------------------------------------------------------------------------------

static void write_free(write_t *w) {
    free(w->key);
    free(w->namespace_);
    free(w->name);
    free(w);
}

// The last outcome of a key is known: it may be synced again.
static void finish_key(controller_t *c, const char *key, bool failed) {
    if (failed)
        workqueue_add_limited(&c->queue, key, actor_now_ms(c->shell->me));
    else
        workqueue_forget(&c->queue, key);
    workqueue_finish(&c->queue, key); // last: it may free the key
}

static void settle_write(write_t *w, const ProtobufCMessage *obj, const api_failure_t *failure) {
    controller_t *c = w->controller;
    under_way_t *key = map_get(&c->under_way, w->key);
    assert(key && key->writes > 0);
    if (failure) key->failed = true;
    if (c->def->outcome) c->def->outcome(c, w, obj, failure);
    if (--key->writes == 0) {
        map_remove(&c->under_way, w->key);
        finish_key(c, w->key, key->failed);
        free(key);
    }
    write_free(w);
}

static write_t *write_of(controllers_t *self, const message_t *msg) {
    return msg->tag == TAG_WRITE ? imap_remove(&self->writes, msg->in_reply_to) : NULL;
}

static void learn(const write_t *w, const Api__Reply *reply, const ProtobufCMessage *obj) {
    informer_t *inf = controller_informer_of(w->controller, w->kind);
    if (!inf || w->verb == WRITE_DELETE_ALL || CANARY(CONTROLLERS_FORGET_WRITES)) return;
    bool is_gone = w->verb == WRITE_DELETE && reply->outcome == API__OUTCOME__DELETED;
    if (is_gone)
        informer_learn_deleted(inf, w->namespace_, w->name, reply->revision);
    else if (obj && obj->descriptor == informer_kind(inf)->type)
        informer_learn(inf, obj);
}

static void on_reply(actor_t *me, const message_t *msg, const void *body) {
    controllers_t *self = actor_state(me);
    if (recorder_handle(&self->recorder, me, msg, body)) return;
    write_t *w = write_of(self, msg);
    if (!w) return;
    void *obj = NULL;
    if (api_reply_object(actor_arena(me), body, w->kind, &obj)) obj = NULL;
    learn(w, body, obj);
    settle_write(w, obj, NULL);
}

static void on_delete_collection_reply(actor_t *me, const message_t *msg, const void *body) {
    write_t *w = write_of(actor_state(me), msg);
    if (!w) return;
    w->deleted = ((const Api__DeleteCollectionReply *)body)->deleted;
    settle_write(w, NULL, NULL);
}

static void tell_ages(controllers_t *self, const Api__NodeAges *ages) {
    for (size_t i = 0; i < self->all_len; i++)
        if (self->all[i].def->on_ages) self->all[i].def->on_ages(&self->all[i], ages);
}

static void open_ages(controllers_t *self) {
    Api__WatchNodeAges watch = {
        .base.descriptor = &api__watch_node_ages__descriptor,
        .silent_after_ms = self->args->node_silent_after_ms,
    };
    self->ages_stream =
        actor_open(self->me, API_SERVER, &watch.base, STREAM_WINDOW_DEFAULT, TAG_AGES);
    tell_ages(self, NULL);
}

static void on_lost_ages(controllers_t *self) {
    self->ages_stream = 0;
    tell_ages(self, NULL);
    actor_timer(self->me, TAG_AGES, AGES_RETRY_MS);
}

static void on_failure(actor_t *me, const message_t *msg, const void *body) {
    controllers_t *self = actor_state(me);
    if (informers_handle(&self->informers, me, msg, body)) return;
    if (election_handle(&self->election, me, msg, body)) return;
    if (recorder_handle(&self->recorder, me, msg, body)) return;
    if (catch_up_handle(&self->catch_up, me, msg, body)) return;
    if (msg->tag == TAG_AGES) {
        on_lost_ages(self);
        return;
    }
    write_t *w = write_of(self, msg);
    if (!w) return;
    api_failure_t failure = api_failure(actor_arena(me), body);
    log_debug(actor_address(me), "%s %s: %s %s/%s: %s", w->controller->def->name, w->key,
              w->kind->name, w->namespace_, w->name, failure.why);
    if (failure.err == ERR_DEPOSED) actor_exit(me, "deposed");
    settle_write(w, NULL, &failure);
}

static void on_watch_events(actor_t *me, const message_t *msg, const void *body) {
    controllers_t *self = actor_state(me);
    informers_handle(&self->informers, me, msg, body);
}

static void on_stream_end(actor_t *me, const message_t *msg, const void *body) {
    controllers_t *self = actor_state(me);
    if (informers_handle(&self->informers, me, msg, body)) return;
    if (msg->tag == TAG_AGES) on_lost_ages(self);
}

static void on_ages(actor_t *me, const message_t *msg, const void *body) {
    tell_ages(actor_state(me), body);
}

static void on_elect_reply(actor_t *me, const message_t *msg, const void *body) {
    controllers_t *self = actor_state(me);
    bool led = self->election.leads;
    election_handle(&self->election, me, msg, body);
    if (led || !self->election.leads) return;
    self->catch_up.bears_refusals = true;
    catch_up_start(&self->catch_up, me, &self->informers, TAG_CATCH_UP);
    open_ages(self);
}

static void on_current_revision(actor_t *me, const message_t *msg, const void *body) {
    controllers_t *self = actor_state(me);
    catch_up_handle(&self->catch_up, me, msg, body);
}

static void on_timer(actor_t *me, uint64_t tag) {
    controllers_t *self = actor_state(me);
    bool is_known = informers_timer(&self->informers, me, tag) ||
                    election_timer(&self->election, me, tag) ||
                    catch_up_timer(&self->catch_up, me, tag);
    if (!is_known && tag == TAG_AGES) open_ages(self);
    // TAG_QUEUES needs nothing: settle looks at what is due.
}

// ---- settle: sync what is due ------------------------------------------------------------------

static void sync_key(controller_t *c, const char *key) {
    c->key = key;
    c->retry = false;
    c->def->sync(c, key);
    c->key = NULL;
    under_way_t *under_way = map_get(&c->under_way, key);
    if (under_way)
        under_way->failed |= c->retry;
    else
        finish_key(c, key, c->retry);
}

// A kind that is refused (an API server of another version) stops those who need it, not the rest.
static bool has_its_caches(const controller_t *c) {
    for (size_t what = 0; what < FOLLOWED_LEN; what++)
        if (c->def->needs & (1u << what) &&
            !informer_is_synced(c->shell->followed.at[what]->informer))
            return false;
    return true;
}

static void settle(actor_t *me) {
    controllers_t *self = actor_state(me);
    if (!self->election.leads || !catch_up_is_done(&self->catch_up)) return;
    int64_t now_ms = actor_now_ms(me), next_ms = INT64_MAX;
    size_t budget = SYNCS_PER_SETTLE;
    size_t writes_max = (size_t)self->args->concurrent_writes_max;
    // One key of each in turn, so that a busy controller does not starve the others.
    for (bool any = true; any && budget;) {
        any = false;
        for (size_t i = 0; i < self->all_len && budget; i++) {
            if (imap_len(&self->writes) >= writes_max) return; // the next outcome settles again
            if (!has_its_caches(&self->all[i])) continue;
            const char *key = workqueue_next(&self->all[i].queue, now_ms);
            if (!key) continue;
            sync_key(&self->all[i], key);
            any = true;
            budget--;
        }
    }
    for (size_t i = 0; i < self->all_len; i++) {
        if (!has_its_caches(&self->all[i])) continue; // told when it has
        int64_t deadline_ms = workqueue_deadline_ms(&self->all[i].queue);
        if (deadline_ms < next_ms) next_ms = deadline_ms;
    }
    if (next_ms <= now_ms)
        actor_settle_again(me);
    else if (next_ms < INT64_MAX)
        actor_timer(me, TAG_QUEUES, next_ms - now_ms);
}

// ---- life --------------------------------------------------------------------------------------

static const struct {
    const char *group, *version, *name;
    index_fn indexes[INFORMER_INDEXES_MAX];
} followed_rows[FOLLOWED_LEN] = {
    [FOLLOWED_PODS] = {"",
                       "v1",
                       "Pod",
                       {index_by_namespace, index_by_controller_uid, index_by_pod_node}},
    [FOLLOWED_NODES] = {"", "v1", "Node", {0}},
    [FOLLOWED_SERVICES] = {"", "v1", "Service", {index_by_namespace}},
    [FOLLOWED_ENDPOINTS] = {"", "v1", "Endpoints", {index_by_namespace}},
    [FOLLOWED_ENDPOINT_SLICES] = {"discovery.k8s.io",
                                  "v1",
                                  "EndpointSlice",
                                  {index_by_namespace, index_by_service_name}},
    [FOLLOWED_REPLICA_SETS] = {"apps",
                               "v1",
                               "ReplicaSet",
                               {index_by_namespace, index_by_controller_uid}},
    [FOLLOWED_DEPLOYMENTS] = {"apps", "v1", "Deployment", {index_by_namespace}},
    [FOLLOWED_NAMESPACES] = {"", "v1", "Namespace", {0}},
    [FOLLOWED_SERVICE_ACCOUNTS] = {"", "v1", "ServiceAccount", {index_by_namespace}},
};

const kind_t *followed_kind(followed_t what) {
    assert(what < FOLLOWED_LEN);
    const kind_t *k =
        kind_find(followed_rows[what].group, followed_rows[what].version, followed_rows[what].name);
    assert(k);
    return k;
}

// Controllers that care for every kind need owners, finalizers and names, not contents.
static ProtobufCMessage *metadata_alone(arena_t *arena, const ProtobufCMessage *obj) {
    ProtobufCMessage *slim = msg_new(arena, obj->descriptor);
    Meta__ObjectMeta *meta = object_meta(arena, slim);
    *meta = *object_meta_read(obj);
    meta->n_managedfields = 0;
    meta->managedfields = NULL;
    return slim;
}

static void on_any_change(void *arg, const record_t *was, const record_t *is) {
    const following_t *followed = arg;
    controllers_t *self = followed->shell;
    for (size_t i = 0; i < self->any.len; i++)
        self->any.at[i].changed(self->any.at[i].arg, followed->kind, was, is);
}

static void follow(controllers_t *self, const kind_t *kind, const index_fn *indexes,
                   ProtobufCMessage *(*slim)(arena_t *, const ProtobufCMessage *)) {
    informer_spec_t spec = {
        .kind = kind,
        .tag = TAG_INFORMERS + self->followed.len,
        .slim = slim,
        .shared = !slim, // metadata alone is nobody else's wish
    };
    for (size_t i = 0; indexes && indexes[i]; i++) spec.indexes[i] = indexes[i];
    following_t *followed = NEW(following_t);
    *followed = (following_t){kind, informers_add(&self->informers, &spec), self};
    vec_push(&self->followed, followed);
}

bool kind_has_verb(const kind_t *k, const char *verb) {
    size_t len = strlen(verb);
    for (const char *at = k->verbs; at && (at = strstr(at, verb)); at += len)
        if ((at == k->verbs || at[-1] == ' ') && (at[len] == ' ' || !at[len])) return true;
    return false;
}

static bool is_followed(const controllers_t *self, const kind_t *kind) {
    for (size_t i = 0; i < self->followed.len; i++)
        if (self->followed.at[i]->kind == kind) return true;
    return false;
}

void controller_follow_all(controller_t *c, any_changed_fn changed, void *arg) {
    controllers_t *self = c->shell;
    vec_push(&self->any, ((any_subscriber_t){changed, arg}));
    if (self->any.len > 1) return;
    const kind_t *kind;
    for (size_t i = 0; (kind = kind_at(i)); i++) {
        bool skip = kind->stored_as || !kind_has_verb(kind, "watch") ||
                    streq(kind->name, "Event") || is_followed(self, kind);
        if (!skip) follow(self, kind, NULL, metadata_alone);
    }
    for (size_t i = 0; i < self->followed.len; i++)
        informer_subscribe(self->followed.at[i]->informer, on_any_change, self->followed.at[i]);
}

static err_t start(actor_t *me, const void *args, why_t *why) {
    controllers_t *self = actor_state(me);
    self->me = me;
    self->args = args ? args : &controllers_args_default;
    range4_t range;
    err_t err = range4_parse(self->args->pod_range, &range, why);
    if (err) return why_wrap(why, err, "podRange");
    if (self->args->node_range_bits <= range.bits || self->args->node_range_bits > range.bits + 16)
        return why_set(why, ERR_INVALID, "nodeRangeBits: %lld does not cut %s into node ranges",
                       (long long)self->args->node_range_bits, self->args->pod_range);
    recorder_init(&self->recorder, "controllers", NULL, TAG_EVENT);
    for (size_t i = 0; i < FOLLOWED_LEN; i++)
        follow(self, followed_kind(i), followed_rows[i].indexes, NULL);
    for (size_t i = 0; controller_rows[i]; i++) {
        assert(self->all_len < CONTROLLERS_MAX);
        controller_t *c = &self->all[self->all_len++];
        *c = (controller_t){.def = controller_rows[i], .shell = self};
        c->state = c->def->state_size ? mem_new(c->def->state_size) : NULL;
        workqueue_init(&c->queue, 0, 0);
        c->def->start(c);
    }
    informers_start(&self->informers, me);
    election_start(&self->election, me, "controllers", TAG_ELECTION);
    return ERR_OK;
}

static void stop(actor_t *me) {
    controllers_t *self = actor_state(me);
    size_t at = 0;
    uint64_t id;
    void *value;
    while (imap_next(&self->writes, &at, &id, &value)) write_free(value);
    imap_done(&self->writes);
    for (size_t i = 0; i < self->all_len; i++) {
        controller_t *c = &self->all[i];
        if (c->def->stop) c->def->stop(c);
        const char *key;
        at = 0;
        while (map_next(&c->under_way, &at, &key, &value)) free(value);
        map_done(&c->under_way);
        workqueue_done_all(&c->queue);
        free(c->state);
    }
    informers_done(&self->informers);
    for (size_t i = 0; i < self->followed.len; i++) free(self->followed.at[i]);
    vec_done(&self->followed);
    vec_done(&self->any);
    recorder_done(&self->recorder);
}

static const handler_t handlers[] = {
    {&api__watch_events__descriptor, on_watch_events, "apiserver informers"},
    {&actor__stream_end__descriptor, on_stream_end, NULL},
    {&api__reply__descriptor, on_reply, "apiserver"},
    {&api__delete_collection_reply__descriptor, on_delete_collection_reply, "apiserver"},
    {&api__elect_reply__descriptor, on_elect_reply, "apiserver"},
    {&api__current_revision_reply__descriptor, on_current_revision, "apiserver"},
    {&api__node_ages__descriptor, on_ages, "apiserver"},
    {&actor__failure__descriptor, on_failure, NULL},
    {0},
};

const actor_def_t controllers_actor = {
    .role = "controllers",
    .state_size = sizeof(controllers_t),
    .start = start,
    .handlers = handlers,
    .settle = settle,
    .on_timer = on_timer,
    .stop = stop,
};
