// outputs - what a container's output fifos still hold when its task is deleted.
//
// containerd 1.6.20, which Debian 12 ships, closes its end of a container's output as soon as it
// hears of the end, read or not (client's Task.Delete; mended in 1.6.21): on a busy machine, or
// with a slow reader attached, logs lose their tail. A fifo keeps its contents as long as anybody
// has it open, so a second reading end is held here, from before the start, and never read while
// containerd reads:
//
//     StartContainer: open ─► /tasks/exit: widen, the shim's own pipe fits in, too
//     ─► /tasks/delete: nobody else reads any more, and the rest is ours
//
// The shim gives its copying two seconds once it is told to delete.
#pragma once
#include "runtime/base/map.h"
#include "runtime/base/text.h"

enum { OUTPUT_STDOUT, OUTPUT_STDERR, OUTPUTS };
typedef struct {
    map_t by_id; // container -> its reading ends, owned
} outputs_t;

// `state_dir` is containerd's. A container without fifos, or one that is held already: nothing.
void outputs_open(outputs_t *o, const char *state_dir, const char *id);
void outputs_open_all(outputs_t *o, const char *state_dir); // of all containers that are there
void outputs_widen(outputs_t *o, const char *id);
// The rest of each output is added to `ret_rest`, and the ends are closed. True: there was any.
bool outputs_take(outputs_t *o, const char *id, text_t ret_rest[static OUTPUTS]);
void outputs_close(outputs_t *o, const char *id);
void outputs_done(outputs_t *o);

// `rest` as lines of CRI's log; its beginning goes on with the line that the log ends in.
void outputs_log_lines(const char *stream, const text_t *rest, const char *time, text_t *out);
