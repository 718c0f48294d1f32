package voice

import (
	"strings"
	"time"
)

// What follows is called by peers, without edge.mu.

func (c *Call) stamp(m Mark, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, there := c.marks[m]; !there {
		c.marks[m] = max(0, at.Sub(c.began))
	}
}

func (c *Call) happened(at time.Time, m Mark) { c.stamp(m, at) }

func (c *Call) pressed(at time.Time, pressed, via string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range pressed {
		if len(c.digits) < digitsKept && strings.ContainsRune(keys, key) {
			c.digits = append(c.digits, Digit{Key: string(key), At: at.Sub(c.began), Via: via})
		}
	}
}

func (c *Call) say(frame *[frameSamples]int16, pressing bool) (key byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !pressing && len(c.keys) > 0 {
		key, c.keys = c.keys[0], c.keys[1:]
	}
	c.source.Frame(frame)
	return key
}

func (c *Call) sent(at time.Time, p packet) { c.out.add(at.Sub(c.began), p) }

func (c *Call) heard(at time.Time, p packet, samples []int16, digit byte) {
	c.in.add(at.Sub(c.began), p)
	if digit != 0 {
		c.pressed(at, string(digit), "rtp")
	}
	if len(samples) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.echo != nil {
		c.echo.hear(samples)
	}
	if c.recorder != nil {
		c.recorder.write(p.timestamp, samples)
	}
}

var _ party = (*Call)(nil)

// echo says what it heard, at most a second late. The call's lock guards it.
type echo struct{ kept []int16 }

func (x *echo) hear(samples []int16) {
	x.kept = append(x.kept, samples...)
	if over := len(x.kept) - sampleRate; over > 0 {
		x.kept = x.kept[over:]
	}
}

func (x *echo) Frame(dst *[frameSamples]int16) {
	n := copy(dst[:], x.kept)
	clear(dst[n:])
	x.kept = x.kept[n:]
}
