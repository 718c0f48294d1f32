package fleet

import (
	"testing"
	"time"

	"github.com/flexvc/flexvc/internal/twilio"
	"github.com/flexvc/flexvc/internal/workers/workerstest"
)

var (
	testRules = Rules{Prefix: "ext_", VoiceOffline: "Voice Client Offline", LoggedOut: "WAoffline"}
	noon      = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
)

func workerWith(attributes, activity string) twilio.Worker {
	w := twilio.Worker{SID: workerstest.SID(0), FriendlyName: "agent", ActivityName: activity, ActivitySID: "WA" + activity, Attributes: &attributes}
	if activity == "Offline" {
		w.ActivitySID = "WAoffline"
	}
	return w
}

func TestJudge(t *testing.T) {
	enabled := func(uri string) string { return `{"extensionVoiceClientEnabled":true,"contact_uri":"` + uri + `"}` }
	disabled := func(uri string) string { return `{"extensionVoiceClientEnabled":false,"contact_uri":"` + uri + `"}` }
	for _, c := range []struct {
		name, attributes, activity string
		history                    History
		changed                    time.Time
		want                       State
	}{
		{name: "on the extension", attributes: enabled("client:ext_alice"), activity: "Available", want: StateOK},
		{name: "on the extension and logged out", attributes: enabled("client:ext_alice"), activity: "Offline", want: StateOK},
		{name: "the query of a tab does not count", attributes: enabled("client:ext_alice?flex_session_identifier=1"), activity: "Available", want: StateOK},
		{name: "the scheme in capitals", attributes: enabled("CLIENT:ext_alice"), activity: "Available", want: StateOK},
		{name: "an identity with the prefix in capitals is another one", attributes: enabled("client:EXT_alice"), activity: "Available", want: StateDrift},
		{name: "logged in on the old address", attributes: enabled("client:carol"), activity: "Available", want: StateDrift},
		{name: "the prefix in the query only", attributes: enabled("client:carol?x=ext_carol"), activity: "Available", want: StateDrift},
		{name: "the prefix and nothing else", attributes: enabled("client:ext_"), activity: "Available", want: StateDrift},
		{name: "logged in, but never had an address", attributes: `{"extensionVoiceClientEnabled":true}`, activity: "Break", want: StateDrift},
		{name: "not logged in since", attributes: enabled("client:frank"), activity: "Offline", want: StatePending},
		{name: "never logged in at all", attributes: `{"extensionVoiceClientEnabled":true}`, activity: "Offline", want: StatePending},
		{name: "logged out, but was on the extension before", attributes: enabled("client:carol"), activity: "Offline", history: History{OnExtension: true}, want: StateDrift},
		{name: "logged out, but logged in since the flag", attributes: enabled("client:carol"), activity: "Offline", history: History{LoggedIn: true}, want: StateDrift},
		{name: "enabled while at work, nothing happened since", attributes: enabled("client:dan"), activity: "Available", history: History{EnabledAt: noon}, changed: noon.Add(-time.Hour), want: StatePending},
		{name: "enabled and the activity changed since", attributes: enabled("client:dan"), activity: "Available", history: History{EnabledAt: noon}, changed: noon.Add(time.Hour), want: StateDrift},
		{name: "the list leaves out when the activity changed", attributes: enabled("client:dan"), activity: "Available", history: History{EnabledAt: noon}, want: StatePending},
		{name: "disabled on the old address", attributes: disabled("client:bob"), activity: "Available", want: StateOK},
		{name: "neither flag nor address", attributes: `{}`, activity: "Available", want: StateOK},
		{name: "disabled on the extension", attributes: disabled("client:ext_erin"), activity: "Available", want: StateStale},
		{name: "never enabled on the extension", attributes: `{"contact_uri":"client:ext_erin"}`, activity: "Offline", want: StateStale},
		{name: "the flag is a word, not true", attributes: `{"extensionVoiceClientEnabled":"true","contact_uri":"client:ext_erin"}`, activity: "Offline", want: StateStale},
		{name: "stale wins over the activity", attributes: disabled("client:ext_erin"), activity: "Voice Client Offline", want: StateStale},
		{name: "the extension is away", attributes: enabled("client:ext_dave"), activity: "Voice Client Offline", want: StateOffline},
		{name: "the extension never came", attributes: enabled("client:dave"), activity: "Voice Client Offline", want: StateOffline},
		{name: "disabled and left in the activity", attributes: disabled("client:dave"), activity: "Voice Client Offline", want: StateOffline},
		{name: "a phone number", attributes: enabled("+15551234567"), activity: "Available", want: StateForeign},
		{name: "a SIP address", attributes: disabled("sip:bob@example.com"), activity: "Available", want: StateForeign},
		{name: "a client without a name", attributes: disabled("client:"), activity: "Available", want: StateForeign},
		{name: "not JSON", attributes: `walt`, activity: "Available", want: StateInvalid},
		{name: "a list", attributes: `[]`, activity: "Available", want: StateInvalid},
		{name: "the address is no text", attributes: `{"contact_uri":7}`, activity: "Available", want: StateOK},
		{name: "disabled, and the user name begins with the prefix", attributes: `{"email":"ext_bob@example.com","contact_uri":"client:ext_5Fbob_40example_2Ecom"}`, activity: "Available", want: StateOK},
		{name: "that user name on the extension", attributes: `{"email":"ext_bob@example.com","contact_uri":"client:ext_ext_5Fbob_40example_2Ecom"}`, activity: "Available", want: StateStale},
		{name: "the prefix is the user name's own", attributes: `{"email":"ext@x.co","contact_uri":"client:ext_40x_2Eco"}`, activity: "Available", want: StateOK},
		{name: "enabled, but the prefix is the user name's own", attributes: `{"extensionVoiceClientEnabled":true,"email":"ext@x.co","contact_uri":"client:ext_40x_2Eco"}`, activity: "Available", want: StateDrift},
		{name: "enabled, with the prefix before the user name's own", attributes: `{"extensionVoiceClientEnabled":true,"email":"ext@x.co","contact_uri":"client:ext_ext_40x_2Eco"}`, activity: "Available", want: StateOK},
	} {
		w := workerWith(c.attributes, c.activity)
		w.StatusChanged = c.changed
		if got := testRules.Judge(testRules.Facts(w), w, c.history); got != c.want {
			t.Errorf("%s: %s in %s is %s, want %s", c.name, c.attributes, c.activity, got, c.want)
		}
	}
	none := twilio.Worker{}
	if got := testRules.Judge(testRules.Facts(none), none, History{}); got != StateInvalid {
		t.Errorf("a worker without attributes is %s", got)
	}
}

