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

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/provision"
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
	return a.session(ctx, o, twilioapi.Options{
		AccountSID: cfg.AccountSID,
		Username:   cfg.Credentials.Username,
		Password:   cfg.Credentials.Password,
		Region:     cfg.Region,
		Edge:       cfg.Edge,
	}, func() error { return nil })
}

// openEmulator uses the running emulator, or else one started in this process
// on the same data folder.
func (a *App) openEmulator(ctx context.Context, o SessionOptions) (*Session, error) {
	dir, err := a.emulatorDir()
	if err != nil {
		return nil, err
	}
	if address, account, ok := runningEmulator(ctx, dir); ok {
		return a.session(ctx, o, emulatedAccount(account, address, nil), func() error { return nil })
	}
	_, err = os.Stat(dir)
	fresh := errors.Is(err, fs.ErrNotExist)
	e, err := emulator.New(emulator.Options{DataDir: dir, Agents: defaultAgents, Now: a.Now, Log: a.Log()})
	if err != nil {
		return nil, err
	}
	if fresh {
		a.UI.Note("made an emulated account with %d workers in %s", defaultAgents, dir)
	}
	// The address is never dialled: the transport answers in this process.
	inside := &url.URL{Scheme: "http", Host: "127.0.0.1"}
	s, err := a.session(ctx, o, emulatedAccount(e.Account(), inside, e.Transport()), e.Close)
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return s, nil
}

func (a *App) emulatorDir() (string, error) {
	dir, err := a.StateDir()
	return filepath.Join(dir, "emulator"), err
}

func emulatedAccount(account emulator.Account, address *url.URL, transport http.RoundTripper) twilioapi.Options {
	return twilioapi.Options{
		AccountSID: account.SID,
		Username:   account.SID,
		Password:   account.AuthToken,
		Emulator:   address,
		Base:       transport,
	}
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
		Retried:      func() int { return int(client.Stats().RateLimited) },
		Close:        done,
	}
	if s.WorkspaceSID == "" {
		s.WorkspaceSID = cfg.WorkspaceSID
	}
	if s.WorkspaceSID == "" && o.Discover {
		flex, err := client.FlexConfiguration(ctx)
		if err != nil {
			return nil, err
		}
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

// bind points the session at its workspace.
func (s *Session) bind(client *twilioapi.Client) {
	workspace := client.Workspace(s.WorkspaceSID)
	s.Workers, s.Activities = workspace, workspace
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
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.JoinPath("_emulator", "account").String(), nil)
	if err != nil {
		return nil, account, false
	}
	req.Header.Set(emulator.ControlHeader, "1")
	// No proxy: the address is this machine's.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return nil, account, false
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || json.NewDecoder(resp.Body).Decode(&account) != nil || account.SID == "" {
		return nil, account, false
	}
	return u, account, true
}
