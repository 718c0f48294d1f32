package doctor

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/flexvc/flexvc/internal/fleet"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/provision"
	"github.com/flexvc/flexvc/internal/twilio"
	"github.com/flexvc/flexvc/internal/workers"
)

// Settings are what flexvc.yaml says.
type Settings struct {
	Err           error  // why they cannot be read; then only the check of them runs
	File, Profile string // for people
	Found         bool   // the file has the profile
	Emulated      bool

	AccountSID   string
	WorkspaceSID string // the session's
	ActivityName string
	ActivitySID  string
	Prefix       string
	TokenURL     string
	UpdateURL    string
	APIKeySID    string // the token server's
	// KeySecret is the secret of APIKeySID, from where it is kept.
	KeySecret func() (string, error)
}

// Account is the way to Twilio. Err says why there is none.
type Account struct {
	Err        error
	User       string // whose credentials: AC… or SK…
	Flex       FlexAPI
	Activities provision.ActivityAPI
	Workers    workers.API
	Keys       provision.KeyAPI

	Check         func(context.Context) error // whether the credentials are accepted
	KeyRestricted func(ctx context.Context, sid string) (bool, error)
	Time          func(context.Context) (time.Time, error) // Twilio's
	Plugin        func(context.Context) (provision.PluginStatus, error)
	// PluginSum is the sum of the bundle that would be deployed as a version.
	PluginSum func(version string) (string, error)
	// Judgement is how flexvc watch judges workers, and who tells whether Flex
	// loads the plugin; nil: it does.
	Judgement func(context.Context) (fleet.Rules, func(context.Context) (bool, error), error)
	// FlexToken is a Flex token of some agent that lives for a minute; it is
	// NotFound or PermissionDenied where the account gives none.
	FlexToken func(context.Context) (string, error)
	// Sinks are the account's event sinks that flexvc made; nil when that is
	// not known.
	Sinks func(context.Context) ([]Sink, error)
}

// FlexAPI reads the account's Flex configuration. An account without Flex is
// FlexNotFound.
type FlexAPI interface {
	FlexConfiguration(ctx context.Context) (twilio.FlexConfiguration, error)
}

// Sink is where Twilio Event Streams sends workers' events to.
type Sink struct {
	SID        string
	Active     bool // false: Twilio gave up on it, or it was never confirmed
	Subscribed bool // it has a subscription to workers' events
}

// Doctor is a set-up to look at.
type Doctor struct {
	Settings  Settings
	Account   Account
	Extension Extension
	Browser   Browser
	Web       Web
	Now       func() time.Time

	access func(context.Context) error
}

// Checks are all checks, in the order in which they are told.
func (d *Doctor) Checks() []Check {
	// Whoever needs the account waits for one answer about the credentials.
	var once sync.Once
	var err error
	d.access = func(ctx context.Context) error {
		once.Do(func() {
			if err = d.Account.Err; err == nil {
				err = d.Account.Check(ctx)
			}
		})
		return err
	}
	checks := []Check{
		{"config", "settings file and profile", d.config},
		{"credentials", "credentials and the token server's key", d.credentials},
		{"workspace", "workspace and the activity of disconnected agents", d.workspace},
		{"workers", "workers whose calls ring in the wrong place", d.workers},
		{"token-server", "token endpoint, asked as the extension asks", d.tokenServer},
		{"extension", "built-in extension, its key and update.xml", d.extension},
		{"plugin", "plugin that Flex loads", d.plugin},
		{"events", "Event Streams for flexvc serve --events", d.events},
		{"clock", "this machine's clock against Twilio's", d.clock},
		{"browser", "policies of the browsers on this machine", d.browser},
	}
	if d.Settings.Err != nil {
		for i := range checks[1:] {
			checks[i+1].Run = func(context.Context) Result { return skip("see config") }
		}
	}
	return checks
}

// reach says why there is no use in asking the account.
func (d *Doctor) reach(ctx context.Context) (Result, bool) {
	if d.access(ctx) != nil {
		return skip("see credentials"), false
	}
	return Result{}, true
}

