#include "cli/troupe/child_status.h"
#include <errno.h>
#include <unistd.h>

enum { BUFFER_MAX_BYTES = 16384 }; // a child that talks without line ends is not listened to

void child_status_send(int fd, const char *word, const char *sentence) {
    if (fd < 0) return;
    text_t line = TEXT_HEAP;
    text_add(&line, word);
    if (sentence) text_addf(&line, " %s", sentence);
    for (size_t i = 0; i < line.len; i++)
        if (line.at[i] == '\n') line.at[i] = ' ';
    text_addc(&line, '\n');
    ssize_t n = write(fd, line.at, line.len); // a parent that is gone needs no word
    (void)n;
    text_done(&line);
}

bool child_status_read(int fd, text_t *buffer) {
    char chunk[1024];
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno == EAGAIN;
        if (n == 0) return false;
        if (buffer->len + (size_t)n <= BUFFER_MAX_BYTES) text_addn(buffer, chunk, (size_t)n);
    }
}

bool child_status_next(text_t *buffer, text_t *line, const char **ret_word,
                       const char **ret_sentence) {
    char *end = buffer->len ? memchr(buffer->at, '\n', buffer->len) : NULL;
    if (!end) return false;
    size_t len = (size_t)(end - buffer->at);
    text_reset(line);
    text_addn(line, buffer->at, len);
    memmove(buffer->at, end + 1, buffer->len - len); // with the NUL behind it
    buffer->len -= len + 1;
    char *space = line->len ? memchr(line->at, ' ', line->len) : NULL;
    if (space) *space = 0;
    *ret_word = text_str(line);
    *ret_sentence = space ? space + 1 : "";
    return true;
}
