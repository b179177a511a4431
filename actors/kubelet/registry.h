// registry - a read-only OCI registry on loopback that serves a folder of images.
//
// containerd asks it first for every image (hosts.toml under `_default`), so every pull policy
// works on a machine without a network. The folder holds OCI image layouts, as directories or as
// tar files; an image's name is its annotation io.containerd.image.name
// ("docker.io/library/nginx:latest"). The folder is read again when it changed. What is asked and
// not there is 404: containerd then goes on to the real registry.
//
// Runs in the owner's loop: watch registry_fd for EPOLLIN, call registry_serve when it is ready and
// when registry_timeout_ms has passed. Source: OCI distribution spec 1.0 (pull), image layout 1.0.
#pragma once
#include "runtime/base/why.h"

enum {
    REGISTRY_IMAGES_MAX = 1000,
    REGISTRY_BLOBS_MAX = 20000,
    REGISTRY_INDEX_MAX_BYTES = 1 << 20, // an index.json or a manifest that is parsed
    REGISTRY_CONNECTIONS_MAX = 64,
};

typedef struct registry registry_t;
// Listens on 127.0.0.1, `port` 0: any. The folder need not exist yet.
err_t registry_new(const char *images_dir, uint16_t port, registry_t **ret_registry,
                   why_t *why) MUST_USE;
void registry_destroy(registry_t **registry);
uint16_t registry_port(const registry_t *registry);
int registry_fd(const registry_t *registry); // an epoll descriptor
void registry_serve(registry_t *registry);
int64_t registry_timeout_ms(
    const registry_t *registry); // until registry_serve must be called anyway; -1: not
// Is this image in the folder? `ref` as a pod names it ("nginx", "docker.io/library/nginx:1").
bool registry_has(registry_t *registry, const char *ref);

// "nginx" -> "docker.io/library/nginx:latest": the whole name of an image. *returned*; NULL: not a
// name.
char *image_whole_name(const char *ref) MUST_USE;
