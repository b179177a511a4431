#include "runtime/actor/directory.h"
#include "runtime/base/map.h"
#include "runtime/base/vec.h"
#include <pthread.h>

typedef struct {
    place_t place; // its names are owned here
    uint64_t mark; // link_begin of the last Hello that named it
    size_t slot;   // in its role's entries
} entry_t;

// The instances of one role: what a bare role chooses from.
typedef struct {
    VEC(entry_t *) entries;
} role_t;

struct directory {
    pthread_mutex_t lock;
    map_t entries; // address -> entry_t
    map_t roles;   // role -> role_t
    _Atomic uint64_t version;
    uint64_t last_incarnation; // given to an actor of this process
    uint64_t last_mark;
    notice_fn told;
    void *told_arg;
};

directory_t *directory_new(void) {
    directory_t *d = NEW(directory_t);
    pthread_mutex_init(&d->lock, NULL);
    return d;
}

void place_done(place_t *place) {
    name_unref(&place->address);
    name_unref(&place->link);
    name_unref(&place->process);
}

static place_t place_ref(const place_t *place) {
    place_t copy = *place;
    name_ref(copy.address);
    name_ref(copy.link);
    name_ref(copy.process);
    return copy;
}

static void entry_destroy(entry_t *e) {
    place_done(&e->place);
    free(e);
}

void directory_destroy(directory_t **directory) {
    directory_t *d = x_steal(directory);
    if (!d) return;
    size_t at = 0;
    void *value;
    while (map_next(&d->entries, &at, NULL, &value)) entry_destroy(value);
    map_done(&d->entries);
    at = 0;
    while (map_next(&d->roles, &at, NULL, &value)) {
        vec_done(&((role_t *)value)->entries);
        free(value);
    }
    map_done(&d->roles);
    pthread_mutex_destroy(&d->lock);
    free(d);
}

void directory_subscribe(directory_t *d, notice_fn told, void *arg) {
    d->told = told;
    d->told_arg = arg;
}

static void bump(directory_t *d) {
    atomic_fetch_add_explicit(&d->version, 1, memory_order_release);
}

uint64_t directory_version(const directory_t *d) {
    return atomic_load_explicit(&d->version, memory_order_acquire);
}

size_t directory_len(directory_t *d) {
    pthread_mutex_lock(&d->lock);
    size_t len = map_len(&d->entries);
    pthread_mutex_unlock(&d->lock);
    return len;
}

uint64_t directory_next_incarnation(directory_t *d, const char *address, int64_t wall_ms) {
    // Milliseconds times 1000 leave room for a thousand starts a millisecond before the numbers of
    // this boot could reach those of the next.
    pthread_mutex_lock(&d->lock);
    uint64_t next = (uint64_t)wall_ms * 1000;
    if (next <= d->last_incarnation) next = d->last_incarnation + 1;
    const entry_t *e = map_get(&d->entries, address);
    if (e && next <= e->place.incarnation) next = e->place.incarnation + 1;
    d->last_incarnation = next;
    pthread_mutex_unlock(&d->lock);
    return next;
}

// ---- roles -------------------------------------------------------------------------------------

static void role_add(directory_t *d, entry_t *e) {
    const name_t *name = e->place.address;
    role_t *role = map_get_n(&d->roles, name->text, name->role_len);
    if (!role) {
        char *key = str_dup_n(name->text, name->role_len);
        role = NEW(role_t);
        map_put(&d->roles, key, role);
        free(key);
    }
    e->slot = role->entries.len;
    vec_push(&role->entries, e);
}

static void role_remove(directory_t *d, const entry_t *e) {
    const name_t *name = e->place.address;
    role_t *role = map_get_n(&d->roles, name->text, name->role_len);
    assert(role && role->entries.at[e->slot] == e);
    size_t slot = e->slot;
    vec_swap_remove(&role->entries, slot);
    if (slot < role->entries.len) role->entries.at[slot]->slot = slot;
}

// ---- changes -----------------------------------------------------------------------------------

static bool entry_is_newer(const entry_t *e, const place_t *place) {
    return e && e->place.incarnation > place->incarnation;
}

static bool same_place(const place_t *a, const place_t *b) {
    return a->incarnation == b->incarnation && a->ready == b->ready && a->leader == b->leader &&
           a->epoch == b->epoch && a->port == b->port && name_eq(a->link, b->link);
}

void directory_set(directory_t *d, const place_t *place) {
    assert(place->address->len > place->address->role_len);
    pthread_mutex_lock(&d->lock);
    entry_t *e = map_get(&d->entries, place->address->text);
    bool changed = !e || (!entry_is_newer(e, place) && !same_place(&e->place, place));
    notice_t notice = {.place = *place, .came = !e || e->place.incarnation < place->incarnation};
    if (!e) {
        e = NEW(entry_t);
        e->place = place_ref(place);
        map_put(&d->entries, place->address->text, e);
        role_add(d, e);
    } else if (changed) {
        place_t old = e->place;
        e->place = place_ref(place);
        place_done(&old);
    }
    if (!entry_is_newer(e, place)) e->mark = d->last_mark;
    if (changed) bump(d);
    pthread_mutex_unlock(&d->lock);
    if (changed && d->told) d->told(d->told_arg, &notice);
}

