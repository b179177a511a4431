#!/usr/bin/env bash
# One machine, from an empty folder to a balanced service: the session of the README, asserted.
. "$(dirname "$0")/lab.sh"
lab_new
host_add m1 11
images || exit 1
CTL_HOST=m1 IP=${IP_OF[m1]}

up() { troupe m1 up -d --data "$WORK/m1/data" --run-dir "$WORK/m1/run" --config-dir "$WORK/m1/config" --node m1 --node-ip "$IP"; }
lab_kubelet m1
is_ready() { ctl get node m1 --no-headers | grep -qw Ready; }
phase_is() { [ "$(ctl get pod "$1" -o jsonpath='{.status.phase}')" = "$2" ]; }

# ---- a cluster comes up ---------------------------------------------------------------------------
start=$(now_ms)
check "troupe up starts a cluster" up
took=$(until_true 20 is_ready) && ok "the node is Ready ($(($(now_ms) - start)) ms after the start)" || { not_ok "the node is Ready"; exit 1; }
check_text "four namespaces exist" "default.*kube-node-lease.*kube-public.*kube-system" "$(ctl get namespaces -o name | sort | tr '\n' ' ')"
check_text "troupectl version tells both" "Server Version" "$(ctl version)"

# ---- a pod ----------------------------------------------------------------------------------------
cat > "$WORK/pod.yaml" <<'Y'
apiVersion: v1
kind: Pod
metadata: {name: box, labels: {app: box}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: busybox
    command: [sh, -c, 'echo hello from $WHO; trap "exit 0" TERM; while :; do sleep 1; done']
    env: [{name: WHO, value: troupe}]
  - name: side
    image: busybox
    command: [sleep, "3600"]
Y
check_text "create -f makes a pod" "^pod/box created$" "$(ctl create -f "$WORK/pod.yaml" 2>&1)"
took=$(until_true 20 phase_is box Running) && ok "the pod runs ($took ms)" || not_ok "the pod runs"
both_ready() { ctl get pods --no-headers | grep -qE '^box +2/2'; }
until_true 5 both_ready > /dev/null
check_text "get pods shows it" "^box +2/2 +Running +0 " "$(ctl get pods --no-headers)"
check_text "its IP lies in the node's range" "^10\.244\.[0-9]+\.[0-9]+$" "$(ctl get pod box -o jsonpath='{.status.podIP}')"
check_text "logs show its output" "^hello from troupe$" "$(ctl logs box -c main)"
check_text "describe tells its events" "Successfully assigned default/box to m1" "$(ctl describe pod box)"
check_text "get -o yaml gives the object" "^  name: box$" "$(ctl get pod box -o yaml)"
check_text "get -o name names it" "^pod/box$" "$(ctl get pods -l app=box -o name)"

# ---- a command's path through the actors --------------------------------------------------------------
trace=$(ctl --trace create -f - 2>&1 <<< '{apiVersion: v1, kind: Pod, metadata: {name: traced}, spec: {terminationGracePeriodSeconds: 0, containers: [{name: c, image: busybox, command: [sleep, "60"]}]}}')
check_text "--trace prints times of queues and of work" "^ +AT +QUEUED +HANDLED +PATH$" "$trace"
for hop in "cli/[^ ]* → apiserver/m1 +api.Create" "apiserver/m1 → store/m1 +store.TxnRequest" "store/m1 → disk/m1 +raft.DiskWrite" "disk/m1 → store/m1" "apiserver/m1 → cli/[^ ]* +api.Reply"; do
    check_text "the path has: $hop" "^ +[0-9.]+ms +[0-9]+us +[0-9]+us  .*$hop" "$trace"
done
ctl delete pod traced > /dev/null

# ---- the parent, the children: anything may be killed -----------------------------------------------
restarts() { ctl get pod box -o jsonpath='{.status.containerStatuses[*].restartCount}'; }
api_answers() { ctl get pod box --request-timeout=2s; }
before=$(ctl get pod box -o jsonpath='{.status.containerStatuses[*].containerID}')
child=$(pgrep -P "$(cat "$WORK/m1/run/troupe.pid" | tr -dc 0-9)" | head -1)
for round in 1 2 3; do
    child=$(on m1 pgrep -f 'troupe actor-process' | head -1)
    on m1 kill -9 "$child"
    took=$(until_true 10 api_answers) && ok "the API answers again after SIGKILL of the process ($took ms)" || not_ok "the API answers again after SIGKILL"
done
until_true 10 phase_is box Running > /dev/null
check_text "containers were adopted, not restarted" "^${before:-nothing was running}$" "$(ctl get pod box -o jsonpath='{.status.containerStatuses[*].containerID}')"
check_text "restart counts did not move" "^0 0$" "$(restarts)"
check_text "delete actor kills one actor" "deleted" "$(ctl delete actor scheduler/m1 2>&1)"
check_text "an acknowledged object is still there" "^pod/box$" "$(ctl get pod box -o name)"

# ---- a container dies -------------------------------------------------------------------------------
side_is_back() { [ "$(ctl get pod box -o jsonpath='{.status.containerStatuses[?(@.name=="side")].restartCount}')" = 1 ] && phase_is box Running; }
ip_before=$(ctl get pod box -o jsonpath='{.status.podIP}')
victim=$(troupe m1 node ps --run-dir "$WORK/m1/run" --data "$WORK/m1/data" | awk '/side/ {print $1; exit}')
check "troupe node rm removes a container behind the API's back" troupe m1 node rm --run-dir "$WORK/m1/run" --data "$WORK/m1/data" "$victim"
took=$(until_true 10 side_is_back) && ok "the container is made anew ($took ms)" || not_ok "the container is made anew"
check_text "the pod keeps its IP" "^${ip_before:-there was none}$" "$(ctl get pod box -o jsonpath='{.status.podIP}')"

# ---- wrong input ------------------------------------------------------------------------------------
refused() { # WHAT REGEX MANIFEST
    printf '%s' "$3" > "$WORK/bad.yaml"
    local out; out=$(ctl create -f "$WORK/bad.yaml" 2>&1) && { not_ok "$1 is refused"; return; }
    check_text "$1 is refused, with the place" "$2" "$out"
}
POD='apiVersion: v1
kind: Pod
metadata: {name: bad}
spec:
  containers:
  - {name: c, image: busybox'
refused "an unknown field" 'bad.yaml:6.*spec\.containers\[0\]\.imag' "$POD, imag: x}"
refused "YAML that is none" 'bad.yaml:[0-9]+' 'a: [b'
refused "a port out of range" 'spec\.containers\[0\]\.ports\[0\]\.containerPort: Invalid value: 70000' "$POD, ports: [{containerPort: 70000}]}"
refused "a wrong type" 'bad.yaml:6: .*spec\.containers\.ports\.containerPort of type int32' "$POD, ports: [{containerPort: many}]}"
refused "a bad quantity" 'quantit' "$POD, resources: {limits: {cpu: 1x}}}"
refused "an unknown kind" 'no matches for kind|unknown kind|Frog' 'apiVersion: v1
kind: Frog'
refused "a missing namespace" 'namespaces "nowhere" not found' "${POD/name: bad/name: bad, namespace: nowhere}}"
check_text "a missing pod says so" 'Error from server \(NotFound\): pods "nobody" not found' "$(ctl get pod nobody 2>&1)"

# ---- deletion ---------------------------------------------------------------------------------------
check_text "delete waits until it is gone" 'pod "box" deleted' "$(ctl delete pod box)"
check_text "it is gone" 'NotFound' "$(ctl get pod box 2>&1)"
