// model - the store as a client understands it: keys with create and mod revision, version, lease
// and value; leases; one revision counter. Small and slow-witted on purpose: no cache, no history,
// nothing shared with the store it judges. Every change can be taken back, for a search.
#pragma once
#include "store/check/history.h"

typedef struct {
    bool is_there;
    revision_t create, mod;
    int64_t version, lease;
    bytes_t value;
} model_value_t;

typedef enum { MODEL_LEASE_NONE, MODEL_LEASE_LIVE, MODEL_LEASE_ENDED } model_lease_t;

typedef struct {
    size_t key; // its number
    bool deleted;
} model_change_t;

typedef struct model model_t;

// Knows every key and lease that the history names; all keys absent. The history is borrowed and
// outlives it.
model_t *model_new(const history_t *history) MUST_USE;
void model_destroy(model_t **model);

// ---- questions ----------------------------------------------------------------------------------
bytes_t model_key(const model_t *model, size_t key);
const model_value_t *model_value(const model_t *model, size_t key);
// The numbers of the keys that a range names: [*ret_from, *ret_to). Keys are numbered in their
// order.
void model_range(const model_t *model, bytes_t key, bytes_t end, size_t *ret_from, size_t *ret_to);
size_t model_lease(const model_t *model, int64_t id); // its number; SIZE_MAX: unknown
size_t model_leases(const model_t *model);
int64_t model_lease_id(const model_t *model, size_t lease);
model_lease_t model_lease_state(const model_t *model, size_t lease);
// What the last change did, in the order in which the store numbers the changes of one revision.
const model_change_t *model_changes(const model_t *model, size_t *ret_len);

// ---- changes ------------------------------------------------------------------------------------
// Each makes `revision`, if it changes anything (model_changes), from the state before it. False:
// the entry was answered and this state would have answered otherwise (`why` says in which way), or
// the store would have refused it; then the caller undoes it.
bool model_txn(model_t *model, const history_entry_t *entry, revision_t revision, text_t *why);
bool model_get(const model_t *model, const history_op_t *get, const history_reply_t *reply,
               text_t *why);
void model_grant(model_t *model, size_t lease);
void model_end_lease(model_t *model, size_t lease, revision_t revision); // its keys go with it
size_t model_mark(const model_t *model);
void model_undo(model_t *model, size_t mark); // back to the state of that mark

// "key = value (create 1, mod 5, version 2, lease 0)", or "no key".
void model_print_value(bytes_t key, const model_value_t *value, text_t *text);
