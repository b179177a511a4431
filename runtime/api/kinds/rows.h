// rows - what the rows of the kinds table point at: one block for each kind. Only kinds.c and the
// files of this folder include it.
#pragma once
#include "k8s/core_v1.pb-c.h"
#include "runtime/api/kinds.h"

// ---- conversions (betas.c): the version a client speaks, and the one that is stored -------------
#define CONVERSIONS(name)                                                            \
    ProtobufCMessage *name##_to_stored(arena_t *arena, const ProtobufCMessage *obj); \
    ProtobufCMessage *name##_from_stored(arena_t *arena, const ProtobufCMessage *obj);
CONVERSIONS(deployment_extensions)
CONVERSIONS(deployment_v1beta1)
CONVERSIONS(deployment_v1beta2)
CONVERSIONS(replicaset_extensions)
CONVERSIONS(replicaset_v1beta2)
#undef CONVERSIONS

// ---- defaults (pod_defaults.c, defaults.c) ------------------------------------------------------
typedef void kind_defaults_fn(arena_t *arena, ProtobufCMessage *obj);
kind_defaults_fn pod_defaults, deployment_defaults, deployment_v1beta1_defaults,
    deployment_extensions_defaults, replicaset_defaults, replicaset_extensions_defaults,
    service_defaults, endpoints_defaults, endpointslice_defaults, secret_defaults,
    namespace_defaults, node_defaults, event_defaults, lease_defaults, experiment_defaults,
    meta_defaults;
void podspec_defaults(arena_t *arena, Core__PodSpec *spec);
void template_defaults(arena_t *arena, Core__PodTemplateSpec *template);
void quantity_list_round(arena_t *arena, void *entries, size_t len);
Core__Container *ephemeral_as_container(Core__EphemeralContainer *e); // NULL: an empty one

// ---- strategies (strategy.c, service_strategy.c) ------------------------------------------------
typedef void kind_create_fn(arena_t *arena, ProtobufCMessage *obj);
typedef void kind_update_fn(arena_t *arena, ProtobufCMessage *obj, const ProtobufCMessage *old);
kind_create_fn plain_prepare_create, workload_prepare_create, pod_prepare_create,
    namespace_prepare_create, node_prepare_create, serviceaccount_prepare_create,
    service_prepare_create, lease_prepare_create, endpointslice_prepare_create;
kind_update_fn plain_prepare_update, workload_prepare_update, deployment_prepare_update,
    pod_prepare_update, namespace_prepare_update, secret_prepare_update,
    serviceaccount_prepare_update, service_prepare_update, lease_prepare_update,
    endpointslice_prepare_update;
// Updates of the status alone, and updates that leave it as it was.
kind_update_fn keep_spec, keep_status, pod_prepare_status, deployment_prepare_status;

// ---- columns (columns.c) ------------------------------------------------------------------------
extern const column_t plain_columns[], pod_columns[], deployment_columns[], replicaset_columns[],
    service_columns[], endpoints_columns[], endpointslice_columns[], node_columns[],
    event_columns[], namespace_columns[], configmap_columns[], secret_columns[],
    serviceaccount_columns[], lease_columns[], actor_columns[], experiment_columns[];
const char *node_roles_text(arena_t *arena, const Core__Node *node);

// ---- validation (…_validate.c) ------------------------------------------------------------------
typedef void kind_validate_fn(const ProtobufCMessage *obj, const ProtobufCMessage *old,
                              field_errors_t *errors);
kind_validate_fn pod_validate, pod_validate_status, deployment_validate, deployment_validate_status,
    replicaset_validate, replicaset_validate_status, service_validate, service_validate_status,
    endpoints_validate, endpointslice_validate, configmap_validate, secret_validate,
    serviceaccount_validate, namespace_validate, namespace_validate_status, node_validate,
    lease_validate, event_validate, experiment_validate;
