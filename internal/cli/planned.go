package cli

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/provision"
)

// Planned is a command from its plan on: it shows the plan, asks, and applies it.
type Planned struct {
	App                   *App
	Plan                  *provision.Plan
	DryRun, ExitCode, Yes bool
	TypedName             string // of the profile, to be typed instead of yes; empty: yes

	Ready func() error // refuses what cannot end well, before anybody is asked; nil: nothing
	Text  PlanText
	JSON  PlanJSON
}

func (p Planned) Run(ctx context.Context) error {
	view := p.view()
	if p.DryRun {
		view.plan()
		if p.ExitCode && p.Plan.Pending() {
			return Silent(problem.ChangesPending)
		}
		return nil
	}
	if !p.Plan.Pending() {
		view.plan()
		return p.Plan.Apply(ctx, view.item) // an interrupted run may have left something to tidy up
	}
	if p.Ready != nil {
		if err := p.Ready(); err != nil {
			return err
		}
	}
	if !p.Yes {
		// Whoever cannot be asked sees why, and no plan that nobody confirms.
		if err := canAsk(ctx, p.App); err != nil {
			return err
		}
	}
	view.plan()
	if !p.Yes {
		switch yes, err := p.confirm(ctx); {
		case err != nil:
			return err
		case !yes:
			p.App.UI.Printf("Nothing was changed.\n")
			return Silent(problem.Declined)
		}
	}
	view.start()
	err := p.Plan.Apply(ctx, view.item)
	view.end(err)
	return err
}

func (p Planned) confirm(ctx context.Context) (bool, error) {
	if p.TypedName != "" {
		return p.App.UI.ConfirmName(ctx, "Apply?", "profile", p.TypedName)
	}
	return p.App.UI.Confirm(ctx, "Apply?")
}

// canAsk returns why a question cannot be asked, or nil.
func canAsk(ctx context.Context, app *App) error {
	if app.JSON() {
		return problem.New(problem.ConfirmationNeeded, "cannot ask for confirmation with -o json").
			WithHint("review with --dry-run, then run again with --yes")
	}
	if app.UI.NoInput || !app.UI.InTTY {
		_, err := app.UI.Confirm(ctx, "")
		return err
	}
	return nil
}

// LockAccount keeps two runs of a command on one account apart.
func LockAccount(app *App, accountSID, file, command string) (release func(), err error) {
	dir, err := accountDir(app, accountSID)
	if err != nil {
		return nil, err
	}
	lock := flock.New(filepath.Join(dir, file), flock.SetPermissions(0o600))
	locked, err := lock.TryLock()
	if err != nil {
		return nil, problem.New(problem.StateUnwritable, "cannot lock the set-up of %s: %w", accountSID, err).
			WithHint("check the permissions of %s", dir)
	}
	if !locked {
		return nil, problem.New(problem.Locked, "cannot change account %s: another %s is already running", app.UI.SID(accountSID), command).
			WithHint("wait for it to finish")
	}
	return func() { _ = lock.Close() }, nil
}

// accountDir makes the account's folder in the state folder.
func accountDir(app *App, accountSID string) (string, error) {
	state, err := app.StateDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(state, accountSID)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", problem.New(problem.StateUnwritable, "cannot use the state folder: %w", err).
			WithHint("make it writable, or choose another folder with FLEXVC_STATE_DIR")
	}
	return dir, nil
}

// Columns of a plan; the sign is in front.
const (
	PlanKindWidth = 14
	planNameWidth = 27
	planGap       = 3
)

// Seconds is a duration in seconds, to the millisecond.
func Seconds(d time.Duration) float64 { return d.Round(time.Millisecond).Seconds() }
