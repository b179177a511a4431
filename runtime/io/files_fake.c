// The side in memory: a disk with a cache that a power cut empties.
//
//     node = durable bytes + what readers see (current) + the writes between the two, in order
//     names = a table path -> node, and the changes of it that no folder sync has covered yet
//
// At a crash each unsynced write is cut into sectors, and each sector is kept or lost by a throw
// of the dice; of the unsynced changes of names a random first part is kept (journalled file
// systems keep their order).
#include "runtime/base/rng.h"
#include "runtime/base/vec.h"
#include "runtime/io/files.h"
#include "runtime/io/files_ops.h"

typedef struct {
    uint64_t offset, len;
    bool allocate; // the whole file was made len bytes of zeros
} span_t;

typedef struct {
    uint8_t *durable, *current; // owned; what a crash leaves for sure, what reads see
    uint64_t durable_len, current_len;
    VEC(span_t) unsynced;
    int refs; // names, undo records and handles
    bool locked;
} node_t;

typedef struct {
    char *path;   // owned
    node_t *node; // NULL: a folder
} name_t;

// What a name stood for before a change, to undo it; newest last.
typedef struct {
    char *path;     // owned
    node_t *before; // NULL: it was not there
    bool joined;    // second half of a rename: undone with the record before it or not at all
} undo_t;

typedef struct {
    files_t face;
    rng_t rng;
    VEC(name_t) names;
    VEC(undo_t) undo;
    uint64_t capacity, used;
    uint64_t writes, writes_left; // done so far; until the cut
    bool cut;
    int64_t sync_low_us, sync_high_us, delay_us;
    uint64_t epoch; // counts crashes: handles of an older one are dead
} fake_t;

typedef struct {
    file_t face;
    node_t *node;
    uint64_t epoch;
    bool holds_lock;
} handle_t;

static fake_t *fake_of(files_t *files) { return (fake_t *)files; }
static handle_t *handle_of(file_t *file) { return (handle_t *)file; }

// ---- nodes and names ----------------------------------------------------------------------------
static node_t *node_ref(node_t *node) {
    if (node) node->refs++;
    return node;
}
static void node_unref(node_t *node) {
    if (!node || --node->refs > 0) return;
    free(node->durable);
    free(node->current);
    vec_done(&node->unsynced);
    free(node);
}

static name_t *name_at(fake_t *fake, const char *path) {
    for (size_t i = 0; i < fake->names.len; i++)
        if (streq(fake->names.at[i].path, path)) return &fake->names.at[i];
    return NULL;
}

// Let `path` stand for `node` (taken) or for nothing (NULL).
static void name_set(fake_t *fake, const char *path, node_t *node) {
    name_t *name = name_at(fake, path);
    if (!name && node) vec_push(&fake->names, ((name_t){str_dup(path), node}));
    if (!name) return;
    node_unref(name->node);
    name->node = node;
    if (node) return;
    free(name->path);
    vec_remove(&fake->names, (size_t)(name - fake->names.at));
}

static void name_change(fake_t *fake, const char *path, node_t *node, bool joined) {
    name_t *name = name_at(fake, path);
    vec_push(&fake->undo, ((undo_t){str_dup(path), node_ref(name ? name->node : NULL), joined}));
    name_set(fake, path, node);
}

// May one more write happen? Counts it.
static err_t spend(fake_t *fake, why_t *why) {
    if (!fake->cut && fake->writes_left == 0) fake->cut = true;
    if (fake->cut) return why_set(why, ERR_IO, "the power is cut");
    if (fake->writes_left != UINT64_MAX) fake->writes_left--;
    fake->writes++;
    return ERR_OK;
}

static err_t live(file_t *file, why_t *why) {
    handle_t *handle = handle_of(file);
    if (handle->epoch == fake_of(file->files)->epoch) return ERR_OK;
    return why_set(why, ERR_IO, "%s was opened before the crash", file->path);
}

static err_t grow(fake_t *fake, node_t *node, uint64_t len, why_t *why) {
    if (len <= node->current_len) return ERR_OK;
    uint64_t more = len - node->current_len;
    if (fake->capacity && fake->used + more > fake->capacity)
        return why_set(why, ERR_DISK_FULL, "the disk of %llu bytes is full",
                       (unsigned long long)fake->capacity);
    node->current = mem_resize(node->current, len);
    memset(node->current + node->current_len, 0, more);
    node->current_len = len;
    fake->used += more;
    return ERR_OK;
}

