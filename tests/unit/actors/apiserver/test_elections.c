// Elections as a story: who asks when, who speaks when, and what each hears.
#include "actors/apiserver/elections.h"
#include "tests/support/leaks.h"

typedef struct {
    int64_t at_ms;
    char act; // 'a'sks, 'r'enews, 'd'own, 'l'earned from the store
    const char *who;
    uint64_t incarnation, epoch;
    const char *outcome; // of asking
} step_t;

static const char *move_name(election_move_t move) {
    return move == ELECTION_ANSWER ? "answer" : move == ELECTION_HOLD ? "hold" : "take";
}

static void play(const step_t *steps, size_t len) {
    elections_t all = {0};
    election_t *one = elections_of(&all, "scheduler");
    for (size_t i = 0; i < len; i++) {
        const step_t *s = &steps[i];
        if (s->act == 'l') election_learn(one, s->epoch, s->who, s->incarnation, s->at_ms);
        if (s->act == 'r') election_heard(one, s->epoch, s->who, s->incarnation, s->at_ms);
        if (s->act == 'd') one->is_gone = true;
        if (s->act != 'a') continue;
        election_move_t move = election_ask(one, s->who, s->incarnation, s->epoch, s->at_ms);
        cr_expect_str_eq(move_name(move), s->outcome, "step %zu: %s", i, move_name(move));
        if (move == ELECTION_TAKE)
            election_learn(one, one->epoch + 1, s->who, s->incarnation, s->at_ms);
    }
    elections_done(&all);
}

Test(elections, the_first_who_asks_leads_and_the_second_waits)
{
    static const step_t story[] = {
        {0, 'a', "a", 1, 0, "take"},
        {10, 'a', "b", 1, 0, "answer"}, // news: epoch 1
        {20, 'a', "b", 1, 1, "hold"},
        {30, 'a', "a", 1, 1, "answer"}, // the leader asks again: he leads
    };
    play(story, LENGTH_OF(story));
    ASSERT_NO_LEAKS();
}

Test(elections, silence_makes_room_and_speech_keeps_the_place)
{
    static const step_t story[] = {
        {0, 'a', "a", 1, 0, "take"},
        {300, 'r', "a", 1, 1, NULL},
        {600, 'a', "b", 1, 1, "hold"},
        {600, 'r', "a", 1, 0, NULL}, // an old epoch's renewal counts for nothing
        {600, 'r', "x", 1, 1, NULL}, // nor does a stranger's
        {701, 'a', "b", 1, 1, "take"},
        {702, 'r', "a", 1, 1, NULL}, // too late
        {1000, 'a', "a", 1, 1, "answer"},
    };
    play(story, LENGTH_OF(story));
    ASSERT_NO_LEAKS();
}

Test(elections, a_death_or_a_new_life_of_the_leader_makes_room_at_once)
{
    static const step_t story[] = {
        {0, 'a', "a", 1, 0, "take"},
        {10, 'd', "a", 0, 0, NULL},
        {11, 'a', "b", 1, 1, "take"},
        {20, 'a', "b", 2, 2, "take"}, // b was restarted: its old life leads no more
    };
    play(story, LENGTH_OF(story));
    ASSERT_NO_LEAKS();
}

Test(elections, a_leader_whose_name_comes_after_its_epoch_is_heard)
{
    static const step_t story[] = {
        {0, 'l', "", 0, 2, NULL},   // a swap was lost: to whom is not known yet
        {10, 'l', "a", 0, 2, NULL}, // the watch says
        {20, 'l', "", 0, 2, NULL},  // and is not contradicted
        {300, 'r', "a", 5, 2, NULL}, {600, 'a', "b", 1, 2, "hold"}, {610, 'a', "a", 5, 2, "answer"},
    };
    play(story, LENGTH_OF(story));
    ASSERT_NO_LEAKS();
}

Test(elections, after_a_start_the_leader_that_the_store_names_is_given_time_to_speak)
{
    static const step_t story[] = {
        {0, 'l', "a", 0, 7, NULL},       {100, 'a', "b", 1, 7, "hold"},
        {200, 'r', "a", 5, 7, NULL},     {500, 'a', "b", 1, 7, "hold"},
        {510, 'a', "a", 5, 7, "answer"}, {600, 'l', "c", 0, 6, NULL}, // told late
        {950, 'a', "b", 1, 7, "take"},
    };
    play(story, LENGTH_OF(story));
    ASSERT_NO_LEAKS();
}

Test(elections, there_are_only_so_many_roles)
{
    elections_t all = {0};
    for (int i = 0; i < ELECTION_ROLES_MAX; i++) {
        char role[16];
        snprintf(role, sizeof role, "r%d", i);
        cr_expect_not_null(elections_of(&all, role));
    }
    cr_expect_null(elections_of(&all, "one more"));
    cr_expect_not_null(elections_of(&all, "r3"));
    elections_done(&all);
    ASSERT_NO_LEAKS();
}

// The store may be gone and say so at once: asking it again without end would be a busy loop.
Test(elections, a_swap_whose_outcome_is_unknown_is_tried_again_after_a_while)
{
    elections_t all = {0};
    election_t *one = elections_of(&all, "scheduler");
    election_learn(one, 1, "a", 1, 0);
    one->is_gone = true;
    cr_assert_eq(election_ask(one, "b", 1, 1, 10), ELECTION_TAKE);
    election_failed(one, 11);
    cr_assert_eq(election_ask(one, "b", 1, 1, 12), ELECTION_HOLD);
    cr_assert_eq(election_deadline_ms(one), 11 + ELECTION_RETRY_MS);
    cr_assert_eq(election_ask(one, "b", 1, 1, 11 + ELECTION_RETRY_MS), ELECTION_TAKE);
    elections_done(&all);
    ASSERT_NO_LEAKS();
}
