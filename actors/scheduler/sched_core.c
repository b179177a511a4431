#include "actors/scheduler/sched_state.h"
#include "runtime/api/kinds.h"
#include "runtime/api/pod.h"
#include "runtime/api/quantity.h"
#include "runtime/base/canary.h"
#include "runtime/base/hash.h"

enum { SLOTS_MIN = 64, CHANGE_LOG_MIN = 4096 };
#define DEFAULT_SCHEDULER "default-scheduler"

// ---- life --------------------------------------------------------------------------------------

sched_t *sched_new(const char *scheduler_name) {
    sched_t *s = NEW(sched_t);
    s->scheduler_name = str_dup(is_empty(scheduler_name) ? DEFAULT_SCHEDULER : scheduler_name);
    static const char *const first[] = {[RES_CPU] = "cpu",
                                        [RES_MEMORY] = "memory",
                                        [RES_STORAGE] = "ephemeral-storage",
                                        [RES_PODS] = "pods"};
    static_assert(LENGTH_OF(first) == RES_FIRST_OTHER, "every fixed column has its name");
    for (size_t i = 0; i < LENGTH_OF(first); i++)
        s->resource_names[s->resources_len++] = str_dup(first[i]);
    s->room = 1;
    return s;
}

static void pod_free(sched_pod_t *pod) {
    free(pod->namespace_);
    free(pod->name);
    free(pod->key);
    free(pod->uid);
    free(pod);
}

static void free_classes(imap_t *classes) {
    size_t at = 0;
    uint64_t hash;
    void *value;
    while (imap_next(classes, &at, &hash, &value))
        for (sched_class_t *c = value, *next; c; c = next) {
            next = c->same_hash;
            sched_class_free(c);
        }
    imap_done(classes);
}

void sched_destroy(sched_t **s_p) {
    sched_t *s = x_steal(s_p);
    if (!s) return;
    size_t at = 0;
    const char *key;
    void *value;
    while (map_next(&s->pods, &at, &key, &value)) pod_free(value);
    map_done(&s->pods);
    free_classes(&s->classes);
    free_classes(&s->shapes);
    vec_done(&s->frontier);
    for (size_t i = 0; i < s->slots_len; i++) {
        free(s->nodes[i].name);
        vec_done(&s->nodes[i].ports);
        arena_done(&s->nodes[i].arena);
    }
    for (size_t i = 0; i < SCHED_RESOURCES_MAX; i++) {
        free(s->allocatable[i]);
        free(s->used[i]);
        free(s->resource_names[i]);
    }
    free(s->nodes);
    free(s->scored_cpu);
    free(s->scored_memory);
    free(s->change_log);
    vec_done(&s->free_slots);
    sched_topologies_done(s);
    arena_done(&s->judging);
    vec_done(&s->with_pending);
    vec_done(&s->anti);
    vec_done(&s->backoff);
    map_done(&s->slot_of);
    arena_done(&s->scratch);
    free(s->scheduler_name);
    free(s);
}

// ---- columns -----------------------------------------------------------------------------------

static void grow_column(int64_t **column, size_t was, size_t cap) {
    *column = mem_resize(*column, cap * sizeof **column);
    memset(*column + was, 0, (cap - was) * sizeof **column);
}

static void grow(sched_t *s) {
    size_t was = s->slots_cap, cap = was ? was * 2 : SLOTS_MIN;
    s->nodes = mem_resize(s->nodes, cap * sizeof *s->nodes);
    memset(s->nodes + was, 0, (cap - was) * sizeof *s->nodes);
    for (size_t i = 0; i < s->resources_len; i++) {
        grow_column(&s->allocatable[i], was, cap);
        grow_column(&s->used[i], was, cap);
    }
    grow_column(&s->scored_cpu, was, cap);
    grow_column(&s->scored_memory, was, cap);
    s->slots_cap = cap;
    // Every tree was built for fewer slots and is built anew: the log may start empty.
    s->change_log_cap = cap > CHANGE_LOG_MIN ? cap : CHANGE_LOG_MIN;
    s->change_log = mem_resize(s->change_log, s->change_log_cap * sizeof *s->change_log);
}

