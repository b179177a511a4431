// patch - changing objects: strategic merge, JSON merge (RFC 7386), JSON patch (RFC 6902), and the
// three-way merge behind `apply`. Merge keys come from facts; all work on whole messages of a kind
// and give a new one; the input is untouched.
// Patches are untrusted: ERR_BAD_REQUEST when they make no sense, ERR_INVALID when they do not
// apply or the result is no object of its kind, ERR_TOO_LARGE past a limit.
#pragma once
#include "runtime/api/kinds.h"

enum { PATCH_OPERATIONS_MAX = 10000 };
err_t patch_strategic(arena_t *arena, const kind_t *k, const ProtobufCMessage *obj,
                      bytes_t patch_json, ProtobufCMessage **ret_obj, why_t *why) MUST_USE;
err_t patch_merge(arena_t *arena, const kind_t *k, const ProtobufCMessage *obj, bytes_t patch_json,
                  ProtobufCMessage **ret_obj, why_t *why) MUST_USE;
err_t patch_json(arena_t *arena, const kind_t *k, const ProtobufCMessage *obj, bytes_t patch_json,
                 ProtobufCMessage **ret_obj, why_t *why) MUST_USE;
// last: what was applied before (JSON, from the last-applied annotation; empty: nothing);
// wanted: the manifest as JSON. Fields that were in `last` and are not in `wanted` go; fields that
// others set stay. Writes the new last-applied annotation into the result. `obj` NULL: it is new.
#define LAST_APPLIED_ANNOTATION "kubectl.kubernetes.io/last-applied-configuration"
err_t patch_apply(arena_t *arena, const kind_t *k, const ProtobufCMessage *obj, bytes_t last_json,
                  bytes_t wanted_json, ProtobufCMessage **ret_obj, why_t *why) MUST_USE;
