package teardown

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/config"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/provision"
	"github.com/flexvc/flexvc/internal/ui"
)

// The kinds of what is on this machine.
const (
	kindSecret   provision.Kind = "secret"
	kindJournals provision.Kind = "journals"
)

// purge is what goes from this machine, in the order that leaves most behind when
// it is interrupted: the settings name all others.
func (o *Options) purge(cfg *config.Config, session *cli.Session) ([]provision.Work, error) {
	var all []provision.Work
	add := func(kind provision.Kind, name, detail string, do func(context.Context) error) {
		all = append(all, provision.Work{Item: provision.Item{Kind: kind, Action: provision.Remove, Name: name, Detail: detail}, Do: do})
	}
	if sid := cfg.Stored(config.APIKey); sid != "" {
		secrets := cfg.Secrets(o.Keyring)
		secret, err := secrets.Get(sid)
		if err != nil {
			return nil, err
		}
		if secret != "" {
			add(kindSecret, secrets.Place(), "of "+sid, func(context.Context) error { return secrets.Delete(sid) })
		}
	}
	state, err := o.App.StateDir()
	if err != nil {
		return nil, err
	}
	account := filepath.Join(state, session.AccountSID)
	journals, err := fs.Glob(os.DirFS(account), "*/*.jsonl") // the folder's own name may hold a "["
	if err != nil {
		return nil, err
	}
	if len(journals) > 0 {
		add(kindJournals, cfg.Short(account), ui.Plural(len(journals), "run"), func(context.Context) error { return removeJournals(account) })
	}
	if cfg.HasProfile() {
		add(provision.KindSettings, filepath.Base(cfg.File), "profile "+cfg.Profile, func(ctx context.Context) error { return removeProfile(ctx, cfg) })
	}
	return all, nil
}

// removeJournals deletes the folders of the account's workspaces. What commands
// that run now have locked stays.
func removeJournals(account string) error {
	entries, err := os.ReadDir(account)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if e.IsDir() {
			err = errors.Join(err, os.RemoveAll(filepath.Join(account, e.Name())))
		}
	}
	if err != nil {
		return problem.New(problem.StateUnwritable, "cannot delete the journals: %w", problem.Reason(err)).
			WithHint("delete %s by hand", account)
	}
	return nil
}

func removeProfile(ctx context.Context, cfg *config.Config) error {
	editor, err := config.Edit(ctx, cfg.File, cfg.Short(cfg.File))
	if err != nil {
		return err
	}
	defer editor.Close()
	if editor.Remove(cfg.Profile) {
		return editor.Save()
	}
	if err := config.RemoveFile(cfg.File); err != nil {
		return problem.New(problem.ConfigUnwritable, "cannot delete %s: %w", cfg.Short(cfg.File), problem.Reason(err))
	}
	return nil
}
