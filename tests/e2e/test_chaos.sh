#!/usr/bin/env bash
# Faults on purpose. An Experiment kills scheduler, controllers and kubelet and slows the store while a
# deployment rolls and a client fetches its page: Passed. One with a steady state that cannot be:
# Failed, with its reason. Faults end by themselves, are listed and cleared; wrong input is refused.
. "$(dirname "$0")/lab.sh"
lab_new
host_add m1 11
images || exit 1
CTL_HOST=m1 IP=${IP_OF[m1]}
lab_kubelet m1
check "troupe up starts a cluster" troupe m1 up -d --data "$WORK/m1/data" --run-dir "$WORK/m1/run" \
    --config-dir "$WORK/m1/config" --node m1 --node-ip "$IP"
node_ready() { ctl get node m1 --no-headers | grep -qw Ready; }
until_true 20 node_ready > /dev/null || { not_ok "the node is Ready"; exit 1; }
cat << Y | ctl create -f - > /dev/null
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: nginx
        image: nginx
        readinessProbe: {httpGet: {path: /, port: 80}, periodSeconds: 1}
Y
check "a deployment runs" ctl rollout status deployment/web --timeout=40s
ctl expose deployment web --port=80 --type=NodePort > /dev/null
port=$(ctl get service web -o jsonpath='{.spec.ports[0].nodePort}')
answers() { from_lan curl -fsS --max-time 2 -o /dev/null "http://$IP:$port/"; }
until_true 10 answers > /dev/null || { not_ok "the service answers"; exit 1; }

# ---- single faults -----------------------------------------------------------------------------------
listed() { ctl chaos list 2> /dev/null | grep -c "^f-"; }
none_listed() { [ "$(listed)" = 0 ]; }
restarts() { ctl get actors --no-headers | awk -v a="$1" '$1 == a { print $3, $0 }'; }
check_text "kill says what it did" "^f-[0-9a-f]+ kill: in 1 process$" "$(ctl chaos kill scheduler)"
check_text "the killed actor shows why it ended" "chaos f-" "$(restarts scheduler/m1)"
ctl chaos pause scheduler --for 30s > /dev/null
check_text "a paused actor is paused" "^paused" "$(restarts scheduler/m1)"
check "resume ends the pause" ctl chaos resume scheduler
check_text "and it runs again" "^ready" "$(restarts scheduler/m1)"
ctl chaos delay store --delay 20ms --for 1500ms > /dev/null
check_text "a delay is listed" "^1$" "$(listed)"
until_true 4 none_listed > /dev/null && ok "and ends by itself" || not_ok "and ends by itself"
ctl chaos partition "kubelet/m1:apiserver" --for 60s > /dev/null
id=$(ctl chaos list | awk '/^f-/ { sub("/.*", "", $1); print $1; exit }')
check "a partition is cleared by its id" ctl chaos clear "$id"
check_text "and is gone" "^0$" "$(listed)"
ctl chaos drop "*" --probability 1 --for 60s > /dev/null
ctl get pods --request-timeout=1s > /dev/null 2>&1   # the API server cannot reach the store
check "a rule that drops everything leaves the way to clear it" ctl chaos clear
check_text "nothing is on" "^0$" "$(listed)"
answers_api() { ctl get pods --request-timeout=2s; }
until_true 10 answers_api > /dev/null && ok "the API answers after that" || not_ok "the API answers after that"
check_text "letters that reached nobody are kept" "dropped by a fault" "$(ctl get deadletters)"

# ---- wrong input -------------------------------------------------------------------------------------
check_text "an unknown target is named" 'no actor matches "nobody"' "$(ctl chaos kill nobody 2>&1)"
check_text "an unknown node is named" 'no node matches "node/x"' "$(ctl chaos partition node/x 2>&1)"
check_text "an unknown fault is named" 'no fault is called "rain"' "$(ctl chaos rain store 2>&1)"
check_text "a duration must be one" 'invalid --for "soon"' "$(ctl chaos pause store --for soon 2>&1)"
check_text "and within bounds" 'invalid --for "2h"' "$(ctl chaos pause store --for 2h 2>&1)"
check_text "a probability must be one" 'invalid --probability "7"' "$(ctl chaos drop store --probability 7 2>&1)"
check_text "an experiment's mistakes are named with their paths" 'spec.faults\[0\].action: Unsupported value: "rain"' \
    "$(printf 'apiVersion: chaos.troupe.io/v1\nkind: Experiment\nmetadata: {name: bad}\nspec: {faults: [{action: rain, targets: [a]}]}\n' | ctl create -f - 2>&1)"
check_text "nothing came of it" "^$" "$(ctl get experiments --no-headers 2> /dev/null)"

