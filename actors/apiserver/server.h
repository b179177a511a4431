// server - the API server's state, and what the files of its shell do for each other. Private.
//
//     feed.c     the store's watch → cache, addresses held, watchers
//     jobs.c     requests under way: what each waits for, its transaction, its answer
//     lists.c    lists, in slices            watches.c  streams of changes
//     leaders.c  elections, node liveness    relays.c   logs and exec, passed on
#pragma once
#include "actors/apiserver/apiserver_actor.h"
#include "actors/apiserver/drains.h"
#include "actors/apiserver/elections.h"
#include "actors/apiserver/keys.h"
#include "actors/apiserver/liveness.h"
#include "actors/apiserver/request.h"
#include "actors/apiserver/rounds.h"
#include "actors/apiserver/traces.h"
#include "actors/apiserver/watchers.h"
#include "runtime/base/log.h"

enum {
    STORE_TIMEOUT_MS = 5 * 1000,  // of one transaction or read
    JOB_TIMEOUT_MS = 30 * 1000,   // of a request that brings no deadline
    CACHE_WAIT_MAX_MS = 3 * 1000, // for the cache to reach a revision, then 504
    RETRY_MS = 25,                // before the store is asked again: a leader is found soon
    FEED_RETRY_MAX_MS = 200,
    FEED_PAGE = 300,     // objects per page while loading: one page per round
    SLICE_REQUESTS = 64, // decisions per round, ≈ 40 µs each
    SLICE_OBJECTS = 400, // objects unpacked per round by lists and watches, ≈ 5 µs each
    LIST_REPLY_MAX_BYTES = 4 << 20,
    RELAYS_MAX = 1024,
};

// Tags of asks, streams and timers. A job's own asks bear its id, which stays below all of these.
#define TAG_FEED_PAGE  (1ull << 56) // loading: a page of the store
#define TAG_FEED_WATCH (2ull << 56)
#define TAG_FEED_RETRY (3ull << 56) // timer
#define TAG_READ       (4ull << 56) // the store's revision
#define TAG_READ_RETRY (5ull << 56) // timer
#define TAG_LEASE      (6ull << 56)
#define TAG_SWEEP      (7ull << 56)  // timer: deadlines
#define TAG_MARKS      (8ull << 56)  // timer: marks for idle watchers
#define TAG_ELECTION   (9ull << 56)  // timer, and swaps (| index of the role)
#define TAG_LISTENERS  (10ull << 56) // timer: node silence
#define TAG_RELAY      (11ull << 56) // | relay id
#define TAG_TRACE      (21ull << 56) // | trace work id
#define TAG_ROUND      (22ull << 56) // | round id
#define TAG_DRAIN      (20ull << 56) // timer: waits that must be answered
#define TAG_ACTORS     (13ull << 56) // | job id: ListActors
#define TAG_KILL       (14ull << 56) // | job id: KillActor
#define TAG_GOSSIP     (15ull << 56) // timer: tell the other API servers who was heard
#define TAG_KIND(tag)  ((tag) & (0xffull << 56))
#define TAG_REST(tag)  ((tag) & ~(0xffull << 56))

typedef VEC(uint64_t) id_list_t;

// ---- jobs ---------------------------------------------------------------------------------------
typedef enum { JOB_REQUEST, JOB_LIST, JOB_WATCH, JOB_REVISION, JOB_SWEEP, JOB_RELAY } job_kind_t;
typedef enum {
    JOB_WAITS_READY,    // for the cache to be loaded
    JOB_WAITS_REVISION, // for the store to say how far it is
    JOB_WAITS_CACHE,    // for need_revision
    JOB_WAITS_LEASE,    // for a store lease to put events under
    JOB_WAITS_STORE,    // for its transaction
    JOB_WAITS_RETRY,    // until retry_at_ms
    JOB_WAITS_CHILDREN, // a sweep for the deletions it asked for
    JOB_RUNNABLE,
} job_state_t;

// What the store said about the object and its namespace after the request came.
typedef struct {
    bool is_known, exists;
    char *key;
    blob_t *value;
    int64_t revision;      // of the object
    int64_t read_revision; // of the store when it was read
    bool ns_is_known;
    namespace_state_t ns;
} fresh_t;

