package archtest

import (
	"slices"
	"strings"
	"testing"
)

// room is a package, or with "/..." a package and all below it, and what of ours
// it may import. Everyone may import what everyone stands on.
type room struct {
	pkg string
	may []string
	why string
}

// with is what any part of the CLI may import, besides more.
func with(more ...string) []string {
	return append(more,
		"internal/tui", "internal/doctor", "internal/eventsrv", "internal/tokensrv", "internal/tokenlog", "internal/rollout", "internal/webstore", "internal/crx",
		"internal/provision", "internal/workers", "internal/workers/rows", "internal/fleet", "internal/twilioapi", "internal/attributes",
		"internal/config", "internal/ui", "internal/twilio", "internal/durable",
		"internal/emulator", "plugin", "extension", "function")
}

// commands are the rooms of single commands.
func commands() (all []string) {
	for _, noun := range []string{"config", "demo", "doctor", "emulator", "events", "function", "init", "keys", "pack", "plugin", "rollout", "runs", "serve", "teardown", "watch", "workers"} {
		all = append(all, "internal/cli/"+noun)
	}
	return all
}

func command(noun string) room {
	return room{"internal/cli/" + noun, with("internal/cli/bulk", "internal/cli"), "a command knows what commands share, and no other command"}
}

// rooms go from the top of the house to its ground: an arrow points to a row
// further down, so there is no way up and no circle.
var rooms = []room{
	{"cmd/flexvc", []string{"internal/cli/tree"}, "main hands the process over and does nothing else"},
	{"internal/bench", nil, "it measures the built flexvc, from outside"},
	{"e2e/voice-edge/edge", []string{"internal/emulator"}, "browser tests need the voice edge alone"},
	{"internal/mutants", nil, "it breaks the sources and runs their tests, and needs none of them itself"},
	{"internal/archtest", nil, "it reads the sources, and runs none but the catalogue of problems"},
	{"deploy", nil, "it holds files to what they promise"},
	{"internal/functiontest", []string{"internal/tokensrv", "internal/attributes", "internal/emulator", "function"}, "the Function and the server have to agree, and neither knows the other"},
	{"internal/cli/accounttest", with("internal/cli/tree", "internal/cli/plugin", "internal/cli"), "tests of several commands share an account"},
	{"internal/cli/tree", with(append(commands(), "internal/cli")...), "the commands are put together in one place, and nobody imports that"},
	{"internal/cli/demo", with("internal/cli/serve", "internal/cli/emulator", "internal/cli/watch", "internal/cli"), "the demo is the one command that runs others"},
	command("config"), command("doctor"), command("emulator"), command("events"), command("function"), command("init"), command("keys"), command("pack"), command("plugin"),
	command("rollout"), command("runs"), command("serve"), command("teardown"), command("watch"), command("workers"),
	{"internal/cli/bulk", with("internal/cli"), "enabling, disabling, resuming and rolling back are one flow"},
	{"internal/cli/clitest", with("internal/cli"), "tests inside a command use it, so it imports no command"},
	{"internal/cli", with(), "what commands share knows none of them"},
	{"internal/tokensrv/bench", []string{"internal/eventsrv", "internal/tokensrv", "internal/fleet", "internal/twilio"}, "it measures the server alone, without Twilio and without commands"},

	{"internal/tui", []string{"internal/workers", "internal/fleet", "internal/attributes", "internal/ui"}, "the screen shows the fleet and proposes runs; it asks nobody itself"},
	{"internal/doctor", []string{"internal/provision", "internal/workers", "internal/fleet", "internal/twilio"}, "a check judges as the commands do, and prints nothing"},
	{"internal/eventsrv", []string{"internal/gate", "internal/fleet", "internal/twilio"}, "drift is judged once, in fleet"},
	{"internal/tokensrv", []string{"internal/gate", "internal/turns", "internal/tokenlog", "internal/twilio"}, "the server that holds the signing secret knows no worker and no setting"},
	{"internal/tokenlog", nil, "it remembers what it is told, and judges nothing"},
	{"internal/rollout", []string{"internal/durable"}, "it serves a package that somebody else has packed and signed"},
	{"internal/webstore", nil, "Google's API, which knows nothing of Twilio"},
	{"internal/crx", []string{"internal/durable"}, "a package is a file; whose it is decides the caller"},

	{"internal/provision", []string{"internal/twilioapi", "internal/twilio", "function"}, "what should be in the account is no matter of workers or of the terminal"},
	{"internal/fleet", []string{"internal/attributes", "internal/twilio"}, "a judgement changes nothing, so it needs no run"},
	{"internal/workers", []string{"internal/workers/rows", "internal/attributes", "internal/twilio", "internal/durable"}, "a run knows its workers by an interface, so that a test can break every request of it"},
	{"internal/workers/rows", []string{"internal/twilio"}, "a file is read without knowing any worker"},
	{"internal/workers/workerstest", []string{"internal/twilio"}, "a fake that used the code under test would agree with it"},

	{"internal/twilioapi", []string{"internal/twilio"}, "a client of Twilio: it must not know who asks, nor what it is tested against"},
	{"internal/config", []string{"internal/durable"}, "settings reach the others as one plain struct"},
	{"internal/ui", []string{"internal/twilio"}, "the terminal's layer knows no domain; an SID's shape is all it needs"},
	{"internal/attributes", nil, "a text goes in and a text comes out"},
	{"internal/twilio", nil, "plain types, which everyone who speaks of Twilio can import"},
	{"internal/turns", nil, "whose turn it is does not depend on what for"},
	{"internal/gate", nil, "what a connection costs does not depend on what is asked over it"},
	{"internal/durable", nil, "files, whoever's they are"},

	{"internal/emulator/...", nil, "an independent oracle: code shared with its client would agree with the client's mistakes"},
	{"plugin", nil, "the bundle and its settings"},
	{"extension", nil, "the folder as Chrome loads it"},
	{"function", nil, "the source, and what its build must name"},

	{"internal/problem", nil, "everyone imports it, so it imports nobody"},
	{"internal/buildinfo", nil, "everyone imports it, so it imports nobody"},
}

