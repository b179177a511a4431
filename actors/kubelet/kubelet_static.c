// Static pods: described by files in a folder of this node, run without the API server. Each has a
// mirror there, so that it can be seen; deleting the mirror only makes it anew.
//
//     file ─► pod (name-NODE, uid = hash of node and text) ─► entry ─► pod actor
//                                                          └► mirror pod in the API ◄─ its status
#include "actors/kubelet/kubelet_state.h"
#include "runtime/api/codec.h"
#include "runtime/api/msg.h"
#include "runtime/base/hash.h"
#include "runtime/base/log.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MANIFESTS_MAX = 200,
    MANIFEST_MAX_BYTES = 1 << 20,
    LOOK_AGAIN_MS = 20 * 1000,
    SETTLE_MS = 50
};

static const kind_t *pod_kind(void) { return kind_find("", "v1", "Pod"); }

// ---- reading ----------------------------------------------------------------------------------
static char *read_file(const char *path, size_t *ret_len) {
    int fd CLEANUP(close_fdp) = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size > MANIFEST_MAX_BYTES)
        return NULL;
    char *text = mem_new((size_t)st.st_size + 1);
    ssize_t got = read(fd, text, (size_t)st.st_size);
    *ret_len = got < 0 ? 0 : (size_t)got;
    return text;
}

// What the API server would have made of it.
static void complete(actor_t *me, Core__Pod *pod, const char *text, size_t len) {
    arena_t *arena = actor_arena(me);
    Meta__ObjectMeta *meta = object_meta(arena, &pod->base);
    uint64_t hash = hash_fnv64a(actor_name(me), strlen(actor_name(me)));
    hash = hash_fnv64a_more(hash, or_empty(meta->name), strlen(or_empty(meta->name)));
    uint64_t more = hash_fnv64a_more(hash, text, len);
    meta->uid =
        arena_printf(arena, "%016llx%016llx", (unsigned long long)hash, (unsigned long long)more);
    meta->name = arena_printf(arena, "%s-%s", or_empty(meta->name), actor_name(me));
    if (is_empty(meta->namespace_)) meta->namespace_ = "default";
    object_set_annotation(arena, &pod->base, "kubernetes.io/config.hash", meta->uid);
    object_set_annotation(arena, &pod->base, KUBELET_CONFIG_SOURCE, "file");
    pod->spec->nodename = actor_name(me);
    pod->status = NULL;
    pod_kind()->defaults(arena, &pod->base);
}

static void take_pod(actor_t *me, const char *file, Core__Pod *pod, const char *text, size_t len) {
    kubelet_t *self = actor_state(me);
    if (!pod->spec || !pod->spec->n_containers || is_empty(object_meta_read(&pod->base)->name)) {
        log_warn(actor_address(me), "%s: a static pod needs a name and containers", file);
        return;
    }
    complete(me, pod, text, len);
    const Meta__ObjectMeta *meta = pod->metadata;
    entry_t *e = map_get(&self->by_uid, meta->uid);
    if (e) {
        e->seen = true;
        return;
    }
    e = kubelet_entry(me, meta->uid, meta->namespace_, meta->name);
    e->is_static = e->seen = e->dirty = true;
    e->packed = msg_blob(&pod->base);
    log_info(actor_address(me), "static pod %s/%s of %s", meta->namespace_, meta->name, file);
}

static void read_manifest(actor_t *me, const char *path) {
    size_t len = 0;
    char *text CLEANUP(free_charp) = read_file(path, &len);
    manifests_t found;
    why_t why;
    if (!text) return;
    if (manifests_read(actor_arena(me), path, text, len, true, &found, &why)) {
        log_warn(actor_address(me), "%s", why.text);
        return;
    }
    for (size_t i = 0; i < found.len; i++) {
        if (found.at[i].kind == pod_kind())
            take_pod(me, path, (Core__Pod *)found.at[i].obj, text, len);
        else
            log_warn(actor_address(me), "%s: only pods can be static", path);
    }
}

static bool is_manifest(const char *name) {
    return name[0] != '.' &&
           (has_suffix(name, ".yaml") || has_suffix(name, ".yml") || has_suffix(name, ".json"));
}

