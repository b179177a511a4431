#!/usr/bin/env bash
# The command line as somebody meets it: sessions (run -it, attach, exec, port-forward), wrong usage,
# no cluster, Ctrl-C, a reader that goes away, man pages and what is installed.
. "$(dirname "$0")/lab.sh"
lab_new
host_add m1 11
images || exit 1
CTL_HOST=m1
lab_kubelet m1
says() { # WHAT EXIT-CODE REGEX COMMAND…
    local what=$1 wanted=$2 regex=$3 out code; shift 3
    out=$("$@" 2>&1 < /dev/null); code=$?
    if [ $code -eq "$wanted" ] && grep -qE -- "$regex" <<< "$out"; then ok "$what"
    else not_ok "$what"; note "exit $code, wanted $wanted and /$regex/ in:"; sed 's/^/#   /' <<< "$out" | head -n 12; fi
}

# ---- before there is a cluster -------------------------------------------------------------------------
says "no cluster: what, where, what to do" 1 'no cluster on this machine: .*troupe.sock is not there; start one with' ctl get pods
says "troupe down without one" 0 'no cluster runs' troupe m1 down --run-dir "$WORK/m1/run"
python3 -c "import socket; socket.socket(socket.AF_UNIX).bind('$WORK/stale.sock')"
says "a socket that nobody listens at" 1 'nobody listens at .*stale.sock: the cluster has stopped' "$BIN/troupectl" --socket "$WORK/stale.sock" get pods --request-timeout=1s
check "troupe up starts a cluster" troupe m1 up -d --data "$WORK/m1/data" --run-dir "$WORK/m1/run" --config-dir "$WORK/m1/config" --node m1 --node-ip "${IP_OF[m1]}"
says "troupe up twice" 1 'is in use by another cluster' troupe m1 up -d --data "$WORK/m1/data" --run-dir "$WORK/m1/run" --config-dir "$WORK/m1/config" --node m1 --node-ip "${IP_OF[m1]}"
says "a socket that one may not use" 1 'may not use .*: ask to be in the group' setpriv --reuid 12345 --regid 12345 --clear-groups "$BIN/troupectl" --socket "$WORK/m1/run/troupe.sock" get pods
is_ready() { ctl get node m1 --no-headers | grep -qw Ready; }
until_true 20 is_ready > /dev/null

# ---- wrong usage: each verb names what it wants ----------------------------------------------------------
while IFS='|' read -r words regex; do
    # shellcheck disable=SC2086
    says "troupectl $words" 1 "$regex" ctl $words
done <<'ROWS'
frob|unknown command "frob"
get|must specify the type of resource
get frogs|doesn't have a resource type "frogs"
get pods --frob|unknown flag: --frob
get pods --outptu=x|did you mean --output\?
get pods -o xml|allowed formats are
get pods -n|flag needs an argument: 'n' in -n
get pods --request-timeout=abc|invalid --request-timeout "abc"
get pod x y|pods "y" not found
create|must specify -f
create frob x|unknown short form "create frob"
apply -f /nope.yaml|the path "/nope.yaml" does not exist
delete pod|no name was specified
describe pod x|pods "x" not found
run x|required flag\(s\) "image" not set
run x --image=nginx --rm|--rm should only be used for attached containers
run x --image=nginx -t|-i/--stdin is required
run Bad_Name --image=nginx|is invalid
expose deploy x --port=80|deployments.apps "x" not found
scale deploy x|--replicas=COUNT flag is required
rollout frob deploy/x|unknown rollout command "frob"
rollout status pod/x|want a deployment
logs|expected a POD or TYPE/NAME
logs x --tail=y|invalid --tail "y"
exec x|at least one command
exec x -- ls|pods "x" not found
attach x|pods "x" not found
port-forward x|list of ports are required
port-forward x 80|pods "x" not found
label pod x|at least one change is required
patch pod x|must specify --patch
set image deploy/x|at least one CONTAINER=IMAGE
cordon|want the NODE
wait pod/x|required flag\(s\) "for" not set
explain pod.frog|field "frog" does not exist
trace 99|no such trace
completion fish|want "bash" or "zsh"
ROWS
while IFS='|' read -r words regex; do
    # shellcheck disable=SC2086
    says "troupe $words" 1 "$regex" troupe m1 $words
