// load - a client that never stops: a few threads fetch a page over and over, each time over a new
// connection, and every request and every failure is counted.
//
//     load ADDRESS PORT THREADS COUNTS LOG
//
// COUNTS holds one line, "REQUESTS FAILED" in twelve digits each, rewritten after every request, so
// that a test reads it between two acts of its own. LOG gets a line for each failure, and for each
// answer that took longer than SLOW_MS: "END-MS failed|slow TOOK-MS WHAT", wall clock. A request is
// well when a whole answer with status 200 came. SIGTERM ends it after the requests under way.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    TIMEOUT_MS = 3000,
    SLOW_MS = 500,
    // Of each thread between two requests: the machine is the cluster's, and within the minute for
    // which a closed connection is remembered no source port may come around again.
    PAUSE_MS = 30,
    THREADS_MAX = 64,
    PAGE_MAX = 16384,
};

static volatile sig_atomic_t ended;
static struct sockaddr_in server = {.sin_family = AF_INET};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long requests, failed; // under lock
static int counts_fd, log_fd;

static void on_term(int sig) { ended = sig; }

static long clock_ms(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int wait_for(int fd, short what, long deadline_ms) {
    long left = deadline_ms - clock_ms(CLOCK_MONOTONIC);
    struct pollfd p = {.fd = fd, .events = what};
    return left > 0 && poll(&p, 1, (int)left) == 1;
}

// What went wrong; NULL: nothing.
static const char *fetch(int fd, long deadline_ms) {
    static const char request[] = "GET / HTTP/1.0\r\nHost: load\r\n\r\n";
    char page[PAGE_MAX + 1];
    size_t have = 0;
    int error = 0;
    if (connect(fd, (struct sockaddr *)&server, sizeof server) < 0) {
        if (errno != EINPROGRESS) return strerrorname_np(errno);
        if (!wait_for(fd, POLLOUT, deadline_ms)) return "connect: timeout";
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &(socklen_t){sizeof error});
        if (error) return error == ECONNREFUSED ? "connect: refused" : strerrorname_np(error);
    }
    if (send(fd, request, sizeof request - 1, MSG_NOSIGNAL) != (ssize_t)sizeof request - 1)
        return "send";
    for (;;) {
        if (!wait_for(fd, POLLIN, deadline_ms)) return "answer: timeout";
        ssize_t n = recv(fd, page + have, PAGE_MAX - have, 0);
        if (n < 0) return errno == ECONNRESET ? "answer: reset" : strerrorname_np(errno);
        if (n == 0) break;
        have += (size_t)n;
    }
    page[have] = 0;
    if (have < 12) return "answer: cut";
    if (memcmp(page + 9, "200", 3) != 0) return "answer: not 200";
    const char *body = strstr(page, "\r\n\r\n"), *length = strcasestr(page, "Content-Length:");
    if (!body || (length && strlen(body + 4) != strtoul(length + 15, NULL, 10)))
        return "answer: cut";
    return NULL;
}

static void note(const char *what, long took_ms) {
    char line[128];
    pthread_mutex_lock(&lock);
    requests++;
    if (what) failed++;
    int n = snprintf(line, sizeof line, "%012ld %012ld\n", requests, failed);
    (void)!pwrite(counts_fd, line, (size_t)n, 0);
    if (what || took_ms > SLOW_MS) {
        n = snprintf(line, sizeof line, "%ld %s %ld %s\n", clock_ms(CLOCK_REALTIME),
                     what ? "failed" : "slow", took_ms, what ? what : "");
        (void)!write(log_fd, line, (size_t)n);
    }
    pthread_mutex_unlock(&lock);
}

static void *client(void *arg) {
    while (!ended) {
        long start_ms = clock_ms(CLOCK_MONOTONIC);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        const char *what = fd < 0 ? "socket" : fetch(fd, start_ms + TIMEOUT_MS);
        if (fd >= 0) close(fd);
        note(what, clock_ms(CLOCK_MONOTONIC) - start_ms);
        poll(NULL, 0, PAUSE_MS);
    }
    return arg;
}

int main(int argc, char **argv) {
    if (argc != 6 || inet_pton(AF_INET, argv[1], &server.sin_addr) != 1) {
        fputs("usage: load ADDRESS PORT THREADS COUNTS LOG\n", stderr);
        return 2;
    }
    server.sin_port = htons((unsigned short)strtoul(argv[2], NULL, 10));
    long threads = strtol(argv[3], NULL, 10);
    counts_fd = open(argv[4], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    log_fd = open(argv[5], O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
    if (counts_fd < 0 || log_fd < 0 || threads < 1 || threads > THREADS_MAX) return 2;
    sigaction(SIGTERM, &(struct sigaction){.sa_handler = on_term}, NULL);
    pthread_t thread[THREADS_MAX];
    for (long i = 0; i < threads; i++) pthread_create(&thread[i], NULL, client, NULL);
    for (long i = 0; i < threads; i++) pthread_join(thread[i], NULL);
    return 0;
}
