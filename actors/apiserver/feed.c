// feed - one watch of the whole store keeps the cache.
//
//     STARTS ──► read where the store is (R) ──► LOADS pages as of R - history ──► WATCHES from
//     there
//        ▲                                          │ compacted: as of R                 │
//        └── what was seen is compacted, or the store is another one ◄───────────────────┘
//                                              (a lost stream alone: watch again where it stopped)
//
// Loading begins a little in the past, so that the window holds the last changes when requests run:
// watchers of an API server that was killed resume instead of listing everything again.
#include "actors/apiserver/server.h"

#define FEED_FIRST KEYS_REGISTRY
#define FEED_END   "/troupe0" // addresses held and epochs lie behind the registry

static ProtobufCBinaryData binary(const char *text) {
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
}

static void retry_later(actor_t *me) {
    server_t *s = actor_state(me);
    s->feed.backoff_ms = s->feed.backoff_ms ? s->feed.backoff_ms * 2 : 20;
    if (s->feed.backoff_ms > FEED_RETRY_MAX_MS) s->feed.backoff_ms = FEED_RETRY_MAX_MS;
    actor_timer(me, TAG_FEED_RETRY, s->feed.backoff_ms);
}

// ---- loading ------------------------------------------------------------------------------------
static void ask_page(actor_t *me) {
    server_t *s = actor_state(me);
    Store__RangeRequest range = STORE__RANGE_REQUEST__INIT;
    if (s->feed.phase == FEED_STARTS) {
        range.key = binary(KEYS_NOTHING);
        range.keys_only = true;
    } else {
        range.key = binary(s->feed.load_from);
        range.range_end = binary(FEED_END);
        range.limit = FEED_PAGE;
        range.revision = s->feed.load_revision;
    }
    actor_ask(me, "store", &range.base, STORE_TIMEOUT_MS, TAG_FEED_PAGE);
}

void feed_start(actor_t *me) {
    server_t *s = actor_state(me);
    s->feed.phase = FEED_STARTS;
    ask_page(me);
}

static void load_from(actor_t *me, int64_t revision) {
    server_t *s = actor_state(me);
    s->feed.phase = FEED_LOADS;
    s->feed.load_revision = revision;
    free(s->feed.load_from);
    s->feed.load_from = str_dup(FEED_FIRST);
    cache_reset(&s->cache, revision);
    allocs_reset(&s->allocs);
    ask_page(me);
}

static bool key_is_alloc(bytes_t key) {
    static const char prefix[] = "/troupe/alloc/";
    return key.len > sizeof prefix - 1 && memcmp(key.at, prefix, sizeof prefix - 1) == 0;
}

static void take_key(actor_t *me, const Store__KeyValue *kv) {
    server_t *s = actor_state(me);
    bytes_t key = {kv->key.data, kv->key.len}, value = {kv->value.data, kv->value.len}, path;
    const kind_t *k = keys_kind(key, &path);
    if (k && !cache_load(&s->cache, k, path, value, kv->mod_revision))
        log_error("apiserver", "unreadable object at %.*s", (int)key.len, (const char *)key.at);
    else if (!k && key_is_alloc(key))
        allocs_set(&s->allocs, key, value);
    else if (!k)
        leaders_on_key(me, key, value);
}

static void open_watch(actor_t *me) {
    server_t *s = actor_state(me);
    Store__WatchRequest watch = STORE__WATCH_REQUEST__INIT;
    watch.key = binary(FEED_FIRST);
    watch.range_end = binary(FEED_END);
    watch.from_revision = s->cache.revision + 1;
    s->feed.phase = FEED_WATCHES;
    s->feed.progress_asked = false;
    s->feed.stream = actor_open(me, "store", &watch.base, STREAM_WINDOW_DEFAULT, TAG_FEED_WATCH);
}

static void become_ready_if_caught_up(actor_t *me) {
    server_t *s = actor_state(me);
    if (s->feed.is_ready || s->cache.revision < s->feed.target) return;
    s->feed.is_ready = true;
    jobs_on_ready(me);
}

