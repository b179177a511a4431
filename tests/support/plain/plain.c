#include "criterion/criterion.h"
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TEST_SECONDS_MAX = 60 };

// libzmq is not built with the sanitizer, which therefore sees neither its fences nor its lock-free
// pipes, nor that it closed a descriptor whose number comes back: what its own threads do is left
// out. What our threads hand each other through it is annotated in runtime/actor/bus.c and still
// checked.
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void) {
    return "called_from_lib:libzmq.so\ncalled_from_lib:libsodium.so\nrace:host_watch_fd\nrace:"
           "libzmq.so\nrace:libstdc++"
           ".so\n";
}

static plain_test_t *tests;

void plain_add(plain_test_t *test) {
    test->next = tests;
    tests = test;
}

void plain_fail(const char *file, int line, const char *what, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    fprintf(stderr, "%s:%d: %s ", file, line, what);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
    _exit(1);
}

static bool run(const plain_test_t *test) {
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        alarm(TEST_SECONDS_MAX);
        if (test->init) test->init();
        test->body();
        if (test->fini) test->fini();
        exit(0); // not _exit: the sanitizer sums up at exit, and turns races into a code
    }
    int status;
    if (child < 0 || waitpid(child, &status, 0) != child) return false;
    if (test->signal) return WIFSIGNALED(status) && WTERMSIG(status) == test->signal;
    return WIFEXITED(status) && WEXITSTATUS(status) == test->exit_code;
}

int main(void) {
    size_t passed = 0, failed = 0;
    for (const plain_test_t *test = tests; test; test = test->next) {
        if (test->disabled) continue;
        bool good = run(test);
        if (!good) fprintf(stderr, "[FAIL] %s::%s\n", test->suite, test->name);
        *(good ? &passed : &failed) += 1;
    }
    fprintf(stderr, "Synthesis: Passing: %zu | Failing: %zu\n", passed, failed);
    return failed > 0;
}
