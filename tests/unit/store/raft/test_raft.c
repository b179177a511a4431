// The Raft core: golden traces of clusters. Random runs are in tests/sim/test_raft_sim.c.
#include "store/raft/raft.h"
#include "tests/support/leaks.h"
#include "tests/support/raft_script.h"
#include <signal.h>

static char *read_file(const char *path) {
    FILE *in = fopen(path, "r");
    if (!in) return NULL;
    text_t t = TEXT_HEAP;
    char part[4096];
    for (size_t len; (len = fread(part, 1, sizeof part, in)) > 0;) text_addn(&t, part, len);
    fclose(in);
    return text_steal(&t);
}

static void golden(const char *name) {
    CLEANUP(free_charp) char *path = str_printf("%s/tests/golden/raft/%s.txt", SOURCE_DIR, name);
    CLEANUP(free_charp) char *script = read_file(path);
    cr_assert_not_null(script, "%s is missing", path);
    CLEANUP(free_charp) char *now = raft_script_run(script);
    const char *golden_mode = getenv("GOLDEN");
    if (golden_mode && streq(golden_mode, "write")) {
        FILE *out = fopen(path, "w");
        fputs(now, out);
        fclose(out);
        return;
    }
    cr_assert_str_eq(now, script, "%s\n--- now:\n%s", path, now);
    cr_assert_null(strstr(now, "BROKEN"), "%s", now);
}

#define TRACE(name, file)  \
    Test(raft, name)       \
    {                      \
        golden(file);      \
        ASSERT_NO_LEAKS(); \
    }
TRACE(a_member_alone_leads_at_once_and_commits_what_is_synced, "single")
TRACE(three_members_elect_replicate_and_commit, "three")
TRACE(a_pre_vote_does_not_disturb_a_living_leader, "pre_vote")
TRACE(figure_7_the_leader_brings_every_log_to_its_own, "figure_7")
TRACE(figure_8_an_old_term_is_not_committed_by_counting, "figure_8")
TRACE(conflicts_are_skipped_a_term_at_a_time, "conflict")
TRACE(a_vote_counts_when_it_is_durable, "vote_sync")
TRACE(a_leader_that_hears_no_majority_steps_down, "check_quorum")
TRACE(a_read_waits_for_a_round_that_began_after_it, "read_index")
TRACE(a_leader_hands_over, "transfer")
TRACE(members_come_and_go_one_at_a_time, "membership")
TRACE(a_slow_disk_holds_up_nobody_but_its_owner, "slow_disk")
TRACE(lost_appends_are_sent_again, "loss")
TRACE(who_needs_what_was_cut_needs_a_snapshot, "snapshot")
TRACE(a_snapshot_lets_the_log_go_on_behind_it, "snapshot_install")
TRACE(what_is_not_synced_is_waited_for_and_what_is_lost_is_sent_again, "slow_follower")
TRACE(a_leader_whose_disk_is_stuck_hands_over, "stuck_disk")
TRACE(a_transfer_that_takes_too_long_is_given_up, "transfer_timeout")
TRACE(a_learner_becomes_a_voter_when_it_has_caught_up, "promote")
TRACE(a_configuration_that_is_cut_off_is_out_of_force, "config_rollback")
TRACE(one_vote_a_term, "two_candidates")
TRACE(a_lease_ends_before_others_may_vote, "lease")
TRACE(who_starts_waits_for_a_lease_it_may_have_promised, "lease_start")
TRACE(who_hands_over_has_no_lease, "lease_transfer")
TRACE(a_witness_counts_while_a_server_is_away, "witness")
TRACE(a_witness_at_its_limit_takes_no_more, "witness_limit")

Test(raft, canary_asserts_are_alive, .signal = SIGABRT)
{ raft_step(NULL, NULL, NULL); }

Test(raft, a_configuration_may_differ_by_one_voter)
{
    raft_config_t three = {.members = {{1, 0}, {2, 0}, {3, 0}}, .len = 3};
    raft_config_t four = {.members = {{1, 0}, {2, 0}, {3, 0}, {4, 0}}, .len = 4};
    raft_config_t swapped = {.members = {{1, 0}, {2, 0}, {4, 0}}, .len = 3};
    raft_config_t learner = {.members = {{1, 0}, {2, 0}, {3, 0}, {4, RAFT_MEMBER_LEARNER}},
                             .len = 4};
    raft_config_t twice = {.members = {{1, 0}, {2, 0}, {2, 0}}, .len = 3};
    cr_assert(raft_config_can_follow(&three, &four));
    cr_assert(raft_config_can_follow(&four, &three));
    cr_assert(raft_config_can_follow(&three, &learner));
    cr_assert(raft_config_can_follow(&learner, &four));
    cr_assert_not(raft_config_can_follow(&three, &swapped));
    cr_assert_not(raft_config_can_follow(&three, &twice));
    cr_assert_not(raft_config_can_follow(&three, &(raft_config_t){0}));
    raft_config_t witness = {.members = {{1, 0}, {2, 0}, {3, RAFT_MEMBER_WITNESS}}, .len = 3};
    raft_config_t witnesses = {.members = {{1, 0}, {2, 2}, {3, 2}}, .len = 3};
    raft_config_t only_witness = {.members = {{3, RAFT_MEMBER_WITNESS}}, .len = 1};
    raft_config_t two = {.members = {{1, 0}, {2, 0}}, .len = 2};
    cr_assert(raft_config_can_follow(&two, &witness));
    cr_assert(raft_config_can_follow(&witness, &two));
    cr_assert_not(raft_config_can_follow(&witness, &three), "it has no state machine to vote for");
    cr_assert_not(raft_config_can_follow(&three, &witness));
    cr_assert_not(raft_config_is_valid(&witnesses));
    cr_assert_not(raft_config_is_valid(&only_witness));
    cr_assert_eq(raft_config_voters(&witness), 3);
    cr_assert_eq(raft_config_witness(&witness)->id, 3);
    ASSERT_NO_LEAKS();
}

// A member alone does not wait for a learner's answer, be it there or not.
Test(raft, a_voter_alone_reads_whatever_its_learner_does)
{
    trail_t trail;
    trail_init(&trail, 0, 0);
    raft_options_t options = {.id = 1,
                              .trail = &trail,
                              .config = {.members = {{1, 0}, {2, RAFT_MEMBER_LEARNER}}, .len = 2}};
    raft_t *raft = raft_new(&options, 1, 7);
    raft_out_t out = {0};
    raft_event_t event = {.type = RAFT_EVENT_TICK, .now_ms = 1};
    raft_step(raft, &event, &out);
    for (int i = 0; i < 2; i++) { // its vote, then its first entry
        event = (raft_event_t){.type = RAFT_EVENT_SYNCED, .now_ms = 2, .write = out.write};
        raft_step(raft, &event, &out);
    }
    cr_assert(raft_is_settled(raft));
    event = (raft_event_t){.type = RAFT_EVENT_READ, .now_ms = 3, .read = 5};
    raft_step(raft, &event, &out);
    cr_assert_eq(out.reads.len, 1);
    cr_assert(out.reads.at[0].ok && out.reads.at[0].read == 5 && out.reads.at[0].index == 1);
    raft_out_done(&out);
    raft_destroy(&raft);
    ASSERT_NO_LEAKS();
}
