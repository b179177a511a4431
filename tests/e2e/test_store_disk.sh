#!/usr/bin/env bash
# One member of the store on a real disk that is unkind: killed while it writes, its file system copied
# below the page cache at random instants, full, damaged. What was acknowledged is there afterwards, with
# its value and revision; what cannot be read is refused with file and position.
#   ROUNDS=200 tests/e2e/test_store_disk.sh      more kills (SOAK=1: 200); tests/bench/store_ledger.c writes
. "$(dirname "$0")/lab.sh"
ROUNDS=${ROUNDS:-${TROUPE_ROUNDS:-$([ -n "${SOAK:-}" ] && echo 200 || echo 20)}}
COPIES=${COPIES:-$([ -n "${SOAK:-}" ] && echo 50 || echo 4)}
[ "$(id -u)" -eq 0 ] || { skip "$0" "needs root"; exit 0; }
LEDGER="$BIN/store_ledger"
MOUNTS=() RUNS=()
clean_up() {
    local j r m
    for j in "${JOBS[@]}"; do kill "$j" 2> /dev/null; wait "$j" 2> /dev/null; done
    for r in "${RUNS[@]}"; do "$BIN/troupe" down --run-dir "$r" > /dev/null 2>&1; done
    for m in "${MOUNTS[@]}"; do umount -l "$m" 2> /dev/null; done
    if [ -n "$KEEP" ]; then note "kept: $WORK"; else rm -rf "$WORK"; fi
    echo "1..$TESTS"
    [ "$FAILURES" -eq 0 ] || exit 1
}
trap clean_up EXIT
trap 'exit 130' INT TERM

cat > "$WORK/store.yaml" <<'Y'
kind: Topology
processes:
- name: store
  dispatchers:
  - name: disk
    actors:
    - {role: disk, name: "${node}", set: {dataDir: "${data}/store", member: "${node}"}}
  - name: store
    actors:
    - {role: store, name: "${node}", set: {dataDir: "${data}/store", member: "${node}"}}
  listen:
  - {endpoint: "ipc://${run}/parts/store.sock", principal: part}
Y
# A cluster is named by its folder NAME: NAME/data, NAME/run.
options() { echo --data "$WORK/$1/data" --run-dir "$WORK/$1/run" --config-dir "$WORK/$1/config" --node m1 --node-ip 127.0.0.1; }
start() {
    mkdir -p "$WORK/$1"; RUNS+=("$WORK/$1/run")
    # shellcheck disable=SC2046
    "$BIN/troupe" run -f "$WORK/store.yaml" $(options "$1") -d --wait 20 --log "$WORK/$1/log"
}
stop() { "$BIN/troupe" down --run-dir "$WORK/$1/run"; }
# shellcheck disable=SC2046
store() { local name=$1; shift; "$BIN/troupe" "$@" $(options "$name"); }
ledger() { local name=$1; shift; "$LEDGER" "$@" --socket "$WORK/$name/run/parts/store.sock"; }
writer_start() { # NAME: in the background, until writer_stop
    : > "$WORK/$1.ledger"
    "$LEDGER" write --socket "$WORK/$1/run/parts/store.sock" --ledger "$WORK/$1.ledger" --clients 4 --seconds 7200 > "$WORK/$1.out" 2>&1 &
    writer=$!; JOBS+=("$writer")
}
writer_stop() { kill "$writer" 2> /dev/null; wait "$writer" 2> /dev/null; }
member_pid() { pgrep -P "$(head -1 "$WORK/$1/run/troupe.pid")" 2> /dev/null | head -1; }
small_disk() { # NAME MIB: an ext4 of that size in an image in memory, mounted at NAME/data
    mkdir -p "$WORK/$1/data"
    truncate -s "$2M" "$WORK/ram/$1.img"
    mkfs.ext4 -q -m 0 "$WORK/ram/$1.img" && mount -o loop "$WORK/ram/$1.img" "$WORK/$1/data" && MOUNTS+=("$WORK/$1/data")
}

# ---- kill -9 with writes in flight -------------------------------------------------------------------
start kill > "$WORK/out" 2>&1 && ok "a member starts" || { not_ok "a member starts"; cat "$WORK/out" "$WORK/kill/log"; exit 1; }
writer_start kill
kills=0
for ((i = 0; i < ROUNDS; i++)); do
    before=$(wc -l < "$WORK/kill.ledger")
    until_true 20 bash -c "[ \$(wc -l < $WORK/kill.ledger) -gt $((before + RANDOM % 200)) ]" > /dev/null || break
    pid=$(member_pid kill) && kill -9 "$pid" 2> /dev/null && kills=$((kills + 1))
