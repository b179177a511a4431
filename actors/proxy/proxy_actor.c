#include "actors/proxy/proxy_actor.h"
#include "actors/proxy/flows.h"
#include "actors/proxy/routes.h"
#include "actors/proxy/saved.h"
#include "actors/proxy/view.h"
#include "runtime/actor/api_client.h"
#include "runtime/actor/informer.h"
#include "runtime/base/log.h"
#include "runtime/io/child.h"
#include "troupe/api.pb-c.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    TAG_SERVICES = 1,
    TAG_SLICES,
    TAG_NODES,
    TAG_CHILD,
    TAG_CHECK,
    TAG_RETRY,
    TAG_FAKE,
    FAKE_MS = 100,                // what iptables takes where there is none
    CHILD_TIMEOUT_MS = 60 * 1000, // 10,000 services take iptables-nft 40 s
    RETRY_FIRST_MS = 200,
    RETRY_MAX_MS = 30 * 1000,
};

typedef enum {
    PHASE_PROBE,
    PHASE_SAVE,
    PHASE_RESTORE,
    PHASE_CHANGE,
    PHASE_CHECK,
    PHASE_IDLE,
    PHASE_FAILED
} phase_t;

// ---- state -------------------------------------------------------------------------------------

typedef struct {
    const proxy_args_t *args;
    const char *node;
    informers_t informers;
    informer_t *services, *slices, *nodes;
    bool rules_dirty, routes_dirty;
    bool untold; // the API server went away: the next one has not heard what is applied
    phase_t phase;
    child_t child;
    const char *backend; // "legacy" or "nft"; NULL: not chosen yet
    int64_t retry_ms;
    arena_t applied_arena, next_arena;       // memory of the two
    chains_t applied, next;                  // what the kernel has; what the running restore brings
    flow_roads_t applied_roads, next_roads;  // of UDP; in the same arenas
    conntrack_t *conntrack;                  // NULL: the kernel has none to speak to
    bool sweeping, sweep_again;              // flows are being listed; and will be once more
    int64_t next_revision, applied_revision; // of the slices
    text_t saved;                            // owned copy of the last iptables-save
    netlink_t *netlink;
    uint64_t restores;
} proxy_t;

// ---- handlers ----------------------------------------------------------------------------------

static void rules_changed(void *arg, const record_t *was, const record_t *is) {
    ((proxy_t *)arg)->rules_dirty = true;
}
static void routes_changed(void *arg, const record_t *was, const record_t *is) {
    ((proxy_t *)arg)->routes_dirty = true;
}

// ---- children: iptables-save and iptables-restore ----------------------------------------------

static void fail(actor_t *me, proxy_t *self, const char *what) {
    // One line says what and why; the next try looks at everything anew.
    log_warn(actor_address(me), "%s: %s; trying again in %lld ms", what,
             self->child.timed_out    ? "timed out"
             : self->child.errors.len ? self->child.errors.at
                                      : "it failed",
             (long long)self->retry_ms);
    actor_count(me, "proxy_sync_failures_total", 1);
    self->phase = PHASE_FAILED;
    actor_timer(me, TAG_RETRY, self->retry_ms);
    self->retry_ms = self->retry_ms * 2 < RETRY_MAX_MS ? self->retry_ms * 2 : RETRY_MAX_MS;
}

// As if a child had done it, on tables in memory: it ends after a while.
static void run_fake(actor_t *me, proxy_t *self, const text_t *input) {
    child_t *c = &self->child;
    why_t why = {0};
    text_reset(&c->output);
    text_reset(&c->errors);
    c->exit_code = 0;
    if (input)
        c->exit_code = tables_fake_restore(self->args->fake, text_str(input), &why) != ERR_OK;
    else
        tables_fake_save(self->args->fake, &c->output);
    text_add(&c->errors, why.text);
    actor_timer(me, TAG_FAKE, FAKE_MS);
}

static void run(actor_t *me, proxy_t *self, phase_t phase, const char *const *argv,
                const text_t *input) {
    why_t why;
    bytes_t in = input ? (bytes_t){(const uint8_t *)text_str(input), input->len} : (bytes_t){0};
    self->phase = phase;
    if (self->args->fake) return run_fake(me, self, input);
    if (child_start(&self->child, me, argv, in, CHILD_TIMEOUT_MS, &why)) {
        text_reset(&self->child.errors);
        text_add(&self->child.errors, why.text);
        fail(me, self, argv[0]);
    }
}

