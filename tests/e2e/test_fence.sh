#!/usr/bin/env bash
# A leader that is stopped, replaced and goes on. For each leader-elected kind (scheduler, controllers,
# chaos, store) and each way to lose one's place (the whole process stopped; the actor alone stopped; the
# host cut off, and with it the API server that the leader talks to) a write of the leader is held back on
# its way. Another takes over and does the work. When the old one goes on, its write is refused, which is
# counted; it ends and is back as a standby.
#
# Then any one master is killed, stopped, cut off while clients read and write through all three.
#
#   FENCE_ONLY=REGEX   only these scenes
. "$(dirname "$0")/masters.sh"
# Targets: 800 and 500 ms. What fails the test leaves room for a slow machine; the figures are printed.
GAP_MAX_MS=${GAP_MAX_MS:-4000} TAKE_OVER_MAX_MS=${TAKE_OVER_MAX_MS:-4000}
masters_new 2
masters_start
pause() { wait_s "$1"; }

# ---- who leads, and what was refused --------------------------------------------------------------------
lead_of() { # ROLE: the leader's address, as a master that is heard knows it
    if [ "$1" = store ]; then echo "store/${NODE[$(leader_seen_by "$CTL_HOST")]:-}"
    else ctl get lease "$1" -n kube-system --request-timeout=3s -o jsonpath='{.spec.holderIdentity}'; fi
}
refused() { # ROLE: its refused writes, counted by all masters that are heard
    troupe "$CTL_HOST" metrics --run-dir "$WORK/$CTL_HOST/run" | awk -v role="$1" '
        role == "store" && /^store_deposed_refused_total/ || /^apiserver_deposed_refused_total/ && index($0, "role=\"" role "\"") {n += $2}
        END {print n + 0}'
}
actor() { ctl get actor "$1" --request-timeout=3s -o jsonpath="{.status.$2}"; } # ADDRESS FIELD

# ---- what a leader is to write, and how it is seen that it was done ---------------------------------------
held_message() { case $1 in scheduler | controllers) echo '*Create' ;; chaos) echo '*Update' ;; store) echo '*Append' ;; esac; }
work() { # ROLE NAME
    case $1 in
    scheduler) ctl run "$2" --image=nginx ;;
    controllers) ctl run "$2" --image=nginx --replicas=2 ;;
    chaos) printf 'apiVersion: chaos.troupe.io/v1\nkind: Experiment\nmetadata: {name: %s}\nspec: {duration: 1s, steadyState: [{type: API}]}\n' "$2" | ctl create -f - ;;
    store) printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\n' "$2" | ctl create --request-timeout=20s -f - ;;
    esac > "$WORK/work" 2>&1
}
done_is() { # ROLE NAME
    case $1 in
    scheduler) [ "$(ctl get pod "$2" -o jsonpath='{.status.phase}')" = Running ] ;;
    controllers) [ "$(ctl get pods -l "run=$2" --no-headers | grep -cw Running)" = 2 ] ;;
    chaos) [ "$(ctl get experiment "$2" -o jsonpath='{.status.phase} {.status.verdict}')" = "Completed Passed" ] ;;
    store) ctl get configmap "$2" ;;
    esac
}
strike() { # WAY HOST ADDRESS
    case $1 in
    stopped) on "$2" kill -STOP "$(process_of "$2")" ;;
    paused) ctl chaos pause "$3" --for 60s --request-timeout=5s ;;
    cut) unplug "$2" ;;
    esac
}
release() {
    case $1 in
    stopped) on "$2" kill -CONT "$(process_of "$2")" ;;
    paused) ctl chaos resume "$3" --request-timeout=5s ;;
    cut) plug "$2" ;;
    esac
}

