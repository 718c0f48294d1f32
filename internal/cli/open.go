package cli

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/flexvc/flexvc/internal/config"
	"github.com/flexvc/flexvc/internal/doctor"
	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/products"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/provision"
	"github.com/flexvc/flexvc/internal/tokensrv"
	"github.com/flexvc/flexvc/internal/twilioapi"
)

// defaultAgents is how many workers a new emulated account has.
const defaultAgents = 250

// open starts a session with Twilio, or with the emulator under -p emulator.
func (a *App) open(ctx context.Context, o SessionOptions) (*Session, error) {
	cfg, err := a.Config()
	if err != nil {
		return nil, err
	}
	if cfg.Emulated() {
		return a.openEmulator(ctx, o)
	}
	if err := cfg.RequireCredentials(); err != nil {
		return nil, err
	}
	s, err := a.session(ctx, o, twilioapi.Options{
		AccountSID: cfg.AccountSID,
		Username:   cfg.Credentials.Username,
		Password:   cfg.Credentials.Password,
		Region:     cfg.Region,
		Edge:       cfg.Edge,
	}, func() error { return nil })
	if err != nil {
		return nil, err
	}
	s.Credentials = cfg.Credentials
	if cfg.Credentials.Kind == config.APIKeyPair {
		s.SigningKey = cfg.Credentials
	}
	return s, nil
}

// openEmulator uses the running emulator, or else one started in this process
// on the same data folder.
func (a *App) openEmulator(ctx context.Context, o SessionOptions) (*Session, error) {
	dir, err := a.emulatorDir()
	if err != nil {
		return nil, err
	}
	if at, account, ok := runningEmulator(ctx, dir); ok {
		return a.emulated(ctx, o, account, at, nil, func() error { return nil })
	}
	e, err := a.startEmulator(dir)
	if err != nil {
		return nil, err
	}
	// The address is never dialled: the transport answers in this process.
	inside := &url.URL{Scheme: "http", Host: "127.0.0.1"}
	s, err := a.emulated(ctx, o, e.Account(), inside, e.Transport(), e.Close)
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return s, nil
}

// startEmulator starts one in this process on the data folder.
func (a *App) startEmulator(dir string) (*emulator.Emulator, error) {
	_, err := os.Stat(dir)
	fresh := errors.Is(err, fs.ErrNotExist)
	e, err := emulator.New(emulator.Options{Products: products.All(), DataDir: dir, Agents: defaultAgents, Now: a.Now, Log: a.Log()})
	if err == nil && fresh {
		a.UI.Note("made an emulated account with %d workers in %s", defaultAgents, dir)
	}
	return e, err
}

// keepEmulator makes sure that an emulator runs until stop is called, for this
// process and for others that look for it.
func (a *App) keepEmulator(ctx context.Context) (stop func() error, err error) {
	dir, err := a.emulatorDir()
	if err != nil {
		return nil, err
	}
	if _, _, ok := runningEmulator(ctx, dir); ok {
		return func() error { return nil }, nil
	}
	e, err := a.startEmulator(dir)
	if err != nil {
		return nil, err
	}
	listener, err := listenHere("--listen", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	at := address{URL: "http://" + listener.Addr().String(), PID: os.Getpid()}
	leave, err := a.announce(at)
	if err != nil {
		return nil, errors.Join(err, listener.Close(), e.Close())
	}
	a.UI.Note("emulator on %s", at.URL)
	// It outlives the context: requests are still drained when that ends.
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- e.Run(running, listener) }()
	return func() error {
		leave()
		cancel()
		return errors.Join(<-ended, e.Close())
	}, nil
}

// emulated is a session with an emulator that listens on at, or that transport
// answers for.
func (a *App) emulated(ctx context.Context, o SessionOptions, account emulator.Account, at *url.URL, transport http.RoundTripper, done func() error) (*Session, error) {
	s, err := a.session(ctx, o, twilioapi.Options{
		AccountSID: account.SID,
		Username:   account.SID,
		Password:   account.AuthToken,
		Emulator:   at,
		Base:       transport,
	}, done)
	if err != nil {
		return nil, err
	}
	s.Credentials = config.Credentials{Username: account.SID, Password: account.AuthToken, Kind: config.AuthToken}
	s.SigningKey = config.Credentials{Username: account.KeySID, Password: account.KeySecret, Kind: config.APIKeyPair}
	if s.Transport = transport; transport == nil {
		s.Transport = detour{at, tokensrv.NewTransport(nil)}
	}
	return s, nil
}

