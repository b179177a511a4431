#!/usr/bin/env bash
# test_processes.sh again, the same cluster linked over tcp with CURVE keys.
LINKS=tcp . "$(dirname "$0")/test_processes.sh"
