#!/usr/bin/env bash
# How long each part is missed when it dies, and how long until its work is done again: each actor, the
# masters' processes, containers, nodes, on three masters and two workers; beside etcd's change of leader
# (three members) and Docker Swarm's replacement of a task in the same run. Median and worst of RUNS.
#
#   sudo tests/bench/failover.sh [RUNS [SECTION…]]     20; actors leaders containers nodes etcd swarm
#
# Times are a user's: from the blow to the first command that shows it, the commands' own start (troupectl
# some 10 ms, etcdctl and docker some 30) included. Swarm's programs are fetched and not installed.
. "$(dirname "$0")/../e2e/masters.sh" > /dev/null
RUNS=${1:-20}; shift || true
SECTIONS=${*:-actors leaders containers nodes etcd swarm}
has() { [[ " $SECTIONS " == *" $1 "* ]]; }
row() { # WHAT MILLISECONDS…
    local what=$1; shift
    printf '%s\n' "$@" | sort -n | awk -v what="$what" '{ a[NR] = $1 } END { printf "%-66s %3d  %6d  %6d\n", what, NR, a[int((NR + 1) / 2)], a[NR] }'
}
# From START until the command succeeds, in TIMES; a run that does not end is said and not counted.
TIMES=()
insist() { # START COMMAND…: again and again
    local start=$1; shift
    until "$@" > "$WORK/last" 2>&1; do [ $(($(now_ms) - start)) -lt 30000 ] || { note "not within 30 s: $*: $(tail -n 1 "$WORK/last")"; return 1; }; done
}
took() { insist "$@" && TIMES+=($(($(now_ms) - $1))); }
echo "load of the machine: $(cut -d' ' -f1-3 /proc/loadavg)"
printf '%-66s %3s  %6s  %6s\n' "milliseconds" runs median worst

if has actors || has leaders || has containers || has nodes; then
    masters_new 2 > /dev/null
    # Our own wishes: pods of a node that is gone are given up after a second, and a node a second, for
    # here one dies every few seconds: at 0.1 a second most would wait for their turn.
    for h in "${MASTERS[@]}"; do
        printf 'kind: ApiServer\ndefaultTolerationSeconds: 1\n' > "$WORK/$h/config/apiserver.yaml"
        printf 'kind: Controllers\nevictionsPerThousandSeconds: 1000\n' > "$WORK/$h/config/controllers.yaml"
    done
    masters_start > /dev/null
fi

