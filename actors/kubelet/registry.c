#include "actors/kubelet/registry.h"
#include "runtime/base/map.h"
#include "runtime/base/text.h"
#include "runtime/base/vec.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <unistd.h>

// A tar file is a row of 512-byte blocks: a header (name at 0, size in octal at 124, type at 156,
// name prefix at 345), then the file's bytes, padded. Blobs are served from inside it.
enum {
    TAR_BLOCK = 512,
    TAR_SIZE_AT = 124,
    TAR_SIZE_LEN = 12,
    TAR_TYPE_AT = 156,
    TAR_PREFIX_AT = 345
};
#define NAME_ANNOTATION "io.containerd.image.name"
#define INDEX_TYPE      "application/vnd.oci.image.index.v1+json"

typedef struct {
    char *path; // the tar, or the blob's own file
    int64_t offset, size;
} place_t;

typedef struct {
    char *digest, *media_type;
} manifest_ref_t;

struct registry {
    struct MHD_Daemon *daemon;
    uint16_t port;
    int fd;
    char *dir;
    struct timespec read_at; // change time of the folder when it was read; 0: never
    map_t images;            // whole name -> manifest_ref_t
    map_t blobs;             // "sha256:…" -> place_t
};

// ---- names ------------------------------------------------------------------------------------
char *image_whole_name(const char *ref) {
    if (is_empty(ref) || strpbrk(ref, " \t\n") || ref[0] == '/' || ref[0] == ':') return NULL;
    const char *slash = strchr(ref, '/');
    // The first part is a host when it has a dot, a colon, or is localhost.
    size_t first = slash ? (size_t)(slash - ref) : 0;
    bool has_host = slash && (memchr(ref, '.', first) || memchr(ref, ':', first) ||
                              (first == 9 && memcmp(ref, "localhost", 9) == 0));
    const char *last = strrchr(ref, '/') ? strrchr(ref, '/') + 1 : ref;
    bool has_tag = strchr(last, ':') || strchr(last, '@');
    return str_printf("%s%s%s%s", has_host ? "" : "docker.io/", has_host || slash ? "" : "library/",
                      ref, has_tag ? "" : ":latest");
}

// ---- reading the folder -----------------------------------------------------------------------
static void forget(registry_t *r) {
    size_t at = 0;
    const char *key;
    void *value;
    while (map_next(&r->images, &at, &key, &value)) {
        manifest_ref_t *m = value;
        free(m->digest);
        free(m->media_type);
        free(m);
    }
    map_done(&r->images);
    r->images = (map_t){0};
    at = 0;
    while (map_next(&r->blobs, &at, &key, &value)) {
        place_t *p = value;
        free(p->path);
        free(p);
    }
    map_done(&r->blobs);
    r->blobs = (map_t){0};
}

static bool is_hex64(const char *s) {
    return strlen(s) == 64 && strspn(s, "0123456789abcdef") == 64;
}

static void add_blob(registry_t *r, const char *hex, const char *path, int64_t offset,
                     int64_t size) {
    if (!is_hex64(hex) || map_len(&r->blobs) >= REGISTRY_BLOBS_MAX) return;
    char digest[72];
    snprintf(digest, sizeof digest, "sha256:%s", hex);
    if (map_get(&r->blobs, digest)) return;
    place_t *p = NEW(place_t);
    *p = (place_t){str_dup(path), offset, size};
    map_put(&r->blobs, digest, p);
}

static void add_index(registry_t *r, const char *json, size_t len) {
    json_t *root = json_loadb(json, len, 0, NULL);
    const json_t *manifests = json_object_get(root, "manifests");
    size_t i;
    json_t *one;
    json_array_foreach(manifests, i, one) {
        const char *name = json_string_value(
            json_object_get(json_object_get(one, "annotations"), NAME_ANNOTATION));
        const char *digest = json_string_value(json_object_get(one, "digest"));
        const char *type = json_string_value(json_object_get(one, "mediaType"));
        char *whole = name && digest ? image_whole_name(name) : NULL;
        if (whole && !map_get(&r->images, whole) && map_len(&r->images) < REGISTRY_IMAGES_MAX) {
            manifest_ref_t *m = NEW(manifest_ref_t);
            *m = (manifest_ref_t){str_dup(digest), str_dup(type ? type : INDEX_TYPE)};
            map_put(&r->images, whole, m);
        }
        free(whole);
    }
    json_decref(root);
}

static char *read_part(int fd, int64_t offset, int64_t size) {
    if (size < 0 || size > REGISTRY_INDEX_MAX_BYTES) return NULL;
    char *bytes = mem_new((size_t)size + 1);
    if (pread(fd, bytes, (size_t)size, offset) == size) return bytes;
    free(bytes);
    return NULL;
}

