package fleet

import (
	"fmt"
	"strings"

	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/twilio"
)

// State is how a worker's contact URI agrees with its flag.
type State string

// The states.
const (
	StateOK      State = "ok"      // the contact URI is what the flag asks for
	StatePending State = "pending" // enabled, but the agent has not logged in since
	StateDrift   State = "drift"   // enabled and logged in, but not client:<prefix>X: calls ring the tab, or a phone
	StateStale   State = "stale"   // disabled, but still client:<prefix>X: calls go nowhere
	StateOffline State = "offline" // in the Voice Client Offline activity: the extension is away
	StateForeign State = "foreign" // the contact URI is that of a phone, enabled or not: nobody replaces it
	StateInvalid State = "invalid" // the attributes are not a JSON object

	// StateNoPlugin is an enabled worker of an account whose Flex does not load
	// the plugin: nothing moves the agent to the extension, or keeps them there.
	StateNoPlugin State = "no-plugin"
)

// States lists all states, in the order in which they are counted.
func States() []State {
	return []State{StateOK, StatePending, StateDrift, StateStale, StateNoPlugin, StateOffline, StateForeign, StateInvalid}
}

// Counts is how many workers are in each state.
type Counts map[State]int

// String is the counts that are not 0, such as "507 ok, 3 drift".
func (c Counts) String() string {
	var counts []string
	for _, s := range States() {
		if n := c[s]; n > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", n, s))
		}
	}
	return strings.Join(counts, ", ")
}

// Severity orders states: 0 is the worst.
func (s State) Severity() int {
	switch s {
	case StateNoPlugin:
		return 0
	case StateDrift:
		return 1
	case StateOffline:
		return 2
	case StateStale:
		return 3
	case StateForeign:
		return 4
	case StateInvalid:
		return 5
	case StatePending:
		return 6
	}
	return 7
}

// Faulty reports whether a person has to do something about the state. Offline
// and pending pass by themselves when the agent comes back.
func (s State) Faulty() bool {
	return s == StateNoPlugin || s == StateDrift || s == StateStale || s == StateForeign || s == StateInvalid
}

// Meaning is what the state says about the worker's calls.
func (s State) Meaning() string {
	switch s {
	case StateOK:
		return "the contact URI is what the flag asks for"
	case StatePending:
		return "enabled, but the agent has not logged in since"
	case StateDrift:
		return "enabled and logged in, but calls ring the tab, or a phone as before"
	case StateStale:
		return "disabled, but still on the extension's address: calls go nowhere"
	case StateOffline:
		return "in the Voice Client Offline activity: the extension is away"
	case StateForeign:
		return "calls ring a phone: a number or a SIP address, which stays"
	case StateInvalid:
		return "the attributes are not a JSON object"
	case StateNoPlugin:
		return "enabled, but Flex does not load the plugin"
	}
	return ""
}

// Facts are what the rules look at in a worker. They are small, so that those
// of the largest workspace fit into little memory.
type Facts struct {
	Flag       attributes.Flag
	ContactURI string // as it stands in the attributes; empty when it is not set
	// OwnPrefix says that the identity begins with the prefix by itself: the
	// agent's user name does.
	OwnPrefix bool
	// LeftAlone says that calls ring something else than a voice client, and that
	// the plugin leaves that address alone: nobody has kept it.
	LeftAlone bool
	EnabledAt int64 // when the flag was set, in seconds since 1970; 0 when that is not known
}

// Rules judge workers by what Twilio has of them and nothing else, so that every
// machine judges alike. The zero value judges by the attributes alone.
type Rules struct {
	Prefix    string // the profile's identity prefix, such as "ext_"
	LoggedOut string // SID or name of Flex's own offline activity
	// VoiceOffline and VoiceOfflineName are SID and name of the Voice Client
	// Offline activity. Either will do: a machine without settings has its name.
	VoiceOffline, VoiceOfflineName string
	// NoPlugin says that Flex does not load the plugin.
	NoPlugin bool
}

