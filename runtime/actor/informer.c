#include "runtime/actor/informer.h"
#include "k8s/core_v1.pb-c.h"
#include "runtime/actor/api_client.h"
#include "runtime/actor/informers_actor.h"
#include "runtime/base/log.h"

enum {
    WINDOW = STREAM_WINDOW_DEFAULT,
    RETRY_FIRST_MS = 20, // a killed API server is back within tens of milliseconds
    RETRY_MAX_MS = 5 * 1000,
    KEY_MAX = 640, // namespace (63) + name (253, files allow more) + '/'
};

// ---- records -----------------------------------------------------------------------------------

record_t *record_ref(const record_t *r) {
    if (!r) return NULL;
    record_t *mine = (record_t *)r; // the count is the one thing about a record that changes
    atomic_fetch_add_explicit(&mine->refs, 1, memory_order_relaxed);
    return mine;
}

void record_unref(record_t **r_p) {
    record_t *r = x_steal(r_p);
    if (!r) return;
    uint32_t refs = atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel);
    assert(refs > 0);
    if (refs > 1) return;
    arena_t arena = r->arena; // the record lies in it
    arena_done(&arena);
}

record_changes_t *record_changes_new(size_t len) {
    record_changes_t *changes = mem_new(sizeof *changes + len * sizeof *changes->at);
    changes->len = len;
    return changes;
}

void record_changes_drop(void *arg) {
    record_changes_t *changes = arg;
    for (size_t i = 0; i < changes->len; i++) record_unref(&changes->at[i].record);
    free(changes);
}

// `size_hint`: about what the copy needs, so that a record is one allocation of its own size.
static record_t *record_make(const ProtobufCMessage *object, size_t size_hint) {
    assert(object);
    arena_t arena = {0};
    arena_reserve(&arena, size_hint + sizeof(record_t) + 128);
    record_t *r = ARENA_NEW(&arena, record_t);
    atomic_init(&r->refs, 1);
    r->object = msg_dup(&arena, object);
    r->revision = object_revision(object);
    const Meta__ObjectMeta *meta = object_meta_read(r->object);
    r->namespace_ = or_empty(meta->namespace_);
    r->name = or_empty(meta->name);
    r->uid = or_empty(meta->uid);
    r->key = *r->namespace_ ? arena_printf(&arena, "%s/%s", r->namespace_, r->name) : r->name;
    r->arena = arena;
    return r;
}

record_t *record_new(const ProtobufCMessage *object) { return record_make(object, 0); }

// ---- lists of records, and the indexes made of them ----------------------------------------------

// Sorted by key when somebody looks: what was added since the last look waits in `fresh`, so that a
// burst of additions costs one merge and not a move of the list for each.
typedef struct {
    VEC(const record_t *) sorted, fresh;
} record_list_t;

static void list_done(record_list_t *list) {
    vec_done(&list->sorted);
    vec_done(&list->fresh);
}

static size_t list_len(const record_list_t *list) { return list->sorted.len + list->fresh.len; }

static int by_key(const void *a, const void *b) {
    return strcmp((*(const record_t *const *)a)->key, (*(const record_t *const *)b)->key);
}

static void list_merge(record_list_t *list) {
    size_t added = list->fresh.len, old = list->sorted.len;
    if (!added) return;
    if (added > 1) qsort(list->fresh.at, added, sizeof *list->fresh.at, by_key);
    vec_reserve(&list->sorted, old + added);
    const record_t **to = list->sorted.at;
    // From the back: each moves once.
    for (size_t end = old + added; added > 0; end--) {
        bool is_old = old > 0 && by_key(&to[old - 1], &list->fresh.at[added - 1]) > 0;
        to[end - 1] = is_old ? to[--old] : list->fresh.at[--added];
    }
    list->sorted.len += list->fresh.len;
    vec_reset(&list->fresh);
    if (list->fresh.cap > 1024) vec_done(&list->fresh);
}

// Where `key` stands in `sorted`; SIZE_MAX: nowhere.
static size_t list_find(const record_list_t *list, const char *key) {
    size_t low = 0, high = list->sorted.len;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = strcmp(list->sorted.at[mid]->key, key);
        if (order == 0) return mid;
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return SIZE_MAX;
}

