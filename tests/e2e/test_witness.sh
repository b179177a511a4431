#!/usr/bin/env bash
# Two masters and a witness, over tcp with CURVE keys: the loss of either master stops nothing, the
# witness never leads for long and holds no keys, and the master that comes back has everything.
. "$(dirname "$0")/lab.sh"
lab_new
host_add m1 11; host_add m2 12; host_add w1 13
declare -A NODE=([m1]=master-1 [m2]=master-2 [w1]=witness)
keys=$WORK/keys; mkdir -p "$keys"
for h in m1 m2 w1; do "$BIN/troupe" keys "${NODE[$h]}" --dir "$keys" > /dev/null; done
config_of() { # HOST
    local h=$1 c=$WORK/$1/config file=two-masters-and-witness.yaml
    mkdir -p "$c/keys/allowed"
    cp "$keys/${NODE[$h]}.cert_secret" "$keys"/*.cert "$c/keys/"
    cp "$keys"/*.cert "$c/keys/allowed/"
    [ "$h" = w1 ] && file=witness.yaml
    sed "s/MASTER-1/${IP_OF[m1]}/;s/MASTER-2/${IP_OF[m2]}/;s/WITNESS/${IP_OF[w1]}/" "$here/configs/$file" > "$c/topology.yaml"
    lab_kubelet "$h"
}
start() { # HOST
    local h=$1
    troupe "$h" run -d -f "$WORK/$h/config/topology.yaml" --data "$WORK/$h/data" --run-dir "$WORK/$h/run" --config-dir "$WORK/$h/config" --node "${NODE[$h]}" --node-ip "${IP_OF[$h]}"
}
for h in m1 m2 w1; do config_of "$h"; done
for h in m1 m2 w1; do start "$h" > "$WORK/$h/start.log" 2>&1 & done; wait -n; wait -n; wait -n
member() { troupe "$1" member --run-dir "$WORK/$1/run" --data "$WORK/$1/data" --timeout 3 "${@:2}"; } # HOST VERB…
put() { # HOST NAME
    printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\n' "$2" > "$WORK/put.yaml"
    ctl_on "$1" create -f "$WORK/put.yaml" --request-timeout=8s
}
took=$(until_true 20 put m1 first) && ok "two masters and a witness take a write ($took ms)" || { not_ok "two masters and a witness take a write"; tail -n 20 "$WORK"/*/data/troupe.log | sed 's/^/#   /'; exit 1; }
check_text "the third is a witness" 'witness +witness' "$(member m1 list)"
for lost in m1 m2; do
    other=m1; [ $lost = m1 ] && other=m2
    power_cut $lost
    start_ms=$(now_ms)
    check "with ${NODE[$lost]} lost ${NODE[$other]} takes a write" put $other "without-$lost"
    note "after $(($(now_ms) - start_ms)) ms"
    host_power_on $lost; rm -rf "${WORK:?}/$lost/run"/*
    check "${NODE[$lost]} starts again" start $lost
    whole() { ctl_on $lost get configmap "without-$lost" --request-timeout=2s && [ "$(member $lost list | grep -cE 'master-. +voter .* (0s|leads)')" = 2 ]; }
    took=$(until_true 20 whole) && ok "and has what was written without it ($took ms)" || not_ok "and has what was written without it"
done
power_cut w1
check "with the witness lost a write is taken" put m1 without-witness
