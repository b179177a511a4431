// Who may connect with which CURVE key: ZeroMQ asks here (RFC 27/ZAP) for every connection with
// keys. Without this handler ZeroMQ would let in any key.
//
//   request   version "1.0" · request id · domain · address · identity · "CURVE" · key (32 bytes)
//   reply     version · request id · "200" or "400" · text · user id · metadata
//
// The domain is the folder of allowed certificates; the file's name without .cert is the user id,
// which becomes the principal of the connection. It is read anew each time: to let somebody in or
// out means to add or remove a file.
#include "runtime/actor/link_inner.h"
#include "runtime/base/hash.h"
#include "runtime/base/log.h"
#include <dirent.h>
#include <errno.h>
#include <sys/epoll.h>

enum { FRAMES = 7, FRAME_MAX = 512, CERTIFICATES_MAX = 4096, KEY_BYTES = 32 };
enum { STRANGERS = 16, STRANGER_AGAIN_MS = 60 * 1000 }; // one line a minute for a key that tries on

typedef struct {
    void *socket; // ROUTER, so that garbage cannot wedge it as it does a REP
    int fd;
    struct {
        uint64_t hash;
        int64_t told_ms;
    } strangers[STRANGERS]; // keys refused of late
    size_t stranger_at;
} zap_t;

typedef struct {
    uint8_t at[FRAME_MAX + 1]; // with a NUL behind
    size_t len;
} frame_t;

// Whose certificate is this key? *returned*; NULL: nobody's.
static char *user_of(const char *folder, const char *key) {
    DIR *dir = opendir(folder);
    char *user = NULL;
    const struct dirent *entry;
    for (int i = 0; dir && !user && i < CERTIFICATES_MAX && (entry = readdir(dir));) {
        if (!has_suffix(entry->d_name, ".cert")) continue;
        i++;
        CLEANUP(free_charp) char *path = str_printf("%s/%s", folder, entry->d_name);
        char public_key[LINK_KEY_TEXT];
        if (link_read_key(path, "public-key", public_key, NULL) == ERR_OK && streq(public_key, key))
            user = str_dup_n(entry->d_name, strlen(entry->d_name) - strlen(".cert"));
    }
    if (dir) closedir(dir);
    return user;
}

// A ROUTER in front of a REQ: identity · empty · the request. False: nothing there.
static bool take_request(const zap_t *self, frame_t *identity, frame_t frames[static FRAMES],
                         size_t *ret_len) {
    bool more = true;
    size_t at = 0;
    for (; more; at++) {
        frame_t ignored, *into = at == 0                      ? identity
                                 : at >= 2 && at < 2 + FRAMES ? &frames[at - 2]
                                                              : &ignored;
        int len = zmq_recv(self->socket, into->at, FRAME_MAX, ZMQ_DONTWAIT);
        if (len < 0) return false;
        into->len = (size_t)len < FRAME_MAX ? (size_t)len : FRAME_MAX;
        into->at[into->len] = 0;
        int rcv_more;
        size_t size = sizeof rcv_more;
        zmq_getsockopt(self->socket, ZMQ_RCVMORE, &rcv_more, &size);
        more = rcv_more;
    }
    *ret_len = at >= 2 ? at - 2 : 0;
    return true;
}

static bool is_news(zap_t *self, const char *key, int64_t now_ms) {
    uint64_t hash = hash_fnv64a(key, strlen(key));
    for (size_t i = 0; i < STRANGERS; i++) {
        if (self->strangers[i].hash != hash) continue;
        bool again = now_ms - self->strangers[i].told_ms >= STRANGER_AGAIN_MS;
        if (again) self->strangers[i].told_ms = now_ms;
        return again;
    }
    size_t at = self->stranger_at++ % STRANGERS;
    self->strangers[at].hash = hash;
    self->strangers[at].told_ms = now_ms;
    return true;
}

static char *judge(zap_t *self, int64_t now_ms, const frame_t frames[static FRAMES], size_t len) {
    char key[LINK_KEY_TEXT];
    const frame_t *mechanism = &frames[5], *raw_key = &frames[6];
    if (len != FRAMES || !streq((const char *)mechanism->at, "CURVE") || raw_key->len != KEY_BYTES)
        return NULL;
    zmq_z85_encode(key, raw_key->at, KEY_BYTES);
    char *user = user_of((const char *)frames[2].at, key);
    if (!user && is_news(self, key, now_ms))
        log_warn("zap", "the key %s from %s is not in %s: refused", key, (const char *)frames[3].at,
                 (const char *)frames[2].at);
    return user;
}

static void answer(const zap_t *self, const frame_t *identity, const frame_t *request_id,
                   const char *user) {
    const char *const texts[] = {user ? "200" : "400", user ? "OK" : "this key is not known here",
                                 or_empty(user), ""};
    zmq_send(self->socket, identity->at, identity->len, ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_send(self->socket, "", 0, ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_send(self->socket, "1.0", 3, ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_send(self->socket, request_id->at, request_id->len, ZMQ_SNDMORE | ZMQ_DONTWAIT);
    for (size_t i = 0; i < LENGTH_OF(texts); i++)
        zmq_send(self->socket, texts[i], strlen(texts[i]),
                 (i + 1 < LENGTH_OF(texts) ? ZMQ_SNDMORE : 0) | ZMQ_DONTWAIT);
}

static void settle(actor_t *me) {
    zap_t *self = actor_state(me);
    frame_t identity, frames[FRAMES];
    size_t len;
    while (take_request(self, &identity, frames, &len)) {
        if (len < 2) continue;
        CLEANUP(free_charp) char *user = judge(self, actor_now_ms(me), frames, len);
        answer(self, &identity, &frames[1], user);
    }
}

static void on_fd(actor_t *me, int fd, uint32_t events) {} // settle reads

static err_t start(actor_t *me, const void *args, why_t *why) {
    zap_t *self = actor_state(me);
    const link_process_t *of = args;
    self->socket = zmq_socket(of->context, ZMQ_ROUTER);
    if (!self->socket) return why_errno(why, errno, "open the ZAP socket");
    size_t size = sizeof self->fd;
    int linger = 0;
    zmq_setsockopt(self->socket, ZMQ_LINGER, &linger, sizeof linger);
    if (zmq_bind(self->socket, "inproc://zeromq.zap.01") < 0)
        return why_errno(why, errno, "bind the ZAP socket");
    zmq_getsockopt(self->socket, ZMQ_FD, &self->fd, &size);
    actor_watch_fd(me, self->fd, EPOLLIN);
    actor_settle_again(me);
    return ERR_OK;
}

static void stop(actor_t *me) {
    zap_t *self = actor_state(me);
    if (self->fd) actor_unwatch_fd(me, self->fd);
    if (self->socket) zmq_close(self->socket);
}

const actor_def_t link_zap_actor = {
    .role = "link",
    .state_size = sizeof(zap_t),
    .start = start,
    .settle = settle,
    .on_fd = on_fd,
    .stop = stop,
};
