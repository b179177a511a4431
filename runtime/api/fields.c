#include "runtime/api/fields.h"
#include <pthread.h>
#include <stdatomic.h>

typedef struct {
    uint16_t field; // index into API_FIELDS
    const char *values;
} api_enum_t;

#define F(json, at, via0, via1, flags, type, merge_key) \
    { json, merge_key, sizeof(json) - 1, at, {via0, via1}, flags, type }
#include "runtime/api/fields.inc"
#undef F

// Descriptors are found by address: a table of twice the size, filled once.
enum { SLOTS = 2048 };
static_assert(SLOTS >= 2 * LENGTH_OF(API_TYPES), "the table must stay at most half full");
static uint16_t slots[SLOTS]; // index into API_TYPES + 1; 0: free

static atomic_bool filled;

static size_t slot_of(const ProtobufCMessageDescriptor *d) {
    return (size_t)(((uintptr_t)d >> 4) * 0x9e3779b97f4a7c15ull >> 40) % SLOTS;
}

static void slots_fill(void) {
    for (size_t i = 0; i < LENGTH_OF(API_TYPES); i++) {
        const api_type_t *t = &API_TYPES[i];
        assert(i == 0 || strcmp(API_TYPES[i - 1].descriptor->name, t->descriptor->name) < 0);
        assert((size_t)t->first + t->len <= LENGTH_OF(API_FIELDS));
        size_t slot = slot_of(t->descriptor);
        while (slots[slot]) slot = (slot + 1) % SLOTS;
        slots[slot] = (uint16_t)(i + 1);
    }
    atomic_store_explicit(&filled, true, memory_order_release);
}

const api_type_t *api_type_of(const ProtobufCMessageDescriptor *descriptor) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (!atomic_load_explicit(&filled, memory_order_acquire)) pthread_once(&once, slots_fill);
    for (size_t slot = slot_of(descriptor); slots[slot]; slot = (slot + 1) % SLOTS) {
        const api_type_t *t = &API_TYPES[slots[slot] - 1];
        if (t->descriptor == descriptor) return t;
    }
    return NULL;
}

int api_types_len(void) { return LENGTH_OF(API_TYPES); }

const api_type_t *api_type_at(int i) {
    assert(i < (int)LENGTH_OF(API_TYPES));
    return i < 0 ? NULL : &API_TYPES[i];
}

const api_field_t *api_fields(const api_type_t *t) { return &API_FIELDS[t->first]; }

const api_field_t *api_field_sorted(const api_type_t *t, size_t i) {
    assert(i < t->len);
    return &API_FIELDS[t->first + API_SORTED[t->first + i]];
}

static int name_cmp(const api_field_t *f, const char *name, size_t len) {
    size_t shorter = f->json_len < len ? f->json_len : len;
    int order = memcmp(f->json, name, shorter);
    return order ? order : (f->json_len > len) - (f->json_len < len);
}

const api_field_t *api_field_find(const api_type_t *t, const char *name, size_t len, size_t guess) {
    if (guess < t->len) {
        const api_field_t *f = &API_FIELDS[t->first + guess];
        if (f->json_len == len && memcmp(f->json, name, len) == 0) return f;
    }
    size_t low = 0, high = t->len;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const api_field_t *f = api_field_sorted(t, middle);
        int order = name_cmp(f, name, len);
        if (order == 0) return f;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

const char *api_field_enum(const api_field_t *f) {
    size_t index = (size_t)(f - API_FIELDS), low = 0, high = LENGTH_OF(API_ENUMS);
    assert(index < LENGTH_OF(API_FIELDS));
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (API_ENUMS[middle].field == index) return API_ENUMS[middle].values;
        if (API_ENUMS[middle].field < index)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}
