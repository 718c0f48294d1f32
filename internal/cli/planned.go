package cli

import (
	"context"
	"time"

	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/provision"
)

// change is what a command does from its plan on: it shows the plan, asks, and
// applies it.
type change struct {
	pending               bool
	dryRun, exitCode, yes bool

	ready func() error // refuses what cannot end well, before anybody is asked; nil: nothing
	show  func()
	apply func() error
}

func (c change) run(ctx context.Context, app *App) error {
	switch {
	case !c.pending:
		c.show()
		return nil
	case c.dryRun:
		c.show()
		if c.exitCode {
			return silent(problem.ChangesPending)
		}
		return nil
	}
	if c.ready != nil {
		if err := c.ready(); err != nil {
			return err
		}
	}
	if !c.yes {
		// Whoever cannot be asked sees why, and no plan that nobody confirms.
		if err := canAsk(ctx, app); err != nil {
			return err
		}
	}
	c.show()
	if !c.yes {
		switch yes, err := app.UI.Confirm(ctx, "Apply?"); {
		case err != nil:
			return err
		case !yes:
			app.UI.Printf("Nothing was changed.\n")
			return silent(problem.Declined)
		}
	}
	return c.apply()
}

// setupJSON are the items of a plan for programs.
func setupJSON(items []provision.SetupItem) []setupItemJSON {
	all := make([]setupItemJSON, len(items))
	for i, item := range items {
		all[i] = setupItemJSON(item)
	}
	return all
}

// printItemJSON writes the line of an item that was applied, or could not be.
// When nobody reads any more, what is under way is finished all the same.
func printItemJSON(app *App, item provision.SetupItem, took time.Duration, err error) {
	status := map[provision.SetupAction]string{
		provision.SetupAdd: "added", provision.SetupChange: "changed", provision.SetupRemove: "removed", provision.SetupSame: "same",
	}[item.Action]
	if err != nil {
		status = "failed"
	}
	_ = printJSON(app.UI.Out, struct {
		V       int                 `json:"v"`
		Event   string              `json:"event"`
		Kind    provision.SetupKind `json:"kind"`
		Name    string              `json:"name"`
		ID      string              `json:"id,omitempty"`
		Status  string              `json:"status"`
		Seconds float64             `json:"seconds"`
	}{1, "item", item.Kind, item.Name, item.ID, status, seconds(took)})
}
