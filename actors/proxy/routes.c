#include "actors/proxy/routes.h"

static const char *internal_ip(const Core__Node *node) {
    for (size_t i = 0; node->status && i < node->status->n_addresses; i++)
        if (streq(or_empty(node->status->addresses[i]->type), "InternalIP"))
            return or_empty(node->status->addresses[i]->address);
    return "";
}

static bool same(const route_t *a, const route_t *b) {
    return streq(a->dst, b->dst) && streq(a->via, b->via) && streq(a->device, b->device) &&
           streq(a->src, b->src);
}

static bool contains(const route_t *routes, size_t len, const route_t *one) {
    for (size_t i = 0; i < len; i++)
        if (same(&routes[i], one)) return true;
    return false;
}

static int route_order(const void *a, const void *b) {
    return strcmp(((const route_t *)a)->dst, ((const route_t *)b)->dst);
}

static size_t wanted_routes(const routes_view_t *v, route_t *wanted) {
    size_t len = 0;
    for (size_t i = 0; i < v->nodes_len; i++) {
        const Core__Node *node = v->nodes[i];
        const char *range = node->spec ? or_empty(node->spec->podcidr) : "",
                   *ip = internal_ip(node);
        bool here = node->metadata && streq(or_empty(node->metadata->name), v->node);
        if (!here && range[0] && ip[0] && !streq(ip, v->node_ip))
            wanted[len++] = (route_t){range, ip, "", ""};
    }
    if (v->service_cidr[0] && v->node_ip[0] && v->node_device[0])
        wanted[len++] = (route_t){v->service_cidr, "", v->node_device, v->node_ip};
    qsort(wanted, len, sizeof *wanted, route_order);
    return len;
}

void routes_plan(const routes_view_t *v, arena_t *arena, routes_plan_t *ret_plan) {
    route_t *wanted = ARENA_ARRAY(arena, route_t, v->nodes_len + 1);
    size_t wanted_len = wanted_routes(v, wanted);
    routes_plan_t plan = {.add = ARENA_ARRAY(arena, route_t, wanted_len),
                          .remove = ARENA_ARRAY(arena, route_t, v->present_len)};
    for (size_t i = 0; i < wanted_len; i++)
        if (!contains(v->present, v->present_len, &wanted[i])) plan.add[plan.add_len++] = wanted[i];
    for (size_t i = 0; i < v->present_len; i++)
        if (!contains(wanted, wanted_len, &v->present[i]))
            plan.remove[plan.remove_len++] = v->present[i];
    *ret_plan = plan;
}

static void print_route(const char *verb, const route_t *r, FILE *out) {
    fprintf(out, "%s %s%s%s%s%s%s%s\n", verb, r->dst, r->via[0] ? " via " : "", r->via,
            r->device[0] ? " dev " : "", r->device, r->src[0] ? " src " : "", r->src);
}

void routes_plan_print(const routes_plan_t *plan, FILE *out) {
    for (size_t i = 0; i < plan->remove_len; i++) print_route("remove", &plan->remove[i], out);
    for (size_t i = 0; i < plan->add_len; i++) print_route("add", &plan->add[i], out);
}
