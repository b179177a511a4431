// Label and field selectors of any text, matched against an object; first byte: which of the two.
#include "k8s/core_v1.pb-c.h"
#include "runtime/api/quantity.h"
#include "runtime/api/selector.h"

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len) {
    if (len == 0 || memchr(at, 0, len)) return 0;
    arena_t a = {0};
    why_t why;
    const char *text = arena_strndup(&a, (const char *)at + 1, len - 1);
    Core__Pod *pod = MSG_NEW(&a, Core__Pod, core__pod__descriptor);
    object_meta(&a, &pod->base)->name = "p";
    object_set_label(&a, &pod->base, "app", "web");
    object_set_label(&a, &pod->base, "size", "7");
    const selector_t *labels;
    const field_selector_t *fields;
    const kind_t *k = kind_by_api_version("v1", "Pod");
    if (at[0] % 2) {
        if (selector_parse(&a, text, &labels, &why) == ERR_OK) selector_matches(labels, &pod->base);
    } else if (field_selector_parse(&a, k, text, &fields, &why) == ERR_OK) {
        field_selector_matches(fields, &pod->base);
    }
    const char *canonical = quantity_canonical(&a, text);
    if (canonical) {
        const char *again = quantity_canonical(&a, canonical);
        assert(again && streq(again, canonical));
    }
    arena_done(&a);
    return 0;
}
