package provision

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/twilio"
)

// accountWorld is an account and a machine in memory. Every call to it may be the one
// at which the process dies or the call fails.
type accountWorld struct {
	activities []twilio.Activity
	keys       []twilio.Key
	secrets    map[string]string
	settings   Settings
	intent     Intent
	signingKey string

	made   int // objects made so far, for SIDs
	drafts int // signing keys generated so far

	calls  int
	failAt int
	how    failure
	broken map[string]error // by call: fails always

	newKey, newExtension bool // allowed

	former map[string]string // secrets in the former store; nil: there is none
}

type failure int

const (
	dieBefore  failure = iota // the process ends, the call had no effect
	dieAfter                  // the process ends, the call had its effect
	failBefore                // the call fails, without effect
	failAfter                 // the call fails, but had its effect
)

var failures = map[failure]string{dieBefore: "die before", dieAfter: "die after", failBefore: "fail before", failAfter: "fail after"}

type died struct{}

func (w *accountWorld) call(name string, effect func()) error {
	if err := w.broken[name]; err != nil {
		return err
	}
	w.calls++
	if w.calls != w.failAt {
		effect()
		return nil
	}
	if w.how == dieAfter || w.how == failAfter {
		effect()
	}
	if w.how == dieBefore || w.how == dieAfter {
		panic(died{})
	}
	return problem.New(problem.TwilioUnavailable, "call %d (%s) fails", w.calls, name)
}

func (w *accountWorld) sid(kind string) string {
	w.made++
	return fmt.Sprintf("%s%032x", kind, w.made)
}

// One type per interface: their method names overlap.
type (
	accountTwilio     struct{ *accountWorld }
	accountSecrets    struct{ *accountWorld }
	accountFormer     struct{ *accountWorld }
	accountSigningKey struct {
		*accountWorld
		draft string
	}
	accountSettings struct{ *accountWorld }
	accountIntents  struct{ *accountWorld }
)

func (w accountTwilio) Workspace(context.Context) (ws twilio.Workspace, err error) {
	err = w.call("Workspace", func() {
		ws = twilio.Workspace{SID: "WS" + strings.Repeat("0", 32), FriendlyName: "Flex Task Assignment"}
	})
	return
}

func (w accountTwilio) Activities(context.Context) (list []twilio.Activity, err error) {
	err = w.call("Activities", func() { list = slices.Clone(w.activities) })
	return
}

func (w accountTwilio) CreateActivity(_ context.Context, name string, available bool) (made twilio.Activity, err error) {
	for _, a := range w.activities {
		if a.FriendlyName == name {
			return twilio.Activity{}, problem.New(problem.RequestRefused, "there is one of that name")
		}
	}
	err = w.call("CreateActivity", func() {
		w.activities = append(w.activities, twilio.Activity{SID: w.sid("WA"), FriendlyName: name, Available: available})
		made = w.activities[len(w.activities)-1]
	})
	if err != nil {
		made = twilio.Activity{}
	}
	return
}

func (w accountTwilio) Keys(context.Context) (list []twilio.Key, err error) {
	err = w.call("Keys", func() { list = slices.Clone(w.keys) })
	return
}

func (w accountTwilio) CreateKey(_ context.Context, name string) (twilio.Key, string, error) {
	var made twilio.Key
	if err := w.call("CreateKey", func() {
		made = twilio.Key{SID: w.sid("SK"), FriendlyName: name}
		w.keys = append(w.keys, made)
	}); err != nil {
		return twilio.Key{}, "", err
	}
	return made, "secret of " + made.SID, nil
}

func (w accountTwilio) RenameKey(_ context.Context, sid, name string) error {
	return w.call("RenameKey", func() {
		i := slices.IndexFunc(w.keys, func(k twilio.Key) bool { return k.SID == sid })
		w.keys[i].FriendlyName = name
	})
}

