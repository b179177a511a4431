#include "runtime/actor/metrics.h"
#include "runtime/base/check.h"

// What every actor has, one row a family.
static const struct {
    const char *name, *kind;
    size_t offset;
    bool is_32;
} families[] = {
#define FAMILY(name, kind, field, is_32) \
    { name, kind, offsetof(Actor__ActorInfo, field), is_32 }
    FAMILY("troupe_actor_messages_total", "counter", messages, false),
    FAMILY("troupe_actor_handling_microseconds_total", "counter", handling_us, false),
    FAMILY("troupe_actor_mailbox_depth", "gauge", mailbox_depth, false),
    FAMILY("troupe_actor_mailbox_wait_microseconds", "gauge", mailbox_wait_us, false),
    FAMILY("troupe_actor_restarts_total", "counter", restarts, true),
    FAMILY("troupe_actor_overruns_total", "counter", overruns, false),
    FAMILY("troupe_actor_dead_letters_total", "counter", dead_letters, false),
};

static void add_label_value(text_t *out, const char *value) {
    for (const char *c = value; *c; c++) {
        if (*c == '\\' || *c == '"') text_addc(out, '\\');
        if (*c == '\n')
            text_add(out, "\\n");
        else
            text_addc(out, *c);
    }
}

// Links and stewards of several processes may bear the same name: the process belongs to it.
static void add_labels(text_t *out, const char *actor, const char *process) {
    text_add(out, "{actor=\"");
    add_label_value(out, actor);
    text_add(out, "\",process=\"");
    add_label_value(out, process);
    text_addc(out, '"');
}

static void print_infos(const Actor__ActorInfos *infos, text_t *out) {
    for (size_t f = 0; f < LENGTH_OF(families); f++) {
        text_addf(out, "# TYPE %s %s\n", families[f].name, families[f].kind);
        for (size_t i = 0; i < infos->n_actors; i++) {
            const char *at = (const char *)infos->actors[i] + families[f].offset;
            uint64_t value = families[f].is_32 ? *(const uint32_t *)at : *(const uint64_t *)at;
            text_add(out, families[f].name);
            add_labels(out, infos->actors[i]->address, infos->actors[i]->process);
            text_addf(out, "} %llu\n", (unsigned long long)value);
        }
    }
}

static int name_order(const void *a, const void *b) {
    const Actor__Metric *x = *(Actor__Metric *const *)a, *y = *(Actor__Metric *const *)b;
    size_t x_len = strcspn(x->name, "{"), y_len = strcspn(y->name, "{");
    int order = memcmp(x->name, y->name, x_len < y_len ? x_len : y_len);
    if (order || x_len != y_len) return order ? order : x_len < y_len ? -1 : 1;
    order = strcmp(x->name, y->name);
    return order ? order : strcmp(x->actor, y->actor);
}

static void print_metric(const Actor__Metric *m, text_t *out) {
    size_t family = strcspn(m->name, "{");
    text_addn(out, m->name, family);
    add_labels(out, m->actor, m->process);
    if (m->name[family]) // its own labels follow: `{verb="get"}` without its brace
        text_addf(out, ",%s", m->name + family + 1);
    else
        text_addc(out, '}');
    text_addf(out, " %lld\n", (long long)m->value);
}

void metrics_print(const Actor__ActorInfos *infos, const Actor__Metrics *metrics, text_t *out) {
    if (infos) print_infos(infos, out);
    if (!metrics || !metrics->n_metrics) return;
    Actor__Metric **sorted = mem_new(metrics->n_metrics * sizeof *sorted);
    memcpy(sorted, metrics->metrics, metrics->n_metrics * sizeof *sorted);
    qsort(sorted, metrics->n_metrics, sizeof *sorted, name_order);
    for (size_t i = 0; i < metrics->n_metrics; i++) {
        size_t len = strcspn(sorted[i]->name, "{");
        bool same = i > 0 && strcspn(sorted[i - 1]->name, "{") == len &&
                    memcmp(sorted[i]->name, sorted[i - 1]->name, len) == 0;
        if (!same)
            text_addf(out, "# TYPE %.*s %s\n", (int)len, sorted[i]->name,
                      sorted[i]->is_gauge ? "gauge" : "counter");
        print_metric(sorted[i], out);
    }
    free(sorted);
}
