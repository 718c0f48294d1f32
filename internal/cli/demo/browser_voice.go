//go:build voice

package demo

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	_ "embed"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/flexvc/flexvc/extension"
	"github.com/flexvc/flexvc/internal/cli"
	emulatorCmd "github.com/flexvc/flexvc/internal/cli/emulator"
	serveCmd "github.com/flexvc/flexvc/internal/cli/serve"
	"github.com/flexvc/flexvc/internal/config"
	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/certificate"
	"github.com/flexvc/flexvc/internal/emulator/flexui"
	"github.com/flexvc/flexvc/internal/emulator/products"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/tokensrv"
	"github.com/flexvc/flexvc/internal/ui"
	"github.com/flexvc/flexvc/plugin"
)

//go:embed demo.html
var demoPage string

const (
	// demoPrefix is what the extension's identity begins with.
	demoPrefix = "ext_"
	// betweenCalls is how long the agent rests before the next customer calls.
	betweenCalls = 5 * time.Second
)

// errOver is why a demo ends that nothing went wrong in.
var errOver = errors.New("the demo is over")

// inBrowser opens a Chromium with the extension and an agent's desktop, and lets
// one customer after the other call, until it is interrupted or the browser is
// closed. Nothing that it started is left then.
func (o *options) inBrowser(ctx context.Context) (err error) {
	b := &browserDemo{demo: demo{app: o.app}, options: o}
	if err := b.check(); err != nil {
		return err
	}
	show, over := context.WithCancelCause(ctx)
	defer over(nil)
	// The first interrupt ends the show and all is put away; at the second, which
	// ends ctx, at once.
	defer o.app.OnInterrupt(func() { over(errOver) })()
	hangup := make(chan os.Signal, 1) // its terminal was closed
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	go func() {
		select {
		case <-hangup:
			over(errOver)
		case <-show.Done():
		}
	}()

	b.stage.over = over
	defer func() { err = errors.Join(err, b.stage.strike(ctx)) }()
	if err := b.start(); err != nil {
		return err
	}
	if err := b.calls(show); err != nil {
		return err
	}
	if why := context.Cause(show); why != errOver && !errors.Is(why, context.Canceled) {
		return why
	}
	return nil
}

type browserDemo struct {
	demo
	options   *options
	stage     stage
	chromium  string // path
	edge      *emulatorCmd.VoiceEdge
	agent     emulator.Agent
	desk      *emulatorCmd.FlexDesk // nil for the page that plays it
	flex      string                // address of the desktop's server
	spki      string
	extension string // its folder
	tokenURL  string
}

// check says what is missing before anything is started.
func (b *browserDemo) check() error {
	names := []string{"chromium", "chromium-browser"}
	if name := b.app.Getenv("CHROMIUM"); name != "" {
		names = []string{name}
	}
	// Google's own builds no longer load an unpacked extension from the command line.
	i := slices.IndexFunc(names, func(name string) bool {
		path, err := exec.LookPath(name)
		b.chromium = path
		return err == nil
	})
	switch {
	case i < 0:
		return problem.New(problem.NotFound, "cannot open a browser: %s not found", names[0]).
			WithHint("apt-get install chromium, or set CHROMIUM to the path of a Chromium")
	case !extension.HasVoiceSDK():
		return problem.New(problem.ExtensionIncomplete, "cannot load the extension: this flexvc was built without the Voice SDK").
			WithHint("make demo-browser, which needs npm")
	case b.options.flexScript != "" && !plugin.HasBundle():
		return problem.New(problem.ExtensionIncomplete, "cannot load Flex: this flexvc was built without the Flex plugin").
			WithHint("make demo-browser, which needs npm")
	}
	return nil
}

