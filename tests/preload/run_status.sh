#!/bin/sh
# `softxe run` ends as the program ended, and refuses what it cannot enter. usage: run_status.sh SOFTXE CLIENT
set -u
softxe=$1 client=$2
work=$(mktemp -d)
TMPDIR=$work/tmp
export TMPDIR
mkdir "$TMPDIR"
trap 'rm -rf "$work"' EXIT
bad=0

# expect STATUS TEXT COMMAND...: the exit status, and a text in what it prints (empty: any)
expect() {
  want=$1 text=$2
  shift 2
  "$@" > "$work/out" 2>&1
  got=$?
  if [ $got -ne "$want" ] || { [ -n "$text" ] && ! grep -q -- "$text" "$work/out"; }; then
    echo "FAIL: $* ended $got, expected $want with '$text':"
    sed 's/^/  /' "$work/out"
    bad=1
  fi
}

expect 0 '' "$softxe" run -- /bin/true
expect 7 '' "$softxe" run -- sh -c 'exit 7'
expect 137 '' sh -c "\"$softxe\" run -- sh -c 'kill -9 \$\$'"
expect 143 '' sh -c "\"$softxe\" run -- sh -c 'kill -TERM \$\$'"
expect 127 'no such program' "$softxe" run -- no-such-program-anywhere
expect 125 '' "$softxe" run --devices 9 -- /bin/true
expect 125 'size' "$softxe" run --vram lots -- /bin/true
expect 0 'a b' "$softxe" run -- printf '%s\n' 'a b'
expect 0 'renderD129' "$softxe" run --devices 2 -- ls /dev/dri
expect 0 '^0x8086$' "$softxe" run -- cat /sys/class/drm/card0/device/vendor

printf 'int main(void) { return 0; }\n' > "$work/static.c"
${CC:-cc} -static -o "$work/static" "$work/static.c" &&
  expect 126 'static' "$softxe" run -- "$work/static"
cp /bin/true "$work/setuid" && chmod 4755 "$work/setuid"
expect 126 'setuid' "$softxe" run -- "$work/setuid"
printf '\177ELF\001\001\001' > "$work/narrow" && head -c 100 /dev/zero >> "$work/narrow"
chmod +x "$work/narrow"
expect 126 '64-bit' "$softxe" run -- "$work/narrow"

# Signals sent to the runner reach the program; the program's trap decides how the run ends.
"$softxe" run -- sh -c 'trap "exit 9" TERM; echo ready > "'"$work"'/ready"; while :; do sleep 0.05; done' &
runner=$!
tries=0
while [ ! -s "$work/ready" ] && [ $tries -lt 200 ]; do sleep 0.05; tries=$((tries + 1)); done
kill -TERM $runner
wait $runner
status=$?
[ $status -eq 9 ] || { echo "FAIL: after SIGTERM the run ended $status, expected 9"; bad=1; }

# The report has one entry per process that opened a device, whatever became of it.
"$softxe" run --report "$work/report.json" -- "$client" killed > "$work/out" 2>&1
status=$?
[ $status -eq 137 ] || { echo "FAIL: the killed client ended $status"; cat "$work/out"; bad=1; }
python3 - "$work/report.json" << 'PY' || bad=1
import json, sys
report = json.load(open(sys.argv[1]))
assert report["schema"].startswith("softxe-report"), report["schema"]
assert len(report["processes"]) == 1, report["processes"]
process = report["processes"][0]
assert process["pid"] > 0 and process["exe"].endswith("preload_client"), process
assert len(process["devices"]) == 1 and "counters" in process["devices"][0]
assert report["total"]["svm_migrate_to_vram_count"] >= 0 and "vm_bind_count" in report["total"]
PY
left=$(ls "$TMPDIR")
[ -z "$left" ] || { echo "FAIL: runs left $left"; bad=1; }
[ $bad -eq 0 ] && echo "all right"
exit $bad
