package initcmd

import (
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/config"
	"github.com/flexvc/flexvc/internal/crx"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/provision"
)

// initAccount connects provisioning with the account, the settings file, the
// keychain and the state folder, and says what is wanted.
func initAccount(opts *Options, cfg *config.Config, session *cli.Session) (*provision.Account, provision.Settings, error) {
	store := &profileSettings{cfg: cfg}
	for _, f := range store.fields() {
		*f.value = cfg.Stored(f.name)
	}
	want := provision.Settings{
		AccountSID:     session.AccountSID,
		WorkspaceSID:   session.WorkspaceSID,
		ActivityName:   cfg.ActivityName,
		IdentityPrefix: cfg.IdentityPrefix,
		TokenURL:       cfg.TokenURL,
		SecretStore:    cfg.Value(config.SecretStore),
		SigningKey:     cfg.Value(config.SigningKey),
	}
	if opts.ActivityName != "" {
		want.ActivityName = opts.ActivityName
	}
	if opts.TokenURL != "" {
		want.TokenURL = opts.TokenURL
	}
	want.PluginActivityName, want.PluginTokenURL = want.ActivityName, want.TokenURL
	if opts.SecretFile != "" {
		path, err := filepath.Abs(opts.SecretFile)
		if err != nil {
			return nil, want, problem.New(problem.Usage, "cannot use --secret-file: %w", err)
		}
		want.SecretStore = "file:" + path
	}
	intents, err := newIntentFile(opts.App, cfg, session.AccountSID)
	if err != nil {
		return nil, want, err
	}
	account := &provision.Account{
		Activities: session.Activities,
		Keys:       session.Keys,
		Secrets:    cfg.SecretsAt(want.SecretStore, opts.Keyring),
		SigningKey: &signingKeyFile{opts: opts, cfg: cfg},
		Settings:   store,
		Intents:    intents,
		Random:     opts.App.Random,

		NewExtension: opts.NewExtension, NewKey: opts.NewKey, Profiles: cfg.APIKeys(),
	}
	if former := store.stored.SecretStore; former != "" && cfg.SecretPath(former) != cfg.SecretPath(want.SecretStore) {
		account.Former = cfg.SecretsAt(former, opts.Keyring)
	}
	return account, want, nil
}

// profileSettings is the profile in flexvc.yaml.
type profileSettings struct {
	cfg    *config.Config
	stored provision.Settings
}

type settingField struct {
	name  string
	value *string
}

func (s *profileSettings) fields() []settingField { return settingFields(&s.stored) }

func settingFields(s *provision.Settings) []settingField {
	return []settingField{
		{config.AccountSID, &s.AccountSID},
		{config.WorkspaceSID, &s.WorkspaceSID},
		{config.ActivityName, &s.ActivityName},
		{config.ActivitySID, &s.ActivitySID},
		{config.IdentityPrefix, &s.IdentityPrefix},
		{config.TokenURL, &s.TokenURL},
		{config.APIKey, &s.APIKeySID},
		{config.SecretStore, &s.SecretStore},
		{config.SigningKey, &s.SigningKey},
		{config.ExtensionID, &s.ExtensionID},
		{config.PluginActivityName, &s.PluginActivityName},
		{config.PluginTokenURL, &s.PluginTokenURL},
		{config.CreatedActivitySID, &s.CreatedActivitySID},
	}
}

func (s *profileSettings) Stored() provision.Settings { return s.stored }

func (s *profileSettings) Place() string { return filepath.Base(s.cfg.File) }

func (s *profileSettings) Save(ctx context.Context, settings provision.Settings) error {
	editor, err := config.Edit(ctx, s.cfg.File, s.cfg.Short(s.cfg.File))
	if err != nil {
		return err
	}
	defer editor.Close()
	for _, f := range settingFields(&settings) {
		if err := editor.Set(s.cfg.Profile, f.name, *f.value); err != nil {
			return err
		}
	}
	editor.Activate(s.cfg.Profile)
	if err := editor.Save(); err != nil {
		return err
	}
	s.stored = settings
	return nil
}

// signingKeyFile is the key beside the settings file.
type signingKeyFile struct {
	opts *Options
	cfg  *config.Config
	key  *rsa.PrivateKey // ready to be written
}

func (k *signingKeyFile) Place() string { return k.cfg.Short(k.cfg.SigningKey) }

func (k *signingKeyFile) Prepare() (id string, exists bool, err error) {
	key, open, err := crx.ReadKey(k.cfg.SigningKey)
	switch {
	case err == nil:
		if open {
			k.opts.App.UI.Warn("other users can read the signing key: chmod 600 %s", k.Place())
		}
		id, err = crx.ExtensionID(key.Public())
		return id, true, err
	case !errors.Is(err, fs.ErrNotExist):
		return "", false, err
	case k.opts.DryRun:
		return "", false, nil // the next run would show another ID
	}
	if k.key, err = k.opts.GenerateKey(k.opts.App.Random); err != nil {
		return "", false, err
	}
	id, err = crx.ExtensionID(k.key.Public())
	return id, false, err
}

func (k *signingKeyFile) Write() (string, error) {
	if err := crx.WriteKey(k.cfg.SigningKey, k.key); err != nil {
		return "", err
	}
	return crx.ExtensionID(k.key.Public())
}

// newIntentFile is of the profile and its settings file: the secrets of two may be
// kept in different places.
func newIntentFile(app *cli.App, cfg *config.Config, accountSID string) (cli.IntentFile, error) {
	sum := sha256.Sum256([]byte(cfg.File + "\x00" + cfg.Profile))
	return app.IntentFile(accountSID, fmt.Sprintf("setup-%x.json", sum[:4]), provision.TokenKeyName)
}

var (
	_ provision.SettingsStore = (*profileSettings)(nil)
	_ provision.SigningKey    = (*signingKeyFile)(nil)
	_ provision.IntentStore   = cli.IntentFile{}
	_ provision.SecretStore   = config.SecretKeeper(nil)
)
