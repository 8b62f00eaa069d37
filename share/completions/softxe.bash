# bash completion for softxe: verbs, options and their values are what `softxe --help` and `softxe VERB --help` say.

_softxe()
{
    local cur prev words cword
    _init_completion -n = || return
    local softxe=${words[0]} verb=${words[1]} help values i

    if [[ $cword -eq 1 ]]; then
        COMPREPLY=($(compgen -W "--help --version
            $("$softxe" --help 2>/dev/null | sed -n '/^Verbs:/,$s/^  \([a-z][a-z-]*\) .*/\1/p')" -- "$cur"))
        return
    fi
    help=$("$softxe" "$verb" --help 2>/dev/null)

    if [[ $verb == run ]]; then
        # The first word that is neither an option nor the value of one is the program: the rest is its affair.
        for ((i = 2; i < cword; i++)); do
            [[ ${words[i]} == -- ]] && { _command_offset $((i + 1)); return; }
            [[ ${words[i]} == -* ]] || { _command_offset $i; return; }
            [[ ${words[i]} != *=* && $help == *"${words[i]} "[A-Z]* ]] && ((i++))
        done
    fi

    values=$(sed -n "s/^  *\(-., *\)*$prev [A-Z]*:{\([^}]*\)}.*/\2/p" <<<"$help")
    if [[ -n $values ]]; then
        COMPREPLY=($(compgen -W "${values//,/ }" -- "$cur"))
    elif [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W "$(grep -oE -- '^ +(-.,)?--[a-z-]+' <<<"$help" | grep -oE -- '--[a-z-]+')" -- "$cur"))
    elif [[ $prev == --root ]]; then
        _filedir -d
    elif [[ $verb == run && $help != *"$prev "[A-Z]* ]]; then
        COMPREPLY=($(compgen -c -- "$cur"))
        _filedir
    else
        _filedir
    fi
} && complete -F _softxe softxe
