package voice

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

const frameTime = 20 * time.Millisecond

// media makes peers: what all calls' media connections have in common.
type media struct {
	certificate webrtc.Certificate
	log         logging.LoggerFactory
	rand        func() uint32
	now         func() time.Time
}

func newMedia(log *slog.Logger, now func() time.Time, random func() uint32) (*media, error) {
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
	return &media{certificate: *certificate, log: pionLog{log}, rand: random, now: now}, nil
}

// party is the one a peer works for. Its methods are called from the peer's
// goroutines.
type party interface {
	// say gives the next frame, every 20 ms, and the key to press now, if any;
	// while a key is pressed there is none.
	say(frame *[frameSamples]int16, pressing bool) (key byte)
	sent(at time.Time, p packet)
	// heard takes a packet from the browser; samples are empty in one of a digit,
	// and digit is the key in the first of those.
	heard(at time.Time, p packet, samples []int16, digit byte)
	happened(at time.Time, what Mark)
}

// peer is one media connection with a browser. It has a UDP socket of its own,
// so that one call's media can be cut and no other's.
type peer struct {
	party  party
	now    func() time.Time
	rand   func() uint32
	pc     *webrtc.PeerConnection
	mux    ice.UDPMux
	gate   *gate
	track  *track
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

// Report is what the browser itself says, over RTCP, of the packets it was sent.
type Report struct {
	Lost   int           `json:"lost"`
	Jitter time.Duration `json:"jitter"`
}

var (
	pcmu   = webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypePCMU, ClockRate: sampleRate}
	events = webrtc.RTPCodecCapability{MimeType: "audio/telephone-event", ClockRate: sampleRate, SDPFmtpLine: "0-16"}
)

func (m *media) peer(ctx context.Context, who party) (*peer, error) {
	codecs := &webrtc.MediaEngine{}
	registry := &interceptor.Registry{}
	if err := errors.Join(
		codecs.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: pcmu, PayloadType: 0}, webrtc.RTPCodecTypeAudio),
		codecs.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: events, PayloadType: 126}, webrtc.RTPCodecTypeAudio),
		webrtc.ConfigureRTCPReports(registry),
	); err != nil {
		return nil, err
	}
	gate, err := openGate(m.now)
	if err != nil {
		return nil, err
	}
	p := &peer{party: who, now: m.now, rand: m.rand, gate: gate, track: &track{}}
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
		p.close()
		return nil, err
	}
	p.wg.Go(p.readReports)
	p.pc.OnICEConnectionStateChange(func(s webrtc.ICEConnectionState) {
		switch s {
		case webrtc.ICEConnectionStateConnected:
			p.path.Store(true)
			p.party.happened(p.now(), MarkICE)
		case webrtc.ICEConnectionStateDisconnected, webrtc.ICEConnectionStateFailed:
			p.party.happened(p.now(), MarkMediaLost)
		}
	})
	p.pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		if s == webrtc.PeerConnectionStateConnected {
			p.party.happened(p.now(), MarkDTLS)
			p.speak.Do(func() { p.wg.Go(p.send) })
		}
	})
	p.pc.OnTrack(func(t *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { p.receive(t) })
	return p, nil
}

// offer returns the SDP of an invite.
func (p *peer) offer() (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.server = true
	offer, err := p.pc.CreateOffer(nil)
	if err != nil {
		return "", err
	}
	return p.describe(offer)
}

// accept takes the answer to the offer.
func (p *peer) accept(sdp string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: sdp})
}

