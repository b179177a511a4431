// leaders - elections of leader-elected roles, and who hears the nodes: the shell of elections.c
// and liveness.c.
//
// The epoch of a role lies under /troupe/epoch/ROLE. Taking over is one transaction: if the key is
// as this server last knew it, the next epoch, and the Lease object that shows who leads.
#include "actors/apiserver/server.h"
#include "k8s/coordination_v1.pb-c.h"

enum { ANSWER_MARGIN_MS = 300 }; // a held answer leaves so long before the asker's deadline

static ProtobufCBinaryData binary(const char *text) {
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
}

// ---- what the store says ------------------------------------------------------------------------
static bool parse_epoch(bytes_t value, uint64_t *ret_epoch) {
    uint64_t epoch = 0;
    if (value.len == 0 || value.len > 19) return false;
    for (size_t i = 0; i < value.len; i++) {
        if (value.at[i] < '0' || value.at[i] > '9') return false;
        epoch = epoch * 10 + (value.at[i] - '0');
    }
    *ret_epoch = epoch;
    return true;
}

// Who took this epoch, by the Lease object that was written with it; "": it has not come yet.
static const char *lease_holder(actor_t *me, const char *role, uint64_t epoch) {
    server_t *s = actor_state(me);
    arena_t *arena = actor_arena(me);
    const cached_t *cached = cache_get(&s->cache, kind_find("coordination.k8s.io", "v1", "Lease"),
                                       arena_printf(arena, "kube-system/%s", role));
    if (!cached) return "";
    const Coordination__Lease *lease = cached_object(arena, cached);
    bool is_of_epoch = lease->spec && (uint64_t)lease->spec->leasetransitions + 1 == epoch;
    return is_of_epoch ? or_empty(lease->spec->holderidentity) : "";
}

// Another API server's swap. Whoever is not known here yet is heard, or not; only who was may die.
static void learn_from_store(actor_t *me, election_t *one, uint64_t epoch) {
    const char *holder = lease_holder(me, one->role, epoch);
    election_learn(one, epoch, holder, 0, actor_now_ms(me));
    if (*holder && actor_is_known(me, holder)) actor_monitor(me, holder);
}

// Epochs come with the first reading and with the watch. Our own swaps we know already; one that
// another API server made names its leader in the Lease object of the same transaction.
void leaders_on_key(actor_t *me, bytes_t key, bytes_t value) {
    server_t *s = actor_state(me);
    size_t prefix = strlen(KEYS_EPOCHS);
    uint64_t epoch;
    if (key.len <= prefix || memcmp(key.at, KEYS_EPOCHS, prefix) != 0 ||
        !parse_epoch(value, &epoch))
        return;
    const char *role =
        arena_strndup(actor_arena(me), (const char *)key.at + prefix, key.len - prefix);
    election_t *one = elections_of(&s->elections, role);
    // A swap of our own is told by its answer, which also knows the leader's incarnation.
    if (!one || one->is_taking) return;
    learn_from_store(me, one, epoch);
    leaders_look(me);
}

// ---- answers ------------------------------------------------------------------------------------
static void fill_answer(const election_t *one, const char *candidate, uint64_t incarnation,
                        Api__ElectReply *reply) {
    reply->leader = or_empty(one->leader);
    reply->epoch = one->epoch;
    reply->you = one->leader && streq(one->leader, candidate) && one->incarnation == incarnation;
}

static void answer_candidate(actor_t *me, const election_t *one, candidate_t *candidate) {
    Api__ElectReply reply = API__ELECT_REPLY__INIT;
    fill_answer(one, caller_address(candidate->caller), candidate->incarnation, &reply);
    caller_reply(me, &candidate->caller, &reply.base);
    free(candidate->role);
}

