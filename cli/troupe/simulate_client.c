// Asks the API server as a command line would, and the store's members who leads.
#include "cli/troupe/simulate_client.h"
#include "k8s/apps_v1.pb-c.h"
#include "runtime/actor/api_client.h"
#include "runtime/api/codec.h"
#include "runtime/api/msg.h"
#include "troupe/store.pb-c.h"

enum {
    TAG_PODS = 1,
    TAG_NODES,
    TAG_DEPLOYMENTS,
    TAG_TICK,
    TAG_LOOK,
    TAG_WITNESS_MAKE,
    TAG_WITNESS_WRITE,
    TAG_WITNESS_READ,
    TAG_WITNESS_WATCH,
    TAG_STATUS,
    TAG_SERVICES,
    TAG_SETS,
    TAG_ENDPOINTS,
    TAG_SLOT = 100,    // + the deployment's number
    TAG_SERVICE = 200, // the same
    LOOK_MS = 200,
    STATUS_TIMEOUT_MS = 1000,
    REST_EVERY_MS = 10 * 1000,
    REST_MS = 2500,
    LATELY_MS = 1000,
    BEHIND_LEN = 64,        // entries
    READ_EVERY = 4,         // witness: so many writes, then a read
    WATCH_SILENT_MS = 3000, // whoever serves it is behind a partition, or gone unseen
};
static const char *const ns = "default", *const witness = "witness";

typedef enum { SLOT_CREATE, SLOT_SCALE, SLOT_UPDATE, SLOT_DELETE } slot_op_t;

// A deployment, as it was last asked for.
typedef struct {
    char name[16];
    bool exists;
    int replicas, image;
    slot_op_t op;
    int tries;      // of the operation under way; 0: none is
    bool asked;     // its answer is waited for
    int64_t before; // the highest revision that was answered when it was asked for
    enum { SERVICE_NONE, SERVICE_ASKED, SERVICE_MADE } service;
} slot_t;

typedef struct {
    actor_t *me;
    const simulate_client_args_t *args;
    simulate_book_t *book;
    informers_t informers;
    informer_t *pods, *nodes, *deployments, *services;
    int64_t answered; // the highest revision of a write
    const kind_t *config_map, *deployment;
    slot_t slots[SIMULATE_DEPLOYMENTS_MAX];
    // the witness
    bool made, busy, must_read;
    int64_t number, revision, acked_at_read, watch_revision;
    uint64_t watch, turn;
    // the store, as its members told
    uint64_t term, applied[SIMULATE_MASTERS_MAX];
    int64_t term_ms,
        told_ms[SIMULATE_MASTERS_MAX]; // of the term's first word; of each member's last
    int64_t heard_ms;                  // the watch's last word, or its opening
    imap_t leader_of;                  // term -> the member that was said to lead it, owned
} client_t;

// ---- the book -----------------------------------------------------------------------------------
void simulate_book_done(simulate_book_t *book) {
    ledger_done(&book->ledger);
    rules_check_done(&book->rules);
    checks_done(&book->checks);
}

const char *simulate_book_broken(const simulate_book_t *book, int *ret_promise) {
    int promise = 0;
    const char *broken = book->broken;
    for (; !broken[0] && promise < INVARIANTS_LEN; promise++)
        broken = book->ledger.findings[promise].broken;
    if (!broken[0]) {
        broken = book->rules.finding.broken;
        promise = PROMISE_RULES;
    }
    for (int i = 0; !broken[0] && i < PROMISES_LEN; i++) {
        broken = book->checks.findings[i].broken;
        promise = PROMISE_RULES + 1 + i;
    }
    if (!broken[0]) return NULL;
    if (ret_promise) *ret_promise = promise;
    return broken;
}

const char *cluster_state_name(cluster_state_t state) {
    static const char *const names[CLUSTER_STATES_LEN] = {"idle", "rolling", "electing",
                                                          "node-lost", "catching-up"};
    return names[state];
}

static void say(char text[SIMULATE_BROKEN_MAX], const char *fmt, ...) PRINTF_LIKE(2, 3);
static void say(char text[SIMULATE_BROKEN_MAX], const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, SIMULATE_BROKEN_MAX, fmt, args);
    va_end(args);
}