# ---- actors: Down and Up as an Experiment's chaos actor hears them; one kind after the other ---------------
actors() {
    local target kind failed=
    for target in scheduler controllers apiserver/master-1 store/master-1 disk/master-1 informers/master-1 kubelet/node-1 proxy/node-1; do
        kind=${target%/*}
        ctl create -f - > /dev/null << Y
apiVersion: chaos.troupe.io/v1
kind: Experiment
metadata: {name: $kind}
spec:
  seed: 1
  duration: $((RUNS + 2))s
  recoveryTimeout: 20s
  steadyState: [{type: API}]
  faults: [{name: $kind, action: kill, targets: ["$target"], at: 1s, every: 1s}]
Y
        over() { [[ $(ctl get experiment "$kind" -o jsonpath='{.status.phase}') = @(Completed|Failed) ]]; }
        until_true $((RUNS * 2 + 60)) over > /dev/null
        ctl get experiment "$kind" -o jsonpath='{range .status.faults[*]}{.detectedMillis} {.recoveredMillis}{"\n"}{end}' | grep '[0-9] [0-9]' > "$WORK/strikes"
        row "$target: actor killed, its end is heard" $(cut -d' ' -f1 "$WORK/strikes")
        row "$target: it is there again" $(cut -d' ' -f2 "$WORK/strikes")
        failed+=$(ctl get experiment "$kind" -o jsonpath='{.status.verdict}' | grep -v Passed)
    done
    [ -z "$failed" ] || echo "an experiment's verdict is $failed"
}

# ---- leaders: their work is done again ---------------------------------------------------------------------
leads() { host_of "$(ctl_on "$2" get lease "$1" -n kube-system -o jsonpath='{.spec.holderIdentity}' | sed 's|.*/||')"; } # ROLE HOST
pod() { printf 'apiVersion: v1\nkind: Pod\nmetadata: {name: %s}\nspec: {terminationGracePeriodSeconds: 0, containers: [{name: c, image: busybox, command: [sleep, "3600"]}]}\n' "$1"; }
idle_set() { printf 'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: %s}\nspec: {replicas: 0, selector: {matchLabels: {app: d}}, template: {metadata: {labels: {app: d}}, spec: {nodeSelector: {no: where}, containers: [{name: c, image: busybox}]}}}\n' "$1"; }
put() { printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\n' "$2" | ctl_on "$1" create --request-timeout=8s -f -; }
kill_actor() { ctl_on "$2" delete actor "$1/${NODE[$3]}"; }              # ROLE THROUGH VICTIM
kill_process() { on "$3" kill -9 "$(process_of "$3")"; }
leaders() { # HOW
    local how=$1 what=$2 i n=0 victim through start
    TIMES=()
    for i in $(seq "$RUNS"); do
        until_true 20 whole > /dev/null
        victim=$(leads scheduler m1) through=$(another "$victim"); [ -n "$victim" ] || continue
        pod "s-${how#*_}-$i" > "$WORK/pod.yaml"
        "$how" scheduler "$through" "$victim" > /dev/null; start=$(now_ms)
        insist "$start" ctl_on "$through" create -f "$WORK/pod.yaml"
        bound() { [ -n "$(ctl_on "$through" get pod "s-${how#*_}-$i" -o jsonpath='{.spec.nodeName}')" ]; }
        took "$start" bound
        ctl_on "$through" delete pod "s-${how#*_}-$i" --wait=false > /dev/null; wait_s 0.3
    done
    row "scheduler: $what, the next pod is bound" "${TIMES[@]}"
    TIMES=()
    idle_set "d-${how#*_}" | ctl create -f - > /dev/null
    for i in $(seq "$RUNS"); do
        until_true 20 whole > /dev/null
        victim=$(leads controllers m1) through=$(another "$victim"); [ -n "$victim" ] || continue
        "$how" controllers "$through" "$victim" > /dev/null; start=$(now_ms)
        insist "$start" ctl_on "$through" scale deployment "d-${how#*_}" --replicas="$i"
        made() { [ "$(ctl_on "$through" get deployment "d-${how#*_}" -o jsonpath='{.status.replicas}')" = "$i" ]; }
        took "$start" made; wait_s 0.3
    done
    row "controllers: $what, the next pod is made" "${TIMES[@]}"
    TIMES=()
    for i in $(seq "$RUNS"); do
        until_true 20 whole > /dev/null
        victim=$(leader) through=$(another "$victim"); [ -n "$victim" ] || continue
        put "$through" "before-${how#*_}-$i" > /dev/null
        "$how" store "$through" "$victim" > /dev/null; start=$(now_ms)
        took "$start" put "$through" "after-${how#*_}-$i"; wait_s 0.3
    done
    row "store's leader: $what, the next put is acknowledged" "${TIMES[@]}"
    ctl delete deployment "d-${how#*_}" > /dev/null
}

# ---- containers: each of RUNS pods once, so that none is in its back-off --------------------------------------
containers() {
    local i p pid start n=0
    for i in $(seq "$RUNS"); do pod "c-$i" | ctl create -f - > /dev/null; done
    all_run() { [ "$(ctl get pods --no-headers | grep -c '^c-.*Running')" = "$RUNS" ]; }
    until_true 60 all_run > /dev/null || { note "not all pods run"; return; }
    wait_s 1; TIMES=()
    for h in n1 n2; do
        for pid in $(on "$h" pgrep -f '^sleep 3600'); do
            n=$((n + 1)); on "$h" kill -9 "$pid"; start=$(now_ms)
            again() { [ "$(ctl get pods --no-headers | awk '/^c-/ && $3 == "Running" {n += $4} END {print n + 0}')" = "$n" ]; }
            took "$start" again
        done
    done
    row "container: killed, running again" "${TIMES[@]}"
    ctl delete pods --all > /dev/null
}

# ---- a worker's power is cut -------------------------------------------------------------------------------------
nodes() {
    local i start seen=() moved=()
    idle_set web | sed 's/replicas: 0/replicas: 1/; s/nodeSelector: {no: where}, //; s/image: busybox/image: busybox, command: [sleep, "7200"]/' | ctl create -f - > /dev/null
    on_node() { ctl get pods -l app=d --no-headers -o wide | awk '$3 == "Running" && $2 == "1/1" {print $7}' | head -1; }
    somewhere() { [ -n "$(on_node)" ]; }
    for i in $(seq "$RUNS"); do
        until_true 30 ready_are 5 > /dev/null && until_true 30 somewhere > /dev/null || { note "run $i did not begin"; break; }
        local victim; victim=$(host_of "$(on_node)")
        [[ $victim = n* ]] || { ctl delete pods -l app=d > /dev/null; continue; }
        wait_s 0.5; start=$(now_ms)
        power_cut "$victim"
        TIMES=(); gone() { ctl get node "${NODE[$victim]}" --no-headers | grep -qw NotReady; }
        took "$start" gone && seen+=("${TIMES[@]}")
        TIMES=(); elsewhere() { ctl get pods -l app=d --no-headers -o wide | grep -v " ${NODE[$victim]} " | grep -q '1/1 *Running'; }
        took "$start" elsewhere && moved+=("${TIMES[@]}")
        host_power_on "$victim"; rm -rf "${WORK:?}/$victim/run"/*; start "$victim" > /dev/null
    done
    row "node: power cut, NotReady" "${seen[@]}"
    row "node: power cut, its pod runs elsewhere (toleration 1 s)" "${moved[@]}"
    ctl delete deployment web > /dev/null
}

# ---- etcd: three members on loopback ---------------------------------------------------------------------------------
etcd() {
    local i m leader other start all= PIDS=()
    for m in 1 2 3; do all+="${all:+,}e$m=http://127.0.0.1:2${m}80"; done
    member_up() { # M STATE
        ip netns exec "$LAB-lan" etcd --name "e$1" --data-dir "$WORK/etcd/$1" --listen-client-urls "http://127.0.0.1:2${1}79" --advertise-client-urls "http://127.0.0.1:2${1}79" \
            --listen-peer-urls "http://127.0.0.1:2${1}80" --initial-advertise-peer-urls "http://127.0.0.1:2${1}80" --initial-cluster "$all" --initial-cluster-state new --log-level error > "$WORK/etcd-$1.log" 2>&1 &
        PIDS[$1]=$!; JOBS+=($!)
    }
    # A put that its member forwards to the dead leader waits 7 s: it is asked again after 0.3.
    ask() { from_lan env ETCDCTL_API=3 etcdctl --command-timeout=300ms --endpoints "127.0.0.1:2${1}79" "${@:2}"; }
    for m in 1 2 3; do member_up $m; done
    all_serve() { local m; for m in 1 2 3; do ask $m put k v || return 1; done; }
    TIMES=()
    for i in $(seq "$RUNS"); do
        until_true 30 all_serve > /dev/null || { note "etcd does not serve"; return; }
        leader=; for m in 1 2 3; do ask $m endpoint status -w fields 2> /dev/null | awk '/"MemberID"/ {id = $NF} /"Leader"/ {l = $NF} END {exit id == "" || id != l}' && leader=$m; done
        [ -n "$leader" ] || continue
        other=$((leader % 3 + 1))
        kill -9 "${PIDS[$leader]}"; start=$(now_ms)
        took "$start" ask $other put k "$i"
        wait "${PIDS[$leader]}" 2> /dev/null; member_up "$leader"
    done
    row "etcd's leader: killed, the next put is acknowledged" "${TIMES[@]}"
    kill "${PIDS[@]}"
}

# ---- Docker Swarm: one task whose process is killed again and again -----------------------------------------------------
swarm() {
    local d=$WORK/swarm i start task
    mkdir -p "$d/deb" "$d/root" "$d/fs/bin"
    (cd "$d/deb" && apt-get download docker.io tini > /dev/null 2>&1) || { note "docker.io cannot be fetched"; return; }
    for i in "$d"/deb/*.deb; do dpkg -x "$i" "$d/root"; done
    cp "$(command -v busybox)" "$d/fs/bin/"; ln -s busybox "$d/fs/bin/sleep"
    host_add d1 91
    printf 'version = 2\nroot = "%s"\nstate = "%s"\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\n  address = "%s"\n' "$d/ctd-root" "$d/ctd-run" "$d/c.sock" > "$d/containerd.toml"
    on d1 containerd -c "$d/containerd.toml" > "$d/containerd.log" 2>&1 & JOBS+=($!)
    until [ -S "$d/c.sock" ]; do wait_s 0.05; done
    # Without the variable each task asks a registry first, for 20 s where there is none.
    on d1 env DOCKER_SERVICE_PREFER_OFFLINE_IMAGE=1 PATH="$d/root/usr/sbin:$d/root/usr/bin:$PATH" dockerd --containerd="$d/c.sock" --data-root="$d/data" --exec-root="$d/run" -p "$d/d.pid" -H "unix://$d/docker.sock" --oom-score-adjust=0 --cgroup-parent="/$LAB-d1" > "$d/dockerd.log" 2>&1 & JOBS+=($!)
    docker() { on d1 "$d/root/usr/bin/docker" -H "unix://$d/docker.sock" "$@"; }
    until_true 30 docker info > /dev/null || { note "dockerd does not start: $(tail -n 1 "$d/dockerd.log")"; return; }
    tar -C "$d/fs" -c . | docker import - box > /dev/null
    docker swarm init --advertise-addr "${IP_OF[d1]}" > /dev/null
    docker service create -d --no-resolve-image --name s --network host --restart-delay 0s box sleep 5400 > /dev/null
    runs() { task=$(docker ps -q --no-trunc --filter status=running | head -1); [ -n "$task" ] && [ "$task" != "$was" ]; }
    TIMES=(); was=
    until_true 30 runs > /dev/null || { note "the task does not run"; return; }
    for i in $(seq "$RUNS"); do
        was=$task
        on d1 kill -9 "$(docker inspect -f '{{.State.Pid}}' "$task")"; start=$(now_ms)
        took "$start" runs; wait_s 0.5
    done
    row "Docker Swarm: a task's process killed, another task runs" "${TIMES[@]}"
    docker service rm s > /dev/null
}

if has actors; then actors; fi
if has leaders; then leaders kill_actor "actor killed"; leaders kill_process "its master's process killed"; fi
if has containers; then containers; fi
if has nodes; then nodes; fi
if has etcd || has swarm; then [ ${#HOSTS[@]} -gt 0 ] || lab_new; fi
if has etcd; then etcd; fi
if has swarm; then swarm; fi
