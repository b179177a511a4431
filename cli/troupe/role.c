#include "cli/troupe/role.h"
#include <unistd.h>

const role_t *role_find(const char *role) {
    for (const role_t *r = roles; r->role; r++)
        if (streq(r->role, role)) return r;
    return NULL;
}

static err_t read_file(const role_t *role, const char *path, bool must_exist, arena_t *arena,
                       void *args, why_t *why) {
    if (!must_exist && access(path, F_OK) != 0) return ERR_OK;
    CLEANUP(free_charp) char *text = NULL;
    size_t len;
    err_t e = config_load_file(path, &text, &len, why);
    if (!e) e = config_read(arena, path, text, len, role->config_kind, role->config, args, why);
    return e;
}

err_t role_args(const role_t *role, const topology_t *t, const topology_actor_t *actor,
                arena_t *arena, const void **ret_args, why_t *why) {
    void *args = arena_alloc(arena, role->args_size + 1);
    if (role->defaults) memcpy(args, role->defaults, role->args_size);
    *ret_args = args;
    if (!role->config) {
        if (!actor->config && !actor->set) return ERR_OK;
        return config_error(why, ERR_INVALID, t->file, actor->line,
                            "%s/%s: this role takes no configuration", role->role, actor->name);
    }
    const char *path = actor->config
                           ? actor->config
                           : arena_printf(arena, "%s/%s.yaml", t->vars.config, role->role);
    err_t e = read_file(role, path, actor->config != NULL, arena, args, why);
    if (!e && actor->set)
        e = config_read_map(arena, t->file, actor->set, role->config_kind, role->config, args, why);
    return e;
}

static err_t check_actor(const topology_t *t, const topology_actor_t *actor, arena_t *arena,
                         why_t *why) {
    const role_t *role = role_find(actor->role);
    if (!role) {
        const char *known[64];
        size_t len = 0;
        for (const role_t *r = roles; r->role && len < LENGTH_OF(known); r++)
            known[len++] = r->role;
        const char *near = config_nearest(actor->role, known, len);
        return config_error(why, ERR_INVALID, t->file, actor->line,
                            "role: no role is called %s%s%s%s", actor->role,
                            near ? "; did you mean " : "", or_empty(near), near ? "?" : "");
    }
    if (role->needs_root && geteuid() != 0)
        return why_set(why, ERR_PERMISSION, "%s/%s needs root: start it with sudo", actor->role,
                       actor->name);
    const void *args;
    return role_args(role, t, actor, arena, &args, why);
}

err_t role_check_topology(const topology_t *t, why_t *why) {
    arena_t arena = {0};
    err_t e = ERR_OK;
    for (size_t p = 0; p < t->processes_len && !e; p++)
        for (size_t d = 0; d < t->processes[p].dispatchers_len && !e; d++) {
            const topology_dispatcher_t *at = &t->processes[p].dispatchers[d];
            for (size_t a = 0; a < at->actors_len && !e; a++)
                e = check_actor(t, &at->actors[a], &arena, why);
        }
    arena_done(&arena);
    return e;
}
