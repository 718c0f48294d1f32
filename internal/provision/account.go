package provision

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/twilio"
)

// TokenKeyName is what the token server's API key is called at Twilio.
const TokenKeyName = "flexvc-token-server"

// Setup brings an account to the point where workers can be enabled: an
// activity, an API key, the extension's signing key and the settings that name
// them. Plan only reads; Apply may stop or be killed anywhere, and the next Plan
// and Apply lead to the same end.
type Setup struct {
	Activities ActivityAPI
	Keys       KeyAPI
	Secrets    SecretStore
	Former     SecretStore // where the secret has been so far; nil when in Secrets
	SigningKey SigningKey
	Settings   SettingsStore
	Intents    IntentStore
	Random     io.Reader
}

// SetupSettings are the settings that setup writes, as flexvc.yaml has them. An
// empty field is not set.
type SetupSettings struct {
	AccountSID         string
	WorkspaceSID       string
	ActivityName       string
	ActivitySID        string
	IdentityPrefix     string
	TokenURL           string
	APIKeySID          string
	SecretStore        string
	SigningKey         string
	PluginActivityName string
	PluginTokenURL     string
}

// SecretStore keeps the secret of an API key, which Twilio shows only once.
type SecretStore interface {
	Get(sid string) (string, error) // "" when there is none
	Set(sid, secret string) error
	Delete(sid string) error
	Place() string // for people: "the system keychain"
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
	Stored() SetupSettings
	Save(ctx context.Context, s SetupSettings) error
	Place() string
}

// Intent is what setup is about to do at Twilio. It is written before the API
// key is made, so that a key made by a run that died can be told from all
// others, for ever.
type Intent struct {
	Nonce string `json:"nonce"`
}

// IntentStore keeps the intent across crashes. Save returns when it is durable.
type IntentStore interface {
	Load() (Intent, error) // zero when there is none
	Save(Intent) error
	Clear() error
}

// SetupAction says what Apply does with an item.
type SetupAction string

// The actions.
const (
	SetupAdd    SetupAction = "add"
	SetupChange SetupAction = "change"
	SetupRemove SetupAction = "remove"
	SetupSame   SetupAction = "same"
)

// SetupKind is what an item is.
type SetupKind string

// The kinds, in the order in which they are applied.
const (
	SetupActivity   SetupKind = "activity"
	SetupKey        SetupKind = "api key"
	SetupSigningKey SetupKind = "signing key"
	SetupConfig     SetupKind = "settings"
)

// SetupItem is one line of a plan.
type SetupItem struct {
	Kind   SetupKind
	Action SetupAction
	Name   string
	ID     string // SID or extension ID; empty until it is known
	Detail string // for people; may hold whole SIDs
}

// SetupPlan is what Apply would do.
type SetupPlan struct {
	Workspace twilio.Workspace
	Items     []SetupItem

	want     SetupSettings
	intent   Intent
	step     keyStep
	leftover bool // an intent that has nothing left to do
}

// keyStep is where the token server's key has got to.
type keyStep int

const (
	keyMissing   keyStep = iota // make one
	keyUnnamed                  // made and kept by a run that ended before the settings or the name
	keyElsewhere                // in use, but its secret is in the former store
	keyReady
)

// Count returns how many items have the action.
func (p *SetupPlan) Count(action SetupAction) int {
	n := 0
	for _, item := range p.Items {
		if item.Action == action {
			n++
		}
	}
	return n
}

// Pending reports whether anything would change.
func (p *SetupPlan) Pending() bool { return p.Count(SetupSame) < len(p.Items) }

// Plan compares want with what is there. want's ActivitySID and APIKeySID are
// found, not given.
func (s *Setup) Plan(ctx context.Context, want SetupSettings) (*SetupPlan, error) {
	p := &SetupPlan{want: want}
	var err error
	if p.intent, err = s.Intents.Load(); err != nil {
		return nil, err
	}
	if p.Workspace, err = s.Activities.Workspace(ctx); err != nil {
		return nil, err
	}
	for _, plan := range []func(context.Context, *SetupPlan) error{s.planActivity, s.planKey, s.planSigningKey} {
		if err := plan(ctx, p); err != nil {
			return nil, err
		}
	}
	s.planSettings(p)
	return p, nil
}

