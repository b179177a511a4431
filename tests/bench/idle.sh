#!/usr/bin/env bash
# What an idle cluster costs: PSS and CPU of Troupe's own processes, those of containerd and its shims
# beside them, and the time from `troupe up` to a Ready node. Needs root: hosts are namespaces
# (tests/e2e/lab.sh). Each figure is over SECONDS of doing nothing, three times; the worst is printed.
#
#   sudo tests/bench/idle.sh [SECONDS]       10 unless said
. "$(dirname "$0")/../e2e/lab.sh" > /dev/null
seconds=${1:-10} rounds=3
lab_new
# A copy: pages of the program that other clusters of this machine run are not counted as shared.
mkdir "$WORK/bin" && cp "$BIN"/troupe "$BIN"/troupectl "$WORK/bin/" && BIN=$WORK/bin
host_add m1 11; host_add n1 21
images || exit 1
CTL_HOST=m1

pids_of() { pgrep -f -- "$1" | tr '\n' ' '; } # PATTERN: of this lab only, its folder stands in the arguments
pss_kib() { local p sum=0; for p in $1; do sum=$((sum + $(awk '/^Pss:/ {print $2}' "/proc/$p/smaps_rollup" 2> /dev/null || echo 0))); done; echo $sum; }
cpu_ticks() { local p sum=0; for p in $1; do sum=$((sum + $(sed 's/.*) //' "/proc/$p/stat" 2> /dev/null | awk '{print $12 + $13}'))); done; echo $sum; }
idle() { # WHAT PIDS [PSS-LIMIT-MIB]
    local what=$1 pids=$2 limit=${3:-} i before pss cpu worst_pss=0 worst_cpu=0 verdict=
    for i in $(seq $rounds); do
        before=$(cpu_ticks "$pids")
        wait_s "$seconds"
        cpu=$((($(cpu_ticks "$pids") - before) * 10000 / ($(getconf CLK_TCK) * seconds))) # in 0.01 %
        pss=$(pss_kib "$pids")
        [ $pss -gt $worst_pss ] && worst_pss=$pss
        [ $cpu -gt $worst_cpu ] && worst_cpu=$cpu
    done
    [ -n "$limit" ] && { [ $worst_pss -le $((limit * 1024)) ] && verdict="  (PSS target $limit MiB: met)" || verdict="  (PSS target $limit MiB: MISSED)"; }
    printf '%-34s %2d processes  PSS %6.1f MiB  CPU %d.%02d %% of a core%s\n' "$what" "$(wc -w <<< "$pids")" \
        "$(awk "BEGIN {print $worst_pss / 1024}")" $((worst_cpu / 100)) $((worst_cpu % 100)) "$verdict"
}
is_ready() { ctl get node "$1" --no-headers 2> /dev/null | grep -qw Ready; }
keys() { "$BIN/troupe" keys "$1" --dir "$WORK/keys" > /dev/null; }

# ---- a master that is a worker, too, and a worker of it: by tcp, as two machines would be ----------------
declare -A NODE=([m1]=master-1 [n1]=node-1) # as configs/master.yaml knows them
keys master; keys node-1
for h in m1 n1; do mkdir -p "$WORK/$h/config/keys/allowed"; cp "$WORK/keys/master.cert" "$WORK/$h/config/keys/"; lab_kubelet $h; done
cp "$WORK/keys/master.cert_secret" "$WORK/m1/config/keys/"; cp "$WORK/keys/node-1.cert" "$WORK/m1/config/keys/allowed/"
cp "$WORK/keys/node-1.cert_secret" "$WORK/n1/config/keys/"
cp "$here/configs/master.yaml" "$WORK/m1/config/topology.yaml"
sed "s/MASTER/${IP_OF[m1]}/" "$here/configs/worker.yaml" > "$WORK/n1/config/topology.yaml"
start() { # HOST VERB…
    local h=$1; shift
    troupe "$h" "$@" -d --data "$WORK/$h/data" --run-dir "$WORK/$h/run" --config-dir "$WORK/$h/config" --node "${NODE[$h]}" --node-ip "${IP_OF[$h]}"
}
down() { troupe "$1" down --run-dir "$WORK/$1/run" > /dev/null; }

note "load of the machine: $(cut -d' ' -f1-3 /proc/loadavg)"
worst=0
for i in $(seq $rounds); do # the first starts containerd, too
    began=$(now_ms); start m1 up > /dev/null && until_true 20 is_ready master-1 > /dev/null || { not_ok "the node becomes Ready"; exit 1; }
    took=$(($(now_ms) - began)); note "troupe up → Ready: $took ms"
    [ $took -gt $worst ] && worst=$took
    [ "$i" = $rounds ] || down m1
done
echo "troupe up → node Ready              worst of $rounds: $worst ms (containerd started by the first)"
idle "control plane + agent" "$(pids_of "troupe (up|actor-process|run) .*--data $WORK/m1/data|troupe up .*$WORK/m1")" 48
idle "  containerd beside it" "$(pids_of "containerd.*$WORK/m1")"
ctl run web --image=nginx --replicas=3 > /dev/null && ctl rollout status deployment/web --timeout=60s > /dev/null
idle "control plane + agent, 3 pods" "$(pids_of "troupe (up|actor-process|run) .*--data $WORK/m1/data|troupe up .*$WORK/m1")" 48
idle "  containerd and shims" "$(pids_of "containerd.*$WORK/m1")"
ctl delete deployment web > /dev/null; down m1
start m1 run -f "$WORK/m1/config/topology.yaml" > /dev/null && start n1 run -f "$WORK/n1/config/topology.yaml" > /dev/null
until_true 20 is_ready node-1 > /dev/null || { not_ok "the worker becomes Ready"; exit 1; }
idle "worker agent alone" "$(pids_of "troupe (actor-process|run) .*$WORK/n1")" 16
idle "  containerd beside it" "$(pids_of "containerd.*$WORK/n1")"
