// api_rig - an API server in the simulator, on a store in memory, and hands to use it:
//
//     api_rig_t *rig = rig_new(1);
//     cr_expect_str_eq(rig_create(rig, "{kind: Pod, apiVersion: v1, metadata: {name: a}, …}"),
//     "CREATED"); cr_expect_str_eq(rig_delete(rig, "v1", "Pod", "default", "b"), "pods \"b\" not
//     found"); rig_destroy(&rig);
//
// Objects are YAML or JSON text. Every verb returns the outcome as a word, or the Status' message.
// The object that came with the answer is rig->obj, in the version that was asked for.
#pragma once
#include "actors/apiserver/apiserver_actor.h"
#include "k8s/core_v1.pb-c.h"
#include "runtime/api/codec.h"
#include "runtime/sim/sim.h"
#include "tests/support/fake_store.h"
#include "troupe/api.pb-c.h"

typedef struct {
    sim_t *sim;
    fake_store_t *store;
    struct rig_disk *disk; // the real store's; NULL: a fake one
    apiserver_args_t args;
    arena_t arena;
    const char *as; // who asks: "test/t"
    uint64_t epoch;
    err_t err; // of the last answer
    const kind_t *kind;
    ProtobufCMessage *obj; // NULL: none came
    int64_t revision;
    Api__ListReply *list;
} api_rig_t;

// Ready, with the four namespaces.
api_rig_t *rig_new(uint64_t seed) MUST_USE;
// On the real store (one member, its disk and its map in memory) in a process "store" of its own,
// which sim_crash_process may crash: what was not synced is lost. rig->store is NULL then.
api_rig_t *rig_new_on_real_store(uint64_t seed) MUST_USE;
api_rig_t *rig_new_with(uint64_t seed, const apiserver_args_t *args) MUST_USE;
void rig_destroy(api_rig_t **rig);
void rig_run(api_rig_t *rig, int64_t ms);
void rig_wait_ready(api_rig_t *rig); // after a kill: until a request is answered

const char *rig_create(api_rig_t *rig, const char *text); // namespace from the text, else "default"
const char *rig_update(api_rig_t *rig, const char *text, const char *subresource);
const char *rig_apply(api_rig_t *rig, const char *text);
const char *rig_patch(api_rig_t *rig, const char *api_version, const char *kind, const char *ns,
                      const char *name, const char *subresource, Api__Patch__Type type,
                      const char *json);
const char *rig_get(api_rig_t *rig, const char *api_version, const char *kind, const char *ns,
                    const char *name);
const char *rig_delete(api_rig_t *rig, const char *api_version, const char *kind, const char *ns,
                       const char *name);
const char *rig_delete_with(api_rig_t *rig, const char *api_version, const char *kind,
                            const char *ns, const char *name, const Api__Delete *options);
const char *rig_bind(api_rig_t *rig, const char *ns, const char *pod, const char *node);
// Names of the items, separated by spaces; rig->list is the reply.
const char *rig_list(api_rig_t *rig, const char *api_version, const char *kind,
                     const Api__List *options);
// A field of rig->obj by its JSON path; "" when unset.
const char *rig_field(api_rig_t *rig, const char *path);
// Any request by hand; the reply's type must be Api__Reply.
const char *rig_ask(api_rig_t *rig, const ProtobufCMessage *request);
Api__Resource rig_resource(api_rig_t *rig, const char *api_version, const char *kind,
                           const char *ns, const char *name);

// ---- watching
// --------------------------------------------------------------------------------------- An actor
// "test/NAME" that watches and writes down what it sees, a line per event:
//     "ADDED default/a", "MODIFIED default/a", "DELETED default/a", "MARK", "END EXPIRED"
// With `resumes` it opens the watch again from its last revision whenever it ends, as informers do.
typedef struct rig_watcher rig_watcher_t;
typedef struct {
    const char *api_version, *kind, *ns, *label_selector, *field_selector;
    int64_t from_revision;
    bool resumes;
    uint32_t window;   // 0: 64
    const char *shows; // JSON path of a field behind each name; NULL: none
} rig_watch_t;
rig_watcher_t *rig_watch(api_rig_t *rig, const char *name, const rig_watch_t *watch);
const char *rig_seen(rig_watcher_t *w); // everything since the last call
int64_t rig_seen_revision(const rig_watcher_t *w);
void rig_watcher_free(rig_watcher_t **w); // after the rig is gone