done
writer_stop
[ "$kills" -ge "$ROUNDS" ] && ok "$kills times killed while it wrote" || not_ok "$kills times killed while it wrote, of $ROUNDS"
check_text "kill -9: nothing acknowledged is lost" ' 0 are lost' "$(ledger kill check --ledger "$WORK/kill.ledger" 2>&1 | tail -3)"
note "$(wc -l < "$WORK/kill.ledger") writes were acknowledged"

# ---- operations on it ----------------------------------------------------------------------------------
check_text "status tells who leads" 'voter, leads' "$(store kill store status 2>&1)"
check_text "a snapshot is saved while it runs" "revision [0-9]+, [0-9]+ keys" "$(store kill snapshot save "$WORK/a.snap" 2>&1)"
check_text "a folder in use is not checked" 'stop it first' "$(store kill store check 2>&1)"
check "it stops" stop kill
check_text "its folder is sound" 'sound +[0-9]+ keys' "$(store kill store check 2>&1)"
check_text "no folder is no folder" "no member's data folder" "$("$BIN/troupe" store check /nowhere 2>&1)"
cp "$BIN/troupe" "$WORK/troupe" && chmod 755 "$WORK" "$WORK/troupe" # nobody may come as far as the folder
check_text "a folder of others is refused" 'Permission denied' "$(setpriv --reuid 65534 --clear-groups "$WORK/troupe" store check "$WORK/kill/data" 2>&1)"
check_text "the snapshot is sound" 'sound' "$(store kill snapshot status "$WORK/a.snap" 2>&1)"
check_text "a restore never overwrites" 'is there already' "$(store kill snapshot restore "$WORK/a.snap" 2>&1)"
check_text "the folder of another member is refused" 'another member' "$("$BIN/troupe" store recover "$WORK/kill/data" --node m7 --yes 2>&1)"
mkdir -p "$WORK/restored"
check_text "a snapshot becomes a new cluster" 'revision 10[0-9]{8}' "$(store restored snapshot restore "$WORK/a.snap" 2>&1)"
start restored > "$WORK/out" 2>&1
check_text "the restored cluster has every key, as it was" ' 0 are lost' "$(ledger restored check --ledger "$WORK/kill.ledger" 2>&1 | tail -3)"
stop restored > /dev/null 2>&1
check_text "a lost quorum: one survivor becomes a cluster" 'recovered: cluster' "$(store kill store recover --yes 2>&1)"
check_text "the recovered folder is sound" 'sound' "$(store kill store check 2>&1)"
start kill > "$WORK/out" 2>&1
check_text "the recovered cluster has every key, as it was" ' 0 are lost' "$(ledger kill check --ledger "$WORK/kill.ledger" 2>&1 | tail -3)"
check_text "a value too large is refused" 'TOO_LARGE' "$(ledger kill put /large --bytes 1600000 2>&1)"
check_text "a member that is there is not added again" 'already|exists|of this name' "$(store kill member add m1 2>&1)"
check_text "an unknown one is not promoted" 'no such member|not found' "$(store kill member promote m9 2>&1)"
check_text "the last voter is not removed" 'member|voter' "$(store kill member remove m1 --yes 2>&1)"
check_text "… it still serves" 'voter, leads' "$(store kill store status 2>&1)"
stop kill > /dev/null 2>&1

