#!/usr/bin/env bash
# What is wrong, hostile or broken off: each gets a clear error that names the place, nothing is lost or
# changed, and nothing crashes. Manifests first, then bytes at every socket, then keys.
. "$(dirname "$0")/lab.sh"
lab_new
host_add m1 11
images || exit 1
lab_tool junk -lzmq
CTL_HOST=m1 IP=${IP_OF[m1]} SEED=${JUNK_SEED:-1} ROUNDS=${JUNK_ROUNDS:-150}
lab_kubelet m1

# All in one, and a door for other machines.
keys=$WORK/m1/config/keys
for name in master admin stranger; do "$BIN/troupe" keys $name --dir "$WORK/m1/config/keys" > /dev/null; done
mkdir -p "$keys/allowed"; cp "$keys/admin.cert" "$keys/allowed/"
{ cat "$here/configs/all-in-one.yaml"; echo '  - {endpoint: "tcp://${nodeIP}:6440", key: "${config}/keys/master.cert_secret", allowed: "${config}/keys/allowed"}'; } > "$WORK/topology.yaml"
check "a cluster with a tcp door starts" troupe m1 run -d -f "$WORK/topology.yaml" --data "$WORK/m1/data" --run-dir "$WORK/m1/run" --config-dir "$WORK/m1/config" --node m1 --node-ip "$IP"
is_ready() { ctl get node m1 --no-headers | grep -qw Ready; }
until_true 20 is_ready > /dev/null || { not_ok "the node is Ready"; exit 1; }
ctl create namespace team > /dev/null
ctl create -f - > /dev/null << 'Y'
{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {ports: [{port: 80}]}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: kept}, data: {k: v}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: nginx}]}}
Y
rolled() { ctl rollout status deployment/web --timeout=1s; }
until_true 10 rolled > /dev/null
everything() { ctl get namespaces,services,configmaps,deployments,replicasets,pods -A -o jsonpath='{range .items[*]}{.kind}/{.metadata.namespace}/{.metadata.name} {.metadata.resourceVersion}{"\n"}{end}' | sort; }
process() { on m1 pgrep -f 'troupe actor-process' | head -1; }
BEFORE=$(everything) PROCESS=$(process)
[ "$(wc -l <<< "$BEFORE")" -ge 8 ] || not_ok "what must not change is there: $BEFORE"

# ---- manifests -------------------------------------------------------------------------------------------
refused() { # WHAT REGEX VERB: the manifest comes on standard input
    local what=$1 regex=$2 out; shift 2
    cat > "$WORK/bad.yaml"
    out=$(ctl "$@" -f "$WORK/bad.yaml" 2>&1) && { not_ok "$what is refused: $out"; return; }
    check_text "$what" "$regex" "$out"
    grep -qiE 'assert|internal error|crash|unavailable' <<< "$out" && not_ok "$what: no clear error"
}
pod() { printf 'apiVersion: v1\nkind: Pod\nmetadata: {name: bad%s}\nspec:\n  containers:\n  - {name: c, image: busybox%s}\n' "${2:-}" "$1"; }
refused "YAML that is none names its line" 'bad\.yaml:[0-9]+' create <<< 'a: [b'
refused "a tab for a blank names its line" 'bad\.yaml:2' create <<< $'kind: Pod\n\tapiVersion: v1'
refused "JSON that breaks off" 'bad\.yaml' create <<< '{"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "x"'
refused "an unknown field" 'bad\.yaml:6.*unknown field "?spec\.containers\[0\]\.imag' create < <(pod ', imag: x')
refused "a field given twice" 'bad\.yaml:6.*image' create < <(pod ', image: y')
refused "a wrong type" 'bad\.yaml:6.*containerPort' create < <(pod ', ports: [{containerPort: many}]')
refused "a bad quantity" 'quantit' create < <(pod ', resources: {limits: {memory: 1Qx}}')
refused "a bad name" 'metadata\.name: Invalid value: "bad_Name"' create < <(pod '' '_Name')
refused "a name that is too long" 'metadata\.name: Invalid value.*253' create < <(pod '' "$(printf '%0300d' 0)")
refused "port 0" 'spec\.containers\[0\]\.ports\[0\]\.containerPort: (Required|Invalid) value' create < <(pod ', ports: [{containerPort: 0}]')
refused "port 70000" 'spec\.containers\[0\]\.ports\[0\]\.containerPort: Invalid value: 70000' create < <(pod ', ports: [{containerPort: 70000}]')
refused "a node port out of range" 'spec\.ports\[0\]\.nodePort: Invalid value: 80' create <<< '{apiVersion: v1, kind: Service, metadata: {name: bad}, spec: {type: NodePort, ports: [{port: 80, nodePort: 80}]}}'
refused "an unknown kind" 'Frog' create <<< '{apiVersion: v1, kind: Frog, metadata: {name: bad}}'
refused "an unknown version" 'v9' create <<< '{apiVersion: apps/v9, kind: Deployment, metadata: {name: bad}}'
refused "no kind at all" 'Kind' create <<< '{apiVersion: v1, metadata: {name: bad}}'
refused "a missing namespace" 'namespaces "nowhere" not found' create <<< '{apiVersion: v1, kind: ConfigMap, metadata: {name: bad, namespace: nowhere}}'
refused "an immutable field" 'spec\.selector: Invalid value.*field is immutable' apply <<< '{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {selector: {matchLabels: {app: other}}, template: {metadata: {labels: {app: other}}, spec: {containers: [{name: c, image: nginx}]}}}}'
refused "a stale resourceVersion" 'the object has been modified' replace <<< '{apiVersion: v1, kind: ConfigMap, metadata: {name: kept, resourceVersion: "1"}, data: {k: w}}'
refused "an object of more than 1.5 MiB" '(too (large|long|big)|limit|exceed|at most)' create < <(printf '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "bad"}, "data": {"k": "'; head -c 1700000 /dev/zero | tr '\0' x; echo '"}}')
deep() { printf '%*s' "$1" '' | tr ' ' "$2"; }
refused "a depth bomb in JSON" '(deep|depth|nest)' create < <(printf '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "bad"}, "data": '; deep 200000 '['; echo)
refused "a depth bomb in YAML" '(deep|depth|nest)' create < <(printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad}\ndata: '; deep 20000 '['; deep 20000 ']')
bomb() {
    echo 'apiVersion: v1'; echo 'kind: ConfigMap'; echo 'metadata: {name: bad}'; echo 'a0: &a0 [x, x, x, x, x, x, x, x, x, x]'
    for i in 1 2 3 4 5 6 7 8 9; do printf 'a%d: &a%d [%s]\n' $i $i "$(for k in 0 1 2 3 4 5 6 7 8; do printf '*a%d, ' $((i - 1)); done)"; done
    echo 'data: *a9'
}
start=$(now_ms)
refused "an alias bomb" '(alias|anchor|large|big|limit|unknown field)' create < <(bomb)
[ $(($(now_ms) - start)) -lt 3000 ] && ok "and it takes no time" || not_ok "an alias bomb takes $(($(now_ms) - start)) ms"
check_text "a missing object says so" 'Error from server \(NotFound\): pods "nobody" not found' "$(ctl get pod nobody 2>&1)"
[ "$(everything)" = "$BEFORE" ] && ok "nothing was changed by any of it" || { not_ok "something was changed"; diff <(echo "$BEFORE") <(everything) | head | sed 's/^/#   /'; }

