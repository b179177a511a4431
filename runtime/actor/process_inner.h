// process_inner - what process.c shares with the links (link_*.c: process_listen, process_connect)
// and with the process' own actors. Private to runtime/actor.
#pragma once
#include "runtime/actor/bus.h"
#include "runtime/actor/dispatcher.h"
#include "runtime/actor/trace.h"

const process_options_t *process_options(const process_t *p); // name and host are never NULL
uint64_t process_boot_id(const process_t *p);                 // drawn anew at each start
bus_t *process_bus(const process_t *p);
directory_t *process_directory(const process_t *p);
faults_t *process_faults(const process_t *p);
trace_t *process_trace(const process_t *p);
// Is there a dispatcher of this name already?
bool process_has_dispatcher(const process_t *p, const char *dispatcher);
// Memory that lives as long as the process: for the args of actors that the process itself spawns.
// Only from the thread that builds the process.
arena_t *process_arena(process_t *p);
