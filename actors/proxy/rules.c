#include "actors/proxy/rules.h"
#include "runtime/base/map.h"
#include "runtime/base/vec.h"
#include <gnutls/crypto.h>

enum { HASH_CHARS = 16, SHA256_BYTES = 32 };
#define MARK "0x4000/0x4000"

const char *const table_names[TABLE_COUNT] = {"nat", "filter"};

#define NEW_ONLY "-m conntrack --ctstate NEW "
#define PORTALS  "-m comment --comment \"kubernetes service portals\""
#define EXTERNAL "-m comment --comment \"kubernetes externally-visible service portals\""
const jump_t proxy_jumps[] = {
    {TABLE_NAT, "PREROUTING", PORTALS, "KUBE-SERVICES"},
    {TABLE_NAT, "OUTPUT", PORTALS, "KUBE-SERVICES"},
    {TABLE_NAT, "POSTROUTING", "-m comment --comment \"kubernetes postrouting rules\"",
     "KUBE-POSTROUTING"},
    {TABLE_FILTER, "INPUT", NEW_ONLY EXTERNAL, "KUBE-EXTERNAL-SERVICES"},
    {TABLE_FILTER, "INPUT", "", "KUBE-FIREWALL"},
    {TABLE_FILTER, "OUTPUT", NEW_ONLY PORTALS, "KUBE-SERVICES"},
    {TABLE_FILTER, "OUTPUT", "", "KUBE-FIREWALL"},
    {TABLE_FILTER, "FORWARD", "-m comment --comment \"kubernetes forwarding rules\"",
     "KUBE-FORWARD"},
    {TABLE_FILTER, "FORWARD", NEW_ONLY PORTALS, "KUBE-SERVICES"},
    {TABLE_FILTER, "FORWARD", NEW_ONLY EXTERNAL, "KUBE-EXTERNAL-SERVICES"},
};
static_assert(LENGTH_OF(proxy_jumps) <= 32, "one bit each in missing_jumps");
const size_t proxy_jumps_len = LENGTH_OF(proxy_jumps);

// RFC 4648 base32 of the first ten bytes: 16 characters of 5 bits each.
const char *chain_name(arena_t *arena, const char *prefix, const char *text) {
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    uint8_t digest[SHA256_BYTES];
    int code = gnutls_hash_fast(GNUTLS_DIG_SHA256, text, strlen(text), digest);
    assert(code == 0);
    char encoded[HASH_CHARS + 1] = {0};
    for (size_t i = 0; i < HASH_CHARS; i++) {
        size_t bit = i * 5, byte = bit / 8, shift = bit % 8;
        unsigned window = (unsigned)(digest[byte] << 8) | digest[byte + 1];
        encoded[i] = alphabet[(window >> (11 - shift)) & 31];
    }
    return arena_printf(arena, "%s%s", prefix, encoded);
}

// ---- building ----------------------------------------------------------------------------------

typedef struct {
    const proxy_view_t *view;
    arena_t *arena;
    VEC(chain_t) chains;
    text_t services, nodeports;              // nat
    text_t reject_services, reject_external; // filter
    size_t endpoints_used, left_out;
} build_t;

static void add_chain(build_t *b, table_t table, const char *name, const text_t *rules) {
    vec_push(&b->chains, ((chain_t){table, name, text_str(rules)}));
}

// Where endpoints wait for traffic: one chain each.
static void add_endpoint_chain(build_t *b, const proxy_port_t *p, const char *label,
                               const char *sep, const proxy_endpoint_t *e) {
    text_t rules = {.arena = b->arena};
    // A pod that reaches itself through its service must not see its own address as the source.
    text_addf(&rules, "-A %s -s %s/32 -m comment --comment \"%s\" -j KUBE-MARK-MASQ\n", sep, e->ip,
              label);
    text_addf(&rules, "-A %s -p %s -m comment --comment \"%s\"", sep, p->protocol, label);
    if (p->affinity == AFFINITY_CLIENT_IP)
        text_addf(&rules, " -m recent --name %s --set --mask 255.255.255.255 --rsource", sep);
    text_addf(&rules, " -m %s -j DNAT --to-destination %s:%u\n", p->protocol, e->ip, e->port);
    add_chain(b, TABLE_NAT, sep, &rules);
}

