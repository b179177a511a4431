// fake_kubelet - a node in a few lines, for simulations: registers itself, says that it lives, runs
// every pod bound to it after a while, lets go of those that are to be deleted.
#pragma once
#include "runtime/actor/kit.h"

typedef struct {
    int64_t start_ms, stop_ms; // how long a pod takes to come up, and to go; 0: 30, 20
    const char *cpu;           // "4"; NULL: "4"
} fake_kubelet_args_t;
extern const actor_def_t fake_kubelet_actor; // role "kubelet"; args: fake_kubelet_args_t or NULL
