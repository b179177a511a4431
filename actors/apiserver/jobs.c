// jobs - requests under way.
//
//   message ──► WAITS_READY ──► WAITS_REVISION ──► WAITS_CACHE ──► RUNNABLE ──► answer
//               (not loaded)    (consistent reads)  (the cache is      │  ▲
//                                                    behind)           ▼  │ lost the race, or must
//                                                               WAITS_STORE │ be sure before
//                                                               refusing
//                                                                     └─────┘
//
// All that wait for the store's revision share one read: those who come while it is under way wait
// for the next, since its answer may be older than they are.
//
// A transaction whose outcome is unknown (the store went away) is asked again, safely: if the
// object now holds exactly the bytes that were to be written, it was ours; and if it bears the uid
// that was to be created, too, whoever has changed it since.
#include "actors/apiserver/actors.h"
#include "actors/apiserver/decide.h"
#include "actors/apiserver/fate.h"
#include "actors/apiserver/server.h"
#include "runtime/api/packed.h"
#include "runtime/base/canary.h"

// ---- life ---------------------------------------------------------------------------------------
static job_t *job_new(actor_t *me, job_kind_t kind) {
    server_t *s = actor_state(me);
    job_t *job = NEW(job_t);
    job->id = ++s->last_job;
    assert(TAG_KIND(job->id) == 0);
    job->kind = kind;
    job->seed = rng_next(actor_rng(me));
    job->deadline_ms = actor_now_ms(me) + JOB_TIMEOUT_MS;
    imap_put(&s->jobs, job->id, job);
    if (!s->sweep_is_set) actor_timer(me, TAG_SWEEP, 250);
    s->sweep_is_set = true;
    actor_gauge(me, "apiserver_jobs", (int64_t)imap_len(&s->jobs));
    return job;
}

static void fresh_reset(fresh_t *fresh) {
    free(fresh->key);
    blob_unref(&fresh->value);
    *fresh = (fresh_t){0};
}

static void job_destroy(job_t **job) {
    job_t *one = x_steal(job);
    caller_drop(&one->caller);
    free(one->from);
    free(one->principal);
    free(one->key);
    blob_unref(&one->body);
    blob_unref(&one->value);
    fresh_reset(&one->fresh);
    list_destroy(&one->list);
    sweep_destroy(&one->sweep);
    actors_destroy(&one->actors);
    free(one);
}

job_t *job_from_message(actor_t *me, const message_t *msg, job_kind_t kind) {
    server_t *s = actor_state(me);
    if ((int64_t)imap_len(&s->jobs) >= s->args.jobs_max) {
        actor_count(me, "apiserver_refused_total", 1);
        actor_fail(me, msg, ERR_OVERLOADED, "too many requests in flight");
        return NULL;
    }
    actor_count(me, "apiserver_requests_total", 1);
    job_t *job = job_new(me, kind);
    bool is_stream = msg->stream_window > 0;
    if (!is_stream) job->caller = actor_keep_caller(me, msg);
    if (!is_stream && msg->deadline_ms) job->deadline_ms = msg->deadline_ms;
    job->from = str_dup(msg->from);
    job->principal = str_dup(msg->principal);
    job->epoch = msg->epoch;
    job->trace_id = msg->trace_id;
    job->body = blob_ref(msg->body);
    return job;
}

job_t *job_own(actor_t *me, const char *from, const ProtobufCMessage *body) {
    job_t *job = job_new(me, JOB_REQUEST);
    job->from = str_dup(from);
    job->type = body->descriptor;
    job->body = msg_blob(body);
    return job;
}

job_t *job_of(server_t *s, uint64_t id) { return imap_get(&s->jobs, id); }

void job_end(actor_t *me, job_t *job) {
    server_t *s = actor_state(me);
    imap_remove(&s->jobs, job->id);
    job_destroy(&job);
}

void jobs_stop(server_t *s) {
    size_t at = 0;
    uint64_t id;
    void *value;
    while (imap_next(&s->jobs, &at, &id, &value)) {
        job_t *job = value;
        job_destroy(&job);
    }
    imap_done(&s->jobs);
    vec_done(&s->runnable);
    vec_done(&s->wait_revision);
    vec_done(&s->reading);
    vec_done(&s->wait_cache);
    vec_done(&s->event_lease.waiting);
}

identity_t job_identity(actor_t *me, const job_t *job) {
    return rights_identify(actor_arena(me), job->from, job->principal);
}

