# lab - hosts made of namespaces, for the end-to-end tests: each has its own network, mounts, host
# name, processes and cgroup folder, on one switch of its own. Killing a host's first process is a
# power cut. Sourced by tests; everything is taken away at exit, also after a failure.
#
#   lab_new; host_add m1 11; host_add w1 12
#   on m1 troupe up -d …          run a program there
#   power_cut w1
#   some command & JOBS+=($!)     ended with the test
#
# Output is TAP: ok "…", not_ok "…"; check "what" command…
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BIN=${TROUPE_BIN:-$here/build/release/bin}
LAB=tl$$
NET=172.31.$((RANDOM % 200 + 20))
WORK=$(mktemp -d /tmp/troupe-lab-XXXXXX)
HOSTS=() JOBS=()
declare -A INIT_PID IP_OF
TESTS=0 FAILURES=0
KEEP=${KEEP:-}

# Waits so many seconds: on a pipe into which nobody writes. One for all: made anew each time, bash
# now and then goes on to wait for the process of `<(:)`, long gone, until some other child ends.
exec {SILENCE}<> <(:)
wait_s() { read -rt "$1" -u "$SILENCE" || true; }

ok() { TESTS=$((TESTS + 1)); echo "ok $TESTS - $*"; }
not_ok() { TESTS=$((TESTS + 1)); FAILURES=$((FAILURES + 1)); echo "not ok $TESTS - $*"; }
skip() { TESTS=$((TESTS + 1)); echo "ok $TESTS - $1 # SKIP $2"; }
note() { echo "# $*"; }
check() { # WHAT COMMAND…
    local what=$1 out; shift
    if out=$("$@" 2>&1); then ok "$what"; else not_ok "$what"; echo "$out" | sed 's/^/#   /' | tail -n 20; fi
}
check_text() { # WHAT EXPECTED-REGEX TEXT
    if grep -qE -- "$2" <<< "$3"; then ok "$1"; else not_ok "$1"; note "wanted /$2/ in:"; sed 's/^/#   /' <<< "$3" | head -n 20; fi
}
now_ms() { date +%s%3N; }
# until_true SECONDS COMMAND…: try again and again; prints the milliseconds it took.
until_true() {
    local start limit; start=$(now_ms); limit=$(($1 * 1000)); shift
    until "$@" > "$WORK/last" 2>&1; do
        if [ $(($(now_ms) - start)) -gt $limit ]; then sed 's/^/#   /' "$WORK/last" | tail -n 12 >&2; return 1; fi
        wait_s 0.05
    done
    echo $(($(now_ms) - start))
}

