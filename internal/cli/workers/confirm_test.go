package workers_test

import (
	"fmt"
	"testing"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/cli/clitest"
	"github.com/flexvc/flexvc/internal/problem"
)

// TestWrongAccountIsNotChangedByHabit: "yes" is typed by habit. Above fifty workers
// of a real account, the question wants the name of the profile.
func TestWrongAccountIsNotChangedByHabit(t *testing.T) {
	const yes, name = `Only "yes" is accepted: $`, `Type the name of the profile, default, to continue: $`
	for _, c := range []struct {
		more     int // workers to change
		emulated bool
		answer   string
		exit     int
		asks     string
	}{
		{50, false, "yes\n", 0, yes},
		{51, false, "yes\n", problem.ExitFailed, name},
		{51, false, "Default\n", problem.ExitFailed, name},
		{51, false, "default\n", 0, name},
		{51, true, "yes\n", 0, yes},
		{51, true, "default\n", problem.ExitFailed, yes},
	} {
		for _, command := range []string{"enable", "disable"} {
			t.Run(fmt.Sprintf("%s %d, emulated %t, %q", command, c.more, c.emulated, c.answer), func(t *testing.T) {
				d := newDesk(t)
				d.api = &roster{workers: d.api.workers, version: d.api.version}
				clear(d.api.workers)
				for i := range c.more {
					d.api.add(fmt.Sprintf("agent%02d", i), fmt.Sprintf(`{"extensionVoiceClientEnabled":%t}`, command == "disable"))
				}
				d.tty, d.emulated, d.answer = true, c.emulated, c.answer
				if got := d.run("workers", command, "--all"); got != c.exit {
					t.Errorf("exit %d, want %d\n%s%s", got, c.exit, &d.out, &d.err)
				}
				clitest.WantMatch(t, d.err.String(), fmt.Sprintf(`^Change %d workers in Flex Task Assignment of account Acme Corp \(profile "default"\)\?$`, c.more))
				clitest.WantMatch(t, clitest.Shown(d.err.String()), c.asks[:len(c.asks)-1])
				changed := 0
				for _, w := range d.api.workers {
					if *w.Attributes != fmt.Sprintf(`{"extensionVoiceClientEnabled":%t}`, command == "disable") {
						changed++
					}
				}
				if want := map[bool]int{true: c.more}[c.exit == 0]; changed != want {
					t.Errorf("%d workers were changed, want %d", changed, want)
				}
			})
		}
	}
}

// TestYesDoesNotPassAMissingPlugin, and passes what is merely missing. Disabling
// misses nothing.
func TestYesDoesNotPassAMissingPlugin(t *testing.T) {
	noPlugin := cli.Lack{Check: "plugin", Says: "Flex does not load the plugin", Cause: "the active release does not include it", Fix: "flexvc plugin deploy", Plugin: true}
	noServer := cli.Lack{Check: "token-server", Says: "https://voice.acme.example cannot be reached", Cause: "no such host", Fix: "start it with flexvc serve"}
	for _, c := range []struct {
		lacks []cli.Lack
		args  []string
		exit  int
		says  string
	}{
		{[]cli.Lack{noServer, noPlugin}, []string{"enable", "bob", "--yes"}, problem.ExitFailed, `error: cannot enable workers: Flex does not load the plugin: the active`},
		{[]cli.Lack{noServer, noPlugin}, []string{"enable", "bob"}, problem.ExitFailed, `hint: flexvc plugin deploy, or enable them all the same with --force$`},
		{[]cli.Lack{noServer, noPlugin}, []string{"enable", "bob", "--yes", "--force"}, 0, `warning: Flex does not load the plugin: the active`},
		{[]cli.Lack{noServer}, []string{"enable", "bob", "--yes"}, 0, `warning: https://voice.acme.example cannot be reached: no such host$`},
		{[]cli.Lack{noServer, noPlugin}, []string{"disable", "dan", "--yes"}, 0, `disabling 1 worker`},
		{[]cli.Lack{noServer, noPlugin}, []string{"enable", "dan", "--yes"}, 0, ``},
	} {
		d := newDesk(t)
		d.lacks = c.lacks
		if got := d.run(append([]string{"workers"}, c.args...)...); got != c.exit {
			t.Errorf("%q exits with %d, want %d\n%s%s", c.args, got, c.exit, &d.out, &d.err)
		}
		clitest.WantMatch(t, d.err.String(), c.says)
	}
}