// Of a record that stands in the list.
static size_t list_place(record_list_t *list, const char *key) {
    size_t at = list_find(list, key);
    if (at == SIZE_MAX) {
        list_merge(list);
        at = list_find(list, key);
    }
    assert(at != SIZE_MAX);
    return at;
}

static void list_add(record_list_t *list, const record_t *r) { vec_push(&list->fresh, r); }
static void list_swap(record_list_t *list, const record_t *r) {
    size_t at = list_place(list, r->key); // first: it may move the list
    list->sorted.at[at] = r;
}
static void list_drop(record_list_t *list, const record_t *r) {
    size_t at = list_place(list, r->key);
    vec_remove(&list->sorted, at);
}

static records_t list_look(record_list_t *list) {
    list_merge(list);
    return (records_t){list->sorted.at, list->sorted.len};
}

static record_list_t *index_list(map_t *index, const char *key) {
    record_list_t *list = map_get(index, key);
    if (list) return list;
    list = NEW(record_list_t);
    map_put(index, key, list);
    return list;
}

static void index_drop(map_t *index, const char *key, const record_t *r) {
    record_list_t *list = map_get(index, key);
    assert(list);
    list_drop(list, r);
    if (list_len(list)) return;
    map_remove(index, key);
    list_done(list);
    free(list);
}

// ---- the informer ------------------------------------------------------------------------------

typedef struct {
    record_t *record; // one reference
    uint64_t seen;    // the listing that last saw it
} entry_t;

typedef struct {
    informer_changed_fn changed;
    void *arg;
} subscriber_t;

struct informer {
    informer_spec_t spec;
    size_t indexes_len;
    map_t entries;                       // key -> entry_t
    record_list_t all;                   // the references are the entries'
    map_t indexes[INFORMER_INDEXES_MAX]; // index key -> record_list_t
    map_t buried; // key -> revision of its deletion by us, until the watch is past it
    subscriber_t subscribers[INFORMER_SUBSCRIBERS_MAX];
    size_t subscribers_len;
    char *feeder;     // the process's informers, once found; NULL: the API server itself
    uint64_t stream;  // ask id of the open watch; 0: none
    int64_t revision; // everything up to here was seen; 0: start with a listing
    bool synced, listing;
    bool is_refused;   // the server will not let us watch, and never has
    int64_t gone_at;   // revision of the deletion that is being told
    bool wants_mark;   // was refreshed, and has not yet heard how far the store is
    uint64_t listings; // count: marks what the present one has seen
    unsigned failures; // in a row, for the back-off
    arena_t scratch;   // one event's object while it is taken in
};

informer_t *informer_new(const informer_spec_t *spec) {
    assert(spec && spec->kind);
    informer_t *inf = NEW(informer_t);
    inf->spec = *spec;
    while (inf->indexes_len < INFORMER_INDEXES_MAX && spec->indexes[inf->indexes_len])
        inf->indexes_len++;
    return inf;
}

void informer_destroy(informer_t **inf_p) {
    informer_t *inf = x_steal(inf_p);
    if (!inf) return;
    size_t at = 0;
    const char *key;
    void *value;
    while (map_next(&inf->entries, &at, &key, &value)) {
        record_unref(&((entry_t *)value)->record);
        free(value);
    }
    map_done(&inf->entries);
    for (size_t i = 0; i < inf->indexes_len; i++) {
        at = 0;
        while (map_next(&inf->indexes[i], &at, &key, &value)) {
            list_done(value);
            free(value);
        }
        map_done(&inf->indexes[i]);
    }
    at = 0;
    while (map_next(&inf->buried, &at, &key, &value)) free(value);
    map_done(&inf->buried);
    list_done(&inf->all);
    arena_done(&inf->scratch);
    free(inf->feeder);
    free(inf);
}

void informer_subscribe(informer_t *inf, informer_changed_fn changed, void *arg) {
    assert(changed && inf->subscribers_len < INFORMER_SUBSCRIBERS_MAX);
    inf->subscribers[inf->subscribers_len++] = (subscriber_t){changed, arg};
}

// ---- changes -----------------------------------------------------------------------------------

// Its keys in one index, each once.
static size_t keys_in(const informer_t *inf, size_t index, const record_t *r,
                      const char *ret_keys[INDEX_KEYS_MAX]) {
    const char *keys[INDEX_KEYS_MAX];
    size_t len = r ? inf->spec.indexes[index](r->object, keys) : 0, kept = 0;
    assert(len <= INDEX_KEYS_MAX);
    for (size_t i = 0; i < len; i++) {
        size_t j = 0;
        while (j < kept && !streq(ret_keys[j], keys[i])) j++;
        if (j == kept) ret_keys[kept++] = keys[i];
    }
    return kept;
}

