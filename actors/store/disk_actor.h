// disk_actor - a store member's log, behind messages, so that consensus never waits for a disk.
//
// It owns the journal. Writes of one round are one sync: handlers append, settle syncs and tells
// how far the log is durable. Its work blocks: it belongs on a dispatcher of its own. When the
// disk fails it says so once (DiskFailed) and ends; nothing after a failed write is trusted until
// the log has been opened anew.
//
// A full disk is no failure. Beside the log lies data_dir/reserve, a file that only keeps room.
// When the file system runs low (less than half of the reserve's size is free, or the log cannot
// have its spare files) the reserve is given up, so that the database can still be flushed and
// compacted, and the store is told: it refuses what makes it larger. The log's spare files take
// what it lets through; a write that finds no room waits, unacknowledged. Looked at again every
// DISK_LOOK_MS until the reserve can be made anew: then all goes on.
//
// Accepts from its store: DiskRecover, DiskRestart, DiskRead (asks), DiskWrite, DiskCut,
// DiskFull, DiskJoined (tells).
// Tells its store: DiskSynced, DiskSpace, DiskFailed.
#pragma once
#include "runtime/actor/kit.h"
#include "runtime/io/config.h"
#include "runtime/io/files.h"

typedef struct {
    const char *data_dir;   // its log lies in data_dir/log
    const char *member;     // name of the member; that of the store actor too
    files_t *files;         // NULL: files_real()
    uint64_t segment_bytes; // 0: JOURNAL_SEGMENT_BYTES_DEFAULT
    // Which cluster's log this is; one of another is refused. Members that begin a cluster together
    // have the same word in `cluster`; a new member is given the id in hex. Neither: a new log's id
    // is drawn by lot.
    uint64_t cluster_id;
    const char *cluster;
    uint64_t reserve_bytes; // 0: DISK_RESERVE_BYTES, of a simulated disk two segments
} disk_args_t;

// In data_dir: this folder takes the place of one that was lost; its member is taken out of the
// cluster and in again (`troupe store rebuild` makes it).
#define DISK_REJOIN_MARK "rejoin"

enum {
    DISK_RESERVE_BYTES = 32 << 20, // three memtables, what a compaction rewrites, and as much again
    DISK_LOOK_MS = 500,
    DISK_LOOK_BYTES = 1 << 20, // … and each time so much was written while there is room
};

extern const actor_def_t disk_actor;
extern const config_field_t disk_config[]; // kind: Disk

// The id that a cluster's word stands for: 16 hex digits are the id itself, else its hash.
uint64_t store_cluster_id(const char *word);
// The id of a member in the log and in Raft: its name's hash, never 0.
uint64_t store_member_id(const char *member);
