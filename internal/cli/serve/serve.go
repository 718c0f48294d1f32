// Package serve is flexvc serve: its flags, what it runs, and what it prints.
// Answering requests belongs to internal/tokensrv, internal/eventsrv and
// internal/rollout.
package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/buildinfo"
	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/config"
	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/rollout"
	"github.com/flexvc/flexvc/internal/tokensrv"
	"github.com/flexvc/flexvc/internal/twilio"
	"github.com/flexvc/flexvc/internal/twilioapi"
	"github.com/flexvc/flexvc/internal/ui"
)

// Options is one `flexvc serve`.
type Options struct {
	App     *cli.App
	Keyring config.Keyring
	Ready   func(public string) // told once when requests are accepted; nil: nobody cares
	Inside  bool                // the account is in this process: no emulator to keep running

	Listen, MetricsListen string
	tlsCert, tlsKey       string
	behindProxy           bool
	trustedProxies        []string

	AllowOrigins   []string
	AllowGet       bool
	TTL            time.Duration
	capToFlexToken bool

	requireRoles   []string
	allowWorkers   []string
	requireEnabled bool
	IdentityRate   string
	AddressRate    string
	RefusalRate    string

	ValidateVia     string
	ValidateTimeout time.Duration
	envFile         string
	redisURL        string
	drainDelay      time.Duration

	allowWorkerFile string
	logFile         string
	logger          *slog.Logger // see log
	logged          *reopened    // nil without --log-file
	space           *workspace   // nil with --env-file

	updatesOptions
	events eventsFlags

	secure  atomic.Pointer[tls.Config] // nil without a certificate
	refused atomic.Bool                // Twilio's answer leaves nothing to serve
}

func New(app *cli.App, runF func(context.Context, *Options) error) *cobra.Command {
	o := &Options{App: app, Keyring: config.SystemKeyring{}}
	d := tokensrv.Defaults()
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve voice tokens to agents' extensions",
		Long: `Serve voice tokens: an extension sends an agent's Flex token, Twilio validates it, and
the extension gets a voice token for that agent only.

The account and its credentials come from the profile. Tokens are signed with the API
key that flexvc init created, or with TWILIO_API_KEY and TWILIO_API_SECRET. It must be
a Standard or Main key: a Restricted key cannot sign.

Plain HTTP is served on this machine only. For agents on other machines, pass a
certificate, or run behind a TLS proxy with --behind-proxy. Any number of replicas may
run side by side; with --redis-url they share rate limits, validated Flex tokens and
events.

SIGHUP takes up what has changed without a restart: the profile and its secrets or
--env-file, --allow-worker-file, certificate, and --log-file. What cannot be used is
logged, and the server continues as it was.

flexvc serve log shows which agents a running server refused lately, and why.

With --events it also receives Twilio's worker events, counts drift on /metrics,
notifies a webhook, and streams changes to flexvc watch --events. flexvc events enable
has Twilio call it: see flexvc events --help.

With --extension it also serves a package made by flexvc pack to browsers. Replace the
file to publish a new version. Browsers check at start and every five hours; flexvc
rollout status shows which versions they have. --stage offers it to a share of them.
Chrome identifies a browser by nothing but its address, so the share is chosen by a
hash of version and client address: all browsers behind one address are staged
together. Add ?browser=NAME to the update address in a machine's policy to stage it by
name.

With -p emulator it needs no account: it serves the emulated one, starting the emulator
if none is running. flexvc emulator token WORKER prints a Flex token to try it with.`,
		Example: `  $ flexvc serve
  $ flexvc serve --listen :3001 --tls-cert cert.pem --tls-key key.pem
  $ flexvc serve --extension flexvc-1.4.0.crx --stage 10%
  $ flexvc serve --env-file ../serverless/.env --allow-origin chrome-extension://<id>`,
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if runF != nil {
				return runF(cmd.Context(), o)
			}
			return Run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.Listen, "listen", "127.0.0.1:3001", "address to listen on, or unix:/path")
	f.StringVar(&o.MetricsListen, "metrics-listen", "127.0.0.1:9464", "address for /metrics and health checks, or none")
	f.StringVar(&o.tlsCert, "tls-cert", "", "certificate chain, PEM; reloaded automatically when renewed")
	f.StringVar(&o.tlsKey, "tls-key", "", "the certificate's private key, PEM")
	f.BoolVar(&o.behindProxy, "behind-proxy", false, "a proxy in front terminates TLS")
	f.StringArrayVar(&o.trustedProxies, "trusted-proxy", nil, "address or range whose X-Forwarded-For is trusted, or how many proxies are in front")
	f.StringArrayVar(&o.AllowOrigins, "allow-origin", nil, "origin allowed to request tokens (default: the profile's extension)")
	f.BoolVar(&o.AllowGet, "allow-get", d.AllowGet, "also answer GET, as the original extension uses")
	f.DurationVar(&o.TTL, "token-ttl", d.TTL, "lifetime of a voice token, at most 24h")
	f.BoolVar(&o.capToFlexToken, "cap-to-flex-token", false, "let no voice token outlive its Flex token")
	f.StringArrayVar(&o.requireRoles, "require-role", nil, "Flex role an agent must have; may be repeated, any one suffices")
	f.StringArrayVar(&o.allowWorkers, "allow-worker", nil, "worker SID or identity allowed to request tokens; all others are refused")
	f.StringVar(&o.allowWorkerFile, "allow-worker-file", "", "file with more of them, one per line; read again on SIGHUP")
	f.BoolVar(&o.requireEnabled, "require-enabled", false, "only serve workers enabled with flexvc workers enable")
	f.StringVar(&o.IdentityRate, "identity-rate", rateText(d.IdentityRate), "rate limit per agent: requests per second, burst")
	f.StringVar(&o.AddressRate, "address-rate", rateText(d.AddressRate), "rate limit per client address: requests per second, burst")
	f.StringVar(&o.RefusalRate, "refusal-rate", rateText(d.RefusalRate), "limit per client address of Flex tokens that Twilio refuses: per second, burst")
	f.StringVar(&o.ValidateVia, "validate-via", string(d.ValidateVia), "API that validates Flex tokens: iam, or flex as used by Flex UI")
	f.DurationVar(&o.ValidateTimeout, "validate-timeout", d.ValidateTimeout, "how long Twilio may take to validate a token")
	f.DurationVar(&o.drainDelay, "drain-delay", 0, "how long to accept requests after turning unready, for balancers to notice")
	f.StringVar(&o.envFile, "env-file", "", ".env of the serverless service this replaces: ACCOUNT_SID, AUTH_TOKEN, API_KEY, API_SECRET")
	f.StringVar(&o.logFile, "log-file", "", "write the log to this file, reopened on SIGHUP (default: standard error)")
	f.StringVar(&o.redisURL, "redis-url", "", "Redis shared by replicas [env: FLEXVC_REDIS_URL]")
	o.updatesOptions.flags(f)
	o.events.add(cmd)
	cmd.AddCommand(newLog(app, nil))
	cli.Complete(cmd, "validate-via", string(tokensrv.ViaIAM), string(tokensrv.ViaFlex))
	return cmd
}