func (w accountTwilio) DeleteKey(_ context.Context, sid string) error {
	return w.call("DeleteKey", func() {
		w.keys = slices.DeleteFunc(w.keys, func(k twilio.Key) bool { return k.SID == sid })
	})
}

func (w accountSecrets) Get(sid string) (secret string, err error) {
	err = w.call("Secrets.Get", func() { secret = w.secrets[sid] })
	return
}

func (w accountSecrets) Set(sid, secret string) error {
	return w.call("Secrets.Set", func() { w.secrets[sid] = secret })
}

func (w accountSecrets) Delete(sid string) error {
	return w.call("Secrets.Delete", func() { delete(w.secrets, sid) })
}

func (w accountSecrets) Place() string { return "the system keychain" }

func (w accountFormer) Get(sid string) (secret string, err error) {
	err = w.call("Former.Get", func() { secret = w.former[sid] })
	return
}
func (w accountFormer) Set(string, string) error { return errors.New("the former store is written") }
func (w accountFormer) Delete(sid string) error {
	return w.call("Former.Delete", func() { delete(w.former, sid) })
}
func (w accountFormer) Place() string { return "~/old" }

func (w *accountSigningKey) Prepare() (id string, exists bool, err error) {
	err = w.call("SigningKey.Prepare", func() {
		if id, exists = w.signingKey, w.signingKey != ""; !exists {
			w.drafts++
			w.draft = fmt.Sprintf("draft%d", w.drafts)
			id = w.draft
		}
	})
	return
}

func (w *accountSigningKey) Write() (string, error) {
	if w.signingKey != "" {
		return "", errors.New("the signing key is replaced")
	}
	return w.draft, w.call("SigningKey.Write", func() { w.signingKey = w.draft })
}

func (w *accountSigningKey) Place() string { return "~/.config/flexvc/extension.pem" }

func (w accountSettings) Stored() Settings { return w.settings }
func (w accountSettings) Place() string    { return "flexvc.yaml" }
func (w accountSettings) Save(_ context.Context, s Settings) error {
	return w.call("Settings.Save", func() { w.settings = s })
}

func (w accountIntents) Load() (i Intent, err error) {
	err = w.call("Intents.Load", func() { i = w.intent })
	return
}
func (w accountIntents) Save(i Intent) error {
	return w.call("Intents.Save", func() { w.intent = i })
}
func (w accountIntents) Clear() error { return w.call("Intents.Clear", func() { w.intent = Intent{} }) }

func (w *accountWorld) account() *Account {
	s := &Account{
		Activities: accountTwilio{w}, Keys: accountTwilio{w}, Secrets: accountSecrets{w},
		SigningKey: &accountSigningKey{accountWorld: w}, Settings: accountSettings{w}, Intents: accountIntents{w},
		Random:   strings.NewReader("eight by"),
		Profiles: []string{foreignKeys[0].SID}, // another profile's
		NewKey:   w.newKey, NewExtension: w.newExtension,
	}
	if w.former != nil {
		s.Former = accountFormer{w}
	}
	return s
}

var accountSID = "AC" + strings.Repeat("0", 32)

func wantedAccount() Settings {
	return Settings{
		AccountSID: accountSID, WorkspaceSID: "WS" + strings.Repeat("0", 32), ActivityName: "Voice Client Offline",
		IdentityPrefix: "ext_", TokenURL: "http://localhost:3001/generateToken", SecretStore: "keychain", SigningKey: "extension.pem",
		PluginActivityName: "Voice Client Offline", PluginTokenURL: "http://localhost:3001/generateToken",
	}
}

// foreignKeys have our names, but are not ours.
var foreignKeys = []twilio.Key{
	{SID: "SK" + strings.Repeat("f", 32), FriendlyName: TokenKeyName},
	{SID: "SK" + strings.Repeat("e", 32), FriendlyName: unfinished("0123456789abcdef")},
}

