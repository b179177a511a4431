#include "runtime/actor/recorder.h"
#include "k8s/core_v1.pb-c.h"
#include "runtime/actor/api_client.h"
#include "runtime/base/clock.h"
#include "runtime/base/hash.h"
#include "runtime/base/text.h"

// One Event object on the server, by all that makes it one.
typedef struct {
    char *namespace_, *name;
    int32_t count;
    int64_t last_ms;
} told_t;

// Messages of one source, object, type and reason.
typedef struct {
    uint32_t messages[RECORDER_SIMILAR_MAX]; // hashes of those seen
    size_t len;
    int64_t last_ms;
} similar_t;

typedef struct {
    int tokens;
    int64_t refilled_ms, last_ms;
} budget_t;

void recorder_init(recorder_t *r, const char *component, const char *host, uint64_t tag) {
    *r = (recorder_t){.component = component, .host = host, .tag = tag};
}

static void told_free(void *value) {
    told_t *told = value;
    free(told->namespace_);
    free(told->name);
    free(told);
}

static void clear(map_t *map, void (*free_value)(void *)) {
    size_t at = 0;
    const char *key;
    void *value;
    while (map_next(map, &at, &key, &value)) free_value(value);
    map_done(map);
    *map = (map_t){0};
}

void recorder_done(recorder_t *r) {
    clear(&r->events, told_free);
    clear(&r->similar, free);
    clear(&r->budgets, free);
    size_t at = 0;
    uint64_t id;
    void *key;
    while (imap_next(&r->asks, &at, &id, &key)) free(key);
    imap_done(&r->asks);
}

// Old enough to be forgotten? Events and their kin are hints: losing one costs a count that starts
// again at 1.
static void forget_old(recorder_t *r, int64_t now_ms) {
    if (map_len(&r->events) < RECORDER_KEYS_MAX) return;
    size_t at = 0;
    const char *key;
    void *value;
    while (map_next(&r->events, &at, &key, &value)) {
        if (now_ms - ((told_t *)value)->last_ms < RECORDER_WINDOW_MS / 2) continue;
        map_remove(&r->events, key);
        told_free(value);
    }
    if (map_len(&r->events) >= RECORDER_KEYS_MAX) clear(&r->events, told_free);
    clear(&r->similar, free);
    clear(&r->budgets, free);
}

static bool has_budget(recorder_t *r, const char *key, int64_t now_ms) {
    budget_t *b = map_get(&r->budgets, key);
    if (!b) {
        b = NEW(budget_t);
        *b = (budget_t){RECORDER_BURST, now_ms, now_ms};
        map_put(&r->budgets, key, b);
    }
    int64_t refills = (now_ms - b->refilled_ms) / RECORDER_REFILL_MS;
    b->refilled_ms += refills * RECORDER_REFILL_MS;
    b->tokens = b->tokens + refills > RECORDER_BURST ? RECORDER_BURST : b->tokens + (int)refills;
    if (b->tokens <= 0) return false;
    b->tokens--;
    return true;
}

// Is this message one too many of its like?
static bool is_to_be_combined(recorder_t *r, const char *key, const char *message, int64_t now_ms) {
    similar_t *s = map_get(&r->similar, key);
    if (!s) {
        s = NEW(similar_t);
        map_put(&r->similar, key, s);
    }
    if (now_ms - s->last_ms > RECORDER_WINDOW_MS) s->len = 0;
    s->last_ms = now_ms;
    uint32_t hash = hash_fnv32a(message, strlen(message));
    for (size_t i = 0; i < s->len; i++)
        if (s->messages[i] == hash) return false;
    if (s->len == RECORDER_SIMILAR_MAX) return true;
    s->messages[s->len++] = hash;
    return false;
}

typedef struct {
    const kind_t *kind;
    const Meta__ObjectMeta *meta;
    const char *component, *field, *type, *reason, *message;
} event_t;

static void remember_ask(recorder_t *r, uint64_t id, const char *key) {
    free(imap_put(&r->asks, id, str_dup(key)));
}

static void create(recorder_t *r, actor_t *me, const event_t *e, const char *key, told_t *told,
                   int64_t wall_ms) {
    arena_t *arena = actor_arena(me);
    Core__Event *event = MSG_NEW(arena, Core__Event, core__event__descriptor);
    event->metadata = MSG_NEW(arena, Meta__ObjectMeta, meta__object_meta__descriptor);
    event->metadata->name = told->name;
    event->metadata->namespace_ = told->namespace_;
    Core__ObjectReference *about =
        MSG_NEW(arena, Core__ObjectReference, core__object_reference__descriptor);
    about->kind = e->kind->name;
    about->apiversion = kind_api_version(arena, e->kind);
    about->namespace_ = e->meta->namespace_;
    about->name = e->meta->name;
    about->uid = e->meta->uid;
    about->resourceversion = e->meta->resourceversion;
    about->fieldpath = e->field;
    event->involvedobject = about;
    event->reason = e->reason;
    event->message = e->message;
    event->type = e->type;
    event->source = MSG_NEW(arena, Core__EventSource, core__event_source__descriptor);
    event->source->component = e->component;
    event->source->host = r->host;
    event->reportingcomponent = e->component;
    event->reportinginstance = r->host;
    event->firsttimestamp = time_new(arena, wall_ms);
    event->lasttimestamp = event->firsttimestamp;
    event->has_count = true;
    event->count = told->count;
    const kind_t *kind = kind_find("", "v1", "Event");
    assert(kind);
    remember_ask(r, api_create(me, kind, &event->base, r->tag), key);
}

