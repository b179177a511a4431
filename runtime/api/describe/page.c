#include "runtime/api/describe/page.h"
#include "runtime/api/kinds/fill.h"
#include "runtime/api/patch.h"
#include "runtime/api/table.h"
#include "runtime/base/vec.h"
#include <time.h>

enum { GAP = 2, LEVEL_WIDTH = 2, ANNOTATION_WIDTH_MAX = 140 };

void page_add(page_t *page, int level, const char *fmt, ...) {
    for (int i = 0; i < level * LEVEL_WIDTH; i++) text_addc(&page->raw, ' ');
    va_list args;
    va_start(args, fmt);
    text_addv(&page->raw, fmt, args);
    va_end(args);
}

// ---- alignment ----------------------------------------------------------------------------------
// A line's cells end with a tab, all but the last. A column block is a run of lines that have a
// cell in that column; all its cells get the width of the widest. Blocks nest: the columns to the
// right are laid out within each block on its own.
typedef struct {
    const char *at;
    size_t bytes, width;
} cell_t;
typedef struct {
    cell_t *cells;
    size_t len;
} line_t;
typedef struct {
    line_t *lines;
    VEC(size_t) widths;
    text_t *out;
} layout_t;

static size_t runes(const char *at, size_t bytes) {
    size_t count = 0;
    for (size_t i = 0; i < bytes; i++) count += (at[i] & 0xc0) != 0x80;
    return count;
}

static line_t split_line(arena_t *arena, const char *at, size_t bytes) {
    size_t count = 1;
    for (size_t i = 0; i < bytes; i++) count += at[i] == '\t';
    line_t line = {ARENA_ARRAY(arena, cell_t, count), 0};
    for (;;) {
        const char *tab = memchr(at, '\t', bytes);
        size_t len = tab ? (size_t)(tab - at) : bytes;
        line.cells[line.len++] = (cell_t){at, len, runes(at, len)};
        if (!tab) return line;
        at = tab + 1;
        bytes -= len + 1;
    }
}

static void write_lines(layout_t *l, size_t from, size_t to) {
    for (size_t i = from; i < to; i++) {
        const line_t *line = &l->lines[i];
        for (size_t c = 0; c < line->len; c++) {
            text_addn(l->out, line->cells[c].at, line->cells[c].bytes);
            size_t width = c < l->widths.len ? l->widths.at[c] : 0;
            for (size_t w = line->cells[c].width; w < width; w++) text_addc(l->out, ' ');
        }
        text_addc(l->out, '\n');
    }
}

static bool has_cell(const layout_t *l, size_t line, size_t column) {
    return column + 1 < l->lines[line].len;
}

static void lay_out(layout_t *l, size_t from, size_t to) {
    size_t column = l->widths.len;
    for (size_t at = from; at < to; at++) {
        if (!has_cell(l, at, column)) continue;
        write_lines(l, from, at);
        from = at;
        size_t width = 0;
        for (; at < to && has_cell(l, at, column); at++) {
            size_t w = l->lines[at].cells[column].width + GAP;
            if (w > width) width = w;
        }
        vec_push(&l->widths, width);
        lay_out(l, from, at);
        l->widths.len--;
        from = at;
    }
    write_lines(l, from, to);
}

void page_print(const page_t *page, text_t *out) {
    const char *raw = text_str(&page->raw);
    size_t count = 0;
    for (const char *p = raw; *p; p++) count += *p == '\n';
    layout_t l = {.lines = ARENA_ARRAY(page->arena, line_t, count + 1), .out = out};
    size_t len = 0;
    for (const char *p = raw; *p;) {
        size_t bytes = strcspn(p, "\n");
        l.lines[len++] = split_line(page->arena, p, bytes);
        p += bytes + (p[bytes] == '\n');
    }
    lay_out(&l, 0, len);
    vec_done(&l.widths);
}

// ---- small texts --------------------------------------------------------------------------------
const char *or_none(const char *text) { return is_empty(text) ? "<none>" : text; }

const char *page_since(const page_t *page, int64_t wall_ms) {
    return wall_ms ? human_duration(page->arena, page->now_wall_ms - wall_ms) : "<unknown>";
}

const char *page_time(const page_t *page, int64_t wall_ms) {
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm tm;
    char text[64];
    gmtime_r(&seconds, &tm);
    strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S +0000", &tm);
    return arena_strdup(page->arena, text);
}

const char *page_joined(const page_t *page, const char *const *at, size_t len, const char *gap) {
    text_t out = {.arena = page->arena};
    for (size_t i = 0; i < len; i++) text_addf(&out, "%s%s", i ? gap : "", at[i]);
    return text_str(&out);
}

// ---- metadata -----------------------------------------------------------------------------------
void page_head(page_t *page, const ProtobufCMessage *obj) {
    const Meta__ObjectMeta *meta = object_meta_read(obj);
    page_add(page, 0, "Name:\t%s\n", or_empty(meta->name));
    const kind_t *k = kind_of(obj);
    if (k && k->namespaced) page_add(page, 0, "Namespace:\t%s\n", or_empty(meta->namespace_));
}

void page_labels(page_t *page, const char *title, const void *entries, size_t len) {
    str_entry_t *const *at = entries;
    page_add(page, 0, "%s:\t", title);
    if (!len) page_add(page, 0, "<none>\n");
    for (size_t i = 0; i < len; i++)
        page_add(page, 0, "%s%s=%s\n", i ? "\t" : "", or_empty(at[i]->key), or_empty(at[i]->value));
}

