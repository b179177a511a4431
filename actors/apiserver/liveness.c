#include "actors/apiserver/liveness.h"

void liveness_done(liveness_t *l) {
    size_t at = 0;
    const char *name;
    void *value;
    while (map_next(&l->nodes, &at, &name, &value)) {
        node_life_t *one = value;
        free(one->name);
        free(one);
    }
    map_done(&l->nodes);
}

bool liveness_heard(liveness_t *l, const char *node, uint64_t incarnation, int64_t heard_ms) {
    node_life_t *one = map_get(&l->nodes, node);
    if (!one && map_len(&l->nodes) >= LIVENESS_NODES_MAX) return false;
    if (!one) {
        one = NEW(node_life_t);
        one->name = str_dup(node);
        map_put(&l->nodes, node, one);
    }
    if (incarnation < one->incarnation) return true; // a buried life's last words
    bool is_news = incarnation > one->incarnation || heard_ms > one->heard_ms;
    one->incarnation = incarnation;
    if (is_news) one->heard_ms = heard_ms;
    return true;
}

void liveness_forget(liveness_t *l, const char *node) {
    node_life_t *one = map_remove(&l->nodes, node);
    if (!one) return;
    free(one->name);
    free(one);
}

// A map holds pointers: two addresses stand for the two facts.
static const char told_alive, told_silent;

void listener_done(listener_t *listener) { map_done(&listener->told); }

void listener_forget(listener_t *listener, const char *node) { map_remove(&listener->told, node); }

bool listener_wants(const listener_t *listener, const char *node) {
    return map_get(&listener->told, node) != &told_alive;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const node_news_t *)a)->node, ((const node_news_t *)b)->node);
}

void listener_news(listener_t *listener, const liveness_t *l, int64_t now_ms,
                   node_news_list_t *ret_news, int64_t *ret_next_ms) {
    *ret_next_ms = INT64_MAX;
    size_t at = 0;
    const char *name;
    void *value;
    while (map_next(&l->nodes, &at, &name, &value)) {
        const node_life_t *one = value;
        int64_t silent_at_ms = one->heard_ms + listener->silent_after_ms;
        bool silent = now_ms >= silent_at_ms;
        if (!silent && silent_at_ms < *ret_next_ms) *ret_next_ms = silent_at_ms;
        void *fact = (void *)(silent ? &told_silent : &told_alive);
        if (map_get(&listener->told, name) == fact) continue;
        map_put(&listener->told, name, fact);
        vec_push(ret_news,
                 ((node_news_t){one->name, now_ms - one->heard_ms, silent, one->incarnation}));
    }
    if (ret_news->len > 1) qsort(ret_news->at, ret_news->len, sizeof *ret_news->at, by_name);
}
