#include "store/offline.h"
#include "runtime/base/clock.h"
#include "store/machine.h"
#include "store/rocks.h"
#include "troupe/raft.pb-c.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { IMPORT_OPS_MAX = 8 * 1024, READ_BYTES_MAX = 1 << 20, APPLY_BYTES_MAX = 8 << 20 };

static void tell(const progress_t *progress, const char *what, uint64_t done, uint64_t of) {
    if (progress && progress->tell) progress->tell(progress->arg, what, done, of);
}

// ---- a folder that exists -----------------------------------------------------------------------
typedef struct {
    char *log_dir, *db_dir; // owned
    journal_t *journal;     // its lock is held
    kv_t *kv;
    mvcc_t *mvcc;
} folder_t;

static void folder_close(folder_t *f) {
    mvcc_destroy(&f->mvcc);
    kv_destroy(&f->kv);
    journal_close(&f->journal);
    free(f->log_dir);
    free(f->db_dir);
}

static err_t open_log(folder_t *f, why_t *why) {
    journal_options_t options = {.dir = f->log_dir, .read_only = true};
    err_t err = journal_open(files_real(), &options, 0, &f->journal, why);
    if (err == ERR_EXISTS) why_wrap(why, err, "a member runs on this data folder: stop it first");
    if (err == ERR_NOT_FOUND) why_wrap(why, err, "no member's data folder is here");
    return err;
}

static err_t check_pair(const folder_t *f, why_t *why) {
    const meta_t *meta = mvcc_meta(f->mvcc);
    const trail_t *trail = journal_trail(f->journal);
    uint64_t log_id = journal_cluster_id(f->journal);
    if (meta->cluster_id && meta->cluster_id != log_id)
        return why_set(why, ERR_CONFLICT, "%s is of cluster %016llx, %s of %016llx", f->db_dir,
                       (unsigned long long)meta->cluster_id, f->log_dir,
                       (unsigned long long)log_id);
    if (meta->applied_index > trail->last || meta->applied_index < trail->base)
        return why_set(why, ERR_CORRUPT,
                       "%s holds the entries (%llu, %llu], but %llu were applied: entries are gone",
                       f->log_dir, (unsigned long long)trail->base, (unsigned long long)trail->last,
                       (unsigned long long)meta->applied_index);
    return ERR_OK;
}

static err_t folder_open(folder_t *f, const char *dir, why_t *why) {
    *f = (folder_t){.log_dir = str_printf("%s/log", dir), .db_dir = str_printf("%s/db", dir)};
    err_t err = open_log(f, why);
    if (err == ERR_OK) {
        err = rocks_open_read_only(f->db_dir, &f->kv, why);
        // A member that was killed before its first flush has all in its log.
        if (err == ERR_NOT_FOUND) {
            f->kv = kv_map_new();
            err = ERR_OK;
        }
    }
    if (err == ERR_OK) err = mvcc_open(f->kv, &f->mvcc, why);
    if (err == ERR_OK) err = check_pair(f, why);
    if (err != ERR_OK) folder_close(f);
    return err;
}

static offline_report_t report_of(const folder_t *f) {
    const trail_t *trail = journal_trail(f->journal);
    return (offline_report_t){
        .cluster_id = journal_cluster_id(f->journal),
        .member_id = journal_member_id(f->journal),
        .hard = journal_hard(f->journal),
        .segments = journal_segments(f->journal),
        .log_bytes = journal_bytes(f->journal),
        .torn_bytes = journal_torn_bytes(f->journal),
        .begin = trail->base,
        .last = trail->last,
        .last_term = trail_last_term(trail),
        .meta = *mvcc_meta(f->mvcc),
        .db_bytes = kv_disk_bytes(f->kv),
    };
}

err_t offline_look(const char *dir, offline_report_t *ret_report, why_t *why) {
    folder_t f;
    err_t err = folder_open(&f, dir, why);
    if (err != ERR_OK) return err;
    *ret_report = report_of(&f);
    folder_close(&f);
    return ERR_OK;
}

static void verify_progress(void *arg, uint64_t changes) {
    tell(arg, "checking the database, changes", changes, 0);
}

err_t offline_check(const char *dir, const progress_t *progress, offline_report_t *ret_report,
                    why_t *why) {
    folder_t f;
    tell(progress, "checking the log", 0, 0);
    err_t err = folder_open(&f, dir, why); // replays every record
    if (err != ERR_OK) return err;
    offline_report_t report = report_of(&f);
    report.tally = (mvcc_tally_t){.progress = verify_progress, .arg = (void *)progress};
    err = mvcc_verify(f.mvcc, &report.tally, why);
    if (err != ERR_OK)
        why_wrap(why, err, "database %s", f.db_dir);
    else
        *ret_report = report;
    folder_close(&f);
    return err;
}

