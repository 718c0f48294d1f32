package runs

import (
	"context"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/workers"
)

func New(app *cli.App) *cobra.Command {
	return cli.Parent("runs <command>", "The journal of every bulk change: resume it, roll it back",
		`Each change of workers is a run with a journal: what every worker had before, what
was written, how it ended. Journals are kept below ~/.local/state/flexvc (see flexvc
help environment), readable by you alone: they hold the workers' attributes.`,
		newList(app, nil), newShow(app, nil),
		newResume(app, nil), newRollback(app, nil))
}

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
		Short:             "List the runs, the latest first",
		Long:              "List the runs of all accounts and workspaces, the latest first. It asks Twilio nothing.",
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
			runs = append(runs, listedRun{s, err, runState(s.Ended, s.ID == running)})
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
}

// The states of a run whose journal can be read.
const (
	runDone       = "done"
	runUnfinished = "unfinished"
	runRunning    = "running"
)

func runState(ended, running bool) string {
	switch {
	case ended:
		return runDone
	case running:
		return runRunning
	}
	return runUnfinished
}

type showOptions struct {
	App       *cli.App
	Run       string
	Workspace string
}

func newShow(app *cli.App, runF func(context.Context, *showOptions) error) *cobra.Command {
	opts := &showOptions{App: app}
	if runF == nil {
		runF = showRun
	}
	cmd := &cobra.Command{
		Use:               "show <run>",
		Short:             "Show how a run ended, worker by worker",
		Long:              "Show how a run ended: the counts, and each worker that failed or was left alone. With\n-o json, every worker of the run. It asks Twilio nothing.",
		Args:              oneRun,
		ValidArgsFunction: completeRuns(app),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Run = args[0]
			return runF(cmd.Context(), opts)
		},
	}
	cmd.Flags().StringVar(&opts.Workspace, "workspace", "", "the workspace of the run, WS…, should two have one of that name")
	cli.NoCompletion(cmd, "workspace")
	return cmd
}

func showRun(_ context.Context, opts *showOptions) error {
	id, err := workers.ParseRunID(opts.Run)
	if err != nil {
		return err
	}
	folders, err := runFolders(opts.App, opts.Workspace)
	if err != nil {
		return err
	}
	folders = slices.DeleteFunc(folders, func(f workers.Folder) bool { return !f.Has(id) })
	switch len(folders) {
	case 0:
		return problem.New(problem.RunNotFound, "there is no run %s", id).WithHint("flexvc runs list shows all")
	case 1:
	default:
		return cli.Usagef("%d workspaces have a run %s: name one with --workspace", len(folders), id)
	}
	running := folders[0].Running()
	run, err := folders[0].Load(id)
	if err != nil {
		return err
	}
	defer run.Close()
	return newRunsView(opts.App).show(run, runState(run.Ended, id == running))
}

func oneRun(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return cli.Usagef("name one run: flexvc runs list shows them")
	}
	return nil
}

// runFolders returns the folders that hold journals, of one workspace or of all.
func runFolders(app *cli.App, workspace string) ([]workers.Folder, error) {
	if workspace == "" {
		workspace = "*"
	} else if strings.ContainsAny(workspace, `*?[\/`) {
		return nil, cli.Usagef("--workspace %q is not a workspace SID", workspace)
	}
	dir, err := app.StateDir()
	if err != nil {
		return nil, err
	}
	paths, err := filepath.Glob(filepath.Join(escapeGlob(dir), "*", workspace, "*.jsonl"))
	if err != nil {
		return nil, err
	}
	var folders []workers.Folder
	for _, path := range paths {
		f := workers.Folder{Path: filepath.Dir(path), Now: app.Now}
		if len(folders) == 0 || folders[len(folders)-1].Path != f.Path {
			folders = append(folders, f)
		}
	}
	return folders, nil
}

// escapeGlob keeps a folder's own name from being read as a pattern.
func escapeGlob(dir string) string {
	return strings.NewReplacer("*", "[*]", "?", "[?]", "[", "[[]").Replace(dir)
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
