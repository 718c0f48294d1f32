package cli

import (
	"context"

	"github.com/flexvc/flexvc/internal/fleet"
	"github.com/flexvc/flexvc/internal/problem"
)

// Judgement is how the session's workers are judged: by one set of rules for
// watch, doctor and serve, all of it from Twilio and the profile's settings.
type Judgement struct {
	Rules fleet.Rules
	// Loaded tells whether Flex loads the plugin; nil when there is nobody to ask.
	Loaded func(context.Context) (bool, error)
}

// flexOffline is the name of Flex's own offline activity, unless it was renamed.
const flexOffline = "Offline"

// Judgement asks Flex for what the settings do not have. Credentials that may
// not read Flex's configuration or its plugins are no reason not to judge: the
// activity has its usual name then, and the plugin counts as loaded.
func (a *App) Judgement(ctx context.Context, s *Session) (Judgement, error) {
	cfg, err := a.Config()
	if err != nil {
		return Judgement{}, err
	}
	j := Judgement{Rules: fleet.Rules{
		Prefix: cfg.IdentityPrefix, VoiceOffline: cfg.ActivitySID, VoiceOfflineName: cfg.ActivityName, LoggedOut: flexOffline,
	}}
	flex := s.Found
	if flex == nil {
		found, err := s.Flex.FlexConfiguration(ctx)
		if err != nil && !unreadable(err) {
			return j, err
		}
		flex = &found
	}
	if flex.OfflineActivitySID != "" {
		j.Rules.LoggedOut = flex.OfflineActivitySID
	}
	if s.Client != nil {
		plugin := a.Plugin(s)
		j.Loaded = func(ctx context.Context) (bool, error) {
			loaded, err := plugin.Loaded(ctx)
			if unreadable(err) {
				return true, nil
			}
			return loaded, err
		}
	}
	return j, nil
}

// unreadable reports whether an error says that these credentials, or this
// account, will not tell.
func unreadable(err error) bool {
	return problem.Is(err, problem.PermissionDenied) || problem.Is(err, problem.FlexNotFound) || problem.Is(err, problem.NotFound)
}
