package tree

import (
	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/cli"
)

func newVersionCmd(app *cli.App) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Long:  "Print flexvc's version, the platform it was built for and the Go release that built it.",
		Args:  cli.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return cli.PrintVersion(app) },
	}
}
