#!/usr/bin/env bash
# Actors change their place while the rest runs: each kind from a thread to a process of its own and
# back, remembered over a restart, refused with a reason. And what a segfault costs in either place.
. "$(dirname "$0")/lab.sh"
lab_new
host_add m1 11
images || exit 1
lab_kubelet m1
CTL_HOST=m1 RUN=$WORK/m1/run

up() {
    troupe m1 up -d --data "$WORK/m1/data" --run-dir "$RUN" --config-dir "$WORK/m1/config" --node m1 --node-ip "${IP_OF[m1]}"
}
is_ready() { ctl get node m1 --no-headers | grep -qw Ready; }
pid_of() { on m1 pgrep -f "troupe actor-process .*--process $1 " | head -1; }
process_of() { ctl get actor "$1" -o jsonpath='{.status.process}'; }
api_answers() { ctl get pods --request-timeout=500ms; }
containers() { ctl get pods -l run=web -o jsonpath='{.items[*].status.containerStatuses[*].containerID}' | tr ' ' '\n' | sort; }
runs() { [ "$(ctl get pods -l run=web --no-headers | grep -c ' 1/1 *Running ')" = "$1" ]; }

up > /dev/null; until_true 20 is_ready > /dev/null && ok "the node is Ready" || not_ok "the node is Ready"
ctl run web --image=nginx --replicas=2 > /dev/null
until_true 30 runs 2 > /dev/null && ok "two pods run" || not_ok "two pods run"
before=$(containers)

movers="scheduler controllers chaos kubelet proxy store"
for role in $movers; do
    check_text "$role moves to a process of its own" "moved from process main to $role/m1 in" "$(ctl actors move "$role/m1" --to own 2>&1)"
done
check_text "the disk of the store stays, and why" "holds the files of its store member" "$(ctl actors move disk/m1 --to own 2>&1)"
check_text "the API server stays where command lines reach it" "no socket for command lines" "$(ctl actors move apiserver/m1 --to own 2>&1)"
check_text "who is there already is told so" "in process scheduler/m1 already" "$(ctl actors move scheduler/m1 --to own 2>&1)"
check_text "a process that nobody knows is refused" "no process is called nowhere" "$(ctl actors move scheduler/m1 --to nowhere 2>&1)"
ctl scale deployment web --replicas=3 > /dev/null
until_true 20 runs 3 > /dev/null && ok "and the cluster scales" || { not_ok "and the cluster scales"; ctl get pods,actors | sed 's/^/#   /'; }

# ---- a segfault in a process of its own ------------------------------------------------------------
others() { local r; for r in main controllers/m1 kubelet/m1 store/m1; do pid_of "$r"; done; }
untouched=$(others) victim=$(pid_of scheduler/m1)
ctl chaos crash scheduler/m1 > /dev/null
has_other() { local p; p=$(pid_of scheduler/m1) && [ -n "$p" ] && [ "$p" != "$victim" ]; }
until_true 5 has_other > /dev/null && ok "a segfault in the scheduler's process: it is there again" || not_ok "a segfault in the scheduler's process: it is there again"
check_text "no other process was touched" "^$untouched\$" "$(others)"
knows_why() { ctl get actor scheduler/m1 --no-headers | grep -q 'signal 11 (Segmentation fault)'; }
until_true 5 knows_why > /dev/null && ok "and get actors says why" || { not_ok "and get actors says why"; ctl get actor scheduler/m1 | sed 's/^/#   /'; }

# ---- remembered --------------------------------------------------------------------------------------
troupe m1 down --run-dir "$RUN" > /dev/null; up > /dev/null
until_true 20 is_ready > /dev/null && ok "after a restart the node is Ready" || not_ok "after a restart the node is Ready"
for role in $movers; do
    lives_alone() { [ "$(process_of "$role/m1")" = "$role/m1" ]; }
    until_true 5 lives_alone > /dev/null && ok "and $role is where it was moved to" || not_ok "and $role is where it was moved to"
done
for role in $movers; do
    check_text "$role goes home" "moved from process $role/m1 to main in" "$(ctl actors move "$role/m1" --to main 2>&1)"
done
is_one() { [ "$(on m1 pgrep -cf 'troupe actor-process')" = 1 ]; }
until_true 5 is_one > /dev/null && ok "and the processes have ended" || { not_ok "and the processes have ended"; on m1 pgrep -af troupe | sed 's/^/#   /'; }

# ---- a segfault where all are threads of one process -----------------------------------------------------
began=$(now_ms) victim=$(pid_of main)
ctl chaos crash scheduler/m1 > /dev/null
gone() { ! on m1 kill -0 "$victim"; }
until_true 5 gone > /dev/null; until_true 5 api_answers > /dev/null
took=$(($(now_ms) - began)); note "API server back after $took ms"
[ $took -le 1000 ] && ok "a segfault of the one process: the API answers within 1 s" || not_ok "a segfault of the one process: the API answers within 1 s ($took ms)"
ctl scale deployment web --replicas=4 > /dev/null
until_true 20 runs 4 > /dev/null && ok "and the cluster scales" || not_ok "and the cluster scales"
check_text "the first two containers are the same ones" "^2\$" "$(comm -12 <(echo "$before") <(containers) | wc -l)"
check_text "and none was restarted" "^(0 ?)+$" "$(ctl get pods -l run=web -o jsonpath='{.items[*].status.containerStatuses[*].restartCount}')"