func newAccountWorld() *accountWorld {
	return &accountWorld{
		activities: []twilio.Activity{{SID: "WA" + strings.Repeat("f", 32), FriendlyName: "Offline", Available: false}, {SID: "WA" + strings.Repeat("e", 32), FriendlyName: "Available", Available: true}},
		keys:       slices.Clone(foreignKeys),
		secrets:    map[string]string{},
	}
}

// run plans and applies once, with the given failure; it reports whether the
// run was undisturbed.
func (w *accountWorld) run(t *testing.T, failAt int, how failure) (plan *AccountPlan, undisturbed bool) {
	t.Helper()
	w.calls, w.failAt, w.how = 0, failAt, how
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(died); !ok {
				panic(r)
			}
			undisturbed = false
		}
	}()
	s := w.account()
	plan, err := s.Plan(t.Context(), wantedAccount())
	if err == nil {
		err = plan.Apply(t.Context(), func(Item, error) {})
	}
	if err != nil && (failAt == 0 || problem.As(err) == nil) {
		t.Fatalf("run: %v", err)
	}
	return plan, err == nil && w.calls < failAt || failAt == 0
}

// end describes the state, with what is bound to differ between two ways to it
// replaced: SIDs and the extension's ID.
func (w *accountWorld) end(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	mine := 0
	for _, k := range w.keys {
		if slices.Contains(foreignKeys, k) {
			fmt.Fprintf(&b, "foreign key %s\n", k.FriendlyName)
			continue
		}
		mine++
		fmt.Fprintf(&b, "key %s, in use: %v, secret kept: %v\n", k.FriendlyName, k.SID == w.settings.APIKeySID, w.secrets[k.SID] == "secret of "+k.SID)
	}
	for _, a := range w.activities {
		fmt.Fprintf(&b, "activity %s %v, in use: %v\n", a.FriendlyName, a.Available, a.SID == w.settings.ActivitySID && a.SID == w.settings.CreatedActivitySID)
	}
	settings := w.settings
	settings.APIKeySID, settings.ActivitySID, settings.CreatedActivitySID = "SK", "WA", "WA"
	if settings.ExtensionID == w.signingKey {
		settings.ExtensionID = "the key's"
	}
	fmt.Fprintf(&b, "%d secrets\nintent %+v\nsigning key %v\nsettings %+v\n", len(w.secrets), w.intent, w.signingKey != "", settings)
	return b.String()
}

func undisturbedAccount(t *testing.T) (end string, calls int) {
	t.Helper()
	w := newAccountWorld()
	w.run(t, 0, 0)
	return w.end(t), w.calls
}

func TestAccountFromNothing(t *testing.T) {
	end, _ := undisturbedAccount(t)
	want := `foreign key flexvc-token-server
foreign key flexvc-token-server (setup 0123456789abcdef)
key flexvc-token-server, in use: true, secret kept: true
activity Offline false, in use: false
activity Available true, in use: false
activity Voice Client Offline false, in use: true
1 secrets
intent {Activity: Nonce:}
signing key true
settings ` + fmt.Sprintf("%+v\n", Settings{
		AccountSID: accountSID, WorkspaceSID: "WS" + strings.Repeat("0", 32), ActivityName: "Voice Client Offline", ActivitySID: "WA", CreatedActivitySID: "WA",
		IdentityPrefix: "ext_", TokenURL: "http://localhost:3001/generateToken", APIKeySID: "SK", SecretStore: "keychain", SigningKey: "extension.pem", ExtensionID: "the key's",
		PluginActivityName: "Voice Client Offline", PluginTokenURL: "http://localhost:3001/generateToken",
	})
	if diff := cmp.Diff(want, end); diff != "" {
		t.Errorf("end state (-want +got):\n%s", diff)
	}
}

