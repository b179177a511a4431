#include "store/rocks.h"
#include "runtime/base/vec.h"
#include <errno.h>
#include <fcntl.h>
#include <rocksdb/c.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_TIER_PERSISTED = 2 }; // rocksdb/options.h: kPersistedTier, past all memtables

enum { DELETIONS_WINDOW = 4096, DELETIONS_TRIGGER = 3072 };

typedef struct {
    kv_t face;
    rocksdb_t *db;
    rocksdb_options_t *options;
    rocksdb_block_based_table_options_t *table;
    rocksdb_cache_t *cache;
    rocksdb_column_family_handle_t *family; // the one there is
    rocksdb_readoptions_t *read, *read_flushed, *read_many;
    rocksdb_writeoptions_t *write;
    rocksdb_flushoptions_t *flush;
    rocksdb_iterator_t *cursor; // NULL: none since the last write
    rocksdb_writebatch_t *batch;
    char *path, *side_path; // owned; "…/db" and what is built to take its place
    rocksdb_t *side;        // NULL: nothing is being built
} rocks_t;

static rocks_t *rocks_of(kv_t *kv) { return (rocks_t *)kv; }

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

static void drop_cursor(rocks_t *rocks) {
    if (rocks->cursor) rocksdb_iter_destroy(rocks->cursor);
    rocks->cursor = NULL;
}

