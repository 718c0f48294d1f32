// Package media is what is heard and said in a call of the voice edge: samples,
// the sounds of a customer, RTP over a connection with a browser, and the count
// of its packets. Who is called, and what signalling says of it, belongs to
// package voice.
package media

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/logging"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// FrameTime is how long a frame lasts.
const FrameTime = 20 * time.Millisecond

// Maker makes peers: what all calls' media connections have in common.
type Maker struct {
	certificate webrtc.Certificate
	log         logging.LoggerFactory
	rand        func() uint32
	now         func() time.Time
}

// New makes a Maker.
func New(log *slog.Logger, now func() time.Time, random func() uint32) (*Maker, error) {
	// One DTLS key for all calls: making one costs more than all else that
	// happens between an invite and its answer.
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	certificate, err := webrtc.GenerateCertificate(key)
	if err != nil {
		return nil, err
	}
	return &Maker{certificate: *certificate, log: pionLog{log}, rand: random, now: now}, nil
}

// Party is the one a peer works for. Its methods are called from the peer's
// goroutines.
type Party interface {
	// Say gives the next frame, every 20 ms, and the key to press now, if any;
	// while a key is pressed there is none.
	Say(frame *[FrameSamples]int16, pressing bool) (key byte)
	Sent(at time.Time, p Packet)
	// Heard takes a packet from the browser; samples are empty in one of a digit,
	// and digit is the key in the first of those.
	Heard(at time.Time, p Packet, samples []int16, digit byte)
	Happened(at time.Time, what Mark)
}

// Peer is one media connection with a browser. It has a UDP socket of its own,
// so that one call's media can be cut and no other's.
type Peer struct {
	party  Party
	now    func() time.Time
	rand   func() uint32
	pc     *webrtc.PeerConnection
	mux    ice.UDPMux
	gate   *gate
	track  *Track
	sender *webrtc.RTPSender

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	speak  sync.Once

	mu     sync.Mutex  // held while a description is taken or given
	server bool        // in DTLS: the peer made the first offer, and the browser began
	path   atomic.Bool // packets can be sent
	report atomic.Pointer[Report]
}

// Shut loses every packet from now on, both ways, or no longer.
func (p *Peer) Shut(on bool) { p.gate.shut.Store(on) }

// Strand loses everything from and to where the media has gone so far: a new
// path is well.
func (p *Peer) Strand() { p.gate.strand() }

// Dropped counts the packets that were lost on purpose.
func (p *Peer) Dropped() int { return int(p.gate.dropped.Load()) }

// Reported is the latest report of the browser; nil before the first.
func (p *Peer) Reported() *Report { return p.report.Load() }

// Mark is a point in the life of a call; its first time counts.
type Mark string

// The marks that a Peer tells its Party of.
const (
	MarkICE         Mark = "ice"          // connected
	MarkDTLS        Mark = "dtls"         // connected; from here the customer speaks
	MarkFirstPacket Mark = "first_packet" // heard from the agent
	MarkMediaLost   Mark = "media_lost"   // the connection was given up for a while
)

// Report is what the browser itself says, over RTCP, of the packets it was sent.
type Report struct {
	Lost   int           `json:"lost"`
	Jitter time.Duration `json:"jitter"`
}

// The codecs: the voice, and its digits as RFC 4733 events.
var (
	PCMU            = webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypePCMU, ClockRate: SampleRate}
	TelephoneEvents = webrtc.RTPCodecCapability{MimeType: "audio/telephone-event", ClockRate: SampleRate, SDPFmtpLine: "0-16"}
)

