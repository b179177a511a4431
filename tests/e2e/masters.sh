# masters - three masters and their workers, for the end-to-end tests: hosts of their own, linked over
# tcp with CURVE keys, from configs/three-masters.yaml and worker-of-three.yaml. Sourced by tests.
#
#   masters_new 3              hosts m1 m2 m3 and n1 n2 n3, their keys and topologies
#   masters_start              all of them started; Ready, or the test is over
#   l=$(leader); through=$(another "$l")
#
# Kubernetes' names of them are in NODE: master-1 …, node-1 …
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"
MASTERS=(m1 m2 m3) NODES=()
declare -A NODE=([m1]=master-1 [m2]=master-2 [m3]=master-3)

masters_new() { # WORKERS
    local i h
    lab_new
    for i in 1 2 3; do host_add "m$i" "1$i"; done
    for i in $(seq "$1"); do host_add "n$i" "2$i"; NODES+=("n$i"); NODE[n$i]=node-$i; done
    images || exit 1
    keys=$WORK/keys; mkdir -p "$keys"
    for h in "${HOSTS[@]}"; do "$BIN/troupe" keys "${NODE[$h]}" --dir "$keys" > /dev/null; done
    "$BIN/troupe" keys admin --dir "$keys" > /dev/null
    for h in "${HOSTS[@]}"; do config_of "$h"; done
}
config_of() { # HOST
    local h=$1 c=$WORK/$1/config file=three-masters.yaml
    mkdir -p "$c/keys/allowed"
    cp "$keys/${NODE[$h]}.cert_secret" "$keys"/master-?.cert "$c/keys/"
    cp "$keys"/*.cert "$c/keys/allowed/"
    [[ $h = n* ]] && file=worker-of-three.yaml
    sed "s/MASTER-1/${IP_OF[m1]}/;s/MASTER-2/${IP_OF[m2]}/;s/MASTER-3/${IP_OF[m3]}/" "$here/configs/$file" > "$c/topology.yaml"
    lab_kubelet "$h"
}
start() { # HOST
    local h=$1
    troupe "$h" run -d -f "$WORK/$h/config/topology.yaml" --data "$WORK/$h/data" --run-dir "$WORK/$h/run" --config-dir "$WORK/$h/config" --node "${NODE[$h]}" --node-ip "${IP_OF[$h]}" "${@:2}"
}
# troupectl outside, a client of all three masters: whichever is heard answers.
client() {
    from_lan "$BIN/troupectl" --server "tcp://${IP_OF[m1]}:6440,tcp://${IP_OF[m2]}:6440,tcp://${IP_OF[m3]}:6440" --key "$keys/admin.cert_secret" \
        --server-key "$keys/master-1.cert,$keys/master-2.cert,$keys/master-3.cert" "$@"
}
ready_are() { [ "$(ctl get nodes --no-headers --request-timeout=5s | grep -cw Ready)" = "$1" ]; }
masters_start() {
    local h took starting=() all=${#HOSTS[@]}
    # The first one cannot be ready before the second runs: they start side by side.
    for h in "${MASTERS[@]}"; do start "$h" > "$WORK/$h/start.log" 2>&1 & starting+=($!); done
    wait "${starting[@]}"
    for h in "${NODES[@]}"; do check "worker ${NODE[$h]} starts" start "$h"; done
    CTL_HOST=m1
    if took=$(until_true 30 ready_are "$all"); then ok "all $all nodes are Ready ($took ms)"; else
        not_ok "all $all nodes are Ready"; ctl get nodes | sed 's/^/#   /'; tail -n 20 "$WORK/m1/data/troupe.log" | sed 's/^/#   /'; exit 1
    fi
}

# ---- who leads ------------------------------------------------------------------------------------------
host_of() { local h; for h in "${HOSTS[@]}"; do [ "${NODE[$h]}" = "$1" ] && echo "$h"; done; }
member() { troupe "$1" member --run-dir "$WORK/$1/run" --data "$WORK/$1/data" --timeout 3 "${@:2}"; } # HOST VERB…
leader_seen_by() { host_of "$(member "$1" list 2> /dev/null | awk '$5 == "leads" { print $1 }')"; }
leader() { local h l; for h in "${MASTERS[@]}"; do l=$(leader_seen_by "$h"); [ -n "$l" ] && { echo "$l"; return; }; done; }
another() { local h; for h in "${MASTERS[@]}"; do [ "$h" != "$1" ] && { echo "$h"; return; }; done; }
whole() { [ "$(for h in "${MASTERS[@]}"; do leader_seen_by "$h"; done | sort | uniq -c | awk '{print $1}')" = 3 ]; }
process_of() { on "$1" pgrep -f 'troupe actor-process' | head -1; }
