// The log on disk, over the fake files port.
#include "runtime/base/hash.h"
#include "runtime/base/le.h"
#include "runtime/base/rng.h"
#include "store/log/journal.h"
#include "store/log/record.h"
#include "tests/support/leaks.h"
#include <signal.h>

enum { MEMBER = 7, CLUSTER = 99, SEGMENT = 4096 };
static const journal_options_t options = {.dir = "/log",
                                          .member_id = MEMBER,
                                          .segment_bytes = SEGMENT};

static err_t try_open(files_t *files, journal_t **ret, why_t *why) {
    return journal_open(files, &options, CLUSTER, ret, why);
}
static journal_t *opened(files_t *files) {
    journal_t *j = NULL;
    why_t why;
    cr_assert_eq(try_open(files, &j, &why), ERR_OK, "%s", why.text);
    return j;
}
static void append(journal_t *j, raft_index_t index, raft_term_t term, const char *data) {
    journal_entry_t e = {index, term, 1, bytes_of_str(data)};
    why_t why;
    cr_assert_eq(journal_append(j, NULL, &e, 1, &why), ERR_OK, "%s", why.text);
}
static void sync_it(journal_t *j) {
    why_t why;
    cr_assert_eq(journal_sync(j, &why), ERR_OK, "%s", why.text);
}
static char *read_at(journal_t *j, raft_index_t index) {
    arena_t arena = {0};
    journal_entry_t *entries = NULL;
    size_t len = 0;
    why_t why;
    cr_assert_eq(journal_read(j, index, 1, &arena, &entries, &len, &why), ERR_OK, "%s", why.text);
    cr_assert_eq(len, 1);
    char *text = str_dup_n((const char *)entries[0].data.at, entries[0].data.len);
    arena_done(&arena);
    return text;
}
static void expect(journal_t *j, raft_index_t index, const char *data) {
    CLEANUP(free_charp) char *text = read_at(j, index);
    cr_assert_str_eq(text, data, "entry %llu", (unsigned long long)index);
}
static files_t *reopen(files_t *files, journal_t **j) {
    journal_close(j);
    files_fake_crash(files);
    *j = opened(files);
    return files;
}

Test(journal, what_was_synced_is_there_after_a_crash)
{
    files_t *files = files_fake_new(1);
    journal_t *j = opened(files);
    cr_assert_eq(journal_cluster_id(j), CLUSTER);
    append(j, 1, 1, "one");
    append(j, 2, 1, "two");
    raft_hard_t hard = {3, MEMBER};
    why_t why;
    cr_assert_eq(journal_append(j, &hard, NULL, 0, &why), ERR_OK);
    sync_it(j);
    reopen(files, &j);
    cr_assert_eq(journal_trail(j)->last, 2);
    cr_assert_eq(journal_hard(j).term, 3);
    cr_assert_eq(journal_hard(j).vote, MEMBER);
    expect(j, 1, "one");
    expect(j, 2, "two");
    journal_close(&j);
    files_fake_destroy(&files);
    ASSERT_NO_LEAKS();
}

Test(journal, an_entry_replaces_what_stood_there_and_behind)
{
    files_t *files = files_fake_new(1);
    journal_t *j = opened(files);
    for (raft_index_t i = 1; i <= 5; i++) append(j, i, 1, "old");
    append(j, 3, 2, "new");
    sync_it(j);
    for (int round = 0; round < 2; round++) {
        cr_assert_eq(journal_trail(j)->last, 3);
        cr_assert_eq(trail_last_term(journal_trail(j)), 2);
        expect(j, 2, "old");
        expect(j, 3, "new");
        reopen(files, &j);
    }
    journal_close(&j);
    files_fake_destroy(&files);
    ASSERT_NO_LEAKS();
}

