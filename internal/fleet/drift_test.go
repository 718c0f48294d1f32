package fleet

import (
	"fmt"
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
	enabledAtNoon := fmt.Sprintf(`{"extensionVoiceClientEnabled":true,"extensionVoiceClientEnabledAt":%d,"contact_uri":"client:dan"}`, noon.Unix())
	disabled := func(uri string) string { return `{"extensionVoiceClientEnabled":false,"contact_uri":"` + uri + `"}` }
	kept := func(uri, former string) string {
		return fmt.Sprintf(`{"extensionVoiceClientEnabled":true,"extensionVoiceClientEnabledAt":%d,"contact_uri":%q,"extensionVoiceClientFormerContactUri":%q}`, noon.Unix(), uri, former)
	}
	for _, c := range []struct {
		name, attributes, activity string
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
		{name: "logged out again, having logged in", attributes: enabledAtNoon, activity: "Offline", changed: noon.Add(time.Hour), want: StatePending},
		{name: "enabled while at work, nothing happened since", attributes: enabledAtNoon, activity: "Available", changed: noon.Add(-time.Hour), want: StatePending},
		{name: "the activity changed in the second of the flag", attributes: enabledAtNoon, activity: "Available", changed: noon, want: StatePending},
		{name: "enabled and the activity changed since", attributes: enabledAtNoon, activity: "Available", changed: noon.Add(time.Second), want: StateDrift},
		{name: "the list leaves out when the activity changed", attributes: enabledAtNoon, activity: "Available", want: StatePending},
		{name: "another program set the flag", attributes: enabled("client:dan"), activity: "Available", changed: noon.Add(-time.Hour), want: StateDrift},
		{name: "the time is no number", attributes: `{"extensionVoiceClientEnabled":true,"extensionVoiceClientEnabledAt":"noon"}`, activity: "Available", changed: noon, want: StateDrift},
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
		{name: "a phone that is left alone, and never drifts", attributes: enabled("sip:ann@pbx.example.com"), activity: "Available", changed: noon.Add(time.Hour), want: StateForeign},
		{name: "an address that is no text is left alone", attributes: `{"extensionVoiceClientEnabled":true,"contact_uri":7}`, activity: "Available", want: StateForeign},
		{name: "a phone to be moved", attributes: kept("sip:ann@pbx.example.com", "sip:ann@pbx.example.com"), activity: "Offline", want: StatePending},
		{name: "a phone that was not moved", attributes: kept("+15551234567", "+15551234567"), activity: "Available", changed: noon.Add(time.Hour), want: StateDrift},
		{name: "a phone that was moved", attributes: kept("client:ext_ann", "+15551234567"), activity: "Available", want: StateOK},
		{name: "another phone than the one that is kept", attributes: kept("+15559999999", "+15551234567"), activity: "Available", want: StateForeign},
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
		if got := testRules.Judge(testRules.Facts(w), w); got != c.want {
			t.Errorf("%s: %s in %s is %s, want %s", c.name, c.attributes, c.activity, got, c.want)
		}
	}
	none := twilio.Worker{}
	if got := testRules.Judge(testRules.Facts(none), none); got != StateInvalid {
		t.Errorf("a worker without attributes is %s", got)
	}
}

// TestSevenAgentsReadOKWithThePluginGone: without the plugin nobody who is
// enabled gets to the extension, or back to it after a refresh.
func TestSevenAgentsReadOKWithThePluginGone(t *testing.T) {
	rules := testRules
	rules.NoPlugin = true
	for _, c := range []struct {
		attributes, activity string
		want                 State
	}{
		{`{"extensionVoiceClientEnabled":true,"contact_uri":"client:ext_alice"}`, "Available", StateNoPlugin},
		{`{"extensionVoiceClientEnabled":true,"contact_uri":"client:alice"}`, "Available", StateNoPlugin},
		{`{"extensionVoiceClientEnabled":true,"contact_uri":"client:alice"}`, "Offline", StateNoPlugin},
		{`{"extensionVoiceClientEnabled":true,"contact_uri":"client:ext_alice"}`, "Voice Client Offline", StateNoPlugin},
		{`{"extensionVoiceClientEnabled":false,"contact_uri":"client:ext_alice"}`, "Available", StateStale},
		{`{"contact_uri":"client:alice"}`, "Available", StateOK},
		{`{"extensionVoiceClientEnabled":true,"contact_uri":"+15551234567"}`, "Available", StateForeign},
		{`[]`, "Available", StateInvalid},
	} {
		w := workerWith(c.attributes, c.activity)
		if got := rules.Judge(rules.Facts(w), w); got != c.want {
			t.Errorf("without the plugin %s in %s is %s, want %s", c.attributes, c.activity, got, c.want)
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
	for _, s := range []State{StateNoPlugin, StateDrift, StateStale, StateForeign, StateInvalid} {
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
