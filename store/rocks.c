#include "store/rocks.h"
#include "runtime/base/vec.h"
#include <errno.h>
#include <fcntl.h>
#include <rocksdb/c.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_TIER_PERSISTED = 2 }; // rocksdb/options.h: kPersistedTier, past all memtables

enum { DELETIONS_WINDOW = 4096, DELETIONS_TRIGGER = 3072, INDEX_MERGE_FILES = 16 };

// Column families, in the order of their keys.
typedef enum { FAMILY_GROWING, FAMILY_OTHERS, FAMILIES } family_t;
static const char *const family_names[FAMILIES] = {"growing", "default"};

typedef struct {
    rocksdb_t *db; // NULL: not open
    rocksdb_column_family_handle_t *families[FAMILIES];
} base_t;

typedef struct {
    VEC(kv_op_t) ops;
    size_t bytes;
} kv_pairs_t;

typedef struct {
    kv_t face;
    base_t base;
    base_t side; // being built to take its place
    rocksdb_options_t *options[FAMILIES];
    rocksdb_block_based_table_options_t *tables[FAMILIES];
    rocksdb_cache_t *cache;
    rocksdb_readoptions_t *read, *read_flushed, *read_many;
    rocksdb_writeoptions_t *write;
    rocksdb_iterator_t *cursors[FAMILIES]; // NULL: none since the last write
    rocksdb_iterator_t *cursor;            // the one that was sought last; NULL: none
    rocksdb_writebatch_t *batch;
    char *path, *side_path; // owned; "…/db", "…/db.new"
} rocks_t;

static rocks_t *rocks_of(kv_t *kv) { return (rocks_t *)kv; }

static family_t family_of(bytes_t key) {
    static_assert(KV_GROWING < 'a', "no other space sorts before it");
    return key.len == 0 || key.at[0] <= KV_GROWING ? FAMILY_GROWING : FAMILY_OTHERS;
}

// RocksDB speaks in sentences: "Corruption: …", "IO error: … No space left …".
static err_t rocks_error(char *text, const char *what, why_t *why) {
    if (!text) return ERR_OK;
    err_t err = ERR_IO;
    if (has_prefix(text, "Corruption"))
        err = ERR_CORRUPT;
    else if (strstr(text, "No space left"))
        err = ERR_DISK_FULL;
    else if (strstr(text, "lock"))
        err = ERR_EXISTS;
    why_set(why, err, "%s: %s", what, text);
    rocksdb_free(text);
    return err;
}

static void drop_cursors(rocks_t *rocks) {
    for (int i = 0; i < FAMILIES; i++) {
        if (rocks->cursors[i]) rocksdb_iter_destroy(rocks->cursors[i]);
        rocks->cursors[i] = NULL;
    }
    rocks->cursor = NULL;
}

// ---- open and close ----------------------------------------------------------------------------
static void close_base(base_t *base) {
    if (!base->db) return;
    for (int i = 0; i < FAMILIES; i++) rocksdb_column_family_handle_destroy(base->families[i]);
    rocksdb_close(base->db);
    *base = (base_t){0};
}

static err_t open_base(const rocks_t *rocks, const char *path, bool read_only, base_t *ret_base,
                       why_t *why) {
    char *error = NULL;
    const rocksdb_options_t *const *options = (const rocksdb_options_t *const *)rocks->options;
    base_t base = {0};
    base.db = read_only ? rocksdb_open_for_read_only_column_families(options[0], path, FAMILIES,
                                                                     family_names, options,
                                                                     base.families, false, &error)
                        : rocksdb_open_column_families(options[0], path, FAMILIES, family_names,
                                                       options, base.families, &error);
    if (error) return rocks_error(error, "open", why);
    *ret_base = base;
    return ERR_OK;
}

