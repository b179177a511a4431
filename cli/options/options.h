// options - a command's flags as a table: parsed into a struct, shown by --help, known to the
// completions. Both programs read theirs here, so that both are typed the same way:
//
//     --name VALUE, --name=VALUE, -n VALUE, -nVALUE, -n=VALUE; letters of flags may be bundled
//     (-it); --flag=false; what follows `--` is no option
#pragma once
#include "runtime/base/text.h"
#include "runtime/base/vec.h"
#include "runtime/base/why.h"

typedef VEC(const char *) words_t; // borrowed from argv

typedef enum {
    OPTION_STRING,  // const char *
    OPTION_FLAG,    // bool
    OPTION_COUNT,   // int64_t, >= 0
    OPTION_STRINGS, // words_t: may be repeated; the caller frees it
} option_type_t;

typedef struct {
    const char *name; // without the dashes; NULL ends a table
    char letter;      // 0: none
    option_type_t type;
    size_t offset;        // of the member in the struct
    const char *value;    // shown in help: "DIR"
    const char *help;     // NULL: internal, not shown
    const char *default_; // value when given without one ("--wait"); NULL: the value is required
} option_t;

// One table may serve many verbs: `names` has the rows that count, separated by spaces; NULL: all.
// Rows may share a name or a letter when no verb takes both.
typedef struct {
    const option_t *table;
    const char *names;
} option_set_t;

// The next row of the set at or after *at (start with 0); NULL past the end.
const option_t *options_next(option_set_t set, size_t *at);

// Fills *ret_struct; what is no option goes to ret_words, what follows `--` to ret_rest (both the
// caller's to free, also after a failure). ERR_USAGE with kubectl's words ("unknown flag: --foo")
// and, for a mistyped name, one that is near.
err_t options_read(const option_set_t *sets, size_t sets_len, int argc, const char *const *argv,
                   void *ret_struct, words_t *ret_words, words_t *ret_rest, why_t *why) MUST_USE;

// The same for a whole table and a bounded number of words, wherever they stand: at most
// `positional_max`, borrowed from argv.
err_t options_parse(const option_t *table, int argc, char **argv, void *ret_struct,
                    const char **positional, size_t positional_max, size_t *ret_positional_len,
                    why_t *why) MUST_USE;

// The lines of --help.
void options_help(text_t *out, const option_t *table);
void options_help_set(text_t *out, option_set_t set);
