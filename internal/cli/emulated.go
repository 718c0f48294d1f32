package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/flexvc/flexvc/internal/config"
	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/products"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/tokensrv"
	"github.com/flexvc/flexvc/internal/twilioapi"
	"github.com/flexvc/flexvc/internal/ui"
)

// namesEmulated reports whether TWILIO_ACCOUNT_SID is an emulated account's. Such a
// SID never goes to Twilio, so that it means the emulator as -p emulator does, but
// with the credentials of the environment.
func (a *App) namesEmulated() bool {
	kind, digits, _ := strings.Cut(strings.ToLower(a.Getenv("TWILIO_ACCOUNT_SID")), emulator.SIDMarker)
	return kind == "ac" && digits != ""
}

// emulatedLogin is how this command line signs in to an emulated account.
func (a *App) emulatedLogin(account emulator.Account) (config.Credentials, error) {
	if !a.settings.ownEmulated {
		return config.Credentials{Username: account.SID, Password: account.AuthToken, Kind: config.AuthToken}, nil
	}
	if sid := a.Getenv("TWILIO_ACCOUNT_SID"); sid != account.SID {
		return config.Credentials{}, problem.New(problem.WrongTarget, "cannot use %s of TWILIO_ACCOUNT_SID: the emulator here has account %s", a.UI.SID(sid), a.UI.SID(account.SID)).
			WithHint("set the variables that flexvc emulator prints, or use -p emulator")
	}
	return config.FromEnvironment(a.Getenv)
}

// openEmulator uses the running emulator, or else one started in this process
// on the same data folder.
func (a *App) openEmulator(ctx context.Context, o SessionOptions) (*Session, error) {
	dir, err := a.EmulatorDir()
	if err != nil {
		return nil, err
	}
	if at, account, ok := RunningEmulator(ctx, dir); ok {
		login, err := a.emulatedLogin(account)
		if err != nil {
			return nil, err
		}
		return a.emulated(ctx, o, account, login, at, nil, func() error { return nil })
	}
	e, err := a.startEmulator(dir)
	if err != nil {
		return nil, err
	}
	// The address is never dialled: the transport answers in this process.
	inside := &url.URL{Scheme: "http", Host: "127.0.0.1"}
	login, err := a.emulatedLogin(e.Account())
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	s, err := a.emulated(ctx, o, e.Account(), login, inside, e.Transport(), e.Close)
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return s, nil
}

// startEmulator starts one in this process on the data folder.
func (a *App) startEmulator(dir string) (*emulator.Emulator, error) {
	_, err := os.Stat(dir)
	fresh := errors.Is(err, fs.ErrNotExist)
	e, err := emulator.New(emulator.Options{Products: products.All(), DataDir: dir, Agents: DefaultAgents, Now: a.Now, Log: a.Log()})
	if err == nil && fresh {
		a.UI.Note("created an emulated account with %d workers in %s", DefaultAgents, dir)
	}
	return e, err
}

