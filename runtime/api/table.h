// table - objects as the lines that `get` prints, by the columns of their kind.
#pragma once
#include "runtime/api/kinds.h"
#include "runtime/base/text.h"

typedef struct {
    bool wide, no_headers, with_namespace, show_labels, show_kind; // show_kind: "pod/x" in NAME
} table_options_t;
void table_print(arena_t *arena, const kind_t *k, const ProtobufCMessage *const *objs, size_t len,
                 int64_t now_wall_ms, const table_options_t *options, text_t *out);
const char *human_duration(arena_t *arena, int64_t ms);               // "5m13s", as AGE shows it
const char *labels_text(arena_t *arena, const ProtobufCMessage *obj); // "a=b,c=d"; "<none>"
