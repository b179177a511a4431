#include "actors/apiserver/apiserver_actor.h"
#include "actors/apiserver/actors.h"
#include "actors/apiserver/server.h"
#include "troupe/chaos.pb-c.h"

// ---- configuration ------------------------------------------------------------------------------
const apiserver_args_t apiserver_args_default = {
    .service_range = "10.96.0.0/16",
    .node_port_range = "30000-32767",
    .default_toleration_seconds = 300,
    .event_ttl_ms = 60 * 60 * 1000,
    .bookmark_interval_ms = 15 * 1000,
    .history_revisions = 1000,
    .jobs_max = 10 * 1000,
    .watchers_max = 50 * 1000,
};

#define FIELD(key, type, member, min, max, help) \
    { key, type, offsetof(apiserver_args_t, member), min, max, help }
const config_field_t apiserver_config[] = {
    FIELD("serviceRange", CONFIG_STRING, service_range, 0, 0,
          "cluster IPs of services, an IPv4 range"),
    FIELD("nodePortRange", CONFIG_STRING, node_port_range, 0, 0,
          "node ports of services, FIRST-LAST"),
    FIELD("defaultTolerationSeconds", CONFIG_INT, default_toleration_seconds, 0, INT32_MAX,
          "how long a pod that says nothing stays on a node that is not ready or not reachable"),
    FIELD("eventTTL", CONFIG_DURATION_MS, event_ttl_ms, 1000, INT64_MAX,
          "how long events are kept"),
    FIELD("bookmarkInterval", CONFIG_DURATION_MS, bookmark_interval_ms, 0, INT64_MAX,
          "how often idle watches are told how far they have come; 0: never"),
    FIELD("historyRevisions", CONFIG_INT, history_revisions, 0, 1000000,
          "changes read back at start, so that watches resume"),
    FIELD("requestsMax", CONFIG_INT, jobs_max, 1, 1000000,
          "requests in flight; past it clients are told to try again"),
    FIELD("watchersMax", CONFIG_INT, watchers_max, 1, 10000000, "open watches"),
    {NULL},
};

// ---- requests -----------------------------------------------------------------------------------
static void begin(actor_t *me, const message_t *msg, const ProtobufCMessage *body, job_kind_t kind,
                  bool wants_revision) {
    job_t *job = job_from_message(me, msg, kind);
    if (!job) return;
    job->type = body->descriptor;
    job->wants_revision = wants_revision;
    if (kind == JOB_LIST)
        list_prepare(me, job);
    else
        job_start(me, job);
}

static void on_get(actor_t *me, const message_t *msg, const void *body) {
    job_t *job = job_from_message(me, msg, JOB_REQUEST);
    if (!job) return;
    const Api__Get *get = body;
    job->type = get->base.descriptor;
    job->need_revision = get->min_revision;
    job->wants_revision = get->min_revision == 0; // told how new it must be, it need not ask
    job_start(me, job);
}
static void on_write(actor_t *me, const message_t *msg, const void *body) {
    begin(me, msg, body, JOB_REQUEST, false);
}
static void on_list(actor_t *me, const message_t *msg, const void *body) {
    begin(me, msg, body, JOB_LIST, false);
}
static void on_sweep(actor_t *me, const message_t *msg, const void *body) {
    begin(me, msg, body, JOB_SWEEP, true);
}
static void on_current_revision(actor_t *me, const message_t *msg, const void *body) {
    begin(me, msg, body, JOB_REVISION, true);
}
static void on_watch(actor_t *me, const message_t *msg, const void *body) {
    watch_open(me, msg, body);
}
static void on_relay(actor_t *me, const message_t *msg, const void *body) {
    relay_open(me, msg, body);
}

static void on_version(actor_t *me, const message_t *msg, const void *body) {
    Api__VersionReply reply = API__VERSION_REPLY__INIT;
    reply.version = TROUPE_VERSION;
    reply.kubernetes_version = "v1.33.0";
    reply.process = actor_name(me);
    actor_reply(me, msg, &reply.base);
}

