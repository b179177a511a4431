#include "actors/kubelet/logs.h"
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int64_t logs_time_ms(const char *text, size_t len) {
    char copy[64];
    if (len >= sizeof copy || len < 20) return -1;
    memcpy(copy, text, len);
    copy[len] = 0;
    struct tm tm = {0};
    const char *at = strptime(copy, "%Y-%m-%dT%H:%M:%S", &tm);
    if (!at) return -1;
    int64_t ms = (int64_t)timegm(&tm) * 1000;
    if (*at == '.') {
        int64_t scale = 100;
        for (at++; *at >= '0' && *at <= '9'; at++, scale /= 10) ms += (*at - '0') * scale;
    }
    int hours, minutes;
    if (streq(at, "Z")) return ms;
    if ((*at == '+' || *at == '-') && sscanf(at + 1, "%2d:%2d", &hours, &minutes) == 2)
        return ms - (*at == '+' ? 1 : -1) * (hours * 60 + minutes) * 60000;
    return -1;
}

static void one_line(log_filter_t *f, const char *line, size_t len, text_t *out) {
    const char *end = line + len;
    const char *stream = memchr(line, ' ', len);
    const char *tag = stream ? memchr(stream + 1, ' ', (size_t)(end - stream - 1)) : NULL;
    const char *content = tag ? memchr(tag + 1, ' ', (size_t)(end - tag - 1)) : NULL;
    if (!tag) return; // torn by a crash: nothing that could be shown as a line
    bool goes_on = tag[1] == 'P';
    if (!f->in_line) {
        f->skipping = f->options.since_ms &&
                      logs_time_ms(line, (size_t)(stream - line)) < f->options.since_ms;
        if (!f->skipping && f->options.timestamps) {
            text_addn(out, line, (size_t)(stream - line));
            text_addc(out, ' ');
        }
    }
    if (!f->skipping && content) text_addn(out, content + 1, (size_t)(end - content - 1));
    if (!f->skipping && !goes_on) text_addc(out, '\n');
    f->in_line = goes_on;
}

size_t logs_filter(log_filter_t *f, const char *in, size_t len, text_t *out) {
    size_t used = 0;
    for (const char *newline; used < len && (newline = memchr(in + used, '\n', len - used));
         used = (size_t)(newline - in) + 1)
        one_line(f, in + used, (size_t)(newline - in) - used, out);
    return used;
}

int64_t logs_tail_offset(int fd, int64_t lines) {
    struct stat st;
    char buf[LOG_READ_BYTES];
    if (fstat(fd, &st) || lines < 0) return 0;
    if (lines == 0) return st.st_size;
    int64_t found = 0;
    // Newlines are counted from the end; the one that ends the last line begins nothing.
    for (int64_t end = st.st_size; end > 0;) {
        int64_t start = end > LOG_READ_BYTES ? end - LOG_READ_BYTES : 0;
        ssize_t got = pread(fd, buf, (size_t)(end - start), start);
        if (got <= 0) return 0;
        for (ssize_t i = got; i-- > 0;) {
            if (buf[i] != '\n' || start + i + 1 == st.st_size) continue;
            if (++found == lines) return start + i + 1;
        }
        end = start;
    }
    return 0;
}

bool logs_rotate(const char *path, int64_t max_bytes, int64_t keep) {
    struct stat st;
    if (max_bytes <= 0 || stat(path, &st) || st.st_size <= max_bytes) return false;
    for (int64_t i = (keep < 2 ? 2 : keep) - 1; i > 0; i--) {
        char *to CLEANUP(free_charp) = str_printf("%s.%lld", path, (long long)i);
        char *from CLEANUP(free_charp) =
            i > 1 ? str_printf("%s.%lld", path, (long long)i - 1) : str_dup(path);
        // What is not there yet cannot move; what stands at the target is the oldest, and goes.
        if (rename(from, to) && i == 1) return false;
    }
    return true;
}
