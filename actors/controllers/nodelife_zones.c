#include "actors/controllers/nodelife_zones.h"
#include "runtime/base/check.h"

void zones_done(zones_t *zones) {
    size_t at = 0;
    const char *key;
    void *zone;
    while (map_next(&zones->zones, &at, &key, &zone)) free(zone);
    map_done(&zones->zones);
}

const char *zone_key(const Core__Node *node, arena_t *arena) {
    const char *region = "", *zone = "";
    const Meta__ObjectMeta *meta = node->metadata;
    for (size_t i = 0; meta && i < meta->n_labels; i++) {
        const char *label = or_empty(meta->labels[i]->key);
        if (streq(label, "topology.kubernetes.io/region"))
            region = or_empty(meta->labels[i]->value);
        if (streq(label, "topology.kubernetes.io/zone")) zone = or_empty(meta->labels[i]->value);
    }
    return arena_printf(arena, "%s/%s", region, zone);
}

static bool is_full(const zone_t *zone) { return zone->nodes > 0 && zone->away == zone->nodes; }

bool zones_all_are_away(const zones_t *zones) {
    return zones->full > 0 && zones->full == map_len(&zones->zones);
}

zone_state_t zone_state(const zone_t *zone, const zone_limits_t *limits) {
    if (is_full(zone)) return ZONE_FULL_DISRUPTION;
    bool is_ordinary = zone->away <= AWAY_IS_ORDINARY_MAX ||
                       zone->away * 100 < zone->nodes * (size_t)limits->unhealthy_percent;
    return is_ordinary ? ZONE_NORMAL : ZONE_PARTIAL_DISRUPTION;
}

void zones_count(zones_t *zones, const char *key, int nodes, int away, int64_t now_ms) {
    bool all_were_away = zones_all_are_away(zones);
    zone_t *zone = map_get(&zones->zones, key);
    if (!zone) {
        zone = NEW(zone_t);
        map_put(&zones->zones, key, zone);
    }
    zone_state_t was = zone_state(zone, &zones->limits);
    zone->nodes += (size_t)nodes;
    zone->away += (size_t)away;
    assert(zone->away <= zone->nodes && zone->nodes <= INT32_MAX);
    zone_state_t is = zone_state(zone, &zones->limits);
    zones->full += is == ZONE_FULL_DISRUPTION;
    zones->full -= was == ZONE_FULL_DISRUPTION;
    zones->turns += is != was;
    if (is < was) zone->eased_ms = now_ms;
    if (zone->nodes == 0) free(map_remove(&zones->zones, key));
    if (all_were_away && !zones_all_are_away(zones)) zones->eased_ms = now_ms;
}

bool zones_hold(const zones_t *zones, const char *key) {
    const zone_t *zone = map_get(&zones->zones, key);
    bool is_small = zone && zone->nodes <= (size_t)zones->limits.large_zone;
    return zones_all_are_away(zones) ||
           (is_small && zone_state(zone, &zones->limits) == ZONE_PARTIAL_DISRUPTION);
}

// As the "generic cell rate algorithm": the time of the next turn says how much is used up.
static int64_t use_turn(zone_t *zone, int64_t rate_milli, int64_t burst, int64_t now_ms) {
    int64_t pause_ms = 1000 * 1000 / rate_milli;
    int64_t wait_ms = zone->next_ms - now_ms - (burst - 1) * pause_ms;
    if (wait_ms > 0) return wait_ms;
    zone->next_ms = (zone->next_ms > now_ms ? zone->next_ms : now_ms) + pause_ms;
    return 0;
}

static int64_t max_of(int64_t a, int64_t b) { return a > b ? a : b; }

repel_t zones_repel(zones_t *zones, const char *key, int64_t away_for_ms, int64_t now_ms,
                    int64_t *ret_wait_ms) {
    zone_t *zone = map_get(&zones->zones, key);
    assert(zone);
    assert(!zones_hold(zones, key));
    const zone_limits_t *limits = &zones->limits;
    int64_t eased_ms = max_of(zones->eased_ms, zone->eased_ms);
    bool was_among_them = eased_ms && now_ms - away_for_ms <= eased_ms;
    int64_t returned_in_ms = was_among_them ? eased_ms + RETURN_MS - now_ms : 0;
    int64_t wait_ms = max_of(LOSS_SHOWS_MS - away_for_ms, returned_in_ms);
    if (wait_ms <= 0) {
        bool is_partial = zone_state(zone, limits) == ZONE_PARTIAL_DISRUPTION;
        wait_ms = is_partial ? use_turn(zone, limits->rate_disrupted_milli, 1, now_ms)
                             : use_turn(zone, limits->rate_milli, limits->burst, now_ms);
    }
    *ret_wait_ms = wait_ms > 0 ? wait_ms : INT64_MAX;
    return wait_ms > 0 ? REPEL_LATER : REPEL_NOW;
}
