package cli

import (
	"errors"

	"github.com/flexvc/flexvc/internal/config"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/plugin"
)

// PluginBundle makes the bundle of a version with the settings of the profile.
func PluginBundle(cfg *config.Config, bundle func(plugin.Settings) ([]byte, error)) func(string) ([]byte, error) {
	return func(version string) ([]byte, error) {
		script, err := bundle(plugin.Settings{
			Version:            version,
			TokenURL:           cfg.Value(config.PluginTokenURL),
			IdentityPrefix:     cfg.IdentityPrefix,
			OfflineActivitySID: cfg.ActivitySID,
			HelpURL:            cfg.Value(config.HelpURL),
		})
		if errors.Is(err, plugin.ErrNotBuilt) {
			return nil, problem.New(problem.PluginIncomplete, "cannot deploy the plugin: this flexvc was built without it").
				WithHint("build with make build, which needs npm, or install a released flexvc")
		}
		if err != nil {
			return nil, problem.New(problem.Internal, "cannot build the plugin's bundle: %w", err)
		}
		return script, nil
	}
}
