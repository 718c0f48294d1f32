package tree

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/flexvc/flexvc/extension"
	"github.com/flexvc/flexvc/internal/cli/clitest"
	"github.com/flexvc/flexvc/internal/emulator"
)

// shared are the ports that documents print, where tests have no network of their own.
var shared sync.Mutex

// newcomer is somebody at the terminals of one machine who follows a document: a real
// shell in an empty home, and the emulated account that serves it.
type newcomer struct {
	*clitest.Flexvc // of the account; commands are typed, not run by it
	home, dir       string
	env             []string
	exports         []string // typed again in each new terminal
	terminals       []*shell
	answers         []answer
}

// answer is what a question on the terminal gets.
type answer struct{ question, types string }

// newNewcomer has cloned the repository, and has run make: bin/flexvc is there.
func newNewcomer(t *testing.T, o emulator.Options) *newcomer {
	t.Helper()
	if !extension.HasVoiceSDK() {
		t.Skip("this flexvc cannot pack, as the reader's can: make build fetches the Voice SDK")
	}
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed: scripts/tools.sh curl")
	}
	e, state := clitest.ServeAccount(t, o)
	home := t.TempDir()
	n := &newcomer{
		Flexvc: &clitest.Flexvc{T: t, Emulator: e, State: filepath.Join(home, ".local", "state", "flexvc")},
		home:   home, dir: filepath.Join(home, "flexvc"),
		answers: []answer{{`Only "yes" is accepted: $`, "yes\n"}},
	}
	clitest.Check(t, os.CopyFS(n.State, os.DirFS(state))) // where the emulator listens
	flexvc, err := exec.LookPath("flexvc")
	clitest.Check(t, err)
	clitest.Check(t, os.MkdirAll(filepath.Join(n.dir, "bin"), 0o700))
	clitest.Check(t, os.Symlink(flexvc, filepath.Join(n.dir, "bin", "flexvc")))
	path := os.Getenv("PATH") // but for the test's own flexvc: the reader's is where the text says
	path = strings.ReplaceAll(path, filepath.Dir(flexvc)+string(filepath.ListSeparator), "")
	n.env = []string{"HOME=" + home, "PATH=" + path, "TERM=xterm-256color", "LC_ALL=C.UTF-8", "PS1=" + prompt, "PS2=", "TMPDIR=" + os.TempDir()}
	return n
}

// shell is one terminal.
type shell struct {
	tm   *clitest.Terminal
	at   int    // what came before has been read
	runs string // the command that has not returned, such as a server
}

// The prompt tells how the last command ended.
const prompt = "⟦$?⟧ "

var prompted = regexp.MustCompile(`⟦(\d+)⟧ $`)

func (n *newcomer) open() *shell {
	n.T.Helper()
	cmd := exec.Command("sh", "-i") // ended by OnTerminal, after what runs in it
	cmd.Dir, cmd.Env = n.dir, n.env
	sh := &shell{tm: clitest.OnTerminal(n.T, 200, cmd)}
	n.terminals = append(n.terminals, sh)
	n.T.Cleanup(n.interrupt)
	sh.await(n.T, "the prompt", func(text string) bool { return prompted.MatchString(text) })
	for _, line := range n.exports {
		n.types(sh, line)
	}
	return sh
}

// await waits until what came out since the last command is as told, and returns it.
func (sh *shell) await(t *testing.T, what string, holds func(string) bool) (shown string) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(clitest.Patience)
	for {
		shown = ansi.Strip(strings.ReplaceAll(sh.tm.Bytes()[sh.at:], "\r\n", "\n"))
		if holds(shown) {
			return shown
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("waited in vain for %s:\n%s", what, shown)
		}
	}
}

// free is a terminal whose prompt waits.
func (n *newcomer) free() *shell {
	n.T.Helper()
	for _, sh := range n.terminals {
		if sh.runs == "" {
			return sh
		}
	}
	return n.open()
}

var (
	// What does not return by itself, and what it shows once it is up.
	stays    = regexp.MustCompile(` serve\b|^curl -N `)
	serving  = regexp.MustCompile(`(?m)^flexvc: listening on |curl -N .*\n`)
	watching = regexp.MustCompile(`q +quit`)
	// What a line showed before it was drawn anew.
	overwritten = regexp.MustCompile(`.*\r`)
)

// types has a line typed and waits until it has returned, or serves. Questions are
// answered, and a screen is left with q.
func (n *newcomer) types(sh *shell, line string) (exit int, out string) {
	n.T.Helper()
	sh.at = len(sh.tm.Bytes())
	sh.tm.Types(line + "\n")
	answered, left := 0, false
	out = sh.await(n.T, "the end of "+line, func(text string) bool {
		for _, a := range n.answers {
			if len(text) > answered && regexp.MustCompile(a.question).MatchString(text) {
				sh.tm.Types(a.types)
				answered = len(text)
			}
		}
		if !left && watching.MatchString(text) {
			sh.tm.Types("q")
			left = true
		}
		return prompted.MatchString(text) || stays.MatchString(line) && serving.MatchString(text)
	})
	m := prompted.FindStringSubmatch(out)
	if m == nil {
		sh.runs = line
		return 0, out
	}
	exit, err := strconv.Atoi(m[1])
	clitest.Check(n.T, err)
	_, out, _ = strings.Cut(out, line+"\n") // the echo
	return exit, overwritten.ReplaceAllString(strings.TrimSuffix(out, m[0]), "")
}

