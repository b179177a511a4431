// clock - the three clocks of the machine. Only shells read them; cores are told the time.
#pragma once
#include "runtime/base/check.h"

int64_t clock_monotonic_ms(void);
int64_t clock_monotonic_us(void);
int64_t clock_boottime_ms(void); // goes on while the machine sleeps: for leases
int64_t clock_wall_ms(void);     // since 1970, UTC: for people and API objects
enum { TIME_TEXT_MAX = 40 };
// RFC 3339, whole seconds, UTC ("2026-11-22T12:00:00Z"); returns buf.
char *clock_rfc3339(int64_t wall_ms, char buf[static TIME_TEXT_MAX]);