size_t sched_resource(sched_t *s, const char *name) {
    for (size_t i = 0; i < s->resources_len; i++)
        if (streq(s->resource_names[i], name)) return i;
    if (s->resources_len == SCHED_RESOURCES_MAX) return SCHED_RESOURCES_MAX;
    size_t i = s->resources_len++;
    s->resource_names[i] = str_dup(name);
    if (s->slots_cap) {
        grow_column(&s->allocatable[i], 0, s->slots_cap);
        grow_column(&s->used[i], 0, s->slots_cap);
    }
    return i;
}

static void changed(sched_t *s, uint32_t slot) {
    s->change_log[s->changes & (s->change_log_cap - 1)] = slot;
    s->changes++;
}

// ---- nodes -------------------------------------------------------------------------------------

static uint32_t slot_for(sched_t *s, const char *name) {
    uintptr_t known = (uintptr_t)map_get(&s->slot_of, name);
    if (known) return (uint32_t)(known - 1);
    uint32_t slot;
    if (s->free_slots.len) {
        slot = s->free_slots.at[--s->free_slots.len];
    } else {
        if (s->slots_len == s->slots_cap) grow(s);
        slot = (uint32_t)s->slots_len++;
    }
    assert(!s->nodes[slot].name && !s->nodes[slot].pods_len);
    s->nodes_changed++;
    s->nodes[slot].name = str_dup(name);
    map_put(&s->slot_of, name, (void *)((uintptr_t)slot + 1));
    return slot;
}

static void free_slot_if_empty(sched_t *s, uint32_t slot) {
    sched_node_t *node = &s->nodes[slot];
    if (node->exists || node->pods_len) return;
    map_remove(&s->slot_of, node->name);
    free(node->name);
    node->name = NULL;
    vec_done(&node->ports);
    vec_push(&s->free_slots, slot);
}

Core__Node *sched_slim_node(arena_t *arena, const Core__Node *node) {
    const Meta__ObjectMeta *meta = object_meta_read(&node->base);
    Core__Node *out = MSG_NEW(arena, Core__Node, core__node__descriptor);
    out->metadata = MSG_NEW(arena, Meta__ObjectMeta, meta__object_meta__descriptor);
    out->metadata->name = meta->name;
    out->metadata->uid = meta->uid;
    out->metadata->resourceversion = meta->resourceversion;
    out->metadata->n_labels = meta->n_labels;
    out->metadata->labels = meta->labels;
    out->spec = MSG_NEW(arena, Core__NodeSpec, core__node_spec__descriptor);
    if (node->spec) {
        out->spec->has_unschedulable = out->spec->unschedulable = node->spec->unschedulable;
        out->spec->n_taints = node->spec->n_taints;
        out->spec->taints = node->spec->taints;
    }
    out->status = MSG_NEW(arena, Core__NodeStatus, core__node_status__descriptor);
    if (node->status) {
        out->status->n_allocatable = node->status->n_allocatable;
        out->status->allocatable = node->status->allocatable;
    }
    return out;
}

static void set_allocatable(sched_t *s, uint32_t slot, const Core__NodeStatus *status) {
    for (size_t i = 0; i < s->resources_len; i++) s->allocatable[i][slot] = 0;
    for (size_t i = 0; status && i < status->n_allocatable; i++) {
        size_t column = sched_resource(s, or_empty(status->allocatable[i]->key));
        quantity_t q;
        const Resource__Quantity *value = status->allocatable[i]->value;
        if (column == SCHED_RESOURCES_MAX || !value || quantity_parse(or_empty(value->string), &q))
            continue;
        s->allocatable[column][slot] = column == RES_CPU ? quantity_milli(q) : quantity_value(q);
    }
}

void sched_node_set(sched_t *s, const Core__Node *node) {
    const char *name = or_empty(object_meta_read(&node->base)->name);
    if (s->nodes_len >= SCHED_NODES_MAX && !map_get(&s->slot_of, name)) return;
    arena_t arena = {0};
    Core__Node *slim = sched_slim_node(&arena, node);
    slim->metadata->resourceversion = NULL; // changes with every sign of life
    slim = msg_dup(&arena, &slim->base);
    uint32_t slot = slot_for(s, name);
    sched_node_t *entry = &s->nodes[slot];
    if (entry->exists && msg_equal(&entry->node->base, &slim->base)) {
        arena_done(&arena);
        return;
    }
    if (!entry->exists) s->nodes_len++;
    arena_done(&entry->arena);
    entry->arena = arena;
    entry->node = slim;
    entry->exists = true;
    set_allocatable(s, slot, slim->status);
    s->nodes_changed++;
    changed(s, slot);
    s->room++;
}

