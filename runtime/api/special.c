#include "runtime/api/special.h"
#include "k8s/resource.pb-c.h"
#include "k8s/runtime.pb-c.h"

// ---- time ---------------------------------------------------------------------------------------
// Days of
// the proleptic Gregorian calendar since 1970-01-01 and back, in eras of 400 years (H. Hinnant,
// chrono-compatible low-level date algorithms).
enum { DAYS_PER_ERA = 146097, DAYS_TO_1970 = 719468, SECONDS_PER_DAY = 86400 };

static int64_t days_from_civil(int64_t year, unsigned month, unsigned day) {
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    unsigned year_of_era = (unsigned)(year - era * 400);
    unsigned day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    unsigned day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * DAYS_PER_ERA + day_of_era - DAYS_TO_1970;
}

static void civil_from_days(int64_t days, int64_t *ret_year, unsigned *ret_month,
                            unsigned *ret_day) {
    days += DAYS_TO_1970;
    int64_t era = (days >= 0 ? days : days - (DAYS_PER_ERA - 1)) / DAYS_PER_ERA;
    unsigned day_of_era = (unsigned)(days - era * DAYS_PER_ERA);
    unsigned year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned month = (5 * day_of_year + 2) / 153;
    *ret_day = day_of_year - (153 * month + 2) / 5 + 1;
    *ret_month = month < 10 ? month + 3 : month - 9;
    *ret_year = year_of_era + era * 400 + (*ret_month <= 2);
}

static char *put_digits(char *out, uint64_t v, int width) {
    for (int i = width; i > 0; i--, v /= 10) out[i - 1] = (char)('0' + v % 10);
    return out + width;
}

size_t special_time_print(int64_t seconds, int32_t nanos, int digits, char out[SPECIAL_TEXT_MAX]) {
    assert(digits >= 0 && digits <= 9);
    // Years beyond 0..9999 have no RFC 3339 form; a stranger's seconds are held inside.
    const int64_t first = -62167219200, last = 253402300799;
    if (seconds < first) seconds = first;
    if (seconds > last) seconds = last;
    if (nanos < 0 || nanos > 999999999) nanos = 0;
    int64_t days = seconds / SECONDS_PER_DAY, of_day = seconds % SECONDS_PER_DAY, year;
    if (of_day < 0) of_day += SECONDS_PER_DAY, days--;
    unsigned month, day;
    civil_from_days(days, &year, &month, &day);
    char *at = put_digits(out, (uint64_t)year, 4);
    *at++ = '-', at = put_digits(at, month, 2);
    *at++ = '-', at = put_digits(at, day, 2);
    *at++ = 'T', at = put_digits(at, (uint64_t)of_day / 3600, 2);
    *at++ = ':', at = put_digits(at, (uint64_t)of_day / 60 % 60, 2);
    *at++ = ':', at = put_digits(at, (uint64_t)of_day % 60, 2);
    if (digits) {
        uint64_t fraction = (uint64_t)nanos;
        for (int i = digits; i < 9; i++) fraction /= 10;
        *at++ = '.', at = put_digits(at, fraction, digits);
    }
    *at++ = 'Z';
    *at = 0;
    return (size_t)(at - out);
}

typedef struct {
    const char *at, *end;
} cursor_t;

static bool take_char(cursor_t *c, char wanted) {
    if (c->at == c->end || *c->at != wanted) return false;
    c->at++;
    return true;
}

static bool take_number(cursor_t *c, int width, unsigned least, unsigned most, unsigned *ret_v) {
    unsigned v = 0;
    for (int i = 0; i < width; i++) {
        if (c->at == c->end || *c->at < '0' || *c->at > '9') return false;
        v = v * 10 + (unsigned)(*c->at++ - '0');
    }
    *ret_v = v;
    return v >= least && v <= most;
}

static bool take_fraction(cursor_t *c, int32_t *ret_nanos) {
    *ret_nanos = 0;
    if (!take_char(c, '.')) return true;
    int digits = 0;
    for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++, digits++)
        if (digits < 9) *ret_nanos = *ret_nanos * 10 + (*c->at - '0');
    for (int i = digits; i < 9; i++) *ret_nanos *= 10;
    return digits > 0;
}

static bool take_offset(cursor_t *c, int64_t *ret_seconds) {
    *ret_seconds = 0;
    if (take_char(c, 'Z')) return true;
    int sign = take_char(c, '+') ? 1 : take_char(c, '-') ? -1 : 0;
    unsigned hours, minutes;
    if (!sign || !take_number(c, 2, 0, 23, &hours) || !take_char(c, ':') ||
        !take_number(c, 2, 0, 59, &minutes))
        return false;
    *ret_seconds = sign * (int64_t)(hours * 3600 + minutes * 60);
    return true;
}

