package tree

import (
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/cli/clitest"
	"github.com/flexvc/flexvc/internal/emulator"
)

// TestREADME follows it from the top: what is printed of a session comes out, and what
// is there to be typed leads to an account in which all is well.
func TestREADME(t *testing.T) {
	t.Parallel()
	if !ownNetwork(t) {
		return
	}
	d := read(t, "README.md")

	n := newNewcomer(t, emulator.Options{Agents: 250})
	n.set("PATH=$PWD/bin:$PATH")
	n.set(n.owns())
	d.replace(`profile "acme"`, `profile "emulator"`)
	d.replace(`Profile "acme"`, `Profile "emulator"`)
	d.replace("Acme Corp", "flexvc emulator")
	d.replace("the system keychain", "~/.local/state/flexvc/emulator/secrets")
	d.replace("~/.config/flexvc/", "~/.local/state/flexvc/emulator/")
	d.replace(`Type the name of the profile, acme, to continue: acme`, `Only "yes" is accepted: yes`) // of an account that is not emulated
	n.follow(d, "$ flexvc init")
	n.runs("flexvc pack --quiet")
	n.serves("flexvc serve --extension flexvc-*.crx")
	n.runs("flexvc plugin deploy --yes")
	n.follow(d, "$ flexvc workers enable --all")
	n.everybodyStartsFlex()
	n.healthy("flexvc")
	n.interrupt()

	n = newNewcomer(t, emulator.Options{Agents: 40})
	d.omit("make demo", "make has built what it runs, make demo-browser is for eyes and ears, and make test is running")
	n.runs("bin/flexvc demo")
	n.follow(d, "bin/flexvc -p emulator init")
	n.everybodyStartsFlex()
	n.healthy("bin/flexvc -p emulator")
	n.interrupt()

	// With the account's variables changed, and nothing else.
	n = newNewcomer(t, emulator.Options{Agents: 40})
	d.replace("TWILIO_ACCOUNT_SID=AC… TWILIO_AUTH_TOKEN=…", n.owns())
	n.follow(d, "export PATH=$PWD/bin:$PATH")
	n.everybodyStartsFlex()
	n.healthy("flexvc")
	d.ended()
}

// TestRollout follows docs/rollout.md from the first day to the way back, which leaves
// nobody stale, and then tears everything down.
func TestRollout(t *testing.T) {
	t.Parallel()
	if !ownNetwork(t) {
		return
	}
	d := read(t, "docs/rollout.md")
	n := newNewcomer(t, emulator.Options{Seed: &emulator.Seed{Workers: seedTeam("Billing", 40)}})
	n.set("PATH=$PWD/bin:$PATH")
	before := listing(n.Flexvc)
	d.replace("TWILIO_ACCOUNT_SID=AC… TWILIO_AUTH_TOKEN=…", n.owns())
	d.replace("https://voice.acme.example", "http://localhost:3001") // without the proxy
	d.replace("YOUR.NAME", "agent000")
	d.replace("--notify https://…", "--notify "+webhook(t))

	n.follow(d, "export TWILIO_ACCOUNT_SID")
	n.follow(d, "flexvc pack --policy")
	n.follow(d, "flexvc plugin deploy")
	n.follow(d, "flexvc doctor")
	if on := n.Enabled(); on < 1 {
		t.Error("nobody is enabled on Tuesday")
	}
	n.follow(d, "flexvc workers enable --filter")
	n.follow(d, "flexvc config set hold_seconds")
	n.follow(d, "flexvc workers enable --all")
	n.everybodyStartsFlex()
	n.healthy("flexvc")
	n.follow(d, "flexvc pack --listing", "flexvc pack --publish") // which uploads to Google
	n.interrupt()                                                 // the server starts anew, with events
	n.follow(d, "flexvc watch --once")
	n.follow(d, "flexvc workers disable --all")
	d.ended()
	n.runs("flexvc teardown --purge")
	wantSame(t, before, listing(n.Flexvc))
}

