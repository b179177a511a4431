// Frames (SPDY/3.1 §2.2), big-endian:
//
//     control   1 bit 1, 15 bits version 3 · 16 bits type · 8 bits flags · 24 bits length · payload
//     data      1 bit 0, 31 bits stream          · 8 bits flags · 24 bits length · payload
//
// SYN_STREAM's payload: stream, associated stream, priority and slot (2 bytes), header block: a
// piece of one zlib stream that all header blocks of the connection share (§2.6.10). Unpacked it
// is: number of headers, then for each the length and bytes of its name and of its value.
#include "runtime/io/spdy.h"
#include <string.h>

enum { SYN_STREAM = 1, RST_STREAM = 3, PING = 6, GOAWAY = 7 };
enum { CONTROL = 0x80, VERSION = 3, FIN = 1, FRAME_HEAD = 8, SYN_HEAD = 10 };

static void add_number(text_t *out, uint64_t number, int bytes) {
    for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
        text_addc(out, (char)(number >> shift & 0xff));
}

static uint32_t number(const uint8_t *at, int bytes) {
    uint32_t n = 0;
    for (int i = 0; i < bytes; i++) n = n << 8 | at[i];
    return n;
}

void spdy_open(text_t *out, const char *host, const char *path, const char *protocol) {
    text_addf(out,
              "POST %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
              "X-Stream-Protocol-Version: %s\r\nContent-Length: 0\r\n\r\n",
              path, host, protocol);
}

err_t spdy_opened(const char *at, size_t len, size_t *ret_used, why_t *why) {
    *ret_used = 0;
    const char *end = len ? memmem(at, len, "\r\n\r\n", 4) : NULL;
    if (!end)
        return len > SPDY_HEAD_MAX_BYTES
                   ? why_set(why, ERR_MALFORMED, "no end of the answer's head")
                   : ERR_OK;
    const char *line_end = memmem(at, len, "\r\n", 2);
    if (len < 12 || memcmp(at, "HTTP/1.1 ", 9) != 0)
        return why_set(why, ERR_MALFORMED, "the answer is not HTTP/1.1");
    if (memcmp(at + 9, "101", 3) != 0)
        return why_set(why, ERR_IO, "refused: %.*s", (int)(line_end - at - 9), at + 9);
    *ret_used = (size_t)(end - at) + 4;
    return ERR_OK;
}

// A stored block that is not the last (RFC 1951 §3.2.4): its length and that inverted,
// little-endian.
static void add_stored_head(text_t *out, size_t len) {
    size_t swapped = (len & 0xff) << 8 | len >> 8;
    text_addc(out, 0);
    add_number(out, swapped, 2);
    add_number(out, ~swapped, 2);
}

void spdy_add_stream(text_t *out, uint32_t stream, const char *type) {
    static const char name[] = "streamtype", zlib_head[] = {0x78, 0x01};
    size_t zlib_len = stream == 1 ? sizeof zlib_head : 0, stored_head = 5,
           block = 4 + 4 + strlen(name) + 4 + strlen(type);
    add_number(out, CONTROL << 8 | VERSION, 2);
    add_number(out, SYN_STREAM, 2);
    add_number(out, 0, 1);
    add_number(out, SYN_HEAD + zlib_len + stored_head + block + stored_head, 3);
    add_number(out, stream, 4);
    add_number(out, 0, 4 + 2);
    text_addn(out, zlib_head, zlib_len);
    add_stored_head(out, block);
    add_number(out, 1, 4);
    add_number(out, strlen(name), 4);
    text_add(out, name);
    add_number(out, strlen(type), 4);
    text_add(out, type);
    add_stored_head(out, 0); // an empty block makes the reader hand over what it has: a flush
}

void spdy_add_data(text_t *out, uint32_t stream, const void *data, size_t len, bool fin) {
    assert(len < 1 << 24);
    add_number(out, stream, 4);
    add_number(out, fin ? FIN : 0, 1);
    add_number(out, len, 3);
    text_addn(out, data, len);
}

void spdy_add_pong(text_t *out, const spdy_frame_t *ping) {
    add_number(out, CONTROL << 8 | VERSION, 2);
    add_number(out, PING, 2);
    add_number(out, ping->len, 4); // no flags
    text_addn(out, ping->data, ping->len);
}

void spdy_next(const void *at, size_t len, spdy_frame_t *ret_frame, size_t *ret_used) {
    const uint8_t *b = at;
    *ret_used = 0;
    if (len < FRAME_HEAD) return;
    size_t size = number(b + 5, 3);
    if (len - FRAME_HEAD < size) return;
    bool is_control = b[0] & CONTROL;
    uint32_t type = number(b + 2, 2), first = size >= 4 ? number(b + FRAME_HEAD, 4) : 0;
    *ret_frame = (spdy_frame_t){.kind = !is_control          ? SPDY_DATA
                                        : type == RST_STREAM ? SPDY_RESET
                                        : type == PING       ? SPDY_PING
                                        : type == GOAWAY     ? SPDY_GOAWAY
                                                             : SPDY_OTHER,
                                .stream = is_control ? first : number(b, 4),
                                .fin = b[4] & FIN,
                                .data = b + FRAME_HEAD,
                                .len = size};
    *ret_used = FRAME_HEAD + size;
}
