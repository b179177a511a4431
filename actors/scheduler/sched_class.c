#include "actors/scheduler/sched_state.h"
#include "runtime/api/kinds.h"
#include "runtime/api/pod.h"
#include "runtime/api/quantity.h"
#include "runtime/base/hash.h"

// ---- requests ----------------------------------------------------------------------------------

typedef struct {
    int64_t amount[SCHED_RESOURCES_MAX];
    bool is_beyond;
} amounts_t;

static int64_t amount_of(size_t resource, const Resource__Quantity *quantity) {
    quantity_t q;
    if (!quantity || quantity_parse(or_empty(quantity->string), &q)) return 0;
    return resource == RES_CPU ? quantity_milli(q) : quantity_value(q);
}

static void add_amount(sched_t *s, amounts_t *sum, const char *resource,
                       const Resource__Quantity *quantity) {
    size_t column = sched_resource(s, or_empty(resource));
    if (column < SCHED_RESOURCES_MAX)
        sum->amount[column] += amount_of(column, quantity);
    else
        sum->is_beyond = true;
}

static void add_amounts(amounts_t *sum, const amounts_t *more) {
    sum->is_beyond |= more->is_beyond;
    for (size_t i = 0; i < SCHED_RESOURCES_MAX; i++) sum->amount[i] += more->amount[i];
}

static void raise_to(amounts_t *most, const amounts_t *other) {
    most->is_beyond |= other->is_beyond;
    for (size_t i = 0; i < SCHED_RESOURCES_MAX; i++)
        if (other->amount[i] > most->amount[i]) most->amount[i] = other->amount[i];
}

static amounts_t requests_of(sched_t *s, const Core__Container *container, bool with_defaults) {
    amounts_t out = {0};
    const Core__ResourceRequirements *resources = container->resources;
    for (size_t i = 0; resources && i < resources->n_requests; i++)
        add_amount(s, &out, resources->requests[i]->key, resources->requests[i]->value);
    if (with_defaults && !out.amount[RES_CPU]) out.amount[RES_CPU] = SCHED_DEFAULT_CPU_MILLI;
    if (with_defaults && !out.amount[RES_MEMORY]) out.amount[RES_MEMORY] = SCHED_DEFAULT_MEMORY;
    return out;
}

// A pod needs the larger of what its containers need together and what its hungriest moment of
// starting needs; init containers that stay (restartPolicy Always) count to both. KEP-753.
static amounts_t pod_requests(sched_t *s, const Core__PodSpec *spec, bool with_defaults) {
    amounts_t running = {0}, staying = {0}, starting = {0};
    for (size_t i = 0; i < spec->n_containers; i++) {
        amounts_t one = requests_of(s, spec->containers[i], with_defaults);
        add_amounts(&running, &one);
    }
    for (size_t i = 0; i < spec->n_initcontainers; i++) {
        amounts_t one = requests_of(s, spec->initcontainers[i], with_defaults);
        if (container_is_sidecar(spec->initcontainers[i])) {
            add_amounts(&staying, &one);
            add_amounts(&running, &one);
            raise_to(&starting, &staying);
        } else {
            add_amounts(&one, &staying);
            raise_to(&starting, &one);
        }
    }
    raise_to(&running, &starting);
    for (size_t i = 0; i < spec->n_overhead; i++)
        add_amount(s, &running, spec->overhead[i]->key, spec->overhead[i]->value);
    running.amount[RES_PODS] = 1;
    return running;
}

static void find_ports(sched_class_t *c) {
    const Core__PodSpec *spec = c->spec->spec;
    size_t max = 0;
    for (size_t i = 0; i < spec->n_containers; i++) max += spec->containers[i]->n_ports;
    sched_port_t *ports = ARENA_ARRAY(&c->arena, sched_port_t, max);
    for (size_t i = 0; i < spec->n_containers; i++)
        for (size_t j = 0; j < spec->containers[i]->n_ports; j++) {
            const Core__ContainerPort *port = spec->containers[i]->ports[j];
            if (port->hostport <= 0) continue;
            const char *ip = or_empty(port->hostip);
            if (streq(ip, "0.0.0.0") || streq(ip, "::")) ip = "";
            const char *protocol = is_empty(port->protocol) ? "TCP" : port->protocol;
            ports[c->ports_len++] = (sched_port_t){ip, protocol, port->hostport};
        }
    c->ports = ports;
}

