// controller - what a row of controllers.c is, and what its functions may do.
//
// A controller follows kinds, turns changes into keys, and syncs one key at a time: it gathers what
// the caches hold about the key into a view, asks its pure plan, and performs the plan's actions as
// writes. The shell (controllers_actor) does the rest:
//
//   - A key whose writes are under way is not synced again until every outcome is known; then it is
//     synced once more if anything touched it meanwhile.
//   - What a write answered is in the cache before that next sync (read your writes).
//   - A failed write brings the key back with back-off; ERR_DEPOSED ends the actor.
//   - Nothing is synced before this instance leads and its caches have reached the revision of its
//     taking over.
#pragma once
#include "actors/controllers/controllers_actor.h"
#include "k8s/apps_v1.pb-c.h"
#include "k8s/core_v1.pb-c.h"
#include "k8s/discovery_v1.pb-c.h"
#include "runtime/actor/api_client.h"
#include "runtime/actor/informer.h"
#include "runtime/actor/recorder.h"
#include "runtime/actor/workqueue.h"
#include "runtime/api/codec.h"
#include "runtime/api/msg.h"
#include "runtime/api/pod.h"

// The kinds that controllers follow, each by one informer for all of them.
typedef enum {
    FOLLOWED_PODS,
    FOLLOWED_NODES,
    FOLLOWED_SERVICES,
    FOLLOWED_ENDPOINTS,
    FOLLOWED_ENDPOINT_SLICES,
    FOLLOWED_REPLICA_SETS,
    FOLLOWED_DEPLOYMENTS,
    FOLLOWED_NAMESPACES,
    FOLLOWED_SERVICE_ACCOUNTS,
    FOLLOWED_LEN,
} followed_t;
// Indexes of the followed kinds, where they have them (informer_by).
enum { INDEX_NAMESPACE = 0, INDEX_CONTROLLER = 1, INDEX_NODE = 2, INDEX_SERVICE = 1 };

typedef struct controller controller_t; // one running controller
typedef enum {
    WRITE_GET,
    WRITE_CREATE,
    WRITE_UPDATE,
    WRITE_PATCH,
    WRITE_DELETE,
    WRITE_DELETE_ALL,
} write_verb_t;
typedef struct write {
    uint64_t ask_id;
    controller_t *controller;
    char *key; // the key it was made for
    const kind_t *kind;
    char *namespace_, *name;
    write_verb_t verb;
    int64_t deleted; // of a WRITE_DELETE_ALL that worked
} write_t;

#define NEEDS(what) (1u << FOLLOWED_##what)
typedef struct controller_def {
    const char *name;  // component of its events: "replicaset-controller"
    size_t state_size; // zeroed before start
    uint32_t needs; // NEEDS(…) of each cache that its syncs rest on: without them it does not run
    void (*start)(controller_t *c); // subscribes to what it follows
    // Bring one key to what is wanted. Runs again whenever the key is touched or a write failed.
    void (*sync)(controller_t *c, const char *key);
    // The outcome of a write, after the cache has learned it. `obj`: what the answer bore, or NULL;
    // failure NULL: it worked. May be NULL.
    void (*outcome)(controller_t *c, const write_t *w, const ProtobufCMessage *obj,
                    const api_failure_t *failure);
    // What the API servers hear of the nodes; NULL: the telling begins or ends
    // (controller_hears_nodes says which), and what was told before counts no more.
    void (*on_ages)(controller_t *c, const Api__NodeAges *ages);
    void (*stop)(controller_t *c);
} controller_def_t;
extern const controller_def_t *const controller_rows[]; // ends with NULL

// ---- for a controller's own functions ----------------------------------------------------------
void *controller_state(controller_t *c);
bool controller_leads(const controller_t *c); // and is caught up: may it act?
bool controller_hears_nodes(const controller_t *c);
const controllers_args_t *controller_args(const controller_t *c);
actor_t *controller_actor(controller_t *c);
arena_t *controller_arena(controller_t *c); // the round's
informer_t *controller_follow(controller_t *c, followed_t what);
// For controllers that care for every kind: calls back for each followed kind and, as metadata
// alone, for every other kind that can be watched.
typedef void (*any_changed_fn)(void *arg, const kind_t *kind, const record_t *was,
                               const record_t *is);
void controller_follow_all(controller_t *c, any_changed_fn changed, void *arg);
informer_t *controller_informer_of(controller_t *c, const kind_t *kind); // NULL: nobody follows it

void controller_touch(controller_t *c, const char *key);
void controller_touch_after(controller_t *c, const char *key, int64_t delay_ms);
void controller_touch_record(controller_t *c, const record_t *r); // key: the record's own
// Only inside sync: nothing about the key failed, yet it shall come back with back-off.
void controller_retry(controller_t *c);
unsigned controller_failures(const controller_t *c, const char *key);

// Writes on behalf of the key being synced. Each has one outcome.
void controller_get(controller_t *c, const kind_t *k, const char *ns, const char *name);
void controller_create(controller_t *c, const kind_t *k, const ProtobufCMessage *obj);
void controller_update(controller_t *c, const kind_t *k, const char *subresource,
                       const ProtobufCMessage *obj);
void controller_patch(controller_t *c, const kind_t *k, const char *ns, const char *name,
                      const char *subresource, const char *json,
                      int64_t expected_revision); // merge patch
void controller_delete(controller_t *c, const kind_t *k, const char *ns, const char *name,
                       const api_delete_options_t *options);
void controller_delete_all(controller_t *c, const kind_t *k, const char *ns); // DeleteCollection

// Inside outcome: reads live what the write was about, for the same key.
void controller_look(controller_t *c, const write_t *w);

void controller_event(controller_t *c, const kind_t *k, const ProtobufCMessage *obj,
                      const char *type, const char *reason, const char *fmt, ...) PRINTF_LIKE(6, 7);

// ---- small things many controllers need
// ----------------------------------------------------------- The owner that controls it, or NULL.
bool kind_has_verb(const kind_t *k, const char *verb);
const Meta__OwnerReference *owner_that_controls(const Meta__ObjectMeta *meta);
bool object_owners_equal(const Meta__ObjectMeta *a, const Meta__ObjectMeta *b);
bool object_labels_equal(const Meta__ObjectMeta *a, const Meta__ObjectMeta *b);
bool owner_is(const Meta__OwnerReference *ref, const char *group,
              const char *kind); // any version of the group
bool pod_is_ready(const Core__Pod *pod);
int64_t pod_ready_since_ms(const Core__Pod *pod); // wall; 0: not ready
const kind_t *followed_kind(followed_t what);