// Two runs end at every call in every way, then one is left alone: the end is
// always that of a run nothing happened to, and there is nothing left to do.
func TestAccountSurvivesEveryCrash(t *testing.T) {
	wantEnd, calls := undisturbedAccount(t)
	runs := 0
	for how, name := range failures {
		for how2, name2 := range failures {
			for first := 1; first <= calls; first++ {
				for second := 1; ; second++ {
					w := newAccountWorld()
					w.run(t, first, how)
					signingKey := w.signingKey
					_, done := w.run(t, second, how2)
					w.run(t, 0, 0)
					runs++
					where := fmt.Sprintf("%s at call %d, then %s at call %d", name, first, name2, second)
					if diff := cmp.Diff(wantEnd, w.end(t)); diff != "" {
						t.Fatalf("%s (-want +got):\n%s", where, diff)
					}
					if signingKey != "" && w.signingKey != signingKey {
						t.Fatalf("%s: the signing key changed", where)
					}
					if p, _ := w.run(t, 0, 0); p.Pending() {
						t.Fatalf("%s: still to do: %+v", where, p.Items)
					}
					if done { // the second run did not get as far as its failure
						break
					}
				}
			}
		}
	}
	if runs < calls*calls {
		t.Errorf("only %d runs for %d calls", runs, calls)
	}
}

func TestRerunChangesNothing(t *testing.T) {
	w := newAccountWorld()
	w.run(t, 0, 0)
	before := *w
	before.activities, before.keys, before.secrets = slices.Clone(w.activities), slices.Clone(w.keys), maps.Clone(w.secrets)
	w.broken = map[string]error{}
	for _, call := range []string{"CreateActivity", "CreateKey", "RenameKey", "DeleteKey", "Secrets.Set", "Secrets.Delete", "SigningKey.Write", "Settings.Save", "Intents.Save", "Intents.Clear"} {
		w.broken[call] = errors.New("a rerun calls " + call)
	}
	plan, _ := w.run(t, 0, 0)
	if plan.Pending() || plan.Count(Same) != 4 {
		t.Errorf("plan is %+v", plan.Items)
	}
	if w.end(t) != before.end(t) {
		t.Errorf("end is %s", w.end(t))
	}
}

// TestInitMadeASecondIdentity: a lost signing key, and the machine of a second
// administrator, each got another extension, which no policy installs and no token
// server allows.
func TestInitMadeASecondIdentity(t *testing.T) {
	refused := func(w *accountWorld, code problem.Code, hint string) {
		t.Helper()
		before := w.end(t)
		_, err := w.account().Plan(t.Context(), wantedAccount())
		if !problem.Is(err, code) || !strings.Contains(problem.As(err).Hint, hint) {
			t.Errorf("init says %v, want %s with %q", err, code, hint)
		}
		if w.end(t) != before {
			t.Error("something was made")
		}
	}
	ready := func() *accountWorld { w := newAccountWorld(); w.run(t, 0, 0); return w }

	w := ready()
	id := w.settings.ExtensionID
	if id == "" || id != w.signingKey {
		t.Fatalf("the settings have the extension %q, the key makes %q", id, w.signingKey)
	}
	w.signingKey = ""
	refused(w, problem.SigningKeyInvalid, "--new-extension-id")
	w.settings.ExtensionID = "" // of a flexvc that did not keep it
	refused(w, problem.SigningKeyInvalid, "flexvc config import")
	w.settings.ExtensionID = id
	w.newExtension = true
	w.run(t, 0, 0)
	if w.settings.ExtensionID == id || w.settings.ExtensionID != w.signingKey {
		t.Errorf("after --new-extension-id the settings have %q, the key makes %q", w.settings.ExtensionID, w.signingKey)
	}

	w = ready()
	w.signingKey = "another"
	refused(w, problem.SigningKeyInvalid, "--new-extension-id")

	first := ready()
	second := newAccountWorld() // the other machine: the account, and nothing here
	second.activities, second.keys = first.activities, first.keys
	refused(second, problem.SetUpElsewhere, "bring its two files, flexvc.yaml and extension.pem")
	second.settings, second.signingKey = first.settings, first.signingKey
	refused(second, problem.SecretMissing, "flexvc config export --sealed there")
	second.secrets = first.secrets
	if plan, err := second.account().Plan(t.Context(), wantedAccount()); err != nil || plan.Pending() {
		t.Errorf("with all of it the plan is %+v, %v", plan, err)
	}
}

