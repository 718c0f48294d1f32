package media

import (
	"testing"
	"time"
)

const ms = time.Millisecond

// feed gives the meter packets 20 ms apart with the given sequence numbers.
func feed(m *Meter, seqs ...uint16) {
	for i, seq := range seqs {
		m.Add(time.Duration(i)*20*ms, Packet{Seq: seq, Timestamp: uint32(seq) * FrameSamples, Size: 160, Level: -20})
	}
}

func TestMeterCounts(t *testing.T) {
	for _, c := range []struct {
		name                   string
		seqs                   []uint16
		lost, doubled, swapped int
	}{
		{"in order", []uint16{10, 11, 12, 13}, 0, 0, 0},
		{"over the wrap", []uint16{65534, 65535, 0, 1}, 0, 0, 0},
		{"lost", []uint16{10, 11, 14, 15}, 2, 0, 0},
		{"lost over the wrap", []uint16{65535, 1}, 1, 0, 0},
		{"swapped", []uint16{10, 12, 11, 13}, 0, 0, 1},
		{"doubled", []uint16{10, 11, 11, 12}, 0, 1, 0},
		{"late and doubled", []uint16{10, 13, 11, 11, 14}, 1, 1, 1},
		{"before the first", []uint16{10, 9, 11}, 0, 0, 1},
		{"too old to tell", []uint16{10000, 20000, 10000}, 9999, 1, 0},
	} {
		var m Meter
		feed(&m, c.seqs...)
		end := time.Duration(len(c.seqs)-1) * 20 * ms
		for name, f := range map[string]Flow{"total": m.Total(end), "window": m.Window(0, end)} {
			if f.Lost != c.lost || f.Duplicated != c.doubled || f.Reordered != c.swapped || f.Packets != len(c.seqs) {
				t.Errorf("%s, %s: lost %d doubled %d reordered %d of %d, want %d %d %d of %d", c.name, name,
					f.Lost, f.Duplicated, f.Reordered, f.Packets, c.lost, c.doubled, c.swapped, len(c.seqs))
			}
			if f.LongestGap != 20*ms {
				t.Errorf("%s, %s: longest gap %v", c.name, name, f.LongestGap)
			}
		}
	}
}

func TestMeterTakesANewSourceForNoLoss(t *testing.T) {
	var m Meter
	m.Add(0, Packet{SSRC: 1, Seq: 100})
	m.Add(20*ms, Packet{SSRC: 2, Seq: 50000})
	m.Add(40*ms, Packet{SSRC: 2, Seq: 50002})
	if f := m.Total(40 * ms); f.Lost != 1 || f.Reordered != 0 {
		t.Errorf("lost %d reordered %d, want 1 and 0", f.Lost, f.Reordered)
	}
}

// A call that goes dead has a gap that grows, not one that is never counted.
func TestMeterSeesThePresentGap(t *testing.T) {
	var m Meter
	feed(&m, 1, 2, 3)
	if f := m.Total(3 * time.Second); f.LongestGap != 3*time.Second-40*ms || f.LongestGapAt != 40*ms {
		t.Errorf("gap of %v at %v", f.LongestGap, f.LongestGapAt)
	}
	if f := m.Window(time.Second, 2*time.Second); f.Packets != 0 || f.LongestGap != time.Second || f.Level != SilenceDBov {
		t.Errorf("an empty window: %+v", f)
	}
}

func TestMeterWindow(t *testing.T) {
	var m Meter
	for i := range 1000 {
		at := time.Duration(i) * 20 * ms
		if i >= 500 {
			at += 80 * ms // one gap of 100 ms
		}
		loud := SilenceDBov // muted in the second half
		if i < 500 {
			loud = -15
		}
		m.Add(at, Packet{Seq: uint16(i), Timestamp: uint32(i) * FrameSamples, Size: 160, Level: loud})
	}
	all := m.Window(0, 20*time.Second)
	if all.Gap50 != 20*ms || all.LongestGap != 100*ms || all.LongestGapAt != 499*20*ms || all.Level != -15 {
		t.Errorf("%+v", all)
	}
	muted := m.Window(11*time.Second, 20*time.Second)
	if muted.Level != SilenceDBov || muted.LongestGap != 20*ms || muted.Heard != 0 || muted.Lost != 0 {
		t.Errorf("%+v", muted)
	}
	if total := m.Total(20 * time.Second); total.Heard != 499*20*ms {
		t.Errorf("%+v", total)
	}
}

// Packets that come 10 ms early and late by turns have a jitter of 10 ms.
func TestMeterJitter(t *testing.T) {
	var m Meter
	for i := range 500 {
		at := time.Duration(i*20+i%2*10) * ms
		m.Add(at, Packet{Seq: uint16(i), Timestamp: uint32(i) * FrameSamples})
	}
	if j := m.Total(10 * time.Second).Jitter; j < 9*ms || j > 11*ms {
		t.Errorf("jitter %v", j)
	}
}

// A meter's memory has an end, its counts have not.
func TestMeterIsBounded(t *testing.T) {
	var m Meter
	for i := range keep + 1000 {
		m.Add(time.Duration(i)*20*ms, Packet{Seq: uint16(i), Size: 1})
	}
	if len(m.arrivals) > keep || m.Total(0).Packets != keep+1000 || m.Total(0).Lost != 0 {
		t.Errorf("%d arrivals kept, %d counted, %d lost", len(m.arrivals), m.Total(0).Packets, m.Total(0).Lost)
	}
}
