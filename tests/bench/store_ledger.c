// Writes keys to a store and keeps a ledger of what was acknowledged; later sees whether it is
// there.
//
//     store_ledger write  --socket PATH --ledger FILE [--clients 8] [--bytes 1024] [--seconds 5]
//     store_ledger check  --socket PATH --ledger FILE       every line: that value, that revision
//     store_ledger put|get|delete KEY --socket PATH         one request; exit code 0: answered so
//
// A line of the ledger is "KEY REVISION\n", written after the answer: what it has was acknowledged,
// even if the line itself is torn by a copy. Each key is written once; its value follows from it.
// A failed request is forgotten (its outcome is unknown) and the next key is tried.
#include "cli/client/client.h"
#include "cli/options/options.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "troupe/store.pb-c.h"
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

enum {
    CONNECT_MS = 20 * 1000,
    CALL_MS = 2000,
    RETRY_MS = 20,
    CLIENTS_MAX = 64,
    PATIENCE_MS = 20000
};

typedef struct {
    const char *socket, *ledger;
    int64_t clients, bytes, seconds;
} wish_t;
static const option_t options[] = {
    {"socket", 0, OPTION_STRING, offsetof(wish_t, socket), "PATH", "of the store's process"},
    {"ledger", 0, OPTION_STRING, offsetof(wish_t, ledger), "FILE", "what was acknowledged"},
    {"clients", 0, OPTION_COUNT, offsetof(wish_t, clients), "N", "at the same time [8]"},
    {"bytes", 0, OPTION_COUNT, offsetof(wish_t, bytes), "N", "of a value [1024]"},
    {"seconds", 0, OPTION_COUNT, offsetof(wish_t, seconds), "N", "how long to write [5]"},
    {NULL},
};

typedef struct {
    const wish_t *wish;
    client_t *client;
    int64_t until_ms;
    int ledger_fd, number;
    uint64_t acked, failed;
    pthread_t thread;
} writer_t;

static _Noreturn void die(const char *what, const char *why) {
    fprintf(stderr, "store_ledger: %s: %s\n", what, why);
    _exit(2);
}

static client_t *connected(const wish_t *wish) {
    static const ProtobufCMessageDescriptor *const replies[] = {&store__txn_reply__descriptor,
                                                                &store__range_reply__descriptor,
                                                                NULL};
    client_options_t o = {.socket = wish->socket,
                          .timeout_ms = CONNECT_MS,
                          .peer = "store",
                          .role = "admin",
                          .replies = replies};
    client_t *client = NULL;
    why_t why;
    if (client_new(&o, &client, &why)) die("connect", why.text);
    client_set_timeout(client, CALL_MS);
    return client;
}

static ProtobufCBinaryData data_of(const char *text) {
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
}

// As long as asked for, and no two keys' alike.
static ProtobufCBinaryData value_of(arena_t *arena, const char *key, size_t len) {
    uint8_t *value = arena_alloc(arena, len + 1);
    uint64_t mix = 0;
    for (const char *c = key; *c; c++) mix = mix * 31 + (uint64_t)*c;
    for (size_t i = 0; i < len; i++) {
        mix = mix * 6364136223846793005u + 1442695040888963407u;
        value[i] = (uint8_t)(mix >> 56);
    }
    return (ProtobufCBinaryData){len, value};
}

static err_t ask_txn(client_t *client, arena_t *arena, Store__Op *op, int64_t *ret_revision,
                     failure_t *failure) {
    Store__Op *ops[] = {op};
    Store__TxnRequest txn = {.base = PROTOBUF_C_MESSAGE_INIT(&store__txn_request__descriptor)};
    txn.then = ops;
    txn.n_then = 1;
    Store__TxnReply *reply = NULL;
    err_t err = client_call(client, arena, "store", &txn.base, &store__txn_reply__descriptor,
                            (void **)&reply, failure);
    if (err == ERR_OK) *ret_revision = reply->revision;
    return err;
}

static err_t put(client_t *client, arena_t *arena, const char *key, size_t bytes,
                 int64_t *ret_revision, failure_t *failure) {
    Store__PutOp put = {.base = PROTOBUF_C_MESSAGE_INIT(&store__put_op__descriptor)};
    put.key = data_of(key);
    put.value = value_of(arena, key, bytes);
    Store__Op op = {.base = PROTOBUF_C_MESSAGE_INIT(&store__op__descriptor)};
    op.op_case = STORE__OP__OP_PUT;
    op.put = &put;
    return ask_txn(client, arena, &op, ret_revision, failure);
}

static err_t delete (client_t *client, arena_t *arena, const char *key, failure_t *failure) {
    Store__DeleteOp delete = {.base = PROTOBUF_C_MESSAGE_INIT(&store__delete_op__descriptor)};
    delete.key = data_of(key);
    Store__Op op = {.base = PROTOBUF_C_MESSAGE_INIT(&store__op__descriptor)};
    op.op_case = STORE__OP__OP_DELETE;
    op.delete_ = &delete;
    int64_t revision;
    return ask_txn(client, arena, &op, &revision, failure);
}

static err_t get(client_t *client, arena_t *arena, const char *key, Store__RangeReply **ret_reply,
                 failure_t *failure) {
    Store__RangeRequest range = {.base =
                                     PROTOBUF_C_MESSAGE_INIT(&store__range_request__descriptor)};
    range.key = data_of(key);
    return client_call(client, arena, "store", &range.base, &store__range_reply__descriptor,
                       (void **)ret_reply, failure);
}

