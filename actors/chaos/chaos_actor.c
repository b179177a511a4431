// A run, every TICK_MS:
//
//   PREPARE ──steady──► FAULTS ──duration──► RECOVER ──healed, steady──► OVER
//      │ too long          │ too many errors     │ too long                ▲
//      └───────────────────┴─────────────────────┴──── failed ────────────┘
//
// All the while the witness is written, read and watched, the actors' leaders, the pods and the
// nodes are looked at, and the checks of the steady state are asked.
#include "actors/chaos/chaos_actor.h"
#include "actors/chaos/run.h"
#include "k8s/apps_v1.pb-c.h"
#include "runtime/actor/election.h"
#include "runtime/actor/targets.h"
#include "runtime/api/msg.h"
#include "runtime/base/log.h"

enum {
    TAG_ELECTION = 1,
    TAG_EXPERIMENTS,
    TAG_PODS,
    TAG_NODES,
    TAG_DEPLOYMENTS,
    TAG_WITNESS, // its watch
    TAG_MAKE,    // the witness
    TAG_WRITE,
    TAG_READ,
    TAG_REMOVE,
    TAG_STATUS,
    TAG_ACTORS,
    TAG_CLEAR,
    TAG_TICK,   // timer
    TAG_INJECT, // + index of the first hit
    TICK_MS = 50,
    STATUS_EVERY_MS = 1000,
    LOOK_EVERY_MS = 500,     // at actors, nodes, addresses
    STEADY_WITHIN_MS = 1500, // an answer this old is still one
    STRIKE_WITHIN_MS = 5000, // its targets may be away just now
    ASK_MS = 2000,
    READ_EVERY = 4, // turns of the witness
};
#define WITNESS_NS "kube-system"

typedef struct {
    actor_t *me;
    const kind_t *kind, *config_map;
    election_t election;
    informers_t experiments, world; // world: while a run is under way
    informer_t *pods, *nodes, *deployments;
    run_t *run; // owned
    // the witness
    int64_t revision, number, sent; // as last known; the highest number ever sent
    int64_t acked_at_read, answered_ms, turn;
    bool is_busy, is_made, must_read;
    uint64_t watch;
    int64_t watch_revision;
    // what is asked
    blob_t *actors; // packed ActorInfos, owned
    bool asks_actors, status_asked, is_cleared, reads_since_clear;
    int64_t actors_ms, status_ms, looks_ms;
    run_phase_t status_phase; // of the last status that was written
} chaos_t;

static const char *witness_name(chaos_t *self) {
    return arena_printf(actor_arena(self->me), "chaos-%s", self->run->spec->metadata->name);
}

// ---- the witness --------------------------------------------------------------------------------

static int64_t number_of(const Core__ConfigMap *map) {
    for (size_t i = 0; map && i < map->n_data; i++)
        if (streq(or_empty(map->data[i]->key), "number"))
            return strtoll(or_empty(map->data[i]->value), NULL, 10);
    return 0;
}

static void make_witness(chaos_t *self) {
    Core__ConfigMap *map =
        MSG_NEW(actor_arena(self->me), Core__ConfigMap, core__config_map__descriptor);
    Meta__ObjectMeta *meta = object_meta(actor_arena(self->me), &map->base);
    meta->name = witness_name(self);
    meta->namespace_ = WITNESS_NS;
    api_create(self->me, self->config_map, &map->base, TAG_MAKE);
    self->is_busy = true;
}

static void watch_witness(chaos_t *self) {
    Api__Resource resource = api_resource(self->config_map, WITNESS_NS, NULL, NULL);
    Api__Watch watch = API__WATCH__INIT;
    watch.resource = &resource;
    watch.field_selector =
        arena_printf(actor_arena(self->me), "metadata.name=%s", witness_name(self));
    watch.from_revision = self->watch_revision;
    self->watch = actor_open(self->me, API_SERVER, &watch.base, STREAM_WINDOW_DEFAULT, TAG_WITNESS);
}

