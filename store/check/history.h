// history - what clients of the store saw, and whether one store with one revision counter could
// have shown it to them.
//
// The store numbers its states: each change takes the next revision, and every reply carries one.
// So the order need not be searched for (as for a register without numbers, which is NP-hard): the
// replies give it. history_check
//   1. compares that order with real time: what had returned before another began comes first;
//   2. replays the operations in that order against a model and compares every answer, ranges and
//      transactions whole, and every watch, revision by revision;
//   3. searches only where the order is unknown: a revision that no reply claims must be an
//      operation of unknown outcome, or the end of a lease, at most one of each, and nothing else.
// O(n log n) but for 3, which is bounded and says when it gave up.
//
// The history must be complete: all clients that wrote to these keys, from `base` on, when none of
// the keys existed. Values should be unique, else 3 has more to try.
//
// As text, one thing a line, words separated by one space; bytes outside !..~ and % are %XX, an
// empty word is %; # begins a comment. Times are microseconds of one monotonic clock, `-`: never.
//     base REVISION
//     CLIENT INVOKED RETURNED OUTCOME REVISION txn {IF} {then|else OP}
//         [=> yes|no {put | del COUNT | got more|all {kv}}]
//     CLIENT INVOKED RETURNED OUTCOME REVISION get KEY END LIMIT AT [=> got more|all {kv}]
//     CLIENT INVOKED RETURNED OUTCOME REVISION grant|keep|revoke LEASE TTL_MS
//     watch ID FROM KEY END               from revision FROM on
//     event ID REVISION put KEY CREATE VERSION LEASE VALUE
//     event ID REVISION del KEY
//     seen ID REVISION                    all events up to there have come
//     IF        if KEY TARGET RELATION OPERAND | every KEY END TARGET RELATION OPERAND
//     OUTCOME   ok | failed | missing | unknown
//     TARGET    value | version | create | mod | lease       RELATION  = | != | < | >
//     OP        put KEY VALUE LEASE | del KEY END | get KEY END LIMIT AT
//     kv        kv KEY CREATE MOD VERSION LEASE VALUE
// END is %: that key alone; %00: all from KEY on. LIMIT 0: none. AT 0: the newest revision.
#pragma once
#include "runtime/base/text.h"
#include "runtime/base/vec.h"
#include "runtime/base/why.h"
#include "store/mvcc/keys.h"

typedef enum {
    HISTORY_OK,      // answered
    HISTORY_FAILED,  // refused: surely nothing was done
    HISTORY_MISSING, // refused because there is no such lease
    HISTORY_UNKNOWN, // no answer, or one that leaves it open
} history_outcome_t;

typedef enum {
    HISTORY_TXN,
    HISTORY_GET,
    HISTORY_GRANT,
    HISTORY_KEEP,
    HISTORY_REVOKE,
} history_kind_t;

typedef enum {
    HISTORY_VALUE,
    HISTORY_VERSION,
    HISTORY_CREATE,
    HISTORY_MOD,
    HISTORY_LEASE
} history_target_t;
typedef enum { HISTORY_EQUAL, HISTORY_NOT_EQUAL, HISTORY_LESS, HISTORY_GREATER } history_relation_t;
typedef struct {
    bytes_t key, end; // end: it holds for every key of the range that is there
    history_target_t target;
    history_relation_t relation;
    int64_t number; // of all targets but value
    bytes_t value;
} history_compare_t;

typedef struct {
    bytes_t key, value;
    revision_t create, mod;
    int64_t version, lease;
} history_kv_t;

typedef enum { HISTORY_OP_PUT, HISTORY_OP_DELETE, HISTORY_OP_GET } history_op_kind_t;
typedef struct {
    history_op_kind_t kind;
    bytes_t key, end;
    bytes_t value; // put
    int64_t lease; // put
    int64_t limit; // get
    revision_t at; // get
} history_op_t;

// The answer to one operation.
typedef struct {
    int64_t deleted; // delete
    bool more;       // get
    history_kv_t *kvs;
    size_t kvs_len;
} history_reply_t;

typedef struct {
    history_kind_t kind;
    int64_t client;
    int64_t invoked_us, returned_us; // returned: INT64_MAX when no answer came
    history_outcome_t outcome;
    revision_t revision; // the reply's
    history_compare_t *compares;
    size_t compares_len;
    history_op_t *then, *otherwise; // a HISTORY_GET: one operation in `then`
    size_t then_len, otherwise_len;
    bool succeeded;           // the compares held, says the reply
    history_reply_t *replies; // as many as the branch has operations
    size_t replies_len;
    int64_t lease, ttl_ms; // grant, keep, revoke
} history_entry_t;

typedef struct {
    revision_t revision;
    bool deleted;
    history_kv_t kv; // of a deletion: the key
} history_event_t;

typedef struct {
    int64_t id;
    revision_t from, seen; // seen: 0 before the first mark
    bytes_t key, end;
    VEC(history_event_t) events;
} history_watch_t;

typedef struct {
    arena_t arena; // of all bytes and arrays
    revision_t base;
    VEC(history_entry_t) entries;
    VEC(history_watch_t) watches;
} history_t;

void history_done(history_t *history); // {0} is an empty one

// ERR_INVALID with the line's number.
err_t history_parse(history_t *history, const char *text, why_t *why) MUST_USE;
void history_print(const history_t *history, text_t *text);
void history_print_entry(const history_entry_t *entry, text_t *text); // without the line's end

typedef enum { HISTORY_GOOD, HISTORY_BAD, HISTORY_UNDECIDED } history_verdict_t;
typedef struct {
    history_verdict_t verdict;
    char *why; // a sentence, when it is not good; *owned*: history_report_done
    size_t entries, reads, writes, unknown, events;
    size_t unknown_applied; // of the unknown
    size_t expiries;        // revisions that only a lease's end explains
    revision_t from, to;    // revisions replayed
    uint64_t steps;         // of the search
} history_report_t;

typedef struct {
    uint64_t steps_max;     // 0: HISTORY_STEPS_MAX
    int64_t lease_slack_us; // a lease may end so much early; 0: HISTORY_LEASE_SLACK_US; < 0: none
} history_options_t;

enum {
    HISTORY_STEPS_MAX = 10 * 1000 * 1000,
    HISTORY_LEASE_SLACK_US = 50 * 1000, // a round's frozen clock, and the timers' granularity
};

// `options` may be NULL. The history is sorted and otherwise left alone.
void history_check(history_t *history, const history_options_t *options,
                   history_report_t *ret_report);
void history_report_done(history_report_t *report);