// Scanned when it came; every round unpacks it again, since an arena lives for a round.
void *job_body(actor_t *me, const job_t *job) {
    void *body = msg_unpack_own(actor_arena(me), job->type, blob_bytes(job->body));
    assert(body);
    return body;
}

// ---- answers ------------------------------------------------------------------------------------
static void told_first_object(actor_t *me, err_t err, const char *why) {
    server_t *s = actor_state(me);
    assert(s->first_objects_pending > 0);
    s->first_objects_pending--;
    if (err && err != ERR_EXISTS) log_warn("apiserver", "first objects: %s", why);
}

static void job_fail_with(actor_t *me, job_t *job, err_t err, const char *why, bytes_t status) {
    if (job->caller)
        caller_fail_status(me, &job->caller, err, why, status);
    else if (job->parent)
        sweep_on_child(me, job->parent, err, why, 0);
    else if (job->stream)
        actor_stream_end_status(me, job->stream, err, why, status);
    else
        told_first_object(me, err, why);
    job_end(me, job);
}

void job_fail_status(actor_t *me, job_t *job, const Meta__Status *status) {
    err_t err = status_err(status);
    job_fail_with(me, job, err ? err : ERR_INTERNAL, or_empty(status->message),
                  msg_pack(actor_arena(me), &status->base));
}

void job_fail(actor_t *me, job_t *job, err_t err, const char *why) {
    const Meta__Status *status = status_from_err(actor_arena(me), err, why);
    job_fail_with(me, job, err, or_empty(status->message),
                  msg_pack(actor_arena(me), &status->base));
}

static void reply_packed(actor_t *me, job_t *job, const kind_t *k, bytes_t packed, int64_t revision,
                         Api__Outcome outcome) {
    Api__Object object = API__OBJECT__INIT;
    object.api_version = kind_api_version(actor_arena(me), k);
    object.kind = k->name;
    object.raw = (ProtobufCBinaryData){packed.len, (uint8_t *)packed.at};
    Api__Reply reply = API__REPLY__INIT;
    reply.object = &object;
    reply.revision = revision;
    reply.outcome = outcome;
    caller_reply(me, &job->caller, &reply.base);
}

static void job_reply(actor_t *me, job_t *job, const request_t *r, ProtobufCMessage *obj,
                      int64_t revision, Api__Outcome outcome) {
    if (job->parent) {
        sweep_on_child(me, job->parent, ERR_OK, NULL, revision);
    } else if (job->caller) {
        const kind_t *k;
        const ProtobufCMessage *answer = request_answer(actor_arena(me), r, obj, &k);
        reply_packed(me, job, k, msg_pack(actor_arena(me), answer), revision, outcome);
    } else {
        told_first_object(me, ERR_OK, NULL);
    }
    job_end(me, job);
}

// A write of a leader that leads no more: refused, and counted by role.
static void refuse_deposed(actor_t *me, job_t *job, const char *why) {
    identity_t who = job_identity(me, job);
    actor_count(
        me, arena_printf(actor_arena(me), "apiserver_deposed_refused_total{role=\"%s\"}", who.role),
        1);
    job_fail(me, job, ERR_DEPOSED, why);
}

// ---- waiting ------------------------------------------------------------------------------------
void job_set_runnable(server_t *s, job_t *job) {
    job->state = JOB_RUNNABLE;
    vec_push(&s->runnable, job->id);
}

void job_wait_cache(actor_t *me, job_t *job, int64_t revision) {
    server_t *s = actor_state(me);
    job->need_revision = revision;
    if (s->cache.revision >= revision) {
        job_set_runnable(s, job);
        return;
    }
    job->state = JOB_WAITS_CACHE;
    job->cache_wait_until_ms = actor_now_ms(me) + CACHE_WAIT_MAX_MS;
    vec_push(&s->wait_cache, job->id);
    feed_ask_progress(me);
}

void job_start(actor_t *me, job_t *job) {
    server_t *s = actor_state(me);
    if (!s->feed.is_ready) {
        job->state = JOB_WAITS_READY;
    } else if (job->wants_revision) {
        job->state = JOB_WAITS_REVISION;
        vec_push(&s->wait_revision, job->id);
    } else {
        job_wait_cache(me, job, job->need_revision);
    }
}

