// drains - when may a leaving pod be told to stop? When no service sends it new connections: its
// endpoints are no longer ready in any slice, and every proxy has rules at least that new. Kubelets
// ask (api.AwaitDrain) before they send TERM, so that a plain rolling update loses no request.
//
//     pod deleted ─► endpoint slice says "terminating" at revision r ─► each proxy: synced ≥ r ─►
//     DRAIN_LINGER_MS for requests that are under way ─► answer
//
// A wait is bounded by the asker's deadline: then the answer is "not drained", and the pod is told
// to stop all the same. What died leaves its rules in the kernel, so a proxy that has just gone,
// and all of them when this server has just begun, are given PROXY_BACK_MS to come back and be
// heard.
#pragma once
#include "runtime/actor/kit.h"
#include "runtime/base/map.h"
#include "runtime/base/vec.h"
#include "troupe/api.pb-c.h"

enum {
    DRAINS_MAX = 10000,
    DRAIN_TIMEOUT_MS = 2000,
    DRAIN_LINGER_MS = 200,
    PROXY_BACK_MS = 1000,
};

// How the slices of its namespace speak of a pod.
typedef struct {
    bool is_served;
    int64_t revision;  // 0: no slice names it
    int64_t looked_at; // the newest slice's when they were looked at; 0: not yet
} standing_t;

typedef struct {
    caller_t *caller;
    char *ns, *uid; // owned
    int64_t give_up_ms;
    int64_t drained_ms; // since when nothing new is sent to it; 0: not yet
    standing_t standing;
} drain_t;

// What is known of a proxy.
typedef struct {
    int64_t revision; // EndpointSlices applied up to this one
    int64_t down_ms;  // since when it is gone; 0: it is there
} proxy_word_t;
typedef struct {
    VEC(drain_t) waiting;
    map_t proxies;     // "proxy/NODE" -> proxy_word_t *
    int64_t began_ms;  // 0: not yet
    int64_t looked_at; // the cache's revision at the last look
    bool is_dirty;     // a wait or a proxy's word has come since
} drains_t;

void drains_on_await(actor_t *me, const message_t *msg, const Api__AwaitDrain *await);
void drains_on_synced(actor_t *me, const message_t *msg, const Api__EndpointsSynced *synced);
void drains_on_down(actor_t *me, const char *address); // any address
void drains_look(actor_t *me);                         // settle, and timer
void drains_done(drains_t *d);
