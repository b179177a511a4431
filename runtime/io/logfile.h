// logfile - a log that others go on writing to (with O_APPEND) is put aside when it is long: copied
// to PATH.1, which replaces the one before, and emptied. Nobody has to open it anew; a line that is
// written in the instant between the copy and the emptying is lost.
#pragma once
#include "runtime/base/why.h"

// ERR_OK also when there is nothing to do. ERR_IO: it stays as it is.
err_t logfile_turn(const char *path, int64_t max_bytes, why_t *why) MUST_USE;