void jobs_on_ready(actor_t *me) {
    server_t *s = actor_state(me);
    id_list_t ids = {0};
    size_t at = 0;
    uint64_t id;
    void *value;
    while (imap_next(&s->jobs, &at, &id, &value))
        if (((job_t *)value)->state == JOB_WAITS_READY) vec_push(&ids, id);
    for (size_t i = 0; i < ids.len; i++) job_start(me, job_of(s, ids.at[i]));
    vec_done(&ids);
}

void jobs_on_cache(actor_t *me) {
    server_t *s = actor_state(me);
    size_t kept = 0;
    for (size_t i = 0; i < s->wait_cache.len; i++) {
        job_t *job = job_of(s, s->wait_cache.at[i]);
        if (!job || job->state != JOB_WAITS_CACHE) continue;
        if (s->cache.revision >= job->need_revision)
            job_set_runnable(s, job);
        else
            s->wait_cache.at[kept++] = job->id;
    }
    s->wait_cache.len = kept;
    if (kept) feed_ask_progress(me);
}

// ---- the store's revision -----------------------------------------------------------------------
void jobs_read_revision(actor_t *me) {
    server_t *s = actor_state(me);
    if (s->is_reading || s->wait_revision.len == 0) return;
    id_list_t batch = s->reading;
    s->reading = s->wait_revision;
    s->wait_revision = batch;
    vec_reset(&s->wait_revision);
    Store__RangeRequest range = STORE__RANGE_REQUEST__INIT;
    range.key = (ProtobufCBinaryData){sizeof KEYS_NOTHING - 1, (uint8_t *)KEYS_NOTHING};
    range.keys_only = true;
    actor_ask(me, "store", &range.base, STORE_TIMEOUT_MS, TAG_READ);
    s->is_reading = true;
}

void jobs_on_revision(actor_t *me, int64_t revision) {
    server_t *s = actor_state(me);
    s->is_reading = false;
    for (size_t i = 0; i < s->reading.len; i++) {
        job_t *job = job_of(s, s->reading.at[i]);
        if (!job || job->state != JOB_WAITS_REVISION) continue;
        if (job->kind != JOB_REVISION) {
            job_wait_cache(me, job, revision > job->need_revision ? revision : job->need_revision);
            continue;
        }
        Api__CurrentRevisionReply reply = API__CURRENT_REVISION_REPLY__INIT;
        reply.revision = revision;
        caller_reply(me, &job->caller, &reply.base);
        job_end(me, job);
    }
    vec_reset(&s->reading);
}

void jobs_on_read_failed(actor_t *me) {
    server_t *s = actor_state(me);
    for (size_t i = 0; i < s->reading.len; i++) vec_push(&s->wait_revision, s->reading.at[i]);
    vec_reset(&s->reading);
    actor_timer(me, TAG_READ_RETRY, RETRY_MS); // is_reading stays until then
}

static void job_retry(actor_t *me, job_t *job) {
    server_t *s = actor_state(me);
    job->state = JOB_WAITS_RETRY;
    job->retry_at_ms = actor_now_ms(me) + RETRY_MS;
    if (!s->retry_is_set) actor_timer(me, TAG_SWEEP, RETRY_MS); // sooner than the next sweep
    s->retry_is_set = true;
}

// ---- deadlines ----------------------------------------------------------------------------------
static bool is_waiting(const job_t *job) {
    return job->state != JOB_WAITS_STORE && job->state != JOB_RUNNABLE;
}

static void fail_late(actor_t *me, job_t *job) {
    server_t *s = actor_state(me);
    if (job->state != JOB_WAITS_CACHE || job->is_unknown) {
        job_fail(me, job, ERR_TIMEOUT, "request did not complete within the allotted timeout");
        return;
    }
    arena_t *arena = actor_arena(me);
    const char *text = arena_printf(arena, "Too large resource version: %lld, current: %lld",
                                    (long long)job->need_revision, (long long)s->cache.revision);
    Meta__Status *status = status_from_err(arena, ERR_FUTURE_REVISION, text);
    Meta__StatusCause *cause = MSG_NEW(arena, Meta__StatusCause, meta__status_cause__descriptor);
    cause->reason = "ResourceVersionTooLarge";
    cause->message = "Too large resource version";
    status->details->causes = ARENA_ARRAY(arena, Meta__StatusCause *, 1);
    status->details->causes[status->details->n_causes++] = cause;
    job_fail_status(me, job, status);
}