// Facts reads a worker. Attributes that are not there count as invalid.
func (r Rules) Facts(w twilio.Worker) Facts {
	if w.Attributes == nil {
		return Facts{Flag: attributes.Invalid}
	}
	var f Facts
	f.Flag, f.ContactURI = attributes.Inspect(w.Attributes)
	isForeign, kept := attributes.Foreign(w.Attributes)
	f.LeftAlone = isForeign && !kept
	if at := attributes.EnabledAt(w.Attributes); !at.IsZero() {
		f.EnabledAt = at.Unix()
	}
	if identity, ok := r.prefixed(f.ContactURI); ok {
		f.OwnPrefix = r.Prefix != "" && attributes.OwnIdentity(identity, *w.Attributes, w.FriendlyName)
	}
	return f
}

// prefixed returns the identity of client:<prefix>X[?query], prefix included.
func (r Rules) prefixed(uri string) (string, bool) {
	identity, ok := clientIdentity(uri)
	return identity, ok && strings.HasPrefix(identity, r.Prefix) && len(identity) > len(r.Prefix)
}

// clientIdentity returns the identity of a client: URI without its query, which
// Flex appends per tab when it dials.
func clientIdentity(uri string) (string, bool) {
	scheme, rest, ok := strings.Cut(uri, ":")
	identity, _, _ := strings.Cut(rest, "?")
	return identity, ok && strings.EqualFold(scheme, "client") && identity != ""
}

// Judge says what state a worker with the given facts is in. It looks at the
// worker's activity, never at its attributes, which Facts has read.
//
// An enabled worker on its old address is pending until its agent can have
// started Flex anew, and drifts from then on. Nothing at Twilio tells of a
// login, but who logs in or out changes the activity: a change after the flag
// was set counts as one. When it is not known when that was, because another
// program set the flag, an agent who is logged in counts as drifting, as calls
// do ring the tab.
//
// The address of a phone is left alone, and its worker is foreign, enabled or not.
// With --include-foreign flexvc has kept it, and the plugin replaces it as it does
// that of a tab.
func (r Rules) Judge(f Facts, w twilio.Worker) State {
	if f.Flag == attributes.Invalid {
		return StateInvalid
	}
	if _, isClient := clientIdentity(f.ContactURI); !isClient {
		if enabled := f.Flag == attributes.Enabled; enabled && f.LeftAlone || !enabled && f.ContactURI != "" {
			return StateForeign
		}
	}
	onExtension := r.OnExtension(f)
	switch {
	case f.Flag != attributes.Enabled && onExtension:
		return StateStale
	case f.Flag == attributes.Enabled && r.NoPlugin:
		return StateNoPlugin
	case isActivity(r.VoiceOffline, w) || isActivity(r.VoiceOfflineName, w):
		// No call is offered in this activity, and the contact URI is written
		// as soon as the extension registers.
		return StateOffline
	case f.Flag != attributes.Enabled, onExtension:
		return StateOK
	case isActivity(r.LoggedOut, w):
		return StatePending
	case f.EnabledAt > 0 && w.StatusChanged.Unix() <= f.EnabledAt:
		return StatePending
	}
	return StateDrift
}

// OnExtension reports whether the contact URI leads to the extension.
func (r Rules) OnExtension(f Facts) bool {
	_, ok := r.prefixed(f.ContactURI)
	return ok && !f.OwnPrefix
}

func isActivity(wanted string, w twilio.Worker) bool {
	return wanted != "" && (w.ActivitySID == wanted || w.ActivityName == wanted)
}

// Repair is the edit that mends a stale worker: it takes the prefix off its
// contact URI and nothing else. No other state is mended by writing attributes.
func (r Rules) Repair() attributes.Edit {
	return attributes.Edit{ResetContactURI: true, Prefix: r.Prefix, URIOnly: true}
}
