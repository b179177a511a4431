// saved - what iptables-save says is there, as far as the proxy is concerned: which of our chains
// and jumps exist. Reading is forgiving: lines it does not know are somebody else's.
#pragma once
#include "actors/proxy/rules.h"

typedef struct {
    chains_t chains;        // KUBE- chains that exist, sorted; rules are ""
    uint32_t missing_jumps; // bits of proxy_jumps that are not there
} saved_t;

void saved_read(arena_t *arena, const char *text, saved_t *ret_saved);
// Of what exists, the service chains that `wanted` does not have; the fixed chains are never stale.
void saved_stale(const saved_t *saved, const chains_t *wanted, arena_t *arena, chains_t *ret_stale);
// Do all chains of `applied` still exist, and every jump?
bool saved_is_intact(const saved_t *saved, const chains_t *applied);
// Input for iptables-restore --noflush that takes every KUBE- chain and the jumps to them away;
// empty when there is nothing of ours.
void saved_cleanup(arena_t *arena, const char *text, text_t *out);