func TestActivityRules(t *testing.T) {
	const name = "Voice Client Offline"
	for label, tc := range map[string]struct {
		there []twilio.Activity
		known string // SID in the settings
		wants string // SID found; empty: to be added
		fails string
		hint  string
	}{
		"none":             {there: []twilio.Activity{{SID: "WA1", FriendlyName: "Offline", Available: false}}},
		"there":            {there: []twilio.Activity{{SID: "WA1", FriendlyName: name, Available: false}}, wants: "WA1"},
		"available":        {there: []twilio.Activity{{SID: "WA1", FriendlyName: name, Available: true}}, fails: "available: yes, which cannot be changed", hint: "--activity-name"},
		"both":             {there: []twilio.Activity{{SID: "WA1", FriendlyName: name, Available: false}, {SID: "WA2", FriendlyName: name, Available: true}}, fails: "available: yes", hint: "--activity-name"},
		"twice":            {there: []twilio.Activity{{SID: "WA1", FriendlyName: name, Available: false}, {SID: "WA2", FriendlyName: name, Available: false}}, wants: "WA1"},
		"twice, one known": {there: []twilio.Activity{{SID: "WA1", FriendlyName: name, Available: false}, {SID: "WA2", FriendlyName: name, Available: false}}, known: "WA2", wants: "WA2"},
		"other case":       {there: []twilio.Activity{{SID: "WA1", FriendlyName: "voice client offline", Available: false}}, fails: `existing "voice client offline"`, hint: `--activity-name "voice client offline"`},
		"other spaces":     {there: []twilio.Activity{{SID: "WA1", FriendlyName: "Voice  Client Offline ", Available: true}}, fails: "would be confused with", hint: "rename it"},
		"case and exact":   {there: []twilio.Activity{{SID: "WA1", FriendlyName: "VOICE CLIENT OFFLINE", Available: true}, {SID: "WA2", FriendlyName: name, Available: false}}, wants: "WA2"},
	} {
		t.Run(label, func(t *testing.T) {
			found, err := findActivity(tc.there, name, tc.known)
			if tc.fails == "" {
				if err != nil || found.SID != tc.wants {
					t.Errorf("findActivity = %+v, %v, want %s", found, err, tc.wants)
				}
				return
			}
			if !problem.Is(err, problem.ActivityUnusable) || !strings.Contains(err.Error(), tc.fails) || !strings.Contains(problem.As(err).Hint, tc.hint) {
				t.Errorf("findActivity = %v, hint %q", err, problem.As(err).Hint)
			}
		})
	}
}

func TestRenamedActivityIsMentioned(t *testing.T) {
	w := newAccountWorld()
	w.run(t, 0, 0)
	w.activities[2].FriendlyName = "Pause"
	plan, err := w.account().Plan(t.Context(), wantedAccount())
	if err != nil {
		t.Fatal(err)
	}
	if got := plan.Items[0]; got.Action != Add || got.Detail != `available: no; the one in use was renamed to "Pause"` {
		t.Errorf("activity: %+v", got)
	}
	if got := plan.Items[len(plan.Items)-1]; got.Action != Change || got.Detail != "activity" {
		t.Errorf("settings: %+v", got)
	}
}