// detour sends every request to one server. The Host header stays Twilio's, by
// which the emulator knows the product.
type detour struct {
	to   *url.URL
	base http.RoundTripper
}

func (d detour) RoundTrip(r *http.Request) (*http.Response, error) {
	out := r.Clone(r.Context())
	if out.Host == "" {
		out.Host = r.URL.Host
	}
	out.URL.Scheme, out.URL.Host = d.to.Scheme, d.to.Host
	return d.base.RoundTrip(out)
}

func (a *App) emulatorDir() (string, error) {
	dir, err := a.StateDir()
	return filepath.Join(dir, "emulator"), err
}

// session builds the client and finds the workspace.
func (a *App) session(ctx context.Context, o SessionOptions, api twilioapi.Options, done func() error) (*Session, error) {
	cfg, err := a.Config()
	if err != nil {
		return nil, err
	}
	api.SIDMarker = emulator.SIDMarker
	api.Log = a.Log()
	client, err := twilioapi.New(api)
	if err != nil {
		return nil, err
	}
	s := &Session{
		AccountSID:   api.AccountSID,
		WorkspaceSID: o.Workspace,
		Emulated:     api.Emulator != nil,
		Flex:         client,
		Keys:         client,
		Plugins: &provision.PluginDeployment{
			Registry: client, Hosting: client, Assets: client, Builds: client, Plugins: client, Releases: client,
			Random: a.Random, Now: a.Now, Sleep: sleep,
		},

		Sinks:         client,
		Subscriptions: client,

		KeyRestricted: client.KeyRestricted,
		Doctor:        doctor.Account{Check: client.CheckCredentials, Time: client.ServerTime, FlexToken: client.FlexToken},

		Retried: func() int { return int(client.Stats().RateLimited) },
		Close:   done,
	}
	if s.WorkspaceSID == "" {
		s.WorkspaceSID = cfg.WorkspaceSID
	}
	if s.WorkspaceSID == "" && o.Discover {
		flex, err := client.FlexConfiguration(ctx)
		if err != nil {
			return nil, err
		}
		s.Found = &flex
		if s.WorkspaceSID = flex.WorkspaceSID; s.WorkspaceSID == "" {
			return nil, problem.New(problem.FlexNotFound, "account %s has Flex, but no workspace is set up in it", a.UI.SID(api.AccountSID)).
				WithHint("finish the Flex set-up in the Twilio Console, or name the workspace with --workspace")
		}
	}
	if s.WorkspaceSID != "" {
		s.bind(client)
	}
	return s, nil
}

// sleep waits, unless the context ends first.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// bind points the session at its workspace.
func (s *Session) bind(client *twilioapi.Client) {
	workspace := client.Workspace(s.WorkspaceSID)
	s.Workers, s.Activities, s.Callbacks = workspace, workspace, workspace
}

var (
	_ provision.FlexAPI = (*twilioapi.Client)(nil)
	_ provision.KeyAPI  = (*twilioapi.Client)(nil)
)

// address is what a running emulator leaves in its data folder for the commands
// that look for it.
type address struct {
	URL string `json:"url"`
	PID int    `json:"pid"`
}

const addressFile = "running.json"

// runningEmulator asks whether an emulator serves the data folder, and for its
// account.
func runningEmulator(ctx context.Context, dir string) (*url.URL, emulator.Account, bool) {
	var account emulator.Account
	content, err := os.ReadFile(filepath.Join(dir, addressFile))
	if err != nil {
		return nil, account, false
	}
	var at address
	if json.Unmarshal(content, &at) != nil {
		return nil, account, false
	}
	u, err := url.Parse(at.URL)
	if err != nil || !strings.HasPrefix(u.Host, "127.0.0.1:") && !strings.HasPrefix(u.Host, "[::1]:") {
		return nil, account, false
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if err := askEmulator(ctx, u, http.MethodGet, "account", nil, &account); err != nil || account.SID == "" {
		return nil, account, false
	}
	return u, account, true
}
