package runs

import (
	"context"
	"errors"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/workers"
	"github.com/spf13/cobra"
)

type rollbackOptions struct {
	App         *cli.App
	Run         string
	Workspace   string
	Concurrency int
	DryRun      bool
	ExitCode    bool
	Yes         bool
	Force       bool
}

func newRollback(app *cli.App, runF func(context.Context, *rollbackOptions) error) *cobra.Command {
	opts := &rollbackOptions{App: app}
	if runF == nil {
		runF = rollbackRun
	}
	cmd := &cobra.Command{
		Use:   "rollback <run>",
		Short: "Restore what workers had before a run",
		Long: `Restore the exact attributes workers had before a run. Where others have changed more
since, the run's own keys get their former values and everything else stays; agents who
have moved to the extension since get their contact URI back. Workers whose own keys
have a third value are skipped, with the command that can change them. A rollback is
itself a run: it can be resumed and rolled back.`,
		Example: `  $ flexvc runs rollback 01J8X4 --dry-run
  $ flexvc runs rollback 01J8X4 --yes`,
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
	cli.WorkspaceFlag(cmd, &opts.Workspace)
	cli.PlanFlags(cmd, &opts.DryRun, &opts.ExitCode, &opts.Yes)
	cli.ConcurrencyFlag(cmd, &opts.Concurrency)
	cmd.Flags().BoolVar(&opts.Force, "force", false, "enable workers even though Flex does not load the plugin")
	return cmd
}

func rollbackRun(ctx context.Context, opts *rollbackOptions) error {
	b, folder, err := openRun(ctx, opts.App, opts.Run, opts.Workspace, opts.Concurrency)
	if err != nil {
		return err
	}
	defer b.Session.Release()
	b.DryRun, b.ExitCode, b.Yes, b.Force = opts.DryRun, opts.ExitCode, opts.Yes, opts.Force
	id, err := workers.ParseRunID(opts.Run)
	if err != nil {
		return err
	}
	config, err := opts.App.Config()
	if err != nil {
		return err
	}
	header := workers.Header{Command: "runs rollback", Selection: id, Of: id}
	return b.Run(ctx, header, func(lock *workers.Lock) (*workers.Plan, error) {
		return workers.PlanRollback(ctx, b.Session.Workers, folder, id, config.IdentityPrefix, opts.Concurrency, lock)
	})
}
