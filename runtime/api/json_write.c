// Messages -> JSON as a Kubernetes 1.33 server writes it: fields in Go's order, empty ones where
// Go has no omitempty, special types in their own form.
#include "k8s/intstr.pb-c.h"
#include "k8s/resource.pb-c.h"
#include "k8s/runtime.pb-c.h"
#include "runtime/api/codec.h"
#include "runtime/api/msg_walk.h"
#include "runtime/api/node.h"
#include "runtime/api/special.h"
#include <math.h>

typedef const ProtobufCFieldDescriptor field_t;

static void write_message(text_t *out, const api_type_t *type, const ProtobufCMessage *msg);

// ---- numbers ------------------------------------------------------------------------------------
static void write_int(text_t *out, int64_t v) {
    char digits[24];
    size_t at = sizeof digits;
    uint64_t rest = v < 0 ? -(uint64_t)v : (uint64_t)v;
    do digits[--at] = (char)('0' + rest % 10);
    while (rest /= 10);
    if (v < 0) digits[--at] = '-';
    text_addn(out, digits + at, sizeof digits - at);
}

// The shortest text that reads back the same, exponents as Go's JSON has them.
static void write_double(text_t *out, double v) {
    char digits[40];
    if (!isfinite(v)) v = 0; // JSON has no form for it; nothing we read can hold it
    for (int precision = 1; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, v);
        if (strtod(digits, NULL) == v) break;
    }
    if (strchr(digits, 'e') && fabs(v) < 1e21 && fabs(v) >= 1e-6)
        snprintf(digits, sizeof digits, fabs(v) < 1 ? "%.10f" : "%.0f", v);
    text_add(out, digits);
}

// ---- special types ------------------------------------------------------------------------------
static void write_time(text_t *out, bool is_set, int64_t seconds, int32_t nanos, int digits) {
    char text[SPECIAL_TEXT_MAX + 2];
    if (!is_set) {
        text_addn(out, "null", 4);
        return;
    }
    text[0] = '"';
    size_t len = special_time_print(seconds, nanos, digits, text + 1);
    text[len + 1] = '"';
    text_addn(out, text, len + 2);
}

static void write_base64(text_t *out, const ProtobufCBinaryData *b) {
    enum { STEP = 3 * 64 };
    char letters[STEP / 3 * 4];
    text_addc(out, '"');
    for (size_t i = 0; i < b->len; i += STEP) {
        size_t len = b->len - i < STEP ? b->len - i : STEP;
        special_base64_print(b->data + i, len, letters);
        text_addn(out, letters, special_base64_size(len));
    }
    text_addc(out, '"');
}

static void write_strings(text_t *out, const ProtobufCMessage *msg) {
    field_t *f = &msg->descriptor->fields[0];
    char *const *list = FIELD_IN(msg, f->offset, char **);
    size_t len = FIELD_IN(msg, f->quantifier_offset, size_t);
    text_addc(out, '[');
    for (size_t i = 0; i < len; i++) {
        if (i) text_addc(out, ',');
        json_write_string(out, list[i], strlen(list[i]));
    }
    text_addc(out, ']');
}

// Raw JSON was checked and made compact when it was read; from protobuf it may be anything.
static void write_raw(text_t *out, const Runtime__RawExtension *raw) {
    if (!raw || raw->raw.len == 0) {
        text_addn(out, "null", 4);
        return;
    }
    arena_t arena = {0};
    node_t *tree;
    err_t err =
        node_parse_json(&arena, (char *)raw->raw.data, raw->raw.len, CODEC_NODES_MAX, &tree, NULL);
    if (err)
        text_addn(out, "null", 4);
    else
        node_write_json(tree, out);
    arena_done(&arena);
}

