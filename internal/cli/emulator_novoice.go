//go:build !voice

package cli

import (
	"net"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/emulator"
)

// The voice edge is in builds with -tags voice, as make e2e makes one: pion's
// packages take half a millisecond to initialise, at every start of every
// command, and with them flexvc --version is no longer within three times an
// empty program's time.

func addVoice(*cobra.Command, *emulatorOptions) {}

type voiceEdge struct {
	address, spki string
	stop          func() error
}

func (*voiceEdge) browserFlags() []string { return nil }

// serveVoice is never reached: without the flag there is no listener.
func serveVoice(*App, *emulator.Emulator, net.Listener, string) (*voiceEdge, error) {
	return &voiceEdge{stop: func() error { return nil }}, nil
}
