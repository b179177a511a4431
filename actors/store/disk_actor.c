#include "actors/store/disk_actor.h"
#include "runtime/api/msg.h"
#include "runtime/base/canary.h"
#include "runtime/base/clock.h"
#include "runtime/base/hash.h"
#include "runtime/base/log.h"
#include "runtime/base/vec.h"
#include "store/log/journal.h"
#include "troupe/raft.pb-c.h"

enum {
    READ_BYTES_MAX = 4 << 20, // of one DiskEntries
    TIMER_HELD = 1,
    TIMER_LOOK,
    TIMER_MARK,
    MARK_IDLE_MS = 50, // after the last sync
};

// ---- state --------------------------------------------------------------------------------------
// An answer of a simulated disk that is slow: held until then.
typedef struct {
    uint64_t write;
    int64_t due_us;
    int64_t sync_us;
} held_t;

typedef struct {
    const disk_args_t *args;
    files_t *files;
    journal_t *journal;
    char *store;           // address of our store actor; owned
    uint64_t session;      // the store's life we speak with
    uint64_t write;        // newest write appended
    uint32_t part;         // of the next one that is due
    uint64_t write_synced; // and synced
    VEC(held_t) held;
    int64_t busy_until_us; // a slow disk does one thing after the other
    bool failed;
    char *reserve;       // path of the file that keeps room; owned
    uint64_t unlooked;   // bytes written since the free space was last looked at
    bool full;           // and the store was told so
    VEC(blob_t *) queue; // writes that found no room in the log, in order; owned
    bool has_mark;       // DISK_REJOIN_MARK is in the folder
} disk_t;

uint64_t store_member_id(const char *member) {
    uint64_t id = hash_fnv64a(member, strlen(member));
    return id ? id : 1;
}

uint64_t store_cluster_id(const char *word) {
    char *end;
    uint64_t id = strlen(word) == 16 ? strtoull(word, &end, 16) : 0;
    if (id && *end == 0) return id;
    return store_member_id(word);
}

static void tell_failed(actor_t *me, err_t err, const char *why) {
    disk_t *self = actor_state(me);
    Raftpb__DiskFailed body = PROTOBUF_C_MESSAGE_INIT(&raftpb__disk_failed__descriptor);
    body.session = self->session;
    body.err = (int32_t)err;
    body.why = why;
    actor_tell(me, self->store, &body.base);
}

static void fail(actor_t *me, err_t err, const why_t *why) {
    disk_t *self = actor_state(me);
    if (self->failed) return;
    self->failed = true;
    tell_failed(me, err, why->text);
    actor_exit(me, why->text);
}

// A link that broke may have lost a write: what comes after it must not be appended. The store
// begins a new session.
static bool is_due(actor_t *me, const Raftpb__DiskWrite *request) {
    disk_t *self = actor_state(me);
    if (request->write == self->write + 1 && request->part == self->part) return true;
    tell_failed(me, ERR_GAP, "a write was lost on its way to the disk");
    self->session = 0;
    return false;
}

static uint64_t segment_bytes(const disk_t *self) {
    uint64_t bytes = self->args->segment_bytes;
    return bytes ? bytes : JOURNAL_SEGMENT_BYTES_DEFAULT;
}

static uint64_t look_bytes(const disk_t *self) {
    uint64_t segment = segment_bytes(self);
    return segment < DISK_LOOK_BYTES ? segment : DISK_LOOK_BYTES;
}

// ERR_DISK_FULL: nothing is done. Other errors have ended the actor.
static err_t append(actor_t *me, const Raftpb__DiskWrite *request, why_t *why) {
    disk_t *self = actor_state(me);
    journal_entry_t *entries =
        ARENA_ARRAY(actor_arena(me), journal_entry_t, request->n_entries + 1);
    for (size_t i = 0; i < request->n_entries; i++) {
        const Raftpb__Entry *e = request->entries[i];
        entries[i] =
            (journal_entry_t){e->index, e->term, (uint8_t)e->kind, {e->data.data, e->data.len}};
    }
    raft_hard_t hard = {request->term, request->vote};
    if (request->begin_after && request->part == 0) {
        err_t begun =
            journal_restart(self->journal, request->begin_after, request->begin_term, why);
        if (begun != ERR_OK) {
            if (begun != ERR_DISK_FULL) fail(me, begun, why);
            return begun;
        }
    }
    uint64_t room = journal_room(self->journal);
    err_t err = journal_append(self->journal, request->has_hard ? &hard : NULL, entries,
                               request->n_entries, why);
    if (err == ERR_DISK_FULL) return err;
    if (err != ERR_OK) {
        fail(me, err, why);
        return err;
    }
    uint64_t left = journal_room(self->journal);
    self->unlooked += left < room ? room - left : look_bytes(self);
    self->part = request->more ? self->part + 1 : 0;
    if (!request->more) self->write = request->write;
    return ERR_OK;
}