// The choice among endpoints: the i-th of n is taken with probability 1/(n-i), so each gets 1/n.
static void add_choice(const build_t *b, const proxy_port_t *p, const char *label,
                       const char *chain, const char *const *seps,
                       const proxy_endpoint_t *const *chosen, size_t len, text_t *rules) {
    for (size_t i = 0; p->affinity == AFFINITY_CLIENT_IP && i < len; i++)
        text_addf(rules,
                  "-A %s -m comment --comment \"%s -> %s:%u\" -m recent --name %s --rcheck "
                  "--seconds %d --reap --mask 255.255.255.255 --rsource -j %s\n",
                  chain, label, chosen[i]->ip, chosen[i]->port, seps[i], p->affinity_seconds,
                  seps[i]);
    for (size_t i = 0; i < len; i++) {
        text_addf(rules, "-A %s -m comment --comment \"%s -> %s:%u\"", chain, label, chosen[i]->ip,
                  chosen[i]->port);
        if (i + 1 < len)
            text_addf(rules, " -m statistic --mode random --probability %.10f",
                      1.0 / (double)(len - i));
        text_addf(rules, " -j %s\n", seps[i]);
    }
}

typedef struct {
    const char *label, *hash_text, *svc, *svl, *ext;
    const char **seps;
    size_t local_len;
} names_t;

static names_t name_port(build_t *b, const proxy_port_t *p) {
    names_t n = {0};
    n.label = arena_printf(b->arena, p->port_name[0] ? "%s/%s:%s" : "%s/%s", p->ns, p->service,
                           p->port_name);
    n.hash_text = arena_printf(b->arena, "%s%s", n.label, p->protocol);
    n.svc = chain_name(b->arena, "KUBE-SVC-", n.hash_text);
    n.svl = chain_name(b->arena, "KUBE-SVL-", n.hash_text);
    n.ext = chain_name(b->arena, "KUBE-EXT-", n.hash_text);
    n.seps = ARENA_ARRAY(b->arena, const char *, p->endpoints_len);
    for (size_t i = 0; i < p->endpoints_len; i++) {
        n.seps[i] = chain_name(b->arena, "KUBE-SEP-",
                               arena_printf(b->arena, "%s%s:%u", n.hash_text, p->endpoints[i].ip,
                                            p->endpoints[i].port));
        n.local_len += p->endpoints[i].is_local;
    }
    return n;
}

static void add_policy_chain(build_t *b, const proxy_port_t *p, const names_t *n, const char *chain,
                             bool local_only) {
    const proxy_endpoint_t **chosen =
        ARENA_ARRAY(b->arena, const proxy_endpoint_t *, p->endpoints_len);
    const char **seps = ARENA_ARRAY(b->arena, const char *, p->endpoints_len);
    size_t len = 0;
    for (size_t i = 0; i < p->endpoints_len; i++)
        if (!local_only || p->endpoints[i].is_local) {
            chosen[len] = &p->endpoints[i];
            seps[len++] = n->seps[i];
        }
    text_t rules = {.arena = b->arena};
    // Who comes from outside the pod network must get the answer back through this node.
    if (b->view->cluster_cidr[0])
        text_addf(&rules,
                  "-A %s ! -s %s -d %s/32 -p %s -m comment --comment \"%s cluster IP\" -m %s "
                  "--dport %u -j KUBE-MARK-MASQ\n",
                  chain, b->view->cluster_cidr, p->cluster_ip, p->protocol, n->label, p->protocol,
                  p->port);
    add_choice(b, p, n->label, chain, seps, chosen, len, &rules);
    add_chain(b, TABLE_NAT, chain, &rules);
}

