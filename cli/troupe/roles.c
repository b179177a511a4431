// Which actors there are. To add one: a row, and a line in the topology files that should run it.
#include "cli/troupe/role.h"

//  role · actor · args · defaults · component file's kind and fields · needs root
const role_t roles[] = {
    {NULL},
};
