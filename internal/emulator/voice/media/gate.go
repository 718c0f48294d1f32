package media

import (
	"encoding/binary"
	"maps"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// gate is a call's UDP socket. It can be made to lose everything, and it knows
// when each RTP packet came to the machine, which on a busy one is long before
// somebody reads it.
type gate struct {
	*net.UDPConn
	now     func() time.Time
	shut    atomic.Bool
	dropped atomic.Int64

	control [128]byte // of the one goroutine that reads
	mu      sync.Mutex
	came    [256]rtpArrival             // by the sequence number's last byte
	far     map[netip.AddrPort]struct{} // who sent something
	gone    map[netip.AddrPort]struct{} // see strand
}

// strand loses from now on what comes from, and goes to, the addresses the
// browser has had so far. It is heard again from another, which ICE gives it.
func (g *gate) strand() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.gone == nil {
		g.gone = map[netip.AddrPort]struct{}{}
	}
	maps.Copy(g.gone, g.far)
}

func (g *gate) lost(far netip.AddrPort) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, gone := g.gone[netip.AddrPortFrom(far.Addr().Unmap(), far.Port())]
	return gone
}

// stranded tells whether the address has no path any more, and remembers it.
func (g *gate) stranded(far netip.AddrPort) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.far == nil {
		g.far = map[netip.AddrPort]struct{}{}
	}
	g.far[far] = struct{}{}
	_, gone := g.gone[far]
	return gone
}

type rtpArrival struct {
	ssrc uint32
	seq  uint16
	at   time.Time
}

// openGate listens on a free port of the loopback.
func openGate(now func() time.Time) (*gate, error) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	// Room for half a second of media while the process is not scheduled.
	_ = conn.SetReadBuffer(1 << 18)
	// Where the kernel keeps no time, that of reading has to do.
	_ = keepArrivals(conn)
	return &gate{UDPConn: conn, now: now}, nil
}

func (g *gate) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, controls, _, from, err := g.ReadMsgUDPAddrPort(b, g.control[:])
		if err != nil {
			return n, nil, err
		}
		if g.stranded(from) || g.shut.Load() {
			g.dropped.Add(1)
			continue
		}
		g.note(b[:n], g.control[:controls])
		return n, net.UDPAddrFromAddrPort(from), nil
	}
}

// note remembers when an RTP packet came. Encryption leaves its header legible;
// what shares the socket is told apart as RFC 7983 and RFC 5761 have it.
func (g *gate) note(packet, control []byte) {
	if len(packet) < 12 || packet[0]>>6 != 2 || packet[1]&0x7f >= 64 && packet[1]&0x7f < 96 {
		return
	}
	at := g.now()
	if stamp, ok := arrivedAt(control); ok {
		// The kernel tells the time of day; ours must go on evenly when that is set.
		if waited := time.Since(stamp); waited > 0 && waited < time.Minute {
			at = at.Add(-waited)
		}
	}
	a := rtpArrival{ssrc: binary.BigEndian.Uint32(packet[8:]), seq: binary.BigEndian.Uint16(packet[2:]), at: at}
	g.mu.Lock()
	g.came[byte(a.seq)] = a
	g.mu.Unlock()
}

// arrival is when a packet came, or now when that is not known any more.
func (g *gate) arrival(ssrc uint32, seq uint16) time.Time {
	g.mu.Lock()
	a := g.came[byte(seq)]
	g.mu.Unlock()
	if a.ssrc != ssrc || a.seq != seq || a.at.IsZero() {
		return g.now()
	}
	return a.at
}

func (g *gate) WriteTo(b []byte, to net.Addr) (int, error) {
	far, _ := to.(*net.UDPAddr)
	if g.shut.Load() || far != nil && g.lost(far.AddrPort()) {
		g.dropped.Add(1)
		return len(b), nil
	}
	return g.UDPConn.WriteTo(b, to)
}
