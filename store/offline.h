// offline - what can be done to a member's data folder while nobody runs on it: check it, make a
// cluster of one member from it, fill a new one from a snapshot.
//
//     DIR/log   the log (store/log/journal.h); its lock says that nobody else is here
//     DIR/db    the state machine on RocksDB
//     DIR/reserve
//
// A folder that another process uses, of a newer format, of another cluster or member, or that may
// not be read is refused, and nothing is changed. Recovery and restore build a new folder beside
// and put it in place by renaming: the old one is kept, and a crash leaves one or the other.
#pragma once
#include "store/log/journal.h"
#include "store/mvcc/mvcc.h"
#include "store/snapshot.h"

enum { OFFLINE_REVISION_GAP = 1000 * 1000 * 1000 }; // more than any cluster wrote since a snapshot

// Something happened worth a line, or a number moved; may be NULL.
typedef struct {
    void (*tell)(void *arg, const char *what, uint64_t done, uint64_t of); // of 0: unknown
    void *arg;
} progress_t;

typedef struct {
    uint64_t cluster_id;
    raft_id_t member_id;
    raft_hard_t hard;
    size_t segments;
    uint64_t log_bytes, torn_bytes; // torn: at the log's end, never synced; cut off at the start
    raft_index_t begin, last;       // entries (begin, last]
    raft_term_t last_term;
    meta_t meta; // of the state machine
    uint64_t db_bytes;
    mvcc_tally_t tally;
} offline_report_t;

// Every record of the log, every block of the database, the invariants of the state machine, and
// that the two belong together. ERR_CORRUPT with file and position; ERR_EXISTS: in use;
// ERR_UNSUPPORTED: a newer format; ERR_NOT_FOUND: no data folder; ERR_CONFLICT: log and database
// are of two clusters.
err_t offline_check(const char *dir, const progress_t *progress, offline_report_t *ret_report,
                    why_t *why) MUST_USE;
// The same without reading what is long: who, and how far. Also the lock: nobody runs on it.
err_t offline_look(const char *dir, offline_report_t *ret_report, why_t *why) MUST_USE;

typedef struct {
    const char *dir;
    const char *member;  // must be the folder's own; of a restore: the new one's
    raft_id_t member_id; // its id
    revision_t gap;      // added to the revision, so that nobody mistakes new for old
    uint64_t cluster_id; // the new one's, drawn by the caller
    const progress_t *progress;
} offline_anew_t;
typedef struct {
    revision_t revision; // after the gap; all at or before it is compacted
    char *kept;          // where the old folder is now; the caller frees it; NULL: there was none
} offline_made_t;

// A cluster of this member alone, with all that is in its log: also what was never acknowledged,
// but without what only others had. ERR_CONFLICT: the folder is of another member.
err_t offline_recover(const offline_anew_t *anew, offline_made_t *ret_made, why_t *why) MUST_USE;
// A folder with nothing but the mark `mark` in place of DIR, at once, whatever DIR is like; DIR may
// be missing. A member that starts on it gets everything from the others. ERR_EXISTS: in use.
// *ret_kept: where the old folder is now; the caller frees it; NULL: there was none.
err_t offline_rebuild(const char *dir, const char *mark, char **ret_kept, why_t *why) MUST_USE;
// A data folder that did not exist, with the keys of the snapshot. ERR_EXISTS: DIR is there.
err_t offline_restore(const offline_anew_t *anew, const char *snapshot_path,
                      offline_made_t *ret_made, why_t *why) MUST_USE;
