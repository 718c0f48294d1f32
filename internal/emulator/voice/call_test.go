package voice

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/flexvc/flexvc/internal/emulator/voice/media"
	"github.com/flexvc/flexvc/internal/problem"
)

// ring calls alice and returns the call and the invites her clients got.
func (s *served) ring(o CallOptions, clients ...*client) (*Call, []frame) {
	s.t.Helper()
	if o.Identity == "" {
		o.Identity = "alice"
	}
	call, err := s.Call(within(s.t), o)
	if err != nil {
		s.t.Fatal(err)
	}
	var invites []frame
	for _, c := range clients {
		invites = append(invites, c.expect("invite"))
	}
	return call, invites
}

// taken is a call that rang at one client and was taken over by another, which
// is how the extension's offscreen document gets it.
type taken struct {
	call    *Call
	worker  *client // registered
	page    *client // holds the call
	browser *browser
	token   string // of the call
	answer  string // SDP
}

func (s *served) take(o CallOptions, reconnectTimeout int) taken {
	s.t.Helper()
	worker := s.registered("alice")
	call, invites := s.ring(o, worker)
	k := taken{call: call, worker: worker, browser: newBrowser(s.t), token: invites[0].Payload.Reconnect}
	k.page = s.connected("alice", reconnectTimeout)
	k.page.takeover(call.SID(), k.browser.offer(false), k.token)
	answer := k.page.expect("answer")
	if answer.Payload.CallSID != call.SID() || answer.Payload.Reconnect == "" {
		s.t.Fatalf("answer of %+v", answer.Payload)
	}
	k.answer = answer.Payload.SDP
	k.browser.take(k.answer)
	if cancel := worker.expect("cancel"); cancel.Payload.CallSID != call.SID() {
		s.t.Fatalf("cancel of %q", cancel.Payload.CallSID)
	}
	until(s.t, call, "audio from the agent", func(st Stats) bool { return st.Heard.Packets > 5 })
	return k
}

// The central flow: a worker is registered, a page takes the call over, sound
// goes both ways, the page hangs up.
func TestTakeover(t *testing.T) {
	s := serve(t, nil)
	recording := filepath.Join(t.TempDir(), "agent.wav")
	k := s.take(CallOptions{
		From: "+15550123", Parameters: map[string]string{"taskSid": "WT1", "name": "J\u00fcrgen & S\u00f6hne + Co"}, Audio: media.Tone(440, -6), Record: recording,
	}, 0)

	if err := s.Wait(within(t), func() bool { f := k.browser.flow(); return f.Packets > 20 && f.Level == -9 }); err != nil {
		t.Fatalf("the agent does not hear the customer's tone: %+v", k.browser.flow())
	}
	st := until(t, k.call, "the agent's tone", func(st Stats) bool { return st.Heard.Packets > 20 && st.Heard.Level == -15 })
	if st.State != InProgress || !st.Owned || st.Direction != Inbound || st.From != "+15550123" || st.To != "client:alice" {
		t.Errorf("%+v", st)
	}
	if st.Heard.Lost != 0 || st.Heard.Reordered != 0 || k.browser.flow().Lost != 0 {
		t.Errorf("packets were lost: %+v, %+v", st.Heard, k.browser.flow())
	}
	// Of the connection and the first packet on it, either is heard of first.
	for _, last := range []Mark{MarkDTLS, MarkFirstPacket} {
		order := []Mark{MarkInvite, MarkSocket, MarkConnect, MarkAnswer, last}
		for i := 1; i < len(order); i++ {
			if st.Marks[order[i-1]] > st.Marks[order[i]] || st.Marks[order[i]] == 0 {
				t.Errorf("%s at %v, %s at %v", order[i-1], st.Marks[order[i-1]], order[i], st.Marks[order[i]])
			}
		}
	}
	if st.InviteToConnect != st.Marks[MarkConnect] || st.AnswerToFirstPacket != st.InviteToFirstPacket-st.Marks[MarkAnswer] {
		t.Errorf("figures %v %v %v of %v", st.InviteToConnect, st.InviteToFirstPacket, st.AnswerToFirstPacket, st.Marks)
	}

	k.page.about("hangup", k.call.SID())
	st = until(t, k.call, "the end", ended)
	if st.Reason != ReasonAgent || st.Owned {
		t.Errorf("%+v", st)
	}
	k.page.raw(`{"payload":{"media":{"audio":false}},"type":"register","version":"1.6"}`)
	k.page.expect("offline") // and no hangup came back
	k.worker.quiet()

	select {
	case <-k.call.Done():
	case <-time.After(patience):
		t.Fatal("the recording is not finished")
	}
	if err := k.call.Recorded(); err != nil {
		t.Error(err)
	}
	file, err := os.Open(recording)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	samples, err := media.ReadWAV(file)
	if err != nil {
		t.Fatal(err)
	}
	second := samples[len(samples)/4 : len(samples)/4+10*media.FrameSamples]
	if n := crossings(second); n < 270 || n > 290 { // 0.2 s of 700 Hz
		t.Errorf("the recording crosses zero %d times, want 280", n)
	}
}

