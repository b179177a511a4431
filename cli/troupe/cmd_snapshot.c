// snapshot: all keys of a running store into a file, as of one revision, and a new data folder from
// it. Taken through the leader with plain reads: the store does nothing that it would not do for a
// client, and goes on meanwhile.
#include "actors/store/disk_actor.h"
#include "cli/troupe/cmd.h"
#include "cli/troupe/store_ops.h"
#include "runtime/base/clock.h"
#include "runtime/base/rng.h"
#include "runtime/base/vec.h"
#include "troupe/store.pb-c.h"
#include <time.h>

enum {
    PAGE_KEYS = 4096,
    LEASE_GONE_TTL_MS = 1000, // of a lease that ended while the snapshot was taken: it ends again
};

// ---- save ---------------------------------------------------------------------------------------
typedef struct {
    client_t *client;
    snapshot_header_t header;
    snapshot_writer_t *writer;
    VEC(Store__SnapshotLease) leases; // sorted by id
    arena_t arena;                    // of one page
} save_t;

static size_t lease_place(const save_t *s, int64_t id) {
    return vec_place(&s->leases, it, it->id < id);
}

// Remembers the lease and its time to live.
static err_t learn_lease(save_t *s, int64_t id, why_t *why) {
    size_t at = lease_place(s, id);
    if (at < s->leases.len && s->leases.at[at].id == id) return ERR_OK;
    Store__LeaseQuery query = {.base = PROTOBUF_C_MESSAGE_INIT(&store__lease_query__descriptor)};
    query.id = id;
    Store__LeaseReply *reply = NULL;
    err_t err = store_ask(s->client, &s->arena, "store", &query.base,
                          &store__lease_reply__descriptor, (void **)&reply, why);
    if (err != ERR_OK && err != ERR_NOT_FOUND) return err;
    Store__SnapshotLease lease = {PROTOBUF_C_MESSAGE_INIT(&store__snapshot_lease__descriptor)};
    lease.id = id;
    lease.ttl_ms = err == ERR_OK ? reply->granted_ttl_ms : LEASE_GONE_TTL_MS;
    vec_insert(&s->leases, at, lease);
    return ERR_OK;
}

static err_t learn_leases(save_t *s, why_t *why) {
    Store__LeaseQuery query = {.base = PROTOBUF_C_MESSAGE_INIT(&store__lease_query__descriptor)};
    Store__LeaseReply *all = NULL;
    err_t err = store_ask(s->client, &s->arena, "store", &query.base,
                          &store__lease_reply__descriptor, (void **)&all, why);
    for (size_t i = 0; err == ERR_OK && i < all->n_ids; i++) err = learn_lease(s, all->ids[i], why);
    return err;
}

static err_t save_page(save_t *s, const char *path, const Store__RangeReply *page, why_t *why) {
    err_t err = ERR_OK;
    if (!s->writer) { // the first page says which revision all is of
        s->header.revision = page->revision;
        s->header.made_ms = clock_wall_ms();
        err = snapshot_create(files_real(), path, &s->header, &s->writer, why);
    }
    for (size_t i = 0; err == ERR_OK && i < page->n_kvs; i++)
        if (page->kvs[i]->lease) err = learn_lease(s, page->kvs[i]->lease, why);
    Store__SnapshotChunk chunk = PROTOBUF_C_MESSAGE_INIT(&store__snapshot_chunk__descriptor);
    chunk.kvs = page->kvs;
    chunk.n_kvs = page->n_kvs;
    if (err == ERR_OK) err = snapshot_add(s->writer, &chunk, why);
    if (err == ERR_OK)
        store_progress.tell(NULL, "saving, keys", snapshot_written(s->writer)->keys, 0);
    return err;
}

