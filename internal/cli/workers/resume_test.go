package workers_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/flexvc/flexvc/internal/problem"
)

// supersede leaves an enabling run unfinished, and disables everybody afterwards.
func (d *desk) supersede() {
	d.interruptAt(5)
	d.setup(problem.ExitInterrupted, "workers", "enable", "--all", "--yes", "--concurrency", "1")
	d.api.onWrite = nil
	d.setup(problem.ExitPartly, "workers", "disable", "--all", "--yes", "--concurrency", "1")
}

func (d *desk) texts() map[string]string {
	texts := map[string]string{}
	for _, w := range d.api.workers {
		texts[w.FriendlyName] = *w.Attributes
	}
	return texts
}

// TestResumeOfAnOldRunUndoesANewerOne: without a plan and without a question.
func TestResumeOfAnOldRunUndoesANewerOne(t *testing.T) {
	for _, c := range []struct {
		name   string
		args   []string
		tty    bool
		answer string
		exit   int
		wants  string
		undoes bool
	}{
		{"nobody to ask", nil, false, "", problem.ExitUsage, "run again with --yes", false},
		{"for a program", []string{"-o", "json"}, true, "yes\n", problem.ExitUsage, "run again with --yes", false},
		{"no", nil, true, "no\n", problem.ExitFailed, "Nothing was changed.", false},
		{"yes", nil, true, "yes\n", problem.ExitPartly, "Done: ", true},
		{"--yes", []string{"--yes"}, false, "", problem.ExitPartly, "Done: ", true},
		{"--dry-run", []string{"--dry-run"}, false, "", problem.ExitDone, "Nothing was changed (--dry-run).", false},
		{"--dry-run --exit-code", []string{"--dry-run", "--exit-code"}, false, "", problem.ExitPending, "Nothing was changed (--dry-run).", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDesk(t)
			d.supersede()
			before := d.texts()
			d.tty, d.answer = c.tty, c.answer
			args := append([]string{"runs", "resume", exampleRun}, c.args...)
			if got := d.run(args...); got != c.exit {
				t.Errorf("exits with %d, want %d:\n%s%s", got, c.exit, &d.out, &d.err)
			}
			if text := d.out.String() + d.err.String(); !strings.Contains(text, c.wants) {
				t.Errorf("it does not say %q:\n%s", c.wants, text)
			}
			if undone := !maps.Equal(before, d.texts()); undone != c.undoes {
				t.Errorf("workers were changed: %t", undone)
			}
		})
	}
}

// TestSupersededRunIsAdvertised: resume of it would undo what came after.
func TestSupersededRunIsAdvertised(t *testing.T) {
	d := newDesk(t)
	d.supersede()
	for _, args := range [][]string{{"runs", "list"}, {"runs", "show", exampleRun}, {"runs", "list", "-o", "json"}, {"runs", "show", exampleRun, "-o", "json"}} {
		if got := d.run(args...); got != 0 {
			t.Fatalf("%q exits with %d", args, got)
		}
		text := d.out.String() + d.err.String()
		if !strings.Contains(text, "superseded") || strings.Contains(text, "unfinished") || strings.Contains(text, "flexvc runs resume "+exampleRun+"\n") {
			t.Errorf("%q says\n%s", args, text)
		}
	}
	// One that changed workers which are done supersedes nothing.
	d = newDesk(t)
	d.interruptAt(5)
	d.setup(problem.ExitInterrupted, "workers", "enable", "--all", "--yes", "--concurrency", "1")
	d.api.onWrite = nil
	d.setup(0, "workers", "disable", "alice", "dan", "--yes")
	if d.run("runs", "list"); !strings.Contains(d.out.String(), "unfinished") || !strings.Contains(d.err.String(), "flexvc runs resume "+exampleRun) {
		t.Errorf("with a newer run of another worker:\n%s%s", &d.out, &d.err)
	}
	d.setup(0, "workers", "disable", "zoe", "agent6@example.com", "--dry-run") // is no run
	d.setup(0, "workers", "enable", "zoe", "--yes")
	if d.run("runs", "list"); !strings.Contains(d.out.String(), "superseded by 01J8X6: 5 of 11") {
		t.Errorf("with a newer run of a worker that is left:\n%s%s", &d.out, &d.err)
	}
}
