// elections - who leads each leader-elected role, as this API server has heard.
//
//     candidate: Elect ──► leader heard?  no, or gone: TAKE (one compare-and-swap of the epoch key)
//                                         yes, and the candidate knows it: HOLD until that changes
//                                         yes, news: ANSWER at once
//     leader: Renew, every 100 ms ──► heard now
//
// The epoch changes only at a take-over and is compared in every transaction of a leader, so a
// take-over is safe the moment somebody suspects: silence, Down and a candidate's new life are
// hints, never proofs. After a start this server has heard nobody: it gives the leader that the
// store names the usual time to speak.
//
// Pure: told the time; the shell does the swap.
#pragma once
#include "runtime/base/check.h"
#include "runtime/base/vec.h"

enum {
    ELECTION_SILENCE_MAX_MS = 400, // a leader not heard for so long may be replaced
    ELECTION_RETRY_MS = 20,        // after a swap whose outcome is not known: no store answered
    ELECTION_ROLES_MAX = 16,
};

typedef struct {
    char *role;
    char *leader;         // full address; NULL: none yet; "": of this epoch's not known yet
    uint64_t epoch;       // 0: none yet
    uint64_t incarnation; // of the leader; 0: not known (this server did not elect it)
    int64_t heard_ms, relayed_ms;
    int64_t retry_ms; // no swap before; 0: at any time
    bool is_gone;     // its Down was heard
    bool is_taking;   // a swap is under way
} election_t;

typedef struct {
    VEC(election_t) all;
} elections_t;
void elections_done(elections_t *e);
// NULL: unknown, and there are ELECTION_ROLES_MAX already.
election_t *elections_of(elections_t *e, const char *role);

// What the store says: at start, or after a swap (won or lost). Of a lost one the epoch may come
// before the name ("").
void election_learn(election_t *one, uint64_t epoch, const char *leader, uint64_t incarnation,
                    int64_t now_ms);
void election_heard(election_t *one, uint64_t epoch, const char *from, uint64_t incarnation,
                    int64_t now_ms);

// The swap's outcome is not known: if it was carried out, the store says so.
void election_failed(election_t *one, int64_t now_ms);

typedef enum { ELECTION_ANSWER, ELECTION_HOLD, ELECTION_TAKE } election_move_t;
// A candidate asks. TAKE: the shell swaps the epoch key from one->epoch to one->epoch + 1 and then
// calls election_learn; meanwhile is_taking holds the others.
election_move_t election_ask(election_t *one, const char *candidate, uint64_t incarnation,
                             uint64_t seen_epoch, int64_t now_ms);
// When the leader's silence will be too long, if nothing is heard, and a swap may begin; INT64_MAX:
// no leader.
int64_t election_deadline_ms(const election_t *one);
