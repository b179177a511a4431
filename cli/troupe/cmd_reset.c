// reset: a node without a trace of its cluster. Works on what the machine shows (processes, mounts,
// cgroups, rules, routes), not on what a running kubelet remembers: it must also clean up after a
// crash. In the order in which things hold each other: processes, mounts, cgroups, network.
#include "actors/proxy/saved.h"
#include "cli/troupe/cmd.h"
#include "cli/troupe/leftovers.h"
#include "cli/troupe/lock.h"
#include "cli/troupe/vars.h"
#include "runtime/base/vec.h"
#include "runtime/io/netlink.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;
enum { TRIES = 100, TRY_AGAIN_MS = 20, OUTPUT_MAX_BYTES = 64 << 20 };

typedef struct {
    topology_vars_t vars;
    const char *cgroup_root, *bridge;
    bool yes, help;
} reset_t;

static const option_t options[] = {
    VARS_OPTIONS(reset_t, vars),
    {"cgroup-root", 0, OPTION_STRING, offsetof(reset_t, cgroup_root), "PATH",
     "the kubelet's cgroupRoot [none]"},
    {"bridge", 0, OPTION_STRING, offsetof(reset_t, bridge), "NAME", "the pods' bridge [cni0]"},
    {"yes", 'y', OPTION_FLAG, offsetof(reset_t, yes), NULL, "do not ask"},
    {"help", 'h', OPTION_FLAG, offsetof(reset_t, help), NULL, "this text"},
    {NULL},
};

static void pause_ms(int ms) {
    struct timespec t = {.tv_nsec = ms * 1000000L};
    nanosleep(&t, NULL);
}

static bool read_small(const char *path, text_t *out) {
    int fd CLEANUP(close_fdp) = open(path, O_RDONLY | O_CLOEXEC);
    char buf[8192];
    ssize_t got;
    if (fd < 0) return false;
    while ((got = read(fd, buf, sizeof buf)) > 0 && out->len < OUTPUT_MAX_BYTES)
        text_addn(out, buf, (size_t)got);
    return got == 0;
}

// ---- processes ---------------------------------------------------------------------------------

// containerd and its shims carry the path of our socket or configuration in their arguments.
static bool is_ours(const text_t *cmdline, const reset_t *r) {
    const char *name = strrchr(text_str(cmdline), '/');
    name = name ? name + 1 : text_str(cmdline);
    if (!streq(name, "containerd") && !has_prefix(name, "containerd-shim")) return false;
    for (const char *arg = cmdline->at; arg < cmdline->at + cmdline->len; arg += strlen(arg) + 1)
        if (has_prefix(arg, r->vars.data) || has_prefix(arg, r->vars.run)) return true;
    return false;
}

static size_t kill_runtime(const reset_t *r) {
    DIR *proc = opendir("/proc");
    size_t killed = 0;
    for (struct dirent *e; proc && (e = readdir(proc));) {
        char path[300];
        text_t cmdline = TEXT_HEAP;
        snprintf(path, sizeof path, "/proc/%s/cmdline", e->d_name);
        if (e->d_name[0] >= '1' && e->d_name[0] <= '9' && read_small(path, &cmdline) &&
            cmdline.len && is_ours(&cmdline, r))
            killed += kill((pid_t)strtol(e->d_name, NULL, 10), SIGKILL) == 0;
        text_done(&cmdline);
    }
    if (proc) closedir(proc);
    return killed;
}

// ---- cgroups -----------------------------------------------------------------------------------

static size_t cgroup_alive, cgroup_left; // nftw has no argument of its own

static int kill_members(const char *path, const struct stat *about, int kind, struct FTW *where) {
    if (kind != FTW_F || !has_suffix(path, "/cgroup.procs")) return 0;
    text_t procs = TEXT_HEAP;
    if (read_small(path, &procs))
        for (const char *at = text_str(&procs); *at;) {
            char *end;
            long pid = strtol(at, &end, 10);
            if (end == at) break;
            if (pid > 0) cgroup_alive++, kill((pid_t)pid, SIGKILL);
            at = end + strspn(end, "\n");
        }
    text_done(&procs);
    return 0;
}

