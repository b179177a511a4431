// builtin - the topology files that the program carries, so that `troupe up` needs no file at all.
#pragma once
#include "runtime/base/bytes.h"

// "all-in-one" → the text of configs/all-in-one.yaml as it was built in; {0}: no such topology.
bytes_t builtin_topology(const char *name);
