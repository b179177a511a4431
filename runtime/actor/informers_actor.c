#include "runtime/actor/informers_actor.h"
#include "runtime/base/text.h"

enum {
    CHUNK_MAX = 512,           // records in one chunk
    CHUNKS_PER_SETTLE = 16,    // a round stays below its 5 ms
    TAG_IDLE = UINT64_MAX - 1, // timer
};

// ---- state -------------------------------------------------------------------------------------

typedef struct {
    uint64_t stream;
    bool waits;       // for the first whole view, or for a fresh one
    bool is_listing;  // is sent what is there, in the order of keys
    bool begins;      // … and nothing of it yet
    char *after;      // … behind this key; NULL: from the first
    uint64_t next;    // number of the next change to send
    int64_t told;     // the last revision it was told
    uint64_t listing; // of the informer, when it was last begun with the whole
} follower_t;

// A wish, and all who have it.
typedef struct {
    informer_t *inf;
    informer_spec_t spec; // owns its strings
    VEC(record_change_t) changes;
    uint64_t first; // number of the first of them
    VEC(follower_t *) followers;
    // The last chunk made, for the next follower at the same place.
    struct {
        uint64_t from, to;
        int64_t revision;
        blob_t *blob;
    } last;
} wish_t;

typedef struct {
    VEC(wish_t *) wishes;
    uint64_t last_tag;
    bool idle_is_set;
} informers_state_t;

static void follower_destroy(follower_t **follower) {
    follower_t *f = x_steal(follower);
    free(f->after);
    free(f);
}

static void wish_destroy(wish_t **wish) {
    wish_t *w = x_steal(wish);
    for (size_t i = 0; i < w->followers.len; i++) follower_destroy(&w->followers.at[i]);
    vec_done(&w->followers);
    for (size_t i = 0; i < w->changes.len; i++) record_unref(&w->changes.at[i].record);
    vec_done(&w->changes);
    blob_unref(&w->last.blob);
    informer_destroy(&w->inf);
    free((char *)w->spec.namespace_);
    free((char *)w->spec.label_selector);
    free((char *)w->spec.field_selector);
    free(w);
}

// ---- what the watches say ----------------------------------------------------------------------

static uint64_t changes_end(const wish_t *w) { return w->first + w->changes.len; }

static void forget_changes(wish_t *w, size_t len) {
    if (!len) return;
    for (size_t i = 0; i < len; i++) record_unref(&w->changes.at[i].record);
    w->changes.len -= len;
    memmove(w->changes.at, w->changes.at + len, w->changes.len * sizeof *w->changes.at);
    w->first += len;
}

static void on_change(void *arg, const record_t *was, const record_t *is) {
    wish_t *w = arg;
    // Who is too far behind is sent the whole anew.
    if (w->changes.len == INFORMERS_BEHIND_MAX) forget_changes(w, INFORMERS_BEHIND_MAX / 2);
    vec_push(&w->changes,
             ((record_change_t){is ? 0 : informer_gone_at(w->inf), record_ref(is ? is : was)}));
}

static void on_informer(actor_t *me, const message_t *msg, const void *body) {
    informers_state_t *self = actor_state(me);
    for (size_t i = 0; i < self->wishes.len; i++)
        if (informer_handle(self->wishes.at[i]->inf, me, msg, body)) return;
}

// ---- followers come and go ---------------------------------------------------------------------

static wish_t *wish_find(const informers_state_t *self, const kind_t *kind, const Api__Watch *ask) {
    for (size_t i = 0; i < self->wishes.len; i++) {
        const informer_spec_t *spec = &self->wishes.at[i]->spec;
        if (spec->kind == kind && streq(spec->namespace_, or_empty(ask->resource->namespace_)) &&
            streq(spec->label_selector, or_empty(ask->label_selector)) &&
            streq(spec->field_selector, or_empty(ask->field_selector)))
            return self->wishes.at[i];
    }
    return NULL;
}

static wish_t *wish_new(actor_t *me, const kind_t *kind, const Api__Watch *ask) {
    informers_state_t *self = actor_state(me);
    wish_t *w = NEW(wish_t);
    w->spec = (informer_spec_t){
        .kind = kind,
        .namespace_ = str_dup(or_empty(ask->resource->namespace_)),
        .label_selector = str_dup(or_empty(ask->label_selector)),
        .field_selector = str_dup(or_empty(ask->field_selector)),
        .tag = ++self->last_tag,
    };
    w->inf = informer_new(&w->spec);
    informer_subscribe(w->inf, on_change, w);
    informer_start(w->inf, me);
    vec_push(&self->wishes, w);
    return w;
}