// Run checks what can be wrong here, opens the sockets, says so, and serves. What
// only Twilio can tell it learns meanwhile: until then the server is not ready.
func Run(ctx context.Context, o *Options) (err error) {
	app := o.App
	var reload func()
	listening, over := make(chan struct{}), make(chan struct{})
	defer app.OnHangup(func() {
		select {
		case <-listening: // who asks before that is answered then
			reload()
		case <-over:
		}
	})()
	defer close(over)
	defer func() {
		if o.logged != nil {
			err = errors.Join(err, o.logged.Close())
		}
	}()
	log, err := o.log()
	if err != nil {
		return err
	}
	if app.JSON() {
		app.UI.Divert = func(level slog.Level, line string) { log.Log(context.WithoutCancel(ctx), level, line) }
		defer func() { app.UI.Divert = nil }()
	}
	cfg, err := app.Config()
	if err != nil {
		return err
	}
	if err := tokensrv.CheckListen(o.Listen, o.tlsCert != "", o.behindProxy); err != nil {
		return err
	}
	if err := o.checkEvents(); err != nil {
		return err
	}
	updates, err := o.updates(app)
	if err != nil {
		return err
	}
	if cfg.Emulated() && !o.Inside {
		stop, err := app.KeepEmulator(ctx)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, stop()) }()
	}
	server, session, events, err := o.Server(ctx, cfg, updates)
	if err != nil {
		return err
	}
	if session != nil {
		defer func() { err = errors.Join(err, session.Close()) }()
	}
	listeners, where, err := o.open()
	if err != nil {
		return err
	}
	account := cfg.AccountSID
	if session != nil {
		account = session.AccountSID
	}
	app.UI.Note("token server %s for %s, tokens live %s", buildinfo.Version, app.UI.SID(account), cli.Lifetime(o.TTL))
	app.UI.Note("listening on %s", where)
	if updates != nil {
		updates.tell(placeOf(listeners.Public[0], o.tlsCert != "", rollout.Folder+rollout.UpdateFile))
	}
	if events != nil {
		o.tellEvents(listeners)
	}

	gentle, stop := context.WithCancel(ctx)
	defer stop()
	abort, cut := context.WithCancel(ctx)
	defer cut()
	if updates != nil {
		defer updates.follow(gentle)()
	}
	defer app.OnInterrupt(stop)()
	switch {
	case events != nil: // it keeps the listing that --require-enabled needs too
		defer events.run(gentle)()
	case o.requireEnabled:
		defer o.space.list(gentle)()
	}
	reload = func() { o.reload(gentle, server) }
	close(listening)
	started := make(chan error, 1)
	go func() {
		err := o.start(gentle, server, listeners.Public[0].Addr().String())
		if err != nil {
			o.refused.Store(true)
			cut()
			stop()
		}
		started <- err
	}()
	err = server.Run(gentle, listeners, abort.Done())
	stop()
	if refused := <-started; refused != nil {
		return refused
	}
	s := server.Stats()
	app.UI.Note("stopped: %d issued, %d refused, %d cut off", s.Issued, s.Refused, s.CutOff)
	return err
}

