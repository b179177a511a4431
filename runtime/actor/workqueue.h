// workqueue - keys that want work: each once, some later, failing ones ever later.
//
// Pure: the caller tells the time. A key is waiting (has a due time), queued (first in, first out),
// or being processed; adding it in any state never doubles it. A key added while it is processed
// is queued again when it is done, so nothing that happened meanwhile is lost.
//
//     add ─► queued ─► next ─► processing ─► done ─► (gone, or queued again if added meanwhile)
//              ▲
//     add_after ─► waiting ─┘ when due; an earlier time wins
#pragma once
#include "runtime/base/map.h"
#include "runtime/base/vec.h"

enum {
    WORKQUEUE_BACKOFF_FIRST_MS = 5,       // as client-go's default limiter
    WORKQUEUE_BACKOFF_MAX_MS = 60 * 1000, // client-go waits up to 1000 s; nobody likes that
};

typedef struct workitem workitem_t;
typedef struct {
    map_t items;              // key -> workitem_t, owned
    workitem_t *first, *last; // queued, in order
    VEC(workitem_t *) heap;   // waiting, earliest due first
    size_t queued_len, processing_len;
    int64_t backoff_first_ms, backoff_max_ms;
} workqueue_t;

// 0 for the defaults.
void workqueue_init(workqueue_t *q, int64_t backoff_first_ms, int64_t backoff_max_ms);
void workqueue_done_all(workqueue_t *q); // frees everything; the queue may be used again after init

void workqueue_add(workqueue_t *q, const char *key);
void workqueue_add_after(workqueue_t *q, const char *key, int64_t now_ms, int64_t delay_ms);
// Again after the key's own back-off, which doubles with each call until workqueue_forget.
void workqueue_add_limited(workqueue_t *q, const char *key, int64_t now_ms);
void workqueue_forget(workqueue_t *q, const char *key);
unsigned workqueue_failures(const workqueue_t *q, const char *key);

// The next due key; it is then being processed until workqueue_finish. NULL: none is due. The
// string is the queue's and lives until the key is finished.
const char *workqueue_next(workqueue_t *q, int64_t now_ms);
void workqueue_finish(workqueue_t *q, const char *key);
bool workqueue_is_processing(const workqueue_t *q, const char *key);

// When workqueue_next will have something: 0 if it has now, INT64_MAX if nothing waits.
int64_t workqueue_deadline_ms(const workqueue_t *q);