// ---- elections, nodes ---------------------------------------------------------------------------
static void on_elect(actor_t *me, const message_t *msg, const void *body) {
    leaders_on_elect(me, msg, body);
}
static void on_renew(actor_t *me, const message_t *msg, const void *body) {
    leaders_on_renew(me, msg, body);
}
static void on_down(actor_t *me, const message_t *msg, const void *body) {
    const char *address = ((const Actor__Down *)body)->address;
    leaders_on_down(me, address);
    drains_on_down(me, address);
}
static void on_alive(actor_t *me, const message_t *msg, const void *body) {
    lives_on_alive(me, msg, body);
}
static void on_gossip(actor_t *me, const message_t *msg, const void *body) {
    lives_on_gossip(me, body);
}
static void on_node_ages(actor_t *me, const message_t *msg, const void *body) {
    lives_open(me, msg, body);
}
static void on_await_drain(actor_t *me, const message_t *msg, const void *body) {
    drains_on_await(me, msg, body);
}
static void on_trace_query(actor_t *me, const message_t *msg, const void *body) {
    traces_on_query(me, msg, body);
}
static void on_trace_hops(actor_t *me, const message_t *msg, const void *body) {
    traces_on_hops(me, TAG_REST(msg->tag), msg->body);
}
static void on_endpoints_synced(actor_t *me, const message_t *msg, const void *body) {
    drains_on_synced(me, msg, body);
}

// ---- the store ----------------------------------------------------------------------------------
static void on_range(actor_t *me, const message_t *msg, const void *body) {
    const Store__RangeReply *reply = body;
    if (msg->tag == TAG_FEED_PAGE)
        feed_on_page(me, reply);
    else if (msg->tag == TAG_READ)
        jobs_on_revision(me, reply->revision);
}

static void on_txn(actor_t *me, const message_t *msg, const void *body) {
    if (TAG_KIND(msg->tag) == TAG_ELECTION)
        leaders_on_swap(me, TAG_REST(msg->tag), body);
    else
        jobs_on_txn(me, msg->tag, body);
}

static void on_store_events(actor_t *me, const message_t *msg, const void *body) {
    if (msg->tag == TAG_FEED_WATCH) feed_on_events(me, body);
}

static void on_round(actor_t *me, const message_t *msg, const void *body) {
    rounds_on_answer(me, TAG_REST(msg->tag), msg, ERR_OK, NULL);
}
static void on_infos(actor_t *me, const message_t *msg, const void *body) {
    if (TAG_KIND(msg->tag) == TAG_ROUND)
        on_round(me, msg, body);
    else
        actors_on_infos(me, TAG_REST(msg->tag), msg->body);
}
static void on_done(actor_t *me, const message_t *msg, const void *body) {
    if (TAG_KIND(msg->tag) == TAG_ROUND)
        on_round(me, msg, body);
    else
        actors_on_killed(me, TAG_REST(msg->tag), ERR_OK, NULL);
}

static void on_lease(actor_t *me, const message_t *msg, const void *body) {
    jobs_on_lease(me, body);
}

static void on_failure(actor_t *me, const message_t *msg, const void *body) {
    const Actor__Failure *failure = body;
    err_t err = failure->err > 0 && failure->err < ERR_MAX ? (err_t)failure->err : ERR_INTERNAL;
    switch (TAG_KIND(msg->tag)) {
    case TAG_FEED_PAGE:
    case TAG_FEED_WATCH: feed_on_lost(me, err, or_empty(failure->why)); break;
    case TAG_RELAY: // the kubelet is not there, or refused to open
        relay_on_end(me, TAG_REST(msg->tag), err, or_empty(failure->why),
                     (bytes_t){failure->status.data, failure->status.len});
        break;
    case TAG_READ: jobs_on_read_failed(me); break;
    case TAG_LEASE: jobs_on_lease(me, NULL); break;
    case TAG_ELECTION: leaders_on_swap(me, TAG_REST(msg->tag), NULL); break;
    case TAG_ACTORS: actors_on_infos(me, TAG_REST(msg->tag), NULL); break;
    case TAG_ROUND:
        rounds_on_answer(me, TAG_REST(msg->tag), msg, err, or_empty(failure->why));
        break;
    case TAG_TRACE: traces_on_hops(me, TAG_REST(msg->tag), NULL); break;
    case TAG_KILL: actors_on_killed(me, TAG_REST(msg->tag), err, or_empty(failure->why)); break;
    case 0: jobs_on_txn_failed(me, msg->tag, err, or_empty(failure->why)); break;
    default: break;
    }
}

