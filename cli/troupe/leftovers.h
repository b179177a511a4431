// leftovers - what containers that were killed, not stopped, leave outside of our folders: state of
// the OCI runtime, sockets of shims, cached CNI results. Found by the containers' ids, which
// containerd's own folder in DATA still has.
#pragma once
#include "runtime/base/vec.h"

// Takes them away, below `root` ("" but in tests); returns how many there were.
size_t leftovers_remove(const char *root, const char *data_dir);
