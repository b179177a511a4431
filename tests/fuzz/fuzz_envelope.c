// Any bytes as an envelope: refused, or read to something that writes and reads back the same.
#include "runtime/actor/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    wire_t w, again;
    why_t why;
    uint8_t frame[WIRE_MAX_BYTES];
    if (wire_read((bytes_t){data, size}, &w, &why) != ERR_OK) return 0;
    size_t len = wire_write(&w, frame);
    if (wire_read((bytes_t){frame, len}, &again, &why) != ERR_OK) abort();
    if (!bytes_eq(w.to, again.to) || !bytes_eq(w.from, again.from) || !bytes_eq(w.type, again.type))
        abort();
    if (w.id != again.id || w.sequence != again.sequence || w.timeout_ms != again.timeout_ms)
        abort();
    if (wire_write(&again, frame) != len) abort();
    return 0;
}
