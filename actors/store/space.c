// The disk as the store sees it: full, and slow.
//
// Full (the disk actor says so): what makes the store larger is refused before it enters the log;
// deletions, compaction and the ends of leases go on in the log's spare files. The database may
// have no room either: then what is applied waits in memory (stalled), and with it reads of what
// came after, until RocksDB has recovered; nothing is lost, the log has it.
#include "actors/store/disk_actor.h"
#include "actors/store/store_inner.h"
#include "runtime/api/msg.h"
#include "runtime/base/log.h"

enum {
    STALL_RETRY_MS = 200,
    SLOW_DISK_MS = 1000, // a sync that takes longer is an alarm
};

// ---- full ---------------------------------------------------------------------------------------
void store_on_disk_space(actor_t *me, const message_t *msg, const void *body) {
    store_t *s = actor_state(me);
    const Raftpb__DiskSpace *space = body;
    if (space->session != actor_incarnation(me)) return;
    free(s->disk_space.why);
    s->disk_space.full = space->full;
    s->disk_space.why = str_dup(or_empty(space->why));
    s->disk_space.log_room = space->log_room;
    actor_gauge(me, "store_disk_full", space->full);
    if (space->full)
        log_error(actor_address(me),
                  "the disk is full (%s): writes are refused, reads and deletes go on",
                  s->disk_space.why);
    else
        log_info(actor_address(me), "the disk has room again: writes are taken");
}

bool store_has_space(actor_t *me, bool shrinks, why_t *why) {
    store_t *s = actor_state(me);
    if (!s->disk_space.full && !s->disk_space.stalled) return true;
    if (shrinks && s->disk_space.log_room > s->proposal_bytes + s->entries.waiting_bytes)
        return true;
    (void)why_set(why, ERR_DISK_FULL,
                  "no space left on the disk of %s (%s): %s; make room on it and writes go on by "
                  "themselves",
                  or_empty(s->args->data_dir),
                  s->disk_space.full ? s->disk_space.why : "the database waits for room",
                  shrinks ? "the log has no room even for deletes"
                          : "writes are refused, reads and deletes go on");
    return false;
}

// ---- a database without room --------------------------------------------------------------------
bool store_stalls(actor_t *me, err_t err, const char *why) {
    store_t *s = actor_state(me);
    if (err != ERR_DISK_FULL) return false;
    actor_timer(me, TIMER_STALLED, STALL_RETRY_MS);
    if (s->disk_space.stalled) return true;
    s->disk_space.stalled = true;
    log_error(actor_address(me), "the database has no room, the log keeps what it lacks: %s", why);
    // The reserve is what it may go on with; while nothing is written, nobody else looks.
    Raftpb__DiskFull body = PROTOBUF_C_MESSAGE_INIT(&raftpb__disk_full__descriptor);
    body.session = actor_incarnation(me);
    body.why = why;
    actor_tell(me, s->disk, &body.base);
    return true;
}

bool store_is_stalled(actor_t *me) {
    store_t *s = actor_state(me);
    if (!s->disk_space.stalled) return false;
    why_t why;
    err_t err = mvcc_commit(s->mvcc, &why);
    if (err == ERR_OK) {
        s->disk_space.stalled = false;
        log_info(actor_address(me), "the database has room again");
    } else if (!store_stalls(me, err, why.text)) {
        store_die(me, err, why.text);
    }
    return err != ERR_OK;
}

// ---- slow ---------------------------------------------------------------------------------------
void store_note_write(actor_t *me, uint64_t write) {
    store_t *s = actor_state(me);
    s->disk_space.write = write;
    if (s->disk_space.unanswered_since_ms) return;
    s->disk_space.unanswered_since_ms = actor_now_ms(me);
    actor_timer(me, TIMER_SLOW_DISK, SLOW_DISK_MS);
}

void store_note_synced(actor_t *me, uint64_t write, uint64_t log_room) {
    store_t *s = actor_state(me);
    s->disk_space.log_room = log_room;
    // What is still under way came after what was answered: it waits since now, at most.
    s->disk_space.unanswered_since_ms = write == s->disk_space.write ? 0 : actor_now_ms(me);
}

static int64_t stuck_ms(actor_t *me) {
    const store_t *s = actor_state(me);
    int64_t since_ms = s->disk_space.unanswered_since_ms;
    return since_ms ? actor_now_ms(me) - since_ms : 0;
}

void store_look_at_disk(actor_t *me) {
    store_t *s = actor_state(me);
    int64_t stuck = stuck_ms(me);
    actor_gauge(me, "store_disk_stuck_ms", stuck >= SLOW_DISK_MS ? stuck : 0);
    if (stuck >= SLOW_DISK_MS)
        log_error(actor_address(me), "the disk has not answered for %lld ms", (long long)stuck);
    if (s->disk_space.unanswered_since_ms) actor_timer(me, TIMER_SLOW_DISK, SLOW_DISK_MS);
}

// ---- alarms -------------------------------------------------------------------------------------
static void add_alarm(Store__StatusReply *reply, arena_t *arena, const char *text) {
    const char **alarms = ARENA_ARRAY(arena, const char *, reply->n_alarms + 1);
    for (size_t i = 0; i < reply->n_alarms; i++) alarms[i] = reply->alarms[i];
    alarms[reply->n_alarms++] = text;
    reply->alarms = alarms;
}

void store_add_alarms(actor_t *me, Store__StatusReply *reply) {
    const store_t *s = actor_state(me);
    arena_t *arena = actor_arena(me);
    if (s->disk_space.full)
        add_alarm(reply, arena,
                  arena_printf(arena, "disk full: writes are refused (%s)", s->disk_space.why));
    if (s->disk_space.stalled)
        add_alarm(reply, arena, "disk full: the database waits for room, the log keeps the rest");
    raft_peer_view_t view;
    for (size_t i = 0; s->raft && i < s->members.len; i++)
        if (raft_peer(s->raft, s->members.at[i].id, &view) && view.full)
            add_alarm(reply, arena,
                      arena_printf(arena,
                                   "the witness %s keeps all it can for a member that is away:"
                                   " another loss stops writes",
                                   s->members.at[i].name));
    if (s->raft && raft_is_full(s->raft))
        add_alarm(reply, arena, "this witness keeps all it can for a member that is away");
    int64_t stuck = stuck_ms(me);
    if (stuck >= SLOW_DISK_MS)
        add_alarm(reply, arena,
                  arena_printf(arena, "disk stuck: no answer since %lld ms", (long long)stuck));
}
