// data_validate - ConfigMap, Secret, ServiceAccount (facts: k8s-validation).
#include "k8s/core_v1.pb-c.h"
#include "runtime/api/codec.h"
#include "runtime/api/kinds/check.h"
#include "runtime/api/kinds/rows.h"
#include "runtime/api/node.h"

enum { DATA_MAX_BYTES = 1 << 20 };
#define TEXT_FROZEN "field is immutable when `immutable` is set"

// ---- ConfigMap ----------------------------------------------------------------------------------
static bool same_data(const Core__ConfigMap *a, const Core__ConfigMap *b) {
    if (a->n_data != b->n_data) return false;
    for (size_t i = 0; i < a->n_data; i++)
        if (!msg_equal(&a->data[i]->base, &b->data[i]->base)) return false;
    return true;
}

static bool same_binary(const Core__ConfigMap *a, const Core__ConfigMap *b) {
    if (a->n_binarydata != b->n_binarydata) return false;
    for (size_t i = 0; i < a->n_binarydata; i++)
        if (!msg_equal(&a->binarydata[i]->base, &b->binarydata[i]->base)) return false;
    return true;
}

static void check_frozen_map(field_errors_t *e, const Core__ConfigMap *map,
                             const Core__ConfigMap *old) {
    if (!old->immutable) return;
    if (!map->immutable) tell_forbidden(e, PATH(ROOT, "immutable"), TEXT_FROZEN);
    if (!same_data(map, old)) tell_forbidden(e, PATH(ROOT, "data"), TEXT_FROZEN);
    if (!same_binary(map, old)) tell_forbidden(e, PATH(ROOT, "binaryData"), TEXT_FROZEN);
}

void configmap_validate(const ProtobufCMessage *obj, const ProtobufCMessage *old,
                        field_errors_t *e) {
    const Core__ConfigMap *map = (const Core__ConfigMap *)obj;
    const path_t *data = PATH(ROOT, "data"), *binary = PATH(ROOT, "binaryData");
    names_t in_binary =
        NAMES(e->arena, map->binarydata, map->n_binarydata, Core__ConfigMap__BinaryDataEntry, key);
    size_t bytes = 0;
    check_meta(e, obj, old, true, rule_dns_subdomain);
    if (old) check_frozen_map(e, map, (const Core__ConfigMap *)old);
    for (size_t i = 0; i < map->n_data; i++) {
        const char *key = or_empty(map->data[i]->key);
        check_rule(e, PATH_KEY(data, key), key, rule_config_key);
        if (names_has(&in_binary, key))
            tell_invalid(e, PATH_KEY(data, key), key, "duplicate of key present in binaryData");
        bytes += strlen(or_empty(map->data[i]->value));
    }
    for (size_t i = 0; i < map->n_binarydata; i++) {
        const char *key = or_empty(map->binarydata[i]->key);
        check_rule(e, PATH_KEY(binary, key), key, rule_config_key);
        bytes += map->binarydata[i]->value.len;
    }
    if (bytes > DATA_MAX_BYTES) tell_too_long(e, ROOT, DATA_MAX_BYTES);
}

// ---- Secret -------------------------------------------------------------------------------------
static const ProtobufCBinaryData *value_of(const Core__Secret *secret, const char *key) {
    for (size_t i = 0; i < secret->n_data; i++)
        if (streq(or_empty(secret->data[i]->key), key)) return &secret->data[i]->value;
    return NULL;
}

static void check_json(field_errors_t *e, const path_t *path, const ProtobufCBinaryData *value) {
    node_t *tree;
    why_t why = {{0}};
    if (node_parse_json(e->arena, (const char *)value->data, value->len, CODEC_NODES_MAX, &tree,
                        &why))
        tell_invalid(e, path, "<secret contents redacted>", why.text);
}

// What each type of secret must hold.
static void check_by_type(field_errors_t *e, const path_t *data, const Core__Secret *secret) {
    static const struct {
        const char *type, *key;
        bool json;
    } needs[] = {
        {"kubernetes.io/dockercfg", ".dockercfg", true},
        {"kubernetes.io/dockerconfigjson", ".dockerconfigjson", true},
        {"kubernetes.io/ssh-auth", "ssh-privatekey", false},
        {"kubernetes.io/tls", "tls.crt", false},
        {"kubernetes.io/tls", "tls.key", false},
    };
    const char *type = or_empty(secret->type);
    for (size_t i = 0; i < LENGTH_OF(needs); i++) {
        if (!streq(type, needs[i].type)) continue;
        const ProtobufCBinaryData *value = value_of(secret, needs[i].key);
        if (!value)
            tell_required(e, PATH_KEY(data, needs[i].key), NULL);
        else if (needs[i].json)
            check_json(e, PATH_KEY(data, needs[i].key), value);
    }
    if (streq(type, "kubernetes.io/basic-auth") && !value_of(secret, "username") &&
        !value_of(secret, "password")) {
        tell_required(e, PATH_KEY(data, "username"), NULL);
        tell_required(e, PATH_KEY(data, "password"), NULL);
    }
    static const char account[] = "kubernetes.io/service-account.name";
    if (streq(type, "kubernetes.io/service-account-token") &&
        is_empty(object_annotation(&secret->base, account)))
        tell_required(e, PATH_KEY(PATH(PATH(ROOT, "metadata"), "annotations"), account), NULL);
}

static bool same_secret_data(const Core__Secret *a, const Core__Secret *b) {
    if (a->n_data != b->n_data) return false;
    for (size_t i = 0; i < a->n_data; i++)
        if (!msg_equal(&a->data[i]->base, &b->data[i]->base)) return false;
    return true;
}

static void check_secret_update(field_errors_t *e, const Core__Secret *secret,
                                const Core__Secret *old) {
    if (!streq(or_empty(secret->type), or_empty(old->type)))
        tell_invalid(e, PATH(ROOT, "type"), secret->type, TEXT_IMMUTABLE);
    if (!old->immutable) return;
    if (!secret->immutable) tell_forbidden(e, PATH(ROOT, "immutable"), TEXT_FROZEN);
    if (!same_secret_data(secret, old)) tell_forbidden(e, PATH(ROOT, "data"), TEXT_FROZEN);
}

void secret_validate(const ProtobufCMessage *obj, const ProtobufCMessage *old, field_errors_t *e) {
    const Core__Secret *secret = (const Core__Secret *)obj;
    const path_t *data = PATH(ROOT, "data");
    size_t bytes = 0;
    check_meta(e, obj, old, true, rule_dns_subdomain);
    if (old) check_secret_update(e, secret, (const Core__Secret *)old);
    for (size_t i = 0; i < secret->n_data; i++) {
        const char *key = or_empty(secret->data[i]->key);
        check_rule(e, PATH_KEY(data, key), key, rule_config_key);
        bytes += secret->data[i]->value.len;
    }
    if (bytes > DATA_MAX_BYTES) tell_too_long(e, data, DATA_MAX_BYTES);
    check_by_type(e, data, secret);
}

void serviceaccount_validate(const ProtobufCMessage *obj, const ProtobufCMessage *old,
                             field_errors_t *e) {
    check_meta(e, obj, old, true, rule_dns_subdomain);
}
