// keys - where things lie in the store, and the tokens by which a list is continued.
//
//     /registry/<prefix>/<namespace>/<name>   an object of a namespaced kind
//     /registry/<prefix>/<name>               an object of a cluster-scoped kind
//     /troupe/alloc/ip/<address>              the service that holds an address: "namespace/name"
//     /troupe/alloc/port/<number>             the same for a node port
//     /troupe/epoch/<role>                    the epoch of a leader-elected role, decimal
//
// The part of an object's key behind "/registry/<prefix>/" is its path ("default/web-0"); within a
// kind, objects are sorted by path, byte for byte, as in the store.
#pragma once
#include "runtime/api/kinds.h"

#define KEYS_REGISTRY     "/registry/"
#define KEYS_REGISTRY_END "/registry0" // '0' follows '/'
#define KEYS_EPOCHS       "/troupe/epoch/"
#define KEYS_EPOCHS_END   "/troupe/epoch0"
// Nothing lies here: reading it costs the store one look at its revision.
#define KEYS_NOTHING      "/troupe/none"
enum { KEYS_PATH_MAX = 600 }; // namespace (63) + '/' + name (253), with room

const char *keys_path(arena_t *arena, const kind_t *stored, const char *ns, const char *name);
const char *keys_object(arena_t *arena, const kind_t *stored, const char *ns, const char *name);
const char *keys_ip(arena_t *arena, const char *address);
const char *keys_port(arena_t *arena, int32_t port);
const char *keys_epoch(arena_t *arena, const char *role);

// Which kind does a key of the registry belong to? NULL: none that we know (it is left alone).
// *ret_path is the part behind the prefix.
const kind_t *keys_kind(bytes_t key, bytes_t *ret_path);

// "<revision>:<path>": the list goes on behind `path`, as of `revision`; 0 means as of now.
const char *keys_continue_print(arena_t *arena, int64_t revision, const char *path);
err_t keys_continue_parse(arena_t *arena, const char *token, int64_t *ret_revision,
                          const char **ret_path, why_t *why) MUST_USE;

// A resource version as objects carry it; "" and "0" give 0. ERR_MALFORMED.
err_t revision_parse(const char *text, int64_t *ret_revision) MUST_USE;
const char *revision_print(arena_t *arena, int64_t revision);