static void run_save(actor_t *me, proxy_t *self, phase_t phase) {
    const char *program = arena_printf(actor_arena(me), "iptables-%s-save", self->backend);
    run(me, self, phase, (const char *const[]){program, NULL}, NULL);
}

static void run_restore(actor_t *me, proxy_t *self, phase_t phase, const text_t *input) {
    const char *program = arena_printf(actor_arena(me), "iptables-%s-restore", self->backend);
    run(me, self, phase, (const char *const[]){program, "--noflush", "--wait", "5", NULL}, input);
    self->restores++;
    actor_count(me, "proxy_restores_total", 1);
}

// Does anybody keep rules there? Empty chains of a built-in table do not count.
static bool has_rules(const text_t *saved) { return strstr(text_str(saved), "\n-A ") != NULL; }

static bool has_legacy_tables(void) {
    char buf[256];
    int fd CLEANUP(close_fdp) = open("/proc/self/net/ip_tables_names", O_RDONLY | O_CLOEXEC);
    return fd >= 0 && read(fd, buf, sizeof buf) > 0;
}

// The backend that already holds rules; on an empty host the faster one (TARGETS: 0.09 s against
// 0.39 s for a thousand services). Listing with iptables-legacy would create its tables: not done.
static void choose_backend(actor_t *me, proxy_t *self) {
    bool nft = has_rules(&self->child.output), legacy = has_legacy_tables();
    bool ours_in_nft = strstr(text_str(&self->child.output), ":KUBE-SERVICES ") != NULL;
    self->backend = nft && (!legacy || ours_in_nft) ? "nft" : "legacy";
    log_info(actor_address(me), "iptables backend: %s (nft has %s, legacy has %s)", self->backend,
             nft ? "rules" : "no rules", legacy ? "tables" : "none");
}

// ---- building ----------------------------------------------------------------------------------

static void build(actor_t *me, proxy_t *self) {
    arena_t *arena = actor_arena(me);
    records_t services = informer_all(self->services), slices = informer_all(self->slices);
    const Core__Service **all_services = ARENA_ARRAY(arena, const Core__Service *, services.len);
    const Discovery__EndpointSlice **all_slices =
        ARENA_ARRAY(arena, const Discovery__EndpointSlice *, slices.len);
    for (size_t i = 0; i < services.len; i++)
        all_services[i] = RECORD_AS(Core__Service, services.at[i]);
    for (size_t i = 0; i < slices.len; i++)
        all_slices[i] = RECORD_AS(Discovery__EndpointSlice, slices.at[i]);
    proxy_objects_t objects = {.node = self->node,
                               .cluster_cidr = self->args->cluster_cidr,
                               .service_cidr = self->args->service_cidr,
                               .services = all_services,
                               .services_len = services.len,
                               .slices = all_slices,
                               .slices_len = slices.len};
    proxy_view_t view;
    size_t left_out;
    proxy_view(&objects, arena, &view);
    arena_clear(&self->next_arena);
    proxy_rules(&view, &self->next_arena, &self->next, &left_out);
    flow_roads(&view, &self->next_arena, &self->next_roads);
    self->next_revision = informer_revision(self->slices);
    self->rules_dirty = false;
    actor_gauge(me, "proxy_chains", (int64_t)self->next.len);
    if (left_out)
        log_warn(actor_address(me),
                 "%zu service ports or endpoints are over the limit and have no rules", left_out);
}

static void restore_all(actor_t *me, proxy_t *self) {
    arena_t *arena = actor_arena(me);
    saved_t saved;
    chains_t stale;
    text_t input = TEXT_HEAP;
    build(me, self);
    saved_read(arena, text_str(&self->saved), &saved);
    saved_stale(&saved, &self->next, arena, &stale);
    chains_print(&self->next, &stale, saved.missing_jumps, &input);
    run_restore(me, self, PHASE_RESTORE, &input);
    text_done(&input);
}

// All of them: a kubelet asks any whether a pod is drained.
static void tell_synced(actor_t *me, const proxy_t *self) {
    Api__EndpointsSynced synced = {PROTOBUF_C_MESSAGE_INIT(&api__endpoints_synced__descriptor)};
    synced.node = self->node;
    synced.revision = self->applied_revision;
    api_tell_all(me, &synced.base);
}

