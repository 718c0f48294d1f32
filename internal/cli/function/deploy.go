package function

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/function"
	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/config"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/provision"
	"github.com/flexvc/flexvc/internal/tokensrv"
)

// options is one `flexvc function deploy`, `rollback` or `remove`.
type options struct {
	App    *cli.App
	Source []byte

	allowOrigins   []string
	allowGet       bool
	ttl            time.Duration
	capToFlexToken bool
	requireRoles   []string
	allowWorkers   []string
	requireEnabled bool
	validateVia    string
	given          func(flag string) bool

	Rollback bool
	Remove   bool
	Force    bool
	DryRun   bool
	ExitCode bool
	Yes      bool
}

func newDeploy(app *cli.App, source []byte) *cobra.Command {
	opts := &options{App: app, Source: source}
	d := tokensrv.Defaults()
	cmd := &cobra.Command{
		Use:   "deploy",
		Short: "Deploy the token Function",
		Long: `Deploy the token Function: create its Serverless service, environment and API key, set
its variables, upload and build it on Twilio's newest runtime, deploy it, ask it once,
and set token_url to its address. Afterwards the browsers' policies and the plugin must
get the new address: flexvc pack --policy, flexvc plugin deploy.

The key is made for the Function alone. Its secret is kept in a variable of the
Function and nowhere else; whoever may manage the account's Serverless services can
read it there. The account's auth token is never given to the Function.

A flag that is not given keeps its deployed value; an empty one, such as
--require-role "", ends it. A variable holds 450 bytes at most: prefer --require-enabled
or --require-role to a long list of --allow-worker.

An interrupted run is continued by the next one. Earlier builds stay for rollback; Twilio
deletes unused ones after seven days.

Each request is an invocation, charged by Twilio, and there is no rate limit of its own.
flexvc serve is the better choice for large fleets: see flexvc function --help.`,
		Example: `  $ flexvc function deploy --dry-run
  $ flexvc function deploy
  $ flexvc function deploy --require-enabled --token-ttl 30m --yes`,
		Args: cli.NameArgs(0, "flexvc function deploy takes no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts.given = cmd.Flags().Changed
			return opts.start(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringArrayVar(&opts.allowOrigins, "allow-origin", nil, "origin allowed to request tokens (default: the profile's extension)")
	f.BoolVar(&opts.allowGet, "allow-get", false, "also answer GET, as the original extension uses")
	f.DurationVar(&opts.ttl, "token-ttl", d.TTL, "lifetime of a voice token, at most 24h")
	f.BoolVar(&opts.capToFlexToken, "cap-to-flex-token", false, "let no voice token outlive its Flex token")
	f.StringArrayVar(&opts.requireRoles, "require-role", nil, "Flex role an agent must have; may be repeated, any one suffices")
	f.StringArrayVar(&opts.allowWorkers, "allow-worker", nil, "worker SID or identity allowed to request tokens; all others are refused")
	f.BoolVar(&opts.requireEnabled, "require-enabled", false, "only serve workers enabled with flexvc workers enable")
	f.StringVar(&opts.validateVia, "validate-via", string(d.ValidateVia), "API that validates Flex tokens: iam, or flex as used by Flex UI")
	cli.Complete(cmd, "validate-via", string(tokensrv.ViaIAM), string(tokensrv.ViaFlex))
	for _, flag := range []string{"allow-origin", "token-ttl", "require-role", "allow-worker"} {
		cli.NoCompletion(cmd, flag)
	}
	cli.PlanFlags(cmd, &opts.DryRun, &opts.ExitCode, &opts.Yes)
	return cmd
}

func (o *options) start(ctx context.Context) error {
	if err := cli.CheckPlanFlags(o.DryRun, o.ExitCode); err != nil {
		return err
	}
	return run(ctx, o)
}

// run plans, shows, asks and applies.
func run(ctx context.Context, opts *options) (err error) {
	app := opts.App
	cfg, err := app.Config()
	if err != nil {
		return err
	}
	session, err := app.Open(ctx, cli.SessionOptions{Discover: opts.requireEnabled})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, session.Close()) }()
	if !opts.DryRun {
		release, err := cli.LockAccount(app, session.AccountSID, "function.lock", "flexvc function or flexvc keys")
		if err != nil {
			return err
		}
		defer release()
	}
	d, err := app.Function(session)
	if err != nil {
		return err
	}
	plan, err := opts.plan(ctx, cfg, session, d)
	if err != nil {
		return err
	}
	was := cfg.TokenURL
	if !opts.Rollback && !opts.Remove {
		planTokenURL(cfg, d, plan)
	}
	return cli.Planned{
		App: app, Plan: &plan.Plan, DryRun: opts.DryRun, ExitCode: opts.ExitCode, Yes: opts.Yes,
		Ready: func() error { return opts.refusal(cfg, plan) },
		Text:  text(app.UI, session, opts, plan, was),
		JSON:  jsonOf(cfg.Profile, session.AccountSID, plan),
	}.Run(ctx)
}

func (o *options) plan(ctx context.Context, cfg *config.Config, session *cli.Session, d *provision.Function) (*provision.FunctionPlan, error) {
	switch {
	case o.Rollback:
		return d.PlanRollback(ctx)
	case o.Remove:
		return d.PlanRemove(ctx)
	}
	needs, err := json.Marshal(function.Dependencies())
	if err != nil {
		return nil, problem.New(problem.Internal, "cannot write the Function's dependencies: %w", err)
	}
	return d.Plan(ctx, provision.FunctionWant{Source: o.Source, Dependencies: string(needs), Settings: func(now provision.FunctionSettings) (provision.FunctionSettings, error) {
		return o.settings(cfg, session, now)
	}})
}

// planTokenURL has flexvc.yaml name the Function once it answers. It is asked again:
// an earlier run may have deployed what does not work.
func planTokenURL(cfg *config.Config, d *provision.Function, plan *provision.FunctionPlan) {
	item := provision.Item{Kind: provision.KindSettings, Action: provision.Same, Name: "token_url", Detail: plan.Address()}
	if address := plan.Address(); address == "" || cfg.Stored(config.TokenURL) != address || cfg.Value(config.PluginTokenURL) != address {
		item.Action = provision.Change
		if item.Detail == "" {
			item.Detail = "of " + cfg.Short(cfg.File) + ": the Function's address"
		}
	}
	plan.Step(item, func(ctx context.Context) (string, error) {
		if err := d.Verify(ctx, plan); err != nil {
			return "", err
		}
		return "", setTokenURL(ctx, cfg, plan.Address())
	})
}

func setTokenURL(ctx context.Context, cfg *config.Config, address string) error {
	editor, err := config.Edit(ctx, cfg.File, cfg.Short(cfg.File))
	if err != nil {
		return err
	}
	defer editor.Close()
	for _, name := range []string{config.TokenURL, config.PluginTokenURL} {
		if err := editor.Set(cfg.Profile, name, address); err != nil {
			return err
		}
	}
	return editor.Save()
}

// settings are the variables of the Function: of the flags, and for those not
// given of what is deployed.
func (o *options) settings(cfg *config.Config, session *cli.Session, now provision.FunctionSettings) (provision.FunctionSettings, error) {
	s := provision.FunctionSettings{"FLEXVC_ACCOUNT_SID": session.AccountSID}
	c := tokensrv.Defaults()
	c.AccountSID, c.Prefix, c.Region = session.AccountSID, cfg.IdentityPrefix, cfg.Region
	if c.Prefix != tokensrv.Defaults().Prefix {
		s["FLEXVC_IDENTITY_PREFIX"] = c.Prefix
	}
	if c.Region != "" && c.Region != "us1" {
		return nil, problem.New(problem.Usage, "cannot deploy the Function: it signs for region us1, and the profile's region is %s", c.Region).
			WithHint("use flexvc serve")
	}
	var err error
	if c.AllowOrigins, err = o.origins(cfg, now); err != nil {
		return nil, err
	}
	c.RequireRoles = o.list("require-role", o.requireRoles, now["FLEXVC_REQUIRE_ROLE"])
	c.AllowWorkers = o.list("allow-worker", o.allowWorkers, now["FLEXVC_ALLOW_WORKER"])
	c.TTL = o.ttl
	if seconds, err := strconv.Atoi(now[provision.FunctionTTL]); err == nil && !o.given("token-ttl") {
		c.TTL = time.Duration(seconds) * time.Second
	}
	c.ValidateVia = tokensrv.Via(o.validateVia)
	if via := now["FLEXVC_VALIDATE_VIA"]; via != "" && !o.given("validate-via") {
		c.ValidateVia = tokensrv.Via(via)
	}
	if err := check(c); err != nil {
		return nil, err
	}
	for name, values := range map[string][]string{provision.FunctionOrigins: c.AllowOrigins, "FLEXVC_REQUIRE_ROLE": c.RequireRoles, "FLEXVC_ALLOW_WORKER": c.AllowWorkers} {
		if len(values) > 0 {
			s[name] = strings.Join(values, ",")
		}
	}
	s[provision.FunctionTTL] = strconv.Itoa(int(c.TTL / time.Second))
	s["FLEXVC_VALIDATE_VIA"] = string(c.ValidateVia)
	for name, on := range map[string]bool{
		"FLEXVC_ALLOW_GET":         o.flag("allow-get", o.allowGet, now["FLEXVC_ALLOW_GET"]),
		"FLEXVC_CAP_TO_FLEX_TOKEN": o.flag("cap-to-flex-token", o.capToFlexToken, now["FLEXVC_CAP_TO_FLEX_TOKEN"]),
		"FLEXVC_REQUIRE_ENABLED":   o.flag("require-enabled", o.requireEnabled, now["FLEXVC_REQUIRE_ENABLED"]),
	} {
		if on {
			s[name] = "true"
		}
	}
	if s["FLEXVC_REQUIRE_ENABLED"] != "" {
		if s["FLEXVC_WORKSPACE_SID"] = session.WorkspaceSID; session.WorkspaceSID == "" {
			s["FLEXVC_WORKSPACE_SID"] = now["FLEXVC_WORKSPACE_SID"]
		}
	}
	return s, nil
}

// check judges the settings as flexvc serve does. The key is not known yet.
func check(c tokensrv.Config) error {
	c.KeySID, c.KeySecret = "SK"+strings.Repeat("0", 32), "not known yet"
	c.Validator = tokensrv.Credentials{User: c.KeySID, Password: c.KeySecret}
	for _, list := range [][]string{c.AllowOrigins, c.RequireRoles, c.AllowWorkers} {
		if i := slices.IndexFunc(list, func(s string) bool { return strings.Contains(s, ",") }); i >= 0 {
			return cli.Usagef("%q contains a comma: repeat the flag for each value", list[i])
		}
	}
	return c.Validate()
}

func (o *options) origins(cfg *config.Config, now provision.FunctionSettings) ([]string, error) {
	if !o.given("allow-origin") && now[provision.FunctionOrigins] != "" {
		return strings.Split(now[provision.FunctionOrigins], ","), nil
	}
	return o.App.Origins(cfg, filled(o.allowOrigins))
}

// list is what a flag that may be repeated says, or what is deployed.
func (o *options) list(flag string, values []string, now string) []string {
	if !o.given(flag) {
		return filled(strings.Split(now, ","))
	}
	return filled(values)
}

// filled leaves out empty values, with which a flag ends what was deployed.
func filled(values []string) []string {
	return slices.DeleteFunc(slices.Clone(values), func(s string) bool { return s == "" })
}

func (o *options) flag(flag string, value bool, now string) bool {
	if !o.given(flag) {
		return now == "true"
	}
	return value
}

// refusal is why the Function has to stay, or nil: agents ask it for tokens.
func (o *options) refusal(cfg *config.Config, plan *provision.FunctionPlan) error {
	address := plan.Address()
	if !o.Remove || o.Force || address == "" || cfg.TokenURL != address && cfg.Value(config.PluginTokenURL) != address {
		return nil
	}
	return problem.New(problem.FunctionInUse, "cannot remove the Function: token_url of profile %q names it, so agents may request tokens from it", cfg.Profile).
		WithHint("start flexvc serve, then flexvc init --token-url URL, flexvc pack --policy DIR and flexvc plugin deploy; or --force")
}
