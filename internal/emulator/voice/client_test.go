package voice

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/golang-jwt/jwt/v5"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/flexvc/flexvc/internal/emulator/voice/media"
)

const (
	patience    = 10 * time.Second // with what must happen
	testAccount = "AC00000000000000000000000000000001"
	testKey     = "SK00000000000000000000000000000001"
	testSecret  = "only-for-these-tests"
)

func testKeys(sid string) (Key, bool) {
	return Key{Account: testAccount, Secret: testSecret}, sid == testKey
}

// mint makes a token of the shape that Twilio's helper library makes. Changes
// are made to it before it is signed.
func mint(t *testing.T, identity string, life time.Duration, changes ...func(header map[string]any, claims jwt.MapClaims)) string {
	t.Helper()
	now := time.Now()
	claims := jwt.MapClaims{
		"jti": fmt.Sprintf("%s-%d", testKey, now.Unix()), "iss": testKey, "sub": testAccount,
		"iat": now.Unix(), "exp": now.Add(life).Unix(),
		"grants": map[string]any{"identity": identity, "voice": map[string]any{"incoming": map[string]any{"allow": true}}},
	}
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, claims)
	token.Header["cty"] = "twilio-fpa;v=1"
	for _, change := range changes {
		change(token.Header, claims)
	}
	signed, err := token.SignedString([]byte(testSecret))
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// within is a context that ends the test when what it waits for does not come.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// served starts an edge on loopback and sees to it that its end is clean.
type served struct {
	*Edge
	t       *testing.T
	address string
}

func serve(t *testing.T, change func(*Options)) *served {
	t.Helper()
	before := runtime.NumGoroutine()
	options := Options{Keys: testKeys}
	if change != nil {
		change(&options)
	}
	e, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- e.Run(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ran; err != nil {
			t.Errorf("Run: %v", err)
		}
		noGoroutines(t, before)
	})
	return &served{Edge: e, t: t, address: ln.Addr().String()}
}

// noGoroutines waits until there are no more goroutines than before.
func noGoroutines(t *testing.T, before int) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for runtime.NumGoroutine() > before {
		select {
		case <-tick.C:
		case <-deadline:
			stacks := make([]byte, 1<<20)
			stacks = stacks[:runtime.Stack(stacks, true)]
			t.Errorf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, stacks)
			return
		}
	}
}

// http speaks to the edge as to one of Twilio's hosts, and checks its
// certificate for that host.
func (s *served) http(host string) (*http.Client, string) {
	roots := x509.NewCertPool()
	roots.AddCert(s.cert.Leaf)
	dialer := &net.Dialer{}
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", s.address)
		},
	}
	s.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}, "https://" + host
}

// frame is what a client hears from the edge.
type frame struct {
	Type    string
	Payload struct {
		CallSID    string            `json:"callsid"`
		SDP        string            `json:"sdp"`
		Reconnect  string            `json:"reconnect"`
		Parameters map[string]string `json:"parameters"`
		Error      struct {
			Code       int `json:"code"`
			RetryAfter int `json:"retryAfter"`
		} `json:"error"`
		Token struct {
			Identity string `json:"identity"`
			TTL      int    `json:"ttl"`
		} `json:"token"`
		Edge, Home, Gateway, Region string
		AckType                     string          `json:"acktype"`
		VoiceEventSID               string          `json:"voiceeventsid"`
		Content                     json.RawMessage `json:"content"`
	}
}

// client is one signalling socket that speaks as the voice client does.
type client struct {
	t      *testing.T
	conn   *websocket.Conn
	frames chan frame
	beats  chan struct{}
	closed chan websocket.StatusCode
}

