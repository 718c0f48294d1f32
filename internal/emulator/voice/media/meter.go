package media

import (
	"math"
	"slices"
	"sync"
	"time"
)

// Flow tells what became of one direction's RTP packets. Times are counted from
// the call's invite.
type Flow struct {
	Packets    int           `json:"packets"`    // every one that came, doubled ones too
	Bytes      int           `json:"bytes"`      // of payload
	Lost       int           `json:"lost"`       // sequence numbers that never came
	Duplicated int           `json:"duplicated"` // came again
	Reordered  int           `json:"reordered"`  // came after a later one
	First      time.Duration `json:"first"`      // when the first came
	Last       time.Duration `json:"last"`       // when the last came
	Jitter     time.Duration `json:"jitter"`     // RFC 3550, section 6.4.1; only of a whole call

	// LongestGap is the longest time without a packet, the time since the last
	// one included, and LongestGapAt is when it began. 20 ms is the best there is.
	LongestGap   time.Duration `json:"longest_gap"`
	LongestGapAt time.Duration `json:"longest_gap_at"`

	// The gap that 50, 99 and 99.9 % of the packets kept to; only of a window.
	Gap50  time.Duration `json:"gap_p50,omitempty"`
	Gap99  time.Duration `json:"gap_p99,omitempty"`
	Gap999 time.Duration `json:"gap_p999,omitempty"`

	// Level is that of the latest packet in dBov, of a window its loudest: 0 is
	// as loud as can be, -127 is silence, which is what a muted microphone sends.
	Level int `json:"level"`
	// Heard is when sound above -60 dBov was last there.
	Heard time.Duration `json:"heard"`
}

const quiet = -60 // dBov; below it nobody hears anything

// seen is how many sequence numbers back a packet can be told to be doubled.
const seen = 4096

// keep is how many arrivals can be looked at through a window: 55 minutes.
const keep = 1 << 17

// arrival is one packet in a meter's memory.
type arrival struct {
	at    time.Duration
	seq   int64 // unwrapped
	size  int16
	level int8
	fate  fate
}

type fate uint8

const (
	fine fate = iota
	late
	doubled
)

// Meter counts the packets of one direction of a call.
type Meter struct {
	mu       sync.Mutex
	flow     Flow
	began    bool
	ssrc     uint32
	wire     uint16 // the sequence number in the packet that highest stands for
	lowest   int64  // sequence numbers unwrapped
	highest  int64
	unique   int64
	bits     [seen / 64]uint64
	transit  time.Duration
	jitter   float64 // ns
	arrivals []arrival
}

// Packet is what a meter needs to know of an RTP packet.
type Packet struct {
	SSRC      uint32
	Seq       uint16
	Timestamp uint32
	Size      int
	Level     int
	Event     bool // RFC 4733: many packets share a timestamp
}

// Add counts a packet that came at the given time after the invite.
func (m *Meter) Add(at time.Duration, p Packet) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := &m.flow
	fresh := !m.began || p.SSRC != m.ssrc
	if !m.began {
		m.lowest, f.First, f.Last = 1, at, at
	}
	seq := m.highest + int64(int16(p.Seq-m.wire))
	if fresh {
		// Another source counts from where it likes: nothing is lost between.
		seq = m.highest + 1
	}
	m.began, m.ssrc = true, p.SSRC

	a := arrival{at: at, seq: seq, size: int16(min(p.Size, 1<<14)), level: int8(p.Level)}
	switch {
	case seq > m.highest:
		for s := m.highest + 1; s < seq && s <= m.highest+seen; s++ {
			m.mark(s, false)
		}
		m.highest, m.wire = seq, p.Seq
	case seq <= m.highest-seen || m.marked(seq):
		a.fate = doubled
	default:
		a.fate = late
	}
	switch a.fate {
	case doubled:
		f.Duplicated++
	case late:
		f.Reordered++
		fallthrough
	default:
		m.mark(seq, true)
		m.unique++
		m.lowest = min(m.lowest, seq)
	}

	if gap := at - f.Last; gap > f.LongestGap {
		f.LongestGap, f.LongestGapAt = gap, f.Last
	}
	if !p.Event && a.fate == fine {
		transit := at - time.Duration(p.Timestamp)*time.Second/SampleRate
		// A second or more is a timestamp that wrapped or a new source.
		if d := (transit - m.transit).Abs(); d < time.Second {
			m.jitter += (float64(d) - m.jitter) / 16
		}
		m.transit = transit
	}
	f.Packets++
	f.Bytes += p.Size
	f.Last = at
	f.Level = p.Level
	if p.Level > quiet {
		f.Heard = at
	}
	if len(m.arrivals) == keep {
		m.arrivals = append(m.arrivals[:0], m.arrivals[keep/2:]...)
	}
	m.arrivals = append(m.arrivals, a)
}

func (m *Meter) mark(seq int64, there bool) {
	word, bit := &m.bits[uint64(seq)%seen/64], uint64(1)<<(uint64(seq)%64)
	if there {
		*word |= bit
	} else {
		*word &^= bit
	}
}

func (m *Meter) marked(seq int64) bool {
	return m.bits[uint64(seq)%seen/64]&(1<<(uint64(seq)%64)) != 0
}

// Total is the whole call up to now, given as time since the invite.
func (m *Meter) Total(now time.Duration) Flow {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.flow
	if !m.began {
		f.Level = SilenceDBov
		return f
	}
	f.Lost = int(m.highest - m.lowest + 1 - m.unique)
	f.Jitter = time.Duration(m.jitter)
	if gap := now - f.Last; gap > f.LongestGap {
		f.LongestGap, f.LongestGapAt = gap, f.Last
	}
	return f
}

// Window is what came from one time to another. Its first and last gap are
// those to the window's edges, so nothing at all is one gap as long as the
// window. What is missing between the packet before the window and the last one
// in it is lost.
func (m *Meter) Window(from, to time.Duration) Flow {
	m.mu.Lock()
	arrivals := slices.Clone(m.arrivals)
	m.mu.Unlock()

	f := Flow{Level: SilenceDBov, First: from, Last: from}
	var gaps []time.Duration
	var highest, unique int64
	before := int64(math.MinInt64) // the latest packet of before the window
	gap := func(until time.Duration) {
		g := until - f.Last
		if g > f.LongestGap {
			f.LongestGap, f.LongestGapAt = g, f.Last
		}
		gaps = append(gaps, g)
	}
	for _, a := range arrivals {
		if a.at < from {
			before = max(before, a.seq)
		}
		if a.at < from || a.at > to {
			continue
		}
		if f.Packets == 0 {
			f.First = a.at
			if before == math.MinInt64 {
				before = a.seq - 1
			}
			highest = before
		}
		gap(a.at)
		f.Packets++
		f.Bytes += int(a.size)
		f.Last = a.at
		f.Level = max(f.Level, int(a.level))
		if a.level > quiet {
			f.Heard = a.at
		}
		highest = max(highest, a.seq)
		switch a.fate {
		case doubled:
			f.Duplicated++
			continue
		case late:
			f.Reordered++
		}
		if a.seq > before {
			unique++
		}
	}
	gap(to)
	if f.Packets > 0 {
		f.Lost = int(highest - before - unique)
	}
	slices.Sort(gaps)
	at := func(share float64) time.Duration { return gaps[int(share*float64(len(gaps)-1)+0.5)] }
	f.Gap50, f.Gap99, f.Gap999 = at(0.5), at(0.99), at(0.999)
	return f
}
