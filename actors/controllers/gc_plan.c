#include "actors/controllers/gc_plan.h"
#include "actors/controllers/controller.h"
#include "runtime/base/canary.h"

#define FOREGROUND "foregroundDeletion"
#define ORPHAN     "orphan"

// ---- the graph ---------------------------------------------------------------------------------

static const Meta__ObjectMeta *meta_of(const gc_node_t *n) {
    assert(n->record);
    return object_meta_read(n->record->object);
}

static void node_free(gc_node_t *n) {
    record_unref(&n->record);
    vec_done(&n->dependents);
    free(n->uid);
    free(n);
}

void gc_graph_done(gc_graph_t *g) {
    size_t at = 0;
    const char *uid;
    void *node;
    while (map_next(&g->nodes, &at, &uid, &node)) node_free(node);
    map_done(&g->nodes);
    map_done(&g->absent);
    *g = (gc_graph_t){0};
}

static gc_node_t *node_of(gc_graph_t *g, const char *uid) {
    gc_node_t *n = map_get(&g->nodes, uid);
    if (n) return n;
    n = NEW(gc_node_t);
    n->uid = str_dup(uid);
    map_put(&g->nodes, uid, n);
    return n;
}

static void drop_if_unused(gc_graph_t *g, gc_node_t *n) {
    if (n->record || n->dependents.len) return;
    map_remove(&g->nodes, n->uid);
    node_free(n);
}

static void link_owners(gc_graph_t *g, gc_node_t *n) {
    const Meta__ObjectMeta *meta = meta_of(n);
    for (size_t i = 0; i < meta->n_ownerreferences; i++) {
        const char *uid = or_empty(meta->ownerreferences[i]->uid);
        if (*uid) vec_push(&node_of(g, uid)->dependents, n);
    }
}

static void unlink_owners(gc_graph_t *g, gc_node_t *n) {
    const Meta__ObjectMeta *meta = meta_of(n);
    for (size_t i = 0; i < meta->n_ownerreferences; i++) {
        gc_node_t *owner = map_get(&g->nodes, or_empty(meta->ownerreferences[i]->uid));
        if (!owner) continue;
        for (size_t j = owner->dependents.len; j-- > 0;) {
            if (owner->dependents.at[j] != n) continue;
            vec_swap_remove(&owner->dependents, j);
            break;
        }
        if (owner != n) drop_if_unused(g, owner);
    }
}

static bool has_finalizer(const Meta__ObjectMeta *meta, const char *name) {
    for (size_t i = 0; i < meta->n_finalizers; i++)
        if (streq(or_empty(meta->finalizers[i]), name)) return true;
    return false;
}

static bool waits_for_dependents(const gc_node_t *n) {
    return n->record && meta_of(n)->deletiontimestamp && has_finalizer(meta_of(n), FOREGROUND);
}

static bool is_orphaning(const gc_node_t *n) {
    return n->record && meta_of(n)->deletiontimestamp && has_finalizer(meta_of(n), ORPHAN);
}

typedef struct {
    void (*touch)(void *arg, const char *uid);
    void *arg;
} toucher_t;

static void touch_dependents(const gc_node_t *n, const toucher_t *t) {
    for (size_t i = 0; i < n->dependents.len; i++) t->touch(t->arg, n->dependents.at[i]->uid);
}

static void touch_waiting_owners(gc_graph_t *g, const gc_node_t *n, const toucher_t *t) {
    const Meta__ObjectMeta *meta = meta_of(n);
    for (size_t i = 0; i < meta->n_ownerreferences; i++) {
        const gc_node_t *owner = map_get(&g->nodes, or_empty(meta->ownerreferences[i]->uid));
        if (owner && (waits_for_dependents(owner) || is_orphaning(owner)))
            t->touch(t->arg, owner->uid);
    }
}

// Same owners, same finalizers, same fate: nothing that the graph cares for has changed.
static bool is_alike(const record_t *was, const record_t *is) {
    const Meta__ObjectMeta *a = object_meta_read(was->object), *b = object_meta_read(is->object);
    if (!a->deletiontimestamp != !b->deletiontimestamp || a->n_finalizers != b->n_finalizers)
        return false;
    for (size_t i = 0; i < a->n_finalizers; i++)
        if (!streq(or_empty(a->finalizers[i]), or_empty(b->finalizers[i]))) return false;
    return object_owners_equal(a, b);
}

