// store_world - members of the store on virtual time, clients and watchers of them, and what must
// hold whatever happens (names begin with world_).
//
//     c1: clients, watchers ─ net ─ p1: store/m1 + disk/m1    p2: store/m2 + disk/m2    p3: …
//
// The disks are in memory, lose what was not synced, and answer late. Promises that are checked:
//   - an acknowledged write is in the history once, at the revision that was acknowledged;
//   - a write of unknown outcome at most once, a refused one never;
//   - each watcher saw every revision in order, once, whichever member served it;
//   - a read shows at least what was acknowledged before it was asked;
//   - a key's last change is what a read shows, and a counter lost no increment;
//   - at the end all members hold the same bytes.
#pragma once
#include "actors/store/disk_actor.h"
#include "actors/store/store_actor.h"
#include "runtime/base/vec.h"
#include "runtime/sim/sim.h"
#include "troupe/store.pb-c.h"

enum { WORLD_MEMBERS_MAX = 5, WORLD_WATCHERS = 3, WORLD_KEYS = 6 };
enum { WORLD_QUIET_MS = 20 * 1000 }; // within this everything comes to rest when trouble is over

extern const char *const world_names[WORLD_MEMBERS_MAX];     // "m1" …
extern const char *const world_processes[WORLD_MEMBERS_MAX]; // "p1" …
extern const char *const world_stores[WORLD_MEMBERS_MAX];    // "store/m1" …
extern const char *const world_disks[WORLD_MEMBERS_MAX];     // "disk/m1" …

typedef struct {
    int64_t revision;
    bool deleted;
    char key[16], value[32];
} world_event_t;
typedef VEC(world_event_t) world_events_t;
typedef enum { PUT_OPEN, PUT_ACKED, PUT_REFUSED, PUT_UNKNOWN } world_fate_t;
typedef struct {
    char key[16], value[32];
    world_fate_t fate;
    int64_t revision;
} world_put_t;

typedef struct world world_t;
typedef struct {
    world_t *w;
    size_t number;
    files_t *files;
    kv_t *kv;
    disk_args_t disk;
    store_args_t store;
} world_host_t;

struct world {
    sim_t *sim;
    size_t members;
    bool has_witness; // the last one is it
    world_host_t hosts[WORLD_MEMBERS_MAX];
    VEC(world_put_t) puts;
    world_events_t seen[WORLD_WATCHERS];
    int64_t acked;      // newest acknowledged revision
    size_t reads, open; // asked, not answered
    double drift;       // of each member's clock, at most, either way; set before world_fill
    bool quiet;         // clients ask nothing new
    char fault[300];    // the first broken promise; empty: none
};

// ---- life ---------------------------------------------------------------------------------------
void world_open(world_t *w, uint64_t seed, size_t members, bool has_witness);
void world_close(world_t *w);
void world_fill(world_t *w); // starts the members, the clients, the watchers
// One more host, as world_open makes them; started by world_host_start.
void world_host_open(world_t *w, size_t i, uint64_t seed);
void world_host_start(world_host_t *host);

// Fills the world and strikes after each pause of at most `pause_ms`, for length_ms; then calm, and
// everything is checked: w->fault.
void world_play(world_t *w, int64_t length_ms, int64_t pause_ms, void (*strike)(world_t *w));

// The same by hand: time passes (a member whose disk is cut is started again), the trouble ends,
// all that was promised is checked.
void world_run(world_t *w, int64_t length_ms);
void world_calm(world_t *w);
void world_check(world_t *w);         // all are members and run
void world_check_history(world_t *w); // watches and puts only; all is quiet

// ---- trouble ------------------------------------------------------------------------------------
// Off for a moment; sometimes the power goes again while the member recovers.
void world_power_cut(world_t *w, size_t i);
// Off for so long.
void world_outage(world_t *w, size_t i, int64_t length_ms);

// ---- questions ----------------------------------------------------------------------------------
bool world_is_quiet(void *world); // nothing is open, and the watchers have seen everything
bool world_got_a_snapshot(const world_host_t *host);
size_t world_acknowledged(const world_t *w); // puts
ProtobufCBinaryData world_data(const char *s);
