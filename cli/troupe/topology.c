#include "cli/troupe/topology.h"
#include "cli/troupe/builtin.h"
#include "runtime/base/map.h"
#include <ctype.h>

typedef struct {
    arena_t *arena;
    const char *file;
    const topology_vars_t *vars;
    size_t actors_total;
    why_t *why;
} reader_t;

// Each map of the format is a table: key → what is done with its value.
typedef struct {
    const char *key;
    bool required;
    err_t (*read)(reader_t *r, const config_node_t *n, void *into);
} member_t;

static err_t bad(reader_t *r, const config_node_t *n, const char *text) {
    return config_error(r->why, ERR_INVALID, r->file, n->line, "%s%s%s", or_empty(n->key),
                        n->key ? ": " : "", text);
}

static err_t read_map(reader_t *r, const config_node_t *map, const char *what,
                      const member_t *members, size_t members_len, void *into) {
    const char *known[16];
    assert(members_len <= LENGTH_OF(known));
    for (size_t i = 0; i < members_len; i++) known[i] = members[i].key;
    if (map->kind != CONFIG_NODE_MAP)
        return config_error(r->why, ERR_INVALID, r->file, map->line,
                            "%s: must be keys and values, but is %s", what,
                            config_node_kind_text(map));
    for (const config_node_t *n = map->first; n; n = n->next) {
        const member_t *found = NULL;
        for (size_t i = 0; i < members_len && !found; i++)
            if (streq(members[i].key, n->key)) found = &members[i];
        if (!found) {
            const char *near = config_nearest(n->key, known, members_len);
            return config_error(r->why, ERR_INVALID, r->file, n->key_line,
                                "%s: unknown key of %s%s%s%s", n->key, what,
                                near ? "; did you mean " : "", or_empty(near), near ? "?" : "");
        }
        err_t e = found->read(r, n, into);
        if (e) return e;
    }
    for (size_t i = 0; i < members_len; i++)
        if (members[i].required && !config_node_get(map, members[i].key))
            return config_error(r->why, ERR_INVALID, r->file, map->line, "%s: %s is missing", what,
                                members[i].key);
    return ERR_OK;
}
#define READ_MAP(r, map, what, members, into) \
    read_map((r), (map), (what), (members), LENGTH_OF(members), (into))

// Reads a list whose elements are maps into an array of elements of `size` bytes.
static err_t read_list(reader_t *r, const config_node_t *n, size_t size,
                       err_t (*read)(reader_t *r, const config_node_t *n, void *into),
                       void *ret_array, size_t *ret_len) {
    if (n->kind != CONFIG_NODE_LIST) return bad(r, n, "must be a list");
    char *at = arena_alloc(r->arena, size * (n->len + 1));
    size_t len = 0;
    for (const config_node_t *element = n->first; element; element = element->next) {
        err_t e = read(r, element, at + len * size);
        if (e) return e;
        len++;
    }
    *(void **)ret_array = at;
    *ret_len = len;
    return ERR_OK;
}

// Names appear in addresses and file names: letters, digits, '-', '.', inside also '/' for
// processes.
enum { NAME_LEN_MAX = 253 };
static err_t read_name_with(reader_t *r, const config_node_t *n, const char *also,
                            const char **into) {
    err_t e = config_as_string(n, r->file, into, r->why);
    if (e) return e;
    const char *s = *into;
    bool good = isalnum((unsigned char)*s) && strlen(s) <= NAME_LEN_MAX;
    for (; *s && good; s++)
        good = isalnum((unsigned char)*s) || strchr("-._", *s) || strchr(also, *s);
    if (!good) return bad(r, n, "must be a name of letters, digits, '-', '.' (at most 253)");
    return ERR_OK;
}
static err_t read_name(reader_t *r, const config_node_t *n, const char **into) {
    return read_name_with(r, n, "", into);
}

