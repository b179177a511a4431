// Sockets of links: options, monitors, ipc folders, CURVE keys.
#include "runtime/actor/link_inner.h"
#include "runtime/base/log.h"
#include "runtime/io/config_tree.h"
#include <errno.h>
#include <grp.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

static void set_int(void *socket, int option, int value) {
    int failed = zmq_setsockopt(socket, option, &value, sizeof value);
    assert(!failed);
}

static int fd_of(void *socket) {
    int fd;
    size_t len = sizeof fd;
    int failed = zmq_getsockopt(socket, ZMQ_FD, &fd, &len);
    assert(!failed);
    return fd;
}

err_t link_socket_open(actor_t *me, const link_process_t *of, int type, bool is_tcp,
                       link_socket_t *ret, why_t *why) {
    static _Atomic uint64_t monitors; // inproc names must not repeat within a context
    link_socket_t s = {.socket = zmq_socket(of->context, type)};
    if (!s.socket) return why_errno(why, errno, "open a socket");
    set_int(s.socket, ZMQ_LINGER, 0);
    set_int(s.socket, ZMQ_SNDHWM, LANE_HIGH_WATER);
    set_int(s.socket, ZMQ_RCVHWM, LANE_HIGH_WATER);
    int64_t frame_max = MESSAGE_MAX_BYTES;
    zmq_setsockopt(s.socket, ZMQ_MAXMSGSIZE, &frame_max, sizeof frame_max);
    if (type == ZMQ_ROUTER) {
        set_int(s.socket, ZMQ_ROUTER_MANDATORY, 1); // else it says ok for what it drops
        set_int(s.socket, ZMQ_ROUTER_HANDOVER, 0);
        set_int(s.socket, ZMQ_BACKLOG, 1024);
    } else {
        set_int(s.socket, ZMQ_IMMEDIATE, 1); // no queue for a peer that is not there
        set_int(s.socket, ZMQ_RECONNECT_IVL,
                -1); // a new connection is a new socket, with new numbers
    }
    if (is_tcp) {
        set_int(s.socket, ZMQ_HEARTBEAT_IVL, LINK_HEARTBEAT_MS);
        set_int(s.socket, ZMQ_HEARTBEAT_TIMEOUT, LINK_HEARTBEAT_TIMEOUT_MS);
        set_int(s.socket, ZMQ_IPV6, 1);
    }
    char name[64];
    snprintf(name, sizeof name, "inproc://link-monitor-%llu",
             (unsigned long long)atomic_fetch_add(&monitors, 1));
    if (zmq_socket_monitor(s.socket, name, ZMQ_EVENT_ALL) < 0) {
        int code = errno;
        zmq_close(s.socket);
        return why_errno(why, code, "watch a socket");
    }
    s.monitor = zmq_socket(of->context, ZMQ_PAIR);
    if (!s.monitor || zmq_connect(s.monitor, name) < 0) abort(); // inproc, just bound
    set_int(s.monitor, ZMQ_LINGER, 0);
    actor_watch_fd(me, fd_of(s.socket), EPOLLIN);
    actor_watch_fd(me, fd_of(s.monitor), EPOLLIN);
    *ret = s;
    return ERR_OK;
}

void link_socket_close(actor_t *me, link_socket_t *s) {
    if (!s->socket) return;
    actor_unwatch_fd(me, fd_of(s->socket));
    actor_unwatch_fd(me, fd_of(s->monitor));
    zmq_socket_monitor(s->socket, NULL, 0);
    zmq_close(s->monitor);
    zmq_close(s->socket);
    *s = (link_socket_t){0};
}

static bool is_readable(void *socket) {
    int events;
    size_t len = sizeof events;
    return zmq_getsockopt(socket, ZMQ_EVENTS, &events, &len) == 0 && (events & ZMQ_POLLIN);
}

bool link_socket_has_news(const link_socket_t *s) {
    if (!s->socket) return false;
    bool socket_news = is_readable(s->socket); // asking reads the signal: ask both
    bool monitor_news = is_readable(s->monitor);
    return socket_news || monitor_news;
}

void link_frames_init(link_frames_t *f) {
    zmq_msg_init(&f->id);
    zmq_msg_init(&f->head);
    zmq_msg_init(&f->body);
}

void link_frames_done(link_frames_t *f) {
    zmq_msg_close(&f->id);
    zmq_msg_close(&f->head);
    zmq_msg_close(&f->body);
}

link_received_t link_socket_receive(const link_socket_t *s, bool is_router, link_frames_t *ret) {
    zmq_msg_t *frames[] = {&ret->id, &ret->head, &ret->body};
    size_t at = is_router ? 0 : 1;
    if (zmq_msg_recv(frames[at], s->socket, ZMQ_DONTWAIT) < 0) return LINK_NOTHING;
    while (at < 2 && zmq_msg_more(frames[at]))
        if (zmq_msg_recv(frames[++at], s->socket, ZMQ_DONTWAIT) < 0) return LINK_GARBAGE;
    if (at == 2 && !zmq_msg_more(frames[2])) return LINK_RECEIVED;
    for (bool more = at == 2; more;) { // too many frames: away with the rest
        zmq_msg_t rest;
        zmq_msg_init(&rest);
        more = zmq_msg_recv(&rest, s->socket, ZMQ_DONTWAIT) >= 0 && zmq_msg_more(&rest);
        zmq_msg_close(&rest);
    }
    return LINK_GARBAGE;
}

