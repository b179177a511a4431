// notify - tells the service manager how we are (sd_notify(3)'s datagrams); a no-op without one.
#pragma once
#include "runtime/base/check.h"

// Takes NOTIFY_SOCKET out of the environment, so that no child speaks in our name.
void notify_init(void);
// "READY=1\nSTATUS=…"; what cannot be sent is lost: nobody waits for it.
// How often the service manager wants to hear WATCHDOG=1 (half its limit); 0: never.
int64_t notify_watchdog_ms(void);
void notify_send(const char *state);
