// page - a description while it is written: lines with tabs, which are aligned at the end as Go's
// text/tabwriter aligns them (column blocks, two spaces between columns), and the pieces that the
// descriptions of several kinds share.
#pragma once
#include "k8s/core_v1.pb-c.h"
#include "runtime/api/describe.h"
#include "runtime/api/kinds.h"
#include "runtime/base/text.h"

typedef struct {
    arena_t *arena;
    text_t raw; // with tabs
    int64_t now_wall_ms;
    const Core__Event *const *events;
    size_t events_len;
    const describe_extra_t *extra; // never NULL
} page_t;

// `level` is how deep the line stands: two spaces each.
void page_add(page_t *page, int level, const char *fmt, ...) PRINTF_LIKE(3, 4);
// Aligns what was written and appends it to `out`.
void page_print(const page_t *page, text_t *out);

// ---- shared pieces ------------------------------------------------------------------------------
void page_head(page_t *page, const ProtobufCMessage *obj); // Name, Namespace
void page_labels(page_t *page, const char *title, const void *entries, size_t len);
void page_annotations(page_t *page, const char *title, const Meta__ObjectMeta *meta);
void page_tolerations(page_t *page, const char *title, Core__Toleration *const *at, size_t len);
void page_events(page_t *page);
void page_template(page_t *page, const Core__PodTemplateSpec *template);
// `statuses` NULL: of a template. `indent` is the template's: "  " or "".
void page_containers(page_t *page, const char *label, Core__Container *const *at, size_t len,
                     Core__ContainerStatus *const *statuses, size_t statuses_len,
                     const Core__Pod *pod, const char *indent);
void page_volumes(page_t *page, Core__Volume *const *at, size_t len, const char *indent);
void page_generic(page_t *page, const kind_t *k, const ProtobufCMessage *obj);
const char *page_since(const page_t *page, int64_t wall_ms); // "5m"; "<unknown>"
const char *page_time(const page_t *page, int64_t wall_ms);  // RFC 1123 with a numeric zone
const char *page_joined(const page_t *page, const char *const *at, size_t len, const char *gap);
const char *or_none(const char *text); // "<none>" for an empty one

// ---- the kinds ----------------------------------------------------------------------------------
typedef void describe_fn(page_t *page, const ProtobufCMessage *obj);
describe_fn describe_pod, describe_deployment, describe_replicaset, describe_service, describe_node,
    describe_namespace, describe_configmap, describe_secret, describe_endpoints,
    describe_serviceaccount;
