// utf8 - checking and stepping through UTF-8 (RFC 3629: no overlong forms, no surrogates, nothing
// above U+10FFFF).
#pragma once
#include "runtime/base/check.h"

bool utf8_is_valid(const char *s, size_t len);
// The character at `s`; U+FFFD for a byte that starts none. `ret_len` is how many bytes it
// takes (1 for a bad one).
uint32_t utf8_at(const char *s, size_t len, size_t *ret_len);
size_t utf8_put(uint32_t c, char out[4]); // how many bytes were written
