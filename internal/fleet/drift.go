package fleet

import (
	"strings"
	"time"

	"github.com/flexvc/flexvc/internal/attributes"
	"github.com/flexvc/flexvc/internal/twilio"
)

// State is how a worker's contact URI agrees with its flag.
type State string

// The states.
const (
	StateOK      State = "ok"      // the contact URI is what the flag asks for
	StatePending State = "pending" // enabled, but the agent has not logged in since
	StateDrift   State = "drift"   // enabled and logged in, but not client:<prefix>X: calls ring the tab
	StateStale   State = "stale"   // disabled, but still client:<prefix>X: calls go nowhere
	StateOffline State = "offline" // in the Voice Client Offline activity: the extension is away
	StateForeign State = "foreign" // the contact URI is a phone number or a SIP address
	StateInvalid State = "invalid" // the attributes are not a JSON object
)

// States lists all states, in the order in which they are counted.
func States() []State {
	return []State{StateOK, StatePending, StateDrift, StateStale, StateOffline, StateForeign, StateInvalid}
}

// Severity orders states: 0 is the worst.
func (s State) Severity() int {
	switch s {
	case StateDrift:
		return 0
	case StateOffline:
		return 1
	case StateStale:
		return 2
	case StateForeign:
		return 3
	case StateInvalid:
		return 4
	case StatePending:
		return 5
	}
	return 6
}

// Faulty reports whether a person has to do something about the state. Offline
// and pending pass by themselves when the agent comes back.
func (s State) Faulty() bool {
	return s == StateDrift || s == StateStale || s == StateForeign || s == StateInvalid
}

// Meaning is what the state says about the worker's calls.
func (s State) Meaning() string {
	switch s {
	case StateOK:
		return "the contact URI is what the flag asks for"
	case StatePending:
		return "enabled, but the agent has not logged in since"
	case StateDrift:
		return "enabled and logged in, but calls ring the tab"
	case StateStale:
		return "disabled, but still on the extension's address: calls go nowhere"
	case StateOffline:
		return "in the Voice Client Offline activity: the extension is away"
	case StateForeign:
		return "the contact URI is a phone number or a SIP address"
	case StateInvalid:
		return "the attributes are not a JSON object"
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
}

// Rules judge workers. The zero value judges by the attributes alone.
type Rules struct {
	Prefix       string // the profile's identity prefix, such as "ext_"
	VoiceOffline string // SID or name of the Voice Client Offline activity
	LoggedOut    string // SID or name of Flex's own offline activity
}

// Facts reads a worker. Attributes that are not there count as invalid.
func (r Rules) Facts(w twilio.Worker) Facts {
	if w.Attributes == nil {
		return Facts{Flag: attributes.Invalid}
	}
	var f Facts
	f.Flag, f.ContactURI = attributes.Inspect(w.Attributes)
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

// History is what is known of a worker beyond what it is now. It is about the
// time since the flag was set and starts anew when the flag is taken away.
type History struct {
	EnabledAt   time.Time // when the flag was set; zero when nobody saw it
	LoggedIn    bool      // the agent was seen logging in since
	OnExtension bool      // the contact URI was client:<prefix>X since
}

// Judge says what state a worker with the given facts is in. It looks at the
// worker's activity, never at its attributes, which Facts has read.
//
// An enabled worker on its old address is pending until its agent can have
// started Flex anew, and drifts from then on. Nothing at Twilio tells of a
// login: leaving Flex's offline activity does, and so does any change of
// activity after the flag was set. When it is not known when that was, an agent
// who is logged in counts as drifting, as calls do ring the tab.
func (r Rules) Judge(f Facts, w twilio.Worker, h History) State {
	if f.Flag == attributes.Invalid {
		return StateInvalid
	}
	if f.ContactURI != "" {
		if _, ok := clientIdentity(f.ContactURI); !ok {
			return StateForeign
		}
	}
	onExtension := r.OnExtension(f)
	away := isActivity(r.VoiceOffline, w)
	switch {
	case f.Flag != attributes.Enabled && onExtension:
		return StateStale
	case away:
		// No call is offered in this activity, and the contact URI is written
		// as soon as the extension registers.
		return StateOffline
	case f.Flag != attributes.Enabled, onExtension:
		return StateOK
	case h.OnExtension, h.LoggedIn:
		return StateDrift
	case isActivity(r.LoggedOut, w):
		return StatePending
	case !h.EnabledAt.IsZero() && !w.StatusChanged.After(h.EnabledAt):
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

// Learn is the history of a worker that was before and is now, as seen at a
// time. Nothing is known of when the flag was set on one that is new.
func (r Rules) Learn(h History, before, now Facts, was, is twilio.Worker, at time.Time) History {
	switch {
	case now.Flag != attributes.Enabled:
		return History{}
	case before.Flag == "":
	case before.Flag != attributes.Enabled:
		// A login seen in the same look may have come before the flag.
		h = History{EnabledAt: at}
	case isActivity(r.LoggedOut, was) && !isActivity(r.LoggedOut, is):
		h.LoggedIn = true
	}
	h.OnExtension = h.OnExtension || r.OnExtension(now)
	return h
}

// Repair is the edit that mends a stale worker: it takes the prefix off its
// contact URI and nothing else. No other state is mended by writing attributes.
func (r Rules) Repair() attributes.Edit {
	return attributes.Edit{ResetContactURI: true, Prefix: r.Prefix, URIOnly: true}
}
