// rows - the controllers there are; controllers.c puts them in their order.
#pragma once
#include "actors/controllers/controller.h"

extern const controller_def_t nodeipam_controller;
extern const controller_def_t namespace_controller;
extern const controller_def_t nodelife_controller;
extern const controller_def_t podgc_controller;
extern const controller_def_t replicaset_controller;
extern const controller_def_t deployment_controller;
extern const controller_def_t endpoints_controller;
extern const controller_def_t gc_controller;