# ---- a crash is the process' alone, and is over in a second ---------------------------------------------
containers() { ctl get pods -l app=web -o jsonpath='{range .items[*]}{.status.containerStatuses[0].containerID} {.status.containerStatuses[0].restartCount}{"\n"}{end}' | sort; }
before=$(containers)
ctl chaos crash scheduler > /dev/null
took=$(until_true 10 answers_api) && [ "$took" -le 3000 ] && ok "a segfault takes the process down: the API answers again ($took ms)" ||
    not_ok "after a segfault the API answers again (${took:-never} ms)"
back=$(grep -o 'process main: ready, pid [0-9]*, [0-9]* ms' "$WORK/m1/data/troupe.log" | tail -1)
check_text "the parent brought it back within a second" ", [0-9]{1,3} ms$" "$back"
check_text "no container was restarted" "^same$" "$([ "$(containers)" = "$before" ] && echo same)"
check_text "its actors show the reason" "killed by signal 11" "$(ctl get actors)"

# ---- experiments ---------------------------------------------------------------------------------------
cat > "$WORK/x.yaml" << Y
apiVersion: chaos.troupe.io/v1
kind: Experiment
metadata: {name: rolling}
spec:
  seed: 3
  duration: 14s
  recoveryTimeout: 25s
  steadyState:
  - {type: API}
  - {type: HTTP, address: "$IP:$port"}
  faults:
  - {name: no-scheduler, action: kill, targets: [scheduler], at: 1s, every: 4s}
  - {name: no-controllers, action: kill, targets: [controllers], at: 2s, every: 5s}
  - {name: no-kubelet, action: kill, targets: [kubelet], at: 6s}
  - {name: slow-store, action: delay, targets: ["apiserver:store"], delay: 20ms, at: 3s, for: 5s}
---
apiVersion: chaos.troupe.io/v1
kind: Experiment
metadata: {name: rolling-impossible}
spec:
  duration: 2s
  recoveryTimeout: 2s
  steadyState: [{type: HTTP, address: "$IP:1"}]
Y
phase_is() { [ "$(ctl get experiment "$1" -o jsonpath='{.status.phase}')" = "$2" ]; }
check_text "experiments are applied like anything" "experiment.chaos.troupe.io/rolling created" "$(ctl apply -f "$WORK/x.yaml" 2>&1)"
until_true 10 phase_is rolling Running > /dev/null && ok "the first begins" || not_ok "the first begins"
(fails=0 n=0
 until phase_is rolling Completed; do
     for i in 1 2 3 4 5 6 7 8; do n=$((n + 1)); answers 2> /dev/null || fails=$((fails + 1)); done
 done
 echo "$fails of $n" > "$WORK/curls") &
client=$!
check "a rollout begins meanwhile" ctl set image deployment/web nginx=nginx:latest
ctl patch deployment web -p '{"spec":{"template":{"metadata":{"annotations":{"round":"2"}}}}}' > /dev/null
until_true 60 phase_is rolling Completed > /dev/null && ok "it is over" || not_ok "it is over"
wait $client
check_text "no client saw the service fail" "^0 of " "$(cat "$WORK/curls")"
report=$(ctl chaos report rolling)
check_text "the verdict: Passed" "Completed, Passed" "$report"
check_text "what was killed was missed and came back" "no-controllers +kill +controllers/m1 +[0-9]+ ms +[0-9]+ ms +[0-9]+ ms" "$report"
sed 's/^/#   /' <<< "$report"
until_true 20 phase_is rolling-impossible Completed > /dev/null && ok "the second is over" || not_ok "the second is over"
check_text "the verdict on what cannot be: Failed, with the reason" "^Failed before the first fault: $IP:1 does not answer$" \
    "$(ctl get experiment rolling-impossible -o jsonpath='{.status.verdict} {.status.message}')"
check_text "report as JSON" '"verdict": "Failed"' "$(ctl chaos report rolling-impossible -o json)"
check_text "its witness is gone" "^0$" "$(ctl get configmaps -n kube-system -o name | grep -c /chaos-)"
check "experiments are deleted like anything" ctl delete experiment rolling rolling-impossible

# ---- to be seen ------------------------------------------------------------------------------------------
check_text "troupe metrics counts for Prometheus" '^troupe_actor_messages_total\{actor="store/m1",process="main"\} [0-9]+$' "$(troupe m1 metrics --run-dir "$WORK/m1/run")"
ctl get pods > /dev/null
ctl trace --last --perfetto "$WORK/trace.json" 2> /dev/null
check_text "a trace for Perfetto holds the walk through the API server" '"tid":"apiserver/m1"' "$(cat "$WORK/trace.json")"
