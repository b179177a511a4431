#include "runtime/base/clock.h"
#include <time.h>

static int64_t read_us(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t clock_monotonic_us(void) { return read_us(CLOCK_MONOTONIC); }
int64_t clock_monotonic_ms(void) { return read_us(CLOCK_MONOTONIC) / 1000; }
int64_t clock_boottime_ms(void) { return read_us(CLOCK_BOOTTIME) / 1000; }
int64_t clock_wall_ms(void) { return read_us(CLOCK_REALTIME) / 1000; }

char *clock_rfc3339(int64_t wall_ms, char buf[static TIME_TEXT_MAX]) {
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    strftime(buf, TIME_TEXT_MAX, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return buf;
}
