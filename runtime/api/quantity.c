#include "runtime/api/quantity.h"

typedef unsigned __int128 wide_t;

typedef enum { FORMAT_DECIMAL, FORMAT_BINARY, FORMAT_EXPONENT } format_t;
enum {
    DIGITS_MAX = 38,     // of a mantissa: what 128 bits hold
    EXPONENT_MAX = 1000, // beyond it a value is 0 or the largest anyway
    NANO_DIGITS = 9,
};
static const wide_t NANO = 1000 * 1000 * 1000;
static const wide_t LARGEST = (wide_t)INT64_MAX * 1000 * 1000 * 1000; // Kubernetes' own cap

typedef struct {
    bool negative, inexact; // inexact: digits were dropped, so round up
    wide_t mantissa;
    int digits;   // of the mantissa, without leading zeros
    int fraction; // how many of them stand behind the point
    int dropped;  // integer digits that did not fit
} number_t;

// ---- reading ------------------------------------------------------------------------------------
// [+-]digits[.digits]; the regular expression allows more points, the numeric part does not.
static const char *read_number(const char *s, number_t *n) {
    bool in_fraction = false, any = false;
    if (*s == '+' || *s == '-') n->negative = *s++ == '-';
    for (;; s++) {
        if (*s == '.' && !in_fraction) {
            in_fraction = true;
            continue;
        }
        if (*s < '0' || *s > '9') break;
        any = true;
        unsigned digit = (unsigned)(*s - '0');
        if (n->digits == DIGITS_MAX || n->fraction == DIGITS_MAX - 1) {
            if (digit) n->inexact = true;
            if (!in_fraction) n->dropped++;
            continue;
        }
        n->mantissa = n->mantissa * 10 + digit;
        if (n->mantissa) n->digits++;
        if (in_fraction) n->fraction++;
    }
    return any ? s : NULL;
}

// What follows the number: a power of ten or of two.
static bool read_suffix(const char *s, format_t *ret_format, int *ret_exponent) {
    static const struct {
        const char *text;
        format_t format;
        int exponent;
    } SUFFIXES[] = {
        {"", FORMAT_DECIMAL, 0},   {"n", FORMAT_DECIMAL, -9}, {"u", FORMAT_DECIMAL, -6},
        {"m", FORMAT_DECIMAL, -3}, {"k", FORMAT_DECIMAL, 3},  {"M", FORMAT_DECIMAL, 6},
        {"G", FORMAT_DECIMAL, 9},  {"T", FORMAT_DECIMAL, 12}, {"P", FORMAT_DECIMAL, 15},
        {"E", FORMAT_DECIMAL, 18}, {"Ki", FORMAT_BINARY, 10}, {"Mi", FORMAT_BINARY, 20},
        {"Gi", FORMAT_BINARY, 30}, {"Ti", FORMAT_BINARY, 40}, {"Pi", FORMAT_BINARY, 50},
        {"Ei", FORMAT_BINARY, 60},
    };
    for (size_t i = 0; i < LENGTH_OF(SUFFIXES); i++)
        if (streq(s, SUFFIXES[i].text)) {
            *ret_format = SUFFIXES[i].format;
            *ret_exponent = SUFFIXES[i].exponent;
            return true;
        }
    if (*s != 'e' && *s != 'E') return false;
    const char *digits = s + 1;
    bool negative = *digits == '-';
    if (*digits == '-' || *digits == '+') digits++;
    if (!*digits) return false;
    int exponent = 0;
    for (; *digits; digits++) {
        if (*digits < '0' || *digits > '9') return false;
        if (exponent < EXPONENT_MAX) exponent = exponent * 10 + (*digits - '0');
    }
    *ret_format = FORMAT_EXPONENT;
    *ret_exponent = negative ? -exponent : exponent;
    return true;
}

// ---- arithmetic ---------------------------------------------------------------------------------
static wide_t times(wide_t v, wide_t factor) {
    wide_t product;
    if (__builtin_mul_overflow(v, factor, &product) || product > LARGEST) return LARGEST + 1;
    return product;
}

static wide_t ten_to(int exponent) {
    wide_t v = 1;
    for (; exponent > 0; exponent--) v *= 10;
    return v;
}

static wide_t decimal_nano(const number_t *n, int exponent, bool *inexact) {
    int shift = exponent + NANO_DIGITS - n->fraction + n->dropped;
    wide_t v = n->mantissa;
    for (; shift > 0 && v && v <= LARGEST; shift--) v = times(v, 10);
    for (; shift < 0 && v; shift++) {
        if (v % 10) *inexact = true;
        v /= 10;
    }
    return v;
}

