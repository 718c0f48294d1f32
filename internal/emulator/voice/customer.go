package voice

import (
	"strings"
	"time"

	"github.com/flexvc/flexvc/internal/emulator/voice/media"
)

// What follows is called by peers, without edge.mu.

func (c *Call) stamp(m Mark, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, there := c.marks[m]; !there {
		c.marks[m] = max(0, at.Sub(c.began))
	}
}

func (c *Call) pressed(at time.Time, pressed, via string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range pressed {
		if len(c.digits) < digitsKept && strings.ContainsRune(media.Keys, key) {
			c.digits = append(c.digits, Digit{Key: string(key), At: at.Sub(c.began), Via: via})
		}
	}
}

// customer is the Call as its peers know it.
type customer struct{ *Call }

// Happened implements media.Party.
func (c customer) Happened(at time.Time, m Mark) { c.stamp(m, at) }

// Say implements media.Party.
func (c customer) Say(frame *[media.FrameSamples]int16, pressing bool) (key byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !pressing && len(c.keys) > 0 {
		key, c.keys = c.keys[0], c.keys[1:]
	}
	c.source.Frame(frame)
	c.said.Hear(frame[:])
	return key
}

// Sent implements media.Party.
func (c customer) Sent(at time.Time, p media.Packet) { c.out.Add(at.Sub(c.began), p) }

// Heard implements media.Party.
func (c customer) Heard(at time.Time, p media.Packet, samples []int16, digit byte) {
	c.in.Add(at.Sub(c.began), p)
	if digit != 0 {
		c.pressed(at, string(digit), "rtp")
	}
	if len(samples) == 0 {
		return
	}
	c.heard.Hear(samples)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seat != nil {
		c.seat.say(samples)
	}
	if c.echo != nil {
		c.echo.hear(samples)
	}
	if c.recorder != nil {
		c.recorder.Write(p.Timestamp, samples)
	}
}

var _ media.Party = customer{}

// echo says what it heard, at most a second late. The call's lock guards it.
type echo struct{ kept []int16 }

func (x *echo) hear(samples []int16) {
	x.kept = append(x.kept, samples...)
	if over := len(x.kept) - media.SampleRate; over > 0 {
		x.kept = x.kept[over:]
	}
}

func (x *echo) Frame(dst *[media.FrameSamples]int16) {
	n := copy(dst[:], x.kept)
	clear(dst[n:])
	x.kept = x.kept[n:]
}
