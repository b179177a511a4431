#include "cli/troupe/cmd.h"

typedef struct {
    bool help;
} version_t;

static const option_t options[] = {
    {"help", 'h', OPTION_FLAG, offsetof(version_t, help), NULL, "this text"},
    {NULL},
};

err_t cmd_version(int argc, char **argv, why_t *why) {
    version_t version = {0};
    size_t positional_len;
    err_t e = options_parse(options, argc - 1, argv + 1, &version, NULL, 0, &positional_len, why);
    if (e) return e;
    if (version.help) return cmd_help("troupe version", "Prints this program's version.", options);
    printf("troupe %s\n", TROUPE_VERSION);
    return ERR_OK;
}