func (s *Setup) planActivity(ctx context.Context, p *SetupPlan) error {
	name := p.want.ActivityName
	activities, err := s.Activities.Activities(ctx)
	if err != nil {
		return err
	}
	found, err := findActivity(activities, name, s.Settings.Stored().ActivitySID)
	if err != nil {
		return err
	}
	item := SetupItem{Kind: SetupActivity, Action: SetupAdd, Name: name, Detail: "available: no"}
	if found.SID != "" {
		p.want.ActivitySID = found.SID
		item.Action, item.ID = SetupSame, found.SID
	} else if i := slices.IndexFunc(activities, func(a twilio.Activity) bool { return a.SID == s.Settings.Stored().ActivitySID }); i >= 0 {
		item.Detail += fmt.Sprintf("; the one in use is now called %q", activities[i].FriendlyName)
	}
	p.Items = append(p.Items, item)
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
				"cannot use activity %q: it is available: yes, which Twilio never changes", name).
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
			p := problem.New(problem.ActivityUnusable, "cannot add activity %q: there is %q, which people would take for it", name, a.FriendlyName)
			if a.Available {
				return twilio.Activity{}, p.WithHint("rename that one in the Console, or choose another name: --activity-name NAME")
			}
			return twilio.Activity{}, p.WithHint("use it: --activity-name %q", a.FriendlyName)
		}
	}
	return twilio.Activity{}, nil
}

// planKey lists the keys before anything is written: credentials that may not
// manage keys are found out here.
func (s *Setup) planKey(ctx context.Context, p *SetupPlan) error {
	keys, err := s.Keys.Keys(ctx)
	if problem.Is(err, problem.PermissionDenied) {
		return problem.New(problem.PermissionDenied, "cannot plan the token server's API key: these credentials may not manage the account's keys").
			WithHint("use the account's auth token or a Main API key for init; a Standard key, such as those in twilio CLI profiles, will do for the rest").
			Because(err)
	}
	if err != nil {
		return err
	}
	item := SetupItem{Kind: SetupKey, Action: SetupSame, Name: TokenKeyName, Detail: "secret is in " + s.Secrets.Place()}
	var ours []twilio.Key // of a run that did not get to the end
	for _, k := range keys {
		if p.intent.Nonce != "" && k.FriendlyName == unfinished(p.intent.Nonce) {
			ours = append(ours, k)
		}
	}
	inUse := s.Settings.Stored().APIKeySID
	exists := slices.ContainsFunc(keys, func(k twilio.Key) bool { return k.SID == inUse })
	p.step = keyMissing
	if exists {
		if p.step, err = s.whereSecretIs(inUse); err != nil {
			return err
		}
		p.want.APIKeySID = inUse
	}
	isOurs := func(k twilio.Key) bool { return k.SID == inUse }
	switch {
	case p.step == keyReady && slices.ContainsFunc(ours, isOurs):
		p.step = keyUnnamed
		item.Action, item.Detail = SetupChange, "an earlier run did not finish; it only lacks its name"
	case p.step == keyElsewhere:
		item.Action, item.Detail = SetupChange, fmt.Sprintf("secret moves from %s to %s", s.Former.Place(), s.Secrets.Place())
	case p.step == keyMissing:
		p.want.APIKeySID = ""
		if err := s.adopt(p, ours); err != nil {
			return err
		}
		switch {
		case p.step == keyUnnamed:
			item.Action, item.Detail = SetupChange, "made by an earlier run that did not finish"
		case exists:
			item.Action, item.Detail = SetupAdd, "in place of "+inUse+", whose secret is gone"
		case inUse != "":
			item.Action, item.Detail = SetupAdd, "in place of "+inUse+", which is gone"
		default:
			item.Action, item.Detail = SetupAdd, "secret goes to "+s.Secrets.Place()
		}
	}
	if item.Action == SetupAdd {
		// Find out now whether secrets can be kept, not when there is one.
		if _, err := s.Secrets.Get(TokenKeyName); err != nil {
			return err
		}
	}
	item.ID = p.want.APIKeySID
	for _, k := range ours {
		if k.SID != p.want.APIKeySID {
			p.Items = append(p.Items, SetupItem{SetupKey, SetupRemove, TokenKeyName, k.SID, "left by an earlier run, without its secret"})
		}
	}
	p.Items = append(p.Items, item)
	p.leftover = p.intent.Nonce != "" && (p.step == keyReady || p.step == keyElsewhere)
	return nil
}

