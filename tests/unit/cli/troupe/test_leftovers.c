// What killed containers leave behind, in a folder that stands for the machine's root.
#include "cli/troupe/leftovers.h"
#include "support/leaks.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <ftw.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static char root[] = "/tmp/troupe-leftovers-XXXXXX";

static int remove_entry(const char *path, const struct stat *about, int kind, struct FTW *where) {
    return remove(path);
}

static char *below(const char *path) { return str_printf("%s/%s", root, path); }

// Makes a file, with its folders.
static void put(const char *path) {
    char *full CLEANUP(free_charp) = below(path);
    for (char *slash = full + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        cr_assert(mkdir(full, 0755) == 0 || errno == EEXIST);
        *slash = '/';
    }
    FILE *file = fopen(full, "we");
    cr_assert_not_null(file);
    fclose(file);
}

static bool is_there(const char *path) {
    char *full CLEANUP(free_charp) = below(path);
    return access(full, F_OK) == 0;
}

static int listen_at(const char *path) {
    char *full CLEANUP(free_charp) = below(path);
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    cr_assert(strlen(full) < sizeof at.sun_path);
    memcpy(at.sun_path, full, strlen(full) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(bind(fd, (struct sockaddr *)&at, sizeof at) == 0 && listen(fd, 1) == 0);
    return fd;
}

Test(leftovers, of_our_containers_go_and_those_of_others_stay)
{
    cr_assert_not_null(mkdtemp(root));
    put("data/containerd/io.containerd.grpc.v1.cri/sandboxes/aaa/state");
    put("data/containerd/io.containerd.grpc.v1.cri/containers/bbb/state");
    put("run/containerd/runc/k8s.io/aaa/state.json");
    put("run/containerd/crun/k8s.io/bbb/status");
    put("run/containerd/runc/k8s.io/other/state.json");
    put("var/lib/cni/results/troupe-aaa-eth0");
    put("var/lib/cni/results/cni-loopback-aaa-lo");
    put("var/lib/cni/results/docker-other-eth0");
    put("run/containerd/s/x");
    int live = listen_at("run/containerd/s/live"), dead = listen_at("run/containerd/s/dead");
    close(dead);
    char *data CLEANUP(free_charp) = below("data");
    cr_assert_eq(leftovers_remove(root, data), 6, "and the file that is no socket");
    cr_assert_not(is_there("run/containerd/runc/k8s.io/aaa"));
    cr_assert_not(is_there("run/containerd/crun/k8s.io/bbb"));
    cr_assert_not(is_there("var/lib/cni/results/troupe-aaa-eth0"));
    cr_assert_not(is_there("var/lib/cni/results/cni-loopback-aaa-lo"));
    cr_assert_not(is_there("run/containerd/s/dead"));
    cr_assert(is_there("run/containerd/s/live"));
    cr_assert(is_there("run/containerd/runc/k8s.io/other/state.json"));
    cr_assert(is_there("var/lib/cni/results/docker-other-eth0"));
    cr_assert_eq(leftovers_remove(root, data), 0, "a second time there is nothing");
    close(live);
    cr_assert_eq(nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
    ASSERT_NO_LEAKS();
}
