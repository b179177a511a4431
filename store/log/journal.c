#include "store/log/journal.h"
#include "runtime/base/canary.h"
#include "store/log/record.h"

// Where an entry stands.
typedef struct {
    uint64_t sequence; // segment
    uint32_t offset;
} place_t;

typedef struct {
    segment_header_t header;
    file_t *file;   // owned
    uint64_t bytes; // size of the file
} segment_t;

struct journal {
    files_t *files;
    char *dir;                 // owned
    file_t *lock;              // owned
    journal_options_t options; // dir not used
    VEC(segment_t) segments;   // by sequence, without gaps
    VEC(uint64_t) spares;      // numbers of the spare files
    uint64_t spare_next;       // for the next one's name
    trail_t trail;
    VEC(place_t) places; // of the entries (trail.base, trail.last]
    raft_hard_t hard;
    uint64_t cluster_id;
    uint64_t end;    // in the last segment: where the next record goes
    uint64_t synced; // in the last segment: durable up to here
    uint64_t torn_bytes;
    size_t begins_at;    // while it is opened: the segment that the log begins with
    bool broken;         // an append or sync failed
    VEC(uint8_t) buffer; // records on their way to one write
};

static char *path_of(const journal_t *j, uint64_t sequence) {
    return str_printf("%s/%016llx.seg", j->dir, (unsigned long long)sequence);
}
static char *spare_path(const journal_t *j, uint64_t number) {
    return str_printf("%s/spare-%llu.seg", j->dir, (unsigned long long)number);
}
static segment_t *last_segment(const journal_t *j) { return &j->segments.at[j->segments.len - 1]; }

// ---- one segment --------------------------------------------------------------------------------
static err_t write_header(file_t *file, const segment_header_t *header, why_t *why) {
    uint8_t bytes[RECORD_SEGMENT_HEADER_BYTES];
    record_put_segment(header, bytes);
    return file_write_at(file, 0, (bytes_t){bytes, sizeof bytes}, why);
}

// A file of `bytes` zeros that waits as a spare. What did not become one whole is taken away, so
// that a full disk is not filled by it.
static err_t make_spare(journal_t *j, uint64_t bytes, why_t *why) {
    CLEANUP(free_charp) char *new = str_printf("%s/new.seg", j->dir);
    CLEANUP(free_charp) char *spare = spare_path(j, j->spare_next);
    CLEANUP(file_close) file_t *file = NULL;
    err_t err = files_open(j->files, new, FILE_OPEN_CREATE, &file, why);
    if (err == ERR_OK) err = file_allocate(file, bytes, why);
    if (err == ERR_OK) err = file_sync(file, why);
    if (err == ERR_OK) err = files_rename(j->files, new, spare, why);
    if (err != ERR_OK) {
        err_t ignored = files_remove(j->files, new, NULL);
        (void)ignored;
        return err;
    }
    vec_push(&j->spares, j->spare_next++);
    return ERR_OK;
}

// A spare file becomes the segment of that header and name; one of unusual size is made for it.
static err_t take_file(journal_t *j, uint64_t bytes, const char *path,
                       const segment_header_t *header, file_t **ret_file, why_t *why) {
    bool usual = bytes == j->options.segment_bytes;
    err_t err = usual && j->spares.len ? ERR_OK : make_spare(j, bytes, why);
    if (err != ERR_OK) return err;
    size_t which = usual ? 0 : j->spares.len - 1;
    CLEANUP(free_charp) char *spare = spare_path(j, j->spares.at[which]);
    CLEANUP(file_close) file_t *file = NULL;
    err = files_open(j->files, spare, FILE_OPEN_WRITE, &file, why);
    uint64_t size = 0;
    if (err == ERR_OK) err = file_size(file, &size, why);
    if (err == ERR_OK && size != bytes) err = file_allocate(file, bytes, why);
    if (err == ERR_OK) err = write_header(file, header, why);
    if (err == ERR_OK) err = file_sync(file, why);
    // The name comes last: what bears a segment's name has its header and its blocks.
    if (err == ERR_OK) err = files_rename(j->files, spare, path, why);
    if (err == ERR_OK) err = files_sync_dir(j->files, j->dir, why);
    if (err != ERR_OK) return err;
    // Opened by the name it bears now: errors tell it.
    file_close(&file);
    err = files_open(j->files, path, FILE_OPEN_WRITE, &file, why);
    if (err != ERR_OK) return err;
    vec_remove(&j->spares, which);
    *ret_file = x_steal(&file);
    return ERR_OK;
}