// A refused or ambiguous creation counts as done when the list says so.
func TestActivityAddedMeanwhile(t *testing.T) {
	w := newAccountWorld()
	s := w.account()
	plan, err := s.Plan(t.Context(), wantedAccount())
	if err != nil {
		t.Fatal(err)
	}
	w.activities = append(w.activities, twilio.Activity{SID: "WA" + strings.Repeat("9", 32), FriendlyName: "Voice Client Offline", Available: false})
	if err := plan.Apply(t.Context(), func(Item, error) {}); err != nil {
		t.Fatal(err)
	}
	if w.settings.ActivitySID != "WA"+strings.Repeat("9", 32) {
		t.Errorf("activity in use is %s", w.settings.ActivitySID)
	}

	w = newAccountWorld()
	s = w.account()
	if plan, err = s.Plan(t.Context(), wantedAccount()); err != nil {
		t.Fatal(err)
	}
	w.activities = append(w.activities, twilio.Activity{SID: "WA" + strings.Repeat("9", 32), FriendlyName: "Voice Client Offline", Available: true})
	if err := plan.Apply(t.Context(), func(Item, error) {}); !problem.Is(err, problem.RequestRefused) {
		t.Errorf("an available one added meanwhile is accepted: %v", err)
	}
}

func TestKeysThatMayNotBeManaged(t *testing.T) {
	w := newAccountWorld()
	w.broken = map[string]error{"Keys": problem.New(problem.PermissionDenied, "20003")}
	for _, call := range []string{"CreateActivity", "CreateKey", "Secrets.Set", "Settings.Save", "Intents.Save", "SigningKey.Write"} {
		w.broken[call] = errors.New("something is written: " + call)
	}
	_, err := w.account().Plan(t.Context(), wantedAccount())
	if !problem.Is(err, problem.PermissionDenied) || !strings.Contains(problem.As(err).Hint, "auth token or a Main API key") {
		t.Errorf("Plan = %v", err)
	}
}

// key returns the plan's items about keys.
func (w *accountWorld) key(t *testing.T) []Item {
	t.Helper()
	plan, err := w.account().Plan(t.Context(), wantedAccount())
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(plan.Items, func(i Item) bool { return i.Kind != KindKey })
}

func TestNoKeyWithoutAPlaceForItsSecret(t *testing.T) {
	w := newAccountWorld()
	w.broken = map[string]error{"Secrets.Get": problem.New(problem.KeychainUnavailable, "no keychain")}
	if _, err := w.account().Plan(t.Context(), wantedAccount()); !problem.Is(err, problem.KeychainUnavailable) {
		t.Errorf("Plan = %v", err)
	}
}

func TestKeyRules(t *testing.T) {
	ready := func() *accountWorld { w := newAccountWorld(); w.run(t, 0, 0); return w }

	w := ready()
	sid := w.settings.APIKeySID
	w.keys[2].FriendlyName = "renamed by the administrator"
	if got := w.key(t); len(got) != 1 || got[0].Action != Same || got[0].ID != sid {
		t.Errorf("renamed key: %+v", got)
	}

	w = ready()
	w.keys = slices.Clone(foreignKeys)
	if got := w.key(t); len(got) != 1 || got[0].Action != Add || got[0].Detail != "replaces "+sid+", which no longer exists" {
		t.Errorf("key gone: %+v", got)
	}
	w.run(t, 0, 0)
	if w.settings.APIKeySID == sid || w.secrets[w.settings.APIKeySID] == "" {
		t.Errorf("key in use is %s", w.settings.APIKeySID)
	}

	w = ready()
	clear(w.secrets)
	if _, err := w.account().Plan(t.Context(), wantedAccount()); !problem.Is(err, problem.SecretMissing) {
		t.Errorf("secret elsewhere: %v", err)
	}
	w.newKey = true
	if got := w.key(t); len(got) != 1 || got[0].Action != Add || got[0].Detail != "replaces "+sid+", whose secret is lost" {
		t.Errorf("secret gone: %+v", got)
	}
	w.run(t, 0, 0)
	if !slices.ContainsFunc(w.keys, func(k twilio.Key) bool { return k.SID == sid }) {
		t.Error("a finished key was deleted")
	}

	w = ready()
	w.former, w.secrets = w.secrets, map[string]string{}
	if got := w.key(t); len(got) != 1 || got[0].Action != Change || got[0].Detail != "secret moves from ~/old to the system keychain" {
		t.Errorf("secret elsewhere: %+v", got)
	}
	w.run(t, 0, 0)
	if w.settings.APIKeySID != sid || w.secrets[sid] == "" || len(w.former) != 0 {
		t.Errorf("after the move: in use %s, kept %v, former %v", w.settings.APIKeySID, w.secrets, w.former)
	}
}

