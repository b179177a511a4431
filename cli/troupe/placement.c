#include "cli/troupe/placement.h"
#include "cli/troupe/role.h"
#include "runtime/base/vec.h"
#include "runtime/io/files.h"

// ---- the file -----------------------------------------------------------------------------------
const char *placement_file(arena_t *arena, const topology_vars_t *vars) {
    return arena_printf(arena, "%s/placement.yaml", vars->data);
}

static err_t read_moves(arena_t *arena, const char *file, const config_node_t *root,
                        placement_t *ret, why_t *why) {
    const config_node_t *kind = config_node_get(root, "kind");
    const config_node_t *actors = config_node_get(root, "actors");
    if (!kind || kind->kind != CONFIG_NODE_SCALAR || !streq(kind->text, "Placement"))
        return config_error(why, ERR_INVALID, file, root->line, "kind: must be Placement");
    if (!actors || actors->kind != CONFIG_NODE_MAP)
        return config_error(why, ERR_INVALID, file, root->line,
                            "actors: must be addresses and processes");
    for (const config_node_t *n = actors->first; n; n = n->next) {
        const char *process;
        err_t e = config_as_string(n, file, &process, why);
        if (e) return e;
        *ret = placement_with(arena, ret, n->key, process);
    }
    return ERR_OK;
}

err_t placement_load(arena_t *arena, const char *file, placement_t *ret, why_t *why) {
    CLEANUP(free_charp) char *text = NULL;
    size_t len;
    *ret = (placement_t){0};
    err_t e = config_load_file(file, &text, &len, why);
    if (e) return e == ERR_NOT_FOUND ? ERR_OK : e;
    config_node_t *root;
    e = config_tree_parse(arena, file, text, len, &root, why);
    return e ? e : read_moves(arena, file, root, ret, why);
}

static err_t write_part(const char *part, const text_t *text, why_t *why) {
    file_t *out = NULL;
    (void)!files_remove(files_real(), part, NULL); // of an earlier try
    err_t e = files_open(files_real(), part, FILE_OPEN_CREATE, &out, why);
    if (!e) e = file_write_at(out, 0, (bytes_t){(const uint8_t *)text->at, text->len}, why);
    if (!e) e = file_sync(out, why);
    file_close(&out);
    return e;
}

err_t placement_save(const char *file, const placement_t *p, why_t *why) {
    text_t text = TEXT_HEAP;
    text_add(&text, "# Written by troupe: actors that were moved (troupectl actors move).\n"
                    "kind: Placement\nactors:");
    for (size_t i = 0; i < p->len; i++)
        text_addf(&text, "\n  \"%s\": \"%s\"", p->moves[i].actor, p->moves[i].process);
    text_add(&text, p->len ? "\n" : " {}\n");
    CLEANUP(free_charp) char *part = str_printf("%s.part", file);
    CLEANUP(free_charp) char *folder = str_dup(file);
    *strrchr(folder, '/') = 0;
    err_t e = write_part(part, &text, why);
    if (!e) e = files_rename(files_real(), part, file, why);
    if (!e) e = files_sync_dir(files_real(), folder, why);
    text_done(&text);
    return e;
}

// ---- who is where -------------------------------------------------------------------------------
static void add_move(arena_t *arena, placement_t *p, const char *actor, const char *process) {
    p->moves[p->len++] =
        (placement_move_t){arena_strdup(arena, actor), arena_strdup(arena, process)};
}

placement_t placement_with(arena_t *arena, const placement_t *p, const char *actor,
                           const char *process) {
    placement_t next = {ARENA_ARRAY(arena, placement_move_t, p->len + 1), 0};
    bool todo = process;
    for (size_t i = 0; i < p->len; i++) {
        const placement_move_t *m = &p->moves[i];
        int order = strcmp(m->actor, actor);
        if (order >= 0 && todo) add_move(arena, &next, actor, process);
        if (order >= 0) todo = false;
        if (order) add_move(arena, &next, m->actor, m->process);
    }
    if (todo) add_move(arena, &next, actor, process);
    return next;
}

static bool is_address_of(const topology_actor_t *actor, const char *address) {
    size_t role_len = strlen(actor->role);
    return !strncmp(address, actor->role, role_len) && address[role_len] == '/' &&
           streq(address + role_len + 1, actor->name);
}

void placement_each(const topology_t *t, void (*each)(void *arg, const home_t *home), void *arg) {
    for (size_t p = 0; p < t->processes_len; p++)
        for (size_t d = 0; d < t->processes[p].dispatchers_len; d++) {
            const topology_dispatcher_t *at = &t->processes[p].dispatchers[d];
            for (size_t a = 0; a < at->actors_len; a++)
                each(arg, &(home_t){&t->processes[p], at, &at->actors[a]});
        }
}

typedef struct {
    const char *address;
    home_t found;
} search_t;

