package bulk

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/ui"
	"github.com/flexvc/flexvc/internal/workers"
)

// Situation is where a change would be made and what it would miss there, so that
// nobody changes the wrong account with the right command.
type Situation struct {
	Profile       string
	AccountSID    string
	AccountName   string // empty where the credentials may not read it
	WorkspaceSID  string
	WorkspaceName string // empty when it cannot be read
	Lacks         []cli.Lack
}

// manyWorkers is how many a change needs to be confirmed with the profile's name.
const manyWorkers = 50

// situation asks for the names; without them the SIDs have to do.
func (b *Job) situation(ctx context.Context) (Situation, error) {
	cfg, err := b.App.Config()
	if err != nil {
		return Situation{}, err
	}
	s := Situation{Profile: cfg.Profile, AccountSID: b.Session.AccountSID, WorkspaceSID: b.Session.WorkspaceSID}
	if s.AccountName, err = b.Session.AccountName(ctx); err != nil {
		s.AccountName = ""
	}
	if workspace, err := b.Session.Activities.Workspace(ctx); err == nil {
		s.WorkspaceName = workspace.FriendlyName
	}
	if b.Enables {
		s.Lacks, err = b.Session.Lacks(ctx)
		return s, err
	}
	return s, ctx.Err()
}

// refusal is why workers are not enabled here, or nil.
func (s Situation) refusal(force bool) error {
	for _, l := range s.Lacks {
		if l.Plugin && !force {
			return problem.New(problem.PluginNotReleased, "cannot enable workers: %s: %s", l.Says, l.Cause).
				WithHint("%s, or enable them all the same with --force", cmp.Or(l.Fix, "flexvc plugin deploy"))
		}
	}
	return nil
}

func named(u *ui.Streams, name, sid string) string {
	if name == "" {
		return u.SID(sid)
	}
	return fmt.Sprintf("%s (%s)", ui.Clean(name), u.SID(sid))
}

// warn tells what is missing, and what mends it. A missing plugin is told by the
// refusal, where there is one.
func (s Situation) warn(u *ui.Streams, refused bool) {
	for _, l := range s.Lacks {
		if refused && l.Plugin {
			continue
		}
		u.Warn("%s: %s", cli.Finding(u, l.Says), cli.Finding(u, l.Cause))
		if l.Fix != "" {
			u.Hint("%s", cli.Finding(u, l.Fix))
		}
	}
}

// confirm asks for a yes, and to change more than manyWorkers of a real account
// for the name of the profile.
func (b *Job) confirm(ctx context.Context, question string, n int, s Situation) (bool, error) {
	if b.App.JSON() {
		return false, problem.New(problem.ConfirmationNeeded, "cannot ask for confirmation with -o json").
			WithHint("review with --dry-run, then run again with --yes")
	}
	if n > manyWorkers && !b.Session.Emulated {
		return b.App.UI.ConfirmName(ctx, question, "profile", s.Profile)
	}
	return b.App.UI.Confirm(ctx, question)
}

// question says what is about to be changed, and where.
func question(u *ui.Streams, h workers.Header, n int, s Situation) string {
	verb, then := "Change", "The plugin moves each agent back to the Flex tab when they next start Flex.\n"
	switch {
	case h.Of != "":
		verb, then = "Restore", ""
	case h.Edit.Enable:
		then = "The plugin moves each agent to the extension when they next start Flex.\n"
	}
	return fmt.Sprintf("%s %s in %s?\n%s", verb, ui.Plural(n, "worker"), s.place(u), then)
}

// place is where it happens, within a sentence.
func (s Situation) place(u *ui.Streams) string {
	return fmt.Sprintf("%s of account %s (profile %q)",
		cmp.Or(ui.Clean(s.WorkspaceName), u.SID(s.WorkspaceSID)), cmp.Or(ui.Clean(s.AccountName), u.SID(s.AccountSID)), s.Profile)
}

// heading says where a plan would be carried out, on lines that fit.
func (s Situation) heading(u *ui.Streams) string {
	parts := []string{
		fmt.Sprintf("Profile %q:", s.Profile),
		"account " + named(u, s.AccountName, s.AccountSID) + ",",
		"workspace " + named(u, s.WorkspaceName, s.WorkspaceSID),
	}
	if line := strings.Join(parts, " "); !u.OutTTY || ui.Columns(line) <= u.Width() {
		return line
	}
	return strings.Join(parts, "\n  ")
}
