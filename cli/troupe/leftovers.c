#include "cli/troupe/leftovers.h"
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int remove_entry(const char *path, const struct stat *about, int kind, struct FTW *where) {
    return remove(path);
}

typedef bool visit_fn(const char *path, const char *name,
                      const char *id); // true: it was taken away

// Each entry of a folder, the dots left out.
static size_t each(const char *folder, const char *id, visit_fn *visit) {
    DIR *dir = opendir(folder);
    size_t taken = 0;
    for (struct dirent *e; dir && (e = readdir(dir));) {
        if (e->d_name[0] == '.') continue;
        char *path CLEANUP(free_charp) = str_printf("%s/%s", folder, e->d_name);
        taken += visit(path, e->d_name, id);
    }
    if (dir) closedir(dir);
    return taken;
}

// "troupe-ID-eth0", "cni-loopback-ID-lo": the results of the CNI plugins, for their next call.
static bool remove_result(const char *path, const char *name, const char *id) {
    return strstr(name, id) && unlink(path) == 0;
}

// A shim that was killed leaves its socket; nobody answers there any more.
static bool remove_dead_socket(const char *path, const char *name, const char *id) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd CLEANUP(close_fdp) = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || strlen(path) >= sizeof to.sun_path) return false;
    memcpy(to.sun_path, path, strlen(path) + 1);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0 || errno != ECONNREFUSED) return false;
    return unlink(path) == 0;
}

static size_t remove_state(const char *root, const char *id) {
    static const char *const runtimes[] = {"runc", "crun"};
    size_t taken = 0;
    for (size_t i = 0; i < LENGTH_OF(runtimes); i++) {
        char *path CLEANUP(free_charp) =
            str_printf("%s/run/containerd/%s/k8s.io/%s", root, runtimes[i], id);
        taken += nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) == 0;
    }
    return taken;
}

static size_t remove_of(const char *root, const char *folder) {
    DIR *dir = opendir(folder);
    char *results CLEANUP(free_charp) = str_printf("%s/var/lib/cni/results", root);
    size_t taken = 0;
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (e->d_name[0] != '.')
            taken += remove_state(root, e->d_name) + each(results, e->d_name, remove_result);
    if (dir) closedir(dir);
    return taken;
}

size_t leftovers_remove(const char *root, const char *data_dir) {
    static const char *const kinds[] = {"sandboxes", "containers"};
    size_t taken = 0;
    for (size_t i = 0; i < LENGTH_OF(kinds); i++) {
        char *folder CLEANUP(free_charp) =
            str_printf("%s/containerd/io.containerd.grpc.v1.cri/%s", data_dir, kinds[i]);
        taken += remove_of(root, folder);
    }
    char *sockets CLEANUP(free_charp) = str_printf("%s/run/containerd/s", root);
    return taken + each(sockets, "", remove_dead_socket);
}
