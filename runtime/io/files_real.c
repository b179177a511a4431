// The POSIX side of the port.
#include "runtime/io/files.h"
#include "runtime/io/files_ops.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum { ZEROS_BYTES = 256 * 1024 }; // one write of file_allocate

typedef struct {
    file_t face;
    int fd;
} real_t;

static _Atomic int64_t fault_delay_us;
static _Atomic bool fault_is_full;

void files_real_set_faults(int64_t delay_us, bool is_full) {
    fault_delay_us = delay_us;
    fault_is_full = is_full;
}

// Before each write and sync.
static err_t suffer(const char *path, bool needs_room, why_t *why) {
    int64_t us = atomic_load_explicit(&fault_delay_us, memory_order_relaxed);
    if (us) nanosleep(&(struct timespec){us / 1000000, us % 1000000 * 1000}, NULL);
    if (needs_room && atomic_load_explicit(&fault_is_full, memory_order_relaxed))
        return why_errno(why, ENOSPC, "write %s", path);
    return ERR_OK;
}

static real_t *real_of(file_t *file) { return (real_t *)file; }

static err_t real_make_dir(files_t *files, const char *path, why_t *why) {
    CLEANUP(free_charp) char *part = str_dup(path);
    for (char *at = part + 1;; at++) {
        if (*at && *at != '/') continue;
        char kept = *at;
        *at = '\0';
        if (mkdir(part, 0700) != 0 && errno != EEXIST)
            return why_errno(why, errno, "make folder %s", part);
        *at = kept;
        if (!kept) return ERR_OK;
    }
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static err_t real_list(files_t *files, const char *path, arena_t *arena, const char ***ret_names,
                       size_t *ret_len, why_t *why) {
    DIR *dir = opendir(path);
    if (!dir) return why_errno(why, errno, "list %s", path);
    size_t len = 0, cap = 16;
    const char **names = ARENA_ARRAY(arena, const char *, cap);
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (streq(entry->d_name, ".") || streq(entry->d_name, "..")) continue;
        if (len == cap) {
            const char **more = ARENA_ARRAY(arena, const char *, cap * 2);
            memcpy(more, names, len * sizeof *names);
            names = more;
            cap *= 2;
        }
        names[len++] = arena_strdup(arena, entry->d_name);
    }
    closedir(dir);
    qsort(names, len, sizeof *names, by_name);
    *ret_names = names;
    *ret_len = len;
    return ERR_OK;
}

static err_t real_rename(files_t *files, const char *from, const char *to, why_t *why) {
    if (rename(from, to) != 0) return why_errno(why, errno, "rename %s to %s", from, to);
    return ERR_OK;
}

static err_t real_remove(files_t *files, const char *path, why_t *why) {
    if (unlink(path) != 0) return why_errno(why, errno, "remove %s", path);
    return ERR_OK;
}

static err_t real_sync_dir(files_t *files, const char *dir, why_t *why) {
    CLEANUP(close_fdp) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return why_errno(why, errno, "open folder %s", dir);
    if (fsync(fd) != 0) return why_errno(why, errno, "sync folder %s", dir);
    return ERR_OK;
}

static err_t real_free_bytes(files_t *files, const char *dir, uint64_t *ret_bytes, why_t *why) {
    struct statvfs at;
    if (statvfs(dir, &at) != 0) return why_errno(why, errno, "stat the file system of %s", dir);
    *ret_bytes = (uint64_t)at.f_bavail * at.f_frsize;
    return ERR_OK;
}

static err_t real_open(files_t *files, const char *path, file_mode_t mode, file_t **ret_file,
                       why_t *why) {
    static const int flags[] = {
        [FILE_OPEN_READ] = O_RDONLY,
        [FILE_OPEN_WRITE] = O_RDWR,
        [FILE_OPEN_CREATE] = O_RDWR | O_CREAT,
    };
    int fd = open(path, flags[mode] | O_CLOEXEC, 0600);
    if (fd < 0) return why_errno(why, errno, "open %s", path);
    real_t *real = NEW(real_t);
    *real = (real_t){.face = {.files = files, .path = str_dup(path)}, .fd = fd};
    *ret_file = &real->face;
    return ERR_OK;
}

static void real_close(file_t *file) {
    close(real_of(file)->fd);
    free(file->path);
    free(file);
}

