#!/bin/sh
# Puts parts of packages into a root under construction: piglit's OpenCL part (the package has 2 GB of
# other tests) and, from the sources, pyopencl's tests and CLBlast's samples.
#
#   root_programs.sh ROOT        run by make_root.sh as a hook of mmdebstrap, which sets MMDEBSTRAP_APT_CONFIG
set -eu

root=$1
sources=$root/etc/apt/sources.list.d/softxe-sources.list
work=$(mktemp -d)
trap 'rm -rf "$work" "$sources"' EXIT

# An archive may lack the source of its newest version; those of the stable suite do as well.
sed -n 's/^deb /deb-src /p' "$root/etc/apt/sources.list" > "$sources"
sed 's/ \(forky\|sid\) / trixie /' "$sources" > "$work/stable"
cat "$work/stable" >> "$sources"
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
cd "$work"
apt-get -qq update
apt-get -qq download piglit
dpkg-deb --fsys-tarfile piglit_*.deb |
  tar -x -C "$root" --no-same-owner --wildcards './usr/lib/*/piglit/bin/cl-*' \
    './usr/lib/*/piglit/lib/libpiglitutil.*' './usr/lib/*/piglit/lib/libpiglitutil_cl.*' \
    './usr/lib/*/piglit/tests/cl.xml.gz' './usr/lib/*/piglit/tests/cl/*' './usr/lib/*/piglit/generated_tests/cl/*'
echo "part piglit $(dpkg-deb -f piglit_*.deb Version)" > "$root/usr/src/softxe-parts"

# source_part NAME FOLDER: the folder of the package's source, as /usr/src/NAME
source_part() {
  for version in $(apt-cache showsrc "$1" | sed -n 's/^Version: //p' | sort -Vru); do
    apt-get -qq source --tar-only --download-only "$1=$version" || continue
    mkdir -p "$root/usr/src/$1"
    tar -xf "$1"_*.orig.tar.* -C "$root/usr/src/$1" --no-same-owner --strip-components=1 \
      --wildcards --no-wildcards-match-slash "*/$2"
    echo "part $1 $version" >> "$root/usr/src/softxe-parts"
    return 0
  done
  echo "root_programs: no source of $1" >&2
  return 1
}
source_part pyopencl test
source_part clblast samples