void jobs_sweep(actor_t *me) {
    server_t *s = actor_state(me);
    int64_t now_ms = actor_now_ms(me);
    id_list_t late = {0}, again = {0};
    s->retry_is_set = false;
    size_t at = 0;
    uint64_t id;
    void *value;
    while (imap_next(&s->jobs, &at, &id, &value)) {
        const job_t *job = value;
        if (!is_waiting(job)) continue;
        bool waits_too_long = job->state == JOB_WAITS_CACHE && now_ms >= job->cache_wait_until_ms;
        if (now_ms >= job->deadline_ms || waits_too_long)
            vec_push(&late, id);
        else if (job->state == JOB_WAITS_RETRY && now_ms >= job->retry_at_ms)
            vec_push(&again, id);
        s->retry_is_set |= job->state == JOB_WAITS_RETRY && now_ms < job->retry_at_ms;
    }
    for (size_t i = 0; i < late.len; i++)
        if (job_of(s, late.at[i])) fail_late(me, job_of(s, late.at[i]));
    for (size_t i = 0; i < again.len; i++)
        if (job_of(s, again.at[i])) job_set_runnable(s, job_of(s, again.at[i]));
    vec_done(&late);
    vec_done(&again);
    s->sweep_is_set = imap_len(&s->jobs) > 0;
    if (s->sweep_is_set) actor_timer(me, TAG_SWEEP, s->retry_is_set ? RETRY_MS : 100);
}

// ---- what is known ------------------------------------------------------------------------------
static namespace_state_t namespace_of(actor_t *me, const job_t *job, const request_t *r) {
    server_t *s = actor_state(me);
    if (!r->stored->namespaced) return (namespace_state_t){0};
    if (job->fresh.ns_is_known) return job->fresh.ns;
    const cached_t *cached = cache_get(&s->cache, kind_find("", "v1", "Namespace"), r->ns);
    if (!cached) return (namespace_state_t){0};
    const ProtobufCMessage *obj = cached_object(actor_arena(me), cached);
    return (namespace_state_t){true, object_meta_read(obj)->deletiontimestamp != NULL,
                               cached->revision};
}

static present_t present_fresh(arena_t *arena, const job_t *job, const request_t *r) {
    const fresh_t *fresh = &job->fresh;
    present_t present = {.exists = fresh->exists, .is_fresh = true, .revision = fresh->revision};
    if (!fresh->exists) return present;
    present.obj = object_decode_stored(arena, r->stored, blob_bytes(fresh->value));
    if (present.obj)
        object_meta(arena, present.obj)->resourceversion = revision_print(arena, fresh->revision);
    return present;
}

static present_t present_of(actor_t *me, const job_t *job, const request_t *r) {
    server_t *s = actor_state(me);
    arena_t *arena = actor_arena(me);
    const char *key = keys_object(arena, r->stored, r->ns, r->name);
    if (job->fresh.is_known && streq(job->fresh.key, key)) return present_fresh(arena, job, r);
    const cached_t *cached =
        cache_get(&s->cache, r->stored, keys_path(arena, r->stored, r->ns, r->name));
    // A read has waited for the store's revision: the cache is as good as the store.
    present_t present = {.is_fresh = r->verb == VERB_GET};
    if (!cached) return present;
    present.exists = true;
    present.obj = cached_object(arena, cached);
    present.revision = cached->revision;
    return present;
}

static world_t world_of(actor_t *me, const job_t *job, const request_t *r) {
    server_t *s = actor_state(me);
    return (world_t){
        .now_wall_ms = actor_wall_ms(me),
        .ns = namespace_of(me, job, r),
        .allocs = &s->allocs,
        .ranges = s->ranges,
        .not_ready_toleration_s = s->args.default_toleration_seconds,
        .unreachable_toleration_s = s->args.default_toleration_seconds,
        .event_lease = s->event_lease.id,
    };
}

// ---- transactions -------------------------------------------------------------------------------
static int64_t store_timeout_ms(actor_t *me, const job_t *job) {
    int64_t left = job->deadline_ms - actor_now_ms(me);
    return left < 1 ? 1 : left > STORE_TIMEOUT_MS ? STORE_TIMEOUT_MS : left;
}

static void send_txn(actor_t *me, job_t *job, const request_t *r, Store__TxnRequest *txn) {
    if (r->who.is_elected) {
        const char *key = keys_epoch(actor_arena(me), r->who.role);
        txn->epoch_key = (ProtobufCBinaryData){strlen(key), (uint8_t *)key};
        txn->epoch = job->epoch;
    }
    job->state = JOB_WAITS_STORE;
    actor_set_trace(me, job->trace_id);
    actor_ask(me, "store", &txn->base, store_timeout_ms(me, job), job->id);
}