void sched_node_remove(sched_t *s, const char *name) {
    uintptr_t known = (uintptr_t)map_get(&s->slot_of, name);
    if (!known || !s->nodes[known - 1].exists) return;
    uint32_t slot = (uint32_t)(known - 1);
    sched_node_t *entry = &s->nodes[slot];
    entry->exists = false;
    s->nodes_changed++;
    entry->node = NULL;
    arena_done(&entry->arena);
    entry->arena = (arena_t){0};
    s->nodes_len--;
    changed(s, slot);
    s->room++; // helps nobody, but the reasons differ: "0/2 nodes"
    free_slot_if_empty(s, slot);
}

// ---- pods on nodes -----------------------------------------------------------------------------

static void count_on_node(sched_class_t *c, uint32_t slot, int by) {
    uint32_t count = (uint32_t)((int64_t)class_count_on(c, slot) + by);
    if (count)
        imap_put(&c->on_node, slot + UINT64_C(1), (void *)(uintptr_t)count);
    else
        imap_remove(&c->on_node, slot + UINT64_C(1));
}

static void add_use(sched_t *s, const sched_class_t *c, uint32_t slot, int sign) {
    for (size_t i = 0; i < s->resources_len; i++) s->used[i][slot] += sign * c->request[i];
    s->scored_cpu[slot] += sign * c->scored_cpu;
    s->scored_memory[slot] += sign * c->scored_memory;
}

static void place(sched_t *s, sched_pod_t *pod, uint32_t slot, sched_pod_state_t state) {
    assert(state == POD_ASSUMED || state == POD_PLACED);
    sched_class_t *c = pod->class_;
    sched_node_t *node = &s->nodes[slot];
    pod->state = state;
    pod->slot = slot;
    node->pods_len++;
    add_use(s, c, slot, 1);
    count_on_node(c, slot, 1);
    for (size_t i = 0; i < c->ports_len; i++)
        vec_push(&node->ports, ((sched_used_port_t){c->ports[i], pod}));
    changed(s, slot);
    if (s->rules_waiting) s->room++; // it may be the one that somebody wants to be near
}

static void unplace(sched_t *s, sched_pod_t *pod) {
    assert(pod->state == POD_ASSUMED || pod->state == POD_PLACED);
    uint32_t slot = pod->slot;
    sched_node_t *node = &s->nodes[slot];
    assert(node->pods_len > 0);
    node->pods_len--;
    add_use(s, pod->class_, slot, -1);
    count_on_node(pod->class_, slot, -1);
    for (size_t i = node->ports.len; i-- > 0;)
        if (node->ports.at[i].pod == pod) vec_swap_remove(&node->ports, i);
    changed(s, slot);
    s->room++;
    free_slot_if_empty(s, slot);
}

// ---- pods that wait ----------------------------------------------------------------------------

static void list_class(sched_t *s, sched_class_t *c) {
    if (c->is_listed) return;
    c->is_listed = true;
    s->rules_waiting += c->has_rules;
    vec_push(&s->with_pending, c);
}

static void unlist_class(sched_t *s, sched_class_t *c) {
    if (!c->is_listed || c->pending_len) return;
    for (size_t i = 0; i < s->with_pending.len; i++) {
        if (s->with_pending.at[i] != c) continue;
        vec_swap_remove(&s->with_pending, i);
        break;
    }
    c->is_listed = false;
    s->rules_waiting -= c->has_rules;
    vec_reset(&c->pending);
    c->pending_first = c->explain_from = 0;
}

// Closes the gaps of those that left, once they are most of the list.
static void compact(sched_class_t *c) {
    if (c->pending.len < 2 * c->pending_len + 64) return;
    size_t len = 0, explained = 0;
    for (size_t i = 0; i < c->pending.len; i++) {
        if (!c->pending.at[i]) continue;
        if (i < c->explain_from) explained++;
        c->pending.at[i]->pending_at = len;
        c->pending.at[len++] = c->pending.at[i];
    }
    assert(len == c->pending_len);
    c->pending.len = len;
    c->pending_first = 0;
    c->explain_from = explained;
}

