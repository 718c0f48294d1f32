package voice

import (
	"maps"
	"strings"
	"time"
)

// Faults is what goes wrong on purpose. The zero value is a healthy edge.
type Faults struct {
	// RefuseSockets answers 503 to whoever opens a socket.
	RefuseSockets bool `json:"refuse_sockets"`
	// RefuseEdge refuses the sockets of one of Twilio's edges, such as ashburn,
	// by the name they ask for; the others answer.
	RefuseEdge string `json:"refuse_edge"`
	// Silent takes frames and says nothing, not even heartbeats.
	Silent bool `json:"silent"`
	// Delay holds each frame back by so much.
	Delay time.Duration `json:"delay"`
	// Loss is the share of frames, from 0 to 1, that the network loses in each
	// direction. TCP sends them again, so they come late, and all behind them.
	Loss float64 `json:"loss"`
	// TokenError refuses every token with this code, such as 31204 or 31205.
	TokenError int `json:"token_error"`
	// RetryAfter, in seconds, goes with TokenError.
	RetryAfter int `json:"retry_after"`
	// CloseOnTokenError tells the client to give up after a refused token. It
	// makes the client's register() fail; without, that never settles.
	CloseOnTokenError bool `json:"close_on_token_error"`
	// DeadTakeover is what a client hears that takes over a call which is over:
	// DeadHangup, DeadError or DeadSilence.
	DeadTakeover DeadTakeover `json:"dead_takeover"`
	// BlockMedia loses every UDP packet of every call, both ways.
	BlockMedia bool `json:"block_media"`
}

// DeadTakeover names what answers a takeover of a call that is over.
type DeadTakeover string

const (
	DeadHangup  DeadTakeover = "" // hangup with 31404: the client's call ends
	DeadError   DeadTakeover = "error"
	DeadSilence DeadTakeover = "silence"
)

// SetFaults replaces the faults. With a lifetime above 0 they end by
// themselves, unless others were set meanwhile.
func (e *Edge) SetFaults(f Faults, lifetime time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.setFaults(f)
	if lifetime > 0 && !e.closed {
		id := e.faultID
		e.wg.Go(func() {
			timer := time.NewTimer(lifetime)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-e.ctx.Done():
				return
			}
			e.mu.Lock()
			defer e.mu.Unlock()
			if e.faultID == id {
				e.setFaults(Faults{})
			}
		})
	}
}

func (e *Edge) setFaults(f Faults) {
	e.faultID++
	e.faults = f
	for _, c := range e.live() {
		c.gate()
	}
	e.record(Event{Kind: "faults"})
}

// Faults returns the faults of this moment.
func (e *Edge) Faults() Faults {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.faults
}

// stall draws how long a frame is held back by loss: the first repetition
// comes after a round trip and 200 ms, each other after twice the time.
func (f *Faults) stall(draw func() float64) time.Duration {
	var all time.Duration
	for wait := f.Delay + 200*time.Millisecond; f.Loss > 0 && draw() < f.Loss && wait < 5*time.Second; wait *= 2 {
		all += wait
	}
	return all
}

// refused tells whether the fault strikes a socket to this host.
func (f *Faults) refused(host string) (name string, refuse bool) {
	switch {
	case f.RefuseSockets:
		return "refuse_sockets", true
	case f.RefuseEdge != "" && strings.Contains(host, "."+f.RefuseEdge+"."):
		return "refuse_edge", true
	}
	return "", false
}

// Fired counts how often each fault did something, by the names of their JSON
// fields, so that a test can tell a fault survived from one that never came.
func (e *Edge) Fired() map[string]int {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := maps.Clone(e.fired)
	for _, c := range append(e.live(), e.ended...) {
		if n := c.droppedPackets(); n > 0 {
			all["block_media"] += n
		}
	}
	return all
}

// Cut is how a socket is dropped: a WebSocket close code, or 0 to cut the TCP
// connection without a word.
type Cut int

// DropSockets drops the sockets of an identity, or all of them when it is
// empty, and returns how many there were.
func (e *Edge) DropSockets(identity string, how Cut) int {
	return e.each(identity, func(s *socket) {
		e.fired["drop_sockets"]++
		s.close(how)
	})
}

// Strand takes the path away under the sockets of an identity, or of all, as
// when a laptop changes its network: they stay open, and nothing comes through,
// which neither side is told. With calls, their media goes the same way. What
// the client opens afterwards is well. It returns how many sockets there were.
func (e *Edge) Strand(identity string, number int, calls bool) int {
	if calls {
		e.mu.Lock()
		for _, c := range e.live() {
			if c.peer != nil && (identity == "" || c.identity == identity) {
				c.peer.Strand()
			}
		}
		e.mu.Unlock()
	}
	n := 0
	e.each(identity, func(s *socket) {
		if number == 0 || s.id == number {
			s.stranded = true
			n++
		}
	})
	return n
}

// Send sends a frame of the given type to the sockets of an identity, or to
// all, and returns how many there were. It can say what Twilio never would.
func (e *Edge) Send(identity, kind string, payload map[string]any) int {
	return e.each(identity, func(s *socket) { s.send(encode(kind, payload)) })
}

// SendError sends an error of signalling, such as 31205 for a token that is
// expired, to the sockets of an identity, or to all.
func (e *Edge) SendError(identity string, code int, message string) int {
	return e.each(identity, func(s *socket) { s.send(errorFrame(&Refusal{code, message})) })
}

func (e *Edge) each(identity string, do func(*socket)) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := 0
	for _, s := range e.sockets {
		if identity == "" || s.claims != nil && s.claims.Identity == identity {
			n++
			do(s)
		}
	}
	return n
}
