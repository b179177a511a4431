#include "runtime/api/table.h"
#include "runtime/base/vec.h"
#include <ctype.h>

// kubectl's layout: a column is as wide as its widest cell and the gap behind it, but never below
// the minimum. The last cell of a line ends the line: nothing follows it, not even if it is empty.
enum { GAP = 3, COLUMN_WIDTH_MIN = 6 };

// ---- durations ----------------------------------------------------------------------------------
enum { MINUTE_S = 60, HOUR_S = 60 * MINUTE_S, DAY_S = 24 * HOUR_S, YEAR_D = 365 };

// "5m" or "5m13s": the second part is left out when it is nothing.
static const char *two_parts(arena_t *arena, int64_t a, char a_unit, int64_t b, char b_unit) {
    if (!b) return arena_printf(arena, "%lld%c", (long long)a, a_unit);
    return arena_printf(arena, "%lld%c%lld%c", (long long)a, a_unit, (long long)b, b_unit);
}

const char *human_duration(arena_t *arena, int64_t ms) {
    int64_t s = ms / 1000;
    // Clocks differ a little between machines: up to a second in the future is now.
    if (s < -1) return "<invalid>";
    if (s < 0) return "0s";
    int64_t minutes = s / MINUTE_S, hours = s / HOUR_S, days = s / DAY_S;
    if (s < 2 * MINUTE_S) return two_parts(arena, s, 's', 0, ' ');
    if (minutes < 10) return two_parts(arena, minutes, 'm', s % 60, 's');
    if (hours < 3) return two_parts(arena, minutes, 'm', 0, ' ');
    if (hours < 8) return two_parts(arena, hours, 'h', minutes % 60, 'm');
    if (hours < 48) return two_parts(arena, hours, 'h', 0, ' ');
    if (days < 8) return two_parts(arena, days, 'd', hours % 24, 'h');
    if (days < 2 * YEAR_D) return two_parts(arena, days, 'd', 0, ' ');
    if (days < 8 * YEAR_D) return two_parts(arena, days / YEAR_D, 'y', days % YEAR_D, 'd');
    return two_parts(arena, days / YEAR_D, 'y', 0, ' ');
}

// ---- lines of cells -----------------------------------------------------------------------------
typedef VEC(const char *) line_t;

static const char *upper(arena_t *arena, const char *name) {
    char *copy = arena_strdup(arena, name);
    for (char *p = copy; *p; p++) *p = (char)toupper((unsigned char)*p);
    return copy;
}

// A cell is one line of harmless text: it is cut at the first line break, and escape bytes, which
// could steer a terminal, are shown.
static const char *tame(arena_t *arena, const char *cell) {
    size_t len = strcspn(cell, "\f\n\r");
    if (!cell[len] && !strchr(cell, '\x1b')) return cell;
    text_t out = {.arena = arena};
    for (size_t i = 0; i < len; i++)
        if (cell[i] == '\x1b')
            text_add(&out, "^[");
        else
            text_addc(&out, cell[i]);
    if (cell[len]) text_add(&out, "...");
    return text_str(&out);
}

static size_t runes(const char *s) {
    size_t count = 0;
    for (; *s; s++) count += (*s & 0xc0) != 0x80;
    return count;
}

static bool is_shown(const column_t *column, const table_options_t *options) {
    return options->wide || column->priority == 0;
}

static void header_line(arena_t *arena, const column_t *columns, const table_options_t *options,
                        line_t *line) {
    if (options->with_namespace) vec_push(line, "NAMESPACE");
    for (const column_t *c = columns; c->name; c++)
        if (is_shown(c, options)) vec_push(line, upper(arena, c->name));
    if (options->show_labels) vec_push(line, "LABELS");
}

const char *labels_text(arena_t *arena, const ProtobufCMessage *obj) {
    const Meta__ObjectMeta *meta = object_meta_read(obj);
    if (!meta->n_labels) return "<none>";
    text_t out = {.arena = arena};
    for (size_t i = 0; i < meta->n_labels; i++)
        text_addf(&out, "%s%s=%s", i ? "," : "", or_empty(meta->labels[i]->key),
                  or_empty(meta->labels[i]->value));
    return text_str(&out);
}

static void object_line(arena_t *arena, const kind_t *k, const column_t *columns,
                        const ProtobufCMessage *obj, int64_t now_wall_ms,
                        const table_options_t *options, line_t *line) {
    const char *namespace = or_empty(object_meta_read(obj)->namespace_);
    if (options->with_namespace) vec_push(line, *namespace ? namespace : "<none>");
    for (const column_t *c = columns; c->name; c++) {
        if (!is_shown(c, options)) continue;
        const char *cell = tame(arena, or_empty(c->cell(arena, obj, now_wall_ms)));
        if (options->show_kind && streq(c->name, "Name"))
            cell = arena_printf(arena, "%s/%s", kind_qualified_singular(arena, k), cell);
        vec_push(line, cell);
    }
    if (options->show_labels) vec_push(line, labels_text(arena, obj));
}

static void print_line(const line_t *line, const size_t *widths, text_t *out) {
    for (size_t i = 0; i < line->len; i++) {
        text_add(out, line->at[i]);
        size_t width = runes(line->at[i]);
        if (i + 1 < line->len)
            for (; width < widths[i]; width++) text_addc(out, ' ');
    }
    text_addc(out, '\n');
}

void table_print(arena_t *arena, const kind_t *k, const ProtobufCMessage *const *objs, size_t len,
                 int64_t now_wall_ms, const table_options_t *options, text_t *out) {
    const column_t *columns = kind_columns(k);
    line_t *lines = ARENA_ARRAY(arena, line_t, len + 1);
    size_t lines_len = 0;
    if (!options->no_headers) header_line(arena, columns, options, &lines[lines_len++]);
    for (size_t i = 0; i < len; i++)
        object_line(arena, k, columns, objs[i], now_wall_ms, options, &lines[lines_len++]);

    size_t count = lines_len ? lines[0].len : 0;
    size_t *widths = ARENA_ARRAY(arena, size_t, count + 1);
    for (size_t c = 0; c < count; c++) widths[c] = COLUMN_WIDTH_MIN;
    for (size_t i = 0; i < lines_len; i++)
        for (size_t c = 0; c < count; c++) {
            size_t width = runes(lines[i].at[c]) + GAP;
            if (width > widths[c]) widths[c] = width;
        }
    for (size_t i = 0; i < lines_len; i++) {
        print_line(&lines[i], widths, out);
        vec_done(&lines[i]);
    }
}
