// troupe - runs actors: a whole cluster on this machine, or the processes of a topology file.
#include "cli/troupe/cmd.h"

int main(int argc, char **argv) { return troupe_main(argc, argv); }
