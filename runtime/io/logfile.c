#include "runtime/io/logfile.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

enum { COPY_BYTES = 8 << 20 };

err_t logfile_turn(const char *path, int64_t max_bytes, why_t *why) {
    struct stat st;
    if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size < max_bytes) return ERR_OK;
    char *older CLEANUP(free_charp) = str_printf("%s.1", path);
    int from CLEANUP(close_fdp) = open(path, O_RDWR | O_CLOEXEC);
    int to CLEANUP(close_fdp) = open(older, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (from < 0 || to < 0) return why_errno(why, errno, "%s", older);
    ssize_t got;
    while ((got = sendfile(to, from, NULL, COPY_BYTES)) > 0) continue;
    if (got < 0 || ftruncate(from, 0) < 0) return why_errno(why, errno, "%s", older);
    return ERR_OK;
}
