#include "runtime/actor/moves.h"
#include "runtime/actor/system_actor.h"
#include "runtime/base/log.h"

enum { FAR_TIMEOUT_MS = 1000 }; // the asker waits for the first answer

typedef enum { STEP_CHECK, STEP_RETIRE, STEP_GIVE } step_t;

typedef struct {
    step_t step;
    char *address, *process; // owned
    bool is_far;
    size_t left;      // RETIRE: stewards that have not answered
    caller_t *caller; // owned; CHECK: who asked
} departure_t;

static void departure_free(departure_t *d) {
    free(d->address);
    free(d->process);
    caller_drop(&d->caller);
    free(d);
}

static void end_departure(moves_t *m, uint64_t tag) {
    departure_t *d = imap_remove(&m->all, tag);
    if (d) departure_free(d);
}

void moves_done(moves_t *m) {
    size_t at = 0;
    void *d;
    while (imap_next(&m->all, &at, NULL, &d)) departure_free(d);
    imap_done(&m->all);
}

static void place(actor_t *me, const process_options_t *o, const char *address,
                  const char *process) {
    o->tell_parent(o->tell_parent_arg, "place",
                   arena_printf(actor_arena(me), "%s %s", address, process));
}

static void say_done(actor_t *me, const message_t *msg) {
    Actor__Done done = {PROTOBUF_C_MESSAGE_INIT(&actor__done__descriptor)};
    actor_reply(me, msg, &done.base);
}

// ---- steps -------------------------------------------------------------------------------------
static void ask_there(actor_t *me, const departure_t *d, uint64_t tag, bool check) {
    Actor__MoveActor take = {PROTOBUF_C_MESSAGE_INIT(&actor__move_actor__descriptor)};
    take.address = d->address;
    take.to = d->process;
    take.check = check;
    actor_ask(me, arena_printf(actor_arena(me), "system/%s", d->process), &take.base,
              FAR_TIMEOUT_MS, tag);
}

static void retire(actor_t *me, departure_t *d, uint64_t tag) {
    Actor__RetireActor order = {PROTOBUF_C_MESSAGE_INIT(&actor__retire_actor__descriptor)};
    order.address = d->address;
    d->step = STEP_RETIRE;
    d->left = system_ask_stewards(me, &order.base, tag);
}

static void retired(moves_t *m, actor_t *me, const process_options_t *o, uint64_t tag,
                    departure_t *d) {
    // The parent knows first: whatever dies meanwhile, the actor is never in two places.
    place(me, o, d->address, d->process);
    if (!d->is_far) {
        end_departure(m, tag);
        return;
    }
    d->step = STEP_GIVE;
    ask_there(me, d, tag, false);
}

void moves_on_answer(moves_t *m, actor_t *me, const process_options_t *o, uint64_t tag, err_t err,
                     const char *why) {
    departure_t *d = imap_get(&m->all, tag);
    if (!d) return;
    if (d->step == STEP_CHECK && !err) {
        Actor__Done done = {PROTOBUF_C_MESSAGE_INIT(&actor__done__descriptor)};
        caller_reply(me, &d->caller, &done.base);
        retire(me, d, tag);
    } else if (d->step == STEP_CHECK) {
        caller_fail(me, &d->caller, err, why);
        end_departure(m, tag);
    } else if (d->step == STEP_RETIRE && !err) {
        retired(m, me, o, tag, d);
    } else if (d->step == STEP_RETIRE) {
        if (--d->left == 0) end_departure(m, tag); // no steward has it
    } else {
        // An answer that was lost may have been a yes: then it is there, or moved again by hand.
        if (err) log_error(d->address, "given to process %s: %s", d->process, why);
        if (err && err != ERR_TIMEOUT && err != ERR_UNAVAILABLE) place(me, o, d->address, o->name);
        end_departure(m, tag);
    }
}

// ---- orders ------------------------------------------------------------------------------------
static void take(actor_t *me, const process_options_t *o, const message_t *msg,
                 const Actor__MoveActor *move) {
    why_t why;
    err_t err = o->may_take(o->may_move_arg, move->address, msg->principal, &why);
    if (err) {
        actor_fail(me, msg, err, why.text);
        return;
    }
    say_done(me, msg);
    if (!move->check) place(me, o, move->address, o->name);
}

static err_t may_leave(const moves_t *m, actor_t *me, const process_options_t *o,
                       const Actor__MoveActor *move, const char **ret_process, bool *ret_far,
                       why_t *why) {
    err_t err = o->may_move(o->may_move_arg, actor_arena(me), move->address, move->to, ret_process,
                            ret_far, why);
    if (err) return err;
    if (imap_len(&m->all) >= MOVES_MAX)
        return why_set(why, ERR_OVERLOADED, "more than %d moves are under way", MOVES_MAX);
    const char *system = arena_printf(actor_arena(me), "system/%s", *ret_process);
    if (*ret_far && !actor_is_known(me, system))
        return why_set(why, ERR_NOT_FOUND, "no process is called %s", *ret_process);
    return ERR_OK;
}

void moves_on_order(moves_t *m, actor_t *me, const process_options_t *o, const message_t *msg,
                    const Actor__MoveActor *move) {
    why_t why;
    const char *process;
    bool is_far = false;
    if (!o->may_move || !o->tell_parent) {
        actor_fail(me, msg, ERR_UNSUPPORTED, "nobody above this process could remember it");
        return;
    }
    if (is_empty(move->from)) {
        take(me, o, msg, move);
        return;
    }
    err_t err = may_leave(m, me, o, move, &process, &is_far, &why);
    if (err) {
        actor_fail(me, msg, err, why.text);
        return;
    }
    departure_t *d = NEW(departure_t);
    *d = (departure_t){.address = str_dup(move->address),
                       .process = str_dup(process),
                       .is_far = is_far};
    uint64_t tag = 1ull << 63 | ++m->last_tag;
    imap_put(&m->all, tag, d);
    if (is_far) {
        d->caller = actor_keep_caller(me, msg);
        ask_there(me, d, tag, true);
    } else {
        say_done(me, msg); // at once: it may be the API server itself that goes
        retire(me, d, tag);
    }
}