// ---- deployments --------------------------------------------------------------------------------
static void create(client_t *self, const char *json, uint64_t tag) {
    const kind_t *kind;
    ProtobufCMessage *obj;
    why_t why;
    err_t err =
        json_read_object(actor_arena(self->me), json, strlen(json), true, &kind, &obj, &why);
    assert(!err);
    api_create(self->me, kind, obj, tag);
}

static const char *deployment_json(arena_t *arena, const slot_t *slot) {
    return arena_printf(
        arena,
        "{\"kind\":\"Deployment\",\"apiVersion\":\"apps/v1\",\"metadata\":{\"name\":\"%s\","
        "\"namespace\":\"%s\"},\"spec\":{\"replicas\":%d,\"selector\":{\"matchLabels\":"
        "{\"app\":\"%s\"}},\"template\":{\"metadata\":{\"labels\":{\"app\":\"%s\"}},\"spec\":"
        "{\"containers\":[{\"name\":\"c\",\"image\":\"nginx:%d\",\"resources\":{\"requests\":"
        "{\"cpu\":\"%dm\"}}}]}}}}",
        slot->name, ns, slot->replicas, slot->name, slot->name, slot->image,
        SIMULATE_POD_CPU_MILLI);
}

// It stays, whatever becomes of its deployment.
static void ask_service(client_t *self, size_t i) {
    slot_t *slot = &self->slots[i];
    slot->service = SERVICE_ASKED;
    create(self,
           arena_printf(actor_arena(self->me),
                        "{\"kind\":\"Service\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"%s\","
                        "\"namespace\":\"%s\"},\"spec\":{\"selector\":{\"app\":\"%s\"},\"ports\":"
                        "[{\"port\":80}]}}",
                        slot->name, ns, slot->name),
           TAG_SERVICE + i);
}

static void ask(client_t *self, size_t i) {
    slot_t *slot = &self->slots[i];
    arena_t *arena = actor_arena(self->me);
    uint64_t tag = TAG_SLOT + i;
    slot->asked = true;
    slot->tries++;
    slot->before = self->answered;
    switch (slot->op) {
    case SLOT_CREATE: create(self, deployment_json(arena, slot), tag); break;
    case SLOT_SCALE:
        api_patch(self->me, self->deployment, ns, slot->name, NULL, API__PATCH__TYPE__MERGE,
                  arena_printf(arena, "{\"spec\":{\"replicas\":%d}}", slot->replicas), 0, tag);
        break;
    case SLOT_UPDATE:
        api_patch(self->me, self->deployment, ns, slot->name, NULL, API__PATCH__TYPE__STRATEGIC,
                  arena_printf(arena,
                               "{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"c\","
                               "\"image\":\"nginx:%d\"}]}}}}",
                               slot->image),
                  0, tag);
        break;
    case SLOT_DELETE:
        api_delete(self->me, self->deployment, ns, slot->name,
                   &(api_delete_options_t){.propagation = "Background"}, tag);
        break;
    }
}

static void wish(client_t *self, size_t i) {
    slot_t *slot = &self->slots[i];
    rng_t *rng = actor_rng(self->me);
    uint64_t dice = rng_below(rng, 10);
    slot->op = !slot->exists ? SLOT_CREATE
               : dice < 5    ? SLOT_SCALE
               : dice < 8    ? SLOT_UPDATE
                             : SLOT_DELETE;
    if (slot->op == SLOT_CREATE || slot->op == SLOT_SCALE)
        slot->replicas = (int)rng_between(rng, 1, self->args->replicas_max);
    if (slot->op == SLOT_CREATE || slot->op == SLOT_UPDATE) slot->image++;
    slot->exists = slot->op != SLOT_DELETE;
    ask(self, i);
}

static void tick(client_t *self) {
    size_t len = (size_t)self->args->deployments;
    actor_timer(self->me, TAG_TICK, self->args->every_ms);
    for (size_t i = 0; i < len; i++) {
        if (self->slots[i].tries && !self->slots[i].asked) ask(self, i);
        if (self->slots[i].service == SERVICE_NONE) ask_service(self, i);
    }
    size_t i = rng_below(actor_rng(self->me), len);
    bool rests = actor_now_ms(self->me) % REST_EVERY_MS < REST_MS; // faults strike idle ones, too
    if (!self->book->quiet && !rests && !self->slots[i].tries) wish(self, i);
}