static unsigned days_of_month(unsigned year, unsigned month) {
    static const uint8_t DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return DAYS[month - 1] + (month == 2 && leap);
}

err_t special_time_parse(const char *text, size_t len, int64_t *ret_seconds, int32_t *ret_nanos) {
    cursor_t c = {text, text + len};
    unsigned year, month, day, hour, minute, second;
    int32_t nanos;
    int64_t offset;
    bool good = take_number(&c, 4, 0, 9999, &year) && take_char(&c, '-') &&
                take_number(&c, 2, 1, 12, &month) && take_char(&c, '-') &&
                take_number(&c, 2, 1, 31, &day) && day <= days_of_month(year, month) &&
                take_char(&c, 'T') && take_number(&c, 2, 0, 23, &hour) && take_char(&c, ':') &&
                take_number(&c, 2, 0, 59, &minute) && take_char(&c, ':') &&
                take_number(&c, 2, 0, 59, &second) && take_fraction(&c, &nanos) &&
                take_offset(&c, &offset) && c.at == c.end;
    if (!good) return ERR_MALFORMED;
    *ret_seconds = days_from_civil(year, month, day) * SECONDS_PER_DAY + hour * 3600 + minute * 60 +
                   second - offset;
    *ret_nanos = nanos;
    return ERR_OK;
}

// ---- duration -----------------------------------------------------------------------------------
static const struct {
    const char *name;
    int64_t nanos;
} UNITS[] = {
    {"ns", 1},       {"us", 1000},      {"µs", 1000}, // U+00B5
    {"μs", 1000},                                     // U+03BC
    {"ms", 1000000}, {"s", 1000000000}, {"m", 60000000000}, {"h", 3600000000000},
};

// 1500 of a unit of 1000 -> "1.5"
static size_t print_fraction(char *out, uint64_t nanos, uint64_t unit) {
    size_t len =
        (size_t)snprintf(out, SPECIAL_TEXT_MAX / 2, "%llu", (unsigned long long)(nanos / unit));
    uint64_t rest = nanos % unit;
    if (!rest) return len;
    out[len++] = '.';
    for (; rest; rest %= unit) {
        rest *= 10;
        out[len++] = (char)('0' + rest / unit);
    }
    out[len] = 0;
    return len;
}

size_t special_duration_print(int64_t nanos, char out[SPECIAL_TEXT_MAX]) {
    uint64_t v = nanos < 0 ? -(uint64_t)nanos : (uint64_t)nanos;
    size_t len = 0;
    if (nanos < 0) out[len++] = '-';
    if (v == 0) return (size_t)snprintf(out, SPECIAL_TEXT_MAX, "0s");
    if (v < 1000000000) {
        uint64_t unit = v < 1000 ? 1 : v < 1000000 ? 1000 : 1000000;
        len += print_fraction(out + len, v, unit);
        const char *name = unit == 1 ? "ns" : unit == 1000 ? "µs" : "ms";
        return len + (size_t)snprintf(out + len, SPECIAL_TEXT_MAX - len, "%s", name);
    }
    uint64_t hours = v / 3600000000000, minutes = v / 60000000000 % 60;
    if (hours)
        len +=
            (size_t)snprintf(out + len, SPECIAL_TEXT_MAX - len, "%lluh", (unsigned long long)hours);
    if (hours || minutes)
        len += (size_t)snprintf(out + len, SPECIAL_TEXT_MAX - len, "%um", (unsigned)minutes);
    len += print_fraction(out + len, v % 60000000000, 1000000000);
    out[len++] = 's';
    out[len] = 0;
    return len;
}

static bool take_unit(cursor_t *c, int64_t *ret_unit) {
    size_t longest = 0;
    for (size_t i = 0; i < LENGTH_OF(UNITS); i++) {
        size_t len = strlen(UNITS[i].name);
        if (len > longest && len <= (size_t)(c->end - c->at) &&
            memcmp(c->at, UNITS[i].name, len) == 0)
            longest = len, *ret_unit = UNITS[i].nanos;
    }
    c->at += longest;
    return longest > 0;
}

