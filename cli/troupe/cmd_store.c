// store: how the store fares, and what can be done to a member's data folder.
#include "actors/store/disk_actor.h"
#include "cli/troupe/cmd.h"
#include "cli/troupe/store_ops.h"
#include "runtime/api/table.h"
#include "runtime/base/clock.h"
#include "runtime/base/rng.h"
#include "troupe/store.pb-c.h"
#include <poll.h>

enum {
    LOCK_TRIES = 100,
    LOOK_MS = 250,
    RUNS_MS = 10 * 1000, // a member that dies at every start is tried again within this
    CATCH_UP_MS = 30 * 60 * 1000,
};

// ---- status -------------------------------------------------------------------------------------
static void print_member(arena_t *arena, const Store__StatusReply *s) {
    printf("%s\n", s->member);
    printf("  role        %s%s%s\n", is_empty(s->role) ? "voter" : s->role,
           !is_empty(s->leader) && streq(s->leader, s->member) ? ", leads" : "",
           s->read_lease ? ", reads by lease" : "");
    printf("  cluster     %016llx, term %llu, leader %s\n", (unsigned long long)s->cluster_id,
           (unsigned long long)s->term, is_empty(s->leader) ? "unknown" : s->leader);
    printf("  log         applied %llu, committed %llu, last %llu\n",
           (unsigned long long)s->applied_index, (unsigned long long)s->commit_index,
           (unsigned long long)s->last_index);
    printf("  revision    %lld, compacted %lld\n", (long long)s->revision,
           (long long)s->compact_revision);
    printf("  disk        log %s, database %s\n", human_bytes(arena, s->log_bytes),
           human_bytes(arena, s->db_bytes));
    printf("  sync        p50 %.2f ms, p99 %.2f ms\n", (double)s->sync_p50_us / 1000,
           (double)s->sync_p99_us / 1000);
    for (size_t i = 0; i < s->n_alarms; i++) printf("  ALARM       %s\n", s->alarms[i]);
}

// Each member, through the one that this machine reaches; then what the leader knows of all.
static err_t print_all(client_t *client, arena_t *arena, why_t *why) {
    Store__MemberList list = PROTOBUF_C_MESSAGE_INIT(&store__member_list__descriptor);
    Store__StatusRequest request = PROTOBUF_C_MESSAGE_INIT(&store__status_request__descriptor);
    Store__MemberReply *members = NULL;
    err_t err = store_ask(client, arena, "store", &list.base, &store__member_reply__descriptor,
                          (void **)&members, why);
    if (err != ERR_OK) return err;
    for (size_t i = 0; i < members->n_members; i++) {
        request.member = members->members[i]->member;
        Store__StatusReply *status = NULL;
        why_t failed;
        if (store_ask(client, arena, "store", &request.base, &store__status_reply__descriptor,
                      (void **)&status, &failed))
            printf("%s\n  no answer   %s\n", request.member, failed.text);
        else
            print_member(arena, status);
    }
    if (members->n_members > 1)
        store_print_peers(arena, members->members, members->n_members, members->leader);
    return ERR_OK;
}

static err_t status(const store_ops_t *o, arena_t *arena, why_t *why) {
    client_t *client = NULL;
    err_t err = store_connect(o, &client, why);
    if (err == ERR_OK) err = print_all(client, arena, why);
    client_destroy(&client);
    return err;
}

// ---- check --------------------------------------------------------------------------------------
static void print_report(arena_t *arena, const char *dir, const offline_report_t *r) {
    printf("%s: cluster %016llx, member %016llx\n", dir, (unsigned long long)r->cluster_id,
           (unsigned long long)r->member_id);
    printf("  log         %zu segments, %s, entries (%llu, %llu], term %llu\n", r->segments,
           human_bytes(arena, r->log_bytes), (unsigned long long)r->begin,
           (unsigned long long)r->last, (unsigned long long)r->hard.term);
    if (r->torn_bytes)
        printf("  torn        %llu bytes behind the last whole record were never synced; the next "
               "start cuts them off\n",
               (unsigned long long)r->torn_bytes);
    printf("  state       applied %llu, revision %lld, compacted %lld, %s\n",
           (unsigned long long)r->meta.applied_index, (long long)r->meta.revision,
           (long long)r->meta.compacted, human_bytes(arena, r->db_bytes));
}

