#include "actors/kubelet/host.h"
#include "actors/kubelet/containerd.h"
#include "runtime/base/log.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    CGROUP2_MAGIC = 0x63677270,
    CPU_PERIOD_US = 100 * 1000,
    TREE_FDS = 16,
    SHARES_DEFAULT = 1024
};
#define CGROUPS "/sys/fs/cgroup"

// ---- mounts, where containerd sees them -------------------------------------------------------
static bool run_in(pid_t mounts_of, const char *const *argv_in) {
    char target[32];
    snprintf(target, sizeof target, "--target=%d", (int)mounts_of);
    const char *argv[16] = {0};
    size_t argc = 0;
    if (mounts_of) {
        argv[argc++] = "nsenter";
        argv[argc++] = target;
        argv[argc++] = "--mount";
    }
    for (size_t i = 0; argv_in[i]; i++) {
        assert(argc < LENGTH_OF(argv) - 1);
        argv[argc++] = argv_in[i];
    }
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
    posix_spawnattr_t how;
    posix_spawnattr_init(&how);
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&how, &none);
    posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGMASK);
    pid_t pid;
    int code = posix_spawnp(&pid, argv[0], &files, &how, (char *const *)argv, environ);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&how);
    int status = -1;
    if (!code)
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    return !code && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static err_t mount_tmpfs(const Node__HostStep *s, pid_t mounts_of, why_t *why) {
    err_t err = make_dirs(s->path, 0777, why);
    if (err) return err;
    char options[64] = "mode=1777";
    if (s->size_limit > 0)
        snprintf(options, sizeof options, "mode=1777,size=%lld", (long long)s->size_limit);
    const char *const check[] = {"mountpoint", "-q", s->path, NULL};
    if (run_in(mounts_of, check)) return ERR_OK;
    const char *const argv[] = {"mount", "-t", "tmpfs", "-o", options, "tmpfs", s->path, NULL};
    return run_in(mounts_of, argv) ? ERR_OK : why_set(why, ERR_IO, "mount tmpfs on %s", s->path);
}

