package voice

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/flexvc/flexvc/internal/emulator/voice/media"
	"github.com/flexvc/flexvc/internal/problem"
)

// CallOptions describe a customer's call.
type CallOptions struct {
	Identity string // of the voice client: what follows "client:" in its address
	From     string // the customer's number; +15550100 if empty
	To       string // client:<identity> if empty

	// Parameters reach the agent as the call's custom parameters.
	Parameters map[string]string

	Audio   media.Source  // what the customer says; nil is silence
	Echo    bool          // the customer repeats what it hears instead
	Record  string        // a WAV file for what it hears; empty for none
	Timeout time.Duration // how long it rings; 30 s unless given
}

// Call is a call between a customer, which is emulated, and an agent's client.
type Call struct {
	edge       *Edge
	sid        string
	token      string // shows that a client may take the call; never logged
	identity   string
	from, to   string
	parameters map[string]string
	direction  Direction
	began      time.Time
	over       chan struct{} // closed when the call has ended
	done       chan struct{} // closed when its media and recording are closed too

	// Under edge.mu.
	state      State
	reason     Reason
	first      string           // the SID an outgoing call had at first
	forks      map[*socket]bool // the clients it rings at
	owner      *socket
	offered    *media.Peer // behind the invite's offer
	peer       *media.Peer
	remote     string // SDP
	local      string // SDP
	patience   *time.Timer
	absence    *time.Timer
	restarts   int
	reconnects int
	blocked    bool
	dropped    int
	messages   []json.RawMessage

	// in and out have locks of their own: packets do not wait for signalling.
	in, out media.Meter
	// What of it was heard from the agent, and said to the agent.
	heard, said media.Ear

	mu       sync.Mutex
	marks    map[Mark]time.Duration
	digits   []Digit
	source   media.Source
	echo     *echo
	seat     *seat  // in a conference
	keys     []byte // the customer is about to press
	recorder *media.Recorder
	recorded error
}

const (
	digitsKept   = 1024
	messagesKept = 256
	ringTime     = 30 * time.Second
)