func (s *served) open() *client {
	s.t.Helper()
	c, err := s.tryOpen()
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

func (s *served) tryOpen() (*client, error) {
	hc, base := s.http("voice-js.roaming.twilio.com")
	conn, _, err := websocket.Dial(within(s.t), base+"/signal", &websocket.DialOptions{
		HTTPClient: hc, HTTPHeader: http.Header{"Origin": {"chrome-extension://abcdefghijklmnopabcdefghijklmnop"}},
	})
	if err != nil {
		return nil, err
	}
	return newClient(s.t, conn), nil
}

func newClient(t *testing.T, conn *websocket.Conn) *client {
	c := &client{
		t: t, conn: conn, frames: make(chan frame, 64), beats: make(chan struct{}, 64), closed: make(chan websocket.StatusCode, 1),
	}
	conn.SetReadLimit(1 << 20)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			_, data, err := conn.Read(context.Background())
			if err != nil {
				c.closed <- websocket.CloseStatus(err)
				return
			}
			if string(data) == "\n" {
				_ = conn.Write(context.Background(), websocket.MessageText, data)
				c.beats <- struct{}{}
				continue
			}
			var f frame
			if err := json.Unmarshal(data, &f); err != nil {
				t.Errorf("frame %q: %v", data, err)
			}
			c.frames <- f
		}
	})
	t.Cleanup(func() {
		_ = conn.CloseNow()
		wg.Wait()
	})
	return c
}

// raw sends a frame as it is.
func (c *client) raw(format string, args ...any) {
	c.t.Helper()
	if err := c.conn.Write(within(c.t), websocket.MessageText, fmt.Appendf(nil, format, args...)); err != nil {
		c.t.Fatal(err)
	}
}

func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// The frames below have the shape, and the order of keys, in which version
// 2.18.5 of the voice client sends them.

func (c *client) listen(token string, reconnectTimeout int) {
	c.t.Helper()
	c.raw(`{"payload":{"browserinfo":{"browser":{"platform":"Linux x86_64","userAgent":"Mozilla/5.0"},"p":"browser","plugin":"rtc","v":"2.18.5"},"reconnectTimeout":%d,"token":%s},"type":"listen","version":"1.6"}`, reconnectTimeout, quote(token))
}

func (c *client) register(audio bool) {
	c.t.Helper()
	c.raw(`{"payload":{"media":{"audio":%t}},"type":"register","version":"1.6"}`, audio)
}

func (c *client) invite(sid, sdp, params string) {
	c.t.Helper()
	c.raw(`{"payload":{"callsid":%s,"sdp":%s,"twilio":{"params":%s}},"type":"invite","version":"1.6"}`, quote(sid), quote(sdp), quote(params))
}

func (c *client) takeover(sid, sdp, reconnect string) {
	c.t.Helper()
	c.raw(`{"payload":{"callsid":%s,"reconnect":%s,"sdp":%s,"twilio":{}},"type":"invite","version":"1.6"}`, quote(sid), quote(reconnect), quote(sdp))
}

func (c *client) answer(sid, sdp string) {
	c.t.Helper()
	c.raw(`{"payload":{"sdp":%s,"callsid":%s},"type":"answer","version":"1.6"}`, quote(sdp), quote(sid))
}

func (c *client) reinvite(sid, sdp string) {
	c.t.Helper()
	c.raw(`{"payload":{"sdp":%s,"callsid":%s},"type":"reinvite","version":"1.6"}`, quote(sdp), quote(sid))
}

func (c *client) about(kind, sid string) { // hangup and reject
	c.t.Helper()
	c.raw(`{"payload":{"callsid":%s},"type":"%s","version":"1.6"}`, quote(sid), kind)
}

func (c *client) dtmf(sid, digits string) {
	c.t.Helper()
	c.raw(`{"payload":{"callsid":%s,"dtmf":%s},"type":"dtmf","version":"1.6"}`, quote(sid), quote(digits))
}

// expect waits for the next frame, which must be of that type. What came before
// the socket was closed can still be expected after.
func (c *client) expect(kind string) frame {
	c.t.Helper()
	var f frame
	select {
	case f = <-c.frames:
	case code := <-c.closed:
		c.closed <- code
		select {
		case f = <-c.frames:
		default:
			c.t.Fatalf("the socket was closed with %d, want %s", code, kind)
		}
	case <-time.After(patience):
		c.t.Fatalf("no %s came", kind)
	}
	if f.Type != kind {
		c.t.Fatalf("got %s (error %d), want %s", f.Type, f.Payload.Error.Code, kind)
	}
	return f
}

