// Objects that short commands build.
#include "cli/troupectl/make.h"
#include "runtime/api/msg.h"
#include "support/leaks.h"

Test(make, run_with_replicas_gives_a_deployment_labelled_run)
{
    arena_t arena = {0};
    why_t why = {0};
    flags_t o = {.image = "nginx", .port = "80", .replicas = "2"};
    words_t none = {0};
    Apps__Deployment *d = make_deployment(&arena, "web", "run", &o, &none, &why);
    cr_assert_not_null(d, "%s", why.text);
    cr_assert_eq(d->spec->replicas, 2);
    cr_assert_str_eq(object_label(&d->base, "run"), "web");
    cr_assert_str_eq(object_label(&d->spec->template_->base, "run"), "web");
    cr_assert_str_eq(d->spec->selector->matchlabels[0]->value, "web");
    cr_assert_str_eq(d->spec->template_->spec->containers[0]->name, "web");
    cr_assert_eq(d->spec->template_->spec->containers[0]->ports[0]->containerport, 80);
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

Test(make, create_deployment_names_its_container_after_the_image)
{
    arena_t arena = {0};
    why_t why;
    flags_t o = {.image = "registry.example/library/nginx:1.22"};
    words_t none = {0};
    Apps__Deployment *d = make_deployment(&arena, "web", "app", &o, &none, &why);
    cr_assert_str_eq(d->spec->template_->spec->containers[0]->name, "nginx");
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

Test(make, says_what_is_wrong_with_the_words)
{
    arena_t arena = {0};
    why_t why;
    words_t none = {0};
    cr_assert_null(make_pod(&arena, "web", &(flags_t){0}, &none, &why));
    cr_assert_str_eq(why.text, "required flag(s) \"image\" not set");
    cr_assert_null(
        make_pod(&arena, "web", &(flags_t){.image = "nginx", .port = "http"}, &none, &why));
    cr_assert_str_eq(why.text, "invalid --port \"http\": want a number");
    cr_assert_null(make_deployment(&arena, "web", "run",
                                   &(flags_t){.image = "nginx", .replicas = "-1"}, &none, &why));
    cr_assert_null(
        make_pod(&arena, "web", &(flags_t){.image = "nginx", .labels = "a"}, &none, &why));
    cr_assert_null(make_service(&arena, "web", NULL, 0, NULL, &(flags_t){0}, &why));
    cr_assert_str_eq(why.text, "couldn't find port via --port flag or introspection");
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}

Test(make, a_service_takes_the_port_of_the_pods)
{
    arena_t arena = {0};
    why_t why;
    words_t none = {0};
    Core__Pod *pod =
        make_pod(&arena, "web", &(flags_t){.image = "nginx", .port = "8080"}, &none, &why);
    Core__Service *s =
        make_service(&arena, "web", pod->metadata->labels, pod->metadata->n_labels, pod->spec,
                     &(flags_t){.type = "NodePort", .target_port = "http"}, &why);
    cr_assert_not_null(s, "%s", why.text);
    cr_assert_eq(s->spec->ports[0]->port, 8080);
    cr_assert_str_eq(s->spec->ports[0]->targetport->strval, "http");
    cr_assert_str_eq(s->spec->selector[0]->key, "run");
    cr_assert_str_eq(s->spec->type, "NodePort");
    arena_done(&arena);
    ASSERT_NO_LEAKS();
}
