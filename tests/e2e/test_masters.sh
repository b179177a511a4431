#!/usr/bin/env bash
# Three masters, hosts of their own, linked over tcp with CURVE keys. A writer puts through a master
# that lives while the leader is killed, stopped, cut off; each time the next put must be accepted
# soon, and nothing that was acknowledged may be missing at the end. Any master answers troupectl;
# scheduler and controllers go on; a worker linked to all of them runs pods.
#
# KILLS=20: more leader kills, for scripts/soak. Prints the time from the blow to the next accepted
# put, the command's own start included.
. "$(dirname "$0")/masters.sh"
KILLS=${KILLS:-3}
masters_new 1
for h in "${MASTERS[@]}"; do # so little log that a new member needs a snapshot
    printf 'kind: Store\nlogCut: 1Mi\nlogForPeers: 1Mi\n' > "$WORK/$h/config/store.yaml"
    printf 'kind: Disk\nsegmentSize: 1Mi\n' > "$WORK/$h/config/disk.yaml"
done
masters_start
first=$(leader)
[ -n "$first" ] && ok "the masters have one leader: ${NODE[$first]}" || not_ok "the masters have one leader"
for h in "${MASTERS[@]}"; do check "troupectl works through ${NODE[$h]}" ctl_on "$h" get nodes; done

# Whichever member is asked: one socket is enough to save all and to see all.
for h in "${MASTERS[@]}"; do
    check_text "a snapshot is saved through ${NODE[$h]}" 'revision [0-9]+, [0-9]+ keys' "$(troupe "$h" snapshot save "$WORK/$h.snap" --run-dir "$WORK/$h/run" --data "$WORK/$h/data" 2>&1)"
    troupe "$h" store status --run-dir "$WORK/$h/run" --data "$WORK/$h/data" > "$WORK/status" 2>&1
    [ "$(grep -c 'sync  *p50' "$WORK/status")" = 3 ] && [ "$(grep -c ', leads$' "$WORK/status")" = 1 ] && ok "${NODE[$h]} shows the status of all three" || { not_ok "${NODE[$h]} shows the status of all three"; sed 's/^/#   /' "$WORK/status"; }
done

# ---- actors that go to another host, are remembered there, and come home --------------------------------
check_text "a scheduler moves to another host" "moved from process master-1 to master-2 in" "$(ctl actors move scheduler/master-1 --to master-2 2>&1)"
check_text "the store stays on its machine, and why" "store actors stay on theirs" "$(ctl actors move store/master-1 --to master-2 2>&1)"
check_text "a worker takes no scheduler, and why" "runs no actor of this kind" "$(ctl actors move controllers/master-1 --to node-1 2>&1)"
is_guest() { [ "$(ctl get actor scheduler/master-1 -o jsonpath='{.status.process}')" = master-2 ]; }
on m2 kill -9 "$(process_of m2)"
until_true 10 is_guest > /dev/null && ok "its process is killed: it is there again, as a guest" || { not_ok "its process is killed: it is there again, as a guest"; ctl get actors | sed 's/^/#   /'; }
check_text "and it goes home" "moved from process master-2 to master-1 in" "$(ctl_on m3 actors move scheduler/master-1 --to master-1 2>&1)"

# ---- a writer ---------------------------------------------------------------------------------------------
put() { # HOST NAME
    printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\n' "$2" > "$WORK/put.yaml"
    ctl_on "$1" create -f "$WORK/put.yaml" --request-timeout=8s > /dev/null 2> "$WORK/put.err" && echo "$2" >> "$WORK/acked"
}
n=0; times=()
blow() { # NAME COMMAND…: strike the leader, put through another master at once
    local name=$1 start took; shift
    "$@"
    start=$(now_ms)
    n=$((n + 1))
    if put "$through" "w-$n"; then took=$(($(now_ms) - start)); times+=("$took"); note "$name: next put accepted after $took ms"; else not_ok "$name: no put is accepted: $(cat "$WORK/put.err")"; return 1; fi
}
steady() { local i; for i in 1 2 3; do n=$((n + 1)); put "$1" "w-$n"; done; }
steady m1
kill_leader() { on "$1" kill -9 "$(process_of "$1")"; }
for i in $(seq "$KILLS"); do
    until_true 20 whole > /dev/null || { not_ok "the masters agree on a leader before kill $i"; break; }
    l=$(leader); through=$(another "$l"); steady "$through"
    blow "kill -9 of ${NODE[$l]}" kill_leader "$l"
