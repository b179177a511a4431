// Two sockets: the kernel answers a deletion at once, in the midst of a list that is still coming.
#include "runtime/io/conntrack.h"
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>

enum { BUFFER_BYTES = 32 * 1024, REQUEST_BYTES = 1024 };

struct conntrack {
    struct mnl_socket *lists, *deletes;
    uint32_t sequence;
    size_t deleted;
};

typedef struct {
    conntrack_t *self;
    bool (*is_stale)(void *arg, const udp_flow_t *flow);
    void *arg;
} reading_t;

static struct mnl_socket *open_one(why_t *why) {
    struct mnl_socket *socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (socket && mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) == 0) return socket;
    (void)why_errno(why, errno, "open a conntrack socket");
    if (socket) mnl_socket_close(socket);
    return NULL;
}

err_t conntrack_new(conntrack_t **ret_conntrack, why_t *why) {
    conntrack_t *self = NEW(conntrack_t);
    self->lists = open_one(why);
    self->deletes = self->lists ? open_one(why) : NULL;
    if (!self->deletes) {
        conntrack_destroy(&self);
        return ERR_UNAVAILABLE;
    }
    *ret_conntrack = self;
    return ERR_OK;
}

void conntrack_destroy(conntrack_t **p) {
    conntrack_t *self = x_steal(p);
    if (!self) return;
    if (self->lists) mnl_socket_close(self->lists);
    if (self->deletes) mnl_socket_close(self->deletes);
    free(self);
}

int conntrack_fd(const conntrack_t *self) { return mnl_socket_get_fd(self->lists); }
size_t conntrack_deleted(const conntrack_t *self) { return self->deleted; }

static struct nlmsghdr *begin(conntrack_t *self, void *buf, uint16_t what, uint16_t flags) {
    struct nlmsghdr *header = mnl_nlmsg_put_header(buf);
    header->nlmsg_type = (NFNL_SUBSYS_CTNETLINK << 8) | what;
    header->nlmsg_flags = NLM_F_REQUEST | flags;
    header->nlmsg_seq = ++self->sequence;
    struct nfgenmsg *family = mnl_nlmsg_put_extra_header(header, sizeof *family);
    *family = (struct nfgenmsg){.nfgen_family = AF_INET, .version = NFNETLINK_V0};
    return header;
}

err_t conntrack_list(conntrack_t *self, why_t *why) {
    char buf[REQUEST_BYTES];
    const struct nlmsghdr *request = begin(self, buf, IPCTNL_MSG_CT_GET, NLM_F_DUMP);
    if (mnl_socket_sendto(self->lists, request, request->nlmsg_len) < 0)
        return why_errno(why, errno, "list conntrack");
    return ERR_OK;
}

// ---- one flow -----------------------------------------------------------------------------------

enum { ATTRS_MAX = 32 };
typedef const struct nlattr *attrs_t[ATTRS_MAX];

static int keep_attr(const struct nlattr *attr, void *arg) {
    const struct nlattr **attrs = arg;
    if (mnl_attr_get_type(attr) < ATTRS_MAX) attrs[mnl_attr_get_type(attr)] = attr;
    return MNL_CB_OK;
}

static bool read_nested(const struct nlattr *outer, attrs_t ret_attrs) {
    memset(ret_attrs, 0, sizeof(attrs_t));
    return outer && mnl_attr_parse_nested(outer, keep_attr, (void *)ret_attrs) == MNL_CB_OK;
}

// One direction: protocol, and an address with its port (CTA_IP_V4_DST or _SRC).
static bool read_tuple(const struct nlattr *tuple, int ip_type, int port_type, uint8_t *ret_proto,
                       uint32_t *ret_ip, uint16_t *ret_port) {
    attrs_t parts, ip, proto;
    if (!read_nested(tuple, parts) || !read_nested(parts[CTA_TUPLE_IP], ip) ||
        !read_nested(parts[CTA_TUPLE_PROTO], proto))
        return false;
    if (!ip[ip_type] || !proto[CTA_PROTO_NUM] || !proto[port_type]) return false;
    *ret_proto = mnl_attr_get_u8(proto[CTA_PROTO_NUM]);
    *ret_ip = ntohl(mnl_attr_get_u32(ip[ip_type]));
    *ret_port = ntohs(mnl_attr_get_u16(proto[port_type]));
    return true;
}

// By its own tuple and number: a new flow between the same two is another one.
static void delete_flow(conntrack_t *self, const attrs_t attrs) {
    char buf[REQUEST_BYTES];
    static const int wanted[] = {CTA_TUPLE_ORIG, CTA_ID, CTA_ZONE};
    struct nlmsghdr *request = begin(self, buf, IPCTNL_MSG_CT_DELETE, 0);
    for (size_t i = 0; i < LENGTH_OF(wanted); i++) {
        const struct nlattr *attr = attrs[wanted[i]];
        if (attr && request->nlmsg_len + mnl_attr_get_len(attr) + MNL_ALIGNTO < sizeof buf)
            mnl_attr_put(request, attr->nla_type, mnl_attr_get_payload_len(attr),
                         mnl_attr_get_payload(attr));
    }
    if (mnl_socket_sendto(self->deletes, request, request->nlmsg_len) >= 0) self->deleted++;
    // Refusals (it has ended meanwhile) are of no interest, but must not fill the socket.
    while (mnl_socket_recvfrom(self->deletes, buf, sizeof buf) > 0) continue;
}

static int on_flow(const struct nlmsghdr *header, void *arg) {
    const reading_t *reading = arg;
    attrs_t attrs = {0};
    udp_flow_t flow;
    uint8_t proto, back;
    if (mnl_attr_parse(header, sizeof(struct nfgenmsg), keep_attr, (void *)attrs) < 0)
        return MNL_CB_OK;
    if (!read_tuple(attrs[CTA_TUPLE_ORIG], CTA_IP_V4_DST, CTA_PROTO_DST_PORT, &proto, &flow.dst,
                    &flow.dst_port) ||
        !read_tuple(attrs[CTA_TUPLE_REPLY], CTA_IP_V4_SRC, CTA_PROTO_SRC_PORT, &back, &flow.server,
                    &flow.server_port))
        return MNL_CB_OK;
    if (proto == IPPROTO_UDP && reading->is_stale(reading->arg, &flow))
        delete_flow(reading->self, attrs);
    return MNL_CB_OK;
}

bool conntrack_read(conntrack_t *self, bool (*is_stale)(void *arg, const udp_flow_t *flow),
                    void *arg) {
    char buf[BUFFER_BYTES];
    ssize_t got = mnl_socket_recvfrom(self->lists, buf, sizeof buf);
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    reading_t reading = {self, is_stale, arg};
    // Sequence 0: pieces of an older list are judged like any other.
    return mnl_cb_run(buf, (size_t)got, 0, mnl_socket_get_portid(self->lists), on_flow, &reading) >
           MNL_CB_STOP;
}
