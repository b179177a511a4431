#include "runtime/io/netlink.h"
#include "runtime/base/vec.h"
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

enum { BUFFER_BYTES = 32 * 1024 }; // the kernel fills a dump up to 32 KiB at a time

struct netlink {
    struct mnl_socket *socket;
    uint32_t sequence;
};

err_t netlink_new(netlink_t **ret_netlink, why_t *why) {
    struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
    if (!socket) return why_errno(why, errno, "open a netlink socket");
    if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0) {
        int code = errno;
        mnl_socket_close(socket);
        return why_errno(why, code, "bind a netlink socket");
    }
    netlink_t *nl = NEW(netlink_t);
    nl->socket = socket;
    *ret_netlink = nl;
    return ERR_OK;
}

void netlink_destroy(netlink_t **p) {
    netlink_t *nl = x_steal(p);
    if (!nl) return;
    mnl_socket_close(nl->socket);
    free(nl);
}

// ---- asking ------------------------------------------------------------------------------------

static struct nlmsghdr *begin(netlink_t *nl, char *buf, uint16_t type, uint16_t flags,
                              struct rtmsg **ret_rtm) {
    struct nlmsghdr *header = mnl_nlmsg_put_header(buf);
    header->nlmsg_type = type;
    header->nlmsg_flags = NLM_F_REQUEST | flags;
    header->nlmsg_seq = ++nl->sequence;
    *ret_rtm = mnl_nlmsg_put_extra_header(header, sizeof **ret_rtm);
    (*ret_rtm)->rtm_family = AF_INET;
    return header;
}

// Send and read answers until the last; -1 with errno when the kernel refuses.
static int ask(netlink_t *nl, const struct nlmsghdr *request, mnl_cb_t on_route, void *arg) {
    char buf[BUFFER_BYTES];
    if (mnl_socket_sendto(nl->socket, request, request->nlmsg_len) < 0) return -1;
    int code;
    do {
        ssize_t got = mnl_socket_recvfrom(nl->socket, buf, sizeof buf);
        if (got < 0) return -1;
        code = mnl_cb_run(buf, (size_t)got, request->nlmsg_seq, mnl_socket_get_portid(nl->socket),
                          on_route, arg);
    } while (code > MNL_CB_STOP);
    return code;
}

// ---- listing -----------------------------------------------------------------------------------

typedef struct {
    arena_t *arena;
    VEC(route_t) found;
} listing_t;

static const char *address_text(arena_t *arena, const struct nlattr *attr) {
    char text[INET_ADDRSTRLEN];
    if (!attr || mnl_attr_get_payload_len(attr) < sizeof(struct in_addr)) return "";
    return arena_strdup(arena, inet_ntop(AF_INET, mnl_attr_get_payload(attr), text, sizeof text));
}

static int on_route(const struct nlmsghdr *header, void *arg) {
    listing_t *listing = arg;
    const struct rtmsg *rtm = mnl_nlmsg_get_payload(header);
    const struct nlattr *attrs[RTA_MAX + 1] = {0}, *attr;
    if (rtm->rtm_protocol != ROUTE_PROTOCOL || rtm->rtm_table != RT_TABLE_MAIN ||
        listing->found.len >= ROUTES_MAX)
        return MNL_CB_OK;
    mnl_attr_for_each(attr, header, sizeof *rtm) if (mnl_attr_get_type(attr) <= RTA_MAX)
        attrs[mnl_attr_get_type(attr)] = attr;
    char name[IF_NAMESIZE] = "";
    const char *via = address_text(listing->arena, attrs[RTA_GATEWAY]);
    if (!via[0] && attrs[RTA_OIF]) if_indextoname(mnl_attr_get_u32(attrs[RTA_OIF]), name);
    const char *dst = address_text(listing->arena, attrs[RTA_DST]);
    route_t route = {.dst = arena_printf(listing->arena, "%s/%u", dst[0] ? dst : "0.0.0.0",
                                         rtm->rtm_dst_len),
                     .via = via,
                     .device = arena_strdup(listing->arena, name),
                     .src = address_text(listing->arena, attrs[RTA_PREFSRC])};
    vec_push(&listing->found, route);
    return MNL_CB_OK;
}

err_t netlink_routes(netlink_t *nl, arena_t *arena, route_t **ret_routes, size_t *ret_len,
                     why_t *why) {
    char buf[BUFFER_BYTES];
    struct rtmsg *rtm;
    struct nlmsghdr *request = begin(nl, buf, RTM_GETROUTE, NLM_F_DUMP, &rtm);
    listing_t listing = {.arena = arena};
    int code = ask(nl, request, on_route, &listing);
    err_t err = code < 0 ? why_errno(why, errno, "list routes") : ERR_OK;
    if (!err) {
        *ret_routes =
            arena_dup(arena, listing.found.at, listing.found.len * sizeof *listing.found.at);
        *ret_len = listing.found.len;
    }
    vec_done(&listing.found);
    return err;
}