// ---- taking over --------------------------------------------------------------------------------
static blob_t *lease_value(actor_t *me, const election_t *one, const char *holder) {
    server_t *s = actor_state(me);
    arena_t *arena = actor_arena(me);
    const kind_t *k = kind_find("coordination.k8s.io", "v1", "Lease");
    const cached_t *cached =
        cache_get(&s->cache, k, arena_printf(arena, "kube-system/%s", one->role));
    Coordination__Lease *lease = cached ? cached_object(arena, cached) : msg_new(arena, k->type);
    Meta__ObjectMeta *meta = object_meta(arena, &lease->base);
    meta->name = one->role;
    meta->namespace_ = "kube-system";
    meta->resourceversion = NULL;
    if (!cached) {
        rng_t *rng = actor_rng(me);
        meta->uid = arena_printf(arena, "%08x-0000-4000-8000-%012llx", (unsigned)rng_next(rng),
                                 (unsigned long long)(rng_next(rng) & 0xffffffffffff));
        meta->creationtimestamp = time_new(arena, actor_wall_ms(me) / 1000 * 1000);
    }
    lease->spec = MSG_NEW(arena, Coordination__LeaseSpec, coordination__lease_spec__descriptor);
    lease->spec->holderidentity = holder;
    lease->spec->has_leasedurationseconds = lease->spec->has_leasetransitions = true;
    lease->spec->leasedurationseconds = 1;
    lease->spec->leasetransitions = (int32_t)one->epoch;
    lease->spec->acquiretime = lease->spec->renewtime = microtime_new(arena, actor_wall_ms(me));
    return object_encode_stored(&lease->base);
}

static void swap_epoch(actor_t *me, election_t *one, const char *candidate) {
    server_t *s = actor_state(me);
    arena_t *arena = actor_arena(me);
    const char *key = keys_epoch(arena, one->role);
    const char *next = arena_printf(arena, "%llu", (unsigned long long)one->epoch + 1);
    Store__Compare compare = STORE__COMPARE__INIT;
    compare.key = binary(key);
    compare.target = one->epoch ? STORE__COMPARE__TARGET__VALUE : STORE__COMPARE__TARGET__VERSION;
    if (one->epoch)
        compare.value = binary(arena_printf(arena, "%llu", (unsigned long long)one->epoch));
    blob_t *lease = lease_value(me, one, candidate);
    Store__PutOp puts[2] = {STORE__PUT_OP__INIT, STORE__PUT_OP__INIT};
    // The Lease first: whoever watches knows the name when the epoch comes.
    puts[0].key = binary(keys_object(arena, kind_find("coordination.k8s.io", "v1", "Lease"),
                                     "kube-system", one->role));
    puts[0].value = (ProtobufCBinaryData){lease->len, lease->at};
    puts[1].key = binary(key);
    puts[1].value = binary(next);
    Store__Op ops[2] = {STORE__OP__INIT, STORE__OP__INIT}, *then[2] = {&ops[0], &ops[1]};
    for (int i = 0; i < 2; i++) {
        ops[i].op_case = STORE__OP__OP_PUT;
        ops[i].put = &puts[i];
    }
    Store__RangeRequest range = STORE__RANGE_REQUEST__INIT;
    range.key = binary(key);
    Store__Op read = STORE__OP__INIT, *otherwise[1] = {&read};
    read.op_case = STORE__OP__OP_RANGE;
    read.range = &range;
    Store__Compare *compares[1] = {&compare};
    Store__TxnRequest txn = STORE__TXN_REQUEST__INIT;
    txn.n_compares = txn.n_else_ = 1;
    txn.n_then = 2;
    txn.compares = compares;
    txn.then = then;
    txn.else_ = otherwise;
    actor_ask(me, "store", &txn.base, STORE_TIMEOUT_MS,
              TAG_ELECTION | (uint64_t)(one - s->elections.all.at));
    blob_unref(&lease);
}

// The candidate whose swap is under way stands first among those of its role.
static candidate_t *swapping(server_t *s, const char *role) {
    for (size_t i = 0; i < s->candidates.len; i++)
        if (streq(s->candidates.at[i].role, role)) return &s->candidates.at[i];
    return NULL;
}