// `msg` may be NULL: the zero value.
static void write_special(text_t *out, special_t special, const ProtobufCMessage *msg) {
    switch (special) {
    case SPECIAL_TIME: {
        const Meta__Time *t = (const Meta__Time *)msg;
        write_time(out, t && t->has_seconds, t ? t->seconds : 0, 0, 0);
        break;
    }
    case SPECIAL_MICRO_TIME: {
        const Meta__MicroTime *t = (const Meta__MicroTime *)msg;
        write_time(out, t && t->has_seconds, t ? t->seconds : 0, t ? t->nanos : 0, 6);
        break;
    }
    case SPECIAL_DURATION: {
        char text[SPECIAL_TEXT_MAX];
        size_t len =
            special_duration_print(msg ? ((const Meta__Duration *)msg)->duration : 0, text);
        json_write_string(out, text, len);
        break;
    }
    case SPECIAL_QUANTITY: {
        const char *text = msg ? or_empty(((const Resource__Quantity *)msg)->string) : "";
        if (!*text) text = "0";
        json_write_string(out, text, strlen(text));
        break;
    }
    case SPECIAL_INT_OR_STRING: {
        const Intstr__IntOrString *v = (const Intstr__IntOrString *)msg;
        if (v && v->type == 1)
            json_write_string(out, or_empty(v->strval), strlen(or_empty(v->strval)));
        else
            write_int(out, v ? v->intval : 0);
        break;
    }
    case SPECIAL_RAW: write_raw(out, (const Runtime__RawExtension *)msg); break;
    case SPECIAL_STRINGS:
        if (msg)
            write_strings(out, msg);
        else
            text_addn(out, "null", 4);
        break;
    case SPECIAL_NONE: assert(!"not special");
    }
}

// ---- fields -------------------------------------------------------------------------------------
static void write_value(text_t *out, field_t *f, const api_type_t *type, const void *at) {
    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING: {
        const char *s = or_empty(*(char *const *)at);
        json_write_string(out, s, strlen(s));
        break;
    }
    case PROTOBUF_C_TYPE_BOOL: {
        bool v = *(const protobuf_c_boolean *)at;
        text_addn(out, v ? "true" : "false", v ? 4 : 5);
        break;
    }
    case PROTOBUF_C_TYPE_INT32: write_int(out, *(const int32_t *)at); break;
    case PROTOBUF_C_TYPE_INT64: write_int(out, *(const int64_t *)at); break;
    case PROTOBUF_C_TYPE_DOUBLE: write_double(out, *(const double *)at); break;
    case PROTOBUF_C_TYPE_BYTES: write_base64(out, at); break;
    case PROTOBUF_C_TYPE_MESSAGE: {
        const ProtobufCMessage *msg = *(ProtobufCMessage *const *)at;
        if (type->special)
            write_special(out, type->special, msg);
        else
            write_message(out, type, msg);
        break;
    }
    default: assert(!"no API message has such a field");
    }
}

static void write_map(text_t *out, const api_type_t *type, ProtobufCMessage *const *entries,
                      size_t len) {
    // Sorted when it came in; a list that was built by hand may not be.
    ProtobufCMessage **sorted = (ProtobufCMessage **)entries, **copy = NULL;
    for (size_t i = 1; i < len && !copy; i++) {
        field_t *key = &entries[0]->descriptor->fields[0];
        if (strcmp(or_empty(FIELD_IN(entries[i - 1], key->offset, char *)),
                   or_empty(FIELD_IN(entries[i], key->offset, char *))) < 0)
            continue;
        sorted = copy = mem_new(len * sizeof *copy);
        memcpy(copy, entries, len * sizeof *copy);
        len = msg_map_sort(copy, len);
    }
    text_addc(out, '{');
    for (size_t i = 0; i < len; i++) {
        field_t *fields = sorted[i]->descriptor->fields;
        const char *key = or_empty(FIELD_IN(sorted[i], fields[0].offset, char *));
        if (i) text_addc(out, ',');
        json_write_string(out, key, strlen(key));
        text_addc(out, ':');
        write_value(out, &fields[1], type, (const char *)sorted[i] + fields[1].offset);
    }
    text_addc(out, '}');
    free(copy);
}

