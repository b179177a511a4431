// watchers - who watches what, and what each of them is still to be sent.
//
//     change ──► watchers_offer ──► queues of those whom it may concern ──► watcher_fill: one chunk
//
// A selector is judged when the chunk is filled, so that a change costs each watcher only what it
// is sent. An object that stops matching is sent as DELETED with its old state and the revision of
// the change; one that starts matching as ADDED. Watchers with the same wish share the packed
// chunk. A watcher that lets WATCHER_QUEUE_MAX changes pile up is given up: it resumes from the
// revision it has seen.
//
// Pure: the shell owns the streams and sends.
#pragma once
#include "actors/apiserver/selection.h"
#include "troupe/api.pb-c.h"

enum {
    WATCHER_QUEUE_MAX = 4096, // changes not yet sent to one watcher
    WATCH_CHUNK_EVENTS_MAX = 500,
    WATCH_CHUNK_MAX_BYTES = 256 * 1024, // a chunk is closed by the event that reaches it
};

typedef struct {
    uint64_t stream; // the shell's handle
    arena_t arena;   // holds the selection
    selection_t selection;
    bool bookmarks;
    bool dirty;            // stands in watchers_t.dirty
    bool given_up;         // too slow: the shell ends its stream
    cached_list_t initial; // still to be sent as ADDED
    size_t initial_at;
    bool mark_due;   // a progress mark ends the initial events, or what a fresh watcher missed
    int64_t mark_at; // every change up to here comes before it
    VEC(change_t *) queue;
    size_t queue_at;
    int64_t seen; // every change up to here is sent or in the queue
    int64_t sent; // told the watcher: everything up to here was sent
} watcher_t;

typedef struct {
    imap_t by_stream;
    VEC(watcher_t *) all;
    map_t by_node;          // of those who watch one node's pods: node -> list of watchers
    map_t by_name;          // of those who watch one name: name -> list of watchers
    VEC(watcher_t *) rest;  // all others: every change may concern them
    VEC(watcher_t *) dirty; // something to send
    struct {                // the last chunk made, for the next watcher with the same wish
        const kind_t *asked;
        char *prefix;
        change_t *first, *last;
        blob_t *blob;
    } shared;
} watchers_t;

void watchers_done(watchers_t *w);
// Takes `arena` (the content of), in which the selection lies. *borrowed*.
watcher_t *watchers_add(watchers_t *w, uint64_t stream, arena_t *arena,
                        const selection_t *selection, bool bookmarks);
watcher_t *watchers_get(const watchers_t *w, uint64_t stream);
void watchers_remove(watchers_t *w, uint64_t stream);

// Start: with the present objects, then a mark; or with the changes after `revision`, which fails
// with ERR_EXPIRED when the window does not reach back that far.
void watcher_start_now(watchers_t *w, watcher_t *one, const cache_t *c);
// `mark`: with a mark behind what the cache holds now.
err_t watcher_start_after(watchers_t *w, watcher_t *one, const cache_t *c, int64_t revision,
                          bool mark) MUST_USE;

// A change of `stored` happened: queue it for everybody whom it may concern.
void watchers_offer(watchers_t *w, const kind_t *stored, change_t *ch);
void watcher_make_dirty(watchers_t *w, watcher_t *one);
bool watcher_has_work(const watcher_t *one);

// The next chunk, packed. NULL: nothing to send just now (all that stood there did not match).
// *ret_looked_at counts the objects judged, for the caller's budget. *returned*.
blob_t *watcher_fill(watchers_t *w, watcher_t *one, size_t budget, size_t *ret_looked_at);
// A mark for an idle watcher: nothing more up to `revision`. *returned*.
blob_t *watcher_mark(watcher_t *one, int64_t revision);