typedef struct list_work list_work_t;
typedef struct sweep_work sweep_work_t;
typedef struct actors_work actors_work_t;

typedef struct {
    uint64_t id;
    job_kind_t kind;
    job_state_t state;
    caller_t *caller; // NULL: a stream, a sweep's child, or our own wish
    char *from, *principal;
    uint64_t epoch, trace_id;
    const ProtobufCMessageDescriptor *type;
    blob_t *body;
    int64_t deadline_ms, retry_at_ms;
    int64_t need_revision, cache_wait_until_ms;
    bool wants_revision; // must see what the store holds when it came
    uint64_t stream;     // watches, relays
    uint64_t parent;     // a sweep's child: the sweep's id
    // ---- requests
    uint64_t seed;
    unsigned attempt;
    bool is_fetching;      // the transaction under way only reads
    bool reads_ns;         // its second answer is the namespace
    bool is_unknown;       // a transaction may have been carried out unheard
    int64_t sent_after;    // the cache's revision when that one was sent
    char *key;             // of the transaction under way
    blob_t *value;         // what it writes, stored form (a deletion: what goes)
    const kind_t *answers; // the answer is that, of this kind; NULL: it must be made from it
    Api__Outcome outcome;
    fresh_t fresh;
    // ---- others
    list_work_t *list;
    sweep_work_t *sweep;
    actors_work_t *actors;
} job_t;

typedef struct relay relay_t;

typedef struct {
    uint64_t stream;
    listener_t listener;
} listening_t;
typedef struct {
    caller_t *caller;
    char *role;
    uint64_t seen_epoch, incarnation;
    int64_t answer_by_ms;
} candidate_t;

// ---- the state ----------------------------------------------------------------------------------
typedef struct {
    apiserver_args_t args;
    alloc_ranges_t ranges;
    cache_t cache;
    allocs_t allocs;
    watchers_t watchers;

    struct {
        enum { FEED_STARTS, FEED_LOADS, FEED_WATCHES } phase;
        uint64_t stream; // 0: none
        int64_t target;  // loading is over when the cache is here
        int64_t load_revision;
        char *load_from; // next key to read
        int64_t backoff_ms;
        bool progress_asked;
        bool is_ready; // loaded and caught up: requests run
    } feed;

    imap_t jobs; // id -> job_t *
    uint64_t last_job;
    id_list_t runnable;
    id_list_t wait_revision; // for the next read of the store's revision
    id_list_t reading;       // for the one under way
    id_list_t wait_cache;
    bool is_reading, sweep_is_set;
    bool retry_is_set; // the sweep comes soon, for those that wait to try again

    struct {
        int64_t id;
        int64_t granted_ms;
        bool is_asked;
        id_list_t waiting;
    } event_lease;
    bool marks_are_set;
    size_t first_objects_pending;
    bool first_objects_done;

    elections_t elections;
    VEC(candidate_t) candidates; // held answers
    liveness_t liveness;
    VEC(listening_t) listening;
    bool listeners_dirty;
    VEC(char *) peers; // the other API servers, as of peers_at_ms
    int64_t peers_at_ms, gossiped_ms;
    bool gossip_is_set;

    drains_t drains;
    rounds_t rounds;
    traces_t traces;

    imap_t relays; // id -> relay_t *
    uint64_t last_relay;
} server_t;

// ---- feed.c -------------------------------------------------------------------------------------
void feed_start(actor_t *me);
void feed_on_page(actor_t *me, const Store__RangeReply *page);
void feed_on_events(actor_t *me, const Store__WatchEvents *events);
void feed_on_lost(actor_t *me, err_t err, const char *why); // a page failed, or the stream ended
void feed_on_retry(actor_t *me);
void feed_ask_progress(actor_t *me);
void feed_stop(server_t *s);