// start puts everything on the stage; the browser comes last.
func (b *browserDemo) start() error {
	app := b.app
	dir, err := os.MkdirTemp("", "flexvc-demo")
	if err != nil {
		return problem.New(problem.StateUnwritable, "cannot create a folder for the demo: %w", problem.Reason(err)).
			WithHint("set TMPDIR to a folder with free space")
	}
	b.stage.add("folder", func(ctx context.Context) error { return removeSoon(ctx, dir) })
	// Chromium makes an unpacked extension's id from its path, links resolved.
	if b.dir, err = filepath.EvalSymlinks(dir); err != nil {
		return err
	}
	if b.emulator, err = emulator.New(emulator.Options{Products: products.All(), Agents: b.options.agents, Now: app.Now, Log: app.Log()}); err != nil {
		return err
	}
	b.stage.closing("emulator", b.emulator.Close)
	if err := b.choose(); err != nil {
		return err
	}
	if b.edge, err = emulatorCmd.ServeVoice(b.command(), b.emulator, nil, b.dir); err != nil {
		return err
	}
	b.stage.closing("voice edge", b.edge.Stop)
	if err := b.serveDesktop(); err != nil {
		return err
	}
	if err := b.serveControl(); err != nil {
		return err
	}
	b.extension = filepath.Join(b.dir, "extension")
	if err := os.CopyFS(b.extension, extension.App()); err != nil {
		return problem.New(problem.StateUnwritable, "cannot unpack the extension: %w", problem.Reason(err)).
			WithHint("set TMPDIR to a folder with free space")
	}
	if err := b.serveTokens(); err != nil {
		return err
	}
	out := app.UI
	desktop := "a stand-in for Flex"
	if b.options.flexScript != "" {
		desktop = "Flex"
	}
	out.Chat("%s\n", out.Paint(out.Out, ui.Strong, "flexvc demo --browser"))
	out.Chat("A Chromium opens with the extension and %s, all on this machine.\n"+
		"Customers call %s, one after another. Reload the page during a call, close it, kill it:\n"+
		"the call continues. The extension's icon has mute, keypad and hang-up.\n"+
		"Close the browser or press Ctrl-C; nothing is left behind.\n", desktop, ui.Clean(b.agent.FriendlyName))
	return b.browse()
}

// choose takes the first plain agent with a voice client, and switches it to the
// extension.
func (b *browserDemo) choose() error {
	for _, a := range b.emulator.Agents() {
		var attributes map[string]any
		if json.Unmarshal([]byte(a.Attributes), &attributes) != nil || !slices.Equal(a.Roles, []string{"agent"}) {
			continue
		}
		if uri, _ := attributes["contact_uri"].(string); !strings.HasPrefix(uri, "client:") {
			continue
		}
		b.agent = a
		for _, at := range b.emulator.Export().Activities {
			if at.Available {
				if _, err := b.emulator.ChangeAgent(a.SID, emulator.AgentChange{Activity: &at.SID}); err != nil {
					return err
				}
				break
			}
		}
		return b.set("extensionVoiceClientEnabled", true)
	}
	return problem.New(problem.Usage, "the demo needs an agent with a voice client").WithHint("flexvc demo --browser --agents %d", cli.DefaultAgents)
}

// set changes one of the agent's attributes.
func (b *browserDemo) set(key string, value any) error {
	now, err := b.emulator.Agent(b.agent.SID)
	if err != nil {
		return err
	}
	attributes := map[string]any{}
	if err := json.Unmarshal([]byte(now.Attributes), &attributes); err != nil {
		return err
	}
	attributes[key] = value
	text, err := json.Marshal(attributes)
	if err != nil {
		return err
	}
	return b.emulator.Edit(b.agent.SID, string(text))
}

// serveDesktop serves what a browser asks of any Twilio host: Flex, or the page
// that plays it, and the voice edge.
func (b *browserDemo) serveDesktop() error {
	listener, err := cli.ListenHere("", "127.0.0.1:0")
	if err != nil {
		return err
	}
	b.flex = listener.Addr().String()
	if b.options.flexScript != "" {
		desk, err := emulatorCmd.ServeFlexUI(b.app, b.emulator, listener, b.dir, flexui.Options{
			Emulator: b.emulator, Phone: b.edge.Phone, Voice: b.edge.Handler, HostScript: b.options.flexScript,
			Plugins: b.plugins, Log: b.app.Log(),
		})
		if err != nil {
			return errors.Join(err, listener.Close())
		}
		b.desk, b.spki = desk, desk.SPKI
		b.stage.closing("Flex", desk.Stop)
		return nil
	}
	cert, err := certificate.Load(b.dir, b.app.Now())
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	b.spki = certificate.SPKI(cert)
	server := &http.Server{
		Handler: b.page(), ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: slog.NewLogLogger(b.app.Log().Handler(), slog.LevelDebug),
	}
	// A WebSocket cannot be opened over HTTP/2.
	secure := tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12})
	go func() {
		if err := server.Serve(secure); !errors.Is(err, http.ErrServerClosed) {
			b.stage.over(err)
		}
	}()
	b.stage.closing("page", server.Close)
	return nil
}

