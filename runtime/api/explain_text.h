// explain_text - a line in our own words for kinds, types and fields that people ask about.
#pragma once
#include "runtime/base/check.h"

// `name`: "Pod", "PodSpec.nodeName" – message and JSON name, the same in all versions. NULL: none.
const char *explain_text(const char *name);