// ---- streams ------------------------------------------------------------------------------------
static void on_stream_end(actor_t *me, const message_t *msg, const void *body) {
    const Actor__StreamEnd *end = body;
    err_t err = end->err >= 0 && end->err < ERR_MAX ? (err_t)end->err : ERR_INTERNAL;
    if (msg->tag == TAG_FEED_WATCH)
        feed_on_lost(me, err, or_empty(end->why));
    else if (TAG_KIND(msg->tag) == TAG_RELAY)
        relay_on_end(me, TAG_REST(msg->tag), err, or_empty(end->why),
                     (bytes_t){end->status.data, end->status.len});
}

static void on_stream_credit(actor_t *me, const message_t *msg, const void *body) {
    if (TAG_KIND(msg->tag) == TAG_RELAY) {
        relay_on_push_credit(me, TAG_REST(msg->tag));
        return;
    }
    server_t *s = actor_state(me);
    uint64_t stream = ((const Actor__StreamCredit *)body)->stream;
    watcher_t *one = watchers_get(&s->watchers, stream);
    if (one) watcher_make_dirty(&s->watchers, one);
    relay_on_credit(me, stream);
    for (size_t i = 0; i < s->listening.len; i++)
        if (s->listening.at[i].stream == stream) s->listeners_dirty = true;
}

static void on_stream_gone(actor_t *me, const message_t *msg, const void *body) {
    server_t *s = actor_state(me);
    uint64_t stream = ((const Actor__StreamGone *)body)->stream;
    watchers_remove(&s->watchers, stream);
    lives_close(s, stream);
    relay_close(me, stream);
    actor_gauge(me, "apiserver_watchers", (int64_t)s->watchers.all.len);
}

static void on_relay_chunk(actor_t *me, const message_t *msg, const void *body) {
    relay_on_chunk(me, msg);
}
static void on_relay_push(actor_t *me, const message_t *msg, const void *body) {
    relay_on_push(me, msg, body);
}

// ---- settle -------------------------------------------------------------------------------------
static void settle(actor_t *me) {
    first_objects(me);
    jobs_run(me);
    jobs_read_revision(me);
    watches_flush(me);
    lives_tell(me);
    drains_look(me);
}

static void on_timer(actor_t *me, uint64_t tag) {
    server_t *s = actor_state(me);
    switch (TAG_KIND(tag)) {
    case TAG_FEED_RETRY: feed_on_retry(me); break;
    case TAG_READ_RETRY: s->is_reading = false; break; // settle reads again
    case TAG_SWEEP: jobs_sweep(me); break;
    case TAG_MARKS: watches_mark(me); break;
    case TAG_ELECTION: leaders_look(me); break;
    case TAG_LISTENERS: s->listeners_dirty = true; break;
    case TAG_GOSSIP: lives_gossip(me); break;
    case TAG_DRAIN: s->drains.is_dirty = true; break; // settle looks
    default: break;
    }
}

// ---- life ---------------------------------------------------------------------------------------
static err_t start(actor_t *me, const void *args, why_t *why) {
    server_t *s = actor_state(me);
    s->args = args ? *(const apiserver_args_t *)args : apiserver_args_default;
    cache_init(&s->cache);
    err_t err = alloc_ranges_parse(s->args.service_range, s->args.node_port_range, &s->ranges, why);
    if (err) return why_wrap(why, err, "apiserver");
    feed_start(me);
    return ERR_OK;
}

