// apiserver_actor - the front door: Kubernetes' verbs on Kubernetes' objects, as messages.
//
//   clients ── Get List Watch Create Update Patch Delete … ──►  apiserver ── Txn, Range ──►  store
//           ◄── Reply, ListReply, WatchEvents, Failure ───────      ▲                          │
//                                                                   └──── one watch of it all ─┘
//
// Reads are answered from the watch cache, after the store has said how new the answer must be;
// writes are one transaction each. Killed at any moment it loses nothing: it reads the store again
// and goes on. Any number of API servers may serve one store.
// Also: elections of leader-elected roles, liveness of nodes, logs and exec of pods passed on to
// the node's kubelet.
#pragma once
#include "runtime/actor/kit.h"
#include "runtime/io/config.h"

typedef struct {
    const char *service_range;   // cluster IPs; IPv4
    const char *node_port_range; // "FIRST-LAST"
    int64_t
        default_toleration_seconds; // how long pods stay on a node that is gone, if they do not say
    int64_t event_ttl_ms;           // how long events are kept
    int64_t bookmark_interval_ms;   // idle watches are told how far they have come
    int64_t
        history_revisions; // at start, read so many revisions back: watches resume over a restart
    int64_t jobs_max;      // requests in flight; past it: TooManyRequests
    int64_t watchers_max;
    bool without_first_objects; // do not make the namespaces and the kubernetes service
} apiserver_args_t;

extern const actor_def_t apiserver_actor; // role "apiserver"; args: apiserver_args_t
extern const apiserver_args_t apiserver_args_default;
extern const config_field_t apiserver_config[]; // kind: ApiServer