bool link_socket_event(const link_socket_t *s, uint16_t *ret_event, uint32_t *ret_value) {
    zmq_msg_t event, address;
    zmq_msg_init(&event), zmq_msg_init(&address);
    bool found = zmq_msg_recv(&event, s->monitor, ZMQ_DONTWAIT) == 6 &&
                 zmq_msg_recv(&address, s->monitor, ZMQ_DONTWAIT) >= 0;
    if (found) {
        memcpy(ret_event, zmq_msg_data(&event), 2);
        memcpy(ret_value, (char *)zmq_msg_data(&event) + 2, 4);
    }
    zmq_msg_close(&event), zmq_msg_close(&address);
    return found;
}

// ---- ipc ----------------------------------------------------------------------------------------
static const char *ipc_path(const listen_options_t *o) { return o->endpoint + strlen("ipc://"); }

err_t link_prepare_ipc(const listen_options_t *o, why_t *why) {
    CLEANUP(free_charp) char *folder = str_dup(ipc_path(o));
    char *slash = strrchr(folder, '/');
    if (!slash || slash == folder)
        return why_set(why, ERR_INVALID, "%s: no folder of its own", o->endpoint);
    *slash = 0;
    bool is_private = (o->socket_mode & 077) == 0;
    if (mkdir(folder, is_private ? 0700 : 0755) < 0 && errno != EEXIST)
        return why_errno(why, errno, "make folder %s", folder);
    struct stat st;
    if (lstat(folder, &st) < 0) return why_errno(why, errno, "%s", folder);
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid())
        return why_set(why, ERR_PERMISSION, "%s: must be a folder that user %d owns", folder,
                       (int)geteuid());
    // Whoever reaches a socket in here is taken for a part: nobody else may.
    if (is_private && (st.st_mode & 077) && chmod(folder, 0700) < 0)
        return why_errno(why, errno, "chmod 0700 %s", folder);
    return ERR_OK;
}

// The command line's socket belongs to the user who called sudo, and to the group, where it exists.
static void choose_owner(const listen_options_t *o, uid_t *ret_uid, gid_t *ret_gid) {
    const char *sudo_uid = getenv("SUDO_UID");
    const struct group *group = o->socket_group ? getgrnam(o->socket_group) : NULL;
    *ret_uid = sudo_uid && geteuid() == 0 ? (uid_t)strtoul(sudo_uid, NULL, 10) : (uid_t)-1;
    *ret_gid = group ? group->gr_gid : (gid_t)-1;
}

err_t link_open_ipc(const listen_options_t *o, why_t *why) {
    const char *path = ipc_path(o);
    mode_t mode = o->socket_mode ? o->socket_mode : 0600;
    uid_t uid;
    gid_t gid;
    choose_owner(o, &uid, &gid);
    if ((mode & 077) && (uid != (uid_t)-1 || gid != (gid_t)-1) && chown(path, uid, gid) < 0)
        return why_errno(why, errno, "chown %s", path);
    if (chmod(path, mode) < 0) return why_errno(why, errno, "chmod %s", path);
    return ERR_OK;
}

// ---- CURVE --------------------------------------------------------------------------------------
// A line `    public-key = "…40 characters…"` of CZMQ's certificate format.
err_t link_read_key(const char *path, const char *which, char ret[static LINK_KEY_TEXT],
                    why_t *why) {
    CLEANUP(free_charp) char *text = NULL;
    size_t len;
    err_t e = config_load_file(path, &text, &len, why);
    if (e) return e;
    char *at = text;
    bool found = false;
    while (at && !found) {
        at += strspn(at, " \t\r\n");
        size_t key_len = strlen(which);
        if (strncmp(at, which, key_len) == 0) {
            const char *value = at + key_len;
            value += strspn(value, " \t");
            if (*value == '=') value++;
            value += strspn(value, " \t");
            size_t value_len = *value == '"' ? strcspn(value + 1, "\"\n") : 0;
            found = value_len == LINK_KEY_TEXT - 1 && value[1 + value_len] == '"';
            if (found) memcpy(ret, value + 1, value_len), ret[value_len] = 0;
        }
        at = strchr(at, '\n');
    }
    explicit_bzero(text, len);
    if (!found) return why_set(why, ERR_INVALID, "%s: no %s of 40 characters in it", path, which);
    return ERR_OK;
}

static err_t set_key(void *socket, int option, const char *path, const char *which, why_t *why) {
    char key[LINK_KEY_TEXT];
    err_t e = link_read_key(path, which, key, why);
    if (!e && zmq_setsockopt(socket, option, key, sizeof key) < 0)
        e = why_set(why, ERR_INVALID, "%s: its %s is no CURVE key", path, which);
    explicit_bzero(key, sizeof key);
    return e;
}

err_t link_curve_server(void *socket, const listen_options_t *o, why_t *why) {
    set_int(socket, ZMQ_CURVE_SERVER, 1);
    err_t e = set_key(socket, ZMQ_CURVE_SECRETKEY, o->key_file, "secret-key", why);
    if (e) return e;
    // The domain names the folder of the keys that may come in. (Without a handler libzmq would let
    // in everybody, but nameless, and the listening link hears nobody without a name.)
    if (zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, o->allowed_keys_dir, strlen(o->allowed_keys_dir)) <
        0)
        return why_errno(why, errno, "%s", o->allowed_keys_dir);
    return ERR_OK;
}

err_t link_curve_client(void *socket, const connect_options_t *o, why_t *why) {
    err_t e = set_key(socket, ZMQ_CURVE_SERVERKEY, o->server_key_file, "public-key", why);
    if (!e) e = set_key(socket, ZMQ_CURVE_PUBLICKEY, o->key_file, "public-key", why);
    if (!e) e = set_key(socket, ZMQ_CURVE_SECRETKEY, o->key_file, "secret-key", why);
    return e;
}