static void pend(sched_t *s, sched_pod_t *pod) {
    sched_class_t *c = pod->class_;
    compact(c);
    pod->state = POD_PENDING;
    pod->arrival = ++s->arrivals;
    pod->pending_at = c->pending.len;
    vec_push(&c->pending, pod);
    c->pending_len++;
    s->pending_len++;
    list_class(s, c);
}

static void skip_those_that_left(sched_class_t *c) {
    while (c->pending_first < c->pending.len && !c->pending.at[c->pending_first])
        c->pending_first++;
}

static void unpend(sched_t *s, sched_pod_t *pod) {
    assert(pod->state == POD_PENDING);
    sched_class_t *c = pod->class_;
    assert(c->pending.at[pod->pending_at] == pod && c->pending_len > 0);
    c->pending.at[pod->pending_at] = NULL;
    c->pending_len--;
    s->pending_len--;
    skip_those_that_left(c);
    unlist_class(s, c);
}

static void leave_backoff(sched_t *s, sched_pod_t *pod) {
    for (size_t i = 0; i < s->backoff.len; i++) {
        if (s->backoff.at[i] != pod) continue;
        vec_remove(&s->backoff, i);
        s->pending_len--;
        return;
    }
    assert(false);
}

// Takes the pod out of whatever it is in.
static void detach(sched_t *s, sched_pod_t *pod) {
    switch (pod->state) {
    case POD_PENDING: unpend(s, pod); break;
    case POD_BACKOFF: leave_backoff(s, pod); break;
    case POD_ASSUMED:
    case POD_PLACED: unplace(s, pod); break;
    }
}

static void forget(sched_t *s, sched_pod_t *pod) {
    detach(s, pod);
    map_remove(&s->pods, pod->key);
    sched_class_drop(s, &pod->class_);
    pod_free(pod);
}

static char *key_of(sched_t *s, const char *ns, const char *name) {
    arena_clear(&s->scratch);
    return arena_printf(&s->scratch, "%s/%s", or_empty(ns), or_empty(name));
}

static sched_pod_t *pod_new(sched_t *s, const Core__Pod *pod, const char *key) {
    const Meta__ObjectMeta *meta = object_meta_read(&pod->base);
    sched_pod_t *entry = NEW(sched_pod_t);
    entry->key = str_dup(key);
    entry->namespace_ = str_dup(or_empty(meta->namespace_));
    entry->name = str_dup(or_empty(meta->name));
    entry->uid = str_dup(or_empty(meta->uid));
    map_put(&s->pods, entry->key, entry);
    return entry;
}

static bool is_ours(const sched_t *s, const Core__Pod *pod) {
    const char *name = pod->spec ? pod->spec->schedulername : NULL;
    return streq(is_empty(name) ? DEFAULT_SCHEDULER : name, s->scheduler_name);
}

// What was known of the pod, moved to the class that its present spec gives it.
static void reclass(sched_t *s, sched_pod_t *entry, const Core__Pod *pod) {
    sched_class_t *now = sched_class_take(s, pod);
    if (now == entry->class_) {
        sched_class_drop(s, &now);
        return;
    }
    sched_pod_state_t state = entry->state;
    uint32_t slot = entry->slot;
    // The slot must not come free in between.
    if (state == POD_ASSUMED || state == POD_PLACED) s->nodes[slot].pods_len++;
    detach(s, entry);
    sched_class_drop(s, &entry->class_);
    entry->class_ = now;
    if (state == POD_ASSUMED || state == POD_PLACED) {
        place(s, entry, slot, state);
        s->nodes[slot].pods_len--;
    } else {
        pend(s, entry);
    }
}