// page answers as flex.twilio.com with the page that plays Flex and its plugin,
// and with the session that the plugin has its Flex token from.
func (b *browserDemo) page() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", b.edge.Handler)
	mux.HandleFunc("GET flex.twilio.com/session", func(w http.ResponseWriter, _ *http.Request) {
		token, err := b.emulator.MintFlexToken(b.agent.SID, time.Hour)
		if err != nil {
			http.Error(w, "no token", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{"token": token, "accountSid": b.emulator.Account().SID}) // whoever asked went away
	})
	mux.HandleFunc("GET flex.twilio.com/", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(flexui.WithSettings(demoPage, map[string]string{
			"agent": b.agent.FriendlyName, "account": b.emulator.Account().SID, "tokenURL": b.tokenURL, "prefix": demoPrefix,
		}))
	})
	return mux
}

// plugins is the real one, as `flexvc plugin deploy` puts it into Flex.
func (b *browserDemo) plugins() []flexui.Plugin {
	const version = "0.0.0-demo"
	offline := ""
	for _, a := range b.emulator.Export().Activities {
		if !a.Available {
			offline = a.SID
		}
	}
	return []flexui.Plugin{{Name: "flexvc", Version: version, Source: func() ([]byte, error) {
		return plugin.Bundle(plugin.Settings{Version: version, TokenURL: b.tokenURL, IdentityPrefix: demoPrefix, OfflineActivitySID: offline})
	}}}
}

// serveControl serves the emulated account, and says where it is to the
// commands of the demo.
func (b *browserDemo) serveControl() error {
	listener, err := cli.ListenHere("", "127.0.0.1:0")
	if err != nil {
		return err
	}
	b.stage.run("account", func(ctx context.Context) error { return b.emulator.Run(ctx, listener) })
	_, err = b.command().Announce(cli.Address{URL: "http://" + listener.Addr().String(), PID: os.Getpid()})
	return err
}

// serveTokens starts the token server, as `flexvc serve` does.
func (b *browserDemo) serveTokens() error {
	app := b.command()
	app.Global = cli.Global{Output: "text", Profile: config.Emulator, Quiet: true}
	app.UI = ui.Fake(strings.NewReader(""), io.Discard, io.Discard, false, 80)
	app.Deafen() // it would take our ^C for its own
	defaults := tokensrv.Defaults()
	ready, failed := make(chan string, 1), make(chan error, 1)
	o := &serveCmd.Options{
		App: app, Keyring: config.SystemKeyring{}, Inside: true,
		Listen: "127.0.0.1:0", MetricsListen: "none", AllowOrigins: []string{"chrome-extension://" + unpackedID(b.extension)},
		TTL: defaults.TTL, IdentityRate: "none", AddressRate: "none", RefusalRate: "none",
		ValidateVia: string(defaults.ValidateVia), ValidateTimeout: defaults.ValidateTimeout,
		Ready: func(public string) { ready <- public },
	}
	b.stage.run("token server", func(ctx context.Context) error {
		err := serveCmd.Run(ctx, o)
		failed <- err
		return err
	})
	select {
	case at := <-ready:
		b.tokenURL = "http://" + at + "/generateToken"
		return nil
	case err := <-failed:
		return err
	}
}

