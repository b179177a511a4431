// Any bytes as a container's log: what comes out does not depend on how the bytes came in.
#include "actors/kubelet/logs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) return 0;
    log_options_t options = {.timestamps = data[0] & 1,
                             .since_ms = data[0] & 2 ? 1764000000000 : 0};
    log_filter_t whole = {.options = options}, parts = {.options = options};
    const char *text = (const char *)data + 2;
    size_t len = size - 2, cut = len ? data[1] % len : 0;
    text_t a = TEXT_HEAP, b = TEXT_HEAP, rest = TEXT_HEAP;
    size_t used = logs_filter(&whole, text, len, &a);
    if (used > len) abort();
    text_addn(&rest, text, cut);
    size_t first = logs_filter(&parts, text_str(&rest), rest.len, &b);
    size_t second = logs_filter(&parts, text + first, len - first, &b);
    if (first + second != used || a.len != b.len || (a.len && memcmp(a.at, b.at, a.len))) abort();
    (void)logs_time_ms(text, len);
    text_done(&a);
    text_done(&b);
    text_done(&rest);
    return 0;
}