static void add_layout(registry_t *r, const char *dir) {
    char *index = str_printf("%s/index.json", dir);
    int fd CLEANUP(close_fdp) = open(index, O_RDONLY | O_CLOEXEC);
    free(index);
    struct stat st;
    if (fd < 0 || fstat(fd, &st)) return;
    char *json = read_part(fd, 0, st.st_size);
    if (json) add_index(r, json, (size_t)st.st_size);
    free(json);
    char *blobs = str_printf("%s/blobs/sha256", dir);
    DIR *d = opendir(blobs);
    for (const struct dirent *e; d && (e = readdir(d));) {
        char *path = str_printf("%s/%s", blobs, e->d_name);
        if (stat(path, &st) == 0 && S_ISREG(st.st_mode))
            add_blob(r, e->d_name, path, 0, st.st_size);
        free(path);
    }
    if (d) closedir(d);
    free(blobs);
}

static int64_t octal(const char *digits, size_t len) {
    int64_t n = 0;
    for (size_t i = 0; i < len && digits[i]; i++) {
        if (digits[i] == ' ') continue;
        if (digits[i] < '0' || digits[i] > '7' || n > INT64_MAX >> 4) return -1;
        n = n * 8 + (digits[i] - '0');
    }
    return n;
}

static void add_tar(registry_t *r, const char *path) {
    int fd CLEANUP(close_fdp) = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st)) return;
    char head[TAR_BLOCK + 1] = "";
    for (int64_t at = 0; at + TAR_BLOCK <= st.st_size;) {
        if (pread(fd, head, TAR_BLOCK, at) != TAR_BLOCK || !head[0]) return;
        int64_t size = octal(head + TAR_SIZE_AT, TAR_SIZE_LEN);
        if (size < 0 || size > st.st_size - at - TAR_BLOCK) return; // cut off, or no tar at all
        char name[101] = "";
        memcpy(name, head, 100);
        const char *plain = has_prefix(name, "./") ? name + 2 : name;
        bool is_file = head[TAR_TYPE_AT] == '0' || !head[TAR_TYPE_AT];
        if (is_file && has_prefix(plain, "blobs/sha256/"))
            add_blob(r, plain + strlen("blobs/sha256/"), path, at + TAR_BLOCK, size);
        if (is_file && streq(plain, "index.json")) {
            char *json = read_part(fd, at + TAR_BLOCK, size);
            if (json) add_index(r, json, (size_t)size);
            free(json);
        }
        at += TAR_BLOCK + (size + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
    }
}

static void refresh(registry_t *r) {
    struct stat st;
    if (stat(r->dir, &st)) return forget(r);
    if (st.st_mtim.tv_sec == r->read_at.tv_sec && st.st_mtim.tv_nsec == r->read_at.tv_nsec) return;
    forget(r);
    r->read_at = st.st_mtim;
    DIR *d = opendir(r->dir);
    for (const struct dirent *e; d && (e = readdir(d));) {
        if (e->d_name[0] == '.') continue;
        char *path = str_printf("%s/%s", r->dir, e->d_name);
        if (stat(path, &st) == 0) {
            if (S_ISDIR(st.st_mode))
                add_layout(r, path);
            else if (has_suffix(e->d_name, ".tar"))
                add_tar(r, path);
        }
        free(path);
    }
    if (d) closedir(d);
}

bool registry_has(registry_t *r, const char *ref) {
    refresh(r);
    char *whole = image_whole_name(ref);
    bool has = whole && map_get(&r->images, whole);
    free(whole);
    return has;
}

