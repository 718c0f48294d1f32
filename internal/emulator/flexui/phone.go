package flexui

import (
	"context"
	"net/url"
	"strings"
)

// Phone rings voice clients: the emulated voice edge, in builds that have it.
type Phone interface {
	// Dial rings a client. An error is that nobody is there to be rung. The
	// context ends only the preparation.
	Dial(ctx context.Context, d Dialled) (Leg, error)
}

// Dialled is who is rung for an accepted task.
type Dialled struct {
	Identity   string            // of the voice client
	From       string            // the customer's number
	Parameters map[string]string // reach the client as the call's custom parameters
}

// Leg is the agent's part of a conference.
type Leg interface {
	SID() string               // the call's, CA and 32 hexadecimal digits
	Answered() <-chan struct{} // closed once the client has taken the call
	Ended() <-chan struct{}    // closed when the call is over, answered or not
	Hangup()
}

// Holder is a Leg that can be made to hear that the customer is on hold.
type Holder interface {
	Hold(on bool)
}

// dialled reads contact_uri as Flex sends it: client:IDENTITY?name=value.
func dialled(to string) (identity string, parameters map[string]string, ok bool) {
	address, query, _ := strings.Cut(to, "?")
	identity, ok = strings.CutPrefix(address, "client:")
	values, _ := url.ParseQuery(query) // what can be read of it
	parameters = make(map[string]string, len(values))
	for name := range values {
		parameters[name] = values.Get(name)
	}
	return identity, parameters, ok && identity != ""
}

// mute is a leg without a sound: of a build without a voice edge, or of an
// agent at an ordinary telephone.
type mute struct {
	sid      string
	answered chan struct{}
	hangup   func()
	ended    <-chan struct{}
}

func newMute(sid string) *mute {
	answered := make(chan struct{})
	close(answered)
	ctx, cancel := context.WithCancel(context.Background())
	return &mute{sid, answered, cancel, ctx.Done()}
}

func (m *mute) SID() string               { return m.sid }
func (m *mute) Answered() <-chan struct{} { return m.answered }
func (m *mute) Ended() <-chan struct{}    { return m.ended }
func (m *mute) Hangup()                   { m.hangup() }