void sched_pod_set(sched_t *s, const Core__Pod *pod, int64_t now_ms) {
    const Meta__ObjectMeta *meta = object_meta_read(&pod->base);
    const char *node = pod->spec ? or_empty(pod->spec->nodename) : "";
    char *key = key_of(s, meta->namespace_, meta->name);
    sched_pod_t *entry = map_get(&s->pods, key);
    if (entry && (!streq(entry->uid, or_empty(meta->uid)) || pod_has_ended(pod))) {
        forget(s, entry);
        entry = NULL;
    }
    if (pod_has_ended(pod)) return;
    bool is_on_hold = !*node && (meta->deletiontimestamp || !is_ours(s, pod));
    if (is_on_hold) {
        if (entry && entry->state != POD_ASSUMED) forget(s, entry);
        return;
    }
    if (!entry) {
        entry = pod_new(s, pod, key);
        entry->class_ = sched_class_take(s, pod);
        if (*node)
            place(s, entry, slot_for(s, node), POD_PLACED);
        else
            pend(s, entry);
        return;
    }
    reclass(s, entry, pod);
    if (!*node) return;
    bool is_there = (entry->state == POD_ASSUMED || entry->state == POD_PLACED) &&
                    streq(s->nodes[entry->slot].name, node);
    if (is_there) {
        entry->state = POD_PLACED;
        return;
    }
    detach(s, entry);
    place(s, entry, slot_for(s, node), POD_PLACED);
}

void sched_pod_remove(sched_t *s, const char *ns, const char *name) {
    sched_pod_t *entry = map_get(&s->pods, key_of(s, ns, name));
    if (entry) forget(s, entry);
}

void sched_bound(sched_t *s, const char *ns, const char *name) {
    sched_pod_t *entry = map_get(&s->pods, key_of(s, ns, name));
    if (entry && entry->state == POD_ASSUMED) entry->state = POD_PLACED;
}

void sched_unbound(sched_t *s, const char *ns, const char *name, int64_t now_ms) {
    sched_pod_t *entry = map_get(&s->pods, key_of(s, ns, name));
    if (!entry || entry->state != POD_ASSUMED) return;
    unplace(s, entry);
    int64_t delay_ms = SCHED_BACKOFF_FIRST_MS;
    for (int i = 0; i < entry->failures && delay_ms < SCHED_BACKOFF_MAX_MS; i++) delay_ms *= 2;
    if (delay_ms > SCHED_BACKOFF_MAX_MS) delay_ms = SCHED_BACKOFF_MAX_MS;
    if (entry->failures < UINT8_MAX) entry->failures++;
    entry->state = POD_BACKOFF;
    entry->not_before_ms = now_ms + delay_ms;
    vec_push(&s->backoff, entry);
    s->pending_len++;
}

// ---- the plan ----------------------------------------------------------------------------------

// Who is asked next: the class whose first pod has the highest priority, then came first.
static bool comes_before(const sched_class_t *a, const sched_class_t *b) {
    if (a->priority != b->priority) return a->priority > b->priority;
    return a->pending.at[a->pending_first]->arrival < b->pending.at[b->pending_first]->arrival;
}

typedef struct {
    sched_class_t **at;
    size_t len;
} heap_t;

static void heap_down(heap_t *h, size_t at) {
    sched_class_t *c = h->at[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= h->len) break;
        if (child + 1 < h->len && comes_before(h->at[child + 1], h->at[child])) child++;
        if (!comes_before(h->at[child], c)) break;
        h->at[at] = h->at[child];
        at = child;
    }
    h->at[at] = c;
}

static void heap_pop(heap_t *h) {
    h->at[0] = h->at[--h->len];
    if (h->len) heap_down(h, 0);
}

// Classes with pods that may fit as far as is known.
static heap_t runnable(sched_t *s, arena_t *arena) {
    heap_t h = {.at = ARENA_ARRAY(arena, sched_class_t *, s->with_pending.len)};
    for (size_t i = 0; i < s->with_pending.len; i++) {
        sched_class_t *c = s->with_pending.at[i];
        if (!c->gated && c->failed_at != s->room) h.at[h.len++] = c;
    }
    for (size_t i = h.len / 2; i-- > 0;) heap_down(&h, i);
    return h;
}

static int64_t end_backoffs(sched_t *s, int64_t now_ms) {
    int64_t wake_ms = INT64_MAX;
    for (size_t i = 0; i < s->backoff.len;) {
        sched_pod_t *pod = s->backoff.at[i];
        if (pod->not_before_ms <= now_ms) {
            vec_remove(&s->backoff, i);
            s->pending_len--;
            pend(s, pod);
            continue;
        }
        if (pod->not_before_ms < wake_ms) wake_ms = pod->not_before_ms;
        i++;
    }
    return wake_ms;
}

