package emulator_test

import (
	"io"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/cli/clitest"
	"github.com/flexvc/flexvc/internal/cli/tree"
)

// wholeApp is an App with every command.
func wholeApp(dir string, out io.Writer) *cli.App {
	app := clitest.App(dir, out)
	app.Tree = tree.New
	return app
}
