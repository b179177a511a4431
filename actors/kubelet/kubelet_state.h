// kubelet_state - what kubelet/NODE keeps. Inside of kubelet_actor and its streams only.
#pragma once
#include "actors/kubelet/kubelet.h"
#include "actors/kubelet/node.h"
#include "runtime/actor/api_client.h"
#include "runtime/actor/informer.h"
#include "runtime/actor/recorder.h"
#include "troupe/node.pb-c.h"

enum {
    K_TAG_PODS = 1,
    K_TAG_NODE,
    K_TAG_RECORDER, // of informers and recorder
    K_TAG_GET_NODE,
    K_TAG_CREATE_NODE,
    K_TAG_NODE_STATUS,
    K_TAG_LEASE,
    K_TAG_LIST_SANDBOXES,
    K_TAG_LIST_CONTAINERS,
    K_TAG_REOPEN,
    K_TIMER_ALIVE,
    K_TIMER_LEASE,
    K_TIMER_STATUS,
    K_TIMER_RELIST,
    K_TIMER_REGISTER,
    K_TIMER_MANIFESTS,
    K_TAG_MIRROR_DELETE,
    K_TAG_POD_STATUS = 1 << 16, // + the entry's number * 4
    K_TAG_POD_DELETE,
    K_TAG_POD_RETRY,
    K_TAG_POD_MIRROR,
    K_TAG_RELAY = 1ll << 50,  // + the relay's number
    K_TAG_STREAM = 1ll << 40, // + the stream's number * 16 + step
};
enum {
    KUBELET_PODS_MAX = 1024,
    KUBELET_RETRY_MS = 500,
    KUBELET_REGISTER_MS = 50, // doubling to KUBELET_RETRY_MS
    KUBELET_LOG_MAX_BYTES = 10 << 20,
    KUBELET_LOG_FILES = 5,
    KUBELET_RELIST_MS = 120 * 1000,
    KUBELET_SECOND_LOOK_MS = 1000, // after the first look at a runtime
    KUBELET_LOOK_TIMEOUT_MS = 10 * 1000,
    KUBELET_ORPHAN_GRACE_S = 2,
    // A runtime that starts again within this time was never away: a node that blinks loses pods.
    KUBELET_RUNTIME_GRACE_MS = 5 * 1000,
};

// A pod that this node runs, or still has to get rid of.
typedef struct {
    uint64_t number;
    char *uid, *address, *child; // "pod/…" and its name part
    pod_args_t args;
    const record_t *record; // as the API has it; NULL: an orphan, or deleted
    blob_t *packed;         // of an orphan: made up from its labels; of a static pod: its manifest
    blob_t *status;         // to be written; NULL: nothing new
    blob_t *sent;           // being written; becomes `status` again when that fails
    bool writing, deleting, dirty, gone, done, spawned, up_seen;
    bool doubted;   // the API's record has changed: does it still say what we said?
    bool is_static; // of a file; `record` is its mirror then
    bool seen, mirroring, mirror_dirty;
} entry_t;

typedef struct stream stream_t;

typedef struct {
    arena_t arena; // of args
    kubelet_args_t args;
    node_facts_t facts;
    Node__RuntimeState runtime; // strings owned below
    char *runtime_name, *runtime_version, *runtime_message, *runtime_address;
    informers_t informers;
    informer_t *pods, *node;
    recorder_t recorder;
    map_t by_uid;     // uid -> entry_t, owned
    imap_t by_number; // the same
    map_t owners;     // container or sandbox id -> entry_t
    uint64_t entry_next;
    bool runtime_seen;
    int64_t runtime_lost_ms; // monotonic; since when it is not ready (our birth, too); 0: it is
    bool known;              // the runtime's sandboxes have been listed once
    size_t listing;
    bool listing_failed;
    map_t on_runtime;      // uids that the runtime has something of; value: not NULL
    VEC(blob_t *) orphans; // packed pods made of sandboxes' labels, until the pods are synced
    int64_t register_delay_ms;
    uint64_t alive_turn; // which API server is told next
    bool registered, node_dirty, node_writing, was_ready, lease_writing, told_starting;
    char *range; // as told to the runtime
    const record_t *lease_seen;
    blob_t *lease; // as last read; NULL: to be created
    imap_t relays; // number -> caller_t: pods that wait for the API server
    uint64_t relay_next;
    VEC(stream_t *) streams;
    uint64_t stream_next;
    int manifests_fd; // inotify on the folder of static pods; -1: none
} kubelet_t;

entry_t *kubelet_entry(actor_t *me, const char *uid, const char *ns, const char *name);

// ---- static pods (kubelet_static.c) ------------------------------------------------------------
#define KUBELET_MIRROR "kubernetes.io/config.mirror" // annotation of a mirror: the static pod's uid
void kubelet_static_start(actor_t *me);
void kubelet_static_read(actor_t *me);
void kubelet_static_fd(actor_t *me);
void kubelet_static_end(actor_t *me);
bool kubelet_is_mirror(const record_t *record);
void kubelet_mirror_changed(actor_t *me, const record_t *was, const record_t *is);
void kubelet_mirrors_sync(actor_t *me);

// ---- questions of pods to the API (kubelet_relay.c) --------------------------------------------
void kubelet_on_get(actor_t *me, const message_t *msg, const void *body);
void kubelet_on_list(actor_t *me, const message_t *msg, const void *body);
void kubelet_on_await_drain(actor_t *me, const message_t *msg, const void *body);
bool kubelet_relay_answer(actor_t *me, const message_t *msg,
                          const ProtobufCMessageDescriptor *type);
bool kubelet_relay_failure(actor_t *me, const message_t *msg, err_t err, const char *why);
void kubelet_relays_end(actor_t *me);

// ---- streams: logs and exec (kubelet_streams.c) ------------------------------------------------
void kubelet_on_logs(actor_t *me, const message_t *msg, const void *body);
void kubelet_on_exec(actor_t *me, const message_t *msg, const void *body);
void kubelet_on_exec_input(actor_t *me, const message_t *msg, const void *body);
void kubelet_on_stream_credit(actor_t *me, const message_t *msg, const void *body);
void kubelet_on_stream_gone(actor_t *me, const message_t *msg, const void *body);
bool kubelet_stream_answer(actor_t *me, const message_t *msg,
                           const void *body); // true: it was a stream's
bool kubelet_stream_failure(actor_t *me, const message_t *msg, err_t err, const char *why);
bool kubelet_stream_timer(actor_t *me, uint64_t tag);
void kubelet_stream_fd(actor_t *me, int fd, uint32_t events);
void kubelet_stream_container_ended(actor_t *me, const Node__ContainerChange *deleted);
void kubelet_streams_end(actor_t *me);
