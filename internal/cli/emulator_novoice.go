//go:build !voice

package cli

import (
	"net"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/flexui"
)

// The voice edge is in builds with -tags voice, as make e2e makes one: pion's
// packages take half a millisecond to initialise, at every start of every
// command, and with them flexvc --version is no longer within three times an
// empty program's time.

func addVoice(*cobra.Command, *emulatorOptions) {}

type voiceEdge struct {
	address, spki string
	stop          func() error
	handler       http.Handler
	phone         flexui.Phone
}

func (*voiceEdge) browserFlags() []string { return nil }

// serveVoice serves nothing: Flex UI's tasks are accepted without a sound.
func serveVoice(*App, *emulator.Emulator, net.Listener, string) (*voiceEdge, error) {
	return &voiceEdge{stop: func() error { return nil }}, nil
}
