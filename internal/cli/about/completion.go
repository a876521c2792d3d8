package about

import (
	"fmt"

	"natscast/internal/cli/cmdline"

	"github.com/urfave/cli/v2"
)

// completions are scripts that ask the program itself for what may follow.
var completions = map[string]string{
	"bash": `_natscast() {
  local words=("${COMP_WORDS[@]:0:COMP_CWORD}") cur="${COMP_WORDS[COMP_CWORD]}"
  [[ "$cur" == -* ]] && words+=("$cur")
  mapfile -t COMPREPLY < <(compgen -W "$("${words[@]}" --generate-bash-completion 2>/dev/null)" -- "$cur")
}
complete -o bashdefault -o default -F _natscast natscast
`,
	"zsh": `#compdef natscast
_natscast() {
  local -a options
  options=("${(@f)$(${words[@]:0:$CURRENT-1} --generate-bash-completion 2>/dev/null)}")
  _describe 'natscast' options || _files
}
compdef _natscast natscast
`,
}

func completionCommand() *cli.Command {
	return &cli.Command{
		Name:      "completion",
		Usage:     "print a shell's completion script",
		ArgsUsage: "bash|zsh",
		Description: "bash:  natscast completion bash > /etc/bash_completion.d/natscast\n" +
			"zsh:   natscast completion zsh > \"${fpath[1]}/_natscast\"",
		Action: func(c *cli.Context) error {
			args, err := cmdline.Arguments(c, 1, 1)
			if err != nil {
				return err
			}
			script, ok := completions[args[0]]
			if !ok {
				return cmdline.UsageError("no completion for %q: want bash or zsh", args[0])
			}
			_, err = fmt.Fprint(c.App.Writer, script)
			return err
		},
	}
}
