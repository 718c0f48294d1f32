package emulator

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/ui"
)

type tokenOptions struct {
	app    *cli.App
	worker string
	ttl    time.Duration
}

func newToken(app *cli.App, runF func(context.Context, *tokenOptions) error) *cobra.Command {
	o := &tokenOptions{app: app}
	cmd := &cobra.Command{
		Use:   "token <worker>",
		Short: "Log an emulated agent in to Flex and print the Flex token",
		Long: `Log an emulated agent in to Flex and print the Flex token, to try flexvc serve.
Requires a running emulator: flexvc emulator, or flexvc -p emulator serve.`,
		Example: `  $ curl -d Token=$(flexvc emulator token alice) http://127.0.0.1:3001/generateToken`,
		Args:    cli.NameArgs(1, "name one worker of the emulator"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.worker = args[0]
			if runF != nil {
				return runF(cmd.Context(), o)
			}
			return tokenRun(cmd.Context(), o)
		},
	}
	cmd.Flags().DurationVar(&o.ttl, "ttl", time.Hour, "lifetime of the Flex token")
	return cmd
}

func tokenRun(ctx context.Context, o *tokenOptions) error {
	dir, err := o.app.EmulatorDir()
	if err != nil {
		return err
	}
	at, _, ok := cli.RunningEmulator(ctx, dir)
	if !ok {
		return problem.New(problem.NotFound, "cannot log %s in: no emulator is running", ui.Clean(o.worker)).
			WithHint("start one in another terminal: flexvc emulator")
	}
	var state emulator.State
	if err := cli.AskEmulator(ctx, at, http.MethodGet, "state", nil, &state); err != nil {
		return err
	}
	for _, w := range state.Workers {
		if w.SID != o.worker && !strings.EqualFold(w.FriendlyName, o.worker) {
			continue
		}
		var answer struct {
			Token string `json:"token"`
		}
		if err := cli.AskEmulator(ctx, at, http.MethodPost, "token", map[string]string{"worker": w.SID, "ttl": o.ttl.String()}, &answer); err != nil {
			return err
		}
		if o.app.JSON() {
			return cli.PrintJSON(o.app.UI.Out, tokenJSON{1, w.SID, answer.Token, int(o.ttl.Seconds())})
		}
		o.app.UI.Printf("%s\n", answer.Token)
		return nil
	}
	return problem.New(problem.WorkerNotFound, "cannot log %q in: the emulator has no such worker", ui.Clean(o.worker)).
		WithHint("flexvc -p emulator workers list")
}