// From outside: node ports and external addresses. With the Local policy the client's address is
// kept, and only endpoints of this node answer.
static void add_external_chain(build_t *b, const proxy_port_t *p, const names_t *n) {
    text_t rules = {.arena = b->arena};
    if (p->local_external) {
        if (b->view->cluster_cidr[0])
            text_addf(&rules,
                      "-A %s -s %s -m comment --comment \"pod traffic for %s external "
                      "destinations\" -j %s\n",
                      n->ext, b->view->cluster_cidr, n->label, n->svc);
        text_addf(&rules,
                  "-A %s -m comment --comment \"masquerade LOCAL traffic for %s external "
                  "destinations\" -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ\n",
                  n->ext, n->label);
        text_addf(&rules,
                  "-A %s -m comment --comment \"route LOCAL traffic for %s external destinations\" "
                  "-m addrtype --src-type LOCAL -j %s\n",
                  n->ext, n->label, n->svc);
        if (n->local_len) text_addf(&rules, "-A %s -j %s\n", n->ext, n->svl);
    } else {
        text_addf(&rules,
                  "-A %s -m comment --comment \"masquerade traffic for %s external destinations\" "
                  "-j KUBE-MARK-MASQ\n",
                  n->ext, n->label);
        text_addf(&rules, "-A %s -j %s\n", n->ext, n->svc);
    }
    add_chain(b, TABLE_NAT, n->ext, &rules);
}

static bool is_external(const proxy_port_t *p) { return p->node_port || p->external_ips_len; }

static void add_rejects(build_t *b, const proxy_port_t *p, const names_t *n, bool internal,
                        bool external) {
    const char *why = p->endpoints_len ? "has no local endpoints" : "has no endpoints";
    const char *target = p->endpoints_len ? "DROP" : "REJECT";
    if (internal)
        text_addf(&b->reject_services,
                  "-A KUBE-SERVICES -d %s/32 -p %s -m comment --comment \"%s %s\" -m %s --dport %u "
                  "-j %s\n",
                  p->cluster_ip, p->protocol, n->label, why, p->protocol, p->port, target);
    if (!external) return;
    for (size_t i = 0; i < p->external_ips_len; i++)
        text_addf(&b->reject_external,
                  "-A KUBE-EXTERNAL-SERVICES -d %s/32 -p %s -m comment --comment \"%s %s\" -m %s "
                  "--dport %u -j %s\n",
                  p->external_ips[i], p->protocol, n->label, why, p->protocol, p->port, target);
    if (p->node_port)
        text_addf(&b->reject_external,
                  "-A KUBE-EXTERNAL-SERVICES -p %s -m comment --comment \"%s %s\" -m addrtype "
                  "--dst-type LOCAL -m %s --dport %u -j %s\n",
                  p->protocol, n->label, why, p->protocol, p->node_port, target);
}

static void add_entrances(build_t *b, const proxy_port_t *p, const names_t *n,
                          const char *internal_chain, bool external) {
    if (internal_chain)
        text_addf(&b->services,
                  "-A KUBE-SERVICES -d %s/32 -p %s -m comment --comment \"%s cluster IP\" -m %s "
                  "--dport %u -j %s\n",
                  p->cluster_ip, p->protocol, n->label, p->protocol, p->port, internal_chain);
    for (size_t i = 0; external && i < p->external_ips_len; i++)
        text_addf(&b->services,
                  "-A KUBE-SERVICES -d %s/32 -p %s -m comment --comment \"%s external IP\" -m %s "
                  "--dport %u -j %s\n",
                  p->external_ips[i], p->protocol, n->label, p->protocol, p->port, n->ext);
    if (external && p->node_port)
        text_addf(&b->nodeports,
                  "-A KUBE-NODEPORTS -p %s -m comment --comment \"%s\" -m %s --dport %u -j %s\n",
                  p->protocol, n->label, p->protocol, p->node_port, n->ext);
}

