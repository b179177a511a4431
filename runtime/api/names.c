#include "runtime/api/names.h"

enum { LABEL_MAX = 63, SUBDOMAIN_MAX = 253, QUALIFIED_NAME_MAX = 63 };

// The texts stay whole, as people search for them.
#define SUBDOMAIN_RULE                                                                            \
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "  \
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used " \
    "for validation is "                                                                          \
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
#define LABEL_RULE                                                                               \
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and " \
    "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex "   \
    "used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
#define QUALIFIED_RULE                                                                          \
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an " \
    "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "      \
    "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
#define VALUE_RULE                                                                                \
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "   \
    "'.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value'," \
    "  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"

static bool is_lower_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
static bool is_alnum(char c) { return is_lower_alnum(c) || (c >= 'A' && c <= 'Z'); }

static bool is_dns_label(const char *s, size_t len) {
    if (len == 0 || !is_lower_alnum(s[0]) || !is_lower_alnum(s[len - 1])) return false;
    for (size_t i = 0; i < len; i++)
        if (!is_lower_alnum(s[i]) && s[i] != '-') return false;
    return true;
}

static bool is_dns_subdomain(const char *s, size_t len) {
    for (size_t start = 0, i = 0; i <= len; i++) {
        if (i < len && s[i] != '.') continue;
        if (!is_dns_label(s + start, i - start)) return false;
        start = i + 1;
    }
    return true;
}

static bool is_name(const char *s, size_t len) {
    if (len == 0 || !is_alnum(s[0]) || !is_alnum(s[len - 1])) return false;
    for (size_t i = 0; i < len; i++)
        if (!is_alnum(s[i]) && !strchr("-_.", s[i])) return false;
    return true;
}

const char *name_check_label(const char *s) {
    size_t len = strlen(s);
    if (len > LABEL_MAX) return "must be no more than 63 characters";
    if (is_dns_label(s, len)) return NULL;
    return is_dns_subdomain(s, len) ? "must not contain dots" : LABEL_RULE;
}

const char *name_check_subdomain(const char *s) {
    size_t len = strlen(s);
    if (len > SUBDOMAIN_MAX) return "must be no more than 253 characters";
    return is_dns_subdomain(s, len) ? NULL : SUBDOMAIN_RULE;
}

const char *name_check_qualified(const char *s) {
    const char *slash = strchr(s, '/'), *name = slash ? slash + 1 : s;
    if (slash && strchr(name, '/'))
        return "a qualified name " QUALIFIED_RULE
               " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
    if (slash == s) return "prefix part must be non-empty";
    if (slash && slash - s > SUBDOMAIN_MAX)
        return "prefix part must be no more than 253 characters";
    if (slash && !is_dns_subdomain(s, (size_t)(slash - s))) return "prefix part " SUBDOMAIN_RULE;
    size_t len = strlen(name);
    if (len == 0) return "name part must be non-empty";
    if (len > QUALIFIED_NAME_MAX) return "name part must be no more than 63 characters";
    return is_name(name, len) ? NULL : "name part " QUALIFIED_RULE;
}

const char *name_check_label_value(const char *s) {
    size_t len = strlen(s);
    if (len > LABEL_MAX) return "must be no more than 63 characters";
    return len == 0 || is_name(s, len) ? NULL : VALUE_RULE;
}
