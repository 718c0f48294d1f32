package cli

import (
	"context"
	"net/http"
	"time"

	"github.com/flexvc/flexvc/internal/config"
	"github.com/flexvc/flexvc/internal/doctor"
	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/provision"
	"github.com/flexvc/flexvc/internal/tokensrv"
	"github.com/flexvc/flexvc/internal/twilio"
	"github.com/flexvc/flexvc/internal/twilioapi"
	"github.com/flexvc/flexvc/internal/workers"
)

// Session is a command's way to one Twilio account, real or emulated. It holds
// what tests put a fake in the place of; the rest is asked for with a method.
type Session struct {
	AccountSID   string
	WorkspaceSID string // empty until it is known: see SessionOptions
	Emulated     bool
	Found        *twilio.FlexConfiguration // nil unless Flex was asked for the workspace

	// Credentials are those the session uses; SigningKey is an API key that may
	// sign tokens when the settings name none, empty if there is none.
	Credentials, SigningKey config.Credentials

	Client     *twilioapi.Client
	Workers    workers.API           // nil without a workspace
	Activities provision.ActivityAPI // nil without a workspace
	Flex       doctor.FlexAPI
	Keys       provision.KeyAPI
	// KeyRestricted tells whether an API key is a Restricted one.
	KeyRestricted func(ctx context.Context, sid string) (bool, error)
	// AccountName is the account's friendly name. Standard API keys may not read it.
	AccountName func(ctx context.Context) (string, error)
	// Lacks finds out what agents who are enabled now would miss.
	Lacks func(ctx context.Context) ([]Lack, error)

	// Transport leads to the emulator for a client other than the session's own;
	// nil is Twilio.
	Transport http.RoundTripper
	Close     func() error
}

// SessionOptions says what a command needs of its session.
type SessionOptions struct {
	Workspace string // --workspace: a SID that wins over the profile's
	// Discover asks Flex for the workspace when neither Workspace nor the
	// profile names one.
	Discover bool
}

// open starts a session with Twilio, or with the emulator under -p emulator.
func (a *App) OpenSession(ctx context.Context, o SessionOptions) (*Session, error) {
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
		AccountSID:    api.AccountSID,
		WorkspaceSID:  o.Workspace,
		Emulated:      api.Emulator != nil,
		Client:        client,
		Flex:          client,
		Keys:          client,
		KeyRestricted: client.KeyRestricted,
		AccountName:   client.AccountName,
		Close:         done,
	}
	s.Lacks = func(ctx context.Context) ([]Lack, error) { return a.lacks(ctx, s) }
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
			return nil, problem.New(problem.FlexNotFound, "account %s has Flex, but no workspace is set up", a.UI.SID(api.AccountSID)).
				WithHint("finish the Flex set-up in the Twilio Console, or pass --workspace")
		}
	}
	if s.WorkspaceSID != "" {
		workspace := client.Workspace(s.WorkspaceSID)
		s.Workers, s.Activities = workspace, workspace
	}
	return s, nil
}

// Sleep waits, unless the context ends first.
func Sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Release ends the session; what a failure to do so could cost is already over.
func (s *Session) Release() {
	if s.Close != nil {
		_ = s.Close()
	}
}

// Retries is how many requests were repeated so far because of the rate limit.
func (s *Session) Retries() int {
	if s.Client == nil {
		return 0
	}
	return int(s.Client.Stats().RateLimited)
}

// Events is what pushes the events of the session's workspace.
func (s *Session) Events() *provision.Events {
	return &provision.Events{
		Workspace: s.WorkspaceSID, Sinks: s.Client, Subscriptions: s.Client, Callbacks: s.Client.Workspace(s.WorkspaceSID),
	}
}

// Plugin is what deploys the Flex plugin to the session's account.
func (a *App) Plugin(s *Session) *provision.Plugin {
	return &provision.Plugin{Client: s.Client, Random: a.Random, Now: a.Now, Sleep: a.Sleep}
}

// Function is what deploys the token Function to the session's account.
func (a *App) Function(s *Session) (*provision.Function, error) {
	intents, err := a.IntentFile(s.AccountSID, "function.json", provision.FunctionKeyName)
	if err != nil {
		return nil, err
	}
	web := s.Transport
	if web == nil {
		web = tokensrv.NewTransport(http.ProxyFromEnvironment)
	}
	return &provision.Function{Client: s.Client, Keys: s.Keys, Intents: intents, Random: a.Random, Now: a.Now, Sleep: a.Sleep, Web: web}, nil
}