lab_new() {
    [ "$(id -u)" -eq 0 ] || { skip "$0" "needs root"; exit 0; }
    trap lab_done EXIT
    trap 'exit 130' INT TERM
    ip netns add "$LAB-lan" && ip -n "$LAB-lan" link add br0 type bridge && ip -n "$LAB-lan" link set br0 up
    ip -n "$LAB-lan" addr add "$NET.1/24" dev br0
    ip -n "$LAB-lan" link set lo up
    cat > "$WORK/init.c" <<'C'
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void) { signal(SIGTERM, SIG_IGN); for (;;) if (waitpid(-1, 0, 0) < 0 && errno == ECHILD) usleep(20000); }
C
    cc -O1 -static -o "$WORK/init" "$WORK/init.c"
}
host_add() { # NAME LAST-BYTE
    local h=$1 ip=$NET.$2 ns=$LAB-$1 c
    HOSTS+=("$h"); IP_OF[$h]=$ip
    ip netns add "$ns"; ip -n "$ns" link set lo up
    ip link add eth0 netns "$ns" type veth peer name "p-$h" netns "$LAB-lan"
    ip -n "$LAB-lan" link set "p-$h" master br0 up
    ip -n "$ns" addr add "$ip/24" dev eth0; ip -n "$ns" link set eth0 up
    ip -n "$ns" route add default via "$NET.1"
    mkdir -p "$WORK/$h"/{data,run,config}
    for c in /sys/fs/cgroup/*/; do [ -e "$c/cgroup.procs" ] && mkdir -p "$c/$LAB-$h" 2> /dev/null; done
    host_power_on "$h"
}
host_power_on() { # NAME
    local h=$1
    nsenter --net="/run/netns/$LAB-$h" unshare -m -u -i -p -f --mount-proc --propagation shared \
        sh -c "hostname $h; exec $WORK/init" > "$WORK/$h/init.log" 2>&1 < /dev/null &
    local outer=$! i
    disown $outer
    for i in $(seq 100); do
        INIT_PID[$h]=$(pgrep -P $outer 2> /dev/null | head -1)
        [ -n "${INIT_PID[$h]}" ] && [ "$(readlink "/proc/${INIT_PID[$h]}/exe" 2> /dev/null)" = "$WORK/init" ] && return
        wait_s 0.02
    done
    note "host $h did not start"; return 1
}
lab_tool() { local name=$1; shift; cc -D_GNU_SOURCE -O1 -pthread -o "$WORK/$name" "$here/tests/e2e/$name.c" "$@"; } # NAME [FLAGS…]: a program beside this file
# What a kubelet of the lab must know: its cgroups and logs are its own.
lab_kubelet() { # HOST
    printf 'kind: Kubelet\ncgroupRoot: /%s-%s\npodLogDir: %s\n' "$LAB" "$1" "$WORK/$1/pod-logs" > "$WORK/$1/config/kubelet.yaml"
}
on() { # HOST COMMAND…
    local pid=${INIT_PID[$1]}; shift
    nsenter -t "$pid" -m -u -i -n -p --wd="$PWD" "$@"
}
power_cut() { kill -9 "${INIT_PID[$1]}"; while kill -0 "${INIT_PID[$1]}" 2> /dev/null; do wait_s 0.01; done; }
unplug() { ip -n "$LAB-lan" link set "p-$1" down; }
plug() { ip -n "$LAB-lan" link set "p-$1" up; }
from_lan() { ip netns exec "$LAB-lan" "$@"; }

troupe() { local h=$1; shift; on "$h" "$BIN/troupe" "$@"; }
ctl_on() { local h=$1; shift; on "$h" "$BIN/troupectl" --socket "$WORK/$h/run/troupe.sock" "$@"; }
CTL_HOST=
ctl() { ctl_on "$CTL_HOST" "$@"; }
images() { # made once, kept between runs of the tests
    local dir=${TROUPE_TEST_IMAGES:-$here/build/images}
    "$here/scripts/images" "$dir" > "$WORK/images.log" 2>&1 || { cat "$WORK/images.log"; return 1; }
    for h in "${HOSTS[@]}"; do mkdir -p "$WORK/$h/data/images" && cp -n "$dir"/*.tar "$WORK/$h/data/images/"; done
}

cgroups_of_lab() { find /sys/fs/cgroup -depth -type d -path "*/$LAB-*" 2> /dev/null; }
lab_done() {
    local code=$? h
    [ ${#JOBS[@]} -gt 0 ] && kill "${JOBS[@]}" 2> /dev/null
    if [ -n "$KEEP" ]; then note "kept: $WORK, namespaces $LAB-*"; exit "$code"; fi
    for h in "${HOSTS[@]}"; do [ -n "${INIT_PID[$h]:-}" ] && kill -9 "${INIT_PID[$h]}" 2> /dev/null; done
    for h in "${HOSTS[@]}"; do while [ -n "${INIT_PID[$h]:-}" ] && kill -0 "${INIT_PID[$h]}" 2> /dev/null; do wait_s 0.01; done; done
    grep -o "$WORK[^ ]*" /proc/self/mounts | sort -r | while read -r m; do umount -l "$m" 2> /dev/null; done
    for h in 1 2 3; do cgroups_of_lab | while read -r c; do rmdir "$c" 2> /dev/null; done; done
    for h in "${HOSTS[@]}" lan; do ip netns del "$LAB-$h" 2> /dev/null; done
    [ "$FAILURES" -gt 0 ] && [ -n "${LOG_DIR:-}" ] && mkdir -p "$LOG_DIR" && for h in "${HOSTS[@]}"; do cp "$WORK/$h/data/troupe.log" "$LOG_DIR/$h.log" 2> /dev/null; done
    rm -rf --one-file-system "$WORK"
    echo "1..$TESTS"
    [ "$code" -eq 0 ] && [ "$FAILURES" -gt 0 ] && code=1
    exit "$code"
}
