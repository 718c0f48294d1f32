package config

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/config"
	"github.com/flexvc/flexvc/internal/crx"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/provision"
	"github.com/flexvc/flexvc/internal/ui"
)

// importOptions is one `flexvc config import`.
type importOptions struct {
	App            *cli.App
	Keyring        config.Keyring
	File           string
	SecretFile     string
	PassphraseFile string
	DryRun         bool
	ExitCode       bool
	Yes            bool
}

func newImport(app *cli.App, runF func(context.Context, *importOptions) error) *cobra.Command {
	opts := &importOptions{App: app, Keyring: config.SystemKeyring{}}
	if runF == nil {
		runF = importRun
	}
	cmd := &cobra.Command{
		Use:   "import <file>",
		Short: "Read a profile of another machine",
		Long: `Read what flexvc config export --sealed wrote on another machine; - is standard input.
The profile keeps its name unless -p gives another. The signing key goes beside
flexvc.yaml and the API key's secret to the keychain, or to --secret-file: on a server
without a keychain, name a file there that flexvc serve may read.

A signing key that is here already is never replaced: one of another extension is an
error.`,
		Example: `  $ flexvc config import acme.flexvc
  $ flexvc config import acme.flexvc --secret-file /etc/flexvc/secret`,
		Args: cli.NameArgs(1, "name the file to import"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.File = args[0]
			if err := cli.CheckPlanFlags(opts.DryRun, opts.ExitCode); err != nil {
				return err
			}
			return runF(cmd.Context(), opts)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.SecretFile, "secret-file", "", "store the API key's secret in this file instead of the keychain")
	flags.StringVar(&opts.PassphraseFile, "passphrase-file", "", "read the passphrase from this file")
	cli.PlanFlags(cmd, &opts.DryRun, &opts.ExitCode, &opts.Yes)
	return cmd
}

const (
	kindSettings   provision.Kind = "settings"
	kindSigningKey provision.Kind = "signing key"
	kindSecret     provision.Kind = "secret"
)

func importRun(ctx context.Context, o *importOptions) error {
	data, err := o.read()
	if err != nil {
		return err
	}
	phrase, err := passphrase(ctx, o.App.UI, o.PassphraseFile, false)
	if err != nil {
		return err
	}
	bundle, err := config.OpenBundle(data, o.File, phrase)
	if err != nil {
		return err
	}
	if o.App.Global.Profile == "" {
		o.App.Global.Profile = bundle.Profile
	}
	if (o.App.Global.Profile == config.Emulator) != (bundle.Profile == config.Emulator) {
		return cli.Usagef("an export of the emulator's profile and one of an account cannot take each other's place")
	}
	o.App.MayCreate()
	cfg, err := o.App.Config()
	if err != nil {
		return err
	}
	plan, err := o.plan(cfg, bundle)
	if err != nil {
		return err
	}
	return cli.Planned{
		App: o.App, Plan: plan, DryRun: o.DryRun, ExitCode: o.ExitCode, Yes: o.Yes,
		Ready: func() error { return config.CheckWritable(cfg.File, cfg.Short(cfg.File)) },
		Text:  importText(o.App.UI, cfg, plan), JSON: importJSON(cfg, plan),
	}.Run(ctx)
}

func (o *importOptions) read() (data []byte, err error) {
	if o.File == "-" {
		if o.PassphraseFile == "" {
			return nil, cli.Usagef("with the export on standard input, --passphrase-file is required")
		}
		data, err = io.ReadAll(io.LimitReader(o.App.UI.In, 1<<20))
	} else {
		data, err = config.ReadText(o.File, 1<<20)
	}
	if err != nil {
		return nil, problem.New(problem.InputUnreadable, "cannot read %s: %w", o.File, problem.Reason(err))
	}
	return data, nil
}

// plan compares the export with what is here. The signing key and the secret come
// before the settings that name them.
func (o *importOptions) plan(cfg *config.Config, b config.Bundle) (*provision.Plan, error) {
	if was, is := cfg.Stored(config.AccountSID), b.Settings[config.AccountSID]; was != "" && was != is {
		return nil, problem.New(problem.ConfigInvalid, "cannot import into profile %q: it is for account %s, the export for %s", cfg.Profile, was, is).
			WithHint("use another profile: flexvc config import %s -p NAME", cli.QuoteAll([]string{o.File})[0])
	}
	p := &provision.Plan{}
	if err := o.planKey(cfg, b, p); err != nil {
		return nil, err
	}
	store, err := o.planSecret(cfg, b, p)
	if err != nil {
		return nil, err
	}
	settings := b.Settings
	settings[config.SecretStore], settings[config.SigningKey] = store, cfg.Value(config.SigningKey)
	var changes []string
	action := provision.Same
	for _, name := range config.Names() {
		to, given := settings[name]
		if given && cfg.Stored(name) != to {
			changes, action = append(changes, name), provision.Change
		}
	}
	if !cfg.HasProfile() {
		action = provision.Add
	}
	p.Step(provision.Item{Kind: kindSettings, Action: action, Name: filepath.Base(cfg.File), Detail: "profile " + cfg.Profile + ": " + strings.Join(changes, ", ")},
		func(ctx context.Context) (string, error) {
			editor, err := config.Edit(ctx, cfg.File, cfg.Short(cfg.File))
			if err != nil {
				return "", err
			}
			defer editor.Close()
			for _, name := range changes {
				if err := editor.Set(cfg.Profile, name, settings[name]); err != nil {
					return "", err
				}
			}
			editor.Activate(cfg.Profile)
			return "", editor.Save()
		})
	return p, nil
}

func (o *importOptions) planKey(cfg *config.Config, b config.Bundle, p *provision.Plan) error {
	key, err := crx.ParseKey([]byte(b.SigningKey))
	if err != nil {
		return problem.New(problem.InputUnreadable, "cannot import %s: its signing key is unusable: %w", o.File, err)
	}
	id, err := crx.ExtensionID(key.Public())
	if err != nil {
		return err
	}
	if id != b.Settings[config.ExtensionID] {
		return problem.New(problem.InputUnreadable, "cannot import %s: its signing key is not that of its extension", o.File)
	}
	item := provision.Item{Kind: kindSigningKey, Action: provision.Add, Name: cfg.Short(cfg.SigningKey), ID: id, Detail: "extension id " + id}
	switch present, _, err := crx.ReadKey(cfg.SigningKey); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		is, err := crx.ExtensionID(present.Public())
		if err != nil {
			return err
		}
		if is != id {
			return problem.New(problem.SigningKeyInvalid, "%s is the key of extension %s, the export has that of %s", item.Name, is, id).
				WithHint("keep both: flexvc config import %s --config OTHER.yaml in another folder", cli.QuoteAll([]string{o.File})[0])
		}
		item.Action = provision.Same
	}
	p.Step(item, func(context.Context) (string, error) { return id, crx.WriteKey(cfg.SigningKey, key) })
	return nil
}

