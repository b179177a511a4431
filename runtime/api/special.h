// special - API values whose JSON is not the field-by-field form: times, durations, quantities,
// "int or string", raw JSON, base64. Text and number forms; the JSON around them is the codec's.
#pragma once
#include "k8s/intstr.pb-c.h"
#include "k8s/meta_v1.pb-c.h"
#include "runtime/api/fields.h"
#include "runtime/base/err.h"
#include "runtime/base/text.h"

enum { SPECIAL_TEXT_MAX = 64 }; // the longest text of a time or duration, with its NUL

// RFC 3339 in UTC; `digits` of the fraction, 0 for none. Returns the length.
size_t special_time_print(int64_t seconds, int32_t nanos, int digits, char out[SPECIAL_TEXT_MAX]);
// RFC 3339, any offset, fraction allowed. ERR_MALFORMED.
err_t special_time_parse(const char *text, size_t len, int64_t *ret_seconds,
                         int32_t *ret_nanos) MUST_USE;
// Go's time.Duration: "1h30m0s", "1.5s", "0s".
size_t special_duration_print(int64_t nanos, char out[SPECIAL_TEXT_MAX]);
err_t special_duration_parse(const char *text, size_t len, int64_t *ret_nanos) MUST_USE;
// Standard alphabet, padded. `out` has room for special_base64_size(len), or for len bytes.
static inline size_t special_base64_size(size_t len) { return (len + 2) / 3 * 4; }
void special_base64_print(const uint8_t *at, size_t len, char *out);
err_t special_base64_parse(const char *text, size_t len, uint8_t *out, size_t *ret_len) MUST_USE;
// The text of one special message as people read it ("80", "http", "500m", a time). NULL: unset.
const char *special_text(arena_t *arena, special_t special, const ProtobufCMessage *msg);
