#!/bin/sh
# Inside a client libc's call sites are patched as `softxe doctor` says they can be: what the library interposes must
# not keep its own self-test from reaching them. usage: patched.sh SOFTXE PROGRAM, which opens a device
set -eu
softxe=$1
shift
fail() { echo "FAIL: $*" >&2; exit 1; }

can=$("$softxe" doctor | sed -n 's/^libc call sites *\([0-9]*\) patched.*/\1/p')
[ "${can:-0}" -gt 0 ] || fail "doctor finds no call site that it can patch here"
says=$(SOFTXE_LOG=debug "$softxe" run -- "$@" 2>&1 | sed -n 's/.*memory calls: \(.*\)/\1/p' | head -n 1)
[ "${says%% *}" = "$can" ] || fail "doctor: $can sites; in the client: ${says:-no word}"
echo "in the client: $says"
