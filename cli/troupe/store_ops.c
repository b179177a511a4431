#include "cli/troupe/store_ops.h"
#include "runtime/api/table.h"
#include "runtime/base/log.h"
#include "troupe/store.pb-c.h"
#include <glob.h>
#include <unistd.h>

enum { CONNECT_MS = 1500, TIMEOUT_S = 30 };

#define ASKED                                                                         \
    {"yes", 'y', OPTION_FLAG, offsetof(store_ops_t, yes), NULL, "do not ask"},        \
        {"dry-run",   0,                                                              \
         OPTION_FLAG, offsetof(store_ops_t, dry_run),                                 \
         NULL,        "say what would be done, and change nothing"},                  \
        {"help", 'h', OPTION_FLAG, offsetof(store_ops_t, help), NULL, "this text"}, { \
        NULL                                                                          \
    }

const option_t store_online_options[] = {
    VARS_OPTIONS(store_ops_t, vars),
    {"socket", 0, OPTION_STRING, offsetof(store_ops_t, socket), "PATH",
     "of a process that knows the store [those in the run folder]"},
    {"timeout", 0, OPTION_COUNT, offsetof(store_ops_t, timeout_s), "SECONDS", "of each call [30]"},
    {"witness", 0, OPTION_FLAG, offsetof(store_ops_t, witness), NULL,
     "member add: it votes, but holds no keys"},
    ASKED,
};

const option_t store_offline_options[] = {
    VARS_OPTIONS(store_ops_t, vars),
    {"revision-gap", 0, OPTION_COUNT, offsetof(store_ops_t, gap), "N",
     "added to the revision, so that nobody takes new for old [1000000000]"},
    ASKED,
};

// ---- asking a store that runs -------------------------------------------------------------------
static const ProtobufCMessageDescriptor *const replies[] = {
    &store__status_reply__descriptor,  &store__member_reply__descriptor,
    &store__range_reply__descriptor,   &store__lease_reply__descriptor,
    &store__compact_reply__descriptor, NULL,
};

static err_t connect_to(const store_ops_t *o, const char *socket, const char *peer,
                        client_t **ret_client, why_t *why) {
    int64_t timeout_s = o->timeout_s ? o->timeout_s : TIMEOUT_S;
    client_options_t options = {.socket = socket,
                                .timeout_ms = CONNECT_MS,
                                .peer = peer,
                                .role = "admin",
                                .replies = replies};
    err_t err = client_new(&options, ret_client, why);
    if (err == ERR_OK) client_set_timeout(*ret_client, timeout_s * 1000);
    return err;
}

err_t store_connect(const store_ops_t *o, client_t **ret_client, why_t *why) {
    return store_connect_to(o, "store", ret_client, why);
}

err_t store_connect_to(const store_ops_t *o, const char *peer, client_t **ret_client, why_t *why) {
    if (!getenv("TROUPE_LOG")) log_set_level(LOG_LEVEL_ERROR); // answers, not the links' diary
    if (o->socket) return connect_to(o, o->socket, peer, ret_client, why);
    CLEANUP(free_charp) char *parts = str_printf("%s/parts/*.sock", o->vars.run);
    CLEANUP(free_charp) char *command = str_printf("%s/troupe.sock", o->vars.run);
    glob_t found = {0};
    (void)glob(parts, 0, NULL, &found);
    (void)glob(command, GLOB_APPEND, NULL, &found);
    err_t err = ERR_UNAVAILABLE;
    why_t last = {0};
    for (size_t i = 0; i < found.gl_pathc && err != ERR_OK; i++)
        err = connect_to(o, found.gl_pathv[i], peer, ret_client, &last);
    if (err == ERR_PERMISSION)
        why_set(why, err, "%s", last.text);
    else if (err != ERR_OK)
        err = why_set(why, ERR_UNAVAILABLE,
                      "no store answers on this machine (looked in %s): is it running, and does it "
                      "have a leader? Another's socket may be named with --socket%s%s",
                      o->vars.run, *last.text ? "; the last one said: " : "", last.text);
    globfree(&found);
    return err;
}

err_t store_ask(client_t *client, arena_t *arena, const char *to, const ProtobufCMessage *request,
                const ProtobufCMessageDescriptor *reply_type, void **ret_reply, why_t *why) {
    failure_t failure;
    err_t err = client_call(client, arena, to, request, reply_type, ret_reply, &failure);
    return err == ERR_OK ? err : why_set(why, err, "%s: %s", to, failure.message);
}

// ---- a data folder ------------------------------------------------------------------------------
const char *store_dir(arena_t *arena, const store_ops_t *o, const char *named) {
    if (!named) return arena_printf(arena, "%s/store", o->vars.data);
    const char *dir = arena_strdup(arena, named), *below;
    size_t len = strlen(dir);
    while (len > 1 && dir[len - 1] == '/') len--;
    dir = arena_strndup(arena, dir, len);
    below = arena_printf(arena, "%s/store", dir);
    return access(below, F_OK) == 0 ? below : dir;
}

// ---- talking with people ------------------------------------------------------------------------
err_t store_confirm(const store_ops_t *o, const char *what, why_t *why) {
    printf("%s\n", what);
    if (o->dry_run) return why_set(why, ERR_CANCELLED, "a dry run: nothing was changed");
    if (o->yes) return ERR_OK;
    printf("Go on? [y/N] ");
    fflush(stdout);
    char answer[16];
    if (fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y'))
        return ERR_OK;
    return why_set(why, ERR_CANCELLED, "nothing was changed");
}

static bool progress_shown;

static void show(void *arg, const char *what, uint64_t done, uint64_t of) {
    if (!isatty(STDERR_FILENO)) return;
    progress_shown = true;
    if (of)
        fprintf(stderr, "\r%s %llu of %llu (%llu%%)  ", what, (unsigned long long)done,
                (unsigned long long)of, (unsigned long long)(done * 100 / of));
    else if (done)
        fprintf(stderr, "\r%s %llu  ", what, (unsigned long long)done);
    else
        fprintf(stderr, "\r%s  ", what);
}
const progress_t store_progress = {show, NULL};

void store_progress_end(void) {
    if (progress_shown) fputc('\n', stderr);
    progress_shown = false;
}

const char *human_bytes(arena_t *arena, uint64_t bytes) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1024 && unit + 1 < LENGTH_OF(units)) {
        value /= 1024;
        unit++;
    }
    return arena_printf(arena, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

void store_print_peers(arena_t *arena, Store__PeerStatus *const *peers, size_t len,
                       const char *leader) {
    printf("%-20s %-9s %-12s %-10s %-10s %s\n", "MEMBER", "ROLE", "MATCH", "LAG", "HEARD",
           "SNAPSHOT");
    for (size_t i = 0; i < len; i++) {
        const Store__PeerStatus *p = peers[i];
        bool leads = streq(p->member, or_empty(leader));
        const char *heard = leads ? "leads" : human_duration(arena, p->last_heard_ms);
        const char *snapshot =
            p->snapshot_sent_bytes
                ? arena_printf(arena, "%s of %s", human_bytes(arena, p->snapshot_sent_bytes),
                               human_bytes(arena, p->snapshot_bytes))
                : "";
        printf("%-20s %-9s %-12llu %-10llu %-10s %s\n", p->member, p->role,
               (unsigned long long)p->match_index, (unsigned long long)p->lag, heard, snapshot);
    }
}