// One record may be larger than segments are: then its own is as large as it needs.
static uint64_t segment_bytes_for(const journal_t *j, uint64_t record_len) {
    uint64_t least = RECORD_SEGMENT_HEADER_BYTES + record_len;
    return least > j->options.segment_bytes ? least : j->options.segment_bytes;
}

static err_t begin_segment(journal_t *j, uint64_t room, bool begins, why_t *why) {
    segment_t segment = {.header = {
                             .sequence = j->segments.len ? last_segment(j)->header.sequence + 1 : 1,
                             .cluster_id = j->cluster_id,
                             .member_id = j->options.member_id,
                             .prev_index = j->trail.last,
                             .prev_term = trail_last_term(&j->trail),
                             .hard = j->hard,
                             .begins = begins,
                         }};
    segment.bytes = segment_bytes_for(j, room);
    CLEANUP(free_charp) char *path = path_of(j, segment.header.sequence);
    err_t err = take_file(j, segment.bytes, path, &segment.header, &segment.file, why);
    if (err != ERR_OK) return why_wrap(why, err, "begin log segment %s", path);
    vec_push(&j->segments, segment);
    j->end = j->synced = RECORD_SEGMENT_HEADER_BYTES;
    return ERR_OK;
}

// Before a spare file is written to again, its old name must be gone for good: sync the folder
// after the last one. Oldest first: a crash leaves a suffix of the segments, never a hole.
static err_t retire_first(journal_t *j, why_t *why) {
    segment_t s = j->segments.at[0];
    bool keep = j->spares.len < JOURNAL_SPARES && s.bytes == j->options.segment_bytes;
    CLEANUP(free_charp) char *path = path_of(j, s.header.sequence);
    CLEANUP(free_charp) char *spare = spare_path(j, j->spare_next);
    err_t err = keep ? files_rename(j->files, path, spare, why) : files_remove(j->files, path, why);
    if (err != ERR_OK) return err;
    if (keep) vec_push(&j->spares, j->spare_next++);
    file_close(&s.file);
    vec_remove(&j->segments, 0);
    return ERR_OK;
}

static err_t retire(journal_t *j, size_t len, why_t *why) {
    if (len == 0) return ERR_OK;
    err_t err = ERR_OK;
    while (len-- && err == ERR_OK) err = retire_first(j, why);
    return err == ERR_OK ? files_sync_dir(j->files, j->dir, why) : err;
}

// ---- the trail of entries -----------------------------------------------------------------------
static void drop_from(journal_t *j, raft_index_t index) {
    if (index > j->trail.last) return;
    trail_truncate(&j->trail, index);
    j->places.len = (size_t)(index - j->trail.base - 1);
}

static void note_entry(journal_t *j, raft_index_t index, raft_term_t term, place_t place) {
    assert(index > j->trail.base && index <= j->trail.last + 1);
    drop_from(j, index);
    trail_append(&j->trail, term, 1);
    vec_push(&j->places, place);
    assert(j->places.len == j->trail.last - j->trail.base);
}

static void begin_trail(journal_t *j, raft_index_t base, raft_term_t term) {
    trail_done(&j->trail);
    trail_init(&j->trail, base, term);
    vec_reset(&j->places);
}

// ---- recovery -----------------------------------------------------------------------------------
static err_t corrupt_at(const segment_t *s, uint64_t offset, const char *what, why_t *why) {
    return why_set(why, ERR_CORRUPT, "%s at %llu: %s", file_path(s->file),
                   (unsigned long long)offset, what);
}

static err_t load_segment(segment_t *s, uint8_t **ret_bytes, why_t *why) {
    size_t have = 0;
    uint8_t *bytes = mem_new(s->bytes + 1);
    err_t err = file_read_at(s->file, 0, bytes, s->bytes, &have, why);
    if (err == ERR_OK && have != s->bytes)
        err = why_set(why, ERR_IO, "%s shrank", file_path(s->file));
    if (err != ERR_OK)
        free(bytes);
    else
        *ret_bytes = bytes;
    return err;
}

