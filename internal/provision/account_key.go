package provision

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"slices"

	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/twilio"
)

// TokenKeyName is what the token server's API key is called at Twilio.
const TokenKeyName = "flexvc-token-server"

// KeyAPI manages the account's API keys. Credentials that may not do so are
// PermissionDenied.
type KeyAPI interface {
	Keys(ctx context.Context) ([]twilio.Key, error)
	// CreateKey returns the new key and its secret, which Twilio shows once.
	CreateKey(ctx context.Context, name string) (twilio.Key, string, error)
	RenameKey(ctx context.Context, sid, name string) error
	DeleteKey(ctx context.Context, sid string) error
}

// SecretStore keeps the secret of an API key, which Twilio shows only once.
type SecretStore interface {
	Get(sid string) (string, error) // "" when there is none
	Set(sid, secret string) error
	Delete(sid string) error
	Place() string // for people: "the system keychain"
}

// Intent is what init is about to do at Twilio. It is written before the activity
// and the API key are made, so that what a run made that died can be told from
// all others.
type Intent struct {
	Activity string `json:"activity,omitempty"` // its name
	Nonce    string `json:"nonce,omitempty"`    // of the key
}

// IntentStore keeps the intent across crashes. Save returns when it is durable.
type IntentStore interface {
	Load() (Intent, error) // zero when there is none
	Save(Intent) error
	Clear() error
}

// keyStep is where the token server's key has got to.
type keyStep int

const (
	keyMissing   keyStep = iota // make one
	keyUnnamed                  // made and kept by a run that ended before the settings or the name
	keyElsewhere                // in use, but its secret is in the former store
	keyReady
)

// planKey lists the keys before anything is written: credentials that may not
// manage keys are found out here.
func (a *Account) planKey(ctx context.Context, p *AccountPlan) error {
	keys, err := a.Keys.Keys(ctx)
	if problem.Is(err, problem.PermissionDenied) {
		return problem.New(problem.PermissionDenied, "cannot plan the token server's API key: these credentials may not manage the account's keys").
			WithHint("run init with the account's auth token or a Main API key; a Standard key, such as those in twilio CLI profiles, is enough for everything else").
			Because(err)
	}
	if err != nil {
		return err
	}
	item := Item{Kind: KindKey, Action: Same, Name: TokenKeyName, Detail: "secret is in " + a.Secrets.Place()}
	var ours []twilio.Key // of a run that did not get to the end
	for _, k := range keys {
		if p.intent.Nonce != "" && k.FriendlyName == unfinished(p.intent.Nonce) {
			ours = append(ours, k)
		}
	}
	inUse := a.Settings.Stored().APIKeySID
	if err := a.elsewhere(p, keys, inUse); err != nil {
		return err
	}
	exists := slices.ContainsFunc(keys, func(k twilio.Key) bool { return k.SID == inUse })
	p.key = keyMissing
	if exists {
		if p.key, err = a.whereSecretIs(inUse); err != nil {
			return err
		}
		p.want.APIKeySID = inUse
	}
	isOurs := func(k twilio.Key) bool { return k.SID == inUse }
	switch {
	case p.key == keyReady && slices.ContainsFunc(ours, isOurs):
		p.key = keyUnnamed
		item.Action, item.Detail = Change, "left unnamed by an interrupted run"
	case p.key == keyElsewhere:
		item.Action, item.Detail = Change, fmt.Sprintf("secret moves from %s to %s", a.Former.Place(), a.Secrets.Place())
	case p.key == keyMissing:
		p.want.APIKeySID = ""
		if err := a.adopt(p, ours); err != nil {
			return err
		}
		switch {
		case p.key == keyUnnamed:
			item.Action, item.Detail = Change, "created by an interrupted run"
		case exists && !a.NewKey:
			return problem.New(problem.SecretMissing, "the secret of the token server's key %s is not in %s", inUse, a.Secrets.Place()).
				WithHint("only flexvc serve needs it: bring it from the machine that has it, flexvc config export --sealed there, flexvc config import here; or replace the key: flexvc init --new-api-key")
		case exists:
			item.Action, item.Detail = Add, "replaces "+inUse+", whose secret is lost"
		case inUse != "":
			item.Action, item.Detail = Add, "replaces "+inUse+", which no longer exists"
		default:
			item.Action, item.Detail = Add, "secret goes to "+a.Secrets.Place()
		}
	}
	if item.Action == Add {
		// Find out now whether secrets can be kept, not when there is one.
		if _, err := a.Secrets.Get(TokenKeyName); err != nil {
			return err
		}
	}
	item.ID = p.want.APIKeySID
	for _, k := range ours {
		if k.SID != p.want.APIKeySID {
			p.add(Item{KindKey, Remove, TokenKeyName, k.SID, "left by an interrupted run, its secret is lost"}, func(ctx context.Context) (string, error) {
				return k.SID, a.removeKey(ctx, k.SID)
			})
		}
	}
	p.add(item, func(ctx context.Context) (string, error) {
		err := a.applyKey(ctx, p)
		return p.want.APIKeySID, err
	})
	if p.key == keyReady || p.key == keyElsewhere {
		p.finish = func(context.Context) error { // the intent has nothing left to do
			if p.intent == (Intent{}) {
				return nil
			}
			return a.Intents.Clear()
		}
	}
	return nil
}

