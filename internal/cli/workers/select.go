package workers

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/ui"
	"github.com/flexvc/flexvc/internal/workers"
	"github.com/flexvc/flexvc/internal/workers/rows"
)

// selectOptions are the arguments and flags that say which workers are meant.
type selectOptions struct {
	Workers []string
	All     bool
	Filter  string
	From    string
}

const selectHelp = `Select workers by friendly name (case-insensitive) or SID, with --all, with a
TaskRouter expression that Twilio evaluates (--filter), or from a file (--from; "-" is
standard input). The file has one name or SID per line, or is CSV with a column sid,
friendly_name, worker, username, email or name, or what flexvc workers list prints. Each
row must be one worker, and all it says of the worker must be true; otherwise nothing is
changed, and the error names the line.`

func (o *selectOptions) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&o.All, "all", false, "all workers of the workspace")
	flags.StringVar(&o.Filter, "filter", "", "workers matching a TaskRouter expression")
	flags.StringVar(&o.From, "from", "", "workers listed in a file, one per line or CSV")
	cli.NoCompletion(cmd, "filter")
}

// check wants exactly one kind of selection; none only where all is harmless.
func (o *selectOptions) check(needed bool) error {
	var kinds []string
	if len(o.Workers) > 0 {
		kinds = append(kinds, "names")
	}
	if o.All {
		kinds = append(kinds, "--all")
	}
	if o.Filter != "" {
		kinds = append(kinds, "--filter")
	}
	if o.From != "" {
		kinds = append(kinds, "--from")
	}
	switch {
	case len(kinds) > 1:
		return cli.Usagef("%s cannot be combined", strings.Join(kinds, " and "))
	case len(kinds) == 0 && needed:
		return cli.Usagef("no workers selected: name them, or use --all, --filter or --from")
	}
	return nil
}

// selection reads the file if there is one.
func (o *selectOptions) selection(in io.Reader) (workers.Selection, error) {
	if o.From == "" {
		none := len(o.Workers) == 0 && o.Filter == ""
		return workers.Selection{All: o.All || none, Filter: o.Filter, Names: o.Workers}, nil
	}
	if o.From != "-" {
		file, err := os.Open(o.From)
		if err != nil {
			return workers.Selection{}, problem.New(problem.InputUnreadable, "cannot read the list of workers in %s: %w", o.From, problem.Reason(err))
		}
		defer file.Close()
		in = file
	}
	list, err := rows.Read(in)
	return workers.Selection{Rows: list}, err
}

// String is how a run's journal remembers the selection.
func (o *selectOptions) String() string {
	switch {
	case o.All:
		return "--all"
	case o.Filter != "":
		return "--filter " + o.Filter
	case o.From != "":
		return "--from " + o.From
	case len(o.Workers) <= 3:
		return strings.Join(o.Workers, " ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(o.Workers[:3], " "), len(o.Workers)-3)
}

// completionPatience is how long a person waits for a TAB.
const completionPatience = 2 * time.Second

// completeWorkers offers the workers' names, with their SIDs as descriptions.
// Whatever goes wrong offers nothing: a completion has no place for an error.
func completeWorkers(app *cli.App) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
		var names []cobra.Completion
		if app.Open == nil || app.Prepare(cmd) != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completionPatience)
		defer cancel()
		workspace, _ := cmd.Flags().GetString("workspace")
		session, err := app.Open(ctx, cli.SessionOptions{Workspace: workspace, Discover: true})
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer session.Release()
		for w, err := range session.Workers.Workers(ctx, "") {
			if err != nil {
				break
			}
			name := ui.Clean(w.FriendlyName)
			if strings.HasPrefix(strings.ToLower(name), strings.ToLower(prefix)) && name == w.FriendlyName {
				names = append(names, cobra.CompletionWithDesc(name, app.UI.SID(w.SID)))
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}