// The invite is what the voice client reads, with custom parameters that
// decodeURIComponent understands.
func TestInvite(t *testing.T) {
	s := serve(t, nil)
	first, second, other := s.registered("alice"), s.registered("alice"), s.registered("bob")
	call, invites := s.ring(CallOptions{Parameters: map[string]string{"name": "J\u00fcrgen + Co"}}, first, second)
	p := invites[0].Payload
	want := map[string]string{
		"AccountSid": testAccount, "ApiVersion": "2010-04-01", "CallSid": call.SID(), "From": "+15550100",
		"To": "client:alice", "Params": "name=J%C3%BCrgen%20%2B%20Co",
	}
	for name, value := range want {
		if p.Parameters[name] != value {
			t.Errorf("%s is %q, want %q", name, p.Parameters[name], value)
		}
	}
	if p.CallSID != call.SID() || len(call.SID()) != 34 || p.Reconnect == "" || invites[1].Payload.Reconnect != p.Reconnect {
		t.Errorf("call %q with token of %d characters", p.CallSID, len(p.Reconnect))
	}
	if attribute(p.SDP, "a=ice-ufrag:") == "" || attribute(p.SDP, "a=setup:") != "actpass" {
		t.Errorf("offer:\n%s", p.SDP)
	}
	other.quiet()
	call.Hangup()
	first.expect("cancel")
	second.expect("cancel")
	if st := call.Stats(); st.Reason != ReasonCanceled {
		t.Errorf("reason %s", st.Reason)
	}
	if _, err := s.Call(within(t), CallOptions{Identity: "carol"}); !problem.Is(err, problem.WorkerOffline) {
		t.Errorf("calling nobody: %v", err)
	}
}

// A registered page answers by itself, without handing the call on.
func TestDirectAnswer(t *testing.T) {
	s := serve(t, nil)
	page, other := s.registered("alice"), s.registered("alice")
	call, invites := s.ring(CallOptions{Audio: media.Speech(1)}, page, other)
	b := newBrowser(t)
	page.answer(call.SID(), b.reply(invites[0].Payload.SDP))
	other.expect("cancel")
	until(t, call, "audio", func(st Stats) bool { return st.State == InProgress && st.Heard.Packets > 10 })
	if err := s.Wait(within(t), func() bool { return b.flow().Packets > 10 }); err != nil {
		t.Fatal("the agent hears nothing")
	}
	other.answer(call.SID(), "v=0") // too late, and of no effect
	other.quiet()

	// A browser refuses an answer that turns the roles of DTLS round.
	page.reinvite(call.SID(), b.offer(true))
	restarted := page.expect("answer").Payload.SDP
	if role := attribute(restarted, "a=setup:"); role != "passive" {
		t.Errorf("the answer to an ICE restart says setup:%s, want passive", role)
	}
	b.take(restarted)
	heard := call.Stats().Heard.Packets
	until(t, call, "audio after the restart", func(st Stats) bool { return st.Heard.Packets > heard+10 })
	call.Hangup()
	if f := page.expect("hangup"); f.Payload.CallSID != call.SID() {
		t.Errorf("hangup of %q", f.Payload.CallSID)
	}
	if st := call.Stats(); st.Reason != ReasonCustomer {
		t.Errorf("reason %s", st.Reason)
	}
}