done
kill_times=("${times[@]}"); times=()
until_true 20 whole > /dev/null; l=$(leader); through=$(another "$l"); steady "$through"
stopped=$(process_of "$l")
blow "SIGSTOP of ${NODE[$l]}" on "$l" kill -STOP "$stopped"; steady "$through"
on "$l" kill -CONT "$stopped"
until_true 20 whole > /dev/null; l=$(leader); through=$(another "$l"); steady "$through"
blow "partition of ${NODE[$l]}" unplug "$l"; steady "$through"
plug "$l"
until_true 20 whole > /dev/null && ok "all agree on a leader again" || not_ok "all agree on a leader again"
median() { printf '%s\n' "$@" | sort -n | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'; }
worst() { printf '%s\n' "$@" | sort -n | tail -1; }
note "after kill -9 (${#kill_times[@]}): median $(median "${kill_times[@]}") ms, worst $(worst "${kill_times[@]}") ms; SIGSTOP, partition: ${times[*]} ms"
[ "$(worst "${kill_times[@]}")" -le "${FAILOVER_MAX_MS:-2000}" ] && ok "a killed leader is replaced in time" || not_ok "a killed leader is replaced in time"
[ "$(worst "${times[@]}")" -le "${FAILOVER_MAX_MS:-2000}" ] && ok "a stopped or lonely one, too" || not_ok "a stopped or lonely one, too"

# ---- nothing that was acknowledged is missing, whoever is asked ---------------------------------------------
sort -u "$WORK/acked" > "$WORK/acked.sorted"
for h in "${MASTERS[@]}"; do
    ctl_on "$h" get configmaps -o jsonpath='{.items[*].metadata.name}' | tr ' ' '\n' | grep '^w-' | sort > "$WORK/seen"
    missing=$(comm -23 "$WORK/acked.sorted" "$WORK/seen" | wc -l)
    [ "$missing" = 0 ] && ok "${NODE[$h]} shows all $(wc -l < "$WORK/acked.sorted") acknowledged writes" || not_ok "${NODE[$h]} lacks $missing acknowledged writes"
done

# ---- scheduler and controllers go on, whoever died ------------------------------------------------------------
l=$(leader); through=$(another "$l"); CTL_HOST=$through
ctl run web --image=nginx --port=80 --replicas=2 > /dev/null
pods_run() { [ "$(ctl get pods -l run=web --no-headers | grep -cw Running)" = "$1" ]; }
took=$(until_true 30 pods_run 2) && ok "pods run on the worker ($took ms)" || { not_ok "pods run on the worker"; ctl get pods -o wide | sed 's/^/#   /'; }
power_cut "$l"
ctl scale deployment web --replicas=3 --request-timeout=8s > /dev/null
took=$(until_true 30 pods_run 3) && ok "with the leader's power cut a deployment is scaled ($took ms)" || { not_ok "with the leader's power cut a deployment is scaled"; ctl get pods -o wide | sed 's/^/#   /'; }
host_power_on "$l"; rm -rf "${WORK:?}/$l/run"/*
check "the master starts again" start "$l"
took=$(until_true 20 whole) && ok "and is one of three again ($took ms)" || not_ok "and is one of three again"

# ---- a damaged member is rebuilt -----------------------------------------------------------------------
l=$(leader); lost=$(another "$l"); for h in "${MASTERS[@]}"; do [ "$h" != "$l" ] && [ "$h" != "$lost" ] && CTL_HOST=$h; done
head -c 600000 /dev/zero | tr '\0' x > "$WORK/large"
for i in $(seq 16); do
    { printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: large-%s}\ndata:\n  x: ' "$i"; cat "$WORK/large"; echo; } > "$WORK/put.yaml"
    ctl create -f "$WORK/put.yaml" > /dev/null || not_ok "a large object is stored"
done
# What is written behind them tells damage from a torn tail, wherever a segment of the log ends.
for i in $(seq 20); do echo "{apiVersion: v1, kind: ConfigMap, metadata: {name: small-$i}}" | ctl create -f - > /dev/null || not_ok "a small object is stored"; done
# Its log is damaged while it is down: it refuses to serve, and one command on its machine makes it whole.
power_cut "$lost"; rm -rf "${WORK:?}/$lost/run"/*
for segment in "$WORK/$lost"/data/store/log/0*.seg; do printf 'damage' | dd of="$segment" bs=1 seek=600 conv=notrunc status=none; done
host_power_on "$lost"; start "$lost" > "$WORK/$lost/start.log" 2>&1 &
damage_is_told() { grep -qE '\.seg at [0-9]+' "$WORK/$lost/data/troupe.log" "$WORK/$lost/start.log"; }
until_true 20 damage_is_told > /dev/null && ok "a damaged log is told with file and position" || { not_ok "a damaged log is told with file and position"; tail -n 20 "$WORK/$lost/data/troupe.log" | sed 's/^/#   /'; }
rebuild() { troupe "$lost" store rebuild --run-dir "$WORK/$lost/run" --data "$WORK/$lost/data" --node "${NODE[$lost]}" "$@"; }
check_text "a dry run rebuilds nothing" 'nothing was changed' "$(rebuild --dry-run 2>&1)"
compgen -G "$WORK/$lost/data/store.before-*" > /dev/null && not_ok "… nothing at all" || ok "… nothing at all"
start_ms=$(now_ms)
# Damaged, it did not stay up: it is started while the command waits for it.
{ until compgen -G "$WORK/$lost/data/store.before-*" > /dev/null; do wait_s 0.05; done; start "$lost" > "$WORK/$lost/start.log" 2>&1; } & JOBS+=($!)
check_text "one command rebuilds it from the others" 'has everything and votes' "$(rebuild --yes 2>&1)"
note "after $(($(now_ms) - start_ms)) ms"
check_text "all know it as a voter" "${NODE[$lost]} +voter" "$(member "$CTL_HOST" list)"
check_text "by a snapshot" 'has the snapshot of entry' "$(cat "$WORK/$lost/data/troupe.log")"
leads() { [ "$(leader_seen_by "$CTL_HOST")" = "$lost" ]; }
check "it is given the leadership" member "$CTL_HOST" transfer "${NODE[$lost]}"
took=$(until_true 10 leads) && ok "and leads ($took ms)" || not_ok "and leads"
ctl_on "$CTL_HOST" get configmaps -o jsonpath='{.items[*].metadata.name}' | tr ' ' '\n' | grep '^w-' | sort > "$WORK/seen"
[ "$(comm -23 "$WORK/acked.sorted" "$WORK/seen" | wc -l)" = 0 ] && ok "all acknowledged writes are there" || not_ok "acknowledged writes are missing"