// ---- actors -------------------------------------------------------------------------------------
static err_t actor_role(reader_t *r, const config_node_t *n, void *into) {
    return read_name(r, n, &((topology_actor_t *)into)->role);
}
static err_t actor_name_of(reader_t *r, const config_node_t *n, void *into) {
    return read_name(r, n, &((topology_actor_t *)into)->name);
}
static err_t actor_config(reader_t *r, const config_node_t *n, void *into) {
    const char *path;
    err_t e = config_as_string(n, r->file, &path, r->why);
    if (e) return e;
    ((topology_actor_t *)into)->config =
        path[0] == '/' ? path : arena_printf(r->arena, "%s/%s", r->vars->config, path);
    return ERR_OK;
}
static err_t actor_set(reader_t *r, const config_node_t *n, void *into) {
    if (n->kind != CONFIG_NODE_MAP)
        return bad(r, n, "must be keys and values of the component file");
    ((topology_actor_t *)into)->set = n;
    return ERR_OK;
}
static err_t read_actor(reader_t *r, const config_node_t *n, void *into) {
    static const member_t members[] = {{"role", true, actor_role},
                                       {"name", true, actor_name_of},
                                       {"config", false, actor_config},
                                       {"set", false, actor_set}};
    ((topology_actor_t *)into)->line = n->line;
    if (++r->actors_total > TOPOLOGY_ACTORS_MAX)
        return config_error(r->why, ERR_TOO_LARGE, r->file, n->line, "more than %d actors",
                            TOPOLOGY_ACTORS_MAX);
    return READ_MAP(r, n, "actor", members, into);
}

static err_t dispatcher_name(reader_t *r, const config_node_t *n, void *into) {
    return read_name(r, n, &((topology_dispatcher_t *)into)->name);
}
static err_t dispatcher_actors(reader_t *r, const config_node_t *n, void *into) {
    topology_dispatcher_t *d = into;
    return read_list(r, n, sizeof *d->actors, read_actor, &d->actors, &d->actors_len);
}
static err_t dispatcher_strategy(reader_t *r, const config_node_t *n, void *into) {
    static const char *const names[] = {[SUPERVISE_ONE_FOR_ONE] = "one_for_one",
                                        [SUPERVISE_ONE_FOR_ALL] = "one_for_all",
                                        [SUPERVISE_REST_FOR_ONE] = "rest_for_one"};
    const char *text;
    err_t e = config_as_string(n, r->file, &text, r->why);
    for (size_t i = 0; i < LENGTH_OF(names) && !e; i++)
        if (streq(text, names[i])) {
            ((topology_dispatcher_t *)into)->strategy = (supervise_t)i;
            return ERR_OK;
        }
    return e ? e : bad(r, n, "must be one_for_one, one_for_all or rest_for_one");
}
static err_t read_dispatcher(reader_t *r, const config_node_t *n, void *into) {
    static const member_t members[] = {{"name", true, dispatcher_name},
                                       {"actors", true, dispatcher_actors},
                                       {"strategy", false, dispatcher_strategy}};
    return READ_MAP(r, n, "dispatcher", members, into);
}