// One that has something in it, but not our families: opening would add them.
static err_t check_format(const rocks_t *rocks, why_t *why) {
    size_t len = 0;
    char *error = NULL;
    char **names = rocksdb_list_column_families(rocks->options[0], rocks->path, &len, &error);
    rocksdb_list_column_families_destroy(names, len);
    bool is_unknown = error != NULL; // there is none yet, or opening will say what is wrong with it
    rocksdb_free(error);
    if (is_unknown || len == FAMILIES) return ERR_OK;
    error = NULL;
    rocksdb_t *db = rocksdb_open_for_read_only(rocks->options[0], rocks->path, false, &error);
    if (error) return rocks_error(error, "open", why);
    rocksdb_iterator_t *at = rocksdb_create_iterator(db, rocks->read);
    rocksdb_iter_seek_to_first(at);
    bool is_empty = !rocksdb_iter_valid(at); // we died while it was made
    rocksdb_iter_destroy(at);
    rocksdb_close(db);
    if (is_empty) return ERR_OK;
    return why_set(why, ERR_UNSUPPORTED,
                   "%zu column families, this program knows %d: another format", len, FAMILIES);
}

static err_t drop_folder(const rocks_t *rocks, const char *path, why_t *why) {
    char *error = NULL;
    if (access(path, F_OK) != 0) return ERR_OK;
    rocksdb_destroy_db(rocks->options[0], path, &error);
    return rocks_error(error, "remove a copy", why);
}

static err_t make_copy(rocksdb_t *db, const char *path, why_t *why) {
    char *error = NULL;
    rocksdb_checkpoint_t *checkpoint = rocksdb_checkpoint_object_create(db, &error);
    if (!error) rocksdb_checkpoint_create(checkpoint, path, 0, &error);
    if (checkpoint) rocksdb_checkpoint_object_destroy(checkpoint);
    return rocks_error(error, "copy", why);
}

// Both families or neither, as atomic_flush has it: the C API's own flush knows one family only,
// and that a copy (of hard links) is flushed first is its other way to ask for all.
static err_t flush(const rocks_t *rocks, const base_t *base, const char *path, why_t *why) {
    CLEANUP(free_charp) char *copy = str_printf("%s.flush", path);
    err_t err = drop_folder(rocks, copy, why);
    if (err == ERR_OK) err = make_copy(base->db, copy, why);
    return err == ERR_OK ? drop_folder(rocks, copy, why) : err;
}

// ---- one after the other ------------------------------------------------------------------------
static err_t rocks_get(kv_t *kv, bytes_t key, arena_t *arena, bool flushed, bytes_t *ret_value,
                       why_t *why) {
    rocks_t *rocks = rocks_of(kv);
    char *error = NULL;
    rocksdb_pinnableslice_t *slice =
        rocksdb_get_pinned_cf(rocks->base.db, flushed ? rocks->read_flushed : rocks->read,
                              rocks->base.families[family_of(key)], (const char *)key.at, key.len,
                              &error);
    if (error) return rocks_error(error, "read", why);
    *ret_value = (bytes_t){0};
    if (!slice) return ERR_OK;
    size_t len = 0;
    const char *at = rocksdb_pinnableslice_value(slice, &len);
    uint8_t *copy = arena_alloc(arena, len + 1);
    if (copy && len) memcpy(copy, at, len);
    rocksdb_pinnableslice_destroy(slice);
    if (!copy) return why_set(why, ERR_TOO_LARGE, "a value of %zu bytes does not fit", len);
    *ret_value = (bytes_t){copy, len};
    return ERR_OK;
}

// RocksDB sorts the keys and walks each table once for all that lie in it.
static err_t rocks_get_many(kv_t *kv, const bytes_t *keys, size_t len, arena_t *arena,
                            bytes_t *values, why_t *why) {
    rocks_t *rocks = rocks_of(kv);
    const char *ats[KV_GET_MANY_MAX] = {0};
    size_t lens[KV_GET_MANY_MAX] = {0};
    rocksdb_pinnableslice_t *slices[KV_GET_MANY_MAX] = {0};
    char *errors[KV_GET_MANY_MAX] = {0};
    for (size_t i = 0; i < len; i++) {
        assert(family_of(keys[i]) == family_of(keys[0]));
        ats[i] = (const char *)keys[i].at, lens[i] = keys[i].len;
    }
    if (len == 0) return ERR_OK;
    rocksdb_batched_multi_get_cf(rocks->base.db, rocks->read_many,
                                 rocks->base.families[family_of(keys[0])], len, ats, lens, slices,
                                 errors, false);
    err_t err = ERR_OK;
    for (size_t i = 0; i < len; i++) {
        if (errors[i]) err = rocks_error(errors[i], "read", why);
        values[i] = (bytes_t){0};
        if (!slices[i]) continue;
        const char *at = rocksdb_pinnableslice_value(slices[i], &values[i].len);
        uint8_t *copy = arena_alloc(arena, values[i].len + 1);
        if (copy && values[i].len) memcpy(copy, at, values[i].len);
        if (!copy) err = why_set(why, ERR_TOO_LARGE, "values of so many bytes do not fit");
        values[i].at = copy;
        rocksdb_pinnableslice_destroy(slices[i]);
    }
    return err;
}

