#include "actors/controllers/nodeipam_plan.h"
#include "runtime/base/canary.h"
#include <arpa/inet.h>

static uint32_t mask_of(int bits) { return bits ? ~UINT32_C(0) << (32 - bits) : 0; }

err_t range4_parse(const char *text, range4_t *ret_range, why_t *why) {
    const char *slash = strchr(or_empty(text), '/');
    char address[INET_ADDRSTRLEN];
    if (!slash || (size_t)(slash - text) >= sizeof address)
        return why_set(why, ERR_MALFORMED, "\"%s\" is no address range", or_empty(text));
    memcpy(address, text, (size_t)(slash - text));
    address[slash - text] = 0;
    struct in_addr in;
    char *end;
    long bits = strtol(slash + 1, &end, 10);
    if (inet_pton(AF_INET, address, &in) != 1 || *end || end == slash + 1 || bits < 0 || bits > 32)
        return why_set(why, ERR_MALFORMED, "\"%s\" is no address range", text);
    *ret_range = (range4_t){ntohl(in.s_addr) & mask_of((int)bits), (int)bits};
    return ERR_OK;
}

const char *range4_print(arena_t *arena, range4_t range) {
    return arena_printf(arena, "%u.%u.%u.%u/%d", range.base >> 24, range.base >> 16 & 255,
                        range.base >> 8 & 255, range.base & 255, range.bits);
}

// Marks every part that `held` touches: a node may hold a range of another size, from an older
// configuration.
static void mark(const nodeipam_view_t *view, const char *held, uint8_t *taken, uint32_t parts) {
    range4_t range;
    if (range4_parse(held, &range, NULL)) return;
    uint32_t first = range.base, last = range.base | ~mask_of(range.bits);
    uint32_t low = view->range.base, high = low | ~mask_of(view->range.bits);
    if (last < low || first > high) return;
    if (first < low) first = low;
    if (last > high) last = high;
    int shift = 32 - view->node_bits;
    for (uint32_t part = (first - low) >> shift; part <= (last - low) >> shift; part++) {
        assert(part < parts);
        taken[part] = 1;
    }
}

void nodeipam_plan(const nodeipam_view_t *view, arena_t *arena, nodeipam_plan_t *ret_plan) {
    assert(view->node_bits > view->range.bits && view->node_bits <= 30);
    assert(view->node_bits - view->range.bits <= 24);
    uint32_t parts = UINT32_C(1) << (view->node_bits - view->range.bits);
    uint8_t *taken = arena_alloc(arena, parts);
    for (size_t i = 0; i < view->nodes_len; i++)
        if (*view->nodes[i].range) mark(view, view->nodes[i].range, taken, parts);

    *ret_plan =
        (nodeipam_plan_t){.actions = ARENA_ARRAY(arena, nodeipam_action_t, NODEIPAM_BURST_MAX)};
    uint32_t part = 0;
    for (size_t i = 0; i < view->nodes_len; i++) {
        if (*view->nodes[i].range) continue;
        while (part < parts && taken[part]) part++;
        if (ret_plan->actions_len == NODEIPAM_BURST_MAX) {
            ret_plan->cut = part < parts; // else the rest, too, waits for one to be given back
            return;
        }
        nodeipam_action_t *action = &ret_plan->actions[ret_plan->actions_len++];
        action->node = view->nodes[i].name;
        if (part == parts) continue;
        range4_t own = {view->range.base + (part << (32 - view->node_bits)), view->node_bits};
        action->range = range4_print(arena, own);
        if (!CANARY(NODEIPAM_DOUBLES)) part++;
    }
}

void nodeipam_plan_print(const nodeipam_plan_t *plan, text_t *out) {
    if (!plan->actions_len) text_add(out, "nothing to do\n");
    for (size_t i = 0; i < plan->actions_len; i++) {
        const nodeipam_action_t *action = &plan->actions[i];
        text_addf(out, "%s: %s\n", action->node, action->range ? action->range : "nothing left");
    }
    if (plan->cut) text_add(out, "and more\n");
}
