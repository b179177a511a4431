// valid - rows for tests of validation: a good object, a change, and the texts it must bring.
#pragma once
#include "runtime/api/kinds.h"

typedef struct {
    const char *patch; // strategic merge patch as JSON; NULL: the good object itself
    const char *want;  // "path: text" of each error in order, joined by newlines; "": none
} valid_row_t;

// An object from YAML with the defaults of its version, converted to the stored one.
ProtobufCMessage *valid_object(arena_t *arena, const char *yaml);
// Creates `good` with each row's patch and compares the errors.
void valid_check_create(const char *good, const valid_row_t *rows, size_t len);
// The patch is an update of the created object; `status` updates that alone.
void valid_check_update(const char *good, const valid_row_t *rows, size_t len, bool status);