// ---- the port -----------------------------------------------------------------------------------
static err_t fake_make_dir(files_t *files, const char *path, why_t *why) {
    // Folders need no entry of their own: a path that has files under it is one.
    return fake_of(files)->cut ? why_set(why, ERR_IO, "the power is cut") : ERR_OK;
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static err_t fake_list(files_t *files, const char *dir, arena_t *arena, const char ***ret_names,
                       size_t *ret_len, why_t *why) {
    fake_t *fake = fake_of(files);
    const char **names = ARENA_ARRAY(arena, const char *, fake->names.len + 1);
    size_t len = 0, dir_len = strlen(dir);
    for (size_t i = 0; i < fake->names.len; i++) {
        const char *path = fake->names.at[i].path;
        if (strncmp(path, dir, dir_len) != 0 || path[dir_len] != '/') continue;
        if (strchr(path + dir_len + 1, '/')) continue;
        names[len++] = arena_strdup(arena, path + dir_len + 1);
    }
    qsort(names, len, sizeof *names, by_name);
    *ret_names = names;
    *ret_len = len;
    return ERR_OK;
}

static err_t fake_rename(files_t *files, const char *from, const char *to, why_t *why) {
    fake_t *fake = fake_of(files);
    err_t err = spend(fake, why);
    if (err != ERR_OK) return err;
    name_t *name = name_at(fake, from);
    if (!name) return why_set(why, ERR_NOT_FOUND, "rename %s: no such file", from);
    node_t *node = node_ref(name->node);
    name_change(fake, to, node, false);
    name_change(fake, from, NULL, true);
    return ERR_OK;
}

static err_t fake_remove(files_t *files, const char *path, why_t *why) {
    fake_t *fake = fake_of(files);
    err_t err = spend(fake, why);
    if (err != ERR_OK) return err;
    name_t *name = name_at(fake, path);
    if (!name) return why_set(why, ERR_NOT_FOUND, "remove %s: no such file", path);
    fake->used -= name->node->current_len;
    name_change(fake, path, NULL, false);
    return ERR_OK;
}

static void forget_undo(fake_t *fake) {
    for (size_t i = 0; i < fake->undo.len; i++) {
        free(fake->undo.at[i].path);
        node_unref(fake->undo.at[i].before);
    }
    vec_reset(&fake->undo);
}

static err_t fake_sync_dir(files_t *files, const char *dir, why_t *why) {
    fake_t *fake = fake_of(files);
    err_t err = spend(fake, why);
    if (err == ERR_OK) forget_undo(fake); // one journal for all folders
    return err;
}

static err_t fake_free_bytes(files_t *files, const char *dir, uint64_t *ret_bytes, why_t *why) {
    fake_t *fake = fake_of(files);
    *ret_bytes = !fake->capacity                ? UINT64_MAX
                 : fake->used >= fake->capacity ? 0
                                                : fake->capacity - fake->used;
    return ERR_OK;
}

static err_t fake_open(files_t *files, const char *path, file_mode_t mode, file_t **ret_file,
                       why_t *why) {
    fake_t *fake = fake_of(files);
    name_t *name = name_at(fake, path);
    if (!name && mode != FILE_OPEN_CREATE)
        return why_set(why, ERR_NOT_FOUND, "open %s: no such file", path);
    if (!name) {
        err_t err = spend(fake, why);
        if (err != ERR_OK) return err;
        node_t *node = NEW(node_t);
        name_change(fake, path, node_ref(node), false);
        name = name_at(fake, path);
    }
    handle_t *handle = NEW(handle_t);
    *handle = (handle_t){.face = {.files = files, .path = str_dup(path)},
                         .node = node_ref(name->node),
                         .epoch = fake->epoch};
    *ret_file = &handle->face;
    return ERR_OK;
}

static void fake_close(file_t *file) {
    handle_t *handle = handle_of(file);
    if (handle->holds_lock && handle->epoch == fake_of(file->files)->epoch)
        handle->node->locked = false;
    node_unref(handle->node);
    free(file->path);
    free(handle);
}

static err_t fake_lock(files_t *files, const char *path, file_t **ret_file, why_t *why) {
    file_t *file = NULL;
    err_t err = fake_open(files, path, FILE_OPEN_CREATE, &file, why);
    if (err != ERR_OK) return err;
    handle_t *handle = handle_of(file);
    if (handle->node->locked) {
        fake_close(file);
        return why_set(why, ERR_EXISTS, "%s is held by another process", path);
    }
    handle->node->locked = handle->holds_lock = true;
    *ret_file = file;
    return ERR_OK;
}

static err_t fake_size(file_t *file, uint64_t *ret_bytes, why_t *why) {
    *ret_bytes = handle_of(file)->node->current_len;
    return live(file, why);
}

static err_t fake_allocate(file_t *file, uint64_t bytes, why_t *why) {
    fake_t *fake = fake_of(file->files);
    node_t *node = handle_of(file)->node;
    err_t err = live(file, why);
    if (err == ERR_OK) err = spend(fake, why);
    if (err == ERR_OK) err = grow(fake, node, bytes, why);
    if (err != ERR_OK) return err;
    fake->used -= node->current_len - bytes;
    node->current_len = bytes;
    memset(node->current, 0, bytes);
    vec_push(&node->unsynced, ((span_t){0, bytes, true}));
    return ERR_OK;
}

static err_t fake_reserve(file_t *file, uint64_t bytes, why_t *why) {
    fake_t *fake = fake_of(file->files);
    node_t *node = handle_of(file)->node;
    err_t err = live(file, why);
    if (err == ERR_OK) err = spend(fake, why);
    uint64_t before = node->current_len;
    if (err == ERR_OK) err = grow(fake, node, bytes, why);
    if (err == ERR_OK && bytes > before)
        vec_push(&node->unsynced, ((span_t){before, bytes - before, false}));
    return err;
}

static err_t fake_write_at(file_t *file, uint64_t offset, bytes_t data, why_t *why) {
    fake_t *fake = fake_of(file->files);
    node_t *node = handle_of(file)->node;
    err_t err = live(file, why);
    if (err == ERR_OK) err = spend(fake, why);
    if (err == ERR_OK) err = grow(fake, node, offset + data.len, why);
    if (err != ERR_OK) return err;
    if (data.len) memcpy(node->current + offset, data.at, data.len);
    vec_push(&node->unsynced, ((span_t){offset, data.len, false}));
    return ERR_OK;
}

static err_t fake_read_at(file_t *file, uint64_t offset, void *to, size_t len, size_t *ret_len,
                          why_t *why) {
    node_t *node = handle_of(file)->node;
    err_t err = live(file, why);
    if (err != ERR_OK) return err;
    if (offset > node->current_len) offset = node->current_len;
    if (len > node->current_len - offset) len = node->current_len - offset;
    if (len) memcpy(to, node->current + offset, len);
    *ret_len = len;
    return ERR_OK;
}

// What is visible now becomes what a crash leaves.
static void settle_node(node_t *node) {
    node->durable = mem_resize(node->durable, node->current_len + 1);
    for (size_t i = 0; i < node->unsynced.len; i++) {
        const span_t *span = &node->unsynced.at[i];
        uint64_t len = span->len;
        if (span->offset >= node->current_len) continue;
        if (len > node->current_len - span->offset) len = node->current_len - span->offset;
        memcpy(node->durable + span->offset, node->current + span->offset, len);
    }
    node->durable_len = node->current_len;
    vec_reset(&node->unsynced);
}

static err_t fake_sync(file_t *file, why_t *why) {
    fake_t *fake = fake_of(file->files);
    err_t err = live(file, why);
    if (err == ERR_OK) err = spend(fake, why);
    if (err != ERR_OK) return err;
    settle_node(handle_of(file)->node);
    if (fake->sync_high_us)
        fake->delay_us += rng_between(&fake->rng, fake->sync_low_us, fake->sync_high_us);
    return ERR_OK;
}

static int64_t fake_take_delay_us(files_t *files) {
    int64_t delay = fake_of(files)->delay_us;
    fake_of(files)->delay_us = 0;
    return delay;
}

static const files_ops_t fake_ops = {
    .make_dir = fake_make_dir,
    .list = fake_list,
    .rename = fake_rename,
    .remove = fake_remove,
    .sync_dir = fake_sync_dir,
    .free_bytes = fake_free_bytes,
    .lock = fake_lock,
    .open = fake_open,
    .close = fake_close,
    .size = fake_size,
    .allocate = fake_allocate,
    .reserve = fake_reserve,
    .write_at = fake_write_at,
    .read_at = fake_read_at,
    .sync = fake_sync,
    .take_delay_us = fake_take_delay_us,
};

// ---- faults -------------------------------------------------------------------------------------
// The sectors of one unsynced write that reached the platter before the power went.
static void keep_some_sectors(fake_t *fake, node_t *node, const span_t *span) {
    uint64_t end = span->offset + span->len;
    if (end > node->current_len) end = node->current_len;
    bool all = rng_chance(&fake->rng, 0.25), none = !all && rng_chance(&fake->rng, 0.33);
    if (none) return;
    for (uint64_t at = span->offset; at < end;) {
        uint64_t next = (at / FILES_SECTOR_BYTES + 1) * FILES_SECTOR_BYTES;
        if (next > end) next = end;
        if (all || rng_chance(&fake->rng, 0.5)) {
            if (next > node->durable_len) {
                node->durable = mem_resize(node->durable, next + 1);
                memset(node->durable + node->durable_len, 0, next - node->durable_len);
                node->durable_len = next;
            }
            memcpy(node->durable + at, node->current + at, next - at);
        }
        at = next;
    }
}

static void crash_node(fake_t *fake, node_t *node) {
    for (size_t i = 0; i < node->unsynced.len; i++)
        keep_some_sectors(fake, node, &node->unsynced.at[i]);
    vec_reset(&node->unsynced);
    node->locked = false;
    node->current = mem_resize(node->current, node->durable_len + 1);
    if (node->durable_len) memcpy(node->current, node->durable, node->durable_len);
    node->current_len = node->durable_len;
}

void files_fake_crash(files_t *files) {
    fake_t *fake = fake_of(files);
    size_t kept = fake->undo.len ? (size_t)rng_below(&fake->rng, fake->undo.len + 1) : 0;
    while (kept < fake->undo.len && fake->undo.at[kept].joined) kept--;
    while (fake->undo.len > kept) {
        undo_t *undo = &fake->undo.at[--fake->undo.len];
        name_set(fake, undo->path, undo->before); // takes the reference
        free(undo->path);
    }
    forget_undo(fake);
    fake->used = 0;
    for (size_t i = 0; i < fake->names.len; i++) {
        crash_node(fake, fake->names.at[i].node);
        fake->used += fake->names.at[i].node->current_len;
    }
    fake->epoch++;
    fake->cut = false;
    fake->writes_left = UINT64_MAX;
    fake->delay_us = 0;
}

void files_fake_set_capacity(files_t *files, uint64_t bytes) { fake_of(files)->capacity = bytes; }
void files_fake_set_delay(files_t *files, int64_t sync_low_us, int64_t sync_high_us) {
    assert(sync_low_us <= sync_high_us);
    fake_of(files)->sync_low_us = sync_low_us;
    fake_of(files)->sync_high_us = sync_high_us;
}
void files_fake_cut_after(files_t *files, uint64_t count) { fake_of(files)->writes_left = count; }
bool files_fake_is_cut(const files_t *files) { return ((const fake_t *)files)->cut; }
uint64_t files_fake_writes(const files_t *files) { return ((const fake_t *)files)->writes; }

err_t files_fake_flip_bit(files_t *files, const char *path, uint64_t offset, why_t *why) {
    name_t *name = name_at(fake_of(files), path);
    if (!name) return why_set(why, ERR_NOT_FOUND, "flip a bit of %s: no such file", path);
    if (offset >= name->node->current_len)
        return why_set(why, ERR_BAD_REQUEST, "%s ends before %llu", path,
                       (unsigned long long)offset);
    name->node->current[offset] ^= 0x10;
    if (offset < name->node->durable_len) name->node->durable[offset] ^= 0x10;
    return ERR_OK;
}

files_t *files_fake_new(uint64_t seed) {
    fake_t *fake = NEW(fake_t);
    fake->face.ops = &fake_ops;
    fake->writes_left = UINT64_MAX;
    rng_init(&fake->rng, seed);
    return &fake->face;
}

void files_fake_destroy(files_t **files) {
    fake_t *fake = (fake_t *)x_steal(files);
    if (!fake) return;
    forget_undo(fake);
    while (fake->names.len) name_set(fake, fake->names.at[0].path, NULL);
    vec_done(&fake->names);
    vec_done(&fake->undo);
    free(fake);
}
