// A command's way through the actors: each hop with the time it waited and the time it was handled.
#include "cli/troupectl/ctl.h"
#include "runtime/actor/api_client.h"
#include <errno.h>
#include <time.h>

enum { SETTLE_MS = 300 }; // what a command set off goes on a little after its answer

static const char *short_type(const char *type) {
    return has_prefix(type, "troupe.") ? type + strlen("troupe.") : type;
}

static void print_hops(Actor__TraceHop **hops, size_t len) {
    if (len == 0) return;
    // The server has put them into the order of their handling; queues are shown before it.
    int64_t start_us = hops[0]->sent_us + hops[0]->queued_us;
    fprintf(stderr, "%10s %9s %9s  %s\n", "AT", "QUEUED", "HANDLED", "PATH");
    for (size_t i = 0; i < len; i++) {
        const Actor__TraceHop *h = hops[i];
        fprintf(stderr, "%8.2fms %7lldus %7lldus  %s → %s  %s%s (%u bytes)\n",
                (double)(h->sent_us + h->queued_us - start_us) / 1000.0, (long long)h->queued_us,
                (long long)h->handled_us, h->from, h->to, short_type(h->type),
                h->in_reply_to ? " [answer]" : "", h->body_bytes);
    }
}

// Chrome's trace events, which ui.perfetto.dev reads: a process a row group, an actor a row; for
// each hop its time in the queue and its time in the handler.
static void perfetto_event(FILE *out, const char *process, const char *actor, const char *name,
                           const char *part, int64_t at_us, int64_t spent_us) {
    text_t line = TEXT_HEAP;
    text_add(&line, "{\"ph\":\"X\",\"cat\":");
    api_json_string(&line, part);
    text_add(&line, ",\"name\":");
    api_json_string(&line, name);
    text_add(&line, ",\"pid\":");
    api_json_string(&line, process);
    text_add(&line, ",\"tid\":");
    api_json_string(&line, actor);
    text_addf(&line, ",\"ts\":%lld,\"dur\":%lld}", (long long)at_us, (long long)spent_us);
    fputs(text_str(&line), out);
    text_done(&line);
}

static int write_perfetto(const char *file, Actor__TraceHop **hops, size_t len) {
    FILE *out = fopen(file, "we");
    if (!out) return refuse("%s: %s", file, strerror(errno));
    fputs("{\"traceEvents\":[\n", out);
    for (size_t i = 0; i < len; i++) {
        const Actor__TraceHop *h = hops[i];
        if (i) fputs(",\n", out);
        perfetto_event(out, h->process, h->to, "queue", short_type(h->type), h->sent_us,
                       h->queued_us);
        fputs(",\n", out);
        perfetto_event(out, h->process, h->to, short_type(h->type), h->from,
                       h->sent_us + h->queued_us, h->handled_us);
    }
    fputs("\n]}\n", out);
    if (fclose(out)) return refuse("%s: %s", file, strerror(errno));
    return 0;
}

int cmd_trace(ctl_t *ctl) {
    Actor__TraceQuery query = {PROTOBUF_C_MESSAGE_INIT(&actor__trace_query__descriptor)};
    bool own = !streq(ctl->verb, "trace"); // --trace of another verb
    if (own) {
        query.trace_id = client_trace_id(ctl->client);
        struct timespec pause = {.tv_nsec = SETTLE_MS * 1000L * 1000L};
        nanosleep(&pause, NULL);
    } else if (ctl->o.last)
        query.last = true;
    else if (ctl->words.len == 1) {
        char *end;
        query.trace_id = strtoull(ctl->words.at[0], &end, 16);
        if (*end || !query.trace_id)
            return refuse("invalid trace id \"%s\": want hexadecimal digits", ctl->words.at[0]);
    } else
        return refuse("want a trace ID, or --last");
    void *answer;
    failure_t failure;
    if (ctl_ask(ctl, &query.base, &actor__trace_hops__descriptor, &answer, &failure))
        return refuse_failure(&failure);
    Actor__TraceHops *hops = answer;
    if (hops->n_hops == 0) return refuse("no such trace: the ring keeps the newest only");
    fprintf(stderr, "trace %016llx, %zu hops\n", (unsigned long long)hops->hops[0]->trace_id,
            hops->n_hops);
    print_hops(hops->hops, hops->n_hops);
    return ctl->o.perfetto ? write_perfetto(ctl->o.perfetto, hops->hops, hops->n_hops) : 0;
}
