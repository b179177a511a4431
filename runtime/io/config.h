// config - component files: YAML read into a struct by a table of fields. Wrong keys, wrong types
// and values out of range are errors with file and line.
//
//     kind: Kubelet                  # must be the kind the table is for
//     podRange: 10.244.1.0/24
//     syncPeriod: 500ms
#pragma once
#include "runtime/base/arena.h"
#include "runtime/base/why.h"

typedef enum {
    CONFIG_STRING,      // const char *
    CONFIG_INT,         // int64_t
    CONFIG_BOOL,        // bool
    CONFIG_DURATION_MS, // int64_t; "500ms", "10s", "1m30s", "1h"
    CONFIG_BYTES,       // int64_t; "64Mi", "1500000"
    CONFIG_STRINGS,     // config_strings_t
} config_type_t;
typedef struct {
    const char *const *at;
    size_t len;
} config_strings_t;

typedef struct {
    const char *key; // lowerCamel; NULL ends a table
    config_type_t type;
    size_t offset;    // of the member in the struct
    int64_t min, max; // numbers; both 0: any
    const char *help; // one line, for --help and docs
} config_field_t;

// Fields that the text does not name keep what stands in *ret_struct. Strings live in the arena.
err_t config_read(arena_t *arena, const char *file, const char *text, size_t len, const char *kind,
                  const config_field_t *fields, void *ret_struct, why_t *why) MUST_USE;
// The same for a map of a larger file (a topology's `set:`), where `kind` serves the messages only.
struct config_node;
err_t config_read_map(arena_t *arena, const char *file, const struct config_node *map,
                      const char *kind, const config_field_t *fields, void *ret_struct,
                      why_t *why) MUST_USE;
