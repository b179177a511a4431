// probe - one question to a container over the network: does it take a connection, does it answer
// a GET? Runs in the owner's loop, without waiting.
#pragma once
#include "runtime/base/text.h"
#include "troupe/node.pb-c.h"

enum { PROBE_ANSWER_MAX_BYTES = 10 << 10 }; // of the answer only the beginning is read

typedef struct {
    int fd; // -1: over
    bool is_http;
    bool ok;
    text_t out, in; // heap: the request, what came back
    size_t sent;
    char *output; // for people; owned
} probe_t;

// True: watch probe->fd for probe_events. False: over at once; see ok and output.
bool probe_start(probe_t *probe, const Node__Probe *what);
uint32_t probe_events(const probe_t *probe);
// True: over; see ok and output.
bool probe_on_fd(probe_t *probe, uint32_t epoll_events);
void probe_done(probe_t *probe); // closes and frees