// ground is what everyone above it may import.
var ground = []string{"internal/problem", "internal/buildinfo"}

func (r room) holds(pkg string) bool {
	below, tree := strings.CutSuffix(r.pkg, "/...")
	return pkg == below || tree && strings.HasPrefix(pkg, below+"/")
}

// floor is the row that holds pkg, or -1.
func floor(pkg string) int {
	return slices.IndexFunc(rooms, func(r room) bool { return r.holds(pkg) })
}

// TestRooms: the arrows between our own packages.
func TestRooms(t *testing.T) {
	for i, r := range rooms {
		if r.why == "" {
			t.Errorf("the row of %s gives no reason", r.pkg)
		}
		for _, may := range r.may {
			if at := floor(may); at <= i {
				t.Errorf("the row of %s allows %s, which is not further down", r.pkg, may)
			}
		}
	}
	used := map[int]bool{}
	unlisted := map[string]bool{}
	for _, s := range sources(t) {
		at := floor(s.pkg)
		if at < 0 {
			if !unlisted[s.pkg] {
				t.Errorf("%s has no row in the table of rooms: give it one, with what it may import and why", s.pkg)
			}
			unlisted[s.pkg] = true
			continue
		}
		used[at] = true
		for _, name := range s.imports {
			own, ok := strings.CutPrefix(name, module)
			if !ok || rooms[at].holds(own) {
				continue
			}
			to := floor(own)
			switch {
			case s.test && strings.HasPrefix(s.pkg, "internal/cli/") && strings.HasPrefix(own, "internal/cli/"): // a test may run any command
			case strings.HasSuffix(own, "test") && to >= 0:
				if !s.test {
					t.Errorf("%s imports %s, which is for tests", s.path, own)
				}
			case slices.Contains(ground, own) && at < slices.IndexFunc(rooms, func(r room) bool { return r.pkg == ground[0] }):
			case slices.ContainsFunc(rooms[at].may, func(may string) bool { return own == may || to >= 0 && floor(may) == to }):
			default:
				t.Errorf("%s may not import %s: %s", s.path, own, rooms[at].why)
			}
		}
	}
	for i, r := range rooms {
		if !used[i] {
			t.Errorf("the table has a row for %s, which does not exist", r.pkg)
		}
	}
}