static void add_port(build_t *b, const proxy_port_t *given) {
    proxy_port_t p = *given;
    if (b->endpoints_used + p.endpoints_len > PROXY_ENDPOINTS_MAX) {
        b->left_out += p.endpoints_len;
        p.endpoints_len = 0;
    }
    b->endpoints_used += p.endpoints_len;
    names_t n = name_port(b, &p);
    bool external = is_external(&p);
    bool internal_serves = p.local_internal ? n.local_len > 0 : p.endpoints_len > 0;
    bool external_serves = p.local_external ? n.local_len > 0 : p.endpoints_len > 0;
    // With the Local policy, clients on this node and pods still reach every endpoint.
    bool needs_svc = p.endpoints_len && (!p.local_internal || external);
    bool needs_svl = n.local_len && (p.local_internal || (external && p.local_external));
    for (size_t i = 0; i < p.endpoints_len; i++)
        if (needs_svc || p.endpoints[i].is_local)
            add_endpoint_chain(b, &p, n.label, n.seps[i], &p.endpoints[i]);
    if (needs_svc) add_policy_chain(b, &p, &n, n.svc, false);
    if (needs_svl) add_policy_chain(b, &p, &n, n.svl, true);
    if (external && p.endpoints_len) add_external_chain(b, &p, &n);
    add_entrances(b, &p, &n,
                  !internal_serves   ? NULL
                  : p.local_internal ? n.svl
                                     : n.svc,
                  external && p.endpoints_len);
    add_rejects(b, &p, &n, !internal_serves, external && !external_serves);
}

static void add_fixed_chains(build_t *b) {
    const proxy_view_t *v = b->view;
    text_t mark = {.arena = b->arena}, post = {.arena = b->arena}, forward = {.arena = b->arena},
           firewall = {.arena = b->arena};
    text_add(&mark, "-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000\n");
    // What pods send out of the pod network leaves under the node's address.
    if (v->cluster_cidr[0])
        text_addf(&post,
                  "-A KUBE-POSTROUTING -s %s ! -d %s -m comment --comment \"pods reach the outside "
                  "as their node\" -j MASQUERADE --random-fully\n",
                  v->cluster_cidr, v->cluster_cidr);
    text_add(&post, "-A KUBE-POSTROUTING -m mark ! --mark " MARK " -j RETURN\n"
                    "-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000\n"
                    "-A KUBE-POSTROUTING -m comment --comment \"kubernetes service traffic "
                    "requiring SNAT\" -j MASQUERADE --random-fully\n");
    text_add(
        &forward,
        "-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP\n"
        "-A KUBE-FORWARD -m comment --comment \"kubernetes forwarding rules\" -m mark --mark " MARK
        " -j ACCEPT\n"
        "-A KUBE-FORWARD -m comment --comment \"kubernetes forwarding conntrack rule\" -m "
        "conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n");
    if (v->cluster_cidr[0])
        text_addf(&forward,
                  "-A KUBE-FORWARD -s %s -m comment --comment \"pods may send\" -j ACCEPT\n-A "
                  "KUBE-FORWARD -d %s -m comment --comment \"pods may be reached\" -j ACCEPT\n",
                  v->cluster_cidr, v->cluster_cidr);
    // route_localnet lets 127.0.0.1:NODEPORT work; nothing else may reach 127/8 from outside.
    text_add(
        &firewall,
        "-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment \"block incoming "
        "localnet connections\" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP\n");
    add_chain(b, TABLE_NAT, "KUBE-MARK-MASQ", &mark);
    add_chain(b, TABLE_NAT, "KUBE-POSTROUTING", &post);
    add_chain(b, TABLE_FILTER, "KUBE-FORWARD", &forward);
    add_chain(b, TABLE_FILTER, "KUBE-FIREWALL", &firewall);
}

static int chain_order(const void *va, const void *vb) {
    const chain_t *a = va, *b = vb;
    if (a->table != b->table) return a->table < b->table ? -1 : 1;
    return strcmp(a->name, b->name);
}

