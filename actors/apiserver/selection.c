#include "actors/apiserver/selection.h"
#include "actors/apiserver/keys.h"
#include "k8s/core_v1.pb-c.h"

// One clause "field=value" or "field==value" whose field is `field`: its value, in the arena.
static const char *clause_value(arena_t *arena, const char *clause, size_t len, const char *field) {
    size_t field_len = strlen(field);
    if (len <= field_len || strncmp(clause, field, field_len) != 0 || clause[field_len] != '=')
        return NULL;
    size_t at = field_len + 1;
    if (at < len && clause[at] == '=') at++;
    if (memchr(clause + at, '\\', len - at)) return NULL; // escapes are the parser's business
    return arena_strndup(arena, clause + at, len - at);
}

// Pulls out what an index answers; true: that was all.
static bool pull_out(arena_t *arena, const char *text, bool has_node, selection_t *s) {
    bool all = true;
    for (const char *at = text; *at;) {
        size_t len = strcspn(at, ",");
        const char *name = clause_value(arena, at, len, "metadata.name");
        const char *node = has_node ? clause_value(arena, at, len, "spec.nodeName") : NULL;
        if (name && !s->name)
            s->name = name;
        else if (node && !s->node)
            s->node = node;
        else
            all = false;
        at += len + (at[len] == ',');
    }
    return all;
}

err_t selection_parse(arena_t *arena, const kind_t *asked, const char *ns, const char *name,
                      const char *label_selector, const char *field_selector,
                      selection_t *ret_selection, why_t *why) {
    selection_t s = {.asked = asked, .stored = kind_stored(asked), .prefix = ""};
    if (asked->namespaced && !is_empty(ns)) s.prefix = arena_printf(arena, "%s/", ns);
    if (!is_empty(name)) s.name = arena_strdup(arena, name);
    if (!is_empty(label_selector)) {
        err_t err = selector_parse(arena, label_selector, &s.labels, why);
        if (err) return ERR_BAD_REQUEST;
    }
    if (!is_empty(field_selector)) {
        err_t err = field_selector_parse(arena, s.stored, field_selector, &s.fields, why);
        if (err) return ERR_BAD_REQUEST;
        if (pull_out(arena, field_selector, s.stored->type == &core__pod__descriptor, &s))
            s.fields = NULL;
    }
    *ret_selection = s;
    return ERR_OK;
}

bool selection_has_selectors(const selection_t *s) { return s->labels || s->fields; }

bool selection_may_match(const selection_t *s, const cached_t *r) {
    assert(r->kind == s->stored);
    return has_prefix(r->path, s->prefix) && (!s->name || streq(s->name, r->name)) &&
           (!s->node || streq(s->node, r->node));
}

bool selection_matches(const selection_t *s, arena_t *arena, const cached_t *r) {
    if (!selection_may_match(s, r)) return false;
    if (!selection_has_selectors(s)) return true;
    const ProtobufCMessage *obj = cached_object(arena, r);
    return (!s->labels || selector_matches(s->labels, obj)) &&
           (!s->fields || field_selector_matches(s->fields, obj));
}

static void drop_others(const selection_t *s, cached_list_t *records) {
    size_t kept = 0;
    for (size_t i = 0; i < records->len; i++) {
        if (selection_may_match(s, records->at[i]))
            records->at[kept++] = records->at[i];
        else
            cached_unref(&records->at[i]);
    }
    records->len = kept;
}

err_t selection_snapshot(const selection_t *s, const cache_t *c, const char *after,
                         int64_t revision, size_t max, cached_list_t *ret_list) {
    bool now = revision == 0 || revision == c->revision;
    if (now && s->name && (*s->prefix || !s->stored->namespaced)) {
        arena_t scratch = {0};
        cached_t *r = cache_get(c, s->stored, arena_printf(&scratch, "%s%s", s->prefix, s->name));
        arena_done(&scratch);
        if (r && selection_may_match(s, r) && !(after && strcmp(r->path, after) <= 0))
            vec_push(ret_list, cached_ref(r));
        return ERR_OK;
    }
    if (now && s->node && *s->node && !after) {
        cache_snapshot_node(c, s->stored, s->node, ret_list);
        drop_others(s, ret_list);
        return ERR_OK;
    }
    bool filtered = s->name || s->node;
    err_t err =
        cache_snapshot(c, s->stored, s->prefix, after, revision, filtered ? 0 : max, ret_list);
    if (err) return err;
    drop_others(s, ret_list);
    return ERR_OK;
}