// Segments fill, are cut, wait as spares and are written to again; cutting back over a segment's
// begin starts a new one.
Test(journal, segments_come_and_go)
{
    files_t *files = files_fake_new(1);
    journal_t *j = opened(files);
    char data[200];
    memset(data, 'd', sizeof data);
    data[sizeof data - 1] = 0;
    why_t why;
    raft_index_t index = 0;
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 30; i++) append(j, ++index, 1 + (uint64_t)round, data);
        sync_it(j);
        cr_assert_eq(journal_cut(j, index - 5, &why), ERR_OK, "%s", why.text);
        cr_assert_lt(journal_bytes(j), 5 * SEGMENT);
        if (round % 4 == 3) reopen(files, &j);
        cr_assert_eq(journal_trail(j)->last, index);
        expect(j, index, data);
        expect(j, index - 4, data);
    }
    index -= 40; // far back: over the begin of the last segment
    if (index <= journal_trail(j)->base) index = journal_trail(j)->base + 1;
    append(j, index, 100, "back");
    append(j, index + 1, 100, "and on");
    sync_it(j);
    reopen(files, &j);
    cr_assert_eq(journal_trail(j)->last, index + 1);
    expect(j, index, "back");
    expect(j, index + 1, "and on");
    cr_assert_eq(journal_cut(j, index + 1, &why), ERR_OK);
    reopen(files, &j);
    cr_assert_eq(journal_trail(j)->last, index + 1);
    journal_close(&j);
    files_fake_destroy(&files);
    ASSERT_NO_LEAKS();
}

Test(journal, an_entry_larger_than_a_segment_gets_one_of_its_own)
{
    files_t *files = files_fake_new(1);
    journal_t *j = opened(files);
    char *data = mem_new(3 * SEGMENT);
    memset(data, 'b', 3 * SEGMENT - 1);
    append(j, 1, 1, "small");
    append(j, 2, 1, data);
    append(j, 3, 1, "small again");
    sync_it(j);
    reopen(files, &j);
    expect(j, 2, data);
    expect(j, 3, "small again");
    free(data);
    journal_close(&j);
    files_fake_destroy(&files);
    ASSERT_NO_LEAKS();
}

// Crash at random, over and over: what was synced stays, what comes back of the rest is a true
// beginning of it, and writing goes on behind it.
Test(journal, no_synced_entry_is_lost_wherever_the_power_goes)
{
    for (uint64_t seed = 1; seed <= 150; seed++) {
        files_t *files = files_fake_new(seed);
        rng_t rng;
        rng_init(&rng, seed);
        journal_t *j = NULL;
        raft_index_t synced = 0, last = 0, cut = 0;
        raft_term_t term = 1;
        why_t why;
        for (int life = 0; life < 12; life++) {
            files_fake_cut_after(files, UINT64_MAX);
            err_t err = try_open(files, &j, &why);
            cr_assert_eq(err, ERR_OK, "seed %llu: %s", (unsigned long long)seed, why.text);
            last = journal_trail(j)->last;
            cr_assert(last >= synced, "seed %llu: %llu was synced, %llu is left",
                      (unsigned long long)seed, (unsigned long long)synced,
                      (unsigned long long)last);
            for (raft_index_t i = journal_trail(j)->base + 1; i <= last; i++) {
                char expected[24];
                snprintf(expected, sizeof expected, "entry %llu", (unsigned long long)i);
                CLEANUP(free_charp) char *text = read_at(j, i);
                cr_assert(has_prefix(text, expected), "seed %llu", (unsigned long long)seed);
            }
            synced = last; // recovery made it durable, or it was
            term++;
            files_fake_cut_after(files, rng_below(&rng, 60));
            err = ERR_OK;
            while (err == ERR_OK) {
                char data[900];
                int len = snprintf(data, sizeof data, "entry %llu ", (unsigned long long)last + 1);
                memset(data + len, 'x', sizeof data - 1 - (size_t)len);
                data[len + (int)rng_below(&rng, sizeof data - (size_t)len - 1)] = 0;
                journal_entry_t e = {last + 1, term, 1, bytes_of_str(data)};
                raft_hard_t hard = {term, MEMBER};
                err = journal_append(j, rng_chance(&rng, 0.1) ? &hard : NULL, &e, 1, &why);
                if (err == ERR_OK) last++;
                if (err == ERR_OK && rng_chance(&rng, 0.4)) {
                    err = journal_sync(j, &why);
                    if (err == ERR_OK) synced = last;
                }
                if (err == ERR_OK && rng_chance(&rng, 0.1) && synced > cut) {
                    cut = synced - rng_below(&rng, synced - cut);
                    err = journal_cut(j, cut, &why);
                }
            }
            cr_assert_eq(err, ERR_IO);
            journal_close(&j);
            files_fake_crash(files);
        }
        files_fake_destroy(&files);
    }
    ASSERT_NO_LEAKS();
}