// start waits until Twilio has told what only Twilio can tell. Callers learn the
// address once the server is ready, or turns out to start without Twilio.
func (o *Options) start(ctx context.Context, server *tokensrv.Server, address string) error {
	tell := sync.OnceFunc(func() {
		if o.Ready != nil {
			o.Ready(address)
		}
	})
	attempts := 0
	err := server.Start(ctx, func(why error) {
		if attempts++; attempts == 1 {
			o.App.UI.Warn("not ready, asking Twilio again until it answers: %v", why)
			if p := problem.As(why); p != nil && p.Hint != "" {
				o.App.UI.Hint("%s", p.Hint)
			}
			tell()
		}
	})
	if err == nil && ctx.Err() == nil {
		if attempts > 0 {
			o.App.UI.Note("ready after %s", ui.Plural(attempts+1, "attempt"))
		}
		tell()
	}
	return err
}

// Server builds the token server for the profile's account. The session is nil
// with --env-file, whose account has no profile. Twilio is not asked yet.
func (o *Options) Server(ctx context.Context, cfg *config.Config, updates *updates) (*tokensrv.Server, *cli.Session, *eventService, error) {
	c, err := o.config(cfg)
	if err != nil {
		return nil, nil, nil, err
	}
	log, err := o.log()
	if err != nil {
		return nil, nil, nil, err
	}
	deps := tokensrv.Deps{
		Log: log, Now: o.App.Now, Random: o.App.Random,
		Transport: tokensrv.NewTransport(http.ProxyFromEnvironment),
		Metrics:   []func(io.Writer){o.writeExpiry},
		Draining: func(inFlight int64) {
			if !o.refused.Load() {
				o.App.UI.Note("draining %s, 10 s at most (press ^C again to stop now)", ui.Plural(int(inFlight), "request"))
			}
		},
	}
	if updates != nil {
		updates.serve(&deps, log, c.AllowOrigins)
	}
	var session *cli.Session
	var events *eventService
	if o.envFile != "" {
		if err := o.readEnvFile(&c); err != nil {
			return nil, nil, nil, err
		}
		deps.CheckSigningKey = o.checkEnvKey(cfg, c)
		if o.requireEnabled {
			return nil, nil, nil, cli.Usagef("--require-enabled and --env-file cannot be combined: set TWILIO_ACCOUNT_SID and an API key instead")
		}
	} else {
		if session, err = o.App.Open(ctx, cli.SessionOptions{}); err != nil {
			return nil, nil, nil, err
		}
		if err := o.identify(&c, &deps, cfg, session); err != nil {
			return nil, nil, nil, errors.Join(err, session.Close())
		}
		o.space = newWorkspace(o.App, log)
		if o.requireEnabled {
			deps.WorkerEnabled = o.space.workerEnabled
		}
		if o.events.on {
			events = o.eventService(cfg, c, log)
			events.routes(&deps)
		}
		if o.events.on || o.requireEnabled {
			deps.Prepare = func(ctx context.Context) error {
				found, err := o.space.find(ctx, session)
				if err == nil && events != nil {
					err = events.open(ctx, found)
				}
				return err
			}
		}
	}
	server, err := tokensrv.New(c, deps)
	if err != nil && session != nil {
		err = errors.Join(err, session.Close())
	}
	return server, session, events, err
}