static err_t save_keys(save_t *s, const char *path, why_t *why) {
    CLEANUP(free_charp) char *next = NULL;
    size_t next_len = 1;
    for (bool more = true; more;) {
        Store__RangeRequest range = {
            .base = PROTOBUF_C_MESSAGE_INIT(&store__range_request__descriptor)};
        range.key = (ProtobufCBinaryData){next_len, (uint8_t *)(next ? next : "")};
        range.range_end = (ProtobufCBinaryData){1, (uint8_t *)""};
        range.limit = PAGE_KEYS;
        range.revision = s->header.revision;
        Store__RangeReply *page = NULL;
        arena_clear(&s->arena);
        err_t err = store_ask(s->client, &s->arena, "store", &range.base,
                              &store__range_reply__descriptor, (void **)&page, why);
        if (err == ERR_OK) err = save_page(s, path, page, why);
        if (err != ERR_OK) return err;
        more = page->more && page->n_kvs;
        if (!more) break;
        const ProtobufCBinaryData *last = &page->kvs[page->n_kvs - 1]->key;
        free(next);
        next = mem_new(last->len + 2); // the key, and a zero behind it
        memcpy(next, last->data, last->len);
        next_len = last->len + 1;
    }
    return ERR_OK;
}

static err_t save_leases(save_t *s, why_t *why) {
    Store__SnapshotChunk chunk = PROTOBUF_C_MESSAGE_INIT(&store__snapshot_chunk__descriptor);
    err_t err = ERR_OK;
    for (size_t from = 0; from < s->leases.len && err == ERR_OK; from += chunk.n_leases) {
        Store__SnapshotLease *some[PAGE_KEYS];
        for (chunk.n_leases = 0;
             chunk.n_leases < PAGE_KEYS && from + chunk.n_leases < s->leases.len; chunk.n_leases++)
            some[chunk.n_leases] = &s->leases.at[from + chunk.n_leases];
        chunk.leases = some;
        err = snapshot_add(s->writer, &chunk, why);
    }
    return err;
}

static err_t save_all(save_t *s, const char *path, why_t *why) {
    Store__MemberList list = PROTOBUF_C_MESSAGE_INIT(&store__member_list__descriptor);
    Store__MemberReply *members = NULL;
    err_t err = store_ask(s->client, &s->arena, "store", &list.base,
                          &store__member_reply__descriptor, (void **)&members, why);
    if (err != ERR_OK) return err;
    s->header.cluster_id = members->cluster_id;
    err = learn_leases(s, why);
    if (err == ERR_OK) err = save_keys(s, path, why);
    if (err == ERR_OK) err = save_leases(s, why);
    return err == ERR_OK ? snapshot_finish(s->writer, why) : err;
}

static err_t save(const store_ops_t *o, const char *path, why_t *why) {
    save_t s = {0};
    err_t err = store_connect(o, &s.client, why);
    if (err == ERR_OK) err = save_all(&s, path, why);
    store_progress_end();
    if (err == ERR_COMPACTED)
        why_wrap(why, err, "the revision was compacted while it was saved; try again");
    if (err == ERR_OK) {
        const snapshot_tally_t *tally = snapshot_written(s.writer);
        printf("%s: revision %lld, %llu keys, %llu leases, %s\n", path,
               (long long)s.header.revision, (unsigned long long)tally->keys,
               (unsigned long long)tally->leases, human_bytes(&s.arena, tally->bytes));
    }
    snapshot_writer_destroy(&s.writer);
    vec_done(&s.leases);
    arena_done(&s.arena);
    client_destroy(&s.client);
    return err;
}