static void turn_witness(chaos_t *self) {
    if (self->is_busy) return;
    if (!self->is_made) {
        make_witness(self);
        return;
    }
    if (!self->watch) watch_witness(self);
    self->is_busy = true;
    if (self->must_read || ++self->turn % READ_EVERY == 0) {
        self->acked_at_read = self->run->ledger.acked;
        api_get(self->me, self->config_map, WITNESS_NS, witness_name(self), TAG_READ);
        return;
    }
    const char *json = arena_printf(actor_arena(self->me), "{\"data\":{\"number\":\"%lld\"}}",
                                    (long long)++self->sent);
    api_patch(self->me, self->config_map, WITNESS_NS, witness_name(self), NULL,
              API__PATCH__TYPE__MERGE, json, self->revision, TAG_WRITE);
}

static void on_witness(chaos_t *self, uint64_t tag, const Api__Reply *reply) {
    void *map;
    run_t *r = self->run;
    self->is_busy = false;
    if (api_reply_object(actor_arena(self->me), reply, self->config_map, &map)) return;
    int64_t number = number_of(map);
    self->answered_ms = actor_now_ms(self->me);
    self->revision = object_revision(map);
    if (!self->is_made) { // one that a predecessor left goes on where it stands
        self->is_made = true;
        self->sent = r->ledger.acked = r->ledger.seen = number;
        self->watch_revision = r->ledger.seen_revision = self->revision;
    } else if (tag == TAG_WRITE) {
        ledger_acked(&r->ledger, number);
    } else {
        ledger_read(&r->ledger, self->acked_at_read, number);
        self->must_read = false;
        self->reads_since_clear |= self->is_cleared;
    }
    if (number > self->sent) self->sent = number;
}

static void on_witness_failed(chaos_t *self, uint64_t tag, const api_failure_t *failure) {
    self->is_busy = false;
    if (tag == TAG_MAKE && failure->err == ERR_EXISTS) {
        api_get(self->me, self->config_map, WITNESS_NS, witness_name(self), TAG_READ);
        self->is_busy = true;
        return;
    }
    self->must_read = self->is_made; // was it written or not?
    // A conflict is what follows an unknown outcome, and no error.
    if (failure->err != ERR_CONFLICT)
        run_error(self->run,
                  tag == TAG_WRITE  ? "write"
                  : tag == TAG_READ ? "read"
                                    : "create",
                  failure->why);
}

static void on_witness_events(chaos_t *self, const Api__WatchEvents *events) {
    for (size_t i = 0; i < events->n_events; i++) {
        const Api__WatchEvent *event = events->events[i];
        bytes_t packed = {event->object.data, event->object.len};
        if (event->type == API__WATCH_EVENT__TYPE__BOOKMARK || !packed.len) continue;
        Core__ConfigMap *map =
            msg_unpack_own(actor_arena(self->me), &core__config_map__descriptor, packed);
        if (map && event->type == API__WATCH_EVENT__TYPE__MODIFIED)
            ledger_watched(&self->run->ledger, event->revision, number_of(map));
        self->watch_revision = event->revision;
    }
}

// ---- what is steady -----------------------------------------------------------------------------

static bool deployments_are_steady(chaos_t *self, const Experiments__ExperimentCheck *check,
                                   const char **ret_what) {
    arena_t *arena = actor_arena(self->me);
    if (check) {
        const char *ns = is_empty(check->namespace_) ? "default" : check->namespace_;
        const record_t *record = informer_get(self->deployments, ns, check->name);
        if (record) return deployment_is_steady(arena, record->object, ret_what);
        *ret_what = arena_printf(arena, "there is no deployment %s/%s", ns, check->name);
        return false;
    }
    records_t all = informer_all(self->deployments);
    for (size_t i = 0; i < all.len; i++)
        if (!deployment_is_steady(arena, all.at[i]->object, ret_what)) return false;
    return true;
}