void leaders_on_swap(actor_t *me, uint64_t role, const Store__TxnReply *reply) {
    server_t *s = actor_state(me);
    if (role >= s->elections.all.len) return;
    election_t *one = &s->elections.all.at[role];
    candidate_t *candidate = swapping(s, one->role);
    if (!one->is_taking) return;
    if (reply && reply->succeeded && candidate) {
        const char *leader = caller_address(candidate->caller);
        election_learn(one, one->epoch + 1, leader, candidate->incarnation, actor_now_ms(me));
        log_info("apiserver", "%s leads %s, epoch %llu", leader, one->role,
                 (unsigned long long)one->epoch);
        actor_monitor(me, leader);
    } else if (reply && !reply->succeeded && reply->n_replies == 1 && reply->replies[0]->range &&
               reply->replies[0]->range->n_kvs == 1) {
        // Somebody else took it. The watch brings who, or has brought it before this answer.
        const Store__KeyValue *kv = reply->replies[0]->range->kvs[0];
        uint64_t epoch;
        one->is_taking = false;
        if (parse_epoch((bytes_t){kv->value.data, kv->value.len}, &epoch))
            learn_from_store(me, one, epoch);
    } else {
        election_failed(one, actor_now_ms(me));
    }
    leaders_look(me);
}

// ---- other API servers --------------------------------------------------------------------------
// What is said to one of us, all must hear: a candidate, or whoever listens to the nodes, may be
// with another. Nothing of it needs to arrive.
typedef struct {
    server_t *s;
    const char *me;
} peers_t;

static void add_peer(void *arg, const char *address, const char *process) {
    const peers_t *p = arg;
    if (!streq(address, p->me)) vec_push(&p->s->peers, str_dup(address));
}

static void forget_peers(server_t *s) {
    for (size_t i = 0; i < s->peers.len; i++) free(s->peers.at[i]);
    vec_reset(&s->peers);
}

static void look_for_peers(actor_t *me) {
    enum { PEERS_KEPT_MS = 100 }; // a new one must hear the leader before it gives it up
    server_t *s = actor_state(me);
    if (s->peers_at_ms && actor_now_ms(me) - s->peers_at_ms < PEERS_KEPT_MS) return;
    forget_peers(s);
    actor_each_known(me, "apiserver", add_peer, &(peers_t){s, actor_address(me)});
    s->peers_at_ms = actor_now_ms(me);
}

static void tell_peers(actor_t *me, const Api__Renew *renew, const char *but) {
    server_t *s = actor_state(me);
    look_for_peers(me);
    for (size_t i = 0; i < s->peers.len; i++)
        if (!streq(s->peers.at[i], but)) actor_tell(me, s->peers.at[i], &renew->base);
}

static void pass_renewal_on(actor_t *me, const message_t *msg, const Api__Renew *renew) {
    Api__Renew passed = *renew;
    passed.leader = (char *)msg->from;
    passed.incarnation = msg->from_incarnation;
    passed.relayed = false;
    tell_peers(me, &passed, "");
}

// A leader whose API server and another do not reach each other is heard by way of a third.
static void relay_renewal(actor_t *me, const message_t *msg, const Api__Renew *renew,
                          election_t *one) {
    enum { RELAY_MS = ELECTION_SILENCE_MAX_MS / 3 };
    if (renew->relayed || actor_now_ms(me) - one->relayed_ms < RELAY_MS) return;
    one->relayed_ms = actor_now_ms(me);
    Api__Renew relayed = *renew;
    relayed.relayed = true;
    tell_peers(me, &relayed, msg->from);
}

// ---- messages -----------------------------------------------------------------------------------

