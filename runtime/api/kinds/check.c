#include "runtime/api/kinds/check.h"
#include "runtime/base/text.h"
#include <arpa/inet.h>
#include <ctype.h>

// ---- paths --------------------------------------------------------------------------------------
static void add_path(text_t *out, const path_t *path) {
    if (path->up) add_path(out, path->up);
    if (path->name)
        text_addf(out, "%s%s", out->len ? "." : "", path->name);
    else if (path->key)
        text_addf(out, "[%s]", path->key);
    else
        text_addf(out, "[%zu]", path->index);
}

const char *path_text(field_errors_t *e, const path_t *path) {
    if (!path) return "<nil>";
    if (e->len >= FIELD_ERRORS_MAX) return ""; // it is only counted
    text_t out = {.arena = e->arena};
    add_path(&out, path);
    return text_str(&out);
}

// ---- telling errors -----------------------------------------------------------------------------
void tell_required(field_errors_t *e, const path_t *path, const char *detail) {
    field_required(e, path_text(e, path), detail);
}

void tell_invalid(field_errors_t *e, const path_t *path, const char *value, const char *detail) {
    field_invalid_str(e, path_text(e, path), or_empty(value), detail);
}

void tell_invalid_int(field_errors_t *e, const path_t *path, int64_t value, const char *detail) {
    field_invalid_int(e, path_text(e, path), value, detail);
}

void tell_invalid_raw(field_errors_t *e, const path_t *path, const char *printed,
                      const char *detail) {
    field_invalid_raw(e, path_text(e, path), printed, detail);
}

void tell_not_supported(field_errors_t *e, const path_t *path, const char *value,
                        const char *const *supported) {
    field_not_supported(e, path_text(e, path), or_empty(value), supported);
}

void tell_duplicate(field_errors_t *e, const path_t *path, const char *value) {
    field_duplicate(e, path_text(e, path), or_empty(value));
}

void tell_forbidden(field_errors_t *e, const path_t *path, const char *detail) {
    field_forbidden(e, path_text(e, path), detail);
}

void tell_too_long(field_errors_t *e, const path_t *path, int max_bytes) {
    field_too_long(e, path_text(e, path), max_bytes);
}

void tell_too_many(field_errors_t *e, const path_t *path, size_t count, int max) {
    field_too_many(e, path_text(e, path), (int)count, max);
}

void tell_not_found(field_errors_t *e, const path_t *path, const char *value) {
    field_not_found(e, path_text(e, path), or_empty(value));
}

// ---- characters ---------------------------------------------------------------------------------
static bool is_lower_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
static bool is_alnum(char c) { return is_lower_alnum(c) || (c >= 'A' && c <= 'Z'); }
static bool is_name_inner(char c) { return is_alnum(c) || c == '-' || c == '_' || c == '.'; }

// [a-z0-9]([-a-z0-9]*[a-z0-9])?
static bool is_label(const char *s, size_t len) {
    if (!len || !is_lower_alnum(s[0]) || !is_lower_alnum(s[len - 1])) return false;
    for (size_t i = 0; i < len; i++)
        if (!is_lower_alnum(s[i]) && s[i] != '-') return false;
    return true;
}

// Labels joined by dots.
static bool is_subdomain(const char *s) {
    for (;; s++) {
        size_t len = strcspn(s, ".");
        if (!is_label(s, len)) return false;
        s += len;
        if (!*s) return true;
    }
}

// ([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]
static bool is_name_part(const char *s) {
    size_t len = strlen(s);
    if (!len || !is_alnum(s[0]) || !is_alnum(s[len - 1])) return false;
    for (size_t i = 0; i < len; i++)
        if (!is_name_inner(s[i])) return false;
    return true;
}

// ---- string rules -------------------------------------------------------------------------------
enum { LABEL_MAX = 63, SUBDOMAIN_MAX = 253, PORT_NAME_MAX = 15 };

#define RE_LABEL     "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
#define RE_NAME_PART "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
#define TEXT_LABEL                                                                               \
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and " \
    "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex "   \
    "used for validation is '" RE_LABEL "')"
#define TEXT_SUBDOMAIN                                                                            \
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "  \
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used " \
    "for validation is '" RE_LABEL "(\\." RE_LABEL ")*')"
#define TEXT_DNS1035                                                                             \
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an " \
    "alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or "         \
    "'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
#define TEXT_NAME_PART                                                                          \
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an " \
    "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "      \
    "validation is '" RE_NAME_PART "')"
