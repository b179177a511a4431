// faults - rules that make a bus lie: drop, delay, duplicate, reorder, partition, by patterns of
// sender, receiver and message type ('*' stands for any run of characters). The live bus and the
// simulator use the same rules.
//
// Drop, delay and partition act where a message is sent; duplicate and reorder where it arrives,
// and only for actors that declare that they bear them: for all others they act below the check
// that keeps messages in order and unrepeated, so that a duplicate is nothing and a reordered
// message is a lost one.
#pragma once
#include "runtime/actor/envelope.h"
#include "runtime/base/rng.h"
#include "troupe/actor.pb-c.h"

enum { FAULT_RULES_MAX = 256 };

typedef struct faults faults_t;
faults_t *faults_new(void) MUST_USE;
void faults_destroy(faults_t **faults);
// A rule of the same name is replaced. Any thread. False: there are FAULT_RULES_MAX already.
bool faults_set(faults_t *f, const Actor__FaultRule *rule);
void faults_clear(faults_t *f, const char *name); // NULL: all
bool faults_any(const faults_t *f);               // cheap: one relaxed load

typedef struct {
    bool drop;
    int64_t delay_us; // 0: at once
    bool duplicate;
    bool reorder; // let what comes behind it overtake
} fault_verdict_t;
fault_verdict_t faults_on_send(faults_t *f, const envelope_t *env, rng_t *dice);
fault_verdict_t faults_on_arrival(faults_t *f, const envelope_t *env, rng_t *dice);
bool pattern_matches(const char *pattern, const char *text); // '*' only; NULL or "" matches all
