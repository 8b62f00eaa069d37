#!/bin/bash
# Completion for bash offers verbs, options and their values, and leaves the program's words to the program's completion.
#
#   completion.sh SOFTXE [FILE]     FILE: the completion, when it is not installed
softxe=$1
file=${2:-}
bad=0
. /usr/share/bash-completion/bash_completion
if [ -n "$file" ]; then . "$file"; else __load_completion softxe; fi

# complete WORD...: what is offered for the last one.
offers() {
  COMP_WORDS=("$@")
  COMP_CWORD=$(($# - 1))
  COMP_LINE="$*"
  COMP_POINT=${#COMP_LINE}
  COMP_TYPE=9
  COMPREPLY=()
  _softxe 2>/dev/null
  echo " ${COMPREPLY[*]} "
}
expect() {
  local text=$1
  shift
  case $(offers "$@") in
    *" $text "*) ;;
    *) echo "FAIL: '$*' does not offer $text, but:$(offers "$@")"; bad=1 ;;
  esac
}
expect run "$softxe" ru
expect va-replay "$softxe" v
expect --version "$softxe" --v
expect --profile "$softxe" run --pro
expect pvc "$softxe" run --profile p
expect exact "$softxe" run --vram 1G --autoreset e
expect --json "$softxe" doctor --
expect /usr/bin/env "$softxe" run --summary ls /usr/bin/env
expect /usr/bin/env "$softxe" run -- ls /usr/bin/env
[ $bad = 0 ] && echo "bash completion offers what it should"
exit $bad
