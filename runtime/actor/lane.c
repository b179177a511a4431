#include "runtime/actor/lane.h"

static_assert(LANE_GRANT_EVERY < LANE_WINDOW,
              "a credit must arrive before the last one is used up");

void lane_init(lane_t *l) { *l = (lane_t){.may_send = LANE_WINDOW, .granted = LANE_WINDOW}; }

void lane_done(lane_t *l) {
    envelope_t *env;
    while ((env = lane_pop(l))) envelope_destroy(&env);
}

uint64_t lane_next(lane_t *l) { return ++l->sent; }

void lane_take_back(lane_t *l) {
    assert(l->sent > 0);
    l->sent--;
}

err_t lane_queue(lane_t *l, envelope_t **env) {
    size_t bytes = envelope_bytes(*env);
    if (l->queued >= LANE_QUEUE_MAX || l->queued_bytes + bytes > LANE_QUEUE_MAX_BYTES)
        return ERR_OVERLOADED;
    envelope_t *taken = x_steal(env);
    taken->next = NULL;
    if (l->last)
        l->last->next = taken;
    else
        l->first = taken;
    l->last = taken;
    l->queued++;
    l->queued_bytes += bytes;
    return ERR_OK;
}

envelope_t *lane_pop(lane_t *l) {
    envelope_t *env = l->first;
    if (!env) return NULL;
    l->first = env->next;
    if (!l->first) l->last = NULL;
    env->next = NULL;
    l->queued--;
    l->queued_bytes -= envelope_bytes(env);
    return env;
}

lane_order_t lane_receive(lane_t *l, uint64_t sequence) {
    if (sequence <= l->received) return LANE_REPEATED;
    if (sequence > l->granted + LANE_SLACK) return LANE_OVERRUN;
    bool gap = sequence != l->received + 1;
    l->received = sequence;
    return gap ? LANE_AFTER_GAP : LANE_IN_ORDER;
}

bool lane_grant(lane_t *l, uint64_t *ret_up_to) {
    uint64_t up_to = l->received + LANE_WINDOW;
    if (up_to < l->granted + LANE_GRANT_EVERY) return false;
    l->granted = *ret_up_to = up_to;
    return true;
}

bool lane_credit(lane_t *l, uint64_t up_to) {
    if (up_to > l->sent + LANE_WINDOW) return false;
    if (up_to > l->may_send) l->may_send = up_to;
    return true;
}
