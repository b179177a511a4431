// podspec - the parts that the validation of a pod's spec is made of. Only the validations of pods
// include it.
#pragma once
#include "k8s/core_v1.pb-c.h"
#include "runtime/api/kinds/check.h"

// What the checks of one spec share.
typedef struct {
    field_errors_t *e;
    const Core__PodSpec *spec;
    const bool *volume_is_right; // per volume: mounts find only those without errors
    names_t volumes, containers, init_containers;
    bool is_pod; // a pod; false: a template
} spec_check_t;

typedef enum { CONTAINER_MAIN, CONTAINER_INIT, CONTAINER_EPHEMERAL } container_role_t;

void check_volumes(field_errors_t *e, const path_t *path, const Core__PodSpec *spec,
                   bool *ret_is_right);
void check_containers(const spec_check_t *c, const path_t *path);
void check_init_containers(const spec_check_t *c, const path_t *path);
void check_ephemeral_containers(const spec_check_t *c, const path_t *path);
void check_affinity(field_errors_t *e, const path_t *path, const Core__Affinity *affinity);
void check_tolerations(field_errors_t *e, const path_t *path, Core__Toleration *const *at,
                       size_t len);
void check_spread(field_errors_t *e, const path_t *path, const Core__PodSpec *spec);
void check_pod_security(const spec_check_t *c, const path_t *spec_path);
void check_container_security(const spec_check_t *c, const path_t *path,
                              const Core__SecurityContext *s);
void check_requirements(field_errors_t *e, const path_t *path, const Core__ResourceRequirements *r);
void check_field_ref(field_errors_t *e, const path_t *path, const Core__ObjectFieldSelector *ref,
                     bool volume);
void check_resource_ref(field_errors_t *e, const path_t *path,
                        const Core__ResourceFieldSelector *ref, bool volume);
void check_handler_sources(field_errors_t *e, const path_t *path, const Core__ExecAction *exec,
                           const Core__HTTPGetAction *http, const Core__TCPSocketAction *tcp,
                           const Core__GRPCAction *grpc, const Core__SleepAction *sleep_action,
                           int64_t grace_s);
void check_podspec(field_errors_t *e, const path_t *path, const Core__PodSpec *spec, bool is_pod);
void check_template(field_errors_t *e, const path_t *path, const Core__PodTemplateSpec *template);
