// http_look - does an address answer a GET? One question at a time, in the owner's loop, without
// waiting. Any answer below 500 is one.
#pragma once
#include "runtime/base/text.h"

typedef struct {
    int fd; // -1: no question is under way
    bool ok;
    text_t in;
    int64_t begun_ms;
    char *address; // owned
} http_look_t;

// "ADDRESS:PORT", numbers. False: it is none, or no socket is to be had; nothing is under way then.
bool http_look_start(http_look_t *look, const char *address, int64_t now_ms);
uint32_t http_look_events(const http_look_t *look); // watch look->fd for these
bool http_look_on_fd(http_look_t *look);            // true: over; see ok. The fd is still open
void http_look_close(http_look_t *look);
