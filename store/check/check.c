// The judgement: order by revision against real time, then a replay against the model, with a
// search where a revision has no owner.
//
//     revision   1      2      3      4      5
//     claimed    c1     c2     .      c1     .          . : nobody was told that it made this one
//     tried                    u7            u9, end of lease 3, …   (operations of unknown
//     outcome) then       every read of that revision, every watch over it
//
// A try that does not fit is taken back, and the next one is tried; when none is left, the newest
// earlier choice gives way. How far the replay came decides which complaint is reported.
#include "store/check/history.h"
#include "store/check/model.h"

typedef struct {
    revision_t revision;
    int64_t returned_us; // the earliest return of any answer with this revision or a later one
} due_t;

typedef struct {
    revision_t at; // the state it is judged by
    size_t entry;
} visit_t;

// An earlier decision that may give way.
typedef struct {
    revision_t revision;
    size_t mark; // the model before it
    size_t next; // candidate to try then
    size_t used; // candidate in use
} choice_t;

typedef struct {
    history_t *h;
    model_t *model;
    int64_t slack_us;
    uint64_t steps_max;
    history_report_t *report;
    revision_t last;        // newest revision anybody heard of
    revision_t *floor;      // of each entry: what was known before it was invoked
    VEC(due_t) dues;        // ascending revisions
    int64_t *promised_us;   // of each lease: it lives at least until then
    VEC(visit_t) writes;    // ascending; at: the revision it made
    VEC(visit_t) visits;    // ascending; reads, grants and revocations
    VEC(size_t) candidates; // entries of unknown outcome, and revocations
    bool *used;             // of each candidate; then of each lease
    VEC(choice_t) choices;
    revision_t furthest;
    text_t complaint; // of the furthest revision
    bool trying;      // complaints are about a candidate, and only a hint
    text_t hint;      // the first of them
    text_t scratch;
} judge_t;

// ---- complaints ---------------------------------------------------------------------------------
enum { QUOTE_MAX = 200 };

static void quote(const history_entry_t *e, text_t *t) {
    text_t whole = TEXT_HEAP;
    history_print_entry(e, &whole);
    text_addf(t, "`%.*s%s`", QUOTE_MAX, text_str(&whole), whole.len > QUOTE_MAX ? "…" : "");
    text_done(&whole);
}

// The complaint about the furthest revision is the one that is told.
static bool complain(judge_t *j, revision_t revision, const char *fmt, ...) PRINTF_LIKE(3, 4);
static bool complain(judge_t *j, revision_t revision, const char *fmt, ...) {
    text_t *to = j->trying ? &j->hint : &j->complaint;
    if (to->len && (j->trying || revision <= j->furthest)) return false;
    if (!j->trying) j->furthest = revision;
    text_reset(to);
    text_addf(to, "revision %lld: ", (long long)revision);
    va_list args;
    va_start(args, fmt);
    text_addv(to, fmt, args);
    va_end(args);
    return false;
}

static bool complain_of(judge_t *j, revision_t revision, const history_entry_t *e,
                        const char *what) {
    text_t t = TEXT_HEAP;
    quote(e, &t);
    complain(j, revision, "%s: %s", text_str(&t), what);
    text_done(&t);
    return false;
}

// ---- real time ----------------------------------------------------------------------------------
static bool is_write(const history_entry_t *e) {
    if (e->kind != HISTORY_TXN || e->outcome != HISTORY_OK) return false;
    const history_op_t *ops = e->succeeded ? e->then : e->otherwise;
    size_t len = e->succeeded ? e->then_len : e->otherwise_len;
    for (size_t i = 0; i < len; i++) {
        if (ops[i].kind == HISTORY_OP_PUT) return true;
        if (ops[i].kind == HISTORY_OP_DELETE && i < e->replies_len && e->replies[i].deleted)
            return true;
    }
    return false;
}

static int by_invoked(const void *a, const void *b) {
    const history_entry_t *x = a, *y = b;
    if (x->invoked_us != y->invoked_us) return x->invoked_us < y->invoked_us ? -1 : 1;
    return (x->client > y->client) - (x->client < y->client);
}