// ---- status, restore ----------------------------------------------------------------------------
// Reads all of it.
static err_t status(const char *path, arena_t *arena, why_t *why) {
    snapshot_reader_t *reader = NULL;
    err_t err = snapshot_open(files_real(), path, &reader, why);
    if (err != ERR_OK) return err;
    for (Store__SnapshotChunk *chunk = NULL; err == ERR_OK;) {
        arena_t page = {0};
        err = snapshot_next(reader, &page, &chunk, why);
        arena_done(&page);
        store_progress.tell(NULL, "reading, bytes", snapshot_read(reader)->bytes,
                            snapshot_bytes(reader));
        if (!chunk) break;
    }
    store_progress_end();
    if (err == ERR_OK) {
        const snapshot_header_t *h = snapshot_header(reader);
        const snapshot_tally_t *tally = snapshot_read(reader);
        char when[32];
        time_t made = (time_t)(h->made_ms / 1000);
        struct tm utc;
        strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&made, &utc));
        printf("%s: sound\n  cluster     %016llx\n  taken       %s\n  revision    %lld\n"
               "  keys        %llu\n  leases      %llu\n  size        %s\n",
               path, (unsigned long long)h->cluster_id, when, (long long)h->revision,
               (unsigned long long)tally->keys, (unsigned long long)tally->leases,
               human_bytes(arena, snapshot_bytes(reader)));
    }
    snapshot_reader_destroy(&reader);
    return err;
}

static err_t restore(const store_ops_t *o, const char *path, arena_t *arena, why_t *why) {
    const char *dir = arena_printf(arena, "%s/store", o->vars.data);
    uint64_t lot = rng_seed_from_kernel();
    offline_anew_t anew = {.dir = dir,
                           .member = o->vars.node,
                           .member_id = store_member_id(o->vars.node),
                           .gap = o->gap,
                           .cluster_id = lot ? lot : 1,
                           .progress = &store_progress};
    offline_made_t made = {0};
    if (o->dry_run) {
        err_t err = status(path, arena, why);
        if (err == ERR_OK)
            printf("would make %s, a cluster of %s alone, from it; revisions would go on %lld "
                   "higher\n",
                   dir, o->vars.node, (long long)o->gap);
        return err;
    }
    err_t err = files_make_dir(files_real(), o->vars.data, why);
    if (err == ERR_OK) err = offline_restore(&anew, path, &made, why);
    store_progress_end();
    if (err == ERR_OK)
        printf("%s: a cluster of %s alone, id %016llx, revision %lld; everything below is "
               "compacted\n" STORE_NEW_CLUSTER,
               dir, o->vars.node, (unsigned long long)anew.cluster_id, (long long)made.revision,
               (unsigned long long)anew.cluster_id);
    return err;
}

// ---- the verb -----------------------------------------------------------------------------------
err_t cmd_snapshot(int argc, char **argv, why_t *why) {
    store_ops_t o = {.gap = OFFLINE_REVISION_GAP};
    const char *words[2];
    size_t len;
    bool is_save = argc > 1 && streq(argv[1], "save");
    const option_t *options = is_save ? store_online_options : store_offline_options;
    err_t err = options_parse(options, argc - 1, argv + 1, &o, words, LENGTH_OF(words), &len, why);
    if (err != ERR_OK) return err;
    if (o.help)
        return cmd_help(
            "troupe snapshot save FILE | status FILE | restore FILE [OPTIONS]",
            "save     all keys and leases of the running store, as of one revision, into FILE; "
            "the\n"
            "         store goes on meanwhile\n"
            "status   verifies FILE and says what is in it\n"
            "restore  makes the data folder DATA/store, which must not be there, from FILE: a "
            "cluster\n"
            "         of this node alone with a new id. Revisions go on --revision-gap above the\n"
            "         snapshot's, and all below is compacted: every client lists anew, and no "
            "member\n"
            "         of the old cluster is listened to.",
            options);
    if (len != 2) return why_set(why, ERR_USAGE, "say `save`, `status` or `restore`, and a FILE");
    arena_t arena = {0};
    err = vars_complete(&arena, &o.vars, why);
    if (err == ERR_OK) {
        if (is_save)
            err = save(&o, words[1], why);
        else if (streq(words[0], "status"))
            err = status(words[1], &arena, why);
        else if (streq(words[0], "restore"))
            err = restore(&o, words[1], &arena, why);
        else
            err = why_set(why, ERR_USAGE, "say `save`, `status` or `restore`, and a FILE");
    }
    arena_done(&arena);
    return err;
}
