package voice

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/flexvc/flexvc/internal/emulator/voice/media"
)

// Voice is one party of a conference.
type Voice struct {
	Call    *Call // nil is the customer
	Muted   bool  // nobody hears it
	Hold    bool  // it hears nothing, and nobody hears it
	Coaches *Call // that call alone hears it; nil is everybody
}

// Conference lets calls hear one another and an emulated customer, who has no
// call of its own.
type Conference struct {
	sid  string
	edge *Edge
	stop context.CancelFunc

	// What the customer heard and said.
	heard, said media.Ear

	mu    sync.Mutex
	seats []*seat
}

// seat is where a party sits. Conference.mu guards it.
type seat struct {
	conference *Conference
	voice      Voice
	inbox      map[*seat][]int16 // what it has yet to hear, by who said it
}

// lag is how much of a voice waits at most for who hears it: clocks differ.
const lag = media.SampleRate / 5

// Conference opens one, which is known by the customer's call SID until it is
// closed. It has nobody in it before Connect.
func (e *Edge) Conference(sid string, customer media.Source) *Conference {
	ctx, stop := context.WithCancel(e.ctx)
	c := &Conference{sid: sid, edge: e, stop: stop}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		stop()
		return c
	}
	e.conferences[sid] = c
	e.wg.Go(func() { c.customer(ctx, customer) })
	return c
}

// Close sends everybody home; the calls go on, and hear nothing.
func (c *Conference) Close() {
	c.stop()
	c.Connect(nil)
	c.edge.mu.Lock()
	delete(c.edge.conferences, c.sid)
	c.edge.mu.Unlock()
}

// Connect says who is there from now on, and who hears whom.
func (c *Conference) Connect(voices []Voice) {
	c.mu.Lock()
	before := c.seats
	c.seats = nil
	for _, v := range voices {
		s := &seat{conference: c, inbox: map[*seat][]int16{}}
		if i := slices.IndexFunc(before, func(s *seat) bool { return s.voice.Call == v.Call }); i >= 0 {
			s = before[i]
		}
		s.voice = v
		c.seats = append(c.seats, s)
	}
	for _, s := range c.seats {
		for other := range s.inbox {
			if !slices.Contains(c.seats, other) || !hears(s.voice, other.voice) {
				delete(s.inbox, other)
			}
		}
	}
	now := slices.Clone(c.seats)
	c.mu.Unlock()
	// A call's lock is taken before the conference's, never the other way round.
	for _, s := range before {
		if s.voice.Call != nil && !slices.Contains(now, s) {
			s.voice.Call.sit(nil)
		}
	}
	for _, s := range now {
		if s.voice.Call != nil {
			s.voice.Call.sit(s)
		}
	}
}

// hears reports whether one party hears another.
func hears(who, whom Voice) bool {
	return !who.Hold && !whom.Hold && !whom.Muted && (whom.Coaches == nil || whom.Coaches == who.Call)
}

// say gives what a party says to all who hear it.
func (s *seat) say(samples []int16) {
	c := s.conference
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Contains(c.seats, s) {
		return
	}
	for _, other := range c.seats {
		if other == s || !hears(other.voice, s.voice) {
			continue
		}
		waiting := append(other.inbox[s], samples...)
		if over := len(waiting) - lag; over > 0 {
			waiting = slices.Delete(waiting, 0, over)
		}
		other.inbox[s] = waiting
	}
}

// Frame implements media.Source: what the party hears.
func (s *seat) Frame(dst *[media.FrameSamples]int16) {
	s.conference.mu.Lock()
	defer s.conference.mu.Unlock()
	clear(dst[:])
	for other, waiting := range s.inbox {
		n := min(len(waiting), len(dst))
		for i, sample := range waiting[:n] {
			dst[i] = int16(max(-32768, min(32767, int(dst[i])+int(sample))))
		}
		s.inbox[other] = slices.Delete(waiting, 0, n)
	}
}

// customer speaks and listens, a frame every 20 ms.
func (c *Conference) customer(ctx context.Context, source media.Source) {
	tick := time.NewTicker(media.FrameTime)
	defer tick.Stop()
	var frame [media.FrameSamples]int16
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		c.mu.Lock()
		i := slices.IndexFunc(c.seats, func(s *seat) bool { return s.voice.Call == nil })
		var own *seat
		if i >= 0 {
			own = c.seats[i]
		}
		c.mu.Unlock()
		source.Frame(&frame)
		c.said.Hear(frame[:])
		if own == nil {
			continue
		}
		own.say(frame[:])
		own.Frame(&frame)
		c.heard.Hear(frame[:])
	}
}

// Tones are levels in dBov of the tones that were asked for, in that order.
type Tones struct {
	Heard []int `json:"heard"` // from the agent; of a customer, by it
	Said  []int `json:"said"`  // to the agent; of a customer, by it
}

func tones(heard, said *media.Ear, hz []float64) Tones {
	t := Tones{Heard: []int{}, Said: []int{}}
	for _, f := range hz {
		t.Heard, t.Said = append(t.Heard, heard.Tone(f)), append(t.Said, said.Tone(f))
	}
	return t
}

// Tones returns what of these frequencies, in Hz, was in the last second of a
// call, or of a customer in a conference; false if there is no such call.
func (e *Edge) Tones(sid string, hz []float64) (Tones, bool) {
	e.mu.Lock()
	conference, call := e.conferences[sid], e.calls[sid]
	e.mu.Unlock()
	switch {
	case conference != nil:
		return tones(&conference.heard, &conference.said, hz), true
	case call != nil:
		return tones(&call.heard, &call.said, hz), true
	}
	return Tones{}, false
}
