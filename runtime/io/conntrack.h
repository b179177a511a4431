// conntrack - the kernel's memory of UDP flows (ctnetlink): listed piece by piece, and forgotten
// where a caller says so. A UDP flow that was translated once keeps its translation for as long as
// packets come, whatever the rules have become; TCP ends by itself.
//
//     conntrack_list ─► fd readable ─► conntrack_read (one piece each) ─► … ─► false: all was seen
#pragma once
#include "runtime/base/why.h"

// Addresses and ports in host order.
typedef struct {
    uint32_t dst, server; // where the client sends it; who answers: another one after a translation
    uint16_t dst_port, server_port;
} udp_flow_t;

typedef struct conntrack conntrack_t;
err_t conntrack_new(conntrack_t **ret_conntrack, why_t *why) MUST_USE;
void conntrack_destroy(conntrack_t **conntrack);
int conntrack_fd(const conntrack_t *conntrack);
// Begins anew; what an unfinished list would still bring is passed over.
err_t conntrack_list(conntrack_t *conntrack, why_t *why) MUST_USE;
// Takes one piece (32 KiB) of the list and deletes those flows of it that are stale. False: that
// was the last, or the kernel gave up, which the next list makes good.
bool conntrack_read(conntrack_t *conntrack, bool (*is_stale)(void *arg, const udp_flow_t *flow),
                    void *arg);
size_t conntrack_deleted(const conntrack_t *conntrack); // since its birth
