#!/usr/bin/env bash
# Commands come and go: what does the process that answers them keep of each? Its caches are bounded (the
# trace ring's 16 K hops fill within some five thousand commands), so the level stands still after that.
#
#   CALLS=10000: shows it whole, for scripts/soak
. "$(dirname "$0")/lab.sh"
CALLS=${CALLS:-1000} LEVEL_MAX_KB=16384 STEP_MAX_KB=512
lab_new
host_add m1 11
images || exit 1
CTL_HOST=m1 IP=${IP_OF[m1]}
lab_kubelet m1
check "troupe up starts a cluster" troupe m1 up -d --data "$WORK/m1/data" --run-dir "$WORK/m1/run" --config-dir "$WORK/m1/config" --node m1 --node-ip "$IP"
is_ready() { ctl get node m1 --no-headers | grep -qw Ready; }
until_true 20 is_ready > /dev/null || { not_ok "the node is Ready"; exit 1; }
level_kb() { on m1 awk '/^RssAnon/ {print $2}' "/proc/$(on m1 pgrep -f 'troupe actor-process' | head -1)/status"; }
burst() { on m1 sh -c "for j in 1 2; do for k in \$(seq $(($1 / 2))); do $BIN/troupectl --socket $WORK/m1/run/troupe.sock get pods > /dev/null 2>&1; done & done; wait"; }
first=$(level_kb) last=$first
for quarter in 1 2 3 4; do
    before=$last; burst $((CALLS / 4)); last=$(level_kb)
    note "after $((CALLS * quarter / 4)) commands: $last KiB of its own memory"
done
[ "$last" -le $LEVEL_MAX_KB ] && ok "after $CALLS commands it has $last KiB (before them $first)" || not_ok "after $CALLS commands it has $last KiB (before them $first)"
[ "$CALLS" -lt 8000 ] || { [ $((last - before)) -le $STEP_MAX_KB ] && ok "and the last $((CALLS / 4)) cost $((last - before)) KiB" || not_ok "the last $((CALLS / 4)) cost $((last - before)) KiB"; }