void proxy_rules(const proxy_view_t *view, arena_t *arena, chains_t *ret_chains,
                 size_t *ret_left_out) {
    assert(view->ports || view->ports_len == 0);
    build_t b = {.view = view,
                 .arena = arena,
                 .services = {.arena = arena},
                 .nodeports = {.arena = arena},
                 .reject_services = {.arena = arena},
                 .reject_external = {.arena = arena}};
    size_t used = view->ports_len < PROXY_PORTS_MAX ? view->ports_len : PROXY_PORTS_MAX;
    b.left_out = view->ports_len - used;
    add_fixed_chains(&b);
    for (size_t i = 0; i < used; i++) add_port(&b, &view->ports[i]);
    text_add(
        &b.services,
        "-A KUBE-SERVICES -m comment --comment \"kubernetes service nodeports; NOTE: this must be "
        "the last rule in this chain\" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS\n");
    if (view->service_cidr[0])
        text_addf(&b.reject_services,
                  "-A KUBE-SERVICES -d %s -m comment --comment \"no service has this address and "
                  "port\" -j REJECT\n",
                  view->service_cidr);
    add_chain(&b, TABLE_NAT, "KUBE-SERVICES", &b.services);
    add_chain(&b, TABLE_NAT, "KUBE-NODEPORTS", &b.nodeports);
    add_chain(&b, TABLE_FILTER, "KUBE-SERVICES", &b.reject_services);
    add_chain(&b, TABLE_FILTER, "KUBE-EXTERNAL-SERVICES", &b.reject_external);
    qsort(b.chains.at, b.chains.len, sizeof *b.chains.at, chain_order);
    *ret_chains =
        (chains_t){arena_dup(arena, b.chains.at, b.chains.len * sizeof *b.chains.at), b.chains.len};
    vec_done(&b.chains);
    if (ret_left_out) *ret_left_out = b.left_out;
}

// ---- printing ----------------------------------------------------------------------------------

typedef VEC(const chain_t *) chain_refs_t;
typedef struct {
    chain_refs_t written, gone;
    uint32_t jumps; // bits of proxy_jumps
} table_change_t;

// Chains are declared before rules refer to them; a declared chain is emptied, which with --noflush
// is what replaces its rules. The whole input is one transaction per table.
static void print_table(table_t table, const table_change_t *change, text_t *out) {
    text_addf(out, "*%s\n", table_names[table]);
    for (size_t i = 0; i < change->written.len; i++)
        text_addf(out, ":%s - [0:0]\n", change->written.at[i]->name);
    for (size_t i = 0; i < change->gone.len; i++)
        text_addf(out, ":%s - [0:0]\n", change->gone.at[i]->name);
    for (size_t i = 0; i < proxy_jumps_len; i++) {
        const jump_t *jump = &proxy_jumps[i];
        if ((change->jumps & 1u << i) && jump->table == table)
            text_addf(out, "-I %s %s -j %s\n", jump->chain, jump->match, jump->target);
    }
    for (size_t i = 0; i < change->written.len; i++) text_add(out, change->written.at[i]->rules);
    for (size_t i = 0; i < change->gone.len; i++)
        text_addf(out, "-X %s\n", change->gone.at[i]->name);
    text_add(out, "COMMIT\n");
}

// Prints and frees the changes.
static bool print_tables(table_change_t changes[TABLE_COUNT], text_t *out) {
    bool any = false;
    for (table_t t = 0; t < TABLE_COUNT; t++) {
        if (changes[t].written.len || changes[t].gone.len) {
            any = true;
            print_table(t, &changes[t], out);
        }
        vec_done(&changes[t].written);
        vec_done(&changes[t].gone);
    }
    return any;
}

void chains_print(const chains_t *chains, const chains_t *stale, uint32_t missing_jumps,
                  text_t *out) {
    table_change_t changes[TABLE_COUNT] = {{.jumps = missing_jumps}, {.jumps = missing_jumps}};
    for (size_t i = 0; i < chains->len; i++)
        vec_push(&changes[chains->at[i].table].written, &chains->at[i]);
    for (size_t i = 0; stale && i < stale->len; i++)
        vec_push(&changes[stale->at[i].table].gone, &stale->at[i]);
    print_tables(changes, out);
}

bool chains_print_change(const chains_t *was, const chains_t *is, text_t *out) {
    table_change_t changes[TABLE_COUNT] = {0};
    size_t a = 0, b = 0;
    while (a < was->len || b < is->len) { // both sorted: one walk over the two
        int order = a == was->len ? 1 : b == is->len ? -1 : chain_order(&was->at[a], &is->at[b]);
        if (order < 0)
            vec_push(&changes[was->at[a].table].gone, &was->at[a]);
        else if (order > 0 || !streq(was->at[a].rules, is->at[b].rules))
            vec_push(&changes[is->at[b].table].written, &is->at[b]);
        a += order <= 0;
        b += order >= 0;
    }
    return print_tables(changes, out);
}