// ---- space --------------------------------------------------------------------------------------
static void drop_queue(disk_t *self) {
    for (size_t i = 0; i < self->queue.len; i++) blob_unref(&self->queue.at[i]);
    vec_reset(&self->queue);
}

// Some is kept for what no client asks for: elections, the ends of leases.
static uint64_t room_told(const disk_t *self) {
    uint64_t room = journal_room(self->journal), kept = look_bytes(self);
    return room > kept ? room - kept : 0;
}

static void tell_space(actor_t *me, const char *why) {
    disk_t *self = actor_state(me);
    if (!self->session) return; // it is told when it asks
    Raftpb__DiskSpace body = PROTOBUF_C_MESSAGE_INIT(&raftpb__disk_space__descriptor);
    body.session = self->session;
    body.full = self->full;
    body.why = why;
    body.log_room = room_told(self);
    actor_tell(me, self->store, &body.base);
}

static uint64_t reserve_bytes(const disk_t *self) {
    if (self->args->reserve_bytes) return self->args->reserve_bytes;
    if (self->files == files_real()) return DISK_RESERVE_BYTES;
    return 2 * segment_bytes(self);
}

// Is there room for the reserve, or what is missing of it, and half as much again?
static err_t measure(disk_t *self, uint64_t *ret_reserve, why_t *why) {
    uint64_t want = reserve_bytes(self), free_bytes = 0;
    CLEANUP(file_close) file_t *file = NULL;
    *ret_reserve = 0;
    err_t err = files_free_bytes(self->files, self->args->data_dir, &free_bytes, why);
    if (err == ERR_OK &&
        files_open(self->files, self->reserve, FILE_OPEN_READ, &file, NULL) == ERR_OK)
        err = file_size(file, ret_reserve, why);
    uint64_t least = want / 2 + (*ret_reserve < want ? want - *ret_reserve : 0);
    if (err != ERR_OK || free_bytes >= least) return err;
    return why_set(why, ERR_DISK_FULL, "%llu MiB are free, %llu MiB are wanted",
                   (unsigned long long)free_bytes >> 20, (unsigned long long)least >> 20);
}

// Each spare file, the reserve, and as much again as half of it: all there, or ERR_DISK_FULL.
static err_t have_space(disk_t *self, why_t *why) {
    CLEANUP(file_close) file_t *file = NULL;
    uint64_t have = 0;
    err_t err = ERR_OK;
    for (bool made = true; err == ERR_OK && made;) err = journal_reserve(self->journal, &made, why);
    if (err == ERR_OK) err = measure(self, &have, why);
    if (err != ERR_OK || have >= reserve_bytes(self)) return err;
    err = files_open(self->files, self->reserve, FILE_OPEN_CREATE, &file, why);
    return err == ERR_OK ? file_reserve(file, reserve_bytes(self), why) : err;
}

static void set_full(actor_t *me, const char *why) {
    disk_t *self = actor_state(me);
    actor_timer(me, TIMER_LOOK, DISK_LOOK_MS);
    if (self->full) return;
    self->full = true;
    actor_gauge(me, "disk_full", 1);
    err_t gone = files_remove(self->files, self->reserve, NULL);
    log_error(actor_address(me), "no space left for %s: %s%s", self->args->data_dir, why,
              gone == ERR_OK ? "; the reserve is given up" : "");
    tell_space(me, why);
}

static bool append_queued(actor_t *me) {
    disk_t *self = actor_state(me);
    while (self->queue.len && !self->failed) {
        Raftpb__DiskWrite *request =
            msg_unpack_own(actor_arena(me), &raftpb__disk_write__descriptor,
                           blob_bytes(self->queue.at[0]));
        assert(request); // it was unpacked when it came
        why_t why;
        if (!is_due(me, request)) {
            drop_queue(self);
            break;
        }
        if (append(me, request, &why) != ERR_OK) return false;
        blob_unref(&self->queue.at[0]);
        vec_remove(&self->queue, 0);
    }
    return !self->failed;
}

// Nobody waits: this is the time to make files and to see what is left.
static void look(actor_t *me) {
    disk_t *self = actor_state(me);
    self->unlooked = 0;
    why_t why;
    // Whatever the reason: what cannot be reserved must not be relied on.
    if (have_space(self, &why) != ERR_OK) {
        set_full(me, why.text);
    } else if (self->full) {
        self->full = false;
        actor_gauge(me, "disk_full", 0);
        log_info(actor_address(me), "there is room again for %s", self->args->data_dir);
        tell_space(me, "");
    }
}