static err_t rocks_get(kv_t *kv, bytes_t key, arena_t *arena, bool flushed, bytes_t *ret_value,
                       why_t *why) {
    rocks_t *rocks = rocks_of(kv);
    char *error = NULL;
    rocksdb_pinnableslice_t *slice =
        rocksdb_get_pinned(rocks->db, flushed ? rocks->read_flushed : rocks->read,
                           (const char *)key.at, key.len, &error);
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
    for (size_t i = 0; i < len; i++) ats[i] = (const char *)keys[i].at, lens[i] = keys[i].len;
    rocksdb_batched_multi_get_cf(rocks->db, rocks->read_many, rocks->family, len, ats, lens, slices,
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
    if (rocksdb_iter_valid(rocks->cursor)) return ERR_OK;
    char *error = NULL;
    rocksdb_iter_get_error(rocks->cursor, &error);
    return rocks_error(error, "walk", why);
}

static err_t rocks_seek(kv_t *kv, bytes_t key, why_t *why) {
    rocks_t *rocks = rocks_of(kv);
    if (!rocks->cursor) rocks->cursor = rocksdb_create_iterator(rocks->db, rocks->read);
    rocksdb_iter_seek(rocks->cursor, (const char *)key.at, key.len);
    return cursor_error(rocks, why);
}

static err_t rocks_next(kv_t *kv, why_t *why) {
    rocks_t *rocks = rocks_of(kv);
    assert(rocks->cursor && rocksdb_iter_valid(rocks->cursor));
    rocksdb_iter_next(rocks->cursor);
    return cursor_error(rocks, why);
}

static bool rocks_here(kv_t *kv, bytes_t *ret_key, bytes_t *ret_value) {
    rocks_t *rocks = rocks_of(kv);
    if (!rocks->cursor || !rocksdb_iter_valid(rocks->cursor)) return false;
    ret_key->at = (const uint8_t *)rocksdb_iter_key(rocks->cursor, &ret_key->len);
    ret_value->at = (const uint8_t *)rocksdb_iter_value(rocks->cursor, &ret_value->len);
    return true;
}

static err_t write_to(rocks_t *rocks, rocksdb_t *db, const kv_op_t *ops, size_t len, why_t *why) {
    rocksdb_writebatch_clear(rocks->batch);
    for (size_t i = 0; i < len; i++) {
        const kv_op_t *op = &ops[i];
        if (op->is_delete)
            rocksdb_writebatch_delete(rocks->batch, (const char *)op->key.at, op->key.len);
        else
            rocksdb_writebatch_put(rocks->batch, (const char *)op->key.at, op->key.len,
                                   (const char *)op->value.at, op->value.len);
    }
    char *error = NULL;
    rocksdb_write(db, rocks->write, rocks->batch, &error);
    return rocks_error(error, "write", why);
}

static err_t rocks_write(kv_t *kv, const kv_op_t *ops, size_t len, why_t *why) {
    rocks_t *rocks = rocks_of(kv);
    drop_cursor(rocks);
    return write_to(rocks, rocks->db, ops, len, why);
}

static err_t rocks_flush(kv_t *kv, why_t *why) {
    char *error = NULL;
    rocksdb_flush(rocks_of(kv)->db, rocks_of(kv)->flush, &error);
    return rocks_error(error, "flush", why);
}

static uint64_t rocks_disk_bytes(kv_t *kv) {
    uint64_t bytes = 0;
    if (rocksdb_property_int(rocks_of(kv)->db, "rocksdb.total-sst-files-size", &bytes) != 0)
        return 0;
    return bytes;
}

static void rocks_destroy(kv_t *kv) {
    rocks_t *rocks = rocks_of(kv);
    drop_cursor(rocks);
    if (rocks->family) rocksdb_column_family_handle_destroy(rocks->family);
    if (rocks->db) rocksdb_close(rocks->db);
    if (rocks->side) rocksdb_close(rocks->side);
    free(rocks->path);
    free(rocks->side_path);
    rocksdb_writebatch_destroy(rocks->batch);
    rocksdb_readoptions_destroy(rocks->read);
    rocksdb_readoptions_destroy(rocks->read_flushed);
    rocksdb_readoptions_destroy(rocks->read_many);
    rocksdb_writeoptions_destroy(rocks->write);
    rocksdb_flushoptions_destroy(rocks->flush);
    rocksdb_options_destroy(rocks->options);
    rocksdb_block_based_options_destroy(rocks->table);
    rocksdb_cache_destroy(rocks->cache);
    free(rocks);
}

static err_t open_path(rocks_t *rocks, bool read_only, why_t *why) {
    char *error = NULL;
    const char *name = "default"; // its handle is what multi-get asks for
    const rocksdb_options_t *options = rocks->options;
    rocks->db =
        read_only
            ? rocksdb_open_for_read_only_column_families(options, rocks->path, 1, &name, &options,
                                                         &rocks->family, false, &error)
            : rocksdb_open_column_families(options, rocks->path, 1, &name, &options, &rocks->family,
                                           &error);
    return rocks_error(error, "open", why);
}

// ---- whole copies -------------------------------------------------------------------------------
typedef struct {
    kv_view_t face;
    rocks_t *rocks;
    const rocksdb_snapshot_t *snapshot;
    rocksdb_readoptions_t *read;
    rocksdb_iterator_t *at;
} rocks_view_t;

static err_t rocks_view_open(kv_t *kv, kv_view_t **ret_view, why_t *why) {
    rocks_view_t *view = NEW(rocks_view_t);
    view->face.ops = kv->ops;
    view->rocks = rocks_of(kv);
    view->snapshot = rocksdb_create_snapshot(view->rocks->db);
    view->read = rocksdb_readoptions_create();
    rocksdb_readoptions_set_snapshot(view->read, view->snapshot);
    rocksdb_readoptions_set_fill_cache(view->read, 0); // nobody reads this again
    view->at = rocksdb_create_iterator(view->rocks->db, view->read);
    *ret_view = &view->face;
    return ERR_OK;
}

static bytes_t key_at(rocksdb_iterator_t *at) {
    bytes_t key;
    key.at = (const uint8_t *)rocksdb_iter_key(at, &key.len);
    return key;
}

static err_t rocks_view_read(kv_view_t *face, bytes_t after, size_t bytes_max, arena_t *arena,
                             kv_op_t **ret_pairs, size_t *ret_len, why_t *why) {
    rocksdb_iterator_t *at = ((rocks_view_t *)face)->at;
    VEC(kv_op_t) pairs = {0};
    size_t bytes = 0;
    rocksdb_iter_seek(at, (const char *)after.at, after.len);
    if (after.len && rocksdb_iter_valid(at) && bytes_eq(key_at(at), after)) rocksdb_iter_next(at);
    for (; rocksdb_iter_valid(at) && (pairs.len == 0 || bytes < bytes_max); rocksdb_iter_next(at)) {
        bytes_t key = key_at(at), value;
        value.at = (const uint8_t *)rocksdb_iter_value(at, &value.len);
        uint8_t *copy = arena_alloc(arena, key.len + value.len + 1);
        memcpy(copy, key.at, key.len);
        if (value.len) memcpy(copy + key.len, value.at, value.len);
        vec_push(&pairs, ((kv_op_t){{copy, key.len}, {copy + key.len, value.len}, false}));
        bytes += key.len + value.len;
    }
    char *error = NULL;
    rocksdb_iter_get_error(at, &error);
    *ret_len = pairs.len;
    *ret_pairs = ARENA_ARRAY(arena, kv_op_t, pairs.len + 1);
    if (pairs.len) memcpy(*ret_pairs, pairs.at, pairs.len * sizeof *pairs.at);
    vec_done(&pairs);
    return rocks_error(error, "walk", why);
}

static void rocks_view_close(kv_view_t *face) {
    rocks_view_t *view = (rocks_view_t *)face;
    rocksdb_iter_destroy(view->at);
    rocksdb_readoptions_destroy(view->read);
    rocksdb_release_snapshot(view->rocks->db, view->snapshot);
    free(view);
}

static err_t drop_side(rocks_t *rocks, why_t *why) {
    char *error = NULL;
    if (rocks->side) rocksdb_close(rocks->side);
    rocks->side = NULL;
    if (access(rocks->side_path, F_OK) != 0) return ERR_OK;
    rocksdb_destroy_db(rocks->options, rocks->side_path, &error);
    return rocks_error(error, "remove the copy", why);
}

static err_t rocks_replace_begin(kv_t *kv, why_t *why) {
    rocks_t *rocks = rocks_of(kv);
    err_t err = drop_side(rocks, why);
    if (err != ERR_OK) return err;
    char *error = NULL;
    rocks->side = rocksdb_open(rocks->options, rocks->side_path, &error);
    return rocks_error(error, "open the copy", why);
}

static err_t rocks_replace_add(kv_t *kv, const kv_op_t *pairs, size_t len, why_t *why) {
    return write_to(rocks_of(kv), rocks_of(kv)->side, pairs, len, why);
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
    char *error = NULL;
    rocksdb_flush(rocks->side, rocks->flush, &error);
    if (error) return rocks_error(error, "flush the copy", why);
    drop_cursor(rocks);
    rocksdb_close(rocks->side);
    rocksdb_column_family_handle_destroy(rocks->family);
    rocksdb_close(rocks->db);
    rocks->side = rocks->db = NULL;
    rocks->family = NULL;
    if (renameat2(AT_FDCWD, rocks->side_path, AT_FDCWD, rocks->path, RENAME_EXCHANGE) != 0)
        return why_errno(why, errno, "put %s in place", rocks->path);
    err_t err = sync_folder_of(rocks->path, why);
    if (err != ERR_OK) return err;
    err = open_path(rocks, false, why);
    return err == ERR_OK ? drop_side(rocks, why) : err;
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

static void set_options(rocks_t *rocks) {
    rocks->options = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(rocks->options, 1);
    rocksdb_options_set_write_buffer_size(rocks->options, ROCKS_MEMTABLE_BYTES);
    rocksdb_options_set_max_write_buffer_number(rocks->options, 3);
    rocksdb_options_set_max_background_jobs(rocks->options, 2);
    rocksdb_options_set_max_open_files(rocks->options, 256);
    rocksdb_options_set_keep_log_file_num(rocks->options, 2);
    rocksdb_options_set_max_log_file_size(rocks->options, 1 << 20);
    rocksdb_options_set_stats_dump_period_sec(rocks->options, 0); // no wake-up when idle
    rocksdb_options_set_target_file_size_base(rocks->options, 8 << 20);
    rocksdb_options_set_max_bytes_for_level_base(rocks->options, 64 << 20);
    rocksdb_options_set_compression(rocks->options, rocksdb_lz4_compression);
    rocksdb_options_set_level_compaction_dynamic_level_bytes(rocks->options, 1);
    // A flood of deletions is compacted when it was flushed, not when the next flood comes.
    rocksdb_options_add_compact_on_deletion_collector_factory(rocks->options, DELETIONS_WINDOW,
                                                              DELETIONS_TRIGGER);

    rocks->cache = rocksdb_cache_create_lru(ROCKS_CACHE_BYTES);
    rocks->table = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_cache(rocks->table, rocks->cache);
    rocksdb_block_based_options_set_filter_policy(rocks->table,
                                                  rocksdb_filterpolicy_create_bloom_full(10));
    rocksdb_options_set_block_based_table_factory(rocks->options, rocks->table);

    rocks->read = rocksdb_readoptions_create();
    rocks->read_flushed = rocksdb_readoptions_create();
    rocks->read_many = rocksdb_readoptions_create();
    rocksdb_readoptions_set_fill_cache(rocks->read_many, 0); // scattered values: nobody comes again
    rocksdb_readoptions_set_read_tier(rocks->read_flushed, READ_TIER_PERSISTED);
    rocks->write = rocksdb_writeoptions_create();
    rocksdb_writeoptions_disable_WAL(rocks->write, 1);
    rocks->flush = rocksdb_flushoptions_create();
    rocksdb_flushoptions_set_wait(rocks->flush, 1);
    rocks->batch = rocksdb_writebatch_create();
}

static err_t open_db(const char *path, bool read_only, kv_t **ret_kv, why_t *why) {
    rocks_t *rocks = NEW(rocks_t);
    rocks->face.ops = &rocks_ops;
    set_options(rocks);
    rocks->path = str_dup(path);
    rocks->side_path = str_printf("%s.new", path);
    err_t err = open_path(rocks, read_only, why);
    if (err == ERR_OK && !read_only) err = drop_side(rocks, why); // what a crash left
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
    char *error = NULL;
    rocksdb_checkpoint_t *checkpoint = rocksdb_checkpoint_object_create(rocks_of(kv)->db, &error);
    if (!error) rocksdb_checkpoint_create(checkpoint, path, 0, &error);
    if (checkpoint) rocksdb_checkpoint_object_destroy(checkpoint);
    return rocks_error(error, "copy", why);
}