static bool world_is_synced(const chaos_t *self) {
    return informer_is_synced(self->pods) && informer_is_synced(self->nodes) &&
           informer_is_synced(self->deployments);
}

static bool is_steady(chaos_t *self, const char **ret_what) {
    const run_t *r = self->run;
    int64_t now_ms = actor_now_ms(self->me);
    *ret_what = "the API does not answer";
    if (!self->is_made || now_ms - self->answered_ms > STEADY_WITHIN_MS) return false;
    *ret_what = "the caches are not filled yet";
    if (!world_is_synced(self)) return false;
    for (size_t i = 0; i < r->spec->spec->n_steadystate; i++) {
        const Experiments__ExperimentCheck *check = r->spec->spec->steadystate[i];
        if (streq(check->type, "Replicas") && !deployments_are_steady(self, check, ret_what))
            return false;
        if (!streq(check->type, "HTTP")) continue;
        *ret_what = arena_printf(actor_arena(self->me), "%s does not answer", check->address);
        if (!r->looks_ok_ms[i] || now_ms - r->looks_ok_ms[i] > STEADY_WITHIN_MS) return false;
    }
    return true;
}

static void look_over(chaos_t *self, size_t i) {
    run_t *r = self->run;
    http_look_t *look = &r->looks[i];
    if (look->fd >= 0) actor_unwatch_fd(self->me, look->fd);
    if (look->ok)
        r->looks_ok_ms[i] = actor_now_ms(self->me);
    else if (r->phase != RUN_PREPARE)
        run_error(r, r->spec->spec->steadystate[i]->address, "no answer");
    http_look_close(look);
}

static void look_at_addresses(chaos_t *self) {
    const Experiments__ExperimentSpec *spec = self->run->spec->spec;
    for (size_t i = 0; i < spec->n_steadystate; i++) {
        http_look_t *look = &self->run->looks[i];
        if (!streq(spec->steadystate[i]->type, "HTTP")) continue;
        if (look->fd >= 0 && actor_now_ms(self->me) - look->begun_ms < ASK_MS) continue;
        if (look->fd >= 0) look_over(self, i);
        if (http_look_start(look, spec->steadystate[i]->address, actor_now_ms(self->me)))
            actor_watch_fd(self->me, look->fd, http_look_events(look));
    }
}

static void on_fd(actor_t *me, int fd, uint32_t events) {
    chaos_t *self = actor_state(me);
    for (size_t i = 0; self->run && i < self->run->spec->spec->n_steadystate; i++) {
        http_look_t *look = &self->run->looks[i];
        if (look->fd != fd) continue;
        if (http_look_on_fd(look))
            look_over(self, i);
        else
            actor_watch_fd(me, fd, http_look_events(look));
    }
}

// ---- striking -----------------------------------------------------------------------------------

static const Actor__ActorInfos *known_actors(chaos_t *self) {
    return self->actors ? msg_unpack_own(actor_arena(self->me), &actor__actor_infos__descriptor,
                                         blob_bytes(self->actors))
                        : NULL;
}

// What a fault hits dies, and its death is heard; or it goes on, and only the fault's end counts.
static void note_hit(chaos_t *self, const strike_t *strike, const Actor__FaultRule *rule,
                     const char *process, const char *target) {
    hit_t *hit = run_add_hit(self->run, strike, target, actor_now_ms(self->me));
    hit->end_ms += rule->for_ms;
    if (rule->kind < ACTOR__FAULT_RULE__KIND__KILL) return;
    bool alone = rule->kind == ACTOR__FAULT_RULE__KIND__KILL && !is_empty(rule->target);
    hit->watched = alone ? str_dup(rule->target) : str_printf("system/%s", process);
    actor_monitor(self->me, hit->watched);
}

