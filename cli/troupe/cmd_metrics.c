// The counters of every actor of the cluster, as Prometheus reads them: for a textfile collector,
// or a socket unit that runs this per scrape.
#include "cli/client/client.h"
#include "cli/troupe/cmd.h"
#include "runtime/actor/metrics.h"
#include "runtime/base/log.h"

enum { TIMEOUT_MS = 5000 };

typedef struct {
    const char *run, *socket;
    bool help;
} metrics_t;

static const option_t options[] = {
    {"run-dir", 0, OPTION_STRING, offsetof(metrics_t, run), "DIR", "sockets [/run/troupe]"},
    {"socket", 0, OPTION_STRING, offsetof(metrics_t, socket), "PATH",
     "the cluster's command socket [RUN-DIR/troupe.sock]"},
    {"help", 'h', OPTION_FLAG, offsetof(metrics_t, help), NULL, "this text"},
    {NULL},
};

static err_t print(client_t *client, arena_t *arena, why_t *why) {
    Actor__ListActors list = {PROTOBUF_C_MESSAGE_INIT(&actor__list_actors__descriptor)};
    Actor__GetMetrics get = {PROTOBUF_C_MESSAGE_INIT(&actor__get_metrics__descriptor)};
    void *infos, *metrics;
    failure_t failure;
    err_t e = client_call(client, arena, "apiserver", &list.base, &actor__actor_infos__descriptor,
                          &infos, &failure);
    if (!e)
        e = client_call(client, arena, "apiserver", &get.base, &actor__metrics__descriptor,
                        &metrics, &failure);
    if (e) return why_set(why, e, "%s", failure.message);
    text_t text = {.arena = arena};
    metrics_print(infos, metrics, &text);
    fwrite(text_str(&text), 1, text.len, stdout);
    return ERR_OK;
}

err_t cmd_metrics(int argc, char **argv, why_t *why) {
    metrics_t m = {.run = "/run/troupe"};
    size_t positional_len;
    err_t e = options_parse(options, argc - 1, argv + 1, &m, NULL, 0, &positional_len, why);
    if (e) return e;
    if (m.help)
        return cmd_help("troupe metrics [OPTIONS]",
                        "Prints the counters of every actor in Prometheus' text format.", options);
    if (!getenv("TROUPE_LOG")) log_set_level(LOG_LEVEL_ERROR);
    arena_t arena = {0};
    client_options_t to = {.socket =
                               m.socket ? m.socket : arena_printf(&arena, "%s/troupe.sock", m.run),
                           .timeout_ms = TIMEOUT_MS};
    client_t *client;
    e = client_new(&to, &client, why);
    if (!e) {
        e = print(client, &arena, why);
        client_destroy(&client);
    }
    arena_done(&arena);
    return e;
}
