// security_validate - security contexts of pods and containers (facts: k8s-validation).
#include "runtime/api/kinds/podspec.h"

enum { SYSCTL_NAME_MAX = 253, APPARMOR_PROFILE_MAX = 4095 };

static void check_id(field_errors_t *e, const path_t *path, bool has, int64_t id) {
    if (has) check_range(e, path, id, 0, INT32_MAX);
}

static void check_seccomp(field_errors_t *e, const path_t *path, const Core__SeccompProfile *p) {
    static const char *const types[] = {"Localhost", "RuntimeDefault", "Unconfined", NULL};
    if (!p) return;
    const path_t *file = PATH(path, "localhostProfile");
    bool local = streq(or_empty(p->type), "Localhost");
    if (is_empty(p->type))
        tell_required(e, PATH(path, "type"), "type is required when seccompProfile is set");
    else if (!is_one_of(p->type, types))
        tell_not_supported(e, PATH(path, "type"), p->type, types);
    if (local && !p->localhostprofile)
        tell_required(e, file, "must be set when seccomp type is Localhost");
    else if (local)
        check_relative_path(e, file, p->localhostprofile);
    else if (p->localhostprofile)
        tell_invalid(e, file, p->localhostprofile,
                     "can only be set when seccomp type is Localhost");
}

static void check_apparmor(field_errors_t *e, const path_t *path, const Core__AppArmorProfile *p) {
    static const char *const types[] = {"Localhost", "RuntimeDefault", "Unconfined", NULL};
    if (!p) return;
    const path_t *file = PATH(path, "localhostProfile");
    const char *profile = or_empty(p->localhostprofile);
    size_t len = strlen(profile);
    if (streq(or_empty(p->type), "Localhost")) {
        bool padded = len && (strchr(" \t\n", profile[0]) || strchr(" \t\n", profile[len - 1]));
        if (!len) tell_required(e, file, "must be set when AppArmor type is Localhost");
        if (padded) tell_invalid(e, file, profile, "must not be padded with whitespace");
        if (len > APPARMOR_PROFILE_MAX) tell_too_long(e, file, APPARMOR_PROFILE_MAX);
        return;
    }
    if (is_empty(p->type))
        tell_required(e, PATH(path, "type"), "type is required when appArmorProfile is set");
    else if (!is_one_of(p->type, types))
        tell_not_supported(e, PATH(path, "type"), p->type, types);
    if (p->localhostprofile)
        tell_invalid(e, file, profile, "can only be set when AppArmor type is Localhost");
}

