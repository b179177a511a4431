// The core in words: for golden traces and for the person at night.
#include "store/raft/raft_state.h"

#define LLU(x) ((unsigned long long)(x))

void raft_print(const raft_t *raft, text_t *out) {
    static const char *const roles[] = {"follower", "pre-candidate", "candidate", "leader"};
    text_addf(out, "%llu: %s term %llu", LLU(raft->id), roles[raft->role], LLU(raft->hard.term));
    if (raft->hard.vote) text_addf(out, " vote %llu", LLU(raft->hard.vote));
    if (raft->leader) text_addf(out, " leader %llu", LLU(raft->leader));
    text_addf(out, " log (%llu,%llu] commit %llu durable %llu", LLU(raft->trail.base),
              LLU(raft->trail.last), LLU(raft->commit), LLU(raft->durable));
}

void raft_message_print(const raft_message_t *m, text_t *out) {
    static const char *const names[] = {
        [RAFT_PRE_VOTE] = "pre-vote",
        [RAFT_PRE_VOTE_REPLY] = "pre-vote-reply",
        [RAFT_VOTE] = "vote",
        [RAFT_VOTE_REPLY] = "vote-reply",
        [RAFT_APPEND] = "append",
        [RAFT_APPEND_REPLY] = "append-reply",
        [RAFT_HEARTBEAT] = "heartbeat",
        [RAFT_HEARTBEAT_REPLY] = "heartbeat-reply",
        [RAFT_TIMEOUT_NOW] = "timeout-now",
    };
    text_addf(out, "%llu>%llu %s t%llu", LLU(m->from), LLU(m->to), names[m->type], LLU(m->term));
    switch (m->type) {
    case RAFT_PRE_VOTE:
    case RAFT_VOTE:
        text_addf(out, " last %llu/t%llu%s", LLU(m->last_index), LLU(m->last_term),
                  m->transfer ? " transfer" : "");
        break;
    case RAFT_PRE_VOTE_REPLY:
    case RAFT_VOTE_REPLY: text_add(out, m->ok ? " yes" : " no"); break;
    case RAFT_APPEND:
        text_addf(out, " prev %llu/t%llu +%llu commit %llu", LLU(m->prev_index), LLU(m->prev_term),
                  LLU(m->entries_len), LLU(m->commit));
        break;
    case RAFT_APPEND_REPLY:
        if (m->ok)
            text_addf(out, " match %llu%s", LLU(m->match_index), m->full ? ", full" : "");
        else
            text_addf(out, " refused %llu, try %llu/t%llu", LLU(m->prev_index), LLU(m->hint_index),
                      LLU(m->hint_term));
        break;
    case RAFT_HEARTBEAT:
        text_addf(out, " commit %llu round %llu", LLU(m->commit), LLU(m->round));
        break;
    case RAFT_HEARTBEAT_REPLY:
        text_addf(out, " round %llu has %llu%s", LLU(m->round), LLU(m->match_index),
                  m->full ? ", full" : "");
        if (m->last_index > m->match_index) text_addf(out, ", unsynced %llu", LLU(m->last_index));
        break;
    case RAFT_TIMEOUT_NOW: break;
    }
    if (m->after_write) text_addf(out, " (after write %llu)", LLU(m->after_write));
}
