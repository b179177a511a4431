// Faults on purpose: set on actors, processes, nodes and links; listed; cleared. Each ends by
// itself.
#include "cli/troupectl/ctl.h"
#include "runtime/actor/faults.h"
#include "runtime/actor/targets.h"
#include "runtime/base/rng.h"
#include "troupe/experiments.pb-c.h"

enum { FOR_DEFAULT_MS = 10 * 1000, DELAY_DEFAULT_MS = 100, OFFSET_DEFAULT_MS = 60 * 1000 };

static bool duration(const char *flag, const char *text, int64_t low_ms, int64_t high_ms,
                     int64_t *ret_ms) {
    if (!text) return true;
    bool minus = text[0] == '-';
    if (!parse_duration_ms(text + minus, ret_ms)) {
        refuse("invalid --%s \"%s\": want a duration such as 500ms, 5s or 1m", flag, text);
        return false;
    }
    if (minus) *ret_ms = -*ret_ms;
    if (*ret_ms >= low_ms && *ret_ms <= high_ms) return true;
    refuse("invalid --%s \"%s\": must be %lldms to %llds", flag, text, (long long)low_ms,
           (long long)high_ms / 1000);
    return false;
}

// The rule that the flags describe.
static bool read_rule(const ctl_t *ctl, Actor__FaultRule__Kind kind, Actor__FaultRule *rule) {
    *rule = (Actor__FaultRule){PROTOBUF_C_MESSAGE_INIT(&actor__fault_rule__descriptor)};
    int64_t for_ms = FOR_DEFAULT_MS, delay_ms = DELAY_DEFAULT_MS, jitter_ms = 0,
            offset_ms = OFFSET_DEFAULT_MS, at_once = kind >= ACTOR__FAULT_RULE__KIND__KILL;
    if (at_once && ctl->o.for_) {
        refuse("%s is done at once: it takes no --for", fault_kind_name(kind));
        return false;
    }
    if (!duration("for", ctl->o.for_, 1, FAULT_FOR_MAX_MS, &for_ms) ||
        !duration("delay", ctl->o.delay, 1, 600 * 1000, &delay_ms) ||
        !duration("jitter", ctl->o.jitter, 0, 600 * 1000, &jitter_ms) ||
        !duration("offset", ctl->o.offset, -86400 * 1000ll * 365, 86400 * 1000ll * 365, &offset_ms))
        return false;
    if (ctl->o.probability) {
        char *end;
        rule->probability = strtod(ctl->o.probability, &end);
        if (*end || end == ctl->o.probability || !(rule->probability > 0) ||
            rule->probability > 1) {
            refuse("invalid --probability \"%s\": must be above 0 and at most 1",
                   ctl->o.probability);
            return false;
        }
    }
    rule->kind = kind;
    rule->for_ms = at_once ? 0 : (uint32_t)for_ms;
    rule->delay_ms = (uint32_t)delay_ms;
    rule->jitter_ms = (uint32_t)jitter_ms;
    rule->skew_ms = offset_ms;
    rule->type = or_empty(ctl->o.message);
    rule->both_ways = !ctl->o.one_way;
    rule->forced = ctl->o.force;
    return true;
}

static int inject(ctl_t *ctl, Actor__FaultRule__Kind kind) {
    Actor__FaultRule rule;
    if (!read_rule(ctl, kind, &rule)) return EXIT_FAILED;
    rule.name = arena_printf(&ctl->arena, "f-%06x", (unsigned)(rng_seed_from_kernel() & 0xffffff));
    Actor__ListActors list = {PROTOBUF_C_MESSAGE_INIT(&actor__list_actors__descriptor)};
    void *answer;
    failure_t failure;
    if (ctl_ask(ctl, &list.base, &actor__actor_infos__descriptor, &answer, &failure))
        return refuse_failure(&failure);
    fault_wish_t wish = {&rule, ctl->words.at + 1, ctl->words.len - 1};
    Chaos__Inject order;
    why_t why;
    if (targets_resolve(&ctl->arena, answer, &wish, &order, &why)) return refuse("%s", why.text);
    if (ctl_ask(ctl, &order.base, &chaos__injected__descriptor, &answer, &failure))
        return refuse_failure(&failure);
    const Chaos__Injected *done = answer;
    for (size_t i = 0; i < done->n_failed; i++)
        fprintf(stderr, "process %s: %s\n", done->failed[i]->process, done->failed[i]->why);
    if (done->n_failed == order.n_orders) return refuse("no process has done it");
    printf("%s %s: in %zu process%s", rule.name, fault_kind_name(kind), order.n_orders,
           order.n_orders == 1 ? "" : "es");
    if (rule.for_ms) printf(", for %g s", rule.for_ms / 1000.0);
    printf("\n");
    return done->n_failed ? EXIT_FAILED : 0;
}

