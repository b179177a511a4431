#include "runtime/actor/catch_up.h"
#include "runtime/actor/api_client.h"
#include "runtime/base/canary.h"

void catch_up_start(catch_up_t *c, actor_t *me, informers_t *informers, uint64_t tag) {
    *c = (catch_up_t){.informers = informers,
                      .tag = tag,
                      .is_started = true,
                      .bears_refusals = c->bears_refusals};
    api_current_revision(me, tag);
}

bool catch_up_handle(catch_up_t *c, actor_t *me, const message_t *msg, const void *body) {
    if (!c->is_started || msg->tag != c->tag || !body) return false;
    const ProtobufCMessageDescriptor *type = ((const ProtobufCMessage *)body)->descriptor;
    if (type == &api__current_revision_reply__descriptor) {
        c->revision = ((const Api__CurrentRevisionReply *)body)->revision;
        actor_timer(me, c->tag, CATCH_UP_REFRESH_MS);
    } else if (type == &actor__failure__descriptor) {
        actor_timer(me, c->tag, CATCH_UP_RETRY_MS);
    } else {
        return false;
    }
    return true;
}

bool catch_up_timer(catch_up_t *c, actor_t *me, uint64_t tag) {
    if (!c->is_started || tag != c->tag) return false;
    if (!c->revision) {
        api_current_revision(me, c->tag);
        return true;
    }
    for (size_t i = 0; !c->is_done && i < c->informers->all.len; i++) {
        informer_t *inf = c->informers->all.at[i];
        if (informer_revision(inf) < c->revision) informer_refresh(inf, me);
    }
    return true;
}

bool catch_up_is_done(catch_up_t *c) {
    if (CANARY(TAKEOVER_SKIPS_CATCH_UP)) return c->is_done = c->is_started;
    if (c->is_done || !c->revision) return c->is_done;
    for (size_t i = 0; i < c->informers->all.len; i++) {
        const informer_t *inf = c->informers->all.at[i];
        if (c->bears_refusals && informer_is_refused(inf)) continue;
        if (!informer_is_synced(inf) || informer_revision(inf) < c->revision) return false;
    }
    return c->is_done = true;
}
