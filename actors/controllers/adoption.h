// adoption - of objects by the ones that own them, as ReplicaSets own pods and Deployments own
// ReplicaSets: an owner takes orphans that its selector matches and lets go what it matches no more
// (Kubernetes' ControllerRefManager). A cache may not know yet that an owner is gone, or that
// another one bears its name: before it adopts, it is read live once.
#pragma once
#include "actors/controllers/controller.h"

typedef struct {
    followed_t owners, owned;
    const Meta__LabelSelector *(*selector)(const ProtobufCMessage *owner); // NULL: none
} adoption_t;

// What is remembered of an owner; zeroed: nothing.
typedef struct {
    char *uid;  // it was seen alive under this uid
    bool asked; // in this sync
} adopter_t;
void adopter_done(adopter_t *a);

// Touches whom a change of this object concerns: its owner, or those that may adopt it.
void adoption_touch(controller_t *c, const adoption_t *what, const record_t *owned);

// Inside sync. Adopts if the owner was seen alive, else asks once a sync whether it is.
void adoption_begin(adopter_t *a);
void adoption_take(controller_t *c, const adoption_t *what, adopter_t *a,
                   const ProtobufCMessage *owner, const ProtobufCMessage *owned);
void adoption_release(controller_t *c, const adoption_t *what, const ProtobufCMessage *owner,
                      const ProtobufCMessage *owned);
// Inside outcome: takes the answer to that question (`owner` NULL: it failed), and nothing else.
void adoption_heard(controller_t *c, const adoption_t *what, adopter_t *a, const write_t *w,
                    const ProtobufCMessage *owner);