// With the lock held; the entry's names live on in *ret_place.
static void take_out(directory_t *d, entry_t *e, place_t *ret_place) {
    map_remove(&d->entries, e->place.address->text);
    role_remove(d, e);
    *ret_place = e->place;
    free(e);
    bump(d);
}

static void tell_gone(directory_t *d, place_t *place, const char *reason) {
    place->ready = place->leader = false;
    if (d->told) d->told(d->told_arg, &(notice_t){.place = *place, .gone = true, .reason = reason});
    place_done(place);
}

void directory_gone(directory_t *d, const char *address, uint64_t incarnation, const char *reason) {
    place_t place = {0};
    pthread_mutex_lock(&d->lock);
    entry_t *e = map_get(&d->entries, address);
    bool found = e && e->place.incarnation <= incarnation;
    if (found) take_out(d, e, &place);
    pthread_mutex_unlock(&d->lock);
    if (found) tell_gone(d, &place, reason);
}

uint64_t directory_link_begin(directory_t *d) {
    pthread_mutex_lock(&d->lock);
    uint64_t mark = ++d->last_mark;
    pthread_mutex_unlock(&d->lock);
    return mark;
}

void directory_link_end(directory_t *d, const name_t *link, uint64_t mark, const char *reason) {
    VEC(place_t) gone = {0};
    pthread_mutex_lock(&d->lock);
    const char **keys = map_sorted_keys(&d->entries); // address order: notices are deterministic
    size_t len = map_len(&d->entries);
    VEC(entry_t *) out = {0};
    for (size_t i = 0; i < len; i++) {
        entry_t *e = map_get(&d->entries, keys[i]);
        if (name_eq(e->place.link, link) && e->mark < mark) vec_push(&out, e);
    }
    free(keys);
    for (size_t i = 0; i < out.len; i++) {
        place_t place;
        take_out(d, out.at[i], &place);
        vec_push(&gone, place);
    }
    pthread_mutex_unlock(&d->lock);
    for (size_t i = 0; i < gone.len; i++) tell_gone(d, &gone.at[i], reason);
    vec_done(&out);
    vec_done(&gone);
}

void directory_link_down(directory_t *d, const name_t *link, const char *reason) {
    directory_link_end(d, link, UINT64_MAX, reason);
}

// ---- questions ---------------------------------------------------------------------------------

bool directory_find(directory_t *d, const char *address, place_t *ret_place) {
    pthread_mutex_lock(&d->lock);
    const entry_t *e = map_get(&d->entries, address);
    if (e) *ret_place = place_ref(&e->place);
    pthread_mutex_unlock(&d->lock);
    return e;
}

static int distance(const place_t *place, uint32_t port) {
    if (place->link || place->process) return 2;
    return place->port == port ? 0 : 1;
}

static int place_order(const void *a, const void *b) {
    return strcmp(((const place_t *)a)->address->text, ((const place_t *)b)->address->text);
}

size_t directory_resolve(directory_t *d, const char *role_name, uint32_t port,
                         place_t **ret_places) {
    VEC(place_t) places = {0};
    pthread_mutex_lock(&d->lock);
    const role_t *role = map_get(&d->roles, role_name);
    const entry_t *leader = NULL;
    int nearest = INT32_MAX;
    for (size_t i = 0; role && i < role->entries.len; i++) {
        const entry_t *e = role->entries.at[i];
        if (e->place.leader && (!leader || e->place.epoch > leader->place.epoch)) leader = e;
        if (e->place.ready && distance(&e->place, port) < nearest)
            nearest = distance(&e->place, port);
    }
    for (size_t i = 0; role && i < role->entries.len; i++) {
        const entry_t *e = role->entries.at[i];
        bool chosen = leader ? e == leader : e->place.ready && distance(&e->place, port) == nearest;
        if (chosen) vec_push(&places, place_ref(&e->place));
    }
    pthread_mutex_unlock(&d->lock);
    // Address order: a choice never depends on who came first.
    if (places.len > 1) qsort(places.at, places.len, sizeof *places.at, place_order);
    *ret_places = places.at;
    return places.len;
}

static int entry_order(const void *a, const void *b) {
    return place_order(&(*(entry_t *const *)a)->place, &(*(entry_t *const *)b)->place);
}

void directory_each_of(directory_t *d, const char *role_name,
                       void (*each)(void *arg, const place_t *place), void *arg) {
    pthread_mutex_lock(&d->lock);
    const role_t *role = map_get(&d->roles, role_name);
    size_t len = role ? role->entries.len : 0;
    entry_t **sorted = mem_new((len + 1) * sizeof *sorted);
    if (len) memcpy(sorted, role->entries.at, len * sizeof *sorted);
    if (len > 1) qsort(sorted, len, sizeof *sorted, entry_order);
    for (size_t i = 0; i < len; i++) each(arg, &sorted[i]->place);
    free(sorted);
    pthread_mutex_unlock(&d->lock);
}

void directory_each(directory_t *d, void (*each)(void *arg, const place_t *place), void *arg) {
    pthread_mutex_lock(&d->lock);
    const char **keys = map_sorted_keys(&d->entries);
    size_t len = map_len(&d->entries);
    for (size_t i = 0; i < len; i++)
        each(arg, &((const entry_t *)map_get(&d->entries, keys[i]))->place);
    free(keys);
    pthread_mutex_unlock(&d->lock);
}
