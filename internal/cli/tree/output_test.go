//go:build !windows

package tree

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/cli/clitest"
	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/problem"
)

var shortSID = regexp.MustCompile(`\b[A-Z]{2}…[0-9a-f]{4}\b`)

// Programs get whole objects: one a line on standard output, and one on standard
// error when, and only when, something went wrong.
func TestJSONOfEveryCommand(t *testing.T) {
	t.Parallel()
	s := clitest.Serve(t, emulator.Options{Agents: 20, SeedValue: 7})
	sid := s.Export().Workers[0].SID
	run := "RUN" // the first run, once there is one
	for _, test := range []struct {
		exit  int
		lines bool // whether something is printed on standard output
		args  []string
	}{
		{0, true, []string{"version"}},
		{0, true, []string{"config", "list", "--origin"}},
		{0, true, []string{"config", "get", "activity_name"}},
		{0, true, []string{"init", "--dry-run"}},
		{5, true, []string{"init", "--dry-run", "--exit-code"}},
		{2, false, []string{"init"}},
		{0, true, []string{"init", "--yes"}},
		{0, true, []string{"init", "--yes"}},
		{0, true, []string{"workers", "list"}},
		{0, true, []string{"workers", "show", sid}},
		{2, false, []string{"workers", "show", "nobody"}},
		{2, false, []string{"workers", "enable"}},
		{2, false, []string{"workers", "enable", "--all"}},
		{2, false, []string{"workers", "enable", "--nosuch"}},
		{2, false, []string{"workers", "list", "--filter", "(("}},
		{0, true, []string{"workers", "enable", "--all", "--dry-run"}},
		{5, true, []string{"workers", "enable", "--all", "--dry-run", "--exit-code"}},
		{0, false, []string{"runs", "list"}},
		{0, true, []string{"workers", "enable", "--all", "--yes"}},
		{0, true, []string{"workers", "enable", "--all", "--yes"}},
		{0, true, []string{"runs", "list"}},
		{0, true, []string{"runs", "show", run}},
		{2, false, []string{"runs", "show", "ZZZZZZ"}},
		{2, false, []string{"runs", "resume", run}},
		{0, true, []string{"runs", "rollback", run, "--dry-run"}},
		{2, false, []string{"runs", "rollback", run}},
		{0, true, []string{"runs", "rollback", run, "--yes"}},
		{2, false, []string{"nosuch"}},
		{2, false, []string{"completion", "tcsh"}},
		{2, false, []string{"emulator", "--listen", "192.0.2.1:1"}},
	} {
		args := append([]string{"-o", "json"}, test.args...)
		for i, arg := range args {
			if arg == "RUN" {
				args[i] = s.LatestRun()
			}
		}
		exit, stdout, stderr := s.Outputs(args...)
		if exit != test.exit {
			t.Errorf("%q exits with %d, want %d\n%s%s", args, exit, test.exit, stdout, stderr)
		}
		if found := events(t, stdout); (len(found) > 0) != test.lines {
			t.Errorf("%q prints %d lines", args, len(found))
		}
		if short := shortSID.FindString(stdout); short != "" {
			t.Errorf("%q shortens %s for a program:\n%s", args, short, stdout)
		}
		wanted := 0
		if exit != problem.ExitDone && exit != problem.ExitPending {
			wanted = 1
		}
		told := events(t, stderr)
		if len(told) != wanted {
			t.Errorf("%q prints %d objects on standard error, want %d:\n%s", args, len(told), wanted, stderr)
			continue
		}
		for _, p := range told {
			if p["event"] != "error" || p["exit"] != float64(exit) || p["summary"] == "" || p["code"] == "" || p["hint"] == nil {
				t.Errorf("%q tells of its error so: %v", args, p)
			}
		}
	}
}