// quiet makes sure that nothing came: the answer to a register is next.
func (c *client) quiet() {
	c.t.Helper()
	c.register(true)
	c.expect("ready")
}

// gone waits for the end of the socket.
func (c *client) gone() websocket.StatusCode {
	c.t.Helper()
	select {
	case code := <-c.closed:
		return code
	case <-time.After(patience):
		c.t.Fatal("the socket was not closed")
	}
	panic("unreachable")
}

// connected opens a socket with a token and no registration.
func (s *served) connected(identity string, reconnectTimeout int) *client {
	s.t.Helper()
	c := s.open()
	c.listen(mint(s.t, identity, time.Hour), reconnectTimeout)
	c.expect("connected")
	return c
}

// registered opens a socket that can be called.
func (s *served) registered(identity string) *client {
	s.t.Helper()
	c := s.connected(identity, 0)
	c.register(true)
	c.expect("ready")
	return c
}

// browser is the media half of a voice client: a peer connection as a browser
// has it, with a microphone that can be muted.
type browser struct {
	t      *testing.T
	pc     *webrtc.PeerConnection
	track  *media.Track
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex
	muted  bool
	skip   int  // packets to lose on the way
	swap   bool // send the next two in the wrong order
	press  []byte
	heard  media.Meter
	played []int16
	events []byte // keys
	began  time.Time
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	codecs := &webrtc.MediaEngine{}
	for _, codec := range []webrtc.RTPCodecParameters{
		{RTPCodecCapability: media.PCMU, PayloadType: 0},
		{RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}, PayloadType: 111},
		{RTPCodecCapability: media.TelephoneEvents, PayloadType: 126},
	} {
		if err := codecs.RegisterCodec(codec, webrtc.RTPCodecTypeAudio); err != nil {
			t.Fatal(err)
		}
	}
	var engine webrtc.SettingEngine
	engine.SetIncludeLoopbackCandidate(true)
	engine.SetIPFilter(net.IP.IsLoopback)
	engine.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	// A browser that was told to begin says so; pion would call itself passive to
	// a lite agent whatever it does.
	if err := engine.SetAnsweringDTLSRole(webrtc.DTLSRoleClient); err != nil {
		t.Fatal(err)
	}
	pc, err := webrtc.NewAPI(webrtc.WithMediaEngine(codecs), webrtc.WithSettingEngine(engine)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	b := &browser{t: t, pc: pc, track: &media.Track{}, cancel: cancel, began: time.Now()}
	if _, err := pc.AddTrack(b.track); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		if state == webrtc.PeerConnectionStateConnected {
			once.Do(func() { b.wg.Go(func() { b.talk(ctx) }) })
		}
	})
	pc.OnTrack(func(remote *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { b.hear(remote) })
	t.Cleanup(b.close)
	return b
}

func (b *browser) close() {
	b.cancel()
	_ = b.pc.GracefulClose()
	b.wg.Wait()
}

// offer has no candidates, as the voice client's.
func (b *browser) offer(restart bool) string {
	b.t.Helper()
	offer, err := b.pc.CreateOffer(&webrtc.OfferOptions{ICERestart: restart})
	if err != nil {
		b.t.Fatal(err)
	}
	if err := b.pc.SetLocalDescription(offer); err != nil {
		b.t.Fatal(err)
	}
	return offer.SDP
}

func (b *browser) take(answer string) {
	b.t.Helper()
	if err := b.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		b.t.Fatal(err)
	}
}

// reply answers an offer as the voice client does, which wants to begin DTLS.
func (b *browser) reply(offer string) string {
	b.t.Helper()
	offer = strings.ReplaceAll(offer, "a=setup:actpass", "a=setup:passive")
	if err := b.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		b.t.Fatal(err)
	}
	answer, err := b.pc.CreateAnswer(nil)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := b.pc.SetLocalDescription(answer); err != nil {
		b.t.Fatal(err)
	}
	return answer.SDP
}

