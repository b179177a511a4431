// lessor - when the store's leases end. Kept by the leader only, told the time; pure.
//
// The state machine knows which leases there are; the lessor knows until when. It is filled anew
// by each leader, with the full time to live: a lease may live longer over a change of leaders,
// never shorter. That a lease has ended is proposed as an entry, like any change.
#pragma once
#include "runtime/base/vec.h"

typedef struct {
    int64_t id, ttl_ms, deadline_ms;
    bool revoking; // its end is proposed
} store_lease_t;
typedef struct {
    VEC(store_lease_t) leases;
} lessor_t; // sorted by id

void lessor_done(lessor_t *l);
void lessor_put(lessor_t *l, int64_t id, int64_t ttl_ms, int64_t now_ms); // new, or from now again
void lessor_remove(lessor_t *l, int64_t id);
store_lease_t *lessor_find(const lessor_t *l, int64_t id); // NULL: none
int64_t lessor_deadline_ms(const lessor_t *l);             // the earliest; INT64_MAX: none
// The first one past its deadline that is not being revoked yet; 0: none.
int64_t lessor_due(const lessor_t *l, int64_t now_ms);
