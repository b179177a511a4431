// Reading what a person typed: types and names, numbers, durations, manifests.
#include "cli/troupectl/ctl.h"
#include "runtime/api/codec.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

bool parse_int(const char *text, int64_t min, int64_t max, int64_t *ret_value) {
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || end == text || *end || value < min || value > max) return false;
    *ret_value = value;
    return true;
}

bool parse_duration_ms(const char *text, int64_t *ret_ms) {
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    int64_t total = 0;
    const char *at = text;
    if (streq(text, "0")) return *ret_ms = 0, true;
    while (*at) {
        char *end;
        errno = 0;
        long long number = strtoll(at, &end, 10);
        if (errno || end == at || number < 0 || number > INT32_MAX) return false;
        size_t len = 0, unit = LENGTH_OF(units);
        while (isalpha((unsigned char)end[len])) len++;
        for (size_t i = 0; i < LENGTH_OF(units); i++)
            if (strlen(units[i].unit) == len && memcmp(units[i].unit, end, len) == 0) unit = i;
        if (unit == LENGTH_OF(units)) return false;
        total += number * units[unit].ms;
        at = end + len;
    }
    if (at == text) return false;
    *ret_ms = total;
    return true;
}

// ---- types and names ---------------------------------------------------------------------------

typedef VEC(target_t) target_vec_t;

static const kind_t *find_kind(const char *typed) {
    const kind_t *k = kind_by_typed_name(typed);
    if (!k) refuse("the server doesn't have a resource type \"%s\"", typed);
    return k;
}

static bool add_kinds(ctl_t *ctl, const char *word, target_vec_t *targets) {
    char *list = arena_strdup(&ctl->arena, word), *rest = list, *one;
    while ((one = strsep(&rest, ","))) {
        if (streq(one, "all")) {
            const kind_t *k;
            for (size_t i = 0; (k = kind_at(i)); i++)
                if (!k->stored_as && k->categories && strstr(k->categories, "all"))
                    vec_push(targets, ((target_t){k, NULL}));
            continue;
        }
        const kind_t *k = find_kind(one);
        if (!k) return false;
        vec_push(targets, ((target_t){k, NULL}));
    }
    return true;
}

static bool add_slashed(ctl_t *ctl, const char *word, target_vec_t *targets) {
    const char *slash = strchr(word, '/');
    if (!slash || !slash[1] || slash == word || strchr(slash + 1, '/')) {
        refuse("arguments in resource/name form must have a single resource and name, and all of "
               "them that form: \"%s\"",
               word);
        return false;
    }
    const kind_t *k = find_kind(arena_strndup(&ctl->arena, word, (size_t)(slash - word)));
    if (!k) return false;
    vec_push(targets, ((target_t){k, slash + 1}));
    return true;
}

static bool read_targets(ctl_t *ctl, size_t first, target_vec_t *targets) {
    if (ctl->words.len <= first) {
        refuse("You must specify the type of resource to %s; `troupectl api-resources` lists them",
               ctl->verb);
        return false;
    }
    if (strchr(ctl->words.at[first], '/')) {
        for (size_t i = first; i < ctl->words.len; i++)
            if (!add_slashed(ctl, ctl->words.at[i], targets)) return false;
        return true;
    }
    if (!add_kinds(ctl, ctl->words.at[first], targets)) return false;
    size_t kinds_len = targets->len;
    if (ctl->words.len == first + 1) return true;
    // TYPE[,TYPE] NAME…: every name of every type.
    target_vec_t named = {0};
    for (size_t i = 0; i < kinds_len; i++)
        for (size_t w = first + 1; w < ctl->words.len; w++)
            vec_push(&named, ((target_t){targets->at[i].kind, ctl->words.at[w]}));
    vec_done(targets);
    *targets = named;
    // Only actors have a slash in their names: they are addresses.
    bool are_actors = kinds_len == 1 && streq(targets->at[0].kind->name, "Actor");
    for (size_t w = first + 1; w < ctl->words.len && !are_actors; w++)
        if (strchr(ctl->words.at[w], '/')) {
            refuse(
                "there is no need to specify a resource type as a separate argument when passing "
                "arguments in resource/name form (e.g. '%s get resource/<resource_name>' instead "
                "of '%s get resource resource/<resource_name>'",
                "troupectl", "troupectl");
            return false;
        }
    return true;
}

bool targets_parse(ctl_t *ctl, size_t first, targets_t *ret_targets) {
    target_vec_t targets = {0};
    bool ok = read_targets(ctl, first, &targets);
    if (ok) {
        size_t kinds = 0;
        for (size_t i = 0; i < targets.len; i++)
            kinds += i == 0 || targets.at[i].kind != targets.at[i - 1].kind;
        *ret_targets =
            (targets_t){arena_dup(&ctl->arena, targets.at, targets.len * sizeof *targets.at),
                        targets.len, kinds};
    }
    vec_done(&targets);
    return ok;
}