static err_t check(const char *dir, arena_t *arena, why_t *why) {
    offline_report_t report;
    err_t err = offline_check(dir, &store_progress, &report, why);
    store_progress_end();
    if (err != ERR_OK) return err;
    print_report(arena, dir, &report);
    printf("  sound       %llu keys, %llu changes, %llu leases; every record and block was read\n",
           (unsigned long long)report.tally.keys, (unsigned long long)report.tally.changes,
           (unsigned long long)report.tally.leases);
    return ERR_OK;
}

// ---- recover ------------------------------------------------------------------------------------
static const char *recovery_text(arena_t *arena, const store_ops_t *o, const char *dir,
                                 const offline_report_t *r) {
    return arena_printf(
        arena,
        "\n%s becomes a cluster of %s alone, with a new id.\n"
        "  kept    everything up to entry %llu of this member's log\n"
        "  lost    what other members acknowledged behind that entry, if this one was behind\n"
        "  new     the %llu entries behind the applied one (%llu) count as committed, though\n"
        "          some may never have been acknowledged\n"
        "  revisions go on from %lld + %lld; older ones are compacted, so everybody lists anew\n"
        "The folders of the other members are of no use any more: remove them, and let the members "
        "join.\nThe folder as it is now is kept beside it.",
        dir, o->vars.node, (unsigned long long)r->last,
        (unsigned long long)(r->last - r->meta.applied_index),
        (unsigned long long)r->meta.applied_index, (long long)r->meta.revision, (long long)o->gap);
}

static offline_anew_t anew_of(const store_ops_t *o, const char *dir) {
    uint64_t lot = rng_seed_from_kernel();
    return (offline_anew_t){.dir = dir,
                            .member = o->vars.node,
                            .member_id = store_member_id(o->vars.node),
                            .gap = o->gap,
                            .cluster_id = lot ? lot : 1,
                            .progress = &store_progress};
}

static err_t recover(const store_ops_t *o, const char *dir, arena_t *arena, why_t *why) {
    offline_report_t report;
    offline_made_t made = {0};
    err_t err = offline_look(dir, &report, why);
    if (err != ERR_OK) return err;
    offline_anew_t anew = anew_of(o, dir);
    if (report.member_id != anew.member_id)
        return why_set(why, ERR_CONFLICT,
                       "%s is the folder of another member than %s: name it with --node", dir,
                       o->vars.node);
    print_report(arena, dir, &report);
    err = store_confirm(o, recovery_text(arena, o, dir, &report), why);
    if (err == ERR_OK) err = offline_recover(&anew, &made, why);
    store_progress_end();
    if (err == ERR_OK)
        printf(
            "recovered: cluster %016llx, revision %lld; the old folder is %s\n" STORE_NEW_CLUSTER,
            (unsigned long long)anew.cluster_id, (long long)made.revision, made.kept,
            (unsigned long long)anew.cluster_id);
    free(made.kept);
    return err;
}

// ---- rebuild ------------------------------------------------------------------------------------
// It may be held for moments by a member that is started again and again, and refuses each time.
static err_t rebuild_folder(const char *dir, char **ret_kept, why_t *why) {
    err_t err = ERR_EXISTS;
    for (int tries = 0; err == ERR_EXISTS && tries < LOCK_TRIES; tries++) {
        if (tries) poll(NULL, 0, LOOK_MS / 5);
        err = offline_rebuild(dir, DISK_REJOIN_MARK, ret_kept, why);
    }
    return err;
}

// Shows how far it is; true: it has everything and votes.
static bool is_back(client_t *client, const char *member) {
    Store__StatusRequest request = PROTOBUF_C_MESSAGE_INIT(&store__status_request__descriptor);
    arena_t arena = {0};
    Store__StatusReply *s = NULL;
    err_t err = store_ask(client, &arena, arena_printf(&arena, "store/%s", member), &request.base,
                          &store__status_reply__descriptor, (void **)&s, NULL);
    bool back = err == ERR_OK && (streq(s->role, "voter") || streq(s->role, "witness"));
    if (err == ERR_OK && s->applied_index)
        store_progress.tell(NULL, "catching up, entry", s->applied_index, s->commit_index);
    else
        store_progress.tell(NULL, "waiting to be taken in, and for a snapshot", 0, 0);
    arena_done(&arena);
    return back;
}

