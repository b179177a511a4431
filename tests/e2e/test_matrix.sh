#!/usr/bin/env bash
# The live matrix: every actor × every fault × every situation, on three masters and three workers with
# real containerd. Clients fetch the page of a service without a pause, a writer notes what was
# acknowledged, a watch follows every pod. Each cell: the steady state holds, the fault is seen, and when it
# is over the steady state is reached again; nothing acknowledged is lost, no pod is bound twice, a
# bystander's container is never touched.
#
#   MATRIX_SHARE=N    every Nth cell (10: what fits into scripts/test; 1: all)
#   MATRIX_SEED=N     which of the N shares, and the choice of victims (default: today's date, so that
#                     ten days cover all, but for six cells that may take two minutes each)
#   MATRIX_ONLY=REGEX only those cells, "scheduler pause rolling"; then all of them
#   MATRIX_SECONDS=N  no new cell after that long (80 with a share, else no limit)
#   MATRIX_RESUME=1   only cells that have no good result in MATRIX_DIR
#   MATRIX_DIR=DIR    log and result of each cell (build/matrix); results of earlier runs stay
#   MATRIX_TABLE=FILE all results in MATRIX_DIR as Markdown
. "$(dirname "$0")/masters.sh"
ONLY=${MATRIX_ONLY:-} SHARE=${MATRIX_SHARE:-10} SEED=${MATRIX_SEED:-$(($(date +%s) / 86400))}
[ -n "$ONLY" ] && SHARE=1
LIMIT_S=${MATRIX_SECONDS:-$([ "$SHARE" = 1 ] && echo 100000 || echo 80)}
DIR=${MATRIX_DIR:-$here/build/matrix} FOR_S=1
MASTER_ACTORS=(disk store apiserver informers controllers scheduler chaos link) NODE_ACTORS=(kubelet runtime pod proxy) HOST_KINDS=(master worker)
ACTORS=("${MASTER_ACTORS[@]}" "${NODE_ACTORS[@]}" "${HOST_KINDS[@]}")
FAULTS=(kill pause partition delay duplicate reorder disk-slow cpu) SITUATIONS=(idle rolling failover)
# To be steady again: a node's notice, eviction and a rolling update on a slow machine. An order to the runtime
# that a fault swallowed is given again when its deadline is over: two minutes for the start of a sandbox.
loses_orders() { [[ "$*" =~ ^(kubelet|runtime|pod)\ (partition|reorder) ]]; }
recover_max_s() { if loses_orders "$@"; then echo 180; else echo 60; fi; }
mkdir -p "$DIR"