// browse starts the browser.
func (b *browserDemo) browse() error {
	id := unpackedID(b.extension)
	profile := filepath.Join(b.dir, "profile")
	// The extension's icon belongs beside the address, where a person finds it.
	preferences := `{"extensions":{"pinned_extensions":["` + id + `"]}}`
	err := os.MkdirAll(filepath.Join(profile, "Default"), 0o700)
	if err == nil {
		err = os.WriteFile(filepath.Join(profile, "Default", "Preferences"), []byte(preferences), 0o600)
	}
	if err != nil {
		return problem.New(problem.StateUnwritable, "cannot prepare the browser's profile: %w", problem.Reason(err)).
			WithHint("set TMPDIR to a folder with free space")
	}
	args := []string{
		"--user-data-dir=" + profile, "--no-first-run", "--no-default-browser-check", "--disable-search-engine-choice-screen",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic", "--password-store=basic", "--use-mock-keychain",
		"--disable-extensions-except=" + b.extension, "--load-extension=" + b.extension,
		"--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests,DisableLoadExtensionCommandLineSwitch,Translate",
		"--test-type",                    // no bar that warns of these flags
		"--use-fake-ui-for-media-stream", // allows the microphone; the device is the real one
		"--autoplay-policy=no-user-gesture-required",
		"--window-size=1360,900",
		"--host-resolver-rules=MAP *.twilio.com " + b.flex + ", MAP *.twiliocdn.com " + b.flex + ", MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
		"--ignore-certificate-errors-spki-list=" + b.spki,
	}
	if os.Geteuid() == 0 {
		args = append(args, "--no-sandbox") // Chromium has none for root, and refuses to start without this
	}
	args = append(args, b.options.browserArgs...)
	browser, err := startChromium(b.chromium, b.dir, append(args, emulatorCmd.FlexAddress+"agent-desktop?agent="+b.agent.SID))
	if err != nil {
		return err
	}
	b.stage.add("browser", browser.end)
	go func() {
		<-browser.ended
		if err := browser.verdict(); err != nil {
			b.stage.over(err)
		}
		b.stage.over(errOver)
	}()
	return nil
}

// calls lets one customer after the other call, until the show is over.
func (b *browserDemo) calls(ctx context.Context) error {
	args, caption := []string{"emulator", "call", b.agent.SID}, "# A customer calls."
	if b.desk != nil {
		args, caption = append(args, "--task"), "# A customer calls: accept the call in Flex, and complete the task after hanging up."
	}
	out := b.app.UI
	for {
		var ready error
		if b.edge.Wait(ctx, func() bool {
			var yes bool
			yes, ready = b.ready()
			return yes || ready != nil
		}) != nil || ready != nil {
			return ready
		}
		out.Chat("\n%s\n", out.Paint(out.Out, ui.Faint, caption))
		b.command().Run(ctx, args) // it has told what went wrong
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(betweenCalls):
		}
	}
}

// ready reports whether the agent can be called. What the plugin does in Flex,
// the page that plays it leaves to us: to point calls at the extension.
func (b *browserDemo) ready() (bool, error) {
	for _, s := range b.edge.Sockets() {
		if !s.Registered || !strings.HasPrefix(s.Identity, demoPrefix) {
			continue
		}
		if b.desk == nil {
			return true, b.set("contact_uri", "client:"+s.Identity)
		}
		for _, r := range b.desk.Reservations() {
			if r.Status == "pending" || r.Status == "accepted" || r.Status == "wrapping" {
				return false, nil // Flex wants the last call completed first
			}
		}
		now, err := b.emulator.Agent(b.agent.SID)
		return now.Available && strings.Contains(now.Attributes, s.Identity), err
	}
	return false, nil
}

// unpackedID is Chromium's id of an extension that is loaded from a folder: half
// of the path's SHA-256, in the letters a to p.
func unpackedID(folder string) string {
	sum := sha256.Sum256([]byte(folder))
	id := make([]byte, 0, 32)
	for _, b := range sum[:16] {
		id = append(id, 'a'+b>>4, 'a'+b&15)
	}
	return string(id)
}

// removeSoon deletes a folder that a killed process may still have written to
// while it was being deleted.
func removeSoon(ctx context.Context, dir string) error {
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), killPatience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := os.RemoveAll(dir)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-within.Done():
			return problem.New(problem.StateUnwritable, "cannot remove the demo's files: %w", problem.Reason(err)).WithHint("rm -r %s", dir)
		}
	}
}