func (e *Edge) newCall(o CallOptions, d Direction) (*Call, error) {
	if o.From == "" {
		o.From = "+15550100"
	}
	if o.To == "" {
		o.To = "client:" + o.Identity
	}
	c := &Call{
		edge: e, sid: e.sid("CA"), token: base64.RawURLEncoding.EncodeToString(e.bytes(32)),
		identity: o.Identity, from: o.From, to: o.To, parameters: maps.Clone(o.Parameters), direction: d,
		began: e.now(), over: make(chan struct{}), done: make(chan struct{}),
		forks: map[*socket]bool{}, marks: map[Mark]time.Duration{}, source: o.Audio,
	}
	if o.Echo {
		c.echo = &echo{}
		c.source = c.echo
	}
	if c.source == nil {
		c.source = media.Silence()
	}
	if o.Record != "" {
		var err error
		if c.recorder, err = media.NewRecorder(o.Record); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Call lets a customer call a registered client: it rings at every client of
// that identity. It returns when the invites are sent; the context ends only
// the preparation. Use Wait to follow the call and Hangup to end it.
func (e *Edge) Call(ctx context.Context, o CallOptions) (*Call, error) {
	offline := func() error {
		return problem.New(problem.WorkerOffline, "cannot call client:%s: no voice client is registered under that name", clipped(o.Identity))
	}
	if e.Registered(o.Identity) == 0 {
		return nil, offline()
	}
	c, err := e.newCall(o, Inbound)
	if err != nil {
		return nil, err
	}
	offered, err := e.media.Peer(e.ctx, customer{c})
	if err != nil {
		return nil, errors.Join(err, c.closeRecorder())
	}
	sdp, err := offered.Offer()
	if err == nil {
		err = ctx.Err()
	}

	e.mu.Lock()
	forks := e.registered(o.Identity)
	if err == nil && len(forks) == 0 {
		err = offline()
	}
	if err != nil || e.closed {
		e.mu.Unlock()
		offered.Close()
		return nil, errors.Join(err, c.closeRecorder())
	}
	defer e.mu.Unlock()
	c.offered, c.local = offered, sdp
	c.gate()
	e.calls[c.sid] = c
	c.began = e.now()
	c.stamp(MarkInvite, c.began)
	params := url.Values{}
	for name, value := range c.parameters {
		params.Set(name, value)
	}
	invite := encode("invite", object{
		"callsid": c.sid, "sdp": sdp, "reconnect": c.token,
		"parameters": object{
			"AccountSid": forks[0].claims.Account, "ApiVersion": "2010-04-01", "CallSid": c.sid, "From": c.from, "To": c.to,
			// The client reads this with decodeURIComponent, to which a plus is a plus.
			"Params": strings.ReplaceAll(params.Encode(), "+", "%20"),
		},
	})
	for _, s := range forks {
		c.forks[s] = true
		s.send(invite)
	}
	timeout := o.Timeout
	if timeout <= 0 {
		timeout = ringTime
	}
	c.patience = time.AfterFunc(timeout, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if c.state == Ringing {
			c.finish(ReasonNoAnswer, nil)
		}
	})
	c.enter(Ringing)
	return c, nil
}

// SID is the call's, CA and 32 hexadecimal digits.
func (c *Call) SID() string { return c.sid }

// Hangup lets the customer hang up, or give up while it rings.
func (c *Call) Hangup() {
	c.edge.mu.Lock()
	defer c.edge.mu.Unlock()
	if c.state == Ringing {
		c.finish(ReasonCanceled, nil)
	} else {
		c.finish(ReasonCustomer, nil)
	}
}

// Press lets the customer press keys, 0-9 * #, one after the other: RFC 4733
// events where the client takes them, else tones.
func (c *Call) Press(pressed string) error {
	if i := strings.IndexFunc(pressed, func(r rune) bool { return !strings.ContainsRune(media.Keys, r) }); i >= 0 {
		return problem.New(problem.Usage, "cannot press %q: a telephone has the keys 0-9, * and #", pressed[i:])
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.keys)+len(pressed) > digitsKept {
		return problem.New(problem.Usage, "cannot press more than %d keys at once", digitsKept)
	}
	c.keys = append(c.keys, pressed...)
	return nil
}

// Say changes what the customer says; nil is silence.
func (c *Call) Say(s media.Source) {
	if s == nil {
		s = media.Silence()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.source = s
}

// sit gives the call its seat in a conference, from which it hears the others
// and they hear it; nil takes it away.
func (c *Call) sit(s *seat) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seat = s
	if s != nil {
		c.source = s
	} else {
		c.source = media.Silence()
	}
}

// SendMessage sends a user-defined message to the client that holds the call
// and reports whether there was one.
func (c *Call) SendMessage(content any) bool {
	c.edge.mu.Lock()
	defer c.edge.mu.Unlock()
	if c.owner == nil || c.state != InProgress {
		return false
	}
	c.owner.send(encode("message", object{
		"callsid": c.sid, "content": content, "contenttype": "application/json",
		"messagetype": "user-defined-message", "voiceeventsid": c.edge.sid("KX"),
	}))
	return true
}

// BlockMedia loses every UDP packet of the call, both ways, until told
// otherwise.
func (c *Call) BlockMedia(block bool) {
	c.edge.mu.Lock()
	defer c.edge.mu.Unlock()
	c.blocked = block
	c.gate()
}

// gate opens or shuts the call's sockets. edge.mu is held.
func (c *Call) gate() {
	for _, p := range []*media.Peer{c.offered, c.peer} {
		if p != nil {
			p.Shut(c.blocked || c.edge.faults.BlockMedia)
		}
	}
}

// droppedPackets counts what the gates lost. edge.mu is held.
func (c *Call) droppedPackets() int {
	n := c.dropped
	if c.peer != nil {
		n += c.peer.Dropped()
	}
	return n
}

// Done is closed when the call has ended and its recording is complete.
func (c *Call) Done() <-chan struct{} { return c.done }

// Recorded tells, after Done, what went wrong with the recording.
func (c *Call) Recorded() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.recorded
}

// enter changes the state. edge.mu is held, as in everything below.
func (c *Call) enter(s State) {
	c.state = s
	c.edge.record(Event{Kind: "call." + string(s), CallSID: c.sid, Identity: c.identity, Detail: string(c.reason)})
}