// Peer opens a socket for one media connection. It ends with ctx, and has to be
// closed.
func (m *Maker) Peer(ctx context.Context, who Party) (*Peer, error) {
	codecs := &webrtc.MediaEngine{}
	registry := &interceptor.Registry{}
	if err := errors.Join(
		codecs.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: PCMU, PayloadType: 0}, webrtc.RTPCodecTypeAudio),
		codecs.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: TelephoneEvents, PayloadType: 126}, webrtc.RTPCodecTypeAudio),
		webrtc.ConfigureRTCPReports(registry),
	); err != nil {
		return nil, err
	}
	gate, err := openGate(m.now)
	if err != nil {
		return nil, err
	}
	p := &Peer{party: who, now: m.now, rand: m.rand, gate: gate, track: &Track{}}
	p.mux = webrtc.NewICEUDPMux(m.log.NewLogger("mux"), p.gate)
	var engine webrtc.SettingEngine
	engine.LoggerFactory = m.log
	engine.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	engine.SetIncludeLoopbackCandidate(true)
	engine.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	engine.SetICEUDPMux(p.mux)
	// The browser's address shows in its checks, so there is no better candidate
	// to wait for. A lite agent would be simpler, but browsers take one round of
	// checks longer, 50 ms, before they send to it.
	engine.SetPrflxAcceptanceMinWait(0)
	engine.SetICETimeouts(15*time.Second, 60*time.Second, 2*time.Second)
	// The default of a second would be added to the time to the first word
	// whenever a browser is not yet ready for the first flight.
	engine.SetDTLSRetransmissionInterval(50 * time.Millisecond)
	engine.SetDTLSInsecureSkipHelloVerify(true)
	api := webrtc.NewAPI(webrtc.WithMediaEngine(codecs), webrtc.WithInterceptorRegistry(registry), webrtc.WithSettingEngine(engine))
	p.pc, err = api.NewPeerConnection(webrtc.Configuration{Certificates: []webrtc.Certificate{m.certificate}})
	if err != nil {
		return nil, errors.Join(err, p.mux.Close(), gate.Close())
	}
	p.ctx, p.cancel = context.WithCancel(ctx)
	if p.sender, err = p.pc.AddTrack(p.track); err != nil {
		p.Close()
		return nil, err
	}
	p.wg.Go(p.readReports)
	p.pc.OnICEConnectionStateChange(func(s webrtc.ICEConnectionState) {
		switch s {
		case webrtc.ICEConnectionStateConnected:
			p.path.Store(true)
			p.party.Happened(p.now(), MarkICE)
		case webrtc.ICEConnectionStateDisconnected, webrtc.ICEConnectionStateFailed:
			p.party.Happened(p.now(), MarkMediaLost)
		}
	})
	p.pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		if s == webrtc.PeerConnectionStateConnected {
			p.party.Happened(p.now(), MarkDTLS)
			p.speak.Do(func() { p.wg.Go(p.send) })
		}
	})
	p.pc.OnTrack(func(t *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { p.receive(t) })
	return p, nil
}

// Offer returns the SDP of an invite.
func (p *Peer) Offer() (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.server = true
	offer, err := p.pc.CreateOffer(nil)
	if err != nil {
		return "", err
	}
	return p.describe(offer)
}

// Accept takes the answer to the offer.
func (p *Peer) Accept(sdp string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: sdp})
}

// Answer takes a browser's offer, the first or one that restarts ICE. The
// browser sends no candidates: where it is shows in its connectivity checks.
func (p *Peer) Answer(sdp string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var old *webrtc.ICECandidatePair
	if known := p.pc.RemoteDescription(); known != nil && RestartsICE(known.SDP, sdp) {
		old, _ = p.sender.Transport().ICETransport().GetSelectedCandidatePair()
		p.path.Store(false)
	}
	if err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: sdp}); err != nil {
		return "", err
	}
	answer, err := p.pc.CreateAnswer(nil)
	if err != nil {
		return "", err
	}
	described, err := p.describe(answer)
	if old != nil && err == nil {
		// Until the browser has the answer and a new path it speaks on the old one,
		// which pion would no longer listen to.
		err = p.pc.AddICECandidate(webrtc.ICECandidateInit{
			Candidate: fmt.Sprintf("candidate:1 1 udp 1 %s %d typ host", old.Remote.Address, old.Remote.Port),
		})
	}
	if p.server {
		// The roles in DTLS stay as they are when ICE restarts (RFC 8842, section
		// 5.5). pion names itself active in every answer, which browsers refuse.
		described = strings.Replace(described, "a=setup:active", "a=setup:passive", 1)
	}
	return described, err
}

