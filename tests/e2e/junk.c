// junk - what a socket may hear from a stranger: seeded rounds of random bytes, of greetings that
// break off, and (for libzmq's sockets) of well-formed messages with random frames.
//
//     junk raw ENDPOINT ROUNDS SEED       ENDPOINT: unix:PATH or tcp:ADDRESS:PORT
//     junk zmq ENDPOINT ROUNDS SEED       ENDPOINT as libzmq has it: ipc://PATH, tcp://ADDRESS:PORT
//
// Exit code 0 when it could speak at all; what became of the other side is the test's to see.
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <zmq.h>

enum { JUNK_MAX = 1 << 17, FRAMES_MAX = 5 };

static unsigned long long state;
static unsigned dice(unsigned sides) { // xorshift: the same seed, the same junk
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state % sides);
}

// Of every size there is a reason for, and often beginning as something sensible would.
static size_t junk(unsigned char *at) {
    static const unsigned char greeting[] = {0xff, 0,    0, 0, 0,   0,   0,   0,
                                             1,    0x7f, 3, 0, 'N', 'U', 'L', 'L'};
    static const unsigned char envelope[] = {0x0a, 8,   'c', 'l',  'i', '/', 'c',
                                             'l',  'i', '1', 0x12, 9,   'a', 'p',
                                             'i',  's', 'e', 'r',  'v', 'e', 'r'};
    static const char http[] =
        "GET /v2/../../../etc/passwd HTTP/1.1\r\nContent-Length: 99999999\r\nHost:";
    static const unsigned sizes[] = {0, 1, 2, 9, 10, 64, 500, 1500, 1537, 9000, 65536, JUNK_MAX};
    size_t len = dice(sizes[dice(sizeof sizes / sizeof *sizes)] + 1);
    for (size_t i = 0; i < len; i++) at[i] = (unsigned char)dice(256);
    const void *heads[] = {greeting, envelope, http};
    const size_t lens[] = {sizeof greeting, sizeof envelope, sizeof http - 1};
    unsigned head = dice(6);
    if (head < 3 && len >= lens[head]) memcpy(at, heads[head], lens[head]);
    return len;
}

static int dial(const char *endpoint) {
    struct sockaddr_un path = {.sun_family = AF_UNIX};
    struct sockaddr_in ip = {.sin_family = AF_INET};
    char host[64];
    unsigned port;
    int fd;
    if (sscanf(endpoint, "tcp:%63[^:]:%u", host, &port) == 2) {
        inet_pton(AF_INET, host, &ip.sin_addr);
        ip.sin_port = htons((unsigned short)port);
        fd = socket(AF_INET, SOCK_STREAM, 0);
        return connect(fd, (struct sockaddr *)&ip, sizeof ip) == 0 ? fd : (close(fd), -1);
    }
    snprintf(path.sun_path, sizeof path.sun_path, "%s", endpoint + strlen("unix:"));
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    return connect(fd, (struct sockaddr *)&path, sizeof path) == 0 ? fd : (close(fd), -1);
}

static int speak_raw(const char *endpoint, unsigned char *at) {
    int fd = dial(endpoint);
    if (fd < 0) return 0;
    for (unsigned i = dice(4); i > 0; i--) {
        unsigned char heard[256];
        (void)!send(fd, at, junk(at), MSG_NOSIGNAL | MSG_DONTWAIT);
        poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, (int)dice(5));
        (void)!recv(fd, heard, sizeof heard, MSG_DONTWAIT);
    }
    close(fd);
    return 1;
}

static int speak_zmq(void *context, const char *endpoint, unsigned char *at) {
    void *socket = zmq_socket(context, ZMQ_DEALER);
    zmq_setsockopt(socket, ZMQ_LINGER, &(int){20}, sizeof(int));
    int well = zmq_connect(socket, endpoint) == 0;
    for (unsigned i = dice(6); well && i > 0; i--)
        for (unsigned frames = 1 + dice(FRAMES_MAX); frames > 0; frames--)
            zmq_send(socket, at, junk(at), ZMQ_DONTWAIT | (frames > 1 ? ZMQ_SNDMORE : 0));
    zmq_pollitem_t item = {.socket = socket, .events = ZMQ_POLLIN};
    zmq_poll(&item, 1, (long)dice(20));
    zmq_close(socket);
    return well;
}

int main(int argc, char **argv) {
    if (argc != 5) {
        fputs("usage: junk raw|zmq ENDPOINT ROUNDS SEED\n", stderr);
        return 2;
    }
    state = strtoull(argv[4], NULL, 10) * 2654435761u + 1;
    unsigned char *at = malloc(JUNK_MAX);
    void *context = zmq_ctx_new();
    int spoken = 0;
    for (long i = strtol(argv[3], NULL, 10); i > 0; i--)
        spoken += argv[1][0] == 'z' ? speak_zmq(context, argv[2], at) : speak_raw(argv[2], at);
    zmq_ctx_term(context);
    free(at);
    printf("%d\n", spoken);
    return spoken > 0 ? 0 : 1;
}