static wide_t binary_nano(const number_t *n, int exponent, bool *inexact) {
    if (n->dropped) return LARGEST + 1;
    wide_t unit = ten_to(n->fraction), whole = n->mantissa / unit, rest = n->mantissa % unit;
    wide_t v = times(times(whole, (wide_t)1 << exponent), NANO), product;
    while (__builtin_mul_overflow(rest, ((wide_t)1 << exponent) * NANO, &product)) {
        if (rest % 10) *inexact = true;
        rest /= 10;
        unit /= 10;
    }
    if (product % unit) *inexact = true;
    return v > LARGEST ? v : v + product / unit;
}

static err_t parse(const char *text, quantity_t *ret_q, format_t *ret_format) {
    number_t n = {0};
    int exponent;
    format_t format;
    const char *suffix = read_number(text, &n);
    if (!suffix || !read_suffix(suffix, &format, &exponent)) return ERR_MALFORMED;
    bool inexact = n.inexact;
    wide_t nano = format == FORMAT_BINARY ? binary_nano(&n, exponent, &inexact)
                                          : decimal_nano(&n, exponent, &inexact);
    // What is finer than nano rounds up: who asks for some of a resource gets some.
    if (inexact) nano++;
    if (nano > LARGEST) nano = LARGEST;
    ret_q->nano = n.negative ? -(__int128)nano : (__int128)nano;
    *ret_format = format;
    return ERR_OK;
}

err_t quantity_parse(const char *text, quantity_t *ret_q) {
    format_t format;
    quantity_t q;
    err_t err = parse(text, &q, &format);
    if (err == ERR_OK) *ret_q = q;
    return err;
}

int quantity_cmp(quantity_t a, quantity_t b) { return (a.nano > b.nano) - (a.nano < b.nano); }

static int64_t rounded_up(__int128 nano, int64_t unit) {
    __int128 v = nano / unit;
    if (nano % unit > 0) v++;
    return v > INT64_MAX ? INT64_MAX : v < INT64_MIN ? INT64_MIN : (int64_t)v;
}

int64_t quantity_milli(quantity_t q) { return rounded_up(q.nano, 1000 * 1000); }
int64_t quantity_value(quantity_t q) { return rounded_up(q.nano, 1000 * 1000 * 1000); }

// ---- writing ------------------------------------------------------------------------------------
static const char *print(arena_t *arena, bool negative, wide_t mantissa, const char *suffix) {
    char digits[DIGITS_MAX + 4]; // in nano units even Kubernetes' largest goes beyond 64 bits
    size_t at = sizeof digits;
    do digits[--at] = (char)('0' + (int)(mantissa % 10));
    while (mantissa /= 10);
    if (negative) digits[--at] = '-';
    size_t len = sizeof digits - at, suffix_len = strlen(suffix);
    char *text = arena_alloc(arena, len + suffix_len + 1);
    if (!text) return NULL;
    memcpy(text, digits + at, len);
    memcpy(text + len, suffix, suffix_len);
    return text;
}

// Trailing zeros move into the exponent, which stays a multiple of three.
static const char *print_decimal(arena_t *arena, bool negative, wide_t nano, format_t format) {
    static const char *const SUFFIXES[] = {"n", "u", "m", "", "k", "M", "G", "T", "P", "E"};
    int exponent = -NANO_DIGITS;
    while (nano % 1000 == 0 && exponent < 18) nano /= 1000, exponent += 3;
    if (format != FORMAT_EXPONENT)
        return print(arena, negative, nano, SUFFIXES[(exponent + NANO_DIGITS) / 3]);
    return exponent == 0 ? print(arena, negative, nano, "")
                         : print(arena, negative, nano, arena_printf(arena, "e%d", exponent));
}

static const char *print_binary(arena_t *arena, bool negative, wide_t value) {
    static const char *const SUFFIXES[] = {"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"};
    size_t i = 0;
    for (; value % 1024 == 0 && i + 1 < LENGTH_OF(SUFFIXES); i++) value /= 1024;
    return print(arena, negative, value, SUFFIXES[i]);
}

const char *quantity_canonical(arena_t *arena, const char *like) {
    quantity_t q;
    format_t format;
    if (parse(like, &q, &format)) return NULL;
    if (q.nano == 0) return "0";
    bool negative = q.nano < 0;
    wide_t nano = negative ? (wide_t)-q.nano : (wide_t)q.nano;
    // Below 1024, or with a fraction, a binary text would lose precision: it becomes decimal.
    if (format == FORMAT_BINARY && nano >= 1024 * NANO && nano % NANO == 0)
        return print_binary(arena, negative, nano / NANO);
    return print_decimal(arena, negative, nano, format);
}