// ---- what makes a class ------------------------------------------------------------------------

static Core__Container **slim_containers(arena_t *arena, Core__Container *const *all, size_t len) {
    Core__Container **out = ARENA_ARRAY(arena, Core__Container *, len);
    for (size_t i = 0; i < len; i++) {
        out[i] = MSG_NEW(arena, Core__Container, core__container__descriptor);
        out[i]->resources = all[i]->resources;
        out[i]->n_ports = all[i]->n_ports;
        out[i]->ports = all[i]->ports;
        out[i]->restartpolicy = all[i]->restartpolicy;
    }
    return out;
}

static Core__PodSpec *slim_spec(arena_t *arena, const Core__PodSpec *spec) {
    Core__PodSpec *out = MSG_NEW(arena, Core__PodSpec, core__pod_spec__descriptor);
    if (!spec) return out;
    out->n_containers = spec->n_containers;
    out->containers = slim_containers(arena, spec->containers, spec->n_containers);
    out->n_initcontainers = spec->n_initcontainers;
    out->initcontainers = slim_containers(arena, spec->initcontainers, spec->n_initcontainers);
    out->n_overhead = spec->n_overhead;
    out->overhead = spec->overhead;
    out->n_nodeselector = spec->n_nodeselector;
    out->nodeselector = spec->nodeselector;
    out->affinity = spec->affinity;
    out->n_tolerations = spec->n_tolerations;
    out->tolerations = spec->tolerations;
    out->has_priority = spec->has_priority;
    out->priority = spec->priority;
    out->preemptionpolicy = spec->preemptionpolicy;
    out->schedulername = spec->schedulername;
    out->n_schedulinggates = spec->n_schedulinggates;
    out->schedulinggates = spec->schedulinggates;
    out->n_topologyspreadconstraints = spec->n_topologyspreadconstraints;
    out->topologyspreadconstraints = spec->topologyspreadconstraints;
    out->nodename = spec->nodename;
    return out;
}

static void slim_owner(arena_t *arena, Meta__ObjectMeta *out, const Meta__ObjectMeta *meta) {
    for (size_t i = 0; i < meta->n_ownerreferences; i++) {
        if (!meta->ownerreferences[i]->controller) continue;
        Meta__OwnerReference *owner =
            MSG_NEW(arena, Meta__OwnerReference, meta__owner_reference__descriptor);
        owner->uid = meta->ownerreferences[i]->uid;
        owner->has_controller = owner->controller = true;
        out->ownerreferences = ARENA_NEW(arena, Meta__OwnerReference *);
        out->ownerreferences[0] = owner;
        out->n_ownerreferences = 1;
        return;
    }
}

Core__Pod *sched_slim_pod(arena_t *arena, const Core__Pod *pod) {
    const Meta__ObjectMeta *meta = object_meta_read(&pod->base);
    Core__Pod *out = MSG_NEW(arena, Core__Pod, core__pod__descriptor);
    out->metadata = MSG_NEW(arena, Meta__ObjectMeta, meta__object_meta__descriptor);
    out->metadata->name = meta->name;
    out->metadata->namespace_ = meta->namespace_;
    out->metadata->uid = meta->uid;
    out->metadata->resourceversion = meta->resourceversion;
    out->metadata->deletiontimestamp = meta->deletiontimestamp;
    out->metadata->n_labels = meta->n_labels;
    out->metadata->labels = meta->labels;
    slim_owner(arena, out->metadata, meta);
    out->spec = slim_spec(arena, pod->spec);
    out->status = MSG_NEW(arena, Core__PodStatus, core__pod_status__descriptor);
    if (pod->status) out->status->phase = pod->status->phase;
    return out;
}

// The pod without what its siblings do not share.
static Core__Pod *signature_of(arena_t *arena, const Core__Pod *pod) {
    Core__Pod *out = sched_slim_pod(arena, pod);
    out->metadata->name = NULL;
    out->metadata->uid = NULL;
    out->metadata->resourceversion = NULL;
    out->metadata->deletiontimestamp = NULL;
    out->spec->nodename = NULL;
    out->status = NULL;
    return out;
}

