/** `filesync completions`. */
import type { Context } from "../context.ts";
import type { Shell } from "../shells.ts";

// Each asks the program for what may come next, and completes files where it has nothing to say.
const SCRIPTS: Record<Shell, string> = {
  bash: `_filesync() {
  local line word=\${COMP_WORDS[COMP_CWORD]}
  COMPREPLY=()
  while IFS= read -r line; do
    [[ $line == "$word"* ]] && COMPREPLY+=("\${line%%$'\\t'*}")
  done < <("\${COMP_WORDS[0]}" __complete "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -F _filesync filesync`,
  zsh: `#compdef filesync
_filesync() {
  local -a proposals
  local line
  while IFS= read -r line; do
    proposals+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
  done < <("\${words[1]}" __complete "\${(@)words[2,CURRENT]}" 2>/dev/null)
  if (( \${#proposals} )); then _describe filesync proposals; else _files; fi
}
if [[ \${funcstack[1]} == _filesync ]]; then _filesync "$@"; else compdef _filesync filesync; fi`,
  fish: `function __filesync_complete
  set -l words (commandline -opc) (commandline -ct)
  $words[1] __complete $words[2..-1] 2>/dev/null
end
complete -c filesync -a '(__filesync_complete)'`,
};

export function run(context: Context, _flags: Record<never, never>, shell: Shell): Promise<number> {
  context.print(SCRIPTS[shell]);
  return Promise.resolve(0);
}
