#include "cli/troupe/cmd.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

typedef struct {
    const char *dir;
    bool force, help;
} keys_t;

static const option_t options[] = {
    {"dir", 0, OPTION_STRING, offsetof(keys_t, dir), "DIR", "where to [/etc/troupe/keys]"},
    {"force", 0, OPTION_FLAG, offsetof(keys_t, force), NULL, "replace keys that exist"},
    {"help", 'h', OPTION_FLAG, offsetof(keys_t, help), NULL, "this text"},
    {NULL},
};

enum { KEY_TEXT_SIZE = 41 }; // Z85 of 32 bytes, and a NUL

static err_t save(const char *path, mode_t mode, bool force, const text_t *text, why_t *why) {
    if (force) unlink(path);
    CLEANUP(close_fdp) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0 && errno == EEXIST)
        return why_set(why, ERR_EXISTS, "%s exists; --force replaces it", path);
    if (fd < 0 || fchmod(fd, mode) < 0) return why_errno(why, errno, "%s", path);
    if (write(fd, text->at, text->len) != (ssize_t)text->len || fsync(fd) < 0)
        return why_errno(why, errno, "%s", path);
    return ERR_OK;
}

// The format is CZMQ's zcert: ZPL text.
static void print_cert(text_t *out, const char *name, const char *public_key,
                       const char *secret_key) {
    text_addf(out, "#  A CURVE certificate of troupe%s\nmetadata\n    name = \"%s\"\ncurve\n",
              secret_key ? ": SECRET, keep it on its own machine" : ", public", name);
    text_addf(out, "    public-key = \"%s\"\n", public_key);
    if (secret_key) text_addf(out, "    secret-key = \"%s\"\n", secret_key);
}

static err_t make_keys(const char *dir, const char *name, bool force, why_t *why) {
    char public_key[KEY_TEXT_SIZE], secret_key[KEY_TEXT_SIZE];
    if (zmq_curve_keypair(public_key, secret_key) < 0)
        return why_errno(why, errno, "make a key pair");
    if (mkdir(dir, 0755) < 0 && errno != EEXIST)
        return why_errno(why, errno, "make folder %s", dir);
    CLEANUP(free_charp) char *public_path = str_printf("%s/%s.cert", dir, name);
    CLEANUP(free_charp) char *secret_path = str_printf("%s/%s.cert_secret", dir, name);
    text_t public_text = TEXT_HEAP, secret_text = TEXT_HEAP;
    print_cert(&public_text, name, public_key, NULL);
    print_cert(&secret_text, name, public_key, secret_key);
    err_t e = save(secret_path, 0600, force, &secret_text, why);
    if (!e) e = save(public_path, 0644, force, &public_text, why);
    explicit_bzero(secret_key, sizeof secret_key);
    explicit_bzero(secret_text.at, secret_text.len);
    text_done(&public_text);
    text_done(&secret_text);
    if (!e) printf("%s (public)\n%s (secret)\n", public_path, secret_path);
    return e;
}

err_t cmd_keys(int argc, char **argv, why_t *why) {
    keys_t keys = {.dir = "/etc/troupe/keys"};
    const char *name = NULL;
    size_t positional_len;
    err_t e = options_parse(options, argc - 1, argv + 1, &keys, &name, 1, &positional_len, why);
    if (e) return e;
    if (keys.help)
        return cmd_help("troupe keys NAME [OPTIONS]",
                        "Makes a CURVE key pair for a process that links over tcp: "
                        "NAME.cert_secret (0600) stays with\n"
                        "it, NAME.cert goes into the `allowed` folder of those it connects to. "
                        "NAME is the principal\n"
                        "that it is then known by.",
                        options);
    if (!name) return why_set(why, ERR_USAGE, "give a NAME");
    for (const char *at = name; *at; at++)
        if (!isalnum((unsigned char)*at) && (at == name || !strchr("-._", *at)))
            return why_set(why, ERR_USAGE, "\"%s\": letters, digits, '-', '.' and '_' only", name);
    return make_keys(keys.dir, name, keys.force, why);
}
