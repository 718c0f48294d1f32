package tree

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/cli/clitest"
	"github.com/flexvc/flexvc/internal/emulator"
)

// TestStories runs testdata/script: what people type, and what they see.
func TestStories(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *clitest.Update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			home := filepath.Join(env.WorkDir, "home")
			if err := os.MkdirAll(home, 0o700); err != nil {
				return err
			}
			env.Setenv("HOME", home)
			env.Setenv(clitest.LinesFolder, os.Getenv(clitest.LinesFolder))
			env.Setenv("XDG_CONFIG_HOME", "")
			env.Setenv("XDG_STATE_HOME", "")
			env.Setenv("COLUMNS", "100")
			env.Setenv("TERM", "xterm-256color")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"account":    account,
			"control":    control,
			"emulator":   startEmulator,
			"plugin":     loadPlugin,
			"exits":      exits,
			"stdout2env": stdout2env,
		},
	})
}

// exits N COMMAND... runs a command and wants exactly that exit code; stdout
// and stderr are then there for the commands of the same names.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits N command [args...]")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if e, ok := err.(interface{ ExitCode() int }); ok {
		got = strconv.Itoa(e.ExitCode())
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got != args[0] {
		ts.Fatalf("exit code is %s, want %s", got, args[0])
	}
}

// stdout2env NAME REGEXP sets a variable to what the first group matches in the
// standard output of the command before.
func stdout2env(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: stdout2env name regexp")
	}
	match := regexp.MustCompile(args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(match) != 2 {
		ts.Fatalf("nothing in standard output matches %s", args[1])
	}
	ts.Setenv(args[0], match[1])
}

// emulator ARGS... serves an emulated account to the commands that follow with
// -p emulator, until the story ends or the next one starts.
func startEmulator(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: emulator [args...]")
	}
	cmd := exec.Command("flexvc", append([]string{"emulator", "-o", "json", "--listen", "127.0.0.1:0"}, args...)...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), "HOME="+ts.Getenv("HOME"), "FLEXVC_STATE_DIR="+ts.Getenv("FLEXVC_STATE_DIR"), "XDG_STATE_HOME=")
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	stdout, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	ts.Defer(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait() // interrupted: 0 or 130
	})
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		ts.Fatalf("the emulator does not start: %s", complaint.String())
	}
	var at struct{ URL string }
	ts.Check(json.Unmarshal(line, &at))
	ts.Setenv("EMULATOR", at.URL)
	answer, ok := asked(ts, http.MethodGet, "account", "")
	if !ok {
		ts.Fatalf("the emulator answers %s", answer)
	}
	var own emulator.Account
	ts.Check(json.Unmarshal(answer, &own))
	for name, value := range map[string]string{"ACCOUNT": own.SID, "AUTH_TOKEN": own.AuthToken, "API_KEY": own.KeySID, "API_SECRET": own.KeySecret} {
		ts.Setenv(name, value)
	}
}

// control NAME BODY posts to the control plane of the story's emulator; "!" wants
// it to refuse.
func control(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: [!] control name body")
	}
	answer, ok := asked(ts, http.MethodPost, args[0], args[1])
	if ok == neg {
		ts.Fatalf("the emulator answers %s", answer)
	}
}

// plugin has the Flex of the story's emulator load the plugin.
func loadPlugin(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: plugin")
	}
	app := clitest.App(ts.Getenv("FLEXVC_STATE_DIR"), io.Discard)
	app.Global.Profile = "emulator"
	session, err := app.Open(context.Background(), cli.SessionOptions{})
	ts.Check(err)
	defer session.Release()
	ts.Check(clitest.LoadPlugin(context.Background(), session.Client))
}

// account FILE writes all that the emulated account holds to a file, to be
// compared with what it holds later.
func account(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: account file")
	}
	answer, ok := asked(ts, http.MethodGet, "state", "")
	if !ok {
		ts.Fatalf("the emulator answers %s", answer)
	}
	var state map[string]json.RawMessage
	ts.Check(json.Unmarshal(answer, &state))
	delete(state, "now")
	text, err := json.MarshalIndent(state, "", " ")
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), text, 0o600))
}

func asked(ts *testscript.TestScript, method, name, body string) (answer []byte, ok bool) {
	req, err := http.NewRequest(method, ts.Getenv("EMULATOR")+"/_emulator/"+name, strings.NewReader(body))
	ts.Check(err)
	req.Header.Set(emulator.ControlHeader, "story")
	res, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer res.Body.Close()
	answer, err = io.ReadAll(res.Body)
	ts.Check(err)
	return answer, res.StatusCode == http.StatusOK
}
