#include "cli/troupe/cmd.h"

err_t cmd_version(int argc, char **argv, why_t *why) {
    if (argc > 1) return why_set(why, ERR_USAGE, "%s: unexpected argument", argv[1]);
    printf("troupe %s\n", TROUPE_VERSION);
    return ERR_OK;
}