// follow types the lines of the document's next block, and wants each to succeed and to
// print what is printed. Lines that begin with one of except are passed over; each is
// there for a reason that the caller gives.
func (n *newcomer) follow(d *document, words string, except ...string) {
	n.T.Helper()
	block := strings.NewReplacer(d.swaps...).Replace(d.block(words))
lines:
	for _, s := range steps(block) {
		for _, e := range except {
			if strings.HasPrefix(s.line, e) {
				continue lines
			}
		}
		exit, out := n.types(n.free(), s.line)
		if exit != 0 {
			n.T.Fatalf("%s: %s\nexits with %d:\n%s", d.name, s.line, exit, out)
		}
		if strings.HasPrefix(s.line, "export ") {
			n.exports = append(n.exports, s.line)
		}
		if s.wants == nil {
			continue
		}
		if missing := lacking(s.wants, out); missing != "" {
			n.T.Fatalf("%s: what %s prints is not as printed, at %q:\n%s", d.name, s.line, missing, out)
		}
	}
}

// runs has a line typed that no document prints, and wants it to succeed.
func (n *newcomer) runs(line string) (out string) {
	n.T.Helper()
	exit, out := n.types(n.free(), line)
	if exit != 0 {
		n.T.Fatalf("%s exits with %d:\n%s", line, exit, out)
	}
	return out
}

// interrupt ends what serves, with ^C.
func (n *newcomer) interrupt() {
	n.T.Helper()
	for _, sh := range n.terminals {
		if sh.runs == "" || n.T.Failed() {
			continue
		}
		sh.tm.Types(clitest.CtrlC)
		out := sh.await(n.T, "the end of "+sh.runs, prompted.MatchString)
		if exit := prompted.FindStringSubmatch(out)[1]; exit != "0" && exit != "130" {
			n.T.Errorf("%s, interrupted, exits with %s:\n%s", sh.runs, exit, out)
		}
		sh.runs = ""
	}
}

// owns sets the two variables of the account, as flexvc emulator prints them.
func (n *newcomer) owns() string {
	return "TWILIO_ACCOUNT_SID=" + n.Account().SID + " TWILIO_AUTH_TOKEN=" + n.Account().AuthToken
}

// set is an export that no document prints.
func (n *newcomer) set(assignment string) {
	n.T.Helper()
	n.runs("export " + assignment)
	n.exports = append(n.exports, "export "+assignment)
}

// healthy wants everything to be well.
func (n *newcomer) healthy(flexvc string) {
	n.T.Helper()
	n.runs(flexvc + " watch --once --exit-code")
	n.runs(flexvc + " doctor")
}

// everybodyStartsFlex: agents who are enabled and on the tab are moved by the plugin.
func (n *newcomer) everybodyStartsFlex() {
	n.T.Helper()
	waiting := 0
	for _, w := range n.ExportWorkers() {
		if strings.Contains(w.Attributes, `"extensionVoiceClientEnabled":true`) && strings.Contains(w.Attributes, `"client:`) && !strings.Contains(w.Attributes, `"client:ext_`) {
			waiting++
		}
	}
	logIn(n.Flexvc, waiting)
}

// serves has a server started in a terminal of its own.
func (n *newcomer) serves(line string) {
	n.T.Helper()
	sh := n.free()
	if exit, out := n.types(sh, line); sh.runs == "" {
		n.T.Fatalf("%s exits with %d:\n%s", line, exit, out)
	}
}

// sees waits until the command that runs in one of the terminals shows what matches.
func (n *newcomer) sees(command, pattern string) {
	n.T.Helper()
	for _, sh := range n.terminals {
		if strings.HasPrefix(sh.runs, command) {
			sh.await(n.T, pattern, regexp.MustCompile(pattern).MatchString)
			return
		}
	}
	n.T.Fatalf("no terminal runs %s", command)
}

// colleague is another machine for the same account, with the same clone.
func (n *newcomer) colleague() *newcomer {
	n.T.Helper()
	home := n.T.TempDir()
	other := &newcomer{
		Flexvc: &clitest.Flexvc{T: n.T, Emulator: n.Emulator, State: filepath.Join(home, ".local", "state", "flexvc")},
		home:   home, dir: filepath.Join(home, "flexvc"), answers: n.answers,
	}
	for _, v := range n.env {
		other.env = append(other.env, strings.ReplaceAll(v, n.home, home))
	}
	clitest.Check(n.T, os.CopyFS(other.State, os.DirFS(n.State)))
	clitest.Check(n.T, os.MkdirAll(filepath.Join(other.dir, "bin"), 0o700))
	flexvc, err := exec.LookPath("flexvc")
	clitest.Check(n.T, err)
	clitest.Check(n.T, os.Symlink(flexvc, filepath.Join(other.dir, "bin", "flexvc")))
	return other
}
