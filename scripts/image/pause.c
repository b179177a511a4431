// pause - holds a pod's namespaces open and reaps what is orphaned in them.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void quit(int sig) { _exit(0); }
static void reap(int sig) {
    while (waitpid(-1, NULL, WNOHANG) > 0) {}
}

int main(void) {
    // As pid 1 it gets only the signals that it handles.
    sigaction(SIGINT, &(struct sigaction){.sa_handler = quit}, NULL);
    sigaction(SIGTERM, &(struct sigaction){.sa_handler = quit}, NULL);
    sigaction(SIGCHLD, &(struct sigaction){.sa_handler = reap, .sa_flags = SA_NOCLDSTOP}, NULL);
    for (;;) pause();
}
