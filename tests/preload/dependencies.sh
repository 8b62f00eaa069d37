#!/bin/sh
# The preload library enters every process of a run, whatever it was built for: it may need libc.so.6 alone, no
# symbol newer than glibc 2.36, and no lazy binding (a call resolved on the fault path would take the
# loader's lock). usage: dependencies.sh LIBRARY
set -eu
library=$1
fail() { echo "FAIL: $*" >&2; exit 1; }

needed=$(readelf -d "$library" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
[ "$needed" = libc.so.6 ] || fail "needs: $needed"

newest=$(readelf -V "$library" | grep -o 'GLIBC_[0-9.]*' | sort -Vu | tail -n 1)
[ "$(printf '%s\nGLIBC_2.36\n' "$newest" | sort -V | tail -n 1)" = GLIBC_2.36 ] ||
  fail "a symbol of $newest"

readelf -d "$library" | grep -q 'BIND_NOW\|FLAGS_1.*NOW' || fail "binds lazily"
readelf -d "$library" | grep -q 'STATIC_TLS' || fail "its TLS is not initial-exec"
readelf -W --dyn-syms "$library" | grep -q '__tls_get_addr' && fail "asks the loader for TLS"
readelf -W --dyn-syms "$library" | grep -qE ' (malloc|calloc|free)@.*' &&
  echo "note: $(readelf -W --dyn-syms "$library" | grep -oE ' (malloc|calloc|realloc|free)@' | tr -d '\n') from libc"
echo "needs libc.so.6 alone, newest symbol $newest"
