#include "cli/troupe/builtin.h"

// The assembler copies the file; CMake names it as a dependency of this source.
#define EMBED(symbol, path)                                                         \
    __asm__(".section .rodata\n"                                                    \
            ".global " #symbol "_start\n" #symbol "_start:\n.incbin \"" path "\"\n" \
            ".global " #symbol "_end\n" #symbol "_end:\n.byte 0\n.previous\n");     \
    extern const uint8_t symbol##_start[], symbol##_end[]

EMBED(builtin_all_in_one, CONFIGS_DIR "/all-in-one.yaml");
EMBED(builtin_processes, CONFIGS_DIR "/all-in-one-processes.yaml");

bytes_t builtin_topology(const char *name) {
    if (streq(name, "all-in-one"))
        return (bytes_t){builtin_all_in_one_start,
                         (size_t)(builtin_all_in_one_end - builtin_all_in_one_start)};
    if (streq(name, "all-in-one-processes"))
        return (bytes_t){builtin_processes_start,
                         (size_t)(builtin_processes_end - builtin_processes_start)};
    return (bytes_t){0};
}
