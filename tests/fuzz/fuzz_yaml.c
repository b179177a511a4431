// A manifest file of any bytes: read, printed as YAML, read again, the same object.
#include "runtime/api/codec.h"

static void check_round_trip(arena_t *a, const manifest_t *m) {
    text_t yaml = {.arena = a};
    yaml_write_object(m->kind, m->obj, &yaml);
    manifests_t again = {0};
    why_t why = {0};
    err_t err = manifests_read(a, "again.yaml", yaml.at, yaml.len, true, &again, &why);
    if (err == ERR_TOO_LARGE) return;
    assert(err == ERR_OK);
    assert(again.len == 1 && again.at[0].kind == m->kind);
    assert(msg_equal(again.at[0].obj, m->obj));
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len) {
    arena_t a = {0};
    manifests_t found = {0};
    why_t why;
    if (manifests_read(&a, "fuzz.yaml", (const char *)at, len, true, &found, &why) == ERR_OK)
        for (size_t i = 0; i < found.len && i < 4; i++) check_round_trip(&a, &found.at[i]);
    arena_done(&a);
    return 0;
}