// ---- jobs.c
// ----------------------------------------------------------------------------------------- NULL:
// too many; the message was failed.
job_t *job_from_message(actor_t *me, const message_t *msg, job_kind_t kind);
job_t *job_own(actor_t *me, const char *from, const ProtobufCMessage *body);
job_t *job_of(server_t *s, uint64_t id);
void job_start(actor_t *me, job_t *job); // to where it must wait first
void job_set_runnable(server_t *s, job_t *job);
void job_wait_cache(actor_t *me, job_t *job, int64_t revision);
void job_fail_status(actor_t *me, job_t *job, const Meta__Status *status);
void job_fail(actor_t *me, job_t *job, err_t err, const char *why);
void job_end(actor_t *me, job_t *job);
identity_t job_identity(actor_t *me, const job_t *job);
void *job_body(actor_t *me, const job_t *job);
void jobs_run(actor_t *me);           // settle: what is runnable, a slice
void jobs_read_revision(actor_t *me); // settle: one read for all who wait
void jobs_on_revision(actor_t *me, int64_t revision);
void jobs_on_read_failed(actor_t *me);
void jobs_on_cache(actor_t *me); // the cache went ahead
void jobs_on_ready(actor_t *me);
void jobs_on_txn(actor_t *me, uint64_t id, const Store__TxnReply *reply);
void jobs_on_txn_failed(actor_t *me, uint64_t id, err_t err, const char *why);
void jobs_on_lease(actor_t *me, const Store__LeaseReply *reply); // NULL: refused
void jobs_sweep(actor_t *me);
void jobs_stop(server_t *s);
void first_objects(actor_t *me); // namespaces, the kubernetes service

// ---- lists.c ------------------------------------------------------------------------------------
void list_run(actor_t *me, job_t *job); // a slice
void list_prepare(actor_t *me, job_t *job);
void list_destroy(list_work_t **list);
void sweep_run(actor_t *me, job_t *job);
void sweep_on_child(actor_t *me, uint64_t sweep, err_t err, const char *why, int64_t revision);
void sweep_destroy(sweep_work_t **sweep);
void actors_destroy(actors_work_t **actors); // actors.c

// ---- watches.c ----------------------------------------------------------------------------------
void watch_open(actor_t *me, const message_t *msg, const Api__Watch *watch);
void watch_run(actor_t *me, job_t *job);
void watches_flush(actor_t *me); // settle: a slice
void watches_mark(actor_t *me);  // timer
void watches_end_all(actor_t *me, err_t err, const char *why);

// ---- leaders.c ----------------------------------------------------------------------------------
void leaders_on_elect(actor_t *me, const message_t *msg, const Api__Elect *elect);
void leaders_on_renew(actor_t *me, const message_t *msg, const Api__Renew *renew);
void leaders_on_swap(actor_t *me, uint64_t role,
                     const Store__TxnReply *reply);           // NULL: unknown outcome
void leaders_on_key(actor_t *me, bytes_t key, bytes_t value); // told by the feed
void leaders_on_down(actor_t *me, const char *address);
void leaders_look(actor_t *me); // timer: candidates whose answer is due
void leaders_stop(server_t *s);
void lives_on_alive(actor_t *me, const message_t *msg, const Api__NodeAlive *alive);
void lives_on_gossip(actor_t *me, const Api__NodeAges *ages); // from another API server
void lives_gossip(actor_t *me);                               // timer
void lives_open(actor_t *me, const message_t *msg, const Api__WatchNodeAges *open);
void lives_tell(actor_t *me); // settle, and timer
void lives_close(server_t *s, uint64_t stream);
void lives_forget(actor_t *me, bytes_t node); // the Node object is gone
void lives_stop(server_t *s);

// ---- relays.c -----------------------------------------------------------------------------------
void relay_open(actor_t *me, const message_t *msg, const ProtobufCMessage *body);
void relay_run(actor_t *me, job_t *job);                // the pod can be looked up now
void relay_on_chunk(actor_t *me, const message_t *msg); // from the kubelet
void relay_on_push(actor_t *me, const message_t *msg, const ProtobufCMessage *body);
void relay_on_end(actor_t *me, uint64_t relay, err_t err, const char *why, bytes_t status);
void relay_on_credit(actor_t *me, uint64_t stream);     // the client has room again
void relay_on_push_credit(actor_t *me, uint64_t relay); // the kubelet has
bool relay_close(actor_t *me, uint64_t stream); // the client is gone; false: no relay's stream
void relays_stop(server_t *s);
