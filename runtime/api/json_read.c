// Trees -> messages by descriptor. All errors are collected; their texts are those of Go's decoder
// as Kubernetes uses it, and each knows its line.
#include "runtime/api/json_read.h"
#include "k8s/intstr.pb-c.h"
#include "k8s/resource.pb-c.h"
#include "k8s/runtime.pb-c.h"
#include "runtime/api/msg_walk.h"
#include "runtime/api/quantity.h"
#include "runtime/api/special.h"

typedef const ProtobufCFieldDescriptor field_t;

// Where we are, as a chain on the stack.
typedef struct path {
    const struct path *up;
    const char *name; // of a field or a map's key; NULL: an element
    size_t index;
    bool is_key;
} path_t;

typedef struct {
    arena_t *arena;
    read_errors_t *errors;
    bool strict, no_memory;
} read_t;

static void read_fields(read_t *r, const api_type_t *type, ProtobufCMessage *msg,
                        const node_t *node, const path_t *path);

// ---- errors -------------------------------------------------------------------------------------
// Enough said: count it, and spare the making of its text.
static bool is_full(read_t *r) {
    if (r->errors->len < CODEC_ERRORS_MAX) return false;
    r->errors->skipped++;
    return true;
}

static void add_error(read_t *r, const node_t *node, bool is_strict, const char *text) {
    read_errors_t *e = r->errors;
    assert(e->len < CODEC_ERRORS_MAX);
    e->at[e->len].line = node->line;
    e->at[e->len].is_strict = is_strict;
    e->at[e->len++].text = or_empty(text);
}

// "spec.containers[0].name"; Go's type errors leave indexes and keys out.
static void add_path(text_t *out, const path_t *path, bool exact) {
    if (!path) return;
    add_path(out, path->up, exact);
    if (!path->name) {
        if (exact) text_addf(out, "[%zu]", path->index);
    } else if (exact || !path->is_key) {
        if (out->len) text_addc(out, '.');
        text_add(out, path->name);
    }
}

static const char *path_text(read_t *r, const path_t *path, bool exact) {
    text_t out = {.arena = r->arena};
    add_path(&out, path, exact);
    return text_str(&out);
}

static void strict_error(read_t *r, const node_t *node, const char *what, const path_t *path) {
    if (!r->strict) return;
    if (is_full(r)) return;
    add_error(r, node, true,
              arena_printf(r->arena, "%s field \"%s\"", what, path_text(r, path, true)));
}

static void value_error(read_t *r, const node_t *node, const path_t *path, const char *what) {
    if (is_full(r)) return;
    const char *where = path_text(r, path, true);
    add_error(r, node, false, arena_printf(r->arena, "%s%s%s", where, *where ? ": " : "", what));
}

static const char *go_scalar(field_t *f) {
    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING: return "string";
    case PROTOBUF_C_TYPE_BOOL: return "bool";
    case PROTOBUF_C_TYPE_INT32: return "int32";
    case PROTOBUF_C_TYPE_INT64: return "int64";
    case PROTOBUF_C_TYPE_DOUBLE: return "float64";
    case PROTOBUF_C_TYPE_BYTES: return "[]uint8";
    default: return "value";
    }
}

// "v1.Container", from k8s.io.api.core.v1.Container
static const char *go_type(read_t *r, field_t *f) {
    if (f->type != PROTOBUF_C_TYPE_MESSAGE) return go_scalar(f);
    const ProtobufCMessageDescriptor *d = f->descriptor;
    const char *name = d->name, *start = name, *dot = strrchr(name, '.');
    for (const char *at = name; at < dot; at++)
        if (*at == '.') start = at + 1;
    return arena_strdup(r->arena, start);
}

static const char *json_type(read_t *r, const node_t *n) {
    static const char *const NAMES[] = {"null", "bool", "number", "string", "array", "object"};
    return NAMES[n->type];
}

