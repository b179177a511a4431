// sched_state - the scheduler core's own data, as its tables of rules see it. Not for others.
#pragma once
#include "actors/scheduler/sched_core.h"
#include "runtime/base/bytes.h"
#include "runtime/base/map.h"
#include "runtime/base/vec.h"

enum {
    RES_CPU,     // milli
    RES_MEMORY,  // bytes
    RES_STORAGE, // ephemeral, bytes
    RES_PODS,
    RES_FIRST_OTHER,
};
// What a pod that names no request is taken to use when nodes are scored (not when they are
// filtered), as kube-scheduler does it: else a thousand of them go to one node.
#define SCHED_DEFAULT_CPU_MILLI INT64_C(100)
#define SCHED_DEFAULT_MEMORY    (INT64_C(200) << 20)

typedef struct sched_pod sched_pod_t;
typedef struct sched_class sched_class_t;

typedef struct {
    const char *ip, *protocol;
    int32_t port;
} sched_port_t; // ip "": all of the node's
typedef struct {
    sched_port_t port;
    sched_pod_t *pod;
} sched_used_port_t; // strings: the pod's class

// Pods that every rule treats alike: one template, one namespace, one owner.
struct sched_class {
    arena_t arena;         // holds signature and spec
    bytes_t signature;     // packed spec: two classes are one if it is equal
    const Core__Pod *spec; // the slimmed pod it was made from, without name and node
    int64_t request[SCHED_RESOURCES_MAX];
    int64_t scored_cpu, scored_memory; // request with defaults
    const sched_port_t *ports;
    size_t ports_len;
    int32_t priority;
    bool gated;
    bool has_rules; // about other pods
    bool is_beyond; // asks for a resource past SCHED_RESOURCES_MAX: fits nowhere

    size_t pods_len;                   // all pods of the class, in whatever state
    imap_t on_node;                    // node slot + 1 -> count of placed and assumed pods
    VEC(sched_pod_t *) pending;        // by arrival; [pending_first, len); NULL: has left
    size_t pending_first, pending_len; // len: those that have not left
    size_t explain_from;               // pending[…]: told of `message` up to here
    uint64_t failed_at;                // s->room when nothing fitted; 0: not tried since
    bool is_listed;                    // in s->with_pending
    char *message;                     // why, as last worked out, owned; NULL: not yet
    int64_t message_ms;                // when
    uint64_t message_room;             // s->room then
    uint64_t hash;                     // of the signature
    sched_class_t *same_hash;          // next class with that hash

    // By slot, as of the last decision, when rules about other pods speak about the class; else
    // NULL.
    uint8_t *pair_no; // sched_pair_no_t
    int32_t *pair_score;

    sched_class_t *shape; // what filters and scores read of it, shared with classes that differ
                          // only in labels, namespace and owner; NULL: this is a shape
    // The tree of a shape, or of a class that is on most nodes: tree[i] is the slot with the best
    // key among the leaves below i; leaves start at tree_cap. keys[slot] < 0: a filter says no. A
    // shape has no pods of its own: what a class' own pods on a node cost is taken off when its
    // best node is looked for.
    int32_t *keys;
    uint32_t *tree;
    uint64_t tree_cap;    // s->slots_cap it was built for
    uint64_t seen_change; // s->changes up to here are in the tree
    uint64_t used_at;     // for choosing whose tree goes
};

// Why rules about pods beside pods refuse a node.
typedef enum {
    PAIR_YES,
    PAIR_NO_SPREAD,
    PAIR_NO_SPREAD_LABEL,
    PAIR_NO_AFFINITY,
    PAIR_NO_ANTI_AFFINITY,
    PAIR_NO_OTHERS_ANTI_AFFINITY,
} sched_pair_no_t;

typedef enum { POD_PENDING, POD_BACKOFF, POD_ASSUMED, POD_PLACED } sched_pod_state_t;
struct sched_pod {
    char *key, *uid; // "ns/name"
    char *namespace_, *name;
    sched_class_t *class_;
    sched_pod_state_t state;
    uint32_t slot; // assumed, placed
    uint8_t failures;
    uint32_t explained; // hash of the message last told; 0: none
    uint64_t arrival;
    size_t pending_at;     // pending: its place in the class' list
    int64_t not_before_ms; // backoff
};

typedef struct {
    char *name;
    bool exists;            // else only pods that name it
    arena_t arena;          // holds `node`
    const Core__Node *node; // slimmed: name, labels, taints, unschedulable, allocatable
    VEC(sched_used_port_t) ports;
    uint32_t pods_len;
} sched_node_t;

// A label that rules about other pods divide the nodes by. Its values have numbers, from 1.
typedef struct {
    char *key;
    uint32_t *domain; // by slot: the number of the node's value; 0: it has none, or does not exist
    uint32_t len;     // numbers given
    uint64_t as_of;   // s->nodes_changed
} sched_topology_t;

struct sched {
    char *scheduler_name;
    sched_node_t *nodes;         // by slot
    size_t slots_len, slots_cap; // cap: a power of two
    VEC(uint32_t) free_slots;
    map_t slot_of;    // node name -> slot + 1
    size_t nodes_len; // that exist

