#include "runtime/actor/burner.h"
#include "runtime/base/check.h"
#include "runtime/base/clock.h"
#include <pthread.h>
#include <time.h>
#include <unistd.h>

enum { THREADS_MAX = 256, SLICE_US = 10 * 1000 };

struct burner {
    _Atomic int busy_us; // of each slice; 0: end
    size_t len;
    pthread_t threads[THREADS_MAX];
};

static void *burn(void *arg) {
    burner_t *b = arg;
    for (int busy_us; (busy_us = b->busy_us) > 0;) {
        int64_t until_us = clock_monotonic_us() + busy_us;
        while (clock_monotonic_us() < until_us) {}
        if (busy_us < SLICE_US)
            nanosleep(&(struct timespec){.tv_nsec = (SLICE_US - busy_us) * 1000L}, NULL);
    }
    return NULL;
}

void burner_set(burner_t **burner, double share) {
    burner_t *b = *burner;
    int busy_us = share >= 1 ? SLICE_US : (int)(share * SLICE_US);
    if (!b && busy_us) {
        *burner = b = NEW(burner_t);
        b->busy_us = busy_us;
        long cpus = sysconf(_SC_NPROCESSORS_ONLN);
        while (b->len < THREADS_MAX && (long)b->len < cpus &&
               pthread_create(&b->threads[b->len], NULL, burn, b) == 0)
            b->len++;
    } else if (b) {
        b->busy_us = busy_us;
    }
    if (!b || busy_us) return;
    for (size_t i = 0; i < b->len; i++) pthread_join(b->threads[i], NULL); // a slice at most
    free(b);
    *burner = NULL;
}
