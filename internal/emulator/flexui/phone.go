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
	// Conference opens a room with a customer, who is known by a call SID, and who
	// talks or says a tone of so many Hz.
	Conference(customer string, hz float64) Room
}

// Room is where the legs of a conference and its customer hear one another.
type Room interface {
	// Connect says who is in it from now on. It is not called twice at once.
	Connect([]Voice)
	Close()
}

// Voice is one of those in a Room.
type Voice struct {
	Leg     Leg  // nil is the customer
	Muted   bool // nobody hears it
	Hold    bool // it hears nothing, and nobody hears it
	Coaches Leg  // nobody but that leg hears it; nil is everybody
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