static bool has_key(const char *const *keys, size_t len, const char *key) {
    for (size_t i = 0; i < len; i++)
        if (streq(keys[i], key)) return true;
    return false;
}

// `is` takes the place of `was` in every list; either may be NULL. Most changes leave all keys.
static void replace(informer_t *inf, const record_t *was, const record_t *is) {
    if (!was)
        list_add(&inf->all, is);
    else if (is)
        list_swap(&inf->all, is);
    else
        list_drop(&inf->all, was);
    for (size_t i = 0; i < inf->indexes_len; i++) {
        const char *old[INDEX_KEYS_MAX], *now[INDEX_KEYS_MAX];
        size_t old_len = keys_in(inf, i, was, old), now_len = keys_in(inf, i, is, now);
        for (size_t j = 0; j < old_len; j++)
            if (!has_key(now, now_len, old[j])) index_drop(&inf->indexes[i], old[j], was);
        for (size_t j = 0; j < now_len; j++) {
            record_list_t *list = index_list(&inf->indexes[i], now[j]);
            if (has_key(old, old_len, now[j]))
                list_swap(list, is);
            else
                list_add(list, is);
        }
    }
}

static void tell(informer_t *inf, const record_t *was, const record_t *is) {
    assert(was || is);
    for (size_t i = 0; i < inf->subscribers_len; i++)
        inf->subscribers[i].changed(inf->subscribers[i].arg, was, is);
}

// Takes `r` in unless something as new is already there. A record of the process takes the place of
// the actor's own copy of the same state.
static void take(informer_t *inf, record_t *r, bool is_shared) {
    int64_t *buried = map_get(&inf->buried, r->key);
    entry_t *entry = map_get(&inf->entries, r->key);
    if (entry) entry->seen = inf->listings;
    int64_t known = entry ? entry->record->revision : 0;
    bool is_same = entry && known == r->revision && (!is_shared || entry->record == r);
    if ((buried && *buried >= r->revision) || known > r->revision || is_same) {
        record_unref(&r);
        return;
    }
    record_t *was = entry ? entry->record : NULL;
    if (!entry) {
        entry = NEW(entry_t);
        entry->seen = inf->listings;
        map_put(&inf->entries, r->key, entry);
    }
    bool is_news = !was || was->revision < r->revision;
    entry->record = r;
    replace(inf, was, r);
    if (is_news) tell(inf, was, r);
    record_unref(&was);
}

static void drop(informer_t *inf, const char *key, int64_t revision) {
    entry_t *entry = map_remove(&inf->entries, key);
    if (!entry) return;
    record_t *was = entry->record;
    free(entry);
    replace(inf, was, NULL);
    assert(revision > 0);
    inf->gone_at = revision;
    tell(inf, was, NULL);
    record_unref(&was);
}

static const char *key_of(const char *ns, const char *name, char buf[static KEY_MAX]) {
    snprintf(buf, KEY_MAX, "%s%s%s", or_empty(ns), is_empty(ns) ? "" : "/", or_empty(name));
    return buf;
}

static const char *key_of_object(const ProtobufCMessage *obj, char buf[static KEY_MAX]) {
    const Meta__ObjectMeta *meta = object_meta_read(obj);
    return key_of(meta->namespace_, meta->name, buf);
}

static void drop_at(informer_t *inf, const char *key, int64_t revision) {
    const entry_t *entry = map_get(&inf->entries, key);
    // Gone and made anew by the time the older deletion is told: the newer one stays.
    if (entry && entry->record->revision <= revision) drop(inf, key, revision);
}

void informer_learn(informer_t *inf, const ProtobufCMessage *object) {
    assert(object->descriptor == inf->spec.kind->type);
    // The watch has told more by now: a late answer brings no deleted object back.
    if (object_revision(object) <= inf->revision) return;
    arena_clear(&inf->scratch);
    const ProtobufCMessage *kept = object;
    if (inf->spec.slim) kept = inf->spec.slim(&inf->scratch, object);
    take(inf, record_make(kept, msg_packed_size(kept) * 4), false);
}