// adopt takes over a key of an unfinished run whose secret was kept.
func (s *Setup) adopt(p *SetupPlan, ours []twilio.Key) error {
	for _, k := range ours {
		secret, err := s.Secrets.Get(k.SID)
		if err != nil {
			return err
		}
		if secret != "" {
			p.want.APIKeySID, p.step = k.SID, keyUnnamed
			return nil
		}
	}
	return nil
}

func (s *Setup) whereSecretIs(sid string) (keyStep, error) {
	secret, err := s.Secrets.Get(sid)
	if err != nil {
		return keyMissing, err
	}
	if secret != "" {
		return keyReady, nil
	}
	if s.Former == nil {
		return keyMissing, nil
	}
	// A former store that cannot be read any more, such as the keychain of a
	// desktop that was left for a server, is no reason to stop.
	if secret, err := s.Former.Get(sid); err == nil && secret != "" {
		return keyElsewhere, nil
	}
	return keyMissing, nil
}

func (s *Setup) planSigningKey(_ context.Context, p *SetupPlan) error {
	id, exists, err := s.SigningKey.Prepare()
	if err != nil {
		return err
	}
	item := SetupItem{Kind: SetupSigningKey, Action: SetupAdd, Name: s.SigningKey.Place(), ID: id, Detail: "extension id " + id}
	if exists {
		item.Action = SetupSame
	} else if id == "" {
		item.Detail = "the extension id comes from it"
	}
	p.Items = append(p.Items, item)
	return nil
}

func (s *Setup) planSettings(p *SetupPlan) {
	item := SetupItem{Kind: SetupConfig, Name: s.Settings.Place()}
	switch stored := s.Settings.Stored(); {
	case stored == SetupSettings{}:
		item.Action = SetupAdd
		item.Detail = "workspace, activity name, identity prefix " + p.want.IdentityPrefix
	case stored == p.want && p.want.ActivitySID != "" && p.want.APIKeySID != "":
		item.Action = SetupSame
	default:
		item.Action = SetupChange
		item.Detail = strings.Join(differences(stored, p.want), ", ")
	}
	p.Items = append(p.Items, item)
}

// differences names, for people, the settings that would change.
func differences(old, new SetupSettings) []string {
	var names []string
	for _, f := range []struct{ name, old, new string }{
		{"account", old.AccountSID, new.AccountSID},
		{"workspace", old.WorkspaceSID, new.WorkspaceSID},
		{"activity name", old.ActivityName, new.ActivityName},
		{"activity", old.ActivitySID, new.ActivitySID},
		{"identity prefix", old.IdentityPrefix, new.IdentityPrefix},
		{"token URL", old.TokenURL, new.TokenURL},
		{"api key", old.APIKeySID, new.APIKeySID},
		{"secret store", old.SecretStore, new.SecretStore},
		{"signing key", old.SigningKey, new.SigningKey},
		{"plugin settings", old.PluginActivityName + "\n" + old.PluginTokenURL, new.PluginActivityName + "\n" + new.PluginTokenURL},
	} {
		if f.old != f.new || f.new == "" { // one not known yet is still to be made
			names = append(names, f.name)
		}
	}
	return names
}

// Apply does what the plan says and tells done about each item that was not the
// same, with the error that ended it, if one did.
func (s *Setup) Apply(ctx context.Context, p *SetupPlan, done func(SetupItem, error)) error {
	steps := map[SetupKind]func(context.Context, *SetupPlan, *SetupItem) error{
		SetupActivity:   s.applyActivity,
		SetupKey:        s.applyKey,
		SetupSigningKey: s.applySigningKey,
		SetupConfig:     s.applySettings,
	}
	for _, item := range p.Items {
		if item.Action == SetupSame {
			continue
		}
		err := steps[item.Kind](ctx, p, &item)
		done(item, err)
		if err != nil {
			return err
		}
	}
	if p.leftover {
		return s.Intents.Clear()
	}
	return nil
}

