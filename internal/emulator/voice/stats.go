package voice

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/flexvc/flexvc/internal/emulator/voice/media"
)

// State of a call.
type State string

const (
	Ringing      State = "ringing"
	Answering    State = "answering"    // taken, the answer is on its way
	InProgress   State = "in-progress"  //
	Reconnecting State = "reconnecting" // the agent's signalling is lost, its media may be well
	Ended        State = "ended"
)

// Reason why a call ended.
type Reason string

const (
	ReasonCustomer Reason = "customer"  // hung up
	ReasonCanceled Reason = "canceled"  // the customer gave up before an answer
	ReasonAgent    Reason = "agent"     // hung up
	ReasonBusy     Reason = "busy"      // rejected
	ReasonNoAnswer Reason = "no-answer" // rang too long
	ReasonLost     Reason = "lost"      // the agent's client did not come back
	ReasonFailed   Reason = "failed"    // no media could be agreed on
	ReasonClosed   Reason = "closed"    // the edge was closed
)

// Direction of a call, as the voice client sees it.
type Direction string

const (
	Inbound  Direction = "inbound"
	Outbound Direction = "outbound"
)

// Mark is a point in the life of a call; its first time counts.
type Mark = media.Mark

// Those of signalling stand beside those of the media connection.
const (
	MarkInvite      Mark = "invite"  // sent to the registered clients: the zero of all times
	MarkSocket      Mark = "socket"  // the socket that took the call was opened
	MarkConnect     Mark = "connect" // the client's own invite, or its answer, came
	MarkAnswer      Mark = "answer"  // sent, or accepted
	MarkICE              = media.MarkICE
	MarkDTLS             = media.MarkDTLS
	MarkFirstPacket      = media.MarkFirstPacket
	MarkMediaLost        = media.MarkMediaLost
	MarkEnd         Mark = "end"
)

// Digit is a key that the agent pressed.
type Digit struct {
	Key string        `json:"key"`
	At  time.Duration `json:"at"`
	Via string        `json:"via"` // rtp or signalling
}

// Stats are what is known of a call. Times are counted from its invite, or
// from the agent's own invite when the agent calls.
type Stats struct {
	SID       string    `json:"sid"`
	Identity  string    `json:"identity"`
	From      string    `json:"from"`
	To        string    `json:"to"`
	Direction Direction `json:"direction"`
	State     State     `json:"state"`
	Reason    Reason    `json:"reason,omitempty"`
	Owned     bool      `json:"owned"` // a client's socket holds it at this moment

	Began time.Time              `json:"began"`
	Age   time.Duration          `json:"age"`
	Marks map[Mark]time.Duration `json:"marks"`

	// The figures an agent notices; 0 until known.
	InviteToConnect     time.Duration `json:"invite_to_connect"`
	InviteToFirstPacket time.Duration `json:"invite_to_first_packet"`
	AnswerToFirstPacket time.Duration `json:"answer_to_first_packet"`

	Heard    media.Flow   `json:"heard"`    // from the agent
	Said     media.Flow   `json:"said"`     // to the agent, as it left here
	Reported media.Report `json:"reported"` // what the agent's browser says it missed

	Digits      []Digit           `json:"digits"`
	Messages    []json.RawMessage `json:"messages"`
	ICERestarts int               `json:"ice_restarts"`
	Reconnects  int               `json:"reconnects"`
	Dropped     int               `json:"dropped"` // packets lost on purpose
}

// Wait returns nil as soon as the condition holds, see Edge.Wait.
func (c *Call) Wait(ctx context.Context, condition func(Stats) bool) error {
	return c.edge.Wait(ctx, func() bool { return condition(c.Stats()) })
}

// Stats returns what is known at this moment.
func (c *Call) Stats() Stats {
	e := c.edge
	e.mu.Lock()
	s := Stats{
		SID: c.sid, Identity: c.identity, From: c.from, To: c.to, Direction: c.direction,
		State: c.state, Reason: c.reason, Owned: c.owner != nil, Began: c.began, Age: e.now().Sub(c.began),
		Messages: slices.Clone(c.messages), ICERestarts: c.restarts, Reconnects: c.reconnects, Dropped: c.droppedPackets(),
	}
	peer := c.peer
	e.mu.Unlock()
	if peer != nil {
		if report := peer.Reported(); report != nil {
			s.Reported = *report
		}
	}
	c.mu.Lock()
	s.Marks, s.Digits = maps.Clone(c.marks), slices.Clone(c.digits)
	c.mu.Unlock()
	if end, ended := s.Marks[MarkEnd]; ended {
		s.Age = end
	}
	s.InviteToConnect = s.Marks[MarkConnect]
	if first, heard := s.Marks[MarkFirstPacket]; heard {
		s.InviteToFirstPacket, s.AnswerToFirstPacket = first, first-s.Marks[MarkAnswer]
	}
	s.Heard, s.Said = c.in.Total(s.Age), c.out.Total(s.Age)
	return s
}

// Heard counts what came from the agent between two times since the invite, to
// look at what a fault did.
func (c *Call) Heard(from, to time.Duration) media.Flow { return c.in.Window(from, to) }

// Said counts what went to the agent between two times since the invite. Its
// gaps are the machine's own, to tell them from the call's.
func (c *Call) Said(from, to time.Duration) media.Flow { return c.out.Window(from, to) }
