#!/usr/bin/env bash
# Kill anything while it works. A deployment rolls over and over, clients fetch its page without a
# pause, a writer creates, changes and deletes objects and remembers what was acknowledged; meanwhile
# each actor, each process and the whole are killed in turn. Nothing acknowledged may be lost, no
# request may fail, no container may be restarted. Ends with a table.
#
#   KILL_ROUNDS=N   how many times each is killed (1)      KILL_SEED=N   shuffles the order
#   KILL_ONLY=REGEX only what matches
#   KILL_API_MAX_MS=N  reads and writes may stand still so long (5000: what is slow only because the
#                      machine is busy is no failure; the table says how long it was)
. "$(dirname "$0")/lab.sh"
ROUNDS=${KILL_ROUNDS:-1} SEED=${KILL_SEED:-}
API_MAX_MS=${KILL_API_MAX_MS:-5000} WANTED_MAX_MS=30000 CLIENTS=6
lab_new
host_add m1 11
images || exit 1
lab_tool load
CTL_HOST=m1 IP=${IP_OF[m1]}
lab_kubelet m1
up() { troupe m1 up "$@" -d --data "$WORK/m1/data" --run-dir "$WORK/m1/run" --config-dir "$WORK/m1/config" --node m1 --node-ip "$IP"; }
node_ready() { ctl get node m1 --no-headers | grep -qw Ready; }
check "troupe up starts a cluster" up
until_true 20 node_ready > /dev/null || { not_ok "the node is Ready"; exit 1; }

# ---- what runs: one deployment that rolls, one that must not be touched ---------------------------------
manifest() { # NAME
    cat << Y
apiVersion: apps/v1
kind: Deployment
metadata: {name: $1}
spec:
  replicas: 2
  selector: {matchLabels: {app: $1}}
  template:
    metadata: {labels: {app: $1}}
    spec:
      containers:
      - name: nginx
        image: nginx
        readinessProbe: {httpGet: {path: /, port: 80}, periodSeconds: 1}
Y
}
for name in web still; do manifest $name | ctl create -f - > /dev/null; done
for name in web still; do check "$name runs" ctl rollout status deployment/$name --timeout=40s; done
ctl expose deployment web --port=80 --type=NodePort > /dev/null
port=$(ctl get service web -o jsonpath='{.spec.ports[0].nodePort}')
answers() { from_lan curl -fsS --max-time 2 -o /dev/null "http://$IP:$port/"; }
until_true 10 answers > /dev/null || { not_ok "the service answers"; exit 1; }
still() { ctl get pods -l app=still -o jsonpath='{range .items[*]}{.metadata.uid} {.status.containerStatuses[0].containerID} {.status.containerStatuses[0].restartCount}{"\n"}{end}' | sort; }
untouched=$(still)

# ---- who works meanwhile -----------------------------------------------------------------------------------
ms() { local t=${EPOCHREALTIME/[.,]/}; MS=$((t / 1000)); }
pause() { wait_s "$1"; }
going() { [ ! -e "$WORK/stop" ]; }

