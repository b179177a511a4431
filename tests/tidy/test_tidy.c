// tidy - the house rules that neither the compiler nor another test can check: which layer may
// include which, cores that stay pure, headers that nobody includes, messages that nobody handles,
// words that mark unfinished work. Reads the source tree as text.
#include "runtime/base/map.h"
#include "runtime/base/text.h"
#include "runtime/base/vec.h"
#include "support/leaks.h"
#include <ftw.h>
#include <sys/stat.h>

typedef struct {
    char *path, *text;
} file_t; // path below the source folder; both owned
static VEC(file_t) files;

static char *read_whole(const char *path) {
    FILE *in = fopen(path, "re");
    if (!in) return NULL;
    text_t text = TEXT_HEAP;
    char buf[65536];
    size_t got;
    while ((got = fread(buf, 1, sizeof buf, in)) > 0) text_addn(&text, buf, got);
    fclose(in);
    return text_steal(&text);
}

static int visit(const char *path, const struct stat *about, int kind, struct FTW *where) {
    if (kind != FTW_F || !(has_suffix(path, ".c") || has_suffix(path, ".h") ||
                           has_suffix(path, ".proto") || has_suffix(path, ".inc")))
        return 0;
    file_t file = {str_dup(path + strlen(SOURCE_DIR) + 1), read_whole(path)};
    if (file.text) vec_push(&files, file);
    return 0;
}

static void load(void) {
    static const char *const folders[] = {"proto", "runtime", "store", "actors", "cli", "tests"};
    for (size_t i = 0; i < LENGTH_OF(folders); i++) {
        char *folder = str_printf("%s/%s", SOURCE_DIR, folders[i]);
        nftw(folder, visit, 16, FTW_PHYS);
        free(folder);
    }
    cr_assert_gt(files.len, 50, "the source tree was not found at %s", SOURCE_DIR);
}

static void unload(void) {
    for (size_t i = 0; i < files.len; i++) {
        free(files.at[i].path);
        free(files.at[i].text);
    }
    vec_done(&files);
}

// Calls `found` for each #include "…" of a file.
typedef void include_fn(const file_t *file, const char *included, text_t *complaints);
static void each_include(const file_t *file, include_fn *found, text_t *complaints) {
    for (const char *at = file->text; (at = strstr(at, "#include \"")); at++) {
        const char *from = at + strlen("#include \""), *end = strchr(from, '"');
        if (!end) continue;
        char *included = str_dup_n(from, (size_t)(end - from));
        found(file, included, complaints);
        free(included);
    }
}

static bool below(const char *path, const char *folder) {
    return has_prefix(path, folder) && path[strlen(folder)] == '/';
}

// proto ← runtime/base ← runtime ← store ← actors ← cli; actors do not know each other's insides.
static void check_layer(const file_t *file, const char *included, text_t *complaints) {
    const char *path = file->path;
    if (below(path, "tests")) return;
    bool ours = below(included, "runtime") || below(included, "store") ||
                below(included, "actors") || below(included, "cli");
    if (!ours) return;
    bool ok = true;
    if (below(path, "runtime/base"))
        ok = below(included, "runtime/base");
    else if (below(path, "runtime"))
        ok = below(included, "runtime");
    else if (below(path, "store"))
        ok = below(included, "runtime") || below(included, "store");
    else if (below(path, "actors")) {
        const char *slash = strchr(path + strlen("actors/"), '/');
        size_t own_len = (size_t)(slash - path) + 1;
        ok = below(included, "runtime") || strncmp(included, path, own_len) == 0 ||
             (below(path, "actors/store") && below(included, "store"));
    } else if (below(path, "cli/troupectl"))
        ok = below(included, "runtime") || below(included, "cli/troupectl") ||
             below(included, "cli/options") || below(included, "cli/client");
    else if (below(path, "cli/options") || below(path, "cli/client"))
        ok = below(included, "runtime") || below(included, "cli/options") ||
             below(included, "cli/client");
    if (!ok) text_addf(complaints, "%s includes %s\n", path, included);
}

Test(tidy, includes_run_one_way)
{
    load();
    text_t complaints = TEXT_HEAP;
    for (size_t i = 0; i < files.len; i++) each_include(&files.at[i], check_layer, &complaints);
    cr_assert_eq(complaints.len, 0, "%s", text_str(&complaints));
    text_done(&complaints);
    unload();
}

// ---- purity ------------------------------------------------------------------------------------

static bool is_core(const char *path) {
    if (!has_suffix(path, ".c") || below(path, "tests")) return false;
    return has_suffix(path, "_core.c") || has_suffix(path, "_plan.c") ||
           has_suffix(path, "rules.c") || below(path, "store/raft") || below(path, "store/check") ||
           (below(path, "store/mvcc") && !strstr(path, "rocks"));
}

Test(tidy, cores_know_no_clock_no_dice_no_log_no_socket)
{
    static const char *const impure[] = {"<czmq.h>",
                                         "<zmq.h>",
                                         "<rocksdb/c.h>",
                                         "runtime/base/log.h",
                                         "runtime/base/clock.h",
                                         "clock_gettime(",
                                         "getrandom(",
                                         "time(NULL)",
                                         "gettimeofday("};
    load();
    text_t complaints = TEXT_HEAP;
    size_t cores = 0;
    for (size_t i = 0; i < files.len; i++) {
        if (!is_core(files.at[i].path)) continue;
        cores++;
        for (size_t w = 0; w < LENGTH_OF(impure); w++)
            if (strstr(files.at[i].text, impure[w]))
                text_addf(&complaints, "%s: %s\n", files.at[i].path, impure[w]);
    }
    cr_assert_gt(cores, 3, "no cores were found: the rule looks in the wrong place");
    cr_assert_eq(complaints.len, 0, "%s", text_str(&complaints));
    text_done(&complaints);
    unload();
}