// A long value, or one of several lines, stands below its key, each line cut.
static void add_annotation(page_t *page, const char *key, const char *value) {
    size_t len = strlen(value);
    if (len && value[len - 1] == '\n') len--;
    if (len + strlen(key) + 2 <= ANNOTATION_WIDTH_MAX && !memchr(value, '\n', len)) {
        page_add(page, 0, "%s: %.*s\n", key, (int)len, value);
        return;
    }
    page_add(page, 0, "%s:\n", key);
    for (const char *end = value + len; value < end; value++) {
        size_t line = strcspn(value, "\n");
        if (line > (size_t)(end - value)) line = (size_t)(end - value);
        bool cut = line > ANNOTATION_WIDTH_MAX - 2;
        page_add(page, 0, "\t  %.*s%s\n", (int)(cut ? ANNOTATION_WIDTH_MAX - 2 : line), value,
                 cut ? "..." : "");
        value += line;
    }
}

void page_annotations(page_t *page, const char *title, const Meta__ObjectMeta *meta) {
    size_t shown = 0;
    page_add(page, 0, "%s:\t", title);
    for (size_t i = 0; i < meta->n_annotations; i++) {
        const char *key = or_empty(meta->annotations[i]->key);
        if (streq(key, LAST_APPLIED_ANNOTATION)) continue;
        if (shown++) page_add(page, 0, "\t");
        add_annotation(page, key, or_empty(meta->annotations[i]->value));
    }
    if (!shown) page_add(page, 0, "<none>\n");
}

// ---- tolerations --------------------------------------------------------------------------------
static int by_key(const void *a, const void *b) {
    const Core__Toleration *x = *(const Core__Toleration *const *)a;
    const Core__Toleration *y = *(const Core__Toleration *const *)b;
    return strcmp(or_empty(x->key), or_empty(y->key));
}

static void add_toleration(page_t *page, const Core__Toleration *t) {
    page_add(page, 0, "%s", or_empty(t->key));
    if (!is_empty(t->value)) page_add(page, 0, "=%s", t->value);
    if (!is_empty(t->effect)) page_add(page, 0, ":%s", t->effect);
    if (streq(or_empty(t->operator_), "Exists") && is_empty(t->value))
        page_add(page, 0, "%sop=Exists", is_empty(t->key) && is_empty(t->effect) ? "" : " ");
    if (t->has_tolerationseconds) page_add(page, 0, " for %llds", (long long)t->tolerationseconds);
    page_add(page, 0, "\n");
}

void page_tolerations(page_t *page, const char *title, Core__Toleration *const *at, size_t len) {
    page_add(page, 0, "%s:\t", title);
    if (!len) {
        page_add(page, 0, "<none>\n");
        return;
    }
    Core__Toleration **sorted = arena_dup(page->arena, at, len * sizeof *at);
    qsort(sorted, len, sizeof *sorted, by_key);
    for (size_t i = 0; i < len; i++) {
        if (i) page_add(page, 0, "\t");
        add_toleration(page, sorted[i]);
    }
}

// ---- events -------------------------------------------------------------------------------------
static int64_t last_seen(const Core__Event *e) {
    int64_t last = time_wall_ms(e->lasttimestamp);
    if (e->series && e->series->lastobservedtime)
        return microtime_wall_ms(e->series->lastobservedtime);
    return last ? last : microtime_wall_ms(e->eventtime);
}

static int by_last_seen(const void *a, const void *b) {
    int64_t x = last_seen(*(const Core__Event *const *)a);
    int64_t y = last_seen(*(const Core__Event *const *)b);
    return x < y ? -1 : x > y;
}

// "10s", or "10s (x3 over 5m)" for what happened again.
static const char *event_age(const page_t *page, const Core__Event *e) {
    int64_t first = microtime_wall_ms(e->eventtime);
    const char *since = page_since(page, first ? first : time_wall_ms(e->firsttimestamp));
    if (e->series)
        return arena_printf(page->arena, "%s (x%d over %s)", page_since(page, last_seen(e)),
                            e->series->count, since);
    if (e->count > 1)
        return arena_printf(page->arena, "%s (x%d over %s)",
                            page_since(page, time_wall_ms(e->lasttimestamp)), e->count, since);
    return since;
}

static const char *trimmed(const page_t *page, const char *text) {
    text += strspn(text, " \t\n\r");
    size_t len = strlen(text);
    while (len && strchr(" \t\n\r", text[len - 1])) len--;
    return arena_strndup(page->arena, text, len);
}

void page_events(page_t *page) {
    if (!page->events_len) {
        page_add(page, 0, "Events:\t<none>\n");
        return;
    }
    const Core__Event **sorted =
        arena_dup(page->arena, page->events, page->events_len * sizeof *page->events);
    qsort(sorted, page->events_len, sizeof *sorted, by_last_seen);
    page_add(page, 0, "Events:\n");
    page_add(page, 1, "Type\tReason\tAge\tFrom\tMessage\n");
    page_add(page, 1, "----\t------\t----\t----\t-------\n");
    for (size_t i = 0; i < page->events_len; i++) {
        const Core__Event *e = sorted[i];
        const char *from = e->source ? or_empty(e->source->component) : "";
        page_add(page, 1, "%s\t%s\t%s\t%s\t%s\n", or_empty(e->type), or_empty(e->reason),
                 event_age(page, e), *from ? from : or_empty(e->reportingcomponent),
                 trimmed(page, or_empty(e->message)));
    }
}