void gc_graph_change(gc_graph_t *g, const kind_t *kind, const record_t *was, const record_t *is,
                     void (*touch)(void *arg, const char *uid), void *arg) {
    toucher_t t = {touch, arg};
    // Deleted and made anew between two looks: two objects under one name.
    if (was && is && !streq(was->uid, is->uid)) {
        gc_graph_change(g, kind, was, NULL, touch, arg);
        was = NULL;
    }
    const char *uid = is ? is->uid : was->uid;
    if (!*uid) return;
    gc_node_t *n = node_of(g, uid);
    if (n->record && is && is_alike(n->record, is)) { // nearly every change
        record_unref(&n->record);
        n->record = record_ref(is);
        return;
    }
    if (n->record) {
        touch_waiting_owners(g, n, &t);
        unlink_owners(g, n);
        record_unref(&n->record);
    }
    if (!is) {
        if (!CANARY(GC_FORGETS_CHILDREN)) touch_dependents(n, &t);
        n->kind = NULL;
        drop_if_unused(g, n);
        return;
    }
    n->kind = kind;
    n->record = record_ref(is);
    link_owners(g, n);
    const Meta__ObjectMeta *meta = meta_of(n);
    touch_waiting_owners(g, n, &t);
    if (meta->n_ownerreferences || waits_for_dependents(n) || is_orphaning(n)) touch(arg, uid);
    if (waits_for_dependents(n)) touch_dependents(n, &t);
}

void gc_graph_set_absent(gc_graph_t *g, const char *uid) {
    if (map_len(&g->absent) >= GC_ABSENT_MAX) {
        map_done(&g->absent);
        g->absent = (map_t){0};
    }
    map_put(&g->absent, uid, (void *)1);
}

// ---- the plan ----------------------------------------------------------------------------------

typedef struct {
    const gc_graph_t *g;
    arena_t *arena;
    gc_plan_t *plan;
    size_t cap;
} planning_t;

static gc_action_t *add_action(planning_t *p, gc_verb_t verb, const gc_node_t *on) {
    assert(p->plan->actions_len < p->cap);
    gc_action_t *a = &p->plan->actions[p->plan->actions_len++];
    *a = (gc_action_t){.verb = verb, .on = on};
    return a;
}

typedef enum {
    OWNER_SOLID,
    OWNER_WAITING,
    OWNER_GONE,
    OWNER_UNSURE,
    OWNER_UNRESOLVED
} owner_state_t;

static owner_state_t state_of(const planning_t *p, const gc_node_t *n,
                              const Meta__OwnerReference *ref, const kind_t **ret_kind) {
    const kind_t *kind = kind_by_api_version(or_empty(ref->apiversion), or_empty(ref->kind));
    *ret_kind = kind;
    // A kind that nobody knows here cannot be looked for; nor can a namespaced owner of an object
    // that is in no namespace.
    if (!kind || (kind->namespaced && !*n->record->namespace_)) return OWNER_UNRESOLVED;
    const gc_node_t *owner = map_get(&p->g->nodes, or_empty(ref->uid));
    bool is_here = owner && owner->record &&
                   (!kind->namespaced || streq(owner->record->namespace_, n->record->namespace_));
    if (is_here) return waits_for_dependents(owner) ? OWNER_WAITING : OWNER_SOLID;
    return map_get(&p->g->absent, or_empty(ref->uid)) ? OWNER_GONE : OWNER_UNSURE;
}

// The list of owners without those that are gone or waiting (or, `drop` given, without that one).
static const char *owners_json(const planning_t *p, const gc_node_t *n, const char *drop_uid) {
    const Meta__ObjectMeta *meta = meta_of(n);
    text_t json = {.arena = p->arena};
    text_add(&json, "{\"metadata\":{\"ownerReferences\":[");
    const char *comma = "";
    for (size_t i = 0; i < meta->n_ownerreferences; i++) {
        const kind_t *kind;
        owner_state_t state = state_of(p, n, meta->ownerreferences[i], &kind);
        bool drop = drop_uid ? streq(or_empty(meta->ownerreferences[i]->uid), drop_uid)
                             : state == OWNER_GONE || state == OWNER_WAITING;
        if (drop) continue;
        text_add(&json, comma);
        json_write_msg(&meta->ownerreferences[i]->base, &json);
        comma = ",";
    }
    text_add(&json, "]}}");
    return text_str(&json);
}

static const char *finalizers_json(const planning_t *p, const gc_node_t *n, const char *without) {
    const Meta__ObjectMeta *meta = meta_of(n);
    text_t json = {.arena = p->arena};
    text_add(&json, "{\"metadata\":{\"finalizers\":[");
    const char *comma = "";
    for (size_t i = 0; i < meta->n_finalizers; i++) {
        if (streq(or_empty(meta->finalizers[i]), without)) continue;
        text_add(&json, comma);
        api_json_string(&json, meta->finalizers[i]);
        comma = ",";
    }
    text_add(&json, "]}}");
    return text_str(&json);
}

