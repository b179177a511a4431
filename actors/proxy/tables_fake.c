// A chain is a key "TABLE CHAIN" and its rules as they were given, a line each.
#include "actors/proxy/tables_fake.h"
#include "runtime/base/map.h"
#include "runtime/base/vec.h"

enum { CHAIN_DEPTH_MAX = 8 };

struct tables_fake {
    map_t chains; // "nat KUBE-SERVICES" -> text_t *, owned
    uint64_t version;
};

tables_fake_t *tables_fake_new(void) { return NEW(tables_fake_t); }

static void free_chain(text_t *rules) {
    if (!rules) return;
    text_done(rules);
    free(rules);
}

void tables_fake_clear(tables_fake_t *t) {
    size_t at = 0;
    void *rules;
    while (map_next(&t->chains, &at, NULL, &rules)) free_chain(rules);
    map_done(&t->chains);
    t->chains = (map_t){0};
    t->version++;
}

void tables_fake_destroy(tables_fake_t **tables) {
    tables_fake_t *t = x_steal(tables);
    if (!t) return;
    tables_fake_clear(t);
    free(t);
}

uint64_t tables_fake_version(const tables_fake_t *t) { return t->version; }

// ---- words of a line ---------------------------------------------------------------------------
typedef struct {
    const char *at;
    size_t len;
} line_t;

static bool next_line(const char **text, line_t *ret) {
    if (!**text) return false;
    *ret = (line_t){*text, strcspn(*text, "\n")};
    *text += ret->len + ((*text)[ret->len] == '\n');
    return true;
}

static bool starts(line_t line, const char *with) {
    return line.len >= strlen(with) && memcmp(line.at, with, strlen(with)) == 0;
}

// The word behind `option` (" -j "), "" when the line has none.
static const char *word_behind(arena_t *arena, line_t line, const char *option) {
    for (size_t i = 0, len = strlen(option); i + len <= line.len; i++)
        if (memcmp(line.at + i, option, len) == 0)
            return arena_strndup(arena, line.at + i + len, strcspn(line.at + i + len, " \n"));
    return "";
}

static const char *key_of(arena_t *arena, const char *table, const char *chain) {
    return arena_printf(arena, "%s %s", table, chain);
}

// ---- restore -----------------------------------------------------------------------------------
typedef struct {
    const tables_fake_t *tables;
    arena_t *arena;
    const char *table;
    map_t declared, removed; // keys of chains
} change_t;

static bool will_be_there(const change_t *c, const char *chain) {
    const char *key = key_of(c->arena, c->table, chain);
    if (!has_prefix(chain, "KUBE-")) return true; // the kernel's own
    return !map_get(&c->removed, key) &&
           (map_get(&c->declared, key) || map_get(&c->tables->chains, key));
}

static err_t check_rules(const change_t *c, const char *text, why_t *why) {
    line_t line;
    while (next_line(&text, &line) && !starts(line, "COMMIT")) {
        if (!starts(line, "-A ") && !starts(line, "-I ")) continue;
        const char *chain = arena_strndup(c->arena, line.at + 3, strcspn(line.at + 3, " \n"));
        const char *target = word_behind(c->arena, line, " -j ");
        if (!will_be_there(c, chain))
            return why_set(why, ERR_INVALID, "a rule for %s, which is not there", chain);
        if (!will_be_there(c, target))
            return why_set(why, ERR_INVALID, "a jump to %s, which is not there", target);
    }
    return ERR_OK;
}

// What stays as it is must not lead to a chain that goes.
static err_t check_kept(const change_t *c, why_t *why) {
    size_t at = 0;
    const char *key;
    void *rules;
    while (map_len(&c->removed) && map_next(&c->tables->chains, &at, &key, &rules)) {
        bool is_kept = has_prefix(key, c->table) && !map_get(&c->declared, key);
        err_t err = is_kept ? check_rules(c, text_str(rules), why) : ERR_OK;
        if (err) return err;
    }
    return ERR_OK;
}

static void read_chains(change_t *c, const char *text) {
    line_t line;
    while (next_line(&text, &line) && !starts(line, "COMMIT")) {
        size_t skip = starts(line, ":") ? 1 : 3;
        if (!starts(line, ":") && !starts(line, "-X ")) continue;
        const char *chain = arena_strndup(c->arena, line.at + skip, strcspn(line.at + skip, " \n"));
        map_put(skip == 1 ? &c->declared : &c->removed, key_of(c->arena, c->table, chain), c);
    }
}