static void note_home(void *arg, const home_t *home) {
    search_t *s = arg;
    if (is_address_of(home->actor, s->address)) s->found = *home;
}

bool placement_home(const topology_t *t, const char *address, home_t *ret) {
    search_t s = {.address = address};
    placement_each(t, note_home, &s);
    if (s.found.actor) *ret = s.found;
    return s.found.actor;
}

const char *placement_process_of(const placement_t *p, const home_t *home, const char *address) {
    for (size_t i = 0; i < p->len; i++)
        if (streq(p->moves[i].actor, address)) return p->moves[i].process;
    return home->process->name;
}

// ---- may it? ------------------------------------------------------------------------------------
static bool connects_to(const topology_process_t *p, const char *peer) {
    for (size_t i = 0; i < p->connects_len; i++)
        if (streq(p->connects[i].peer, peer)) return true;
    return false;
}

static bool are_linked(const topology_process_t *a, const topology_process_t *b) {
    return streq(a->name, b->name) || connects_to(a, b->name) || connects_to(b, a->name);
}

static bool serves_command_lines(const topology_process_t *p) {
    for (size_t i = 0; i < p->listens_len; i++)
        if (p->listens[i].principal && streq(p->listens[i].principal, "admin")) return true;
    return false;
}

static bool has_word(const char *words, const char *word) {
    size_t len = strlen(word);
    for (const char *at = words; *at; at += strcspn(at, " "), at += *at == ' ')
        if (!strncmp(at, word, len) && (at[len] == ' ' || !at[len])) return true;
    return false;
}

// An actor of `q` that one of this role speaks with; NULL: there is none.
static const topology_actor_t *partner_in(const topology_process_t *q, const role_t *role) {
    for (size_t d = 0; d < q->dispatchers_len; d++)
        for (size_t a = 0; a < q->dispatchers[d].actors_len; a++) {
            const topology_actor_t *other = &q->dispatchers[d].actors[a];
            if (has_word(role->speaks_with, "*") || has_word(role->speaks_with, other->role))
                return other;
        }
    return NULL;
}

// Would it still be linked to all whom it speaks with? Processes of other machines are known as
// peers of its home only: with each of those, too.
static err_t check_links(const topology_t *t, const home_t *home, const role_t *role,
                         const topology_process_t *to, why_t *why) {
    if (has_word(role->speaks_with, "cli") && !serves_command_lines(to))
        return why_set(why, ERR_FORBIDDEN,
                       "process %s has no socket for command lines: nobody would reach it there",
                       to->name);
    for (size_t i = 0; i < t->processes_len; i++) {
        const topology_actor_t *partner = partner_in(&t->processes[i], role);
        if (partner && !are_linked(to, &t->processes[i]))
            return why_set(why, ERR_FORBIDDEN,
                           "process %s is not linked to process %s, where %s/%s is", to->name,
                           t->processes[i].name, partner->role, partner->name);
    }
    for (size_t i = 0; i < home->process->connects_len; i++) {
        const char *peer = home->process->connects[i].peer;
        if (!streq(peer, to->name) && !topology_process(t, peer) && !connects_to(to, peer))
            return why_set(why, ERR_FORBIDDEN, "process %s is not linked to %s, as %s is", to->name,
                           peer, home->process->name);
    }
    return ERR_OK;
}

static size_t actors_in(const topology_process_t *p) {
    size_t len = 0;
    for (size_t d = 0; d < p->dispatchers_len; d++) len += p->dispatchers[d].actors_len;
    return len;
}

static const role_t *role_of(arena_t *arena, const char *address) {
    return role_find(arena_strndup(arena, address, strcspn(address, "/")));
}

// Where the topology has no say: to or from another machine.
static err_t check_far(arena_t *arena, const topology_t *t, const char *address, const char *to,
                       why_t *why) {
    const role_t *role = role_of(arena, address);
    home_t home;
    if (!role)
        return why_set(why, ERR_FORBIDDEN,
                       "the topology does not name it: it goes with its parent");
    if (role->stays) return why_set(why, ERR_FORBIDDEN, "it stays where it is: %s", role->stays);
    if (topology_process(t, to) || streq(to, "own"))
        return why_set(why, ERR_FORBIDDEN, "it is a guest here and goes to other machines only");
    if (role->roams) return ERR_OK;
    return placement_home(t, address, &home)
               ? why_set(why, ERR_FORBIDDEN,
                         "process %s is none of this machine's: %s actors stay "
                         "on theirs",
                         to, role->role)
               : why_set(why, ERR_FORBIDDEN, "it stays on its machine");
}

