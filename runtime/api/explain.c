// The layout is that of `kubectl explain` over OpenAPI v3; the texts are our own (explain_text.c),
// everything else comes from the descriptors and the side table.
#include "runtime/api/explain.h"
#include "runtime/api/explain_text.h"
#include "runtime/api/msg_walk.h"

enum {
    TEXT_COLUMNS = 80,
    TEXT_INDENT = 4,
    DEPTH_MAX = 24, // of --recursive; no kind nests deeper
};

typedef const ProtobufCFieldDescriptor field_t;

// A field as it is explained: a row of the table, or the kind and apiVersion of a TypeMeta.
typedef struct {
    const char *name;
    const api_field_t *row; // NULL: of TypeMeta
    const api_type_t *owner;
} item_t;

// ---- names of types -----------------------------------------------------------------------------
static const char *scalar_name(field_t *f) {
    switch (f->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_INT64: return "integer";
    case PROTOBUF_C_TYPE_DOUBLE: return "number";
    case PROTOBUF_C_TYPE_BOOL: return "boolean";
    default: return "string";
    }
}

static field_t *field_of(const item_t *item) {
    field_t *f;
    msg_holder(NULL, item->owner->descriptor, item->row, &f);
    return f;
}

static const char *value_name(const item_t *item, field_t *f) {
    const api_type_t *type = api_type_at(item->row->type);
    if (!type) return scalar_name(f);
    switch (type->special) {
    case SPECIAL_TIME:
    case SPECIAL_MICRO_TIME:
    case SPECIAL_DURATION: return "string";
    default: return type->descriptor->short_name;
    }
}

// "<[]Container>", "<map[string]string>", "<integer>"
static const char *type_name(arena_t *arena, const item_t *item) {
    if (!item->row) return "<string>";
    field_t *f = field_of(item);
    const char *form = "";
    if (item->row->flags & API_MAP) {
        form = "map[string]";
        f = &((const ProtobufCMessageDescriptor *)f->descriptor)->fields[1];
    } else if (f->label == PROTOBUF_C_LABEL_REPEATED) {
        form = "[]";
    }
    return arena_printf(arena, "<%s%s>", form, value_name(item, f));
}

// ---- what is shown ------------------------------------------------------------------------------
// The i-th
// field in alphabetical order, TypeMeta's two among them.
static bool item_at(const api_type_t *type, size_t i, item_t *ret_item) {
    static const char *const META[] = {"apiVersion", "kind"};
    size_t row = 0, meta = type->type_meta ? 0 : LENGTH_OF(META);
    for (;; i--) {
        const api_field_t *f = row < type->len ? api_field_sorted(type, row) : NULL;
        bool is_meta = meta < LENGTH_OF(META) && (!f || strcmp(META[meta], f->json) < 0);
        if (!f && !is_meta) return false;
        if (i == 0) {
            *ret_item = is_meta ? (item_t){META[meta], NULL, type} : (item_t){f->json, f, type};
            return true;
        }
        if (is_meta)
            meta++;
        else
            row++;
    }
}

static const char *text_of(arena_t *arena, const item_t *item) {
    if (!item->row)
        return streq(item->name, "kind")
                   ? "What sort of object this is; it cannot change."
                   : "Group and version of the schema that this object follows.";
    // Inlined fields are described where they are declared.
    const ProtobufCMessageDescriptor *d = item->owner->descriptor;
    const char *text = explain_text(arena_printf(arena, "%s.%s", d->short_name, item->name));
    for (size_t i = 0; !text && i < LENGTH_OF(item->row->via) && item->row->via[i]; i++) {
        d = d->fields[item->row->via[i] - 1].descriptor;
        text = explain_text(arena_printf(arena, "%s.%s", d->short_name, item->name));
    }
    const api_type_t *value = api_type_at(item->row->type);
    if (!text && value) text = explain_text(value->descriptor->short_name);
    return text ? text : "(no text)";
}

