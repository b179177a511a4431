#include "actors/kubelet/containerd.h"
#include "runtime/base/log.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <signal.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum {
    CAP_SYS_RESOURCE_BIT = 24,
    CGROUP2_MAGIC = 0x63677270,
    LINE_MAX_BYTES = 4096,
    LOG_LINE_MAX = 16384
};
#define CGROUPS "/sys/fs/cgroup"

// ---- files ------------------------------------------------------------------------------------
err_t make_dirs(const char *path, mode_t mode, why_t *why) {
    char *part CLEANUP(free_charp) = str_dup(path);
    for (char *at = part + 1; *at; at++) {
        if (*at != '/') continue;
        *at = 0;
        if (mkdir(part, 0755) && errno != EEXIST)
            return why_errno(why, errno, "make folder %s", part);
        *at = '/';
    }
    if (mkdir(part, mode) && errno != EEXIST) return why_errno(why, errno, "make folder %s", part);
    return ERR_OK;
}

err_t file_replace(const char *path, const void *data, size_t len, mode_t mode, why_t *why) {
    char *new CLEANUP(free_charp) = str_printf("%s.new", path);
    int fd CLEANUP(close_fdp) = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (fd < 0) return why_errno(why, errno, "write %s", path);
    for (size_t at = 0; at < len;) {
        ssize_t part = write(fd, (const char *)data + at, len - at);
        if (part < 0 && errno == EINTR) continue;
        if (part <= 0) return why_errno(why, errno, "write %s", path);
        at += (size_t)part;
    }
    if (fchmod(fd, mode) || rename(new, path)) return why_errno(why, errno, "write %s", path);
    return ERR_OK;
}

// ---- the machine ------------------------------------------------------------------------------
static bool root_is_shared(void) {
    FILE *file = fopen("/proc/self/mountinfo", "re");
    char line[LINE_MAX_BYTES], point[LINE_MAX_BYTES];
    bool shared = false;
    // id parent major:minor root MOUNTPOINT options [tags …] - …
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "%*s %*s %*s %*s %4095s", point) != 1 || !streq(point, "/")) continue;
        const char *tags_end = strstr(line, " - "), *tag = strstr(line, " shared:");
        shared = tag && tags_end && tag < tags_end;
    }
    if (file) fclose(file);
    return shared;
}

static bool lacks_sys_resource(void) {
    FILE *file = fopen("/proc/self/status", "re");
    char line[LINE_MAX_BYTES];
    unsigned long long effective = 0;
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "CapEff: %llx", &effective) == 1) break;
    if (file) fclose(file);
    return !(effective >> CAP_SYS_RESOURCE_BIT & 1);
}

static bool is_program(const char *name) {
    static const char *const folders[] = {"/usr/sbin",      "/usr/bin", "/usr/local/sbin",
                                          "/usr/local/bin", "/sbin",    "/bin"};
    for (size_t i = 0; i < LENGTH_OF(folders); i++) {
        char path[256];
        snprintf(path, sizeof path, "%s/%s", folders[i], name);
        if (access(path, X_OK) == 0) return true;
    }
    return false;
}

void containerd_probe(containerd_probe_t *p) {
    struct statfs fs;
    *p = (containerd_probe_t){
        .lacks_sys_resource = lacks_sys_resource(),
        .root_is_shared = root_is_shared(),
        .cgroup_v2 = statfs(CGROUPS, &fs) == 0 && fs.f_type == CGROUP2_MAGIC,
        .cgroup_hybrid = statfs(CGROUPS "/unified", &fs) == 0 && fs.f_type == CGROUP2_MAGIC,
        .has_runc = is_program("runc"),
        .has_crun = is_program("crun"),
    };
}

const char *containerd_oci_runtime(const kubelet_args_t *args, const containerd_probe_t *probe) {
    if (streq(args->oci_runtime, "runc") || streq(args->oci_runtime, "crun"))
        return args->oci_runtime;
    // In a mount namespace of containerd's own the unified hierarchy can be put out of crun's
    // sight.
    bool layout_fits = !probe->cgroup_hybrid || !probe->root_is_shared;
    return probe->has_crun && (layout_fits || !probe->has_runc) ? "crun" : "runc";
}