// config translates flags and settings; what they say together is judged by
// tokensrv.
func (o *Options) config(cfg *config.Config) (tokensrv.Config, error) {
	c := tokensrv.Defaults()
	c.Region = cfg.Region
	c.Prefix = cfg.IdentityPrefix
	c.TTL, c.CapToFlexToken = o.TTL, o.capToFlexToken
	c.AllowGet = o.AllowGet
	c.RequireRoles, c.RequireEnabled = o.requireRoles, o.requireEnabled
	c.ValidateVia, c.ValidateTimeout = tokensrv.Via(o.ValidateVia), o.ValidateTimeout
	c.BehindProxy, c.DrainDelay = o.behindProxy, o.drainDelay
	if c.RedisURL = o.redisURL; c.RedisURL == "" {
		c.RedisURL = o.App.Getenv("FLEXVC_REDIS_URL")
	}
	var err error
	if c.AllowWorkers, err = o.allowed(); err != nil {
		return c, err
	}
	if c.IdentityRate, err = parseRate("--identity-rate", o.IdentityRate); err != nil {
		return c, err
	}
	if c.AddressRate, err = parseRate("--address-rate", o.AddressRate); err != nil {
		return c, err
	}
	if c.RefusalRate, err = parseRate("--refusal-rate", o.RefusalRate); err != nil {
		return c, err
	}
	for _, text := range o.trustedProxies {
		if hops, err := strconv.Atoi(text); err == nil {
			if c.TrustedHops = hops; hops < 1 {
				return c, cli.Usagef("--trusted-proxy %s: at least one proxy is in front", text)
			}
			continue
		}
		prefix, err := parsePrefix(text)
		if err != nil {
			return c, err
		}
		c.TrustedProxies = append(c.TrustedProxies, prefix)
	}
	c.AllowOrigins, err = o.App.Origins(cfg, o.AllowOrigins)
	return c, err
}

// identify sets the account, who vouches and who signs.
func (o *Options) identify(c *tokensrv.Config, deps *tokensrv.Deps, cfg *config.Config, session *cli.Session) error {
	c.AccountSID = session.AccountSID
	c.Validator = tokensrv.Credentials{User: session.Credentials.Username, Password: session.Credentials.Password}
	if session.Transport != nil {
		deps.Transport = session.Transport
	}
	switch {
	case cfg.APIKeySID != "":
		secret, err := cfg.Secrets(o.Keyring).Get(cfg.APIKeySID)
		if err != nil {
			return err
		}
		c.KeySID, c.KeySecret = cfg.APIKeySID, secret
	case session.SigningKey.Username != "":
		c.KeySID, c.KeySecret = session.SigningKey.Username, session.SigningKey.Password
	}
	deps.CheckSigningKey = func(ctx context.Context) error { return checkSigningKey(ctx, session, c.KeySID) }
	return nil
}

// checkSigningKey asks Twilio about the key that is to sign. Credentials that
// may not read keys, those of a Standard key, cannot tell: then it is believed.
func checkSigningKey(ctx context.Context, session *cli.Session, sid string) error {
	restricted, err := session.KeyRestricted(ctx, sid)
	switch {
	case problem.Is(err, problem.PermissionDenied):
		return nil
	case problem.Is(err, problem.NotFound):
		return problem.New(problem.CredentialsRefused, "cannot serve tokens: the signing key %s no longer exists", twilio.Short(sid)).
			WithHint("create another: flexvc init").Because(err)
	case err != nil:
		return err
	case restricted:
		return problem.New(problem.CredentialsRefused, "cannot serve tokens: the signing key %s is a Restricted key, which cannot sign voice tokens", twilio.Short(sid)).
			WithHint("create a Standard key with flexvc init, or set TWILIO_API_KEY and TWILIO_API_SECRET to one")
	}
	return nil
}

// checkEnvKey is checkSigningKey for an account that has no session.
func (o *Options) checkEnvKey(cfg *config.Config, c tokensrv.Config) func(context.Context) error {
	return func(ctx context.Context) error {
		api := twilioapi.Options{
			AccountSID: c.AccountSID, Username: c.Validator.User, Password: c.Validator.Password,
			Region: cfg.Region, Edge: cfg.Edge, SIDMarker: emulator.SIDMarker, Log: o.App.Log(),
		}
		if cfg.Emulated() {
			dir, err := o.App.EmulatorDir()
			if err != nil {
				return err
			}
			api.Emulator, _, _ = cli.RunningEmulator(ctx, dir)
		}
		client, err := twilioapi.New(api)
		if err != nil {
			return err
		}
		return checkSigningKey(ctx, &cli.Session{KeyRestricted: client.KeyRestricted}, c.KeySID)
	}
}

func (o *Options) readEnvFile(c *tokensrv.Config) error {
	file, err := os.Open(o.envFile)
	if err != nil {
		return problem.New(problem.InputUnreadable, "cannot read %s: %w", o.envFile, problem.Reason(err)).
			WithHint("pass the .env of the serverless service with --env-file")
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && runtime.GOOS != "windows" && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		return problem.New(problem.InputUnreadable, "cannot use %s: other users can read the secrets in it", o.envFile).WithHint("chmod 600 %s", o.envFile)
	}
	env, err := tokensrv.ParseEnvFile(file, o.envFile)
	if err != nil {
		return err
	}
	env.Apply(c)
	return nil
}
