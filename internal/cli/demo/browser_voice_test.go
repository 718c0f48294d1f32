//go:build voice

package demo

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/flexvc/flexvc/extension"
	"github.com/flexvc/flexvc/internal/cli/clitest"
	"github.com/flexvc/flexvc/internal/problem"
)

// stand is a demo in the browser whose folders and processes can be told from
// all others by where they are.
type stand struct {
	*clitest.Terminal
	temp string
}

// The page that plays Flex speaks as the plugin and the extension do.
func TestDemoPageSpeaksTheProtocolOfThePlugin(t *testing.T) {
	for path, pattern := range map[string]string{
		"plugin/src/messages.ts":           `(?m)^export const protocol = (\d+);$`,
		"extension/app/background/view.js": `(?m)^export const protocol = (\d+);$`,
	} {
		text, err := os.ReadFile(filepath.Join("..", "..", "..", path))
		if err != nil {
			t.Fatal(err)
		}
		spoken := regexp.MustCompile(pattern).FindSubmatch(text)
		if spoken == nil {
			t.Fatalf("%s names no protocol", path)
		}
		if want := "protocol: " + string(spoken[1]) + ","; !strings.Contains(demoPage, want) {
			t.Errorf("demo.html does not say %q, as %s does", want, path)
		}
	}
}

// demoInBrowser starts the demo on a pseudo-terminal. Without a browser of its
// own it is Chromium, with no window.
func demoInBrowser(t *testing.T, browser string) *stand {
	t.Helper()
	if !extension.HasVoiceSDK() {
		t.Skip("the Voice SDK is not in this binary: make bin/flexvc-voice fetches it")
	}
	args := []string{}
	if browser == "" {
		var err error
		if browser, err = exec.LookPath("chromium"); err != nil {
			t.Skip("chromium is not installed: scripts/tools.sh chromium")
		}
		args = []string{"--browser-arg=--headless=new", "--browser-arg=--use-fake-device-for-media-stream", "--browser-arg=--remote-debugging-port=0"}
	}
	// Chromium's sockets are in there; t.TempDir's long path is too long for them.
	temp, err := os.MkdirTemp("", "demo")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(temp) })
	s := &clitest.Flexvc{T: t, State: t.TempDir()}
	d := &stand{temp: temp}
	d.Terminal = s.Terminal(120, append([]string{"CHROMIUM=" + browser, "TMPDIR=" + temp, "demo", "--browser", "--agents", "20"}, args...)...)
	t.Cleanup(func() { // of a test that failed
		for _, pid := range d.processes() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	return d
}

// processes are those of the browser: Chromium hands its profile's folder to
// every one of them, and the browsers that are played name it too.
func (d *stand) processes() (pids []int) {
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range lines {
		text, err := os.ReadFile(path)
		environ, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "environ"))
		if err != nil || !bytes.Contains(append(text, environ...), []byte(d.temp+"/flexvc-demo")) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// nothingLeft wants the demo ended with this code, its browser with it, and its
// folder gone.
func (d *stand) nothingLeft(code int) string {
	d.T.Helper()
	screen := d.Exit(code)
	if left := d.processes(); len(left) > 0 {
		d.T.Errorf("processes are left: %v", left)
	}
	names, err := filepath.Glob(filepath.Join(d.temp, "*"))
	if err != nil || len(names) > 0 {
		d.T.Errorf("left in the folder for temporary files: %v, %v", names, err)
	}
	return screen
}

// answered waits for a call that somebody talks in, and for proof that the test
// would see a process that is left.
func (d *stand) answered() {
	d.T.Helper()
	d.Await("answered +after")
	if len(d.processes()) < 3 {
		d.T.Fatalf("only processes %v are seen of a browser that runs", d.processes())
	}
}

func (d *stand) signal(s os.Signal) {
	d.T.Helper()
	if err := d.Cmd.Process.Signal(s); err != nil {
		d.T.Fatal(err)
	}
}

func TestDemoBrowserEndsWithCtrlC(t *testing.T) {
	d := demoInBrowser(t, "")
	d.answered()
	d.Types(clitest.CtrlC)
	screen := d.nothingLeft(problem.ExitDone)
	clitest.WantMatch(t, screen, `(^|\^C)ended +after .*: customer$`)
}

func TestDemoBrowserEndsWhenTerminated(t *testing.T) {
	for _, s := range []os.Signal{syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(s.String(), func(t *testing.T) {
			d := demoInBrowser(t, "")
			d.answered()
			d.signal(s)
			d.nothingLeft(problem.ExitDone)
		})
	}
}

func TestDemoBrowserEndsWithItsBrowser(t *testing.T) {
	d := demoInBrowser(t, "")
	d.answered()
	d.closeBrowser()
	d.nothingLeft(problem.ExitDone)
}

// closeBrowser closes it as its menu does.
func (d *stand) closeBrowser() {
	d.T.Helper()
	ports, err := filepath.Glob(filepath.Join(d.temp, "flexvc-demo*", "profile", "DevToolsActivePort"))
	if err != nil || len(ports) != 1 {
		d.T.Fatalf("Chromium's port: %v, %v", ports, err)
	}
	text, err := os.ReadFile(ports[0])
	if err != nil {
		d.T.Fatal(err)
	}
	port, path, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	ctx, cancel := context.WithTimeout(d.T.Context(), clitest.Patience)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, "ws://127.0.0.1:"+port+path, nil)
	if err != nil {
		d.T.Fatal(err)
	}
	defer conn.CloseNow()
	if err := conn.Write(ctx, websocket.MessageText, []byte(`{"id":1,"method":"Browser.close"}`)); err != nil {
		d.T.Fatal(err)
	}
}

// playedBrowser is a program that stands for Chromium.
func playedBrowser(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "browser")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDemoBrowserThatCannotStart(t *testing.T) {
	d := demoInBrowser(t, playedBrowser(t, "sleep 1000 &\necho 'no display' >&2\nexit 7\n"))
	screen := d.nothingLeft(problem.ExitFailed)
	clitest.WantMatch(t, screen, `the browser exited unexpectedly: exit status 7: no display`, `--version`)

	d = demoInBrowser(t, filepath.Join(t.TempDir(), "none"))
	clitest.WantMatch(t, d.nothingLeft(problem.ExitFailed), `cannot open a browser: .* not found`)

	broken := filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(broken, []byte("\x7fELF"), 0o755); err != nil {
		t.Fatal(err)
	}
	d = demoInBrowser(t, broken)
	clitest.WantMatch(t, d.nothingLeft(problem.ExitFailed), `cannot start .*broken: exec format error`)
}

// TestDemoBrowserThatWillNotEnd is killed with all that it started: when it was
// waited for, or at once when the person does not want to wait.
func TestDemoBrowserThatWillNotEnd(t *testing.T) {
	const stubborn = "trap '' TERM INT HUP\nsleep 1000 &\necho ready > \"$TMPDIR/ready\"\nwhile :; do sleep 1000; done\n"
	for name, presses := range map[string]int{"patience": 1, "none": 2} {
		t.Run(name, func(t *testing.T) {
			d := demoInBrowser(t, playedBrowser(t, stubborn))
			d.Await("nothing is left behind")
			late := time.After(clitest.Patience)
			for {
				if ready, _ := filepath.Glob(filepath.Join(d.temp, "flexvc-demo*", "ready")); len(ready) > 0 {
					break
				}
				select {
				case <-time.After(10 * time.Millisecond):
				case <-late:
					t.Fatal("the browser does not start")
				}
			}
			for range presses {
				d.Types(clitest.CtrlC)
			}
			d.nothingLeft(problem.ExitDone)
		})
	}
}
