#!/bin/sh
# Makes the userland that the conformance runs happen in: a small Debian root with Intel's own IGT
# test programs (as a second variant, Intel's compute and Vulkan drivers as well; as a third, OpenCL
# programs of many authors, and PoCL to compare with).
#
#   make_root.sh [--with-drivers | --with-programs] [--force] DIR
#
# The mirror is the one this machine's apt uses (or $SOFTXE_MIRROR). The suite is forky, or sid when
# forky lacks a package (or $SOFTXE_SUITE). Works as root and, with uidmap installed, as a user
# (mmdebstrap's unshare mode). DIR/softxe-versions records what was installed; a root that has the
# wanted packages already is left alone.
set -eu

base_packages="igt-gpu-tools-tests"
driver_packages="intel-opencl-icd libze-intel-gpu1 libze1 clinfo vulkan-tools mesa-vulkan-drivers"
opencl_programs="clpeak hashcat darktable clblast-tests clblast-utils libclblast-dev
  python3-pyopencl python3-pytest pocl-opencl-icd libegl1
  ffmpeg python3-opencv"

die() { echo "make_root: $*" >&2; exit 1; }

variant=minimal
force=no
dir=
while [ $# -gt 0 ]; do
  case $1 in
    --with-drivers) variant=drivers ;;
    --with-programs) variant=programs ;;
    --force) force=yes ;;
    -h|--help) sed -n '2,12s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) die "unknown option $1" ;;
    *) dir=$1 ;;
  esac
  shift
done
[ -n "$dir" ] || die "usage: make_root.sh [--with-drivers | --with-programs] [--force] DIR"
case $dir in /*) ;; *) dir=$PWD/$dir ;; esac
[ "$dir" != / ] || die "refusing to write to /"

packages=$base_packages
[ "$variant" = minimal ] || packages="$packages $driver_packages"
[ "$variant" != programs ] || packages="$packages $opencl_programs"

have_all() {
  [ -f "$dir/softxe-versions" ] || return 1
  for p in $packages; do
    grep -q "^package $p " "$dir/softxe-versions" || return 1
  done
}
if [ $force = no ] && have_all; then
  echo "make_root: $dir is there: $(grep '^package igt-gpu-tools-tests ' "$dir/softxe-versions")"
  exit 0
fi

# What is replaced must have been made here: DIR may be a mistyped home.
if [ -e "$dir" ] && [ ! -f "$dir/softxe-versions" ] && [ -n "$(ls -A "$dir" 2>/dev/null)" ]; then
  die "$dir exists and was not made by this script"
fi

command -v mmdebstrap >/dev/null || die "mmdebstrap is missing: run tools/deps.sh conformance"

# What apt itself would use, whatever format the sources are written in.
mirror=${SOFTXE_MIRROR:-}
if [ -z "$mirror" ]; then
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Component: main' \
             2>/dev/null | grep -E '/debian/?$' | head -n 1 || true)
fi

# The test root wants neither manuals nor translations; they are two thirds of its files.
trim="--dpkgopt=path-exclude=/usr/share/man/*
--dpkgopt=path-exclude=/usr/share/locale/*
--dpkgopt=path-exclude=/usr/share/doc/*
--dpkgopt=path-exclude=/usr/share/info/*"

# A mirror behind a proxy stays reachable: apt's own setting goes along.
proxy=$(apt-config dump --format '%v%n' Acquire::http::Proxy 2>/dev/null | head -n 1 || true)

if [ "$(id -u)" = 0 ]; then mode=root; else mode=unshare; fi

new=$dir.new.$$
cleanup() {
  [ -e "$new" ] || return 0
  if [ $mode = root ]; then rm -rf --one-file-system "$new"
  else unshare --map-root-user --map-auto --mount rm -rf --one-file-system "$new"; fi
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
mkdir -p "$(dirname "$dir")"

# Reached by the hook through its own name: hooks are words of a shell in mmdebstrap.
extract=true
[ "$variant" != programs ] || extract=$(cd "$(dirname "$0")" && pwd)/root_programs.sh

bootstrap() {
  suite=$1
  # shellcheck disable=SC2086  # $trim and $mirror are lists of options on purpose
  mmdebstrap --quiet --mode=$mode --variant=essential --format=directory \
    --include="$(echo $packages | tr ' ' ,)" \
    --aptopt='Acquire::Check-Valid-Until "false"' \
    --aptopt='Acquire::Check-Date "false"' \
    --aptopt='Acquire::Languages "none"' \
    --aptopt='Acquire::Retries "3"' \
    ${proxy:+--aptopt="Acquire::http::Proxy \"$proxy\""} \
    $trim \
    --customize-hook="'$extract' \"\$1\"" \
    --customize-hook='rm -rf "$1"/var/cache/apt "$1"/var/lib/apt/lists "$1"/etc/machine-id' \
    "$suite" "$new" $mirror
}

start=$(date +%s)
used=
for suite in ${SOFTXE_SUITE:-forky sid}; do
  if bootstrap "$suite"; then used=$suite; break; fi
  echo "make_root: $suite could not be installed" >&2
  cleanup
done
[ -n "$used" ] || die "no suite has $packages (mirror: ${mirror:-the default one})"

versions=$(mktemp)
{
  echo "suite $used"
  echo "variant $variant"
  dpkg-query --admindir="$new/var/lib/dpkg" -W -f='package ${Package} ${Version}\n' $packages libc6
  [ "$variant" != programs ] || cat "$new/usr/src/softxe-parts"
} > "$versions"
# In unshare mode the root belongs to a sub-uid: write to it from inside its user namespace.
if [ $mode = root ]; then install -m 644 "$versions" "$new/softxe-versions"
else unshare --map-root-user --map-auto --mount sh -c 'cat > "$1"' sh "$new/softxe-versions" < "$versions"; fi
rm -f "$versions"

if [ -e "$dir" ]; then
  old=$new; new=$dir; cleanup; new=$old
fi
if [ $mode = root ]; then mv "$new" "$dir"
else unshare --map-root-user --map-auto --mount mv "$new" "$dir" || mv "$new" "$dir"; fi
echo "make_root: $dir made from $used in $(($(date +%s) - start)) s, $(du -sh "$dir" 2>/dev/null | cut -f1)"
sed -n 's/^package /make_root:   /p' "$dir/softxe-versions"
