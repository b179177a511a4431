// Messages that reached nobody, as every process keeps the newest of them.
#include "cli/troupectl/ctl.h"
#include "runtime/base/clock.h"

static int by_time(const void *a, const void *b) {
    const Actor__DeadLetter *x = *(Actor__DeadLetter *const *)a,
                            *y = *(Actor__DeadLetter *const *)b;
    return (x->wall_ms > y->wall_ms) - (x->wall_ms < y->wall_ms);
}

int cmd_dead_letters(ctl_t *ctl) {
    Actor__ListDeadLetters ask = {PROTOBUF_C_MESSAGE_INIT(&actor__list_dead_letters__descriptor)};
    void *answer;
    failure_t failure;
    if (ctl_ask(ctl, &ask.base, &actor__dead_letters__descriptor, &answer, &failure))
        return refuse_failure(&failure);
    Actor__DeadLetters *dead = answer;
    if (!dead->n_letters) {
        fprintf(stderr, "No letters are dead.\n");
        return 0;
    }
    qsort(dead->letters, dead->n_letters, sizeof *dead->letters, by_time);
    printf("%-20s  %-12s %-28s %-28s %-36s %s\n", "TIME", "PROCESS", "FROM", "TO", "TYPE", "WHY");
    for (size_t i = 0; i < dead->n_letters; i++) {
        const Actor__DeadLetter *l = dead->letters[i];
        char when[TIME_TEXT_MAX];
        printf("%-20s  %-12s %-28s %-28s %-36s %s\n", clock_rfc3339(l->wall_ms, when), l->process,
               l->from, l->to, l->type, l->why);
    }
    return 0;
}
