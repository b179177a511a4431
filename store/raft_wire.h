// raft_wire - Raft messages and configurations as protobuf (proto/troupe/raft.proto), both ways.
#pragma once
#include "runtime/base/bytes.h"
#include "store/raft/raft.h"
#include "troupe/raft.pb-c.h"

// What a peer sent, as the core takes it. Checked: known type, members not 0, entries numbered on
// from prev_index, their kinds known, configurations sound. ERR_MALFORMED. Arrays are the arena's.
err_t raft_wire_get(arena_t *arena, const Raftpb__Message *from, raft_message_t *ret_message,
                    why_t *why) MUST_USE;
// Without entries: those are the caller's to add. The arena's.
Raftpb__Message *raft_wire_put(arena_t *arena, const raft_message_t *message, uint64_t cluster_id);

// The configuration of a packed raft.Config. ERR_MALFORMED: empty, too many, an id of 0 or twice,
// no voter.
err_t raft_wire_get_config(arena_t *arena, bytes_t packed, raft_config_t *ret_config,
                           why_t *why) MUST_USE;
