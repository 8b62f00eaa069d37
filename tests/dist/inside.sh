#!/bin/bash
# What distcheck does inside the bare Debian: install, use, remove. Prints a line for each thing that holds or does not.
set -uo pipefail
cd /root/dist
passed=0
failed=0

check() {
  local claim=$1
  shift
  if "$@" >out 2>&1; then
    echo "ok   $claim"
    passed=$((passed + 1))
  else
    echo "FAIL $claim"
    tail -n 15 out | sed 's/^/  | /'
    failed=$((failed + 1))
  fi
}

has() { grep -qe "$1"; }
install() { DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@"; }
# Where packages put files. Left out: caches, logs and the databases of apt and dpkg.
files() { find /etc /usr /opt /srv -xdev -print | sort; }

# Before: what the checks themselves need. After: only ours comes and goes.
if [ -n "$BARE" ]; then apt-get -qq update >/dev/null 2>&1; fi
check "the tools of the checks can be installed" install man-db bash-completion zsh fish g++ make cmake pkg-config libdrm-dev
files >before
# README's first steps install the packages by themselves, and what else they want.
mkdir -p steps/build
ln -s /root/dist steps/build/deb
check "README alone leads to an explanation of page moves" bash -c 'cd steps && bash ../first_steps.sh ../README.md'
tail -n 1 out
check "the packages can be installed, with all they depend on" install ./softxe_*.deb ./softxe-doc_*.deb \
  ./libsoftxe0.1_*.deb ./libsoftxe-dev_*.deb
check "softxe --version names a commit" bash -c 'softxe --version | grep -q "^softxe 0.*commit"'
check "softxe doctor answers" bash -c 'softxe doctor; [ $? -le 1 ]'
check "softxe run shows a device" bash -c 'softxe run cat /sys/class/drm/card0/device/vendor | grep -q 0x8086'
check "the installed scenarios pass" bash -c 'softxe scenario /usr/share/softxe/scenarios/*/*.softxe | tail -n 1 | grep -q "^[1-9][0-9]* passed, 0 failed"'

cp -r /usr/share/doc/softxe/examples examples
check "the installed examples build" make -C examples
check "and run without a GPU" make -C examples run
for example in embed.cc embed_c.c; do
  check "a program finds libsoftxe by CMake: $example" bash -c "
    rm -rf consumer/build && cmake -S consumer -B consumer/build -DEXAMPLE=\$PWD/examples/$example &&
    cmake --build consumer/build && consumer/build/with_shared && consumer/build/with_static"
  case $example in *.c) compiler="gcc -std=c11" ;; *) compiler="g++ -std=c++17" ;; esac
  for package in softxe softxe-static; do
    check "a program finds it by pkg-config $package: $example" bash -c "
      $compiler examples/$example -o by_pc \$(pkg-config --cflags --libs $package) && ./by_pc"
  done
done
check "softxe conformance has its scripts and says what is missing" bash -c '
  softxe conformance --root /usr/share 2>&1 | grep -q "softxe root make /usr/share" &&
  softxe root make --help | grep -q with-drivers && [ -x /usr/share/softxe/conformance/make_root.sh ] &&
  [ -s /usr/share/softxe/conformance/expected/xe_vm.txt ]'

for page in /usr/share/man/man*/softxe*; do
  name=$(basename "$page" .gz)
  check "man ${name##*.} ${name%.*}" bash -c "man ${name##*.} ${name%.*} | grep -q NAME"
done
check "bash completes" bash completion.sh softxe
check "zsh completes" zsh -c 'autoload -U compinit && compinit -u && [[ $_comps[softxe] == _softxe ]] && autoload +X _softxe'
check "fish completes" fish -c 'complete -C "softxe ru" | grep -q ^run; and complete -C "softxe run --prof" | grep -q -- --profile; and complete -C "softxe run --profile b" | grep -q bmg'
check "no build path is in what is installed" bash -c '
  dpkg -L softxe libsoftxe0.1 libsoftxe-dev softxe-doc | while read -r f; do [ -f "$f" ] && echo "$f"; done >ours
  [ -s ours ] && ! xargs -d "\n" grep -lE "build/deb/softxe|/obj-x86_64" <ours'

check "the packages can be removed" apt-get -qq purge -y softxe softxe-doc libsoftxe0.1 libsoftxe-dev
if [ -n "$BARE" ]; then check "and whatever came with them" apt-get -qq autoremove --purge -y; fi
files >after
check "nothing is left" bash -c 'left=$(comm -13 before after | grep -v "ld.so.cache"); echo "$left"; [ -s after ] && [ -z "$left" ]'
echo "$passed passed, $failed failed"
[ $failed = 0 ]