// ---- what is on --------------------------------------------------------------------------------
static const char *what(ctl_t *ctl, const Actor__FaultRule *r) {
    text_t out = {.arena = &ctl->arena};
    if (fault_is_of_the_bus(r->kind))
        text_addf(&out, "%s %s %s", is_empty(r->from) ? "*" : r->from, r->both_ways ? "↔" : "→",
                  is_empty(r->to) ? "*" : r->to);
    else
        text_add(&out, is_empty(r->target) ? "(the process)" : r->target);
    if (r->kind == ACTOR__FAULT_RULE__KIND__DELAY || r->kind == ACTOR__FAULT_RULE__KIND__DISK_SLOW)
        text_addf(&out, " by %ums", r->delay_ms);
    if (r->kind == ACTOR__FAULT_RULE__KIND__SKEW)
        text_addf(&out, " by %+lldms", (long long)r->skew_ms);
    if (!is_empty(r->type)) text_addf(&out, " %s", r->type);
    if (r->probability > 0 && r->probability < 1) text_addf(&out, " p=%g", r->probability);
    return text_str(&out);
}

static err_t ask_faults(ctl_t *ctl, void **ret_faults, failure_t *failure) {
    Actor__ListFaults ask = {PROTOBUF_C_MESSAGE_INIT(&actor__list_faults__descriptor)};
    return ctl_ask(ctl, &ask.base, &actor__faults__descriptor, ret_faults, failure);
}

static int list(ctl_t *ctl) {
    void *answer;
    failure_t failure;
    if (ask_faults(ctl, &answer, &failure)) return refuse_failure(&failure);
    const Actor__Faults *faults = answer;
    if (!faults->n_rules) {
        fprintf(stderr, "No faults are on.\n");
        return 0;
    }
    printf("%-12s %-10s %-16s %-8s %s\n", "ID", "FAULT", "PROCESS", "LEFT", "WHAT");
    for (size_t i = 0; i < faults->n_rules; i++) {
        const Actor__FaultRule *r = faults->rules[i];
        const char *left =
            r->for_ms ? arena_printf(&ctl->arena, "%.1fs", r->for_ms / 1000.0) : "no end";
        printf("%-12s %-10s %-16s %-8s %s\n", r->name, or_empty(fault_kind_name(r->kind)),
               r->process, left, what(ctl, r));
    }
    return 0;
}

static int clear_names(ctl_t *ctl, const char **names, size_t len) {
    Actor__ClearFaults ask = {PROTOBUF_C_MESSAGE_INIT(&actor__clear_faults__descriptor)};
    ask.names = names;
    ask.n_names = len;
    void *answer;
    failure_t failure;
    if (ctl_ask(ctl, &ask.base, &actor__done__descriptor, &answer, &failure))
        return refuse_failure(&failure);
    printf("cleared\n");
    return 0;
}

static bool is_meant(const words_t *targets, const char *address) {
    for (size_t i = 1; i < targets->len; i++) {
        const char *target = targets->at[i];
        size_t role_len = strcspn(address, "/");
        bool is_role = strlen(target) == role_len && !strncmp(target, address, role_len);
        if (is_role || pattern_matches(target, address)) return true;
    }
    return false;
}

