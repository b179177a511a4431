// quantity - Kubernetes' resource amounts: "500m", "1Gi", "1e3" (resource.Quantity).
//
// Numbers are kept exact: 64-bit nano units would overflow, so value × 10^-9 in 128 bits.
#pragma once
#include "runtime/base/arena.h"
#include "runtime/base/err.h"

typedef struct {
    __int128 nano;
} quantity_t;
err_t quantity_parse(const char *text, quantity_t *ret_q) MUST_USE; // ERR_MALFORMED
int quantity_cmp(quantity_t a, quantity_t b);
int64_t quantity_milli(quantity_t q); // rounded up, saturating: cpu
int64_t quantity_value(quantity_t q); // rounded up, saturating: memory, counts
// Canonical text in the format (decimal, binary, exponent) that `like` was written in, as Go's
// resource.Quantity prints it: "0.5" -> "500m", "1024Mi" -> "1Gi". NULL: malformed.
const char *quantity_canonical(arena_t *arena, const char *like);
