// Addresses of services: what a write takes and gives back.
#include "actors/apiserver/allocs.h"
#include "actors/apiserver/keys.h"
#include "runtime/base/text.h"
#include "tests/support/build.h"
#include "tests/support/leaks.h"

typedef struct {
    arena_t arena;
    allocs_t held;
    alloc_ranges_t ranges;
    rng_t rng;
} bench_t;

static void hold(bench_t *b, const char *key, const char *owner) {
    allocs_set(&b->held, bytes_of_str(key), bytes_of_str(owner));
}

static bench_t bench(const char *cidr, const char *ports) {
    bench_t b = {0};
    why_t why;
    cr_assert_eq(alloc_ranges_parse(cidr, ports, &b.ranges, &why), ERR_OK, "%s", why.text);
    rng_init(&b.rng, 7);
    return b;
}

static void bench_done(bench_t *b) {
    allocs_done(&b->held);
    arena_done(&b->arena);
}

static Core__Service *service(bench_t *b, const char *script) {
    if (!script) return NULL;
    return build(&b->arena, &core__service__descriptor,
                 arena_printf(&b->arena, "metadata.name=s; metadata.namespace=d; %s", script));
}

// "take KEY … give KEY …", or the errors.
static const char *plan(bench_t *b, const char *script, const char *old) {
    field_errors_t errors = {.arena = &b->arena};
    alloc_plan_t p;
    why_t why;
    text_t out = {.arena = &b->arena};
    err_t err = service_allocate(&b->arena, &b->ranges, &b->held, &b->rng, service(b, script),
                                 service(b, old), &errors, &p, &why);
    if (err) return arena_strdup(&b->arena, why.text);
    for (size_t i = 0; i < errors.len; i++)
        text_addf(&out, "%s\n", field_error_text(&b->arena, &errors.at[i]));
    for (size_t i = 0; !errors.len && i < p.take_len; i++)
        text_addf(&out, "take %s\n", p.take[i] + strlen("/troupe/alloc/"));
    for (size_t i = 0; !errors.len && i < p.give_len; i++)
        text_addf(&out, "give %s\n", p.give[i] + strlen("/troupe/alloc/"));
    return text_str(&out);
}

Test(allocs, a_write_takes_what_is_new_and_gives_back_what_is_gone)
{
    static const struct {
        const char *now, *old, *says;
    } rows[] = {
        {"spec.clusterIP=10.0.0.9; spec.type=ClusterIP", NULL, "take ip/10.0.0.9\n"},
        {"spec.clusterIP=None; spec.type=ClusterIP", NULL, ""},
        {"spec.type=ExternalName; spec.externalName=x", NULL, ""},
        {"spec.clusterIP=10.0.0.9; spec.type=NodePort; spec.ports[0].port=80; "
         "spec.ports[0].nodePort=105",
         NULL, "take ip/10.0.0.9\ntake port/105\n"},
        // One number may serve two protocols.
        {"spec.clusterIP=10.0.0.9; spec.type=NodePort; spec.ports[0].nodePort=105; "
         "spec.ports[0].protocol=TCP; spec.ports[1].nodePort=105; spec.ports[1].protocol=UDP",
         NULL, "take ip/10.0.0.9\ntake port/105\n"},
        {"spec.clusterIP=10.0.0.9; spec.type=ClusterIP",
         "spec.clusterIP=10.0.0.9; spec.type=NodePort; spec.ports[0].nodePort=105",
         "give port/105\n"},
        {"spec.type=ExternalName",
         "spec.clusterIP=10.0.0.9; spec.type=NodePort; spec.ports[0].nodePort=105",
         "give ip/10.0.0.9\ngive port/105\n"},
        {"spec.clusterIP=10.0.0.9; spec.type=NodePort; spec.ports[0].nodePort=106",
         "spec.clusterIP=10.0.0.9; spec.type=NodePort; spec.ports[0].nodePort=105",
         "take port/106\ngive port/105\n"},
        {"spec.clusterIP=10.0.0.8; spec.type=ClusterIP", NULL,
         "spec.clusterIPs: Invalid value: []string{\"10.0.0.8\"}: failed to allocate IP 10.0.0.8: "
         "provided IP is already allocated\n"},
        {"spec.clusterIP=10.0.0.9; spec.type=NodePort; spec.ports[0].nodePort=104", NULL,
         "spec.ports[0].nodePort: Invalid value: 104: provided port is already allocated\n"},
        {"spec.clusterIP=10.0.0.0; spec.type=ClusterIP", NULL,
         "spec.clusterIPs: Invalid value: []string{\"10.0.0.0\"}: failed to allocate IP 10.0.0.0: "
         "the provided network does not match the current range\n"},
        {"spec.clusterIP=10.0.0.255; spec.type=ClusterIP", NULL,
         "spec.clusterIPs: Invalid value: []string{\"10.0.0.255\"}: failed to allocate IP "
         "10.0.0.255: the provided network does not match the current range\n"},
    };
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        bench_t b = bench("10.0.0.0/24", "100-199");
        hold(&b, "/troupe/alloc/ip/10.0.0.8", "d/other");
        hold(&b, "/troupe/alloc/port/104", "d/other");
        const char *says = plan(&b, rows[i].now, rows[i].old);
        cr_expect_str_eq(says, rows[i].says, "row %zu: %s", i, says);
        bench_done(&b);
    }
    ASSERT_NO_LEAKS();
}

Test(allocs, drawn_addresses_are_free_and_above_the_band_until_that_is_full)
{
    bench_t b = bench("10.0.0.0/24", "100-199");
    int low = 0;
    for (int i = 0; i < 100; i++) {
        Core__Service *svc = service(&b, "spec.type=NodePort; spec.ports[0].port=80");
        svc->metadata->name = arena_printf(&b.arena, "s%d", i);
        field_errors_t errors = {.arena = &b.arena};
        alloc_plan_t p;
        why_t why;
        cr_assert_eq(service_allocate(&b.arena, &b.ranges, &b.held, &b.rng, svc, NULL, &errors, &p,
                                      &why),
                     ERR_OK, "%s", why.text);
        cr_assert_eq(p.take_len, 2);
        for (int k = 0; k < 2; k++) {
            cr_assert_null(allocs_owner(&b.held, p.take[k]), "%s is held already", p.take[k]);
            hold(&b, p.take[k], svc->metadata->name);
        }
        if (svc->spec->ports[0]->nodeport < 116) low++;
        if (i < 84) cr_assert_eq(low, 0, "the band is left to manifests while there is room");
    }
    cr_expect_eq(low, 16);
    cr_expect_str_eq(plan(&b, "spec.type=NodePort; spec.ports[0].port=80", NULL),
                     "failed to allocate a nodePort: range is full");
    bench_done(&b);
    ASSERT_NO_LEAKS();
}

Test(allocs, bad_ranges_are_refused)
{
    static const char *const bad[][2] = {
        {"10.96.0.0", "30000-32767"},    {"10.96.0.0/33", "30000-32767"},
        {"x/16", "30000-32767"},         {"10.96.0.0/16", "30000"},
        {"10.96.0.0/16", "5-4"},         {"10.96.0.0/16", "1-70000"},
        {"10.96.0.0/16", "30000-32767x"}};
    for (size_t i = 0; i < LENGTH_OF(bad); i++) {
        alloc_ranges_t ranges;
        why_t why;
        cr_expect_eq(alloc_ranges_parse(bad[i][0], bad[i][1], &ranges, &why), ERR_MALFORMED, "%zu",
                     i);
    }
}