static err_t take_record(journal_t *j, const segment_t *s, const record_t *record, uint64_t offset,
                         why_t *why) {
    if (record->kind == RECORD_HARD) {
        if (record->term < j->hard.term) return corrupt_at(s, offset, "the term goes back", why);
        j->hard = (raft_hard_t){record->term, record->index};
        return ERR_OK;
    }
    if (record->index <= j->trail.base || record->index > j->trail.last + 1)
        return corrupt_at(s, offset, "the index does not follow", why);
    if (record->term < trail_term(&j->trail, record->index - 1))
        return corrupt_at(s, offset, "the entry's term goes back", why);
    note_entry(j, record->index, record->term, (place_t){s->header.sequence, (uint32_t)offset});
    return ERR_OK;
}

// Behind the first bad record of the last segment: does a good one say that the bad one had been
// durable? Else how far do remains of unsynced writes reach?
static err_t scan_behind(const segment_t *s, const uint8_t *bytes, uint64_t end,
                         uint64_t *ret_remains, why_t *why) {
    uint32_t seed = record_seed(s->header.sequence);
    *ret_remains = end;
    for (uint64_t at = end; at + RECORD_HEADER_BYTES <= s->bytes; at += RECORD_ALIGN_BYTES) {
        record_t record;
        if (!record_get((bytes_t){bytes + at, s->bytes - at}, seed, &record)) continue;
        if (record.synced > end)
            return corrupt_at(s, end, "a record that was durable cannot be read", why);
        *ret_remains = at + record_bytes(record.body.len);
    }
    return ERR_OK;
}

// Zeros over what a crash left of unsynced writes: some of it could look like the continuation of
// what is written next.
static err_t erase(journal_t *j, segment_t *s, uint64_t from, uint64_t to, why_t *why) {
    if (to <= from) return ERR_OK;
    j->torn_bytes = to - from;
    if (j->options.read_only) return ERR_OK;
    uint8_t *zeros = mem_new(to - from);
    err_t err = file_write_at(s->file, from, (bytes_t){zeros, to - from}, why);
    free(zeros);
    return err == ERR_OK ? file_sync(s->file, why) : err;
}

static bool next_record(const journal_t *j, bytes_t from, uint32_t seed, record_t *ret_record) {
    if (CANARY(DISK_TRUSTS_TORN_TAILS)) return record_get_blindly(from, ret_record);
    return record_get(from, seed, ret_record);
}

static err_t replay(journal_t *j, segment_t *s, bool is_last, why_t *why) {
    uint8_t *bytes = NULL;
    err_t err = load_segment(s, &bytes, why);
    if (err != ERR_OK) return err;
    uint32_t seed = record_seed(s->header.sequence);
    uint64_t at = RECORD_SEGMENT_HEADER_BYTES, remains = 0;
    record_t record;
    while (err == ERR_OK && at < s->bytes &&
           next_record(j, (bytes_t){bytes + at, s->bytes - at}, seed, &record)) {
        err = take_record(j, s, &record, at, why);
        at += record_bytes(record.body.len);
    }
    if (err == ERR_OK && is_last) {
        err = scan_behind(s, bytes, at, &remains, why);
        if (err == ERR_OK) err = erase(j, s, at, remains, why);
    }
    free(bytes);
    j->end = j->synced = at;
    return err;
}

static err_t open_segment(journal_t *j, const char *name, segment_t *ret_segment, why_t *why) {
    CLEANUP(free_charp) char *path = str_printf("%s/%s", j->dir, name);
    segment_t s = {0};
    file_mode_t mode = j->options.read_only ? FILE_OPEN_READ : FILE_OPEN_WRITE;
    err_t err = files_open(j->files, path, mode, &s.file, why);
    if (err != ERR_OK) return err;
    uint8_t bytes[RECORD_SEGMENT_HEADER_BYTES];
    size_t have = 0;
    err = file_size(s.file, &s.bytes, why);
    if (err == ERR_OK) err = file_read_at(s.file, 0, bytes, sizeof bytes, &have, why);
    if (err == ERR_OK && have != sizeof bytes)
        err = corrupt_at(&s, have, "the file is too short", why);
    if (err == ERR_OK) {
        err = record_get_segment(bytes, &s.header, why);
        if (err != ERR_OK) why_wrap(why, err, "%s at 0", path);
    }
    if (err == ERR_OK && strtoull(name, NULL, 16) != s.header.sequence)
        err = corrupt_at(&s, 16, "the header belongs to another segment", why);
    if (err != ERR_OK) {
        file_close(&s.file);
        return err;
    }
    *ret_segment = s;
    return ERR_OK;
}

