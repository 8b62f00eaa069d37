#compdef softxe
# zsh completion for softxe: verbs, options and their values are what `softxe --help` and `softxe VERB --help` say.

_softxe() {
  local -a verbs options
  local help line verb
  if (( CURRENT == 2 )); then
    verbs=(${(f)"$(softxe --help 2>/dev/null | sed -n '/^Verbs:/,$s/^  \([a-z][a-z-]*\)  *\(.*\)/\1:\2/p')"})
    _describe verb verbs
    compadd -- --help --version
    return
  fi
  verb=$words[2]
  help="$(softxe $verb --help 2>/dev/null)"
  for line in ${(f)help}; do
    if [[ $line =~ '^ +(-., *)?(--[a-z-]+) [A-Z]+:\{([^}]*)\}' ]]; then
      options+=("${match[2]}: :(${match[3]//,/ })")
    elif [[ $line =~ '^ +(-., *)?(--[a-z-]+) [A-Z]+' ]]; then
      options+=("${match[2]}: :_files")
    elif [[ $line =~ '^ +(-., *)?(--[a-z-]+)' ]]; then
      options+=("${match[2]}")
    fi
  done
  words=("$words[1]" "${(@)words[3,-1]}")
  (( CURRENT-- ))
  if [[ $verb == run ]]; then
    _arguments -S $options '(-):program: _command_names -e' '*::arguments: _normal'
  else
    _arguments $options '*: :_files'
  fi
}

_softxe "$@"