func (p *Peer) describe(local webrtc.SessionDescription) (string, error) {
	gathered := webrtc.GatheringCompletePromise(p.pc)
	if err := p.pc.SetLocalDescription(local); err != nil {
		return "", err
	}
	select {
	case <-gathered:
		return p.pc.LocalDescription().SDP, nil
	case <-p.ctx.Done():
		return "", p.ctx.Err()
	}
}

// Close ends the connection and waits for its goroutines. It must not be
// called from one of them.
func (p *Peer) Close() {
	p.cancel()
	_ = p.pc.GracefulClose()
	_ = p.mux.Close()
	_ = p.gate.Close()
	p.wg.Wait()
}

// send says a frame every 20 ms until the peer is closed. Each is due at a time
// counted from the start, so a late one does not make the others late and the
// clock does not drift.
func (p *Peer) send() {
	var (
		header    = rtp.Header{Version: 2, SequenceNumber: uint16(p.rand()), Timestamp: p.rand(), SSRC: p.track.SSRC}
		start     = p.now()
		timer     = time.NewTimer(0)
		frame     [FrameSamples]int16
		payload   [FrameSamples]byte
		digit     digit
		firstWord = true
	)
	defer timer.Stop()
	for i := 0; ; i++ {
		timer.Reset(start.Add(time.Duration(i) * FrameTime).Sub(p.now()))
		select {
		case <-p.ctx.Done():
			return
		case <-timer.C:
		}
		if key := p.party.Say(&frame, digit.left > 0); key != 0 {
			digit.begin(key, header.Timestamp)
		}
		if !p.track.Events || !digit.sounding() {
			digit.mix(&frame) // in the voice, where events are not understood
			for k, s := range frame {
				payload[k] = ToMulaw(s)
			}
			header.PayloadType, header.Marker = p.track.Voice, firstWord
			p.write(&header, payload[:], Packet{Level: Level(frame[:])})
		} else {
			event, copies := digit.event()
			h := header
			h.PayloadType, h.Timestamp, h.Marker = p.track.Event, digit.from, digit.first()
			for range copies {
				p.write(&h, event[:], Packet{Level: SilenceDBov, Event: true})
			}
			header.SequenceNumber = h.SequenceNumber
		}
		firstWord = false
		digit.tick()
		header.Timestamp += FrameSamples
	}
}

// write sends a packet. While ICE restarts there is no path for it, which pion
// keeps to itself: what was never sent leaves a gap and no missing number.
func (p *Peer) write(h *rtp.Header, payload []byte, what Packet) {
	if !p.path.Load() {
		return
	}
	if _, err := p.track.Writer.WriteRTP(h, payload); err != nil {
		return
	}
	what.SSRC, what.Seq, what.Timestamp, what.Size = h.SSRC, h.SequenceNumber, h.Timestamp, len(payload)
	p.party.Sent(p.now(), what)
	h.SequenceNumber++
	h.Marker = false
}

// receive hears the browser until the track ends.
func (p *Peer) receive(t *webrtc.TrackRemote) {
	var (
		buffer  = make([]byte, 1500)
		samples [4 * FrameSamples]int16
		in      rtp.Packet
		event   uint32
		inEvent bool
	)
	first := true
	for {
		n, _, err := t.Read(buffer)
		if err != nil {
			return
		}
		if in.Unmarshal(buffer[:n]) != nil {
			continue
		}
		at := p.gate.arrival(in.SSRC, in.SequenceNumber)
		if first {
			first = false
			p.party.Happened(at, MarkFirstPacket)
		}
		got := Packet{
			SSRC: in.SSRC, Seq: in.SequenceNumber, Timestamp: in.Timestamp, Size: len(in.Payload), Level: SilenceDBov,
		}
		if in.PayloadType != p.track.Voice {
			got.Event = true
			// A digit is many packets with one timestamp; the one with the end
			// bit may be lost, so the timestamp is what counts.
			var key byte
			if len(in.Payload) >= 4 && int(in.Payload[0]) < len(Keys) && (!inEvent || in.Timestamp != event) {
				inEvent, event, key = true, in.Timestamp, Keys[in.Payload[0]]
			}
			p.party.Heard(at, got, nil, key)
			continue
		}
		count := min(len(in.Payload), len(samples))
		for i, code := range in.Payload[:count] {
			samples[i] = FromMulaw[code]
		}
		got.Level = Level(samples[:count])
		p.party.Heard(at, got, samples[:count], 0)
	}
}