// ---- write --------------------------------------------------------------------------------------
static void *write_keys(void *arg) {
    writer_t *w = arg;
    arena_t arena = {0};
    for (uint64_t i = 0; clock_monotonic_ms() < w->until_ms; i++) {
        arena_clear(&arena);
        char *key = arena_printf(&arena, "/ledger/%d/%d/%07llu", (int)getpid(), w->number,
                                 (unsigned long long)i);
        int64_t revision = 0;
        failure_t failure;
        if (put(w->client, &arena, key, (size_t)w->wish->bytes, &revision, &failure)) {
            w->failed++;
            poll(NULL, 0, RETRY_MS);
            continue;
        }
        char *line = arena_printf(&arena, "%s %lld\n", key, (long long)revision);
        if (write(w->ledger_fd, line, strlen(line)) != (ssize_t)strlen(line))
            die("ledger", "write");
        w->acked++;
    }
    arena_done(&arena);
    return NULL;
}

static int write_all(const wish_t *wish) {
    static writer_t writers[CLIENTS_MAX];
    uint64_t acked = 0, failed = 0;
    int fd = open(wish->ledger, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0 || wish->clients < 1 || wish->clients > CLIENTS_MAX) die("ledger", wish->ledger);
    for (int i = 0; i < wish->clients; i++) {
        writers[i] = (writer_t){.wish = wish, .ledger_fd = fd, .number = i};
        writers[i].client = connected(wish);
    }
    int64_t until_ms = clock_monotonic_ms() + wish->seconds * 1000;
    for (int i = 0; i < wish->clients; i++) {
        writers[i].until_ms = until_ms;
        if (pthread_create(&writers[i].thread, NULL, write_keys, &writers[i])) die("thread", "");
    }
    for (int i = 0; i < wish->clients; i++) {
        pthread_join(writers[i].thread, NULL);
        client_destroy(&writers[i].client);
        acked += writers[i].acked;
        failed += writers[i].failed;
    }
    close(fd);
    printf("acknowledged %llu, unknown %llu\n", (unsigned long long)acked,
           (unsigned long long)failed);
    return acked ? 0 : 1;
}

// ---- check --------------------------------------------------------------------------------------
static bool is_there(client_t *client, const char *key, int64_t revision) {
    arena_t arena = {0};
    Store__RangeReply *reply = NULL;
    failure_t failure;
    err_t err = ERR_UNAVAILABLE;
    int64_t until_ms = clock_monotonic_ms() + PATIENCE_MS; // it may be starting
    while (err != ERR_OK && clock_monotonic_ms() < until_ms)
        if ((err = get(client, &arena, key, &reply, &failure))) poll(NULL, 0, RETRY_MS);
    if (err != ERR_OK) die("get", failure.message);
    bool there = reply->n_kvs == 1 && reply->kvs[0]->mod_revision == revision;
    if (there) {
        ProtobufCBinaryData value = reply->kvs[0]->value, wanted = value_of(&arena, key, value.len);
        there = value.len && memcmp(value.data, wanted.data, wanted.len) == 0;
    }
    if (!there)
        printf("LOST %s of revision %lld%s\n", key, (long long)revision,
               reply->n_kvs ? ": another value or revision is there" : "");
    arena_done(&arena);
    return there;
}

static int check(const wish_t *wish) {
    FILE *f = fopen(wish->ledger, "r");
    if (!f) die("open", wish->ledger);
    client_t *client = connected(wish);
    uint64_t seen = 0, lost = 0;
    char key[256], end;
    for (long long revision; fscanf(f, "%255s %lld%c", key, &revision, &end) == 3 && end == '\n';
         seen++)
        lost += !is_there(client, key, revision);
    fclose(f);
    client_destroy(&client);
    printf("%llu were acknowledged, %llu are lost\n", (unsigned long long)seen,
           (unsigned long long)lost);
    return lost || !seen;
}

static int one(const wish_t *wish, const char *verb, const char *key) {
    client_t *client = connected(wish);
    arena_t arena = {0};
    Store__RangeReply *reply = NULL;
    int64_t revision = 0;
    failure_t failure;
    err_t err = streq(verb, "put")
                    ? put(client, &arena, key, (size_t)wish->bytes, &revision, &failure)
                : streq(verb, "get") ? get(client, &arena, key, &reply, &failure)
                                     : delete (client, &arena, key, &failure);
    if (err != ERR_OK)
        printf("%s: %s\n", err_name(err), failure.message);
    else
        printf("ok%s\n", reply && !reply->n_kvs ? ", not there" : "");
    arena_done(&arena);
    client_destroy(&client);
    return err != ERR_OK;
}

int main(int argc, char **argv) {
    wish_t wish = {.clients = 8, .bytes = 1024, .seconds = 5};
    const char *words[2];
    size_t len;
    why_t why;
    log_set_level(LOG_LEVEL_ERROR);
    if (options_parse(options, argc - 1, argv + 1, &wish, words, LENGTH_OF(words), &len, &why))
        die("usage", why.text);
    if (len == 1 && streq(words[0], "write") && wish.ledger) return write_all(&wish);
    if (len == 1 && streq(words[0], "check") && wish.ledger) return check(&wish);
    if (len == 2) return one(&wish, words[0], words[1]);
    die("usage", "write | check | put KEY | get KEY | delete KEY");
}
