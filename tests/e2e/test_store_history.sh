#!/usr/bin/env bash
# Real members of the store under kill -9, SIGSTOP, partitions, one-way losses, full disks, clocks that
# differ, and members that lose their data folder and are rebuilt: all that clients were told goes into a history, and store_load judges it (store/check/history.h). Members speak over tcp with
# CURVE from a network namespace each; clients reach every member over its socket, also a parted one, so
# that a leader who leads no more is asked.
#   SOAK=600 tests/e2e/test_store_history.sh      ten minutes of it; HISTORY_DIR=… keeps the histories
. "$(dirname "$0")/lab.sh"
ALONE=${SOAK:-8} THREE=${SOAK:-32} CLIENTS=${CLIENTS:-16}
lab_new
host_add m1 11; host_add m2 12; host_add m3 13
SEED=${SEED:-$RANDOM}; RANDOM=$SEED
LEASES=$([ $((SEED % 2)) = 1 ] && echo true || echo false)
note "seed $SEED, reads by lease: $LEASES"
# Full in a moment, and nobody else's.
for h in m1 m2 m3; do on "$h" mount -t tmpfs -o size=200m "$h" "$WORK/$h/data" || exit 1; done

topology() { # MEMBER…: of each of these members, who differ by what ${…} stands for
    local m list; list=$(IFS=,; echo "$*")
    cat <<Y
kind: Topology
processes:
- name: \${node}
  dispatchers:
  - name: disk
    actors:
    - {role: disk, name: "\${node}", set: {dataDir: "\${data}/store", member: "\${node}", cluster: $LAB}}
  - name: store
    actors:
    - {role: store, name: "\${node}", set: {dataDir: "\${data}/store", member: "\${node}", members: [${list//,/, }], leaseReads: $LEASES}}
  listen:
  - {endpoint: "ipc://\${run}/troupe.sock", principal: admin}
Y
    [ $# -gt 1 ] || return 0
    echo "  - {endpoint: \"tcp://\${nodeIP}:6442\", key: \"\${config}/keys/\${node}.cert_secret\", allowed: \"\${config}/keys/allowed\"}"
    echo "  mesh:"
    for m in "$@"; do
        echo "  - {peer: $m, endpoint: \"tcp://${IP_OF[$m]}:6442\", key: \"\${config}/keys/\${node}.cert_secret\", serverKey: \"\${config}/keys/allowed/$m.cert\"}"
    done
    echo "principals:"
    for m in "$@"; do echo "- {name: $m, roles: [store/$m, disk/$m]}"; done
    echo "- {name: load, roles: [admin/load]}"
}
start() { # HOST [COMMAND…]: run by that
    on "$1" "${@:2}" "$BIN/troupe" run -f "$WORK/$1/store.yaml" --node "$1" --node-ip "${IP_OF[$1]}" --data "$WORK/$1/data" \
        --run-dir "$WORK/$1/run" --config-dir "$WORK/$1/config" -d --wait 20
}
stop() { troupe "$1" down --run-dir "$WORK/$1/run"; }
member_pid() { on "$1" pgrep -f "troupe actor-process .*--process $1 " | head -1; }

# ---- faults: each ends by itself -----------------------------------------------------------------------
declare -A DONE=()
# Its folder is gone, and it is made whole from the others. Never started without the mark: it may have voted.
rebuilt() { # HOST
    local job code
    stop "$1"; on "$1" rm -rf "$WORK/$1/data/store"
    troupe "$1" store rebuild --yes --node "$1" --data "$WORK/$1/data" --run-dir "$WORK/$1/run" & job=$!
    until on "$1" test -e "$WORK/$1/data/store/rejoin"; do kill -0 $job || return 1; wait_s 0.02; done
    start "$1"
    until_true 20 is_voter "$1" > /dev/null; code=$?
    [ $code -eq 0 ] || kill $job
    wait $job
    return $code
}
is_voter() { troupe "$1" store status --data "$WORK/$1/data" --run-dir "$WORK/$1/run" --timeout 3 | grep -A1 "^$1\$" | grep -q voter; }

fault() { # KIND HOST
    local pid offset
    case $1 in
    kill) pid=$(member_pid "$2") && [ -n "$pid" ] && on "$2" kill -9 "$pid" 2> /dev/null ;;
    stop) pid=$(member_pid "$2"); [ -n "$pid" ] || return 0
          on "$2" kill -STOP "$pid" 2> /dev/null; wait_s "0.$((RANDOM % 9 + 1))"; wait_s 0.4
          on "$2" kill -CONT "$pid" 2> /dev/null ;;
    part) unplug "$2"; wait_s "1.$((RANDOM % 9))"; plug "$2" ;;
    deaf) on "$2" iptables -A INPUT -i eth0 -j DROP; wait_s "1.$((RANDOM % 9))"; on "$2" iptables -F INPUT ;;
    dumb) on "$2" iptables -A OUTPUT -o eth0 -j DROP; wait_s "1.$((RANDOM % 9))"; on "$2" iptables -F OUTPUT ;;
    full) on "$2" dd if=/dev/zero of="$WORK/$2/data/filler" bs=1M 2> /dev/null; wait_s "1.$((RANDOM % 9))"
          on "$2" rm "$WORK/$2/data/filler" ;;
    clock) stop "$2" > /dev/null 2>&1; offset=$((RANDOM * 3))
          start "$2" unshare --time --boottime $offset --monotonic $offset > "$WORK/$2/start.log" 2>&1 || return 0 ;;
    replace) rebuilt "$2" > "$WORK/$2/rebuild.log" 2>&1 || { note "$2 was not rebuilt:"; sed 's/^/#   /' "$WORK/$2/rebuild.log"; return 0; } ;;
    slow) on "$2" tc qdisc add dev eth0 root netem delay 60ms 40ms loss 10% 2> /dev/null; wait_s "1.$((RANDOM % 9))"
          on "$2" tc qdisc del dev eth0 root 2> /dev/null ;;
    esac
    DONE[$1]=$((${DONE[$1]:-0} + 1))
    return 0
}
storm() { # SECONDS "KINDS" HOST…: one fault after the other, the kinds in turn; then calm, for the last answers
    local end=$(($(now_ms) + $1 * 1000)) kinds at=$RANDOM; read -ra kinds <<< "$2"; shift 2
    local hosts=("$@")
    while [ "$(now_ms)" -lt "$end" ]; do
        wait_s "0.$((RANDOM % 9 + 1))"
        fault "${kinds[at++ % ${#kinds[@]}]}" "${hosts[RANDOM % ${#hosts[@]}]}"
    done
}

