package cli

import "io"

// wholeApp is an App with every command.
func wholeApp(dir string, out io.Writer) *App {
	app := appIn(dir, out)
	app.Tree = newRootCmd
	return app
}
