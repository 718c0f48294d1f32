//go:build voice

package cli

import (
	"context"
	"errors"
	"net"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/voice"
)

// addVoice gives the emulator command its voice edge.
func addVoice(cmd *cobra.Command, o *emulatorOptions) {
	cmd.Flags().StringVar(&o.voiceListen, "voice-listen", "", "loopback address of the voice edge, such as 127.0.0.1:8443")
	cmd.AddCommand(newEmulatorCallCmd(o.app, nil))
}

// voiceEdge is the emulated voice edge beside a running emulator; the zero value
// is none.
type voiceEdge struct {
	address string
	spki    string // hash of its certificate's key
	stop    func() error
}

// serveVoice starts the voice edge for the emulated account: it knows the
// account's keys, keeps its certificate in the data folder, and takes orders on
// the emulator's control plane.
func serveVoice(app *App, e *emulator.Emulator, listener net.Listener, dir string) (*voiceEdge, error) {
	edge, err := voice.New(voice.Options{
		Keys: func(sid string) (voice.Key, bool) {
			secret, ok := e.KeySecret(sid)
			return voice.Key{Account: e.Account().SID, Secret: secret}, ok
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
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- edge.Run(ctx, listener) }()
	return &voiceEdge{
		address: listener.Addr().String(),
		spki:    edge.SPKI(),
		stop: func() error {
			cancel()
			return errors.Join(<-ended, control.Close())
		},
	}, nil
}

// browserFlags make a Chromium take the edge for Twilio's, and reach nothing
// else outside this machine.
func (v *voiceEdge) browserFlags() []string {
	return []string{
		`--host-resolver-rules="MAP *.twilio.com ` + v.address + `, MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1"`,
		"--ignore-certificate-errors-spki-list=" + v.spki,
	}
}
