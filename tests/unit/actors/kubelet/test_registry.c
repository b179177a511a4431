// The registry on loopback: a folder in, OCI's answers out.
#include "actors/kubelet/registry.h"
#include "runtime/base/text.h"
#include "support/leaks.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIGEST "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

static void put(const char *dir, const char *name, const char *text) {
    char *path = str_printf("%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    cr_assert(fd >= 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    free(path);
}
static void folder(const char *dir, const char *name) {
    char *path = str_printf("%s/%s", dir, name);
    cr_assert_eq(mkdir(path, 0700), 0);
    free(path);
}
static void gone(const char *dir, const char *name) {
    char *path = str_printf("%s/%s", dir, name);
    cr_assert_eq(remove(path), 0);
    free(path);
}

// One request in the test's own loop; the answer, head and body.
static char *get(registry_t *r, const char *method, const char *path) {
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(registry_port(r)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
    char *request =
        str_printf("%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", method, path);
    cr_assert_eq(write(fd, request, strlen(request)), (ssize_t)strlen(request));
    free(request);
    text_t answer = TEXT_HEAP;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    for (int i = 0; i < 1000; i++) {
        struct pollfd fds[] = {{.fd = registry_fd(r), .events = POLLIN},
                               {.fd = fd, .events = POLLIN}};
        poll(fds, 2, 10);
        registry_serve(r);
        char buf[4096];
        ssize_t got = read(fd, buf, sizeof buf);
        if (got > 0) text_addn(&answer, buf, (size_t)got);
        if (got == 0) break;
    }
    close(fd);
    return text_steal(&answer);
}
static void expect(registry_t *r, const char *method, const char *path, const char *status,
                   const char *has) {
    char *answer = get(r, method, path);
    cr_expect(strstr(answer, status), "%s %s: %s", method, path, answer);
    cr_expect(strstr(answer, has), "%s %s lacks %s: %s", method, path, has, answer);
    free(answer);
}

static const char index_json[] =
    "{\"manifests\":[{\"mediaType\":\"application/"
    "vnd.oci.image.manifest.v1+json\",\"digest\":\"sha256:" DIGEST "\",\"size\":4,"
    "\"annotations\":{\"io.containerd.image.name\":\"docker.io/library/web:1\"}}]}";

typedef struct {
    char dir[64];
    registry_t *r;
} bench_t;
static void open_bench(bench_t *b) {
    *b = (bench_t){.dir = "/tmp/kubelet-registry-XXXXXX"};
    cr_assert_not_null(mkdtemp(b->dir));
    folder(b->dir, "web");
    folder(b->dir, "web/blobs");
    folder(b->dir, "web/blobs/sha256");
    put(b->dir, "web/index.json", index_json);
    put(b->dir, "web/blobs/sha256/" DIGEST, "test");
    why_t why;
    cr_assert_eq(registry_new(b->dir, 0, &b->r, &why), ERR_OK);
}
static void close_bench(bench_t *b) {
    registry_destroy(&b->r);
    gone(b->dir, "web/blobs/sha256/" DIGEST);
    gone(b->dir, "web/blobs/sha256");
    gone(b->dir, "web/blobs");
    gone(b->dir, "web/index.json");
    gone(b->dir, "web");
    rmdir(b->dir);
    ASSERT_NO_LEAKS();
}

Test(registry, serves_manifests_by_tag_and_digest_and_blobs)
{
    bench_t b;
    open_bench(&b);
    expect(b.r, "GET", "/v2/", "200 OK", "{}");
    expect(b.r, "GET", "/v2/library/web/manifests/1", "200 OK", "test");
    expect(b.r, "GET", "/v2/library/web/manifests/1?ns=docker.io", "200 OK",
           "Docker-Content-Digest: sha256:" DIGEST);
    expect(b.r, "HEAD", "/v2/library/web/manifests/1?ns=docker.io", "200 OK", "Content-Length: 4");
    expect(b.r, "GET", "/v2/library/web/manifests/sha256:" DIGEST, "200 OK",
           "vnd.oci.image.manifest");
    expect(b.r, "GET", "/v2/library/web/blobs/sha256:" DIGEST, "200 OK", "test");
    close_bench(&b);
}

Test(registry, what_is_not_in_the_folder_is_404)
{
    bench_t b;
    open_bench(&b);
    expect(b.r, "GET", "/v2/library/web/manifests/2?ns=docker.io", "404 Not Found",
           "MANIFEST_UNKNOWN");
    expect(b.r, "GET", "/v2/library/web/manifests/1?ns=quay.io", "404 Not Found",
           "MANIFEST_UNKNOWN");
    expect(b.r, "GET", "/v2/library/web/blobs/sha256:00", "404 Not Found", "BLOB_UNKNOWN");
    expect(b.r, "GET", "/v2/library/web/blobs/../../../../etc/passwd", "404 Not Found",
           "BLOB_UNKNOWN");
    expect(b.r, "GET", "/elsewhere", "404 Not Found", "BLOB_UNKNOWN");
    expect(b.r, "PUT", "/v2/library/web/manifests/1", "405 Method Not Allowed", "{}");
    close_bench(&b);
}

Test(registry, an_image_that_comes_later_is_found)
{
    bench_t b;
    open_bench(&b);
    cr_assert_not(registry_has(b.r, "late:2"));
    cr_assert(registry_has(b.r, "web:1"));
    folder(b.dir, "late");
    put(b.dir, "late/index.json",
        "{\"manifests\":[{\"digest\":\"sha256:" DIGEST
        "\",\"annotations\":{\"io.containerd.image.name\":\"late:2\"}}]}");
    cr_assert(registry_has(b.r, "docker.io/library/late:2"));
    gone(b.dir, "late/index.json");
    gone(b.dir, "late");
    close_bench(&b);
}

Test(registry, broken_files_are_passed_over)
{
    bench_t b;
    open_bench(&b);
    put(b.dir, "cut.tar", "not a tar");
    char *block = mem_new(600);
    memset(block, 'x', 599);
    put(b.dir, "long.tar", block);
    free(block);
    cr_assert(registry_has(b.r, "web:1"));
    gone(b.dir, "cut.tar");
    gone(b.dir, "long.tar");
    close_bench(&b);
}

Test(registry, names_become_whole)
{
    struct {
        const char *ref, *whole;
    } table[] = {
        {"nginx", "docker.io/library/nginx:latest"},
        {"nginx:1.2", "docker.io/library/nginx:1.2"},
        {"me/app", "docker.io/me/app:latest"},
        {"quay.io/a/b", "quay.io/a/b:latest"},
        {"localhost/a", "localhost/a:latest"},
        {"host:5000/a", "host:5000/a:latest"},
        {"a@sha256:12", "docker.io/library/a@sha256:12"},
        {"", NULL},
        {"a b", NULL},
        {":x", NULL},
    };
    for (size_t i = 0; i < LENGTH_OF(table); i++) {
        char *whole = image_whole_name(table[i].ref);
        if (table[i].whole)
            cr_expect_str_eq(whole, table[i].whole);
        else
            cr_expect_null(whole);
        free(whole);
    }
    ASSERT_NO_LEAKS();
}
