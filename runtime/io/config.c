#include "runtime/io/config.h"
#include "runtime/base/vec.h"
#include "runtime/io/config_tree.h"

static const config_field_t *find_field(const config_field_t *fields, const char *key) {
    for (const config_field_t *f = fields; f->key; f++)
        if (streq(f->key, key)) return f;
    return NULL;
}

static err_t unknown_key(const config_node_t *n, const char *file, const char *kind,
                         const config_field_t *fields, why_t *why) {
    VEC(const char *) known = {0};
    for (const config_field_t *f = fields; f->key; f++) vec_push(&known, f->key);
    vec_push(&known, "kind");
    const char *near = config_nearest(n->key, known.at, known.len);
    vec_done(&known);
    if (near)
        return config_error(why, ERR_INVALID, file, n->key_line,
                            "%s: unknown key of %s; did you mean %s?", n->key, kind, near);
    return config_error(why, ERR_INVALID, file, n->key_line, "%s: unknown key of %s", n->key, kind);
}

static err_t check_kind(const config_node_t *root, const char *file, const char *kind, why_t *why) {
    const config_node_t *n = config_node_get(root, "kind");
    if (!n)
        return config_error(why, ERR_INVALID, file, root->line,
                            "kind: missing; this file needs \"kind: %s\"", kind);
    const char *found;
    err_t e = config_as_string(n, file, &found, why);
    if (e) return e;
    if (!streq(found, kind))
        return config_error(why, ERR_INVALID, file, n->line, "kind: must be %s, but is %.80s", kind,
                            found);
    return ERR_OK;
}

static err_t check_range(const config_node_t *n, const char *file, const config_field_t *f,
                         int64_t value, why_t *why) {
    if ((f->min == 0 && f->max == 0) || (value >= f->min && value <= f->max)) return ERR_OK;
    const char *unit = f->type == CONFIG_DURATION_MS ? "ms"
                       : f->type == CONFIG_BYTES     ? " bytes"
                                                     : "";
    return config_error(why, ERR_INVALID, file, n->line,
                        "%s: %.40s is out of range; allowed are %lld%s to %lld%s", f->key, n->text,
                        (long long)f->min, unit, (long long)f->max, unit);
}

static err_t read_strings(arena_t *arena, const config_node_t *n, const char *file,
                          config_strings_t *out, why_t *why) {
    if (n->kind != CONFIG_NODE_LIST)
        return config_error(why, ERR_INVALID, file, n->line,
                            "%s: must be a list of strings, but is %s", n->key,
                            config_node_kind_text(n));
    const char **at = ARENA_ARRAY(arena, const char *, n->len + 1);
    size_t len = 0;
    for (const config_node_t *element = n->first; element; element = element->next) {
        err_t e = config_as_string(element, file, &at[len], why);
        if (e) return e;
        len++;
    }
    *out = (config_strings_t){at, len};
    return ERR_OK;
}

static err_t read_number(const config_node_t *n, const char *file, const config_field_t *f,
                         int64_t *out, why_t *why) {
    int64_t value = 0;
    err_t e = f->type == CONFIG_DURATION_MS ? config_as_duration_ms(n, file, &value, why)
              : f->type == CONFIG_BYTES     ? config_as_bytes(n, file, &value, why)
                                            : config_as_int(n, file, &value, why);
    if (!e) e = check_range(n, file, f, value, why);
    if (!e) *out = value;
    return e;
}

static err_t read_field(arena_t *arena, const config_node_t *n, const char *file,
                        const config_field_t *f, void *at, why_t *why) {
    switch (f->type) {
    case CONFIG_STRING: return config_as_string(n, file, at, why);
    case CONFIG_BOOL: return config_as_bool(n, file, at, why);
    case CONFIG_STRINGS: return read_strings(arena, n, file, at, why);
    case CONFIG_INT:
    case CONFIG_DURATION_MS:
    case CONFIG_BYTES: return read_number(n, file, f, at, why);
    }
    abort();
}

err_t config_read_map(arena_t *arena, const char *file, const config_node_t *map, const char *kind,
                      const config_field_t *fields, void *ret_struct, why_t *why) {
    assert(arena && file && map && kind && fields && ret_struct);
    if (map->kind != CONFIG_NODE_MAP)
        return config_error(why, ERR_INVALID, file, map->line, "must be keys and values, but is %s",
                            config_node_kind_text(map));
    err_t e = ERR_OK;
    for (const config_node_t *n = map->first; n && !e; n = n->next) {
        if (streq(n->key, "kind")) continue;
        const config_field_t *f = find_field(fields, n->key);
        e = f ? read_field(arena, n, file, f, (char *)ret_struct + f->offset, why)
              : unknown_key(n, file, kind, fields, why);
    }
    return e;
}

err_t config_read(arena_t *arena, const char *file, const char *text, size_t len, const char *kind,
                  const config_field_t *fields, void *ret_struct, why_t *why) {
    config_node_t *root;
    err_t e = config_tree_parse(arena, file, text, len, &root, why);
    if (!e && root->kind == CONFIG_NODE_MAP) e = check_kind(root, file, kind, why);
    if (!e) e = config_read_map(arena, file, root, kind, fields, ret_struct, why);
    return e;
}