void kubelet_static_read(actor_t *me) {
    kubelet_t *self = actor_state(me);
    if (is_empty(self->args.manifest_dir)) return;
    size_t at = 0, read = 0;
    uint64_t number;
    void *value;
    while (imap_next(&self->by_number, &at, &number, &value)) ((entry_t *)value)->seen = false;
    DIR *dir = opendir(self->args.manifest_dir);
    for (const struct dirent *one; dir && (one = readdir(dir)) && read < MANIFESTS_MAX;) {
        if (!is_manifest(one->d_name)) continue;
        read++;
        read_manifest(me,
                      arena_printf(actor_arena(me), "%s/%s", self->args.manifest_dir, one->d_name));
    }
    if (dir) closedir(dir);
    at = 0;
    while (imap_next(&self->by_number, &at, &number, &value)) {
        entry_t *e = value;
        if (e->is_static && !e->seen && !e->gone) e->gone = e->dirty = true;
    }
    // The folder's events come at once; the timer is for file systems that tell of nothing.
    actor_timer(me, K_TIMER_MANIFESTS, LOOK_AGAIN_MS);
}

void kubelet_static_start(actor_t *me) {
    kubelet_t *self = actor_state(me);
    if (is_empty(self->args.manifest_dir)) return;
    kubelet_static_read(me);
    if (self->args.simulated) return;
    self->manifests_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (self->manifests_fd < 0) return;
    if (inotify_add_watch(self->manifests_fd, self->args.manifest_dir,
                          IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE) >= 0)
        actor_watch_fd(me, self->manifests_fd, EPOLLIN);
}

void kubelet_static_fd(actor_t *me) {
    kubelet_t *self = actor_state(me);
    char events[4096];
    while (read(self->manifests_fd, events, sizeof events) > 0) {}
    actor_timer(me, K_TIMER_MANIFESTS, SETTLE_MS); // an editor's save is several events
}

void kubelet_static_end(actor_t *me) {
    kubelet_t *self = actor_state(me);
    if (self->manifests_fd < 0) return;
    actor_unwatch_fd(me, self->manifests_fd);
    close(self->manifests_fd);
}

// ---- mirrors ----------------------------------------------------------------------------------
bool kubelet_is_mirror(const record_t *record) {
    return object_annotation(record->object, KUBELET_MIRROR) != NULL;
}

static entry_t *of_mirror(kubelet_t *self, const record_t *record) {
    return map_get(&self->by_uid, or_empty(object_annotation(record->object, KUBELET_MIRROR)));
}

void kubelet_mirror_changed(actor_t *me, const record_t *was, const record_t *is) {
    kubelet_t *self = actor_state(me);
    entry_t *e = of_mirror(self, is ? is : was);
    if (e) {
        record_unref((record_t **)&e->record);
        e->record = is ? record_ref(is) : NULL;
        e->mirroring = false;
        e->mirror_dirty = is && !was;
    }
    // A mirror of a file that is not there any more, or has changed, is nobody's; one that is being
    // deleted goes at once: what it shows is not moved by it.
    bool unwanted = is && (!e || e->gone || object_meta_read(is->object)->deletiontimestamp);
    if (!unwanted || !informer_is_synced(self->pods)) return;
    api_delete_options_t options = {.uid = is->uid, .has_grace = true, .grace_seconds = 0};
    api_delete(me, pod_kind(), is->namespace_, is->name, &options, K_TAG_MIRROR_DELETE);
}

// In settle: each static pod that is known to have no mirror gets one.
void kubelet_mirrors_sync(actor_t *me) {
    kubelet_t *self = actor_state(me);
    size_t at = 0;
    uint64_t number;
    void *value;
    if (is_empty(self->args.manifest_dir) || !self->registered || !informer_is_synced(self->pods))
        return;
    while (imap_next(&self->by_number, &at, &number, &value)) {
        entry_t *e = value;
        if (!e->is_static || e->gone || e->record || e->mirroring) continue;
        Core__Pod *pod =
            msg_unpack_own(actor_arena(me), &core__pod__descriptor, blob_bytes(e->packed));
        if (!pod) continue;
        object_set_annotation(actor_arena(me), &pod->base, KUBELET_MIRROR, e->uid);
        pod->metadata->uid = NULL;
        e->mirroring = true;
        api_create(me, pod_kind(), &pod->base, K_TAG_POD_MIRROR + e->number * 4);
    }
}
