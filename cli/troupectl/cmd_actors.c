// An actor goes to another process while the rest runs.
#include "cli/troupectl/ctl.h"
#include "runtime/base/clock.h"
#include <poll.h>

enum { ARRIVAL_MAX_MS = 15 * 1000, LOOK_MS = 50 };

static err_t ask_actors(ctl_t *ctl, Actor__ActorInfos **ret_infos, failure_t *failure) {
    Actor__ListActors list = {PROTOBUF_C_MESSAGE_INIT(&actor__list_actors__descriptor)};
    return ctl_ask(ctl, &list.base, &actor__actor_infos__descriptor, (void **)ret_infos, failure);
}

static const Actor__ActorInfo *find(const Actor__ActorInfos *infos, const char *address) {
    const Actor__ActorInfo *found = NULL; // it may be heard of twice for a moment: the newer one
    for (size_t i = 0; i < infos->n_actors; i++) {
        const Actor__ActorInfo *a = infos->actors[i];
        if (streq(a->address, address) && (!found || a->incarnation > found->incarnation))
            found = a;
    }
    return found;
}

// Until its next life shows, here or there. NULL: it did not, in time.
static const Actor__ActorInfo *await_arrival(ctl_t *ctl, const char *address, uint64_t before) {
    int64_t deadline_ms = clock_monotonic_ms() + ARRIVAL_MAX_MS;
    while (clock_monotonic_ms() < deadline_ms) {
        Actor__ActorInfos *infos;
        failure_t failure;
        poll(NULL, 0, LOOK_MS);
        // It may be the API server that is on its way.
        if (ask_actors(ctl, &infos, &failure)) continue;
        const Actor__ActorInfo *a = find(infos, address);
        if (a && a->incarnation > before && !streq(a->state, "starting")) return a;
    }
    return NULL;
}

// A process' name, "own", or a host's: there the process that runs one of its kind. NULL: refused.
static const char *resolve(const Actor__ActorInfos *infos, const char *address, const char *to) {
    size_t role_len = strcspn(address, "/");
    const char *found = NULL;
    bool is_host = false;
    for (size_t i = 0; i < infos->n_actors; i++) {
        const Actor__ActorInfo *a = infos->actors[i];
        if (streq(a->process, to)) return to;
        if (!streq(a->host, to)) continue;
        is_host = true;
        bool is_like = strlen(a->role) == role_len && !strncmp(a->role, address, role_len);
        if (is_like && !found) found = a->process;
    }
    if (!is_host) return to;
    if (!found) refuse("host %s runs no %.*s: name the process", to, (int)role_len, address);
    return found;
}

static int move(ctl_t *ctl, const char *address) {
    Actor__ActorInfos *infos;
    failure_t failure;
    int64_t began_ms = clock_monotonic_ms();
    if (ask_actors(ctl, &infos, &failure)) return refuse_failure(&failure);
    const Actor__ActorInfo *a = find(infos, address);
    Actor__MoveActor order = {PROTOBUF_C_MESSAGE_INIT(&actor__move_actor__descriptor)};
    order.address = address;
    order.from = a ? a->process : "";
    order.to = resolve(infos, address, ctl->o.to);
    if (!order.to) return EXIT_FAILED;
    void *answer;
    if (ctl_ask(ctl, &order.base, &actor__done__descriptor, &answer, &failure))
        return refuse("%s%s cannot move to %s: %s", address, a ? "" : " runs nowhere and",
                      ctl->o.to, failure.message);
    const char *from = a ? arena_printf(&ctl->arena, "process %s", a->process) : "nowhere";
    const Actor__ActorInfo *now = await_arrival(ctl, address, a ? a->incarnation : 0);
    if (!now) return refuse("%s has left %s and was not seen since", address, from);
    if (a && streq(now->process, a->process))
        return refuse("%s is back in %s: the log of `troupe up` says why", address, from);
    printf("%s moved from %s to %s in %lld ms\n", address, from, now->process,
           (long long)(clock_monotonic_ms() - began_ms));
    return 0;
}

int cmd_actors(ctl_t *ctl) {
    if (ctl->words.len != 2 || !streq(ctl->words.at[0], "move") || is_empty(ctl->o.to))
        return refuse(
            "want: actors move ROLE/NAME --to PROCESS|HOST (\"own\": a process of its own)");
    return move(ctl, ctl->words.at[1]);
}
