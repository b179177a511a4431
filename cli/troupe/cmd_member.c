// member: who keeps the store, and changes of it, one at a time, through the leader.
#include "cli/troupe/cmd.h"
#include "cli/troupe/store_ops.h"
#include "runtime/base/clock.h"
#include "troupe/store.pb-c.h"
#include <poll.h>

enum { CATCH_UP_MS = 30 * 60 * 1000, LOOK_MS = 500 };

static err_t ask(client_t *client, arena_t *arena, const ProtobufCMessage *request, why_t *why) {
    Store__MemberReply *reply = NULL;
    err_t err = store_ask(client, arena, "store", request, &store__member_reply__descriptor,
                          (void **)&reply, why);
    if (err == ERR_OK) store_print_peers(arena, reply->members, reply->n_members, reply->leader);
    return err;
}

static err_t add(client_t *client, arena_t *arena, const store_ops_t *o, const char *member,
                 why_t *why) {
    Store__MemberAdd request = {PROTOBUF_C_MESSAGE_INIT(&store__member_add__descriptor)};
    request.member = member;
    request.witness = o->witness;
    return ask(client, arena, &request.base, why);
}

static err_t promote(client_t *client, arena_t *arena, const store_ops_t *o, const char *member,
                     why_t *why) {
    Store__MemberPromote request = {PROTOBUF_C_MESSAGE_INIT(&store__member_promote__descriptor)};
    request.member = member;
    return ask(client, arena, &request.base, why);
}

static err_t remove_(client_t *client, arena_t *arena, const store_ops_t *o, const char *member,
                     why_t *why) {
    Store__MemberRemove request = {PROTOBUF_C_MESSAGE_INIT(&store__member_remove__descriptor)};
    request.member = member;
    const char *what = arena_printf(
        arena, "%s will be no member of the store any more; its data folder stays where it is.",
        member);
    err_t err = store_confirm(o, what, why);
    return err == ERR_OK ? ask(client, arena, &request.base, why) : err;
}

// Shows how far it is; true: it votes.
static bool is_promoted(client_t *client, arena_t *arena, const char *member) {
    Store__MemberPromote promote = {PROTOBUF_C_MESSAGE_INIT(&store__member_promote__descriptor)};
    Store__MemberList list = PROTOBUF_C_MESSAGE_INIT(&store__member_list__descriptor);
    Store__MemberReply *reply = NULL;
    promote.member = member;
    err_t err = store_ask(client, arena, "store", &promote.base, &store__member_reply__descriptor,
                          (void **)&reply, NULL);
    if (err == ERR_OK || err == ERR_EXISTS) return true;
    if (store_ask(client, arena, "store", &list.base, &store__member_reply__descriptor,
                  (void **)&reply, NULL))
        return false;
    for (size_t i = 0; i < reply->n_members; i++) {
        const Store__PeerStatus *p = reply->members[i];
        if (!streq(p->member, member)) continue;
        if (p->snapshot_sent_bytes)
            store_progress.tell(NULL, "snapshot, bytes", p->snapshot_sent_bytes, p->snapshot_bytes);
        else
            store_progress.tell(NULL, "waiting for it, entries behind:", p->lag, 0);
    }
    return false;
}

static err_t wait_promoted(client_t *client, const char *member, why_t *why) {
    int64_t until_ms = clock_monotonic_ms() + CATCH_UP_MS;
    bool done = false;
    while (!done && clock_monotonic_ms() < until_ms) {
        arena_t arena = {0};
        done = is_promoted(client, &arena, member);
        arena_done(&arena);
        if (!done) poll(NULL, 0, LOOK_MS);
    }
    store_progress_end();
    if (done) return ERR_OK;
    return why_set(why, ERR_TIMEOUT,
                   "%s has not caught up yet; it goes on. Promote it later: troupe member promote "
                   "%s",
                   member, member);
}

