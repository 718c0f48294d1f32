package serve_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/cli/clitest"
	"github.com/flexvc/flexvc/internal/cli/tree"
	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/fleet"
	"github.com/flexvc/flexvc/internal/problem"
)

// machine is a computer with a home and a state of its own, on which serve
// --events has been running since before anything happened.
type machine struct {
	*serving
	name, home string
}

// run runs flexvc on the machine, at the account's time, and returns the states
// that the JSON lines of an event count.
func (m machine) run(t *testing.T, event string, args ...string) (fleet.Counts, error) {
	t.Helper()
	out := &clitest.Output{}
	app := clitest.App(m.state, out)
	app.Now = m.Now
	app.Getenv = func(name string) string {
		return map[string]string{"HOME": m.home, "FLEXVC_STATE_DIR": m.state, "FLEXVC_PROFILE": "emulator"}[name]
	}
	root := tree.New(app)
	root.SetArgs(append([]string{"-p", "emulator", "-o", "json"}, args...))
	err := root.ExecuteContext(t.Context())
	for line := range strings.Lines(out.String()) {
		var said struct {
			Event  string
			States fleet.Counts
		}
		if json.Unmarshal([]byte(line), &said) == nil && said.Event == event && said.States != nil {
			return said.States, err
		}
	}
	if event != "" {
		t.Fatalf("on %s, flexvc %s says\n%s", m.name, strings.Join(args, " "), out.String())
	}
	return nil, err
}

var gauge = regexp.MustCompile(`(?m)^flexvc_workers\{state="([a-z-]+)"\} (\d+)$`)

// served is what serve's metrics count.
func (m machine) counted(t *testing.T) fleet.Counts {
	counts := fleet.Counts{}
	for _, match := range gauge.FindAllStringSubmatch(m.metrics(t), -1) {
		if n, _ := strconv.Atoi(match[2]); n > 0 {
			counts[fleet.State(match[1])] = n
		}
	}
	return counts
}

