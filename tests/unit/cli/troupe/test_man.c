// The man pages of the programs are made from --help; that of the topology is written by hand, and
// held to what the reader of topologies takes.
#include "cli/troupe/role.h"
#include "runtime/io/config_tree.h"
#include "support/leaks.h"
#include <criterion/criterion.h>

static char *load(const char *path) {
    char *text;
    size_t len;
    why_t why;
    cr_assert_eq(config_load_file(path, &text, &len, &why), ERR_OK, "%s", why.text);
    return text;
}

Test(man, names_every_key_and_role_of_a_topology)
{
    char *page CLEANUP(free_charp) = load(SOURCE_DIR "/docs/man/troupe-topology.5");
    char *source CLEANUP(free_charp) = load(SOURCE_DIR "/cli/troupe/topology.c");
    size_t keys = 0;
    // {"endpoint", true, listen_endpoint}
    for (const char *at = source; (at = strstr(at, "{\"")); at++) {
        const char *end = strchr(at + 2, '"');
        if (!end || (!has_prefix(end, "\", true, ") && !has_prefix(end, "\", false, "))) continue;
        char *key CLEANUP(free_charp) = str_dup_n(at + 2, (size_t)(end - at - 2));
        char *item CLEANUP(free_charp) = str_printf(".It Ic %s\n", key);
        char *second CLEANUP(free_charp) = str_printf(" , %s\n", key);
        cr_expect(strstr(page, item) || strstr(page, second), "no item for %s", key);
        keys++;
    }
    cr_assert_gt(keys, 15);
    for (const role_t *r = roles; r->role; r++) {
        char *word CLEANUP(free_charp) = str_printf(" %s", r->role);
        char *alone CLEANUP(free_charp) = str_printf(".Li %s", r->role);
        cr_expect(strstr(page, word) || strstr(page, alone), "no role %s", r->role);
    }
    ASSERT_NO_LEAKS();
}