static void hold(actor_t *me, const message_t *msg, const Api__Elect *elect, bool first) {
    server_t *s = actor_state(me);
    int64_t by = msg->deadline_ms ? msg->deadline_ms - ANSWER_MARGIN_MS
                                  : actor_now_ms(me) + ASK_TIMEOUT_DEFAULT_MS;
    candidate_t one = {actor_keep_caller(me, msg), str_dup(elect->role), elect->seen_epoch,
                       msg->from_incarnation, by};
    if (first)
        vec_insert(&s->candidates, 0, one);
    else
        vec_push(&s->candidates, one);
}

void leaders_on_elect(actor_t *me, const message_t *msg, const Api__Elect *elect) {
    server_t *s = actor_state(me);
    if (!s->feed.is_ready) {
        actor_fail(me, msg, ERR_UNAVAILABLE, "the API server is starting");
        return;
    }
    election_t *one = is_empty(elect->role) ? NULL : elections_of(&s->elections, elect->role);
    if (!one) {
        actor_fail(me, msg, ERR_BAD_REQUEST, "no such role");
        return;
    }
    switch (
        election_ask(one, msg->from, msg->from_incarnation, elect->seen_epoch, actor_now_ms(me))) {
    case ELECTION_ANSWER: {
        Api__ElectReply reply = API__ELECT_REPLY__INIT;
        fill_answer(one, msg->from, msg->from_incarnation, &reply);
        actor_reply(me, msg, &reply.base);
        return;
    }
    case ELECTION_TAKE:
        hold(me, msg, elect, true);
        swap_epoch(me, one, msg->from);
        break;
    case ELECTION_HOLD: hold(me, msg, elect, false); break;
    }
    leaders_look(me);
}

void leaders_on_renew(actor_t *me, const message_t *msg, const Api__Renew *renew) {
    server_t *s = actor_state(me);
    if (!s->feed.is_ready) { // nothing is known yet: no leader is to hear that he is none
        if (msg->deadline_ms) actor_fail(me, msg, ERR_UNAVAILABLE, "the API server is starting");
        return;
    }
    election_t *one = is_empty(renew->role) ? NULL : elections_of(&s->elections, renew->role);
    bool is_passed = has_prefix(msg->from, "apiserver/");
    const char *leader = is_passed ? or_empty(renew->leader) : msg->from;
    uint64_t incarnation = is_passed ? renew->incarnation : msg->from_incarnation;
    if (one) election_heard(one, renew->epoch, leader, incarnation, actor_now_ms(me));
    if (is_passed) {
        if (one && renew->epoch == one->epoch) relay_renewal(me, msg, renew, one);
        return;
    }
    pass_renewal_on(me, msg, renew);
    if (!msg->deadline_ms) return;
    Api__ElectReply reply = API__ELECT_REPLY__INIT;
    if (one) fill_answer(one, msg->from, msg->from_incarnation, &reply);
    actor_reply(me, msg, &reply.base);
}

void leaders_on_down(actor_t *me, const char *address) {
    server_t *s = actor_state(me);
    for (size_t i = 0; i < s->elections.all.len; i++) {
        election_t *one = &s->elections.all.at[i];
        if (one->leader && streq(one->leader, address)) one->is_gone = true;
    }
    leaders_look(me);
}

// ---- held answers -------------------------------------------------------------------------------
// What this candidate is to hear now; true: it was answered, or its swap began.
static bool look_at(actor_t *me, candidate_t *candidate, int64_t *ret_next_ms) {
    server_t *s = actor_state(me);
    election_t *one = elections_of(&s->elections, candidate->role);
    int64_t now_ms = actor_now_ms(me), silent_ms = election_deadline_ms(one);
    if (!one->is_taking &&
        (one->epoch != candidate->seen_epoch || now_ms >= candidate->answer_by_ms))
        return true;
    bool may_take = !one->is_taking && now_ms >= silent_ms;
    if (may_take) {
        const char *who = caller_address(candidate->caller);
        if (election_ask(one, who, candidate->incarnation, candidate->seen_epoch, now_ms) !=
            ELECTION_TAKE)
            return true;
        swap_epoch(me, one, who);
        return false;
    }
    if (candidate->answer_by_ms < *ret_next_ms) *ret_next_ms = candidate->answer_by_ms;
    if (silent_ms < *ret_next_ms && !one->is_taking) *ret_next_ms = silent_ms;
    return false;
}