static void apply(tables_fake_t *t, change_t *c, const char *text) {
    line_t line;
    while (next_line(&text, &line) && !starts(line, "COMMIT")) {
        size_t skip = starts(line, ":") ? 1 : 3;
        const char *key =
            key_of(c->arena, c->table,
                   arena_strndup(c->arena, line.at + skip, strcspn(line.at + skip, " \n")));
        text_t *rules = map_get(&t->chains, key);
        if (starts(line, "-X ")) {
            free_chain(map_remove(&t->chains, key));
            continue;
        }
        if (!rules) map_put(&t->chains, key, rules = NEW(text_t));
        if (skip == 1)
            text_reset(rules);
        else // an insertion stands as save shows it
            text_addf(rules, "-A %.*s\n", (int)line.len - 3, line.at + 3);
    }
}

err_t tables_fake_restore(tables_fake_t *t, const char *input, why_t *why) {
    arena_t arena = {0};
    err_t err = ERR_OK;
    line_t line;
    while (!err && next_line(&input, &line)) {
        if (!starts(line, "*")) continue;
        change_t c = {.tables = t,
                      .arena = &arena,
                      .table = arena_strndup(&arena, line.at + 1, line.len - 1)};
        read_chains(&c, input);
        err = check_rules(&c, input, why);
        if (!err) err = check_kept(&c, why);
        if (!err) apply(t, &c, input);
        map_done(&c.declared);
        map_done(&c.removed);
    }
    t->version++;
    arena_done(&arena);
    return err;
}

// ---- save --------------------------------------------------------------------------------------
void tables_fake_save(const tables_fake_t *t, text_t *out) {
    const char **keys = map_sorted_keys(&t->chains), *table = "";
    for (size_t i = 0; i < map_len(&t->chains); i++) {
        size_t len = strcspn(keys[i], " ");
        if (strlen(table) < len || memcmp(keys[i], table, len + 1) != 0)
            text_addf(out, "%s*%.*s\n", table[0] ? "COMMIT\n" : "", (int)len, keys[i]);
        table = keys[i];
        text_addf(out, ":%s - [0:0]\n", keys[i] + len + 1);
        text_add(out, text_str(map_get(&t->chains, keys[i])));
    }
    if (table[0]) text_add(out, "COMMIT\n");
    free(keys);
}

// ---- roads -------------------------------------------------------------------------------------
typedef struct {
    const tables_fake_t *tables;
    arena_t *arena;
    const char *service;
    VEC(const char *) found;
} walk_t;

static void walk(walk_t *w, const char *chain, int depth) {
    const text_t *rules = map_get(&w->tables->chains, key_of(w->arena, "nat", chain));
    const char *text = rules ? text_str(rules) : "";
    line_t line;
    while (depth < CHAIN_DEPTH_MAX && next_line(&text, &line)) {
        const char *target = word_behind(w->arena, line, " -j ");
        if (streq(target, "DNAT"))
            vec_push(&w->found, arena_printf(w->arena, "%s %s", w->service,
                                             word_behind(w->arena, line, " --to-destination ")));
        else if (has_prefix(target, "KUBE-SVC-") || has_prefix(target, "KUBE-SEP-"))
            walk(w, target, depth + 1);
    }
}

static int text_order(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void tables_fake_roads(const tables_fake_t *t, arena_t *arena, table_roads_t *ret_roads) {
    walk_t w = {.tables = t, .arena = arena};
    const text_t *services = map_get(&t->chains, "nat KUBE-SERVICES");
    const char *text = services ? text_str(services) : "";
    line_t line;
    while (next_line(&text, &line)) {
        const char *ip = word_behind(arena, line, " -d "),
                   *target = word_behind(arena, line, " -j ");
        if (!ip[0] || !has_prefix(target, "KUBE-SVC-")) continue;
        w.service = arena_printf(arena, "%.*s:%s", (int)strcspn(ip, "/"), ip,
                                 word_behind(arena, line, " --dport "));
        walk(&w, target, 0);
    }
    if (w.found.len) qsort(w.found.at, w.found.len, sizeof *w.found.at, text_order);
    *ret_roads = (table_roads_t){arena_dup(arena, w.found.at, w.found.len * sizeof *w.found.at),
                                 w.found.len};
    vec_done(&w.found);
}
