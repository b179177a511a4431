#include "store/rocks.h"
#include <errno.h>
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

static err_t rocks_write(kv_t *kv, const kv_op_t *ops, size_t len, why_t *why) {
    rocks_t *rocks = rocks_of(kv);
    drop_cursor(rocks);
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
    rocksdb_write(rocks->db, rocks->write, rocks->batch, &error);
    return rocks_error(error, "write", why);
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

static const kv_ops_t rocks_ops = {rocks_get,        rocks_seek,    rocks_next,
                                   rocks_here,       rocks_write,   rocks_flush,
                                   rocks_disk_bytes, rocks_destroy, rocks_get_many};

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
    char *error = NULL;
    const char *name = "default"; // its handle is what multi-get asks for
    const rocksdb_options_t *options = rocks->options;
    rocks->db = read_only
                    ? rocksdb_open_for_read_only_column_families(options, path, 1, &name, &options,
                                                                 &rocks->family, false, &error)
                    : rocksdb_open_column_families(options, path, 1, &name, &options,
                                                   &rocks->family, &error);
    err_t err = rocks_error(error, "open", why);
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
