// name - the rules for names, label keys and label values, in Kubernetes' words.
#pragma once
#include "runtime/base/check.h"

// Each returns NULL when the text is good, else the rule it breaks as field errors print it.
const char *name_check_subdomain(const char *s); // DNS-1123 subdomain: names of most objects
const char *name_check_label(const char *s);     // DNS-1123 label
const char *name_check_qualified(const char *s); // [prefix/]name: keys of labels and annotations
const char *name_check_label_value(const char *s);
