#!/usr/bin/env bash
# One master and three workers, hosts of their own, linked over tcp with CURVE keys: pods spread, every
# node answers on the node port, a key that is not listed is refused, a node whose power is cut is
# replaced, and a master that dies leaves the pods alone.
. "$(dirname "$0")/lab.sh"
lab_new
host_add m1 11; host_add n1 21; host_add n2 22; host_add n3 23
images || exit 1
CTL_HOST=m1
declare -A NODE=([m1]=master-1 [n1]=node-1 [n2]=node-2 [n3]=node-3)

# ---- keys: each host has its own, the master knows the workers' ---------------------------------------
keys=$WORK/keys; mkdir -p "$keys"
for name in master node-1 node-2 node-3 admin stranger; do check "troupe keys $name" "$BIN/troupe" keys "$name" --dir "$keys/keys"; done
[ "$(stat -c %a "$keys/keys/master.cert_secret")" = 600 ] && ok "secrets are 0600" || not_ok "secrets are 0600"
config_of() { # HOST
    local h=$1 c=$WORK/$1/config
    mkdir -p "$c/keys/allowed"
    cp "$keys/keys/master.cert" "$c/keys/"
    if [ "$h" = m1 ]; then
        cp "$keys/keys/master.cert_secret" "$c/keys/"
        for n in node-1 node-2 node-3 admin; do cp "$keys/keys/$n.cert" "$c/keys/allowed/"; done
        cp "$here/configs/master.yaml" "$c/topology.yaml"
    else
        cp "$keys/keys/${NODE[$h]}.cert_secret" "$c/keys/"
        sed "s/MASTER/${IP_OF[m1]}/" "$here/configs/worker.yaml" > "$c/topology.yaml"
    fi
    lab_kubelet "$h"
    # The tests' own wishes: a pod on a node that is gone is given up after a second.
    printf 'kind: ApiServer\ndefaultTolerationSeconds: 1\n' > "$c/apiserver.yaml"
}
start() { # HOST
    local h=$1
    troupe "$h" run -d -f "$WORK/$h/config/topology.yaml" --data "$WORK/$h/data" --run-dir "$WORK/$h/run" --config-dir "$WORK/$h/config" --node "${NODE[$h]}" --node-ip "${IP_OF[$h]}"
}
for h in m1 n1 n2 n3; do config_of $h; check "$h starts" start $h; done
ready_are() { [ "$(ctl get nodes --no-headers | grep -cw Ready)" = "$1" ]; }
took=$(until_true 20 ready_are 4) && ok "four nodes are Ready ($took ms)" || { not_ok "four nodes are Ready"; ctl get nodes | sed 's/^/#   /'; exit 1; }

# ---- keys: a listed one is let in from there, another one from the same place is not ---------------------
by_key() { on n1 "$BIN/troupectl" --server "tcp://${IP_OF[m1]}:6440" --key "$keys/keys/$1.cert_secret" --server-key "$keys/keys/master.cert" get nodes --no-headers --request-timeout=2s; }
check_text "a listed key is let in" '^node-1 ' "$(by_key admin 2>&1)"
out=$(by_key stranger 2>&1) && not_ok "a key that is not listed is refused" || check_text "a key that is not listed is refused" 'allow the key' "$out"
check_text "and the master says whose it was" "the key .* is not in .*refused" "$(grep zap "$WORK/m1/data/troupe.log")"

# ---- pods spread, every node answers ----------------------------------------------------------------------
ctl run web --image=nginx --port=80 --replicas=3 > /dev/null
pods_run() { [ "$(ctl get pods -l run=web --no-headers | grep -cw Running)" = 3 ]; }
took=$(until_true 40 pods_run) && ok "three pods run ($took ms)" || { not_ok "three pods run"; ctl get pods -o wide | sed 's/^/#   /'; }
nodes_used=$(ctl get pods -l run=web -o jsonpath='{.items[*].spec.nodeName}' | tr ' ' '\n' | sort -u | wc -l)
[ "$nodes_used" = 3 ] && ok "on three nodes" || not_ok "on three nodes: $nodes_used"
check_text "none on the master" "^$" "$(ctl get pods -l run=web -o jsonpath='{.items[*].spec.nodeName}' | grep master)"
ctl expose deployment web --port=80 --type=NodePort > /dev/null
port=$(ctl get service web -o jsonpath='{.spec.ports[0].nodePort}')
n=0; for p in $(ctl get pods -l run=web -o jsonpath='{.items[*].metadata.name}'); do n=$((n + 1)); ctl exec "$p" -- sh -c "echo page-$n > /usr/share/nginx/html/index.html"; done
for h in m1 n1 n2 n3; do
    answers() { from_lan curl -fs --max-time 2 "http://${IP_OF[$h]}:$port/"; }
    took=$(until_true 10 answers) && ok "$h answers on the node port" || not_ok "$h answers on the node port"
