// What is told to API servers, and to which.
#include "runtime/actor/api_client.h"
#include "runtime/sim/sim.h"
#include "support/leaks.h"

static int64_t told[3]; // by the number in the server's name

static void on_synced(actor_t *me, const message_t *msg, const void *body) {
    const Api__EndpointsSynced *synced = body;
    told[actor_name(me)[1] - '1'] = synced->revision;
}
static const handler_t server_rows[] = {{&api__endpoints_synced__descriptor, on_synced}, {NULL}};
static const actor_def_t server_actor = {.role = "apiserver", .handlers = server_rows};

static err_t teller_start(actor_t *me, const void *args, why_t *why) {
    actor_timer(me, 1, 100);
    return ERR_OK;
}
static void teller_timer(actor_t *me, uint64_t tag) {
    Api__EndpointsSynced synced = API__ENDPOINTS_SYNCED__INIT;
    synced.revision = 7;
    api_tell_all(me, &synced.base);
}
static const actor_def_t teller_actor = {
    .role = "proxy", .state_size = 1, .start = teller_start, .on_timer = teller_timer};

Test(api_client, what_all_are_to_hear_reaches_each_api_server_once_it_is_known)
{
    sim_t *sim = sim_new(1);
    why_t why;
    static const char *const names[] = {"m1", "m2", "m3"};
    for (size_t i = 0; i < LENGTH_OF(names); i++)
        cr_assert_eq(sim_spawn(sim, names[i], names[i], &server_actor, names[i], NULL, &why),
                     ERR_OK);
    cr_assert_eq(sim_spawn(sim, "n1", "n1", &teller_actor, "n1", NULL, &why), ERR_OK);
    sim_run_for(sim, 200);
    for (size_t i = 0; i < LENGTH_OF(told); i++) cr_expect_eq(told[i], 7, "%s", names[i]);
    sim_destroy(&sim);
    ASSERT_NO_LEAKS();
}
