package rollout

import (
	"context"
	"encoding/json"
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

// rolloutOptions is one `flexvc rollout status`.
type Options struct {
	App    *cli.App
	Server string
}

func newStatus(app *cli.App, runF func(context.Context, *Options) error) *cobra.Command {
	o := &Options{App: app}
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show which versions browsers have",
		Long: `Show which versions of the extension browsers have, as seen by a running flexvc serve
in their update checks of the last 24 hours.

Chrome reveals only client address, operating system, language and browser version, so
browsers that share all of these count once. Each replica of the server knows only the
browsers that asked it.`,
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
	status, err := ask(ctx, at.JoinPath(rollout.PathStatus).String())
	if err != nil {
		return err
	}
	if o.App.JSON() {
		return cli.PrintJSON(o.App.UI.Out, status)
	}
	printStatus(o.App, status)
	return nil
}

// ask asks the metrics listener of a server.
func ask(ctx context.Context, address string) (status rollout.Status, err error) {
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
		return status, problem.New(problem.NetworkUnreachable, "cannot ask the server at %s: %w", address, cli.Innermost(err)).
			WithHint("start it with flexvc serve --extension FILE, or pass its --metrics-listen address with --server")
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotFound:
		return status, problem.New(problem.NotFound, "the server at %s offers no extension", address).
			WithHint("start it with flexvc serve --extension FILE")
	case resp.StatusCode != http.StatusOK:
		return status, problem.New(problem.RequestRefused, "the server at %s responded with %s", address, resp.Status)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&status); err != nil || status.V != 1 {
		return status, problem.New(problem.NotFound, "%s is not a flexvc serve of this version", address).
			WithHint("pass the server's --metrics-listen address with --server")
	}
	return status, nil
}
