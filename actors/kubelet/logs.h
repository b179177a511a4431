// logs - reading what containers wrote, in CRI's log format:
//
//     2026-11-22T08:59:18.398244165Z stdout F hello
//     time, RFC 3339                 stream │ the line
//                                           └ F: the line ends here, P: it goes on in the next one
//
// Pure but for the file descriptor. Source: CRI, kubelet's logs.
#pragma once
#include "runtime/base/bytes.h"
#include "runtime/base/text.h"

enum { LOG_READ_BYTES = 32 << 10, LOG_LINE_BYTES_MAX = 256 << 10, LOG_FILES_MAX = 100 };

typedef struct {
    bool timestamps;
    int64_t since_ms; // wall; lines before it are passed over. 0: all
} log_options_t;

typedef struct {
    log_options_t options;
    bool in_line;  // a partial line has been begun
    bool skipping; // … of a line that is passed over
} log_filter_t;

// Whole lines of `in` are added to `out` as people see them; the bytes of `in` that were used are
// returned.
size_t logs_filter(log_filter_t *filter, const char *in, size_t len, text_t *out);
// The offset at which the last `lines` lines of the file begin.
int64_t logs_tail_offset(int fd, int64_t lines);
// A log over `max_bytes` moves aside: path -> path.1 -> … -> path.(keep - 1) -> gone. True: it has
// moved, and its writer is to open it anew.
bool logs_rotate(const char *path, int64_t max_bytes, int64_t keep);
// RFC 3339 with fraction and zone -> milliseconds since 1970; -1: not a time.
int64_t logs_time_ms(const char *text, size_t len);
