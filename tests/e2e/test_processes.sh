#!/usr/bin/env bash
# Every actor a process of its own, over ipc, or with LINKS=tcp over tcp with a CURVE key each: each is
# killed in turn, and nothing is lost. And who may use the command line's socket.
. "$(dirname "$0")/lab.sh"
lab_new
host_add m1 11
images || exit 1
CTL_HOST=m1 IP=${IP_OF[m1]} SOCKET=$WORK/m1/run/troupe.sock
chmod 711 "$WORK"   # the socket's own owner and mode decide, not the test's folder

placement=(up --processes)
if [ "${LINKS:-ipc}" = tcp ]; then
    placement=(run -f "$here/configs/all-in-one-processes-tcp.yaml")
    mkdir -p "$WORK/m1/config/keys/allowed"
    for process in disk store apiserver controllers scheduler kubelet proxy; do
        "$BIN/troupe" keys "$process" --dir "$WORK/m1/config/keys" > /dev/null
        cp "$WORK/m1/config/keys/$process.cert" "$WORK/m1/config/keys/allowed/"
    done
fi
# As after `sudo troupe up` by user 1234.
up() {
    on m1 env SUDO_UID=1234 SUDO_GID=1234 "$BIN/troupe" "${placement[@]}" -d --data "$WORK/m1/data" \
        --run-dir "$WORK/m1/run" --config-dir "$WORK/m1/config" --node m1 --node-ip "$IP"
}
printf 'kind: Kubelet\ncgroupRoot: /%s-m1\n' "$LAB" > "$WORK/m1/config/kubelet.yaml"
is_ready() { ctl get node m1 --no-headers | grep -qw Ready; }
runs() { [ "$(ctl get pods -l app=box --no-headers | grep -c ' 1/1 *Running ')" = "$1" ]; }
pid_of() { on m1 pgrep -f "troupe actor-process .*--process $1 " | head -1; }
log() { cat "$WORK/m1/data/troupe.log"; }

check "troupe ${placement[0]} starts a cluster over ${LINKS:-ipc}" up
until_true 20 is_ready > /dev/null && ok "the node is Ready" || { not_ok "the node is Ready"; log | tail -n 30 | sed 's/^/#   /'; }
check_text "it is seven processes and their parent" "^8$" "$(on m1 pgrep -c '^troupe|^exe')"

cat > "$WORK/box.yaml" <<'Y'
apiVersion: apps/v1
kind: Deployment
metadata: {name: box}
spec:
  replicas: 2
  selector: {matchLabels: {app: box}}
  template:
    metadata: {labels: {app: box}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: c, image: busybox, command: [sleep, "3600"]}]
Y
check_text "a deployment is made" "created" "$(ctl create -f "$WORK/box.yaml" 2>&1)"
until_true 30 runs 2 > /dev/null && ok "its two pods run" || { not_ok "its two pods run"; ctl get pods -o wide | sed 's/^/#   /'; }
check_text "get actors shows the actors of every process" "^7$" \
    "$(ctl get actors --no-headers | awk '{print $1}' | grep -cE '^(disk|store|apiserver|controllers|scheduler|kubelet|proxy)/m1$')"
containers() { ctl get pods -l app=box -o jsonpath='{.items[*].status.containerStatuses[*].containerID}' | tr ' ' '\n' | sort; }
before=$(containers)

api_answers() { ctl get pods --request-timeout=1s; }
n=0
for process in disk store apiserver controllers scheduler kubelet proxy; do
    victim=$(pid_of "$process")
    on m1 kill -9 "$victim"
    took=$(until_true 10 api_answers) && ok "$process is killed: the API answers ($took ms)" || not_ok "$process is killed: the API answers"
    other() { local p; p=$(pid_of "$process") && [ -n "$p" ] && [ "$p" != "$victim" ]; }
    until_true 5 other > /dev/null && ok "$process is there again" || not_ok "$process is there again"
    n=$((n + 1))
    ctl create -f - <<< "{apiVersion: v1, kind: ConfigMap, metadata: {name: after-$process}}" > /dev/null 2>&1 && ok "and writes" || not_ok "and writes"
    ctl scale deployment box --replicas=$((2 + n % 2)) > /dev/null 2>&1
    until_true 20 runs $((2 + n % 2)) > /dev/null && ok "and the cluster still scales" || { not_ok "and the cluster still scales"; ctl get pods -o wide | sed 's/^/#   /'; }
done
kept=$(comm -12 <(echo "$before") <(containers) | wc -l)
[ "$kept" -ge 1 ] && ok "containers were adopted, not restarted ($kept of 2 are the first ones)" || not_ok "containers were adopted"
check_text "no container was restarted" "^(0 ?)+$" "$(ctl get pods -l app=box -o jsonpath='{.items[*].status.containerStatuses[*].restartCount}')"

# ---- who may use the command line -----------------------------------------------------------------
as() { local uid=$1; shift; on m1 setpriv --reuid "$uid" --regid "$uid" --clear-groups "$BIN/troupectl" --socket "$SOCKET" "$@"; }
chmod 755 "$WORK/m1/run" "$WORK/m1"
check_text "the user who called sudo may" "^m1 " "$(as 1234 get nodes --no-headers 2>&1)"
check_text "another user may not, and is told why" "group|sudo|ermission" "$(as 1235 get nodes 2>&1)"
on m1 setpriv --reuid 1234 --regid 1234 --clear-groups test -x "$WORK/m1/run/parts" && not_ok "the parts' sockets are closed to users" || ok "the parts' sockets are closed to users"

# ---- the whole -------------------------------------------------------------------------------------
on m1 kill -9 "$(tr -dc 0-9 < "$WORK/m1/run/troupe.pid")"
check "after SIGKILL of the parent another start works" up
took=$(until_true 10 api_answers) && ok "and the API answers ($took ms)" || not_ok "and the API answers"
check_text "troupe down stops it" "^stopped" "$(troupe m1 down --run-dir "$WORK/m1/run")"
check_text "no process is left" "^0$" "$(on m1 pgrep -cf 'troupe actor-process')"
