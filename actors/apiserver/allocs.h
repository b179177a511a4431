// allocs - the addresses of services: which cluster IPs and node ports are held, and what a write
// of a Service takes and gives back.
//
// Every address that is held is a key of its own in the store (keys.h) with the service's path as
// its value, written in the transaction that writes the service: so none leaks, and none is held
// twice, whatever dies when. The map here is a picture of those keys from the watch; it only makes
// choosing cheap. What it does not know yet, the transaction's compare refuses.
//
// Dynamic addresses are drawn from above a low band, so that what a manifest names is rarely taken
// (KEP-3070, KEP-3668). Pure.
#pragma once
#include "k8s/core_v1.pb-c.h"
#include "runtime/api/kinds.h"
#include "runtime/base/map.h"
#include "runtime/base/rng.h"

typedef struct {
    map_t owners;
} allocs_t; // key -> owned text "namespace/name"
void allocs_set(allocs_t *a, bytes_t key, bytes_t owner);
void allocs_remove(allocs_t *a, bytes_t key);
void allocs_reset(allocs_t *a);
void allocs_done(allocs_t *a);
const char *allocs_owner(const allocs_t *a, const char *key); // NULL: free

typedef struct {
    uint32_t service_net; // host byte order
    int service_prefix_len;
    int32_t port_first, port_last;
} alloc_ranges_t;
// "10.96.0.0/16", "30000-32767". ERR_MALFORMED.
err_t alloc_ranges_parse(const char *cidr, const char *ports, alloc_ranges_t *ret_ranges,
                         why_t *why) MUST_USE;
// The first address of the range: the `kubernetes` service's.
const char *alloc_first_ip(arena_t *arena, const alloc_ranges_t *ranges);

enum { SERVICE_PORTS_MAX = 250, ALLOC_KEYS_MAX = SERVICE_PORTS_MAX + 6 };
typedef struct {
    const char *take[ALLOC_KEYS_MAX], *give[ALLOC_KEYS_MAX];
    size_t take_len, give_len;
} alloc_plan_t;

// Fills in the addresses that the service needs and does not name (what a PUT leaves out, the
// kind's strategy has kept already), and says which keys to take and give back. `old` NULL: create.
// Errors that the client can mend go to `errors`; ERR_EXHAUSTED: a range is full.
err_t service_allocate(arena_t *arena, const alloc_ranges_t *ranges, const allocs_t *held,
                       rng_t *rng, Core__Service *svc, const Core__Service *old,
                       field_errors_t *errors, alloc_plan_t *ret_plan, why_t *why) MUST_USE;
// Everything that a service holds: its deletion gives it back.
void service_release(arena_t *arena, const Core__Service *svc, alloc_plan_t *ret_plan);
