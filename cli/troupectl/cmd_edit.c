// edit, patch, set image: changing what is there.
#include "cli/troupectl/ctl.h"
#include "runtime/api/codec.h"
#include <errno.h>
#include <jansson.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
enum { REFUSALS_MAX = 20 }; // an editor that is a script would go on for ever

// ---- edit --------------------------------------------------------------------------------------

static int run_editor(const char *file) {
    const char *editor = getenv("KUBE_EDITOR");
    if (is_empty(editor)) editor = getenv("EDITOR");
    if (is_empty(editor)) editor = "vi";
    // Through a shell, as git does it: the variable may hold arguments.
    char *command = str_printf("%s \"$1\"", editor);
    const char *const argv[] = {"sh", "-c", command, "sh", file, NULL};
    pid_t pid;
    int status = -1,
        code = posix_spawnp(&pid, "sh", NULL, NULL, (char *const *)(void *)argv, environ);
    free(command);
    if (code) return refuse("cannot start the editor \"%s\": %s", editor, strerror(code));
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0
               ? 0
               : refuse("the editor \"%s\" ended with an error: nothing was changed", editor);
}

static bool write_file(const char *file, const char *text) {
    FILE *out = fopen(file, "we");
    if (!out) return refuse("cannot write %s: %s", file, strerror(errno)), false;
    bool ok = fputs(text, out) >= 0;
    return (fclose(out) == 0 && ok) ||
           (refuse("cannot write %s: %s", file, strerror(errno)), false);
}

static bool read_file(const char *file, text_t *out) {
    FILE *in = fopen(file, "re");
    if (!in) return refuse("cannot read %s: %s", file, strerror(errno)), false;
    char buf[4096];
    size_t got;
    while ((got = fread(buf, 1, sizeof buf, in)) > 0 && out->len < CODEC_TEXT_MAX_BYTES)
        text_addn(out, buf, got);
    fclose(in);
    return true;
}

// What follows the comments at the top: an earlier refusal does not stand there for ever.
static const char *behind_comments(const char *text) {
    while (*text == '#') {
        text += strcspn(text, "\n");
        if (*text) text++;
    }
    return text;
}

// One round: 0 done, > 0 failed for good, < 0 edit again (the reason stands at the file's top).
static int put_back(ctl_t *ctl, const kind_t *k, const char *ns, const char *file,
                    const text_t *before) {
    text_t after = TEXT_HEAP;
    if (!read_file(file, &after)) return EXIT_FAILED;
    if (streq(text_str(&after), text_str(before))) {
        text_done(&after);
        printf("Edit cancelled, no changes made.\n");
        return 0;
    }
    manifests_t manifests;
    why_t why;
    failure_t failure = {0};
    ProtobufCMessage *made;
    err_t err =
        manifests_read(&ctl->arena, file, text_str(&after), after.len, true, &manifests, &why);
    if (!err && (manifests.len != 1 || manifests.at[0].kind != k))
        err = why_set(&why, ERR_USAGE, "want one object of the same kind and version as before");
    if (err)
        snprintf(failure.message, sizeof failure.message, "%s", why.text);
    else
        err = ctl_update(ctl, k, ns, manifests.at[0].obj, "", &made, &failure);
    if (err) {
        refuse("%s", failure.message);
        for (char *p = failure.message; *p; p++)
            if (*p == '\n') *p = ' ';
        char *again = str_printf("# %s\n# Save without a change to give up.\n%s", failure.message,
                                 behind_comments(text_str(&after)));
        bool ok = write_file(file, again);
        free(again);
        text_done(&after);
        return ok ? -1 : EXIT_FAILED;
    }
    text_done(&after);
    return print_done(ctl, k, made, "edited");
}

