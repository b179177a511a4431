// Tree -> text: JSON compact and pretty as Go's encoding/json, YAML as sigs.k8s.io/yaml (whose
// emitter is a port of libyaml, used here).
#include "runtime/api/node.h"
#include "runtime/base/utf8.h"
#include <yaml.h>

// ---- JSON ---------------------------------------------------------------------------------------
static const char *short_escape(uint8_t c) {
    switch (c) {
    case '"': return "\\\"";
    case '\\': return "\\\\";
    case '\b': return "\\b";
    case '\f': return "\\f";
    case '\n': return "\\n";
    case '\r': return "\\r";
    case '\t': return "\\t";
    default: return NULL;
    }
}

// Bytes that do not go out as they are. Above 0x7f only E2 may begin what Go escapes (U+2028,
// U+2029): our strings are valid UTF-8.
static const bool ESCAPED[256] = {['"'] = true, ['\\'] = true, ['<'] = true,       ['>'] = true,
                                  ['&'] = true, [0xe2] = true, [0 ... 0x1f] = true};

enum { SHORT_STRING = 128 }; // with its quotes: most strings are short and plain

static bool write_short(text_t *out, const char *s, size_t len) {
    char quoted[SHORT_STRING];
    if (len > sizeof quoted - 2) return false;
    for (size_t i = 0; i < len; i++) {
        if (ESCAPED[(uint8_t)s[i]]) return false;
        quoted[i + 1] = s[i];
    }
    quoted[0] = quoted[len + 1] = '"';
    text_addn(out, quoted, len + 2);
    return true;
}

void json_write_string(text_t *out, const char *s, size_t len) {
    if (write_short(out, s, len)) return;
    text_addc(out, '"');
    size_t start = 0;
    for (size_t i = 0; i < len;) {
        uint8_t c = (uint8_t)s[i];
        if (!ESCAPED[c]) {
            i++;
            continue;
        }
        size_t step = 1;
        bool separator = c == 0xe2 && len - i >= 3 && (uint8_t)s[i + 1] == 0x80 &&
                         ((uint8_t)s[i + 2] | 1) == 0xa9;
        if (c == 0xe2 && !separator) {
            i++;
            continue;
        }
        text_addn(out, s + start, i - start);
        const char *escape = short_escape(c);
        if (separator)
            text_add(out, (uint8_t)s[i + 2] == 0xa8 ? "\\u2028" : "\\u2029"), step = 3;
        else if (escape)
            text_add(out, escape);
        else
            text_addf(out, "\\u%04x", c);
        start = i += step;
    }
    text_addn(out, s + start, len - start);
    text_addc(out, '"');
}

enum { COMPACT = -1 }; // else: the indentation of the line we are on

static void new_line(text_t *out, int indent) {
    if (indent == COMPACT) return;
    text_addc(out, '\n');
    for (int i = 0; i < indent; i++) text_add(out, "    ");
}

static int key_cmp(const void *a, const void *b) {
    const node_t *x = *(node_t *const *)a, *y = *(node_t *const *)b;
    return strcmp(x->key, y->key);
}

// The children of a map sorted; *returned*.
static const node_t **sorted_children(const node_t *map, size_t len,
                                      int (*cmp)(const void *, const void *)) {
    const node_t **sorted = mem_new((len + 1) * sizeof *sorted);
    size_t i = 0;
    for (const node_t *c = map->first; c; c = c->next) sorted[i++] = c;
    qsort(sorted, len, sizeof *sorted, cmp);
    return sorted;
}

static void write_json(const node_t *n, bool sort, int indent, text_t *out);

static void write_children(const node_t *n, bool sort, int indent, text_t *out) {
    bool is_map = n->type == NODE_MAP;
    size_t len = node_len(n);
    if (len == 0) {
        text_add(out, is_map ? "{}" : "[]");
        return;
    }
    const node_t **sorted = is_map && sort ? sorted_children(n, len, key_cmp) : NULL;
    int inner = indent == COMPACT ? COMPACT : indent + 1;
    text_addc(out, is_map ? '{' : '[');
    const node_t *c = n->first;
    for (size_t i = 0; i < len; i++, c = c->next) {
        const node_t *child = sorted ? sorted[i] : c;
        if (i) text_addc(out, ',');
        new_line(out, inner);
        if (is_map) {
            json_write_string(out, child->key, child->key_len);
            text_add(out, indent == COMPACT ? ":" : ": ");
        }
        write_json(child, sort, inner, out);
    }
    new_line(out, indent);
    text_addc(out, is_map ? '}' : ']');
    free(sorted);
}

