#include "cli/troupe/simulate_rules.h"

enum { POD_PORT = 80 }; // what the client's services have, inside and out

typedef struct {
    int64_t since_ms;
    uint64_t look; // the last one that saw it
} wrong_t;

static void read_done(rules_read_t *r) { arena_done(&r->arena); }

void rules_check_done(rules_check_t *c) {
    size_t at = 0;
    void *wrong;
    while (map_next(&c->wrong, &at, NULL, &wrong)) free(wrong);
    map_done(&c->wrong);
    for (size_t i = 0; i < c->read.len; i++) read_done(&c->read.at[i]);
    vec_done(&c->read);
}

// ---- what should be ----------------------------------------------------------------------------
typedef struct {
    table_roads_t must, may; // sorted; every road of `must` is in `may`
} wanted_t;

static bool is_true(const Core__Pod *pod, const char *condition) {
    for (size_t i = 0; pod->status && i < pod->status->n_conditions; i++)
        if (streq(pod->status->conditions[i]->type, condition))
            return streq(pod->status->conditions[i]->status, "True");
    return false;
}

static const char *label_app(const Core__Pod *pod) {
    for (size_t i = 0; i < pod->metadata->n_labels; i++)
        if (streq(pod->metadata->labels[i]->key, "app")) return pod->metadata->labels[i]->value;
    return "";
}

static int text_order(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void sort(table_roads_t *roads) {
    if (roads->len) qsort(roads->at, roads->len, sizeof *roads->at, text_order);
}

static bool has(const table_roads_t *roads, const char *road) {
    return roads->len && bsearch(&road, roads->at, roads->len, sizeof *roads->at, text_order);
}

// A service's name is the label of its pods. One that leaves may serve on where no other does.
static wanted_t wanted(arena_t *arena, records_t services, records_t pods) {
    map_t addresses = {0};
    wanted_t w = {{ARENA_ARRAY(arena, const char *, pods.len + 1)},
                  {ARENA_ARRAY(arena, const char *, pods.len + 1)}};
    for (size_t i = 0; i < services.len; i++) {
        const Core__Service *s = RECORD_AS(Core__Service, services.at[i]);
        if (!is_empty(s->spec->clusterip))
            map_put(&addresses, s->metadata->name, (char *)s->spec->clusterip);
    }
    for (size_t i = 0; i < pods.len; i++) {
        const Core__Pod *pod = RECORD_AS(Core__Pod, pods.at[i]);
        const char *address = map_get(&addresses, label_app(pod));
        if (!address || !is_true(pod, "Ready") || is_empty(pod->status->podip)) continue;
        const char *road =
            arena_printf(arena, "%s:%d %s:%d", address, POD_PORT, pod->status->podip, POD_PORT);
        w.may.at[w.may.len++] = road;
        if (!pod->metadata->deletiontimestamp) w.must.at[w.must.len++] = road;
    }
    map_done(&addresses);
    sort(&w.must);
    sort(&w.may);
    return w;
}

// ---- what is -----------------------------------------------------------------------------------
static const table_roads_t *roads_of(rules_check_t *c, size_t i, const rules_node_t *node) {
    while (c->read.len <= i) vec_push(&c->read, (rules_read_t){0});
    rules_read_t *read = &c->read.at[i];
    if (read->version != tables_fake_version(node->tables)) {
        arena_clear(&read->arena);
        tables_fake_roads(node->tables, &read->arena, &read->roads);
        read->version = tables_fake_version(node->tables);
    }
    return &read->roads;
}

static void suspect(rules_check_t *c, arena_t *arena, const char *node, const char *says,
                    const char *road, int64_t now_ms) {
    const char *key = arena_printf(arena, "%s %s %s", node, says, road);
    wrong_t *wrong = map_get(&c->wrong, key);
    if (!wrong) {
        wrong = NEW(wrong_t);
        wrong->since_ms = now_ms;
        map_put(&c->wrong, key, wrong);
    }
    wrong->look = c->looks;
    if (now_ms - wrong->since_ms > RULES_BOUND_MS && !c->finding.broken[0])
        snprintf(c->finding.broken, sizeof c->finding.broken, "rules of %s, for %lld ms", key,
                 (long long)(now_ms - wrong->since_ms));
}

static void forget_what_is_right_again(rules_check_t *c) {
    VEC(char *) right = {0};
    size_t at = 0;
    const char *key;
    void *wrong;
    while (map_next(&c->wrong, &at, &key, &wrong))
        if (((wrong_t *)wrong)->look != c->looks) vec_push(&right, str_dup(key));
    for (size_t i = 0; i < right.len; i++) {
        free(map_remove(&c->wrong, right.at[i]));
        free(right.at[i]);
    }
    vec_done(&right);
}

void rules_look(rules_check_t *c, arena_t *arena, const rules_node_t *nodes, size_t nodes_len,
                records_t services, records_t pods, int64_t now_ms) {
    wanted_t w = wanted(arena, services, pods);
    c->looks++;
    c->looked_ms = now_ms;
    for (size_t i = 0; i < nodes_len; i++) {
        const table_roads_t *roads = roads_of(c, i, &nodes[i]);
        c->finding.checked += (int64_t)w.must.len;
        for (size_t k = 0; k < w.must.len; k++)
            if (!has(roads, w.must.at[k]))
                suspect(c, arena, nodes[i].node, "lack", w.must.at[k], now_ms);
        for (size_t k = 0; k < roads->len; k++)
            if (!has(&w.may, roads->at[k]))
                suspect(c, arena, nodes[i].node, "keep", roads->at[k], now_ms);
    }
    forget_what_is_right_again(c);
}

const char *rules_missing(const rules_check_t *c, arena_t *arena) {
    size_t at = 0;
    const char *key;
    void *wrong;
    if (!map_next(&c->wrong, &at, &key, &wrong)) return NULL;
    return arena_printf(arena, "rules of %s", key);
}