static int by_returned(const void *a, const void *b, void *arg) {
    const history_entry_t *entries = arg;
    int64_t x = entries[*(const size_t *)a].returned_us,
            y = entries[*(const size_t *)b].returned_us;
    return (x > y) - (x < y);
}

// A keep-alive refused though the lease must live, says what was answered before.
static bool is_refused_early(const judge_t *j, const history_entry_t *e, int64_t promised_us) {
    if (e->outcome != HISTORY_MISSING || e->kind != HISTORY_KEEP) return false;
    for (size_t i = 0; i < j->h->entries.len; i++) {
        const history_entry_t *r = &j->h->entries.at[i];
        if (r->kind == HISTORY_REVOKE && r->lease == e->lease && r->outcome != HISTORY_FAILED)
            return false;
    }
    return e->returned_us + j->slack_us < promised_us;
}

// In the order of time: whoever began after another had returned must have seen its revision.
static bool check_time(judge_t *j) {
    history_t *h = j->h;
    size_t len = h->entries.len, done = 0;
    size_t *returned = mem_new((len + 1) * sizeof *returned);
    int64_t *promised = mem_new((model_leases(j->model) + 1) * sizeof *promised);
    for (size_t i = 0; i < len; i++) returned[i] = i;
    qsort_r(returned, len, sizeof *returned, by_returned, h->entries.at);
    revision_t known = h->base;
    bool good = true;
    for (size_t i = 0; i < len && good; i++) {
        const history_entry_t *e = &h->entries.at[i];
        for (; done < len && h->entries.at[returned[done]].returned_us < e->invoked_us; done++) {
            const history_entry_t *before = &h->entries.at[returned[done]];
            if (before->outcome != HISTORY_OK) continue;
            if (before->revision > known) known = before->revision;
            if (before->kind != HISTORY_KEEP && before->kind != HISTORY_GRANT) continue;
            int64_t *lease = &promised[model_lease(j->model, before->lease)];
            int64_t until = before->invoked_us + before->ttl_ms * 1000;
            if (until > *lease) *lease = until;
        }
        j->floor[i] = known;
        if (e->kind >= HISTORY_GRANT && e->lease &&
            is_refused_early(j, e, promised[model_lease(j->model, e->lease)]))
            good = complain_of(j, known, e, "the lease was gone before its time");
        // A keep-alive is the leader's word about time, not about what is stored.
        if (e->outcome != HISTORY_OK || e->kind == HISTORY_KEEP) continue;
        if (e->revision < known || (is_write(e) && e->revision == known))
            good = complain_of(j, known, e, "it began when this revision was known, and missed it");
    }
    free(returned);
    free(promised);
    return good;
}

// ---- preparation --------------------------------------------------------------------------------
static int by_at(const void *a, const void *b) {
    const visit_t *x = a, *y = b;
    if (x->at != y->at) return x->at < y->at ? -1 : 1;
    return (x->entry > y->entry) - (x->entry < y->entry);
}

static int by_due(const void *a, const void *b) {
    const due_t *x = a, *y = b;
    return (x->revision > y->revision) - (x->revision < y->revision);
}

static bool sort_out_one(judge_t *j, size_t i) {
    history_entry_t *e = &j->h->entries.at[i];
    history_report_t *r = j->report;
    r->entries++;
    if (e->outcome == HISTORY_UNKNOWN) {
        r->unknown++;
        if (e->kind == HISTORY_TXN || e->kind == HISTORY_REVOKE) vec_push(&j->candidates, i);
        return true;
    }
    if (e->outcome != HISTORY_OK) return true;
    if (e->revision > j->last) j->last = e->revision;
    if (e->revision < j->h->base) return complain_of(j, e->revision, e, "this is before the base");
    vec_push(&j->dues, ((due_t){e->revision, e->returned_us}));
    if (e->kind == HISTORY_GRANT || e->kind == HISTORY_KEEP) {
        int64_t *lease = &j->promised_us[model_lease(j->model, e->lease)];
        int64_t until = e->invoked_us + e->ttl_ms * 1000;
        if (until > *lease) *lease = until;
        if (e->kind == HISTORY_KEEP) return true;
    }
    bool write = is_write(e);
    r->writes += write;
    r->reads += !write && e->kind <= HISTORY_GET;
    revision_t at = e->kind == HISTORY_GET && e->then->at ? e->then->at : e->revision;
    if (e->kind == HISTORY_REVOKE) vec_push(&j->candidates, i);
    if (write)
        vec_push(&j->writes, ((visit_t){e->revision, i}));
    else
        vec_push(&j->visits, ((visit_t){at, i}));
    return true;
}

