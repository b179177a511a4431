// jsonpath - kubectl's JSONPath templates over a JSON tree: text and {…} parts, dotted and quoted
// fields, [n], [a:b], [*], wildcards, recursive descent, filters [?(@.x=="y")], range/end.
#pragma once
#include "runtime/base/text.h"
#include "runtime/base/why.h"
#include <jansson.h>

enum { JSONPATH_RESULTS_MAX = 100000 };
// Print `template` over `root`. A missing field is empty text, or an error with `strict`.
err_t jsonpath_print(const char *template_, json_t *root, bool strict, text_t *out,
                     why_t *why) MUST_USE;
// One expression without braces ("{.a.b}" and ".a.b" are both taken) as text; values joined by
// `join`.
err_t jsonpath_value(const char *expression, json_t *root, const char *join, text_t *out,
                     size_t *ret_found, why_t *why) MUST_USE;
