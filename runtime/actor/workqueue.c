#include "runtime/actor/workqueue.h"

typedef enum { ITEM_IDLE, ITEM_WAITING, ITEM_QUEUED, ITEM_PROCESSING } item_state_t;

// idle: remembered only for its failures.
struct workitem {
    char *key;
    item_state_t state;
    bool again;          // added while processing
    int64_t again_at_ms; // … 0: at once, else not before
    int64_t due_ms;      // waiting
    size_t heap_at;      // waiting: its place in the heap
    unsigned failures;
    workitem_t *next; // queued
};

void workqueue_init(workqueue_t *q, int64_t backoff_first_ms, int64_t backoff_max_ms) {
    *q = (workqueue_t){
        .backoff_first_ms = backoff_first_ms ? backoff_first_ms : WORKQUEUE_BACKOFF_FIRST_MS,
        .backoff_max_ms = backoff_max_ms ? backoff_max_ms : WORKQUEUE_BACKOFF_MAX_MS,
    };
    assert(q->backoff_first_ms > 0 && q->backoff_first_ms <= q->backoff_max_ms);
}

static void item_free(workitem_t *item) {
    free(item->key);
    free(item);
}

void workqueue_done_all(workqueue_t *q) {
    size_t at = 0;
    const char *key;
    void *item;
    while (map_next(&q->items, &at, &key, &item)) item_free(item);
    map_done(&q->items);
    vec_done(&q->heap);
    *q = (workqueue_t){0};
}

// ---- the heap of waiting keys ------------------------------------------------------------------

static bool is_before(const workitem_t *a, const workitem_t *b) {
    return a->due_ms != b->due_ms ? a->due_ms < b->due_ms : strcmp(a->key, b->key) < 0;
}

static void heap_set(workqueue_t *q, size_t at, workitem_t *item) {
    q->heap.at[at] = item;
    item->heap_at = at;
}

static void heap_up(workqueue_t *q, size_t at) {
    workitem_t *item = q->heap.at[at];
    while (at > 0 && is_before(item, q->heap.at[(at - 1) / 2])) {
        heap_set(q, at, q->heap.at[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    heap_set(q, at, item);
}

static void heap_down(workqueue_t *q, size_t at) {
    workitem_t *item = q->heap.at[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= q->heap.len) break;
        if (child + 1 < q->heap.len && is_before(q->heap.at[child + 1], q->heap.at[child])) child++;
        if (!is_before(q->heap.at[child], item)) break;
        heap_set(q, at, q->heap.at[child]);
        at = child;
    }
    heap_set(q, at, item);
}

static void heap_remove(workqueue_t *q, workitem_t *item) {
    size_t at = item->heap_at;
    assert(q->heap.at[at] == item);
    workitem_t *last = q->heap.at[--q->heap.len];
    if (last == item) return;
    heap_set(q, at, last);
    heap_up(q, at);
    heap_down(q, last->heap_at);
}

// ---- moves -------------------------------------------------------------------------------------

static workitem_t *item_of(workqueue_t *q, const char *key) {
    assert(key && *key);
    workitem_t *item = map_get(&q->items, key);
    if (item) return item;
    item = NEW(workitem_t);
    item->key = str_dup(key);
    map_put(&q->items, key, item);
    return item;
}

static void enqueue(workqueue_t *q, workitem_t *item) {
    if (item->state == ITEM_WAITING) heap_remove(q, item);
    item->state = ITEM_QUEUED;
    item->next = NULL;
    if (q->last)
        q->last->next = item;
    else
        q->first = item;
    q->last = item;
    q->queued_len++;
}

static void wait_until(workqueue_t *q, workitem_t *item, int64_t due_ms) {
    if (item->state == ITEM_WAITING) {
        if (due_ms >= item->due_ms) return;
        item->due_ms = due_ms;
        heap_up(q, item->heap_at);
        return;
    }
    item->state = ITEM_WAITING;
    item->due_ms = due_ms;
    vec_push(&q->heap, item);
    heap_up(q, q->heap.len - 1);
}

void workqueue_add(workqueue_t *q, const char *key) {
    workitem_t *item = item_of(q, key);
    if (item->state == ITEM_QUEUED) return;
    if (item->state == ITEM_PROCESSING) {
        item->again = true;
        item->again_at_ms = 0;
        return;
    }
    enqueue(q, item);
}

void workqueue_add_after(workqueue_t *q, const char *key, int64_t now_ms, int64_t delay_ms) {
    if (delay_ms <= 0) {
        workqueue_add(q, key);
        return;
    }
    workitem_t *item = item_of(q, key);
    int64_t due_ms = now_ms + delay_ms;
    if (item->state == ITEM_QUEUED) return;
    if (item->state == ITEM_PROCESSING) {
        if (!item->again || due_ms < item->again_at_ms) item->again_at_ms = due_ms;
        item->again = true;
        return;
    }
    wait_until(q, item, due_ms);
}

void workqueue_add_limited(workqueue_t *q, const char *key, int64_t now_ms) {
    workitem_t *item = item_of(q, key);
    int64_t delay_ms = q->backoff_first_ms;
    for (unsigned i = 0; i < item->failures && delay_ms < q->backoff_max_ms; i++) delay_ms *= 2;
    if (delay_ms > q->backoff_max_ms) delay_ms = q->backoff_max_ms;
    item->failures++;
    workqueue_add_after(q, key, now_ms, delay_ms);
}

static void drop_if_idle(workqueue_t *q, workitem_t *item) {
    if (item->state != ITEM_IDLE || item->failures) return;
    map_remove(&q->items, item->key);
    item_free(item);
}

void workqueue_forget(workqueue_t *q, const char *key) {
    workitem_t *item = map_get(&q->items, key);
    if (!item) return;
    item->failures = 0;
    drop_if_idle(q, item);
}

unsigned workqueue_failures(const workqueue_t *q, const char *key) {
    const workitem_t *item = map_get(&q->items, key);
    return item ? item->failures : 0;
}

const char *workqueue_next(workqueue_t *q, int64_t now_ms) {
    while (q->heap.len && q->heap.at[0]->due_ms <= now_ms) enqueue(q, q->heap.at[0]);
    workitem_t *item = q->first;
    if (!item) return NULL;
    q->first = item->next;
    if (!q->first) q->last = NULL;
    q->queued_len--;
    q->processing_len++;
    item->next = NULL;
    item->state = ITEM_PROCESSING;
    item->again = false;
    return item->key;
}

void workqueue_finish(workqueue_t *q, const char *key) {
    workitem_t *item = map_get(&q->items, key);
    assert(item && item->state == ITEM_PROCESSING);
    q->processing_len--;
    item->state = ITEM_IDLE;
    if (!item->again) {
        drop_if_idle(q, item);
        return;
    }
    item->again = false;
    if (item->again_at_ms == 0)
        enqueue(q, item);
    else
        wait_until(q, item, item->again_at_ms);
}

bool workqueue_is_processing(const workqueue_t *q, const char *key) {
    const workitem_t *item = map_get(&q->items, key);
    return item && item->state == ITEM_PROCESSING;
}

int64_t workqueue_deadline_ms(const workqueue_t *q) {
    if (q->first) return 0;
    return q->heap.len ? q->heap.at[0]->due_ms : INT64_MAX;
}
