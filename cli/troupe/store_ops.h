// store_ops - what the verbs on the store share: options, whom to ask, questions, progress, and the
// words that numbers are shown in.
//
// A running store is asked as an administrator over the sockets of this machine (RUN/parts/*.sock,
// RUN/troupe.sock): the first behind which the store is known.
#pragma once
#include "cli/client/client.h"
#include "cli/troupe/vars.h"
#include "store/offline.h"
#include "troupe/store.pb-c.h"

typedef struct {
    topology_vars_t vars;
    const char *socket;
    int64_t timeout_s, gap;
    bool yes, dry_run, witness, help;
} store_ops_t;

extern const option_t store_online_options[], store_offline_options[];

// ---- asking a store that runs -------------------------------------------------------------------
// To whoever knows `peer`, "store" or one member's address. ERR_UNAVAILABLE with what to do.
err_t store_connect_to(const store_ops_t *o, const char *peer, client_t **ret_client,
                       why_t *why) MUST_USE;
err_t store_connect(const store_ops_t *o, client_t **ret_client, why_t *why) MUST_USE;
err_t store_ask(client_t *client, arena_t *arena, const char *to, const ProtobufCMessage *request,
                const ProtobufCMessageDescriptor *reply_type, void **ret_reply,
                why_t *why) MUST_USE;

// ---- a data folder ------------------------------------------------------------------------------
// DATA/store, or the folder that was named, which may also be the data folder above it. The
// arena's.
const char *store_dir(arena_t *arena, const store_ops_t *o, const char *named);

// What people must do with a new cluster's id.
#define STORE_NEW_CLUSTER                                                                     \
    "Where a Disk configuration names a `cluster`, it must be %016llx from now on, of this\n" \
    "member and of those that join it.\n"

// ---- talking with people ------------------------------------------------------------------------
// Prints what will happen and asks; a dry run ends here. ERR_CANCELLED: nothing is to be done.
err_t store_confirm(const store_ops_t *o, const char *what, why_t *why) MUST_USE;
extern const progress_t store_progress; // one line on a terminal; nothing elsewhere
void store_progress_end(void);
// Members as the leader knows them.
void store_print_peers(arena_t *arena, Store__PeerStatus *const *peers, size_t len,
                       const char *leader);
const char *human_bytes(arena_t *arena, uint64_t bytes); // "12.3 MiB"