static bool sort_out(judge_t *j) {
    j->last = j->h->base;
    for (size_t i = 0; i < j->h->entries.len; i++)
        if (!sort_out_one(j, i)) return false;
    if (j->writes.len) qsort(j->writes.at, j->writes.len, sizeof *j->writes.at, by_at);
    if (j->visits.len) qsort(j->visits.at, j->visits.len, sizeof *j->visits.at, by_at);
    if (j->dues.len) qsort(j->dues.at, j->dues.len, sizeof *j->dues.at, by_due);
    for (size_t i = j->dues.len; i-- > 1;)
        if (j->dues.at[i].returned_us < j->dues.at[i - 1].returned_us)
            j->dues.at[i - 1].returned_us = j->dues.at[i].returned_us;
    for (size_t i = 0; i < j->writes.len; i++) {
        const visit_t *w = &j->writes.at[i];
        const history_entry_t *e = &j->h->entries.at[w->entry];
        if (w->at <= j->h->base) return complain_of(j, w->at, e, "this revision is not new");
        if (i && j->writes.at[i - 1].at == w->at)
            return complain_of(j, w->at, e, "another operation made this revision, too");
    }
    j->used = mem_new(j->candidates.len + model_leases(j->model) + 1);
    return true;
}

// Each watch by itself: in order, nothing twice, nothing from before its beginning.
static bool check_watches(judge_t *j) {
    for (size_t i = 0; i < j->h->watches.len; i++) {
        const history_watch_t *w = &j->h->watches.at[i];
        j->report->events += w->events.len;
        if (w->seen > j->last) j->last = w->seen;
        for (size_t k = 0; k < w->events.len; k++) {
            const history_event_t *e = &w->events.at[k];
            const char *wrong = NULL;
            if (e->revision < w->from)
                wrong = "older than what was asked for";
            else if (k && e->revision < w->events.at[k - 1].revision)
                wrong = "out of order";
            for (size_t n = k; n-- > 0 && w->events.at[n].revision == e->revision;)
                if (bytes_eq(w->events.at[n].kv.key, e->kv.key)) wrong = "seen twice";
            if (e->revision > j->last) j->last = e->revision;
            if (wrong)
                return complain(j, e->revision, "watch %lld: the event of %.*s is %s",
                                (long long)w->id, (int)e->kv.key.len, (const char *)e->kv.key.at,
                                wrong);
        }
    }
    return true;
}