static bool take_amount(cursor_t *c, int64_t *ret_nanos) {
    uint64_t whole = 0, fraction = 0, scale = 1;
    const char *start = c->at;
    for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++) {
        if (whole > INT64_MAX / 10) return false;
        whole = whole * 10 + (unsigned)(*c->at - '0');
    }
    size_t digits = (size_t)(c->at - start);
    if (take_char(c, '.'))
        for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++, digits++)
            if (scale < 1000000000)
                fraction = fraction * 10 + (unsigned)(*c->at - '0'), scale *= 10;
    int64_t unit, nanos;
    if (!digits || !take_unit(c, &unit) || whole > INT64_MAX) return false;
    if (__builtin_mul_overflow((int64_t)whole, unit, &nanos)) return false;
    __int128 rest = (__int128)fraction * unit / (int64_t)scale;
    return !__builtin_add_overflow(nanos, (int64_t)rest, ret_nanos);
}

err_t special_duration_parse(const char *text, size_t len, int64_t *ret_nanos) {
    cursor_t c = {text, text + len};
    bool negative = take_char(&c, '-');
    if (!negative) take_char(&c, '+');
    if (c.end - c.at == 1 && *c.at == '0') return *ret_nanos = 0, ERR_OK;
    if (c.at == c.end) return ERR_MALFORMED;
    int64_t sum = 0;
    while (c.at < c.end) {
        int64_t part;
        if (!take_amount(&c, &part) || __builtin_add_overflow(sum, part, &sum))
            return ERR_MALFORMED;
    }
    *ret_nanos = negative ? -sum : sum;
    return ERR_OK;
}

// ---- base64 -------------------------------------------------------------------------------------
void special_base64_print(const uint8_t *at, size_t len, char *out) {
    static const char LETTERS[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < len; i += 3) {
        size_t have = len - i < 3 ? len - i : 3;
        uint32_t v = (uint32_t)at[i] << 16 | (have > 1 ? (uint32_t)at[i + 1] << 8 : 0) |
                     (have > 2 ? at[i + 2] : 0);
        *out++ = LETTERS[v >> 18];
        *out++ = LETTERS[v >> 12 & 63];
        *out++ = have > 1 ? LETTERS[v >> 6 & 63] : '=';
        *out++ = have > 2 ? LETTERS[v & 63] : '=';
    }
}

static int base64_value(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

err_t special_base64_parse(const char *text, size_t len, uint8_t *out, size_t *ret_len) {
    size_t done = 0, letters = 0, pads = 0;
    uint32_t bits = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\n' || text[i] == '\r') continue; // as Go does
        if (text[i] == '=') {
            if (++pads > 2) return ERR_MALFORMED;
            continue;
        }
        int v = base64_value(text[i]);
        if (v < 0 || pads) return ERR_MALFORMED;
        bits = bits << 6 | (uint32_t)v;
        if (++letters % 4 == 0) {
            out[done++] = (uint8_t)(bits >> 16);
            out[done++] = (uint8_t)(bits >> 8);
            out[done++] = (uint8_t)bits;
        }
    }
    if ((letters + pads) % 4 != 0 || letters % 4 == 1) return ERR_MALFORMED;
    if (letters % 4 == 2) out[done++] = (uint8_t)(bits >> 4);
    if (letters % 4 == 3) out[done++] = (uint8_t)(bits >> 10), out[done++] = (uint8_t)(bits >> 2);
    *ret_len = done;
    return ERR_OK;
}

// ---- as text ------------------------------------------------------------------------------------
const char *special_text(arena_t *arena, special_t special, const ProtobufCMessage *msg) {
    char out[SPECIAL_TEXT_MAX];
    switch (special) {
    case SPECIAL_TIME: {
        const Meta__Time *t = (const Meta__Time *)msg;
        if (!t->has_seconds) return NULL;
        special_time_print(t->seconds, 0, 0, out);
        return arena_strdup(arena, out);
    }
    case SPECIAL_MICRO_TIME: {
        const Meta__MicroTime *t = (const Meta__MicroTime *)msg;
        if (!t->has_seconds) return NULL;
        special_time_print(t->seconds, t->nanos, 6, out);
        return arena_strdup(arena, out);
    }
    case SPECIAL_DURATION:
        special_duration_print(((const Meta__Duration *)msg)->duration, out);
        return arena_strdup(arena, out);
    case SPECIAL_QUANTITY: return ((const Resource__Quantity *)msg)->string;
    case SPECIAL_INT_OR_STRING: {
        const Intstr__IntOrString *v = (const Intstr__IntOrString *)msg;
        return v->type == 1 ? or_empty(v->strval) : arena_printf(arena, "%d", v->intval);
    }
    case SPECIAL_RAW: {
        const Runtime__RawExtension *raw = (const Runtime__RawExtension *)msg;
        return raw->raw.len ? arena_strndup(arena, (char *)raw->raw.data, raw->raw.len) : NULL;
    }
    case SPECIAL_STRINGS:
    case SPECIAL_NONE: return NULL;
    }
    return NULL;
}
