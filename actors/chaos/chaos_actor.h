// chaos_actor - runs Experiments (chaos.troupe.io/v1), one after the other, and judges.
//
// Role "chaos", elected: of several one works. While nothing is to be run it follows the
// experiments and does nothing else. An experiment that it finds running (its predecessor died)
// it carries on with at the time where it stands.
#pragma once
#include "runtime/actor/kit.h"

extern const actor_def_t chaos_actor; // no args