func (s *Setup) applyActivity(ctx context.Context, p *SetupPlan, item *SetupItem) error {
	made, err := s.Activities.CreateActivity(ctx, item.Name, false)
	if err != nil {
		// Someone else may have added it just now, or the answer got lost on
		// the way: it counts what the list says.
		activities, listErr := s.Activities.Activities(ctx)
		if listErr != nil {
			return err
		}
		if made, listErr = findActivity(activities, item.Name, ""); listErr != nil || made.SID == "" {
			return err
		}
	}
	if made.Available {
		return problem.New(problem.TwilioAnswer, "cannot use activity %q (%s): Twilio made it available: yes", item.Name, made.SID)
	}
	item.ID, p.want.ActivitySID = made.SID, made.SID
	return nil
}

// applyKey makes the key in steps of which each leaves enough behind for the
// next run to go on: intent, key, secret, settings, name, end of the intent.
func (s *Setup) applyKey(ctx context.Context, p *SetupPlan, item *SetupItem) error {
	if item.Action == SetupRemove {
		// Nobody has the secret of this key, so nothing can depend on it.
		if err := s.Keys.DeleteKey(ctx, item.ID); err != nil && !problem.Is(err, problem.NotFound) {
			return err
		}
		return s.Secrets.Delete(item.ID)
	}
	switch p.step {
	case keyMissing:
		if err := s.makeKey(ctx, p); err != nil {
			return err
		}
	case keyElsewhere:
		secret, err := s.Former.Get(p.want.APIKeySID)
		if err != nil {
			return err
		}
		if err := s.Secrets.Set(p.want.APIKeySID, secret); err != nil {
			return err
		}
	}
	item.ID = p.want.APIKeySID
	soFar := s.Settings.Stored()
	soFar.AccountSID, soFar.APIKeySID, soFar.SecretStore = p.want.AccountSID, p.want.APIKeySID, p.want.SecretStore
	if err := s.Settings.Save(ctx, soFar); err != nil {
		return err
	}
	if p.step == keyElsewhere {
		// The copy in the new store is the one in use; one that cannot be
		// deleted from the old is no reason to stop.
		_ = s.Former.Delete(p.want.APIKeySID)
		return nil
	}
	if err := s.Keys.RenameKey(ctx, p.want.APIKeySID, TokenKeyName); err != nil {
		return err
	}
	return s.Intents.Clear()
}

func (s *Setup) makeKey(ctx context.Context, p *SetupPlan) error {
	if p.intent.Nonce == "" {
		nonce := make([]byte, 8)
		if _, err := io.ReadFull(s.Random, nonce); err != nil {
			return problem.New(problem.Internal, "cannot read randomness: %w", err)
		}
		p.intent.Nonce = hex.EncodeToString(nonce)
	}
	if err := s.Intents.Save(p.intent); err != nil {
		return err
	}
	key, secret, err := s.Keys.CreateKey(ctx, unfinished(p.intent.Nonce))
	if err != nil {
		return err
	}
	// From here to the store the secret exists in this process only, so an
	// interrupt has to wait.
	if err := s.Secrets.Set(key.SID, secret); err != nil {
		if s.Keys.DeleteKey(context.WithoutCancel(ctx), key.SID) == nil {
			// If one of these fails, the next run tidies up.
			_ = s.Secrets.Delete(key.SID)
			_ = s.Intents.Clear()
		}
		return err
	}
	p.want.APIKeySID = key.SID
	return nil
}

func unfinished(nonce string) string { return fmt.Sprintf("%s (setup %s)", TokenKeyName, nonce) }

func (s *Setup) applySigningKey(_ context.Context, _ *SetupPlan, item *SetupItem) error {
	id, err := s.SigningKey.Write()
	item.ID = id
	return err
}

func (s *Setup) applySettings(ctx context.Context, p *SetupPlan, _ *SetupItem) error {
	return s.Settings.Save(ctx, p.want)
}