// ---- sysctls ------------------------------------------------------------------------------------
static bool is_sysctl_char(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

// Words of small letters and digits, with - and _ inside, joined by dots or slashes.
static bool is_sysctl(const char *name) {
    if (!*name || strlen(name) > SYSCTL_NAME_MAX) return false;
    for (size_t i = 0; name[i]; i++) {
        if (is_sysctl_char(name[i])) continue;
        bool inside = i && is_sysctl_char(name[i + 1]);
        if (strchr("./", name[i])) {
            if (!inside || !is_sysctl_char(name[i - 1])) return false;
        } else if (!strchr("-_", name[i]) || !i || !name[i + 1] || strchr("./", name[i + 1])) {
            return false;
        }
    }
    return true;
}

static void check_sysctls(const spec_check_t *c, const path_t *path,
                          const Core__PodSecurityContext *s) {
    names_t names = NAMES(c->e->arena, s->sysctls, s->n_sysctls, Core__Sysctl, name);
    for (size_t i = 0; i < s->n_sysctls; i++) {
        const char *name = or_empty(s->sysctls[i]->name);
        const path_t *at = PATH(PATH_AT(path, i), "name");
        if (!*name)
            tell_required(c->e, at, NULL);
        else if (!is_sysctl(name))
            tell_invalid(c->e, at, name,
                         "must have at most 253 characters and match regex "
                         "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$");
        if (names_repeat(&names, i)) tell_duplicate(c->e, at, name);
        if (c->spec->hostnetwork && has_prefix(name, "net."))
            tell_invalid(c->e, at, name, "may not be specified when 'hostNetwork' is true");
        bool ipc = has_prefix(name, "kernel.shm") || has_prefix(name, "kernel.msg") ||
                   has_prefix(name, "fs.mqueue.") || streq(name, "kernel.sem");
        if (c->spec->hostipc && ipc)
            tell_invalid(c->e, at, name, "may not be specified when 'hostIPC' is true");
    }
}

// ---- the two contexts ---------------------------------------------------------------------------
void check_pod_security(const spec_check_t *c, const path_t *spec_path) {
    static const char *const change_policies[] = {"Always", "OnRootMismatch", NULL};
    static const char *const group_policies[] = {"Merge", "Strict", NULL};
    const Core__PodSecurityContext *s = c->spec->securitycontext;
    const path_t *path = PATH(spec_path, "securityContext");
    if (!s) return;
    check_id(c->e, PATH(path, "fsGroup"), s->has_fsgroup, s->fsgroup);
    check_id(c->e, PATH(path, "runAsUser"), s->has_runasuser, s->runasuser);
    check_id(c->e, PATH(path, "runAsGroup"), s->has_runasgroup, s->runasgroup);
    for (size_t i = 0; i < s->n_supplementalgroups; i++)
        check_id(c->e, PATH_AT(PATH(path, "supplementalGroups"), i), true,
                 s->supplementalgroups[i]);
    if (c->spec->shareprocessnamespace && c->spec->hostpid)
        tell_invalid_raw(c->e, PATH(path, "shareProcessNamespace"), "true",
                         "ShareProcessNamespace and HostPID cannot both be enabled");
    check_sysctls(c, PATH(path, "sysctls"), s);
    if (s->fsgroupchangepolicy && !is_one_of(s->fsgroupchangepolicy, change_policies))
        tell_not_supported(c->e, PATH(path, "fsGroupChangePolicy"), s->fsgroupchangepolicy,
                           change_policies);
    check_seccomp(c->e, PATH(path, "seccompProfile"), s->seccompprofile);
    check_apparmor(c->e, PATH(path, "appArmorProfile"), s->apparmorprofile);
    if (s->supplementalgroupspolicy && !is_one_of(s->supplementalgroupspolicy, group_policies))
        tell_not_supported(c->e, PATH(path, "supplementalGroupsPolicy"),
                           s->supplementalgroupspolicy, group_policies);
}

static bool adds_sys_admin(const Core__SecurityContext *s) {
    for (size_t i = 0; s->capabilities && i < s->capabilities->n_add; i++)
        if (streq(s->capabilities->add[i], "CAP_SYS_ADMIN")) return true;
    return false;
}

void check_container_security(const spec_check_t *c, const path_t *path,
                              const Core__SecurityContext *s) {
    static const char *const proc_mounts[] = {"Default", "Unmasked", NULL};
    check_id(c->e, PATH(path, "runAsUser"), s->has_runasuser, s->runasuser);
    check_id(c->e, PATH(path, "runAsGroup"), s->has_runasgroup, s->runasgroup);
    if (s->procmount && !is_one_of(s->procmount, proc_mounts))
        tell_not_supported(c->e, PATH(path, "procMount"), s->procmount, proc_mounts);
    bool own_users = c->spec->has_hostusers && !c->spec->hostusers;
    if (streq(or_empty(s->procmount), "Unmasked") && !own_users)
        tell_invalid(c->e, PATH(path, "procMount"), s->procmount,
                     "`hostUsers` must be false to use `Unmasked`");
    check_seccomp(c->e, PATH(path, "seccompProfile"), s->seccompprofile);
    if (s->has_allowprivilegeescalation && !s->allowprivilegeescalation) {
        if (s->privileged)
            tell_invalid_raw(c->e, path, "{}",
                             "cannot set `allowPrivilegeEscalation` to false and `privileged` to "
                             "true");
        if (adds_sys_admin(s))
            tell_invalid_raw(c->e, path, "{}",
                             "cannot set `allowPrivilegeEscalation` to false and "
                             "`capabilities.Add` CAP_SYS_ADMIN");
    }
    check_apparmor(c->e, PATH(path, "appArmorProfile"), s->apparmorprofile);
}