static void slot_done(client_t *self, slot_t *slot) {
    slot->tries = 0;
    self->book->operations++;
}

// What an answer says that no state of the store after the acknowledged operations could have said.
static void slot_failed(client_t *self, slot_t *slot, err_t err) {
    slot->asked = false;
    bool again = slot->tries > 1; // an earlier try may have done it
    if (slot->op == SLOT_CREATE && err == ERR_EXISTS && again) return slot_done(self, slot);
    if (slot->op == SLOT_DELETE && err == ERR_NOT_FOUND && again) return slot_done(self, slot);
    if (self->book->broken[0]) return;
    if (slot->op == SLOT_CREATE && err == ERR_EXISTS)
        say(self->book->broken, "deployment %s is there; its deletion was acknowledged",
            slot->name);
    if (slot->op != SLOT_CREATE && err == ERR_NOT_FOUND)
        say(self->book->broken, "deployment %s is not there; its creation was acknowledged",
            slot->name);
}

// ---- the witness --------------------------------------------------------------------------------
static int64_t number_of(const Core__ConfigMap *map) {
    for (size_t i = 0; i < map->n_data; i++)
        if (streq(map->data[i]->key, "number")) return strtoll(map->data[i]->value, NULL, 10);
    return 0;
}

static void make_witness(client_t *self) {
    Meta__ObjectMeta meta = META__OBJECT_META__INIT;
    meta.name = witness;
    meta.namespace_ = ns;
    Core__ConfigMap map = CORE__CONFIG_MAP__INIT;
    map.metadata = &meta;
    api_create(self->me, self->config_map, &map.base, TAG_WITNESS_MAKE);
}

static void watch_witness(client_t *self) {
    Api__Resource resource = api_resource(self->config_map, ns, NULL, NULL);
    Api__Watch watch = API__WATCH__INIT;
    watch.resource = &resource;
    watch.field_selector = "metadata.name=witness";
    watch.from_revision = self->watch_revision;
    self->heard_ms = actor_now_ms(self->me);
    self->watch =
        actor_open(self->me, API_SERVER, &watch.base, STREAM_WINDOW_DEFAULT, TAG_WITNESS_WATCH);
}

static void turn_witness(client_t *self) {
    if (self->watch && actor_now_ms(self->me) - self->heard_ms > WATCH_SILENT_MS) {
        actor_cancel(self->me, self->watch);
        self->watch = 0;
    }
    if (self->made && !self->watch) watch_witness(self);
    if (self->busy || (self->book->quiet && !self->must_read)) return;
    self->busy = true;
    if (!self->made) return make_witness(self);
    if (self->must_read || ++self->turn % READ_EVERY == 0) {
        self->acked_at_read = self->book->ledger.acked;
        api_get(self->me, self->config_map, ns, witness, TAG_WITNESS_READ);
        return;
    }
    const char *json = arena_printf(actor_arena(self->me), "{\"data\":{\"number\":\"%lld\"}}",
                                    (long long)++self->number);
    api_patch(self->me, self->config_map, ns, witness, NULL, API__PATCH__TYPE__MERGE, json,
              self->revision, TAG_WITNESS_WRITE);
}

static void witness_answered(client_t *self, uint64_t tag, const Api__Reply *reply) {
    void *map;
    self->busy = false;
    if (api_reply_object(actor_arena(self->me), reply, self->config_map, &map)) return;
    int64_t number = number_of(map);
    self->revision = object_revision(map);
    self->book->operations++;
    if (!self->made) {
        self->made = true;
        self->watch_revision = self->book->ledger.seen_revision = self->revision;
    } else if (tag == TAG_WITNESS_WRITE) {
        ledger_acked(&self->book->ledger, number);
    } else {
        ledger_read(&self->book->ledger, self->acked_at_read, number);
        self->must_read = false;
    }
}

static void witness_failed(client_t *self, uint64_t tag, err_t err) {
    self->busy = false;
    if (tag == TAG_WITNESS_MAKE && err == ERR_EXISTS) {
        self->busy = true;
        api_get(self->me, self->config_map, ns, witness, TAG_WITNESS_READ);
        return;
    }
    if (self->made && err == ERR_NOT_FOUND && !self->book->broken[0])
        say(self->book->broken, "the witness is not there; its creation was acknowledged");
    self->must_read = self->made; // was it written or not?
}