// ---- texts ------------------------------------------------------------------------------------
void containerd_config(const kubelet_args_t *a, const containerd_probe_t *p, text_t *out) {
    const char *oci = containerd_oci_runtime(a, p);
    text_addf(out,
              "# Made by Troupe at each start; changes are lost.\nversion = 2\nroot = "
              "\"%s/containerd\"\nstate = \"%s/containerd\"\n",
              a->data_dir, a->run_dir);
    text_add(
        out,
        "disabled_plugins = [\"io.containerd.snapshotter.v1.btrfs\", "
        "\"io.containerd.snapshotter.v1.zfs\", "
        "\"io.containerd.snapshotter.v1.aufs\", \"io.containerd.snapshotter.v1.devmapper\", "
        "\"io.containerd.tracing.processor.v1.otlp\", \"io.containerd.internal.v1.tracing\"]\n");
    text_addf(out,
              "[grpc]\n  address = \"%s/containerd.sock\"\n[ttrpc]\n  address = "
              "\"%s/containerd.sock.ttrpc\"\n",
              a->run_dir, a->run_dir);
    text_addf(out, "[plugins.\"io.containerd.internal.v1.opt\"]\n  path = \"%s/opt\"\n",
              a->data_dir);
    text_add(out, "[plugins.\"io.containerd.grpc.v1.cri\"]\n");
    text_addf(out,
              "  sandbox_image = \"%s\"\n  stream_server_address = \"127.0.0.1\"\n  "
              "stream_server_port = \"0\"\n",
              a->sandbox_image);
    text_addf(
        out, "  restrict_oom_score_adj = %s\n  enable_selinux = false\n  disable_apparmor = true\n",
        p->lacks_sys_resource ? "true" : "false");
    text_addf(out, "  netns_mounts_under_state_dir = true\n  max_container_log_line_size = %d\n",
              LOG_LINE_MAX);
    text_add(
        out,
        "  [plugins.\"io.containerd.grpc.v1.cri\".containerd]\n    snapshotter = \"overlayfs\"\n");
    text_addf(out, "    default_runtime_name = \"%s\"\n", oci);
    text_addf(out,
              "    [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.%s]\n      "
              "runtime_type = \"io.containerd.runc.v2\"\n",
              oci);
    text_addf(out,
              "      [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.%s.options]\n      "
              "  BinaryName = \"%s\"\n        SystemdCgroup = false\n",
              oci, oci);
    text_addf(out,
              "  [plugins.\"io.containerd.grpc.v1.cri\".cni]\n    bin_dir = \"%s\"\n    conf_dir = "
              "\"%s/cni\"\n    max_conf_num = 1\n",
              a->cni_bin_dir, a->data_dir);
    text_addf(
        out,
        "  [plugins.\"io.containerd.grpc.v1.cri\".registry]\n    config_path = \"%s/registry\"\n",
        a->data_dir);
}

void containerd_hosts(uint16_t registry_port, text_t *out) {
    // No `server` line: what the folder has not is asked of the real registry.
    text_addf(out, "[host.\"http://127.0.0.1:%u\"]\n  capabilities = [\"pull\", \"resolve\"]\n",
              registry_port);
}

void cni_config(const kubelet_args_t *a, const char *pod_range, int mtu, text_t *out) {
    text_add(out, "{\"cniVersion\": \"0.4.0\", \"name\": \"troupe\", \"plugins\": [\n");
    text_addf(out,
              "  {\"type\": \"bridge\", \"bridge\": \"%s\", \"isGateway\": true, \"ipMasq\": "
              "false, \"hairpinMode\": true, \"promiscMode\": false",
              a->bridge);
    if (mtu) text_addf(out, ", \"mtu\": %d", mtu);
    text_addf(out,
              ",\n   \"ipam\": {\"type\": \"host-local\", \"dataDir\": \"%s/ipam\", \"ranges\": "
              "[[{\"subnet\": \"%s\"}]], "
              "\"routes\": [{\"dst\": \"0.0.0.0/0\"}]}},\n",
              a->run_dir, pod_range);
    text_add(out, "  {\"type\": \"portmap\", \"capabilities\": {\"portMappings\": true}}\n]}\n");
}

// ---- making them true -------------------------------------------------------------------------
static void set_kernel(const char *path, const char *value) {
    int fd CLEANUP(close_fdp) = open(path, O_WRONLY | O_CLOEXEC);
    if (fd >= 0 && write(fd, value, strlen(value)) > 0) return;
    // Some are absent until the first bridge exists, or not ours to change: services may then not
    // work.
    log_warn("containerd", "%s stays as it is: %s", path, strerror(errno));
}

err_t containerd_prepare(const kubelet_args_t *a, const containerd_probe_t *p, why_t *why) {
    static const char *const below_data[] = {"",     "/containerd",        "/opt",
                                             "/cni", "/registry/_default", "/pods"};
    static const char *const below_run[] = {"", "/containerd", "/ipam"};
    for (size_t i = 0; i < LENGTH_OF(below_data); i++) {
        char *dir CLEANUP(free_charp) = str_printf("%s%s", a->data_dir, below_data[i]);
        if (make_dirs(dir, 0755, why)) return ERR_IO;
    }
    for (size_t i = 0; i < LENGTH_OF(below_run); i++) {
        char *dir CLEANUP(free_charp) = str_printf("%s%s", a->run_dir, below_run[i]);
        if (make_dirs(dir, 0755, why)) return ERR_IO;
    }
    set_kernel("/proc/sys/net/ipv4/ip_forward", "1");
    set_kernel("/proc/sys/net/ipv4/conf/all/route_localnet", "1");
    set_kernel("/proc/sys/net/bridge/bridge-nf-call-iptables", "1");
    text_t config = TEXT_HEAP;
    containerd_config(a, p, &config);
    char *path CLEANUP(free_charp) = str_printf("%s/containerd.toml", a->data_dir);
    err_t err = file_replace(path, config.at, config.len, 0644, why);
    text_done(&config);
    return err;
}