static err_t check_identity(const journal_t *j, const segment_t *s, why_t *why) {
    const journal_options_t *o = &j->options;
    if (o->member_id && o->member_id != s->header.member_id)
        return why_set(why, ERR_CONFLICT, "%s is the log of member %016llx, not of %016llx",
                       file_path(s->file), (unsigned long long)s->header.member_id,
                       (unsigned long long)o->member_id);
    if (o->cluster_id && o->cluster_id != s->header.cluster_id)
        return why_set(why, ERR_CONFLICT, "%s is the log of cluster %016llx, not of %016llx",
                       file_path(s->file), (unsigned long long)s->header.cluster_id,
                       (unsigned long long)o->cluster_id);
    return ERR_OK;
}

// How a segment joins the ones before it; the first one, or one that begins the log anew, says
// where the log begins.
static err_t check_joint(journal_t *j, const segment_t *s, why_t *why) {
    const segment_header_t *h = &s->header;
    const segment_t *before = j->segments.len ? last_segment(j) : NULL;
    if (before && h->sequence != before->header.sequence + 1)
        return why_set(why, ERR_CORRUPT, "%s: segment %016llx before it is missing",
                       file_path(s->file), (unsigned long long)(h->sequence - 1));
    if (!before || h->begins) {
        begin_trail(j, h->prev_index, h->prev_term);
        j->hard = h->hard;
        j->cluster_id = h->cluster_id;
        j->begins_at = j->segments.len;
        return ERR_OK;
    }
    // The segment before was whole and durable when this one was begun.
    if (h->prev_index > j->trail.last || trail_term(&j->trail, h->prev_index) != h->prev_term ||
        h->hard.term != j->hard.term || h->hard.vote != j->hard.vote)
        return corrupt_at(before, j->end, "a record that was durable cannot be read", why);
    drop_from(j, h->prev_index + 1); // begun because the log was cut back
    return ERR_OK;
}

static bool is_segment_name(const char *name) {
    return strlen(name) == 20 && strspn(name, "0123456789abcdef") == 16 && has_suffix(name, ".seg");
}

// A crash ended the making of a spare.
static err_t remove_unfinished(journal_t *j, why_t *why) {
    CLEANUP(free_charp) char *path = str_printf("%s/new.seg", j->dir);
    return files_remove(j->files, path, why);
}

static err_t recover(journal_t *j, const char **names, size_t len, why_t *why) {
    err_t err = ERR_OK;
    size_t segments = 0, seen = 0;
    for (size_t i = 0; i < len; i++) {
        segments += is_segment_name(names[i]);
        if (streq(names[i], "new.seg") && !j->options.read_only) err = remove_unfinished(j, why);
        if (!has_prefix(names[i], "spare-")) continue;
        uint64_t number = strtoull(names[i] + strlen("spare-"), NULL, 10);
        vec_push(&j->spares, number);
        if (number >= j->spare_next) j->spare_next = number + 1;
    }
    for (size_t i = 0; i < len && err == ERR_OK; i++) {
        if (!is_segment_name(names[i])) continue;
        segment_t s;
        err = open_segment(j, names[i], &s, why);
        if (err != ERR_OK) break;
        err = check_identity(j, &s, why);
        if (err == ERR_OK) err = check_joint(j, &s, why);
        vec_push(&j->segments, s);
        if (err == ERR_OK) err = replay(j, last_segment(j), ++seen == segments, why);
    }
    return err == ERR_OK && !j->options.read_only ? retire(j, j->begins_at, why) : err;
}

