// A process is built by one thread (main's), which also stops it; everything else happens on the
// dispatchers' threads. The first dispatcher, "system", runs system/PROCESS; every dispatcher has
// a steward.
#include "runtime/actor/process_inner.h"
#include "runtime/actor/system_actor.h"
#include "runtime/base/log.h"
#include "runtime/base/vec.h"
#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

typedef struct {
    dispatcher_t *dispatcher;
    char *address; // owned
} spawned_t;

struct process {
    process_options_t options; // its strings are the arena's
    arena_t arena;
    uint64_t boot_id;
    bus_t *bus;
    directory_t *directory;
    faults_t *faults;
    trace_t *trace;
    dead_letters_t *dead_letters;
    VEC(dispatcher_t *) dispatchers;
    VEC(spawned_t) spawned; // in order of start
    bool stopped;
    pthread_mutex_t exit_lock; // of the two below
    int exit_fd;
    char *exit_reason;
};

const process_options_t *process_options(const process_t *p) { return &p->options; }
uint64_t process_boot_id(const process_t *p) { return p->boot_id; }
bus_t *process_bus(const process_t *p) { return p->bus; }
directory_t *process_directory(const process_t *p) { return p->directory; }
faults_t *process_faults(const process_t *p) { return p->faults; }
trace_t *process_trace(const process_t *p) { return p->trace; }
arena_t *process_arena(process_t *p) { return &p->arena; }

// ---- the directory's news, to every dispatcher -------------------------------------------------

typedef struct {
    bus_order_t order;
    notice_t notice; // owned names and reason
} news_t;

static void run_news(bus_order_t *order, stage_t *stage) {
    news_t *news = (news_t *)order;
    if (stage) stage_notice(stage, &news->notice);
    place_done(&news->notice.place);
    free((char *)news->notice.reason);
    free(news);
}

static void on_directory(void *arg, const notice_t *notice) {
    process_t *p = arg;
    for (uint32_t port = 0, len = bus_ports(p->bus); port < len; port++) {
        news_t *news = NEW(news_t);
        news->order.run = run_news;
        news->notice = *notice;
        name_ref(news->notice.place.address);
        name_ref(news->notice.place.link);
        name_ref(news->notice.place.process);
        news->notice.reason = str_dup(notice->reason);
        bus_order(p->bus, port, &news->order);
    }
}

// ---- giving up ---------------------------------------------------------------------------------

static void on_exhausted(void *arg, const char *reason) {
    process_t *p = arg;
    pthread_mutex_lock(&p->exit_lock);
    if (!p->exit_reason) {
        p->exit_reason = str_dup(reason);
        eventfd_write(p->exit_fd, 1);
    }
    pthread_mutex_unlock(&p->exit_lock);
}

int process_exit_fd(const process_t *p) { return p->exit_fd; }

const char *process_exit_reason(const process_t *p) {
    pthread_mutex_t *lock = (pthread_mutex_t *)&p->exit_lock;
    pthread_mutex_lock(lock);
    const char *reason = p->exit_reason; // set once, never changed
    pthread_mutex_unlock(lock);
    return reason;
}

const char *process_hung(const process_t *p, int64_t hang_ms) {
    const char *role = NULL;
    for (size_t i = 0; i < p->dispatchers.len && !role; i++)
        role = dispatcher_hung(p->dispatchers.at[i], hang_ms);
    return role;
}

// ---- spawning ----------------------------------------------------------------------------------

static dispatcher_t *dispatcher_find(const process_t *p, const char *name) {
    for (size_t i = 0; i < p->dispatchers.len; i++)
        if (streq(dispatcher_name(p->dispatchers.at[i]), name)) return p->dispatchers.at[i];
    return NULL;
}

bool process_has_dispatcher(const process_t *p, const char *dispatcher) {
    return dispatcher_find(p, dispatcher);
}

typedef struct {
    const actor_def_t *def;
    const char *name;
    const void *args;
    const restart_policy_t *policy;
    err_t err;
    why_t *why;
} birth_t;

static void spawn_there(stage_t *stage, void *arg) {
    birth_t *b = arg;
    b->err = stage_spawn(stage, NULL, b->def, b->name, b->args, b->policy, NULL, b->why);
}

err_t process_spawn(process_t *p, const char *dispatcher, const actor_def_t *def, const char *name,
                    const void *args, const restart_policy_t *policy, why_t *why) {
    dispatcher_t *d = dispatcher_find(p, dispatcher);
    if (!d) return why_set(why, ERR_NOT_FOUND, "no dispatcher is called %s", dispatcher);
    // Not started: its thread is gone, or the dispatcher cannot be reached.
    birth_t birth = {def, name, args, policy, ERR_UNAVAILABLE, why};
    dispatcher_call(d, spawn_there, &birth);
    if (birth.err) return birth.err;
    vec_push(&p->spawned, ((spawned_t){d, str_printf("%s/%s", def->role, name)}));
    return ERR_OK;
}

