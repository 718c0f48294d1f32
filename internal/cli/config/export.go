package config

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/config"
	"github.com/flexvc/flexvc/internal/crx"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/ui"
)

// exportOptions is one `flexvc config export`.
type exportOptions struct {
	App            *cli.App
	Keyring        config.Keyring
	Sealed         bool
	WithoutSecret  bool
	Out            string
	PassphraseFile string
}

func newExport(app *cli.App, runF func(context.Context, *exportOptions) error) *cobra.Command {
	opts := &exportOptions{App: app, Keyring: config.SystemKeyring{}}
	if runF == nil {
		runF = exportRun
	}
	cmd := &cobra.Command{
		Use:   "export --sealed",
		Short: "Take a profile to another machine",
		Long: `Write a profile's settings, the extension's signing key and the secret of the token
server's key into one file for another machine: a second administrator's, or the server
that runs flexvc serve. The file is sealed with a passphrase (the format is age's), which
should travel by another way. Read it there with flexvc config import.

The passphrase has at least 12 characters. It is asked for, or read from the first line
of --passphrase-file.`,
		Example: `  $ flexvc config export --sealed --out acme.flexvc
  $ flexvc config export --sealed --without-secret --out colleague.flexvc`,
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !opts.Sealed {
				return cli.Usagef("an export contains the signing key: pass --sealed")
			}
			return runF(cmd.Context(), opts)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&opts.Sealed, "sealed", false, "encrypt with a passphrase; required")
	flags.BoolVar(&opts.WithoutSecret, "without-secret", false, "leave out the API key's secret, which only flexvc serve needs")
	flags.StringVar(&opts.Out, "out", "", "file to write, mode 0600; it must not exist (default: standard output)")
	flags.StringVar(&opts.PassphraseFile, "passphrase-file", "", "read the passphrase from this file")
	return cmd
}

func exportRun(ctx context.Context, o *exportOptions) error {
	cfg, err := o.App.Config()
	if err != nil {
		return err
	}
	if !cfg.HasProfile() {
		return problem.New(problem.ConfigInvalid, "cannot export profile %q: %s does not have it", cfg.Profile, cfg.Short(cfg.File)).
			WithHint("flexvc init")
	}
	bundle := cfg.Bundle()
	if err := o.fill(cfg, &bundle); err != nil {
		return err
	}
	passphrase, err := passphrase(ctx, o.App.UI, o.PassphraseFile, true)
	if err != nil {
		return err
	}
	var sealed bytes.Buffer
	if err := bundle.Seal(&sealed, passphrase); err != nil {
		return err
	}
	if o.Out == "" {
		o.App.UI.Printf("%s", sealed.String())
	} else if err := create(o.Out, sealed.Bytes()); err != nil {
		return err
	}
	what := "settings, signing key and the secret of " + o.App.UI.SID(cfg.APIKeySID)
	if bundle.Secret == "" {
		what = "settings and signing key"
	}
	o.App.UI.Note("exported profile %q: %s", cfg.Profile, what)
	o.App.UI.Hint("on the other machine: flexvc config import FILE")
	return nil
}

// fill adds key and secret. What the settings name must be there: an export that
// lacks it would only be found out on the other machine.
func (o *exportOptions) fill(cfg *config.Config, b *config.Bundle) error {
	key, _, err := crx.ReadKey(cfg.SigningKey)
	if err != nil {
		return err
	}
	id, err := crx.ExtensionID(key.Public())
	if err != nil {
		return err
	}
	if stored := b.Settings[config.ExtensionID]; stored != "" && stored != id {
		return problem.New(problem.SigningKeyInvalid, "%s is the key of extension %s, but the settings say %s", cfg.Short(cfg.SigningKey), id, stored)
	}
	b.Settings[config.ExtensionID] = id
	text, err := config.ReadText(cfg.SigningKey, 1<<20)
	if err != nil {
		return problem.New(problem.SigningKeyInvalid, "cannot read the signing key: %w", problem.Reason(err))
	}
	b.SigningKey = string(text)
	sid := b.Settings[config.APIKey]
	if o.WithoutSecret || sid == "" {
		return nil
	}
	keeper := cfg.Secrets(o.Keyring)
	if b.Secret, err = keeper.Get(sid); err == nil && b.Secret == "" {
		return problem.New(problem.SecretMissing, "the secret of the token server's key %s is not in %s", sid, keeper.Place()).
			WithHint("export on the machine that has it, or without it: flexvc config export --sealed --without-secret")
	}
	return err
}

func create(path string, data []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return problem.New(problem.OutputUnwritable, "cannot write %s: it exists", path)
	}
	if err != nil {
		return problem.New(problem.OutputUnwritable, "cannot write %s: %w", path, problem.Reason(err))
	}
	_, err = file.Write(data)
	if err = errors.Join(err, file.Close()); err != nil {
		_ = os.Remove(path)
		return problem.New(problem.OutputUnwritable, "cannot write %s: %w", path, problem.Reason(err))
	}
	return nil
}

// passphrase reads one from a file or asks for it. A new one is asked for twice, and
// again when it cannot be used.
func passphrase(ctx context.Context, s *ui.Streams, path string, fresh bool) (string, error) {
	if path != "" {
		text, err := config.ReadText(path, 1<<16)
		if err != nil {
			return "", problem.New(problem.InputUnreadable, "cannot read the passphrase from %s: %w", path, problem.Reason(err))
		}
		line, _, _ := bytes.Cut(text, []byte("\n"))
		phrase := string(bytes.TrimRight(line, "\r"))
		return phrase, unusable(phrase, fresh)
	}
	const hint = "pass --passphrase-file FILE"
	question := "passphrase"
	if fresh {
		question = fmt.Sprintf("passphrase (%d characters or more)", config.ShortestPassphrase)
	}
	for try := 1; ; try++ {
		phrase, err := s.AskSecret(ctx, question, hint)
		if err != nil {
			return "", err
		}
		if err = unusable(phrase, fresh); err == nil && fresh {
			again, asked := s.AskSecret(ctx, "the same passphrase again", hint)
			if asked != nil {
				return "", asked
			}
			if again != phrase {
				err = cli.Usagef("the two passphrases differ")
			}
		}
		if err == nil || !fresh || try == maxTries {
			return phrase, err
		}
		s.Warn("%s: try again", err)
	}
}

// maxTries is how often a new passphrase is asked for.
const maxTries = 3

// unusable is why a passphrase cannot be taken, or nil.
func unusable(phrase string, fresh bool) error {
	switch {
	case phrase == "":
		return cli.Usagef("the passphrase is empty")
	case fresh && utf8.RuneCountInString(phrase) < config.ShortestPassphrase:
		return cli.Usagef("the passphrase is shorter than %d characters", config.ShortestPassphrase)
	}
	return nil
}
