#include "runtime/base/canary.h"

#define ROW(id, name, what) [CANARY_##id] = {name, what},
static const struct {
    const char *name, *what;
} rows[CANARIES_LEN] = {[CANARY_NONE] = {"none", "nothing is broken on purpose"}, CANARY_ROWS(ROW)};
#undef ROW

#ifdef CANARY_EXISTS
canary_t canary_planted;
#endif

bool canary_plant(canary_t canary) {
#ifdef CANARY_EXISTS
    canary_planted = canary;
    return true;
#else
    return canary == CANARY_NONE;
#endif
}

const char *canary_name(canary_t canary) { return rows[canary].name; }
const char *canary_what(canary_t canary) { return rows[canary].what; }