// TestOneEnableWasJudgedInThreeWays: after one enable --all doctor said 152 drift,
// watch 5 and serve's metric 152, and watch on another machine 152 too. Whoever
// looks, whenever they began to, counts the same.
func TestOneEnableWasJudgedInThreeWays(t *testing.T) {
	const agents = 48
	account, state := clitest.ServeAccount(t, emulator.Options{Agents: agents, SeedValue: 9})
	clitest.ReleasePlugin(t, account)
	account.Advance(time.Hour)

	other := t.TempDir()
	address, err := os.ReadFile(filepath.Join(state, "emulator", cli.AddressFile))
	clitest.Check(t, err)
	clitest.Check(t, os.MkdirAll(filepath.Join(other, "emulator"), 0o700))
	clitest.Check(t, os.WriteFile(filepath.Join(other, "emulator", cli.AddressFile), address, 0o600))
	machines := []machine{
		{servingOn(t, account, state, "--sweep-interval", "1s"), "the first machine", t.TempDir()},
		{servingOn(t, account, other, "--sweep-interval", "1s"), "the other machine", t.TempDir()},
	}

	activity := func(name string) string {
		for _, a := range account.Export().Activities {
			if a.FriendlyName == name {
				return a.SID
			}
		}
		post(t, account, "Activities", url.Values{"FriendlyName": {name}, "Available": {"false"}})
		return account.Export().Activities[len(account.Export().Activities)-1].SID
	}
	first := func(n int, do func(sid, text string)) {
		for _, w := range account.ExportWorkers()[:n] {
			do(w.SID, w.Attributes)
		}
	}
	walk := func(n int, to string) {
		account.Advance(time.Minute)
		first(n, func(sid, _ string) {
			for _, name := range []string{"Unavailable", to} { // whoever is there already moves too
				post(t, account, "Workers/"+sid, url.Values{"ActivitySid": {activity(name)}})
			}
		})
		account.Advance(time.Minute)
	}
	readdress := func(n int, from, to string) {
		first(n, func(sid, text string) {
			clitest.Check(t, account.Edit(sid, strings.Replace(text, from, to, 1)))
		})
	}
	cmd := func(args ...string) {
		t.Helper()
		if _, err := machines[0].run(t, "", args...); err != nil {
			t.Fatalf("%q: %v", args, err)
		}
	}
	for _, situation := range []struct {
		name string
		do   func()
		want fleet.Counts // as far as it is said
	}{
		{"another program has set some flags", func() {}, nil},
		{"everyone is enabled, nobody has done anything since", func() {
			account.Advance(time.Minute)
			first(agents, func(sid, text string) { // those of another program too
				clitest.Check(t, account.Edit(sid, strings.Replace(strings.Replace(text, "ext_", "", 1), attributes.EnabledKey, "was", 1)))
			})
			cmd("workers", "enable", "--all", "--yes")
		}, fleet.Counts{fleet.StatePending: agents}},
		{"ten go to a break on the tab", func() { walk(10, "Break") }, fleet.Counts{fleet.StateDrift: 10, fleet.StatePending: agents - 10}},
		{"others edit workers meanwhile", func() {
			account.Advance(time.Minute)
			first(20, func(sid, text string) {
				clitest.Check(t, account.Edit(sid, strings.Replace(text, "{", `{"edited":true,`, 1)))
			})
		}, fleet.Counts{fleet.StateDrift: 10, fleet.StatePending: agents - 10}},
		{"ten go home", func() { walk(10, "Offline") }, fleet.Counts{fleet.StatePending: agents}},
		{"they come back on the extension", func() { readdress(10, "client:", "client:ext_"); walk(10, "Available") },
			fleet.Counts{fleet.StateOK: 10, fleet.StatePending: agents - 10}},
		{"five are thrown back by a browser", func() { readdress(5, "client:ext_", "client:") },
			fleet.Counts{fleet.StateDrift: 5, fleet.StateOK: 5, fleet.StatePending: agents - 10}},
		{"the extension of two is away", func() { walk(2, "Voice Client Offline") },
			fleet.Counts{fleet.StateOffline: 2, fleet.StateDrift: 3, fleet.StateOK: 5, fleet.StatePending: agents - 10}},
		{"one has a telephone, one no attributes to speak of", func() {
			sids := account.ExportWorkers()
			clitest.Check(t, account.Edit(sids[20].SID, `{"contact_uri":"+15551234567"}`))
			clitest.Check(t, account.Edit(sids[21].SID, `[]`))
		}, fleet.Counts{fleet.StateOffline: 2, fleet.StateDrift: 3, fleet.StateOK: 5, fleet.StatePending: agents - 12, fleet.StateForeign: 1, fleet.StateInvalid: 1}},
		{"the plugin is taken out", func() { clitest.ReleaseNothing(t, account) },
			fleet.Counts{fleet.StateNoPlugin: agents - 2, fleet.StateForeign: 1, fleet.StateInvalid: 1}},
		{"everyone is disabled, and left on the extension", func() {
			clitest.Check(t, account.Edit(account.ExportWorkers()[21].SID, `{}`))
			cmd("workers", "disable", "--all", "--yes")
		}, fleet.Counts{fleet.StateOK: agents - 5 - 1 - 2, fleet.StateStale: 5, fleet.StateForeign: 1, fleet.StateOffline: 2}},
	} {
		situation.do()
		want := situation.want
		exits := map[string]int{}
		for _, m := range machines {
			for _, look := range [][]string{{"summary", "watch", "--once"}, {"check", "doctor", "workers"}} {
				got, err := m.run(t, look[0], look[1:]...)
				if err != nil {
					t.Fatalf("%s: %q on %s: %v", situation.name, look[1:], m.name, err)
				}
				if want == nil {
					want = got
				}
				if !maps.Equal(got, want) {
					t.Errorf("%s: %q on %s counts %s, want %s", situation.name, look[1:], m.name, got, want)
				}
			}
			_, err := m.run(t, "summary", "watch", "--once", "--exit-code")
			exits[m.name] = problem.Exit(err)
			clitest.Eventually(t, fmt.Sprintf("%s: the metrics on %s count %s", situation.name, m.name, want), func() bool {
				return maps.Equal(m.counted(t), want)
			})
		}
		faulty := 0
		for state, n := range want {
			if state.Faulty() {
				faulty += n
			}
		}
		for name, exit := range exits {
			if wanted := map[bool]int{true: problem.ExitPending, false: 0}[faulty > 0]; exit != wanted {
				t.Errorf("%s: watch --once --exit-code exits with %d on %s, want %d", situation.name, exit, name, wanted)
			}
		}
	}
}

// post is a request of another program.
func post(t *testing.T, e *emulator.Emulator, path string, form url.Values) {
	t.Helper()
	a := e.Account()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost,
		"https://taskrouter.twilio.com/v1/Workspaces/"+a.WorkspaceSID+"/"+path, strings.NewReader(form.Encode()))
	clitest.Check(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(a.SID, a.AuthToken)
	resp, err := e.Transport().RoundTrip(r)
	clitest.Check(t, err)
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		t.Fatalf("%s %s: %s", path, form.Encode(), resp.Status)
	}
}
