// What there is: explain, api-resources, api-versions, version.
#include "cli/troupectl/ctl.h"
#include "runtime/api/explain.h"

int cmd_explain(ctl_t *ctl) {
    if (ctl->words.len != 1)
        return refuse(
            "you must specify the type of resource to explain: troupectl explain pod.spec");
    char *type = arena_strdup(&ctl->arena, ctl->words.at[0]), *dot = strchr(type, '.');
    const kind_t *k =
        kind_by_typed_name(type); // "deployments.apps" whole, else up to the first dot
    if (!k && dot) {
        *dot = 0;
        k = kind_by_typed_name(type);
    } else
        dot = NULL;
    if (!k) return refuse("couldn't find resource for \"%s\"", ctl->words.at[0]);
    text_t out = TEXT_HEAP;
    why_t why;
    err_t err = explain_print(&ctl->arena, k, dot ? dot + 1 : "", ctl->o.recursive, &out, &why);
    if (!err) fputs(text_str(&out), stdout);
    text_done(&out);
    return err ? refuse("%s", why.text) : 0;
}

int cmd_api_resources(ctl_t *ctl) {
    const kind_t *k;
    bool names = ctl->o.output && streq(ctl->o.output, "name");
    if (!names && !ctl->o.no_headers)
        printf("%-28s %-11s %-32s %-11s %s\n", "NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED",
               "KIND");
    for (size_t i = 0; (k = kind_at(i)); i++) {
        if (ctl->o.group && !streq(ctl->o.group, k->group)) continue;
        if (names) {
            printf("%s\n", kind_qualified_plural(&ctl->arena, k));
            continue;
        }
        char *shorts = arena_strdup(&ctl->arena, or_empty(k->short_names));
        for (char *p = shorts; *p; p++)
            if (*p == ' ') *p = ',';
        printf("%-28s %-11s %-32s %-11s %s\n", k->plural, shorts, kind_api_version(&ctl->arena, k),
               k->namespaced ? "true" : "false", k->name);
    }
    return 0;
}

static int text_order(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int cmd_api_versions(ctl_t *ctl) {
    VEC(const char *) versions = {0};
    const kind_t *k;
    for (size_t i = 0; (k = kind_at(i)); i++) vec_push(&versions, kind_api_version(&ctl->arena, k));
    qsort(versions.at, versions.len, sizeof *versions.at, text_order);
    for (size_t i = 0; i < versions.len; i++)
        if (i == 0 || !streq(versions.at[i], versions.at[i - 1])) printf("%s\n", versions.at[i]);
    vec_done(&versions);
    return 0;
}

int cmd_version(ctl_t *ctl) {
    printf("Client Version: %s\n", TROUPE_VERSION);
    if (ctl->o.client_only) return 0;
    Api__VersionRequest request = {PROTOBUF_C_MESSAGE_INIT(&api__version_request__descriptor)};
    void *answer;
    failure_t failure;
    if (ctl_ask(ctl, &request.base, &api__version_reply__descriptor, &answer, &failure))
        return refuse_failure(&failure);
    const Api__VersionReply *reply = answer;
    printf("Server Version: %s\nKubernetes API: %s\n", reply->version, reply->kubernetes_version);
    return 0;
}
