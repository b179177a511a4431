// ctl - what every verb of troupectl works with: its flags, the connection (made on first use),
// one arena for the command's life, and the common ways to ask, refuse and print.
#pragma once
#include "cli/client/client.h"
#include "cli/troupectl/flags.h"
#include "runtime/api/kinds.h"
#include "runtime/base/text.h"

typedef struct {
    const char *verb; // "get"
    flags_t o;
    words_t words, rest; // arguments before and behind "--"
    arena_t arena;       // cleared at the end of the command
    client_t *client;
} ctl_t;

// A verb: a row in the table of main.c, a file cmd_x.c with its function. Returns the exit code.
typedef int verb_fn(ctl_t *ctl);
verb_fn cmd_get, cmd_create, cmd_apply, cmd_replace, cmd_delete, cmd_describe, cmd_logs, cmd_exec,
    cmd_attach, cmd_run, cmd_expose, cmd_scale, cmd_rollout, cmd_label, cmd_annotate, cmd_edit,
    cmd_patch, cmd_explain, cmd_api_resources, cmd_api_versions, cmd_version, cmd_wait, cmd_trace,
    cmd_completion, cmd_cordon, cmd_uncordon, cmd_set, cmd_port_forward;
verb_fn cmd_actors, cmd_chaos, cmd_dead_letters;

enum { EXIT_FAILED = 1, EXIT_USAGE = 1 }; // kubectl's: 1 for every refusal

// ---- saying no ---------------------------------------------------------------------------------
int refuse(const char *fmt, ...) PRINTF_LIKE(1, 2); // "error: …"; returns EXIT_FAILED
int refuse_failure(const failure_t *failure);       // "Error from server (NotFound): …"
int refuse_file_failure(const char *file, const failure_t *failure);

// ---- asking ------------------------------------------------------------------------------------
// The connection; on failure it has said why and returns NULL.
client_t *ctl_client(ctl_t *ctl);
bool ctl_is_dry(const ctl_t *ctl);           // --dry-run
const char *ctl_namespace(const ctl_t *ctl); // --namespace or "default"
// "" for kinds without a namespace.
const char *ctl_namespace_of(const ctl_t *ctl, const kind_t *k);
void resource_fill(Api__Resource *ret_resource, const kind_t *k, const char *ns, const char *name);

// Each returns ERR_OK or fills ret_failure; objects are unpacked into ctl->arena.
err_t ctl_ask(ctl_t *ctl, const ProtobufCMessage *request,
              const ProtobufCMessageDescriptor *reply_type, void **ret_reply,
              failure_t *ret_failure) MUST_USE;
err_t ctl_get(ctl_t *ctl, const kind_t *k, const char *ns, const char *name,
              ProtobufCMessage **ret_obj, failure_t *ret_failure) MUST_USE;
typedef struct {
    ProtobufCMessage **at;
    size_t len;
    int64_t revision;
} objects_t;
// Whole list, page by page. selectors may be NULL.
err_t ctl_list(ctl_t *ctl, const kind_t *k, const char *ns, const char *label_selector,
               const char *field_selector, objects_t *ret_objects, failure_t *ret_failure) MUST_USE;
err_t ctl_create(ctl_t *ctl, const kind_t *k, const char *ns, ProtobufCMessage *obj,
                 ProtobufCMessage **ret_obj, failure_t *ret_failure) MUST_USE;
err_t ctl_update(ctl_t *ctl, const kind_t *k, const char *ns, ProtobufCMessage *obj,
                 const char *subresource, ProtobufCMessage **ret_obj,
                 failure_t *ret_failure) MUST_USE;
err_t ctl_patch(ctl_t *ctl, const kind_t *k, const char *ns, const char *name,
                Api__Patch__Type type, bytes_t patch, Api__Reply **ret_reply,
                ProtobufCMessage **ret_obj, failure_t *ret_failure) MUST_USE;
ProtobufCMessage *ctl_unpack(ctl_t *ctl, const kind_t *k, const Api__Object *object,
                             failure_t *ret_failure);
// Call `changed` with each event after `revision` until it returns false, the deadline passes
// (ERR_TIMEOUT; timeout_ms 0: none) or the stream fails. `obj` lives for the call.
typedef bool watch_fn(void *arg, Api__WatchEvent__Type type, ProtobufCMessage *obj,
                      int64_t revision);
err_t ctl_watch(ctl_t *ctl, const kind_t *k, const char *ns, const char *label_selector,
                const char *field_selector, int64_t revision, int64_t timeout_ms, watch_fn *changed,
                void *arg, failure_t *ret_failure) MUST_USE;

// ---- arguments ---------------------------------------------------------------------------------
typedef struct {
    const kind_t *kind;
    const char *name;
} target_t; // name NULL: all of the kind
typedef struct {
    target_t *at;
    size_t len;
    size_t kinds;
} targets_t;
// "TYPE NAME…", "TYPE/NAME…", "TYPE,TYPE", "all". Says why and returns false when it cannot be
// read.
bool targets_parse(ctl_t *ctl, size_t first_word, targets_t *ret_targets);
// Exactly one object; `what` is for the message.
bool target_parse_one(ctl_t *ctl, size_t first_word, target_t *ret_target);
// The pod that "POD" or "TYPE/NAME" (a deployment, replica set, service) stands for: of several the
// first that is ready. Says why and returns NULL.
const char *ctl_pod_argument(ctl_t *ctl);
bool parse_duration_ms(const char *text, int64_t *ret_ms); // "5s", "1m30s", "0", "2h"
bool parse_int(const char *text, int64_t min, int64_t max, int64_t *ret_value);

// ---- sessions ----------------------------------------------------------------------------------
bool ctl_wants_terminal(const ctl_t *ctl); // -t; without a terminal says so, and is false
// Joins our standard streams with what `request` opens in a pod, until either ends or somebody
// interrupts. Returns the exit code: the command's own, or 128 + a signal's number. Quiet: why it
// failed is not said. *ret_printed (may be NULL) becomes true when there was any output.
int ctl_join(ctl_t *ctl, const Api__PodExec *request, bool is_quiet, bool *ret_printed);
// Deletes one object as the flags say and waits until it is gone.
int ctl_delete(ctl_t *ctl, const kind_t *k, const char *ns, const char *name);

// ---- manifests ---------------------------------------------------------------------------------
typedef struct {
    const kind_t *kind;
    ProtobufCMessage *obj;
    const char *ns, *file;
    bytes_t json;
    int line;
} wanted_t;
typedef VEC(wanted_t) wanteds_t;
// All objects of all -f, in order. Says why and returns false. With namespace set and another one
// in the object: an error, as kubectl has it.
bool manifests_load(ctl_t *ctl, wanteds_t *ret_wanteds);

// ---- printing ----------------------------------------------------------------------------------
// "pod/x", "deployment.apps/x".
const char *object_ref(ctl_t *ctl, const kind_t *k, const char *name);
// One or many objects as -o says; `list` says whether a List is wanted even for one.
int print_objects(ctl_t *ctl, const kind_t *k, ProtobufCMessage *const *objs, size_t len,
                  bool list);
bool output_is_table(const ctl_t *ctl);
// "pod/x created", or what -o asks for instead.
int print_done(ctl_t *ctl, const kind_t *k, ProtobufCMessage *obj, const char *done);
