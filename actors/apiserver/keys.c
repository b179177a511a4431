#include "actors/apiserver/keys.h"

const char *keys_path(arena_t *arena, const kind_t *stored, const char *ns, const char *name) {
    assert(!stored->stored_as);
    if (!stored->namespaced) return arena_strdup(arena, or_empty(name));
    return arena_printf(arena, "%s/%s", or_empty(ns), or_empty(name));
}

const char *keys_object(arena_t *arena, const kind_t *stored, const char *ns, const char *name) {
    return arena_printf(arena, KEYS_REGISTRY "%s/%s", stored->storage_prefix,
                        keys_path(arena, stored, ns, name));
}

const char *keys_ip(arena_t *arena, const char *address) {
    return arena_printf(arena, "/troupe/alloc/ip/%s", address);
}

const char *keys_port(arena_t *arena, int32_t port) {
    return arena_printf(arena, "/troupe/alloc/port/%d", port);
}

const char *keys_epoch(arena_t *arena, const char *role) {
    return arena_printf(arena, KEYS_EPOCHS "%s", role);
}

// One prefix may begin like another ("services/specs" and "services"): the number of parts that
// remain must fit the kind's scope.
const kind_t *keys_kind(bytes_t key, bytes_t *ret_path) {
    size_t registry = strlen(KEYS_REGISTRY);
    if (key.len <= registry || memcmp(key.at, KEYS_REGISTRY, registry) != 0) return NULL;
    bytes_t rest = {key.at + registry, key.len - registry};
    const kind_t *k;
    for (size_t i = 0; (k = kind_at(i)); i++) {
        if (k->stored_as || !k->storage_prefix) continue;
        size_t len = strlen(k->storage_prefix);
        if (rest.len <= len + 1 || memcmp(rest.at, k->storage_prefix, len) != 0 ||
            rest.at[len] != '/')
            continue;
        bytes_t path = {rest.at + len + 1, rest.len - len - 1};
        size_t slashes = 0;
        for (size_t c = 0; c < path.len; c++) slashes += path.at[c] == '/';
        if (slashes != (k->namespaced ? 1 : 0)) continue;
        *ret_path = path;
        return k;
    }
    return NULL;
}

const char *keys_continue_print(arena_t *arena, int64_t revision, const char *path) {
    return arena_printf(arena, "%lld:%s", (long long)revision, path);
}

static bool number_parse(const char *at, const char *end, int64_t *ret_number) {
    if (at == end || end - at > 18) return false;
    int64_t number = 0;
    for (; at < end; at++) {
        if (*at < '0' || *at > '9') return false;
        number = number * 10 + (*at - '0');
    }
    *ret_number = number;
    return true;
}

err_t keys_continue_parse(arena_t *arena, const char *token, int64_t *ret_revision,
                          const char **ret_path, why_t *why) {
    const char *colon = strchr(token, ':');
    int64_t revision;
    if (!colon || !number_parse(token, colon, &revision) || !colon[1] ||
        strlen(colon + 1) > KEYS_PATH_MAX)
        return why_set(why, ERR_BAD_REQUEST, "invalid continue token: continue key is not valid");
    *ret_revision = revision;
    *ret_path = arena_strdup(arena, colon + 1);
    return ERR_OK;
}

err_t revision_parse(const char *text, int64_t *ret_revision) {
    *ret_revision = 0;
    if (is_empty(text)) return ERR_OK;
    return number_parse(text, text + strlen(text), ret_revision) ? ERR_OK : ERR_MALFORMED;
}

const char *revision_print(arena_t *arena, int64_t revision) {
    return arena_printf(arena, "%lld", (long long)revision);
}