// ---- hostPath ---------------------------------------------------------------------------------
static err_t require_path(const Node__HostStep *s, why_t *why) {
    struct stat st;
    const char *type = or_empty(s->host_path_type);
    bool exists = stat(s->path, &st) == 0;
    if (streq(type, "DirectoryOrCreate")) return exists ? ERR_OK : make_dirs(s->path, 0755, why);
    if (streq(type, "FileOrCreate")) {
        int fd CLEANUP(close_fdp) = open(s->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        return fd >= 0 ? ERR_OK : why_errno(why, errno, "%s", s->path);
    }
    // With no type given the runtime makes a folder of what is missing, as Docker does.
    if (!*type) return exists ? ERR_OK : make_dirs(s->path, 0755, why);
    bool fits = exists && ((streq(type, "Directory") && S_ISDIR(st.st_mode)) ||
                           (streq(type, "File") && S_ISREG(st.st_mode)) ||
                           (streq(type, "Socket") && S_ISSOCK(st.st_mode)) ||
                           (streq(type, "CharDevice") && S_ISCHR(st.st_mode)) ||
                           (streq(type, "BlockDevice") && S_ISBLK(st.st_mode)));
    return fits ? ERR_OK
                : why_set(why, ERR_NOT_FOUND, "hostPath type check failed: %s is not a %s", s->path,
                          type);
}

// A container may put symbolic links into its own volume: the way to a sub-path must not follow
// them, or it would lead anywhere on the host.
static err_t require_subpath(const Node__HostStep *s, why_t *why) {
    char *rest CLEANUP(free_charp) = str_dup(s->below);
    int dir CLEANUP(close_fdp) = open(s->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) return why_errno(why, errno, "%s", s->path);
    char *at = rest;
    while (at && *at) {
        char *slash = strchr(at, '/');
        if (slash) *slash++ = 0;
        if (streq(at, ".."))
            return why_set(why, ERR_INVALID, "subPath \"%s\" must not leave its volume", s->below);
        bool is_step = *at && !streq(at, ".");
        int next = is_step ? openat(dir, at, O_PATH | O_NOFOLLOW | O_CLOEXEC) : -1;
        if (is_step && next < 0 && errno == ENOENT && mkdirat(dir, at, 0755) == 0)
            next = openat(dir, at, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        struct stat st;
        if (is_step && (next < 0 || fstat(next, &st) || S_ISLNK(st.st_mode))) {
            if (next >= 0) close(next);
            return why_set(why, ERR_INVALID, "subPath \"%s\" cannot be followed at \"%s\"",
                           s->below, at);
        }
        if (is_step) {
            close(dir);
            dir = next;
        }
        at = slash;
    }
    return ERR_OK;
}

// ---- cgroups ----------------------------------------------------------------------------------
bool host_has_cgroup_v2(void) {
    struct statfs fs;
    return statfs(CGROUPS, &fs) == 0 && fs.f_type == CGROUP2_MAGIC;
}

static bool put_number(const char *dir, const char *file, int64_t value) {
    char path[512], text[32];
    snprintf(path, sizeof path, "%s/%s", dir, file);
    int len = snprintf(text, sizeof text, "%lld", (long long)value);
    int fd CLEANUP(close_fdp) = open(path, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write(fd, text, (size_t)len) == len;
}

static bool put_text(const char *dir, const char *file, const char *text) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, file);
    int fd CLEANUP(close_fdp) = open(path, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

static err_t cgroup_v1(const Node__HostStep *s, why_t *why) {
    char *cpu CLEANUP(free_charp) = str_printf(CGROUPS "/cpu%s", s->path);
    char *memory CLEANUP(free_charp) = str_printf(CGROUPS "/memory%s", s->path);
    err_t err = s->cpu_shares || s->cpu_quota_us ? make_dirs(cpu, 0755, why) : ERR_OK;
    if (!err && s->memory_limit) err = make_dirs(memory, 0755, why);
    if (err) return err;
    bool done = !s->cpu_shares || put_number(cpu, "cpu.shares", s->cpu_shares);
    if (s->cpu_quota_us)
        done &= put_number(cpu, "cpu.cfs_period_us", CPU_PERIOD_US) &&
                put_number(cpu, "cpu.cfs_quota_us", s->cpu_quota_us);
    if (s->memory_limit) done &= put_number(memory, "memory.limit_in_bytes", s->memory_limit);
    return done ? ERR_OK : why_errno(why, errno, "set limits of cgroup %s", s->path);
}

static err_t cgroup_v2(const Node__HostStep *s, why_t *why) {
    char *dir CLEANUP(free_charp) = str_printf(CGROUPS "%s", s->path);
    // Controllers are handed down from the root, level by level.
    for (char *at = dir + strlen(CGROUPS); at; at = strchr(at + 1, '/')) {
        char *level CLEANUP(free_charp) = str_dup_n(dir, (size_t)(at - dir));
        if (mkdir(level, 0755) && errno != EEXIST)
            return why_errno(why, errno, "make cgroup %s", level);
        static const char *const controllers[] = {"+cpu", "+memory", "+pids", "+cpuset", "+io"};
        for (size_t i = 0; i < LENGTH_OF(controllers); i++)
            (void)put_text(level, "cgroup.subtree_control", controllers[i]);
    }
    if (mkdir(dir, 0755) && errno != EEXIST) return why_errno(why, errno, "make cgroup %s", dir);
    bool done = true;
    // The weight that runc derives from shares: 2…262144 to 1…10000.
    if (s->cpu_shares)
        done &= put_number(dir, "cpu.weight", 1 + (s->cpu_shares - 2) * 9999 / 262142);
    char quota[64];
    snprintf(quota, sizeof quota, "%lld %d", (long long)s->cpu_quota_us, CPU_PERIOD_US);
    if (s->cpu_quota_us) done &= put_text(dir, "cpu.max", quota);
    if (s->memory_limit) done &= put_number(dir, "memory.max", s->memory_limit);
    return done ? ERR_OK : why_errno(why, errno, "set limits of cgroup %s", s->path);
}

static void remove_cgroup_tree(const char *dir) {
    DIR *d = opendir(dir);
    for (const struct dirent *e; d && (e = readdir(d));) {
        if (e->d_type != DT_DIR || e->d_name[0] == '.') continue;
        char *child CLEANUP(free_charp) = str_printf("%s/%s", dir, e->d_name);
        remove_cgroup_tree(child);
    }
    if (d) closedir(d);
    (void)rmdir(dir);
}

static void remove_cgroup(const char *path) {
    assert(strlen(path) > 1); // never the root
    if (host_has_cgroup_v2()) {
        char *dir CLEANUP(free_charp) = str_printf(CGROUPS "%s", path);
        remove_cgroup_tree(dir);
        return;
    }
    DIR *d = opendir(CGROUPS);
    for (const struct dirent *e; d && (e = readdir(d));) {
        if (e->d_name[0] == '.') continue;
        char *dir CLEANUP(free_charp) = str_printf(CGROUPS "/%s%s", e->d_name, path);
        remove_cgroup_tree(dir);
    }
    if (d) closedir(d);
}

// ---- the steps --------------------------------------------------------------------------------
static err_t put_file(const Node__HostStep *s, why_t *why) {
    char *parent CLEANUP(free_charp) = str_dup(s->path);
    char *slash = strrchr(parent, '/');
    if (slash && slash != parent) {
        *slash = 0;
        err_t err = make_dirs(parent, 0755, why);
        if (err) return err;
    }
    return file_replace(s->path, s->data.data, s->data.len, s->mode ? s->mode : 0644, why);
}

static err_t put_folder(const Node__HostStep *s, why_t *why) {
    mode_t mode = s->mode ? s->mode : 0755;
    err_t err = make_dirs(s->path, mode, why);
    if (!err && chmod(s->path, mode)) err = why_errno(why, errno, "%s", s->path);
    if (!err && s->owner > 0 && chown(s->path, (uid_t)-1, (gid_t)s->owner))
        err = why_errno(why, errno, "%s", s->path);
    return err;
}

err_t host_prepare(const Node__HostPrepare *wanted, pid_t mounts_of, why_t *why) {
    for (size_t i = 0; i < wanted->n_steps; i++) {
        const Node__HostStep *s = wanted->steps[i];
        if (s->path[0] != '/') return why_set(why, ERR_INVALID, "path %s is not absolute", s->path);
        err_t err = ERR_OK;
        switch (s->kind) {
        case NODE__HOST_STEP__KIND__DIRECTORY: err = put_folder(s, why); break;
        case NODE__HOST_STEP__KIND__FILE: err = put_file(s, why); break;
        case NODE__HOST_STEP__KIND__TMPFS: err = mount_tmpfs(s, mounts_of, why); break;
        case NODE__HOST_STEP__KIND__CGROUP:
            err = host_has_cgroup_v2() ? cgroup_v2(s, why) : cgroup_v1(s, why);
            break;
        case NODE__HOST_STEP__KIND__SUBPATH: err = require_subpath(s, why); break;
        case NODE__HOST_STEP__KIND__REQUIRE: err = require_path(s, why); break;
        default: err = why_set(why, ERR_INVALID, "unknown step %d", (int)s->kind);
        }
        if (err) return err;
    }
    return ERR_OK;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where) {
    (void)remove(path); // what cannot go must not keep the rest
    return 0;
}

static void unmount_below(const char *path, pid_t mounts_of) {
    char maps[64], line[4096], point[4096];
    if (mounts_of)
        snprintf(maps, sizeof maps, "/proc/%d/mountinfo", (int)mounts_of);
    else
        snprintf(maps, sizeof maps, "/proc/self/mountinfo");
    FILE *file = fopen(maps, "re");
    size_t len = strlen(path);
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "%*s %*s %*s %*s %4095s", point) != 1) continue;
        if (strncmp(point, path, len) || (point[len] && point[len] != '/')) continue;
        const char *const argv[] = {"umount", "-l", point, NULL};
        (void)run_in(mounts_of, argv);
    }
    if (file) fclose(file);
}

void host_remove(const Node__HostRemove *wanted, pid_t mounts_of) {
    for (size_t i = 0; i < wanted->n_paths; i++) {
        const char *path = wanted->paths[i];
        if (path[0] != '/' || strlen(path) < 5) continue;
        unmount_below(path, mounts_of);
        (void)nftw(path, remove_one, TREE_FDS, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    }
    for (size_t i = 0; i < wanted->n_cgroups; i++) remove_cgroup(wanted->cgroups[i]);
}

err_t host_read(const char *path, size_t max_bytes, bool tail, text_t *out) {
    int fd CLEANUP(close_fdp) = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode)) return ERR_NOT_FOUND;
    if (tail && st.st_size > (off_t)max_bytes)
        (void)lseek(fd, st.st_size - (off_t)max_bytes, SEEK_SET);
    char buf[4096];
    while (out->len < max_bytes) {
        size_t part = max_bytes - out->len < sizeof buf ? max_bytes - out->len : sizeof buf;
        ssize_t got = read(fd, buf, part);
        if (got <= 0) break;
        text_addn(out, buf, (size_t)got);
    }
    return ERR_OK;
}
