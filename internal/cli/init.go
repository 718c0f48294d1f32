package cli

import (
	"context"
	"crypto/rsa"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/config"
	"github.com/flexvc/flexvc/internal/crx"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/provision"
)

// initOptions is one `flexvc init`.
type initOptions struct {
	App         *App
	Keyring     config.Keyring
	GenerateKey func(io.Reader) (*rsa.PrivateKey, error)

	Workspace    string
	ActivityName string
	TokenURL     string
	SecretFile   string
	DryRun       bool
	ExitCode     bool
	Yes          bool
}

func newInitCmd(app *App, runF func(context.Context, *initOptions) error) *cobra.Command {
	opts := &initOptions{App: app, Keyring: config.SystemKeyring{}, GenerateKey: crx.GenerateKey}
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Prepare Flex: activity, API key, signing key, settings",
		Long: `Prepare the account for the extension: find the Flex workspace, show what is
missing, ask, and add it.

  activity      agents are moved to it while their extension is not connected;
                it is available: no
  api key       signs the tokens of flexvc serve; its secret goes to the system
                keychain, or to the file named with --secret-file (mode 0600)
  signing key   makes the extension's ID; back it up, it is never replaced
  settings      a profile in flexvc.yaml that names all of these

It may be run again at any time: what is there is left alone, and a run that was
cut short is continued. Making API keys needs the account's auth token or a Main
API key.`,
		Example: `  $ flexvc init
  $ flexvc init -p acme --token-url https://voice.acme.example/generateToken
  $ flexvc init --dry-run --exit-code`,
		Args: nameArgs(0, "flexvc init takes no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkPlanFlags(opts.DryRun, opts.ExitCode); err != nil {
				return err
			}
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return initRun(cmd.Context(), opts)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	workspaceFlag(cmd, &opts.Workspace)
	flags.StringVar(&opts.ActivityName, "activity-name", "", `activity of disconnected agents (default "Voice Client Offline")`)
	flags.StringVar(&opts.TokenURL, "token-url", "", "where agents' browsers reach flexvc serve (default http://localhost:3001/generateToken)")
	flags.StringVar(&opts.SecretFile, "secret-file", "", "keep the API key's secret in this file instead of the keychain")
	planFlags(cmd, &opts.DryRun, &opts.ExitCode, &opts.Yes)
	noCompletion(cmd, "activity-name")
	noCompletion(cmd, "token-url")
	return cmd
}

// initRun plans, shows, asks and applies.
func initRun(ctx context.Context, opts *initOptions) (err error) {
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
	app.mayCreate()
	cfg, err := app.Config()
	if err != nil {
		return err
	}
	session, err := app.Open(ctx, SessionOptions{Workspace: opts.Workspace, Discover: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, session.Close()) }()

	if !opts.DryRun { // which needs no lock
		release, err := lockAccount(app, session.AccountSID, "setup.lock", "flexvc init")
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
	return planned{
		app: app, plan: &plan.Plan, dryRun: opts.DryRun, exitCode: opts.ExitCode, yes: opts.Yes,
		ready: func() error { return writable(cfg, want, plan) },
		text:  initText(app.UI, cfg, session, version, plan),
		json:  initJSON(cfg, session, plan),
	}.run(ctx)
}

// flexVersion asks Flex about itself, unless --workspace says not to. A
// workspace in the settings is enough to go on where that cannot be answered.
func flexVersion(ctx context.Context, opts *initOptions, cfg *config.Config, session *Session) (string, error) {
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
