package runs

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/provision"
	"github.com/flexvc/flexvc/internal/ui"
)

type pruneOptions struct {
	App       *cli.App
	OlderThan string
	Workspace string
	DryRun    bool
	ExitCode  bool
	Yes       bool

	age time.Duration
}

func newPrune(app *cli.App, runF func(context.Context, *pruneOptions) error) *cobra.Command {
	opts := &pruneOptions{App: app}
	if runF == nil {
		runF = pruneRun
	}
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Delete the journals of old runs",
		Long: `Delete the journals of runs that ended and began longer ago than --older-than, of all
accounts and workspaces unless --workspace is given. They contain workers' attributes,
which are personal data. Unfinished runs are kept. A run without a journal can be neither
shown nor rolled back, and flexvc teardown no longer knows what a worker's flag was
before it. Does not contact Twilio.`,
		Example: `  $ flexvc runs prune --older-than 90d --dry-run
  $ flexvc runs prune --older-than 90d --yes`,
		Args:              cli.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if err := cli.CheckPlanFlags(opts.DryRun, opts.ExitCode); err != nil {
				return err
			}
			if opts.age, err = parseAge(opts.OlderThan); err != nil {
				return err
			}
			return runF(cmd.Context(), opts)
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&opts.OlderThan, "older-than", "", "age of the runs to delete, such as 90d or 36h (required)")
	cmd.Flags().StringVar(&opts.Workspace, "workspace", "", "only the runs of this workspace, WS…")
	cli.NoCompletion(cmd, "older-than")
	cli.NoCompletion(cmd, "workspace")
	cli.PlanFlags(cmd, &opts.DryRun, &opts.ExitCode, &opts.Yes)
	return cmd
}

// parseAge reads days, which Go's durations lack, or a Go duration.
func parseAge(text string) (time.Duration, error) {
	if text == "" {
		return 0, cli.Usagef("--older-than is required, such as --older-than 90d")
	}
	age, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n int
		n, err = strconv.Atoi(days)
		if err == nil && n > 36500 {
			err = strconv.ErrRange
		}
		age = time.Duration(n) * 24 * time.Hour
	}
	if err != nil || age <= 0 {
		return 0, cli.Usagef("--older-than %q is not an age such as 90d or 36h", ui.Clean(text))
	}
	return age, nil
}

func pruneRun(ctx context.Context, opts *pruneOptions) error {
	app := opts.App
	folders, err := runFolders(app, opts.Workspace)
	if err != nil {
		return err
	}
	var works []provision.Work
	for _, f := range folders {
		for _, s := range f.OlderThan(app.Now().Add(-opts.age)) {
			works = append(works, provision.Work{
				Item: provision.Item{
					Kind: "run", Action: provision.Remove, Name: s.ID, ID: filepath.Base(f.Path),
					Detail: fmt.Sprintf("%s, %s %s", s.Started.UTC().Format("2006-01-02 15:04 UTC"), s.Command, s.Selection),
				},
				Do: func(context.Context) error {
					lock, err := f.Lock("runs prune")
					if err != nil {
						return err
					}
					defer lock.Release()
					return f.Remove(s.ID)
				},
			})
		}
	}
	plan := provision.NewPlan(works)
	return cli.Planned{
		App: app, Plan: plan, DryRun: opts.DryRun, ExitCode: opts.ExitCode, Yes: opts.Yes,
		Text: pruneText(app.UI, opts.OlderThan, len(works)),
		JSON: cli.PlanJSON{
			Plan:    prunePlan{cli.Event("plan"), cli.PlanCounts(plan), cli.PlanItems(plan)},
			Summary: cli.Summarize(plan),
		},
	}.Run(ctx)
}

type prunePlan struct {
	cli.EventJSON
	cli.CountsJSON
	Items []cli.ItemJSON `json:"items"` // runs, in order
}

func pruneText(s *ui.Streams, age string, n int) cli.PlanText {
	return cli.PlanText{
		Nothing: fmt.Sprintf("No changes: no run that has ended is older than %s.", ui.Clean(age)),
		Heading: "flexvc will delete the journals of these runs:",
		Line:    func(item provision.Item) (string, string) { return item.Name, item.Detail },
		Result:  func(item provision.Item, _ time.Duration, _ error) string { return ui.Clean(item.Name) },
		Again:   "run the command again",
		Done:    fmt.Sprintf("Done: the journals of %s were deleted.", ui.Plural(n, "run")),
	}
}