static int remove_folder(const char *path, const struct stat *about, int kind, struct FTW *where) {
    if (kind == FTW_DP && rmdir(path) != 0 && errno != ENOENT) cgroup_left++;
    return 0;
}

typedef int visit_fn(const char *, const struct stat *, int, struct FTW *);
static void each_hierarchy(const reset_t *r, visit_fn *visit) {
    char path[PATH_MAX];
    DIR *top = opendir("/sys/fs/cgroup");
    snprintf(path, sizeof path, "/sys/fs/cgroup%s/kubepods", or_empty(r->cgroup_root));
    nftw(path, visit, 32, FTW_DEPTH | FTW_PHYS);
    for (struct dirent *e; top && (e = readdir(top));) {
        if (e->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "/sys/fs/cgroup/%s%s/kubepods", e->d_name,
                 or_empty(r->cgroup_root));
        nftw(path, visit, 32, FTW_DEPTH | FTW_PHYS);
    }
    if (top) closedir(top);
}

static bool empty_cgroups(const reset_t *r) {
    for (int i = 0; i < TRIES; i++) {
        cgroup_alive = 0;
        each_hierarchy(r, kill_members);
        if (!cgroup_alive) return true;
        pause_ms(TRY_AGAIN_MS);
    }
    return false;
}

static bool remove_cgroups(const reset_t *r) {
    for (int i = 0; i < TRIES; i++) {
        cgroup_left = 0;
        each_hierarchy(r, remove_folder);
        if (!cgroup_left) return true;
        pause_ms(TRY_AGAIN_MS); // the kernel empties a cgroup a moment after its last process
    }
    return false;
}

// ---- mounts ------------------------------------------------------------------------------------

static bool is_below(const char *path, const char *folder) {
    size_t len = strlen(folder);
    return strncmp(path, folder, len) == 0 && path[len] == '/';
}

// Newest first, so that what is mounted on top goes before what carries it.
static size_t unmount_all(const reset_t *r, size_t *ret_failed) {
    text_t info = TEXT_HEAP;
    VEC(char *) points = {0};
    size_t unmounted = 0;
    *ret_failed = 0;
    if (read_small("/proc/self/mountinfo", &info)) {
        char *rest = info.at, *line;
        while (rest && (line = strsep(&rest, "\n"))) {
            for (int field = 0; field < 4 && line; field++) strsep(&line, " ");
            char *point = line ? strsep(&line, " ") : NULL;
            if (point && (is_below(point, r->vars.data) || is_below(point, r->vars.run)))
                vec_push(&points, point);
        }
    }
    for (size_t i = points.len; i-- > 0;) {
        if (umount2(points.at[i], MNT_DETACH) == 0)
            unmounted++;
        else if (errno != EINVAL)
            ++*ret_failed;
    }
    vec_done(&points);
    text_done(&info);
    return unmounted;
}

// ---- network -----------------------------------------------------------------------------------

// Runs a program with memory files for its input and output; its exit code, -1 when it did not run.
static int run_program(const char *const *argv, const text_t *input, text_t *output) {
    int in CLEANUP(close_fdp) = memfd_create("in", MFD_CLOEXEC);
    int out CLEANUP(close_fdp) = memfd_create("out", MFD_CLOEXEC);
    if (in < 0 || out < 0 ||
        (input && write(in, text_str(input), input->len) != (ssize_t)input->len))
        return -1;
    lseek(in, 0, SEEK_SET);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    pid_t pid;
    int status = -1,
        code = posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)(void *)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (code) return -1;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
    lseek(out, 0, SEEK_SET);
    char buf[8192];
    ssize_t got;
    while (output && output->len < OUTPUT_MAX_BYTES && (got = read(out, buf, sizeof buf)) > 0)
        text_addn(output, buf, (size_t)got);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool has_legacy_tables(void) {
    text_t names = TEXT_HEAP;
    bool any = read_small("/proc/self/net/ip_tables_names", &names) && names.len > 0;
    text_done(&names);
    return any;
}

