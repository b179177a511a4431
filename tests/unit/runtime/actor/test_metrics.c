// The text format of Prometheus (0.0.4), held to its rules: a family's samples stand together
// behind its one TYPE line, no series appears twice, names and values are well formed, labels are
// escaped.
#include "runtime/actor/metrics.h"
#include "runtime/base/map.h"
#include "support/leaks.h"
#include <ctype.h>
#include <signal.h>

// The length of a metric's name at the start of the line; 0: none.
static size_t name_len(const char *line) {
    size_t len = 0;
    while (isalpha((unsigned char)line[len]) || strchr("_:", line[len]) ||
           (len && isdigit((unsigned char)line[len])))
        if (!line[len++]) return 0;
    return len;
}

// Past the labels; NULL: malformed.
static const char *skip_labels(const char *at) {
    if (*at != '{') return at;
    do {
        at++;
        size_t len = name_len(at);
        if (!len || at[len] != '=' || at[len + 1] != '"') return NULL;
        for (at += len + 2; *at != '"'; at++)
            if (!*at || (*at == '\\' && !strchr("\\\"n", *++at))) return NULL;
        at++;
    } while (*at == ',');
    return *at == '}' ? at + 1 : NULL;
}

// What is wrong with the text; NULL: nothing.
static const char *fault_of(char *text) {
    map_t families = {0}, series = {0};
    const char *fault = NULL;
    char family[128] = "", *rest = text;
    for (char *line; !fault && (line = strsep(&rest, "\n"));) {
        if (!*line && !rest) break;
        if (has_prefix(line, "# TYPE ")) {
            size_t len = name_len(line + 7);
            snprintf(family, sizeof family, "%.*s", (int)len, line + 7);
            const char *kind = line + 7 + len;
            if (!len || (!streq(kind, " counter") && !streq(kind, " gauge"))) fault = "TYPE line";
            if (map_put(&families, family, line)) fault = "a family in two places";
            continue;
        }
        size_t len = name_len(line);
        const char *value = len ? skip_labels(line + len) : NULL;
        char *end = NULL;
        if (value && *value == ' ') strtoll(value + 1, &end, 10);
        if (!end || *end || end == value + 1) {
            fault = line;
            break;
        }
        if (strncmp(line, family, len) != 0 || family[len]) fault = "a sample outside its family";
        line[value - line] = '\0';
        if (map_put(&series, line, line)) fault = "a series twice";
    }
    map_done(&families);
    map_done(&series);
    return fault;
}

Test(metrics, keep_to_the_format_whatever_actors_are_called)
{
    Actor__ActorInfo a = {PROTOBUF_C_MESSAGE_INIT(&actor__actor_info__descriptor)}, b = a;
    a.address = "store/m1", a.process = "main";
    b.address = "odd/\"quo\\ted\"\n";
    b.messages = UINT32_MAX, b.process = "main";
    Actor__ActorInfo c = a; // as links of several processes to one are
    c.process = "second";
    Actor__ActorInfo *infos_at[] = {&a, &b, &c};
    Actor__ActorInfos infos = {PROTOBUF_C_MESSAGE_INIT(&actor__actor_infos__descriptor)};
    infos.actors = infos_at, infos.n_actors = LENGTH_OF(infos_at);
    static const struct {
        const char *actor, *name;
        bool is_gauge;
        const char *process;
    } rows[] = {{"store/m1", "b_total", false},
                {"store/m1", "b_total", false, "second"},
                {"store/m1", "a_depth{kind=\"x\"}", true},
                {"odd/\"quo\\ted\"\n", "b_total", false},
                {"store/m1", "a_depth{kind=\"y\"}", true},
                {"store/m1", "a_depth_max", true}};
    Actor__Metric metrics_of[LENGTH_OF(rows)], *metrics_at[LENGTH_OF(rows)];
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        metrics_of[i] = (Actor__Metric){PROTOBUF_C_MESSAGE_INIT(&actor__metric__descriptor)};
        metrics_of[i].actor = (char *)rows[i].actor, metrics_of[i].name = (char *)rows[i].name;
        metrics_of[i].process = or_empty(rows[i].process);
        metrics_of[i].is_gauge = rows[i].is_gauge, metrics_of[i].value = -(int64_t)i;
        metrics_at[i] = &metrics_of[i];
    }
    Actor__Metrics metrics = {PROTOBUF_C_MESSAGE_INIT(&actor__metrics__descriptor)};
    metrics.metrics = metrics_at, metrics.n_metrics = LENGTH_OF(rows);
    text_t text = TEXT_HEAP;
    metrics_print(&infos, &metrics, &text);
    cr_assert_not_null(strstr(text.at, "troupe_actor_messages_total{actor=\"odd/\\\"quo\\\\ted\\\""
                                       "\\n\",process=\"main\"} 4294967295\n"));
    const char *fault = fault_of(text.at);
    cr_assert_null(fault, "%s", fault);
    text_done(&text);
    ASSERT_NO_LEAKS();
}

Test(metrics, the_check_finds_what_is_wrong)
{
    static const char *const bad[] = {
        "x_total 1\n",                                         // no TYPE
        "# TYPE x counter\nx{a=\"1\"} 1\nx{a=\"1\"} 2\n",      // twice
        "# TYPE x counter\nx 1\n# TYPE y gauge\ny 1\nx{} 2\n", // torn apart
        "# TYPE x sum\n",
        "# TYPE x counter\nx{a=\"\\q\"} 1\n",
        "# TYPE x counter\nx one\n",
    };
    for (size_t i = 0; i < LENGTH_OF(bad); i++) {
        char *text = str_dup(bad[i]);
        cr_expect_not_null(fault_of(text), "row %zu", i);
        free(text);
    }
    ASSERT_NO_LEAKS();
}

Test(canary, asserts_are_alive, .signal = SIGABRT)
{ assert(!"this must die"); }
