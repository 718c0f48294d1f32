package tree

import (
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/cli/clitest"
	pluginCmd "github.com/flexvc/flexvc/internal/cli/plugin"
	"github.com/flexvc/flexvc/plugin"
)

// unseen are the lines that no test can have printed here, and why.
var unseen = map[string]string{
	"pack published": "it asks the Chrome Web Store, which no flag replaces; package pack holds it to its schema",
}

func TestMain(m *testing.M) { clitest.MainOfAll(m, mainWithPlugin, unseen) }

// mainWithPlugin is Main where npm has built the plugin. Elsewhere a bundle stands
// in for it, so that no story of a deployment is skipped.
func mainWithPlugin(args []string, getenv func(string) string, in io.Reader, out, err io.Writer) int {
	if plugin.HasBundle() {
		return Main(args, getenv, in, out, err)
	}
	return cli.Main(args, getenv, in, out, err, func(app *cli.App) *cobra.Command {
		root := New(app)
		for _, c := range slices.Clone(root.Commands()) {
			if c.Name() == "plugin" {
				group := c.GroupID
				root.RemoveCommand(c)
				c = pluginCmd.NewWith(app, standIn)
				c.GroupID = group
				root.AddCommand(c)
			}
		}
		return root
	})
}

func standIn(s plugin.Settings) ([]byte, error) {
	return fmt.Appendf(nil, "// %s %s %s %s", s.Version, s.TokenURL, s.IdentityPrefix, s.OfflineActivitySID), nil
}