// ---- links --------------------------------------------------------------------------------------
static err_t read_endpoint(reader_t *r, const config_node_t *n, const char **into) {
    err_t e = config_as_string(n, r->file, into, r->why);
    if (e) return e;
    enum { SUN_PATH_MAX = 107 }; // unix(7)
    if (has_prefix(*into, "ipc://")) {
        if ((*into)[6] != '/') return bad(r, n, "ipc:// needs an absolute path");
        if (strlen(*into + 6) > SUN_PATH_MAX)
            return bad(r, n, "the socket's path is longer than 107 bytes");
        return ERR_OK;
    }
    if (has_prefix(*into, "tcp://") && strrchr(*into + 6, ':')) return ERR_OK;
    return bad(r, n, "must be ipc:///PATH or tcp://ADDRESS:PORT");
}
static err_t listen_endpoint(reader_t *r, const config_node_t *n, void *into) {
    return read_endpoint(r, n, &((listen_options_t *)into)->endpoint);
}
static err_t listen_mode(reader_t *r, const config_node_t *n, void *into) {
    const char *text;
    err_t e = config_as_string(n, r->file, &text, r->why);
    if (e) return e;
    if (!streq(text, "0600") && !streq(text, "0660"))
        return bad(r, n, "must be \"0600\" or \"0660\"");
    ((listen_options_t *)into)->socket_mode = streq(text, "0660") ? 0660 : 0600;
    return ERR_OK;
}
static err_t listen_group(reader_t *r, const config_node_t *n, void *into) {
    return config_as_string(n, r->file, &((listen_options_t *)into)->socket_group, r->why);
}
static err_t listen_principal(reader_t *r, const config_node_t *n, void *into) {
    return read_name(r, n, &((listen_options_t *)into)->principal);
}
static err_t listen_key(reader_t *r, const config_node_t *n, void *into) {
    return config_as_string(n, r->file, &((listen_options_t *)into)->key_file, r->why);
}
static err_t listen_allowed(reader_t *r, const config_node_t *n, void *into) {
    return config_as_string(n, r->file, &((listen_options_t *)into)->allowed_keys_dir, r->why);
}
static err_t read_listen(reader_t *r, const config_node_t *n, void *into) {
    static const member_t members[] = {
        {"endpoint", true, listen_endpoint}, {"mode", false, listen_mode},
        {"group", false, listen_group},      {"principal", false, listen_principal},
        {"key", false, listen_key},          {"allowed", false, listen_allowed}};
    listen_options_t *l = into;
    l->socket_mode = 0600;
    err_t e = READ_MAP(r, n, "listen", members, into);
    if (e) return e;
    if (has_prefix(l->endpoint, "ipc:")) {
        if (l->key_file || l->allowed_keys_dir) return bad(r, n, "key and allowed are for tcp://");
        if (!l->principal) return bad(r, n, "an ipc:// socket needs a principal (part or admin)");
        return ERR_OK;
    }
    if (!l->key_file || !l->allowed_keys_dir)
        return bad(r, n, "a tcp:// endpoint needs key and allowed");
    if (l->principal || l->socket_group)
        return bad(r, n, "principal, mode and group are for ipc://");
    return ERR_OK;
}

static err_t connect_peer(reader_t *r, const config_node_t *n, void *into) {
    return read_name_with(r, n, "/", &((connect_options_t *)into)->peer);
}
static err_t connect_endpoint(reader_t *r, const config_node_t *n, void *into) {
    return read_endpoint(r, n, &((connect_options_t *)into)->endpoint);
}
static err_t connect_key(reader_t *r, const config_node_t *n, void *into) {
    return config_as_string(n, r->file, &((connect_options_t *)into)->key_file, r->why);
}
static err_t connect_server_key(reader_t *r, const config_node_t *n, void *into) {
    return config_as_string(n, r->file, &((connect_options_t *)into)->server_key_file, r->why);
}
static err_t read_connect(reader_t *r, const config_node_t *n, void *into) {
    static const member_t members[] = {{"peer", true, connect_peer},
                                       {"endpoint", true, connect_endpoint},
                                       {"key", false, connect_key},
                                       {"serverKey", false, connect_server_key}};
    connect_options_t *c = into;
    err_t e = READ_MAP(r, n, "connect", members, into);
    if (e) return e;
    bool tcp = has_prefix(c->endpoint, "tcp:");
    if (tcp && (!c->key_file || !c->server_key_file))
        return bad(r, n, "a tcp:// endpoint needs key and serverKey");
    if (!tcp && (c->key_file || c->server_key_file))
        return bad(r, n, "key and serverKey are for tcp://");
    return ERR_OK;
}

// ---- processes ----------------------------------------------------------------------------------
static err_t process_name_of(reader_t *r, const config_node_t *n, void *into) {
    return read_name_with(r, n, "/", &((topology_process_t *)into)->name);
}
static err_t process_dispatchers(reader_t *r, const config_node_t *n, void *into) {
    topology_process_t *p = into;
    return read_list(r, n, sizeof *p->dispatchers, read_dispatcher, &p->dispatchers,
                     &p->dispatchers_len);
}
static err_t process_listens(reader_t *r, const config_node_t *n, void *into) {
    topology_process_t *p = into;
    return read_list(r, n, sizeof *p->listens, read_listen, &p->listens, &p->listens_len);
}
static err_t process_connects(reader_t *r, const config_node_t *n, void *into) {
    topology_process_t *p = into;
    return read_list(r, n, sizeof *p->connects, read_connect, &p->connects, &p->connects_len);
}
static err_t process_hang(reader_t *r, const config_node_t *n, void *into) {
    int64_t *hang_ms = &((topology_process_t *)into)->hang_ms;
    err_t e = config_as_duration_ms(n, r->file, hang_ms, r->why);
    if (!e && *hang_ms && (*hang_ms < HANG_MIN_MS || *hang_ms > HANG_MAX_MS))
        e = bad(r, n, "must be 0s (never), or 100ms to 1h");
    return e;
}