static void on_informer(actor_t *me, const message_t *msg, const void *body) {
    proxy_t *self = actor_state(me);
    informers_handle(&self->informers, me, msg, body);
    if (!streq(msg->type, api__watch_events__descriptor.name)) {
        self->untold = true;
    } else if (self->untold && self->applied.len) {
        self->untold = false;
        tell_synced(me, self);
    }
}

// ---- UDP flows to endpoints that are gone --------------------------------------------------------

static void sweep_flows(actor_t *me, proxy_t *self) {
    why_t why;
    self->sweep_again = self->sweeping;
    if (!self->conntrack || self->sweeping) return;
    if (conntrack_list(self->conntrack, &why))
        log_warn(actor_address(me), "%s: UDP clients of endpoints that are gone have to wait",
                 why.text);
    else
        self->sweeping = true;
}

static bool stale_flow(void *arg, const udp_flow_t *flow) { return flow_is_stale(arg, flow); }

static void on_flows(actor_t *me, proxy_t *self) {
    if (conntrack_read(self->conntrack, stale_flow, &self->applied_roads)) return;
    self->sweeping = false;
    actor_gauge(me, "proxy_udp_flows_deleted", (int64_t)conntrack_deleted(self->conntrack));
    if (self->sweep_again) sweep_flows(me, self);
}

static void restored(actor_t *me, proxy_t *self) {
    arena_t old = self->applied_arena;
    self->applied_arena = self->next_arena;
    bool moved = !flow_roads_equal(&self->applied_roads, &self->next_roads);
    self->applied = self->next;
    self->applied_roads = self->next_roads;
    self->next_arena = old;
    arena_clear(&self->next_arena);
    self->applied_revision = self->next_revision;
    self->phase = PHASE_IDLE;
    self->retry_ms = RETRY_FIRST_MS;
    if (moved) sweep_flows(me, self);
    actor_set_ready(me, true);
    tell_synced(me, self);
    actor_timer(me, TAG_CHECK, self->args->check_interval_ms);
}

static void keep_saved(proxy_t *self) {
    text_reset(&self->saved);
    text_addn(&self->saved, text_str(&self->child.output), self->child.output.len);
}

static void child_ended(actor_t *me, proxy_t *self) {
    bool ok = self->child.exit_code == 0 && !self->child.timed_out && !self->child.output_cut;
    switch (self->phase) {
    case PHASE_PROBE:
        if (!ok)
            log_info(actor_address(me), "iptables-nft-save: %s", text_str(&self->child.errors));
        choose_backend(me, self);
        run_save(me, self, PHASE_SAVE);
        break;
    case PHASE_SAVE:
        if (!ok) return fail(me, self, "iptables-save");
        keep_saved(self);
        self->rules_dirty = true;
        self->applied = (chains_t){0};
        self->phase = PHASE_IDLE; // settle goes on once the informers have seen everything
        break;
    case PHASE_RESTORE:
    case PHASE_CHANGE:
        if (!ok) return fail(me, self, "iptables-restore");
        restored(me, self);
        break;
    case PHASE_CHECK: {
        saved_t saved;
        if (!ok) return fail(me, self, "iptables-save");
        saved_read(actor_arena(me), text_str(&self->child.output), &saved);
        self->phase = PHASE_IDLE;
        actor_timer(me, TAG_CHECK, self->args->check_interval_ms);
        if (saved_is_intact(&saved, &self->applied)) break;
        log_warn(actor_address(me), "rules were removed behind our back: writing them anew");
        keep_saved(self);
        self->applied = (chains_t){0};
        self->rules_dirty = true;
        break;
    }
    case PHASE_IDLE:
    case PHASE_FAILED: assert(false); // no child runs then
    }
}

static void on_fd(actor_t *me, int fd, uint32_t events) {
    proxy_t *self = actor_state(me);
    if (self->conntrack && fd == conntrack_fd(self->conntrack))
        on_flows(me, self);
    else if (child_ready(&self->child, me, fd) == CHILD_DONE)
        child_ended(me, self);
}

