// disk_actor by hand: the test is its store.
#include "actors/store/disk_actor.h"
#include "runtime/sim/sim.h"
#include "tests/support/leaks.h"
#include "troupe/raft.pb-c.h"

typedef struct {
    sim_t *sim;
    files_t *files;
    disk_args_t args;
    arena_t arena;
} world_t;

static void world_open(world_t *w) {
    *w = (world_t){.sim = sim_new(1), .files = files_fake_new(1)};
    w->args = (disk_args_t){.data_dir = "/d",
                            .member = "m1",
                            .files = w->files,
                            .segment_bytes = 8192,
                            .cluster_id = 3};
    why_t why;
    cr_assert_eq(sim_spawn(w->sim, "h", "p", &disk_actor, "m1", &w->args, &why), ERR_OK, "%s",
                 why.text);
}
static void world_close(world_t *w) {
    sim_destroy(&w->sim);
    files_fake_destroy(&w->files);
    arena_done(&w->arena);
}

static Raftpb__DiskState *recover(world_t *w, uint64_t session) {
    Raftpb__DiskRecover request = {PROTOBUF_C_MESSAGE_INIT(&raftpb__disk_recover__descriptor),
                                   session};
    Raftpb__DiskState *state = NULL;
    why_t why;
    cr_assert_eq(sim_ask(w->sim, "test/s", "disk/m1", &request.base, 1000, &w->arena,
                         &raftpb__disk_state__descriptor, (void **)&state, &why),
                 ERR_OK, "%s", why.text);
    return state;
}

static void tell_write(world_t *w, uint64_t session, uint64_t number, uint64_t index,
                       const char *text) {
    Raftpb__Entry entry = {.base = PROTOBUF_C_MESSAGE_INIT(&raftpb__entry__descriptor),
                           .index = index,
                           .term = 1,
                           .kind = 1};
    entry.data = (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
    Raftpb__Entry *entries[] = {&entry};
    Raftpb__DiskWrite body = {.base = PROTOBUF_C_MESSAGE_INIT(&raftpb__disk_write__descriptor),
                              .session = session,
                              .write = number,
                              .has_hard = true,
                              .term = 1,
                              .vote = 2};
    body.entries = entries;
    body.n_entries = 1;
    sim_tell(w->sim, "test/s", "disk/m1", &body.base);
    sim_run_for(w->sim, 10);
}

Test(disk_actor, what_was_written_is_told_at_recovery_and_read_back)
{
    world_t w;
    world_open(&w);
    cr_assert_eq(recover(&w, 1)->last, 0);
    tell_write(&w, 1, 1, 1, "one");
    tell_write(&w, 1, 2, 2, "two");
    Raftpb__DiskState *state = recover(&w, 2);
    cr_assert_eq(state->cluster_id, 3);
    cr_assert_eq(state->term, 1);
    cr_assert_eq(state->vote, 2);
    cr_assert_eq(state->last, 2);
    cr_assert_eq(state->n_run_first, 1);
    Raftpb__DiskRead read = {PROTOBUF_C_MESSAGE_INIT(&raftpb__disk_read__descriptor), 1, 1 << 20};
    Raftpb__DiskEntries *entries = NULL;
    why_t why;
    cr_assert_eq(sim_ask(w.sim, "test/s", "disk/m1", &read.base, 1000, &w.arena,
                         &raftpb__disk_entries__descriptor, (void **)&entries, &why),
                 ERR_OK);
    cr_assert_eq(entries->n_entries, 2);
    cr_assert_eq(memcmp(entries->entries[1]->data.data, "two", 3), 0);
    read.first = 3;
    cr_assert_eq(sim_ask(w.sim, "test/s", "disk/m1", &read.base, 1000, &w.arena,
                         &raftpb__disk_entries__descriptor, (void **)&entries, &why),
                 ERR_NOT_FOUND);
    world_close(&w);
    ASSERT_NO_LEAKS();
}

Test(disk_actor, another_life_of_the_store_is_not_listened_to)
{
    world_t w;
    world_open(&w);
    recover(&w, 1);
    recover(&w, 2);
    tell_write(&w, 1, 1, 1, "late");
    cr_assert_eq(recover(&w, 3)->last, 0);
    world_close(&w);
    ASSERT_NO_LEAKS();
}

Test(disk_actor, after_a_lost_write_nothing_more_is_appended)
{
    world_t w;
    world_open(&w);
    recover(&w, 1);
    tell_write(&w, 1, 1, 1, "one");
    tell_write(&w, 1, 3, 3, "three");
    tell_write(&w, 1, 2, 2, "two, too late");
    cr_assert_eq(recover(&w, 2)->last, 1);
    tell_write(&w, 2, 1, 2, "two");
    cr_assert_eq(recover(&w, 3)->last, 2);
    world_close(&w);
    ASSERT_NO_LEAKS();
}

Test(disk_actor, damage_found_while_reading_back_ends_it_and_it_does_not_come_back)
{
    world_t w;
    world_open(&w);
    recover(&w, 1);
    tell_write(&w, 1, 1, 1, "one");
    tell_write(&w, 1, 2, 2, "two");
    why_t why;
    uint64_t body_of_one = 512 + 32 + 32 + 1; // behind the header, a hard state and its own head
    cr_assert_eq(files_fake_flip_bit(w.files, "/d/log/0000000000000001.seg", body_of_one, &why),
                 ERR_OK);
    Raftpb__DiskRead read = {PROTOBUF_C_MESSAGE_INIT(&raftpb__disk_read__descriptor), 1, 1 << 20};
    Raftpb__DiskRecover again = {PROTOBUF_C_MESSAGE_INIT(&raftpb__disk_recover__descriptor), 2};
    void *reply;
    cr_assert_neq(sim_ask(w.sim, "test/s", "disk/m1", &read.base, 1000, &w.arena,
                          &raftpb__disk_entries__descriptor, &reply, &why),
                  ERR_OK);
    cr_assert_not_null(strstr(why.text, "0000000000000001.seg at 544"), "%s", why.text);
    cr_assert_neq(sim_ask(w.sim, "test/s", "disk/m1", &again.base, 1000, &w.arena,
                          &raftpb__disk_state__descriptor, &reply, &why),
                  ERR_OK);
    world_close(&w);
    ASSERT_NO_LEAKS();
}
