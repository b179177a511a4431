// selector - label selectors ("a=b,c!=d,e in (f,g),!h", LabelSelector messages) and field selectors
// ("spec.nodeName=x,status.phase!=Running").
#pragma once
#include "runtime/api/kinds.h"

typedef struct selector selector_t; // parsed; lives in its arena; immutable
err_t selector_parse(arena_t *arena, const char *text, const selector_t **ret_sel,
                     why_t *why) MUST_USE; // "" selects all
err_t selector_from_message(arena_t *arena, const Meta__LabelSelector *msg,
                            const selector_t **ret_sel,
                            why_t *why) MUST_USE; // NULL selects nothing, empty all
bool selector_matches(const selector_t *sel, const ProtobufCMessage *obj); // on metadata.labels
bool selector_matches_labels(const selector_t *sel, Meta__ObjectMeta__LabelsEntry *const *labels,
                             size_t len);
const char *selector_text(arena_t *arena, const Meta__LabelSelector *msg); // as columns print it

typedef struct field_selector field_selector_t;
// Only metadata.name, metadata.namespace and the kind's selectable_fields are taken.
err_t field_selector_parse(arena_t *arena, const kind_t *k, const char *text,
                           const field_selector_t **ret_sel, why_t *why) MUST_USE;
bool field_selector_matches(const field_selector_t *sel, const ProtobufCMessage *obj);
