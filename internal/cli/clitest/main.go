package clitest

import (
	"flag"
	"io"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// runTests makes the test binary serve as flexvc in the stories, and wherever a
// test starts a process of its own.
func Main(m *testing.M, flexvc func(args []string, getenv func(string) string, in io.Reader, out, err io.Writer) int) {
	// The parallel tests wait for processes and emulated delays far more than
	// they compute. -parallel on the command line wins: it is parsed later.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	testscript.Main(m, map[string]func(){
		"flexvc": func() { os.Exit(flexvc(os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr)) },
	})
}