static void witness_seen(client_t *self, const Api__WatchEvents *events) {
    self->heard_ms = actor_now_ms(self->me);
    for (size_t i = 0; i < events->n_events; i++) {
        const Api__WatchEvent *event = events->events[i];
        bytes_t packed = {event->object.data, event->object.len};
        if (event->type == API__WATCH_EVENT__TYPE__BOOKMARK || !packed.len) continue;
        const Core__ConfigMap *map =
            msg_unpack_own(actor_arena(self->me), &core__config_map__descriptor, packed);
        if (map) ledger_watched(&self->book->ledger, event->revision, number_of(map));
        self->watch_revision = event->revision;
    }
}

// ---- looking on ---------------------------------------------------------------------------------
static void ask_who_leads(client_t *self) {
    Store__StatusRequest body = {.base =
                                     PROTOBUF_C_MESSAGE_INIT(&store__status_request__descriptor)};
    for (size_t i = 0; i < self->args->masters_len; i++) {
        const char *to = arena_printf(actor_arena(self->me), "store/%s", self->args->masters[i]);
        actor_ask(self->me, to, &body.base, STATUS_TIMEOUT_MS, TAG_STATUS);
    }
}

static void note_status(client_t *self, const Store__StatusReply *status) {
    int64_t now_ms = actor_now_ms(self->me);
    if (status->term > self->term && !is_empty(status->leader)) {
        self->term = status->term;
        self->term_ms = now_ms;
    }
    for (size_t i = 0; i < self->args->masters_len; i++) {
        if (!streq(self->args->masters[i], status->member)) continue;
        self->applied[i] = status->applied_index;
        self->told_ms[i] = now_ms;
    }
}

// A term has one leader, whoever says so and whenever.
static void on_status(actor_t *me, const message_t *msg, const void *body) {
    client_t *self = actor_state(me);
    const Store__StatusReply *status = body;
    note_status(self, status);
    if (is_empty(status->leader)) return;
    const char *known = imap_get(&self->leader_of, status->term);
    if (!known) {
        imap_put(&self->leader_of, status->term, str_dup(status->leader));
        known = status->leader;
    }
    Actor__ActorInfo infos[2] = {ACTOR__ACTOR_INFO__INIT, ACTOR__ACTOR_INFO__INIT};
    infos[0].role = infos[1].role = "store";
    infos[0].epoch = infos[1].epoch = status->term;
    infos[0].address = known;
    infos[1].address = status->leader;
    Actor__ActorInfo *both[] = {&infos[0], &infos[1]};
    Actor__ActorInfos all = ACTOR__ACTOR_INFOS__INIT;
    all.actors = both;
    all.n_actors = LENGTH_OF(both);
    ledger_leaders(&self->book->ledger, &all);
}

static const char *image_of(const Apps__Deployment *d) {
    const Core__PodSpec *spec = d->spec->template_->spec;
    return spec->n_containers ? or_empty(spec->containers[0]->image) : "";
}

// What keeps this deployment from being as it was asked for; NULL: nothing.
static const char *slot_missing(client_t *self, const slot_t *slot) {
    arena_t *arena = actor_arena(self->me);
    const record_t *record = informer_get(self->deployments, ns, slot->name);
    if (slot->tries) return arena_printf(arena, "deployment %s: no answer", slot->name);
    if (!record != !slot->exists)
        return arena_printf(arena, "deployment %s is%s there", slot->name, record ? "" : " not");
    if (!record) return NULL;
    const Apps__Deployment *d = RECORD_AS(Apps__Deployment, record);
    const char *image = arena_printf(arena, "nginx:%d", slot->image), *what = NULL;
    if (d->spec->replicas != slot->replicas || !streq(image_of(d), image))
        return arena_printf(arena, "deployment %s has %d replicas of %s, acknowledged: %d of %s",
                            slot->name, d->spec->replicas, image_of(d), slot->replicas, image);
    return deployment_is_steady(arena, record->object, &what) ? NULL : what;
}

