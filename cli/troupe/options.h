// options - a verb's options as a table: parsed into a struct, shown by --help.
//
// `--name VALUE`, `--name=VALUE`, `-n VALUE`; a flag takes no value. `--` ends the options.
#pragma once
#include "runtime/base/text.h"
#include "runtime/base/why.h"

typedef enum {
    OPTION_STRING, // const char *
    OPTION_FLAG,   // bool
    OPTION_COUNT,  // int64_t, >= 0
} option_type_t;

typedef struct {
    const char *name; // without the dashes; NULL ends a table
    char letter;      // 0: none
    option_type_t type;
    size_t offset;     // of the member in the struct
    const char *value; // shown in help: "DIR"
    const char *help;  // NULL: internal, not shown
} option_t;

// Fills *ret_struct; what is no option goes to positional (at most `positional_max`, borrowed from
// argv). ERR_USAGE, with a nearby name for a mistyped one.
err_t options_parse(const option_t *table, int argc, char **argv, void *ret_struct,
                    const char **positional, size_t positional_max, size_t *ret_positional_len,
                    why_t *why) MUST_USE;
void options_help(text_t *out, const option_t *table);