static void on_watch(actor_t *me, const message_t *msg, const void *body) {
    informers_state_t *self = actor_state(me);
    const Api__Watch *ask = body;
    const Api__Resource *r = ask->resource;
    if (msg->principal || !msg->stream_window) {
        actor_fail(me, msg, ERR_FORBIDDEN, "informers feed the actors of their own process");
        return;
    }
    const kind_t *kind =
        r ? kind_by_plural(or_empty(r->group), or_empty(r->version), or_empty(r->plural)) : NULL;
    if (!kind || !is_empty(r->name)) {
        actor_fail(me, msg, ERR_NOT_FOUND, "no such resource to follow");
        return;
    }
    wish_t *w = wish_find(self, kind, ask);
    if (!w && self->wishes.len >= INFORMERS_WISHES_MAX) {
        actor_fail(me, msg, ERR_OVERLOADED, "too many kinds and selectors are followed");
        return;
    }
    if (!w)
        w = wish_new(me, kind, ask);
    else if (ask->fresh)
        informer_refresh(w->inf, me);
    follower_t *f = NEW(follower_t);
    *f = (follower_t){.stream = actor_stream_accept(me, msg, 0), .waits = true};
    vec_push(&w->followers, f);
}

static void on_gone(actor_t *me, const message_t *msg, const void *body) {
    informers_state_t *self = actor_state(me);
    uint64_t stream = ((const Actor__StreamGone *)body)->stream;
    for (size_t i = 0; i < self->wishes.len; i++) {
        wish_t *w = self->wishes.at[i];
        for (size_t j = 0; j < w->followers.len; j++) {
            if (w->followers.at[j]->stream != stream) continue;
            follower_destroy(&w->followers.at[j]);
            vec_swap_remove(&w->followers, j);
            break;
        }
        if (w->followers.len > 0 || self->idle_is_set) continue;
        actor_timer(me, TAG_IDLE, INFORMERS_IDLE_MS);
        self->idle_is_set = true;
    }
}

static void on_credit(actor_t *me, const message_t *msg, const void *body) {
    // settle looks who can be sent something
}

static void drop_unwanted(actor_t *me) {
    informers_state_t *self = actor_state(me);
    self->idle_is_set = false;
    for (size_t i = self->wishes.len; i-- > 0;) {
        if (self->wishes.at[i]->followers.len > 0) continue;
        informer_stop(self->wishes.at[i]->inf, me);
        wish_destroy(&self->wishes.at[i]);
        vec_remove(&self->wishes, i);
    }
}

static void on_timer(actor_t *me, uint64_t tag) {
    informers_state_t *self = actor_state(me);
    for (size_t i = 0; i < self->wishes.len; i++)
        if (informer_timer(self->wishes.at[i]->inf, me, tag)) return;
    if (tag == TAG_IDLE) drop_unwanted(me);
}

// ---- settle: send ------------------------------------------------------------------------------

static blob_t *chunk_blob(Api__WatchEvents *chunk, record_changes_t *changes) {
    chunk->base.descriptor = &api__watch_events__descriptor;
    arena_t arena = {0};
    blob_t *blob = blob_with(msg_pack(&arena, &chunk->base), changes, record_changes_drop);
    arena_done(&arena);
    return blob;
}

static void send_chunk(actor_t *me, const follower_t *f, blob_t *blob) {
    bool sent = actor_stream_send_blob(me, f->stream, &api__watch_events__descriptor, blob);
    assert(sent); // there was credit
}

