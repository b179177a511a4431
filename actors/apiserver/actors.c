#include "actors/apiserver/actors.h"
#include "troupe/actors.pb-c.h"

struct actors_work {
    size_t pending;      // processes that have not answered yet
    VEC(blob_t *) infos; // packed ActorInfos
    char *name;          // get, delete; "": list
    bool is_delete, is_list;
    blob_t *killed; // delete: the actor as it was, packed
    char *label_selector;
};

bool actors_are_asked(const kind_t *k) { return k->type == &actors__actor__descriptor; }

void actors_destroy(actors_work_t **work) {
    actors_work_t *one = x_steal(work);
    if (!one) return;
    for (size_t i = 0; i < one->infos.len; i++) blob_unref(&one->infos.at[i]);
    vec_done(&one->infos);
    free(one->name);
    free(one->label_selector);
    blob_unref(&one->killed);
    free(one);
}

// ---- asking -------------------------------------------------------------------------------------
typedef VEC(char *) names_t;

// Command lines come and go, one of them to ask this: they are no part of the cluster.
static void collect(void *arg, const char *address, const char *process) {
    names_t *names = arg;
    if (!has_prefix(address, "system/cli-")) vec_push(names, str_dup(address));
}

static void ask_all(actor_t *me, job_t *job) {
    names_t systems = {0};
    actor_each_known(me, "system", collect, &systems);
    Actor__ListActors list = {PROTOBUF_C_MESSAGE_INIT(&actor__list_actors__descriptor)};
    job->actors->pending = systems.len;
    for (size_t i = 0; i < systems.len; i++) {
        actor_ask(me, systems.at[i], &list.base, ACTORS_TIMEOUT_MS, TAG_ACTORS | job->id);
        free(systems.at[i]);
    }
    vec_done(&systems);
}

static void finish(actor_t *me, job_t *job);

void actors_begin(actor_t *me, job_t *job) {
    const ProtobufCMessage *body = job_body(me, job);
    actors_work_t *work = job->actors = NEW(actors_work_t);
    job->state = JOB_WAITS_CHILDREN;
    if (body->descriptor == &api__list__descriptor) {
        work->is_list = true;
        work->label_selector = str_dup(or_empty(((const Api__List *)body)->label_selector));
    } else if (body->descriptor == &api__delete__descriptor) {
        work->is_delete = true;
        work->name = str_dup(or_empty(((const Api__Delete *)body)->resource->name));
    } else {
        work->name = str_dup(or_empty(((const Api__Get *)body)->resource->name));
    }
    ask_all(me, job);
    if (work->pending == 0) finish(me, job);
}

// ---- as objects ---------------------------------------------------------------------------------
static Actors__Actor *object_of(arena_t *arena, const Actor__ActorInfo *info) {
    Actors__Actor *actor = MSG_NEW(arena, Actors__Actor, actors__actor__descriptor);
    Meta__ObjectMeta *meta = object_meta(arena, &actor->base);
    meta->name = info->address;
    meta->uid =
        arena_printf(arena, "%s.%llu", info->address, (unsigned long long)info->incarnation);
    if (info->started_wall_ms) meta->creationtimestamp = time_new(arena, info->started_wall_ms);
    actor->spec = MSG_NEW(arena, Actors__ActorSpec, actors__actor_spec__descriptor);
    actor->spec->role = info->role;
    actor->spec->process = info->process;
    actor->spec->dispatcher = info->dispatcher;
    Actors__ActorStatus *s = actor->status =
        MSG_NEW(arena, Actors__ActorStatus, actors__actor_status__descriptor);
    s->host = info->host;
    s->process = info->process;
    s->state = info->state;
    s->reason = info->last_reason;
    s->has_incarnation = s->has_restarts = s->has_messages = s->has_mailbox = true;
    s->has_handlingmicros = s->has_mailboxmax = true;
    s->incarnation = (int64_t)info->incarnation;
    s->restarts = (int32_t)info->restarts;
    s->has_epoch = info->epoch > 0;
    s->epoch = (int64_t)info->epoch;
    s->messages = (int64_t)info->messages;
    s->mailbox = (int32_t)info->mailbox_depth;
    s->mailboxmax = (int32_t)info->mailbox_max;
    s->handlingmicros = (int64_t)info->handling_us;
    if (info->started_wall_ms) s->starttime = time_new(arena, info->started_wall_ms);
    return actor;
}

static int by_name(const void *a, const void *b) {
    const Actors__Actor *x = *(Actors__Actor *const *)a, *y = *(Actors__Actor *const *)b;
    return strcmp(x->metadata->name, y->metadata->name);
}

// What every process has of itself, and whoever kills it breaks the process.
static bool is_plumbing(const Actor__ActorInfo *info) {
    return streq(info->role, "steward") || streq(info->role, "system");
}