static sched_action_t *add_action(sched_plan_t *plan, const sched_pod_t *pod) {
    sched_action_t *action = &plan->actions[plan->actions_len++];
    *action = (sched_action_t){.namespace_ = pod->namespace_, .name = pod->name, .uid = pod->uid};
    return action;
}

static void forget_assumed(sched_t *s) {
    size_t at = 0;
    const char *key;
    void *pod;
    while (map_next(&s->pods, &at, &key, &pod))
        if (((sched_pod_t *)pod)->state == POD_ASSUMED) forget(s, pod);
}

static void bind_all(sched_t *s, size_t actions_max, arena_t *arena, sched_plan_t *plan) {
    if (CANARY(SCHEDULER_FORGETS_ASSUMED)) forget_assumed(s);
    heap_t heap = runnable(s, arena);
    while (heap.len) {
        if (plan->actions_len == actions_max) {
            plan->cut = true;
            return;
        }
        sched_class_t *c = heap.at[0];
        uint32_t slot = sched_class_best(s, c);
        if (slot == UINT32_MAX) {
            c->failed_at = s->room;
            heap_pop(&heap);
            continue;
        }
        sched_pod_t *pod = c->pending.at[c->pending_first];
        unpend(s, pod);
        place(s, pod, slot, POD_ASSUMED);
        sched_action_t *action = add_action(plan, pod);
        action->kind = SCHED_BIND;
        action->node = s->nodes[slot].name;
        if (c->pending_len)
            heap_down(&heap, 0);
        else
            heap_pop(&heap);
    }
}

// Works out why the class waits, unless that was done a moment ago. False: no budget left.
static bool refresh_message(sched_t *s, sched_class_t *c, int64_t now_ms, size_t *budget,
                            arena_t *arena, sched_plan_t *plan) {
    if (c->gated) {
        if (!c->message)
            c->message = str_dup("Scheduling is blocked due to non-empty scheduling gates");
        return true;
    }
    if (c->message && c->message_room == s->room) return true;
    if (c->message && now_ms < c->message_ms + SCHED_EXPLAIN_AGAIN_MS) {
        int64_t due_ms = c->message_ms + SCHED_EXPLAIN_AGAIN_MS;
        if (due_ms < plan->wake_ms) plan->wake_ms = due_ms;
        return true;
    }
    if (!*budget) return false;
    (*budget)--;
    const char *message = sched_class_message(s, c, arena);
    if (!c->message || !streq(c->message, message)) {
        free(c->message);
        c->message = str_dup(message);
        c->explain_from = c->pending_first;
    }
    c->message_ms = now_ms;
    c->message_room = s->room;
    return true;
}

static void explain_class(sched_class_t *c, size_t actions_max, arena_t *arena,
                          sched_plan_t *plan) {
    if (c->explain_from < c->pending_first) c->explain_from = c->pending_first;
    if (c->explain_from >= c->pending.len) return;
    uint32_t hash = hash_fnv32a(c->message, strlen(c->message));
    const char *message = arena_strdup(arena, c->message);
    for (; c->explain_from < c->pending.len; c->explain_from++) {
        sched_pod_t *pod = c->pending.at[c->explain_from];
        if (!pod || pod->explained == hash) continue;
        if (plan->actions_len == actions_max) {
            plan->cut = true;
            return;
        }
        sched_action_t *action = add_action(plan, pod);
        action->is_first = !pod->explained;
        pod->explained = hash;
        action->kind = SCHED_EXPLAIN;
        action->reason = c->gated ? "SchedulingGated" : "Unschedulable";
        action->message = message;
    }
}

void sched_plan(sched_t *s, int64_t now_ms, size_t actions_max, arena_t *arena,
                sched_plan_t *ret_plan) {
    assert(actions_max > 0);
    *ret_plan = (sched_plan_t){.actions = ARENA_ARRAY(arena, sched_action_t, actions_max)};
    ret_plan->wake_ms = end_backoffs(s, now_ms);
    bind_all(s, actions_max, arena, ret_plan);
    size_t budget = SCHED_EXPLAIN_MAX;
    for (size_t i = 0; i < s->with_pending.len && !ret_plan->cut; i++) {
        sched_class_t *c = s->with_pending.at[i];
        if (!c->gated && c->failed_at != s->room) continue;
        if (refresh_message(s, c, now_ms, &budget, arena, ret_plan))
            explain_class(c, actions_max, arena, ret_plan);
        else
            ret_plan->cut = true;
    }
    assert(ret_plan->actions_len <= actions_max);
}