void feed_on_page(actor_t *me, const Store__RangeReply *page) {
    server_t *s = actor_state(me);
    s->feed.backoff_ms = 0;
    if (s->feed.phase == FEED_STARTS) {
        s->feed.target = page->revision;
        int64_t back = page->revision - s->args.history_revisions;
        if (back < 1) back = 1; // the first revision of a young store
        load_from(me, back < page->revision ? back : page->revision);
        return;
    }
    for (size_t i = 0; i < page->n_kvs; i++) take_key(me, page->kvs[i]);
    if (!page->more || page->n_kvs == 0) {
        open_watch(me);
        become_ready_if_caught_up(me);
        return;
    }
    // The next key in byte order: the last one with a zero byte behind it, which a key of ours
    // never has; '\1' is the first that can follow in text.
    const Store__KeyValue *last = page->kvs[page->n_kvs - 1];
    free(s->feed.load_from);
    s->feed.load_from = str_printf("%.*s\1", (int)last->key.len, (const char *)last->key.data);
    ask_page(me);
}

// ---- changes ------------------------------------------------------------------------------------
static void take_event(actor_t *me, const Store__Event *event) {
    server_t *s = actor_state(me);
    const Store__KeyValue *kv = event->kv;
    if (!kv || kv->mod_revision <= s->cache.revision) return;
    bytes_t key = {kv->key.data, kv->key.len}, value = {kv->value.data, kv->value.len}, path;
    const kind_t *k = keys_kind(key, &path);
    if (!k && key_is_alloc(key)) {
        if (event->deleted)
            allocs_remove(&s->allocs, key);
        else
            allocs_set(&s->allocs, key, value);
    }
    if (!k) {
        if (!event->deleted) leaders_on_key(me, key, value);
        return;
    }
    change_t *ch = event->deleted ? cache_remove(&s->cache, k, path, kv->mod_revision)
                                  : cache_put(&s->cache, k, path, value, kv->mod_revision);
    // The `kubernetes` service and the first namespaces come back when somebody deletes them.
    if (event->deleted) s->first_objects_done = false;
    if (event->deleted && k->type == &core__node__descriptor) lives_forget(me, path);
    if (ch)
        watchers_offer(&s->watchers, k, ch);
    else if (!event->deleted)
        log_error("apiserver", "unreadable object at %.*s", (int)key.len, (const char *)key.at);
}

// The store counts from less than we have seen: it was restored from a snapshot without telling.
static bool is_another_store(const server_t *s, const Store__WatchEvents *events) {
    return events->created && events->revision > 0 && events->revision < s->cache.revision - 1;
}

static void start_over(actor_t *me, const char *why) {
    server_t *s = actor_state(me);
    log_warn("apiserver", "reads the store anew: %s", why);
    if (s->feed.stream) actor_cancel(me, s->feed.stream);
    s->feed.stream = 0;
    s->feed.is_ready = false;
    watches_end_all(me, ERR_EXPIRED, "The resourceVersion for the provided watch is too old.");
    feed_start(me);
}

void feed_on_events(actor_t *me, const Store__WatchEvents *events) {
    server_t *s = actor_state(me);
    s->feed.backoff_ms = 0;
    if (is_another_store(s, events)) {
        start_over(me, "its revisions went back");
        return;
    }
    for (size_t i = 0; i < events->n_events; i++) take_event(me, events->events[i]);
    if (events->created) {
        if (!s->feed.is_ready) feed_ask_progress(me);
        return;
    }
    s->feed.progress_asked = false;
    if (events->fragment || events->revision <= s->cache.revision) return;
    cache_advance(&s->cache, events->revision);
    become_ready_if_caught_up(me);
    jobs_on_cache(me);
}

void feed_ask_progress(actor_t *me) {
    server_t *s = actor_state(me);
    if (!s->feed.stream || s->feed.progress_asked) return;
    Store__WatchProgress progress = STORE__WATCH_PROGRESS__INIT;
    s->feed.progress_asked = actor_push(me, s->feed.stream, &progress.base);
}

// ---- trouble ------------------------------------------------------------------------------------
void feed_on_lost(actor_t *me, err_t err, const char *why) {
    server_t *s = actor_state(me);
    s->feed.stream = 0;
    bool is_too_old = err == ERR_COMPACTED || err == ERR_EXPIRED || err == ERR_FUTURE_REVISION;
    bool reads_past = s->feed.phase == FEED_LOADS && s->feed.load_revision < s->feed.target;
    if (is_too_old && s->feed.phase == FEED_WATCHES) {
        start_over(me, why);
    } else if (reads_past && !err_is_retryable(err)) {
        load_from(me, s->feed.target); // the past is compacted: no history then
    } else {
        if (is_too_old) s->feed.phase = FEED_STARTS;
        retry_later(me);
    }
}

void feed_on_retry(actor_t *me) {
    server_t *s = actor_state(me);
    if (s->feed.phase == FEED_WATCHES)
        open_watch(me);
    else
        ask_page(me);
}

void feed_stop(server_t *s) { free(s->feed.load_from); }