// ---- one revision -------------------------------------------------------------------------------
static size_t first_visit(const visit_t *at, size_t len, revision_t revision) {
    size_t low = 0, high = len;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (at[middle].at < revision)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int64_t due_of(const judge_t *j, revision_t revision) {
    size_t low = vec_place(&j->dues, it, it->revision < revision);
    return low < j->dues.len ? j->dues.at[low].returned_us : INT64_MAX;
}

// What the change to `revision` did, as this watch must have seen it.
static bool watch_fits(judge_t *j, const history_watch_t *w, revision_t revision) {
    if (revision < w->from || revision > w->seen) return true;
    size_t low = vec_place(&w->events, it, it->revision < revision), len = 0, from, to;
    const model_change_t *changes = model_changes(j->model, &len);
    model_range(j->model, w->key, w->end, &from, &to);
    for (size_t i = 0; i < len; i++) {
        if (changes[i].key < from || changes[i].key >= to) continue;
        bytes_t key = model_key(j->model, changes[i].key);
        const model_value_t *v = model_value(j->model, changes[i].key);
        const history_event_t *e = low < w->events.len ? &w->events.at[low++] : NULL;
        if (!e || e->revision != revision)
            return complain(j, revision, "watch %lld did not see the change of %.*s",
                            (long long)w->id, (int)key.len, (const char *)key.at);
        bool same = bytes_eq(e->kv.key, key) && e->deleted == changes[i].deleted;
        if (same && !e->deleted)
            same = e->kv.create == v->create && e->kv.version == v->version &&
                   e->kv.lease == v->lease && bytes_eq(e->kv.value, v->value);
        if (same) continue;
        text_reset(&j->scratch);
        model_print_value(key, v, &j->scratch);
        return complain(j, revision, "watch %lld saw another change than the one to %s",
                        (long long)w->id, text_str(&j->scratch));
    }
    if (low < w->events.len && w->events.at[low].revision == revision)
        return complain(j, revision, "watch %lld saw a change of %.*s that was none",
                        (long long)w->id, (int)w->events.at[low].kv.key.len,
                        (const char *)w->events.at[low].kv.key.at);
    return true;
}

// A revocation that was answered with this revision, and did not make it: the lease had no keys.
static bool end_empty_lease(judge_t *j, const history_entry_t *e, revision_t revision) {
    size_t lease = model_lease(j->model, e->lease), len;
    if (model_lease_state(j->model, lease) == MODEL_LEASE_ENDED) return true;
    model_end_lease(j->model, lease, revision);
    model_changes(j->model, &len);
    return len == 0 || complain_of(j, revision, e, "the lease had keys, and they were not deleted");
}

static bool visit(judge_t *j, const history_entry_t *e, revision_t revision) {
    bool fits = true;
    text_reset(&j->scratch);
    if (e->kind == HISTORY_GRANT) {
        size_t lease = model_lease(j->model, e->lease);
        if (model_lease_state(j->model, lease) == MODEL_LEASE_ENDED)
            return complain_of(j, revision, e, "this lease has ended before");
        model_grant(j->model, lease);
    } else if (e->kind == HISTORY_REVOKE) {
        return end_empty_lease(j, e, revision);
    } else if (e->kind == HISTORY_GET) {
        fits = e->replies_len == 1 && model_get(j->model, e->then, e->replies, &j->scratch);
    } else {
        fits = model_txn(j->model, e, revision, &j->scratch);
        size_t len;
        model_changes(j->model, &len);
        if (fits && len) text_add(&j->scratch, "it should have changed something"), fits = false;
    }
    return fits || complain_of(j, revision, e, text_str(&j->scratch));
}

// Everybody who looked at the state `revision`. Grants first: whoever uses a lease of this
// revision comes later.
static bool state_fits(judge_t *j, revision_t revision) {
    for (size_t i = 0; i < j->h->watches.len && revision > j->h->base; i++)
        if (!watch_fits(j, &j->h->watches.at[i], revision)) return false;
    size_t first = first_visit(j->visits.at, j->visits.len, revision);
    for (int round = 0; round < 2; round++) {
        for (size_t i = first; i < j->visits.len && j->visits.at[i].at == revision; i++) {
            const history_entry_t *e = &j->h->entries.at[j->visits.at[i].entry];
            if ((e->kind == HISTORY_REVOKE) != (round == 1)) continue;
            if (!visit(j, e, revision)) return false;
        }
    }
    return true;
}

// ---- revisions without an owner -----------------------------------------------------------------
static bool try_lease_end(judge_t *j, size_t lease, revision_t revision) {
    if (model_lease_state(j->model, lease) != MODEL_LEASE_LIVE) return false;
    size_t len;
    model_end_lease(j->model, lease, revision);
    model_changes(j->model, &len);
    if (len == 0) return false;
    if (j->promised_us[lease] - j->slack_us <= due_of(j, revision)) return true;
    return complain(j, revision, "only the end of lease %lld explains it, %lld ms before its time",
                    (long long)model_lease_id(j->model, lease),
                    (long long)(j->promised_us[lease] - due_of(j, revision)) / 1000);
}

static bool try_candidate(judge_t *j, size_t candidate, revision_t revision) {
    if (j->used[candidate]) return false;
    if (candidate >= j->candidates.len)
        return try_lease_end(j, candidate - j->candidates.len, revision);
    size_t number = j->candidates.at[candidate], len;
    const history_entry_t *e = &j->h->entries.at[number];
    if (j->floor[number] >= revision) return false;
    if (e->kind == HISTORY_REVOKE) {
        if (e->outcome == HISTORY_OK && e->revision != revision) return false;
        size_t lease = model_lease(j->model, e->lease);
        if (model_lease_state(j->model, lease) != MODEL_LEASE_LIVE) return false;
        model_end_lease(j->model, lease, revision);
    } else {
        text_reset(&j->scratch);
        if (!model_txn(j->model, e, revision, &j->scratch)) return false;
    }
    model_changes(j->model, &len);
    return len > 0;
}

// Who put this value there? Says more than that nobody may have.
static void add_suspect(judge_t *j, const history_kv_t *kv, text_t *t) {
    text_addf(t, "; seen was %.*s = %.*s", (int)kv->key.len, (const char *)kv->key.at,
              (int)kv->value.len, kv->value.len ? (const char *)kv->value.at : "");
    for (size_t i = 0; i < j->h->entries.len; i++) {
        const history_entry_t *e = &j->h->entries.at[i];
        for (size_t k = 0; k < e->then_len + e->otherwise_len; k++) {
            const history_op_t *op = k < e->then_len ? &e->then[k] : &e->otherwise[k - e->then_len];
            if (op->kind != HISTORY_OP_PUT || !bytes_eq(op->key, kv->key) ||
                !bytes_eq(op->value, kv->value))
                continue;
            text_add(t, ", which is put by ");
            quote(e, t);
            return;
        }
    }
    text_add(t, ", which nobody puts");
}

static bool complain_of_nobody(judge_t *j, revision_t revision) {
    if (revision < j->furthest || (revision == j->furthest && j->complaint.len)) return false;
    text_t t = TEXT_HEAP;
    const history_kv_t *seen = NULL;
    for (size_t i = 0; i < j->h->watches.len && !seen; i++) {
        const history_watch_t *w = &j->h->watches.at[i];
        for (size_t k = 0; k < w->events.len && !seen; k++)
            if (w->events.at[k].revision == revision && !w->events.at[k].deleted)
                seen = &w->events.at[k].kv;
    }
    for (size_t i = 0; i < j->h->entries.len && !seen; i++) {
        const history_entry_t *e = &j->h->entries.at[i];
        for (size_t k = 0; k < e->replies_len && !seen; k++)
            for (size_t n = 0; n < e->replies[k].kvs_len && !seen; n++)
                if (e->replies[k].kvs[n].mod == revision) seen = &e->replies[k].kvs[n];
    }
    if (seen) add_suspect(j, seen, &t);
    if (j->hint.len) text_addf(&t, "; tried was: %s", j->hint.at);
    complain(j, revision, "no operation of unknown outcome and no end of a lease explains it%s",
             text_str(&t));
    text_done(&t);
    return false;
}

// ---- the replay ---------------------------------------------------------------------------------
static const history_entry_t *owner_of(const judge_t *j, revision_t revision) {
    size_t at = first_visit(j->writes.at, j->writes.len, revision);
    if (at == j->writes.len || j->writes.at[at].at != revision) return NULL;
    return &j->h->entries.at[j->writes.at[at].entry];
}

static bool make_owned(judge_t *j, const history_entry_t *owner, revision_t revision) {
    j->report->steps++;
    text_reset(&j->scratch);
    size_t len;
    if (!model_txn(j->model, owner, revision, &j->scratch))
        return complain_of(j, revision, owner, text_str(&j->scratch));
    model_changes(j->model, &len);
    assert(len); // that is what makes it a write
    return state_fits(j, revision);
}

// From candidate `from` on, the first that fits.
static bool make_free(judge_t *j, revision_t revision, size_t from) {
    size_t mark = model_mark(j->model), len = j->candidates.len + model_leases(j->model);
    text_reset(&j->hint);
    for (size_t i = from; i < len && j->report->steps < j->steps_max; i++) {
        j->report->steps++;
        j->trying = true;
        bool fits = try_candidate(j, i, revision) && state_fits(j, revision);
        j->trying = false;
        if (fits) {
            j->used[i] = true;
            vec_push(&j->choices, ((choice_t){revision, mark, i + 1, i}));
            return true;
        }
        model_undo(j->model, mark);
    }
    return complain_of_nobody(j, revision);
}

// The newest choice that has another way to go; false: there is none.
static bool go_back(judge_t *j, revision_t *ret_revision) {
    while (j->choices.len && j->report->steps < j->steps_max) {
        choice_t choice = j->choices.at[--j->choices.len];
        model_undo(j->model, choice.mark);
        j->used[choice.used] = false;
        *ret_revision = choice.revision;
        if (make_free(j, choice.revision, choice.next)) return true;
    }
    return false;
}

static bool replay(judge_t *j) {
    j->furthest = j->h->base;
    if (!state_fits(j, j->h->base)) return false;
    for (revision_t at = j->h->base + 1; at <= j->last; at++) {
        const history_entry_t *owner = owner_of(j, at);
        bool made = owner ? make_owned(j, owner, at) : make_free(j, at, 0);
        if (!made && !go_back(j, &at)) return false;
    }
    return true;
}

// ---- the whole ----------------------------------------------------------------------------------
static void count_choices(judge_t *j) {
    for (size_t i = 0; i < j->choices.len; i++) {
        size_t used = j->choices.at[i].used;
        if (used >= j->candidates.len)
            j->report->expiries++;
        else if (j->h->entries.at[j->candidates.at[used]].outcome == HISTORY_UNKNOWN)
            j->report->unknown_applied++;
    }
}

void history_check(history_t *h, const history_options_t *options, history_report_t *ret_report) {
    *ret_report = (history_report_t){.from = h->base};
    judge_t j = {.h = h,
                 .report = ret_report,
                 .steps_max = HISTORY_STEPS_MAX,
                 .slack_us = HISTORY_LEASE_SLACK_US};
    if (options && options->steps_max) j.steps_max = options->steps_max;
    if (options && options->lease_slack_us)
        j.slack_us = options->lease_slack_us > 0 ? options->lease_slack_us : 0;
    if (h->entries.len) qsort(h->entries.at, h->entries.len, sizeof *h->entries.at, by_invoked);
    j.model = model_new(h);
    j.floor = mem_new((h->entries.len + 1) * sizeof *j.floor);
    j.promised_us = mem_new((model_leases(j.model) + 1) * sizeof *j.promised_us);
    bool good = sort_out(&j) && check_watches(&j) && check_time(&j) && replay(&j);
    ret_report->to = j.last;
    if (good)
        count_choices(&j);
    else {
        bool gave_up = ret_report->steps >= j.steps_max;
        ret_report->verdict = gave_up ? HISTORY_UNDECIDED : HISTORY_BAD;
        ret_report->why =
            gave_up ? str_printf("gave up after %llu steps at revision %lld",
                                 (unsigned long long)ret_report->steps, (long long)j.furthest)
                    : str_dup(text_str(&j.complaint));
    }
    model_destroy(&j.model);
    free(j.floor);
    free(j.promised_us);
    free(j.used);
    vec_done(&j.dues);
    vec_done(&j.writes);
    vec_done(&j.visits);
    vec_done(&j.candidates);
    vec_done(&j.choices);
    text_done(&j.complaint);
    text_done(&j.scratch);
    text_done(&j.hint);
}

void history_report_done(history_report_t *report) {
    free(report->why);
    report->why = NULL;
}