void sched_plan_print(const sched_plan_t *plan, text_t *out) {
    if (!plan->actions_len) text_add(out, "nothing to do\n");
    for (size_t i = 0; i < plan->actions_len; i++) {
        const sched_action_t *a = &plan->actions[i];
        if (a->kind == SCHED_BIND)
            text_addf(out, "bind %s/%s to %s\n", a->namespace_, a->name, a->node);
        else
            text_addf(out, "%s %s/%s: %s\n", a->reason, a->namespace_, a->name, a->message);
    }
    if (plan->cut) text_add(out, "and more\n");
}

// ---- questions ---------------------------------------------------------------------------------

const char *sched_name(const sched_t *s) { return s->scheduler_name; }
size_t sched_nodes_len(const sched_t *s) { return s->nodes_len; }
size_t sched_pending_len(const sched_t *s) { return s->pending_len; }

void sched_explain(sched_t *s, const Core__Pod *pod, text_t *out) {
    sched_class_t *c = sched_class_take(s, pod);
    if (sched_class_has_pairs(s, c)) sched_class_judge_pairs(s, c);
    arena_t arena = {0};
    const char **names = map_sorted_keys(&s->slot_of);
    for (size_t i = 0; i < map_len(&s->slot_of); i++) {
        uint32_t slot = (uint32_t)((uintptr_t)map_get(&s->slot_of, names[i]) - 1);
        if (!s->nodes[slot].exists) continue;
        text_addf(out, "%s:", names[i]);
        sched_reasons_t why = {0};
        for (const sched_filter_t *f = sched_filters; f->name; f++)
            if (!f->passes(s, c, slot)) f->explain(s, c, slot, &arena, &why);
        for (size_t j = 0; j < why.len; j++) text_addf(out, "%s %s", j ? "," : "", why.at[j].text);
        if (!why.len) text_addf(out, " fits, %d", sched_key(s, c, slot));
        text_addc(out, '\n');
    }
    free(names);
    arena_done(&arena);
    sched_class_drop(s, &c);
}

static void check_class(sched_t *s, sched_class_t *c) {
    assert(c->pods_len > 0 && c->is_listed == (c->pending_len > 0));
    // The tree's answer is that of a look at every node.
    uint32_t best = sched_class_best(s, c);
    int32_t key = best == UINT32_MAX ? -1 : sched_key(s, c, best);
    for (uint32_t slot = 0; slot < s->slots_cap; slot++) assert(sched_key(s, c, slot) <= key);
}

void sched_check(sched_t *s) {
    arena_t arena = {0};
    int64_t *used = ARENA_ARRAY(&arena, int64_t, s->slots_cap * SCHED_RESOURCES_MAX + 1);
    uint32_t *pods = ARENA_ARRAY(&arena, uint32_t, s->slots_cap + 1);
    size_t at = 0, pending = 0;
    const char *key;
    void *value;
    while (map_next(&s->pods, &at, &key, &value)) {
        const sched_pod_t *pod = value;
        if (pod->state == POD_PENDING || pod->state == POD_BACKOFF) {
            pending++;
            continue;
        }
        pods[pod->slot]++;
        for (size_t i = 0; i < s->resources_len; i++)
            used[pod->slot * SCHED_RESOURCES_MAX + i] += pod->class_->request[i];
    }
    assert(pending == s->pending_len);
    for (size_t slot = 0; slot < s->slots_len; slot++) {
        assert(pods[slot] == s->nodes[slot].pods_len);
        for (size_t i = 0; i < s->resources_len; i++)
            assert(used[slot * SCHED_RESOURCES_MAX + i] == s->used[i][slot]);
    }
    uint64_t hash;
    at = 0;
    while (imap_next(&s->classes, &at, &hash, &value))
        for (sched_class_t *c = value; c; c = c->same_hash) check_class(s, c);
    arena_done(&arena);
}