static void set_key(job_t *job, const char *key) {
    char *copy = str_dup(key);
    free(job->key);
    job->key = copy;
}

static Store__Op *read_op(arena_t *arena, const char *key) {
    Store__Op *op = MSG_NEW(arena, Store__Op, store__op__descriptor);
    op->op_case = STORE__OP__OP_RANGE;
    op->range = MSG_NEW(arena, Store__RangeRequest, store__range_request__descriptor);
    op->range->key = (ProtobufCBinaryData){strlen(key), (uint8_t *)key};
    return op;
}

// Ask the store itself what stands there (and in which namespace).
static void fetch(actor_t *me, job_t *job, const request_t *r) {
    arena_t *arena = actor_arena(me);
    Store__TxnRequest *txn = MSG_NEW(arena, Store__TxnRequest, store__txn_request__descriptor);
    txn->then = ARENA_ARRAY(arena, Store__Op *, 2);
    set_key(job, keys_object(arena, r->stored, r->ns, r->name));
    txn->then[txn->n_then++] = read_op(arena, job->key);
    job->reads_ns = request_needs_namespace(r);
    if (job->reads_ns)
        txn->then[txn->n_then++] =
            read_op(arena, keys_object(arena, kind_find("", "v1", "Namespace"), "", r->ns));
    job->is_fetching = true;
    send_txn(me, job, r, txn);
}

static void write_txn(actor_t *me, job_t *job, const request_t *r, decision_t *decision) {
    set_key(job, keys_object(actor_arena(me), r->stored, r->ns, r->name));
    job->is_fetching = false;
    job->reads_ns = decision->txn->n_else_ > 1 && decision->outcome == API__OUTCOME__CREATED &&
                    r->stored->namespaced;
    job->outcome = decision->outcome;
    job->answers = r->asked == r->stored && !streq(r->sub, "scale") ? r->asked : NULL;
    blob_unref(&job->value);
    job->value = x_steal(&decision->value);
    if (!job->is_unknown) job->sent_after = ((server_t *)actor_state(me))->cache.revision;
    send_txn(me, job, r, decision->txn);
}

// ---- requests -----------------------------------------------------------------------------------
// False: refused, the job is gone.
static bool read_request(actor_t *me, job_t *job, request_t *r) {
    identity_t who = job_identity(me, job);
    const Meta__Status *status = request_read(actor_arena(me), job_body(me, job), &who, r);
    if (!status) {
        r->seed = job->seed;
        r->attempt = job->attempt;
        status = request_name(actor_arena(me), r);
    }
    if (status) {
        job_fail_status(me, job, status);
        return false;
    }
    if (who.is_elected && r->verb != VERB_GET && !job->epoch) {
        refuse_deposed(me, job, "a leader-elected role writes with its epoch only");
        return false;
    }
    return true;
}

static void finish_write(actor_t *me, job_t *job, const request_t *r, int64_t revision) {
    arena_t *arena = actor_arena(me);
    ProtobufCMessage *obj = object_decode_stored(arena, r->stored, blob_bytes(job->value));
    assert(obj);
    object_meta(arena, obj)->resourceversion = revision_print(arena, revision);
    job_reply(me, job, r, obj, revision, job->outcome);
}

// What was written is what is answered, but for its revision: nothing needs to be unpacked. False:
// the answer is something else.
static bool finish_packed(actor_t *me, job_t *job, int64_t revision) {
    if (!job->answers || !job->caller) return false;
    blob_t *packed = packed_with_revision(object_stored_packed(blob_bytes(job->value)), revision);
    assert(packed); // we packed it
    reply_packed(me, job, job->answers, blob_bytes(packed), revision, job->outcome);
    blob_unref(&packed);
    job_end(me, job);
    return true;
}

static bool has_our_uid(const job_t *job) {
    bytes_t uid = fate_uid(job->value);
    return uid.len && bytes_eq(fate_uid(job->fresh.value), uid);
}

// By a fresh read: the store holds what we were writing, or what we deleted is gone.
static bool is_done_already(const job_t *job) {
    const fresh_t *fresh = &job->fresh;
    if (job->outcome == API__OUTCOME__DELETED) return !fresh->exists || !has_our_uid(job);
    if (!fresh->exists) return false;
    // Ours, changed by others since or not.
    if (job->outcome == API__OUTCOME__CREATED && has_our_uid(job)) return true;
    return bytes_eq(blob_bytes(fresh->value), blob_bytes(job->value));
}