err_t process_add_dispatcher(process_t *p, const char *name, why_t *why) {
    if (dispatcher_find(p, name)) return why_set(why, ERR_EXISTS, "dispatcher %s exists", name);
    dispatcher_t *d;
    err_t err = dispatcher_new(&(dispatcher_options_t){.name = name,
                                                       .process = p->options.name,
                                                       .host = p->options.host,
                                                       .bus = p->bus,
                                                       .directory = p->directory,
                                                       .faults = p->faults,
                                                       .trace = p->trace,
                                                       .dead_letters = p->dead_letters,
                                                       .restarts = p->options.restarts,
                                                       .last_reason = p->options.last_reason,
                                                       .exhausted = on_exhausted,
                                                       .exhausted_arg = p},
                               &d, why);
    if (err) return err;
    vec_push(&p->dispatchers, d);
    char *steward = str_printf("%s/%s", p->options.name, name);
    err = process_spawn(p, name, &steward_actor, steward, NULL, NULL, why);
    free(steward);
    return err;
}

// ---- life --------------------------------------------------------------------------------------

static err_t start_system(process_t *p, why_t *why) {
    err_t err = process_add_dispatcher(p, "system", why);
    if (err) return err;
    system_args_t *args = ARENA_NEW(&p->arena, system_args_t);
    *args = (system_args_t){&p->options, p->options.name, p->trace, p->faults, p->dead_letters};
    return process_spawn(p, "system", &system_actor, p->options.name, args, NULL, why);
}

err_t process_new(const process_options_t *options, process_t **ret_process, why_t *why) {
    process_t *p = NEW(process_t);
    p->options = *options;
    p->options.name = arena_strdup(&p->arena, options->name);
    p->options.host = arena_strdup(&p->arena, or_empty(options->host));
    if (options->last_reason)
        p->options.last_reason = arena_strdup(&p->arena, options->last_reason);
    p->boot_id = rng_seed_from_kernel();
    pthread_mutex_init(&p->exit_lock, NULL);
    p->bus = bus_new();
    p->directory = directory_new();
    directory_subscribe(p->directory, on_directory, p);
    p->faults = faults_new();
    p->trace = trace_new(options->trace_hops_max);
    p->dead_letters = dead_letters_new();
    p->exit_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    err_t err = p->exit_fd < 0 ? why_errno(why, errno, "eventfd") : start_system(p, why);
    if (err) {
        process_destroy(&p);
        return err;
    }
    *ret_process = p;
    return ERR_OK;
}

typedef struct {
    const char *address, *reason;
    bool found;
} retiree_t;

static void find_there(stage_t *stage, void *arg) {
    retiree_t *r = arg;
    r->found |= stage_find(stage, r->address) != NULL;
}

static void stop_there(stage_t *stage, void *arg) {
    retiree_t *r = arg;
    actor_t *actor = stage_find(stage, r->address);
    if (actor) stage_stop(stage, actor, r->reason);
}

bool process_runs(process_t *p, const char *address) {
    retiree_t r = {.address = address};
    for (size_t i = 0; i < p->spawned.len && !r.found; i++)
        if (streq(p->spawned.at[i].address, address))
            dispatcher_call(p->spawned.at[i].dispatcher, find_there, &r);
    return r.found;
}

void process_retire(process_t *p, const char *address, const char *reason) {
    retiree_t r = {address, reason};
    for (size_t i = p->spawned.len; i-- > 0;) {
        spawned_t *s = &p->spawned.at[i];
        if (!streq(s->address, address)) continue;
        dispatcher_call(s->dispatcher, stop_there, &r);
        free(s->address);
        vec_remove(&p->spawned, i);
    }
}

void process_stop(process_t *p) {
    if (p->stopped) return;
    p->stopped = true;
    for (size_t i = p->spawned.len; i-- > 0;) {
        retiree_t r = {p->spawned.at[i].address, "the process stops"};
        dispatcher_call(p->spawned.at[i].dispatcher, stop_there, &r);
    }
    for (size_t i = p->dispatchers.len; i-- > 0;) dispatcher_stop(p->dispatchers.at[i]);
}

void process_destroy(process_t **process) {
    process_t *p = x_steal(process);
    if (!p) return;
    process_stop(p);
    // The bus last but one: what still waits in it holds names and bodies, nothing of dispatchers.
    for (size_t i = p->dispatchers.len; i-- > 0;) dispatcher_destroy(&p->dispatchers.at[i]);
    bus_destroy(&p->bus);
    directory_destroy(&p->directory);
    faults_destroy(&p->faults);
    trace_destroy(&p->trace);
    dead_letters_destroy(&p->dead_letters);
    for (size_t i = 0; i < p->spawned.len; i++) free(p->spawned.at[i].address);
    vec_done(&p->spawned);
    vec_done(&p->dispatchers);
    if (p->exit_fd >= 0) close(p->exit_fd);
    pthread_mutex_destroy(&p->exit_lock);
    free(p->exit_reason);
    arena_done(&p->arena);
    free(p);
}