static void on_timer(actor_t *me, uint64_t tag) {
    proxy_t *self = actor_state(me);
    if (informers_timer(&self->informers, me, tag)) return;
    if (child_timer(&self->child, me, tag) != CHILD_NOT_MINE) return;
    if (tag == TAG_FAKE) return child_ended(me, self);
    if (tag == TAG_RETRY && self->phase == PHASE_FAILED) run_save(me, self, PHASE_SAVE);
    if (tag == TAG_CHECK && self->phase == PHASE_IDLE) run_save(me, self, PHASE_CHECK);
    if (tag == TAG_RETRY) self->routes_dirty = true;
}

// ---- settle ------------------------------------------------------------------------------------

static const char *own_ip(const proxy_t *self) {
    if (!is_empty(self->args->node_ip)) return self->args->node_ip;
    const record_t *record = informer_get(self->nodes, "", self->node);
    const Core__Node *node = record ? RECORD_AS(Core__Node, record) : NULL;
    for (size_t i = 0; node && node->status && i < node->status->n_addresses; i++)
        if (streq(or_empty(node->status->addresses[i]->type), "InternalIP"))
            return or_empty(node->status->addresses[i]->address);
    return "";
}

static void settle_routes(actor_t *me, proxy_t *self) {
    arena_t *arena = actor_arena(me);
    self->routes_dirty = false;
    why_t why;
    route_t *present;
    size_t present_len;
    if (netlink_routes(self->netlink, arena, &present, &present_len, &why)) {
        log_warn(actor_address(me), "%s", why.text);
        return;
    }
    records_t records = informer_all(self->nodes);
    const Core__Node **nodes = ARENA_ARRAY(arena, const Core__Node *, records.len);
    for (size_t i = 0; i < records.len; i++) nodes[i] = RECORD_AS(Core__Node, records.at[i]);
    routes_view_t view = {.node = self->node,
                          .node_ip = own_ip(self),
                          .node_device = netlink_device_of(arena, own_ip(self)),
                          .service_cidr = self->args->service_cidr,
                          .nodes = nodes,
                          .nodes_len = records.len,
                          .present = present,
                          .present_len = present_len};
    routes_plan_t plan;
    routes_plan(&view, arena, &plan);
    size_t failed = 0;
    for (size_t i = 0; i < plan.remove_len; i++)
        failed += netlink_delete_route(self->netlink, &plan.remove[i], &why) != ERR_OK;
    for (size_t i = 0; i < plan.add_len; i++) {
        if (!netlink_add_route(self->netlink, &plan.add[i], &why)) continue;
        log_warn(actor_address(me), "%s", why.text);
        failed++;
    }
    if (failed) actor_timer(me, TAG_RETRY, RETRY_MAX_MS);
}

static void settle(actor_t *me) {
    proxy_t *self = actor_state(me);
    if (self->routes_dirty && !self->args->no_routes && !self->args->fake &&
        informer_is_synced(self->nodes))
        settle_routes(me, self);
    bool synced = informer_is_synced(self->services) && informer_is_synced(self->slices);
    if (!synced || !self->rules_dirty || self->phase != PHASE_IDLE) return;
    if (self->applied.len == 0) {
        restore_all(me, self);
        return;
    }
    text_t input = TEXT_HEAP;
    build(me, self);
    if (chains_print_change(&self->applied, &self->next, &input)) {
        run_restore(me, self, PHASE_CHANGE, &input);
    } else { // what changed does not show in the rules
        self->applied_revision = self->next_revision;
        tell_synced(me, self);
    }
    text_done(&input);
}

// ---- life --------------------------------------------------------------------------------------

// What the rules rest on: forwarding, bridged packets that pass through iptables, node ports on
// 127.0.0.1. A kernel without bridges has no such switch.
static void set_kernel_switches(actor_t *me) {
    static const char *const files[] = {"/proc/sys/net/ipv4/ip_forward",
                                        "/proc/sys/net/ipv4/conf/all/route_localnet",
                                        "/proc/sys/net/bridge/bridge-nf-call-iptables"};
    for (size_t i = 0; i < LENGTH_OF(files); i++) {
        int fd CLEANUP(close_fdp) = open(files[i], O_WRONLY | O_CLOEXEC);
        if (fd < 0 || write(fd, "1", 1) != 1)
            log_warn(actor_address(me), "cannot set %s to 1: %s", files[i], strerror(errno));
    }
}

