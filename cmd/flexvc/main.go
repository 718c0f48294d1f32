// Command flexvc moves Twilio Flex voice calls into a browser extension. Here the
// process meets internal/cli, and nothing else belongs here.
package main

import (
	"os"

	"github.com/flexvc/flexvc/internal/cli/tree"
)

func main() {
	os.Exit(tree.Main(os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr))
}