static err_t wait_until_back(const store_ops_t *o, const char *member, why_t *why) {
    CLEANUP(free_charp) char *address = str_printf("store/%s", member);
    client_t *client = NULL;
    int64_t start_ms = clock_monotonic_ms();
    err_t err = ERR_UNAVAILABLE;
    while (err != ERR_OK && clock_monotonic_ms() - start_ms < RUNS_MS) { // it may be in back-off
        err = store_connect_to(o, address, &client, why);
        if (err != ERR_OK) poll(NULL, 0, LOOK_MS);
    }
    if (err != ERR_OK) {
        printf("%s does not run here. Start it: it gets everything by itself.\n", member);
        return ERR_OK;
    }
    bool back = false;
    while (!back && clock_monotonic_ms() - start_ms < CATCH_UP_MS) {
        back = is_back(client, member);
        if (!back) poll(NULL, 0, LOOK_MS);
    }
    store_progress_end();
    client_destroy(&client);
    if (!back)
        return why_set(why, ERR_TIMEOUT,
                       "%s is not back yet; it goes on by itself. Have the others a leader?",
                       member);
    printf("%s has everything and votes\n", member);
    return ERR_OK;
}

static err_t rebuild(const store_ops_t *o, const char *dir, arena_t *arena, why_t *why) {
    CLEANUP(free_charp) char *kept = NULL;
    const char *what = arena_printf(
        arena,
        "%s begins anew; the old folder is kept beside it. %s is taken out of the store and in\n"
        "again by itself, and gets everything from the others; until then the store bears the loss "
        "of\none member less. It needs others: a member that is alone is rebuilt from a snapshot.",
        dir, o->vars.node);
    err_t err = store_confirm(o, what, why);
    if (err == ERR_OK) err = rebuild_folder(dir, &kept, why);
    if (err != ERR_OK) return err;
    if (kept) printf("the old folder is %s\n", kept);
    return wait_until_back(o, o->vars.node, why);
}

// ---- the verb -----------------------------------------------------------------------------------
static err_t run(const store_ops_t *o, const char *const *words, size_t len, arena_t *arena,
                 why_t *why) {
    const char *verb = len ? words[0] : "", *dir = store_dir(arena, o, len > 1 ? words[1] : NULL);
    if (streq(verb, "status") && len == 1) return status(o, arena, why);
    if (streq(verb, "check")) return check(dir, arena, why);
    if (streq(verb, "recover")) return recover(o, dir, arena, why);
    if (streq(verb, "rebuild")) return rebuild(o, dir, arena, why);
    return why_set(why, ERR_USAGE, "say `status`, `check`, `rebuild` or `recover`");
}

err_t cmd_store(int argc, char **argv, why_t *why) {
    store_ops_t o = {.gap = OFFLINE_REVISION_GAP};
    const char *words[2];
    size_t len;
    bool online = argc > 1 && (streq(argv[1], "status") || streq(argv[1], "rebuild"));
    const option_t *options = online ? store_online_options : store_offline_options;
    err_t err = options_parse(options, argc - 1, argv + 1, &o, words, LENGTH_OF(words), &len, why);
    if (err != ERR_OK) return err;
    if (o.help)
        return cmd_help(
            "troupe store status | check [DIR] | rebuild [DIR] | recover [DIR] [OPTIONS]",
            "status   of each member: term, leader, entries, sizes, how long the disk takes, "
            "alarms\n"
            "check    reads every record and block of a stopped member's folder and verifies "
            "them;\n"
            "         changes nothing; exit code 1: damaged, with file and position\n"
            "rebuild  a member whose folder is damaged or lost, from the others; the old folder is "
            "kept;\n"
            "         shows how far it is; asks first\n"
            "recover  after more than half of the members are lost for good: makes a cluster of "
            "one\n"
            "         member from the folder of a survivor; says what may be lost, and asks\n\n"
            "DIR is the member's folder [DATA/store]. One in use is refused.",
            options);
    arena_t arena = {0};
    err = vars_complete(&arena, &o.vars, why);
    if (err == ERR_OK) err = run(&o, words, len, &arena, why);
    arena_done(&arena);
    return err;
}
