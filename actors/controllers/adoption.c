#include "actors/controllers/adoption.h"
#include "runtime/api/selector.h"

void adopter_done(adopter_t *a) {
    free(a->uid);
    *a = (adopter_t){0};
}

static bool selects(controller_t *c, const adoption_t *what, const record_t *owner,
                    const record_t *owned) {
    const Meta__LabelSelector *wanted = what->selector(owner->object);
    const selector_t *selector;
    return wanted &&
           selector_from_message(controller_arena(c), wanted, &selector, NULL) == ERR_OK &&
           selector_matches(selector, owned->object);
}

void adoption_touch(controller_t *c, const adoption_t *what, const record_t *owned) {
    const Meta__OwnerReference *ref = owner_that_controls(object_meta_read(owned->object));
    const kind_t *kind = followed_kind(what->owners);
    informer_t *owners = controller_follow(c, what->owners);
    if (ref) {
        if (!owner_is(ref, kind->group, kind->name)) return;
        const record_t *owner = informer_get(owners, owned->namespace_, ref->name);
        if (owner && streq(owner->uid, or_empty(ref->uid))) controller_touch_record(c, owner);
        return;
    }
    records_t all = informer_by(owners, INDEX_NAMESPACE, owned->namespace_);
    for (size_t i = 0; i < all.len; i++)
        if (selects(c, what, all.at[i], owned)) controller_touch_record(c, all.at[i]);
}

// The list of owners with this one added or taken out, as a patch that holds only for the revision
// it was made from.
static void patch_owners(controller_t *c, const adoption_t *what, const ProtobufCMessage *owner,
                         const ProtobufCMessage *owned, bool adopt) {
    const Meta__ObjectMeta *meta = object_meta_read(owned), *by = object_meta_read(owner);
    const kind_t *kind = followed_kind(what->owners);
    text_t json = {.arena = controller_arena(c)};
    text_add(&json, "{\"metadata\":{\"ownerReferences\":[");
    const char *comma = "";
    for (size_t i = 0; i < meta->n_ownerreferences; i++) {
        const Meta__OwnerReference *ref = meta->ownerreferences[i];
        if (streq(or_empty(ref->uid), by->uid)) continue;
        text_add(&json, comma);
        json_write_msg(&ref->base, &json);
        comma = ",";
    }
    if (adopt)
        text_addf(&json,
                  "%s{\"apiVersion\":\"%s\",\"kind\":\"%s\",\"name\":\"%s\",\"uid\":\"%s\","
                  "\"controller\":true,\"blockOwnerDeletion\":true}",
                  comma, kind_api_version(controller_arena(c), kind), kind->name, by->name,
                  by->uid);
    text_add(&json, "]}}");
    controller_patch(c, followed_kind(what->owned), meta->namespace_, meta->name, NULL,
                     text_str(&json), object_revision(owned));
}

void adoption_begin(adopter_t *a) { a->asked = false; }

void adoption_take(controller_t *c, const adoption_t *what, adopter_t *a,
                   const ProtobufCMessage *owner, const ProtobufCMessage *owned) {
    const Meta__ObjectMeta *by = object_meta_read(owner);
    if (a->uid && streq(a->uid, by->uid)) {
        patch_owners(c, what, owner, owned, true);
    } else if (!a->asked) {
        a->asked = true;
        controller_get(c, followed_kind(what->owners), by->namespace_, by->name);
    }
}

void adoption_release(controller_t *c, const adoption_t *what, const ProtobufCMessage *owner,
                      const ProtobufCMessage *owned) {
    patch_owners(c, what, owner, owned, false);
}

void adoption_heard(controller_t *c, const adoption_t *what, adopter_t *a, const write_t *w,
                    const ProtobufCMessage *owner) {
    if (w->verb != WRITE_GET || w->kind != followed_kind(what->owners) || !owner) return;
    const Meta__ObjectMeta *meta = object_meta_read(owner);
    free(a->uid);
    a->uid = meta->deletiontimestamp ? NULL : str_dup(or_empty(meta->uid));
    controller_touch(c, w->key);
}