// Whoever gives up after the answer hangs up; a cancel would leave the page
// with a dead call.
func TestCustomerHangsUp(t *testing.T) {
	s := serve(t, nil)
	k := s.take(CallOptions{}, 30)
	k.call.Hangup()
	k.call.Hangup()
	k.page.expect("hangup")
	if st := k.call.Stats(); st.State != Ended || st.Reason != ReasonCustomer {
		t.Errorf("%+v", st)
	}
	k.page.quiet()
	k.worker.quiet()
}

func TestReject(t *testing.T) {
	s := serve(t, nil)
	first, second := s.registered("alice"), s.registered("alice")
	call, _ := s.ring(CallOptions{}, first, second)
	first.about("reject", call.SID())
	second.expect("cancel")
	first.quiet() // a cancel would come back to who rejected
	if st := until(t, call, "the end", ended); st.Reason != ReasonBusy {
		t.Errorf("reason %s", st.Reason)
	}
}

// The page could not open the microphone: it hangs up what still rings.
func TestHangupWhileRinging(t *testing.T) {
	s := serve(t, nil)
	worker := s.registered("alice")
	call, _ := s.ring(CallOptions{}, worker)
	stranger := s.connected("bob", 0)
	stranger.about("hangup", call.SID())
	stranger.quiet()
	if st := call.Stats(); st.State != Ringing {
		t.Fatalf("a stranger ended the call: %+v", st)
	}
	page := s.connected("alice", 0)
	page.about("hangup", call.SID())
	worker.expect("cancel")
	if st := until(t, call, "the end", ended); st.Reason != ReasonAgent {
		t.Errorf("reason %s", st.Reason)
	}
}

func TestNoAnswer(t *testing.T) {
	s := serve(t, nil)
	worker := s.registered("alice")
	call, _ := s.ring(CallOptions{Timeout: 20 * ms}, worker)
	worker.expect("cancel")
	if st := until(t, call, "the end", ended); st.Reason != ReasonNoAnswer {
		t.Errorf("reason %s", st.Reason)
	}
}

// A call that is over, somebody else's, or taken already is not given away.
func TestTakeoverRefused(t *testing.T) {
	s := serve(t, nil)
	worker := s.registered("alice")
	call, invites := s.ring(CallOptions{}, worker)
	token, sdp := invites[0].Payload.Reconnect, newBrowser(t).offer(false)
	refused := func(what, identity, sid, token string, code int) {
		t.Helper()
		c := s.connected(identity, 0)
		c.takeover(sid, sdp, token)
		if f := c.expect("hangup"); f.Payload.Error.Code != code || f.Payload.CallSID != sid {
			t.Errorf("%s: hangup of %s with %d, want %d", what, f.Payload.CallSID, f.Payload.Error.Code, code)
		}
	}
	refused("another agent", "bob", call.SID(), token, 31201)
	refused("a wrong token", "alice", call.SID(), token+"x", 31201)
	refused("an unknown call", "alice", "CA0", token, 31404)
	worker.quiet()
	if st := call.Stats(); st.State != Ringing {
		t.Fatalf("a refused takeover changed the call: %+v", st)
	}
	call.Hangup()
	worker.expect("cancel")
	refused("a dead call", "alice", call.SID(), token, 31404)
}

// Media that only Opus could carry: the edge has no Opus encoder and says so.
func TestNoCommonCodec(t *testing.T) {
	s := serve(t, nil)
	worker := s.registered("alice")
	call, invites := s.ring(CallOptions{}, worker)
	page := s.connected("alice", 0)
	page.takeover(call.SID(), "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=rtpmap:111 opus/48000/2\r\n", invites[0].Payload.Reconnect)
	if f := page.expect("hangup"); f.Payload.Error.Code != codeUnsupported {
		t.Errorf("code %d", f.Payload.Error.Code)
	}
	if st := until(t, call, "the end", ended); st.Reason != ReasonFailed {
		t.Errorf("reason %s", st.Reason)
	}
}

