// What pod actors ask of the API goes through kubelet/NODE: rights belong to the node, and only its
// kubelet may speak for it over a link.
#include "actors/kubelet/kubelet_state.h"
#include "runtime/base/log.h"

enum { RELAYS_MAX = 4096 };

static void relay(actor_t *me, const message_t *msg, const ProtobufCMessageDescriptor *type) {
    kubelet_t *self = actor_state(me);
    int64_t left_ms = msg->deadline_ms ? msg->deadline_ms - actor_now_ms(me) : API_TIMEOUT_MS;
    if (imap_len(&self->relays) >= RELAYS_MAX || left_ms <= 0) {
        actor_fail(me, msg, left_ms <= 0 ? ERR_TIMEOUT : ERR_OVERLOADED,
                   "too many questions of pods");
        return;
    }
    uint64_t number = ++self->relay_next;
    imap_put(&self->relays, number, actor_keep_caller(me, msg));
    actor_ask_blob(me, API_SERVER, type, msg->body, left_ms, K_TAG_RELAY + number);
}

void kubelet_on_get(actor_t *me, const message_t *msg, const void *body) {
    relay(me, msg, &api__get__descriptor);
}
void kubelet_on_list(actor_t *me, const message_t *msg, const void *body) {
    relay(me, msg, &api__list__descriptor);
}
void kubelet_on_await_drain(actor_t *me, const message_t *msg, const void *body) {
    relay(me, msg, &api__await_drain__descriptor);
}

static caller_t *take(kubelet_t *self, uint64_t tag) {
    return tag > K_TAG_RELAY ? imap_remove(&self->relays, tag - K_TAG_RELAY) : NULL;
}

bool kubelet_relay_answer(actor_t *me, const message_t *msg,
                          const ProtobufCMessageDescriptor *type) {
    caller_t *caller = take(actor_state(me), msg->tag);
    if (!caller) return false;
    caller_reply_blob(me, &caller, type, msg->body);
    return true;
}

bool kubelet_relay_failure(actor_t *me, const message_t *msg, err_t err, const char *why) {
    caller_t *caller = take(actor_state(me), msg->tag);
    if (!caller) return false;
    caller_fail(me, &caller, err, why);
    return true;
}

void kubelet_relays_end(actor_t *me) {
    kubelet_t *self = actor_state(me);
    size_t at = 0;
    uint64_t number;
    void *value;
    while (imap_next(&self->relays, &at, &number, &value)) {
        caller_t *caller = value;
        caller_drop(&caller);
    }
    imap_done(&self->relays);
}