// TestEventsDocument follows docs/events.md, and sees an event on each of its ways.
func TestEventsDocument(t *testing.T) {
	t.Parallel()
	if !ownNetwork(t) {
		return
	}
	d := read(t, "docs/events.md")
	n := newNewcomer(t, emulator.Options{Agents: 20})
	n.set("PATH=$PWD/bin:$PATH")
	n.follow(d, "flexvc -p emulator serve --events")
	n.runs("flexvc -p emulator workers enable ivan.tanaka --yes --force")
	n.sees("curl -N", `"kind":"worker.attributes.update".*"name":"ivan.tanaka"`)
	n.interrupt()

	n = newNewcomer(t, emulator.Options{Seed: &emulator.Seed{Workers: seedTeam("Billing", 10)}})
	n.set("PATH=$PWD/bin:$PATH")
	n.set("TWILIO_ACCOUNT_SID=" + n.Account().SID)
	n.set("TWILIO_API_KEY=" + n.Account().KeySID + " TWILIO_API_SECRET=" + n.Account().KeySecret)
	n.runs("flexvc init --yes")
	n.runs("flexvc plugin deploy --yes")
	d.replace("TWILIO_AUTH_TOKEN=…", "TWILIO_AUTH_TOKEN="+n.Account().AuthToken)
	d.replace("https://voice.acme.example", "http://localhost:3001") // without the proxy
	n.follow(d, "export TWILIO_AUTH_TOKEN")
	n.follow(d, "flexvc events enable --url")
	n.follow(d, "flexvc watch --events")
	n.interrupt()
	d.replace("https://hooks.slack.com/services/…", webhook(t))
	n.follow(d, "export FLEXVC_NOTIFY_URL")
	n.healthy("flexvc")
	d.omit(`{"v":1,"event":"drift"`, "a message, which the tests of internal/eventsrv compare")
	d.ended()
}

// TestFunctionDocument follows docs/function.md: from nothing to the Function, and from
// flexvc serve to the Function and back.
func TestFunctionDocument(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("the emulator runs Functions with Node")
	}
	if !ownNetwork(t) {
		return
	}
	d := read(t, "docs/function.md")
	n := newNewcomer(t, emulator.Options{Agents: 5})
	n.set("PATH=$PWD/bin:$PATH")
	n.set("FLEXVC_PROFILE=emulator")
	before := listing(n.Flexvc)
	d.replace("https://voice.acme.example", "http://localhost:3001") // without the proxy
	n.follow(d, "flexvc -p emulator function deploy --dry-run")
	n.follow(d, "flexvc init")
	n.follow(d, "flexvc function deploy --yes --token-ttl")
	n.follow(d, "flexvc keys rotate --yes")
	n.follow(d, "flexvc keys rotate --now")
	n.runs("flexvc doctor token-server plugin")

	// Somebody who has flexvc serve, and comes back to it.
	n.runs("flexvc init --yes --token-url http://localhost:3001/generateToken")
	n.runs("flexvc plugin deploy --yes")
	n.follow(d, "flexvc serve")
	n.runs("flexvc doctor token-server plugin")
	n.follow(d, "flexvc init")
	n.runs("flexvc doctor token-server plugin")
	n.interrupt()
	d.ended()
	n.runs("flexvc teardown --yes")
	wantSame(t, before, listing(n.Flexvc))
}

// TestFromTheLaptopToTheServer follows deploy/README.md.
func TestFromTheLaptopToTheServer(t *testing.T) {
	t.Parallel()
	if !ownNetwork(t) {
		return
	}
	d := read(t, "deploy/README.md")
	d.omit("kubectl create secret", "needs a cluster; TestDeployedFlagsExist and the tests of deploy/ look at its files")
	laptop := newNewcomer(t, emulator.Options{Agents: 5})
	server := laptop.colleague()
	server.set("PATH=$PWD/bin:$PATH")
	laptop.set("PATH=$PWD/bin:$PATH")
	laptop.runs("flexvc -p emulator init --yes")
	for _, n := range []*newcomer{laptop, server} {
		n.set("FLEXVC_PROFILE=emulator")
		n.answers = append(n.answers, answer{`(?i)passphrase[^\n]*: $`, "correct horse battery staple\n"})
	}
	d.replace("/etc/flexvc/secret", filepath.Join(server.home, "secret"))
	again := *d
	laptop.follow(d, "flexvc config export", "flexvc config import")
	sealed, err := os.ReadFile(filepath.Join(laptop.dir, "acme.flexvc"))
	clitest.Check(t, err)
	clitest.Check(t, os.WriteFile(filepath.Join(server.dir, "acme.flexvc"), sealed, 0o600))
	server.follow(&again, "flexvc config export", "flexvc config export")
	server.serves("flexvc serve")
	server.runs("flexvc doctor token-server")
	secret := server.runs(`awk '/^SK/ {print $2}' ` + filepath.Join(server.home, "secret"))
	if !regexp.MustCompile(`^\w{20,}\n$`).MatchString(secret) {
		t.Errorf("the secret for Kubernetes is %q", secret)
	}
	d.ended()
}

// followed are the pages that the tests above go through.
var followed = []string{"README.md", "docs/rollout.md", "docs/events.md", "docs/function.md", "deploy/README.md"}

// notFollowed are those that nobody can, or need not.
var notFollowed = map[string]string{
	"ARCHITECTURE.md":        "a drawing",
	"CONTRIBUTING.md":        "targets of make, which TestDocumentedTargetsExist looks up, and Go",
	"docs/commands.md":       "generated from the help texts; TestHelpExamplesAreUnderstood tries those",
	"extension/README.md":    "scripts of npm, which TestDocumentedTargetsExist looks up",
	"function/README.md":     "targets of make, which TestDocumentedTargetsExist looks up",
	"plugin/README.md":       "scripts of npm, which TestDocumentedTargetsExist looks up",
	"docs/schemas/README.md": "generated; the schema that it shows has the fields that it asks for",
	"e2e/flex/README.md":     "targets of make, which TestDocumentedTargetsExist looks up",
}