func (d *Doctor) config(context.Context) Result {
	s := d.Settings
	if s.Err != nil {
		return failure("cannot read the settings", s.Err, "flexvc config list --origin")
	}
	says := fmt.Sprintf("%s, profile %q", s.File, s.Profile)
	if !s.Found {
		return fail(says, "the profile is not in the settings file: it was never set up", "flexvc init")
	}
	var missing []string
	for _, f := range []struct{ name, value string }{
		{"account_sid", s.AccountSID}, {"activity_sid", s.ActivitySID}, {"api_key", s.APIKeySID},
	} {
		if f.value == "" {
			missing = append(missing, f.name)
		}
	}
	if len(missing) > 0 {
		return fail(says, "it lacks "+strings.Join(missing, ", ")+": flexvc init did not finish", "flexvc init")
	}
	return pass(says)
}

func (d *Doctor) credentials(ctx context.Context) Result {
	if err := d.access(ctx); err != nil {
		return failure("cannot use this account", err, "set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN")
	}
	user := d.Account.User
	if user == d.Settings.AccountSID {
		user = "the auth token"
	}
	says := fmt.Sprintf("%s works for %s", user, d.Settings.AccountSID)
	keys, err := d.Account.Keys.Keys(ctx)
	switch {
	case problem.Is(err, problem.PermissionDenied):
		return d.signing(says+"; it may not manage API keys, which only flexvc init needs", nil, false)
	case err != nil:
		return failure(says, err, "try again")
	}
	r := d.signing(says, keys, true)
	if r.Status != Passed || d.Settings.APIKeySID == "" {
		return r
	}
	restricted, err := d.Account.KeyRestricted(ctx, d.Settings.APIKeySID)
	if err == nil && restricted {
		return fail(says, fmt.Sprintf("the token server's key %s is a Restricted key, which cannot sign voice tokens", d.Settings.APIKeySID),
			"flexvc config set api_key '', then flexvc init, which creates a Standard key")
	}
	return r
}

// signing looks after the key that signs voice tokens.
func (d *Doctor) signing(says string, keys []twilio.Key, known bool) Result {
	sid := d.Settings.APIKeySID
	if sid == "" {
		return pass(says)
	}
	exists := !known
	for _, k := range keys {
		exists = exists || k.SID == sid
	}
	if !exists {
		return fail(says, fmt.Sprintf("the token server's key %s no longer exists", sid), "flexvc init, then restart flexvc serve")
	}
	secret, err := d.Settings.KeySecret()
	if err != nil {
		return failure(says, err, "flexvc init --secret-file FILE")
	}
	if secret == "" {
		return fail(says, fmt.Sprintf("the secret of the token server's key %s is not in the configured store", sid), "flexvc config import of an export from the machine that has it, or flexvc init --new-api-key")
	}
	return pass(says)
}

func (d *Doctor) workspace(ctx context.Context) Result {
	if r, ok := d.reach(ctx); !ok {
		return r
	}
	if d.Settings.WorkspaceSID == "" {
		return skip("no workspace is set: flexvc init")
	}
	says := "the workspace " + d.Settings.WorkspaceSID
	ws, err := d.Account.Activities.Workspace(ctx)
	if problem.Is(err, problem.NotFound) {
		return fail(says, "Twilio does not know it: it was deleted or belongs to another account", "flexvc init --workspace WS…")
	}
	if err != nil {
		return failure(says, err, "try again")
	}
	says = fmt.Sprintf("%s (%s)", ws.FriendlyName, ws.SID)
	activities, err := d.Account.Activities.Activities(ctx)
	if err != nil {
		return failure(says, err, "try again")
	}
	return d.activity(says, activities)
}

func (d *Doctor) activity(says string, activities []twilio.Activity) Result {
	var found *twilio.Activity
	for i, a := range activities {
		if a.SID == d.Settings.ActivitySID || d.Settings.ActivitySID == "" && a.FriendlyName == d.Settings.ActivityName {
			found = &activities[i]
		}
	}
	switch {
	case found == nil:
		return fail(says, fmt.Sprintf("the activity %q is gone: the plugin cannot move agents to it", d.Settings.ActivityName), "flexvc init, then flexvc plugin deploy")
	case found.Available:
		return fail(says, fmt.Sprintf("the activity %q is available: yes, so agents without a voice client are offered calls", found.FriendlyName),
			"rename it in the Console, then flexvc init and flexvc plugin deploy")
	case found.FriendlyName != d.Settings.ActivityName:
		return warn(says, fmt.Sprintf("the activity %q was renamed to %q", d.Settings.ActivityName, found.FriendlyName),
			fmt.Sprintf("flexvc init --activity-name %q", found.FriendlyName))
	}
	return pass(fmt.Sprintf("%s has %s, available: no", says, found.FriendlyName))
}

