// What `explain` prints.
#include "runtime/api/explain.h"
#include "runtime/api/explain_text.h"
#include "support/leaks.h"

static const char *explained(arena_t *a, const char *kind, const char *path, bool recursive) {
    text_t out = {.arena = a};
    why_t why = {0};
    err_t err = explain_print(a, kind_by_typed_name(kind), path, recursive, &out, &why);
    return err ? arena_strdup(a, why.text) : text_str(&out);
}

Test(explain, a_kind_begins_with_its_group_and_text)
{
    arena_t a = {0};
    const char *text = explained(&a, "deployment", "", false);
    cr_expect(has_prefix(
                  text,
                  "GROUP:      apps\n"
                  "KIND:       Deployment\n"
                  "VERSION:    v1\n"
                  "\n"
                  "DESCRIPTION:\n"
                  "    A number of equal pods, and how they change from one template to the next.\n"
                  "    \n"
                  "FIELDS:\n"
                  "  apiVersion\t<string>\n"
                  "    Group and version of the schema that this object follows.\n"
                  "\n"
                  "  kind\t<string>\n"),
              "%s", text);
    arena_done(&a);
    ASSERT_NO_LEAKS();
}

Test(explain, a_field_has_type_values_and_text)
{
    arena_t a = {0};
    cr_expect_str_eq(explained(&a, "pods", "spec.restartPolicy", false),
                     "KIND:       Pod\n"
                     "VERSION:    v1\n"
                     "\n"
                     "FIELD: restartPolicy <string>\n"
                     "ENUM:\n"
                     "    Always\n"
                     "    Never\n"
                     "    OnFailure\n"
                     "\n"
                     "DESCRIPTION:\n"
                     "    When containers are started again after they have ended.\n"
                     "    \n");
    const char *container = explained(&a, "pods", "spec.containers", false);
    cr_expect(strstr(container, "\n  resources\t<ResourceRequirements>\n    How much CPU"), "%s",
              container);
    cr_expect(strstr(container, "FIELD: containers <[]Container>\n"));
    cr_expect(
        strstr(container,
               "\n  name\t<string> -required-\n    Name of the container, unique in its pod.\n"));
    cr_expect(
        strstr(container,
               "\n  imagePullPolicy\t<string>\n  enum: Always, IfNotPresent, Never\n    When the "
               "image is pulled. Always for the tag latest or none, else\n    IfNotPresent.\n"),
        "%s", container);
    cr_expect(strstr(explained(&a, "pods", "metadata.labels", false),
                     "FIELD: labels <map[string]string>\n"));
    cr_expect(strstr(explained(&a, "svc", "spec.ports.targetPort", false),
                     "FIELD: targetPort <IntOrString>\n"));
    cr_expect(strstr(explained(&a, "pods", "spec.volumes.emptyDir", false),
                     "FIELD: emptyDir <EmptyDirVolumeSource>\n"));
    arena_done(&a);
    ASSERT_NO_LEAKS();
}

Test(explain, recursive_shows_the_tree_of_names)
{
    arena_t a = {0};
    const char *tree = explained(&a, "lease", "", true);
    cr_expect(
        strstr(tree,
               "  spec\t<LeaseSpec>\n    acquireTime\t<string>\n    holderIdentity\t<string>\n"),
        "%s", tree);
    arena_done(&a);
    ASSERT_NO_LEAKS();
}

Test(explain, names_the_step_that_is_not_there)
{
    arena_t a = {0};
    cr_expect_str_eq(explained(&a, "pods", "spec.nothing.else", false),
                     "field \"nothing\" does not exist");
    cr_expect_str_eq(explained(&a, "pods", "spec.nodeName.x", false), "field \"x\" does not exist");
    arena_done(&a);
    ASSERT_NO_LEAKS();
}

Test(explain, every_text_is_found_and_every_kind_has_one)
{
    for (size_t i = 0; kind_at(i); i++) {
        const kind_t *k = kind_at(i);
        if (strstr(or_empty(k->verbs), "list"))
            cr_expect(explain_text(k->type->short_name), "%s", k->name);
    }
    cr_expect_str_eq(explain_text("VolumeMount.subPath"),
                     "A path inside the volume to mount in place of its root.");
    cr_expect_null(explain_text("Pod.nothing"));
    ASSERT_NO_LEAKS();
}