// A list that lagged behind may have made an unfinished run make two.
func TestTwoUnfinishedKeysBecomeOne(t *testing.T) {
	w := newAccountWorld()
	w.intent = Intent{Nonce: "aa"}
	for range 2 {
		k, secret, _ := accountTwilio{w}.CreateKey(t.Context(), unfinished("aa"))
		w.secrets[k.SID] = secret
	}
	w.run(t, 0, 0)
	wantEnd, _ := undisturbedAccount(t)
	if diff := cmp.Diff(wantEnd, w.end(t)); diff != "" {
		t.Errorf("end state (-want +got):\n%s", diff)
	}
}

func TestSecretThatCannotBeKeptLeavesNoKey(t *testing.T) {
	w := newAccountWorld()
	full := problem.New(problem.ConfigUnwritable, "no space left on device")
	w.broken = map[string]error{"Secrets.Set": full}
	s := w.account()
	plan, err := s.Plan(t.Context(), wantedAccount())
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	err = plan.Apply(t.Context(), func(i Item, err error) { told = append(told, fmt.Sprintf("%s %v", i.Kind, err)) })
	if !errors.Is(err, full) {
		t.Fatalf("Apply = %v", err)
	}
	if !slices.Equal(w.keys, foreignKeys) || w.intent != (Intent{Activity: "Voice Client Offline"}) || w.settings != (Settings{}) {
		t.Errorf("left behind: keys %+v, intent %+v, settings %+v", w.keys, w.intent, w.settings)
	}
	if want := []string{"activity <nil>", "api key no space left on device"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

// ^C between the key and its secret must not lose the secret.
func TestInterruptWhileAKeyIsMade(t *testing.T) {
	w := newAccountWorld()
	ctx, cancel := context.WithCancel(t.Context())
	s := w.account()
	s.Keys = cancellingKeys{accountTwilio{w}, cancel}
	plan, err := s.Plan(ctx, wantedAccount())
	if err != nil {
		t.Fatal(err)
	}
	_ = plan.Apply(ctx, func(Item, error) {})
	for _, k := range w.keys {
		if !slices.Contains(foreignKeys, k) && w.secrets[k.SID] == "" {
			t.Errorf("key %s exists without its secret", k.SID)
		}
	}
	if len(w.keys) == len(foreignKeys) {
		t.Error("no key was made, so nothing was tested")
	}

	w = newAccountWorld()
	w.broken = map[string]error{"Secrets.Set": errors.New("disk full")}
	ctx, cancel = context.WithCancel(t.Context())
	s = w.account()
	s.Keys = cancellingKeys{accountTwilio{w}, cancel}
	if plan, err = s.Plan(ctx, wantedAccount()); err != nil {
		t.Fatal(err)
	}
	if err := plan.Apply(ctx, func(Item, error) {}); err == nil || !slices.Equal(w.keys, foreignKeys) {
		t.Errorf("Apply = %v, keys are %+v", err, w.keys)
	}
}

type cancellingKeys struct {
	accountTwilio
	cancel func()
}

func (c cancellingKeys) CreateKey(ctx context.Context, name string) (twilio.Key, string, error) {
	defer c.cancel()
	return c.accountTwilio.CreateKey(ctx, name)
}

func (c cancellingKeys) DeleteKey(ctx context.Context, sid string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return c.accountTwilio.DeleteKey(ctx, sid)
}
