// Any bytes as an object of a kind (the first byte picks it), through all that the API server does
// with a stranger's object: scan, unpack, defaults, conversion, preparation, validation; then
// shown.
#include "runtime/api/describe.h"
#include "runtime/api/table.h"

#define NOW 1700000000000

static void show(arena_t *arena, const kind_t *k, const ProtobufCMessage *obj) {
    text_t out = {.arena = arena};
    table_print(arena, k, &obj, 1, NOW, &(table_options_t){.wide = true}, &out);
    describe_print(arena, k, obj, NULL, 0, NULL, NOW, &out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) return 0;
    size_t kinds = 0;
    while (kind_at(kinds)) kinds++;
    const kind_t *k = kind_at(data[0] % kinds), *stored = kind_stored(k);
    arena_t arena = {0};
    void *msg;
    why_t why;
    if (msg_unpack(&arena, k->type, (bytes_t){data + 1, size - 1}, &msg, &why) == ERR_OK) {
        ProtobufCMessage *obj = msg;
        show(&arena, k, obj);
        k->defaults(&arena, obj);
        if (k->to_stored) obj = k->to_stored(&arena, obj);
        stored->defaults(&arena, obj);
        stored->prepare_create(&arena, obj);
        field_errors_t errors = {.arena = &arena};
        if (stored->validate) stored->validate(obj, NULL, &errors);
        ProtobufCMessage *same = msg_dup(&arena, obj);
        stored->prepare_update(&arena, same, obj);
        if (stored->validate) stored->validate(same, obj, &errors);
        if (!msg_equal(same, obj)) abort();
        show(&arena, stored, obj);
    }
    arena_done(&arena);
    return 0;
}