static err_t cursor_error(rocks_t *rocks, why_t *why) {
    char *error = NULL;
    rocksdb_iter_get_error(rocks->cursor, &error);
    return rocks_error(error, "walk", why);
}

static void use_cursor(rocks_t *rocks, family_t family) {
    const base_t *base = &rocks->base;
    if (!rocks->cursors[family])
        rocks->cursors[family] =
            rocksdb_create_iterator_cf(base->db, rocks->read, base->families[family]);
    rocks->cursor = rocks->cursors[family];
}

// Behind the last key of one family comes the first of the next.
static err_t cross_over(rocks_t *rocks, why_t *why) {
    if (rocksdb_iter_valid(rocks->cursor)) return ERR_OK;
    err_t err = cursor_error(rocks, why);
    if (err != ERR_OK || rocks->cursor != rocks->cursors[FAMILY_GROWING]) return err;
    use_cursor(rocks, FAMILY_OTHERS);
    rocksdb_iter_seek_to_first(rocks->cursor);
    return cursor_error(rocks, why);
}

static err_t rocks_seek(kv_t *kv, bytes_t key, why_t *why) {
    rocks_t *rocks = rocks_of(kv);
    use_cursor(rocks, family_of(key));
    rocksdb_iter_seek(rocks->cursor, (const char *)key.at, key.len);
    return cross_over(rocks, why);
}

static err_t rocks_next(kv_t *kv, why_t *why) {
    rocks_t *rocks = rocks_of(kv);
    assert(rocks->cursor && rocksdb_iter_valid(rocks->cursor));
    rocksdb_iter_next(rocks->cursor);
    return cross_over(rocks, why);
}

static bool rocks_here(kv_t *kv, bytes_t *ret_key, bytes_t *ret_value) {
    rocks_t *rocks = rocks_of(kv);
    if (!rocks->cursor || !rocksdb_iter_valid(rocks->cursor)) return false;
    ret_key->at = (const uint8_t *)rocksdb_iter_key(rocks->cursor, &ret_key->len);
    ret_value->at = (const uint8_t *)rocksdb_iter_value(rocks->cursor, &ret_value->len);
    return true;
}

static err_t write_to(rocks_t *rocks, const base_t *base, const kv_op_t *ops, size_t len,
                      why_t *why) {
    rocksdb_writebatch_clear(rocks->batch);
    for (size_t i = 0; i < len; i++) {
        const kv_op_t *op = &ops[i];
        rocksdb_column_family_handle_t *family = base->families[family_of(op->key)];
        if (op->is_delete)
            rocksdb_writebatch_delete_cf(rocks->batch, family, (const char *)op->key.at,
                                         op->key.len);
        else
            rocksdb_writebatch_put_cf(rocks->batch, family, (const char *)op->key.at, op->key.len,
                                      (const char *)op->value.at, op->value.len);
    }
    char *error = NULL;
    rocksdb_write(base->db, rocks->write, rocks->batch, &error);
    return rocks_error(error, "write", why);
}

static err_t rocks_write(kv_t *kv, const kv_op_t *ops, size_t len, why_t *why) {
    rocks_t *rocks = rocks_of(kv);
    drop_cursors(rocks);
    return write_to(rocks, &rocks->base, ops, len, why);
}

static err_t rocks_flush(kv_t *kv, why_t *why) {
    rocks_t *rocks = rocks_of(kv);
    return flush(rocks, &rocks->base, rocks->path, why);
}

