// files - the door to the disk: what a log needs of a file system, and not more.
//
// Two sides: files_real() is POSIX; files_fake_new() lives in memory and is as unkind as a disk may
// be. What was written but not synced is lost, kept or torn (per sector of 512 bytes, by seeded
// dice) at files_fake_crash; directory changes that were not synced are undone from some point on.
// The fake can be full, slow, refuse work after the n-th write, and flip bits.
//
// A write is durable after file_sync; a name (made, renamed, removed) after files_sync_dir of its
// folder. Paths are plain text with '/'; the fake knows no "..". Handles belong to one thread.
#pragma once
#include "runtime/base/arena.h"
#include "runtime/base/bytes.h"
#include "runtime/base/why.h"

typedef struct files files_t;
typedef struct file file_t;
enum { FILES_SECTOR_BYTES = 512 }; // what a disk writes whole or not at all

// ---- life ---------------------------------------------------------------------------------------
files_t *files_real(void); // POSIX; one for all, nothing to free
files_t *files_fake_new(uint64_t seed) MUST_USE;
void files_fake_destroy(files_t **files);

// ---- folders ------------------------------------------------------------------------------------
err_t files_make_dir(files_t *files, const char *path, why_t *why) MUST_USE; // parents too; 0700
// Names in the folder, sorted, without "." and ".."; the arena's.
err_t files_list(files_t *files, const char *dir, arena_t *arena, const char ***ret_names,
                 size_t *ret_len, why_t *why) MUST_USE;
err_t files_rename(files_t *files, const char *from, const char *to, why_t *why) MUST_USE;
err_t files_remove(files_t *files, const char *path, why_t *why) MUST_USE; // ERR_NOT_FOUND
err_t files_sync_dir(files_t *files, const char *dir, why_t *why) MUST_USE;
// What may still be written on the folder's file system; UINT64_MAX: no limit is known.
err_t files_free_bytes(files_t *files, const char *dir, uint64_t *ret_bytes, why_t *why) MUST_USE;
// One holder of `path` (an empty file) at a time, until the file is closed or its process dies.
// ERR_EXISTS when another holds it.
err_t files_lock(files_t *files, const char *path, file_t **ret_file, why_t *why) MUST_USE;

// ---- files --------------------------------------------------------------------------------------
typedef enum { FILE_OPEN_READ, FILE_OPEN_WRITE, FILE_OPEN_CREATE } file_mode_t;
// CREATE makes the file where it is missing (0600) and opens it for writing and reading.
err_t files_open(files_t *files, const char *path, file_mode_t mode, file_t **ret_file,
                 why_t *why) MUST_USE;
void file_close(file_t **file);
const char *file_path(const file_t *file);
err_t file_size(file_t *file, uint64_t *ret_bytes, why_t *why) MUST_USE;
// Make it exactly `bytes` long, all zeros, blocks written (so that later writes only overwrite:
// 130 µs instead of 220 for 2 KiB and a sync). ERR_DISK_FULL. Not durable before file_sync.
err_t file_allocate(file_t *file, uint64_t bytes, why_t *why) MUST_USE;
// Make it at least `bytes` long with blocks of its own, but none of them written: a place kept
// free. ERR_DISK_FULL.
err_t file_reserve(file_t *file, uint64_t bytes, why_t *why) MUST_USE;
err_t file_write_at(file_t *file, uint64_t offset, bytes_t data, why_t *why) MUST_USE;
// Reads up to len bytes; fewer only at the end of the file.
err_t file_read_at(file_t *file, uint64_t offset, void *to, size_t len, size_t *ret_len,
                   why_t *why) MUST_USE;
err_t file_sync(file_t *file, why_t *why) MUST_USE;

// ---- faults -------------------------------------------------------------------------------------
// How long the work since the last call would have taken on a disk, in µs: the fake never waits, so
// who answers for the disk in a simulation holds its answer back this long. 0 on the real side.
int64_t files_take_delay_us(files_t *files);

// The real side, the whole process (any thread): each write and sync takes so much longer; there is
// no room for another byte. 0, false: all is well.
void files_real_set_faults(int64_t delay_us, bool is_full);

// The fake side only.
void files_fake_crash(files_t *files); // power cut; handles die, work goes on after
void files_fake_set_capacity(files_t *files, uint64_t bytes); // 0: none
void files_fake_set_delay(files_t *files, int64_t sync_low_us, int64_t sync_high_us);
// Let `count` more writes (write, allocate, sync, name change) happen, then refuse all work with
// ERR_IO until the next crash: the instant at which the power went. UINT64_MAX: no cut.
void files_fake_cut_after(files_t *files, uint64_t count);
bool files_fake_is_cut(const files_t *files);
uint64_t files_fake_writes(const files_t *files); // writes so far, for the count above
err_t files_fake_flip_bit(files_t *files, const char *path, uint64_t offset, why_t *why) MUST_USE;