func TestLearn(t *testing.T) {
	const (
		off   = `{"contact_uri":"client:carol"}`
		on    = `{"extensionVoiceClientEnabled":true,"contact_uri":"client:carol"}`
		moved = `{"extensionVoiceClientEnabled":true,"contact_uri":"client:ext_carol"}`
	)
	type look struct {
		attributes, activity string
		want                 State
	}
	for _, c := range []struct {
		name  string
		looks []look
	}{
		{"pending until the agent logs in, then drifting for good", []look{
			{off, "Offline", StateOK}, {on, "Offline", StatePending}, {on, "Available", StateDrift}, {on, "Offline", StateDrift}, {moved, "Available", StateOK},
		}},
		{"enabled at work, moved at the next start", []look{
			{off, "Available", StateOK}, {on, "Available", StatePending}, {moved, "Available", StateOK},
		}},
		{"taken off the extension while logged out", []look{
			{moved, "Available", StateOK}, {moved, "Offline", StateOK}, {on, "Offline", StateDrift},
		}},
		{"the flag comes with the login", []look{
			{off, "Offline", StateOK}, {on, "Available", StatePending},
		}},
		{"enabled anew, the past does not count", []look{
			{moved, "Available", StateOK}, {off, "Available", StateOK}, {on, "Available", StatePending},
		}},
	} {
		var h History
		var was twilio.Worker
		var before Facts
		for i, l := range c.looks {
			is := workerWith(l.attributes, l.activity)
			now := testRules.Facts(is)
			h = testRules.Learn(h, before, now, was, is, noon.Add(time.Duration(i)*time.Minute))
			if got := testRules.Judge(now, is, h); got != l.want {
				t.Errorf("%s: look %d is %s, want %s", c.name, i+1, got, l.want)
			}
			was, before = is, now
		}
	}
}

// TestStatesAreRanked: the screen sorts by severity, so a state that is left out
// would sort below ok.
func TestStatesAreRanked(t *testing.T) {
	seen := map[int]State{}
	for _, s := range States() {
		if other, twice := seen[s.Severity()]; twice || s.Meaning() == "" {
			t.Errorf("%s has the severity of %q and the meaning %q", s, other, s.Meaning())
		}
		seen[s.Severity()] = s
	}
	for _, s := range []State{StateDrift, StateStale, StateForeign, StateInvalid} {
		if !s.Faulty() {
			t.Errorf("%s does not count as faulty", s)
		}
	}
	for _, s := range []State{StateOffline, StatePending, StateOK, ""} {
		if s.Faulty() {
			t.Errorf("%q counts as faulty", s)
		}
	}
}
