package cli

import (
	"path/filepath"

	"github.com/flexvc/flexvc/internal/problem"
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