err_t containerd_write_hosts(const kubelet_args_t *a, uint16_t registry_port, why_t *why) {
    text_t hosts = TEXT_HEAP;
    containerd_hosts(registry_port, &hosts);
    char *path CLEANUP(free_charp) = str_printf("%s/registry/_default/hosts.toml", a->data_dir);
    err_t err = file_replace(path, hosts.at, hosts.len, 0644, why);
    text_done(&hosts);
    return err;
}

// The smallest MTU that leaves the machine unharmed: that of the default route's interface.
static int default_mtu(void) {
    FILE *file = fopen("/proc/net/route", "re");
    char line[LINE_MAX_BYTES], name[64], target[64];
    struct ifreq request = {0};
    bool found = false;
    while (file && !found && fgets(line, sizeof line, file))
        if (sscanf(line, "%63s %63s", name, target) == 2 && streq(target, "00000000")) found = true;
    if (file) fclose(file);
    int fd CLEANUP(close_fdp) = found ? socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;
    if (fd < 0) return 0;
    snprintf(request.ifr_name, sizeof request.ifr_name, "%.15s", name);
    return ioctl(fd, SIOCGIFMTU, &request) == 0 ? request.ifr_mtu : 0;
}

err_t cni_write(const kubelet_args_t *a, const char *pod_range, why_t *why) {
    text_t config = TEXT_HEAP;
    cni_config(a, pod_range, default_mtu(), &config);
    char *path CLEANUP(free_charp) = str_printf("%s/cni/10-troupe.conflist", a->data_dir);
    err_t err = file_replace(path, config.at, config.len, 0644, why);
    text_done(&config);
    return err;
}

// ---- the process ------------------------------------------------------------------------------
// The pidfile holds "pid starttime": a pid alone may belong to another process by now.
static unsigned long long start_time_of(pid_t pid) {
    char path[64], line[LINE_MAX_BYTES];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    unsigned long long started = 0;
    if (file && fgets(line, sizeof line, file)) {
        const char *after_name = strrchr(line, ')'); // the name may hold anything
        char state = 0;
        if (!after_name ||
            sscanf(
                after_name + 1,
                " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu",
                &state, &started) != 2 ||
            state == 'Z')
            started = 0;
    }
    if (file) fclose(file);
    return started;
}

static char *pidfile_of(const kubelet_args_t *a) {
    return str_printf("%s/containerd.pid", a->run_dir);
}
char *containerd_socket(const kubelet_args_t *a) {
    return is_empty(a->socket) ? str_printf("%s/containerd.sock", a->run_dir) : str_dup(a->socket);
}

pid_t containerd_find(const kubelet_args_t *a) {
    char *path CLEANUP(free_charp) = pidfile_of(a);
    FILE *file = fopen(path, "re");
    int pid = 0;
    unsigned long long started = 0;
    bool read = file && fscanf(file, "%d %llu", &pid, &started) == 2 && pid > 0;
    if (file) fclose(file);
    return read && started && start_time_of(pid) == started ? pid : 0;
}

err_t containerd_start(const kubelet_args_t *a, const containerd_probe_t *p, pid_t *ret_pid,
                       why_t *why) {
    char *config CLEANUP(free_charp) = str_printf("%s/containerd.toml", a->data_dir);
    char *log CLEANUP(free_charp) = str_printf("%s/containerd.log", a->data_dir);
    // Where / is not shared, containers could not see later mounts: a mount namespace whose / is.
    // There the unified hierarchy of a hybrid layout is put out of crun's sight.
    bool hides_unified = p->cgroup_hybrid && streq(containerd_oci_runtime(a, p), "crun");
    const char *argv[16] = {0};
    size_t argc = 0;
    if (!p->root_is_shared) {
        argv[argc++] = "unshare";
        argv[argc++] = "--mount";
        argv[argc++] = "--propagation";
        argv[argc++] = "shared";
        if (hides_unified) {
            argv[argc++] = "sh";
            argv[argc++] = "-c";
            argv[argc++] = "umount " CGROUPS "/unified; exec \"$0\" \"$@\"";
        }
    }
    argv[argc++] = "containerd";
    argv[argc++] = "--config";
    argv[argc++] = config;
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0640);
    posix_spawn_file_actions_adddup2(&files, 1, 2);
    posix_spawnattr_t how;
    posix_spawnattr_init(&how);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&how, &none); // a blocked SIGTERM would be inherited
    posix_spawnattr_setsigdefault(&how, &all);
    posix_spawnattr_setflags(&how,
                             POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    pid_t pid = 0;
    int code = posix_spawnp(&pid, argv[0], &files, &how, (char *const *)argv, environ);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&how);
    if (code) return why_errno(why, code, "start containerd");
    char text[64];
    int len = snprintf(text, sizeof text, "%d %llu\n", (int)pid, start_time_of(pid));
    char *path CLEANUP(free_charp) = pidfile_of(a);
    *ret_pid = pid;
    return file_replace(path, text, (size_t)len, 0644, why);
}