func TestDigits(t *testing.T) {
	s := serve(t, nil)
	k := s.take(CallOptions{}, 0)
	k.browser.mu.Lock()
	k.browser.press = []byte("15#0*")
	k.browser.mu.Unlock()
	k.page.dtmf(k.call.SID(), "42w#")
	st := until(t, k.call, "eight digits", func(st Stats) bool { return len(st.Digits) == 8 })
	got := map[string]string{}
	for _, d := range st.Digits {
		got[d.Via] += d.Key
	}
	if got["rtp"] != "15#0*" || got["signalling"] != "42#" {
		t.Errorf("digits %v", got)
	}
	if st.Heard.Lost != 0 {
		t.Errorf("%d packets lost", st.Heard.Lost)
	}

	if err := k.call.Press("7*1x"); !problem.Is(err, problem.Usage) {
		t.Errorf("pressing x: %v", err)
	}
	if err := k.call.Press("7*11"); err != nil {
		t.Fatal(err)
	}
	if err := s.Wait(within(t), func() bool {
		k.browser.mu.Lock()
		defer k.browser.mu.Unlock()
		return string(k.browser.events) == "7*11"
	}); err != nil {
		t.Errorf("the agent got %q, want 7*11", k.browser.events)
	}
	if f := k.browser.flow(); f.Lost != 0 {
		t.Errorf("pressing keys lost %d packets", f.Lost)
	}
}

// A muted microphone sends silence at the pace of speech.
func TestMute(t *testing.T) {
	s := serve(t, nil)
	k := s.take(CallOptions{}, 0)
	k.browser.mu.Lock()
	k.browser.muted = true
	k.browser.mu.Unlock()
	st := until(t, k.call, "200 ms of silence", func(st Stats) bool { return st.Heard.Last-st.Heard.Heard > 200*ms })
	if f := k.call.Heard(st.Heard.Heard+1, st.Heard.Last); f.Level != media.SilenceDBov || f.Packets < 9 || f.Lost != 0 {
		t.Errorf("muted: %+v", f)
	}
	k.browser.mu.Lock()
	k.browser.muted = false
	k.browser.mu.Unlock()
	until(t, k.call, "sound", func(st Stats) bool { return st.Heard.Level == -15 })
}

// What is lost, and what comes out of order, is counted and not smoothed over.
func TestBadNetworkIsCounted(t *testing.T) {
	s := serve(t, nil)
	k := s.take(CallOptions{}, 0)
	k.browser.mu.Lock()
	k.browser.skip = 3
	k.browser.mu.Unlock()
	until(t, k.call, "a gap", func(st Stats) bool { return st.Heard.LongestGap > 60*ms && st.Heard.Lost == 3 })
	k.browser.mu.Lock()
	k.browser.swap = true
	k.browser.mu.Unlock()
	st := until(t, k.call, "a packet out of order", func(st Stats) bool { return st.Heard.Reordered == 1 })
	if st.Heard.Duplicated != 0 {
		t.Errorf("%+v", st.Heard)
	}
	until(t, k.call, "the loss and no more", func(st Stats) bool { return st.Heard.Lost == 3 })
}

func TestMessages(t *testing.T) {
	s := serve(t, nil)
	k := s.take(CallOptions{}, 0)
	k.page.raw(`{"payload":{"callsid":%q,"content":{"a":1},"contenttype":"application/json","messagetype":"user-defined-message","voiceeventsid":"KX0123"},"type":"message","version":"1.6"}`, k.call.SID())
	if f := k.page.expect("ack"); f.Payload.AckType != "message" || f.Payload.VoiceEventSID != "KX0123" || f.Payload.CallSID != k.call.SID() {
		t.Errorf("ack %+v", f.Payload)
	}
	var message struct{ Content struct{ A int } }
	if st := k.call.Stats(); len(st.Messages) != 1 || json.Unmarshal(st.Messages[0], &message) != nil || message.Content.A != 1 {
		t.Errorf("messages %s", st.Messages)
	}
	if !k.call.SendMessage(map[string]int{"b": 2}) {
		t.Error("nobody to send it to")
	}
	if f := k.page.expect("message"); string(f.Payload.Content) != `{"b":2}` || len(f.Payload.VoiceEventSID) != 34 {
		t.Errorf("message %+v", f.Payload)
	}
}

