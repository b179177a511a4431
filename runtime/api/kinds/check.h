// check - what every validation is made of: paths that cost nothing until something is wrong, the
// string rules of Kubernetes with their exact texts, and the checks of metadata.
//
//     const path_t *ports = PATH(container, "ports");
//     check_port(e, PATH(PATH_AT(ports, i), "containerPort"), port->containerport);
//
// A path is a chain on the stack; it becomes text ("spec.containers[0].ports[1].containerPort")
// only when an error is told.
#pragma once
#include "runtime/api/errors.h"
#include "runtime/api/kinds.h"
#include "runtime/api/kinds/fill.h"

// ---- paths --------------------------------------------------------------------------------------
typedef struct path {
    const struct path *up; // NULL: the object itself
    const char *name;      // a field …
    const char *key;       // … a key of a map …
    size_t index;          // … or, with neither, an element of a list
} path_t;
#define PATH(up_, name_)     (&(path_t){.up = (up_), .name = (name_)})
#define PATH_AT(up_, index_) (&(path_t){.up = (up_), .index = (index_)})
#define PATH_KEY(up_, key_)  (&(path_t){.up = (up_), .key = (key_)})
#define ROOT                 ((const path_t *)NULL) // told as "<nil>", as Go tells it
const char *path_text(field_errors_t *e, const path_t *path);

// ---- telling errors -----------------------------------------------------------------------------
void tell_required(field_errors_t *e, const path_t *path, const char *detail);
void tell_invalid(field_errors_t *e, const path_t *path, const char *value, const char *detail);
void tell_invalid_int(field_errors_t *e, const path_t *path, int64_t value, const char *detail);
void tell_invalid_raw(field_errors_t *e, const path_t *path, const char *printed,
                      const char *detail);
void tell_not_supported(field_errors_t *e, const path_t *path, const char *value,
                        const char *const *supported);
void tell_duplicate(field_errors_t *e, const path_t *path, const char *value);
void tell_forbidden(field_errors_t *e, const path_t *path, const char *detail);
void tell_too_long(field_errors_t *e, const path_t *path, int max_bytes);
void tell_too_many(field_errors_t *e, const path_t *path, size_t count, int max);
void tell_not_found(field_errors_t *e, const path_t *path, const char *value);

// ---- string rules -------------------------------------------------------------------------------
// Each gives the texts of what is wrong with `value`; none: it is right. A text with a %s in the
// facts is built in `arena`.
enum { FAULTS_MAX = 8 };
typedef struct {
    const char *at[FAULTS_MAX];
    size_t len;
} faults_t;
typedef faults_t rule_fn(arena_t *arena, const char *value);
rule_fn rule_dns_label, rule_dns_subdomain, rule_dns1035_label, rule_qualified_name,
    rule_label_value, rule_port_name, rule_env_name, rule_config_key, rule_http_header,
    rule_any_name, rule_path_segment;
bool rule_holds(rule_fn *rule, const char *value);
void check_rule(field_errors_t *e, const path_t *path, const char *value, rule_fn *rule);
// As check_rule, but an empty value is a missing one.
void check_required_rule(field_errors_t *e, const path_t *path, const char *value, rule_fn *rule);

#define TEXT_PORT_RANGE   "must be between 1 and 65535, inclusive"
#define TEXT_NOT_NEGATIVE "must be greater than or equal to 0"
#define TEXT_IMMUTABLE    "field is immutable"
#define TEXT_IP           "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
#define TEXT_CIDR         "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"

// ---- values -------------------------------------------------------------------------------------
void check_port(field_errors_t *e, const path_t *path, int64_t port); // 1-65535
void check_port_or_name(field_errors_t *e, const path_t *path, const Intstr__IntOrString *port);
void check_not_negative(field_errors_t *e, const path_t *path, int64_t value);
void check_range(field_errors_t *e, const path_t *path, int64_t value, int64_t min, int64_t max);
bool is_one_of(const char *value, const char *const *supported);
// Not empty and one of these; `supported` ends with NULL and is told in its order.
void check_enum(field_errors_t *e, const path_t *path, const char *value,
                const char *const *supported);
void check_relative_path(field_errors_t *e, const path_t *path,
                         const char *value); // no "..", no leading /
void check_no_backsteps(field_errors_t *e, const path_t *path, const char *value);
extern const char *const protocols[]; // SCTP, TCP, UDP

// ---- names in lists -----------------------------------------------------------------------------
// The keys of a list, ready to be asked often: lists come from strangers and may have a hundred
// thousand elements, so nothing here may cost n × n. Short lists are walked, long ones sorted once.
typedef struct {
    const void *const *items; // messages, or the strings themselves
    size_t len, offset;       // of the key (a const char *) in a message; NAMES_ARE_ITEMS: strings
    uint32_t *order;          // by key, then by place; NULL: short
} names_t;
#define NAMES_ARE_ITEMS SIZE_MAX
names_t names_of(arena_t *arena, const void *items, size_t len, size_t offset);
#define NAMES(arena, items, len, c_type, field) \
    names_of((arena), (items), (len), offsetof(c_type, field))
size_t names_find(const names_t *names, const char *key); // the first place; SIZE_MAX: none
static inline bool names_has(const names_t *names, const char *key) {
    return names_find(names, key) != SIZE_MAX;
}
bool names_repeat(const names_t *names, size_t i); // does an earlier one equal item i?

typedef enum { IP_NONE, IP_V4, IP_V6 } ip_family_t;
typedef struct {
    ip_family_t family;
    uint8_t at[16];
} ip_t;                                    // at: 4 or 16 bytes
ip_t ip_parse(const char *text);           // family IP_NONE: not an address
ip_family_t cidr_family(const char *text); // IP_NONE: not a CIDR
void check_ip(field_errors_t *e, const path_t *path, const char *text);
// An address that traffic may be sent to: not unspecified, loopback or link-local.
void check_endpoint_ip(field_errors_t *e, const path_t *path, const char *text);

// ---- metadata and selectors (meta_validate.c) ---------------------------------------------------
// Creates and updates alike; `name` is the rule that the kind has for names.
void check_meta(field_errors_t *e, const ProtobufCMessage *obj, const ProtobufCMessage *old,
                bool namespaced, rule_fn *name);
void check_labels(field_errors_t *e, const path_t *path, const void *entries, size_t len);
void check_annotations(field_errors_t *e, const path_t *path, const Meta__ObjectMeta *meta);
void check_label_selector(field_errors_t *e, const path_t *path,
                          const Meta__LabelSelector *selector);
const char *lower_text(arena_t *arena, const char *text); // ASCII capitals made small
// Go's way to show a map[string]string and a LabelSelector.
const char *go_map(arena_t *arena, const void *entries, size_t len);
const char *go_selector(arena_t *arena, const Meta__LabelSelector *selector);