// `owner` is the Go struct that the field belongs to.
static void type_error(read_t *r, const node_t *node, const path_t *path, const char *owner,
                       const char *wanted) {
    if (is_full(r)) return;
    const char *where = path_text(r, path, false);
    const char *given = json_type(r, node);
    if (node->type == NODE_NUMBER && !streq(wanted, "string") && !streq(wanted, "bool"))
        given = arena_printf(r->arena, "number %.*s", (int)node->text_len, node->text);
    const char *text =
        *where ? arena_printf(r->arena,
                              "json: cannot unmarshal %s into Go struct field %s.%s of type %s",
                              given, owner, where, wanted)
               : arena_printf(r->arena, "json: cannot unmarshal %s into Go value of type %s", given,
                              wanted);
    add_error(r, node, false, text);
}

// ---- special types ------------------------------------------------------------------------------
static void read_time(read_t *r, ProtobufCMessage *msg, const node_t *node, const path_t *path) {
    int64_t seconds;
    int32_t nanos;
    if (node->type != NODE_STRING) {
        type_error(r, node, path, msg->descriptor->short_name, "string");
        return;
    }
    if (special_time_parse(node->text, node->text_len, &seconds, &nanos)) {
        value_error(
            r, node, path,
            arena_printf(r->arena,
                         "parsing time \"%s\" as \"2006-01-02T15:04:05Z07:00\": cannot parse",
                         node->text));
        return;
    }
    // Time and MicroTime have the same fields; whole seconds and microseconds are what they keep.
    static_assert(offsetof(Meta__Time, nanos) == offsetof(Meta__MicroTime, nanos), "one shape");
    Meta__Time *t = (Meta__Time *)msg;
    t->has_seconds = true;
    t->seconds = seconds;
    bool micro = msg->descriptor == &meta__micro_time__descriptor;
    t->has_nanos = true;
    t->nanos = micro ? nanos / 1000 * 1000 : 0;
}

static void read_duration(read_t *r, ProtobufCMessage *msg, const node_t *node,
                          const path_t *path) {
    Meta__Duration *d = (Meta__Duration *)msg;
    d->has_duration = true;
    if (node->type != NODE_STRING)
        type_error(r, node, path, "Duration", "string");
    else if (special_duration_parse(node->text, node->text_len, &d->duration))
        value_error(r, node, path,
                    arena_printf(r->arena, "time: invalid duration \"%s\"", node->text));
}