// The network changed: new ICE credentials on the same connection.
func TestICERestart(t *testing.T) {
	s := serve(t, nil)
	k := s.take(CallOptions{Audio: media.Tone(440, -6)}, 0)
	before := k.browser.flow().Packets
	k.page.reinvite(k.call.SID(), k.browser.offer(true))
	answer := k.page.expect("answer").Payload.SDP
	if attribute(answer, "a=ice-ufrag:") == attribute(k.answer, "a=ice-ufrag:") {
		t.Error("the answer has the old ICE credentials")
	}
	if attribute(answer, "a=fingerprint:") != attribute(k.answer, "a=fingerprint:") {
		t.Error("the answer is another DTLS connection")
	}
	k.browser.take(answer)
	heard := k.call.Stats().Heard.Packets
	st := until(t, k.call, "audio after the restart", func(st Stats) bool { return st.Heard.Packets > heard+25 })
	if err := s.Wait(within(t), func() bool { return k.browser.flow().Packets > before+25 }); err != nil {
		t.Error("the agent hears nothing after the restart")
	}
	// This client, unlike a browser, leaves its old path before it has a new one.
	if st.ICERestarts != 1 || st.Heard.Lost > 15 {
		t.Errorf("%d restarts, %d lost", st.ICERestarts, st.Heard.Lost)
	}
	// It reconnects with the credentials it has now.
	page := s.connected("alice", 0)
	page.takeover(k.call.SID(), k.browser.local(), k.token)
	if f := page.expect("answer"); f.Payload.SDP != answer {
		t.Error("reconnecting after a restart brings another answer")
	}
}

// The socket is lost in a call: the call waits, the client comes back with the
// same media, and the customer heard nothing of it.
func TestSignallingLost(t *testing.T) {
	s := serve(t, nil)
	k := s.take(CallOptions{}, 30)
	if n := s.DropSockets("alice", 0); n != 2 {
		t.Errorf("%d sockets dropped, want 2", n)
	}
	if code := k.page.gone(); code != -1 {
		t.Errorf("closed with %d, want a cut", code)
	}
	until(t, k.call, "reconnecting", func(st Stats) bool { return st.State == Reconnecting })

	thief := s.connected("alice", 30)
	thief.takeover(k.call.SID(), newBrowser(t).offer(false), k.token)
	if f := thief.expect("hangup"); f.Payload.Error.Code != codeBusy {
		t.Errorf("other media: %d, want %d", f.Payload.Error.Code, codeBusy)
	}

	page := s.connected("alice", 30)
	page.takeover(k.call.SID(), k.browser.local(), k.token)
	if f := page.expect("answer"); f.Payload.SDP != k.answer {
		t.Error("the answer is not the one the client has")
	}
	st := until(t, k.call, "reconnected", func(st Stats) bool { return st.State == InProgress && st.Owned })
	heard := st.Heard.Packets
	st = until(t, k.call, "audio", func(st Stats) bool { return st.Heard.Packets > heard+10 })
	if st.Heard.Lost != 0 || st.Reconnects != 1 {
		t.Errorf("%+v", st)
	}
	k.call.Hangup()
	page.expect("hangup")
}

// The network is gone, signalling and media: the client restarts ICE in vain,
// and comes back with the description of that attempt.
func TestNetworkLost(t *testing.T) {
	s := serve(t, nil)
	k := s.take(CallOptions{}, 30)
	s.DropSockets("alice", 0)
	k.page.gone()
	until(t, k.call, "reconnecting", func(st Stats) bool { return st.State == Reconnecting })

	page := s.connected("alice", 30)
	page.takeover(k.call.SID(), k.browser.offer(true), k.token)
	answer := page.expect("answer").Payload.SDP
	if !media.RestartsICE(k.answer, answer) || !media.SameMedia(k.answer, answer) {
		t.Error("the answer is not of a restart of ICE in the same connection")
	}
	k.browser.take(answer)
	heard := k.call.Stats().Heard.Packets
	st := until(t, k.call, "audio", func(st Stats) bool { return st.State == InProgress && st.Heard.Packets > heard+25 })
	if st.ICERestarts != 1 || st.Reconnects != 1 {
		t.Errorf("%d restarts, %d reconnects", st.ICERestarts, st.Reconnects)
	}
}

