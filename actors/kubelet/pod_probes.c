// The pod actor's pulse: startup, liveness and readiness probes of its containers.
//
// A container with a startup probe is asked nothing else until that has succeeded. Each probe has a
// timer of its own; its answer arms the next.
#include "actors/kubelet/pod_state.h"

enum {
    PERIOD_DEFAULT_S = 10,
    TIMEOUT_DEFAULT_S = 1,
    FAILURES_DEFAULT = 3,
    PROBE_SLACK_MS = 200,
    OUTPUT_MAX = 512
};
static const char *const probe_names[] = {
    [PROBE_STARTUP] = "Startup", [PROBE_LIVENESS] = "Liveness", [PROBE_READINESS] = "Readiness"};

static const Core__Probe *spec_of(const pod_member_t *m, probe_kind_t kind) {
    return kind == PROBE_STARTUP    ? m->spec->startupprobe
           : kind == PROBE_LIVENESS ? m->spec->livenessprobe
                                    : m->spec->readinessprobe;
}

static uint64_t tag_of(size_t member, probe_kind_t kind) {
    return POD_TAG_PROBE + member * 4 + kind;
}

static const pod_container_t *running(pod_t *self, actor_t *me, size_t member) {
    const pod_view_t view = pod_view_of(self, me);
    const pod_container_t *c = pod_newest(&view, &self->members.at[member]);
    return c && c->state == CONTAINER_RUNNING && !c->stopping ? c : NULL;
}

static void arm(actor_t *me, size_t member, probe_kind_t kind, const pod_container_t *c) {
    pod_t *self = actor_state(me);
    const pod_member_t *m = &self->members.at[member];
    const Core__Probe *probe = spec_of(m, kind);
    probe_state_t *state = &self->more.at[member].probes[kind];
    if (!probe || (kind != PROBE_STARTUP && !m->started)) return;
    if (state->container && !streq(state->container, c->id)) {
        free(state->container);
        *state = (probe_state_t){0};
    }
    if (state->armed || (kind == PROBE_STARTUP && m->started)) return;
    bool first = !state->container;
    if (first) state->container = str_dup(c->id);
    int64_t delay_ms = (probe->periodseconds > 0 ? probe->periodseconds : PERIOD_DEFAULT_S) * 1000;
    if (first) {
        delay_ms = c->started_ms + (int64_t)probe->initialdelayseconds * 1000 - actor_wall_ms(me);
        if (delay_ms < 0) delay_ms = 0;
    }
    state->armed = true;
    actor_timer(me, tag_of(member, kind), delay_ms);
}

void pod_probes_arm(actor_t *me) {
    pod_t *self = actor_state(me);
    for (size_t i = 0; i < self->members.len; i++) {
        const Core__Container *spec = self->members.at[i].spec;
        if (!spec->startupprobe && !spec->livenessprobe && !spec->readinessprobe) continue;
        const pod_container_t *c = running(self, me, i);
        for (int kind = 0; c && kind < PROBE_KINDS; kind++) arm(me, i, (probe_kind_t)kind, c);
    }
}

static void ask_network(actor_t *me, const op_t *op, const pod_member_t *m,
                        const Core__ProbeHandler *h, int64_t timeout_ms) {
    pod_t *self = actor_state(me);
    arena_t *arena = actor_arena(me);
    pod_scene_t scene = pod_scene_of(self, me);
    Node__Probe what = {.base.descriptor = &node__probe__descriptor,
                        .kind = NODE__PROBE__KIND__TCP,
                        .host = scene.pod_ip};
    if (h->httpget) {
        what.kind = NODE__PROBE__KIND__HTTP;
        what.port = container_port(m->spec, h->httpget->port);
        what.path = is_empty(h->httpget->path) ? "/" : h->httpget->path;
        if (!is_empty(h->httpget->host)) what.host = h->httpget->host;
        what.headers = ARENA_ARRAY(arena, const char *, h->httpget->n_httpheaders + 1);
        for (size_t i = 0; i < h->httpget->n_httpheaders; i++) {
            const Core__HTTPHeader *header = h->httpget->httpheaders[i];
            if (streq(or_empty(header->name), "Host"))
                what.host_header = or_empty(header->value);
            else
                what.headers[what.n_headers++] =
                    arena_printf(arena, "%s: %s", or_empty(header->name), or_empty(header->value));
        }
    } else if (h->tcpsocket) {
        what.port = container_port(m->spec, h->tcpsocket->port);
        if (!is_empty(h->tcpsocket->host)) what.host = h->tcpsocket->host;
    } else if (h->grpc) {
        what.port =
            (uint32_t)h->grpc->port; // whether it takes a connection, not whether it serves health
    }
    pod_ask_runtime(me, op, &what.base, timeout_ms);
}