// One that lost its data, or whose data is damaged: out, in again as a learner, a voter when it has
// everything.
static err_t replace(client_t *client, arena_t *arena, const store_ops_t *o, const char *member,
                     why_t *why) {
    Store__MemberRemove out = {PROTOBUF_C_MESSAGE_INIT(&store__member_remove__descriptor)};
    const char *what = arena_printf(
        arena,
        "%s is taken out of the store and in again, and gets everything from the others.\n"
        "Until it has, the store bears the loss of one member less. On %s's machine, now or while\n"
        "this command waits: troupe store rebuild. (That alone does all of this by itself.)",
        member, member);
    Store__MemberReply *reply = NULL;
    out.member = member;
    err_t err = store_confirm(o, what, why);
    if (err == ERR_OK)
        err = store_ask(client, arena, "store", &out.base, &store__member_reply__descriptor,
                        (void **)&reply, why);
    // A try before this one may have ended between the two.
    if (err == ERR_OK || err == ERR_NOT_FOUND) err = add(client, arena, o, member, why);
    return err == ERR_OK ? wait_promoted(client, member, why) : err;
}

static err_t transfer(client_t *client, arena_t *arena, const store_ops_t *o, const char *member,
                      why_t *why) {
    Store__LeaderTransfer request = {PROTOBUF_C_MESSAGE_INIT(&store__leader_transfer__descriptor)};
    request.member = member ? member : "";
    return ask(client, arena, &request.base, why);
}

static err_t list(client_t *client, arena_t *arena, const store_ops_t *o, const char *member,
                  why_t *why) {
    Store__MemberList request = PROTOBUF_C_MESSAGE_INIT(&store__member_list__descriptor);
    return ask(client, arena, &request.base, why);
}

// What can be wished: whether it needs a member's name, and whether it may be tried.
static const struct {
    const char *verb;
    err_t (*run)(client_t *, arena_t *, const store_ops_t *, const char *member, why_t *);
    size_t words_min, words_max; // with the verb
    const char *would;           // of a dry run; NULL: it changes nothing, or says so itself
} verbs[] = {
    {"list", list, 1, 1, NULL},
    {"add", add, 2, 2, "would add it as a learner: "},
    {"promote", promote, 2, 2, "would make a voter of the learner "},
    {"remove", remove_, 2, 2, NULL},
    {"replace", replace, 2, 2, NULL},
    {"transfer", transfer, 1, 2, "would hand the leadership over to "},
};

static err_t run(const store_ops_t *o, const char *const *words, size_t len, arena_t *arena,
                 why_t *why) {
    for (size_t i = 0; len && i < LENGTH_OF(verbs); i++) {
        if (!streq(words[0], verbs[i].verb)) continue;
        if (len < verbs[i].words_min || len > verbs[i].words_max) break;
        const char *member = len > 1 ? words[1] : NULL;
        if (o->dry_run && verbs[i].would) {
            printf("%s%s\n", verbs[i].would, member ? member : "the voter that is furthest");
            return ERR_OK;
        }
        client_t *client = NULL;
        err_t err = store_connect(o, &client, why);
        if (err == ERR_OK) err = verbs[i].run(client, arena, o, member, why);
        client_destroy(&client);
        return err;
    }
    return why_set(
        why, ERR_USAGE,
        "say `list`, `transfer [MEMBER]`, or `add`, `promote`, `remove` or `replace` and a MEMBER");
}

err_t cmd_member(int argc, char **argv, why_t *why) {
    store_ops_t o = {0};
    const char *words[2];
    size_t len;
    err_t err = options_parse(store_online_options, argc - 1, argv + 1, &o, words, LENGTH_OF(words),
                              &len, why);
    if (err != ERR_OK) return err;
    if (o.help)
        return cmd_help(
            "troupe member list | add MEMBER | promote MEMBER | remove MEMBER | replace MEMBER |\n"
            "       troupe member transfer [MEMBER]",
            "list      the members of the store, as the leader knows them\n"
            "add       a new one, as a learner: it gets everything, but counts in no majority. "
            "Start "
            "it with\n"
            "          `join: true` in its Store configuration\n"
            "promote   a learner that has caught up: to a voter\n"
            "remove    a member, also one that is gone; asks first\n"
            "replace   a member whose data is lost or damaged: removes it, adds it, waits until it "
            "has got\n"
            "          everything from the others, and makes it a voter; asks first\n"
            "transfer  the leadership, to MEMBER or to the voter that is furthest\n\n"
            "MEMBER is a node's name. One change at a time: the next is refused until it is "
            "committed.",
            store_online_options);
    arena_t arena = {0};
    err = vars_complete(&arena, &o.vars, why);
    if (err == ERR_OK) err = run(&o, words, len, &arena, why);
    arena_done(&arena);
    return err;
}