// ---- a folder that is made ----------------------------------------------------------------------
// What both ways to a new cluster share: DIR.new with a database, to which the rest is added.
typedef struct {
    const offline_anew_t *anew;
    char *dir, *db_dir; // DIR.new; owned
    bool begun;         // and not in its place yet
    kv_t *kv;
    mvcc_t *mvcc;
} made_t;

// What did not become a whole folder is taken away.
static void remove_folder(const char *dir) {
    arena_t arena = {0};
    const char **names;
    size_t len = 0;
    if (files_list(files_real(), dir, &arena, &names, &len, NULL) != ERR_OK) len = 0;
    for (size_t i = 0; i < len; i++)
        (void)!files_remove(files_real(), arena_printf(&arena, "%s/%s", dir, names[i]), NULL);
    (void)rmdir(dir);
    arena_done(&arena);
}

static void made_close(made_t *m) {
    mvcc_destroy(&m->mvcc);
    kv_destroy(&m->kv);
    if (m->begun) {
        CLEANUP(free_charp) char *log_dir = str_printf("%s/log", m->dir);
        remove_folder(log_dir);
        remove_folder(m->db_dir);
        remove_folder(m->dir);
    }
    free(m->dir);
    free(m->db_dir);
}

static err_t refuse_leftover(const made_t *m, why_t *why) {
    arena_t arena = {0};
    const char **names;
    size_t len;
    bool there = files_list(files_real(), m->dir, &arena, &names, &len, NULL) == ERR_OK;
    arena_done(&arena);
    if (!there) return ERR_OK;
    return why_set(why, ERR_EXISTS, "%s is there, left by an earlier try: remove it first", m->dir);
}

static err_t made_begin(made_t *m, const offline_anew_t *anew, why_t *why) {
    *m = (made_t){.anew = anew, .dir = str_printf("%s.new", anew->dir)};
    m->db_dir = str_printf("%s/db", m->dir);
    err_t err = refuse_leftover(m, why);
    m->begun = err == ERR_OK;
    return err == ERR_OK ? files_make_dir(files_real(), m->dir, why) : err;
}

static err_t made_open_db(made_t *m, why_t *why) {
    err_t err = rocks_open(m->db_dir, &m->kv, why);
    return err == ERR_OK ? mvcc_open(m->kv, &m->mvcc, why) : err;
}

static blob_t *config_of_one(const offline_anew_t *anew) {
    Raftpb__Member member = {PROTOBUF_C_MESSAGE_INIT(&raftpb__member__descriptor)};
    member.id = anew->member_id;
    member.name = anew->member;
    Raftpb__Member *members[] = {&member};
    Raftpb__Config config = {PROTOBUF_C_MESSAGE_INIT(&raftpb__config__descriptor)};
    config.members = members;
    config.n_members = 1;
    blob_t *blob = blob_new(protobuf_c_message_get_packed_size(&config.base));
    protobuf_c_message_pack(&config.base, blob->at);
    return blob;
}

// The state machine as if a configuration of this member alone had been applied last.
static err_t finish_db(made_t *m, revision_t revision, raft_index_t index, raft_term_t term,
                       bool nothing_to_prune, why_t *why) {
    if (revision > INT64_MAX / 2 - m->anew->gap)
        return why_set(why, ERR_INVALID, "revision %lld leaves no room for a gap",
                       (long long)revision);
    blob_t *config = config_of_one(m->anew);
    mvcc_anew_t anew = {.revision = revision + m->anew->gap,
                        .nothing_to_prune = nothing_to_prune,
                        .cluster_id = m->anew->cluster_id,
                        .index = index,
                        .term = term,
                        .config = blob_bytes(config)};
    mvcc_begin_anew(m->mvcc, &anew);
    err_t err = mvcc_commit(m->mvcc, why);
    if (err == ERR_OK) err = kv_flush(m->kv, why);
    blob_unref(&config);
    return err;
}

static err_t make_log(const made_t *m, raft_index_t index, raft_term_t term, raft_hard_t hard,
                      why_t *why) {
    CLEANUP(free_charp) char *log_dir = str_printf("%s/log", m->dir);
    journal_options_t options = {.dir = log_dir,
                                 .cluster_id = m->anew->cluster_id,
                                 .member_id = m->anew->member_id};
    journal_t *journal = NULL;
    err_t err = journal_open(files_real(), &options, 0, &journal, why);
    if (err == ERR_OK) err = journal_append(journal, &hard, NULL, 0, why);
    if (err == ERR_OK) err = journal_restart(journal, index, term, why);
    journal_close(&journal);
    return err;
}

static char *kept_name(const char *dir) {
    return str_printf("%s.before-%lld", dir, (long long)clock_wall_ms() / 1000);
}

