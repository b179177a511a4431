#include "actors/controllers/namespace_plan.h"
#include "runtime/api/kinds.h"

static bool awaits_us(const Core__Namespace *ns) {
    for (size_t i = 0; ns->spec && i < ns->spec->n_finalizers; i++)
        if (streq(or_empty(ns->spec->finalizers[i]), "kubernetes")) return true;
    return false;
}

namespace_action_t namespace_plan(const namespace_view_t *view) {
    assert(view->namespace_);
    assert(view->pass_found >= 0);
    if (!object_meta_read(&view->namespace_->base)->deletiontimestamp)
        return view->has_account ? NAMESPACE_NOTHING : NAMESPACE_MAKE_ACCOUNT;
    if (!awaits_us(view->namespace_)) return NAMESPACE_NOTHING;
    if (!view->pass_is_done) return NAMESPACE_DELETE_CONTENTS;
    return view->pass_found ? NAMESPACE_WAIT : NAMESPACE_FINALIZE;
}

const char *namespace_plan_print(namespace_action_t action) {
    static const char *const names[] = {[NAMESPACE_NOTHING] = "nothing to do",
                                        [NAMESPACE_MAKE_ACCOUNT] = "make account",
                                        [NAMESPACE_DELETE_CONTENTS] = "delete contents",
                                        [NAMESPACE_WAIT] = "wait",
                                        [NAMESPACE_FINALIZE] = "finalize"};
    assert(action < LENGTH_OF(names));
    return names[action];
}
