#!/bin/sh
# Installs what this project needs from Debian 12, and nothing when all of it is there already.
#
#   tools/deps.sh [GROUP...]      groups: build (default), check, conformance, deb, harmless, bench, lint, all
#
# Runs apt-get as root, or through sudo when that works without a password; otherwise it prints the
# one line to run and fails.
set -eu

build="g++ cmake ninja-build ccache pkg-config python3 libfmt-dev libcli11-dev nlohmann-json3-dev
  libexpected-dev libboost-dev libboost-context-dev libcapstone-dev libgtest-dev libgmock-dev
  libabsl-dev libdrm-dev libdw-dev libzstd-dev libprotozero-dev sqlite3 scdoc"
check="gdb valgrind man-db bash-completion"
deb="build-essential debhelper lintian blhc"
conformance="mmdebstrap debian-archive-keyring uidmap libze-dev opencl-headers
  ocl-icd-opencl-dev"
harmless="stress-ng redis-server redis-tools libpython3.11-testsuite git sqlite3 perl gzip
  libjemalloc2 libtcmalloc-minimal4 libmimalloc2.0 openjdk-17-jdk-headless nodejs golang-go
  chromium postgresql-15 ffmpeg"
bench="pocl-opencl-icd opencl-headers ocl-icd-opencl-dev"
lint="codespell clang clang-format clang-tidy libclang-rt-14-dev"

wanted=
for group in "${@:-build}"; do
  case $group in
    build) wanted="$wanted $build" ;;
    check) wanted="$wanted $check" ;;
    conformance) wanted="$wanted $conformance" ;;
    deb) wanted="$wanted $deb" ;;
    harmless) wanted="$wanted $harmless" ;;
    bench) wanted="$wanted $bench" ;;
    lint) wanted="$wanted $lint" ;;
    all) wanted="$wanted $build $check $conformance $deb $harmless $bench $lint" ;;
    -h|--help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "deps: unknown group '$group' (build, check, conformance, deb, harmless, bench, lint, all)" >&2; exit 2 ;;
  esac
done

if ! command -v dpkg-query >/dev/null; then
  echo "deps: no Debian here; the build wants what these packages hold:" $wanted >&2
  exit 0
fi

# dpkg-query fails when any name is unknown; the lines of the known ones are what counts.
# shellcheck disable=SC2086
installed=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' $wanted 2>/dev/null |
              sed -n 's/^installed //p') || true
missing=
for package in $wanted; do
  case "
$installed
" in
    *"
$package
"*) ;;
    *) missing="$missing $package" ;;
  esac
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
  as_root=
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
  as_root="sudo -n"
else
  echo "deps: packages are missing; as root, run" >&2
  echo "  apt-get update && apt-get install -y --no-install-recommends$missing" >&2
  exit 1
fi

echo "deps: installing$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() {
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 \
    -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 "$@" </dev/null >"$log" 2>&1
}
# A stale index is no reason to stop: the install decides.
apt update || { echo "deps: apt-get update had problems:" >&2; tail -n 5 "$log" >&2; }
# shellcheck disable=SC2086
if ! apt install -y --no-install-recommends $missing; then
  tail -n 30 "$log" >&2
  echo "deps: apt-get install failed" >&2
  exit 1
fi