# ---- one scene ------------------------------------------------------------------------------------------
# All masters and nodes are there, and whoever the Leases name leads.
settled() {
    whole && ready_are 5 && [ "$(sort <(ctl get leases -n kube-system -o jsonpath='{range .items[*]}{.metadata.name} {.spec.holderIdentity}{"\n"}{end}' | awk '$1 ~ /^(scheduler|controllers|chaos)$/ {print $2}') \
        <(ctl get actors -o jsonpath='{range .items[*]}{.metadata.name} {.status.state} {.status.epoch}{"\n"}{end}' | awk '$2 == "ready" && $3 {print $1}') | uniq -d | wc -l)" = 3 ]
}
scene() { # ROLE WAY
    local role=$1 way=$2 was host before lives epoch took name=$1-$2 refusals back held_ms=1200
    [[ "$name" =~ ${FENCE_ONLY:-.} ]] || return 0
    until_true 30 settled > /dev/null || { not_ok "$name: the cluster is settled before"; return; }
    was=$(lead_of "$role"); host=$(host_of "${was#*/}"); CTL_HOST=$(another "$host")
    before=$(refused "$role") lives=$(actor "$was" restarts) epoch=$(actor "$was" epoch)
    # A member of the store that hears nobody steps down by itself: what it sent comes when it is heard again.
    [ "$role" = store ] && held_ms=4000
    ctl chaos delay "$was:$([ "$role" = store ] && echo 'store/*' || echo apiserver)" --one-way --message "$(held_message "$role")" --delay ${held_ms}ms --for 60s --force > "$WORK/chaos" 2>&1 || not_ok "$name: $(cat "$WORK/chaos")"
    work "$role" "$name" & local worker=$!
    pause 0.4 # it has been sent by now, and is held back
    strike "$way" "$host" "$was" > /dev/null
    replaced() { local l; l=$(lead_of "$role"); [ -n "${l#*/}" ] && [ "$l" != "$was" ]; }
    if ! took=$(until_true 20 replaced); then not_ok "$name: another leads"; release "$way" "$host" "$was"; return; fi
    wait $worker || not_ok "$name: the work is asked for: $(cat "$WORK/work")"
    until_true 30 done_is "$role" "$name" > "$WORK/done" || not_ok "$name: the successor does the work"
    [ "$role" = store ] || pause 0.8 # it is on its way again, as far as it comes
    release "$way" "$host" "$was" > /dev/null
    counted() { [ "$(refused "$role")" -gt "$before" ]; }
    until_true 20 counted > /dev/null || { not_ok "$name: the deposed leader's write is refused"; ctl get actors | grep -E "NAME|$was" | sed 's/^/#   /'; }
    refusals=$(($(refused "$role") - before))
    # A member of the store steps down; all others die of it. On a busy machine it may have been elected anew by now.
    standby() {
        local now; now=$(actor "$was" epoch)
        if [ "$role" = store ]; then whole
        else [ "$(actor "$was" state)" = ready ] && [ "${now:-none}" != "$epoch" ] && [ "$(actor "$was" restarts)" -gt "${lives:-0}" ] && [[ "$(actor "$was" reason)" = deposed* ]]; fi
    }
    if back=$(until_true 20 standby); then ok "$name: replaced after $took ms, $refusals of its writes refused, a standby again after $back ms"; else
        not_ok "$name: it is a standby again"; ctl get actors | grep -E "NAME|$role" | sed 's/^/#   /'
    fi
    ctl_on "$host" chaos clear > /dev/null 2>&1
}

# ---- what must never be seen --------------------------------------------------------------------------------
# A client of all masters follows the pods: one node for each uid.
client get pods --watch --no-headers -o custom-columns=UID:.metadata.uid,NODE:.spec.nodeName,NAME:.metadata.name > "$WORK/watched" 2> "$WORK/watched.err" & JOBS+=($!)
for role in scheduler controllers chaos store; do for way in stopped paused cut; do scene $role $way; done; done
until_true 30 settled > /dev/null || not_ok "all is settled at the end"
twice=$(awk '$2 != "<none>" {n[$1 " " $3 " " $2]} END {for (k in n) {split(k, w, " "); if (w[1] in node) print w[2], node[w[1]], w[3]; node[w[1]] = w[3]}}' "$WORK/watched")
[ -s "$WORK/watched" ] && [ -z "$twice" ] && ok "no pod was bound twice ($(awk '{print $1}' "$WORK/watched" | sort -u | wc -l) pods followed by one watch)" || { not_ok "no pod was bound twice"; sed 's/^/#   /' <<< "$twice"; tail -3 "$WORK/watched.err"; }
double=$(ctl get replicasets --no-headers | awk '{sub(/-[^-]*$/, "", $1); print $1}' | sort | uniq -d)
[ -z "$double" ] && [ "$(ctl get pods --no-headers | grep -c '^controllers-')" = "$((2 * $(ctl get deployments --no-headers | wc -l)))" ] && ok "no object was made twice" || { not_ok "no object was made twice: $double"; ctl get pods,replicasets | sed 's/^/#   /'; }
containers() { local n; for n in "${NODES[@]}"; do troupe "$n" node ps --run-dir "$WORK/$n/run" --data "$WORK/$n/data"; done | grep -c ' Running '; }
[ "$(containers)" = "$(ctl get pods --no-headers | wc -l)" ] && ok "each pod runs once" || not_ok "$(containers) containers for $(ctl get pods --no-headers | wc -l) pods"

