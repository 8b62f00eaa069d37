# fish completion for softxe: verbs, options and their values are what `softxe --help` and `softxe VERB --help` say.

function __softxe_verbs
    softxe --help 2>/dev/null | string replace -rf '^  ([a-z][a-z-]*) +(.*)' '$1\t$2'
end

function __softxe_verb
    set -l words (commandline -opc)
    test (count $words) -ge 2; and echo $words[2]
end

function __softxe_options
    softxe (__softxe_verb) --help 2>/dev/null | string replace -rf '^ +(?:-., *)?(--[a-z-]+).*' '$1'
end

function __softxe_values
    set -l previous (commandline -opc)[-1]
    softxe (__softxe_verb) --help 2>/dev/null | string replace -rf "^ +(?:-., *)?$previous [A-Z]+:\{([^}]*)\}.*" '$1' \
        | string split ,
end

complete -c softxe -n 'test (count (commandline -opc)) -eq 1' -f -a '(__softxe_verbs)'
complete -c softxe -n 'test (count (commandline -opc)) -eq 1' -f -a '--help --version'
complete -c softxe -n 'test (count (commandline -opc)) -ge 2' -a '(__softxe_options)'
complete -c softxe -n 'test (count (commandline -opc)) -ge 2' -a '(__softxe_values)'
