package runs

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/cli"
)

type resumeOptions struct {
	App         *cli.App
	Run         string
	RetryFailed bool
	Workspace   string
	Concurrency int
	DryRun      bool
	ExitCode    bool
	Yes         bool
	Force       bool
}

func newResume(app *cli.App, runF func(context.Context, *resumeOptions) error) *cobra.Command {
	opts := &resumeOptions{App: app}
	if runF == nil {
		runF = resumeRun
	}
	cmd := &cobra.Command{
		Use:   "resume <run>",
		Short: "Continue a run that was stopped",
		Long: `Continue a run that was stopped, crashed, or could not write its journal. The plan
shows what is left of it, as the workers are now. The run was confirmed when it started,
so there is no further question, unless others began since in the workspace: to resume
an old run may undo a newer one. Writes that were in flight are looked up first, so none
is made twice.`,
		Example: `  $ flexvc runs resume 01J8X4 --dry-run
  $ flexvc runs resume 01J8X4
  $ flexvc runs resume 01J8X4 --retry-failed`,
		Args:              oneRun,
		ValidArgsFunction: completeRuns(app),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Run = args[0]
			err := errors.Join(cli.CheckPlanFlags(opts.DryRun, opts.ExitCode), cli.CheckConcurrency(opts.Concurrency))
			if err != nil {
				return err
			}
			return runF(cmd.Context(), opts)
		},
	}
	cmd.Flags().BoolVar(&opts.RetryFailed, "retry-failed", false, "retry workers that failed")
	cli.WorkspaceFlag(cmd, &opts.Workspace)
	cli.PlanFlags(cmd, &opts.DryRun, &opts.ExitCode, &opts.Yes)
	cli.ConcurrencyFlag(cmd, &opts.Concurrency)
	cmd.Flags().BoolVar(&opts.Force, "force", false, "enable workers even though Flex does not load the plugin")
	return cmd
}

func resumeRun(ctx context.Context, opts *resumeOptions) error {
	b, _, err := openRun(ctx, opts.App, opts.Run, opts.Workspace, opts.Concurrency)
	if err != nil {
		return err
	}
	defer b.Session.Release()
	b.DryRun, b.ExitCode, b.Yes, b.Force = opts.DryRun, opts.ExitCode, opts.Yes, opts.Force
	return b.Resume(ctx, opts.Run, opts.RetryFailed)
}