// A hang-up that waited for the connection is sent before the client says which
// call it has.
func TestHangupAfterReconnecting(t *testing.T) {
	s := serve(t, nil)
	k := s.take(CallOptions{}, 30)
	s.DropSockets("alice", 1011)
	if code := k.page.gone(); code != 1011 {
		t.Errorf("closed with %d", code)
	}
	until(t, k.call, "reconnecting", func(st Stats) bool { return st.State == Reconnecting })
	page := s.connected("alice", 30)
	page.about("hangup", k.call.SID())
	if st := until(t, k.call, "the end", ended); st.Reason != ReasonAgent {
		t.Errorf("reason %s", st.Reason)
	}
}

// Nobody comes back.
func TestSignallingLostForGood(t *testing.T) {
	for _, window := range []int{0, 1} {
		s := serve(t, nil)
		k := s.take(CallOptions{}, window)
		_ = k.page.conn.CloseNow()
		st := until(t, k.call, "the end", ended)
		if st.Reason != ReasonLost || st.Reconnects != window {
			t.Errorf("window of %d s: %+v", window, st)
		}
		page := s.connected("alice", 30)
		page.takeover(k.call.SID(), k.browser.local(), k.token)
		if f := page.expect("hangup"); f.Payload.Error.Code != codeNotFound {
			t.Errorf("code %d", f.Payload.Error.Code)
		}
	}
}

// A new token on the socket of a call makes the client say again which call it
// has; nothing else happens.
func TestTokenUpdateInACall(t *testing.T) {
	s := serve(t, nil)
	k := s.take(CallOptions{}, 30)
	k.page.listen(mint(t, "alice", time.Hour), 30)
	k.page.expect("connected")
	k.page.takeover(k.call.SID(), k.browser.local(), k.token)
	if f := k.page.expect("answer"); f.Payload.SDP != k.answer {
		t.Error("another answer")
	}
	if st := k.call.Stats(); st.State != InProgress || st.Reconnects != 0 || st.Heard.Lost != 0 {
		t.Errorf("%+v", st)
	}
}

// The token runs out in a call: no more calls come, this one goes on.
func TestTokenExpiresInACall(t *testing.T) {
	s := serve(t, nil)
	k := s.take(CallOptions{}, 30)
	k.page.listen(mint(t, "alice", 2*time.Second), 30) // whole seconds: 1 to 2 s of life
	k.page.expect("connected")
	if f := k.page.expect("error"); f.Payload.Error.Code != codeExpired || f.Payload.CallSID != "" {
		t.Errorf("error %d", f.Payload.Error.Code)
	}
	k.page.register(true)
	if f := k.page.expect("error"); f.Payload.Error.Code != codeExpired {
		t.Errorf("error %d", f.Payload.Error.Code)
	}
	k.page.dtmf(k.call.SID(), "5")
	st := until(t, k.call, "a digit", func(st Stats) bool { return len(st.Digits) == 1 })
	if st.State != InProgress || !st.Owned {
		t.Errorf("%+v", st)
	}
	k.page.about("hangup", k.call.SID())
	until(t, k.call, "the end", ended)
}

// A second call rings while the first goes on, and ends without touching it.
func TestSecondCall(t *testing.T) {
	s := serve(t, nil)
	k := s.take(CallOptions{}, 0)
	second, _ := s.ring(CallOptions{From: "+15550199"}, k.worker)
	if n := len(s.Calls()); n != 2 {
		t.Errorf("%d calls", n)
	}
	k.worker.about("reject", second.SID())
	if st := until(t, second, "the end", ended); st.Reason != ReasonBusy {
		t.Errorf("reason %s", st.Reason)
	}
	heard := k.call.Stats().Heard.Packets
	st := until(t, k.call, "audio", func(st Stats) bool { return st.Heard.Packets > heard+5 })
	if st.State != InProgress || st.Heard.Lost != 0 {
		t.Errorf("%+v", st)
	}
	k.page.quiet()
	sockets := s.Sockets()
	if i := slices.IndexFunc(sockets, func(d Socket) bool { return slices.Equal(d.Calls, []string{k.call.SID()}) }); i < 0 || len(sockets) != 2 {
		t.Errorf("sockets %+v", sockets)
	}
}

