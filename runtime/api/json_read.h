// json_read - a tree (of JSON or YAML) becomes a message: the reading half of the codec, shared by
// codec and patch.
#pragma once
#include "runtime/api/codec.h"
#include "runtime/api/node.h"

// What was wrong, in the order of the text. Errors of the two strict sorts (unknown and duplicate
// fields) are collected only when `strict`; the others always.
typedef struct {
    struct {
        uint32_t line;
        bool is_strict;   // only strict reading minds
        const char *text; // as Kubernetes says it
    } at[CODEC_ERRORS_MAX];
    size_t len, skipped; // skipped: beyond the limit
} read_errors_t;

// A map node -> a message in the arena. kind and apiVersion are passed over where Go has TypeMeta.
// NULL only past the arena's limit; errors->len says whether to trust it.
void *json_read_node(arena_t *arena, const ProtobufCMessageDescriptor *type, const node_t *node,
                     bool strict, read_errors_t *errors) MUST_USE;
// One sentence as the API server says it: the first real error, or all strict ones.
// ERR_BAD_REQUEST.
err_t read_errors_why(const read_errors_t *errors, why_t *why) MUST_USE;