static void look_again(actor_t *me) {
    disk_t *self = actor_state(me);
    if (self->failed) return;
    // Log files that were cut may have come back as spares: what waits goes first.
    if (append_queued(me)) look(me);
    if (self->full) actor_timer(me, TIMER_LOOK, DISK_LOOK_MS);
}

// The database opens beside us and may need what the reserve keeps.
static void look_first(actor_t *me) {
    disk_t *self = actor_state(me);
    uint64_t have = 0;
    bool fresh = journal_trail(self->journal)->last == 0; // its reserve is yet to be made
    why_t why;
    if (!fresh && measure(self, &have, &why) != ERR_OK) set_full(me, why.text);
}

static char *mark_path(const disk_t *self) {
    return str_printf("%s/" DISK_REJOIN_MARK, self->args->data_dir);
}

static err_t look_for_mark(disk_t *self, why_t *why) {
    CLEANUP(free_charp) char *path = mark_path(self);
    file_t *mark = NULL;
    err_t err = files_open(self->files, path, FILE_OPEN_READ, &mark, why);
    file_close(&mark);
    self->has_mark = err == ERR_OK;
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

// ---- handlers -----------------------------------------------------------------------------------
static void reply_state(actor_t *me, const message_t *msg) {
    disk_t *self = actor_state(me);
    const trail_t *trail = journal_trail(self->journal);
    arena_t *arena = actor_arena(me);
    Raftpb__DiskState *state = MSG_NEW(arena, Raftpb__DiskState, raftpb__disk_state__descriptor);
    state->cluster_id = journal_cluster_id(self->journal);
    state->term = journal_hard(self->journal).term;
    state->vote = journal_hard(self->journal).vote;
    state->begin = trail->base;
    state->begin_term = trail->base_term;
    state->last = trail->last;
    state->n_run_first = state->n_run_term = trail->runs.len;
    state->run_first = ARENA_ARRAY(arena, uint64_t, trail->runs.len + 1);
    state->run_term = ARENA_ARRAY(arena, uint64_t, trail->runs.len + 1);
    for (size_t i = 0; i < trail->runs.len; i++) {
        state->run_first[i] = trail->runs.at[i].first;
        state->run_term[i] = trail->runs.at[i].term;
    }
    state->log_bytes = journal_bytes(self->journal);
    state->torn_bytes = journal_torn_bytes(self->journal);
    state->rejoin = self->has_mark;
    actor_reply(me, msg, &state->base);
}

static void on_recover(actor_t *me, const message_t *msg, const void *body) {
    disk_t *self = actor_state(me);
    const Raftpb__DiskRecover *request = body;
    self->session = request->session;
    self->write = self->write_synced = 0;
    self->part = 0;
    vec_reset(&self->held);
    drop_queue(self);
    // What an earlier life of the store appended without hearing of its sync counts from here on as
    // part of the log: so it must be durable.
    why_t why;
    err_t err = journal_sync(self->journal, &why);
    if (err != ERR_OK) {
        actor_fail(me, msg, err, why.text);
        fail(me, err, &why);
        return;
    }
    reply_state(me, msg);
    if (self->full) tell_space(me, "it was full at the start");
    actor_timer(me, TIMER_LOOK, DISK_LOOK_MS); // not before the first writes: files take time
}

static void on_restart(actor_t *me, const message_t *msg, const void *body) {
    disk_t *self = actor_state(me);
    const Raftpb__DiskRestart *request = body;
    if (request->session != self->session || self->failed) {
        actor_fail(me, msg, ERR_UNAVAILABLE, "the disk actor was asked by another life");
        return;
    }
    why_t why;
    err_t err = journal_restart(self->journal, request->index, request->term, &why);
    if (err == ERR_OK) {
        reply_state(me, msg);
        return;
    }
    actor_fail(me, msg, err, why.text);
    if (err != ERR_DISK_FULL) fail(me, err, &why);
}

static void on_read(actor_t *me, const message_t *msg, const void *body) {
    disk_t *self = actor_state(me);
    const Raftpb__DiskRead *request = body;
    arena_t *arena = actor_arena(me);
    uint64_t bytes_max = request->bytes_max < READ_BYTES_MAX ? request->bytes_max : READ_BYTES_MAX;
    journal_entry_t *entries = NULL;
    size_t len = 0;
    why_t why;
    err_t err = journal_read(self->journal, request->first, bytes_max, arena, &entries, &len, &why);
    if (err != ERR_OK) {
        log_error(actor_address(me), "%s", why.text);
        actor_fail(me, msg, err, why.text);
        // Who cannot read its own log must not lead by it, nor vote. Opened anew it is refused.
        if (err == ERR_CORRUPT) fail(me, err, &why);
        return;
    }
    Raftpb__DiskEntries *reply =
        MSG_NEW(arena, Raftpb__DiskEntries, raftpb__disk_entries__descriptor);
    reply->entries = ARENA_ARRAY(arena, Raftpb__Entry *, len + 1);
    for (size_t i = 0; i < len; i++) {
        Raftpb__Entry *entry = MSG_NEW(arena, Raftpb__Entry, raftpb__entry__descriptor);
        entry->index = entries[i].index;
        entry->term = entries[i].term;
        entry->kind = entries[i].kind;
        entry->data = (ProtobufCBinaryData){entries[i].data.len, (uint8_t *)entries[i].data.at};
        reply->entries[reply->n_entries++] = entry;
    }
    actor_reply(me, msg, &reply->base);
}

static void on_write(actor_t *me, const message_t *msg, const void *body) {
    disk_t *self = actor_state(me);
    const Raftpb__DiskWrite *request = body;
    if (request->session != self->session || self->failed) return;
    why_t why;
    if (self->queue.len == 0 && !is_due(me, request)) return;
    if (self->queue.len || append(me, request, &why) == ERR_DISK_FULL) {
        if (self->queue.len == 0) set_full(me, why.text);
        vec_push(&self->queue, blob_ref(msg->body));
    }
}

static void on_full(actor_t *me, const message_t *msg, const void *body) {
    disk_t *self = actor_state(me);
    const Raftpb__DiskFull *request = body;
    if (request->session == self->session && !self->failed) set_full(me, or_empty(request->why));
}

static void on_joined(actor_t *me, const message_t *msg, const void *body) {
    disk_t *self = actor_state(me);
    const Raftpb__DiskJoined *request = body;
    if (request->session != self->session || self->failed || !self->has_mark) return;
    CLEANUP(free_charp) char *mark = mark_path(self);
    why_t why;
    err_t err = files_remove(self->files, mark, &why);
    if (err == ERR_OK) err = files_sync_dir(self->files, self->args->data_dir, &why);
    if (err != ERR_OK) // it joins once more at the next start
        log_error(actor_address(me), "%s stays: %s", mark, why.text);
    self->has_mark = err != ERR_OK;
}

static void on_cut(actor_t *me, const message_t *msg, const void *body) {
    disk_t *self = actor_state(me);
    const Raftpb__DiskCut *request = body;
    if (request->session != self->session || self->failed) return;
    why_t why;
    err_t err = journal_cut(self->journal, request->up_to, &why);
    if (err != ERR_OK) fail(me, err, &why);
}

// ---- settle -------------------------------------------------------------------------------------
static void tell_synced(actor_t *me, uint64_t write, int64_t sync_us) {
    disk_t *self = actor_state(me);
    Raftpb__DiskSynced body = PROTOBUF_C_MESSAGE_INIT(&raftpb__disk_synced__descriptor);
    body.session = self->session;
    body.write = write;
    body.sync_us = (uint64_t)sync_us;
    body.log_bytes = journal_bytes(self->journal);
    body.log_room = room_told(self);
    actor_tell(me, self->store, &body.base);
}

static void release_held(actor_t *me) {
    disk_t *self = actor_state(me);
    while (self->held.len && self->held.at[0].due_us <= actor_now_us(me)) {
        held_t held = self->held.at[0];
        vec_remove(&self->held, 0);
        tell_synced(me, held.write, held.sync_us);
    }
    if (self->held.len) {
        int64_t wait_us = self->held.at[0].due_us - actor_now_us(me);
        actor_timer(me, TIMER_HELD, (wait_us + 999) / 1000);
    }
}

// A simulated disk tells how long it would have taken; its answers leave that much later, in order.
static void answer(actor_t *me, int64_t sync_us, int64_t delay_us) {
    disk_t *self = actor_state(me);
    if (delay_us == 0 && self->held.len == 0) {
        tell_synced(me, self->write, sync_us);
        return;
    }
    int64_t start = self->busy_until_us > actor_now_us(me) ? self->busy_until_us : actor_now_us(me);
    self->busy_until_us = start + delay_us;
    vec_push(&self->held, ((held_t){self->write, self->busy_until_us, delay_us}));
    release_held(me);
}

static void sync(actor_t *me) {
    disk_t *self = actor_state(me);
    if (CANARY(DISK_ACKS_UNSYNCED)) {
        self->write_synced = self->write;
        tell_synced(me, self->write, 0);
        return;
    }
    why_t why;
    int64_t start_us = clock_monotonic_us();
    err_t err = journal_sync(self->journal, &why);
    int64_t sync_us = clock_monotonic_us() - start_us;
    if (err != ERR_OK) {
        fail(me, err, &why);
        return;
    }
    self->write_synced = self->write;
    actor_timer(me, TIMER_MARK, MARK_IDLE_MS);
    int64_t delay_us = files_take_delay_us(self->files);
    // The port's time is virtual in a simulation: real microseconds must not leak into it.
    bool is_real = self->files == files_real();
    answer(me, is_real ? sync_us : 0, delay_us);
}

static void mark(actor_t *me) {
    disk_t *self = actor_state(me);
    why_t why;
    if (self->failed) return;
    err_t err = journal_mark(self->journal, &why);
    if (err != ERR_OK) fail(me, err, &why);
}

static void settle(actor_t *me) {
    disk_t *self = actor_state(me);
    if (!self->failed && self->write != self->write_synced) sync(me);
    if (!self->failed && self->unlooked >= look_bytes(self)) look(me);
}

static void on_timer(actor_t *me, uint64_t tag) {
    if (tag == TIMER_HELD) release_held(me);
    if (tag == TIMER_LOOK) look_again(me);
    if (tag == TIMER_MARK) mark(me);
}

// ---- life ---------------------------------------------------------------------------------------
static err_t start(actor_t *me, const void *args, why_t *why) {
    disk_t *self = actor_state(me);
    self->args = args;
    assert(!is_empty(self->args->member) && !is_empty(self->args->data_dir));
    self->files = self->args->files ? self->args->files : files_real();
    self->store = str_printf("store/%s", self->args->member);
    self->reserve = str_printf("%s/reserve", self->args->data_dir);
    CLEANUP(free_charp) char *dir = str_printf("%s/log", self->args->data_dir);
    journal_options_t options = {
        .dir = dir,
        .cluster_id = is_empty(self->args->cluster) ? self->args->cluster_id
                                                    : store_cluster_id(self->args->cluster),
        .member_id = store_member_id(self->args->member),
        .segment_bytes = segment_bytes(self),
    };
    uint64_t lot = rng_next(actor_rng(me));
    err_t err = journal_open(self->files, &options, lot ? lot : 1, &self->journal, why);
    if (err == ERR_OK) err = look_for_mark(self, why);
    if (err != ERR_OK) return err;
    (void)files_take_delay_us(self->files);
    look_first(me);
    if (journal_torn_bytes(self->journal))
        log_info(actor_address(me), "cut %llu bytes that were never synced off the log's end",
                 (unsigned long long)journal_torn_bytes(self->journal));
    return ERR_OK;
}

static void stop(actor_t *me) {
    disk_t *self = actor_state(me);
    journal_close(&self->journal);
    vec_done(&self->held);
    drop_queue(self);
    vec_done(&self->queue);
    free(self->reserve);
    free(self->store);
}

static const handler_t handlers[] = {
    {&raftpb__disk_recover__descriptor, on_recover, "store"},
    {&raftpb__disk_restart__descriptor, on_restart, "store"},
    {&raftpb__disk_read__descriptor, on_read, "store"},
    {&raftpb__disk_write__descriptor, on_write, "store"},
    {&raftpb__disk_cut__descriptor, on_cut, "store"},
    {&raftpb__disk_full__descriptor, on_full, "store"},
    {&raftpb__disk_joined__descriptor, on_joined, "store"},
    {0},
};

const config_field_t disk_config[] = {
    {"dataDir", CONFIG_STRING, offsetof(disk_args_t, data_dir), 0, 0, "folder of the log"},
    {"member", CONFIG_STRING, offsetof(disk_args_t, member), 0, 0, "name of the member"},
    {"cluster", CONFIG_STRING, offsetof(disk_args_t, cluster), 0, 0,
     "word that all members of this cluster share, or its id in 16 hex digits"},
    {"segmentSize", CONFIG_BYTES, offsetof(disk_args_t, segment_bytes), 1 << 20, 1 << 30,
     "size of one segment of the log"},
    {"reserve", CONFIG_BYTES, offsetof(disk_args_t, reserve_bytes), 1 << 20, INT64_MAX,
     "room that is kept for deletions and compaction when the disk is full"},
    {NULL},
};

const actor_def_t disk_actor = {
    .role = "disk",
    .state_size = sizeof(disk_t),
    .may_block = true,
    .start = start,
    .handlers = handlers,
    .settle = settle,
    .on_timer = on_timer,
    .stop = stop,
};
