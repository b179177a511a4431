#include "cli/troupectl/ctl.h"

enum { CHUNK_WAIT_MS = 24 * 3600 * 1000, RESUMES_MAX = 50 };

static bool fill_request(ctl_t *ctl, const char *pod, Api__PodLogs *request) {
    const flags_t *o = &ctl->o;
    request->namespace_ = ctl_namespace(ctl);
    request->pod = pod;
    request->container = o->container ? o->container : ctl->words.len > 1 ? ctl->words.at[1] : "";
    request->follow = o->follow;
    request->previous = o->previous;
    request->timestamps = o->timestamps;
    int64_t lines;
    if (o->tail) {
        if (!parse_int(o->tail, -1, INT32_MAX, &lines))
            return refuse("invalid --tail \"%s\": want a number of lines", o->tail), false;
        request->has_tail = lines >= 0;
        request->tail_lines = lines;
    }
    int64_t since_ms;
    if (o->since) {
        if (!parse_duration_ms(o->since, &since_ms))
            return refuse("invalid --since \"%s\": want a duration such as 5m", o->since), false;
        request->since_seconds = (since_ms + 999) / 1000;
    }
    return true;
}

int cmd_logs(ctl_t *ctl) {
    const char *pod = ctl_pod_argument(ctl);
    if (!pod) return EXIT_FAILED;
    Api__PodLogs request = {PROTOBUF_C_MESSAGE_INIT(&api__pod_logs__descriptor)};
    if (!fill_request(ctl, pod, &request) || !ctl_client(ctl)) return EXIT_FAILED;
    failure_t failure = {0};
    err_t err = ERR_OK;
    // A broken stream goes on from the byte where it stopped.
    for (int resumes = 0; resumes <= RESUMES_MAX; resumes++) {
        client_stream_t *stream = client_open(ctl->client, "apiserver", &request.base);
        arena_t arena = {0};
        do {
            void *chunk;
            arena_clear(&arena);
            err = client_next(stream, &arena, &api__log_chunk__descriptor, CHUNK_WAIT_MS, &chunk,
                              &failure);
            if (err) break;
            const Api__LogChunk *log = chunk;
            fwrite(log->data.data, 1, log->data.len, stdout);
            fflush(stdout);
            if (log->offset) request.offset = log->offset;
        } while (!ferror(stdout));
        arena_done(&arena);
        client_close(&stream);
        if (err != ERR_GAP || ferror(stdout)) break;
    }
    return err == ERR_CANCELLED ? 0 : refuse_failure(&failure);
}
