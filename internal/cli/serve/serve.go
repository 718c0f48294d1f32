// Package serve is flexvc serve: its flags, what it runs, and what it prints.
// Answering requests belongs to internal/tokensrv, internal/eventsrv and
// internal/rollout.
package serve

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/buildinfo"
	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/config"
	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/fleet"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/rollout"
	"github.com/flexvc/flexvc/internal/tokensrv"
	"github.com/flexvc/flexvc/internal/twilio"
	"github.com/flexvc/flexvc/internal/twilioapi"
	"github.com/flexvc/flexvc/internal/ui"
)

// serveOptions is one `flexvc serve`.
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
	enabled         *fleet.Enabled // with requireEnabled
	envFile         string
	redisURL        string

	updatesOptions
	events eventsFlags
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
	f.BoolVar(&o.requireEnabled, "require-enabled", false, "only serve workers enabled with flexvc workers enable")
	f.StringVar(&o.IdentityRate, "identity-rate", rateText(d.IdentityRate), "rate limit per agent: requests per second, burst")
	f.StringVar(&o.AddressRate, "address-rate", rateText(d.AddressRate), "rate limit per client address: requests per second, burst")
	f.StringVar(&o.RefusalRate, "refusal-rate", rateText(d.RefusalRate), "limit per client address of Flex tokens that Twilio refuses: per second, burst")
	f.StringVar(&o.ValidateVia, "validate-via", string(d.ValidateVia), "API that validates Flex tokens: iam, or flex as used by Flex UI")
	f.DurationVar(&o.ValidateTimeout, "validate-timeout", d.ValidateTimeout, "how long Twilio may take to validate a token")
	f.StringVar(&o.envFile, "env-file", "", ".env of the serverless service this replaces: ACCOUNT_SID, AUTH_TOKEN, API_KEY, API_SECRET")
	f.StringVar(&o.redisURL, "redis-url", "", "Redis shared by replicas [env: FLEXVC_REDIS_URL]")
	o.updatesOptions.flags(f)
	o.events.add(cmd)
	cli.Complete(cmd, "validate-via", string(tokensrv.ViaIAM), string(tokensrv.ViaFlex))
	return cmd
}

// serveRun checks everything that can be wrong, then opens the sockets, then
// says so, then serves.
func Run(ctx context.Context, o *Options) (err error) {
	app := o.App
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
	if err := server.Preflight(ctx); err != nil {
		return err
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
		release := updates.release
		app.UI.Note("updates on %s  (%s, %s%s)", placeOf(listeners.Public[0], o.tlsCert != "", rollout.Folder+rollout.UpdateFile),
			release.ID[:8]+app.UI.Ellipsis(), release.Version, updates.staged())
	}
	if events != nil {
		o.tellEvents(listeners)
	}

	gentle, stop := context.WithCancel(ctx)
	defer stop()
	if updates != nil {
		defer updates.follow(gentle)()
	}
	defer app.OnInterrupt(stop)()
	if o.Ready != nil {
		o.Ready(listeners.Public[0].Addr().String())
	}
	switch {
	case events != nil: // it keeps the listing that --require-enabled needs too
		defer events.run(gentle)()
	case o.enabled != nil:
		defer o.listEnabled(gentle)()
	}
	err = server.Run(gentle, listeners, ctx.Done())
	stop()
	s := server.Stats()
	app.UI.Note("stopped: %d issued, %d refused, %d cut off", s.Issued, s.Refused, s.CutOff)
	return err
}

// Server builds the token server for the profile's account. The session is nil
// with --env-file, whose account has no profile.
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
		Draining: func(inFlight int64) {
			o.App.UI.Note("draining %s, 10 s at most (press ^C again to stop now)", ui.Plural(int(inFlight), "request"))
		},
	}
	if updates != nil {
		if err := updates.open(log); err != nil {
			return nil, nil, nil, err
		}
		deps.Extension = updates.server
		deps.Admin = append(deps.Admin, tokensrv.Route{Path: rollout.PathStatus, Handler: updates.server.StatusHandler()})
		deps.Metrics = append(deps.Metrics, updates.server.WriteMetrics)
		if origin := "chrome-extension://" + updates.release.ID; len(c.AllowOrigins) > 0 && !slices.Contains(c.AllowOrigins, origin) {
			o.App.UI.Warn("the extension served here may not request tokens here: %s is not an allowed origin", origin)
		}
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
		if session, err = o.App.Open(ctx, cli.SessionOptions{Discover: o.requireEnabled || o.events.on}); err != nil {
			return nil, nil, nil, err
		}
		if err := o.identify(&c, &deps, cfg, session); err != nil {
			return nil, nil, nil, errors.Join(err, session.Close())
		}
		if o.events.on {
			if events, err = o.eventService(ctx, cfg, session, c, log); err != nil {
				return nil, nil, nil, errors.Join(err, session.Close())
			}
			events.routes(&deps)
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
	c.RequireRoles, c.AllowWorkers, c.RequireEnabled = o.requireRoles, o.allowWorkers, o.requireEnabled
	c.ValidateVia, c.ValidateTimeout = tokensrv.Via(o.ValidateVia), o.ValidateTimeout
	c.BehindProxy = o.behindProxy
	if c.RedisURL = o.redisURL; c.RedisURL == "" {
		c.RedisURL = o.App.Getenv("FLEXVC_REDIS_URL")
	}
	var err error
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
	if o.requireEnabled {
		o.enabled = fleet.NewEnabled(session.Workers, o.App.Now, func(err error) { deps.Log.Warn("cannot list the workers", "cause", err) })
		deps.WorkerEnabled = o.enabled.Enabled
	}
	return nil
}

// enabledInterval is how often workers are listed for --require-enabled: an agent
// who is disabled gets no token after that.
const enabledInterval = time.Minute

// listEnabled keeps the listing until ctx ends, and returns when that has.
func (o *Options) listEnabled(ctx context.Context) (wait func()) {
	var job sync.WaitGroup
	job.Go(func() { o.enabled.Run(ctx, enabledInterval) })
	return job.Wait
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

// log is the server's own log, on standard error: text for eyes, JSON with
// -o json.
func (o *Options) log() (*slog.Logger, error) {
	level := slog.LevelInfo
	switch {
	case o.App.Global.Verbose:
		level = slog.LevelDebug
	case o.App.Global.Quiet:
		level = slog.LevelWarn
	}
	return tokensrv.NewLog(o.App.UI.Err, o.App.Global.Output, level)
}
