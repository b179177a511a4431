// files_ops - between files.c and its two sides; nobody else includes it.
#pragma once
#include "runtime/io/files.h"

// The functions of files.h, a member each.
typedef struct {
    err_t (*make_dir)(files_t *, const char *, why_t *);
    err_t (*list)(files_t *, const char *, arena_t *, const char ***, size_t *, why_t *);
    err_t (*rename)(files_t *, const char *, const char *, why_t *);
    err_t (*remove)(files_t *, const char *, why_t *);
    err_t (*sync_dir)(files_t *, const char *, why_t *);
    err_t (*free_bytes)(files_t *, const char *, uint64_t *, why_t *);
    err_t (*lock)(files_t *, const char *, file_t **, why_t *);
    err_t (*open)(files_t *, const char *, file_mode_t, file_t **, why_t *);
    void (*close)(file_t *);
    err_t (*size)(file_t *, uint64_t *, why_t *);
    err_t (*allocate)(file_t *, uint64_t, why_t *);
    err_t (*reserve)(file_t *, uint64_t, why_t *);
    err_t (*write_at)(file_t *, uint64_t, bytes_t, why_t *);
    err_t (*read_at)(file_t *, uint64_t, void *, size_t, size_t *, why_t *);
    err_t (*sync)(file_t *, why_t *);
    int64_t (*take_delay_us)(files_t *);
} files_ops_t;

// First member of each side's own structs.
struct files {
    const files_ops_t *ops;
};
struct file {
    files_t *files;
    char *path; // owned
};