static void count_up(recorder_t *r, actor_t *me, const event_t *e, const char *key,
                     const told_t *told, int64_t wall_ms) {
    char when[TIME_TEXT_MAX];
    arena_t *arena = actor_arena(me);
    const char *json = arena_printf(arena, "{\"count\":%d,\"lastTimestamp\":\"%s\"}", told->count,
                                    clock_rfc3339(wall_ms, when));
    const kind_t *kind = kind_find("", "v1", "Event");
    assert(kind && e);
    remember_ask(r,
                 api_patch(me, kind, told->namespace_, told->name, NULL, API__PATCH__TYPE__MERGE,
                           json, 0, r->tag),
                 key);
}

static void record(recorder_t *r, actor_t *me, event_t *e) {
    int64_t now_ms = actor_now_ms(me), wall_ms = actor_wall_ms(me);
    arena_t *arena = actor_arena(me);
    forget_old(r, now_ms);
    const char *source = arena_printf(arena, "%s|%s|%s/%s|%s", e->component, e->kind->name,
                                      or_empty(e->meta->namespace_), or_empty(e->meta->name),
                                      or_empty(e->meta->uid));
    const char *like =
        arena_printf(arena, "%s|%s|%s|%s", source, e->type, e->reason, or_empty(e->field));
    const char *key;
    if (is_to_be_combined(r, like, e->message, now_ms)) {
        e->message = arena_printf(arena, "(combined from similar events): %s", e->message);
        key = like;
    } else {
        key = arena_printf(arena, "%s|%s", like, e->message);
    }
    if (!has_budget(r, source, now_ms)) {
        actor_count(me, "events_discarded_total", 1);
        return;
    }
    told_t *told = map_get(&r->events, key);
    if (told && now_ms - told->last_ms <= RECORDER_WINDOW_MS) {
        told->count++;
        told->last_ms = now_ms;
        count_up(r, me, e, key, told, wall_ms);
        return;
    }
    if (told) told_free(map_remove(&r->events, key));
    told = NEW(told_t);
    const char *ns = is_empty(e->meta->namespace_) ? "default" : e->meta->namespace_;
    uint64_t nanos = (uint64_t)wall_ms * 1000000 + r->sequence++ % 1000000;
    *told = (told_t){
        .namespace_ = str_dup(ns),
        .name = str_printf("%s.%llx", or_empty(e->meta->name), (unsigned long long)nanos),
        .count = 1,
        .last_ms = now_ms,
    };
    map_put(&r->events, key, told);
    create(r, me, e, key, told, wall_ms);
}

static void record_v(recorder_t *r, actor_t *me, event_t e, const ProtobufCMessage *obj,
                     const char *fmt, va_list args) {
    text_t message = {.arena = actor_arena(me)};
    text_addv(&message, fmt, args);
    e.meta = object_meta_read(obj);
    e.message = text_str(&message);
    record(r, me, &e);
}

void recorder_event(recorder_t *r, actor_t *me, const kind_t *k, const ProtobufCMessage *obj,
                    const char *field, const char *type, const char *reason, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    event_t e = {
        .kind = k, .component = r->component, .field = field, .type = type, .reason = reason};
    record_v(r, me, e, obj, fmt, args);
    va_end(args);
}

void recorder_event_as(recorder_t *r, actor_t *me, const char *component, const kind_t *k,
                       const ProtobufCMessage *obj, const char *field, const char *type,
                       const char *reason, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    event_t e = {.kind = k, .component = component, .field = field, .type = type, .reason = reason};
    record_v(r, me, e, obj, fmt, args);
    va_end(args);
}

bool recorder_handle(recorder_t *r, actor_t *me, const message_t *msg, const void *body) {
    if (msg->tag != r->tag || !body) return false;
    char *key = imap_remove(&r->asks, msg->in_reply_to);
    if (!key) return true;
    const ProtobufCMessageDescriptor *type = ((const ProtobufCMessage *)body)->descriptor;
    if (type == &actor__failure__descriptor) {
        // Expired on the server, or never made: the next one is made anew.
        told_t *told = map_remove(&r->events, key);
        if (told) told_free(told);
        actor_count(me, "events_failed_total", 1);
    }
    free(key);
    return true;
}
