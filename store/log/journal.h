// journal - the log of a member on disk: entries and hard state in checksummed segment files.
//
//     data/log/000000000000002a.seg    segments in order; the last one is written to
//     data/log/spare-0.seg             cut segments wait here to be used again
//     data/log/lock                    held while the journal is open
//
// It is the only write-ahead log of the store: nothing is acknowledged before journal_sync has
// covered it. It is never part of a snapshot (term and vote are in it). Over the files port, so
// that the simulator runs this very code on a disk that loses and tears writes.
// Belongs to one thread. After any error of append or sync (but ERR_DISK_FULL of append, which has
// done nothing) the journal refuses all further work: what the disk holds then is known only after
// opening it anew.
#pragma once
#include "runtime/io/files.h"
#include "store/raft/raft.h"

enum {
    JOURNAL_SEGMENT_BYTES_DEFAULT = 8 << 20, // zeroed at first start: 8 MiB take ~10 ms
    // Files that wait to be written to. One of them is begun without delay when a segment is full;
    // the other is what a full disk leaves for deletions, compaction and elections.
    JOURNAL_SPARES = 2, // more are deleted
};

typedef struct journal journal_t;

typedef struct {
    const char *dir;
    uint64_t cluster_id;    // a log that exists must be of this cluster; 0: any
    raft_id_t member_id;    // must be the log's own; 0: any, read_only
    uint64_t segment_bytes; // 0: the default
    bool read_only;         // nothing is changed, a torn tail neither; ERR_NOT_FOUND: no log
} journal_options_t;

typedef struct {
    raft_index_t index;
    raft_term_t term;
    uint8_t kind; // the store's own
    bytes_t data;
} journal_entry_t;

// ERR_CORRUPT with file and position: a record that was durable cannot be read; nothing is
// changed. ERR_CONFLICT: the log of another cluster or member. A torn tail is cut off.
// A new log belongs to options->cluster_id, or, where that is 0, to `cluster_id_if_new`.
err_t journal_open(files_t *files, const journal_options_t *options, uint64_t cluster_id_if_new,
                   journal_t **ret_journal, why_t *why) MUST_USE;
void journal_close(journal_t **journal); // no sync

// ---- questions ----------------------------------------------------------------------------------
const trail_t *journal_trail(const journal_t *journal);
raft_hard_t journal_hard(const journal_t *journal);
uint64_t journal_cluster_id(const journal_t *journal);
raft_id_t journal_member_id(const journal_t *journal);
size_t journal_segments(const journal_t *journal);
uint64_t journal_bytes(const journal_t *journal);      // of all segments, spares not counted
uint64_t journal_torn_bytes(const journal_t *journal); // cut off when it was opened
// Of records: what may be appended before another file must be made.
uint64_t journal_room(const journal_t *journal);

// ---- changes ------------------------------------------------------------------------------------
// Hard state (NULL: as before), then entries; those whose index exists replace it and all after it.
// Durable after the next journal_sync. ERR_DISK_FULL: nothing was appended, and it may be tried
// again when there is room. ERR_IO: see above.
err_t journal_append(journal_t *journal, const raft_hard_t *hard, const journal_entry_t *entries,
                     size_t len, why_t *why) MUST_USE;
err_t journal_sync(journal_t *journal, why_t *why) MUST_USE;
// Note behind what was synced that it was: a record without news, not synced itself. Damage to the
// very last batch is then told from a torn tail, though nothing was written after it. When idle:
// does nothing while something is unsynced, or where there is no room in the segment.
err_t journal_mark(journal_t *journal, why_t *why) MUST_USE;
// Make one spare file if fewer than JOURNAL_SPARES wait; made: there may be another to make. Takes
// a segment's worth of writing, so: when nobody waits. ERR_DISK_FULL: all is as before.
err_t journal_reserve(journal_t *journal, bool *ret_made, why_t *why) MUST_USE;
// Read back entries [first, …], at least one, then as many as bytes_max allows; checksums are
// checked. The arena's.
err_t journal_read(journal_t *journal, raft_index_t first, uint64_t bytes_max, arena_t *arena,
                   journal_entry_t **ret_entries, size_t *ret_len, why_t *why) MUST_USE;
// Forget every entry and begin anew after `index`: a snapshot has all up to there. The hard state
// stays. Durable on return; a crash leaves the log as it was or begun anew.
err_t journal_restart(journal_t *journal, raft_index_t index, raft_term_t term,
                      why_t *why) MUST_USE;
// Entries up to `up_to` are not needed any more: whole segments below it are recycled.
err_t journal_cut(journal_t *journal, raft_index_t up_to, why_t *why) MUST_USE;
