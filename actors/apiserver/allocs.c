#include "actors/apiserver/allocs.h"
#include "actors/apiserver/keys.h"
#include <arpa/inet.h>

// ---- what is held -------------------------------------------------------------------------------
void allocs_set(allocs_t *a, bytes_t key, bytes_t owner) {
    char *name = str_dup_n((const char *)key.at, key.len);
    free(map_put(&a->owners, name, str_dup_n((const char *)owner.at, owner.len)));
    free(name);
}

void allocs_remove(allocs_t *a, bytes_t key) {
    char *name = str_dup_n((const char *)key.at, key.len);
    free(map_remove(&a->owners, name));
    free(name);
}

void allocs_reset(allocs_t *a) {
    size_t at = 0;
    const char *key;
    void *owner;
    while (map_next(&a->owners, &at, &key, &owner)) free(owner);
    map_done(&a->owners);
    a->owners = (map_t){0};
}

void allocs_done(allocs_t *a) { allocs_reset(a); }

const char *allocs_owner(const allocs_t *a, const char *key) { return map_get(&a->owners, key); }

// ---- ranges -------------------------------------------------------------------------------------
err_t alloc_ranges_parse(const char *cidr, const char *ports, alloc_ranges_t *ret_ranges,
                         why_t *why) {
    char net[INET_ADDRSTRLEN];
    const char *slash = strchr(cidr, '/');
    char *end;
    struct in_addr address;
    if (!slash || (size_t)(slash - cidr) >= sizeof net)
        return why_set(why, ERR_MALFORMED, "service range \"%s\": want ADDRESS/LENGTH", cidr);
    snprintf(net, sizeof net, "%.*s", (int)(slash - cidr), cidr);
    long len = strtol(slash + 1, &end, 10);
    if (inet_pton(AF_INET, net, &address) != 1 || *end || end == slash + 1 || len < 8 || len > 29)
        return why_set(why, ERR_MALFORMED, "service range \"%s\": want an IPv4 range of /8 to /29",
                       cidr);
    long first = strtol(ports, &end, 10), last = 0;
    if (end != ports && *end == '-') last = strtol(end + 1, &end, 10);
    if (*end || first < 1 || last < first || last > 65535)
        return why_set(why, ERR_MALFORMED, "node port range \"%s\": want FIRST-LAST", ports);
    uint32_t mask = 0xffffffffu << (32 - len);
    *ret_ranges =
        (alloc_ranges_t){ntohl(address.s_addr) & mask, (int)len, (int32_t)first, (int32_t)last};
    return ERR_OK;
}

static const char *ip_print(arena_t *arena, uint32_t ip) {
    return arena_printf(arena, "%u.%u.%u.%u", ip >> 24, (ip >> 16) & 255, (ip >> 8) & 255,
                        ip & 255);
}

static uint32_t ip_count(const alloc_ranges_t *ranges) {
    return 1u << (32 - ranges->service_prefix_len);
}

const char *alloc_first_ip(arena_t *arena, const alloc_ranges_t *ranges) {
    return ip_print(arena, ranges->service_net + 1);
}

// The static band: a 16th of the addresses (a 32nd of the ports), at least 16, at most 256 (128).
static uint32_t band(uint32_t size, uint32_t divisor, uint32_t max) {
    uint32_t share = size / divisor;
    share = share < 16 ? 16 : share > max ? max : share;
    return share < size ? share : 0;
}

// ---- plans --------------------------------------------------------------------------------------
static bool plan_has(const char *const *keys, size_t len, const char *key) {
    for (size_t i = 0; i < len; i++)
        if (streq(keys[i], key)) return true;
    return false;
}

static void plan_add(const char **keys, size_t *len, const char *key) {
    if (plan_has(keys, *len, key)) return;
    assert(*len < ALLOC_KEYS_MAX); // SERVICE_PORTS_MAX sees to it
    keys[(*len)++] = key;
}

static bool has_cluster_ip(const Core__Service *svc) {
    const char *ip = svc->spec ? or_empty(svc->spec->clusterip) : "";
    return *ip && !streq(ip, "None");
}

static bool is_type(const Core__Service *svc, const char *type) {
    return svc->spec && streq(or_empty(svc->spec->type), type);
}

static bool wants_node_ports(const Core__Service *svc) {
    if (is_type(svc, "NodePort")) return true;
    const Core__ServiceSpec *spec = svc->spec;
    bool refused =
        spec && spec->has_allocateloadbalancernodeports && !spec->allocateloadbalancernodeports;
    return is_type(svc, "LoadBalancer") && !refused;
}

static bool may_have_node_ports(const Core__Service *svc) {
    return is_type(svc, "NodePort") || is_type(svc, "LoadBalancer");
}