// planSecret returns where secrets are kept on this machine from now on.
func (o *importOptions) planSecret(cfg *config.Config, b config.Bundle, p *provision.Plan) (store string, err error) {
	store = cfg.Value(config.SecretStore)
	if o.SecretFile != "" {
		path, err := filepath.Abs(o.SecretFile)
		if err != nil {
			return "", cli.Usagef("cannot use --secret-file: %v", err)
		}
		store = "file:" + path
	}
	if b.Secret == "" {
		return store, nil
	}
	sid, keeper := b.Settings[config.APIKey], cfg.SecretsAt(store, o.Keyring)
	held, err := keeper.Get(sid)
	if err != nil {
		return "", err
	}
	action := provision.Add
	switch {
	case held == b.Secret:
		action = provision.Same
	case held != "":
		action = provision.Change
	}
	p.Step(provision.Item{Kind: kindSecret, Action: action, Name: sid, ID: sid, Detail: "goes to " + keeper.Place()},
		func(context.Context) (string, error) { return sid, keeper.Set(sid, b.Secret) })
	return store, nil
}

func importText(s *ui.Streams, cfg *config.Config, p *provision.Plan) cli.PlanText {
	return cli.PlanText{
		Nothing: fmt.Sprintf("No changes: profile %q is as in the export.", cfg.Profile),
		Heading: "On this machine flexvc will:",
		Line:    func(item provision.Item) (string, string) { return s.SID(item.Name), item.Detail },
		Result: func(item provision.Item, _ time.Duration, _ error) string {
			return ui.Clean(s.SID(item.Name))
		},
		Again: "run flexvc config import again",
		Done:  fmt.Sprintf("Done: profile %q imported.", cfg.Profile),
		Next:  "Next: flexvc doctor",
	}
}

type importPlan struct {
	cli.EventJSON
	Profile string `json:"profile"` // its name here
	cli.CountsJSON
	Items []cli.ItemJSON `json:"items"` // in order
}

func importJSON(cfg *config.Config, p *provision.Plan) cli.PlanJSON {
	return cli.PlanJSON{
		Plan:    importPlan{cli.Event("plan"), cfg.Profile, cli.PlanCounts(p), cli.PlanItems(p)},
		Summary: cli.Summarize(p),
	}
}
