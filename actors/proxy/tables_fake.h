// tables_fake - what iptables keeps of our rules, in memory: it takes the input of
// iptables-restore --noflush and gives the text of iptables-save, so that the proxy runs, and its
// rules are looked at, where there is no kernel to hold them (the simulator).
//
// As the kernel does, it takes a table's changes whole or not at all, and refuses a rule for a
// chain that is not there, a jump to one, and the removal of one that is still jumped to.
#pragma once
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/text.h"
#include "runtime/base/why.h"

typedef struct tables_fake tables_fake_t;
tables_fake_t *tables_fake_new(void) MUST_USE;
void tables_fake_destroy(tables_fake_t **tables);
err_t tables_fake_restore(tables_fake_t *t, const char *input, why_t *why) MUST_USE; // ERR_INVALID
void tables_fake_save(const tables_fake_t *t, text_t *out);
void tables_fake_clear(tables_fake_t *t);             // the host went down
uint64_t tables_fake_version(const tables_fake_t *t); // grows with every change

// Where a packet to a service's address may come out: one text a road, "SERVICE-IP:PORT POD:PORT",
// sorted, in the arena.
typedef struct {
    const char **at;
    size_t len;
} table_roads_t;
void tables_fake_roads(const tables_fake_t *t, arena_t *arena, table_roads_t *ret_roads);
