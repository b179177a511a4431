// Messages from a member gone mad: unpacked, checked, and stepped into a core of three. Whatever
// comes, the core's invariants hold (raft_check asserts them after each step).
#include "runtime/api/msg.h"
#include "store/raft_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static raft_t *core(trail_t *trail) {
    raft_options_t options = {
        .id = 1,
        .election_timeout_ms = 100,
        .heartbeat_ms = 20,
        .hard = {.term = 3},
        .trail = trail,
        .config = {.members = {{1, 0}, {2, 0}, {3, 0}}, .len = 3},
    };
    return raft_new(&options, 1, 7);
}

static void step(raft_t *raft, raft_out_t *out, raft_event_t event, int64_t now_ms) {
    event.now_ms = now_ms;
    raft_step(raft, &event, out);
    if (!out->write) return;
    raft_event_t synced = {.type = RAFT_EVENT_SYNCED, .now_ms = now_ms};
    synced.write = out->write;
    raft_step(raft, &synced, out);
}

// The input is a list of messages, each with its length in two bytes before it; length 0: a tick.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    trail_t trail;
    trail_init(&trail, 0, 0);
    trail_append(&trail, 1, 3);
    trail_append(&trail, 3, 2);
    raft_t *raft = core(&trail);
    raft_out_t out = {0};
    arena_t arena = {.limit = 8 << 20};
    int64_t now_ms = 1;
    while (len >= 2) {
        size_t part = (size_t)(data[0] | data[1] << 8);
        data += 2;
        len -= 2;
        if (part > len) part = len;
        now_ms += 40;
        void *unpacked = NULL;
        raft_message_t message;
        why_t why;
        if (part == 0)
            step(raft, &out, (raft_event_t){.type = RAFT_EVENT_TICK}, now_ms);
        else if (msg_unpack(&arena, &raftpb__message__descriptor, (bytes_t){data, part}, &unpacked,
                            &why) == ERR_OK &&
                 raft_wire_get(&arena, unpacked, &message, &why) == ERR_OK) {
            message.to = 1;
            step(raft, &out, (raft_event_t){.type = RAFT_EVENT_MESSAGE, .message = &message},
                 now_ms);
        }
        data += part;
        len -= part;
        arena_clear(&arena);
    }
    raft_out_done(&out);
    raft_destroy(&raft);
    trail_done(&trail);
    arena_done(&arena);
    return 0;
}