void informer_learn_deleted(informer_t *inf, const char *ns, const char *name, int64_t revision) {
    char buf[KEY_MAX];
    const char *key = key_of(ns, name, buf);
    if (revision > inf->revision) {
        int64_t *buried = map_get(&inf->buried, key);
        if (!buried) {
            buried = NEW(int64_t);
            map_put(&inf->buried, key, buried);
        }
        if (*buried < revision) *buried = revision;
    }
    drop_at(inf, key, revision);
}

// ---- the stream --------------------------------------------------------------------------------

static void begin_listing(informer_t *inf) {
    inf->listing = true;
    inf->listings++;
}

// Found once, they stay its feeder: killed, they are back in a moment.
static void find_feeder(void *arg, const char *address, const char *process) {
    informer_t *inf = arg;
    if (is_empty(process) && !inf->feeder) inf->feeder = str_dup(address);
}

static void open_watch(informer_t *inf, actor_t *me) {
    assert(!inf->stream);
    Api__Resource resource = api_resource(inf->spec.kind, inf->spec.namespace_, NULL, NULL);
    Api__Watch watch = {
        .base.descriptor = &api__watch__descriptor,
        .resource = &resource,
        .label_selector = or_empty(inf->spec.label_selector),
        .field_selector = or_empty(inf->spec.field_selector),
        .from_revision = inf->revision,
        .bookmarks = true,
        .fresh = inf->wants_mark,
    };
    if (inf->spec.shared && !inf->feeder) actor_each_known(me, INFORMERS, find_feeder, inf);
    if (inf->revision == 0) begin_listing(inf);
    inf->stream =
        actor_open(me, inf->feeder ? inf->feeder : API_SERVER, &watch.base, WINDOW, inf->spec.tag);
}

void informer_start(informer_t *inf, actor_t *me) {
    if (!inf->stream) open_watch(inf, me);
}

void informer_stop(informer_t *inf, actor_t *me) {
    actor_timer_cancel(me, inf->spec.tag);
    if (!inf->stream) return;
    actor_cancel(me, inf->stream);
    inf->stream = 0;
}

void informer_refresh(informer_t *inf, actor_t *me) {
    informer_stop(inf, me);
    inf->wants_mark = true;
    if (inf->listing) inf->revision = 0;
    open_watch(inf, me);
}

static void lost(informer_t *inf, actor_t *me, err_t err, const char *why) {
    inf->stream = 0;
    // A listing that was cut has no revision to resume at; one that is too old neither.
    if (err == ERR_EXPIRED || err == ERR_COMPACTED || inf->listing) inf->revision = 0;
    int64_t delay_ms = RETRY_FIRST_MS;
    for (unsigned i = 0; i < inf->failures && delay_ms < RETRY_MAX_MS; i++) delay_ms *= 2;
    if (delay_ms > RETRY_MAX_MS) delay_ms = RETRY_MAX_MS;
    inf->failures++;
    bool is_refused = err == ERR_FORBIDDEN || err == ERR_NOT_FOUND || err == ERR_NOT_ALLOWED ||
                      err == ERR_UNHANDLED || err == ERR_BAD_REQUEST;
    inf->is_refused = is_refused && !inf->synced;
    // A server that will never let us watch is somebody's mistake, and whoever waits for this cache
    // waits for ever: said at failure 1, 2, 4, 8 … Everything else passes.
    log_line(is_refused && !(inf->failures & (inf->failures - 1)) ? LOG_LEVEL_WARN
                                                                  : LOG_LEVEL_DEBUG,
             actor_address(me), "watch of %s lost at %lld: %s", inf->spec.kind->plural,
             (long long)inf->revision, is_empty(why) ? err_text(err) : why);
    // Half of it is jitter: a thousand watchers of a dead server do not come back in step.
    actor_timer(me, inf->spec.tag, delay_ms / 2 + rng_between(actor_rng(me), 0, delay_ms / 2));
}

static bool is_stale(const entry_t *entry, uint64_t listing, int64_t revision) {
    return entry->seen != listing && entry->record->revision <= revision;
}