static err_t sync_parent(const char *dir, why_t *why) {
    const char *slash = strrchr(dir, '/');
    CLEANUP(free_charp)
    char *parent = slash ? str_dup_n(dir, slash == dir ? 1 : (size_t)(slash - dir)) : str_dup(".");
    return files_sync_dir(files_real(), parent, why);
}

static err_t put_in_place(made_t *m, bool there_was_one, offline_made_t *ret_made, why_t *why) {
    const char *dir = m->anew->dir;
    CLEANUP(free_charp) char *kept = NULL;
    err_t err = files_sync_dir(files_real(), m->dir, why);
    if (err == ERR_OK && there_was_one) {
        kept = kept_name(dir);
        err = files_rename(files_real(), dir, kept, why);
    }
    if (err == ERR_OK) err = files_rename(files_real(), m->dir, dir, why);
    if (err == ERR_OK) m->begun = false;
    if (err == ERR_OK) err = sync_parent(dir, why);
    if (err != ERR_OK) return err;
    ret_made->revision = mvcc_meta(m->mvcc)->revision;
    ret_made->kept = x_steal(&kept);
    return ERR_OK;
}

// ---- recovery -----------------------------------------------------------------------------------
// All entries of the log that the database lacks.
static err_t replay_all(made_t *m, journal_t *journal, why_t *why) {
    raft_index_t last = journal_trail(journal)->last;
    err_t err = ERR_OK;
    while (err == ERR_OK && mvcc_meta(m->mvcc)->applied_index < last) {
        raft_index_t first = mvcc_meta(m->mvcc)->applied_index + 1;
        arena_t arena = {0};
        journal_entry_t *entries = NULL;
        size_t len = 0;
        err = journal_read(journal, first, READ_BYTES_MAX, &arena, &entries, &len, why);
        for (size_t i = 0; i < len && err == ERR_OK; i++) {
            machine_result_t result;
            err = machine_apply(m->mvcc, &arena, entries[i].index, entries[i].term, entries[i].kind,
                                entries[i].data, &result, why);
        }
        if (err == ERR_OK) err = mvcc_commit(m->mvcc, why);
        arena_done(&arena);
        tell(m->anew->progress, "replaying the log, entry", first + len - 1, last);
    }
    return err;
}

// The database of the new folder: a copy of the old one that shares its files.
static err_t copy_db(const folder_t *f, const made_t *m, why_t *why) {
    kv_t *old = NULL;
    err_t err = rocks_open(f->db_dir, &old, why);
    if (err == ERR_OK) err = rocks_checkpoint(old, m->db_dir, why);
    kv_destroy(&old);
    return err;
}

static err_t check_member(const offline_anew_t *anew, const folder_t *f, why_t *why) {
    if (journal_member_id(f->journal) == anew->member_id) return ERR_OK;
    return why_set(why, ERR_CONFLICT, "%s is the folder of another member than %s", anew->dir,
                   anew->member);
}

err_t offline_recover(const offline_anew_t *anew, offline_made_t *ret_made, why_t *why) {
    folder_t f;
    made_t m = {0};
    err_t err = folder_open(&f, anew->dir, why);
    if (err != ERR_OK) return err;
    err = check_member(anew, &f, why);
    if (err == ERR_OK) err = made_begin(&m, anew, why);
    if (err == ERR_OK) err = copy_db(&f, &m, why);
    if (err == ERR_OK) err = made_open_db(&m, why);
    if (err == ERR_OK) err = replay_all(&m, f.journal, why);
    const trail_t *trail = journal_trail(f.journal);
    raft_hard_t hard = {.term = journal_hard(f.journal).term};
    if (err == ERR_OK)
        err = finish_db(&m, mvcc_meta(m.mvcc)->revision, trail->last, trail_last_term(trail), false,
                        why);
    if (err == ERR_OK) err = make_log(&m, trail->last, trail_last_term(trail), hard, why);
    if (err == ERR_OK) err = put_in_place(&m, true, ret_made, why);
    made_close(&m);
    folder_close(&f);
    return err;
}

// ---- restore ------------------------------------------------------------------------------------
static err_t import_chunk(made_t *m, const Store__SnapshotChunk *chunk, uint64_t number,
                          revision_t revision, why_t *why) {
    err_t err = ERR_OK;
    for (size_t i = 0; i < chunk->n_leases && err == ERR_OK; i++) {
        const Store__SnapshotLease *lease = chunk->leases[i];
        if (lease->id <= 0 || lease->ttl_ms <= 0)
            err = why_set(why, ERR_INVALID, "no lease can be like %lld", (long long)lease->id);
        if (err == ERR_OK) err = mvcc_lease_grant(m->mvcc, lease->id, lease->ttl_ms, why);
    }
    for (size_t i = 0; i < chunk->n_kvs && err == ERR_OK; i++) {
        const Store__KeyValue *kv = chunk->kvs[i];
        if (kv->mod_revision > revision || number + i > UINT32_MAX)
            err = why_set(why, ERR_INVALID, "a key is newer than the snapshot");
        if (err == ERR_OK) err = mvcc_import(m->mvcc, kv, (uint32_t)(number + i), why);
    }
    return err == ERR_OK ? mvcc_commit(m->mvcc, why) : err;
}

