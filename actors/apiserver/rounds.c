#include "actors/apiserver/rounds.h"
#include "actors/apiserver/server.h"
#include "troupe/chaos.pb-c.h"

typedef struct {
    char *process, *why;
    err_t err;
} outcome_t;

typedef struct {
    caller_t *caller;
    const ProtobufCMessageDescriptor *reply;
    size_t pending;
    bool is_order;   // to one process: its refusal is the answer
    uint8_t *joined; // packed answers
    size_t joined_len;
    VEC(outcome_t) failed;
} round_t;

static const struct {
    const ProtobufCMessageDescriptor *question, *answer;
} questions[] = {
    {&actor__list_actors__descriptor, &actor__actor_infos__descriptor},
    {&actor__get_metrics__descriptor, &actor__metrics__descriptor},
    {&actor__list_dead_letters__descriptor, &actor__dead_letters__descriptor},
    {&actor__list_faults__descriptor, &actor__faults__descriptor},
    {&actor__clear_faults__descriptor, &actor__done__descriptor},
};

static void round_free(round_t *r) {
    caller_drop(&r->caller);
    free(r->joined);
    for (size_t i = 0; i < r->failed.len; i++) {
        free(r->failed.at[i].process);
        free(r->failed.at[i].why);
    }
    vec_done(&r->failed);
    free(r);
}

void rounds_done(rounds_t *r) {
    size_t at = 0;
    void *round;
    while (imap_next(&r->all, &at, NULL, &round)) round_free(round);
    imap_done(&r->all);
}

static void answer(actor_t *me, uint64_t id, round_t *r) {
    server_t *s = actor_state(me);
    arena_t *arena = actor_arena(me);
    Chaos__Injected injected = {PROTOBUF_C_MESSAGE_INIT(&chaos__injected__descriptor)};
    if (r->reply == &chaos__injected__descriptor) {
        injected.failed = ARENA_ARRAY(arena, Chaos__Outcome *, r->failed.len + 1);
        for (size_t i = 0; i < r->failed.len; i++) {
            Chaos__Outcome *one = MSG_NEW(arena, Chaos__Outcome, chaos__outcome__descriptor);
            one->process = r->failed.at[i].process;
            one->err = r->failed.at[i].err;
            one->why = r->failed.at[i].why;
            injected.failed[injected.n_failed++] = one;
        }
        caller_reply(me, &r->caller, &injected.base);
    } else if (r->is_order && r->failed.len) {
        caller_fail(me, &r->caller, r->failed.at[0].err, r->failed.at[0].why);
    } else {
        blob_t *body = blob_from(r->joined ? r->joined : (const uint8_t *)"", r->joined_len);
        caller_reply_blob(me, &r->caller, r->reply, body);
        blob_unref(&body);
    }
    imap_remove(&s->rounds.all, id);
    round_free(r);
}

void rounds_on_answer(actor_t *me, uint64_t id, const message_t *msg, err_t err, const char *why) {
    server_t *s = actor_state(me);
    round_t *r = imap_get(&s->rounds.all, id);
    if (!r) return;
    if (err) {
        outcome_t failed = {str_dup(msg->from + strcspn(msg->from, "/") + 1), str_dup(why), err};
        vec_push(&r->failed, failed);
    } else if (msg->body && msg->body->len) {
        r->joined = mem_resize(r->joined, r->joined_len + msg->body->len);
        memcpy(r->joined + r->joined_len, msg->body->at, msg->body->len);
        r->joined_len += msg->body->len;
    }
    if (--r->pending == 0) answer(me, id, r);
}

// NULL: too many are under way, the asker has been told.
static round_t *round_new(actor_t *me, const message_t *msg,
                          const ProtobufCMessageDescriptor *reply, uint64_t *ret_id) {
    server_t *s = actor_state(me);
    if (imap_len(&s->rounds.all) >= ROUNDS_MAX) {
        actor_fail(me, msg, ERR_OVERLOADED, "too many rounds through the processes are under way");
        return NULL;
    }
    round_t *r = NEW(round_t);
    r->caller = actor_keep_caller(me, msg);
    r->reply = reply;
    *ret_id = ++s->rounds.last_id;
    imap_put(&s->rounds.all, *ret_id, r);
    return r;
}

typedef VEC(char *) names_t;
static void collect(void *arg, const char *address, const char *process) {
    if (!has_prefix(address, "system/cli-")) vec_push((names_t *)arg, str_dup(address));
}

void rounds_on_question(actor_t *me, const message_t *msg, const void *body) {
    size_t row = 0;
    while (!streq(questions[row].question->name, msg->type)) row++;
    uint64_t id;
    round_t *r = round_new(me, msg, questions[row].answer, &id);
    if (!r) return;
    names_t systems = {0};
    actor_each_known(me, "system", collect, &systems);
    r->pending = systems.len;
    for (size_t i = 0; i < systems.len; i++) {
        actor_ask_blob(me, systems.at[i], questions[row].question, msg->body, ROUND_TIMEOUT_MS,
                       TAG_ROUND | id);
        free(systems.at[i]);
    }
    vec_done(&systems);
    if (!r->pending) answer(me, id, r);
}

void rounds_on_inject(actor_t *me, const message_t *msg, const void *body) {
    const Chaos__Inject *inject = body;
    uint64_t id;
    round_t *r = round_new(me, msg, &chaos__injected__descriptor, &id);
    if (!r) return;
    r->pending = inject->n_orders;
    for (size_t i = 0; i < inject->n_orders; i++) {
        Actor__SetFaults set = {PROTOBUF_C_MESSAGE_INIT(&actor__set_faults__descriptor)};
        set.rules = inject->orders[i]->rules;
        set.n_rules = inject->orders[i]->n_rules;
        const char *system = arena_printf(actor_arena(me), "system/%s", inject->orders[i]->process);
        actor_ask(me, system, &set.base, ROUND_TIMEOUT_MS, TAG_ROUND | id);
    }
    if (!r->pending) answer(me, id, r);
}

void rounds_on_move(actor_t *me, const message_t *msg, const void *body) {
    const Actor__MoveActor *move = body;
    uint64_t id;
    round_t *r = round_new(me, msg, &actor__done__descriptor, &id);
    if (!r) return;
    r->pending = 1;
    r->is_order = true;
    const char *process = is_empty(move->from) ? move->to : move->from;
    actor_ask_blob(me, arena_printf(actor_arena(me), "system/%s", process), move->base.descriptor,
                   msg->body, ROUND_TIMEOUT_MS, TAG_ROUND | id);
}