// ---- life ---------------------------------------------------------------------------------------
err_t journal_open(files_t *files, const journal_options_t *options, uint64_t cluster_id_if_new,
                   journal_t **ret_journal, why_t *why) {
    assert(options->member_id || options->read_only);
    journal_t *j = NEW(journal_t);
    j->files = files;
    j->options = *options;
    j->options.dir = NULL;
    if (!j->options.segment_bytes) j->options.segment_bytes = JOURNAL_SEGMENT_BYTES_DEFAULT;
    j->dir = str_dup(options->dir);
    j->cluster_id = options->cluster_id ? options->cluster_id : cluster_id_if_new;
    trail_init(&j->trail, 0, 0);
    arena_t arena = {0};
    const char **names = NULL;
    size_t len = 0;
    CLEANUP(free_charp) char *lock = str_printf("%s/lock", j->dir);
    err_t err = options->read_only ? files_list(files, j->dir, &arena, &names, &len, why)
                                   : files_make_dir(files, j->dir, why);
    if (err == ERR_OK && options->read_only && len == 0)
        err = why_set(why, ERR_NOT_FOUND, "%s: there is no log", j->dir);
    if (err == ERR_OK) err = files_lock(files, lock, &j->lock, why);
    if (err == ERR_OK) err = files_list(files, j->dir, &arena, &names, &len, why);
    if (err == ERR_OK) err = recover(j, names, len, why);
    if (err == ERR_OK && j->segments.len == 0)
        err = options->read_only ? why_set(why, ERR_NOT_FOUND, "%s: there is no log", j->dir)
                                 : begin_segment(j, 0, false, why);
    arena_done(&arena);
    if (err != ERR_OK) {
        journal_close(&j);
        return why_wrap(why, err, "open log %s", options->dir);
    }
    *ret_journal = j;
    return ERR_OK;
}

void journal_close(journal_t **journal) {
    journal_t *j = x_steal(journal);
    if (!j) return;
    for (size_t i = 0; i < j->segments.len; i++) file_close(&j->segments.at[i].file);
    file_close(&j->lock);
    vec_done(&j->segments);
    vec_done(&j->places);
    trail_done(&j->trail);
    vec_done(&j->spares);
    vec_done(&j->buffer);
    free(j->dir);
    free(j);
}

const trail_t *journal_trail(const journal_t *journal) { return &journal->trail; }
raft_hard_t journal_hard(const journal_t *journal) { return journal->hard; }
uint64_t journal_cluster_id(const journal_t *journal) { return journal->cluster_id; }
raft_id_t journal_member_id(const journal_t *journal) {
    return last_segment(journal)->header.member_id;
}
size_t journal_segments(const journal_t *journal) { return journal->segments.len; }
uint64_t journal_torn_bytes(const journal_t *journal) { return journal->torn_bytes; }
uint64_t journal_bytes(const journal_t *journal) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < journal->segments.len; i++) bytes += journal->segments.at[i].bytes;
    return bytes;
}

uint64_t journal_room(const journal_t *journal) {
    uint64_t of_spare = journal->options.segment_bytes - RECORD_SEGMENT_HEADER_BYTES;
    return last_segment(journal)->bytes - journal->end + journal->spares.len * of_spare;
}

// ---- appending ----------------------------------------------------------------------------------
static err_t flush(journal_t *j, why_t *why) {
    if (j->buffer.len == 0) return ERR_OK;
    bytes_t data = {j->buffer.at, j->buffer.len};
    err_t err = file_write_at(last_segment(j)->file, j->end, data, why);
    if (err != ERR_OK) return err;
    j->end += data.len;
    vec_reset(&j->buffer);
    return ERR_OK;
}

// Make room for a record of `bytes`, and let a segment begin where the log is cut back below the
// last one's begin: so each segment's header tells truly what comes before it.
static err_t make_room(journal_t *j, const record_t *record, size_t bytes, why_t *why) {
    const segment_t *s = last_segment(j);
    bool cuts_back = record->kind == RECORD_ENTRY && record->index <= s->header.prev_index;
    if (!cuts_back && j->end + j->buffer.len + bytes <= s->bytes) return ERR_OK;
    // The old segment is whole and durable before the new one's header says so.
    err_t err = flush(j, why);
    if (err == ERR_OK) err = file_sync(s->file, why);
    if (err == ERR_OK && cuts_back) drop_from(j, record->index);
    return err == ERR_OK ? begin_segment(j, bytes, false, why) : err;
}

static err_t add_record(journal_t *j, const record_t *record, why_t *why) {
    size_t bytes = record_bytes(record->body.len);
    err_t err = make_room(j, record, bytes, why);
    if (err != ERR_OK) return err;
    segment_t *s = last_segment(j);
    place_t place = {s->header.sequence, (uint32_t)(j->end + j->buffer.len)};
    record_t dated = *record;
    dated.synced = (uint32_t)j->synced;
    vec_reserve(&j->buffer, j->buffer.len + bytes);
    record_put(&dated, record_seed(s->header.sequence), j->buffer.at + j->buffer.len);
    j->buffer.len += bytes;
    if (record->kind == RECORD_HARD)
        j->hard = (raft_hard_t){record->term, record->index};
    else
        note_entry(j, record->index, record->term, place);
    return ERR_OK;
}