static void read_quantity(read_t *r, ProtobufCMessage *msg, const node_t *node,
                          const path_t *path) {
    if (node->type != NODE_STRING && node->type != NODE_NUMBER) {
        type_error(r, node, path, "Quantity", "string");
        return;
    }
    const char *text = arena_strndup(r->arena, node->text, node->text_len);
    if (!text) {
        r->no_memory = true;
        return;
    }
    text += strspn(text, " ");
    const char *canonical = quantity_canonical(r->arena, text);
    if (!canonical)
        value_error(r, node, path,
                    "quantities must match the regular expression "
                    "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
    ((Resource__Quantity *)msg)->string = canonical;
}

static void read_int_or_string(read_t *r, ProtobufCMessage *msg, const node_t *node,
                               const path_t *path) {
    Intstr__IntOrString *v = (Intstr__IntOrString *)msg;
    int64_t number;
    v->has_type = true;
    if (node->type == NODE_STRING) {
        v->type = 1;
        v->strval = node->text;
    } else if (node_is_int(node, &number) && number == (int32_t)number) {
        v->has_intval = true;
        v->intval = (int32_t)number;
    } else {
        type_error(r, node, path, "IntOrString", "int32");
    }
}

static void read_raw(read_t *r, ProtobufCMessage *msg, const node_t *node) {
    static_assert(offsetof(Runtime__RawExtension, raw) == offsetof(Meta__FieldsV1, raw),
                  "one shape");
    Runtime__RawExtension *raw = (Runtime__RawExtension *)msg;
    text_t out = {.arena = r->arena};
    node_write_json(node, &out);
    raw->has_raw = true;
    raw->raw = (ProtobufCBinaryData){out.len, (uint8_t *)out.at};
}

static void read_strings(read_t *r, ProtobufCMessage *msg, const node_t *node, const path_t *path) {
    field_t *f = &msg->descriptor->fields[0];
    if (node->type != NODE_LIST) {
        type_error(r, node, path, msg->descriptor->short_name, "[]string");
        return;
    }
    size_t len = node_len(node), i = 0;
    const char **list = ARENA_ARRAY(r->arena, const char *, len);
    if (!list) {
        r->no_memory = true;
        return;
    }
    for (const node_t *c = node->first; c; c = c->next, i++) {
        list[i] = c->type == NODE_STRING ? c->text : "";
        if (c->type != NODE_STRING && c->type != NODE_NULL)
            type_error(r, c, path, msg->descriptor->short_name, "string");
    }
    FIELD_AT(msg, f->offset, const char **) = list;
    FIELD_AT(msg, f->quantifier_offset, size_t) = len;
}

static void read_special(read_t *r, special_t special, ProtobufCMessage *msg, const node_t *node,
                         const path_t *path) {
    switch (special) {
    case SPECIAL_TIME:
    case SPECIAL_MICRO_TIME: read_time(r, msg, node, path); break;
    case SPECIAL_DURATION: read_duration(r, msg, node, path); break;
    case SPECIAL_QUANTITY: read_quantity(r, msg, node, path); break;
    case SPECIAL_INT_OR_STRING: read_int_or_string(r, msg, node, path); break;
    case SPECIAL_RAW: read_raw(r, msg, node); break;
    case SPECIAL_STRINGS: read_strings(r, msg, node, path); break;
    case SPECIAL_NONE: assert(!"not special");
    }
}

// ---- values -------------------------------------------------------------------------------------
static void read_bytes(read_t *r, ProtobufCBinaryData *to, const node_t *node, const path_t *path,
                       const char *owner) {
    if (node->type != NODE_STRING) {
        type_error(r, node, path, owner, "[]uint8");
        return;
    }
    uint8_t *bytes = arena_alloc(r->arena, node->text_len + 1);
    if (!bytes) {
        r->no_memory = true;
        return;
    }
    size_t len;
    if (special_base64_parse(node->text, node->text_len, bytes, &len))
        value_error(r, node, path, "illegal base64 data");
    else
        *to = (ProtobufCBinaryData){len, bytes};
}

static void read_number(read_t *r, field_t *f, void *to, const node_t *node, const path_t *path,
                        const char *owner) {
    int64_t v;
    if (f->type == PROTOBUF_C_TYPE_DOUBLE && node->type == NODE_NUMBER) {
        const char *text = node_scalar_text(r->arena, node);
        *(double *)to = text ? strtod(text, NULL) : 0;
    } else if (!node_is_int(node, &v) || (f->type == PROTOBUF_C_TYPE_INT32 && v != (int32_t)v) ||
               f->type == PROTOBUF_C_TYPE_DOUBLE) {
        type_error(r, node, path, owner, go_scalar(f));
    } else if (f->type == PROTOBUF_C_TYPE_INT32) {
        *(int32_t *)to = (int32_t)v;
    } else {
        *(int64_t *)to = v;
    }
}

// One value that is not null. `to` is its place in a message, a list or a map's entry.
static void read_value(read_t *r, field_t *f, const api_type_t *type, void *to, const node_t *node,
                       const path_t *path, const char *owner) {
    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING:
        if (node->type == NODE_STRING)
            *(const char **)to = node->text;
        else
            type_error(r, node, path, owner, "string");
        break;
    case PROTOBUF_C_TYPE_BOOL:
        if (node->type == NODE_BOOL)
            *(protobuf_c_boolean *)to = node->is_true;
        else
            type_error(r, node, path, owner, "bool");
        break;
    case PROTOBUF_C_TYPE_BYTES: read_bytes(r, to, node, path, owner); break;
    case PROTOBUF_C_TYPE_MESSAGE: {
        ProtobufCMessage *msg = *(ProtobufCMessage **)to;
        // A field given twice: structs merge as in Go, special values are replaced.
        if (!msg || type->special)
            msg = *(ProtobufCMessage **)to = msg_new(r->arena, f->descriptor);
        if (!msg)
            r->no_memory = true;
        else if (type->special)
            read_special(r, type->special, msg, node, path);
        else if (node->type != NODE_MAP)
            type_error(r, node, path, owner, go_type(r, f));
        else
            read_fields(r, type, msg, node, path);
        break;
    }
    default: read_number(r, f, to, node, path, owner);
    }
}