static sched_class_t *class_new(sched_t *s, bytes_t signature) {
    sched_class_t *c = NEW(sched_class_t);
    c->signature = (bytes_t){arena_dup(&c->arena, signature.at, signature.len), signature.len};
    c->spec = msg_unpack_own(&c->arena, &core__pod__descriptor, c->signature);
    assert(c->spec && c->spec->spec);
    amounts_t request = pod_requests(s, c->spec->spec, false);
    memcpy(c->request, request.amount, sizeof c->request);
    amounts_t scored = pod_requests(s, c->spec->spec, true);
    c->scored_cpu = scored.amount[RES_CPU];
    c->scored_memory = scored.amount[RES_MEMORY];
    c->is_beyond = request.is_beyond;
    c->priority = c->spec->spec->priority;
    c->gated = c->spec->spec->n_schedulinggates > 0;
    c->has_rules = sched_class_has_rules(c);
    find_ports(c);
    return c;
}

// Finds or makes the one with this signature.
static sched_class_t *take(sched_t *s, imap_t *all, bytes_t signature) {
    uint64_t hash = hash_fnv64a(signature.at, signature.len);
    sched_class_t *first = imap_get(all, hash);
    for (sched_class_t *c = first; c; c = c->same_hash)
        if (bytes_eq(c->signature, signature)) {
            c->pods_len++;
            return c;
        }
    sched_class_t *c = class_new(s, signature);
    c->hash = hash;
    c->same_hash = first;
    c->pods_len = 1;
    imap_put(all, hash, c);
    return c;
}

sched_class_t *sched_class_take(sched_t *s, const Core__Pod *pod) {
    arena_t *arena = &s->scratch;
    arena_clear(arena);
    Core__Pod *slim = signature_of(arena, pod);
    sched_class_t *c = take(s, &s->classes, msg_pack(arena, &slim->base));
    if (c->pods_len > 1) return c;
    if (sched_class_keeps_away(c)) vec_push(&s->anti, c);
    // Without what only rules about other pods read.
    slim->metadata = NULL;
    c->shape = take(s, &s->shapes, msg_pack(arena, &slim->base));
    return c;
}

void sched_class_free(sched_class_t *c) {
    free(c->keys);
    free(c->tree);
    sched_class_forget_pairs(c);
    free(c->message);
    imap_done(&c->on_node);
    vec_done(&c->pending);
    arena_done(&c->arena);
    free(c);
}

static void drop_tree(sched_t *s, sched_class_t *shape) {
    if (!shape->keys) return;
    free(shape->keys);
    free(shape->tree);
    shape->keys = NULL;
    shape->tree = NULL;
    assert(s->trees_len > 0);
    s->trees_len--;
}

static void drop(imap_t *all, sched_class_t *c) {
    sched_class_t *first = imap_get(all, c->hash);
    if (first != c) {
        while (first->same_hash != c) first = first->same_hash;
        first->same_hash = c->same_hash;
    } else if (c->same_hash) {
        imap_put(all, c->hash, c->same_hash);
    } else {
        imap_remove(all, c->hash);
    }
    sched_class_free(c);
}

void sched_class_drop(sched_t *s, sched_class_t **c_p) {
    sched_class_t *c = x_steal(c_p);
    assert(c->pods_len > 0 && c->shape);
    if (--c->pods_len) return;
    assert(imap_len(&c->on_node) == 0 && c->pending_len == 0 && !c->is_listed);
    for (size_t i = 0; i < s->anti.len; i++) {
        if (s->anti.at[i] != c) continue;
        vec_swap_remove(&s->anti, i);
        break;
    }
    sched_class_t *shape = c->shape;
    drop_tree(s, c);
    drop(&s->classes, c);
    if (--shape->pods_len) return;
    drop_tree(s, shape);
    drop(&s->shapes, shape);
}

// ---- rules, put together -----------------------------------------------------------------------