static bool clean_iptables(arena_t *arena, const char *backend) {
    text_t saved = TEXT_HEAP, input = TEXT_HEAP;
    const char *const save[] = {arena_printf(arena, "iptables-%s-save", backend), NULL};
    const char *const restore[] = {arena_printf(arena, "iptables-%s-restore", backend), "--noflush",
                                   "--wait", "5", NULL};
    bool ok = true;
    if (run_program(save, NULL, &saved) == 0) {
        saved_cleanup(arena, text_str(&saved), &input);
        if (input.len) ok = run_program(restore, &input, NULL) == 0;
    }
    text_done(&saved);
    text_done(&input);
    return ok;
}

static err_t clean_network(arena_t *arena, const reset_t *r, why_t *why) {
    bool ok =
        clean_iptables(arena, "nft") && (!has_legacy_tables() || clean_iptables(arena, "legacy"));
    netlink_t *nl;
    err_t err = netlink_new(&nl, why);
    if (err) return err;
    route_t *routes;
    size_t len = 0;
    err = netlink_routes(nl, arena, &routes, &len, why);
    for (size_t i = 0; !err && i < len; i++) err = netlink_delete_route(nl, &routes[i], why);
    if (!err) err = netlink_delete_link(nl, or_empty(r->bridge)[0] ? r->bridge : "cni0", why);
    netlink_destroy(&nl);
    if (!err && !ok)
        err = why_set(
            why, ERR_IO,
            "iptables-restore refused to take the rules away; see `iptables-save | grep KUBE`");
    return err;
}

// ---- the verb ----------------------------------------------------------------------------------

static bool is_confirmed(const reset_t *r) {
    if (r->yes) return true;
    printf("This ends every container of the node in %s and takes its mounts, rules, routes and "
           "cgroups away.\nGo on? [y/N] ",
           r->vars.data);
    fflush(stdout);
    char answer[16];
    return fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

static err_t reset(arena_t *arena, const reset_t *r, why_t *why) {
    pid_t pid;
    if (lock_holder(vars_pid_file(arena, &r->vars), &pid, NULL) == ERR_OK)
        return why_set(why, ERR_CONFLICT,
                       "the cluster still runs (process %d): stop it first with `troupe down`",
                       (int)pid);
    if (!is_confirmed(r)) return why_set(why, ERR_CANCELLED, "nothing was changed");
    size_t runtimes = kill_runtime(r), failed;
    bool emptied = empty_cgroups(r);
    size_t mounts = unmount_all(r, &failed);
    bool removed = remove_cgroups(r);
    size_t leftovers = leftovers_remove("", r->vars.data);
    err_t err = clean_network(arena, r, why);
    printf("ended %zu runtime processes, unmounted %zu, cgroups %s, %zu leftovers of containers\n",
           runtimes, mounts, removed ? "removed" : "left", leftovers);
    if (!err && (!emptied || !removed))
        err = why_set(why, ERR_IO, "some cgroups below %s/kubepods could not be emptied",
                      or_empty(r->cgroup_root));
    if (!err && failed)
        err = why_set(why, ERR_IO, "%zu mounts below %s could not be taken away", failed,
                      r->vars.data);
    return err;
}

err_t cmd_reset(int argc, char **argv, why_t *why) {
    reset_t r = {0};
    size_t positional_len;
    err_t e = options_parse(options, argc - 1, argv + 1, &r, NULL, 0, &positional_len, why);
    if (e) return e;
    if (r.help)
        return cmd_help(
            "troupe reset [OPTIONS]",
            "Ends the containers of this node and takes away what it left on the machine: runtime\n"
            "processes, mounts, cgroups, iptables rules, routes, the pods' bridge. Files in the "
            "data\n"
            "folder stay. The cluster must be stopped.",
            options);
    arena_t arena = {0};
    if (is_empty(r.vars.node_ip)) r.vars.node_ip = "127.0.0.1"; // not asked here
    e = vars_complete(&arena, &r.vars, why);
    if (!e) e = reset(&arena, &r, why);
    arena_done(&arena);
    return e;
}