// A creation that a fresh read does not find.
static bool settle_creation(actor_t *me, job_t *job, const request_t *r) {
    server_t *s = actor_state(me);
    if (s->cache.revision < job->fresh.read_revision) {
        job_wait_cache(me, job, job->fresh.read_revision);
        return true;
    }
    int64_t revision;
    const char *path = keys_path(actor_arena(me), r->stored, r->ns, r->name);
    fate_t fate = fate_of_creation(cache_of(&s->cache, r->stored), path, job->value,
                                   job->sent_after, &revision);
    if (fate == FATE_DONE)
        finish_write(me, job, r, revision);
    else if (fate == FATE_UNKNOWN)
        job_fail(me, job, ERR_TIMEOUT, "the store's answer was lost: the write may have been done");
    return fate != FATE_NOT_DONE;
}

// After an unknown outcome: true, the job has been answered or waits for what tells; false, it is
// decided again on what the store holds.
static bool settle_unknown(actor_t *me, job_t *job, const request_t *r) {
    if (!job->is_unknown || !job->value) return false;
    if (!job->fresh.is_known) {
        fetch(me, job, r);
        return true;
    }
    if (CANARY(API_DENIES_OWN_WRITE)) return false;
    if (is_done_already(job)) {
        if (job->fresh.exists && job->outcome != API__OUTCOME__DELETED) { // as it is now
            blob_unref(&job->value);
            job->value = blob_ref(job->fresh.value);
        }
        finish_write(me, job, r, job->fresh.revision);
        return true;
    }
    return job->outcome == API__OUTCOME__CREATED && settle_creation(me, job, r);
}

static bool wait_for_lease(actor_t *me, job_t *job, const request_t *r) {
    server_t *s = actor_state(me);
    bool is_event =
        streq(r->stored->plural, "events") && r->verb != VERB_GET && r->verb != VERB_DELETE;
    if (!is_event) return false;
    // One lease for all events of a twelfth of the time they are kept: few leases, expiry near
    // enough.
    bool is_young = actor_now_ms(me) - s->event_lease.granted_ms < s->args.event_ttl_ms / 12;
    if (s->event_lease.id && is_young) return false;
    job->state = JOB_WAITS_LEASE;
    vec_push(&s->event_lease.waiting, job->id);
    if (s->event_lease.is_asked) return true;
    Store__LeaseGrant grant = STORE__LEASE_GRANT__INIT;
    grant.ttl_ms = s->args.event_ttl_ms + s->args.event_ttl_ms / 12;
    actor_ask(me, "store", &grant.base, STORE_TIMEOUT_MS, TAG_LEASE);
    s->event_lease.is_asked = true;
    return true;
}

void jobs_on_lease(actor_t *me, const Store__LeaseReply *reply) {
    server_t *s = actor_state(me);
    s->event_lease.is_asked = false;
    if (reply) {
        s->event_lease.id = reply->id;
        s->event_lease.granted_ms = actor_now_ms(me);
    }
    for (size_t i = 0; i < s->event_lease.waiting.len; i++) {
        job_t *job = job_of(s, s->event_lease.waiting.at[i]);
        if (!job || job->state != JOB_WAITS_LEASE) continue;
        job_retry(me, job);
        if (reply) job_set_runnable(s, job);
    }
    vec_reset(&s->event_lease.waiting);
}

static void run_request(actor_t *me, job_t *job) {
    request_t r;
    actor_set_trace(me, job->trace_id);
    if (!read_request(me, job, &r) || wait_for_lease(me, job, &r)) return;
    if (settle_unknown(me, job, &r)) return;
    if (actors_are_asked(r.stored)) {
        actors_begin(me, job);
        return;
    }
    present_t present = present_of(me, job, &r);
    if (present.exists && !present.obj) {
        job_fail(me, job, ERR_CORRUPT, "the stored object is unreadable");
        return;
    }
    world_t world = world_of(me, job, &r);
    decision_t decision = {0};
    request_decide(actor_arena(me), &r, &present, &world, &decision);
    bool is_sure = present.is_fresh || decision.kind == DECISION_WRITE;
    if (!is_sure)
        fetch(me, job, &r);
    else if (decision.kind == DECISION_FAIL)
        job_fail_status(me, job, decision.status);
    else if (decision.kind == DECISION_REPLY)
        job_reply(me, job, &r, decision.obj, decision.revision, decision.outcome);
    else
        write_txn(me, job, &r, &decision);
}

