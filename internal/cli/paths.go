package cli

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/flexvc/flexvc/internal/config"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/provision"
)

// ConfigDir is where flexvc.yaml and the signing key are: $XDG_CONFIG_HOME/flexvc
// or ~/.config/flexvc.
func (a *App) ConfigDir() (string, error) {
	return a.under("XDG_CONFIG_HOME", ".config")
}

// StateDir is where journals and the emulator's data are: $FLEXVC_STATE_DIR,
// $XDG_STATE_HOME/flexvc or ~/.local/state/flexvc.
func (a *App) StateDir() (string, error) {
	if dir := a.Getenv("FLEXVC_STATE_DIR"); dir != "" {
		return filepath.Abs(dir)
	}
	return a.under("XDG_STATE_HOME", ".local", "state")
}

// RunsDir is where the runs of one workspace are journalled. Account and
// workspace are part of the path, so a run is never resumed on another.
func (a *App) RunsDir(accountSID, workspaceSID string) (string, error) {
	dir, err := a.StateDir()
	return filepath.Join(dir, accountSID, workspaceSID), err
}

// under returns flexvc's folder below the one that variable names, or below the
// home folder. The XDG specification says to ignore relative values.
func (a *App) under(variable string, below ...string) (string, error) {
	if dir := a.Getenv(variable); filepath.IsAbs(dir) {
		return filepath.Join(dir, "flexvc"), nil
	}
	home := a.Getenv("HOME")
	if home == "" {
		home = a.Getenv("USERPROFILE")
	}
	if home == "" {
		return "", problem.New(problem.ConfigUnreadable, "cannot locate the settings: HOME is not set").
			WithHint("set HOME, or %s", variable)
	}
	return filepath.Join(append(append([]string{home}, below...), "flexvc")...), nil
}

// IntentFile is where a command notes that it is about to create an API key.
type IntentFile struct{ path, key string }

// IntentFile is the account's file of that name, for keys of that name.
func (a *App) IntentFile(accountSID, name, key string) (IntentFile, error) {
	dir, err := a.StateDir()
	return IntentFile{filepath.Join(dir, accountSID, name), key}, err
}

func (f IntentFile) Load() (intent provision.Intent, err error) {
	data, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return intent, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &intent)
	}
	if err != nil {
		return intent, problem.New(problem.StateUnreadable, "cannot read the state of an earlier run in %s: %w", f.path, err).
			WithHint("if it is damaged, delete it, and delete the API key named %q… in the Console", f.key+" (setup")
	}
	return intent, nil
}

func (f IntentFile) Save(intent provision.Intent) error {
	data, err := json.Marshal(intent)
	if err == nil {
		err = config.WriteFile(f.path, append(data, '\n'))
	}
	return f.unwritable(err)
}

func (f IntentFile) Clear() error { return f.unwritable(config.RemoveFile(f.path)) }

func (f IntentFile) unwritable(err error) error {
	if err == nil {
		return nil
	}
	return problem.New(problem.StateUnwritable, "cannot record the next step: %w", err).
		WithHint("free disk space, or choose another folder with FLEXVC_STATE_DIR")
}