static err_t process_mesh(reader_t *r, const config_node_t *n, void *into) {
    topology_process_t *p = into;
    return read_list(r, n, sizeof *p->mesh, read_connect, &p->mesh, &p->mesh_len);
}

// Each member of a mesh names all; of two the one whose name sorts later connects.
static void join_mesh(reader_t *r, topology_process_t *p) {
    connect_options_t *all =
        ARENA_ARRAY(r->arena, connect_options_t, p->connects_len + p->mesh_len + 1);
    if (p->connects_len) memcpy(all, p->connects, p->connects_len * sizeof *all);
    for (size_t i = 0; i < p->mesh_len; i++)
        if (strcmp(p->mesh[i].peer, p->name) < 0) all[p->connects_len++] = p->mesh[i];
    p->connects = all;
}

static err_t read_process(reader_t *r, const config_node_t *n, void *into) {
    static const member_t members[] = {
        {"name", true, process_name_of},    {"dispatchers", true, process_dispatchers},
        {"listen", false, process_listens}, {"connect", false, process_connects},
        {"hangAfter", false, process_hang}, {"mesh", false, process_mesh}};
    topology_process_t *p = into;
    p->line = n->line;
    p->hang_ms = HANG_DEFAULT_MS;
    err_t e = READ_MAP(r, n, "process", members, into);
    if (!e && p->mesh_len) join_mesh(r, p);
    return e;
}

static err_t principal_name(reader_t *r, const config_node_t *n, void *into) {
    return read_name(r, n, &((topology_principal_t *)into)->name);
}
static err_t principal_roles(reader_t *r, const config_node_t *n, void *into) {
    if (n->kind != CONFIG_NODE_LIST) return bad(r, n, "must be a list of roles");
    const char **at = ARENA_ARRAY(r->arena, const char *, n->len + 1);
    size_t len = 0;
    for (const config_node_t *element = n->first; element; element = element->next) {
        err_t e = config_as_string(element, r->file, &at[len++], r->why);
        if (e) return e;
    }
    ((topology_principal_t *)into)->roles = (config_strings_t){at, len};
    return ERR_OK;
}
static err_t read_principal(reader_t *r, const config_node_t *n, void *into) {
    static const member_t members[] = {{"name", true, principal_name},
                                       {"roles", true, principal_roles}};
    return READ_MAP(r, n, "principal", members, into);
}

// ---- the whole ----------------------------------------------------------------------------------
static err_t topology_kind(reader_t *r, const config_node_t *n, void *into) {
    if (n->kind != CONFIG_NODE_SCALAR || !streq(n->text, "Topology"))
        return bad(r, n, "must be Topology");
    return ERR_OK;
}
static err_t topology_processes(reader_t *r, const config_node_t *n, void *into) {
    topology_t *t = into;
    if (n->len > TOPOLOGY_PROCESSES_MAX) return bad(r, n, "more than 256 processes");
    err_t e = read_list(r, n, sizeof *t->processes, read_process, &t->processes, &t->processes_len);
    if (!e && t->processes_len == 0) e = bad(r, n, "must name at least one process");
    return e;
}
static err_t topology_principals(reader_t *r, const config_node_t *n, void *into) {
    topology_t *t = into;
    return read_list(r, n, sizeof *t->principals, read_principal, &t->principals,
                     &t->principals_len);
}

static err_t twice(reader_t *r, size_t line, const char *what, const char *name) {
    return config_error(r->why, ERR_INVALID, r->file, line, "%s %s is given twice", what, name);
}

static err_t check_dispatchers(reader_t *r, const topology_process_t *p) {
    for (size_t i = 0; i < p->dispatchers_len; i++)
        for (size_t j = 0; j < i; j++)
            if (streq(p->dispatchers[i].name, p->dispatchers[j].name))
                return twice(r, p->line, "dispatcher", p->dispatchers[i].name);
    return ERR_OK;
}