static void note_hits(chaos_t *self, const strike_t *strike, const Chaos__Inject *order) {
    const Experiments__ExperimentFault *f = self->run->spec->spec->faults[strike->fault];
    const Actor__FaultRule *first = order->orders[0]->rules[0];
    if (first->kind <= ACTOR__FAULT_RULE__KIND__PARTITION) {
        for (size_t i = 0; i < f->n_targets; i++) note_hit(self, strike, first, "", f->targets[i]);
        return;
    }
    for (size_t i = 0; i < order->n_orders; i++)
        for (size_t k = 0; k < order->orders[i]->n_rules; k++) {
            const Actor__FaultRule *rule = order->orders[i]->rules[k];
            const char *process = order->orders[i]->process;
            const char *target = is_empty(rule->target)
                                     ? arena_printf(actor_arena(self->me), "process/%s", process)
                                     : rule->target;
            note_hit(self, strike, rule, process, target);
        }
}

// False: its targets are away just now; once more at the next tick.
static bool strike(chaos_t *self, const strike_t *s, int64_t late_ms) {
    run_t *r = self->run;
    const Experiments__ExperimentFault *f = r->spec->spec->faults[s->fault];
    const Actor__ActorInfos *actors = known_actors(self);
    Actor__FaultRule rule;
    why_t why = {0};
    if (!actors && late_ms < STRIKE_WITHIN_MS) return false;
    bool is_fault =
        strike_rule(actor_arena(self->me), r->spec->metadata->name, f, ++r->serial, &rule);
    fault_wish_t wish = {&rule, (const char *const *)f->targets, f->n_targets};
    Chaos__Inject order;
    err_t err = !is_fault || !actors
                    ? why_set(&why, ERR_BAD_REQUEST, "cannot be set")
                    : targets_resolve(actor_arena(self->me), actors, &wish, &order, &why);
    if (err && late_ms < STRIKE_WITHIN_MS) return false;
    if (err) {
        hit_t *hit = run_add_hit(r, s, f->targets[0], actor_now_ms(self->me));
        hit->message = str_dup(why.text);
        run_fail(r, arena_printf(&r->arena, "fault %s: %s", f->name, why.text));
        return true;
    }
    size_t first = r->hits.len;
    note_hits(self, s, &order);
    actor_ask(self->me, API_SERVER, &order.base, ASK_MS, TAG_INJECT + first);
    return true;
}

static void strike_due(chaos_t *self, int64_t elapsed_ms) {
    run_t *r = self->run;
    while (r->next < r->schedule.len && r->schedule.at[r->next].at_ms <= elapsed_ms) {
        const strike_t *s = &r->schedule.at[r->next];
        if (!strike(self, s, elapsed_ms - s->at_ms)) return;
        r->next++;
    }
}

// Begun milliseconds: none is 0, which an optional field would not show.
static int64_t since_ms(const actor_t *me, int64_t when_ms) {
    int64_t spent_ms = actor_now_ms(me) - when_ms;
    return spent_ms > 0 ? spent_ms : 1;
}

static void on_down(actor_t *me, const message_t *msg, const void *body) {
    chaos_t *self = actor_state(me);
    const Actor__Down *down = body;
    for (size_t i = 0; self->run && i < self->run->hits.len; i++) {
        hit_t *hit = &self->run->hits.at[i];
        if (!hit->watched || !streq(hit->watched, down->address) || hit->detected_ms >= 0) continue;
        if (hit->message) continue;       // the death is another's
        if (!down->incarnation) continue; // the monitor's own first word: nobody was there
        hit->is_down = true;
        hit->detected_ms = since_ms(me, hit->set_ms);
    }
}

static void on_up(actor_t *me, const message_t *msg, const void *body) {
    chaos_t *self = actor_state(me);
    const Actor__Up *up = body;
    for (size_t i = 0; self->run && i < self->run->hits.len; i++) {
        hit_t *hit = &self->run->hits.at[i];
        if (!hit->is_down || !streq(hit->watched, up->address)) continue;
        hit->is_down = false;
        hit->recovered_ms = since_ms(me, hit->set_ms);
    }
}

