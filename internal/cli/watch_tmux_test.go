//go:build !windows

package cli

import (
	"strings"
	"syscall"
	"testing"

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

func TestWatchScreen(t *testing.T) {
	t.Parallel()
	s := serveEmulator(t, emulator.Options{Seed: centre})
	tm := s.watchOn(100, 24)
	tm.await(`flexvc watch   Flex Task Assignment WS….{4}   7 workers   live, \d s ago`,
		`^ > carol +Available +client:carol +drift`, `^   dave +Voice Client Offline +client:ext_dave +offline`,
		`^   erin .* stale`, `^   walt .* invalid`, `^   frank .* pending +–`, `^   alice .* ok`,
		`1–7 of 7    2 ok  1 pending  1 drift  1 stale  1 offline  1 invalid    . drift, last hour`)

	tm.types("/")
	tm.types("state:stale,drift")
	tm.await(`filter: state:stale,drift_`)
	tm.presses("Enter")
	if screen := tm.await(`1–2 of 2`, `carol`, `erin`); strings.Contains(screen, "alice") {
		t.Errorf("the filter lets others through:\n%s", screen)
	}
	tm.presses("Escape")
	tm.await(`1–7 of 7`)

	tm.types("s")
	tm.await(`sort: worker`, `^ > alice(.*\n)   bob(.*\n)   carol`)
	tm.types("sss")
	tm.await(`sort: state, worst first`)

	tm.presses("g", "Enter")
	tm.await(`^ carol   WK[0-9a-f]{32}`, `nothing has happened to it`)
	if err := s.Edit(s.sid("carol"), `{"extensionVoiceClientEnabled":true,"contact_uri":"client:ext_carol"}`); err != nil {
		t.Fatal(err)
	}
	tm.await(`^ > carol .* ok`)
	tm.types("/carol")
	tm.presses("Enter")
	tm.await(`drift → ok  client:carol → client:ext_carol`)

	tm.types("c")
	tm.await(`copied WK[0-9a-f]{32}`)
	tm.types("q")
	tm.left(0)
}

// TestWatchResize: rows and columns follow the window.
func TestWatchResize(t *testing.T) {
	t.Parallel()
	s := serveEmulator(t, emulator.Options{Agents: 100, SeedValue: 5})
	tm := s.watchOn(100, 24)
	tm.await(`1–17 of 100`, `SINCE`)
	tm.run("resize-window", "-x", "60", "-y", "15")
	if screen := tm.await(`1–8 of 100`, `enter details  / filter`); strings.Contains(screen, "SINCE") {
		t.Errorf("60 columns have no room for the time:\n%s", screen)
	}
	tm.presses("End")
	tm.await(`93–100 of 100`)
	tm.run("resize-window", "-x", "200", "-y", "60")
	screen := tm.await(`48–100 of 100`, `SINCE`, `copy sid   \? keys   q quit`)
	if strings.Contains(screen, "…_2Eexample") {
		t.Errorf("200 columns have room for a whole address:\n%s", screen)
	}
	tm.types("q")
	tm.left(0)
}

// TestWatchFix: a stale worker is repaired after a yes, and the repair can be
// taken back.
func TestWatchFix(t *testing.T) {
	t.Parallel()
	s := serveEmulator(t, emulator.Options{Seed: centre})
	before := s.attributes()
	tm := s.watchOn(80, 24, "--filter", "erin")
	tm.await(`^ > erin .* stale`)
	tm.types("f")
	tm.await(`flexvc watch: fix erin`, `~ contact_uri`, `"client:ext_erin"`, `→  "client:erin"`)
	tm.types("no")
	tm.presses("Enter")
	tm.await(`nothing was changed`)
	s.wantAttributes("after a no", before)
	wantNoRun(t, s)

	tm.types("f")
	tm.await(`Only "yes" is accepted`)
	tm.types("yes")
	tm.presses("Enter")
	tm.await(`erin is repaired; undo: flexvc runs rollback [0-9A-Z]{6}`, `^ > erin +Available +client:erin +ok`)
	want := `{"extensionVoiceClientEnabled":false, "contact_uri":"client:erin"}`
	if got := s.attributes()[s.sid("erin")]; got != want {
		t.Errorf("erin has %s, want %s", got, want)
	}
	tm.types("q")
	tm.left(0)

	run := s.latestRun()
	s.wants(0, []string{"runs", "list"}, run+`.*watch`)
	s.wants(0, []string{"runs", "rollback", run, "--yes"}, `1 restored`)
	s.wantAttributes("after the rollback", before)
}

// TestWatchFixOfAWorkerThatWasEnabledMeanwhile: taking the prefix off would take
// the agent off the extension.
func TestWatchFixOfAWorkerThatWasEnabledMeanwhile(t *testing.T) {
	t.Parallel()
	s := serveEmulator(t, emulator.Options{Seed: centre})
	tm := s.watchOn(80, 24, "--filter", "erin", "--interval", "1h")
	tm.await(`^ > erin .* stale`)
	enabled := `{"extensionVoiceClientEnabled":true,"contact_uri":"client:ext_erin"}`
	if err := s.Edit(s.sid("erin"), enabled); err != nil {
		t.Fatal(err)
	}
	tm.types("f")
	tm.await(`nothing is left to fix`, `^ > erin .* ok`)
	if got := s.attributes()[s.sid("erin")]; got != enabled {
		t.Errorf("erin has %s", got)
	}
	wantNoRun(t, s)
	tm.types("q")
	tm.left(0)
}

// TestWatchLostConnection: the rows stay, with their age, until Twilio is back.
func TestWatchLostConnection(t *testing.T) {
	t.Parallel()
	s := serveEmulator(t, emulator.Options{Seed: centre})
	tm := s.watchOn(100, 24)
	tm.await(`live, \d+ s ago`, `carol .* drift`)
	if err := s.SetFaults("ListWorker:503"); err != nil {
		t.Fatal(err)
	}
	tm.await(`stale data, \d+ s ago, retrying in \d+ s`, `carol .* drift`, `alice .* ok`)
	if err := s.SetFaults(); err != nil {
		t.Fatal(err)
	}
	tm.types("r")
	tm.await(`live, \d+ s ago`)
	tm.types("q")
	tm.left(0)
}

func TestWatchIsInterrupted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		send func(*tmux, *served)
		want string
	}{
		{"by ^C", func(tm *tmux, _ *served) { tm.presses("C-c") }, ""},
		{"by ^C while typing a filter", func(tm *tmux, _ *served) { tm.types("/na"); tm.presses("C-c") }, ""},
		{"by SIGTERM", func(tm *tmux, _ *served) { tm.signal(syscall.SIGTERM) }, "interrupted"},
		{"by SIGINT", func(tm *tmux, _ *served) { tm.signal(syscall.SIGINT) }, "interrupted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := serveEmulator(t, emulator.Options{Seed: centre})
			tm := s.watchOn(80, 24)
			tm.t = t
			tm.await(`live`)
			c.send(tm, s)
			if screen := tm.left(130); !strings.Contains(screen, c.want) {
				t.Errorf("it does not say %q:\n%s", c.want, screen)
			}
		})
	}
}
