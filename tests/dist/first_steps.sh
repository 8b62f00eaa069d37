#!/bin/bash
# README's "First steps", command by command as they stand there: from a machine with nothing of softxe to an explanation
# of a program's page moves. Prints each command, what it says, and the time it takes.
#
#   first_steps.sh README              everything but `make deb`, which has been done: its packages are in ./build/deb
#   first_steps.sh README EXAMPLES     no packages: softxe comes from PATH, the examples from this folder
set -uo pipefail
readme=$(realpath "$1")
examples=${2:+$(realpath "$2")}

mapfile -t commands < <(awk '/^## /{here = $0 == "## First steps"} here && /^```/{inside = !inside; next} here && inside' \
  "$readme" | sed 's/ *#.*//; /^ *$/d')
if [ ${#commands[@]} -lt 6 ]; then
  echo "first_steps: README has no commands under First steps"
  exit 1
fi

# Whoever is root needs no sudo, and a bare Debian has none.
sudo() { if [ "$(id -u)" = 0 ]; then "$@"; else command sudo "$@"; fi; }
export -f sudo
export DEBIAN_FRONTEND=noninteractive
folder=$PWD
[ -z "$examples" ] || folder=$(mktemp -d)
cd "$folder" || exit 1
ran=0
start=$SECONDS
last=
for command in "${commands[@]}"; do
  case $command in
    "make deb") continue ;;
    "sudo apt install "*) [ -z "$examples" ] || continue; command="${command/apt install/apt-get -qq install -y}" ;;
  esac
  [ -z "$examples" ] || command=${command//\/usr\/share\/doc\/softxe\/examples/$examples}
  # The tree has the ABI's header elsewhere.
  if [[ -n $examples && $command == "make -C "* ]]; then command="CPPFLAGS=-I$examples/../src $command"; fi
  began=$SECONDS
  echo "\$ $command"
  last=$(bash -c "$command" 2>&1)
  status=$?
  echo "$last" | tail -n 12 | sed 's/^/    /'
  echo "    ($((SECONDS - began)) s)"
  # doctor's 1 is an answer: not all pages can move here.
  if [ $status != 0 ] && ! [[ $command == "softxe doctor" && $status == 1 ]]; then
    echo "FAIL: it ended with $status"
    exit 1
  fi
  case $command in
    "softxe doctor") [[ $last == *"migration level"* ]] || { echo "FAIL: no migration level"; exit 1; } ;;
    "softxe run --summary"*) summary=$last ;;
    "softxe explain"*) explanation=$last ;;
  esac
  ran=$((ran + 1))
done

if [[ ${summary:-} != *"GPU page faults"* ]]; then echo "FAIL: the summary has no page faults"; exit 1; fi
# Where nothing can migrate the explanation has nothing to tell.
if [[ $summary != *"nothing migrates"* && ${explanation:-} != *"from system memory to VRAM of tile 0 (gpu-fault)"* ]]; then
  echo "FAIL: no page move is explained"
  exit 1
fi
[ -z "$examples" ] || rm -rf "$folder"
echo "README's first steps: $ran commands, $((SECONDS - start)) s"
