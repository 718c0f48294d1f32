//go:build !windows

package watch_test

import (
	"strings"
	"syscall"
	"testing"

	"github.com/flexvc/flexvc/internal/cli/clitest"
	"github.com/flexvc/flexvc/internal/emulator"
)

// centre is a workspace with a worker in each state but one.
var centre = &emulator.Seed{
	Activities: []emulator.SeedActivity{{FriendlyName: "Offline"}, {FriendlyName: "Available", Available: true}, {FriendlyName: "Voice Client Offline"}},
	Workers: []emulator.SeedWorker{
		{FriendlyName: "alice", Activity: "Available", Attributes: `{"extensionVoiceClientEnabled":true,"contact_uri":"client:ext_alice"}`},
		{FriendlyName: "bob", Activity: "Available", Attributes: `{"contact_uri":"client:bob"}`},
		{FriendlyName: "carol", Activity: "Available", Attributes: `{"extensionVoiceClientEnabled":true,"contact_uri":"client:carol"}`},
		{FriendlyName: "dave", Activity: "Voice Client Offline", Attributes: `{"extensionVoiceClientEnabled":true,"contact_uri":"client:ext_dave"}`},
		{FriendlyName: "erin", Activity: "Available", Attributes: `{"extensionVoiceClientEnabled":false, "contact_uri":"client:ext_erin"}`},
		{FriendlyName: "frank", Activity: "Offline", Attributes: `{"extensionVoiceClientEnabled":true,"contact_uri":"client:frank"}`},
		{FriendlyName: "walt", Activity: "Offline", Attributes: `walt`},
	},
}

// serveCentre serves it, with the plugin released.
func serveCentre(t *testing.T) *clitest.Flexvc {
	t.Helper()
	s := clitest.Serve(t, emulator.Options{Seed: centre})
	return s
}

func TestWatchScreen(t *testing.T) {
	t.Parallel()
	s := serveCentre(t)
	tm := s.WatchOn(100, 24)
	tm.Await(`flexvc watch   Flex Task Assignment WS….{4}   7 workers   live, \d s ago`,
		`^ > carol +Available +client:carol +drift`, `^   dave +Voice Client Offline +client:ext_dave +offline`,
		`^   erin .* stale`, `^   walt .* invalid`, `^   frank .* pending +–`, `^   alice .* ok`,
		`1–7 of 7    2 ok  1 pending  1 drift  1 stale  1 offline  1 invalid    . drift, last hour`)

	tm.Types("/")
	tm.Types("state:stale,drift")
	tm.Await(`filter: state:stale,drift_`)
	tm.Presses("Enter")
	if screen := tm.Await(`1–2 of 2`, `carol`, `erin`); strings.Contains(screen, "alice") {
		t.Errorf("the filter lets others through:\n%s", screen)
	}
	tm.Presses("Escape")
	tm.Await(`1–7 of 7`)

	tm.Types("s")
	tm.Await(`sort: worker`, `^ > alice(.*\n)   bob(.*\n)   carol`)
	tm.Types("sss")
	tm.Await(`sort: state, worst first`)

	tm.Presses("g", "Enter")
	tm.Await(`^ carol   WK[0-9a-f]{32}`, `nothing has changed since`)
	if err := s.Edit(s.SID("carol"), `{"extensionVoiceClientEnabled":true,"contact_uri":"client:ext_carol"}`); err != nil {
		t.Fatal(err)
	}
	tm.Await(`^ > carol .* ok`)
	tm.Types("/carol")
	tm.Presses("Enter")
	tm.Await(`drift → ok  client:carol → client:ext_carol`)

	tm.Types("c")
	tm.Await(`copied WK[0-9a-f]{32}`)
	tm.Types("q")
	tm.Left(0)
}

// TestWatchResize: rows and columns follow the window.
func TestWatchResize(t *testing.T) {
	t.Parallel()
	s := clitest.Serve(t, emulator.Options{Agents: 100, SeedValue: 5})
	tm := s.WatchOn(100, 24)
	tm.Await(`1–17 of 100`, `SINCE`)
	tm.Run("resize-window", "-x", "60", "-y", "15")
	if screen := tm.Await(`1–8 of 100`, `enter details  / filter`); strings.Contains(screen, "SINCE") {
		t.Errorf("60 columns have no room for the time:\n%s", screen)
	}
	tm.Presses("End")
	tm.Await(`93–100 of 100`)
	tm.Run("resize-window", "-x", "200", "-y", "60")
	screen := tm.Await(`48–100 of 100`, `SINCE`, `copy sid   \? keys   q quit`)
	if strings.Contains(screen, "…_2Eexample") {
		t.Errorf("200 columns have room for a whole address:\n%s", screen)
	}
	tm.Types("q")
	tm.Left(0)
}