# ---- any one master goes, clients go on -------------------------------------------------------------------
# A reader and a writer outside, each request a command of its own that knows all three masters. What is
# measured is the longest time from one answer to the next.
ms() { local t=${EPOCHREALTIME/[.,]/}; MS=$((t / 1000)); }
answered() { ms; echo "$MS" >> "$WORK/$1"; }
writer() { local n=0; until [ -e "$WORK/stop" ]; do n=$((n + 1)); printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: w-%s}\n' $n | client create -f - --request-timeout=3s > /dev/null 2>> "$WORK/writer.err" && answered writes && echo "w-$n" >> "$WORK/acked"; done; }
reader() { until [ -e "$WORK/stop" ]; do client get nodes --no-headers --request-timeout=3s > /dev/null 2>> "$WORK/reader.err" && answered reads; done; }
gap() { awk -v from="$2" '$1 >= from && last {if ($1 - last > worst) worst = $1 - last} {last = $1} END {print worst + 0}' "$WORK/$1"; }
# Of the roles that this host led: the longest time until another led, by the logs.
taken_over() { # HOST SINCE-MS ROLE…
    local host=$1 since=$2 role at worst=0 o; shift 2
    for role in "$@"; do
        at=$(for o in "${MASTERS[@]}"; do [ "$o" = "$host" ] || sed -nE "s/^([^ ]+) +info +$role\/[^ ]*: leads .*/\1/p" "$WORK/$o/data/troupe.log"; done |
            while read -r t; do date -d "$t" +%s%3N; done | awk -v s="$since" '$1 >= s' | sort -n | head -1)
        at=$((${at:-$since + 99999} - since)); [ "$at" -gt "$worst" ] && worst=$at
    done
    echo "$worst"
}
away() { # HOST WAY
    case $2 in killed) on "$1" kill -9 "$(process_of "$1")" ;; *) strike "$2" "$1" ;; esac
}
if [[ any =~ ${FENCE_ONLY:-.} ]]; then
    : > "$WORK/reads"; : > "$WORK/writes"
    writer & WORKERS=($!); reader & WORKERS+=($!); JOBS+=("${WORKERS[@]}")
    changed() { ctl get nodes "$@" -o jsonpath='{range .items[*]}{.metadata.name} {.status.conditions[?(@.type=="Ready")].lastTransitionTime}{"\n"}{end}'; }
    declare -A WORST=(); rows=()
    for way in killed stopped cut; do
        for h in "${MASTERS[@]}"; do
            until_true 30 settled > /dev/null || not_ok "$way $h: the cluster is settled before"
            led=(); for role in scheduler controllers; do [ "$(lead_of $role)" = "$role/${NODE[$h]}" ] && led+=("$role"); done
            CTL_HOST=$(another "$h"); before=$(changed node-1 node-2)
            pause 0.3; ms; since=$MS
            away "$h" $way
            pause 1.5; ms; till=$MS
            over=-; [ $way = cut ] || [ ${#led[@]} = 0 ] || over=$(taken_over "$h" "$since" "${led[@]}")
            [ $way = killed ] || release $way "$h"
            r=$(gap reads "$since") w=$(gap writes "$since")
            [ "$(tail -n 1 "$WORK/writes" | grep . || echo 0)" -ge $((till - GAP_MAX_MS)) ] || w=$((till - since))
            rows+=("$(printf '%-10s %-8s %9s %9s %12s  %s' "${NODE[$h]}" $way "$r" "$w" "$over" "${led[*]}")")
            [ "$r" -gt "${WORST[reads]:-0}" ] && WORST[reads]=$r
            [ "$w" -gt "${WORST[writes]:-0}" ] && WORST[writes]=$w
            [ $way = killed ] && [ "$over" != - ] && [ "$over" -gt "${WORST[over]:-0}" ] && WORST[over]=$over
            [ "$(changed node-1 node-2)" = "$before" ] || not_ok "$way ${NODE[$h]}: the workers stay Ready all the time"
        done
    done
    touch "$WORK/stop"; wait "${WORKERS[@]}"
    printf '# %-10s %-8s %9s %9s %12s  %s\n' master fault 'reads ms' 'writes ms' 'taken over' 'it led'
    printf '# %s\n' "${rows[@]}"
    [ "${WORST[reads]}" -le "$GAP_MAX_MS" ] && [ "${WORST[writes]}" -le "$GAP_MAX_MS" ] && ok "whoever goes, reads go on after ${WORST[reads]} ms, writes after ${WORST[writes]} ms at most" || not_ok "reads or writes stood still: ${WORST[reads]}, ${WORST[writes]} ms"
    [ "${WORST[over]:-0}" -le "$TAKE_OVER_MAX_MS" ] && ok "scheduler and controllers are taken over ${WORST[over]:--} ms after a kill at most" || not_ok "scheduler and controllers are taken over: ${WORST[over]} ms"
    until_true 30 settled > /dev/null; client get configmaps -o name | sed -n 's|^configmap/||p' | sort > "$WORK/seen"
    missing=$(sort "$WORK/acked" | comm -23 - "$WORK/seen")
    [ -s "$WORK/acked" ] && [ -z "$missing" ] && ok "none of $(wc -l < "$WORK/acked") acknowledged writes is missing" || not_ok "acknowledged writes are missing: $(head -3 <<< "$missing")"
fi