// The files that the records will begin are there before the first of them is written: a full disk
// then refuses all of them, and leaves the log as it was.
static err_t have_files(journal_t *j, bool hard, const journal_entry_t *entries, size_t len,
                        why_t *why) {
    uint64_t at = j->end + (hard ? record_bytes(0) : 0), end = last_segment(j)->bytes;
    size_t usual = at > end, unusual = 0;
    if (usual) {
        at = RECORD_SEGMENT_HEADER_BYTES + record_bytes(0);
        end = j->options.segment_bytes;
    }
    for (size_t i = 0; i < len; i++) {
        uint64_t bytes = record_bytes(entries[i].data.len);
        bool cuts_back = i == 0 && entries[i].index <= last_segment(j)->header.prev_index;
        if (cuts_back || at + bytes > end) {
            at = RECORD_SEGMENT_HEADER_BYTES;
            end = segment_bytes_for(j, bytes);
            *(end == j->options.segment_bytes ? &usual : &unusual) += 1;
        }
        at += bytes;
    }
    err_t err = ERR_OK;
    while (err == ERR_OK && j->spares.len < usual)
        err = make_spare(j, j->options.segment_bytes, why);
    uint64_t free_bytes = 0;
    if (err == ERR_OK && unusual) err = files_free_bytes(j->files, j->dir, &free_bytes, why);
    if (err == ERR_OK && unusual && free_bytes < unusual * 2 * RECORD_BODY_BYTES_MAX)
        err = why_set(why, ERR_DISK_FULL, "no room for an entry larger than a segment");
    return err == ERR_OK ? err : why_wrap(why, err, "extend log %s", j->dir);
}

err_t journal_reserve(journal_t *journal, bool *ret_made, why_t *why) {
    *ret_made = false;
    if (journal->broken || journal->spares.len >= JOURNAL_SPARES) return ERR_OK;
    err_t err = make_spare(journal, journal->options.segment_bytes, why);
    *ret_made = err == ERR_OK;
    return err == ERR_OK ? err : why_wrap(why, err, "extend log %s", journal->dir);
}

err_t journal_append(journal_t *journal, const raft_hard_t *hard, const journal_entry_t *entries,
                     size_t len, why_t *why) {
    if (journal->broken) return why_set(why, ERR_IO, "the log failed before");
    err_t err = have_files(journal, hard != NULL, entries, len, why);
    if (err != ERR_OK) {
        journal->broken = err != ERR_DISK_FULL;
        return err;
    }
    if (hard) {
        assert(hard->term >= journal->hard.term);
        record_t record = {RECORD_HARD, 0, 0, hard->vote, hard->term, {0}};
        err = add_record(journal, &record, why);
    }
    for (size_t i = 0; i < len && err == ERR_OK; i++) {
        const journal_entry_t *e = &entries[i];
        record_t record = {RECORD_ENTRY, e->kind, 0, e->index, e->term, e->data};
        err = add_record(journal, &record, why);
    }
    if (err == ERR_OK) err = flush(journal, why);
    journal->broken = err != ERR_OK;
    return err;
}

err_t journal_sync(journal_t *journal, why_t *why) {
    if (journal->broken) return why_set(why, ERR_IO, "the log failed before");
    err_t err = file_sync(last_segment(journal)->file, why);
    if (err == ERR_OK) journal->synced = journal->end;
    journal->broken = err != ERR_OK;
    return err;
}

err_t journal_mark(journal_t *journal, why_t *why) {
    journal_t *j = journal;
    if (j->broken || j->end != j->synced || j->end == RECORD_SEGMENT_HEADER_BYTES ||
        j->end + record_bytes(0) > last_segment(j)->bytes)
        return ERR_OK;
    record_t record = {RECORD_HARD, 0, 0, j->hard.vote, j->hard.term, {0}};
    err_t err = add_record(j, &record, why);
    if (err == ERR_OK) err = flush(j, why);
    j->broken = err != ERR_OK;
    return err;
}

