package serve

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/flexvc/flexvc/internal/cli/clitest"
	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/tokensrv"
)

// TestRequireEnabled: who is enabled is known from one listing, which begins once
// the workspace is known; with --events, from the listing that these keep.
func TestRequireEnabled(t *testing.T) {
	t.Parallel()
	for name, flags := range map[string][]string{"alone": nil, "with events": {"--events"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := clitest.Serve(t, emulator.Options{Agents: 2, SeedValue: 5})
			on, off := s.ExportWorkers()[0].SID, s.ExportWorkers()[1].SID
			clitest.Check(t, s.Edit(on, `{"extensionVoiceClientEnabled":true,"contact_uri":"client:ext_a"}`))
			var out clitest.Output
			app := clitest.App(s.State, &out)
			app.Global.Profile, app.Global.Output = "emulator", "text"
			ready, ended := make(chan string, 1), make(chan error, 1)
			cmd := New(app, func(ctx context.Context, o *Options) error {
				o.Ready = func(at string) { ready <- at }
				ended <- Run(ctx, o)
				return nil
			})
			cmd.SetArgs(append([]string{
				"--listen", "127.0.0.1:0", "--metrics-listen", "none", "--allow-origin", "chrome-extension://" + strings.Repeat("a", 32), "--require-enabled",
			}, flags...))
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			go func() { _ = cmd.ExecuteContext(ctx) }()
			var address string
			select {
			case address = <-ready:
			case err := <-ended:
				t.Fatalf("serve ended: %v\n%s", err, out.String())
			}
			want := func(worker string, status int) {
				t.Helper()
				token, err := s.MintFlexToken(worker, time.Hour)
				clitest.Check(t, err)
				if got, _ := ask(t, address, token); got != status {
					t.Errorf("the answer is %d, want %d\n%s", got, status, out.String())
				}
			}
			clitest.Check(t, s.SetFaults("FetchWorker:500"))
			want(on, http.StatusOK)
			clitest.Check(t, s.SetFaults())
			want(off, http.StatusForbidden)
			stop()
			if err := <-ended; err != nil {
				t.Errorf("serve ends with %v", err)
			}
		})
	}
}

// TestWorkersBeforeTheWorkspaceIsKnown: the server has begun to answer by then.
func TestWorkersBeforeTheWorkspaceIsKnown(t *testing.T) {
	t.Parallel()
	s := clitest.Serve(t, emulator.Options{Agents: 1, SeedValue: 5})
	worker := s.ExportWorkers()[0].SID
	clitest.Check(t, s.Edit(worker, `{"extensionVoiceClientEnabled":true}`))
	app := clitest.App(s.State, &clitest.Output{})
	app.Global.Profile, app.Global.Output = "emulator", "text"
	d := tokensrv.Defaults()
	o := &Options{
		App: app, Inside: true, AllowOrigins: []string{"chrome-extension://" + strings.Repeat("a", 32)}, TTL: d.TTL, requireEnabled: true,
		IdentityRate: "none", AddressRate: "none", RefusalRate: "none", ValidateVia: string(d.ValidateVia), ValidateTimeout: d.ValidateTimeout,
	}
	cfg, err := app.Config()
	clitest.Check(t, err)
	server, session, _, err := o.Server(t.Context(), cfg, nil)
	clitest.Check(t, err)
	defer session.Close()
	ctx, stop := context.WithCancel(t.Context())
	wait := o.space.list(ctx)
	defer func() { stop(); wait() }()
	if on, err := o.space.workerEnabled(ctx, worker); on || err == nil {
		t.Errorf("before: %v, %v", on, err)
	}
	clitest.Check(t, server.Start(ctx, func(err error) { t.Error(err) }))
	if on, err := o.space.workerEnabled(ctx, worker); !on || err != nil {
		t.Errorf("after: %v, %v", on, err)
	}
}
