// fields - what protobuf descriptors cannot say about the messages of API objects: Go's field order
// (which is the order in JSON), JSON names, inlined messages, what is written when empty, how
// lists merge. One const table, made by gen/gen.py from the fact tables.
#pragma once
#include "runtime/base/check.h"
#include <protobuf-c/protobuf-c.h>

enum {
    API_POINTER = 1 << 0,     // a pointer in Go: zero and unset differ
    API_MAP = 1 << 1,         // repeated key-value entries, an object in JSON
    API_EMITTED = 1 << 2,     // written even when empty
    API_EMPTY_LIST = 1 << 3,  // … as [] instead of null
    API_REQUIRED = 1 << 4,    // documented as required
    API_MERGE = 1 << 5,       // strategic merge merges the list (by merge_key; NULL: a set)
    API_RETAIN_KEYS = 1 << 6, // strategic merge keeps only the keys that the patch names
};
// Messages whose JSON is not the field-by-field form.
typedef enum {
    SPECIAL_NONE,
    SPECIAL_TIME,          // "2006-01-02T15:04:05Z" or null
    SPECIAL_MICRO_TIME,    // "2006-01-02T15:04:05.000000Z" or null
    SPECIAL_DURATION,      // "1h30m0s"
    SPECIAL_RAW,           // any JSON value; null when empty
    SPECIAL_QUANTITY,      // "100m"; a number is taken as well
    SPECIAL_INT_OR_STRING, // 80 or "http"
    SPECIAL_STRINGS,       // a bare list of strings
} special_t;

typedef struct {
    const char *json;      // its name in JSON
    const char *merge_key; // of lists that merge; NULL: none
    uint8_t json_len;
    uint8_t at;     // which of the descriptor's fields …
    uint8_t via[2]; // … of the message that these inlined fields lead to (index + 1; 0 ends)
    uint8_t flags;
    int16_t type; // api_type_at() of the message, for maps of the value; -1: a scalar
} api_field_t;

typedef struct {
    const ProtobufCMessageDescriptor *descriptor;
    uint16_t first, len; // its fields, inlined ones included, in JSON order
    bool type_meta;      // kind and apiVersion may stand in its JSON
    special_t special;
    uint64_t pointers; // bit i: descriptor->fields[i] is API_POINTER
} api_type_t;

// NULL: not a message of the API (map entries, messages of the bus).
const api_type_t *api_type_of(const ProtobufCMessageDescriptor *descriptor);
int api_types_len(void);
const api_type_t *api_type_at(int i);                               // NULL for -1
const api_field_t *api_fields(const api_type_t *t);                 // t->len of them, in JSON order
const api_field_t *api_field_sorted(const api_type_t *t, size_t i); // the i-th by JSON name
// By JSON name. `guess` is where to look first (any number): texts mostly come in table order.
const api_field_t *api_field_find(const api_type_t *t, const char *name, size_t len, size_t guess);
// The values that an enumeration takes: "Always, IfNotPresent, Never". NULL: not one.
const char *api_field_enum(const api_field_t *f);