static void write_json(const node_t *n, bool sort, int indent, text_t *out) {
    switch ((node_type_t)n->type) {
    case NODE_NULL: text_add(out, "null"); break;
    case NODE_BOOL: text_add(out, n->is_true ? "true" : "false"); break;
    case NODE_NUMBER: text_addn(out, n->text, n->text_len); break;
    case NODE_STRING: json_write_string(out, n->text, n->text_len); break;
    case NODE_LIST:
    case NODE_MAP: write_children(n, sort, indent, out); break;
    }
}

void node_write_json(const node_t *n, text_t *out) { write_json(n, false, COMPACT, out); }
void node_write_json_sorted(const node_t *n, text_t *out) { write_json(n, true, COMPACT, out); }
void node_write_json_pretty(const node_t *n, text_t *out) { write_json(n, true, 0, out); }

void node_write_list_json(node_item_fn *item, void *data, size_t len, text_t *out) {
    arena_t arena = {0};
    text_add(out, "{\n    \"apiVersion\": \"v1\",\n    \"items\": [");
    for (size_t i = 0; i < len; i++) {
        if (i) text_addc(out, ',');
        new_line(out, 2);
        write_json(item(data, i, &arena), true, 2, out);
        arena_clear(&arena);
    }
    if (len) new_line(out, 1);
    text_add(out, "],\n    \"kind\": \"List\",\n    \"metadata\": {\n"
                  "        \"resourceVersion\": \"\"\n    }\n}\n");
    arena_done(&arena);
}

// ---- YAML ---------------------------------------------------------------------------------------
static bool is_letter(uint32_t c) { return (c | 32) - 'a' < 26 || c >= 0x80; }
static bool is_digit(uint32_t c) { return c - '0' < 10; }

static uint32_t char_at(const node_t *n, size_t i, size_t *ret_len) {
    return utf8_at(n->key + i, n->key_len - i, ret_len);
}

// A number that starts at `i`: its value and how long it is.
static int64_t number_at(const node_t *n, size_t i, int64_t start, size_t *ret_len) {
    uint64_t v = (uint64_t)start;
    size_t from = i;
    for (; i < n->key_len && is_digit((uint8_t)n->key[i]); i++)
        v = v * 10 + (uint8_t)(n->key[i] - '0');
    *ret_len = i - from;
    return (int64_t)v;
}

// yaml.v2 sorts keys naturally: numbers inside them by value, and anything else before letters.
static int natural_cmp(const void *a, const void *b) {
    const node_t *x = *(node_t *const *)a, *y = *(node_t *const *)b;
    size_t i = 0, step_x = 1, step_y = 1;
    while (i < x->key_len && i < y->key_len) {
        uint32_t c = char_at(x, i, &step_x), d = char_at(y, i, &step_y);
        if (c == d) {
            i += step_x;
            continue;
        }
        if (is_letter(c) && is_letter(d)) return c < d ? -1 : 1;
        if (is_letter(c) || is_letter(d)) return is_letter(d) ? -1 : 1;
        int64_t start = 0;
        if (c == '0' || d == '0')
            for (size_t j = i; j > 0 && is_digit((uint8_t)x->key[j - 1]) && !start; j--)
                start = x->key[j - 1] != '0';
        size_t len_x, len_y;
        int64_t n = number_at(x, i, start, &len_x), m = number_at(y, i, start, &len_y);
        if (n != m) return n < m ? -1 : 1;
        if (len_x != len_y) return len_x < len_y ? -1 : 1;
        return c < d ? -1 : 1;
    }
    return (x->key_len > y->key_len) - (x->key_len < y->key_len);
}

// 1:30 would be a number of base 60 to other readers of YAML 1.1.
static bool is_base60(const char *s, size_t len) {
    if (!memchr(s, ':', len)) return false;
    size_t i = s[0] == '-' || s[0] == '+', digits = i, groups = 0;
    while (i < len && is_digit((uint8_t)s[i])) i++;
    if (i == digits) return false;
    while (i + 1 < len && s[i] == ':' && is_digit((uint8_t)s[i + 1])) {
        i += 2;
        if (i < len && s[i - 1] < '6' && is_digit((uint8_t)s[i])) i++;
        groups++;
    }
    if (i < len && s[i] == '.')
        for (i++; i < len && is_digit((uint8_t)s[i]);) i++;
    return groups && i == len;
}

static void emit(yaml_emitter_t *e, int made, yaml_event_t *event) {
    // Out of memory or a broken event: both are beyond what we can answer for.
    assert(made);
    int good = yaml_emitter_emit(e, event);
    assert(good);
}

static void emit_scalar(yaml_emitter_t *e, const char *text, size_t len,
                        yaml_scalar_style_t style) {
    yaml_event_t event;
    int made = yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)text, (int)len,
                                            1, 1, style);
    emit(e, made, &event);
}