int cmd_edit(ctl_t *ctl) {
    target_t target;
    if (!target_parse_one(ctl, 0, &target)) return EXIT_FAILED;
    const char *ns = ctl_namespace_of(ctl, target.kind);
    ProtobufCMessage *obj;
    failure_t failure;
    if (ctl_get(ctl, target.kind, ns, target.name, &obj, &failure)) return refuse_failure(&failure);
    text_t before = TEXT_HEAP;
    text_add(&before, "# Edit the object below; lines that start with '#' are ignored. An empty "
                      "change\n# cancels the edit. A refusal opens this file again.\n#\n");
    yaml_write_object(target.kind, obj, &before);
    char file[] = "/tmp/troupectl-edit-XXXXXX.yaml";
    int fd = mkstemps(file, strlen(".yaml"));
    if (fd < 0)
        return text_done(&before), refuse("cannot make a temporary file: %s", strerror(errno));
    close_fdp(&fd);
    int code = write_file(file, text_str(&before)) ? -1 : EXIT_FAILED;
    for (int refusals = 0; code < 0; refusals++) {
        if (refusals == REFUSALS_MAX) {
            code = refuse("refused %d times: nothing was changed", refusals);
            break;
        }
        code = run_editor(file);
        if (code) break;
        code = put_back(ctl, target.kind, ns, file, &before);
        if (code >= 0) break;
        text_reset(
            &before); // what stands there now, with the refusal on top: unchanged means give up
        if (!read_file(file, &before)) code = EXIT_FAILED;
    }
    unlink(file);
    text_done(&before);
    return code;
}

// ---- patch -------------------------------------------------------------------------------------

int cmd_patch(ctl_t *ctl) {
    target_t target;
    if (!ctl->o.patch)
        return refuse("must specify --patch, as in -p '{\"spec\":{\"replicas\":3}}'");
    if (!target_parse_one(ctl, 0, &target)) return EXIT_FAILED;
    Api__Patch__Type type = API__PATCH__TYPE__STRATEGIC;
    const char *wish = ctl->o.type ? ctl->o.type : "strategic";
    if (streq(wish, "json"))
        type = API__PATCH__TYPE__JSON;
    else if (streq(wish, "merge"))
        type = API__PATCH__TYPE__MERGE;
    else if (!streq(wish, "strategic"))
        return refuse("--type must be one of [json merge strategic], not \"%s\"", wish);
    ProtobufCMessage *made;
    Api__Reply *reply;
    failure_t failure;
    if (ctl_patch(ctl, target.kind, ctl_namespace_of(ctl, target.kind), target.name, type,
                  bytes_of_str(ctl->o.patch), &reply, &made, &failure))
        return refuse_failure(&failure);
    return print_done(ctl, target.kind, made,
                      reply->outcome == API__OUTCOME__UNCHANGED ? "patched (no change)"
                                                                : "patched");
}

// ---- set image ---------------------------------------------------------------------------------

int cmd_set(ctl_t *ctl) {
    if (ctl->words.len < 2 || !streq(ctl->words.at[0], "image"))
        return refuse("want: troupectl set image TYPE/NAME CONTAINER=IMAGE…");
    json_t *containers = json_array();
    size_t kept = 0;
    for (size_t i = 0; i < ctl->words.len; i++) {
        const char *word = ctl->words.at[i], *equals = strchr(word, '=');
        if (!equals)
            ctl->words.at[kept++] = word;
        else
            json_array_append_new(containers, json_pack("{s:o,s:s}", "name",
                                                        json_stringn(word, (size_t)(equals - word)),
                                                        "image", equals + 1));
    }
    ctl->words.len = kept;
    target_t target;
    bool is_pod = false;
    int code = json_array_size(containers) ? 0 : refuse("at least one CONTAINER=IMAGE is required");
    if (!code && !target_parse_one(ctl, 1, &target)) code = EXIT_FAILED;
    if (!code) is_pod = streq(target.kind->name, "Pod");
    json_t *pod_spec = json_pack("{s:o}", "containers", containers);
    json_t *patch = is_pod ? json_pack("{s:o}", "spec", pod_spec)
                           : json_pack("{s:{s:{s:o}}}", "spec", "template", "spec", pod_spec);
    char *text = json_dumps(patch, JSON_COMPACT);
    json_decref(patch);
    ProtobufCMessage *made;
    failure_t failure;
    if (!code && ctl_patch(ctl, target.kind, ctl_namespace_of(ctl, target.kind), target.name,
                           API__PATCH__TYPE__STRATEGIC, bytes_of_str(text), NULL, &made, &failure))
        code = refuse_failure(&failure);
    else if (!code)
        code = print_done(ctl, target.kind, made, "image updated");
    free(text);
    return code;
}
