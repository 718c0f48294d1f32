// Package runs is flexvc runs: its flags, what it runs, and what it prints.
// Journals belong to internal/workers.
package runs

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/cli/bulk"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/workers"
)

func New(app *cli.App) *cobra.Command {
	return cli.Parent("runs <command>", "List, resume, roll back and prune bulk changes",
		`Each bulk change is a run with a journal: what every worker had before, what was
written, how it ended. Journals are kept in ~/.local/state/flexvc (see flexvc help
environment), readable only by you: they contain workers' attributes.`,
		newList(app, nil), newShow(app, nil),
		newResume(app, nil), newRollback(app, nil), newPrune(app, nil))
}

// The states of a run whose journal can be read.
const (
	runDone       = "done"
	runUnfinished = "unfinished"
	runRunning    = "running"
	runSuperseded = "superseded" // unfinished, and a newer run has changed what is left of it
)

// runState returns the state of a run in a folder, and the run that supersedes it,
// if one does. running is the run that is changing workers now.
func runState(f workers.Folder, id, running string, ended bool) (state, by string) {
	switch {
	case id == running:
		return runRunning, ""
	case ended:
		return runDone, ""
	}
	if by = f.SupersededBy(id); by != "" {
		return runSuperseded, by
	}
	return runUnfinished, ""
}

func oneRun(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return cli.Usagef("name one run (list runs: flexvc runs list)")
	}
	return nil
}

// runFolders returns the folders that hold journals, of one workspace or of all.
func runFolders(app *cli.App, workspace string) ([]workers.Folder, error) {
	if strings.ContainsAny(workspace, `*?[\/`) {
		return nil, cli.Usagef("--workspace %q is not a workspace SID", workspace)
	}
	state, err := app.StateDir()
	if err != nil {
		return nil, err
	}
	var folders []workers.Folder
	for _, account := range foldersIn(state) {
		for _, dir := range foldersIn(account) {
			f := workers.Folder{Path: dir, Now: app.Now}
			if workspace != "" && filepath.Base(dir) != workspace {
				continue
			}
			for range f.Runs() {
				folders = append(folders, f)
				break
			}
		}
	}
	return folders, nil
}

// foldersIn returns the folders of a folder, in order.
func foldersIn(dir string) (all []string) {
	entries, _ := os.ReadDir(dir) // one that is not there has none
	for _, e := range entries {
		if e.IsDir() {
			all = append(all, filepath.Join(dir, e.Name()))
		}
	}
	return all
}

// completeRuns offers the names of runs with what they did.
func completeRuns(app *cli.App) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
		var names []cobra.Completion
		folders, err := runFolders(app, "")
		if err != nil || len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		for _, f := range folders {
			for s, err := range f.Runs() {
				if err == nil && strings.HasPrefix(s.ID, strings.ToUpper(prefix)) {
					names = append(names, cobra.CompletionWithDesc(s.ID, s.Command+" "+s.Selection))
				}
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}

// openRun opens the session that a run belongs to. A run of another workspace
// is told apart from one that is not there at all.
func openRun(ctx context.Context, app *cli.App, name, workspace string, concurrency int) (*bulk.Job, workers.Folder, error) {
	id, err := workers.ParseRunID(name)
	if err != nil {
		return nil, workers.Folder{}, err
	}
	session, err := app.Open(ctx, cli.SessionOptions{Workspace: workspace, Discover: true})
	if err != nil {
		return nil, workers.Folder{}, err
	}
	b := &bulk.Job{App: app, Session: session, Concurrency: concurrency}
	folder, err := b.Folder()
	if err == nil {
		err = whereIs(app, id, folder)
	}
	if err != nil {
		session.Release()
		return nil, folder, err
	}
	return b, folder, nil
}

func whereIs(app *cli.App, id string, folder workers.Folder) error {
	folders, err := runFolders(app, "")
	if err != nil {
		return err
	}
	elsewhere := ""
	for _, f := range folders {
		if !f.Has(id) {
			continue
		}
		if f.Path == folder.Path {
			return nil
		}
		elsewhere = f.Path
	}
	if elsewhere == "" {
		return problem.New(problem.RunNotFound, "run %s does not exist in this workspace", id).
			WithHint("list all runs: flexvc runs list")
	}
	workspace, account := filepath.Base(elsewhere), filepath.Base(filepath.Dir(elsewhere))
	return problem.New(problem.RunNotFound, "run %s belongs to workspace %s of account %s",
		id, app.UI.SID(workspace), app.UI.SID(account)).
		WithHint("select that account with --profile, and add --workspace %s", workspace)
}
