// pod_config - from a pod's spec to what the runtime and the host are asked for.
//
// Pure: renders CRI's configurations and the host's steps; reads nothing. What the pod refers to
// (config maps, secrets) is looked up in the scene; a missing one is an error with Kubernetes'
// text.
//
//     DATA/pods/UID/etc-hosts · volumes/NAME/… · containers/NAME/ATTEMPT (termination message)
//     LOGS/NS_POD_UID/CONTAINER/ATTEMPT.log
#pragma once
#include "actors/kubelet/kubelet.h"
#include "actors/kubelet/pod_plan.h"
#include "cri/cri.pb-c.h"
#include "troupe/node.pb-c.h"

// What a pod refers to: by name and in its own namespace, but for OBJECT_MASTER.
typedef enum {
    OBJECT_CONFIG_MAP, // Core__ConfigMap
    OBJECT_SECRET,     // Core__Secret
    OBJECT_MASTER,     // Core__Service: default/kubernetes, of which every container is told
    OBJECT_SERVICES,   // Api__ListReply: the namespace's services, with enableServiceLinks
} object_kind_t;

typedef struct {
    const kubelet_args_t *args; // filled
    const char *node;
    const Core__Pod *pod;
    const char *pod_ip, *host_ip; // "" while unknown
    // What the pod refers to, unpacked as object_kind_t says; NULL: it is not there.
    const void *(*find)(void *arg, object_kind_t kind, const char *name);
    void *find_arg;
} pod_scene_t;

// Labels and annotations by which containers are known again, as every Kubernetes tool expects
// them.
#define LABEL_POD_NAME            "io.kubernetes.pod.name"
#define LABEL_POD_NAMESPACE       "io.kubernetes.pod.namespace"
#define LABEL_POD_UID             "io.kubernetes.pod.uid"
#define LABEL_CONTAINER_NAME      "io.kubernetes.container.name"
#define ANNOTATION_HASH           "io.kubernetes.container.hash"
#define ANNOTATION_RESTARTS       "io.kubernetes.container.restartCount"
#define ANNOTATION_GRACE          "io.kubernetes.pod.terminationGracePeriod"
#define ANNOTATION_MESSAGE        "io.kubernetes.container.terminationMessagePath"
#define ANNOTATION_MESSAGE_POLICY "io.kubernetes.container.terminationMessagePolicy"

Cri__PodSandboxConfig *pod_sandbox_config(const pod_scene_t *scene, uint32_t attempt,
                                          arena_t *arena);
// ERR_INVALID and Kubernetes' text: configmap "x" not found, …
err_t pod_container_config(const pod_scene_t *scene, const pod_member_t *member, uint32_t attempt,
                           const char *image_ref, arena_t *arena, Cri__ContainerConfig **ret_config,
                           why_t *why) MUST_USE;
// Before the sandbox: folders, volumes, cgroup. ERR_NOT_FOUND, ERR_UNSUPPORTED; `ret_volume` names
// the culprit.
err_t pod_host_steps(const pod_scene_t *scene, arena_t *arena, Node__HostPrepare **ret_steps,
                     const char **ret_volume, why_t *why) MUST_USE;
// Before a container: the pod's /etc/hosts and the file for its last words.
Node__HostPrepare *pod_container_steps(const pod_scene_t *scene, const pod_member_t *member,
                                       uint32_t attempt, arena_t *arena);
Node__HostRemove *pod_traces(const pod_scene_t *scene, arena_t *arena);

typedef struct {
    object_kind_t kind;
    const char *name;
} object_ref_t;
static inline bool object_is_of_services(object_kind_t kind) {
    return kind == OBJECT_MASTER || kind == OBJECT_SERVICES;
}
size_t pod_object_refs(const Core__Pod *pod, arena_t *arena, object_ref_t **ret_refs);

// Paths; in the arena.
const char *pod_dir(const pod_scene_t *scene, arena_t *arena);
const char *pod_log_dir(const kubelet_args_t *args, const char *ns, const char *name,
                        const char *uid, arena_t *arena);
const char *pod_message_path(const pod_scene_t *scene, const char *container, uint32_t attempt,
                             arena_t *arena);
// Relative, and without a way up.
bool path_stays_below(const char *path);
uint32_t container_hash(const Core__Container *c);
// "$(NAME)" by the environment; "$$(NAME)" is "$(NAME)"; what is unknown stays.
const char *expand_variables(arena_t *arena, const char *text, Cri__KeyValue *const *env,
                             size_t env_len);
// "TCP/8080" or a port's name in the container -> its number; 0: none.
uint32_t container_port(const Core__Container *c, const Intstr__IntOrString *port);
