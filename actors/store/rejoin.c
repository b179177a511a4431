// A member whose folder is new, though the cluster may know it from an earlier life.
//
// In that life it may have voted and acknowledged, and it remembers nothing: heard as what it was
// it could elect somebody who lacks what was acknowledged. So it hears nobody until the others have
// taken it out and in again, as a learner. It asks for that itself, by the mark that `troupe store
// rebuild` leaves in its folder:
//
//     OUT ─ removed, or unknown ─► IN ─ added, or there ─► CATCHING_UP ─ votes, all synced ─► done
//
// Then the mark goes. A start with the mark and an empty log begins at OUT again, one with entries
// at CATCHING_UP: none can have come before it was taken in.
#include "actors/store/disk_actor.h"
#include "actors/store/store_inner.h"
#include "runtime/base/log.h"

enum { REJOIN_MS = 250, REJOIN_TIMEOUT_MS = 5 * 1000 };

void store_begin_rejoin(actor_t *me, bool is_empty) {
    store_t *s = actor_state(me);
    s->rejoin = is_empty ? REJOIN_OUT : REJOIN_CATCHING_UP;
    s->joins = true;
    log_info(actor_address(me), "gets everything from the other members");
    actor_timer(me, TIMER_REJOIN, REJOIN_MS);
}

// By a configuration that no crash takes from us.
static bool is_back(const store_t *s) {
    const raft_member_t *self = raft_config_find(raft_config(s->raft), s->id);
    return self && self->role != RAFT_MEMBER_LEARNER && s->disk_space.unanswered_since_ms == 0;
}

static void finish(actor_t *me) {
    store_t *s = actor_state(me);
    Raftpb__DiskJoined body = PROTOBUF_C_MESSAGE_INIT(&raftpb__disk_joined__descriptor);
    body.session = actor_incarnation(me);
    actor_tell(me, s->disk, &body.base);
    s->rejoin = REJOIN_NO;
    log_info(actor_address(me), "is a member again");
}

static void ask(actor_t *me) {
    store_t *s = actor_state(me);
    Store__MemberRemove out = {PROTOBUF_C_MESSAGE_INIT(&store__member_remove__descriptor)};
    Store__MemberAdd in = {PROTOBUF_C_MESSAGE_INIT(&store__member_add__descriptor)};
    Store__MemberPromote up = {PROTOBUF_C_MESSAGE_INIT(&store__member_promote__descriptor)};
    out.member = in.member = up.member = (char *)s->args->member;
    in.witness = store_is_witness(s);
    const ProtobufCMessage *body = s->rejoin == REJOIN_OUT  ? &out.base
                                   : s->rejoin == REJOIN_IN ? &in.base
                                                            : &up.base;
    s->rejoin_ask = actor_ask(me, "store", body, REJOIN_TIMEOUT_MS, TAG_REJOIN);
}

void store_go_on_rejoining(actor_t *me) {
    store_t *s = actor_state(me);
    bool runs = s->phase == STORE_RUNNING;
    if (runs && s->rejoin == REJOIN_CATCHING_UP && is_back(s)) {
        finish(me);
        return;
    }
    actor_timer(me, TIMER_REJOIN, REJOIN_MS);
    bool waits = s->rejoin == REJOIN_CATCHING_UP && store_is_witness(s); // it needs no promotion
    if (runs && !s->rejoin_ask && !waits) ask(me);
}

void store_on_rejoin_answer(actor_t *me, err_t err) {
    store_t *s = actor_state(me);
    s->rejoin_ask = 0;
    if (s->rejoin == REJOIN_OUT && (err == ERR_OK || err == ERR_NOT_FOUND))
        s->rejoin = REJOIN_IN;
    else if (s->rejoin == REJOIN_IN && (err == ERR_OK || err == ERR_EXISTS))
        s->rejoin = REJOIN_CATCHING_UP;
}
