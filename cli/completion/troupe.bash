# bash completion for troupe: verbs and flags are what --help tells.
_troupe() {
    local cur=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[1]} words
    if [ "$COMP_CWORD" -eq 1 ]; then words=$(troupe --help | awk '/^  [a-z]/ {print $1}')
    elif [[ $cur == -* ]]; then words=$(troupe "$verb" --help 2> /dev/null | grep -oE -- '--[a-z][a-z-]*')
    elif [ "$verb" = config ]; then words=$(troupe config | awk '{print $1}')
    elif [ "$verb" = node ]; then words="ps rm"; fi
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _troupe troupe
