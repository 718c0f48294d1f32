//go:build !windows

package tree

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/flexvc/flexvc/internal/cli/clitest"
	"github.com/flexvc/flexvc/internal/emulator"
)

// lasting is a flexvc that goes on until it is stopped.
type lasting struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines *bufio.Scanner
}

func start(s *clitest.Flexvc, stream func(*exec.Cmd) (io.ReadCloser, error), args ...string) *lasting {
	s.T.Helper()
	cmd, _ := s.Command(args...)
	cmd.Stdout, cmd.Stderr = nil, nil
	from, err := stream(cmd)
	clitest.Check(s.T, err)
	clitest.Check(s.T, cmd.Start())
	l := &lasting{s.T, cmd, bufio.NewScanner(from)}
	s.T.Cleanup(l.stop)
	return l
}

// until reads lines up to one that matches, whose last group it returns.
func (l *lasting) until(pattern string) string {
	l.t.Helper()
	re := regexp.MustCompile(pattern)
	var before []string
	for l.lines.Scan() {
		if found := re.FindStringSubmatch(l.lines.Text()); found != nil {
			return found[len(found)-1]
		}
		before = append(before, l.lines.Text())
	}
	l.t.Fatalf("%q ends without a line that matches %s:\n%s", l.cmd.Args, pattern, strings.Join(before, "\n"))
	return ""
}

func (l *lasting) stop() {
	if l.cmd.ProcessState != nil {
		return
	}
	clitest.Check(l.t, l.cmd.Process.Signal(syscall.SIGTERM))
	for l.lines.Scan() {
	}
	_ = l.cmd.Wait() // stopped: 0 or 130
}

// What a watch tells programs while it lasts.
func TestJSONOfAWatch(t *testing.T) {
	t.Parallel()
	s := clitest.Serve(t, emulator.Options{Agents: 5, SeedValue: 7})
	w := start(s, (*exec.Cmd).StdoutPipe, "watch", "-o", "json", "--interval", "1s")
	w.until(`"event":"summary","workers":5,`)
	clitest.Check(t, s.Edit(s.ExportWorkers()[0].SID, `{"extensionVoiceClientEnabled":true,"contact_uri":"client:ext_x"}`))
	w.until(`"event":"change".*"from":\{"state":.*"to":\{"state":`)
	clitest.Check(t, s.SetFaults("ListWorker:400"))
	w.until(`"event":"lost","since":"20.*","reason":"`)
	clitest.Check(t, s.SetFaults())
	w.until(`"event":"live"`)
}

// What it tells of events, and what rollout status tells of a server.
func TestJSONOfAServer(t *testing.T) {
	t.Parallel()
	s := clitest.Serve(t, emulator.Options{Agents: 5, SeedValue: 7})
	app := filepath.Join(t.TempDir(), "app")
	clitest.Check(t, os.Mkdir(app, 0o755))
	clitest.Check(t, os.WriteFile(filepath.Join(app, "manifest.json"), []byte(`{"manifest_version":3,"name":"sample","version":"1.2.3"}`), 0o644))
	packed := filepath.Join(t.TempDir(), "sample.crx")
	s.Wants(0, []string{"init", "--yes"})
	s.Wants(0, []string{"pack", "--from", app, "--out", packed})
	server := start(s, (*exec.Cmd).StderrPipe, "serve", "--events", "--extension", packed,
		"--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--allow-origin", "chrome-extension://"+strings.Repeat("a", 32))
	at := server.until(`streamed on (http://\S+)/events/stream`)
	s.Wants(0, []string{"rollout", "status", "--server", at, "-o", "json"}, `"version":"1\.2\.3",.*"stage":100,.*"fleet":\[\]`)
	w := start(s, (*exec.Cmd).StdoutPipe, "watch", "-o", "json", "--events", at)
	w.until(`"event":"events_live"`)
	server.stop()
	w.until(`"event":"events_lost","interval_s":\d+,"reason":"`)
}
