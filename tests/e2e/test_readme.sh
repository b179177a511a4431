#!/usr/bin/env bash
# The commands of the README and the examples of --help, as they stand there, on a machine of their
# own: default folders, no --socket. What a reader must fill in (NODE, NAME, 3xxxx, PID) is filled in.
. "$(dirname "$0")/lab.sh"
lab_new
host_add n1 11
images || exit 1
lab_kubelet n1

# The lines of the fenced blocks below a heading, without their comments.
commands_of() { # HEADING
    awk -v h="## $1" '$0 == h {on = 1; next} /^## / {on = 0} on && /^```/ {code = !code; next} on && code' "$here/README.md" |
        sed 's/  *#.*//; /^$/d'
}
for heading in "A session" "Operations" "Three masters"; do commands_of "$heading" > "$WORK/${heading// /-}"; done
for tool in troupe troupectl; do
    "$BIN/$tool" --help | awk '/^Flags/ {exit} /^  [a-z]/ && $1 != "troupectl" && $1 != "troupe" {print $1}' | while read -r verb; do
        "$BIN/$tool" "$verb" --help | awk '/^Examples:/ {on = 1; next} /^$/ {on = 0} on {sub(/^ +/, ""); print}'
    done
done > "$WORK/examples"

cat > "$WORK/inside.sh" <<'S'
# Runs in mounts of its own: /run, /var/lib/troupe and /etc are this machine's alone.
mount -t tmpfs tmpfs /run
mkdir -p /run/lock "$WORK/etc" "$WORK/etc-work"
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$WORK/etc,workdir=$WORK/etc-work" /etc
mount -t tmpfs tmpfs /var/lib
mkdir -p /etc/troupe /var/lib/troupe
cp "$WORK/n1/config/kubelet.yaml" /etc/troupe/
ln -s "$WORK/n1/data/images" /var/lib/troupe/images
PATH=$BIN:$PATH
sudo() { "$@"; }
cd "$here" || exit 1

fill_in() { # LINE
    local line=$1
    case $line in
    *3xxxx*) line=${line//3xxxx/$(troupectl get service myweb -o 'jsonpath={.spec.ports[0].nodePort}')}; line=${line//NODE/$IP} ;;
    *"pod NAME"*) line=${line//NAME/$(troupectl get pods -o 'jsonpath={.items[0].metadata.name}')} ;;
    *PID*) line=${line//PID/$(pgrep -f 'process m1( |$)' | head -1)} ;;
    esac
    echo "${line//NODE/n1}"
}
# Runs a line. What would go on for ever gets two seconds.
run_line() { # LINE
    local line words=() limit=40
    line=$(fill_in "$1")
    case $line in *" -f deployment/"* | *" -f web" | *" -w" | *port-forward* | *" attach "*) limit=2 ;; esac
    printf '%s\n' "$line" > "$WORK/line"
    export -f sudo
    EDITOR=true timeout -s INT $limit bash "$WORK/line" > "$WORK/said" 2>&1 <<< 'exit'
    local code=$?
    [ $limit = 2 ] && { [ $code -eq 124 ] || [ $code -eq 130 ]; } && code=0
    return $code
}
must_work() { # FILE
    local line
    while IFS= read -r line <&3; do
        # A choice is no command; rebuilding a member takes others that live.
        case $line in *"add|promote"* | *"store rebuild") continue ;; esac
        if run_line "$line"; then echo "pass $line"; else echo "fail $line"; sed 's/^/#   /' "$WORK/said" | tail -n 8; fi
        case $line in *expose*) troupectl rollout status deployment/nginx-deploy --timeout=30s > /dev/null ;; esac
    done 3< "$1"
}

troupe up -d --node n1 --node-ip "$IP" || exit 1
must_work "$WORK/A-session"

# ---- examples: what they speak of is there; none is refused for its words --------------------------
cd "$WORK" && cp "$here/configs/examples/nginx.yaml" .
troupectl delete deployment --all > /dev/null 2>&1
troupectl create deployment web --image=nginx --replicas=1 > /dev/null
troupectl run web --image=nginx --port=80 > /dev/null
troupectl run box --image=busybox --command -- sleep 600 > /dev/null
troupectl get pod web -o yaml | sed 's/name: web$/name: made/' > pod.yaml
troupectl wait --for=condition=Ready pod/web pod/box --timeout=30s > /dev/null
while IFS= read -r line <&3; do
    run_line "$line"
    if grep -qE "^error: (unknown|required|invalid|want|must)|See 'troupe|unexpected argument|usage:" "$WORK/said"; then
        echo "fail $line"; sed 's/^/#   /' "$WORK/said" | tail -n 8
    else echo "pass $line"; fi
done 3< "$WORK/examples"

must_work "$WORK/Operations"
cd "$here" || exit 1
troupe reset -y > "$WORK/said" 2>&1 || { echo "fail troupe reset -y"; cat "$WORK/said"; }
mount -t tmpfs tmpfs /var/lib/troupe
mkdir -p /var/lib/troupe
ln -s "$WORK/n1/data/images" /var/lib/troupe/images
must_work "$WORK/Three-masters"
troupectl create namespace after > /dev/null && echo "pass a write after the leader's death" || echo "fail a write after the leader's death"
troupe down > /dev/null
S
export WORK BIN here IP=${IP_OF[n1]}
while IFS= read -r line; do
    case $line in
    "pass "*) ok "as written: ${line#pass }" ;;
    "fail "*) not_ok "as written: ${line#fail }" ;;
    *) echo "$line" ;;
    esac
done < <(timeout 150 nsenter -t "${INIT_PID[n1]}" -m -u -i -n -p unshare -m --propagation private bash "$WORK/inside.sh" 2>&1)
[ "$TESTS" -ge 40 ] || not_ok "all blocks were read: only $TESTS lines"