static char *segment_path(uint64_t sequence) {
    return str_printf("/log/%016llx.seg", (unsigned long long)sequence);
}

Test(journal, a_damaged_record_that_was_durable_is_refused_with_file_and_position)
{
    files_t *files = files_fake_new(1);
    journal_t *j = opened(files);
    append(j, 1, 1, "one");
    sync_it(j);
    append(j, 2, 1, "two"); // says that one was durable
    sync_it(j);
    journal_close(&j);
    why_t why;
    CLEANUP(free_charp) char *path = segment_path(1);
    cr_assert_eq(files_fake_flip_bit(files, path, 512 + 33, &why), ERR_OK);
    cr_assert_eq(try_open(files, &j, &why), ERR_CORRUPT);
    cr_assert_not_null(strstr(why.text, "0000000000000001.seg at 512"), "%s", why.text);
    files_fake_destroy(&files);
    ASSERT_NO_LEAKS();
}

Test(journal, damage_to_the_last_synced_batch_is_told_once_it_was_marked)
{
    for (int marked = 0; marked < 2; marked++) {
        files_t *files = files_fake_new(1);
        journal_t *j = opened(files);
        why_t why;
        raft_hard_t hard = {3, MEMBER};
        journal_entry_t e = {1, 3, 1, bytes_of_str("one")};
        cr_assert_eq(journal_append(j, &hard, &e, 1, &why), ERR_OK);
        cr_assert_eq(journal_mark(j, &why), ERR_OK); // not synced yet: no mark
        sync_it(j);
        for (int twice = 0; twice < 2 && marked; twice++)
            cr_assert_eq(journal_mark(j, &why), ERR_OK);
        journal_close(&j);
        CLEANUP(free_charp) char *path = segment_path(1);
        cr_assert_eq(files_fake_flip_bit(files, path, 512 + 32 + 33, &why), ERR_OK);
        err_t err = try_open(files, &j, &why);
        cr_assert_eq(err, marked ? ERR_CORRUPT : ERR_OK, "%s", why.text);
        if (marked) cr_assert_not_null(strstr(why.text, "seg at 544"), "%s", why.text);
        cr_assert_eq(files_fake_flip_bit(files, path, 512 + 32 + 33, &why), ERR_OK);
        if (marked) cr_assert_eq(try_open(files, &j, &why), ERR_OK, "%s", why.text);
        if (marked) cr_assert_eq(journal_hard(j).vote, MEMBER);
        journal_close(&j);
        files_fake_destroy(&files);
    }
    ASSERT_NO_LEAKS();
}

Test(journal, damage_in_an_older_segment_is_refused_too)
{
    files_t *files = files_fake_new(1);
    journal_t *j = opened(files);
    char data[1000];
    memset(data, 'd', sizeof data);
    data[sizeof data - 1] = 0;
    for (raft_index_t i = 1; i <= 10; i++) append(j, i, 1, data);
    sync_it(j);
    journal_close(&j);
    why_t why;
    CLEANUP(free_charp) char *path = segment_path(1);
    cr_assert_eq(files_fake_flip_bit(files, path, 2700, &why), ERR_OK);
    cr_assert_eq(try_open(files, &j, &why), ERR_CORRUPT);
    cr_assert_not_null(strstr(why.text, "0000000000000001.seg at "), "%s", why.text);
    files_fake_destroy(&files);
    ASSERT_NO_LEAKS();
}

Test(journal, a_missing_segment_is_refused)
{
    files_t *files = files_fake_new(1);
    journal_t *j = opened(files);
    char data[1000];
    memset(data, 'd', sizeof data);
    data[sizeof data - 1] = 0;
    for (raft_index_t i = 1; i <= 12; i++) append(j, i, 1, data);
    sync_it(j);
    journal_close(&j);
    why_t why;
    CLEANUP(free_charp) char *path = segment_path(2);
    cr_assert_eq(files_remove(files, path, &why), ERR_OK);
    cr_assert_eq(try_open(files, &j, &why), ERR_CORRUPT);
    files_fake_destroy(&files);
    ASSERT_NO_LEAKS();
}