// The listing is whole: what it has not seen is gone.
static void finish_listing(informer_t *inf, int64_t revision) {
    VEC(char *) gone = {0};
    records_t all = list_look(&inf->all);
    for (size_t i = 0; i < all.len; i++) {
        const entry_t *entry = map_get(&inf->entries, all.at[i]->key);
        if (is_stale(entry, inf->listings, revision)) vec_push(&gone, str_dup(all.at[i]->key));
    }
    for (size_t i = 0; i < gone.len; i++) {
        drop(inf, gone.at[i], revision);
        free(gone.at[i]);
    }
    vec_done(&gone);
    inf->listing = false;
    inf->synced = true;
}

static void reached(informer_t *inf, int64_t revision) {
    if (revision > inf->revision) inf->revision = revision;
    size_t at = 0;
    const char *key;
    void *value;
    while (map_len(&inf->buried) && map_next(&inf->buried, &at, &key, &value)) {
        if (*(int64_t *)value > inf->revision) continue;
        map_remove(&inf->buried, key);
        free(value);
    }
}

static void on_event(informer_t *inf, actor_t *me, const Api__WatchEvent *event) {
    if (event->type == API__WATCH_EVENT__TYPE__BOOKMARK) {
        if (inf->listing) finish_listing(inf, event->revision);
        reached(inf, event->revision);
        inf->wants_mark = false;
        return;
    }
    arena_clear(&inf->scratch);
    void *obj = NULL;
    why_t why;
    bytes_t raw = {event->object.data, event->object.len};
    if (msg_unpack(&inf->scratch, inf->spec.kind->type, raw, &obj, &why)) {
        log_error(actor_address(me), "watch of %s: %s", inf->spec.kind->plural, why.text);
        actor_count(me, "informer_undecodable_total", 1);
        return;
    }
    if (event->type == API__WATCH_EVENT__TYPE__DELETED) {
        char buf[KEY_MAX];
        int64_t revision = event->revision ? event->revision : object_revision(obj);
        drop_at(inf, key_of_object(obj, buf), revision);
        return;
    }
    size_t size_hint = inf->scratch.used;
    const ProtobufCMessage *kept = obj;
    if (inf->spec.slim) {
        kept = inf->spec.slim(&inf->scratch, obj);
        size_t before = inf->scratch.used;
        kept = msg_dup(&inf->scratch, kept);
        size_hint = inf->scratch.used - before;
    }
    take(inf, record_make(kept, size_hint), false);
}

static void take_shared(informer_t *inf, const record_changes_t *changes) {
    for (size_t i = 0; i < changes->len; i++) {
        record_t *r = changes->at[i].record;
        if (changes->at[i].gone_at)
            drop_at(inf, r->key, changes->at[i].gone_at);
        else
            take(inf, record_ref(r), true);
    }
}

static void on_events(informer_t *inf, actor_t *me, const Api__WatchEvents *chunk,
                      const record_changes_t *shared) {
    inf->failures = 0;
    inf->is_refused = false;
    if (chunk->whole) begin_listing(inf);
    if (shared) take_shared(inf, shared);
    for (size_t i = 0; i < chunk->n_events; i++) on_event(inf, me, chunk->events[i]);
    // While listing, objects come in the order of their keys: a revision means nothing yet.
    if (!inf->listing) reached(inf, chunk->revision);
}

bool informer_handle(informer_t *inf, actor_t *me, const message_t *msg, const void *body) {
    if (msg->tag != inf->spec.tag || !body) return false;
    const ProtobufCMessageDescriptor *type = ((const ProtobufCMessage *)body)->descriptor;
    if (type == &api__watch_events__descriptor) {
        if (inf->stream) on_events(inf, me, body, blob_attached(msg->body));
    } else if (type == &actor__stream_end__descriptor) {
        const Actor__StreamEnd *end = body;
        lost(inf, me, (err_t)end->err, end->why);
    } else if (type == &actor__failure__descriptor) {
        const Actor__Failure *failure = body;
        lost(inf, me, (err_t)failure->err, failure->why);
    } else {
        return false;
    }
    return true;
}

bool informer_timer(informer_t *inf, actor_t *me, uint64_t tag) {
    if (tag != inf->spec.tag) return false;
    if (!inf->stream) open_watch(inf, me);
    return true;
}

// ---- questions ---------------------------------------------------------------------------------

