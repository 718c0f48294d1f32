package media

import (
	"encoding/binary"
	"math"
	"strings"
)

// Keys of a telephone in the order of RFC 4733's event numbers.
const Keys = "0123456789*#"

const (
	digitFrames = 8 // 160 ms of tone, as the voice client itself sends
	pauseFrames = 4 // 80 ms of silence after it
)

// digit is a key that the customer presses, in frames of 20 ms.
type digit struct {
	key  byte
	from uint32 // RTP timestamp
	left int
}

func (d *digit) begin(key byte, timestamp uint32) {
	*d = digit{key: key, from: timestamp, left: digitFrames + pauseFrames}
}

func (d *digit) sounding() bool { return d.left > pauseFrames }
func (d *digit) first() bool    { return d.left == digitFrames+pauseFrames }
func (d *digit) tick()          { d.left = max(0, d.left-1) }

// event is the payload for the present frame and how often to send it: the last
// one three times, in case one is lost (RFC 4733, section 2.5.1.4).
func (d *digit) event() (payload [4]byte, copies int) {
	done := digitFrames + pauseFrames - d.left + 1
	payload[0] = byte(strings.IndexByte(Keys, d.key))
	payload[1] = 10 // -10 dBm0
	binary.BigEndian.PutUint16(payload[2:], uint16(done*FrameSamples))
	if done < digitFrames {
		return payload, 1
	}
	payload[1] |= 0x80 // the end
	return payload, 3
}

// mix replaces what is said by the key's tone, or by silence after it.
func (d *digit) mix(frame *[FrameSamples]int16) {
	if d.left == 0 {
		return
	}
	clear(frame[:])
	if d.sounding() {
		done := digitFrames + pauseFrames - d.left
		low, high := Tones(d.key)
		for i := range frame {
			t := float64(done*FrameSamples+i) / SampleRate
			frame[i] = int16(Amplitude(-12) * (math.Sin(2*math.Pi*low*t) + math.Sin(2*math.Pi*high*t)))
		}
	}
}

// Tones are the two frequencies, in Hz, of a key (ITU-T Q.23).
func Tones(key byte) (low, high float64) {
	const pad = "123456789*0#"
	at := strings.IndexByte(pad, key)
	return [...]float64{697, 770, 852, 941}[at/3], [...]float64{1209, 1336, 1477}[at%3]
}
