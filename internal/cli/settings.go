package cli

import (
	"net/url"
	"path/filepath"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/config"
	"github.com/flexvc/flexvc/internal/rollout"
)

// settings is the configuration of this command line, read when first needed.
type settings struct {
	once   sync.Once
	config *config.Config
	err    error
	create bool // the command may make the file and the profile

	ownEmulated bool // TWILIO_ACCOUNT_SID is why the profile is the emulator's
}

// MayCreate lets the command make the settings file and the profile.
func (a *App) MayCreate() { a.settings.create = true }

// Config returns the settings of the profile that the command line names. It
// needs no credentials: see config.Config.RequireCredentials.
func (a *App) Config() (*config.Config, error) {
	a.settings.once.Do(func() { a.settings.config, a.settings.err = a.loadConfig() })
	return a.settings.config, a.settings.err
}

func (a *App) loadConfig() (*config.Config, error) {
	in := config.Input{
		Getenv:  a.Getenv,
		File:    a.Global.Config,
		Profile: a.Global.Profile,
		New:     a.settings.create,
	}
	// The emulator's settings live with its data, so that no experiment ever
	// touches the user's own file.
	if in.Profile == config.Emulator {
		dir, err := a.StateDir()
		if err != nil {
			return nil, err
		}
		in.File = filepath.Join(dir, "emulator", config.FileName)
		return config.Load(in)
	}
	if in.File == "" {
		dir, err := a.ConfigDir()
		if err != nil {
			return nil, err
		}
		in.ConfigDir = dir
	}
	return config.Load(in)
}

// Profiles lists what -p accepts. It reads files only.
func (a *App) Profiles() ([]config.Profile, error) {
	in := config.Input{Getenv: a.Getenv, File: a.Global.Config}
	if in.File == "" {
		dir, err := a.ConfigDir()
		if err != nil {
			return nil, err
		}
		in.ConfigDir = dir
	}
	return config.Profiles(in)
}

// completeProfiles offers them. Whatever goes wrong offers nothing.
func completeProfiles(a *App) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) (names []cobra.Completion, _ cobra.ShellCompDirective) {
		if a.Global.Config == "" {
			a.Global.Config = a.Getenv("FLEXVC_CONFIG")
		}
		profiles, _ := a.Profiles()
		for _, p := range profiles {
			names = append(names, cobra.CompletionWithDesc(p.Name, p.Source))
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// UpdateURL is where browsers look for later versions of the extension when
// nothing else is named: flexvc serve's own place. It is empty without a usable
// token URL, and where that is a Function's: nothing else is served there.
func UpdateURL(cfg *config.Config) string {
	u, err := url.Parse(cfg.TokenURL)
	if err != nil || u.Host == "" || IsFunction(u) {
		return ""
	}
	return u.Scheme + "://" + u.Host + rollout.Folder + rollout.UpdateFile
}

// IsFunction reports whether Twilio Serverless serves the address.
func IsFunction(u *url.URL) bool { return strings.HasSuffix(u.Hostname(), ".twil.io") }
