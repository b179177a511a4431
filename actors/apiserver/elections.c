#include "actors/apiserver/elections.h"

void elections_done(elections_t *e) {
    for (size_t i = 0; i < e->all.len; i++) {
        free(e->all.at[i].role);
        free(e->all.at[i].leader);
    }
    vec_done(&e->all);
}

election_t *elections_of(elections_t *e, const char *role) {
    for (size_t i = 0; i < e->all.len; i++)
        if (streq(e->all.at[i].role, role)) return &e->all.at[i];
    if (e->all.len == ELECTION_ROLES_MAX) return NULL;
    vec_push(&e->all, ((election_t){.role = str_dup(role)}));
    return &e->all.at[e->all.len - 1];
}

void election_learn(election_t *one, uint64_t epoch, const char *leader, uint64_t incarnation,
                    int64_t now_ms) {
    one->is_taking = false;
    bool is_news = epoch > one->epoch || (epoch == one->epoch && is_empty(one->leader));
    if (!is_news) return; // told late, or twice
    one->epoch = epoch;
    free(one->leader);
    one->leader = str_dup(leader);
    one->incarnation = incarnation;
    one->heard_ms = now_ms;
    one->retry_ms = 0;
    one->is_gone = false;
}

void election_failed(election_t *one, int64_t now_ms) {
    one->is_taking = false;
    one->retry_ms = now_ms + ELECTION_RETRY_MS;
}

void election_heard(election_t *one, uint64_t epoch, const char *from, uint64_t incarnation,
                    int64_t now_ms) {
    if (epoch != one->epoch || !one->leader || !streq(one->leader, from)) return;
    one->heard_ms = now_ms;
    one->is_gone = false;
    if (!one->incarnation) one->incarnation = incarnation;
}

static bool is_heard(const election_t *one, int64_t now_ms) {
    return one->leader && !one->is_gone && now_ms - one->heard_ms < ELECTION_SILENCE_MAX_MS;
}

election_move_t election_ask(election_t *one, const char *candidate, uint64_t incarnation,
                             uint64_t seen_epoch, int64_t now_ms) {
    if (one->is_taking) return ELECTION_HOLD;
    bool is_leader = one->leader && streq(one->leader, candidate);
    if (is_leader && one->incarnation == incarnation) {
        one->heard_ms = now_ms;
        return ELECTION_ANSWER;
    }
    // The same actor in a new life: the one that led is dead, and its epoch with it.
    if (is_leader || !is_heard(one, now_ms)) {
        if (now_ms < one->retry_ms) return ELECTION_HOLD;
        one->is_taking = true;
        return ELECTION_TAKE;
    }
    return seen_epoch == one->epoch ? ELECTION_HOLD : ELECTION_ANSWER;
}

int64_t election_deadline_ms(const election_t *one) {
    if (!one->leader) return INT64_MAX;
    int64_t silent_ms = one->is_gone ? one->heard_ms : one->heard_ms + ELECTION_SILENCE_MAX_MS;
    return silent_ms > one->retry_ms ? silent_ms : one->retry_ms;
}
