// actors - the actors of the cluster as API objects (actors.troupe.io/v1): an actor's name is its
// address. They are not stored: a list asks the `system` actor of every process that this one has
// heard of, a deletion has the actor killed there. What does not answer in time is left out. A
// watch of them is a quiet one: whoever follows every kind may follow this one too.
// Private to the API server.
#pragma once
#include "actors/apiserver/server.h"

enum { ACTORS_TIMEOUT_MS = 1000 };

bool actors_are_asked(const kind_t *k);
// The job is about them: list, get or delete. Takes over; the answer comes when all have spoken.
void actors_begin(actor_t *me, job_t *job);
void actors_on_infos(actor_t *me, uint64_t job, blob_t *infos); // NULL: no answer from there
void actors_on_killed(actor_t *me, uint64_t job, err_t err, const char *why);
