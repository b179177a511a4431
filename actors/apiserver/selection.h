// selection - what a list or a watch wants: a kind, a namespace, selectors.
//
// The parts of a field selector that an index can answer (one name, one node) are pulled out: what
// is wholly answered by them is matched without unpacking the object.
#pragma once
#include "actors/apiserver/cache.h"
#include "runtime/api/selector.h"

typedef struct {
    const kind_t *asked; // the version that answers bear
    const kind_t *stored;
    const char *prefix;             // of paths: "" or "default/"
    const char *name;               // metadata.name=…; NULL: any
    const char *node;               // spec.nodeName=… of pods, may be ""; NULL: any
    const selector_t *labels;       // NULL: all
    const field_selector_t *fields; // NULL: all (or told by name and node)
} selection_t;

// Everything is copied into the arena, which must outlive the selection. ERR_BAD_REQUEST.
err_t selection_parse(arena_t *arena, const kind_t *asked, const char *ns, const char *name,
                      const char *label_selector, const char *field_selector,
                      selection_t *ret_selection, why_t *why) MUST_USE;
// Does it look at more than path and node?
bool selection_has_selectors(const selection_t *s);
// By path and node alone: cheap, may let too much through.
bool selection_may_match(const selection_t *s, const cached_t *r);
// `arena` is for unpacking, where it is needed.
bool selection_matches(const selection_t *s, arena_t *arena, const cached_t *r);
// The objects it may match as of `revision` (0: now), behind the path `after`, as cache_snapshot.
err_t selection_snapshot(const selection_t *s, const cache_t *c, const char *after,
                         int64_t revision, size_t max, cached_list_t *ret_list) MUST_USE;