static size_t place_behind(records_t all, const char *key) {
    size_t low = 0, high = key ? all.len : 0;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (strcmp(all.at[mid]->key, key) <= 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static void begin_whole(const wish_t *w, follower_t *f) {
    f->waits = false;
    f->is_listing = f->begins = true;
    f->listing = informer_listings(w->inf);
    free(f->after);
    f->after = NULL;
    f->next = changes_end(w); // what is listed later is newer: these do not undo it
}

static void send_listed(actor_t *me, wish_t *w, follower_t *f) {
    records_t all = informer_all(w->inf);
    size_t from = place_behind(all, f->after), len = all.len - from;
    f->is_listing = len > CHUNK_MAX;
    if (f->is_listing) len = CHUNK_MAX;
    record_changes_t *changes = record_changes_new(len);
    for (size_t i = 0; i < len; i++) changes->at[i].record = record_ref(all.at[from + i]);
    Api__WatchEvents chunk = {.whole = f->begins};
    Api__WatchEvent mark = {.base.descriptor = &api__watch_event__descriptor,
                            .type = API__WATCH_EVENT__TYPE__BOOKMARK,
                            .revision = informer_revision(w->inf)};
    Api__WatchEvent *events[] = {&mark};
    if (f->is_listing) {
        free(f->after);
        f->after = str_dup(all.at[from + len - 1]->key);
    } else {
        chunk.n_events = 1;
        chunk.events = events;
        f->told = mark.revision;
    }
    f->begins = false;
    blob_t *blob = chunk_blob(&chunk, changes);
    send_chunk(me, f, blob);
    blob_unref(&blob);
}

static void send_changes(actor_t *me, wish_t *w, follower_t *f) {
    uint64_t to = changes_end(w);
    if (to - f->next > CHUNK_MAX) to = f->next + CHUNK_MAX;
    // Only with the last of them everything up to that revision has been sent.
    int64_t revision = to == changes_end(w) ? informer_revision(w->inf) : 0;
    if (!w->last.blob || w->last.from != f->next || w->last.to != to ||
        w->last.revision != revision) {
        record_changes_t *changes = record_changes_new(to - f->next);
        for (size_t i = 0; i < changes->len; i++) {
            const record_change_t *c = &w->changes.at[f->next - w->first + i];
            changes->at[i] = (record_change_t){c->gone_at, record_ref(c->record)};
        }
        Api__WatchEvents chunk = {.revision = revision};
        blob_unref(&w->last.blob);
        w->last.blob = chunk_blob(&chunk, changes);
        w->last.from = f->next, w->last.to = to, w->last.revision = revision;
    }
    send_chunk(me, f, w->last.blob);
    f->next = to;
    if (revision) f->told = revision;
}

// False: the budget is used up.
static bool serve(actor_t *me, wish_t *w, follower_t *f, size_t *budget) {
    // While the informer itself lists anew, what there is is not whole.
    if (!informer_is_fresh(w->inf) && f->waits) return true;
    if (!informer_revision(w->inf)) return true;
    // What it learned by itself may be gone unseen by a listing.
    if (f->waits || f->listing != informer_listings(w->inf)) begin_whole(w, f);
    for (; actor_stream_credit(me, f->stream) > 0; --*budget) {
        bool has_news = f->next < changes_end(w) || f->told < informer_revision(w->inf);
        if (!f->is_listing && !has_news) return true;
        if (!*budget) return false;
        if (f->next < w->first) begin_whole(w, f);
        if (f->is_listing)
            send_listed(me, w, f);
        else
            send_changes(me, w, f);
    }
    return true;
}

// What everybody was sent is not kept.
static void trim(wish_t *w) {
    uint64_t first = changes_end(w);
    for (size_t i = 0; i < w->followers.len; i++) {
        const follower_t *f = w->followers.at[i];
        if (!f->waits && f->next < first) first = f->next;
    }
    if (first > w->first) forget_changes(w, (size_t)(first - w->first));
    if (w->changes.len == 0) blob_unref(&w->last.blob);
}

static void settle(actor_t *me) {
    informers_state_t *self = actor_state(me);
    size_t budget = CHUNKS_PER_SETTLE, records = 0;
    bool is_done = true;
    for (size_t i = 0; i < self->wishes.len; i++) {
        wish_t *w = self->wishes.at[i];
        for (size_t j = 0; j < w->followers.len && is_done; j++)
            is_done = serve(me, w, w->followers.at[j], &budget);
        trim(w);
        records += informer_len(w->inf);
    }
    actor_gauge(me, "informers_watches", (int64_t)self->wishes.len);
    actor_gauge(me, "informers_records", (int64_t)records);
    if (!is_done) actor_settle_again(me);
}

// ---- life --------------------------------------------------------------------------------------

static void stop(actor_t *me) {
    informers_state_t *self = actor_state(me);
    for (size_t i = 0; i < self->wishes.len; i++) wish_destroy(&self->wishes.at[i]);
    vec_done(&self->wishes);
}

static const handler_t handlers[] = {
    {&api__watch__descriptor, on_watch},
    {&api__watch_events__descriptor, on_informer, "apiserver"},
    {&actor__stream_end__descriptor, on_informer},
    {&actor__failure__descriptor, on_informer},
    {&actor__stream_credit__descriptor, on_credit},
    {&actor__stream_gone__descriptor, on_gone},
    {0},
};

const actor_def_t informers_actor = {
    .role = INFORMERS,
    .state_size = sizeof(informers_state_t),
    .handlers = handlers,
    .settle = settle,
    .on_timer = on_timer,
    .stop = stop,
};
