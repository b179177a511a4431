// liveness - when each node was last heard, and which of them have fallen silent.
//
// Kubelets say that they live several times a second; nothing of it reaches the store. The node
// lifecycle controller opens a stream and is told every node once, then only changes of mind: a
// node silent for longer than it asked, or heard again. Pure: told the time.
#pragma once
#include "runtime/base/map.h"
#include "runtime/base/vec.h"

enum { LIVENESS_NODES_MAX = 20 * 1000 };

typedef struct {
    char *name;
    uint64_t incarnation;
    int64_t heard_ms;
} node_life_t;

typedef struct {
    map_t nodes;
} liveness_t; // name -> node_life_t *
void liveness_done(liveness_t *l);
// False: too many nodes. Told late (by another API server), it counts from when it was heard.
bool liveness_heard(liveness_t *l, const char *node, uint64_t incarnation, int64_t heard_ms);

void liveness_forget(liveness_t *l, const char *node); // it is no node of the cluster any more

// One listener's view: what it was told last.
typedef struct {
    int64_t silent_after_ms;
    map_t told; // name -> LISTENER_*; absent: never told
} listener_t;
void listener_done(listener_t *listener);
void listener_forget(listener_t *listener, const char *node);
// Would this node's sign of life be news to him (new, or back from silence)?
bool listener_wants(const listener_t *listener, const char *node);

typedef struct {
    const char *node;
    int64_t age_ms;
    bool silent;
    uint64_t incarnation;
} node_news_t;
typedef VEC(node_news_t) node_news_list_t;
// What the listener has to be told now, in order of names; it counts as told. *ret_next_ms: when
// to look again if nothing is heard until then (INT64_MAX: never). The list's names are borrowed.
void listener_news(listener_t *listener, const liveness_t *l, int64_t now_ms,
                   node_news_list_t *ret_news, int64_t *ret_next_ms);
