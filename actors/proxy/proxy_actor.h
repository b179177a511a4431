// proxy - keeps this node's iptables and routes as the services and nodes want them. The shell: it
// follows Service, EndpointSlice and Node objects, asks the cores (view, rules, routes), and lets
// iptables-restore do it. Runs in the network namespace of its process.
//
//     start ─► probe the backend ─► save (what is there) ─► restore all ─► idle ⇄ restore a change
//                                     ▲──────────── failed, or not intact at a check ─────┘
//
// Asks apiserver: Watch. Tells apiserver: EndpointsSynced after each restore.
#pragma once
#include "actors/proxy/tables_fake.h"
#include "runtime/actor/kit.h"
#include "runtime/io/config.h"

typedef struct {
    const char *node;    // name of the node; NULL: the actor's own name
    const char *node_ip; // its address, source of the route to services; "" : from its Node object
    const char *cluster_cidr; // pods of all nodes
    const char *service_cidr;
    const char *backend;       // "auto", "legacy", "nft"
    int64_t check_interval_ms; // how often to look whether somebody else removed our rules
    tables_fake_t *fake;       // rules are kept there, and the kernel is left alone; NULL: iptables
    bool no_routes;            // another network carries pods between nodes
} proxy_args_t;
#define PROXY_ARGS_DEFAULT                                                                  \
    {                                                                                       \
        .cluster_cidr = "10.244.0.0/16", .service_cidr = "10.96.0.0/16", .backend = "auto", \
        .node_ip = "", .check_interval_ms = 60 * 1000                                       \
    }
extern const actor_def_t proxy_actor;
extern const config_field_t proxy_config[];
