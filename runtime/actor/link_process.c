// process_listen and process_connect: a link each, on the dispatcher "link".
#include "runtime/actor/link.h"
#include "runtime/actor/process_inner.h"

static const char *const link_dispatcher = "link";

static link_process_t link_process(const process_t *p) {
    const process_options_t *o = process_options(p);
    return (link_process_t){
        .context = bus_context(process_bus(p)),
        .process = o->name,
        .boot_id = process_boot_id(p),
        .may_speak_as = o->may_speak_as ? o->may_speak_as : link_default_may_speak_as,
        .may_speak_as_arg = o->may_speak_as_arg,
    };
}

static err_t check_endpoint(const char *endpoint, const char *key_file, why_t *why) {
    if (has_prefix(endpoint, "ipc:///")) return ERR_OK;
    if (!has_prefix(endpoint, "tcp://"))
        return why_set(why, ERR_INVALID, "%s: an endpoint is ipc:///PATH or tcp://ADDRESS:PORT",
                       endpoint);
    if (!key_file) return why_set(why, ERR_INVALID, "%s: tcp needs keys", endpoint);
    return ERR_OK;
}

// "listen:/run/troupe/troupe.sock", "connect:10.0.0.1:6440"
static err_t spawn_link(process_t *p, const char *verb, const char *endpoint,
                        const actor_def_t *def, const link_args_t *args, why_t *why) {
    const char *where =
        endpoint + (has_prefix(endpoint, "ipc://") ? strlen("ipc://") : strlen("tcp://"));
    CLEANUP(free_charp) char *name = str_printf("%s:%s", verb, where);
    err_t e = ERR_OK;
    if (!process_has_dispatcher(p, link_dispatcher))
        e = process_add_dispatcher(p, link_dispatcher, why);
    if (!e) e = process_spawn(p, link_dispatcher, def, name, args, NULL, why);
    return e;
}

static err_t spawn_zap(process_t *p, const link_args_t *args, why_t *why) {
    place_t place;
    if (directory_find(process_directory(p), "link/zap", &place)) {
        place_done(&place);
        return ERR_OK;
    }
    err_t e = ERR_OK;
    if (!process_has_dispatcher(p, link_dispatcher))
        e = process_add_dispatcher(p, link_dispatcher, why);
    if (!e) e = process_spawn(p, link_dispatcher, &link_zap_actor, "zap", &args->of, NULL, why);
    return e;
}

err_t process_listen(process_t *p, const listen_options_t *o, why_t *why) {
    arena_t *arena = process_arena(p);
    err_t e = check_endpoint(o->endpoint, o->key_file, why);
    if (e) return e;
    bool is_tcp = has_prefix(o->endpoint, "tcp:");
    if (is_tcp ? !o->allowed_keys_dir : is_empty(o->principal))
        return why_set(why, ERR_INVALID, "%s: %s", o->endpoint,
                       is_tcp ? "no folder of allowed keys" : "no principal for its peers");
    link_args_t *args = ARENA_NEW(arena, link_args_t);
    args->of = link_process(p);
    args->listen = (listen_options_t){
        .endpoint = arena_strdup(arena, o->endpoint),
        .socket_mode = o->socket_mode,
        .socket_group = arena_strdup(arena, o->socket_group),
        .principal = arena_strdup(arena, o->principal),
        .key_file = arena_strdup(arena, o->key_file),
        .allowed_keys_dir = arena_strdup(arena, o->allowed_keys_dir),
    };
    if (is_tcp) e = spawn_zap(p, args, why);
    return e ? e : spawn_link(p, "listen", o->endpoint, &link_listen_actor, args, why);
}

err_t process_connect(process_t *p, const connect_options_t *o, why_t *why) {
    arena_t *arena = process_arena(p);
    err_t e = check_endpoint(o->endpoint, o->key_file, why);
    if (e) return e;
    if (has_prefix(o->endpoint, "tcp:") && !o->server_key_file)
        return why_set(why, ERR_INVALID, "%s: the server's certificate is missing", o->endpoint);
    link_args_t *args = ARENA_NEW(arena, link_args_t);
    args->of = link_process(p);
    args->connect = (connect_options_t){
        .peer = arena_strdup(arena, or_empty(o->peer)),
        .endpoint = arena_strdup(arena, o->endpoint),
        .key_file = arena_strdup(arena, o->key_file),
        .server_key_file = arena_strdup(arena, o->server_key_file),
    };
    return spawn_link(p, "connect", o->endpoint, &link_connect_actor, args, why);
}
