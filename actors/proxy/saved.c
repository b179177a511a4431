#include "actors/proxy/saved.h"
#include "runtime/base/vec.h"

// Lines of iptables-save: "*nat", ":CHAIN POLICY [0:0]", "-A CHAIN … -j TARGET", "COMMIT".
typedef struct {
    const char *at;
} lines_t;

static bool next_line(lines_t *lines, const char **ret_line, size_t *ret_len) {
    if (!*lines->at) return false;
    *ret_line = lines->at;
    *ret_len = strcspn(lines->at, "\n");
    lines->at += *ret_len;
    if (*lines->at == '\n') lines->at++;
    return true;
}

static int table_of(const char *line, size_t len) {
    for (int t = 0; t < TABLE_COUNT; t++)
        if (len == strlen(table_names[t]) + 1 && memcmp(line + 1, table_names[t], len - 1) == 0)
            return t;
    return TABLE_COUNT; // a table we have nothing in
}

// The last word behind "-j ", which is where a rule leads.
static bool leads_to(const char *line, size_t len, const char *target) {
    size_t target_len = strlen(target);
    if (len < target_len + 4) return false;
    const char *end = line + len;
    while (end > line && end[-1] == ' ') end--;
    return memcmp(end - target_len, target, target_len) == 0 &&
           memcmp(end - target_len - 4, " -j ", 4) == 0;
}

static bool starts_with_chain(const char *line, size_t len, const char *chain) {
    size_t chain_len = strlen(chain);
    return len > chain_len + 4 && memcmp(line, "-A ", 3) == 0 &&
           memcmp(line + 3, chain, chain_len) == 0 && line[3 + chain_len] == ' ';
}

static int chain_order(const void *va, const void *vb) {
    const chain_t *a = va, *b = vb;
    if (a->table != b->table) return a->table < b->table ? -1 : 1;
    return strcmp(a->name, b->name);
}

void saved_read(arena_t *arena, const char *text, saved_t *ret_saved) {
    VEC(chain_t) chains = {0};
    uint32_t missing = proxy_jumps_len == 32 ? UINT32_MAX : (1u << proxy_jumps_len) - 1;
    lines_t lines = {text};
    const char *line;
    size_t len;
    int table = TABLE_COUNT;
    while (next_line(&lines, &line, &len)) {
        if (line[0] == '*') table = table_of(line, len);
        if (table == TABLE_COUNT) continue;
        if (len > 6 && memcmp(line, ":KUBE-", 6) == 0)
            vec_push(&chains,
                     ((chain_t){(table_t)table,
                                arena_strndup(arena, line + 1, strcspn(line + 1, " \n")), ""}));
        for (size_t i = 0; line[0] == '-' && i < proxy_jumps_len; i++)
            if (proxy_jumps[i].table == (table_t)table &&
                starts_with_chain(line, len, proxy_jumps[i].chain) &&
                leads_to(line, len, proxy_jumps[i].target))
                missing &= ~(1u << i);
    }
    if (chains.len) qsort(chains.at, chains.len, sizeof *chains.at, chain_order);
    *ret_saved =
        (saved_t){{arena_dup(arena, chains.at, chains.len * sizeof *chains.at), chains.len},
                  missing};
    vec_done(&chains);
}

static bool has(const chains_t *chains, const chain_t *one) {
    return chains->len && bsearch(one, chains->at, chains->len, sizeof *chains->at, chain_order);
}

void saved_stale(const saved_t *saved, const chains_t *wanted, arena_t *arena,
                 chains_t *ret_stale) {
    static const char *const prefixes[] = {"KUBE-SVC-", "KUBE-SVL-", "KUBE-EXT-",
                                           "KUBE-SEP-", "KUBE-FW-",  "KUBE-XLB-"};
    *ret_stale = (chains_t){ARENA_ARRAY(arena, chain_t, saved->chains.len), 0};
    for (size_t i = 0; i < saved->chains.len; i++)
        for (size_t p = 0; p < LENGTH_OF(prefixes); p++)
            if (has_prefix(saved->chains.at[i].name, prefixes[p]) &&
                !has(wanted, &saved->chains.at[i]))
                ret_stale->at[ret_stale->len++] = saved->chains.at[i];
}

bool saved_is_intact(const saved_t *saved, const chains_t *applied) {
    if (saved->missing_jumps) return false;
    for (size_t i = 0; i < applied->len; i++)
        if (!has(&saved->chains, &applied->at[i])) return false;
    return true;
}

void saved_cleanup(arena_t *arena, const char *text, text_t *out) {
    text_t chains = {.arena = arena}, rules = {.arena = arena}, deletes = {.arena = arena};
    lines_t lines = {text};
    const char *line, *table = NULL;
    size_t len, table_len = 0;
    while (next_line(&lines, &line, &len)) {
        if (line[0] == '*') {
            table = line;
            table_len = len;
            chains.len = rules.len = deletes.len = 0;
        } else if (len > 6 && memcmp(line, ":KUBE-", 6) == 0) {
            int name_len = (int)strcspn(line + 1, " \n");
            text_addf(&chains, ":%.*s - [0:0]\n", name_len, line + 1);
            text_addf(&deletes, "-X %.*s\n", name_len, line + 1);
        } else if (len > 4 && memcmp(line, "-A ", 3) == 0 && memcmp(line + 3, "KUBE-", 5) != 0 &&
                   memmem(line, len, " -j KUBE-", 9)) {
            text_addf(&rules, "-D %.*s\n", (int)len - 3, line + 3);
        } else if (len == 6 && memcmp(line, "COMMIT", 6) == 0 && table && chains.len) {
            text_addf(out, "%.*s\n%.*s%.*s%.*sCOMMIT\n", (int)table_len, table, (int)chains.len,
                      text_str(&chains), (int)rules.len, text_str(&rules), (int)deletes.len,
                      text_str(&deletes));
        }
    }
}