// Keys that the service holds as it stands.
static void held_by(arena_t *arena, const Core__Service *svc, const char **keys, size_t *len) {
    if (!svc || !svc->spec) return;
    const Core__ServiceSpec *spec = svc->spec;
    if (has_cluster_ip(svc)) plan_add(keys, len, keys_ip(arena, spec->clusterip));
    for (size_t i = 0; i < spec->n_ports && *len < ALLOC_KEYS_MAX - 1; i++)
        if (spec->ports[i]->nodeport)
            plan_add(keys, len, keys_port(arena, spec->ports[i]->nodeport));
    if (spec->healthchecknodeport) plan_add(keys, len, keys_port(arena, spec->healthchecknodeport));
}

void service_release(arena_t *arena, const Core__Service *svc, alloc_plan_t *ret_plan) {
    *ret_plan = (alloc_plan_t){0};
    held_by(arena, svc, ret_plan->give, &ret_plan->give_len);
}

// ---- allocating ---------------------------------------------------------------------------------
typedef struct {
    arena_t *arena;
    const alloc_ranges_t *ranges;
    const allocs_t *held;
    rng_t *rng;
    const char *owner;
    const char *own[ALLOC_KEYS_MAX]; // what the old state holds
    size_t own_len;
    const char *want[ALLOC_KEYS_MAX]; // what the new state holds
    size_t want_len;
    field_errors_t *errors;
} allocator_t;

static bool is_free(const allocator_t *a, const char *key) {
    if (plan_has(a->own, a->own_len, key) || plan_has(a->want, a->want_len, key)) return true;
    const char *owner = allocs_owner(a->held, key);
    return !owner || streq(owner, a->owner);
}

static void check_named_ip(allocator_t *a, const char *ip) {
    struct in_addr address;
    uint32_t size = ip_count(a->ranges);
    const char *key = keys_ip(a->arena, ip);
    const char *printed = arena_printf(a->arena, "[]string{\"%s\"}", ip);
    // Neither the network's own address nor its broadcast is given out.
    bool inside = inet_pton(AF_INET, ip, &address) == 1 &&
                  ntohl(address.s_addr) > a->ranges->service_net &&
                  ntohl(address.s_addr) - a->ranges->service_net < size - 1;
    if (!inside)
        field_invalid_raw(a->errors, "spec.clusterIPs", printed,
                          arena_printf(a->arena,
                                       "failed to allocate IP %s: the provided network does "
                                       "not match the current range",
                                       ip));
    else if (!is_free(a, key))
        field_invalid_raw(a->errors, "spec.clusterIPs", printed,
                          arena_printf(a->arena,
                                       "failed to allocate IP %s: provided IP is already "
                                       "allocated",
                                       ip));
    else
        plan_add(a->want, &a->want_len, key);
}

// The first free one of [low, low + size) from a random start, going round.
static err_t draw_ip(allocator_t *a, const char **ret_ip) {
    uint32_t size = ip_count(a->ranges), low = band(size, 16, 256);
    if (low == 0) low = 1;
    for (int pass = 0; pass < 2; pass++) {
        uint32_t from = pass ? 1 : low, count = pass ? low - 1 : size - 1 - low;
        uint32_t start = count ? (uint32_t)rng_below(a->rng, count) : 0;
        for (uint32_t i = 0; i < count; i++) {
            const char *ip =
                ip_print(a->arena, a->ranges->service_net + from + (start + i) % count);
            const char *key = keys_ip(a->arena, ip);
            if (!is_free(a, key)) continue;
            plan_add(a->want, &a->want_len, key);
            *ret_ip = ip;
            return ERR_OK;
        }
    }
    return ERR_EXHAUSTED;
}

static err_t draw_port(allocator_t *a, int32_t *ret_port) {
    uint32_t size = (uint32_t)(a->ranges->port_last - a->ranges->port_first + 1),
             low = band(size, 32, 128);
    for (int pass = 0; pass < 2; pass++) {
        uint32_t from = pass ? 0 : low, count = pass ? low : size - low;
        uint32_t start = count ? (uint32_t)rng_below(a->rng, count) : 0;
        for (uint32_t i = 0; i < count; i++) {
            int32_t port = a->ranges->port_first + (int32_t)(from + (start + i) % count);
            const char *key = keys_port(a->arena, port);
            if (plan_has(a->want, a->want_len, key) || !is_free(a, key)) continue;
            plan_add(a->want, &a->want_len, key);
            *ret_port = port;
            return ERR_OK;
        }
    }
    return ERR_EXHAUSTED;
}