// KeepEmulator makes sure that an emulator runs until stop is called, for this
// process and for others that look for it.
func (a *App) KeepEmulator(ctx context.Context) (stop func() error, err error) {
	dir, err := a.EmulatorDir()
	if err != nil {
		return nil, err
	}
	if _, _, ok := RunningEmulator(ctx, dir); ok {
		return func() error { return nil }, nil
	}
	e, err := a.startEmulator(dir)
	if err != nil {
		return nil, err
	}
	listener, err := ListenHere("--listen", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	at := Address{URL: "http://" + listener.Addr().String(), PID: os.Getpid()}
	leave, err := a.Announce(at)
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

// Emulated is a session with an emulator that listens on at, or that transport
// answers for.
func (a *App) Emulated(ctx context.Context, o SessionOptions, account emulator.Account, at *url.URL, transport http.RoundTripper, done func() error) (*Session, error) {
	login := config.Credentials{Username: account.SID, Password: account.AuthToken, Kind: config.AuthToken}
	return a.emulated(ctx, o, account, login, at, transport, done)
}

func (a *App) emulated(ctx context.Context, o SessionOptions, account emulator.Account, login config.Credentials, at *url.URL, transport http.RoundTripper, done func() error) (*Session, error) {
	s, err := a.session(ctx, o, twilioapi.Options{
		AccountSID: account.SID,
		Username:   login.Username,
		Password:   login.Password,
		Emulator:   at,
		Base:       transport,
	}, done)
	if err != nil {
		return nil, err
	}
	s.Credentials = login
	if s.SigningKey = login; login.Kind != config.APIKeyPair {
		s.SigningKey = config.Credentials{Username: account.KeySID, Password: account.KeySecret, Kind: config.APIKeyPair}
	}
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

func (a *App) EmulatorDir() (string, error) {
	dir, err := a.StateDir()
	return filepath.Join(dir, "emulator"), err
}

// Address is what a running emulator leaves in its data folder for the commands
// that look for it.
type Address struct {
	URL string `json:"url"`
	PID int    `json:"pid"`
}

const AddressFile = "running.json"

// RunningEmulator asks whether an emulator serves the data folder, and for its
// account.
func RunningEmulator(ctx context.Context, dir string) (*url.URL, emulator.Account, bool) {
	var account emulator.Account
	content, err := os.ReadFile(filepath.Join(dir, AddressFile))
	if err != nil {
		return nil, account, false
	}
	var at Address
	if json.Unmarshal(content, &at) != nil {
		return nil, account, false
	}
	u, err := url.Parse(at.URL)
	if err != nil || !strings.HasPrefix(u.Host, "127.0.0.1:") && !strings.HasPrefix(u.Host, "[::1]:") {
		return nil, account, false
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if err := AskEmulator(ctx, u, http.MethodGet, "account", nil, &account); err != nil || account.SID == "" {
		return nil, account, false
	}
	return u, account, true
}

// DefaultAgents is how many workers a new emulated account has.
const DefaultAgents = 250

// Announce leaves the address where commands with -p emulator look for it. An
// emulator with a data folder of its own, or with none, is announced there too:
// the latest one started is the one that is found.
func (a *App) Announce(at Address) (leave func(), err error) {
	dir, err := a.EmulatorDir()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, AddressFile)
	content, err := json.Marshal(at)
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err == nil {
		err = config.WriteFile(path, content)
	}
	if err != nil {
		return nil, problem.New(problem.StateUnwritable, "cannot save the emulator's address: %w", err).
			WithHint("make %s writable, or set FLEXVC_STATE_DIR", dir)
	}
	return func() {
		// Another emulator may have taken over meanwhile.
		if now, err := os.ReadFile(path); err == nil && string(now) == string(content) {
			os.Remove(path)
		}
	}, nil
}

// ListenHere opens a port that only this machine can reach, at the address that
// the flag gave.
func ListenHere(flag, addr string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, Usagef("%s %q is not an address like 127.0.0.1:8021", flag, addr)
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	ip, err := netip.ParseAddr(host)
	if err != nil || !ip.IsLoopback() {
		return nil, problem.New(problem.Usage, "refusing to expose the emulator beyond this machine: %s is not a loopback address", addr).
			WithHint("%s 127.0.0.1:%s", flag, port)
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, problem.New(problem.AddressUnavailable, "cannot listen on %s: %w", addr, problem.Reason(err)).
			WithHint("choose another port: %s 127.0.0.1:0", flag)
	}
	return l, nil
}

// AskEmulator makes one request to the control plane of a running emulator.
func AskEmulator(ctx context.Context, at *url.URL, method, name string, body, into any) error {
	content, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, at.JoinPath("_emulator", name).String(), bytes.NewReader(content))
	if err != nil {
		return err
	}
	req.Header.Set(emulator.ControlHeader, "1")
	// No proxy: the address is this machine's.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return problem.New(problem.NetworkUnreachable, "cannot ask the emulator at %s: %w", at, Innermost(err)).
			WithHint("restart it: flexvc emulator")
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		var refusal struct{ Error string }
		_ = json.NewDecoder(resp.Body).Decode(&refusal) // the status says it too
		return problem.New(problem.RequestRefused, "the emulator refused: %s %s", resp.Status, ui.Clean(refusal.Error))
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return problem.New(problem.TwilioAnswer, "cannot read the emulator's answer: %w", err)
	}
	return nil
}