done <<'ROWS'
frob|no verb is called "frob"
up --nodeip x|did you mean --node-ip\?
up -f /nope.yaml|/nope.yaml: No such file
run|give a topology with -f FILE
down x|x: unexpected argument
node|say `ps`, or `rm`
config frog|no role frog
keys|give a NAME
keys a/b|letters, digits
ROWS

# ---- sessions ----------------------------------------------------------------------------------------------
check_text "run -i passes input on and ends with it" '^got one.got two.eof.pod "box" deleted.$' \
    "$(printf 'one\ntwo\n' | ctl run box --image=busybox --restart=Never -i --rm -- sh -c 'while read x; do echo got $x; done; echo eof' 2>&1 | tr '\n' '.')"
says "run -i ends with the command's code, its output is whole" 7 '^out' ctl run box --image=busybox --restart=Never -i --rm -- sh -c 'echo out; exit 7'
# Eight at once that end as soon as they have written: containerd 1.6 closes their output unread.
session() { ctl run "tail-$1" --image=busybox --restart=Never -i -- sh -c 'sleep 2; seq 1 20000' < /dev/null 2> /dev/null | (sleep 4; md5sum); }
whole=$(seq 1 20000 | md5sum)
sessions=(); for i in 1 2 3 4 5 6 7 8; do session $i > "$WORK/tail-$i" & sessions+=($!); done; wait "${sessions[@]}"
check_text "a slow reader of run -i gets the whole output" '^8$' "$(cat "$WORK"/tail-? | grep -cFx -- "$whole")"
check_text "and so does the log" '^8$' "$(for i in 1 2 3 4 5 6 7 8; do ctl logs "tail-$i" | md5sum; done | grep -cFx -- "$whole")"
ctl delete pod tail-{1,2,3,4,5,6,7,8} --now > /dev/null
out=$( (sleep 2; printf 'echo hi $((6*7)); tty; exit 3\n'; sleep 2) | script -qec "nsenter -t ${INIT_PID[m1]} -m -u -i -n -p $BIN/troupectl --socket $WORK/m1/run/troupe.sock run -it --rm box --image=busybox --restart=Never -- sh" /dev/null 2>&1; echo "code ${PIPESTATUS[1]}")
check_text "run -it --rm has a terminal, and its shell's code" 'hi 42.*/dev/pts/0.*code 3' "$(tr '\r\n' '  ' <<< "$out")"
says "what was run with --rm is gone" 1 'NotFound' ctl get pod box
check_text "run -it from a pipe does without the terminal, and ends" '^Unable to use a TTY.*:code 4$' "$(printf 'exit 4\n' | ctl run box --image=busybox --restart=Never -it --rm -- sh 2>&1 | tr '\n' ':'; echo "code ${PIPESTATUS[1]}")"
cat > "$WORK/echo.yaml" <<'Y'
apiVersion: v1
kind: Pod
metadata: {name: echo}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: main, image: busybox, stdin: true, command: [sh, -c, 'echo ready; while read x; do echo got $x; done; sleep 600']}
Y
ctl create -f "$WORK/echo.yaml" > /dev/null
said_ready() { ctl logs echo | grep -q ready; }
until_true 20 said_ready > /dev/null || not_ok "the pod runs"
check_text "attach -i joins what runs" '^got hello$' "$( (echo hello; sleep 1) | timeout -s INT 3 nsenter -t "${INIT_PID[m1]}" -m -u -i -n -p "$BIN/troupectl" --socket "$WORK/m1/run/troupe.sock" attach -i echo)"
says "the pod goes on after it" 0 '^got hello$' ctl logs echo --tail=1
says "exec passes the code on" 42 'terminated with exit code 42' ctl exec echo -- sh -c 'exit 42'
says "exec of what is not there" 127 'executable file not found' ctl exec echo -- nosuch
interrupted() { # COMMAND…: Ctrl-C after a second
    timeout -s INT 1 nsenter -t "${INIT_PID[m1]}" -m -u -i -n -p "$BIN/troupectl" --socket "$WORK/m1/run/troupe.sock" "$@" > /dev/null 2>&1
    echo $?
}
for words in "logs -f echo" "get pods -w" "wait --for=delete pod/echo" "exec echo -- sleep 100" "attach echo"; do
    # shellcheck disable=SC2086
    check_text "Ctrl-C ends $words" '^(124|130)$' "$(interrupted $words)"