// Faults that kill nobody are over when they have ended and all is steady.
static void heal_lasting(chaos_t *self, bool steady) {
    int64_t now_ms = actor_now_ms(self->me);
    for (size_t i = 0; steady && i < self->run->hits.len; i++) {
        hit_t *hit = &self->run->hits.at[i];
        bool ended = now_ms >= hit->end_ms || self->is_cleared;
        if (!hit->watched && hit->recovered_ms < 0 && ended)
            hit->recovered_ms = since_ms(self->me, hit->end_ms);
    }
}

// ---- the run ------------------------------------------------------------------------------------

static void ask_clear(chaos_t *self) {
    run_t *r = self->run;
    Actor__ClearFaults clear = {PROTOBUF_C_MESSAGE_INIT(&actor__clear_faults__descriptor)};
    clear.names = ARENA_ARRAY(actor_arena(self->me), const char *, r->serial + 1);
    for (size_t i = 1; i <= r->serial; i++)
        clear.names[clear.n_names++] =
            arena_printf(actor_arena(self->me), "x-%s-%zu", r->spec->metadata->name, i);
    if (clear.n_names) actor_ask(self->me, API_SERVER, &clear.base, ASK_MS, TAG_CLEAR);
    self->is_cleared = true; // each ends by itself, too
}

static void enter(chaos_t *self, run_phase_t phase) {
    self->run->phase = phase;
    self->run->phase_ms = actor_now_ms(self->me);
    if (phase >= RUN_RECOVER && !self->is_cleared) ask_clear(self);
    if (phase != RUN_OVER) return;
    ledger_close(&self->run->ledger);
    self->run->ended_wall_ms = actor_wall_ms(self->me);
    api_delete(self->me, self->config_map, WITNESS_NS, witness_name(self), NULL, TAG_REMOVE);
    self->status_ms = 0;
}

static void prepare(chaos_t *self, bool steady, const char *what) {
    run_t *r = self->run;
    if (steady) {
        if (!r->started_wall_ms) {
            r->started_wall_ms = actor_wall_ms(self->me);
            r->began_ms = actor_now_ms(self->me);
        }
        enter(self, RUN_FAULTS);
    } else if (actor_now_ms(self->me) - r->phase_ms > r->schedule.recovery_ms) {
        const char *why = arena_printf(&r->arena, "before the first fault: %s", what);
        ledger_wanted(&r->ledger, false, why);
        run_fail(r, why);
        enter(self, RUN_OVER);
    }
}

static void recover(chaos_t *self, bool steady, const char *what) {
    run_t *r = self->run;
    bool done = steady && self->reads_since_clear && deployments_are_steady(self, NULL, &what);
    if (done && !run_has_healed(r, &what)) {
        what = arena_printf(actor_arena(self->me), "%s has not come back", what);
        done = false;
    }
    if (done && !ledger_watch_is_there(&r->ledger)) {
        what = "the watch lags behind";
        done = false;
    }
    if (done) {
        ledger_wanted(&r->ledger, true, "");
        enter(self, RUN_OVER);
    } else if (actor_now_ms(self->me) - r->phase_ms > r->schedule.recovery_ms) {
        ledger_wanted(&r->ledger, false, what ? what : "not steady");
        enter(self, RUN_OVER);
    }
}

static void look_around(chaos_t *self) {
    int64_t now_ms = actor_now_ms(self->me);
    if (now_ms - self->looks_ms < LOOK_EVERY_MS) return;
    self->looks_ms = now_ms;
    look_at_addresses(self);
    if (world_is_synced(self))
        ledger_capacity(&self->run->ledger, informer_all(self->nodes), informer_all(self->pods));
    if (self->asks_actors) return;
    Actor__ListActors list = {PROTOBUF_C_MESSAGE_INIT(&actor__list_actors__descriptor)};
    actor_ask(self->me, API_SERVER, &list.base, ASK_MS, TAG_ACTORS);
    self->asks_actors = true;
}

