//go:build voice

package emulator

import (
	"context"
	"errors"
	"net"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/flexui"
	"github.com/flexvc/flexvc/internal/emulator/voice"
	"github.com/flexvc/flexvc/internal/emulator/voice/media"
)

// addVoice gives the emulator command its voice edge.
func addVoice(cmd *cobra.Command, o *options) {
	cmd.Flags().StringVar(&o.voiceListen, "voice-listen", "", "loopback address of the voice edge, such as 127.0.0.1:8443")
	cmd.AddCommand(newCall(o.app, nil))
}

// VoiceEdge is the emulated voice edge beside a running emulator; the zero value
// is none.
type VoiceEdge struct {
	address string // empty when it is served through Flex UI's back end alone
	spki    string // hash of its certificate's key
	Stop    func() error
	Handler http.Handler
	Phone   flexui.Phone
	Sockets func() []voice.Socket
	Wait    func(ctx context.Context, condition func() bool) error // until it is true
}

// ServeVoice starts the voice edge for the emulated account: it knows the
// account's keys, keeps its certificate in the data folder, and takes orders on
// the emulator's control plane. Without a listener it serves as a handler only.
func ServeVoice(app *cli.App, e *emulator.Emulator, listener net.Listener, dir string) (*VoiceEdge, error) {
	edge, err := voice.New(voice.Options{
		Keys: func(sid string) (voice.Key, bool) {
			secret, ok := e.KeySecret(sid)
			return voice.Key{Account: e.Account().SID, Secret: secret}, ok
		},
		FlexToken: func(token string) (voice.Claims, bool) {
			login, code, _ := e.Login(token)
			return voice.Claims{Identity: login.Identity, Account: e.Account().SID, Incoming: true, Expires: login.Expires}, code == 0
		},
		Folder: dir,
		Now:    app.Now, // not the emulator's, which jumps when told to
		Rand:   app.Random,
		Log:    app.Log(),
	})
	if err != nil {
		return nil, err
	}
	control := voice.NewControl(edge)
	e.Mount("voice", control)
	v := &VoiceEdge{Handler: edge.Handler(), Phone: phone{edge}, Sockets: edge.Sockets, Wait: edge.Wait, Stop: func() error {
		edge.Close()
		return control.Close()
	}}
	if listener == nil {
		return v, nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- edge.Run(ctx, listener) }()
	v.address, v.spki = listener.Addr().String(), edge.SPKI()
	v.Stop = func() error {
		cancel()
		return errors.Join(<-ended, control.Close())
	}
	return v, nil
}

// phone rings for Flex UI's tasks on the voice edge.
type phone struct{ edge *voice.Edge }

func (p phone) Dial(ctx context.Context, d flexui.Dialled) (flexui.Leg, error) {
	call, err := p.edge.Call(ctx, voice.CallOptions{
		Identity: d.Identity, From: d.From, Parameters: d.Parameters,
	})
	if err != nil {
		return nil, err
	}
	l := &leg{call, make(chan struct{})}
	go func() {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go func() {
			select {
			case <-call.Done():
				cancel()
			case <-ctx.Done():
			}
		}()
		if call.Wait(ctx, func(s voice.Stats) bool { return s.State == voice.InProgress }) == nil {
			close(l.answered)
		}
	}()
	return l, nil
}

type leg struct {
	*voice.Call
	answered chan struct{}
}

func (l *leg) Answered() <-chan struct{} { return l.answered }
func (l *leg) Ended() <-chan struct{}    { return l.Done() }

// Conference implements flexui.Phone. The customer talks made-up syllables, or
// beeps.
func (p phone) Conference(customer string, hz float64) flexui.Room {
	source := media.Speech(1)
	if hz > 0 {
		source = media.Tone(hz, -10)
	}
	return room{p.edge.Conference(customer, source)}
}

type room struct{ *voice.Conference }

// Connect implements flexui.Room. Legs without a sound stay out of it.
func (r room) Connect(voices []flexui.Voice) {
	call := func(l flexui.Leg) *voice.Call {
		if rung, ok := l.(*leg); ok {
			return rung.Call
		}
		return nil
	}
	seated := []voice.Voice{}
	for _, v := range voices {
		if c := call(v.Leg); c != nil || v.Leg == nil {
			seated = append(seated, voice.Voice{Call: c, Muted: v.Muted, Hold: v.Hold, Coaches: call(v.Coaches)})
		}
	}
	r.Conference.Connect(seated)
}

// browserFlags make a Chromium take the edge for Twilio's, and reach nothing
// else outside this machine.
func (v *VoiceEdge) browserFlags() []string {
	return []string{
		`--host-resolver-rules="MAP *.twilio.com ` + v.address + `, MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1"`,
		"--ignore-certificate-errors-spki-list=" + v.spki,
	}
}
