package tree

import (
	"encoding/json"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/buildinfo"
	"github.com/flexvc/flexvc/internal/cli"
)

func newVersionCmd(app *cli.App) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Long:  "Print flexvc's version, the platform it was built for and the Go release that built it.",
		Args:  cli.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if app.JSON() {
				return json.NewEncoder(app.UI.Out).Encode(map[string]any{
					"v": 1, "version": buildinfo.Version, "os": runtime.GOOS, "arch": runtime.GOARCH, "go": runtime.Version(),
				})
			}
			app.UI.Printf("%s\n", cli.VersionLine())
			return nil
		},
	}
}
