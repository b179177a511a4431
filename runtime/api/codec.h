// codec - JSON and YAML text of API objects, both ways, straight from the descriptors.
//
// Byte-exact as a Kubernetes 1.33 server writes it: field order, empty fields, special types
// (facts: field optionality, json special). Reading is strict on request: unknown fields,
// duplicates and wrong types are errors that name the path ("spec.containers[0].imag") and, for
// YAML, the line; all of them at once, up to a limit.
#pragma once
#include "runtime/api/kinds.h"
#include "runtime/base/text.h"

enum {
    CODEC_ERRORS_MAX = 32,
    CODEC_NODES_MAX = 200 * 1000,   // per document, aliases expanded: an alias bomb stops here
    CODEC_TEXT_MAX_BYTES = 3 << 20, // of one JSON or YAML document
    CODEC_DOCUMENTS_MAX = 1000,
};

// ---- one message, no kind ------------------------------------------------------------------------
void json_write_msg(const ProtobufCMessage *msg, text_t *out);
err_t json_read_msg(arena_t *arena, const ProtobufCMessageDescriptor *type, const char *json,
                    size_t len, bool strict, void **ret_msg, why_t *why) MUST_USE;

// ---- an object: kind and apiVersion stand first --------------------------------------------------
void json_write_object(const kind_t *k, const ProtobufCMessage *obj, text_t *out);
void json_write_object_pretty(const kind_t *k, const ProtobufCMessage *obj,
                              text_t *out); // kubectl's: sorted keys, 4 spaces
void yaml_write_object(const kind_t *k, const ProtobufCMessage *obj,
                       text_t *out); // kubectl's: sorted keys
// A list of objects as kubectl prints it (kind: List), pretty JSON or YAML.
void json_write_list(const kind_t *k, const ProtobufCMessage *const *objs, size_t len, text_t *out);
void yaml_write_list(const kind_t *k, const ProtobufCMessage *const *objs, size_t len, text_t *out);

typedef struct {
    const kind_t *kind;
    ProtobufCMessage *obj;
    int line;     // where the document starts, from 1
    bytes_t json; // the same document as JSON text as it was given (for APPLY)
} manifest_t;
typedef struct {
    manifest_t *at;
    size_t len;
} manifests_t;
// A file of YAML documents (JSON is YAML here too); kind List is opened into its items. `file` is
// for messages: "nginx.yaml:12: spec.replica: unknown field". Empty documents are passed over.
err_t manifests_read(arena_t *arena, const char *file, const char *text, size_t len, bool strict,
                     manifests_t *ret_manifests, why_t *why) MUST_USE;
// One JSON object whose kind stands in the text.
err_t json_read_object(arena_t *arena, const char *json, size_t len, bool strict,
                       const kind_t **ret_kind, ProtobufCMessage **ret_obj, why_t *why) MUST_USE;