# Load and storm; the verdict is the test.
judged() { # NAME SECONDS "KINDS" HOST…
    local name=$1 seconds=$2 kinds=$3 h sockets='' code; shift 3
    for h in "$@"; do sockets+=",ipc://$WORK/$h/run/troupe.sock"; done
    DONE=()
    "$BIN/store_load" run --connect "${sockets:1}" --clients "$CLIENTS" --seconds "$seconds" --seed "$SEED" \
        --watches 3 --history "$WORK/$name.history" > "$WORK/$name.out" 2>&1 &
    local load=$!
    storm "$seconds" "$kinds" "$@"
    wait "$load"; code=$?
    sed 's/^/# /' "$WORK/$name.out"
    note "faults:$(for k in "${!DONE[@]}"; do printf ' %s %s' "${DONE[$k]}" "$k"; done)"
    [ -n "${HISTORY_DIR:-}" ] && mkdir -p "$HISTORY_DIR" && cp "$WORK/$name.history" "$HISTORY_DIR/"
    if [ "$code" -eq 0 ]; then ok "$name: the clients were told the truth"; else not_ok "$name: the clients were told the truth (code $code, seed $SEED)"; fi
    local answered; answered=$(sed -n 's/^answered \([0-9]*\),.*/\1/p' "$WORK/$name.out")
    [ "${answered:-0}" -ge $((seconds * 50)) ] && ok "$name: it went on meanwhile ($answered answers)" || not_ok "$name: it went on meanwhile (${answered:-0} answers)"
}

# ---- one member ----------------------------------------------------------------------------------------
topology m1 > "$WORK/m1/store.yaml"
check "one member starts" start m1
judged alone "$ALONE" "kill kill stop" m1
sed '0,/ put /s/ put \([^ ]*\) / put \1x /' "$WORK/alone.history" > "$WORK/forged.history"
"$BIN/store_load" check "$WORK/forged.history" > "$WORK/forged.out" 2>&1
[ $? -eq 1 ] && ok "a forged history is told from a true one" || { not_ok "a forged history is told from a true one"; sed 's/^/#   /' "$WORK/forged.out"; }
check "it stops" stop m1
on m1 rm -rf "$WORK/m1/data/store"

# ---- three members -------------------------------------------------------------------------------------
MEMBERS=(m1 m2 m3)
for h in "${MEMBERS[@]}"; do
    mkdir -p "$WORK/$h/config/keys/allowed"
    "$BIN/troupe" keys "$h" --dir "$WORK/$h/config/keys" > /dev/null || not_ok "keys of $h"
done
mkdir -p "$WORK/load" && "$BIN/troupe" keys load --dir "$WORK/load" > /dev/null || not_ok "keys of the load"
for h in "${MEMBERS[@]}"; do
    cp "$WORK/load/load.cert" "$WORK/$h/config/keys/allowed/"
    for m in "${MEMBERS[@]}"; do cp "$WORK/$m/config/keys/$m.cert" "$WORK/$h/config/keys/allowed/"; done
    topology "${MEMBERS[@]}" > "$WORK/$h/store.yaml"
    check "member $h starts" start "$h"
done
judged three "$THREE" "kill full stop replace part deaf kill clock dumb slow" "${MEMBERS[@]}"
endpoints='' certs=''
for h in "${MEMBERS[@]}"; do endpoints+=",tcp://${IP_OF[$h]}:6442"; certs+=",$WORK/$h/config/keys/$h.cert"; done
check_text "over tcp, with a key of its own, an administrator is served" 'put, 8 clients: [1-9][0-9]*/s' \
    "$(from_lan "$BIN/store_load" rate --connect "${endpoints:1}" --name load --key "$WORK/load/load.cert_secret" --server-key "${certs:1}" --clients 8 --seconds 1 2>&1)"
for k in full replace clock; do [ "${DONE[$k]:-0}" -gt 0 ] && ok "three: $k happened" || not_ok "three: $k happened"; done
for h in "${MEMBERS[@]}"; do check "member $h stops" stop "$h"; done
