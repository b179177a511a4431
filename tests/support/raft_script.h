// raft_script - clusters of Raft cores moved by lines of text, for golden traces.
#pragma once
#include "tests/support/raft_rig.h"

// Runs a script: lines that begin with "> " are commands (raft_script.c has the list), all others
// are what they printed the last time. Returns the script with what they print now (*returned*).
// A promise that was broken is printed as "BROKEN: …".
char *raft_script_run(const char *script) MUST_USE;
