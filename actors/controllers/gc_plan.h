// gc_plan - who owns whom, and what is to be done about one object because of it.
//
// Pure. The graph holds every object that the cluster's caches know, by uid, with an edge to each
// owner; owners that are not there stand in it as absent. Deleting an owner deletes what it owns:
//
//   background   the owner goes, its dependents are left without it and follow
//   foreground   the owner stays (finalizer foregroundDeletion) until the dependents that block it
//                are gone
//   orphan       (finalizer orphan) dependents lose the reference, then the owner goes
//
// Nothing is collected because a cache does not know an owner: the plan asks for a live look first.
// An owner in another namespace is no owner. Circles of waiting owners are broken.
#pragma once
#include "runtime/actor/informer.h"
#include "runtime/base/text.h"

typedef struct gc_node gc_node_t;
struct gc_node {
    char *uid;
    const kind_t *kind; // NULL: absent, known only as somebody's owner
    record_t *record;   // one reference; NULL: absent
    VEC(gc_node_t *) dependents;
};
typedef struct {
    map_t nodes;  // uid -> gc_node_t
    map_t absent; // uids that a live look did not find: uids never come back
} gc_graph_t;
enum { GC_ABSENT_MAX = 20 * 1000 }; // past it all are forgotten and looked for again

void gc_graph_done(gc_graph_t *g);
// A change as the caches tell it (`was` NULL: added; `is` NULL: gone). Calls `touch` with the uid
// of each object that has to be looked at because of it.
void gc_graph_change(gc_graph_t *g, const kind_t *kind, const record_t *was, const record_t *is,
                     void (*touch)(void *arg, const char *uid), void *arg);
void gc_graph_set_absent(gc_graph_t *g, const char *uid); // a live look said so

typedef enum {
    GC_NOTHING,
    GC_LOOK,   // read `owner` live, in the object's namespace where its kind has one
    GC_DELETE, // the object, with `propagation`, at its uid and revision
    GC_PATCH,  // the object: `json`, at its revision
} gc_verb_t;
typedef struct {
    gc_verb_t verb;
    const gc_node_t *on;               // whom
    const Meta__OwnerReference *owner; // LOOK
    const kind_t *owner_kind;          // LOOK
    const char *propagation;           // DELETE
    const char *json;                  // PATCH: a merge patch
} gc_action_t;
typedef struct {
    gc_action_t *actions;
    size_t actions_len;
} gc_plan_t;
void gc_plan(const gc_graph_t *g, const char *uid, arena_t *arena, gc_plan_t *ret_plan);
void gc_plan_print(const gc_plan_t *plan, text_t *out);
