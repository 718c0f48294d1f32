package runs

import (
	"context"
	"path/filepath"
	"slices"
	"strings"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/workers"
	"github.com/spf13/cobra"
)

type listOptions struct {
	App       *cli.App
	Workspace string
}

func newList(app *cli.App, runF func(context.Context, *listOptions) error) *cobra.Command {
	opts := &listOptions{App: app}
	if runF == nil {
		runF = listRun
	}
	cmd := &cobra.Command{
		Use:               "list",
		Short:             "List runs, latest first",
		Long:              "List the runs of all accounts and workspaces, latest first. Does not contact Twilio.",
		Args:              cli.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return runF(cmd.Context(), opts) },
	}
	cmd.Flags().StringVar(&opts.Workspace, "workspace", "", "only the runs of this workspace, WS…")
	cli.NoCompletion(cmd, "workspace")
	return cmd
}

func listRun(ctx context.Context, opts *listOptions) error {
	folders, err := runFolders(opts.App, opts.Workspace)
	if err != nil {
		return err
	}
	var runs []listedRun
	for _, f := range folders {
		running := f.Running()
		for s, err := range f.Runs() {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				s.Account, s.Workspace = filepath.Base(filepath.Dir(f.Path)), filepath.Base(f.Path)
			}
			row := listedRun{Summary: s, err: err}
			if err == nil {
				row.state, row.by = runState(f, s.ID, running, s.Ended)
			}
			runs = append(runs, row)
		}
	}
	slices.SortStableFunc(runs, func(a, b listedRun) int { return strings.Compare(b.ID, a.ID) })
	return newRunsView(opts.App).list(runs)
}

// listedRun is a run, or what is known of one whose journal cannot be read.
type listedRun struct {
	workers.Summary
	err   error
	state string
	by    string // the run that supersedes it
}
