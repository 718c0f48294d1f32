package teardown

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/fleet"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/provision"
	"github.com/flexvc/flexvc/internal/twilio"
	"github.com/flexvc/flexvc/internal/ui"
	"github.com/flexvc/flexvc/internal/workers"
)

// movers takes the workers off the extension, in ordinary runs.
type movers struct {
	opts    *Options
	session *cli.Session
	rules   fleet.Rules
	folder  workers.Folder
}

// lookAgain is how long an agent's browser gets to settle.
const lookAgain = 2 * time.Second

func (m *movers) plan(ctx context.Context) (provision.Work, error) {
	groups, err := m.look(ctx)
	item := provision.Item{Kind: provision.KindWorkers, Action: provision.Same, Name: "0 workers"}
	n := 0
	for _, sids := range groups {
		n += len(sids)
	}
	if n > 0 {
		item.Action, item.Name, item.Detail = provision.Change, ui.Plural(n, "worker"), "flag as before flexvc, contact URI back on the tab"
	}
	return provision.Work{Item: item, Do: m.move}, err
}

// look sorts the workers by what has to be done to them. The flag becomes what it
// was before the first run here; where that is not known, it is removed.
func (m *movers) look(ctx context.Context) (map[attributes.Edit][]string, error) {
	former := m.folder.FormerFlags()
	groups := map[attributes.Edit][]string{}
	err := workers.Select(ctx, m.session.Workers, workers.Selection{All: true}, m.opts.Concurrency, func(w twilio.Worker) error {
		facts := m.rules.Facts(w)
		onExtension := m.rules.OnExtension(facts)
		was, known := former[w.SID]
		edit := attributes.Edit{Unset: was != attributes.Disabled, ResetContactURI: onExtension}
		switch {
		case facts.Flag == attributes.Invalid:
			return nil
		case facts.Flag == attributes.Disabled && (!known || was == attributes.Disabled):
			edit.Unset = false // it was so, as far as is known
			if !onExtension {
				return nil
			}
		case facts.Flag == attributes.Unset && !onExtension:
			return nil
		}
		if onExtension {
			edit.Prefix = m.rules.Prefix
		}
		groups[edit] = append(groups[edit], w.SID)
		return nil
	})
	return groups, err
}

// move does so until nobody is left on the extension: a browser may write its own
// copy of a worker once more.
func (m *movers) move(ctx context.Context) error {
	app := m.opts.App
	for round := 0; ; round++ {
		groups, err := m.look(ctx)
		if err != nil {
			return err
		}
		for edit, sids := range groups {
			if err := m.run(ctx, edit, sids); err != nil {
				return err
			}
		}
		left, err := fleet.CountDependents(ctx, m.session.Workers, m.rules, app.Now)
		if err != nil || left.None() {
			return err
		}
		if round == 0 {
			app.UI.Note("waiting for %s to leave the extension (^C stops; run flexvc teardown again to continue)", ui.Plural(left.Enabled+left.Stale, "worker"))
		}
		if err := app.Sleep(ctx, lookAgain); err != nil {
			return err
		}
	}
}

// run changes workers as one journalled run.
func (m *movers) run(ctx context.Context, edit attributes.Edit, sids []string) error {
	app := m.opts.App
	lock, err := m.folder.Lock("teardown")
	if err != nil {
		return err
	}
	defer lock.Release()
	plan, err := workers.PlanEdit(ctx, m.session.Workers, workers.Selection{Names: sids}, edit, m.opts.Concurrency, lock)
	if err != nil {
		return err
	}
	defer plan.Close()
	if len(plan.Change) == 0 {
		return nil
	}
	header := workers.Header{
		Command: "teardown", Selection: fmt.Sprint(ui.Plural(len(sids), "worker")), Account: m.session.AccountSID, Workspace: m.session.WorkspaceSID,
	}
	run, err := lock.Begin(header, plan)
	if err != nil {
		return err
	}
	stop := make(chan struct{})
	defer app.OnInterrupt(sync.OnceFunc(func() { close(stop) }))()
	progress := app.UI.Progress("workers", len(plan.Change), app.Now)
	done, failed := 0, 0
	var first workers.Outcome
	tally, err := run.Apply(ctx, m.session.Workers, m.folder, workers.ApplyOptions{
		Concurrency: m.opts.Concurrency, Stop: stop,
		Done: func(o workers.Outcome) {
			done++
			if o.Status == workers.Failed {
				if failed++; failed == 1 {
					first = o
				}
			}
			progress.Update(min(done, len(plan.Change)), failed, m.session.Retries())
		},
	})
	progress.End()
	if p := problem.As(err); p != nil && p.Code == problem.Interrupted {
		return problem.New(problem.Interrupted, "stopped: %d of %d workers changed", tally.Changed, tally.Planned).
			WithHint("continue: flexvc teardown")
	}
	if err == nil && tally.Failed > 0 {
		err = problem.New(first.Code, "cannot take %s off the extension, such as %s: %s", ui.Plural(tally.Failed, "worker"), first.Name, first.Reason).
			WithHint("run flexvc teardown again")
	}
	return err
}