// The zero value that Go makes of a null inside a list or map.
static void read_null(read_t *r, field_t *f, void *to) {
    if (f->type == PROTOBUF_C_TYPE_STRING) *(const char **)to = "";
    if (f->type != PROTOBUF_C_TYPE_MESSAGE) return;
    if (!(*(void **)to = msg_new(r->arena, f->descriptor)))
        r->no_memory = true;
    else if (f->descriptor == &resource__quantity__descriptor)
        (*(Resource__Quantity **)to)->string = "0";
}

static void read_list(read_t *r, field_t *f, const api_type_t *type, ProtobufCMessage *msg,
                      const node_t *node, const path_t *path) {
    if (node->type != NODE_LIST) {
        type_error(r, node, path, msg->descriptor->short_name,
                   arena_printf(r->arena, "[]%s", go_type(r, f)));
        return;
    }
    size_t len = node_len(node), step = msg_element_size(f), i = 0;
    char *list = len ? arena_alloc(r->arena, len * step) : NULL;
    if (len && !list) {
        r->no_memory = true;
        return;
    }
    FIELD_AT(msg, f->offset, void *) = list;
    FIELD_AT(msg, f->quantifier_offset, size_t) = len;
    for (const node_t *c = node->first; c && !r->no_memory; c = c->next, i++) {
        path_t element = {path, NULL, i, false};
        if (c->type == NODE_NULL)
            read_null(r, f, list + i * step);
        else
            read_value(r, f, type, list + i * step, c, &element, msg->descriptor->short_name);
    }
    // What failed to be read leaves no NULL behind for whoever looks at the rest.
    if (f->type == PROTOBUF_C_TYPE_STRING)
        for (i = 0; i < len; i++)
            if (!((const char **)list)[i]) ((const char **)list)[i] = "";
}

static void read_map(read_t *r, field_t *f, const api_type_t *type, ProtobufCMessage *msg,
                     const node_t *node, const path_t *path) {
    const ProtobufCMessageDescriptor *d = f->descriptor;
    field_t *key = &d->fields[0], *value = &d->fields[1];
    if (node->type != NODE_MAP) {
        type_error(r, node, path, msg->descriptor->short_name,
                   arena_printf(r->arena, "map[string]%s", go_type(r, value)));
        return;
    }
    size_t len = node_len(node), i = 0;
    ProtobufCMessage **entries = ARENA_ARRAY(r->arena, ProtobufCMessage *, len);
    if (!entries) {
        r->no_memory = true;
        return;
    }
    for (const node_t *c = node->first; c; c = c->next, i++) {
        path_t entry = {path, c->key, 0, true};
        if (!(entries[i] = msg_new(r->arena, f->descriptor))) {
            r->no_memory = true;
            return;
        }
        void *to = (char *)entries[i] + value->offset;
        FIELD_AT(entries[i], key->offset, const char *) = c->key;
        if (c->type == NODE_NULL)
            read_null(r, value, to);
        else
            read_value(r, value, type, to, c, &entry, msg->descriptor->short_name);
        if (value->type == PROTOBUF_C_TYPE_BYTES)
            FIELD_AT(entries[i], value->quantifier_offset, protobuf_c_boolean) = true;
        if (value->type == PROTOBUF_C_TYPE_STRING && !*(char **)to) *(const char **)to = "";
    }
    size_t kept = msg_map_sort(entries, len);
    if (kept < len && r->strict) {
        const node_t *again[CODEC_ERRORS_MAX];
        size_t n = node_repeated(node, again, LENGTH_OF(again));
        for (i = 0; i < n; i++) {
            path_t entry = {path, again[i]->key, 0, true};
            strict_error(r, again[i], "duplicate", &entry);
        }
    }
    FIELD_AT(msg, f->offset, void *) = entries;
    FIELD_AT(msg, f->quantifier_offset, size_t) = kept;
}

