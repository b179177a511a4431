#include "cli/troupe/vars.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <unistd.h>

static const char *absolute(arena_t *arena, const char *path) {
    if (path[0] == '/') return path;
    CLEANUP(free_charp) char *here = get_current_dir_name();
    return arena_printf(arena, "%s/%s", or_empty(here), path);
}

// A DNS subdomain, as Kubernetes wants node names (RFC 1123).
static bool is_node_name(const char *s) {
    size_t len = strlen(s);
    if (len == 0 || len > 253) return false;
    for (size_t i = 0; i < len; i++) {
        bool inner = i > 0 && i + 1 < len && s[i - 1] != '.' && s[i + 1] != '.';
        if (!islower((unsigned char)s[i]) && !isdigit((unsigned char)s[i]) &&
            !(inner && (s[i] == '-' || s[i] == '.')))
            return false;
    }
    return true;
}

static err_t complete_node(arena_t *arena, topology_vars_t *vars, why_t *why) {
    char host[256] = "";
    if (!vars->node) {
        if (gethostname(host, sizeof host - 1) < 0) return why_errno(why, errno, "gethostname");
        for (char *c = host; *c; c++) *c = (char)tolower((unsigned char)*c);
        vars->node = arena_strdup(arena, host);
    }
    if (!is_node_name(vars->node))
        return why_set(why, ERR_INVALID,
                       "node name \"%s\": must be lower-case letters, digits, '-' and '.'; give "
                       "one with --node",
                       vars->node);
    return ERR_OK;
}

// The source address that the kernel would use towards the world; nothing is sent (TEST-NET-3).
static bool address_of_default_route(char out[static INET_ADDRSTRLEN]) {
    CLEANUP(close_fdp) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)}, from;
    socklen_t from_len = sizeof from;
    inet_pton(AF_INET, "203.0.113.1", &to.sin_addr);
    return fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0 &&
           getsockname(fd, (struct sockaddr *)&from, &from_len) == 0 &&
           inet_ntop(AF_INET, &from.sin_addr, out, INET_ADDRSTRLEN) != NULL;
}

static bool address_of_any_interface(char out[static INET_ADDRSTRLEN]) {
    struct ifaddrs *all;
    bool found = false;
    if (getifaddrs(&all) < 0) return false;
    for (struct ifaddrs *at = all; at && !found; at = at->ifa_next) {
        if (!at->ifa_addr || at->ifa_addr->sa_family != AF_INET || (at->ifa_flags & IFF_LOOPBACK))
            continue;
        const struct sockaddr_in *in = (const struct sockaddr_in *)at->ifa_addr;
        found = inet_ntop(AF_INET, &in->sin_addr, out, INET_ADDRSTRLEN) != NULL;
    }
    freeifaddrs(all);
    return found;
}

static err_t complete_node_ip(arena_t *arena, topology_vars_t *vars, why_t *why) {
    char text[INET_ADDRSTRLEN] = "127.0.0.1";
    struct in_addr parsed;
    if (!vars->node_ip) {
        if (!address_of_default_route(text)) (void)address_of_any_interface(text);
        vars->node_ip = arena_strdup(arena, text);
    }
    if (inet_pton(AF_INET, vars->node_ip, &parsed) != 1)
        return why_set(why, ERR_INVALID, "--node-ip \"%s\": not an IPv4 address", vars->node_ip);
    return ERR_OK;
}

err_t vars_complete(arena_t *arena, topology_vars_t *vars, why_t *why) {
    vars->data = absolute(arena, vars->data ? vars->data : "/var/lib/troupe");
    vars->run = absolute(arena, vars->run ? vars->run : "/run/troupe");
    vars->config = absolute(arena, vars->config ? vars->config : "/etc/troupe");
    err_t e = complete_node(arena, vars, why);
    return e ? e : complete_node_ip(arena, vars, why);
}

const char *vars_pid_file(arena_t *arena, const topology_vars_t *vars) {
    return arena_printf(arena, "%s/troupe.pid", vars->run);
}

const char *vars_lock_file(arena_t *arena, const topology_vars_t *vars) {
    return arena_printf(arena, "%s/troupe.lock", vars->data);
}