bool target_parse_one(ctl_t *ctl, size_t first, target_t *ret_target) {
    targets_t targets;
    if (!targets_parse(ctl, first, &targets)) return false;
    if (targets.len != 1 || !targets.at[0].name) {
        refuse("%s wants exactly one object, as TYPE NAME or TYPE/NAME", ctl->verb);
        return false;
    }
    *ret_target = targets.at[0];
    return true;
}

// ---- manifests ---------------------------------------------------------------------------------

static bool read_stream(ctl_t *ctl, FILE *in, const char *file, text_t *out) {
    char buf[16384];
    size_t got;
    while ((got = fread(buf, 1, sizeof buf, in)) > 0) {
        text_addn(out, buf, got);
        if (out->len > CODEC_TEXT_MAX_BYTES)
            return refuse("%s is larger than %d bytes", file, CODEC_TEXT_MAX_BYTES), false;
    }
    if (ferror(in)) return refuse("cannot read %s: %s", file, strerror(errno)), false;
    return true;
}

static bool add_text(ctl_t *ctl, const char *file, const text_t *text, wanteds_t *wanteds) {
    manifests_t manifests;
    why_t why;
    if (manifests_read(&ctl->arena, file, text_str(text), text->len, true, &manifests, &why)) {
        refuse("%s", why.text);
        return false;
    }
    for (size_t i = 0; i < manifests.len; i++) {
        manifest_t *m = &manifests.at[i];
        const char *own = object_meta_read(m->obj)->namespace_;
        if (m->kind->namespaced && ctl->o.namespace_ && !is_empty(own) &&
            !streq(own, ctl->o.namespace_)) {
            refuse("the namespace from the provided object \"%s\" does not match the namespace "
                   "\"%s\". You must pass '--namespace=%s' to perform this operation.",
                   own, ctl->o.namespace_, own);
            return false;
        }
        const char *ns = !m->kind->namespaced ? "" : is_empty(own) ? ctl_namespace(ctl) : own;
        wanted_t wanted = {m->kind, m->obj, ns, arena_strdup(&ctl->arena, file), m->json, m->line};
        vec_push(wanteds, wanted);
    }
    return true;
}

static bool load_file(ctl_t *ctl, const char *file, wanteds_t *wanteds) {
    bool is_stdin = streq(file, "-");
    FILE *in = is_stdin ? stdin : fopen(file, "re");
    if (!in) {
        if (errno == ENOENT)
            refuse("the path \"%s\" does not exist", file);
        else
            refuse("cannot open %s: %s", file, strerror(errno));
        return false;
    }
    text_t text = TEXT_HEAP;
    bool ok = read_stream(ctl, in, is_stdin ? "standard input" : file, &text) &&
              add_text(ctl, is_stdin ? "STDIN" : file, &text, wanteds);
    if (!is_stdin) fclose(in);
    text_done(&text);
    return ok;
}

static int is_manifest(const struct dirent *e) {
    return e->d_name[0] != '.' && (e->d_type == DT_DIR || has_suffix(e->d_name, ".yaml") ||
                                   has_suffix(e->d_name, ".yml") || has_suffix(e->d_name, ".json"));
}

static bool load_path(ctl_t *ctl, const char *path, wanteds_t *wanteds) {
    struct stat about;
    if (streq(path, "-") || stat(path, &about) != 0 || !S_ISDIR(about.st_mode))
        return load_file(ctl, path, wanteds);
    struct dirent **entries;
    int len = scandir(path, &entries, is_manifest, alphasort);
    if (len < 0) return refuse("cannot read folder %s: %s", path, strerror(errno)), false;
    bool ok = true;
    for (int i = 0; i < len; i++) {
        const char *inside = arena_printf(&ctl->arena, "%s/%s", path, entries[i]->d_name);
        bool is_dir = stat(inside, &about) == 0 && S_ISDIR(about.st_mode);
        if (ok && (!is_dir || ctl->o.recursive)) ok = load_path(ctl, inside, wanteds);
        free(entries[i]);
    }
    free(entries);
    return ok;
}

bool manifests_load(ctl_t *ctl, wanteds_t *ret_wanteds) {
    if (ctl->o.filenames.len == 0)
        return refuse("must specify -f: a manifest, a folder, or - for standard input"), false;
    for (size_t i = 0; i < ctl->o.filenames.len; i++)
        if (!load_path(ctl, ctl->o.filenames.at[i], ret_wanteds)) return false;
    if (ret_wanteds->len == 0) return refuse("no objects passed to %s", ctl->verb), false;
    return true;
}
