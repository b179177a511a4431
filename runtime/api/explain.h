// explain - what the fields of a kind mean: names, types, which are required, the values an
// enumeration takes, and a line of text for the common ones. In the layout of `kubectl explain`.
#pragma once
#include "runtime/api/kinds.h"
#include "runtime/base/text.h"

// `path`: dotted JSON names below the kind ("spec.containers"), "" for the kind itself. `recursive`
// prints the whole tree of names. ERR_NOT_FOUND with a why that names the step that is not there.
err_t explain_print(arena_t *arena, const kind_t *k, const char *path, bool recursive, text_t *out,
                    why_t *why) MUST_USE;