    // Columns, by slot.
    int64_t *allocatable[SCHED_RESOURCES_MAX];
    int64_t *used[SCHED_RESOURCES_MAX];
    int64_t *scored_cpu, *scored_memory; // used, with defaults
    char *resource_names[SCHED_RESOURCES_MAX];
    size_t resources_len;

    uint64_t nodes_changed;             // counts slots and nodes that came, went or changed
    arena_t judging;                    // of one judging of rules about other pods
    VEC(sched_topology_t *) topologies; // in the order they were met

    map_t pods;                // key -> sched_pod_t
    VEC(sched_class_t *) anti; // classes whose pods keep others away
    imap_t classes;            // hash of the signature -> sched_class_t, chained by same_hash
    imap_t shapes;             // the same of shapes; pods_len counts their classes
    VEC(uint32_t) frontier;    // of a search for the best node
    VEC(sched_class_t *) with_pending; // classes that have pending pods (is_listed), any order
    VEC(sched_pod_t *) backoff;
    uint64_t arrivals, uses;
    arena_t scratch; // for one signature
    size_t trees_len;
    size_t rules_waiting; // listed classes with rules about other pods
    size_t pending_len;

    uint64_t room;         // counts changes that may make a waiting pod fit; from 1
    uint32_t *change_log;  // ring: slots in the order they changed
    size_t change_log_cap; // power of two
    uint64_t changes;
};

static inline const char *slot_name(const sched_t *s, uint32_t slot) { return s->nodes[slot].name; }
// Pods of this class on this node.
static inline uint32_t class_count_on(const sched_class_t *c, uint32_t slot) {
    return (uint32_t)(uintptr_t)imap_get(&c->on_node, slot + UINT64_C(1));
}

// ---- rules
// ---------------------------------------------------------------------------------------- A filter
// says whether a node will do. Its reasons are worked out only when nothing else will.
typedef struct {
    const char *text;
    bool helped_by_leaving; // would the node do if pods left it? (preemption's question)
} sched_reason_t;
enum { SCHED_REASONS_MAX = SCHED_RESOURCES_MAX + 2 };
typedef struct {
    sched_reason_t at[SCHED_REASONS_MAX];
    size_t len;
} sched_reasons_t;

typedef struct {
    const char *name; // kube-scheduler's plugin of the same job
    bool (*passes)(const sched_t *s, const sched_class_t *c, uint32_t slot);
    void (*explain)(const sched_t *s, const sched_class_t *c, uint32_t slot, arena_t *arena,
                    sched_reasons_t *ret_reasons);
} sched_filter_t;
extern const sched_filter_t sched_filters[]; // in order; ends with a row without name

// 0 … SCHED_SCORE_MAX, higher is better; weighted and summed.
enum { SCHED_SCORE_MAX = 100 * 1000 };
typedef struct {
    const char *name;
    int weight;
    int32_t (*score)(const sched_t *s, const sched_class_t *c, uint32_t slot);
} sched_score_t;
extern const sched_score_t sched_scores[];
// What the class' own pods on a node take off what the node is worth to a shape.
int32_t sched_own_pods_cost(const sched_class_t *c, uint32_t slot);
// What its preferred rules about other pods add to it.
int32_t sched_pairs_worth(const sched_class_t *c, uint32_t slot);

// ---- classes
// -------------------------------------------------------------------------------------- The class
// of a pod, made when missing; counts the pod in.
sched_class_t *sched_class_take(sched_t *s, const Core__Pod *pod);
void sched_class_drop(sched_t *s, sched_class_t **c); // counts a pod out
void sched_class_free(sched_class_t *c);
// The slot with the highest key, the first of equals; UINT32_MAX: none will do.
uint32_t sched_class_best(sched_t *s, sched_class_t *c);
int32_t sched_key(const sched_t *s, const sched_class_t *c, uint32_t slot); // < 0: does not fit
// Why not, for every existing node, in one sentence of Kubernetes' form; in the arena.
const char *sched_class_message(sched_t *s, sched_class_t *c, arena_t *arena);
size_t sched_resource(sched_t *s,
                      const char *name); // column of a resource; SCHED_RESOURCES_MAX: none left
bool tolerates(const sched_class_t *c, const Core__Taint *taint);
bool node_term_matches(const Core__NodeSelectorTerm *term, const Core__Node *node);

// ---- pods beside pods (sched_pairs.c) ----------------------------------------------------------
bool sched_class_keeps_away(const sched_class_t *c); // has required anti-affinity
bool sched_class_has_rules(const sched_class_t *c);  // of its own about other pods
void sched_class_forget_pairs(sched_class_t *c);
void sched_topologies_done(sched_t *s);
bool sched_class_has_pairs(const sched_t *s,
                           const sched_class_t *c);         // must be judged for each decision
void sched_class_judge_pairs(sched_t *s, sched_class_t *c); // fills pair_no and pair_score
bool sched_node_affinity_holds(const sched_t *s, const sched_class_t *c, uint32_t slot);