// Paragraph of words, broken before the last column.
static void add_wrapped(text_t *out, const char *words, size_t indent) {
    size_t column = 0;
    for (const char *at = words; *at;) {
        size_t len = strcspn(at, " ");
        if (column && column + 1 + len > TEXT_COLUMNS) {
            text_addc(out, '\n');
            column = 0;
        }
        if (column == 0) {
            for (size_t i = 0; i < indent; i++) text_addc(out, ' ');
            column = indent;
        } else {
            text_addc(out, ' ');
            column++;
        }
        text_addn(out, at, len);
        column += len;
        at += len + (at[len] == ' ');
    }
    text_addc(out, '\n');
}

static void add_heading(arena_t *arena, text_t *out, size_t indent, const item_t *item) {
    bool required = item->row && (item->row->flags & API_REQUIRED);
    const char *values = item->row ? api_field_enum(item->row) : NULL;
    text_addf(out, "%*s%s\t%s%s\n", (int)indent, "", item->name, type_name(arena, item),
              required ? " -required-" : "");
    if (values) text_addf(out, "%*senum: %s\n", (int)indent, "", values);
}

static const api_type_t *inside(const item_t *item) {
    const api_type_t *type = item->row ? api_type_at(item->row->type) : NULL;
    return type && type->special == SPECIAL_NONE ? type : NULL;
}

static void add_fields(arena_t *arena, text_t *out, const api_type_t *type, bool recursive,
                       size_t depth) {
    item_t item = {0};
    for (size_t i = 0; item_at(type, i, &item); i++) {
        add_heading(arena, out, 2 * depth, &item);
        if (!recursive) {
            add_wrapped(out, text_of(arena, &item), TEXT_INDENT);
            text_addc(out, '\n');
        } else if (inside(&item) && depth < DEPTH_MAX) {
            add_fields(arena, out, inside(&item), true, depth + 1);
        }
    }
}

// ---- the whole ----------------------------------------------------------------------------------
// Follows
// the path; `ret_item` is the last step, its name NULL for the kind itself.
static err_t follow(const kind_t *k, const char *path, item_t *ret_item,
                    const api_type_t **ret_type, why_t *why) {
    const api_type_t *type = api_type_of(k->type);
    item_t item = {0};
    while (*path) {
        size_t len = strcspn(path, ".");
        bool found = false;
        for (size_t i = 0; type && !found && item_at(type, i, &item); i++)
            found = strlen(item.name) == len && memcmp(item.name, path, len) == 0;
        if (!found)
            return why_set(why, ERR_NOT_FOUND, "field \"%.*s\" does not exist", (int)len, path);
        type = inside(&item);
        path += len + (path[len] == '.');
    }
    *ret_item = item;
    *ret_type = type;
    return ERR_OK;
}

static void add_values(text_t *out, const item_t *item) {
    const char *values = item->row ? api_field_enum(item->row) : NULL;
    if (!values) return;
    text_add(out, "ENUM:\n");
    for (const char *at = values; *at;) {
        size_t len = strcspn(at, ",");
        text_addf(out, "    %.*s\n", (int)len, at);
        at += len;
        at += strspn(at, ", ");
    }
}

err_t explain_print(arena_t *arena, const kind_t *k, const char *path, bool recursive, text_t *out,
                    why_t *why) {
    item_t item = {0};
    const api_type_t *type = NULL;
    err_t err = follow(k, path, &item, &type, why);
    if (err) return err;
    if (*k->group) text_addf(out, "%-12s%s\n", "GROUP:", k->group);
    text_addf(out, "%-12s%s\n%-12s%s\n\n", "KIND:", k->name, "VERSION:", k->version);
    const char *words = item.name ? text_of(arena, &item) : explain_text(k->type->short_name);
    if (item.name) {
        text_addf(out, "FIELD: %s %s\n", item.name, type_name(arena, &item));
        add_values(out, &item);
        text_addc(out, '\n');
    }
    text_add(out, "DESCRIPTION:\n");
    add_wrapped(out, words ? words : "(no text)", TEXT_INDENT);
    text_add(out, "    \n");
    if (!type) return ERR_OK;
    text_add(out, "FIELDS:\n");
    add_fields(arena, out, type, recursive, 1);
    text_addc(out, '\n');
    return ERR_OK;
}
