// The host's part of a pod: a volume's sub-path never leads out of the volume.
#include "actors/kubelet/host.h"
#include "actors/kubelet/pod_config.h"
#include "support/leaks.h"
#include <sys/stat.h>
#include <unistd.h>

static err_t subpath(const char *volume, const char *below) {
    Node__HostStep step = {.base.descriptor = &node__host_step__descriptor,
                           .kind = NODE__HOST_STEP__KIND__SUBPATH,
                           .path = volume,
                           .below = below};
    Node__HostStep *steps[] = {&step};
    Node__HostPrepare wanted = {.base.descriptor = &node__host_prepare__descriptor,
                                .n_steps = 1,
                                .steps = steps};
    why_t why;
    return host_prepare(&wanted, 0, &why);
}

Test(host, a_sub_path_is_made_and_never_leads_out)
{
    char dir[] = "/tmp/kubelet-host-XXXXXX", link[64], deep[64];
    cr_assert_not_null(mkdtemp(dir));
    snprintf(link, sizeof link, "%s/out", dir);
    snprintf(deep, sizeof deep, "%s/a/b", dir);
    cr_assert_eq(symlink("/etc", link), 0);
    struct {
        const char *below;
        err_t err;
    } table[] = {
        {"a/b", ERR_OK},      {"a/b", ERR_OK},        {"./a//b", ERR_OK},
        {"out", ERR_INVALID}, {"out/x", ERR_INVALID}, {"a/../..", ERR_INVALID},
    };
    for (size_t i = 0; i < LENGTH_OF(table); i++)
        cr_expect_eq(subpath(dir, table[i].below), table[i].err, "%s", table[i].below);
    cr_expect_eq(access(deep, F_OK), 0);
    cr_expect(access("/etc/x", F_OK) < 0);
    const char *paths[] = {dir};
    Node__HostRemove all = {.base.descriptor = &node__host_remove__descriptor,
                            .n_paths = 1,
                            .paths = paths};
    host_remove(&all, 0);
    cr_expect(access(dir, F_OK) < 0, "everything is gone");
    cr_expect_eq(access("/etc/passwd", F_OK), 0, "but what the link led to");
    ASSERT_NO_LEAKS();
}

Test(host, names_that_lead_out_are_seen)
{
    const char *good[] = {"a", "a/b", "..a", "a..", "a/..b"},
               *bad[] = {"..", "../a", "a/../b", "a/..", "/a"};
    for (size_t i = 0; i < LENGTH_OF(good); i++)
        cr_expect(path_stays_below(good[i]), "%s", good[i]);
    for (size_t i = 0; i < LENGTH_OF(bad); i++)
        cr_expect_not(path_stays_below(bad[i]), "%s", bad[i]);
    ASSERT_NO_LEAKS();
}