// Help is for people who have nothing yet: no account, no network, no home.
func TestHelpNeedsNothing(t *testing.T) {
	t.Parallel()
	var walk func(path []string, cmd *cobra.Command)
	nowhere := t.TempDir()
	check := func(wantUsage bool, env []string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "flexvc", args...)
		// A proxy that nobody serves: whoever asks the network fails.
		cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HTTPS_PROXY=http://127.0.0.1:1", "HTTP_PROXY=http://127.0.0.1:1"}, env...)
		var out, err bytes.Buffer
		cmd.Stdout, cmd.Stderr, cmd.Dir = &out, &err, nowhere
		if e := cmd.Run(); e != nil || err.Len() > 0 {
			t.Errorf("%v with %v: %v\n%s", args, env, e, err.String())
		}
		if out.Len() == 0 || wantUsage && !strings.Contains(out.String(), "Usage:") {
			t.Errorf("%v with %v prints\n%s", args, env, out.String())
		}
	}
	environments := [][]string{{"HOME=" + nowhere}, {}}
	walk = func(path []string, cmd *cobra.Command) {
		for _, child := range cmd.Commands() {
			if child.Hidden {
				continue
			}
			below := append(path[:len(path):len(path)], child.Name())
			for _, env := range environments {
				if child.IsAdditionalHelpTopicCommand() {
					check(false, env, append([]string{"help"}, below...)...)
					continue
				}
				check(true, env, append(below, "--help")...)
			}
			walk(below, child)
		}
	}
	walk(nil, New(clitest.Quiet()))
	for _, env := range environments {
		check(true, env)
		check(true, env, "--help")
		check(true, env, "help", "workers", "enable")
		check(false, env, "--version")
		check(false, env, "version")
		check(false, env, "completion", "bash")
		check(true, env, "workers")
	}
	if left, _ := filepath.Glob(filepath.Join(nowhere, "*")); len(left) > 0 {
		t.Errorf("help left %v behind", left)
	}
	if left, _ := filepath.Glob(filepath.Join(nowhere, ".*")); len(left) > 0 {
		t.Errorf("help left %v behind", left)
	}
}

// TAB offers names of workers. Whatever is wrong, it offers nothing, says
// nothing, and is quick.
func TestRemoteCompletion(t *testing.T) {
	t.Parallel()
	s := clitest.Serve(t, emulator.Options{Agents: 40, SeedValue: 7})
	const directive = "Completion ended with directive: ShellCompDirectiveNoFileComp\n"
	complete := func(s *clitest.Flexvc, args ...string) []string {
		t.Helper()
		exit, stdout, stderr := s.Outputs(append([]string{"__complete"}, args...)...)
		if exit != 0 || stderr != directive || !strings.HasSuffix(stdout, ":4\n") {
			t.Errorf("completing %q exits with %d\n%s%s", args, exit, stdout, stderr)
		}
		return strings.Split(strings.TrimSuffix(stdout, ":4\n"), "\n")
	}
	names := map[string]bool{}
	for _, w := range s.Export().Workers {
		names[w.FriendlyName] = true
	}
	for _, command := range [][]string{{"workers", "show"}, {"workers", "list"}, {"workers", "enable"}, {"workers", "disable", "somebody"}} {
		if got := len(complete(s, append(command, "")...)) - 1; got != len(names) {
			t.Errorf("completing %q offers %d of %d names", command, got, len(names))
		}
		offered := complete(s, append(command, "JU")...)
		for _, line := range offered[:len(offered)-1] {
			name, sid, _ := strings.Cut(line, "\t")
			if !names[name] || !strings.HasPrefix(name, "ju") || !shortSID.MatchString(sid) {
				t.Errorf("completing %q JU offers %q", command, line)
			}
		}
		if len(offered) < 2 {
			t.Errorf("completing %q JU offers nothing", command)
		}
	}
	if err := s.SetFaults("ListWorker:truncate*1"); err != nil {
		t.Fatal(err)
	}
	if got := len(complete(s, "workers", "show", "")) - 1; got != len(names) {
		t.Errorf("after a torn list %d of %d names are offered", got, len(names))
	}

	for _, fault := range []string{"*:401", "*:503html", "ListWorker:delay=1h"} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			s := clitest.Serve(t, emulator.Options{Agents: 5, Faults: []string{fault}})
			if offered := complete(s, "workers", "show", ""); len(offered) != 1 {
				t.Errorf("offers %q", offered)
			}
		})
	}
	t.Run("a server that never answers", func(t *testing.T) {
		t.Parallel()
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		s := &clitest.Flexvc{T: t, State: t.TempDir()}
		at, _ := json.Marshal(cli.Address{URL: "http://" + listener.Addr().String()})
		if err := os.MkdirAll(filepath.Join(s.State, "emulator"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(s.State, "emulator", cli.AddressFile), at, 0o600); err != nil {
			t.Fatal(err)
		}
		// Without a running emulator there is one in the process.
		if offered := complete(s, "workers", "show", "nobody"); len(offered) != 1 {
			t.Errorf("offers %q", offered)
		}
	})
	t.Run("no credentials", func(t *testing.T) {
		t.Parallel()
		s := &clitest.Flexvc{T: t, State: t.TempDir()}
		cmd, out := s.Command("__complete", "workers", "show", "")
		cmd.Env = []string{"HOME=" + s.State, "PATH=" + os.Getenv("PATH")}
		if err := cmd.Run(); err != nil || out.String() != ":4\n"+directive {
			t.Errorf("%v: %s", err, out)
		}
	})
}