#define TEXT_LABEL_VALUE                                                                           \
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "    \
    "'.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value', " \
    " or '12345', regex used for validation is '(" RE_NAME_PART ")?')"
#define TEXT_CONFIG_KEY                                                                  \
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. " \
    "'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
#define TEXT_HTTP_HEADER                                                                         \
    "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', " \
    "regex used for validation is '[-A-Za-z0-9]+')"

static void add_fault(faults_t *faults, const char *text) {
    assert(faults->len < FAULTS_MAX);
    faults->at[faults->len++] = text;
}

#define MAX_LEN_TEXT(n) "must be no more than " #n " characters"

faults_t rule_dns_label(arena_t *arena, const char *value) {
    faults_t faults = {0};
    size_t len = strlen(value);
    if (len > LABEL_MAX) add_fault(&faults, MAX_LEN_TEXT(63));
    if (!is_label(value, len))
        add_fault(&faults, is_subdomain(value) ? "must not contain dots" : TEXT_LABEL);
    return faults;
}

faults_t rule_dns_subdomain(arena_t *arena, const char *value) {
    faults_t faults = {0};
    if (strlen(value) > SUBDOMAIN_MAX) add_fault(&faults, MAX_LEN_TEXT(253));
    if (!is_subdomain(value)) add_fault(&faults, TEXT_SUBDOMAIN);
    return faults;
}

faults_t rule_dns1035_label(arena_t *arena, const char *value) {
    faults_t faults = {0};
    size_t len = strlen(value);
    if (len > LABEL_MAX) add_fault(&faults, MAX_LEN_TEXT(63));
    if (!is_label(value, len) || isdigit((unsigned char)value[0])) add_fault(&faults, TEXT_DNS1035);
    return faults;
}

faults_t rule_qualified_name(arena_t *arena, const char *value) {
    faults_t faults = {0};
    const char *slash = strchr(value, '/'), *name = slash ? slash + 1 : value;
    if (slash && strchr(name, '/')) {
        add_fault(&faults, "a qualified name " TEXT_NAME_PART
                           " with an optional DNS subdomain prefix and '/' (e.g. "
                           "'example.com/MyName')");
        return faults;
    }
    if (slash == value) add_fault(&faults, "prefix part must be non-empty");
    if (slash > value) {
        faults_t prefix =
            rule_dns_subdomain(arena, arena_strndup(arena, value, (size_t)(slash - value)));
        for (size_t i = 0; i < prefix.len; i++)
            add_fault(&faults, arena_printf(arena, "prefix part %s", prefix.at[i]));
    }
    if (!*name) add_fault(&faults, "name part must be non-empty");
    if (strlen(name) > LABEL_MAX) add_fault(&faults, "name part " MAX_LEN_TEXT(63));
    if (!is_name_part(name)) add_fault(&faults, "name part " TEXT_NAME_PART);
    return faults;
}

faults_t rule_label_value(arena_t *arena, const char *value) {
    faults_t faults = {0};
    if (strlen(value) > LABEL_MAX) add_fault(&faults, MAX_LEN_TEXT(63));
    if (*value && !is_name_part(value)) add_fault(&faults, TEXT_LABEL_VALUE);
    return faults;
}

