// Field selectors: "spec.nodeName=x,status.phase!=Running". Values may hold , = and \ when a
// backslash stands before them.
#include "runtime/api/msg_walk.h"
#include "runtime/api/selector.h"

typedef struct {
    const char *path, *value;
    const char *zero; // what an unset field counts as: "", "false", "0"
    bool differs;     // !=
} term_t;
struct field_selector {
    term_t *at;
    size_t len;
};
enum { TERMS_MAX = 100, PATH_STEPS_MAX = 8 };

static bool is_known(const kind_t *k, const char *path) {
    if (streq(path, "metadata.name") || streq(path, "metadata.namespace")) return true;
    for (const char *at = or_empty(k->selectable_fields); *at;) {
        size_t len = strcspn(at, " ");
        if (strlen(path) == len && memcmp(at, path, len) == 0) return true;
        at += len;
        at += *at == ' ';
    }
    return false;
}

// Go prints the zero value of what the field is.
static const char *zero_of(const kind_t *k, const char *path) {
    const api_type_t *type = api_type_of(k->type);
    for (int step = 0; type && step < PATH_STEPS_MAX; step++) {
        size_t len = strcspn(path, ".");
        const api_field_t *row = api_field_find(type, path, len, SIZE_MAX);
        if (!row) break;
        const ProtobufCFieldDescriptor *f;
        msg_holder(NULL, type->descriptor, row, &f);
        if (!path[len])
            return f->type == PROTOBUF_C_TYPE_BOOL                                        ? "false"
                   : f->type == PROTOBUF_C_TYPE_INT32 || f->type == PROTOBUF_C_TYPE_INT64 ? "0"
                                                                                          : "";
        type = api_type_at(row->type);
        path += len + 1;
    }
    return "";
}

// Up to an unescaped comma; returns what is behind it.
static const char *next_term(arena_t *arena, const char *text, const char **ret_term) {
    size_t len = 0;
    while (text[len] && text[len] != ',') len += text[len] == '\\' && text[len + 1] ? 2 : 1;
    *ret_term = arena_strndup(arena, text, len);
    return text + len + (text[len] == ',');
}

static err_t unescape(char *value, why_t *why) {
    char *to = value;
    for (const char *from = value; *from; from++) {
        if (*from == '\\' && from[1] && strchr(",=\\", from[1]))
            from++;
        else if (*from == '\\')
            return why_set(why, ERR_BAD_REQUEST,
                           "invalid field selector: invalid escape sequence: \\%c", from[1]);
        else if (*from == '=' || *from == ',')
            return why_set(why, ERR_BAD_REQUEST,
                           "invalid field selector: unescaped rune in value: %c", *from);
        *to++ = *from;
    }
    *to = 0;
    return ERR_OK;
}

static err_t read_term(arena_t *arena, const kind_t *k, const char *whole, const char *term,
                       term_t *ret_t, why_t *why) {
    size_t at = strcspn(term, "=");
    if (!term[at] || at == 0 || (at == 1 && term[0] == '!'))
        return why_set(why, ERR_BAD_REQUEST, "invalid selector: '%s'; can't understand '%s'", whole,
                       term);
    bool differs = term[at - 1] == '!';
    size_t behind = at + (!differs && term[at + 1] == '=' ? 2 : 1);
    char *value = arena_strdup(arena, term + behind);
    term_t t = {arena_strndup(arena, term, at - differs), value, "", differs};
    if (!t.path || !value) return why_set(why, ERR_TOO_LARGE, "needs too much memory");
    err_t err = unescape(value, why);
    if (err) return err;
    if (!is_known(k, t.path))
        return k->selectable_fields
                   ? why_set(why, ERR_BAD_REQUEST, "field label not supported: %s", t.path)
                   : why_set(why, ERR_BAD_REQUEST,
                             "\"%s\" is not a known field selector: only \"metadata.name\", "
                             "\"metadata.namespace\"",
                             t.path);
    t.zero = zero_of(k, t.path);
    *ret_t = t;
    return ERR_OK;
}

err_t field_selector_parse(arena_t *arena, const kind_t *k, const char *text,
                           const field_selector_t **ret_sel, why_t *why) {
    field_selector_t *sel = ARENA_NEW(arena, field_selector_t);
    term_t *at = ARENA_ARRAY(arena, term_t, TERMS_MAX);
    if (!sel || !at) return why_set(why, ERR_TOO_LARGE, "needs too much memory");
    sel->at = at;
    for (const char *rest = text; *rest;) {
        const char *term;
        rest = next_term(arena, rest, &term);
        if (!term) return why_set(why, ERR_TOO_LARGE, "needs too much memory");
        if (!*term) continue;
        if (sel->len == TERMS_MAX)
            return why_set(why, ERR_TOO_LARGE, "a field selector of more than %d terms", TERMS_MAX);
        err_t err = read_term(arena, k, text, term, &sel->at[sel->len], why);
        if (err) return err;
        sel->len++;
    }
    *ret_sel = sel;
    return ERR_OK;
}

bool field_selector_matches(const field_selector_t *sel, const ProtobufCMessage *obj) {
    arena_t arena = {0};
    bool matches = true;
    for (size_t i = 0; i < sel->len && matches; i++) {
        const term_t *t = &sel->at[i];
        const char *value = msg_text_at(&arena, obj, t->path);
        matches = streq(value ? value : t->zero, t->value) != t->differs;
    }
    arena_done(&arena);
    return matches;
}