// ---- answers of the store -----------------------------------------------------------------------
static const Store__KeyValue *first_kv(const Store__OpReply *reply) {
    if (reply->reply_case != STORE__OP_REPLY__REPLY_RANGE || reply->range->n_kvs == 0) return NULL;
    return reply->range->kvs[0];
}

static void learn_namespace(actor_t *me, job_t *job, const Store__KeyValue *kv) {
    job->fresh.ns_is_known = true;
    job->fresh.ns = (namespace_state_t){0};
    if (!kv) return;
    const kind_t *k = kind_find("", "v1", "Namespace");
    const ProtobufCMessage *obj =
        object_decode_stored(actor_arena(me), k, (bytes_t){kv->value.data, kv->value.len});
    if (!obj) return;
    job->fresh.ns = (namespace_state_t){true, object_meta_read(obj)->deletiontimestamp != NULL,
                                        kv->mod_revision};
}

// The object, its namespace, then addresses that were to be taken.
static void learn(actor_t *me, job_t *job, const Store__TxnReply *reply) {
    server_t *s = actor_state(me);
    fresh_reset(&job->fresh);
    job->fresh.is_known = true;
    job->fresh.read_revision = reply->revision;
    job->fresh.key = str_dup(job->key);
    for (size_t i = 0; i < reply->n_replies; i++) {
        const Store__KeyValue *kv = first_kv(reply->replies[i]);
        if (i == 0 && kv) {
            job->fresh.exists = true;
            job->fresh.value = blob_from(kv->value.data, kv->value.len);
            job->fresh.revision = kv->mod_revision;
        } else if (i == 0) {
            job->fresh.revision = reply->revision;
        } else if (i == 1 && job->reads_ns) {
            learn_namespace(me, job, kv);
        } else if (kv) {
            allocs_set(&s->allocs, (bytes_t){kv->key.data, kv->key.len},
                       (bytes_t){kv->value.data, kv->value.len});
        }
    }
}

void jobs_on_txn(actor_t *me, uint64_t id, const Store__TxnReply *reply) {
    server_t *s = actor_state(me);
    job_t *job = job_of(s, id);
    if (!job || job->state != JOB_WAITS_STORE) return;
    actor_set_trace(me, job->trace_id);
    if (reply->succeeded && !job->is_fetching) {
        request_t r;
        if (finish_packed(me, job, reply->revision)) return;
        if (read_request(me, job, &r)) finish_write(me, job, &r, reply->revision);
        return;
    }
    learn(me, job, reply);
    if (!job->is_fetching && ++job->attempt >= REQUEST_ATTEMPTS_MAX) {
        job_fail(me, job, ERR_CONFLICT,
                 "the object has been modified; please apply your changes to the latest "
                 "version and try again");
        return;
    }
    job_set_runnable(s, job);
}

// Refused without being carried out: certain. All else may have happened.
static bool is_certain(err_t err) {
    return err == ERR_NOT_LEADER || err == ERR_OVERLOADED || err == ERR_DISK_FULL;
}

void jobs_on_txn_failed(actor_t *me, uint64_t id, err_t err, const char *why) {
    job_t *job = job_of(actor_state(me), id);
    if (!job || job->state != JOB_WAITS_STORE) return;
    if (err == ERR_DEPOSED) {
        refuse_deposed(me, job, why);
        return;
    }
    if (!err_is_retryable(err) || err == ERR_DISK_FULL) {
        job_fail(me, job, err, why);
        return;
    }
    if (!job->is_fetching && !is_certain(err)) {
        job->is_unknown = true;
        fresh_reset(&job->fresh);
    }
    if (actor_now_ms(me) + RETRY_MS >= job->deadline_ms) {
        job_fail(me, job, err, why);
        return;
    }
    job_retry(me, job);
}

// ---- running ------------------------------------------------------------------------------------
static void run(actor_t *me, job_t *job) {
    switch (job->kind) {
    case JOB_REQUEST: run_request(me, job); break;
    case JOB_LIST: list_run(me, job); break;
    case JOB_WATCH: watch_run(me, job); break;
    case JOB_SWEEP: sweep_run(me, job); break;
    case JOB_RELAY: relay_run(me, job); break;
    case JOB_REVISION: break; // answered where the revision comes in
    }
}

