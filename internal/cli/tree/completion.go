package tree

import (
	"github.com/flexvc/flexvc/internal/cli"
	"github.com/spf13/cobra"
)

// shells names the shells flexvc writes completion scripts for.
var shells = []string{"bash", "zsh", "fish", "powershell"}

func newCompletionCmd(app *cli.App) *cobra.Command {
	return &cobra.Command{
		Use:   "completion <shell>",
		Short: "Print a shell completion script",
		Long: `Print the completion script for bash, zsh, fish or powershell. Worker names and
run names are completed too; that asks Twilio or the emulator.

  bash        flexvc completion bash > /etc/bash_completion.d/flexvc
  zsh         flexvc completion zsh > "${fpath[1]}/_flexvc"
  fish        flexvc completion fish > ~/.config/fish/completions/flexvc.fish
  powershell  flexvc completion powershell | Out-String | Invoke-Expression`,
		ValidArgs: shells,
		Args: func(cmd *cobra.Command, args []string) error {
			if err := cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs)(cmd, args); err != nil {
				return cli.Usagef("name one shell: bash, zsh, fish or powershell")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return writeCompletion(cmd.Root(), app, args[0]) },
	}
}

func writeCompletion(root *cobra.Command, app *cli.App, shell string) error {
	switch shell {
	case "zsh":
		return root.GenZshCompletion(app.UI.Out)
	case "fish":
		return root.GenFishCompletion(app.UI.Out, true)
	case "powershell":
		return root.GenPowerShellCompletionWithDesc(app.UI.Out)
	}
	return root.GenBashCompletionV2(app.UI.Out, true)
}
