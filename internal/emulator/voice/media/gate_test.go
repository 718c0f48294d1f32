package media

import (
	"encoding/binary"
	"net"
	"runtime"
	"testing"
	"time"
)

func rtpPacket(ssrc uint32, seq uint16) []byte {
	b := make([]byte, 12+FrameSamples)
	b[0] = 2 << 6
	binary.BigEndian.PutUint16(b[2:], seq)
	binary.BigEndian.PutUint32(b[8:], ssrc)
	return b
}

// Packets that wait in the socket came when they came, not when they are read.
func TestGateKnowsWhenPacketsCame(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the kernel's time of arrival is read on Linux alone")
	}
	g, err := openGate(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	out, err := net.Dial("udp4", g.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()

	b := make([]byte, 1500)
	deadline := time.Now().Add(20 * time.Second)
	for seq := uint16(65530); ; seq++ {
		sent := time.Now()
		if _, err := out.Write(rtpPacket(7, seq)); err != nil {
			t.Fatal(err)
		}
		<-time.After(5 * ms) // what is measured is real time
		read := time.Now()
		if _, _, err := g.ReadFrom(b); err != nil {
			t.Fatal(err)
		}
		at := g.arrival(7, seq)
		// Two clocks are compared, so a little is granted.
		if at.Before(sent.Add(-ms)) {
			t.Fatalf("packet %d came %v before it was sent", seq, sent.Sub(at))
		}
		if at.Before(read.Add(-ms)) {
			return
		}
		// The kernel begins to keep the time a little after it is asked to, and
		// gives the packets of before that the time of reading.
		if time.Now().After(deadline) {
			t.Fatalf("packet %d came %v after it was sent, and was read after %v", seq, at.Sub(sent), read.Sub(sent))
		}
	}
}

func TestGateTakesAPacketItDoesNotKnowForNew(t *testing.T) {
	now := time.Unix(1000, 0)
	g := &gate{now: func() time.Time { return now }}
	g.note(rtpPacket(7, 300), nil)
	now = now.Add(time.Second)
	for _, c := range []struct {
		what string
		ssrc uint32
		seq  uint16
		want time.Duration
	}{
		{"known", 7, 300, 0},
		{"another source", 8, 300, time.Second},
		{"the same last byte", 7, 300 - 256, time.Second},
		{"never seen", 7, 301, time.Second},
	} {
		if got := g.arrival(c.ssrc, c.seq).Sub(time.Unix(1000, 0)); got != c.want {
			t.Errorf("%s: came after %v, want %v", c.what, got, c.want)
		}
	}
	receiverReport := rtpPacket(7, 302)
	receiverReport[1] = 201
	g.note(receiverReport, nil)
	if got := g.arrival(7, 302); got != now {
		t.Errorf("a receiver report was taken for media")
	}
	dtls := rtpPacket(7, 303)
	dtls[0] = 22
	g.note(dtls, nil)
	now = now.Add(time.Second)
	if got := g.arrival(7, 303); got != now {
		t.Errorf("a handshake was taken for media")
	}
}