void jobs_run(actor_t *me) {
    server_t *s = actor_state(me);
    if (!s->feed.is_ready) return;
    size_t count = s->runnable.len < SLICE_REQUESTS ? s->runnable.len : SLICE_REQUESTS;
    if (count == 0) return;
    // What runs may become runnable again: it goes behind the others.
    uint64_t slice[SLICE_REQUESTS];
    memcpy(slice, s->runnable.at, count * sizeof *slice);
    memmove(s->runnable.at, s->runnable.at + count, (s->runnable.len - count) * sizeof *slice);
    s->runnable.len -= count;
    for (size_t i = 0; i < count; i++) {
        job_t *job = job_of(s, slice[i]);
        if (job && job->state == JOB_RUNNABLE) run(me, job);
    }
    if (s->runnable.len > 0) actor_settle_again(me);
}

// ---- first objects ------------------------------------------------------------------------------
static void want_object(actor_t *me, const kind_t *k, ProtobufCMessage *obj) {
    server_t *s = actor_state(me);
    arena_t *arena = actor_arena(me);
    const Meta__ObjectMeta *meta = object_meta_read(obj);
    if (cache_get(&s->cache, k, keys_path(arena, k, meta->namespace_, meta->name))) return;
    bytes_t packed = msg_pack(arena, obj);
    Api__Resource resource = API__RESOURCE__INIT;
    resource.group = k->group;
    resource.version = k->version;
    resource.plural = k->plural;
    resource.namespace_ = or_empty(meta->namespace_);
    Api__Create create = API__CREATE__INIT;
    create.resource = &resource;
    create.object = (ProtobufCBinaryData){packed.len, (uint8_t *)packed.at};
    job_t *job = job_own(me, actor_address(me), &create.base);
    s->first_objects_pending++;
    job_start(me, job);
}

static void want_namespace(actor_t *me, const char *name) {
    Core__Namespace *ns = MSG_NEW(actor_arena(me), Core__Namespace, core__namespace__descriptor);
    object_meta(actor_arena(me), &ns->base)->name = name;
    want_object(me, kind_find("", "v1", "Namespace"), &ns->base);
}

// The API inside the cluster. Its endpoint is the gateway's to tell, once there is one.
static void want_kubernetes_service(actor_t *me) {
    server_t *s = actor_state(me);
    arena_t *arena = actor_arena(me);
    Core__Service *svc = MSG_NEW(arena, Core__Service, core__service__descriptor);
    Meta__ObjectMeta *meta = object_meta(arena, &svc->base);
    meta->name = "kubernetes";
    meta->namespace_ = "default";
    object_set_label(arena, &svc->base, "component", "apiserver");
    object_set_label(arena, &svc->base, "provider", "kubernetes");
    svc->spec = MSG_NEW(arena, Core__ServiceSpec, core__service_spec__descriptor);
    svc->spec->type = "ClusterIP";
    svc->spec->clusterip = alloc_first_ip(arena, &s->ranges);
    Core__ServicePort *port = MSG_NEW(arena, Core__ServicePort, core__service_port__descriptor);
    port->name = "https";
    port->protocol = "TCP";
    port->has_port = true;
    port->port = 443;
    port->targetport = MSG_NEW(arena, Intstr__IntOrString, intstr__int_or_string__descriptor);
    port->targetport->has_type = port->targetport->has_intval = true;
    port->targetport->intval = 6443;
    svc->spec->ports = ARENA_ARRAY(arena, Core__ServicePort *, 1);
    svc->spec->ports[svc->spec->n_ports++] = port;
    want_object(me, kind_find("", "v1", "Service"), &svc->base);
}

// Runs again whenever one of them may be missing: what the API cannot do without comes back.
void first_objects(actor_t *me) {
    static const char *const namespaces[] = {"default", "kube-node-lease", "kube-public",
                                             "kube-system"};
    server_t *s = actor_state(me);
    if (!s->feed.is_ready || s->first_objects_pending > 0 || s->first_objects_done) return;
    if (!s->args.without_first_objects) {
        for (size_t i = 0; i < LENGTH_OF(namespaces); i++) want_namespace(me, namespaces[i]);
        if (cache_get(&s->cache, kind_find("", "v1", "Namespace"), "default"))
            want_kubernetes_service(me);
    }
    if (s->first_objects_pending > 0) return;
    s->first_objects_done = true;
    actor_set_ready(me, true);
}