static informer_t *follow(proxy_t *self, const char *group, const char *name, uint64_t tag,
                          informer_changed_fn changed) {
    informer_spec_t spec = {.kind = kind_find(group, "v1", name), .tag = tag, .shared = true};
    informer_t *informer = informers_add(&self->informers, &spec);
    informer_subscribe(informer, changed, self);
    return informer;
}

static err_t open_kernel(actor_t *me, proxy_t *self, why_t *why) {
    err_t err = netlink_new(&self->netlink, why);
    if (err) return err;
    if (conntrack_new(&self->conntrack, why))
        log_warn(actor_address(me), "%s: UDP flows are left alone", why->text);
    else
        actor_watch_fd(me, conntrack_fd(self->conntrack), EPOLLIN);
    set_kernel_switches(me);
    return ERR_OK;
}

static err_t start(actor_t *me, const void *args, why_t *why) {
    proxy_t *self = actor_state(me);
    self->args = args;
    self->node = is_empty(self->args->node) ? actor_name(me) : self->args->node;
    self->retry_ms = RETRY_FIRST_MS;
    child_init(&self->child, TAG_CHILD);
    self->services = follow(self, "", "Service", TAG_SERVICES, rules_changed);
    self->slices = follow(self, "discovery.k8s.io", "EndpointSlice", TAG_SLICES, rules_changed);
    self->nodes = follow(self, "", "Node", TAG_NODES, routes_changed);
    err_t err = self->args->fake ? ERR_OK : open_kernel(me, self, why);
    if (err) return err;
    informers_start(&self->informers, me);
    const char *wish = self->args->backend;
    if (streq(wish, "legacy") || streq(wish, "nft")) {
        self->backend = wish;
        run_save(me, self, PHASE_SAVE);
    } else if (streq(wish, "auto")) {
        run(me, self, PHASE_PROBE, (const char *const[]){"iptables-nft-save", NULL}, NULL);
    } else
        return why_set(why, ERR_USAGE, "proxy: backend \"%s\": want auto, legacy or nft", wish);
    return ERR_OK;
}

static void stop(actor_t *me) {
    proxy_t *self = actor_state(me);
    child_done(&self->child, me);
    informers_done(&self->informers);
    netlink_destroy(&self->netlink);
    if (self->conntrack) actor_unwatch_fd(me, conntrack_fd(self->conntrack));
    conntrack_destroy(&self->conntrack);
    text_done(&self->saved);
    arena_done(&self->applied_arena);
    arena_done(&self->next_arena);
}

const config_field_t proxy_config[] = {
    {"node", CONFIG_STRING, offsetof(proxy_args_t, node), 0, 0, "name of the node"},
    {"nodeIP", CONFIG_STRING, offsetof(proxy_args_t, node_ip), 0, 0,
     "the node's address (default: from its Node object)"},
    {"clusterCIDR", CONFIG_STRING, offsetof(proxy_args_t, cluster_cidr), 0, 0,
     "the range of all pods"},
    {"serviceCIDR", CONFIG_STRING, offsetof(proxy_args_t, service_cidr), 0, 0,
     "the range of service addresses"},
    {"backend", CONFIG_STRING, offsetof(proxy_args_t, backend), 0, 0,
     "auto, legacy or nft: which iptables"},
    {"checkInterval", CONFIG_DURATION_MS, offsetof(proxy_args_t, check_interval_ms), 1000,
     24 * 3600 * 1000, "how often the rules are looked at"},
    {"noRoutes", CONFIG_BOOL, offsetof(proxy_args_t, no_routes), 0, 0,
     "do not make routes to other nodes' pods"},
    {NULL},
};

static const handler_t handlers[] = {
    {&api__watch_events__descriptor, on_informer, NULL, false},
    {&actor__stream_end__descriptor, on_informer, NULL, false},
    {&actor__failure__descriptor, on_informer, NULL, false},
    {NULL},
};

const actor_def_t proxy_actor = {
    .role = "proxy",
    .state_size = sizeof(proxy_t),
    .start = start,
    .handlers = handlers,
    .settle = settle,
    .on_timer = on_timer,
    .on_fd = on_fd,
    .stop = stop,
    .starts_unready = true,
};