static err_t real_lock(files_t *files, const char *path, file_t **ret_file, why_t *why) {
    file_t *file = NULL;
    err_t err = real_open(files, path, FILE_OPEN_CREATE, &file, why);
    if (err != ERR_OK) return err;
    if (flock(real_of(file)->fd, LOCK_EX | LOCK_NB) == 0) {
        *ret_file = file;
        return ERR_OK;
    }
    int code = errno;
    real_close(file);
    if (code != EWOULDBLOCK) return why_errno(why, code, "lock %s", path);
    return why_set(why, ERR_EXISTS, "%s is held by another process", path);
}

static err_t real_size(file_t *file, uint64_t *ret_bytes, why_t *why) {
    struct stat at;
    if (fstat(real_of(file)->fd, &at) != 0) return why_errno(why, errno, "stat %s", file->path);
    *ret_bytes = (uint64_t)at.st_size;
    return ERR_OK;
}

static err_t real_write_at(file_t *file, uint64_t offset, bytes_t data, why_t *why) {
    err_t err = suffer(file->path, true, why);
    if (err) return err;
    while (data.len) {
        ssize_t done = pwrite(real_of(file)->fd, data.at, data.len, (off_t)offset);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0)
            return why_errno(why, done ? errno : ENOSPC, "write %s at %llu", file->path,
                             (unsigned long long)offset);
        data.at += done;
        data.len -= (size_t)done;
        offset += (uint64_t)done;
    }
    return ERR_OK;
}

static err_t real_reserve(file_t *file, uint64_t bytes, why_t *why) {
    int code = posix_fallocate(real_of(file)->fd, 0, (off_t)bytes);
    if (code && code != EOPNOTSUPP && code != EINVAL)
        return why_errno(why, code, "allocate %llu bytes for %s", (unsigned long long)bytes,
                         file->path);
    return ERR_OK;
}

static err_t real_allocate(file_t *file, uint64_t bytes, why_t *why) {
    static const uint8_t zeros[ZEROS_BYTES];
    if (ftruncate(real_of(file)->fd, 0) != 0) return why_errno(why, errno, "empty %s", file->path);
    err_t reserved = real_reserve(file, bytes, why);
    if (reserved != ERR_OK) return reserved;
    // Unwritten extents would turn each overwrite into a metadata change: write the zeros.
    for (uint64_t at = 0; at < bytes; at += ZEROS_BYTES) {
        size_t len = bytes - at < ZEROS_BYTES ? (size_t)(bytes - at) : ZEROS_BYTES;
        err_t err = real_write_at(file, at, (bytes_t){zeros, len}, why);
        if (err != ERR_OK) return err;
    }
    return ERR_OK;
}

static err_t real_read_at(file_t *file, uint64_t offset, void *to, size_t len, size_t *ret_len,
                          why_t *why) {
    size_t have = 0;
    while (have < len) {
        ssize_t done =
            pread(real_of(file)->fd, (uint8_t *)to + have, len - have, (off_t)(offset + have));
        if (done < 0 && errno == EINTR) continue;
        if (done < 0)
            return why_errno(why, errno, "read %s at %llu", file->path, (unsigned long long)offset);
        if (done == 0) break;
        have += (size_t)done;
    }
    *ret_len = have;
    return ERR_OK;
}

static err_t real_sync(file_t *file, why_t *why) {
    err_t err = suffer(file->path, false, why);
    if (err) return err;
    // After a failed fdatasync the kernel may have dropped the pages: the caller must not try
    // again and believe a second "ok" (fsyncgate, 2018).
    if (fdatasync(real_of(file)->fd) != 0) return why_errno(why, errno, "sync %s", file->path);
    return ERR_OK;
}

static int64_t real_take_delay_us(files_t *files) { return 0; }

static const files_ops_t real_ops = {
    .make_dir = real_make_dir,
    .list = real_list,
    .rename = real_rename,
    .remove = real_remove,
    .sync_dir = real_sync_dir,
    .free_bytes = real_free_bytes,
    .lock = real_lock,
    .open = real_open,
    .close = real_close,
    .size = real_size,
    .allocate = real_allocate,
    .reserve = real_reserve,
    .write_at = real_write_at,
    .read_at = real_read_at,
    .sync = real_sync,
    .take_delay_us = real_take_delay_us,
};

files_t *files_real(void) {
    static files_t real = {&real_ops};
    return &real;
}