faults_t rule_port_name(arena_t *arena, const char *value) {
    faults_t faults = {0};
    size_t len = strlen(value);
    bool right = true, letter = false;
    for (size_t i = 0; i < len; i++) {
        right &= is_lower_alnum(value[i]) || value[i] == '-';
        letter |= value[i] >= 'a' && value[i] <= 'z';
    }
    if (len > PORT_NAME_MAX) add_fault(&faults, MAX_LEN_TEXT(15));
    if (!right || !len)
        add_fault(&faults,
                  "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
    if (!letter) add_fault(&faults, "must contain at least one letter (a-z)");
    if (strstr(value, "--")) add_fault(&faults, "must not contain consecutive hyphens");
    if (len && (value[0] == '-' || value[len - 1] == '-'))
        add_fault(&faults, "must not begin or end with a hyphen");
    return faults;
}

// The relaxed rule, Kubernetes' default since 1.32.
faults_t rule_env_name(arena_t *arena, const char *value) {
    faults_t faults = {0};
    if (!*value) add_fault(&faults, "environment variable name must be non-empty");
    for (const char *p = value; *p; p++)
        if (*p < 0x20 || *p > 0x7e || *p == '=') {
            add_fault(&faults, "a valid environment variable name must consist only of printable "
                               "ASCII characters other than '='");
            break;
        }
    return faults;
}

faults_t rule_config_key(arena_t *arena, const char *value) {
    faults_t faults = {0};
    bool right = *value != 0;
    for (const char *p = value; *p; p++) right &= is_name_inner(*p);
    if (strlen(value) > SUBDOMAIN_MAX) add_fault(&faults, MAX_LEN_TEXT(253));
    if (!right) add_fault(&faults, TEXT_CONFIG_KEY);
    if (streq(value, "."))
        add_fault(&faults, "must not be '.'");
    else if (streq(value, ".."))
        add_fault(&faults, "must not be '..'");
    else if (has_prefix(value, ".."))
        add_fault(&faults, "must not start with '..'");
    return faults;
}

faults_t rule_http_header(arena_t *arena, const char *value) {
    faults_t faults = {0};
    bool right = *value != 0;
    for (const char *p = value; *p; p++) right &= is_alnum(*p) || *p == '-';
    if (!right) add_fault(&faults, TEXT_HTTP_HEADER);
    return faults;
}

faults_t rule_any_name(arena_t *arena, const char *value) { return (faults_t){0}; }

faults_t rule_path_segment(arena_t *arena, const char *value) {
    faults_t faults = {0};
    if (streq(value, ".")) add_fault(&faults, "may not be '.'");
    if (streq(value, "..")) add_fault(&faults, "may not be '..'");
    if (strchr(value, '/')) add_fault(&faults, "may not contain '/'");
    if (strchr(value, '%')) add_fault(&faults, "may not contain '%'");
    return faults;
}

bool rule_holds(rule_fn *rule, const char *value) {
    arena_t arena = {0};
    bool holds = rule(&arena, or_empty(value)).len == 0;
    arena_done(&arena);
    return holds;
}

void check_rule(field_errors_t *e, const path_t *path, const char *value, rule_fn *rule) {
    faults_t faults = rule(e->arena, or_empty(value));
    for (size_t i = 0; i < faults.len; i++) tell_invalid(e, path, value, faults.at[i]);
}

void check_required_rule(field_errors_t *e, const path_t *path, const char *value, rule_fn *rule) {
    if (is_empty(value))
        tell_required(e, path, NULL);
    else
        check_rule(e, path, value, rule);
}

// ---- values -------------------------------------------------------------------------------------
const char *const protocols[] = {"SCTP", "TCP", "UDP", NULL};

void check_range(field_errors_t *e, const path_t *path, int64_t value, int64_t min, int64_t max) {
    if (value >= min && value <= max) return;
    tell_invalid_int(e, path, value,
                     arena_printf(e->arena, "must be between %lld and %lld, inclusive",
                                  (long long)min, (long long)max));
}

void check_port(field_errors_t *e, const path_t *path, int64_t port) {
    check_range(e, path, port, 1, UINT16_MAX);
}

void check_port_or_name(field_errors_t *e, const path_t *path, const Intstr__IntOrString *port) {
    if (intstr_is_str(port))
        check_rule(e, path, or_empty(port->strval), rule_port_name);
    else
        check_port(e, path, port ? port->intval : 0);
}

void check_not_negative(field_errors_t *e, const path_t *path, int64_t value) {
    if (value < 0) tell_invalid_int(e, path, value, TEXT_NOT_NEGATIVE);
}

bool is_one_of(const char *value, const char *const *supported) {
    for (; *supported; supported++)
        if (streq(or_empty(value), *supported)) return true;
    return false;
}

void check_enum(field_errors_t *e, const path_t *path, const char *value,
                const char *const *supported) {
    if (is_one_of(value, supported)) return;
    if (is_empty(value))
        tell_required(e, path, NULL);
    else
        tell_not_supported(e, path, value, supported);
}

static bool has_backsteps(const char *value) {
    for (const char *at = value;; at++) {
        size_t len = strcspn(at, "/");
        if (len == 2 && at[0] == '.' && at[1] == '.') return true;
        at += len;
        if (!*at) return false;
    }
}

void check_no_backsteps(field_errors_t *e, const path_t *path, const char *value) {
    if (has_backsteps(value)) tell_invalid(e, path, value, "must not contain '..'");
}

void check_relative_path(field_errors_t *e, const path_t *path, const char *value) {
    if (value[0] == '/') tell_invalid(e, path, value, "must be a relative path");
    check_no_backsteps(e, path, value);
}

// ---- names in lists -----------------------------------------------------------------------------
enum { NAMES_SHORT_MAX = 16 };

static const char *name_at(const names_t *n, size_t i) {
    if (n->offset == NAMES_ARE_ITEMS) return or_empty(n->items[i]);
    return or_empty(*(const char *const *)((const char *)n->items[i] + n->offset));
}

static int by_name(const void *a, const void *b, void *names) {
    uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
    int order = strcmp(name_at(names, i), name_at(names, j));
    return order ? order : i < j ? -1 : i > j;
}

names_t names_of(arena_t *arena, const void *items, size_t len, size_t offset) {
    names_t names = {.items = items, .len = len, .offset = offset};
    if (len <= NAMES_SHORT_MAX) return names;
    names.order = ARENA_ARRAY(arena, uint32_t, len);
    for (size_t i = 0; i < len; i++) names.order[i] = (uint32_t)i;
    qsort_r(names.order, len, sizeof *names.order, by_name, &names);
    return names;
}

size_t names_find(const names_t *names, const char *key) {
    if (!names->order) {
        for (size_t i = 0; i < names->len; i++)
            if (streq(name_at(names, i), or_empty(key))) return i;
        return SIZE_MAX;
    }
    size_t low = 0, high = names->len;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (strcmp(name_at(names, names->order[middle]), or_empty(key)) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low < names->len && streq(name_at(names, names->order[low]), or_empty(key));
    return found ? names->order[low] : SIZE_MAX;
}

bool names_repeat(const names_t *names, size_t i) {
    return names_find(names, name_at(names, i)) < i;
}

// ---- addresses ----------------------------------------------------------------------------------
// Four numbers, leading zeros allowed: objects older than the strict parser have them.
static bool parse_v4(const char *text, uint8_t at[static 4]) {
    for (int part = 0; part < 4; part++) {
        unsigned value = 0, digits = 0;
        for (; isdigit((unsigned char)*text); text++, digits++) {
            value = value * 10 + (unsigned)(*text - '0');
            if (value > UINT8_MAX) return false;
        }
        if (!digits) return false;
        at[part] = (uint8_t)value;
        if (part < 3 && *text++ != '.') return false;
    }
    return !*text;
}

ip_t ip_parse(const char *text) {
    ip_t ip = {0};
    if (is_empty(text)) return ip;
    if (parse_v4(text, ip.at))
        ip.family = IP_V4;
    else if (inet_pton(AF_INET6, text, ip.at) == 1)
        ip.family = IP_V6;
    return ip;
}

ip_family_t cidr_family(const char *text) {
    const char *slash = strchr(or_empty(text), '/');
    char address[INET6_ADDRSTRLEN];
    if (!slash || (size_t)(slash - text) >= sizeof address) return IP_NONE;
    memcpy(address, text, (size_t)(slash - text));
    address[slash - text] = 0;
    ip_family_t family = ip_parse(address).family;
    char *end;
    long bits = strtol(slash + 1, &end, 10);
    bool right = isdigit((unsigned char)slash[1]) && !*end && bits <= (family == IP_V4 ? 32 : 128);
    return right ? family : IP_NONE;
}

void check_ip(field_errors_t *e, const path_t *path, const char *text) {
    if (ip_parse(text).family == IP_NONE) tell_invalid(e, path, text, TEXT_IP);
}

void check_endpoint_ip(field_errors_t *e, const path_t *path, const char *text) {
    static const uint8_t zero[16], loopback6[16] = {[15] = 1};
    ip_t ip = ip_parse(text);
    bool v4 = ip.family == IP_V4;
    if (ip.family == IP_NONE) {
        tell_invalid(e, path, text, "must be a valid IP address");
        return;
    }
    if (memcmp(ip.at, zero, v4 ? 4 : 16) == 0)
        tell_invalid(e, path, text, arena_printf(e->arena, "may not be unspecified (%s)", text));
    if (v4 ? ip.at[0] == 127 : memcmp(ip.at, loopback6, 16) == 0)
        tell_invalid(e, path, text, "may not be in the loopback range (127.0.0.0/8, ::1/128)");
    if (v4 ? ip.at[0] == 169 && ip.at[1] == 254 : ip.at[0] == 0xfe && (ip.at[1] & 0xc0) == 0x80)
        tell_invalid(e, path, text,
                     "may not be in the link-local range (169.254.0.0/16, fe80::/10)");
    if (v4 ? ip.at[0] == 224 && !ip.at[1] && !ip.at[2] : ip.at[0] == 0xff && (ip.at[1] & 0xf) == 2)
        tell_invalid(e, path, text,
                     "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
}
