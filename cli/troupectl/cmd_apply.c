// apply: the server merges three ways (last applied, wanted, live) in one step and says what came
// of it.
#include "cli/troupectl/ctl.h"

static const char *outcome_text(Api__Outcome outcome) {
    switch (outcome) {
    case API__OUTCOME__CREATED: return "created";
    case API__OUTCOME__CONFIGURED: return "configured";
    default: return "unchanged";
    }
}

int cmd_apply(ctl_t *ctl) {
    wanteds_t wanteds = {0};
    if (!manifests_load(ctl, &wanteds)) return vec_done(&wanteds), EXIT_FAILED;
    int worst = 0;
    for (size_t i = 0; i < wanteds.len; i++) {
        const wanted_t *w = &wanteds.at[i];
        Api__Reply *reply;
        ProtobufCMessage *obj;
        failure_t failure;
        err_t err = ctl_patch(ctl, w->kind, w->ns, or_empty(object_meta_read(w->obj)->name),
                              API__PATCH__TYPE__APPLY, w->json, &reply, &obj, &failure);
        if (err) {
            worst = refuse_file_failure(w->file, &failure);
            continue;
        }
        for (size_t n = 0; n < reply->n_warnings; n++)
            fprintf(stderr, "Warning: %s\n", reply->warnings[n]);
        if (print_done(ctl, w->kind, obj, outcome_text(reply->outcome))) worst = EXIT_FAILED;
    }
    vec_done(&wanteds);
    return worst;
}