// elsewhere refuses to set up an account that another machine has set up: what
// is missing here is not missing there.
func (a *Account) elsewhere(p *AccountPlan, keys []twilio.Key, inUse string) error {
	if inUse != "" || p.intent.Nonce != "" || a.NewExtension || a.NewKey {
		return nil
	}
	for _, k := range keys {
		if k.FriendlyName != TokenKeyName || slices.Contains(a.Profiles, k.SID) {
			continue
		}
		when := ""
		if !k.Created.IsZero() {
			when = " on " + k.Created.UTC().Format("2006-01-02")
		}
		return problem.New(problem.SetUpElsewhere, "the account was set up on another machine%s: the token server's key is %s", when, k.SID).
			WithHint("bring its two files, %s and %s: flexvc config export --sealed there, flexvc config import here; or set up a second extension: flexvc init --new-extension-id",
				a.Settings.Place(), path.Base(filepath.ToSlash(a.SigningKey.Place())))
	}
	return nil
}

// adopt takes over a key of an unfinished run whose secret was kept.
func (a *Account) adopt(p *AccountPlan, ours []twilio.Key) error {
	for _, k := range ours {
		secret, err := a.Secrets.Get(k.SID)
		if err != nil {
			return err
		}
		if secret != "" {
			p.want.APIKeySID, p.key = k.SID, keyUnnamed
			return nil
		}
	}
	return nil
}

func (a *Account) whereSecretIs(sid string) (keyStep, error) {
	secret, err := a.Secrets.Get(sid)
	if err != nil {
		return keyMissing, err
	}
	if secret != "" {
		return keyReady, nil
	}
	if a.Former == nil {
		return keyMissing, nil
	}
	// A former store that cannot be read any more, such as the keychain of a
	// desktop that was left for a server, is no reason to stop.
	if secret, err := a.Former.Get(sid); err == nil && secret != "" {
		return keyElsewhere, nil
	}
	return keyMissing, nil
}

// applyKey makes the key in steps of which each leaves enough behind for the
// next run to go on: intent, key, secret, settings, name, end of the intent.
func (a *Account) applyKey(ctx context.Context, p *AccountPlan) error {
	switch p.key {
	case keyMissing:
		if err := a.makeKey(ctx, p); err != nil {
			return err
		}
	case keyElsewhere:
		secret, err := a.Former.Get(p.want.APIKeySID)
		if err != nil {
			return err
		}
		if err := a.Secrets.Set(p.want.APIKeySID, secret); err != nil {
			return err
		}
	}
	soFar := a.Settings.Stored()
	soFar.AccountSID, soFar.APIKeySID, soFar.SecretStore = p.want.AccountSID, p.want.APIKeySID, p.want.SecretStore
	soFar.CreatedActivitySID = p.want.CreatedActivitySID
	if err := a.Settings.Save(ctx, soFar); err != nil {
		return err
	}
	if p.key == keyElsewhere {
		// The copy in the new store is the one in use; one that cannot be
		// deleted from the old is no reason to stop.
		_ = a.Former.Delete(p.want.APIKeySID)
		return nil
	}
	if err := a.Keys.RenameKey(ctx, p.want.APIKeySID, TokenKeyName); err != nil {
		return err
	}
	return a.Intents.Clear()
}

func (a *Account) makeKey(ctx context.Context, p *AccountPlan) error {
	if p.intent.Nonce == "" {
		nonce := make([]byte, 8)
		if _, err := io.ReadFull(a.Random, nonce); err != nil {
			return problem.New(problem.Internal, "cannot read randomness: %w", err)
		}
		p.intent.Nonce = hex.EncodeToString(nonce)
	}
	if err := a.Intents.Save(p.intent); err != nil {
		return err
	}
	key, secret, err := a.Keys.CreateKey(ctx, unfinished(p.intent.Nonce))
	if err != nil {
		return err
	}
	// From here to the store the secret exists in this process only, so an
	// interrupt has to wait.
	if err := a.Secrets.Set(key.SID, secret); err != nil {
		if a.Keys.DeleteKey(context.WithoutCancel(ctx), key.SID) == nil {
			// If one of these fails, the next run tidies up.
			_ = a.Secrets.Delete(key.SID)
			_ = a.forgetKey(p)
		}
		return err
	}
	p.want.APIKeySID = key.SID
	return nil
}

// forgetKey takes the key out of the intent; the activity is not in the settings
// yet.
func (a *Account) forgetKey(p *AccountPlan) error {
	if p.intent.Activity == "" {
		return a.Intents.Clear()
	}
	return a.Intents.Save(Intent{Activity: p.intent.Activity})
}

func unfinished(nonce string) string { return fmt.Sprintf("%s (setup %s)", TokenKeyName, nonce) }

// removeKey deletes a key whose secret nobody has, so that nothing can depend
// on it.
func (a *Account) removeKey(ctx context.Context, sid string) error {
	if err := gone(a.Keys.DeleteKey(ctx, sid)); err != nil {
		return err
	}
	return a.Secrets.Delete(sid)
}