static void write_status(chaos_t *self) {
    int64_t now_ms = actor_now_ms(self->me);
    bool due =
        now_ms - self->status_ms >= STATUS_EVERY_MS || self->run->phase != self->status_phase;
    if (self->status_asked || !due) return;
    arena_t *arena = actor_arena(self->me);
    Experiments__Experiment *x =
        MSG_NEW(arena, Experiments__Experiment, experiments__experiment__descriptor);
    object_meta(arena, &x->base)->name = self->run->spec->metadata->name;
    x->metadata->uid = self->run->spec->metadata->uid;
    x->spec = self->run->spec->spec;
    x->status = run_status(self->run, arena);
    api_update(self->me, self->kind, "status", &x->base, TAG_STATUS);
    self->status_asked = true;
    self->status_ms = now_ms;
    self->status_phase = self->run->phase;
}

static void end_run(chaos_t *self) {
    for (size_t i = 0; i < self->run->spec->spec->n_steadystate; i++)
        if (self->run->looks[i].fd >= 0) actor_unwatch_fd(self->me, self->run->looks[i].fd);
    for (size_t i = 0; i < self->run->hits.len; i++)
        if (self->run->hits.at[i].watched) actor_demonitor(self->me, self->run->hits.at[i].watched);
    if (!self->is_cleared) ask_clear(self);
    if (self->watch) actor_cancel(self->me, self->watch);
    for (size_t i = 0; i < self->world.all.len; i++) informer_stop(self->world.all.at[i], self->me);
    informers_done(&self->world);
    blob_unref(&self->actors);
    run_destroy(&self->run);
    actor_timer_cancel(self->me, TAG_TICK);
}

static void step(chaos_t *self) {
    run_t *r = self->run;
    const char *what = NULL;
    int64_t elapsed_ms = actor_now_ms(self->me) - r->began_ms;
    write_status(self);
    if (r->phase == RUN_OVER) return;
    turn_witness(self);
    look_around(self);
    bool steady = is_steady(self, &what);
    if (r->phase == RUN_PREPARE) {
        prepare(self, steady, what);
        return;
    }
    heal_lasting(self, steady);
    int32_t limit = r->spec->spec->abortaftererrors;
    if (limit && r->errors_total >= limit) {
        run_fail(r, arena_printf(&r->arena, "aborted: %lld errors", (long long)r->errors_total));
        enter(self, RUN_OVER);
    } else if (r->phase == RUN_FAULTS) {
        strike_due(self, elapsed_ms);
        if (elapsed_ms >= r->schedule.duration_ms && r->next == r->schedule.len)
            enter(self, RUN_RECOVER);
    } else {
        recover(self, steady, what);
    }
}

static void on_pod(void *arg, const record_t *was, const record_t *is) {
    chaos_t *self = arg;
    if (is && self->run) ledger_pod(&self->run->ledger, RECORD_AS(Core__Pod, is));
}

static informer_t *follow(chaos_t *self, const char *group, const char *kind, uint64_t tag) {
    informer_spec_t spec = {.kind = kind_find(group, "v1", kind), .tag = tag, .shared = true};
    return informers_add(&self->world, &spec);
}

