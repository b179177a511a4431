// Messages from a member gone mad: unpacked, checked, and stepped into a core, between events of
// its own shell. Whatever comes, the core's invariants hold (raft_check asserts them after each
// step).
#include "runtime/api/msg.h"
#include "store/raft_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

typedef struct {
    raft_t *raft;
    raft_out_t out;
    int64_t now_ms;
} core_t;

// The first byte says what sort of member it is.
enum { WITH_LEASES = 1, IS_WITNESS = 2, LEADS_AT_ONCE = 4, IS_CUT = 8 };

static void core_init(core_t *c, uint8_t sort) {
    trail_t trail;
    trail_init(&trail, sort & IS_CUT ? 3 : 0, sort & IS_CUT ? 1 : 0);
    trail_append(&trail, 1, 3);
    trail_append(&trail, 3, 2);
    raft_member_role_t others = sort & LEADS_AT_ONCE ? RAFT_MEMBER_LEARNER : RAFT_MEMBER_VOTER;
    bool witness = (sort & IS_WITNESS) && !(sort & LEADS_AT_ONCE);
    raft_options_t options = {
        .id = 1,
        .election_timeout_ms = 100,
        .heartbeat_ms = 20,
        .hard = {.term = 3},
        .trail = &trail,
        .applied = trail.base,
        .lease_reads = sort & WITH_LEASES,
        .witness = witness,
        .witness_entries_max = 8,
        .config = {.members = {{1, witness ? RAFT_MEMBER_WITNESS : RAFT_MEMBER_VOTER},
                               {2, others},
                               {3, others}},
                   .len = 3},
    };
    *c = (core_t){.now_ms = 1};
    c->raft = raft_new(&options, 1, 7);
    trail_done(&trail);
}

static void step(core_t *c, raft_event_t event) {
    event.now_ms = c->now_ms;
    event.dice = (uint64_t)c->now_ms;
    raft_step(c->raft, &event, &c->out);
    for (int i = 0; c->out.write && i < 4; i++) {
        raft_event_t synced = {.type = RAFT_EVENT_SYNCED, .now_ms = c->now_ms};
        synced.write = c->out.write;
        raft_step(c->raft, &synced, &c->out);
    }
}

// What the member's own shell does, as one byte says.
static void own_event(core_t *c, uint8_t what) {
    static const raft_config_t config = {.members = {{1, 0}, {2, 0}, {4, RAFT_MEMBER_LEARNER}},
                                         .len = 3};
    static const raft_entry_t entries[] = {{.kind = RAFT_ENTRY_NORMAL},
                                           {.kind = RAFT_ENTRY_CONFIG, .config = &config}};
    raft_event_t event = {.type = (raft_event_type_t)(what % (RAFT_EVENT_SNAPSHOT_ENDED + 1))};
    raft_id_t peer = 1 + what / 16 % 4;
    switch (event.type) {
    case RAFT_EVENT_MESSAGE:
    case RAFT_EVENT_SYNCED: return;
    case RAFT_EVENT_PROPOSE:
        event.entries = &entries[what / 16 % 2];
        event.entries_len = 1;
        break;
    case RAFT_EVENT_TRANSFER: event.transfer_to = peer; break;
    case RAFT_EVENT_CUT: event.cut_to = raft_cut_limit(c->raft); break;
    case RAFT_EVENT_INSTALLED:
        event.installed = (raft_installed_t){what, 1 + what / 64, &config, 1};
        if (what == 0 || !raft_wants_snapshot(c->raft, what, event.installed.term)) return;
        break;
    case RAFT_EVENT_SNAPSHOT_ENDED: event.snapshot_to = peer; break;
    default: event.read = what; break;
    }
    step(c, event);
}

static void foreign_message(core_t *c, arena_t *arena, bytes_t packed) {
    void *unpacked = NULL;
    raft_message_t message;
    why_t why;
    if (msg_unpack(arena, &raftpb__message__descriptor, packed, &unpacked, &why) != ERR_OK) return;
    if (raft_wire_get(arena, unpacked, &message, &why) != ERR_OK) return;
    message.to = 1;
    step(c, (raft_event_t){.type = RAFT_EVENT_MESSAGE, .message = &message});
}

// The input: the sort of member, then messages, each with its length in two bytes before it. A
// length of 0xff00 and more is an event of its own shell.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    if (len == 0) return 0;
    core_t core;
    core_init(&core, *data++);
    len--;
    arena_t arena = {.limit = 8 << 20};
    while (len >= 2) {
        size_t part = (size_t)(data[0] << 8 | data[1]);
        data += 2;
        len -= 2;
        core.now_ms += 17;
        if (part >= 0xff00) {
            own_event(&core, (uint8_t)part);
            continue;
        }
        if (part > len) part = len;
        foreign_message(&core, &arena, (bytes_t){data, part});
        data += part;
        len -= part;
        arena_clear(&arena);
    }
    raft_out_done(&core.out);
    raft_destroy(&core.raft);
    arena_done(&arena);
    return 0;
}