static void check_named_port(allocator_t *a, const char *path, int32_t port) {
    const char *key = keys_port(a->arena, port);
    if (plan_has(a->own, a->own_len, key) || plan_has(a->want, a->want_len, key)) {
        plan_add(a->want, &a->want_len, key); // one number may serve two protocols
    } else if (port < a->ranges->port_first || port > a->ranges->port_last) {
        field_invalid_int(a->errors, path, port,
                          arena_printf(a->arena,
                                       "provided port is not in the valid range. The range "
                                       "of valid ports is %d-%d",
                                       a->ranges->port_first, a->ranges->port_last));
    } else if (!is_free(a, key)) {
        field_invalid_int(a->errors, path, port, "provided port is already allocated");
    } else {
        plan_add(a->want, &a->want_len, key);
    }
}

static err_t allocate_ip(allocator_t *a, Core__Service *svc, why_t *why) {
    Core__ServiceSpec *spec = svc->spec;
    if (is_type(svc, "ExternalName")) return ERR_OK;
    if (is_empty(spec->clusterip) && spec->n_clusterips > 0) spec->clusterip = spec->clusterips[0];
    if (is_empty(spec->clusterip)) {
        if (draw_ip(a, &spec->clusterip))
            return why_set(why, ERR_EXHAUSTED, "failed to allocate a serviceIP: range is full");
    } else if (has_cluster_ip(svc)) {
        if (plan_has(a->own, a->own_len, keys_ip(a->arena, spec->clusterip)))
            plan_add(a->want, &a->want_len, keys_ip(a->arena, spec->clusterip));
        else
            check_named_ip(a, spec->clusterip);
    }
    if (spec->n_clusterips == 0) {
        spec->clusterips = ARENA_ARRAY(a->arena, const char *, 1);
        spec->clusterips[0] = spec->clusterip;
        spec->n_clusterips = 1;
    }
    return ERR_OK;
}

// Named ports first: a drawn one must not take what the manifest names further down.
static err_t allocate_ports(allocator_t *a, Core__Service *svc, why_t *why) {
    Core__ServiceSpec *spec = svc->spec;
    if (!may_have_node_ports(svc)) return ERR_OK;
    for (size_t i = 0; i < spec->n_ports; i++)
        if (spec->ports[i]->nodeport)
            check_named_port(a, field_path(a->errors, "spec.ports[%zu].nodePort", i),
                             spec->ports[i]->nodeport);
    if (spec->healthchecknodeport)
        check_named_port(a, "spec.healthCheckNodePort", spec->healthchecknodeport);
    for (size_t i = 0; wants_node_ports(svc) && i < spec->n_ports; i++) {
        Core__ServicePort *port = spec->ports[i];
        if (port->nodeport) continue;
        if (draw_port(a, &port->nodeport))
            return why_set(why, ERR_EXHAUSTED, "failed to allocate a nodePort: range is full");
        port->has_nodeport = true;
    }
    bool wants_health =
        is_type(svc, "LoadBalancer") && streq(or_empty(spec->externaltrafficpolicy), "Local");
    if (wants_health && !spec->healthchecknodeport) {
        if (draw_port(a, &spec->healthchecknodeport))
            return why_set(why, ERR_EXHAUSTED, "failed to allocate a nodePort: range is full");
        spec->has_healthchecknodeport = true;
    }
    return ERR_OK;
}

err_t service_allocate(arena_t *arena, const alloc_ranges_t *ranges, const allocs_t *held,
                       rng_t *rng, Core__Service *svc, const Core__Service *old,
                       field_errors_t *errors, alloc_plan_t *ret_plan, why_t *why) {
    *ret_plan = (alloc_plan_t){0};
    if (!svc->spec) return ERR_OK;
    if (svc->spec->n_ports > SERVICE_PORTS_MAX) {
        field_too_many(errors, "spec.ports", (int)svc->spec->n_ports, SERVICE_PORTS_MAX);
        return ERR_OK;
    }
    allocator_t *a = ARENA_NEW(arena, allocator_t);
    *a =
        (allocator_t){.arena = arena, .ranges = ranges, .held = held, .rng = rng, .errors = errors};
    a->owner = arena_printf(arena, "%s/%s", or_empty(svc->metadata->namespace_),
                            or_empty(svc->metadata->name));
    held_by(arena, old, a->own, &a->own_len);
    err_t err = allocate_ip(a, svc, why);
    if (!err) err = allocate_ports(a, svc, why);
    if (err) return err;
    for (size_t i = 0; i < a->want_len; i++)
        if (!plan_has(a->own, a->own_len, a->want[i]))
            plan_add(ret_plan->take, &ret_plan->take_len, a->want[i]);
    for (size_t i = 0; i < a->own_len; i++)
        if (!plan_has(a->want, a->want_len, a->own[i]))
            plan_add(ret_plan->give, &ret_plan->give_len, a->own[i]);
    return ERR_OK;
}