static void begin_run(chaos_t *self, const Experiments__Experiment *x) {
    run_t *r = self->run = run_new(x);
    r->phase_ms = r->began_ms = actor_now_ms(self->me);
    if (x->status && x->status->starttime) { // a predecessor has begun it
        r->started_wall_ms = time_wall_ms(x->status->starttime);
        r->began_ms -= actor_wall_ms(self->me) - r->started_wall_ms;
        while (r->next < r->schedule.len &&
               r->schedule.at[r->next].at_ms <= actor_now_ms(self->me) - r->began_ms)
            r->next++;
        r->serial = r->next;
    }
    self->revision = self->number = self->sent = self->turn = 0;
    self->answered_ms = self->actors_ms = self->status_ms = self->looks_ms = 0;
    self->is_busy = self->is_made = self->must_read = self->asks_actors = false;
    self->status_asked = self->is_cleared = self->reads_since_clear = false;
    self->watch = 0;
    self->status_phase = RUN_OVER;
    self->pods = follow(self, "", "Pod", TAG_PODS);
    self->nodes = follow(self, "", "Node", TAG_NODES);
    self->deployments = follow(self, "apps", "Deployment", TAG_DEPLOYMENTS);
    informer_subscribe(self->pods, on_pod, self);
    informers_start(&self->world, self->me);
    actor_timer(self->me, TAG_TICK, 0);
    log_info(actor_address(self->me), "runs experiment %s", x->metadata->name);
}

static bool is_finished(const Experiments__Experiment *x) {
    return x->status && streq(or_empty(x->status->phase), "Completed");
}

static void settle(actor_t *me) {
    chaos_t *self = actor_state(me);
    if (!self->election.leads || !informer_is_synced(self->experiments.all.at[0])) return;
    informer_t *all = self->experiments.all.at[0];
    if (self->run) { // deleted, or made anew under the same name
        const record_t *is = informer_get(all, "", self->run->spec->metadata->name);
        bool same = is && streq(is->uid, or_empty(self->run->spec->metadata->uid));
        if (!same || is_finished(RECORD_AS(Experiments__Experiment, is))) end_run(self);
    }
    records_t records = informer_all(all);
    for (size_t i = 0; i < records.len && !self->run; i++) {
        const Experiments__Experiment *x = RECORD_AS(Experiments__Experiment, records.at[i]);
        if (!is_finished(x)) begin_run(self, x);
    }
}

// ---- rows ---------------------------------------------------------------------------------------

static void on_reply(actor_t *me, const message_t *msg, const void *body) {
    chaos_t *self = actor_state(me);
    if (msg->tag == TAG_STATUS) self->status_asked = false;
    if (msg->tag == TAG_STATUS && self->run) {
        void *x;
        if (!api_reply_object(actor_arena(me), body, self->kind, &x))
            informer_learn(self->experiments.all.at[0], x);
    }
    if (self->run && (msg->tag == TAG_MAKE || msg->tag == TAG_WRITE || msg->tag == TAG_READ))
        on_witness(self, msg->tag, body);
}

// Who is killed may take the answer with it: a death that was heard tells that it was done.
static void order_failed(run_t *r, size_t first, const char *why) {
    for (size_t i = first; i < r->hits.len && r->hits.at[i].set_ms == r->hits.at[first].set_ms; i++)
        if (r->hits.at[i].detected_ms < 0 && !r->hits.at[i].message)
            r->hits.at[i].message = str_printf("the order may be lost: %s", why);
}

static void on_failure(actor_t *me, const message_t *msg, const void *body) {
    chaos_t *self = actor_state(me);
    if (informers_handle(&self->experiments, me, msg, body) ||
        informers_handle(&self->world, me, msg, body) ||
        election_handle(&self->election, me, msg, body))
        return;
    api_failure_t failure = api_failure(actor_arena(me), body);
    if (failure.err == ERR_DEPOSED) {
        actor_exit(me, "deposed");
        return;
    }
    if (!self->run) return;
    run_t *r = self->run;
    if (msg->tag == TAG_WITNESS) self->watch = 0;
    if (msg->tag == TAG_STATUS) self->status_asked = false;
    if (msg->tag == TAG_ACTORS) self->asks_actors = false;
    if (msg->tag == TAG_MAKE || msg->tag == TAG_WRITE || msg->tag == TAG_READ)
        on_witness_failed(self, msg->tag, &failure);
    if (msg->tag >= TAG_INJECT) order_failed(r, msg->tag - TAG_INJECT, failure.why);
}