int32_t sched_key(const sched_t *s, const sched_class_t *c, uint32_t slot) {
    if (slot >= s->slots_len || !s->nodes[slot].exists) return -1;
    for (const sched_filter_t *f = sched_filters; f->name; f++)
        if (!f->passes(s, c, slot)) return -1;
    int32_t sum = 0;
    for (const sched_score_t *r = sched_scores; r->name; r++) {
        int32_t score = r->score(s, c, slot);
        assert(score >= 0 && score <= SCHED_SCORE_MAX);
        sum += r->weight * score;
    }
    return sum;
}

static uint32_t better(const sched_class_t *c, uint32_t left, uint32_t right) {
    return c->keys[right] > c->keys[left] ? right : left;
}

static void tree_build(const sched_t *s, sched_class_t *c) {
    uint32_t cap = (uint32_t)s->slots_cap;
    for (uint32_t i = 0; i < cap; i++) {
        c->keys[i] = sched_key(s, c, i);
        c->tree[cap + i] = i;
    }
    for (uint32_t i = cap - 1; i >= 1; i--)
        c->tree[i] = better(c, c->tree[2 * i], c->tree[2 * i + 1]);
    c->tree_cap = cap;
    c->seen_change = s->changes;
}

static void tree_update(const sched_t *s, sched_class_t *c, uint32_t slot) {
    int32_t key = sched_key(s, c, slot);
    if (c->keys[slot] == key) return;
    c->keys[slot] = key;
    for (uint32_t i = (uint32_t)(c->tree_cap + slot) / 2; i >= 1; i /= 2)
        c->tree[i] = better(c, c->tree[2 * i], c->tree[2 * i + 1]);
}

static sched_class_t *oldest_tree(const imap_t *all, sched_class_t *oldest) {
    size_t at = 0;
    uint64_t hash;
    void *value;
    while (imap_next(all, &at, &hash, &value))
        for (sched_class_t *c = value; c; c = c->same_hash)
            if (c->keys && (!oldest || c->used_at < oldest->used_at)) oldest = c;
    return oldest;
}

// When trees take too much, the one that was looked at longest ago gives way.
static void make_room_for_tree(sched_t *s) {
    size_t tree_bytes = s->slots_cap * (sizeof(int32_t) + 2 * sizeof(uint32_t));
    if (!s->trees_len || (s->trees_len + 1) * tree_bytes <= SCHED_TREES_MAX_BYTES) return;
    sched_class_t *oldest = oldest_tree(&s->classes, oldest_tree(&s->shapes, NULL));
    assert(oldest);
    drop_tree(s, oldest);
}

static void tree_refresh(sched_t *s, sched_class_t *c) {
    c->used_at = ++s->uses;
    if (c->keys && c->tree_cap != s->slots_cap) drop_tree(s, c);
    uint64_t behind = s->changes - c->seen_change;
    if (!c->keys) {
        make_room_for_tree(s);
        c->keys = mem_new(s->slots_cap * sizeof *c->keys);
        c->tree = mem_new(s->slots_cap * 2 * sizeof *c->tree);
        s->trees_len++;
        tree_build(s, c);
    } else if (behind >= s->slots_len || behind > s->change_log_cap) {
        tree_build(s, c);
    } else {
        for (; c->seen_change < s->changes; c->seen_change++)
            tree_update(s, c, s->change_log[c->seen_change & (s->change_log_cap - 1)]);
    }
}

// Is what lies below `a` worth more than what lies below `b`? Of equals the lower slot.
static bool beats(const sched_class_t *shape, uint32_t a, uint32_t b) {
    uint32_t x = shape->tree[a], y = shape->tree[b];
    return shape->keys[x] != shape->keys[y] ? shape->keys[x] > shape->keys[y] : x < y;
}