func (d *Doctor) plugin(ctx context.Context) Result {
	if r, ok := d.reach(ctx); !ok {
		return r
	}
	s, err := d.Account.Plugin(ctx)
	switch {
	case problem.Is(err, problem.PermissionDenied):
		return skip("the credentials may not read Flex's plugins")
	case problem.Is(err, problem.FlexNotFound), problem.Is(err, problem.NotFound):
		return fail("the account has no Flex", "Flex was never set up", "check the account")
	case err != nil:
		return failure("cannot read the plugins", err, "try again")
	case s.Version == "":
		return fail("Flex does not load the plugin", "the active release does not include it", "flexvc plugin deploy")
	}
	says := "Flex loads version " + s.Version
	if s.Sum == "" {
		return warn(says, "another tool deployed it, so its settings are unknown", "flexvc plugin deploy")
	}
	if flex, err := d.Account.Flex.FlexConfiguration(ctx); err == nil && flex.NoBrowserVoice {
		return fail(says, "Flex is set up without voice in the browser (disableBrowserVoice in ui_attributes), so it refuses every call that an agent accepts",
			"remove disableBrowserVoice from Flex's configuration")
	}
	if s.Late() {
		return warn(says, fmt.Sprintf("Flex starts it in phase %d, where another plugin that hangs keeps it from starting", s.Phase), "flexvc plugin deploy")
	}
	want, err := d.Account.PluginSum(s.Version)
	switch {
	case problem.Is(err, problem.PluginIncomplete):
		return pass(says + "; this flexvc has no plugin to compare with")
	case err != nil:
		return failure(says, err, "flexvc plugin deploy")
	case want != s.Sum:
		return warn(says, "it was built with other settings or by another flexvc", "flexvc plugin deploy")
	}
	return pass(says + ", with the current settings")
}

func (d *Doctor) events(ctx context.Context) Result {
	if r, ok := d.reach(ctx); !ok {
		return r
	}
	if d.Account.Sinks == nil {
		return skip("events are not set up: flexvc watch polls")
	}
	sinks, err := d.Account.Sinks(ctx)
	switch {
	case problem.Is(err, problem.PermissionDenied):
		return skip("the credentials may not read Event Streams")
	case problem.Is(err, problem.NotFound):
		return skip("see workspace")
	case err != nil:
		return failure("cannot read the event sinks", err, "try again")
	case len(sinks) == 0:
		return skip("events are not set up: flexvc watch polls")
	}
	for _, s := range sinks {
		switch {
		case !s.Active:
			return fail("the event sink "+s.SID, "Twilio does not deliver to it: it failed or was never confirmed", "flexvc events enable")
		case !s.Subscribed:
			return fail("the event sink "+s.SID, "it has no subscription to worker events", "flexvc events enable")
		}
	}
	return pass("worker events go to " + sinks[0].SID)
}

// Skews that matter. Twilio names none; its own answers are a second apart, and
// access tokens carry the time at which they were made.
const (
	skewWarned = 30 * time.Second
	skewFailed = 5 * time.Minute
)

func (d *Doctor) clock(ctx context.Context) Result {
	if r, ok := d.reach(ctx); !ok {
		return r
	}
	before := d.Now()
	theirs, err := d.Account.Time(ctx)
	if err != nil {
		return failure("cannot read Twilio's time", err, "try again")
	}
	mine := before.Add(d.Now().Sub(before) / 2)
	skew := mine.Sub(theirs)
	word := "ahead of"
	if skew < 0 {
		skew, word = -skew, "behind"
	}
	says := fmt.Sprintf("%s %s Twilio's", skew.Round(time.Second), word)
	const fix = "enable NTP, also where flexvc serve runs: timedatectl set-ntp true"
	switch {
	case skew >= skewFailed:
		return fail(says, "voice tokens issued here would be used before they are valid or after they expire", fix)
	case skew >= skewWarned:
		return warn(says, "voice tokens issued here may be refused", fix)
	}
	return pass("agrees with Twilio's")
}
