// lists - lists of objects, and deletions of many, in slices.
//
// A list takes references to what may match at once, as of one revision; judging, converting and
// counting bytes then go on over as many rounds as it takes. A page ends at the client's limit, or
// at LIST_REPLY_MAX_BYTES; its token names the revision and the last object looked at, so that the
// next page is of the same revision as long as the window holds it.
//
//   resourceVersion   ""  consistent: as of the store's revision now
//                     "0" whatever the cache holds
//                     N   not older than N, or with match Exact: as of N
#include "actors/apiserver/actors.h"
#include "actors/apiserver/server.h"

struct list_work {
    arena_t arena; // holds selection and token
    selection_t selection;
    int64_t at_revision; // 0: now
    const char *after;   // behind this path; NULL: from the first
    int64_t limit;       // 0: none
    bool is_taken;       // the snapshot is there
    int64_t revision;    // of the snapshot
    cached_list_t records;
    size_t at;
    VEC(blob_t *) items; // borrowed from the records
    size_t bytes;
};

void list_destroy(list_work_t **list) {
    list_work_t *one = x_steal(list);
    if (!one) return;
    cached_list_done(&one->records);
    vec_done(&one->items);
    arena_done(&one->arena);
    free(one);
}

// ---- what is asked ------------------------------------------------------------------------------
static const Meta__Status *options_invalid(arena_t *arena, const char *detail) {
    field_errors_t errors = {.arena = arena};
    field_forbidden(&errors, "resourceVersionMatch", detail);
    return status_invalid(arena, "meta.k8s.io", "ListOptions", "", &errors);
}