// The frontier of a search: inner nodes of the tree, the best on top.
static void frontier_push(sched_t *s, const sched_class_t *shape, uint32_t inner) {
    vec_push(&s->frontier, inner);
    size_t at = s->frontier.len - 1;
    uint32_t *heap = s->frontier.at;
    while (at && beats(shape, inner, heap[(at - 1) / 2])) {
        heap[at] = heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap[at] = inner;
}

static uint32_t frontier_pop(sched_t *s, const sched_class_t *shape) {
    uint32_t *heap = s->frontier.at, top = heap[0], last = heap[--s->frontier.len];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= s->frontier.len) break;
        if (child + 1 < s->frontier.len && beats(shape, heap[child + 1], heap[child])) child++;
        if (!beats(shape, heap[child], last)) break;
        heap[at] = heap[child];
        at = child;
    }
    if (s->frontier.len) heap[at] = last;
    return top;
}

// Nodes in falling order of what they are worth to the shape, until none that is left can beat the
// best so far: the first without pods of the class ends it, since it loses nothing.
static uint32_t search(sched_t *s, const sched_class_t *c) {
    const sched_class_t *shape = c->shape;
    uint32_t best = UINT32_MAX, leaves = (uint32_t)shape->tree_cap;
    int32_t best_key = -1;
    vec_reset(&s->frontier);
    frontier_push(s, shape, 1);
    while (s->frontier.len) {
        uint32_t inner = frontier_pop(s, shape), slot = shape->tree[inner];
        if (shape->keys[slot] < 0 || shape->keys[slot] <= best_key) break;
        if (inner < leaves) {
            frontier_push(s, shape, 2 * inner);
            frontier_push(s, shape, 2 * inner + 1);
            continue;
        }
        int32_t key = shape->keys[slot] - sched_own_pods_cost(c, slot);
        if (key <= best_key) continue;
        best = slot;
        best_key = key;
    }
    return best;
}

// What the shape says holds for every class of it but for pods: whom rules about other pods refuse
// or prefer, and the class' own.
static uint32_t look_at_all(const sched_t *s, const sched_class_t *c) {
    const sched_class_t *shape = c->shape;
    uint32_t best = UINT32_MAX;
    int32_t best_key = -1;
    for (uint32_t slot = 0; slot < s->slots_len; slot++) {
        if (c->pair_no[slot] || shape->keys[slot] < 0) continue;
        int32_t key = shape->keys[slot] + sched_pairs_worth(c, slot);
        if (key <= best_key) continue; // whatever its own pods cost
        key -= sched_own_pods_cost(c, slot);
        if (key <= best_key) continue;
        best = slot;
        best_key = key;
    }
    return best;
}

uint32_t sched_class_best(sched_t *s, sched_class_t *c) {
    assert(c->shape);
    if (!s->slots_cap) return UINT32_MAX;
    if (sched_class_has_pairs(s, c)) {
        sched_class_judge_pairs(s, c);
        tree_refresh(s, c->shape);
        return look_at_all(s, c);
    }
    sched_class_forget_pairs(c); // perhaps the last pod that kept others away is gone
    // A class that is on most nodes would make the search look at most of them: it has a tree of
    // its own.
    if (imap_len(&c->on_node) > s->nodes_len / 2) {
        tree_refresh(s, c);
        return c->keys[c->tree[1]] >= 0 ? c->tree[1] : UINT32_MAX;
    }
    tree_refresh(s, c->shape);
    return search(s, c);
}

// ---- why not -----------------------------------------------------------------------------------