// ---- changing ----------------------------------------------------------------------------------

static bool cidr_parse(const char *cidr, struct in_addr *ret_address, uint8_t *ret_len) {
    char address[INET_ADDRSTRLEN];
    const char *slash = strchr(cidr, '/');
    if (!slash || (size_t)(slash - cidr) >= sizeof address) return false;
    memcpy(address, cidr, (size_t)(slash - cidr));
    address[slash - cidr] = 0;
    char *end;
    unsigned long len = strtoul(slash + 1, &end, 10);
    if (end == slash + 1 || *end || len > 32 || inet_pton(AF_INET, address, ret_address) != 1)
        return false;
    *ret_len = (uint8_t)len;
    return true;
}

static err_t change(netlink_t *nl, const route_t *route, uint16_t type, uint16_t flags,
                    why_t *why) {
    char buf[BUFFER_BYTES];
    struct rtmsg *rtm;
    struct in_addr dst, via, src;
    struct nlmsghdr *request = begin(nl, buf, type, NLM_F_ACK | flags, &rtm);
    if (!cidr_parse(route->dst, &dst, &rtm->rtm_dst_len))
        return why_set(why, ERR_BAD_REQUEST, "route to \"%s\": not an IPv4 CIDR", route->dst);
    rtm->rtm_table = RT_TABLE_MAIN;
    rtm->rtm_protocol = ROUTE_PROTOCOL;
    rtm->rtm_type = RTN_UNICAST;
    rtm->rtm_scope = route->via[0] ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
    mnl_attr_put(request, RTA_DST, sizeof dst, &dst);
    if (route->via[0]) {
        if (inet_pton(AF_INET, route->via, &via) != 1)
            return why_set(why, ERR_BAD_REQUEST, "route to %s: gateway \"%s\" is no IPv4 address",
                           route->dst, route->via);
        mnl_attr_put(request, RTA_GATEWAY, sizeof via, &via);
    }
    if (route->device[0]) {
        unsigned index = if_nametoindex(route->device);
        if (!index)
            return why_errno(why, errno, "route to %s: device %s", route->dst, route->device);
        mnl_attr_put_u32(request, RTA_OIF, index);
    }
    if (route->src[0] && inet_pton(AF_INET, route->src, &src) == 1)
        mnl_attr_put(request, RTA_PREFSRC, sizeof src, &src);
    if (ask(nl, request, NULL, NULL) < 0)
        return why_errno(why, errno, "%s route to %s via %s",
                         type == RTM_NEWROUTE ? "add" : "delete", route->dst,
                         route->via[0] ? route->via : route->device);
    return ERR_OK;
}

err_t netlink_add_route(netlink_t *nl, const route_t *route, why_t *why) {
    return change(nl, route, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, why);
}

err_t netlink_delete_route(netlink_t *nl, const route_t *route, why_t *why) {
    err_t err = change(nl, route, RTM_DELROUTE, 0, why);
    return err == ERR_NOT_FOUND ? ERR_OK : err; // gone is what was wanted
}

err_t netlink_delete_link(netlink_t *nl, const char *name, why_t *why) {
    char buf[BUFFER_BYTES];
    unsigned index = if_nametoindex(name);
    if (!index) return ERR_OK;
    struct nlmsghdr *request = mnl_nlmsg_put_header(buf);
    request->nlmsg_type = RTM_DELLINK;
    request->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    request->nlmsg_seq = ++nl->sequence;
    struct ifinfomsg *link = mnl_nlmsg_put_extra_header(request, sizeof *link);
    link->ifi_index = (int)index;
    if (ask(nl, request, NULL, NULL) < 0)
        return why_errno(why, errno, "delete network device %s", name);
    return ERR_OK;
}

const char *netlink_device_of(arena_t *arena, const char *ip) {
    struct in_addr wanted;
    struct ifaddrs *all, *one;
    const char *found = "";
    if (inet_pton(AF_INET, ip, &wanted) != 1 || getifaddrs(&all) != 0) return found;
    for (one = all; one && !found[0]; one = one->ifa_next)
        if (one->ifa_addr && one->ifa_addr->sa_family == AF_INET &&
            ((struct sockaddr_in *)(void *)one->ifa_addr)->sin_addr.s_addr == wanted.s_addr)
            found = arena_strdup(arena, one->ifa_name);
    freeifaddrs(all);
    return found;
}