// ---- answering --------------------------------------------------------------------------------
static enum MHD_Result answer_text(struct MHD_Connection *c, unsigned code, const char *type,
                                   const char *text) {
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_MUST_COPY);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    enum MHD_Result result = MHD_queue_response(c, code, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result answer_missing(struct MHD_Connection *c, const char *code) {
    char text[128];
    snprintf(text, sizeof text,
             "{\"errors\":[{\"code\":\"%s\",\"message\":\"not in the images folder\"}]}", code);
    return answer_text(c, MHD_HTTP_NOT_FOUND, "application/json", text);
}

static enum MHD_Result answer_blob(struct MHD_Connection *c, const place_t *place,
                                   const char *digest, const char *type) {
    int fd = open(place->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return answer_missing(c, "BLOB_UNKNOWN");
    // The response owns the descriptor from here.
    struct MHD_Response *response =
        MHD_create_response_from_fd_at_offset64((uint64_t)place->size, fd, (uint64_t)place->offset);
    if (!response) {
        close(fd);
        return MHD_NO;
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    MHD_add_response_header(response, "Docker-Content-Digest", digest);
    enum MHD_Result result = MHD_queue_response(c, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return result;
}

// A manifest that is asked for by digest does not say what it is, except inside.
static char *media_type_of(const place_t *place) {
    int fd CLEANUP(close_fdp) = open(place->path, O_RDONLY | O_CLOEXEC);
    char *json = fd < 0 ? NULL : read_part(fd, place->offset, place->size);
    json_t *root = json ? json_loadb(json, (size_t)place->size, 0, NULL) : NULL;
    const char *type = json_string_value(json_object_get(root, "mediaType"));
    char *result = str_dup(type ? type : "application/vnd.oci.image.manifest.v1+json");
    json_decref(root);
    free(json);
    return result;
}

static enum MHD_Result answer_manifest(registry_t *r, struct MHD_Connection *c, const char *name,
                                       const char *reference) {
    refresh(r);
    char *digest = NULL, *type = NULL;
    if (has_prefix(reference, "sha256:")) {
        const place_t *place = map_get(&r->blobs, reference);
        digest = place ? str_dup(reference) : NULL;
        type = place ? media_type_of(place) : NULL;
    } else {
        // Mirrors are told in ?ns= whose image is meant; without it: Docker's hub, as everywhere.
        const char *host = MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, "ns");
        char *whole = str_printf("%s/%s:%s", host ? host : "docker.io", name, reference);
        const manifest_ref_t *m = map_get(&r->images, whole);
        digest = m ? str_dup(m->digest) : NULL;
        type = m ? str_dup(m->media_type) : NULL;
        free(whole);
    }
    const place_t *place = digest ? map_get(&r->blobs, digest) : NULL;
    enum MHD_Result result =
        place ? answer_blob(c, place, digest, type) : answer_missing(c, "MANIFEST_UNKNOWN");
    free(digest);
    free(type);
    return result;
}

// GET and HEAD of /v2/, /v2/NAME/manifests/REFERENCE, /v2/NAME/blobs/DIGEST
static enum MHD_Result on_request(void *arg, struct MHD_Connection *c, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_len, void **state) {
    registry_t *r = arg;
    if (!streq(method, "GET") && !streq(method, "HEAD"))
        return answer_text(c, MHD_HTTP_METHOD_NOT_ALLOWED, "application/json", "{}");
    if (streq(url, "/v2/") || streq(url, "/v2"))
        return answer_text(c, MHD_HTTP_OK, "application/json", "{}");
    const char *rest = has_prefix(url, "/v2/") ? url + 4 : "";
    const char *manifests = strstr(rest, "/manifests/"), *blobs = strstr(rest, "/blobs/");
    if (manifests) {
        char *name = str_dup_n(rest, (size_t)(manifests - rest));
        enum MHD_Result result = answer_manifest(r, c, name, manifests + strlen("/manifests/"));
        free(name);
        return result;
    }
    const char *digest = blobs ? blobs + strlen("/blobs/") : "";
    const place_t *place = map_get(&r->blobs, digest);
    return place ? answer_blob(c, place, digest, "application/octet-stream")
                 : answer_missing(c, "BLOB_UNKNOWN");
}

// ---- life -------------------------------------------------------------------------------------
err_t registry_new(const char *images_dir, uint16_t port, registry_t **ret_registry, why_t *why) {
    registry_t *r = NEW(registry_t);
    r->dir = str_dup(images_dir);
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons(port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    r->daemon =
        MHD_start_daemon(MHD_USE_EPOLL, port, NULL, NULL, on_request, r, MHD_OPTION_SOCK_ADDR, &at,
                         MHD_OPTION_CONNECTION_LIMIT, (unsigned)REGISTRY_CONNECTIONS_MAX,
                         MHD_OPTION_CONNECTION_TIMEOUT, 60u, MHD_OPTION_END);
    if (!r->daemon) {
        int code = errno;
        registry_destroy(&r);
        return why_errno(why, code, "image registry on 127.0.0.1:%u", port);
    }
    r->port = MHD_get_daemon_info(r->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
    r->fd = MHD_get_daemon_info(r->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    *ret_registry = r;
    return ERR_OK;
}

void registry_destroy(registry_t **registry) {
    registry_t *r = *registry;
    if (!r) return;
    if (r->daemon) MHD_stop_daemon(r->daemon);
    forget(r);
    free(r->dir);
    free(r);
    *registry = NULL;
}

uint16_t registry_port(const registry_t *r) { return r->port; }
int registry_fd(const registry_t *r) { return r->fd; }
void registry_serve(registry_t *r) { MHD_run(r->daemon); }

int64_t registry_timeout_ms(const registry_t *r) {
    MHD_UNSIGNED_LONG_LONG ms;
    return MHD_get_timeout(r->daemon, &ms) == MHD_YES ? (int64_t)ms : -1;
}