static uint64_t rocks_disk_bytes(kv_t *kv) {
    const base_t *base = &rocks_of(kv)->base;
    uint64_t sum = 0;
    for (int i = 0; i < FAMILIES; i++) {
        uint64_t bytes = 0;
        if (rocksdb_property_int_cf(base->db, base->families[i], "rocksdb.total-sst-files-size",
                                    &bytes) == 0)
            sum += bytes;
    }
    return sum;
}

static void rocks_destroy(kv_t *kv) {
    rocks_t *rocks = rocks_of(kv);
    drop_cursors(rocks);
    close_base(&rocks->base);
    close_base(&rocks->side);
    free(rocks->path);
    free(rocks->side_path);
    rocksdb_writebatch_destroy(rocks->batch);
    rocksdb_readoptions_destroy(rocks->read);
    rocksdb_readoptions_destroy(rocks->read_flushed);
    rocksdb_readoptions_destroy(rocks->read_many);
    rocksdb_writeoptions_destroy(rocks->write);
    for (int i = 0; i < FAMILIES; i++) {
        rocksdb_options_destroy(rocks->options[i]);
        rocksdb_block_based_options_destroy(rocks->tables[i]);
    }
    rocksdb_cache_destroy(rocks->cache);
    free(rocks);
}

// ---- whole copies -------------------------------------------------------------------------------
typedef struct {
    kv_view_t face;
    rocks_t *rocks;
    const rocksdb_snapshot_t *snapshot;
    rocksdb_readoptions_t *read;
    rocksdb_iterator_t *at[FAMILIES];
} rocks_view_t;

static err_t rocks_view_open(kv_t *kv, kv_view_t **ret_view, why_t *why) {
    rocks_view_t *view = NEW(rocks_view_t);
    view->face.ops = kv->ops;
    view->rocks = rocks_of(kv);
    const base_t *base = &view->rocks->base;
    view->snapshot = rocksdb_create_snapshot(base->db);
    view->read = rocksdb_readoptions_create();
    rocksdb_readoptions_set_snapshot(view->read, view->snapshot);
    rocksdb_readoptions_set_fill_cache(view->read, 0); // nobody reads this again
    for (int i = 0; i < FAMILIES; i++)
        view->at[i] = rocksdb_create_iterator_cf(base->db, view->read, base->families[i]);
    *ret_view = &view->face;
    return ERR_OK;
}

static bytes_t key_at(rocksdb_iterator_t *at) {
    bytes_t key;
    key.at = (const uint8_t *)rocksdb_iter_key(at, &key.len);
    return key;
}

// What follows `after` in one family, until `bytes_max` are passed.
static err_t view_read_family(rocksdb_iterator_t *at, bytes_t after, size_t bytes_max,
                              arena_t *arena, kv_pairs_t *pairs, why_t *why) {
    rocksdb_iter_seek(at, (const char *)after.at, after.len);
    if (after.len && rocksdb_iter_valid(at) && bytes_eq(key_at(at), after)) rocksdb_iter_next(at);
    for (; rocksdb_iter_valid(at) && pairs->bytes < bytes_max; rocksdb_iter_next(at)) {
        bytes_t key = key_at(at), value;
        value.at = (const uint8_t *)rocksdb_iter_value(at, &value.len);
        uint8_t *copy = arena_alloc(arena, key.len + value.len + 1);
        memcpy(copy, key.at, key.len);
        if (value.len) memcpy(copy + key.len, value.at, value.len);
        vec_push(&pairs->ops, ((kv_op_t){{copy, key.len}, {copy + key.len, value.len}, false}));
        pairs->bytes += key.len + value.len;
    }
    char *error = NULL;
    rocksdb_iter_get_error(at, &error);
    return rocks_error(error, "walk", why);
}