static const char *missing(client_t *self) {
    size_t pods = 0;
    for (size_t i = 0; i < self->informers.all.len; i++)
        if (!informer_is_synced(self->informers.all.at[i])) return "the caches are not filled";
    for (size_t i = 0; i < (size_t)self->args->deployments; i++) {
        const slot_t *slot = &self->slots[i];
        const char *what = slot_missing(self, slot);
        if (what) return what;
        if (slot->exists) pods += (size_t)slot->replicas;
        if (slot->service != SERVICE_MADE) return "a service is not made";
    }
    if (informer_len(self->pods) != pods)
        return arena_printf(actor_arena(self->me), "there are %zu pods, wanted: %zu",
                            informer_len(self->pods), pods);
    const char *rule = rules_missing(&self->book->rules, actor_arena(self->me));
    if (rule) return rule;
    if (!checks_endpoints_are_true(&self->book->checks)) return "an endpoint is wrong";
    if (self->busy || self->must_read) return "the witness does not answer";
    return ledger_watch_is_there(&self->book->ledger) ? NULL : "the watch lags behind";
}

static bool is_ready(const Core__Node *node) {
    for (size_t i = 0; node->status && i < node->status->n_conditions; i++)
        if (streq(node->status->conditions[i]->type, "Ready"))
            return streq(node->status->conditions[i]->status, "True");
    return false;
}

static bool is_lagging(const client_t *self) {
    uint64_t most = 0;
    for (size_t i = 0; i < self->args->masters_len; i++)
        if (self->applied[i] > most) most = self->applied[i];
    for (size_t i = 0; i < self->args->masters_len; i++)
        if (self->applied[i] + BEHIND_LEN < most ||
            actor_now_ms(self->me) - self->told_ms[i] > LATELY_MS)
            return true;
    return false;
}

static uint32_t states(client_t *self) {
    uint32_t found = 0;
    const char *what;
    records_t nodes = informer_all(self->nodes), all = informer_all(self->deployments);
    for (size_t i = 0; i < all.len && !found; i++)
        if (!deployment_is_steady(actor_arena(self->me), all.at[i]->object, &what))
            found |= 1u << CLUSTER_ROLLING;
    if (!self->term || actor_now_ms(self->me) - self->term_ms < LATELY_MS)
        found |= 1u << CLUSTER_ELECTING;
    for (size_t i = 0; i < nodes.len; i++)
        if (!is_ready(RECORD_AS(Core__Node, nodes.at[i]))) found |= 1u << CLUSTER_NODE_LOST;
    if (is_lagging(self)) found |= 1u << CLUSTER_CATCHING_UP;
    return found ? found : 1u << CLUSTER_IDLE;
}

static void look_at_rules(client_t *self) {
    rules_check_t *rules = &self->book->rules;
    int64_t now_ms = actor_now_ms(self->me);
    if (!self->book->quiet && now_ms - rules->looked_ms < RULES_LOOK_MS) return;
    rules_look(rules, actor_arena(self->me), self->args->proxies, self->args->proxies_len,
               informer_all(self->services), informer_all(self->pods), now_ms);
}

static void look(client_t *self) {
    actor_timer(self->me, TAG_LOOK, LOOK_MS);
    turn_witness(self);
    ask_who_leads(self);
    checks_look(&self->book->checks);
    ledger_capacity(&self->book->ledger, informer_all(self->nodes), informer_all(self->pods));
    look_at_rules(self);
    self->book->states = states(self);
    if (!self->book->quiet) return;
    const char *what = missing(self);
    self->book->steady = !what;
    if (what) say(self->book->missing, "%s", what);
}

static void on_pod(void *arg, const record_t *was, const record_t *is) {
    client_t *self = arg;
    if (is) ledger_pod(&self->book->ledger, RECORD_AS(Core__Pod, is));
}

// ---- rows ---------------------------------------------------------------------------------------
static void on_reply(actor_t *me, const message_t *msg, const void *body) {
    client_t *self = actor_state(me);
    const Api__Reply *reply = body;
    if (msg->tag < TAG_SLOT) return witness_answered(self, msg->tag, body);
    if (msg->tag >= TAG_SERVICE) {
        self->slots[msg->tag - TAG_SERVICE].service = SERVICE_MADE;
        return;
    }
    slot_t *slot = &self->slots[msg->tag - TAG_SLOT];
    slot->asked = false;
    // An earlier try may have done it, before that.
    if (slot->tries == 1 && reply->outcome != API__OUTCOME__UNCHANGED)
        checks_written(&self->book->checks, slot->before, reply->revision);
    if (reply->revision > self->answered) self->answered = reply->revision;
    slot_done(self, slot);
}

