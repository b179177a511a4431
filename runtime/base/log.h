// log - lines for the person at night: time, level, who, what. To stderr, one write(2) a line.
//
// Cores do not log; a function logs or returns an error, never both. Never a secret's value.
#pragma once
#include "runtime/base/check.h"

typedef enum { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG } log_level_t;
void log_set_level(log_level_t level); // default INFO, or TROUPE_LOG=error|warn|info|debug
log_level_t log_level(void);
bool log_level_parse(const char *name, log_level_t *ret_level);
void log_line(log_level_t level, const char *who, const char *fmt, ...) PRINTF_LIKE(3, 4);
#define log_error(who, ...) log_line(LOG_LEVEL_ERROR, (who), __VA_ARGS__)
#define log_warn(who, ...)  log_line(LOG_LEVEL_WARN, (who), __VA_ARGS__)
#define log_info(who, ...)  log_line(LOG_LEVEL_INFO, (who), __VA_ARGS__)
#define log_debug(who, ...)                                                                \
    do {                                                                                   \
        if (log_level() >= LOG_LEVEL_DEBUG) log_line(LOG_LEVEL_DEBUG, (who), __VA_ARGS__); \
    } while (0)