static err_t rocks_view_read(kv_view_t *face, bytes_t after, size_t bytes_max, arena_t *arena,
                             kv_op_t **ret_pairs, size_t *ret_len, why_t *why) {
    rocks_view_t *view = (rocks_view_t *)face;
    kv_pairs_t pairs = {0};
    err_t err = ERR_OK;
    for (int i = family_of(after); err == ERR_OK && i < FAMILIES; i++)
        err = view_read_family(view->at[i], after, bytes_max ? bytes_max : 1, arena, &pairs, why);
    *ret_len = pairs.ops.len;
    *ret_pairs = ARENA_ARRAY(arena, kv_op_t, pairs.ops.len + 1);
    if (pairs.ops.len) memcpy(*ret_pairs, pairs.ops.at, pairs.ops.len * sizeof *pairs.ops.at);
    vec_done(&pairs.ops);
    return err;
}

static void rocks_view_close(kv_view_t *face) {
    rocks_view_t *view = (rocks_view_t *)face;
    for (int i = 0; i < FAMILIES; i++) rocksdb_iter_destroy(view->at[i]);
    rocksdb_readoptions_destroy(view->read);
    rocksdb_release_snapshot(view->rocks->base.db, view->snapshot);
    free(view);
}

static err_t rocks_replace_begin(kv_t *kv, why_t *why) {
    rocks_t *rocks = rocks_of(kv);
    close_base(&rocks->side);
    err_t err = drop_folder(rocks, rocks->side_path, why);
    return err == ERR_OK ? open_base(rocks, rocks->side_path, false, &rocks->side, why) : err;
}

static err_t rocks_replace_add(kv_t *kv, const kv_op_t *pairs, size_t len, why_t *why) {
    return write_to(rocks_of(kv), &rocks_of(kv)->side, pairs, len, why);
}

static err_t sync_folder_of(const char *path, why_t *why) {
    CLEANUP(free_charp) char *folder = str_dup_n(path, (size_t)(strrchr(path, '/') - path));
    CLEANUP(close_fdp) int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0) return why_errno(why, errno, "sync %s", folder);
    return ERR_OK;
}

// 1. the copy is durable  2. one rename lets the two change names, which is all or nothing
// 3. the old one, now under the copy's name, is removed; a start does so, should we die before.
static err_t rocks_replace_end(kv_t *kv, why_t *why) {
    rocks_t *rocks = rocks_of(kv);
    err_t err = flush(rocks, &rocks->side, rocks->side_path, why);
    if (err != ERR_OK) return err;
    drop_cursors(rocks);
    close_base(&rocks->side);
    close_base(&rocks->base);
    if (renameat2(AT_FDCWD, rocks->side_path, AT_FDCWD, rocks->path, RENAME_EXCHANGE) != 0)
        return why_errno(why, errno, "put %s in place", rocks->path);
    err = sync_folder_of(rocks->path, why);
    if (err == ERR_OK) err = open_base(rocks, rocks->path, false, &rocks->base, why);
    return err == ERR_OK ? drop_folder(rocks, rocks->side_path, why) : err;
}

static const kv_ops_t rocks_ops = {
    .get = rocks_get,
    .seek = rocks_seek,
    .next = rocks_next,
    .here = rocks_here,
    .write = rocks_write,
    .flush = rocks_flush,
    .disk_bytes = rocks_disk_bytes,
    .destroy = rocks_destroy,
    .view_open = rocks_view_open,
    .view_read = rocks_view_read,
    .view_close = rocks_view_close,
    .replace_begin = rocks_replace_begin,
    .replace_add = rocks_replace_add,
    .replace_end = rocks_replace_end,
    .get_many = rocks_get_many,
};

// ---- options ------------------------------------------------------------------------------------
static rocksdb_options_t *new_options(void) {
    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(options, 1);
    rocksdb_options_set_create_missing_column_families(options, 1);
    rocksdb_options_set_atomic_flush(options, 1);
    rocksdb_options_set_write_buffer_size(options, ROCKS_MEMTABLE_BYTES);
    rocksdb_options_set_max_write_buffer_number(options, 3);
    rocksdb_options_set_max_background_jobs(options, 2);
    rocksdb_options_set_max_open_files(options, 256);
    rocksdb_options_set_keep_log_file_num(options, 2);
    rocksdb_options_set_max_log_file_size(options, 1 << 20);
    rocksdb_options_set_stats_dump_period_sec(options, 0); // no wake-up when idle
    rocksdb_options_set_target_file_size_base(options, 8 << 20);
    rocksdb_options_set_max_bytes_for_level_base(options, 64 << 20);
    rocksdb_options_set_compression(options, rocksdb_lz4_compression);
    rocksdb_options_set_level_compaction_dynamic_level_bytes(options, 1);
    // A flood of deletions is compacted when it was flushed, not when the next flood comes.
    rocksdb_options_add_compact_on_deletion_collector_factory(options, DELETIONS_WINDOW,
                                                              DELETIONS_TRIGGER);
    return options;
}

