#include "cli/troupe/simulate_faults.h"
#include "runtime/base/rng.h"

// Often one strikes while the last one is being got over.
static int64_t next_ms(rng_t *dice, int64_t every_ms) {
    return rng_chance(dice, 0.3) ? rng_between(dice, 1, every_ms / 4 + 1)
                                 : rng_between(dice, 1, 5 * every_ms / 2);
}

void fault_plan_draw(const fault_odds_t *odds, uint64_t seed, fault_plan_t *ret_plan) {
    *ret_plan = (fault_plan_t){.length_ms = odds->length_ms};
    rng_t dice;
    rng_init(&dice, ~seed);
    for (int64_t at_ms = 0; odds->kinds_len && at_ms < odds->length_ms;
         at_ms += next_ms(&dice, odds->every_ms)) {
        fault_t fault = {.number = ret_plan->faults.len + 1, .at_ms = at_ms};
        bool known = fault_kind_parse(odds->kinds[rng_below(&dice, odds->kinds_len)], &fault.kind);
        assert(known);
        fault.for_ms = rng_between(&dice, 1, odds->for_ms);
        fault.dice = rng_next(&dice);
        vec_push(&ret_plan->faults, fault);
    }
}

void fault_plan_done(fault_plan_t *plan) { vec_done(&plan->faults); }

void fault_plan_dup(const fault_plan_t *plan, fault_plan_t *ret_plan) {
    *ret_plan = (fault_plan_t){.length_ms = plan->length_ms};
    for (size_t i = 0; i < plan->faults.len; i++) vec_push(&ret_plan->faults, plan->faults.at[i]);
}

static bool read_number(const char **text, int64_t *ret) {
    char *end;
    *ret = strtoll(*text, &end, 10);
    bool any = **text >= '0' && **text <= '9';
    *text = end;
    return any && *ret > 0;
}

err_t fault_plan_choose(fault_plan_t *plan, const char *text, why_t *why) {
    const char *at = text;
    size_t kept = 0;
    int64_t number, before = 0;
    while (*at && *at != '/') {
        if (!read_number(&at, &number) || number <= before)
            return why_set(why, ERR_INVALID, "\"%s\": numbers of faults, in order", text);
        if ((size_t)number > plan->faults.len)
            return why_set(why, ERR_INVALID, "there are %zu faults, no %lld.", plan->faults.len,
                           (long long)number);
        fault_t *fault = &plan->faults.at[kept++];
        *fault = plan->faults.at[number - 1];
        before = number;
        if (*at == ':' && (at++, !read_number(&at, &fault->for_ms)))
            return why_set(why, ERR_INVALID, "\"%s\": milliseconds behind a colon", text);
        if (*at == ',') at++;
    }
    plan->faults.len = kept;
    if (*at == '/' && (at++, !read_number(&at, &plan->length_ms) || *at))
        return why_set(why, ERR_INVALID, "\"%s\": milliseconds behind the slash", text);
    return ERR_OK;
}

void fault_plan_print(const fault_plan_t *plan, text_t *out) {
    for (size_t i = 0; i < plan->faults.len; i++)
        text_addf(out, "%s%zu:%lld", i ? "," : "", plan->faults.at[i].number,
                  (long long)plan->faults.at[i].for_ms);
    text_addf(out, "/%lld", (long long)plan->length_ms);
}