# ---- which cells ------------------------------------------------------------------------------------------
# Shuffled once and for all: share S of N is every Nth from the Sth on. In each share the seed shuffles again.
shuffled() { shuf --random-source=<(yes "$1"); }
cells() { local a f s; for a in "${ACTORS[@]}"; do for f in "${FAULTS[@]}"; do for s in "${SITUATIONS[@]}"; do echo "$a $f $s"; done; done; done; }
has_result() { [ -n "${MATRIX_RESUME:-}" ] && grep -qs '^[0-9]' "$DIR/${1// /-}.result"; }
is_too_long() { [ "$SHARE" != 1 ] && loses_orders "$1" && [[ $1 = *rolling ]]; }
mapfile -t CELLS < <(cells | while read -r c; do has_result "$c" || is_too_long "$c" || echo "$c"; done | shuffled matrix | awk -v n="$SHARE" -v k=$((SEED % SHARE)) 'NR % n == k' | grep -E -- "${ONLY:-.}" | shuffled "$SEED")
[ ${#CELLS[@]} -gt 0 ] || { echo "no cell matches \"$ONLY\""; exit 2; }
note "${#CELLS[@]} cells of $(cells | wc -l), seed $SEED; again: MATRIX_SHARE=$SHARE MATRIX_SEED=$SEED bash $0"
RANDOM=$SEED
pick() { local n=$((RANDOM % $#)); shift $n; PICKED=$1; } # no subshell: the dice go on

# ---- the cluster and what runs in it ------------------------------------------------------------------------
masters_new 3
lab_tool load
masters_start
manifest() { # NAME REPLICAS SCHEDULING
    cat << Y
apiVersion: apps/v1
kind: Deployment
metadata: {name: $1}
spec:
  replicas: $2
  strategy: {rollingUpdate: {maxSurge: 100%, maxUnavailable: 0}}
  selector: {matchLabels: {app: $1}}
  template:
    metadata: {labels: {app: $1}}
    spec:
      $3
      tolerations:
      - {key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 1}
      - {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 1}
      containers:
      - name: nginx
        image: nginx
        readinessProbe: {httpGet: {path: /, port: 80}, periodSeconds: 1}
Y
}
# The bystander stands on the worker that no fault ever hits; clients come through that worker, too.
manifest web 3 'topologySpreadConstraints: [{maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {app: web}}}]' | client create -f - > /dev/null
manifest still 1 'nodeSelector: {kubernetes.io/hostname: node-3}' | client create -f - > /dev/null
for d in web still; do check "deployment $d runs" client rollout status deployment/$d --timeout=60s; done
client expose deployment web --port=80 --type=NodePort > /dev/null
port=$(client get service web -o jsonpath='{.spec.ports[0].nodePort}')
answers() { from_lan curl -fsS --max-time 2 -o /dev/null "http://${IP_OF[n3]}:$port/"; }
until_true 10 answers > /dev/null || { not_ok "the service answers"; exit 1; }
ip netns exec "$LAB-lan" "$WORK/load" "${IP_OF[n3]}" "$port" 2 "$WORK/counts" "$WORK/load.log" & JOBS+=($!)
client get pods --watch --no-headers -o custom-columns=UID:.metadata.uid,NODE:.spec.nodeName,NAME:.metadata.name > "$WORK/watched" 2> "$WORK/watched.err" & JOBS+=($!)
writer() {
    local n=0
    until [ -e "$WORK/stop" ]; do
        n=$((n + 1))
        printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: w-%s, labels: {writer: "1"}}\n' $n | client create -f - --request-timeout=5s > /dev/null 2>&1 && echo "w-$n" >> "$WORK/acked"
        wait_s 0.05
    done
}
: > "$WORK/acked"; writer & WRITER=$!; JOBS+=($WRITER)

# ---- what must hold -----------------------------------------------------------------------------------------
ctl_try() { ctl "$@" --request-timeout=3s; }
counts() { local r f; read -r r f < "$WORK/counts"; REQUESTS=$((10#$r)) FAILED=$((10#$f)); }
still() { client get pods -l app=still -o jsonpath='{range .items[*]}{.metadata.uid} {.status.containerStatuses[0].containerID} {.status.containerStatuses[0].restartCount}{"\n"}{end}' --request-timeout=5s; }
# Every node Ready; one ready leader of each kind, and all masters agree on the store's; no fault is on; web
# is rolled out and not a pod more is there; a write is taken; the page is fetched.
steady() {
    ready_are 6 || { ctl_try get nodes; return 1; }
    whole || { echo "the masters do not agree on a leader"; return 1; }
    [ "$(sort <(ctl_try get leases -n kube-system -o jsonpath='{range .items[*]}{.metadata.name} {.spec.holderIdentity}{"\n"}{end}' | awk '$1 ~ /^(scheduler|controllers|chaos)$/ {print $2}') \
        <(ctl_try get actors -o jsonpath='{range .items[*]}{.metadata.name} {.status.state} {.status.epoch}{"\n"}{end}' | awk '$2 == "ready" && $3 {print $1}') | uniq -d | wc -l)" = 3 ] || { echo "not every elected kind has its leader"; return 1; }
    ctl_try chaos list | grep '^f-' && return 1
    [ "$(ctl_try get deployment web -o jsonpath='{.status.updatedReplicas} {.status.availableReplicas} {.status.replicas} {.status.observedGeneration}={.metadata.generation}' | awk -F'[ =]' '{print $1, $2, $3, $4 == $5}')" = "3 3 3 1" ] || { echo "web is not rolled out"; return 1; }
    [ "$(ctl_try get pods --no-headers | awk '{n[$2 " " $3]++} END {for (k in n) print n[k], k}')" = "4 1/1 Running" ] || { ctl_try get pods -o wide; return 1; }
    ctl_try patch deployment still -p "{\"metadata\":{\"annotations\":{\"seen\":\"$RANDOM\"}}}" > /dev/null && answers
}
# MISSING: acknowledged and not there. What was acknowledged up to now is looked for, then removed.
look_for_lost() {
    local n; n=$(wc -l < "$WORK/acked") MISSING="(no list)"
    head -n "$n" "$WORK/acked" | tail -n +$((${LOOKED:-0} + 1)) | sort > "$WORK/due"
    client get configmaps -l writer=1 -o jsonpath='{range .items[*]}{.metadata.name}{"\n"}{end}' | sort > "$WORK/there" || return
    MISSING=$(comm -23 "$WORK/due" "$WORK/there" | head -n 3 | tr '\n' ' ')
    [ -s "$WORK/due" ] && client delete configmap $(comm -12 "$WORK/due" "$WORK/there") > /dev/null
    LOOKED=$n
}

# ---- a fault ---------------------------------------------------------------------------------------------------
instance_of() { # ACTOR HOST: its address there
    case $1 in
    pod) ctl_try get actors -o name | sed -n 's|^actor[^/]*/\(pod/default.web-.*\)|\1|p' | shuf -n1 --random-source=<(yes $RANDOM) ;;
    link) echo "link/listen:${IP_OF[$2]}:6440" ;;
    *) echo "$1/${NODE[$2]}" ;;
    esac
}
leading() { # ACTOR: the host of its leader; nothing: it has none
    case $1 in
    store | disk) leader ;;
    scheduler | controllers | chaos) host_of "$(ctl_try get lease "$1" -n kube-system -o jsonpath='{.spec.holderIdentity}' | cut -d/ -f2)" ;;
    esac
}
incarnation() { ctl_try get actor "$1" -o jsonpath='{.status.incarnation}'; }
alive() { kill -0 "${INIT_PID[$1]}" 2> /dev/null; }
heard() { from_lan ping -c1 -W1 "${IP_OF[$1]}" > /dev/null 2>&1; }
# Applies it to VICTIM on HOST and prints what shows that it is on; fails when nothing does.
apply() { # ACTOR FAULT
    local was id flags=()
    case "$1 $2" in
    master\ kill | worker\ kill) power_cut "$HOST"; alive "$HOST" && return 1; echo "power cut"; return ;;
    master\ pause | worker\ pause) local p; p=$(process_of "$HOST"); on "$HOST" kill -STOP "$p"; stopped() { on "$HOST" grep -q ') T ' "/proc/$p/stat"; }; until_true 5 stopped > /dev/null && echo "the process is stopped"; return ;;
    master\ partition | worker\ partition) unplug "$HOST"; heard "$HOST" && return 1; echo "not heard on the network"; return ;;
    esac
    [ "$2" = kill ] && was=$(incarnation "$VICTIM")
    case $2 in
    kill) ;;
    delay) flags=(--delay 60ms --jitter 40ms) ;;
    duplicate | reorder) flags=(--probability 0.5) ;;
    disk-slow) flags=(--delay 30ms) ;;
    esac
    [ "$2" = kill ] || flags+=(--for 10s)
    id=$(ctl_try chaos "$2" "$VICTIM" "${flags[@]}"); echo "$id"; FAULT_ID=${id%% *}
    [[ $id = f-* ]] || return 1
    case $2 in
    # An actor that is gone (a pod's, with its pod) has died as well.
    kill) died() { [ "$(incarnation "$VICTIM")" != "$was" ]; }; until_true 10 died > /dev/null && echo "another life than $was" ;;
    # Through a link that is paused nobody answers: that its process took the order must do.
    pause) [[ $1 = link && $id = *"in 1 process"* ]] || ctl_try get actor "$VICTIM" -o jsonpath='{.status.state}' | grep paused ;;
    *) ctl_try chaos list | grep "^$FAULT_ID" ;;
    esac
}
undo() { # ACTOR FAULT: after FOR_S it is over
    [ "$2" = kill ] || wait_s $FOR_S
    case "$1 $2" in
    master\ kill | worker\ kill) host_power_on "$HOST"; rm -rf "${WORK:?}/$HOST/run"/*; start "$HOST" ;;
    master\ pause | worker\ pause) on "$HOST" kill -CONT "$(process_of "$HOST")" ;;
    master\ partition | worker\ partition) plug "$HOST" ;;
    *\ kill) ;;
    *) ctl_try chaos clear "$FAULT_ID" || true ;; # else it ends by itself, and steady() waits for that
    esac
}

# ---- one cell ------------------------------------------------------------------------------------------------------
result() { echo "$2" > "$DIR/${1// /-}.result"; } # CELL TEXT
cell() { # ACTOR FAULT SITUATION
    local actor=$1 fault=$2 situation=$3 why= other start took failed requests out=$DIR/$1-$2-$3.log
    CTL_HOST=m1
    { echo "$*"; date -u +%FT%T.%3NZ; } > "$out"
    until_true 60 steady >> "$out" 2>&1 || { result "$*" "FAIL: not steady before"; not_ok "$*: the steady state holds before"; tail -n 12 "$out" | sed 's/^/#   /'; return; }
    if [[ " ${NODE_ACTORS[*]} worker " = *" $actor "* ]]; then pick n1 n2; HOST=$PICKED; else HOST=$(leading "$actor"); [ -n "$HOST" ] || { pick m1 m2 m3; HOST=$PICKED; }; fi
    # In a failover another master dies than the one that the fault hits; commands go to the third.
    case $HOST in m1) other=m2 CTL_HOST=m3 ;; m2) other=m3 CTL_HOST=m1 ;; m3) other=m1 CTL_HOST=m2 ;; *) other=$(leader) CTL_HOST=$(another "$other") ;; esac
    if [ "$actor" = master ] || [ "$actor" = worker ]; then VICTIM=node/${NODE[$HOST]}; else VICTIM=$(instance_of "$actor" "$HOST"); fi
    counts; failed=$FAILED requests=$REQUESTS
    { echo "victim $VICTIM, failover of $other, commands to $CTL_HOST"; ctl get pods -o wide; } >> "$out" 2>&1
    [ "$situation" = rolling ] && { client rollout restart deployment/web >> "$out" 2>&1 || why="; the rolling update begins"; wait_s 0.2; }
    apply "$actor" "$fault" >> "$out" 2>&1 || why="$why; the fault is not seen"
    [ "$situation" = failover ] && on "$other" kill -9 "$(process_of "$other")"
    undo "$actor" "$fault" >> "$out" 2>&1 || why="$why; the host is there again"
    start=$(now_ms)
    until_true "$(recover_max_s "$actor" "$fault")" steady >> "$out" 2>&1 || why="$why; no steady state after $(recover_max_s "$actor" "$fault") s"
    took=$(($(now_ms) - start))
    counts; failed=$((FAILED - failed)) requests=$((REQUESTS - requests)); look_for_lost
    [ -z "$MISSING" ] || why="$why; acknowledged writes are lost: $MISSING"
    [ "$(still)" = "$STILL" ] || why="$why; the bystander was touched"
    # A worker that is gone takes its pods' answers with it, until its endpoints are dropped. All else may cost one
    # request in a hundred: none is what is wanted, and what the table is to show.
    [ $((failed * 100)) -le "$requests" ] || [ "$actor" = worker ] || why="$why; $failed of $requests requests failed"
    [ "$requests" -gt 0 ] || why="$why; clients fetched nothing"
    { echo "steady after $took ms; $failed of $requests requests failed${why:+; FAILED: ${why#; }}"; ctl get actors; } >> "$out" 2>&1
    if [ -z "$why" ]; then result "$*" "$took$([ "$failed" = 0 ] || echo ", $failed lost")"; ok "$*: steady $took ms after the fault, $failed of $requests requests failed"; else
        result "$*" "FAIL${why/;/:}"
        not_ok "$*: ${why#; }"; note "victim $VICTIM; log: $out"; tail -n 15 "$out" | grep -v '^#' | head -n 6 | sed 's/^/#   /'
        for h in "${HOSTS[@]}"; do echo "---- ${NODE[$h]}"; tail -n 60 "$WORK/$h/data/troupe.log"; done >> "$out" 2>&1
    fi
}
STILL=$(still); LOOKED=0
left=() began=$SECONDS
for c in "${CELLS[@]}"; do
    [ $((SECONDS - began)) -ge "$LIMIT_S" ] && { left+=("$c"); continue; }
    cell $c
done
touch "$WORK/stop"; wait $WRITER
[ ${#left[@]} = 0 ] || note "no time for ${#left[@]} cells: $(printf '%s; ' "${left[@]}")"

# ---- over all cells ---------------------------------------------------------------------------------------------------
twice=$(awk '$2 != "<none>" {if ($1 in node && node[$1] != $2) print $3, node[$1], $2; node[$1] = $2}' "$WORK/watched")
[ -s "$WORK/watched" ] && [ -z "$twice" ] && ok "no pod was bound twice ($(cut -d' ' -f1 "$WORK/watched" | sort -u | wc -l) pods in one watch)" || not_ok "no pod was bound twice: $twice $(tail -n 2 "$WORK/watched.err")"
counts; note "$FAILED of $REQUESTS requests failed; $(wc -l < "$WORK/acked") writes acknowledged"

table() {
    local a f s r row
    echo "| actor | situation |$(printf ' %s |' "${FAULTS[@]}")"; echo "|---|---|$(printf -- '---|%.0s' "${FAULTS[@]}")"
    for a in "${ACTORS[@]}"; do for s in "${SITUATIONS[@]}"; do
        row=
        for f in "${FAULTS[@]}"; do r=$(cat "$DIR/$a-$f-$s.result" 2> /dev/null); row+=" ${r:-·} |"; done
        [[ "$row" =~ [0-9F] ]] && echo "| $a | $s |$row"
    done; done
}
table | sed 's/^/# /'
[ -z "${MATRIX_TABLE:-}" ] || table > "$MATRIX_TABLE"
