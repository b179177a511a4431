// fill - how defaults are written: a value is set only where none stands.
//
// Two ways. By field, for messages that exist once: FILL_STR(pod->spec->dnspolicy, "ClusterFirst").
// By JSON name, for messages that exist in several versions of a kind and differ in C type only:
// fill_int(spec, "replicas", 1). Texts are literals: they outlive every arena.
#pragma once
#include "k8s/intstr.pb-c.h"
#include "k8s/resource.pb-c.h"
#include "runtime/api/msg.h"

#define FILL_STR(field, value)                  \
    do {                                        \
        if (is_empty(field)) (field) = (value); \
    } while (0)
// A string that is a pointer in Go: empty is a value of its own.
#define FILL_STR_PTR(field, value)       \
    do {                                 \
        if (!(field)) (field) = (value); \
    } while (0)
// A number that is a pointer in Go: 0 is a value.
#define FILL_PTR(msg, field, value)                                                 \
    do {                                                                            \
        if (!(msg)->has_##field) (msg)->has_##field = true, (msg)->field = (value); \
    } while (0)
// A plain number: 0 means unset.
#define FILL_NUM(msg, field, value)                                           \
    do {                                                                      \
        if (!(msg)->field) (msg)->has_##field = true, (msg)->field = (value); \
    } while (0)
#define SET_NUM(msg, field, value) ((msg)->has_##field = true, (msg)->field = (value))
#define FILL_MSG(arena, field, c_type, type)                    \
    do {                                                        \
        if (!(field)) (field) = MSG_NEW((arena), c_type, type); \
    } while (0)

// ---- by name ------------------------------------------------------------------------------------
void *fill_message(arena_t *arena, void *msg, const char *name); // the child, made when missing
void *field_message(const void *msg, const char *name);          // the child or NULL
bool field_is_set(const void *msg, const char *name);            // has_x, or a pointer not NULL
int64_t field_int(const void *msg, const char *name);            // int32 and int64
void field_set_int(void *msg, const char *name, int64_t value);
void fill_int(void *msg, const char *name, int64_t value);     // where unset (a pointer in Go)
void fill_str(void *msg, const char *name, const char *value); // where empty
void field_set_message(void *msg, const char *name, void *child);
const char *field_str(const void *msg, const char *name); // never NULL

// ---- values -------------------------------------------------------------------------------------
Intstr__IntOrString *intstr_int(arena_t *arena, int32_t value) MUST_USE;
Intstr__IntOrString *intstr_str(arena_t *arena, const char *text) MUST_USE;
static inline bool intstr_is_str(const Intstr__IntOrString *v) { return v && v->type == 1; }
// "80" or "http"; "0" for none.
const char *intstr_text(arena_t *arena, const Intstr__IntOrString *v);

// Every map<string, string> has entries of this one shape.
typedef struct {
    ProtobufCMessage base;
    const char *key, *value;
} str_entry_t;
// Every map<string, Quantity>.
typedef struct {
    ProtobufCMessage base;
    const char *key;
    Resource__Quantity *value;
} quantity_entry_t;
const char *str_entry_find(const void *entries, size_t len, const char *key); // NULL: none
const char *quantity_entry_find(const void *entries, size_t len,
                                const char *key); // its text; NULL: none