// answer takes a browser's offer, the first or one that restarts ICE. The
// browser sends no candidates: where it is shows in its connectivity checks.
func (p *peer) answer(sdp string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var old *webrtc.ICECandidatePair
	if known := p.pc.RemoteDescription(); known != nil && restartsICE(known.SDP, sdp) {
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

func (p *peer) describe(local webrtc.SessionDescription) (string, error) {
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

// close ends the connection and waits for its goroutines. It must not be
// called from one of them.
func (p *peer) close() {
	p.cancel()
	_ = p.pc.GracefulClose()
	_ = p.mux.Close()
	_ = p.gate.Close()
	p.wg.Wait()
}

// send says a frame every 20 ms until the peer is closed. Each is due at a time
// counted from the start, so a late one does not make the others late and the
// clock does not drift.
func (p *peer) send() {
	var (
		header    = rtp.Header{Version: 2, SequenceNumber: uint16(p.rand()), Timestamp: p.rand(), SSRC: p.track.ssrc}
		start     = p.now()
		timer     = time.NewTimer(0)
		frame     [frameSamples]int16
		payload   [frameSamples]byte
		digit     digit
		firstWord = true
	)
	defer timer.Stop()
	for i := 0; ; i++ {
		timer.Reset(start.Add(time.Duration(i) * frameTime).Sub(p.now()))
		select {
		case <-p.ctx.Done():
			return
		case <-timer.C:
		}
		if key := p.party.say(&frame, digit.left > 0); key != 0 {
			digit.begin(key, header.Timestamp)
		}
		if !p.track.events || !digit.sounding() {
			digit.mix(&frame) // in the voice, where events are not understood
			for k, s := range frame {
				payload[k] = toMulaw(s)
			}
			header.PayloadType, header.Marker = p.track.voice, firstWord
			p.write(&header, payload[:], packet{level: level(frame[:])})
		} else {
			event, copies := digit.event()
			h := header
			h.PayloadType, h.Timestamp, h.Marker = p.track.event, digit.from, digit.first()
			for range copies {
				p.write(&h, event[:], packet{level: silenceDBov, event: true})
			}
			header.SequenceNumber = h.SequenceNumber
		}
		firstWord = false
		digit.tick()
		header.Timestamp += frameSamples
	}
}

// write sends a packet. While ICE restarts there is no path for it, which pion
// keeps to itself: what was never sent leaves a gap and no missing number.
func (p *peer) write(h *rtp.Header, payload []byte, what packet) {
	if !p.path.Load() {
		return
	}
	if _, err := p.track.writer.WriteRTP(h, payload); err != nil {
		return
	}
	what.ssrc, what.seq, what.timestamp, what.size = h.SSRC, h.SequenceNumber, h.Timestamp, len(payload)
	p.party.sent(p.now(), what)
	h.SequenceNumber++
	h.Marker = false
}

// receive hears the browser until the track ends.
func (p *peer) receive(t *webrtc.TrackRemote) {
	var (
		buffer  = make([]byte, 1500)
		samples [4 * frameSamples]int16
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
			p.party.happened(at, MarkFirstPacket)
		}
		got := packet{
			ssrc: in.SSRC, seq: in.SequenceNumber, timestamp: in.Timestamp, size: len(in.Payload), level: silenceDBov,
		}
		if in.PayloadType != p.track.voice {
			got.event = true
			// A digit is many packets with one timestamp; the one with the end
			// bit may be lost, so the timestamp is what counts.
			var key byte
			if len(in.Payload) >= 4 && int(in.Payload[0]) < len(keys) && (!inEvent || in.Timestamp != event) {
				inEvent, event, key = true, in.Timestamp, keys[in.Payload[0]]
			}
			p.party.heard(at, got, nil, key)
			continue
		}
		count := min(len(in.Payload), len(samples))
		for i, code := range in.Payload[:count] {
			samples[i] = fromMulaw[code]
		}
		got.level = level(samples[:count])
		p.party.heard(at, got, samples[:count], 0)
	}
}

// readReports takes what the browser says of the packets it got.
func (p *peer) readReports() {
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
				p.report.Store(&Report{Lost: int(r.TotalLost), Jitter: time.Duration(r.Jitter) * time.Second / sampleRate})
			}
		}
	}
}

// track is the voice that a browser hears. pion's own track knows one payload
// type; digits need a second on the same source.
type track struct {
	writer       webrtc.TrackLocalWriter
	ssrc         uint32
	voice, event uint8
	events       bool
}

func (t *track) Bind(c webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	params := c.CodecParameters()
	voice := slices.IndexFunc(params, func(p webrtc.RTPCodecParameters) bool { return strings.EqualFold(p.MimeType, pcmu.MimeType) })
	if voice < 0 {
		return webrtc.RTPCodecParameters{}, webrtc.ErrUnsupportedCodec
	}
	event := slices.IndexFunc(params, func(p webrtc.RTPCodecParameters) bool {
		return strings.EqualFold(p.MimeType, events.MimeType) && p.ClockRate == sampleRate
	})
	t.writer, t.ssrc, t.voice = c.WriteStream(), uint32(c.SSRC()), uint8(params[voice].PayloadType)
	if t.events = event >= 0; t.events {
		t.event = uint8(params[event].PayloadType)
	}
	return params[voice], nil
}

func (t *track) Unbind(webrtc.TrackLocalContext) error { return nil }
func (t *track) ID() string                            { return "voice" }
func (t *track) RID() string                           { return "" }
func (t *track) StreamID() string                      { return "customer" }
func (t *track) Kind() webrtc.RTPCodecType             { return webrtc.RTPCodecTypeAudio }

var _ webrtc.TrackLocal = (*track)(nil)

// sameMedia reports whether two descriptions are of one and the same media
// connection: a reconnecting client sends the one it has, a new page cannot.
func sameMedia(a, b string) bool {
	fingerprint := attribute(a, "a=fingerprint:")
	return fingerprint != "" && fingerprint == attribute(b, "a=fingerprint:")
}

// restartsICE reports whether the second description of a media connection
// begins ICE anew.
func restartsICE(a, b string) bool {
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
