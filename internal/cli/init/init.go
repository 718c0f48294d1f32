// Package initcmd is flexvc init: its flags, what it runs, and what it
// prints. What should exist in the account belongs to internal/provision. The
// folder is called init, which Go allows no package to be.
package initcmd

import (
	"context"
	"crypto/rsa"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/config"
	"github.com/flexvc/flexvc/internal/crx"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/provision"
)

// initOptions is one `flexvc init`.
type Options struct {
	App         *cli.App
	Keyring     config.Keyring
	GenerateKey func(io.Reader) (*rsa.PrivateKey, error)

	Workspace    string
	ActivityName string
	TokenURL     string
	SecretFile   string
	NewExtension bool
	NewKey       bool
	DryRun       bool
	ExitCode     bool
	Yes          bool
}

func New(app *cli.App, runF func(context.Context, *Options) error) *cobra.Command {
	opts := &Options{App: app, Keyring: config.SystemKeyring{}, GenerateKey: crx.GenerateKey}
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Prepare Flex: activity, API key, signing key, settings",
		Long: `Prepare the account for the extension: find the Flex workspace, show what is
missing, ask, and add it.

  activity      for agents whose extension is not connected (available: no)
  api key       signs the tokens of flexvc serve; its secret goes to the system
                keychain, or to --secret-file (mode 0600)
  signing key   determines the extension's ID; back it up, it is never replaced
  settings      a profile in flexvc.yaml that records all of these

Safe to run again at any time: existing items are left alone, and an interrupted run
is continued. Creating API keys requires the account's auth token or a Main API key.

The extension's ID and the key's SID are an identity: policies, token servers and other
administrators know them. It is not made twice. On another machine, bring it with flexvc
config export --sealed and flexvc config import, or by copying flexvc.yaml and
extension.pem.`,
		Example: `  $ flexvc init
  $ flexvc init -p acme --token-url https://voice.acme.example/generateToken
  $ flexvc init --dry-run --exit-code`,
		Args: cli.NameArgs(0, "flexvc init takes no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cli.CheckPlanFlags(opts.DryRun, opts.ExitCode); err != nil {
				return err
			}
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return Run(cmd.Context(), opts)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	cli.WorkspaceFlag(cmd, &opts.Workspace)
	flags.StringVar(&opts.ActivityName, "activity-name", "", `activity for disconnected agents (default "Voice Client Offline")`)
	flags.StringVar(&opts.TokenURL, "token-url", "", "address where browsers reach flexvc serve (default http://localhost:3001/generateToken)")
	flags.StringVar(&opts.SecretFile, "secret-file", "", "store the API key's secret in this file instead of the keychain")
	flags.BoolVar(&opts.NewExtension, "new-extension-id", false, "allow another extension ID although the account has one")
	flags.BoolVar(&opts.NewKey, "new-api-key", false, "replace an API key whose secret is not on this machine")
	cli.PlanFlags(cmd, &opts.DryRun, &opts.ExitCode, &opts.Yes)
	cli.NoCompletion(cmd, "activity-name")
	cli.NoCompletion(cmd, "token-url")
	return cmd
}

// initRun plans, shows, asks and applies.
func Run(ctx context.Context, opts *Options) (err error) {
	for _, given := range []struct{ setting, flag, text string }{
		{config.WorkspaceSID, "--workspace", opts.Workspace},
		{config.ActivityName, "--activity-name", opts.ActivityName},
		{config.TokenURL, "--token-url", opts.TokenURL},
	} {
		if given.text != "" {
			if err := config.Validate(given.setting, given.flag, given.text); err != nil {
				return err
			}
		}
	}
	app := opts.App
	app.MayCreate()
	cfg, err := app.Config()
	if err != nil {
		return err
	}
	session, err := app.Open(ctx, cli.SessionOptions{Workspace: opts.Workspace, Discover: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, session.Close()) }()

	if !opts.DryRun { // which needs no lock
		release, err := cli.LockAccount(app, session.AccountSID, "setup.lock", "flexvc init")
		if err != nil {
			return err
		}
		defer release()
	}

	version, err := flexVersion(ctx, opts, cfg, session)
	if err != nil {
		return err
	}
	account, want, err := initAccount(opts, cfg, session)
	if err != nil {
		return err
	}
	plan, err := account.Plan(ctx, want)
	if err != nil {
		return err
	}
	return cli.Planned{
		App: app, Plan: &plan.Plan, DryRun: opts.DryRun, ExitCode: opts.ExitCode, Yes: opts.Yes,
		Ready: func() error { return writable(cfg, want, plan) },
		Text:  initText(app.UI, cfg, session, version, plan),
		JSON:  initJSON(cfg, session, plan),
	}.Run(ctx)
}

// flexVersion asks Flex about itself, unless --workspace says not to. A
// workspace in the settings is enough to go on where that cannot be answered.
func flexVersion(ctx context.Context, opts *Options, cfg *config.Config, session *cli.Session) (string, error) {
	if opts.Workspace != "" {
		return "", nil
	}
	flex, err := session.Flex.FlexConfiguration(ctx)
	if err != nil && cfg.WorkspaceSID != "" && (problem.Is(err, problem.FlexNotFound) || problem.Is(err, problem.PermissionDenied)) {
		return "", nil
	}
	return flex.UIVersion, err
}

// writable finds out, before anything is made at Twilio, whether all that has
// to be written here can be.
func writable(cfg *config.Config, want provision.Settings, plan *provision.AccountPlan) error {
	paths := []string{cfg.File}
	for _, item := range plan.Items {
		if item.Kind == provision.KindSigningKey && item.Action != provision.Same {
			paths = append(paths, cfg.SigningKey)
		}
	}
	if path := cfg.SecretPath(want.SecretStore); path != "" {
		paths = append(paths, path)
	}
	for _, path := range paths {
		if err := config.CheckWritable(path, cfg.Short(path)); err != nil {
			return err
		}
	}
	return nil
}