static void set_options(rocks_t *rocks) {
    rocks->cache = rocksdb_cache_create_lru(ROCKS_CACHE_BYTES);
    for (int i = 0; i < FAMILIES; i++) {
        rocks->options[i] = new_options();
        rocks->tables[i] = rocksdb_block_based_options_create();
        rocksdb_block_based_options_set_block_cache(rocks->tables[i], rocks->cache);
        rocksdb_options_set_block_based_table_factory(rocks->options[i], rocks->tables[i]);
    }
    // A flush brings 4 MiB of changes with little of an index whose keys lie anywhere: merging it
    // rewrites all of the index, so it waits for more of them.
    rocksdb_options_t *others = rocks->options[FAMILY_OTHERS];
    rocksdb_options_set_level0_file_num_compaction_trigger(others, INDEX_MERGE_FILES);
    rocksdb_options_set_level0_slowdown_writes_trigger(others, 4 * INDEX_MERGE_FILES);
    rocksdb_options_set_level0_stop_writes_trigger(others, 6 * INDEX_MERGE_FILES);
    // What is asked of the growing family is there; what is asked of the others may not be.
    rocksdb_block_based_options_set_filter_policy(rocks->tables[FAMILY_OTHERS],
                                                  rocksdb_filterpolicy_create_bloom_full(10));
    rocksdb_options_set_block_based_table_factory(others, rocks->tables[FAMILY_OTHERS]);

    rocks->read = rocksdb_readoptions_create();
    rocks->read_flushed = rocksdb_readoptions_create();
    rocks->read_many = rocksdb_readoptions_create();
    rocksdb_readoptions_set_fill_cache(rocks->read_many, 0); // scattered values: nobody comes again
    rocksdb_readoptions_set_read_tier(rocks->read_flushed, READ_TIER_PERSISTED);
    rocks->write = rocksdb_writeoptions_create();
    rocksdb_writeoptions_disable_WAL(rocks->write, 1);
    rocks->batch = rocksdb_writebatch_create();
    rocksdb_set_perf_level(rocksdb_disable); // it counts each comparison
}

static err_t open_db(const char *path, bool read_only, kv_t **ret_kv, why_t *why) {
    rocks_t *rocks = NEW(rocks_t);
    rocks->face.ops = &rocks_ops;
    set_options(rocks);
    rocks->path = str_dup(path);
    rocks->side_path = str_printf("%s.new", path);
    err_t err = check_format(rocks, why);
    if (err == ERR_OK) err = open_base(rocks, path, read_only, &rocks->base, why);
    if (err == ERR_OK && !read_only)
        err = drop_folder(rocks, rocks->side_path, why); // what a crash left
    if (err != ERR_OK) {
        rocks_destroy(&rocks->face);
        return why_wrap(why, err, "database %s", path);
    }
    *ret_kv = &rocks->face;
    return ERR_OK;
}

err_t rocks_open(const char *path, kv_t **ret_kv, why_t *why) {
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return why_errno(why, errno, "make folder %s", path);
    return open_db(path, false, ret_kv, why);
}

err_t rocks_open_read_only(const char *path, kv_t **ret_kv, why_t *why) {
    CLEANUP(free_charp) char *current = str_printf("%s/CURRENT", path);
    if (access(current, R_OK) != 0 && errno == ENOENT)
        return why_set(why, ERR_NOT_FOUND, "%s: there is no database", path);
    if (access(current, R_OK) != 0) return why_errno(why, errno, "%s", current);
    return open_db(path, true, ret_kv, why);
}

err_t rocks_checkpoint(kv_t *kv, const char *path, why_t *why) {
    return make_copy(rocks_of(kv)->base.db, path, why);
}
