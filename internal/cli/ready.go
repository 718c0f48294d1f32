package cli

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"path/filepath"
	"slices"

	"github.com/flexvc/flexvc/extension"
	"github.com/flexvc/flexvc/internal/config"
	"github.com/flexvc/flexvc/internal/crx"
	"github.com/flexvc/flexvc/internal/doctor"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/provision"
	"github.com/flexvc/flexvc/internal/tokensrv"
	"github.com/flexvc/flexvc/internal/ui"
	"github.com/flexvc/flexvc/plugin"
)

// Lack is something without which an enabled agent's calls would not reach the
// extension.
type Lack struct {
	Check  string `json:"check"`           // of flexvc doctor
	Says   string `json:"says"`            // what is missing
	Cause  string `json:"cause,omitempty"` // what that leads to
	Fix    string `json:"fix,omitempty"`   // a command or an instruction
	Plugin bool   `json:"-"`               // nothing at all would happen: the plugin is not there
}

// neededToEnable are the checks that agents depend on from their first minute on
// the extension.
var neededToEnable = []string{"plugin", "workspace", "token-server", "extension"}

// lacks judges the account as flexvc doctor does, but mints no token.
func (a *App) lacks(ctx context.Context, s *Session) ([]Lack, error) {
	cfg, err := a.Config()
	if err != nil {
		return nil, err
	}
	d := &doctor.Doctor{
		Now: a.Now, Web: s.Web(tokensrv.NewTransport(http.ProxyFromEnvironment)), Extension: BuiltIn(cfg, extension.App()),
		Settings: doctor.Settings{
			File: filepath.Base(cfg.File), Profile: cfg.Profile, Found: cfg.HasProfile(), Emulated: cfg.Emulated(), AccountSID: s.AccountSID,
			WorkspaceSID: s.WorkspaceSID, ActivityName: cfg.ActivityName, ActivitySID: cfg.ActivitySID, Prefix: cfg.IdentityPrefix,
			TokenURL: cfg.TokenURL, UpdateURL: UpdateURL(cfg), APIKeySID: cfg.APIKeySID,
		},
		Account: doctor.Account{
			Flex: s.Flex, Activities: s.Activities, Plugin: a.Plugin(s).Status,
			Check: func(context.Context) error { return nil }, // Twilio has answered this session before
			FlexToken: func(context.Context) (string, error) {
				return "", problem.New(problem.NotFound, "enabling workers mints no token")
			},
			PluginSum: func(version string) (string, error) {
				content, err := PluginBundle(cfg, plugin.Bundle)(version)
				return provision.BundleSum(content), err
			},
		},
	}
	checks := slices.DeleteFunc(d.Checks(), func(c doctor.Check) bool { return !slices.Contains(neededToEnable, c.ID) })
	var lacks []Lack
	err = doctor.Run(ctx, checks, a.Now, func(c doctor.Check, r doctor.Result) {
		if r.Status == doctor.Failed || r.Status == doctor.Warned {
			lacks = append(lacks, Lack{c.ID, r.Says, r.Cause, r.Fix, c.ID == "plugin" && r.Status == doctor.Failed})
		}
	})
	return lacks, err
}

// BuiltIn is the extension that this flexvc would pack from folder, and with
// which key.
func BuiltIn(cfg *config.Config, folder fs.FS) doctor.Extension {
	var e doctor.Extension
	text, err := fs.ReadFile(folder, "manifest.json")
	if err == nil {
		if m, err := crx.ParseManifest(text); err == nil {
			e.Version = m.Version
		}
	}
	if _, err := fs.Stat(folder, extension.VoiceSDK); err != nil {
		e.Incomplete = true
	}
	key, _, err := crx.ReadKey(cfg.SigningKey)
	if errors.Is(err, fs.ErrNotExist) {
		err = problem.New(problem.SigningKeyInvalid, "%s does not exist", cfg.Short(cfg.SigningKey)).
			WithHint("restore it from a backup, or bring it with flexvc config import; without a set-up on any machine: flexvc init")
	}
	if err == nil {
		e.ID, err = crx.ExtensionID(&key.PublicKey)
	}
	if stored := cfg.Value(config.ExtensionID); err == nil && stored != "" && stored != e.ID {
		err = problem.New(problem.SigningKeyInvalid, "%s is the key of extension %s, but the settings say %s", cfg.Short(cfg.SigningKey), e.ID, stored).
			WithHint("restore the key of %s from a backup, or bring it with flexvc config import", stored)
	}
	e.KeyErr = err
	return e
}

// Finding is what a check says, with its SIDs shortened, safe to print.
func Finding(s *ui.Streams, text string) string {
	return WholeSID.ReplaceAllStringFunc(ui.Clean(text), s.SID)
}

// Origins are those of --allow-origin, or the extension that our key signs.
func (a *App) Origins(cfg *config.Config, given []string) ([]string, error) {
	if len(given) > 0 {
		return given, nil
	}
	key, _, err := crx.ReadKey(cfg.SigningKey)
	if errors.Is(err, fs.ErrNotExist) {
		a.UI.Warn("no extension may request tokens: signing key %s not found", cfg.Short(cfg.SigningKey))
		a.UI.Hint("create it with flexvc init, or name the extension with --allow-origin chrome-extension://<id>")
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	id, err := crx.ExtensionID(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	return []string{"chrome-extension://" + id}, nil
}

// Web is how addresses are asked that browsers ask: an emulated session's Functions
// where they are emulated, all others with base.
func (s *Session) Web(base doctor.Web) doctor.Web {
	if s.Transport == nil {
		return base
	}
	return web{s.Transport, base}
}

type web struct{ functions, others doctor.Web }

func (w web) RoundTrip(r *http.Request) (*http.Response, error) {
	if IsFunction(r.URL) {
		return w.functions.RoundTrip(r)
	}
	return w.others.RoundTrip(r)
}
