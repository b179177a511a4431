#include "store/lessor.h"

void lessor_done(lessor_t *l) { vec_done(&l->leases); }

static size_t place_of(const lessor_t *l, int64_t id) {
    return vec_place(&l->leases, it, it->id < id);
}

store_lease_t *lessor_find(const lessor_t *l, int64_t id) {
    size_t at = place_of(l, id);
    return at < l->leases.len && l->leases.at[at].id == id ? &l->leases.at[at] : NULL;
}

void lessor_put(lessor_t *l, int64_t id, int64_t ttl_ms, int64_t now_ms) {
    store_lease_t lease = {id, ttl_ms, now_ms + ttl_ms, false};
    store_lease_t *known = lessor_find(l, id);
    if (known)
        *known = lease;
    else
        vec_insert(&l->leases, place_of(l, id), lease);
}

void lessor_remove(lessor_t *l, int64_t id) {
    store_lease_t *lease = lessor_find(l, id);
    if (lease) vec_remove(&l->leases, (size_t)(lease - l->leases.at));
}

int64_t lessor_deadline_ms(const lessor_t *l) {
    int64_t earliest = INT64_MAX;
    for (size_t i = 0; i < l->leases.len; i++)
        if (!l->leases.at[i].revoking && l->leases.at[i].deadline_ms < earliest)
            earliest = l->leases.at[i].deadline_ms;
    return earliest;
}

int64_t lessor_due(const lessor_t *l, int64_t now_ms) {
    for (size_t i = 0; i < l->leases.len; i++)
        if (!l->leases.at[i].revoking && l->leases.at[i].deadline_ms <= now_ms)
            return l->leases.at[i].id;
    return 0;
}