static const Meta__Status *check_match(arena_t *arena, const Api__List *ask) {
    static const char *const known[] = {"Exact", "NotOlderThan", "", NULL};
    const char *match = or_empty(ask->resource_version_match),
               *version = or_empty(ask->resource_version);
    if (!*match) return NULL;
    if (!is_empty(ask->continue_))
        return options_invalid(arena,
                               "resourceVersionMatch is forbidden when continue is provided");
    if (!*version)
        return options_invalid(
            arena, "resourceVersionMatch is forbidden unless resourceVersion is provided");
    if (streq(match, "Exact") && streq(version, "0"))
        return options_invalid(
            arena, "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
    if (streq(match, "Exact") || streq(match, "NotOlderThan")) return NULL;
    field_errors_t errors = {.arena = arena};
    field_not_supported(&errors, "resourceVersionMatch", match, known);
    return status_invalid(arena, "meta.k8s.io", "ListOptions", "", &errors);
}

// How new must the answer be, and as of when is it told?
static const Meta__Status *read_revision(arena_t *arena, job_t *job, const Api__List *ask) {
    list_work_t *list = job->list;
    const Meta__Status *status = check_match(arena, ask);
    if (status) return status;
    int64_t revision;
    why_t why;
    if (revision_parse(ask->resource_version, &revision))
        return status_bad_request(arena, arena_printf(arena, "invalid resource version: \"%s\"",
                                                      ask->resource_version));
    if (!is_empty(ask->continue_)) {
        if (revision)
            return status_bad_request(
                arena, "specifying resource version is not allowed when using continue");
        if (keys_continue_parse(&list->arena, ask->continue_, &list->at_revision, &list->after,
                                &why))
            return status_bad_request(arena, why.text);
        job->need_revision = list->at_revision;
        job->wants_revision = !list->at_revision;
        return NULL;
    }
    job->wants_revision = is_empty(ask->resource_version);
    job->need_revision = revision;
    if (streq(or_empty(ask->resource_version_match), "Exact")) list->at_revision = revision;
    return NULL;
}

static const Meta__Status *read_list(actor_t *me, job_t *job, const Api__List *ask) {
    arena_t *arena = actor_arena(me);
    identity_t who = job_identity(me, job);
    const kind_t *k;
    const Meta__Status *status = request_resource(arena, ask->resource, "list", &who, &k);
    if (status) return status;
    list_work_t *list = job->list = NEW(list_work_t);
    list->limit = ask->limit > 0 ? ask->limit : 0;
    why_t why;
    err_t err = selection_parse(&list->arena, k, ask->resource->namespace_, ask->resource->name,
                                ask->label_selector, ask->field_selector, &list->selection, &why);
    return err ? status_bad_request(arena, why.text) : read_revision(arena, job, ask);
}

void list_prepare(actor_t *me, job_t *job) {
    const Meta__Status *status = read_list(me, job, job_body(me, job));
    if (status)
        job_fail_status(me, job, status);
    else if (actors_are_asked(job->list->selection.stored))
        actors_begin(me, job);
    else
        job_start(me, job);
}

// ---- the answer ---------------------------------------------------------------------------------
// The token leads on as of now: whoever takes it gets the rest, of another revision.
static void fail_expired(actor_t *me, job_t *job) {
    arena_t *arena = actor_arena(me);
    const list_work_t *list = job->list;
    if (!list->after) {
        job_fail_status(me, job,
                        status_new(arena, 410, "Expired",
                                   "The resourceVersion for the provided list is too old."));
        return;
    }
    Meta__Status *status = status_new(arena, 410, "Expired",
                                      "The provided continue parameter is too old to display a "
                                      "consistent list result. You can start a new list "
                                      "without the continue parameter, or use the continue token "
                                      "in this response to retrieve the remainder of the "
                                      "results. Continuing with the provided token results in an "
                                      "inconsistent list - objects that were created, "
                                      "modified, or deleted between the time the first chunk was "
                                      "returned and now may show up in the list.");
    status->metadata->continue_ = keys_continue_print(arena, 0, list->after);
    job_fail_status(me, job, status);
}

// False: refused, the job is gone.
static bool take_snapshot(actor_t *me, job_t *job) {
    server_t *s = actor_state(me);
    list_work_t *list = job->list;
    bool counts_only = !selection_has_selectors(&list->selection) && list->limit;
    err_t err = selection_snapshot(&list->selection, &s->cache, list->after, list->at_revision,
                                   counts_only ? (size_t)list->limit + 1 : 0, &list->records);
    if (err) {
        fail_expired(me, job);
        return false;
    }
    list->revision = list->at_revision ? list->at_revision : s->cache.revision;
    list->is_taken = true;
    return true;
}

static int64_t remaining(actor_t *me, const list_work_t *list, const char *after) {
    const selection_t *sel = &list->selection;
    if (selection_has_selectors(sel) || sel->name || sel->node) return 0;
    server_t *s = actor_state(me);
    const kind_cache_t *kc = cache_of(&s->cache, sel->stored);
    const char *end = *sel->prefix ? arena_printf(actor_arena(me), "%s\xff", sel->prefix) : "\xff";
    return (int64_t)(cache_find(kc, end) - cache_find(kc, after)) - 1;
}

static void answer(actor_t *me, job_t *job) {
    arena_t *arena = actor_arena(me);
    list_work_t *list = job->list;
    Api__ListReply reply = API__LIST_REPLY__INIT;
    reply.revision = list->revision;
    reply.api_version = kind_api_version(arena, list->selection.asked);
    reply.kind = list->selection.asked->name;
    reply.n_items = list->items.len;
    reply.items = ARENA_ARRAY(arena, ProtobufCBinaryData, list->items.len);
    for (size_t i = 0; i < list->items.len; i++)
        reply.items[i] = (ProtobufCBinaryData){list->items.at[i]->len, list->items.at[i]->at};
    if (list->at < list->records.len && list->at > 0) {
        const char *last = list->records.at[list->at - 1]->path;
        reply.continue_ = keys_continue_print(arena, list->revision, last);
        int64_t left = remaining(me, list, last);
        reply.remaining = left > 0 ? left : 0;
    }
    size_t len = protobuf_c_message_get_packed_size(&reply.base);
    blob_t *blob = blob_new(len);
    protobuf_c_message_pack(&reply.base, blob->at);
    caller_reply_blob(me, &job->caller, reply.base.descriptor, blob);
    blob_unref(&blob);
    job_end(me, job);
}

static bool is_page_full(const list_work_t *list) {
    return (list->limit && (int64_t)list->items.len >= list->limit) ||
           list->bytes >= LIST_REPLY_MAX_BYTES;
}

// Judges up to `budget` objects; false: the page is complete. *ret_spent: how many it took.
static bool collect(list_work_t *list, size_t budget, size_t *ret_spent) {
    arena_t scratch = {0};
    bool has_room = !is_page_full(list);
    for (*ret_spent = 0; has_room && list->at < list->records.len && *ret_spent < budget;) {
        cached_t *one = list->records.at[list->at];
        bool matches = selection_matches(&list->selection, &scratch, one);
        arena_clear(&scratch);
        ++*ret_spent;
        if (matches) {
            blob_t *item = cached_blob(one, list->selection.asked);
            has_room = list->items.len == 0 || list->bytes + item->len <= LIST_REPLY_MAX_BYTES;
            if (!has_room) break; // it opens the next page
            vec_push(&list->items, item);
            list->bytes += item->len + 8;
        }
        list->at++;
        has_room = !is_page_full(list);
    }
    arena_done(&scratch);
    return has_room && list->at < list->records.len;
}

void list_run(actor_t *me, job_t *job) {
    list_work_t *list = job->list;
    if (!list->is_taken && !take_snapshot(me, job)) return;
    bool is_cheap = !selection_has_selectors(&list->selection) &&
                    list->selection.asked == list->selection.stored;
    size_t budget = is_cheap ? SLICE_OBJECTS * 10 : SLICE_OBJECTS, spent = 0;
    bool goes_on = collect(list, budget, &spent);
    // Packing 4 MiB is a slice of its own.
    if (goes_on || spent > budget / 2)
        job_set_runnable(actor_state(me), job);
    else
        answer(me, job);
}

// ---- deletions of many --------------------------------------------------------------------------
enum { SWEEP_AT_ONCE = 32 };

struct sweep_work {
    arena_t arena;
    selection_t selection;
    cached_list_t records;
    bool is_taken;
    size_t at, under_way;
    int64_t deleted, revision;
    err_t err; // the first refusal; the others go on
    char *why;
};

void sweep_destroy(sweep_work_t **sweep) {
    sweep_work_t *one = x_steal(sweep);
    if (!one) return;
    cached_list_done(&one->records);
    arena_done(&one->arena);
    free(one->why);
    free(one);
}

static void delete_one(actor_t *me, job_t *job, const Api__DeleteCollection *ask,
                       const cached_t *one) {
    Api__Delete delete = API__DELETE__INIT;
    if (ask->options) delete = *ask->options;
    Api__Resource resource = *ask->resource;
    resource.namespace_ = one->ns;
    resource.name = one->name;
    delete.resource = &resource;
    job_t *child = job_own(me, job->from, &delete.base);
    child->principal = str_dup(job->principal);
    child->epoch = job->epoch;
    child->trace_id = job->trace_id;
    child->deadline_ms = job->deadline_ms;
    child->parent = job->id;
    job->sweep->under_way++;
    job_start(me, child);
}

static void sweep_end(actor_t *me, job_t *job) {
    sweep_work_t *sweep = job->sweep;
    if (sweep->err) {
        job_fail(me, job, sweep->err, sweep->why);
        return;
    }
    server_t *s = actor_state(me);
    Api__DeleteCollectionReply reply = API__DELETE_COLLECTION_REPLY__INIT;
    reply.deleted = sweep->deleted;
    reply.revision = sweep->revision ? sweep->revision : s->cache.revision;
    caller_reply(me, &job->caller, &reply.base);
    job_end(me, job);
}

static const Meta__Status *sweep_begin(actor_t *me, job_t *job, const Api__DeleteCollection *ask) {
    server_t *s = actor_state(me);
    identity_t who = job_identity(me, job);
    const kind_t *k;
    const Meta__Status *status =
        request_resource(actor_arena(me), ask->resource, "deletecollection", &who, &k);
    if (status) return status;
    sweep_work_t *sweep = job->sweep = NEW(sweep_work_t);
    why_t why;
    if (selection_parse(&sweep->arena, k, ask->resource->namespace_, "", ask->label_selector,
                        ask->field_selector, &sweep->selection, &why))
        return status_bad_request(actor_arena(me), why.text);
    err_t err = selection_snapshot(&sweep->selection, &s->cache, NULL, 0, 0, &sweep->records);
    assert(err == ERR_OK); // the present is always there
    return NULL;
}

void sweep_run(actor_t *me, job_t *job) {
    const Api__DeleteCollection *ask = job_body(me, job);
    if (!job->sweep) {
        const Meta__Status *status = sweep_begin(me, job, ask);
        if (status) {
            job_fail_status(me, job, status);
            return;
        }
    }
    sweep_work_t *sweep = job->sweep;
    while (sweep->at < sweep->records.len && sweep->under_way < SWEEP_AT_ONCE) {
        const cached_t *one = sweep->records.at[sweep->at++];
        if (selection_matches(&sweep->selection, actor_arena(me), one))
            delete_one(me, job, ask, one);
    }
    job->state = JOB_WAITS_CHILDREN;
    if (sweep->under_way == 0) sweep_end(me, job);
}

void sweep_on_child(actor_t *me, uint64_t id, err_t err, const char *why, int64_t revision) {
    server_t *s = actor_state(me);
    job_t *job = job_of(s, id);
    if (!job) return; // it was given up meanwhile
    sweep_work_t *sweep = job->sweep;
    sweep->under_way--;
    if (!err) sweep->deleted++;
    if (revision > sweep->revision) sweep->revision = revision;
    if (err && err != ERR_NOT_FOUND && !sweep->err) {
        sweep->err = err;
        sweep->why = str_dup(why);
    }
    job_set_runnable(s, job);
}