done
gone() { ! ctl exec echo -- ps | grep -q 'sleep 100'; }
until_true 5 gone > /dev/null && ok "an interrupted exec leaves no process" || not_ok "an interrupted exec leaves no process"
check_text "a reader that goes away ends the output" '^0$' "$(timeout 10 bash -c "$(declare -p INIT_PID WORK BIN CTL_HOST); $(declare -f on ctl ctl_on); ctl exec echo -- sh -c 'while :; do echo yyyyyyyyyyyyyyyyyyyy; done' | head -1 > /dev/null; echo \$?")"

# ---- port-forward ------------------------------------------------------------------------------------------
ctl run web --image=nginx --port=80 --replicas=1 > /dev/null
ctl expose deployment web --name=myweb --port=8000 --target-port=80 > /dev/null
ctl rollout status deployment/web --timeout=60s > /dev/null
forwards() { # WORDS… ; then fetches 127.0.0.1:18080
    nsenter -t "${INIT_PID[m1]}" -m -u -i -n -p "$BIN/troupectl" --socket "$WORK/m1/run/troupe.sock" port-forward "$@" > "$WORK/forward" 2>&1 &
    local pid=$!
    until_true 5 grep -q Forwarding "$WORK/forward" > /dev/null
    on m1 curl -fsS --max-time 3 http://127.0.0.1:18080/
    pkill -P $pid; wait $pid 2> /dev/null # nsenter runs it as a child
}
check_text "port-forward to a service" 'Welcome to nginx' "$(forwards service/myweb 18080:8000)"
check_text "port-forward to a deployment" 'Welcome to nginx' "$(forwards deployment/web 18080:80)"
ctl exec echo -- sh -c 'nc -ll -p 81 -e echo inside > /dev/null 2>&1 &' > /dev/null 2>&1
says "port-forward of a port out of range" 1 'invalid port "99999"' ctl port-forward deployment/web 99999
says "rollout history of one revision" 0 'with revision #1' ctl rollout history deployment/web --revision=1

# ---- what is installed ---------------------------------------------------------------------------------------
if cmake --build "$here/build/release" --target share > "$WORK/share.log" 2>&1; then
    check "cmake --install" cmake --install "$here/build/release" --prefix "$WORK/installed"
    for page in man1/troupe.1 man1/troupectl.1 man5/troupe-topology.5; do [ -s "$WORK/installed/share/man/$page" ] && ok "$page is installed" || not_ok "$page is installed"; done
    missing=$("$BIN/troupectl" --help | awk '/^Flags/ {exit} /^  [a-z]/ && $1 != "troupectl" {print $1}' | while read -r verb; do grep -qx ".Ss $verb" "$WORK/installed/share/man/man1/troupectl.1" || echo "$verb"; done)
    check_text "the man page knows every verb" '^$' "$missing"
    # Libraries of C's own base (libc, libm) are on every machine; all others are counted.
    size=$({ find "$WORK/installed" -type f; ldd "$WORK/installed/bin/troupe" | awk '/=>/ && !/libc\.so|libm\.so/ {print $3}' | xargs -n1 readlink -f; } | sort -u | xargs stat -c %s | awk '{s += $1} END {print int(s / 1048576)}')
    [ "$size" -le 40 ] && ok "all installed files and libraries: $size MiB" || not_ok "all installed files and libraries: $size MiB, at most 40"
else not_ok "the man pages are made"; fi
check_text "bash completes verbs" 'port-forward' "$(bash -c "PATH=$BIN:\$PATH; source <($BIN/troupectl completion bash); COMP_WORDS=(troupectl po) COMP_CWORD=1; _troupectl; echo \${COMPREPLY[*]}")"