const kind_t *informer_kind(const informer_t *inf) { return inf->spec.kind; }
bool informer_is_synced(const informer_t *inf) { return inf->synced; }
bool informer_is_refused(const informer_t *inf) { return inf->is_refused; }
int64_t informer_revision(const informer_t *inf) { return inf->revision; }
int64_t informer_gone_at(const informer_t *inf) { return inf->gone_at; }
uint64_t informer_listings(const informer_t *inf) { return inf->listings; }
bool informer_is_fresh(const informer_t *inf) { return inf->synced && !inf->wants_mark; }
size_t informer_len(const informer_t *inf) { return list_len(&inf->all); }

const record_t *informer_get_key(const informer_t *inf, const char *key) {
    const entry_t *entry = map_get(&inf->entries, key);
    return entry ? entry->record : NULL;
}

const record_t *informer_get(const informer_t *inf, const char *ns, const char *name) {
    char buf[KEY_MAX];
    return informer_get_key(inf, key_of(ns, name, buf));
}

records_t informer_all(informer_t *inf) { return list_look(&inf->all); }

records_t informer_by(informer_t *inf, size_t index, const char *key) {
    assert(index < inf->indexes_len);
    record_list_t *list = map_get(&inf->indexes[index], key);
    return list ? list_look(list) : (records_t){0};
}

// ---- the common indexes ------------------------------------------------------------------------

size_t index_by_namespace(const ProtobufCMessage *object, const char *ret_keys[INDEX_KEYS_MAX]) {
    ret_keys[0] = or_empty(object_meta_read(object)->namespace_);
    return 1;
}

size_t index_by_owner_uid(const ProtobufCMessage *object, const char *ret_keys[INDEX_KEYS_MAX]) {
    const Meta__ObjectMeta *meta = object_meta_read(object);
    size_t len = 0;
    for (size_t i = 0; i < meta->n_ownerreferences && len < INDEX_KEYS_MAX; i++)
        ret_keys[len++] = or_empty(meta->ownerreferences[i]->uid);
    return len;
}

size_t index_by_controller_uid(const ProtobufCMessage *object,
                               const char *ret_keys[INDEX_KEYS_MAX]) {
    const Meta__ObjectMeta *meta = object_meta_read(object);
    ret_keys[0] = "";
    for (size_t i = 0; i < meta->n_ownerreferences; i++)
        if (meta->ownerreferences[i]->controller)
            ret_keys[0] = or_empty(meta->ownerreferences[i]->uid);
    return 1;
}

size_t index_by_pod_node(const ProtobufCMessage *object, const char *ret_keys[INDEX_KEYS_MAX]) {
    assert(object->descriptor == &core__pod__descriptor);
    const Core__Pod *pod = (const Core__Pod *)object;
    ret_keys[0] = pod->spec ? or_empty(pod->spec->nodename) : "";
    return 1;
}

// The key joins two strings, so it is kept in a place that outlives the call: this one and the one
// before it, since an index compares what an object was with what it is.
size_t index_by_service_name(const ProtobufCMessage *object, const char *ret_keys[INDEX_KEYS_MAX]) {
    static _Thread_local char keys[2][KEY_MAX];
    static _Thread_local unsigned turn;
    const char *service = object_label(object, "kubernetes.io/service-name");
    if (!service) return 0;
    ret_keys[0] = key_of(object_meta_read(object)->namespace_, service, keys[++turn % 2]);
    return 1;
}

// ---- several -----------------------------------------------------------------------------------

informer_t *informers_add(informers_t *set, const informer_spec_t *spec) {
    for (size_t i = 0; i < set->all.len; i++) assert(set->all.at[i]->spec.tag != spec->tag);
    informer_t *inf = informer_new(spec);
    vec_push(&set->all, inf);
    return inf;
}

void informers_start(informers_t *set, actor_t *me) {
    for (size_t i = 0; i < set->all.len; i++) informer_start(set->all.at[i], me);
}

bool informers_handle(informers_t *set, actor_t *me, const message_t *msg, const void *body) {
    for (size_t i = 0; i < set->all.len; i++)
        if (informer_handle(set->all.at[i], me, msg, body)) return true;
    return false;
}

bool informers_timer(informers_t *set, actor_t *me, uint64_t tag) {
    for (size_t i = 0; i < set->all.len; i++)
        if (informer_timer(set->all.at[i], me, tag)) return true;
    return false;
}

void informers_done(informers_t *set) {
    for (size_t i = 0; i < set->all.len; i++) informer_destroy(&set->all.at[i]);
    vec_done(&set->all);
}