void leaders_look(actor_t *me) {
    server_t *s = actor_state(me);
    int64_t next_ms = INT64_MAX;
    for (size_t i = 0; i < s->candidates.len;) {
        candidate_t *candidate = &s->candidates.at[i];
        if (look_at(me, candidate, &next_ms)) {
            answer_candidate(me, elections_of(&s->elections, candidate->role), candidate);
            vec_remove(&s->candidates, i);
        } else {
            i++;
        }
    }
    if (next_ms == INT64_MAX) return;
    int64_t delay_ms = next_ms - actor_now_ms(me);
    actor_timer(me, TAG_ELECTION, delay_ms > 1 ? delay_ms : 1);
}

void leaders_stop(server_t *s) {
    for (size_t i = 0; i < s->candidates.len; i++) {
        caller_drop(&s->candidates.at[i].caller);
        free(s->candidates.at[i].role);
    }
    vec_done(&s->candidates);
    elections_done(&s->elections);
}

// ---- nodes --------------------------------------------------------------------------------------
static void hear_node(actor_t *me, const char *node, uint64_t incarnation, int64_t heard_ms) {
    server_t *s = actor_state(me);
    if (is_empty(node)) return;
    if (!liveness_heard(&s->liveness, node, incarnation, heard_ms))
        actor_count(me, "apiserver_nodes_refused_total", 1);
    // Who hears nothing new is not looked at: thousands of nodes say this several times a second.
    for (size_t i = 0; i < s->listening.len; i++)
        if (listener_wants(&s->listening.at[i].listener, node)) s->listeners_dirty = true;
}

// The nodes heard since the last time, in one message.
void lives_gossip(actor_t *me) {
    server_t *s = actor_state(me);
    arena_t *arena = actor_arena(me);
    int64_t now_ms = actor_now_ms(me);
    Api__NodeAges ages = API__NODE_AGES__INIT;
    ages.ages = ARENA_ARRAY(arena, Api__NodeAge *, map_len(&s->liveness.nodes));
    size_t at = 0;
    const char *name;
    void *value;
    while (map_next(&s->liveness.nodes, &at, &name, &value)) {
        const node_life_t *life = value;
        if (life->heard_ms < s->gossiped_ms) continue;
        Api__NodeAge *age = MSG_NEW(arena, Api__NodeAge, api__node_age__descriptor);
        age->node = life->name;
        age->age_ms = now_ms - life->heard_ms;
        age->incarnation = life->incarnation;
        ages.ages[ages.n_ages++] = age;
    }
    s->gossip_is_set = false;
    s->gossiped_ms = now_ms;
    for (size_t i = 0; ages.n_ages && i < s->peers.len; i++)
        actor_tell(me, s->peers.at[i], &ages.base);
}

static void gossip_soon(actor_t *me) {
    enum { GOSSIP_MS = 100 };
    server_t *s = actor_state(me);
    look_for_peers(me);
    if (s->peers.len == 0 || s->gossip_is_set) return;
    s->gossip_is_set = true;
    actor_timer(me, TAG_GOSSIP, GOSSIP_MS);
}

void lives_on_alive(actor_t *me, const message_t *msg, const Api__NodeAlive *alive) {
    identity_t who = rights_identify(actor_arena(me), msg->from, msg->principal);
    if (who.node && !streq(who.node, or_empty(alive->node))) return;
    hear_node(me, alive->node, alive->incarnation, actor_now_ms(me));
    gossip_soon(me);
}