void pod_probe_due(actor_t *me, uint64_t tag) {
    pod_t *self = actor_state(me);
    size_t member = (tag - POD_TAG_PROBE) / 4;
    probe_kind_t kind = (probe_kind_t)((tag - POD_TAG_PROBE) % 4);
    if (member >= self->members.len) return;
    const pod_member_t *m = &self->members.at[member];
    probe_state_t *state = &self->more.at[member].probes[kind];
    const Core__Probe *probe = spec_of(m, kind);
    const pod_container_t *c = running(self, me, member);
    state->armed = false;
    if (!c || !probe || !probe->handler || state->asked ||
        !streq(or_empty(state->container), c->id))
        return;
    state->asked = state->armed = true;
    op_t *op = pod_op(self, OP_PROBE, c->id, self->more.at[member].name);
    op->probe = (int)kind;
    int64_t timeout_s = probe->timeoutseconds > 0 ? probe->timeoutseconds : TIMEOUT_DEFAULT_S;
    if (!probe->handler->exec) {
        ask_network(me, op, m, probe->handler, timeout_s * 1000);
        return;
    }
    Cri__ExecSyncRequest request = {.base.descriptor = &cri__exec_sync_request__descriptor,
                                    .container_id = op->id,
                                    .n_cmd = probe->handler->exec->n_command,
                                    .cmd = probe->handler->exec->command,
                                    .timeout = timeout_s};
    pod_ask_runtime(me, op, &request.base, timeout_s * 1000 + PROBE_SLACK_MS);
}

static void succeeded(pod_t *self, size_t member, probe_kind_t kind) {
    if (kind == PROBE_READINESS) self->members.at[member].ready = true;
    if (kind == PROBE_STARTUP) self->members.at[member].started = true;
}

static void failed(pod_t *self, size_t member, probe_kind_t kind) {
    member_more_t *more = &self->more.at[member];
    if (kind == PROBE_READINESS) {
        self->members.at[member].ready = false;
        return;
    }
    free(more->unhealthy_id);
    more->unhealthy_id = str_dup(more->probes[kind].container);
    more->unhealthy_probe = kind == PROBE_STARTUP ? "startup" : "liveness";
}

void pod_probe_heard(actor_t *me, const op_t *op, bool ok, const char *output) {
    pod_t *self = actor_state(me);
    size_t member = pod_member_at(self, op->member);
    if (member == SIZE_MAX) return;
    probe_kind_t kind = (probe_kind_t)op->probe;
    const pod_member_t *m = &self->members.at[member];
    const Core__Probe *probe = spec_of(m, kind);
    probe_state_t *state = &self->more.at[member].probes[kind];
    state->asked = state->armed = false;
    if (!probe || !streq(or_empty(state->container), op->id)) return;
    state->successes = ok ? state->successes + 1 : 0;
    state->failures = ok ? 0 : state->failures + 1;
    int enough = ok ? (probe->successthreshold > 0 ? probe->successthreshold : 1)
                    : (probe->failurethreshold > 0 ? probe->failurethreshold : FAILURES_DEFAULT);
    if (!ok)
        pod_event(me, op->member, "Warning", "Unhealthy", "%s probe failed: %.*s",
                  probe_names[kind], OUTPUT_MAX, output);
    if (ok && state->successes >= enough) succeeded(self, member, kind);
    if (!ok && state->failures >= enough) failed(self, member, kind);
}