Test(journal, damage_found_while_reading_back_is_told)
{
    files_t *files = files_fake_new(1);
    journal_t *j = opened(files);
    append(j, 1, 1, "one");
    sync_it(j);
    why_t why;
    CLEANUP(free_charp) char *path = segment_path(1);
    cr_assert_eq(files_fake_flip_bit(files, path, 512 + 33, &why), ERR_OK);
    arena_t arena = {0};
    journal_entry_t *entries = NULL;
    size_t len = 0;
    cr_assert_eq(journal_read(j, 1, 1, &arena, &entries, &len, &why), ERR_CORRUPT);
    cr_assert_eq(journal_read(j, 2, 1, &arena, &entries, &len, &why), ERR_NOT_FOUND);
    arena_done(&arena);
    journal_close(&j);
    files_fake_destroy(&files);
    ASSERT_NO_LEAKS();
}

// The header as a program of that version would have written it.
static void set_version(files_t *files, const char *path, uint32_t version) {
    enum { VERSION_AT = 8, CRC_AT = 12 };
    uint8_t header[RECORD_SEGMENT_HEADER_BYTES];
    file_t *file = NULL;
    size_t len = 0;
    why_t why;
    cr_assert_eq(files_open(files, path, FILE_OPEN_WRITE, &file, &why), ERR_OK);
    cr_assert_eq(file_read_at(file, 0, header, sizeof header, &len, &why), ERR_OK);
    le_put32(header + VERSION_AT, version);
    uint32_t crc = hash_crc32c(0, header, CRC_AT);
    le_put32(header + CRC_AT, hash_crc32c(crc, header + CRC_AT + 4, sizeof header - CRC_AT - 4));
    cr_assert_eq(file_write_at(file, 0, (bytes_t){header, sizeof header}, &why), ERR_OK);
    cr_assert_eq(file_sync(file, &why), ERR_OK);
    file_close(&file);
}

Test(journal, a_log_of_a_newer_format_is_refused_and_stays_as_it_is)
{
    files_t *files = files_fake_new(1);
    journal_t *j = opened(files);
    const char *path = "/log/0000000000000001.seg";
    why_t why;
    append(j, 1, 1, "one");
    sync_it(j);
    journal_close(&j);
    set_version(files, path, RECORD_VERSION + 1);
    for (int i = 0; i < 2; i++) {
        uint64_t writes = files_fake_writes(files);
        cr_assert_eq(try_open(files, &j, &why), ERR_UNSUPPORTED, "%s", why.text);
        cr_assert_not_null(strstr(why.text, path), "%s", why.text);
        cr_assert_eq(files_fake_writes(files), writes);
    }
    set_version(files, path, RECORD_VERSION);
    j = opened(files);
    expect(j, 1, "one");
    journal_close(&j);
    files_fake_destroy(&files);
    ASSERT_NO_LEAKS();
}

Test(journal, another_members_log_and_a_held_one_are_refused)
{
    files_t *files = files_fake_new(1);
    journal_t *j = opened(files), *second = NULL;
    why_t why;
    cr_assert_eq(try_open(files, &second, &why), ERR_EXISTS);
    journal_close(&j);
    journal_options_t other = options;
    other.member_id = 8;
    cr_assert_eq(journal_open(files, &other, CLUSTER, &j, &why), ERR_CONFLICT);
    other = options;
    other.cluster_id = 5;
    cr_assert_eq(journal_open(files, &other, CLUSTER, &j, &why), ERR_CONFLICT);
    files_fake_destroy(&files);
    ASSERT_NO_LEAKS();
}