static int resume(ctl_t *ctl) {
    void *answer;
    failure_t failure;
    if (ask_faults(ctl, &answer, &failure)) return refuse_failure(&failure);
    const Actor__Faults *faults = answer;
    const char **names = ARENA_ARRAY(&ctl->arena, const char *, faults->n_rules + 1);
    size_t len = 0;
    for (size_t i = 0; i < faults->n_rules; i++) {
        const Actor__FaultRule *r = faults->rules[i];
        if (r->kind == ACTOR__FAULT_RULE__KIND__PAUSE && is_meant(&ctl->words, r->target))
            names[len++] = r->name;
    }
    if (!len) return refuse("nobody of that name is paused");
    return clear_names(ctl, names, len);
}

// ---- an experiment's report ---------------------------------------------------------------------
static const char *millis(ctl_t *ctl, bool has, int64_t ms) {
    return has ? arena_printf(&ctl->arena, "%lld ms", (long long)ms) : "-";
}

static void print_report(ctl_t *ctl, const Experiments__Experiment *x) {
    const Experiments__ExperimentStatus *s = x->status;
    printf("Experiment %s: %s", x->metadata->name, s && s->phase ? s->phase : "Pending");
    if (s && !is_empty(s->verdict)) printf(", %s", s->verdict);
    printf("\n");
    if (!s) return;
    if (!is_empty(s->message)) printf("  %s\n", s->message);
    printf("\n%-26s %-8s %8s  %s\n", "INVARIANT", "HOLDS", "CHECKED", "MESSAGE");
    for (size_t i = 0; i < s->n_invariants; i++) {
        const Experiments__ExperimentInvariant *one = s->invariants[i];
        printf("%-26s %-8s %8lld  %s\n", one->name, one->holds ? "yes" : "NO",
               (long long)one->checked, or_empty(one->message));
    }
    printf("\n%-20s %-10s %-24s %10s %10s %10s  %s\n", "FAULT", "ACTION", "TARGET", "AT",
           "DETECTED", "RECOVERED", "MESSAGE");
    for (size_t i = 0; i < s->n_faults; i++) {
        const Experiments__ExperimentStrike *f = s->faults[i];
        printf("%-20s %-10s %-24s %10s %10s %10s  %s\n", f->name, f->action, f->target,
               millis(ctl, true, f->atmillis),
               millis(ctl, f->has_detectedmillis, f->detectedmillis),
               millis(ctl, f->has_recoveredmillis, f->recoveredmillis), or_empty(f->message));
    }
    if (!s->n_errors) {
        printf("\nNo client saw an error.\n");
        return;
    }
    printf("\n%-26s %8s  %s\n", "ERRORS SEEN BY", "COUNT", "MESSAGE");
    for (size_t i = 0; i < s->n_errors; i++)
        printf("%-26s %8lld  %s\n", s->errors[i]->source, (long long)s->errors[i]->count,
               s->errors[i]->message);
}

// As text; with -o as any object. Fails when the verdict does.
static int report(ctl_t *ctl) {
    const kind_t *kind = kind_find("chaos.troupe.io", "v1", "Experiment");
    if (ctl->words.len != 2) return refuse("want the name of an experiment: chaos report NAME");
    ProtobufCMessage *obj;
    failure_t failure;
    if (ctl_get(ctl, kind, "", ctl->words.at[1], &obj, &failure)) return refuse_failure(&failure);
    const Experiments__Experiment *x = (const Experiments__Experiment *)obj;
    if (ctl->o.output) {
        int code = print_objects(ctl, kind, &obj, 1, false);
        if (code) return code;
    } else {
        print_report(ctl, x);
    }
    return x->status && streq(or_empty(x->status->verdict), "Failed") ? EXIT_FAILED : 0;
}

int cmd_chaos(ctl_t *ctl) {
    if (!ctl->words.len) return refuse("want a fault, list, clear or report; see chaos --help");
    const char *verb = ctl->words.at[0];
    Actor__FaultRule__Kind kind;
    if (streq(verb, "list")) return list(ctl);
    if (streq(verb, "report")) return report(ctl);
    if (streq(verb, "clear")) return clear_names(ctl, ctl->words.at + 1, ctl->words.len - 1);
    if (!streq(verb, "resume")) {
        if (fault_kind_parse(verb, &kind)) return inject(ctl, kind);
        return refuse("no fault is called \"%s\"; see chaos --help", verb);
    }
    return resume(ctl);
}
