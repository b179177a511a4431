#include "runtime/actor/election.h"
#include "runtime/actor/api_client.h"
#include "runtime/base/log.h"

static void stand(election_t *e, actor_t *me) {
    Api__Elect elect = {
        .base.descriptor = &api__elect__descriptor,
        .role = e->role,
        .candidate = actor_address(me),
        .incarnation = actor_incarnation(me),
        .seen_epoch = e->epoch,
    };
    actor_ask(me, API_SERVER, &elect.base, ELECTION_ASK_TIMEOUT_MS, e->tag);
}

static void stand_later(election_t *e, actor_t *me) {
    int64_t jitter_ms = rng_between(actor_rng(me), 0, ELECTION_RETRY_MS);
    actor_timer(me, e->tag, ELECTION_RETRY_MS + jitter_ms);
}

static void renew(election_t *e, actor_t *me) {
    Api__Renew renewal = {.base.descriptor = &api__renew__descriptor,
                          .role = e->role,
                          .epoch = e->epoch};
    if (++e->renewals % ELECTION_RENEWS_PER_ASK == 0)
        actor_ask(me, API_SERVER, &renewal.base, ELECTION_ASK_TIMEOUT_MS, e->tag);
    else
        actor_tell(me, API_SERVER, &renewal.base);
    actor_beat(me, e->tag, ELECTION_RENEW_MS); // the leaders of a process together
}

void election_start(election_t *e, actor_t *me, const char *role, uint64_t tag) {
    *e = (election_t){.role = role, .tag = tag};
    stand(e, me);
}

static void on_reply(election_t *e, actor_t *me, const Api__ElectReply *reply) {
    if (e->leads) {
        if (!reply->you || reply->epoch != e->epoch) actor_exit(me, "deposed");
        return;
    }
    bool is_news = reply->epoch != e->epoch;
    e->epoch = reply->epoch;
    if (!reply->you) {
        // News is followed up at once by an ask that will be held; anything else must not spin.
        if (is_news)
            stand(e, me);
        else
            stand_later(e, me);
        return;
    }
    e->leads = true;
    log_info(actor_address(me), "leads with epoch %llu", (unsigned long long)e->epoch);
    actor_set_leader(me, true, e->epoch);
    renew(e, me);
}

bool election_handle(election_t *e, actor_t *me, const message_t *msg, const void *body) {
    if (msg->tag != e->tag || !body) return false;
    const ProtobufCMessageDescriptor *type = ((const ProtobufCMessage *)body)->descriptor;
    if (type == &api__elect_reply__descriptor) {
        on_reply(e, me, body);
    } else if (type == &actor__failure__descriptor) {
        const Actor__Failure *failure = body;
        if (failure->err == ERR_DEPOSED && e->leads) actor_exit(me, "deposed");
        // A leader's lost renewal is made good by the next; a candidate asks again.
        else if (!e->leads)
            stand_later(e, me);
    } else {
        return false;
    }
    return true;
}

bool election_timer(election_t *e, actor_t *me, uint64_t tag) {
    if (tag != e->tag) return false;
    if (e->leads)
        renew(e, me);
    else
        stand(e, me);
    return true;
}