void lives_on_gossip(actor_t *me, const Api__NodeAges *ages) {
    server_t *s = actor_state(me);
    for (size_t i = 0; i < ages->n_ages; i++) {
        const Api__NodeAge *age = ages->ages[i];
        hear_node(me, or_empty(age->node), age->incarnation, actor_now_ms(me) - age->age_ms);
    }
    // What was heard by others needs not be told again.
    if (!s->gossip_is_set) s->gossiped_ms = actor_now_ms(me);
}

void lives_open(actor_t *me, const message_t *msg, const Api__WatchNodeAges *open) {
    enum { SILENT_AFTER_DEFAULT_MS = 800 };
    server_t *s = actor_state(me);
    if (!msg->stream_window) {
        actor_fail(me, msg, ERR_BAD_REQUEST, "node ages are opened as a stream");
        return;
    }
    int64_t silent_after_ms =
        open->silent_after_ms > 0 ? open->silent_after_ms : SILENT_AFTER_DEFAULT_MS;
    listening_t one = {actor_stream_accept(me, msg, 0), {.silent_after_ms = silent_after_ms}};
    vec_push(&s->listening, one);
    s->listeners_dirty = true;
}

static void tell_listener(actor_t *me, listening_t *one, int64_t *next_ms) {
    server_t *s = actor_state(me);
    arena_t *arena = actor_arena(me);
    if (actor_stream_credit(me, one->stream) == 0) return; // told when credit returns
    node_news_list_t news = {0};
    int64_t own_next_ms;
    listener_news(&one->listener, &s->liveness, actor_now_ms(me), &news, &own_next_ms);
    if (own_next_ms < *next_ms) *next_ms = own_next_ms;
    if (news.len > 0) {
        Api__NodeAges ages = API__NODE_AGES__INIT;
        ages.n_ages = news.len;
        ages.ages = ARENA_ARRAY(arena, Api__NodeAge *, news.len);
        for (size_t i = 0; i < news.len; i++) {
            Api__NodeAge *age = ages.ages[i] =
                MSG_NEW(arena, Api__NodeAge, api__node_age__descriptor);
            age->node = news.at[i].node;
            age->age_ms = news.at[i].age_ms;
            age->silent = news.at[i].silent;
            age->incarnation = news.at[i].incarnation;
        }
        actor_stream_send(me, one->stream, &ages.base);
    }
    vec_done(&news);
}

void lives_tell(actor_t *me) {
    server_t *s = actor_state(me);
    if (!s->listeners_dirty) return;
    s->listeners_dirty = false;
    int64_t next_ms = INT64_MAX;
    for (size_t i = 0; i < s->listening.len; i++) tell_listener(me, &s->listening.at[i], &next_ms);
    if (next_ms == INT64_MAX) return;
    int64_t delay_ms = next_ms - actor_now_ms(me);
    actor_timer(me, TAG_LISTENERS, delay_ms > 1 ? delay_ms : 1);
}

void lives_close(server_t *s, uint64_t stream) {
    for (size_t i = 0; i < s->listening.len; i++) {
        if (s->listening.at[i].stream != stream) continue;
        listener_done(&s->listening.at[i].listener);
        vec_swap_remove(&s->listening, i);
        return;
    }
}

// A kubelet that goes on speaking is heard as a new one.
void lives_forget(actor_t *me, bytes_t node) {
    server_t *s = actor_state(me);
    const char *name = arena_strndup(actor_arena(me), (const char *)node.at, node.len);
    liveness_forget(&s->liveness, name);
    for (size_t i = 0; i < s->listening.len; i++)
        listener_forget(&s->listening.at[i].listener, name);
}

void lives_stop(server_t *s) {
    for (size_t i = 0; i < s->listening.len; i++) listener_done(&s->listening.at[i].listener);
    vec_done(&s->listening);
    forget_peers(s);
    vec_done(&s->peers);
    liveness_done(&s->liveness);
}