# ---- damage --------------------------------------------------------------------------------------------
flip() { # FILE OFFSET
    printf "\\x$(printf %02x $(($(od -An -tu1 -j "$2" -N 1 "$1") ^ 16)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
segment=$(ls "$WORK"/kill/data/store.before-*/log/0*.seg | tail -1)
damaged=$(dirname "$(dirname "$segment")")
flip "$segment" 560
check_text "a flipped bit in the log: file and position" "$(basename "$segment") at [0-9]+" "$("$BIN/troupe" store check "$damaged" 2>&1)"
"$BIN/troupe" store check "$damaged" > /dev/null 2>&1 && not_ok "the exit code says so" || ok "the exit code says so"
flip "$segment" 560
check_text "flipped back, it is sound" 'sound' "$("$BIN/troupe" store check "$damaged" 2>&1)"
table=$(ls -S "$damaged"/db/*.sst 2> /dev/null | head -1)
if [ -n "$table" ]; then
    flip "$table" 3000
    check_text "a flipped bit in a table: file and position" "$(basename "$table")" "$("$BIN/troupe" store check "$damaged" 2>&1)"
fi
rm -rf "$WORK/kill/data/store" && cp -r "$damaged" "$WORK/kill/data/store" && flip "$WORK/kill/data/store/log/$(basename "$segment")" 560
start kill > "$WORK/out" 2>&1
check_text "a damaged member does not serve" 'UNAVAILABLE|connect' "$(timeout 5 "$LEDGER" get /x --socket "$WORK/kill/run/parts/store.sock" 2>&1 || echo UNAVAILABLE)"
check_text "… and says why" "$(basename "$segment") at [0-9]+" "$(cat "$WORK/kill/log" "$WORK/out")"
stop kill > /dev/null 2>&1

# ---- below the page cache --------------------------------------------------------------------------------
mkdir -p "$WORK/ram" && mount -t tmpfs -o size=700m tmpfs "$WORK/ram" && MOUNTS=("$WORK/ram" "${MOUNTS[@]}")
if small_disk cut 160 2> "$WORK/out"; then
    start cut > "$WORK/out" 2>&1
    writer_start cut
    copies=0
    for ((i = 0; i < COPIES; i++)); do
        wait_s "0.$((RANDOM % 9 + 1))"; wait_s "0.$((RANDOM % 9 + 1))"
        pid=$(member_pid cut); kill -STOP "$pid"
        cp "$WORK/cut.ledger" "$WORK/copy.ledger"
        cp --sparse=always "$WORK/ram/cut.img" "$WORK/ram/copy.img" # what a power cut now would leave
        kill -CONT "$pid"
        mkdir -p "$WORK/copy/data"
        mount -o loop "$WORK/ram/copy.img" "$WORK/copy/data" || break
        MOUNTS+=("$WORK/copy/data")
        start copy > "$WORK/out" 2>&1
        ledger copy check --ledger "$WORK/copy.ledger" > "$WORK/copy.out" 2>&1 && copies=$((copies + 1)) || tail -3 "$WORK/copy.out" | sed 's/^/#   /'
        stop copy > /dev/null 2>&1
        umount "$WORK/copy/data"
    done
    writer_stop
    [ "$copies" -eq "$COPIES" ] && ok "$copies copies of the disk below the page cache lack nothing acknowledged before" || not_ok "of $COPIES copies of the disk $copies lack nothing"
    stop cut > /dev/null 2>&1
else
    skip "copies below the page cache" "no loop mount here"
fi

# ---- a full disk -----------------------------------------------------------------------------------------
if small_disk full 160 2> "$WORK/out"; then
    start full > "$WORK/out" 2>&1
    ledger full write --ledger "$WORK/full.ledger" --seconds 1 > /dev/null
    pid=$(member_pid full)
    dd if=/dev/zero of="$WORK/full/data/filler" bs=1M > /dev/null 2>&1
    refused() { ledger full write --ledger "$WORK/full.ledger" --seconds 1; grep -q DISK_FULL <<< "$(ledger full put /full/a)"; }
    until_true 20 refused > /dev/null && ok "a full disk: writes are refused" || not_ok "a full disk: writes are refused"
    check_text "the error says what, where, and what to do" 'no space left on the disk of .*/full/data/store.*make room' "$(ledger full put /full/a 2>&1)"
    check_text "status shows the alarm" 'ALARM +disk full' "$(store full store status 2>&1)"
    key=$(head -1 "$WORK/full.ledger" | cut -d' ' -f1)
    check_text "reads go on" '^ok$' "$(ledger full get "$key" 2>&1)"
    check_text "deletes go on" '^ok' "$(ledger full delete "$key" 2>&1)"
    check_text "what was deleted is gone" 'not there' "$(ledger full get "$key" 2>&1)"
    [ "$(member_pid full)" = "$pid" ] && ok "it was not restarted" || not_ok "it was not restarted"
    kill -9 "$pid"
    reads() { ledger full get /full/a; }
    until_true 20 reads > /dev/null && ok "killed on the full disk, it comes back and serves reads" || { not_ok "killed on the full disk, it comes back and serves reads"; tail -5 "$WORK/full/log" | sed 's/^/#   /'; }
    pid=$(member_pid full)
    still() { grep -q DISK_FULL <<< "$(ledger full put /full/a)"; }
    until_true 5 still > /dev/null && ok "… and still refuses writes" || not_ok "… and still refuses writes"
    rm "$WORK/full/data/filler"
    writes() { ledger full put /full/b; }
    until_true 20 writes > "$WORK/ms" && ok "with room again writes go on ($(cat "$WORK/ms") ms)" || not_ok "with room again writes go on"
    [ "$(member_pid full)" = "$pid" ] && ok "… without a restart" || not_ok "… without a restart"
    sed -i 1d "$WORK/full.ledger"
    check_text "nothing acknowledged is lost on the way" ' 0 are lost' "$(ledger full check --ledger "$WORK/full.ledger" 2>&1 | tail -3)"
    stop full > /dev/null 2>&1
else
    skip "a full disk" "no loop mount here"
fi
