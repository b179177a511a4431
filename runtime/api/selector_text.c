// selector_text - a LabelSelector message as columns and descriptions show it:
// "app=web,tier in (a,b),!old", requirements sorted by key.
#include "runtime/api/selector.h"
#include "runtime/base/text.h"

typedef struct {
    const char *key, *text;
} requirement_t;

static int by_key(const void *a, const void *b) {
    const requirement_t *x = a, *y = b;
    int order = strcmp(x->key, y->key);
    return order ? order : strcmp(x->text, y->text);
}

static int by_value(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char *expression_text(arena_t *arena, const Meta__LabelSelectorRequirement *r) {
    const char *operator= or_empty(r->operator_), *key = or_empty(r->key);
    if (streq(operator, "Exists")) return key;
    if (streq(operator, "DoesNotExist")) return arena_printf(arena, "!%s", key);
    const char **values = ARENA_ARRAY(arena, const char *, r->n_values + 1);
    for (size_t i = 0; i < r->n_values; i++) values[i] = r->values[i];
    if (r->n_values) qsort(values, r->n_values, sizeof *values, by_value);
    text_t out = {.arena = arena};
    text_addf(&out, "%s %s (", key, streq(operator, "In") ? "in" : "notin");
    for (size_t i = 0; i < r->n_values; i++) text_addf(&out, "%s%s", i ? "," : "", values[i]);
    text_addc(&out, ')');
    return text_str(&out);
}

const char *selector_text(arena_t *arena, const Meta__LabelSelector *msg) {
    if (!msg) return "";
    size_t max = msg->n_matchlabels + msg->n_matchexpressions, len = 0;
    requirement_t *at = ARENA_ARRAY(arena, requirement_t, max + 1);
    for (size_t i = 0; i < msg->n_matchlabels; i++) {
        const char *key = or_empty(msg->matchlabels[i]->key);
        const char *value = or_empty(msg->matchlabels[i]->value);
        at[len++] = (requirement_t){key, arena_printf(arena, "%s=%s", key, value)};
    }
    for (size_t i = 0; i < msg->n_matchexpressions; i++) {
        const Meta__LabelSelectorRequirement *r = msg->matchexpressions[i];
        at[len++] = (requirement_t){or_empty(r->key), expression_text(arena, r)};
    }
    if (len) qsort(at, len, sizeof *at, by_key);
    text_t out = {.arena = arena};
    for (size_t i = 0; i < len; i++) text_addf(&out, "%s%s", i ? "," : "", at[i].text);
    return text_str(&out);
}
