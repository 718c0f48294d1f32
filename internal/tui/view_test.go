package tui

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/fleet"
	"github.com/flexvc/flexvc/internal/workers"
)

var update = flag.Bool("update", false, "rewrite the golden files and the pictures")

var now = time.Date(2026, 3, 4, 14, 2, 11, 0, time.UTC)

// quiet is a source that does nothing by itself.
type quiet struct {
	refreshed int
	proposal  *workers.Proposal
	err       error
}

func (q *quiet) Follow(ctx context.Context, _ func(fleet.Update)) error {
	<-ctx.Done()
	return ctx.Err()
}
func (q *quiet) Refresh() { q.refreshed++ }
func (q *quiet) Propose(context.Context, string) (*workers.Proposal, error) {
	return q.proposal, q.err
}

func row(i int, name, activity, uri string, flag attributes.Flag, state fleet.State, since string) fleet.Row {
	r := fleet.Row{
		SID: fmt.Sprintf("WK%032x", i+1), Name: name, ActivityName: activity, State: state,
		Facts: fleet.Facts{Flag: flag, ContactURI: uri},
	}
	if since != "" {
		at, err := time.Parse("15:04:05", since)
		if err != nil {
			panic(err)
		}
		r.Since = time.Date(now.Year(), now.Month(), now.Day(), at.Hour(), at.Minute(), at.Second(), 0, time.UTC)
	}
	return r
}

func sampleRows() []fleet.Row {
	return []fleet.Row{
		row(0, "alice", "Available", "client:ext_alice", attributes.Enabled, fleet.StateOK, "14:01:07"),
		row(1, "carol", "Available", "client:carol", attributes.Enabled, fleet.StateDrift, "13:58:44"),
		row(2, "dave", "Voice Client Offline", "client:ext_dave", attributes.Enabled, fleet.StateOffline, "09:12:30"),
		row(3, "erin", "Available", "client:ext_erin", attributes.Disabled, fleet.StateStale, "08:00:02"),
		row(4, "frank", "Offline", "client:frank", attributes.Enabled, fleet.StatePending, ""),
		row(5, "grace", "Break", "+15551234567", attributes.Unset, fleet.StateForeign, "10:20:30"),
		row(6, "walt", "Offline", "", attributes.Invalid, fleet.StateInvalid, "11:00:00"),
		row(7, "małgorzata.zielińska-kowalska@contact.example.com", "A very long name of an activity", "client:ext_ma_C5_82gorzata_2Ezieli_C5_84ska_2Dkowalska_40contact_2Eexample_2Ecom", attributes.Enabled, fleet.StateOK, "12:00:00"),
		row(8, "陽菜.tanaka", "Available", "client:ext__E9_99_BD_E8_8F_9C_2Etanaka", attributes.Enabled, fleet.StateOK, "12:30:00"),
		row(9, "trent\x1b[31m\u202e", "Break", "client:trent", attributes.Disabled, fleet.StateOK, "07:00:00"),
	}
}

func live() fleet.Status {
	return fleet.Status{Sweeps: 3, Read: 10, Total: 10, Whole: now.Add(-2 * time.Second)}
}

// screen is a model that has read the samples.
func screen(width, height int, color bool) *model {
	return screenOf(&quiet{}, width, height, color)
}

func screenOf(source Source, width, height int, color bool) *model {
	m := newModel(context.Background(), source, Options{
		Title: "Flex Task Assignment WS…91c0", Now: func() time.Time { return now }, Location: time.UTC, Color: color,
	})
	m.Update(tea.WindowSizeMsg{Width: width, Height: height})
	m.Update(updateMsg{Rows: sampleRows(), Status: live()})
	return m
}

// press types keys: a rune each, or a name in <>.
func press(m *model, keys string) tea.Cmd {
	var cmd tea.Cmd
	for keys != "" {
		var k tea.KeyPressMsg
		if name, rest, ok := strings.Cut(strings.TrimPrefix(keys, "<"), ">"); ok && keys[0] == '<' {
			keys = rest
			switch name {
			case "enter":
				k.Code = tea.KeyEnter
			case "esc":
				k.Code = tea.KeyEscape
			case "backspace":
				k.Code = tea.KeyBackspace
			case "down":
				k.Code = tea.KeyDown
			case "ctrl+c":
				k.Code, k.Mod = 'c', tea.ModCtrl
			case "ctrl+w":
				k.Code, k.Mod = 'w', tea.ModCtrl
			case "ctrl+u":
				k.Code, k.Mod = 'u', tea.ModCtrl
			default:
				panic("no key " + name)
			}
		} else {
			r := []rune(keys)[0]
			keys = string([]rune(keys)[1:])
			k.Code, k.Text = r, string(r)
		}
		_, cmd = m.Update(k)
	}
	return cmd
}

func difference(from, to fleet.State, uriFrom, uriTo string, at time.Time) fleet.Difference {
	return fleet.Difference{
		SID: fmt.Sprintf("WK%032x", 2), Name: "carol", At: at, Seen: at,
		From: fleet.Look{State: from, Flag: attributes.Enabled, ContactURI: uriFrom, Activity: "Available"},
		To:   fleet.Look{State: to, Flag: attributes.Enabled, ContactURI: uriTo, Activity: "Available"},
	}
}