static err_t check_actor_names(reader_t *r, const topology_t *t, map_t *seen) {
    for (size_t p = 0; p < t->processes_len; p++)
        for (size_t d = 0; d < t->processes[p].dispatchers_len; d++) {
            topology_dispatcher_t *at = &t->processes[p].dispatchers[d];
            for (size_t a = 0; a < at->actors_len; a++) {
                const char *address =
                    arena_printf(r->arena, "%s/%s", at->actors[a].role, at->actors[a].name);
                if (map_put(seen, address, at))
                    return twice(r, at->actors[a].line, "actor", address);
            }
        }
    return ERR_OK;
}

static err_t check_names(reader_t *r, const topology_t *t) {
    map_t seen = {0};
    err_t e = check_actor_names(r, t, &seen);
    map_done(&seen);
    for (size_t i = 0; i < t->processes_len && !e; i++) {
        const topology_process_t *p = &t->processes[i];
        if (topology_process(t, p->name) != p) e = twice(r, p->line, "process", p->name);
        if (!e) e = check_dispatchers(r, p);
    }
    return e;
}

static const char *value_of(void *arg, const char *name) {
    const topology_vars_t *v = arg;
    return streq(name, "data")     ? v->data
           : streq(name, "run")    ? v->run
           : streq(name, "config") ? v->config
           : streq(name, "node")   ? v->node
           : streq(name, "nodeIP") ? v->node_ip
                                   : NULL;
}

err_t topology_parse(arena_t *arena, const char *file, const char *text, size_t len,
                     const topology_vars_t *vars, topology_t *ret, why_t *why) {
    static const member_t members[] = {{"kind", true, topology_kind},
                                       {"processes", true, topology_processes},
                                       {"principals", false, topology_principals}};
    assert(vars->data && vars->run && vars->config && vars->node && vars->node_ip);
    reader_t r = {.arena = arena, .file = file, .vars = vars, .why = why};
    config_node_t *root;
    err_t e = config_tree_parse(arena, file, text, len, &root, why);
    if (!e) e = config_tree_expand(arena, file, root, value_of, (void *)vars, why);
    topology_t t = {.file = file, .vars = *vars};
    if (!e) e = READ_MAP(&r, root, "Topology", members, &t);
    if (!e) e = check_names(&r, &t);
    if (!e) *ret = t;
    return e;
}

err_t topology_load(arena_t *arena, const char *file, const topology_vars_t *vars, topology_t *ret,
                    why_t *why) {
    if (file[0] == '@') {
        bytes_t text = builtin_topology(file + 1);
        if (!text.at)
            return why_set(why, ERR_NOT_FOUND, "%s: no such topology in this program", file);
        return topology_parse(arena, file, (const char *)text.at, text.len, vars, ret, why);
    }
    CLEANUP(free_charp) char *text = NULL;
    size_t len;
    err_t e = config_load_file(file, &text, &len, why);
    if (e) return e;
    return topology_parse(arena, arena_strdup(arena, file), text, len, vars, ret, why);
}

const topology_process_t *topology_process(const topology_t *t, const char *name) {
    for (size_t i = 0; i < t->processes_len; i++)
        if (streq(t->processes[i].name, name)) return &t->processes[i];
    return NULL;
}

static bool is_of_role(const char *address, const char *role) {
    size_t len = strlen(role);
    return strncmp(address, role, len) == 0 && (address[len] == '/' || !address[len]);
}

bool topology_may_speak_as(const topology_t *t, const char *principal, const char *address) {
    if (streq(principal, "part")) return true;
    if (streq(principal, "admin"))
        return is_of_role(address, "cli") || is_of_role(address, "admin");
    for (size_t i = 0; i < t->principals_len; i++) {
        const topology_principal_t *p = &t->principals[i];
        if (!streq(p->name, principal)) continue;
        for (size_t k = 0; k < p->roles.len; k++)
            if (streq(p->roles.at[k], "*") || is_of_role(address, p->roles.at[k])) return true;
    }
    return false;
}