// Nothing of a refused append is in the log, and what its spare files hold is still taken.
Test(journal, a_full_disk_refuses_and_it_goes_on_when_there_is_room)
{
    files_t *files = files_fake_new(1);
    journal_t *j = opened(files);
    why_t why;
    bool made = true;
    while (made) cr_assert_eq(journal_reserve(j, &made, &why), ERR_OK);
    uint64_t room = journal_room(j);
    cr_assert_eq(room, 3 * (SEGMENT - 512));
    files_fake_set_capacity(files, 1);
    char data[1000];
    memset(data, 'd', sizeof data);
    data[sizeof data - 1] = 0;
    err_t err = ERR_OK;
    raft_index_t last = 0;
    while (err == ERR_OK) {
        cr_assert_lt(last, 20);
        journal_entry_t two[] = {{last + 1, 1, 1, bytes_of_str(data)},
                                 {last + 2, 1, 1, bytes_of_str(data)}};
        err = journal_append(j, NULL, two, 2, &why);
        if (err == ERR_OK) last += 2;
    }
    cr_assert_eq(err, ERR_DISK_FULL, "%s", why.text);
    cr_assert_geq(last, 8); // the spare files took them
    cr_assert_eq(journal_trail(j)->last, last);
    cr_assert_eq(journal_reserve(j, &made, &why), ERR_DISK_FULL);
    sync_it(j);
    cr_assert_eq(journal_cut(j, last, &why), ERR_OK);
    append(j, last + 1, 1, "into a file that the cut gave back");
    files_fake_set_capacity(files, 0);
    for (raft_index_t i = 2; i < 20; i++) append(j, last + i, 1, data);
    sync_it(j);
    reopen(files, &j);
    cr_assert_eq(journal_trail(j)->last, last + 19);
    expect(j, last + 1, "into a file that the cut gave back");
    journal_close(&j);
    files_fake_destroy(&files);
    ASSERT_NO_LEAKS();
}

// A snapshot was installed: the log goes on behind it, wherever the power goes meanwhile.
Test(journal, it_begins_anew_after_a_snapshot_or_is_as_it_was)
{
    bool was[2] = {false};
    for (uint64_t writes = 0; !was[1]; writes++) {
        cr_assert_lt(writes, 60);
        files_t *files = files_fake_new(writes + 1);
        journal_t *j = opened(files);
        raft_hard_t hard = {3, MEMBER};
        why_t why;
        cr_assert_eq(journal_append(j, &hard, NULL, 0, &why), ERR_OK);
        char data[1000];
        memset(data, 'd', sizeof data);
        data[sizeof data - 1] = 0;
        for (raft_index_t i = 1; i <= 10; i++) append(j, i, 3, data);
        sync_it(j);
        files_fake_cut_after(files, writes);
        bool whole = journal_restart(j, 100, 7, &why) == ERR_OK;
        reopen(files, &j);
        bool anew = journal_trail(j)->base == 100;
        cr_assert(anew || (!whole && journal_trail(j)->last == 10), "after %llu writes",
                  (unsigned long long)writes);
        was[whole] = true;
        cr_assert_eq(journal_hard(j).vote, MEMBER);
        if (!anew) cr_assert_eq(journal_restart(j, 100, 7, &why), ERR_OK);
        cr_assert_eq(journal_trail(j)->last, 100);
        cr_assert_eq(trail_last_term(journal_trail(j)), 7);
        append(j, 101, 7, "on");
        sync_it(j);
        reopen(files, &j);
        expect(j, 101, "on");
        cr_assert_eq(journal_segments(j), 1);
        journal_close(&j);
        files_fake_destroy(&files);
    }
    cr_assert(was[0]);
    ASSERT_NO_LEAKS();
}

Test(journal, a_reader_changes_nothing)
{
    files_t *files = files_fake_new(1);
    journal_t *j = opened(files);
    append(j, 1, 1, "one");
    sync_it(j);
    journal_close(&j);
    why_t why;
    CLEANUP(free_charp) char *path = segment_path(1);
    cr_assert_eq(files_fake_flip_bit(files, path, 512 + 33, &why), ERR_OK);
    journal_options_t reader = {.dir = "/log", .read_only = true};
    for (int round = 0; round < 2; round++) {
        uint64_t writes = files_fake_writes(files);
        cr_assert_eq(journal_open(files, &reader, 0, &j, &why), ERR_OK, "%s", why.text);
        cr_assert_eq(journal_member_id(j), MEMBER);
        cr_assert_eq(journal_trail(j)->last, 0); // the damaged one looks torn, and is left alone
        journal_close(&j);
        cr_assert_eq(files_fake_writes(files), writes);
    }
    reader.dir = "/nowhere";
    cr_assert_eq(journal_open(files, &reader, 0, &j, &why), ERR_NOT_FOUND);
    files_fake_destroy(&files);
    ASSERT_NO_LEAKS();
}

Test(journal, canary_asserts_are_alive, .signal = SIGABRT)
{
    journal_t *j = NULL;
    why_t why;
    (void)!journal_open(NULL, &(journal_options_t){.dir = "/log"}, 1, &j, &why);
}