// local is the description that a reconnecting client repeats.
func (b *browser) local() string {
	sdp := b.pc.LocalDescription().SDP
	var kept strings.Builder
	for line := range strings.Lines(sdp) {
		if !strings.HasPrefix(line, "a=candidate:") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

func (b *browser) talk(ctx context.Context) {
	header := rtp.Header{Version: 2, SequenceNumber: 65530, SSRC: b.track.SSRC, PayloadType: b.track.Voice}
	start, source := time.Now(), media.Tone(700, -12)
	timer := time.NewTimer(0)
	defer timer.Stop()
	var frame [media.FrameSamples]int16
	var payload [media.FrameSamples]byte
	for i := 0; ; i++ {
		timer.Reset(time.Until(start.Add(time.Duration(i) * media.FrameTime)))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		source.Frame(&frame)
		b.mu.Lock()
		if b.muted {
			clear(frame[:])
		}
		skip, swap, press := b.skip > 0, b.swap, b.press
		b.skip, b.swap, b.press = max(0, b.skip-1), false, nil
		b.mu.Unlock()
		for k, s := range frame {
			payload[k] = media.ToMulaw(s)
		}
		for _, key := range press {
			event := header
			event.PayloadType = b.track.Event
			for range 3 { // no end bit: it may be lost
				_, _ = b.track.Writer.WriteRTP(&event, []byte{byte(strings.IndexByte(media.Keys, key)), 10, 0, 160})
				event.SequenceNumber++
			}
			header.SequenceNumber = event.SequenceNumber
			header.Timestamp += media.FrameSamples
		}
		if !skip {
			_, _ = b.track.Writer.WriteRTP(&header, payload[:])
		}
		if swap {
			late := header
			late.SequenceNumber += 2
			_, _ = b.track.Writer.WriteRTP(&late, payload[:])
			late.SequenceNumber--
			_, _ = b.track.Writer.WriteRTP(&late, payload[:])
			header.SequenceNumber += 2
		}
		header.SequenceNumber++
		header.Timestamp += media.FrameSamples
	}
}

func (b *browser) hear(remote *webrtc.TrackRemote) {
	event := uint32(math.MaxUint32)
	for {
		in, _, err := remote.ReadRTP()
		if err != nil {
			return
		}
		var samples []int16
		if in.PayloadType == 0 {
			for _, code := range in.Payload {
				samples = append(samples, media.FromMulaw[code])
			}
		}
		b.heard.Add(time.Since(b.began), media.Packet{SSRC: in.SSRC, Seq: in.SequenceNumber, Timestamp: in.Timestamp, Size: len(in.Payload), Level: media.Level(samples), Event: in.PayloadType != 0})
		b.mu.Lock()
		b.played = append(b.played, samples...)
		if in.PayloadType == b.track.Event && b.track.Events && in.Timestamp != event {
			event = in.Timestamp
			b.events = append(b.events, media.Keys[in.Payload[0]])
		}
		b.mu.Unlock()
	}
}

func (b *browser) flow() media.Flow { return b.heard.Total(time.Since(b.began)) }

// until waits for a condition of a call.
func until(t *testing.T, c *Call, what string, condition func(Stats) bool) Stats {
	t.Helper()
	if err := c.Wait(within(t), condition); err != nil {
		t.Fatalf("%s did not happen: %+v", what, c.Stats())
	}
	return c.Stats()
}

func ended(s Stats) bool { return s.State == Ended }

func attribute(sdp, name string) string {
	for line := range strings.Lines(sdp) {
		if value, ok := strings.CutPrefix(line, name); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

const ms = time.Millisecond

func take(s media.Source, frames int) []int16 {
	var all []int16
	var frame [media.FrameSamples]int16
	for range frames {
		s.Frame(&frame)
		all = append(all, frame[:]...)
	}
	return all
}

// Known answers of G.711, and that a code survives the way there and back.
// crossings counts how often the signal changes its sign, twice per period.
func crossings(samples []int16) int {
	n := 0
	for i := 1; i < len(samples); i++ {
		if samples[i-1] < 0 != (samples[i] < 0) {
			n++
		}
	}
	return n
}