static const Meta__OwnerReference *reference_to(const gc_node_t *dependent, const char *uid) {
    const Meta__ObjectMeta *meta = meta_of(dependent);
    for (size_t i = 0; i < meta->n_ownerreferences; i++)
        if (streq(or_empty(meta->ownerreferences[i]->uid), uid)) return meta->ownerreferences[i];
    return NULL;
}

static bool blocks(const gc_node_t *dependent, const char *owner_uid) {
    const Meta__OwnerReference *ref = reference_to(dependent, owner_uid);
    return ref && ref->blockownerdeletion;
}

// The object waits for those that block it; when none is left its finalizer goes.
static void plan_waiting(planning_t *p, const gc_node_t *n) {
    for (size_t i = 0; i < n->dependents.len; i++) {
        const gc_node_t *dependent = n->dependents.at[i];
        if (dependent == n || !blocks(dependent, n->uid)) continue;
        // Each waits for the other: nobody would ever go. The circle is cut here.
        if (!(waits_for_dependents(dependent) && reference_to(n, dependent->uid))) return;
    }
    add_action(p, GC_PATCH, n)->json = finalizers_json(p, n, FOREGROUND);
}

static void plan_orphaning(planning_t *p, const gc_node_t *n) {
    size_t left = 0;
    for (size_t i = 0; i < n->dependents.len; i++) {
        const gc_node_t *dependent = n->dependents.at[i];
        if (dependent == n) continue;
        left++;
        add_action(p, GC_PATCH, dependent)->json = owners_json(p, dependent, n->uid);
    }
    // The owner goes only when the caches show that nobody refers to it any more.
    if (!left) add_action(p, GC_PATCH, n)->json = finalizers_json(p, n, ORPHAN);
}

static void plan_dependent(planning_t *p, const gc_node_t *n) {
    const Meta__ObjectMeta *meta = meta_of(n);
    size_t solid = 0, waiting = 0, gone = 0, unsure = 0;
    for (size_t i = 0; i < meta->n_ownerreferences; i++) {
        const kind_t *kind;
        switch (state_of(p, n, meta->ownerreferences[i], &kind)) {
        case OWNER_SOLID:
        case OWNER_UNRESOLVED: solid++; break;
        case OWNER_WAITING: waiting++; break;
        case OWNER_GONE: gone++; break;
        case OWNER_UNSURE: {
            gc_action_t *a = add_action(p, GC_LOOK, n);
            a->owner = meta->ownerreferences[i];
            a->owner_kind = kind;
            unsure++;
        }
        }
    }
    if (unsure) return; // decided when all is known
    if (solid) {
        if (gone || waiting) add_action(p, GC_PATCH, n)->json = owners_json(p, n, NULL);
    } else if (waiting && n->dependents.len) {
        add_action(p, GC_DELETE, n)->propagation = "Foreground";
    } else if (waiting || gone) {
        add_action(p, GC_DELETE, n)->propagation = has_finalizer(meta, ORPHAN)       ? "Orphan"
                                                   : has_finalizer(meta, FOREGROUND) ? "Foreground"
                                                                                     : "Background";
    }
}

void gc_plan(const gc_graph_t *g, const char *uid, arena_t *arena, gc_plan_t *ret_plan) {
    assert(g && uid && ret_plan);
    *ret_plan = (gc_plan_t){0};
    const gc_node_t *n = map_get(&g->nodes, uid);
    if (!n || !n->record) return;
    const Meta__ObjectMeta *meta = meta_of(n);
    planning_t p = {.g = g, .arena = arena, .plan = ret_plan};
    p.cap = n->dependents.len + meta->n_ownerreferences + 2;
    ret_plan->actions = ARENA_ARRAY(arena, gc_action_t, p.cap);
    if (is_orphaning(n))
        plan_orphaning(&p, n);
    else if (waits_for_dependents(n))
        plan_waiting(&p, n);
    else if (!meta->deletiontimestamp && meta->n_ownerreferences)
        plan_dependent(&p, n);
}

void gc_plan_print(const gc_plan_t *plan, text_t *out) {
    if (!plan->actions_len) text_add(out, "nothing to do\n");
    for (size_t i = 0; i < plan->actions_len; i++) {
        const gc_action_t *a = &plan->actions[i];
        const char *name = a->on->record->name;
        switch (a->verb) {
        case GC_LOOK: text_addf(out, "look for %s %s\n", a->owner->kind, a->owner->name); break;
        case GC_DELETE: text_addf(out, "delete %s %s\n", name, a->propagation); break;
        case GC_PATCH: text_addf(out, "patch %s %s\n", name, a->json); break;
        case GC_NOTHING: break;
        }
    }
}