static void emit_string(yaml_emitter_t *e, const char *text, size_t len) {
    yaml_scalar_style_t style = YAML_DOUBLE_QUOTED_SCALAR_STYLE;
    if (memchr(text, '\n', len))
        style = YAML_LITERAL_SCALAR_STYLE;
    else if (node_yaml_is_plain_string(text, len) && !is_base60(text, len))
        style = YAML_PLAIN_SCALAR_STYLE;
    emit_scalar(e, text, len, style);
}

static void emit_node(yaml_emitter_t *e, const node_t *n);

static void emit_map(yaml_emitter_t *e, const node_t *n) {
    yaml_event_t event;
    size_t len = node_len(n);
    yaml_mapping_style_t style = len ? YAML_BLOCK_MAPPING_STYLE : YAML_FLOW_MAPPING_STYLE;
    emit(e, yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, style), &event);
    const node_t **sorted = sorted_children(n, len, natural_cmp);
    for (size_t i = 0; i < len; i++) {
        emit_string(e, sorted[i]->key, sorted[i]->key_len);
        emit_node(e, sorted[i]);
    }
    free(sorted);
    emit(e, yaml_mapping_end_event_initialize(&event), &event);
}

static void emit_list(yaml_emitter_t *e, const node_t *n) {
    yaml_event_t event;
    yaml_sequence_style_t style = n->first ? YAML_BLOCK_SEQUENCE_STYLE : YAML_FLOW_SEQUENCE_STYLE;
    emit(e, yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, style), &event);
    for (const node_t *c = n->first; c; c = c->next) emit_node(e, c);
    emit(e, yaml_sequence_end_event_initialize(&event), &event);
}

static void emit_node(yaml_emitter_t *e, const node_t *n) {
    switch ((node_type_t)n->type) {
    case NODE_NULL: emit_scalar(e, "null", 4, YAML_PLAIN_SCALAR_STYLE); break;
    case NODE_BOOL: {
        const char *word = n->is_true ? "true" : "false";
        emit_scalar(e, word, strlen(word), YAML_PLAIN_SCALAR_STYLE);
        break;
    }
    case NODE_NUMBER: emit_scalar(e, n->text, n->text_len, YAML_PLAIN_SCALAR_STYLE); break;
    case NODE_STRING: emit_string(e, n->text, n->text_len); break;
    case NODE_LIST: emit_list(e, n); break;
    case NODE_MAP: emit_map(e, n); break;
    }
}

static int write_chunk(void *out, unsigned char *bytes, size_t len) {
    text_addn(out, bytes, len);
    return 1;
}

static void start_document(yaml_emitter_t *e, text_t *out) {
    yaml_event_t event;
    int good = yaml_emitter_initialize(e);
    assert(good);
    yaml_emitter_set_output(e, write_chunk, out);
    yaml_emitter_set_unicode(e, 1);
    emit(e, yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING), &event);
    emit(e, yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1), &event);
}

static void end_document(yaml_emitter_t *e) {
    yaml_event_t event;
    e->open_ended = 0; // as yaml.v2: no "..." behind text that ends in empty lines
    emit(e, yaml_document_end_event_initialize(&event, 1), &event);
    emit(e, yaml_stream_end_event_initialize(&event), &event);
    yaml_emitter_delete(e);
}

void node_write_yaml(const node_t *n, text_t *out) {
    yaml_emitter_t e;
    start_document(&e, out);
    emit_node(&e, n);
    end_document(&e);
}

static void emit_word(yaml_emitter_t *e, const char *word) { emit_string(e, word, strlen(word)); }

void node_write_list_yaml(node_item_fn *item, void *data, size_t len, text_t *out) {
    arena_t arena = {0};
    yaml_emitter_t e;
    yaml_event_t event;
    yaml_mapping_style_t block = YAML_BLOCK_MAPPING_STYLE;
    start_document(&e, out);
    emit(&e, yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, block), &event);
    emit_word(&e, "apiVersion");
    emit_word(&e, "v1");
    emit_word(&e, "items");
    yaml_sequence_style_t style = len ? YAML_BLOCK_SEQUENCE_STYLE : YAML_FLOW_SEQUENCE_STYLE;
    emit(&e, yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, style), &event);
    for (size_t i = 0; i < len; i++) {
        emit_node(&e, item(data, i, &arena)); // libyaml copies what it holds back
        arena_clear(&arena);
    }
    emit(&e, yaml_sequence_end_event_initialize(&event), &event);
    emit_word(&e, "kind");
    emit_word(&e, "List");
    emit_word(&e, "metadata");
    emit(&e, yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, block), &event);
    emit_word(&e, "resourceVersion");
    emit_word(&e, "");
    emit(&e, yaml_mapping_end_event_initialize(&event), &event);
    emit(&e, yaml_mapping_end_event_initialize(&event), &event);
    end_document(&e);
    arena_done(&arena);
}
