package rollout

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/rollout"
	"github.com/flexvc/flexvc/internal/ui"
)

func New(app *cli.App) *cobra.Command {
	return cli.Parent("rollout <command>", "Watch the extension reach its browsers",
		"See how far a version of the extension that flexvc serve offers has come.",
		newRolloutStatusCmd(app, nil))
}

// rolloutOptions is one `flexvc rollout status`.
type Options struct {
	App    *cli.App
	Server string
}

func newRolloutStatusCmd(app *cli.App, runF func(context.Context, *Options) error) *cobra.Command {
	o := &Options{App: app}
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show which versions browsers have",
		Long: `Show which versions of the extension browsers have, as a running flexvc serve has
learnt from their questions for updates in the last 24 hours.

Browsers are told apart by client address, system, language and their own version,
which is all that Chrome tells: behind one address, browsers that are the same in these
count once. Each replica of the server knows those that asked it.`,
		Example: `  $ flexvc rollout status
  $ flexvc rollout status --server http://10.0.0.7:9464 -o json`,
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if runF != nil {
				return runF(cmd.Context(), o)
			}
			return StatusRun(cmd.Context(), o)
		},
	}
	cmd.Flags().StringVar(&o.Server, "server", "http://127.0.0.1:9464", "the server's --metrics-listen address")
	return cmd
}

func StatusRun(ctx context.Context, o *Options) error {
	at, err := url.Parse(o.Server)
	if err != nil || at.Scheme != "http" && at.Scheme != "https" || at.Host == "" {
		return cli.Usagef("--server %q is not an address like http://127.0.0.1:9464", ui.Clean(o.Server))
	}
	status, err := askRollout(ctx, at.JoinPath(rollout.PathStatus).String())
	if err != nil {
		return err
	}
	if o.App.JSON() {
		return cli.PrintJSON(o.App.UI.Out, status)
	}
	printRollout(o.App, status)
	return nil
}

// askRollout asks the metrics listener of a server.
func askRollout(ctx context.Context, address string) (status rollout.Status, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return status, err
	}
	// No proxy: the address is the operator's own.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return status, problem.New(problem.NetworkUnreachable, "cannot ask the server at %s: %w", address, cli.Reason(err)).
			WithHint("start it: flexvc serve --extension FILE; or name its --metrics-listen address with --server")
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotFound:
		return status, problem.New(problem.NotFound, "the server at %s offers no extension", address).
			WithHint("start it with flexvc serve --extension FILE")
	case resp.StatusCode != http.StatusOK:
		return status, problem.New(problem.RequestRefused, "the server at %s answered %s", address, resp.Status)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&status); err != nil || status.V != 1 {
		return status, problem.New(problem.NotFound, "what answers at %s is no flexvc serve of this version", address).
			WithHint("name the server's --metrics-listen address with --server")
	}
	return status, nil
}

func printRollout(app *cli.App, s rollout.Status) {
	out := app.UI
	offered := "all browsers"
	if s.Stage < 100 {
		offered = cli.Percent(s.Stage) + " of browsers"
	}
	out.Printf("%s %s, offered to %s since %s\n", ui.Clean(s.ID), ui.Clean(s.Version), offered, s.Since.Local().Format("2006-01-02 15:04"))
	if s.Base != "" {
		out.Printf("the others are offered %s\n", ui.Clean(s.Base))
	}
	if s.NotServed != "" {
		out.Printf(" %s %s\n", out.Mark(out.Out, ui.Failed), ui.Clean(s.NotServed))
	}
	if s.Foreign > 0 {
		out.Printf(" %s %s for another extension: a policy names another ID\n", out.Mark(out.Out, ui.Alert), ui.Plural(int(s.Foreign), "request"))
	}
	out.Chat("\n")
	if s.Browsers == 0 {
		out.Printf("No browser has asked yet. They do at their start, and every five hours.\n")
		return
	}
	rows := make([][]string, len(s.Fleet))
	for i, v := range s.Fleet {
		name := v.Version
		if name == "" {
			name = "installing"
		}
		rows[i] = []string{ui.Clean(name), fmt.Sprint(v.Browsers), fmt.Sprintf("%.0f%%", 100*float64(v.Browsers)/float64(s.Browsers)), ago(app.Now().Sub(v.Last))}
	}
	out.Table([]string{"VERSION", "BROWSERS", "SHARE", "LAST ASKED"}, rows)
	out.Chat("\n%s asked in the last %s", ui.Plural(s.Browsers, "browser"), cli.Lifetime(time.Duration(s.Window)*time.Second))
	if s.Dropped > 0 {
		out.Chat("; at least: %d more were too many to remember", s.Dropped)
	}
	out.Chat("\n")
}

// ago prints "12 s ago", "5 min ago" or "3 h ago".
func ago(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s ago", max(d, 0).Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min ago", d.Minutes())
	}
	return fmt.Sprintf("%.0f h ago", d.Hours())
}