static err_t import_all(made_t *m, snapshot_reader_t *reader, why_t *why) {
    err_t err = ERR_OK;
    for (Store__SnapshotChunk *chunk = NULL; err == ERR_OK;) {
        arena_t arena = {0};
        uint64_t number = snapshot_read(reader)->keys;
        err = snapshot_next(reader, &arena, &chunk, why);
        bool end = err == ERR_OK && !chunk;
        if (err == ERR_OK && chunk)
            err = import_chunk(m, chunk, number, snapshot_header(reader)->revision, why);
        arena_done(&arena);
        tell(m->anew->progress, "restoring, bytes", snapshot_read(reader)->bytes,
             snapshot_bytes(reader));
        if (end) break;
    }
    return err;
}

static err_t refuse_existing(const char *dir, why_t *why) {
    arena_t arena = {0};
    const char **names;
    size_t len = 0;
    err_t err = files_list(files_real(), dir, &arena, &names, &len, NULL);
    arena_done(&arena);
    if (err == ERR_NOT_FOUND) return ERR_OK;
    return why_set(why, ERR_EXISTS, "%s is there already: restore makes a new data folder", dir);
}

err_t offline_restore(const offline_anew_t *anew, const char *snapshot_path,
                      offline_made_t *ret_made, why_t *why) {
    snapshot_reader_t *reader = NULL;
    made_t m = {0};
    err_t err = refuse_existing(anew->dir, why);
    if (err == ERR_OK) err = snapshot_open(files_real(), snapshot_path, &reader, why);
    if (err != ERR_OK) return err;
    err = made_begin(&m, anew, why);
    if (err == ERR_OK) err = made_open_db(&m, why);
    if (err == ERR_OK) err = import_all(&m, reader, why);
    if (err == ERR_OK) err = finish_db(&m, snapshot_header(reader)->revision, 1, 1, true, why);
    if (err == ERR_OK) err = make_log(&m, 1, 1, (raft_hard_t){.term = 1}, why);
    if (err == ERR_OK) err = put_in_place(&m, false, ret_made, why);
    snapshot_reader_destroy(&reader);
    made_close(&m);
    return err;
}

// ---- rebuilding ---------------------------------------------------------------------------------
static err_t make_marked(const char *dir, const char *mark, why_t *why) {
    CLEANUP(free_charp) char *path = str_printf("%s/%s", dir, mark);
    file_t *file = NULL;
    err_t err = files_make_dir(files_real(), dir, why);
    if (err == ERR_OK) err = files_open(files_real(), path, FILE_OPEN_CREATE, &file, why);
    if (err == ERR_OK) err = file_sync(file, why);
    file_close(&file);
    return err == ERR_OK ? files_sync_dir(files_real(), dir, why) : err;
}

// In one step: a member that is being started again and again must never find the place empty, as
// it would begin there as if it had never voted.
static err_t exchange(const char *a, const char *b, why_t *why) {
    if (renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) == 0) return ERR_OK;
    return why_set(why, err_from_errno(errno), "exchange %s and %s: %s", a, b, strerror(errno));
}

err_t offline_rebuild(const char *dir, const char *mark, char **ret_kept, why_t *why) {
    CLEANUP(free_charp) char *lock_path = str_printf("%s/log/lock", dir);
    CLEANUP(free_charp) char *made = kept_name(dir);
    bool exists = access(dir, F_OK) == 0;
    file_t *lock = NULL;
    err_t err = exists ? files_lock(files_real(), lock_path, &lock, why) : ERR_OK;
    if (err == ERR_EXISTS) why_wrap(why, err, "a member runs on this data folder: stop it first");
    if (err == ERR_NOT_FOUND) err = ERR_OK; // not even a log is there
    if (err == ERR_OK && access(made, F_OK) == 0)
        err = why_set(why, ERR_EXISTS, "%s is there already", made);
    if (err == ERR_OK) err = make_marked(made, mark, why);
    if (err == ERR_OK)
        err = exists ? exchange(made, dir, why) : files_rename(files_real(), made, dir, why);
    if (err == ERR_OK) err = sync_parent(dir, why);
    file_close(&lock);
    if (err == ERR_OK) *ret_kept = exists ? x_steal(&made) : NULL;
    return err;
}