done
seen=$(for i in $(seq 30); do from_lan curl -fs --max-time 2 "http://${IP_OF[m1]}:$port/"; done | sort -u | wc -l)
[ "$seen" = 3 ] && ok "the master's port leads to pods on all nodes" || not_ok "the master's port leads to $seen pods"

# ---- the master's process dies: pods do not notice ----------------------------------------------------------
ids() { ctl get pods -l run=web -o jsonpath='{.items[*].status.containerStatuses[0].containerID}' | tr ' ' '\n' | sort; }
before=$(ids)
on m1 kill -9 "$(on m1 pgrep -f 'troupe actor-process' | head -1)"
api() { ctl get nodes --request-timeout=2s; }
took=$(until_true 10 api) && ok "the API answers again ($took ms)" || not_ok "the API answers again"
took=$(until_true 10 ready_are 4) && ok "all nodes are Ready again ($took ms)" || not_ok "all nodes are Ready again"
[ -n "$before" ] && [ "$(ids)" = "$before" ] && ok "no container was restarted" || not_ok "no container was restarted"

# ---- the master's cable is pulled: three of four nodes are silent, and nobody is given up -------------------
pods() { ctl get pods -l run=web -o jsonpath='{.items[*].metadata.uid} {.items[*].status.containerStatuses[0].restartCount}'; }
pids() { for h in n1 n2 n3; do on "$h" pgrep -f 'nginx: master' || true; done; }
before_pods=$(pods) before=$(ids) before_pids=$(pids)
unplug m1
all_silent() { [ "$(ctl get nodes --no-headers | grep -cw NotReady)" = 3 ]; }
took=$(until_true 10 all_silent) && ok "cut off, the master misses three nodes ($took ms)" || not_ok "cut off, the master misses three nodes"
sleep 4 # three times longer than the pods tolerate it
[ -n "$before_pids" ] && [ "$(pids)" = "$before_pids" ] && ok "the workers keep their pods running" || not_ok "the workers keep their pods running"
plug m1
took=$(until_true 20 ready_are 4) && ok "all nodes are Ready again ($took ms)" || not_ok "all nodes are Ready again"
until_true 20 pods_run > /dev/null
[ "$(pods)" = "$before_pods" ] && [ "$(ids)" = "$before" ] && [ "$(pids)" = "$before_pids" ] && ok "the pods are the same, none was restarted" || { not_ok "the pods are the same, none was restarted"; ctl get pods -o wide | sed 's/^/#   /'; }

# ---- a worker's power is cut ----------------------------------------------------------------------------------
victim=n2 start_ms=$(now_ms)
power_cut $victim
not_ready() { ctl get node node-2 --no-headers | grep -qw NotReady; }
until_true 20 not_ready > /dev/null && ok "the node is NotReady ($(($(now_ms) - start_ms)) ms after the cut)" || not_ok "the node is NotReady"
replaced() { [ "$(ctl get pods -l run=web --field-selector spec.nodeName!=node-2 --no-headers | grep -c '1/1 *Running')" = 3 ]; }
until_true 30 replaced > /dev/null && ok "its pod runs elsewhere ($(($(now_ms) - start_ms)) ms after the cut)" || { not_ok "its pod runs elsewhere"; ctl get pods -o wide | sed 's/^/#   /'; }
lost=0; for i in $(seq 20); do from_lan curl -fs --max-time 2 -o /dev/null "http://${IP_OF[n1]}:$port/" || lost=$((lost + 1)); done
[ $lost = 0 ] && ok "the service answers through the others" || not_ok "$lost of 20 requests failed"

# ---- power comes back -----------------------------------------------------------------------------------------
host_power_on $victim && rm -rf "$WORK/$victim/run"/* && check "the node starts again" start $victim
took=$(until_true 20 ready_are 4) && ok "it is Ready again ($took ms)" || not_ok "it is Ready again"

# ---- a worker and the master's process at once: nobody remembers the node, it is noticed all the same ---------
others() { ctl get nodes node-1 node-2 master-1 -o jsonpath='{range .items[*]}{.metadata.name} {.status.conditions[?(@.type=="Ready")].status} {.status.conditions[?(@.type=="Ready")].lastTransitionTime}{"\n"}{end}'; }
before=$(others) victim=n3
power_cut $victim; on m1 kill -9 "$(on m1 pgrep -f 'troupe actor-process' | head -1)"; start_ms=$(now_ms)
not_ready() { ctl get node node-3 --no-headers --request-timeout=1s | grep -qw NotReady; }
took=$(until_true 20 not_ready) && [ "$took" -le 2500 ] && ok "a node that died with the master is NotReady $took ms later" || not_ok "a node that died with the master is NotReady ${took:-never}"
[ "$(wc -l <<< "$before")" = 3 ] && [ "$(others)" = "$before" ] && ok "and no other was, for a moment" || { not_ok "and no other was"; diff <(echo "$before") <(others) | sed 's/^/#   /'; }