static void stop(actor_t *me) {
    server_t *s = actor_state(me);
    jobs_stop(s);
    relays_stop(s);
    leaders_stop(s);
    drains_done(&s->drains);
    traces_done(&s->traces);
    rounds_done(&s->rounds);
    lives_stop(s);
    watchers_done(&s->watchers);
    allocs_done(&s->allocs);
    cache_done(&s->cache);
    feed_stop(s);
}

// ---- what it takes ------------------------------------------------------------------------------
#define ADMINISTRATORS "cli admin chaos test"
static const handler_t handlers[] = {
    {&api__get__descriptor, on_get},
    {&api__list__descriptor, on_list},
    {&api__watch__descriptor, on_watch},
    {&api__create__descriptor, on_write},
    {&api__update__descriptor, on_write},
    {&api__patch__descriptor, on_write},
    {&api__delete__descriptor, on_write},
    {&api__delete_collection__descriptor, on_sweep},
    {&api__current_revision__descriptor, on_current_revision},
    {&api__version_request__descriptor, on_version},
    {&api__pod_logs__descriptor, on_relay},
    {&api__pod_exec__descriptor, on_relay},
    {&api__exec_input__descriptor, on_relay_push},
    {&api__log_chunk__descriptor, on_relay_chunk, .from = "kubelet test"},
    {&api__exec_output__descriptor, on_relay_chunk, .from = "kubelet test"},
    {&api__elect__descriptor, on_elect, .from = "scheduler controllers chaos test",
     .control = true},
    {&api__renew__descriptor, on_renew, .from = "scheduler controllers chaos apiserver test",
     .control = true},
    {&api__node_alive__descriptor, on_alive, .from = "kubelet test", .control = true},
    {&api__node_ages__descriptor, on_gossip, .from = "apiserver", .control = true},
    {&api__watch_node_ages__descriptor, on_node_ages, .from = "controllers test"},
    {&actor__trace_query__descriptor, on_trace_query, .from = "cli admin test"},
    {&actor__trace_hops__descriptor, on_trace_hops, .from = "system test"},
    {&chaos__inject__descriptor, rounds_on_inject, .from = ADMINISTRATORS},
    {&actor__move_actor__descriptor, rounds_on_move, .from = ADMINISTRATORS},
    {&actor__list_faults__descriptor, rounds_on_question, .from = ADMINISTRATORS},
    {&actor__clear_faults__descriptor, rounds_on_question, .from = ADMINISTRATORS},
    {&actor__list_actors__descriptor, rounds_on_question, .from = ADMINISTRATORS},
    {&actor__get_metrics__descriptor, rounds_on_question, .from = ADMINISTRATORS},
    {&actor__list_dead_letters__descriptor, rounds_on_question, .from = ADMINISTRATORS},
    {&actor__faults__descriptor, on_round, .from = "system"},
    {&actor__metrics__descriptor, on_round, .from = "system"},
    {&actor__dead_letters__descriptor, on_round, .from = "system"},
    {&api__await_drain__descriptor, on_await_drain, .from = "kubelet pod test"},
    {&api__endpoints_synced__descriptor, on_endpoints_synced, .from = "proxy test"},
    {&store__range_reply__descriptor, on_range, .from = "store"},
    {&store__txn_reply__descriptor, on_txn, .from = "store"},
    {&store__lease_reply__descriptor, on_lease, .from = "store"},
    {&store__watch_events__descriptor, on_store_events, .from = "store"},
    {&actor__actor_infos__descriptor, on_infos, .from = "system"},
    {&actor__done__descriptor, on_done, .from = "system"},
    {&actor__failure__descriptor, on_failure},
    {&actor__stream_end__descriptor, on_stream_end},
    {&actor__stream_credit__descriptor, on_stream_credit},
    {&actor__stream_gone__descriptor, on_stream_gone},
    {&actor__down__descriptor, on_down},
    {NULL},
};

const actor_def_t apiserver_actor = {
    .role = "apiserver",
    .state_size = sizeof(server_t),
    .start = start,
    .handlers = handlers,
    .settle = settle,
    .on_timer = on_timer,
    .stop = stop,
    .mailbox_max = 16 * 1024,
    .starts_unready = true,
};