static void write_list(text_t *out, field_t *f, const api_type_t *type, const char *list,
                       size_t len) {
    size_t step = msg_element_size(f);
    text_addc(out, '[');
    for (size_t i = 0; i < len; i++) {
        if (i) text_addc(out, ',');
        write_value(out, f, type, list + i * step);
    }
    text_addc(out, ']');
}

// What Go writes for a zero value without omitempty.
static void write_empty(text_t *out, const api_field_t *row, field_t *f, const api_type_t *type) {
    if (f->label == PROTOBUF_C_LABEL_REPEATED) {
        text_add(out, row->flags & API_EMPTY_LIST ? "[]" : "null");
        return;
    }
    switch (f->type) {
    case PROTOBUF_C_TYPE_MESSAGE:
        if (type->special)
            write_special(out, type->special, NULL);
        else if (row->flags & API_POINTER)
            text_add(out, "null");
        else
            write_message(out, type, NULL);
        break;
    case PROTOBUF_C_TYPE_STRING: text_add(out, row->flags & API_POINTER ? "null" : "\"\""); break;
    case PROTOBUF_C_TYPE_BYTES: text_add(out, "null"); break;
    case PROTOBUF_C_TYPE_BOOL: text_add(out, row->flags & API_POINTER ? "null" : "false"); break;
    default: text_add(out, row->flags & API_POINTER ? "null" : "0");
    }
}

static void write_name(text_t *out, const api_field_t *row, bool first) {
    char name[UINT8_MAX + 8];
    size_t len = 0;
    if (!first) name[len++] = ',';
    name[len++] = '"';
    memcpy(name + len, row->json, row->json_len);
    len += row->json_len;
    name[len++] = '"';
    name[len++] = ':';
    text_addn(out, name, len);
}

// `msg` may be NULL: its fields as Go writes them when empty. Returns whether nothing was written.
static bool write_fields(text_t *out, const api_type_t *type, const ProtobufCMessage *msg,
                         bool first) {
    const api_field_t *rows = api_fields(type);
    const ProtobufCMessageDescriptor *d = type->descriptor;
    for (size_t i = 0; i < type->len; i++) {
        const api_field_t *row = &rows[i];
        field_t *f = &d->fields[row->at];
        const ProtobufCMessage *holder = msg;
        const api_type_t *holder_type = type;
        if (row->via[0]) {
            holder = msg_holder(msg, d, row, &f);
            holder_type = holder ? api_type_of(holder->descriptor) : NULL;
        }
        const api_type_t *value = api_type_at(row->type);
        if (!holder || !msg_field_is_set(holder_type, holder, f)) {
            if (!(row->flags & API_EMITTED)) continue;
            write_name(out, row, first);
            write_empty(out, row, f, value);
        } else {
            const char *at = (const char *)holder + f->offset;
            size_t len = f->label == PROTOBUF_C_LABEL_REPEATED
                             ? FIELD_IN(holder, f->quantifier_offset, size_t)
                             : 0;
            write_name(out, row, first);
            if (row->flags & API_MAP)
                write_map(out, value, *(ProtobufCMessage *const *const *)at, len);
            else if (len)
                write_list(out, f, value, *(const char *const *)at, len);
            else
                write_value(out, f, value, at);
        }
        first = false;
    }
    return first;
}

static void write_message(text_t *out, const api_type_t *type, const ProtobufCMessage *msg) {
    text_addc(out, '{');
    write_fields(out, type, msg, true);
    text_addc(out, '}');
}

void json_write_msg(const ProtobufCMessage *msg, text_t *out) {
    const api_type_t *type = api_type_of(msg->descriptor);
    assert(type);
    if (type->special)
        write_special(out, type->special, msg);
    else
        write_message(out, type, msg);
}

void json_write_object(const kind_t *k, const ProtobufCMessage *obj, text_t *out) {
    const api_type_t *type = api_type_of(obj->descriptor);
    assert(type);
    text_addf(out, "{\"kind\":\"%s\",\"apiVersion\":\"%s%s%s\"", k->name, k->group,
              *k->group ? "/" : "", k->version);
    write_fields(out, type, obj, false);
    text_addc(out, '}');
}