static void on_failure(actor_t *me, const message_t *msg, const void *body) {
    client_t *self = actor_state(me);
    if (informers_handle(&self->informers, me, msg, body) || msg->tag == TAG_STATUS) return;
    err_t err = api_failure(actor_arena(me), body).err;
    if (msg->tag == TAG_WITNESS_WATCH)
        self->watch = 0;
    else if (msg->tag < TAG_SLOT)
        witness_failed(self, msg->tag, err);
    else if (msg->tag >= TAG_SERVICE)
        self->slots[msg->tag - TAG_SERVICE].service =
            err == ERR_EXISTS ? SERVICE_MADE : SERVICE_NONE;
    else
        slot_failed(self, &self->slots[msg->tag - TAG_SLOT], err);
}

static void on_events(actor_t *me, const message_t *msg, const void *body) {
    client_t *self = actor_state(me);
    if (!informers_handle(&self->informers, me, msg, body)) witness_seen(self, body);
}

static void on_end(actor_t *me, const message_t *msg, const void *body) {
    client_t *self = actor_state(me);
    if (!informers_handle(&self->informers, me, msg, body)) self->watch = 0;
}

static void on_timer(actor_t *me, uint64_t tag) {
    client_t *self = actor_state(me);
    if (informers_timer(&self->informers, me, tag)) return;
    if (tag == TAG_TICK) tick(self);
    if (tag == TAG_LOOK) look(self);
}

static void settle(actor_t *me) {
    client_t *self = actor_state(me);
    checks_settle(&self->book->checks, actor_now_ms(me));
}

// ---- life ---------------------------------------------------------------------------------------
static informer_t *follow(client_t *self, const char *group, const char *kind, uint64_t tag) {
    informer_spec_t spec = {.kind = kind_find(group, "v1", kind),
                            .tag = tag,
                            .indexes = {index_by_controller_uid}};
    return informers_add(&self->informers, &spec);
}

static err_t start(actor_t *me, const void *args, why_t *why) {
    client_t *self = actor_state(me);
    self->me = me;
    self->args = args;
    self->book = self->args->book;
    self->config_map = kind_find("", "v1", "ConfigMap");
    self->deployment = kind_find("apps", "v1", "Deployment");
    for (size_t i = 0; i < SIMULATE_DEPLOYMENTS_MAX; i++)
        snprintf(self->slots[i].name, sizeof self->slots[i].name, "app-%zu", i);
    self->services = follow(self, "", "Service", TAG_SERVICES);
    self->pods = follow(self, "", "Pod", TAG_PODS);
    self->nodes = follow(self, "", "Node", TAG_NODES);
    self->deployments = follow(self, "apps", "Deployment", TAG_DEPLOYMENTS);
    informer_subscribe(self->pods, on_pod, self);
    checks_t *checks = &self->book->checks;
    checks->pods = self->pods;
    checks->nodes = self->nodes;
    checks->deployments = self->deployments;
    checks->sets = follow(self, "apps", "ReplicaSet", TAG_SETS);
    checks->endpoints = follow(self, "", "Endpoints", TAG_ENDPOINTS);
    checks_start(checks);
    informers_start(&self->informers, me);
    actor_timer(me, TAG_TICK, self->args->every_ms);
    actor_timer(me, TAG_LOOK, LOOK_MS);
    return ERR_OK;
}

static void stop(actor_t *me) {
    client_t *self = actor_state(me);
    size_t at = 0;
    void *leader;
    while (imap_next(&self->leader_of, &at, NULL, &leader)) free(leader);
    imap_done(&self->leader_of);
    informers_done(&self->informers);
}

static const handler_t handlers[] = {
    {&api__reply__descriptor, on_reply, NULL},
    {&api__watch_events__descriptor, on_events, NULL},
    {&actor__stream_end__descriptor, on_end, NULL},
    {&store__status_reply__descriptor, on_status, NULL},
    {&actor__failure__descriptor, on_failure, NULL},
    {0},
};

const actor_def_t simulate_client_actor = {
    .role = "cli",
    .state_size = sizeof(client_t),
    .start = start,
    .handlers = handlers,
    .settle = settle,
    .on_timer = on_timer,
    .stop = stop,
};