// scenes are the states the screen can be in.
var scenes = map[string]func(*model){
	"live": func(*model) {},
	"reading": func(m *model) {
		m.items, m.sorted, m.status = map[string]*item{}, [orders][]*item{}, fleet.Status{}
		m.arrange()
	},
	"reading-rows": func(m *model) {
		m.status = fleet.Status{Read: 10, Total: 512, Sweeping: true}
	},
	"events": func(m *model) { m.status.Pushed = true },
	"events-lost": func(m *model) {
		m.status.EventsErr, m.status.Interval = errors.New("connection lost"), 10*time.Second
	},
	"lost": func(m *model) {
		m.status.Err, m.status.Whole, m.status.Retry = errors.New("no route to host"), now.Add(-41*time.Second), now.Add(8*time.Second)
	},
	"lost-retrying": func(m *model) {
		m.status.Err, m.status.Whole, m.status.Sweeping = errors.New("no route to host"), now.Add(-10*time.Minute), true
	},
	"paused":       func(m *model) { press(m, "p") },
	"typing":       func(m *model) { press(m, "/state:dri") },
	"typing-wrong": func(m *model) { press(m, "/shape:round<enter>") },
	"filtered":     func(m *model) { press(m, "/state:drift,stale<enter>") },
	"no-match":     func(m *model) { press(m, "/name~nobody<enter>") },
	"empty": func(m *model) {
		m.items, m.sorted, m.counts = map[string]*item{}, [orders][]*item{}, map[fleet.State]int{}
		m.arrange()
	},
	"by-name":       func(m *model) { press(m, "s") },
	"details":       func(m *model) { history(m); press(m, "<enter>") },
	"details-quiet": func(m *model) { press(m, "j<enter>") },
	"not-stale":     func(m *model) { press(m, "f") },
	"help":          func(m *model) { press(m, "?") },
	"copied":        func(m *model) { press(m, "c") },
	"confirm":       func(m *model) { proposal(m); press(m, "ye") },
}

func history(m *model) {
	m.Update(updateMsg{Status: live(), Differences: []fleet.Difference{
		difference(fleet.StatePending, fleet.StateOK, "client:carol", "client:ext_carol", now.Add(-time.Hour)),
		difference(fleet.StateOK, fleet.StateDrift, "client:ext_carol", "client:carol", now.Add(-207*time.Second)),
	}})
}

func proposal(m *model) {
	press(m, "jj")
	m.Update(proposedMsg{sid: m.current().SID, proposal: &workers.Proposal{
		Changes: []attributes.Change{{Key: "contact_uri", From: `"client:ext_erin"`, To: `"client:erin"`}},
	}})
}

// TestScreens holds every state of the screen to a golden text, at the widths
// from 60 to 200 columns.
func TestScreens(t *testing.T) {
	sizes := [][2]int{{60, 15}, {80, 24}, {100, 30}, {200, 60}}
	for name, arrange := range scenes {
		for _, size := range sizes {
			for _, color := range []bool{false, true} {
				if color && size[0] != 80 {
					continue
				}
				m := screen(size[0], size[1], color)
				arrange(m)
				file := fmt.Sprintf("%s-%dx%d", name, size[0], size[1])
				if color {
					file += "-color"
				}
				text := m.screen()
				golden(t, file, strings.ReplaceAll(text, "\x1b", "\\e"))
				checkFits(t, file, text, size[0], size[1])
				if color {
					plain := screen(size[0], size[1], false)
					arrange(plain)
					if ansi.Strip(text) != plain.screen() {
						t.Errorf("%s: NO_COLOR changes more than the colour", name)
					}
				} else if strings.ContainsRune(text, '\x1b') {
					t.Errorf("%s: colour without being asked for", file)
				}
			}
		}
	}
}

func checkFits(t *testing.T, name, text string, width, height int) {
	t.Helper()
	lines := strings.Split(text, "\n")
	if len(lines) > height {
		t.Errorf("%s: %d lines on a screen of %d", name, len(lines), height)
	}
	for i, line := range lines {
		if w := ansi.StringWidth(line); w > width {
			t.Errorf("%s: line %d is %d columns wide: %q", name, i+1, w, line)
		}
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	got += "\n"
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; make golden writes it", err)
	}
	if string(want) != got {
		t.Errorf("%s looks different; make golden rewrites it\nwant:\n%s\ngot:\n%s", name, want, got)
	}
}

// TestEverySizeFits draws each state at sizes nobody has a golden for, down to
// one that shows almost nothing.
func TestEverySizeFits(t *testing.T) {
	for name, arrange := range scenes {
		for width := 20; width <= 220; width += 9 {
			for _, height := range []int{1, 5, 8, 15, 40} {
				m := screen(width, height, true)
				arrange(m)
				checkFits(t, fmt.Sprintf("%s at %dx%d", name, width, height), m.screen(), width, height)
			}
		}
	}
}

// TestNothingReachesTheTerminalFromOutside: a worker's name is not ours.
func TestNothingReachesTheTerminalFromOutside(t *testing.T) {
	m := screen(100, 30, false)
	evil := "\x1b]52;c;ZXZpbA==\a\x1b[2J\u202e"
	r := row(0, evil, evil, "client:"+evil, attributes.Enabled, fleet.StateDrift, "10:00:00")
	d := difference(fleet.StateOK, fleet.StateDrift, evil, evil+"2", now)
	d.SID = r.SID
	m.Update(updateMsg{Rows: []fleet.Row{r}, Differences: []fleet.Difference{d}, Status: live()})
	press(m, "g<enter>")
	for _, keys := range []string{"", "f", "?"} {
		press(m, keys)
		if text := m.screen(); strings.ContainsAny(text, "\x1b\a\u202e") {
			t.Errorf("after %q the screen has %q", keys, text)
		}
	}
}
