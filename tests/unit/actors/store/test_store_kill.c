// A real process with the store in it, on RocksDB and a real disk, killed with SIGKILL while it
// writes, over and over: what it had acknowledged is there when it comes back.
#include "actors/store/disk_actor.h"
#include "actors/store/store_actor.h"
#include "runtime/actor/process.h"
#include "runtime/base/log.h"
#include "runtime/base/text.h"
#include "tests/support/leaks.h"
#include "troupe/store.pb-c.h"
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 6, OPEN = 16, KEYS_MAX = 20 * 1000, VALUE_BYTES = 600 };

// What outlives a killed child: which keys it had acknowledged.
typedef struct {
    _Atomic uint8_t acked[KEYS_MAX];
    uint32_t next;
} ledger_t;

typedef struct {
    ledger_t *ledger;
    int out; // a byte per acknowledgement; 'L' first: a key was lost
} writer_args_t;
typedef struct {
    const writer_args_t *args;
} writer_t;

static void tell_parent(actor_t *me, char what) {
    const writer_args_t *args = ((writer_t *)actor_state(me))->args;
    if (write(args->out, &what, 1) != 1) _exit(3);
}

static void put_next(actor_t *me) {
    ledger_t *ledger = ((writer_t *)actor_state(me))->args->ledger;
    if (ledger->next >= KEYS_MAX) return;
    char key[16];
    uint8_t value[VALUE_BYTES];
    int len = snprintf(key, sizeof key, "k%06u", ledger->next);
    memset(value, 'v', sizeof value);
    Store__PutOp put = {.base = PROTOBUF_C_MESSAGE_INIT(&store__put_op__descriptor)};
    put.key = (ProtobufCBinaryData){(size_t)len, (uint8_t *)key};
    put.value = (ProtobufCBinaryData){sizeof value, value};
    Store__Op op = {.base = PROTOBUF_C_MESSAGE_INIT(&store__op__descriptor)};
    op.op_case = STORE__OP__OP_PUT;
    op.put = &put;
    Store__Op *ops[] = {&op};
    Store__TxnRequest txn = {.base = PROTOBUF_C_MESSAGE_INIT(&store__txn_request__descriptor)};
    txn.then = ops;
    txn.n_then = 1;
    actor_ask(me, "store/m1", &txn.base, 30000, ledger->next++);
}

static void writer_acked(actor_t *me, const message_t *msg, const void *body) {
    atomic_store(&((writer_t *)actor_state(me))->args->ledger->acked[msg->tag], 1);
    tell_parent(me, 'a');
    put_next(me);
}

// The first thing it does: is all there that an earlier life had acknowledged?
static void writer_read(actor_t *me, const message_t *msg, const void *body) {
    const Store__RangeReply *reply = body;
    ledger_t *ledger = ((writer_t *)actor_state(me))->args->ledger;
    size_t at = 0;
    for (uint32_t i = 0; i < ledger->next; i++) {
        char key[16];
        int len = snprintf(key, sizeof key, "k%06u", i);
        while (at < reply->n_kvs && memcmp(reply->kvs[at]->key.data, key, (size_t)len) < 0) at++;
        bool there = at < reply->n_kvs && memcmp(reply->kvs[at]->key.data, key, (size_t)len) == 0;
        if (!there && atomic_load(&ledger->acked[i])) tell_parent(me, 'L');
    }
    tell_parent(me, 'a');
    for (int i = 0; i < OPEN; i++) put_next(me);
}

static void writer_timer(actor_t *me, uint64_t tag) {
    Store__RangeRequest range = {.base =
                                     PROTOBUF_C_MESSAGE_INIT(&store__range_request__descriptor)};
    range.key = (ProtobufCBinaryData){1, (uint8_t *)"k"};
    range.range_end = (ProtobufCBinaryData){1, (uint8_t *)"l"};
    range.keys_only = true;
    actor_ask(me, "store", &range.base, 5000, 0);
}
static void writer_failed(actor_t *me, const message_t *msg, const void *body) {
    actor_timer(me, 1, 1);
}
static err_t writer_start(actor_t *me, const void *args, why_t *why) {
    ((writer_t *)actor_state(me))->args = args;
    actor_timer(me, 1, 1);
    return ERR_OK;
}
static const handler_t writer_rows[] = {{&store__txn_reply__descriptor, writer_acked, NULL},
                                        {&store__range_reply__descriptor, writer_read, NULL},
                                        {&actor__failure__descriptor, writer_failed, NULL},
                                        {0}};
static const actor_def_t writer_actor = {.role = "test",
                                         .state_size = sizeof(writer_t),
                                         .start = writer_start,
                                         .handlers = writer_rows,
                                         .on_timer = writer_timer};

static void live(const char *dir, writer_args_t *writer) {
    disk_args_t disk = {.data_dir = dir, .member = "m1", .segment_bytes = 1 << 20};
    store_args_t store = {.data_dir = dir, .member = "m1"};
    process_t *p = NULL;
    process_options_t options = {.name = "kill", .host = "here"};
    why_t why;
    err_t err = process_new(&options, &p, &why);
    if (err == ERR_OK) err = process_add_dispatcher(p, "store", &why);
    if (err == ERR_OK) err = process_add_dispatcher(p, "disk", &why);
    if (err == ERR_OK) err = process_spawn(p, "disk", &disk_actor, "m1", &disk, NULL, &why);
    if (err == ERR_OK) err = process_spawn(p, "store", &store_actor, "m1", &store, NULL, &why);
    if (err == ERR_OK) err = process_spawn(p, "store", &writer_actor, "w", writer, NULL, &why);
    if (err != ERR_OK) {
        fprintf(stderr, "%s\n", why.text);
        _exit(2);
    }
    for (;;) pause(); // until the kill
}

// Lets a child live for `acks` acknowledgements. False: it lost a key, or died by itself.
static bool one_life(const char *dir, ledger_t *ledger, size_t acks) {
    int pipes[2];
    cr_assert_eq(pipe(pipes), 0);
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        writer_args_t writer = {ledger, pipes[1]};
        log_set_level(LOG_LEVEL_ERROR);
        close(pipes[0]);
        live(dir, &writer);
    }
    close(pipes[1]);
    bool ok = true;
    char what = 0;
    for (size_t i = 0; i < acks && ok; i++) ok = read(pipes[0], &what, 1) == 1 && what == 'a';
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(pipes[0]);
    return ok;
}

Test(store_kill, what_was_acknowledged_survives_sigkill, .timeout = 60)
{
    char dir[] = "/tmp/store-kill-XXXXXX";
    cr_assert_not_null(mkdtemp(dir));
    ledger_t *ledger =
        mmap(NULL, sizeof *ledger, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(ledger, MAP_FAILED);
    for (size_t round = 0; round < ROUNDS; round++)
        cr_assert(one_life(dir, ledger, 100 + round * 137),
                  "round %zu: an acknowledged key is lost", round);
    cr_assert(one_life(dir, ledger, 1), "the last look: an acknowledged key is lost");
    munmap(ledger, sizeof *ledger);
    CLEANUP(free_charp) char *command = str_printf("rm -r '%s'", dir);
    FILE *p = popen(command, "r");
    if (p) pclose(p);
    ASSERT_NO_LEAKS();
}
