package provision

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/twilio"
)

// Account brings an account to the point where workers can be enabled: an
// activity, an API key, the extension's signing key and the settings that name
// them.
type Account struct {
	Activities ActivityAPI
	Keys       KeyAPI
	Secrets    SecretStore
	Former     SecretStore // where the secret has been so far; nil when in Secrets
	SigningKey SigningKey
	Settings   SettingsStore
	Intents    IntentStore
	Random     io.Reader

	// NewExtension allows another extension ID than the one the account's browsers
	// know, and NewKey another API key in place of one whose secret is elsewhere.
	// Without them nothing makes a second identity.
	NewExtension, NewKey bool
	// Profiles are the API keys of all profiles on this machine.
	Profiles []string
}

// Settings are what init writes of a profile, as flexvc.yaml has them. An
// empty field is not set.
type Settings struct {
	AccountSID         string
	WorkspaceSID       string
	ActivityName       string
	ActivitySID        string
	IdentityPrefix     string
	TokenURL           string
	APIKeySID          string
	SecretStore        string
	SigningKey         string
	ExtensionID        string
	PluginActivityName string
	PluginTokenURL     string
	CreatedActivitySID string // the activity, when init has created it: teardown removes no other
}

// ActivityAPI reads and adds activities of one workspace.
type ActivityAPI interface {
	Workspace(ctx context.Context) (twilio.Workspace, error)
	Activities(ctx context.Context) ([]twilio.Activity, error)
	CreateActivity(ctx context.Context, name string, available bool) (twilio.Activity, error)
}

// SigningKey is the key that makes the extension's ID.
type SigningKey interface {
	// Prepare returns the ID of the key that exists, or else of one that is
	// ready to be written. The ID may be empty when the key does not exist.
	Prepare() (id string, exists bool, err error)
	// Write writes the prepared key and never replaces one. The ID is final.
	Write() (id string, err error)
	Place() string
}

// SettingsStore is the profile of the settings file.
type SettingsStore interface {
	Stored() Settings
	Save(ctx context.Context, s Settings) error
	Place() string
}

// The kinds, in the order in which they are applied.
const (
	KindActivity   Kind = "activity"
	KindKey        Kind = "api key"
	KindSigningKey Kind = "signing key"
	KindSettings   Kind = "settings"
)

// AccountPlan is the way to an account that is ready.
type AccountPlan struct {
	Plan
	Workspace twilio.Workspace

	tokenURL string // as it was

	want   Settings // with the SIDs that are known so far
	intent Intent
	key    keyStep
}

// Plan compares want with what is there. want's ActivitySID and APIKeySID are
// found, not given.
func (a *Account) Plan(ctx context.Context, want Settings) (*AccountPlan, error) {
	p := &AccountPlan{want: want, tokenURL: a.Settings.Stored().TokenURL}
	var err error
	if p.intent, err = a.Intents.Load(); err != nil {
		return nil, err
	}
	if p.Workspace, err = a.Activities.Workspace(ctx); err != nil {
		return nil, err
	}
	for _, plan := range []func(context.Context, *AccountPlan) error{a.planActivity, a.planKey, a.planSigningKey} {
		if err := plan(ctx, p); err != nil {
			return nil, err
		}
	}
	a.planSettings(p)
	return p, nil
}

func (a *Account) planActivity(ctx context.Context, p *AccountPlan) error {
	name := p.want.ActivityName
	activities, err := a.Activities.Activities(ctx)
	if err != nil {
		return err
	}
	found, err := findActivity(activities, name, a.Settings.Stored().ActivitySID)
	if err != nil {
		return err
	}
	item := Item{Kind: KindActivity, Action: Add, Name: name, Detail: "available: no"}
	if found.SID != "" {
		p.want.ActivitySID = found.SID
		if p.intent.Activity == name || a.Settings.Stored().CreatedActivitySID == found.SID {
			p.want.CreatedActivitySID = found.SID
		}
		item.Action, item.ID = Same, found.SID
	} else if i := slices.IndexFunc(activities, func(one twilio.Activity) bool { return one.SID == a.Settings.Stored().ActivitySID }); i >= 0 {
		item.Detail += fmt.Sprintf("; the one in use was renamed to %q", activities[i].FriendlyName)
	}
	p.add(item, bind(a.applyActivity, p))
	return nil
}

// findActivity returns the activity of exactly that name, preferring the SID
// known from before, or none. Agents and the plugin tell activities apart by
// name, so one that nearly has the name is refused as well.
func findActivity(activities []twilio.Activity, name, sid string) (twilio.Activity, error) {
	var found twilio.Activity
	for _, a := range activities {
		switch {
		case a.FriendlyName == name && a.Available:
			return twilio.Activity{}, problem.New(problem.ActivityUnusable,
				"cannot use activity %q: it is available: yes, which cannot be changed", name).
				WithHint("rename it in the Console, or choose another name: --activity-name NAME")
		case a.FriendlyName == name && (found.SID == "" || a.SID == sid):
			found = a
		}
	}
	if found.SID != "" {
		return found, nil
	}
	folded := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	for _, a := range activities {
		if strings.EqualFold(folded(a.FriendlyName), folded(name)) {
			p := problem.New(problem.ActivityUnusable, "cannot add activity %q: it would be confused with the existing %q", name, a.FriendlyName)
			if a.Available {
				return twilio.Activity{}, p.WithHint("rename it in the Console, or choose another name: --activity-name NAME")
			}
			return twilio.Activity{}, p.WithHint("use it: --activity-name %q", a.FriendlyName)
		}
	}
	return twilio.Activity{}, nil
}

