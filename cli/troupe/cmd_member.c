// member: who keeps the store, and changes of it, one at a time, through the leader.
#include "cli/troupe/cmd.h"
#include "cli/troupe/store_ops.h"
#include "troupe/store.pb-c.h"

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
    return why_set(why, ERR_USAGE,
                   "say `list`, `transfer [MEMBER]`, or `add`, `promote` or "
                   "`remove` and a MEMBER");
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
            "troupe member list | add MEMBER | promote MEMBER | remove MEMBER | transfer [MEMBER]",
            "list      the members of the store, as the leader knows them\n"
            "add       a new one, as a learner: it gets everything, but counts in no majority. "
            "Start "
            "it with\n"
            "          `join: true` in its Store configuration\n"
            "promote   a learner that has caught up: to a voter\n"
            "remove    a member, also one that is gone; asks first\n"
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
