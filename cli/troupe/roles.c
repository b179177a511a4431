// Which actors there are. To add one: a row, and a line in the topology files that should run it.
#include "actors/apiserver/apiserver_actor.h"
#include "cli/troupe/role.h"

//  role · actor · args · defaults · component file's kind and fields · needs root
const role_t roles[] = {
    {"apiserver", &apiserver_actor, sizeof(apiserver_args_t), &apiserver_args_default, "ApiServer",
     apiserver_config},
    {NULL},
};