// TestEveryPageIsFollowed finds the page whose blocks nobody goes through.
func TestEveryPageIsFollowed(t *testing.T) {
	left := map[string]bool{}
	for _, name := range followed {
		left[name] = true
	}
	for name := range notFollowed {
		left[name] = true
	}
	for name, blocks := range pages(t) {
		if len(blocks) > 0 && !left[name] {
			t.Errorf("%s has blocks that no story follows, the first\n%s", name, blocks[0])
		}
		if len(blocks) > 0 {
			delete(left, name)
		}
	}
	for name := range left {
		t.Errorf("%s has no blocks any more", name)
	}
}

// pages are the Markdown files of the repository and their blocks.
func pages(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	err := filepath.WalkDir(repository, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == "vendor" || strings.HasPrefix(entry.Name(), ".") && len(entry.Name()) > 2):
			return fs.SkipDir
		case filepath.Ext(path) != ".md":
			return nil
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(repository, path)
		all[filepath.ToSlash(name)] = blocksOf(text)
		return err
	})
	clitest.Check(t, err)
	return all
}

// TestDocumentedTargetsExist looks up what make and npm are told to do.
func TestDocumentedTargetsExist(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(repository, "Makefile"))
	clitest.Check(t, err)
	seen := 0
	for name, blocks := range pages(t) {
		scripts, err := os.ReadFile(filepath.Join(repository, filepath.Dir(name), "package.json"))
		for line := range strings.Lines(strings.Join(blocks, "")) {
			words := strings.Fields(line)
			switch {
			case len(words) > 1 && words[0] == "make":
				seen++
				if !regexp.MustCompile(`(?m)^` + words[1] + `:`).Match(makefile) {
					t.Errorf("%s: the Makefile has no target %s", name, words[1])
				}
			case len(words) > 2 && words[0] == "npm" && words[1] == "run":
				seen++
				if err != nil || !strings.Contains(string(scripts), `"`+words[2]+`": `) {
					t.Errorf("%s: package.json has no script %s (%v)", name, words[2], err)
				}
			}
		}
	}
	if seen < 12 {
		t.Errorf("only %d targets and scripts were found: the test proves little", seen)
	}
}

// TestHelpExamplesAreUnderstood: the examples in the help texts have flags and arguments
// that their commands take.
func TestHelpExamplesAreUnderstood(t *testing.T) {
	seen := 0
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		for line := range strings.Lines(cmd.Example) {
			typed, ok := strings.CutPrefix(strings.TrimSpace(line), "$ ")
			if !ok {
				t.Errorf("%s: an example is not typed at a prompt: %s", cmd.CommandPath(), line)
				continue
			}
			seen++
			typed, _, _ = strings.Cut(typed, "   ") // what it is for
			// The shell takes quotes, comments and pipes apart, and runs nothing.
			script := `flexvc() { printf '%s\0' "$@" >&3; }; jq() { :; }; curl() { :; }; ` + strings.NewReplacer("<", "", ">", "").Replace(typed)
			split := exec.Command("sh", "-c", "{ "+script+"\n} 3>&1 >/dev/null")
			out, err := split.Output()
			if err != nil {
				t.Errorf("%s: %v", typed, err)
				continue
			}
			args := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
			named, rest, err := New(clitest.Quiet()).Find(args)
			if err == nil {
				err = named.ParseFlags(rest)
			}
			if err == nil {
				err = named.ValidateArgs(named.Flags().Args())
			}
			if err != nil {
				t.Errorf("%s: %v", typed, err)
			}
		}
		for _, child := range cmd.Commands() {
			walk(child)
		}
	}
	walk(New(clitest.Quiet()))
	if seen < 40 {
		t.Errorf("only %d examples were found: the test proves little", seen)
	}
}

// webhook is a place that takes notifications.
func webhook(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// logIn does what the plugin does when an agent with the extension starts Flex,
// for the first n enabled workers who are on the tab.
func logIn(s *clitest.Flexvc, n int) {
	s.T.Helper()
	for _, w := range s.ExportWorkers() {
		flag, uri := attributes.Inspect(&w.Attributes)
		identity, ok := strings.CutPrefix(uri, "client:")
		if n == 0 || flag != attributes.Enabled || !ok || strings.HasPrefix(identity, "ext_") {
			continue
		}
		clitest.Check(s.T, s.Edit(w.SID, strings.Replace(w.Attributes, `"client:`, `"client:ext_`, 1)))
		n--
	}
	if n > 0 {
		s.T.Fatalf("%d agents too few can log in", n)
	}
}