func (a *Account) applyActivity(ctx context.Context, p *AccountPlan) (string, error) {
	name := p.want.ActivityName
	p.intent.Activity = name
	if err := a.Intents.Save(p.intent); err != nil {
		return "", err
	}
	made, err := a.Activities.CreateActivity(ctx, name, false)
	if err != nil {
		// Someone else may have added it just now, or the answer got lost on
		// the way: it counts what the list says.
		activities, listErr := a.Activities.Activities(ctx)
		if listErr != nil {
			return "", err
		}
		if made, listErr = findActivity(activities, name, ""); listErr != nil || made.SID == "" {
			return "", err
		}
	}
	if made.Available {
		return "", problem.New(problem.TwilioAnswer, "cannot use activity %q (%s): Twilio created it as available: yes", name, made.SID)
	}
	p.want.ActivitySID, p.want.CreatedActivitySID = made.SID, made.SID
	return made.SID, nil
}

// planSigningKey never lets a key take the place of one that is only missing
// here: with another key it is another extension, which no policy installs and
// no token server allows.
func (a *Account) planSigningKey(_ context.Context, p *AccountPlan) error {
	id, exists, err := a.SigningKey.Prepare()
	if err != nil {
		return err
	}
	stored, where := a.Settings.Stored(), a.SigningKey.Place()
	const bring = "copy it from the machine that ran flexvc init, or bring it with flexvc config export --sealed there and flexvc config import here; another extension: --new-extension-id"
	switch {
	case a.NewExtension:
	case !exists && stored.ExtensionID != "":
		return problem.New(problem.SigningKeyInvalid, "the signing key of extension %s is lost: %s does not exist", stored.ExtensionID, where).WithHint(bring)
	case !exists && stored.ActivitySID != "": // written by a flexvc that kept no extension ID
		return problem.New(problem.SigningKeyInvalid, "the extension's signing key is lost: %s does not exist", where).WithHint(bring)
	case exists && stored.ExtensionID != "" && stored.ExtensionID != id:
		return problem.New(problem.SigningKeyInvalid, "%s is the key of extension %s, but the settings say %s", where, id, stored.ExtensionID).WithHint(bring)
	}
	p.want.ExtensionID = id
	item := Item{Kind: KindSigningKey, Action: Add, Name: a.SigningKey.Place(), ID: id, Detail: "extension id " + id}
	if exists {
		item.Action = Same
	} else if id == "" {
		item.Detail = "determines the extension id"
	}
	p.add(item, func(context.Context) (string, error) {
		id, err := a.SigningKey.Write()
		if err == nil {
			p.want.ExtensionID = id
		}
		return id, err
	})
	return nil
}

func (a *Account) planSettings(p *AccountPlan) {
	item := Item{Kind: KindSettings, Name: a.Settings.Place()}
	switch stored := a.Settings.Stored(); {
	case stored == Settings{}:
		item.Action = Add
		item.Detail = "workspace, activity name, identity prefix " + p.want.IdentityPrefix
	case stored == p.want && p.want.ActivitySID != "" && p.want.APIKeySID != "" && p.want.ExtensionID != "":
		item.Action = Same
	default:
		item.Action = Change
		item.Detail = strings.Join(differences(stored, p.want), ", ")
	}
	p.add(item, func(ctx context.Context) (string, error) { return "", a.Settings.Save(ctx, p.want) })
}

// TokenURLChanged reports whether the plan moves the token endpoint, which plugin,
// policies and server have to follow.
func (p *AccountPlan) TokenURLChanged() bool {
	return p.tokenURL != "" && p.tokenURL != p.want.TokenURL
}

// moved shows a setting's old value and its new one.
func moved(name, old, new string) string {
	if old == "" {
		return name
	}
	return fmt.Sprintf("%s %s -> %s", name, old, new)
}

// differences names, for people, the settings that would change.
func differences(old, new Settings) []string {
	var names []string
	for _, f := range []struct{ name, old, new string }{
		{"account", old.AccountSID, new.AccountSID},
		{"workspace", old.WorkspaceSID, new.WorkspaceSID},
		{"activity name", old.ActivityName, new.ActivityName},
		{"activity", old.ActivitySID, new.ActivitySID},
		{"identity prefix", old.IdentityPrefix, new.IdentityPrefix},
		{moved("token URL", old.TokenURL, new.TokenURL), old.TokenURL, new.TokenURL},
		{"api key", old.APIKeySID, new.APIKeySID},
		{"secret store", old.SecretStore, new.SecretStore},
		{"signing key", old.SigningKey, new.SigningKey},
		{"extension id", old.ExtensionID, new.ExtensionID},
		{"plugin settings", old.PluginActivityName + "\n" + old.PluginTokenURL, new.PluginActivityName + "\n" + new.PluginTokenURL},
	} {
		if f.old != f.new || f.new == "" { // one not known yet is still to be made
			names = append(names, f.name)
		}
	}
	return names
}