// ---- fields -------------------------------------------------------------------------------------
static void read_field(read_t *r, const api_field_t *row, ProtobufCMessage *msg, const node_t *node,
                       const path_t *path) {
    field_t *f;
    const char *owner = msg->descriptor->short_name;
    ProtobufCMessage *holder = msg_holder_make(r->arena, msg, row, &f);
    if (!holder) {
        r->no_memory = true;
        return;
    }
    const api_type_t *type = api_type_at(row->type);
    if (row->flags & API_MAP) {
        read_map(r, f, type, holder, node, path);
    } else if (f->label == PROTOBUF_C_LABEL_REPEATED) {
        read_list(r, f, type, holder, node, path);
    } else {
        read_value(r, f, type, (char *)holder + f->offset, node, path, owner);
        bool has_flag = f->type != PROTOBUF_C_TYPE_STRING && f->type != PROTOBUF_C_TYPE_MESSAGE;
        if (has_flag) FIELD_AT(holder, f->quantifier_offset, protobuf_c_boolean) = true;
        // A server writes "0" for a quantity that is not set, where Go has no pointer.
        bool may_be_zero = type && type->special == SPECIAL_QUANTITY && !(row->flags & API_POINTER);
        Resource__Quantity **q = (Resource__Quantity **)((char *)holder + f->offset);
        if (may_be_zero && *q && (*q)->string && streq((*q)->string, "0")) *q = NULL;
    }
}

static bool is_type_meta(const api_type_t *type, const node_t *c) {
    return type->type_meta && ((c->key_len == 4 && memcmp(c->key, "kind", 4) == 0) ||
                               (c->key_len == 10 && memcmp(c->key, "apiVersion", 10) == 0));
}

static void read_fields(read_t *r, const api_type_t *type, ProtobufCMessage *msg,
                        const node_t *node, const path_t *path) {
    uint64_t seen = 0;
    size_t guess = 0;
    assert(type->len <= 64);
    const api_field_t *rows = api_fields(type);
    for (const node_t *c = node->first; c && !r->no_memory; c = c->next) {
        const api_field_t *row = api_field_find(type, c->key, c->key_len, guess);
        path_t here = {path, c->key, 0, false};
        if (!row) {
            if (!is_type_meta(type, c)) strict_error(r, c, "unknown", &here);
            continue;
        }
        guess = (size_t)(row - rows) + 1;
        uint64_t bit = 1ull << (row - rows);
        if (seen & bit) strict_error(r, c, "duplicate", &here);
        seen |= bit;
        if (c->type != NODE_NULL) read_field(r, row, msg, c, &here);
    }
}

void *json_read_node(arena_t *arena, const ProtobufCMessageDescriptor *type, const node_t *node,
                     bool strict, read_errors_t *errors) {
    read_t r = {.arena = arena, .errors = errors, .strict = strict};
    const api_type_t *api = api_type_of(type);
    assert(api);
    ProtobufCMessage *msg = msg_new(arena, type);
    if (!msg) return NULL;
    if (api->special)
        read_special(&r, api->special, msg, node, NULL);
    else if (node->type == NODE_MAP)
        read_fields(&r, api, msg, node, NULL);
    else
        type_error(&r, node, NULL, "", type->short_name);
    return r.no_memory ? NULL : msg;
}

err_t read_errors_why(const read_errors_t *errors, why_t *why) {
    assert(errors->len > 0);
    for (size_t i = 0; i < errors->len; i++)
        if (!errors->at[i].is_strict)
            return why_set(why, ERR_BAD_REQUEST, "%s", errors->at[i].text);
    text_t out = TEXT_HEAP;
    for (size_t i = 0; i < errors->len; i++)
        text_addf(&out, "%s%s", i ? ", " : "", errors->at[i].text);
    if (errors->skipped) text_addf(&out, " and %zu more", errors->skipped);
    err_t err = why_set(why, ERR_BAD_REQUEST, "strict decoding error: %s", text_str(&out));
    text_done(&out);
    return err;
}

// ---- text ---------------------------------------------------------------------------------------
err_t json_read_msg(arena_t *arena, const ProtobufCMessageDescriptor *type, const char *json,
                    size_t len, bool strict, void **ret_msg, why_t *why) {
    if (len > CODEC_TEXT_MAX_BYTES)
        return why_set(why, ERR_TOO_LARGE, "JSON text of %zu bytes, at most %d are taken", len,
                       CODEC_TEXT_MAX_BYTES);
    node_t *tree;
    err_t err = node_parse_json(arena, json, len, CODEC_NODES_MAX, &tree, why);
    if (err) return err;
    read_errors_t errors = {0};
    void *msg = json_read_node(arena, type, tree, strict, &errors);
    if (!msg) return why_set(why, ERR_TOO_LARGE, "needs too much memory");
    if (errors.len) return read_errors_why(&errors, why);
    *ret_msg = msg;
    return ERR_OK;
}
