#include "runtime/base/log.h"
#include "runtime/base/clock.h"
#include <stdarg.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 2048 }; // one write(2), so that lines of several threads never mix
static _Atomic int current_level = -1;
static const char *const level_names[] = {"error", "warn", "info", "debug"};

bool log_level_parse(const char *name, log_level_t *ret_level) {
    for (size_t i = 0; i < LENGTH_OF(level_names); i++)
        if (streq(name, level_names[i])) {
            *ret_level = (log_level_t)i;
            return true;
        }
    return false;
}

void log_set_level(log_level_t level) { atomic_store(&current_level, level); }

log_level_t log_level(void) {
    int level = atomic_load_explicit(&current_level, memory_order_relaxed);
    if (level >= 0) return (log_level_t)level;
    log_level_t chosen = LOG_LEVEL_INFO;
    const char *wish = getenv("TROUPE_LOG");
    if (wish) log_level_parse(wish, &chosen);
    log_set_level(chosen);
    return chosen;
}

void log_line(log_level_t level, const char *who, const char *fmt, ...) {
    if (level > log_level()) return;
    char line[LINE_MAX_BYTES];
    int64_t now_ms = clock_wall_ms();
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    size_t len = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &parts);
    len += (size_t)snprintf(line + len, sizeof line - len, ".%03dZ %-5s %s: ", (int)(now_ms % 1000),
                            level_names[level], who);
    if (len > sizeof line - 2) len = sizeof line - 2;
    va_list args;
    va_start(args, fmt);
    int body = vsnprintf(line + len, sizeof line - len - 1, fmt, args);
    va_end(args);
    if (body > 0) len += (size_t)body;
    if (len > sizeof line - 2) len = sizeof line - 2;
    line[len++] = '\n';
    if (write(STDERR_FILENO, line, len) < 0) return; // nobody left to tell
}