// ---- nothing dead, nothing unhandled -----------------------------------------------------------

static map_t included_somewhere;
static void note_included(const file_t *file, const char *included, text_t *complaints) {
    if (!streq(file->path, included)) map_put(&included_somewhere, included, (void *)1);
}

Test(tidy, every_header_is_included_by_somebody)
{
    load();
    text_t complaints = TEXT_HEAP;
    for (size_t i = 0; i < files.len; i++) each_include(&files.at[i], note_included, &complaints);
    for (size_t i = 0; i < files.len; i++) {
        const char *path = files.at[i].path;
        // tests/support/plain stands in for a system header.
        if (!has_suffix(path, ".h") || below(path, "tests/support/plain")) continue;
        bool found =
            map_get(&included_somewhere, path) ||
            (below(path, "tests") && map_get(&included_somewhere, path + strlen("tests/")));
        if (!found) text_addf(&complaints, "%s\n", path);
    }
    cr_assert_eq(complaints.len, 0, "nobody includes:\n%s", text_str(&complaints));
    map_done(&included_somewhere);
    text_done(&complaints);
    unload();
}

// The C prefix of a schema: option (pb_c_file).c_package = "api".
static char *c_package(const file_t *proto) {
    const char *at = strstr(proto->text, "c_package = \"");
    cr_assert_not_null(at, "%s names no c_package", proto->path);
    at += strlen("c_package = \"");
    return str_dup_n(at, strcspn(at, "\""));
}

// How often does `name` stand in the schema as a word?
static size_t count_word(const char *text, const char *name) {
    size_t len = strlen(name), count = 0;
    for (const char *at = text; (at = strstr(at, name)); at += len)
        count += (at == text || strchr(" .\n", at[-1])) && strchr(" {", at[len]) != NULL;
    return count;
}

// "message PodLogs" of package api is Api__PodLogs in C: somebody outside tests must name it, or
// another message must hold it.
static void check_messages(const file_t *proto, text_t *all_code, text_t *complaints) {
    char *package = c_package(proto);
    for (const char *at = proto->text; (at = strstr(at, "\nmessage ")); at++) {
        const char *from = at + strlen("\nmessage ");
        char *name = str_dup_n(from, strcspn(from, " {"));
        char *c_name = str_printf("%s__%s", package, name);
        char *read_by_hand =
            str_printf("%s.%s", package, name); // "actor.Envelope", in runtime/actor/wire.c
        if (!strcasestr(text_str(all_code), c_name) && !strstr(text_str(all_code), read_by_hand) &&
            count_word(proto->text, name) < 2)
            text_addf(complaints, "%s\n", c_name);
        free(read_by_hand);
        free(name);
        free(c_name);
    }
    free(package);
}

Test(tidy, every_message_of_ours_is_used)
{
    load();
    text_t code = TEXT_HEAP, complaints = TEXT_HEAP;
    for (size_t i = 0; i < files.len; i++)
        if (has_suffix(files.at[i].path, ".c") && !below(files.at[i].path, "tests"))
            text_add(&code, files.at[i].text);
    // Descriptors are spelled api__pod_logs__descriptor, structs Api__PodLogs: underscores within a
    // name do not count, so that one look finds both.
    size_t len = 0;
    for (size_t i = 0; i < code.len; i++)
        if (!(code.at[i] == '_' && i > 0 && code.at[i - 1] != '_' && code.at[i + 1] != '_'))
            code.at[len++] = code.at[i];
    code.at[len] = 0;
    for (size_t i = 0; i < files.len; i++)
        if (below(files.at[i].path, "proto/troupe"))
            check_messages(&files.at[i], &code, &complaints);
    cr_assert_eq(complaints.len, 0, "nobody sends, takes or reads:\n%s", text_str(&complaints));
    text_done(&code);
    text_done(&complaints);
    unload();
}

Test(tidy, no_words_of_unfinished_work)
{
    // Spelled in two parts, so that this file does not complain about itself.
    static const char *const words[][2] = {
        {"TO", "DO"},    {"FIX", "ME"}, {"XX", "X"}, {"HA", "CK"}, {"not yet imple", "mented"},
        {"for n", "ow,"}};
    load();
    text_t complaints = TEXT_HEAP;
    for (size_t i = 0; i < files.len; i++)
        for (size_t w = 0; w < LENGTH_OF(words); w++) {
            char *word = str_printf("%s%s", words[w][0], words[w][1]);
            for (const char *at = files.at[i].text; (at = strstr(at, word)); at++) {
                bool whole =
                    (at == files.at[i].text || !strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ_X", at[-1])) &&
                    !strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ_X", at[strlen(word)]);
                if (whole) text_addf(&complaints, "%s: %s\n", files.at[i].path, word);
            }
            free(word);
        }
    cr_assert_eq(complaints.len, 0, "%s", text_str(&complaints));
    text_done(&complaints);
    unload();
}