err_t placement_check(arena_t *arena, const topology_t *t, const char *address, const char *from,
                      const char *to, const char **ret_process, bool *ret_far, why_t *why) {
    home_t home;
    topology_process_t own;
    const topology_process_t *target = topology_process(t, to);
    bool is_ours = placement_home(t, address, &home);
    if (is_ours && !target && (streq(to, "own") || streq(to, address))) {
        placement_own_process(arena, t, &home, address, &own);
        target = &own;
    }
    *ret_far = !is_ours || !target;
    *ret_process = arena_strdup(arena, target ? target->name : to);
    if (streq(*ret_process, from))
        return why_set(why, ERR_EXISTS, "it is in process %s already", from);
    if (*ret_far) return check_far(arena, t, address, to, why);
    if (target == &own && actors_in(home.process) == 1 && streq(home.process->name, from))
        return why_set(why, ERR_EXISTS, "it is in process %s already, and alone", from);
    const role_t *role = role_find(home.actor->role);
    assert(role); // checked before anything started
    if (role->stays) return why_set(why, ERR_FORBIDDEN, "it stays where it is: %s", role->stays);
    return target == home.process ? ERR_OK : check_links(t, &home, role, target, why);
}

// ---- guests -------------------------------------------------------------------------------------
bool placement_host(const topology_t *t, const topology_process_t *of, const char *address,
                    home_t *ret) {
    size_t role_len = strcspn(address, "/");
    for (size_t d = 0; d < of->dispatchers_len; d++)
        for (size_t a = 0; a < of->dispatchers[d].actors_len; a++) {
            const topology_actor_t *actor = &of->dispatchers[d].actors[a];
            if (strlen(actor->role) != role_len || strncmp(actor->role, address, role_len))
                continue;
            *ret = (home_t){of, &of->dispatchers[d], actor};
            return true;
        }
    return false;
}

// The principals of our keys, as the topology has them: would a peer believe that it is us?
static err_t check_key(const topology_t *t, const char *key_file, const char *address, why_t *why) {
    if (!key_file) return ERR_OK;
    const char *slash = strrchr(key_file, '/');
    CLEANUP(free_charp) char *name = str_dup(slash ? slash + 1 : key_file);
    name[strcspn(name, ".")] = 0;
    bool is_listed = false;
    for (size_t i = 0; i < t->principals_len; i++) is_listed |= streq(t->principals[i].name, name);
    if (!is_listed || topology_may_speak_as(t, name, address)) return ERR_OK;
    return why_set(why, ERR_FORBIDDEN, "the principals of %s do not let %s speak as %s", t->file,
                   name, address);
}

err_t placement_check_guest(const topology_t *t, const topology_process_t *of, const char *address,
                            const char *principal, why_t *why) {
    home_t home;
    err_t e = ERR_OK;
    if (principal && !topology_may_speak_as(t, principal, address))
        return why_set(why, ERR_FORBIDDEN, "%s may not speak as %s", principal, address);
    if (placement_home(t, address, &home) && home.process == of) return ERR_OK;
    bool found = placement_host(t, of, address, &home);
    const role_t *role = found ? role_find(home.actor->role) : NULL;
    if (!role || !role->roams)
        return why_set(why, ERR_FORBIDDEN,
                       "process %s runs no actor of this kind that goes to other "
                       "machines: nothing says how it would run",
                       of->name);
    for (size_t i = 0; i < of->listens_len && !e; i++)
        e = check_key(t, of->listens[i].key_file, address, why);
    for (size_t i = 0; i < of->connects_len && !e; i++)
        e = check_key(t, of->connects[i].key_file, address, why);
    return e;
}

// ---- a process of its own -----------------------------------------------------------------------
static void connect_once(topology_process_t *own, connect_options_t *all,
                         const connect_options_t *one) {
    if (!connects_to(own, one->peer)) all[own->connects_len++] = *one;
}

void placement_own_process(arena_t *arena, const topology_t *t, const home_t *home,
                           const char *address, topology_process_t *ret) {
    size_t len_max = home->process->connects_len + home->process->mesh_len;
    for (size_t i = 0; i < t->processes_len; i++) len_max += t->processes[i].listens_len;
    connect_options_t *all = ARENA_ARRAY(arena, connect_options_t, len_max + 1);
    *ret = (topology_process_t){.name = arena_strdup(arena, address),
                                .connects = all,
                                .hang_ms = home->process->hang_ms,
                                .line = home->actor->line};
    for (size_t i = 0; i < t->processes_len; i++)
        for (size_t k = 0; k < t->processes[i].listens_len; k++) {
            const listen_options_t *l = &t->processes[i].listens[k];
            if (has_prefix(l->endpoint, "ipc:") && streq(or_empty(l->principal), "part"))
                connect_once(ret, all,
                             &(connect_options_t){.peer = t->processes[i].name,
                                                  .endpoint = l->endpoint});
        }
    for (size_t i = 0; i < home->process->connects_len; i++)
        connect_once(ret, all, &home->process->connects[i]);
    for (size_t i = 0; i < home->process->mesh_len; i++)
        connect_once(ret, all, &home->process->mesh[i]);
}