static Actors__Actor **objects(arena_t *arena, const actors_work_t *work, size_t *ret_len) {
    VEC(Actors__Actor *) all = {0};
    for (size_t i = 0; i < work->infos.len; i++) {
        const Actor__ActorInfos *infos =
            msg_unpack_own(arena, &actor__actor_infos__descriptor, blob_bytes(work->infos.at[i]));
        for (size_t j = 0; infos && j < infos->n_actors; j++)
            if (!is_plumbing(infos->actors[j])) vec_push(&all, object_of(arena, infos->actors[j]));
    }
    if (all.len > 1) qsort(all.at, all.len, sizeof *all.at, by_name);
    Actors__Actor **copy = arena_dup(arena, all.at ? (void *)all.at : "", all.len * sizeof *copy);
    *ret_len = all.len;
    vec_done(&all);
    return copy;
}

static const Actors__Actor *find(Actors__Actor *const *all, size_t len, const char *name) {
    for (size_t i = 0; i < len; i++)
        if (streq(all[i]->metadata->name, name)) return all[i];
    return NULL;
}

// ---- answers ------------------------------------------------------------------------------------
static void answer_list(actor_t *me, job_t *job, Actors__Actor **all, size_t len) {
    server_t *s = actor_state(me);
    arena_t *arena = actor_arena(me);
    const selector_t *labels = NULL;
    why_t why;
    if (selector_parse(arena, job->actors->label_selector, &labels, &why)) {
        job_fail(me, job, ERR_BAD_REQUEST, why.text);
        return;
    }
    Api__ListReply reply = API__LIST_REPLY__INIT;
    reply.revision = s->cache.revision;
    reply.api_version = "actors.troupe.io/v1";
    reply.kind = "Actor";
    reply.items = ARENA_ARRAY(arena, ProtobufCBinaryData, len);
    for (size_t i = 0; i < len; i++) {
        if (!selector_matches(labels, &all[i]->base)) continue;
        bytes_t packed = msg_pack(arena, &all[i]->base);
        reply.items[reply.n_items++] = (ProtobufCBinaryData){packed.len, (uint8_t *)packed.at};
    }
    caller_reply(me, &job->caller, &reply.base);
    job_end(me, job);
}

static void answer_object(actor_t *me, job_t *job, bytes_t packed, Api__Outcome outcome) {
    server_t *s = actor_state(me);
    Api__Object object = API__OBJECT__INIT;
    object.api_version = "actors.troupe.io/v1";
    object.kind = "Actor";
    object.raw = (ProtobufCBinaryData){packed.len, (uint8_t *)packed.at};
    Api__Reply reply = API__REPLY__INIT;
    reply.object = &object;
    reply.revision = s->cache.revision;
    reply.outcome = outcome;
    caller_reply(me, &job->caller, &reply.base);
    job_end(me, job);
}

static void kill_it(actor_t *me, job_t *job, const Actors__Actor *one) {
    arena_t *arena = actor_arena(me);
    bytes_t packed = msg_pack(arena, &one->base);
    job->actors->killed = blob_from(packed.at, packed.len);
    bool is_me = streq(one->metadata->name, actor_address(me));
    Actor__KillActor kill = {PROTOBUF_C_MESSAGE_INIT(&actor__kill_actor__descriptor)};
    kill.address = (char *)one->metadata->name;
    kill.reason = arena_printf(arena, "deleted by %s", job->from);
    const char *system = arena_printf(arena, "system/%s", one->spec->process);
    if (!is_me) {
        actor_ask(me, system, &kill.base, ACTORS_TIMEOUT_MS, TAG_KILL | job->id);
        return;
    }
    // Nobody would be left to answer.
    answer_object(me, job, packed, API__OUTCOME__DELETED);
    actor_tell(me, system, &kill.base);
}

static void finish(actor_t *me, job_t *job) {
    arena_t *arena = actor_arena(me);
    actors_work_t *work = job->actors;
    size_t len;
    Actors__Actor **all = objects(arena, work, &len);
    if (work->is_list) {
        answer_list(me, job, all, len);
        return;
    }
    const Actors__Actor *one = find(all, len, work->name);
    if (!one)
        job_fail_status(me, job, status_not_found(arena, "actors.troupe.io", "actors", work->name));
    else if (work->is_delete)
        kill_it(me, job, one);
    else
        answer_object(me, job, msg_pack(arena, &one->base), API__OUTCOME__UNCHANGED);
}

void actors_on_infos(actor_t *me, uint64_t id, blob_t *infos) {
    job_t *job = job_of(actor_state(me), id);
    if (!job || !job->actors || job->actors->pending == 0) return;
    if (infos) vec_push(&job->actors->infos, blob_ref(infos));
    if (--job->actors->pending == 0) finish(me, job);
}

// An actor that dies with the process that should have answered is dead all the same.
void actors_on_killed(actor_t *me, uint64_t id, err_t err, const char *why) {
    job_t *job = job_of(actor_state(me), id);
    if (!job || !job->actors || !job->actors->killed) return;
    if (err && err != ERR_UNAVAILABLE)
        job_fail(me, job, err, why);
    else
        answer_object(me, job, blob_bytes(job->actors->killed), API__OUTCOME__DELETED);
}