// claim gives the call to one client; to all others it is cancelled. Telling
// the owner so would end its call.
func (c *Call) claim(s *socket) {
	c.owner = s
	for other := range c.forks {
		if other != s {
			other.send(encode("cancel", object{"callsid": c.sid}))
		}
	}
	clear(c.forks)
	c.patience.Stop()
	c.enter(Answering)
}

// connect makes the media connection for the client's offer and answers it.
func (c *Call) connect(sdp string) {
	e := c.edge
	if c.state != Answering || e.closed {
		return
	}
	var local string
	var p *media.Peer
	var err error
	e.unlocked(func() {
		if p, err = e.media.Peer(e.ctx, customer{c}); err == nil {
			if local, err = p.Answer(sdp); err != nil {
				p.Close()
			}
		}
	})
	if err != nil {
		e.log.Debug("voice edge: offer refused", "call", c.sid, "error", err)
		if c.state != Ended {
			c.finish(ReasonFailed, nil)
		}
		return
	}
	if c.state == Ended || e.closed {
		e.unlocked(p.Close)
		return
	}
	c.peer, c.local = p, local
	c.gate()
	if offered := c.offered; offered != nil {
		c.offered = nil
		e.wg.Go(offered.Close)
	}
	if c.owner != nil {
		c.owner.send(c.answerFrame())
	}
	c.answeredNow()
}

func (c *Call) answerFrame() []byte {
	return encode("answer", object{"callsid": c.sid, "sdp": c.local, "reconnect": c.token})
}

func (c *Call) answeredNow() {
	if c.state != Answering {
		return
	}
	c.stamp(MarkAnswer, c.edge.now())
	if c.owner != nil {
		c.enter(InProgress)
	} else {
		c.enter(Reconnecting)
	}
}

// abandoned is told of every socket that is lost.
func (c *Call) abandoned(s *socket) {
	delete(c.forks, s)
	if c.owner != s {
		return
	}
	c.owner = nil
	if s.window == 0 {
		c.finish(ReasonLost, nil)
		return
	}
	c.reconnects++
	if c.state == InProgress {
		c.enter(Reconnecting)
	}
	c.absence = time.AfterFunc(s.window, func() {
		c.edge.mu.Lock()
		defer c.edge.mu.Unlock()
		if c.owner == nil {
			c.finish(ReasonLost, nil)
		}
	})
}

// finish ends the call and tells everybody but the client it comes from.
func (c *Call) finish(why Reason, from *socket) {
	e := c.edge
	if c.state == Ended {
		return
	}
	for s := range c.forks {
		if s != from {
			s.send(encode("cancel", object{"callsid": c.sid}))
		}
	}
	if c.owner != nil && c.owner != from {
		payload := object{"callsid": c.sid}
		if why == ReasonFailed {
			payload["error"] = object{"code": codeUnsupported, "message": "not acceptable here"}
		}
		c.owner.send(encode("hangup", payload))
	}
	c.dropped = c.droppedPackets()
	offered, peer := c.offered, c.peer
	c.forks, c.owner, c.offered, c.peer = nil, nil, nil, nil
	for _, t := range []*time.Timer{c.patience, c.absence} {
		if t != nil {
			t.Stop()
		}
	}
	c.stamp(MarkEnd, e.now())
	c.reason = why
	delete(e.calls, c.sid)
	delete(e.calls, c.first)
	if len(e.ended) == endedKept {
		e.ended = slices.Delete(e.ended, 0, 1)
	}
	e.ended = append(e.ended, c)
	c.enter(Ended)
	close(c.over)
	e.wg.Go(func() {
		if offered != nil {
			offered.Close()
		}
		if peer != nil {
			peer.Close()
		}
		err := c.closeRecorder()
		c.mu.Lock()
		c.recorded = err
		c.mu.Unlock()
		close(c.done)
	})
}

func (c *Call) closeRecorder() error {
	c.mu.Lock()
	r := c.recorder
	c.recorder = nil
	c.mu.Unlock()
	if r == nil {
		return nil
	}
	return r.Close()
}

func (c *Call) took(message json.RawMessage) {
	if len(c.messages) < messagesKept {
		c.messages = append(c.messages, message)
		c.edge.ring()
	}
}