// An agent calls a number and hears itself.
func TestOutgoing(t *testing.T) {
	var dialled Outgoing
	s := serve(t, func(o *Options) {
		o.Dialled = func(out Outgoing) Answer {
			dialled = out
			return Answer{Ringing: 30 * ms, Refuse: out.Parameters["To"] == "+15550999"}
		}
	})
	page, b := s.connected("alice", 0), newBrowser(t)
	const first = "TJS8d0c1bb4-7d5c-4d21-9c0c-7a6ac1c2d3e4"
	page.invite(first, b.offer(false), "To=%2B15550111&x=a%20b%26c")
	sid := page.expect("ringing").Payload.CallSID
	answer := page.expect("answer")
	if answer.Payload.CallSID != sid || sid == first || answer.Payload.Reconnect == "" {
		t.Errorf("answer %q after ringing %q", answer.Payload.CallSID, sid)
	}
	b.take(answer.Payload.SDP)
	if dialled.Identity != "alice" || dialled.Parameters["To"] != "+15550111" || dialled.Parameters["x"] != "a b&c" {
		t.Errorf("dialled %+v", dialled)
	}
	if err := s.Wait(within(t), func() bool { f := b.flow(); return f.Packets > 10 && f.Level == -15 }); err != nil {
		t.Errorf("no echo: %+v", b.flow())
	}
	call := s.Calls()[0]
	if st := call.Stats(); st.Direction != Outbound || st.To != "+15550111" || st.SID != sid {
		t.Errorf("%+v", st)
	}
	page.about("hangup", first) // the client may still use its own SID
	if st := until(t, call, "the end", ended); st.Reason != ReasonAgent {
		t.Errorf("reason %s", st.Reason)
	}

	page.invite("TJS1", b.local(), "To=%2B15550999")
	if f := page.expect("hangup"); f.Payload.CallSID != "TJS1" || f.Payload.Error.Code != codeNotFound {
		t.Errorf("%+v", f.Payload)
	}
}

// Close in the middle of everything leaves nothing behind; serve looks at the
// goroutines.
func TestCloseInACall(t *testing.T) {
	s := serve(t, nil)
	k := s.take(CallOptions{Record: filepath.Join(t.TempDir(), "x.wav")}, 30)
	ringing, _ := s.ring(CallOptions{}, k.worker)
	s.Close()
	for _, call := range []*Call{k.call, ringing} {
		if st := call.Stats(); st.Reason != ReasonClosed {
			t.Errorf("%+v", st)
		}
		<-call.Done()
	}
	k.page.expect("hangup")
	k.worker.expect("cancel")
	if code := k.page.gone(); code != 1001 {
		t.Errorf("closed with %d", code)
	}
	if _, err := s.Call(within(t), CallOptions{Identity: "alice"}); err == nil {
		t.Error("a closed edge takes calls")
	}
	s.Close()
}

// The customer gives up in the moment the agent answers. Whoever wins, the
// worker is told once that it is not its call, and the page, whose call may have
// been answered, is told to hang up: a page left without that stays open.
func TestGivingUpRacesWithTheAnswer(t *testing.T) {
	s := serve(t, nil)
	worker, page := s.registered("alice"), s.connected("alice", 30)
	for i := range 20 {
		call, invites := s.ring(CallOptions{}, worker)
		offer := newBrowser(t).offer(false)
		hung := make(chan struct{})
		go func() {
			defer close(hung)
			if i%2 == 0 { // as soon as the takeover is seen, else at once
				_ = call.Wait(t.Context(), func(st Stats) bool { return st.State != Ringing })
			}
			call.Hangup()
		}()
		page.takeover(call.SID(), offer, invites[0].Payload.Reconnect)
		<-hung
		worker.expect("cancel")
		select {
		case f := <-page.frames:
			if f.Type == "answer" {
				f = page.expect("hangup")
			}
			if f.Type != "hangup" || f.Payload.CallSID != call.SID() {
				t.Fatalf("round %d: the page got %s of %q", i, f.Type, f.Payload.CallSID)
			}
		case <-time.After(patience):
			t.Fatalf("round %d: the page is left with a dead call", i)
		}
		page.quiet()
		page.register(false)
		page.expect("offline")
		worker.quiet()
		if st := call.Stats(); st.State != Ended {
			t.Fatalf("round %d: %+v", i, st)
		}
	}
}
