// udp - a server that answers each datagram with its host's name, and a client that speaks from one
// port without a pause, so that its flow is never forgotten by itself.
//
//     udp serve PORT
//     udp ask ADDRESS PORT LOG      LOG: "MS NAME" per answer, wall clock; SIGTERM ends it
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PAUSE_MS = 20 };

int main(int argc, char **argv) {
    struct sockaddr_in at = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    char text[256] = "";
    if (argc == 3 && strcmp(argv[1], "serve") == 0) {
        at.sin_port = htons((unsigned short)strtoul(argv[2], NULL, 10));
        if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0) return 1;
        gethostname(text, sizeof text - 1);
        for (;;) {
            struct sockaddr_in from;
            socklen_t len = sizeof from;
            char heard[64];
            if (recvfrom(fd, heard, sizeof heard, 0, (struct sockaddr *)&from, &len) >= 0)
                (void)!sendto(fd, text, strlen(text), 0, (struct sockaddr *)&from, len);
        }
    }
    if (argc != 5) return 2;
    inet_pton(AF_INET, argv[2], &at.sin_addr);
    at.sin_port = htons((unsigned short)strtoul(argv[3], NULL, 10));
    FILE *log = fopen(argv[4], "w");
    if (!log || connect(fd, (struct sockaddr *)&at, sizeof at) < 0) return 1;
    for (;;) {
        (void)!send(fd, "who?", 4, 0);
        if (poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, PAUSE_MS) == 1) {
            ssize_t n = recv(fd, text, sizeof text - 1, 0);
            struct timespec now;
            clock_gettime(CLOCK_REALTIME, &now);
            if (n > 0)
                fprintf(log, "%ld %.*s\n", now.tv_sec * 1000 + now.tv_nsec / 1000000, (int)n, text);
            fflush(log);
            poll(NULL, 0, PAUSE_MS);
        }
    }
}