// readReports takes what the browser says of the packets it got.
func (p *Peer) readReports() {
	for {
		packets, _, err := p.sender.ReadRTCP()
		if err != nil {
			return
		}
		for _, report := range packets {
			rr, ok := report.(*rtcp.ReceiverReport)
			if !ok {
				continue
			}
			for _, r := range rr.Reports {
				p.report.Store(&Report{Lost: int(r.TotalLost), Jitter: time.Duration(r.Jitter) * time.Second / SampleRate})
			}
		}
	}
}

// Track is the voice that a browser hears. pion's own track knows one payload
// type; digits need a second on the same source.
type Track struct {
	Writer       webrtc.TrackLocalWriter
	SSRC         uint32
	Voice, Event uint8 // payload types
	Events       bool  // digits are told as such
}

func (t *Track) Bind(c webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	params := c.CodecParameters()
	voice := slices.IndexFunc(params, func(p webrtc.RTPCodecParameters) bool { return strings.EqualFold(p.MimeType, PCMU.MimeType) })
	if voice < 0 {
		return webrtc.RTPCodecParameters{}, webrtc.ErrUnsupportedCodec
	}
	event := slices.IndexFunc(params, func(p webrtc.RTPCodecParameters) bool {
		return strings.EqualFold(p.MimeType, TelephoneEvents.MimeType) && p.ClockRate == SampleRate
	})
	t.Writer, t.SSRC, t.Voice = c.WriteStream(), uint32(c.SSRC()), uint8(params[voice].PayloadType)
	if t.Events = event >= 0; t.Events {
		t.Event = uint8(params[event].PayloadType)
	}
	return params[voice], nil
}

func (t *Track) Unbind(webrtc.TrackLocalContext) error { return nil }
func (t *Track) ID() string                            { return "voice" }
func (t *Track) RID() string                           { return "" }
func (t *Track) StreamID() string                      { return "customer" }
func (t *Track) Kind() webrtc.RTPCodecType             { return webrtc.RTPCodecTypeAudio }

var _ webrtc.TrackLocal = (*Track)(nil)

// SameMedia reports whether two descriptions are of one and the same media
// connection: a reconnecting client sends the one it has, a new page cannot.
func SameMedia(a, b string) bool {
	fingerprint := attribute(a, "a=fingerprint:")
	return fingerprint != "" && fingerprint == attribute(b, "a=fingerprint:")
}

// RestartsICE reports whether the second description of a media connection
// begins ICE anew.
func RestartsICE(a, b string) bool {
	return attribute(a, "a=ice-ufrag:") != attribute(b, "a=ice-ufrag:")
}

func attribute(sdp, name string) string {
	for line := range strings.Lines(sdp) {
		if value, ok := strings.CutPrefix(line, name); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// pionLog sends what pion says to our log, all of it as debugging: pion calls
// a packet that comes after the end of a call an error.
type pionLog struct{ log *slog.Logger }

func (l pionLog) NewLogger(scope string) logging.LeveledLogger {
	return pionLog{l.log.With("part", scope)}
}
func (l pionLog) say(format string, args ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug("media: " + fmt.Sprintf(format, args...))
	}
}
func (l pionLog) Trace(string)              {}
func (l pionLog) Tracef(string, ...any)     {}
func (l pionLog) Debug(string)              {}
func (l pionLog) Debugf(string, ...any)     {}
func (l pionLog) Info(m string)             { l.say("%s", m) }
func (l pionLog) Infof(f string, a ...any)  { l.say(f, a...) }
func (l pionLog) Warn(m string)             { l.say("%s", m) }
func (l pionLog) Warnf(f string, a ...any)  { l.say(f, a...) }
func (l pionLog) Error(m string)            { l.say("%s", m) }
func (l pionLog) Errorf(f string, a ...any) { l.say(f, a...) }

var _ logging.LeveledLogger = pionLog{}
var _ io.Closer = (*gate)(nil)
