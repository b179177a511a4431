#include "runtime/base/utf8.h"

static bool is_tail(uint8_t c) { return (c & 0xc0) == 0x80; }

uint32_t utf8_at(const char *s, size_t len, size_t *ret_len) {
    assert(len > 0);
    const uint8_t *b = (const uint8_t *)s;
    uint32_t c = b[0], least = 0;
    size_t need = 1;
    if (c >= 0xf0 && c < 0xf8)
        need = 4, c &= 0x07, least = 0x10000;
    else if (c >= 0xe0 && c < 0xf0)
        need = 3, c &= 0x0f, least = 0x800;
    else if (c >= 0xc0 && c < 0xe0)
        need = 2, c &= 0x1f, least = 0x80;
    bool good = need <= len && (need > 1 || c < 0x80);
    for (size_t i = 1; good && i < need; i++) {
        good = is_tail(b[i]);
        c = c << 6 | (b[i] & 0x3f);
    }
    good = good && c >= least && c <= 0x10ffff && !(c >= 0xd800 && c < 0xe000);
    *ret_len = good ? need : 1;
    return good ? c : 0xfffd;
}

bool utf8_is_valid(const char *s, size_t len) {
    size_t i = 0;
    while (i < len) {
        // Nearly all text is ASCII: eight bytes at a time while it lasts.
        uint64_t eight;
        if (len - i >= sizeof eight) {
            memcpy(&eight, s + i, sizeof eight);
            if (!(eight & 0x8080808080808080ull)) {
                i += sizeof eight;
                continue;
            }
        }
        if ((uint8_t)s[i] < 0x80) {
            i++;
            continue;
        }
        size_t step;
        if (utf8_at(s + i, len - i, &step) == 0xfffd && step == 1) return false;
        i += step;
    }
    return true;
}

size_t utf8_put(uint32_t c, char out[4]) {
    if (c < 0x80) return out[0] = (char)c, 1;
    if (c < 0x800) return out[0] = (char)(0xc0 | c >> 6), out[1] = (char)(0x80 | (c & 0x3f)), 2;
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        return out[2] = (char)(0x80 | (c & 0x3f)), 3;
    }
    assert(c <= 0x10ffff);
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    return out[3] = (char)(0x80 | (c & 0x3f)), 4;
}