// ---- reading ------------------------------------------------------------------------------------
static segment_t *segment_of(journal_t *j, uint64_t sequence) {
    uint64_t first = j->segments.at[0].header.sequence;
    assert(sequence >= first && sequence - first < j->segments.len);
    return &j->segments.at[sequence - first];
}

static err_t read_entry(journal_t *j, raft_index_t index, arena_t *arena,
                        journal_entry_t *ret_entry, why_t *why) {
    place_t place = j->places.at[index - j->trail.base - 1];
    segment_t *s = segment_of(j, place.sequence);
    uint8_t head[RECORD_HEADER_BYTES];
    size_t have = 0;
    err_t err = file_read_at(s->file, place.offset, head, sizeof head, &have, why);
    if (err != ERR_OK) return err;
    uint32_t len = (uint32_t)head[4] | (uint32_t)head[5] << 8 | (uint32_t)head[6] << 16 |
                   (uint32_t)head[7] << 24;
    if (have < sizeof head || len > RECORD_BODY_BYTES_MAX)
        return corrupt_at(s, place.offset, "the record's length is wrong", why);
    size_t whole = record_bytes(len);
    uint8_t *bytes = arena_alloc(arena, whole);
    if (!bytes) return why_set(why, ERR_TOO_LARGE, "no room for an entry of %zu bytes", whole);
    err = file_read_at(s->file, place.offset, bytes, whole, &have, why);
    if (err != ERR_OK) return err;
    record_t record;
    if (!record_get((bytes_t){bytes, have}, record_seed(place.sequence), &record) ||
        record.kind != RECORD_ENTRY || record.index != index)
        return corrupt_at(s, place.offset, "the record cannot be read back", why);
    *ret_entry = (journal_entry_t){record.index, record.term, record.entry_kind, record.body};
    return ERR_OK;
}

err_t journal_read(journal_t *journal, raft_index_t first, uint64_t bytes_max, arena_t *arena,
                   journal_entry_t **ret_entries, size_t *ret_len, why_t *why) {
    if (first <= journal->trail.base || first > journal->trail.last)
        return why_set(why, ERR_NOT_FOUND, "entry %llu is not in the log",
                       (unsigned long long)first);
    VEC(journal_entry_t) entries = {0};
    uint64_t bytes = 0;
    err_t err = ERR_OK;
    for (raft_index_t i = first; i <= journal->trail.last && err == ERR_OK; i++) {
        journal_entry_t entry;
        err = read_entry(journal, i, arena, &entry, why);
        if (err != ERR_OK) break;
        bytes += entry.data.len + RECORD_HEADER_BYTES;
        if (entries.len && bytes > bytes_max) break;
        vec_push(&entries, entry);
    }
    if (err == ERR_OK) {
        *ret_entries = arena_dup(arena, entries.at, entries.len * sizeof *entries.at);
        *ret_len = entries.len;
    }
    vec_done(&entries);
    return err;
}

// ---- cutting ------------------------------------------------------------------------------------
err_t journal_cut(journal_t *journal, raft_index_t up_to, why_t *why) {
    assert(up_to <= journal->trail.last);
    if (journal->broken) return why_set(why, ERR_IO, "the log failed before");
    size_t len = 0;
    // A segment may go when the next one begins at or below the cut.
    while (len + 1 < journal->segments.len &&
           journal->segments.at[len + 1].header.prev_index <= up_to)
        len++;
    err_t err = retire(journal, len, why);
    journal->broken = err != ERR_OK;
    if (err != ERR_OK) return err;
    raft_index_t base = journal->segments.at[0].header.prev_index;
    if (base > journal->trail.base) {
        size_t gone = (size_t)(base - journal->trail.base);
        assert(gone <= journal->places.len);
        memmove(journal->places.at, journal->places.at + gone,
                (journal->places.len - gone) * sizeof *journal->places.at);
        journal->places.len -= gone;
        trail_cut(&journal->trail, base);
    }
    return ERR_OK;
}

err_t journal_restart(journal_t *journal, raft_index_t index, raft_term_t term, why_t *why) {
    if (journal->broken) return why_set(why, ERR_IO, "the log failed before");
    size_t before = journal->segments.len;
    begin_trail(journal, index, term);
    err_t err = begin_segment(journal, 0, true, why);
    if (err == ERR_OK) err = retire(journal, before, why);
    journal->broken = err != ERR_OK;
    return err;
}