static void count_reason(map_t *counts, const char *text) {
    uintptr_t count = (uintptr_t)map_get(counts, text);
    map_put(counts, text, (void *)(count + 1));
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

// "1 Insufficient cpu, 2 node(s) were unschedulable": sorted as text, count included, as
// kube-scheduler does it.
static const char *tally(map_t *counts, arena_t *arena) {
    const char **lines = ARENA_ARRAY(arena, const char *, map_len(counts) + 1);
    size_t len = 0, at = 0;
    const char *text;
    void *count;
    while (map_next(counts, &at, &text, &count))
        lines[len++] = arena_printf(arena, "%zu %s", (size_t)(uintptr_t)count, text);
    qsort(lines, len, sizeof *lines, by_text);
    text_t out = {.arena = arena};
    for (size_t i = 0; i < len; i++) text_addf(&out, "%s%s", i ? ", " : "", lines[i]);
    return text_str(&out);
}

enum { MESSAGE_MAX = 1024 }; // of an event's note

const char *sched_class_message(sched_t *s, sched_class_t *c, arena_t *arena) {
    if (sched_class_has_pairs(s, c)) sched_class_judge_pairs(s, c);
    if (!s->nodes_len) return "no nodes available to schedule pods";
    map_t reasons = {0}, preemption = {0};
    for (uint32_t slot = 0; slot < s->slots_len; slot++) {
        if (!s->nodes[slot].exists) continue;
        sched_reasons_t why = {0};
        for (const sched_filter_t *f = sched_filters; f->name && !why.len; f++)
            if (!f->passes(s, c, slot)) f->explain(s, c, slot, arena, &why);
        bool helped = true;
        for (size_t i = 0; i < why.len; i++) {
            count_reason(&reasons, why.at[i].text);
            helped = helped && why.at[i].helped_by_leaving;
        }
        count_reason(&preemption, helped ? "No preemption victims found for incoming pod"
                                         : "Preemption is not helpful for scheduling");
    }
    const char *message =
        arena_printf(arena, "0/%zu nodes are available: %s. preemption: ", s->nodes_len,
                     tally(&reasons, arena));
    if (streq(or_empty(c->spec->spec->preemptionpolicy), "Never"))
        message = arena_printf(arena, "%snot eligible due to preemptionPolicy=Never.", message);
    else
        message = arena_printf(arena, "%s0/%zu nodes are available: %s.", message, s->nodes_len,
                               tally(&preemption, arena));
    map_done(&reasons);
    map_done(&preemption);
    return strlen(message) > MESSAGE_MAX ? arena_strndup(arena, message, MESSAGE_MAX) : message;
}

// ---- small matches -----------------------------------------------------------------------------

bool tolerates(const sched_class_t *c, const Core__Taint *taint) {
    const Core__PodSpec *spec = c->spec->spec;
    for (size_t i = 0; i < spec->n_tolerations; i++) {
        const Core__Toleration *t = spec->tolerations[i];
        bool exists = streq(or_empty(t->operator_), "Exists");
        if (!is_empty(t->effect) && !streq(t->effect, or_empty(taint->effect))) continue;
        if (is_empty(t->key) ? !exists : !streq(t->key, or_empty(taint->key))) continue;
        if (exists || streq(or_empty(t->value), or_empty(taint->value))) return true;
    }
    return false;
}

static bool is_one_of(const char *value, const Core__NodeSelectorRequirement *r) {
    for (size_t i = 0; i < r->n_values; i++)
        if (streq(value, or_empty(r->values[i]))) return true;
    return false;
}

// `value` NULL: the node has no such label.
static bool requirement_holds(const Core__NodeSelectorRequirement *r, const char *value) {
    const char *op = or_empty(r->operator_);
    if (streq(op, "In")) return value && is_one_of(value, r);
    if (streq(op, "NotIn")) return !value || !is_one_of(value, r);
    if (streq(op, "Exists")) return value != NULL;
    if (streq(op, "DoesNotExist")) return value == NULL;
    if (!value || r->n_values != 1 || is_empty(value)) return false;
    char *end, *wanted_end;
    long long has = strtoll(value, &end, 10),
              wanted = strtoll(or_empty(r->values[0]), &wanted_end, 10);
    if (*end || *wanted_end) return false;
    if (streq(op, "Gt")) return has > wanted;
    return streq(op, "Lt") && has < wanted;
}

// All requirements of a term hold; a term without any matches nothing.
bool node_term_matches(const Core__NodeSelectorTerm *term, const Core__Node *node) {
    if (!term->n_matchexpressions && !term->n_matchfields) return false;
    for (size_t i = 0; i < term->n_matchexpressions; i++) {
        const Core__NodeSelectorRequirement *r = term->matchexpressions[i];
        if (!requirement_holds(r, object_label(&node->base, or_empty(r->key)))) return false;
    }
    for (size_t i = 0; i < term->n_matchfields; i++) {
        const Core__NodeSelectorRequirement *r = term->matchfields[i];
        const char *value =
            streq(or_empty(r->key), "metadata.name") ? object_meta_read(&node->base)->name : NULL;
        if (!requirement_holds(r, value)) return false;
    }
    return true;
}