# Log lines: "B NAME" before a request, then "A NAME RV N" (there with this content), "D NAME" (deleted)
# or "F NAME" (nobody knows). And when writes were answered, for the longest time without.
writer() {
    local n=0 name rv kind
    write() { # N COMMAND…: what it prints is the object's resourceVersion
        local value=$1; shift
        echo "B $name"
        if rv=$("$@" 2>> "$WORK/writer.err") && [ -n "$rv" ]; then
            ms; echo "$MS" >> "$WORK/writes"
            [ "$value" = gone ] && echo "D $name" || echo "A $name $rv $value"
        else echo "F $name"; fi
    }
    body() {
        if [ "$kind" = configmap ]; then echo "{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": {\"name\": \"$name\", \"labels\": {\"turn\": \"$1\", \"writer\": \"1\"}}}"
        else manifest "$name" | sed "s/replicas: 2/replicas: 0/; s/^metadata: .*/metadata: {name: $name, labels: {turn: \"$1\", writer: \"1\"}}/"; fi
    }
    create() { body "$1" | ctl create -f - --request-timeout=5s -o jsonpath='{.metadata.resourceVersion}'; }
    change() { ctl patch "$kind" "$name" -p "{\"metadata\":{\"labels\":{\"turn\":\"$1\"}}}" --request-timeout=5s -o jsonpath='{.metadata.resourceVersion}'; }
    while going; do
        n=$((n + 1)) name=w-$n kind=configmap
        [ $((n % 10)) = 0 ] && kind=deployment
        write 1 create 1
        [ $((n % 3)) = 0 ] && write 2 change 2
        [ $((n % 4)) = 1 ] && write gone ctl delete "$kind" "$name" --request-timeout=5s
        pause 0.02
    done
}
reader() {
    while going; do
        if ctl get pods --no-headers --request-timeout=5s 2> /dev/null > "$WORK/reader.pods"; then
            ms; echo "$MS" >> "$WORK/reads"
            awk -v t="$MS" '$4 != 0 {print t, $0}' "$WORK/reader.pods" > "$WORK/reader.bad"
            if [ -s "$WORK/reader.bad" ]; then
                cat "$WORK/reader.bad" >> "$WORK/restarted"
                ctl get pods -o jsonpath='{range .items[*]}{.metadata.name} {.status.containerStatuses[0].lastState.terminated}{"\n"}{end}' 2> /dev/null | grep reason >> "$WORK/ends"
            fi
        fi
        pause 0.02
    done
}
roller() {
    while going; do
        ctl rollout restart deployment/web > /dev/null 2>&1 || { pause 0.05; continue; }
        ctl rollout status deployment/web --timeout=60s > /dev/null 2>&1 && ms && echo "$MS" >> "$WORK/rolled"
    done
}
for f in writes reads restarted rolled acks; do : > "$WORK/$f"; done
ip netns exec "$LAB-lan" "$WORK/load" "$IP" "$port" "$CLIENTS" "$WORK/counts" "$WORK/load.log" & LOAD=$!; JOBS+=($LOAD)
writer > "$WORK/acks" 2> /dev/null & WORKERS=($!)
reader 2> /dev/null & WORKERS+=($!)
roller 2> /dev/null & WORKERS+=($!)
JOBS+=("${WORKERS[@]}")

# ---- what is counted ---------------------------------------------------------------------------------------
counts() { local r f; read -r r f < "$WORK/counts"; REQUESTS=$((10#$r)) FAILED=$((10#$f)); }
rolled() { wc -l < "$WORK/rolled"; }
# The longest time from one answer to the next, of those since FROM.
gap() { awk -v from="$2" '$1 >= from && last {if ($1 - last > worst) worst = $1 - last} {last = $1} END {print worst + 0}' "$WORK/$1"; }
# Objects whose last word was an acknowledgement must be as acknowledged; those that the writer worked
# on while the list was taken are left out.
lost() {
    cp "$WORK/acks" "$WORK/acks.1"
    until ctl get configmaps,deployments -l writer=1 --request-timeout=5s -o jsonpath='{range .items[*]}{.metadata.name} {.metadata.resourceVersion} {.metadata.labels.turn}{"\n"}{end}' > "$WORK/there" 2> /dev/null; do pause 0.05; done
    cp "$WORK/acks" "$WORK/acks.2"
    awk -v before="$(wc -l < "$WORK/acks.1")" '
        FILENAME == ARGV[1] {rv[$1] = $2; n[$1] = $3; next}
        {last[$2] = $0; if (FNR > before) busy[$2] = 1}
        END {for (name in last) {
            if (name in busy) continue
            split(last[name], w, " ")
            if (w[1] == "A" && (!(name in rv) || rv[name] + 0 < w[3] + 0 || n[name] != w[4])) print "lost:", last[name], "there:", rv[name], n[name]
            if (w[1] == "D" && name in rv) print "deleted, but there:", name
        }}' "$WORK/there" "$WORK/acks.2"
}
TABLE=()
declare -A KILLS WORST_API WORST_WRITE WORST_WANTED SUM_REQUESTS SUM_FAILED SUM_LOST SUM_RESTARTED
ORDER=()
worst() { local -n of=$1; [ "$3" -gt "${of[$2]:-0}" ] && of[$2]=$3; of[$2]=${of[$2]:-0}; }
# One act, and all that must hold until a rolling update has ended after it.
act() { # LABEL KILLS COMMAND…
    [ "$2" = 0 ] || [[ "$1" =~ ${KILL_ONLY:-.} ]] || return
    local label=$1 kills=$2 start before_requests before_failed api write wanted missing restarted changed why=; shift 2
    counts; before_requests=$REQUESTS before_failed=$FAILED; : > "$WORK/restarted"
    ms; start=$MS
    "$@" > "$WORK/act" 2>&1 || { why="$why; the act itself failed"; sed 's/^/#   /' "$WORK/act"; }
    progressed() { [ "$(tail -n 1 "$WORK/rolled")" -ge $((start + 1000)) ]; } # a rolling update that went on meanwhile
    until_true $((WANTED_MAX_MS / 1000)) progressed > /dev/null || why="$why; the wanted state was not reached"
    ms; wanted=$((MS - start))
    api=$(gap reads "$start") write=$(gap writes "$start")
    counts; missing=$(lost); changed=$(diff <(echo "$untouched") <(still)); restarted=$(cat "$WORK/restarted")
    [ "$api" -le $API_MAX_MS ] || why="$why; reads stood still for $api ms"
    [ "$write" -le $API_MAX_MS ] || why="$why; writes stood still for $write ms"
    [ "$FAILED" = "$before_failed" ] || why="$why; requests failed"
    [ -z "$missing" ] || why="$why; acknowledged objects are lost"
    [ -z "$changed$restarted" ] || why="$why; containers were restarted"
    local told="reads again after $api ms, writes after $write ms, $((REQUESTS - before_requests)) requests, rolled out after $wanted ms"
    if [ -z "$why" ]; then ok "$label: $told"; else
        not_ok "$label: ${why#; } ($told)"
        printf '%s\n' "$missing" "$changed" "$restarted" | grep . | head -n 10 | sed 's/^/#   /'
        [ -z "$restarted" ] || sort -u "$WORK/ends" | sed 's/^/#   /'
        awk -v from="$start" '$1 >= from' "$WORK/load.log" | head -n 8 | sed 's/^/#   /'
        note "killed at $start; rolling: $(ctl get pods -l app=web --no-headers 2>&1 | awk '{print $1, $2, $3}' | tr '\n' ';')"
    fi
    [ -n "${KILLS[$label]:-}" ] || ORDER+=("$label")
    KILLS[$label]=$((${KILLS[$label]:-0} + kills))
    SUM_REQUESTS[$label]=$((${SUM_REQUESTS[$label]:-0} + REQUESTS - before_requests)) SUM_FAILED[$label]=$((${SUM_FAILED[$label]:-0} + FAILED - before_failed))
    SUM_LOST[$label]=$((${SUM_LOST[$label]:-0} + $(grep -c . <<< "$missing"))) SUM_RESTARTED[$label]=$((${SUM_RESTARTED[$label]:-0} + $(grep -c . <<< "$restarted$changed")))
    worst WORST_API "$label" "$api"; worst WORST_WRITE "$label" "$write"; worst WORST_WANTED "$label" "$wanted"
}
order() { if [ -n "$SEED" ]; then SEED=$((SEED + 1)); shuf --random-source=<(yes $SEED) -e "$@"; else printf '%s\n' "$@"; fi; }

# ---- nothing is killed -------------------------------------------------------------------------------------
until_true 30 test -s "$WORK/rolled" > /dev/null || not_ok "the first rolling update ends"
act "nothing killed" 0 true

# ---- each actor ---------------------------------------------------------------------------------------------
actors_of() { ctl get actors -o name | sed 's|^[^/]*/||' | grep "^$1/"; }
# The answer may die with the actor, a pod may have left by itself: what counts is what is seen of the
# service and the API afterwards.
kill_actors() { # ROLE: every actor of it
    local a list; list=$(actors_of "$1"); [ -n "$list" ] || return 1
    for a in $list; do ctl delete actor "$a" --request-timeout=2s || [[ $1 =~ link|apiserver|pod ]] || return 1; done
}
for round in $(seq "$ROUNDS"); do
    for role in $(order disk store apiserver scheduler controllers kubelet runtime pod proxy link); do act "actor $role" 1 kill_actors $role; done
done

# ---- the process, its parent, the container runtime -----------------------------------------------------------
pid_of() { on m1 pgrep -f "troupe actor-process .*--process $1 " | head -1; }
kill_process() { local p; p=$(pid_of "$1"); [ -n "$p" ] && on m1 kill -9 "$p"; }
kill_whole() { on m1 kill -9 "$(tr -dc 0-9 < "$WORK/m1/run/troupe.pid")" && up "$@"; }
# The oldest: a child that is being forked bears the same name.
kill_containerd() { on m1 kill -9 "$(on m1 pgrep -xo containerd)"; }
for round in $(seq "$ROUNDS"); do
    act "process main" 1 kill_process main
    act "everything" 1 kill_whole
    act "containerd" 1 kill_containerd
done

# ---- every actor a process of its own --------------------------------------------------------------------------
as_processes() { troupe m1 down --run-dir "$WORK/m1/run" && up --processes; }
act "restart as processes" 0 as_processes
for round in $(seq "$ROUNDS"); do
    for process in $(order disk store apiserver scheduler controllers kubelet proxy); do act "process $process" 1 kill_process $process; done
    act "all processes" 8 kill_whole --processes
done

# ---- the end: everything comes to rest as wanted -----------------------------------------------------------------
touch "$WORK/stop"; wait "${WORKERS[@]}"
check "the last rolling update ends" ctl rollout status deployment/web --timeout=30s
rest() { [ "$(ctl get pods --no-headers | grep -c ' 1/1 *Running ')" = 4 ] && [ "$(ctl get pods --no-headers | wc -l)" = 4 ]; }
until_true 40 rest > /dev/null && ok "two pods of each are left" || { not_ok "two pods of each are left"; ctl get pods | sed 's/^/#   /'; }
running() { troupe m1 node ps --run-dir "$WORK/m1/run" --data "$WORK/m1/data" | grep -c nginx; }
no_more() { [ "$(running)" = 4 ]; }
until_true 10 no_more > /dev/null && ok "and their containers, no other" || not_ok "$(running) containers for 4 pods"
kill -TERM $LOAD; wait $LOAD
counts; [ "$FAILED" = 0 ] && ok "no request of $REQUESTS failed, over $(rolled) rolling updates" || not_ok "$FAILED of $REQUESTS requests failed"
acked=$(grep -c '^[AD]' "$WORK/acks") missing=$(lost)
[ -z "$missing" ] && ok "none of $acked acknowledged writes is lost ($(grep -c '^F' "$WORK/acks") had no answer)" || { not_ok "acknowledged writes are lost"; head <<< "$missing" | sed 's/^/#   /'; }

printf '# %-22s %5s %9s %9s %9s %7s %5s %9s %9s\n' killed kills 'reads ms' 'writes ms' requests failed lost restarted 'wanted ms'
for label in "${ORDER[@]}"; do
    printf '# %-22s %5d %9d %9d %9d %7d %5d %9d %9d\n' "$label" "${KILLS[$label]}" "${WORST_API[$label]}" "${WORST_WRITE[$label]}" "${SUM_REQUESTS[$label]}" \
        "${SUM_FAILED[$label]}" "${SUM_LOST[$label]}" "${SUM_RESTARTED[$label]}" "${WORST_WANTED[$label]}"
done