static void on_watch_events(actor_t *me, const message_t *msg, const void *body) {
    chaos_t *self = actor_state(me);
    if (informers_handle(&self->experiments, me, msg, body) ||
        informers_handle(&self->world, me, msg, body))
        return;
    if (msg->tag == TAG_WITNESS && self->run) on_witness_events(self, body);
}

static void on_stream_end(actor_t *me, const message_t *msg, const void *body) {
    chaos_t *self = actor_state(me);
    if (informers_handle(&self->experiments, me, msg, body) ||
        informers_handle(&self->world, me, msg, body))
        return;
    if (msg->tag == TAG_WITNESS) self->watch = 0; // resumed at the next turn
}

static void on_elect_reply(actor_t *me, const message_t *msg, const void *body) {
    election_handle(&((chaos_t *)actor_state(me))->election, me, msg, body);
}

static void on_actors(actor_t *me, const message_t *msg, const void *body) {
    chaos_t *self = actor_state(me);
    self->asks_actors = false;
    if (!self->run) return;
    ledger_leaders(&self->run->ledger, body);
    blob_unref(&self->actors);
    self->actors = blob_ref(msg->body);
}

static void on_injected(actor_t *me, const message_t *msg, const void *body) {
    chaos_t *self = actor_state(me);
    const Chaos__Injected *done = body;
    size_t first = msg->tag - TAG_INJECT;
    for (size_t i = 0; self->run && i < done->n_failed; i++)
        if (first < self->run->hits.len && !self->run->hits.at[first].message)
            self->run->hits.at[first].message =
                str_printf("process %s: %s", done->failed[i]->process, done->failed[i]->why);
}

static void on_done(actor_t *me, const message_t *msg, const void *body) {}

static void on_timer(actor_t *me, uint64_t tag) {
    chaos_t *self = actor_state(me);
    if (informers_timer(&self->experiments, me, tag) || informers_timer(&self->world, me, tag) ||
        election_timer(&self->election, me, tag))
        return;
    assert(tag == TAG_TICK);
    if (!self->run) return;
    step(self);
    actor_timer(me, TAG_TICK, TICK_MS);
}

// ---- life ---------------------------------------------------------------------------------------

static err_t start(actor_t *me, const void *args, why_t *why) {
    chaos_t *self = actor_state(me);
    self->me = me;
    self->kind = kind_find("chaos.troupe.io", "v1", "Experiment");
    self->config_map = kind_find("", "v1", "ConfigMap");
    informer_spec_t spec = {.kind = self->kind, .tag = TAG_EXPERIMENTS};
    informers_add(&self->experiments, &spec);
    informers_start(&self->experiments, me);
    election_start(&self->election, me, "chaos", TAG_ELECTION);
    return ERR_OK;
}

static void stop(actor_t *me) {
    chaos_t *self = actor_state(me);
    run_destroy(&self->run);
    informers_done(&self->world);
    informers_done(&self->experiments);
    blob_unref(&self->actors);
}

static const handler_t handlers[] = {
    {&api__watch_events__descriptor, on_watch_events},
    {&actor__stream_end__descriptor, on_stream_end},
    {&api__reply__descriptor, on_reply},
    {&api__elect_reply__descriptor, on_elect_reply},
    {&actor__actor_infos__descriptor, on_actors, .from = "apiserver test"},
    {&chaos__injected__descriptor, on_injected, .from = "apiserver test"},
    {&actor__done__descriptor, on_done, .from = "apiserver test"},
    {&actor__failure__descriptor, on_failure},
    {&actor__down__descriptor, on_down},
    {&actor__up__descriptor, on_up},
    {0},
};

const actor_def_t chaos_actor = {
    .role = "chaos",
    .state_size = sizeof(chaos_t),
    .start = start,
    .handlers = handlers,
    .settle = settle,
    .on_timer = on_timer,
    .on_fd = on_fd,
    .stop = stop,
};
