#include "runtime/actor/dead_letters.h"
#include "runtime/api/msg.h"
#include <pthread.h>

typedef struct {
    int64_t wall_ms;
    uint64_t trace_id;
    name_t *from, *to; // owned
    char *type;        // owned
    const char *why;
} letter_t;

struct dead_letters {
    pthread_mutex_t lock;
    size_t len, next;
    letter_t ring[DEAD_LETTERS_MAX];
};

dead_letters_t *dead_letters_new(void) {
    dead_letters_t *d = NEW(dead_letters_t);
    pthread_mutex_init(&d->lock, NULL);
    return d;
}

static void letter_done(letter_t *l) {
    name_unref(&l->from);
    name_unref(&l->to);
    free(l->type);
}

void dead_letters_destroy(dead_letters_t **letters) {
    dead_letters_t *d = x_steal(letters);
    if (!d) return;
    for (size_t i = 0; i < d->len; i++) letter_done(&d->ring[i]);
    pthread_mutex_destroy(&d->lock);
    free(d);
}

void dead_letters_add(dead_letters_t *d, const envelope_t *env, const char *why, int64_t wall_ms) {
    letter_t letter = {
        wall_ms, env->trace_id, name_ref(env->from), name_ref(env->to), str_dup(envelope_type(env)),
        why};
    pthread_mutex_lock(&d->lock);
    if (d->len == DEAD_LETTERS_MAX)
        letter_done(&d->ring[d->next]);
    else
        d->len++;
    d->ring[d->next] = letter;
    d->next = (d->next + 1) % DEAD_LETTERS_MAX;
    pthread_mutex_unlock(&d->lock);
}

void dead_letters_list(dead_letters_t *d, const char *process, arena_t *arena,
                       Actor__DeadLetters *ret_letters) {
    pthread_mutex_lock(&d->lock);
    ret_letters->letters = ARENA_ARRAY(arena, Actor__DeadLetter *, d->len + 1);
    ret_letters->n_letters = d->len;
    for (size_t i = 0; i < d->len; i++) {
        const letter_t *l = &d->ring[(d->next + DEAD_LETTERS_MAX - d->len + i) % DEAD_LETTERS_MAX];
        Actor__DeadLetter *m = MSG_NEW(arena, Actor__DeadLetter, actor__dead_letter__descriptor);
        m->wall_ms = l->wall_ms;
        m->trace_id = l->trace_id;
        m->from = arena_strdup(arena, l->from->text);
        m->to = arena_strdup(arena, l->to->text);
        m->type = arena_strdup(arena, l->type);
        m->why = (char *)l->why;
        m->process = arena_strdup(arena, process);
        ret_letters->letters[i] = m;
    }
    pthread_mutex_unlock(&d->lock);
}