// TestWatchFix: a stale worker is repaired after a yes, and the repair can be
// taken back.
func TestWatchFix(t *testing.T) {
	t.Parallel()
	s := serveCentre(t)
	before := s.Attributes()
	tm := s.WatchOn(80, 24, "--filter", "erin")
	tm.Await(`^ > erin .* stale`)
	tm.Types("f")
	tm.Await(`flexvc watch: fix erin`, `~ contact_uri`, `"client:ext_erin"`, `→  "client:erin"`)
	tm.Types("no")
	tm.Presses("Enter")
	tm.Await(`nothing was changed`)
	s.WantAttributes("after a no", before)
	clitest.WantNoRun(t, s)

	tm.Types("f")
	tm.Await(`Only "yes" is accepted`)
	tm.Types("yes")
	tm.Presses("Enter")
	tm.Await(`erin repaired; undo: flexvc runs rollback [0-9A-Z]{6}`, `^ > erin +Available +client:erin +ok`)
	want := `{"extensionVoiceClientEnabled":false, "contact_uri":"client:erin"}`
	if got := s.Attributes()[s.SID("erin")]; got != want {
		t.Errorf("erin has %s, want %s", got, want)
	}
	tm.Types("q")
	tm.Left(0)

	run := s.LatestRun()
	s.Wants(0, []string{"runs", "list"}, run+`.*watch`)
	s.Wants(0, []string{"runs", "rollback", run, "--yes"}, `1 restored`)
	s.WantAttributes("after the rollback", before)
}

// TestWatchFixOfAWorkerThatWasEnabledMeanwhile: taking the prefix off would take
// the agent off the extension.
func TestWatchFixOfAWorkerThatWasEnabledMeanwhile(t *testing.T) {
	t.Parallel()
	s := serveCentre(t)
	tm := s.WatchOn(80, 24, "--filter", "erin", "--interval", "1h")
	tm.Await(`^ > erin .* stale`)
	enabled := `{"extensionVoiceClientEnabled":true,"contact_uri":"client:ext_erin"}`
	if err := s.Edit(s.SID("erin"), enabled); err != nil {
		t.Fatal(err)
	}
	tm.Types("f")
	tm.Await(`nothing to fix`, `^ > erin .* ok`)
	if got := s.Attributes()[s.SID("erin")]; got != enabled {
		t.Errorf("erin has %s", got)
	}
	clitest.WantNoRun(t, s)
	tm.Types("q")
	tm.Left(0)
}

// TestWatchLostConnection: the rows stay, with their age, until Twilio is back.
func TestWatchLostConnection(t *testing.T) {
	t.Parallel()
	s := serveCentre(t)
	tm := s.WatchOn(100, 24)
	tm.Await(`live, \d+ s ago`, `carol .* drift`)
	if err := s.SetFaults("ListWorker:503"); err != nil {
		t.Fatal(err)
	}
	tm.Await(`stale data, \d+ s ago, retrying in \d+ s`, `carol .* drift`, `alice .* ok`)
	if err := s.SetFaults(); err != nil {
		t.Fatal(err)
	}
	tm.Types("r")
	tm.Await(`live, \d+ s ago`)
	tm.Types("q")
	tm.Left(0)
}

func TestWatchIsInterrupted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		send func(*clitest.Tmux, *clitest.Flexvc)
		want string
	}{
		{"by ^C", func(tm *clitest.Tmux, _ *clitest.Flexvc) { tm.Presses("C-c") }, ""},
		{"by ^C while typing a filter", func(tm *clitest.Tmux, _ *clitest.Flexvc) { tm.Types("/na"); tm.Presses("C-c") }, ""},
		{"by SIGTERM", func(tm *clitest.Tmux, _ *clitest.Flexvc) { tm.Signal(syscall.SIGTERM) }, "interrupted"},
		{"by SIGINT", func(tm *clitest.Tmux, _ *clitest.Flexvc) { tm.Signal(syscall.SIGINT) }, "interrupted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := serveCentre(t)
			tm := s.WatchOn(80, 24)
			tm.T = t
			tm.Await(`live`)
			c.send(tm, s)
			if screen := tm.Left(130); !strings.Contains(screen, c.want) {
				t.Errorf("it does not say %q:\n%s", c.want, screen)
			}
		})
	}
}