# ---- bytes at every socket -----------------------------------------------------------------------------------
resident_kb() { awk '/^VmRSS/ {print $2}' "/proc/$(pgrep -P "$(pgrep -P "${INIT_PID[m1]}" -x troupe | head -1)" -f actor-process | head -1)/status"; }
registry=$(sed -nE 's|.*http://(127\.0\.0\.1:[0-9]+).*|\1|p' "$WORK/m1/data/registry/_default/hosts.toml" | head -1)
n=0
hostile() { # WHAT MODE ENDPOINT
    local what=$1 mode=$2 endpoint=$3 spoken took; n=$((n + 1))
    spoken=$(on m1 timeout 60 "$WORK/junk" "$mode" "$endpoint" "$ROUNDS" $((SEED + n))) || { not_ok "$what hears $mode junk: nobody there"; return; }
    took=$(until_true 5 ctl get nodes --request-timeout=2s) || took=never
    if [ "$took" != never ] && [ "$(process)" = "$PROCESS" ]; then ok "$what bears $spoken rounds of $mode junk"; else
        not_ok "$what bears $mode junk: answers after $took ms, process $PROCESS is now $(process)"; PROCESS=$(process)
        tail -n 5 "$WORK/m1/data/troupe.log" | sed 's/^/#   /'
    fi
}
for mode in raw zmq; do
    case $mode in raw) unix=unix: tcp=tcp:$IP:6440 ;; zmq) unix=ipc:// tcp=tcp://$IP:6440 ;; esac
    hostile "the command line's socket" $mode "$unix$WORK/m1/run/troupe.sock"
    hostile "the parts' socket" $mode "$unix$WORK/m1/run/parts/main.sock"
    hostile "the tcp door" $mode "$tcp"
done
hostile "the image registry" raw "tcp:$registry"
check "the registry still serves" on m1 curl -fsS --max-time 2 -o /dev/null "http://$registry/v2/"
[ "$(everything)" = "$BEFORE" ] && ok "nothing was lost or changed" || { not_ok "something was changed"; diff <(echo "$BEFORE") <(everything) | head | sed 's/^/#   /'; }

# ---- keys ------------------------------------------------------------------------------------------------------
by_tcp() { on m1 "$BIN/troupectl" --server "tcp://$IP:6440" --key "$keys/$1.cert_secret" --server-key "$keys/$2.cert" get nodes --request-timeout=2s; }
check_text "a listed key is let in" '^m1 ' "$(by_tcp admin master 2>&1)"
out=$(by_tcp stranger master 2>&1) && not_ok "a key that is not listed is refused" || check_text "a key that is not listed is refused, and the reason is among those named" 'allow the key' "$out"
out=$(by_tcp admin stranger 2>&1) && not_ok "a server with another key is not believed" || check_text "a server with another key is not believed" 'server-key its own' "$out"
check_text "a key that is no key says so" 'key|certificate' "$(on m1 "$BIN/troupectl" --server "tcp://$IP:6440" --key "$WORK/bad.yaml" --server-key "$keys/master.cert" get nodes 2>&1)"
check_text "and the listed one is still let in" '^m1 ' "$(by_tcp admin master 2>&1)"
